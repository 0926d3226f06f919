/* SPDX-License-Identifier: MIT
 *
 * cargo_answer: answers. See cargo.h. Reading has two passes where lists are concerned: the first
 * checks, the second writes, so that a bad answer leaves the asker's call as it was.
 */
#include <stdio.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo_errmap.h"
#include "net/cargo/cargo_priv.h"
#include "proto/frame.h"

#define CARGO_ID_SIZE 16
/* At least this is a row of an answer when it is packed, and it takes up to seven times that while
 * it is built: many of them are refused before. */
#define CARGO_ROW_SIZE 20

_Static_assert(SHIP_PULL_OK == (int)KAURI__SHIP_PULL_STATUS__PULL_OK, "status");
_Static_assert(SHIP_PULL_FENCED == (int)KAURI__SHIP_PULL_STATUS__PULL_FENCED, "status");
_Static_assert(SHIP_PULL_AHEAD == (int)KAURI__SHIP_PULL_STATUS__PULL_AHEAD, "status");
_Static_assert(SHIP_PULL_NOT_LEADER == (int)KAURI__SHIP_PULL_STATUS__PULL_NOT_LEADER, "status");
_Static_assert(SHIP_PULL_UNREGISTERED == (int)KAURI__SHIP_PULL_STATUS__PULL_UNREGISTERED, "status");
_Static_assert(SHIP_PULL_UNKNOWN == (int)KAURI__SHIP_PULL_STATUS__PULL_UNKNOWN, "status");
_Static_assert(SHIP_PULL_DIVERGING == (int)KAURI__SHIP_PULL_STATUS__PULL_DIVERGING, "status");
_Static_assert(SHIP_PULL_OUT_OF_RANGE == (int)KAURI__SHIP_PULL_STATUS__PULL_OUT_OF_RANGE, "status");
_Static_assert(SHIP_PULL_LOADING == (int)KAURI__SHIP_PULL_STATUS__PULL_LOADING, "status");
_Static_assert(SHIP_PULL_STORAGE == (int)KAURI__SHIP_PULL_STATUS__PULL_STORAGE, "status");
_Static_assert(SHIP_PULL_STATUS_COUNT == 10, "a row for each");

/* --- packing --- */

static void *cargo_room(struct arena *a, size_t count, size_t size)
{
    return assert_memory(arena_array(a, count, size), count * size + 1);
}

/* Rows of a reply while they are made: an array and the pointers that protobuf-c wants. */
static void **cargo_rows(struct arena *a, size_t count, size_t size)
{
    void **out = cargo_room(a, count, sizeof *out);
    char *rows = cargo_room(a, count, size);
    for (size_t i = 0; i < count; i++)
        out[i] = rows + i * size;
    return out;
}

static ProtobufCBinaryData cargo_bytes(const void *p, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)p};
}

static int cargo_put_records(const struct ship_records *r, size_t size_max, struct arena *a,
                             Kauri__ShipReply *reply)
{
    size_t size = 0;
    for (size_t i = 0; i < r->count && size <= size_max; i++)
        size += CARGO_ROW_SIZE + r->records[i].key.size + r->records[i].value.size;
    if (size > size_max)
        return CARGO_LARGE;
    reply->records = cargo_room(a, 1, sizeof *reply->records);
    kauri__ship_records_reply__init(reply->records);
    reply->reply_case = KAURI__SHIP_REPLY__REPLY_RECORDS;
    reply->records->records =
        (Kauri__ShipRecord **)cargo_rows(a, r->count, sizeof(Kauri__ShipRecord));
    reply->records->n_records = r->count;
    reply->records->whole = r->whole;
    reply->records->more = r->more;
    reply->records->revision = r->revision;
    reply->records->begun = r->begun;
    reply->records->position = r->position;
    for (size_t i = 0; i < r->count; i++) {
        const struct ship_record *from = &r->records[i];
        Kauri__ShipRecord *to = reply->records->records[i];
        kauri__ship_record__init(to);
        ASSERT(from->key.size > 0 && from->key.size <= CARGO_KEY_MAX);
        to->key = cargo_bytes(from->key.p, from->key.size);
        if (from->value.p == NULL)
            continue;
        to->maybe_case = KAURI__SHIP_RECORD__MAYBE_VALUE;
        to->value = cargo_bytes(from->value.p, from->value.size);
    }
    return 0;
}

