/* SPDX-License-Identifier: MIT
 *
 * test_node: whether the system went down under the last run is known at the next start, however
 * that ended, until a registration told it; and a folder belongs to one cluster.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/broker/broker_priv.h"
#include "test/unit/broker/rig.h"

static bool unclean(struct rig *g, int64_t told)
{
    int64_t is;
    bool yes = broker_node_unclean(g->broker, &is);
    ck_assert_int_eq(is, told);
    return yes;
}

static void boot(struct rig *g, uint8_t id)
{
    memset(g->boot_id, id, sizeof g->boot_id);
}

START_TEST(endings)
{
    /* how it ended, the boot ids before and after, what the start says */
    static const struct {
        char how;
        uint8_t before;
        uint8_t after;
        bool unclean;
    } rows[] = {
        {'s', 1, 1, false}, {'s', 1, 2, false}, {'s', 0, 0, false}, {'k', 1, 1, false},
        {'k', 1, 2, true},  {'c', 1, 2, true},  {'k', 0, 0, true},  {'k', 0, 1, true},
        {'k', 1, 0, true},  {'c', 1, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        struct ship_node before, after;
        rig_init(&g, i, 0);
        boot(&g, rows[i].before);
        rig_open(&g);
        ck_assert(!unclean(&g, -1)); /* a new folder lost nothing */
        ck_assert(!broker_node_settled(g.broker));
        rig_run(&g);
        ck_assert(broker_node_settled(g.broker));
        broker_node_self(g.broker, &before);
        rig_create(&g, "t", 1, "durability=os");
        rig_put_tag(&g, "t", 1);
        if (rows[i].how == 's')
            rig_stop(&g);
        else if (rows[i].how == 'k')
            rig_kill(&g);
        else
            rig_cut(&g, i);
        boot(&g, rows[i].after);
        rig_open(&g);
        ck_assert_msg(unclean(&g, -1) == rows[i].unclean, "row %zu", i);
        broker_node_self(g.broker, &after);
        ck_assert_mem_eq(before.folder, after.folder, 16);
        ck_assert(before.incarnation != after.incarnation && after.id == 1);
        ck_assert_mem_eq(after.boot, g.boot_id, 16);
        ck_assert_str_eq(after.native, "tcp://rig:7092");
        ck_assert_str_eq(after.kafka_host, "rig");
        ck_assert_int_eq(after.kafka_port, 9092);
        rig_deinit(&g);
    }
}
END_TEST

/* It stays known over clean runs until it was told, and comes again with the next loss. */
START_TEST(until_told)
{
    struct rig g;
    rig_init(&g, 1, 0);
    boot(&g, 1);
    rig_open(&g);
    rig_run(&g);
    rig_cut(&g, 1);
    boot(&g, 2);
    for (unsigned i = 0; i < 3; i++) {
        rig_open(&g);
        ck_assert(unclean(&g, -1));
        rig_run(&g);
        rig_stop(&g);
    }
    rig_open(&g);
    broker_node_told(g.broker, 7); /* while the start is being written down */
    rig_run(&g);
    rig_reopen(&g, false);
    ck_assert(unclean(&g, 7));
    broker_node_told(g.broker, 9); /* known already */
    rig_run(&g);
    rig_reopen(&g, true);
    ck_assert(unclean(&g, 7));
    rig_run(&g);
    rig_cut(&g, 2);
    boot(&g, 3);
    rig_open(&g);
    ck_assert(unclean(&g, -1));
    rig_run(&g);
    broker_node_told(g.broker, 12);
    rig_run(&g);
    rig_reopen(&g, false);
    ck_assert(unclean(&g, 12));
    rig_deinit(&g);
}
END_TEST

/* The mark of a clean end never outlives the start behind it, wherever that is cut; and a stop that
 * is cut has it only when all was synced. */
