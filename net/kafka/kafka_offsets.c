/* SPDX-License-Identifier: MIT
 *
 * kafka_offsets: ListOffsets and OffsetForLeaderEpoch.
 *
 *   ListOffsets -> asks, one for each partition -> those the broker can answer, in portions of
 *   KAFKA_ITEMS_MAX -> last completion -> asks and items to the answer, in the order of the request
 *
 *   timestamp   asks for                                    from version
 *   -1          end: the high watermark                     1
 *   -2          begin of the log                            1
 *   -3          record with the largest timestamp           7
 *   -4          begin of what is stored here: as -2         8
 *   -5          end of what is stored elsewhere: none       9
 *   >= 0        first record of this time or later          1
 *
 * The last stable offset is the high watermark while there are no transactions, so the isolation
 * level changes nothing. Both are answered by the leader of a partition: what a follower knows may
 * be old. ListOffsets with KAFKA_REPLICA_ANY, from tools, is answered wherever it is asked.
 */
#include "net/kafka/kafka_nodes.h"

#include <stdlib.h>

#define KAFKA_TIME_LATEST      (-1)
#define KAFKA_TIME_EARLIEST    (-2)
#define KAFKA_TIME_MAX         (-3)
#define KAFKA_TIME_LOCAL       (-4)
#define KAFKA_TIME_TIERED      (-5)

#define KAFKA_REPLICA_ANY      (-2)

#define KAFKA_NOT_YET_VERSION  5 /* the first that knows OFFSET_NOT_AVAILABLE */
#define KAFKA_MAX_TIME_VERSION 7 /* the first that knows these times */
#define KAFKA_LOCAL_VERSION    8
#define KAFKA_TIERED_VERSION   9

/* --- leader epochs (KIP-320) ------------------------------------------------------------------ */

/* What a client believes about the leader against what is so; -1 is no belief. */
static int16_t kafka_epoch_error(int32_t believed, int32_t epoch)
{
    ASSERT(epoch >= 0);
    if (believed < 0 || believed == epoch)
        return KAFKA_NONE;
    return believed < epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

/* --- ListOffsets ------------------------------------------------------------------------------ */

struct kafka_ask {
    const struct kp_list_offsets_request_partition *q;
    struct slice topic;
    const struct broker_offset_item *item; /* with the broker; NULL: settled by `error` */
    int16_t error;
};

struct kafka_list {
    struct kafka_ask *asks; /* in the order of the request */
    size_t count;
    struct broker_offset_item *items;
    struct broker_offsets *portions;
};

static bool kafka_time_known(int64_t timestamp, int16_t version)
{
    if (timestamp >= KAFKA_TIME_EARLIEST)
        return true;
    return (timestamp == KAFKA_TIME_MAX && version >= KAFKA_MAX_TIME_VERSION) ||
           (timestamp == KAFKA_TIME_LOCAL && version >= KAFKA_LOCAL_VERSION) ||
           (timestamp == KAFKA_TIME_TIERED && version >= KAFKA_TIERED_VERSION);
}

static int64_t kafka_time_of_broker(int64_t timestamp)
{
    if (timestamp == KAFKA_TIME_LATEST)
        return BROKER_OFFSET_LATEST;
    if (timestamp == KAFKA_TIME_MAX)
        return BROKER_OFFSET_MAX_TIME;
    ASSERT(timestamp >= 0 || timestamp == KAFKA_TIME_EARLIEST || timestamp == KAFKA_TIME_LOCAL ||
           timestamp == KAFKA_TIME_TIERED); /* the last for its errors only */
    return timestamp >= 0 ? timestamp : BROKER_OFFSET_EARLIEST;
}

static int kafka_ask_compare(const void *x, const void *y)
{
    const struct kafka_ask *a = *(struct kafka_ask *const *)x, *b = *(struct kafka_ask *const *)y;
    int r = (a->q->index > b->q->index) - (a->q->index < b->q->index);
    if (r != 0 || a->topic.p == b->topic.p)
        return r;
    if (a->topic.size != b->topic.size)
        return a->topic.size < b->topic.size ? -1 : 1;
    return a->topic.size == 0 ? 0 : memcmp(a->topic.p, b->topic.p, a->topic.size);
}

/* A partition that is asked for twice is told so each time. False when the arena is used up. */
static bool kafka_list_duplicates(struct kafka_call *c, const struct kafka_list *l)
{
    struct kafka_ask **sorted = kafka_alloc(c, l->count, sizeof(struct kafka_ask *));
    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < l->count; i++)
        sorted[i] = &l->asks[i];
    qsort(sorted, l->count, sizeof(struct kafka_ask *), kafka_ask_compare);
    for (size_t i = 1; i < l->count; i++)
        if (kafka_ask_compare(&sorted[i - 1], &sorted[i]) == 0)
            sorted[i - 1]->error = sorted[i]->error = KAFKA_INVALID_REQUEST;
    return true;
}

