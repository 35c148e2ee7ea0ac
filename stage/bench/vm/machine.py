"""Makes the virtual machine out of Debian's own packages, and boots it.

The guest's kernel is Debian's, unpacked and never installed; `v4l2loopback` is compiled against
its headers. Both are kept in the user's cache (`vm/`, 16 MB), so that this is done once. The guest
has no disk and no network. Of the host it sees, read-only: the C library's folder, Python, its
environment and this repository; its results come back through one empty folder.

QEMU counts instructions instead of time (`-icount`): one guest instruction is a nanosecond of the
guest's clock. An emulated processor is ten times slower than that, but the guest cannot tell, so
that its pictures and sound keep the pace that they would have on a real, slow machine.
"""

import gzip
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stage.config import cache_folder

ROOT = Path(__file__).resolve().parents[3]
"""The repository."""

PROGRAMS: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "modprobe": "kmod",
    "depmod": "kmod",
    "make": "build-essential",
    "gcc": "build-essential",
    "v4l2-ctl": "v4l-utils",
    "arecord": "alsa-utils",
    "ffmpeg": "ffmpeg",
}
"""Program -> the Debian package that has it."""

LIBRARIES: Mapping[str, str] = {"libportaudio.so.2": "libportaudio2"}
"""Library that the guest loads by name -> its package."""

GUEST_PROGRAMS = ("v4l2-ctl", "arecord", "ffmpeg")
"""Copied into the guest; their libraries are seen through the shared folder."""

MODULES = ("virtio_pci", "9pnet_virtio", "9p", "videodev", "snd-aloop", "vivid")
"""Of Debian's kernel: the shared folders, the sound card, and a camera that is not virtual."""

MEMORY_MB = 2048
BOOT_S = 120.0
"""A guest that has not got as far as its script by then will not."""


class MachineError(RuntimeError):
    """The machine cannot be made or did not finish; one line with the remedy."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is needed to boot."""

    kernel: Path
    """`vmlinuz`."""
    initrd: Path
    """Compressed, with modules and programs."""
    release: str
    """The kernel's, such as 6.1.0-56-amd64."""
    loopback: str
    """Version of `v4l2loopback`."""


def missing() -> str:
    """Return what to install first, as one line with the command; "" when all is there."""
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        return "the virtual machine is made of Debian's packages: it needs Debian 12 or newer"
    packages = [package for name, package in PROGRAMS.items() if _program(name) is None]
    packages += [package for name, package in LIBRARIES.items() if not (_libs() / name).exists()]
    if _headers() is None:
        packages.append("linux-headers-amd64")
    if not packages:
        return ""
    names = " ".join(dict.fromkeys(packages))
    return f"the virtual machine needs `sudo apt install --no-install-recommends {names}`"


def make() -> Machine:
    """Return the machine, made anew where the cache has none of these versions.

    Raises:
        MachineError: a program is missing, or a package cannot be fetched or compiled.
    """
    if line := missing():
        raise MachineError(line)
    headers = _headers()
    assert headers is not None
    release = headers.name.removeprefix("linux-headers-")
    folder = cache_folder() / "vm" / release
    if not (folder / "modules").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that a broken attempt is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as work:
            _fetch(Path(work), release, headers)
            shutil.rmtree(folder, ignore_errors=True)
            (Path(work) / "done").rename(folder)
    loopback = (folder / "v4l2loopback").read_text("utf-8").strip()
    initrd = folder / "initrd.gz"
    _pack(folder, initrd)
    return Machine(folder / "vmlinuz", initrd, release, loopback)


def run(machine: Machine, arguments: Sequence[str], out: Path, *, limit_s: float) -> str:
    """Boot, run `python ARGUMENTS` inside, and return what the guest's console showed.

    Args:
        machine: what to boot.
        arguments: of Python; the working folder is the repository, and `/out` is `out`.
        out: an empty folder for results; what it holds already can be read by the guest.
        limit_s: the guest is ended after so many seconds of real time.

    Raises:
        MachineError: it did not boot, ran into its limit, or the program failed; says where the
            console's text is.
    """
    script = out / "run.sh"
    words = " ".join(shlex.quote(str(word)) for word in (sys.executable, *arguments))
    script.write_text(
        f"cd {shlex.quote(str(ROOT))}\nexport HOME=/tmp PYTHONDONTWRITEBYTECODE=1\n{words}\n",
        "utf-8",
    )
    console = out / "console.txt"
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-icount", "shift=0", "-cpu", "max", "-smp", "1",
        "-m", str(MEMORY_MB), "-nodefaults", "-display", "none", "-no-reboot",
        "-serial", f"file:{console}", "-kernel", str(machine.kernel),
        "-initrd", str(machine.initrd),
        "-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on",
    ]  # fmt: skip
    for tag, folder in _shares().items():
        command += _share(tag, folder, writable=False)
    command += _share("out", out, writable=True)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise MachineError(f"the guest did not finish in {limit_s:.0f} s; see {console}") from None
    text = console.read_text("utf-8", "replace") if console.exists() else ""
    status = out / "status"
    if done.returncode or not status.exists():
        lines = (done.stderr or text or "it said nothing").strip().splitlines()
        raise MachineError(f"the guest did not boot: {lines[-1]}; see {console}")
    if status.read_text("utf-8").strip() != "0":
        lines = [line for line in text.strip().splitlines() if line.strip()]
        raise MachineError(f"the guest's program failed: {lines[-1]}; see {console}")
    return text


# Its parts ---------------------------------------------------------------------------------------


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _libs() -> Path:
    """Return the folder of the C library and all others."""
    return Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu")


