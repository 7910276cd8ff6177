"""`Engine`: one directory, open in this process. It wires; the rules live below it.

opening, directory, directory_lock      getting in: alone or beside others
recovering, closing                     what the first and the last one do
metadata_log, metadata_image, topics    topics by name
partitions                              logs by partition, under a descriptor budget
registry                                one engine a directory and process; forks
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from streamlog.broker import folders, metadata_records, topics
from streamlog.broker.closing import LastClose
from streamlog.broker.directory import METADATA_FOLDER, Place, translate_os_error
from streamlog.broker.metadata_image import MetadataImage
from streamlog.broker.metadata_log import MetadataLog
from streamlog.broker.opening import Opening, open_directory
from streamlog.broker.partitions import OpenPartitions, default_budget
from streamlog.broker.producer_ids import ProducerIds
from streamlog.broker.recovering import (
    METADATA_CONFIG,
    UNUSABLE,
    DirectoryRecovery,
    RecoveryReport,
    log_report,
)
from streamlog.clock import SYSTEM_CLOCK, Clock
from streamlog.config import OpenConfig, TopicConfig
from streamlog.errors import ClosedError, CorruptDirectoryError, ForkedHandleError, StreamlogError
from streamlog.protocol import Uuid
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from streamlog.storage.names import METADATA_TOPIC, partition_directory_name
from streamlog.storage.partition_log import LogSettings, PartitionLog
from streamlog.storage.shared import PartitionState
from streamlog.types import Durability, PartitionDescription, TopicDescription

if TYPE_CHECKING:
    from array import array

    from streamlog.broker.metadata_image import TopicImage

_METADATA_SLOT = 0
_EMPTY = PartitionState()


class Engine:
    """Topics, partitions and their logs in one directory. Thread-safe; shared by reference count.

    Opened with `Engine.open`, given back with `close`. After `fork` the child's copy raises
    `ForkedHandleError` (`is_foreign`) until it opens the directory itself.
    """

    def __init__(self, opening: Opening, config: OpenConfig) -> None:
        self.place: Place = opening.place
        self.clock: Clock = opening.clock
        self.report: RecoveryReport | None = None
        self.is_foreign = False
        self._opening = opening
        self._config = config
        self._closed = False
        self._slots_lock = threading.Lock()
        self._topic_names: dict[bytes, str] = {}
        self._log_settings = LogSettings(
            lock_timeout_ms=config.lock_timeout_ms,
            file_mode=opening.mode,
            use_maps=opening.place.mappable,
            durable=opening.place.durable,
        )
        self.partitions = OpenPartitions(self._make_log, config.max_open_files or default_budget())
        try:
            self._enter()
        except BaseException:
            self._abandon()
            raise

    @staticmethod
    def open(
        path: str,
        *,
        create: bool = True,
        read_only: bool = False,
        mode: int = 0o600,
        settings: Mapping[str, object] | None = None,
        filesystem: Filesystem = OS_FILESYSTEM,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Engine:
        """The engine of the directory at `path`: this process's own, opened now if it is the first.

        `settings` are those of `OpenConfig`. Raises `NotALogDirectoryError`,
        `DirectoryInUseError`, `UnsupportedFormatError`, `LockTimeoutError`,
        `CorruptDirectoryError`, `DiskFullError`, `InputOutputError`.
        """
        from streamlog.broker import registry

        return registry.open_engine(
            path,
            create=create,
            read_only=read_only,
            mode=mode,
            config=OpenConfig.from_settings(settings or {}),
            filesystem=filesystem,
            clock=clock,
        )

    # ---------------------------------------------------------------- in and out

    def _enter(self) -> None:
        """Recover and publish when alone, then replay the metadata."""
        opening = self._opening
        recovery = DirectoryRecovery(opening) if opening.alone else None
        is_new = recovery is not None and recovery.recover_metadata()
        self.metadata = MetadataLog(
            self.partitions.get(Uuid.ONE, 0), opening.meta, opening.filesystem, opening.clock
        )
        self.producer_ids = ProducerIds(self.metadata)
        if is_new:
            self.metadata.change(lambda _: metadata_records.bootstrap())
        if recovery is not None:
            recovery.recover_partitions(self.metadata)
            self.report = recovery.report
            opening.go_live()
            log_report(self.place.path, recovery.report)
        self.metadata.refresh()

    def close(self) -> None:
        """Give the engine back; the last one to do so in this process closes it."""
        from streamlog.broker import registry

        registry.release(self)

    def close_now(self) -> None:
        """Sync what this process has open and leave; the directory's last process closes it.

        Called once, by the registry. The first failure is raised when everything is let go.
        """
        failure: StreamlogError | None = None
        for log in self.partitions.logs():
            try:
                log.close()
            except StreamlogError as error:
                failure = failure or error
        try:
            last = LastClose(
                self._opening, self.metadata.refresh(), self.log, self._config.lock_timeout_ms
            )
            if last.is_last():
                last.finish()
        finally:
            self._abandon()
        if failure is not None:
            raise failure

    def _abandon(self) -> None:
        self._closed = True
        for log in self.partitions.logs():
            log.abandon()
        self._opening.close_descriptors()

    def forget_parent(self) -> None:
        """In a forked child: close the copies of the parent's locks, and refuse everything."""
        from streamlog.broker.fork import close_copies

        self.is_foreign = True
        opening = self._opening
        close_copies([opening.lock.descriptor, opening.locks_descriptor])

    def check_usable(self) -> None:
        """Raises `ClosedError`, and `ForkedHandleError` in a forked child."""
        if self.is_foreign:
            raise ForkedHandleError(
                f"{self.place.path} was opened by the parent process; open it again in this one"
            )
        if self._closed:
            raise ClosedError(f"{self.place.path} is closed")

    # ---------------------------------------------------------------- topics

    @property
    def image(self) -> MetadataImage:
        """The metadata as it is now. Look at it under `metadata.lock`: a refresh changes it."""
        self.check_usable()
        return self.metadata.refresh()

    def refresh(self) -> MetadataImage:
        """Replay what other processes changed; one load when there is nothing."""
        return self.metadata.refresh()

    def topics(self) -> dict[str, TopicDescription]:
        """Every topic by name, in the order of their names."""
        self.check_usable()
        with self.metadata.lock:
            image = self.metadata.refresh()
            return {
                name: topics.describe_topic(image.topics[name]) for name in sorted(image.topics)
            }

    def topic(self, name: str) -> TopicDescription:
        """One topic. Raises `UnknownTopicError` naming the nearest there is."""
        self.check_usable()
        with self.metadata.lock:
            return topics.describe_topic(topics.find_topic(self.metadata.refresh(), name))

    def create_topic(
        self, name: str, partitions: int = 1, settings: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """Create a topic; it is on the disk when this returns. See `topics.create_topic`."""
        self.check_usable()
        return topics.describe_topic(
            topics.create_topic(self.metadata, name, partitions, settings or {})
        )

    def create_partitions(self, name: str, total: int) -> TopicDescription:
        """Let a topic have `total` partitions. See `topics.create_partitions`."""
        self.check_usable()
        return topics.describe_topic(topics.create_partitions(self.metadata, name, total))

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its records. Raises `UnknownTopicError`.

        The metadata says so first, then nobody can append, then the folders go. Views that
        somebody holds stay valid.
        """
        self.check_usable()
        removed = topics.remove_topic(self.metadata, name)
        for partition in removed.partitions:
            self._delete_partition(removed, partition)

    def _delete_partition(self, topic: TopicImage, partition: int) -> None:
        filesystem = self._opening.filesystem
        log = self.partitions.get_or_none(topic.topic_id, partition)
        if log is None and self._opening.shared.find_slot(topic.topic_id, partition) is not None:
            self._topic_names[topic.topic_id] = topic.name
            log = self.partitions.get(topic.topic_id, partition)
        if log is not None:
            with log.locked():
                self._opening.shared.mark_deleted(log.slot)
            self.partitions.forget(topic.topic_id, partition)
            log.abandon()
        path = f"{self.place.path}/{partition_directory_name(topic.name, partition)}"
        if filesystem.is_directory(path):
            folders.remove_folder(filesystem, folders.set_aside(filesystem, path, "-delete"))

    # ---------------------------------------------------------------- partitions

    def partition(self, topic: str, partition: int) -> PartitionLog:
        """The log of one partition. Raises `UnknownTopicError`, `CorruptDirectoryError`."""
        self.check_usable()
        with self.metadata.lock:
            found = topics.find_topic(self.metadata.refresh(), topic)
            topics.check_partition(found, partition)
            self._topic_names[found.topic_id] = topic
        return self.partitions.get(found.topic_id, partition)

    def log(self, topic: str, partition: int) -> PartitionLog:
        """As `partition`, for the internal topics too: the metadata log has this name as well."""
        if topic == METADATA_TOPIC:
            return self.metadata.log
        return self.partition(topic, partition)

    def describe_partition(self, topic: str, partition: int) -> PartitionDescription:
        """One partition as it is now."""
        log = self.partition(topic, partition)
        state = log.state()
        return PartitionDescription(
            topic=topic,
            partition=partition,
            leader_epoch=state.leader_epoch,
            log_start=state.log_start,
            log_end=state.log_end,
            high_watermark=state.high_watermark,
            synced_end=log.synced_end,
            end_position=state.end_position,
            poisoned=state.poisoned,
        )

    def _make_log(self, topic_id: bytes, partition: int) -> PartitionLog:
        """A log with its slot; runs once a partition. Opens no files."""
        opening = self._opening
        if topic_id == Uuid.ONE:
            slot, folder, topic, config = _METADATA_SLOT, METADATA_FOLDER, METADATA_TOPIC, None
        else:
            topic = self._topic_names[topic_id]
            image = self.metadata.image.topic_by_id(Uuid(topic_id))
            config = None if image is None else TopicConfig.from_overrides(image.settings)
            folder = partition_directory_name(topic, partition)
            slot = self._find_slot(topic_id, partition, f"{self.place.path}/{folder}")
        log = PartitionLog(
            opening.filesystem,
            opening.shared,
            slot,
            f"{self.place.path}/{folder}",
            opening.locks_descriptor,
            topic=topic,
            partition=partition,
            topic_id=topic_id,
            config=config or METADATA_CONFIG,
            settings=self._log_settings,
        )
        log.on_open = self.partitions.opened
        return log

    def _find_slot(self, topic_id: bytes, partition: int, path: str) -> int:
        """The partition's slot, assigned now if it is the first use of it by anybody."""
        shared = self._opening.shared
        with self._slots_lock:
            slot = shared.find_slot(topic_id, partition)
            if slot is None:
                # Records may follow at once, and the folder before them: the topic comes first.
                self.metadata.sync()
                image = self.metadata.image.topic_by_id(Uuid(topic_id))
                epoch = 0 if image is None else image.partitions[partition].leader_epoch
                with self.metadata.log.locked():
                    slot = shared.assign_slot(
                        topic_id, partition, _EMPTY._replace(leader_epoch=epoch)
                    )
        if shared.read_state(slot).poisoned == UNUSABLE:
            raise CorruptDirectoryError(
                f"{path} held records that were on the disk, and is gone; restore it from a "
                "copy while the log is closed, or delete the topic",
                file=path,
            )
        return slot

    # ---------------------------------------------------------------- the whole

    def durability(self, acks: int) -> Durability:
        """What `acks` (0, 1, -1) gives on this file system: `metadata.durability`."""
        if acks == 0:
            return "buffered"
        return "synced" if acks < 0 and self.place.durable else "written"

    def sync(self) -> None:
        """Have everything that anybody appended so far on the disk.

        Raises `PartitionPoisonedError` for the first partition that the disk refused.
        """
        self.check_usable()
        shared = self._opening.shared
        with self.metadata.lock:
            image = self.metadata.refresh()
            names = [
                (topic.name, partition)
                for topic in image.topics.values()
                for partition in topic.partitions
                if shared.find_slot(topic.topic_id, partition) is not None
            ]
        self.metadata.sync()
        failure: StreamlogError | None = None
        for name in names:
            try:
                log = self.partition(*name)
                if log.synced_end < log.log_end:
                    log.sync(log.log_end)
            except StreamlogError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def bell(self) -> int:
        """The bell's number: read it before looking for data, then wait on it."""
        number: int = self._opening.shared.map.bell()
        return number

    def wait(self, seen: int, timeout_s: float | None = None) -> bool:
        """Sleep until the bell moved from `seen`; False when the time ran out first."""
        timeout_us = None if timeout_s is None else int(timeout_s * 1_000_000)
        return bool(self._opening.shared.map.wait(seen, timeout_us))

    def find_ready(self, slots: array[int], positions: array[int], start: int) -> int:
        """The first index from `start` on, going round, whose log ends behind its position.

        `slots` (of the partitions' logs, -1 passed over) and `positions` are parallel 'q' arrays.
        -1 when there is none. One compiled scan, whatever their number.
        """
        index: int = self._opening.shared.map.find_ready(slots, positions, start)
        return index

    def ring(self) -> None:
        """Wake everybody who waits, in every process."""
        self._opening.shared.map.ring_bell()


def open_for_writing(
    place: Place, *, mode: int, config: OpenConfig, filesystem: Filesystem, clock: Clock
) -> Engine:
    """A new engine on `place`. Raises typed errors only."""
    try:
        opening = open_directory(
            filesystem, clock, place, mode=mode, lock_timeout_ms=config.lock_timeout_ms
        )
        return Engine(opening, config)
    except OSError as error:
        if isinstance(error, StreamlogError):
            raise
        raise translate_os_error(error, place.path) from error
