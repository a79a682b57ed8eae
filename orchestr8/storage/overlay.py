"""An overlay mount as data. Who mounts it, inside which namespace, is runtime's business."""

from typing import NamedTuple


class OverlayMount(NamedTuple):
    """Layers from top to bottom; without `upperdir` and `workdir` the mount is read-only."""

    lowerdirs: tuple[str, ...]
    upperdir: str = ""
    workdir: str = ""

    def parameters(self) -> list[tuple[str, str]]:
        """For fsconfig(2), kernel 6.5 and later: one path a parameter, at most 255 bytes long."""
        parameters = [("lowerdir+", lowerdir) for lowerdir in self.lowerdirs]
        if self.upperdir:
            # Unlike in `lowerdir+`, the kernel takes backslashes out of these two.
            parameters += [("upperdir", _double(self.upperdir)), ("workdir", _double(self.workdir))]
        return parameters

    def data(self) -> str:
        """For mount(2): one string, at most 4095 bytes long, with "," and in lower layers ":" escaped."""
        options = ["lowerdir=" + ":".join(_escape(lowerdir).replace(":", "\\:") for lowerdir in self.lowerdirs)]
        if self.upperdir:
            options += [f"upperdir={_escape(self.upperdir)}", f"workdir={_escape(self.workdir)}"]
        return ",".join(options)


def _double(path: str) -> str:
    return path.replace("\\", "\\\\")


def _escape(path: str) -> str:
    return _double(path).replace(",", "\\,")
