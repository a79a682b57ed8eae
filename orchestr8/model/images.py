"""An image as it is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitSpec:
    """What is to be made of a container's files and settings."""

    name: str = ""  # "": none, it is known by its id
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()  # instructions of Dockerfiles, e.g. "CMD /bin/serve"; the last word on a setting
    pause: bool = True  # have none of its processes run meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    id: str  # the digest of its config, as Docker's image ids: "sha256:…"
    warnings: tuple[str, ...] = ()  # what of the container could not be put into an image, a sentence each
