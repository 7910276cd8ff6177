"""A compacted partition on a disk in memory: written batch by batch, cleaned, read back.

What a pass should leave is computed here from the batches themselves, with the whole log in
view: a transaction's fate is looked up in the marker that follows, where the cleaner has to know
it from the transaction index.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from streamlog.config import TopicConfig
from streamlog.record.cleaning_outcome import BatchDecision
from streamlog.record.kernel import RecordBatch
from streamlog.record.scan_outcome import ProducerBatch
from streamlog.storage.cleanable import CleanableLog, describe_segments, find_cleanable
from streamlog.storage.log_cleaner import CleanedGroup, DedupeBuffer, LogCleaner
from streamlog.storage.log_settings import LogSettings
from streamlog.storage.names import CLEANED, SEGMENT_SUFFIXES, segment_name
from streamlog.storage.producer_state import ProducerStateTable
from streamlog.storage.transaction_index import (
    AbortedTransaction,
    format_transaction_index,
    read_transaction_index,
)
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.record.cleaning_model import (
    CONTROL,
    DISCARD,
    EMPTY,
    EXPIRE,
    KEEP,
    TRANSACTIONAL,
    ModelBatch,
    ModelMap,
    ModelRecord,
    batch,
    clean,
    encode,
)
from tests.record.samples import NOW

DIRECTORY = "/log/orders-0"
HASH_KEY = bytes(range(16))
ABORT, COMMIT = 0, 1
_SETTINGS = LogSettings()
Segments = dict[int, list[ModelBatch]]


def keyed(*keys: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, b"value of " + key) for key in keys]


class CleaningWorld:
    """`segments` is the log as it should be: base offset to batches; the last one is active."""

    def __init__(self, **settings: str) -> None:
        overrides = {"cleanup.policy": "compact", "index.interval.bytes": "100"}
        overrides |= {name.replace("_", "."): value for name, value in settings.items()}
        self.config = TopicConfig.from_overrides(overrides)
        self.filesystem = MemoryFilesystem()
        self.filesystem.mkdir("/log")
        self.filesystem.mkdir(DIRECTORY)
        self.segments: Segments = {0: []}
        self.aborted: dict[int, list[AbortedTransaction]] = {}
        self.open: dict[int, int] = {}  # of each producer with an open transaction: its start
        self.producers = ProducerStateTable()
        self.sequences: dict[tuple[int, int], int] = {}
        self.log_end = 0
        self.checkpoint: int | None = None

    # ---------------------------------------------------------------- writing

    def append(self, *records: tuple[object, ...], **header: int) -> ModelBatch:
        """Append a batch at the log's end, of (key, value) or (key, value, timestamp)."""
        return self.append_batch(batch(self.log_end, *records, **header))

    def append_batch(self, added: ModelBatch) -> ModelBatch:
        self.segments[max(self.segments)].append(added)
        self.log_end = added.last_offset + 1
        if added.producer_id >= 0:
            count = added.last_offset - added.base_offset
            self.producers.apply(
                ProducerBatch(
                    added.producer_id,
                    added.producer_epoch,
                    added.base_sequence,
                    added.base_sequence + count,
                    added.base_offset,
                    added.last_offset,
                    added.max_timestamp,
                    added.is_transactional,
                    added.is_control,
                    0,
                )
            )
        return added

    def produce(self, producer: int, epoch: int, *records: tuple[object, ...]) -> ModelBatch:
        """Append a batch of an open transaction of `producer`, which it may begin."""
        self.open.setdefault(producer, self.log_end)
        sequence = self.sequences.get((producer, epoch), 0)
        self.sequences[producer, epoch] = sequence + len(records)
        return self.append(
            *records,
            attributes=TRANSACTIONAL,
            producer_id=producer,
            producer_epoch=epoch,
            base_sequence=sequence,
        )

    def end(self, producer: int, epoch: int, kind: int) -> ModelBatch:
        """Append the marker of a transaction, and its entry in the transaction index."""
        begun = self.open.pop(producer, None)
        if kind == ABORT and begun is not None:
            stable = min(self.open.values(), default=self.log_end + 1)
            entry = AbortedTransaction(producer, begun, self.log_end, stable)
            self.aborted.setdefault(max(self.segments), []).append(entry)
        return self.append(
            (struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 1)),
            attributes=TRANSACTIONAL | CONTROL,
            producer_id=producer,
            producer_epoch=epoch,
        )

    def roll(self) -> None:
        self.segments.setdefault(self.log_end, [])

    def write(self) -> CleaningWorld:
        """Put the files on the disk as `segments` says."""
        for base_offset, batches in self.segments.items():
            self.put(segment_name(base_offset, ".log"), encode(batches))
            offsets, times = indexes_of(base_offset, batches, self.config.index_interval_bytes)
            self.put(segment_name(base_offset, ".index"), offsets)
            self.put(segment_name(base_offset, ".timeindex"), times)
            if entries := self.aborted.get(base_offset):
                self.put(segment_name(base_offset, ".txnindex"), format_transaction_index(entries))
        return self

    def put(self, name: str, data: bytes) -> None:
        path = f"{DIRECTORY}/{name}"
        descriptor = self.filesystem.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.filesystem.write_all(descriptor, data, 0)
        self.filesystem.close(descriptor)

    # ---------------------------------------------------------------- cleaning

    @property
    def last_stable_offset(self) -> int:
        return min(self.open.values(), default=self.log_end)

    def cleanable(self, now_ms: int = NOW, directory: str = DIRECTORY) -> CleanableLog:
        sealed = sorted(self.segments)[:-1]
        return find_cleanable(
            describe_segments(self.filesystem, directory, sealed, topic="orders", partition=0),
            active_base_offset=max(self.segments),
            checkpoint=self.checkpoint,
            log_start=min(self.segments),
            log_end=self.log_end,
            last_stable_offset=self.last_stable_offset,
            now_ms=now_ms,
            config=self.config,
        )

    def cleaner(
        self,
        now_ms: int = NOW,
        *,
        keys: int = 1000,
        directory: str = DIRECTORY,
        settings: LogSettings = _SETTINGS,
        **others: object,
    ) -> LogCleaner:
        """A pass with a map of so many keys."""
        return LogCleaner(
            self.filesystem,
            directory,
            self.cleanable(now_ms, directory),
            topic="orders",
            partition=0,
            config=self.config,
            settings=settings,
            producers=self.producers,
            dedupe_buffer=DedupeBuffer(HASH_KEY, size=24 * 2 * keys, load_factor=0.5),
            now_ms=now_ms,
            **others,
        )

    def run(self, now_ms: int = NOW, **settings: object) -> list[CleanedGroup]:
        """A whole pass, each group swapped in before the next; then the log is as on the disk."""
        cleaner = self.cleaner(now_ms, **settings)
        groups = []
        for group in cleaner.run():
            self.swap_in(group)
            groups.append(group)
        self.checkpoint = cleaner.end_offset
        return groups

    def swap_in(self, group: CleanedGroup) -> None:
        """What the swap comes to, without a crash in sight."""
        names = self.filesystem.listdir(DIRECTORY)
        for base_offset in group.sources:
            for suffix in SEGMENT_SUFFIXES:
                if segment_name(base_offset, suffix) in names:
                    self.filesystem.unlink(f"{DIRECTORY}/{segment_name(base_offset, suffix)}")
            self.segments.pop(base_offset)
            self.aborted.pop(base_offset, None)
        for segment in group.segments:
            for name in segment.names:
                self.filesystem.rename(f"{DIRECTORY}/{name}{CLEANED}", f"{DIRECTORY}/{name}")
            self.segments[segment.base_offset] = []
        self.segments = dict(sorted(self.segments.items()))

    # ---------------------------------------------------------------- what it should come to

    def expected(self, now_ms: int, *, keys: int = 1000) -> tuple[list[ModelBatch], int]:
        """The batches of the whole log after a pass, and the new checkpoint."""
        log = self.cleanable(now_ms)
        start, end = log.first_dirty_offset, log.first_uncleanable_offset
        if start >= end:
            return list(self.batches()), start
        decisions = self.decisions(now_ms)
        known = ModelMap(keys)
        bases = [base for base in self.segments if base < end]
        for base in bases[max(0, sum(base <= start for base in bases) - 1) :]:
            dirty = [each for each in self.segments[base] if each.last_offset >= start]
            if not known.fill(dirty, decisions.__getitem__, start):
                break
            known.latest = min([later for later in self.segments if later > base]) - 1
        retain = {each.last_offset for each in self.producers if each.batches} | {end - 1}
        out: list[ModelBatch] = []
        for base, batches in self.segments.items():
            if base <= known.latest:
                retention = self.config.delete_retention_ms
                out += clean(batches, known, now_ms, retention, decisions.__getitem__, retain)
            else:
                out += batches
        return out, known.latest + 1

    def decisions(self, now_ms: int) -> dict[ModelBatch, BatchDecision]:
        """By what follows each batch in the log, and what came before each marker."""
        found = {}
        batches = list(self.batches())
        for each in batches:
            if not each.is_transactional:
                continue
            own = [other for other in batches if other.producer_id == each.producer_id]
            own = [other for other in own if other.is_transactional]
            place = own.index(each)
            if each.is_control:
                found[each] = self._decide_marker(each, own[:place], now_ms)
            else:
                later = [other for other in own[place:] if other.is_control]
                aborted = bool(later) and kind_of(later[0]) == ABORT
                found[each] = DISCARD if aborted else KEEP
        return found

    def _decide_marker(
        self, marker: ModelBatch, before: Sequence[ModelBatch], now_ms: int
    ) -> BatchDecision:
        has_data = bool(before) and not before[-1].is_control
        if marker.records and has_data:
            return KEEP
        if marker.records and (marker.horizon is None or now_ms < marker.horizon):
            return EXPIRE
        state = self.producers.get(marker.producer_id)
        is_last = state is not None and not state.batches and state.epoch == marker.producer_epoch
        return EMPTY if is_last else DISCARD

    def expected_aborted(self, end: int) -> list[AbortedTransaction]:
        """The index entries that a pass up to segment base `end` keeps, then the untouched ones."""
        own = {each: list(self._data_before(each)) for each in self.batches() if is_abort(each)}
        with_data = {marker.base_offset for marker, data in own.items() if data}
        return [
            entry
            for base, entries in sorted(self.aborted.items())
            for entry in entries
            if base >= end or entry.last_offset in with_data
        ]

    def _data_before(self, marker: ModelBatch) -> Iterator[ModelBatch]:
        for each in reversed(list(self.batches())):
            if each.base_offset >= marker.base_offset or each.producer_id != marker.producer_id:
                continue
            if each.is_control:
                return
            if each.is_transactional:
                yield each

    # ---------------------------------------------------------------- reading

    def batches(self) -> Iterator[ModelBatch]:
        for batches in self.segments.values():
            yield from batches

    def batches_on_disk(self) -> list[RecordBatch]:
        data, found, position = self.log_bytes(), [], 0
        while position < len(data):
            found.append(RecordBatch(data, position))
            found[-1].check()
            position += found[-1].size
        return found

    def log_bytes(self) -> bytes:
        return b"".join(
            self.filesystem.read_file(f"{DIRECTORY}/{segment_name(base, '.log')}")
            for base in sorted(self.segments)
        )

    def read_aborted(self) -> list[AbortedTransaction]:
        return [
            entry
            for base in sorted(self.segments)
            for entry in read_transaction_index(self.filesystem, DIRECTORY, base)
        ]

    def files(self) -> dict[str, bytes]:
        return {
            name: self.filesystem.read_file(f"{DIRECTORY}/{name}")
            for name in self.filesystem.listdir(DIRECTORY)
        }

    def reread(self) -> None:
        """Go on from what is on the disk."""
        for base_offset in self.segments:
            data = self.filesystem.read_file(f"{DIRECTORY}/{segment_name(base_offset, '.log')}")
            self.segments[base_offset] = decode(data)
            entries = read_transaction_index(self.filesystem, DIRECTORY, base_offset)
            self.aborted[base_offset] = entries

    def adopt(self, batches: Iterable[ModelBatch], aborted: Iterable[AbortedTransaction]) -> None:
        """Go on from what a pass left: sorted into the segments that are there now."""
        bases = sorted(self.segments)

        def place(offset: int) -> int:
            return max(base for base in bases if base <= offset)

        self.segments = {base: [] for base in bases}
        for each in batches:
            self.segments[place(each.base_offset)].append(each)
        self.aborted = {}
        for entry in aborted:
            self.aborted.setdefault(place(entry.last_offset), []).append(entry)


