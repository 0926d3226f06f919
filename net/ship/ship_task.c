/* SPDX-License-Identifier: MIT
 *
 * ship_task: one call of another broker on its way. See ship.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo.h"
#include "net/cargo/cargo_errmap.h"
#include "net/cargo/cargo_seal.h"
#include "net/ship/ship_priv.h"

_Static_assert(CARGO_NONCE_SIZE == CLIENT_NONCE_SIZE, "one nonce");

static struct cargo_seal_call ship_task_known_by(const struct ship_task *t)
{
    return (struct cargo_seal_call){
        .nonce = t->lane->wire.nonce, .session = t->lane->wire.session, .id = t->wire->id};
}

/* --- life --- */

static bool ship_task_wants_data(const struct ship_call *call)
{
    if (call->kind != SHIP_PULL)
        return false;
    for (size_t i = 0; i < call->pull.count; i++)
        if (call->pull.entries[i].size_max > 0)
            return true;
    return false;
}

/* So that a call that is used again carries nothing of the last answer. */
static void ship_task_clear(struct ship_call *call)
{
    call->status = BROKER_OK;
    call->message[0] = call->answer_cluster_id[0] = '\0';
    call->answer_from = call->leader.id = -1;
    call->leader.term = 0;
    call->leader.native[0] = '\0';
    for (size_t i = 0; call->kind == SHIP_PULL && i < call->pull.count; i++) {
        call->pull.entries[i].answered = false;
        call->pull.entries[i].bytes = SLICE_NULL;
    }
}

struct ship_task *ship_task_new(struct ship *s, struct ship_call *call)
{
    struct ship_task *t = assert_memory(calloc(1, sizeof *t), sizeof *t);
    ASSERT(call->done != NULL);
    list_init(&t->link);
    t->ship = s;
    t->call = call;
    t->data = ship_task_wants_data(call);
    ship_task_clear(call);
    call->priv.state = t;
    s->stats.calls++;
    return t;
}

void ship_task_free(struct ship_task *t)
{
    ASSERT(!list_linked(&t->link) && t->peer == NULL && t->wire == NULL);
    t->message = client_message_unpin(t->message);
    t->call->priv.state = NULL;
    t->ship->stats.calls--;
    buf_deinit(&t->body);
    free(t);
}

/* Leaves its peer and its lane. */
static void ship_task_leave(struct ship_task *t)
{
    if (list_linked(&t->link))
        list_remove(&t->link);
    heap_remove(&t->ship->deadlines, &t->deadline);
    t->wire = client_call_free(t->wire);
    if (t->lane != NULL)
        t->lane->count--;
    t->lane = NULL;
    if (t->peer != NULL)
        t->peer->used_ms = ship_now_ms(t->ship);
    t->peer = NULL;
}

void ship_task_over(struct ship_task *t, enum broker_status status, const char *message)
{
    ship_task_leave(t);
    t->call->status = status;
    (void)snprintf(t->call->message, sizeof t->call->message, "%s", message);
    list_add_tail(&t->ship->over, &t->link);
}

/* --- sending --- */

/* Before each sending: another sequence, and the session may be another one, too. */
static void ship_task_pack(struct client_wire *w, struct client_call *call)
{
    struct ship_task *t = call->owner;
    struct cargo_seal *seal = t->ship->options.seal;
    struct cargo_seal_call of = ship_task_known_by(t);
    uint8_t mac[CARGO_MAC_SIZE];
    Kauri__Call content;
    Kauri__Ship ship;
    ASSERT(w == &t->lane->wire && call == t->wire);
    kauri__call__init(&content);
    kauri__ship__init(&ship);
    ship.body = (ProtobufCBinaryData){t->body.size, t->body.p};
    ship.sequence = ++t->lane->sequence;
    if (seal != NULL) {
        cargo_seal_question(seal, &of, ship.sequence, buf_slice(&t->body), mac);
        ship.mac = (ProtobufCBinaryData){sizeof mac, mac};
    }
    content.call_case = cargo_case(t->call->kind);
    content.ship_pull = &ship; /* all six share their place */
    buf_reset(&call->body);
    size_t size = kauri__call__get_packed_size(&content);
    buf_reserve(&call->body, size);
    call->body.size = kauri__call__pack(&content, call->body.p);
}

static uint32_t ship_task_patience(const struct ship_call *call)
{
    if (call->kind == SHIP_PULL)
        return call->pull.max_wait_ms;
    return call->kind == SHIP_RECORDS ? call->records.max_wait_ms : 0;
}

/* --- answers --- */

