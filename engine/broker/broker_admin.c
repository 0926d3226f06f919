/* SPDX-License-Identifier: MIT
 *
 * broker_admin: changes of the catalogue and of the configs of topics (those of the broker:
 * broker_dynamic.c; where a log begins: broker_trim.c). Each is one compare-and-set of a
 * coordination record, durable in __meta before it takes effect in memory and before its answer.
 *
 *   create   cas(topics/T, none, live)                      -> the catalogue has it
 *   delete   cas(topics/T, rev, deleting) -> not found any more -> partitions close -> folders are
 *            removed in a worker -> cas(topics/T, rev, gone). A start in between goes on there.
 *            Decided by another broker (broker_mirror.h): node/gone/T stands for the record.
 *   grow     cas(topics/T, rev, more partitions)
 *   alter    cas(topics/T, rev, other configs)
 *   pids     cas(seq/pid, rev, next block) before the first id of the block is handed out
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/broker_forward.h"

#define BROKER_PID_BLOCK      1000
#define BROKER_PID_TERM_SHIFT 32 /* every term has ids of its own */

/* One change under way; the request may be NULL (a deletion resumed at start). */
struct broker_change {
    struct coord_op op;
    struct coord_op *ops; /* owned: with records of new partitions, `op` is the last of these */
    struct buf *bufs;     /* owned: their keys and values */
    size_t op_count;      /* without the last */
    struct work_job job;  /* removing folders */
    struct broker *broker;
    struct broker_admin *req;
    struct topic *topic;
    struct buf key;              /* owned */
    struct buf value;            /* owned */
    struct catalog_topic record; /* create: what to add; owned */
    int32_t partitions;          /* grow; delete: how many folders */
    struct config_topic configs; /* alter: owned */
    char *name;                  /* owned: topic, or broker config key */
    struct list creating;        /* in broker->creating: a topic that is to be */
    int32_t coming;              /* partitions counted in broker->coming_partitions */
    int result;
    bool refused; /* delete: the last step found no space */
};

/* Limits count what is under way. */
static void broker_change_reserve(struct broker_change *c, int32_t partitions, bool topic)
{
    ASSERT(c->coming == 0 && partitions > 0);
    c->coming = partitions;
    c->broker->coming_partitions += (size_t)partitions;
    if (!topic)
        return;
    ASSERT(!list_linked(&c->creating));
    list_add_tail(&c->broker->creating, &c->creating);
    c->broker->coming_topics++;
}

static void broker_change_unreserve(struct broker_change *c)
{
    struct broker *b = c->broker;
    ASSERT(b->coming_partitions >= (size_t)c->coming);
    b->coming_partitions -= (size_t)c->coming;
    if (!list_linked(&c->creating))
        return;
    ASSERT(b->coming_topics > 0);
    list_remove(&c->creating);
    b->coming_topics--;
}

static void broker_change_free(struct broker_change *c)
{
    ASSERT(c->broker != NULL);
    ASSERT(c->topic == NULL || c->topic->deletion != c);
    broker_change_unreserve(c);
    catalog_deinit(&c->record);
    config_topic_deinit(&c->configs);
    for (size_t i = 0; i < 2 * c->op_count; i++)
        buf_deinit(&c->bufs[i]);
    free(c->ops);
    free(c->bufs);
    buf_deinit(&c->key);
    buf_deinit(&c->value);
    free(c->name);
    free(c);
}

void broker_admin_ready(struct broker *b, struct broker_admin *a)
{
    ASSERT(b->admins > 0);
    ASSERT(!list_linked(&a->priv.ready));
    ASSERT((unsigned)a->status < BROKER_STATUS_COUNT);
    list_add_tail(&b->ready_admin, &a->priv.ready);
}

void broker_admin_refuse(struct broker *b, struct broker_admin *a, enum broker_status status,
                         const char *fmt, ...)
{
    va_list args;
    ASSERT(!list_linked(&a->priv.ready));
    va_start(args, fmt);
    (void)vsnprintf(a->message, sizeof a->message, fmt, args);
    va_end(args);
    a->status = status;
    broker_admin_ready(b, a);
}

