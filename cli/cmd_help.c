/* SPDX-License-Identifier: MIT
 *
 * cmd_help: `kauri help`: the list of commands, the page of one, and a few topics of their own.
 */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/value.h"
#include "engine/broker/config.h"

static const char cmd_help_words[] =
    "A record is a key, a value, a time and perhaps headers; elsewhere it is called an event or a\n"
    "message. Records lie in topics, a topic is split into partitions, and within a partition "
    "every\n"
    "record has an offset: topic, partition and offset name it for ever. Records with one key go "
    "to\n"
    "one partition (murmur2, as in Java), records without key to all in turn.\n";

static const char cmd_help_offsets[] =
    "Where `kauri consume -o` begins:\n"
    "  start                the oldest record kept\n"
    "  end                  only what is new (the default)\n"
    "  N                    this offset, in every partition\n"
    "  -N                   the last N records of every partition\n"
    "  @TIME                the first record at or after TIME\n"
    "  @TIME..@TIME         from TIME to before TIME, then stop\n"
    "TIME is 2026-11-20, 2026-11-20T18:00, 2026-11-20T18:00:07.250Z, +02:00 for other zones, -1h "
    "for\n"
    "an hour ago, or a plain number of milliseconds since 1970.\n";

static const char cmd_help_groups[] =
    "Consumers of one group share topics: every partition is read by one member, and the group\n"
    "remembers how far it has read (its committed offsets). Groups know nothing of each other.\n"
    "  kauri consume orders -g billing      a member; start more to share the work, up to one a\n"
    "                                       partition. Ctrl-C leaves at once\n"
    "  kauri group describe billing         LAG: records not read. BEHIND: age of the first of "
    "them\n"
    "  kauri group lag                      the same of all groups, and when retention takes them\n"
    "STUCK: a partition has unread records and did not move for 30 s (--stuck-after) while "
    "another\n"
    "one of the group did: its next record probably keeps failing. NOT CONSUMED: none of the "
    "group\n"
    "moves. Ages go by the records' own times.\n"
    "  kauri group seek billing --to +1 --topic orders:1    past a bad record\n"
    "  kauri group rewind billing --as-of -1h               where it was an hour ago\n"
    "  kauri group rewind billing --undo                    takes the last of these back\n"
    "These want a group without members. Clients of Kafka's protocol share groups with those of\n"
    "kauri where they use its newer protocol (group.protocol=consumer); a group whose members "
    "speak\n"
    "the classic one is theirs until it is empty.\n";

static const char cmd_help_format[] =
    "Tokens of `kauri consume -f`, as in kcat:\n"
    "  %s value        %S its size, -1 for null    %R its size as 4 bytes, big endian\n"
    "  %k key          %K its size, -1 for null    %T time in ms\n"
    "  %t topic        %p partition                %o offset\n"
    "  %h headers      %% a percent sign           \\n \\t \\r \\0 \\\\ \\xNN bytes\n";

static const char cmd_help_json[] =
    "A record as JSON, from `kauri consume --json` and into `kauri produce --json`:\n"
    "  {\"topic\":\"t\",\"partition\":0,\"offset\":7,\"timestamp\":1705327800000,\n"
    "   \"key\":\"k\",\"value\":\"v\",\"headers\":[[\"h\",\"1\"]]}\n"
    "timestamp is in ms since 1970. A key or value that is not UTF-8 comes as key_base64 or\n"
    "value_base64, such a header with a third element true. Into produce: all members are "
    "optional, a\n"
    "missing value is null, headers may be an object, a value that is no string is taken as JSON\n"
    "text; topic and offset are passed over.\n"
    "Other commands print one object: snake_case names, bytes and offsets as numbers, durations\n"
    "ending in _ms. null where a figure is not known yet.\n";

static const char cmd_help_acks[] =
    "What `kauri produce --acks` waits for:\n"
    "  all   the record is on the disk here and on every in-sync replica (the default)\n"
    "  1     the record is on the disk here\n"
    "  0     nothing: a record may be lost without a word\n"
    "A topic with durability=os counts a record as written once it is in the page cache.\n";

