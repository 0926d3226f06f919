/* SPDX-License-Identifier: MIT
 *
 * serve_http: see serve_http.h.
 */
#include "cli/serve_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "engine/base/assert.h"
#include "net/http/http.h"
#include "net/kafka/kafka.h"
#include "net/nano/nano.h"

#define SERVE_HTTP_KEY "http.listen"

/* --- what the fronts count -------------------------------------------------------------------- */

struct serve_http_apis {
    struct http_watch *out;
    const char *front;
};

/* Listeners of one front are added up. */
static void serve_http_api(void *ctx, const char *name, const struct tally *t)
{
    const struct serve_http_apis *to = ctx;
    struct http_watch *out = to->out;
    for (size_t i = 0; i < out->api_count; i++)
        if (out->apis[i].front == to->front && strcmp(out->apis[i].name, name) == 0) {
            tally_merge(&out->apis[i].latency, t);
            return;
        }
    if (out->api_count < HTTP_CALLS_MAX)
        out->apis[out->api_count++] = (struct http_api){to->front, name, *t};
}

static void serve_http_native(const struct serve_http *x, struct http_watch *out)
{
    struct http_front *f = &out->fronts[out->front_count++];
    struct serve_http_apis to = {out, "native"};
    *f = (struct http_front){.name = to.front};
    for (size_t i = 0; i < x->nano_count; i++) {
        struct nano_stats stats;
        nano_stats(x->nanos[i], &stats);
        f->connections += stats.sessions;
        f->running += stats.running;
        f->in_flight_size += stats.running_size;
        f->refused += stats.refused;
        nano_each_call(x->nanos[i], serve_http_api, &to);
    }
}

static void serve_http_kafka(const struct serve_http *x, struct http_watch *out)
{
    struct kafka_stats stats;
    struct serve_http_apis to = {out, "kafka"};
    kafka_stats(x->kafka, &stats);
    out->fronts[out->front_count++] = (struct http_front){.name = to.front,
                                                          .connections = stats.connections,
                                                          .running = stats.running,
                                                          .in_flight_size = stats.in_flight_size,
                                                          .accepted = stats.accepted,
                                                          .refused = stats.refused,
                                                          .bytes_in = stats.bytes_in,
                                                          .bytes_out = stats.bytes_out,
                                                          .counts_bytes = true};
    kafka_each_api(x->kafka, serve_http_api, &to);
}

static void serve_http_watch(void *ctx, struct http_watch *out)
{
    const struct serve_http *x = ctx;
    if (x->nano_count > 0)
        serve_http_native(x, out);
    if (x->kafka != NULL)
        serve_http_kafka(x, out);
    ASSERT(out->front_count <= HTTP_FRONTS_MAX);
}

struct serve_http_peers {
    void (*fn)(void *arg, const struct http_peer *p);
    void *arg;
};

static void serve_http_peer(void *ctx, const struct kafka_peer *peer)
{
    const struct serve_http_peers *to = ctx;
    struct http_peer out = {.front = "kafka", .id = peer->id, .out_size = peer->out_size};
    _Static_assert(sizeof out.address >= sizeof peer->address, "one fits into the other");
    memcpy(out.address, peer->address, sizeof peer->address);
    to->fn(to->arg, &out);
}

static void serve_http_peers(void *ctx, size_t max,
                             void (*fn)(void *arg, const struct http_peer *p), void *arg)
{
    const struct serve_http *x = ctx;
    struct serve_http_peers to = {fn, arg};
    if (x->kafka != NULL)
        kafka_each_peer(x->kafka, max, serve_http_peer, &to);
}

/* --- life ------------------------------------------------------------------------------------- */

static int serve_http_failed(const struct serve_setup *s, int r, const char *why)
{
    const struct out *o = &s->args->out;
    out_error(o, "cannot listen: %s", why[0] != '\0' ? why : error_text(r < 0 ? r : -EINVAL));
    switch (r) {
    case HTTP_IN_USE:
        out_hint(o, "stop it, or choose another port: kauri serve --http 127.0.0.1:7194");
        return CMD_FAILED;
    case HTTP_NOT_LOOPBACK:
        out_hint(o, "there is no TLS yet; if the network is yours alone: kauri serve "
                    "--allow-insecure");
        return CMD_USAGE;
    case HTTP_BAD_ADDRESS:
        out_hint(o, "want HOST:PORT or off: kauri serve --http 127.0.0.1:7094");
        return CMD_USAGE;
    }
    return CMD_FAILED;
}

/* What a person would type. */
static void serve_http_url(struct serve_http *x, const char *address)
{
    const char *colon = strrchr(address, ':');
    ASSERT(colon != NULL);
    bool any = colon == address;
    (void)snprintf(x->url, sizeof x->url, "http://%.*s:%u/", any ? 9 : (int)(colon - address),
                   any ? "localhost" : address, http_port(x->http));
}

int serve_http_open(struct serve_http *x, const struct serve_setup *s, struct broker *b,
                    const struct clock *clock)
{
    char why[HTTP_WHY_SIZE] = "";
    enum config_origin from = CONFIG_FROM_DEFAULT;
    const char *address = config_get(s->config, SERVE_HTTP_KEY, &from);
    int64_t rows = config_i64(s->config, CONFIG_METRICS_PARTITIONS_MAX);
    struct http_options o = {.broker = b,
                             .clock = clock,
                             .address = address,
                             .loopback_only = !config_bool(s->config, CONFIG_ALLOW_INSECURE),
                             .version = KAURI_VERSION_TEXT,
                             .kafka = s->kafka_count > 0 ? s->kafkas[0] : NULL,
                             .partitions_max = (size_t)rows,
                             .watch = serve_http_watch,
                             .peers = serve_http_peers,
                             .ctx = x,
                             .why = why};
    ASSERT(address != NULL);
    if (strcmp(address, "off") == 0)
        return CMD_DONE;
    int r = http_open(&o, &x->http);
    if (r == HTTP_IN_USE && from == CONFIG_FROM_DEFAULT) {
        out_warning(&s->args->out, "no /metrics: %s", why);
        out_hint(&s->args->out, "choose another port: kauri serve --http 127.0.0.1:7194, or "
                                "--http off");
        return CMD_DONE;
    }
    if (r != 0)
        return serve_http_failed(s, r, why);
    serve_http_url(x, address);
    return CMD_DONE;
}

void serve_http_close(struct serve_http *x)
{
    x->http = http_close(x->http);
}
