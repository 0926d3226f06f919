/* SPDX-License-Identifier: MIT
 *
 * broker_quota: quotas of clients as cluster records, and what the fronts ask of them (quota.h).
 *
 *   alter   judged -> cas(quotas/E, rev, values) -> durable -> in force -> answered
 *
 * Failures: a value that cannot be one refuses the request as a whole; another change of the entity
 * under way: BROKER_BUSY; no space: BROKER_DISK_FULL and nothing changed.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

#define BROKER_QUOTA_PREFIX "quotas/"

struct broker_quota {
    struct coord_op op;
    struct broker *broker;
    struct broker_admin *req;
    struct quota_values values;
    struct buf key;   /* owned */
    struct buf value; /* owned */
};

static void broker_quota_free(struct broker_quota *c)
{
    ASSERT(c->broker != NULL);
    buf_deinit(&c->key);
    buf_deinit(&c->value);
    free(c);
}

/* What is wrong with the entity; NULL: nothing. */
static const char *broker_quota_fault(const struct broker *b, const struct quota_entity *e)
{
    ASSERT(e != NULL);
    if (!e->user && !e->client)
        return "a quota belongs to a user, a client, or both";
    if (e->name.size > QUOTA_NAME_MAX || (e->client && e->name.p != NULL && e->name.size == 0))
        return "the client id of a quota has 1 to 255 bytes";
    if (e->name.p != NULL && memchr(e->name.p, 0, e->name.size) != NULL)
        return "the client id of a quota has no zero byte";
    return quota_table_count(b->quotas) >= QUOTA_ENTITIES_MAX ? "there are too many quotas" : NULL;
}

/* The values as the request makes them; a text when it is wrong. */
static const char *broker_quota_values(const struct broker_admin *a, struct quota_values *values)
{
    bool seen[QUOTA_KEY_COUNT] = {false};
    ASSERT(a->quotas != NULL || a->quota_count == 0);
    for (size_t i = 0; i < a->quota_count; i++) {
        const struct broker_quota_value *v = &a->quotas[i];
        ASSERT((unsigned)v->key < QUOTA_KEY_COUNT);
        const char *fault = v->remove ? NULL : quota_value_fault(v->key, v->value);
        if (fault != NULL)
            return fault;
        if (seen[v->key])
            return "the request names a key twice";
        seen[v->key] = true;
        values->v[v->key] = v->remove ? 0 : v->value;
    }
    return NULL;
}

static void broker_quota_done(struct coord_op *op, int result)
{
    struct broker_quota *c = op->ctx;
    ASSERT(c->req->op == BROKER_QUOTA_ALTER);
    if (result == 0) {
        quota_table_set(c->broker->quotas, &c->req->entity, &c->values);
        broker_admin_refuse(c->broker, c->req, BROKER_OK, "%s", "");
    } else {
        broker_admin_refuse(c->broker, c->req, BROKER_DISK_FULL,
                            "no space left to write the change down");
    }
    broker_quota_free(c);
}

static bool broker_quota_none(const struct quota_values *values)
{
    bool none = true;
    ASSERT(values != NULL);
    for (size_t i = 0; i < QUOTA_KEY_COUNT; i++)
        none = none && values->v[i] <= 0;
    return none;
}

static void broker_quota_start(struct broker *b, struct broker_admin *a,
                               const struct quota_values *values)
{
    struct slice old;
    struct broker_quota *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    c->broker = b;
    c->req = a;
    c->values = *values;
    buf_printf(&c->key, BROKER_QUOTA_PREFIX);
    quota_entity_encode(&a->entity, &c->key);
    if (!broker_quota_none(values))
        quota_values_encode(values, &c->value);
    c->op = (struct coord_op){.key = buf_slice(&c->key),
                              .value = c->value.size > 0 ? buf_slice(&c->value) : SLICE_NULL,
                              .done = broker_quota_done,
                              .ctx = c};
    ASSERT(c->key.size > strlen(BROKER_QUOTA_PREFIX));
    bool there = coord_get(b->coord, c->op.key, &old, &c->op.expect) == 0;
    if (!there)
        c->op.expect = -1;
    if (!there && c->value.size == 0) /* nothing to take away */
        broker_admin_refuse(b, a, BROKER_OK, "%s", "");
    else if (coord_cas(b->coord, &c->op, broker_wall(b)) != 0)
        broker_admin_refuse(b, a, BROKER_BUSY, "another change of this quota is under way");
    else
        return;
    broker_quota_free(c);
}

void broker_quota_alter(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_QUOTA_ALTER);
    const char *fault = broker_quota_fault(b, &a->entity);
    struct quota_values values = {{0}};
    if (fault == NULL) {
        values = quota_table_get(b->quotas, &a->entity);
        fault = broker_quota_values(a, &values);
    }
    if (fault != NULL)
        broker_admin_refuse(b, a, BROKER_BAD_REQUEST, "%s", fault);
    else if (a->validate_only)
        broker_admin_refuse(b, a, BROKER_OK, "%s", "");
    else
        broker_quota_start(b, a, &values);
}

void broker_quota_apply(struct broker *b, struct slice entity, struct slice value)
{
    struct quota_entity e;
    struct quota_values values = {{0}};
    ASSERT(b->quotas != NULL);
    if (quota_entity_decode(entity, &e) != 0 ||
        (value.p != NULL && quota_values_decode(value, &values) != 0))
        broker_log(b, 1, "a stored quota is not understood and ignored");
    else
        quota_table_set(b->quotas, &e, &values);
}

static void broker_quota_load(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    size_t prefix = strlen(BROKER_QUOTA_PREFIX);
    ASSERT(revision >= 0 && key.size >= prefix);
    broker_quota_apply(ctx, slice_of(key.p + prefix, key.size - prefix), value);
}

void broker_load_quotas(struct broker *b)
{
    ASSERT(b->coord != NULL && quota_table_count(b->quotas) == 0);
    coord_each(b->coord, slice_str(BROKER_QUOTA_PREFIX), broker_quota_load, b);
}

/* --- what fronts ask --- */

bool broker_quota_any(const struct broker *b, enum quota_key key)
{
    ASSERT(b->quotas != NULL);
    return quota_table_any(b->quotas, key);
}

double broker_quota_bound(const struct broker *b, enum quota_key key, struct slice client_id)
{
    ASSERT(b->quotas != NULL);
    return quota_table_bound(b->quotas, key, client_id);
}

uint32_t broker_quota_charge(struct broker *b, enum quota_key key, struct slice client_id,
                             double amount)
{
    struct quota_use use = {key, amount, broker_now(b)};
    ASSERT(amount >= 0);
    return quota_table_charge(b->quotas, client_id, &use);
}

void broker_quotas_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct quota_entity *e,
                                   const struct quota_values *values),
                        void *ctx)
{
    ASSERT(fn != NULL);
    quota_table_each(b->quotas, fn, ctx);
}
