"""What this machine can and cannot do, each thing tried: `examine` has them all, `findings` what is told of one.

Nothing here is used by an engine, and nothing here decides what an engine does: it tries what that will need, with the
same code, in throw-away processes, namespaces, groups and folders, and leaves nothing behind.
"""
