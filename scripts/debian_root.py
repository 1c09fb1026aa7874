"""A release of Debian in a folder, for Engines that the release of this machine does not have.

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
# Folders that an Engine shares with the tests: its own, and those mounted into its containers.
_FOLDERS = (Path("/tmp"), Path("/run"), _CHECKOUT)  # noqa: S108 - shared, not written to
# This machine's settings for its package registries: proxies and certificates.
_SETTINGS = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/npmrc", "/usr/etc/npmrc")
_OF_THE_USER = (".config/pip/pip.conf", ".pip/pip.conf", ".npmrc")
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

# The arguments are the root, and the paths to mount in it. The root has to be a mount point
# (otherwise Docker cannot import images) and the root of the mount namespace: in a chroot, the
# kernel refuses to make user namespaces (clone(2), EPERM), which `userns-remap` needs.
# It ends when its input is closed: by its owner, or when its owner dies.
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
    """Lets one process at a time run the block."""
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(release: str, packages: Sequence[str], root: Path) -> None:
    """Builds in another place first, so that an interrupted run leaves no partial root."""
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
    """The mirror of this machine, which also has other releases."""
    own = debian_base.own_release()
    targets = debian_base.run("apt-get", "indextargets", "--format", "$(RELEASE)|$(REPO_URI)")
    for release, _, address in (line.partition("|") for line in targets.stdout.splitlines()):
        if release == own:
            return address
    raise PrerequisiteError(f"apt has no source for {own}, this machine's own release.")


class Room:
    """A folder of a release as the root of processes, in a mount namespace; `close()` leaves it."""

    def __init__(self, root: Path) -> None:
        """Mounts the shared folders in the root, at the same paths as outside."""
        paths = [str(path) for path in _shared()]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", _PREPARE, "sh", str(root), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for its owner, which still needs it to clean up
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise PrerequisiteError(f"{root} cannot be made the root of a process")

    def command(self, *words: str) -> list[str]:
        """The command line that runs a command in the root, as a process of this machine."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--root", "--wd", *words]

    def close(self) -> None:
        """Leaves the root. It exists as long as processes use it. May be repeated."""
        self._holder.communicate()


def _shared() -> list[Path]:
    """The existing folders and files that both sides share."""
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
