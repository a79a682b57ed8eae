"""Brings the store to the schema that the api expects. It may run again: what is there stays."""

from client import ask

SCHEMA = "1"

found = ask("GET schema")
if found == SCHEMA:
    print(f"migrate: the store has schema {SCHEMA} already")
else:
    ask("SET greeting Hello from orchestr8")
    ask(f"SET schema {SCHEMA}")
    print(f"migrate: schema {found or 0} -> {SCHEMA}")
