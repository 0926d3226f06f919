/* SPDX-License-Identifier: MIT
 *
 * kp_produce: see kp_produce.h. Each put_ function asks for the most room that its part can take,
 * and writes once.
 */
#include "proto/kafka/kp_produce.h"

#include "proto/kafka/kp_priv.h"

/* The fewest bytes of a topic and of a partition: a size or two counts, and tags. */
#define KP_PRODUCE_TOPIC_MIN(flexible)     ((flexible) ? 3u : 6u)
#define KP_PRODUCE_PARTITION_MIN(flexible) ((flexible) ? 6u : 8u)

/* The most that the parts of an answer take, without their strings: a size or count at most five
 * bytes, a tag section without tags one. */
#define KP_PRODUCE_START_MAX  14u /* frame's size, correlation id, tags, count of topics */
#define KP_PRODUCE_TOPIC_MAX  11u
#define KP_PRODUCE_ANSWER_MAX 53u /* numbers 30, two sizes 10, leader 12, tags of the topic 1 */
#define KP_PRODUCE_ERROR_MAX  10u
#define KP_PRODUCE_REST_MAX   16u
#define KP_PRODUCE_NODE_MAX   19u

static struct kp_in kp_produce_in(int16_t version, struct slice body)
{
    struct kp_kind kind = {KP_API_PRODUCE, KP_REQUEST, version};
    ASSERT(kp_is_known(kind.api, version));
    return kp_in_of(body, kind, NULL);
}

static void kp_produce_read_topic(struct kp_in *in, struct kp_produce_topic *t)
{
    t->name = kp_in_string(in, false, false);
    t->partition_count = kp_in_count(in, false, KP_PRODUCE_PARTITION_MIN(in->flexible));
}

static void kp_produce_read_partition(struct kp_in *in, struct kp_produce_partition *p)
{
    p->index = kp_in_i32(in);
    p->records = kp_in_bytes(in, true, false);
    kp_in_skip_tags(in);
}

/* Walks the topics to the end of the body; gives the number of partitions. */
static int32_t kp_produce_walk(struct kp_in *in, int32_t topic_count)
{
    struct kp_produce_topic t;
    struct kp_produce_partition p;
    int32_t count = 0;
    for (int32_t i = 0; i < topic_count && in->bad == 0; i++) {
        kp_produce_read_topic(in, &t);
        for (int32_t k = 0; k < t.partition_count && in->bad == 0; k++) {
            kp_produce_read_partition(in, &p);
            count++;
        }
        kp_in_skip_tags(in);
    }
    kp_in_skip_tags(in);
    return count;
}

int kp_produce_open(int16_t version, struct slice body, struct kp_produce *out)
{
    struct kp_in in = kp_produce_in(version, body);
    struct kp_produce r = {.version = version, .flexible = in.flexible};
    r.transactional_id = kp_in_string(&in, true, false);
    r.acks = kp_in_i16(&in);
    r.timeout_ms = kp_in_i32(&in);
    r.topic_count = kp_in_count(&in, false, KP_PRODUCE_TOPIC_MIN(in.flexible));
    r.topics_left = r.topic_count;
    r.p = in.p;
    r.left = in.left;
    r.partition_count = kp_produce_walk(&in, r.topic_count);
    if (in.bad != 0)
        return in.bad;
    *out = r;
    return 0;
}

/* The reader at the place of the walk, and back. */
static struct kp_in kp_produce_resume(const struct kp_produce *r)
{
    return (struct kp_in){
        .p = r->p, .left = r->left, .version = r->version, .flexible = r->flexible};
}

static void kp_produce_keep(struct kp_produce *r, const struct kp_in *in)
{
    ASSERT(in->bad == 0); /* open has walked here */
    r->p = in->p;
    r->left = in->left;
}