START_TEST(cut_at_every_step)
{
    unsigned clean = 0, lost = 0;
    for (unsigned n = 0; n < 80; n++) {
        struct rig g;
        rig_init(&g, n, 0);
        boot(&g, 1);
        rig_open(&g);
        rig_create(&g, "t", 1, "durability=os");
        rig_stop(&g);
        rig_open(&g);
        ck_assert(!unclean(&g, -1));
        for (unsigned i = 0; i < 50 && !broker_node_settled(g.broker); i++) {
            rig_turn(&g);
            (void)work_sim_step(g.work);
        }
        ck_assert(broker_node_settled(g.broker));
        rig_put_tag(&g, "t", 1);
        broker_stop(g.broker);
        for (unsigned k = 0; k < n % 6 && !broker_stopped(g.broker); k++) {
            rig_turn(&g);
            (void)work_sim_step(g.work);
        }
        rig_cut(&g, n);
        boot(&g, 2);
        rig_open(&g);
        if (unclean(&g, -1)) {
            lost++;
        } else {
            clean++;
            ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 1);
        }
        rig_deinit(&g);
    }
    ck_assert_uint_gt(clean, 5);
    ck_assert_uint_gt(lost, 5);
}
END_TEST

/* No space for the record: it is not settled, and that is tried again. */
START_TEST(no_space)
{
    struct rig g;
    rig_init(&g, 3, 0);
    boot(&g, 1);
    rig_open(&g);
    rig_run(&g);
    rig_stop(&g);
    rig_open(&g);
    io_fault_plan(g.fault,
                  (struct io_fault_plan){
                      .fail_at = 1, .error = IO_FULL, .forever = true, .space_only = true});
    rig_run(&g);
    ck_assert(!broker_node_settled(g.broker));
    rig_advance(&g, 3000);
    ck_assert(!broker_node_settled(g.broker));
    rig_fail(&g, 0, false);
    rig_advance(&g, 3000);
    ck_assert(broker_node_settled(g.broker));
    rig_cut(&g, 3);
    boot(&g, 2);
    rig_open(&g);
    ck_assert(unclean(&g, -1));
    rig_deinit(&g);
}
END_TEST

/* What came out of a snapshot is another folder, and only once another. */
START_TEST(restored)
{
    struct rig g;
    struct ship_node before, after, again;
    rig_init(&g, 4, 0);
    boot(&g, 1);
    rig_open(&g);
    rig_run(&g);
    broker_node_self(g.broker, &before);
    rig_kill(&g);
    ck_assert_int_eq(io_write_file(g.disk, RIG_DIR, RIG_DIR "/restored", slice_str("x")), 0);
    boot(&g, 2);
    rig_open(&g);
    broker_node_self(g.broker, &after);
    ck_assert(memcmp(before.folder, after.folder, 16) != 0);
    ck_assert(!unclean(&g, -1)); /* it never counted */
    rig_run(&g);
    rig_cut(&g, 1);
    rig_open(&g);
    broker_node_self(g.broker, &again);
    ck_assert_mem_eq(again.folder, after.folder, 16);
    rig_deinit(&g);
}
END_TEST

START_TEST(clusters)
{
    struct rig g;
    struct broker_info info;
    char own[23];
    rig_init(&g, 1, 0);
    g.join = "AAECAwQFBgcICQoLDA0ODw";
    rig_open(&g);
    broker_info(g.broker, &info);
    ck_assert_str_eq(info.cluster_id, g.join);
    rig_reopen(&g, true);
    rig_stop(&g);
    g.join = NULL;
    rig_open(&g);
    broker_info(g.broker, &info);
    ck_assert_str_eq(info.cluster_id, "AAECAwQFBgcICQoLDA0ODw");
    rig_stop(&g);
    g.join = "AQECAwQFBgcICQoLDA0ODw";
    ck_assert_int_eq(rig_try_open(&g), BROKER_OPEN_CLUSTER);
    g.broker = NULL;
    rig_deinit(&g);
    rig_init(&g, 2, 0);
    g.join = "not an id";
    ck_assert_int_lt(rig_try_open(&g), 0);
    g.join = NULL;
    rig_open(&g); /* of its own */
    broker_info(g.broker, &info);
    memcpy(own, info.cluster_id, sizeof own);
    ck_assert(info.fresh);
    rig_stop(&g);
    g.join = own;
    rig_open(&g);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node");
    TCase *t = tcase_create("node");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, endings);
    tcase_add_test(t, until_told);
    tcase_add_test(t, cut_at_every_step);
    tcase_add_test(t, no_space);
    tcase_add_test(t, restored);
    tcase_add_test(t, clusters);
    suite_add_tcase(s, t);
    return rig_main(s);
}
