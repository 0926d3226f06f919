/* SPDX-License-Identifier: MIT
 *
 * kafka_session: see kafka_session.h.
 */
#include "net/kafka/kafka_session.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "net/kafka/kafka_errmap.h"

#define KAFKA_SESSION_ID_SIZE 16
#define KAFKA_SESSION_INDEX   4 /* bytes of a key before the topic */

struct kafka_sessions {
    struct map ids;   /* sessions, owned */
    struct list used; /* the same */
    struct random random;
    uint64_t serial; /* of the last one */
    size_t size;
};

struct kafka_session_key {
    uint8_t bytes[KAFKA_SESSION_INDEX + KAFKA_SESSION_TOPIC_MAX];
    size_t size;
};

struct kafka_sessions *kafka_sessions_new(uint64_t seed)
{
    struct kafka_sessions *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    random_init(&s->random, seed);
    map_init(&s->ids, random_u64(&s->random));
    list_init(&s->used);
    return s;
}

size_t kafka_sessions_count(const struct kafka_sessions *s)
{
    return s->ids.count;
}

/* --- partitions ------------------------------------------------------------------------------- */

size_t kafka_session_cost(struct slice topic)
{
    /* A slot of the map is at most three quarters empty just after it has grown. */
    return sizeof(struct kafka_session_partition) + KAFKA_SESSION_INDEX + topic.size +
           3 * sizeof(struct map_entry);
}

static size_t kafka_session_cost_of(const struct kafka_session_partition *p)
{
    return kafka_session_cost(
        slice_of(p->key + KAFKA_SESSION_INDEX, p->key_size - KAFKA_SESSION_INDEX));
}

struct kafka_session_partition *kafka_session_at(struct list *node)
{
    return LIST_ENTRY(node, struct kafka_session_partition, link);
}

struct kafka_session_ask kafka_session_asked(const struct kafka_session_partition *p)
{
    ASSERT(p->key_size >= KAFKA_SESSION_INDEX);
    return (struct kafka_session_ask){
        .topic = slice_of(p->key + KAFKA_SESSION_INDEX, p->key_size - KAFKA_SESSION_INDEX),
        .index = (int32_t)bytes_be32(p->key),
        .leader_epoch = p->leader_epoch,
        .max_bytes = p->max_bytes,
        .fetch_offset = p->fetch_offset};
}

/* False when there can be no such topic. */
static bool kafka_session_key_of(const struct kafka_session *session,
                                 const struct kafka_session_ask *ask, struct kafka_session_key *out)
{
    if (ask->topic.size > KAFKA_SESSION_TOPIC_MAX)
        return false;
    ASSERT(!session->by_id || ask->topic.size == KAFKA_SESSION_ID_SIZE);
    bytes_put_be32(out->bytes, (uint32_t)ask->index);
    if (ask->topic.size > 0)
        memcpy(out->bytes + KAFKA_SESSION_INDEX, ask->topic.p, ask->topic.size);
    out->size = KAFKA_SESSION_INDEX + ask->topic.size;
    return true;
}

static struct kafka_session_partition *kafka_session_add(struct kafka_sessions *s,
                                                         struct kafka_session *session,
                                                         const struct kafka_session_key *key)
{
    size_t size = sizeof(struct kafka_session_partition) + key->size;
    struct kafka_session_partition *p = assert_memory(calloc(1, size), size);
    p->key_size = key->size;
    memcpy(p->key, key->bytes, key->size);
    p->high_watermark = p->log_start = -1; /* told nothing yet */
    list_add_tail(&session->order, &p->link);
    void *old = map_put(&session->partitions, slice_of(p->key, p->key_size), p);
    ASSERT(old == NULL);
    session->size += kafka_session_cost_of(p);
    s->size += kafka_session_cost_of(p);
    return p;
}

