/* SPDX-License-Identifier: MIT */
/* A member of a group: what it owns, what it gets and what it commits, as it happens. Offsets are
 * stored only after the records were reported, so that what is committed was processed. */
#include "rdkafka.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RDKAFKA_PARTITIONS_MAX 256
#define RDKAFKA_BATCH_MAX      200

struct rdkafka_member {
    rd_kafka_t *rk;
    const char *topic;
    bool each;                            /* commit after every batch */
    bool owns[RDKAFKA_PARTITIONS_MAX];    /* by partition */
    int64_t next[RDKAFKA_PARTITIONS_MAX]; /* what to commit; -1: nothing to say */
};

static int rdkafka_number(const json_t *ask, const char *name, int otherwise)
{
    const json_t *value = json_object_get(ask, name);
    return json_is_integer(value) ? (int)json_integer_value(value) : otherwise;
}

/* The generation (or member epoch) and the member's id stand in the serialized form alone:
 * "CGMDvN:", generation, group NUL, member NUL... */
static void rdkafka_generation(rd_kafka_t *rk, json_t *line)
{
    rd_kafka_consumer_group_metadata_t *m = rd_kafka_consumer_group_metadata(rk);
    void *bytes = NULL;
    size_t size = 0;
    int32_t generation;

    if (m == NULL)
        return;
    if (rd_kafka_consumer_group_metadata_write(m, &bytes, &size) == NULL) {
        const char *text = bytes;
        if (size > 11 && strncmp(text, "CGMDv", 5) == 0) {
            memcpy(&generation, text + 7, sizeof generation);
            json_object_set_new(line, "generation", json_integer(generation));
            json_object_set_new(line, "member", json_string(text + 11 + strlen(text + 11) + 1));
        }
        rd_kafka_mem_free(rk, bytes);
    }
    rd_kafka_consumer_group_metadata_destroy(m);
}

/* All that it owns from now on. */
static void rdkafka_say_owns(const struct rdkafka_member *member, const char *why)
{
    json_t *partitions = json_array();

    for (int p = 0; p < RDKAFKA_PARTITIONS_MAX; p++) {
        if (member->owns[p])
            json_array_append_new(partitions, json_integer(p));
    }
    json_t *line = json_pack("{s:s, s:s, s:I, s:o}", "event", "owns", "why", why, "at_us",
                             (json_int_t)rdkafka_now_us(), "partitions", partitions);
    rdkafka_generation(member->rk, line);
    rdkafka_say(line);
}

static void rdkafka_mark(struct rdkafka_member *member, const rd_kafka_topic_partition_list_t *list,
                         bool owns)
{
    for (int i = 0; i < list->cnt; i++) {
        int p = list->elems[i].partition;
        if (p >= 0 && p < RDKAFKA_PARTITIONS_MAX) {
            member->owns[p] = owns;
            member->next[p] = -1;
        }
    }
}

static void rdkafka_rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                               rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct rdkafka_member *member = opaque;
    bool gradual = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
    bool gains = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    bool lost = rd_kafka_assignment_lost(rk) != 0;
    rd_kafka_error_t *error = NULL;

    /* Owned from here on; given up before the broker hears of it. */
    rdkafka_mark(member, list, gains);
    rdkafka_say_owns(member, gains ? "assigned" : lost ? "lost" : "revoked");
    if (gradual)
        error =
            gains ? rd_kafka_incremental_assign(rk, list) : rd_kafka_incremental_unassign(rk, list);
    else
        (void)rd_kafka_assign(rk, gains ? list : NULL);
    if (error != NULL)
        rd_kafka_error_destroy(error);
}

static rd_kafka_t *rdkafka_member_open(const struct rdkafka *r, const json_t *ask,
                                       struct rdkafka_member *member)
{
    char session[16], heartbeat[16], automatic[16], poll_limit[16], why[512];
    int auto_ms = rdkafka_number(ask, "auto_ms", 0);
    bool consumer = strcmp(rdkafka_word(ask, "model", "classic"), "consumer") == 0;

    snprintf(session, sizeof session, "%d", rdkafka_number(ask, "session_ms", 6000));
    snprintf(heartbeat, sizeof heartbeat, "%d", rdkafka_number(ask, "heartbeat_ms", 1000));
    snprintf(automatic, sizeof automatic, "%d", auto_ms);
    snprintf(poll_limit, sizeof poll_limit, "%d", rdkafka_number(ask, "poll_limit_ms", 60000));
    const char *const settings[][2] = {
        {"bootstrap.servers", r->bootstrap},
        {"group.id", rdkafka_word(ask, "group", "")},
        {"max.poll.interval.ms", poll_limit},
        {"enable.auto.commit", auto_ms > 0 ? "true" : "false"},
        {"auto.commit.interval.ms", automatic},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"fetch.wait.max.ms", "100"},
        {"reconnect.backoff.max.ms", "200"},
        {"queued.min.messages", "1000"},
        /* The consumer model has the broker's times and assignor: the list ends there. */
        {consumer ? "group.protocol" : "session.timeout.ms", consumer ? "consumer" : session},
        {consumer ? NULL : "heartbeat.interval.ms", heartbeat},
        {"partition.assignment.strategy", rdkafka_word(ask, "assignor", "range,roundrobin")},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; settings[i][0] != NULL; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != 0)
            rdkafka_die(settings[i][0], why);
    }
    const char *instance = rdkafka_word(ask, "instance", NULL);
    if (instance != NULL)
        rd_kafka_conf_set(conf, "group.instance.id", instance, why, sizeof why);
    rd_kafka_conf_set_opaque(conf, member);
    rd_kafka_conf_set_rebalance_cb(conf, rdkafka_rebalanced);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (rk == NULL)
        rdkafka_die("no member", why);
    rd_kafka_poll_set_consumer(rk);
    return rk;
}

