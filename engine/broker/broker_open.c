/* SPDX-License-Identifier: MIT
 *
 * broker_open: the data folder, from its lock to its catalogue.
 *
 *   LOCK          held exclusively while a broker runs
 *   format        "kauri data folder", version, cluster id, node id, a checksum; written once
 *   failed        left by an exit after an I/O error: the next start does not trust the page cache
 *   __meta/       the log of cluster records
 *   view/         LMDB; set aside as view.damaged-<time> when it does not check
 *   <topic>-<n>/  partitions
 *   lost+found/   folders nobody knows: moved here, never removed
 *
 * Order: lock, format, __meta (recovered here, it is small), view, catalogue, folders. Topics whose
 * deletion was decided are finished; folders of partitions that no topic has are moved aside.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/format.h"

#define BROKER_VIEW_MAP_SIZE (1ull << 30)
#define BROKER_META_SEGMENT  (64u << 20)

static void broker_path(const struct broker *b, const char *name, struct buf *out)
{
    ASSERT(out->size == 0);
    ASSERT(name[0] != '\0');
    buf_printf(out, "%s/%s", b->dir, name);
}

/* The entry of `path` in the folder around it; one that we may not open is not of our making. */
static int broker_sync_parent(struct broker *b, const char *path)
{
    struct buf parent CLEANUP(buf_deinit) = {0};
    ASSERT(path[0] != '\0');
    state_parent(&parent, path);
    int r = io_sync_dir(b->io, (const char *)parent.p);
    return r == -EACCES || r == -EROFS ? 0 : r == IO_MISSING ? -ENOENT : r;
}

static int broker_make_folder(struct broker *b, const char *path)
{
    int r = io_mkdir(b->io, path);
    ASSERT(path[0] != '\0');
    return r == 0 ? broker_sync_parent(b, path) : r;
}

/* mkdir -p. */
static int broker_make_dir(struct broker *b)
{
    char *path CLEANUP(cleanup_free) = strdup(b->dir);
    ASSERT(path != NULL);
    if (path[0] == '\0')
        return -ENOENT;
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int r = broker_make_folder(b, path);
        *p = '/';
        if (r < 0 && r != -EROFS && r != -EACCES) /* exists above a folder we may not write */
            return r;
    }
    int r = broker_make_folder(b, path);
    return r == IO_EXISTS ? 0 : r == IO_FULL ? BROKER_OPEN_FULL : r == IO_MISSING ? -ENOENT : r;
}

static int broker_lock(struct broker *b)
{
    ASSERT(b->lock == NULL);
    struct buf path CLEANUP(buf_deinit) = {0};
    broker_path(b, "LOCK", &path);
    int r = io_lock(b->io, (const char *)path.p, &b->lock);
    ASSERT((r == 0) == (b->lock != NULL));
    return r == IO_LOCKED ? BROKER_OPEN_LOCKED : r == IO_FULL ? BROKER_OPEN_FULL : r;
}

/* --- format --- */

static int broker_foreign(void *ctx, const char *name, enum io_kind kind)
{
    static const char *const ours[] = {"LOCK", "lost+found", "format.tmp"};
    ASSERT(ctx == NULL && name[0] != '\0');
    if (name[0] == '.' || kind == IO_KIND_OTHER) /* a socket */
        return 0;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0)
            return 0;
    return BROKER_OPEN_FOREIGN;
}

/* A broker that ran on a snapshot would write into the bytes of others. */
static int broker_refuse_snapshot(struct broker *b)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(b->lock == NULL);
    broker_path(b, "snapshot", &path);
    int r = io_open(b->io, (const char *)path.p, IO_READ, &f);
    int closed = io_close(f);
    return r == 0 ? BROKER_OPEN_SNAPSHOT : r == IO_MISSING ? closed : r;
}

/* A folder of somebody else's is left as it is, without so much as a LOCK file. */
static int broker_refuse_foreign(struct broker *b)
{
    struct format f;
    ASSERT(b->lock == NULL);
    if (format_read(b->io, b->dir, &f) != IO_MISSING)
        return 0;
    int r = io_list(b->io, b->dir, broker_foreign, NULL);
    return r == IO_MISSING ? -ENOENT : r;
}

