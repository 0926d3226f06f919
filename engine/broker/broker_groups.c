/* SPDX-License-Identifier: MIT
 *
 * broker_groups: the group engine inside the broker: its log, its view, its way into the turn.
 *
 *   put     records gather in the open batch (one per turn, or BROKER_GROUPS_BATCH)
 *   flush   at the end of a turn the batch goes to the log __consumer_offsets, and with the next
 *           round to the disk: thousands of commits share one batch and one sync
 *   done    on disk: its rows are noted for the view, then everybody who waited hears of it
 *
 * The log is a topic of one partition, made before the first record; Kafka's tools read it. What
 * was committed when is in it until compaction takes it: min.compaction.lag.ms of that topic.
 *
 * A start: view rows (as of the applied mark), then the log from there, in pieces between turns;
 * until the end every request is answered GROUP_LOADING. A view that is ahead of the log, damaged
 * or missing is cleared and filled again from the log.
 *
 * Invariants: B1 a wait hangs at the newest batch that was open or under way when it was asked for;
 * B2 batches end in the order they began; B3 the view's applied mark <= the durable end.
 */
#include "engine/broker/broker_groups.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/group_rows.h"
#include "engine/broker/groups.h"
#include "engine/broker/groups_view.h"

#define BROKER_GROUPS_TOPIC   "__consumer_offsets"
#define BROKER_GROUPS_LOG     "__consumer_offsets-0"
#define BROKER_GROUPS_BATCH   (512u << 10) /* bytes of records */
#define BROKER_GROUPS_SEGMENT "104857600"
#define BROKER_GROUPS_HISTORY "604800000"
#define BROKER_GROUPS_READ    (1u << 20)
#define BROKER_GROUPS_VIEW_MS 1000
#define BROKER_GROUPS_INFLATE (64u << 20)

struct broker_groups_batch {
    struct list link; /* groups->batches, from its append on */
    struct broker_groups *groups;
    struct batch_build build; /* while open */
    struct buf bytes;         /* afterwards */
    struct part_append append;
    struct list waits; /* struct groups_wait */
};

enum broker_groups_phase {
    BROKER_GROUPS_ROWS, /* the view is to be read */
    BROKER_GROUPS_REPLAY,
    BROKER_GROUPS_READY,
};

struct broker_groups_warm {
    struct work_job job;
    struct broker_groups *groups;
    struct part_warm warm;
    bool out;
};

struct broker_groups {
    struct broker *broker;
    struct groups *engine;
    struct broker_groups_batch *open; /* NULL: nothing to say */
    struct list queued;               /* finished, not appended: the topic is being made */
    struct list batches;              /* appended */
    struct list idle;                 /* struct groups_wait: nothing to wait for */
    struct list ready;                /* struct broker_group to be delivered */
    struct group_rows *rows;          /* for the view */
    struct broker_admin create;
    struct broker_config_entry configs[4];
    struct broker_groups_warm warm;
    struct buf scratch;
    int64_t applied; /* replay: the next offset */
    int64_t next_view_ms;
    size_t unreadable; /* records passed over */
    enum broker_groups_phase phase;
    bool creating;
};

/* A partition's records on their way to the disk, which a commit waits for. */
struct broker_groups_settle {
    struct part_wait wait;
    struct groups_wait *waiter;
};

static void broker_groups_tick(struct broker_groups *bg)
{
    ASSERT(bg->engine != NULL);
    groups_time(bg->engine, broker_now(bg->broker), broker_wall(bg->broker));
}

static struct bpart *broker_groups_bpart(const struct broker_groups *bg)
{
    struct topic *t = broker_find_topic(bg->broker, slice_str(BROKER_GROUPS_TOPIC));
    ASSERT(t == NULL || t->record.partitions > 0);
    return t == NULL || t->deleting ? NULL : broker_find_part(t, 0);
}

/* --- what the engine asks of the broker --- */

static void broker_groups_topic_of(const struct topic *t, struct groups_topic *out)
{
    ASSERT(t->name != NULL);
    out->name = slice_str(t->name);
    memcpy(out->id, t->record.id, sizeof out->id);
    out->partitions = t->record.partitions;
}

