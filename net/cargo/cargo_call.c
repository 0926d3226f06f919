/* SPDX-License-Identifier: MIT
 *
 * cargo_call: questions. See cargo.h.
 */
#include <stdio.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo_priv.h"
#include "proto/frame.h"

#define CARGO_CLUSTER_SIZE 22
#define CARGO_ID_SIZE      16

static const Kauri__Call__CallCase cargo_cases[SHIP_KIND_COUNT] = {
    [SHIP_REGISTER] = KAURI__CALL__CALL_SHIP_REGISTER,
    [SHIP_RECORDS] = KAURI__CALL__CALL_SHIP_RECORDS,
    [SHIP_PULL] = KAURI__CALL__CALL_SHIP_PULL,
    [SHIP_VOTE] = KAURI__CALL__CALL_SHIP_VOTE,
    [SHIP_LEADER] = KAURI__CALL__CALL_SHIP_LEADER,
    [SHIP_ADMIN] = KAURI__CALL__CALL_SHIP_ADMIN,
};

Kauri__Call__CallCase cargo_case(enum ship_kind kind)
{
    ASSERT((unsigned)kind < SHIP_KIND_COUNT);
    return cargo_cases[kind];
}

bool cargo_kind(Kauri__Call__CallCase kind, enum ship_kind *out)
{
    for (int i = 0; i < SHIP_KIND_COUNT; i++)
        if (cargo_cases[i] == kind) {
            *out = (enum ship_kind)i;
            return true;
        }
    return false;
}

bool cargo_text_fits(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return size < SHIP_HOST_MAX;
}

bool cargo_cluster_fits(const char *id)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t size = strlen(id);
    return size == 0 || (size == CARGO_CLUSTER_SIZE && strspn(id, letters) == size);
}

/* --- packing --- */

static void *cargo_array(struct arena *a, size_t count, size_t size)
{
    return assert_memory(arena_array(a, count, size), count * size);
}

static ProtobufCBinaryData cargo_id(const uint8_t id[CARGO_ID_SIZE])
{
    return (ProtobufCBinaryData){CARGO_ID_SIZE, (uint8_t *)(uintptr_t)id};
}

static void cargo_put_register(const struct ship_register *r, struct arena *a, Kauri__ShipAsk *ask)
{
    Kauri__ShipNode *node = cargo_array(a, 1, sizeof *node);
    kauri__ship_node__init(node);
    ASSERT(cargo_text_fits(r->node.native) && cargo_text_fits(r->node.kafka_host));
    ASSERT(cargo_text_fits(r->node.rack) && r->node.id >= 0);
    node->id = r->node.id;
    node->incarnation = r->node.incarnation;
    node->folder = cargo_id(r->node.folder);
    node->boot = cargo_id(r->node.boot);
    node->native = frame_borrow(r->node.native);
    node->kafka_host = frame_borrow(r->node.kafka_host);
    node->kafka_port = r->node.kafka_port;
    node->rack = frame_borrow(r->node.rack);
    ask->reg = cargo_array(a, 1, sizeof *ask->reg);
    kauri__ship_register__init(ask->reg);
    ask->reg->node = node;
    ask->reg->fresh = r->fresh;
    ask->reg->unclean = r->unclean;
    ask->reg->goodbye = r->goodbye;
    ask->ask_case = KAURI__SHIP_ASK__ASK_REG;
}

static uint32_t cargo_lower(size_t size_max, uint32_t bound)
{
    return size_max == 0 || size_max > bound ? bound : (uint32_t)size_max;
}

static void cargo_put_records(const struct ship_records *r, uint32_t size_max, struct arena *a,
                              Kauri__ShipAsk *ask)
{
    ASSERT(r->since >= -1);
    ask->records = cargo_array(a, 1, sizeof *ask->records);
    kauri__ship_records__init(ask->records);
    ask->records->since = r->since;
    ask->records->begun = r->begun;
    ask->records->max_wait_ms = r->max_wait_ms;
    ask->records->size_max = cargo_lower(r->size_max, size_max);
    ask->ask_case = KAURI__SHIP_ASK__ASK_RECORDS;
}

static void cargo_put_entry(const struct ship_pull_entry *e, Kauri__ShipPullEntry *out)
{
    kauri__ship_pull_entry__init(out);
    ASSERT(e->partition >= 0 && e->offset >= 0 && e->leader_epoch >= -1 && e->last_epoch >= -1);
    ASSERT(e->durable >= 0 && e->high_watermark >= 0 && e->reached >= -1);
    out->topic = cargo_id(e->topic);
    out->partition = e->partition;
    out->leader_epoch = e->leader_epoch;
    out->offset = e->offset;
    out->last_epoch = e->last_epoch;
    out->reached = e->reached;
    out->durable = e->durable;
    out->high_watermark = e->high_watermark;
    out->size_max = e->size_max;
}

