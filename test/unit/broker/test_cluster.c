/* SPDX-License-Identifier: MIT
 *
 * test_cluster: the records of the cluster say what was put in, other bytes are refused or are the
 * record they encode to; keys are read as they are written, and only so; epochs rise.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/catalog.h"
#include "engine/broker/cluster.h"

enum kind { LEADER, BROKER, PART, VOTE, SEAT, TOPIC };
#define KIND_COUNT 6

/* Decodes a record of that kind; what was accepted is encoded again. */
static int again(enum kind kind, struct slice in, struct buf *out)
{
    struct cluster_leader leader;
    struct cluster_broker node;
    struct cluster_part part;
    struct cluster_vote vote;
    struct cluster_seat seat;
    struct catalog_topic topic = {0};
    int r = CLUSTER_DAMAGED;
    switch (kind) {
    case LEADER:
        if ((r = cluster_leader_decode(in, &leader)) == 0)
            cluster_leader_encode(&leader, out);
        break;
    case BROKER:
        if ((r = cluster_broker_decode(in, &node)) == 0)
            cluster_broker_encode(&node, out);
        break;
    case PART:
        if ((r = cluster_part_decode(in, &part)) == 0)
            cluster_part_encode(&part, out);
        break;
    case VOTE:
        if ((r = cluster_vote_decode(in, &vote)) == 0)
            cluster_vote_encode(&vote, out);
        break;
    case SEAT:
        if ((r = cluster_seat_decode(in, &seat)) == 0)
            cluster_seat_encode(&seat, out);
        break;
    case TOPIC:
        if ((r = catalog_decode(in, &topic)) == 0)
            catalog_encode(&topic, out);
        catalog_deinit(&topic);
        break;
    }
    return r;
}

static void sample(enum kind kind, struct buf *out)
{
    struct cluster_leader leader = {7, 3, 12, INT64_C(1700000000123), "tcp://a:7092"};
    struct cluster_broker node = {.id = 2,
                                  .epoch = 99,
                                  .incarnation = UINT64_C(0xfedcba9876543210),
                                  .folder = {1, 2, 3},
                                  .boot = {4, [15] = 5},
                                  .rack = "r1",
                                  .native = "tcp://b:7092",
                                  .kafka_host = "b.example",
                                  .kafka_port = 9092,
                                  .registered_ms = 17,
                                  .left = true,
                                  .forced = true};
    struct cluster_part part = {.leader = 1,
                                .leader_epoch = 4097,
                                .replicas = {3, {1, 2, 0}},
                                .isr = {1, {1}},
                                .elr = {1, {2}},
                                .base = {.holders = 2, .before_holders = 2, .before = {2, {1, 0}}}};
    struct cluster_vote vote = {8, -1, 77};
    struct cluster_seat seat = {.folder = {9}, .boot = {8}, .unclean = true, .told = -1};
    struct catalog_topic topic = {.id = {1}, .partitions = 3, .replication = 2, .spread = true};
    char message[256];
    switch (kind) {
    case LEADER:
        cluster_leader_encode(&leader, out);
        break;
    case BROKER:
        cluster_broker_encode(&node, out);
        break;
    case PART:
        cluster_part_encode(&part, out);
        break;
    case VOTE:
        cluster_vote_encode(&vote, out);
        break;
    case SEAT:
        cluster_seat_encode(&seat, out);
        break;
    case TOPIC:
        ck_assert_int_eq(
            config_topic_set(&topic.configs, slice_str("retention.ms"), slice_str("7"), message),
            0);
        catalog_encode(&topic, out);
        catalog_deinit(&topic);
        break;
    }
}

START_TEST(there_and_back)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct cluster_broker node;
    struct cluster_part part;
    struct cluster_seat seat;
    struct cluster_leader leader;
    struct cluster_vote vote;
    sample(BROKER, &bytes);
    ck_assert_int_eq(cluster_broker_decode(buf_slice(&bytes), &node), 0);
    ck_assert(node.id == 2 && node.epoch == 99 && node.incarnation == 0xfedcba9876543210);
    ck_assert(node.folder[2] == 3 && node.boot[15] == 5 && node.kafka_port == 9092);
    ck_assert(node.left && node.forced);
    ck_assert_str_eq(node.rack, "r1");
    ck_assert_str_eq(node.native, "tcp://b:7092");
    ck_assert_str_eq(node.kafka_host, "b.example");
    ck_assert_int_eq(node.registered_ms, 17);
    buf_reset(&bytes);
    sample(PART, &bytes);
    ck_assert_int_eq(cluster_part_decode(buf_slice(&bytes), &part), 0);
    ck_assert(part.leader == 1 && part.leader_epoch == 4097 && part.replicas.count == 3);
    ck_assert(part.replicas.id[1] == 2 && part.isr.id[0] == 1 && part.elr.id[0] == 2);
    buf_reset(&bytes);
    sample(SEAT, &bytes);
    ck_assert_int_eq(cluster_seat_decode(buf_slice(&bytes), &seat), 0);
    ck_assert(seat.folder[0] == 9 && seat.boot[0] == 8 && !seat.clean && seat.unclean);
    ck_assert_int_eq(seat.told, -1);
    buf_reset(&bytes);
    sample(LEADER, &bytes);
    ck_assert_int_eq(cluster_leader_decode(buf_slice(&bytes), &leader), 0);
    ck_assert(leader.term == 7 && leader.start == 3 && leader.id == 12);
    ck_assert_int_eq(leader.promoted_ms, INT64_C(1700000000123));
    ck_assert_str_eq(leader.native, "tcp://a:7092");
    buf_reset(&bytes);
    sample(VOTE, &bytes);
    ck_assert_int_eq(cluster_vote_decode(buf_slice(&bytes), &vote), 0);
    ck_assert(vote.term == 8 && vote.candidate == -1);
}
END_TEST

