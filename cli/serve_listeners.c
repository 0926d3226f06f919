/* SPDX-License-Identifier: MIT
 *
 * serve_listeners: where `kauri serve` listens, from its flags or from `listeners` and
 * `advertised.listeners`, which are written as Kafka's: NAME://ADDRESS, comma separated.
 *
 *   NANO://URL               the native protocol, as --native
 *   PLAINTEXT://HOST:PORT    Kafka's clients, as --kafka; another name where
 *                            listener.security.protocol.map maps it to PLAINTEXT
 *
 * `advertised.listeners` names likewise what clients are told, and with NANO what other brokers
 * are.
 * `replica.of` lists native addresses of brokers of the cluster to join.
 *
 * A flag replaces the entries of its kind. Without entries of a kind: the default ipc socket, and
 * 127.0.0.1:9092 unless `listeners` names something else.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/place.h"
#include "cli/serve_priv.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define SERVE_KAFKA_DEFAULT "127.0.0.1:9092"

static struct slice serve_trim(struct slice s)
{
    while (s.size > 0 && s.p[0] == ' ')
        s = slice_of(s.p + 1, s.size - 1);
    while (s.size > 0 && s.p[s.size - 1] == ' ')
        s.size--;
    return s;
}

/* Takes one entry from the front of a comma separated list; false at its end. */
static bool serve_entry(const char **at, struct slice *out)
{
    while (**at == ',' || **at == ' ')
        (*at)++;
    size_t size = strcspn(*at, ",");
    *out = serve_trim(slice_of(*at, size));
    *at += size;
    return out->size > 0;
}

static bool serve_same(struct slice a, const char *text)
{
    return a.size == strlen(text) && strncasecmp((const char *)a.p, text, a.size) == 0;
}

/* "NAME://rest" */
static bool serve_split(struct slice entry, struct slice *name, struct slice *rest)
{
    for (size_t i = 0; i + 3 <= entry.size; i++)
        if (memcmp(entry.p + i, "://", 3) == 0) {
            *name = slice_of(entry.p, i);
            *rest = slice_of(entry.p + i + 3, entry.size - i - 3);
            return i > 0;
        }
    return false;
}

/* The security protocol of a listener's name: what the map says, else the name itself. */
static struct slice serve_protocol(const struct serve_setup *s, struct slice name)
{
    const char *at = config_get(s->config, "listener.security.protocol.map", NULL);
    struct slice entry;
    while (at != NULL && serve_entry(&at, &entry)) {
        const uint8_t *colon = memchr(entry.p, ':', entry.size);
        if (colon == NULL)
            continue;
        size_t size = (size_t)(colon - entry.p);
        if (size == name.size && memcmp(entry.p, name.p, size) == 0)
            return slice_of(colon + 1, entry.size - size - 1);
    }
    return name;
}

static void serve_add_native(struct serve_setup *s, struct slice url)
{
    ASSERT(s->native_count < SERVE_FRONTS_MAX);
    s->natives[s->native_count++] = (char *)slice_dup(url);
}

static void serve_add_kafka(struct serve_setup *s, struct slice address, struct slice advertised)
{
    ASSERT(s->kafka_count < SERVE_FRONTS_MAX);
    s->kafkas[s->kafka_count] = (char *)slice_dup(address);
    s->advertised[s->kafka_count++] = advertised.p != NULL ? (char *)slice_dup(advertised) : NULL;
}

/* The address that clients of the listener are told, from advertised.listeners; null: none. */
static struct slice serve_advertised(const struct serve_setup *s, struct slice listener)
{
    const char *at = config_get(s->config, "advertised.listeners", NULL);
    struct slice entry, name, rest;
    while (at != NULL && serve_entry(&at, &entry))
        if (serve_split(entry, &name, &rest) && name.size == listener.size &&
            memcmp(name.p, listener.p, name.size) == 0)
            return rest;
    return SLICE_NULL;
}

/* Kafka's files listen on all addresses, which needs a word of consent here: on this host until
 * then. */
static void serve_add_plaintext(struct serve_setup *s, struct slice name, struct slice address)
{
    struct buf local CLEANUP(buf_deinit) = {0};
    bool all = address.size > 0 && address.p[0] == ':';
    if (all && s->foreign && !config_bool(s->config, CONFIG_ALLOW_INSECURE)) {
        buf_printf(&local, "localhost%.*s", (int)address.size, (const char *)address.p);
        out_warning(&s->args->out, "listening on localhost only: there is no TLS yet");
        out_hint(&s->args->out, "if the network is yours alone: kauri serve --allow-insecure");
        address = buf_slice(&local);
    }
    serve_add_kafka(s, address, serve_advertised(s, name));
}

