/* SPDX-License-Identifier: MIT
 *
 * nano_topics: see nano_topics.h. Everything is built in the call's arena; when that is used up the
 * page ends.
 */
#include "net/nano/nano_topics.h"

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_cluster.h"
#include "net/nano/nano_errmap.h"
#include "proto/frame.h"

/* Configs are listed in two walks: one counts, one fills. */
struct nano_topics_configs {
    struct arena *arena;
    Kauri__ConfigInfo **list; /* NULL while counting */
    size_t count;
    bool full; /* the arena refused */
};

static char *nano_topics_text(struct arena *a, struct slice s)
{
    return frame_borrow((const char *)arena_copy(a, s).p);
}

static void nano_topics_config(void *ctx, const char *key, const char *value, const char *source,
                               const char *help)
{
    struct nano_topics_configs *configs = ctx;
    size_t index = configs->count++;
    if (configs->list == NULL || configs->full)
        return;
    struct arena *a = configs->arena;
    Kauri__ConfigInfo *c = arena_alloc(a, sizeof *c);
    if (c != NULL) {
        kauri__config_info__init(c);
        c->key = nano_topics_text(a, slice_str(key));
        c->value = nano_topics_text(a, slice_str(value));
        c->source = nano_topics_text(a, slice_str(source));
        c->help = nano_topics_text(a, slice_str(help));
    }
    configs->full =
        c == NULL || c->key == NULL || c->value == NULL || c->source == NULL || c->help == NULL;
    configs->list[index] = c;
}

/* All configs of a topic (p NULL: the broker's). False when the arena is used up. */
static bool nano_topics_configs(struct nano_call *c, struct slice topic, size_t *count,
                                Kauri__ConfigInfo ***out)
{
    const struct broker *b = c->nano->options.broker;
    struct nano_topics_configs configs = {.arena = &c->arena};
    broker_configs(b, topic, nano_topics_config, &configs);
    size_t expected = configs.count;
    configs.list = arena_array(&c->arena, expected, sizeof *configs.list);
    if (configs.list == NULL)
        return false;
    configs.count = 0;
    broker_configs(b, topic, nano_topics_config, &configs);
    ASSERT(configs.count == expected);
    *count = expected;
    *out = configs.list;
    return !configs.full;
}

