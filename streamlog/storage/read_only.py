"""What a partition holds, found out without changing anything: for who only reads.

Nothing of a partition's files is trusted but batches that check and continue the offsets. The
indexes are used as far as they say what the scan of the active segment says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.names import (
    LOG,
    OFFSET_INDEX,
    SWAP,
    TIME_INDEX,
    parse_segment_name,
    segment_name,
)
from streamlog.storage.segment_file import SegmentFile
from streamlog.storage.segment_scan import SegmentScan, scan_on
from streamlog.storage.shared import PartitionState

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem


def load_for_reading(
    filesystem: Filesystem, directory: str, log_start: int, previous: PartitionState | None
) -> PartitionState:
    """The state that the files bear out; `previous` is what they did before, to go on from.

    A folder that is not there is an empty partition. A torn tail is not read. Raises
    `CorruptDirectoryError` where a compaction was interrupted: old segments and new ones are there.
    """
    before = previous or PartitionState()
    if not filesystem.is_directory(directory):
        return before
    names = filesystem.listdir(directory)
    if any(name.endswith(SWAP) for name in names):
        raise CorruptDirectoryError(
            f"a compaction of {directory} was interrupted; opening it for writing finishes it",
            file=directory,
        )
    parsed = map(parse_segment_name, names)
    bases = sorted(name.base_offset for name in parsed if name is not None and name.suffix == LOG)
    if not bases:
        return before
    base_offset = bases[-1]
    goes_on = previous is not None and previous.base_offset == base_offset
    scan = SegmentScan(base_offset, 0, next_offset=base_offset)
    if previous is not None and goes_on:
        scan.position, scan.next_offset = previous.end_position, previous.log_end
        scan.max_timestamp = previous.largest_timestamp
        scan.max_timestamp_offset = previous.largest_timestamp_offset
    _scan_tail(filesystem, f"{directory}/{segment_name(base_offset, LOG)}", scan)
    log_start = max(bases[0], log_start, before.log_start)
    log_end = max(scan.next_offset, log_start)  # a crash may leave less than was removed
    state = before._replace(
        log_start=log_start,
        log_end=log_end,
        end_position=scan.position,
        high_watermark=log_end,
        last_stable_offset=log_end,  # so far as nobody asks the producers
        base_offset=base_offset,
        largest_timestamp=scan.max_timestamp,
        largest_timestamp_offset=scan.max_timestamp_offset,
        producer_batch_end=scan.next_offset,  # who wants to know of producers reads the log
    )
    if not goes_on:
        state = state._replace(
            generation=0 if previous is None else previous.generation + 1,
            offset_index_size=_agreeing(
                filesystem, directory, base_offset, OFFSET_INDEX, scan.offset_index
            ),
            time_index_size=_agreeing(
                filesystem, directory, base_offset, TIME_INDEX, scan.time_index
            ),
        )
    return state


def _scan_tail(filesystem: Filesystem, path: str, scan: SegmentScan) -> None:
    source = SegmentFile(filesystem, path, 0, writable=False)
    try:
        scan.size = source.size_at_open
        scan_on(source, scan, check_crc_from=scan.position)
    finally:
        source.close()


def _agreeing(
    filesystem: Filesystem, directory: str, base_offset: int, suffix: str, expected: bytearray
) -> int:
    """How much of an index may be used: all that it should hold, or nothing."""
    path = f"{directory}/{segment_name(base_offset, suffix)}"
    if not filesystem.exists(path):
        return 0
    agrees = filesystem.read_file(path)[: len(expected)] == expected
    return len(expected) if agrees else 0