static void broker_change_finish(struct broker_change *c, enum broker_status status)
{
    ASSERT(c->topic == NULL || c->topic->busy);
    ASSERT(c->req == NULL || c->req->priv.ready.next != NULL);
    if (c->topic != NULL)
        c->topic->busy = false;
    if (c->req != NULL) {
        c->req->status = status;
        if (status == BROKER_DISK_FULL)
            (void)snprintf(c->req->message, sizeof c->req->message,
                           "no space left to write the change down");
        broker_admin_ready(c->broker, c->req);
    }
    broker_change_free(c);
}

static struct broker_change *broker_change_new(struct broker *b, struct broker_admin *a,
                                               const char *prefix, struct slice name)
{
    struct broker_change *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    ASSERT(prefix[0] != '\0' && name.size > 0);
    c->broker = b;
    c->req = a;
    c->name = (char *)slice_dup(name);
    buf_printf(&c->key, "%s%s", prefix, c->name);
    return c;
}

static void broker_change_part_done(struct coord_op *op, int result)
{
    ASSERT(op->ctx != NULL && result >= 0); /* the last of them tells the whole */
}

/* The records of the partitions from `first` on, which go with the topic's own. */
static void broker_change_parts(struct broker_change *c, const struct catalog_topic *record,
                                int32_t first)
{
    size_t count = (size_t)(record->partitions - first);
    struct cluster_part part;
    ASSERT(first >= 0 && c->ops == NULL);
    if (!broker_cluster_part_record(c->broker, record, first, &part))
        return;
    c->op_count = count;
    c->ops = calloc(count + 1, sizeof *c->ops);
    c->bufs = calloc(2 * count, sizeof *c->bufs);
    ASSERT(c->ops != NULL && c->bufs != NULL);
    for (size_t i = 0; i < count; i++) {
        int32_t index = first + (int32_t)i;
        struct buf *key = &c->bufs[2 * i], *value = &c->bufs[2 * i + 1];
        (void)broker_cluster_part_record(c->broker, record, index, &part);
        cluster_part_key(record->id, index, key);
        cluster_part_encode(&part, value);
        c->ops[i] = (struct coord_op){.key = buf_slice(key),
                                      .value = buf_slice(value),
                                      .expect = -1,
                                      .done = broker_change_part_done,
                                      .ctx = c};
    }
}

/* Starts the compare-and-set of c->key to c->value (empty value: delete). */
static void broker_change_start(struct broker_change *c, int64_t expect,
                                void (*done)(struct coord_op *op, int result))
{
    ASSERT(done != NULL && c->key.size > 0);
    ASSERT(expect >= -1);
    c->op = (struct coord_op){.key = buf_slice(&c->key),
                              .value = buf_slice(&c->value),
                              .expect = expect,
                              .done = done,
                              .ctx = c};
    if (c->topic != NULL)
        c->topic->busy = true;
    if (c->ops != NULL)
        c->ops[c->op_count] = c->op;
    int r = coord_cas_all(c->broker->coord, c->ops != NULL ? c->ops : &c->op, c->op_count + 1,
                          broker_wall(c->broker));
    ASSERT(r == 0 || r == COORD_CONFLICT);
    if (r == COORD_CONFLICT)
        broker_change_finish(c, BROKER_BUSY);
}

/* --- create --- */

static void broker_create_done(struct coord_op *op, int result)
{
    struct broker_change *c = op->ctx;
    struct broker *b = c->broker;
    ASSERT(c->req != NULL && c->req->op == BROKER_TOPIC_CREATE);
    ASSERT(c->topic == NULL && c->record.partitions > 0);
    if (result != 0) {
        broker_change_finish(c, BROKER_DISK_FULL);
        return;
    }
    memcpy(c->req->topic_id, c->record.id, 16);
    c->req->partition_count = c->record.partitions;
    broker_add_topic(b, slice_str(c->name), &c->record, op->revision);
    broker_change_finish(c, BROKER_OK);
}

static bool broker_create_collides(struct broker *b, struct slice name, const char **other)
{
    ASSERT(name.size > 0 && other != NULL);
    for (size_t i = 0; i < b->topic_count; i++)
        if (catalog_names_collide(slice_str(b->sorted[i]->name), name)) {
            *other = b->sorted[i]->name;
            return true;
        }
    LIST_EACH (node, &b->creating) {
        struct broker_change *c = LIST_ENTRY(node, struct broker_change, creating);
        if (catalog_names_collide(slice_str(c->name), name) &&
            !slice_equal(slice_str(c->name), name)) {
            *other = c->name;
            return true;
        }
    }
    return false;
}

