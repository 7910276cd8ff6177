# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`RecordStream` and `PartitionBatch`, compiled. Their specification is `record_stream.py`.

A thread switch can happen wherever Python code runs, also inside an allocation, and `close()` may
come from another thread: what is used across such a place is held by a local reference.
"""

cimport cython
from libc.stdint cimport int64_t

from streamlog.record._record cimport Record
from streamlog.record._records cimport RecordBatch, RecordIterator

from streamlog.clients.fetch import deserialize as _deserialize
from streamlog.clients.fetch import located as _located
from streamlog.errors import CorruptRecordError, DecompressionError, StreamlogError
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT as _DEFAULT_LIMIT

cdef Py_ssize_t LIMIT = _DEFAULT_LIMIT


@cython.no_gc
cdef class PartitionBatch(RecordBatch):
    """A record batch that knows where it was read: what `poll_batches()` returns.

    A view: no byte is copied and no record decoded until it is iterated, which gives the records
    from `start_offset` on (the first batch after a seek may begin before it).
    """

    def __iter__(self):
        return self.open_records(self.topic, self.partition, self.start_offset, LIMIT)


# Outside the collector because of the memoryview that it holds: see RecordBatch. Its source does
# not hold it, so that the two are no cycle.
@cython.no_gc
cdef class RecordStream:
    """Records of one fetch after the other. Not for two threads at once."""

    def __init__(
        self, source, *, bint check_crcs=True, key_deserializer=None, value_deserializer=None
    ):
        self._source = source
        self._check_crcs = check_crcs
        self._key_deserializer = key_deserializer
        self._value_deserializer = value_deserializer
        self._plain = key_deserializer is None and value_deserializer is None

    def __iter__(self):
        return self

    def __next__(self):
        cdef object record
        while True:
            record = self.next_record()
            if record is not None:
                return record
            fetch = self._source.next_fetch(self._position)
            if fetch is None:
                raise StopIteration
            self.load(fetch)

    @property
    def position(self):
        """The offset behind the last record handed out, in the partition of the fetch loaded."""
        return self.reached()

    cdef int64_t reached(self):
        cdef RecordIterator records = self._records
        return self._position if records is None else records.next_offset

    def load(self, fetch not None):
        """Go on with this fetch."""
        self._records = None
        self._batch = None
        self._at = self._batch_at = 0
        self._view, self._topic, self._partition = fetch.view, fetch.topic, fetch.partition
        self._size = len(self._view)
        self._position = fetch.position
        self._end = fetch.end
        self._fetch = None if self._closed else fetch

    def drop(self):
        """Forget what is left of the fetch; the position stays."""
        self._position = self.reached()
        self._records = None
        self._batch = None
        self._fetch = None
        self._view = None
        self._at = self._batch_at = self._size = 0

    def close(self):
        """Drop the fetch and take no other: a thread that iterates asks the source next."""
        self._closed = True
        self.drop()

    def take(self, Py_ssize_t limit):
        """Records of the fetch loaded, at most `limit`; an error comes after those before it."""
        cdef list taken = []
        try:
            while len(taken) < limit:
                record = self.next_record()
                if record is None:
                    break
                taken.append(record)
        except StreamlogError:
            # The position is before the record that failed, so that the next call meets it again.
            if not taken:
                raise
        return taken

    def batches(self):
        """The batches of a fetch just loaded, checked; an error comes after those before it."""
        cdef list taken = []
        cdef PartitionBatch batch
        cdef object fetch = self._fetch, view = self._view
        cdef int64_t next_offset
        while fetch is not None and self._at < self._size and self._position < self._end:
            try:
                batch = PartitionBatch.__new__(PartitionBatch, view, self._at)
                if self._check_crcs:
                    batch.check()
            except CorruptRecordError as error:
                if taken:
                    break
                raise _located(error, fetch, self._at, self._position) from error
            self._at += batch.size
            next_offset = batch.get_next_offset()
            if next_offset > self._position:
                if not batch.start[22] & 0x20:
                    batch.topic = self._topic
                    batch.partition = self._partition
                    batch.start_offset = self._position
                    taken.append(batch)
                self._position = next_offset
        return taken

    cdef object next_record(self):
        """The next record of the fetch loaded, None when it is used up."""
        cdef RecordIterator records
        cdef object fetch, record
        while True:
            records = self._records
            if records is None:
                fetch = self._fetch
                if fetch is None or self._at >= self._size or self._position >= self._end:
                    return None
                self.open_batch(fetch)
                continue
            record = records.next_record()
            if record is None:
                self._position = records.next_offset
                self._records = None
            elif records.next_offset > self._end:
                self._position = self._end
                self._records = None
                self._fetch = None
            elif self._plain:
                return record
            else:
                return self.deserialized(records, <Record> record)

    cdef int open_batch(self, object fetch) except -1:
        """Check the next batch and start on its records; control batches are passed over."""
        cdef Py_ssize_t at = self._at
        cdef RecordBatch batch
        cdef RecordIterator records = None
        cdef int64_t next_offset
        try:
            batch = RecordBatch.__new__(RecordBatch, self._view, at)
            if self._check_crcs:
                batch.check()
            if not batch.start[22] & 0x20:
                records = batch.open_records(self._topic, self._partition, self._position, LIMIT)
                records.locate = (_located, fetch, at)
        except (CorruptRecordError, DecompressionError) as error:
            raise _located(error, fetch, at, self._position) from error
        if self._fetch is not fetch:
            return 0  # closed by another thread meanwhile
        if records is None:
            next_offset = batch.get_next_offset()
            if next_offset > self._position:
                self._position = next_offset
        self._records = records
        self._batch = batch
        self._batch_at = at
        self._at = at + batch.size
        return 0

    cdef object deserialized(self, RecordIterator records, Record record):
        cdef RecordBatch batch = self._batch
        try:
            return _deserialize(record, self._key_deserializer, self._value_deserializer)
        except BaseException:
            # The record was not handed out: the position goes back to it.
            if self._records is records and batch is not None:
                locate = records.locate
                records = batch.open_records(self._topic, self._partition, record.offset, LIMIT)
                records.locate = locate
                self._records = records
            raise
