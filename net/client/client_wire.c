/* SPDX-License-Identifier: MIT
 *
 * client_wire: see client_wire.h. This file moves the session through its states and messages
 * through the socket; calls as objects are in client_call.c.
 */
#include "net/client/client_wire.h"

#include <errno.h>
#include <limits.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

#define CLIENT_TURN_MESSAGES_MAX 64
#define CLIENT_WIRE_BLOCKED      1

static void client_wire_wake(struct client_wire *w, int64_t at_ms)
{
    if (at_ms < w->wake_ms)
        w->wake_ms = at_ms;
}

static uint64_t client_wire_random(void)
{
    uint64_t r;
    random_entropy(&r, sizeof r);
    return r == 0 ? 1 : r;
}

static int client_wire_set(int socket, int option, int value)
{
    int r = nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof value);
    return r < 0 ? -nn_errno() : 0;
}

static int client_wire_get(int socket, int option)
{
    int value = -1;
    size_t size = sizeof value;
    int r = nn_getsockopt(socket, NN_SOL_SOCKET, option, &value, &size);
    ASSERT(r == 0);
    return value;
}

/* A socket that connects, and connects again. 0, KAURI_BAD_ARGUMENT or -errno. */
static int client_wire_socket(const struct client_wire *w, int *out)
{
    int socket = nn_socket(AF_SP_RAW, NN_REQ);
    if (socket < 0)
        return -nn_errno();
    int one = 1; /* else each message may wait for the peer's delayed acknowledgement, 40 ms */
    int r = nn_setsockopt(socket, NN_TCP, NN_TCP_NODELAY, &one, sizeof one) < 0 ? -nn_errno() : 0;
    if (r == 0)
        r = client_wire_set(socket, NN_RCVMAXSIZE, (int)w->receive_max);
    if (r == 0)
        r = client_wire_set(socket, NN_RECONNECT_IVL, CLIENT_BACKOFF_MIN_MS);
    if (r == 0)
        r = client_wire_set(socket, NN_RECONNECT_IVL_MAX, CLIENT_SILENCE_MS);
    if (r == 0 && strncmp(w->url, "tcp://[", 7) == 0)
        r = client_wire_set(socket, NN_IPV4ONLY, 0);
    if (r == 0 && nn_connect(socket, w->url) < 0)
        r = KAURI_BAD_ARGUMENT;
    if (r != 0) {
        (void)nn_close(socket);
        return r;
    }
    *out = socket;
    return 0;
}

static void client_wire_take(struct client_wire *w, int socket)
{
    w->socket = socket;
    w->receive_fd = client_wire_get(socket, NN_RCVFD);
    w->send_fd = client_wire_get(socket, NN_SNDFD);
    w->blocked = false;
    w->blocked_ms = 0;
    w->connect_errors = 0;
}

bool client_wire_unreachable(struct client_wire *w)
{
    uint64_t errors = nn_get_statistic(w->socket, NN_STAT_CONNECT_ERRORS);
    bool failed = errors > w->connect_errors;
    w->connect_errors = errors;
    return failed && nn_get_statistic(w->socket, NN_STAT_CURRENT_CONNECTIONS) == 0;
}

int client_wire_open(struct client_wire *w, const struct client_wire_options *o)
{
    int socket = -1;
    ASSERT(o->url != NULL && o->name != NULL);
    *w = (struct client_wire){
        .socket = -1, .owner = o->owner, .heard = o->heard, .url = o->url, .name = o->name};
    list_init(&w->calls);
    w->session = client_wire_random();
    w->message_size_max = CLIENT_CALL_SIZE_MAX;
    w->receive_max = o->receive_max > 0 ? o->receive_max : CLIENT_MESSAGE_SIZE_MAX;
    int r = client_wire_socket(w, &socket);
    if (r == 0)
        client_wire_take(w, socket);
    return r;
}

/* Nothing could be sent for a long time. That may be a broker that is away or slow, but nanomsg 1.1
 * also gives up connecting when a broker dies at the wrong moment (seen: no socket, no timer, for
 * ever; about once in two thousand kills). A new socket costs little: calls go out again by
 * themselves. */
