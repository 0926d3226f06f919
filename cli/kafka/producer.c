/* SPDX-License-Identifier: MIT
 *
 * producer: kafka-console-producer: each line of stdin is a record; \n and \r\n end one.
 *
 * As with Apache's tool: `>` is printed before each line where stdin and stdout are a terminal; a
 * record that could not be delivered is logged and the exit code stays 0, but for --sync, where it
 * ends the tool with 1, as a line that cannot be parsed does. The producer is idempotent unless
 * acks, retries or --producer-property say otherwise. On Ctrl-C what was read is still delivered.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/input.h"
#include "cli/kafka/cluster.h"
#include "cli/kafka/opts.h"
#include "cli/kafka/reader.h"
#include "cli/kafka/tool.h"
#include "cli/signals.h"
#include "engine/base/assert.h"

#define PRODUCER_READER   "kafka.tools.ConsoleProducer$LineMessageReader"
#define PRODUCER_CALLBACK "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback"
#define PRODUCER_POLL_MS  100
#define PRODUCER_DELIVERY "120000" /* delivery.timeout.ms of Java's producer */

enum producer_option {
    PRODUCER_BATCH_SIZE,
    PRODUCER_BOOTSTRAP,
    PRODUCER_BROKER_LIST,
    PRODUCER_CODEC,
    PRODUCER_HELP,
    PRODUCER_LINE_READER,
    PRODUCER_MAX_BLOCK,
    PRODUCER_MAX_MEMORY,
    PRODUCER_MAX_PARTITION,
    PRODUCER_RETRIES,
    PRODUCER_METADATA_EXPIRY,
    PRODUCER_PROPERTY,
    PRODUCER_CONFIG,
    PRODUCER_READER_PROPERTY,
    PRODUCER_READER_CONFIG,
    PRODUCER_READER_NEW,
    PRODUCER_ACKS,
    PRODUCER_REQUEST_TIMEOUT,
    PRODUCER_RETRY_BACKOFF,
    PRODUCER_SOCKET_BUFFER,
    PRODUCER_SYNC,
    PRODUCER_TIMEOUT,
    PRODUCER_TOPIC,
    PRODUCER_VERSION,
};
#define PRODUCER_OPTION_COUNT 24

