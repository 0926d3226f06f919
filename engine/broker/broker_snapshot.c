/* SPDX-License-Identifier: MIT
 *
 * broker_snapshot: a consistent copy of the running broker's data (snapshot.h), made without
 * stopping anything.
 *
 *   prepare   partitions that are not open yet are opened, large active segments sealed (what is
 *             sealed is linked, not copied), a swap of cleaned segments that is under way ends
 *                                                                  turns, until done or late
 *   take      every partition's end is fixed                       one turn
 *   link      every file that counts gets a second name            worker
 *   fill      the active segments are copied, all is synced, the folder renamed   worker
 *
 * Everything is taken in one turn, so the parts fit together: __meta names no topic whose records
 * are missing, and since a commit is written only when the records below its offset are on disk, no
 * committed offset lies beyond the end of its log. Until the links are made, a topic that is being
 * deleted keeps its folders (bpart.jobs); where retention was faster than the links, it is taken
 * again. Compaction puts other bytes under names that were taken, so from the request to the end it
 * waits with its swaps (broker_compact.h): a partition is as it was before a swap, or behind it.
 *
 * The last segment of an earlier snapshot beside this one is linked instead of copied when the same
 * run of the broker made it and its line in the manifest is the same: then it is the same bytes.
 *
 * Failures: no space, an unreadable partition, a folder that cannot be made: told to who asked;
 * what was made is removed. None of them is fatal to the broker.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/format.h"
#include "engine/broker/snapshot.h"
#include "engine/store/copy.h"

#define BROKER_SNAPSHOT_SEAL_SIZE (UINT64_C(16) << 20) /* smaller ones are copied */
#define BROKER_SNAPSHOT_SEAL_MS   5000
#define BROKER_SNAPSHOT_LOAD_MS   30000
#define BROKER_SNAPSHOT_TRIES     8
#define BROKER_SNAPSHOT_PATH_MAX  2048u

struct broker_snapshot_part {
    struct copy copy;
    struct bpart *held; /* its `jobs` count us; NULL when let go */
    char *folder;       /* owned */
    char id[23];        /* "" for __meta */
    char *same;         /* owned: folder of the same last segment, or NULL */
};

struct broker_snapshot {
    struct work_job job;
    struct broker *broker;
    struct broker_admin *req;
    struct buf dir;
    struct buf work; /* <dir>.partial */
    struct buf manifest;
    struct snapshot_header header;
    struct broker_snapshot_part *parts;
    size_t count;
    int64_t began_ms; /* monotonic */
    int64_t retry_ms; /* preparing is over at the latest then */
    unsigned tries;
    int result;
    atomic_bool stop; /* the broker stops: the worker ends early */
    bool preparing;
};

/* --- ends --- */

static void broker_snapshot_release(struct broker_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct broker_snapshot_part *p = &s->parts[i];
        ASSERT(p->held == NULL || p->held->jobs > 0);
        if (p->held != NULL)
            p->held->jobs--;
        p->held = NULL;
    }
}

static void broker_snapshot_drop_parts(struct broker_snapshot *s)
{
    ASSERT(s->parts != NULL || s->count == 0);
    broker_snapshot_release(s);
    for (size_t i = 0; i < s->count; i++) {
        copy_deinit(&s->parts[i].copy);
        free(s->parts[i].folder);
        free(s->parts[i].same);
    }
    free(s->parts);
    s->parts = NULL;
    s->count = 0;
    buf_reset(&s->manifest);
}

__attribute__((format(printf, 3, 4))) static void
broker_snapshot_end(struct broker_snapshot *s, enum broker_status status, const char *fmt, ...)
{
    struct broker *b = s->broker;
    va_list args;
    ASSERT(b->snapshot == s && s->req != NULL);
    va_start(args, fmt);
    (void)vsnprintf(s->req->message, sizeof s->req->message, fmt, args);
    va_end(args);
    s->req->status = status;
    broker_admin_ready(b, s->req);
    b->snapshot = NULL;
    broker_snapshot_drop_parts(s);
    buf_deinit(&s->dir);
    buf_deinit(&s->work);
    buf_deinit(&s->manifest);
    free(s);
}

