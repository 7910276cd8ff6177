/* System calls and big-endian words for the compiled storage modules: one call each, no rules. */
#ifndef STREAMLOG_MACHINE_H
#define STREAMLOG_MACHINE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int sl_lock(int fd, int64_t position, int kind) {
    struct flock range;
    memset(&range, 0, sizeof range);
    range.l_type = (short) kind;
    range.l_whence = SEEK_SET;
    range.l_start = position;
    range.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &range);
}
static int64_t sl_size(int fd) {
    struct stat found;
    return fstat(fd, &found) ? -1 : (int64_t) found.st_size;
}
static void sl_nap(int64_t microseconds) {
    struct timespec span = {0, microseconds * 1000};
    nanosleep(&span, NULL);
}
static inline void sl_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}
static inline int64_t sl_get64(const unsigned char *at) {
    uint64_t value; memcpy(&value, at, 8); return (int64_t) __builtin_bswap64(value);
}
static inline int32_t sl_get32(const unsigned char *at) {
    uint32_t value; memcpy(&value, at, 4); return (int32_t) __builtin_bswap32(value);
}
static inline void sl_put64(unsigned char *at, int64_t value) {
    uint64_t big = __builtin_bswap64((uint64_t) value); memcpy(at, &big, 8);
}
static inline void sl_put32(unsigned char *at, int64_t value) {
    uint32_t big = __builtin_bswap32((uint32_t) value); memcpy(at, &big, 4);
}
static int sl_open_segment(const char *directory, int64_t base, const char *suffix, int mode) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%020lld%s", directory, (long long) base, suffix);
    if (n < 0 || n >= (int) sizeof path) { errno = ENAMETOOLONG; return -1; }
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
}
/* 0 when there is no such file any more, else the errno. */
static int sl_unlink_segment(const char *directory, int64_t base, const char *suffix) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%020lld%s", directory, (long long) base, suffix);
    if (n < 0 || n >= (int) sizeof path) return ENAMETOOLONG;
    return unlink(path) && errno != ENOENT ? errno : 0;
}
/* SplitMix64: any change of a bit changes half of the result's. */
static inline uint64_t sl_mixed(uint64_t word) {
    word += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}
/* CRC-32C of the few words of a synced record. Bit by bit it was a tenth of all that
   acks="all" adds to the bare calls, so: a table, filled when the module is loaded. */
static uint32_t sl_crc32c_table[256];
__attribute__((constructor)) static void sl_fill_crc32c_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        sl_crc32c_table[i] = crc;
    }
}
static int64_t sl_crc32c(const unsigned char *at, int size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (int i = 0; i < size; i++) crc = (crc >> 8) ^ sl_crc32c_table[(crc ^ at[i]) & 0xFF];
    return (int64_t) (crc ^ 0xFFFFFFFFu);
}
/* Take the mutex once it is free, or give up after so long: 0 when it is taken. */
static int sl_mutex_wait(pthread_mutex_t *mutex, int64_t microseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += microseconds / 1000000;
    until.tv_nsec += (microseconds % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) { until.tv_sec += 1; until.tv_nsec -= 1000000000; }
    return pthread_mutex_timedlock(mutex, &until);
}
#endif
