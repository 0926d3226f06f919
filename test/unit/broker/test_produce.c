/* SPDX-License-Identifier: MIT
 *
 * test_produce: what produce accepts, refuses and promises: order, every status, acknowledgements
 * that wait for the disk, duplicates, durability by name, the clock in the batch, limits, and
 * producers that survive.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/store/batch.h"
#include "test/unit/broker/rig.h"

/* A request of one batch, started. */
static struct rig_produce *begin(struct rig *g, const char *topic, int32_t partition,
                                 const struct rig_batch *b)
{
    struct rig_produce *p = rig_produce_new(-1);
    rig_produce_add(p, topic, partition, b);
    rig_produce_start(g, p);
    return p;
}

START_TEST(acknowledgements)
{
    struct rig g;
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (int acks = -1; acks <= 1; acks++) {
        struct rig_produce *p = rig_produce_new(acks);
        struct rig_batch b = {.count = 3, .tag = (uint64_t)(acks + 1) * 10};
        rig_produce_add(p, "t", 0, &b);
        rig_produce_start(&g, p);
        rig_turn(&g);
        ck_assert_uint_eq(p->done, 0); /* the disk has not answered */
        rig_run(&g);
        ck_assert_uint_eq(p->done, 1);
        ck_assert_int_eq(p->items[0].status, BROKER_OK);
        ck_assert_int_eq(p->items[0].base_offset, (acks + 1) * 3);
        ck_assert_int_eq(p->items[0].append_time_ms, -1);
        ck_assert_int_eq(p->items[0].log_start, 0);
        ck_assert_ptr_null(p->items[0].message);
        rig_produce_free(p);
    }
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 4), 11);
    struct rig_produce *none = rig_produce_new(1);
    rig_produce_start(&g, none);
    rig_run(&g);
    ck_assert_uint_eq(none->done, 1);
    rig_produce_free(none);
    rig_deinit(&g);
}
END_TEST

/* One request: items of several partitions, two of the same, good ones beside bad ones. */
START_TEST(items_stand_alone)
{
    static const struct {
        const char *topic;
        int32_t partition;
        enum broker_status status;
        int64_t offset;
    } rows[] = {
        {"t", 0, BROKER_OK, 0},
        {"t", 1, BROKER_OK, 0},
        {"t", 2, BROKER_UNKNOWN_PARTITION, -1},
        {"t", 0, BROKER_OK, 2},
        {"none", 0, BROKER_UNKNOWN_TOPIC, -1},
        {"t", -1, BROKER_UNKNOWN_PARTITION, -1},
        {"t", 0, BROKER_OK, 4},
    };
    struct rig g;
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    struct rig_produce *p = rig_produce_new(1);
    for (size_t i = 0; i < 7; i++) {
        struct rig_batch b = {.tag = i * 10, .count = 2};
        rig_produce_add(p, rows[i].topic, rows[i].partition, &b);
    }
    rig_produce_start(&g, p);
    rig_run(&g);
    ck_assert_uint_eq(p->done, 1);
    for (size_t i = 0; i < 7; i++) {
        ck_assert_int_eq(p->items[i].status, rows[i].status);
        ck_assert_int_eq(p->items[i].base_offset, rows[i].offset);
        ck_assert_int_eq(p->items[i].append_time_ms, -1);
        ck_assert_int_eq(p->items[i].log_start, rows[i].status == BROKER_OK ? 0 : -1);
    }
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 5), 61);
    ck_assert_int_eq(rig_end(&g, "t", 1), 2);
    rig_produce_free(p);
    rig_deinit(&g);
}
END_TEST

