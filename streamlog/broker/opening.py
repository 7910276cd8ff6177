"""Opening a directory for writing: the lock, the shared files, and what they can be believed.

Who gets the lock alone says `recovering` in the shared header before anything else, and `live`
when everything is published. Whoever finds another state behind a shared lock starts again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Container
from typing import TYPE_CHECKING

import msgspec

from streamlog.broker.directory import Place, identify, read_or_make_identity, write_format
from streamlog.broker.directory_lock import DirectoryLock, ReaderLock, removed_by_hand
from streamlog.broker.parallel import THREADS
from streamlog.errors import DirectoryInUseError
from streamlog.storage import file_systems, names, shared
from streamlog.storage.format_number import FORMAT
from streamlog.storage.properties import MetaProperties, read_meta_properties
from streamlog.storage.slots import SharedState

if TYPE_CHECKING:
    from streamlog.clock import Clock
    from streamlog.storage.filesystem import Filesystem

_WORDS = struct.Struct("=16q")


class Opening(msgspec.Struct):
    """A directory whose lock is held and whose shared files are open.

    `alone`: this process recovers before anybody else gets in. `clean`: it was closed cleanly.
    `same_file`: the slots in the shared file are about this directory's files. `believed`:
    the slots are still true, since no machine crash and no stranger came between.
    """

    filesystem: Filesystem
    clock: Clock
    place: Place
    mode: int
    lock: DirectoryLock | ReaderLock
    meta: MetaProperties
    shared: SharedState
    shared_descriptor: int
    locks_descriptor: int
    alone: bool
    clean: bool
    same_file: bool
    believed: bool
    liveness: int = -1
    read_only: bool = False

    @property
    def sync_threads(self) -> int:
        """How many threads may sync at a time: one where there is no disk to wait for."""
        return THREADS if self.place.durable and self.filesystem.is_operating_system else 1

    def close_descriptors(self) -> None:
        """Let go of everything, by closing: the kernel frees the locks.

        The directory's lock goes first: who waits for the `closing` byte then finds it free.
        """
        locks, shared_file = self.locks_descriptor, self.shared_descriptor
        self.locks_descriptor = self.shared_descriptor = -1
        try:
            self.lock.close()
        finally:  # whatever is in the way of one, memory that is used up included
            try:
                if locks >= 0:
                    self.filesystem.close(locks)
            finally:
                if shared_file >= 0:
                    self.filesystem.close(shared_file)

    def go_live(self) -> None:
        """Let others in: everything is published."""
        assert isinstance(self.lock, DirectoryLock)
        self.shared.set_header_state(shared.STATE_LIVE)
        self.lock.share()


def open_directory(
    filesystem: Filesystem, clock: Clock, place: Place, *, mode: int, lock_timeout_ms: int
) -> Opening:
    """Take the directory's lock, alone or beside others, and open what is shared.

    Raises `DirectoryInUseError`, `LockTimeoutError`, and what `identify` raises.
    """
    identify(filesystem, place, read_only=False)
    if file_systems.is_fuse(place.kind):
        _warn_of_fuse(place)
    lock = DirectoryLock(filesystem, place.path, timeout_ms=lock_timeout_ms, clock=clock, mode=mode)
    files: list[int] = []
    try:
        alone = lock.acquire()
        identify(filesystem, place, read_only=False)  # as it is now that nobody changes it
        files.append(_open_own(filesystem, place.path, names.STREAMLOG_LOCKS, alone, mode))
        files.append(_open_own(filesystem, place.path, names.STREAMLOG_SHARED, alone, mode))
        if not alone:
            _check_company(filesystem, place.path, *files)
        else:
            lock.wait_for_the_dead(files[0])
            if not is_same_file(filesystem, files[1], shared.KNOWN_FORMATS):
                filesystem.close(files.pop())
                files.append(_new_shared_file(filesystem, place.path, mode))
        opening = Opening(
            filesystem=filesystem,
            clock=clock,
            place=place,
            mode=mode,
            lock=lock,
            meta=MetaProperties("", 0, ""),
            shared=SharedState(filesystem, files[1]),
            shared_descriptor=files[1],
            locks_descriptor=files[0],
            alone=alone,
            clean=False,
            same_file=True,
            believed=True,
        )
        if alone:
            _begin_recovery(opening)
        else:
            opening.meta = read_meta_properties(filesystem, place.path)
        opening.liveness = _claim_liveness(filesystem, opening.locks_descriptor)
        return opening
    except BaseException:
        for descriptor in files:
            filesystem.close(descriptor)
        lock.close()
        raise


def _warn_of_fuse(place: Place) -> None:
    import logging

    logging.getLogger("streamlog").warning(
        "%s is on a FUSE file system (%s): what a lock or a sync is worth there, the program that "
        "serves it decides",
        place.path,
        place.kind,
    )


def _begin_recovery(opening: Opening) -> None:
    """Say `recovering` first, then look at what was left and take back the clean mark."""
    filesystem, path, state = opening.filesystem, opening.place.path, opening.shared
    header = state.header()
    boot_id = filesystem.boot_id()
    opening.same_file = header.magic == shared.MAGIC
    opening.clean = filesystem.exists(f"{path}/{names.CLEAN}")
    opening.believed = (
        opening.same_file
        and not opening.clean
        and header.state in {shared.STATE_LIVE, shared.STATE_RESUMING}
        and header.boot_id == boot_id
    )
    # Whoever comes after a recoverer that died has to know of poisoned partitions, too.
    state.set_header_state(shared.STATE_RESUMING if opening.believed else shared.STATE_RECOVERING)
    state.advance_progress(os.getpid())
    if not filesystem.exists(f"{path}/{names.META}"):
        # Whoever made the directory may have died before its name was on the disk.
        filesystem.sync_directory(os.path.dirname(path))
    opening.meta = read_or_make_identity(filesystem, path, os.urandom(32), mode=opening.mode)
    write_format(filesystem, path, mode=opening.mode)
    identity = filesystem.identity(opening.shared_descriptor)
    locks_inode = filesystem.identity(opening.locks_descriptor).inode
    state.initialize_header(boot_id, identity.device, identity.inode, locks_inode)
    if opening.clean:
        filesystem.unlink(f"{path}/{names.CLEAN}")
    # One sync for all of it: from here on a crash is an unclean end of this directory.
    filesystem.sync_directory(path)


def is_same_file(
    filesystem: Filesystem, descriptor: int, formats: Container[int] = (FORMAT,)
) -> bool:
    """Whether the file's header says that its slots are about this directory, and not a copy's.

    Of another format it is nobody's, but for who is alone and knows that layout (`formats`).
    """
    words = _header(filesystem, descriptor)
    identity = filesystem.identity(descriptor)
    place = (words[shared.HEADER_DEVICE], words[shared.HEADER_INODE])
    enough = identity.size >= shared.HEADER_SIZE + shared.SLOT_SIZE
    known = words[shared.HEADER_MAGIC] == shared.MAGIC and words[shared.HEADER_FORMAT] in formats
    return enough and known and place == (identity.device, identity.inode)


def _check_company(filesystem: Filesystem, path: str, locks: int, descriptor: int) -> None:
    """Raise `DirectoryInUseError` unless both files are those of the processes beside us."""
    words = _header(filesystem, descriptor)
    number = words[shared.HEADER_FORMAT]
    if not is_same_file(filesystem, descriptor, shared.ANY_FORMAT):
        raise removed_by_hand(path, names.STREAMLOG_SHARED)
    if number != FORMAT:
        raise DirectoryInUseError(
            f"{path} is open in processes of another version of streamlog (format {number}, this "
            f"one has {FORMAT}); close it there first",
            path=path,
            pid=0,
            found=number,
            known=FORMAT,
        )
    if words[shared.HEADER_LOCKS_INODE] != filesystem.identity(locks).inode:
        raise removed_by_hand(path, names.STREAMLOG_LOCKS)


def _header(filesystem: Filesystem, descriptor: int) -> tuple[int, ...]:
    """The first words of a shared file, zeros where it is shorter."""
    return _WORDS.unpack(filesystem.pread(descriptor, _WORDS.size, 0).ljust(_WORDS.size, b"\0"))


def _open_own(filesystem: Filesystem, path: str, name: str, alone: bool, mode: int) -> int:
    """Open a file of ours, which who is alone makes. `DirectoryInUseError` where others had it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if alone else 0)
    try:
        return filesystem.open(f"{path}/{name}", flags, mode)
    except FileNotFoundError as error:
        raise removed_by_hand(path, name) from error


def _new_shared_file(filesystem: Filesystem, path: str, mode: int) -> int:
    """Another file of that name: whoever still maps the old one, to read, keeps it whole."""
    name = f"{path}/{names.STREAMLOG_SHARED}"
    filesystem.unlink(name)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = filesystem.open(name, flags, mode)
    try:
        SharedState.create(filesystem, descriptor)
    except BaseException:
        filesystem.close(descriptor)
        raise
    return descriptor


def _claim_liveness(filesystem: Filesystem, descriptor: int) -> int:
    """Lock a liveness byte of this process's own for as long as it has the directory open."""
    while True:
        number = int.from_bytes(os.urandom(8), "big") % shared.LIVENESS_NUMBERS
        if filesystem.lock(descriptor, shared.LIVENESS_LOCKS + number, 1, exclusive=True):
            return number
