/* SPDX-License-Identifier: MIT
 *
 * broker_retention: records that are older than retention.ms, or beyond retention.bytes, go.
 *
 *   opened, first record, config change -> due (a heap by monotonic time) -> broker_retain:
 *     a segment expired as a whole       -> a trim, that is a round, which removes it
 *     the oldest record is too old       -> a worker looks up the first one that is not; the log
 *                                           start moves there inside the first segment
 *     neither                            -> due again when the first of them comes to be
 *
 * So an idle partition costs nothing before its time, and one that is written is looked at when its
 * oldest record comes of age, or when retention.bytes is reached, which each round compares. Limits
 * make segments end early (broker_retention_limits), because only whole ones go from disk.
 *
 * What is old is judged by wall time. When that jumps, the times of appends move with it; when it
 * jumps by more than an hour, nothing goes before log.retention.check.interval.ms have passed with
 * the new time: a wrong clock that is soon corrected deletes nothing.
 *
 * Partitions that are not open are opened for their first look soon after the start, later at each
 * check interval.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

#define BROKER_CLOCK_SHIFT_MS   1000
#define BROKER_CLOCK_JUMP_MS    3600000
#define BROKER_RETAIN_START_MS  5000 /* the first look behind a start */
#define BROKER_RETAIN_STEP_MS   1000 /* a partition is not looked at more often, */
#define BROKER_RETAIN_STEP_MAX  10000
#define BROKER_RETAIN_STEPS     256 /* nor than this often in its retention.ms */
#define BROKER_RETAIN_TURN      256 /* partitions in one turn */
#define BROKER_RETAIN_TELL_MS   60000
#define BROKER_ROLL_TIMES       32 /* segments in retention.ms */
#define BROKER_ROLL_TIMES_SMALL 4
#define BROKER_ROLL_SIZES       8 /* and in retention.bytes */
#define BROKER_ROLL_SIZE_MIN    (1u << 20)
#define BROKER_BURY_SIZE        (16u << 20) /* unlinking that takes milliseconds */

static int64_t broker_retain_share(int64_t all, int64_t pieces, int64_t least)
{
    ASSERT(all >= 0 && pieces > 0);
    return all / pieces > least ? all / pieces : least;
}

void broker_retention_limits(struct topic_limits *l)
{
    int64_t ms = l->expires ? l->retention_ms : -1;
    int64_t size = l->expires ? l->retention_size : -1;
    ASSERT(ms >= -1 && size >= -1);
    l->part.bury_size = l->delete_delay_ms > 0 ? 1 : BROKER_BURY_SIZE;
    l->part.roll_ms = ms >= 0 ? broker_retain_share(ms, BROKER_ROLL_TIMES, 1000) : 0;
    l->part.roll_small_ms = ms >= 0 ? broker_retain_share(ms, BROKER_ROLL_TIMES_SMALL, 1000) : 0;
    l->part.roll_size =
        size >= 0 ? (uint64_t)broker_retain_share(size, BROKER_ROLL_SIZES, BROKER_ROLL_SIZE_MIN)
                  : 0;
}

