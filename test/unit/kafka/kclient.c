/* SPDX-License-Identifier: MIT */
#include "test/unit/kafka/kclient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define KCLIENT_TURNS_MAX 20000

void kclient_init(struct kclient *c, uint64_t seed)
{
    *c = (struct kclient){.fd = -1};
    (void)signal(SIGPIPE, SIG_IGN);
    rig_init(&c->g, seed, 0);
    c->rig = &c->g;
    arena_init(&c->arena, 256u << 20);
}

void kclient_connect(struct kclient *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kafka_port(c->k))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(c->fd, 0);
    ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    c->ended = false;
    buf_reset(&c->in);
}

static void kclient_open_front(struct kclient *c)
{
    char why[KAFKA_WHY_SIZE] = "";
    struct kafka_options o = {.broker = c->rig->broker,
                              .clock = c->clock != NULL ? c->clock : &c->rig->clock.clock,
                              .listeners = {{.address = "127.0.0.1:0"}},
                              .listener_count = 1,
                              .loopback_only = true,
                              .seed = 1,
                              .why = why};
    int r = kafka_open(&o, &c->k);
    ck_assert_msg(r == 0, "open: %d, %s", r, why);
    kclient_connect(c);
}

void kclient_open(struct kclient *c)
{
    rig_open(&c->g);
    kclient_open_front(c);
}

void kclient_hang_up(struct kclient *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

static void kclient_close_front(struct kclient *c)
{
    kclient_hang_up(c);
    kafka_stop(c->k);
    for (unsigned i = 0; i < KCLIENT_TURNS_MAX && !kafka_stopped(c->k); i++)
        kclient_turn(c);
    ck_assert(kafka_stopped(c->k));
    c->k = kafka_close(c->k);
}

void kclient_reopen(struct kclient *c)
{
    kclient_close_front(c);
    rig_reopen(&c->g, true);
    kclient_open_front(c);
}

void kclient_close(struct kclient *c)
{
    kclient_close_front(c);
    rig_deinit(&c->g);
    arena_deinit(&c->arena);
    buf_deinit(&c->in);
}

void kclient_attach(struct kclient *c, struct rig *g, void (*turn)(void *ctx), void *ctx)
{
    *c = (struct kclient){.fd = -1, .rig = g, .turn = turn, .ctx = ctx};
    (void)signal(SIGPIPE, SIG_IGN);
    arena_init(&c->arena, 256u << 20);
    kclient_open_front(c);
}

void kclient_detach(struct kclient *c)
{
    kclient_close_front(c);
    arena_deinit(&c->arena);
    buf_deinit(&c->in);
}

void kclient_turn(struct kclient *c)
{
    ck_assert_int_eq(kafka_turn(c->k), 0);
    if (c->turn != NULL)
        c->turn(c->ctx);
    else if (!c->frozen)
        rig_run(c->rig);
    kafka_flush(c->k);
    kafka_check(c->k);
}

void kclient_send_bytes(struct kclient *c, struct slice bytes)
{
    for (size_t at = 0; at < bytes.size;) {
        ssize_t n = send(c->fd, bytes.p + at, bytes.size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        ck_assert(n > 0 || errno == EAGAIN);
        at += n > 0 ? (size_t)n : 0;
        kclient_turn(c);
    }
}

void kclient_send(struct kclient *c, enum kp_api api, int16_t version, const void *request)
{
    struct buf out = {0};
    struct kp_kind kind = {api, KP_REQUEST, version};
    struct kp_request_header h = KP_REQUEST_HEADER_INIT;
    h.correlation_id = ++c->correlation_id;
    h.client_id = slice_str("kclient");
    ck_assert_int_eq(kp_encode_request(kind, &h, request, &out), 0);
    kclient_send_bytes(c, buf_slice(&out));
    buf_deinit(&out);
}

static bool kclient_has_frame(const struct kclient *c)
{
    return c->in.size >= KP_FRAME_PREFIX && c->in.size - KP_FRAME_PREFIX >= bytes_be32(c->in.p);
}

static void kclient_read(struct kclient *c)
{
    buf_reserve(&c->in, 1 << 16);
    ssize_t n = recv(c->fd, c->in.p + c->in.size, 1 << 16, MSG_DONTWAIT);
    ck_assert(n >= 0 || errno == EAGAIN || errno == ECONNRESET);
    c->ended = n == 0 || (n < 0 && errno == ECONNRESET);
    c->in.size += n > 0 ? (size_t)n : 0;
}

const void *kclient_receive(struct kclient *c, enum kp_api api, int16_t version)
{
    struct kp_kind kind = {api, KP_RESPONSE, version};
    struct kp_response_header h;
    buf_reset(&c->in);
    for (unsigned i = 0; i < KCLIENT_TURNS_MAX && !c->ended && !kclient_has_frame(c); i++) {
        kclient_turn(c);
        kclient_read(c);
    }
    if (c->ended)
        return NULL;
    ck_assert(kclient_has_frame(c));
    ck_assert_uint_eq(c->in.size, KP_FRAME_PREFIX + bytes_be32(c->in.p)); /* one answer */
    struct slice frame = arena_copy(&c->arena, slice_of(c->in.p + 4, c->in.size - 4));
    ck_assert_int_eq(kp_take_response_header(kind, &frame, &h), 0);
    ck_assert_int_eq(h.correlation_id, c->correlation_id);
    void *answer = arena_alloc(&c->arena, kp_size(kind));
    ck_assert_int_eq(kp_decode(kind, &frame, &c->arena, answer), 0);
    ck_assert_uint_eq(frame.size, 0);
    return answer;
}

const void *kclient_ask(struct kclient *c, enum kp_api api, int16_t version, const void *request)
{
    kclient_send(c, api, version, request);
    const void *answer = kclient_receive(c, api, version);
    ck_assert_ptr_nonnull(answer);
    return answer;
}

const char *kclient_text(struct slice s)
{
    static char texts[4][512];
    static unsigned at;
    if (s.p == NULL)
        return "(null)";
    char *text = texts[at++ % 4];
    (void)snprintf(text, sizeof texts[0], "%.*s", (int)s.size, (const char *)s.p);
    return text;
}
