/* SPDX-License-Identifier: MIT
 *
 * broker_topics: the catalogue in memory: a map by name for requests, an array in name order for
 * listing.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

static struct slice broker_topic_name(const struct topic *t)
{
    ASSERT(t->name != NULL);
    return slice_str(t->name);
}

static struct slice broker_topic_id(const struct topic *t)
{
    ASSERT(sizeof t->record.id == 16);
    return slice_of(t->record.id, sizeof t->record.id);
}

static int broker_compare(struct slice a, struct slice b)
{
    ASSERT((a.p != NULL || a.size == 0) && (b.p != NULL || b.size == 0));
    size_t common = a.size < b.size ? a.size : b.size;
    int r = common > 0 ? memcmp(a.p, b.p, common) : 0;
    return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

/* First slot whose name is > name (or >= with `equal`). */
static size_t broker_topic_slot(const struct broker *b, struct slice name, bool equal)
{
    ASSERT(b->sorted != NULL || b->topic_count == 0);
    size_t low = 0, high = b->topic_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int r = broker_compare(broker_topic_name(b->sorted[mid]), name);
        if (r < 0 || (r == 0 && !equal))
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low == high && low <= b->topic_count);
    return low;
}

struct topic *broker_find_topic(const struct broker *b, struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    return map_get(&b->topics, name);
}

struct bpart *broker_find_part(struct topic *t, int32_t index)
{
    ASSERT(t->record.partitions > 0);
    ASSERT(t->parts != NULL);
    return index >= 0 && index < t->record.partitions ? t->parts[index] : NULL;
}

void broker_refresh_topic(struct broker *b, struct topic *t)
{
    const struct config *c = b->env.config;
    const struct config_topic *o = &t->record.configs;
    int64_t policy = config_topic_i64(c, o, CONFIG_CLEANUP_POLICY);
    int64_t timestamps = config_topic_i64(c, o, CONFIG_MESSAGE_TIMESTAMP_TYPE);
    bool synced = t->limits.sync;
    t->limits = (struct topic_limits){
        .message_size_max = (size_t)config_topic_i64(c, o, CONFIG_MAX_MESSAGE_BYTES),
        .before_max_ms = config_topic_i64(c, o, CONFIG_TIMESTAMP_BEFORE_MAX_MS),
        .after_max_ms = config_topic_i64(c, o, CONFIG_TIMESTAMP_AFTER_MAX_MS),
        .retention_ms = config_topic_i64(c, o, CONFIG_RETENTION_MS),
        .retention_size = config_topic_i64(c, o, CONFIG_RETENTION_BYTES),
        .delete_delay_ms = config_topic_i64(c, o, CONFIG_DELETE_DELAY_MS),
        .flush_ms = config_topic_i64(c, o, CONFIG_FLUSH_MS),
        .min_insync = config_topic_i64(c, o, CONFIG_MIN_INSYNC_REPLICAS),
        .delete_retention_ms = config_topic_i64(c, o, CONFIG_DELETE_RETENTION_MS),
        .min_lag_ms = config_topic_i64(c, o, CONFIG_MIN_COMPACTION_LAG_MS),
        .max_lag_ms = config_topic_i64(c, o, CONFIG_MAX_COMPACTION_LAG_MS),
        .min_dirty = config_topic_double(c, o, CONFIG_MIN_CLEANABLE_RATIO),
        .codec = (int)config_topic_i64(c, o, CONFIG_COMPRESSION_TYPE) - CONFIG_COMPRESSION_NONE,
        .append_time = timestamps == CONFIG_TIME_APPEND,
        .compacted = (policy & CONFIG_CLEANUP_COMPACT) != 0,
        .expires = (policy & CONFIG_CLEANUP_DELETE) != 0,
        .sync = config_topic_i64(c, o, CONFIG_DURABILITY) == CONFIG_DURABILITY_SYNC,
        .part = {.segment_size_max = (uint64_t)config_topic_i64(c, o, CONFIG_SEGMENT_BYTES),
                 .segment_ms = config_topic_i64(c, o, CONFIG_SEGMENT_MS),
                 .index_interval_size =
                     (uint64_t)config_topic_i64(c, o, CONFIG_INDEX_INTERVAL_BYTES)},
    };
    if (t->limits.part.index_interval_size == 0)
        t->limits.part.index_interval_size = 1;
    broker_retention_limits(&t->limits);
    ASSERT(t->limits.part.segment_size_max > 0);
    b->next_retention_ms = 0; /* what is not open is opened: it may be too old now */
    t->next_flush_ms = 0;
    if (!t->limits.sync && t->limits.flush_ms < INT64_MAX)
        b->next_flush_ms = 0;
    for (int32_t i = 0; i < t->record.partitions; i++) {
        if (t->parts[i]->part == NULL)
            continue;
        bpart_configure(t->parts[i]);
        bpart_limits_changed(t->parts[i]);
        broker_retention_look(t->parts[i]);
        if (t->limits.sync && !synced)
            bpart_tighten(t->parts[i]);
    }
}

