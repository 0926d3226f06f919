/* SPDX-License-Identifier: MIT
 *
 * kafka_group_offsets: OffsetCommit, OffsetFetch, OffsetDelete: how far a group has come.
 *
 *   OffsetCommit, OffsetDelete -> items, one for each partition -> portions of KAFKA_ITEMS_MAX to
 *   the broker -> last completion -> one answer, in the order of the request
 *   OffsetFetch -> memory only, answered at once
 *
 * The first portion that fails as a whole speaks for all of them: what is committed twice does no
 * harm.
 *
 *   OffsetFetch     an error of the whole group     groups in one request
 *   1               at each partition               1
 *   2-7             beside the topics, of none      1
 *   8-9             at the group, without topics    many
 *
 * Every version is answered from the form of 8: kafka_fetched_old makes the older one of it. Where
 * nothing is committed the offset is -1 without an error, whether or not group and topic exist.
 */
#include "net/kafka/kafka_group_priv.h"

#define KAFKA_EPOCH_VERSION  9 /* of OffsetCommit: knows the newer groups and their errors */
#define KAFKA_ERROR_VERSION  2 /* of OffsetFetch: see above */
#define KAFKA_GROUPS_VERSION 8

/* --- items ------------------------------------------------------------------------------------ */

struct kafka_items {
    struct broker_group_offset_item *items;
    size_t count;
    struct broker_group **portions;
    size_t portion_count;
    void (*answer)(struct kafka_call *c); /* of the API */
};

/* Room for `count` items; NULL when the call was refused. */
static struct kafka_items *kafka_items_new(struct kafka_call *c, size_t count,
                                           void (*answer)(struct kafka_call *c))
{
    struct kafka_items *t = kafka_alloc(c, 1, sizeof *t);
    if (t != NULL) {
        *t = (struct kafka_items){.count = count, .answer = answer};
        t->items = kafka_alloc(c, count, sizeof *t->items);
        t->portion_count = count > 0 ? (count - 1) / KAFKA_ITEMS_MAX + 1 : 1;
        t->portions = kafka_alloc(c, t->portion_count, sizeof(struct broker_group *));
    }
    if (t == NULL || t->items == NULL || t->portions == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return NULL;
    }
    c->state = t;
    return t;
}

static void kafka_items_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    const struct kafka_items *t = c->state;
    ASSERT(t->portion_count > 0);
    if (kafka_end(c))
        t->answer(c);
}

/* Starts the portions, each like `first`; the call is the broker's, or refused. */
static void kafka_items_start(struct kafka_call *c, struct kafka_items *t,
                              const struct broker_group *first)
{
    for (size_t i = 0; i < t->portion_count; i++) {
        size_t at = i * KAFKA_ITEMS_MAX, left = t->count - at;
        struct broker_group *req = kafka_alloc(c, 1, sizeof *req);
        if (req == NULL) {
            kafka_refuse(c, kp_condition_text(KP_LIMIT));
            return;
        }
        *req = *first;
        req->commit.items = &t->items[at];
        req->commit.count = left < KAFKA_ITEMS_MAX ? left : KAFKA_ITEMS_MAX;
        t->portions[i] = req;
    }
    for (size_t i = 0; i < t->portion_count; i++)
        kafka_group_start(c, t->portions[i]);
}

/* What became of the request as a whole. */
static enum broker_status kafka_items_status(const struct kafka_items *t)
{
    for (size_t i = 0; i < t->portion_count; i++)
        if (t->portions[i]->status != BROKER_OK)
            return t->portions[i]->status;
    return BROKER_OK;
}

/* --- OffsetCommit ----------------------------------------------------------------------------- */

/* Old clients know neither the newer groups nor that a group can be missing. */
static int16_t kafka_commit_error(const struct kafka_call *c, enum broker_status status)
{
    bool old = c->kind.version < KAFKA_EPOCH_VERSION;
    if (old && (status == BROKER_MEMBER_EPOCH_STALE || status == BROKER_UNKNOWN_GROUP))
        return KAFKA_ILLEGAL_GENERATION;
    return kafka_errmap_group(status);
}