/* The order of the starts is the order in the log, whatever the rounds do. */
START_TEST(order_is_kept)
{
    struct rig g;
    struct rig_produce *p[50];
    struct buf pairs CLEANUP(buf_deinit) = {0};
    rig_init(&g, 3, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "segment.bytes=500");
    for (size_t i = 0; i < 50; i++) {
        struct rig_batch b = {.tag = i};
        p[i] = begin(&g, "t", 0, &b);
        if (i % 7 == 0)
            rig_turn(&g);
        if (i % 11 == 0)
            (void)work_sim_step(g.work);
    }
    rig_run(&g);
    rig_read_all(&g, "t", 0, 0, &pairs);
    ck_assert_uint_eq(pairs.size, 50 * 16);
    for (size_t i = 0; i < 50; i++) {
        ck_assert_int_eq(p[i]->items[0].base_offset, (int64_t)i);
        ck_assert_uint_eq(bytes_le64(pairs.p + i * 16 + 8), i);
        rig_produce_free(p[i]);
    }
    rig_deinit(&g);
}
END_TEST

/* --- what is refused --- */

static void expect_refused(struct rig *g, const char *topic, struct buf *batch,
                           enum broker_status status)
{
    struct rig_produce *p = rig_produce_new(1);
    struct rig_batch b = {.tag = 1};
    rig_produce_add(p, topic, 0, &b);
    p->items[0].batch = batch->p;
    p->items[0].size = batch->size;
    rig_produce_start(g, p);
    rig_run(g);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_msg(p->items[0].status == status, "%s: %s, not %s", topic,
                  broker_status_text(p->items[0].status), broker_status_text(status));
    ck_assert_int_eq(p->items[0].base_offset, -1);
    ck_assert_int_eq(p->items[0].append_time_ms, -1);
    ck_assert_int_eq(p->items[0].log_start, -1);
    if (status == BROKER_BATCH_CORRUPT || status == BROKER_BATCH_INVALID)
        ck_assert_ptr_nonnull(p->items[0].message);
    rig_produce_free(p);
}

START_TEST(bad_batches)
{
    struct rig g;
    struct buf good CLEANUP(buf_deinit) = {0};
    struct rig_batch b = {.count = 3, .value_size = 30};
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "compacted", 1, "cleanup.policy=compact");
    rig_build(&b, &good);
    for (size_t at = BATCH_POS_CRC; at < good.size; at++) { /* whatever bit it is */
        good.p[at] ^= (uint8_t)(1u << (at % 8));
        expect_refused(&g, "t", &good, BROKER_BATCH_CORRUPT);
        good.p[at] ^= (uint8_t)(1u << (at % 8));
    }
    good.size--;
    expect_refused(&g, "t", &good, BROKER_BATCH_CORRUPT);
    good.size = 10;
    expect_refused(&g, "t", &good, BROKER_BATCH_CORRUPT);
    good.size = 0;
    expect_refused(&g, "t", &good, BROKER_BATCH_CORRUPT);
    buf_reset(&good);
    rig_build(&b, &good);
    good.p[BATCH_POS_MAGIC] = 1;
    expect_refused(&g, "t", &good, BROKER_BATCH_INVALID);
    good.p[BATCH_POS_MAGIC] = 2;
    expect_refused(&g, "compacted", &good, BROKER_BATCH_INVALID); /* no keys */
    rig_build(&b, &good);                                         /* two batches in one item */
    expect_refused(&g, "t", &good, BROKER_BATCH_CORRUPT);
    ck_assert_int_eq(rig_end(&g, "t", 0), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(sizes)
{
    struct rig g;
    struct rig_batch small = {.value_size = 900}, large = {.value_size = 1100};
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "message", 1, "max.message.bytes=1K");
    rig_create(&g, "segment", 1, "segment.bytes=1K");
    ck_assert_int_eq(rig_put(&g, "message", 0, &small, NULL), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "message", 0, &large, NULL), BROKER_BATCH_TOO_LARGE);
    ck_assert_int_eq(rig_put(&g, "segment", 0, &small, NULL), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "segment", 0, &large, NULL), BROKER_BATCH_TOO_LARGE);
    ck_assert_int_eq(rig_end(&g, "message", 0), 1);
    rig_deinit(&g);
}
END_TEST

