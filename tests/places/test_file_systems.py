"""Where a directory may lie, and what is promised there: network, overlay, FUSE, RAM, read-only.

What a file system is, `statfs` says. The answer is injected where no such file system can be made
on a test machine, and real where one can: an overlay, tmpfs, a read-only ext4, and a FUSE file
system served by this process. There is no NFS here: a kernel without it cannot mount one.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

import streamlog
from streamlog.broker.engine import Engine
from streamlog.errors import InputOutputError, UnsupportedFeatureError
from streamlog.storage import file_systems, statfs, system
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from tests.broker.conftest import append as append_batch
from tests.broker.conftest import read
from tests.broker.test_read_only import fingerprint
from tests.machine.disks import EXT4, loop_disk, mounted
from tests.machine.fuse import fuse_mount
from tests.multiprocess.nursery import Nursery
from tests.places.conftest import append, values

MAGIC = {
    "nfs": 0x6969,
    "cifs": 0xFF534D42,
    "smb2": 0xFE534D42,
    "9p": 0x01021997,
    "ceph": 0x00C36400,
    "afs": 0x5346414F,
    "lustre": 0x0BD00BD0,
    "gfs2": 0x01161970,
    "ocfs2": 0x7461636F,
}
MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home/me/a\040b rw - fuse.sshfs host:/x rw,user_id=0
31 22 0:41 / /mnt/plain rw - fuse /dev/fuse rw
32 22 0:42 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
33 22 0:43 / /mnt/vm rw - virtiofs share rw
34 22 0:44 / /mnt/over rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
35 22 0:45 / /mnt/fast rw - overlay overlay rw,lowerdir=/l,upperdir=/u,volatile
38 22 0:48 / /mnt/faster rw - overlay overlay rw,lowerdir=/l,fsync=volatile,upperdir=/u
36 22 0:46 / /mnt/plain/covered rw - fuse.sshfs host:/x rw
37 22 0:47 / /mnt/plain/covered rw - fuse.bindfs /b rw
"""


class Elsewhere(Filesystem):
    """The machine's files, on a file system of another kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def kind(self, path: str) -> str:
        return self._kind


# -------------------------------------------------------------------- what it is


def test_both_kernels_ask_the_system_the_same() -> None:
    for path in ("/", "/proc", "/dev/pts", os.getcwd()):
        assert system.file_system_magic(path) == statfs.file_system_magic(path)
    for ask in (system.file_system_magic, statfs.file_system_magic):
        with pytest.raises(FileNotFoundError):
            ask("/not there")


@pytest.mark.parametrize("name", MAGIC)
def test_a_network_is_known_by_its_number(
    name: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made there, not even the directory; what is there already may be read."""
    genuine = system.file_system_magic
    monkeypatch.setattr(system, "file_system_magic", lambda _: MAGIC[name])
    with pytest.raises(UnsupportedFeatureError, match=rf"network file system \({name}\)") as caught:
        streamlog.open(directory)
    assert caught.value.feature == name
    assert not os.path.exists(directory)
    monkeypatch.setattr(system, "file_system_magic", genuine)
    make(Path(directory), "first")
    monkeypatch.setattr(system, "file_system_magic", lambda _: MAGIC[name])
    before = fingerprint(directory)
    with streamlog.open(directory, read_only=True) as log:
        assert values(log) == ["first"]
    assert fingerprint(directory) == before


@pytest.mark.parametrize(
    ("path", "number", "kind"),
    [
        ("/home/me/a b/log", file_systems.FUSE, "fuse.sshfs"),
        ("/mnt/plain/log", file_systems.FUSE, "fuse"),
        ("/mnt/ntfs", file_systems.FUSE, "fuse"),
        ("/mnt/vm/log", file_systems.FUSE, "fuse.virtiofs"),
        ("/mnt/plain/covered/log", file_systems.FUSE, "fuse.bindfs"),
        ("/mnt/over/log", file_systems.OVERLAY, "overlay"),
        ("/mnt/fast/log", file_systems.OVERLAY, "overlay.volatile"),
        ("/mnt/faster/log", file_systems.OVERLAY, "overlay.volatile"),
    ],
)
def test_where_the_number_says_too_little_the_mounts_are_asked(
    path: str, number: str, kind: str
) -> None:
    assert file_systems.refine(number, MOUNTS, path) == kind


def test_what_is_promised_on_each_kind() -> None:
    for kind in ("nfs", "fuse.sshfs", "vboxsf"):
        assert file_systems.is_network(kind)
    for kind in ("ext4", "xfs", "btrfs", "overlay", "fuse", "fuse.bindfs", "tmpfs", "0x1234"):
        assert not file_systems.is_network(kind)
    for kind in ("overlay", "overlay.volatile", "fuse", "fuse.virtiofs", "nfs"):
        assert not file_systems.is_mappable(kind)
    assert file_systems.is_mappable("ext4")
    assert file_systems.is_mappable("tmpfs")
    assert "overlay.volatile" in file_systems.VOLATILE_KINDS


