/* SPDX-License-Identifier: MIT
 *
 * config: the broker's configuration. See config.h.
 *
 * Every broker row has a slot with one text per origin; the highest origin that is set is in force.
 * The keys with several spellings make a family: its head's `effective` text is what the family
 * comes to, recomputed after every change, so that lookups are plain reads. Invariants: C1 and C2
 * of config.h; C3 slot i belongs to row i of the table, slots of topic rows stay empty.
 */
#include "engine/broker/config_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

struct config_slot {
    char *text[CONFIG_ORIGIN_COUNT]; /* owned; [CONFIG_FROM_DEFAULT] stays NULL */
    char family[24];                 /* a head's value when a coarser spelling gives it */
    const char *value;               /* in force: one of the texts, family or the preset */
    int64_t number;
    enum config_origin from;
};

/* Where an engine's topic key finds its default without a search. */
struct config_default {
    const struct config_row *row;
    size_t slot; /* of row->broker_name; SIZE_MAX: the preset it is */
};

struct config {
    size_t count;
    struct config_default topics[CONFIG_TOPIC_KEY_COUNT];
    size_t keys[CONFIG_BROKER_KEY_COUNT]; /* row of each enum config_broker_key */
    struct config_slot slots[];
};

/* A head and its other spellings, finest first. */
static const char *const config_families[][3] = {
    {"log.dirs", "log.dir", NULL},
    {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
    {"log.roll.jitter.ms", "log.roll.jitter.hours", NULL},
    {"log.roll.ms", "log.roll.hours", NULL},
    {"node.id", "broker.id", NULL},
};
#define CONFIG_FAMILY_COUNT (sizeof config_families / sizeof config_families[0])
#define CONFIG_SPELLINGS    3

static const char *const config_broker_names[CONFIG_BROKER_KEY_COUNT] = {
    [CONFIG_NODE_ID] = "node.id",
    [CONFIG_NUM_PARTITIONS] = "num.partitions",
    [CONFIG_DEFAULT_REPLICATION] = "default.replication.factor",
    [CONFIG_AUTO_CREATE_TOPICS] = "auto.create.topics.enable",
    [CONFIG_DELETE_TOPIC_ENABLE] = "delete.topic.enable",
    [CONFIG_RETENTION_CHECK_MS] = "log.retention.check.interval.ms",
    [CONFIG_FLUSH_INTERVAL_MS] = "log.flush.interval.ms",
    [CONFIG_DISK_RESERVE_BYTES] = "disk.reserve.bytes",
    [CONFIG_PRODUCER_EXPIRE_MS] = "producer.id.expiration.ms",
    [CONFIG_REPLICA_LAG_MS] = "replica.lag.time.max.ms",
    [CONFIG_REPLICA_CHECK_MS] = "replica.check.interval.ms",
    [CONFIG_START_WAIT_MS] = "cluster.start.wait.ms",
    [CONFIG_TOPICS_MAX] = "topics.max",
    [CONFIG_GROUPS_MAX] = "groups.max",
    [CONFIG_GROUP_SIZE_MAX] = "group.max.size",
    [CONFIG_GROUP_SESSION_MIN_MS] = "group.min.session.timeout.ms",
    [CONFIG_GROUP_SESSION_MAX_MS] = "group.max.session.timeout.ms",
    [CONFIG_GROUP_INITIAL_DELAY_MS] = "group.initial.rebalance.delay.ms",
    [CONFIG_GROUP_CONSUMER_SIZE_MAX] = "group.consumer.max.size",
    [CONFIG_GROUP_CONSUMER_SESSION_MS] = "group.consumer.session.timeout.ms",
    [CONFIG_GROUP_CONSUMER_HEARTBEAT_MS] = "group.consumer.heartbeat.interval.ms",
    [CONFIG_OFFSETS_RETENTION_MINUTES] = "offsets.retention.minutes",
    [CONFIG_OFFSETS_RETENTION_CHECK_MS] = "offsets.retention.check.interval.ms",
    [CONFIG_OFFSET_METADATA_MAX] = "offset.metadata.max.bytes",
    [CONFIG_GROUP_STUCK_MS] = "group.stuck.ms",
    [CONFIG_METRICS_PARTITIONS_MAX] = "metrics.partitions.max",
    [CONFIG_PARTITIONS_MAX] = "partitions.max",
    [CONFIG_REQUEST_BYTES_MAX] = "queued.max.request.bytes",
    [CONFIG_WORKER_THREADS] = "worker.threads",
    [CONFIG_ALLOW_INSECURE] = "allow.insecure",
    [CONFIG_CLEANER_ENABLE] = "log.cleaner.enable",
    [CONFIG_CLEANER_BACKOFF_MS] = "log.cleaner.backoff.ms",
    [CONFIG_CLEANER_MEMORY] = "log.cleaner.dedupe.buffer.size",
    [CONFIG_SHIP_BANDWIDTH] = "ship.bandwidth.max",
    [CONFIG_SHIP_RESPONSE_MAX] = "ship.response.max.bytes",
    [CONFIG_CLEANER_RATE] = "log.cleaner.io.max.bytes.per.second",
};

const char *config_origin_text(enum config_origin from)
{
    static const char *const names[CONFIG_ORIGIN_COUNT] = {
        [CONFIG_FROM_DEFAULT] = "default", [CONFIG_FROM_FILE] = "file",
        [CONFIG_FROM_ENV] = "environment", [CONFIG_FROM_FLAG] = "flag",
        [CONFIG_FROM_CLUSTER] = "cluster", [CONFIG_FROM_DYNAMIC] = "dynamic",
    };
    ASSERT((unsigned)from < CONFIG_ORIGIN_COUNT);
    ASSERT(names[from] != NULL);
    return names[from];
}

const char *config_shown(const struct config_row *row, const char *value)
{
    ASSERT(row != NULL && value != NULL);
    return row->type == CONFIG_PASSWORD && value[0] != '\0' ? "[hidden]" : value;
}

static size_t config_index(const struct config_row *row)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    ASSERT(row >= rows);
    ASSERT((size_t)(row - rows) < count);
    return (size_t)(row - rows);
}