/* Every prefix, every byte changed, and thousands of wild ones. */
START_TEST(foreign_bytes)
{
    struct random rnd;
    unsigned taken = 0, refused = 0;
    random_init(&rnd, 5);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        for (unsigned n = 0; n < 20000; n++) {
            struct buf bytes CLEANUP(buf_deinit) = {0}, out CLEANUP(buf_deinit) = {0};
            sample((enum kind)kind, &bytes);
            unsigned edits = (unsigned)random_below(&rnd, 4);
            for (unsigned e = 0; e < edits; e++)
                bytes.p[random_below(&rnd, bytes.size)] =
                    (uint8_t)(random_below(&rnd, 2) ? random_below(&rnd, 256)
                                                    : random_below(&rnd, 4));
            if (random_below(&rnd, 4) == 0)
                bytes.size = random_below(&rnd, bytes.size + 1);
            if (random_below(&rnd, 8) == 0)
                buf_append_u8(&bytes, 0);
            uint8_t *exact = malloc(bytes.size + 1); /* an overrun is seen by a sanitizer */
            ck_assert_ptr_nonnull(exact);
            memcpy(exact, bytes.p, bytes.size);
            struct slice in = slice_of(exact, bytes.size);
            if (again((enum kind)kind, in, &out) == 0) {
                taken++;
                if (kind != TOPIC) /* drops settings it does not know, reads older ones */
                    ck_assert(slice_equal(in, buf_slice(&out)));
            } else {
                refused++;
                ck_assert_uint_eq(out.size, 0);
            }
            free(exact);
        }
    ck_assert_uint_gt(taken, 20000);
    ck_assert_uint_gt(refused, 20000);
}
END_TEST

/* A record of the first version says nothing of what promotions go by, and stays what it is. */
START_TEST(part_of_version_1)
{
    static const uint8_t bytes[] = {1, 1, 0, 0, 0, 1, 16, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0};
    struct buf out = {0};
    struct cluster_part p;
    ck_assert_int_eq(cluster_part_decode(slice_of(bytes, sizeof bytes), &p), 0);
    ck_assert(p.leader == 1 && p.leader_epoch == 4097 && p.base.holders == 0);
    cluster_part_encode(&p, &out);
    ck_assert_uint_eq(out.size, sizeof bytes);
    ck_assert_mem_eq(out.p, bytes, sizeof bytes);
    buf_deinit(&out);
}
END_TEST

START_TEST(parts_that_cannot_be)
{
    struct cluster_part good = {
        .leader = 1, .replicas = {2, {1, 2}}, .isr = {1, {1}}, .elr = {1, {2}}};
    struct cluster_part p = good;
    ck_assert_ptr_null(cluster_part_fault(&p));
    p.leader = -1;
    ck_assert_ptr_null(cluster_part_fault(&p));
    p.leader = 3;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p = good;
    p.elr.id[0] = 1;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p = good;
    p.isr.id[0] = 7;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p = good;
    p.leader_epoch = -1;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p = good;
    p.base = (struct replica_base){.holders = 1, .before_holders = 2, .before = {2, {1, 2}}};
    ck_assert_ptr_null(cluster_part_fault(&p));
    p.base.holders = 0;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p.base.holders = 3;
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p.base = (struct replica_base){.holders = 1, .before_holders = 3, .before = {2, {1, 2}}};
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p.base = (struct replica_base){.holders = 1, .before = {2, {1, 2}}};
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p.base = (struct replica_base){.holders = 1, .before_holders = 1, .before = {1, {7}}};
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
    p = (struct cluster_part){.leader = -1};
    ck_assert_ptr_nonnull(cluster_part_fault(&p));
}
END_TEST