START_TEST(timestamps)
{
    struct rig g;
    struct rig_batch b = {0};
    rig_init(&g, 6, 0);
    rig_open(&g);
    rig_create(&g, "before", 1, "message.timestamp.before.max.ms=1h");
    rig_create(&g, "after", 1, "message.timestamp.after.max.ms=1h");
    int64_t now = g.clock.wall_now_ms, hour = 3600000;
    b.timestamp = now - hour;
    ck_assert_int_eq(rig_put(&g, "before", 0, &b, NULL), BROKER_OK);
    b.timestamp = now - hour - 1;
    ck_assert_int_eq(rig_put(&g, "before", 0, &b, NULL), BROKER_BATCH_TIMESTAMP);
    ck_assert_int_eq(rig_put(&g, "after", 0, &b, NULL), BROKER_OK);
    b.timestamp = now + hour;
    ck_assert_int_eq(rig_put(&g, "after", 0, &b, NULL), BROKER_OK);
    b.timestamp = now + hour + 1;
    ck_assert_int_eq(rig_put(&g, "after", 0, &b, NULL), BROKER_BATCH_TIMESTAMP);
    ck_assert_int_eq(rig_put(&g, "before", 0, &b, NULL), BROKER_OK);
    b.timestamp = -1;
    ck_assert_int_eq(rig_put(&g, "before", 0, &b, NULL), BROKER_OK); /* none */
    rig_deinit(&g);
}
END_TEST

START_TEST(whole_requests)
{
    struct rig g;
    struct rig_batch b = {0};
    rig_init(&g, 7, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (int acks = -2; acks <= 2; acks += 4) {
        struct rig_produce *p = rig_produce_new(acks);
        rig_produce_add(p, "t", 0, &b);
        rig_produce_add(p, "t", 0, &b);
        rig_produce_start(&g, p);
        rig_run(&g);
        ck_assert_uint_eq(p->done, 1);
        ck_assert_int_eq(p->items[1].status, BROKER_BAD_REQUEST);
        ck_assert_int_eq(p->items[1].base_offset, -1);
        ck_assert_int_eq(p->items[1].append_time_ms, -1);
        ck_assert_int_eq(p->items[1].log_start, -1);
        rig_produce_free(p);
    }
    struct rig_produce *last = begin(&g, "t", 0, &b);
    broker_stop(g.broker);
    struct rig_produce *late = begin(&g, "t", 0, &b);
    rig_run(&g);
    ck_assert(broker_stopped(g.broker));
    ck_assert_int_eq(last->items[0].status, BROKER_OK);
    ck_assert_int_eq(late->items[0].status, BROKER_STOPPING);
    rig_produce_free(last);
    rig_produce_free(late);
    rig_kill(&g);
    rig_open(&g);
    ck_assert_int_eq(rig_end(&g, "t", 0), 1);
    rig_deinit(&g);
}
END_TEST

/* A broker alone is one replica: acks=all must not promise more. */
START_TEST(too_few_replicas)
{
    static const enum broker_status wanted[] = {BROKER_NOT_ENOUGH_REPLICAS, BROKER_OK, BROKER_OK};
    struct rig g;
    rig_init(&g, 8, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "min.insync.replicas=2");
    for (int acks = -1; acks <= 1; acks++) {
        struct rig_produce *p = rig_produce_new(acks);
        struct rig_batch b = {.tag = 1};
        rig_produce_add(p, "t", 0, &b);
        rig_produce_start(&g, p);
        rig_run(&g);
        ck_assert_int_eq(p->items[0].status, wanted[acks + 1]);
        rig_produce_free(p);
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), 2);
    rig_deinit(&g);
}
END_TEST

