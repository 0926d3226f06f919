/* SPDX-License-Identifier: MIT
 *
 * test_replica: the leader's state of one partition, rule by rule. Broker 1 leads 1, 2 and 3.
 */
#include <check.h>

#include "engine/broker/replica.h"

#define EPOCH 65537
#define LAG   100

static struct replica_set set;

static struct replica_ids ids(int32_t a, int32_t b, int32_t c)
{
    struct replica_ids s = {0};
    int32_t all[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        if (all[i] > 0)
            replica_ids_add(&s, all[i]);
    }
    return s;
}

/* `end` records, all counted, at epoch start 10. */
static void begin_on(struct replica_ids isr, uint32_t min_insync, struct replica_base base)
{
    struct replica_begin b = {.self = 1,
                              .min_insync = min_insync,
                              .leader_epoch = EPOCH,
                              .revision = 1,
                              .replicas = ids(1, 2, 3),
                              .isr = isr,
                              .base = base,
                              .end = 10,
                              .written = 10,
                              .high_watermark = 4,
                              .now_ms = 1000};
    replica_set_begin(&set, &b);
    for (int32_t id = 2; id <= 3; id++) {
        struct replica_registration g = {id, 100 + id, false};
        ck_assert(replica_set_registered(&set, &g));
    }
    ck_assert_int_eq(set.epoch_start, 10);
}

static void begin(struct replica_ids isr, uint32_t min_insync)
{
    begin_on(isr, min_insync, (struct replica_base){0});
}

static struct replica_pull told(int32_t from, int64_t end)
{
    return (struct replica_pull){.from = from,
                                 .leader_epoch = EPOCH,
                                 .reached = EPOCH,
                                 .broker_epoch = 100 + from,
                                 .wanted = end,
                                 .end = end};
}

static bool pulls(int32_t from, int64_t end, int64_t now_ms)
{
    struct replica_pull p = told(from, end);
    bool moved;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_TAKEN);
    moved = replica_set_pulled(&set, &p, now_ms);
    replica_set_check(&set);
    return moved;
}

static bool grows(int64_t end)
{
    return replica_set_own_end(&set, (struct replica_ends){end, end});
}

static bool proposes(int64_t now_ms, struct replica_change *c)
{
    return replica_set_propose(&set, (struct replica_time){now_ms, LAG}, c);
}

static bool same(struct replica_ids a, struct replica_ids b)
{
    return replica_ids_same(&a, &b);
}

START_TEST(sets)
{
    struct replica_ids s = ids(3, 1, 0);
    replica_ids_add(&s, 3);
    ck_assert_uint_eq(s.count, 2);
    ck_assert(same(s, ids(1, 3, 0)) && !same(s, ids(1, 2, 0)) && !same(s, ids(1, 2, 3)));
    replica_ids_remove(&s, 2);
    replica_ids_remove(&s, 3);
    ck_assert(same(s, ids(1, 0, 0)) && !replica_ids_has(&s, 3));
}
END_TEST

/* The least end of the in-sync set; the slowest decides, and it never goes back. */
START_TEST(high_watermark)
{
    begin(ids(1, 2, 3), 2);
    ck_assert_int_eq(set.high_watermark, 4);
    grows(20);
    ck_assert(!pulls(2, 20, 1001));
    ck_assert(pulls(3, 12, 1002));
    ck_assert_int_eq(set.high_watermark, 12);
    ck_assert(!pulls(3, 11, 1003)); /* out of order */
    ck_assert_int_eq(set.high_watermark, 12);
    ck_assert(pulls(3, 20, 1004));
    ck_assert(!pulls(3, 20, 1004));
    ck_assert_int_eq(set.high_watermark, 20);
}
END_TEST

