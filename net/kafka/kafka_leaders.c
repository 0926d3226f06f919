/* SPDX-License-Identifier: MIT
 *
 * kafka_leaders: ElectLeaders (KIP-460), AlterPartitionReassignments and ListPartitionReassignments
 * (KIP-455), DescribeTopicPartitions (KIP-966): who leads what. One broker leads everything and
 * places the replicas; another one is made leader by `kauri cluster promote` alone.
 *
 *   ElectLeaders   a partition that its first replica leads needs no election; another could only
 *                  be led by that one, by a promotion: PREFERRED_LEADER_NOT_AVAILABLE, and without
 *                  any leader ELIGIBLE_LEADERS_NOT_AVAILABLE. Asked for all, those that need none
 *                  are left out, as in Kafka
 *   Alter..        to the replicas that it has, in their order: done; anything else: refused;
 *                  null, to cancel: there is nothing to cancel
 *   List..         none: replicas are added without asking
 *   Describe..     topics in byte order from the cursor on, as many partitions as the request
 *                  allows (at most KAFKA_PARTITIONS_MAX); then the cursor to go on at
 *
 * A broker that does not lead the cluster is not the controller: NOT_CONTROLLER, but for Describe..
 */
#include "net/kafka/kafka_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KAFKA_ELECT_PREFERRED 0 /* version 0 knows no other; 1: unclean */
#define KAFKA_ELECTION_TYPES  2
#define KAFKA_PARTITIONS_MAX  2000 /* max.request.partition.size.limit */

static const char kafka_leaders_elsewhere[] = "another broker is the controller";

static bool kafka_leaders_here(const struct kafka_call *c)
{
    struct broker_cluster_info info;
    broker_cluster_info(c->k->options.broker, &info);
    return info.changes_here;
}

/* --- ElectLeaders ----------------------------------------------------------------------------- */

/* What an election of this kind comes to. */
static int16_t kafka_elect_error(const struct kafka_call *c,
                                 const struct broker_partition_info *info)
{
    const struct kp_elect_leaders_request *q = c->request;
    if (info->leader < 0)
        return KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    ASSERT(info->replica_count > 0);
    bool preferred = q->election_type == KAFKA_ELECT_PREFERRED;
    return preferred && info->leader != info->replicas[0] ? KAFKA_PREFERRED_LEADER_NOT_AVAILABLE
                                                          : KAFKA_ELECTION_NOT_NEEDED;
}

