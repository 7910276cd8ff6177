from libc.stdint cimport int64_t

from streamlog.storage._machine cimport pthread_mutex_t
from streamlog.storage._system cimport SharedMap

cdef int64_t WAIT_SLICE_US
cdef int64_t MOMENT_US


cdef struct Result:
    int64_t base_offset
    int64_t next_offset
    int64_t detail
    bint rolled


cdef class PartitionHandle:
    cdef SharedMap shared
    cdef int64_t* words
    cdef readonly Py_ssize_t slot
    cdef readonly str directory
    cdef bytes directory_bytes
    cdef char* directory_path
    cdef int locks_fd
    cdef int pid
    cdef readonly int log_fd
    cdef readonly int offset_index_fd
    cdef readonly int time_index_fd
    cdef readonly int64_t base_offset
    cdef readonly int64_t path_generation
    cdef public int64_t segment_bytes
    cdef public int64_t segment_ms
    cdef public int64_t segment_jitter_ms
    cdef public int64_t index_interval_bytes
    cdef public int64_t segment_index_bytes
    cdef int mode
    cdef int retired_fds[64]
    cdef readonly int retired_count
    cdef public int failed_sync
    cdef pthread_mutex_t mutexes[3]

    cdef int take(self, int lock, int64_t* holder, int64_t patience_us) noexcept nogil
    cdef void release(self, int lock) noexcept nogil
    cdef hold(self, int lock)
    cdef int64_t* state(self) noexcept nogil
    cdef void change_files(
        self, int log_fd, int offset_index_fd, int time_index_fd, int64_t base_offset
    ) noexcept nogil
    cdef int sync_locked(self, int64_t needed, Result* result) noexcept nogil
    cdef void read_state(self, int64_t* words) noexcept nogil
    cdef int64_t* last_synced(self) noexcept nogil
    cdef void store_synced(
        self, int64_t* last, int64_t segment, int64_t position, int64_t offset
    ) noexcept nogil
