/* SPDX-License-Identifier: MIT
 *
 * kafka_twin: see kafka_twin.h. Structs are compared by what they encode to.
 */
#include "kafka_twin.h"

#include "engine/base/assert.h"
#include "proto/kafka/kp_fetch.h"
#include "proto/kafka/kp_produce.h"

/* What the cursor of Produce tells, as the struct of the tables. */
static void kafka_twin_collect_produce(struct kp_produce *r, struct arena *a,
                                       struct kp_produce_request *out)
{
    struct kp_produce_topic t;
    struct kp_produce_partition p;
    int32_t partitions = 0;
    struct kp_produce_request_topic *topics =
        arena_array(a, (size_t)r->topic_count, sizeof *topics);
    *out = (struct kp_produce_request)KP_PRODUCE_REQUEST_INIT;
    out->transactional_id = r->transactional_id;
    out->acks = r->acks;
    out->timeout_ms = r->timeout_ms;
    for (out->topics.v = topics; kp_produce_next_topic(r, &t); out->topics.count++) {
        struct kp_produce_request_partition *to =
            arena_array(a, (size_t)t.partition_count, sizeof *to);
        struct kp_produce_request_topic *topic = &topics[out->topics.count];
        topic->name = t.name;
        topic->partitions.v = to;
        while (kp_produce_next_partition(r, &p)) {
            to[topic->partitions.count].index = p.index;
            to[topic->partitions.count++].records = p.records;
        }
        ASSERT(topic->partitions.count == t.partition_count);
        partitions += t.partition_count;
    }
    ASSERT(out->topics.count == r->topic_count && partitions == r->partition_count);
}

static void kafka_twin_collect_topics(struct kp_fetch *r, struct arena *a,
                                      struct kp_fetch_request *out)
{
    struct kp_fetch_topic t;
    int32_t partitions = 0;
    struct kp_fetch_request_topic *topics = arena_array(a, (size_t)r->topic_count, sizeof *topics);
    for (out->topics.v = topics; kp_fetch_next_topic(r, &t); out->topics.count++) {
        struct kp_fetch_request_partition *to =
            arena_array(a, (size_t)t.partition_count, sizeof *to);
        struct kp_fetch_request_topic *topic = &topics[out->topics.count];
        topic->name = t.name;
        topic->topic_id = t.topic_id;
        topic->partitions.v = to;
        while (topic->partitions.count < t.partition_count) {
            bool more = kp_fetch_next_partition(r, &to[topic->partitions.count++]);
            ASSERT(more);
        }
        partitions += t.partition_count;
    }
    ASSERT(out->topics.count == r->topic_count && partitions == r->partition_count);
}

static void kafka_twin_collect_forgotten(struct kp_fetch *r, struct arena *a,
                                         struct kp_fetch_request *out)
{
    struct kp_fetch_forgotten f;
    struct kp_fetch_request_forgotten *to = arena_array(a, (size_t)r->forgotten_count, sizeof *to);
    for (out->forgotten.v = to; kp_fetch_next_forgotten(r, &f); out->forgotten.count++) {
        struct kp_fetch_request_forgotten *one = &to[out->forgotten.count];
        int32_t *indexes = arena_array(a, (size_t)f.count, sizeof *indexes);
        one->name = f.name;
        one->topic_id = f.topic_id;
        one->indexes.v = indexes;
        one->indexes.count = f.count;
        for (int32_t i = 0; i < f.count; i++)
            indexes[i] = kp_fetch_forgotten_index(&f, i);
    }
    ASSERT(out->forgotten.count == r->forgotten_count);
}

/* What the cursor of Fetch tells, as the struct of the tables. */
static void kafka_twin_collect_fetch(struct kp_fetch *r, int16_t version, struct arena *a,
                                     struct kp_fetch_request *out)
{
    *out = (struct kp_fetch_request)KP_FETCH_REQUEST_INIT;
    out->cluster_id = r->cluster_id;
    if (version < 15)
        out->replica_id = r->replica_id;
    out->replica_state.replica_id = r->replica_id;
    out->replica_state.replica_epoch = r->replica_epoch;
    out->max_wait_ms = r->max_wait_ms;
    out->min_bytes = r->min_bytes;
    out->max_bytes = r->max_bytes;
    out->isolation_level = r->isolation_level;
    out->session_id = r->session_id;
    out->session_epoch = r->session_epoch;
    out->rack_id = r->rack_id;
    kafka_twin_collect_topics(r, a, out);
    kafka_twin_collect_forgotten(r, a, out);
}

