"""Verifying one partition's folder: its segments, and the files beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.finding import Finding, PartitionFindings
from streamlog.storage.leader_epochs import LeaderEpochs, read_leader_epochs
from streamlog.storage.loading import PartitionFiles, sort_names
from streamlog.storage.names import (
    CHECKPOINT,
    CLEANED,
    DELETED,
    INDEX_SUFFIXES,
    LEADER_EPOCHS,
    LOG,
    METADATA_TOPIC,
    PARTITION_METADATA,
    QUORUM_STATE,
    SNAPSHOT,
    SWAP,
    TORN,
    TRANSACTION_INDEX,
    parse_segment_name,
    segment_name,
)
from streamlog.storage.partition_metadata import read_partition_metadata
from streamlog.storage.producer_snapshot import read_snapshot
from streamlog.storage.segment_verification import SegmentVerification

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.shared import PartitionState

_TRANSACTION_ENTRY_SIZE: Final = 34
_KNOWN_SUFFIXES: Final = frozenset({LOG, SNAPSHOT, *INDEX_SUFFIXES})


def verify_partition(
    filesystem: Filesystem,
    directory: str,
    topic: str,
    partition: int,
    *,
    clean: bool,
    recovery_point: int,
    log_start: int,
    published: PartitionState | None,
    advance: Callable[[int], None],
) -> list[Finding]:
    """What is wrong in a partition's folder; changes nothing.

    `published` is the state of a partition that is being written to: what lies behind its end
    is nobody's yet. `recovery_point` and `log_start` are the checkpoints', 0 when absent.
    """
    findings = PartitionFindings(topic, partition)
    files = sort_names(filesystem.listdir(directory))
    _verify_names(filesystem, directory, files, findings)
    _verify_topic_id(filesystem, directory, topic, findings)
    epochs = _verify_epochs(filesystem, directory, findings)
    end = _verify_segments(
        filesystem, directory, files, epochs, findings, clean, published, advance
    )
    log_end = end if published is None else published.log_end
    if log_end < recovery_point:
        findings.error(
            "missing_records",
            directory,
            f"records up to offset {recovery_point} were on the disk; the log ends at {log_end}",
            offset=log_end,
        )
    if log_end < log_start:
        findings.error(
            "log_start", directory, f"the log starts at {log_start}, behind its end {log_end}"
        )
    latest = epochs.latest
    if latest is not None and latest.start_offset > log_end:
        findings.warning(
            "leader_epoch",
            f"{directory}/{LEADER_EPOCHS}",
            f"epoch {latest.epoch} starts at {latest.start_offset}, behind the log's end {log_end}",
        )
    _verify_snapshots(filesystem, directory, files, log_end, findings)
    return findings.found


def _verify_segments(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    epochs: LeaderEpochs,
    findings: PartitionFindings,
    clean: bool,
    published: PartitionState | None,
    advance: Callable[[int], None],
) -> int:
    """Every segment; the offset behind the last one."""
    segments = files.segments
    if published is not None:
        segments = [base for base in segments if base <= published.base_offset]
    end = segments[0] if segments else 0
    leader_epoch = -1
    for base_offset in segments:
        path = f"{directory}/{segment_name(base_offset, LOG)}"
        if base_offset < end and filesystem.file_size(path) == 0:
            findings.warning("empty_segment", path, "a roll that was given up left it")
            continue
        if base_offset < end:
            findings.error(
                "overlap", path, f"it starts at {base_offset}, the one before ends at {end}"
            )
        is_active = published is not None and base_offset == published.base_offset
        limits = published if is_active else None
        verification = SegmentVerification(
            filesystem,
            directory,
            base_offset,
            findings,
            epochs=epochs,
            leader_epoch=leader_epoch,
            limit=None if limits is None else limits.end_position,
            offset_index_size=None if limits is None else limits.offset_index_size,
            time_index_size=None if limits is None else limits.time_index_size,
            may_be_torn=not clean and published is None and base_offset == segments[-1],
            advance=advance,
        )
        verification.run()
        _verify_transaction_index(filesystem, directory, files, base_offset, findings)
        end, leader_epoch = verification.next_offset, verification.leader_epoch
    return end


def _verify_names(
    filesystem: Filesystem, directory: str, files: PartitionFiles, findings: PartitionFindings
) -> None:
    segments = frozenset(files.segments)
    fixed = {LEADER_EPOCHS, PARTITION_METADATA, QUORUM_STATE}
    for name in sorted(files.names - fixed):
        path = f"{directory}/{name}"
        parsed = parse_segment_name(name)
        if name.endswith(TORN):
            size = filesystem.file_size(path)
            findings.warning("torn_file", path, f"{size} bytes that a recovery cut and kept")
        elif name.endswith((DELETED, CLEANED, SWAP, ".tmp")):
            findings.warning("leftover", path, "an interrupted change; opening finishes it")
        elif name.endswith(CHECKPOINT):
            continue
        elif parsed is None or parsed.suffix not in _KNOWN_SUFFIXES:
            findings.warning("unknown_file", path, "no file of a log; it is left alone")
        elif parsed.suffix in INDEX_SUFFIXES and parsed.base_offset not in segments:
            findings.warning("orphan_index", path, "an index without its segment")


def _verify_topic_id(
    filesystem: Filesystem,
    directory: str,
    topic: str,
    findings: PartitionFindings,
) -> None:
    path = f"{directory}/{PARTITION_METADATA}"
    try:
        if read_partition_metadata(filesystem, directory) is None and topic != METADATA_TOPIC:
            findings.warning(
                "partition_metadata", path, "it is missing, so a broker would call this stray"
            )
    except CorruptDirectoryError as error:
        findings.error("partition_metadata", path, str(error))


def _verify_epochs(
    filesystem: Filesystem, directory: str, findings: PartitionFindings
) -> LeaderEpochs:
    try:
        return read_leader_epochs(filesystem, directory)
    except CorruptDirectoryError as error:
        findings.error("leader_epoch", f"{directory}/{LEADER_EPOCHS}", str(error))
        return LeaderEpochs()


def _verify_snapshots(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    log_end: int,
    findings: PartitionFindings,
) -> None:
    for offset in files.snapshots:
        path = f"{directory}/{segment_name(offset, SNAPSHOT)}"
        try:
            read_snapshot(filesystem, directory, offset)
        except CorruptDirectoryError as error:
            findings.error("snapshot", path, str(error), offset=offset)
        except FileNotFoundError:
            continue  # removed meanwhile by who writes
        if offset > log_end:
            findings.error("snapshot", path, f"it is behind the log's end {log_end}", offset=offset)


def _verify_transaction_index(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    base_offset: int,
    findings: PartitionFindings,
) -> None:
    name = segment_name(base_offset, TRANSACTION_INDEX)
    if name not in files.names:
        return
    size = filesystem.file_size(f"{directory}/{name}")
    if size % _TRANSACTION_ENTRY_SIZE:
        findings.error(
            "index",
            f"{directory}/{name}",
            f"its size {size} is no multiple of {_TRANSACTION_ENTRY_SIZE}",
        )
