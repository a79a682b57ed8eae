"""The CLI loads this package on every `up`: what it imports is held to a list."""

import subprocess
import sys
from pathlib import Path

HEAVY = {"asyncio", "anyio", "dataclasses", "inspect", "json", "networkx", "socket", "subprocess", "logging", "difflib",
         "ipaddress", "shlex", "pathlib", "http", "hashlib", "unicodedata"}  # fmt: skip


def test_loading_a_stack_imports_nothing_heavy(project_dir, write) -> None:
    write("services: {web: {image: 'rootfs:/', command: a b, ports: ['80:80'], depends_on: [db]}, db: {image: x}}")
    code = (
        "import sys; sys.path[:0] = sys.argv[2:4]\n"
        "import yaml; before = set(sys.modules)\n"
        "from orchestr8.stack.load import LoadOptions, load\n"
        "load(LoadOptions(working_dir=sys.argv[1], environ={}))\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    import yaml

    paths = [str(Path(__file__).parents[2]), str(Path(yaml.__file__).parents[1])]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(project_dir), *paths], capture_output=True,
                          text=True, check=True)  # fmt: skip
    imported = set(done.stdout.split())
    assert imported & HEAVY == set()
    light = {"orchestr8", "graphlib", "typing", "_typing", "contextlib", "__future__", "os", "posixpath", "genericpath", "stat",
             "_stat", "warnings", "errno"}  # fmt: skip
    assert {name.partition(".")[0] for name in imported} <= light