/* False when it does not come from one that shares the secret. */
static bool ship_task_sealed(const struct ship_task *t, const struct client_answer *a)
{
    const Kauri__ShipAnswer *m = a->answer->ship;
    struct cargo_seal *seal = t->ship->options.seal;
    struct cargo_seal_call of = ship_task_known_by(t);
    uint8_t mac[CARGO_MAC_SIZE];
    if (seal == NULL)
        return true;
    cargo_seal_answer(seal, &of, slice_of(m->body.data, m->body.len), a->raw, mac);
    return cargo_seal_equal(slice_of(m->mac.data, m->mac.len), mac);
}

/* The results were read; they lie in the message until the release. */
static void ship_task_answered(struct ship_task *t, const struct client_answer *a)
{
    struct ship *s = t->ship;
    s->stats.answered++;
    s->stats.size += a->raw.size;
    if (t->data && t->call->status == BROKER_OK)
        ship_peer_pulled(t->peer, t, a->raw.size, false);
    t->message = client_message_pin(a->message);
    ship_task_leave(t);
    list_add_tail(&s->over, &t->link);
}

static void ship_task_read(struct ship_task *t, const struct client_answer *a)
{
    const Kauri__ShipAnswer *m = a->answer->ship;
    const char *why;
    struct ship *s = t->ship;
    if (!ship_task_sealed(t, a)) {
        s->stats.denied++;
        ship_say(s, t->peer->native, "its answer is not sealed with our ship.secret");
        ship_task_over(t, BROKER_DENIED, "the answer is not sealed with our ship.secret");
    } else if (cargo_get_answer(slice_of(m->body.data, m->body.len), a->raw, &a->message->arena,
                                t->call, &why) != 0) {
        s->stats.bad++;
        ship_say(s, t->peer->native, why);
        ship_task_over(t, BROKER_BAD_REQUEST, "the answer cannot be read");
    } else {
        ship_task_answered(t, a);
    }
}

/* A session that was forgotten and made again at the wrong moment has another nonce than we know:
 * what looks like a wrong secret is tried once more. True when it goes out again. */
static bool ship_task_retry(struct ship_task *t, Kauri__Status status)
{
    int64_t now = ship_now_ms(t->ship);
    bool again = status == KAURI__STATUS__DENIED && t->ship->options.seal != NULL && !t->denied;
    if (status != KAURI__STATUS__BUSY && !again)
        return false;
    t->wire->due_ms = again ? 0 : now + client_backoff_ms(t->wire->retries++);
    client_wire_add(&t->lane->wire, t->wire);
    t->denied = t->denied || again;
    if (again)
        client_wire_restart(&t->lane->wire, now);
    return true;
}

/* Refused by the front: no seal speaks for this. */
static void ship_task_failed(struct ship_task *t, const Kauri__Answer *a)
{
    enum broker_status status;
    char message[sizeof t->call->message];
    if (ship_task_retry(t, a->status))
        return;
    if (!cargo_errmap_broker(a->status, &status) || status == BROKER_OK)
        status = BROKER_BAD_REQUEST;
    (void)snprintf(message, sizeof message, "%s",
                   cargo_text_fits(a->message) && a->message[0] != '\0'
                       ? a->message
                       : broker_status_text(status));
    if (status == BROKER_DENIED) {
        t->ship->stats.denied++;
        ship_say(t->ship, t->peer->native, message);
    }
    ship_task_over(t, status, message);
}

static void ship_task_receive(struct kauri *k, struct client_call *call,
                              const struct client_answer *a)
{
    struct ship_task *t = call->owner;
    (void)k;
    ASSERT(t->wire == call && t->lane != NULL);
    if (a->answer->status == KAURI__STATUS__OK &&
        a->answer->answer_case == KAURI__ANSWER__ANSWER_SHIP)
        ship_task_read(t, a);
    else
        ship_task_failed(t, a->answer);
}

void ship_task_launch(struct ship_task *t, struct ship_lane *lane, uint32_t size_max)
{
    struct ship *s = t->ship;
    ASSERT(t->lane == NULL && t->wire == NULL && t->peer != NULL);
    arena_reset(&s->scratch);
    cargo_put_call(t->call, size_max, &s->scratch, &t->body);
    t->lane = lane;
    t->wire = client_call_new(NULL);
    t->wire->pack = ship_task_pack;
    t->wire->done = ship_task_receive;
    t->wire->owner = t;
    t->wire->patience_ms = ship_task_patience(t->call);
    t->left_ms = ship_now_ms(s);
    lane->count++;
    list_remove(&t->link);
    list_add_tail(&t->peer->out, &t->link);
    client_wire_add(&lane->wire, t->wire);
    s->stats.sent++;
}