static const struct opts_row producer_rows[PRODUCER_OPTION_COUNT] = {
    [PRODUCER_BATCH_SIZE] = {"batch-size", OPTS_NEEDS, .metavar = "Integer: bytes",
                             .help = "Largest batch of one partition (default: 16384)."},
    [PRODUCER_BOOTSTRAP] = {"bootstrap-server", OPTS_NEEDS, .metavar = "String: HOST:PORT,...",
                            .help = "REQUIRED unless --broker-list is given: brokers to connect "
                                    "to."},
    [PRODUCER_BROKER_LIST] = {"broker-list", OPTS_NEEDS, .metavar = "String: HOST:PORT,...",
                              .help = "DEPRECATED: use --bootstrap-server."},
    [PRODUCER_CODEC] = {"compression-codec", OPTS_MAY, .metavar = "String: codec",
                        .help = "none, gzip, snappy, lz4 or zstd; without a value gzip."},
    [PRODUCER_HELP] = {"help", .help = "Print this."},
    [PRODUCER_LINE_READER] = {"line-reader", OPTS_NEEDS, .metavar = "String: class",
                              .help = "How lines are read: only " PRODUCER_READER "."},
    [PRODUCER_MAX_BLOCK] = {"max-block-ms", OPTS_NEEDS, .metavar = "Long: ms",
                            .help = "Longest wait for room to send (default: 60000)."},
    [PRODUCER_MAX_MEMORY] = {"max-memory-bytes", OPTS_NEEDS, .metavar = "Long: bytes",
                             .help = "Memory for records not yet sent (default: 33554432)."},
    [PRODUCER_MAX_PARTITION] = {"max-partition-memory-bytes", OPTS_NEEDS,
                                .metavar = "Integer: bytes",
                                .help = "The same as --batch-size, which it overrides."},
    [PRODUCER_RETRIES] = {"message-send-max-retries", OPTS_NEEDS, .metavar = "Integer: count",
                          .help = "Retries before a record is given up (default: 3)."},
    [PRODUCER_METADATA_EXPIRY] = {"metadata-expiry-ms", OPTS_NEEDS, .metavar = "Long: ms",
                                  .help = "Metadata is asked for again after it (default: "
                                          "300000)."},
    [PRODUCER_PROPERTY] = {"producer-property", OPTS_NEEDS, true, "String: key=value",
                           "A setting of the producer; may come often."},
    [PRODUCER_CONFIG] = {"producer.config", OPTS_NEEDS, .metavar = "String: file",
                         .help = "Properties file with settings of the producer; "
                                 "--producer-property comes first."},
    [PRODUCER_READER_PROPERTY] = {"property", OPTS_NEEDS, true, "String: key=value",
                                  "A setting of the line reader; may come often: parse.key=false, "
                                  "key.separator=TAB, parse.headers=false, headers.delimiter=TAB, "
                                  "headers.separator=, headers.key.separator=: "
                                  "ignore.error=false, null.marker=."},
    [PRODUCER_READER_CONFIG] = {"reader-config", OPTS_NEEDS, .metavar = "String: file",
                                .help = "Properties file with settings of the line reader; "
                                        "--property comes first."},
    [PRODUCER_READER_NEW] = {"reader-property", OPTS_NEEDS, true, "String: key=value",
                             "The name of --property in later versions."},
    [PRODUCER_ACKS] = {"request-required-acks", OPTS_NEEDS, .metavar = "String: acks",
                       .help = "0, 1, or all (-1, the default)."},
    [PRODUCER_REQUEST_TIMEOUT] = {"request-timeout-ms", OPTS_NEEDS, .metavar = "Integer: ms",
                                  .help = "How long the broker may wait for acks (default: "
                                          "1500)."},
    [PRODUCER_RETRY_BACKOFF] = {"retry-backoff-ms", OPTS_NEEDS, .metavar = "Long: ms",
                                .help = "Pause before a retry (default: 100)."},
    [PRODUCER_SOCKET_BUFFER] = {"socket-buffer-size", OPTS_NEEDS, .metavar = "Integer: bytes",
                                .help = "Send buffer of the socket (default: 102400)."},
    [PRODUCER_SYNC] = {"sync", .help = "Wait for each record before the next is read."},
    [PRODUCER_TIMEOUT] = {"timeout", OPTS_NEEDS, .metavar = "Long: ms",
                          .help = "How long a record waits for others of its batch (default: "
                                  "1000)."},
    [PRODUCER_TOPIC] = {"topic", OPTS_NEEDS, .metavar = "String: topic",
                        .help = "REQUIRED: the topic."},
    [PRODUCER_VERSION] = {"version", .help = "Print the version."},
};

static const struct opts_page producer_page = {
    .about = "This tool helps to read data from standard input and publish it to Kafka.",
    .rows = producer_rows,
    .row_count = PRODUCER_OPTION_COUNT,
};

/* Options that are settings: their value when given, else what the properties say, else the preset.
 * Later rows win. */
static const struct {
    enum producer_option option;
    const char *key;
    const char *preset;
    bool text;
} producer_settings[] = {
    {PRODUCER_TIMEOUT, "linger.ms", "1000", false},
    {PRODUCER_ACKS, "acks", "-1", true},
    {PRODUCER_REQUEST_TIMEOUT, "request.timeout.ms", "1500", false},
    {PRODUCER_RETRIES, "retries", "3", false},
    {PRODUCER_RETRY_BACKOFF, "retry.backoff.ms", "100", false},
    {PRODUCER_SOCKET_BUFFER, "send.buffer.bytes", "102400", false},
    {PRODUCER_MAX_MEMORY, "buffer.memory", "33554432", false},
    {PRODUCER_BATCH_SIZE, "batch.size", "16384", false},
    {PRODUCER_MAX_PARTITION, "batch.size", "16384", false},
    {PRODUCER_METADATA_EXPIRY, "metadata.max.age.ms", "300000", false},
    {PRODUCER_MAX_BLOCK, "max.block.ms", "60000", false},
};