static void kafka_commit_answer(struct kafka_call *c)
{
    const struct kp_offset_commit_request *q = c->request;
    const struct kafka_items *t = c->state;
    const struct broker_group_offset_item *item = t->items;
    enum broker_status whole = kafka_items_status(t);
    struct kp_offset_commit_response a = KP_OFFSET_COMMIT_RESPONSE_INIT;
    struct kp_offset_commit_response_topic *topics =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *topics);
    struct kp_offset_commit_response_partition *v = kafka_alloc(c, t->count, sizeof *v);
    if (topics == NULL || v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->topics.count; i++) {
        topics[i].name = q->topics.v[i].name;
        topics[i].partitions.v = v;
        topics[i].partitions.count = q->topics.v[i].partitions.count;
        for (int32_t j = 0; j < topics[i].partitions.count; j++, item++)
            *v++ = (struct kp_offset_commit_response_partition){
                .index = item->partition,
                .error = kafka_commit_error(c, whole != BROKER_OK ? whole : item->status)};
    }
    ASSERT(item == t->items + t->count);
    a.topics.v = topics;
    a.topics.count = q->topics.count;
    kafka_answer(c, &a);
}

static void kafka_commit_items(const struct kp_offset_commit_request *q,
                               struct broker_group_offset_item *item)
{
    for (int32_t i = 0; i < q->topics.count; i++)
        for (int32_t j = 0; j < q->topics.v[i].partitions.count; j++, item++) {
            const struct kp_offset_commit_request_partition *p = &q->topics.v[i].partitions.v[j];
            *item = (struct broker_group_offset_item){
                .topic = q->topics.v[i].name,
                .partition = p->index,
                .offset = p->offset,
                .leader_epoch = p->leader_epoch,
                .metadata = p->metadata.p != NULL ? p->metadata : slice_str(""),
            };
        }
}

/* How long offsets are kept is the broker's to say: the retention of versions 2 to 4 is ignored. */
void kafka_offset_commit(struct kafka_call *c)
{
    const struct kp_offset_commit_request *q = c->request;
    struct broker_group *first =
        kafka_group_new(c, BROKER_GROUP_COMMIT, q->group_id, kafka_items_done);
    size_t count = 0;
    if (first == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->topics.count; i++)
        count += (size_t)q->topics.v[i].partitions.count;
    struct kafka_items *t = kafka_items_new(c, count, kafka_commit_answer);
    if (t == NULL)
        return;
    kafka_commit_items(q, t->items);
    first->member = q->member_id;
    first->instance = q->group_instance_id;
    first->generation = q->generation_id;
    kafka_items_start(c, t, first);
}

/* --- OffsetDelete (KIP-496) ------------------------------------------------------------------- */

/* To forget what was never committed is no error, unless there is no such partition either. */
static int16_t kafka_forget_error(const struct kafka_call *c,
                                  const struct broker_group_offset_item *item)
{
    struct broker_topic_info info;
    if (item->status == BROKER_UNKNOWN_PARTITION && item->partition >= 0 &&
        broker_topic(c->k->options.broker, item->topic, &info) == 0 &&
        item->partition < info.partition_count)
        return KAFKA_NONE;
    return kafka_errmap_group(item->status);
}

