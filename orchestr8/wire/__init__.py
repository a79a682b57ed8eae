"""What travels on the engine's socket: where it is, HTTP on it, and the frames of its streams.

`paths` and `client` are on the CLI's start path and import next to nothing; `http` (h11) is the engine's side.
"""