static bool broker_groups_topic(void *ctx, struct slice name, struct groups_topic *out)
{
    const struct broker_groups *bg = ctx;
    const struct topic *t = broker_find_topic(bg->broker, name);
    ASSERT(out != NULL);
    if (t == NULL || t->deleting)
        return false;
    broker_groups_topic_of(t, out);
    return true;
}

static bool broker_groups_topic_by_id(void *ctx, const uint8_t id[16], struct groups_topic *out)
{
    const struct broker_groups *bg = ctx;
    const struct topic *t = map_get(&bg->broker->ids, slice_of(id, 16));
    ASSERT(out != NULL);
    if (t == NULL || t->deleting)
        return false;
    broker_groups_topic_of(t, out);
    return true;
}

static void broker_groups_topics(void *ctx, void (*fn)(void *arg, const struct groups_topic *t),
                                 void *arg)
{
    const struct broker *b = ((struct broker_groups *)ctx)->broker;
    struct groups_topic out;
    ASSERT(fn != NULL);
    for (size_t i = 0; i < b->topic_count; i++) {
        const struct topic *t = b->sorted[i];
        if (t->deleting || catalog_name_internal(slice_str(t->name)))
            continue;
        broker_groups_topic_of(t, &out);
        fn(arg, &out);
    }
}

static struct broker_groups_batch *broker_groups_open(struct broker_groups *bg)
{
    struct broker_groups_batch *batch = bg->open;
    if (batch == NULL) {
        batch = assert_memory(calloc(1, sizeof *batch), sizeof *batch);
        batch->groups = bg;
        list_init(&batch->link);
        list_init(&batch->waits);
        batch_build_init(&batch->build);
        bg->open = batch;
    }
    ASSERT(batch->groups == bg);
    return batch;
}

static void broker_groups_close(struct broker_groups *bg)
{
    struct batch_build_options o = batch_build_plain();
    struct broker_groups_batch *batch = bg->open;
    ASSERT(batch != NULL && batch->bytes.size == 0);
    batch_build_finish(&batch->build, &o, &batch->bytes);
    batch_build_deinit(&batch->build);
    bg->open = NULL;
    list_add_tail(&bg->queued, &batch->link);
}

static void broker_groups_put(void *ctx, struct slice key, struct slice value)
{
    struct broker_groups *bg = ctx;
    struct broker_groups_batch *batch = broker_groups_open(bg);
    ASSERT(key.size > 0);
    batch_build_add(&batch->build, broker_wall(bg->broker), key, value, NULL, 0);
}

/* B1. The batch is closed here and not in put, so that records that belong together stay so. */
static void broker_groups_wait(void *ctx, struct groups_wait *w)
{
    struct broker_groups *bg = ctx;
    struct list *last = !list_empty(&bg->queued)    ? bg->queued.prev
                        : !list_empty(&bg->batches) ? bg->batches.prev
                                                    : NULL;
    ASSERT(w->done != NULL);
    if (bg->open != NULL) {
        list_add_tail(&bg->open->waits, &w->link);
        if (batch_build_size(&bg->open->build) >= BROKER_GROUPS_BATCH)
            broker_groups_close(bg);
    } else if (last != NULL) {
        list_add_tail(&LIST_ENTRY(last, struct broker_groups_batch, link)->waits, &w->link);
    } else {
        list_add_tail(&bg->idle, &w->link);
    }
}

static void broker_groups_settled(struct part_wait *w, int result)
{
    struct broker_groups_settle *s = LIST_ENTRY(w, struct broker_groups_settle, wait);
    struct groups_wait *waiter = s->waiter;
    ASSERT(waiter != NULL);
    free(s);
    waiter->done(waiter, result);
}

static enum broker_status
broker_groups_settle(void *ctx, const struct broker_group_offset_item *item, struct groups_wait *w)
{
    struct broker_groups *bg = ctx;
    struct topic *t = broker_find_topic(bg->broker, item->topic);
    struct bpart *p = t == NULL ? NULL : broker_find_part(t, item->partition);
    enum broker_status status = p == NULL ? BROKER_UNKNOWN_TOPIC : bpart_use(p);
    if (status != BROKER_OK)
        return status == BROKER_LOADING ? BROKER_GROUP_LOADING : status;
    if (item->offset > bpart_visible(p))
        return BROKER_OFFSET_OUT_OF_RANGE;
    if (item->offset <= p->part->durable)
        return BROKER_OK;
    struct broker_groups_settle *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->waiter = w;
    s->wait.offset = item->offset - 1;
    s->wait.done = broker_groups_settled;
    bool waits = part_wait(p->part, &s->wait, true);
    ASSERT(waits);
    p->flush = true;
    if (list_linked(&p->due)) /* perhaps for a round that does not sync */
        list_remove(&p->due);
    bpart_due(p);
    return BROKER_BUSY;
}