static void kafka_forget_answer(struct kafka_call *c)
{
    const struct kp_offset_delete_request *q = c->request;
    const struct kafka_items *t = c->state;
    const struct broker_group_offset_item *item = t->items;
    struct kp_offset_delete_response a = KP_OFFSET_DELETE_RESPONSE_INIT;
    struct kp_offset_delete_response_topic *topics =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *topics);
    struct kp_offset_delete_response_partition *v = kafka_alloc(c, t->count, sizeof *v);
    if (topics == NULL || v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.error = kafka_errmap_group(kafka_items_status(t));
    for (int32_t i = 0; i < q->topics.count && a.error == KAFKA_NONE; i++) {
        topics[i].name = q->topics.v[i].name;
        topics[i].partitions.v = v;
        topics[i].partitions.count = q->topics.v[i].partitions.count;
        for (int32_t j = 0; j < topics[i].partitions.count; j++, item++)
            *v++ = (struct kp_offset_delete_response_partition){
                .index = item->partition, .error = kafka_forget_error(c, item)};
        a.topics.count++;
    }
    a.topics.v = topics;
    kafka_answer(c, &a);
}

void kafka_offset_delete(struct kafka_call *c)
{
    const struct kp_offset_delete_request *q = c->request;
    struct broker_group *first =
        kafka_group_new(c, BROKER_GROUP_FORGET, q->group_id, kafka_items_done);
    size_t count = 0;
    if (first == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->topics.count; i++)
        count += (size_t)q->topics.v[i].partitions.count;
    struct kafka_items *t = kafka_items_new(c, count, kafka_forget_answer);
    if (t == NULL)
        return;
    struct broker_group_offset_item *item = t->items;
    for (int32_t i = 0; i < q->topics.count; i++)
        for (int32_t j = 0; j < q->topics.v[i].partitions.count; j++, item++)
            *item = (struct broker_group_offset_item){
                .topic = q->topics.v[i].name,
                .partition = q->topics.v[i].partitions.v[j].index,
                .offset = -1,
                .leader_epoch = -1,
            };
    kafka_items_start(c, t, first);
}

/* --- OffsetFetch ------------------------------------------------------------------------------ */

/* A group that is asked about, while its answer is made. */
struct kafka_fetched {
    struct kafka_call *c;
    struct kp_offset_fetch_response_group_topic *topics;
    struct kp_offset_fetch_response_group_partition *v;
    size_t topic_count;
    size_t count;
    struct slice last; /* the topic before in this walk, to see where the next begins */
    bool failed;       /* the arena is used up */
};

static void kafka_fetched_put(struct kafka_call *c, const struct broker_group_offset *o,
                              struct kp_offset_fetch_response_group_partition *p, bool *failed)
{
    p->offset = o->offset;
    p->leader_epoch = o->leader_epoch;
    p->metadata = kafka_group_copy(c, o->metadata, failed);
    if (p->metadata.p == NULL)
        p->metadata = slice_str("");
}

static struct kp_offset_fetch_response_group_partition kafka_fetched_none(int32_t index)
{
    struct kp_offset_fetch_response_group_partition p =
        KP_OFFSET_FETCH_RESPONSE_GROUP_PARTITION_INIT;
    p.index = index;
    p.offset = -1;
    p.metadata = slice_str("");
    return p;
}

static void kafka_fetched_count(void *ctx, const struct broker_group_offset *o)
{
    struct kafka_fetched *f = ctx;
    if (f->count++ == 0 || !slice_equal(f->last, o->topic))
        f->topic_count++;
    f->last = o->topic;
}

static void kafka_fetched_one(void *ctx, const struct broker_group_offset *o)
{
    struct kafka_fetched *f = ctx;
    if (f->count == 0 || !slice_equal(f->last, o->topic)) {
        struct kp_offset_fetch_response_group_topic *t = &f->topics[f->topic_count++];
        t->name = kafka_group_copy(f->c, o->topic, &f->failed);
        t->partitions.v = &f->v[f->count];
        f->last = o->topic;
    }
    struct kp_offset_fetch_response_group_partition *p = &f->v[f->count++];
    *p = kafka_fetched_none(o->partition);
    kafka_fetched_put(f->c, o, p, &f->failed);
    f->topics[f->topic_count - 1].partitions.count++;
}

