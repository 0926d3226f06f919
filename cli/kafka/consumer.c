/* SPDX-License-Identifier: MIT
 *
 * consumer: kafka-console-consumer: prints records as they come, until --max-messages,
 * --timeout-ms without one, Ctrl-C, or a reader of stdout that went away; then says on stderr how
 * many there were.
 *
 * Without --group no group is joined, see source.h; a group.id of --consumer-property or
 * --consumer.config is a group too.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/kafka/formatter.h"
#include "cli/kafka/opts.h"
#include "cli/kafka/source.h"
#include "cli/kafka/tool.h"
#include "cli/signals.h"
#include "cli/value.h"

#define CONSUMER_LOGGER     "org.apache.kafka.tools.consumer.ConsoleConsumer"
#define CONSUMER_POLL_MS    100
#define CONSUMER_OUTPUT_MAX ((size_t)64 * 1024) /* held back while more records are at hand */

enum consumer_option {
    CONSUMER_BOOTSTRAP,
    CONSUMER_PROPERTY,
    CONSUMER_CONFIG,
    CONSUMER_SYSTEST,
    CONSUMER_FORMATTER,
    CONSUMER_FORMATTER_CONFIG,
    CONSUMER_FROM_BEGINNING,
    CONSUMER_GROUP,
    CONSUMER_HELP,
    CONSUMER_INCLUDE,
    CONSUMER_ISOLATION,
    CONSUMER_KEY_TYPE,
    CONSUMER_MAX_MESSAGES,
    CONSUMER_OFFSET,
    CONSUMER_PARTITION,
    CONSUMER_FORMATTER_PROPERTY,
    CONSUMER_SKIP,
    CONSUMER_TIMEOUT,
    CONSUMER_TOPIC,
    CONSUMER_VALUE_TYPE,
    CONSUMER_VERSION,
    CONSUMER_WHITELIST,
};
#define CONSUMER_OPTION_COUNT 22

static const struct opts_row consumer_rows[CONSUMER_OPTION_COUNT] = {
    [CONSUMER_BOOTSTRAP] = {"bootstrap-server", OPTS_NEEDS, .metavar = "String: HOST:PORT,...",
                            .help = "REQUIRED: brokers to connect to."},
    [CONSUMER_PROPERTY] = {"consumer-property", OPTS_NEEDS, true, "String: key=value",
                           "A setting of the consumer; may come often."},
    [CONSUMER_CONFIG] = {"consumer.config", OPTS_NEEDS, .metavar = "String: file",
                         .help = "Properties file with settings of the consumer; "
                                 "--consumer-property comes first."},
    [CONSUMER_SYSTEST] = {"enable-systest-events", .help = "Print shutdown_complete at the end."},
    [CONSUMER_FORMATTER] = {"formatter", OPTS_NEEDS, .metavar = "String: class",
                            .help = "DefaultMessageFormatter, LoggingMessageFormatter or "
                                    "NoOpMessageFormatter of org.apache.kafka.tools.consumer."},
    [CONSUMER_FORMATTER_CONFIG] = {"formatter-config", OPTS_NEEDS, .metavar = "String: file",
                                   .help = "Properties file with settings of the formatter; "
                                           "--property comes first."},
    [CONSUMER_FROM_BEGINNING] = {"from-beginning",
                                 .help = "Begin at the oldest record kept, where the group has "
                                         "not committed an offset."},
    [CONSUMER_GROUP] = {"group", OPTS_NEEDS, .metavar = "String: group",
                        .help = "The group to join. Without one all partitions are read."},
    [CONSUMER_HELP] = {"help", .help = "Print this."},
    [CONSUMER_INCLUDE] = {"include", OPTS_NEEDS, .metavar = "String: regular expression",
                          .help = "Topics to read."},
    [CONSUMER_ISOLATION] = {"isolation-level", OPTS_NEEDS, .metavar = "String",
                            .help = "read_committed: no records of open or aborted transactions; "
                                    "read_uncommitted: all (default)."},
    [CONSUMER_KEY_TYPE] = {"key-deserializer", OPTS_NEEDS, .metavar = "String: class",
                           .help = "The same as --property key.deserializer=CLASS."},
    [CONSUMER_MAX_MESSAGES] = {"max-messages", OPTS_NEEDS, .metavar = "Integer: count",
                               .help = "Stop after so many records."},
    [CONSUMER_OFFSET] = {"offset", OPTS_NEEDS, .metavar = "String: offset",
                         .help = "With --partition: begin there; a number, earliest or latest "
                                 "(default)."},
    [CONSUMER_PARTITION] = {"partition", OPTS_NEEDS, .metavar = "Integer: partition",
                            .help = "Read only this partition."},
    [CONSUMER_FORMATTER_PROPERTY] = {"property", OPTS_NEEDS, true, "String: key=value",
                                     "A setting of the formatter; may come often: "
                                     "print.timestamp, print.key, print.offset, print.partition, "
                                     "print.headers, print.value (true or false), key.separator, "
                                     "line.separator, headers.separator, null.literal, "
                                     "key.deserializer, value.deserializer, "
                                     "headers.deserializer."},
    [CONSUMER_SKIP] = {"skip-message-on-error",
                       .help = "Pass over a record that cannot be formatted, instead of stopping."},
    [CONSUMER_TIMEOUT] = {"timeout-ms", OPTS_NEEDS, .metavar = "Long: ms",
                          .help = "Stop when no record came for so long."},
    [CONSUMER_TOPIC] = {"topic", OPTS_NEEDS, .metavar = "String: topic", .help = "Topic to read."},
    [CONSUMER_VALUE_TYPE] = {"value-deserializer", OPTS_NEEDS, .metavar = "String: class",
                             .help = "The same as --property value.deserializer=CLASS."},
    [CONSUMER_VERSION] = {"version", .help = "Print the version."},
    [CONSUMER_WHITELIST] = {"whitelist", OPTS_NEEDS, .metavar = "String: regular expression",
                            .help = "DEPRECATED: use --include."},
};