static void broker_snapshot_failed(struct broker_snapshot *s)
{
    const char *dir = (const char *)s->dir.p;
    ASSERT(s->result != 0);
    if (s->result == IO_FULL)
        broker_snapshot_end(s, BROKER_BAD_REQUEST, "no space left on the disk of %.200s", dir);
    else if (s->result == SNAPSHOT_BUSY)
        broker_snapshot_end(s, BROKER_TOPIC_EXISTS, "%.200s exists already", dir);
    else if (s->result == SNAPSHOT_FOREIGN)
        broker_snapshot_end(s, BROKER_BAD_REQUEST, "%.200s.partial is in the way", dir);
    else if (s->result == IO_MISSING)
        broker_snapshot_end(s, BROKER_BAD_REQUEST, "no folder around %.200s", dir);
    else if (s->result == -ECANCELED)
        broker_snapshot_end(s, BROKER_STOPPING, "%s", "");
    else
        broker_snapshot_end(s, BROKER_BAD_REQUEST, "cannot write %.160s: %.80s", dir,
                            s->result < 0 ? error_text(s->result) : "files changed under it");
}

/* --- what it is made of --- */

/* Partition by partition: __meta first, then every topic. NULL at the end. */
struct broker_snapshot_walk {
    size_t topic;
    int32_t index;
    bool meta_done;
};

static struct bpart *broker_snapshot_next(struct broker *b, struct broker_snapshot_walk *w)
{
    ASSERT(w->topic <= b->topic_count);
    if (!w->meta_done) {
        w->meta_done = true;
        return &b->meta_part;
    }
    while (w->topic < b->topic_count) {
        struct topic *t = b->sorted[w->topic];
        if (!t->deleting && w->index < t->record.partitions)
            return t->parts[w->index++];
        w->topic++;
        w->index = 0;
    }
    return NULL;
}

static uint64_t broker_snapshot_active_size(const struct part *p)
{
    ASSERT(p->count == 0 || p->segments != NULL);
    return p->count > 0 ? p->segments[p->count - 1]->ready : 0;
}

/* Nothing has to be waited for in front of this partition. */
static bool broker_snapshot_part_ready(struct broker_snapshot *s, struct bpart *p)
{
    bool late = broker_now(s->broker) >= s->began_ms + BROKER_SNAPSHOT_SEAL_MS;
    ASSERT(s->preparing);
    if (p->part == NULL) {
        bpart_load_later(p);
        return p->state != BPART_LOADING && !(p->state == BPART_IDLE && p->on_disk);
    }
    return p->part->swap == NULL && (late || !(p->part->seal || p->part->sealing));
}

/* NULL when all are, else the first that is not. */
static struct bpart *broker_snapshot_waits_for(struct broker_snapshot *s)
{
    struct broker_snapshot_walk w = {0};
    struct bpart *p = NULL;
    ASSERT(s->preparing);
    do
        p = broker_snapshot_next(s->broker, &w);
    while (p != NULL && broker_snapshot_part_ready(s, p));
    return p;
}

static void broker_snapshot_seal(struct broker *b)
{
    struct broker_snapshot_walk w = {0};
    ASSERT(b->snapshot != NULL);
    for (struct bpart *p = broker_snapshot_next(b, &w); p != NULL;
         p = broker_snapshot_next(b, &w)) {
        if (p->part == NULL || broker_snapshot_active_size(p->part) < BROKER_SNAPSHOT_SEAL_SIZE)
            continue;
        ASSERT(p->state == BPART_ONLINE);
        part_seal(p->part);
        bpart_due(p);
    }
}

static void broker_snapshot_take_part(struct broker_snapshot *s, struct bpart *p)
{
    struct broker_snapshot_part *out = &s->parts[s->count];
    struct buf path CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    struct buf what CLEANUP(buf_deinit) = {0};
    bpart_path(p, &path);
    const char *folder = strrchr((const char *)path.p, '/') + 1;
    state_path(&to, (const char *)s->work.p, folder);
    ASSERT(p->part != NULL && to.size > 0);
    *out = (struct broker_snapshot_part){.held = NULL};
    if (!copy_take(p->part, (const char *)to.p, &out->copy))
        return;
    out->folder = (char *)slice_dup(slice_str(folder));
    if (p->topic != NULL)
        catalog_id_text(p->topic->record.id, out->id);
    out->held = p;
    p->jobs++;
    copy_describe(&out->copy, &what);
    snapshot_add(&s->manifest, folder, p->topic != NULL ? out->id : NULL, (const char *)what.p);
    s->count++;
}

