/* SPDX-License-Identifier: MIT
 *
 * topics: see topics.h.
 */
#include "cli/kafka/topics.h"

#include <stdio.h>

#include "cli/kafka/tool.h"
#include "engine/base/assert.h"

#define TOPICS_LOGGER "org.apache.kafka.tools.TopicCommand"
#define TOPICS_CONFIGS                                                                             \
    " (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)"

static const struct opts_row topics_rows[TOPICS_OPTION_COUNT] = {
    [TOPICS_ALTER] = {"alter", .help = "Give a topic more partitions."},
    [TOPICS_AT_MIN_ISR] = {"at-min-isr-partitions",
                           .help = "With --describe: only partitions with just as many in-sync "
                                   "replicas as min.insync.replicas."},
    [TOPICS_BOOTSTRAP] = {"bootstrap-server", OPTS_NEEDS, .metavar = "String: HOST:PORT,...",
                          .help = "REQUIRED: brokers to connect to."},
    [TOPICS_COMMAND_CONFIG] = {"command-config", OPTS_NEEDS, .metavar = "String: file",
                               .help = "Properties file with settings of the admin client."},
    [TOPICS_CONFIG] = {"config", OPTS_NEEDS, true, "String: name=value",
                       "With --create: a setting of the topic; may come often."},
    [TOPICS_CREATE] = {"create", .help = "Create a topic."},
    [TOPICS_DELETE] = {"delete", .help = "Delete topics."},
    [TOPICS_DELETE_CONFIG] = {"delete-config", OPTS_NEEDS, true, "String: name",
                              "Not supported with --bootstrap-server."},
    [TOPICS_DESCRIBE] = {"describe", .help = "Show topics and their partitions."},
    [TOPICS_EXCLUDE_INTERNAL] = {"exclude-internal",
                                 .help = "With --list and --describe: not Kafka's own topics."},
    [TOPICS_HELP] = {"help", .help = "Print this."},
    [TOPICS_IF_EXISTS] = {"if-exists", .help = "With --alter, --delete and --describe: a topic "
                                               "that does not exist is no error."},
    [TOPICS_IF_NOT_EXISTS] = {"if-not-exists",
                              .help = "With --create: a topic that exists is no error."},
    [TOPICS_LIST] = {"list", .help = "List topics."},
    [TOPICS_PARTITION_LIMIT] = {"partition-size-limit-per-response", OPTS_NEEDS,
                                .metavar = "Integer: count",
                                .help = "Taken and passed over: one answer holds all."},
    [TOPICS_PARTITIONS] = {"partitions", OPTS_NEEDS, .metavar = "Integer: count",
                           .help = "How many, with --create and --alter. More of them move keys to "
                                   "other partitions. Not given to --create: the broker's "
                                   "default."},
    [TOPICS_ASSIGNMENT] = {"replica-assignment", OPTS_NEEDS, .metavar = "String: 1:2,2:1,...",
                           .help = "The brokers of each partition, the leader first."},
    [TOPICS_REPLICATION] = {"replication-factor", OPTS_NEEDS, .metavar = "Integer: count",
                            .help = "With --create: copies of each partition. Not given: the "
                                    "broker's default."},
    [TOPICS_TOPIC] = {"topic", OPTS_NEEDS, .metavar = "String: topic",
                      .help = "The topic; a regular expression, or several with commas, but with "
                              "--create."},
    [TOPICS_TOPIC_ID] = {"topic-id", OPTS_NEEDS, .metavar = "String: id",
                         .help = "With --describe: the topic by its id. Not supported here."},
    [TOPICS_OVERRIDES] = {"topics-with-overrides",
                          .help = "With --describe: only topics with settings of their own."},
    [TOPICS_UNAVAILABLE] = {"unavailable-partitions",
                            .help = "With --describe: only partitions without a leader."},
    [TOPICS_UNDER_MIN_ISR] = {"under-min-isr-partitions",
                              .help =
                                  "With --describe: only partitions with fewer in-sync replicas "
                                  "than min.insync.replicas."},
    [TOPICS_UNDER_REPLICATED] = {"under-replicated-partitions",
                                 .help = "With --describe: only partitions with replicas that are "
                                         "not in sync."},
    [TOPICS_VERSION] = {"version", .help = "Print the version."},
};

