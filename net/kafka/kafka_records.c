/* SPDX-License-Identifier: MIT
 *
 * kafka_records: DeleteRecords (KIP-107), DescribeLogDirs (KIP-113, KIP-827), DescribeProducers
 * (KIP-664): what tools do to the inside of partitions, and see of it.
 *
 *   DeleteRecords      one trim of the broker for each partition; the answer waits until the last
 *                      log start is durable, so its timeout is no deadline for us
 *   DescribeLogDirs    one folder, the data folder. Partitions that are not there are left out, as
 *                      in Kafka. One that is not open yet counts as empty; all are opened in the
 *                      background
 *   DescribeProducers  there are no transactions: no coordinator, none begun
 */
#include "net/kafka/kafka_priv.h"

/* --- DeleteRecords ---------------------------------------------------------------------------- */

struct kafka_trims {
    struct broker_admin *v; /* in the order of the request */
    size_t count;
};

static int16_t kafka_trim_error(const struct kafka_call *c, const struct broker_admin *req)
{
    struct broker_topic_info info;
    if (req->status != BROKER_DENIED ||
        broker_topic(c->k->options.broker, req->topic, &info) != 0 || info.internal)
        return kafka_errmap(req->status);
    return KAFKA_POLICY_VIOLATION; /* its cleanup.policy */
}

static void kafka_trims_answer(struct kafka_call *c)
{
    const struct kp_delete_records_request *q = c->request;
    const struct kafka_trims *all = c->state;
    const struct broker_admin *req = all->v;
    struct kp_delete_records_response a = KP_DELETE_RECORDS_RESPONSE_INIT;
    struct kp_delete_records_response_topic *v = kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    struct kp_delete_records_response_partition *p = kafka_alloc(c, all->count, sizeof *p);
    if (v == NULL || p == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->topics.count; i++) {
        v[i].name = q->topics.v[i].name;
        v[i].partitions.v = p;
        v[i].partitions.count = q->topics.v[i].partitions.count;
        for (int32_t k = 0; k < v[i].partitions.count; k++, req++) {
            int16_t error = kafka_trim_error(c, req);
            *p++ = (struct kp_delete_records_response_partition){
                req->partitions, error == KAFKA_NONE ? req->log_start : -1, error};
        }
    }
    ASSERT(req == all->v + all->count);
    a.topics.v = v;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}

static void kafka_trims_done(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    if (kafka_end(c))
        kafka_trims_answer(c);
}

static size_t kafka_trims_count(const struct kp_delete_records_request *q)
{
    size_t count = 0;
    for (int32_t i = 0; i < q->topics.count; i++)
        count += (size_t)q->topics.v[i].partitions.count;
    return count;
}

/* One request for each partition. */
static void kafka_trims_fill(struct kafka_call *c, struct kafka_trims *all)
{
    const struct kp_delete_records_request *q = c->request;
    struct broker_admin *req = all->v;
    for (int32_t i = 0; i < q->topics.count; i++)
        for (int32_t k = 0; k < q->topics.v[i].partitions.count; k++)
            *req++ = (struct broker_admin){.op = BROKER_TOPIC_TRIM,
                                           .topic = q->topics.v[i].name,
                                           .partitions = q->topics.v[i].partitions.v[k].index,
                                           .before = q->topics.v[i].partitions.v[k].offset,
                                           .done = kafka_trims_done,
                                           .ctx = c};
    ASSERT(req == all->v + all->count);
}

