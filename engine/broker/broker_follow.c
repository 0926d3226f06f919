/* SPDX-License-Identifier: MIT
 *
 * broker_follow: the follower: registers with the leader, mirrors its records, pulls.
 *
 *   REGISTER -> broker epoch -> RECORDS (all, then what changes) -> written down here -> applied
 *                            -> PULL, several at a time, each for other partitions
 *
 *   one partition:
 *        .------------------- next turn -----------------------------.
 *        v                                                           |
 *      READY --in a pull--> ASKED --answered--> appended, or no news -'
 *        ^                    |--parts from the leader's log--> CUTTING --reopened--> READY
 *        '----- a while ----- WAIT <--refused, loading, no space
 *                             '--would be cut below its high watermark--> FENCED (told, left alone)
 *
 * When the broker stops it ends its registration, so that nobody waits for it.
 *
 * A partition with news lately is asked for in a pull of its like (hot), so that an answer for one
 * busy partition does not carry thousands of idle ones to and fro. How far the disk is goes along
 * with the next pull of the partition; while none is to be sent, in one of its own that wants
 * nothing.
 *
 * Invariants: F1 at most one entry that wants bytes is under way per partition; F2 an answer is
 * taken only in the term, the leader epoch and at the offset it was asked for; F3 what is told as
 * durable is; the epoch reached is written down before it is told; F4 no cut goes below the high
 * watermark.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_follow_priv.h"
#include "engine/broker/broker_trouble.h"

#define BROKER_FOLLOW_LOST     3 /* calls without an answer, then the leader is sought */
#define BROKER_FOLLOW_SIZE_MAX (8u << 20)
#define BROKER_FOLLOW_BYE_MS   1000 /* a stop waits no longer for the leader */

struct broker_follow *broker_follow_new(struct broker *b)
{
    struct broker_follow *f = calloc(1, sizeof *f);
    struct list *all[] = {&f->ready[0], &f->ready[1], &f->waiting, &f->advanced, &f->reaching};
    ASSERT(f != NULL && b != NULL);
    f->broker = b;
    f->broker_epoch = -1;
    f->retry_ms = INT64_MAX;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        list_init(all[i]);
    for (size_t i = 0; i < BROKER_FOLLOW_PULLS; i++)
        f->pulls[i].follow = f;
    f->progress.follow = f;
    return f;
}

static void broker_follow_pull_free(struct broker_follow_pull *p)
{
    ASSERT(!p->asked || p->follow->broker->dead);
    free(p->call.pull.entries);
    free(p->parts);
    free(p->appends);
}

struct broker_follow *broker_follow_free(struct broker_follow *f)
{
    if (f == NULL)
        return NULL;
    ASSERT(f->out == 0 || f->broker->dead); /* what is out is never answered */
    for (size_t i = 0; i < BROKER_FOLLOW_PULLS; i++)
        broker_follow_pull_free(&f->pulls[i]);
    broker_follow_pull_free(&f->progress);
    free(f->reach_parts);
    free(f->reach_epochs);
    cluster_pages_deinit(&f->pages);
    free(f);
    return NULL;
}

/* --- calls --- */

static void broker_follow_send(struct broker_follow *f, struct ship_call *call)
{
    struct ship_link *link = f->broker->env.ship;
    ASSERT(f->on && link != NULL);
    call->to = f->leader;
    call->term = f->term;
    call->broker_epoch = f->broker_epoch;
    f->out++;
    link->send(link->ctx, f->native, call);
}

static void broker_follow_release(struct broker_follow *f, struct ship_call *call)
{
    struct ship_link *link = f->broker->env.ship;
    ASSERT(link != NULL);
    link->release(link->ctx, call);
    ASSERT(call->done != NULL);
}

