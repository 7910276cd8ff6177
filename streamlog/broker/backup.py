"""Backing up a log: a copy of it as it is at one instant, while others write, delete and compact.

backup_cut        the instant: the state of every partition, and who may change segments meanwhile
backup_partition  what the backup has of each partition: as a clean close would leave it
backup_files      files linked where nobody writes to them again, copied up to their end elsewhere
backup_place      where it goes: made beside it, put there at once, the former one kept until then
backup_manifest   what it says of itself, so that the next one copies only what is new

The result is a log directory that was closed cleanly. Restoring it is opening it, for a Kafka
broker, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from streamlog.broker.backup_cut import Freeze
from streamlog.broker.backup_files import BackupFiles, FileCut
from streamlog.broker.backup_manifest import Manifest, encode_manifest
from streamlog.broker.backup_partition import PartitionPlan, finish_partition, plan_partition
from streamlog.broker.backup_place import BackupPlace, hold_place
from streamlog.broker.closing import CLEAN_MARK, closing_checkpoints
from streamlog.broker.memory_directory import OS_FILES, MemoryFilesystem
from streamlog.broker.parallel import THREADS, in_parallel
from streamlog.broker.typed_errors import typed_errors
from streamlog.errors import CorruptDirectoryError
from streamlog.storage import failures, names
from streamlog.storage.checkpoints import format_offset_checkpoint, read_offset_checkpoint
from streamlog.storage.folder import directory_mode
from streamlog.types import BackupReport, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.backup_cut import PartitionCut
    from streamlog.broker.engine import Engine
    from streamlog.storage.filesystem import Filesystem

Progress = Callable[[int, int], None]

_FILES_A_ROUND = 64


def back_up(
    engine: Engine, destination: str, *, progress: Progress | None = None, link: bool = True
) -> BackupReport:
    """Make a backup of the engine's directory at `destination`. See `StreamLog.backup`."""
    engine.check_writable()
    engine.sync()  # most of what is not on the disk yet; what comes after is copied, not linked
    filesystem = engine.filesystem
    if isinstance(filesystem, MemoryFilesystem):
        filesystem = OS_FILES  # a log that is never synced has backups that are
    opening = engine._opening
    with (
        typed_errors(destination),
        hold_place(
            filesystem, destination, opening.place.path, opening.meta, opening.mode
        ) as place,
    ):
        return _Backup(engine, filesystem, place, progress, link=link).make()