def _headers() -> Path | None:
    """Return the newest installed headers of a Debian kernel."""
    found = Path("/usr/src").glob("linux-headers-*-amd64")
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _fetch(work: Path, release: str, headers: Path) -> None:
    """Fill `work/done` with kernel and modules, without installing anything."""
    packages = (f"linux-image-{release}", "v4l2loopback-dkms")
    _call(
        ["apt-get", "download", "-q", *packages], work,
        "`sudo apt update`, and `sudo apt install linux-headers-amd64` for headers of the "
        "kernel that there is now",
    )  # fmt: skip
    tree = work / "tree"
    for package in work.glob("*.deb"):
        _call(["dpkg", "-x", str(package), str(tree)], work, "make room on the disk")
    source = next((tree / "usr" / "src").glob("v4l2loopback-*"))
    remedy = "`sudo apt install build-essential linux-headers-amd64`"
    _call(["make", "-C", str(headers), f"M={source}", "modules"], work, remedy)
    modules = tree / "lib" / "modules" / release
    (modules / "extra").mkdir()
    shutil.copy(source / "v4l2loopback.ko", modules / "extra")
    _call([_program("depmod") or "depmod", "-b", str(tree), release], work, remedy)
    done = work / "done"
    (done / "modules").mkdir(parents=True)
    order: list[str] = []
    for name in (*MODULES, "v4l2loopback"):
        listed = _call(
            [_program("modprobe") or "", "-d", str(tree), "-S", release, "--show-depends", name],
            work, remedy,
        )  # fmt: skip
        for line in listed.splitlines():
            path = Path(line.split()[1])
            if line.startswith("insmod") and path.name not in order:
                order.append(path.name)
                shutil.copy(path, done / "modules")
    (done / "order").write_text("\n".join(order), "utf-8")
    (done / "v4l2loopback").write_text(source.name.removeprefix("v4l2loopback-"), "utf-8")
    shutil.copy(tree / "boot" / f"vmlinuz-{release}", done / "vmlinuz")


def _call(command: Sequence[str], folder: Path, remedy: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise MachineError(f"{Path(command[0]).name} failed ({lines[-1]}); {remedy}")
    return done.stdout


_LATER = ("v4l2loopback.ko", "snd-aloop.ko", "vivid.ko")
"""Loaded by the guest's program, with the options that it tries."""

_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs -o size=1200m shm /dev/shm
mount -t tmpfs tmp /tmp
for name in {modules}; do insmod /modules/$name; done
{mounts}
sh /out/run.sh
echo $? >/out/status
sync
reboot -f
"""


def _pack(folder: Path, initrd: Path) -> None:
    """Write the guest's first and only file system."""
    with tempfile.TemporaryDirectory(prefix="bunraku-vm-") as name:
        root = Path(name)
        for place in ("bin", "dev", "proc", "sys", "tmp", "out", "etc", "lib64", "usr/bin"):
            (root / place).mkdir(parents=True, exist_ok=True)
        (root / "lib").symlink_to("usr/lib")
        loader = "ld-linux-x86-64.so.2"
        (root / "lib64" / loader).symlink_to(_libs() / loader)
        shutil.copy(_program("busybox") or "", root / "bin" / "busybox")
        for program in GUEST_PROGRAMS:
            shutil.copy(Path(_program(program) or "").resolve(), root / "usr" / "bin" / program)
        (root / "sbin").mkdir()
        shutil.copy(_program("ldconfig") or "", root / "sbin")  # how Python finds a library
        shutil.copytree(folder / "modules", root / "modules")
        shutil.copytree("/usr/share/alsa", root / "usr/share/alsa", symlinks=True)
        shutil.copy("/etc/ld.so.cache", root / "etc")
        if Path("/etc/alternatives").is_dir():  # libraries chosen by links: only the links
            shutil.copytree("/etc/alternatives", root / "etc/alternatives", symlinks=True)
        mounts = []
        for tag, share in _shares().items():
            (root / str(share).lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts.append(_mount(tag, share, "ro,cache=loose"))
        mounts.append(_mount("out", Path("/out"), "rw"))
        _put_python(root)
        order = (folder / "order").read_text("utf-8").split()
        first = " ".join(module for module in order if module not in _LATER)
        init = root / "init"
        init.write_text(_INIT.format(modules=first, mounts="\n".join(mounts)), "utf-8")
        init.chmod(0o755)
        names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            ["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
            cwd=root, input=names.encode(), capture_output=True, check=True,
        )  # fmt: skip
        initrd.write_bytes(gzip.compress(packed.stdout, 1))


def _put_python(root: Path) -> None:
    """Make the interpreter found under its own name in the guest, where no share has it."""
    shares = list(_shares().values())
    path = Path(sys.executable)
    while True:  # an environment's python is a link, maybe to another link
        if not any(path.is_relative_to(share) for share in shares):
            there = root / str(path).lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(sys.executable).resolve(), there)
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _shares() -> dict[str, Path]:
    """Return tag -> folder of what the guest sees of this machine."""
    packages = [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    wanted = [_libs(), stdlib, Path(sys.prefix), ROOT, *packages]
    shares: list[Path] = []
    for folder in dict.fromkeys(wanted):
        if not any(folder.is_relative_to(other) for other in wanted if other != folder):
            shares.append(folder)
    return {f"share{n}": folder for n, folder in enumerate(shares)}


def _share(tag: str, folder: Path, *, writable: bool) -> list[str]:
    only = "" if writable else ",readonly=on"
    escaped = os.fspath(folder).replace(",", ",,")
    text = f"local,path={escaped},mount_tag={tag},security_model=none,multidevs=remap{only}"
    return ["-virtfs", text]


def _mount(tag: str, folder: Path, options: str) -> str:
    common = f"trans=virtio,version=9p2000.L,msize=524288,{options}"
    return f"mount -t 9p -o {common} {tag} {shlex.quote(str(folder))}"
