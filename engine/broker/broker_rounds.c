/* SPDX-License-Identifier: MIT
 *
 * broker_rounds: turns the due lists into write rounds. At most one round that syncs and one that
 * does not are out at a time: what arrives meanwhile gathers for the next, which is the group
 * commit.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_priv.h"

bool broker_rounds_out(const struct broker *b)
{
    return b->rounds[0].out || b->rounds[1].out;
}

static struct bpart *broker_round_bpart(struct part *p)
{
    ASSERT(p->owner != NULL);
    ASSERT(((struct bpart *)p->owner)->part == p);
    return p->owner;
}

static int64_t broker_round_now_us(const struct broker *b)
{
    ASSERT(b->env.clock != NULL);
    return b->env.clock->mono_us(b->env.clock);
}

static void broker_round_count(const struct broker_round *br)
{
    struct broker_counters *c = &br->broker->counters;
    int64_t now_us = broker_round_now_us(br->broker);
    ASSERT(now_us >= br->began_us);
    ASSERT(br->round.count > 0);
    tally_add(&c->rounds[br->round.sync], now_us - br->began_us);
    if (br->round.sync)
        tally_add(&c->syncs, br->round.sync_us);
}

static void broker_round_staged(struct round *r, enum part_stage stage, int fatal)
{
    struct broker_round *br = LIST_ENTRY(r, struct broker_round, round);
    struct broker *b = br->broker;
    ASSERT(br->out && br == &b->rounds[r->sync]);
    ASSERT(fatal <= 0);
    if (stage != PART_STAGE_FINISHED)
        return;
    br->out = false;
    broker_round_count(br);
    if (fatal < 0)
        broker_fatal(b, "a write or sync in the data folder failed", fatal);
}

/* The round wrote what it had, but its trim or recovery point found no space: trying again at once
 * would go round and round. */
static bool broker_round_stuck(const struct bpart *bp, const struct part *p)
{
    ASSERT(p->round == NULL);
    bool trim = p->trim_to >= 0 && p->trim_to == bp->trimming;
    return p->pending_count == 0 && (trim || (p->want_checkpoint && bp->checkpointing));
}

/* After each stage of a partition: consumers may see more, and more may be due. */
static void broker_round_part_done(struct part *p, enum part_stage stage, int result)
{
    struct bpart *bp = broker_round_bpart(p);
    struct broker *b = bp->broker;
    ASSERT(bp->state == BPART_ONLINE || bp->state == BPART_GONE);
    broker_fetch_wake(b, bp);
    bpart_advanced(bp);
    broker_follow_advanced(bp);
    if (stage != PART_STAGE_FINISHED)
        return;
    ASSERT(bp->jobs > 0);
    ASSERT(p->round == NULL);
    bp->jobs--;
    bp->on_disk = bp->on_disk || p->exists;
    if (result == IO_FULL && !b->disk_full) {
        b->disk_full = true;
        broker_log(b, 2,
                   "disk full: produce is refused until there is space; reads and retention "
                   "go on");
        b->next_space_ms = broker_now(b) + 1000;
    }
    if (bp->flush && !p->dirty)
        bp->flush = false;
    broker_trim_done(b, bp);
    if (p->buried_count > 0)
        broker_bury(bp);
    broker_retention_wrote(bp);
    if (result == IO_FULL || (result == 0 && broker_round_stuck(bp, p)))
        b->stuck = true;
    else if (result == 0)
        bpart_due(bp);
}

/* Followers read up to the written end: their disks sync while ours does. */
static bool broker_round_is_shipped(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->part != NULL);
    ASSERT(r == NULL || r->set.follower_count < REPLICA_COUNT_MAX);
    return r != NULL && r->leading && r->set.follower_count > 0;
}

static void broker_round_start(struct broker *b, unsigned sync)
{
    ASSERT(sync <= 1);
    struct broker_round *br = &b->rounds[sync];
    size_t max = b->store.writer_max;
    if (br->out || list_empty(&b->due[sync]))
        return;
    struct list later;
    list_init(&later);
    round_init(&br->round, b->io, sync == 1);
    br->round.staged = broker_round_staged;
    br->round.part_done = broker_round_part_done;
    br->round.clock = b->env.clock;
    br->broker = b;
    while (br->round.count < max && !list_empty(&b->due[sync])) {
        struct bpart *p = LIST_ENTRY(list_pop(&b->due[sync]), struct bpart, due);
        ASSERT(p->broker == b && p->state == BPART_ONLINE);
        if (p->part == NULL)
            continue;
        if (p->part->round != NULL) { /* still in a round of the other kind */
            list_add_tail(&later, &p->due);
            continue;
        }
        if (!part_round_due(p->part, p->flush))
            continue;
        p->part->owner = p;
        p->trimming = p->part->trim_to;
        p->checkpointing = p->part->want_checkpoint;
        p->jobs++;
        br->round.tells_written = br->round.tells_written || broker_round_is_shipped(p);
        round_add(&br->round, p->part, broker_wall(b));
    }
    list_splice(&b->due[sync], &later);
    if (br->round.count == 0)
        return;
    br->out = true;
    br->began_us = broker_round_now_us(b);
    b->counters.round_partitions += br->round.count;
    ASSERT(br->round.count <= max);
    round_submit(&br->round, b->env.work);
}

void broker_start_rounds(struct broker *b)
{
    ASSERT(b->rounds[0].broker == b && b->rounds[1].broker == b);
    if (b->dead)
        return;
    broker_round_start(b, 1);
    broker_round_start(b, 0);
}
