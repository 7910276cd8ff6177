"""The iterator that a consumer hands out. The compiled twin is `_record_stream.pyx`.

A `RecordStream` walks over one fetch, batch by batch and record by record, and asks its source
for the next fetch when that one is used up. Nothing is decoded ahead: a record comes into being
when it is handed out, so that the position is always the offset behind the last one handed out.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamlog.clients.fetch import Deserializer, Fetch, FetchSource, deserialize, located
from streamlog.errors import CorruptRecordError, DecompressionError, StreamlogError
from streamlog.record.batch import RecordBatch
from streamlog.record.iterator import RecordIterator
from streamlog.record.record import Record


class PartitionBatch(RecordBatch):
    """A record batch that knows where it was read: what `poll_batches()` returns.

    A view: no byte is copied and no record decoded until it is iterated, which gives the records
    from `start_offset` on (the first batch after a seek may begin before it).
    """

    __slots__ = ("partition", "start_offset", "topic")

    topic: str
    partition: int
    start_offset: int

    def __iter__(self) -> RecordIterator:
        return self.records(self.topic, self.partition, self.start_offset)


class RecordStream:
    """Records of one fetch after the other. Not for two threads at once."""

    __slots__ = (
        "__weakref__",
        "_at",
        "_batch",
        "_batch_at",
        "_check_crcs",
        "_closed",
        "_fetch",
        "_key_deserializer",
        "_position",
        "_records",
        "_source",
        "_value_deserializer",
    )

    def __init__(
        self,
        source: FetchSource,
        *,
        check_crcs: bool = True,
        key_deserializer: Deserializer | None = None,
        value_deserializer: Deserializer | None = None,
    ) -> None:
        self._source = source
        self._check_crcs = check_crcs
        self._key_deserializer = key_deserializer
        self._value_deserializer = value_deserializer
        self._closed = False
        self._position = 0  # while no batch is open; else the open batch's iterator knows it
        self._records: RecordIterator | None = None
        self._batch: RecordBatch | None = None
        self._batch_at = 0
        self._fetch: Fetch | None = None
        self._at = 0  # where the next batch starts in the fetch

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        while True:
            record = self.next_record()
            if record is not None:
                return record
            fetch = self._source.next_fetch(self._position)
            if fetch is None:
                raise StopIteration
            self.load(fetch)

    @property
    def position(self) -> int:
        """The offset behind the last record handed out, in the partition of the fetch loaded."""
        records = self._records
        return self._position if records is None else records.next_offset

    def load(self, fetch: Fetch) -> None:
        """Go on with this fetch."""
        self._records = self._batch = None
        self._at = self._batch_at = 0
        self._position = fetch.position
        self._fetch = None if self._closed else fetch

    def drop(self) -> None:
        """Forget what is left of the fetch; the position stays."""
        self._position = self.position
        self._records = self._batch = self._fetch = None
        self._at = self._batch_at = 0

    def close(self) -> None:
        """Drop the fetch and take no other: a thread that iterates asks the source next."""
        self._closed = True
        self.drop()

    def take(self, limit: int) -> list[Record]:
        """Records of the fetch loaded, at most `limit`; an error comes after those before it."""
        taken: list[Record] = []
        try:
            while len(taken) < limit and (record := self.next_record()) is not None:
                taken.append(record)
        except StreamlogError:
            # The position is before the record that failed, so that the next call meets it again.
            if not taken:
                raise
        return taken

    def batches(self) -> list[PartitionBatch]:
        """The batches of a fetch just loaded, checked; an error comes after those before it."""
        taken: list[PartitionBatch] = []
        fetch = self._fetch
        while fetch is not None and self._at < len(fetch.view) and self._position < fetch.end:
            try:
                batch = PartitionBatch(fetch.view, self._at)
                if self._check_crcs:
                    batch.check()
            except CorruptRecordError as error:
                if taken:
                    break
                raise located(error, fetch, self._at, self._position) from error
            self._at += batch.size
            if not batch.is_control and batch.next_offset > self._position:
                batch.topic, batch.partition = fetch.topic, fetch.partition
                batch.start_offset = self._position
                taken.append(batch)
            self._position = max(self._position, batch.next_offset)
        return taken

    def next_record(self) -> Record | None:
        """The next record of the fetch loaded, None when it is used up."""
        while True:
            records, fetch = self._records, self._fetch
            if fetch is None:
                return None
            if records is None:
                if self._at >= len(fetch.view) or self._position >= fetch.end:
                    return None
                self._open_batch(fetch)
                continue
            try:
                record = records.next_record()
            except CorruptRecordError as error:
                raise located(error, fetch, self._batch_at, records.next_offset) from error
            if record is None:
                self._position, self._records = records.next_offset, None
            elif record.offset >= fetch.end:
                self._position, self._records, self._fetch = fetch.end, None, None
            elif self._key_deserializer is None and self._value_deserializer is None:
                return record
            else:
                return self._deserialized(fetch, record)

    def _open_batch(self, fetch: Fetch) -> None:
        """Check the next batch and start on its records; control batches are passed over."""
        at = self._at
        try:
            batch = RecordBatch(fetch.view, at)
            if self._check_crcs:
                batch.check()
            if batch.is_control:
                self._position = max(self._position, batch.next_offset)
            else:
                self._records = batch.records(fetch.topic, fetch.partition, self._position)
        except (CorruptRecordError, DecompressionError) as error:
            raise located(error, fetch, at, self._position) from error
        self._batch, self._batch_at, self._at = batch, at, at + batch.size

    def _deserialized(self, fetch: Fetch, record: Record) -> Record:
        try:
            return deserialize(record, self._key_deserializer, self._value_deserializer)
        except BaseException:
            # The record was not handed out: the position goes back to it.
            if self._batch is not None:
                self._records = self._batch.records(fetch.topic, fetch.partition, record.offset)
            raise
