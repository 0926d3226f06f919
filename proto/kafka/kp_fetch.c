/* SPDX-License-Identifier: MIT
 *
 * kp_fetch: see kp_fetch.h. Each put_ function is a walk over struct kp_out, run twice: counting,
 * then writing.
 */
#include "proto/kafka/kp_fetch.h"

#include "proto/kafka/kp_priv.h"

#define KP_FETCH_WITH_SESSION   7  /* and error, forgotten topics */
#define KP_FETCH_WITH_ID        13 /* topics by id */
#define KP_FETCH_WITH_STATE     15 /* the replica's id is in a tag */
#define KP_FETCH_WITH_NODES     16
#define KP_FETCH_WITH_DIRECTORY 17

/* The fewest bytes of a topic, a partition and a forgotten topic. */
#define KP_FETCH_TOPIC_MIN     3u
#define KP_FETCH_PARTITION_MIN 16u

static struct kp_in kp_fetch_in(int16_t version, struct slice body)
{
    struct kp_kind kind = {KP_API_FETCH, KP_REQUEST, version};
    ASSERT(kp_is_known(kind.api, version));
    return kp_in_of(body, kind, NULL);
}

static void kp_fetch_read_name(struct kp_in *in, struct slice *name, struct kp_uuid *id)
{
    *name = SLICE_NULL;
    *id = (struct kp_uuid){{0}};
    if (in->version >= KP_FETCH_WITH_ID)
        *id = kp_in_uuid(in);
    else
        *name = kp_in_string(in, false, false);
}

static void kp_fetch_read_topic(struct kp_in *in, struct kp_fetch_topic *t)
{
    kp_fetch_read_name(in, &t->name, &t->topic_id);
    t->partition_count = kp_in_count(in, false, KP_FETCH_PARTITION_MIN);
}

/* The tag section of a partition. */
static void kp_fetch_read_directory(struct kp_in *in, struct kp_uuid *directory)
{
    struct kp_tags tags;
    kp_in_tags(in, &tags);
    while (kp_in_tag(in, &tags)) {
        if (tags.number == 0 && in->version >= KP_FETCH_WITH_DIRECTORY)
            *directory = kp_in_uuid(&tags.in);
        else
            kp_in_tag_skip(&tags);
        kp_in_tag_end(in, &tags);
    }
}

static void kp_fetch_read_partition(struct kp_in *in, struct kp_fetch_request_partition *p)
{
    *p = (struct kp_fetch_request_partition)KP_FETCH_REQUEST_PARTITION_INIT;
    p->index = kp_in_i32(in);
    if (in->version >= 9)
        p->leader_epoch = kp_in_i32(in);
    p->fetch_offset = kp_in_i64(in);
    if (in->version >= 12)
        p->last_fetched_epoch = kp_in_i32(in);
    if (in->version >= 5)
        p->log_start_offset = kp_in_i64(in);
    p->max_bytes = kp_in_i32(in);
    if (in->flexible)
        kp_fetch_read_directory(in, &p->replica_directory);
}

static void kp_fetch_read_forgotten(struct kp_in *in, struct kp_fetch_forgotten *f)
{
    kp_fetch_read_name(in, &f->name, &f->topic_id);
    f->count = kp_in_count(in, false, sizeof(int32_t));
    f->indexes = kp_in_take(in, (size_t)f->count * sizeof(int32_t));
    kp_in_skip_tags(in);
}

/* Walks the topics; gives the number of partitions. */
static int32_t kp_fetch_walk_topics(struct kp_in *in, int32_t topic_count)
{
    struct kp_fetch_topic t;
    struct kp_fetch_request_partition p;
    int32_t count = 0;
    for (int32_t i = 0; i < topic_count && in->bad == 0; i++) {
        kp_fetch_read_topic(in, &t);
        for (int32_t k = 0; k < t.partition_count && in->bad == 0; k++) {
            kp_fetch_read_partition(in, &p);
            count++;
        }
        kp_in_skip_tags(in);
    }
    return count;
}

static void kp_fetch_walk_forgotten(struct kp_in *in, struct kp_fetch *r)
{
    struct kp_fetch_forgotten f;
    r->forgotten_count = kp_in_count(in, false, KP_FETCH_TOPIC_MIN);
    r->forgotten_left = r->forgotten_count;
    r->forgotten = (struct kp_fetch_place){in->p, in->left};
    for (int32_t i = 0; i < r->forgotten_count && in->bad == 0; i++)
        kp_fetch_read_forgotten(in, &f);
}

