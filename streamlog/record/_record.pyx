# cython: language_level=3
"""`Record`, compiled. Its specification is `record.py`."""

cimport cython
from cpython.object cimport PyTypeObject

from streamlog.record.timestamp_type import TimestampType

cdef object CREATE_TIME = TimestampType.CREATE_TIME


@cython.no_gc
@cython.freelist(256)
@cython.final
cdef class Record:
    """One record. Immutable, hashable, picklable between both kernels.

    `key` and `value` are bytes or None, unless a deserializer made them something else. `headers`
    are (str, bytes or None) pairs in the order they were sent. `timestamp` is in ms since 1970,
    -1 for none. `leader_epoch` is -1 when not known.
    """

    def __init__(
        self,
        *,
        topic,
        partition,
        offset,
        timestamp=-1,
        timestamp_type=CREATE_TIME,
        key=None,
        value=None,
        headers=(),
        leader_epoch=-1,
    ):
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.timestamp_type = timestamp_type
        self.key = key
        self.value = value
        self.headers = headers
        self.leader_epoch = leader_epoch

    cdef tuple _fields(self):
        return (
            self.topic, self.partition, self.offset, self.timestamp, self.timestamp_type,
            self.key, self.value, self.headers, self.leader_epoch,
        )

    def __eq__(self, other):
        if not isinstance(other, Record):
            return NotImplemented
        return self._fields() == (<Record>other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (
            f"Record(topic={self.topic!r}, partition={self.partition!r}, offset={self.offset}, "
            f"timestamp={self.timestamp}, timestamp_type={self.timestamp_type!r}, "
            f"key={self.key!r}, value={self.value!r}, headers={self.headers!r}, "
            f"leader_epoch={self.leader_epoch})"
        )

    def __reduce__(self):
        from streamlog.record.kernel import rebuild_record

        return rebuild_record, self._fields()


cdef extern from *:
    """
    #include <structmember.h>
    /* Where `field` lies in `object`, which holds it in exactly one place; -1 when in none. */
    static Py_ssize_t sl_offset_of(PyObject *object, PyObject *field) {
        char *start = (char *) object;
        Py_ssize_t size = Py_TYPE(object)->tp_basicsize, at;
        for (at = sizeof(PyObject); at + (Py_ssize_t) sizeof(void *) <= size; at += sizeof(void *))
            if (*(PyObject **) (start + at) == field) return at;
        return -1;
    }
    /* Make the attribute `name` a member, which the interpreter reads in one step, in place of a
       function that it calls. */
    static int sl_make_member(PyTypeObject *type, PyMemberDef *member) {
        PyObject *descriptor = PyDescr_NewMember(type, member);
        if (descriptor == NULL) return -1;
        int failed = PyDict_SetItemString(type->tp_dict, member->name, descriptor);
        Py_DECREF(descriptor);
        PyType_Modified(type);
        return failed;
    }
    """
    ctypedef struct PyMemberDef:
        const char* name
        int type
        Py_ssize_t offset
        int flags
        const char* doc
    int T_OBJECT_EX, READONLY
    Py_ssize_t sl_offset_of(object instance, object field)
    int sl_make_member(PyTypeObject* type, PyMemberDef* member) except -1


cdef PyMemberDef[7] _members
cdef bytes _names = b"topic\0partition\0offset\0timestamp_type\0key\0value\0headers\0"


cdef _make_members():
    """Reading an attribute of a record is half of what iterating costs: make it a plain load."""
    cdef list names = [name for name in _names.split(b"\0") if name]
    cdef list marks = [object() for _ in names]
    cdef const char* at = _names
    cdef Py_ssize_t offset
    cdef int i
    sample = Record(
        topic=marks[0], partition=marks[1], offset=marks[2], timestamp_type=marks[3],
        key=marks[4], value=marks[5], headers=marks[6],
    )
    for i in range(7):
        offset = sl_offset_of(sample, marks[i])
        assert offset > 0
        _members[i].name = at
        _members[i].type = T_OBJECT_EX
        _members[i].offset = offset
        _members[i].flags = READONLY
        sl_make_member(<PyTypeObject*> Record, &_members[i])
        at += len(names[i]) + 1


_make_members()
