/* SPDX-License-Identifier: MIT */
#include "rdkafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct rdkafka_verb {
    const char *name;
    json_t *(*answer)(const struct rdkafka *r, const json_t *ask);
};

void rdkafka_die(const char *what, const char *why)
{
    fprintf(stderr, "rdkafka: %s: %s\n", what, why);
    exit(2);
}

rd_kafka_t *rdkafka_open(const struct rdkafka *r, rd_kafka_type_t type,
                         const char *const (*settings)[2], struct rdkafka_reports *reports)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (rd_kafka_conf_set(conf, "bootstrap.servers", r->bootstrap, why, sizeof why) != 0)
        rdkafka_die("bootstrap.servers", why);
    for (size_t i = 0; settings[i][0] != NULL; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != 0)
            rdkafka_die(settings[i][0], why);
    }
    if (reports != NULL) {
        rd_kafka_conf_set_opaque(conf, reports);
        rd_kafka_conf_set_dr_msg_cb(conf, rdkafka_delivered);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL)
        rdkafka_die("no client", why);
    return rk;
}

const char *rdkafka_word(const json_t *ask, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(ask, name));

    return text != NULL ? text : otherwise;
}

void rdkafka_say(json_t *line)
{
    if (json_dumpf(line, stdout, JSON_COMPACT) != 0)
        rdkafka_die("stdout", "cannot write");
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(line);
}

json_t *rdkafka_error(const char *what, const char *why)
{
    char text[700];

    snprintf(text, sizeof text, "%s: %s", what, why);
    return json_pack("{s:s}", "error", text);
}

int64_t rdkafka_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static unsigned rdkafka_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void *rdkafka_bytes(const json_t *hex, size_t *size)
{
    const char *text = json_string_value(hex);

    *size = 0;
    if (text == NULL)
        return NULL;
    size_t count = strlen(text) / 2;
    uint8_t *bytes = malloc(count + 1);
    if (bytes == NULL)
        rdkafka_die("memory", "none left");
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(rdkafka_digit(text[2 * i]) << 4 | rdkafka_digit(text[2 * i + 1]));
    *size = count;
    return bytes;
}

json_t *rdkafka_hex(const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;

    if (bytes == NULL)
        return json_null();
    char *text = malloc(2 * size + 1);
    if (text == NULL)
        rdkafka_die("memory", "none left");
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 15];
    }
    json_t *hex = json_stringn(text, 2 * size);
    free(text);
    return hex;
}

static json_t *rdkafka_hello(const struct rdkafka *r, const json_t *ask)
{
    (void)r;
    (void)ask;
    return json_pack("{s:s, s:s, s:s, s:{}, s:[s, s, s, s, s]}", "name", "librdkafka", "version",
                     rd_kafka_version_str(), "hash", "murmur2", "lacks", "codecs", "none", "gzip",
                     "snappy", "lz4", "zstd");
}

static json_t *rdkafka_answer(const struct rdkafka *r, const json_t *ask)
{
    static const struct rdkafka_verb verbs[] = {
        {"hello", rdkafka_hello},     {"metadata", rdkafka_metadata},
        {"create", rdkafka_create},   {"grow", rdkafka_grow},
        {"produce", rdkafka_produce}, {"run", rdkafka_run},
        {"consume", rdkafka_consume}, {"follow", rdkafka_follow},
        {"join", rdkafka_join},       {"stream", rdkafka_stream},
        {"groups", rdkafka_groups},   {"group", rdkafka_group},
        {"offsets", rdkafka_offsets}, {"set_offsets", rdkafka_set_offsets},
        {"forget", rdkafka_forget},   {"delete_group", rdkafka_delete_group},
    };
    const char *op = json_string_value(json_object_get(ask, "op"));

    for (size_t i = 0; op != NULL && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(op, verbs[i].name) == 0)
            return verbs[i].answer(r, ask);
    }
    return rdkafka_error("no such request", op != NULL ? op : "none");
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;

    if (argc != 2)
        rdkafka_die("usage", "rdkafka HOST:PORT");
    const struct rdkafka r = {.bootstrap = argv[1]};
    while (getline(&line, &room, stdin) > 0) {
        json_error_t error;
        json_t *ask = json_loads(line, 0, &error);
        if (ask == NULL)
            rdkafka_die("request", error.text);
        rdkafka_say(rdkafka_answer(&r, ask));
        json_decref(ask);
    }
    free(line);
    return 0;
}