def decode(data: bytes) -> list[ModelBatch]:
    found, position = [], 0
    while position < len(data):
        each = RecordBatch(data, position)
        position += each.size
        records = tuple(
            ModelRecord(record.offset, record.timestamp, record.key, record.value)
            for record in each
        )
        found.append(
            ModelBatch(
                each.base_offset,
                each.last_offset,
                records,
                each.base_timestamp,
                each.max_timestamp,
                each.attributes,
                each.leader_epoch,
                each.producer_id,
                each.producer_epoch,
                each.base_sequence,
            )
        )
    return found


def kind_of(marker: ModelBatch) -> int | None:
    """ABORT or COMMIT; None for a marker of which only the header is left."""
    return struct.unpack(">hh", marker.records[0].key or b"")[1] if marker.records else None


def is_abort(each: ModelBatch) -> bool:
    return each.is_control and kind_of(each) == ABORT


def indexes_of(base: int, batches: Sequence[ModelBatch], interval: int) -> tuple[bytes, bytes]:
    """A sealed segment's indexes, by the plain reading of Kafka's rule."""
    offsets, times = b"", b""
    since, position, latest, latest_offset, indexed = 0, 0, -1, -1, -1
    for each in batches:
        size = len(encode(each))
        if each.max_timestamp > latest:
            latest, latest_offset = each.max_timestamp, each.last_offset
        if since > interval:
            offsets += struct.pack(">ii", each.last_offset - base, position)
            if latest > indexed:
                times += struct.pack(">qi", latest, latest_offset - base)
                indexed = latest
            since = 0
        since += size
        position += size
    if latest > indexed:
        times += struct.pack(">qi", latest, latest_offset - base)
    return offsets, times
