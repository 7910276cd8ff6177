"""`Engine`: one directory, open in this process. It wires; the rules live below it.

opening, directory, directory_lock      getting in: alone or beside others
recovering, closing                     what the first and the last one do
metadata_log, metadata_image            topics and settings as they are
topic_operations                        what is asked of topics: the other half of this class
partitions                              logs by partition, under a descriptor budget
groups                                  coordinators of groups, on `__consumer_offsets`
registry                                one engine a directory and process; forks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.broker import metadata_records, topics
from streamlog.broker.closing import LastClose
from streamlog.broker.directory import Place
from streamlog.broker.log_factory import (
    LogFactory,
    check_files,
)
from streamlog.broker.metadata_image import MetadataImage
from streamlog.broker.metadata_log import MetadataLog
from streamlog.broker.opening import Opening, open_directory
from streamlog.broker.parallel import in_parallel
from streamlog.broker.partitions import OpenPartitions, default_budget
from streamlog.broker.producer_ids import ProducerIds
from streamlog.broker.recovering import DirectoryRecovery, RecoveryReport, log_report
from streamlog.broker.topic_configs import TopicConfigs
from streamlog.broker.topic_operations import TopicOperations
from streamlog.broker.typed_errors import typed_errors, with_typed_errors
from streamlog.clock import SYSTEM_CLOCK, Clock
from streamlog.config import OpenConfig
from streamlog.errors import (
    ClosedError,
    ForkedHandleError,
    StreamlogError,
    UnknownTopicError,
)
from streamlog.protocol import Uuid
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from streamlog.storage.names import METADATA_TOPIC
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.poison_recovery import recover_poisoned
from streamlog.types import (
    Durability,
    PartitionDescription,
)

if TYPE_CHECKING:
    from array import array

    from streamlog.broker.broker_configs import BrokerConfigs
    from streamlog.broker.groups.groups import Groups
    from streamlog.broker.housekeeping import Housekeeper


class Engine(TopicOperations):
    """Topics, partitions and their logs in one directory. Thread-safe; shared by reference count.

    Opened with `Engine.open`, given back with `close`. After `fork` the child's copy raises
    `ForkedHandleError` (`is_foreign`) until it opens the directory itself.
    """

    #: Whether looking for news reads files, since nobody publishes them to this process.
    looks_at_files = False

    def __init__(self, opening: Opening, config: OpenConfig) -> None:
        self.config = config
        self.place: Place = opening.place
        self.filesystem: Filesystem = opening.filesystem
        self.clock: Clock = opening.clock
        self.report: RecoveryReport | None = None
        self.is_foreign = False
        self._opening = opening
        self._closed = False
        self._housekeeper: Housekeeper | None = None
        self._groups: Groups | None = None
        self._broker_configs: BrokerConfigs | None = None
        self._housekept = 0  # what was asked of it when it was last told
        self._factory = LogFactory(opening, config.lock_timeout_ms, self._files_open)
        self.partitions = OpenPartitions(
            self._factory.make, config.max_open_files or default_budget(), opening.sync_threads
        )
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
        read_only: bool | None = None,
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
        self._open_metadata()
        if is_new:
            # Nothing was promised yet: lost, they are written again by the next opening.
            self.metadata.change(lambda _: metadata_records.bootstrap(), sync=False)
        if recovery is not None:
            recovery.recover_partitions(self.metadata)
            self.report = recovery.report
            opening.go_live()
            log_report(self.place.path, recovery.report)
        self.refresh()

    def _open_metadata(self) -> None:
        opening = self._opening
        log = self.partitions.get(Uuid.ONE, 0, METADATA_TOPIC)
        self.metadata = MetadataLog(log, opening.meta, opening.filesystem, opening.clock)
        self._factory.metadata = self.metadata
        self.partitions.make_under(self.metadata.lock)
        self.producer_ids = ProducerIds(self.metadata)
        self.configs = TopicConfigs(
            self.refresh, self.metadata, self.partitions, self._factory, opening.shared
        )

    def close(self) -> None:
        """Give the engine back; the last one to do so in this process closes it."""
        from streamlog.broker import registry

        registry.release(self)

    def close_now(self) -> None:
        """Sync what this process has open and leave; the directory's last process closes it.

        Called once, by the registry. The first failure is raised when everything is let go.
        """
        if self._housekeeper is not None:
            self._housekeeper.close()
        if self._groups is not None:
            self._groups.close()
        self._factory.flush_timer.close()
        failure: StreamlogError | None = None
        try:
            self.partitions.close_files()
        except StreamlogError as error:
            failure = error
        try:
            with typed_errors(self.place.path):
                last = LastClose(
                    self._opening, self.metadata.refresh(), self.log, self.config.lock_timeout_ms
                )
                if last.is_last():
                    last.finish()
        finally:
            self._abandon()
        if failure is not None:
            raise failure

    def _abandon(self) -> None:
        self._closed = True
        try:
            for log in self.partitions.logs():
                log.refuse(self._unusable)
        finally:  # memory that is used up included
            self._opening.close_descriptors()

    def forget_parent(self) -> None:
        """In a forked child: close the copies of the parent's locks, and refuse everything."""
        from streamlog.broker.fork import close_copies

        self.is_foreign = True
        if self._groups is not None:
            self._groups.forget_parent()
        opening = self._opening
        close_copies([opening.lock.descriptor, opening.locks_descriptor])
        for log in self.partitions.known():
            log.refuse(self._unusable, forked=True)

    def check_usable(self) -> None:
        """Raises `ClosedError`, and `ForkedHandleError` in a forked child."""
        if self.is_foreign or self._closed:
            raise self._unusable()

    def _unusable(self) -> StreamlogError:
        path = self.place.path
        if self.is_foreign:
            return ForkedHandleError(
                f"{path} was opened by the parent process; open it again in this one"
            )
        return ClosedError(f"{path} is closed")

    @property
    def read_only(self) -> bool:
        """Whether every change is refused with `ReadOnlyError`."""
        return self._opening.read_only

    def check_writable(self) -> None:
        """As `check_usable`; raises `ReadOnlyError` where only reading is allowed."""
        self.check_usable()

    # ---------------------------------------------------------------- topics

    @property
    def image(self) -> MetadataImage:
        """The metadata as it is now. Look at it under `metadata.lock`: a refresh changes it."""
        self.check_usable()
        return self.refresh()

    def refresh(self) -> MetadataImage:
        """Replay what other processes changed; one load when there is nothing."""
        image = self.metadata.refresh()
        if image.cleanup != self._housekept:
            self._housekept = image.cleanup
            self.housekeeper.start()
        return image

    @property
    def housekeeper(self) -> Housekeeper:
        """What applies retention and compaction; its thread runs once a topic asks for them."""
        with self.metadata.lock:
            if self._housekeeper is None:
                from streamlog.broker.housekeeping import Housekeeper

                self._housekeeper = Housekeeper(self, self.config)
            return self._housekeeper

    @property
    def broker_configs(self) -> BrokerConfigs:
        """The settings of nodes. Without a lock: two that are made at once are the same."""
        if self._broker_configs is None:
            from streamlog.broker.broker_configs import BrokerConfigs

            self._broker_configs = BrokerConfigs(
                self.refresh, self.metadata, self.config, self._rouse_housekeeper
            )
        return self._broker_configs

    def _rouse_housekeeper(self) -> None:
        """Let it look at what it goes by now, if anything was asked of it."""
        if self._housekept:
            self.housekeeper.start()

    @property
    def groups(self) -> Groups:
        """The coordinators of groups; their thread runs once there is something to wait for."""
        self.check_usable()
        if self._groups is None:
            with self.metadata.lock:
                if self._groups is None:
                    from streamlog.broker.groups.groups import Groups

                    self._groups = Groups(self, self.config)
        return self._groups

    def metadata_end(self) -> int:
        """Where the metadata log ends now: it moved when anything about topics changed."""
        return self.metadata.log.log_end

    # ---------------------------------------------------------------- partitions

    @with_typed_errors
    def partition(self, topic: str, partition: int) -> PartitionLog:
        """The log of one partition. Raises `UnknownTopicError`, `CorruptDirectoryError`."""
        self.check_usable()
        with self.metadata.lock:
            found = topics.find_topic(self.refresh(), topic)
            topics.check_partition(found, partition)
        log = self.partitions.get(found.topic_id, partition, topic)
        check_files(self._opening, log)
        return log

    def log(self, topic: str, partition: int) -> PartitionLog:
        """As `partition`, for the internal topics too: the metadata log has this name as well."""
        if topic == METADATA_TOPIC:
            return self.metadata.log
        return self.partition(topic, partition)

    @with_typed_errors
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

    def _files_open(self, log: PartitionLog) -> None:
        """A log opens files: not of a closed engine, and others close theirs to make room."""
        if not self._opening.read_only:
            self.check_writable()
        self.partitions.opened(log)

    @with_typed_errors
    def recover_partition(self, topic: str, partition: int) -> bool:
        """Make a partition writable again whose sync failed; False when there was no need.

        What lies past the synced end is copied, synced and swapped in, under the next leader
        epoch. Raises `CorruptRecordError` when the disk lost some of it: the next lone opening
        cuts that. Raises `InputOutputError` while the disk still fails.
        """
        self.check_writable()
        log = self.partition(topic, partition)

        def bump_epoch() -> int:
            change = metadata_records.leader_epoch_bumped(
                Uuid(log.topic_id), partition, self.metadata.meta.node_id
            )
            with self.metadata.lock:
                image = self.metadata.change(lambda _: [change])
                return topics.find_topic(image, topic).partitions[partition].leader_epoch

        with typed_errors(log.directory):
            recovered = recover_poisoned(
                self._opening.filesystem, self._opening.shared, log, bump_epoch
            )
        if recovered:
            self._factory.watch(log)
        return recovered

    # ---------------------------------------------------------------- the whole

    def durability(self, acks: int) -> Durability:
        """What `acks` (0, 1, -1) gives on this file system: `metadata.durability`."""
        if acks == 0:
            return "buffered"
        return "synced" if acks < 0 and self.place.durable else "written"

    @with_typed_errors
    def sync(self) -> None:
        """Have everything that anybody appended so far on the disk.

        Raises `PartitionPoisonedError` for the first partition that the disk refused.
        """
        self.check_writable()
        shared = self._opening.shared
        with self.metadata.lock:
            image = self.refresh()
            behind = [
                (topic.name, partition)
                for topic in image.topics.values()
                for partition in topic.partitions
                if (slot := shared.find_slot(topic.topic_id, partition)) is not None
                and shared.is_behind(slot)
            ]
        self.metadata.sync()

        def sync(name: tuple[str, int]) -> None:
            with suppress(UnknownTopicError):  # deleted meanwhile: nothing of it needs the disk
                log = self.partition(*name)
                log.sync(log.log_end)

        in_parallel(sync, behind, threads=self._opening.sync_threads)

    @property
    def bell(self) -> Callable[[], int]:
        """Gives the bell's number: read it before looking for data, then wait on it."""
        bell: Callable[[], int] = self._opening.shared.map.bell
        return bell

    def wait(self, seen: int, timeout_s: float | None = None) -> bool:
        """Sleep until the bell moved from `seen`; False when the time ran out first."""
        timeout_us = None if timeout_s is None else int(timeout_s * 1_000_000)
        return bool(self._opening.shared.map.wait(seen, timeout_us))

    @property
    def find_ready(self) -> Callable[[array[int], array[int], int], int]:
        """Gives the first index from one on, going round, whose log ends behind its position.

        Of `slots` (of the partitions' logs, -1 passed over) and `positions`, parallel 'q' arrays.
        -1 when there is none. One compiled scan, whatever their number.
        """
        find_ready: Callable[[array[int], array[int], int], int]
        find_ready = self._opening.shared.map.find_ready
        return find_ready

    @property
    def announce(self) -> Callable[[], None]:
        """Begins to wake who sleeps, for what is about to be appended."""
        announce: Callable[[], None] = self._opening.shared.map.announce
        return announce

    def ring(self) -> None:
        """Wake everybody who waits, in every process."""
        self._opening.shared.map.ring_bell()


def open_for_writing(
    place: Place, *, mode: int, config: OpenConfig, filesystem: Filesystem, clock: Clock
) -> Engine:
    """A new engine on `place`. Raises typed errors only."""
    with typed_errors(place.path):
        opening = open_directory(
            filesystem, clock, place, mode=mode, lock_timeout_ms=config.lock_timeout_ms
        )
        try:
            return Engine(opening, config)
        except BaseException:
            opening.close_descriptors()  # also where there was no engine yet that could
            raise