static const char cmd_help_metrics[] =
    "What the broker shows at http://127.0.0.1:7094/ (--http HOST:PORT|off, setting http.listen):\n"
    "  /metrics   Prometheus' text format: kauri_... and, for public dashboards, the names and\n"
    "             labels of kafka_exporter (kafka_consumergroup_lag, ...)\n"
    "  /healthz   200 while the broker turns\n"
    "  /readyz    200 when it takes requests, else 503 and why not\n"
    "  /state     JSON: broker, connections, topics, groups; 500 topics and groups a page,\n"
    "             ?topics_after=NAME and ?groups_after=NAME go on\n"
    "kauri_group_lag_seconds is the time since the committed offset moved; kauri_group_stuck is 1\n"
    "when that is group.stuck.ms and its next record has been there for as long.\n"
    "Beyond metrics.partitions.max partitions have no rows of their own:\n"
    "kauri_metrics_partitions_left_out counts them.\n"
    "Nothing can be changed there and there are no passwords, so it listens on loopback only,\n"
    "unless --allow-insecure. Host must be localhost, a loopback address or the host of\n"
    "http.listen (any address in numbers when that is all addresses): no other web site can ask\n"
    "through a browser. When the default port is taken, the broker goes on without.\n";

static const char cmd_help_replicas[] =
    "Brokers on other hosts can hold the same logs. The first leads; each of the others needs a\n"
    "number and a data folder of its own, and the native address of any broker of the cluster:\n"
    "  db1$ kauri serve --broker-id 1 --native tcp://db1:7092 --config kauri.conf\n"
    "  db2$ kauri serve --broker-id 2 --native tcp://db2:7092 --config kauri.conf \\\n"
    "       --replica-of tcp://db1:7092\n"
    "with, in both files: allow.insecure = true, ship.secret.file = FILE (what the brokers "
    "share),\n"
    "and advertised.listeners where clients dial other addresses than the brokers listen on.\n"
    "Calls between brokers are sealed with the secret, not encrypted: a network of your own, or a\n"
    "tunnel (WireGuard, ssh).\n"
    "A topic made without a number of replicas gets up to three as brokers join. A record with "
    "acks\n"
    "all is on the disk of every replica that is in sync; min.insync.replicas says how many must "
    "be.\n"
    "  kauri cluster status                    who leads, how far the replicas are; -p: each "
    "partition\n"
    "  kauri cluster wait --caught-up          until all are in sync\n"
    "  kauri cluster promote -s tcp://db2:7092   db2 is to lead: db1 is gone, or goes soon\n"
    "  kauri cluster leave --broker-id 3       broker 3 is gone for good\n"
    "A smaller min.insync.replicas counts once enough replicas have heard of it; where these are "
    "gone\n"
    "for good, once they were told to leave with --force.\n"
    "Clients are given several addresses, -s tcp://db1:7092,tcp://db2:7092, and go on by "
    "themselves.\n"
    "The old leader is started as before and follows the new one. --replica-of is no role: a "
    "broker\n"
    "that was promoted leads again when it is started with it. A broker that left keeps its "
    "records\n"
    "and shows them, takes none and follows nobody; started with --replica-of it comes back.\n"
    "A broker that the others do not take in says why: in its log, at /readyz, in cluster "
    "status.\n";

static const char cmd_help_codes[] =
    "Exit codes:\n"
    "  0 done                      5 data found damaged\n"
    "  1 failed                    6 partly done\n"
    "  2 wrong usage or config     7 refused: would lose data\n"
    "  3 not found, or exists      8 not caught up in time\n"
    "  4 no server, timeout        9 serve: a write or sync failed\n"
    "  130, 143 ended by SIGINT, SIGTERM\n";

