/* Notes in which order a program writes, names and syncs the files of one folder, so that a power cut can be played afterwards.
 *
 * Preloaded (LD_PRELOAD) into the hub. CUT_FOLDER is the folder, CUT_LOG the file of notes. Everything is passed on to the system;
 * a sync is noted only after it has returned. One note: its kind, the file's number, offset, two lengths, then so many bytes.
 * Memory maps are not noted: SQLite uses one for its shared index only, which it builds anew after a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MADE = 'M', WROTE = 'W', CUT_TO = 'T', SYNCED = 'S', FOLDER_SYNCED = 'D', RENAMED = 'R', REMOVED = 'U' };

#pragma pack(push, 1)
struct note {
    char kind;
    uint64_t file;
    int64_t offset;
    uint32_t first, second;
};
#pragma pack(pop)

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_length;
static int log_fd = -1;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CUT_LOG");
    folder = getenv("CUT_FOLDER");
    if (!folder || !path) return;
    folder_length = strlen(folder);
    log_fd = NEXT(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
    unsetenv("LD_PRELOAD"); /* children are not watched */
}

static int ours(const char *path) {
    return log_fd >= 0 && path && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

/* Return whether a descriptor is of a file in the folder (1), of the folder itself (2), or of neither. */
static int kind_of(int fd, uint64_t *file) {
    char link[64], path[PATH_MAX];
    struct stat about;
    int saved = errno, kind = 0;
    if (log_fd >= 0 && !NEXT(fstat)(fd, &about) && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode))) {
        char *at = link;
        memcpy(at, "/proc/self/fd/", 14);
        at += 14;
        char digits[12];
        int count = 0;
        for (int rest = fd; count == 0 || rest; rest /= 10) digits[count++] = (char)('0' + rest % 10);
        while (count) *at++ = digits[--count];
        *at = 0;
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length > 0) {
            path[length] = 0;
            if (ours(path)) kind = S_ISDIR(about.st_mode) ? 2 : 1;
        }
        *file = about.st_ino;
    }
    errno = saved;
    return kind;
}

static void note(char kind, uint64_t file, int64_t offset, const void *first, size_t a, const void *second, size_t b) {
    struct note head = {kind, file, offset, (uint32_t)a, (uint32_t)b};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)first, a}, {(void *)second, b}};
    int saved = errno;
    if (NEXT(writev)(log_fd, parts, 3) != (ssize_t)(sizeof head + a + b)) abort();
    errno = saved;
}

static int opened(int fd, const char *path, int flags, int was_there) {
    uint64_t file;
    if (fd >= 0 && ours(path) && kind_of(fd, &file) == 1) {
        if (!was_there) note(MADE, file, 0, path, strlen(path), "", 0);
        else if (flags & O_TRUNC) note(CUT_TO, file, 0, "", 0, "", 0);
    }
    return fd;
}

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        mode_t mode = 0;                                                \
        if (flags & (O_CREAT | O_TMPFILE)) {                            \
            va_list rest;                                               \
            va_start(rest, flags);                                      \
            mode = va_arg(rest, mode_t);                                \
            va_end(rest);                                               \
        }                                                               \
        if (!ours(path)) return NEXT(name)(path, flags, mode);          \
        pthread_mutex_lock(&one_at_a_time);                             \
        int was_there = !access(path, F_OK);                            \
        errno = 0;                                                      \
        int fd = opened(NEXT(name)(path, flags, mode), path, flags, was_there); \
        pthread_mutex_unlock(&one_at_a_time);                           \
        return fd;                                                      \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t count) {
    uint64_t file;
    if (kind_of(fd, &file) != 1) return NEXT(write)(fd, data, count);
    pthread_mutex_lock(&one_at_a_time);
    struct stat about;
    int64_t at = NEXT(fcntl)(fd, F_GETFL) & O_APPEND ? (NEXT(fstat)(fd, &about), about.st_size) : lseek(fd, 0, SEEK_CUR);
    ssize_t wrote = NEXT(write)(fd, data, count);
    if (wrote > 0) note(WROTE, file, at, data, (size_t)wrote, "", 0);
    pthread_mutex_unlock(&one_at_a_time);
    return wrote;
}

#define PWRITE(name, offset_type)                                            \
    ssize_t name(int fd, const void *data, size_t count, offset_type at) {   \
        uint64_t file;                                                       \
        if (kind_of(fd, &file) != 1) return NEXT(name)(fd, data, count, at); \
        pthread_mutex_lock(&one_at_a_time);                                  \
        ssize_t wrote = NEXT(name)(fd, data, count, at);                     \
        if (wrote > 0) note(WROTE, file, at, data, (size_t)wrote, "", 0);    \
        pthread_mutex_unlock(&one_at_a_time);                                \
        return wrote;                                                        \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type)                               \
    int name(int fd, offset_type size) {                          \
        uint64_t file;                                            \
        if (kind_of(fd, &file) != 1) return NEXT(name)(fd, size); \
        pthread_mutex_lock(&one_at_a_time);                       \
        int code = NEXT(name)(fd, size);                          \
        if (!code) note(CUT_TO, file, size, "", 0, "", 0);        \
        pthread_mutex_unlock(&one_at_a_time);                     \
        return code;                                              \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                      \
    int name(int fd) {                                                                  \
        uint64_t file;                                                                  \
        int kind = kind_of(fd, &file);                                                  \
        if (!kind) return NEXT(name)(fd);                                               \
        pthread_mutex_lock(&one_at_a_time);                                             \
        int code = NEXT(name)(fd);                                                      \
        if (!code) note(kind == 2 ? FOLDER_SYNCED : SYNCED, file, 0, "", 0, "", 0);     \
        pthread_mutex_unlock(&one_at_a_time);                                           \
        return code;                                                                    \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *old, const char *new) {
    if (!ours(old) && !ours(new)) return NEXT(rename)(old, new);
    pthread_mutex_lock(&one_at_a_time);
    int code = NEXT(rename)(old, new);
    if (!code) note(RENAMED, 0, 0, old, strlen(old), new, strlen(new));
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}

int unlink(const char *path) {
    if (!ours(path)) return NEXT(unlink)(path);
    pthread_mutex_lock(&one_at_a_time);
    int code = NEXT(unlink)(path);
    if (!code) note(REMOVED, 0, 0, path, strlen(path), "", 0);
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}