void nano_topics_finish_configs(struct nano_call *c)
{
    Kauri__Answer *answer = nano_calls_answer(c);
    Kauri__BrokerConfigAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__broker_config_answer__init(body);
    if (!nano_topics_configs(c, SLICE_NULL, &body->n_configs, &body->configs)) {
        nano_calls_finish(c, KAURI__STATUS__BUSY, "the list is too long for one answer");
        return;
    }
    answer->answer_case = KAURI__ANSWER__ANSWER_BROKER_CONFIG;
    answer->broker_config = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

static Kauri__PartitionInfo *
nano_topics_partition(struct nano_call *c, const struct broker_topic_info *topic, int32_t partition)
{
    struct broker_partition_info info;
    bool load = c->request->topic_list->name[0] != 0;
    Kauri__PartitionInfo *p = arena_alloc(&c->arena, sizeof *p);
    if (p == NULL)
        return NULL;
    kauri__partition_info__init(p);
    int r = broker_partition(c->nano->options.broker, topic->name, partition, load, &info);
    ASSERT(r == 0);
    p->partition = partition;
    p->leader = info.leader;
    p->epoch = info.epoch;
    p->replicas = nano_cluster_ids(c, info.replicas, info.replica_count);
    p->in_sync = nano_cluster_ids(c, info.isr, info.isr_count);
    p->eligible = nano_cluster_ids(c, info.elr, info.elr_count);
    if (p->replicas == NULL || p->in_sync == NULL || p->eligible == NULL)
        return NULL;
    p->n_replicas = info.replica_count;
    p->n_in_sync = info.isr_count;
    p->n_eligible = info.elr_count;
    p->log_start = info.log_start;
    p->high_watermark = info.high_watermark;
    p->size = (int64_t)info.size;
    return p;
}

static bool nano_topics_partitions(struct nano_call *c, const struct broker_topic_info *topic,
                                   Kauri__TopicInfo *out)
{
    ASSERT(topic->partition_count > 0);
    size_t count = (size_t)topic->partition_count;
    out->partitions = arena_array(&c->arena, count, sizeof *out->partitions);
    for (size_t i = 0; out->partitions != NULL && i < count; i++) {
        out->partitions[i] = nano_topics_partition(c, topic, (int32_t)i);
        if (out->partitions[i] == NULL)
            return false;
        out->n_partitions++;
    }
    return out->partitions != NULL;
}

/* NULL when the arena is used up. */
static Kauri__TopicInfo *nano_topics_topic(struct nano_call *c,
                                           const struct broker_topic_info *topic)
{
    const Kauri__TopicList *ask = c->request->topic_list;
    Kauri__TopicInfo *t = arena_alloc(&c->arena, sizeof *t);
    struct slice id = arena_copy(&c->arena, slice_of(topic->id, sizeof topic->id));
    if (t == NULL || id.p == NULL)
        return NULL;
    kauri__topic_info__init(t);
    t->name = nano_topics_text(&c->arena, topic->name);
    t->id.len = id.size;
    t->id.data = (uint8_t *)(uintptr_t)id.p;
    t->partition_count = topic->partition_count;
    t->replication = topic->replication;
    t->internal = topic->internal;
    if (t->name == NULL)
        return NULL;
    if (ask->partitions && !nano_topics_partitions(c, topic, t))
        return NULL;
    if (ask->configs && !nano_topics_configs(c, topic->name, &t->n_configs, &t->configs))
        return NULL;
    return t;
}

/* 0 and the next topic of the list, or 1 at its end. */
static int nano_topics_next(const struct nano_call *c, struct slice after,
                            struct broker_topic_info *out)
{
    const struct broker *b = c->nano->options.broker;
    const Kauri__TopicList *ask = c->request->topic_list;
    if (ask->name[0] == 0)
        return broker_topic_after(b, after.size == 0 ? SLICE_NULL : after, out);
    return after.p == NULL ? broker_topic(b, slice_str(ask->name), out) : 1;
}

/* Fills one page. False when not even its first topic has room. */
static bool nano_topics_page(struct nano_call *c, size_t count_max, Kauri__TopicListAnswer *page)
{
    struct broker_topic_info info;
    bool one = c->request->topic_list->name[0] != 0;
    struct slice after = one ? SLICE_NULL : slice_str(c->request->topic_list->after);
    size_t size = 0;
    while (nano_topics_next(c, after, &info) == 0) {
        page->more = true;
        if (page->n_topics == count_max)
            return true;
        Kauri__TopicInfo *t = nano_topics_topic(c, &info);
        size += t == NULL ? 0 : kauri__topic_info__get_packed_size(t) + FRAME_PREFIX_SIZE;
        if (t == NULL || (page->n_topics > 0 && size > c->nano->options.message_size_max / 4))
            return page->n_topics > 0;
        page->topics[page->n_topics++] = t;
        page->more = false;
        after = slice_str(t->name);
    }
    page->more = false;
    return true;
}

void nano_topics_finish(struct nano_call *c)
{
    const Kauri__TopicList *ask = c->request->topic_list;
    uint32_t asked = ask->count_max;
    size_t count_max = asked == 0 || asked > NANO_ITEMS_MAX ? NANO_ITEMS_MAX : asked;
    Kauri__Answer *answer = nano_calls_answer(c);
    Kauri__TopicListAnswer *page = nano_calls_array(c, 1, sizeof *page);
    kauri__topic_list_answer__init(page);
    page->topics = nano_calls_array(c, count_max, sizeof *page->topics);
    if (!nano_topics_page(c, count_max, page)) {
        nano_calls_finish(c, KAURI__STATUS__BAD_REQUEST, "the topic is too large for one answer");
        return;
    }
    if (ask->name[0] != 0 && page->n_topics == 0) {
        nano_calls_finish(c, KAURI__STATUS__UNKNOWN_TOPIC,
                          nano_errmap_text(KAURI__STATUS__UNKNOWN_TOPIC));
        return;
    }
    answer->answer_case = KAURI__ANSWER__ANSWER_TOPIC_LIST;
    answer->topic_list = page;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

bool nano_topics_wants_create(const struct nano_call *c)
{
    struct broker_topic_info info;
    const Kauri__TopicList *ask = c->request->topic_list;
    ASSERT(c->request->call_case == KAURI__CALL__CALL_TOPIC_LIST);
    return ask->create && ask->name[0] != 0 &&
           broker_topic(c->nano->options.broker, slice_str(ask->name), &info) != 0;
}