static const struct {
    const char *name;
    const char *about;
    const char *text; /* NULL: the table of settings */
} cmd_help_topics[] = {
    {"words", "record, topic, partition, offset", cmd_help_words},
    {"offsets", "where consume begins", cmd_help_offsets},
    {"groups", "sharing topics, lag, moving offsets", cmd_help_groups},
    {"format", "the tokens of consume -f", cmd_help_format},
    {"json", "records and answers as JSON", cmd_help_json},
    {"acks", "when a record counts as written", cmd_help_acks},
    {"replicas", "the same logs on other hosts", cmd_help_replicas},
    {"metrics", "Prometheus, health, state over HTTP", cmd_help_metrics},
    {"exit-codes", "what the codes mean", cmd_help_codes},
    {"settings", "every key of topics and of the broker", NULL},
};
#define CMD_HELP_TOPIC_COUNT (sizeof cmd_help_topics / sizeof cmd_help_topics[0])

static void cmd_help_settings(void)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || rows[i].topic != rows[i - 1].topic)
            (void)printf("%s%s keys\n", i == 0 ? "" : "\n", rows[i].topic ? "topic" : "broker");
        (void)printf("  %s = %s\n      %s\n", rows[i].name,
                     rows[i].preset != NULL ? rows[i].preset : "", rows[i].help);
    }
}

void cmd_help_list(void)
{
    (void)printf("kauri %s: a durable, replayable, partitioned log\n\ncommands\n",
                 KAURI_VERSION_TEXT);
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        (void)printf("  %-10s  %s\n", row->name, row->about);
    (void)printf("\nhelp topics\n");
    for (size_t i = 0; i < CMD_HELP_TOPIC_COUNT; i++)
        (void)printf("  %-10s  %s\n", cmd_help_topics[i].name, cmd_help_topics[i].about);
    (void)printf(
        "\nexamples\n"
        "  kauri serve\n"
        "  echo hello | kauri produce greetings\n"
        "  kauri consume greetings -o start -e\n"
        "\nOf one command: kauri help COMMAND, or kauri COMMAND -h. All of it: man kauri,\n"
        "or kauri help man | man -l -\n");
}

void cmd_help_topic_each(void (*fn)(void *ctx, const char *name, const char *about,
                                    const char *text),
                         void *ctx)
{
    for (size_t i = 0; i < CMD_HELP_TOPIC_COUNT; i++)
        if (cmd_help_topics[i].text != NULL)
            fn(ctx, cmd_help_topics[i].name, cmd_help_topics[i].about, cmd_help_topics[i].text);
}

static int cmd_help_unknown(const struct args *a, const char *name)
{
    const char *near = NULL;
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        if (value_near(name, row->name))
            near = row->name;
    for (size_t i = 0; i < CMD_HELP_TOPIC_COUNT; i++)
        if (value_near(name, cmd_help_topics[i].name))
            near = cmd_help_topics[i].name;
    out_error(&a->out, "no help on \"%s\"", name);
    if (near != NULL)
        out_hint(&a->out, "did you mean: kauri help %s", near);
    else
        out_hint(&a->out, "kauri help");
    return CMD_MISSING;
}

int cmd_help(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "help",
        .usage = "[COMMAND | TOPIC]",
        .about = "Lists the commands, or tells about one.",
        .examples = "  kauri help\n"
                    "  kauri help produce\n"
                    "  kauri help offsets\n",
    };
    int first = 0;
    int r = args_parse(&page, a, argc, argv, NULL, NULL, &first);
    if (r != 0)
        return cmd_args(r);
    if (first == argc) {
        cmd_help_list();
        return CMD_DONE;
    }
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        if (strcmp(row->name, argv[first]) == 0)
            return cmd_page(row, a);
    if (strcmp(argv[first], "man") == 0) {
        cmd_man(a);
        return CMD_DONE;
    }
    for (size_t i = 0; i < CMD_HELP_TOPIC_COUNT; i++) {
        if (strcmp(cmd_help_topics[i].name, argv[first]) != 0)
            continue;
        if (cmd_help_topics[i].text != NULL)
            (void)fputs(cmd_help_topics[i].text, stdout);
        else
            cmd_help_settings();
        return CMD_DONE;
    }
    return cmd_help_unknown(a, argv[first]);
}
