/* SPDX-License-Identifier: MIT
 *
 * broker_groups: the group engine inside the broker: its log, its view, its way into the turn.
 *
 * Here are its life, its part of a turn and what the engine asks of the broker. The records' way to
 * the log is broker_groups_log.c's, reading them at a start broker_groups_load.c's, the calls of
 * the fronts broker_group.c's.
 *
 * A turn: what was asked reaches the engine in the calls of the fronts; `run` reads on or fires
 * timers and sends what was said to the log; `deliver` runs the done of what was answered; `flush`
 * sends what those said.
 *
 * Failures: a view that cannot be written is given up by group_rows.c and told once
 * (broker_groups_view_error). A broker that is freed without a stop ends what is queued and answers
 * nobody.
 */
#include "engine/broker/broker_groups_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

#define BROKER_GROUPS_VIEW_MS 1000

/* A partition's records on their way to the disk, which a commit waits for. */
struct broker_groups_settle {
    struct part_wait wait;
    struct groups_wait *waiter;
};

void broker_groups_tick(struct broker_groups *bg)
{
    ASSERT(bg->engine != NULL);
    groups_time(bg->engine, broker_now(bg->broker), broker_wall(bg->broker));
}

struct bpart *broker_groups_bpart(const struct broker_groups *bg)
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

static void broker_groups_settled(struct part_wait *w, int result)
{
    struct broker_groups_settle *s = LIST_ENTRY(w, struct broker_groups_settle, wait);
    struct groups_wait *waiter = s->waiter;
    ASSERT(waiter != NULL);
    ASSERT(waiter->done != NULL);
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
    ASSERT(p->part != NULL && w->done != NULL);
    bool known = bpart_confirmed(p) && bpart_watermark_known(p);
    if (item->offset > (known ? bpart_visible(p) : p->part->reserved))
        return known ? BROKER_OFFSET_OUT_OF_RANGE : BROKER_GROUP_UNAVAILABLE;
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

/* Nothing is on its way any more. */
static bool broker_groups_idle(const struct broker_groups *bg)
{
    ASSERT(bg->engine->stopping);
    return bg->open == NULL && list_empty(&bg->queued) && list_empty(&bg->batches) &&
           list_empty(&bg->idle) && list_empty(&bg->ready) && !bg->creating && !bg->warm.out &&
           bg->engine->running == 0 && !group_rows_busy(bg->rows);
}

/* --- the turn --- */

/* An engine that knows nothing yet, and rows that wait for their mark. */
static void broker_groups_begin(struct broker_groups *bg)
{
    ASSERT(bg->engine == NULL && bg->rows == NULL);
    bg->engine = groups_new(&(struct groups_env){
        .config = bg->broker->env.config,
        .seed = bg->broker->env.seed, /* another with every start: member ids */
        .topic = broker_groups_topic,
        .topic_by_id = broker_groups_topic_by_id,
        .topics = broker_groups_topics,
        .put = broker_groups_put,
        .wait = broker_groups_wait,
        .settle = broker_groups_settle,
        .ready = broker_groups_request_ready,
        .ctx = bg});
    bg->rows = group_rows_new(bg->broker->env.seed, bg->broker->view, BROKER_GROUPS_LOG);
    bg->phase = BROKER_GROUPS_ROWS;
    bg->doubts = false;
}

static void broker_groups_standby(struct broker_groups *bg)
{
    if (bg->open != NULL)
        broker_groups_close(bg);
    broker_groups_fail_queued(bg);
    if (!bg->leads || bg->broker->stopping || !broker_groups_idle(bg))
        return;
    groups_free(bg->engine);
    group_rows_free(bg->rows);
    bg->engine = NULL;
    bg->rows = NULL;
    bg->unreadable = 0;
    broker_groups_begin(bg);
    bg->standby = false;
    ASSERT(bg->engine->loading);
    broker_groups_tick(bg);
}

void broker_groups_run(struct broker_groups *bg)
{
    struct list idle;
    broker_groups_tick(bg);
    for (unsigned steps = 0; !bg->standby && bg->phase != BROKER_GROUPS_READY && steps < 8; steps++)
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
    if (bg->standby)
        broker_groups_standby(bg);
    else
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
        ASSERT(req->done != NULL);
        req->done(req);
        groups_release(results);
    }
}

bool broker_groups_has_ready(const struct broker_groups *bg)
{
    ASSERT(bg->engine != NULL);
    return !list_empty(&bg->ready) || !list_empty(&bg->idle) || bg->open != NULL ||
           (!list_empty(&bg->queued) && !bg->creating) ||
           (bg->phase == BROKER_GROUPS_REPLAY && !bg->warm.out && !bg->standby && !bg->doubts) ||
           (bg->standby && bg->leads && !bg->broker->stopping && broker_groups_idle(bg));
}

/* There are rows, and nothing but time stands between them and the view. Waiting for a worker or
 * for the end of loading is not for a timer: the loop would turn without rest. */
static bool broker_groups_view_may(const struct broker_groups *bg)
{
    const struct broker *b = bg->broker;
    ASSERT(bg->rows != NULL);
    return bg->phase == BROKER_GROUPS_READY && !bg->standby && group_rows_due(bg->rows) &&
           !coord_view_busy(b->coord) && !broker_compact_view_busy(b->compact) &&
           !coord_view_lost(b->coord);
}

int64_t broker_groups_next_ms(const struct broker_groups *bg)
{
    int64_t next = groups_next_ms(bg->engine);
    ASSERT(next >= 0);
    if (broker_groups_view_may(bg) && bg->next_view_ms < next)
        next = bg->next_view_ms;
    return next;
}

void broker_groups_view(struct broker_groups *bg, bool now)
{
    struct broker *b = bg->broker;
    if (!broker_groups_view_may(bg) || (!now && broker_now(b) < bg->next_view_ms))
        return;
    ASSERT(!group_rows_busy(bg->rows));
    bg->next_view_ms = broker_now(b) + BROKER_GROUPS_VIEW_MS;
    group_rows_commit(bg->rows, b->env.work);
}

bool broker_groups_view_due(const struct broker_groups *bg)
{
    ASSERT(bg->rows != NULL);
    return bg->phase == BROKER_GROUPS_READY && !bg->standby && group_rows_due(bg->rows);
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

bool broker_groups_view_good(const struct broker_groups *bg)
{
    ASSERT(bg->rows != NULL);
    return bg->phase == BROKER_GROUPS_READY && !group_rows_lost(bg->rows) &&
           !coord_view_lost(bg->broker->coord);
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

void broker_groups_role(struct broker_groups *bg, bool leads, bool anew)
{
    bg->leads = leads;
    bg->anew = bg->anew || anew;
    if (leads || bg->standby)
        return;
    bg->standby = true;
    broker_groups_stop(bg);
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
    bg->leads = true;
    broker_groups_begin(bg);
    ASSERT(bg->phase == BROKER_GROUPS_ROWS);
    ASSERT(bg->engine->loading);
    broker_groups_tick(bg);
    struct bpart *p = broker_groups_bpart(bg);
    if (p != NULL) /* ahead of all other partitions: everybody's offsets wait for it */
        (void)bpart_use(p);
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
        ASSERT(w->done != NULL);
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
    ASSERT(bg->open == NULL || bg->open->groups == bg);
    ASSERT(bg->phase == BROKER_GROUPS_READY || list_empty(&bg->batches));
    groups_check(bg->engine);
}

void broker_groups_dump(const struct broker_groups *bg, struct buf *out)
{
    ASSERT(out != NULL);
    groups_dump(bg->engine, out);
}