class _Backup:
    """One run. Used once."""

    def __init__(
        self,
        engine: Engine,
        filesystem: Filesystem,
        place: BackupPlace,
        progress: Progress | None,
        *,
        link: bool,
    ) -> None:
        self._engine = engine
        self._filesystem = filesystem
        self._source = engine.place.path
        self._place = place
        self._progress = progress
        self._done = self._total = 0
        self._files = BackupFiles(
            filesystem,
            self._source,
            place.building,
            place.former,
            mode=engine._opening.mode,
            link=link,
            progress=self._advance,
        )

    def make(self) -> BackupReport:
        """All of it, in order: the instant, the files, the top of the directory, its name."""
        with Freeze(self._engine) as freeze:
            cleaned = self._read_cleaner_offsets()
            plans = [plan for cut in freeze.partitions if (plan := self._plan(cut)) is not None]
            self._total = sum(file.length for plan in plans for file in plan.files)
            for plan_group in _rounds(plans):
                self._add(plan_group)
                for plan in plan_group:
                    freeze.let_go(plan.cut)
        self._finish_top(plans, cleaned)
        self._place.put_in_place()
        self._report_progress()
        return self._report(plans)

    # ------------------------------------------------------------ partitions

    def _plan(self, cut: PartitionCut) -> PartitionPlan | None:
        try:
            return plan_partition(self._filesystem, cut)
        except OSError as error:
            raise failures.cannot_read(cut.log, error) from error

    def _add(self, plans: list[PartitionPlan]) -> None:
        """Have the folders of some partitions, whole and on the disk but for their names."""
        for plan in plans:
            path = f"{self._place.building}/{plan.folder}"
            self._filesystem.mkdir(path, directory_mode(self._engine._opening.mode))
        files = [file for plan in plans for file in plan.files]
        in_parallel(self._files.add, files, threads=self._threads)
        self._check()
        in_parallel(lambda plan: finish_partition(self._files, plan), plans, threads=self._threads)

    def _check(self) -> None:
        """Raise what went wrong with a file."""
        if self._files.failure is not None:
            raise self._files.failure

    @property
    def _threads(self) -> int:
        return THREADS if self._filesystem.is_operating_system else 1

    # ------------------------------------------------------------ the top of the directory

    def _finish_top(self, plans: list[PartitionPlan], cleaned: dict[tuple[str, int], int]) -> None:
        """What a clean close writes, the identity, the manifest; all of it on the disk."""
        files, filesystem = self._files, self._filesystem
        states = {(plan.cut.log.topic, plan.cut.log.partition): plan.cut.state for plan in plans}
        for name in (names.META, names.STREAMLOG_PROPERTIES, names.BOOTSTRAP):
            if filesystem.exists(f"{self._source}/{name}"):
                files.add(FileCut(name, filesystem.file_size(f"{self._source}/{name}")))
        self._check()
        checkpoints = closing_checkpoints(states)
        checkpoints[names.CLEANER_OFFSETS] = {
            # Also what it says of logs that are not compacted any more: they have gaps.
            key: min(offset, states[key].log_end)
            for key, offset in cleaned.items()
            if key in states
        }
        for name, offsets in checkpoints.items():
            if offsets or name in (names.RECOVERY_POINTS, names.HIGH_WATERMARKS):
                files.write(name, format_offset_checkpoint(offsets))
        files.write(names.STREAMLOG_BACKUP, encode_manifest(self._manifest(checkpoints)))
        files.write(names.CLEAN, CLEAN_MARK)
        filesystem.sync_directory(self._place.building)

    def _manifest(self, checkpoints: dict[str, dict[tuple[str, int], int]]) -> Manifest:
        meta = self._engine._opening.meta
        ends = checkpoints[names.RECOVERY_POINTS]
        return Manifest(
            cluster_id=meta.cluster_id,
            directory_id=meta.directory_id,
            ends=[(topic, partition, end) for (topic, partition), end in ends.items()],
            segments=self._files.identities,
        )

    def _read_cleaner_offsets(self) -> dict[tuple[str, int], int]:
        """How far compaction is. Under the metadata log's structure byte, as it is written."""
        path = f"{self._source}/{names.CLEANER_OFFSETS}"
        try:
            return read_offset_checkpoint(self._filesystem, path)
        except CorruptDirectoryError:
            return {}  # it vouches for nothing: everything is to be compacted again

    # ------------------------------------------------------------ what is told

    def _advance(self, size: int) -> None:
        """Bytes that were dealt with."""
        self._done += size
        self._report_progress()

    def _report_progress(self) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)

    def _report(self, plans: Iterable[PartitionPlan]) -> BackupReport:
        files = self._files
        return BackupReport(
            path=self._place.path,
            ends={
                TopicPartition(plan.cut.log.topic, plan.cut.log.partition): plan.cut.state.log_end
                for plan in plans
                if plan.cut.log.topic != names.METADATA_TOPIC
            },
            segments_linked=files.linked,
            segments_copied=files.copied,
            bytes_linked=files.bytes_linked,
            bytes_copied=files.bytes_copied,
        )


def _rounds(plans: list[PartitionPlan]) -> Iterator[list[PartitionPlan]]:
    """The metadata log alone, for whoever creates topics; then partitions with enough files."""
    if plans:
        yield plans[:1]
    group: list[PartitionPlan] = []
    for plan in plans[1:]:
        group.append(plan)
        if sum(len(each.files) for each in group) >= _FILES_A_ROUND:
            yield group
            group = []
    if group:
        yield group
