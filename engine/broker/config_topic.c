/* SPDX-License-Identifier: MIT
 *
 * config_topic: the overrides of one topic, a small array sorted by row (which is by name). See
 * config.h. Every text in it was normalised, so a lookup never parses with doubt.
 */
#include "engine/broker/config_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

struct config_override {
    const struct config_row *row;
    char *text; /* owned */
    int64_t number;
};

static const char *const config_topic_names[CONFIG_TOPIC_KEY_COUNT] = {
    [CONFIG_CLEANUP_POLICY] = "cleanup.policy",
    [CONFIG_COMPRESSION_TYPE] = "compression.type",
    [CONFIG_DURABILITY] = "durability",
    [CONFIG_INDEX_INTERVAL_BYTES] = "index.interval.bytes",
    [CONFIG_MAX_MESSAGE_BYTES] = "max.message.bytes",
    [CONFIG_MESSAGE_TIMESTAMP_TYPE] = "message.timestamp.type",
    [CONFIG_TIMESTAMP_BEFORE_MAX_MS] = "message.timestamp.before.max.ms",
    [CONFIG_TIMESTAMP_AFTER_MAX_MS] = "message.timestamp.after.max.ms",
    [CONFIG_MIN_INSYNC_REPLICAS] = "min.insync.replicas",
    [CONFIG_RETENTION_BYTES] = "retention.bytes",
    [CONFIG_RETENTION_MS] = "retention.ms",
    [CONFIG_SEGMENT_BYTES] = "segment.bytes",
    [CONFIG_SEGMENT_MS] = "segment.ms",
    [CONFIG_DELETE_DELAY_MS] = "file.delete.delay.ms",
    [CONFIG_DELETE_RETENTION_MS] = "delete.retention.ms",
    [CONFIG_MAX_COMPACTION_LAG_MS] = "max.compaction.lag.ms",
    [CONFIG_MIN_CLEANABLE_RATIO] = "min.cleanable.dirty.ratio",
    [CONFIG_MIN_COMPACTION_LAG_MS] = "min.compaction.lag.ms",
    [CONFIG_FLUSH_MS] = "flush.ms",
};

const char *config_topic_name(enum config_topic_key k)
{
    ASSERT((unsigned)k < CONFIG_TOPIC_KEY_COUNT);
    ASSERT(config_topic_names[k] != NULL);
    return config_topic_names[k];
}

/* Slot of the row, or where it belongs. */
static size_t config_topic_slot(const struct config_topic *t, const struct config_row *row,
                                bool *found)
{
    size_t i = 0;
    ASSERT(row != NULL && row->topic);
    while (i < t->count && t->v[i].row < row)
        i++;
    *found = i < t->count && t->v[i].row == row;
    ASSERT(i <= t->count);
    return i;
}

static void config_topic_remove(struct config_topic *t, size_t index)
{
    ASSERT(index < t->count);
    free(t->v[index].text);
    t->count--;
    memmove(&t->v[index], &t->v[index + 1], (t->count - index) * sizeof t->v[0]);
    if (t->count == 0)
        config_topic_deinit(t);
    ASSERT(t->count > 0 || t->v == NULL);
}

/* Takes `text`. */
static void config_topic_put(struct config_topic *t, const struct config_row *row, char *text)
{
    bool found = false;
    size_t index = config_topic_slot(t, row, &found);
    ASSERT(text != NULL);
    if (found) {
        free(t->v[index].text);
    } else {
        size_t size = (t->count + 1) * sizeof t->v[0];
        t->v = assert_memory(realloc(t->v, size), size);
        memmove(&t->v[index + 1], &t->v[index], (t->count - index) * sizeof t->v[0]);
        t->count++;
    }
    t->v[index] = (struct config_override){row, text, config_number(row, text)};
    ASSERT(index == 0 || t->v[index - 1].row < row);
}

static int64_t config_topic_own(const struct config_topic *t, const char *name)
{
    bool found = false;
    const struct config_row *row = config_row_find(name, true);
    ASSERT(row != NULL);
    size_t index = config_topic_slot(t, row, &found);
    ASSERT(found || row->preset != NULL);
    return found ? t->v[index].number : config_number(row, row->preset);
}