static void client_wire_reconnect(struct client_wire *w)
{
    int socket = -1;
    if (client_wire_socket(w, &socket) != 0)
        return; /* no descriptors: the old one stays */
    client_wire_close(w);
    client_wire_take(w, socket);
}

void client_wire_close(struct client_wire *w)
{
    if (w->socket >= 0)
        (void)nn_close(w->socket);
    w->socket = -1;
}

void client_wire_restart(struct client_wire *w, int64_t now_ms)
{
    w->session = client_wire_random();
    w->state = CLIENT_SESSION_CLOSED;
    w->received = 0;
    w->resync_first = 0;
    w->resync_count = 0;
    w->confirm = false;
    w->hello_ms = now_ms;
}

int client_wire_move(struct client_wire *w, const char *url, int64_t now_ms)
{
    const char *before = w->url;
    int socket = -1;
    w->url = url;
    int r = client_wire_socket(w, &socket);
    if (r != 0) {
        w->url = before;
        return r;
    }
    client_wire_close(w);
    client_wire_take(w, socket);
    client_wire_restart(w, now_ms);
    w->hello_count = 0;
    return 0;
}

bool client_wire_silent(const struct client_wire *w, int64_t now_ms)
{
    return w->resync_count >= CLIENT_SILENT_COUNT || w->hello_count >= CLIENT_SILENT_COUNT ||
           (w->blocked && w->blocked_ms != 0 && now_ms - w->blocked_ms >= CLIENT_SILENT_MS);
}

/* The broker does not know this session (any more). */
static void client_wire_forget(struct client_wire *w, int64_t now_ms)
{
    if (w->state != CLIENT_SESSION_ALIVE)
        return;
    client_wire_restart(w, now_ms);
    if (w->hello_count > 0)
        w->hello_ms = now_ms + client_backoff_ms(w->hello_count);
}

/* --- sending --- */

static size_t client_wire_size(const struct client_call *call)
{
    size_t size = call->body.size;
    for (size_t i = 0; i < call->part_count; i++)
        size += call->parts[i].size;
    return size;
}

/* Builds the message: size, what changes from sending to sending, the packed call, its parts. */
static void *client_wire_build(const Kauri__Call *head, const struct client_call *call,
                               size_t *size)
{
    size_t head_size = kauri__call__get_packed_size(head);
    *size = FRAME_PREFIX_SIZE + head_size + client_wire_size(call);
    uint8_t *message = nn_allocmsg(*size, 0);
    ASSERT(message != NULL);
    frame_put(&head->base, head_size, message);
    bytes_put_le32(message, (uint32_t)(head_size + call->body.size));
    uint8_t *p = message + FRAME_PREFIX_SIZE + head_size;
    memcpy(p, call->body.p, call->body.size);
    p += call->body.size;
    for (size_t i = 0; i < call->part_count; i++) {
        memcpy(p, call->parts[i].p, call->parts[i].size);
        p += call->parts[i].size;
    }
    ASSERT(p == message + *size);
    return message;
}

/* Hands a message to nanomsg with the control header of a raw REQ: four bytes, the top bit set. */
static int client_wire_push(struct client_wire *w, void *message)
{
    enum { ID_SIZE = 4 };
    _Alignas(struct nn_cmsghdr) uint8_t control[NN_CMSG_SPACE(sizeof(size_t) + ID_SIZE)] = {0};
    struct nn_iovec vector = {&message, NN_MSG};
    struct nn_msghdr header = {&vector, 1, control, sizeof control};
    struct nn_cmsghdr *c = NN_CMSG_FIRSTHDR(&header);
    c->cmsg_level = PROTO_SP;
    c->cmsg_type = SP_HDR;
    c->cmsg_len = NN_CMSG_LEN(sizeof(size_t) + ID_SIZE);
    size_t id_size = ID_SIZE;
    memcpy(NN_CMSG_DATA(c), &id_size, sizeof id_size);
    bytes_put_be32(NN_CMSG_DATA(c) + sizeof id_size, ++w->request | 0x80000000u);
    if (nn_sendmsg(w->socket, &header, NN_DONTWAIT) >= 0)
        return 0;
    (void)nn_freemsg(message);
    return nn_errno() == EAGAIN ? CLIENT_WIRE_BLOCKED : -nn_errno();
}

