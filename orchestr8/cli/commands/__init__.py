"""One file per command: `run(context, options)` does it and returns the exit code. Only the called one is imported."""
