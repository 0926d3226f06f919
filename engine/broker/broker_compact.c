/* SPDX-License-Identifier: MIT
 *
 * broker_compact: see broker_compact.h.
 */
#include "engine/broker/broker_compact.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_compact_priv.h"
#include "engine/broker/broker_groups_priv.h"

#define BROKER_COMPACT_PIECE     (1u << 20) /* of work, at most and at least */
#define BROKER_COMPACT_PIECE_MIN (64u << 10)
#define BROKER_COMPACT_PIECES    4 /* a second, where the rate is low */
#define BROKER_COMPACT_SEAL_MS   100
#define BROKER_COMPACT_FAILED_MS 600000

struct broker_compact *broker_compact_new(struct broker *b)
{
    struct broker_compact *bc = assert_memory(calloc(1, sizeof *bc), sizeof *bc);
    bc->broker = b;
    bc->look_ms = broker_now(b);
    broker_compact_view_init(bc);
    ASSERT(bc->pass == NULL);
    return bc;
}

struct broker_compact *broker_compact_free(struct broker_compact *bc)
{
    if (bc == NULL)
        return NULL;
    ASSERT(!bc->out && !bc->swaps);
    bc->pass = compact_free(bc->pass);
    broker_compact_view_deinit(bc);
    free(bc);
    return NULL;
}

bool broker_compact_busy(const struct broker_compact *bc)
{
    ASSERT((bc->pass != NULL) == (bc->bpart != NULL));
    return bc->pass != NULL;
}

/* The next thing to do is a swap, and a snapshot is being made: it links files by their names. */
static bool broker_compact_held(const struct broker_compact *bc)
{
    ASSERT(bc->pass != NULL && !bc->out);
    return bc->pass->phase == COMPACT_SWAP && bc->broker->snapshot != NULL;
}

int64_t broker_compact_next_ms(const struct broker_compact *bc)
{
    ASSERT(bc->look_ms >= 0);
    if (bc->pass != NULL)
        return bc->out || bc->swaps || broker_compact_held(bc) ? INT64_MAX : bc->resume_ms;
    return config_bool(bc->broker->env.config, CONFIG_CLEANER_ENABLE) ? bc->look_ms : INT64_MAX;
}

/* --- what is due --- */

struct broker_compact_choice {
    struct bpart *bpart; /* NULL none */
    struct part_cleanable q;
    double share;
};

static bool broker_compact_may(const struct broker *b, const struct topic *t)
{
    ASSERT(t->name != NULL);
    if (!t->limits.compacted || t->deleting)
        return false;
    return strcmp(t->name, BROKER_GROUPS_TOPIC) != 0 || broker_groups_view_good(b->groups);
}

/* Room for the largest copy. */
static bool broker_compact_fits_disk(const struct broker *b, const struct topic *t)
{
    ASSERT(t->limits.part.segment_size_max > 0);
    return !b->disk_full || b->space.free_size / 2 > t->limits.part.segment_size_max;
}

/* An old record in the active segment: it has to be sealed to be compacted. */
static void broker_compact_seal(struct broker_compact *bc, struct bpart *p, int64_t before_ms)
{
    const struct part *part = p->part;
    ASSERT(part->count > 0);
    const struct segment *s = part->segments[part->count - 1];
    if (s->ready == 0 || s->first_timestamp < 0 || s->first_timestamp >= before_ms)
        return;
    part_seal(p->part);
    bpart_due(p);
    bc->look_ms = broker_now(bc->broker) + BROKER_COMPACT_SEAL_MS;
}

static void broker_compact_judge(struct broker_compact *bc, struct bpart *p,
                                 struct broker_compact_choice *best)
{
    const struct topic_limits *l = &p->topic->limits;
    int64_t wall = broker_wall(bc->broker);
    int64_t bound = bpart_visible(p); /* what may be cut back stays out */
    struct part_cleanable q = {.young_ms = l->min_lag_ms > 0 ? wall - l->min_lag_ms : INT64_MAX,
                               .bound = bound > 0 ? bound : 1};
    broker_compact_hint(bc, p);
    q.first_dirty = p->first_dirty;
    part_cleanable(p->part, &q);
    int64_t before_ms = l->max_lag_ms < wall ? wall - l->max_lag_ms : 0;
    bool late = q.oldest_ms < before_ms;
    if (late)
        broker_compact_seal(bc, p, before_ms);
    if (q.dirty_size == 0)
        return;
    double share = (double)q.dirty_size / (double)(q.dirty_size + q.clean_size);
    ASSERT(share > 0 && share <= 1);
    share += late; /* before all that are only dirty */
    if ((late || share >= l->min_dirty) && share > best->share)
        *best = (struct broker_compact_choice){p, q, share};
}