static void cargo_put_pull(const struct ship_pull *p, uint32_t size_max, struct arena *a,
                           Kauri__ShipAsk *ask)
{
    ASSERT(p->count > 0 && p->count <= SHIP_PULL_ENTRIES_MAX);
    Kauri__ShipPullEntry *entries = cargo_array(a, p->count, sizeof *entries);
    ask->pull = cargo_array(a, 1, sizeof *ask->pull);
    kauri__ship_pull__init(ask->pull);
    ask->pull->entries = cargo_array(a, p->count, sizeof *ask->pull->entries);
    ask->pull->n_entries = p->count;
    for (size_t i = 0; i < p->count; i++) {
        cargo_put_entry(&p->entries[i], &entries[i]);
        ask->pull->entries[i] = &entries[i];
    }
    ask->pull->max_wait_ms = p->max_wait_ms;
    ask->pull->mend = p->mend;
    ask->pull->size_max = p->size_max < size_max ? (uint32_t)p->size_max : size_max;
    ask->ask_case = KAURI__SHIP_ASK__ASK_PULL;
}

static void cargo_put_vote(const struct ship_vote *v, struct arena *a, Kauri__ShipAsk *ask)
{
    ASSERT(cargo_text_fits(v->native));
    ask->vote = cargo_array(a, 1, sizeof *ask->vote);
    kauri__ship_vote__init(ask->vote);
    ask->vote->term = v->term;
    ask->vote->ask_only = v->ask_only;
    ask->vote->incarnation = v->incarnation;
    ask->vote->native = frame_borrow(v->native);
    ask->ask_case = KAURI__SHIP_ASK__ASK_VOTE;
}

static void cargo_put_kind(const struct ship_call *call, uint32_t size_max, struct arena *a,
                           Kauri__ShipAsk *ask)
{
    switch (call->kind) {
    case SHIP_REGISTER:
        cargo_put_register(&call->reg, a, ask);
        return;
    case SHIP_RECORDS:
        cargo_put_records(&call->records, size_max, a, ask);
        return;
    case SHIP_PULL:
        cargo_put_pull(&call->pull, size_max, a, ask);
        return;
    case SHIP_VOTE:
        cargo_put_vote(&call->vote, a, ask);
        return;
    case SHIP_LEADER:
        ask->leader = cargo_array(a, 1, sizeof *ask->leader);
        kauri__ship_who__init(ask->leader);
        ask->ask_case = KAURI__SHIP_ASK__ASK_LEADER;
        return;
    case SHIP_ADMIN:
        ask->admin = cargo_admin_ask(&call->admin.req, a);
        ask->ask_case = KAURI__SHIP_ASK__ASK_ADMIN;
        return;
    }
}

void cargo_put_call(const struct ship_call *call, uint32_t size_max, struct arena *scratch,
                    struct buf *out)
{
    Kauri__ShipAsk ask;
    kauri__ship_ask__init(&ask);
    ASSERT(cargo_cluster_fits(call->cluster_id) && size_max > 0);
    ASSERT(call->from >= -1 && call->to >= -1 && call->broker_epoch >= -1);
    ask.cluster_id = frame_borrow(call->cluster_id);
    ask.from = call->from;
    ask.to = call->to;
    ask.broker_epoch = call->broker_epoch;
    ask.term = call->term;
    cargo_put_kind(call, size_max, scratch, &ask);
    size_t size = kauri__ship_ask__get_packed_size(&ask);
    buf_reserve(out, size);
    out->size += kauri__ship_ask__pack(&ask, out->p + out->size);
}

/* --- reading --- */

/* "" or why it is refused. */
static const char *cargo_get_node(const Kauri__ShipNode *m, struct ship_node *out)
{
    if (m == NULL || m->id < 0)
        return "node: none, or its id is below 0";
    if (m->folder.len != CARGO_ID_SIZE || m->boot.len != CARGO_ID_SIZE)
        return "node: an id is not 16 bytes";
    if (!cargo_text_fits(m->native) || !cargo_text_fits(m->kafka_host) || !cargo_text_fits(m->rack))
        return "node: a text is too long or has control characters";
    if (m->kafka_port < 0 || m->kafka_port > UINT16_MAX)
        return "node: not a port";
    out->id = m->id;
    out->incarnation = m->incarnation;
    memcpy(out->folder, m->folder.data, CARGO_ID_SIZE);
    memcpy(out->boot, m->boot.data, CARGO_ID_SIZE);
    (void)snprintf(out->native, sizeof out->native, "%s", m->native);
    (void)snprintf(out->kafka_host, sizeof out->kafka_host, "%s", m->kafka_host);
    out->kafka_port = m->kafka_port;
    (void)snprintf(out->rack, sizeof out->rack, "%s", m->rack);
    return "";
}

static const char *cargo_get_register(const Kauri__ShipRegister *m, struct ship_register *out)
{
    out->fresh = m->fresh;
    out->unclean = m->unclean;
    out->goodbye = m->goodbye;
    out->broker_epoch = -1;
    return cargo_get_node(m->node, &out->node);
}