/* Reports what there is, up to a batch, then stores the offsets. False: nothing was there. */
static bool rdkafka_member_take(struct rdkafka_member *member)
{
    json_t *records = json_array();

    for (int i = 0; i < RDKAFKA_BATCH_MAX; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(member->rk, i == 0 ? 50 : 0);
        if (m == NULL)
            break;
        int p = m->partition;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && p < RDKAFKA_PARTITIONS_MAX) {
            json_array_append_new(records, json_pack("[i, I]", p, (json_int_t)m->offset));
            if (member->owns[p])
                member->next[p] = m->offset + 1;
        } else {
            fprintf(stderr, "%s\n", rd_kafka_message_errstr(m));
        }
        rd_kafka_message_destroy(m);
    }
    bool any = json_array_size(records) > 0;
    if (any)
        rdkafka_say(json_pack("{s:s, s:o}", "event", "got", "records", records));
    else
        json_decref(records);
    return any;
}

/* What it owns and has read, as offsets to commit or to store; `metadata` may be NULL. */
static rd_kafka_topic_partition_list_t *rdkafka_positions(const struct rdkafka_member *member,
                                                          const char *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    for (int p = 0; p < RDKAFKA_PARTITIONS_MAX; p++) {
        if (!member->owns[p] || member->next[p] < 0)
            continue;
        rd_kafka_topic_partition_t *t = rd_kafka_topic_partition_list_add(list, member->topic, p);
        t->offset = member->next[p];
        if (metadata != NULL) {
            t->metadata = strdup(metadata);
            t->metadata_size = strlen(metadata);
        }
    }
    return list;
}

/* Says what came of it: committed, or refused. */
static void rdkafka_member_commit(struct rdkafka_member *member, const char *metadata)
{
    rd_kafka_topic_partition_list_t *list = rdkafka_positions(member, metadata);
    json_t *offsets = json_object();
    char number[16];

    for (int i = 0; i < list->cnt; i++) {
        snprintf(number, sizeof number, "%d", list->elems[i].partition);
        json_object_set_new(offsets, number, json_integer(list->elems[i].offset));
    }
    rd_kafka_resp_err_t err =
        list->cnt > 0 ? rd_kafka_commit(member->rk, list, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        rdkafka_say(json_pack("{s:s, s:s, s:o}", "event", "refused", "why", rd_kafka_err2name(err),
                              "offsets", offsets));
    else
        rdkafka_say(json_pack("{s:s, s:I, s:o}", "event", "committed", "at_us",
                              (json_int_t)rdkafka_now_us(), "offsets", offsets));
    rd_kafka_topic_partition_list_destroy(list);
}

/* One line from stdin, if there is one. False: it is to leave. */
static bool rdkafka_member_ordered(struct rdkafka_member *member)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char *line = NULL;
    size_t room = 0;

    if (poll(&in, 1, 0) <= 0)
        return true;
    if (getline(&line, &room, stdin) <= 0)
        exit(0);
    json_t *ask = json_loads(line, 0, NULL);
    free(line);
    const char *op = rdkafka_word(ask, "op", "");
    bool stays = strcmp(op, "leave") != 0;
    if (strcmp(op, "commit") == 0)
        rdkafka_member_commit(member, rdkafka_word(ask, "metadata", NULL));
    json_decref(ask);
    return stays;
}

json_t *rdkafka_join(const struct rdkafka *r, const json_t *ask)
{
    struct rdkafka_member member = {
        .topic = rdkafka_word(ask, "topic", ""),
        .each = json_is_true(json_object_get(ask, "each")),
    };
    bool automatic = rdkafka_number(ask, "auto_ms", 0) > 0;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

    member.rk = rdkafka_member_open(r, ask, &member);
    rd_kafka_topic_partition_list_add(topics, member.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(member.rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rdkafka_error("subscribe", rd_kafka_err2str(err));
    rdkafka_say(json_pack("{s:s}", "event", "here"));
    while (rdkafka_member_ordered(&member)) {
        if (!rdkafka_member_take(&member))
            continue;
        if (member.each) {
            rdkafka_member_commit(&member, NULL);
        } else if (automatic) {
            rd_kafka_topic_partition_list_t *list = rdkafka_positions(&member, NULL);
            (void)rd_kafka_offsets_store(member.rk, list);
            rd_kafka_topic_partition_list_destroy(list);
        }
    }
    rd_kafka_consumer_close(member.rk);
    rd_kafka_destroy(member.rk);
    return json_object();
}
