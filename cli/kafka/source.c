/* SPDX-License-Identifier: MIT
 *
 * source: see source.h.
 */
#include "cli/kafka/source.h"

#include <stdlib.h>

#include "cli/kafka/tool.h"
#include "engine/base/assert.h"

static struct source_topic *source_topic(struct source *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(rd_kafka_topic_name(s->topics[i].rkt), name) == 0)
            return &s->topics[i];
    if (s->count == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 8;
        s->topics = assert_memory(realloc(s->topics, s->cap * sizeof *s->topics),
                                  s->cap * sizeof *s->topics);
    }
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(s->cluster->rk, name, NULL);
    if (rkt == NULL)
        return NULL;
    s->topics[s->count] = (struct source_topic){.rkt = rkt};
    return &s->topics[s->count++];
}

static int source_start(struct source *s, rd_kafka_topic_t *rkt, int32_t partition, int64_t offset)
{
    return rd_kafka_consume_start_queue(rkt, partition, offset, s->queue);
}

/* Reads the partitions of a topic that are not yet read. */
static void source_grow(struct source *s, const struct rd_kafka_metadata_topic *known)
{
    int64_t offset = s->listed ? RD_KAFKA_OFFSET_BEGINNING : s->plan.offset;
    if (known->partition_cnt == 0)
        return;
    struct source_topic *topic = source_topic(s, known->topic);
    while (topic != NULL && topic->started < known->partition_cnt &&
           source_start(s, topic->rkt, topic->started, offset) == 0)
        topic->started++;
}

static bool source_wants(const struct source *s, const char *topic)
{
    if (s->plan.match == NULL)
        return strcmp(topic, s->plan.topic) == 0;
    return match_topic(s->plan.match, topic) && !match_internal(topic);
}

/* True when there is a partition to wait for. */
static bool source_found(const struct source *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->topics[i].started > 0)
            return true;
    return false;
}

static void source_refresh(struct source *s)
{
    const struct rd_kafka_metadata *known = NULL;
    rd_kafka_topic_t *only = NULL;
    if (s->plan.topic != NULL) {
        const struct source_topic *topic = source_topic(s, s->plan.topic);
        if (topic == NULL)
            return;
        only = topic->rkt;
    }
    if (rd_kafka_metadata(s->cluster->rk, only == NULL, only, &known, SOURCE_CALL_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; i < known->topic_cnt; i++)
            if (source_wants(s, known->topics[i].topic))
                source_grow(s, &known->topics[i]);
        s->listed = true;
        rd_kafka_metadata_destroy(known);
    }
    s->refresh_ms = tool_now_ms() + (source_found(s) ? SOURCE_REFRESH_MS : SOURCE_SEARCH_MS);
}

static int source_subscribe(struct source *s, struct fault *f)
{
    const char *name = s->plan.topic != NULL ? s->plan.topic : s->plan.match->posix;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, name, RD_KAFKA_PARTITION_UA);
    (void)rd_kafka_poll_set_consumer(s->cluster->rk);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(s->cluster->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : fault_of(f, error, NULL);
}

int source_open(struct source *s, struct cluster *c, const struct source_plan *plan,
                struct fault *f)
{
    ASSERT((plan->topic == NULL) != (plan->match == NULL));
    ASSERT(plan->partition < 0 || (plan->topic != NULL && !plan->group));
    *s = (struct source){.plan = *plan, .cluster = c};
    if (plan->group)
        return source_subscribe(s, f);
    s->queue = rd_kafka_queue_new(c->rk);
    if (plan->partition < 0)
        return 0;
    const struct source_topic *topic = source_topic(s, plan->topic);
    if (topic == NULL || source_start(s, topic->rkt, plan->partition, plan->offset) != 0)
        return fault_of(f, rd_kafka_last_error(), NULL);
    return 0;
}

rd_kafka_message_t *source_next(struct source *s, int timeout_ms)
{
    if (s->plan.group)
        return rd_kafka_consumer_poll(s->cluster->rk, timeout_ms);
    (void)rd_kafka_poll(s->cluster->rk, 0);
    if (s->plan.partition < 0 && tool_now_ms() >= s->refresh_ms)
        source_refresh(s);
    return rd_kafka_consume_queue(s->queue, timeout_ms);
}

void source_close(struct source *s)
{
    if (s->cluster == NULL)
        return;
    if (s->plan.group)
        (void)rd_kafka_consumer_close(s->cluster->rk);
    for (size_t i = 0; i < s->count; i++) {
        for (int32_t p = 0; p < s->topics[i].started; p++)
            (void)rd_kafka_consume_stop(s->topics[i].rkt, p);
        if (s->plan.partition >= 0)
            (void)rd_kafka_consume_stop(s->topics[i].rkt, s->plan.partition);
        rd_kafka_topic_destroy(s->topics[i].rkt);
    }
    if (s->queue != NULL)
        rd_kafka_queue_destroy(s->queue);
    free(s->topics);
    *s = (struct source){0};
}
