/* SPDX-License-Identifier: MIT
 *
 * broker_groups_load: the groups at a start: view rows (as of the applied mark), then the log from
 * there, in pieces between turns; until the end every request is answered GROUP_LOADING. A view
 * that is ahead of the log, damaged, missing or of another term is cleared and filled again from
 * the log: in another term this broker may have followed, and its log may have been cut.
 *
 * A leader that is back answers when enough followers have pulled: what was committed at another
 * one meanwhile is not in its log, and an older offset makes a consumer read records again.
 *
 * Invariant: B3 the view's applied mark <= the durable end.
 *
 * Failures: records that cannot be read, and damaged stretches of the log, are passed over and told
 * in the broker's log.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_groups_priv.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_priv.h"

#define BROKER_GROUPS_READ (1u << 20)

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
    bool stopping = bg->engine->stopping;
    ASSERT(bg->engine->loading);
    ASSERT(bg->phase == BROKER_GROUPS_ROWS);
    groups_free(bg->engine);
    bg->engine = groups_new(&env);
    bg->unreadable = 0;
    broker_groups_tick(bg);
    if (stopping)
        groups_stop(bg->engine);
}

/* Of the term: it stays the same over the starts of its leader, who never followed in it. */
static int32_t broker_groups_epoch(const struct broker_groups *bg)
{
    const struct broker *b = bg->broker;
    ASSERT(bg->engine != NULL);
    return (int32_t)cluster_epoch_term(broker_leader_epoch(b));
}

static void broker_groups_read_rows(struct broker_groups *bg, const struct part *part)
{
    struct meta_applied applied = {.offset = -1};
    struct meta *view = bg->broker->view;
    ASSERT(bg->phase == BROKER_GROUPS_ROWS && bg->engine->loading);
    int r = coord_view_lost(bg->broker->coord) || bg->anew
                ? META_DAMAGED
                : meta_get_applied(view, BROKER_GROUPS_LOG, &applied);
    if (r == 0 && applied.offset >= (part == NULL ? 0 : part->durable))
        r = META_DAMAGED; /* ahead of the log: B3 */
    if (r == 0 && part != NULL && applied.epoch != broker_groups_epoch(bg))
        r = META_DAMAGED; /* or emptied, and not filled since */
    if (r == 0)
        r = meta_each(view, META_TABLE_GROUP, SLICE_NULL, broker_groups_row, bg);
    int64_t begin = part == NULL ? 0 : part->log_start;
    bg->applied = applied.offset + 1;
    ASSERT(r != 0 || bg->applied <= (part == NULL ? 0 : part->durable)); /* B3 */
    if (r != 0 || bg->applied < begin) {
        if (bg->applied > 0 || r != 0)
            broker_groups_restart(bg);
        bg->applied = begin;
        group_rows_rebuild(bg->rows);
    }
    group_rows_start(bg->rows, (struct meta_applied){bg->applied - 1, broker_groups_epoch(bg)});
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
    ASSERT(bg->phase == BROKER_GROUPS_REPLAY && bg->applied < p->part->durable);
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
    ASSERT(bg->phase == BROKER_GROUPS_REPLAY);
    bg->phase = BROKER_GROUPS_READY;
    bg->anew = false;
    groups_loaded(bg->engine);
    if (bg->unreadable > 0)
        broker_log(bg->broker, 1, "%s: %zu records could not be read and were passed over",
                   BROKER_GROUPS_LOG, bg->unreadable);
    group_offsets_drop_orphans(bg->engine);
    ASSERT(!bg->engine->loading);
}

bool broker_groups_load(struct broker_groups *bg)
{
    ASSERT(bg->phase != BROKER_GROUPS_READY);
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
    bg->doubts = p != NULL && !bpart_confirmed(p);
    if (bg->doubts)
        return false; /* until the followers have pulled, which is a turn of its own */
    broker_groups_ready_now(bg);
    return false;
}
