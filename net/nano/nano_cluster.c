/* SPDX-License-Identifier: MIT
 *
 * nano_cluster: see nano_cluster.h. When the call's arena or NANO_ITEMS_MAX is used up, the page of
 * partitions ends.
 */
#include "net/nano/nano_cluster.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_session.h"
#include "net/nano/nano_ship.h"
#include "proto/answer.h"
#include "proto/frame.h"

#define NANO_CLUSTER_FOLLOWERS_MAX 64
#define NANO_CLUSTER_NAME_SIZE     256 /* of a topic */

/* --- the brokers --- */

static char *nano_cluster_text(struct nano_call *c, struct slice s)
{
    struct slice copy = arena_copy(&c->arena, s);
    ASSERT(copy.p != NULL);
    return frame_borrow((const char *)copy.p);
}

static Kauri__ClusterBroker *nano_cluster_broker(struct nano_call *c, const struct broker_member *m)
{
    Kauri__ClusterBroker *b = nano_calls_array(c, 1, sizeof *b);
    kauri__cluster_broker__init(b);
    b->id = m->id;
    b->native = nano_cluster_text(c, slice_str(m->native));
    b->kafka_host = nano_cluster_text(c, slice_str(m->kafka_host));
    b->kafka_port = m->kafka_port;
    b->rack = nano_cluster_text(c, slice_str(m->rack));
    b->left = m->left;
    b->silent_ms = m->silent_ms;
    return b;
}

