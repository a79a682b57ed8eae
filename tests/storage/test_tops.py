import os
import subprocess
from pathlib import Path

import pytest

from orchestr8.storage.tops import make_top


def test_a_top_is_closed_to_users_and_may_be_there(tmp_path: Path) -> None:
    top = f"{tmp_path}/above/top"
    for _ in range(2):
        make_top(top)
        assert os.stat(top).st_mode & 0o777 == 0o700


def test_a_top_is_marked_for_the_filesystem_and_its_other_flags_stay(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    if subprocess.run(["chattr", "+T", tmp_path / "other"], check=False, capture_output=True).returncode:
        pytest.skip("this filesystem has no tops of trees")
    top = tmp_path / "top"
    top.mkdir(0o700)
    subprocess.run(["chattr", "+d", top], check=True)
    make_top(str(top))
    shown = subprocess.run(["lsattr", "-d", top], check=True, capture_output=True, text=True).stdout.split()[0]
    assert {"T", "d"} == set(shown) & set("Tdia")
