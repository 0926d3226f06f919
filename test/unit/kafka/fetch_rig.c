/* SPDX-License-Identifier: MIT */
#include "test/unit/kafka/fetch_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/store/batch.h"

static void fetch_rig_log(void *ctx, int level, const char *line)
{
    struct fetch_rig *r = ctx;
    if (level < 2)
        return;
    r->damages++;
    (void)snprintf(r->line, sizeof r->line, "%s", line);
}

void fetch_rig_start(struct fetch_rig *r)
{
    char why[KAFKA_WHY_SIZE] = "";
    struct kafka_options o = {.broker = r->g.broker,
                              .clock = &r->g.clock.clock,
                              .listeners = {{.address = "127.0.0.1:0"}},
                              .listener_count = 1,
                              .loopback_only = true,
                              .seed = 7,
                              .log = fetch_rig_log,
                              .ctx = r,
                              .why = why};
    int e = kafka_open(&o, &r->k);
    ck_assert_msg(e == 0, "%d: %s", e, why);
}

void fetch_rig_open(struct fetch_rig *r, uint64_t seed)
{
    *r = (struct fetch_rig){0};
    (void)signal(SIGPIPE, SIG_IGN);
    rig_init(&r->g, seed, 0);
    rig_open(&r->g);
    fetch_rig_start(r);
}

void fetch_rig_turn(struct fetch_rig *r)
{
    ck_assert_int_eq(kafka_turn(r->k), 0);
    rig_run(&r->g);
    kafka_flush(r->k);
    kafka_check(r->k);
}

void fetch_rig_advance(struct fetch_rig *r, int64_t ms)
{
    rig_advance(&r->g, ms);
    fetch_rig_turn(r);
}

void fetch_rig_stop(struct fetch_rig *r)
{
    kafka_stop(r->k);
    for (int i = 0; i < 10 && !kafka_stopped(r->k); i++) {
        fetch_rig_turn(r);
        clock_fake_advance(&r->g.clock, 1000);
    }
    ck_assert(kafka_stopped(r->k));
    r->k = kafka_close(r->k);
}

void fetch_rig_close(struct fetch_rig *r)
{
    if (r->k != NULL)
        fetch_rig_stop(r);
    rig_stop(&r->g);
    rig_deinit(&r->g);
}

/* --- clients --- */

void fetch_client_open(struct fetch_client *c, struct fetch_rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(kafka_port(r->k)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct fetch_client){.rig = r, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ck_assert_int_ge(c->fd, 0);
    ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    arena_init(&c->arena, 64 << 20);
}

void fetch_client_close(struct fetch_client *c)
{
    ck_assert_int_eq(close(c->fd), 0);
    buf_deinit(&c->frame);
    arena_deinit(&c->arena);
}

static struct kp_uuid fetch_client_id(const struct fetch_client *c, const struct fetch_want *w)
{
    struct kp_uuid id = {{0xee, 0xee}};
    struct broker_topic_info info;
    if (w->id != NULL)
        memcpy(id.b, w->id, sizeof id.b);
    else if (broker_topic(c->rig->g.broker, slice_str(w->topic), &info) == 0)
        memcpy(id.b, info.id, sizeof id.b);
    return id;
}

static bool fetch_want_same(const struct fetch_want *a, const struct fetch_want *b)
{
    return strcmp(a->topic, b->topic) == 0 && a->id == b->id;
}

static size_t fetch_client_topics(struct fetch_client *c, const struct fetch_query *q,
                                  struct kp_fetch_request_topic *topics,
                                  struct kp_fetch_request_partition *partitions)
{
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct fetch_want *w = &q->wants[i];
        struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
        p.index = w->partition;
        p.leader_epoch = q->version >= 9 ? w->epoch - 1 : -1;
        p.fetch_offset = w->offset;
        p.max_bytes = w->max_bytes > 0 ? w->max_bytes : 1 << 20;
        partitions[i] = p;
        if (i == 0 || !fetch_want_same(&q->wants[i - 1], w)) {
            topics[count].name = slice_str(w->topic);
            topics[count].topic_id = fetch_client_id(c, w);
            topics[count++].partitions.v = &partitions[i];
        }
        topics[count - 1].partitions.count++;
    }
    return count;
}

void fetch_client_send_bytes(struct fetch_client *c, struct slice s)
{
    for (size_t at = 0; at < s.size;) {
        ssize_t n = send(c->fd, s.p + at, s.size - at, MSG_DONTWAIT);
        ck_assert(n > 0 || errno == EAGAIN);
        at += n > 0 ? (size_t)n : 0;
        if (n < 0)
            fetch_rig_turn(c->rig);
    }
}

