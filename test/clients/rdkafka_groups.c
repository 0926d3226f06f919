/* SPDX-License-Identifier: MIT */
/* Groups through the admin interface: list, describe, delete; offsets listed, set, deleted. */
#include "rdkafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const no_settings[][2] = {{NULL, NULL}};

/* A client and the queue for its one answer. */
struct rdkafka_admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
};

static struct rdkafka_admin rdkafka_admin_open(const struct rdkafka *r)
{
    struct rdkafka_admin a = {.rk = rdkafka_open(r, RD_KAFKA_PRODUCER, no_settings, NULL)};

    a.queue = rd_kafka_queue_new(a.rk);
    return a;
}

/* Waits; NULL, or what went wrong. */
static json_t *rdkafka_admin_wait(struct rdkafka_admin *a)
{
    a->event = rd_kafka_queue_poll(a->queue, RDKAFKA_LIMIT_MS);
    if (a->event == NULL)
        return rdkafka_error("admin", "no answer");
    if (rd_kafka_event_error(a->event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rdkafka_error("admin", rd_kafka_event_error_string(a->event));
    return NULL;
}

static json_t *rdkafka_admin_close(struct rdkafka_admin *a, json_t *out)
{
    if (a->event != NULL)
        rd_kafka_event_destroy(a->event);
    rd_kafka_queue_destroy(a->queue);
    rd_kafka_destroy(a->rk);
    return out;
}

json_t *rdkafka_groups(const struct rdkafka *r, const json_t *ask)
{
    (void)ask;
    size_t count = 0;
    struct rdkafka_admin a = rdkafka_admin_open(r);

    rd_kafka_ListConsumerGroups(a.rk, NULL, a.queue);
    json_t *out = rdkafka_admin_wait(&a);
    if (out != NULL)
        return rdkafka_admin_close(&a, out);
    json_t *states = json_object();
    const rd_kafka_ConsumerGroupListing_t **rows = rd_kafka_ListConsumerGroups_result_valid(
        rd_kafka_event_ListConsumerGroups_result(a.event), &count);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(states, rd_kafka_ConsumerGroupListing_group_id(rows[i]),
                            json_string(rd_kafka_consumer_group_state_name(
                                rd_kafka_ConsumerGroupListing_state(rows[i]))));
    return rdkafka_admin_close(&a, json_pack("{s:o}", "groups", states));
}

static json_t *rdkafka_member_row(const rd_kafka_MemberDescription_t *m)
{
    const rd_kafka_MemberAssignment_t *has = rd_kafka_MemberDescription_assignment(m);
    const rd_kafka_topic_partition_list_t *list =
        has != NULL ? rd_kafka_MemberAssignment_partitions(has) : NULL;
    json_t *partitions = json_array();

    for (int i = 0; list != NULL && i < list->cnt; i++)
        json_array_append_new(partitions, json_integer(list->elems[i].partition));
    return json_pack("{s:s, s:s?, s:s, s:s, s:o}", "id", rd_kafka_MemberDescription_consumer_id(m),
                     "instance", rd_kafka_MemberDescription_group_instance_id(m), "client",
                     rd_kafka_MemberDescription_client_id(m), "host",
                     rd_kafka_MemberDescription_host(m), "partitions", partitions);
}

json_t *rdkafka_group(const struct rdkafka *r, const json_t *ask)
{
    size_t count = 0;
    const char *name = rdkafka_word(ask, "group", "");
    struct rdkafka_admin a = rdkafka_admin_open(r);

    rd_kafka_DescribeConsumerGroups(a.rk, &name, 1, NULL, a.queue);
    json_t *out = rdkafka_admin_wait(&a);
    if (out != NULL)
        return rdkafka_admin_close(&a, out);
    const rd_kafka_ConsumerGroupDescription_t **rows =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(a.event), &count);
    if (count != 1)
        return rdkafka_admin_close(&a, rdkafka_error("describe", "not one result"));
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(rows[0]);
    if (error != NULL)
        return rdkafka_admin_close(&a, rdkafka_error("describe", rd_kafka_error_name(error)));
    json_t *members = json_array();
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(rows[0]); i++)
        json_array_append_new(
            members, rdkafka_member_row(rd_kafka_ConsumerGroupDescription_member(rows[0], i)));
    out = json_pack(
        "{s:s, s:s?, s:o}", "state",
        rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(rows[0])),
        "assignor", rd_kafka_ConsumerGroupDescription_partition_assignor(rows[0]), "members",
        members);
    return rdkafka_admin_close(&a, out);
}

/* The first error of a group's result or of its partitions; NULL when all is well. */
static json_t *rdkafka_group_fault(const rd_kafka_group_result_t **rows, size_t count)
{
    if (count != 1)
        return rdkafka_error("group", "not one result");
    if (rd_kafka_group_result_error(rows[0]) != NULL)
        return rdkafka_error("group", rd_kafka_error_name(rd_kafka_group_result_error(rows[0])));
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(rows[0]);
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return rdkafka_error("partition", rd_kafka_err2name(list->elems[i].err));
    }
    return NULL;
}

json_t *rdkafka_delete_group(const struct rdkafka *r, const json_t *ask)
{
    size_t count = 0;
    struct rdkafka_admin a = rdkafka_admin_open(r);
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(rdkafka_word(ask, "group", ""));

    rd_kafka_DeleteGroups(a.rk, &group, 1, NULL, a.queue);
    rd_kafka_DeleteGroup_destroy(group);
    json_t *out = rdkafka_admin_wait(&a);
    if (out == NULL) {
        const rd_kafka_group_result_t **rows = rd_kafka_DeleteGroups_result_groups(
            rd_kafka_event_DeleteGroups_result(a.event), &count);
        out = rdkafka_group_fault(rows, count);
    }
    return rdkafka_admin_close(&a, out != NULL ? out : json_object());
}