static void broker_compact_choose(struct broker_compact *bc, struct broker_compact_choice *best)
{
    struct broker *b = bc->broker;
    int64_t now = broker_now(b);
    ASSERT(best->bpart == NULL);
    for (size_t i = 0; i < b->topic_count; i++) {
        struct topic *t = b->sorted[i];
        bool may = broker_compact_may(b, t) && broker_compact_fits_disk(b, t);
        for (int32_t k = 0; may && k < t->record.partitions; k++) {
            struct bpart *p = t->parts[k];
            if (p->state != BPART_ONLINE)
                bpart_load_later(p);
            else if (p->part->failed == 0 && now >= p->compact_ms)
                broker_compact_judge(bc, p, best);
        }
    }
}

static void broker_compact_look(struct broker_compact *bc)
{
    struct broker *b = bc->broker;
    struct broker_compact_choice best = {0};
    int64_t now = broker_now(b);
    ASSERT(bc->pass == NULL && now >= bc->look_ms);
    int64_t backoff = config_i64(b->env.config, CONFIG_CLEANER_BACKOFF_MS);
    bc->look_ms = now + (backoff > 0 ? backoff : 1);
    broker_compact_choose(bc, &best);
    if (best.bpart == NULL)
        return;
    const struct topic_limits *l = &best.bpart->topic->limits;
    struct compact_options o = {
        .now_ms = broker_wall(b),
        .first_dirty = best.q.first_dirty,
        .end = best.q.end,
        .delete_retention_ms = l->delete_retention_ms,
        .map_size_max = (size_t)config_i64(b->env.config, CONFIG_CLEANER_MEMORY),
        .seed = b->env.seed + 2,
        .codec = l->codec,
    };
    bc->bpart = best.bpart;
    bc->bpart->jobs++;
    bc->pass = compact_new(best.bpart->part, &o);
    bc->resume_ms = now;
}

/* --- a pass --- */

static const char *broker_compact_why(int result)
{
    ASSERT(result != 0);
    if (result == COMPACT_DAMAGED)
        return "a segment is damaged (kauri verify tells where); nothing is thrown away";
    return result == COMPACT_FULL ? "no space for a copy" : error_text(result);
}

static void broker_compact_tell(struct broker_compact *bc)
{
    const struct compact_totals *t = &bc->pass->totals;
    const struct bpart *p = bc->bpart;
    int result = bc->pass->result;
    ASSERT(bc->pass->phase == COMPACT_END);
    if (result == 0 && t->size_after != t->size_before)
        broker_log(bc->broker, 0,
                   "compacted %s-%d up to %lld: %llu of %llu records stay, %llu KiB of %llu, %llu "
                   "segments of %llu",
                   p->topic->name, p->index, (long long)t->end,
                   (unsigned long long)t->records_after, (unsigned long long)t->records_before,
                   (unsigned long long)(t->size_after >> 10),
                   (unsigned long long)(t->size_before >> 10),
                   (unsigned long long)t->segments_after, (unsigned long long)t->segments_before);
    if (result != 0 && result != COMPACT_LOST && result != COMPACT_CANCELLED)
        broker_log(bc->broker, 1, "cannot compact %s-%d: %s", p->topic->name, p->index,
                   broker_compact_why(result));
}

static void broker_compact_end(struct broker_compact *bc)
{
    struct bpart *p = bc->bpart;
    int64_t now = broker_now(bc->broker);
    const struct compact *c = bc->pass;
    ASSERT(p->jobs > 0 && !bc->out && !bc->swaps);
    broker_compact_tell(bc);
    bool further = c->result == 0 && c->totals.end > c->options.first_dirty;
    if (c->result == 0 && p->state == BPART_ONLINE) {
        p->first_dirty = c->totals.end;
        broker_compact_note(bc, p);
    }
    bool failed = c->result != 0 && c->result != COMPACT_LOST && c->result != COMPACT_CANCELLED &&
                  c->result != COMPACT_FULL;
    int64_t backoff = config_i64(bc->broker->env.config, CONFIG_CLEANER_BACKOFF_MS);
    if (!further)
        p->compact_ms = now + (failed ? BROKER_COMPACT_FAILED_MS : backoff > 0 ? backoff : 1);
    bc->look_ms = now; /* another one may be due */
    bc->pass = compact_free(bc->pass);
    bc->bpart = NULL;
    p->jobs--;
}

static double broker_compact_rate(const struct broker_compact *bc)
{
    double rate = config_double(bc->broker->env.config, CONFIG_CLEANER_RATE);
    ASSERT(rate >= 1);
    return rate;
}