/* Only the leader answers; whoever knows another epoch of it is told that first. NONE too where
 * there is no such partition, as the broker will say. */
static int16_t kafka_list_check(struct kafka_call *c, const struct kafka_ask *ask)
{
    struct broker_partition_info info;
    struct broker_cluster_info cluster;
    broker_cluster_info(c->k->options.broker, &cluster);
    if (broker_partition(c->k->options.broker, ask->topic, ask->q->index, false, &info) != 0 ||
        (info.leader == c->k->node_id && cluster.changes_here))
        return KAFKA_NONE;
    int16_t epoch = kafka_epoch_error(ask->q->leader_epoch, info.epoch);
    return epoch != KAFKA_NONE ? epoch : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

/* ListOffsets before version 5 knows it as a leader that is not there yet. */
static int16_t kafka_list_error(const struct kafka_call *c, const struct kafka_ask *ask)
{
    if (ask->item == NULL)
        return ask->error;
    if (ask->item->status == BROKER_OFFSET_NOT_AVAILABLE && c->kind.version < KAFKA_NOT_YET_VERSION)
        return KAFKA_LEADER_NOT_AVAILABLE;
    return kafka_errmap(ask->item->status);
}

/* False when the arena is used up. */
static bool kafka_list_asks(struct kafka_call *c, struct kafka_list *l)
{
    const struct kp_list_offsets_request *q = c->request;
    for (int32_t i = 0; i < q->topics.count; i++)
        for (int32_t j = 0; j < q->topics.v[i].partitions.count; j++)
            l->count++;
    l->asks = kafka_alloc(c, l->count, sizeof *l->asks);
    if (l->asks == NULL)
        return false;
    struct kafka_ask *ask = l->asks;
    for (int32_t i = 0; i < q->topics.count; i++)
        for (int32_t j = 0; j < q->topics.v[i].partitions.count; j++, ask++) {
            ask->q = &q->topics.v[i].partitions.v[j];
            ask->topic = q->topics.v[i].name;
            if (!kafka_time_known(ask->q->timestamp, c->kind.version))
                ask->error = KAFKA_UNSUPPORTED_VERSION;
            else if (q->replica_id != KAFKA_REPLICA_ANY)
                ask->error = kafka_list_check(c, ask);
        }
    ASSERT(ask == l->asks + l->count);
    return kafka_list_duplicates(c, l);
}

static struct kp_list_offsets_response_partition kafka_list_partition(struct kafka_call *c,
                                                                      const struct kafka_ask *ask)
{
    struct kp_list_offsets_response_partition a = KP_LIST_OFFSETS_RESPONSE_PARTITION_INIT;
    struct broker_partition_info info;
    a.index = ask->q->index;
    a.error = kafka_list_error(c, ask);
    if (a.error != KAFKA_NONE)
        return a;
    ASSERT(ask->item != NULL);
    if (broker_partition(c->k->options.broker, ask->topic, a.index, false, &info) != 0)
        a.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION; /* deleted since */
    else
        a.error = kafka_epoch_error(ask->q->leader_epoch, info.epoch);
    if (a.error != KAFKA_NONE || ask->q->timestamp == KAFKA_TIME_TIERED)
        return a;
    a.timestamp = ask->item->found_timestamp_ms;
    a.offset = ask->item->offset;
    a.leader_epoch = ask->item->epoch;
    return a;
}

static void kafka_list_answer(struct kafka_call *c)
{
    const struct kp_list_offsets_request *q = c->request;
    const struct kafka_list *l = c->state;
    struct kp_list_offsets_response a = KP_LIST_OFFSETS_RESPONSE_INIT;
    struct kp_list_offsets_response_topic *topics = kafka_alloc(c, q->topics.count, sizeof *topics);
    struct kp_list_offsets_response_partition *v = kafka_alloc(c, l->count, sizeof *v);
    size_t at = 0;
    if (topics == NULL || v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->topics.count; i++) {
        topics[i].name = q->topics.v[i].name;
        topics[i].partitions.v = &v[at];
        topics[i].partitions.count = q->topics.v[i].partitions.count;
        for (int32_t j = 0; j < topics[i].partitions.count; j++, at++)
            v[at] = kafka_list_partition(c, &l->asks[at]);
    }
    ASSERT(at == l->count);
    a.topics.v = topics;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}

static void kafka_list_done(struct broker_offsets *req)
{
    struct kafka_call *c = req->ctx;
    ASSERT(c->state != NULL);
    if (kafka_end(c))
        kafka_list_answer(c);
}

/* Gives the broker what is not settled. */
static void kafka_list_start(struct kafka_call *c, struct kafka_list *l)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct kafka_ask *ask = &l->asks[i];
        if (ask->error != KAFKA_NONE)
            continue;
        ask->item = &l->items[count];
        l->items[count++] = (struct broker_offset_item){
            .topic = ask->topic,
            .partition = ask->q->index,
            .timestamp_ms = kafka_time_of_broker(ask->q->timestamp),
        };
    }
    kafka_run(c); /* for this function */
    for (size_t at = 0, i = 0; at < count; at += KAFKA_ITEMS_MAX, i++) {
        size_t left = count - at;
        l->portions[i] = (struct broker_offsets){
            .items = &l->items[at],
            .count = left < KAFKA_ITEMS_MAX ? left : KAFKA_ITEMS_MAX,
            .done = kafka_list_done,
            .ctx = c,
        };
        kafka_run(c);
        broker_offsets(c->k->options.broker, &l->portions[i]);
    }
    if (kafka_end(c))
        kafka_list_answer(c);
}

