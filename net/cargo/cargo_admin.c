/* SPDX-License-Identifier: MIT
 *
 * cargo_admin: a change that a follower passes on to the leader. See cargo.h.
 *
 * Only what the leader needs travels: see broker_forward.c. Names and values are opaque bytes here;
 * the broker judges them as if a client of its own had sent them.
 */
#include <math.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo_priv.h"

#define CARGO_ENTRIES_MAX 4096
#define CARGO_QUOTAS_MAX  64
#define CARGO_ID_SIZE     16

static const Kauri__ShipAdminOp cargo_admin_ops[BROKER_ADMIN_OP_COUNT] = {
    [BROKER_TOPIC_CREATE] = KAURI__SHIP_ADMIN_OP__ADMIN_TOPIC_CREATE,
    [BROKER_TOPIC_ALTER] = KAURI__SHIP_ADMIN_OP__ADMIN_TOPIC_ALTER,
    [BROKER_CONFIG_ALTER] = KAURI__SHIP_ADMIN_OP__ADMIN_CONFIG_ALTER,
    [BROKER_INIT_PRODUCER] = KAURI__SHIP_ADMIN_OP__ADMIN_INIT_PRODUCER,
    [BROKER_QUOTA_ALTER] = KAURI__SHIP_ADMIN_OP__ADMIN_QUOTA_ALTER,
};

static void *cargo_admin_room(struct arena *a, size_t count, size_t size)
{
    return assert_memory(arena_array(a, count, size), count * size + 1);
}

static ProtobufCBinaryData cargo_admin_bytes(struct slice s)
{
    return (ProtobufCBinaryData){s.size, (uint8_t *)(uintptr_t)s.p};
}

/* Empty is no null: protobuf-c has no memory for it. */
static struct slice cargo_admin_slice(const ProtobufCBinaryData *from)
{
    return from->len > 0 ? slice_of(from->data, from->len) : slice_str("");
}

/* --- the question --- */

static void cargo_admin_put_entry(const struct broker_config_entry *from, Kauri__ShipAdminEntry *to)
{
    kauri__ship_admin_entry__init(to);
    ASSERT((unsigned)from->edit <= CONFIG_EDIT_SUBTRACT);
    to->key = cargo_admin_bytes(from->key);
    to->edit = (uint32_t)from->edit;
    if (from->value.p == NULL)
        return;
    to->maybe_case = KAURI__SHIP_ADMIN_ENTRY__MAYBE_VALUE;
    to->value = cargo_admin_bytes(from->value);
}

static void cargo_admin_put_configs(const struct broker_admin *from, struct arena *a,
                                    Kauri__ShipAdmin *m)
{
    Kauri__ShipAdminEntry *rows = cargo_admin_room(a, from->config_count + 1, sizeof *rows);
    ASSERT(from->config_count <= CARGO_ENTRIES_MAX);
    m->configs = cargo_admin_room(a, from->config_count + 1, sizeof *m->configs);
    m->n_configs = from->config_count;
    for (size_t i = 0; i < from->config_count; i++) {
        cargo_admin_put_entry(&from->configs[i], &rows[i]);
        m->configs[i] = &rows[i];
    }
}

static void cargo_admin_put_quotas(const struct broker_admin *from, struct arena *a,
                                   Kauri__ShipAdmin *m)
{
    Kauri__ShipAdminQuota *rows = cargo_admin_room(a, from->quota_count + 1, sizeof *rows);
    ASSERT(from->quota_count <= CARGO_QUOTAS_MAX);
    m->user = from->entity.user;
    m->client = from->entity.client;
    if (from->entity.name.p != NULL) {
        m->maybe_case = KAURI__SHIP_ADMIN__MAYBE_CLIENT_NAME;
        m->client_name = cargo_admin_bytes(from->entity.name);
    }
    m->quotas = cargo_admin_room(a, from->quota_count + 1, sizeof *m->quotas);
    m->n_quotas = from->quota_count;
    for (size_t i = 0; i < from->quota_count; i++) {
        kauri__ship_admin_quota__init(&rows[i]);
        rows[i].key = (uint32_t)from->quotas[i].key;
        rows[i].value = from->quotas[i].value;
        rows[i].remove = from->quotas[i].remove;
        m->quotas[i] = &rows[i];
    }
}

Kauri__ShipAdmin *cargo_admin_ask(const struct broker_admin *from, struct arena *a)
{
    Kauri__ShipAdmin *m = cargo_admin_room(a, 1, sizeof *m);
    kauri__ship_admin__init(m);
    m->op = cargo_admin_ops[from->op];
    ASSERT(m->op != KAURI__SHIP_ADMIN_OP__ADMIN_NONE);
    m->topic = cargo_admin_bytes(from->topic);
    m->partitions = from->partitions;
    m->replication = from->replication;
    m->replace = from->replace;
    m->cluster = from->cluster;
    m->validate_only = from->validate_only;
    m->automatic = from->automatic;
    cargo_admin_put_configs(from, a, m);
    if (from->op == BROKER_QUOTA_ALTER)
        cargo_admin_put_quotas(from, a, m);
    return m;
}