/* When others were served meanwhile, the cleaner rests as long as it worked. */
static int64_t broker_compact_rest(const struct broker_compact *bc)
{
    const struct broker *b = bc->broker;
    int64_t took = broker_now(b) - bc->began_ms;
    ASSERT(took >= 0);
    return b->counters.round_partitions != bc->rounds || broker_rounds_out(b) ? took : 0;
}

static void broker_compact_step_run(struct work_job *job)
{
    struct broker_compact *bc = LIST_ENTRY(job, struct broker_compact, job);
    ASSERT(bc->out && bc->pass != NULL);
    compact_step(bc->pass, bc->piece);
}

static void broker_compact_step_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_compact *bc = LIST_ENTRY(job, struct broker_compact, job);
    double ms = (double)(bc->pass->used - bc->used) * 1000 / broker_compact_rate(bc);
    ASSERT(bc->out && ms >= 0);
    bc->out = false;
    bc->resume_ms = bc->began_ms + (ms < 1 ? 0 : ms > 3600000 ? 3600000 : (int64_t)ms);
    int64_t rested_ms = broker_now(bc->broker) + broker_compact_rest(bc);
    bc->resume_ms = bc->resume_ms > rested_ms ? bc->resume_ms : rested_ms;
}

static void broker_compact_step(struct broker_compact *bc)
{
    ASSERT(!bc->out && !bc->swaps);
    bc->out = true;
    bc->began_ms = broker_now(bc->broker);
    bc->used = bc->pass->used;
    bc->rounds = bc->broker->counters.round_partitions;
    double piece = broker_compact_rate(bc) / BROKER_COMPACT_PIECES;
    bc->piece = piece > BROKER_COMPACT_PIECE       ? BROKER_COMPACT_PIECE
                : piece < BROKER_COMPACT_PIECE_MIN ? BROKER_COMPACT_PIECE_MIN
                                                   : (uint64_t)piece;
    bc->job = (struct work_job){.run = broker_compact_step_run,
                                .note = {.done = broker_compact_step_done}};
    work_submit(bc->broker->env.work, &bc->job);
}

static void broker_compact_swapped(struct part_swap *s, int result)
{
    struct broker_compact *bc = s->ctx;
    ASSERT(bc->swaps && bc->pass != NULL);
    bc->swaps = false;
    compact_swapped(bc->pass, result);
}

static void broker_compact_ask(struct broker_compact *bc)
{
    struct part_swap *s = compact_swap(bc->pass);
    ASSERT(bc->bpart->state == BPART_ONLINE && !bc->swaps);
    s->done = broker_compact_swapped;
    s->ctx = bc;
    bc->swaps = true;
    part_swap(bc->bpart->part, s);
    bpart_due(bc->bpart);
}

/* The pass is wanted no more. */
static bool broker_compact_unwanted(const struct broker_compact *bc)
{
    const struct bpart *p = bc->bpart;
    ASSERT(p != NULL);
    return bc->broker->stopping || p->state != BPART_ONLINE || p->part->failed != 0 ||
           !p->topic->limits.compacted;
}

static void broker_compact_withdraw(struct broker_compact *bc)
{
    if (bc->swaps) {
        part_swap_cancel(bc->bpart->part);
        broker_compact_swapped(&bc->pass->swap, COMPACT_CANCELLED);
    }
    ASSERT(!bc->swaps);
    if (bc->pass->phase == COMPACT_END)
        return;
    compact_cancel(bc->pass);
    broker_compact_step(bc); /* removes its files */
}

static void broker_compact_go(struct broker_compact *bc)
{
    struct bpart *p = bc->bpart;
    ASSERT(p->part != NULL);
    if (bc->out || p->part->swapping)
        return;
    if (broker_compact_unwanted(bc) && !bc->pass->cancelled)
        broker_compact_withdraw(bc);
    if (bc->out)
        return;
    if (bc->pass->phase == COMPACT_END)
        broker_compact_end(bc);
    else if (bc->swaps)
        bpart_due(p);
    else if (broker_compact_held(bc))
        return; /* the snapshot's end is a turn of its own */
    else if (bc->pass->phase == COMPACT_SWAP)
        broker_compact_ask(bc);
    else if (broker_now(bc->broker) >= bc->resume_ms)
        broker_compact_step(bc);
}

void broker_compact_run(struct broker_compact *bc)
{
    struct broker *b = bc->broker;
    ASSERT((bc->pass != NULL) == (bc->bpart != NULL));
    if (b->dead)
        return;
    if (bc->pass != NULL)
        broker_compact_go(bc);
    bool enabled = config_bool(b->env.config, CONFIG_CLEANER_ENABLE);
    if (bc->pass == NULL && enabled && !b->stopping && broker_now(b) >= bc->look_ms) {
        broker_compact_look(bc);
        if (bc->pass != NULL)
            broker_compact_go(bc);
    }
}
