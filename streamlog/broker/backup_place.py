"""Where a backup goes: made beside its place, put there by one exchange of names, never half.

    <destination>.new   the backup that is being made; afterwards, until it is removed, the former
    <destination>.old   the former one, for the moment between two renames, where the file system
                        does not exchange names

Whoever makes a backup holds the lock of each of these directories that there is, as somebody who
recovers it would: nobody opens what is being made, or what is about to go, and what a dead process
left is taken by the next. A `.new` is never believed; an `.old` without a destination is put back.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from streamlog.broker.backup_manifest import Manifest, read_manifest
from streamlog.broker.directory import list_directory, make_directories
from streamlog.broker.directory_lock import refuse_broker
from streamlog.errors import (
    BackupDestinationError,
    CorruptDirectoryError,
    DirectoryInUseError,
    InputOutputError,
)
from streamlog.storage import names
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.folder import directory_mode

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.properties import MetaProperties

_NEW = ".new"
_OLD = ".old"
_LOCKED_BYTES = 2  # openers, and those who only read


class Former(msgspec.Struct, frozen=True):
    """The backup that is there already.

    `is_untouched`: nobody opened it for writing, so that its files are what the manifest says.
    """

    path: str
    manifest: Manifest
    is_untouched: bool


class BackupPlace:
    """A destination that was looked at and is held. Made by `hold_place`.

    `building` is the empty directory to fill; `put_in_place` makes it the backup.
    """

    def __init__(
        self, filesystem: Filesystem, path: str, building: str, former: Former | None
    ) -> None:
        self._filesystem = filesystem
        self.path = path
        self.building = building
        self.former = former
        self.is_in_place = False

    def put_in_place(self) -> None:
        """Give the new backup, all of it synced, its name; then the former one goes.

        It is in place when this returns. The former one is whole until that is on the disk.
        """
        filesystem, parent = self._filesystem, os.path.dirname(self.path)
        replaced: str | None = self.building
        if self.former is None:
            filesystem.rename(self.building, self.path)  # an empty directory gives way
            replaced = None
        elif not filesystem.exchange(self.building, self.path):
            replaced = self._rename_twice()
        self.is_in_place = True
        try:
            filesystem.sync_directory(parent)
        except OSError as error:
            # Either may be what a power cut leaves of that name: both stay what they are.
            raise InputOutputError(
                f"the new backup is at {self.path}, but a power cut may undo that: {error}; make "
                "another one",
                path=self.path,
                errno=error.errno,
                outcome="unknown",
            ) from error
        if replaced is not None:
            try:
                remove_tree(filesystem, replaced)
            except OSError as error:  # the next backup removes it
                logging.getLogger("streamlog").warning("%s is left over: %s", replaced, error)

    def _rename_twice(self) -> str:
        """What an exchange of names does, with an instant without a backup; the former's name."""
        replaced = self.path + _OLD
        self._filesystem.rename(self.path, replaced)
        try:
            self._filesystem.rename(self.building, self.path)
        except OSError:
            self._filesystem.rename(replaced, self.path)
            raise
        return replaced

    def give_up(self) -> None:
        """Remove what was begun: a full disk has use for its room."""
        try:
            remove_tree(self._filesystem, self.building)
        except OSError as error:  # the next backup removes it
            logging.getLogger("streamlog").warning("%s is left over: %s", self.building, error)


@contextmanager
def hold_place(
    filesystem: Filesystem, destination: str, source: str, meta: MetaProperties, mode: int
) -> Iterator[BackupPlace]:
    """Look at a destination, and keep everybody else from it.

    Raises `BackupDestinationError` where a backup of the log `source` with the identity `meta`
    cannot go, `DirectoryInUseError` when somebody has it open or makes a backup there, `OSError`.
    Nothing is changed then.
    """
    path = os.path.realpath(destination)
    _check_apart(path, source)
    with ExitStack() as locks:
        parent = os.path.dirname(path)
        if not filesystem.exists(parent):
            make_directories(filesystem, parent, directory_mode(mode))
            filesystem.sync_directory(os.path.dirname(parent))
        _mend(filesystem, path)
        former = None
        if filesystem.exists(path):
            _check_directory(filesystem, path)
            former = _find_former(filesystem, path, meta, locks)
        building = path + _NEW
        if not filesystem.is_directory(building):
            filesystem.mkdir(building, directory_mode(mode))
        _lock(filesystem, building, mode, locks)
        _clear(filesystem, building, keep=names.LOCK)
        place = BackupPlace(filesystem, path, building, former)
        try:
            yield place
        except BaseException:
            if not place.is_in_place:
                place.give_up()
            raise