static bool broker_partitions_fit(const struct broker *b, int32_t more)
{
    int64_t max = config_i64(b->env.config, CONFIG_PARTITIONS_MAX);
    ASSERT(more > 0 && max > 0);
    return b->partition_count + b->coming_partitions + (size_t)more <= (size_t)max;
}

static bool broker_create_check(struct broker *b, struct broker_admin *a, int32_t partitions)
{
    ASSERT(a->op == BROKER_TOPIC_CREATE);
    const char *fault = catalog_name_fault(a->topic), *other;
    const struct config *c = b->env.config;
    int32_t brokers = broker_cluster_size(b);
    if (a->replication > brokers &&
        strcmp(config_get(c, "replication.factor.lenient", NULL), "true") == 0)
        a->replication = brokers;
    struct topic *t = fault == NULL ? broker_find_topic(b, a->topic) : NULL;
    if (fault != NULL)
        broker_admin_refuse(b, a, BROKER_BAD_TOPIC_NAME, "%s", fault);
    else if (catalog_name_internal(a->topic) && !a->internal)
        broker_admin_refuse(b, a, BROKER_DENIED,
                            "names that begin with \"__\" are the broker's own");
    else if (t != NULL && t->deleting)
        broker_admin_refuse(b, a, BROKER_BUSY, "the old topic of this name is still being removed");
    else if (t != NULL)
        broker_admin_refuse(b, a, BROKER_TOPIC_EXISTS, "topic \"%s\" exists already", t->name);
    else if (memchr(a->topic.p, '.', a->topic.size) || memchr(a->topic.p, '_', a->topic.size)
                 ? broker_create_collides(b, a->topic, &other)
                 : false)
        broker_admin_refuse(b, a, BROKER_TOPIC_EXISTS,
                            "differs from topic \"%s\" only in \".\" and \"_\"", other);
    else if (partitions < 1)
        broker_admin_refuse(b, a, BROKER_BAD_PARTITIONS, "a topic has at least 1 partition");
    else if (a->replication != -1 && a->replication < 1)
        broker_admin_refuse(b, a, BROKER_BAD_REPLICATION,
                            "Replication factor must be larger than 0, or -1 for the default.");
    else if (a->replication > brokers) /* in Kafka's words, which people look for */
        broker_admin_refuse(b, a, BROKER_BAD_REPLICATION,
                            "Unable to replicate the partition %d time(s): The target replication "
                            "factor of %d cannot be reached because only %d broker(s) are "
                            "registered.",
                            a->replication, a->replication, brokers);
    else if (b->topic_count + b->coming_topics >= (size_t)config_i64(c, CONFIG_TOPICS_MAX))
        broker_admin_refuse(b, a, BROKER_BUSY, "limit of %lld topics reached",
                            (long long)config_i64(c, CONFIG_TOPICS_MAX));
    else if (!broker_partitions_fit(b, partitions))
        broker_admin_refuse(b, a, BROKER_BAD_PARTITIONS, "limit of %lld partitions reached",
                            (long long)config_i64(c, CONFIG_PARTITIONS_MAX));
    else
        return true;
    return false;
}

/* Applies one entry to a set. 0, or a condition of config.h with a sentence. */
static int broker_admin_config(struct broker *b, const struct broker_config_entry *e,
                               struct config_topic *t, char message[256])
{
    struct buf text CLEANUP(buf_deinit) = {0};
    const struct config_row *row = NULL;
    const char *source;
    ASSERT(t != NULL && e != NULL);
    if (e->edit == CONFIG_EDIT_SET)
        return config_topic_set(t, e->key, e->value, message);
    int r = config_topic_find(e->key, &row, message);
    if (r == 0)
        r = config_edit_list(row, e->edit, config_topic_text(b->env.config, t, row, &source),
                             e->value, &text, message);
    return r != 0 ? r : config_topic_set(t, e->key, buf_slice(&text), message);
}

/* Applies the request's configs to a set; false when refused. */
static bool broker_admin_configs(struct broker *b, struct broker_admin *a, struct config_topic *t)
{
    char message[256] = "";
    ASSERT(t != NULL);
    ASSERT(a->configs != NULL || a->config_count == 0);
    for (size_t i = 0; i < a->config_count; i++) {
        int r = broker_admin_config(b, &a->configs[i], t, message);
        if (r != 0) {
            broker_admin_refuse(b, a, BROKER_BAD_CONFIG, "%s", message);
            return false;
        }
    }
    return true;
}