static void cargo_put_result(const struct ship_pull_entry *e, size_t index,
                             Kauri__ShipPullResult *out)
{
    kauri__ship_pull_result__init(out);
    ASSERT(e->bytes.size == 0 || e->status == SHIP_PULL_OK);
    ASSERT(e->bytes.size <= UINT32_MAX && (unsigned)e->status < SHIP_PULL_STATUS_COUNT);
    out->index = (uint32_t)index;
    out->status = (Kauri__ShipPullStatus)e->status;
    out->high_watermark = e->leader_high_watermark;
    out->log_start = e->log_start;
    out->end = e->leader_end;
    out->epoch_start = e->epoch_start;
    out->diverge_epoch = e->diverge_epoch;
    out->diverge_end = e->diverge_end;
    out->next_good = e->next_good;
    out->segment = e->segment;
    out->size = (uint32_t)e->bytes.size;
}

/* Returns the raw bytes. */
static size_t cargo_put_pull(const struct ship_pull *p, struct arena *a, Kauri__ShipReply *reply)
{
    size_t raw = 0;
    size_t count = 0;
    reply->pull = cargo_room(a, 1, sizeof *reply->pull);
    kauri__ship_pull_reply__init(reply->pull);
    reply->reply_case = KAURI__SHIP_REPLY__REPLY_PULL;
    reply->pull->results =
        (Kauri__ShipPullResult **)cargo_rows(a, p->count, sizeof(Kauri__ShipPullResult));
    for (size_t i = 0; i < p->count; i++) {
        if (!p->entries[i].answered)
            continue;
        cargo_put_result(&p->entries[i], i, reply->pull->results[count++]);
        raw += p->entries[i].bytes.size;
    }
    reply->pull->n_results = count;
    return raw;
}

static int cargo_put_vote(const struct ship_vote *v, size_t size_max, struct arena *a,
                          Kauri__ShipReply *reply)
{
    if (v->count > size_max / CARGO_ROW_SIZE)
        return CARGO_LARGE;
    reply->vote = cargo_room(a, 1, sizeof *reply->vote);
    kauri__ship_vote_reply__init(reply->vote);
    reply->reply_case = KAURI__SHIP_REPLY__REPLY_VOTE;
    reply->vote->accepted = v->accepted;
    reply->vote->accepted_term = v->accepted_term;
    reply->vote->records_term = v->records_term;
    reply->vote->records_position = v->records_position;
    reply->vote->holdings =
        (Kauri__ShipHolding **)cargo_rows(a, v->count, sizeof(Kauri__ShipHolding));
    reply->vote->n_holdings = v->count;
    for (size_t i = 0; i < v->count; i++) {
        const struct ship_holding *from = &v->holdings[i];
        Kauri__ShipHolding *to = reply->vote->holdings[i];
        kauri__ship_holding__init(to);
        to->topic = cargo_bytes(from->topic, CARGO_ID_SIZE);
        to->partition = from->partition;
        to->reached = from->reached;
        to->end = from->end;
        to->high_watermark = from->high_watermark;
        to->intact = from->intact;
    }
    return 0;
}

static int cargo_put_kind(const struct ship_call *call, size_t size_max, struct arena *a,
                          Kauri__ShipReply *reply, size_t *raw)
{
    switch (call->kind) {
    case SHIP_REGISTER:
        reply->reg = cargo_room(a, 1, sizeof *reply->reg);
        kauri__ship_register_reply__init(reply->reg);
        reply->reg->broker_epoch = call->reg.broker_epoch;
        reply->reply_case = KAURI__SHIP_REPLY__REPLY_REG;
        return 0;
    case SHIP_RECORDS:
        return cargo_put_records(&call->records, size_max, a, reply);
    case SHIP_PULL:
        *raw = cargo_put_pull(&call->pull, a, reply);
        return 0;
    case SHIP_VOTE:
        return cargo_put_vote(&call->vote, size_max, a, reply);
    case SHIP_LEADER:
        return 0;
    case SHIP_ADMIN:
        reply->admin = cargo_admin_reply(&call->admin.req, a);
        reply->reply_case = KAURI__SHIP_REPLY__REPLY_ADMIN;
        return 0;
    }
    return 0;
}

static void cargo_put_head(const struct ship_call *call, Kauri__ShipLeader *leader,
                           Kauri__ShipReply *reply)
{
    kauri__ship_reply__init(reply);
    kauri__ship_leader__init(leader);
    ASSERT(cargo_cluster_fits(call->answer_cluster_id) && cargo_text_fits(call->leader.native));
    leader->term = call->leader.term;
    leader->id = call->leader.id;
    leader->native = frame_borrow(call->leader.native);
    reply->status = cargo_errmap_status(call->status);
    reply->message = frame_borrow(call->message);
    reply->cluster_id = frame_borrow(call->answer_cluster_id);
    reply->from = call->answer_from;
    reply->leader = leader;
}