/* Everything that is committed. False when the arena is used up. */
static bool kafka_fetched_all(struct kafka_call *c, struct slice group,
                              struct kp_offset_fetch_response_group *a)
{
    const struct broker *b = c->k->options.broker;
    struct kafka_fetched f = {.c = c};
    broker_group_offsets(b, group, false, kafka_fetched_count, &f);
    size_t topics = f.topic_count, count = f.count;
    f.topics = kafka_alloc(c, topics, sizeof *f.topics);
    f.v = kafka_alloc(c, count, sizeof *f.v);
    if (f.topics == NULL || f.v == NULL)
        return false;
    f.topic_count = f.count = 0;
    broker_group_offsets(b, group, false, kafka_fetched_one, &f);
    ASSERT(f.topic_count == topics && f.count == count);
    a->topics.v = f.topics;
    a->topics.count = (int32_t)topics;
    return !f.failed;
}

/* The partitions of one topic. With an error none is looked for. */
static bool kafka_fetched_topic(struct kafka_call *c, struct slice group,
                                const struct kp_offset_fetch_request_group_topic *q, int16_t error,
                                struct kp_offset_fetch_response_group_topic *a)
{
    struct kp_offset_fetch_response_group_partition *v =
        kafka_alloc(c, (size_t)q->indexes.count, sizeof *v);
    struct broker_group_offset o;
    bool failed = v == NULL;
    for (int32_t i = 0; !failed && i < q->indexes.count; i++) {
        int32_t index = q->indexes.v[i];
        v[i] = kafka_fetched_none(index);
        v[i].error = error;
        if (error == KAFKA_NONE &&
            broker_group_offset(c->k->options.broker, group, q->name, index, &o) == 0)
            kafka_fetched_put(c, &o, &v[i], &failed);
    }
    a->name = q->name;
    a->partitions.v = v;
    a->partitions.count = q->indexes.count;
    return !failed;
}

/* Those that were asked for. False when the arena is used up. */
static bool kafka_fetched_some(struct kafka_call *c, const struct kp_offset_fetch_request_group *q,
                               int16_t error, struct kp_offset_fetch_response_group *a)
{
    struct kp_offset_fetch_response_group_topic *v =
        kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    bool good = v != NULL;
    for (int32_t i = 0; good && i < q->topics.count; i++)
        good = kafka_fetched_topic(c, q->group_id, &q->topics.v[i], error, &v[i]);
    a->topics.v = v;
    a->topics.count = q->topics.count;
    return good;
}

/* A member of a newer group may say who it is and which assignment it has. */
struct kafka_fetcher {
    struct slice id;
    int32_t epoch;
    int16_t error;
};

static void kafka_fetcher_see(void *ctx, const struct broker_group_member *m)
{
    struct kafka_fetcher *f = ctx;
    if (slice_equal(m->id, f->id))
        f->error = m->epoch == f->epoch ? KAFKA_NONE : KAFKA_STALE_MEMBER_EPOCH;
}

static int16_t kafka_fetcher_error(const struct kafka_call *c,
                                   const struct kp_offset_fetch_request_group *q)
{
    const struct broker *b = c->k->options.broker;
    struct kafka_fetcher f = {q->member_id, q->member_epoch, KAFKA_UNKNOWN_MEMBER_ID};
    struct broker_group_info info;
    int16_t error = kafka_group_ready(c);
    if (error != KAFKA_NONE || q->member_epoch < 0 ||
        broker_group_info(b, q->group_id, &info) != 0 || info.type != BROKER_GROUP_CONSUMER)
        return error;
    broker_group_members(b, q->group_id, kafka_fetcher_see, &f);
    return f.error;
}

