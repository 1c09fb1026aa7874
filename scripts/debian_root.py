"""A release of Debian in a folder, for the Engines that the release of this machine does not have.

Nothing is mounted where others see it. What the folder needs to be the root of a process is mounted
in a mount namespace of its own, a `Room`, which the kernel removes with the last process in it. So
`rm -rf` of the folder is harmless at any time.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.images import debian_base
from scripts import apt
from scripts.progress import PrerequisiteError, step, tail

_CHECKOUT = Path(__file__).resolve().parent.parent
_CACHE = _CHECKOUT / ".cache"
# What an Engine shares with the tests: its own folder and what is mounted into its containers.
_FOLDERS = (Path("/tmp"), Path("/run"), _CHECKOUT)  # noqa: S108 - shared, not written to
# How this machine reaches its package registries, and whom it trusts for that.
_SETTINGS = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/npmrc", "/usr/etc/npmrc")
_OF_THE_USER = (".config/pip/pip.conf", ".pip/pip.conf", ".npmrc")
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

# Its arguments are the root and what is mounted in it at its own path. The root has to be a mount
# itself, or Docker cannot import images, and that of the namespace: the kernel lets no process in
# a chroot make a user namespace (clone(2), EPERM), which `userns-remap` needs.
# It ends with its input: when its owner closes it, or dies.
_PREPARE = """\
root=$1; shift
mount --bind "$root" "$root"
for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
for path in "$@"; do
    if [ -d "$path" ]; then
        mkdir -p "$root$path"
    else
        mkdir -p "$(dirname "$root$path")"
        [ -e "$root$path" ] || { rm -f "$root$path"; touch "$root$path"; }
    fi
    mount --bind "$path" "$root$path"
done
cd "$root"
pivot_root . mnt
umount -l mnt
echo ready
exec cat >/dev/null
"""


def folder(release: str, packages: Sequence[str]) -> Path:
    """The folder of a release with these packages, made once and kept. Needs root.

    Raises `PrerequisiteError` where it cannot be made.
    """
    recipe = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    root = _CACHE / f"debian-{release}-{platform.machine()}-{recipe}"
    with _alone():
        if not root.exists():
            apt.ensure("mmdebstrap", "mmdebstrap")
            with step(f"Making a root of Debian {release} in .cache (about a minute)"):
                _build(release, packages, root)
    return root


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time."""
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(release: str, packages: Sequence[str], root: Path) -> None:
    """Builds beside the final place, so that an interrupted run leaves no half of a root."""
    half = root.with_name(f"{root.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    command += [f"--aptopt={setting}" for setting in debian_base.apt_settings()]
    command += [f"--include={','.join(packages)}"]
    result = debian_base.run(*command, release, str(half), _mirror())
    if result.returncode != 0:
        raise PrerequisiteError(f"mmdebstrap failed:\n{tail(result.stderr)}")
    half.rename(root)


def _mirror() -> str:
    """Where this machine gets its own release from: a mirror has the others, too."""
    own = debian_base.own_release()
    targets = debian_base.run("apt-get", "indextargets", "--format", "$(RELEASE)|$(REPO_URI)")
    for release, _, address in (line.partition("|") for line in targets.stdout.splitlines()):
        if release == own:
            return address
    raise PrerequisiteError(f"apt has no source for {own}, this machine's own release.")


class Room:
    """A folder of a release as the root of processes, in a mount namespace; `close()` leaves it."""

    def __init__(self, root: Path) -> None:
        """Mounts what the root needs, at the same paths as outside."""
        paths = [str(path) for path in _shared()]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", _PREPARE, "sh", str(root), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for its owner, which may need it for a while
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise PrerequisiteError(f"{root} cannot be made the root of a process")

    def command(self, *words: str) -> list[str]:
        """A command as it runs in there: in a process of this machine, with no other around it."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--root", "--wd", *words]

    def close(self) -> None:
        """Leaves it to the processes in it. May be repeated."""
        self._holder.communicate()


def _shared() -> list[Path]:
    """What there is of the folders and files that both sides see."""
    paths = [*_FOLDERS, Path(tempfile.gettempdir()), *map(Path, _SETTINGS)]
    paths += [Path.home() / name for name in _OF_THE_USER]
    paths += [Path(os.environ[name]) for name in _BUNDLES if os.environ.get(name)]
    return [path for path in dict.fromkeys(paths) if path.exists()]


def main() -> int:
    """Runs a command in a root of a release: `RELEASE PACKAGE,… COMMAND …` are the arguments."""
    release, packages, *command = sys.argv[1:]
    try:
        with contextlib.closing(Room(folder(release, packages.split(",")))) as room:
            return subprocess.run(room.command(*command), check=False).returncode
    except PrerequisiteError as error:
        print(f"debian_root: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
