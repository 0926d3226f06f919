/* SPDX-License-Identifier: MIT
 *
 * cmd_cluster: `kauri cluster`: who belongs to it, asking a broker to lead, waiting until all
 * replicas are in sync; cmd_cluster_leave.c: leaving it.
 *
 * How far replicas are, only the leader knows: whichever broker is asked, its leader is asked too,
 * and where that does not answer the view is of the first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd_cluster_priv.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define CMD_CLUSTER_LEADER_MS  1500u /* for the leader's word, where another was asked */
#define CMD_CLUSTER_PROMOTE_MS 60000u
#define CMD_CLUSTER_WAIT_MS    60000u
#define CMD_CLUSTER_STEP_US    100000
#define CMD_CLUSTER_PRESENT_MS 10000 /* who was not heard for so long is not there */

static void cmd_cluster_drop(struct cmd_cluster_view *v)
{
    kauri_result_free(v->told);
    *v = (struct cmd_cluster_view){0};
}

/* --- asking --------------------------------------------------------------------------------- */

/* The leader's view in place of the one at hand. */
static void cmd_cluster_ask_leader(struct cmd_cluster_view *v, bool partitions)
{
    const struct kauri_options o = {
        .server = v->told->native, .client_name = "kauri", .timeout_ms = CMD_CLUSTER_LEADER_MS};
    struct kauri *k = NULL;
    struct kauri_cluster *told = NULL;
    v->silent = true;
    if (kauri_open(&o, &k) != 0)
        return;
    if (kauri_cluster_status(k, partitions, &told) == 0) {
        v->silent = false;
        kauri_result_free(v->told);
        v->told = told;
    }
    k = kauri_close(k);
}

/* 0 or an error of the client library. */
static int cmd_cluster_ask(struct cmd_client *c, bool partitions, struct cmd_cluster_view *out)
{
    struct cmd_cluster_view v = {0};
    int error = kauri_cluster_status(c->k, partitions, &v.told);
    if (error != 0)
        return error;
    v.fenced = v.told->fenced;
    (void)snprintf(v.trouble, sizeof v.trouble, "%s", v.told->trouble);
    if (v.told->leader >= 0 && v.told->leader != v.told->id && v.told->native[0] != '\0')
        cmd_cluster_ask_leader(&v, partitions);
    *out = v;
    return 0;
}

/* --- status --------------------------------------------------------------------------------- */

static const char *cmd_cluster_status_take(void *ctx, int key, const char *value)
{
    ASSERT(key == 'p' && value == NULL);
    *(bool *)ctx = true;
    return NULL;
}

static void cmd_cluster_warn(const struct args *a, const struct cmd_cluster_view *v)
{
    if (v->trouble[0] != '\0')
        out_warning(&a->out, "%s", v->trouble);
    if (v->fenced > 0) {
        out_warning(&a->out,
                    "%u partitions of the broker that was asked part from the leader's "
                    "log below what was acknowledged, and are not followed",
                    v->fenced);
        out_hint(&a->out, "its log names them; if the leader is right, stop it and start it "
                          "with an empty data folder");
    }
    if (v->silent) {
        out_warning(&a->out, "broker %d leads, at %s, and does not answer", v->told->leader,
                    v->told->native);
        out_hint(&a->out, "if it is gone for good: kauri cluster promote -s ADDRESS of another");
    }
}

static int cmd_cluster_status(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {{'p', "partitions", NULL, "every partition"}};
    static const struct args_page page = {
        .command = "cluster status",
        .usage = "[-p]",
        .about =
            "The brokers of the cluster, who leads, and how far the replicas are.\n"
            "HEARD: its last call to the leader. IN SYNC: its replicas in sync, of all it has.\n"
            "LAG, BYTES: what they lack. BEHIND: since the last one of them had everything.\n"
            "With -p: the same of each follower, and for how long it is in sync, or out.",
        ARGS_ROWS(rows),
        .examples = "  kauri cluster status\n"
                    "  kauri cluster status -p -s tcp://127.0.0.1:7192\n"
                    "  kauri cluster status --json\n",
    };
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct cmd_cluster_view view = {0};
    bool partitions = false;
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_cluster_status_take, &partitions, &first);
    if (r == 0 && first < argc)
        r = args_usage(&page, a, "cluster status takes no operands");
    if (r != 0)
        return cmd_args(r);
    r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = cmd_cluster_ask(&c, partitions, &view);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, NULL);
    if (error == 0) {
        cmd_cluster_show(a, &view, partitions);
        cmd_cluster_warn(a, &view);
    }
    cmd_cluster_drop(&view);
    cmd_close(&c);
    return r;
}

/* --- promote -------------------------------------------------------------------------------- */

