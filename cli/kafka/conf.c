/* SPDX-License-Identifier: MIT
 *
 * conf: see conf.h.
 */
#include "cli/kafka/conf.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/kafka/tool.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define CONF_LOGGER "kauri-kafka"

CLEANUP_DEFINE(conf_rd, rd_kafka_conf_t, rd_kafka_conf_destroy);

enum conf_how {
    CONF_COPY,   /* the value as it is */
    CONF_KIB,    /* bytes, wanted in KiB */
    CONF_BUFFER, /* -1 is the system's own, which is 0 there */
    CONF_MIN_1,  /* 0 is raised to 1 */
    CONF_NONE,   /* empty is "none" */
    CONF_RESET,  /* none is error */
    CONF_ASSIGN, /* class names of assignors */
    CONF_JAAS,   /* user and password of a login module */
    CONF_DROP,   /* means nothing outside Java, or is ours */
};

#define CONF_ANY (-1)

static const struct {
    const char *java;
    const char *rd;     /* NULL with CONF_DROP and CONF_JAAS */
    const char *values; /* what Java allows, as it lists them; NULL: not checked here */
    int kind;           /* of clients it holds for, or CONF_ANY */
    enum conf_how how;
} conf_rows[] = {
    {"acks", "acks", "all, -1, 0, 1", CONF_ANY, CONF_COPY},
    {"auto.offset.reset", "auto.offset.reset", "latest, earliest, none", CONF_ANY, CONF_RESET},
    {"batch.size", "batch.size", NULL, CONF_ANY, CONF_MIN_1},
    {"buffer.memory", "queue.buffering.max.kbytes", NULL, CONF_ANY, CONF_KIB},
    {"client.dns.lookup", NULL, NULL, CONF_ANY, CONF_DROP},
    {"compression.type", "compression.type", "none, gzip, snappy, lz4, zstd", CONF_ANY, CONF_COPY},
    {"default.api.timeout.ms", NULL, NULL, CONF_ANY, CONF_DROP},
    {"fetch.max.wait.ms", "fetch.wait.max.ms", NULL, CONF_ANY, CONF_COPY},
    {"interceptor.classes", NULL, NULL, CONF_ANY, CONF_DROP},
    {"isolation.level", "isolation.level", "read_committed, read_uncommitted", CONF_ANY, CONF_COPY},
    {"key.deserializer", NULL, NULL, CONF_ANY, CONF_DROP},
    {"key.serializer", NULL, NULL, CONF_ANY, CONF_DROP},
    {"max.block.ms", NULL, NULL, CONF_ANY, CONF_DROP},
    {"max.poll.records", NULL, NULL, CONF_ANY, CONF_DROP},
    {"max.request.size", "message.max.bytes", NULL, CONF_ANY, CONF_COPY},
    {"metadata.max.age.ms", "topic.metadata.refresh.interval.ms", NULL, CONF_ANY, CONF_COPY},
    {"metric.reporters", NULL, NULL, CONF_ANY, CONF_DROP},
    {"metrics.num.samples", NULL, NULL, CONF_ANY, CONF_DROP},
    {"metrics.recording.level", NULL, NULL, CONF_ANY, CONF_DROP},
    {"metrics.sample.window.ms", NULL, NULL, CONF_ANY, CONF_DROP},
    {"partition.assignment.strategy", "partition.assignment.strategy", NULL, CONF_ANY, CONF_ASSIGN},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes", NULL, CONF_ANY, CONF_BUFFER},
    {"request.timeout.ms", "request.timeout.ms", NULL, CONF_PRODUCER, CONF_MIN_1},
    {"request.timeout.ms", "socket.timeout.ms", NULL, CONF_ANY, CONF_COPY},
    {"retry.backoff.ms", "retry.backoff.ms", NULL, CONF_ANY, CONF_MIN_1},
    {"sasl.jaas.config", NULL, NULL, CONF_ANY, CONF_JAAS},
    {"send.buffer.bytes", "socket.send.buffer.bytes", NULL, CONF_ANY, CONF_BUFFER},
    {"ssl.endpoint.identification.algorithm", "ssl.endpoint.identification.algorithm", NULL,
     CONF_ANY, CONF_NONE},
    {"ssl.truststore.location", "ssl.ca.location", NULL, CONF_ANY, CONF_COPY},
    {"ssl.truststore.type", NULL, "PEM", CONF_ANY, CONF_DROP},
    {"value.deserializer", NULL, NULL, CONF_ANY, CONF_DROP},
    {"value.serializer", NULL, NULL, CONF_ANY, CONF_DROP},
};
#define CONF_ROW_COUNT (sizeof conf_rows / sizeof conf_rows[0])

static int conf_invalid(struct fault *f, const struct props_pair *p, const char *why)
{
    return fault_set(f, FAULT_CONFIG, "Invalid value %s for configuration %s: %s", p->value, p->key,
                     why);
}

static int conf_set(rd_kafka_conf_t *conf, const struct props_pair *p, const char *name,
                    const char *value, struct fault *f)
{
    char why[512];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (result == RD_KAFKA_CONF_INVALID)
        return conf_invalid(f, p, why);
    if (result == RD_KAFKA_CONF_UNKNOWN)
        tool_log("WARN", CONF_LOGGER,
                 "The configuration '%s' is not known to librdkafka and was left out", p->key);
    return 0;
}

