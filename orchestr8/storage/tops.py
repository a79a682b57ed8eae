"""Directories whose entries have nothing to do with each other, such as the one with a folder for each container.

ext4 puts a new directory, and all that comes below it, beside its parent: all containers of all engines, and whatever else
is made on that filesystem, in a group or two. Without a journal, numbers of inodes that were freed there within the last
five minutes are passed over one by one by each file that is made (fs/ext4/ialloc.c, `recently_deleted`), which takes a
quarter of a millisecond each where a large tree was deleted. Below a directory that is marked as a top of trees it looks
for a group with room instead.
"""

import os

from orchestr8.kernel.inode_flags import InodeFlag, add_if_known


def make_top(path: str) -> None:
    """Make the directory, closed to users, unless it is there, and mark it where the filesystem knows what that means."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    add_if_known(path, InodeFlag.TOP_OF_TREES)
