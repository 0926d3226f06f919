/* SPDX-License-Identifier: MIT
 *
 * kafka_produce: Produce and InitProducerId.
 *
 * The request is read in place (kp_produce.h): records stay where the frame has them, the broker
 * stamps and writes them from there. The answer goes once more through the topics of the request,
 * beside the results; that all of it is right was seen when it came.
 * acks=0 is not answered at all; when it fails, the end of the connection says so, as in Kafka.
 */
#include "net/kafka/kafka_nodes.h"
#include "proto/kafka/kp_produce.h"

#include <string.h>

#define KAFKA_PRODUCE_WITH_LEADER 10 /* KIP-951: tells who leads instead */

/* Transactions come with their coordinator; until then nobody may believe to be in one. */
static bool kafka_produce_transactional(const struct kp_produce *q)
{
    return q->transactional_id.p != NULL;
}

static int16_t kafka_produce_error(const struct kafka_call *c,
                                   const struct broker_produce_item *item)
{
    if (item->size == 0)
        return KAFKA_INVALID_RECORD;
    if (item->status == BROKER_BAD_REQUEST && (c->produce.acks < -1 || c->produce.acks > 1))
        return KAFKA_INVALID_REQUIRED_ACKS;
    return kafka_errmap(item->status);
}

/* *nodes is made for the first hint. */
static struct kp_produce_response_partition
kafka_produce_partition(struct kafka_call *c, const struct broker_produce_item *item,
                        struct kafka_nodes **nodes)
{
    struct kp_produce_response_partition p = KP_PRODUCE_RESPONSE_PARTITION_INIT;
    p.index = item->partition;
    p.error = kafka_produce_error(c, item);
    p.base_offset = p.error == 0 ? item->base_offset : -1;
    p.log_append_time = p.error == 0 ? item->append_time_ms : -1;
    p.log_start_offset = item->log_start;
    if (p.error != 0 && item->message != NULL)
        p.error_message = slice_str(item->message);
    if (p.error != 0 && c->kind.version >= KAFKA_PRODUCE_WITH_LEADER) {
        struct kafka_hint_of of = {item->topic, item->partition, p.error};
        struct kafka_hint hint = kafka_nodes_hint(c, nodes, &of);
        p.current_leader.leader_id = hint.leader;
        p.current_leader.leader_epoch = hint.epoch;
    }
    return p;
}

/* The addresses of those that were named; without them where the arena is used up. */
static void kafka_produce_nodes(struct kafka_call *c, const struct kafka_nodes *nodes,
                                struct kp_produce_response *a)
{
    size_t count = kafka_nodes_hinted(nodes);
    struct kp_produce_response_node *v = count > 0 ? kafka_alloc(c, count, sizeof *v) : NULL;
    for (size_t i = 0; v != NULL && i < nodes->count; i++) {
        const struct kafka_node *n = &nodes->v[i];
        if (n->hinted)
            v[a->node_endpoints.count++] =
                (struct kp_produce_response_node){n->id, n->host, n->port, n->rack};
    }
    a->node_endpoints.v = v;
}

/* Topics and partitions in the order of the request. */
static void kafka_produce_write(struct kafka_call *c, struct kp_produce *q, struct buf *out)
{
    struct kp_produce_writer w;
    struct kp_produce_topic t;
    struct kp_produce_partition p;
    struct kafka_nodes *nodes = NULL;
    size_t i = 0;
    kp_produce_answer(&w, c->kind.version, c->correlation_id, q->topic_count, out);
    while (kp_produce_next_topic(q, &t)) {
        kp_produce_put_topic(&w, t.name, t.partition_count);
        while (kp_produce_next_partition(q, &p)) {
            struct kp_produce_response_partition a =
                kafka_produce_partition(c, &c->produce.items[i++], &nodes);
            kp_produce_put_partition(&w, &a);
        }
    }
    ASSERT(i == (size_t)q->partition_count);
    struct kp_produce_response rest = KP_PRODUCE_RESPONSE_INIT;
    kafka_produce_nodes(c, nodes, &rest);
    rest.throttle_time_ms = kafka_throttle_answer(c);
    int r = kp_produce_end(&w, &rest);
    ASSERT(r == 0); /* smaller than the request, but for error messages of ours */
}

static bool kafka_produce_failed(const struct kafka_call *c)
{
    for (size_t i = 0; i < c->produce.count; i++)
        if (kafka_produce_error(c, &c->produce.items[i]) != 0)
            return true;
    return false;
}

static void kafka_produce_answer(struct kafka_call *c)
{
    struct kp_produce q = *(const struct kp_produce *)c->state;
    if (c->produce.acks == 0) {
        if (kafka_produce_failed(c))
            kafka_refuse(c, "a record with acks=0 was not written");
        else
            kafka_answer_pieces(c, NULL, 0);
        return;
    }
    struct buf *out = &c->k->answer;
    buf_reset(out);
    kafka_produce_write(c, &q, out);
    kafka_answer_written(c);
}

