/* SPDX-License-Identifier: MIT
 *
 * kafka: the life of the front, and of a call: from its frame to its answer. See kafka.h.
 */
#include "net/kafka/kafka_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define KAFKA_RACK_AWARE "org.apache.kafka.common.replica.RackAwareReplicaSelector"
#define KAFKA_KEPT_MAX   512 /* bytes of an answer that are copied rather than handed over */

/* --- the way of a call ------------------------------------------------------------------------ */

/* What kafka_each_peer was given. */
struct kafka_peers {
    void (*fn)(void *ctx, const struct kafka_peer *peer);
    void *ctx;
};

static void kafka_log(const struct kafka *k, int level, const char *line)
{
    if (k->options.log != NULL)
        k->options.log(k->options.ctx, level, line);
}

static int64_t kafka_now_us(const struct kafka *k)
{
    return k->options.clock->mono_us(k->options.clock);
}

void kafka_answer_pieces(struct kafka_call *c, const struct conn_piece *pieces, size_t count)
{
    ASSERT(c->waiting == 0 && !list_linked(&c->link));
    if (c->began_us != 0)
        tally_add(&c->k->tallies[c->kind.api], kafka_now_us(c->k) - c->began_us);
    c->r->user = NULL;
    if (c->k->current == c)
        c->k->current = NULL;
    conn_answer(c->r, pieces, count);
}

void kafka_refuse(struct kafka_call *c, const char *why)
{
    struct kafka *k = c->k;
    char peer[CONN_ADDRESS_SIZE] = "gone";
    char line[320];
    k->refused++;
    if (c->r->conn != NULL) {
        conn_peer(c->r->conn, peer);
        conn_drop(c->r->conn);
    }
    (void)snprintf(line, sizeof line, "kafka client %s: connection ended: %s (%s, version %d)",
                   peer, why, kp_name(c->kind.api), c->kind.version);
    kafka_log(k, 1, line);
    kafka_answer_pieces(c, NULL, 0);
}

void *kafka_alloc(struct kafka_call *c, size_t count, size_t size)
{
    ASSERT(size > 0);
    return arena_array(&c->r->arena, count > 0 ? count : 1, size);
}

void *kafka_items(struct kafka_call *c, int32_t count, size_t size)
{
    if (count < 0 || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many items in one request");
        return NULL;
    }
    ASSERT(size > 0);
    void *all = kafka_alloc(c, (size_t)count, size);
    if (all == NULL)
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    return all;
}

struct slice kafka_said(const struct broker_admin *a)
{
    if (a->status == BROKER_OK)
        return SLICE_NULL;
    return slice_str(a->message[0] != '\0' ? a->message : broker_status_text(a->status));
}

void kafka_run(struct kafka_call *c)
{
    if (c->waiting++ > 0)
        return;
    list_add_tail(&c->k->running, &c->link);
    c->k->running_count++;
}

bool kafka_end(struct kafka_call *c)
{
    ASSERT(c->waiting > 0 && list_linked(&c->link));
    if (--c->waiting > 0)
        return false;
    list_remove(&c->link);
    c->k->running_count--;
    if (c->k->current != c)
        kafka_throttle_begin(c);
    return true;
}

void kafka_answer_written(struct kafka_call *c)
{
    struct buf *frame = &c->k->answer;
    struct slice kept = SLICE_NULL;
    ASSERT(frame->size > KP_FRAME_PREFIX);
    struct slice body = slice_of(frame->p + KP_FRAME_PREFIX, frame->size - KP_FRAME_PREFIX);
    if (body.size <= KAFKA_KEPT_MAX)
        kept = arena_copy(&c->r->arena, body);
    struct conn_piece piece;
    if (kept.p != NULL) {
        piece = conn_piece_bytes(kept);
    } else {
        piece = conn_piece_owned(frame); /* the front writes the size itself */
        piece.p += KP_FRAME_PREFIX;
        piece.size -= KP_FRAME_PREFIX;
    }
    kafka_answer_pieces(c, &piece, 1);
}

void kafka_answer(struct kafka_call *c, const void *response)
{
    struct buf *frame = &c->k->answer;
    struct kp_kind kind = {c->kind.api, KP_RESPONSE, c->kind.version};
    response = kafka_throttle_response(c, response);
    buf_reset(frame);
    if (response == NULL)
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    else if (kp_encode_response(kind, c->correlation_id, response, frame) == 0)
        kafka_answer_written(c);
    else
        kafka_refuse(c, "the answer is too large for one frame");
}

struct kafka_address kafka_here(struct kafka_call *c)
{
    char host[CONN_ADDRESS_SIZE] = "localhost";
    uint16_t port = 0;
    const struct conn *conn = c->r->conn;
    const struct kafka_advertised *a = conn != NULL ? &c->k->advertised[conn_tag(conn)] : NULL;
    if (a != NULL && a->host[0] != '\0')
        return (struct kafka_address){slice_str(a->host), a->port};
    if (conn != NULL && !conn_local(conn, host, &port))
        port = 0;
    struct slice copy = arena_copy(&c->r->arena, slice_str(host));
    return (struct kafka_address){copy.p != NULL ? copy : slice_str("localhost"), port};
}