START_TEST(bytes_in_flight)
{
    struct rig g;
    struct rig_batch b = {.value_size = 300000};
    struct rig_produce *p[5];
    rig_init(&g, 8, 0);
    rig_set(&g, "queued.max.request.bytes", "1M");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < 5; i++)
            p[i] = begin(&g, "t", 0, &b);
        rig_run(&g);
        for (size_t i = 0; i < 5; i++) {
            ck_assert_int_eq(p[i]->items[0].status, i < 3 ? BROKER_OK : BROKER_BUSY);
            rig_produce_free(p[i]);
        }
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), 9);
    rig_deinit(&g);
}
END_TEST

/* --- producers --- */

static enum broker_status put_sequence(struct rig *g, int64_t producer, int16_t epoch,
                                       int32_t sequence, int64_t *offset)
{
    struct rig_batch b = {.producer = producer + 1,
                          .epoch = epoch,
                          .sequence = sequence,
                          .count = 2,
                          .tag = (uint64_t)sequence};
    return rig_put(g, "t", 0, &b, offset);
}

/* The same answers whatever happened between the batches. */
static void idempotence(struct rig *g, void (*between)(struct rig *g))
{
    int64_t id = rig_producer_id(g), offset;
    for (int32_t s = 0; s < 20; s += 2) {
        ck_assert_int_eq(put_sequence(g, id, 1, s, &offset), BROKER_OK);
        ck_assert_int_eq(offset, s);
        between(g);
        ck_assert_int_eq(put_sequence(g, id, 1, s, &offset), BROKER_OK); /* again */
        ck_assert_int_eq(offset, s);
        if (s >= 8)
            ck_assert_int_eq(put_sequence(g, id, 1, s - 8, &offset), BROKER_OK);
        ck_assert_int_eq(put_sequence(g, id, 1, s + 4, &offset), BROKER_SEQUENCE_GAP);
        ck_assert_int_eq(offset, -1);
        ck_assert_int_eq(put_sequence(g, id, 0, s + 2, &offset), BROKER_PRODUCER_FENCED);
    }
    ck_assert_int_eq(put_sequence(g, id, 2, 0, &offset), BROKER_OK); /* a new epoch begins at 0 */
    ck_assert_int_eq(offset, 20);
    ck_assert_int_eq(put_sequence(g, id, 1, 20, &offset), BROKER_PRODUCER_FENCED);
    ck_assert_int_eq(rig_end(g, "t", 0), 22);
}

static void nothing(struct rig *g)
{
    rig_run(g);
}

static void restart(struct rig *g)
{
    rig_reopen(g, true);
}

static void killed(struct rig *g)
{
    rig_reopen(g, false);
}

static void cut(struct rig *g)
{
    rig_cut(g, g->opens);
    rig_open(g);
}

START_TEST(sequences_survive)
{
    void (*const ways[])(struct rig * g) = {nothing, restart, killed, cut};
    for (size_t i = 0; i < 4; i++) {
        struct rig g;
        rig_init(&g, i, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, i % 2 == 0 ? NULL : "segment.bytes=400");
        idempotence(&g, ways[i]);
        rig_deinit(&g);
    }
}
END_TEST

/* A duplicate is answered with its original, not before: both wait for the same round. */
START_TEST(duplicate_waits_for_the_original)
{
    struct rig g;
    struct rig_batch b = {.producer = 1, .count = 4};
    rig_init(&g, 9, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    struct rig_produce *first = begin(&g, "t", 0, &b);
    struct rig_produce *second = begin(&g, "t", 0, &b); /* both queued */
    rig_turn(&g);
    struct rig_produce *third = begin(&g, "t", 0, &b); /* the round is out */
    for (unsigned i = 0; i < 5; i++)
        rig_turn(&g);
    ck_assert_uint_eq(first->done + second->done + third->done, 0);
    rig_run(&g);
    ck_assert_uint_eq(first->done + second->done + third->done, 3);
    struct rig_produce *fourth = begin(&g, "t", 0, &b); /* durable: at once */
    rig_turn(&g);
    ck_assert_uint_eq(fourth->done, 1);
    struct rig_produce *all[] = {first, second, third, fourth};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(all[i]->items[0].status, BROKER_OK);
        ck_assert_int_eq(all[i]->items[0].base_offset, 0);
        rig_produce_free(all[i]);
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), 4);
    rig_deinit(&g);
}
END_TEST