int cargo_put_answer(const struct ship_call *call, size_t size_max, struct arena *a,
                     struct slice *body, size_t *raw)
{
    Kauri__ShipReply reply;
    Kauri__ShipLeader leader;
    size_t bytes = 0;
    cargo_put_head(call, &leader, &reply);
    if (call->status == BROKER_OK && cargo_put_kind(call, size_max, a, &reply, &bytes) != 0)
        return CARGO_LARGE;
    size_t size = kauri__ship_reply__get_packed_size(&reply);
    if (size > size_max || bytes > size_max - size)
        return CARGO_LARGE;
    uint8_t *p = cargo_room(a, 1, size + 1);
    size_t packed = kauri__ship_reply__pack(&reply, p);
    ASSERT(packed == size);
    *body = slice_of(p, size);
    *raw = bytes;
    return 0;
}

/* --- reading --- */

static const char *cargo_get_records(const Kauri__ShipRecordsReply *m, struct arena *a,
                                     struct ship_records *out)
{
    struct ship_record *records = arena_array(a, m->n_records, sizeof *records);
    if (records == NULL)
        return "records: too many";
    if (m->revision < -1 || m->position < -1 || m->begun < -1)
        return "records: the revision or the position is below -1";
    for (size_t i = 0; i < m->n_records; i++) {
        const Kauri__ShipRecord *from = m->records[i];
        bool gone = from->maybe_case == KAURI__SHIP_RECORD__MAYBE__NOT_SET;
        if (from->key.len == 0 || from->key.len > CARGO_KEY_MAX)
            return "records: the size of a key is out of bounds";
        if (!gone && from->value.len > CARGO_VALUE_MAX)
            return "records: a value is too large";
        records[i].key = slice_of(from->key.data, from->key.len);
        if (!gone) /* protobuf-c has no memory for an empty one, and p NULL says deleted */
            records[i].value = from->value.len > 0 ? slice_of(from->value.data, from->value.len)
                                                   : slice_of(from, 0);
    }
    out->records = records;
    out->count = m->n_records;
    out->whole = m->whole;
    out->more = m->more;
    out->revision = m->revision;
    out->begun = m->begun;
    out->position = m->position;
    return "";
}

static bool cargo_result_fits(const Kauri__ShipPullResult *m)
{
    return (unsigned)m->status < SHIP_PULL_STATUS_COUNT && m->high_watermark >= -1 &&
           m->log_start >= -1 && m->end >= -1 && m->diverge_epoch >= -1 && m->diverge_end >= -1 &&
           m->next_good >= -1 && m->segment >= -1 && m->epoch_start >= -1 &&
           (m->size == 0 || m->status == KAURI__SHIP_PULL_STATUS__PULL_OK);
}

static const char *cargo_check_pull(const Kauri__ShipPullReply *m, size_t count, size_t raw)
{
    for (size_t i = 0; i < m->n_results; i++) {
        const Kauri__ShipPullResult *r = m->results[i];
        if (r->index >= count || (i > 0 && r->index <= m->results[i - 1]->index))
            return "pull: a result belongs to no entry, or they are out of order";
        if (!cargo_result_fits(r))
            return "pull: a field of a result is out of bounds";
        if (r->size > raw)
            return "pull: its sizes are more than the bytes that came";
        raw -= r->size;
    }
    return raw == 0 ? "" : "pull: its sizes are less than the bytes that came";
}

static const char *cargo_get_pull(const Kauri__ShipPullReply *m, struct slice raw,
                                  struct ship_pull *out)
{
    const char *why = cargo_check_pull(m, out->count, raw.size);
    if (why[0] != '\0')
        return why;
    for (size_t i = 0; i < m->n_results; i++) {
        const Kauri__ShipPullResult *r = m->results[i];
        struct ship_pull_entry *e = &out->entries[r->index];
        e->answered = true;
        e->status = (enum ship_pull_status)r->status;
        e->leader_high_watermark = r->high_watermark;
        e->log_start = r->log_start;
        e->leader_end = r->end;
        e->epoch_start = r->epoch_start;
        e->diverge_epoch = r->diverge_epoch;
        e->diverge_end = r->diverge_end;
        e->next_good = r->next_good;
        e->segment = r->segment;
        e->bytes = slice_of(raw.p, r->size);
        raw = slice_of(raw.p + r->size, raw.size - r->size);
    }
    return "";
}

