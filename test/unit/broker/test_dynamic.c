/* SPDX-License-Identifier: MIT
 *
 * test_dynamic: settings that change while the broker runs: several keys together or none, of this
 * broker or of the cluster, lists edited in place, the whole set replaced; and log starts that move
 * while a partition is not open yet.
 */
#include <check.h>
#include <stdlib.h>

#include "test/unit/broker/rig.h"

static const char *value_of(struct rig *g, const char *key)
{
    const char *value = config_get(g->config, key, NULL);
    ck_assert_ptr_nonnull(value);
    return value;
}

static enum config_origin origin_of(struct rig *g, const char *key)
{
    enum config_origin from = CONFIG_FROM_DEFAULT;
    ck_assert_ptr_nonnull(config_get(g->config, key, &from));
    return from;
}

static const char *own_of(struct rig *g, const char *topic, const char *key)
{
    const char *name, *value;
    const struct config_topic *t = broker_topic_overrides(g->broker, slice_str(topic));
    ck_assert_ptr_nonnull(t);
    for (size_t i = 0; config_topic_at(t, i, &name, &value); i++)
        if (strcmp(name, key) == 0)
            return value;
    return "(none)";
}

/* One bad entry: nothing of the request happens. */
START_TEST(all_or_none)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    rig_admin_config(&a, "num.partitions", "3");
    rig_admin_config(&a, "log.retention.ms", "never");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_CONFIG);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "1");
    a.req.config_count = 1;
    rig_admin_config(&a, "node.id", "4");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(a.req.message, "restart"));
    a.req.config_count = 1;
    rig_admin_config(&a, "log.retention.mss", "4");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(a.req.message, "did you mean \"log.retention.ms\""));
    ck_assert_str_eq(value_of(&g, "num.partitions"), "1");
    a.req.config_count = 1;
    rig_admin_config(&a, "log.retention.ms", "1h");
    rig_admin_config(&a, "delete.topic.enable", "false");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(value_of(&g, "num.partitions"), "3");
        ck_assert_str_eq(value_of(&g, "log.retention.ms"), "3600000");
        ck_assert_str_eq(value_of(&g, "delete.topic.enable"), "false");
        rig_reopen(&g, i == 0);
    }
    rig_deinit(&g);
}
END_TEST

/* Power fails at any moment: both keys changed, or neither. */
START_TEST(together_through_a_crash)
{
    size_t both = 0, none = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig g;
        struct rig_admin *a = calloc(1, sizeof *a);
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_admin_init(a, BROKER_CONFIG_ALTER, NULL);
        rig_admin_config(a, "num.partitions", "3");
        rig_admin_config(a, "topics.max", "17");
        rig_admin_start(&g, a);
        for (uint64_t i = 0; i < seed % 4 && a->done == 0; i++) {
            rig_turn(&g);
            work_drain(g.work);
        }
        bool told = a->done == 1 && a->req.status == BROKER_OK;
        rig_cut(&g, seed);
        rig_open(&g);
        bool first = strcmp(value_of(&g, "num.partitions"), "3") == 0;
        bool second = strcmp(value_of(&g, "topics.max"), "17") == 0;
        ck_assert(first == second);
        ck_assert(first || !told);
        both += first;
        none += !first;
        rig_deinit(&g);
        free(a);
    }
    ck_assert_uint_gt(both, 0);
    ck_assert_uint_gt(none, 0);
}
END_TEST

START_TEST(of_the_cluster)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 2, 0);
    rig_set(&g, "num.partitions", "2");
    rig_open(&g);
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    a.req.cluster = true;
    rig_admin_config(&a, "num.partitions", "5");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "5");
    ck_assert_int_eq(origin_of(&g, "num.partitions"), CONFIG_FROM_CLUSTER);
    ck_assert_int_eq(rig_alter_broker(&g, "num.partitions", "7"), BROKER_OK);
    rig_reopen(&g, false);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "7");
    ck_assert_int_eq(origin_of(&g, "num.partitions"), CONFIG_FROM_DYNAMIC);
    ck_assert_int_eq(rig_alter_broker(&g, "num.partitions", NULL), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "5");
    a.req.config_count = 0;
    rig_admin_config(&a, "num.partitions", NULL);
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "2");
    ck_assert_int_eq(origin_of(&g, "num.partitions"), CONFIG_FROM_FLAG);
    rig_deinit(&g);
}
END_TEST

START_TEST(whole_sets)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 3, 0);
    rig_open(&g);
    ck_assert_int_eq(rig_alter_broker(&g, "num.partitions", "7"), BROKER_OK);
    ck_assert_int_eq(rig_alter_broker(&g, "topics.max", "70"), BROKER_OK);
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    a.req.replace = a.req.cluster = true; /* another origin: leaves those alone */
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "topics.max"), "70");
    a.req.cluster = false;
    rig_admin_config(&a, "num.partitions", "8");
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "topics.max"), "70");
    a.req.validate_only = false;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "8");
    ck_assert_str_eq(value_of(&g, "topics.max"), "100000");
    a.req.config_count = 0;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(value_of(&g, "num.partitions"), "1");
    rig_create(&g, "t", 1, "retention.ms=5");
    ck_assert_int_eq(rig_alter(&g, "t", "segment.bytes", "64K"), BROKER_OK);
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    a.req.replace = true;
    rig_admin_config(&a, "retention.bytes", "9");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", "retention.bytes"), "9");
    ck_assert_str_eq(own_of(&g, "t", "retention.ms"), "(none)");
    ck_assert_str_eq(own_of(&g, "t", "segment.bytes"), "(none)");
    rig_deinit(&g);
}
END_TEST

