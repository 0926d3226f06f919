/* SPDX-License-Identifier: MIT
 *
 * nano_calls: see nano_calls.h. Hello and ping are answered here; the other rows of the table lie
 * in nano_data.c, nano_admin.c, nano_group.c and nano_ship.c.
 */
#include "net/nano/nano_calls.h"

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "net/nano/nano_admin.h"
#include "net/nano/nano_answers.h"
#include "net/nano/nano_cluster.h"
#include "net/nano/nano_data.h"
#include "net/nano/nano_errmap.h"
#include "net/nano/nano_group.h"
#include "net/nano/nano_session.h"
#include "net/nano/nano_ship.h"
#include "proto/frame.h"

#define NANO_VERSION 1 /* of the protocol */

/* --- answers --- */

void *nano_calls_array(struct nano_call *c, size_t count, size_t size)
{
    void *p = arena_array(&c->arena, count, size);
    ASSERT(p != NULL);
    return p;
}

Kauri__Answer *nano_calls_answer(struct nano_call *c)
{
    if (c->answer == NULL) {
        c->answer = nano_calls_array(c, 1, sizeof *c->answer);
        kauri__answer__init(c->answer);
        c->answer->id = (uint64_t)c->id;
    }
    return c->answer;
}

/* acks=0: the client expects no answer, not even a refusal. */
static bool nano_calls_silent(const struct nano_call *c)
{
    const Kauri__Call *r = c->request;
    return r != NULL && r->call_case == KAURI__CALL__CALL_PRODUCE && r->produce->acks == 0;
}

static void nano_calls_count(struct nano_call *c)
{
    const struct clock *clock = c->nano->options.clock;
    if (c->request == NULL)
        return;
    ASSERT((unsigned)c->request->call_case < NANO_KINDS);
    tally_add(&c->nano->tallies[c->request->call_case], clock->mono_us(clock) - c->began_us);
}

void nano_each_call(const struct nano *n,
                    void (*fn)(void *ctx, const char *call, const struct tally *t), void *ctx)
{
    const ProtobufCMessageDescriptor *d = &kauri__call__descriptor;
    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].id < NANO_KINDS && n->tallies[d->fields[i].id].count > 0)
            fn(ctx, d->fields[i].name, &n->tallies[d->fields[i].id]);
}

void nano_calls_finish(struct nano_call *c, Kauri__Status status, const char *message)
{
    nano_calls_count(c);
    if (nano_calls_silent(c)) {
        nano_call_free(c);
        return;
    }
    Kauri__Answer *answer = nano_calls_answer(c);
    answer->status = status;
    answer->message = frame_borrow(message);
    nano_cluster_point(c);
    if (nano_answers_size(answer) > c->nano->options.message_size_max) {
        answer->answer_case = KAURI__ANSWER__ANSWER__NOT_SET;
        answer->size = 0;
        answer->status = KAURI__STATUS__BATCH_TOO_LARGE;
        answer->message = frame_borrow("the answer is larger than a message may be");
    }
    nano_call_ready(c);
}

void nano_calls_finish_status(struct nano_call *c, enum broker_status status, const char *detail)
{
    if (status == BROKER_OK)
        detail = detail == NULL ? "" : detail;
    else if (detail == NULL || detail[0] == 0)
        detail = broker_status_text(status);
    nano_calls_finish(c, nano_errmap_status(status), detail);
}

static void nano_calls_refuse(struct nano_call *c, Kauri__Status status, const char *message)
{
    c->nano->stats.refused++;
    nano_calls_finish(c, status, message);
}

void nano_calls_bad(struct nano_call *c, const char *message)
{
    nano_calls_refuse(c, KAURI__STATUS__BAD_REQUEST, message);
}

/* Refuses a call that belongs to no session, outside any credit. */
static void nano_calls_refuse_alone(struct nano_call *c, uint64_t session, uint64_t id,
                                    Kauri__Status status, const char *message)
{
    Kauri__Answer answer;
    ASSERT(c->session == NULL);
    kauri__answer__init(&answer);
    answer.id = id;
    answer.status = status;
    answer.message = frame_borrow(message == NULL ? nano_errmap_text(status) : message);
    c->nano->stats.refused++;
    nano_answers_alone(c->nano, session, &answer);
    nano_call_free(c);
}

static void nano_calls_drop(struct nano_call *c)
{
    c->nano->stats.dropped++;
    nano_call_free(c);
}

/* --- sessions --- */