/* A pull that another one has overtaken takes nothing back: the follower does not tell again. */
START_TEST(overtaken)
{
    struct replica_pull p;
    begin(ids(1, 2, 3), 2);
    grows(20);
    ck_assert(!pulls(2, 20, 1001));
    ck_assert(!pulls(2, 15, 1002));
    p = told(2, 20);
    p.reached = EPOCH - 1;
    ck_assert(!replica_set_pulled(&set, &p, 1003));
    ck_assert_int_eq(replica_set_follower(&set, 2)->counted, 20);
    ck_assert(pulls(3, 20, 1004));
    ck_assert_int_eq(set.high_watermark, 20);
    struct replica_registration again = {2, 202, false}; /* what a new registration tells holds */
    ck_assert(replica_set_registered(&set, &again));
    p = told(2, 15);
    p.broker_epoch = 202;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_TAKEN);
    ck_assert(!replica_set_pulled(&set, &p, 1005));
    ck_assert_int_eq(replica_set_follower(&set, 2)->counted, 15);
    ck_assert_int_eq(set.high_watermark, 20);
}
END_TEST

/* What is written but not durable counts nowhere: not at the leader, not at a follower. */
START_TEST(counted)
{
    struct replica_pull p;
    begin(ids(1, 2, 3), 2);
    replica_set_own_end(&set, (struct replica_ends){15, 30});
    pulls(2, 30, 1001);
    p = told(3, 30);
    p.end = 18;
    ck_assert(replica_set_pulled(&set, &p, 1002));
    ck_assert_int_eq(set.high_watermark, 15);
    ck_assert(replica_set_own_end(&set, (struct replica_ends){30, 30}));
    ck_assert_int_eq(set.high_watermark, 18);
    p.end = 99; /* more than it asked beyond was not compared */
    p.wanted = 25;
    ck_assert(replica_set_pulled(&set, &p, 1003));
    ck_assert_int_eq(set.high_watermark, 25);
}
END_TEST

/* It counts when its log stands on this epoch, and not before, however long it is. */
START_TEST(reached)
{
    struct replica_pull p;
    begin(ids(1, 2, 3), 2);
    pulls(2, 10, 1001);
    p = told(3, 10);
    p.reached = EPOCH - 1;
    ck_assert(!replica_set_pulled(&set, &p, 1001));
    p = told(3, 9); /* it says so, and cannot */
    ck_assert(!replica_set_pulled(&set, &p, 1002));
    ck_assert_int_eq(set.high_watermark, 4);
    ck_assert(pulls(3, 10, 1003));
    ck_assert_int_eq(set.high_watermark, 10);
}
END_TEST

START_TEST(verdicts)
{
    struct replica_pull p = told(2, 10);
    begin(ids(1, 2, 3), 2);
    p.leader_epoch = EPOCH - 1;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_FENCED);
    p.leader_epoch = EPOCH + 1;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_AHEAD);
    p = told(2, 10);
    p.broker_epoch--;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_UNREGISTERED);
    p.from = 4;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_STRANGER);
    p.from = 1;
    ck_assert_int_eq(replica_set_judge(&set, &p), REPLICA_STRANGER);
}
END_TEST

/* Below the minimum: no acks=all, and nothing becomes readable. The minimum is never more than
 * there are replicas. */
START_TEST(frozen)
{
    begin_on(ids(1, 2, 0), 3, (struct replica_base){.holders = 1});
    ck_assert(!replica_set_acks_allowed(&set));
    ck_assert(!pulls(2, 10, 1001));
    ck_assert_int_eq(set.high_watermark, 4);
    ck_assert(replica_set_min_insync(&set, 2));
    ck_assert(replica_set_acks_allowed(&set));
    ck_assert_int_eq(set.high_watermark, 10);
    begin(ids(1, 2, 3), 7);
    ck_assert_uint_eq(replica_set_minimum(&set), 3);
    ck_assert(replica_set_acks_allowed(&set));
}
END_TEST

/* The minimum is raised: obeyed at once, but what is acknowledged already has as few holders as
 * before until as many are in sync. */
START_TEST(raised)
{
    struct replica_change c;
    begin_on(ids(1, 0, 0), 1, (struct replica_base){.holders = 1});
    ck_assert(replica_set_acks_allowed(&set));
    ck_assert(!proposes(1001, &c));
    (void)replica_set_min_insync(&set, 2);
    ck_assert(!replica_set_acks_allowed(&set));
    ck_assert(!proposes(1001, &c));
    pulls(2, 10, 1002);
    ck_assert(proposes(1002, &c));
    ck_assert(same(c.isr, ids(1, 2, 0)) && c.base.holders == 2 && c.base.before.count == 0);
    (void)replica_set_min_insync(&set, 1);
    ck_assert(!replica_set_acks_allowed(&set)); /* it may be written: a candidate counts on two */
    replica_set_unknown(&set);
    ck_assert(!replica_set_acks_allowed(&set));
    (void)replica_set_min_insync(&set, 2);
    ck_assert(proposes(1002, &c));
    replica_set_committed(&set, 2, 1002);
    ck_assert(replica_set_acks_allowed(&set));
    ck_assert_uint_eq(set.base.holders, 2);
    ck_assert(!proposes(1003, &c));
}
END_TEST