static const char *cmd_cluster_promote_take(void *ctx, int key, const char *value)
{
    ASSERT(key == ARGS_LONG && value == NULL);
    *(bool *)ctx = true;
    return NULL;
}

static int cmd_cluster_promote_failed(const struct args *a, struct cmd_client *c, int error,
                                      const struct kauri_cluster_promotion *p)
{
    const char *url = (const char *)c->url.p;
    if (error == KAURI_NOT_ENOUGH) {
        out_error(&a->out, "refused to promote %s: %s", url, p->message);
        out_hint(&a->out, "bring the others up and try again; or lose what only they hold: kauri "
                          "cluster promote --force");
        return CMD_REFUSED;
    }
    if (error == KAURI_REFUSED) {
        out_error(&a->out, "cannot promote %s: %s", url, p->message);
        out_hint(&a->out, "kauri cluster status, and try again");
        return CMD_FAILED;
    }
    if (error == KAURI_TIMED_OUT && p->message[0] == '\0') {
        out_error(&a->out, "%s has not said in time how the promotion ended", url);
        out_hint(&a->out, "it goes on: kauri cluster status; or wait longer: --timeout 10m");
        return CMD_NO_SERVER;
    }
    return cmd_fail(a, c, error, NULL);
}

static int cmd_cluster_promote_run(const struct args *a, bool force)
{
    struct kauri_options options = {.timeout_ms =
                                        a->timeout_ms > 0 ? a->timeout_ms : CMD_CLUSTER_PROMOTE_MS};
    struct cmd_client c = {0};
    struct kauri_cluster_promotion p;
    struct kauri_server server;
    int r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = kauri_server(c.k, &server);
    if (error == 0 && a->dry_run) {
        out_note(&a->out, "would ask broker %d to lead", server.node_id);
        cmd_close(&c);
        return CMD_DONE;
    }
    if (error == 0)
        error = kauri_cluster_promote(c.k, force, &p);
    else
        p.message[0] = '\0';
    if (error != 0)
        r = cmd_cluster_promote_failed(a, &c, error, &p);
    else if (a->json)
        out_json(json_pack("{s:i, s:I, s:I, s:s}", "leader", server.node_id, "term",
                           (json_int_t)p.term, "lost", (json_int_t)p.lost, "message", p.message));
    else
        out_note(&a->out, "%s", p.message[0] != '\0' ? p.message : "it leads");
    if (error == 0 && p.lost > 0)
        out_warning(&a->out, "%" PRId64 " records that were acknowledged are lost", p.lost);
    cmd_close(&c);
    return r;
}

static int cmd_cluster_promote(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {ARGS_LONG, "force", NULL, "also when too few others answer: what only they hold is lost"}};
    static const struct args_page page = {
        .command = "cluster promote",
        .usage = "[--force] [-y]",
        .about =
            "Asks the broker at -s to lead all partitions. Enough of the others must answer to\n"
            "be sure that nothing acknowledged is lost: it fetches what it lacks from them and\n"
            "takes over; the old leader, and the others, follow it. Refused with exit code 7\n"
            "when too few do. Asking the one that leads changes nothing.",
        ARGS_ROWS(rows),
        .examples = "  kauri cluster promote -s tcp://db2:7092\n"
                    "  kauri cluster promote -s tcp://db2:7092 --force -y\n",
    };
    bool force = false;
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_cluster_promote_take, &force, &first);
    if (r == 0 && first < argc)
        r = args_usage(&page, a, "cluster promote takes no operands: the broker is the one at -s");
    if (r != 0)
        return cmd_args(r);
    if (force && !a->dry_run &&
        !cmd_confirm(a, "promote by force", "what only the other brokers hold"))
        return CMD_REFUSED;
    return cmd_cluster_promote_run(a, force);
}

/* --- wait ----------------------------------------------------------------------------------- */

struct cmd_cluster_wait {
    bool caught_up;
    uint64_t brokers; /* at least so many, the leader included */
};

enum {
    CMD_CLUSTER_CAUGHT_UP = ARGS_LONG,
    CMD_CLUSTER_BROKERS,
};

static const char *cmd_cluster_wait_take(void *ctx, int key, const char *value)
{
    struct cmd_cluster_wait *w = ctx;
    if (key == CMD_CLUSTER_CAUGHT_UP) {
        w->caught_up = true;
        return NULL;
    }
    ASSERT(key == CMD_CLUSTER_BROKERS);
    return value_u64(value, 1000, &w->brokers) ? NULL : "a number";
}

static size_t cmd_cluster_registered(const struct kauri_cluster *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->broker_count; i++)
        count += !t->brokers[i].left && t->brokers[i].silent_ms >= 0 &&
                 t->brokers[i].silent_ms < CMD_CLUSTER_PRESENT_MS;
    return count;
}