void broker_refresh_topics(struct broker *b)
{
    for (size_t i = 0; i < b->topic_count; i++)
        broker_refresh_topic(b, b->sorted[i]);
}

void broker_reconfigure(struct broker *b)
{
    ASSERT(b->env.config != NULL);
    broker_refresh_topics(b);
}

struct topic *broker_add_topic(struct broker *b, struct slice name, struct catalog_topic *record,
                               int64_t revision)
{
    struct topic *t = calloc(1, sizeof *t);
    ASSERT(t != NULL && broker_find_topic(b, name) == NULL);
    ASSERT(record->partitions > 0 && revision >= 0);
    t->name = (char *)slice_dup(name);
    t->record = *record;
    *record = (struct catalog_topic){0};
    t->revision = revision;
    list_init(&t->deletions);
    t->parts = calloc((size_t)t->record.partitions, sizeof *t->parts);
    ASSERT(t->parts != NULL);
    for (int32_t i = 0; i < t->record.partitions; i++)
        t->parts[i] = bpart_new(b, t, i);
    b->sorted = realloc(b->sorted, (b->topic_count + 1) * sizeof *b->sorted);
    ASSERT(b->sorted != NULL);
    size_t slot = broker_topic_slot(b, name, true);
    memmove(b->sorted + slot + 1, b->sorted + slot, (b->topic_count - slot) * sizeof *b->sorted);
    b->sorted[slot] = t;
    b->topic_count++;
    b->partition_count += (size_t)t->record.partitions;
    void *old = map_put(&b->topics, broker_topic_name(t), t);
    ASSERT(old == NULL);
    old = map_put(&b->ids, broker_topic_id(t), t);
    ASSERT(old == NULL);
    ASSERT(b->topics.count == b->topic_count);
    broker_refresh_topic(b, t);
    if (b->groups != NULL)
        broker_groups_topics_changed(b->groups, SLICE_NULL);
    broker_cluster_topic(b, t);
    return t;
}

static void broker_free_topic(struct topic *t)
{
    for (int32_t i = 0; i < t->record.partitions; i++) {
        ASSERT(list_empty(&t->parts[i]->waits));
        bpart_replica_free(t->parts[i]);
        part_close(t->parts[i]->part);
        free(t->parts[i]->counters);
        free(t->parts[i]);
    }
    catalog_deinit(&t->record);
    free(t->parts);
    free(t->name);
    free(t);
}

void broker_remove_topic(struct broker *b, struct topic *t)
{
    size_t slot = broker_topic_slot(b, broker_topic_name(t), true);
    ASSERT(slot < b->topic_count && b->sorted[slot] == t);
    ASSERT(t->deleting && t->deletion == NULL && !list_linked(&t->deletions));
    b->topic_count--;
    memmove(b->sorted + slot, b->sorted + slot + 1, (b->topic_count - slot) * sizeof *b->sorted);
    b->partition_count -= (size_t)t->record.partitions;
    for (int32_t i = 0; i < t->record.partitions; i++)
        ASSERT(t->parts[i]->jobs == 0 && !list_linked(&t->parts[i]->due) &&
               !list_linked(&t->parts[i]->load));
    void *gone = map_remove(&b->topics, broker_topic_name(t));
    ASSERT(gone == t);
    gone = map_remove(&b->ids, broker_topic_id(t));
    ASSERT(gone == t);
    broker_cluster_topic_gone(b, t);
    broker_free_topic(t);
}

void broker_grow_topic(struct broker *b, struct topic *t, int32_t partitions)
{
    int32_t before = t->record.partitions;
    ASSERT(partitions > before);
    ASSERT(!t->deleting);
    t->parts = realloc(t->parts, (size_t)partitions * sizeof *t->parts);
    ASSERT(t->parts != NULL);
    for (int32_t i = before; i < partitions; i++)
        t->parts[i] = bpart_new(b, t, i);
    t->record.partitions = partitions;
    b->partition_count += (size_t)(partitions - before);
    broker_groups_topics_changed(b->groups, SLICE_NULL);
    broker_cluster_topic(b, t);
}

