"""Verifying one partition's folder: its segments, and the files beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.finding import Finding, PartitionFindings
from streamlog.storage.hidden_files import find_hidden
from streamlog.storage.leader_epochs import LeaderEpochs, read_leader_epochs
from streamlog.storage.loading import PartitionFiles, sort_names
from streamlog.storage.log_verification import LogVerification
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
    parse_segment_name,
    segment_name,
)
from streamlog.storage.partition_metadata import read_partition_metadata
from streamlog.storage.partition_recovery import missing_start
from streamlog.storage.producer_snapshot import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.log_verification import Published
    from streamlog.storage.shared import PartitionState

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
    is_cleaned: Callable[[], bool],
    published: Published,
    advance: Callable[[int], None],
) -> list[Finding]:
    """What is wrong in a partition's folder; changes nothing.

    `published` tells the state of a partition that is being written to, None for one that nobody
    has open: what lies behind its end is nobody's yet, and what lies before its start is no record
    any more. `recovery_point` and `log_start` are the checkpoints', 0 when absent. `is_cleaned`
    tells whether compaction may have taken offsets out.
    """
    findings = PartitionFindings(topic, partition)
    state = published()
    files = sort_names(filesystem.listdir(directory))
    first = _verify_hidden(filesystem, directory, files, log_start, state, findings)
    _verify_names(filesystem, directory, files, first, state, findings)
    _verify_topic_id(filesystem, directory, topic, findings)
    epochs = _verify_epochs(filesystem, directory, findings)
    if state is None:
        for text in missing_start(directory, epochs, log_start, files):
            findings.error("missing_records", directory, text.removeprefix(f"{directory}: "))
    end = LogVerification(
        filesystem,
        directory,
        findings,
        epochs=epochs,
        published=published,
        log_start=log_start,
        recovery_point=recovery_point,
        is_cleaned=is_cleaned,
        may_be_torn=not clean,
        advance=advance,
    ).run()
    if state is not None:
        end, log_start = state.log_end, state.log_start
    _verify_end(directory, end, recovery_point, log_start, findings, may_be_torn=not clean)
    end = max(end, log_start)
    latest = epochs.latest
    if latest is not None and latest.start_offset > end:
        findings.warning(
            "leader_epoch",
            f"{directory}/{LEADER_EPOCHS}",
            f"epoch {latest.epoch} starts at {latest.start_offset}, behind the log's end {end}",
        )
    _verify_snapshots(filesystem, directory, files, first, end, findings)
    return findings.found


def _verify_hidden(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    log_start: int,
    state: PartitionState | None,
    findings: PartitionFindings,
) -> int:
    """Where the first segment begins that holds a record; what lies below it is no record.

    In a directory that is in use somebody is about to remove it.
    """
    if not files.segments:
        return 0
    if state is not None:
        log_start = state.log_start
        return max((base for base in files.segments if base <= log_start), default=0)
    hidden = find_hidden(filesystem, directory, log_start, files.segments[-1])
    for base in hidden.bases:
        findings.warning(
            "below_log_start",
            f"{directory}/{segment_name(base, LOG)}",
            f"the log starts at {log_start}: its records are deleted, and opening removes it",
        )
    return hidden.keep


def _verify_end(
    directory: str,
    end: int,
    recovery_point: int,
    log_start: int,
    findings: PartitionFindings,
    *,
    may_be_torn: bool,
) -> None:
    """The log's end against what the checkpoints say."""
    if end < recovery_point and log_start < recovery_point:
        findings.error(
            "missing_records",
            directory,
            f"records up to offset {recovery_point} were on the disk; the log ends at {end}",
            offset=end,
        )
    if end < log_start:
        # Unsynced records may be deleted, and then be lost: nothing is missing.
        report = findings.warning if may_be_torn else findings.error
        report("log_start", directory, f"the log starts at {log_start}, behind its end {end}")


def _verify_names(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    first: int,
    state: PartitionState | None,
    findings: PartitionFindings,
) -> None:
    """The names that are no record's. What lies before segment `first` is reported already."""
    segments = frozenset(files.segments)
    fixed = {LEADER_EPOCHS, PARTITION_METADATA, QUORUM_STATE}
    for name in sorted(files.names - fixed):
        path = f"{directory}/{name}"
        parsed = parse_segment_name(name)
        if parsed is not None and parsed.base_offset < first and parsed.suffix in _KNOWN_SUFFIXES:
            continue
        if name.endswith(TORN):
            size = filesystem.file_size(path)
            findings.warning("torn_file", path, f"{size} bytes that a recovery cut and kept")
        elif name.endswith((DELETED, CLEANED, SWAP, ".tmp")):
            if state is None:  # else somebody may be at it
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
    first: int,
    log_end: int,
    findings: PartitionFindings,
) -> None:
    for offset in (each for each in files.snapshots if each >= first):
        path = f"{directory}/{segment_name(offset, SNAPSHOT)}"
        try:
            read_snapshot(filesystem, directory, offset)
        except CorruptDirectoryError as error:
            findings.error("snapshot", path, str(error), offset=offset)
        except FileNotFoundError:
            continue  # removed meanwhile by who writes
        if offset > log_end:
            findings.error("snapshot", path, f"it is behind the log's end {log_end}", offset=offset)
