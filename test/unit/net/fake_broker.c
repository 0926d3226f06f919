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

static void fake_finish_produce(struct broker_produce *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct broker_produce_item *item = &r->items[i];
        item->status = item->partition == 9 ? BROKER_UNKNOWN_PARTITION : BROKER_OK;
        item->base_offset = 0;
        for (size_t at = 0; at < item->size; at++)
            item->base_offset += item->batch[at];
        memset(item->batch, 0xee, item->size);
        item->append_time_ms = -1;
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
    } else if (r->op == BROKER_TOPIC_CREATE) {
        snprintf(b->created, sizeof b->created, "%.*s", (int)r->topic.size,
                 (const char *)r->topic.p);
    }
    r->log_start = 77;
    r->producer_id = 4000;
    r->producer_epoch = 3;
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
        fake_finish_produce(request);
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

int broker_partition(struct broker *b, struct slice topic, int32_t partition, bool load,
                     struct broker_partition_info *out)
{
    (void)topic;
    *out = (struct broker_partition_info){.leader = 1,
                                          .epoch = 2,
                                          .log_start = load ? 5 : -1,
                                          .high_watermark = load ? 6 : -1,
                                          .size = 9};
    return partition < b->partition_count ? 0 : 1;
}

void broker_configs(const struct broker *b, struct slice topic,
                    void (*fn)(void *ctx, const char *key, const char *value, const char *source,
                               const char *help),
                    void *ctx)
{
    for (size_t i = 0; i < b->config_count; i++)
        fn(ctx, topic.p == NULL ? "broker.key" : "topic.key", "v", "default", "what it does");
}