/* It is lowered: the record says so first, and the leader goes by the old one until no candidate
 * can. */
START_TEST(lowered)
{
    struct replica_change c;
    begin(ids(1, 0, 0), 2);
    (void)replica_set_min_insync(&set, 1);
    ck_assert(!replica_set_acks_allowed(&set));
    ck_assert(proposes(1001, &c));
    ck_assert_uint_eq(c.base.holders, 1);
    ck_assert(c.base.before_holders == 2 && same(c.base.before, ids(1, 2, 3)));
    replica_set_committed(&set, 2, 1001);
    ck_assert(!replica_set_acks_allowed(&set));
    ck_assert(replica_set_unheard(&set));
    replica_set_mirrored(&set, 3, 1);
    ck_assert(!proposes(1002, &c));
    replica_set_mirrored(&set, 3, 2);
    ck_assert(proposes(1003, &c));
    ck_assert(c.base.holders == 1 && c.base.before.count == 0);
    ck_assert(!replica_set_acks_allowed(&set));
    replica_set_committed(&set, 3, 1003);
    ck_assert(replica_set_acks_allowed(&set));
    ck_assert(!replica_set_unheard(&set));
}
END_TEST

/* Two replicas that became three: who knows the two only may be promoted alone. A third in sync
 * does not make up for that. And brokers that are gone for good. */
START_TEST(grown)
{
    struct replica_base base = {.holders = 2, .before_holders = 2, .before = ids(1, 2, 0)};
    struct replica_change c;
    begin_on(ids(1, 3, 0), 2, base);
    ck_assert(!replica_set_acks_allowed(&set));
    replica_set_mirrored(&set, 3, 1);
    ck_assert(!proposes(1001, &c));
    ck_assert(!replica_set_acks_allowed(&set));
    replica_set_mirrored(&set, 2, 1);
    ck_assert(proposes(1001, &c));
    replica_set_committed(&set, 2, 1001);
    ck_assert(replica_set_acks_allowed(&set));
    replica_base_drop(&base, 2);
    ck_assert(base.before_holders == 1 && same(base.before, ids(1, 0, 0)));
    begin_on(ids(1, 3, 0), 2, base);
    ck_assert(replica_set_acks_allowed(&set));
    begin_on(ids(1, 2, 0), 2, (struct replica_base){.holders = 1});
    ck_assert(proposes(1001, &c) && c.base.holders == 2); /* once it was alone */
}
END_TEST

/* A joiner has the high watermark and the epoch start; while it is added it is waited for, and if
 * nobody knows whether it was added, too. */
START_TEST(joins)
{
    struct replica_change c;
    begin(ids(1, 2, 0), 2);
    grows(20);
    pulls(2, 20, 1001);
    ck_assert_int_eq(set.high_watermark, 20);
    pulls(3, 19, 1002);
    ck_assert(!proposes(1002, &c));
    pulls(3, 20, 1003);
    ck_assert(proposes(1003, &c));
    ck_assert(same(c.isr, ids(1, 2, 3)) && c.elr.count == 0);
    ck_assert(c.joiner == 3 && c.broker_epoch == 103 && c.revision == 1);
    ck_assert(!proposes(1003, &c)); /* one at a time */
    grows(30);
    ck_assert(!pulls(2, 30, 1004)); /* 3 has 20 */
    replica_set_unknown(&set);
    ck_assert(!pulls(2, 30, 1005));
    ck_assert(pulls(3, 25, 1006));
    ck_assert_int_eq(set.high_watermark, 25);
    ck_assert(proposes(1006, &c)); /* again, at the same revision */
    ck_assert(c.joiner == 3 && c.revision == 1);
    ck_assert(!replica_set_committed(&set, 2, 1007));
    ck_assert(same(set.isr, ids(1, 2, 3)));
    ck_assert(!proposes(1007, &c));
}
END_TEST

