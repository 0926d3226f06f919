/* SPDX-License-Identifier: MIT
 *
 * fake_broker: see fake_broker.h.
 */
#include "fake_broker.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

enum fake_kind {
    FAKE_PRODUCE,
    FAKE_FETCH,
    FAKE_OFFSETS,
    FAKE_ADMIN,
    FAKE_GROUP,
    FAKE_SHIP,
    FAKE_PROMOTE,
    FAKE_LEAVE,
};

struct fake_pending {
    struct list link;
    enum fake_kind kind;
    void *request;
};

struct broker *fake_broker_new(void)
{
    struct broker *b = calloc(1, sizeof *b);
    list_init(&b->pending);
    b->partition_count = 3;
    b->config_count = 2;
    return b;
}

struct broker *fake_broker_free(struct broker *b)
{
    ASSERT(b->pending_count == 0 && b->pins == 0);
    free(b->ship_bytes);
    free(b);
    return NULL;
}

static void fake_start(struct broker *b, enum fake_kind kind, void *request)
{
    struct fake_pending *p = calloc(1, sizeof *p);
    p->kind = kind;
    p->request = request;
    b->started++;
    b->pending_count++;
    list_add_tail(&b->pending, &p->link);
}

static void fake_finish_produce(const struct broker *b, struct broker_produce *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct broker_produce_item *item = &r->items[i];
        item->status = item->partition == 9 ? BROKER_UNKNOWN_PARTITION : BROKER_OK;
        item->base_offset = 0;
        for (size_t at = 0; at < item->size; at++)
            item->base_offset += item->batch[at];
        memset(item->batch, 0xee, item->size);
        item->append_time_ms = -1;
        if (b->elsewhere)
            item->status = BROKER_NOT_LEADER;
    }
    r->done(r);
}

static void fake_finish_fetch(struct broker *b, struct broker_fetch *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct broker_fetch_item *item = &r->items[i];
        item->status = BROKER_OK;
        item->high_watermark = item->offset + 1;
        if (item->partition == 1) {
            item->bytes = b->mapped;
            continue;
        }
        uint8_t *p = malloc(b->fetch_size + 1);
        memset(p, (int)(item->offset & 0xff), b->fetch_size);
        item->bytes = slice_of(p, b->fetch_size);
        item->pin = p;
    }
    b->pins++;
    r->done(r);
}

static void fake_finish_offsets(struct broker_offsets *r)
{
    for (size_t i = 0; i < r->count; i++) {
        r->items[i].status = BROKER_OK;
        r->items[i].offset = r->items[i].timestamp_ms + 1000;
        r->items[i].found_timestamp_ms = r->items[i].timestamp_ms;
    }
    r->done(r);
}

static void fake_finish_admin(struct broker *b, struct broker_admin *r)
{
    b->last_admin = *r;
    r->status = BROKER_OK;
    if (r->topic.size >= 2 && memcmp(r->topic.p, "no", 2) == 0) {
        r->status = BROKER_DENIED;
        snprintf(r->message, sizeof r->message, "not this one");
    } else if (b->elsewhere) {
        r->status = BROKER_NOT_LEADER;
    } else if (r->op == BROKER_TOPIC_CREATE) {
        snprintf(b->created, sizeof b->created, "%.*s", (int)r->topic.size,
                 (const char *)r->topic.p);
    }
    r->log_start = 77;
    r->producer_id = 4000;
    r->producer_epoch = 3;
    r->done(r);
}

/* --- groups --- */

static const int32_t fake_partitions[] = {0, 1};

static void fake_finish_beat(struct broker_group *r, struct broker_group_topic *assignment)
{
    r->beat.member = r->member.size == 0 ? slice_str("made") : r->member;
    r->beat.epoch = r->generation + 1;
    r->beat.interval_ms = 3000;
    r->beat.has_assignment = r->beat.topics != NULL;
    for (size_t i = 0; i < r->beat.topic_count; i++)
        assignment[i] = (struct broker_group_topic){
            .name = r->beat.topics[i], .partitions = fake_partitions, .count = 2};
    r->beat.assignment = assignment;
    r->beat.assignment_count = r->beat.topic_count;
}

static void fake_finish_group(struct broker *b, struct broker_group *r)
{
    bool beat = r->op == BROKER_GROUP_BEAT;
    struct broker_group_topic *assignment =
        calloc(beat ? r->beat.topic_count + 1 : 1, sizeof *assignment);
    r->status = BROKER_OK;
    b->last_group = NULL;
    if (r->group.size >= 2 && memcmp(r->group.p, "no", 2) == 0) {
        r->status = BROKER_MEMBER_EPOCH_FENCED;
        r->message = "not this one";
    } else if (beat) {
        fake_finish_beat(r, assignment);
    } else if (r->op != BROKER_GROUP_DELETE) {
        for (size_t i = 0; i < r->commit.count; i++)
            r->commit.items[i].status =
                r->commit.items[i].partition == 9 ? BROKER_UNKNOWN_PARTITION : BROKER_OK;
    }
    r->done(r);
    free(assignment);
}