/* --- frames in -------------------------------------------------------------------------------- */

static void kafka_dispatch(struct kafka_call *c)
{
    const struct kafka_api *api = kafka_api_of(c->kind.api);
    if (api->decoded) {
        c->request = kafka_alloc(c, 1, kp_size(c->kind));
        int r =
            c->request == NULL ? KP_LIMIT : kp_decode(c->kind, &c->body, &c->r->arena, c->request);
        if (r != 0) {
            kafka_refuse(c, kp_condition_text(r));
            return;
        }
    }
    api->run(c);
}

static void kafka_frame(void *ctx, struct conn *conn, struct conn_request *r)
{
    struct kafka *k = ctx;
    struct kp_request_header h = KP_REQUEST_HEADER_INIT;
    enum kp_api api = KP_API_API_VERSIONS;
    struct slice body = r->body;
    struct kafka_call *c = arena_alloc(&r->arena, sizeof *c);
    ASSERT(c != NULL && r->conn == conn);
    k->requests++;
    int e = kp_take_request_header(&body, &h, &api);
    if (e == 0 && !kp_is_offered(api))
        e = KP_UNKNOWN_API;
    c->k = k; /* the rest is zero */
    c->r = r;
    c->kind = (struct kp_kind){api, KP_REQUEST, h.api_version};
    c->correlation_id = h.correlation_id;
    c->client_id = h.client_id;
    c->body = body;
    c->began_us = e == 0 ? kafka_now_us(k) : 0;
    r->user = c;
    k->current = c;
    kafka_throttle_begin(c);
    if (e == KP_UNKNOWN_VERSION && api == KP_API_API_VERSIONS)
        kafka_api_versions_unknown(c);
    else if (e != 0)
        kafka_refuse(c, kp_condition_text(e));
    else
        kafka_dispatch(c);
    if (k->current != NULL) /* its answer comes later */
        kafka_throttle_rest(k->current);
    k->current = NULL;
}

/* The client is gone: a fetch need not wait any more. */
static void kafka_gone(void *ctx, struct conn_request *r)
{
    struct kafka *k = ctx;
    struct kafka_call *c = r->user;
    ASSERT(k != NULL);
    if (c != NULL && c->kind.api == KP_API_FETCH && list_linked(&c->link))
        broker_fetch_cancel(k->options.broker, &c->fetch);
}

static void kafka_conn_log(void *ctx, int level, const char *line)
{
    kafka_log(ctx, level, line);
}

/* --- life ------------------------------------------------------------------------------------- */

/* HOST:PORT, the host perhaps in brackets. */
static bool kafka_parse_advertised(const char *text, struct kafka_advertised *out)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    unsigned long port = 0;
    if (size == 0 || colon[1] == '\0' || strlen(colon + 1) > 5)
        return false;
    for (const char *p = colon + 1; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return false;
        port = port * 10 + (unsigned long)(*p - '0');
    }
    if (size >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        size -= 2;
    }
    if (size == 0 || size > KAFKA_HOST_MAX || port == 0 || port > UINT16_MAX)
        return false;
    memcpy(out->host, text, size);
    out->host[size] = '\0';
    out->port = (uint16_t)port;
    return true;
}

static int kafka_listen(struct kafka *k, unsigned tag)
{
    char why[CONN_WHY_SIZE] = "";
    const struct kafka_listener *l = &k->options.listeners[tag];
    int r = KAFKA_BAD_ADDRESS;
    if (l->advertised != NULL && !kafka_parse_advertised(l->advertised, &k->advertised[tag]))
        (void)snprintf(why, sizeof why, "the advertised address \"%.200s\" is not HOST:PORT",
                       l->advertised);
    else
        r = conn_listen(k->front, l->address, tag, why);
    if (r != 0 && k->options.why != NULL)
        (void)snprintf(k->options.why, KAFKA_WHY_SIZE, "%s", why);
    return r == CONN_BAD_ADDRESS    ? KAFKA_BAD_ADDRESS
           : r == CONN_IN_USE       ? KAFKA_IN_USE
           : r == CONN_NOT_LOOPBACK ? KAFKA_NOT_LOOPBACK
                                    : r;
}

static int kafka_open_front(struct kafka *k)
{
    const struct kafka_options *o = &k->options;
    struct conn_options c = {.clock = o->clock,
                             .frame = kafka_frame,
                             .gone = kafka_gone,
                             .log = kafka_conn_log,
                             .ctx = k,
                             .connections_max = o->connections_max,
                             .frame_size_max = o->frame_size_max,
                             .in_flight_size_max = o->in_flight_size_max,
                             .idle_timeout_ms = o->idle_timeout_ms,
                             .loopback_only = o->loopback_only,
                             .seed = o->seed};
    return conn_open(&c, &k->front);
}

