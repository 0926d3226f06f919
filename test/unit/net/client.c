/* SPDX-License-Identifier: MIT
 *
 * client: see client.h.
 */
#include "client.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "proto/frame.h"

#define CLIENT_HEADER_SIZE NN_CMSG_SPACE(sizeof(size_t) + 4)

static int client_option(int socket, int option)
{
    int value = -1;
    size_t size = sizeof value;
    int r = nn_getsockopt(socket, NN_SOL_SOCKET, option, &value, &size);
    ASSERT(r == 0);
    return value;
}

struct client *client_new(const char *url, uint64_t session)
{
    struct client *c = calloc(1, sizeof *c);
    int size_max = -1;
    c->socket = nn_socket(AF_SP_RAW, NN_REQ);
    ASSERT(c->socket >= 0);
    int r = nn_setsockopt(c->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &size_max, sizeof size_max);
    ASSERT(r == 0);
    r = nn_connect(c->socket, url);
    ASSERT(r >= 0);
    c->fd = client_option(c->socket, NN_RCVFD);
    c->session = session;
    c->next_id = 1;
    arena_init(&c->arena, 256u * 1024 * 1024);
    return c;
}

struct client *client_free(struct client *c)
{
    if (c == NULL)
        return NULL;
    nn_close(c->socket);
    arena_deinit(&c->arena);
    free(c);
    return NULL;
}

int client_send_fd(const struct client *c)
{
    return client_option(c->socket, NN_SNDFD);
}

bool client_send_bytes(struct client *c, const void *p, size_t size)
{
    _Alignas(8) uint8_t control[CLIENT_HEADER_SIZE] = {0};
    struct nn_cmsghdr *header = (struct nn_cmsghdr *)(void *)control;
    size_t id_size = 4;
    header->cmsg_len = sizeof control;
    header->cmsg_level = PROTO_SP;
    header->cmsg_type = SP_HDR;
    memcpy(NN_CMSG_DATA(header), &id_size, sizeof id_size);
    NN_CMSG_DATA(header)[sizeof id_size] = 0x80;
    void *message = nn_allocmsg(size, 0);
    if (size > 0)
        memcpy(message, p, size);
    struct nn_iovec v = {&message, NN_MSG};
    struct nn_msghdr m = {&v, 1, control, sizeof control};
    int r = nn_sendmsg(c->socket, &m, NN_DONTWAIT);
    if (r < 0) {
        ASSERT(nn_errno() == EAGAIN);
        nn_freemsg(message);
    }
    return r >= 0;
}

bool client_send(struct client *c, Kauri__Call *call, struct slice raw)
{
    struct buf out = {0};
    frame_pack(&call->base, raw, &out);
    bool sent = client_send_bytes(c, out.p, out.size);
    buf_deinit(&out);
    return sent;
}

void client_call(struct client *c, Kauri__Call *call, Kauri__Call__CallCase kind)
{
    kauri__call__init(call);
    call->session = c->session;
    call->id = c->next_id++;
    call->received = c->received;
    call->call_case = kind;
}

static void client_confirm(struct client *c)
{
    Kauri__Call call;
    Kauri__Ping ping;
    kauri__ping__init(&ping);
    client_call(c, &call, KAURI__CALL__CALL_PING);
    c->next_id--;
    call.id = 0;
    call.ping = &ping;
    (void)client_send(c, &call, SLICE_NULL);
}

static void client_note(struct client *c, struct slice message)
{
    struct frame f;
    ProtobufCMessage *m;
    struct slice kept = arena_copy(&c->arena, message);
    ASSERT(kept.p != NULL);
    int r = frame_split(kept, &f);
    ASSERT(r == 0);
    r = frame_unpack(&kauri__answers__descriptor, f.header, &c->arena, &m);
    ASSERT(r == 0);
    const Kauri__Answers *answers = (const Kauri__Answers *)m;
    ASSERT(answers->session == c->session);
    c->sequence = answers->sequence;
    if (c->forgetful)
        return;
    c->received = answers->sequence;
    for (size_t i = 0; i < answers->n_answers; i++) {
        Kauri__Answer *a = answers->answers[i];
        ASSERT(a->id < CLIENT_IDS && a->size <= f.raw.size);
        c->got[a->id].times++;
        c->got[a->id].answer = a;
        c->got[a->id].raw = slice_of(f.raw.p, a->size);
        f.raw = slice_of(f.raw.p + a->size, f.raw.size - a->size);
        c->answers++;
    }
    ASSERT(f.raw.size == 0);
    if (!c->silent && answers->sequence > 0)
        client_confirm(c);
}

size_t client_receive(struct client *c)
{
    size_t count = 0;
    void *message;
    if (c->deaf)
        return 0;
    for (int size; (size = nn_recv(c->socket, &message, NN_MSG, NN_DONTWAIT)) >= 0; count++) {
        client_note(c, slice_of(message, (size_t)size));
        nn_freemsg(message);
        c->messages++;
    }
    ASSERT(nn_errno() == EAGAIN);
    return count;
}
