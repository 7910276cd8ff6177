from libc.stdint cimport int64_t, uint32_t


cdef class SharedMap:
    cdef char* base
    cdef readonly size_t length
    cdef int64_t woken_us
    cdef inline int64_t* slot(self, Py_ssize_t index) noexcept nogil:
        return <int64_t*> (self.base + 4096 + index * 576)
    cdef int64_t _word(self, Py_ssize_t slot, Py_ssize_t index) noexcept nogil
    cdef void linger(self, uint32_t seen) noexcept nogil
    cdef void ring(self) noexcept nogil


cdef class ReadMap:
    cdef char* base
    cdef readonly size_t length
    cdef bint tells_residence  # of a file that may not be written, the kernel says yes to all
    cdef int make_resident(self, size_t position, size_t length) except -1


cdef int64_t load_acquire(int64_t* word) noexcept nogil
cdef void store_release(int64_t* word, int64_t value) noexcept nogil
cdef int64_t monotonic_us() noexcept nogil