static const struct config_row *config_row_at(size_t index)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    ASSERT(index < count);
    return &rows[index];
}

/* The slot of a broker key that is in the table. */
static struct config_slot *config_slot(struct config *c, const char *name)
{
    const struct config_row *row = config_row_find(name, false);
    ASSERT(row != NULL);
    ASSERT(config_index(row) < c->count);
    return &c->slots[config_index(row)];
}

/* Settles one slot from its own texts alone. */
static void config_settle(struct config *c, size_t index)
{
    const struct config_row *row = config_row_at(index);
    struct config_slot *slot = &c->slots[index];
    int from = CONFIG_FROM_DYNAMIC;
    ASSERT(!row->topic);
    while (from > CONFIG_FROM_DEFAULT && slot->text[from] == NULL)
        from--;
    slot->from = (enum config_origin)from;
    slot->value = from > CONFIG_FROM_DEFAULT ? slot->text[from] : row->preset;
    if (slot->value == NULL)
        slot->value = "";
    slot->number = config_number(row, slot->value);
    ASSERT(slot->value != NULL);
}

/* Takes the member's value as the head's, in the head's unit. */
static void config_adopt(struct config_slot *head, const struct config_slot *member,
                         const struct config_row *row)
{
    int64_t number = member->number;
    ASSERT(member->value[0] != '\0');
    head->from = member->from;
    if (row->type == CONFIG_STRING) {
        head->value = member->value;
        return;
    }
    if (number > 0 && row->type == CONFIG_DURATION)
        number *= config_unit_ms(row->name);
    (void)snprintf(head->family, sizeof head->family, "%" PRId64, number);
    head->value = head->family;
    head->number = number;
    ASSERT(number >= -1);
}

/* A family's head takes the member with the highest origin, the finest of equals. */
static void config_settle_family(struct config *c, const char *const family[CONFIG_SPELLINGS])
{
    struct config_slot *head = config_slot(c, family[0]);
    const struct config_row *best = NULL;
    int best_from = head->value[0] == '\0' ? -1 : (int)head->from;
    ASSERT(family[1] != NULL);
    for (size_t i = 1; i < CONFIG_SPELLINGS && family[i] != NULL; i++) {
        const struct config_slot *member = config_slot(c, family[i]);
        if (member->value[0] == '\0' || (int)member->from <= best_from)
            continue;
        best = config_row_find(family[i], false);
        best_from = (int)member->from;
    }
    if (best != NULL)
        config_adopt(head, &c->slots[config_index(best)], best);
    ASSERT(best == NULL || head->value[0] != '\0');
}

