/* SPDX-License-Identifier: MIT
 *
 * groups: see groups.h.
 */
#include "cli/kafka/groups.h"

#include <stdio.h>

#include "cli/kafka/tool.h"
#include "engine/base/assert.h"

#define GROUPS_TIMEOUT_MS     5000
#define GROUPS_TIMEOUT_MS_MAX 3600000 /* librdkafka's bound for an admin call */

static const struct opts_row groups_rows[GROUPS_OPTION_COUNT] = {
    [GROUPS_ALL_GROUPS] = {"all-groups", .help = "All groups, instead of --group."},
    [GROUPS_ALL_TOPICS] = {"all-topics", .help = "With --reset-offsets: every partition that the "
                                                 "group has an offset of."},
    [GROUPS_BOOTSTRAP] = {"bootstrap-server", OPTS_NEEDS, .metavar = "String: HOST:PORT,...",
                          .help = "REQUIRED: brokers to connect to."},
    [GROUPS_BY_DURATION] = {"by-duration", OPTS_NEEDS, .metavar = "String: PnDTnHnMnS",
                            .help = "Reset to the first record of so long ago."},
    [GROUPS_COMMAND_CONFIG] = {"command-config", OPTS_NEEDS, .metavar = "String: file",
                               .help = "Properties file with settings of the admin client."},
    [GROUPS_DELETE] = {"delete", .help = "Delete groups that have no members, with their "
                                         "offsets."},
    [GROUPS_DELETE_OFFSETS] = {"delete-offsets",
                               .help = "Delete the offsets that a group has of --topic."},
    [GROUPS_DESCRIBE] = {"describe", .help = "Show --offsets (default), --members or --state of "
                                             "groups."},
    [GROUPS_DRY_RUN] = {"dry-run", .help = "With --reset-offsets: only show the new offsets "
                                           "(default)."},
    [GROUPS_EXECUTE] = {"execute", .help = "With --reset-offsets: do it."},
    [GROUPS_EXPORT] = {"export", .help = "With --reset-offsets: print the new offsets as CSV."},
    [GROUPS_FROM_FILE] = {"from-file", OPTS_NEEDS, .metavar = "String: file",
                          .help = "Reset to the offsets of a CSV file: topic,partition,offset, "
                                  "with the group before them for several groups."},
    [GROUPS_GROUP] = {"group", OPTS_NEEDS, true, "String: group", "The group; may come often."},
    [GROUPS_HELP] = {"help", .help = "Print this."},
    [GROUPS_LIST] = {"list", .help = "List the groups."},
    [GROUPS_MEMBERS] = {"members", .help = "With --describe: the members and how many partitions "
                                           "each has."},
    [GROUPS_OFFSETS] = {"offsets", .help = "With --describe: committed offset, end and lag of "
                                           "each partition."},
    [GROUPS_RESET] = {"reset-offsets", .help = "Move the offsets of groups without members. Which: "
                                               "--topic or --all-topics. Where to: one of --to-*, "
                                               "--shift-by, --by-duration, --from-file."},
    [GROUPS_SHIFT_BY] = {"shift-by", OPTS_NEEDS, .metavar = "Long: records",
                         .help = "Reset by so many records on, or back when negative."},
    [GROUPS_STATE] = {"state", OPTS_MAY, .metavar = "String: STATE,...",
                      .help = "With --describe: the state of groups. With --list: states too, or "
                              "only groups in one of these."},
    [GROUPS_TIMEOUT] = {"timeout", OPTS_NEEDS, .metavar = "Long: ms",
                        .help = "How long to wait for an answer (default 5000)."},
    [GROUPS_TO_CURRENT] = {"to-current", .help = "Reset to the committed offset; to the end where "
                                                 "there is none."},
    [GROUPS_TO_DATETIME] = {"to-datetime", OPTS_NEEDS, .metavar = "String: YYYY-MM-DDTHH:mm:SS.sss",
                            .help = "Reset to the first record at or after this time, in UTC or "
                                    "with a zone behind it."},
    [GROUPS_TO_EARLIEST] = {"to-earliest", .help = "Reset to the oldest record kept."},
    [GROUPS_TO_LATEST] = {"to-latest", .help = "Reset to the end."},
    [GROUPS_TO_OFFSET] = {"to-offset", OPTS_NEEDS, .metavar = "Long: offset",
                          .help = "Reset to this offset."},
    [GROUPS_TOPIC] = {"topic", OPTS_NEEDS, true, "String: topic",
                      "With --reset-offsets and --delete-offsets: a topic, or some of its "
                      "partitions as TOPIC:0,1; may come often."},
    [GROUPS_TYPE] = {"type", OPTS_MAY, .metavar = "String: TYPE,...",
                     .help = "With --list: types too, or only groups of these: classic, consumer."},
    [GROUPS_VERBOSE] = {"verbose", .help = "With --describe --members: the partitions of each."},
    [GROUPS_VERSION] = {"version", .help = "Print the version."},
};

