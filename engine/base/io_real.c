/* SPDX-License-Identifier: MIT
 *
 * io_real: the machine's files behind the io seam. It knows system calls and nothing of the store.
 *
 * Sync of a set: write-back of all files is started first (sync_file_range), then fdatasync runs on
 * them in parallel, so that the disk sees one burst instead of one file after the other:
 *
 *   caller A --set--+                     +-- helper
 *   caller B --set--+-- sets with files --+-- helper      up to 16, started on first need
 *                   |   nobody took yet   +-- helper
 *                   +-- each caller works on its own set too, then waits for the rest of it
 *
 * A set lives on its caller's stack, so a sync allocates nothing; with no helper at all (threads
 * exhausted) the caller syncs everything alone.
 *
 * Invariants, under `lock`:
 *   R1 a set is in `sets` exactly while next < count;
 *   R2 done <= next <= count; the caller leaves when done == count: no helper holds it then;
 *   R3 helper_count never falls before io_real_free.
 *
 * Failures: the first error of a set is its result. An error of sync_file_range counts as one: a
 * file system may report a failed allocation only there, and the fdatasync behind it would then
 * lie. Nothing is retried but EINTR of calls that did nothing yet.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine/base/assert.h"
#include "engine/base/io.h"
#include "engine/base/work.h"

#define IO_REAL_HELPERS_MAX 16u
#define IO_REAL_FILE_MODE   0640
#define IO_REAL_FOLDER_MODE 0750

struct io_real {
    struct io io;
    pthread_mutex_t lock; /* all below: the one lock of this seam, never held over a disk access */
    pthread_cond_t work;  /* a set came, or stopping */
    pthread_cond_t done;  /* some set is complete */
    struct list sets;
    pthread_t helpers[IO_REAL_HELPERS_MAX];
    unsigned helper_count;
    bool stopping;
};

struct io_real_file {
    struct io_file file;
    int fd;
};

/* The files of one io_sync call. */
struct io_real_set {
    struct list link;
    struct io_file **files; /* borrowed from the caller */
    size_t count;
    size_t next; /* first file nobody took */
    size_t done; /* files whose sync returned */
    int result;  /* first error */
};

static struct io_real *io_real_of(struct io *io)
{
    ASSERT(io != NULL);
    return (struct io_real *)(void *)io;
}

static int io_real_fd(struct io_file *f)
{
    ASSERT(f != NULL);
    int fd = ((struct io_real_file *)(void *)f)->fd;
    ASSERT(fd >= 0);
    return fd;
}

/* errno as the seam's result: the conditions of io.h, else -errno. */
static int io_real_error(int error)
{
    ASSERT(error > 0);
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return IO_FULL;
    case ENOENT:
        return IO_MISSING;
    case EEXIST:
        return IO_EXISTS;
    default:
        return -error;
    }
}

/* Files */

/* Only regular files: a FIFO in a hostile data folder must not hang a reader. */
static int io_real_regular(int fd)
{
    ASSERT(fd >= 0);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode))
        return 0;
    return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
}

static int io_real_open_fd(struct io *io, const char *path, int flags, struct io_file **out)
{
    ASSERT(path != NULL);
    ASSERT(out != NULL);
    /* O_NONBLOCK means nothing to a regular file and keeps open() of a FIFO from waiting. */
    flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd CLEANUP(cleanup_fd) = open(path, flags, IO_REAL_FILE_MODE);
    if (fd < 0)
        return io_real_error(errno);
    int r = io_real_regular(fd);
    if (r != 0)
        return r;
    struct io_real_file *f = assert_memory(calloc(1, sizeof *f), sizeof *f);
    f->file.io = io;
    f->fd = fd;
    fd = -1;
    *out = &f->file;
    return 0;
}