/* All in this turn. NULL, or the partition that cannot be read. */
static struct bpart *broker_snapshot_take(struct broker_snapshot *s)
{
    struct broker *b = s->broker;
    struct broker_snapshot_walk w = {0};
    size_t size = (b->partition_count + 1) * sizeof *s->parts;
    ASSERT(s->parts == NULL && s->count == 0 && s->manifest.size == 0);
    s->parts = assert_memory(calloc(1, size), size);
    s->header = (struct snapshot_header){.incarnation = b->incarnation, .made_ms = broker_wall(b)};
    memcpy(s->header.cluster_id, b->cluster_id, sizeof b->cluster_id);
    snapshot_begin(&s->header, &s->manifest);
    for (struct bpart *p = broker_snapshot_next(b, &w); p != NULL;
         p = broker_snapshot_next(b, &w)) {
        if (p->state == BPART_FAILED || (p->part != NULL && p->part->failed != 0))
            return p;
        if (p->part != NULL) /* else it has no folder */
            broker_snapshot_take_part(s, p);
    }
    snapshot_end(&s->manifest);
    return NULL;
}

/* --- worker: links --- */

static int broker_snapshot_target_free(struct io *io, const char *dir)
{
    struct io_file *f = NULL;
    int r = io_open(io, dir, IO_READ, &f);
    int closed = io_close(f);
    ASSERT(dir[0] == '/');
    if (r == 0 && closed != 0)
        return closed;
    return r == IO_MISSING ? 0 : r == 0 || r == -EISDIR || r == -ENXIO ? SNAPSHOT_BUSY : r;
}

static void broker_snapshot_link_run(struct work_job *job)
{
    struct broker_snapshot *s = LIST_ENTRY(job, struct broker_snapshot, job);
    struct io *io = s->broker->io;
    struct copy_files files = {.count = 0};
    buf_reset(&s->work);
    int r = broker_snapshot_target_free(io, (const char *)s->dir.p);
    if (r == 0)
        r = snapshot_open_work(io, (const char *)s->dir.p, &s->work);
    s->result = r;
    if (r != 0)
        return;
    for (size_t i = 0; r == 0 && i < s->count; i++)
        r = atomic_load(&s->stop) ? -ECANCELED : copy_link(io, &s->parts[i].copy, &files);
    int synced = copy_sync(io, &files);
    s->result = r != 0 ? r : synced;
    ASSERT(s->result < 16); /* 0, -errno or a condition */
    if (s->result != 0)
        snapshot_drop_work(io, (const char *)s->work.p);
}

/* --- worker: the rest --- */

struct broker_snapshot_search {
    struct broker_snapshot *snapshot;
    const char *parent;
    struct buf best; /* path */
    struct buf text; /* its manifest */
    int64_t best_ms;
};

/* The newest snapshot of this run of the broker. What cannot be read is none. */
static int broker_snapshot_look(void *ctx, const char *name, enum io_kind kind)
{
    struct broker_snapshot_search *l = ctx;
    struct broker_snapshot *s = l->snapshot;
    struct buf path CLEANUP(buf_deinit) = {0}, text CLEANUP(buf_deinit) = {0};
    struct snapshot_header h;
    ASSERT(name[0] != '\0');
    if (kind != IO_KIND_FOLDER)
        return 0;
    state_path(&path, l->parent, name);
    if (strcmp((const char *)path.p, (const char *)s->work.p) == 0 ||
        snapshot_read(s->broker->io, (const char *)path.p, &h, &text) != 0 ||
        h.incarnation != s->header.incarnation || h.made_ms <= l->best_ms ||
        strcmp(h.cluster_id, s->header.cluster_id) != 0)
        return 0;
    struct buf old_path = l->best, old_text = l->text;
    l->best = path;
    l->text = text;
    l->best_ms = h.made_ms;
    path = old_path;
    text = old_text;
    return 0;
}

