/* SPDX-License-Identifier: MIT
 *
 * quota: see quota.h.
 */
#include "engine/broker/quota.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/list.h"
#include "engine/base/map.h"

#define QUOTA_VERSION  1
#define QUOTA_NEAR_MAX (2 + QUOTA_NAME_MAX) /* an encoded entity */
#define QUOTA_LEVELS   5

struct quota_row {
    struct quota_values values;
    size_t size;
    uint8_t text[]; /* the encoded entity: the key of the map */
};

/* What one client, or all of one quota, used of a key. */
struct quota_counter {
    struct list used; /* in quotas->used */
    int64_t second[QUOTA_SLOTS];
    double sum[QUOTA_SLOTS];
    size_t size;
    uint8_t text[]; /* key, level, client id: the key of the map */
};

struct quota_table {
    struct map entities; /* struct quota_row, owned */
    struct map counters; /* struct quota_counter, owned */
    struct list used;    /* the counters, the one used last at the end */
    size_t with[QUOTA_KEY_COUNT];
};

const char *quota_key_text(enum quota_key key)
{
    static const char *const texts[QUOTA_KEY_COUNT] = {
        [QUOTA_PRODUCE] = "producer_byte_rate",
        [QUOTA_FETCH] = "consumer_byte_rate",
        [QUOTA_TIME] = "request_percentage",
    };
    ASSERT((unsigned)key < QUOTA_KEY_COUNT);
    ASSERT(texts[key] != NULL);
    return texts[key];
}

const char *quota_value_fault(enum quota_key key, double value)
{
    ASSERT((unsigned)key < QUOTA_KEY_COUNT);
    ASSERT(QUOTA_THROTTLE_MAX_MS >= QUOTA_TIME_MAX_MS);
    if (!(value > 0) || value > 1e300)
        return "a quota is a number above 0";
    if (key != QUOTA_TIME && (value > 9007199254740992.0 || value != (double)(int64_t)value))
        return "a rate is a whole number of bytes a second";
    return NULL;
}

/* --- as bytes --- */

void quota_entity_encode(const struct quota_entity *e, struct buf *out)
{
    ASSERT(e->user || e->client);
    ASSERT(e->client || e->name.p == NULL);
    if (e->user)
        buf_append_u8(out, 'u');
    if (e->client)
        buf_append_u8(out, e->name.p == NULL ? 'd' : 'n');
    if (e->client && e->name.p != NULL)
        buf_append(out, e->name.p, e->name.size);
}

int quota_entity_decode(struct slice in, struct quota_entity *out)
{
    struct quota_entity e = {.name = SLICE_NULL};
    ASSERT(out != NULL && (in.p != NULL || in.size == 0));
    size_t at = 0;
    e.user = at < in.size && in.p[at] == 'u';
    at += e.user;
    e.client = at < in.size && (in.p[at] == 'd' || in.p[at] == 'n');
    bool named = e.client && in.p[at] == 'n';
    at += e.client;
    if (named)
        e.name = slice_of(in.p + at, in.size - at);
    if ((!e.user && !e.client) || (!named && at != in.size) || e.name.size > QUOTA_NAME_MAX)
        return 1;
    *out = e;
    ASSERT(out->client || out->name.p == NULL);
    return 0;
}

void quota_values_encode(const struct quota_values *values, struct buf *out)
{
    ASSERT(values != NULL && out != NULL);
    buf_append_u8(out, QUOTA_VERSION);
    for (uint8_t i = 0; i < QUOTA_KEY_COUNT; i++) {
        uint64_t bits;
        if (values->v[i] <= 0)
            continue;
        memcpy(&bits, &values->v[i], sizeof bits);
        buf_append_u8(out, i);
        buf_append_le64(out, bits);
    }
    ASSERT(out->size > 0);
}

int quota_values_decode(struct slice in, struct quota_values *out)
{
    struct quota_values values = {{0}};
    ASSERT(out != NULL && (in.p != NULL || in.size == 0));
    if (in.size < 1 || in.p[0] != QUOTA_VERSION || (in.size - 1) % 9 != 0)
        return 1;
    for (size_t at = 1; at < in.size; at += 9) {
        uint64_t bits = bytes_le64(in.p + at + 1);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (in.p[at] >= QUOTA_KEY_COUNT ||
            quota_value_fault((enum quota_key)in.p[at], value) != NULL)
            return 1;
        values.v[in.p[at]] = value;
    }
    *out = values;
    ASSERT(out->v[QUOTA_PRODUCE] >= 0);
    return 0;
}

/* --- entities --- */

struct quota_table *quota_table_new(uint64_t seed)
{
    struct quota_table *q = assert_memory(calloc(1, sizeof *q), sizeof *q);
    map_init(&q->entities, seed);
    map_init(&q->counters, seed);
    list_init(&q->used);
    ASSERT(q->with[QUOTA_PRODUCE] == 0);
    return q;
}

static void quota_table_forget_all(struct quota_table *q)
{
    for (struct list *n = list_pop(&q->used); n != NULL; n = list_pop(&q->used))
        free(LIST_ENTRY(n, struct quota_counter, used));
    ASSERT(list_empty(&q->used));
}

