/* SPDX-License-Identifier: MIT
 *
 * broker: life, the turn, and the end. Opening the folder is in broker_open.c.
 *
 * A turn (broker_run): periodic work, deadlines, rounds, then the done callbacks of everything that
 * became ready. Callbacks may start new requests; those are answered in the same or the next turn.
 *
 * A stop: new requests are refused, waiting fetches end empty, rounds run dry, every partition gets
 * a recovery point, the view is committed, and the flag of an unclean end is taken away.
 */
#include "engine/broker/broker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"
#include "engine/base/random.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

/* A clean stop writes two files a partition. With very many, those that recovery scans in no time
 * are left to it. */
#define BROKER_STOP_CALLS_MS   10
#define BROKER_STOP_MANY       1000
#define BROKER_STOP_SMALL_SIZE (1u << 20)

const char *broker_status_text(enum broker_status s)
{
    static const char *const texts[BROKER_STATUS_COUNT] = {
        [BROKER_OK] = "ok",
        [BROKER_BAD_REQUEST] = "bad request",
        [BROKER_UNKNOWN_TOPIC] = "unknown topic",
        [BROKER_UNKNOWN_PARTITION] = "unknown partition",
        [BROKER_TOPIC_EXISTS] = "topic exists already",
        [BROKER_BAD_TOPIC_NAME] = "bad topic name",
        [BROKER_BAD_PARTITIONS] = "bad number of partitions",
        [BROKER_BAD_REPLICATION] = "bad replication factor",
        [BROKER_BAD_CONFIG] = "bad config",
        [BROKER_BATCH_CORRUPT] = "batch corrupt",
        [BROKER_BATCH_INVALID] = "batch invalid",
        [BROKER_BATCH_TIMESTAMP] = "timestamp refused",
        [BROKER_BATCH_TOO_LARGE] = "batch too large",
        [BROKER_SEQUENCE_GAP] = "sequence out of order",
        [BROKER_PRODUCER_FENCED] = "producer fenced",
        [BROKER_OFFSET_OUT_OF_RANGE] = "offset out of range",
        [BROKER_LOADING] = "partition is being recovered",
        [BROKER_DISK_FULL] = "disk full",
        [BROKER_STORAGE] = "damaged or unreadable",
        [BROKER_BUSY] = "busy",
        [BROKER_TIMED_OUT] = "timed out",
        [BROKER_STOPPING] = "stopping",
        [BROKER_DENIED] = "denied",
        [BROKER_NOT_ENOUGH_REPLICAS] = "not enough replicas",
        [BROKER_BAD_GROUP_ID] = "bad group id",
        [BROKER_GROUP_LOADING] = "groups are being read",
        [BROKER_GROUP_UNAVAILABLE] = "could not be written down",
        [BROKER_UNKNOWN_GROUP] = "unknown group",
        [BROKER_GROUP_NOT_EMPTY] = "the group has members",
        [BROKER_GROUP_FULL] = "the group has its most members",
        [BROKER_GROUP_SUBSCRIBED] = "the group is subscribed to the topic",
        [BROKER_UNKNOWN_MEMBER] = "unknown member",
        [BROKER_MEMBER_ID_REQUIRED] = "join again with the member id given",
        [BROKER_ILLEGAL_GENERATION] = "another generation",
        [BROKER_REBALANCE] = "the group is being rebalanced",
        [BROKER_INCONSISTENT_PROTOCOL] = "no protocol that all members have",
        [BROKER_BAD_SESSION_TIMEOUT] = "session timeout out of bounds",
        [BROKER_INSTANCE_FENCED] = "another member has the instance id",
        [BROKER_INSTANCE_HELD] = "the instance id is still in use",
        [BROKER_MEMBER_EPOCH_FENCED] = "member epoch fenced",
        [BROKER_MEMBER_EPOCH_STALE] = "member epoch stale",
        [BROKER_UNKNOWN_ASSIGNOR] = "unknown assignor",
        [BROKER_BAD_REGEX] = "bad regular expression",
        [BROKER_METADATA_TOO_LARGE] = "commit metadata too large",
        [BROKER_NOT_LEADER] = "another broker leads",
        [BROKER_NOT_ENOUGH_AFTER_APPEND] = "not enough replicas after the append",
        [BROKER_STALE_BROKER] = "not registered, or another registration is newer",
        [BROKER_OFFSET_NOT_AVAILABLE] = "high watermark not known yet",
        [BROKER_LEFT] = "it has left the cluster",
        [BROKER_UNKNOWN_BROKER] = "no such broker in the cluster",
    };
    ASSERT((unsigned)s < BROKER_STATUS_COUNT);
    ASSERT(texts[s] != NULL);
    return texts[s];
}