static void kafka_produce_done(struct broker_produce *req)
{
    struct kafka_call *c = req->ctx;
    bool last = kafka_end(c);
    ASSERT(last && req == &c->produce);
    kafka_produce_answer(c);
}

/* The records lie in the frame, which is this request's alone. */
static uint8_t *kafka_produce_batch(const struct kafka_call *c, struct slice records)
{
    ASSERT(records.p >= c->r->body.p && records.p <= c->r->body.p + c->r->body.size);
    return (uint8_t *)(uintptr_t)records.p;
}

/* Keeps what was opened for the answer, and lays out the items. False: too many of them. */
static bool kafka_produce_items(struct kafka_call *c, const struct kp_produce *opened)
{
    struct kp_produce q = *opened;
    struct kp_produce_topic t;
    struct kp_produce_partition p;
    size_t count = 0;
    struct broker_produce_item *v = kafka_alloc(c, (size_t)q.partition_count, sizeof *v);
    struct kp_produce *kept = kafka_alloc(c, 1, sizeof *kept);
    if (v == NULL || kept == NULL)
        return false;
    *kept = *opened;
    c->state = kept;
    while (kp_produce_next_topic(&q, &t))
        while (kp_produce_next_partition(&q, &p)) {
            v[count] = (struct broker_produce_item){.topic = t.name, .partition = p.index};
            if (p.records.size > 0)
                v[count].batch = kafka_produce_batch(c, p.records);
            v[count++].size = p.records.size;
        }
    ASSERT(count == (size_t)q.partition_count);
    c->produce.items = v;
    c->produce.count = count;
    return true;
}

static void kafka_produce_refuse_all(struct kafka_call *c, enum broker_status status,
                                     const char *message)
{
    for (size_t i = 0; i < c->produce.count; i++) {
        c->produce.items[i].status = status;
        c->produce.items[i].message = message;
        c->produce.items[i].log_start = -1;
    }
    kafka_produce_answer(c);
}

void kafka_produce(struct kafka_call *c)
{
    struct kp_produce q;
    int r = kp_produce_open(c->kind.version, c->body, &q);
    if (r != 0) {
        kafka_refuse(c, kp_condition_text(r));
        return;
    }
    kafka_throttle_bytes(c, QUOTA_PRODUCE, c->r->body.size);
    c->produce.acks = q.acks;
    c->produce.timeout_ms = q.timeout_ms > 0 ? (uint32_t)q.timeout_ms : 0;
    c->produce.done = kafka_produce_done;
    c->produce.ctx = c;
    if (!kafka_produce_items(c, &q)) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    } else if (kafka_produce_transactional(&q)) {
        kafka_produce_refuse_all(c, BROKER_BATCH_INVALID, "transactions are not served yet");
    } else {
        kafka_run(c);
        broker_produce(c->k->options.broker, &c->produce);
    }
}

/* --- InitProducerId (KIP-98, KIP-360) --------------------------------------------------------- */

/* Idempotent producers ask any broker: a follower asks the leader. Whatever keeps an id from being
 * handed out passes by itself; what Kafka says when a block of ids is late is the one error that
 * every client tries again after, and most give up after a timeout. */

static void kafka_init_producer_done(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    struct kp_init_producer_id_response a = KP_INIT_PRODUCER_ID_RESPONSE_INIT;
    bool last = kafka_end(c);
    ASSERT(last);
    a.error = req->status == BROKER_OK ? KAFKA_NONE : KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (req->status == BROKER_OK) {
        a.producer_id = req->producer_id;
        a.producer_epoch = req->producer_epoch;
    }
    kafka_answer(c, &a);
}

void kafka_init_producer_id(struct kafka_call *c)
{
    const struct kp_init_producer_id_request *q = c->request;
    struct kp_init_producer_id_response a = KP_INIT_PRODUCER_ID_RESPONSE_INIT;
    a.producer_epoch = -1;
    if ((q->producer_id < 0) != (q->producer_epoch < 0))
        a.error = KAFKA_INVALID_REQUEST;
    else if (q->transactional_id.p != NULL)
        a.error = q->transactional_id.size == 0 ? KAFKA_INVALID_REQUEST : KAFKA_UNSUPPORTED_VERSION;
    struct broker_admin *req = kafka_alloc(c, 1, sizeof *req);
    if (req == NULL)
        a.error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (a.error != 0) {
        kafka_answer(c, &a);
        return;
    }
    *req = (struct broker_admin){
        .op = BROKER_INIT_PRODUCER, .forward = true, .done = kafka_init_producer_done, .ctx = c};
    kafka_run(c);
    broker_admin(c->k->options.broker, req);
}