void broker_free_topics(struct broker *b)
{
    ASSERT(b->topics.count == b->topic_count);
    for (size_t i = 0; i < b->topic_count; i++)
        broker_free_topic(b->sorted[i]);
    free(b->sorted);
    map_deinit(&b->ids);
    map_deinit(&b->topics);
}

static void broker_topic_fill(const struct topic *t, struct broker_topic_info *out)
{
    ASSERT(!t->deleting);
    *out = (struct broker_topic_info){
        .name = broker_topic_name(t),
        .partition_count = t->record.partitions,
        .replication = t->record.replication,
        .internal = catalog_name_internal(broker_topic_name(t)),
    };
    memcpy(out->id, t->record.id, sizeof out->id);
}

int broker_topic(const struct broker *b, struct slice name, struct broker_topic_info *out)
{
    ASSERT(out != NULL);
    const struct topic *t = broker_find_topic(b, name);
    if (t == NULL || t->deleting)
        return 1;
    broker_topic_fill(t, out);
    return 0;
}

int broker_topic_by_id(const struct broker *b, const uint8_t id[16], struct broker_topic_info *out)
{
    ASSERT(id != NULL && out != NULL);
    const struct topic *t = map_get(&b->ids, slice_of(id, sizeof t->record.id));
    if (t == NULL || t->deleting)
        return 1;
    broker_topic_fill(t, out);
    return 0;
}

int broker_topic_after(const struct broker *b, struct slice after, struct broker_topic_info *out)
{
    ASSERT(out != NULL);
    size_t slot = after.p == NULL ? 0 : broker_topic_slot(b, after, false);
    while (slot < b->topic_count && b->sorted[slot]->deleting)
        slot++;
    if (slot >= b->topic_count)
        return 1;
    broker_topic_fill(b->sorted[slot], out);
    return 0;
}

int broker_partition(struct broker *b, struct slice topic, int32_t partition, bool load,
                     struct broker_partition_info *out)
{
    struct topic *t = broker_find_topic(b, topic);
    struct bpart *p = t == NULL || t->deleting ? NULL : broker_find_part(t, partition);
    if (p == NULL)
        return 1;
    ASSERT(p->topic == t && p->index == partition);
    if (load)
        (void)bpart_use(p);
    bpart_info(p, out);
    if (p->part != NULL) {
        out->epoch = p->replica == NULL ? p->part->epoch : out->epoch;
        out->log_start = p->part->log_start;
        out->high_watermark = bpart_visible(p);
        out->size = part_size(p->part);
    }
    return 0;
}

enum broker_status broker_producers(struct broker *b, struct slice topic, int32_t partition,
                                    void (*fn)(void *ctx, const struct broker_producer *producer),
                                    void *ctx)
{
    struct topic *t = broker_find_topic(b, topic);
    size_t at = 0;
    ASSERT(fn != NULL);
    if (t == NULL || t->deleting)
        return BROKER_UNKNOWN_TOPIC;
    struct bpart *p = broker_find_part(t, partition);
    enum broker_status s = p == NULL ? BROKER_UNKNOWN_PARTITION : bpart_use(p);
    if (s != BROKER_OK)
        return s;
    ASSERT(p->part != NULL && p->topic == t);
    const struct map *map = &p->part->producers.map;
    for (const struct producers_entry *e = map_next(map, &at); e != NULL; e = map_next(map, &at)) {
        const struct producers_batch *last = &e->batches[e->count > 0 ? e->count - 1 : 0];
        struct broker_producer producer = {e->id, e->last_ms,
                                           e->count > 0 ? last->last_sequence : -1, e->epoch};
        fn(ctx, &producer);
    }
    return BROKER_OK;
}

void broker_configs(const struct broker *b, struct slice topic,
                    void (*fn)(void *ctx, const char *key, const char *value, const char *source,
                               const char *help),
                    void *ctx)
{
    ASSERT(fn != NULL);
    size_t count;
    const struct config_row *rows = config_rows(&count);
    const struct topic *t = topic.p != NULL ? broker_find_topic(b, topic) : NULL;
    for (size_t i = 0; i < count; i++) {
        const char *source;
        if (topic.p != NULL && rows[i].topic && t != NULL) {
            const char *value =
                config_topic_text(b->env.config, &t->record.configs, &rows[i], &source);
            fn(ctx, rows[i].name, value, source, rows[i].help);
        } else if (topic.p == NULL && !rows[i].topic) {
            enum config_origin from;
            const char *value = config_get(b->env.config, rows[i].name, &from);
            fn(ctx, rows[i].name, value != NULL ? config_shown(&rows[i], value) : "",
               config_origin_text(from), rows[i].help);
        }
    }
}