static const struct opts_page topics_options = {
    .about = "This tool helps to create, delete, describe, or change a topic.",
    .rows = topics_rows,
    .row_count = TOPICS_OPTION_COUNT,
};

const struct opts_page *topics_page(void)
{
    return &topics_options;
}

#define TOPICS_BIT(option) (1U << (option))
#define TOPICS_ACTIONS                                                                             \
    (TOPICS_BIT(TOPICS_ALTER) | TOPICS_BIT(TOPICS_CREATE) | TOPICS_BIT(TOPICS_DESCRIBE) |          \
     TOPICS_BIT(TOPICS_LIST) | TOPICS_BIT(TOPICS_DELETE))
#define TOPICS_REPORTS                                                                             \
    (TOPICS_BIT(TOPICS_UNDER_REPLICATED) | TOPICS_BIT(TOPICS_UNDER_MIN_ISR) |                      \
     TOPICS_BIT(TOPICS_AT_MIN_ISR) | TOPICS_BIT(TOPICS_UNAVAILABLE))
_Static_assert(TOPICS_OPTION_COUNT <= 32, "an option is a bit of 32");

/* Which options an option cannot stand beside: all actions but `with`, and `without`. */
static const struct {
    enum topics_option option;
    uint32_t with;
    uint32_t without;
} topics_rule_rows[] = {
    {TOPICS_CONFIG, TOPICS_BIT(TOPICS_ALTER) | TOPICS_BIT(TOPICS_CREATE), 0},
    {TOPICS_DELETE_CONFIG, TOPICS_BIT(TOPICS_ALTER), TOPICS_BIT(TOPICS_BOOTSTRAP)},
    {TOPICS_PARTITIONS, TOPICS_BIT(TOPICS_ALTER) | TOPICS_BIT(TOPICS_CREATE), 0},
    {TOPICS_REPLICATION, TOPICS_BIT(TOPICS_CREATE), 0},
    {TOPICS_ASSIGNMENT, TOPICS_BIT(TOPICS_ALTER) | TOPICS_BIT(TOPICS_CREATE), 0},
    {TOPICS_UNDER_REPLICATED, TOPICS_BIT(TOPICS_DESCRIBE), TOPICS_BIT(TOPICS_OVERRIDES)},
    {TOPICS_UNDER_MIN_ISR, TOPICS_BIT(TOPICS_DESCRIBE), TOPICS_BIT(TOPICS_OVERRIDES)},
    {TOPICS_AT_MIN_ISR, TOPICS_BIT(TOPICS_DESCRIBE), TOPICS_BIT(TOPICS_OVERRIDES)},
    {TOPICS_UNAVAILABLE, TOPICS_BIT(TOPICS_DESCRIBE), TOPICS_BIT(TOPICS_OVERRIDES)},
    {TOPICS_OVERRIDES, TOPICS_BIT(TOPICS_DESCRIBE), TOPICS_REPORTS},
    {TOPICS_IF_EXISTS,
     TOPICS_BIT(TOPICS_ALTER) | TOPICS_BIT(TOPICS_DELETE) | TOPICS_BIT(TOPICS_DESCRIBE), 0},
    {TOPICS_IF_NOT_EXISTS, TOPICS_BIT(TOPICS_CREATE), 0},
    {TOPICS_EXCLUDE_INTERNAL, TOPICS_BIT(TOPICS_LIST) | TOPICS_BIT(TOPICS_DESCRIBE), 0},
};

static uint32_t topics_given(const struct opts *o)
{
    uint32_t given = 0;
    for (size_t i = 0; i < o->count; i++)
        given |= TOPICS_BIT(o->values[i].row);
    return given;
}

static void topics_clash(uint32_t given, enum topics_option option, uint32_t others,
                         struct buf *out)
{
    for (size_t i = 0; i < TOPICS_OPTION_COUNT && out->size == 0; i++)
        if ((given & TOPICS_BIT(option)) != 0 && (given & others & TOPICS_BIT(i)) != 0)
            buf_printf(out, "Option \"[%s]\" can't be used with option \"[%s]\"",
                       topics_rows[option].name, topics_rows[i].name);
}

