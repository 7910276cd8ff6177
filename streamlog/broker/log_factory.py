"""Making the log of a partition: its slot, assigned at the first use by anybody, and its settings.

And the other end: what is done to a deleted topic's partition. Nobody can append any more, and
who restructures it lets go; then the folder's name is free, then the files go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from streamlog.broker import folders
from streamlog.broker.flush_timer import FlushTimer
from streamlog.broker.recovering import METADATA_CONFIG, UNUSABLE
from streamlog.config import TopicConfig
from streamlog.errors import CorruptDirectoryError, ReadOnlyError, UnknownTopicError
from streamlog.protocol import Uuid
from streamlog.storage.cleaner_checkpoint import CleanerOffsets
from streamlog.storage.log_settings import LogSettings
from streamlog.storage.names import partition_directory_name
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.shared import PartitionState
from streamlog.storage.structure import structure_lock

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import TopicImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.broker.opening import Opening
    from streamlog.broker.partitions import OpenPartitions

_METADATA_SLOT = 0
_POISONED = PartitionState._fields.index("poisoned")


class LogFactory:
    """Makes partition logs that have no files open yet. `on_open` is called when one opens them.

    `metadata` is set once there is one: the metadata log itself is the first that is made.
    `assign` gives a partition its slot, and `look` brings its state up to date: who only reads
    keeps slots of its own.
    """

    def __init__(
        self, opening: Opening, lock_timeout_ms: int, on_open: Callable[[PartitionLog], None]
    ) -> None:
        self.metadata: MetadataLog | None = None
        self.assign: Callable[[bytes, int, str], int] | None = None
        self.look: Callable[[bytes, int], None] | None = None
        self.flush_timer = FlushTimer(opening.clock)
        self._opening = opening
        self._on_open = on_open
        self._lock = threading.Lock()
        self._cleaned = CleanerOffsets(opening.filesystem, opening.place.path)
        self._settings = LogSettings(
            lock_timeout_ms=lock_timeout_ms,
            file_mode=opening.mode,
            use_maps=opening.place.mappable and not opening.read_only,
            durable=opening.place.durable and not opening.read_only,
            read_only=opening.read_only,
        )

    def make(self, topic_id: bytes, partition: int, topic: str) -> PartitionLog:
        """The log of a partition that the metadata names.

        Raises `UnknownTopicError` when it was deleted a moment ago.
        """
        folder = partition_directory_name(topic, partition)
        directory = f"{self._opening.place.path}/{folder}"
        slot, config = _METADATA_SLOT, METADATA_CONFIG
        if self.metadata is not None:
            with self.metadata.lock:
                image = self.metadata.image
                found = image.topic_by_id(Uuid(topic_id))
                config = TopicConfig.from_overrides({}) if found is None else image.config_of(found)
            if self.assign is not None:
                slot = self.assign(topic_id, partition, directory)
            else:
                slot = self._find_slot(topic_id, partition, topic, directory)
        log = PartitionLog(
            self._opening.filesystem,
            self._opening.shared,
            slot,
            directory,
            self._opening.locks_descriptor,
            topic=topic,
            partition=partition,
            topic_id=topic_id,
            config=config,
            settings=self._settings,
        )
        if not config.is_compacted and (topic, partition) in self._cleaned.offsets:
            log.expect_gaps()
        log.on_open = self._on_open
        if self.look is not None:
            log.on_look = partial(self.look, topic_id, partition)
        self.watch(log)
        if self._opening.read_only:
            place = self._opening.place.path
            log.refuse(lambda: ReadOnlyError(f"{place} is open for reading only"))
        return log

    def watch(self, log: PartitionLog) -> None:
        """Sync the log from time to time, if its topic asks for it."""
        if not self._opening.read_only:
            self.flush_timer.watch(log)

    def _find_slot(self, topic_id: bytes, partition: int, topic: str, directory: str) -> int:
        shared = self._opening.shared
        with self._lock:
            slot = shared.find_slot(topic_id, partition)
            if slot is None:
                slot = self._assign_slot(topic_id, partition, topic, directory)
        return slot

    def _assign_slot(self, topic_id: bytes, partition: int, topic: str, directory: str) -> int:
        assert self.metadata is not None
        # Records may follow at once, and the folder before them: the topic comes first.
        self.metadata.sync()
        with self.metadata.lock:
            image = self.metadata.image.topic_by_id(Uuid(topic_id))
            removed = set(self.metadata.image.removed)
            if image is None:
                raise UnknownTopicError(
                    f"topic {topic!r} was deleted", topic=topic, partition=partition, nearest=None
                )
            state = PartitionState(leader_epoch=image.partitions[partition].leader_epoch)
        shared = self._opening.shared
        with self.metadata.log.locked():
            slot = shared.find_slot(topic_id, partition)
            if slot is None:
                # Nobody wrote to this partition: what is there is of a topic deleted before.
                folders.clear_former(self._opening.filesystem, directory, removed)
                slot = shared.assign_slot(topic_id, partition, state)
        return slot


def check_files(opening: Opening, log: PartitionLog) -> None:
    """Raises `CorruptDirectoryError` when recovery found the partition's records gone."""
    if opening.shared.map.state_word(log.slot, _POISONED) == UNUSABLE:
        raise CorruptDirectoryError(
            f"{log.directory} held records that were on the disk, and is gone; restore it from "
            "a copy while the log is closed, or delete the topic",
            topic=log.topic,
            partition=log.partition,
            file=log.directory,
        )


def mark_deleted(
    opening: Opening, partitions: OpenPartitions, topic: TopicImage, partition: int
) -> None:
    """Refuse every later append, and let go of a partition that the metadata does not have."""
    shared = opening.shared
    slot = shared.find_slot(topic.topic_id, partition)
    if slot is not None:
        log = partitions.get(topic.topic_id, partition, topic.name)
        with log.locked():
            shared.mark_deleted(slot)
        log.abandon()


def remove_partition(
    opening: Opening, partitions: OpenPartitions, topic: TopicImage, partition: int
) -> None:
    """Remove the folder of a partition that is marked, when nobody restructures it any more.

    Raises `LockTimeoutError`: the next lone opening removes it then.
    """
    directory = f"{opening.place.path}/{partition_directory_name(topic.name, partition)}"
    with ExitStack() as stack:
        if opening.shared.find_slot(topic.topic_id, partition) is not None:
            log = partitions.get(topic.topic_id, partition, topic.name)
            stack.enter_context(structure_lock(log))
            partitions.forget(topic.topic_id, partition)
        if opening.filesystem.is_directory(directory):
            aside = folders.set_aside(opening.filesystem, directory, "-delete")
            folders.remove_folder(opening.filesystem, aside)
