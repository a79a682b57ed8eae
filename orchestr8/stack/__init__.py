"""Stack files to the canonical document: read, interpolate, shape, merge, select, check.

On the CLI's path, so standard library and PyYAML only, and nothing that is slow to import. Pure but for
`source`, which opens files. What a document means to containers is `plan.desired`'s business.

`load.load` is the whole way, phase by phase; `project.find_project` only finds the files and the name.
"""
