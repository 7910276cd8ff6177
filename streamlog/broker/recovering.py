"""What a process does that opens a directory alone: `recover()` of the file protocol, section 3.

The only path that deletes or cuts anything besides a writer's own unpublished tail. It may die
anywhere and be run again. In this order: the durable marks into the recovery-point checkpoint
(they outlive the slots), the metadata log, the partitions, the next leader epoch for those
that lost bytes, synced; then everything is published, and leftovers of deletions go.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec

from streamlog.broker import metadata_records
from streamlog.broker.directory import METADATA_FOLDER, list_directory
from streamlog.broker.folders import may_go, remove_folder, set_aside
from streamlog.config import TopicConfig
from streamlog.errors import CorruptDirectoryError
from streamlog.protocol import Uuid
from streamlog.storage import names
from streamlog.storage.checkpoints import (
    forget_topic,
    read_offset_checkpoint,
    write_offset_checkpoint,
)
from streamlog.storage.leader_epochs import write_leader_epochs
from streamlog.storage.partition_metadata import (
    read_partition_metadata,
    write_partition_metadata,
)
from streamlog.storage.recovery import PartitionRecovery, recover_partition
from streamlog.storage.shared import PartitionState, SyncedEnd

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.broker.opening import Opening

# A full segment is the moment for a snapshot of what came before it.
METADATA_CONFIG = TopicConfig.from_overrides(
    {"max.message.bytes": str(2**31 - 1), "internal.segment.bytes": str(1 << 20)}
)
FIRST_METADATA_EPOCH = 1
#: `PartitionState.poisoned` of a partition whose files are gone or make no sense.
UNUSABLE = errno.EUCLEAN if hasattr(errno, "EUCLEAN") else errno.EIO


class RecoveryReport(msgspec.Struct):
    """What opening alone found: for the log, and for who asks.

    `lost` are the partitions that lost bytes, `problems` what was not understood and left.
    """

    clean: bool
    lost: list[PartitionRecovery]
    problems: list[str]


class DirectoryRecovery:
    """One run of `recover()`. Used once, by who holds the directory alone."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._filesystem = opening.filesystem
        self._path = opening.place.path
        self._shared = opening.shared
        self.report = RecoveryReport(opening.clean, [], [])
        self._recovery_points = self._read_checkpoint(names.RECOVERY_POINTS)
        self._log_starts = self._read_checkpoint(names.LOG_STARTS)
        self._cleaned = self._read_checkpoint(names.CLEANER_OFFSETS)
        self._states: dict[tuple[bytes, int], PartitionState] = {}
        self._synced: dict[tuple[bytes, int], SyncedEnd] = {}
        self._intended: dict[tuple[bytes, int], int] = {}
        self._listing = list_directory(self._filesystem, self._path)
        self._folder_ids: dict[str, bytes | None] = {}
        self._is_new = False

    def recover_metadata(self) -> bool:
        """Recover and publish slot 0; whether the metadata log is new and needs its records."""
        self._collect_slots()
        key = (names.METADATA_TOPIC, 0)
        others = set(self._listing.partitions) - {key}
        state, synced = PartitionState(leader_epoch=FIRST_METADATA_EPOCH), None
        if key in self._listing.partitions:
            self._belongs_to(self._listing.partitions[key], Uuid.ONE)
            recovery = self._recover(Uuid.ONE, *key, METADATA_CONFIG)
            if recovery.corrupt is not None:
                raise recovery.corrupt
            state, synced = recovery.state, recovery.synced
            epoch = max(state.leader_epoch + recovery.lost_tail, FIRST_METADATA_EPOCH)
            self._begin_epoch(self._listing.partitions[key], recovery, epoch)
            state = state._replace(leader_epoch=epoch)
        if state.log_end == 0 and others and not self._has_snapshot():
            raise CorruptDirectoryError(
                f"{self._path} holds partitions but its metadata log is empty; restore "
                f"{METADATA_FOLDER} from a copy",
                file=f"{self._path}/{METADATA_FOLDER}",
            )
        self._keep_marks()
        if not self._opening.believed:
            self._shared.reset_slots()
        self._publish(Uuid.ONE, 0, state, synced)
        self._is_new = state.log_end == 0
        return self._is_new

    def recover_partitions(self, metadata: MetadataLog) -> None:
        """Recover every partition that the metadata names, and publish them.

        What is done to folders follows from the metadata: what a killed process had not synced
        of that is on the disk first.
        """
        image = metadata.refresh()
        if not self._is_new:
            metadata.sync()
        found: list[tuple[TopicImage, int, PartitionRecovery]] = []
        for topic in list(image.topics.values()):
            config = image.config_of(topic)
            for partition in topic.partitions:
                recovery = self._recover_known(topic, partition, config)
                if recovery is not None:
                    found.append((topic, partition, recovery))
        lost = [(topic, partition) for topic, partition, one in found if one.lost_tail]
        self._bump_epochs(metadata, lost)
        for topic, partition, recovery in found:
            self._publish_recovered(topic, partition, recovery)
        self._clear_leftovers(image)

    # ------------------------------------------------------------ one partition

    def _recover_known(
        self, topic: TopicImage, partition: int, config: TopicConfig
    ) -> PartitionRecovery | None:
        key = (topic.name, partition)
        folder = self._listing.partitions.get(key)
        if folder is not None and self._belongs_to(folder, topic.topic_id):
            return self._recover(topic.topic_id, *key, config)
        mark = self._durable_mark(topic.topic_id, *key)
        if mark > 0:
            self._problem(
                f"partition {topic.name}-{partition} had {mark} records on the disk, and its "
                "folder is gone"
            )
            self._publish(topic.topic_id, partition, PartitionState(poisoned=UNUSABLE), None)
        elif self._opening.believed and (topic.topic_id, partition) in self._states:
            # Its folder was never made: the slot was, by who was about to.
            self._publish(topic.topic_id, partition, PartitionState(), None)
        return None

    def _recover(
        self, topic_id: bytes, topic: str, partition: int, config: TopicConfig
    ) -> PartitionRecovery:
        self._shared.advance_progress(os.getpid())
        slot_key = (topic_id, partition)
        recovery = recover_partition(
            self._filesystem,
            f"{self._path}/{names.partition_directory_name(topic, partition)}",
            topic=topic,
            partition=partition,
            clean=self._opening.clean,
            recovery_point=self._recovery_points.get((topic, partition), 0),
            checkpoint_log_start=self._log_starts.get((topic, partition), 0),
            synced=self._synced.get(slot_key),
            slot_state=self._believed_state(slot_key, topic, partition),
            config=config,
            cleaner_offset=self._cleaned.get((topic, partition), 0),
            now_ms=self._opening.clock.now_ms(),
        )
        left = self._states.get(slot_key)
        if left is not None and left.log_end > recovery.state.log_end:
            # A file that power loss only made shorter looks whole; the slot remembers its end.
            recovery.lost_tail = True
        if recovery.lost_tail:
            self.report.lost.append(recovery)
        for problem in recovery.problems:
            self._problem(f"{topic}-{partition}: {problem}")
        if recovery.corrupt is not None:
            self._problem(str(recovery.corrupt))
        return recovery

    def _believed_state(
        self, key: tuple[bytes, int], topic: str, partition: int
    ) -> PartitionState | None:
        """The slot's state where it is still true of the files.

        A writer of ours that died says so by its intention. A file that is longer without one
        was written by somebody else, a broker: what it appended is not ours to cut.
        """
        state = self._states.get(key) if self._opening.believed else None
        if state is None or self._intended[key] != state.end_position:
            return state
        name = names.segment_name(state.base_offset, names.LOG)
        path = f"{self._path}/{names.partition_directory_name(topic, partition)}/{name}"
        longer = (
            self._filesystem.exists(path) and self._filesystem.file_size(path) > state.end_position
        )
        return None if longer else state

    def _belongs_to(self, folder: str, topic_id: Uuid) -> bool:
        """Whether a folder of the right name is that topic's, and not a former topic's.

        One that does not say is taken for it: its identity is synced with the first records.
        """
        found = self._folder_id(folder)
        if found is None:
            write_partition_metadata(self._filesystem, f"{self._path}/{folder}", topic_id)
            self._folder_ids[folder] = topic_id
        return found in {None, topic_id}

    def _folder_id(self, folder: str) -> bytes | None:
        """The topic id that a folder says, None when it says nothing that can be read."""
        if folder not in self._folder_ids:
            path = f"{self._path}/{folder}"
            try:
                self._folder_ids[folder] = read_partition_metadata(self._filesystem, path)
            except CorruptDirectoryError as error:
                self._problem(str(error))
                self._folder_ids[folder] = None
        return self._folder_ids[folder]

    def _durable_mark(self, topic_id: bytes, topic: str, partition: int) -> int:
        synced = self._synced.get((topic_id, partition))
        return max(self._recovery_points.get((topic, partition), 0), synced.offset if synced else 0)

    # ------------------------------------------------------------ publishing

    def _bump_epochs(self, metadata: MetadataLog, lost: list[tuple[TopicImage, int]]) -> None:
        node_id = self._opening.meta.node_id
        metadata.change(
            lambda _: [
                metadata_records.leader_epoch_bumped(topic.topic_id, partition, node_id)
                for topic, partition in lost
            ]
        )

    def _publish_recovered(
        self, topic: TopicImage, partition: int, recovery: PartitionRecovery
    ) -> None:
        state = recovery.state
        epoch = max(topic.partitions[partition].leader_epoch, state.leader_epoch)
        folder = names.partition_directory_name(topic.name, partition)
        self._begin_epoch(folder, recovery, epoch)
        state = state._replace(leader_epoch=epoch)
        self._publish(topic.topic_id, partition, state, recovery.synced)

    def _begin_epoch(self, folder: str, recovery: PartitionRecovery, epoch: int) -> None:
        latest = recovery.epochs.latest
        if latest is None or latest.epoch < epoch:
            recovery.epochs.assign(epoch, recovery.state.log_end)
            write_leader_epochs(self._filesystem, f"{self._path}/{folder}", recovery.epochs)

    def _publish(
        self, topic_id: bytes, partition: int, state: PartitionState, synced: SyncedEnd | None
    ) -> None:
        slot = self._shared.assign_slot(topic_id, partition, state)
        self._shared.publish_state(slot, state)
        self._shared.set_intended_end(slot, state.end_position)
        if synced is not None and self._shared.read_synced(slot) != synced:
            self._shared.store_synced(slot, synced)

    # ------------------------------------------------------------ what was known before

    def _collect_slots(self) -> None:
        """The slots as the last process left them, when they are about these files."""
        if not self._opening.same_file:
            return
        for slot in range(self._shared.slot_count):
            key = self._shared.slot_key(slot)
            self._states[key] = self._shared.read_state(slot)
            self._intended[key] = self._shared.intended_end(slot)
            synced = self._shared.read_synced(slot)
            if synced is not None:
                self._synced[key] = synced

    def _keep_marks(self) -> None:
        """Write down how far the disk had everything, before the slots that say so are reset."""
        if self._opening.believed or not self._synced or self._opening.clean:
            return
        by_id: dict[bytes, str] = {bytes(Uuid.ONE): names.METADATA_TOPIC}
        for (topic, _), folder in self._listing.partitions.items():
            topic_id = self._folder_id(folder)
            if topic_id is not None:
                by_id[topic_id] = topic
        marks = dict(self._recovery_points)
        for (topic_id, partition), synced in self._synced.items():
            if topic_id in by_id:
                key = (by_id[topic_id], partition)
                marks[key] = max(marks.get(key, 0), synced.offset)
        if marks != self._recovery_points:
            write_offset_checkpoint(
                self._filesystem, f"{self._path}/{names.RECOVERY_POINTS}", marks
            )

    def _read_checkpoint(self, name: str) -> dict[tuple[str, int], int]:
        """A checkpoint's offsets. One that cannot be read vouches for nothing."""
        try:
            return read_offset_checkpoint(self._filesystem, f"{self._path}/{name}")
        except CorruptDirectoryError as error:
            self._problem(str(error))
            return {}

    def _has_snapshot(self) -> bool:
        from streamlog.broker.metadata_snapshot import list_snapshots

        return bool(list_snapshots(self._filesystem, f"{self._path}/{METADATA_FOLDER}"))

    # ------------------------------------------------------------ leftovers

    def _clear_leftovers(self, image: MetadataImage) -> None:
        """Finish deletions that were begun; keep and report what is not understood."""
        for folder in self._listing.leftovers:
            if folder.endswith("-delete"):
                remove_folder(self._filesystem, f"{self._path}/{folder}")
            else:
                self._problem(f"the folder {folder} was left alone")
        for name in self._listing.unknown:
            self._problem(f"{name} is not part of a log directory and was left alone")
        for (topic, partition), folder in self._listing.partitions.items():
            if topic == names.METADATA_TOPIC:
                continue
            self._clear_folder(image, folder, image.topics.get(topic), partition)

    def _clear_folder(
        self, image: MetadataImage, folder: str, topic: TopicImage | None, partition: int
    ) -> None:
        path = f"{self._path}/{folder}"
        found = self._folder_id(folder)
        expected = topic is not None and partition in topic.partitions
        if expected and topic is not None and found in (None, topic.topic_id):
            return
        if may_go(self._filesystem, path, found, image.removed):
            if found is not None:
                forget_topic(self._filesystem, self._path, folder.rpartition("-")[0])
            remove_folder(self._filesystem, set_aside(self._filesystem, path, "-delete"))
        elif expected or found is None:
            aside = set_aside(self._filesystem, path, "-stray")
            whose = "no topic that it says" if found is None else "another topic id"
            self._problem(f"{folder} belongs to {whose} and was set aside as {aside}")
        else:
            self._problem(f"the metadata does not know {folder}, which was left alone")

    def _problem(self, text: str) -> None:
        self.report.problems.append(text)


def log_report(path: str, report: RecoveryReport) -> None:
    """Say what recovery found, through the logger `streamlog`."""
    if not report.lost and not report.problems:
        return
    import logging

    logger = logging.getLogger("streamlog")
    for recovery in report.lost:
        logger.warning("%s: %s", path, describe_loss(recovery))
    for problem in report.problems:
        logger.warning("%s: %s", path, problem)


def describe_loss(recovery: PartitionRecovery) -> str:
    """One line on what a crash tore off a partition."""
    kept = ", ".join(recovery.torn_files)
    return (
        f"a crash tore off {recovery.lost_bytes} bytes in {recovery.lost_batches} batches behind "
        f"offset {recovery.state.log_end} ({recovery.good_batches_behind} of them good), kept in "
        f"{kept}"
    )