/* What every answer says of the leader. False: the answer is not to be looked at. */
static bool broker_follow_heard(struct broker_follow *f, const struct ship_call *call)
{
    ASSERT(f->term <= CLUSTER_TERM_MAX);
    ASSERT(f->out > 0);
    f->out--;
    if (!f->on || call->term != f->term || call->to != f->leader)
        return false;
    if (f->fetching && call->status != BROKER_OK) { /* its promise holds: ask again */
        f->retry_ms = broker_now(f->broker) + BROKER_FOLLOW_RETRY_MS;
        return false;
    }
    if (call->status == BROKER_OK) {
        f->lost = 0;
        return true;
    }
    if (call->status == BROKER_NOT_LEADER) {
        bool other = call->leader.id >= 0 && call->leader.id != f->leader;
        if (call->leader.term > f->term || (call->leader.term == f->term && other))
            broker_cluster_learn(f->broker->cluster, &call->leader);
        else
            broker_cluster_lost(f->broker->cluster);
        return false;
    }
    if (call->status == BROKER_STALE_BROKER) {
        f->broker_epoch = -1;
        f->mirrored = false;
        f->session++;
        return false;
    }
    if (call->status == BROKER_TIMED_OUT && ++f->lost >= BROKER_FOLLOW_LOST)
        broker_cluster_lost(f->broker->cluster);
    f->retry_ms = broker_now(f->broker) + BROKER_FOLLOW_RETRY_MS;
    return false;
}

/* --- registration --- */

/* The leader says that this broker was told to leave. A start that names the cluster brings it
 * back: it counts for nothing until it has caught up. */
static void broker_follow_left(struct broker_follow *f)
{
    struct broker *b = f->broker;
    bool back = b->env.seeds != NULL && b->env.seeds[0] != NULL;
    ASSERT(f->on && f->broker_epoch < 0);
    if (f->known || f->forgot || !back) {
        broker_cluster_leaves(b->cluster);
        return;
    }
    f->forgot = true;
    broker_log(b, 1, "this broker had left the cluster, and joins it again");
    broker_follow_forget_reached(f);
}

static void broker_follow_registered(struct ship_call *call)
{
    struct broker_follow *f = call->ctx;
    struct broker *b = f->broker;
    ASSERT(call->kind == SHIP_REGISTER);
    ASSERT(f->reg_out && call == &f->reg);
    f->reg_out = false;
    if (call->status == BROKER_DENIED || call->status == BROKER_BUSY)
        broker_trouble_tell(b, 2, "the leader at %.80s refuses this broker: %.150s", f->native,
                            call->message);
    if (call->status == BROKER_LEFT && f->on && call->term == f->term && call->to == f->leader) {
        f->out--;
        broker_follow_release(f, call);
        broker_follow_left(f);
        return;
    }
    if (broker_follow_heard(f, call)) {
        f->broker_epoch = call->reg.broker_epoch;
        f->known = true;
        broker_trouble_end(b);
        f->session++;
        f->since = -1;
        f->mirrored = false;
        broker_log(b, 0, "registered with the leader, broker %d at %s, term %u", f->leader,
                   f->native, f->term);
    } else if (call->status == BROKER_DENIED) {
        f->retry_ms = broker_now(b) + 10 * BROKER_FOLLOW_WAIT_MS;
    }
    broker_follow_release(f, call);
}