/* What must be there. */
static void topics_needs(uint32_t given, struct buf *out)
{
    uint32_t seen = TOPICS_BIT(TOPICS_LIST) | TOPICS_BIT(TOPICS_DESCRIBE);
    if (__builtin_popcount(given & TOPICS_ACTIONS) != 1)
        buf_printf(out, "Command must include exactly one action: --list, --describe, --create, "
                        "--alter or --delete");
    else if ((given & TOPICS_BIT(TOPICS_BOOTSTRAP)) == 0)
        buf_printf(out, "--bootstrap-server must be specified");
    else if ((given & TOPICS_BIT(TOPICS_DESCRIBE)) != 0 &&
             (given & TOPICS_BIT(TOPICS_IF_EXISTS)) != 0 &&
             (given & (TOPICS_BIT(TOPICS_TOPIC) | TOPICS_BIT(TOPICS_TOPIC_ID))) == 0)
        buf_printf(out, "--topic or --topic-id is required to describe a topic");
    else if ((given & seen) == 0 && (given & TOPICS_BIT(TOPICS_TOPIC)) == 0)
        buf_printf(out, "Missing required argument \"[topic]\"");
    else if ((given & TOPICS_BIT(TOPICS_ALTER)) != 0 && (given & TOPICS_BIT(TOPICS_CONFIG)) != 0)
        buf_printf(
            out, "Option combination \"[[bootstrap-server], [config]]\" can't be used with option "
                 "\"[alter]\"" TOPICS_CONFIGS);
    else if ((given & TOPICS_BIT(TOPICS_ALTER)) != 0 &&
             (given & TOPICS_BIT(TOPICS_PARTITIONS)) == 0)
        buf_printf(out, "Missing required argument \"[partitions]\"");
}

void topics_rules(const struct opts *o, struct buf *out)
{
    uint32_t given = topics_given(o);
    topics_needs(given, out);
    for (size_t i = 0; i < sizeof topics_rule_rows / sizeof topics_rule_rows[0]; i++) {
        uint32_t others =
            (TOPICS_ACTIONS & ~topics_rule_rows[i].with) | topics_rule_rows[i].without;
        topics_clash(given, topics_rule_rows[i].option, others, out);
    }
    if ((given & TOPICS_BIT(TOPICS_CREATE)) != 0)
        topics_clash(given, TOPICS_ASSIGNMENT,
                     TOPICS_BIT(TOPICS_PARTITIONS) | TOPICS_BIT(TOPICS_REPLICATION), out);
}

/* "name=value" with blanks around both; false when it is not of that form. */
static bool topics_config(struct props *configs, const char *word)
{
    struct buf name = {0};
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals[1 + strspn(equals + 1, " \t")] == '\0' ||
        strchr(equals + 1, '=') != NULL)
        return false;
    const char *begin = word + strspn(word, " \t");
    size_t size = (size_t)(equals - begin);
    while (size > 0 && (begin[size - 1] == ' ' || begin[size - 1] == '\t'))
        size--;
    buf_printf(&name, "%.*s", (int)size, begin);
    buf_append_u8(&name, 0);
    struct buf value = {0};
    const char *rest = equals + 1 + strspn(equals + 1, " \t");
    size = strlen(rest);
    while (size > 0 && (rest[size - 1] == ' ' || rest[size - 1] == '\t'))
        size--;
    buf_append(&value, rest, size);
    buf_append_u8(&value, 0);
    props_set(configs, (const char *)name.p, (const char *)value.p);
    buf_deinit(&name);
    buf_deinit(&value);
    return true;
}

static int topics_plan_read(const struct opts *o, struct topics_plan *p, struct fault *f)
{
    size_t at = 0;
    const char *assignment = opts_text(o, TOPICS_ASSIGNMENT);
    int rc = opts_number(o, TOPICS_PARTITIONS, OPTS_INT, &p->partitions, f);
    if (rc == 0)
        rc = opts_number(o, TOPICS_REPLICATION, OPTS_INT, &p->replication, f);
    if (rc == 0 && assignment != NULL && assignment[0] != '\0')
        rc = assignment_parse(assignment, &p->assignment, f);
    if (rc != 0)
        return rc;
    for (const char *word = opts_next(o, TOPICS_CONFIG, &at); word != NULL;
         word = opts_next(o, TOPICS_CONFIG, &at))
        if (!topics_config(&p->configs, word))
            return fault_set(f, FAULT_ARGUMENT,
                             "requirement failed: Invalid topic config: all configs to be added "
                             "must be in the format \"key=val\".");
    return 0;
}