/* What a record is waited for with. */
struct producer_wait {
    bool done;
    rd_kafka_resp_err_t error;
};

struct producer {
    const char *topic; /* borrowed */
    bool sync;
    int64_t max_block_ms;
    struct cluster cluster;
    struct reader reader;
    struct input input;
    bool prompt;
    struct producer_wait wait; /* --sync: here, since its record may outlive the wait */
    int signals;               /* owned descriptor, or -1 */
    int signal;                /* that came */
};

/* ---- settings -------------------------------------------------------------------------------- */

static void producer_preset(struct props *p, const char *key, const char *value)
{
    if (props_get(p, key) == NULL)
        props_set(p, key, value);
}

/* Java's producer is idempotent unless a setting stands against it. */
static void producer_idempotence(struct props *p)
{
    const char *acks = props_get(p, "acks");
    const char *retries = props_get(p, "retries");
    const char *flight = props_get(p, "max.in.flight.requests.per.connection");
    bool all = strcmp(acks, "-1") == 0 || strcmp(acks, "all") == 0;
    bool few = flight == NULL || (strlen(flight) == 1 && flight[0] >= '1' && flight[0] <= '5');
    producer_preset(p, "enable.idempotence",
                    all && few && strcmp(retries, "0") != 0 ? "true" : "false");
}

static int producer_props(const struct opts *o, struct props *p, struct fault *f)
{
    const char *servers = opts_text(o, PRODUCER_BOOTSTRAP);
    const char *codec = opts_text(o, PRODUCER_CODEC);
    int rc = props_option_file(p, o, PRODUCER_CONFIG, f);
    if (rc != 0)
        return rc;
    props_options(p, o, PRODUCER_PROPERTY);
    props_set(p, "bootstrap.servers",
              servers != NULL ? servers : opts_text(o, PRODUCER_BROKER_LIST));
    if (codec == NULL)
        codec = opts_has(o, PRODUCER_CODEC) ? "gzip" : "none";
    props_set(p, "compression.type", codec);
    producer_preset(p, "client.id", "console-producer");
    if (opts_has(o, PRODUCER_SYNC)) /* nothing to linger for */
        producer_preset(p, "linger.ms", "0");
    for (size_t i = 0; i < sizeof producer_settings / sizeof producer_settings[0]; i++) {
        const char *text = opts_text(o, producer_settings[i].option);
        int64_t number = 0;
        if (!producer_settings[i].text)
            rc = opts_number(o, producer_settings[i].option, OPTS_LONG, &number, f);
        if (rc != 0)
            return rc;
        if (text != NULL)
            props_set(p, producer_settings[i].key, text);
        else
            producer_preset(p, producer_settings[i].key, producer_settings[i].preset);
    }
    producer_preset(p, "delivery.timeout.ms", PRODUCER_DELIVERY);
    producer_preset(p, "partitioner", "murmur2_random");
    producer_idempotence(p);
    return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static void producer_size(struct buf *out, const char *label, struct slice s)
{
    if (s.p == NULL)
        buf_printf(out, "%s: null", label);
    else
        buf_printf(out, "%s: %zu bytes", label, s.size);
}

static void producer_lost(const char *topic, struct slice key, struct slice value,
                          rd_kafka_resp_err_t error)
{
    struct buf text = {0};
    struct fault f;
    producer_size(&text, "key", key);
    producer_size(&text, ", value", value);
    tool_log("ERROR", PRODUCER_CALLBACK,
             "Error when sending message to topic %s with %.*s with error:", topic, (int)text.size,
             (const char *)text.p);
    buf_deinit(&text);
    (void)fault_of(&f, error, NULL);
    tool_thrown(&f);
}

/* Delivery of one record: noted for who waits, else logged when it failed. */
static void producer_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct producer_wait *wait = m->_private;
    (void)rk;
    (void)opaque;
    if (wait != NULL)
        *wait = (struct producer_wait){.done = true, .error = m->err};
    else if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        producer_lost(rd_kafka_topic_name(m->rkt), slice_of(m->key, m->key_len),
                      slice_of(m->payload, m->len), m->err);
}