static void broker_groups_request_ready(void *ctx, struct broker_group *req)
{
    struct broker_groups *bg = ctx;
    ASSERT(req->done != NULL);
    list_add_tail(&bg->ready, &req->priv.link);
}

/* --- the log --- */

static void broker_groups_note(struct broker_groups *bg, const struct broker_groups_batch *batch)
{
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault =
        batch_iter_init(&it, buf_slice(&batch->bytes), BROKER_GROUPS_INFLATE, &bg->scratch);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault))
        group_rows_note(bg->rows, rec.key, rec.value, rec.offset);
    ASSERT(fault == BATCH_OK); /* built here */
}

static void broker_groups_end(struct broker_groups_batch *batch, int result)
{
    struct broker_groups *bg = batch->groups;
    struct list waits;
    list_init(&waits);
    if (result == 0)
        broker_groups_note(bg, batch);
    if (list_linked(&batch->link))
        list_remove(&batch->link);
    list_splice(&waits, &batch->waits);
    buf_deinit(&batch->bytes);
    free(batch);
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        ASSERT(w->done != NULL);
        w->done(w, result);
    }
}

static void broker_groups_appended(struct part_append *a, int result)
{
    struct broker_groups_batch *batch = LIST_ENTRY(a, struct broker_groups_batch, append);
    ASSERT(batch->groups->batches.next == &batch->link); /* B2 */
    broker_groups_tick(batch->groups);
    broker_groups_end(batch, result);
}

static void broker_groups_append(struct broker_groups *bg, struct bpart *p,
                                 struct broker_groups_batch *batch)
{
    struct part_append *a = &batch->append;
    enum batch_fault fault = batch_parse(buf_slice(&batch->bytes), &a->header);
    ASSERT(fault == BATCH_OK && p->part != NULL);
    a->batch = batch->bytes.p;
    a->done = broker_groups_appended;
    list_remove(&batch->link);
    list_add_tail(&bg->batches, &batch->link);
    int r = part_append(p->part, a, broker_wall(bg->broker));
    if (r != 0) { /* larger than a segment, or closing */
        list_remove(&batch->link);
        broker_groups_end(batch, -EIO);
        return;
    }
    bpart_due(p);
}

static void broker_groups_fail_queued(struct broker_groups *bg)
{
    ASSERT(bg->open == NULL);
    while (!list_empty(&bg->queued))
        broker_groups_end(LIST_ENTRY(bg->queued.next, struct broker_groups_batch, link), -EIO);
}

static void broker_groups_created(struct broker_admin *req)
{
    struct broker_groups *bg = req->ctx;
    ASSERT(bg->creating);
    bg->creating = false;
    if (req->status == BROKER_OK || req->status == BROKER_TOPIC_EXISTS)
        return;
    broker_log(bg->broker, 2, "topic %s cannot be made: %s", BROKER_GROUPS_TOPIC,
               req->message[0] != '\0' ? req->message : broker_status_text(req->status));
    if (bg->open != NULL)
        broker_groups_close(bg);
    broker_groups_tick(bg);
    broker_groups_fail_queued(bg);
}

static void broker_groups_create(struct broker_groups *bg)
{
    const struct broker_config_entry configs[] = {
        {slice_str("cleanup.policy"), slice_str("compact")},
        {slice_str("durability"), slice_str("sync")},
        {slice_str("min.compaction.lag.ms"), slice_str(BROKER_GROUPS_HISTORY)},
        {slice_str("segment.bytes"), slice_str(BROKER_GROUPS_SEGMENT)}};
    ASSERT(!bg->creating);
    bg->creating = true;
    memcpy(bg->configs, configs, sizeof configs);
    bg->create = (struct broker_admin){.op = BROKER_TOPIC_CREATE,
                                       .topic = slice_str(BROKER_GROUPS_TOPIC),
                                       .partitions = 1,
                                       .replication = -1,
                                       .configs = bg->configs,
                                       .config_count = sizeof configs / sizeof configs[0],
                                       .internal = true,
                                       .done = broker_groups_created,
                                       .ctx = bg};
    broker_admin(bg->broker, &bg->create);
}

