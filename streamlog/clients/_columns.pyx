# cython: language_level=3, boundscheck=False, wraparound=False
"""The loops of `send_many` over its arguments. Their specification is `columns.py`."""

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM

from streamlog.clients import arguments


def largest_size(tuple column, str name):
    """The most bytes that one of `column` has; TypeError naming its position (`values[3]`)."""
    cdef Py_ssize_t index, size, largest = 0
    cdef object value
    for index in range(len(column)):
        value = column[index]
        if type(value) is bytes:
            size = PyBytes_GET_SIZE(value)
        elif value is None:
            continue
        else:
            size = arguments.byte_size(value, f"{name}[{index}]")
        if size > largest:
            largest = size
    return largest


def group_by_partition(partitions, Py_ssize_t count):
    """The positions of each partition in one list each, and a last list for those of -1."""
    cdef list groups = [[] for _ in range(count + 1)]
    cdef Py_ssize_t index = 0, partition
    for partition in partitions:
        (<list>PyList_GET_ITEM(groups, count if partition < 0 else partition)).append(index)
        index += 1
    return groups