void kafka_delete_records(struct kafka_call *c)
{
    size_t count = kafka_trims_count(c->request);
    struct kafka_trims *all = kafka_alloc(c, 1, sizeof *all);
    if (count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many partitions in one request");
        return;
    }
    if (all != NULL)
        all->v = kafka_alloc(c, count, sizeof *all->v);
    if (all == NULL || all->v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    all->count = count;
    kafka_trims_fill(c, all);
    c->state = all;
    kafka_run(c); /* for this function */
    for (size_t i = 0; i < count; i++) {
        kafka_run(c);
        broker_admin(c->k->options.broker, &all->v[i]);
    }
    if (kafka_end(c))
        kafka_trims_answer(c);
}

/* --- DescribeLogDirs -------------------------------------------------------------------------- */

/* Adds a partition if it is there. */
static void kafka_dirs_partition(struct kafka_call *c, struct slice topic, int32_t index,
                                 struct kp_describe_log_dirs_response_partition *v, int32_t *count)
{
    struct broker_partition_info info;
    if (broker_partition(c->k->options.broker, topic, index, false, &info) == 0)
        v[(*count)++] = (struct kp_describe_log_dirs_response_partition){
            .index = index, .size = (int64_t)info.size};
}

/* All partitions of a topic; false when the arena is used up. */
static bool kafka_dirs_topic(struct kafka_call *c, const struct broker_topic_info *info,
                             struct kp_describe_log_dirs_response_topic *t)
{
    struct kp_describe_log_dirs_response_partition *v =
        kafka_alloc(c, (size_t)info->partition_count, sizeof *v);
    t->name = info->name;
    t->partitions.v = v;
    for (int32_t i = 0; v != NULL && i < info->partition_count; i++)
        kafka_dirs_partition(c, info->name, i, v, &t->partitions.count);
    return v != NULL;
}

static bool kafka_dirs_all(struct kafka_call *c, struct kp_describe_log_dirs_response_result *r)
{
    struct broker *b = c->k->options.broker;
    struct broker_info total;
    struct broker_topic_info info;
    broker_info(b, &total);
    struct kp_describe_log_dirs_response_topic *v = kafka_alloc(c, total.topics, sizeof *v);
    bool good = v != NULL;
    for (struct slice after = SLICE_NULL; good && broker_topic_after(b, after, &info) == 0;) {
        ASSERT((size_t)r->topics.count < total.topics);
        good = kafka_dirs_topic(c, &info, &v[r->topics.count++]);
        after = info.name;
    }
    r->topics.v = v;
    return good;
}

static bool kafka_dirs_named(struct kafka_call *c, struct kp_describe_log_dirs_response_result *r)
{
    const struct kp_describe_log_dirs_request *q = c->request;
    struct kp_describe_log_dirs_response_topic *v =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    for (int32_t i = 0; v != NULL && i < q->topics.count; i++) {
        const struct kp_i32s *asked = &q->topics.v[i].partitions;
        struct kp_describe_log_dirs_response_topic *t = &v[r->topics.count];
        struct kp_describe_log_dirs_response_partition *p =
            kafka_alloc(c, (size_t)asked->count, sizeof *p);
        if (p == NULL)
            return false;
        *t = (struct kp_describe_log_dirs_response_topic){.name = q->topics.v[i].name};
        t->partitions.v = p;
        for (int32_t k = 0; k < asked->count; k++)
            kafka_dirs_partition(c, t->name, asked->v[k], p, &t->partitions.count);
        r->topics.count += t->partitions.count > 0;
    }
    r->topics.v = v;
    return v != NULL;
}

/* Names are borrowed: nothing changes topics before the answer is encoded. */
void kafka_describe_log_dirs(struct kafka_call *c)
{
    const struct kp_describe_log_dirs_request *q = c->request;
    struct kp_describe_log_dirs_response a = KP_DESCRIBE_LOG_DIRS_RESPONSE_INIT;
    struct kp_describe_log_dirs_response_result r = KP_DESCRIBE_LOG_DIRS_RESPONSE_RESULT_INIT;
    struct broker_info info;
    broker_info(c->k->options.broker, &info);
    r.log_dir = slice_str(info.dir);
    if (info.disk_size > 0) {
        r.total_bytes = (int64_t)info.disk_size;
        r.usable_bytes = (int64_t)info.disk_free_size;
    }
    bool all = q->topics.count < 0;
    if (!(all ? kafka_dirs_all(c, &r) : kafka_dirs_named(c, &r))) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.results.v = &r;
    a.results.count = 1;
    kafka_answer(c, &a);
}

/* --- DescribeProducers ------------------------------------------------------------------------ */

#define KAFKA_PRODUCERS_STEP 64

struct kafka_producers {
    struct kafka_call *c;
    struct kp_describe_producers_response_producer *v;
    size_t count;
    size_t room;
    bool failed; /* the arena is used up */
};

static void kafka_producers_one(void *ctx, const struct broker_producer *p)
{
    struct kafka_producers *l = ctx;
    if (l->count == l->room && !l->failed) { /* the old place stays in the arena: twice at most */
        size_t room = l->room == 0 ? KAFKA_PRODUCERS_STEP : l->room * 2;
        struct kp_describe_producers_response_producer *v = kafka_alloc(l->c, room, sizeof *v);
        l->failed = v == NULL;
        if (v != NULL && l->count > 0)
            memcpy(v, l->v, l->count * sizeof *v);
        l->v = v != NULL ? v : l->v;
        l->room = v != NULL ? room : l->room;
    }
    if (l->failed)
        return;
    l->v[l->count++] = (struct kp_describe_producers_response_producer){
        .id = p->id,
        .epoch = p->epoch,
        .last_sequence = p->last_sequence,
        .last_timestamp = p->last_ms,
        .coordinator_epoch = -1,
        .txn_start_offset = -1,
    };
}

/* False when the arena is used up. */
static bool kafka_producers_partition(struct kafka_call *c, struct slice topic, int32_t index,
                                      struct kp_describe_producers_response_partition *a)
{
    struct kafka_producers l = {.c = c};
    enum broker_status s =
        broker_producers(c->k->options.broker, topic, index, kafka_producers_one, &l);
    a->index = index;
    a->error = s == BROKER_LOADING ? KAFKA_NOT_LEADER_OR_FOLLOWER : kafka_errmap(s);
    if (s != BROKER_OK)
        a->error_message = slice_str(broker_status_text(s));
    a->producers.v = l.v;
    a->producers.count = (int32_t)l.count;
    return !l.failed;
}

static bool kafka_producers_topic(struct kafka_call *c,
                                  const struct kp_describe_producers_request_topic *q,
                                  struct kp_describe_producers_response_topic *a)
{
    struct kp_describe_producers_response_partition *v =
        kafka_alloc(c, (size_t)q->indexes.count, sizeof *v);
    bool good = v != NULL;
    a->name = q->name;
    a->partitions.v = v;
    a->partitions.count = q->indexes.count;
    for (int32_t i = 0; good && i < q->indexes.count; i++)
        good = kafka_producers_partition(c, q->name, q->indexes.v[i], &v[i]);
    return good;
}

void kafka_describe_producers(struct kafka_call *c)
{
    const struct kp_describe_producers_request *q = c->request;
    struct kp_describe_producers_response a = KP_DESCRIBE_PRODUCERS_RESPONSE_INIT;
    struct kp_describe_producers_response_topic *v =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    bool good = v != NULL;
    for (int32_t i = 0; good && i < q->topics.count; i++)
        good = kafka_producers_topic(c, &q->topics.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.topics.v = v;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}
