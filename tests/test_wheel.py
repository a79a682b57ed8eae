"""What is installed is enough: the wheel has what commands look for beside the code."""

import subprocess
import sys
import zipfile
from pathlib import Path

TOP = Path(__file__).parents[1]


def test_the_wheel_has_the_schema_where_the_schema_command_looks(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=TOP, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = "import sys; from orchestr8.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "schema", "--path"],
        cwd=tmp_path / "site", env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    path = Path(done.stdout.strip())
    assert path == tmp_path / "site" / "orchestr8" / "schema" / "stack.schema.json"
    assert path.read_text() == (TOP / "schema" / "stack.schema.json").read_text()