static int64_t broker_retain_add(int64_t a, int64_t b)
{
    ASSERT(a >= 0 && b >= 0);
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* The least time between two looks at a partition. */
static int64_t broker_retain_step(const struct topic *t)
{
    int64_t ms = t->limits.retention_ms;
    int64_t step = broker_retain_share(ms > 0 ? ms : 0, BROKER_RETAIN_STEPS, BROKER_RETAIN_STEP_MS);
    ASSERT(step >= BROKER_RETAIN_STEP_MS);
    return step < BROKER_RETAIN_STEP_MAX ? step : BROKER_RETAIN_STEP_MAX;
}

/* Retention has a say here. */
static bool broker_retain_may(const struct bpart *p)
{
    const struct topic *t = p->topic;
    ASSERT(p->state != BPART_ONLINE || p->part != NULL);
    return p->state == BPART_ONLINE && t != NULL && t->limits.expires && !t->deleting &&
           p->part->failed == 0 && bpart_leads(p);
}

void broker_retention_forget(struct bpart *p)
{
    ASSERT(p->broker != NULL);
    heap_remove(&p->broker->retention.due, &p->retain);
    if (list_linked(&p->asks))
        list_remove(&p->asks);
}

/* --- when --- */

/* There was none to be found by its time, but more has been written since. */
static bool broker_retain_outdated(const struct bpart *p)
{
    ASSERT(p->part != NULL);
    return p->oldest_ms == INT64_MAX && p->oldest_at == p->part->log_start &&
           p->asked != p->part->appended;
}

/* The time of the record at the log start; -1 unknown, INT64_MAX: by its time it never goes. */
static int64_t broker_retain_first(const struct bpart *p, const struct part_oldest *o)
{
    ASSERT(p->part->log_start < o->end);
    if (broker_retain_outdated(p))
        return -1;
    return p->oldest_ms >= 0 && p->oldest_at == p->part->log_start ? p->oldest_ms : o->first_ms;
}

/* The next look, not before `least` ms from now. */
static void broker_retain_arm(struct bpart *p, int64_t least)
{
    struct broker *b = p->broker;
    int64_t keep = p->topic->limits.retention_ms, size = p->topic->limits.retention_size;
    int64_t wall = broker_wall(b), due = INT64_MAX;
    struct part_oldest o;
    ASSERT(broker_retain_may(p) && least >= 0);
    if (keep >= 0 && part_oldest(p->part, &o)) {
        int64_t first = broker_retain_first(p, &o);
        first = first < o.newest_ms ? first : o.newest_ms;
        due = first < 0 ? wall : broker_retain_add(broker_retain_add(first, keep), 1);
    }
    if (size >= 0)
        p->retain_at = p->part->appended + part_room(p->part, (uint64_t)size);
    if (due == INT64_MAX) {
        heap_remove(&b->retention.due, &p->retain);
        return;
    }
    int64_t wait = due > wall && due - wall > least ? due - wall : least;
    heap_set(&b->retention.due, &p->retain, broker_retain_add(broker_now(b), wait));
}

void broker_retention_look(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    if (broker_retain_may(p))
        heap_set(&p->broker->retention.due, &p->retain, broker_now(p->broker));
    else
        broker_retention_forget(p);
}

void broker_retention_wrote(struct bpart *p)
{
    ASSERT(p->part != NULL);
    if (!broker_retain_may(p))
        return;
    const struct topic_limits *l = &p->topic->limits;
    bool armed = p->retain.slot > 0;
    if (l->retention_size >= 0 && p->part->appended >= p->retain_at)
        broker_retention_look(p);
    else if (l->retention_ms < 0 || list_linked(&p->asks))
        return;
    else if (!armed || (p->trimming >= 0 && p->part->trim_to < 0)) /* something else is first now */
        broker_retain_arm(p, 0);
    else if (broker_retain_outdated(p) &&
             p->retain.at > broker_now(p->broker) + broker_retain_step(p->topic))
        broker_retain_arm(p, broker_retain_step(p->topic));
}

/* --- inside the first segment --- */

static void broker_retain_ask(struct broker *b);

static void broker_retain_asked(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_retention *r = LIST_ENTRY(job, struct broker_retention, job);
    struct bpart *p = r->bpart;
    const struct query *q = &r->query;
    ASSERT(p != NULL && p->jobs > 0);
    p->jobs--;
    r->bpart = NULL;
    bool good = broker_retain_may(p) && q->result == 0 && !query_stale(q, p->part);
    bool found = good && q->offset >= 0 && !q->stepped; /* no start behind what may be young */
    if (found && q->passed) /* else it is only the first that compaction left */
        part_advance(p->part, q->offset);
    if (good) {
        bool there = q->offset == p->part->log_start;
        p->oldest_at = p->part->log_start;
        p->asked = r->appended;
        p->oldest_ms = !found ? INT64_MAX : there || !q->passed ? q->found_timestamp : -1;
    }
    if (broker_retain_may(p) && p->retain.slot == 0)
        broker_retain_arm(p, broker_retain_step(p->topic));
    query_deinit(&r->query);
    if (!p->broker->stopping && !p->broker->dead)
        broker_retain_ask(p->broker);
}

static void broker_retain_ask_run(struct work_job *job)
{
    struct broker_retention *r = LIST_ENTRY(job, struct broker_retention, job);
    ASSERT(r->bpart != NULL);
    query_run(&r->query);
}

static int64_t broker_retain_older_than(const struct bpart *p)
{
    int64_t keep = p->topic->limits.retention_ms, wall = broker_wall(p->broker);
    ASSERT(keep >= -1 && wall >= 0);
    return keep >= 0 && wall > keep ? wall - keep : -1;
}

/* Asks for the next partition, one at a time: nobody waits for the answer. */
static void broker_retain_ask(struct broker *b)
{
    struct broker_retention *r = &b->retention;
    while (r->bpart == NULL && !list_empty(&r->asking)) {
        struct bpart *p = LIST_ENTRY(list_pop(&r->asking), struct bpart, asks);
        struct part_oldest o;
        int64_t older_than = broker_retain_may(p) ? broker_retain_older_than(p) : -1;
        ASSERT(p->broker == b);
        if (older_than < 0 || !part_oldest(p->part, &o))
            continue;
        query_init(&r->query, p->part, older_than, bpart_visible(p));
        r->query.count = o.slot + 1;
        bool all = r->query.bound == p->part->reserved;
        r->appended = p->part->appended - !all; /* what is on its way is not looked at */
        r->bpart = p;
        p->jobs++;
        r->job =
            (struct work_job){.run = broker_retain_ask_run, .note = {.done = broker_retain_asked}};
        work_submit(b->env.work, &r->job);
    }
}

/* --- one partition --- */

static void broker_retain_tell(struct bpart *p, int64_t to)
{
    int64_t now = broker_now(p->broker);
    ASSERT(to > p->part->log_start);
    if (p->told_ms > 0 && now < p->told_ms + BROKER_RETAIN_TELL_MS)
        return;
    p->told_ms = now > 0 ? now : 1;
    broker_log(p->broker, 0, "retention: %s-%d begins at %lld now (was %lld)", p->topic->name,
               p->index, (long long)to, (long long)p->part->log_start);
}

static void broker_retain(struct bpart *p)
{
    if (!broker_retain_may(p))
        return;
    struct part_oldest o;
    struct part_retention q = {.retention_size = p->topic->limits.retention_size,
                               .older_than_ms = broker_retain_older_than(p)};
    int64_t to = part_expired(p->part, &q);
    ASSERT(to >= p->part->log_start);
    if (to > p->part->log_start && to > p->part->trim_to) {
        broker_retain_tell(p, to);
        part_trim(p->part, to);
        ASSERT(p->part->trim_to >= to);
        bpart_due(p);
    } else if (q.older_than_ms >= 0 && part_oldest(p->part, &o) &&
               broker_retain_first(p, &o) < q.older_than_ms && !list_linked(&p->asks)) {
        list_add_tail(&p->broker->retention.asking, &p->asks);
        return;
    }
    broker_retain_arm(p, broker_retain_step(p->topic));
}

/* --- all of them --- */

static void broker_retain_clock_moved(struct broker *b, int64_t ms)
{
    ASSERT(ms != 0);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->state != BPART_ONLINE)
                continue;
            part_shift_clock(p->part, ms);
            broker_retention_look(p);
        }
}

