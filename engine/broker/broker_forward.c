/* SPDX-License-Identifier: MIT
 *
 * broker_forward: some changes are decided by the leader alone, and yet clients ask any broker for
 * them, because they know of no leader of the cluster: producer ids, topics made on first use,
 * settings and quotas. A follower passes them on.
 *
 *   here      broker_admin, forward --> SHIP_ADMIN --> link .... the leader
 *             done <-- its status and results <-- .............. broker_admin, as if asked there
 *
 * Each may be carried out twice, since calls may be repeated and answers lost: a producer id more
 * is handed out, a topic exists, a setting is what it is. Topics that are made, grown or deleted by
 * name are not among them: whoever does that looks for the controller.
 *
 * The answer comes when the leader has it on its disk; this broker hears of the change with the
 * records it mirrors, a moment later.
 *
 * Invariants: W1 what the request points to is borrowed until the link is done with the call, which
 * is when the request is answered; W2 what came from another broker is never passed on again.
 * Failures: BROKER_BUSY beyond BROKER_FORWARDS_MAX calls, BROKER_BAD_REQUEST beyond
 * BROKER_FORWARD_SIZE_MAX bytes, BROKER_TIMED_OUT without an answer (it may have been done),
 * BROKER_NOT_LEADER where the leader is another by now.
 */
#include "engine/broker/broker_forward.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_follow_priv.h"

#define BROKER_FORWARDS_MAX     64
#define BROKER_FORWARD_SIZE_MAX (256u << 10)
#define BROKER_FORWARD_MS       5000 /* clients ask again by themselves */

struct broker_forward {
    struct list link; /* broker_forwards.out */
    struct broker_forwards *forwards;
    struct ship_call call;
    struct broker_admin *asked;
};

struct broker_forwards {
    struct broker *broker;
    struct list out;
    size_t count;
};

struct broker_forwards *broker_forwards_new(struct broker *b)
{
    struct broker_forwards *f = assert_memory(calloc(1, sizeof *f), sizeof *f);
    ASSERT(b != NULL);
    f->broker = b;
    list_init(&f->out);
    return f;
}

struct broker_forwards *broker_forwards_free(struct broker_forwards *f)
{
    if (f == NULL)
        return NULL;
    ASSERT(f->count == 0 || f->broker->dead);
    for (struct list *n = list_pop(&f->out); n != NULL; n = list_pop(&f->out))
        free(LIST_ENTRY(n, struct broker_forward, link));
    free(f);
    return NULL;
}

bool broker_forwards_quiet(const struct broker_forwards *f)
{
    ASSERT((f->count == 0) == list_empty(&f->out));
    return f->count == 0;
}

/* --- asking --- */

/* May be asked for, and carried out twice. */
static bool broker_forward_carries(const struct broker_admin *a)
{
    ASSERT((unsigned)a->op < BROKER_ADMIN_OP_COUNT);
    switch (a->op) {
    case BROKER_INIT_PRODUCER:
    case BROKER_TOPIC_ALTER:
    case BROKER_QUOTA_ALTER:
        return true;
    case BROKER_TOPIC_CREATE:
        return a->automatic && !a->internal;
    case BROKER_CONFIG_ALTER:
        return a->cluster;
    case BROKER_TOPIC_DELETE:
    case BROKER_TOPIC_GROW:
    case BROKER_TOPIC_TRIM:
    case BROKER_SNAPSHOT:
        return false;
    }
    return false;
}

static size_t broker_forward_size(const struct broker_admin *a)
{
    size_t size = a->topic.size + a->entity.name.size + a->quota_count * sizeof *a->quotas;
    ASSERT(a->configs != NULL || a->config_count == 0);
    for (size_t i = 0; i < a->config_count && size <= BROKER_FORWARD_SIZE_MAX; i++)
        size += 16 + a->configs[i].key.size + a->configs[i].value.size;
    return size;
}

static void broker_forward_take(struct broker_admin *a, const struct ship_call *call)
{
    const struct broker_admin *r = &call->admin.req;
    bool lost = call->status == BROKER_STALE_BROKER; /* it registers again */
    ASSERT(a->op == r->op);
    ASSERT(sizeof a->message == sizeof call->message);
    a->status = lost ? BROKER_NOT_LEADER : call->status;
    memcpy(a->message, call->message, sizeof a->message);
    if (call->status != BROKER_OK)
        return;
    a->producer_id = r->producer_id;
    a->producer_epoch = r->producer_epoch;
    a->partition_count = r->partition_count;
    memcpy(a->topic_id, r->topic_id, sizeof a->topic_id);
}