static void nano_calls_ping(struct nano_call *c, struct slice raw)
{
    (void)raw;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

static void nano_calls_answer_hello(struct nano_call *c)
{
    struct broker_info info;
    Kauri__HelloAnswer *body = nano_calls_array(c, 1, sizeof *body);
    broker_info(c->nano->options.broker, &info);
    kauri__hello_answer__init(body);
    body->version = NANO_VERSION;
    body->software = frame_borrow(c->nano->options.software);
    body->cluster_id = nano_calls_array(c, 1, sizeof info.cluster_id);
    memcpy(body->cluster_id, info.cluster_id, sizeof info.cluster_id);
    body->node_id = info.node_id;
    body->incarnation = info.incarnation;
    body->message_size_max = (uint32_t)c->nano->options.message_size_max;
    body->nonce = (ProtobufCBinaryData){sizeof c->session->nonce,
                                        nano_calls_array(c, 1, sizeof c->session->nonce)};
    memcpy(body->nonce.data, c->session->nonce, body->nonce.len);
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_HELLO;
    c->answer->hello = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

static void nano_calls_hello(struct nano_call *c)
{
    const Kauri__Call *r = c->request;
    Kauri__Status refusal = KAURI__STATUS__OK;
    struct nano_session *s = NULL;
    if (r->id == 0 || strlen(r->hello->client) > NANO_CLIENT_SIZE_MAX)
        refusal = KAURI__STATUS__BAD_REQUEST;
    else if (r->hello->version != NANO_VERSION)
        refusal = KAURI__STATUS__UNSUPPORTED_VERSION;
    else if ((s = nano_session_hello(c->nano, r->session, r->hello->client)) == NULL)
        refusal = KAURI__STATUS__BUSY;
    if (s == NULL) {
        nano_calls_refuse_alone(c, r->session, r->id, refusal, NULL);
        return;
    }
    nano_session_heard(c->nano, s, NULL);
    c->id = (int64_t)r->id;
    nano_call_join(c, s);
    nano_calls_answer_hello(c);
}

/* --- from message to call --- */

typedef void nano_calls_start(struct nano_call *c, struct slice raw);

static nano_calls_start *const nano_calls_rows[] = {
    [KAURI__CALL__CALL_PING] = nano_calls_ping,
    [KAURI__CALL__CALL_PRODUCE] = nano_data_produce,
    [KAURI__CALL__CALL_FETCH] = nano_data_fetch,
    [KAURI__CALL__CALL_LIST_OFFSETS] = nano_data_offsets,
    [KAURI__CALL__CALL_INIT_PRODUCER] = nano_admin_init_producer,
    [KAURI__CALL__CALL_TOPIC_CREATE] = nano_admin_topic_create,
    [KAURI__CALL__CALL_TOPIC_DELETE] = nano_admin_topic_delete,
    [KAURI__CALL__CALL_TOPIC_GROW] = nano_admin_topic_grow,
    [KAURI__CALL__CALL_TOPIC_ALTER] = nano_admin_topic_alter,
    [KAURI__CALL__CALL_TOPIC_TRIM] = nano_admin_topic_trim,
    [KAURI__CALL__CALL_TOPIC_LIST] = nano_admin_topic_list,
    [KAURI__CALL__CALL_BROKER_CONFIG] = nano_admin_broker_config,
    [KAURI__CALL__CALL_GROUP_BEAT] = nano_group_beat,
    [KAURI__CALL__CALL_GROUP_COMMIT] = nano_group_commit,
    [KAURI__CALL__CALL_GROUP_OFFSETS] = nano_group_offsets,
    [KAURI__CALL__CALL_GROUP_LIST] = nano_group_list,
    [KAURI__CALL__CALL_GROUP_DESCRIBE] = nano_group_describe,
    [KAURI__CALL__CALL_GROUP_HISTORY] = nano_group_history,
    [KAURI__CALL__CALL_GROUP_DELETE] = nano_group_delete,
    [KAURI__CALL__CALL_GROUP_FORGET] = nano_group_forget,
    [KAURI__CALL__CALL_SNAPSHOT] = nano_admin_snapshot,
    [KAURI__CALL__CALL_BROKER_STATUS] = nano_admin_broker_status,
    [KAURI__CALL__CALL_SHIP_REGISTER] = nano_ship,
    [KAURI__CALL__CALL_SHIP_RECORDS] = nano_ship,
    [KAURI__CALL__CALL_SHIP_PULL] = nano_ship,
    [KAURI__CALL__CALL_SHIP_VOTE] = nano_ship,
    [KAURI__CALL__CALL_SHIP_LEADER] = nano_ship,
    [KAURI__CALL__CALL_SHIP_ADMIN] = nano_ship,
    [KAURI__CALL__CALL_CLUSTER_STATUS] = nano_cluster_status,
    [KAURI__CALL__CALL_CLUSTER_PROMOTE] = nano_cluster_promote,
    [KAURI__CALL__CALL_CLUSTER_LEAVE] = nano_cluster_leave,
};
_Static_assert(sizeof nano_calls_rows / sizeof *nano_calls_rows == NANO_KINDS,
               "a call that is started is counted");

/* True when the session may have one more call with this id; else the call is gone. */
static bool nano_calls_admit(struct nano_call *c, struct nano_session *s, uint64_t id)
{
    c->id = (int64_t)id;
    if (map_get(&s->calls, map_key64(&c->id)) != NULL) {
        c->nano->stats.repeated++;
        nano_call_free(c);
        return false;
    }
    size_t count = s->calls.count;
    if (id == 0 || count >= 2 * c->nano->options.session_calls_max) {
        nano_calls_drop(c);
        return false;
    }
    nano_call_join(c, s);
    if (count < c->nano->options.session_calls_max)
        return true;
    nano_calls_refuse(c, KAURI__STATUS__BUSY, "too many calls at once");
    return false;
}

static void nano_calls_start_one(struct nano_call *c, struct slice raw)
{
    Kauri__Call__CallCase kind = c->request->call_case;
    if (kind == KAURI__CALL__CALL__NOT_SET) {
        nano_calls_bad(c, "no call, or none this broker knows");
    } else if (raw.size > 0 && kind != KAURI__CALL__CALL_PRODUCE) {
        nano_calls_bad(c, "raw bytes behind a call that has none");
    } else if (c->nano->stopping && kind != KAURI__CALL__CALL_PING) {
        nano_calls_finish_status(c, BROKER_STOPPING, NULL);
    } else {
        ASSERT(kind < sizeof nano_calls_rows / sizeof *nano_calls_rows);
        ASSERT(nano_calls_rows[kind] != NULL);
        nano_calls_rows[kind](c, raw);
    }
}

static void nano_calls_parsed(struct nano_call *c, struct slice raw)
{
    const Kauri__Call *r = c->request;
    struct nano_session *s = nano_session_find(c->nano, r->session);
    bool ping = r->call_case == KAURI__CALL__CALL_PING;
    if (r->session == 0) {
        nano_calls_drop(c);
    } else if (r->call_case == KAURI__CALL__CALL_HELLO) {
        nano_calls_hello(c);
    } else if (s == NULL) {
        nano_calls_refuse_alone(c, r->session, r->id, KAURI__STATUS__UNKNOWN_SESSION, NULL);
    } else {
        nano_session_heard(c->nano, s, r);
        if (r->id == 0 && ping)
            nano_call_free(c);
        else if (nano_calls_admit(c, s, r->id))
            nano_calls_start_one(c, raw);
    }
}

/* The header is no Call: answered when one can tell whom. */
static void nano_calls_malformed(struct nano_call *c, struct slice header)
{
    uint64_t session;
    uint64_t id;
    if (frame_peek(header, &session, &id) != 0) {
        nano_calls_drop(c);
        return;
    }
    struct nano_session *s = nano_session_find(c->nano, session);
    if (s == NULL) {
        nano_calls_refuse_alone(c, session, id, KAURI__STATUS__UNKNOWN_SESSION, NULL);
        return;
    }
    nano_session_heard(c->nano, s, NULL);
    arena_reset(&c->arena); /* the answer keeps nothing of the attempt */
    if (nano_calls_admit(c, s, id))
        nano_calls_bad(c, "the header does not parse or is too large");
}

void nano_calls_receive(struct nano *n, void *message, size_t size)
{
    struct frame frame;
    ProtobufCMessage *parsed;
    struct nano_call *c = nano_call_new(n, message, size);
    n->stats.received++;
    if (frame_split(slice_of(message, size), &frame) != 0) {
        nano_calls_drop(c);
    } else if (frame_unpack(&kauri__call__descriptor, frame.header, &c->arena, &parsed) != 0) {
        nano_calls_malformed(c, frame.header);
    } else {
        c->request = (Kauri__Call *)parsed;
        /* From here on what is built is bounded by its own rules; lists end at this limit. */
        c->arena.limit = c->arena.used + NANO_PARSE_SIZE_MAX + 8 * n->options.message_size_max;
        nano_calls_parsed(c, frame.raw);
    }
}