int64_t broker_now(const struct broker *b)
{
    ASSERT(b->env.clock != NULL);
    return b->env.clock->mono_ms(b->env.clock);
}

int64_t broker_wall(const struct broker *b)
{
    ASSERT(b->env.clock != NULL);
    int64_t now = b->env.clock->wall_ms(b->env.clock);
    return now > 0 ? now : 0;
}

void broker_log(struct broker *b, int level, const char *fmt, ...)
{
    char line[512];
    va_list args;
    ASSERT(level >= 0 && level <= 2);
    ASSERT(fmt != NULL);
    if (b->env.log == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    b->env.log(b->env.ctx, level, line);
}

void broker_fatal(struct broker *b, const char *what, int error)
{
    ASSERT(error < 0);
    ASSERT(what != NULL && b->env.fatal != NULL);
    if (b->dead)
        return;
    b->dead = true;
    broker_flag_error(b);
    b->env.fatal(b->env.ctx, what, error);
}

static void broker_meta_due(void *ctx)
{
    struct broker *b = ctx;
    ASSERT(b->meta_part.state == BPART_ONLINE && b->meta_part.topic == NULL);
    bpart_due(&b->meta_part);
}

static void broker_init_lists(struct broker *b)
{
    struct list *all[] = {&b->due[0],        &b->due[1],       &b->loads,
                          &b->ready_produce, &b->ready_fetch,  &b->ready_offsets,
                          &b->ready_admin,   &b->stalled_pids, &b->deleting,
                          &b->trims,         &b->creating,     &b->retention.asking,
                          &b->ready_promote, &b->ready_leave};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        list_init(all[i]);
}

static struct broker *broker_new(const struct broker_env *env)
{
    struct broker *b = calloc(1, sizeof *b);
    ASSERT(b != NULL && env->dir != NULL && env->config != NULL && env->fatal != NULL);
    ASSERT(env->io != NULL && env->work != NULL && env->clock != NULL);
    guard_install();
    b->env = *env;
    b->io = env->io;
    b->dir = strdup(env->dir);
    ASSERT(b->dir != NULL);
    broker_init_lists(b);
    map_init(&b->topics, env->seed);
    map_init(&b->ids, env->seed);
    struct store_options o = {.io = env->io,
                              .seed = env->seed,
                              .writer_max = env->descriptor_max / 3,
                              .reader_max = env->reader_max,
                              .buries = true};
    store_init(&b->store, &o);
    list_init(&b->unmap.readers);
    bpart_init(&b->meta_part, b, NULL, 0);
    b->meta_part.sync = true;
    b->coord = coord_new(env->seed + 1);
    b->quotas = quota_table_new(env->seed + 2);
    b->rounds[0].broker = b->rounds[1].broker = b;
    b->space.broker = b;
    b->brokers_seen = -1;
    return b;
}

int broker_open(const struct broker_env *env, struct broker **out)
{
    ASSERT(env != NULL && out != NULL);
    struct broker *b = broker_new(env);
    int r = broker_open_folder(b);
    if (r == 0) {
        r = coord_start(b->coord, b->meta_part.part, b->view, broker_meta_due, b);
        r = r == COORD_DAMAGED ? BROKER_OPEN_DAMAGED : r;
    }
    if (r == 0)
        r = broker_open_catalogue(b);
    if (r != 0) {
        broker_free(b);
        return r;
    }
    broker_node_open(b);
    int64_t now = broker_now(b);
    ASSERT(b->meta_part.state == BPART_ONLINE && b->view != NULL);
    broker_retention_init(b);
    b->next_flush_ms = b->next_space_ms = b->next_expire_ms = now + 1000;
    b->groups = broker_groups_new(b);
    broker_counters_init(b);
    b->compact = broker_compact_new(b);
    broker_cluster_open(b);
    broker_check_space(b);
    *out = b;
    return 0;
}

/* --- the turn --- */

static void broker_deliver_produce(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_produce);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_produce *req = LIST_ENTRY(n, struct broker_produce, priv.ready);
        ASSERT(req->priv.waiting == 0 && req->priv.parts == NULL);
        ASSERT(req->priv.broker == b);
        req->done(req);
    }
}

