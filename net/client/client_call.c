/* SPDX-License-Identifier: MIT
 *
 * client_call: calls as objects, and the one way to wait for an answer (client_ask).
 */
#include "net/client/client_priv.h"

#include <nanomsg/nn.h>
#include <stdlib.h>

#include "engine/base/assert.h"

struct client_message *client_message_pin(struct client_message *m)
{
    ASSERT(m->pins > 0);
    m->pins++;
    return m;
}

struct client_message *client_message_unpin(struct client_message *m)
{
    if (m == NULL)
        return NULL;
    ASSERT(m->pins > 0);
    if (--m->pins > 0)
        return NULL;
    arena_deinit(&m->arena);
    (void)nn_freemsg(m->bytes);
    free(m);
    return NULL;
}

struct client_call *client_call_new(const Kauri__Call *content)
{
    ASSERT(content == NULL || (content->session == 0 && content->id == 0));
    struct client_call *call = calloc(1, sizeof *call);
    ASSERT(call != NULL);
    list_init(&call->link);
    if (content == NULL)
        return call;
    size_t size = kauri__call__get_packed_size(content);
    buf_reserve(&call->body, size);
    call->body.size = kauri__call__pack(content, call->body.p);
    return call;
}

struct client_call *client_call_free(struct client_call *call)
{
    if (call == NULL)
        return NULL;
    client_wire_cancel(call);
    buf_deinit(&call->body);
    free(call->parts);
    free(call);
    return NULL;
}

void client_wire_add(struct client_wire *w, struct client_call *call)
{
    ASSERT(call->state == CLIENT_CALL_IDLE && call->done != NULL);
    ASSERT(call->body.size > 0 || call->pack != NULL);
    call->id = ++w->last_id;
    call->state = CLIENT_CALL_WAITING;
    list_add_tail(&w->calls, &call->link);
}

void client_wire_retry(struct client_wire *w, struct client_call *call, Kauri__Status why)
{
    call->refused = why;
    call->due_ms = client_now_ms() + client_backoff_ms(call->retries++);
    client_wire_add(w, call);
}

void client_wire_cancel(struct client_call *call)
{
    if (call == NULL || call->state == CLIENT_CALL_IDLE)
        return;
    ASSERT(list_linked(&call->link));
    list_remove(&call->link);
    call->state = CLIENT_CALL_IDLE;
}

int64_t client_backoff_ms(uint32_t count)
{
    int64_t ms = count >= 6 ? CLIENT_BACKOFF_MAX_MS : (int64_t)CLIENT_BACKOFF_MIN_MS << count;
    return ms < CLIENT_BACKOFF_MAX_MS ? ms : CLIENT_BACKOFF_MAX_MS;
}

/* The status that counts: of the call, or of the only item of a call that has items. */
static Kauri__Status client_ask_status(const Kauri__Answer *a)
{
    if (a->status != KAURI__STATUS__OK || a->answer_case != KAURI__ANSWER__ANSWER_LIST_OFFSETS)
        return a->status;
    return a->list_offsets->n_results == 1 ? a->list_offsets->results[0]->status
                                           : KAURI__STATUS__BAD_REQUEST;
}

static void client_ask_answered(struct kauri *k, struct client_call *call,
                                const struct client_answer *a)
{
    struct client_ask *ask = call->owner;
    ASSERT(!ask->finished);
    ask->status = client_ask_status(a->answer);
    bool final = ask->once || (ask->final != KAURI__STATUS__OK && ask->status == ask->final);
    if (client_status_retriable(ask->status) && !final) {
        client_wire_retry(&k->wire, call, ask->status);
        return;
    }
    ask->answer = *a;
    (void)client_message_pin(a->message);
    ask->finished = true;
}

/* No answer came in time: says what is known. */
static int client_ask_late(struct kauri *k, const struct client_call *call)
{
    if (call->sends == 0)
        return client_fail(k, KAURI_NO_SERVER, "no broker answers at \"%s\"", k->server);
    if (call->refused == KAURI__STATUS__DISK_FULL)
        return client_fail(k, KAURI_DISK_FULL, "the broker's disk is full");
    if (call->refused != KAURI__STATUS__OK) {
        char why[CLIENT_MESSAGE_MAX];
        client_status_explain(call->refused, NULL, NULL, -1, why);
        return client_fail(k, KAURI_TIMED_OUT, "no success within %u ms: %.120s",
                           k->options.timeout_ms, why);
    }
    return client_fail(k, KAURI_TIMED_OUT, "no answer within %u ms", k->options.timeout_ms);
}

static int client_ask_wait(struct kauri *k, struct client_ask *ask)
{
    ask->call->done = client_ask_answered;
    ask->call->owner = ask;
    client_wire_add(&k->wire, ask->call);
    int64_t until = client_now_ms() + k->options.timeout_ms;
    for (;;) {
        (void)client_turn(k);
        if (ask->finished)
            return 0;
        if (k->wire.state == CLIENT_SESSION_REFUSED)
            return client_fail(k, KAURI_VERSION, "the broker at \"%s\" speaks another version",
                               k->server);
        if (client_now_ms() >= until)
            return client_ask_late(k, ask->call);
        client_sleep(k, until);
    }
}

int client_ask(struct kauri *k, struct client_ask *ask, const Kauri__Call *content)
{
    *ask = (struct client_ask){.call = client_call_new(content)};
    return client_ask_wait(k, ask);
}

int client_ask_once(struct kauri *k, struct client_ask *ask, const Kauri__Call *content)
{
    *ask = (struct client_ask){.call = client_call_new(content), .once = true};
    return client_ask_wait(k, ask);
}

int client_ask_unless(struct kauri *k, struct client_ask *ask, const Kauri__Call *content,
                      Kauri__Status final)
{
    *ask = (struct client_ask){.call = client_call_new(content), .final = final};
    return client_ask_wait(k, ask);
}

void client_ask_done(struct client_ask *ask)
{
    ask->call = client_call_free(ask->call);
    ask->answer.message = client_message_unpin(ask->answer.message);
}

bool client_ask_repeated(const struct client_ask *ask)
{
    return ask->call->sends > 1;
}
