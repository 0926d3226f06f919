/* SPDX-License-Identifier: MIT
 *
 * nano_ship: see nano_ship.h.
 */
#include "net/nano/nano_ship.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo.h"
#include "net/cargo/cargo_seal.h"
#include "net/nano/nano_answers.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_session.h"

#define NANO_SHIP_OVERHEAD 4096 /* of a message around body and raw bytes, generously */

_Static_assert(CARGO_NONCE_SIZE == NANO_NONCE_SIZE, "one nonce");

struct nano_ship {
    struct ship_call call;
    uint8_t nonce[CARGO_NONCE_SIZE]; /* the session's, which may go before the answer */
    uint64_t session;
    uint8_t mac[CARGO_MAC_SIZE];
    Kauri__ShipAnswer answer;
};

bool nano_ship_is(const struct nano_call *c)
{
    enum ship_kind kind;
    return c->request != NULL && cargo_kind(c->request->call_case, &kind);
}

void nano_ship_cancel(struct nano_call *c)
{
    broker_ship_cancel(c->nano->options.broker, &c->ship->call);
}

void nano_ship_release(struct nano_call *c)
{
    broker_ship_release(c->nano->options.broker, &c->ship->call);
}

static struct cargo_seal_call nano_ship_known_by(const struct nano_call *c)
{
    return (struct cargo_seal_call){
        .nonce = c->ship->nonce, .session = c->ship->session, .id = (uint64_t)c->id};
}

/* --- the answer --- */

/* Packs the results as they are now. */
static void nano_ship_pack(struct nano_call *c)
{
    struct nano_ship *s = c->ship;
    struct slice body;
    size_t raw = 0;
    size_t size_max = c->nano->options.message_size_max - NANO_SHIP_OVERHEAD;
    if (cargo_put_answer(&s->call, size_max, &c->arena, &body, &raw) != 0) {
        s->call.status = BROKER_BATCH_TOO_LARGE;
        (void)snprintf(s->call.message, sizeof s->call.message,
                       "the answer is larger than a message may be");
        int r = cargo_put_answer(&s->call, size_max, &c->arena, &body, &raw);
        ASSERT(r == 0);
    }
    bool sealed = c->nano->options.seal != NULL;
    kauri__ship_answer__init(&s->answer);
    s->answer.body = (ProtobufCBinaryData){body.size, (uint8_t *)(uintptr_t)body.p};
    s->answer.mac = (ProtobufCBinaryData){sealed ? sizeof s->mac : 0, s->mac};
    Kauri__Answer *a = nano_calls_answer(c);
    a->answer_case = KAURI__ANSWER__ANSWER_SHIP;
    a->ship = &s->answer;
    a->size = (uint32_t)raw;
}