static void broker_create(struct broker *b, struct broker_admin *a)
{
    struct catalog_topic record = {0};
    int32_t partitions = a->partitions;
    if (a->automatic && !config_bool(b->env.config, CONFIG_AUTO_CREATE_TOPICS)) {
        broker_admin_refuse(b, a, BROKER_UNKNOWN_TOPIC, "auto.create.topics.enable is false");
        return;
    }
    if (partitions == -1)
        partitions = (int32_t)config_i64(b->env.config, CONFIG_NUM_PARTITIONS);
    if (!broker_create_check(b, a, partitions))
        return;
    if (!broker_admin_configs(b, a, &record.configs)) {
        catalog_deinit(&record);
        return;
    }
    ASSERT(record.configs.count <= a->config_count);
    record.partitions = partitions;
    record.replication = a->replication == -1 ? 1 : a->replication;
    record.spread = a->replication == -1 || broker_cluster_size(b) == 1;
    random_entropy(record.id, sizeof record.id);
    a->partition_count = partitions;
    if (a->validate_only) {
        catalog_deinit(&record);
        broker_admin_refuse(b, a, BROKER_OK, "%s", "");
        return;
    }
    struct broker_change *c = broker_change_new(b, a, "topics/", a->topic);
    c->record = record;
    catalog_encode(&c->record, &c->value);
    ASSERT(c->value.size > 0);
    broker_change_parts(c, &c->record, 0);
    broker_change_reserve(c, partitions, true);
    broker_change_start(c, -1, broker_create_done);
}

/* --- grow and alter --- */

static void broker_change_done(struct coord_op *op, int result)
{
    struct broker_change *c = op->ctx;
    struct topic *t = c->topic;
    ASSERT(t != NULL && t->busy && !t->deleting);
    ASSERT(c->req->op == BROKER_TOPIC_GROW || c->req->op == BROKER_TOPIC_ALTER);
    if (result != 0) {
        broker_change_finish(c, BROKER_DISK_FULL);
        return;
    }
    ASSERT(op->revision > t->revision);
    t->revision = op->revision;
    if (c->req->op == BROKER_TOPIC_GROW) {
        broker_grow_topic(c->broker, t, c->partitions);
        c->req->partition_count = c->partitions;
    } else {
        config_topic_deinit(&t->record.configs);
        t->record.configs = c->configs;
        c->configs = (struct config_topic){0};
        broker_refresh_topic(c->broker, t);
    }
    broker_change_finish(c, BROKER_OK);
}

struct topic *broker_admin_topic(struct broker *b, struct broker_admin *a)
{
    struct topic *t = broker_find_topic(b, a->topic);
    ASSERT(t == NULL || t->revision >= 0);
    if (t == NULL || t->deleting)
        broker_admin_refuse(b, a, BROKER_UNKNOWN_TOPIC, "%s", "");
    else if (catalog_name_internal(a->topic) && a->op != BROKER_TOPIC_ALTER)
        broker_admin_refuse(b, a, BROKER_DENIED, "this topic is the broker's own");
    else if (t->busy)
        broker_admin_refuse(b, a, BROKER_BUSY, "another change of this topic is under way");
    else
        return t;
    return NULL;
}

static void broker_record_of(const struct topic *t, struct catalog_topic *out)
{
    ASSERT(t->record.partitions > 0);
    *out = t->record;
    out->configs = (struct config_topic){0};
    config_topic_copy(&out->configs, &t->record.configs);
    ASSERT(out->configs.count == t->record.configs.count);
}

