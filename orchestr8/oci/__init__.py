"""An OCI runtime command line over the runtime's own code: what podman, containerd and others call instead of runc.

No engine, no shim, no network of ours: the caller owns stdio and waits for the container's PID 1, which is the program
itself. `document` settles what a config.json asks for, `groups` where its cgroup is, `state` what is remembered between
two calls, `create` and `birth` are the two sides of a container's beginning, `enter` those of a further process in it.
`command` reads the command line. Nothing of it loads more than a shim does, for each call is a process of its own.
"""