static void fake_finish_promote(struct broker *b, struct broker_promote_request *r)
{
    b->forced = r->force;
    r->status = b->promoted;
    r->term = 35;
    r->lost = r->force ? 4 : 0;
    (void)snprintf(r->message, sizeof r->message, "%s",
                   b->promoted == BROKER_OK ? "so be it" : "no");
    r->done(r);
}

static void fake_finish_leave(struct broker *b, struct broker_leave_request *r)
{
    b->forced = r->force;
    r->status = b->left;
    r->replicas = (uint32_t)r->id;
    r->pending = r->validate_only ? 3 : 0;
    (void)snprintf(r->message, sizeof r->message, "%s", b->left == BROKER_OK ? "so be it" : "no");
    r->done(r);
}

static void fake_complete_one(struct broker *b, struct list *node)
{
    struct fake_pending *p = LIST_ENTRY(node, struct fake_pending, link);
    enum fake_kind kind = p->kind;
    void *request = p->request;
    list_remove(node);
    free(p);
    b->pending_count--;
    b->done++;
    switch (kind) {
    case FAKE_PRODUCE:
        fake_finish_produce(b, request);
        break;
    case FAKE_FETCH:
        fake_finish_fetch(b, request);
        break;
    case FAKE_OFFSETS:
        fake_finish_offsets(request);
        break;
    case FAKE_ADMIN:
        fake_finish_admin(b, request);
        break;
    case FAKE_GROUP:
        fake_finish_group(b, request);
        break;
    case FAKE_SHIP:
        fake_ship_finish(b, request);
        break;
    case FAKE_PROMOTE:
        fake_finish_promote(b, request);
        break;
    case FAKE_LEAVE:
        fake_finish_leave(b, request);
        break;
    }
}

void fake_broker_complete(struct broker *b, size_t count)
{
    for (; count > 0 && !list_empty(&b->pending); count--)
        fake_complete_one(b, b->reverse ? b->pending.prev : b->pending.next);
}

/* --- the broker's functions a front calls --- */

void broker_run(struct broker *b)
{
    if (!b->hold)
        fake_broker_complete(b, SIZE_MAX);
}

const char *broker_status_text(enum broker_status s)
{
    static const char *const texts[BROKER_STATUS_COUNT] = {
        [BROKER_OK] = "ok", [BROKER_UNKNOWN_TOPIC] = "unknown topic"};
    return texts[s] == NULL ? "failed" : texts[s];
}

void broker_info(const struct broker *b, struct broker_info *out)
{
    (void)b;
    *out = (struct broker_info){.node_id = 1, .incarnation = 42};
    memcpy(out->cluster_id, "AAAAAAAAAAAAAAAAAAAAAA", 23);
}

void broker_produce(struct broker *b, struct broker_produce *req)
{
    fake_start(b, FAKE_PRODUCE, req);
}

void broker_fetch(struct broker *b, struct broker_fetch *req)
{
    fake_start(b, FAKE_FETCH, req);
}

void broker_fetch_release(struct broker *b, struct broker_fetch *req)
{
    ASSERT(b->pins > 0);
    for (size_t i = 0; i < req->count; i++)
        free(req->items[i].pin);
    b->pins--;
}

void broker_fetch_cancel(struct broker *b, struct broker_fetch *req)
{
    LIST_EACH (node, &b->pending) {
        struct fake_pending *p = LIST_ENTRY(node, struct fake_pending, link);
        if (p->request == req)
            b->cancelled++;
    }
}

void broker_offsets(struct broker *b, struct broker_offsets *req)
{
    fake_start(b, FAKE_OFFSETS, req);
}

void broker_admin(struct broker *b, struct broker_admin *req)
{
    fake_start(b, FAKE_ADMIN, req);
}

/* Topic `index` in byte order; the created one comes last when its name is greater than "topic". */
static bool fake_topic(const struct broker *b, size_t index, struct broker_topic_info *out)
{
    static char name[32];
    *out = (struct broker_topic_info){.partition_count = b->partition_count, .replication = 1};
    out->id[0] = 7;
    if (index == b->topic_count && b->created[0] != 0) {
        out->name = slice_str(b->created);
        return true;
    }
    snprintf(name, sizeof name, "topic-%06zu", index);
    out->name = slice_str(name);
    return index < b->topic_count;
}