/* The tag section of the request. */
static void kp_fetch_read_tags(struct kp_in *in, struct kp_fetch *r)
{
    struct kp_tags tags;
    kp_in_tags(in, &tags);
    while (kp_in_tag(in, &tags)) {
        if (tags.number == 0) {
            r->cluster_id = kp_in_string(&tags.in, true, false);
        } else if (tags.number == 1 && in->version >= KP_FETCH_WITH_STATE) {
            r->replica_id = kp_in_i32(&tags.in);
            r->replica_epoch = kp_in_i64(&tags.in);
            kp_in_skip_tags(&tags.in);
        } else {
            kp_in_tag_skip(&tags);
        }
        kp_in_tag_end(in, &tags);
    }
}

static void kp_fetch_read_limits(struct kp_in *in, struct kp_fetch *r)
{
    if (in->version < KP_FETCH_WITH_STATE)
        r->replica_id = kp_in_i32(in);
    r->max_wait_ms = kp_in_i32(in);
    r->min_bytes = kp_in_i32(in);
    r->max_bytes = kp_in_i32(in);
    r->isolation_level = kp_in_i8(in);
    if (in->version >= KP_FETCH_WITH_SESSION) {
        r->session_id = kp_in_i32(in);
        r->session_epoch = kp_in_i32(in);
    }
}

int kp_fetch_open(int16_t version, struct slice body, struct kp_fetch *out)
{
    struct kp_in in = kp_fetch_in(version, body);
    struct kp_fetch r = {
        .version = version, .replica_id = -1, .replica_epoch = -1, .session_epoch = -1};
    kp_fetch_read_limits(&in, &r);
    r.topic_count = kp_in_count(&in, false, KP_FETCH_TOPIC_MIN);
    r.topics_left = r.topic_count;
    r.topics = (struct kp_fetch_place){in.p, in.left};
    r.partition_count = kp_fetch_walk_topics(&in, r.topic_count);
    if (version >= KP_FETCH_WITH_SESSION)
        kp_fetch_walk_forgotten(&in, &r);
    if (version >= 11)
        r.rack_id = kp_in_string(&in, false, false);
    if (in.flexible)
        kp_fetch_read_tags(&in, &r);
    if (in.bad != 0)
        return in.bad;
    *out = r;
    return 0;
}

static struct kp_in kp_fetch_resume(const struct kp_fetch *r, const struct kp_fetch_place *place)
{
    return kp_fetch_in(r->version, slice_of(place->p, place->left));
}

static void kp_fetch_keep(struct kp_fetch_place *place, const struct kp_in *in)
{
    ASSERT(in->bad == 0); /* open has walked here */
    *place = (struct kp_fetch_place){in->p, in->left};
}

bool kp_fetch_next_topic(struct kp_fetch *r, struct kp_fetch_topic *out)
{
    struct kp_fetch_request_partition skipped;
    while (kp_fetch_next_partition(r, &skipped))
        ;
    if (r->topics_left == 0)
        return false;
    struct kp_in in = kp_fetch_resume(r, &r->topics);
    if (r->topics_left < r->topic_count)
        kp_in_skip_tags(&in); /* those of the topic before */
    kp_fetch_read_topic(&in, out);
    kp_fetch_keep(&r->topics, &in);
    r->topics_left--;
    r->partitions_left = out->partition_count;
    return true;
}

bool kp_fetch_next_partition(struct kp_fetch *r, struct kp_fetch_request_partition *out)
{
    if (r->partitions_left == 0)
        return false;
    struct kp_in in = kp_fetch_resume(r, &r->topics);
    kp_fetch_read_partition(&in, out);
    kp_fetch_keep(&r->topics, &in);
    r->partitions_left--;
    return true;
}

bool kp_fetch_next_forgotten(struct kp_fetch *r, struct kp_fetch_forgotten *out)
{
    if (r->forgotten_left == 0)
        return false;
    struct kp_in in = kp_fetch_resume(r, &r->forgotten);
    kp_fetch_read_forgotten(&in, out);
    kp_fetch_keep(&r->forgotten, &in);
    r->forgotten_left--;
    return true;
}