int topics_plan(const struct opts *o, struct topics_plan *out, struct fault *f)
{
    *out = (struct topics_plan){
        .topic = opts_text(o, TOPICS_TOPIC), .partitions = -1, .replication = -1};
    int rc = topics_plan_read(o, out, f);
    if (rc == 0 && opts_has(o, TOPICS_CREATE) && opts_has(o, TOPICS_REPLICATION) &&
        (out->replication < 1 || out->replication > INT16_MAX))
        rc = fault_set(f, FAULT_ARGUMENT,
                       "The replication factor must be between 1 and 32767 inclusive");
    if (rc == 0 && opts_has(o, TOPICS_CREATE) && opts_has(o, TOPICS_PARTITIONS) &&
        out->partitions < 1)
        rc = fault_set(f, FAULT_ARGUMENT, "The partitions must be greater than 0");
    if (rc != 0)
        topics_plan_deinit(out);
    return rc;
}

void topics_plan_deinit(struct topics_plan *p)
{
    assignment_deinit(&p->assignment);
    props_deinit(&p->configs);
}

/* Ends with what Apache's tool prints of a failure while it did something. */
static int topics_failed(const struct fault *f)
{
    (void)printf("Error while executing topic command : %s\n", f->text);
    tool_log("ERROR", TOPICS_LOGGER, "%s: %s\n", f->exception, f->text);
    return TOOL_FAILED;
}

/* And of one before it began. */
static int topics_refused(const struct fault *f)
{
    (void)fprintf(stderr, "%s\n", f->text);
    tool_thrown(f);
    return TOOL_FAILED;
}

static int topics_act(const struct opts *o, struct cluster *c, struct fault *f)
{
    if (opts_has(o, TOPICS_CREATE))
        return topics_create(o, c, f);
    if (opts_has(o, TOPICS_ALTER))
        return topics_alter(o, c, f);
    if (opts_has(o, TOPICS_LIST))
        return topics_list(o, c, f);
    if (opts_has(o, TOPICS_DESCRIBE))
        return topics_describe(o, c, f);
    ASSERT(opts_has(o, TOPICS_DELETE));
    return topics_delete(o, c, f);
}

static int topics_connect(const struct opts *o)
{
    struct cluster c = {0};
    struct props props = {0};
    struct fault f;
    const char *file = opts_text(o, TOPICS_COMMAND_CONFIG);
    int rc = file != NULL ? props_load(&props, file, &f) : 0;
    if (rc == 0) {
        props_set(&props, "bootstrap.servers", opts_text(o, TOPICS_BOOTSTRAP));
        if (props_get(&props, "client.id") == NULL)
            props_set(&props, "client.id", "adminclient-1");
        rc = cluster_open(&c, &props, CONF_ADMIN, NULL, &f);
    }
    props_deinit(&props);
    if (rc != 0)
        return topics_refused(&f);
    rc = topics_act(o, &c, &f);
    int code = rc != 0 ? topics_failed(&f) : TOOL_DONE;
    cluster_close(&c);
    return code;
}

static int topics_start(const struct opts *o, int argc)
{
    struct buf broken = {0};
    struct fault f;
    if (argc == 1)
        return opts_usage(&topics_options, "Create, delete, describe, or change a topic.");
    if (opts_has(o, TOPICS_HELP))
        return opts_usage(&topics_options, topics_options.about);
    if (opts_has(o, TOPICS_VERSION))
        return opts_version();
    topics_rules(o, &broken);
    if (broken.size == 0)
        return topics_connect(o);
    buf_append_u8(&broken, 0);
    (void)fault_set(&f, FAULT_ARGUMENT, "%s", (const char *)broken.p);
    buf_deinit(&broken);
    /* Apache's tool prints its options but for this one rule. */
    bool refused = strncmp(f.text, "--bootstrap-server", 18) == 0;
    return refused ? topics_refused(&f) : opts_usage(&topics_options, f.text);
}

int topics_run(int argc, char **argv)
{
    struct opts o;
    struct fault f;
    if (opts_parse(&topics_options, argc, argv, &o, &f) != 0)
        return topics_refused(&f);
    int code = topics_start(&o, argc);
    opts_deinit(&o);
    return code;
}