int broker_topic(const struct broker *b, struct slice name, struct broker_topic_info *out)
{
    for (size_t i = 0; fake_topic(b, i, out); i++) {
        if (slice_equal(out->name, name))
            return 0;
    }
    return 1;
}

int broker_topic_after(const struct broker *b, struct slice after, struct broker_topic_info *out)
{
    for (size_t i = 0; fake_topic(b, i, out); i++) {
        size_t size = after.size < out->name.size ? after.size : out->name.size;
        int order = size == 0 ? 0 : memcmp(out->name.p, after.p, size);
        if (order > 0 || (order == 0 && out->name.size > after.size))
            return 0;
    }
    return 1;
}

static const int32_t fake_ids[] = {1, 2, 3, 4, 5, 6, 7, 8};

int broker_partition(struct broker *b, struct slice topic, int32_t partition, bool load,
                     struct broker_partition_info *out)
{
    (void)topic;
    *out = (struct broker_partition_info){.leader = 1,
                                          .epoch = 2,
                                          .log_start = load ? 5 : -1,
                                          .high_watermark = load ? 6 : -1,
                                          .size = 9,
                                          .replicas = fake_ids,
                                          .replica_count = b->brokers,
                                          .isr = fake_ids,
                                          .isr_count = b->brokers > 0 ? b->brokers - 1 : 0};
    return partition < b->partition_count ? 0 : 1;
}

void broker_cluster_info(const struct broker *b, struct broker_cluster_info *out)
{
    *out = (struct broker_cluster_info){.role = b->elsewhere ? "following" : "leading",
                                        .term = 33,
                                        .leader = b->elsewhere ? 2 : 1,
                                        .changes_here = !b->elsewhere};
    (void)snprintf(out->native, sizeof out->native, "tcp://broker%d:7092", out->leader);
}

int broker_member(const struct broker *b, size_t at, struct broker_member *out)
{
    if (at >= b->brokers)
        return 1;
    *out = (struct broker_member){.id = (int32_t)(b->brokers - at),
                                  .native = "tcp://n:1",
                                  .kafka_host = "k",
                                  .kafka_port = 9092,
                                  .rack = "r",
                                  .silent_ms = 5};
    out->self = out->id == 1;
    return 0;
}

int broker_partition_follower(const struct broker *b, struct slice topic, int32_t partition,
                              size_t at, struct broker_follower *out)
{
    (void)topic;
    (void)partition;
    if (at + 1 >= b->brokers)
        return 1;
    int32_t id = (int32_t)at + 2;
    *out = (struct broker_follower){.id = id,
                                    .in_sync = (size_t)id < b->brokers,
                                    .end = 100,
                                    .lag = 10 * id,
                                    .lag_size = 100 * id,
                                    .caught_up_ms = 700,
                                    .since_ms = 900};
    return 0;
}

void broker_promote_request(struct broker *b, struct broker_promote_request *req)
{
    fake_start(b, FAKE_PROMOTE, req);
}

void broker_leave_request(struct broker *b, struct broker_leave_request *req)
{
    fake_start(b, FAKE_LEAVE, req);
}

void broker_configs(const struct broker *b, struct slice topic,
                    void (*fn)(void *ctx, const char *key, const char *value, const char *source,
                               const char *help),
                    void *ctx)
{
    for (size_t i = 0; i < b->config_count; i++)
        fn(ctx, topic.p == NULL ? "broker.key" : "topic.key", "v", "default", "what it does");
}

/* --- calls of other brokers; what they are answered is in fake_ship.c --- */

void broker_ship(struct broker *b, struct ship_call *call)
{
    fake_start(b, FAKE_SHIP, call);
}

void broker_ship_cancel(struct broker *b, struct ship_call *call)
{
    LIST_EACH (node, &b->pending) {
        struct fake_pending *p = LIST_ENTRY(node, struct fake_pending, link);
        if (p->request == call)
            b->cancelled++;
    }
}

/* --- groups, as broker_group.h has them --- */

void broker_group(struct broker *b, struct broker_group *req)
{
    b->last_group = req;
    fake_start(b, FAKE_GROUP, req);
}

enum broker_status broker_groups_ready(const struct broker *b)
{
    return b->loading ? BROKER_GROUP_LOADING : BROKER_OK;
}

const char *broker_group_type_text(enum broker_group_type t)
{
    return t == BROKER_GROUP_CLASSIC ? "classic" : "consumer";
}

const char *broker_group_state_text(enum broker_group_state s)
{
    return s == BROKER_GROUP_STABLE ? "Stable" : "Empty";
}

