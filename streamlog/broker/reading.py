"""Opening a directory to read only: nothing is recovered, locked for writing, or written.

The states of the partitions are kept in memory of this process. Beside processes that have the
directory open they are those processes' published ones, read from the shared file; otherwise
they are what the files bear out. There is no bell: whoever waits polls, backing off.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from streamlog.broker.directory import METADATA_FOLDER, Place, identify, is_of_a_broker
from streamlog.broker.directory_lock import ReaderLock
from streamlog.broker.engine import Engine
from streamlog.broker.live_states import LiveFile
from streamlog.broker.opening import Opening
from streamlog.broker.typed_errors import typed_errors
from streamlog.errors import CorruptDirectoryError, ReadOnlyError
from streamlog.protocol import Uuid
from streamlog.storage import names
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.properties import read_meta_properties
from streamlog.storage.read_only import load_for_reading
from streamlog.storage.shared import PartitionState
from streamlog.storage.slots import SharedState

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.clock import Clock
    from streamlog.config import OpenConfig
    from streamlog.storage.filesystem import Filesystem

_FIRST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.05


class ReadOnlyEngine(Engine):
    """An engine that refuses every change with `ReadOnlyError`."""

    looks_at_files = True

    def _enter(self) -> None:
        self._watch = StateWatch(self._opening)
        self._watch.add(Uuid.ONE, 0, METADATA_FOLDER)
        self._factory.assign = self._watch.add
        self._factory.look = self._watch.look
        self._open_metadata()
        self.metadata.refresh()

    def refresh(self) -> MetadataImage:
        """Look at what other processes published, or at the files, and replay the metadata."""
        self._watch.refresh()
        return self.metadata.refresh()

    def metadata_end(self) -> int:
        """As the engine's; what other processes appended is looked at, since nobody rings."""
        self._watch.refresh()
        return super().metadata_end()

    def close_now(self) -> None:
        """Let go; there is nothing to sync."""
        self._abandon()

    def wait(self, seen: int, timeout_s: float | None = None) -> bool:
        """Poll until something was appended; False when the time ran out first."""
        deadline = None if timeout_s is None else self.clock.monotonic() + timeout_s
        pause = _FIRST_PAUSE_SECONDS
        while not self._watch.refresh() and self.bell() == seen:
            remaining = pause if deadline is None else deadline - self.clock.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(pause, remaining))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return True

    def check_writable(self) -> None:
        """Raises `ReadOnlyError`: nothing here can be changed."""
        self.check_usable()
        path = self.place.path
        if is_of_a_broker(self.filesystem, path):
            raise ReadOnlyError(
                f"{path} is a Kafka broker's, and open for reading only; open it with "
                "read_only=False to write to it: the broker can be started on it again afterwards",
                path=path,
            )
        raise ReadOnlyError(f"{path} is open for reading only", path=path)


class StateWatch:
    """The states of the partitions in use, brought up to date from the shared file or the files."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._filesystem = opening.filesystem
        self._path = opening.place.path
        self._directories: dict[tuple[bytes, int], str] = {}
        self._live_slots: dict[tuple[bytes, int], int] = {}
        self._log_starts = self._read_log_starts()
        self._lock = threading.Lock()  # of the private states: any thread may look

    def add(self, topic_id: bytes, partition: int, directory: str) -> int:
        """The private slot of a partition, its state loaded."""
        key = (topic_id, partition)
        found = self._opening.shared.find_slot(*key)
        if found is not None:
            return found
        self._directories[key] = os.path.basename(directory)
        with LiveFile(self._filesystem, self._path) as live:
            state = self._load(key, live, None)
        return self._opening.shared.assign_slot(topic_id, partition, state)

    def refresh(self) -> bool:
        """Look at every partition in use; whether any of them changed."""
        changed = False
        with LiveFile(self._filesystem, self._path) as live, self._lock:
            for key in list(self._directories):
                changed = self._update(key, live) or changed
        if changed:
            self._opening.shared.map.ring_bell()
        return changed

    def look(self, topic_id: bytes, partition: int) -> None:
        """Look at one partition."""
        with LiveFile(self._filesystem, self._path) as live, self._lock:
            self._update((topic_id, partition), live)

    def _update(self, key: tuple[bytes, int], live: LiveFile) -> bool:
        own = self._opening.shared
        slot = own.find_slot(*key)
        if slot is None:
            return False
        before = own.read_state(slot)
        state = self._load(key, live, before)
        if state != before:
            own.publish_state(slot, state)
        return state != before

    def _load(
        self, key: tuple[bytes, int], live: LiveFile, previous: PartitionState | None
    ) -> PartitionState:
        published = live.state(key, self._live_slots)
        if published is not None:
            return published
        folder = self._directories[key]
        named = names.parse_partition_directory(folder)
        state = load_for_reading(
            self._filesystem,
            f"{self._path}/{folder}",
            0 if named is None else self._log_starts.get(named, 0),
            previous,
        )
        promised = 0 if named is None else self._cleanly_closed_at().get(named, 0)
        if state.log_end < promised:
            # Damage: who reads on gets an error there, and not an end.
            state = state._replace(log_end=promised, high_watermark=promised)
        return state

    def _read_log_starts(self) -> dict[tuple[str, int], int]:
        return read_offset_checkpoint(self._filesystem, f"{self._path}/{names.LOG_STARTS}")

    def _cleanly_closed_at(self) -> dict[tuple[str, int], int]:
        """Where each partition ended when the directory was closed; nothing while it is open."""
        if not self._filesystem.exists(f"{self._path}/{names.CLEAN}"):
            return {}
        try:
            return read_offset_checkpoint(self._filesystem, f"{self._path}/{names.RECOVERY_POINTS}")
        except CorruptDirectoryError:
            return {}  # it vouches for nothing; `verify` says so


def open_for_reading(
    place: Place, *, config: OpenConfig, filesystem: Filesystem, clock: Clock
) -> Engine:
    """A new engine on `place` that changes nothing.

    Raises `NotALogDirectoryError`, `DirectoryInUseError` (a Kafka broker runs on it),
    `CorruptDirectoryError`, `InputOutputError`.
    """
    with typed_errors(place.path):
        identify(filesystem, place, read_only=True)
        lock: Any = ReaderLock(filesystem, place.path)
        descriptor = os.memfd_create("streamlog", os.MFD_CLOEXEC)
        try:
            SharedState.create(OS_FILESYSTEM, descriptor)
            opening = Opening(
                filesystem=filesystem,
                clock=clock,
                place=place,
                mode=0o600,
                lock=lock,
                meta=read_meta_properties(filesystem, place.path),
                shared=SharedState(OS_FILESYSTEM, descriptor),
                shared_descriptor=descriptor,
                locks_descriptor=-1,
                alone=False,
                clean=False,
                same_file=False,
                believed=False,
                read_only=True,
            )
        except BaseException:
            os.close(descriptor)
            lock.close()
            raise
        try:
            return ReadOnlyEngine(opening, config)
        except BaseException:
            opening.close_descriptors()  # also where there was no engine yet that could
            raise