static void broker_snapshot_find_same(struct broker_snapshot *s)
{
    struct buf parent CLEANUP(buf_deinit) = {0};
    struct broker_snapshot_search l = {.snapshot = s, .best_ms = -1};
    state_parent(&parent, (const char *)s->dir.p);
    l.parent = (const char *)parent.p;
    int r = io_list(s->broker->io, l.parent, broker_snapshot_look, &l);
    ASSERT(l.best_ms < 0 || l.text.p != NULL);
    for (size_t i = 0; r == 0 && l.best_ms >= 0 && i < s->count; i++) {
        struct broker_snapshot_part *p = &s->parts[i];
        struct buf what CLEANUP(buf_deinit) = {0}, same CLEANUP(buf_deinit) = {0};
        copy_describe(&p->copy, &what);
        if (!snapshot_has(&l.text, p->folder, p->id[0] != '\0' ? p->id : NULL,
                          (const char *)what.p))
            continue;
        state_path(&same, (const char *)l.best.p, p->folder);
        p->same = (char *)slice_dup(buf_slice(&same));
    }
    buf_deinit(&l.best);
    buf_deinit(&l.text);
}

/* `format` and the manifest. */
static int broker_snapshot_small(struct broker_snapshot *s, struct copy_files *files)
{
    struct io *io = s->broker->io;
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    struct buf bytes CLEANUP(buf_deinit) = {0}, manifest CLEANUP(buf_deinit) = {0};
    state_path(&from, s->broker->dir, "format");
    state_path(&to, (const char *)s->work.p, "format");
    state_path(&manifest, (const char *)s->work.p, "snapshot");
    ASSERT(s->manifest.size > 0);
    int r = io_read_file(io, (const char *)from.p, 4096, &bytes);
    if (r == 0)
        r = copy_bytes(io, buf_slice(&bytes), (const char *)to.p, files);
    if (r == 0)
        r = copy_bytes(io, buf_slice(&s->manifest), (const char *)manifest.p, files);
    return r;
}

static void broker_snapshot_fill_run(struct work_job *job)
{
    struct broker_snapshot *s = LIST_ENTRY(job, struct broker_snapshot, job);
    struct io *io = s->broker->io;
    struct copy_files files = {.count = 0};
    ASSERT(s->result == 0);
    broker_snapshot_find_same(s);
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->count; i++)
        r = atomic_load(&s->stop) ? -ECANCELED
                                  : copy_fill(io, &s->parts[i].copy, s->parts[i].same, &files);
    if (r == 0)
        r = broker_snapshot_small(s, &files);
    int synced = copy_sync(io, &files);
    r = r != 0 ? r : synced;
    if (r == 0)
        r = snapshot_close_work(io, (const char *)s->work.p, (const char *)s->dir.p);
    s->result = r;
    ASSERT(s->result < 16); /* 0, -errno or a condition */
    if (r != 0)
        snapshot_drop_work(io, (const char *)s->work.p);
}

/* --- owner thread --- */

static void broker_snapshot_again(struct broker_snapshot *s)
{
    ASSERT(!s->preparing);
    broker_snapshot_drop_parts(s);
    if (++s->tries >= BROKER_SNAPSHOT_TRIES) {
        broker_snapshot_end(s, BROKER_BUSY, "segments went faster than they could be linked");
        return;
    }
    s->preparing = true;
    s->result = 0;
}

static void broker_snapshot_filled(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_snapshot *s = LIST_ENTRY(job, struct broker_snapshot, job);
    struct broker_admin *a = s->req;
    ASSERT(s->broker->snapshot == s);
    if (s->result == COPY_MOVED) {
        broker_snapshot_again(s);
        return;
    }
    if (s->result != 0) {
        broker_snapshot_failed(s);
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        a->linked_size += s->parts[i].copy.linked_size;
        a->copied_size += s->parts[i].copy.copied_size;
    }
    a->partition_count = (int32_t)s->count;
    a->took_ms = broker_now(s->broker) - s->began_ms;
    broker_log(s->broker, 0,
               "snapshot %.300s: %zu partitions, %" PRIu64 " MiB linked, %" PRIu64
               " MiB copied, %" PRId64 " ms",
               (const char *)s->dir.p, s->count, a->linked_size >> 20, a->copied_size >> 20,
               a->took_ms);
    broker_snapshot_end(s, BROKER_OK, "%s", "");
}

/* No name was given to other bytes meanwhile. */
static void broker_snapshot_check(const struct broker_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct part *p = s->parts[i].held->part;
        ASSERT(p == NULL || (p->swap == NULL && p->swaps == s->parts[i].copy.swaps));
    }
}