/* librdkafka takes bytes as `void *`, and copies them. */
static void *producer_bytes(struct slice s)
{
    union {
        const void *in;
        void *out;
    } p = {s.p};
    return p.out;
}

/* Gives a record to librdkafka, which takes the headers when it takes the record. */
static rd_kafka_resp_err_t producer_give(struct producer *p, const struct reader_record *r,
                                         struct producer_wait *wait)
{
    rd_kafka_resp_err_t error;
    rd_kafka_t *rk = p->cluster.rk;
    void *key = producer_bytes(r->key);
    void *value = producer_bytes(r->value);
    if (r->headers != NULL)
        error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key, r->key.size), RD_KAFKA_V_VALUE(value, r->value.size),
            RD_KAFKA_V_OPAQUE(wait), RD_KAFKA_V_HEADERS(r->headers), RD_KAFKA_V_END);
    else
        error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key, r->key.size), RD_KAFKA_V_VALUE(value, r->value.size),
            RD_KAFKA_V_OPAQUE(wait), RD_KAFKA_V_END);
    return error;
}

/* The same, waiting for room for at most max.block.ms. */
static rd_kafka_resp_err_t producer_send(struct producer *p, const struct reader_record *r,
                                         struct producer_wait *wait)
{
    int64_t give_up = tool_now_ms() + p->max_block_ms;
    rd_kafka_resp_err_t error = producer_give(p, r, wait);
    while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && tool_now_ms() < give_up) {
        (void)rd_kafka_poll(p->cluster.rk, PRODUCER_POLL_MS);
        error = producer_give(p, r, wait);
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR && r->headers != NULL)
        rd_kafka_headers_destroy(r->headers);
    return error;
}

static int producer_record(struct producer *p, const struct reader_record *r, struct fault *f)
{
    p->wait = (struct producer_wait){0};
    rd_kafka_resp_err_t error = producer_send(p, r, p->sync ? &p->wait : NULL);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && p->sync) {
        while (!p->wait.done && p->signal == 0) {
            (void)rd_kafka_poll(p->cluster.rk, PRODUCER_POLL_MS);
            p->signal = signals_taken(p->signals);
        }
        error = p->wait.error;
    }
    (void)rd_kafka_poll(p->cluster.rk, 0);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    if (p->sync)
        return fault_set(f, "java.util.concurrent.ExecutionException", "%s: %s",
                         fault_exception(error), rd_kafka_err2str(error));
    producer_lost(p->topic, r->key, r->value, error);
    return 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Serves librdkafka until stdin has bytes; nonzero when a signal came. */
static int producer_idle(void *ctx, int fd)
{
    struct producer *p = ctx;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        (void)rd_kafka_poll(p->cluster.rk, 0);
        p->signal = signals_taken(p->signals);
        if (p->signal != 0)
            return 1;
        if (poll(&wait, 1, PRODUCER_POLL_MS) != 0)
            return 0;
    }
}

static void producer_prompt(const struct producer *p)
{
    if (!p->prompt)
        return;
    (void)fputc('>', stdout);
    (void)fflush(stdout);
}