void broker_groups_flush(struct broker_groups *bg)
{
    if (bg->open != NULL)
        broker_groups_close(bg);
    if (list_empty(&bg->queued) || bg->creating)
        return;
    struct bpart *p = broker_groups_bpart(bg);
    if (p == NULL) {
        if (bg->broker->stopping)
            broker_groups_fail_queued(bg);
        else
            broker_groups_create(bg);
        return;
    }
    enum broker_status status = bpart_use(p);
    ASSERT(status != BROKER_LOADING); /* the groups were read from it */
    if (status != BROKER_OK)
        return broker_groups_fail_queued(bg);
    while (!list_empty(&bg->queued))
        broker_groups_append(bg, p, LIST_ENTRY(bg->queued.next, struct broker_groups_batch, link));
}

/* --- the start --- */

static int broker_groups_row(void *ctx, struct slice key, struct slice value)
{
    struct broker_groups *bg = ctx;
    ASSERT(bg->phase == BROKER_GROUPS_ROWS);
    if (!groups_load(bg->engine, key, value))
        bg->unreadable++;
    return 0;
}

/* What was loaded of a view that cannot be believed is forgotten. */
static void broker_groups_restart(struct broker_groups *bg)
{
    struct groups_env env = bg->engine->env;
    ASSERT(bg->engine->loading);
    groups_free(bg->engine);
    bg->engine = groups_new(&env);
    bg->unreadable = 0;
    broker_groups_tick(bg);
}

static void broker_groups_read_rows(struct broker_groups *bg, const struct part *part)
{
    struct meta_applied applied = {.offset = -1};
    struct meta *view = bg->broker->view;
    int r = coord_view_lost(bg->broker->coord)
                ? META_DAMAGED
                : meta_get_applied(view, BROKER_GROUPS_LOG, &applied);
    if (r == 0 && applied.offset >= (part == NULL ? 0 : part->durable))
        r = META_DAMAGED; /* ahead of the log: B3 */
    if (r == 0)
        r = meta_each(view, META_TABLE_GROUP, SLICE_NULL, broker_groups_row, bg);
    int64_t begin = part == NULL ? 0 : part->log_start;
    bg->applied = applied.offset + 1;
    if (r != 0 || bg->applied < begin) {
        if (bg->applied > 0 || r != 0)
            broker_groups_restart(bg);
        bg->applied = begin;
        group_rows_rebuild(bg->rows);
    }
    group_rows_start(bg->rows, bg->applied - 1);
    bg->phase = BROKER_GROUPS_REPLAY;
}

static void broker_groups_replay_batch(struct broker_groups *bg, struct slice batch)
{
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault = batch_iter_init(&it, batch, BROKER_GROUPS_INFLATE, &bg->scratch);
    ASSERT(bg->phase == BROKER_GROUPS_REPLAY);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault)) {
        if (rec.offset < bg->applied || rec.key.p == NULL)
            continue;
        if (!groups_load(bg->engine, rec.key, rec.value))
            bg->unreadable++;
        group_rows_note(bg->rows, rec.key, rec.value, rec.offset);
    }
    if (fault != BATCH_OK)
        bg->unreadable++;
}

static void broker_groups_replay_extent(struct broker_groups *bg, const struct part_extent *e)
{
    struct slice left = e->bytes;
    struct batch_header h;
    ASSERT(e->next_offset > bg->applied);
    while (left.size > 0 && batch_parse(left, &h) == BATCH_OK && h.size <= left.size) {
        broker_groups_replay_batch(bg, slice_of(left.p, h.size));
        left = slice_of(left.p + h.size, left.size - h.size);
    }
    bg->applied = e->next_offset;
}

static void broker_groups_warm_run(struct work_job *job)
{
    struct broker_groups_warm *w = LIST_ENTRY(job, struct broker_groups_warm, job);
    ASSERT(w->out);
    part_warm_run(&w->warm);
}