/* Wall time moved otherwise than monotonic time. */
static void broker_retain_watch_clock(struct broker *b)
{
    int64_t shift = broker_wall(b) - broker_now(b), jump = shift - b->clock_shift_ms;
    ASSERT(!b->stopping);
    if (jump > -BROKER_CLOCK_SHIFT_MS && jump < BROKER_CLOCK_SHIFT_MS)
        return;
    b->clock_shift_ms = shift;
    broker_retain_clock_moved(b, jump);
    if (jump > -BROKER_CLOCK_JUMP_MS && jump < BROKER_CLOCK_JUMP_MS)
        return;
    int64_t check_ms = config_i64(b->env.config, CONFIG_RETENTION_CHECK_MS);
    b->retention.hold_ms = broker_retain_add(broker_now(b), check_ms);
    broker_log(b, 1, "the wall clock jumped by %lld s: retention waits for the next check",
               (long long)(jump / 1000));
}

/* Opens what is not open: something in it may be old. */
static void broker_retain_open(struct broker *b)
{
    for (size_t i = 0; i < b->topic_count; i++) {
        struct topic *t = b->sorted[i];
        ASSERT(t->revision >= 0);
        for (int32_t k = 0; t->limits.expires && !t->deleting && k < t->record.partitions; k++)
            if (t->parts[k]->state != BPART_ONLINE)
                bpart_load_later(t->parts[k]);
    }
}

void broker_retention_init(struct broker *b)
{
    int64_t check_ms = config_i64(b->env.config, CONFIG_RETENTION_CHECK_MS);
    ASSERT(check_ms > 0);
    b->clock_shift_ms = broker_wall(b) - broker_now(b);
    b->next_retention_ms =
        broker_now(b) + (check_ms < BROKER_RETAIN_START_MS ? check_ms : BROKER_RETAIN_START_MS);
}

void broker_retention_run(struct broker *b)
{
    int64_t now = broker_now(b), check_ms = config_i64(b->env.config, CONFIG_RETENTION_CHECK_MS);
    ASSERT(!b->stopping && check_ms > 0);
    broker_retain_watch_clock(b);
    if (now < b->retention.hold_ms)
        return;
    if (broker_due(&b->next_retention_ms, now, check_ms))
        broker_retain_open(b);
    for (unsigned i = 0; i < BROKER_RETAIN_TURN; i++) {
        struct heap_node *n = heap_pop_due(&b->retention.due, now);
        if (n == NULL)
            break;
        broker_retain(HEAP_ENTRY(n, struct bpart, retain));
    }
    broker_retain_ask(b);
}

int64_t broker_retention_next(const struct broker *b)
{
    const struct heap_node *n = heap_first(&b->retention.due);
    int64_t next = b->next_retention_ms;
    ASSERT(n == NULL || n->slot == 1);
    next = n != NULL && n->at < next ? n->at : next;
    return next > b->retention.hold_ms ? next : b->retention.hold_ms;
}