static void broker_grow(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_TOPIC_GROW);
    struct topic *t = broker_admin_topic(b, a);
    if (t == NULL)
        return;
    int32_t now = t->record.partitions;
    ASSERT(now > 0 && !t->busy);
    if (a->partitions <= now) {
        broker_admin_refuse(b, a, BROKER_BAD_PARTITIONS,
                            "topic \"%s\" has %d partitions; the number can only grow", t->name,
                            now);
        return;
    }
    if (!broker_partitions_fit(b, a->partitions - now)) {
        broker_admin_refuse(b, a, BROKER_BAD_PARTITIONS, "limit of %lld partitions reached",
                            (long long)config_i64(b->env.config, CONFIG_PARTITIONS_MAX));
        return;
    }
    if (a->validate_only) {
        a->partition_count = a->partitions;
        broker_admin_refuse(b, a, BROKER_OK, "%s", "");
        return;
    }
    struct broker_change *c = broker_change_new(b, a, "topics/", a->topic);
    c->topic = t;
    c->partitions = a->partitions;
    broker_change_reserve(c, a->partitions - now, false);
    broker_record_of(t, &c->record);
    c->record.partitions = a->partitions;
    catalog_encode(&c->record, &c->value);
    broker_change_parts(c, &c->record, now);
    ASSERT(c->value.size > 0 && c->partitions > now);
    broker_change_start(c, t->revision, broker_change_done);
}

static void broker_alter(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_TOPIC_ALTER);
    struct topic *t = broker_admin_topic(b, a);
    struct config_topic configs = {0};
    if (t == NULL)
        return;
    if (!a->replace)
        config_topic_copy(&configs, &t->record.configs);
    if (!broker_admin_configs(b, a, &configs)) {
        config_topic_deinit(&configs);
        return;
    }
    if (a->validate_only) {
        config_topic_deinit(&configs);
        broker_admin_refuse(b, a, BROKER_OK, "%s", "");
        return;
    }
    struct broker_change *c = broker_change_new(b, a, "topics/", a->topic);
    c->topic = t;
    c->configs = configs;
    c->record = t->record;
    c->record.configs = configs;
    catalog_encode(&c->record, &c->value);
    ASSERT(c->value.size > 0 && !t->busy);
    c->record = (struct catalog_topic){0};
    broker_change_start(c, t->revision, broker_change_done);
}

/* --- delete --- */

static int broker_remove_entry(void *ctx, const char *name, enum io_kind kind)
{
    struct buf *names = ctx;
    ASSERT(name[0] != '\0');
    if (kind == IO_KIND_FILE)
        buf_append(names, name, strlen(name) + 1);
    return 0;
}

static int broker_remove_folder(struct io *io, const char *path)
{
    ASSERT(path[0] != '\0');
    struct buf names CLEANUP(buf_deinit) = {0};
    int r = io_list(io, path, broker_remove_entry, &names);
    if (r == IO_MISSING)
        return 0;
    ASSERT(names.size == 0 || names.p[names.size - 1] == '\0');
    for (size_t at = 0; r == 0 && at < names.size; at += strlen((char *)names.p + at) + 1) {
        struct buf file CLEANUP(buf_deinit) = {0};
        buf_printf(&file, "%s/%s", path, (char *)names.p + at);
        r = io_unlink(io, (const char *)file.p);
        if (r == IO_MISSING)
            r = 0;
    }
    return r == 0 ? io_rmdir(io, path) : r;
}

/* Worker: the record says deleting, so whatever is left is ours to remove. */
static void broker_delete_run(struct work_job *job)
{
    struct broker_change *c = LIST_ENTRY(job, struct broker_change, job);
    struct io *io = c->broker->io;
    ASSERT(c->result == 0 && c->partitions > 0);
    for (int32_t i = 0; c->result == 0 && i < c->partitions; i++) {
        struct buf path CLEANUP(buf_deinit) = {0};
        buf_printf(&path, "%s/%s-%d", c->broker->dir, c->name, i);
        c->result = broker_remove_folder(io, (const char *)path.p);
        if (c->result == IO_MISSING)
            c->result = 0;
    }
    if (c->result == 0)
        c->result = io_sync_dir(io, c->broker->dir);
}

/* Waits: for space, or for another change of the record. */
static void broker_delete_wait(struct broker_change *c)
{
    ASSERT(c->topic->deleting && c->topic->deletion == NULL);
    ASSERT(!list_linked(&c->topic->deletions));
    c->refused = true;
    c->topic->deletion = c;
    list_add_tail(&c->broker->deleting, &c->topic->deletions);
}

static void broker_delete_over(struct broker_change *c)
{
    struct topic *t = c->topic;
    ASSERT(t->deleting && t->busy && t->deletion == NULL);
    c->topic = NULL;
    broker_remove_topic(c->broker, t);
    broker_apply_topic(c->broker, slice_str(c->name)); /* another may have come meanwhile */
    broker_change_finish(c, BROKER_OK);
}