bool conf_jaas(const char *line, const char *name, struct buf *out)
{
    size_t size = strlen(name);
    for (const char *at = strstr(line, name); at != NULL; at = strstr(at + 1, name)) {
        const char *c = at + size;
        if (at > line && isspace((unsigned char)at[-1]) == 0)
            continue;
        c += strspn(c, " \t");
        if (*c++ != '=')
            continue;
        c += strspn(c, " \t");
        if (*c != '"' && *c != '\'')
            continue;
        char quote = *c++;
        for (; *c != '\0' && *c != quote; c++) {
            c += *c == '\\' && c[1] != '\0';
            buf_append_u8(out, (uint8_t)*c);
        }
        buf_append_u8(out, 0);
        return *c == quote;
    }
    return false;
}

static int conf_login(rd_kafka_conf_t *conf, const struct props_pair *p, struct fault *f)
{
    static const char *const names[] = {"username", "password"};
    static const char *const rds[] = {"sasl.username", "sasl.password"};
    int rc = 0;
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        struct buf value = {0};
        if (conf_jaas(p->value, names[i], &value))
            rc = conf_set(conf, p, rds[i], (const char *)value.p, f);
        else
            rc = fault_set(f, FAULT_CONFIG, "no %s in sasl.jaas.config", names[i]);
        buf_deinit(&value);
    }
    return rc;
}

/* Java's classes of assignors, by librdkafka's names for them. */
static int conf_assignors(rd_kafka_conf_t *conf, const struct props_pair *p, struct fault *f)
{
    static const struct {
        const char *java;
        const char *rd;
    } rows[] = {
        {"CooperativeStickyAssignor", "cooperative-sticky"},
        {"RoundRobinAssignor", "roundrobin"},
        {"RangeAssignor", "range"},
    };
    struct buf value = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strstr(p->value, rows[i].java) != NULL)
            buf_printf(&value, "%s%s", value.size > 0 ? "," : "", rows[i].rd);
    bool ours = value.size > 0;
    buf_append_u8(&value, 0);
    int rc = conf_set(conf, p, p->key, ours ? (const char *)value.p : p->value, f);
    buf_deinit(&value);
    return rc;
}

/* A number into another unit or range. */
static int conf_number(rd_kafka_conf_t *conf, const struct props_pair *p, const char *name,
                       enum conf_how how, struct fault *f)
{
    char text[32];
    int64_t value = 0;
    if (!value_i64(p->value, &value))
        return conf_invalid(f, p, "Not a number");
    if (how == CONF_KIB)
        value = value / 1024 > 0 ? value / 1024 : 1;
    else if (how == CONF_BUFFER)
        value = value < 0 ? 0 : value;
    else
        value = value == 0 ? 1 : value;
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return conf_set(conf, p, name, text, f);
}

/* True when `value` is one of the words of "a, b, c". */
static bool conf_among(const char *values, const char *value)
{
    size_t size = strlen(value);
    for (const char *at = values;; at++) {
        size_t word = strcspn(at, ",");
        if (word == size && memcmp(at, value, size) == 0)
            return true;
        at += word;
        if (*at == '\0')
            return false;
        at += strspn(at + 1, " ");
    }
}

static int conf_row(rd_kafka_conf_t *conf, const struct props_pair *p, size_t i, struct fault *f)
{
    const char *name = conf_rows[i].rd;
    if (conf_rows[i].values != NULL && !conf_among(conf_rows[i].values, p->value)) {
        char why[128];
        (void)snprintf(why, sizeof why, "String must be one of: %s", conf_rows[i].values);
        return conf_invalid(f, p, why);
    }
    switch (conf_rows[i].how) {
    case CONF_DROP:
        return 0;
    case CONF_JAAS:
        return conf_login(conf, p, f);
    case CONF_ASSIGN:
        return conf_assignors(conf, p, f);
    case CONF_KIB:
    case CONF_BUFFER:
    case CONF_MIN_1:
        return conf_number(conf, p, name, conf_rows[i].how, f);
    case CONF_NONE:
        return conf_set(conf, p, name, p->value[0] == '\0' ? "none" : p->value, f);
    case CONF_RESET:
        return conf_set(conf, p, name, strcmp(p->value, "none") == 0 ? "error" : p->value, f);
    case CONF_COPY:
        return conf_set(conf, p, name, p->value, f);
    }
    ASSERT(false);
    return 0;
}

bool conf_servers(const char *list)
{
    const char *at = list;
    for (;;) {
        size_t size = strcspn(at, ",");
        size_t colon = size;
        while (colon > 0 && at[colon - 1] != ':')
            colon--;
        size_t digits = strspn(at + colon, "0123456789");
        if (colon < 2 || digits == 0 || digits > 5 || colon + digits != size)
            return false;
        at += size;
        if (*at++ == '\0')
            return true;
    }
}

static int conf_fill(rd_kafka_conf_t *conf, const struct props *p, enum conf_kind kind,
                     struct fault *f)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct props_pair *pair = &p->pairs[i];
        size_t row = 0;
        while (row < CONF_ROW_COUNT &&
               (strcmp(conf_rows[row].java, pair->key) != 0 ||
                (conf_rows[row].kind != CONF_ANY && conf_rows[row].kind != (int)kind)))
            row++;
        int rc = row < CONF_ROW_COUNT ? conf_row(conf, pair, row, f)
                                      : conf_set(conf, pair, pair->key, pair->value, f);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int conf_new(const struct props *p, enum conf_kind kind, rd_kafka_conf_t **out, struct fault *f)
{
    const char *servers = props_get(p, "bootstrap.servers");
    rd_kafka_conf_t *conf CLEANUP(conf_rd_cleanup) = rd_kafka_conf_new();
    if (servers == NULL || !conf_servers(servers))
        return fault_set(f, FAULT_CONFIG, "Invalid url in bootstrap.servers: %s",
                         servers != NULL ? servers : "");
    int rc = conf_fill(conf, p, kind, f);
    if (rc != 0)
        return rc;
    *out = conf;
    conf = NULL;
    return 0;
}