/* False when the arena is used up. */
static bool kafka_fetched_group(struct kafka_call *c, const struct kp_offset_fetch_request_group *q,
                                struct kp_offset_fetch_response_group *a)
{
    *a = (struct kp_offset_fetch_response_group)KP_OFFSET_FETCH_RESPONSE_GROUP_INIT;
    a->group_id = q->group_id;
    a->error = kafka_fetcher_error(c, q);
    if (a->error != KAFKA_NONE)
        return c->kind.version >= KAFKA_ERROR_VERSION || kafka_fetched_some(c, q, a->error, a);
    return q->topics.count < 0 ? kafka_fetched_all(c, q->group_id, a)
                               : kafka_fetched_some(c, q, KAFKA_NONE, a);
}

/* False when the arena is used up. */
static bool kafka_fetched_old_topic(struct kafka_call *c,
                                    const struct kp_offset_fetch_response_group_topic *from,
                                    struct kp_offset_fetch_response_topic *to)
{
    struct kp_offset_fetch_response_partition *v =
        kafka_alloc(c, (size_t)from->partitions.count, sizeof *v);
    if (v == NULL)
        return false;
    for (int32_t i = 0; i < from->partitions.count; i++) {
        const struct kp_offset_fetch_response_group_partition *p = &from->partitions.v[i];
        v[i] = (struct kp_offset_fetch_response_partition){.index = p->index,
                                                           .offset = p->offset,
                                                           .leader_epoch = p->leader_epoch,
                                                           .metadata = p->metadata,
                                                           .error = p->error};
    }
    to->name = from->name;
    to->partitions.v = v;
    to->partitions.count = from->partitions.count;
    return true;
}

/* One group, its topics in the form of versions 1 to 7. False when the arena is used up. */
static bool kafka_fetched_old(struct kafka_call *c, struct kp_offset_fetch_response *a)
{
    const struct kp_offset_fetch_request *q = c->request;
    struct kp_offset_fetch_request_group group = KP_OFFSET_FETCH_REQUEST_GROUP_INIT;
    struct kp_offset_fetch_response_group found;
    struct kp_offset_fetch_request_group_topic *asked =
        kafka_alloc(c, q->topics.count > 0 ? (size_t)q->topics.count : 0, sizeof *asked);
    bool good = asked != NULL;
    for (int32_t i = 0; good && i < q->topics.count; i++)
        asked[i] = (struct kp_offset_fetch_request_group_topic){q->topics.v[i].name,
                                                                q->topics.v[i].indexes};
    group.group_id = q->group_id;
    group.topics.v = asked;
    group.topics.count = q->topics.count;
    if (!good || !kafka_fetched_group(c, &group, &found))
        return false;
    struct kp_offset_fetch_response_topic *v =
        kafka_alloc(c, (size_t)found.topics.count, sizeof *v);
    good = v != NULL;
    for (int32_t i = 0; good && i < found.topics.count; i++)
        good = kafka_fetched_old_topic(c, &found.topics.v[i], &v[i]);
    a->error = found.error;
    a->topics.v = v;
    a->topics.count = found.topics.count;
    return good;
}

/* False when the arena is used up. */
static bool kafka_fetched_groups(struct kafka_call *c, struct kp_offset_fetch_response *a)
{
    const struct kp_offset_fetch_request *q = c->request;
    struct kp_offset_fetch_response_group *v = kafka_alloc(c, (size_t)q->groups.count, sizeof *v);
    bool good = v != NULL;
    for (int32_t i = 0; good && i < q->groups.count; i++)
        good = kafka_fetched_group(c, &q->groups.v[i], &v[i]);
    a->groups.v = v;
    a->groups.count = q->groups.count;
    return good;
}

void kafka_offset_fetch(struct kafka_call *c)
{
    const struct kp_offset_fetch_request *q = c->request;
    struct kp_offset_fetch_response a = KP_OFFSET_FETCH_RESPONSE_INIT;
    bool several = c->kind.version >= KAFKA_GROUPS_VERSION;
    if (several && q->groups.count > KAFKA_ITEMS_MAX)
        kafka_refuse(c, "too many groups in one request");
    else if (several ? kafka_fetched_groups(c, &a) : kafka_fetched_old(c, &a))
        kafka_answer(c, &a);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}
