"""The tests on a stock kernel with unified cgroup v2, in a virtual machine: `python -m e2e.vm [--part] [pytest's arguments]`.

Debian's kernel is taken from its package and unpacked in .cache/, QEMU runs it (in software where there is no KVM), and
virtme-ng boots it on this machine's own files, read-only. The checkout, with the interpreter's packages and everything
compiled, is on a disk of its own, ext4, where the tests work. What they print comes back as they print it; so does
their exit code. Nothing is installed but packages (`make e2e` does so), and nothing is left but the cache.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent.parent
CACHE: Final = HERE / ".cache" / "vm"
DISK_SIZE: Final = 4 << 30  # sparse
MEMORY: Final = "4G"
TIME_LIMIT_S: Final = 7200
PART_LIMIT_S: Final = 480
TEST_LIMIT_S: Final = 60  # as in pyproject.toml; times SLOW
SLOW: Final = 4  # how much longer than on this machine things may take in software
HOST_FILES: Final = "host"  # what the guest knows this machine's files by
# What only v2 has, and what differs there: the part that every run of CI can wait for.
PART: Final = (
    *("tests/system/test_cgroup.py", "tests/system/test_limits.py"),
    "tests/system/test_runtime_exec.py::test_it_joins_pid_1_once_the_container_has_groups_of_its_own",
    "tests/system/test_runtime_exec.py::test_a_container_without_room_for_another_process_says_so",
    # Not of v2: this machine's PID 1 waits for nobody.
    "tests/system/test_looking_in.py::test_who_shares_a_pid_namespace_sees_it_and_ends_with_its_own_shim",
)
_WHOLE: Final = (
    *("cgroup", "limits", "keys", "keys_limits", "keys_isolation", "seccomp", "grants", "capabilities"),
    *("runtime_container", "runtime_exec", "runtime_init", "runtime_processes", "runtime_cradle", "runtime_deaths"),
    *("userns", "mounts", "escapes", "hostile_places", "looking_in", "idle", "nested", "pause", "stats"),
    *("oci_update", "oci_userns"),
)
WHOLE: Final = ("tests/kernel", *(f"tests/system/test_{name}.py" for name in _WHOLE), "tests/examples")
# Not needed by tests, and large.
_LEFT_OUT: Final = ("mypy", "mypyc", "ruff", "grimp", "pip", "setuptools", "atheris")
# What virtme-ng mounts as / asks the host for each byte of each program, each time. The same files with a cache take its
# place; a start of Python takes a third of a second then, instead of five.
GUEST: Final = """\
exec >>{folder}/guest.log 2>&1
set -eu
modprobe -a virtio_blk ext4 overlay nf_tables veth bridge loop
mount -t 9p -o ro,version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose {host} /mnt
for name in etc var usr/lib; do
    mkdir -p /run/$name/upper /run/$name/work
    mount -t overlay -o lowerdir=/mnt/$name,upperdir=/run/$name/upper,workdir=/run/$name/work overlay /mnt/$name
done
mkdir -p /mnt/usr/lib/modules
ln -sfT {modules} /mnt/usr/lib/modules/$(uname -r)
for name in proc sys dev tmp; do mount --move /$name /mnt/$name; done
mount -t tmpfs -o mode=755 tmpfs /mnt/run
for _ in $(seq 100); do [ -b /mnt/dev/vda ] && break; sleep 0.1; done
mount -t ext4 /mnt/dev/vda /mnt/mnt
mkdir /mnt/mnt/old /mnt/mnt/tmp
cd /mnt
pivot_root . mnt/old
cd /mnt/checkout
umount -l /mnt/old
rmdir /mnt/old
ip link set lo up
export TMPDIR=/mnt/tmp ORCHESTR8_SLOW={slow} PATH=/mnt/venv/bin:$PATH
code=0
/mnt/venv/bin/python -m pytest -p no:cacheprovider --timeout 240 --basetemp /mnt/tmp/pytest {words} >{folder}/out 2>&1 || code=$?
if [ $code != 0 ]; then
    dmesg >{folder}/dmesg.log
    find /mnt/tmp -type f -name '*.log' | tar -cf {folder}/logs.tar -T -
