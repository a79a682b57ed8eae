"""What is on disk: container layers, volumes, and their removal. Mounts leave here as data; runtime does the mounting."""
