/* SPDX-License-Identifier: MIT
 *
 * http_page: see http_page.h.
 */
#include "net/http/http_page.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/broker/broker.h"
#include "engine/broker/broker_counters.h"
#include "engine/broker/broker_group.h"

struct http_page *http_page_new(const struct http_options *o, bool ready)
{
    struct http_page *p = assert_memory(calloc(1, sizeof *p), sizeof *p);
    p->options = o;
    p->ready = ready;
    arena_init(&p->arena, 0);
    if (o->watch != NULL)
        o->watch(o->ctx, &p->watch);
    ASSERT(p->watch.front_count <= HTTP_FRONTS_MAX && p->watch.api_count <= HTTP_CALLS_MAX);
    return p;
}

struct http_page *http_page_free(struct http_page *p)
{
    if (p == NULL)
        return NULL;
    arena_deinit(&p->arena);
    buf_deinit(&p->out);
    free(p->topics);
    free(p->partitions);
    free(p->groups);
    free(p->offsets);
    free(p);
    return NULL;
}

/* Room for one more of `count`; the place of it. */
static void *http_page_add(void *array, size_t *count, size_t *cap, size_t size)
{
    void **v = array;
    if (*count == *cap) {
        *cap = *cap == 0 ? 64 : 2 * *cap;
        *v = assert_memory(reallocarray(*v, *cap, size), *cap * size);
    }
    return (uint8_t *)*v + size * (*count)++;
}

