"""Where `cp` puts what it copies: where docker does, case by case."""

import os
from pathlib import Path

import pytest

from e2e.checks import state
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.copying_lab import Tell, idle, in_there, run

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]

# A place for each case, made and looked at at once: what takes time here is the commands.
LIST = """for t in /t/*; do cd $t; find . -mindepth 1 | sort | while read p; do
if [ -L $p ]; then echo "$t $p>$(readlink $p)"; elif [ -d $p ]; then echo "$t $p/"; else echo "$t $p=$(cat $p)"; fi; done; done"""
FRESH = """for n in $(seq 0 {last}); do mkdir -p /t/$n/dir /t/$n/full/src; cd /t/$n; echo -n old >file; echo -n x >full/src/x
ln -s dir ldir; ln -s file lfile; ln -s none lnone; done"""
# What docker 28.5.2 made of `docker cp SOURCE container:/t/DESTINATION`: what is there then and was not there before.
INTO = """
file   dir     ./dir/file=hf
file   file    ./file=hf
file   file/   no such directory
file   new     ./new=hf
file   new/    no such directory
file   no/new  could not find
file   ldir    ./dir/file=hf
file   lfile   ./file=hf
file   lnone   ./none=hf
src    dir     ./dir/src/ ./dir/src/in=hin ./dir/src/sub/ ./dir/src/sub/s=hs
src    file    cannot copy directory
src    file/   cannot overwrite non-directory
src    new/    ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
src    lnone   ./none/ ./none/in=hin ./none/sub/ ./none/sub/s=hs
src    full    ./full/src/in=hin ./full/src/sub/ ./full/src/sub/s=hs
src/.  dir     ./dir/in=hin ./dir/sub/ ./dir/sub/s=hs
src/.  new     ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
lsrc   dir     ./dir/lsrc>src
lsrc/  dir     ./dir/lsrc/ ./dir/lsrc/in=hin ./dir/lsrc/sub/ ./dir/lsrc/sub/s=hs
lsrc   file    ./file>src
lsrc   new/    no such directory
-Llsrc new     ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
-Llfile dir    ./dir/lfile=hf
lx     dir     ./dir/lx>nowhere
"""
# And of `docker cp container:/SOURCE DESTINATION`.
OUT_OF = """
f     dir     dir/f=f
f     file    file=f
f     file/   not a directory
f     new     new=f
f     new/    no such directory
f     no/new  invalid output path
f     ldir    dir/f=f
f     lfile   file=f
f     lnone   none=f
d     dir     dir/d/ dir/d/in=in dir/d/sub/ dir/d/sub/s=s
d     file    cannot copy directory
d     new     new/ new/in=in new/sub/ new/sub/s=s
d     full    full/d/in=in full/d/sub/ full/d/sub/s=s
d/    dir     dir/d/ dir/d/in=in dir/d/sub/ dir/d/sub/s=s
d/.   dir     dir/in=in dir/sub/ dir/sub/s=s
d/.   new     new/ new/in=in new/sub/ new/sub/s=s
ld    dir     dir/ld>d
ld/.  lnone   none/ none/in=in none/sub/ none/sub/s=s
lf    file    file>/f
lf/   dir     not a directory
-Lld  dir     dir/ld/ dir/ld/in=in dir/ld/sub/ dir/ld/sub/s=s
-Llf  new     new=f
-Llx  dir     could not find
lx    dir     dir/lx>nowhere
no    dir     could not find
f/.   dir     not a directory
"""


def here(folder: Path) -> list[str]:
    found = []
    for each in sorted(folder.rglob("*")):
        name = str(each.relative_to(folder))
        if each.is_symlink():
            found.append(f"{name}>{os.readlink(each)}")
        else:
            found.append(f"{name}/" if each.is_dir() else f"{name}={each.read_text().strip()}")
    return found


def cases(table: str) -> list[tuple[list[str], str, str, str]]:
    found = []
    for line in table.strip().splitlines():
        source, destination, expected = line.split(maxsplit=2)
        flags = ["-L"] if source.startswith("-L") else []
        found.append((flags, source.removeprefix("-L"), destination, expected))
    return found


def is_message(expected: str) -> bool:
    return not expected.startswith("./") and "=" not in expected and ">" not in expected


def test_what_is_copied_in_lands_where_dockers_does(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    folder = Path(story.directory)
    (folder / "src/sub").mkdir(parents=True)
    for name, text in (("file", "hf"), ("src/in", "hin"), ("src/sub/s", "hs")):
        (folder / name).write_text(text)
    for name, target in (("lsrc", "src"), ("lfile", "file"), ("lx", "nowhere")):
        (folder / name).symlink_to(target)
    story.step("up -d", state("web", "running"))
    table = cases(INTO)
    before = set(in_there(story, "web", f"{FRESH.format(last=len(table) - 1)}\n{LIST}").splitlines())
    for number, (flags, source, destination, expected) in enumerate(table):
        failed = is_message(expected)
        _, said = run(story, *flags, source, f"web:/t/{number}/{destination}", code=1 if failed else 0)
        if failed:
            assert expected in said.lower(), (source, destination)
    after = in_there(story, "web", LIST).splitlines()
    for number, (_, source, destination, expected) in enumerate(table):
        place = f"/t/{number} "
        added = [line.removeprefix(place) for line in after if line.startswith(place) and line not in before]
        assert added == ([] if is_message(expected) else expected.split()), (source, destination)
    places = {line.split(">")[0].split("=")[0] for line in after}
    assert {line.split(">")[0].split("=")[0] for line in before} <= places  # and nothing is gone


def test_what_is_copied_out_lands_where_dockers_does(
    scenario: Tell, busybox_image: str, tmp_path: Path
) -> None:  # fmt: skip
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", """
mkdir -p /d/sub; echo -n f >/f; echo -n in >/d/in; echo -n s >/d/sub/s; ln -s d /ld; ln -s /f /lf; ln -s nowhere /lx
""")  # fmt: skip
    for number, (flags, source, destination, expected) in enumerate(cases(OUT_OF)):
        folder = tmp_path / f"t{number}"
        (folder / "dir").mkdir(parents=True)
        (folder / "full/d").mkdir(parents=True)
        (folder / "file").write_text("old")
        (folder / "full/d/x").write_text("x")
        for name, target in (("ldir", "dir"), ("lfile", "file"), ("lnone", "none")):
            (folder / name).symlink_to(target)
        before = here(folder)
        failed = is_message(expected)
        _, said = run(story, *flags, f"web:/{source}", f"{folder}/{destination}", code=1 if failed else 0)
        if failed:
            assert expected in said.lower(), (source, destination)
            assert here(folder) == before
        else:
            added = [line for line in here(folder) if line not in before]
            reached = "none" if destination == "lnone" else "file" if destination == "lfile" else ""
            if reached:  # seen through the symlink as well
                added = [line for line in added if not line.startswith(destination)]
            assert added == expected.split(), (source, destination)
