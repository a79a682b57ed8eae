"""Deciding: a document and a snapshot become a plan of steps, each with its reason. Pure; nothing here acts or waits."""