/* Sends one call. True when it left; false when the pipe takes nothing now. */
static bool client_wire_transmit(struct client_wire *w, const struct client_call *call, uint64_t id,
                                 bool resync)
{
    if (w->blocked)
        return false;
    ASSERT(call->body.size > 0);
    Kauri__Call head;
    kauri__call__init(&head);
    head.session = w->session;
    head.id = id;
    head.received = w->received;
    head.resync = resync;
    size_t size;
    void *message = client_wire_build(&head, call, &size);
    int r = client_wire_push(w, message);
    if (r != 0) {
        w->blocked = true;
        return false;
    }
    w->confirm = false;
    return true;
}

static bool client_wire_transmit_call(struct client_wire *w, struct client_call *call)
{
    if (call->pack != NULL && !w->blocked)
        call->pack(w, call);
    return client_wire_transmit(w, call, call->id, false);
}

/* A ping or hello: small, packed anew each time. */
static bool client_wire_transmit_small(struct client_wire *w, const Kauri__Call *content,
                                       uint64_t id, bool resync)
{
    struct client_call *call = client_call_new(content);
    bool sent = client_wire_transmit(w, call, id, resync);
    (void)client_call_free(call);
    return sent;
}

static bool client_wire_ping(struct client_wire *w, uint64_t id, bool resync)
{
    Kauri__Ping ping;
    kauri__ping__init(&ping);
    Kauri__Call content;
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_PING;
    content.ping = &ping;
    return client_wire_transmit_small(w, &content, id, resync);
}

/* How long the n-th hello or ping in a row, from 1, waits for its answer. */
static int64_t client_wire_pause(uint32_t count)
{
    ASSERT(count > 0);
    int64_t ms = (int64_t)CLIENT_SILENCE_MS << (count < 3 ? count - 1 : 2);
    return ms < CLIENT_BACKOFF_MAX_MS ? ms : CLIENT_BACKOFF_MAX_MS;
}

/* CLOSED -> GREETING, and back when no answer comes. */
static void client_wire_greet(struct client_wire *w, int64_t now_ms)
{
    if (w->state == CLIENT_SESSION_GREETING) {
        int64_t due = w->hello_ms + client_wire_pause(w->hello_count);
        if (now_ms < due) {
            client_wire_wake(w, due);
            return;
        }
        w->state = CLIENT_SESSION_CLOSED;
        w->hello_ms = now_ms;
    }
    if (now_ms < w->hello_ms) {
        client_wire_wake(w, w->hello_ms);
        return;
    }
    Kauri__Hello hello;
    kauri__hello__init(&hello);
    Kauri__Call content;
    kauri__call__init(&content);
    w->received = 0; /* a hello begins the session */
    hello.version = 1;
    hello.client = frame_borrow(w->name);
    content.call_case = KAURI__CALL__CALL_HELLO;
    content.hello = &hello;
    uint64_t id = w->last_id + 1;
    if (!client_wire_transmit_small(w, &content, id, false))
        return;
    w->last_id = id;
    w->hello_ms = now_ms;
    w->hello_count++;
    w->state = CLIENT_SESSION_GREETING;
    client_wire_wake(w, now_ms + client_wire_pause(w->hello_count));
}

/* When this call's silence becomes suspicious. */
static int64_t client_wire_suspicious(const struct client_wire *w, const struct client_call *call)
{
    uint32_t again = call->sends > 4 ? 4 : call->sends - 1;
    int64_t patience = call->patience_ms + ((int64_t)CLIENT_SILENCE_MS << again);
    int64_t from = call->sent_ms > w->heard_ms ? call->sent_ms : w->heard_ms;
    int64_t silent = from + patience;
    int64_t aged = call->sent_ms + patience + CLIENT_AGE_MAX_MS;
    return silent < aged ? silent : aged;
}

