/* SPDX-License-Identifier: MIT
 *
 * kafka_fetch: Fetch, versions 4 to 17: the way to the broker. The way back is in
 * kafka_fetch_answer.c.
 *
 * A request becomes rows, one per partition that is read: those it names, or those of its session
 * (kafka_session.h). Rows without an error go to the broker as items of one broker_fetch, which
 * waits, bounds and pins. The answer is made of the rows again:
 *
 *   frame -> kp_fetch -> rows <- session         full: the rows of the frame; incremental: all of
 *                         |                      the session's, after its changes
 *                       items -> broker_fetch -> results -> session: which rows must be told
 *                                                              |
 *   out   | size, header, .. records size | tags .. records size | tags    (kp_fetch.h)
 *   sent  | out up to cut 0 | pinned bytes | out up to cut 1 | pinned bytes | rest of out
 *
 * Pins and `out` live until the answer has left: one piece's release lets go of both.
 *
 * A partition's error answers at once, without waiting: so do a request without partitions and one
 * that wants no wait. Offsets behind an error are -1, as Kafka sends them.
 *
 * A follower answers up to its own high watermark, from version 11 on and where it has a replica:
 * who asks in an older version, or another broker, is told who leads (KIP-951). What lies beyond
 * what it has is OFFSET_NOT_AVAILABLE: the leader may have it. A leader that is back and does not
 * know yet whether it leads still says NOT_LEADER_OR_FOLLOWER there, never OFFSET_OUT_OF_RANGE, at
 * which consumers begin anew. With the selector of racks a leader
 * sends a consumer to the in-sync replica in its rack (KIP-392), with no records.
 *
 * What differs from Kafka: no transactions yet, so the last stable offset is the high watermark. A
 * range that cannot be read from disk is KAFKA_STORAGE_ERROR, each time; where reading can go on is
 * logged once, for whoever is to move the consumer beyond. A session that ended while its request
 * waited is FETCH_SESSION_ID_NOT_FOUND: its client begins anew with a full fetch and loses nothing.
 *
 * Must not know: bytes of requests beyond kp_fetch, what is a batch beyond its codec and size.
 *
 * Failures: a body that does not decode, memory beyond the request's limit, and an answer beyond
 * 2 GiB end the connection.
 */
#include "net/kafka/kafka_fetch_priv.h"

#define KAFKA_FETCH_SIZE_MAX 57671680 /* Kafka's fetch.max.bytes */

/* --- rows ------------------------------------------------------------------------------------- */

/* The name of a topic by id, which may change while the request waits: a copy, shared by the rows
 * of one topic. False: the request's memory is at its limit. */
static bool kafka_fetch_name(struct kafka_call *c, struct kafka_fetch_row *row)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct broker_topic_info info;
    if (row > plan->rows && kafka_fetch_same_topic(plan, row - 1, row)) {
        row->name = row[-1].name;
        return true;
    }
    if (plan->by_id) {
        if (broker_topic_by_id(c->k->options.broker, row->id.b, &info) != 0)
            return true;
        row->name = info.name;
    }
    row->name = arena_copy(&c->r->arena, row->name);
    return row->name.p != NULL;
}

/* The rows of the request itself, whose names stay in its body. */
static bool kafka_fetch_rows_asked(struct kafka_call *c, struct kp_fetch q)
{
    struct kafka_fetch_plan *plan = c->state;
    struct kp_fetch_topic t;
    struct kp_fetch_request_partition p;
    bool good = true;
    plan->rows = kafka_alloc(c, (size_t)q.partition_count, sizeof *plan->rows);
    if (plan->rows == NULL)
        return false;
    while (good && kp_fetch_next_topic(&q, &t))
        while (good && kp_fetch_next_partition(&q, &p)) {
            struct kafka_fetch_row *row = &plan->rows[plan->count++];
            row->name = t.name;
            row->id = t.topic_id;
            row->index = p.index;
            row->leader_epoch = p.leader_epoch;
            row->max_bytes = p.max_bytes;
            row->offset = p.fetch_offset;
            good = !plan->by_id || kafka_fetch_name(c, row);
        }
    ASSERT(!good || plan->count == (size_t)q.partition_count);
    return good;
}

/* The rows of a session. Nothing of it is kept but `cached`: it may end while the request waits. */
static bool kafka_fetch_rows_cached(struct kafka_call *c, struct kafka_session *s)
{
    struct kafka_fetch_plan *plan = c->state;
    plan->rows = kafka_alloc(c, s->partitions.count, sizeof *plan->rows);
    if (plan->rows == NULL)
        return false;
    LIST_EACH (node, &s->order) {
        struct kafka_fetch_row *row = &plan->rows[plan->count++];
        row->cached = kafka_session_at(node);
        struct kafka_session_ask ask = kafka_session_asked(row->cached);
        if (plan->by_id)
            memcpy(row->id.b, ask.topic.p, sizeof row->id.b);
        else
            row->name = ask.topic;
        row->index = ask.index;
        row->leader_epoch = ask.leader_epoch;
        row->max_bytes = ask.max_bytes;
        row->offset = ask.fetch_offset;
        if (!kafka_fetch_name(c, row))
            return false;
    }
    return true;
}

