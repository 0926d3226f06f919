/* SPDX-License-Identifier: MIT
 *
 * client: the life of a client: options, turns, waiting, the message of the last failure.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "net/client/client_priv.h"

#define CLIENT_NAME_MAX 256

int64_t client_now_ms(void)
{
    const struct clock *clock = clock_real();
    return clock->mono_ms(clock);
}

void client_wake(struct kauri *k, int64_t at_ms)
{
    if (at_ms < k->wake_ms)
        k->wake_ms = at_ms;
}

int client_fail(struct kauri *k, int error, const char *fmt, ...)
{
    ASSERT(error != 0);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(k->message, sizeof k->message, fmt, args);
    va_end(args);
    return error;
}

const char *kauri_message(const struct kauri *k)
{
    return k->message;
}

static uint32_t client_or(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static size_t client_or_size(size_t value, size_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void client_defaults(struct kauri_options *o)
{
    o->timeout_ms = client_or(o->timeout_ms, 5000);
    o->linger_ms = o->linger_ms == UINT32_MAX ? 0 : client_or(o->linger_ms, 5);
    o->batch_size = client_or_size(o->batch_size, 64 * 1024);
    o->buffer_size = client_or_size(o->buffer_size, 64 * 1024 * 1024);
    o->in_flight_max = client_or(o->in_flight_max, 5);
    o->delivery_timeout_ms = client_or(o->delivery_timeout_ms, 120000);
    o->fetch_size = client_or_size(o->fetch_size, 1024 * 1024);
    o->prefetch_size = client_or_size(o->prefetch_size, 16 * 1024 * 1024);
    o->fetch_wait_ms = client_or(o->fetch_wait_ms, 500);
}

static bool client_options_fit(const struct kauri_options *o)
{
    return o->server != NULL && o->in_flight_max <= 5 && o->acks >= KAURI_ACKS_ALL &&
           o->acks <= KAURI_ACKS_NONE && (unsigned)o->codec < CODEC_COUNT;
}

static struct kauri *client_new(const struct kauri_options *o)
{
    struct kauri *k = calloc(1, sizeof *k);
    ASSERT(k != NULL);
    k->options = *o;
    client_defaults(&k->options);
    k->server = strdup(o->server);
    k->client_name = strndup(o->client_name == NULL ? "libkauri" : o->client_name, CLIENT_NAME_MAX);
    ASSERT(k->server != NULL && k->client_name != NULL);
    k->options.server = k->server;
    k->options.client_name = k->client_name;
    uint64_t seed;
    random_entropy(&seed, sizeof seed);
    map_init(&k->topics, seed);
    client_produce_init(&k->produce);
    client_consume_init(&k->consume);
    client_group_init(k);
    return k;
}

int kauri_open(const struct kauri_options *o, struct kauri **out)
{
    ASSERT(o != NULL && out != NULL);
    if (!client_options_fit(o))
        return KAURI_BAD_ARGUMENT;
    struct kauri *k = client_new(o);
    k->wire.socket = -1;
    list_init(&k->wire.calls);
    int r = client_route_init(&k->route, k->server);
    struct client_wire_options wire = {
        .name = k->client_name, .owner = k, .heard = client_route_heard};
    if (r == 0) {
        wire.url = client_route_url(&k->route);
        r = client_wire_open(&k->wire, &wire);
    }
    if (r != 0) {
        (void)kauri_close(k);
        return r;
    }
    *out = k;
    return 0;
}

struct kauri *kauri_close(struct kauri *k)
{
    if (k == NULL)
        return NULL;
    client_group_deinit(k);
    client_produce_deinit(k);
    client_consume_deinit(k);
    client_topics_free(k);
    client_wire_close(&k->wire);
    client_route_deinit(&k->route);
    free(k->server);
    free(k->client_name);
    free(k);
    return NULL;
}

int client_turn(struct kauri *k)
{
    int64_t now = client_now_ms();
    k->wake_ms = k->wire.wake_ms = INT64_MAX;
    k->turn_ms = now;
    int handled = client_wire_receive(&k->wire, now);
    client_produce_turn(k, now);
    client_group_turn(k, now);
    client_consume_turn(k, now);
    client_wire_send(&k->wire, now);
    client_wake(k, k->wire.wake_ms);
    client_route_turn(k, now);
    return handled;
}

void client_sleep(struct kauri *k, int64_t until_ms)
{
    struct pollfd fds[2] = {{.fd = k->wire.receive_fd, .events = POLLIN},
                            {.fd = k->wire.send_fd, .events = POLLIN}};
    int64_t wait = (k->wake_ms < until_ms ? k->wake_ms : until_ms) - client_now_ms();
    if (wait <= 0)
        return;
    (void)poll(fds, k->wire.blocked ? 2 : 1, wait > INT_MAX ? INT_MAX : (int)wait);
}

int kauri_poll(struct kauri *k, uint32_t timeout_ms)
{
    int64_t until = client_now_ms() + timeout_ms;
    for (;;) {
        int handled = client_turn(k);
        handled += client_produce_report(k);
        handled += client_group_step(k);
        if (handled > 0 || client_now_ms() >= until)
            return handled;
        client_sleep(k, until);
    }
}
