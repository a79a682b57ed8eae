"""One container's life, given an OCI bundle: forkserver, shim, init, exec, and the engine's side of talking to them.

What a bundle should say is decided above (`backends.native`); images, volumes and networks are prepared elsewhere and
come here as mounts in the document and as descriptors.
"""