static const char *kafka_elect_text(int16_t error)
{
    if (error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return broker_status_text(BROKER_UNKNOWN_PARTITION);
    if (error == KAFKA_NOT_CONTROLLER)
        return kafka_leaders_elsewhere;
    return error == KAFKA_ELECTION_NOT_NEEDED
               ? "it has the leader that it should have"
               : "one broker leads all partitions: kauri cluster promote makes it another";
}

static void kafka_elect_partition(struct kafka_call *c, struct slice topic, int32_t index,
                                  struct kp_elect_leaders_response_partition *a)
{
    struct broker_partition_info info;
    a->index = index;
    if (!kafka_leaders_here(c))
        a->error = KAFKA_NOT_CONTROLLER;
    else if (broker_partition(c->k->options.broker, topic, index, false, &info) != 0)
        a->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else
        a->error = kafka_elect_error(c, &info);
    a->error_message = slice_str(kafka_elect_text(a->error));
}

/* False when the arena is used up. */
static bool kafka_elect_named(struct kafka_call *c, struct kp_elect_leaders_response *a)
{
    const struct kp_elect_leaders_request *q = c->request;
    struct kp_elect_leaders_response_topic *v = kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    for (int32_t i = 0; v != NULL && i < q->topics.count; i++) {
        const struct kp_i32s *asked = &q->topics.v[i].partitions;
        struct kp_elect_leaders_response_partition *p =
            kafka_alloc(c, (size_t)asked->count, sizeof *p);
        if (p == NULL)
            return false;
        for (int32_t k = 0; k < asked->count; k++)
            kafka_elect_partition(c, q->topics.v[i].name, asked->v[k], &p[k]);
        v[i].name = q->topics.v[i].name;
        v[i].partitions.v = p;
        v[i].partitions.count = asked->count;
    }
    a->topics.v = v;
    a->topics.count = q->topics.count;
    return v != NULL;
}

/* The partitions of a topic that need an election. False when the arena is used up. */
static bool kafka_elect_topic(struct kafka_call *c, const struct broker_topic_info *t,
                              struct kp_elect_leaders_response_topic *a)
{
    struct kp_elect_leaders_response_partition *p =
        kafka_alloc(c, (size_t)t->partition_count, sizeof *p);
    int32_t count = 0;
    for (int32_t i = 0; p != NULL && i < t->partition_count; i++) {
        kafka_elect_partition(c, t->name, i, &p[count]);
        count += p[count].error != KAFKA_ELECTION_NOT_NEEDED;
    }
    a->name = t->name;
    a->partitions.v = p;
    a->partitions.count = count;
    return p != NULL;
}

/* False when the arena is used up. */
static bool kafka_elect_all(struct kafka_call *c, struct kp_elect_leaders_response *a)
{
    const struct broker *b = c->k->options.broker;
    struct broker_info total;
    struct broker_topic_info t;
    broker_info(b, &total);
    struct kp_elect_leaders_response_topic *v = kafka_alloc(c, total.topics + 1, sizeof *v);
    for (struct slice after = SLICE_NULL; v != NULL && broker_topic_after(b, after, &t) == 0;) {
        ASSERT((size_t)a->topics.count <= total.topics);
        if (!kafka_elect_topic(c, &t, &v[a->topics.count]))
            return false;
        a->topics.count += v[a->topics.count].partitions.count > 0;
        after = t.name;
    }
    a->topics.v = v;
    return v != NULL;
}

void kafka_elect_leaders(struct kafka_call *c)
{
    const struct kp_elect_leaders_request *q = c->request;
    struct kp_elect_leaders_response a = KP_ELECT_LEADERS_RESPONSE_INIT;
    bool good = true;
    if (q->election_type < 0 || q->election_type >= KAFKA_ELECTION_TYPES)
        a.error = KAFKA_INVALID_REQUEST;
    else if (!kafka_leaders_here(c) && c->kind.version > 0)
        a.error = KAFKA_NOT_CONTROLLER;
    else if (q->topics.count >= 0)
        good = kafka_elect_named(c, &a);
    else
        good = kafka_elect_all(c, &a);
    if (good)
        kafka_answer(c, &a);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

/* --- reassignments ---------------------------------------------------------------------------- */

static bool kafka_reassign_same(const struct kp_i32s *asked,
                                const struct broker_partition_info *info)
{
    if ((size_t)asked->count != info->replica_count)
        return false;
    for (size_t i = 0; i < info->replica_count; i++)
        if (asked->v[i] != info->replicas[i])
            return false;
    return true;
}

static void
kafka_reassign_partition(struct kafka_call *c, struct slice topic,
                         const struct kp_alter_partition_reassignments_request_partition *q,
                         struct kp_alter_partition_reassignments_response_partition *a)
{
    struct broker_partition_info info;
    a->index = q->index;
    if (broker_partition(c->k->options.broker, topic, q->index, false, &info) != 0) {
        a->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        a->error_message = slice_str(broker_status_text(BROKER_UNKNOWN_PARTITION));
    } else if (q->replicas.count < 0) {
        a->error = KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
        a->error_message = slice_str("no reassignment of it is under way");
    } else if (!kafka_reassign_same(&q->replicas, &info)) {
        a->error = KAFKA_INVALID_REPLICA_ASSIGNMENT;
        a->error_message =
            slice_str("brokers place replicas themselves: it can only have those it has");
    }
}

/* False when the arena is used up. */
static bool kafka_reassign_topic(struct kafka_call *c,
                                 const struct kp_alter_partition_reassignments_request_topic *q,
                                 struct kp_alter_partition_reassignments_response_topic *a)
{
    struct kp_alter_partition_reassignments_response_partition *p =
        kafka_alloc(c, (size_t)q->partitions.count, sizeof *p);
    for (int32_t i = 0; p != NULL && i < q->partitions.count; i++)
        kafka_reassign_partition(c, q->name, &q->partitions.v[i], &p[i]);
    a->name = q->name;
    a->partitions.v = p;
    a->partitions.count = q->partitions.count;
    return p != NULL;
}

void kafka_alter_partition_reassignments(struct kafka_call *c)
{
    const struct kp_alter_partition_reassignments_request *q = c->request;
    struct kp_alter_partition_reassignments_response a =
        KP_ALTER_PARTITION_REASSIGNMENTS_RESPONSE_INIT;
    struct kp_alter_partition_reassignments_response_topic *v =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    bool good = v != NULL;
    if (good && !kafka_leaders_here(c)) {
        a.error = KAFKA_NOT_CONTROLLER;
        a.error_message = slice_str(kafka_leaders_elsewhere);
        kafka_answer(c, &a);
        return;
    }
    for (int32_t i = 0; good && i < q->topics.count; i++)
        good = kafka_reassign_topic(c, &q->topics.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.topics.v = v;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}

void kafka_list_partition_reassignments(struct kafka_call *c)
{
    struct kp_list_partition_reassignments_response a =
        KP_LIST_PARTITION_REASSIGNMENTS_RESPONSE_INIT;
    ASSERT(c->request != NULL);
    if (!kafka_leaders_here(c)) {
        a.error = KAFKA_NOT_CONTROLLER;
        a.error_message = slice_str(kafka_leaders_elsewhere);
    }
    kafka_answer(c, &a);
}

/* --- DescribeTopicPartitions ------------------------------------------------------------------ */

/* What was found so far. */
struct kafka_page {
    struct kafka_call *c;
    struct kp_describe_topic_partitions_response_topic *v;
    size_t count;
    int32_t left; /* partitions that may still be told */
    const struct kafka_nodes *nodes;
    struct kp_describe_topic_partitions_response_next_cursor next;
    bool full;   /* next is where to go on */
    bool failed; /* the arena is used up */
};

static void kafka_page_partition(struct kafka_page *g, struct slice topic, int32_t index,
                                 struct kp_describe_topic_partitions_response_partition *a)
{
    struct broker_partition_info info;
    struct kafka_led led;
    int r = broker_partition(g->c->k->options.broker, topic, index, false, &info);
    ASSERT(r == 0);
    if (!kafka_nodes_partition(g->c, g->nodes, &info, &led))
        g->failed = true;
    *a = (struct kp_describe_topic_partitions_response_partition)
        KP_DESCRIBE_TOPIC_PARTITIONS_RESPONSE_PARTITION_INIT;
    a->error = led.error;
    a->index = index;
    a->leader_id = led.leader;
    a->leader_epoch = led.epoch;
    a->replicas = led.replicas;
    a->in_sync = led.in_sync;
    a->eligible = led.eligible;
    a->offline = led.offline;
    a->last_known.count = 0;
}

static void kafka_page_topic(struct kafka_page *g, const struct broker_topic_info *info,
                             int32_t from)
{
    int32_t here = from < info->partition_count ? info->partition_count - from : 0;
    int32_t take = here < g->left ? here : g->left;
    if (take < here) {
        g->full = true;
        g->next.topic = info->name;
        g->next.index = from + take;
    }
    if (take == 0 && here > 0) /* no room for any of it */
        return;
    struct kp_describe_topic_partitions_response_partition *p =
        kafka_alloc(g->c, (size_t)take, sizeof *p);
    struct kp_describe_topic_partitions_response_topic *t = &g->v[g->count++];
    *t = (struct kp_describe_topic_partitions_response_topic)
        KP_DESCRIBE_TOPIC_PARTITIONS_RESPONSE_TOPIC_INIT;
    t->name = info->name;
    memcpy(t->topic_id.b, info->id, sizeof t->topic_id.b);
    t->is_internal = info->internal;
    t->authorized_operations = KAFKA_TOPIC_OPERATIONS;
    t->partitions.v = p;
    t->partitions.count = take;
    g->left -= take;
    g->failed = p == NULL;
    for (int32_t i = 0; p != NULL && i < take; i++)
        kafka_page_partition(g, info->name, from + i, &p[i]);
}

static void kafka_page_missing(struct kafka_page *g, struct slice name)
{
    struct kp_describe_topic_partitions_response_topic *t = &g->v[g->count++];
    *t = (struct kp_describe_topic_partitions_response_topic)
        KP_DESCRIBE_TOPIC_PARTITIONS_RESPONSE_TOPIC_INIT;
    t->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    t->name = name;
}

static int kafka_page_order(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size > 0 ? memcmp(x->p, y->p, size) : 0;
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* Topics before the cursor were told; the cursor's own goes on at its partition. */
static int32_t kafka_page_from(const struct kafka_page *g, struct slice name, bool *before)
{
    const struct kp_describe_topic_partitions_request *q = g->c->request;
    *before = false;
    if (q->cursor == NULL)
        return 0;
    int order = kafka_page_order(&name, &q->cursor->topic);
    *before = order < 0;
    return order == 0 ? q->cursor->index : 0;
}

/* The topics that are named, sorted, each once. */
static void kafka_page_named(struct kafka_page *g)
{
    const struct kp_describe_topic_partitions_request *q = g->c->request;
    size_t count = (size_t)q->topics.count;
    struct slice *names = kafka_alloc(g->c, count, sizeof *names);
    g->v = kafka_alloc(g->c, count, sizeof *g->v);
    g->failed = names == NULL || g->v == NULL;
    for (size_t i = 0; !g->failed && i < count; i++)
        names[i] = q->topics.v[i].name;
    if (!g->failed)
        qsort(names, count, sizeof *names, kafka_page_order);
    for (size_t i = 0; i < count && !g->failed && !g->full; i++) {
        struct broker_topic_info info;
        bool before;
        int32_t from = kafka_page_from(g, names[i], &before);
        if (before || (i > 0 && slice_equal(names[i], names[i - 1])))
            continue;
        if (broker_topic(g->c->k->options.broker, names[i], &info) == 0)
            kafka_page_topic(g, &info, from);
        else
            kafka_page_missing(g, names[i]);
    }
}

static void kafka_page_all(struct kafka_page *g)
{
    struct broker *b = g->c->k->options.broker;
    struct broker_info total;
    struct broker_topic_info info;
    struct slice after = SLICE_NULL;
    broker_info(b, &total);
    size_t room = total.topics < KAFKA_PARTITIONS_MAX ? total.topics : KAFKA_PARTITIONS_MAX;
    g->v = kafka_alloc(g->c, room, sizeof *g->v); /* each has at least one partition, or is last */
    g->failed = g->v == NULL;
    for (; !g->failed && !g->full && broker_topic_after(b, after, &info) == 0; after = info.name) {
        bool before;
        int32_t from = kafka_page_from(g, info.name, &before);
        if (!before && from < info.partition_count)
            kafka_page_topic(g, &info, from);
    }
}

/* Names are borrowed: nothing changes topics before the answer is encoded. */
void kafka_describe_topic_partitions(struct kafka_call *c)
{
    const struct kp_describe_topic_partitions_request *q = c->request;
    struct kp_describe_topic_partitions_response a = KP_DESCRIBE_TOPIC_PARTITIONS_RESPONSE_INIT;
    struct kafka_page g = {.c = c, .left = q->partition_limit, .nodes = kafka_nodes(c)};
    if (q->topics.count > KAFKA_ITEMS_MAX || q->partition_limit < 1 ||
        (q->cursor != NULL && q->cursor->index < 0)) {
        kafka_refuse(c, "a limit, a cursor or topics that cannot be");
        return;
    }
    if (g.left > KAFKA_PARTITIONS_MAX)
        g.left = KAFKA_PARTITIONS_MAX;
    if (g.nodes == NULL)
        g.failed = true;
    else if (q->topics.count > 0)
        kafka_page_named(&g);
    else
        kafka_page_all(&g);
    if (g.failed) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.topics.v = g.v;
    a.topics.count = (int32_t)g.count;
    a.next_cursor = g.full ? &g.next : NULL;
    kafka_answer(c, &a);
}
