/* SPDX-License-Identifier: MIT
 *
 * source_kafka: see sources.h. A running broker, through librdkafka, which checks every CRC: no
 * group, each partition assigned at its start, read until it says that its end is reached. Offsets
 * that are out of range are an error, never a silent jump.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "test/chaos/sources.h"

#define SOURCE_WAIT_MS 10000

static int source_fail(const char *what, rd_kafka_resp_err_t error)
{
    (void)fprintf(stderr, "check: %s: %s\n", what, rd_kafka_err2str(error));
    return 1;
}

static rd_kafka_t *source_open(const char *server)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", server},
        {"client.id", "chaos_check"},
        {"group.id", "unused"},
        {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},
        {"check.crcs", "true"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_uncommitted"},
        {"enable.auto.offset.store", "false"},
    };
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk = NULL;
    bool good = true;
    for (size_t i = 0; good && i < sizeof settings / sizeof settings[0]; i++)
        good = rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) ==
               RD_KAFKA_CONF_OK;
    if (good)
        rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why); /* takes conf */
    if (rk == NULL) {
        (void)fprintf(stderr, "check: no consumer: %s\n", why);
        rd_kafka_conf_destroy(conf);
    }
    return rk;
}

static int source_assign(const struct source *s, rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->partitions);
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < s->partitions; i++) {
        int64_t start = -1, end = -1;
        error = rd_kafka_query_watermark_offsets(rk, s->topic, (int32_t)i, &start, &end,
                                                 SOURCE_WAIT_MS);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        verdict_start(s->verdict, i, start, s->retention);
        rd_kafka_topic_partition_list_add(list, s->topic, (int32_t)i)->offset = start;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        error = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : source_fail("cannot assign", error);
}

/* Takes a partition away whose end was told. */
static int source_unassign(const struct source *s, rd_kafka_t *rk, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, s->topic, partition);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == NULL)
        return 0;
    (void)fprintf(stderr, "check: cannot unassign: %s\n", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return 1;
}

static int source_read(const struct source *s, rd_kafka_t *rk)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    uint32_t open = s->partitions;
    int r = 0;
    while (r == 0 && open > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, SOURCE_WAIT_MS);
        if (m == NULL)
            return source_fail("cannot read", RD_KAFKA_RESP_ERR__TIMED_OUT);
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            source_record(s, (uint32_t)m->partition, m->offset, slice_of(m->payload, m->len),
                          &scratch);
        } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open--;
            r = source_unassign(s, rk, m->partition);
        } else {
            r = source_fail("cannot read", m->err);
        }
        rd_kafka_message_destroy(m);
    }
    return r;
}

int source_server(const struct source *s, const char *server)
{
    rd_kafka_t *rk = source_open(server);
    if (rk == NULL)
        return 1;
    int r = source_assign(s, rk);
    if (r == 0)
        r = source_read(s, rk);
    rd_kafka_destroy(rk);
    return r;
}