void kafka_list_offsets(struct kafka_call *c)
{
    struct kafka_list *l = kafka_alloc(c, 1, sizeof *l);
    bool good = l != NULL && kafka_list_asks(c, l);
    if (good) {
        l->items = kafka_alloc(c, l->count, sizeof *l->items);
        l->portions = kafka_alloc(c, l->count / KAFKA_ITEMS_MAX + 1, sizeof *l->portions);
        good = l->items != NULL && l->portions != NULL;
    }
    if (!good) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    c->state = l;
    kafka_list_start(c, l);
}

/* --- OffsetForLeaderEpoch (KIP-101, KIP-279) -------------------------------------------------- */

static struct kp_offset_for_leader_epoch_response_partition
kafka_epoch_partition(struct kafka_call *c, struct slice topic,
                      const struct kp_offset_for_leader_epoch_request_partition *q)
{
    struct kp_offset_for_leader_epoch_response_partition a =
        KP_OFFSET_FOR_LEADER_EPOCH_RESPONSE_PARTITION_INIT;
    struct broker_epoch end = {.topic = topic, .partition = q->index, .epoch = q->leader_epoch};
    struct broker_partition_info info;
    enum broker_status status =
        c->k->stopping ? BROKER_STOPPING : broker_epoch_end(c->k->options.broker, &end);
    a.index = q->index;
    a.error = kafka_errmap(status);
    if ((status == BROKER_OK || status == BROKER_NOT_LEADER) &&
        broker_partition(c->k->options.broker, topic, q->index, false, &info) == 0) {
        int16_t epoch = kafka_epoch_error(q->current_leader_epoch, info.epoch);
        a.error = epoch != KAFKA_NONE ? epoch : a.error;
    }
    if (a.error == KAFKA_NONE) {
        a.leader_epoch = end.found;
        a.end_offset = end.end;
    }
    return a;
}

/* False when the arena is used up. */
static bool kafka_epoch_topic(struct kafka_call *c,
                              const struct kp_offset_for_leader_epoch_request_topic *q,
                              struct kp_offset_for_leader_epoch_response_topic *a)
{
    struct kp_offset_for_leader_epoch_response_partition *v =
        kafka_alloc(c, q->partitions.count, sizeof *v);
    if (v == NULL)
        return false;
    for (int32_t i = 0; i < q->partitions.count; i++)
        v[i] = kafka_epoch_partition(c, q->name, &q->partitions.v[i]);
    a->name = q->name;
    a->partitions.v = v;
    a->partitions.count = q->partitions.count;
    return true;
}

void kafka_offset_for_leader_epoch(struct kafka_call *c)
{
    const struct kp_offset_for_leader_epoch_request *q = c->request;
    struct kp_offset_for_leader_epoch_response a = KP_OFFSET_FOR_LEADER_EPOCH_RESPONSE_INIT;
    struct kp_offset_for_leader_epoch_response_topic *v =
        kafka_alloc(c, q->topics.count, sizeof *v);
    bool good = v != NULL;
    for (int32_t i = 0; good && i < q->topics.count; i++)
        good = kafka_epoch_topic(c, &q->topics.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.topics.v = v;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}
