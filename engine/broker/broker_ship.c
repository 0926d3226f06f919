/* SPDX-License-Identifier: MIT
 *
 * broker_ship: what other brokers ask of this one: who may ask, and the short calls. Pulls are in
 * broker_pull.c, registrations in broker_lead.c, votes in broker_vote.c.
 *
 *   call -> of our cluster? -> by kind
 *     LEADER    from memory
 *     REGISTER  the leader's
 *     RECORDS   a registered broker's: answered when something changed, or after its time
 *     PULL      a registered broker's, or a candidate's that we promised; to mend, any replica's
 *     VOTE      anybody's of the cluster
 *     ADMIN     a registered broker's
 *
 * A call of a greater term than the leader's own: somebody was promised what nobody told us, and
 * will not follow a smaller one. When that lasts (a promotion broke off), the leader has itself
 * promoted above it, and the terms are in order again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_forward.h"
#include "engine/broker/broker_promote.h"
#include "engine/broker/broker_pull.h"
#include "engine/broker/broker_ship_priv.h"

struct broker_ships {
    struct broker *broker;
    struct list ready;   /* struct ship_call, by priv.link */
    struct list waiting; /* RECORDS without news */
    struct list votes;   /* broker_vote.c */
    struct list voted;
    uint32_t answered;  /* the term of the last vote */
    struct list states; /* struct broker_ship_state, until its release */
    int64_t seen;       /* coord_revision that all that wait have looked at */
};

/* Of a call of RECORDS or VOTE, in priv.state. */
struct broker_ship_state {
    struct list all; /* in broker_ships.states */
    struct ship_call *call;
    struct coord_changes changes;
    struct ship_record *records; /* owned */
    int64_t deadline_ms;
};

struct broker_ships *broker_ships_new(struct broker *b)
{
    struct broker_ships *s = calloc(1, sizeof *s);
    ASSERT(s != NULL && b != NULL);
    s->broker = b;
    s->seen = -1;
    list_init(&s->ready);
    list_init(&s->waiting);
    list_init(&s->votes);
    list_init(&s->voted);
    list_init(&s->states);
    return s;
}

struct broker_ships *broker_ships_free(struct broker_ships *s)
{
    ASSERT(s == NULL || s->broker != NULL);
    if (s == NULL)
        return NULL;
    ASSERT(list_empty(&s->waiting) && list_empty(&s->states));
    free(s);
    return NULL;
}

struct list *broker_ships_votes(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return &broker_ships_of(b)->votes;
}

void broker_ships_answer(struct broker *b, uint32_t term)
{
    ASSERT(term > 0);
    broker_ships_of(b)->answered = term;
}

uint32_t broker_ships_answered(const struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return broker_ships_of((struct broker *)(uintptr_t)b)->answered;
}

struct list *broker_ships_voted(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return &broker_ships_of(b)->voted;
}

void broker_ship_done(struct broker *b, struct ship_call *call)
{
    struct ship_leader leader = *broker_known_leader(b);
    ASSERT(call->done != NULL);
    ASSERT(!list_linked(&call->priv.link));
    if (broker_role(b) == BROKER_ALONE) { /* whoever comes makes it the leader */
        struct ship_node self;
        broker_node_self(b, &self);
        leader.id = self.id;
        memcpy(leader.native, self.native, sizeof leader.native);
    }
    call->leader = leader;
    call->answer_from = b->node_id;
    memcpy(call->answer_cluster_id, b->cluster_id, sizeof call->answer_cluster_id);
    list_add_tail(&broker_ships_of(b)->ready, &call->priv.link);
}

static void broker_ship_refuse(struct broker *b, struct ship_call *call, enum broker_status status,
                               const char *why)
{
    ASSERT((unsigned)status < BROKER_STATUS_COUNT);
    ASSERT(status != BROKER_OK);
    call->status = status;
    (void)snprintf(call->message, sizeof call->message, "%s",
                   why != NULL ? why : broker_status_text(status));
    broker_ship_done(b, call);
}

/* --- records --- */