static void broker_groups_warm_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_groups_warm *w = LIST_ENTRY(job, struct broker_groups_warm, job);
    struct bpart *p = broker_groups_bpart(w->groups);
    ASSERT(w->out && p != NULL && p->part != NULL && p->jobs > 0);
    w->out = false;
    p->jobs--;
    if (part_warm_done(p->part, &w->warm) != 0)
        broker_log(w->groups->broker, 2, "%s cannot be read", BROKER_GROUPS_LOG);
}

/* False: not the end yet, and nothing more to do now. */
static bool broker_groups_replay(struct broker_groups *bg, struct bpart *p)
{
    struct part_extent extent;
    int64_t next_good = -1;
    struct part_read q = {.offset = bg->applied,
                          .bound = p->part->durable,
                          .size_max = BROKER_GROUPS_READ,
                          .may_wait = false};
    ASSERT(!bg->warm.out);
    int r = part_read(p->part, &q, &extent, &bg->warm.warm, &next_good);
    if (r == 0) {
        broker_groups_replay_extent(bg, &extent);
        reader_unpin(extent.pin);
    } else if (r == PART_DAMAGED && next_good > bg->applied) {
        broker_log(bg->broker, 2, "%s is damaged from offset %lld to %lld: commits in it are lost",
                   BROKER_GROUPS_LOG, (long long)bg->applied, (long long)next_good);
        bg->applied = next_good;
    } else if (r == PART_COLD) {
        bg->warm.out = true;
        bg->warm.groups = bg;
        bg->warm.job = (struct work_job){.run = broker_groups_warm_run,
                                         .note = {.done = broker_groups_warm_done}};
        p->jobs++;
        work_submit(bg->broker->env.work, &bg->warm.job);
        return false;
    } else {
        broker_log(bg->broker, 2, "%s cannot be read behind offset %lld", BROKER_GROUPS_LOG,
                   (long long)bg->applied);
        bg->applied = p->part->durable;
    }
    return true;
}

static void broker_groups_ready_now(struct broker_groups *bg)
{
    bg->phase = BROKER_GROUPS_READY;
    groups_loaded(bg->engine);
    if (bg->unreadable > 0)
        broker_log(bg->broker, 1, "%s: %zu records could not be read and were passed over",
                   BROKER_GROUPS_LOG, bg->unreadable);
    group_offsets_drop_orphans(bg->engine);
    ASSERT(!bg->engine->loading);
}

/* One step of reading; true when the next may follow at once. */
static bool broker_groups_load(struct broker_groups *bg)
{
    struct bpart *p = broker_groups_bpart(bg);
    if (bg->warm.out)
        return false;
    if (p != NULL && bpart_use(p) != BROKER_OK) /* in a worker, or tried again later */
        return false;
    ASSERT(p == NULL || p->part != NULL);
    if (bg->phase == BROKER_GROUPS_ROWS)
        broker_groups_read_rows(bg, p == NULL ? NULL : p->part);
    if (p != NULL && bg->applied < p->part->durable)
        return broker_groups_replay(bg, p);
    broker_groups_ready_now(bg);
    return false;
}

/* --- the turn --- */

void broker_groups_run(struct broker_groups *bg)
{
    struct list idle;
    broker_groups_tick(bg);
    for (unsigned steps = 0; bg->phase != BROKER_GROUPS_READY && steps < 8; steps++)
        if (!broker_groups_load(bg))
            break;
    groups_run(bg->engine);
    list_init(&idle);
    list_splice(&idle, &bg->idle);
    for (struct list *n = list_pop(&idle); n != NULL; n = list_pop(&idle)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        ASSERT(w->done != NULL);
        w->done(w, 0);
    }
    broker_groups_flush(bg);
}

void broker_groups_deliver(struct broker_groups *bg)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &bg->ready);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_group *req = LIST_ENTRY(n, struct broker_group, priv.link);
        void *results = req->priv.state;
        ASSERT((unsigned)req->status < BROKER_STATUS_COUNT);
        req->done(req);
        groups_release(results);
    }
}

bool broker_groups_has_ready(const struct broker_groups *bg)
{
    ASSERT(bg->engine != NULL);
    return !list_empty(&bg->ready) || !list_empty(&bg->idle) || bg->open != NULL ||
           (!list_empty(&bg->queued) && !bg->creating) ||
           (bg->phase == BROKER_GROUPS_REPLAY && !bg->warm.out);
}

