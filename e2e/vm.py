"""The tests on a stock kernel with unified cgroup v2, in a virtual machine: `python -m e2e.vm [--part] [pytest's arguments]`.

Debian's kernel is taken from its package and unpacked in .cache/, QEMU runs it (in software where there is no KVM), and
virtme-ng boots it on this machine's own files, read-only. The checkout, with the interpreter's packages and everything
compiled, is on a disk of its own, ext4, where the tests work. What they print comes back as they print it; so does
their exit code. Nothing is installed but packages (`make e2e` does so), and nothing is left but the cache.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent.parent
CACHE: Final = HERE / ".cache" / "vm"
MODULES: Final = Path("/lib/modules")
DISK_SIZE: Final = 4 << 30  # sparse
MEMORY: Final = "4G"
TIME_LIMIT_S: Final = 3600
PART_LIMIT_S: Final = 480
OUT: Final = "out"  # the file that the guest writes what is printed to
CODE: Final = "code"
# What only v2 has, and what differs there: the part that every run of CI can wait for.
PART: Final = (
    *("tests/system/test_cgroup.py", "tests/system/test_limits.py"),
    "tests/system/test_runtime_exec.py::test_it_joins_pid_1_once_the_container_has_groups_of_its_own",
    "tests/system/test_runtime_exec.py::test_a_container_without_room_for_another_process_says_so",
)
WHOLE: Final = (
    *("tests/kernel", "tests/system/test_cgroup.py", "tests/system/test_limits.py", "tests/system/test_keys.py"),
    *("tests/system/test_keys_isolation.py", "tests/system/test_seccomp.py", "tests/system/test_grants.py"),
    *(
        "tests/system/test_capabilities.py",
        "tests/system/test_runtime_container.py",
        "tests/system/test_runtime_exec.py",
    ),
    *("tests/system/test_runtime_init.py", "tests/system/test_runtime_processes.py", "tests/system/test_userns.py"),
    *("tests/system/test_mounts.py", "tests/system/test_escapes.py", "tests/examples"),
)
# Not needed by tests, and large.
_LEFT_OUT: Final = ("mypy", "mypyc", "ruff", "grimp", "pip", "setuptools", "atheris")
GUEST: Final = """\
modprobe -a virtio_blk ext4 overlay nf_tables veth bridge loop 2>/dev/null
for _ in $(seq 100); do [ -b /dev/vda ] && break; sleep 0.1; done
mount -t ext4 /dev/vda /mnt || exit 1
ip link set lo up
mkdir -p /mnt/tmp
cd /mnt/checkout
export TMPDIR=/mnt/tmp ORCHESTR8_SLOW={slow} PATH=/mnt/venv/bin:$PATH
/mnt/venv/bin/python -m pytest -p no:cacheprovider -p no:xdist --timeout 240 --basetemp /mnt/tmp/pytest {words} >{out}/{file} 2>&1
echo $? >{out}/{code}
"""
SLOW: Final = 6  # how much longer than on this machine things may take in software


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.vm", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="store_true", help="the most telling tests, in eight minutes at most")
    asked, words = parser.parse_known_args(arguments)
    missing = [name for name in ("qemu-system-x86_64", "depmod", "mke2fs") if not shutil.which(name)]
    if missing:
        print(f"e2e: {', '.join(missing)} not found; `make e2e` installs what it needs", file=sys.stderr)
        return 1
    kernel = unpacked_kernel()
    with tempfile.TemporaryDirectory(prefix="orchestr8-vm-") as folder, linked_modules(kernel):
        disk = make_disk(Path(folder))
        tests = words or [*(PART if asked.part else WHOLE), "-q"]
        return run(kernel, disk, Path(folder), tests, PART_LIMIT_S if asked.part else TIME_LIMIT_S)


def unpacked_kernel() -> Path:
    """Debian's stock kernel in the cache: `boot/vmlinuz-…` and `lib/modules/…` below the directory returned."""
    found = sorted(CACHE.glob("*/boot/vmlinuz-*"))
    if found:
        return found[-1].parent.parent
    newest = "linux-image-amd64"  # depends on the one that it is now
    depends = _output("apt-cache", "depends", newest)
    name = next(word for word in depends.split() if word.startswith("linux-image-") and word != newest)
    print(f"e2e: taking {name} from Debian", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        tree = Path(folder, "tree")
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
        (version,) = (path.name for path in (tree / "lib" / "modules").iterdir())
        subprocess.run(["depmod", "-b", tree, version], check=True)
        tree.rename(CACHE / version)
    return CACHE / version


@contextlib.contextmanager
def linked_modules(kernel: Path) -> Iterator[None]:
    """virtme-ng looks for a kernel's modules below /lib/modules alone, so a link is there meanwhile."""
    link = MODULES / kernel.name
    if link.exists():
        yield
        return
    had_folder = MODULES.exists()
    MODULES.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)  # one that leads nowhere
    link.symlink_to(kernel / "lib" / "modules" / kernel.name)
    try:
        yield
    finally:
        link.unlink()
        if not had_folder:
            MODULES.rmdir()


