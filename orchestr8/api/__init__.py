"""The engine's HTTP interface: one module of routes per resource, one table of errors, one of services.

Routes translate between HTTP and `services` (protocols that the engine implements); they hold no state.
"""