START_TEST(joins_after_start)
{
    struct replica_change c;
    begin(ids(1, 2, 0), 2);
    pulls(3, 8, 1001); /* above the high watermark of 4; the leader began with 10 */
    ck_assert(!proposes(1001, &c));
    pulls(3, 10, 1002);
    ck_assert(proposes(1002, &c) && c.joiner == 3);
}
END_TEST

/* A refused change leaves the set as it is; a record read with a new revision decides. */
START_TEST(outcomes)
{
    struct replica_change c, record = {.isr = ids(1, 2, 3), .revision = 5};
    begin(ids(1, 2, 0), 2);
    pulls(2, 10, 1001);
    pulls(3, 10, 1001);
    ck_assert(proposes(1001, &c));
    replica_set_refused(&set);
    ck_assert(same(set.maximal, ids(1, 2, 0)));
    ck_assert(proposes(1001, &c));
    replica_set_unknown(&set);
    ck_assert(proposes(1001, &c));
    replica_set_refused(&set); /* this one; the first may have been written */
    ck_assert(same(set.maximal, ids(1, 2, 3)));
    record.revision = 1;
    replica_set_adopt(&set, &record); /* nothing new */
    ck_assert(same(set.isr, ids(1, 2, 0)) && same(set.maximal, ids(1, 2, 3)));
    record.revision = 5;
    replica_set_adopt(&set, &record);
    ck_assert(same(set.isr, ids(1, 2, 3)) && set.revision == 5);
    ck_assert(!proposes(1001, &c));
}
END_TEST

/* Behind for longer than the lag: out. One that is always a little behind stays. */
START_TEST(leaves)
{
    struct replica_change c;
    begin(ids(1, 2, 3), 2);
    for (int64_t t = 1; t <= 300; t++) {
        grows(10 + 10 * t);
        pulls(2, 10 + 10 * t - 20 < 10 ? 10 : 10 + 10 * t - 20, 1000 + t); /* 2 ms behind */
        if (t <= 100)
            ck_assert(!proposes(1000 + t, &c));
    }
    ck_assert(proposes(1300, &c));
    ck_assert(same(c.isr, ids(1, 2, 0)) && c.elr.count == 0 && c.joiner == -1);
    ck_assert(!replica_set_committed(&set, 2, 1300) || set.high_watermark > 4);
    ck_assert_int_eq(set.high_watermark, 2990);
    ck_assert(!proposes(1300, &c)); /* 3 was never heard of */
}
END_TEST

/* Under the minimum, who leaves stays eligible, until there are enough again. */
START_TEST(eligible)
{
    struct replica_change c;
    begin(ids(1, 2, 3), 2);
    ck_assert(proposes(1101, &c)); /* both are gone */
    ck_assert(same(c.isr, ids(1, 0, 0)) && same(c.elr, ids(2, 3, 0)));
    replica_set_committed(&set, 2, 1101);
    ck_assert(!grows(12));
    pulls(3, 12, 1102);
    ck_assert(proposes(1102, &c));
    ck_assert(same(c.isr, ids(1, 3, 0)) && c.elr.count == 0);
    ck_assert(replica_set_committed(&set, 3, 1102));
    ck_assert_int_eq(set.high_watermark, 12);
}
END_TEST

/* A registration takes back what was counted, and the pulls that were sent before it. */
START_TEST(registers)
{
    struct replica_registration g = {3, 900, false};
    struct replica_registration stranger = {7, 901, true};
    struct replica_pull old = told(3, 30);
    begin(ids(1, 2, 3), 2);
    grows(30);
    pulls(2, 30, 1001);
    pulls(3, 20, 1001);
    ck_assert_int_eq(set.high_watermark, 20);
    ck_assert(replica_set_registered(&set, &g));
    ck_assert(!replica_set_striking(&set, 3));
    ck_assert_int_eq(replica_set_judge(&set, &old), REPLICA_UNREGISTERED);
    ck_assert_int_eq(replica_set_follower(&set, 3)->counted, -1);
    old.broker_epoch = 900;
    ck_assert(replica_set_pulled(&set, &old, 1002));
    ck_assert_int_eq(set.high_watermark, 30);
    ck_assert(!replica_set_registered(&set, &stranger));
}
END_TEST