int32_t kp_fetch_forgotten_index(const struct kp_fetch_forgotten *f, int32_t i)
{
    ASSERT(i >= 0 && i < f->count);
    return (int32_t)bytes_be32(f->indexes + (size_t)i * sizeof(int32_t));
}

/* ---- The answer ---------------------------------------------------------------------------- */
static struct kp_out kp_fetch_counter(const struct kp_fetch_writer *w)
{
    return (struct kp_out){.version = w->version,
                           .flexible = kp_is_flexible(KP_API_FETCH, w->version)};
}

/* The counter was wound up: the writer over as much room. */
static struct kp_out kp_fetch_room(struct kp_fetch_writer *w, const struct kp_out *count)
{
    w->too_large = w->too_large || count->bad != 0;
    return kp_out_room(count, w->out);
}

static void kp_fetch_write_head(struct kp_out *out, int32_t correlation_id,
                                const struct kp_fetch_response *head, int32_t topic_count)
{
    struct kp_kind kind = {KP_API_FETCH, KP_RESPONSE, out->version};
    kp_out_i32(out, 0); /* the size, put in at the end */
    kp_write_response_header(out, kind, correlation_id);
    kp_out_i32(out, head->throttle_time_ms);
    if (out->version >= KP_FETCH_WITH_SESSION) {
        kp_out_i16(out, head->error);
        kp_out_i32(out, head->session_id);
    }
    (void)kp_out_count(out, topic_count, false);
}

/* The tag section of the answer; also behind the last topic, so it is written by end. */
static void kp_fetch_write_nodes(struct kp_out *out, const struct kp_fetch_response *head)
{
    int32_t count = kp_out_count(out, head->node_endpoints.count, false);
    for (int32_t i = 0; i < count; i++) {
        const struct kp_fetch_response_node *node = &head->node_endpoints.v[i];
        kp_out_i32(out, node->node_id);
        kp_out_string(out, node->host, false, false);
        kp_out_i32(out, node->port);
        kp_out_string(out, node->rack, true, false);
        kp_out_no_tags(out);
    }
}

static void kp_fetch_write_end(struct kp_out *out, const struct kp_fetch_response *head)
{
    if (out->version < KP_FETCH_WITH_NODES || head->node_endpoints.count <= 0) {
        kp_out_no_tags(out);
        return;
    }
    struct kp_out count = *out;
    count.p = NULL;
    count.size = 0;
    kp_fetch_write_nodes(&count, head);
    kp_out_uvarint(out, 1);
    kp_out_uvarint(out, 0);
    kp_out_uvarint(out, (uint32_t)count.size);
    kp_fetch_write_nodes(out, head);
}

static void kp_fetch_write_topic(struct kp_out *out, struct slice name,
                                 const struct kp_uuid *topic_id, int32_t partition_count)
{
    if (out->version >= KP_FETCH_WITH_ID)
        kp_out_uuid(out, topic_id);
    else
        kp_out_string(out, name, false, false);
    (void)kp_out_count(out, partition_count, false);
    if (partition_count == 0)
        kp_out_no_tags(out);
}

static void kp_fetch_write_partition(struct kp_out *out,
                                     const struct kp_fetch_response_partition *p)
{
    kp_out_i32(out, p->index);
    kp_out_i16(out, p->error);
    kp_out_i64(out, p->high_watermark);
    kp_out_i64(out, p->last_stable_offset);
    if (out->version >= 5)
        kp_out_i64(out, p->log_start_offset);
    int32_t count = kp_out_count(out, p->aborted.count, true);
    for (int32_t i = 0; i < count; i++) {
        kp_out_i64(out, p->aborted.v[i].producer_id);
        kp_out_i64(out, p->aborted.v[i].first_offset);
        kp_out_no_tags(out);
    }
    if (out->version >= 11)
        kp_out_i32(out, p->preferred_replica);
    kp_out_bytes_size(out, p->records.size < INT32_MAX ? p->records.size : 0);
}

/* A tagged pair of numbers, one of them 64 bits wide. */
static void kp_fetch_write_pair(struct kp_out *out, uint32_t tag, const int64_t v[2],
                                const bool wide[2])
{
    kp_out_uvarint(out, tag);
    kp_out_uvarint(out, 4u + (wide[0] ? 4 : 0) + 4u + (wide[1] ? 4 : 0) + 1);
    for (int i = 0; i < 2; i++) {
        if (wide[i])
            kp_out_i64(out, v[i]);
        else
            kp_out_i32(out, (int32_t)v[i]);
    }
    kp_out_no_tags(out);
}