static const struct opts_page groups_options = {
    .about = "This tool helps to list all consumer groups, describe a consumer group, delete "
             "consumer group info, or reset consumer group offsets.",
    .rows = groups_rows,
    .row_count = GROUPS_OPTION_COUNT,
};

const struct opts_page *groups_page(void)
{
    return &groups_options;
}

/* ---- rules ----------------------------------------------------------------------------------- */

#define GROUPS_BIT(option) (1U << (option))
#define GROUPS_ACTIONS                                                                             \
    (GROUPS_BIT(GROUPS_LIST) | GROUPS_BIT(GROUPS_DESCRIBE) | GROUPS_BIT(GROUPS_DELETE) |           \
     GROUPS_BIT(GROUPS_RESET) | GROUPS_BIT(GROUPS_DELETE_OFFSETS))
#define GROUPS_VIEWS                                                                               \
    (GROUPS_BIT(GROUPS_MEMBERS) | GROUPS_BIT(GROUPS_OFFSETS) | GROUPS_BIT(GROUPS_STATE))
#define GROUPS_TARGETS                                                                             \
    (GROUPS_BIT(GROUPS_TO_OFFSET) | GROUPS_BIT(GROUPS_TO_DATETIME) |                               \
     GROUPS_BIT(GROUPS_BY_DURATION) | GROUPS_BIT(GROUPS_TO_EARLIEST) |                             \
     GROUPS_BIT(GROUPS_TO_LATEST) | GROUPS_BIT(GROUPS_TO_CURRENT) | GROUPS_BIT(GROUPS_SHIFT_BY) |  \
     GROUPS_BIT(GROUPS_FROM_FILE))
#define GROUPS_SCOPES     (GROUPS_BIT(GROUPS_GROUP) | GROUPS_BIT(GROUPS_ALL_GROUPS))
#define GROUPS_SCOPE_TEXT "takes one of these options: [all-groups], [group]"
_Static_assert(GROUPS_OPTION_COUNT <= 32, "an option is a bit of 32");

static uint32_t groups_given(const struct opts *o)
{
    uint32_t given = 0;
    for (size_t i = 0; i < o->count; i++)
        given |= GROUPS_BIT(o->values[i].row);
    return given;
}

static bool groups_is(uint32_t given, enum groups_option option)
{
    return (given & GROUPS_BIT(option)) != 0;
}

static void groups_clash(uint32_t given, enum groups_option option, uint32_t others,
                         struct buf *out)
{
    others &= ~GROUPS_BIT(option);
    for (size_t i = 0; i < GROUPS_OPTION_COUNT && out->size == 0; i++)
        if (groups_is(given, option) && (given & others & GROUPS_BIT(i)) != 0)
            buf_printf(out, "Option \"[%s]\" can't be used with option \"[%s]\"",
                       groups_rows[option].name, groups_rows[i].name);
}

static void groups_rules_describe(const struct opts *o, uint32_t given, struct buf *out)
{
    if ((given & GROUPS_SCOPES) == 0)
        buf_printf(out, "Option [describe] takes one of these options: [reset-offsets], "
                        "[describe], [delete], [list]");
    else if (__builtin_popcount(given & GROUPS_VIEWS) > 1)
        buf_printf(out, "Option [describe] takes at most one of these options: [members], "
                        "[offsets], [state]");
    else if (opts_text(o, GROUPS_STATE) != NULL)
        buf_printf(out, "Option [describe] does not take a value for [state]");
}