/* --- sessions, when a request comes
 * ------------------------------------------------------------ */

static struct kafka_session_ask kafka_fetch_topic_ask(const struct kafka_fetch_plan *plan,
                                                      struct slice name, const struct kp_uuid *id)
{
    return (struct kafka_session_ask){.topic = plan->by_id ? slice_of(id->b, sizeof id->b) : name};
}

/* What the request changes: first what it adds, then what it forgets. False: there is no room. */
static bool kafka_fetch_change(struct kafka_call *c, struct kp_fetch q, struct kafka_session *s)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct kp_fetch_topic t;
    struct kp_fetch_request_partition p;
    struct kp_fetch_forgotten f;
    while (kp_fetch_next_topic(&q, &t))
        while (kp_fetch_next_partition(&q, &p)) {
            struct kafka_session_ask ask = kafka_fetch_topic_ask(plan, t.name, &t.topic_id);
            ask.index = p.index;
            ask.leader_epoch = p.leader_epoch;
            ask.max_bytes = p.max_bytes;
            ask.fetch_offset = p.fetch_offset;
            if (kafka_session_put(c->k->sessions, s, &ask) == NULL)
                return false;
        }
    while (kp_fetch_next_forgotten(&q, &f))
        for (int32_t i = 0; i < f.count; i++) {
            struct kafka_session_ask ask = kafka_fetch_topic_ask(plan, f.name, &f.topic_id);
            ask.index = kp_fetch_forgotten_index(&f, i);
            kafka_session_forget(c->k->sessions, s, &ask);
        }
    return true;
}

/* A full request: any session that it names ends. */
static int kafka_fetch_full(struct kafka_call *c, const struct kp_fetch *q)
{
    struct kafka_fetch_plan *plan = c->state;
    if (q->session_id != 0)
        kafka_session_close(c->k->sessions, q->session_id);
    plan->make_session = c->kind.version >= KAFKA_FETCH_WITH_SESSION && q->session_epoch == 0;
    return kafka_fetch_rows_asked(c, *q) ? 0 : -1;
}

