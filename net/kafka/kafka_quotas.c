/* SPDX-License-Identifier: MIT
 *
 * kafka_quotas: DescribeClientQuotas, AlterClientQuotas (KIP-546).
 *
 *   entity      name          here
 *   user        null          the default user, which all are: there is no authentication
 *               any other     refused; described: there is none
 *   client-id   null          the default of client ids
 *               any other     that client id
 *   ip          any           refused; described: there is none
 *
 * Keys are those of quota.h. One request to the broker for each entity: it changes as a whole or
 * not at all, and the fault of one is not its neighbour's.
 */
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/map.h"
#include "net/kafka/kafka_priv.h"

#define KAFKA_QUOTA_USER   "user"
#define KAFKA_QUOTA_CLIENT "client-id"
#define KAFKA_QUOTA_IP     "ip"

/* --- AlterClientQuotas ------------------------------------------------------------------------ */

/* One entity. */
struct kafka_quota {
    struct broker_admin admin;
    const struct kp_alter_client_quotas_request_entry *q;
    const char *why; /* refused without the broker; NULL: not */
};

struct kafka_quotas {
    struct kafka_quota *v;
    size_t count;
};

/* NULL, or what is wrong. */
static const char *kafka_quota_component(const struct kp_alter_client_quotas_request_entity *q,
                                         struct quota_entity *e)
{
    bool user = slice_equal(q->type, slice_str(KAFKA_QUOTA_USER));
    bool client = slice_equal(q->type, slice_str(KAFKA_QUOTA_CLIENT));
    if (slice_equal(q->type, slice_str(KAFKA_QUOTA_IP)))
        return "there are no quotas of addresses: new connections are not limited by rate";
    if (!user && !client)
        return "the type of an entity is user or client-id";
    if (user && q->name.p != NULL)
        return "there is no authentication: a quota of users is that of the default user";
    if ((user && e->user) || (client && e->client))
        return "the entity has two parts of one type";
    e->user = e->user || user;
    e->client = e->client || client;
    if (client)
        e->name = q->name;
    return NULL;
}

static const char *kafka_quota_key(struct slice name, enum quota_key *out)
{
    for (unsigned i = 0; i < QUOTA_KEY_COUNT; i++)
        if (slice_equal(name, slice_str(quota_key_text((enum quota_key)i)))) {
            *out = (enum quota_key)i;
            return NULL;
        }
    if (slice_equal(name, slice_str("controller_mutation_rate")))
        return "changes of topics are not limited by rate: there is no controller_mutation_rate";
    return "a quota is producer_byte_rate, consumer_byte_rate or request_percentage";
}

/* False when the arena is used up. */
static bool kafka_quota_prepare(struct kafka_call *c, struct kafka_quota *h)
{
    const struct kp_alter_client_quotas_request *q = c->request;
    size_t count = (size_t)h->q->operations.count;
    struct broker_quota_value *v = kafka_alloc(c, count, sizeof *v);
    if (v == NULL)
        return false;
    for (int32_t i = 0; i < h->q->entity.count && h->why == NULL; i++)
        h->why = kafka_quota_component(&h->q->entity.v[i], &h->admin.entity);
    for (size_t i = 0; i < count && h->why == NULL; i++) {
        h->why = kafka_quota_key(h->q->operations.v[i].key, &v[i].key);
        v[i].value = h->q->operations.v[i].value;
        v[i].remove = h->q->operations.v[i].remove;
    }
    h->admin.op = BROKER_QUOTA_ALTER;
    h->admin.forward = true;
    h->admin.quotas = v;
    h->admin.quota_count = count;
    h->admin.validate_only = q->validate_only;
    return true;
}

/* Refuses entities that are named twice, each of them. False when the arena is used up. */
static bool kafka_quotas_twice(struct kafka_call *c, struct kafka_quotas *all)
{
    struct map seen;
    bool good = true;
    map_init(&seen, c->k->options.seed);
    for (size_t i = 0; i < all->count && good; i++) {
        struct buf text CLEANUP(buf_deinit) = {0};
        struct kafka_quota *h = &all->v[i];
        if (h->why != NULL || (!h->admin.entity.user && !h->admin.entity.client))
            continue;
        quota_entity_encode(&h->admin.entity, &text);
        struct slice key = arena_copy(&c->r->arena, buf_slice(&text));
        good = key.p != NULL;
        struct kafka_quota *first = good ? map_put(&seen, key, h) : NULL;
        if (first != NULL)
            first->why = h->why = "the request names the entity twice";
    }
    map_deinit(&seen);
    return good;
}