struct quota_table *quota_table_free(struct quota_table *q)
{
    size_t at = 0;
    if (q == NULL)
        return NULL;
    for (struct quota_row *r = map_next(&q->entities, &at); r != NULL;
         r = map_next(&q->entities, &at))
        free(r);
    quota_table_forget_all(q);
    map_deinit(&q->entities);
    map_deinit(&q->counters);
    ASSERT(list_empty(&q->used));
    free(q);
    return NULL;
}

size_t quota_table_count(const struct quota_table *q)
{
    ASSERT(q != NULL);
    return q->entities.count;
}

static void quota_table_count_keys(struct quota_table *q, const struct quota_values *values,
                                   bool more)
{
    for (size_t i = 0; i < QUOTA_KEY_COUNT; i++) {
        ASSERT(more || values->v[i] <= 0 || q->with[i] > 0);
        if (values->v[i] > 0)
            q->with[i] += more ? 1 : (size_t)-1;
    }
}

static bool quota_values_none(const struct quota_values *values)
{
    bool none = true;
    ASSERT(values != NULL);
    for (size_t i = 0; i < QUOTA_KEY_COUNT; i++)
        none = none && values->v[i] <= 0;
    return none;
}

void quota_table_set(struct quota_table *q, const struct quota_entity *e,
                     const struct quota_values *values)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    quota_entity_encode(e, &text);
    ASSERT(text.size > 0 && text.size <= QUOTA_NEAR_MAX);
    struct quota_row *old = map_remove(&q->entities, buf_slice(&text));
    if (old != NULL)
        quota_table_count_keys(q, &old->values, false);
    free(old);
    if (quota_values_none(values))
        return;
    size_t size = sizeof(struct quota_row) + text.size;
    struct quota_row *r = assert_memory(calloc(1, size), size);
    r->values = *values;
    r->size = text.size;
    memcpy(r->text, text.p, text.size);
    void *other = map_put(&q->entities, slice_of(r->text, r->size), r);
    ASSERT(other == NULL);
    quota_table_count_keys(q, values, true);
}

struct quota_values quota_table_get(const struct quota_table *q, const struct quota_entity *e)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    quota_entity_encode(e, &text);
    ASSERT(text.size > 0);
    const struct quota_row *r = map_get(&q->entities, buf_slice(&text));
    return r != NULL ? r->values : (struct quota_values){{0}};
}