static void broker_delete_gone(struct coord_op *op, int result)
{
    struct broker_change *c = op->ctx;
    ASSERT(c->topic->deleting && c->topic->busy);
    ASSERT(c->topic->deletion == NULL);
    if (result == 0)
        broker_delete_over(c);
    else
        broker_delete_wait(c); /* broker_delete_some tries again */
}

/* The topic's record still says that it goes. */
static bool broker_delete_told(const struct topic *t, struct slice value)
{
    struct catalog_topic record = {0};
    ASSERT(t->deleting);
    bool told = catalog_decode(value, &record) == 0 && record.state == CATALOG_DELETING &&
                memcmp(record.id, t->record.id, sizeof record.id) == 0;
    catalog_deinit(&record);
    return told;
}

/* The folders are gone: now the record that says they are to go. Where that is node/gone, the
 * topic's own is another broker's. */
static void broker_delete_record(struct broker_change *c)
{
    struct broker *b = c->broker;
    struct slice value;
    int64_t revision = -1;
    ASSERT(c->topic->deleting && c->topic->busy);
    bool told = broker_gone(b, slice_str(c->name), &revision);
    buf_reset(&c->key);
    buf_printf(&c->key, "%s%s", told ? CLUSTER_GONE : "topics/", c->name);
    if (!told)
        told = coord_get(b->coord, buf_slice(&c->key), &value, &revision) == 0 &&
               broker_delete_told(c->topic, value);
    if (!told) {
        broker_delete_over(c);
        return;
    }
    c->op = (struct coord_op){
        .key = buf_slice(&c->key), .expect = revision, .done = broker_delete_gone, .ctx = c};
    if (coord_cas(b->coord, &c->op, broker_wall(b)) != 0)
        broker_delete_wait(c);
}

static void broker_delete_removed(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_change *c = LIST_ENTRY(job, struct broker_change, job);
    ASSERT(c->topic->deleting && c->topic->busy);
    if (c->result != 0) {
        broker_log(c->broker, 2,
                   "cannot remove the folders of topic \"%s\": %s; the next start tries "
                   "again",
                   c->name, error_text(c->result));
        broker_change_finish(c, BROKER_STORAGE);
        return;
    }
    broker_delete_record(c);
}

/* No worker has one of the topic's partitions in hand. */
static bool broker_topic_quiet(const struct topic *t)
{
    ASSERT(t->deleting);
    for (int32_t i = 0; i < t->record.partitions; i++)
        if (t->parts[i]->jobs > 0)
            return false;
    return true;
}

/* Waits until the topic is quiet, then removes. */
void broker_delete_some(struct broker *b)
{
    LIST_EACH_SAFE (node, &b->deleting) {
        struct topic *t = LIST_ENTRY(node, struct topic, deletions);
        struct broker_change *c = t->deletion;
        ASSERT(c != NULL && c->topic == t && t->deleting);
        if (!broker_topic_quiet(t) || (c->refused && b->disk_full && !b->stopping))
            continue;
        list_remove(node);
        t->deletion = NULL;
        if (c->refused && b->stopping) { /* the next start goes on */
            broker_change_finish(c, BROKER_DISK_FULL);
            continue;
        }
        c->refused = false;
        for (int32_t i = 0; i < t->record.partitions; i++) {
            ASSERT(t->parts[i]->state == BPART_GONE && !list_linked(&t->parts[i]->due));
            if (t->parts[i]->part != NULL)
                part_abort(t->parts[i]->part, -ENOENT);
            t->parts[i]->part = part_close(t->parts[i]->part);
        }
        c->partitions = t->record.partitions;
        c->job =
            (struct work_job){.run = broker_delete_run, .note = {.done = broker_delete_removed}};
        work_submit(b->env.work, &c->job);
    }
}

void broker_delete_abandon(struct broker *b)
{
    for (struct list *n = list_pop(&b->deleting); n != NULL; n = list_pop(&b->deleting)) {
        struct topic *t = LIST_ENTRY(n, struct topic, deletions);
        struct broker_change *c = t->deletion;
        ASSERT(c != NULL && c->topic == t);
        t->deletion = NULL;
        broker_change_finish(c, BROKER_STOPPING);
    }
}