/* Behind the records: the tags of the partition, and of its topic when it is the last. */
static void kp_fetch_write_tags(struct kp_out *out, const struct kp_fetch_response_partition *p,
                                bool is_last)
{
    const int64_t v[3][2] = {{p->diverging_epoch.epoch, p->diverging_epoch.end_offset},
                             {p->current_leader.leader_id, p->current_leader.leader_epoch},
                             {p->snapshot_id.end_offset, p->snapshot_id.epoch}};
    static const bool wide[3][2] = {{false, true}, {false, false}, {true, false}};
    uint32_t count = 0;
    for (int i = 0; i < 3; i++)
        count += v[i][0] != -1 || v[i][1] != -1;
    kp_out_uvarint(out, count);
    for (uint32_t i = 0; i < 3; i++) {
        if (v[i][0] != -1 || v[i][1] != -1)
            kp_fetch_write_pair(out, i, v[i], wide[i]);
    }
    if (is_last)
        kp_out_no_tags(out);
}

void kp_fetch_answer(struct kp_fetch_writer *w, int16_t version, int32_t correlation_id,
                     const struct kp_fetch_response *head, int32_t topic_count, struct buf *out)
{
    ASSERT(kp_is_known(KP_API_FETCH, version) && topic_count >= 0);
    *w = (struct kp_fetch_writer){
        .out = out, .begin = out->size, .version = version, .topics_left = topic_count};
    struct kp_out count = kp_fetch_counter(w);
    kp_fetch_write_head(&count, correlation_id, head, topic_count);
    struct kp_out o = kp_fetch_room(w, &count);
    kp_fetch_write_head(&o, correlation_id, head, topic_count);
    kp_out_done(&o, &count, w->out);
}

void kp_fetch_put_topic(struct kp_fetch_writer *w, struct slice name,
                        const struct kp_uuid *topic_id, int32_t partition_count)
{
    ASSERT(w->topics_left > 0 && w->partitions_left == 0 && partition_count >= 0);
    struct kp_out count = kp_fetch_counter(w);
    kp_fetch_write_topic(&count, name, topic_id, partition_count);
    struct kp_out o = kp_fetch_room(w, &count);
    kp_fetch_write_topic(&o, name, topic_id, partition_count);
    kp_out_done(&o, &count, w->out);
    w->topics_left--;
    w->partitions_left = partition_count;
}

size_t kp_fetch_put_partition(struct kp_fetch_writer *w,
                              const struct kp_fetch_response_partition *p)
{
    ASSERT(w->partitions_left > 0);
    struct kp_out count = kp_fetch_counter(w);
    kp_fetch_write_partition(&count, p);
    struct kp_out o = kp_fetch_room(w, &count);
    kp_fetch_write_partition(&o, p);
    kp_out_done(&o, &count, w->out);
    size_t cut = w->out->size;

    bool is_last = --w->partitions_left == 0;
    w->too_large = w->too_large || p->records.size >= INT32_MAX - w->records_size;
    if (!w->too_large)
        w->records_size += p->records.size;
    if (count.flexible) {
        count = kp_fetch_counter(w);
        kp_fetch_write_tags(&count, p, is_last);
        o = kp_fetch_room(w, &count);
        kp_fetch_write_tags(&o, p, is_last);
        kp_out_done(&o, &count, w->out);
    }
    return cut;
}

int kp_fetch_end(struct kp_fetch_writer *w, const struct kp_fetch_response *head)
{
    ASSERT(w->topics_left == 0 && w->partitions_left == 0);
    struct kp_out count = kp_fetch_counter(w);
    if (count.flexible) {
        kp_fetch_write_end(&count, head);
        struct kp_out o = kp_fetch_room(w, &count);
        kp_fetch_write_end(&o, head);
        kp_out_done(&o, &count, w->out);
    }
    size_t size = w->out->size - w->begin + w->records_size;
    if (w->too_large || size > INT32_MAX) {
        w->out->size = w->begin;
        return KP_TOO_LARGE;
    }
    bytes_put_be32(w->out->p + w->begin, (uint32_t)(size - KP_FRAME_PREFIX));
    return 0;
}
