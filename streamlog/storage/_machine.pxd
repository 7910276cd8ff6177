from libc.stdint cimport int64_t, uint64_t


cdef extern from "_machine.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int F_RDLCK, F_WRLCK, F_UNLCK
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_trylock(pthread_mutex_t* mutex)
    int sl_mutex_wait(pthread_mutex_t* mutex, int64_t microseconds)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int sl_lock(int fd, int64_t position, int kind)
    int64_t sl_size(int fd)
    void sl_nap(int64_t microseconds)
    void sl_pause()
    int64_t sl_get64(const unsigned char* at)
    int sl_get32(const unsigned char* at)
    void sl_put64(unsigned char* at, int64_t value)
    void sl_put32(unsigned char* at, int64_t value)
    int sl_open_segment(const char* directory, int64_t base, const char* suffix, int mode)
    int sl_unlink_segment(const char* directory, int64_t base, const char* suffix)
    int ftruncate(int fd, int64_t length)
    int fdatasync(int fd)
    int close(int fd)
    ssize_t pwrite(int fd, const void* data, size_t size, int64_t position)
    uint64_t sl_mixed(uint64_t word)
    int64_t sl_crc32c(const unsigned char* at, int size)