static const struct opts_page consumer_page = {
    .about = "This tool helps to read data from Kafka topics and outputs it to standard output.",
    .rows = consumer_rows,
    .row_count = CONSUMER_OPTION_COUNT,
};

struct consumer {
    const struct opts *o; /* borrowed */
    struct props settings;
    struct props layout;
    struct formatter formatter;
    struct match match; /* of --include */
    struct source_plan plan;
    int64_t max; /* -1: no end */
    int64_t timeout_ms;
    int64_t count;
    struct buf text; /* to be printed */
    struct cluster cluster;
    struct source source;
    int signals; /* owned descriptor, or -1 */
    int signal;  /* that came */
};

/* ---- options --------------------------------------------------------------------------------- */

/* The topics by expression, or NULL. */
static const char *consumer_include(const struct opts *o)
{
    const char *include = opts_text(o, CONSUMER_INCLUDE);
    return include != NULL ? include : opts_text(o, CONSUMER_WHITELIST);
}

/* The first rule that the options break, or NULL. */
static const char *consumer_broken(const struct opts *o)
{
    bool topic = opts_has(o, CONSUMER_TOPIC);
    bool offset = opts_has(o, CONSUMER_OFFSET);
    bool partition = opts_has(o, CONSUMER_PARTITION);
    if (topic == (consumer_include(o) != NULL))
        return opts_has(o, CONSUMER_WHITELIST)
                   ? "Exactly one of --include/--topic is required. --whitelist is DEPRECATED use "
                     "--include instead; ignored if --include specified."
                   : "Exactly one of --include/--topic is required. ";
    if (partition && !topic)
        return "The topic is required when partition is specified.";
    if (partition && offset && opts_has(o, CONSUMER_FROM_BEGINNING))
        return "Options from-beginning and offset cannot be specified together.";
    if (!partition && offset)
        return "The partition is required when offset is specified.";
    if (!opts_has(o, CONSUMER_BOOTSTRAP))
        return "Missing required argument \"[bootstrap-server]\"";
    return NULL;
}