void fetch_client_send(struct fetch_client *c, const struct fetch_query *q)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    struct kp_fetch_request m = KP_FETCH_REQUEST_INIT;
    struct kp_request_header h = KP_REQUEST_HEADER_INIT;
    struct kp_kind kind = {KP_API_FETCH, KP_REQUEST, q->version};
    size_t n = q->count + 1, f = q->forgotten_count + 1;
    struct kp_fetch_request_topic *topics CLEANUP(cleanup_free) = calloc(n, sizeof *topics);
    struct kp_fetch_request_partition *v CLEANUP(cleanup_free) = calloc(n, sizeof *v);
    struct kp_fetch_request_forgotten *gone CLEANUP(cleanup_free) = calloc(f, sizeof *gone);
    ck_assert(topics != NULL && v != NULL && gone != NULL);
    for (size_t i = 0; i < q->forgotten_count; i++) {
        gone[i].name = slice_str(q->forgotten[i].topic);
        gone[i].topic_id = fetch_client_id(c, &q->forgotten[i]);
        gone[i].indexes.v = &q->forgotten[i].partition;
        gone[i].indexes.count = 1;
    }
    m.topics.v = topics;
    m.topics.count = (int32_t)fetch_client_topics(c, q, topics, v);
    m.forgotten.v = gone;
    m.forgotten.count = (int32_t)q->forgotten_count;
    m.max_wait_ms = q->max_wait_ms;
    m.min_bytes = q->min_bytes;
    m.max_bytes = q->max_bytes > 0 ? q->max_bytes : 50 << 20;
    m.isolation_level = q->committed;
    m.session_id = q->session_id;
    m.session_epoch = q->session_epoch;
    h.correlation_id = ++c->correlation_id;
    h.client_id = slice_str("fetch-test");
    ck_assert_int_eq(kp_encode_request(kind, &h, &m, &out), 0);
    c->version = q->version;
    fetch_client_send_bytes(c, buf_slice(&out));
}

/* Receives what is there. */
static bool fetch_client_receive(struct fetch_client *c)
{
    uint8_t piece[65536];
    ssize_t n;
    while ((n = recv(c->fd, piece, sizeof piece, MSG_DONTWAIT)) > 0)
        buf_append(&c->frame, piece, (size_t)n);
    bool whole = c->frame.size >= 4 && c->frame.size - 4 >= bytes_be32(c->frame.p);
    ck_assert_msg(whole || (n < 0 && errno == EAGAIN), "the connection ended");
    return whole;
}

static void fetch_client_decode(struct fetch_client *c)
{
    struct buf again CLEANUP(buf_deinit) = {0};
    struct kp_kind kind = {KP_API_FETCH, KP_RESPONSE, c->version};
    struct kp_response_header h;
    struct slice body = slice_of(c->frame.p + 4, c->frame.size - 4);
    arena_reset(&c->arena);
    ck_assert_uint_eq(c->frame.size, 4 + bytes_be32(c->frame.p));
    ck_assert_int_eq(kp_take_response_header(kind, &body, &h), 0);
    ck_assert_int_eq(h.correlation_id, c->correlation_id);
    ck_assert_int_eq(kp_decode(kind, &body, &c->arena, &c->answer), 0);
    ck_assert_uint_eq(body.size, 0);
    ck_assert_int_eq(kp_encode_response(kind, h.correlation_id, &c->answer, &again), 0);
    ck_assert(slice_equal(buf_slice(&c->frame), buf_slice(&again)));
}

bool fetch_client_poll(struct fetch_client *c)
{
    buf_reset(&c->frame);
    bool whole = false;
    for (int i = 0; i < 5 && !whole; i++) {
        fetch_rig_turn(c->rig);
        whole = fetch_client_receive(c);
    }
    if (whole)
        fetch_client_decode(c);
    else
        ck_assert_uint_eq(c->frame.size, 0);
    return whole;
}

void fetch_client_take(struct fetch_client *c)
{
    buf_reset(&c->frame);
    for (int i = 0; i < FETCH_RIG_TURNS; i++) {
        fetch_rig_turn(c->rig);
        if (fetch_client_receive(c)) {
            fetch_client_decode(c);
            return;
        }
        if (i > 3) {
            struct pollfd p = {.fd = c->fd, .events = POLLIN};
            (void)poll(&p, 1, 2);
        }
    }
    ck_abort_msg("no answer");
}

void fetch_client_ask(struct fetch_client *c, const struct fetch_query *q)
{
    fetch_client_send(c, q);
    fetch_client_take(c);
}

void fetch_client_ended(struct fetch_client *c)
{
    uint8_t byte;
    for (int i = 0; i < FETCH_RIG_TURNS; i++) {
        fetch_rig_turn(c->rig);
        ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
        ck_assert_msg(n <= 0, "an answer came");
        if (n == 0 || errno == ECONNRESET)
            return;
    }
    ck_abort_msg("the connection goes on");
}

/* --- answers --- */

size_t fetch_client_count(const struct fetch_client *c)
{
    size_t count = 0;
    for (int32_t i = 0; i < c->answer.topics.count; i++)
        count += (size_t)c->answer.topics.v[i].partitions.count;
    return count;
}

const struct kp_fetch_response_partition *fetch_client_find(const struct fetch_client *c,
                                                            const struct fetch_want *w)
{
    struct kp_uuid id = fetch_client_id(c, w);
    for (int32_t i = 0; i < c->answer.topics.count; i++) {
        const struct kp_fetch_response_topic *t = &c->answer.topics.v[i];
        bool same = c->version >= 13 ? memcmp(t->topic_id.b, id.b, sizeof id.b) == 0
                                     : slice_equal(t->name, slice_str(w->topic));
        for (int32_t k = 0; same && k < t->partitions.count; k++)
            if (t->partitions.v[k].index == w->partition)
                return &t->partitions.v[k];
    }
    return NULL;
}

int64_t fetch_client_read(struct slice records, int64_t offset)
{
    ck_assert_ptr_nonnull(records.p); /* empty, never null */
    while (records.size > 0) {
        struct batch_header h;
        ck_assert_int_eq(batch_check_stored(records, 0, &h), BATCH_OK);
        ck_assert_uint_le(h.size, records.size);
        ck_assert_int_gt(batch_next_offset(&h), offset);
        offset = batch_next_offset(&h);
        records = slice_of(records.p + h.size, records.size - h.size);
    }
    return offset;
}