#define HTTP_PAGE_ADD(p, what)                                                                     \
    http_page_add(&(p)->what##s, &(p)->what##_count, &(p)->what##_cap, sizeof *(p)->what##s)

static struct slice http_page_name(struct http_page *p, struct slice name)
{
    struct slice copy = arena_copy(&p->arena, name);
    ASSERT(copy.p != NULL);
    return copy;
}

/* --- partitions ------------------------------------------------------------------------------- */

static int64_t http_page_known(int64_t figure)
{
    return figure >= 0 ? figure : HTTP_PAGE_NONE;
}

static void http_page_partition(struct http_page *p, int32_t number)
{
    struct broker *b = p->options->broker;
    struct broker_partition_info info;
    struct broker_partition_counters c;
    struct slice topic = p->topics[p->topic_count - 1].name;
    if (broker_partition(b, topic, number, false, &info) != 0 ||
        broker_partition_counters(b, topic, number, &c) != 0)
        return; /* deleted meanwhile */
    if (p->partition_count >= p->options->partitions_max) {
        p->partitions_left_out++;
        return;
    }
    struct http_page_partition *row = HTTP_PAGE_ADD(p, partition);
    *row = (struct http_page_partition){
        .topic = (uint32_t)(p->topic_count - 1),
        .number = number,
        .start = http_page_known(info.log_start),
        .end = http_page_known(info.high_watermark),
        .size = info.log_start >= 0 ? (int64_t)info.size : HTTP_PAGE_NONE,
        .leader = info.leader,
        .preferred = info.replica_count > 0 && info.replicas[0] == info.leader,
        .replicas = (int64_t)info.replica_count,
        .in_sync = (int64_t)info.isr_count,
        .under = info.isr_count < info.replica_count,
        .epoch = info.epoch,
        .fenced = info.fenced,
        .batches_in = (int64_t)c.sums.batches_in,
        .records_in = (int64_t)c.sums.records_in,
        .size_in = (int64_t)c.sums.size_in,
        .fetches = (int64_t)c.sums.fetches,
        .records_out = (int64_t)c.sums.records_out,
        .size_out = (int64_t)c.sums.size_out,
    };
}

/* The next topic becomes the last of the page. False when there is none, or no room for one. */
static bool http_page_topic(struct http_page *p)
{
    struct broker_topic_info info;
    struct slice after = p->topic_count > 0 ? p->topics[p->topic_count - 1].name : SLICE_NULL;
    if (broker_topic_after(p->options->broker, after, &info) != 0)
        return false;
    if (p->partition_count >= p->options->partitions_max) {
        struct broker_info b;
        broker_info(p->options->broker, &b);
        size_t seen = p->partition_count + p->partitions_left_out;
        p->partitions_left_out += b.partitions > seen ? b.partitions - seen : 0;
        return false;
    }
    struct slice name = http_page_name(p, info.name);
    struct http_page_topic *row = HTTP_PAGE_ADD(p, topic);
    *row = (struct http_page_topic){.name = name, .partitions = info.partition_count};
    p->at = 0;
    return true;
}

static bool http_page_topics(struct http_page *p)
{
    for (size_t n = 0; n < HTTP_STEP_ROWS; n++) {
        bool more = p->topic_count > 0 && (int64_t)p->at < p->topics[p->topic_count - 1].partitions;
        if (more)
            http_page_partition(p, (int32_t)p->at++);
        else if (!http_page_topic(p))
            return false;
    }
    return true;
}

/* --- groups ----------------------------------------------------------------------------------- */

static void http_page_group(void *ctx, const struct broker_group_info *g)
{
    struct http_page *p = ctx;
    if (p->group_count >= p->options->partitions_max) {
        p->offsets_left_out += g->offset_count;
        return;
    }
    struct slice name = http_page_name(p, g->name);
    struct http_page_group *row = HTTP_PAGE_ADD(p, group);
    *row = (struct http_page_group){.name = name};
}

static void http_page_offset(void *ctx, const struct broker_group_offset *o)
{
    struct http_page *p = ctx;
    uint32_t group = (uint32_t)p->at;
    if (p->offset_count >= p->options->partitions_max) {
        p->offsets_left_out++;
        return;
    }
    const struct http_page_offset *last =
        p->offset_count > 0 ? &p->offsets[p->offset_count - 1] : NULL;
    bool same = last != NULL && last->group == group && slice_equal(last->topic, o->topic);
    struct slice topic = same ? last->topic : http_page_name(p, o->topic);
    struct http_page_offset *row = HTTP_PAGE_ADD(p, offset);
    *row = (struct http_page_offset){.group = group,
                                     .partition = o->partition,
                                     .topic = topic,
                                     .committed = o->offset,
                                     .moved_ms = o->moved_ms};
}

static int64_t http_page_since(int64_t now_ms, int64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* What follows from an offset and its partition. */
static void http_page_judge(const struct http_page *p, struct http_page_offset *o, int64_t now_ms,
                            int64_t stuck_ms)
{
    struct broker *b = p->options->broker;
    struct broker_partition_info info = {.high_watermark = -1};
    struct broker_partition_counters c = {.old_end = -1};
    bool known = broker_partition(b, o->topic, o->partition, false, &info) == 0 &&
                 broker_partition_counters(b, o->topic, o->partition, &c) == 0 &&
                 info.high_watermark >= 0;
    o->lag = o->behind_ms = HTTP_PAGE_NONE;
    o->stuck = 0;
    if (!known)
        return;
    o->lag = info.high_watermark > o->committed ? info.high_watermark - o->committed : 0;
    int64_t stood_ms = o->moved_ms >= 0 ? http_page_since(now_ms, o->moved_ms) : INT64_MAX;
    if (o->lag == 0)
        o->behind_ms = 0;
    else if (o->moved_ms >= 0)
        o->behind_ms = stood_ms;
    o->stuck = o->lag > 0 && stood_ms >= stuck_ms && c.old_end > o->committed;
}

/* The rows of one group, which are those from `first` on. */
static void http_page_judge_all(struct http_page *p, struct http_page_group *g, size_t first)
{
    const struct clock *clock = p->options->clock;
    struct broker_counters c;
    int64_t now_ms = clock->wall_ms(clock);
    bool moves = false;
    broker_counters(p->options->broker, &c);
    for (size_t i = first; i < p->offset_count; i++) {
        struct http_page_offset *o = &p->offsets[i];
        http_page_judge(p, o, now_ms, c.stuck_ms);
        moves = moves || (o->moved_ms >= 0 && http_page_since(now_ms, o->moved_ms) < c.stuck_ms);
    }
    for (size_t i = first; i < p->offset_count; i++)
        *(moves ? &g->stuck : &g->not_consumed) += p->offsets[i].stuck;
}

static bool http_page_offsets(struct http_page *p)
{
    size_t work = 0;
    for (; p->at < p->group_count && work < HTTP_STEP_ROWS; p->at++) {
        struct http_page_group *g = &p->groups[p->at];
        struct broker_group_info info;
        size_t first = p->offset_count;
        work++;
        g->gone = broker_group_info(p->options->broker, g->name, &info) != 0;
        if (g->gone)
            continue;
        g->state = broker_group_state_text(info.state);
        g->type = broker_group_type_text(info.type);
        g->members = (int64_t)info.member_count;
        if (first < p->options->partitions_max)
            broker_group_offsets(p->options->broker, g->name, false, http_page_offset, p);
        else
            p->offsets_left_out += info.offset_count;
        http_page_judge_all(p, g, first);
        work += info.offset_count;
    }
    return p->at < p->group_count;
}

/* --- the page --------------------------------------------------------------------------------- */

static bool http_page_work(struct http_page *p)
{
    switch (p->step) {
    case HTTP_PAGE_TOPICS:
        return http_page_topics(p);
    case HTTP_PAGE_GROUPS:
        if (broker_groups_ready(p->options->broker) == BROKER_OK)
            broker_groups_each(p->options->broker, http_page_group, p);
        return false;
    case HTTP_PAGE_OFFSETS:
        return http_page_offsets(p);
    case HTTP_PAGE_BROKER:
        http_rows_broker(p);
        return false;
    case HTTP_PAGE_ROWS:
        return http_rows_some(p);
    case HTTP_PAGE_END:
        break;
    }
    return true;
}

bool http_page_step(struct http_page *p)
{
    ASSERT((unsigned)p->step < HTTP_PAGE_STEP_COUNT);
    if (p->step == HTTP_PAGE_END)
        return false;
    if (http_page_work(p))
        return true;
    p->step++;
    p->at = 0;
    return true;
}

long http_page_read(struct http_page *p, void *to, size_t max)
{
    if (p->pos == p->out.size) {
        buf_reset(&p->out);
        p->pos = 0;
        if (!http_page_step(p))
            return -1;
    }
    size_t left = p->out.size - p->pos;
    size_t size = left < max ? left : max;
    size = size < HTTP_PIECE_SIZE ? size : HTTP_PIECE_SIZE;
    if (size > 0)
        memcpy(to, p->out.p + p->pos, size);
    p->pos += size;
    return (long)size;
}