/* After a death a producer's batches, one behind the other, meet a partition that is recovered just
 * then: the first may not be refused and the second seen as a gap. */
START_TEST(held_while_it_loads)
{
    struct rig g;
    struct rig_produce *p[6];
    rig_init(&g, 12, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    struct rig_batch b = {.producer = 1};
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    rig_kill(&g);
    rig_open(&g);
    for (int i = 0; i < 6; i++) {
        b.sequence = i < 5 ? i : 2; /* the one from before the death again; at the end one twice */
        p[i] = begin(&g, "t", 0, &b);
        if (i == 3)
            (void)work_sim_step(g.work); /* the load has run, and is not seen yet */
        if (i < 3)
            rig_turn(&g);
        broker_check(g.broker);
    }
    rig_run(&g);
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(p[i]->done, 1);
        ck_assert_int_eq(p[i]->items[0].status, BROKER_OK);
        ck_assert_int_eq(p[i]->items[0].base_offset, i < 5 ? i : 2);
        rig_produce_free(p[i]);
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), 5);
    rig_deinit(&g);
}
END_TEST

/* What a partition that does not open, or a stop, does to batches that are held. */
START_TEST(held_and_refused)
{
    struct rig g;
    struct rig_batch b = {.producer = 1};
    rig_init(&g, 13, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    rig_reopen(&g, false);
    b.sequence = 1;
    struct rig_produce *p = begin(&g, "t", 0, &b);
    rig_fail(&g, 1, true); /* nothing of it can be read */
    rig_run(&g);
    rig_fail(&g, 0, false);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_STORAGE);
    rig_produce_free(p);
    rig_reopen(&g, false);
    p = begin(&g, "t", 0, &b);
    broker_stop(g.broker);
    rig_run(&g);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_STOPPING);
    ck_assert_int_eq(p->items[0].base_offset, -1);
    rig_produce_free(p);
    rig_stop(&g);
    rig_open(&g);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

/* The topic goes while its partition is recovered. */
START_TEST(held_and_deleted)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig g;
        struct rig_admin a;
        struct rig_batch b = {.producer = 1};
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
        rig_reopen(&g, false);
        rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
        rig_admin_start(&g, &a);
        b.sequence = 1;
        struct rig_produce *p = begin(&g, "t", 0, &b);
        rig_run(&g);
        ck_assert_uint_eq(p->done + a.done, 2);
        ck_assert_int_eq(a.req.status, BROKER_OK);
        ck_assert(p->items[0].status == BROKER_OK || p->items[0].status == BROKER_UNKNOWN_TOPIC);
        rig_produce_free(p);
        rig_deinit(&g);
    }
}
END_TEST