static int nano_cluster_order(const void *a, const void *b)
{
    const Kauri__ClusterBroker *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static void nano_cluster_brokers(struct nano_call *c, Kauri__ClusterStatusAnswer *body)
{
    const struct broker *b = c->nano->options.broker;
    struct broker_member m;
    size_t count = 0;
    while (broker_member(b, count, &m) == 0)
        count++;
    body->brokers = nano_calls_array(c, count, sizeof *body->brokers);
    while (body->n_brokers < count && broker_member(b, body->n_brokers, &m) == 0)
        body->brokers[body->n_brokers++] = nano_cluster_broker(c, &m);
    if (count > 1)
        qsort(body->brokers, count, sizeof *body->brokers, nano_cluster_order);
}

static Kauri__ClusterBroker *nano_cluster_find(const Kauri__ClusterStatusAnswer *body, int32_t id)
{
    for (size_t i = 0; i < body->n_brokers; i++)
        if (body->brokers[i]->id == id)
            return body->brokers[i];
    return NULL;
}

/* --- partitions --- */

struct nano_cluster_at {
    const struct broker_topic_info *topic;
    int32_t partition;
    const struct broker_partition_info *info;
};

static bool nano_cluster_has(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Adds a partition to the sums of its replicas. */
static void nano_cluster_sum(struct nano_call *c, Kauri__ClusterStatusAnswer *body,
                             const struct nano_cluster_at *at)
{
    const struct broker_partition_info *p = at->info;
    struct broker_follower f;
    for (size_t i = 0; i < p->replica_count; i++) {
        Kauri__ClusterBroker *b = nano_cluster_find(body, p->replicas[i]);
        if (b == NULL)
            continue;
        b->replicas++;
        b->leading += p->leader == b->id;
        b->in_sync += nano_cluster_has(p->isr, p->isr_count, b->id);
    }
    for (size_t i = 0; i < NANO_CLUSTER_FOLLOWERS_MAX; i++) {
        if (broker_partition_follower(c->nano->options.broker, at->topic->name, at->partition, i,
                                      &f) != 0)
            break;
        Kauri__ClusterBroker *b = nano_cluster_find(body, f.id);
        if (b != NULL && b->lag >= 0)
            b->lag = f.lag < 0 ? -1 : b->lag + f.lag;
        if (b == NULL || f.lag <= 0)
            continue;
        b->lag_size += f.lag_size;
        b->behind_ms = f.caught_up_ms > b->behind_ms ? f.caught_up_ms : b->behind_ms;
    }
    body->partition_count++;
    body->leaderless += p->leader < 0;
    body->under_replicated += p->isr_count < p->replica_count;
    body->fenced += p->fenced;
}

int32_t *nano_cluster_ids(struct nano_call *c, const int32_t *ids, size_t count)
{
    int32_t *copy = arena_array(&c->arena, count + 1, sizeof *copy);
    if (copy != NULL && count > 0)
        memcpy(copy, ids, count * sizeof *copy);
    return copy;
}

/* False when the arena is used up. */
static bool nano_cluster_followers(struct nano_call *c, const struct nano_cluster_at *at,
                                   Kauri__ClusterPartition *out)
{
    const struct broker *b = c->nano->options.broker;
    struct broker_follower f;
    size_t count = 0;
    while (count < NANO_CLUSTER_FOLLOWERS_MAX &&
           broker_partition_follower(b, at->topic->name, at->partition, count, &f) == 0)
        count++;
    out->followers = arena_array(&c->arena, count + 1, sizeof *out->followers);
    while (out->followers != NULL && out->n_followers < count) {
        Kauri__ClusterFollower *to = arena_alloc(&c->arena, sizeof *to);
        if (to == NULL ||
            broker_partition_follower(b, at->topic->name, at->partition, out->n_followers, &f) != 0)
            return false;
        kauri__cluster_follower__init(to);
        to->id = f.id;
        to->in_sync = f.in_sync;
        to->end = f.end;
        to->lag = f.lag;
        to->caught_up_ms = f.lag == 0 ? 0 : f.caught_up_ms;
        to->lag_size = f.lag_size;
        to->since_ms = f.since_ms;
        out->followers[out->n_followers++] = to;
    }
    return out->followers != NULL;
}

/* NULL when the arena is used up. */
static Kauri__ClusterPartition *nano_cluster_partition(struct nano_call *c,
                                                       const struct nano_cluster_at *at)
{
    const struct broker_partition_info *p = at->info;
    Kauri__ClusterPartition *out = arena_alloc(&c->arena, sizeof *out);
    struct slice name = arena_copy(&c->arena, at->topic->name);
    if (out == NULL || name.p == NULL)
        return NULL;
    kauri__cluster_partition__init(out);
    out->topic = frame_borrow((const char *)name.p);
    out->partition = at->partition;
    out->leader = p->leader;
    out->epoch = p->epoch;
    out->end = p->high_watermark;
    out->fenced = p->fenced;
    out->replicas = nano_cluster_ids(c, p->replicas, p->replica_count);
    out->in_sync = nano_cluster_ids(c, p->isr, p->isr_count);
    out->eligible = nano_cluster_ids(c, p->elr, p->elr_count);
    if (out->replicas == NULL || out->in_sync == NULL || out->eligible == NULL)
        return NULL;
    out->n_replicas = p->replica_count;
    out->n_in_sync = p->isr_count;
    out->n_eligible = p->elr_count;
    return nano_cluster_followers(c, at, out) ? out : NULL;
}

/* --- the walk --- */

struct nano_cluster_page {
    struct slice after_topic; /* size 0: from the first */
    int32_t after_partition;
    size_t count_max; /* 0: none are wanted */
    size_t size;
};

static bool nano_cluster_behind(const struct nano_cluster_page *page,
                                const struct nano_cluster_at *at)
{
    size_t a = page->after_topic.size, t = at->topic->name.size;
    if (a == 0)
        return true;
    int order = memcmp(at->topic->name.p, page->after_topic.p, a < t ? a : t);
    order = order != 0 ? order : (t > a) - (t < a);
    return order > 0 || (order == 0 && at->partition > page->after_partition);
}

static void nano_cluster_list(struct nano_call *c, struct nano_cluster_page *page,
                              Kauri__ClusterStatusAnswer *body, const struct nano_cluster_at *at)
{
    if (page->count_max == 0 || body->more || !nano_cluster_behind(page, at))
        return;
    Kauri__ClusterPartition *p =
        body->n_partitions < page->count_max ? nano_cluster_partition(c, at) : NULL;
    if (p != NULL)
        page->size += kauri__cluster_partition__get_packed_size(p) + FRAME_PREFIX_SIZE;
    body->more = p == NULL || page->size > c->nano->options.message_size_max / 4;
    if (!body->more || (p != NULL && body->n_partitions == 0))
        body->partitions[body->n_partitions++] = p;
}

static void nano_cluster_walk(struct nano_call *c, struct nano_cluster_page *page,
                              Kauri__ClusterStatusAnswer *body)
{
    struct broker *b = c->nano->options.broker;
    struct broker_topic_info topic;
    struct broker_partition_info info;
    struct nano_cluster_at at = {.topic = &topic, .info = &info};
    char name[NANO_CLUSTER_NAME_SIZE];
    struct slice after = SLICE_NULL;
    while (broker_topic_after(b, after, &topic) == 0) {
        for (at.partition = 0; at.partition < topic.partition_count; at.partition++) {
            if (broker_partition(b, topic.name, at.partition, false, &info) != 0)
                continue;
            nano_cluster_sum(c, body, &at);
            nano_cluster_list(c, page, body, &at);
        }
        ASSERT(topic.name.size <= sizeof name);
        memcpy(name, topic.name.p, topic.name.size);
        after = slice_of(name, topic.name.size);
    }
}

void nano_cluster_status(struct nano_call *c, struct slice raw)
{
    const struct broker *b = c->nano->options.broker;
    const Kauri__ClusterStatus *ask = c->request->cluster_status;
    struct broker_cluster_info cluster;
    struct broker_info info;
    struct nano_cluster_page page = {.after_topic = slice_str(ask->after_topic),
                                     .after_partition = ask->after_partition};
    Kauri__ClusterStatusAnswer *body = nano_calls_array(c, 1, sizeof *body);
    (void)raw;
    broker_cluster_info(b, &cluster);
    broker_info(b, &info);
    kauri__cluster_status_answer__init(body);
    body->id = info.node_id;
    body->role = frame_borrow(cluster.role);
    body->term = cluster.term;
    body->leader = cluster.leader;
    body->native = nano_cluster_text(c, slice_str(cluster.native));
    body->trouble = nano_cluster_text(c, slice_str(cluster.trouble));
    nano_cluster_brokers(c, body);
    if (ask->partitions) {
        page.count_max = ask->count_max == 0 || ask->count_max > NANO_ITEMS_MAX ? NANO_ITEMS_MAX
                                                                                : ask->count_max;
        body->partitions = nano_calls_array(c, page.count_max, sizeof *body->partitions);
    }
    nano_cluster_walk(c, &page, body);
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_CLUSTER_STATUS;
    c->answer->cluster_status = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

/* --- promotion --- */

static void nano_cluster_promoted(struct broker_promote_request *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->promote);
    nano_call_end(c);
    Kauri__ClusterPromoteAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__cluster_promote_answer__init(body);
    body->term = req->term;
    body->lost = req->lost;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_CLUSTER_PROMOTE;
    c->answer->cluster_promote = body;
    nano_calls_finish_status(c, req->status, req->message);
}

void nano_cluster_promote(struct nano_call *c, struct slice raw)
{
    (void)raw;
    c->promote.force = c->request->cluster_promote->force;
    c->promote.done = nano_cluster_promoted;
    c->promote.ctx = c;
    nano_call_run(c);
    broker_promote_request(c->nano->options.broker, &c->promote);
}

/* --- leaving --- */

static void nano_cluster_left(struct broker_leave_request *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->leave);
    nano_call_end(c);
    Kauri__ClusterLeaveAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__cluster_leave_answer__init(body);
    body->replicas = req->replicas;
    body->pending = req->pending;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_CLUSTER_LEAVE;
    c->answer->cluster_leave = body;
    nano_calls_finish_status(c, req->status, req->message);
}

void nano_cluster_leave(struct nano_call *c, struct slice raw)
{
    const Kauri__ClusterLeave *ask = c->request->cluster_leave;
    (void)raw;
    c->leave.id = ask->id;
    c->leave.force = ask->force;
    c->leave.validate_only = ask->validate_only;
    c->leave.done = nano_cluster_left;
    c->leave.ctx = c;
    if (ask->id < 0) {
        nano_calls_finish(c, KAURI__STATUS__BAD_REQUEST, "a broker id is 0 or more");
        return;
    }
    nano_call_run(c);
    broker_leave_request(c->nano->options.broker, &c->leave);
}

/* --- where else --- */

void nano_cluster_point(struct nano_call *c)
{
    struct broker_cluster_info cluster;
    if (!answer_is_elsewhere(c->answer) || nano_ship_is(c))
        return;
    broker_cluster_info(c->nano->options.broker, &cluster);
    if (cluster.leader >= 0 && !cluster.changes_here && cluster.native[0] != '\0')
        c->answer->leader = nano_cluster_text(c, slice_str(cluster.native));
}
