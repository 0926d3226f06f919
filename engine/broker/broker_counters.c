/* SPDX-License-Identifier: MIT
 *
 * broker_counters: see broker_counters.h.
 */
#include "engine/broker/broker_counters.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_groups_priv.h"
#include "engine/broker/broker_mend.h"

void broker_counters_check(const struct bpart_counters *c)
{
    ASSERT(c->mark_count <= BPART_MARKS);
    ASSERT(c->batches_in <= c->records_in);
    for (unsigned i = 1; i < c->mark_count; i++) {
        ASSERT(c->marks[i].offset <= c->marks[i - 1].offset);
        ASSERT(c->marks[i].ms <= c->marks[i - 1].ms);
    }
}

static struct bpart_counters *broker_counters_of(struct bpart *p)
{
    ASSERT(p->broker != NULL);
    if (p->counters == NULL)
        p->counters = assert_memory(calloc(1, sizeof *p->counters), sizeof *p->counters);
    return p->counters;
}

/* The append before this one was the last of what lies below `offset`. */
static void broker_counters_mark(struct bpart_counters *c, const struct broker_counters *b,
                                 int64_t offset, int64_t now_ms)
{
    int64_t until_ms = c->appended_ms != 0 ? c->appended_ms : b->opened_ms;
    ASSERT(b->stuck_ms > 0);
    ASSERT(c->mark_count <= BPART_MARKS);
    if (c->mark_count > 0 && (now_ms < c->appended_ms || offset < c->marks[0].offset)) {
        c->mark_count = 0; /* the clock was set back, or a full disk took offsets back */
        return;
    }
    if (c->mark_count > 0 && now_ms - c->marked_ms < b->stuck_ms / (BPART_MARKS - 1))
        return;
    for (unsigned i = BPART_MARKS - 1; i > 0; i--)
        c->marks[i] = c->marks[i - 1];
    c->marks[0].offset = offset;
    c->marks[0].ms = until_ms;
    c->marked_ms = now_ms;
    c->mark_count += c->mark_count < BPART_MARKS;
}

void broker_counters_append(struct bpart *p, int64_t base_offset, size_t records, size_t size,
                            int64_t now_ms)
{
    struct bpart_counters *c = broker_counters_of(p);
    ASSERT(records > 0 && size > 0);
    c->batches_in++;
    c->records_in += records;
    c->size_in += size;
    broker_counters_mark(c, &p->broker->counters, base_offset, now_ms);
    c->appended_ms = now_ms;
    ASSERT(c->batches_in <= c->records_in);
}

void broker_counters_fetch(struct bpart *p, int64_t records, size_t size)
{
    struct bpart_counters *c = broker_counters_of(p);
    ASSERT(records > 0);
    ASSERT(size > 0);
    c->fetches++;
    c->records_out += (uint64_t)records;
    c->size_out += size;
}

void broker_counters_init(struct broker *b)
{
    ASSERT(b->counters.opened_ms == 0);
    b->counters.opened_ms = broker_wall(b);
    b->counters.stuck_ms = config_i64(b->env.config, CONFIG_GROUP_STUCK_MS);
    ASSERT(b->counters.stuck_ms > 0);
}

void broker_counters(const struct broker *b, struct broker_counters *out)
{
    const struct list *end = &b->loads;
    ASSERT(out != NULL);
    *out = b->counters;
    out->in_flight_size = b->in_flight_size;
    out->loading = b->loading + (end->next != end);
    out->damaged = broker_mend_damaged(broker_mend_of((struct broker *)(uintptr_t)b));
    out->jobs = b->env.work->pending;
    out->disk_size = b->space.total_size;
    out->stopping = b->stopping;
    out->dead = b->dead;
    ASSERT(b->groups != NULL);
    memcpy(out->rebalances, b->groups->engine->rebalances_by_cause, sizeof out->rebalances);
}

/* Where the partition ended at least stuck_ms ago. */
static int64_t broker_counters_old_end(const struct bpart *p, int64_t now_ms)
{
    const struct broker_counters *b = &p->broker->counters;
    const struct bpart_counters *c = p->counters;
    int64_t until_ms = now_ms - b->stuck_ms;
    ASSERT(p->part != NULL);
    ASSERT(b->stuck_ms > 0);
    if (b->opened_ms > until_ms)
        return p->part->log_start;
    if (c == NULL || c->appended_ms <= until_ms)
        return bpart_visible(p);
    for (unsigned i = 0; i < c->mark_count; i++)
        if (c->marks[i].ms <= until_ms)
            return c->marks[i].offset;
    return p->part->log_start; /* the clock was set back: nothing is known */
}

int broker_partition_counters(const struct broker *b, struct slice topic, int32_t partition,
                              struct broker_partition_counters *out)
{
    struct topic *t = broker_find_topic(b, topic);
    const struct bpart *p = t == NULL || t->deleting ? NULL : broker_find_part(t, partition);
    ASSERT(out != NULL);
    if (p == NULL)
        return 1;
    *out = (struct broker_partition_counters){.old_end = -1, .failed = p->state == BPART_FAILED};
    if (p->counters != NULL)
        out->sums = *p->counters;
    if (p->part != NULL)
        out->old_end = broker_counters_old_end(p, broker_wall(b));
    ASSERT(out->old_end >= -1);
    return 0;
}