/* The round fails: neither the original nor the duplicate is ever answered. */
START_TEST(duplicate_of_a_lost_round)
{
    struct rig g;
    struct rig_batch b = {.producer = 1};
    rig_init(&g, 10, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    struct rig_produce *first = begin(&g, "t", 0, &b), *second = begin(&g, "t", 0, &b);
    rig_fail(&g, 2, false);
    rig_run(&g);
    ck_assert_uint_eq(g.fatals, 1);
    ck_assert_uint_eq(first->done + second->done, 0);
    rig_kill(&g);
    rig_produce_free(first);
    rig_produce_free(second);
    rig_open(&g);
    ck_assert_ptr_nonnull(strstr(g.line, "the last run ended by an I/O error"));
    rig_reopen(&g, true);
    ck_assert_uint_eq(g.warnings + g.errors, 0);
    rig_deinit(&g);
}
END_TEST

/* Ids over blocks, kills, cuts and stops: no id twice. */
START_TEST(producer_ids_never_repeat)
{
    enum { COUNT = 2600 };
    static bool used[40000];
    static struct rig_admin a[COUNT];
    struct rig g;
    rig_init(&g, 11, 0);
    rig_open(&g);
    for (size_t i = 0; i < COUNT; i++) { /* more than a block at once */
        rig_admin_init(&a[i], BROKER_INIT_PRODUCER, NULL);
        rig_admin_start(&g, &a[i]);
    }
    rig_run(&g);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(a[i].done, 1);
        ck_assert_int_eq(a[i].req.status, BROKER_OK);
        ck_assert(!used[a[i].req.producer_id]);
        used[a[i].req.producer_id] = true;
    }
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned k = 0; k < 5; k++) {
            int64_t id = rig_producer_id(&g);
            ck_assert_int_lt(id, 40000);
            ck_assert(!used[id]);
            used[id] = true;
        }
        if (i % 3 == 0)
            rig_stop(&g);
        else if (i % 3 == 1)
            rig_kill(&g);
        else
            rig_cut(&g, i);
        rig_open(&g);
    }
    rig_deinit(&g);
}
END_TEST

/* --- append time --- */

START_TEST(append_time)
{
    struct rig g;
    struct rig_batch b = {.timestamp = 5, .tag = 3};
    struct rig_fetch f;
    struct batch_header h;
    int64_t offset;
    rig_init(&g, 12, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "message.timestamp.type=LogAppendTime");
    ck_assert_int_eq(rig_alter(&g, "t", "message.timestamp.before.max.ms", "1"), BROKER_OK);
    struct rig_produce *p = begin(&g, "t", 0, &b);
    rig_run(&g);
    ck_assert_int_eq(p->items[0].status, BROKER_OK);
    ck_assert_int_eq(p->items[0].append_time_ms, g.clock.wall_now_ms);
    rig_produce_free(p);
    rig_fetch_init(&f);
    rig_fetch_add(&f, "t", 0, 0);
    rig_fetch_run(&g, &f);
    ck_assert_int_eq(batch_check_stored(f.items[0].bytes, 0, &h), BATCH_OK);
    ck_assert_int_eq(h.max_timestamp, g.clock.wall_now_ms);
    ck_assert_int_ne(h.attributes & BATCH_ATTR_APPEND, 0);
    broker_fetch_release(g.broker, &f.req);
    rig_advance(&g, 5000);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    ck_assert_int_eq(rig_offset(&g, "t", 0, g.clock.wall_now_ms, &offset), BROKER_OK);
    ck_assert_int_eq(offset, 1);
    b.producer = 1;
    b.sequence = 7; /* refused behind the stamp */
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    b.sequence = 9;
    p = begin(&g, "t", 0, &b);
    rig_run(&g);
    ck_assert_int_eq(p->items[0].status, BROKER_SEQUENCE_GAP);
    ck_assert_int_eq(p->items[0].append_time_ms, -1);
    rig_produce_free(p);
    rig_deinit(&g);
}
END_TEST

/* --- durability --- */

/* sync loses nothing; os loses nothing to a kill, and to a cut at most what was not flushed. */
START_TEST(durability_by_name)
{
    unsigned lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rig g;
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "sync", 1, NULL);
        rig_create(&g, "os", 1, "durability=os");
        for (uint64_t i = 0; i < 5; i++) {
            ck_assert_int_eq(rig_put_tag(&g, "sync", i), (int64_t)i);
            ck_assert_int_eq(rig_put_tag(&g, "os", i), (int64_t)i);
            ck_assert_uint_eq(rig_tag_at(&g, "os", 0, (int64_t)i), i); /* seen at once */
        }
        rig_reopen(&g, false);
        ck_assert_int_eq(rig_end(&g, "sync", 0), 5);
        ck_assert_int_eq(rig_end(&g, "os", 0), 5);
        for (uint64_t i = 5; i < 10; i++) {
            rig_put_tag(&g, "sync", i);
            rig_put_tag(&g, "os", i);
        }
        rig_advance(&g, 1500); /* the flush */
        rig_put_tag(&g, "os", 10);
        rig_cut(&g, seed);
        rig_open(&g);
        ck_assert_int_eq(rig_end(&g, "sync", 0), 10);
        int64_t end = rig_end(&g, "os", 0);
        ck_assert(end == 10 || end == 11);
        lost += end == 10;
        kept += end == 11;
        ck_assert_uint_eq(rig_tag_at(&g, "os", 0, 9), 9);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_gt(kept, 0);
}
END_TEST

