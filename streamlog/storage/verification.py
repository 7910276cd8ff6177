"""Verifying a directory: every batch, index and checkpoint, and what is wrong where.

Nothing is changed, and nothing is repaired. A directory that is being written to is verified
up to what its slots publish. A finding is an `error` (damage, or files that contradict each
other) or a `warning` (what a crash leaves and opening repairs; what does not belong there).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError, CorruptRecordError, StorageError
from streamlog.record.kernel import RecordBatch
from streamlog.record.verify import verify_batch_records
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.finding import Finding, PartitionFindings
from streamlog.storage.names import (
    BOOTSTRAP,
    CHECKPOINT,
    CLEAN,
    CLEANER_OFFSETS,
    FOLDER_SUFFIXES,
    HIGH_WATERMARKS,
    LOG,
    LOG_STARTS,
    META,
    METADATA_TOPIC,
    RECOVERY_POINTS,
    STREAMLOG_PROPERTIES,
    parse_partition_directory,
    partition_directory_name,
)
from streamlog.storage.partition_verification import verify_partition
from streamlog.storage.properties import read_meta_properties, read_streamlog_format

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.shared import PartitionState

    Progress = Callable[[int, int], None]
    Published = Mapping[tuple[str, int], PartitionState]

_REMOTE_INDEX_CACHE = "remote-log-index-cache"


def verify_directory(
    filesystem: Filesystem,
    path: str,
    progress: Progress | None = None,
    *,
    published: Published | None = None,
) -> Iterator[Finding]:
    """What is wrong in the log directory at `path`, as it is found; changes nothing.

    `progress(done_bytes, total_bytes)` is called as the segments are read. `published` gives
    the states of partitions that others may be writing to, by (topic, partition).
    """
    names = filesystem.listdir(path)
    folders = [name for name in names if filesystem.is_directory(f"{path}/{name}")]
    findings = PartitionFindings()
    _verify_identity(filesystem, path, names, findings)
    checkpoints = {
        name: _read_checkpoint(filesystem, path, name, findings)
        for name in (RECOVERY_POINTS, LOG_STARTS, HIGH_WATERMARKS, CLEANER_OFFSETS)
    }
    _verify_checkpoint_names(path, folders, checkpoints, findings)
    _verify_folders(path, folders, findings)
    yield from findings.found
    meter = _Meter(_total_bytes(filesystem, path, folders), progress)
    clean = CLEAN in names
    for folder in folders:
        parsed = parse_partition_directory(folder)
        if parsed is None:
            continue
        key = (parsed.topic, parsed.partition)
        yield from verify_partition(
            filesystem,
            f"{path}/{folder}",
            *key,
            clean=clean,
            recovery_point=checkpoints[RECOVERY_POINTS].get(key, 0),
            log_start=checkpoints[LOG_STARTS].get(key, 0),
            is_cleaned=partial(_is_cleaned, filesystem, path, key, names),
            published=_asking(published, key),
            advance=meter.advance,
        )
        if parsed.topic == METADATA_TOPIC:
            yield from _verify_batch_files(filesystem, f"{path}/{folder}", *key)
    meter.finish()


def _asking(
    published: Published | None, key: tuple[str, int]
) -> Callable[[], PartitionState | None]:
    """How to ask for the state of one partition, as it is whenever it is asked for."""
    return lambda: None if published is None else published.get(key)


def _is_cleaned(
    filesystem: Filesystem, path: str, key: tuple[str, int], names: Collection[str]
) -> bool:
    """Whether compaction may have taken offsets out of a log.

    Ours says so in its checkpoint before it does; a broker only afterwards, so in a directory
    that is a broker's nobody can know.
    """
    if STREAMLOG_PROPERTIES not in names:
        return True
    try:
        return key in read_offset_checkpoint(filesystem, f"{path}/{CLEANER_OFFSETS}")
    except CorruptDirectoryError:  # a finding of its own
        return True


class _Meter:
    """Turns bytes read into calls of `progress`."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self.advance(0)

    def advance(self, size: int) -> None:
        self._done = min(self._done + size, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def finish(self) -> None:
        if self._done < self._total:
            self.advance(self._total - self._done)


def _total_bytes(filesystem: Filesystem, path: str, folders: list[str]) -> int:
    total = 0
    for folder in folders:
        if parse_partition_directory(folder) is not None:
            for name in filesystem.listdir(f"{path}/{folder}"):
                if name.endswith(LOG):
                    total += filesystem.file_size(f"{path}/{folder}/{name}")
    return total


def _verify_identity(
    filesystem: Filesystem, path: str, names: list[str], findings: PartitionFindings
) -> None:
    try:
        if META in names:
            read_meta_properties(filesystem, path)
        else:
            findings.error("identity", f"{path}/{META}", "it is missing")
    except CorruptDirectoryError as error:
        findings.error("identity", f"{path}/{META}", str(error))
    try:
        read_streamlog_format(filesystem, path)
    except StorageError as error:
        findings.error("identity", f"{path}/{STREAMLOG_PROPERTIES}", str(error))
    if BOOTSTRAP in names:
        _verify_batch_file(filesystem, f"{path}/{BOOTSTRAP}", findings)


def _read_checkpoint(
    filesystem: Filesystem, path: str, name: str, findings: PartitionFindings
) -> dict[tuple[str, int], int]:
    try:
        return read_offset_checkpoint(filesystem, f"{path}/{name}")
    except CorruptDirectoryError as error:
        findings.error("checkpoint", f"{path}/{name}", str(error))
        return {}


def _verify_checkpoint_names(
    path: str,
    folders: list[str],
    checkpoints: dict[str, dict[tuple[str, int], int]],
    findings: PartitionFindings,
) -> None:
    """A durable mark above 0 whose folder is gone is lost data; other leftovers are harmless."""
    present = frozenset(folders)
    for name, offsets in checkpoints.items():
        for (topic, partition), offset in offsets.items():
            folder = partition_directory_name(topic, partition)
            if folder in present or offset == 0:
                continue
            text = f"it says offset {offset} of {folder}, whose folder is missing"
            if name == RECOVERY_POINTS:
                findings.error("missing_folder", f"{path}/{folder}", text)
            else:
                findings.warning("checkpoint", f"{path}/{name}", text)


def _verify_folders(path: str, folders: list[str], findings: PartitionFindings) -> None:
    for folder in folders:
        if parse_partition_directory(folder) is not None or folder == _REMOTE_INDEX_CACHE:
            continue
        where = f"{path}/{folder}"
        if folder.endswith(FOLDER_SUFFIXES):
            findings.warning("leftover", where, "a folder that is no longer a partition")
        else:
            findings.error("stray_folder", where, "no partition's name: a broker refuses to start")


def _verify_batch_files(
    filesystem: Filesystem, directory: str, topic: str, partition: int
) -> list[Finding]:
    """The snapshots of the metadata log: files of batches."""
    findings = PartitionFindings(topic, partition)
    for name in filesystem.listdir(directory):
        if name.endswith(CHECKPOINT):
            _verify_batch_file(filesystem, f"{directory}/{name}", findings)
    return findings.found


def _verify_batch_file(filesystem: Filesystem, path: str, findings: PartitionFindings) -> None:
    data = filesystem.read_file(path)
    position = 0
    while position < len(data):
        try:
            batch = RecordBatch(data, position)
            verify_batch_records(batch)
        except (CorruptRecordError, StorageError) as error:
            reason = str(error.context.get("reason", error))
            findings.error("bad_batch", path, reason, position=position)
            return
        position += batch.size