static int broker_format_make(struct broker *b, struct format *f)
{
    ASSERT(!b->fresh);
    uint8_t id[16];
    const char *join = b->env.join_cluster_id;
    random_entropy(id, sizeof id);
    if (join != NULL && !catalog_id_read(slice_str(join), id))
        return -EINVAL;
    catalog_id_text(id, f->cluster_id);
    ASSERT(strlen(f->cluster_id) == sizeof f->cluster_id - 1);
    f->node_id = (int32_t)config_i64(b->env.config, CONFIG_NODE_ID);
    b->fresh = true;
    int r = format_write(b->io, b->dir, f);
    if (r == 0) /* a start that was killed may have made the folder */
        r = broker_sync_parent(b, b->dir);
    return r == IO_FULL ? BROKER_OPEN_FULL : r;
}

static int broker_format(struct broker *b)
{
    struct format f = {0};
    int r = format_read(b->io, b->dir, &f);
    if (r == IO_MISSING)
        r = broker_format_make(b, &f);
    if (r == FORMAT_NEWER || r == FORMAT_DAMAGED)
        return r == FORMAT_NEWER ? BROKER_OPEN_NEWER : BROKER_OPEN_DAMAGED;
    const char *join = b->env.join_cluster_id;
    if (r == 0 && join != NULL && strcmp(f.cluster_id, join) != 0)
        return BROKER_OPEN_CLUSTER;
    ASSERT(f.cluster_id[sizeof f.cluster_id - 1] == '\0');
    memcpy(b->cluster_id, f.cluster_id, sizeof b->cluster_id);
    b->node_id = f.node_id;
    return r;
}

/* --- the flag of an error exit --- */

static void broker_find_flag(struct broker *b)
{
    ASSERT(!b->after_error);
    struct buf path CLEANUP(buf_deinit) = {0}, text CLEANUP(buf_deinit) = {0};
    broker_path(b, "failed", &path);
    int r = io_read_file(b->io, (const char *)path.p, 4096, &text);
    b->after_error = r == 0 || r == -EFBIG;
    if (b->after_error)
        broker_log(b, 1,
                   "the last run ended by an I/O error: what may not have reached the disk is "
                   "written again before it is served");
}

void broker_flag_error(struct broker *b)
{
    ASSERT(b->dead);
    struct buf path CLEANUP(buf_deinit) = {0};
    broker_path(b, "failed", &path);
    if (io_write_file(b->io, b->dir, (const char *)path.p, slice_str("write or sync failed\n")) !=
        0)
        broker_log(b, 2, "the flag file `failed` could not be written either");
}

void broker_unflag_error(struct broker *b)
{
    ASSERT(!b->dead);
    struct buf path CLEANUP(buf_deinit) = {0};
    if (!b->after_error)
        return;
    broker_path(b, "failed", &path);
    if (io_unlink(b->io, (const char *)path.p) == 0 && io_sync_dir(b->io, b->dir) == 0)
        b->after_error = false;
}

/* --- __meta and the view --- */

static int broker_open_meta(struct broker *b)
{
    ASSERT(b->meta_part.part == NULL && b->meta_part.state == BPART_IDLE);
    struct buf path CLEANUP(buf_deinit) = {0};
    struct part_recovery report;
    bpart_path(&b->meta_part, &path);
    struct part_open_options o = {
        .dir = (const char *)path.p,
        .now_ms = broker_wall(b),
        .rewrite_tail = b->after_error,
        .config = {.segment_size_max = BROKER_META_SEGMENT,
                   .segment_ms = INT64_MAX,
                   .index_interval_size = 4096,
                   .checkpoint_size = 1u << 20},
    };
    int r = part_open(&b->store, &o, &b->meta_part.part, &report);
    if (r == STATE_NEWER)
        return BROKER_OPEN_NEWER;
    if (r != 0)
        return r == IO_FULL ? BROKER_OPEN_FULL : r;
    b->meta_part.state = BPART_ONLINE;
    ASSERT(b->meta_part.part != NULL);
    b->meta_part.on_disk = b->meta_part.part->exists;
    return report.damaged_count > 0 ? BROKER_OPEN_DAMAGED : 0;
}

