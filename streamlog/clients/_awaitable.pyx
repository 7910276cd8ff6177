# cython: language_level=3, boundscheck=False, wraparound=False
"""Awaitables that mostly have their result already, compiled. Their specification is
`awaitable.py`.

The interpreter asks what it awaits by the slot `tp_iternext`, and a StopIteration answers with
the result. A `__next__` in Cython would raise it with a traceback: 110 ns, where setting it takes
20. So the slots are filled by hand, once, below the classes.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from streamlog.clients._accumulator cimport RecordAccumulator
from streamlog.clients._record_stream cimport RecordStream

from streamlog.clients.awaitable import TURN_S as _TURN_S
from streamlog.clients.postponed import Postponed

cdef extern from "_awaitable.h":
    PyObject* sl_returned(PyObject* result) noexcept
    void sl_set_iternext(object type, PyObject* (*next)(PyObject*) except? NULL)

cdef double TURN_S = _TURN_S


@cython.final
@cython.freelist(16)
cdef class Resolved:
    """Awaited, it is over at once, or after one turn of the event loop if it is to `pause`."""

    cdef object result
    cdef bint pause

    def __init__(self, result, bint pause=False):
        self.result = result
        self.pause = pause

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def send(self, value):
        """What coroutines have, for who treats it as one: `asyncio.create_task()`."""
        return next(self)

    def throw(self, kind, value=None, traceback=None):
        """See `send`."""
        raise kind if value is None else value

    def close(self):
        """See `send`."""


cdef PyObject* resolve(PyObject* self) except? NULL:
    cdef Resolved resolved = <Resolved> self
    if resolved.pause:
        resolved.pause = False
        Py_INCREF(None)
        return <PyObject*> None
    return sl_returned(<PyObject*> resolved.result)


cdef class AsyncRecordStream:
    """The records of a `RecordStream`, for `async for`.

    `source.load()`, a coroutine, loads the stream when it is used up, and raises
    `StopAsyncIteration` at its end. A record is taken when it is awaited and not before.
    """

    cdef RecordStream records
    cdef readonly object source
    cdef int64_t asked
    cdef double turn_began

    def __init__(self, RecordStream records not None, source):
        self.records = records
        self.source = source
        self.turn_began = -1

    def __aiter__(self):
        return self

    def __anext__(self):
        cdef NextRecord pending = NextRecord.__new__(NextRecord)
        pending.stream = self
        return pending

    cdef bint turn_is_over(self) noexcept:
        """Whether the event loop has waited for long enough; looks at the clock now and then."""
        cdef timespec now
        cdef double now_s
        self.asked += 1
        if self.asked & 7 and self.turn_began >= 0:
            return False
        clock_gettime(CLOCK_MONOTONIC, &now)
        now_s = <double>now.tv_sec + <double>now.tv_nsec * 1e-9
        if self.turn_began < 0:
            self.turn_began = now_s
        if now_s - self.turn_began < TURN_S:
            return False
        self.turn_began = -1
        return True


@cython.final
@cython.freelist(16)
cdef class NextRecord:
    """The next record of an `AsyncRecordStream`, to be awaited."""

    cdef AsyncRecordStream stream
    cdef object loading

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def send(self, value):
        """As of a coroutine."""
        return next(self)

    def throw(self, kind, value=None, traceback=None):
        """As of a coroutine: a cancellation reaches what is being loaded."""
        cdef object error = kind if value is None else value
        if self.loading is None:
            raise error
        try:
            return self.loading.throw(error)
        except StopIteration:
            self.loading = None
        return next(self)

    def close(self):
        """As of a coroutine."""
        if self.loading is not None:
            self.loading.close()


cdef PyObject* take_record(PyObject* self) except? NULL:
    cdef NextRecord pending = <NextRecord> self
    cdef AsyncRecordStream stream = pending.stream
    cdef object answer
    while True:
        if pending.loading is None:
            if stream.turn_is_over():
                Py_INCREF(None)
                return <PyObject*> None
            answer = stream.records.next_record()
            if answer is not None:
                return sl_returned(<PyObject*> answer)
            pending.loading = stream.source.load()
        try:
            answer = pending.loading.send(None)
        except StopIteration:
            pending.loading = None
            continue
        stream.turn_began = -1
        Py_INCREF(answer)
        return <PyObject*> answer


sl_set_iternext(Resolved, resolve)
sl_set_iternext(NextRecord, take_record)


cdef class AsyncSender:
    """The hot half of an `AsyncProducer`. The subclass provides `_send_later(postponed, args)`."""

    cdef RecordAccumulator accumulator
    cdef int64_t paused_ms
    cdef object __weakref__

    def __init__(self, RecordAccumulator accumulator not None):
        self.accumulator = accumulator

    def send(self, topic, value=None, key=None, headers=None, partition=None, timestamp_ms=None):
        """Send one record; awaited, it gives the record's `RecordFuture`. See `AsyncProducer`."""
        cdef Resolved sent = Resolved.__new__(Resolved)
        try:
            sent.result = self.accumulator.take(
                topic, value, key, headers, partition, timestamp_ms
            )
        except Postponed as postponed:
            return self._send_later(
                postponed, (topic, value, key, headers, partition, timestamp_ms)
            )
        if self.accumulator.last_send_ms != self.paused_ms:
            self.paused_ms = self.accumulator.last_send_ms
            sent.pause = True
        return sent