/* 0, the error of the whole answer, or -1: the request's memory is at its limit. */
static int kafka_fetch_incremental(struct kafka_call *c, const struct kp_fetch *q)
{
    struct kafka_fetch_plan *plan = c->state;
    struct kafka_sessions *all = c->k->sessions;
    struct kafka_session_claim claim = {q->session_id, q->session_epoch, plan->by_id};
    struct kafka_session *s = NULL;
    int16_t error = kafka_session_enter(all, &claim, &s);
    if (error != 0)
        return error;
    if (!kafka_fetch_change(c, *q, s)) {
        kafka_session_close(all, q->session_id);
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (s->partitions.count == 0) { /* nothing left: it ends */
        kafka_session_close(all, q->session_id);
        return kafka_fetch_rows_asked(c, *q) ? 0 : -1;
    }
    kafka_session_step(all, s, kafka_fetch_now(c));
    plan->incremental = true;
    plan->session_id = q->session_id;
    plan->session_serial = s->serial;
    plan->session_epoch = s->epoch;
    return kafka_fetch_rows_cached(c, s) ? 0 : -1;
}

/* --- the request ------------------------------------------------------------------------------ */

/* KIP-392: the in-sync replica in the consumer's rack that has most of what it wants; -1: none, or
 * the leader is in that rack. */
static int32_t kafka_fetch_preferred(struct kafka_call *c, const struct kafka_fetch_row *row)
{
    struct kafka_fetch_plan *plan = c->state;
    struct broker_follower f;
    int32_t best = -1;
    int64_t end = -1;
    if (plan->rack.size == 0 || slice_equal(plan->rack, slice_str(c->k->rack)))
        return -1;
    if (plan->nodes == NULL)
        plan->nodes = kafka_nodes(c);
    for (size_t i = 0;
         plan->nodes != NULL &&
         broker_partition_follower(c->k->options.broker, row->name, row->index, i, &f) == 0;
         i++) {
        const struct kafka_node *n = kafka_nodes_told(plan->nodes, f.id);
        bool near = n != NULL && !n->silent && slice_equal(n->rack, plan->rack);
        if (near && f.in_sync && f.end >= row->offset && f.end > end) {
            best = f.id;
            end = f.end;
        }
    }
    return best;
}

/* KIP-320. */
static int16_t kafka_fetch_epoch(const struct kafka_fetch_row *row,
                                 const struct broker_partition_info *info)
{
    if (row->leader_epoch < 0 || info->log_start < 0 || row->leader_epoch == info->epoch)
        return 0;
    return row->leader_epoch < info->epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

static bool kafka_fetch_has_replica(const struct kafka_call *c,
                                    const struct broker_partition_info *info)
{
    for (size_t i = 0; i < info->replica_count; i++)
        if (info->replicas[i] == c->k->node_id)
            return true;
    return false;
}

/* What is known without the broker, which itself says what is to be said of a partition that is not
 * there. A follower serves those who know that there are such, and only what it replicates. */
static void kafka_fetch_check(struct kafka_call *c, struct kafka_fetch_row *row)
{
    struct broker_partition_info info;
    if (broker_partition(c->k->options.broker, row->name, row->index, true, &info) != 0)
        return;
    row->follower = info.leader != c->k->node_id;
    row->told.error = kafka_fetch_epoch(row, &info);
    if (row->told.error == 0 && row->follower &&
        (c->kind.version < KAFKA_FETCH_WITH_RACK || !kafka_fetch_has_replica(c, &info)))
        row->told.error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (row->told.error != 0 || row->follower || info.log_start < 0 || row->offset < info.log_start)
        return;
    row->preferred = kafka_fetch_preferred(c, row);
    row->told.elsewhere = row->preferred >= 0;
    row->told.high_watermark = info.high_watermark;
    row->told.log_start = info.log_start;
}

/* Gives the rows that can be read their items. True when one of the others is to be answered. */
static bool kafka_fetch_items(struct kafka_call *c, struct broker_fetch_item *items)
{
    struct kafka_fetch_plan *plan = c->state;
    bool at_once = false;
    c->fetch.items = items;
    for (size_t i = 0; i < plan->count; i++) {
        struct kafka_fetch_row *row = &plan->rows[i];
        row->preferred = -1;
        if (plan->by_id && row->name.p == NULL)
            row->told.error = KAFKA_UNKNOWN_TOPIC_ID;
        else
            kafka_fetch_check(c, row);
        at_once = at_once || row->told.error != 0 || row->preferred >= 0;
        if (row->told.error != 0 || row->preferred >= 0)
            continue;
        row->item = &items[c->fetch.count++];
        *row->item =
            (struct broker_fetch_item){.topic = row->name,
                                       .partition = row->index,
                                       .offset = row->offset,
                                       .size_max = row->max_bytes > 0 ? (size_t)row->max_bytes : 0};
    }
    return at_once;
}

static uint32_t kafka_fetch_bound(int32_t v, uint32_t max)
{
    uint32_t positive = v > 0 ? (uint32_t)v : 0;
    return positive < max ? positive : max;
}

/* No more at once than its quota allows in a whole window. */
static uint32_t kafka_fetch_size_max(const struct kafka_call *c)
{
    double bound = broker_quota_bound(c->k->options.broker, QUOTA_FETCH, c->client_id);
    bool quota = bound > 0 && bound < KAFKA_FETCH_SIZE_MAX;
    return quota ? (uint32_t)bound : (uint32_t)KAFKA_FETCH_SIZE_MAX;
}

/* False: the request's memory is at its limit. */
static bool kafka_fetch_start(struct kafka_call *c, const struct kp_fetch *q)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct broker_fetch_item *items = kafka_alloc(c, plan->count, sizeof *items);
    if (items == NULL)
        return false;
    bool at_once = kafka_fetch_items(c, items);
    ((struct kafka_fetch_plan *)c->state)->nodes = NULL; /* others, when it is answered */
    c->fetch.max_wait_ms = at_once ? 0 : kafka_fetch_bound(q->max_wait_ms, INT32_MAX);
    c->fetch.size_max = kafka_fetch_bound(q->max_bytes, kafka_fetch_size_max(c));
    c->fetch.min_size = kafka_fetch_bound(q->min_bytes, (uint32_t)c->fetch.size_max);
    c->fetch.done = kafka_fetch_done;
    c->fetch.ctx = c;
    kafka_run(c);
    broker_fetch(c->k->options.broker, &c->fetch);
    return true;
}

/* The error of a whole answer: no partitions, no session (KIP-227). */
static void kafka_fetch_answer_error(struct kafka_call *c, int16_t error)
{
    struct kp_fetch_response a = KP_FETCH_RESPONSE_INIT;
    a.error = error;
    kafka_answer(c, &a);
}

void kafka_fetch(struct kafka_call *c)
{
    struct kp_fetch q;
    struct kafka_fetch_plan *plan = kafka_alloc(c, 1, sizeof *plan);
    int r = plan == NULL ? KP_LIMIT : kp_fetch_open(c->kind.version, c->body, &q);
    if (r != 0) {
        kafka_refuse(c, kp_condition_text(r));
        return;
    }
    c->state = plan;
    plan->by_id = c->kind.version >= KAFKA_FETCH_WITH_ID;
    plan->committed = q.isolation_level != 0;
    if (c->k->rack_aware && q.replica_id < 0)
        plan->rack = q.rack_id;
    bool full = q.session_epoch == 0 || q.session_epoch == -1;
    r = full ? kafka_fetch_full(c, &q) : kafka_fetch_incremental(c, &q);
    if (r > 0)
        kafka_fetch_answer_error(c, (int16_t)r);
    else if (r < 0 || !kafka_fetch_start(c, &q))
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}