static void broker_forward_done(struct ship_call *call)
{
    struct broker_forward *w = call->ctx;
    struct broker_forwards *f = w->forwards;
    struct broker *b = f->broker;
    struct ship_link *link = b->env.ship;
    ASSERT(call == &w->call && f->count > 0);
    broker_forward_take(w->asked, call);
    broker_admin_ready(b, w->asked);
    list_remove(&w->link);
    f->count--;
    ASSERT((f->count == 0) == list_empty(&f->out));
    link->release(link->ctx, call);
    free(w);
}

/* Only what the question has. */
static void broker_forward_fill(struct broker_forward *w, const struct broker_admin *a)
{
    w->call.admin.req = (struct broker_admin){.op = a->op,
                                              .topic = a->topic,
                                              .partitions = a->partitions,
                                              .replication = a->replication,
                                              .configs = a->configs,
                                              .config_count = a->config_count,
                                              .replace = a->replace,
                                              .cluster = a->cluster,
                                              .validate_only = a->validate_only,
                                              .automatic = a->automatic,
                                              .entity = a->entity,
                                              .quotas = a->quotas,
                                              .quota_count = a->quota_count};
    ASSERT(!w->call.admin.req.forward && !a->internal);
}

static void broker_forward_send(struct broker_forwards *f, const struct broker_follow *leader,
                                struct broker_admin *a)
{
    struct broker *b = f->broker;
    struct broker_forward *w = assert_memory(calloc(1, sizeof *w), sizeof *w);
    ASSERT(b->env.ship != NULL && leader->broker_epoch >= 0);
    w->forwards = f;
    w->asked = a;
    broker_ship_fill(b, &w->call, SHIP_ADMIN);
    broker_forward_fill(w, a);
    w->call.to = leader->leader;
    w->call.term = leader->term;
    w->call.broker_epoch = leader->broker_epoch;
    w->call.timeout_ms = BROKER_FORWARD_MS;
    w->call.done = broker_forward_done;
    w->call.ctx = w;
    list_add_tail(&f->out, &w->link);
    f->count++;
    b->env.ship->send(b->env.ship->ctx, leader->native, &w->call);
}

bool broker_forward(struct broker *b, struct broker_admin *a)
{
    const struct broker_follow *leader = broker_follow_of(b);
    struct broker_forwards *f = broker_forwards_of(b);
    ASSERT(a->forward && !b->stopping);
    if (!broker_forward_carries(a) || leader == NULL || !leader->on || leader->fetching ||
        leader->broker_epoch < 0)
        return false;
    ASSERT(f->count <= BROKER_FORWARDS_MAX);
    if (f->count == BROKER_FORWARDS_MAX)
        broker_admin_refuse(b, a, BROKER_BUSY, "too many changes are on their way to the leader");
    else if (broker_forward_size(a) > BROKER_FORWARD_SIZE_MAX)
        broker_admin_refuse(b, a, BROKER_BAD_REQUEST, "too large to be passed on to the leader");
    else
        broker_forward_send(f, leader, a);
    return true;
}

/* --- being asked --- */

static void broker_forward_served(struct broker_admin *a)
{
    struct ship_call *call = a->ctx;
    struct broker *b = call->priv.state;
    ASSERT(a == &call->admin.req && b != NULL);
    call->priv.state = NULL;
    call->status = a->status;
    memcpy(call->message, a->message, sizeof call->message);
    broker_ship_done(b, call);
}

void broker_forward_serve(struct broker *b, struct ship_call *call)
{
    struct broker_admin *a = &call->admin.req;
    ASSERT(call->kind == SHIP_ADMIN && !a->forward);
    ASSERT(call->priv.state == NULL);
    a->done = broker_forward_served;
    a->ctx = call;
    call->priv.state = b;
    if (broker_forward_carries(a)) {
        broker_admin(b, a);
        return;
    }
    call->priv.state = NULL;
    call->status = BROKER_BAD_REQUEST;
    (void)snprintf(call->message, sizeof call->message, "a change that is not passed on");
    broker_ship_done(b, call);
}
