/* Faults below compiled code and Python alike: loaded with LD_PRELOAD, armed through ctypes.
 *
 * Calls on files below one directory are counted by kind; the one whose turn it is fails, is cut
 * short, kills the process, stops it, or interrupts it. Compiled as C; see shim.py.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { /* in the order of shim.py's CALLS */
    OPEN, CREATE, PREAD, PWRITE, TRUNCATE, ALLOCATE, FDATASYNC, FSYNC, LIST, MKDIR, RMDIR, RENAME,
    UNLINK, MAP, LOCK, MEMORY, LINK
};
enum { FAIL, SHORT, TEAR, KILL, STOP, INTERRUPT, COUNT };

static struct {
    volatile int armed;
    unsigned calls;
    long from, to, count;
    int action, error;
    char below[PATH_MAX];
    pthread_t thread; /* whose allocations are meant: a thread that begins without is aborted */
} plan;

void faults_arm(unsigned calls, long from, long times, int action, int error, const char *below) {
    plan.armed = 0;
    plan.calls = calls;
    plan.from = from;
    plan.to = from + times;
    plan.action = action;
    plan.error = error;
    plan.count = 0;
    plan.thread = pthread_self();
    strncpy(plan.below, below, sizeof plan.below - 1);
    plan.armed = 1;
}
long faults_heal(void) { plan.armed = 0; return plan.count; }

/* 1: the call fails with errno set; 2: it is cut short; 0: it takes place. */
static int meet(int call, const char *path) {
    if (!plan.armed || !(plan.calls >> call & 1)) return 0;
    if (call == MEMORY && !pthread_equal(plan.thread, pthread_self())) return 0;
    if (path && strncmp(path, plan.below, strlen(plan.below))) return 0;
    long count = __atomic_add_fetch(&plan.count, 1, __ATOMIC_SEQ_CST);
    if (count < plan.from || count >= plan.to) return 0;
    switch (plan.action) {
    case FAIL: errno = plan.error; return 1;
    case SHORT: case TEAR: return call == PWRITE ? 2 : 0;
    case KILL: kill(getpid(), SIGKILL); for (;;) pause();
    case STOP: raise(SIGSTOP); return 0;
    case INTERRUPT: raise(SIGINT); return 0;
    default: return 0;
    }
}

static int meet_descriptor(int call, int descriptor) {
    if (!plan.armed || !(plan.calls >> call & 1)) return 0;
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    return meet(call, target);
}

#define GENUINE(name, result, ...)                                       \
    static result (*genuine)(__VA_ARGS__);                               \
    if (!genuine) genuine = (result (*)(__VA_ARGS__)) dlsym(RTLD_NEXT, name);