struct kafka_session_partition *kafka_session_put(struct kafka_sessions *s,
                                                  struct kafka_session *session,
                                                  const struct kafka_session_ask *ask)
{
    struct kafka_session_key key;
    if (!kafka_session_key_of(session, ask, &key))
        return NULL;
    struct kafka_session_partition *p =
        map_get(&session->partitions, slice_of(key.bytes, key.size));
    if (p == NULL) {
        if (session->partitions.count >= KAFKA_SESSION_PARTITIONS_MAX ||
            kafka_session_cost(ask->topic) > KAFKA_SESSIONS_SIZE_MAX - s->size)
            return NULL;
        p = kafka_session_add(s, session, &key);
    }
    p->fetch_offset = ask->fetch_offset;
    p->leader_epoch = ask->leader_epoch;
    p->max_bytes = ask->max_bytes;
    return p;
}

static void kafka_session_drop(struct kafka_sessions *s, struct kafka_session *session,
                               struct kafka_session_partition *p)
{
    size_t cost = kafka_session_cost_of(p);
    ASSERT(cost <= session->size && session->size <= s->size);
    list_remove(&p->link);
    session->size -= cost;
    s->size -= cost;
    free(p);
}

void kafka_session_forget(struct kafka_sessions *s, struct kafka_session *session,
                          const struct kafka_session_ask *ask)
{
    struct kafka_session_key key;
    if (!kafka_session_key_of(session, ask, &key))
        return;
    struct kafka_session_partition *p =
        map_remove(&session->partitions, slice_of(key.bytes, key.size));
    if (p != NULL)
        kafka_session_drop(s, session, p);
}

bool kafka_session_note(struct kafka_session *session, struct kafka_session_partition *p,
                        const struct kafka_session_told *told)
{
    bool must = told->data || told->elsewhere || told->error != 0 ||
                told->high_watermark != p->high_watermark || told->log_start != p->log_start;
    p->log_start = told->log_start;
    /* An error is told every time, and its end too: with it the mark is another one. */
    p->high_watermark = told->error != 0 ? -1 : told->high_watermark;
    if (told->data) {
        ASSERT(told->error == 0);
        list_remove(&p->link);
        list_add_tail(&session->order, &p->link);
    }
    return must;
}

/* --- sessions --------------------------------------------------------------------------------- */

static void kafka_session_remove(struct kafka_sessions *s, struct kafka_session *session)
{
    void *old = map_remove(&s->ids, map_key64(&session->id));
    ASSERT(old == session);
    LIST_EACH_SAFE (node, &session->order)
        kafka_session_drop(s, session, kafka_session_at(node));
    ASSERT(session->size == 0);
    map_deinit(&session->partitions);
    list_remove(&session->used);
    free(session);
}

struct kafka_sessions *kafka_sessions_free(struct kafka_sessions *s)
{
    if (s == NULL)
        return NULL;
    LIST_EACH_SAFE (node, &s->used)
        kafka_session_remove(s, LIST_ENTRY(node, struct kafka_session, used));
    ASSERT(s->size == 0 && s->ids.count == 0);
    map_deinit(&s->ids);
    free(s);
    return NULL;
}

/* Who makes room for a newcomer with `count` partitions; NULL: nobody. */
static struct kafka_session *kafka_session_victim(const struct kafka_sessions *s, size_t count,
                                                  int64_t now_ms)
{
    struct kafka_session *least = NULL;
    LIST_EACH (node, &s->used) {
        struct kafka_session *c = LIST_ENTRY(node, struct kafka_session, used);
        if (now_ms - c->used_ms >= KAFKA_SESSION_IDLE_MS)
            return c; /* the first of them is the longest unused */
        size_t size = c->partitions.count, than = least != NULL ? least->partitions.count : count;
        bool smaller = size < than || (least != NULL && size == than && c->id < least->id);
        if (now_ms - c->created_ms >= KAFKA_SESSION_IDLE_MS && smaller)
            least = c;
    }
    return least;
}

static bool kafka_session_room(struct kafka_sessions *s, const struct kafka_session_new *n)
{
    if (n->count > KAFKA_SESSION_PARTITIONS_MAX || n->size > KAFKA_SESSIONS_SIZE_MAX)
        return false;
    while (s->ids.count >= KAFKA_SESSIONS_MAX || n->size > KAFKA_SESSIONS_SIZE_MAX - s->size) {
        struct kafka_session *victim = kafka_session_victim(s, n->count, n->now_ms);
        if (victim == NULL)
            return false;
        kafka_session_remove(s, victim);
    }
    return true;
}

