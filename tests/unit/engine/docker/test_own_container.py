"""What container engines leave to be seen: texts made after Docker's here, and after reports."""

from pathlib import Path

import pytest

from service.engine.docker.own_container import OwnContainer, find_own_container

ID, OTHER = "1b8f3c3819fb" + "a7" * 26, "66826257e096" + "f3" * 26
_OVERLAY = "473 387 0:143 / / rw,relatime master:181 - overlay overlay rw,lowerdir=/x/l/HOY5TBZ"
_PROC = "474 473 0:146 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw"

_DOCKER = """\
495 478 8:1 /var/lib/docker/containers/{0}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/a rw
496 478 8:1 /var/lib/docker/containers/{0}/hostname /etc/hostname rw,relatime - ext4 /dev/a rw
497 478 8:1 /var/lib/docker/containers/{0}/hosts /etc/hosts rw,relatime - ext4 /dev/a rw
"""
_DESKTOP = """\
505 496 254:1 /docker/containers/{0}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
506 496 254:1 /docker/containers/{0}/hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
"""
_ON_A_MOUNT_OF_ITS_OWN = """\
495 478 253:3 /{0}/resolv.conf /etc/resolv.conf rw,relatime - xfs /dev/mapper/containers rw
496 478 253:3 /{0}/hostname /etc/hostname rw,relatime - xfs /dev/mapper/containers rw
"""
_BTRFS = """\
640 625 0:29 /@/var/lib/docker/containers/{0}/hosts /etc/hosts rw,lazytime - btrfs /dev/sda2 rw
"""
_PODMAN = """\
502 499 0:2 /containers/storage/overlay-containers/{0}/userdata/hosts /etc/hosts rw - tmpfs t rw
503 499 0:2 /containers/storage/overlay-containers/{0}/userdata/hostname /etc/hostname rw - tmpfs t
"""
_PODMAN_ROOTLESS = """\
495 499 0:54 /containers/overlay-containers/{0}/userdata/.containerenv /run/.containerenv rw - tmpfs
496 499 0:54 /containers/overlay-containers/{0}/userdata/run/secrets /run/secrets rw - tmpfs t rw
"""
_NERDCTL = """\
601 590 8:1 /var/lib/nerdctl/1935db59/etchosts/default/{0}/hosts /etc/hosts rw - ext4 /dev/sda1 rw
"""
_DELETED = """\
496 478 8:1 /var/lib/docker/containers/{0}/hosts//deleted /etc/hosts rw,relatime - ext4 /dev/a rw
"""
_KUBERNETES = """\
1187 1168 8:1 /var/lib/kubelet/pods/2e9b1c/etc-hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
"""
# A host sees the mounts of its containers, and a container those of volumes without a name.
_OTHERS = """\
800 29 0:54 / /var/lib/docker/containers/{0}/mounts/shm rw,nosuid - tmpfs shm rw,size=65536k
801 29 8:1 /var/lib/docker/volumes/{0}/_data /data rw,relatime master:1 - ext4 /dev/sda1 rw
802 29 8:1 /var/lib/docker/volumes/{0}/_data/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
"""
_GVISOR = """\
1 0 0:19 / / rw - 9p none rw,trans=fd,cache=remote_revalidating
4 1 0:23 / /etc/hostname rw - 9p none rw,trans=fd
"""


def _seen(
    root: Path,
    mounts: str = "",
    *,
    groups: str = "0::/\n",
    hostname: str = "h",
    mark: str = "",
    processes: tuple[int, int] = (7, 1),
) -> OwnContainer:
    proc = root / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "mountinfo").write_text(f"{_OVERLAY}\n{_PROC}\n{mounts.format(ID)}")
    (proc / "cgroup").write_text(groups.format(ID))
    if mark:
        (root / mark).parent.mkdir(exist_ok=True)
        (root / mark).touch()
    return find_own_container(root, hostname, processes)


@pytest.mark.parametrize(
    "mounts",
    [
        _DOCKER,
        _DESKTOP,
        _ON_A_MOUNT_OF_ITS_OWN,
        _BTRFS,
        _PODMAN,
        _PODMAN_ROOTLESS,
        _NERDCTL,
        _DELETED,
    ],
)
def test_the_mounts_tell_the_container(tmp_path: Path, mounts: str) -> None:
    here = _seen(tmp_path, mounts, mark=".dockerenv")
    assert here.may_be(ID)
    assert not here.may_be(OTHER)
    assert not here.unclear


@pytest.mark.parametrize(
    "groups",
    [
        "12:pids:/docker/{0}\n0::/system.slice/containerd.service\n",
        "0::/system.slice/docker-{0}.scope\n",
        "1:name=systemd:/machine.slice/libpod-{0}.scope/init.scope\n",
        "0::/docker/" + OTHER + "/docker/{0}\n",  # one in another
    ],
)
def test_the_control_group_tells_the_container(tmp_path: Path, groups: str) -> None:
    here = _seen(tmp_path, groups=groups, mark="run/.containerenv")
    assert here.may_be(ID)
    assert not here.may_be(OTHER)


def test_the_hosts_name_tells_the_container_where_nothing_else_does(tmp_path: Path) -> None:
    here = _seen(tmp_path, _GVISOR, hostname=ID[:12], mark=".dockerenv")
    assert here.may_be(ID)
    assert not here.may_be(OTHER)


def test_a_container_with_the_network_of_another_has_its_files(tmp_path: Path) -> None:
    here = _seen(tmp_path, _DOCKER, hostname=ID[:12], mark=".dockerenv")
    assert here.may_be(OTHER, ID)
    assert not here.may_be(OTHER, OTHER)


@pytest.mark.parametrize("mounts", ["", _GVISOR, _OTHERS, _KUBERNETES])
def test_where_nothing_tells_it_is_unclear(tmp_path: Path, mounts: str) -> None:
    here = _seen(tmp_path, mounts, hostname="a-name", mark=".dockerenv")
    assert not here.may_be(ID)
    assert here.unclear


@pytest.mark.parametrize("mounts", ["", _OTHERS])
def test_outside_of_containers_nothing_is_unclear(tmp_path: Path, mounts: str) -> None:
    here = _seen(tmp_path, mounts)
    assert not here.may_be(ID)
    assert not here.unclear


def test_a_machine_that_was_made_of_an_image_is_no_container(tmp_path: Path) -> None:
    assert not _seen(tmp_path, mark=".dockerenv", processes=(700, 600)).unclear


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    assert OwnContainer(frozenset(), "h", contained=False) == find_own_container(tmp_path, "h")