/* Who lost records leaves both sets, also the set that an open change may make. */
START_TEST(strikes)
{
    struct replica_registration g = {3, 900, true};
    struct replica_change c;
    begin(ids(1, 2, 3), 3);
    replica_set_registered(&set, &g);
    ck_assert(replica_set_striking(&set, 3));
    ck_assert(proposes(1001, &c));
    ck_assert(same(c.isr, ids(1, 2, 0)) && c.elr.count == 0);
    replica_set_unknown(&set);
    ck_assert(replica_set_striking(&set, 3));
    ck_assert(proposes(1001, &c));
    replica_set_committed(&set, 2, 1001);
    ck_assert(!replica_set_striking(&set, 3));

    begin(ids(1, 2, 0), 2);
    pulls(3, 10, 1001);
    ck_assert(proposes(1001, &c) && c.joiner == 3);
    replica_set_unknown(&set);
    ck_assert(replica_set_registered(&set, &g));
    ck_assert(replica_set_striking(&set, 3)); /* it may come in yet: the record moves on */
    ck_assert(proposes(1001, &c));
    ck_assert(same(c.isr, ids(1, 2, 0)) && c.revision == 1);
    replica_set_committed(&set, 2, 1001);
    ck_assert(!replica_set_striking(&set, 3));
    ck_assert(!proposes(1001, &c)); /* it has not pulled since */
}
END_TEST

/* By the time its pull is here the high watermark is further on, each time: it waits for who is
 * near, a moment, and then not again soon. */
START_TEST(near)
{
    struct replica_change c;
    begin(ids(1, 2, 0), 2);
    grows(20);
    pulls(2, 20, 1100);
    ck_assert_int_eq(set.high_watermark, 20);
    ck_assert(!pulls(3, 15, 1150));
    ck_assert_int_eq(set.awaited, 3);
    ck_assert(!proposes(1150, &c));
    grows(30);
    ck_assert(!pulls(2, 30, 1200));
    ck_assert(pulls(3, 22, 1250));
    ck_assert_int_eq(set.high_watermark, 22);
    ck_assert(proposes(1250, &c));
    ck_assert_int_eq(c.joiner, 3);
    replica_set_committed(&set, 2, 1260);
    pulls(3, 25, 1300);
    ck_assert_int_eq(set.awaited, -1);
    ck_assert_int_eq(set.high_watermark, 25);

    begin(ids(1, 2, 0), 2);
    grows(20);
    pulls(2, 20, 1100);
    pulls(3, 15, 1150);
    grows(30);
    ck_assert(!pulls(2, 30, 1200));
    ck_assert(!replica_set_awaited_long(&set, 2100));
    ck_assert(replica_set_awaited_long(&set, 2150));
    ck_assert_int_eq(set.high_watermark, 30);
    pulls(3, 25, 2200);
    ck_assert_int_eq(set.awaited, -1);

    begin(ids(1, 2, 0), 2);
    grows(20);
    pulls(2, 20, 1100);
    pulls(3, 15, 1150);
    grows(30);
    replica_set_parted(&set, 3); /* it stops: not waited for */
    ck_assert(pulls(2, 30, 1200));
    ck_assert_int_eq(set.high_watermark, 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replica");
    TCase *tc = tcase_create("replica");
    tcase_add_test(tc, sets);
    tcase_add_test(tc, high_watermark);
    tcase_add_test(tc, overtaken);
    tcase_add_test(tc, counted);
    tcase_add_test(tc, reached);
    tcase_add_test(tc, verdicts);
    tcase_add_test(tc, frozen);
    tcase_add_test(tc, raised);
    tcase_add_test(tc, lowered);
    tcase_add_test(tc, grown);
    tcase_add_test(tc, joins);
    tcase_add_test(tc, joins_after_start);
    tcase_add_test(tc, outcomes);
    tcase_add_test(tc, leaves);
    tcase_add_test(tc, eligible);
    tcase_add_test(tc, registers);
    tcase_add_test(tc, strikes);
    tcase_add_test(tc, near);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