static void config_settle_all(struct config *c)
{
    ASSERT(c->count > 0);
    for (size_t i = 0; i < c->count; i++)
        if (!config_row_at(i)->topic)
            config_settle(c, i);
    for (size_t i = 0; i < CONFIG_FAMILY_COUNT; i++)
        config_settle_family(c, config_families[i]);
}

/* Resolves the names of the engine's keys once. */
static void config_resolve(struct config *c)
{
    for (size_t i = 0; i < CONFIG_BROKER_KEY_COUNT; i++) {
        const struct config_row *row = config_row_find(config_broker_names[i], false);
        ASSERT(row != NULL);
        c->keys[i] = config_index(row);
    }
    for (size_t i = 0; i < CONFIG_TOPIC_KEY_COUNT; i++) {
        const char *name = config_topic_name((enum config_topic_key)i);
        const struct config_row *row = config_row_find(name, true);
        ASSERT(row != NULL);
        c->topics[i].row = row;
        c->topics[i].slot = SIZE_MAX;
        if (row->broker_name != NULL)
            c->topics[i].slot = config_index(config_row_find(row->broker_name, false));
    }
}

const struct config_row *config_topic_row(const struct config *c, enum config_topic_key k)
{
    ASSERT((unsigned)k < CONFIG_TOPIC_KEY_COUNT);
    ASSERT(c->topics[k].row->topic);
    return c->topics[k].row;
}

int64_t config_topic_default(const struct config *c, enum config_topic_key k)
{
    ASSERT((unsigned)k < CONFIG_TOPIC_KEY_COUNT);
    const struct config_default *d = &c->topics[k];
    ASSERT(d->slot == SIZE_MAX || d->slot < c->count);
    return d->slot == SIZE_MAX ? config_number(d->row, d->row->preset) : c->slots[d->slot].number;
}

struct config *config_new(void)
{
    size_t count = 0;
    (void)config_rows(&count);
    size_t size = sizeof(struct config) + count * sizeof(struct config_slot);
    struct config *c = assert_memory(calloc(1, size), size);
    c->count = count;
    config_resolve(c);
    config_settle_all(c);
    ASSERT(c->slots[c->keys[CONFIG_NODE_ID]].number > 0);
    return c;
}

struct config *config_free(struct config *c)
{
    if (c == NULL)
        return NULL;
    ASSERT(c->count > 0);
    for (size_t i = 0; i < c->count; i++)
        for (size_t from = 0; from < CONFIG_ORIGIN_COUNT; from++)
            free(c->slots[i].text[from]);
    free(c);
    return NULL;
}

int config_dynamic_find(struct slice key, const struct config_row **out, char message[256])
{
    const struct config_row *row = NULL;
    int r = config_find(key, false, &row, message);
    ASSERT(out != NULL && (r == 0) == (row != NULL));
    if (r == 0 && !row->dynamic) {
        (void)snprintf(message, 256, "\"%s\" needs a restart: put it in the config file",
                       row->name);
        return CONFIG_READONLY;
    }
    if (r == 0)
        *out = row;
    return r;
}

int config_set(struct config *c, enum config_origin from, struct slice key, struct slice value,
               char message[256])
{
    struct buf text CLEANUP(buf_deinit) = {0};
    const struct config_row *row = NULL;
    ASSERT(from > CONFIG_FROM_DEFAULT && (unsigned)from < CONFIG_ORIGIN_COUNT);
    int r = config_find(key, false, &row, message);
    if (r != 0)
        return r;
    if (from >= CONFIG_FROM_CLUSTER && !row->dynamic) {
        (void)snprintf(message, 256, "%s cannot change while the broker runs", row->name);
        return CONFIG_READONLY;
    }
    r = config_normalise(row, value, &text, message);
    if (r != 0)
        return r;
    struct config_slot *slot = &c->slots[config_index(row)];
    free(slot->text[from]);
    slot->text[from] = (char *)slice_dup(buf_slice(&text));
    config_settle_all(c);
    ASSERT(slot->text[from] != NULL); /* in force, unless it is empty and a spelling is not */
    return 0;
}

int config_unset(struct config *c, enum config_origin from, struct slice key)
{
    char message[256] = "";
    const struct config_row *row = NULL;
    ASSERT(c != NULL && (from == CONFIG_FROM_CLUSTER || from == CONFIG_FROM_DYNAMIC));
    if (config_find(key, false, &row, message) != 0)
        return CONFIG_UNKNOWN;
    struct config_slot *slot = &c->slots[config_index(row)];
    free(slot->text[from]);
    slot->text[from] = NULL;
    config_settle_all(c);
    ASSERT(slot->value != NULL);
    return 0;
}