/* Every replica is in sync, by the leader's own word. */
static bool cmd_cluster_in_sync(const struct cmd_cluster_view *v, uint64_t brokers)
{
    const struct kauri_cluster *t = v->told;
    return !v->silent && cmd_cluster_registered(t) >= brokers && t->leader >= 0 &&
           t->leader == t->id && t->leaderless == 0 && t->under_replicated == 0;
}

static int cmd_cluster_late(const struct args *a, const struct cmd_cluster_view *v,
                            uint64_t brokers)
{
    const struct kauri_cluster *t = v->told;
    if (t->leader < 0)
        out_error(&a->out, "not caught up in time: no broker leads, says broker %d (%s)", t->id,
                  t->role);
    else if (v->silent)
        out_error(&a->out, "not caught up in time: broker %d, which leads, does not answer",
                  t->leader);
    else if (cmd_cluster_registered(t) < brokers)
        out_error(&a->out, "not caught up in time: %zu of %" PRIu64 " brokers are there",
                  cmd_cluster_registered(t), brokers);
    else
        out_error(&a->out, "not caught up in time: %u of %u partitions are under-replicated",
                  t->under_replicated, t->partition_count);
    out_hint(&a->out, "kauri cluster status -p; or wait longer: --timeout 10m");
    return CMD_LATE;
}

static int cmd_cluster_wait_run(const struct args *a, struct cmd_client *c, uint64_t brokers)
{
    const struct clock *clock = clock_real();
    struct cmd_cluster_view view = {0};
    int64_t began = clock->mono_ms(clock);
    int64_t until = began + (a->timeout_ms > 0 ? a->timeout_ms : CMD_CLUSTER_WAIT_MS);
    int r = CMD_DONE;
    for (;;) {
        int error = cmd_cluster_ask(c, false, &view);
        bool over = clock->mono_ms(clock) >= until;
        if (error != 0 && over)
            return cmd_fail(a, c, error, NULL);
        if (error == 0 && cmd_cluster_in_sync(&view, brokers))
            break;
        if (error == 0 && over) {
            r = cmd_cluster_late(a, &view, brokers);
            break;
        }
        cmd_cluster_drop(&view);
        (void)usleep(CMD_CLUSTER_STEP_US);
    }
    if (r == CMD_DONE && a->json)
        cmd_cluster_show(a, &view, false);
    else if (r == CMD_DONE)
        out_note(&a->out, "%u partition%s, every replica in sync", view.told->partition_count,
                 view.told->partition_count == 1 ? "" : "s");
    cmd_cluster_drop(&view);
    return r;
}

static int cmd_cluster_wait(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_CLUSTER_CAUGHT_UP, "caught-up", NULL, "until every replica is in sync"},
        {CMD_CLUSTER_BROKERS, "brokers", "N",
         "and until so many brokers are there, the leader "
         "included"},
    };
    static const struct args_page page = {
        .command = "cluster wait",
        .usage = "--caught-up [--brokers N] [--timeout 60s]",
        .about = "Waits until every replica of every partition is in sync; exit code 8 when that\n"
                 "takes longer.",
        ARGS_ROWS(rows),
        .examples = "  kauri cluster wait --caught-up --brokers 3\n"
                    "  kauri cluster wait --caught-up --timeout 1h && kauri cluster promote -s "
                    "tcp://db2:7092\n",
    };
    struct kauri_options options = {.timeout_ms = CMD_CLUSTER_LEADER_MS};
    struct cmd_client c = {0};
    struct cmd_cluster_wait wait = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_cluster_wait_take, &wait, &first);
    if (r == 0 && first < argc)
        r = args_usage(&page, a, "cluster wait takes no operands");
    if (r == 0 && !wait.caught_up)
        r = args_usage(&page, a, "wait for what? --caught-up");
    if (r != 0)
        return cmd_args(r);
    r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    r = cmd_cluster_wait_run(a, &c, wait.brokers);
    cmd_close(&c);
    return r;
}

int cmd_cluster(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "cluster",
        .usage = "status | promote | leave | wait",
        .about = "  status [-p]           the brokers, who leads, how far the replicas are\n"
                 "  promote [--force]     the broker at -s is to lead\n"
                 "  leave [--broker-id N] a broker leaves for good\n"
                 "  wait --caught-up      until every replica is in sync",
        .examples = "  kauri cluster status\n"
                    "  kauri cluster wait --caught-up\n"
                    "  kauri cluster promote -s tcp://db2:7092\n",
        .stop = true,
    };
    static const struct cmd_row rows[] = {
        {"status", cmd_cluster_status, ""},
        {"promote", cmd_cluster_promote, ""},
        {"leave", cmd_cluster_leave, ""},
        {"wait", cmd_cluster_wait, ""},
        {NULL, NULL, NULL},
    };
    return cmd_dispatch(&page, rows, a, argc, argv);
}