/* Asks whether the session still lives, when it is silent for too long. */
static void client_wire_resync(struct client_wire *w, int64_t now_ms)
{
    int64_t due = INT64_MAX;
    if (w->resync_first != 0)
        due = w->resync_ms + client_wire_pause(w->resync_count);
    else
        LIST_EACH (node, &w->calls) {
            const struct client_call *call = LIST_ENTRY(node, struct client_call, link);
            if (call->state == CLIENT_CALL_SENT && client_wire_suspicious(w, call) < due)
                due = client_wire_suspicious(w, call);
        }
    if (due == INT64_MAX)
        return;
    uint64_t id = w->last_id + 1;
    if (now_ms < due) {
        client_wire_wake(w, due);
    } else if (client_wire_ping(w, id, true)) {
        w->last_id = w->resync_last = id;
        if (w->resync_first == 0)
            w->resync_first = id;
        w->resync_ms = now_ms;
        w->resync_count++;
        client_wire_wake(w, now_ms + client_wire_pause(w->resync_count));
    }
}

static void client_wire_sent(struct client_wire *w, struct client_call *call, int64_t now_ms)
{
    call->sends++;
    call->sent_ms = now_ms;
    call->state = CLIENT_CALL_SENT;
    if (!call->one_way)
        return;
    client_wire_cancel(call);
    call->done(w->owner, call, NULL);
}

/* Sends what waits, in order; true when an answer is still to come. */
static bool client_wire_send_calls(struct client_wire *w, int64_t now_ms)
{
    bool outstanding = false;
    LIST_EACH_SAFE (node, &w->calls) {
        struct client_call *call = LIST_ENTRY(node, struct client_call, link);
        if (call->state == CLIENT_CALL_WAITING && now_ms < call->due_ms) {
            client_wire_wake(w, call->due_ms);
            continue;
        }
        if (call->state == CLIENT_CALL_SENT) {
            outstanding = true;
        } else if (client_wire_transmit_call(w, call)) {
            outstanding = outstanding || !call->one_way;
            client_wire_sent(w, call, now_ms);
        } else {
            break;
        }
    }
    return outstanding;
}

