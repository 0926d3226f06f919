/* SPDX-License-Identifier: MIT
 *
 * cmd_version: `kauri version`: this program, and with -v or -s the broker it would talk to.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cmd.h"

static const struct args_page cmd_version_page = {
    .command = "version",
    .usage = "[--json] [-v]",
    .about = "Prints the version; with -v or -s that of the broker too.",
    .examples = "  kauri version\n"
                "  kauri version --json\n"
                "  kauri version -s tcp://127.0.0.1:7092\n",
};

static int cmd_version_server(const struct args *a, struct kauri_server *out)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    int r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = kauri_server(c.k, out);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, NULL);
    cmd_close(&c);
    return r;
}

static void cmd_version_json(const struct kauri_server *server)
{
    json_t *o = json_pack("{s:s}", "version", KAURI_VERSION_TEXT);
    if (server != NULL)
        (void)json_object_set_new(o, "server",
                                  json_pack("{s:s, s:s, s:i, s:I}", "software", server->software,
                                            "cluster_id", server->cluster_id, "node_id",
                                            server->node_id, "incarnation",
                                            (json_int_t)server->incarnation));
    out_json(o);
}

int cmd_version(struct args *a, int argc, char **argv)
{
    struct kauri_server server = {0};
    int first = 0;
    int r = args_parse(&cmd_version_page, a, argc, argv, NULL, NULL, &first);
    if (r != 0)
        return cmd_args(r);
    if (first < argc)
        return cmd_args(args_usage(&cmd_version_page, a, "version takes no operands"));
    bool ask = a->verbose || a->server != NULL;
    if (ask && (r = cmd_version_server(a, &server)) != 0)
        return r;
    if (a->json) {
        cmd_version_json(ask ? &server : NULL);
        return CMD_DONE;
    }
    (void)printf("kauri %s\n", KAURI_VERSION_TEXT);
    if (ask)
        (void)printf("server %s  cluster %s  node %d  start %" PRIu64 "\n", server.software,
                     server.cluster_id, server.node_id, server.incarnation);
    return CMD_DONE;
}