def remove_tree(filesystem: Filesystem, path: str) -> None:
    """Remove a directory; symbolic links in it are not followed. Its lock's file goes last."""
    _clear(filesystem, path, keep=names.LOCK)
    if filesystem.exists(f"{path}/{names.LOCK}"):
        filesystem.unlink(f"{path}/{names.LOCK}")
    filesystem.rmdir(path)


def _clear(filesystem: Filesystem, path: str, *, keep: str = "") -> None:
    for name in filesystem.listdir(path):
        entry = f"{path}/{name}"
        if name == keep:
            continue
        if filesystem.is_directory(entry):
            _clear(filesystem, entry)
            filesystem.rmdir(entry)
        else:
            filesystem.unlink(entry)


# -------------------------------------------------------------------- what is there


def _check_apart(path: str, source: str) -> None:
    if path == source:
        raise _refusal(path, "is the log itself")
    if f"{path}/".startswith(f"{source}/"):
        raise _refusal(path, f"lies inside the log {source}")
    if f"{source}/".startswith(f"{path}/"):
        raise _refusal(path, f"holds the log {source}")


def _check_directory(filesystem: Filesystem, path: str) -> None:
    if not filesystem.is_directory(path):
        raise _refusal(path, "is not a directory")
    parent = os.path.dirname(path)
    if filesystem.identity(path).device != filesystem.identity(parent).device:
        raise _refusal(path, "is where a file system is mounted, and no name in one")


def _find_former(
    filesystem: Filesystem, path: str, meta: MetaProperties, locks: ExitStack
) -> Former | None:
    """The backup of this log at `path`, held; None where the directory is empty."""
    if not filesystem.listdir(path):
        return None
    try:
        manifest = read_manifest(filesystem, path)
    except CorruptDirectoryError as error:
        raise _refusal(path, f"is a backup that cannot be told from others ({error})") from error
    if manifest is None:
        found = ", ".join(filesystem.listdir(path)[:3])
        raise _refusal(path, f"is neither empty nor a backup: it has {found}")
    if (manifest.cluster_id, manifest.directory_id) != (meta.cluster_id, meta.directory_id):
        raise _refusal(path, "is a backup of another log")
    _lock(filesystem, path, 0o600, locks)
    listing = list_directory(filesystem, path)
    strange = (*listing.unknown, *listing.leftovers)
    if strange:
        raise _refusal(path, f"is a backup to which {', '.join(strange[:3])} was added")
    if not _ends_as_made(filesystem, path, manifest):
        raise _refusal(path, "is a backup that was opened and changed: it may hold its own records")
    is_untouched = names.STREAMLOG_LOCKS not in listing.files
    return Former(path, manifest, is_untouched)


def _ends_as_made(filesystem: Filesystem, path: str, manifest: Manifest) -> bool:
    """Whether every log in a backup ends where it did when the backup was made."""
    if not filesystem.exists(f"{path}/{names.CLEAN}"):
        return False
    try:
        ends = read_offset_checkpoint(filesystem, f"{path}/{names.RECOVERY_POINTS}")
    except CorruptDirectoryError:
        return False
    return ends == {(topic, partition): end for topic, partition, end in manifest.ends}


def _refusal(path: str, why: str) -> BackupDestinationError:
    return BackupDestinationError(
        f"no backup was made: {path} {why}; nothing was changed there, choose another place",
        path=path,
        errno=errno.EEXIST,
    )


# -------------------------------------------------------------------- whose it is


def _mend(filesystem: Filesystem, path: str) -> None:
    """Finish what a process left that died between two renames."""
    old = path + _OLD
    if not filesystem.is_directory(old):
        return
    with ExitStack() as locks:
        _lock(filesystem, old, 0o600, locks)
        if filesystem.exists(path):
            remove_tree(filesystem, old)
        else:
            filesystem.rename(old, path)
            filesystem.sync_directory(os.path.dirname(path))


def _lock(filesystem: Filesystem, path: str, mode: int, locks: ExitStack) -> None:
    """Hold the lock of a directory that nobody has open."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    descriptor = filesystem.open(f"{path}/{names.LOCK}", flags, mode)
    locks.callback(filesystem.close, descriptor)
    if filesystem.lock(descriptor, 0, _LOCKED_BYTES, exclusive=True):
        # Whoever held it before may have given the directory another name meanwhile.
        name = f"{path}/{names.LOCK}"
        if (
            filesystem.exists(name)
            and filesystem.identity(name).inode == filesystem.identity(descriptor).inode
        ):
            return
    else:
        refuse_broker(filesystem, path, descriptor, 0)
    raise DirectoryInUseError(
        f"{path} is open in another process, or a backup is being made there; no backup was made",
        path=path,
        pid=0,
        errno=errno.EAGAIN,
    )