static void nano_ship_done(struct ship_call *call)
{
    struct nano_call *c = call->ctx;
    ASSERT(call == &c->ship->call && !c->pinned);
    nano_call_end(c);
    c->pinned = true;
    nano_ship_pack(c);
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

bool nano_ship_copy(struct nano_call *c, uint8_t *to)
{
    struct ship_pull *p = &c->ship->call.pull;
    bool whole = true;
    ASSERT(c->ship->call.kind == SHIP_PULL);
    for (size_t i = 0; i < p->count; i++) {
        struct ship_pull_entry *e = &p->entries[i];
        if (!e->answered || e->bytes.size == 0)
            continue;
        struct slice from = e->bytes;
        if (!nano_answers_copy(to, from)) {
            e->status = SHIP_PULL_STORAGE;
            e->next_good = e->offset;
            e->bytes = SLICE_NULL;
            whole = false;
        }
        to += from.size;
    }
    if (!whole)
        nano_ship_pack(c);
    return whole;
}

void nano_ship_seal(struct nano_call *c, struct slice raw)
{
    struct cargo_seal *seal = c->nano->options.seal;
    const struct nano_ship *s = c->ship;
    struct cargo_seal_call of = nano_ship_known_by(c);
    ASSERT(c->answer->answer_case == KAURI__ANSWER__ANSWER_SHIP && raw.size == c->answer->size);
    if (seal != NULL)
        cargo_seal_answer(seal, &of, slice_of(s->answer.body.data, s->answer.body.len), raw,
                          c->ship->mac);
}

/* --- the question --- */

/* All six are of one type and share their place. */
static const Kauri__Ship *nano_ship_message(const struct nano_call *c)
{
    return c->request->ship_pull;
}

/* Why the sender may not ask; NULL when it may. */
static const char *nano_ship_refusal(struct nano_call *c)
{
    const Kauri__Ship *m = nano_ship_message(c);
    struct cargo_seal *seal = c->nano->options.seal;
    struct cargo_seal_call of = nano_ship_known_by(c);
    uint8_t mac[CARGO_MAC_SIZE];
    if (seal == NULL && m->mac.len > 0)
        return "it has a ship.secret, and this broker has none: the same in all";
    if (seal == NULL)
        return c->nano->near ? NULL
                             : "calls between brokers want a ship.secret on both sides, unless the "
                               "listener is ipc or loopback";
    if (m->mac.len == 0)
        return "it has no ship.secret, and this broker has one: the same in all";
    cargo_seal_question(seal, &of, m->sequence, slice_of(m->body.data, m->body.len), mac);
    return cargo_seal_equal(slice_of(m->mac.data, m->mac.len), mac)
               ? NULL
               : "its ship.secret is another than this broker's: the same in all";
}

static void nano_ship_say(struct nano *n, const char *client, const char *why)
{
    char line[512];
    int64_t now = n->options.clock->mono_ms(n->options.clock);
    n->ship_denied++;
    if (n->options.log == NULL || now < n->ship_say_ms)
        return;
    (void)snprintf(line, sizeof line, "refused a call of \"%.80s\": %s (%" PRIu64 " of them)",
                   cargo_text_fits(client) ? client : "?", why, n->ship_denied);
    n->ship_say_ms = now + NANO_SHIP_SAY_MS;
    n->ship_denied = 0;
    n->options.log(n->options.ctx, 1, line);
}

static void nano_ship_deny(struct nano_call *c, const char *why)
{
    c->nano->stats.denied++;
    nano_ship_say(c->nano, c->session->client, why);
    nano_calls_finish(c, KAURI__STATUS__DENIED, why);
}

static size_t nano_ship_min(size_t value, size_t bound)
{
    return value < bound ? value : bound;
}

/* A wait ends long before the session, and half of a message for bytes leaves room for the rest. */
static void nano_ship_bounds(struct nano_call *c, struct ship_call *call)
{
    const struct nano_options *o = &c->nano->options;
    size_t wait = (size_t)(o->idle_timeout_ms / 2);
    if (call->kind == SHIP_PULL) {
        struct ship_pull *p = &call->pull;
        p->max_wait_ms = (uint32_t)nano_ship_min(p->max_wait_ms, wait);
        p->size_max = nano_ship_min(p->size_max, o->message_size_max / 2);
    } else if (call->kind == SHIP_RECORDS) {
        struct ship_records *r = &call->records;
        r->max_wait_ms = (uint32_t)nano_ship_min(r->max_wait_ms, wait);
        r->size_max = nano_ship_min(r->size_max, o->message_size_max / 2);
    }
}

/* True when the question was read; else the call is gone. */
static bool nano_ship_read(struct nano_call *c)
{
    const Kauri__Ship *m = nano_ship_message(c);
    struct nano_session *s = c->session;
    enum ship_kind kind;
    const char *why = nano_ship_refusal(c);
    bool known = cargo_kind(c->request->call_case, &kind);
    ASSERT(known);
    if (why != NULL) {
        nano_ship_deny(c, why);
        return false;
    }
    if (m->sequence <= s->ship_sequence) {
        c->nano->stats.dropped++;
        nano_call_free(c);
        return false;
    }
    s->ship_sequence = m->sequence;
    if (cargo_get_call(kind, slice_of(m->body.data, m->body.len), &c->arena, &c->ship->call,
                       &why) == 0)
        return true;
    nano_calls_bad(c, why);
    return false;
}

void nano_ship(struct nano_call *c, struct slice raw)
{
    ASSERT(raw.size == 0 && c->session != NULL);
    c->ship = nano_calls_array(c, 1, sizeof *c->ship);
    c->ship->session = (uint64_t)c->session->id;
    memcpy(c->ship->nonce, c->session->nonce, sizeof c->ship->nonce);
    if (!nano_ship_read(c))
        return;
    struct ship_call *call = &c->ship->call;
    nano_ship_bounds(c, call);
    call->done = nano_ship_done;
    call->ctx = c;
    nano_call_run(c);
    broker_ship(c->nano->options.broker, call);
}