static int quota_row_order(const void *a, const void *b)
{
    const struct quota_row *x = *(const struct quota_row *const *)a;
    const struct quota_row *y = *(const struct quota_row *const *)b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    ASSERT(x->size > 0 && y->size > 0);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

void quota_table_each(const struct quota_table *q,
                      void (*fn)(void *ctx, const struct quota_entity *e,
                                 const struct quota_values *values),
                      void *ctx)
{
    size_t at = 0, count = 0;
    ASSERT(fn != NULL);
    const struct quota_row **rows = calloc(q->entities.count + 1, sizeof *rows);
    ASSERT(rows != NULL);
    for (const struct quota_row *r = map_next(&q->entities, &at); r != NULL;
         r = map_next(&q->entities, &at))
        rows[count++] = r;
    qsort(rows, count, sizeof *rows, quota_row_order);
    for (size_t i = 0; i < count; i++) {
        struct quota_entity e;
        int r = quota_entity_decode(slice_of(rows[i]->text, rows[i]->size), &e);
        ASSERT(r == 0);
        fn(ctx, &e, &rows[i]->values);
    }
    free(rows);
}

bool quota_table_any(const struct quota_table *q, enum quota_key key)
{
    ASSERT((unsigned)key < QUOTA_KEY_COUNT);
    return q->with[key] > 0;
}

/* --- who a client is --- */

struct quota_match {
    double value;
    uint8_t level; /* 0: none has a value */
    bool shared;   /* by all clients */
};

/* The nearest entity with a value for the key. */
static struct quota_match quota_table_match(const struct quota_table *q, enum quota_key key,
                                            struct slice client)
{
    static const char heads[QUOTA_LEVELS][3] = {"un", "ud", "u", "n", "d"};
    uint8_t text[QUOTA_NEAR_MAX];
    ASSERT(client.size <= QUOTA_NAME_MAX);
    for (size_t i = 0; i < QUOTA_LEVELS; i++) {
        size_t head = strlen(heads[i]);
        bool named = heads[i][head - 1] == 'n';
        memcpy(text, heads[i], head);
        if (named && client.size > 0)
            memcpy(text + head, client.p, client.size);
        const struct quota_row *r =
            map_get(&q->entities, slice_of(text, head + (named ? client.size : 0)));
        if (r != NULL && r->values.v[key] > 0)
            return (struct quota_match){r->values.v[key], (uint8_t)(i + 1),
                                        heads[i][head - 1] == 'u'};
    }
    return (struct quota_match){0};
}

static struct slice quota_client(struct slice id)
{
    ASSERT(id.p != NULL || id.size == 0);
    return slice_of(id.p, id.size < QUOTA_NAME_MAX ? id.size : QUOTA_NAME_MAX);
}

double quota_table_bound(const struct quota_table *q, enum quota_key key, struct slice client_id)
{
    ASSERT((unsigned)key < QUOTA_KEY_COUNT && key != QUOTA_TIME);
    if (q->with[key] == 0)
        return 0;
    return quota_table_match(q, key, quota_client(client_id)).value * (QUOTA_SLOTS - 1);
}

/* --- use --- */

static void quota_table_forget(struct quota_table *q, struct quota_counter *c)
{
    void *gone = map_remove(&q->counters, slice_of(c->text, c->size));
    ASSERT(gone == c);
    list_remove(&c->used);
    free(c);
}

static struct quota_counter *quota_table_counter(struct quota_table *q, enum quota_key key,
                                                 const struct quota_match *m, struct slice client)
{
    uint8_t text[QUOTA_NEAR_MAX] = {(uint8_t)key, m->level};
    size_t size = 2 + (m->shared ? 0 : client.size);
    ASSERT(size <= sizeof text);
    if (size > 2)
        memcpy(text + 2, client.p, client.size);
    struct quota_counter *c = map_get(&q->counters, slice_of(text, size));
    if (c != NULL) {
        list_remove(&c->used);
        list_add_tail(&q->used, &c->used);
        return c;
    }
    if (q->counters.count == QUOTA_COUNTERS_MAX)
        quota_table_forget(q, LIST_ENTRY(q->used.next, struct quota_counter, used));
    c = assert_memory(calloc(1, sizeof *c + size), sizeof *c + size);
    c->size = size;
    memcpy(c->text, text, size);
    for (size_t i = 0; i < QUOTA_SLOTS; i++)
        c->second[i] = INT64_MIN;
    list_add_tail(&q->used, &c->used);
    void *other = map_put(&q->counters, slice_of(c->text, c->size), c);
    ASSERT(other == NULL);
    return c;
}

/* Adds to the second that runs, and gives the sum of the window. */
static double quota_counter_add(struct quota_counter *c, int64_t second, double amount)
{
    double sum = 0;
    size_t slot = (size_t)(second % QUOTA_SLOTS);
    ASSERT(second >= 0 && amount >= 0);
    if (c->second[slot] != second)
        c->sum[slot] = 0;
    c->second[slot] = second;
    c->sum[slot] += amount;
    for (size_t i = 0; i < QUOTA_SLOTS; i++)
        if (c->second[i] > second - QUOTA_SLOTS)
            sum += c->sum[i];
    ASSERT(sum >= amount);
    return sum;
}

uint32_t quota_table_charge(struct quota_table *q, struct slice client_id,
                            const struct quota_use *use)
{
    struct slice client = quota_client(client_id);
    ASSERT((unsigned)use->key < QUOTA_KEY_COUNT && use->now_ms >= 0);
    if (q->with[use->key] == 0)
        return 0;
    struct quota_match m = quota_table_match(q, use->key, client);
    if (m.level == 0)
        return 0;
    struct quota_counter *c = quota_table_counter(q, use->key, &m, client);
    double sum = quota_counter_add(c, use->now_ms / QUOTA_SLOT_MS, use->amount);
    double window_ms = (double)((QUOTA_SLOTS - 1) * QUOTA_SLOT_MS + use->now_ms % QUOTA_SLOT_MS);
    /* a percentage of time: microseconds over tens of microseconds a millisecond */
    double due_ms = use->key == QUOTA_TIME ? sum / (m.value * 10) : sum * 1000 / m.value;
    double most = use->key == QUOTA_TIME ? QUOTA_TIME_MAX_MS : QUOTA_THROTTLE_MAX_MS;
    double wait = due_ms - window_ms;
    ASSERT(wait == wait);
    if (wait <= 0)
        return 0;
    if (wait >= most)
        return (uint32_t)most;
    return (uint32_t)wait + (wait > (double)(uint32_t)wait);
}

void quota_table_check(const struct quota_table *q)
{
    size_t at = 0, with[QUOTA_KEY_COUNT] = {0}, counters = 0;
    map_check(&q->entities);
    map_check(&q->counters);
    for (const struct quota_row *r = map_next(&q->entities, &at); r != NULL;
         r = map_next(&q->entities, &at)) {
        ASSERT(!quota_values_none(&r->values)); /* Q1 */
        for (size_t i = 0; i < QUOTA_KEY_COUNT; i++)
            with[i] += r->values.v[i] > 0;
    }
    ASSERT(memcmp(with, q->with, sizeof with) == 0); /* Q2 */
    LIST_EACH (node, &q->used) {
        const struct quota_counter *c = LIST_ENTRY(node, struct quota_counter, used);
        ASSERT(map_get(&q->counters, slice_of(c->text, c->size)) == c);
        counters++;
    }
    ASSERT(counters == q->counters.count && counters <= QUOTA_COUNTERS_MAX); /* Q3 */
}