/* The deletion is decided and durable: nobody finds the topic any more. */
static void broker_delete_begin(struct broker_change *c)
{
    struct topic *t = c->topic;
    struct broker *b = c->broker;
    ASSERT(t->busy && !t->deleting);
    ASSERT(t->deletion == NULL && !list_linked(&t->deletions));
    t->deleting = true;
    if (b->groups != NULL) /* else a deletion goes on at the start */
        broker_groups_topics_changed(b->groups, slice_str(t->name));
    for (int32_t i = 0; i < t->record.partitions; i++) {
        struct bpart *p = t->parts[i];
        p->state = BPART_GONE;
        bpart_replica_end(p);
        if (list_linked(&p->due))
            list_remove(&p->due);
        if (list_linked(&p->load))
            list_remove(&p->load);
        broker_retention_forget(p);
        broker_fetch_wake(b, p);
        broker_trim_done(b, p);
    }
    if (b->compact != NULL)
        broker_compact_forget(b->compact, t);
    t->deletion = c;
    list_add_tail(&b->deleting, &t->deletions);
}

static void broker_delete_decided(struct coord_op *op, int result)
{
    struct broker_change *c = op->ctx;
    ASSERT(c->topic->busy && !c->topic->deleting);
    if (result != 0) {
        broker_change_finish(c, BROKER_DISK_FULL);
        return;
    }
    ASSERT(op->revision > c->topic->revision);
    c->topic->revision = op->revision;
    broker_delete_begin(c);
}

static void broker_delete(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_TOPIC_DELETE);
    if (!config_bool(b->env.config, CONFIG_DELETE_TOPIC_ENABLE)) {
        broker_admin_refuse(b, a, BROKER_DENIED, "delete.topic.enable is false");
        return;
    }
    struct topic *t = broker_admin_topic(b, a);
    if (t == NULL)
        return;
    struct broker_change *c = broker_change_new(b, a, "topics/", a->topic);
    c->topic = t;
    broker_record_of(t, &c->record);
    c->record.state = CATALOG_DELETING;
    catalog_encode(&c->record, &c->value);
    ASSERT(c->value.size > 0 && !t->busy);
    broker_change_start(c, t->revision, broker_delete_decided);
}

void broker_delete_forsaken(struct broker *b, struct topic *t)
{
    ASSERT(!t->busy && !t->deleting);
    struct broker_change *c = broker_change_new(b, NULL, "topics/", slice_str(t->name));
    c->topic = t;
    t->busy = true;
    broker_delete_begin(c);
}

void broker_resume_deletes(struct broker *b)
{
    for (size_t i = 0; i < b->topic_count; i++) {
        struct topic *t = b->sorted[i];
        if (t->record.state != CATALOG_DELETING)
            continue;
        broker_log(b, 0, "finishing the deletion of topic \"%s\"", t->name);
        broker_delete_forsaken(b, t);
    }
}

/* --- producer ids --- */

static void broker_pid_serve(struct broker *b)
{
    ASSERT(b->pid_limit - b->pid_next <= BROKER_PID_BLOCK);
    while (b->pid_next < b->pid_limit && !list_empty(&b->stalled_pids)) {
        struct list *n = list_pop(&b->stalled_pids);
        struct broker_admin *a = LIST_ENTRY(n, struct broker_admin, priv.ready);
        ASSERT(a->op == BROKER_INIT_PRODUCER);
        a->producer_id = b->pid_next++;
        a->producer_epoch = 0;
        a->status = BROKER_OK;
        broker_admin_ready(b, a);
    }
}

static void broker_pid_block(struct broker *b);
static void broker_pid_fail(struct broker *b, enum broker_status status);

static void broker_pid_done(struct coord_op *op, int result)
{
    struct broker_change *c = op->ctx;
    struct broker *b = c->broker;
    ASSERT(b->pid_busy && c->topic == NULL && c->req == NULL);
    ASSERT(c->value.size == sizeof(int64_t));
    b->pid_busy = false;
    if (result == 0) {
        b->pid_next = (int64_t)bytes_le64(c->value.p) - BROKER_PID_BLOCK;
        b->pid_limit = b->pid_next + BROKER_PID_BLOCK;
        broker_pid_serve(b);
        if (!list_empty(&b->stalled_pids))
            broker_pid_block(b);
    } else {
        broker_pid_fail(b, BROKER_DISK_FULL);
    }
    broker_change_free(c);
}