static bool broker_ship_news(struct broker *b, struct ship_call *call)
{
    struct broker_ship_state *s = call->priv.state;
    struct ship_records *r = &call->records;
    ASSERT(s->records == NULL);
    ASSERT(call->kind == SHIP_RECORDS && s->changes.count == 0);
    if (r->since >= 0 && coord_revision(b->coord) <= r->since)
        return false;
    s->changes.size_max = r->size_max;
    s->changes.begun = r->begun;
    coord_changes(b->coord, r->since, cluster_mirrored, &s->changes);
    if (s->changes.whole)
        r->begun = coord_revision(b->coord);
    r->more = s->changes.more;
    r->revision = s->changes.revision;
    r->position = coord_last_change(b->coord, cluster_mirrored);
    r->whole = s->changes.whole;
    r->count = s->changes.count;
    s->records = calloc(r->count + 1, sizeof *s->records);
    ASSERT(s->records != NULL);
    for (size_t i = 0; i < r->count; i++)
        s->records[i] = (struct ship_record){s->changes.v[i].key, s->changes.v[i].value};
    r->records = s->records;
    if (r->more && broker_role(b) == BROKER_LEADING)
        broker_lead_paged(broker_lead_of(b), call->from, r->revision);
    if (r->count > 0 || r->whole)
        return true;
    r->since = r->revision; /* only records of our own changed */
    free(s->records);
    s->records = r->records = NULL;
    coord_changes_deinit(&s->changes);
    return false;
}

static void broker_ship_records(struct broker *b, struct ship_call *call)
{
    struct broker_ships *s = broker_ships_of(b);
    struct broker_ship_state *state = calloc(1, sizeof *state);
    ASSERT(call->kind == SHIP_RECORDS);
    ASSERT(state != NULL);
    state->call = call;
    list_add_tail(&s->states, &state->all);
    call->priv.state = state;
    call->records.records = NULL;
    call->records.count = 0;
    call->records.whole = call->records.more = false;
    call->records.revision = call->records.since;
    call->records.position = -1;
    call->status = BROKER_OK;
    state->deadline_ms = broker_now(b) + call->records.max_wait_ms;
    if (broker_ship_news(b, call) || call->records.max_wait_ms == 0)
        broker_ship_done(b, call);
    else
        list_add_tail(&s->waiting, &call->priv.link);
}

static void broker_ships_wake(struct broker_ships *s)
{
    struct broker *b = s->broker;
    bool changed = coord_revision(b->coord) != s->seen;
    s->seen = coord_revision(b->coord);
    LIST_EACH_SAFE (node, &s->waiting) {
        struct ship_call *call = LIST_ENTRY(node, struct ship_call, priv.link);
        struct broker_ship_state *state = call->priv.state;
        bool led = broker_role(b) == BROKER_LEADING || broker_vote_serves(b, call);
        ASSERT(call->kind == SHIP_RECORDS);
        if (!led)
            call->status = BROKER_NOT_LEADER;
        if (led && !(changed && broker_ship_news(b, call)) && broker_now(b) < state->deadline_ms)
            continue;
        list_remove(node);
        broker_ship_done(b, call);
    }
}

/* --- all of them --- */

static bool broker_ship_registered(struct broker *b, const struct ship_call *call)
{
    const struct broker_peer *p = broker_lead_heard(broker_lead_of(b), call->from);
    ASSERT(call->from >= 0);
    return p != NULL && p->broker_epoch == call->broker_epoch;
}

/* The calls to a leader. */
static void broker_ship_lead(struct broker *b, struct ship_call *call)
{
    if (call->kind == SHIP_PULL && call->pull.mend)
        return broker_pull(b, call);
    bool asks = call->kind == SHIP_RECORDS || call->kind == SHIP_PULL;
    bool candidate = asks && broker_vote_serves(b, call);
    ASSERT(call->from >= 0);
    ASSERT(call->kind != SHIP_VOTE && call->kind != SHIP_LEADER);
    if (candidate && call->kind == SHIP_PULL)
        return broker_pull(b, call);
    if (candidate)
        return broker_ship_records(b, call);
    if (broker_role(b) == BROKER_ALONE && call->kind == SHIP_REGISTER && call->term == 0 &&
        !call->reg.goodbye)
        return broker_lead_register(broker_lead_of(b), call);
    if (broker_role(b) != BROKER_LEADING || call->term != broker_cluster_term(b))
        return broker_ship_refuse(b, call, BROKER_NOT_LEADER, NULL);
    if (call->kind == SHIP_REGISTER && !call->reg.goodbye)
        return broker_lead_register(broker_lead_of(b), call);
    if (!broker_ship_registered(b, call))
        return broker_ship_refuse(b, call, BROKER_STALE_BROKER, NULL);
    if (call->kind == SHIP_REGISTER) {
        broker_lead_goodbye(broker_lead_of(b), call->from);
        call->status = BROKER_OK;
        return broker_ship_done(b, call);
    }
    if (call->kind == SHIP_ADMIN)
        return broker_forward_serve(b, call);
    if (call->kind == SHIP_RECORDS) {
        if (call->records.begun < 0) /* else so far of a listing */
            broker_lead_mirrored(broker_lead_of(b), call->from, call->records.since);
        return broker_ship_records(b, call);
    }
    broker_pull(b, call);
}