static const char *cargo_get_records(const Kauri__ShipRecords *m, struct ship_records *out)
{
    if (m->since < -1 || m->begun < -1)
        return "records: since or begun is below -1";
    if (m->size_max == 0)
        return "records: size_max is 0";
    out->since = m->since;
    out->begun = m->begun;
    out->max_wait_ms = m->max_wait_ms;
    out->size_max = m->size_max;
    out->revision = -1;
    return "";
}

static bool cargo_entry_fits(const Kauri__ShipPullEntry *m)
{
    return m->topic.len == CARGO_ID_SIZE && m->partition >= 0 && m->leader_epoch >= -1 &&
           m->offset >= 0 && m->last_epoch >= -1 && m->durable >= 0 && m->high_watermark >= 0 &&
           m->reached >= -1;
}

static const char *cargo_get_pull(const Kauri__ShipPull *m, struct arena *a, struct ship_pull *out)
{
    if (m->n_entries == 0 || m->n_entries > SHIP_PULL_ENTRIES_MAX)
        return "pull: no entries or too many";
    out->entries = arena_array(a, m->n_entries, sizeof *out->entries);
    if (out->entries == NULL)
        return "pull: no memory for its entries";
    for (size_t i = 0; i < m->n_entries; i++) {
        const Kauri__ShipPullEntry *from = m->entries[i];
        if (!cargo_entry_fits(from))
            return "pull: a field of an entry is out of bounds";
        struct ship_pull_entry *e = &out->entries[i];
        memcpy(e->topic, from->topic.data, CARGO_ID_SIZE);
        e->partition = from->partition;
        e->leader_epoch = from->leader_epoch;
        e->offset = from->offset;
        e->last_epoch = from->last_epoch;
        e->reached = from->reached;
        e->durable = from->durable;
        e->high_watermark = from->high_watermark;
        e->size_max = from->size_max;
    }
    out->count = m->n_entries;
    out->max_wait_ms = m->max_wait_ms;
    out->size_max = m->size_max;
    out->mend = m->mend;
    return "";
}

static const char *cargo_get_vote(const Kauri__ShipVote *m, struct ship_vote *out)
{
    if (!cargo_text_fits(m->native))
        return "vote: the address is too long or has control characters";
    out->term = m->term;
    out->ask_only = m->ask_only;
    out->incarnation = m->incarnation;
    (void)snprintf(out->native, sizeof out->native, "%s", m->native);
    return "";
}

static const char *cargo_get_kind(const Kauri__ShipAsk *ask, struct arena *a,
                                  struct ship_call *call)
{
    static const Kauri__ShipAsk__AskCase cases[SHIP_KIND_COUNT] = {
        [SHIP_REGISTER] = KAURI__SHIP_ASK__ASK_REG,  [SHIP_RECORDS] = KAURI__SHIP_ASK__ASK_RECORDS,
        [SHIP_PULL] = KAURI__SHIP_ASK__ASK_PULL,     [SHIP_VOTE] = KAURI__SHIP_ASK__ASK_VOTE,
        [SHIP_LEADER] = KAURI__SHIP_ASK__ASK_LEADER, [SHIP_ADMIN] = KAURI__SHIP_ASK__ASK_ADMIN,
    };
    if (ask->ask_case != cases[call->kind])
        return "the question is of another kind than the call";
    switch (call->kind) {
    case SHIP_REGISTER:
        return cargo_get_register(ask->reg, &call->reg);
    case SHIP_RECORDS:
        return cargo_get_records(ask->records, &call->records);
    case SHIP_PULL:
        return cargo_get_pull(ask->pull, a, &call->pull);
    case SHIP_VOTE:
        return cargo_get_vote(ask->vote, &call->vote);
    case SHIP_LEADER:
        return "";
    case SHIP_ADMIN:
        return cargo_admin_asked(ask->admin, a, &call->admin.req);
    }
    return "";
}

int cargo_get_call(enum ship_kind kind, struct slice body, struct arena *a, struct ship_call *call,
                   const char **why)
{
    ProtobufCMessage *parsed;
    ASSERT((unsigned)kind < SHIP_KIND_COUNT && why != NULL);
    *why = "the question does not parse or is too large";
    if (frame_unpack(&kauri__ship_ask__descriptor, body, a, &parsed) != 0)
        return CARGO_BAD;
    const Kauri__ShipAsk *ask = (const Kauri__ShipAsk *)(const void *)parsed;
    *why = "cluster id, broker id or broker epoch out of bounds";
    if (!cargo_cluster_fits(ask->cluster_id) || ask->from < -1 || ask->to < -1 ||
        ask->broker_epoch < -1)
        return CARGO_BAD;
    call->kind = kind;
    (void)snprintf(call->cluster_id, sizeof call->cluster_id, "%s", ask->cluster_id);
    call->from = ask->from;
    call->to = ask->to;
    call->broker_epoch = ask->broker_epoch;
    call->term = ask->term;
    call->answer_from = call->leader.id = -1;
    *why = cargo_get_kind(ask, a, call);
    return (*why)[0] == '\0' ? 0 : CARGO_BAD;
}