bool kp_produce_next_topic(struct kp_produce *r, struct kp_produce_topic *out)
{
    struct kp_produce_partition skipped;
    while (kp_produce_next_partition(r, &skipped))
        ;
    if (r->topics_left == 0)
        return false;
    struct kp_in in = kp_produce_resume(r);
    if (r->topics_left < r->topic_count)
        kp_in_skip_tags(&in); /* those of the topic before */
    kp_produce_read_topic(&in, out);
    kp_produce_keep(r, &in);
    r->topics_left--;
    r->partitions_left = out->partition_count;
    return true;
}

bool kp_produce_next_partition(struct kp_produce *r, struct kp_produce_partition *out)
{
    if (r->partitions_left == 0)
        return false;
    struct kp_in in = kp_produce_resume(r);
    kp_produce_read_partition(&in, out);
    kp_produce_keep(r, &in);
    r->partitions_left--;
    return true;
}

/* ---- The answer ---------------------------------------------------------------------------- */
/* The writer over room at the end of the buffer, and the buffer's new size. */
static struct kp_out kp_produce_room(const struct kp_produce_writer *w, size_t size_max)
{
    buf_reserve(w->out, size_max);
    return (struct kp_out){
        .p = w->out->p + w->out->size, .version = w->version, .flexible = w->flexible};
}

static void kp_produce_wrote(struct kp_produce_writer *w, const struct kp_out *o, size_t size_max)
{
    ASSERT(o->size <= size_max && o->p == w->out->p + w->out->size);
    w->too_large = w->too_large || o->bad != 0;
    w->out->size += o->size;
}

static void kp_produce_write_start(struct kp_out *out, int32_t correlation_id, int32_t topic_count)
{
    struct kp_kind kind = {KP_API_PRODUCE, KP_RESPONSE, out->version};
    kp_out_i32(out, 0); /* the size, put in at the end */
    kp_write_response_header(out, kind, correlation_id);
    (void)kp_out_count(out, topic_count, false);
}

void kp_produce_answer(struct kp_produce_writer *w, int16_t version, int32_t correlation_id,
                       int32_t topic_count, struct buf *out)
{
    ASSERT(kp_is_known(KP_API_PRODUCE, version) && topic_count >= 0);
    *w = (struct kp_produce_writer){.out = out,
                                    .begin = out->size,
                                    .version = version,
                                    .flexible = kp_is_flexible(KP_API_PRODUCE, version),
                                    .topics_left = topic_count};
    struct kp_out o = kp_produce_room(w, KP_PRODUCE_START_MAX);
    kp_produce_write_start(&o, correlation_id, topic_count);
    kp_produce_wrote(w, &o, KP_PRODUCE_START_MAX);
}

static void kp_produce_write_topic(struct kp_out *out, struct slice name, int32_t partition_count)
{
    kp_out_string(out, name, false, false);
    (void)kp_out_count(out, partition_count, false);
    if (partition_count == 0)
        kp_out_no_tags(out);
}

void kp_produce_put_topic(struct kp_produce_writer *w, struct slice name, int32_t partition_count)
{
    ASSERT(w->topics_left > 0 && w->partitions_left == 0 && partition_count >= 0);
    size_t size_max = KP_PRODUCE_TOPIC_MAX + name.size;
    struct kp_out o = kp_produce_room(w, size_max);
    kp_produce_write_topic(&o, name, partition_count);
    kp_produce_wrote(w, &o, size_max);
    w->topics_left--;
    w->partitions_left = partition_count;
}

static void kp_produce_write_errors(struct kp_out *out,
                                    const struct kp_produce_response_partition *p)
{
    int32_t count = kp_out_count(out, p->record_errors.count, false);
    for (int32_t i = 0; i < count; i++) {
        kp_out_i32(out, p->record_errors.v[i].batch_index);
        kp_out_string(out, p->record_errors.v[i].message, true, false);
        kp_out_no_tags(out);
    }
    kp_out_string(out, p->error_message, true, false);
}

