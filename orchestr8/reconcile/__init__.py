"""Doing: plans are executed, health is probed, restart policies are kept, all by looking again when something happens."""