static bool client_wire_writable(const struct client_wire *w)
{
    struct pollfd fd = {.fd = w->send_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static void client_wire_unblock(struct client_wire *w, int64_t now_ms)
{
    if (!w->blocked || client_wire_writable(w)) {
        w->blocked = false;
        w->blocked_ms = 0;
        return;
    }
    if (w->blocked_ms == 0)
        w->blocked_ms = now_ms;
    if (now_ms - w->blocked_ms >= CLIENT_STUCK_MS)
        client_wire_reconnect(w);
    else
        client_wire_wake(w, w->blocked_ms + CLIENT_STUCK_MS);
}

void client_wire_send(struct client_wire *w, int64_t now_ms)
{
    client_wire_unblock(w, now_ms);
    if (w->state != CLIENT_SESSION_ALIVE) {
        client_wire_greet(w, now_ms);
        return;
    }
    bool outstanding = client_wire_send_calls(w, now_ms);
    if (w->confirm && (outstanding || w->resync_first != 0))
        (void)client_wire_ping(w, 0, false);
    client_wire_resync(w, now_ms);
    if (w->blocked) /* the socket that is written to may be one that never will be */
        client_wire_wake(w, now_ms + CLIENT_STUCK_MS);
}

/* --- receiving --- */

static void client_wire_note_nonce(struct client_wire *w, const Kauri__HelloAnswer *hello)
{
    memset(w->nonce, 0, sizeof w->nonce);
    if (hello->nonce.len == sizeof w->nonce)
        memcpy(w->nonce, hello->nonce.data, sizeof w->nonce);
}

static void client_wire_greeted(struct client_wire *w, const Kauri__Answer *a, int64_t now_ms)
{
    ASSERT(w->state == CLIENT_SESSION_GREETING);
    if (a->status != KAURI__STATUS__OK || a->answer_case != KAURI__ANSWER__ANSWER_HELLO) {
        bool refused = a->status == KAURI__STATUS__UNSUPPORTED_VERSION;
        w->state = refused ? CLIENT_SESSION_REFUSED : CLIENT_SESSION_CLOSED;
        w->hello_ms =
            now_ms + (refused ? CLIENT_BACKOFF_MAX_MS : client_backoff_ms(w->hello_count));
        return;
    }
    struct kauri_server *s = &w->server;
    *s = (struct kauri_server){.node_id = a->hello->node_id, .incarnation = a->hello->incarnation};
    (void)snprintf(s->software, sizeof s->software, "%s", a->hello->software);
    (void)snprintf(s->cluster_id, sizeof s->cluster_id, "%s", a->hello->cluster_id);
    if (a->hello->message_size_max > 0)
        w->message_size_max = a->hello->message_size_max;
    client_wire_note_nonce(w, a->hello);
    w->state = CLIENT_SESSION_ALIVE;
    LIST_EACH (node, &w->calls)
        LIST_ENTRY(node, struct client_call, link)->state = CLIENT_CALL_WAITING;
}

/* The session lives: whatever has no answer may be lost. */
static void client_wire_resynced(struct client_wire *w)
{
    w->resync_first = 0;
    w->resync_count = 0;
    LIST_EACH (node, &w->calls)
        LIST_ENTRY(node, struct client_call, link)->state = CLIENT_CALL_WAITING;
}

static struct client_call *client_wire_find(const struct client_wire *w, uint64_t id)
{
    LIST_EACH (node, &w->calls) {
        struct client_call *call = LIST_ENTRY(node, struct client_call, link);
        if (call->id == id)
            return call;
    }
    return NULL;
}

static void client_wire_answer(struct client_wire *w, const struct client_answer *a, int64_t now_ms)
{
    uint64_t id = a->answer->id;
    if (w->state == CLIENT_SESSION_GREETING) {
        client_wire_greeted(w, a->answer, now_ms);
        return;
    }
    if (a->answer->status == KAURI__STATUS__UNKNOWN_SESSION) {
        client_wire_forget(w, now_ms);
        return;
    }
    if (a->answer->answer_case == KAURI__ANSWER__ANSWER_HELLO) /* to one of the hellos before */
        client_wire_note_nonce(w, a->answer->hello);
    w->hello_count = 0;
    if (w->heard != NULL)
        w->heard(w->owner, a->answer);
    struct client_call *call = client_wire_find(w, id);
    if (call == NULL) {
        if (w->resync_first != 0 && id >= w->resync_first && id <= w->resync_last)
            client_wire_resynced(w);
        return;
    }
    client_wire_cancel(call);
    call->done(w->owner, call, a);
}

/* Takes the answers of one message apart. Those of an earlier session are not ours any more. */
static void client_wire_message(struct client_wire *w, struct client_message *m, size_t size,
                                int64_t now_ms)
{
    struct frame frame;
    ProtobufCMessage *parsed;
    if (frame_split(slice_of(m->bytes, size), &frame) != 0 ||
        frame_unpack(&kauri__answers__descriptor, frame.header, &m->arena, &parsed) != 0)
        return;
    const Kauri__Answers *answers = (const Kauri__Answers *)(const void *)parsed;
    if (answers->session != w->session)
        return;
    w->heard_ms = now_ms;
    if (answers->sequence > w->received)
        w->received = answers->sequence;
    w->confirm = w->confirm || answers->sequence > 0;
    uint64_t session = w->session;
    for (size_t i = 0; i < answers->n_answers && w->session == session; i++) {
        const Kauri__Answer *answer = answers->answers[i];
        if (answer->size > frame.raw.size)
            return;
        struct client_answer a = {answer, {frame.raw.p, answer->size}, m};
        frame.raw.p += answer->size;
        frame.raw.size -= answer->size;
        client_wire_answer(w, &a, now_ms);
    }
}

static struct client_message *client_wire_pull(struct client_wire *w, size_t *size)
{
    void *bytes = NULL;
    int got = nn_recv(w->socket, &bytes, NN_MSG, NN_DONTWAIT);
    if (got < 0)
        return NULL;
    struct client_message *m = calloc(1, sizeof *m);
    ASSERT(m != NULL);
    m->bytes = bytes;
    m->pins = 1;
    arena_init(&m->arena, CLIENT_HEADER_MEMORY_MAX);
    *size = (size_t)got;
    return m;
}

int client_wire_receive(struct client_wire *w, int64_t now_ms)
{
    int handled = 0;
    while (handled < CLIENT_TURN_MESSAGES_MAX) {
        size_t size;
        struct client_message *m = client_wire_pull(w, &size);
        if (m == NULL)
            return handled;
        client_wire_message(w, m, size, now_ms);
        (void)client_message_unpin(m);
        handled++;
    }
    client_wire_wake(w, now_ms);
    return handled;
}