/* {partition: [offset, metadata]} of the topic that was asked for. */
static json_t *rdkafka_offsets_out(const rd_kafka_topic_partition_list_t *list, const char *topic)
{
    json_t *offsets = json_object();

    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *t = &list->elems[i];
        char key[16];
        if (t->offset < 0 || strcmp(t->topic, topic) != 0)
            continue;
        snprintf(key, sizeof key, "%d", t->partition);
        json_object_set_new(
            offsets, key,
            json_pack("[I, o]", (json_int_t)t->offset,
                      json_stringn(t->metadata_size ? t->metadata : "", t->metadata_size)));
    }
    return json_pack("{s:o}", "offsets", offsets);
}

/* Of the partitions 0 to count - 1, as a consumer asks; patient while the broker is away. */
static json_t *rdkafka_committed(const struct rdkafka *r, const json_t *ask, int count)
{
    const char *topic = rdkafka_word(ask, "topic", "");
    const char *const settings[][2] = {
        {"group.id", rdkafka_word(ask, "group", "")},
        {"reconnect.backoff.max.ms", "200"},
        {NULL, NULL},
    };
    rd_kafka_t *rk = rdkafka_open(r, RD_KAFKA_CONSUMER, settings, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);

    rd_kafka_topic_partition_list_add_range(list, topic, 0, count - 1);
    rd_kafka_resp_err_t err = rd_kafka_committed(rk, list, RDKAFKA_LIMIT_MS);
    for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        err = list->elems[i].err;
    json_t *out = err != RD_KAFKA_RESP_ERR_NO_ERROR
                      ? rdkafka_error("committed", rd_kafka_err2name(err))
                      : rdkafka_offsets_out(list, topic);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return out;
}

/* With `partitions`, their number, of these alone; else whatever the group has. */
json_t *rdkafka_offsets(const struct rdkafka *r, const json_t *ask)
{
    size_t count = 0;
    json_t *partitions = json_object_get(ask, "partitions");

    if (partitions != NULL)
        return rdkafka_committed(r, ask, (int)json_integer_value(partitions));
    struct rdkafka_admin a = rdkafka_admin_open(r);
    rd_kafka_ListConsumerGroupOffsets_t *want =
        rd_kafka_ListConsumerGroupOffsets_new(rdkafka_word(ask, "group", ""), NULL);

    rd_kafka_ListConsumerGroupOffsets(a.rk, &want, 1, NULL, a.queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(want);
    json_t *out = rdkafka_admin_wait(&a);
    if (out == NULL) {
        const rd_kafka_group_result_t **rows = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(a.event), &count);
        out = rdkafka_group_fault(rows, count);
        if (out == NULL)
            out = rdkafka_offsets_out(rd_kafka_group_result_partitions(rows[0]),
                                      rdkafka_word(ask, "topic", ""));
    }
    return rdkafka_admin_close(&a, out);
}

/* `offsets` of the request, {partition: offset}. */
static rd_kafka_topic_partition_list_t *rdkafka_offsets_in(const json_t *ask)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(ask, "offsets"), key, value)
        rd_kafka_topic_partition_list_add(list, rdkafka_word(ask, "topic", ""),
                                          (int32_t)strtol(key, NULL, 10))
            ->offset = json_integer_value(value);
    return list;
}

json_t *rdkafka_set_offsets(const struct rdkafka *r, const json_t *ask)
{
    size_t count = 0;
    struct rdkafka_admin a = rdkafka_admin_open(r);
    rd_kafka_topic_partition_list_t *list = rdkafka_offsets_in(ask);
    rd_kafka_AlterConsumerGroupOffsets_t *alter =
        rd_kafka_AlterConsumerGroupOffsets_new(rdkafka_word(ask, "group", ""), list);

    rd_kafka_AlterConsumerGroupOffsets(a.rk, &alter, 1, NULL, a.queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(alter);
    rd_kafka_topic_partition_list_destroy(list);
    json_t *out = rdkafka_admin_wait(&a);
    if (out == NULL) {
        const rd_kafka_group_result_t **rows = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(a.event), &count);
        out = rdkafka_group_fault(rows, count);
    }
    return rdkafka_admin_close(&a, out != NULL ? out : json_object());
}

json_t *rdkafka_forget(const struct rdkafka *r, const json_t *ask)
{
    size_t count = 0;
    struct rdkafka_admin a = rdkafka_admin_open(r);
    rd_kafka_topic_partition_list_t *list = rdkafka_offsets_in(ask);
    rd_kafka_DeleteConsumerGroupOffsets_t *which =
        rd_kafka_DeleteConsumerGroupOffsets_new(rdkafka_word(ask, "group", ""), list);

    rd_kafka_DeleteConsumerGroupOffsets(a.rk, &which, 1, NULL, a.queue);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(which);
    rd_kafka_topic_partition_list_destroy(list);
    json_t *out = rdkafka_admin_wait(&a);
    if (out == NULL) {
        const rd_kafka_group_result_t **rows = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(a.event), &count);
        out = rdkafka_group_fault(rows, count);
    }
    return rdkafka_admin_close(&a, out != NULL ? out : json_object());
}