static int broker_open_view(struct broker *b)
{
    ASSERT(b->view == NULL);
    ASSERT(b->meta_part.state == BPART_ONLINE);
    struct buf path CLEANUP(buf_deinit) = {0};
    if (b->env.memory_view != NULL) {
        b->view = meta_mem_new(b->env.memory_view);
        return 0;
    }
    broker_path(b, "view", &path);
    const char *dir = (const char *)path.p;
    int r = meta_verify(dir, NULL);
    if (r == 0 || r == META_NONE)
        r = meta_open(dir, BROKER_VIEW_MAP_SIZE, &b->view);
    if (r == META_DAMAGED) {
        broker_log(b, 1, "the LMDB view is damaged: set aside, rebuilt from the logs");
        r = meta_set_aside(dir, broker_wall(b));
        if (r == 0 || r == META_NONE)
            r = meta_open(dir, BROKER_VIEW_MAP_SIZE, &b->view);
    }
    ASSERT((r == 0) == (b->view != NULL));
    return r == META_FULL ? BROKER_OPEN_FULL : r == META_BUSY ? BROKER_OPEN_LOCKED : r;
}

int broker_open_folder(struct broker *b)
{
    ASSERT(b->topic_count == 0 && !b->stopping);
    random_entropy(&b->incarnation, sizeof b->incarnation);
    int r = broker_make_dir(b);
    if (r == 0)
        r = broker_refuse_foreign(b);
    if (r == 0)
        r = broker_refuse_snapshot(b);
    if (r == 0)
        r = broker_lock(b);
    if (r == 0)
        r = broker_format(b);
    if (r == 0)
        broker_find_flag(b);
    if (r == 0)
        r = broker_open_meta(b);
    return r == 0 ? broker_open_view(b) : r;
}

/* --- catalogue and folders --- */

struct broker_load {
    struct broker *broker;
    struct buf strays; /* NUL-ended names of unknown folders */
    size_t damaged;
};

/* 0, or 1: the record cannot be that of a topic here. */
static int broker_load_record(struct broker *b, struct slice name, struct slice value,
                              struct catalog_topic *out)
{
    ASSERT(out->partitions == 0);
    if (catalog_name_fault(name) == NULL && catalog_decode(value, out) == 0) {
        if (map_get(&b->ids, slice_of(out->id, sizeof out->id)) == NULL)
            return 0;
        catalog_deinit(out);
    }
    broker_log(b, 2, "topic record \"%.*s\" cannot be read", (int)name.size, (const char *)name.p);
    return 1;
}

/* Folders that another broker's decision left: they go first, broker_mirror.h. */
static void broker_load_gone(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct broker_load *l = ctx;
    size_t prefix = strlen(CLUSTER_GONE);
    ASSERT(key.size >= prefix && revision >= 0);
    struct catalog_topic record = {0};
    struct slice name = slice_of(key.p + prefix, key.size - prefix);
    if (broker_load_record(l->broker, name, value, &record) != 0) {
        l->damaged++;
        return;
    }
    record.state = CATALOG_DELETING;
    broker_add_topic(l->broker, name, &record, revision);
}

static void broker_load_topic(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct broker_load *l = ctx;
    size_t prefix = strlen("topics/");
    ASSERT(key.size >= prefix);
    ASSERT(revision >= 0);
    struct catalog_topic record = {0};
    struct slice name = slice_of(key.p + prefix, key.size - prefix);
    int64_t gone;
    if (broker_gone(l->broker, name, &gone)) /* not before those folders are gone */
        return;
    if (broker_load_record(l->broker, name, value, &record) != 0) {
        l->damaged++;
        return;
    }
    ASSERT(record.partitions > 0);
    broker_add_topic(l->broker, name, &record, revision);
}