/* Not to be guessed, so that nobody steps another's session by mistake. */
static int64_t kafka_session_id(struct kafka_sessions *s)
{
    int64_t id = 0;
    do {
        id = 1 + (int64_t)random_below(&s->random, INT32_MAX);
    } while (map_get(&s->ids, map_key64(&id)) != NULL); /* at most 1000 of 2^31 are taken */
    return id;
}

struct kafka_session *kafka_session_create(struct kafka_sessions *s,
                                           const struct kafka_session_new *n)
{
    if (!kafka_session_room(s, n))
        return NULL;
    struct kafka_session *session = assert_memory(calloc(1, sizeof *session), sizeof *session);
    session->id = kafka_session_id(s);
    session->serial = ++s->serial;
    session->created_ms = session->used_ms = n->now_ms;
    session->epoch = 1;
    session->by_id = n->by_id;
    map_init(&session->partitions, random_u64(&s->random));
    list_init(&session->order);
    list_add_tail(&s->used, &session->used);
    void *old = map_put(&s->ids, map_key64(&session->id), session);
    ASSERT(old == NULL);
    return session;
}

static struct kafka_session *kafka_session_get(const struct kafka_sessions *s, int32_t id)
{
    int64_t key = id;
    return map_get(&s->ids, map_key64(&key));
}

void kafka_session_close(struct kafka_sessions *s, int32_t id)
{
    struct kafka_session *session = kafka_session_get(s, id);
    if (session != NULL)
        kafka_session_remove(s, session);
}

int16_t kafka_session_enter(const struct kafka_sessions *s, const struct kafka_session_claim *claim,
                            struct kafka_session **out)
{
    struct kafka_session *session = kafka_session_get(s, claim->id);
    if (session == NULL)
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != claim->epoch)
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    if (session->by_id != claim->by_id)
        return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    *out = session;
    return 0;
}

void kafka_session_step(struct kafka_sessions *s, struct kafka_session *session, int64_t now_ms)
{
    ASSERT(session->epoch > 0 && now_ms >= session->used_ms);
    session->used_ms = now_ms;
    list_remove(&session->used);
    list_add_tail(&s->used, &session->used);
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
}

struct kafka_session *kafka_session_find(const struct kafka_sessions *s, int32_t id,
                                         uint64_t serial)
{
    struct kafka_session *session = kafka_session_get(s, id);
    return session != NULL && session->serial == serial ? session : NULL;
}

/* --- checks ----------------------------------------------------------------------------------- */

static size_t kafka_session_check(struct kafka_session *session)
{
    size_t size = 0, count = 0;
    ASSERT(session->id > 0 && session->id <= INT32_MAX && session->epoch > 0);
    map_check(&session->partitions);
    list_check(&session->order);
    LIST_EACH (node, &session->order) {
        const struct kafka_session_partition *p = kafka_session_at(node);
        ASSERT(map_get(&session->partitions, slice_of(p->key, p->key_size)) == p);
        ASSERT(p->key_size <= KAFKA_SESSION_INDEX + KAFKA_SESSION_TOPIC_MAX);
        ASSERT(!session->by_id || p->key_size == KAFKA_SESSION_INDEX + KAFKA_SESSION_ID_SIZE);
        size += kafka_session_cost_of(p);
        count++;
    }
    ASSERT(count == session->partitions.count && count <= KAFKA_SESSION_PARTITIONS_MAX);
    ASSERT(size == session->size);
    return size;
}

void kafka_sessions_check(const struct kafka_sessions *s)
{
    size_t size = 0, count = 0;
    int64_t used_ms = INT64_MIN;
    map_check(&s->ids);
    list_check(&s->used);
    LIST_EACH (node, &s->used) {
        struct kafka_session *session = LIST_ENTRY(node, struct kafka_session, used);
        ASSERT(map_get(&s->ids, map_key64(&session->id)) == session);
        ASSERT(session->used_ms >= used_ms && session->used_ms >= session->created_ms);
        used_ms = session->used_ms;
        size += kafka_session_check(session);
        count++;
    }
    ASSERT(count == s->ids.count && count <= KAFKA_SESSIONS_MAX);
    ASSERT(size == s->size && size <= KAFKA_SESSIONS_SIZE_MAX);
}
