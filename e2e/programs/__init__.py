"""Programs that people run, from Debian's packages, each as an image and a stack.

images.py     makes the images: a directory tree each, in .cache/images
NAME/         a stack of the program, and the files that it mounts; `tests/programs` tells its story

By hand, once the images are made: `cd e2e/programs/redis; IMAGES=$CHECKOUT/.cache/images orchestr8 up -d --wait`.
"""