/* The tag section of a partition: who leads, where that was told. */
static void kp_produce_write_leader(struct kp_out *out,
                                    const struct kp_produce_response_leader *leader)
{
    if (out->version < 10 || (leader->leader_id == -1 && leader->leader_epoch == -1)) {
        kp_out_no_tags(out);
        return;
    }
    kp_out_uvarint(out, 1);
    kp_out_uvarint(out, 0);
    kp_out_uvarint(out, 9);
    kp_out_i32(out, leader->leader_id);
    kp_out_i32(out, leader->leader_epoch);
    kp_out_no_tags(out);
}

/* `is_last`: no partition follows, so the topic ends here. */
static void kp_produce_write_partition(struct kp_out *out,
                                       const struct kp_produce_response_partition *p, bool is_last)
{
    kp_out_i32(out, p->index);
    kp_out_i16(out, p->error);
    kp_out_i64(out, p->base_offset);
    kp_out_i64(out, p->log_append_time);
    if (out->version >= 5)
        kp_out_i64(out, p->log_start_offset);
    if (out->version >= 8)
        kp_produce_write_errors(out, p);
    kp_produce_write_leader(out, &p->current_leader);
    if (is_last)
        kp_out_no_tags(out); /* of the topic */
}

static size_t kp_produce_partition_max(const struct kp_produce_response_partition *p)
{
    size_t size = KP_PRODUCE_ANSWER_MAX + p->error_message.size;
    for (int32_t i = 0; i < p->record_errors.count; i++)
        size += KP_PRODUCE_ERROR_MAX + p->record_errors.v[i].message.size;
    return size;
}

void kp_produce_put_partition(struct kp_produce_writer *w,
                              const struct kp_produce_response_partition *p)
{
    ASSERT(w->partitions_left > 0);
    bool is_last = --w->partitions_left == 0;
    size_t size_max = kp_produce_partition_max(p);
    struct kp_out o = kp_produce_room(w, size_max);
    kp_produce_write_partition(&o, p, is_last);
    kp_produce_wrote(w, &o, size_max);
}

static void kp_produce_write_nodes(struct kp_out *out, const struct kp_produce_response *rest)
{
    int32_t count = kp_out_count(out, rest->node_endpoints.count, false);
    for (int32_t i = 0; i < count; i++) {
        const struct kp_produce_response_node *node = &rest->node_endpoints.v[i];
        kp_out_i32(out, node->node_id);
        kp_out_string(out, node->host, false, false);
        kp_out_i32(out, node->port);
        kp_out_string(out, node->rack, true, false);
        kp_out_no_tags(out);
    }
}

static void kp_produce_write_rest(struct kp_out *out, const struct kp_produce_response *rest)
{
    kp_out_i32(out, rest->throttle_time_ms);
    if (out->version < 10 || rest->node_endpoints.count <= 0) {
        kp_out_no_tags(out);
        return;
    }
    struct kp_out count = *out;
    count.p = NULL;
    count.size = 0;
    kp_produce_write_nodes(&count, rest);
    kp_out_uvarint(out, 1);
    kp_out_uvarint(out, 0);
    kp_out_uvarint(out, (uint32_t)count.size);
    kp_produce_write_nodes(out, rest);
}

static size_t kp_produce_rest_max(const struct kp_produce_response *rest)
{
    size_t size = KP_PRODUCE_REST_MAX;
    for (int32_t i = 0; i < rest->node_endpoints.count; i++)
        size += KP_PRODUCE_NODE_MAX + rest->node_endpoints.v[i].host.size +
                rest->node_endpoints.v[i].rack.size;
    return size;
}

int kp_produce_end(struct kp_produce_writer *w, const struct kp_produce_response *rest)
{
    ASSERT(w->topics_left == 0 && w->partitions_left == 0);
    size_t size_max = kp_produce_rest_max(rest);
    struct kp_out o = kp_produce_room(w, size_max);
    kp_produce_write_rest(&o, rest);
    kp_produce_wrote(w, &o, size_max);
    size_t size = w->out->size - w->begin;
    if (w->too_large || size > INT32_MAX) {
        w->out->size = w->begin;
        return KP_TOO_LARGE;
    }
    bytes_put_be32(w->out->p + w->begin, (uint32_t)(size - KP_FRAME_PREFIX));
    return 0;
}