static void broker_deliver_fetch(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_fetch);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_fetch *req = LIST_ENTRY(n, struct broker_fetch, priv.ready);
        ASSERT(req->priv.jobs == 0 && req->priv.waits == NULL);
        ASSERT(req->priv.broker == b && req->priv.deadline.slot == 0);
        req->done(req);
    }
}

static void broker_deliver_offsets(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_offsets);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_offsets *req = LIST_ENTRY(n, struct broker_offsets, priv.ready);
        ASSERT(req->priv.waiting == 0);
        req->done(req);
    }
}

static void broker_deliver_admin(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_admin);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_admin *req = LIST_ENTRY(n, struct broker_admin, priv.ready);
        ASSERT((unsigned)req->status < BROKER_STATUS_COUNT);
        ASSERT(b->admins > 0);
        b->admins--;
        req->done(req);
    }
}

static void broker_deliver_promote(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_promote);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_promote_request *req =
            LIST_ENTRY(n, struct broker_promote_request, priv.ready);
        ASSERT((unsigned)req->status < BROKER_STATUS_COUNT);
        req->done(req);
    }
}

static void broker_deliver_leave(struct broker *b)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->ready_leave);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_leave_request *req = LIST_ENTRY(n, struct broker_leave_request, priv.link);
        ASSERT((unsigned)req->status < BROKER_STATUS_COUNT);
        req->done(req);
    }
}

static bool broker_has_ready(const struct broker *b)
{
    return !list_empty(&b->ready_promote) || !list_empty(&b->ready_leave) ||
           !list_empty(&b->ready_produce) || !list_empty(&b->ready_fetch) ||
           !list_empty(&b->ready_offsets) || !list_empty(&b->ready_admin) ||
           broker_groups_has_ready(b->groups);
}

static bool broker_parts_quiet(const struct broker *b)
{
    ASSERT(b->stopping);
    return !broker_rounds_out(b) && list_empty(&b->due[0]) && list_empty(&b->due[1]) &&
           !broker_compact_busy(b->compact) && b->loading == 0 && b->admins == 0 &&
           list_empty(&b->deleting) && !b->space.out && broker_buried_quiet(b) &&
           broker_groups_quiet(b->groups) && broker_cluster_quiet(b->cluster);
}

static void broker_stop_checkpoint(struct bpart *p, bool many)
{
    if (p->part == NULL)
        return;
    ASSERT(p->part->round == NULL); /* a cold read or a query may still be out */
    if (many && !p->part->dirty && p->part->since_checkpoint < BROKER_STOP_SMALL_SIZE)
        return;
    part_checkpoint(p->part);
    p->flush = p->part->dirty;
    bpart_due(p);
}

static void broker_stop_checkpoints(struct broker *b)
{
    ASSERT(b->stopping && !b->checkpointed);
    ASSERT(!broker_rounds_out(b));
    bool many = b->partition_count > BROKER_STOP_MANY;
    b->checkpointed = true;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            broker_stop_checkpoint(b->sorted[i]->parts[k], many);
}

static void broker_stop_step(struct broker *b)
{
    if (!b->stopping || b->stopped)
        return;
    while (!list_empty(&b->loads)) /* what is not open needs no recovery now */
        (void)list_pop(&b->loads);
    if (!broker_rounds_out(b) && list_empty(&b->due[0]) && list_empty(&b->due[1]))
        broker_trim_fail_all(b); /* no space for them */
    if (b->dead || !broker_parts_quiet(b) || broker_has_ready(b)) {
        b->stopped = b->dead;
        return;
    }
    if (b->checkpointed && !broker_node_stop(b))
        return;
    if (!b->checkpointed) {
        broker_stop_checkpoints(b);
    } else if (!b->meta_checkpointed) {
        b->meta_checkpointed = true;
        broker_stop_checkpoint(&b->meta_part, false);
    } else if (coord_view_busy(b->coord) || broker_groups_view_busy(b->groups) ||
               broker_compact_view_busy(b->compact)) {
        return;
    } else if (coord_view_due(b->coord)) {
        coord_view_commit(b->coord, b->env.work);
    } else if (broker_groups_view_due(b->groups) && !coord_view_lost(b->coord)) {
        broker_groups_view(b->groups, true);
    } else if (broker_compact_view_due(b->compact)) {
        broker_compact_view(b->compact);
    } else if (b->env.work->pending == 0) {
        ASSERT(b->in_flight_size == 0 && b->fetch_deadlines.count == 0);
        ASSERT(list_empty(&b->trims) && list_empty(&b->stalled_pids));
        broker_unflag_error(b);
        b->stopped = true;
    }
}

