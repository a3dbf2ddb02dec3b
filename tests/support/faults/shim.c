/* System calls that fail, are recorded, or read another clock: a library for LD_PRELOAD, which tests control through a
 * mapped file.
 *
 * FAULTS_CONTROL names the file of `struct control`. FAULTS_FOLDER is the folder whose files are watched: a call on one of
 * them, or on a descriptor that was opened there, may fail and is recorded; all other calls pass. FAULTS_RECORD names the
 * file of records: `struct record`, the path, and the bytes written. `shim.py` is the other side of each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, TRUNCATE = 16, RENAME = 32, UNLINK = 64 };

struct control {
    int64_t countdown;    /* the watched calls that pass before one fails; negative: none fails */
    int64_t clock_offset; /* seconds that CLOCK_REALTIME differs from the machine's */
    int64_t seen;         /* watched calls of the armed kinds */
    int64_t failed;
    uint32_t calls; /* the kinds that fail */
    int32_t error;  /* errno; 0: half of the bytes are written */
    int32_t lasting; /* whether all calls after the failed one fail too */
};

struct record {
    uint32_t call;
    uint32_t path_bytes;
    int64_t offset; /* of a write; the length of a truncation */
    uint64_t bytes; /* of a write; of a rename, of the new path */
};

#define DESCRIPTORS 65536

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_bytes;
static char *paths[DESCRIPTORS];
static int record_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
    const char *watched = getenv("FAULTS_FOLDER"), *shared = getenv("FAULTS_CONTROL"), *records = getenv("FAULTS_RECORD");
    if (!shared) return;
    int file = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC, 0);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (mapped == MAP_FAILED) abort();
    if (watched) folder_bytes = strlen(strncpy(folder, watched, sizeof folder - 1));
    if (records) record_file = syscall(SYS_openat, AT_FDCWD, records, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    control = mapped;
}

static int is_watched(const char *path) {
    return control && folder_bytes && path && !strncmp(path, folder, folder_bytes);
}

static const char *path_of(int file) {
    return control && file >= 0 && file < DESCRIPTORS ? paths[file] : NULL;
}

/* Count a call; return whether it must fail. */
static int fails(uint32_t call) {
    int result = 0;
    if (!(control->calls & call)) return 0;
    pthread_mutex_lock(&lock);
    if (control->countdown >= 0) {
        control->seen++;
        result = control->countdown == 0 ? 1 : (control->countdown--, 0);
        if (result) control->failed++;
        if (result && !control->lasting) control->countdown = -1;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define FAIL_IF(watched, call)                                                                                        \
    if ((watched) && fails(call)) {                                                                                   \
        errno = control->error;                                                                                       \
        return -1;                                                                                                    \
    }

static void put(const void *data, size_t bytes) {
    for (const char *at = data; bytes;) {
        ssize_t done = syscall(SYS_write, record_file, at, bytes);
        if (done <= 0) abort();
        at += done;
        bytes -= done;
    }
}

static void keep(uint32_t call, const char *path, int64_t offset, const void *data, size_t bytes) {
    if (record_file < 0 || !path) return;
    int before = errno;
    struct record record = {call, strlen(path), offset, bytes};
    pthread_mutex_lock(&lock);
    put(&record, sizeof record);
    put(path, record.path_bytes);
    put(data, bytes);
    pthread_mutex_unlock(&lock);
    errno = before;
}

static int opened(int file, const char *path, int flags, int existed) {
    if (file >= 0 && file < DESCRIPTORS) {
        free(paths[file]);
        paths[file] = is_watched(path) ? strdup(path) : NULL;
        if (paths[file] && !existed && flags & O_CREAT) keep(OPEN, path, 0, NULL, 0);
        if (paths[file] && existed && flags & O_TRUNC) keep(TRUNCATE, path, 0, NULL, 0);
    }
    return file;
}

static int open_(const char *path, int flags, va_list rest) {
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    int existed = is_watched(path) && !syscall(SYS_access, path, F_OK);
    FAIL_IF(is_watched(path), OPEN)
    return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags, existed);
}

#define OPENS(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        int file = open_(path, flags, rest);                                                                          \
        va_end(rest);                                                                                                 \
        return file;                                                                                                  \
    }
