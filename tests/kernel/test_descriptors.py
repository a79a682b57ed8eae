import os
from pathlib import Path

import pytest

from orchestr8.kernel import descriptors


def test_a_file_is_read_and_written_whole_however_little_the_kernel_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 1000
    written, write = [], os.write

    def little(fd: int, data: bytes) -> int:
        written.append(write(fd, data[:1000]))
        return written[-1]

    monkeypatch.setattr(os, "write", little)
    with (tmp_path / "file").open("wb") as file:
        descriptors.write_whole(file.fileno(), content)
    assert len(written) == 256
    assert descriptors.read_whole(str(tmp_path / "file")) == content


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        descriptors.read_whole(str(tmp_path / "none"))