#define OPENS(name)                                                      \
    int name(const char *path, int flags, ...) {                         \
        GENUINE(#name, int, const char *, int, ...)                      \
        va_list more; va_start(more, flags);                             \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        if (meet(flags & O_CREAT ? CREATE : OPEN, path)) return -1;      \
        return genuine(path, flags, mode);                               \
    }
OPENS(open)
OPENS(open64)
#define OPENS_AT(name)                                                   \
    int name(int at, const char *path, int flags, ...) {                 \
        GENUINE(#name, int, int, const char *, int, ...)                 \
        va_list more; va_start(more, flags);                             \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        if (meet(flags & O_CREAT ? CREATE : OPEN, path)) return -1;      \
        return genuine(at, path, flags, mode);                           \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

#define READS(name)                                                      \
    ssize_t name(int fd, void *data, size_t size, off64_t position) {    \
        GENUINE(#name, ssize_t, int, void *, size_t, off64_t)            \
        if (meet_descriptor(PREAD, fd)) return -1;                       \
        return genuine(fd, data, size, position);                        \
    }
READS(pread)
READS(pread64)

#define WRITES(name)                                                     \
    ssize_t name(int fd, const void *data, size_t size, off64_t position) { \
        GENUINE(#name, ssize_t, int, const void *, size_t, off64_t)      \
        int met = meet_descriptor(PWRITE, fd);                           \
        if (met == 1) return -1;                                         \
        ssize_t written = genuine(fd, data, met == 2 ? (size + 1) / 2 : size, position); \
        if (met == 2 && plan.action == TEAR) kill(getpid(), SIGKILL);    \
        return written;                                                  \
    }
WRITES(pwrite)
WRITES(pwrite64)

#define ON_DESCRIPTOR(name, call, parameters, values)                    \
    int name parameters {                                                \
        static int (*genuine) parameters;                                \
        if (!genuine) genuine = (int (*) parameters) dlsym(RTLD_NEXT, #name); \
        if (meet_descriptor(call, fd)) return -1;                        \
        return genuine values;                                           \
    }
ON_DESCRIPTOR(ftruncate, TRUNCATE, (int fd, off64_t length), (fd, length))
ON_DESCRIPTOR(ftruncate64, TRUNCATE, (int fd, off64_t length), (fd, length))
ON_DESCRIPTOR(fdatasync, FDATASYNC, (int fd), (fd))
ON_DESCRIPTOR(fsync, FSYNC, (int fd), (fd))

/* These return the error number. */
#define ALLOCATES(name)                                                  \
    int name(int fd, off64_t position, off64_t length) {                 \
        GENUINE(#name, int, int, off64_t, off64_t)                       \
        if (meet_descriptor(ALLOCATE, fd)) return plan.error;            \
        return genuine(fd, position, length);                            \
    }
ALLOCATES(posix_fallocate)
ALLOCATES(posix_fallocate64)

#define ON_PATH(name, call, path, parameters, values)                    \
    int name parameters {                                                \
        static int (*genuine) parameters;                                \
        if (!genuine) genuine = (int (*) parameters) dlsym(RTLD_NEXT, #name); \
        if (meet(call, path)) return -1;                                 \
        return genuine values;                                           \
    }
ON_PATH(mkdir, MKDIR, path, (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, RMDIR, path, (const char *path), (path))
ON_PATH(unlink, UNLINK, path, (const char *path), (path))
ON_PATH(rename, RENAME, from, (const char *from, const char *to), (from, to))
ON_PATH(link, LINK, from, (const char *from, const char *to), (from, to))
ON_PATH(renameat2, RENAME, from,
        (int at, const char *from, int other, const char *to, unsigned flags),
        (at, from, other, to, flags))

DIR *opendir(const char *path) {
    GENUINE("opendir", DIR *, const char *)
    return meet(LIST, path) ? NULL : genuine(path);
}

#define MAPS(name)                                                       \
    void *name(void *at, size_t length, int protection, int flags, int fd, off64_t position) { \
        GENUINE(#name, void *, void *, size_t, int, int, int, off64_t)   \
        if (fd >= 0 && meet_descriptor(MAP, fd)) return MAP_FAILED;      \
        return genuine(at, length, protection, flags, fd, position);     \
    }
MAPS(mmap)
MAPS(mmap64)

#define LOCKS(name)                                                      \
    int name(int fd, int command, ...) {                                 \
        GENUINE(#name, int, int, int, ...)                               \
        va_list more; va_start(more, command);                           \
        void *argument = va_arg(more, void *);                           \
        va_end(more);                                                    \
        if (command == F_OFD_SETLK && ((struct flock *) argument)->l_type != F_UNLCK \
            && meet_descriptor(LOCK, fd)) return -1;                     \
        return genuine(fd, command, argument);                           \
    }
LOCKS(fcntl)
LOCKS(fcntl64)

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *malloc(size_t size) { return meet(MEMORY, NULL) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
    return meet(MEMORY, NULL) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *at, size_t size) { return meet(MEMORY, NULL) ? NULL : __libc_realloc(at, size); }