/* The group id, or NULL; a fault when two different ones are given. */
static int consumer_group(struct consumer *c, struct fault *f)
{
    const char *group = opts_text(c->o, CONSUMER_GROUP);
    const char *set = props_get(&c->settings, "group.id");
    if (group != NULL && set != NULL && strcmp(group, set) != 0)
        return fault_set(f, FAULT_ARGUMENT,
                         "The group ids provided in different places (directly using '--group', "
                         "via '--consumer-property', or via '--consumer.config') do not match. "
                         "Detected group ids: '%s', '%s'",
                         group, set);
    if (group != NULL)
        props_set(&c->settings, "group.id", group);
    c->plan.group = group != NULL || set != NULL;
    if (c->plan.group && opts_has(c->o, CONSUMER_PARTITION))
        return fault_set(f, FAULT_ARGUMENT,
                         "Options group and partition cannot be specified together.");
    return 0;
}

static void consumer_preset(struct props *p, const char *key, const char *value)
{
    if (props_get(p, key) == NULL)
        props_set(p, key, value);
}

static void consumer_settings(struct consumer *c)
{
    struct props *p = &c->settings;
    const char *isolation = opts_text(c->o, CONSUMER_ISOLATION);
    bool beginning = opts_has(c->o, CONSUMER_FROM_BEGINNING);
    props_set(p, "bootstrap.servers", opts_text(c->o, CONSUMER_BOOTSTRAP));
    consumer_preset(p, "auto.offset.reset", beginning ? "earliest" : "latest");
    consumer_preset(p, "client.id", "console-consumer");
    consumer_preset(p, "allow.auto.create.topics", "true");
    if (isolation != NULL)
        props_set(p, "isolation.level", isolation);
    consumer_preset(p, "isolation.level", "read_uncommitted");
    if (!c->plan.group)
        props_set(p, "enable.auto.commit", "false");
}

/* --offset, in any case; false when it is no offset. */
static bool consumer_offset(const struct opts *o, int64_t *out)
{
    const char *text = opts_text(o, CONSUMER_OFFSET);
    if (text == NULL) {
        *out =
            opts_has(o, CONSUMER_FROM_BEGINNING) ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
        return true;
    }
    if (strcasecmp(text, "earliest") == 0 || strcasecmp(text, "latest") == 0) {
        *out = tolower((unsigned char)text[0]) == 'e' ? RD_KAFKA_OFFSET_BEGINNING
                                                      : RD_KAFKA_OFFSET_END;
        return true;
    }
    return value_i64(text, out) && *out >= 0;
}

static int consumer_layout(struct consumer *c, struct fault *f)
{
    const char *key = opts_text(c->o, CONSUMER_KEY_TYPE);
    const char *value = opts_text(c->o, CONSUMER_VALUE_TYPE);
    const char *path = opts_text(c->o, CONSUMER_FORMATTER_CONFIG);
    if (path != NULL && props_load(&c->layout, path, f) != 0)
        return 1;
    if (key != NULL && key[0] != '\0')
        props_set(&c->layout, "key.deserializer", key);
    if (value != NULL && value[0] != '\0')
        props_set(&c->layout, "value.deserializer", value);
    props_options(&c->layout, c->o, CONSUMER_FORMATTER_PROPERTY);
    return formatter_init(&c->formatter, opts_text(c->o, CONSUMER_FORMATTER), &c->layout, f);
}

/* Reads what is wrong usage when it is wrong. */
static int consumer_plan(struct consumer *c, struct fault *f)
{
    int64_t offset = 0;
    int rc = props_option_file(&c->settings, c->o, CONSUMER_CONFIG, f);
    if (rc != 0)
        return rc;
    props_options(&c->settings, c->o, CONSUMER_PROPERTY);
    rc = consumer_group(c, f);
    if (rc != 0)
        return rc;
    if (!consumer_offset(c->o, &offset))
        return fault_set(f, FAULT_ARGUMENT,
                         "The provided offset value '%s' is incorrect. Valid values are "
                         "'earliest', 'latest', or a non-negative long.",
                         opts_text(c->o, CONSUMER_OFFSET));
    c->plan.topic = opts_text(c->o, CONSUMER_TOPIC);
    c->plan.offset = offset;
    return consumer_layout(c, f);
}