START_TEST(keys)
{
    static const char *const brokers[] = {"brokers/",   "brokers/01",          "brokers/-1",
                                          "brokers/1x", "brokers/2147483648",  "broker/1",
                                          "brokers/+1", "brokers/99999999999", "brokers"};
    static const char *const parts[] = {
        "parts/AAAAAAAAAAAAAAAAAAAAAA",    "parts/AAAAAAAAAAAAAAAAAAAAAA/",
        "parts/AAAAAAAAAAAAAAAAAAAAAA/01", "parts/AAAAAAAAAAAAAAAAAAAAAB/1", /* not 128 bits */
        "parts/AAAAAAAAAAAAAAAAAAAAA=/1",  "parts/AAAAAAAAAAAAAAAAAAAAA/1",
        "parts/AAAAAAAAAAAAAAAAAAAAAAA/1"};
    struct random rnd;
    random_init(&rnd, 3);
    int32_t id, index;
    uint8_t topic[16], read[16];
    for (size_t i = 0; i < sizeof brokers / sizeof brokers[0]; i++)
        ck_assert_msg(!cluster_broker_key_read(slice_str(brokers[i]), &id), "%s", brokers[i]);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ck_assert_msg(!cluster_part_key_read(slice_str(parts[i]), topic, &index), "%s", parts[i]);
    for (unsigned n = 0; n < 1000; n++) {
        struct buf key CLEANUP(buf_deinit) = {0}, part CLEANUP(buf_deinit) = {0};
        int32_t want = n == 0 ? 0 : n == 1 ? INT32_MAX : (int32_t)(random_u64(&rnd) >> 40);
        for (unsigned i = 0; i < 16; i++)
            topic[i] = (uint8_t)random_u64(&rnd);
        cluster_broker_key(want, &key);
        ck_assert(cluster_broker_key_read(buf_slice(&key), &id) && id == want);
        cluster_part_key(topic, want, &part);
        ck_assert(cluster_part_key_read(buf_slice(&part), read, &index) && index == want);
        ck_assert_mem_eq(read, topic, 16);
        ck_assert(cluster_mirrored(buf_slice(&key)) && cluster_mirrored(buf_slice(&part)));
    }
    ck_assert(cluster_mirrored(slice_str("topics/node/x")));
    ck_assert(!cluster_mirrored(slice_str(CLUSTER_SEAT_KEY)));
    ck_assert(!cluster_mirrored(slice_str("brokercfg/num.partitions")));
    ck_assert(cluster_mirrored(slice_str("clustercfg/num.partitions")));
}
END_TEST

START_TEST(epochs)
{
    int32_t last = -1;
    for (uint32_t term = 0; term < 3; term++)
        for (uint32_t start = 0; start <= CLUSTER_START_MAX; start++) {
            int32_t epoch = cluster_epoch(term, start);
            ck_assert_int_gt(epoch, last);
            ck_assert(cluster_epoch_term(epoch) == term && cluster_epoch_start(epoch) == start);
            last = epoch;
        }
    ck_assert_int_eq(cluster_epoch(0, 0), 0);
    ck_assert_int_eq(cluster_epoch(CLUSTER_TERM_MAX, CLUSTER_START_MAX), INT32_MAX);
}
END_TEST

/* Records of topics as older versions wrote them. */
START_TEST(older_topics)
{
    struct buf bytes CLEANUP(buf_deinit) = {0}, old CLEANUP(buf_deinit) = {0};
    struct catalog_topic t = {0};
    sample(TOPIC, &bytes);
    ck_assert_int_eq(catalog_decode(buf_slice(&bytes), &t), 0);
    ck_assert(t.spread && t.replication == 2 && t.partitions == 3 && t.configs.count == 1);
    catalog_deinit(&t);
    bytes.p[26] = 0;
    ck_assert_int_eq(catalog_decode(buf_slice(&bytes), &t), 0);
    ck_assert(!t.spread);
    catalog_deinit(&t);
    buf_append(&old, bytes.p, 26);
    old.p[0] = 1;
    buf_append(&old, bytes.p + 27, bytes.size - 27);
    ck_assert_int_eq(catalog_decode(buf_slice(&old), &t), 0);
    ck_assert(t.spread && t.replication == 2 && t.partitions == 3 && t.configs.count == 1);
    catalog_deinit(&t);
    bytes.p[0] = 3;
    ck_assert_int_eq(catalog_decode(buf_slice(&bytes), &t), CATALOG_DAMAGED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cluster");
    TCase *c = tcase_create("cluster");
    tcase_add_test(c, there_and_back);
    tcase_add_test(c, foreign_bytes);
    tcase_add_test(c, part_of_version_1);
    tcase_add_test(c, parts_that_cannot_be);
    tcase_add_test(c, keys);
    tcase_add_test(c, epochs);
    tcase_add_test(c, older_topics);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