static void broker_pid_fail(struct broker *b, enum broker_status status)
{
    ASSERT(!b->pid_busy);
    for (struct list *n = list_pop(&b->stalled_pids); n != NULL; n = list_pop(&b->stalled_pids))
        broker_admin_refuse(b, LIST_ENTRY(n, struct broker_admin, priv.ready), status, "%s", "");
}

/* Below it, leaders of earlier terms may have handed out more than the records here tell. */
static int64_t broker_pid_floor(const struct broker *b)
{
    struct cluster_leader leader = {0};
    struct slice value;
    int64_t revision;
    if (coord_get(b->coord, slice_str(CLUSTER_LEADER_KEY), &value, &revision) != 0 ||
        cluster_leader_decode(value, &leader) != 0)
        return 0;
    ASSERT(leader.term <= CLUSTER_TERM_MAX);
    return (int64_t)leader.term << BROKER_PID_TERM_SHIFT;
}

/* Takes the next block: the bound is durable before an id of it is used, so none is used twice. */
static void broker_pid_block(struct broker *b)
{
    struct slice value;
    int64_t revision = -1, next = 0, floor = broker_pid_floor(b);
    if (b->pid_busy)
        return;
    struct broker_change *c = broker_change_new(b, NULL, "seq/", slice_str("pid"));
    if (coord_get(b->coord, buf_slice(&c->key), &value, &revision) == 0 && value.size == 8)
        next = (int64_t)bytes_le64(value.p);
    next = next > floor ? next : floor;
    buf_append_le64(&c->value, (uint64_t)(next + BROKER_PID_BLOCK));
    ASSERT(b->pid_next >= b->pid_limit);
    b->pid_busy = true;
    c->op = (struct coord_op){.key = buf_slice(&c->key),
                              .value = buf_slice(&c->value),
                              .expect = revision,
                              .done = broker_pid_done,
                              .ctx = c};
    if (coord_cas(b->coord, &c->op, broker_wall(b)) == 0)
        return;
    b->pid_busy = false; /* the leader's record is on its way here */
    broker_change_free(c);
    broker_pid_fail(b, BROKER_BUSY);
}

static void broker_init_producer(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_INIT_PRODUCER);
    list_add_tail(&b->stalled_pids, &a->priv.ready);
    broker_pid_serve(b);
    if (!list_empty(&b->stalled_pids))
        broker_pid_block(b);
}

void broker_admin(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->done != NULL);
    ASSERT((unsigned)a->op < BROKER_ADMIN_OP_COUNT);
    a->priv = (typeof(a->priv)){0};
    list_init(&a->priv.ready);
    a->message[0] = '\0';
    a->log_start = a->producer_id = -1;
    a->producer_epoch = -1;
    a->linked_size = a->copied_size = 0;
    b->admins++;
    if (b->stopping) {
        broker_admin_refuse(b, a, BROKER_STOPPING, "%s", "");
        return;
    }
    if (!broker_leads(b) && a->op != BROKER_SNAPSHOT &&
        (a->op != BROKER_CONFIG_ALTER || a->cluster)) {
        char where[256];
        if (a->forward && broker_forward(b, a))
            return;
        broker_leader_text(b, where);
        broker_admin_refuse(b, a, BROKER_NOT_LEADER, "%s", where);
        return;
    }
    switch (a->op) {
    case BROKER_TOPIC_CREATE:
        broker_create(b, a);
        break;
    case BROKER_TOPIC_DELETE:
        broker_delete(b, a);
        break;
    case BROKER_TOPIC_GROW:
        broker_grow(b, a);
        break;
    case BROKER_TOPIC_ALTER:
        broker_alter(b, a);
        break;
    case BROKER_TOPIC_TRIM:
        broker_trim(b, a);
        break;
    case BROKER_CONFIG_ALTER:
        broker_config_alter(b, a);
        break;
    case BROKER_INIT_PRODUCER:
        broker_init_producer(b, a);
        break;
    case BROKER_QUOTA_ALTER:
        broker_quota_alter(b, a);
        break;
    case BROKER_SNAPSHOT:
        broker_snapshot(b, a);
        break;
    }
}