void broker_ship(struct broker *b, struct ship_call *call)
{
    ASSERT(call->done != NULL && (unsigned)call->kind < SHIP_KIND_COUNT);
    call->priv = (typeof(call->priv)){0};
    list_init(&call->priv.link);
    call->message[0] = '\0';
    if (b->stopping)
        return broker_ship_refuse(b, call, BROKER_STOPPING, NULL);
    if (call->from < 0)
        return broker_ship_refuse(b, call, BROKER_BAD_REQUEST, "a broker id is 0 or more");
    if (call->cluster_id[0] != '\0' && strcmp(call->cluster_id, b->cluster_id) != 0)
        return broker_ship_refuse(b, call, BROKER_DENIED,
                                  "this broker is of another cluster: a replica begins with an "
                                  "empty data folder, or with one of this cluster");
    if (call->term > broker_cluster_term(b))
        broker_cluster_overtaken(b->cluster, call->term);
    switch (call->kind) {
    case SHIP_LEADER:
        call->status = BROKER_OK;
        return broker_ship_done(b, call);
    case SHIP_VOTE:
        return broker_vote(b, call);
    case SHIP_REGISTER:
    case SHIP_RECORDS:
    case SHIP_PULL:
    case SHIP_ADMIN:
        return broker_ship_lead(b, call);
    }
    ASSERT(false);
}

void broker_ship_cancel(struct broker *b, struct ship_call *call)
{
    ASSERT((unsigned)call->kind < SHIP_KIND_COUNT);
    if (list_linked(&call->priv.link))
        return; /* answered, or soon */
    ASSERT(b->cluster != NULL);
    if (call->kind == SHIP_PULL && call->priv.state != NULL)
        broker_pull_cancel(call);
}

void broker_ship_release(struct broker *b, struct ship_call *call)
{
    struct broker_ship_state *s = call->priv.state;
    ASSERT(b->cluster != NULL && !list_linked(&call->priv.link));
    if (s == NULL)
        return;
    if (call->kind == SHIP_PULL) {
        broker_pull_release(call);
    } else if (call->kind == SHIP_VOTE) {
        broker_vote_release(call);
    } else {
        list_remove(&s->all);
        coord_changes_deinit(&s->changes);
        free(s->records);
        free(s);
    }
    call->priv.state = NULL;
}

void broker_ships_abandon(struct broker_ships *s)
{
    struct list *lists[] = {&s->ready, &s->waiting};
    ASSERT(s->broker->dead);
    broker_vote_abandon(s->broker);
    for (size_t i = 0; i < 2; i++)
        while (!list_empty(lists[i]))
            (void)list_pop(lists[i]);
    while (!list_empty(&s->states))
        broker_ship_release(s->broker,
                            LIST_ENTRY(s->states.next, struct broker_ship_state, all)->call);
}

void broker_ships_run(struct broker_ships *s)
{
    struct list batch;
    ASSERT(s->broker->cluster != NULL);
    broker_ships_wake(s);
    broker_vote_run(s->broker);
    list_init(&batch);
    list_splice(&batch, &s->ready);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct ship_call *call = LIST_ENTRY(n, struct ship_call, priv.link);
        ASSERT(call->done != NULL);
        call->done(call);
    }
}

int64_t broker_ships_next_ms(const struct broker_ships *s)
{
    int64_t next = INT64_MAX;
    ASSERT(s->broker != NULL);
    if (!list_empty(&s->ready) ||
        (!list_empty(&s->waiting) && coord_revision(s->broker->coord) != s->seen))
        return broker_now(s->broker);
    LIST_EACH (node, &s->waiting) {
        const struct ship_call *call = LIST_ENTRY(node, struct ship_call, priv.link);
        const struct broker_ship_state *state = call->priv.state;
        next = state->deadline_ms < next ? state->deadline_ms : next;
    }
    return next;
}

bool broker_ships_quiet(const struct broker_ships *s)
{
    ASSERT(s->broker->cluster != NULL);
    return list_empty(&s->ready);
}

void broker_ships_fail_all(struct broker_ships *s)
{
    ASSERT(s->broker->stopping);
    for (struct list *n = list_pop(&s->waiting); n != NULL; n = list_pop(&s->waiting)) {
        struct ship_call *call = LIST_ENTRY(n, struct ship_call, priv.link);
        call->status = BROKER_STOPPING;
        broker_ship_done(s->broker, call);
    }
    broker_vote_fail_all(s->broker);
}