int64_t broker_groups_next_ms(const struct broker_groups *bg)
{
    int64_t next = groups_next_ms(bg->engine);
    ASSERT(next >= 0);
    if (group_rows_due(bg->rows) && bg->next_view_ms < next)
        next = bg->next_view_ms;
    return next;
}

void broker_groups_view(struct broker_groups *bg, bool now)
{
    struct broker *b = bg->broker;
    if (bg->phase != BROKER_GROUPS_READY || !group_rows_due(bg->rows) ||
        coord_view_busy(b->coord) || coord_view_lost(b->coord) ||
        (!now && broker_now(b) < bg->next_view_ms))
        return;
    ASSERT(!group_rows_busy(bg->rows));
    bg->next_view_ms = broker_now(b) + BROKER_GROUPS_VIEW_MS;
    group_rows_commit(bg->rows, b->env.work);
}

bool broker_groups_view_due(const struct broker_groups *bg)
{
    ASSERT(bg->rows != NULL);
    return bg->phase == BROKER_GROUPS_READY && group_rows_due(bg->rows);
}

bool broker_groups_view_busy(const struct broker_groups *bg)
{
    ASSERT(bg->rows != NULL);
    return group_rows_busy(bg->rows);
}

int broker_groups_view_error(struct broker_groups *bg)
{
    ASSERT(bg->rows != NULL);
    return group_rows_error(bg->rows);
}

bool broker_groups_quiet(const struct broker_groups *bg)
{
    ASSERT(bg->broker->stopping);
    return bg->open == NULL && list_empty(&bg->queued) && list_empty(&bg->batches) &&
           list_empty(&bg->idle) && !bg->creating && !bg->warm.out && bg->engine->running == 0;
}

void broker_groups_stop(struct broker_groups *bg)
{
    broker_groups_tick(bg);
    groups_stop(bg->engine);
    ASSERT(bg->engine->stopping);
}

void broker_groups_topics_changed(struct broker_groups *bg, struct slice gone)
{
    ASSERT(bg->engine != NULL);
    groups_topics_changed(bg->engine);
    if (gone.p == NULL || bg->engine->loading || bg->broker->dead)
        return;
    broker_groups_tick(bg);
    group_offsets_drop_topic(bg->engine, gone);
}

/* --- life --- */

struct broker_groups *broker_groups_new(struct broker *b)
{
    struct broker_groups *bg = assert_memory(calloc(1, sizeof *bg), sizeof *bg);
    struct list *all[] = {&bg->queued, &bg->batches, &bg->idle, &bg->ready};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        list_init(all[i]);
    bg->broker = b;
    bg->engine = groups_new(&(struct groups_env){.config = b->env.config,
                                                 .seed = b->env.seed ^ b->incarnation,
                                                 .topic = broker_groups_topic,
                                                 .topic_by_id = broker_groups_topic_by_id,
                                                 .topics = broker_groups_topics,
                                                 .put = broker_groups_put,
                                                 .wait = broker_groups_wait,
                                                 .settle = broker_groups_settle,
                                                 .ready = broker_groups_request_ready,
                                                 .ctx = bg});
    bg->rows = group_rows_new(b->env.seed, b->view, BROKER_GROUPS_LOG);
    ASSERT(bg->phase == BROKER_GROUPS_ROWS);
    broker_groups_tick(bg);
    return bg;
}

/* Nobody is told any more: what was asked is never answered. */
static void broker_groups_abandon(struct broker_groups *bg)
{
    if (bg->open != NULL)
        broker_groups_close(bg);
    broker_groups_fail_queued(bg);
    ASSERT(list_empty(&bg->batches)); /* part_abort has ended them */
    for (struct list *n = list_pop(&bg->idle); n != NULL; n = list_pop(&bg->idle)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        w->done(w, -ECANCELED);
    }
    for (struct list *n = list_pop(&bg->ready); n != NULL; n = list_pop(&bg->ready))
        groups_release(LIST_ENTRY(n, struct broker_group, priv.link)->priv.state);
}