static void broker_snapshot_linked(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_snapshot *s = LIST_ENTRY(job, struct broker_snapshot, job);
    ASSERT(s->broker->snapshot == s);
    broker_snapshot_check(s);
    broker_snapshot_release(s);
    if (s->result == COPY_MOVED) {
        broker_snapshot_again(s);
    } else if (s->result != 0) {
        broker_snapshot_failed(s);
    } else {
        s->job = (struct work_job){.run = broker_snapshot_fill_run,
                                   .note = {.done = broker_snapshot_filled}};
        work_submit(s->broker->env.work, &s->job);
    }
}

static void broker_snapshot_start(struct broker_snapshot *s)
{
    s->preparing = false;
    struct bpart *bad = broker_snapshot_take(s);
    if (bad != NULL) {
        broker_snapshot_end(s, BROKER_STORAGE, "%s-%d cannot be read",
                            bad->topic != NULL ? bad->topic->name : "__meta", bad->index);
        return;
    }
    ASSERT(s->count > 0);
    s->job = (struct work_job){.run = broker_snapshot_link_run,
                               .note = {.done = broker_snapshot_linked}};
    work_submit(s->broker->env.work, &s->job);
}

void broker_snapshot_run(struct broker *b)
{
    struct broker_snapshot *s = b->snapshot;
    if (s == NULL)
        return;
    ASSERT(s->broker == b);
    atomic_store(&s->stop, b->stopping);
    if (!s->preparing)
        return;
    if (b->stopping) {
        broker_snapshot_end(s, BROKER_STOPPING, "%s", "");
        return;
    }
    struct bpart *p = broker_snapshot_waits_for(s);
    if (p == NULL)
        broker_snapshot_start(s);
    else if (broker_now(b) >= s->began_ms + BROKER_SNAPSHOT_LOAD_MS)
        broker_snapshot_end(s, BROKER_LOADING, "%s-%d is being recovered",
                            p->topic != NULL ? p->topic->name : "__meta", p->index);
}

int64_t broker_snapshot_next_ms(const struct broker *b)
{
    const struct broker_snapshot *s = b->snapshot;
    ASSERT(s == NULL || s->broker == b);
    if (s == NULL || !s->preparing)
        return INT64_MAX;
    int64_t seal = s->began_ms + BROKER_SNAPSHOT_SEAL_MS;
    return broker_now(b) < seal ? seal : s->began_ms + BROKER_SNAPSHOT_LOAD_MS;
}

/* --- the request --- */

/* NULL, or what is wrong with the folder. */
static const char *broker_snapshot_fault(const struct broker *b, const char *dir, size_t size)
{
    size_t own = strlen(b->dir);
    ASSERT(own > 0);
    if (dir[0] != '/' || size < 2 || dir[size - 1] == '/' || strlen(dir) != size ||
        size > BROKER_SNAPSHOT_PATH_MAX || strstr(dir, "//") != NULL ||
        strstr(dir, "/../") != NULL || strstr(dir, "/./") != NULL ||
        strcmp(dir + size - 2, "/.") == 0 || (size >= 3 && strcmp(dir + size - 3, "/..") == 0))
        return "want an absolute path";
    if (strncmp(dir, b->dir, own) != 0 || (dir[own] != '/' && dir[own] != '\0'))
        return NULL;
    return dir[own] == '/' && dir[own + 1] == '.'
               ? NULL
               : "it lies in the data folder; there only names that begin with \".\" are free";
}

void broker_snapshot(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_SNAPSHOT);
    char *dir = (char *)slice_dup(a->topic);
    const char *fault = broker_snapshot_fault(b, dir, a->topic.size);
    if (fault != NULL || b->snapshot != NULL) {
        (void)snprintf(a->message, sizeof a->message, "%.200s",
                       fault != NULL ? fault : "another snapshot is being made");
        a->status = fault != NULL ? BROKER_BAD_REQUEST : BROKER_BUSY;
        broker_admin_ready(b, a);
        free(dir);
        return;
    }
    struct broker_snapshot *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->broker = b;
    s->req = a;
    s->began_ms = broker_now(b);
    s->preparing = true;
    buf_printf(&s->dir, "%s", dir);
    buf_printf(&s->work, "%s.partial", dir);
    free(dir);
    b->snapshot = s;
    broker_snapshot_seal(b);
}

void broker_snapshot_abandon(struct broker *b)
{
    ASSERT(b->dead);
    if (b->snapshot != NULL && b->snapshot->preparing)
        broker_snapshot_end(b->snapshot, BROKER_STOPPING, "%s", "");
    ASSERT(b->snapshot == NULL);
}