/* From os to sync: what is acknowledged behind the answer is durable, even where it joins a queue
 * that was made before; and consumers never see the end go back. */
START_TEST(from_os_to_sync)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig g;
        struct rig_admin a;
        struct rig_batch b = {.tag = 1};
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 2, "durability=os");
        rig_put_tag(&g, "t", 0);
        struct rig_produce *p1 = begin(&g, "t", 0, &b);
        rig_turn(&g);                                   /* the round that does not sync is out */
        struct rig_produce *p2 = begin(&g, "t", 1, &b); /* waits for the next of its kind */
        rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
        rig_admin_config(&a, "durability", "sync");
        rig_admin_start(&g, &a);
        rig_turn(&g);
        while (a.done == 0) {
            ck_assert(work_sim_step(g.work));
            rig_turn(&g);
        }
        ck_assert_int_ge(rig_end(&g, "t", 0), 1);
        struct rig_produce *p3 = begin(&g, "t", 1, &b), *p4 = begin(&g, "t", 0, &b);
        while (p3->done == 0 || p4->done == 0) {
            rig_turn(&g);
            (void)work_sim_step(g.work);
        }
        int64_t end3 = p3->items[0].base_offset + 1, end4 = p4->items[0].base_offset + 1;
        rig_cut(&g, seed);
        rig_produce_free(p1);
        rig_produce_free(p2);
        rig_produce_free(p3);
        rig_produce_free(p4);
        rig_open(&g);
        ck_assert_int_ge(rig_end(&g, "t", 1), end3);
        ck_assert_int_ge(rig_end(&g, "t", 0), end4);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(end_does_not_go_back)
{
    struct rig g;
    rig_init(&g, 14, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "durability=os");
    for (uint64_t i = 0; i < 5; i++)
        rig_put_tag(&g, "t", i);
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    rig_admin_config(&a, "durability", "sync");
    rig_admin_start(&g, &a);
    while (a.done == 0) {
        rig_turn(&g);
        ck_assert_int_eq(rig_end(&g, "t", 0), 5);
        (void)work_sim_step(g.work);
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), 5);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 4), 4);
    rig_cut(&g, 14);
    rig_open(&g);
    ck_assert_int_eq(rig_end(&g, "t", 0), 5);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("produce");
    TCase *t = tcase_create("produce");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, acknowledgements);
    tcase_add_test(t, items_stand_alone);
    tcase_add_test(t, order_is_kept);
    tcase_add_test(t, bad_batches);
    tcase_add_test(t, sizes);
    tcase_add_test(t, timestamps);
    tcase_add_test(t, whole_requests);
    tcase_add_test(t, too_few_replicas);
    tcase_add_test(t, bytes_in_flight);
    tcase_add_test(t, sequences_survive);
    tcase_add_test(t, duplicate_waits_for_the_original);
    tcase_add_test(t, held_while_it_loads);
    tcase_add_test(t, held_and_refused);
    tcase_add_test(t, held_and_deleted);
    tcase_add_test(t, duplicate_of_a_lost_round);
    tcase_add_test(t, producer_ids_never_repeat);
    tcase_add_test(t, append_time);
    tcase_add_test(t, durability_by_name);
    tcase_add_test(t, from_os_to_sync);
    tcase_add_test(t, end_does_not_go_back);
    suite_add_tcase(s, t);
    return rig_main(s);
}
