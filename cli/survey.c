/* SPDX-License-Identifier: MIT
 *
 * survey: see survey.h.
 */
#include "cli/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"

static int64_t survey_now(void)
{
    return clock_real()->mono_ms(clock_real());
}

static char *survey_copy(const char *text)
{
    return assert_memory(strdup(text), strlen(text) + 1);
}

/* --- topics --------------------------------------------------------------------------------- */

static void survey_config(struct survey_topic *t, const struct kauri_config *c, bool *deletes)
{
    const char *value = c->value != NULL ? c->value : "";
    if (strcmp(c->key, "retention.ms") == 0)
        t->retention_ms = strtoll(value, NULL, 10);
    else if (strcmp(c->key, "retention.bytes") == 0)
        t->retention_size = strtoll(value, NULL, 10);
    else if (strcmp(c->key, "durability") == 0)
        t->os = strcmp(value, "os") == 0;
    else if (strcmp(c->key, "cleanup.policy") == 0) {
        *deletes = strstr(value, "delete") != NULL;
        t->compacted = strstr(value, "compact") != NULL;
    }
}

static void survey_partition(struct survey_topic *t, const struct kauri_partition *p)
{
    if (p->high_watermark < 0 || p->log_start < 0) {
        t->unloaded++;
        return;
    }
    t->records += p->high_watermark - p->log_start;
    t->ends += p->high_watermark;
    t->size += p->size;
    if (p->size <= t->largest)
        return;
    t->largest = p->size;
    t->largest_partition = p->partition;
}

static void survey_add_topic(void *ctx, const struct kauri_topic *from)
{
    struct survey *s = ctx;
    size_t size = (s->topic_count + 1) * sizeof *s->topics;
    s->topics = assert_memory(realloc(s->topics, size), size);
    struct survey_topic *t = &s->topics[s->topic_count++];
    bool deletes = true;
    *t = (struct survey_topic){.name = survey_copy(from->name),
                               .partitions = from->partition_count,
                               .internal = from->internal,
                               .retention_ms = -1,
                               .retention_size = -1};
    for (size_t i = 0; i < from->config_count; i++)
        survey_config(t, &from->configs[i], &deletes);
    for (int32_t i = 0; from->partitions != NULL && i < from->partition_count; i++)
        survey_partition(t, &from->partitions[i]);
    if (!deletes)
        t->retention_ms = t->retention_size = -1;
}

const struct survey_topic *survey_topic(const struct survey *s, const char *name)
{
    for (size_t i = 0; i < s->topic_count; i++)
        if (strcmp(s->topics[i].name, name) == 0)
            return &s->topics[i];
    return NULL;
}

/* --- groups --------------------------------------------------------------------------------- */

static void survey_offset(struct survey *s, struct survey_group *g,
                          const struct kauri_group_offset *o, const char **last)
{
    if (*last == NULL || strcmp(*last, o->topic) != 0) {
        const struct survey_topic *t = survey_topic(s, o->topic);
        g->partitions += t != NULL ? t->partitions : 0;
    }
    if (o->offset < 0 || o->end < 0) {
        *last = o->topic;
        return;
    }
    int64_t from = o->log_start > o->offset ? o->log_start : o->offset;
    int64_t lag = o->end > from ? o->end - from : 0;
    int64_t stands = lag > 0 && o->moved_ms >= 0 ? s->status.now_ms - o->moved_ms : 0;
    g->lag = (g->lag > 0 ? g->lag : 0) + lag;
    g->moves = g->moves || (o->moved_ms >= 0 && s->status.now_ms - o->moved_ms < SURVEY_MOVES_MS);
    if (stands > g->standing_ms) {
        g->standing_ms = stands;
        (void)snprintf(g->standing, sizeof g->standing, "%s-%d", o->topic, o->partition);
    }
    for (size_t i = 0; i < s->topic_count; i++) {
        struct survey_topic *t = &s->topics[i];
        if (strcmp(t->name, o->topic) != 0)
            continue;
        t->lag += lag;
        t->groups += *last == NULL || strcmp(*last, o->topic) != 0;
    }
    *last = o->topic;
}

static int survey_add_group(struct kauri *k, struct survey *s, const struct kauri_group *from)
{
    struct kauri_group_offsets *offsets = NULL;
    const char *last = NULL;
    int r = kauri_group_offsets(k, from->name, false, &offsets);
    if (r == KAURI_UNKNOWN_GROUP) /* just gone */
        return 0;
    if (r != 0)
        return r;
    size_t size = (s->group_count + 1) * sizeof *s->groups;
    s->groups = assert_memory(realloc(s->groups, size), size);
    struct survey_group *g = &s->groups[s->group_count++];
    *g = (struct survey_group){
        .name = survey_copy(from->name), .members = (uint32_t)from->member_count, .lag = -1};
    (void)snprintf(g->state, sizeof g->state, "%s", from->state);
    for (size_t i = 0; i < offsets->count; i++)
        survey_offset(s, g, &offsets->rows[i], &last);
    kauri_result_free(offsets);
    return 0;
}

static int survey_groups(struct kauri *k, struct survey *s)
{
    struct kauri_groups *groups = NULL;
    int r = kauri_group_list(k, &groups);
    for (size_t i = 0; r == 0 && i < groups->count; i++)
        r = survey_add_group(k, s, &groups->groups[i]);
    kauri_result_free(groups);
    return r;
}

/* --- all of it ------------------------------------------------------------------------------ */

int survey_take(struct kauri *k, struct survey *s)
{
    *s = (struct survey){.taken_ms = survey_now()};
    int r = kauri_broker_status(k, &s->status);
    s->took_ms = survey_now() - s->taken_ms;
    s->taken_ms = survey_now();
    if (r == 0)
        r = kauri_topics(k, NULL, KAURI_WITH_PARTITIONS | KAURI_WITH_CONFIGS, survey_add_topic, s);
    if (r == 0)
        r = survey_groups(k, s);
    if (r != 0)
        survey_deinit(s);
    return r;
}

void survey_deinit(struct survey *s)
{
    for (size_t i = 0; i < s->topic_count; i++)
        free(s->topics[i].name);
    for (size_t i = 0; i < s->group_count; i++)
        free(s->groups[i].name);
    free(s->topics);
    free(s->groups);
    *s = (struct survey){.topics = NULL};
}

int64_t survey_size(const struct survey *s)
{
    int64_t size = 0;
    for (size_t i = 0; i < s->topic_count; i++)
        size += s->topics[i].size;
    return size;
}

static double survey_seconds(const struct survey *before, const struct survey *after)
{
    int64_t ms = after->taken_ms - before->taken_ms;
    return ms > 0 ? (double)ms / 1000.0 : 0.001;
}

double survey_records_rate(const struct survey *before, const struct survey *after,
                           const char *topic)
{
    const struct survey_topic *a = survey_topic(before, topic), *b = survey_topic(after, topic);
    if (a == NULL || b == NULL || b->ends < a->ends)
        return -1;
    return (double)(b->ends - a->ends) / survey_seconds(before, after);
}

double survey_disk_rate(const struct survey *before, const struct survey *after)
{
    return (double)(survey_size(after) - survey_size(before)) / survey_seconds(before, after);
}