/* "<topic>-<n>" of a partition that exists; NULL when nobody has it. */
static struct bpart *broker_folder_owner(struct broker *b, const char *name)
{
    ASSERT(name[0] != '\0');
    const char *dash = strrchr(name, '-');
    int64_t index = 0;
    if (dash == NULL || dash[1] == '\0' || (dash[1] == '0' && dash[2] != '\0'))
        return NULL;
    for (const char *p = dash + 1; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || index > INT32_MAX / 10)
            return NULL;
        index = index * 10 + (*p - '0');
    }
    struct topic *t = broker_find_topic(b, slice_of(name, (size_t)(dash - name)));
    return t == NULL || index > INT32_MAX ? NULL : broker_find_part(t, (int32_t)index);
}

/* Folders of the broker itself, and hidden ones. */
static bool broker_folder_ours(const char *name)
{
    ASSERT(name[0] != '\0');
    static const char aside[] = "view.damaged-";
    return name[0] == '.' || strcmp(name, "__meta") == 0 || strcmp(name, "lost+found") == 0 ||
           strcmp(name, "view") == 0 || strncmp(name, aside, sizeof aside - 1) == 0;
}

static int broker_folder(void *ctx, const char *name, enum io_kind kind)
{
    struct broker_load *l = ctx;
    ASSERT(l->broker != NULL && name[0] != '\0');
    if (kind != IO_KIND_FOLDER)
        return 0;
    struct bpart *p = broker_folder_owner(l->broker, name);
    ASSERT(p == NULL || p->state == BPART_IDLE);
    if (p != NULL)
        p->on_disk = true;
    else if (!broker_folder_ours(name))
        buf_append(&l->strays, name, strlen(name) + 1);
    return 0;
}

/* Data nobody knows is never removed: the catalogue may be what is wrong. */
static int broker_move_stray(struct broker *b, const char *name)
{
    ASSERT(!broker_folder_ours(name));
    ASSERT(broker_folder_owner(b, name) == NULL);
    struct buf lost CLEANUP(buf_deinit) = {0}, from CLEANUP(buf_deinit) = {0};
    struct buf to CLEANUP(buf_deinit) = {0};
    broker_path(b, "lost+found", &lost);
    broker_path(b, name, &from);
    int r = io_mkdir(b->io, (const char *)lost.p);
    if (r < 0)
        return r;
    buf_printf(&to, "%s/%s.%lld", (const char *)lost.p, name, (long long)broker_wall(b));
    r = io_rename(b->io, (const char *)from.p, (const char *)to.p);
    broker_log(b, 2, "folder %s belongs to no topic: %s", name,
               r == 0 ? "moved to lost+found, nothing was deleted" : "left where it is");
    return 0;
}

static void broker_load_all_later(struct broker *b)
{
    ASSERT(b->topic_count == b->topics.count);
    ASSERT(b->loading == 0);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            bpart_load_later(b->sorted[i]->parts[k]);
}

int broker_open_catalogue(struct broker *b)
{
    ASSERT(b->topic_count == 0 && b->partition_count == 0);
    struct broker_load l = {.broker = b};
    coord_each(b->coord, slice_str("topics/"), broker_load_topic, &l);
    coord_each(b->coord, slice_str(CLUSTER_GONE), broker_load_gone, &l);
    broker_load_dynamic_configs(b);
    broker_load_quotas(b);
    broker_refresh_topics(b);
    int r = l.damaged > 0 ? BROKER_OPEN_DAMAGED : io_list(b->io, b->dir, broker_folder, &l);
    for (size_t at = 0; r == 0 && at < l.strays.size;
         at += strlen((const char *)l.strays.p + at) + 1)
        r = broker_move_stray(b, (const char *)l.strays.p + at);
    buf_deinit(&l.strays);
    if (r != 0)
        return r;
    broker_resume_deletes(b);
    broker_load_all_later(b);
    return 0;
}