static int io_real_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    ASSERT((flags & (IO_READ | IO_WRITE)) != 0);
    ASSERT((flags & IO_EXCL) == 0 || (flags & IO_CREATE) != 0);
    int mode = (flags & IO_WRITE) == 0 ? O_RDONLY : (flags & IO_READ) == 0 ? O_WRONLY : O_RDWR;
    mode |= (flags & IO_CREATE) != 0 ? O_CREAT : 0;
    mode |= (flags & IO_EXCL) != 0 ? O_EXCL : 0;
    return io_real_open_fd(io, path, mode, out);
}

static int io_real_close(struct io_file *f)
{
    int fd = io_real_fd(f);
    free(f);
    /* Linux has closed the descriptor when it says EINTR. */
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int io_real_size(struct io_file *f, uint64_t *out)
{
    struct stat st;
    if (fstat(io_real_fd(f), &st) < 0)
        return -errno;
    ASSERT(st.st_size >= 0);
    *out = (uint64_t)st.st_size;
    return 0;
}

static int io_real_names(struct io_file *f, uint64_t *out)
{
    struct stat st;
    if (fstat(io_real_fd(f), &st) < 0)
        return -errno;
    ASSERT(out != NULL);
    *out = (uint64_t)st.st_nlink;
    return 0;
}

static int io_real_modified(struct io_file *f, int64_t *ms)
{
    struct stat st;
    if (fstat(io_real_fd(f), &st) < 0)
        return -errno;
    ASSERT(st.st_mtim.tv_nsec >= 0 && st.st_mtim.tv_nsec < 1000000000);
    *ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return 0;
}

static int io_real_pread(struct io_file *f, void *p, size_t size, uint64_t pos, size_t *got)
{
    int fd = io_real_fd(f);
    size_t sum = 0;
    while (sum < size) {
        ssize_t n = pread(fd, (uint8_t *)p + sum, size - sum, (off_t)(pos + sum));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        sum += (size_t)n;
    }
    ASSERT(sum <= size);
    *got = sum;
    return 0;
}

static int io_real_pwritev(struct io_file *f, const struct iovec *v, int count, uint64_t pos)
{
    ASSERT(count >= 0);
    int fd = io_real_fd(f);
    int index = 0;   /* first vector with bytes left */
    size_t skip = 0; /* its bytes already written */
    for (;;) {
        while (index < count && skip >= v[index].iov_len)
            skip -= v[index++].iov_len;
        if (index == count)
            return 0;
        struct iovec rest = {(uint8_t *)v[index].iov_base + skip, v[index].iov_len - skip};
        int n_max = count - index < IOV_MAX ? count - index : IOV_MAX;
        ssize_t n = skip > 0 ? pwritev(fd, &rest, 1, (off_t)pos)
                             : pwritev(fd, v + index, n_max, (off_t)pos);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_real_error(errno);
        if (n == 0)
            return -EIO; /* no regular file takes nothing; do not spin on one that does */
        pos += (uint64_t)n;
        skip += (size_t)n;
    }
}

static int io_real_write_zeros(struct io_file *f, uint64_t pos, uint64_t end)
{
    static const uint8_t zeros[64 * 1024];
    ASSERT(pos <= end);
    while (pos < end) {
        size_t size = end - pos < sizeof zeros ? (size_t)(end - pos) : sizeof zeros;
        struct iovec v = {(void *)(uintptr_t)zeros, size};
        int r = io_real_pwritev(f, &v, 1, pos);
        if (r != 0)
            return r;
        pos += size;
    }
    ASSERT(pos == end);
    return 0;
}

/* fallocate(2) repeated over EINTR. 0 or errno. */
static int io_real_fallocate_call(int fd, int mode, uint64_t pos, uint64_t size)
{
    ASSERT(size > 0);
    int r;
    do
        r = fallocate(fd, mode, (off_t)pos, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? errno : 0;
}

static int io_real_fallocate(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    if (size == 0)
        return 0;
    int error = io_real_fallocate_call(io_real_fd(f), 0, pos, size);
    if (error != EOPNOTSUPP)
        return error == 0 ? 0 : io_real_error(error);
    uint64_t end = 0;
    int r = io_real_size(f, &end);
    if (r != 0)
        return r;
    uint64_t from = pos > end ? pos : end;
    return from >= pos + size ? 0 : io_real_write_zeros(f, from, pos + size);
}

static int io_real_zero(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    if (size == 0)
        return 0;
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    int error = io_real_fallocate_call(io_real_fd(f), mode, pos, size);
    if (error != EOPNOTSUPP)
        return error == 0 ? 0 : io_real_error(error);
    uint64_t end = 0;
    int r = io_real_size(f, &end);
    if (r != 0)
        return r;
    end = pos + size < end ? pos + size : end;
    return pos >= end ? 0 : io_real_write_zeros(f, pos, end);
}

static int io_real_truncate(struct io_file *f, uint64_t size)
{
    ASSERT(size <= INT64_MAX);
    int fd = io_real_fd(f);
    int r;
    do
        r = ftruncate(fd, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? io_real_error(errno) : 0;
}

/* Blocks are shared where the file system can, else copied without passing through here. */
static int io_real_copy(struct io_file *from, struct io_file *to, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    uint64_t end = pos + size;
    while (pos < end) {
        loff_t in = (loff_t)pos, out = (loff_t)pos;
        ssize_t n = copy_file_range(io_real_fd(from), &in, io_real_fd(to), &out, end - pos, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            return IO_FULL;
        if (n <= 0) /* cannot between these two, or at the end: the plain way finds out */
            return io_copy_plain(from, to, pos, end - pos);
        pos += (uint64_t)n;
    }
    ASSERT(pos == end);
    return 0;
}

/* Sync */

/* Takes the next file of the set, syncs it with the lock let go, and records the result. */
static void io_real_sync_next(struct io_real *real, struct io_real_set *set)
{
    ASSERT(set->next < set->count);
    int fd = io_real_fd(set->files[set->next++]);
    if (set->next == set->count)
        list_remove(&set->link);
    pthread_mutex_unlock(&real->lock);
    int r = fdatasync(fd) < 0 ? -errno : 0;
    pthread_mutex_lock(&real->lock);
    if (set->result == 0)
        set->result = r;
    set->done++;
    ASSERT(set->done <= set->next);
    if (set->done == set->count)
        pthread_cond_broadcast(&real->done);
}

static void *io_real_helper(void *arg)
{
    struct io_real *real = arg;
    pthread_mutex_lock(&real->lock);
    while (!real->stopping) {
        if (list_empty(&real->sets))
            pthread_cond_wait(&real->work, &real->lock);
        else
            io_real_sync_next(real, LIST_ENTRY(real->sets.next, struct io_real_set, link));
    }
    ASSERT(list_empty(&real->sets));
    pthread_mutex_unlock(&real->lock);
    return NULL;
}

/* Has up to `wanted` helpers, or as many as the system gives. Under the lock. */
static void io_real_helpers(struct io_real *real, size_t wanted)
{
    ASSERT(!real->stopping);
    while (real->helper_count < wanted && real->helper_count < IO_REAL_HELPERS_MAX) {
        pthread_t *thread = &real->helpers[real->helper_count];
        if (work_thread_start(thread, io_real_helper, real) != 0)
            return;
        real->helper_count++;
    }
    ASSERT(real->helper_count <= IO_REAL_HELPERS_MAX);
}

/* Starts write-back of a whole set. */
static int io_real_write_back(struct io_file **files, size_t count)
{
    ASSERT(files != NULL);
    for (size_t i = 0; i < count; i++) {
        int r = sync_file_range(io_real_fd(files[i]), 0, 0, SYNC_FILE_RANGE_WRITE);
        if (r < 0 && errno != ENOSYS && errno != EOPNOTSUPP)
            return -errno;
    }
    return 0;
}

static int io_real_sync(struct io *io, struct io_file **files, size_t count)
{
    struct io_real *real = io_real_of(io);
    ASSERT(count > 0);
    if (count == 1)
        return fdatasync(io_real_fd(files[0])) < 0 ? -errno : 0;
    int r = io_real_write_back(files, count);
    if (r != 0)
        return r;
    struct io_real_set set = {.files = files, .count = count};
    pthread_mutex_lock(&real->lock);
    list_add_tail(&real->sets, &set.link);
    io_real_helpers(real, count - 1);
    pthread_cond_broadcast(&real->work);
    while (set.next < set.count)
        io_real_sync_next(real, &set);
    while (set.done < set.count)
        pthread_cond_wait(&real->done, &real->lock);
    pthread_mutex_unlock(&real->lock);
    ASSERT(set.done == set.count);
    return set.result;
}

/* Mappings */

static int io_real_map(struct io_file *f, size_t size, struct io_map *out)
{
    ASSERT(size > 0);
    ASSERT(out != NULL);
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, io_real_fd(f), 0);
    if (p == MAP_FAILED)
        return -errno;
    *out = (struct io_map){p, size};
    return 0;
}

static void io_real_unmap(struct io *io, struct io_map *m)
{
    ASSERT(io != NULL);
    int r = munmap((void *)(uintptr_t)m->p, m->size);
    ASSERT(r == 0);
}

static bool io_real_resident(struct io *io, const struct io_map *m, uint64_t pos, size_t size)
{
    ASSERT(io != NULL);
    ASSERT(pos <= m->size && size <= m->size - pos);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t end = pos + size;
    unsigned char flags[256];
    for (uint64_t at = pos - pos % page; at < end;) {
        uint64_t count = (end - at + page - 1) / page;
        count = count < sizeof flags ? count : sizeof flags;
        if (mincore((void *)(uintptr_t)(m->p + at), count * page, flags) < 0)
            return false;
        for (uint64_t i = 0; i < count; i++)
            if ((flags[i] & 1) == 0)
                return false;
        at += count * page;
    }
    return true;
}

/* Names */

static int io_real_rename(struct io *io, const char *from, const char *to)
{
    ASSERT(io != NULL);
    ASSERT(from != NULL && to != NULL);
    if (rename(from, to) == 0)
        return 0;
    return errno == EEXIST ? -ENOTEMPTY : io_real_error(errno);
}

static int io_real_link(struct io *io, const char *from, const char *to)
{
    ASSERT(io != NULL);
    ASSERT(from != NULL && to != NULL);
    return link(from, to) < 0 ? io_real_error(errno) : 0;
}

static int io_real_unlink(struct io *io, const char *path)
{
    ASSERT(io != NULL);
    ASSERT(path != NULL);
    return unlink(path) < 0 ? io_real_error(errno) : 0;
}

static int io_real_mkdir(struct io *io, const char *path)
{
    ASSERT(io != NULL);
    ASSERT(path != NULL);
    return mkdir(path, IO_REAL_FOLDER_MODE) < 0 ? io_real_error(errno) : 0;
}

static int io_real_rmdir(struct io *io, const char *path)
{
    ASSERT(io != NULL);
    ASSERT(path != NULL);
    if (rmdir(path) == 0)
        return 0;
    return errno == EEXIST ? -ENOTEMPTY : io_real_error(errno);
}

static int io_real_open_folder(const char *path)
{
    ASSERT(path != NULL);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int io_real_sync_dir(struct io *io, const char *path)
{
    ASSERT(io != NULL);
    int fd CLEANUP(cleanup_fd) = io_real_open_folder(path);
    if (fd < 0)
        return io_real_error(errno);
    return fsync(fd) < 0 ? -errno : 0;
}

static int io_real_kind(int folder_fd, const struct dirent *entry, enum io_kind *out)
{
    ASSERT(folder_fd >= 0);
    struct stat st = {0};
    if (entry->d_type == DT_REG)
        st.st_mode = S_IFREG;
    else if (entry->d_type == DT_DIR)
        st.st_mode = S_IFDIR;
    else if (entry->d_type == DT_UNKNOWN &&
             fstatat(folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *out = S_ISREG(st.st_mode)   ? IO_KIND_FILE
           : S_ISDIR(st.st_mode) ? IO_KIND_FOLDER
                                 : IO_KIND_OTHER;
    return 0;
}

static int io_real_list_open(DIR *dir, int (*each)(void *ctx, const char *name, enum io_kind kind),
                             void *ctx)
{
    ASSERT(dir != NULL);
    ASSERT(each != NULL);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return -errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        enum io_kind kind = IO_KIND_OTHER;
        int r = io_real_kind(dirfd(dir), entry, &kind);
        if (r == -ENOENT)
            continue; /* removed while we looked */
        if (r == 0)
            r = each(ctx, entry->d_name, kind);
        if (r != 0)
            return r;
    }
}

static int io_real_list(struct io *io, const char *path,
                        int (*each)(void *ctx, const char *name, enum io_kind kind), void *ctx)
{
    ASSERT(io != NULL);
    int fd = io_real_open_folder(path);
    if (fd < 0)
        return io_real_error(errno);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        (void)close(fd);
        return -error;
    }
    int r = io_real_list_open(dir, each, ctx);
    (void)closedir(dir);
    return r;
}

static int io_real_space(struct io *io, const char *path, uint64_t *free_size, uint64_t *total_size)
{
    ASSERT(io != NULL);
    struct statvfs st;
    if (statvfs(path, &st) < 0)
        return io_real_error(errno);
    ASSERT(st.f_frsize > 0);
    *free_size = (uint64_t)st.f_bavail * st.f_frsize;
    *total_size = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

static int io_real_lock(struct io *io, const char *path, struct io_file **out)
{
    ASSERT(out != NULL);
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    int r = io_real_open_fd(io, path, O_RDWR | O_CREAT, &f);
    if (r != 0)
        return r;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(io_real_fd(f), F_OFD_SETLK, &lock) < 0)
        return errno == EAGAIN || errno == EACCES ? IO_LOCKED : -errno;
    *out = f;
    f = NULL;
    return 0;
}

static const struct io_ops io_real_ops = {
    .open = io_real_open,
    .close = io_real_close,
    .size = io_real_size,
    .names = io_real_names,
    .modified = io_real_modified,
    .pread = io_real_pread,
    .pwritev = io_real_pwritev,
    .fallocate = io_real_fallocate,
    .zero = io_real_zero,
    .truncate = io_real_truncate,
    .sync = io_real_sync,
    .map = io_real_map,
    .unmap = io_real_unmap,
    .resident = io_real_resident,
    .rename = io_real_rename,
    .link = io_real_link,
    .copy = io_real_copy,
    .unlink = io_real_unlink,
    .mkdir = io_real_mkdir,
    .rmdir = io_real_rmdir,
    .sync_dir = io_real_sync_dir,
    .list = io_real_list,
    .space = io_real_space,
    .lock = io_real_lock,
};

struct io *io_real_new(void)
{
    struct io_real *real = assert_memory(calloc(1, sizeof *real), sizeof *real);
    real->io.ops = &io_real_ops;
    list_init(&real->sets);
    int r = pthread_mutex_init(&real->lock, NULL);
    ASSERT(r == 0);
    r = pthread_cond_init(&real->work, NULL);
    ASSERT(r == 0);
    r = pthread_cond_init(&real->done, NULL);
    ASSERT(r == 0);
    return &real->io;
}

struct io *io_real_free(struct io *io)
{
    if (io == NULL)
        return NULL;
    struct io_real *real = io_real_of(io);
    ASSERT(io->ops == &io_real_ops);
    pthread_mutex_lock(&real->lock);
    ASSERT(list_empty(&real->sets));
    real->stopping = true;
    pthread_cond_broadcast(&real->work);
    pthread_mutex_unlock(&real->lock);
    for (unsigned i = 0; i < real->helper_count; i++) {
        int r = pthread_join(real->helpers[i], NULL);
        ASSERT(r == 0);
    }
    pthread_cond_destroy(&real->done);
    pthread_cond_destroy(&real->work);
    pthread_mutex_destroy(&real->lock);
    free(real);
    return NULL;
}