struct broker_groups *broker_groups_free(struct broker_groups *bg)
{
    if (bg == NULL)
        return NULL;
    ASSERT(!bg->warm.out);
    broker_groups_abandon(bg);
    if (bg->open != NULL) /* the endings above may have said something */
        broker_groups_abandon(bg);
    group_rows_free(bg->rows);
    groups_free(bg->engine);
    buf_deinit(&bg->scratch);
    free(bg);
    return NULL;
}

void broker_groups_check(const struct broker_groups *bg)
{
    ASSERT(bg->phase != BROKER_GROUPS_READY || !bg->engine->loading);
    groups_check(bg->engine);
}

void broker_groups_dump(const struct broker_groups *bg, struct buf *out)
{
    ASSERT(out != NULL);
    groups_dump(bg->engine, out);
}

/* --- broker_group.h --- */

const char *broker_group_type_text(enum broker_group_type t)
{
    static const char *const texts[BROKER_GROUP_TYPE_COUNT] = {
        [BROKER_GROUP_CLASSIC] = "classic", [BROKER_GROUP_CONSUMER] = "consumer"};
    ASSERT((unsigned)t < BROKER_GROUP_TYPE_COUNT);
    return texts[t];
}

const char *broker_group_state_text(enum broker_group_state s)
{
    static const char *const texts[BROKER_GROUP_STATE_COUNT] = {
        [BROKER_GROUP_EMPTY] = "Empty",
        [BROKER_GROUP_PREPARING] = "PreparingRebalance",
        [BROKER_GROUP_COMPLETING] = "CompletingRebalance",
        [BROKER_GROUP_STABLE] = "Stable",
        [BROKER_GROUP_ASSIGNING] = "Assigning",
        [BROKER_GROUP_RECONCILING] = "Reconciling",
        [BROKER_GROUP_DEAD] = "Dead",
    };
    ASSERT((unsigned)s < BROKER_GROUP_STATE_COUNT);
    return texts[s];
}

const char *broker_group_cause_text(enum broker_group_cause c)
{
    static const char *const texts[BROKER_GROUP_CAUSE_COUNT] = {
        [BROKER_GROUP_CAUSE_JOINED] = "member joined",
        [BROKER_GROUP_CAUSE_REJOINED] = "member asked for it",
        [BROKER_GROUP_CAUSE_LEFT] = "member left",
        [BROKER_GROUP_CAUSE_EXPIRED] = "session timed out",
        [BROKER_GROUP_CAUSE_LATE] = "rebalance timed out",
        [BROKER_GROUP_CAUSE_REPLACED] = "static member replaced",
        [BROKER_GROUP_CAUSE_SUBSCRIPTION] = "subscription changed",
        [BROKER_GROUP_CAUSE_TOPICS] = "topics changed",
    };
    ASSERT((unsigned)c < BROKER_GROUP_CAUSE_COUNT);
    return texts[c];
}

void broker_group(struct broker *b, struct broker_group *req)
{
    ASSERT(b->groups != NULL);
    broker_groups_tick(b->groups);
    groups_request(b->groups->engine, req);
}

enum broker_status broker_groups_ready(const struct broker *b)
{
    ASSERT(b->groups != NULL);
    return b->groups->engine->loading ? BROKER_GROUP_LOADING : BROKER_OK;
}

int broker_group_info(const struct broker *b, struct slice name, struct broker_group_info *out)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(out != NULL);
    if (g == NULL || g->deleting)
        return 1;
    groups_view_info(g, out);
    return 0;
}

void broker_groups_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx)
{
    struct broker_group_info out;
    size_t at = 0;
    ASSERT(fn != NULL);
    for (const struct group *g = map_next(&b->groups->engine->map, &at); g != NULL;
         g = map_next(&b->groups->engine->map, &at)) {
        if (g->deleting)
            continue;
        groups_view_info(g, &out);
        fn(ctx, &out);
    }
}

void broker_group_members(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_members(b->groups->engine, g, fn, ctx);
}

int broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                        int32_t partition, struct broker_group_offset *out)
{
    const struct group *g = groups_find(b->groups->engine, group);
    ASSERT(out != NULL);
    return g == NULL ? 1 : groups_view_offset(b->groups->engine, g, topic, partition, out);
}

void broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                          void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, group);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_offsets(b->groups->engine, g, assigned, fn, ctx);
}

void broker_group_history(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_history(g, fn, ctx);
}