static bool config_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int config_reload(struct config *c, struct slice text,
                  void (*bad)(void *ctx, unsigned line, const char *message),
                  void (*left)(void *ctx, const char *key), void *ctx)
{
    struct config *fresh = config_new();
    int bad_count = config_parse(fresh, text, bad, ctx);
    ASSERT(fresh->count == c->count && left != NULL);
    for (size_t i = 0; bad_count == 0 && i < c->count; i++) {
        char **mine = &c->slots[i].text[CONFIG_FROM_FILE];
        char **theirs = &fresh->slots[i].text[CONFIG_FROM_FILE];
        const struct config_row *row = config_row_at(i);
        if (config_same(*mine, *theirs))
            continue;
        ASSERT(!row->topic); /* C3 */
        if (!row->dynamic) {
            left(ctx, row->name);
            continue;
        }
        char *old = *mine;
        *mine = *theirs;
        *theirs = old;
    }
    config_settle_all(c);
    config_free(fresh);
    return bad_count;
}

int64_t config_i64(const struct config *c, enum config_broker_key k)
{
    ASSERT((unsigned)k < CONFIG_BROKER_KEY_COUNT);
    ASSERT(c->slots[c->keys[k]].value != NULL);
    return c->slots[c->keys[k]].number;
}

bool config_bool(const struct config *c, enum config_broker_key k)
{
    ASSERT((unsigned)k < CONFIG_BROKER_KEY_COUNT);
    ASSERT(config_row_at(c->keys[k])->type == CONFIG_BOOL);
    return config_i64(c, k) != 0;
}

double config_double(const struct config *c, enum config_broker_key k)
{
    ASSERT((unsigned)k < CONFIG_BROKER_KEY_COUNT);
    ASSERT(config_row_at(c->keys[k])->type == CONFIG_DOUBLE);
    return strtod(c->slots[c->keys[k]].value, NULL);
}

const char *config_get(const struct config *c, const char *name, enum config_origin *from)
{
    ASSERT(c != NULL && name != NULL);
    const struct config_row *row = config_row_find(name, false);
    if (row == NULL)
        return NULL;
    const struct config_slot *slot = &c->slots[config_index(row)];
    if (from != NULL)
        *from = slot->from;
    ASSERT(slot->value != NULL);
    return slot->value;
}

/* The key's family, or the key alone, as a list of names. */
static void config_members(const char *name, const char *out[CONFIG_SPELLINGS])
{
    ASSERT(name != NULL && out != NULL);
    out[0] = name;
    out[1] = out[2] = NULL;
    for (size_t i = 0; i < CONFIG_FAMILY_COUNT; i++)
        if (strcmp(config_families[i][0], name) == 0)
            memcpy(out, config_families[i], sizeof config_families[i]);
    ASSERT(strcmp(out[0], name) == 0);
}

size_t config_steps(const struct config *c, const struct config_row *row,
                    struct config_step out[CONFIG_STEPS_MAX])
{
    const char *members[CONFIG_SPELLINGS];
    const struct config_row *rows[CONFIG_SPELLINGS] = {NULL};
    size_t count = 0;
    ASSERT(c != NULL && row != NULL);
    if (row->topic && row->broker_name == NULL) {
        out[0] = (struct config_step){row->name, row->preset, CONFIG_FROM_DEFAULT};
        return row->preset != NULL;
    }
    config_members(row->topic ? row->broker_name : row->name, members);
    for (size_t i = 0; i < CONFIG_SPELLINGS && members[i] != NULL; i++)
        rows[i] = config_row_find(members[i], false);
    for (int from = CONFIG_FROM_DYNAMIC; from >= CONFIG_FROM_DEFAULT; from--)
        for (size_t i = 0; i < CONFIG_SPELLINGS && rows[i] != NULL; i++) {
            const struct config_row *member = rows[i];
            const char *text = c->slots[config_index(member)].text[from];
            if (from == CONFIG_FROM_DEFAULT)
                text = member->preset;
            if (text == NULL || (members[1] != NULL && text[0] == '\0'))
                continue; /* an empty spelling leaves it to the others */
            out[count++] = (struct config_step){member->name, text, (enum config_origin)from};
        }
    ASSERT(count < CONFIG_STEPS_MAX);
    return count;
}