/* What a key with a good value of its own may still not be. 0, CONFIG_BAD or CONFIG_DENIED. */
static int config_topic_agree(const struct config_topic *t, const struct config_row *row,
                              const char *text, char message[256])
{
    ASSERT(t != NULL && text != NULL);
    if (strcmp(row->name, "remote.storage.enable") == 0 && strcmp(text, "true") == 0) {
        (void)snprintf(message, 256,
                       "remote.storage.enable cannot be true: there is no remote "
                       "storage");
        return CONFIG_DENIED;
    }
    bool is_min = strcmp(row->name, "min.compaction.lag.ms") == 0;
    bool is_max = strcmp(row->name, "max.compaction.lag.ms") == 0;
    if (!is_min && !is_max)
        return 0;
    int64_t number = config_number(row, text);
    ASSERT(number >= 0);
    int64_t low = is_min ? number : config_topic_own(t, "min.compaction.lag.ms");
    int64_t high = is_max ? number : config_topic_own(t, "max.compaction.lag.ms");
    if (low <= high)
        return 0;
    (void)snprintf(message, 256,
                   "%s cannot be \"%.30s\": min.compaction.lag.ms must not exceed "
                   "max.compaction.lag.ms",
                   row->name, text);
    return CONFIG_BAD;
}

int config_topic_set(struct config_topic *t, struct slice key, struct slice value,
                     char message[256])
{
    struct buf text CLEANUP(buf_deinit) = {0};
    const struct config_row *row = NULL;
    bool found = false;
    ASSERT(t != NULL && message != NULL);
    int r = config_find(key, true, &row, message);
    if (r != 0)
        return r;
    if (value.p == NULL) {
        size_t index = config_topic_slot(t, row, &found);
        if (found)
            config_topic_remove(t, index);
        return 0;
    }
    r = config_normalise(row, value, &text, message);
    if (r == 0)
        r = config_topic_agree(t, row, (const char *)text.p, message);
    if (r != 0)
        return r;
    config_topic_put(t, row, (char *)slice_dup(buf_slice(&text)));
    ASSERT(t->count > 0);
    return 0;
}

int config_topic_find(struct slice key, const struct config_row **out, char message[256])
{
    ASSERT(out != NULL && message != NULL);
    return config_find(key, true, out, message);
}

void config_topic_copy(struct config_topic *to, const struct config_topic *from)
{
    ASSERT(to != from && to->v == NULL && to->count == 0);
    for (size_t i = 0; i < from->count; i++) {
        const struct config_override *o = &from->v[i];
        config_topic_put(to, o->row, (char *)slice_dup(slice_str(o->text)));
    }
    ASSERT(to->count == from->count);
}

void config_topic_deinit(struct config_topic *t)
{
    ASSERT(t != NULL);
    for (size_t i = 0; i < t->count; i++)
        free(t->v[i].text);
    free(t->v);
    t->v = NULL;
    t->count = 0;
}

bool config_topic_at(const struct config_topic *t, size_t i, const char **key, const char **value)
{
    ASSERT(key != NULL && value != NULL);
    if (i >= t->count)
        return false;
    ASSERT(t->v[i].row->topic);
    *key = t->v[i].row->name;
    *value = t->v[i].text;
    return true;
}

int64_t config_topic_i64(const struct config *c, const struct config_topic *t,
                         enum config_topic_key k)
{
    bool found = false;
    ASSERT(c != NULL && t != NULL);
    const struct config_row *row = config_topic_row(c, k);
    size_t index = config_topic_slot(t, row, &found);
    ASSERT(!found || t->v[index].row == row);
    return found ? t->v[index].number : config_topic_default(c, k);
}

double config_topic_double(const struct config *c, const struct config_topic *t,
                           enum config_topic_key k)
{
    const struct config_row *row = config_topic_row(c, k);
    const char *source = NULL;
    ASSERT(row->type == CONFIG_DOUBLE);
    return strtod(config_topic_text(c, t, row, &source), NULL);
}

const char *config_topic_text(const struct config *c, const struct config_topic *t,
                              const struct config_row *row, const char **source)
{
    bool found = false;
    enum config_origin from = CONFIG_FROM_DEFAULT;
    ASSERT(c != NULL && source != NULL);
    size_t index = config_topic_slot(t, row, &found);
    *source = found ? "topic" : "default";
    if (found)
        return t->v[index].text;
    if (row->broker_name == NULL)
        return row->preset != NULL ? row->preset : "";
    const char *text = config_get(c, row->broker_name, &from);
    ASSERT(text != NULL);
    if (from != CONFIG_FROM_DEFAULT)
        *source = "broker";
    return text;
}
