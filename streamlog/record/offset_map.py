"""The latest offset of each key of a log. The compiled twin is in `_offset_map.pyx`."""

from __future__ import annotations

from streamlog.record.batch_run import BatchRun
from streamlog.record.byteslike import BytesLike, bytes_of
from streamlog.record.cleaning_outcome import BatchDecision, Decide, FillOutcome, map_capacity
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT
from streamlog.record.record_fields import fields_of
from streamlog.record.siphash import checked_key


class OffsetMap:
    """Key to offset, for as many keys as fit: what compaction knows of the dirty part of a log.

    The compiled map holds no keys but 16 bytes of keyed hash for each: `hash_key` are 16 random
    bytes that nobody who writes keys may know, since two keys with one hash would be taken for
    one. It takes `memory_bytes` (Kafka's `log.cleaner.dedupe.buffer.size`) at 24 bytes a slot
    and is full at `load_factor` of its slots. For one thread at a time. Raises `ConfigError`
    for memory that holds no key.
    """

    __slots__ = ("_offsets", "capacity", "latest_offset")

    def __init__(self, memory_bytes: int, hash_key: BytesLike, load_factor: float = 0.9) -> None:
        checked_key(hash_key)
        self.capacity = map_capacity(memory_bytes, load_factor)[1]
        #: Every key up to here is in the map; -1 for nothing yet.
        self.latest_offset = -1
        self._offsets: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, key: BytesLike) -> int:
        """The latest offset of `key`, -1 when it is not in the map."""
        return self._offsets.get(bytes_of(key, "key"), -1)

    def advance_to(self, offset: int) -> None:
        """Say that there is nothing more up to `offset`, the last one that a segment may hold."""
        self.latest_offset = max(self.latest_offset, offset)

    def add_batches(
        self,
        data: BytesLike,
        *,
        decide: Decide,
        from_offset: int = 0,
        expected_offset: int = 0,
        decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
    ) -> FillOutcome:
        """Take in the keys of the whole batches in `data`, from `from_offset` on.

        Control batches have none, and those of batches that are not to be kept do not count. It
        stops before the first record with a key for which there is no room, even if that key is
        in the map already; `latest_offset` is then the last record before it that was put in.
        `expected_offset` is the lowest that the first batch may have.

        Raises `CorruptRecordError` and `DecompressionError` with the batch's `position` in
        `data`, `UnsupportedFormatError` for message formats v0 and v1.
        """
        run = BatchRun(data, decide, expected_offset)
        is_full = False
        for batch, decision in run:
            wanted = decision == BatchDecision.KEEP and not batch.is_control
            if batch.last_offset < from_offset:
                continue
            if wanted:
                for record in fields_of(batch, decompressed_limit):
                    offset = batch.base_offset + record.offset_delta
                    if record.key is None or offset < from_offset:
                        continue
                    if len(self._offsets) >= self.capacity:
                        is_full = True
                        break
                    self._offsets[record.key] = self.latest_offset = offset
            if is_full:
                break
            self.latest_offset = batch.last_offset
        return FillOutcome(
            consumed=run.consumed,
            needed=run.needed,
            next_offset=run.next_offset,
            is_full=is_full,
        )