/* 0 or an exit code. */
static int serve_add_entry(struct serve_setup *s, struct slice entry, bool native, bool kafka)
{
    struct slice name, rest;
    bool good = serve_split(entry, &name, &rest);
    if (s->native_count == SERVE_FRONTS_MAX || s->kafka_count == SERVE_FRONTS_MAX) {
        out_error(&s->args->out, "at most %d listeners", SERVE_FRONTS_MAX);
        return CMD_USAGE;
    }
    if (good && serve_same(name, "NANO")) {
        if (native)
            serve_add_native(s, rest);
        return 0;
    }
    if (good && s->foreign && serve_same(name, "CONTROLLER")) {
        out_warning(&s->args->out,
                    "listener CONTROLLER passed over: there is no controller quorum");
        return 0;
    }
    if (good && serve_same(serve_protocol(s, name), "PLAINTEXT")) {
        if (kafka)
            serve_add_plaintext(s, name, rest);
        return 0;
    }
    out_error(&s->args->out, "cannot listen on \"%.*s\": want PLAINTEXT://HOST:PORT or NANO://URL",
              (int)entry.size, (const char *)entry.p);
    out_hint(&s->args->out, "listeners = PLAINTEXT://127.0.0.1:9092, NANO://tcp://127.0.0.1:7092");
    return CMD_USAGE;
}

int serve_settle_listeners(struct serve_setup *s, const char *const *natives, size_t native_count,
                           const char *kafka)
{
    const char *at = config_get(s->config, "listeners", NULL);
    bool listed = at != NULL && at[0] != '\0';
    struct slice entry;
    for (size_t i = 0; i < native_count; i++)
        serve_add_native(s, slice_str(natives[i]));
    if (kafka != NULL && strcmp(kafka, "off") != 0)
        serve_add_kafka(s, slice_str(kafka), serve_advertised(s, slice_str("PLAINTEXT")));
    while (at != NULL && serve_entry(&at, &entry))
        if (serve_add_entry(s, entry, native_count == 0, kafka == NULL) != 0)
            return CMD_USAGE;
    if (!listed && kafka == NULL)
        serve_add_kafka(s, slice_str(SERVE_KAFKA_DEFAULT),
                        serve_advertised(s, slice_str("PLAINTEXT")));
    struct slice told = serve_advertised(s, slice_str("NANO"));
    if (told.p != NULL)
        s->advertised_native = (char *)slice_dup(told);
    if (s->native_count > 0)
        return 0;
    struct buf url CLEANUP(buf_deinit) = {0};
    place_listen((const char *)s->data.p, &url);
    serve_add_native(s, buf_slice(&url));
    s->default_native = true;
    return 0;
}

/* --- whose replica -------------------------------------------------------------------------- */

static int serve_seed_bad(const struct serve_setup *s, const char *seed)
{
    out_error(&s->args->out, "cannot join by \"%s\": want tcp://HOST:PORT or ipc:///PATH", seed);
    out_hint(&s->args->out,
             "the native address of a broker of the cluster: --replica-of tcp://HOST:7092");
    return CMD_USAGE;
}

/* Others must be able to dial what they are told. 0 or an exit code. */
static int serve_check_told(const struct serve_setup *s)
{
    char told[SERVE_HOST_MAX];
    bool known = serve_node_native(s, told);
    for (size_t i = 0; i < s->seed_count; i++) {
        if (known && (serve_node_is_ipc(s->seeds[i]) || !serve_node_is_ipc(told)))
            continue;
        out_error(&s->args->out,
                  "cannot be a replica of %s: it could not dial %s, where this "
                  "broker listens",
                  s->seeds[i], told);
        out_hint(&s->args->out, "listen on tcp as well: --native %s --native tcp://HOST:7092",
                 s->natives[0]);
        return CMD_USAGE;
    }
    return CMD_DONE;
}

int serve_settle_seeds(struct serve_setup *s)
{
    const char *at = config_get(s->config, "replica.of", NULL);
    struct slice entry;
    while (at != NULL && serve_entry(&at, &entry)) {
        if (s->seed_count == SERVE_SEEDS_MAX) {
            out_error(&s->args->out, "replica.of: at most %d addresses", SERVE_SEEDS_MAX);
            return CMD_USAGE;
        }
        char *seed = (char *)slice_dup(entry);
        s->seeds[s->seed_count++] = seed;
        bool tcp = strncmp(seed, "tcp://", 6) == 0 && strchr(seed + 6, ':') != NULL;
        if (!tcp && !(serve_node_is_ipc(seed) && seed[6] == '/'))
            return serve_seed_bad(s, seed);
    }
    return serve_check_told(s);
}
