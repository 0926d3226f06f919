/* SPDX-License-Identifier: MIT
 *
 * cmd_cluster_leave: `kauri cluster leave`: a broker leaves the cluster for good. The broker at -s,
 * or another one by its number; the leader decides, whoever is asked.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cmd_cluster_priv.h"
#include "cli/value.h"
#include "engine/base/assert.h"

#define CMD_CLUSTER_LEAVE_MS 30000u

struct cmd_cluster_leave {
    bool force;
    bool named;
    uint64_t id;
};

enum {
    CMD_CLUSTER_LEAVE_FORCE = ARGS_LONG,
    CMD_CLUSTER_LEAVE_ID,
};

static const char *cmd_cluster_leave_take(void *ctx, int key, const char *value)
{
    struct cmd_cluster_leave *l = ctx;
    if (key == CMD_CLUSTER_LEAVE_FORCE) {
        l->force = true;
        return NULL;
    }
    ASSERT(key == CMD_CLUSTER_LEAVE_ID);
    l->named = true;
    return value_u64(value, INT32_MAX, &l->id) ? NULL : "the number of a broker";
}

static int cmd_cluster_leave_failed(const struct args *a, struct cmd_client *c, int error,
                                    const struct kauri_cluster_leave *l)
{
    const char *why = l->message[0] != '\0' ? l->message : kauri_message(c->k);
    if (error == KAURI_NOT_ENOUGH) {
        out_error(&a->out, "refused to take broker %d out: %s", l->id, why);
        out_hint(&a->out, "wait until others are in sync (kauri cluster wait --caught-up), set "
                          "min.insync.replicas lower, or lose what only it holds: --force");
        return CMD_REFUSED;
    }
    if (error == KAURI_NO_BROKER) {
        out_error(&a->out, "cannot take broker %d out: %s", l->id, why);
        out_hint(&a->out, "kauri cluster status");
        return CMD_MISSING;
    }
    if (error == KAURI_REFUSED) {
        out_error(&a->out, "cannot take broker %d out: %s", l->id, why);
        out_hint(&a->out, "kauri cluster promote -s ADDRESS of another");
        return CMD_FAILED;
    }
    if (error == KAURI_TIMED_OUT && l->message[0] == '\0') {
        out_error(&a->out, "cannot take broker %d out: %s", l->id, why);
        out_hint(&a->out, "a broker must lead: kauri cluster status");
        return CMD_NO_SERVER;
    }
    return cmd_fail(a, c, error, NULL);
}

static void cmd_cluster_leave_done(const struct args *a, const struct kauri_cluster_leave *l)
{
    if (a->json)
        out_json(json_pack("{s:i, s:b, s:I, s:I, s:s}", "broker", l->id, "dry_run", a->dry_run,
                           "replicas", (json_int_t)l->replicas, "pending", (json_int_t)l->pending,
                           "message", l->message));
    else
        out_note(&a->out, "%s", l->message);
    if (!a->dry_run && l->pending > 0)
        out_hint(&a->out, "kauri cluster status -p shows them");
    if (!a->dry_run)
        out_hint(&a->out, "if it runs, stop it; started with --replica-of it comes back");
}

static int cmd_cluster_leave_run(struct args *a, const struct cmd_cluster_leave *leave)
{
    struct kauri_options options = {.timeout_ms =
                                        a->timeout_ms > 0 ? a->timeout_ms : CMD_CLUSTER_LEAVE_MS};
    struct cmd_client c = {0};
    struct kauri_server server;
    struct kauri_cluster_leave l = {
        .id = (int32_t)leave->id, .force = leave->force, .validate_only = a->dry_run};
    char what[64];
    int error = 0, r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    if (!leave->named) {
        error = kauri_server(c.k, &server);
        l.id = server.node_id;
    }
    (void)snprintf(what, sizeof what, "take broker %d out by force", l.id);
    if (error == 0 && l.force && !a->dry_run && !cmd_confirm(a, what, "what only it holds")) {
        cmd_close(&c);
        return CMD_REFUSED;
    }
    if (error == 0)
        error = kauri_cluster_leave(c.k, &l);
    if (error == 0)
        cmd_cluster_leave_done(a, &l);
    else
        r = cmd_cluster_leave_failed(a, &c, error, &l);
    cmd_close(&c);
    return r;
}

int cmd_cluster_leave(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_CLUSTER_LEAVE_ID, "broker-id", "N",
         "not the broker at -s but this one; it may be gone"},
        {CMD_CLUSTER_LEAVE_FORCE, "force", NULL,
         "also where too few in-sync replicas stay: what only it holds is lost"},
    };
    static const struct args_page page = {
        .command = "cluster leave",
        .usage = "[--broker-id N] [--force] [-y]",
        .about =
            "Takes a broker out of the cluster for good: it loses its replicas, and nobody waits\n"
            "for it any more. Refused with exit code 7 where fewer replicas in sync would stay\n"
            "than min.insync.replicas wants, and for the broker that leads: promote another\n"
            "first. A broker that left keeps its records and shows them, takes none and follows\n"
            "nobody; started again with --replica-of it comes back and catches up.",
        ARGS_ROWS(rows),
        .examples = "  kauri cluster leave -s tcp://db3:7092\n"
                    "  kauri cluster leave --broker-id 3             # its machine is gone\n"
                    "  kauri cluster leave --broker-id 3 --dry-run\n",
    };
    struct cmd_cluster_leave leave = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_cluster_leave_take, &leave, &first);
    if (r == 0 && first < argc)
        r = args_usage(&page, a,
                       "cluster leave takes no operands: the broker is the one at -s, or "
                       "--broker-id");
    if (r != 0)
        return cmd_args(r);
    return cmd_cluster_leave_run(a, &leave);
}
