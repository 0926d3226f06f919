/* SPDX-License-Identifier: MIT */
/* Records out: by assigning the partition, never by a group. */
#include "rdkafka.h"

#include <stdio.h>
#include <string.h>

/* What happens to what is read. */
struct rdkafka_reader {
    json_t *records; /* gathered here, or said at once when NULL */
    size_t count, seen;
    bool ready_said;
};

static json_t *rdkafka_headers_out(const rd_kafka_message_t *m)
{
    json_t *list = json_array();
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;

    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return list;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
        json_array_append_new(list, json_pack("[s, o]", name, rdkafka_hex(value, size)));
    return list;
}

static json_t *rdkafka_record(const rd_kafka_message_t *m)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "offset", (json_int_t)m->offset, "timestamp",
                     (json_int_t)rd_kafka_message_timestamp(m, NULL), "key",
                     rdkafka_hex(m->key, m->key_len), "value", rdkafka_hex(m->payload, m->len),
                     "headers", rdkafka_headers_out(m));
}

static void rdkafka_take(struct rdkafka_reader *reader, const rd_kafka_message_t *m)
{
    int64_t at = rdkafka_now_us();

    reader->seen++;
    if (reader->records != NULL)
        json_array_append_new(reader->records, rdkafka_record(m));
    else
        rdkafka_say(json_pack("{s:s, s:I, s:o}", "event", "got", "at_us", (json_int_t)at, "record",
                              rdkafka_record(m)));
}

static void rdkafka_end(struct rdkafka_reader *reader)
{
    if (reader->records == NULL && !reader->ready_said)
        rdkafka_say(json_pack("{s:s}", "event", "ready"));
    reader->ready_said = true;
}

/* Reads until there is enough: NULL, or what went wrong. */
static json_t *rdkafka_read(rd_kafka_t *rk, struct rdkafka_reader *reader)
{
    int64_t end = rdkafka_now_us() + RDKAFKA_LIMIT_MS * 1000ll;

    while (reader->seen < reader->count && rdkafka_now_us() < end) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 500);
        if (m == NULL)
            continue;
        rd_kafka_resp_err_t err = m->err;
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
            rdkafka_take(reader, m);
        else if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            rdkafka_end(reader);
        rd_kafka_message_destroy(m);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__PARTITION_EOF &&
            err != RD_KAFKA_RESP_ERR__TRANSPORT)
            return rdkafka_error("consume", rd_kafka_err2str(err));
    }
    char text[64];
    snprintf(text, sizeof text, "%zu of %zu records came", reader->seen, reader->count);
    return reader->seen < reader->count ? rdkafka_error("consume", text) : NULL;
}

/* The offset that "from" means; a time is asked of the broker. */
static int64_t rdkafka_where(rd_kafka_t *rk, rd_kafka_topic_partition_t *here, const json_t *from)
{
    const char *word = json_string_value(from);

    if (word != NULL)
        return strcmp(word, "end") == 0 ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    if (!json_is_object(from))
        return json_integer_value(from);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, here->topic, here->partition)->offset =
        json_integer_value(json_object_get(from, "time"));
    rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(rk, list, RDKAFKA_LIMIT_MS);
    int64_t offset =
        err == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[0].offset : RD_KAFKA_OFFSET_INVALID;
    rd_kafka_topic_partition_list_destroy(list);
    return offset;
}

static json_t *rdkafka_assigned(const struct rdkafka *r, const json_t *ask, const json_t *from,
                                struct rdkafka_reader *reader)
{
    char bytes[24];
    int size = (int)json_integer_value(json_object_get(ask, "partition_bytes"));

    snprintf(bytes, sizeof bytes, "%d", size > 0 ? size : 1 << 20);
    const char *const settings[][2] = {
        {"group.id", "none"},
        {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},
        {"max.partition.fetch.bytes", bytes},
        {NULL, NULL},
    };
    rd_kafka_t *rk = rdkafka_open(r, RD_KAFKA_CONSUMER, settings, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *here = rd_kafka_topic_partition_list_add(
        list, json_string_value(json_object_get(ask, "topic")),
        (int32_t)json_integer_value(json_object_get(ask, "partition")));

    rd_kafka_poll_set_consumer(rk);
    here->offset = rdkafka_where(rk, here, from);
    rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
    json_t *fault = err != RD_KAFKA_RESP_ERR_NO_ERROR
                        ? rdkafka_error("assign", rd_kafka_err2str(err))
                        : rdkafka_read(rk, reader);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return fault;
}

json_t *rdkafka_consume(const struct rdkafka *r, const json_t *ask)
{
    struct rdkafka_reader reader = {
        .records = json_array(),
        .count = (size_t)json_integer_value(json_object_get(ask, "count")),
    };
    json_t *fault = rdkafka_assigned(r, ask, json_object_get(ask, "from"), &reader);

    if (fault != NULL) {
        json_decref(reader.records);
        return fault;
    }
    return json_pack("{s:o}", "records", reader.records);
}

json_t *rdkafka_follow(const struct rdkafka *r, const json_t *ask)
{
    struct rdkafka_reader reader = {
        .count = (size_t)json_integer_value(json_object_get(ask, "count")),
    };
    json_t *end = json_string("end");
    json_t *fault = rdkafka_assigned(r, ask, end, &reader);

    json_decref(end);
    return fault != NULL ? fault : json_object();
}