static int producer_lines(struct producer *p, struct fault *f)
{
    while (p->signal == 0) {
        struct slice line;
        struct reader_record record;
        producer_prompt(p);
        int rc = input_next(&p->input, &line);
        if (rc == INPUT_END || rc == INPUT_STOPPED)
            return 0;
        if (rc == INPUT_TOO_LARGE)
            return fault_set(f, fault_exception(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE),
                             "line %" PRIu64 " has more than %zu bytes", p->reader.lines + 1,
                             INPUT_RECORD_MAX);
        if (rc != 0)
            return fault_set(f, "java.io.IOException", "%s", error_text(rc));
        if (line.size > 0 && line.p[line.size - 1] == '\r')
            line.size--;
        rc = reader_line(&p->reader, line, &record, f);
        if (rc == 0)
            rc = producer_record(p, &record, f);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Waits for what is on its way. Each record ends by delivery.timeout.ms at the latest; a (further)
 * signal ends the wait. */
static void producer_flush(struct producer *p)
{
    int signal = 0;
    while (signal == 0 &&
           rd_kafka_flush(p->cluster.rk, PRODUCER_POLL_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT)
        signal = signals_taken(p->signals);
    p->signal = signal != 0 ? signal : p->signal;
}

static int producer_work(struct producer *p, const struct props *settings,
                         const struct props *reading, struct fault *f)
{
    const char *block = props_get(settings, "max.block.ms");
    p->max_block_ms = strtoll(block, NULL, 10);
    p->signals = signals_open();
    int rc = cluster_open(&p->cluster, settings, CONF_PRODUCER, producer_delivered, f);
    if (rc == 0)
        rc = reader_init(&p->reader, reading, f);
    if (rc != 0)
        return rc;
    p->input = (struct input){
        .fd = STDIN_FILENO, .delim = slice_str("\n"), .wait = producer_idle, .ctx = p};
    p->prompt = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    rc = producer_lines(p, f);
    producer_flush(p);
    return rc;
}

static int producer_start(const struct opts *o)
{
    struct props settings = {0};
    struct props reading = {0};
    struct producer p = {
        .topic = opts_text(o, PRODUCER_TOPIC), .sync = opts_has(o, PRODUCER_SYNC), .signals = -1};
    struct fault f;
    const char *class = opts_text(o, PRODUCER_LINE_READER);
    int rc = producer_props(o, &settings, &f);
    if (rc == 0)
        rc = props_option_file(&reading, o, PRODUCER_READER_CONFIG, &f);
    props_options(&reading, o, PRODUCER_READER_PROPERTY);
    props_options(&reading, o, PRODUCER_READER_NEW);
    if (rc == 0 && class != NULL && strcmp(class, PRODUCER_READER) != 0)
        rc = fault_set(&f, "java.lang.ClassNotFoundException", "%s", class);
    if (rc == 0)
        rc = producer_work(&p, &settings, &reading, &f);
    if (rc != 0 && strncmp(f.exception, "joptsimple.", 11) == 0)
        (void)fprintf(stderr, "%s\n", f.text);
    else if (rc != 0)
        tool_thrown(&f);
    input_deinit(&p.input);
    cluster_close(&p.cluster);
    if (p.signals >= 0)
        (void)close(p.signals);
    props_deinit(&settings);
    props_deinit(&reading);
    if (p.signal != 0)
        return TOOL_SIGNAL + p.signal;
    return rc != 0 ? TOOL_FAILED : TOOL_DONE;
}

static int producer_check(const struct opts *o)
{
    const char *servers = opts_text(o, PRODUCER_BOOTSTRAP);
    if (opts_has(o, PRODUCER_HELP))
        return opts_usage(&producer_page, producer_page.about);
    if (opts_has(o, PRODUCER_VERSION))
        return opts_version();
    if (servers == NULL)
        servers = opts_text(o, PRODUCER_BROKER_LIST);
    if (servers == NULL)
        return opts_usage(&producer_page, "Missing required option(s) [bootstrap-server]");
    if (!opts_has(o, PRODUCER_TOPIC))
        return opts_usage(&producer_page, "Missing required argument \"[topic]\"");
    if (!conf_servers(servers))
        return opts_usage(&producer_page,
                          "Please provide valid host:port like host1:9091,host2:9092\n ");
    return producer_start(o);
}

int producer_run(int argc, char **argv)
{
    struct opts o;
    struct fault f;
    if (opts_parse(&producer_page, argc, argv, &o, &f) != 0)
        return opts_usage(&producer_page, f.text);
    int code = producer_check(&o);
    opts_deinit(&o);
    return code;
}
