/* SPDX-License-Identifier: MIT
 *
 * serve_cluster: see serve_cluster.h.
 */
#include "cli/serve_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"
#include "net/cargo/cargo_seal.h"
#include "net/client/kauri.h"
#include "net/ship/ship.h"

/* 0 or an exit code. */
static int serve_cluster_secret(struct serve_cluster *x, const struct serve_setup *s)
{
    char why[CARGO_SEAL_WHY] = "";
    const char *secret = config_get(s->config, "ship.secret", NULL);
    const char *file = config_get(s->config, "ship.secret.file", NULL);
    int r = cargo_seal_read(secret != NULL ? secret : "", file != NULL ? file : "", &x->seal, why);
    if (r == CARGO_SEAL_BAD) {
        out_error(&s->args->out, "cannot use the shared secret: %s", why);
        out_hint(&s->args->out, "one of ship.secret and ship.secret.file, 16 to 1024 bytes");
        return CMD_USAGE;
    }
    for (size_t i = 0; r == CARGO_SEAL_NONE && i < s->seed_count; i++) {
        if (serve_node_is_local(s->seeds[i]))
            continue;
        out_error(&s->args->out, "cannot be a replica of %s: there is no shared secret",
                  s->seeds[i]);
        out_hint(&s->args->out, "the same in all brokers: --set ship.secret.file=FILE, a line of "
                                "16 to 1024 bytes");
        return CMD_USAGE;
    }
    return r < 0 ? CMD_FAILED : CMD_DONE;
}

/* Every address that is to be asked is our own. */
static bool serve_cluster_own(const struct serve_cluster *x, const struct serve_setup *s)
{
    size_t own = 0;
    for (size_t i = 0; i < s->seed_count; i++) {
        bool ours = strcmp(s->seeds[i], x->native) == 0;
        for (size_t k = 0; k < s->native_count; k++)
            ours = ours || strcmp(s->seeds[i], s->natives[k]) == 0;
        own += ours;
    }
    return own > 0 && own == s->seed_count;
}

int serve_cluster_open(struct serve_cluster *x, const struct serve_setup *s,
                       const struct clock *clock, const struct serve_cluster_log *log)
{
    int code = serve_cluster_secret(x, s);
    if (code != CMD_DONE)
        return code;
    if (!serve_node_native(s, x->native))
        x->native[0] = '\0';
    if (serve_cluster_own(x, s)) {
        out_error(&s->args->out, "cannot be a replica of %s: that is this broker's own address",
                  s->seeds[0]);
        out_hint(&s->args->out, "the address of another broker of the cluster; the first starts "
                                "without --replica-of");
        return CMD_USAGE;
    }
    struct ship_options o = {.clock = clock,
                             .config = s->config,
                             .seal = x->seal,
                             .broker_id = (int32_t)config_i64(s->config, CONFIG_NODE_ID),
                             .log = log->log,
                             .ctx = log->ctx};
    int r = ship_open(&o, &x->ship);
    if (r != 0) {
        out_error(&s->args->out, "cannot open the way to other brokers: %s", error_text(r));
        return CMD_FAILED;
    }
    x->link = ship_link(x->ship);
    return CMD_DONE;
}

static void serve_cluster_list(const struct serve_setup *s, struct buf *out)
{
    for (size_t i = 0; i < s->seed_count; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", s->seeds[i]);
    buf_append_u8(out, 0);
}

static bool serve_cluster_fresh(const struct serve_setup *s)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    buf_printf(&path, "%s/format", (const char *)s->data.p);
    buf_append_u8(&path, 0);
    return access((const char *)path.p, F_OK) != 0;
}

static void serve_cluster_waiting(const struct serve_setup *s, const char *seeds)
{
    out_warning(&s->args->out, "waiting for %s: nobody answers", seeds);
    out_hint(&s->args->out, "start the leader, or check the address");
}

int serve_cluster_ask(struct serve_cluster *x, const struct serve_setup *s,
                      const struct clock *clock, void (*say)(void *ctx), void *ctx)
{
    struct buf seeds CLEANUP(buf_deinit) = {0};
    struct kauri *k = NULL;
    struct kauri_server server = {0};
    bool fresh = serve_cluster_fresh(s), told = false;
    if (s->seed_count == 0)
        return CMD_DONE;
    serve_cluster_list(s, &seeds);
    const struct kauri_options o = {.server = (const char *)seeds.p,
                                    .client_name = "kauri serve",
                                    .timeout_ms = SERVE_CLUSTER_ASK_MS};
    if (kauri_open(&o, &k) != 0)
        return CMD_DONE; /* the broker will tell, and try for ever */
    int64_t said = clock->mono_ms(clock);
    while (kauri_server(k, &server) != 0 && fresh) {
        int64_t now = clock->mono_ms(clock);
        if (told && now - said < SERVE_CLUSTER_SAY_MS)
            continue;
        serve_cluster_waiting(s, (const char *)seeds.p);
        say(ctx);
        told = true;
        said = now;
    }
    if (server.cluster_id[0] != '\0')
        (void)snprintf(x->joined, sizeof x->joined, "%s", server.cluster_id);
    k = kauri_close(k);
    int64_t id = config_i64(s->config, CONFIG_NODE_ID);
    if (!fresh || server.cluster_id[0] == '\0' || server.node_id != id)
        return CMD_DONE;
    out_error(&s->args->out, "cannot join as broker %d: the one at %s has this number",
              server.node_id, (const char *)seeds.p);
    out_hint(&s->args->out, "give each broker a number of its own: --broker-id %d",
             server.node_id + 1);
    return CMD_USAGE;
}

void serve_cluster_stop(struct serve_cluster *x)
{
    x->link.cancel(x->link.ctx);
}

void serve_cluster_close(struct serve_cluster *x)
{
    x->ship = ship_close(x->ship);
    x->seal = cargo_seal_free(x->seal);
}
