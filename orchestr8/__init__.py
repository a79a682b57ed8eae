"""A declarative multi-container orchestrator with a built-in runtime."""

__version__ = "0.1.0"