static enum broker_status edit(struct rig *g, const char *topic, enum config_edit how,
                               const char *key, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, topic != NULL ? BROKER_TOPIC_ALTER : BROKER_CONFIG_ALTER, topic);
    rig_admin_config(&a, key, value);
    a.configs[0].edit = how;
    return rig_admin_run(g, &a);
}

START_TEST(lists)
{
    struct rig g;
    static const char key[] = "leader.replication.throttled.replicas";
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, "cleanup.policy", "Compact"), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", "cleanup.policy"), "delete,compact"); /* to the default */
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_SUBTRACT, "cleanup.policy", "DELETE"), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", "cleanup.policy"), "compact");
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_SUBTRACT, "cleanup.policy", "compact"),
                     BROKER_BAD_CONFIG); /* none is left */
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, "cleanup.policy", "keep"),
                     BROKER_BAD_CONFIG);
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, "cleanup.policy", NULL), BROKER_BAD_CONFIG);
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, "retention.ms", "5"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, "no.key", "5"), BROKER_BAD_CONFIG);
    ck_assert_str_eq(own_of(&g, "t", "cleanup.policy"), "compact");
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, key, "0:1, 1:1,0:1"), BROKER_OK);
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_APPEND, key, "1:1,2:1"), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", key), "0:1,1:1,2:1");
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_SUBTRACT, key, "1:1,9:9"), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", key), "0:1,2:1");
    ck_assert_int_eq(edit(&g, "t", CONFIG_EDIT_SUBTRACT, key, "2:1,0:1"), BROKER_OK);
    ck_assert_str_eq(own_of(&g, "t", key), "");
    ck_assert_int_eq(edit(&g, NULL, CONFIG_EDIT_APPEND, "log.cleanup.policy", "compact"),
                     BROKER_OK);
    ck_assert_str_eq(value_of(&g, "log.cleanup.policy"), "delete,compact");
    ck_assert_int_eq(edit(&g, NULL, CONFIG_EDIT_APPEND, "num.partitions", "5"), BROKER_BAD_CONFIG);
    rig_deinit(&g);
}
END_TEST

/* A partition that is only being opened is waited for. */
START_TEST(trim_while_it_loads)
{
    struct rig g;
    struct rig_admin a, gone;
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "u", 1, NULL);
    for (int i = 0; i < 3; i++) {
        rig_put_tag(&g, "t", (uint64_t)i + 1);
        rig_put_tag(&g, "u", (uint64_t)i + 1);
    }
    rig_reopen(&g, false);
    rig_admin_init(&a, BROKER_TOPIC_TRIM, "t");
    a.req.partitions = 0;
    a.req.before = 2;
    rig_admin_start(&g, &a);
    rig_admin_init(&gone, BROKER_TOPIC_TRIM, "t");
    gone.req.partitions = 0;
    gone.req.before = 4;
    rig_admin_start(&g, &gone);
    rig_run(&g);
    ck_assert_uint_eq(a.done, 1);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_eq(a.req.log_start, 2);
    ck_assert_int_eq(gone.req.status, BROKER_OFFSET_OUT_OF_RANGE);
    rig_admin_init(&gone, BROKER_TOPIC_TRIM, "u");
    gone.req.partitions = 0;
    rig_admin_start(&g, &gone);
    ck_assert_int_eq(rig_delete(&g, "u"), BROKER_OK);
    ck_assert_uint_eq(gone.done, 1);
    ck_assert_int_eq(gone.req.status, BROKER_UNKNOWN_TOPIC);
    rig_reopen(&g, false);
    ck_assert_int_eq(rig_trim(&g, "t", 0, 1), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

START_TEST(trim_of_compacted)
{
    struct rig g;
    rig_init(&g, 6, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    rig_create(&g, "u", 1, "cleanup.policy=compact,delete");
    ck_assert_int_eq(rig_trim(&g, "t", 0, 0), BROKER_DENIED);
    ck_assert_int_eq(rig_trim(&g, "u", 0, 0), BROKER_OK);
    ck_assert_int_eq(rig_trim(&g, "u", 0, 1), BROKER_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(rig_trim(&g, "u", 0, -2), BROKER_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(rig_trim(&g, "u", 1, 0), BROKER_UNKNOWN_PARTITION);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("broker dynamic");
    TCase *t = tcase_create("dynamic");
    tcase_add_test(t, all_or_none);
    tcase_add_test(t, together_through_a_crash);
    tcase_add_test(t, of_the_cluster);
    tcase_add_test(t, whole_sets);
    tcase_add_test(t, lists);
    tcase_add_test(t, trim_while_it_loads);
    tcase_add_test(t, trim_of_compacted);
    suite_add_tcase(s, t);
    return rig_main(s);
}
