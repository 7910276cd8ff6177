"""Walks the batches of a segment. The compiled twin is in `_scan.pyx`."""

from __future__ import annotations

import zlib

from streamlog.record import layout
from streamlog.record.byteslike import BytesLike
from streamlog.record.checksum import KEEP_GIL_IF_SHORT, RELEASE_GIL, crc32c
from streamlog.record.layout import (
    DEFAULT_INDEX_INTERVAL_BYTES,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAX_INT32,
    MAX_INT64,
    increment_sequence,
)
from streamlog.record.scan_outcome import ProducerBatch, ScanOutcome, StopReason

_SEARCH_LIMIT = 64 * 1024 * 1024
"""Bytes that `count_good_batches` looks at."""

_SEARCH_CRC_LIMIT = 4 * _SEARCH_LIMIT
"""Bytes that it takes CRCs of: whatever the bytes are, it ends."""


def scan_segment(
    buffer: BytesLike,
    *,
    start: int,
    end: int,
    segment_base_offset: int,
    expected_offset: int,
    check_crc_from: int = 0,
    no_gaps_from: int = MAX_INT64,
    index_interval_bytes: int = DEFAULT_INDEX_INTERVAL_BYTES,
    previous_max_timestamp: int = -1,
    previous_max_timestamp_offset: int = -1,
    bytes_since_index_entry: int = 0,
    last_time_index_timestamp: int = -1,
    previous_leader_epoch: int = -1,
    buffer_position: int = 0,
    release_gil: bool = False,
) -> ScanOutcome:
    """Walk the whole batches in `buffer[start:end]` up to the first bad one.

    A batch is good when it fits, has magic 2, matches its CRC (looked at from position
    `check_crc_from` on) and continues the offsets: not before `expected_offset`, and from
    position `no_gaps_from` on exactly there; gaps are what compaction leaves. The `previous_...`
    values carry over from an earlier scan of the same segment. Index entries follow Kafka's rule
    (`LogSegment.append`): before a batch is added, when more than `index_interval_bytes` came
    since the last entry. The buffer begins at byte `buffer_position` of the segment: so count
    the positions in index entries and of producer batches, while all others are the buffer's.
    `release_gil` lets other threads run during each CRC, also of small batches: for who scans in
    several threads. Beside one that computes in Python it would be waited for at each batch.
    """
    view = memoryview(buffer).cast("B")
    if not 0 <= start <= end <= len(view):
        raise ValueError(f"no range from {start} to {end} in {len(view)} bytes")
    if segment_base_offset < 0:
        raise ValueError(f"segment_base_offset must not be negative, not {segment_base_offset}")
    walk = _Walk(segment_base_offset, expected_offset, index_interval_bytes)
    walk.no_gaps_from = no_gaps_from
    walk.max_timestamp = previous_max_timestamp
    walk.max_timestamp_offset = previous_max_timestamp_offset
    walk.bytes_since_index_entry = bytes_since_index_entry
    walk.last_time_index_timestamp = last_time_index_timestamp
    walk.leader_epoch = previous_leader_epoch
    walk.buffer_position = buffer_position
    gil_mode = RELEASE_GIL if release_gil else KEEP_GIL_IF_SHORT
    position = start
    stop: StopReason | None = None
    while position < end and stop is None:
        stop = _frame_problem(view, position, end, position >= check_crc_from, gil_mode)
        if stop is None:
            fields = layout.HEADER.unpack_from(view, position)
            stop = walk.add(fields, position)
        if stop is None:
            position += fields[1] + LOG_OVERHEAD
    return walk.outcome(position, stop)


def _frame_problem(
    view: memoryview, position: int, end: int, check_crc: bool, gil_mode: int
) -> StopReason | None:
    remaining = end - position
    if remaining < layout.MAGIC_END:
        return "short"
    length: int = layout.INT32.unpack_from(view, position + layout.LENGTH_AT)[0]
    if length < layout.MIN_LEGACY_LENGTH:
        return "length"
    magic = view[position + layout.MAGIC_AT]
    if magic != layout.MAGIC:
        return "legacy" if _is_legacy(view, position, length, remaining) else "magic"
    if length < layout.MIN_LENGTH:
        return "length"
    if length > remaining - LOG_OVERHEAD:
        return "torn"
    if check_crc and not _crc_matches(view, position, length + LOG_OVERHEAD, gil_mode):
        return "crc"
    return None


def _crc_matches(
    view: memoryview, position: int, size: int, gil_mode: int = KEEP_GIL_IF_SHORT
) -> bool:
    crc: int = layout.UINT32.unpack_from(view, position + layout.CRC_AT)[0]
    computed: int = crc32c(view[position + layout.ATTRIBUTES_AT : position + size], 0, gil_mode)
    return crc == computed


def _is_legacy(view: memoryview, position: int, length: int, remaining: int) -> bool:
    """Whether a message of format v0 or v1 is here whole: CRC-32 (IEEE) from its magic on."""
    if view[position + layout.MAGIC_AT] > 1 or length > remaining - LOG_OVERHEAD:
        return False
    crc: int = layout.UINT32.unpack_from(view, position + LOG_OVERHEAD)[0]
    body = view[position + layout.MAGIC_AT : position + LOG_OVERHEAD + length]
    return zlib.crc32(body) == crc