OPENS(open)
OPENS(open64)

int close(int file) {
    if (path_of(file)) {
        free(paths[file]);
        paths[file] = NULL;
    }
    return syscall(SYS_close, file);
}

ssize_t read(int file, void *data, size_t bytes) {
    FAIL_IF(path_of(file), READ)
    return syscall(SYS_read, file, data, bytes);
}

static ssize_t pread_(int file, void *data, size_t bytes, off64_t offset) {
    FAIL_IF(path_of(file), READ)
    return syscall(SYS_pread64, file, data, bytes, offset);
}

ssize_t pread(int file, void *data, size_t bytes, off_t offset) { return pread_(file, data, bytes, offset); }
ssize_t pread64(int file, void *data, size_t bytes, off64_t offset) { return pread_(file, data, bytes, offset); }

/* A write at an offset, or where the file is if that is negative. */
static ssize_t write_(int file, const void *data, size_t bytes, off64_t offset) {
    const char *path = path_of(file);
    if (path && fails(WRITE)) {
        if (control->error || bytes < 2) {
            errno = control->error ? control->error : ENOSPC;
            return -1;
        }
        bytes /= 2;
    }
    int64_t at = offset;
    if (path && offset < 0) {
        struct stat found;
        int append = syscall(SYS_fcntl, file, F_GETFL) & O_APPEND;
        at = append && !fstat(file, &found) ? found.st_size : lseek(file, 0, SEEK_CUR);
    }
    ssize_t done = offset < 0 ? syscall(SYS_write, file, data, bytes) : syscall(SYS_pwrite64, file, data, bytes, offset);
    if (done > 0) keep(WRITE, path, at, data, done);
    return done;
}

ssize_t write(int file, const void *data, size_t bytes) { return write_(file, data, bytes, -1); }
ssize_t pwrite(int file, const void *data, size_t bytes, off_t offset) { return write_(file, data, bytes, offset); }
ssize_t pwrite64(int file, const void *data, size_t bytes, off64_t offset) { return write_(file, data, bytes, offset); }

static int sync_(int file, long number) {
    FAIL_IF(path_of(file), SYNC)
    int done = syscall(number, file);
    if (!done) keep(SYNC, path_of(file), 0, NULL, 0);
    return done;
}

int fsync(int file) { return sync_(file, SYS_fsync); }
int fdatasync(int file) { return sync_(file, SYS_fdatasync); }

static int ftruncate_(int file, off64_t length) {
    FAIL_IF(path_of(file), TRUNCATE)
    int done = syscall(SYS_ftruncate, file, length);
    if (!done) keep(TRUNCATE, path_of(file), length, NULL, 0);
    return done;
}

int ftruncate(int file, off_t length) { return ftruncate_(file, length); }
int ftruncate64(int file, off64_t length) { return ftruncate_(file, length); }

int rename(const char *from, const char *to) {
    int watched = is_watched(from) || is_watched(to);
    FAIL_IF(watched, RENAME)
    int done = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (!done && watched) keep(RENAME, from, 0, to, strlen(to));
    return done;
}

int unlink(const char *path) {
    FAIL_IF(is_watched(path), UNLINK)
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done && is_watched(path)) keep(UNLINK, path, 0, NULL, 0);
    return done;
}

/* The clock. Not vDSO calls: the kernel's own are fast enough for tests. */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (!done && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control->clock_offset;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

/* The kernel waits by its own clock until a time of the process's clock. It would notice a jump while it waits: of that
 * the shim does nothing, so such a wait is as long as it would be without the jump. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real) real = dlsym(RTLD_NEXT, "syscall");
    va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long),
         e = va_arg(rest, long), f = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && b & FUTEX_CLOCK_REALTIME && d && control) {
        struct timespec end = *(const struct timespec *)d;
        end.tv_sec -= control->clock_offset;
        return real(number, a, b, c, &end, e, f);
    }
    return real(number, a, b, c, d, e, f);
}