const char *broker_group_cause_text(enum broker_group_cause c)
{
    return c == BROKER_GROUP_CAUSE_LEFT ? "member left" : "member joined";
}

static struct broker_group_info fake_group(struct broker *b, size_t index)
{
    snprintf(b->text, sizeof b->text, "group-%06zu", index);
    return (struct broker_group_info){
        .name = slice_str(b->text),
        .type = BROKER_GROUP_CONSUMER,
        .state = BROKER_GROUP_STABLE,
        .protocol_type = slice_str("consumer"),
        .protocol = slice_str("uniform"),
        .generation = 7,
        .assignment_epoch = 6,
        .member_count = b->member_count,
        .offset_count = b->row_count,
        .state_since_ms = 5000,
    };
}

int broker_group_info(const struct broker *b, struct slice name, struct broker_group_info *out)
{
    struct broker *own = (struct broker *)(uintptr_t)b;
    for (size_t i = 0; i < b->group_count; i++) {
        *out = fake_group(own, i);
        if (slice_equal(out->name, name))
            return 0;
    }
    return 1;
}

/* In falling order; the names live until the next walk. */
void broker_groups_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx)
{
    static char names[4096][32];
    ASSERT(b->group_count <= 4096);
    memset(names, 'x', sizeof names); /* what was borrowed is gone */
    for (size_t i = b->group_count; i-- > 0;) {
        struct broker_group_info g = fake_group((struct broker *)(uintptr_t)b, i);
        snprintf(names[i], sizeof names[i], "%s", b->text);
        g.name = slice_str(names[i]);
        fn(ctx, &g);
    }
}

void broker_group_members(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx)
{
    static int32_t many[20000];
    char id[32];
    struct slice topic = slice_str("t");
    struct broker_group_topic has = {.name = topic, .partitions = many, .count = b->assigned_count};
    ASSERT(name.size > 0 && b->assigned_count <= 20000);
    for (size_t i = 0; i < b->assigned_count; i++)
        many[i] = (int32_t)i;
    for (size_t i = 0; i < b->member_count; i++) {
        snprintf(id, sizeof id, "member-%zu", i);
        struct broker_group_member m = {
            .id = slice_str(id),
            .instance = i == 0 ? slice_str("one") : SLICE_NULL,
            .rack = slice_str("r"),
            .client_id = slice_str("c"),
            .client_host = slice_str("local"),
            .epoch = 7,
            .topics = &topic,
            .topic_count = 1,
            .assigned = &has,
            .assigned_count = 1,
            .target = &has,
            .target_count = i == 0 ? 1 : 0,
        };
        fn(ctx, &m);
    }
    memset(id, 'x', sizeof id);
}

/* Row i: partition i % 4 of topic-<i / 4>, committed at 100 + i. */
static struct broker_group_offset fake_row(char topic[32], size_t i)
{
    snprintf(topic, 32, "topic-%06zu", i / 4);
    return (struct broker_group_offset){.topic = slice_str(topic),
                                        .partition = (int32_t)(i % 4),
                                        .offset = 100 + (int64_t)i,
                                        .leader_epoch = 2,
                                        .metadata = slice_str("note"),
                                        .commit_ms = 9000,
                                        .moved_ms = 8000,
                                        .owner = i == 0 ? slice_str("member-0") : SLICE_NULL};
}

int broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                        int32_t partition, struct broker_group_offset *out)
{
    char name[32];
    static char kept[32];
    (void)group;
    for (size_t i = 0; i < b->row_count; i++) {
        struct broker_group_offset row = fake_row(name, i);
        if (slice_equal(row.topic, topic) && row.partition == partition) {
            *out = fake_row(kept, i);
            return 0;
        }
    }
    return 1;
}

void broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                          void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx)
{
    (void)group;
    for (size_t i = 0; i < b->row_count + (assigned ? 1 : 0); i++) {
        char name[32];
        struct broker_group_offset row = fake_row(name, i);
        if (i == b->row_count)
            row.offset = -1;
        fn(ctx, &row);
        memset(name, 'x', sizeof name);
    }
}

void broker_group_history(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx)
{
    (void)name;
    for (size_t i = 0; i < b->history_count; i++) {
        bool last = i + 1 == b->history_count;
        fn(ctx, &(struct broker_group_rebalance){.began_ms = 1000 + (int64_t)i,
                                                 .ended_ms = last ? -1 : 2000,
                                                 .cause = last ? BROKER_GROUP_CAUSE_LEFT
                                                               : BROKER_GROUP_CAUSE_JOINED,
                                                 .member = slice_str("member-0"),
                                                 .reason = slice_str("why"),
                                                 .generation = (int32_t)i,
                                                 .member_count = 3});
    }
}