/* What this broker stands on. */
static void broker_follow_seat(struct broker *b, struct ship_register *out)
{
    int64_t told = -1;
    bool unclean = broker_node_unclean(b, &told) && told < 0; /* once told, it is in the records */
    *out = (struct ship_register){.unclean = unclean, .fresh = true};
    broker_node_self(b, &out->node);
    for (size_t i = 0; i < b->topic_count && out->fresh; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            out->fresh = out->fresh && (b->sorted[i]->parts[k]->replica == NULL ||
                                        b->sorted[i]->parts[k]->replica->reached == -1);
    ASSERT(out->node.id == b->node_id);
}

static void broker_follow_register(struct broker_follow *f)
{
    ASSERT(f->on && !f->fetching);
    ASSERT(!f->reg_out);
    broker_ship_fill(f->broker, &f->reg, SHIP_REGISTER);
    broker_follow_seat(f->broker, &f->reg.reg);
    f->reg.timeout_ms = 10000; /* it may have to leave in-sync sets first */
    f->reg.done = broker_follow_registered;
    f->reg.ctx = f;
    f->reg_out = true;
    broker_follow_send(f, &f->reg);
}

/* --- the end of it --- */

static void broker_follow_gone(struct ship_call *call)
{
    struct broker_follow *f = call->ctx;
    ASSERT(call->kind == SHIP_REGISTER && call->reg.goodbye);
    ASSERT(f->bye_out && call == &f->bye);
    f->bye_out = false;
    (void)broker_follow_heard(f, call);
    broker_follow_release(f, call);
}

void broker_follow_goodbye(struct broker_follow *f)
{
    ASSERT(f->broker->stopping);
    ASSERT(!f->bye_out);
    if (!f->on || f->fetching || f->broker_epoch < 0)
        return;
    broker_ship_fill(f->broker, &f->bye, SHIP_REGISTER);
    f->bye.reg = (struct ship_register){.goodbye = true};
    broker_node_self(f->broker, &f->bye.reg.node);
    f->bye.timeout_ms = BROKER_FOLLOW_BYE_MS;
    f->bye.done = broker_follow_gone;
    f->bye.ctx = f;
    f->bye_out = true;
    broker_follow_send(f, &f->bye);
}

/* --- records --- */

static void broker_follow_mirrored(struct broker_mirror *m, int result)
{
    struct broker_follow *f = m->ctx;
    struct broker *b = f->broker;
    ASSERT(m == &f->mirror);
    ASSERT(f->putting);
    f->putting = false;
    if (result != 0 || f->put_session != f->session) {
        cluster_pages_reset(&f->pages, f->since); /* all of it once more */
        f->retry_ms = broker_now(b) + BROKER_FOLLOW_RETRY_MS;
        return;
    }
    f->since = f->next_since;
    f->position = f->next_position;
    f->keep_ms = 0;
    broker_cluster_mirrored(b, f->term, f->next_position);
    if (!f->mirrored) {
        f->mirrored = true;
        if (f->reg.reg.unclean) /* what is written here now is newer than the strike */
            broker_node_told(b, f->broker_epoch);
        broker_follow_all(f);
    }
    broker_node_records(b);
}

static void broker_follow_write(struct broker_follow *f, const struct ship_records *in)
{
    struct coord_changes from = {0};
    ASSERT(in->records != NULL || in->count == 0);
    ASSERT(!f->putting);
    if (f->pages_session != f->session) /* of another leader, or registration */
        cluster_pages_reset(&f->pages, f->since);
    f->pages_session = f->session;
    int taken = cluster_pages_take(&f->pages, in);
    if (taken == CLUSTER_PAGES_MORE)
        return;
    if (taken != 0) {
        broker_log(f->broker, 2, "the leader's records are too large to be mirrored");
        cluster_pages_reset(&f->pages, -1);
        f->retry_ms = broker_now(f->broker) + 10 * BROKER_FOLLOW_WAIT_MS;
        return;
    }
    cluster_pages_changes(&f->pages, &from);
    f->next_since = in->revision;
    f->next_position = in->position;
    f->put_session = f->session;
    f->putting = true;
    f->mirror = (struct broker_mirror){.done = broker_follow_mirrored, .ctx = f};
    int r = broker_mirror(f->broker, &f->mirror, &from);
    coord_changes_deinit(&from);
    cluster_pages_reset(&f->pages, f->next_since);
    if (r != 0 && r != BROKER_MIRROR_SAME) /* they are asked for once more */
        cluster_pages_reset(&f->pages, f->since);
    if (r == 0)
        return;
    if (r == BROKER_MIRROR_BAD)
        broker_log(f->broker, 2, "the leader's records cannot be read: is it a newer version?");
    broker_follow_mirrored(&f->mirror, r == BROKER_MIRROR_SAME ? 0 : r);
}

static void broker_follow_recorded(struct ship_call *call)
{
    struct broker_follow *f = call->ctx;
    ASSERT(call->kind == SHIP_RECORDS);
    ASSERT(f->records_out && call == &f->records);
    f->records_out = false;
    if (broker_follow_heard(f, call) && call->broker_epoch == f->broker_epoch)
        broker_follow_write(f, &call->records);
    broker_follow_release(f, call);
}

static void broker_follow_records(struct broker_follow *f)
{
    ASSERT(f->broker_epoch >= 0);
    ASSERT(!f->records_out && !f->putting);
    broker_ship_fill(f->broker, &f->records, SHIP_RECORDS);
    if (f->pages_session != f->session)
        cluster_pages_reset(&f->pages, f->since);
    f->pages_session = f->session;
    f->records.records = (struct ship_records){0};
    cluster_pages_ask(&f->pages, &f->records.records);
    f->records.records.max_wait_ms = BROKER_FOLLOW_WAIT_MS;
    f->records.timeout_ms = 3 * BROKER_FOLLOW_WAIT_MS;
    f->records.done = broker_follow_recorded;
    f->records.ctx = f;
    f->records_out = true;
    broker_follow_send(f, &f->records);
}

/* --- pulls --- */

void broker_follow_pull_end(struct broker_follow_pull *pull)
{
    ASSERT(pull->follow != NULL);
    ASSERT(pull->out);
    if (pull->asked || pull->appending > 0)
        return;
    broker_follow_release(pull->follow, &pull->call);
    pull->out = false;
}

static void broker_follow_pulled(struct ship_call *call)
{
    struct broker_follow_pull *pull = call->ctx;
    struct broker_follow *f = pull->follow;
    ASSERT(call->pull.count <= pull->cap);
    ASSERT(pull->asked && call == &pull->call);
    pull->asked = false;
    bool good = broker_follow_heard(f, call) && pull->session == f->session;
    pull->appending++; /* until all are looked at */
    for (size_t i = 0; i < call->pull.count; i++) {
        struct bpart *p = pull->parts[i];
        ASSERT(p->jobs > 0);
        p->jobs--;
        if (!good)
            call->pull.entries[i].answered = false;
        broker_follow_take(pull, i);
    }
    pull->appending--;
    broker_follow_pull_end(pull);
}

static void broker_follow_room(struct broker_follow_pull *pull, size_t count)
{
    ASSERT(!pull->out && count > 0);
    if (pull->cap >= count)
        return;
    size_t cap = pull->cap > 0 ? pull->cap : 16;
    while (cap < count)
        cap *= 2;
    free(pull->call.pull.entries);
    free(pull->parts);
    free(pull->appends);
    pull->call.pull.entries = calloc(cap, sizeof *pull->call.pull.entries);
    pull->parts = calloc(cap, sizeof(struct bpart *));
    pull->appends = calloc(cap, sizeof *pull->appends);
    ASSERT(pull->call.pull.entries != NULL && pull->parts != NULL && pull->appends != NULL);
    pull->cap = cap;
}

static size_t broker_follow_length(const struct list *list)
{
    size_t n = 0;
    LIST_EACH (node, list) {
        n++;
    }
    ASSERT(n > 0 || list_empty(list));
    return n < SHIP_PULL_ENTRIES_MAX ? n : SHIP_PULL_ENTRIES_MAX;
}

static void broker_follow_start(struct broker_follow *f, struct broker_follow_pull *pull,
                                uint32_t max_wait_ms)
{
    struct ship_call *call = &pull->call;
    ASSERT(!pull->asked);
    ASSERT(pull->out && call->pull.count > 0);
    broker_ship_fill(f->broker, call, SHIP_PULL);
    call->pull.max_wait_ms = max_wait_ms;
    call->pull.size_max = BROKER_FOLLOW_SIZE_MAX;
    call->timeout_ms = max_wait_ms + 3 * BROKER_FOLLOW_WAIT_MS;
    call->done = broker_follow_pulled;
    call->ctx = pull;
    pull->session = f->session;
    pull->asked = true;
    broker_follow_send(f, call);
}

static void broker_follow_pull(struct broker_follow *f, struct list *ready)
{
    struct broker_follow_pull *pull = NULL;
    ASSERT(f->on);
    for (size_t i = 0; i < BROKER_FOLLOW_PULLS && pull == NULL; i++)
        if (!f->pulls[i].out)
            pull = &f->pulls[i];
    if (pull == NULL || list_empty(ready))
        return;
    broker_follow_room(pull, broker_follow_length(ready));
    pull->call.pull.count = 0;
    while (pull->call.pull.count < pull->cap && !list_empty(ready)) {
        struct broker_follow_part *fp = LIST_ENTRY(ready->next, struct broker_follow_part, link);
        struct bpart *p = fp->bpart;
        size_t at = pull->call.pull.count;
        ASSERT(fp->state == BROKER_FOLLOW_READY);
        if (!broker_follow_ask(f, p, &pull->call.pull.entries[at]))
            continue;
        broker_follow_to(f, p, BROKER_FOLLOW_ASKED);
        fp->pull = pull;
        pull->parts[at] = p;
        p->jobs++;
        pull->call.pull.count++;
    }
    if (pull->call.pull.count == 0)
        return;
    pull->out = true;
    broker_follow_start(f, pull, BROKER_FOLLOW_WAIT_MS);
}

/* Tells how far the disk is of those whose pull waits at the leader. */
static void broker_follow_tell(struct broker_follow *f)
{
    struct broker_follow_pull *pull = &f->progress;
    ASSERT(f->on);
    ASSERT(f->progress.follow == f);
    if (pull->out || list_empty(&f->advanced))
        return;
    broker_follow_room(pull, broker_follow_length(&f->advanced));
    pull->call.pull.count = 0;
    while (pull->call.pull.count < pull->cap && !list_empty(&f->advanced)) {
        struct list *n = list_pop(&f->advanced);
        struct broker_follow_part *fp = LIST_ENTRY(n, struct broker_follow_part, advanced);
        size_t at = pull->call.pull.count;
        if (fp->state != BROKER_FOLLOW_ASKED || /* its next pull tells */
            !broker_follow_ask(f, fp->bpart, &pull->call.pull.entries[at]))
            continue;
        pull->call.pull.entries[at].size_max = 0;
        pull->parts[at] = fp->bpart;
        fp->bpart->jobs++;
        pull->call.pull.count++;
    }
    if (pull->call.pull.count == 0)
        return;
    pull->out = true;
    broker_follow_start(f, pull, 0);
}

/* --- the role --- */

void broker_follow_all(struct broker_follow *f)
{
    struct broker *b = f->broker;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            broker_follow_part(b->sorted[i]->parts[k]);
    ASSERT(f->broker == b);
}

void broker_follow_begin(struct broker_follow *f)
{
    const struct ship_leader *leader = broker_known_leader(f->broker);
    ASSERT(!f->on);
    ASSERT(leader->id >= 0 && leader->native[0] != '\0');
    f->session++;
    f->on = true;
    f->term = leader->term;
    f->leader = leader->id;
    memcpy(f->native, leader->native, sizeof f->native);
    f->broker_epoch = -1;
    f->mirrored = false;
    f->lost = 0;
    f->retry_ms = broker_now(f->broker);
}

void broker_follow_end(struct broker_follow *f)
{
    f->session++;
    f->on = f->mirrored = false;
    f->broker_epoch = -1;
    f->retry_ms = INT64_MAX;
    broker_follow_all(f);
    ASSERT(list_empty(&f->ready[0]) && list_empty(&f->ready[1]) && list_empty(&f->waiting));
}

void broker_follow_fetch(struct broker_follow *f, int32_t id, const char *native, uint32_t term)
{
    ASSERT(!f->on && id >= 0);
    f->session++;
    f->on = f->fetching = f->mirrored = true;
    f->term = term;
    f->leader = id;
    (void)snprintf(f->native, sizeof f->native, "%s", native);
    f->lost = 0;
    f->retry_ms = broker_now(f->broker);
    broker_follow_all(f);
}

bool broker_follow_is_mirrored(const struct broker_follow *f)
{
    ASSERT(f->on || !f->mirrored);
    return f->on && !f->fetching && f->mirrored && !f->putting;
}

bool broker_follow_fetched(struct broker_follow *f, struct bpart *p, int64_t end)
{
    const struct broker_follow_part *fp = p->replica->follow;
    ASSERT(p->replica != NULL);
    if (p->state == BPART_GONE)
        return true;
    if (!f->fetching || fp == NULL || fp->agreed < 0 || p->part == NULL || p->part->reserved < end)
        return false;
    p->replica->fetch_from = -1;
    broker_follow_part(p);
    ASSERT(p->replica->follow->state == BROKER_FOLLOW_OFF);
    return true;
}

void broker_follow_fetch_end(struct broker_follow *f)
{
    struct broker *b = f->broker;
    ASSERT(!f->fetching || f->on);
    if (!f->fetching)
        return;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            if (b->sorted[i]->parts[k]->replica != NULL)
                b->sorted[i]->parts[k]->replica->fetch_from = -1;
    broker_follow_end(f);
    f->fetching = false;
}

static void broker_follow_wakes(struct broker_follow *f)
{
    int64_t now = broker_now(f->broker);
    ASSERT(f->on);
    LIST_EACH_SAFE (node, &f->waiting) {
        struct broker_follow_part *fp = LIST_ENTRY(node, struct broker_follow_part, link);
        ASSERT(fp->state == BROKER_FOLLOW_WAIT);
        if (now >= fp->retry_ms)
            broker_follow_to(f, fp->bpart, BROKER_FOLLOW_READY);
    }
}

/* What is asked for next tells the leader what this broker has: for good, and so that a candidate
 * sees it. */
static bool broker_follow_kept(struct broker_follow *f)
{
    struct broker *b = f->broker;
    ASSERT(f->on && !f->putting);
    ASSERT(!f->mirrored || f->since >= 0);
    if (f->since < 0 || f->position < 0 || broker_cluster_kept(b, f->term, f->position))
        return true;
    if (broker_now(b) >= f->keep_ms) { /* there was no room */
        f->keep_ms = broker_now(b) + BROKER_FOLLOW_WAIT_MS;
        broker_cluster_mirrored(b, f->term, f->position);
    }
    return false;
}

void broker_follow_run(struct broker_follow *f)
{
    ASSERT(f->out <= BROKER_FOLLOW_PULLS + 4);
    ASSERT(f->broker->cluster != NULL);
    if (!f->reach_out && !list_empty(&f->reaching))
        broker_follow_reach(f);
    if (!f->on || broker_now(f->broker) < f->retry_ms || f->broker->stopping)
        return;
    if (f->broker_epoch < 0 && !f->fetching) {
        if (!f->reg_out && !f->reach_out)
            broker_follow_register(f);
        return;
    }
    if (!f->records_out && !f->putting && !f->fetching && broker_follow_kept(f))
        broker_follow_records(f);
    if (!f->mirrored)
        return;
    broker_follow_wakes(f);
    broker_follow_pull(f, &f->ready[1]);
    broker_follow_pull(f, &f->ready[0]);
    broker_follow_tell(f);
}

int64_t broker_follow_next_ms(const struct broker_follow *f)
{
    int64_t next = INT64_MAX;
    ASSERT(f->broker != NULL);
    if (!f->on)
        return INT64_MAX;
    if (f->retry_ms > broker_now(f->broker))
        return f->retry_ms;
    if (!f->mirrored) /* nothing is asked for yet */
        return next;
    if (!f->records_out && !f->putting && f->keep_ms > broker_now(f->broker))
        next = f->keep_ms;
    LIST_EACH (node, &f->waiting) {
        const struct broker_follow_part *fp = LIST_ENTRY(node, struct broker_follow_part, link);
        next = fp->retry_ms < next ? fp->retry_ms : next;
    }
    return next;
}

bool broker_follow_quiet(const struct broker_follow *f)
{
    bool appending = f->progress.out;
    ASSERT(f->out <= BROKER_FOLLOW_PULLS + 4);
    for (size_t i = 0; i < BROKER_FOLLOW_PULLS; i++)
        appending = appending || f->pulls[i].out;
    return f->out == 0 && !appending && !f->putting && !f->reach_out;
}