def make_disk(folder: Path) -> Path:
    """An ext4 image with `checkout` and `venv`, both compiled: nothing is slower in software than compiling at each start."""
    tree = folder / "tree"
    copy_checkout(tree / "checkout")
    make_venv(tree / "venv")
    quietly = ["-q", "-j", "2"]
    subprocess.run([sys.executable, "-m", "compileall", *quietly, tree / "checkout"], check=True, env=_COMPILES)
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(DISK_SIZE)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk], check=True)
    shutil.rmtree(tree)
    return disk


_COMPILES: Final = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def copy_checkout(target: Path) -> None:
    """The files that belong to the project, as they are now."""
    listed = _output("git", "-C", str(HERE), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source = HERE / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def make_venv(target: Path) -> None:
    """The packages of this interpreter's environment, in one that runs at /mnt/venv."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", target], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = target / "lib" / version / "site-packages"
    here = Path(sys.prefix) / "lib" / version / "site-packages"
    left_out = shutil.ignore_patterns(*(f"{name}*" for name in _LEFT_OUT), "*mypyc*", "*.pth")
    shutil.copytree(here, packages, ignore=left_out, dirs_exist_ok=True, symlinks=True)
    (packages / "checkout.pth").write_text("/mnt/checkout\n")
    script = target / "bin" / "orchestr8"
    script.write_text("#!/mnt/venv/bin/python\nfrom orchestr8.cli.main import main\nmain()\n")
    script.chmod(0o755)


def command(kernel: Path, disk: Path, folder: Path, script: Path) -> list[str]:
    """virtme-ng's command line."""
    image = next((kernel / "boot").glob("vmlinuz-*"))
    here = ["--cpus", str(min(os.cpu_count() or 1, 4)), "--memory", MEMORY, "--force-9p"]
    hypervisor = [] if os.access("/dev/kvm", os.W_OK) and _has_virtualisation() else ["--disable-kvm"]
    disks = ["--disk", str(disk), "--rwdir", str(folder)]
    vng = str(Path(sys.executable).parent / "vng")
    return [vng, "-r", str(image), *hypervisor, *here, *disks, "--append", "cgroup_no_v1=all", "--exec", f"sh {script}"]


def _has_virtualisation() -> bool:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return "vmx" in flags or "svm" in flags


def run(kernel: Path, disk: Path, folder: Path, words: Sequence[str], limit_s: float) -> int:
    """Boot, and pass on what the tests print until they end, or the time is over."""
    script = folder / "guest.sh"
    quoted = " ".join(f"'{word}'" for word in words)
    script.write_text(GUEST.format(slow=SLOW, words=quoted, out=folder, file=OUT, code=CODE))
    out = folder / OUT
    out.touch()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (folder / "boot.log").open("wb") as log:
        machine = subprocess.Popen(
            command(kernel, disk, folder, script), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        ended = _pass_on(machine, out, time.monotonic() + limit_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()
    code = folder / CODE
    if not ended or not code.exists():
        sys.stdout.write(
            f"e2e: {'the machine ended' if ended else f'nothing after {limit_s:.0f} s'}, the tests did not\n"
        )
        sys.stdout.write((folder / "boot.log").read_text(errors="replace")[-4000:])
        return 1
    return int(code.read_text())


def _pass_on(machine: subprocess.Popen[bytes], out: Path, deadline: float) -> bool:
    """Print what is written to `out` until the machine ends; False when the time is over first."""
    with out.open("rb") as file:
        while True:
            ended = machine.poll() is not None
            while part := file.read(1 << 16):
                sys.stdout.write(part.decode(errors="replace"))
                sys.stdout.flush()
            if ended:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)  # the guest's writes on 9p wake nobody up here


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