class _Walk:
    """What has been gathered from the batches so far."""

    def __init__(self, base_offset: int, next_offset: int, index_interval_bytes: int) -> None:
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.index_interval_bytes = index_interval_bytes
        self.no_gaps_from = MAX_INT64
        self.buffer_position = 0
        self.batch_count = 0
        self.max_timestamp = self.max_timestamp_offset = -1
        self.first_batch_max_timestamp = -1
        self.bytes_since_index_entry = 0
        self.last_time_index_timestamp = -1
        self.leader_epoch = -1
        self.offset_index = bytearray()
        self.time_index = bytearray()
        self.producer_batches: list[ProducerBatch] = []
        self.last_producer_batch_end = -1
        self.epochs: list[tuple[int, int]] = []

    def add(self, fields: tuple[int, ...], position: int) -> StopReason | None:
        """Take in one batch, or say what is wrong with its offsets."""
        (base_offset, length, leader_epoch, _, _, attributes, delta, _, max_timestamp) = fields[:9]
        count = fields[12]
        if delta < 0 or not 0 <= count <= delta + 1:
            return "offset"
        if base_offset < max(self.next_offset, self.base_offset):
            return "offset"
        if base_offset != self.next_offset and position >= self.no_gaps_from:
            return "offset"
        last_offset = base_offset + delta
        if last_offset - self.base_offset > MAX_INT32:
            return "offset"
        if self.batch_count == 0:
            self.first_batch_max_timestamp = max_timestamp
        if max_timestamp > self.max_timestamp:
            self.max_timestamp, self.max_timestamp_offset = max_timestamp, last_offset
        if self.bytes_since_index_entry > self.index_interval_bytes:
            self._index(last_offset, position)
        self.bytes_since_index_entry += length + LOG_OVERHEAD
        if leader_epoch != self.leader_epoch and leader_epoch >= 0:
            self.leader_epoch = leader_epoch
            self.epochs.append((leader_epoch, base_offset))
        if fields[9] >= 0:
            self._note_producer(fields, attributes, last_offset, position)
        self.batch_count += 1
        self.next_offset = last_offset + 1
        return None

    def _index(self, last_offset: int, position: int) -> None:
        self.offset_index += layout.INT32.pack(last_offset - self.base_offset)
        self.offset_index += layout.INT32.pack(self.buffer_position + position)
        if self.max_timestamp > self.last_time_index_timestamp:
            self.time_index += layout.INT64.pack(self.max_timestamp)
            self.time_index += layout.INT32.pack(self.max_timestamp_offset - self.base_offset)
            self.last_time_index_timestamp = self.max_timestamp
        self.bytes_since_index_entry = 0

    def _note_producer(
        self, fields: tuple[int, ...], attributes: int, last_offset: int, position: int
    ) -> None:
        self.producer_batches.append(
            ProducerBatch(
                producer_id=fields[9],
                producer_epoch=fields[10],
                base_sequence=fields[11],
                last_sequence=increment_sequence(fields[11], fields[6]),
                base_offset=fields[0],
                last_offset=last_offset,
                max_timestamp=fields[8],
                is_transactional=bool(attributes & layout.TRANSACTIONAL_BIT),
                is_control=bool(attributes & layout.CONTROL_BIT),
                position=self.buffer_position + position,
            )
        )
        self.last_producer_batch_end = last_offset + 1

    def outcome(self, valid_end: int, stop: StopReason | None) -> ScanOutcome:
        return ScanOutcome(
            valid_end=valid_end,
            next_offset=self.next_offset,
            stop=stop,
            batch_count=self.batch_count,
            max_timestamp=self.max_timestamp,
            max_timestamp_offset=self.max_timestamp_offset,
            first_batch_max_timestamp=self.first_batch_max_timestamp,
            offset_index=bytes(self.offset_index),
            time_index=bytes(self.time_index),
            bytes_since_index_entry=self.bytes_since_index_entry,
            last_time_index_timestamp=self.last_time_index_timestamp,
            producer_batches=self.producer_batches,
            last_producer_batch_end=self.last_producer_batch_end,
            epochs=self.epochs,
        )


def count_good_batches(buffer: BytesLike, start: int) -> int:
    """How many batches with a matching CRC lie anywhere behind `start`; for reports.

    Looks at every position, since behind a torn batch nothing says where the next one starts.
    Gives up after 64 MiB, or 256 MiB of CRCs.
    """
    view = memoryview(buffer).cast("B")
    if not 0 <= start <= len(view):
        raise ValueError(f"no position {start} in {len(view)} bytes")
    end = min(len(view), start + _SEARCH_LIMIT)
    raw = bytes(view[start:end])
    budget = _SEARCH_CRC_LIMIT
    found = 0
    position = start
    while end - position >= HEADER_SIZE and budget > 0:
        # Jump to where a magic byte could be.
        hit = raw.find(b"\x02", position - start + layout.MAGIC_AT)
        if hit < 0:
            break
        position = start + hit - layout.MAGIC_AT
        size = _plausible_size(view, position, end)
        budget -= size
        if size and _crc_matches(view, position, size):
            found += 1
            position += size
        else:
            position += 1
    return found


def _plausible_size(view: memoryview, position: int, end: int) -> int:
    """The size of what may be a batch; 0 when it cannot be one."""
    if end - position < HEADER_SIZE:
        return 0
    fields = layout.HEADER.unpack_from(view, position)
    length, delta, count = fields[1], fields[6], fields[12]
    if not layout.MIN_LENGTH <= length <= end - position - LOG_OVERHEAD:
        return 0
    return length + LOG_OVERHEAD if delta >= 0 and 0 <= count <= delta + 1 else 0