static const char *cargo_get_vote(const Kauri__ShipVoteReply *m, struct arena *a,
                                  struct ship_vote *out)
{
    struct ship_holding *holdings = arena_array(a, m->n_holdings, sizeof *holdings);
    if (holdings == NULL)
        return "vote: too many partitions";
    if (m->records_position < -1)
        return "vote: the position of the records is below -1";
    for (size_t i = 0; i < m->n_holdings; i++) {
        const Kauri__ShipHolding *from = m->holdings[i];
        if (from->topic.len != CARGO_ID_SIZE || from->partition < 0 || from->reached < -1 ||
            from->end < 0 || from->high_watermark < 0)
            return "vote: a field of a partition is out of bounds";
        memcpy(holdings[i].topic, from->topic.data, CARGO_ID_SIZE);
        holdings[i].partition = from->partition;
        holdings[i].reached = from->reached;
        holdings[i].end = from->end;
        holdings[i].high_watermark = from->high_watermark;
        holdings[i].intact = from->intact;
    }
    out->holdings = holdings;
    out->count = m->n_holdings;
    out->accepted = m->accepted;
    out->accepted_term = m->accepted_term;
    out->records_term = m->records_term;
    out->records_position = m->records_position;
    return "";
}

static const char *cargo_get_kind(const Kauri__ShipReply *m, struct slice raw, struct arena *a,
                                  struct ship_call *call)
{
    static const Kauri__ShipReply__ReplyCase cases[SHIP_KIND_COUNT] = {
        [SHIP_REGISTER] = KAURI__SHIP_REPLY__REPLY_REG,
        [SHIP_RECORDS] = KAURI__SHIP_REPLY__REPLY_RECORDS,
        [SHIP_PULL] = KAURI__SHIP_REPLY__REPLY_PULL,
        [SHIP_VOTE] = KAURI__SHIP_REPLY__REPLY_VOTE,
        [SHIP_LEADER] = KAURI__SHIP_REPLY__REPLY__NOT_SET,
        [SHIP_ADMIN] = KAURI__SHIP_REPLY__REPLY_ADMIN,
    };
    if (m->reply_case != cases[call->kind])
        return "it is of another kind than the question";
    if (raw.size > 0 && call->kind != SHIP_PULL)
        return "raw bytes behind an answer that has none";
    switch (call->kind) {
    case SHIP_REGISTER:
        if (m->reg->broker_epoch < -1)
            return "register: the broker epoch is below -1";
        call->reg.broker_epoch = m->reg->broker_epoch;
        return "";
    case SHIP_RECORDS:
        return cargo_get_records(m->records, a, &call->records);
    case SHIP_PULL:
        return cargo_get_pull(m->pull, raw, &call->pull);
    case SHIP_VOTE:
        return cargo_get_vote(m->vote, a, &call->vote);
    case SHIP_LEADER:
        return "";
    case SHIP_ADMIN:
        return cargo_admin_replied(m->admin, &call->admin.req);
    }
    return "";
}

static const char *cargo_check_head(const Kauri__ShipReply *m, struct slice raw,
                                    enum broker_status *status)
{
    if (!cargo_errmap_broker(m->status, status))
        return "its status is not known";
    if (!cargo_cluster_fits(m->cluster_id) || m->from < -1)
        return "its cluster id or broker id is out of bounds";
    if (m->leader == NULL || m->leader->id < -1 || !cargo_text_fits(m->leader->native))
        return "its leader is out of bounds";
    if (*status != BROKER_OK &&
        (raw.size > 0 || m->reply_case != KAURI__SHIP_REPLY__REPLY__NOT_SET))
        return "it tells a failure and has results";
    return "";
}

/* A foreign sentence for a log: cut, and without control characters. */
static void cargo_get_message(const char *from, char to[256])
{
    size_t size = strnlen(from, 255);
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
    to[size] = '\0';
}

static void cargo_get_head(const Kauri__ShipReply *m, enum broker_status status,
                           struct ship_call *call)
{
    call->status = status;
    cargo_get_message(m->message, call->message);
    (void)snprintf(call->answer_cluster_id, sizeof call->answer_cluster_id, "%s", m->cluster_id);
    call->answer_from = m->from;
    call->leader.term = m->leader->term;
    call->leader.id = m->leader->id;
    (void)snprintf(call->leader.native, sizeof call->leader.native, "%s", m->leader->native);
}

int cargo_get_answer(struct slice body, struct slice raw, struct arena *a, struct ship_call *call,
                     const char **why)
{
    ProtobufCMessage *parsed;
    enum broker_status status;
    ASSERT((unsigned)call->kind < SHIP_KIND_COUNT && why != NULL);
    *why = "it does not parse or is too large";
    if (frame_unpack(&kauri__ship_reply__descriptor, body, a, &parsed) != 0)
        return CARGO_BAD;
    const Kauri__ShipReply *m = (const Kauri__ShipReply *)(const void *)parsed;
    *why = cargo_check_head(m, raw, &status);
    if ((*why)[0] == '\0' && status == BROKER_OK)
        *why = cargo_get_kind(m, raw, a, call);
    if ((*why)[0] != '\0')
        return CARGO_BAD;
    cargo_get_head(m, status, call);
    return 0;
}