static void broker_unmap_run(struct work_job *job)
{
    struct broker_unmap *u = LIST_ENTRY(job, struct broker_unmap, job);
    ASSERT(u->out && !list_empty(&u->readers));
    reader_discard_all(u->io, &u->readers);
}

static void broker_unmap_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_unmap *u = LIST_ENTRY(job, struct broker_unmap, job);
    ASSERT(u->out && list_empty(&u->readers));
    u->out = false;
}

/* Unmapping can take as long as a file is large: not in this thread. */
static void broker_unmap(struct broker *b)
{
    struct broker_unmap *u = &b->unmap;
    if (u->out || list_empty(&b->store.buried))
        return;
    store_exhume(&b->store, &u->readers);
    ASSERT(!list_empty(&u->readers));
    u->io = b->io;
    u->out = true;
    u->job = (struct work_job){.run = broker_unmap_run, .note = {.done = broker_unmap_done}};
    work_submit(b->env.work, &u->job);
}

void broker_run(struct broker *b)
{
    ASSERT(!b->stopped || b->stopping || b->dead);
    if (b->dead) {
        b->stopped = true;
        return;
    }
    if (!b->stopping)
        broker_periodic(b);
    broker_fetch_timers(b);
    broker_produce_timers(b);
    broker_delete_some(b);
    broker_buried_run(b);
    broker_groups_run(b->groups);
    broker_compact_run(b->compact);
    broker_snapshot_run(b);
    broker_cluster_run(b->cluster);
    broker_start_rounds(b);
    broker_deliver_produce(b);
    broker_deliver_fetch(b);
    broker_deliver_offsets(b);
    broker_deliver_admin(b);
    broker_deliver_promote(b);
    broker_deliver_leave(b);
    broker_groups_deliver(b->groups);
    broker_groups_flush(b->groups);
    broker_start_rounds(b); /* what the callbacks asked for */
    broker_unmap(b);
    broker_stop_step(b);
    broker_start_rounds(b);
}

int64_t broker_next_ms(const struct broker *b)
{
    int64_t next = broker_periodic_next(b);
    const struct heap_node *n = heap_first(&b->fetch_deadlines);
    ASSERT(n == NULL || n->slot == 1);
    if (broker_has_ready(b))
        return broker_now(b);
    if (b->stopping && !b->stopped) /* calls that are out come back by themselves */
        return broker_now(b) + (broker_cluster_quiet(b->cluster) ? 0 : BROKER_STOP_CALLS_MS);
    int64_t groups = broker_groups_next_ms(b->groups);
    int64_t snapshot = broker_snapshot_next_ms(b);
    next = snapshot < next ? snapshot : next;
    next = groups < next ? groups : next;
    int64_t buried = broker_buried_next(b);
    next = buried < next ? buried : next;
    const struct heap_node *ack = heap_first(&b->ack_deadlines);
    next = ack != NULL && ack->at < next ? ack->at : next;
    int64_t cluster = broker_cluster_next_ms(b->cluster);
    next = cluster < next ? cluster : next;
    int64_t compact = broker_compact_next_ms(b->compact);
    next = compact < next ? compact : next;
    return n != NULL && n->at < next ? n->at : next;
}

void broker_stop(struct broker *b)
{
    b->stopping = true;
    broker_groups_stop(b->groups);
    broker_fetch_fail_all(b);
    broker_cluster_stop(b->cluster);
    ASSERT(b->fetch_deadlines.count == 0); /* what has a worker ends with it */
}