static bool cargo_admin_op(Kauri__ShipAdminOp op, enum broker_admin_op *out)
{
    for (int i = 0; i < BROKER_ADMIN_OP_COUNT; i++)
        if (op != KAURI__SHIP_ADMIN_OP__ADMIN_NONE && cargo_admin_ops[i] == op) {
            *out = (enum broker_admin_op)i;
            return true;
        }
    return false;
}

static const char *cargo_admin_configs(const Kauri__ShipAdmin *m, struct arena *a,
                                       struct broker_admin *out)
{
    struct broker_config_entry *v = NULL;
    if (m->n_configs > CARGO_ENTRIES_MAX)
        return "admin: too many settings";
    v = arena_array(a, m->n_configs + 1, sizeof *v);
    if (v == NULL)
        return "admin: no memory for its settings";
    for (size_t i = 0; i < m->n_configs; i++) {
        const Kauri__ShipAdminEntry *e = m->configs[i];
        if (e->edit > CONFIG_EDIT_SUBTRACT)
            return "admin: a change of a setting is not known";
        v[i].key = cargo_admin_slice(&e->key);
        v[i].edit = (enum config_edit)e->edit;
        if (e->maybe_case == KAURI__SHIP_ADMIN_ENTRY__MAYBE_VALUE)
            v[i].value = cargo_admin_slice(&e->value);
    }
    out->configs = v;
    out->config_count = m->n_configs;
    return "";
}

static const char *cargo_admin_quotas(const Kauri__ShipAdmin *m, struct arena *a,
                                      struct broker_admin *out)
{
    struct broker_quota_value *v = NULL;
    bool named = m->maybe_case == KAURI__SHIP_ADMIN__MAYBE_CLIENT_NAME;
    if (m->n_quotas > CARGO_QUOTAS_MAX || (!m->user && !m->client) || (named && !m->client))
        return "admin: too many quotas, or nobody's";
    if (named && m->client_name.len > CARGO_KEY_MAX)
        return "admin: the name of a client is too long";
    out->entity = (struct quota_entity){.user = m->user, .client = m->client};
    if (named)
        out->entity.name = cargo_admin_slice(&m->client_name);
    v = arena_array(a, m->n_quotas + 1, sizeof *v);
    if (v == NULL)
        return "admin: no memory for its quotas";
    for (size_t i = 0; i < m->n_quotas; i++) {
        if (m->quotas[i]->key >= QUOTA_KEY_COUNT || !isfinite(m->quotas[i]->value))
            return "admin: a quota is not known, or not a number";
        v[i] = (struct broker_quota_value){.key = (enum quota_key)m->quotas[i]->key,
                                           .value = m->quotas[i]->value,
                                           .remove = m->quotas[i]->remove};
    }
    out->quotas = v;
    out->quota_count = m->n_quotas;
    return "";
}

const char *cargo_admin_asked(const Kauri__ShipAdmin *m, struct arena *a, struct broker_admin *out)
{
    *out = (struct broker_admin){.partitions = m->partitions,
                                 .topic = cargo_admin_slice(&m->topic),
                                 .replication = m->replication,
                                 .replace = m->replace,
                                 .cluster = m->cluster,
                                 .validate_only = m->validate_only,
                                 .automatic = m->automatic};
    if (!cargo_admin_op(m->op, &out->op))
        return "admin: a change that is not known";
    if (m->topic.len > CARGO_KEY_MAX)
        return "admin: the name is too long";
    const char *why = cargo_admin_configs(m, a, out);
    if (why[0] == '\0' && out->op == BROKER_QUOTA_ALTER)
        why = cargo_admin_quotas(m, a, out);
    return why;
}

/* --- the answer --- */

Kauri__ShipAdminReply *cargo_admin_reply(const struct broker_admin *from, struct arena *a)
{
    Kauri__ShipAdminReply *m = cargo_admin_room(a, 1, sizeof *m);
    kauri__ship_admin_reply__init(m);
    ASSERT(from->producer_id >= -1 && from->producer_epoch >= -1);
    m->producer_id = from->producer_id;
    m->producer_epoch = from->producer_epoch;
    m->topic = cargo_admin_bytes(slice_of(from->topic_id, CARGO_ID_SIZE));
    m->partitions = from->partition_count;
    return m;
}

const char *cargo_admin_replied(const Kauri__ShipAdminReply *m, struct broker_admin *out)
{
    if (m->producer_id < -1 || m->producer_epoch < -1 || m->producer_epoch > INT16_MAX ||
        m->partitions < 0 || (m->topic.len != CARGO_ID_SIZE && m->topic.len != 0))
        return "admin: a result is out of bounds";
    if (out->op == BROKER_INIT_PRODUCER && (m->producer_id < 0 || m->producer_epoch < 0))
        return "admin: no producer id";
    out->producer_id = m->producer_id;
    out->producer_epoch = (int16_t)m->producer_epoch;
    out->partition_count = m->partitions;
    if (m->topic.len == CARGO_ID_SIZE)
        memcpy(out->topic_id, m->topic.data, CARGO_ID_SIZE);
    return "";
}