static void kafka_quotas_result(const struct kafka_quota *h,
                                struct kp_alter_client_quotas_response_entry *a)
{
    enum broker_status s = h->admin.status;
    if (h->why != NULL) {
        a->error = KAFKA_INVALID_REQUEST;
        a->error_message = slice_str(h->why);
    } else if (s != BROKER_OK) {
        a->error = kafka_errmap_admin(s);
        a->error_message =
            slice_str(h->admin.message[0] != '\0' ? h->admin.message : broker_status_text(s));
    }
}

static void kafka_quotas_answer(struct kafka_call *c)
{
    const struct kafka_quotas *all = c->state;
    struct kp_alter_client_quotas_response a = KP_ALTER_CLIENT_QUOTAS_RESPONSE_INIT;
    struct kp_alter_client_quotas_response_entry *v = kafka_alloc(c, all->count, sizeof *v);
    bool good = v != NULL;
    for (size_t i = 0; good && i < all->count; i++) {
        size_t count = (size_t)all->v[i].q->entity.count;
        struct kp_alter_client_quotas_response_entity *e = kafka_alloc(c, count, sizeof *e);
        good = e != NULL;
        for (size_t k = 0; good && k < count; k++)
            e[k] = (struct kp_alter_client_quotas_response_entity){all->v[i].q->entity.v[k].type,
                                                                   all->v[i].q->entity.v[k].name};
        v[i].entity.v = e;
        v[i].entity.count = (int32_t)count;
        kafka_quotas_result(&all->v[i], &v[i]);
    }
    a.entries.v = v;
    a.entries.count = (int32_t)all->count;
    if (good)
        kafka_answer(c, &a);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

static void kafka_quotas_done(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    if (kafka_end(c))
        kafka_quotas_answer(c);
}

/* All entities, judged as far as the front can. NULL when the arena is used up. */
static struct kafka_quotas *kafka_quotas_take(struct kafka_call *c)
{
    const struct kp_alter_client_quotas_request *q = c->request;
    struct kafka_quotas *all = kafka_alloc(c, 1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->count = (size_t)q->entries.count;
    all->v = kafka_alloc(c, all->count, sizeof *all->v);
    for (size_t i = 0; all->v != NULL && i < all->count; i++) {
        all->v[i].q = &q->entries.v[i];
        if (!kafka_quota_prepare(c, &all->v[i]))
            return NULL;
    }
    return all->v != NULL && kafka_quotas_twice(c, all) ? all : NULL;
}

void kafka_alter_client_quotas(struct kafka_call *c)
{
    const struct kp_alter_client_quotas_request *q = c->request;
    struct kafka_quotas *all = q->entries.count > KAFKA_ITEMS_MAX ? NULL : kafka_quotas_take(c);
    if (all == NULL) {
        kafka_refuse(c, "too many quotas in one request");
        return;
    }
    c->state = all;
    kafka_run(c); /* for this function */
    for (size_t i = 0; i < all->count; i++) {
        struct kafka_quota *h = &all->v[i];
        if (h->why != NULL)
            continue;
        h->admin.done = kafka_quotas_done;
        h->admin.ctx = c;
        kafka_run(c);
        broker_admin(c->k->options.broker, &h->admin);
    }
    if (kafka_end(c))
        kafka_quotas_answer(c);
}

/* --- DescribeClientQuotas --------------------------------------------------------------------- */

enum kafka_match {
    KAFKA_MATCH_EXACT,
    KAFKA_MATCH_DEFAULT,
    KAFKA_MATCH_ANY,
};
#define KAFKA_MATCHES 3

/* What the request wants of one part of an entity; NULL: nothing. */
struct kafka_filter {
    const struct kp_describe_client_quotas_request_component *user;
    const struct kp_describe_client_quotas_request_component *client;
    const struct kp_describe_client_quotas_request_component *ip;
    bool strict;
};

struct kafka_quota_list {
    struct kafka_call *c;
    struct kafka_filter filter;
    struct kp_describe_client_quotas_response_entry *v; /* NULL: counts only */
    size_t count;
    bool failed; /* the arena is used up */
};

static bool kafka_filter_part(const struct kp_describe_client_quotas_request_component *wanted,
                              bool part, struct slice name, bool strict)
{
    if (wanted == NULL)
        return !part || !strict;
    if (!part)
        return false;
    switch ((enum kafka_match)wanted->match_type) {
    case KAFKA_MATCH_EXACT:
        return name.p != NULL && slice_equal(name, wanted->match);
    case KAFKA_MATCH_DEFAULT:
        return name.p == NULL;
    case KAFKA_MATCH_ANY:
        return true;
    }
    return false;
}

static bool kafka_filter_takes(const struct kafka_filter *f, const struct quota_entity *e)
{
    return f->ip == NULL && kafka_filter_part(f->user, e->user, SLICE_NULL, f->strict) &&
           kafka_filter_part(f->client, e->client, e->name, f->strict);
}

static void kafka_quota_list_count(void *ctx, const struct quota_entity *e,
                                   const struct quota_values *values)
{
    struct kafka_quota_list *l = ctx;
    ASSERT(values != NULL);
    l->count += kafka_filter_takes(&l->filter, e);
}

static void kafka_quota_list_one(void *ctx, const struct quota_entity *e,
                                 const struct quota_values *values)
{
    struct kafka_quota_list *l = ctx;
    if (l->failed || !kafka_filter_takes(&l->filter, e))
        return;
    struct kp_describe_client_quotas_response_entity *entity = kafka_alloc(l->c, 2, sizeof *entity);
    struct kp_describe_client_quotas_response_value *v =
        kafka_alloc(l->c, QUOTA_KEY_COUNT, sizeof *v);
    struct kp_describe_client_quotas_response_entry *a = &l->v[l->count++];
    l->failed = entity == NULL || v == NULL;
    if (l->failed)
        return;
    if (e->user)
        entity[a->entity.count++].type = slice_str(KAFKA_QUOTA_USER);
    if (e->client)
        entity[a->entity.count++] = (struct kp_describe_client_quotas_response_entity){
            slice_str(KAFKA_QUOTA_CLIENT),
            e->name.p == NULL ? SLICE_NULL : arena_copy(&l->c->r->arena, e->name)};
    for (unsigned i = 0; i < QUOTA_KEY_COUNT; i++)
        if (values->v[i] > 0)
            v[a->values.count++] = (struct kp_describe_client_quotas_response_value){
                slice_str(quota_key_text((enum quota_key)i)), values->v[i]};
    a->entity.v = entity;
    a->values.v = v;
}

/* NULL, or what is wrong with the part, and *error. */
static const char *kafka_filter_add(struct kafka_filter *f,
                                    const struct kp_describe_client_quotas_request_component *q,
                                    int16_t *error)
{
    const struct kp_describe_client_quotas_request_component **place =
        slice_equal(q->type, slice_str(KAFKA_QUOTA_USER))     ? &f->user
        : slice_equal(q->type, slice_str(KAFKA_QUOTA_CLIENT)) ? &f->client
        : slice_equal(q->type, slice_str(KAFKA_QUOTA_IP))     ? &f->ip
                                                              : NULL;
    *error = KAFKA_INVALID_REQUEST;
    if (place == NULL) {
        *error = q->type.size == 0 ? KAFKA_INVALID_REQUEST : KAFKA_UNSUPPORTED_VERSION;
        return "the type of an entity is user, client-id or ip";
    }
    if (*place != NULL)
        return "the request names a type twice";
    if (q->match_type < 0 || q->match_type >= KAFKA_MATCHES)
        return "a match is exact 0, default 1 or any 2";
    if ((q->match_type == KAFKA_MATCH_EXACT) != (q->match.p != NULL))
        return "an exact match has a name, others have none";
    *place = q;
    *error = KAFKA_NONE;
    return NULL;
}

/* False when the arena is used up. */
static bool kafka_quota_list_fill(struct kafka_quota_list *l,
                                  struct kp_describe_client_quotas_response *a)
{
    const struct broker *b = l->c->k->options.broker;
    broker_quotas_each(b, kafka_quota_list_count, l);
    l->v = kafka_alloc(l->c, l->count, sizeof *l->v);
    l->count = 0;
    if (l->v == NULL)
        return false;
    broker_quotas_each(b, kafka_quota_list_one, l);
    a->entries.v = l->v;
    a->entries.count = (int32_t)l->count;
    return !l->failed;
}

void kafka_describe_client_quotas(struct kafka_call *c)
{
    const struct kp_describe_client_quotas_request *q = c->request;
    struct kp_describe_client_quotas_response a = KP_DESCRIBE_CLIENT_QUOTAS_RESPONSE_INIT;
    struct kafka_quota_list l = {.c = c, .filter = {.strict = q->strict}};
    for (int32_t i = 0; i < q->components.count && a.error == KAFKA_NONE; i++) {
        const char *why = kafka_filter_add(&l.filter, &q->components.v[i], &a.error);
        if (why != NULL)
            a.error_message = slice_str(why);
    }
    if (a.error == KAFKA_NONE && !kafka_quota_list_fill(&l, &a))
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    else
        kafka_answer(c, &a);
}