static void groups_rules_change(uint32_t given, struct buf *out)
{
    if (groups_is(given, GROUPS_DELETE) && (given & GROUPS_SCOPES) == 0)
        buf_printf(out, "Option [delete] " GROUPS_SCOPE_TEXT);
    else if (groups_is(given, GROUPS_DELETE) && groups_is(given, GROUPS_TOPIC))
        buf_printf(out, "The consumer does not support topic-specific offset deletion from a "
                        "consumer group.");
    else if (groups_is(given, GROUPS_DELETE_OFFSETS) &&
             !(groups_is(given, GROUPS_GROUP) && groups_is(given, GROUPS_TOPIC)))
        buf_printf(out, "Option [delete-offsets] takes the following options: [all-groups], "
                        "[group]");
    else if (groups_is(given, GROUPS_RESET) && groups_is(given, GROUPS_DRY_RUN) &&
             groups_is(given, GROUPS_EXECUTE))
        buf_printf(out, "Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    else if (groups_is(given, GROUPS_RESET) && (given & GROUPS_SCOPES) == 0)
        buf_printf(out, "Option [reset-offsets] " GROUPS_SCOPE_TEXT);
}

void groups_rules(const struct opts *o, struct buf *out)
{
    uint32_t given = groups_given(o);
    if (!groups_is(given, GROUPS_BOOTSTRAP))
        buf_printf(out, "Missing required argument \"[bootstrap-server]\"");
    if (out->size == 0 && groups_is(given, GROUPS_DESCRIBE))
        groups_rules_describe(o, given, out);
    if (out->size == 0)
        groups_rules_change(given, out);
    for (size_t i = 0; i < GROUPS_OPTION_COUNT && groups_is(given, GROUPS_RESET); i++)
        if ((GROUPS_BIT(i) & GROUPS_TARGETS) != 0)
            groups_clash(given, (enum groups_option)i, GROUPS_TARGETS, out);
    groups_clash(given, GROUPS_GROUP, GROUPS_SCOPES | GROUPS_BIT(GROUPS_LIST), out);
    groups_clash(given, GROUPS_TOPIC, GROUPS_BIT(GROUPS_LIST) | GROUPS_BIT(GROUPS_DESCRIBE), out);
    if (out->size == 0 && __builtin_popcount(given & GROUPS_ACTIONS) != 1)
        buf_printf(out, "Command must include exactly one action: --list, --describe, --delete, "
                        "--reset-offsets, --delete-offsets");
}

int groups_available(const struct opts *o, struct fault *f)
{
    static const struct {
        enum groups_option option;
        uint32_t beside;
    } rows[] = {
        {GROUPS_MEMBERS, GROUPS_BIT(GROUPS_DESCRIBE)},
        {GROUPS_VERBOSE, GROUPS_BIT(GROUPS_DESCRIBE)},
        {GROUPS_OFFSETS, GROUPS_BIT(GROUPS_DESCRIBE)},
        {GROUPS_STATE, GROUPS_BIT(GROUPS_DESCRIBE) | GROUPS_BIT(GROUPS_LIST)},
        {GROUPS_TYPE, GROUPS_BIT(GROUPS_LIST)},
    };
    uint32_t given = groups_given(o);
    if (groups_is(given, GROUPS_HELP))
        return 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (groups_is(given, rows[i].option) && (given & rows[i].beside) == 0)
            return fault_set(f, "joptsimple.UnavailableOptionException",
                             "Option(s) [%s] are unavailable given other options on the command "
                             "line",
                             groups_rows[rows[i].option].name);
    return 0;
}

/* ---- the run --------------------------------------------------------------------------------- */

static int groups_act(const struct opts *o, struct cluster *c, struct fault *f)
{
    if (opts_has(o, GROUPS_LIST))
        return groups_list(o, c, f);
    if (opts_has(o, GROUPS_DESCRIBE))
        return groups_describe(o, c, f);
    if (opts_has(o, GROUPS_RESET))
        return groups_reset(o, c, f);
    if (opts_has(o, GROUPS_DELETE))
        return groups_delete(o, c, f);
    ASSERT(opts_has(o, GROUPS_DELETE_OFFSETS));
    return groups_delete_offsets(o, c, f);
}

/* Ends with what Apache's tool prints of a failure, and its exit code. The messages of exceptions
 * of the cluster carry their names; those of describing are wrapped once less. */
static int groups_failed(const struct opts *o, const struct fault *f)
{
    bool own = strncmp(f->exception, "joptsimple.", 11) == 0 ||
               strncmp(f->exception, "java.time.", 10) == 0;
    bool remote = strncmp(f->exception, "org.apache.kafka.", 17) == 0;
    if (strcmp(f->exception, FAULT_ARGUMENT) == 0)
        return opts_usage(&groups_options, f->text);
    (void)printf("\nError: Executing consumer group command failed due to %s%s%s%s\n",
                 remote && !opts_has(o, GROUPS_DESCRIBE) ? "java.util.concurrent.ExecutionException"
                                                           ": "
                                                         : "",
                 own ? "" : f->exception, own ? "" : ": ", f->text);
    tool_thrown(f);
    return TOOL_DONE;
}

static int groups_connect(const struct opts *o)
{
    struct cluster c = {0};
    struct props props = {0};
    struct fault f;
    int64_t timeout_ms = GROUPS_TIMEOUT_MS;
    int rc = props_option_file(&props, o, GROUPS_COMMAND_CONFIG, &f);
    if (rc == 0)
        rc = opts_number(o, GROUPS_TIMEOUT, OPTS_LONG, &timeout_ms, &f);
    if (rc == 0) {
        props_set(&props, "bootstrap.servers", opts_text(o, GROUPS_BOOTSTRAP));
        if (props_get(&props, "client.id") == NULL)
            props_set(&props, "client.id", "adminclient-1");
        rc = cluster_open(&c, &props, CONF_ADMIN, NULL, &f);
    }
    props_deinit(&props);
    if (rc == 0) {
        timeout_ms = timeout_ms < 1 ? 1 : timeout_ms;
        c.timeout_ms =
            (int)(timeout_ms < GROUPS_TIMEOUT_MS_MAX ? timeout_ms : GROUPS_TIMEOUT_MS_MAX);
        rc = groups_act(o, &c, &f);
    }
    int code = rc != 0 ? groups_failed(o, &f) : TOOL_DONE;
    cluster_close(&c);
    return code;
}

static int groups_start(const struct opts *o, int argc)
{
    struct buf broken = {0};
    struct fault f;
    if (argc == 1 || opts_has(o, GROUPS_HELP))
        return opts_usage(&groups_options, groups_options.about);
    if (opts_has(o, GROUPS_VERSION))
        return opts_version();
    if (opts_has(o, GROUPS_RESET) && !opts_has(o, GROUPS_DRY_RUN) && !opts_has(o, GROUPS_EXECUTE))
        (void)fprintf(stderr, "WARN: No action will be performed as the --execute option is "
                              "missing. Add --dry-run to say that this is meant.\n");
    groups_rules(o, &broken);
    if (broken.size == 0)
        return groups_connect(o);
    buf_append_u8(&broken, 0);
    (void)fault_set(&f, FAULT_ARGUMENT, "%s", (const char *)broken.p);
    buf_deinit(&broken);
    return opts_usage(&groups_options, f.text);
}

int groups_run(int argc, char **argv)
{
    struct opts o;
    struct fault f;
    int rc = opts_parse(&groups_options, argc, argv, &o, &f);
    if (rc == 0) {
        rc = groups_available(&o, &f);
        int code = rc == 0 ? groups_start(&o, argc) : TOOL_FAILED;
        opts_deinit(&o);
        if (rc == 0)
            return code;
    }
    (void)fprintf(stderr, "Exception in thread \"main\" ");
    tool_thrown(&f);
    return TOOL_FAILED;
}