static int consumer_numbers(struct consumer *c, struct fault *f)
{
    int64_t partition = -1;
    const char *include = consumer_include(c->o);
    const char *reset = props_get(&c->settings, "auto.offset.reset");
    int rc = opts_number(c->o, CONSUMER_MAX_MESSAGES, OPTS_INT, &c->max, f);
    if (rc == 0)
        rc = opts_number(c->o, CONSUMER_TIMEOUT, OPTS_LONG, &c->timeout_ms, f);
    if (rc == 0)
        rc =
            opts_number(c->o, CONSUMER_PARTITION, (struct opts_range){0, INT32_MAX}, &partition, f);
    if (rc == 0 && include != NULL)
        rc = match_init(&c->match, include, MATCH_JAVA, f);
    if (rc != 0)
        return rc;
    c->plan.partition = (int32_t)partition;
    c->plan.match = include != NULL ? &c->match : NULL;
    /* A setting decides where Apache's random group would begin. */
    if (!opts_has(c->o, CONSUMER_PARTITION) && strcmp(reset, "earliest") == 0)
        c->plan.offset = RD_KAFKA_OFFSET_BEGINNING;
    if (c->timeout_ms < 0)
        c->timeout_ms = INT64_MAX;
    return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static void consumer_failed(const struct fault *f)
{
    tool_log("ERROR", CONSUMER_LOGGER, "Error processing message, terminating consumer process: ");
    tool_thrown(f);
}

/* Prints what is held back; false when nobody listens any more. */
static bool consumer_print(struct consumer *c)
{
    size_t size = c->text.size;
    bool good = size == 0 || (fwrite(c->text.p, 1, size, stdout) == size && fflush(stdout) == 0);
    buf_reset(&c->text);
    if (!good)
        (void)fprintf(stderr, "Unable to write to standard out, closing consumer.\n");
    return good;
}

static void consumer_record_of(const rd_kafka_message_t *m, struct formatter_record *out)
{
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    rd_kafka_headers_t *headers = NULL;
    int64_t timestamp_ms = rd_kafka_message_timestamp(m, &type);
    const char *clock = type == RD_KAFKA_TIMESTAMP_CREATE_TIME       ? "CreateTime"
                        : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "LogAppendTime"
                                                                     : NULL;
    (void)rd_kafka_message_headers(m, &headers);
    *out = (struct formatter_record){
        .clock = clock,
        .timestamp_ms = timestamp_ms,
        .partition = m->partition,
        .offset = m->offset,
        .key = slice_of(m->key, m->key_len),
        .value = slice_of(m->payload, m->len),
        .headers = headers,
    };
}

/* 0, or a fault that ends the tool. */
static int consumer_record(struct consumer *c, const rd_kafka_message_t *m, struct fault *f)
{
    struct formatter_record record;
    c->count++;
    consumer_record_of(m, &record);
    int rc = formatter_append(&c->formatter, &record, &c->text, f);
    if (rc == 0 || !opts_has(c->o, CONSUMER_SKIP))
        return rc;
    tool_log("ERROR", CONSUMER_LOGGER, "Error processing message, skipping this message: ");
    tool_thrown(f);
    return 0;
}

/* What librdkafka tells instead of a record: true when it ends the tool. */
static bool consumer_told(const rd_kafka_message_t *m)
{
    struct fault f;
    const char *text = rd_kafka_message_errstr(m);
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return false;
    if (m->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
        m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || m->err == RD_KAFKA_RESP_ERR__FATAL) {
        (void)fault_of(&f, m->err, text);
        consumer_failed(&f);
        return true;
    }
    tool_log("WARN", CONSUMER_LOGGER, "%s: %s", rd_kafka_err2name(m->err), text);
    return false;
}

/* The next record or error: at once when it is at hand; else what is held back goes out first. NULL
 * with *end when there will be none: a signal, the timeout, nobody listening, access denied. */
static rd_kafka_message_t *consumer_next(struct consumer *c, bool *end)
{
    int64_t begin_ms = tool_now_ms();
    struct fault f;
    rd_kafka_message_t *m = NULL;
    if (c->text.size < CONSUMER_OUTPUT_MAX)
        m = source_next(&c->source, 0);
    if (m != NULL)
        return m;
    *end = !consumer_print(c);
    while (!*end) {
        int64_t left_ms = c->timeout_ms - (tool_now_ms() - begin_ms);
        m = source_next(&c->source, left_ms < CONSUMER_POLL_MS ? (left_ms > 0 ? (int)left_ms : 0)
                                                               : CONSUMER_POLL_MS);
        if (m != NULL)
            return m;
        c->signal = signals_taken(c->signals);
        *end = c->signal != 0 || atomic_load(&c->cluster.denied) || left_ms <= 0;
        if (left_ms <= 0 && c->signal == 0) {
            (void)fault_set(&f, FAULT_TIMEOUT, "%s", "");
            consumer_failed(&f);
        }
    }
    return NULL;
}

/* 0, or a fault. */
static int consumer_read(struct consumer *c, struct fault *f)
{
    bool end = false;
    int rc = 0;
    while (!end && rc == 0 && (c->count < c->max || c->max == -1)) {
        rd_kafka_message_t *m = consumer_next(c, &end);
        if (m == NULL)
            continue;
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            end = consumer_told(m);
        else
            rc = consumer_record(c, m, f);
        rd_kafka_message_destroy(m);
        if (c->signal == 0 && c->count % 64 == 0)
            c->signal = signals_taken(c->signals);
        end = end || c->signal != 0;
    }
    (void)consumer_print(c);
    return rc;
}

static int consumer_work(struct consumer *c)
{
    struct fault f;
    c->signals = signals_open();
    int rc = cluster_open(&c->cluster, &c->settings, CONF_CONSUMER, NULL, &f);
    if (rc == 0) {
        rc = source_open(&c->source, &c->cluster, &c->plan, &f);
        if (rc == 0)
            rc = consumer_read(c, &f);
        source_close(&c->source);
        (void)fflush(stdout);
        (void)fprintf(stderr, "Processed a total of %" PRId64 " messages\n", c->count);
    }
    bool denied = c->cluster.rk != NULL && atomic_load(&c->cluster.denied);
    cluster_close(&c->cluster);
    if (denied)
        tool_log("ERROR", CONSUMER_LOGGER, "Authentication failed: terminating consumer process");
    if (rc != 0) {
        tool_log("ERROR", CONSUMER_LOGGER, "Unknown error when running consumer: ");
        tool_thrown(&f);
    }
    if (opts_has(c->o, CONSUMER_SYSTEST))
        (void)printf("shutdown_complete\n");
    if (c->signals >= 0)
        (void)close(c->signals);
    if (c->signal != 0)
        return TOOL_SIGNAL + c->signal;
    return rc != 0 || denied ? TOOL_FAILED : TOOL_DONE;
}

static int consumer_start(struct consumer *c)
{
    struct fault f;
    if (consumer_plan(c, &f) != 0) {
        if (strncmp(f.exception, "java.nio", 8) != 0)
            return opts_usage(&consumer_page, f.text);
        tool_thrown(&f);
        return TOOL_FAILED;
    }
    const char *reset = props_get(&c->settings, "auto.offset.reset");
    if (opts_has(c->o, CONSUMER_FROM_BEGINNING) && reset != NULL &&
        strcmp(reset, "earliest") != 0) {
        (void)fprintf(stderr,
                      "Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', "
                      "please remove one option\n",
                      reset);
        return TOOL_FAILED;
    }
    consumer_settings(c);
    if (consumer_numbers(c, &f) == 0)
        return consumer_work(c);
    tool_log("ERROR", CONSUMER_LOGGER, "Unknown error when running consumer: ");
    tool_thrown(&f);
    return TOOL_FAILED;
}

static int consumer_check(const struct opts *o, int argc)
{
    if (argc == 1 || opts_has(o, CONSUMER_HELP))
        return opts_usage(&consumer_page, consumer_page.about);
    if (opts_has(o, CONSUMER_VERSION))
        return opts_version();
    const char *broken = consumer_broken(o);
    if (broken != NULL)
        return opts_usage(&consumer_page, broken);
    struct consumer c = {.o = o, .max = -1, .timeout_ms = -1, .signals = -1};
    int code = consumer_start(&c);
    match_deinit(&c.match);
    props_deinit(&c.settings);
    props_deinit(&c.layout);
    buf_deinit(&c.text);
    return code;
}

int consumer_run(int argc, char **argv)
{
    struct opts o;
    struct fault f;
    if (opts_parse(&consumer_page, argc, argv, &o, &f) != 0)
        return opts_usage(&consumer_page, f.text);
    int code = consumer_check(&o, argc);
    opts_deinit(&o);
    return code;
}