bool broker_stopped(const struct broker *b)
{
    return b->stopped;
}

/* What is not finished never will be; its memory goes. */
static void broker_abandon(struct broker *b)
{
    b->dead = b->stopping = true; /* nothing new begins in the completions below */
    while (b->env.work->pending > 0)
        work_wait(b->env.work);
    broker_snapshot_abandon(b);
    broker_fetch_fail_all(b);
    if (b->cluster != NULL)
        broker_cluster_abandon(b->cluster);
    if (b->meta_part.part != NULL)
        part_abort(b->meta_part.part, -ECANCELED);
    broker_delete_abandon(b);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            if (b->sorted[i]->parts[k]->part != NULL)
                part_abort(b->sorted[i]->parts[k]->part, -ECANCELED);
    ASSERT(b->fetch_deadlines.count == 0 && b->in_flight_size == 0);
}

struct broker *broker_free(struct broker *b)
{
    if (b == NULL)
        return NULL;
    ASSERT(b->coord != NULL && b->dir != NULL);
    broker_abandon(b);
    b->compact = broker_compact_free(b->compact);
    b->groups = broker_groups_free(b->groups);
    broker_buried_deinit(b);
    heap_deinit(&b->retention.due);
    broker_free_topics(b);
    b->cluster = broker_cluster_free(b->cluster);
    part_close(b->meta_part.part);
    store_deinit(&b->store);
    coord_free(b->coord);
    quota_table_free(b->quotas);
    meta_free(b->view);
    heap_deinit(&b->fetch_deadlines);
    heap_deinit(&b->ack_deadlines);
    buf_deinit(&b->scratch);
    buf_deinit(&b->node.value);
    (void)io_close(b->lock);
    free(b->dir);
    free(b);
    return NULL;
}

void broker_info(const struct broker *b, struct broker_info *out)
{
    ASSERT(b->topic_count == b->topics.count);
    *out = (struct broker_info){.node_id = b->node_id,
                                .incarnation = b->incarnation,
                                .fresh = b->fresh,
                                .topics = b->topic_count,
                                .partitions = b->partition_count,
                                .disk_free_size = b->space.free_size,
                                .disk_size = b->space.total_size,
                                .dir = b->dir,
                                .disk_full = b->disk_full};
    memcpy(out->cluster_id, b->cluster_id, sizeof out->cluster_id);
    ASSERT(out->cluster_id[sizeof out->cluster_id - 1] == '\0');
}

void broker_check(const struct broker *b)
{
    map_check(&b->topics);
    map_check(&b->ids);
    ASSERT(b->ids.count == b->topics.count);
    heap_check(&b->fetch_deadlines);
    ASSERT(b->topics.count == b->topic_count);
    size_t partitions = 0;
    for (size_t i = 0; i < b->topic_count; i++) {
        const struct topic *t = b->sorted[i];
        ASSERT(i == 0 || strcmp(b->sorted[i - 1]->name, t->name) < 0);
        ASSERT(broker_find_topic(b, slice_str(t->name)) == t);
        ASSERT((t->deletion != NULL) == list_linked(&t->deletions));
        ASSERT(t->deletion == NULL || (t->deleting && t->busy));
        partitions += (size_t)t->record.partitions;
        for (int32_t k = 0; k < t->record.partitions; k++) {
            const struct bpart *p = t->parts[k];
            ASSERT(p->broker == b && p->topic == t && p->index == k);
            ASSERT(p->state != BPART_LOADING || p->jobs > 0);
            ASSERT(list_empty(&p->held) || p->state == BPART_LOADING || p->jobs > 0 ||
                   p->replica != NULL); /* it will be led */
            ASSERT((p->state == BPART_GONE) == t->deleting);
            ASSERT(!list_linked(&p->due) || p->state == BPART_ONLINE);
            ASSERT((p->part != NULL) == (p->state == BPART_ONLINE) || p->state == BPART_GONE);
            if (p->part != NULL)
                part_check(p->part);
            if (p->counters != NULL)
                broker_counters_check(p->counters);
        }
    }
    ASSERT(partitions == b->partition_count);
    part_check(b->meta_part.part);
    coord_check(b->coord);
    quota_table_check(b->quotas);
    broker_groups_check(b->groups);
}