fi
echo $code >{folder}/code
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.vm", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="store_true", help="the most telling tests, in eight minutes at most")
    asked, words = parser.parse_known_args(arguments)
    missing = [name for name in ("qemu-system-x86_64", "depmod", "mke2fs") if not shutil.which(name)]
    if missing:
        print(f"e2e: {', '.join(missing)} not found; `make e2e` installs what it needs", file=sys.stderr)
        return 1
    kernel = unpacked_kernel()
    with tempfile.TemporaryDirectory(prefix="orchestr8-vm-") as folder:
        disk = make_disk(Path(folder))
        tests = words or [*(PART if asked.part else WHOLE), "-v", "--durations", "20"]  # which one hangs, too
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


def guest_script(kernel: Path, folder: Path, words: Sequence[str]) -> str:
    """What the guest does: it takes a root that is quick, runs pytest with `words`, and leaves in `folder` what came of it.

    `out` is what pytest printed and `code` its exit code; after a failure `dmesg.log` and `logs.tar` are there, too.
    """
    pytest = ["-p", "no:cacheprovider", "-n", str(_processors()), "--timeout", str(TEST_LIMIT_S * SLOW), *words]
    modules = kernel / "lib" / "modules" / kernel.name
    return GUEST.format(
        modules=shlex.quote(str(modules)), host=HOST_FILES, folder=shlex.quote(str(folder)), slow=SLOW,
        words=shlex.join(pytest),
    )  # fmt: skip


def command(kernel: Path, disk: Path, folder: Path, script: Path) -> list[str]:
    """virtme-ng's command line."""
    image = next((kernel / "boot").glob("vmlinuz-*"))
    machine = ["--cpus", str(_processors()), "--memory", MEMORY, "--force-9p"]
    hypervisor = [] if os.access("/dev/kvm", os.W_OK) and _has_virtualisation() else ["--disable-kvm"]
    host = f"-fsdev local,id={HOST_FILES},path=/,security_model=none,readonly=on,multidevs=remap"
    host += f" -device virtio-9p-pci,fsdev={HOST_FILES},mount_tag={HOST_FILES}"
    files = ["--disk", str(disk), "--rwdir", str(folder), f"--qemu-opts={host}"]
    vng = str(Path(sys.executable).parent / "vng")
    kernels = ["-r", str(image), "--append", "cgroup_no_v1=all"]
    return [vng, *kernels, *hypervisor, *machine, *files, "--exec", f"sh {shlex.quote(str(script))}"]


def _processors() -> int:
    return min(os.cpu_count() or 1, 4)


def _has_virtualisation() -> bool:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return "vmx" in flags or "svm" in flags


def run(kernel: Path, disk: Path, folder: Path, words: Sequence[str], limit_s: float) -> int:
    """Boot, and pass on what the tests print until they end, or the time is over; pytest's exit code, 1 without one."""
    script = folder / "guest.sh"
    script.write_text(guest_script(kernel, folder, words))
    out = folder / "out"
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
    code = folder / "code"
    if ended and code.exists():
        status = int(code.read_text())
    else:
        status = 1
        print(f"e2e: {'the machine ended' if ended else f'nothing after {limit_s:.0f} s'}, the tests did not")
        for name in ("boot.log", "guest.log"):
            print((folder / name).read_text(errors="replace")[-4000:] if (folder / name).exists() else "", end="")
    if status:
        keep(folder, CACHE / "failed")
        print(f"e2e: see {CACHE / 'failed'}", flush=True)
    return status


def keep(folder: Path, target: Path) -> None:
    """Copy what tells of a failure, in place of what told of the last one."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("out", "boot.log", "guest.log", "dmesg.log", "logs.tar"):
        if (folder / name).exists():
            shutil.copy(folder / name, target / name)


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
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # no machine outlives this process
    sys.exit(main())