static void kafka_twin_same_bytes(struct kp_kind kind, const void *a, const void *b)
{
    struct buf first = {0};
    struct buf second = {0};
    int r1 = kp_encode(kind, a, &first);
    int r2 = kp_encode(kind, b, &second);
    ASSERT(r1 == 0 && r2 == 0);
    ASSERT(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_deinit(&first);
    buf_deinit(&second);
}

void kafka_twin_request(struct kp_kind kind, struct slice body)
{
    union kp_any by_table, by_hand;
    struct kp_produce produce;
    struct kp_fetch fetch;
    struct slice in = body;
    struct arena a;
    if (kind.direction != KP_REQUEST || (kind.api != KP_API_PRODUCE && kind.api != KP_API_FETCH))
        return;
    arena_init(&a, 2 * KAFKA_TWIN_ARENA(body.size));
    int r = kp_decode(kind, &in, &a, &by_table);
    bool is_produce = kind.api == KP_API_PRODUCE;
    int h = is_produce ? kp_produce_open(kind.version, body, &produce)
                       : kp_fetch_open(kind.version, body, &fetch);
    ASSERT((r == 0) == (h == 0));
    if (r == 0 && is_produce)
        kafka_twin_collect_produce(&produce, &a, &by_hand.produce_request);
    else if (r == 0)
        kafka_twin_collect_fetch(&fetch, kind.version, &a, &by_hand.fetch_request);
    if (r == 0)
        kafka_twin_same_bytes(kind, &by_table, &by_hand);
    arena_deinit(&a);
}

static int kafka_twin_write_produce(struct kp_kind kind, const struct kp_produce_response *m,
                                    struct buf *out)
{
    struct kp_produce_writer w;
    kp_produce_answer(&w, kind.version, 77, m->topics.count, out);
    for (int32_t i = 0; i < m->topics.count; i++) {
        const struct kp_produce_response_topic *t = &m->topics.v[i];
        kp_produce_put_topic(&w, t->name, t->partitions.count);
        for (int32_t k = 0; k < t->partitions.count; k++)
            kp_produce_put_partition(&w, &t->partitions.v[k]);
    }
    return kp_produce_end(&w, m);
}

/* The frame with the records put in at their cuts. */
static int kafka_twin_write_fetch(struct kp_kind kind, const struct kp_fetch_response *m,
                                  struct buf *out)
{
    struct kp_fetch_writer w;
    struct buf head = {0};
    size_t sent = 0;
    kp_fetch_answer(&w, kind.version, 77, m, m->topics.count, &head);
    /* The size is written last, so it is copied last. */
    for (int32_t i = 0; i < m->topics.count; i++) {
        const struct kp_fetch_response_topic *t = &m->topics.v[i];
        kp_fetch_put_topic(&w, t->name, &t->topic_id, t->partitions.count);
        for (int32_t k = 0; k < t->partitions.count; k++) {
            size_t cut = kp_fetch_put_partition(&w, &t->partitions.v[k]);
            buf_append(out, head.p + sent, cut - sent);
            buf_append(out, t->partitions.v[k].records.p, t->partitions.v[k].records.size);
            sent = cut;
        }
    }
    int r = kp_fetch_end(&w, m);
    ASSERT(r != 0 || head.size >= sent);
    if (r == 0) {
        buf_append(out, head.p + sent, head.size - sent);
        memcpy(out->p, head.p, KP_FRAME_PREFIX);
    }
    buf_deinit(&head);
    return r;
}

/* The hand-written answer never sends null for records. */
static void kafka_twin_no_null(const struct kp_fetch_response *m)
{
    for (int32_t i = 0; i < m->topics.count; i++) {
        for (int32_t k = 0; k < m->topics.v[i].partitions.count; k++) {
            struct kp_fetch_response_partition *p =
                (struct kp_fetch_response_partition *)(uintptr_t)&m->topics.v[i].partitions.v[k];
            if (p->records.p == NULL)
                p->records = slice_of("", 0);
        }
    }
}

void kafka_twin_response(struct kp_kind kind, const union kp_any *m)
{
    struct buf by_table = {0};
    struct buf by_hand = {0};
    bool is_produce = kind.api == KP_API_PRODUCE;
    if (kind.direction != KP_RESPONSE || (!is_produce && kind.api != KP_API_FETCH))
        return;
    if (!is_produce)
        kafka_twin_no_null(&m->fetch_response);
    int r = kp_encode_response(kind, 77, m, &by_table);
    int h = is_produce ? kafka_twin_write_produce(kind, &m->produce_response, &by_hand)
                       : kafka_twin_write_fetch(kind, &m->fetch_response, &by_hand);
    ASSERT(r == h);
    ASSERT(r != 0 || slice_equal(buf_slice(&by_table), buf_slice(&by_hand)));
    buf_deinit(&by_table);
    buf_deinit(&by_hand);
}