@pytest.mark.parametrize(
    ("kind", "level"), [("tmpfs", "written"), ("overlay.volatile", "written"), ("ext4", "synced")]
)
def test_a_send_says_how_far_it_got(kind: str, level: str, directory: str) -> None:
    engine = Engine.open(directory, filesystem=Elsewhere(kind))
    engine.create_topic("flights")
    append_batch(engine.partition("flights", 0), b"first", acks=-1)
    assert engine.durability(-1) == level
    engine.close()


def test_on_fuse_a_warning_is_logged(directory: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine.open(directory, filesystem=Elsewhere("fuse.bindfs"))
    engine.create_topic("flights")
    append_batch(engine.partition("flights", 0), b"first")
    assert read(engine.partition("flights", 0)) == [(0, b"first")]
    engine.close()
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert "FUSE" in said.getMessage()


# -------------------------------------------------------------------- real ones


def make(path: Path, value: str) -> None:
    with streamlog.open(path) as log:
        log.create_topic("flights")
        append(log, value)


def several_processes_write(nursery: Nursery, path: Path, kind: str) -> None:
    """Two processes append and read, one is killed, the directory is opened again."""
    place = str(path / "log")
    with streamlog.open(place) as log:
        assert log.admin.describe().file_system == kind
        log.create_topic("flights", internal_segment_bytes=4096)
        child = nursery.start("stay_open", path=place)
        assert child.answer() == "open"
        append(log, "mine", "synced", acks="all")
        child.go_on()
        assert child.answer() == ["mine", "synced", "child's"]
        assert child.answer() == "closed"
        assert child.wait() == 0
        assert values(log) == ["mine", "synced", "child's"]
        append(log, *["x" * 1000] * 20)
        assert len(values(log)) == 23
    killed = nursery.start("stay_open", path=place)
    assert killed.answer() == "open"
    killed.wait_until_stopped()
    killed.kill()
    with streamlog.open(place) as log:
        assert len(values(log)) == 23
        assert log.verify() == []


@pytest.mark.system
@pytest.mark.parametrize("options", ["", ",volatile"])
def test_on_an_overlay(nursery: Nursery, tmp_path: Path, options: str) -> None:
    """As in a container: a directory of the image below is continued in the layer above."""
    folders = [tmp_path / name for name in ("lower", "upper", "work")]
    for folder in folders:
        folder.mkdir()
    make(folders[0] / "image", "in the image")
    image = fingerprint(str(folders[0]))
    lower, upper, work = folders
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}{options}"
    kind = "overlay.volatile" if options else "overlay"
    with mounted(tmp_path / "merged", "-t", "overlay", "-o", layers, "overlay") as merged:
        assert OS_FILESYSTEM.kind(str(merged)) == kind
        with streamlog.open(merged / "image", read_only=True) as reader:
            assert values(reader) == ["in the image"]
            with streamlog.open(merged / "image") as log:
                append(log, "on top", acks="all")
                assert values(log) == ["in the image", "on top"]
            assert values(reader) == ["in the image", "on top"]
        several_processes_write(nursery, merged, kind)
    assert fingerprint(str(lower)) == image


@pytest.mark.system
def test_on_fuse(nursery: Nursery, tmp_path: Path) -> None:
    with fuse_mount(tmp_path / "folder", tmp_path / "mirror") as mirror:
        several_processes_write(nursery, mirror, "fuse.mirror")
        seen = fingerprint(str(mirror))
    assert fingerprint(str(tmp_path / "folder")) == seen


@pytest.mark.system
def test_on_a_network_behind_fuse(tmp_path: Path) -> None:
    with fuse_mount(tmp_path / "folder", tmp_path / "remote", "sshfs") as remote:
        with pytest.raises(UnsupportedFeatureError, match=r"network file system \(fuse\.sshfs\)"):
            streamlog.open(remote / "log")
        assert os.listdir(remote) == []
        make(tmp_path / "folder" / "log", "first")
        with streamlog.open(remote / "log", read_only=True) as log:
            assert values(log) == ["first"]


@pytest.mark.system
def test_on_tmpfs(nursery: Nursery, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16m", "tmpfs") as disk:
        several_processes_write(nursery, disk, "tmpfs")
        with streamlog.open(disk / "log") as log:
            written = log.producer().send("flights", b"x").result()
            assert written.durability == "written"


@pytest.mark.system
def test_on_read_only_media(nursery: Nursery) -> None:
    """A clean directory, and one that a killed process left: both are read, neither is changed."""
    with loop_disk(EXT4) as disk:
        place, killed = disk.path / "log", disk.path / "killed"
        make(place, "first")
        child = nursery.start("write_and_be_killed", path=str(killed), count=3)
        assert child.answer() == "written"
        child.kill()
        disk.unmount()
        disk.mount(",ro")
        for path, expected in ((place, ["first"]), (killed, ["0", "1", "2"])):
            with pytest.raises(InputOutputError, match=r"Read-only file system.*read_only=True"):
                streamlog.open(path)
            with streamlog.open(path, read_only=True) as log:
                assert values(log) == expected
                assert log.verify() is not None
        with pytest.raises(InputOutputError, match="Read-only"):
            streamlog.open(disk.path / "new")