/* Settings of the broker that do not change while it runs. */
static void kafka_configure(void *ctx, const char *key, const char *value, const char *source,
                            const char *help)
{
    struct kafka *k = ctx;
    ASSERT(source != NULL && help != NULL);
    if (strcmp(key, "broker.rack") == 0 && value != NULL)
        (void)snprintf(k->rack, sizeof k->rack, "%s", value);
    else if (strcmp(key, "replica.selector.class") == 0 && value != NULL)
        k->rack_aware = strcmp(value, KAFKA_RACK_AWARE) == 0;
}

int kafka_open(const struct kafka_options *o, struct kafka **out)
{
    struct broker_info info;
    struct kafka *k = assert_memory(calloc(1, sizeof *k), sizeof *k);
    ASSERT(o->broker != NULL && o->listener_count <= KAFKA_LISTENERS_MAX);
    k->options = *o;
    list_init(&k->running);
    broker_info(o->broker, &info);
    memcpy(k->cluster_id, info.cluster_id, sizeof k->cluster_id);
    k->node_id = info.node_id;
    broker_configs(o->broker, SLICE_NULL, kafka_configure, k);
    for (unsigned i = 0; i < KP_API_COUNT; i++)
        ASSERT(!kp_is_offered((enum kp_api)i) || kafka_api_of((enum kp_api)i)->run != NULL);
    k->sessions = kafka_sessions_new(o->seed);
    int r = kafka_open_front(k);
    for (unsigned i = 0; r == 0 && i < o->listener_count; i++)
        r = kafka_listen(k, i);
    if (r != 0) {
        kafka_close(k);
        return r;
    }
    *out = k;
    return 0;
}

uint16_t kafka_port(const struct kafka *k)
{
    return conn_listen_port(k->front, 0);
}

int kafka_fd(const struct kafka *k)
{
    return conn_fd(k->front);
}

int64_t kafka_next_ms(const struct kafka *k)
{
    return conn_next_ms(k->front);
}

int kafka_turn(struct kafka *k)
{
    return conn_turn(k->front);
}

void kafka_flush(struct kafka *k)
{
    conn_flush(k->front);
}

void kafka_stop(struct kafka *k)
{
    k->stopping = true;
    conn_stop(k->front);
    LIST_EACH_SAFE (node, &k->running) {
        struct kafka_call *c = LIST_ENTRY(node, struct kafka_call, link);
        if (c->kind.api == KP_API_FETCH)
            broker_fetch_cancel(k->options.broker, &c->fetch);
    }
}

bool kafka_stopped(const struct kafka *k)
{
    return k->stopping && conn_stopped(k->front) && k->running_count == 0;
}

struct kafka *kafka_close(struct kafka *k)
{
    if (k == NULL)
        return NULL;
    ASSERT(list_empty(&k->running));
    k->front = conn_close(k->front);
    k->sessions = kafka_sessions_free(k->sessions);
    buf_deinit(&k->answer);
    free(k);
    return NULL;
}

void kafka_stats(const struct kafka *k, struct kafka_stats *out)
{
    struct conn_stats c;
    conn_stats(k->front, &c);
    *out = (struct kafka_stats){.connections = c.connections,
                                .running = k->running_count,
                                .requests = k->requests,
                                .refused = k->refused,
                                .sessions = kafka_sessions_count(k->sessions),
                                .accepted = c.accepted,
                                .bytes_in = c.bytes_in,
                                .bytes_out = c.bytes_out,
                                .in_flight_size = c.in_flight_size};
}

void kafka_each_api(const struct kafka *k,
                    void (*fn)(void *ctx, const char *api, const struct tally *t), void *ctx)
{
    for (unsigned i = 0; i < KP_API_COUNT; i++)
        if (k->tallies[i].count > 0)
            fn(ctx, kp_name((enum kp_api)i), &k->tallies[i]);
}

static void kafka_peer(void *ctx, const struct conn *c)
{
    const struct kafka_peers *to = ctx;
    struct kafka_peer peer;
    conn_peer(c, peer.address);
    peer.id = conn_id(c);
    peer.out_size = conn_out_size(c);
    to->fn(to->ctx, &peer);
}

void kafka_each_peer(const struct kafka *k, size_t max,
                     void (*fn)(void *ctx, const struct kafka_peer *peer), void *ctx)
{
    struct kafka_peers to = {fn, ctx};
    conn_each(k->front, max, kafka_peer, &to);
}

void kafka_check(const struct kafka *k)
{
    size_t count = 0;
    for (const struct list *n = k->running.next; n != &k->running; n = n->next) {
        const struct kafka_call *c =
            (const struct kafka_call *)((const char *)n - offsetof(struct kafka_call, link));
        ASSERT(c->k == k && c->waiting > 0 && c->r->user == c); /* K1 */
        count++;
    }
    ASSERT(count == k->running_count);
    conn_check(k->front);
    kafka_sessions_check(k->sessions);
}

void kafka_dump(const struct kafka *k, struct buf *out)
{
    buf_printf(out, "kafka: %zu calls running, %llu requests, %llu refused, %zu fetch sessions%s\n",
               k->running_count, (unsigned long long)k->requests, (unsigned long long)k->refused,
               kafka_sessions_count(k->sessions), k->stopping ? ", stopping" : "");
    conn_dump(k->front, out);
}
