"""An OCI runtime command line over the runtime's own code: what podman, containerd and others call instead of runc.

No engine, no shim, no network of ours: the caller owns stdio and waits for the container's PID 1, which is the program
itself. `document` settles what a config.json asks for (`shape`: what each key holds), `groups` where its cgroup is, `userns` whose ids it has, `state` what is
remembered between two calls; `create` and `birth` are the two sides of a container's beginning, `enter` those of a further process
in it, `lifecycle` and `update` what becomes of it. `arguments` are the words of the command line, `command` does what they say.
Nothing of it loads more than a shim does, and each command only what it needs: a call is a process of its own.
"""
