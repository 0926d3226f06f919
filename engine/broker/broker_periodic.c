/* SPDX-License-Identifier: MIT
 *
 * broker_periodic: what happens by the clock: retention and what it leaves to remove (files of
 * their own), producers expire, written bytes of durability=os topics are synced, free space is
 * watched, the view follows.
 *
 * All of it runs on monotonic time; wall time only judges how old records and producers are.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

#define BROKER_SPACE_MS        2000
#define BROKER_SPACE_FULL_MS   500
#define BROKER_EXPIRE_MS       600000
#define BROKER_RESERVE_MAX     (2ull << 30)
#define BROKER_RESERVE_PERCENT 5

/* --- producers --- */

static void broker_expire_producers(struct broker *b)
{
    ASSERT(!b->stopping);
    int64_t before = broker_wall(b) - config_i64(b->env.config, CONFIG_PRODUCER_EXPIRE_MS);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct part *p = b->sorted[i]->parts[k]->part;
            if (p != NULL && p->round == NULL && p->pending_count == 0)
                producers_expire(&p->producers, before);
        }
}

/* --- durability=os --- */

static void broker_flush_topic(struct topic *t)
{
    for (int32_t i = 0; i < t->record.partitions; i++) {
        struct bpart *p = t->parts[i];
        if (p->part == NULL || !p->part->dirty)
            continue;
        ASSERT(p->state == BPART_ONLINE || p->state == BPART_GONE);
        p->flush = true;
        if (list_linked(&p->due)) /* to the rounds that sync */
            list_remove(&p->due);
        bpart_due(p);
    }
}

/* A topic's own interval (flush.ms) counts where it is shorter than the broker's. */
static void broker_flush(struct broker *b, int64_t now, int64_t interval)
{
    ASSERT(interval > 0);
    if (now < b->next_flush_ms && b->next_flush_ms <= now + interval)
        return;
    b->next_flush_ms = now + interval;
    for (size_t i = 0; i < b->topic_count; i++) {
        struct topic *t = b->sorted[i];
        int64_t every = t->limits.flush_ms < interval ? t->limits.flush_ms : interval;
        if (now >= t->next_flush_ms || t->next_flush_ms > now + interval) {
            broker_flush_topic(t);
            t->next_flush_ms = now + (every > 0 ? every : 1);
        }
        if (t->next_flush_ms < b->next_flush_ms)
            b->next_flush_ms = t->next_flush_ms;
    }
}

/* --- space --- */

static uint64_t broker_reserve(const struct broker *b, uint64_t total)
{
    int64_t set = config_i64(b->env.config, CONFIG_DISK_RESERVE_BYTES);
    ASSERT(set >= -1);
    if (set >= 0)
        return (uint64_t)set;
    uint64_t share = total / 100 * BROKER_RESERVE_PERCENT;
    ASSERT(share <= total);
    return share < BROKER_RESERVE_MAX ? share : BROKER_RESERVE_MAX;
}

static void broker_space_judge(struct broker *b)
{
    ASSERT(!b->space.out);
    uint64_t reserve = broker_reserve(b, b->space.total_size);
    bool full = b->space.free_size < reserve || b->space.free_size == 0;
    if (full && !b->disk_full)
        broker_log(b, 2,
                   "disk nearly full: %llu MiB free, disk.reserve.bytes keeps %llu MiB; produce "
                   "is refused, reads and retention go on",
                   (unsigned long long)(b->space.free_size >> 20),
                   (unsigned long long)(reserve >> 20));
    if (!full && b->disk_full)
        broker_log(b, 0, "disk space is back: %llu MiB free; produce is accepted again",
                   (unsigned long long)(b->space.free_size >> 20));
    b->disk_full = full;
}

/* Tries again what failed for lack of space: trims and recovery points. */
static void broker_unstick(struct broker *b)
{
    ASSERT(!b->space.out);
    if (!b->stuck)
        return;
    b->stuck = false;
    bpart_due(&b->meta_part);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            bpart_due(b->sorted[i]->parts[k]);
}

static void broker_space_run(struct work_job *job)
{
    struct broker_space *s = LIST_ENTRY(job, struct broker_space, job);
    ASSERT(s->out && s->broker != NULL);
    s->result = io_space(s->broker->io, s->broker->dir, &s->free_size, &s->total_size);
}

static void broker_space_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_space *s = LIST_ENTRY(job, struct broker_space, job);
    ASSERT(s->out);
    ASSERT(s == &s->broker->space);
    s->out = false;
    if (s->result == 0)
        broker_space_judge(s->broker);
    broker_unstick(s->broker);
}

void broker_check_space(struct broker *b)
{
    struct broker_space *s = &b->space;
    ASSERT(!s->out);
    if (io_space(b->io, b->dir, &s->free_size, &s->total_size) == 0)
        broker_space_judge(b);
}

static void broker_watch_space(struct broker *b)
{
    ASSERT(!b->dead);
    struct broker_space *s = &b->space;
    if (s->out)
        return;
    s->out = true;
    s->broker = b;
    s->job = (struct work_job){.run = broker_space_run, .note = {.done = broker_space_done}};
    work_submit(b->env.work, &s->job);
}

/* --- all of it --- */

bool broker_due(int64_t *next, int64_t now, int64_t every)
{
    ASSERT(every > 0);
    ASSERT(next != NULL && now >= 0);
    if (*next > now + every) /* the interval became shorter */
        *next = now + every;
    if (now < *next)
        return false;
    *next = now + every;
    return true;
}

void broker_periodic(struct broker *b)
{
    ASSERT(!b->stopping && !b->dead);
    ASSERT(b->coord != NULL);
    int64_t now = broker_now(b);
    const struct config *c = b->env.config;
    int64_t flush_ms = config_i64(c, CONFIG_FLUSH_INTERVAL_MS);
    broker_retention_run(b);
    if (broker_due(&b->next_expire_ms, now, BROKER_EXPIRE_MS))
        broker_expire_producers(b);
    broker_flush(b, now, flush_ms > 0 ? flush_ms : 1);
    if (broker_due(&b->next_space_ms, now, b->disk_full ? BROKER_SPACE_FULL_MS : BROKER_SPACE_MS))
        broker_watch_space(b);
    if (coord_view_due(b->coord) && !b->dead && !broker_groups_view_busy(b->groups) &&
        !broker_compact_view_busy(b->compact))
        coord_view_commit(b->coord, b->env.work);
    broker_groups_view(b->groups, false);
    broker_compact_view(b->compact);
    broker_node_periodic(b);
    if (!b->disk_full && coord_tidy_due(b->coord))
        coord_tidy(b->coord, broker_wall(b));
    int error = coord_view_error(b->coord);
    if (error == 0)
        error = broker_groups_view_error(b->groups);
    if (error != 0)
        broker_log(b, 1,
                   "the LMDB view could not be written (%s): going on without; it is rebuilt "
                   "from the logs at the next start",
                   error == META_FULL ? "full" : error_text(error));
    bpart_load_some(b);
}

int64_t broker_periodic_next(const struct broker *b)
{
    int64_t next = broker_retention_next(b);
    int64_t all[] = {b->next_expire_ms, b->next_flush_ms, b->next_space_ms};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        next = all[i] < next ? all[i] : next;
    ASSERT(next >= 0);
    return next;
}
