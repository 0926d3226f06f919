/* SPDX-License-Identifier: MIT
 *
 * test_topics: the catalogue as its users meet it: names, limits, every operation with what it
 * refuses, lists and configs. What of it survives is in test_catalogue.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "test/unit/broker/rig.h"

static enum broker_status create(struct rig *g, struct rig_admin *a, const char *topic,
                                 int32_t partitions)
{
    rig_admin_init(a, BROKER_TOPIC_CREATE, topic);
    a->req.partitions = partitions;
    return rig_admin_run(g, a);
}

static enum broker_status create_name(struct rig *g, const void *name, size_t size)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "");
    a.req.topic = slice_of(name, size);
    return rig_admin_run(g, &a);
}

START_TEST(names_by_the_rules)
{
    static const char *const good[] = {"a", "A-Z_a.z-09", "...", "_x", "-", "view", "a-0", "LOCK"};
    static const char *const bad[] = {"",    ".",   "..",    "a/b", "a b",        "a+b",
                                      "a,b", "a:b", "t\xc3", "a\n", "lost+found", "a\\b"};
    struct rig g;
    char longest[250];
    memset(longest, 'n', sizeof longest);
    rig_init(&g, 1, 0);
    rig_open(&g);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_int_eq(create_name(&g, good[i], strlen(good[i])), BROKER_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(create_name(&g, bad[i], strlen(bad[i])) == BROKER_BAD_TOPIC_NAME, "%s",
                      bad[i]);
    ck_assert_int_eq(create_name(&g, "a\0b", 3), BROKER_BAD_TOPIC_NAME);
    ck_assert_int_eq(create_name(&g, longest, 250), BROKER_BAD_TOPIC_NAME);
    ck_assert_int_eq(create_name(&g, longest, 249), BROKER_OK);
    ck_assert_int_eq(create_name(&g, "__own", 5), BROKER_DENIED);
    longest[249] = '\0';
    ck_assert_int_eq(rig_put_tag(&g, longest, 7), 0);
    rig_reopen(&g, false);
    ck_assert_uint_eq(rig_tag_at(&g, longest, 0, 0), 7);
    rig_deinit(&g);
}
END_TEST

START_TEST(create_answers)
{
    struct rig g;
    struct rig_admin a, b;
    static const uint8_t zero[16];
    rig_init(&g, 2, 0);
    rig_set(&g, "num.partitions", "3");
    rig_open(&g);
    ck_assert_int_eq(create(&g, &a, "one", -1), BROKER_OK);
    ck_assert_int_eq(a.req.partition_count, 3);
    ck_assert_str_eq(a.req.message, "");
    ck_assert_int_eq(create(&g, &b, "two", 5), BROKER_OK);
    ck_assert_int_eq(b.req.partition_count, 5);
    ck_assert_int_ne(memcmp(a.req.topic_id, b.req.topic_id, 16), 0);
    ck_assert_int_ne(memcmp(a.req.topic_id, zero, 16), 0);
    struct broker_topic_info info;
    ck_assert_int_eq(broker_topic(g.broker, slice_str("two"), &info), 0);
    ck_assert_int_eq(memcmp(info.id, b.req.topic_id, 16), 0);
    ck_assert_int_eq(info.partition_count, 5);
    ck_assert_int_eq(info.replication, 1);
    ck_assert(!info.internal);
    ck_assert_int_eq(create(&g, &a, "one", 1), BROKER_TOPIC_EXISTS);
    ck_assert_str_eq(a.req.message, "topic \"one\" exists already");
    struct broker_info all;
    broker_info(g.broker, &all);
    ck_assert_uint_eq(all.topics, 2);
    ck_assert_uint_eq(all.partitions, 8);
    ck_assert(all.fresh);
    rig_deinit(&g);
}
END_TEST

START_TEST(create_leniently)
{
    struct rig g;
    struct rig_admin a;
    struct broker_topic_info info;
    rig_init(&g, 4, 0);
    rig_open(&g);
    ck_assert_int_eq(rig_alter_broker(&g, "replication.factor.lenient", "true"), BROKER_OK);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.replication = 3;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_int_eq(a.req.replication, 1);
    ck_assert_int_eq(broker_topic(g.broker, slice_str("t"), &info), 0);
    ck_assert_int_eq(info.replication, 1);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "u");
    a.req.replication = 0;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REPLICATION);
    rig_deinit(&g);
}
END_TEST

START_TEST(create_refuses)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 3, 0);
    rig_open(&g);
    ck_assert_int_eq(create(&g, &a, "t", 0), BROKER_BAD_PARTITIONS);
    ck_assert_int_eq(create(&g, &a, "t", -2), BROKER_BAD_PARTITIONS);
    ck_assert_int_eq(create(&g, &a, "t", INT32_MAX), BROKER_BAD_PARTITIONS);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.replication = 2;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REPLICATION);
    ck_assert_str_eq(
        a.req.message,
        "Unable to replicate the partition 2 time(s): The target replication factor of 2 "
        "cannot be reached because only 1 broker(s) are registered.");
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.replication = 0;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REPLICATION);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    rig_admin_config(&a, "retention.ms", "1h");
    rig_admin_config(&a, "segment.bytse", "1M");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(a.req.message, "segment.bytes"));
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert(!rig_has_topic(&g, "t"));
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.replication = 1;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

START_TEST(automatic_creation)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.automatic = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_int_eq(rig_alter_broker(&g, "auto.create.topics.enable", "false"), BROKER_OK);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "u");
    a.req.automatic = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_UNKNOWN_TOPIC);
    a.req.automatic = false;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

START_TEST(collisions)
{
    struct rig g;
    struct rig_admin a, b;
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "a.b_c", 1, NULL);
    ck_assert_int_eq(create(&g, &a, "a_b_c", 1), BROKER_TOPIC_EXISTS);
    ck_assert_ptr_nonnull(strstr(a.req.message, "a.b_c"));
    ck_assert_int_eq(create(&g, &a, "a.b-c", 1), BROKER_OK);
    ck_assert_int_eq(create(&g, &a, "a.b_cc", 1), BROKER_OK);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "x.y"); /* both under way */
    rig_admin_init(&b, BROKER_TOPIC_CREATE, "x_y");
    rig_admin_start(&g, &a);
    rig_admin_start(&g, &b);
    rig_run(&g);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_ne(b.req.status, BROKER_OK);
    ck_assert(!rig_has_topic(&g, "x_y"));
    rig_deinit(&g);
}
END_TEST

/* Limits hold for what is there and for what is under way together. */
START_TEST(limits)
{
    struct rig g;
    struct rig_admin a[6];
    static const char *const names[] = {"t1", "t2", "t3", "t4", "t5", "t6"};
    unsigned made = 0;
    rig_init(&g, 6, 0);
    rig_set(&g, "topics.max", "5");
    rig_set(&g, "partitions.max", "7");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (size_t i = 0; i < 6; i++) {
        rig_admin_init(&a[i], BROKER_TOPIC_CREATE, names[i]);
        rig_admin_start(&g, &a[i]);
    }
    rig_run(&g);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(a[i].req.status, i < 4 ? BROKER_OK : BROKER_BUSY);
        made += a[i].req.status == BROKER_OK;
    }
    ck_assert_uint_eq(made, 4);
    ck_assert_int_eq(rig_delete(&g, "t4"), BROKER_OK);
    ck_assert_int_eq(create(&g, &a[0], "big", 4), BROKER_BAD_PARTITIONS);
    ck_assert_int_eq(create(&g, &a[0], "big", 3), BROKER_OK);
    rig_admin_init(&a[0], BROKER_TOPIC_GROW, "t");
    a[0].req.partitions = 2;
    ck_assert_int_eq(rig_admin_run(&g, &a[0]), BROKER_BAD_PARTITIONS);
    ck_assert_int_eq(rig_delete(&g, "t1"), BROKER_OK);
    rig_admin_init(&a[1], BROKER_TOPIC_GROW, "t2");
    a[1].req.partitions = 2;
    rig_admin_start(&g, &a[0]);
    rig_admin_start(&g, &a[1]);
    rig_run(&g);
    ck_assert_int_eq(a[0].req.status, BROKER_OK);
    ck_assert_int_eq(a[1].req.status, BROKER_BAD_PARTITIONS);
    ck_assert_int_eq(create(&g, &a[0], "more", 1), BROKER_BAD_PARTITIONS);
    rig_deinit(&g);
}
END_TEST

START_TEST(delete_and_make_again)
{
    struct rig g;
    struct broker_topic_info before, after;
    rig_init(&g, 7, 0);
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    rig_create(&g, "t-1", 1, NULL);
    ck_assert_int_eq(rig_put_tag(&g, "t", 1), 0);
    ck_assert_int_eq(rig_put_tag(&g, "t", 2), 1);
    ck_assert_int_eq(rig_put_tag(&g, "t-1", 3), 0);
    ck_assert_int_eq(broker_topic(g.broker, slice_str("t"), &before), 0);
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
    ck_assert(!rig_has_topic(&g, "t"));
    ck_assert(!rig_has_folder(&g, "t-0"));
    ck_assert(rig_has_folder(&g, "t-1-0"));
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_UNKNOWN_TOPIC);
    struct rig_batch b = {.tag = 4};
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_UNKNOWN_TOPIC);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic(g.broker, slice_str("t"), &after), 0);
    ck_assert_int_ne(memcmp(before.id, after.id, 16), 0);
    ck_assert_int_eq(rig_end(&g, "t", 0), 0);
    ck_assert_int_eq(rig_put_tag(&g, "t", 5), 0);
    rig_reopen(&g, true);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 5);
    ck_assert_uint_eq(rig_tag_at(&g, "t-1", 0, 0), 3);
    ck_assert_int_eq(rig_alter_broker(&g, "delete.topic.enable", "false"), BROKER_OK);
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_DENIED);
    ck_assert(rig_has_topic(&g, "t"));
    rig_deinit(&g);
}
END_TEST

/* Work that waits for a round of a partition that is being deleted is answered, not done. */
START_TEST(delete_under_load)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rig g;
        struct rig_admin a;
        struct rig_produce *p[12];
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 2, NULL);
        rig_create(&g, "u", 1, NULL);
        rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
        for (size_t i = 0; i < 12; i++) {
            struct rig_batch b = {.tag = i};
            p[i] = rig_produce_new(-1);
            rig_produce_add(p[i], "t", (int32_t)i % 2, &b);
            rig_produce_add(p[i], "u", 0, &b);
            rig_produce_start(&g, p[i]);
            if (i == seed % 12)
                rig_admin_start(&g, &a);
            rig_turn(&g);
            if (i % 3 == seed % 3)
                (void)work_sim_step(g.work);
        }
        rig_run(&g);
        ck_assert_uint_eq(a.done, 1);
        ck_assert_int_eq(a.req.status, BROKER_OK);
        for (size_t i = 0; i < 12; i++) {
            ck_assert_uint_eq(p[i]->done, 1);
            ck_assert(p[i]->items[0].status == BROKER_OK ||
                      p[i]->items[0].status == BROKER_UNKNOWN_TOPIC);
            ck_assert_int_eq(p[i]->items[1].status, BROKER_OK);
            rig_produce_free(p[i]);
        }
        ck_assert(!rig_has_folder(&g, "t-"));
        rig_stop(&g);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(grow)
{
    struct rig g;
    struct rig_admin a;
    struct rig_batch b = {.tag = 9};
    int64_t offset;
    rig_init(&g, 8, 0);
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    ck_assert_int_eq(rig_put_tag(&g, "t", 1), 0);
    ck_assert_int_eq(rig_put(&g, "t", 3, &b, NULL), BROKER_UNKNOWN_PARTITION);
    rig_admin_init(&a, BROKER_TOPIC_GROW, "t");
    a.req.partitions = 2;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_PARTITIONS);
    ck_assert_str_eq(a.req.message, "topic \"t\" has 2 partitions; the number can only grow");
    a.req.partitions = 4;
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 3, &b, NULL), BROKER_UNKNOWN_PARTITION);
    a.req.validate_only = false;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_int_eq(a.req.partition_count, 4);
    ck_assert_int_eq(rig_put(&g, "t", 3, &b, &offset), BROKER_OK);
    ck_assert_int_eq(offset, 0);
    rig_reopen(&g, false);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 1);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 3, 0), 9);
    rig_admin_init(&a, BROKER_TOPIC_GROW, "none");
    a.req.partitions = 4;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_UNKNOWN_TOPIC);
    rig_deinit(&g);
}
END_TEST

START_TEST(alter)
{
    struct rig g;
    struct rig_admin a;
    struct rig_batch big = {.value_size = 5000};
    rig_init(&g, 9, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_OK);
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    rig_admin_config(&a, "max.message.bytes", "4K");
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_OK);
    ck_assert_int_eq(rig_alter(&g, "t", "max.message.bytes", "4K"), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_BATCH_TOO_LARGE);
    rig_reopen(&g, false);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_BATCH_TOO_LARGE);
    ck_assert_int_eq(rig_alter(&g, "t", "max.message.bytes", "x"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(rig_alter(&g, "t", "log.retention.ms", "1"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(rig_alter(&g, "none", "retention.ms", "1"), BROKER_UNKNOWN_TOPIC);
    ck_assert_int_eq(rig_alter(&g, "t", "max.message.bytes", NULL), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

/* A change while the partition is being recovered reaches it, whichever ends first. */
START_TEST(alter_while_loading)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct rig g;
        struct rig_admin a;
        struct rig_batch big = {.value_size = 3000};
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_OK);
        rig_kill(&g);
        rig_open(&g);
        rig_turn(&g); /* starts the load, holds it back */
        rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
        rig_admin_config(&a, "segment.bytes", "2K");
        rig_admin_start(&g, &a);
        rig_turn(&g);
        rig_run(&g);
        ck_assert_int_eq(a.req.status, BROKER_OK);
        ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_BATCH_TOO_LARGE);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(busy)
{
    struct rig g;
    struct rig_admin a, b, c, d;
    rig_init(&g, 11, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    rig_admin_config(&a, "retention.ms", "1000");
    rig_admin_init(&b, BROKER_TOPIC_GROW, "t");
    b.req.partitions = 2;
    rig_admin_init(&c, BROKER_TOPIC_CREATE, "new");
    rig_admin_init(&d, BROKER_TOPIC_CREATE, "new");
    rig_admin_start(&g, &a);
    rig_admin_start(&g, &b);
    rig_admin_start(&g, &c);
    rig_admin_start(&g, &d);
    rig_run(&g);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_eq(b.req.status, BROKER_BUSY);
    ck_assert_int_eq(c.req.status, BROKER_OK);
    ck_assert_int_eq(d.req.status, BROKER_BUSY);
    ck_assert_int_eq(rig_admin_run(&g, &b), BROKER_OK); /* not for ever */
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    rig_admin_config(&a, "num.partitions", "2");
    rig_admin_init(&b, BROKER_CONFIG_ALTER, NULL);
    rig_admin_config(&b, "num.partitions", "3");
    rig_admin_start(&g, &a);
    rig_admin_start(&g, &b);
    rig_run(&g);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_eq(b.req.status, BROKER_BUSY);
    rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
    rig_admin_init(&b, BROKER_TOPIC_DELETE, "t");
    rig_admin_start(&g, &a);
    rig_admin_start(&g, &b);
    rig_run(&g);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_eq(b.req.status, BROKER_BUSY);
    broker_stop(g.broker);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "late");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_STOPPING);
    rig_deinit(&g);
}
END_TEST

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The list against a sorted array; a topic that is being deleted is not in it. */
START_TEST(list_in_order)
{
    struct rig g;
    struct random random;
    char names[60][8];
    rig_init(&g, 12, 0);
    rig_open(&g);
    random_init(&random, 12);
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(names[i], sizeof names[i], "%c%c%u", "ab-.A_"[random_below(&random, 6)],
                       "xyZ"[random_below(&random, 3)], (unsigned)i);
        rig_create(&g, names[i], 1, NULL);
    }
    qsort(names, 60, sizeof names[0], compare);
    struct broker_topic_info info = {.name = SLICE_NULL};
    char after[8];
    size_t count = 0;
    struct slice last = SLICE_NULL;
    for (; broker_topic_after(g.broker, last, &info) == 0; count++) {
        ck_assert(slice_equal(info.name, slice_str(names[count])));
        (void)snprintf(after, sizeof after, "%s", names[count]);
        last = slice_str(after);
    }
    ck_assert_uint_eq(count, 60);
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_DELETE, names[0]);
    rig_admin_start(&g, &a);
    rig_turn(&g);
    while (rig_has_topic(&g, names[0]))
        ck_assert(work_sim_step(g.work));
    ck_assert_uint_eq(a.done, 0);
    ck_assert_int_eq(broker_topic_after(g.broker, SLICE_NULL, &info), 0);
    ck_assert(slice_equal(info.name, slice_str(names[1])));
    struct rig_admin again;
    rig_admin_init(&again, BROKER_TOPIC_CREATE, names[0]);
    rig_admin_start(&g, &again);
    rig_turn(&g);
    ck_assert_uint_eq(again.done, 1);
    ck_assert_int_eq(again.req.status, BROKER_BUSY);
    rig_run(&g);
    ck_assert_int_eq(broker_topic_after(g.broker, slice_str("zz"), &info), 1);
    rig_deinit(&g);
}
END_TEST

struct seen {
    const char *key;
    char value[64];
    char source[16];
    size_t count;
};

static void on_config(void *ctx, const char *key, const char *value, const char *source,
                      const char *help)
{
    struct seen *s = ctx;
    ck_assert_str_ne(help, "");
    s->count++;
    if (strcmp(key, s->key) != 0)
        return;
    (void)snprintf(s->value, sizeof s->value, "%s", value);
    (void)snprintf(s->source, sizeof s->source, "%s", source);
}

static void expect_config(struct rig *g, const char *topic, const char *key, const char *value,
                          const char *source)
{
    struct seen s = {.key = key};
    broker_configs(g->broker, topic != NULL ? slice_str(topic) : SLICE_NULL, on_config, &s);
    ck_assert_uint_gt(s.count, 20);
    ck_assert_str_eq(s.value, value);
    ck_assert_str_eq(s.source, source);
}

START_TEST(configs_and_their_sources)
{
    struct rig g;
    rig_init(&g, 13, 0);
    rig_set(&g, "log.segment.bytes", "64K");
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=1h");
    expect_config(&g, "t", "retention.ms", "3600000", "topic");
    expect_config(&g, "t", "segment.bytes", "65536", "broker");
    expect_config(&g, "t", "cleanup.policy", "delete", "default");
    expect_config(&g, NULL, "log.segment.bytes", "65536", "flag");
    expect_config(&g, NULL, "num.partitions", "1", "default");
    ck_assert_int_eq(rig_alter_broker(&g, "log.segment.bytes", "128K"), BROKER_OK);
    expect_config(&g, NULL, "log.segment.bytes", "131072", "dynamic");
    expect_config(&g, "t", "segment.bytes", "131072", "broker");
    struct seen none = {.key = "retention.ms"};
    broker_configs(g.broker, slice_str("none"), on_config, &none);
    ck_assert_uint_eq(none.count, 0);
    rig_deinit(&g);
}
END_TEST

/* The same from the side of a topic, or of one that is to be. */
struct walk {
    const char *key;
    char value[64];
    char own[64]; /* "" none */
    enum config_origin from;
    size_t count;
};

static void on_setting(void *ctx, const struct broker_config *setting)
{
    struct walk *w = ctx;
    w->count++;
    if (strcmp(setting->row->name, w->key) != 0)
        return;
    (void)snprintf(w->value, sizeof w->value, "%s", setting->value);
    (void)snprintf(w->own, sizeof w->own, "%s", setting->own != NULL ? setting->own : "");
    ck_assert_uint_gt(setting->step_count, 0);
    w->from = setting->steps[0].from;
}

static void expect_setting(struct rig *g, const struct config_topic *overrides, const char *key,
                           const char *value, const char *own, enum config_origin from)
{
    struct walk w = {.key = key};
    broker_config_each(g->broker, overrides, on_setting, &w);
    ck_assert_uint_gt(w.count, 20);
    ck_assert_str_eq(w.value, value);
    ck_assert_str_eq(w.own, own);
    ck_assert_int_eq(w.from, from);
}

START_TEST(settings_and_what_speaks_for_them)
{
    struct rig g;
    struct rig_admin deletion;
    struct config_topic coming = {0};
    char why[256];
    rig_init(&g, 15, 0);
    rig_set(&g, "log.segment.bytes", "64K");
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=1h");
    const struct config_topic *t = broker_topic_overrides(g.broker, slice_str("t"));
    ck_assert_ptr_nonnull(t);
    expect_setting(&g, t, "retention.ms", "3600000", "3600000", CONFIG_FROM_DEFAULT);
    expect_setting(&g, t, "segment.bytes", "65536", "", CONFIG_FROM_FLAG);
    expect_setting(&g, t, "cleanup.policy", "delete", "", CONFIG_FROM_DEFAULT);
    expect_setting(&g, NULL, "log.segment.bytes", "65536", "", CONFIG_FROM_FLAG);
    ck_assert_int_eq(rig_alter_broker(&g, "log.segment.bytes", "128K"), BROKER_OK);
    expect_setting(&g, NULL, "log.segment.bytes", "131072", "", CONFIG_FROM_DYNAMIC);
    ck_assert_int_eq(config_topic_set(&coming, slice_str("segment.bytes"), slice_str("1M"), why),
                     0);
    expect_setting(&g, &coming, "segment.bytes", "1048576", "1048576", CONFIG_FROM_DYNAMIC);
    config_topic_deinit(&coming);
    ck_assert_ptr_null(broker_topic_overrides(g.broker, slice_str("u")));
    rig_admin_init(&deletion, BROKER_TOPIC_DELETE, "t");
    rig_admin_start(&g, &deletion);
    for (int i = 0; i < 100 && rig_has_topic(&g, "t"); i++) {
        work_drain(g.work);
        rig_turn(&g);
    }
    ck_assert_uint_eq(deletion.done, 0); /* decided, under way */
    ck_assert_ptr_null(broker_topic_overrides(g.broker, slice_str("t")));
    rig_run(&g);
    ck_assert_int_eq(deletion.req.status, BROKER_OK);
    ck_assert_ptr_null(broker_topic_overrides(g.broker, slice_str("t")));
    rig_deinit(&g);
}
END_TEST

START_TEST(dynamic_broker_configs)
{
    struct rig g;
    struct rig_admin a;
    struct rig_batch big = {.value_size = 5000};
    rig_init(&g, 14, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(rig_alter_broker(&g, "message.max.bytes", "4K"), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_BATCH_TOO_LARGE);
    for (int clean = 0; clean < 2; clean++) {
        rig_reopen(&g, clean == 1);
        expect_config(&g, NULL, "message.max.bytes", "4096", "dynamic");
        ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_BATCH_TOO_LARGE);
    }
    ck_assert_int_eq(rig_alter_broker(&g, "message.max.bytes", NULL), BROKER_OK);
    ck_assert_int_eq(rig_alter_broker(&g, "message.max.bytes", NULL),
                     BROKER_OK); /* nothing to do */
    ck_assert_int_eq(rig_put(&g, "t", 0, &big, NULL), BROKER_OK);
    rig_reopen(&g, false);
    expect_config(&g, NULL, "message.max.bytes", "1048588", "default");
    ck_assert_int_eq(rig_alter_broker(&g, "node.id", "7"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(rig_alter_broker(&g, "no.such.key", "7"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(rig_alter_broker(&g, "retention.ms", "7"), BROKER_BAD_CONFIG);
    ck_assert_int_eq(rig_alter_broker(&g, "message.max.bytes", "x"), BROKER_BAD_CONFIG);
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REQUEST);
    rig_admin_config(&a, "message.max.bytes", "1M");
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    expect_config(&g, NULL, "message.max.bytes", "1048588", "default");
    rig_admin_config(&a, "message.max.bytes", "2M");
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_CONFIG); /* twice */
    rig_deinit(&g);
}
END_TEST

START_TEST(status_texts)
{
    for (int i = 0; i < BROKER_STATUS_COUNT; i++) {
        const char *text = broker_status_text((enum broker_status)i);
        ck_assert_str_ne(text, "");
        ck_assert_str_ne(text, "unknown status");
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(text, broker_status_text((enum broker_status)k));
    }
}
END_TEST

/* A topic is found by its id, as long as it is there; one of the same name has another. */
START_TEST(found_by_id)
{
    struct rig g;
    struct broker_topic_info a, b;
    uint8_t none[16] = {1};
    rig_init(&g, 3, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic(g.broker, slice_str("t"), &a), 0);
    ck_assert_int_eq(broker_topic_by_id(g.broker, a.id, &b), 0);
    ck_assert_uint_eq(b.name.size, 1);
    ck_assert_int_eq(broker_topic_by_id(g.broker, none, &b), 1);
    rig_reopen(&g, false);
    ck_assert_int_eq(broker_topic_by_id(g.broker, a.id, &b), 0);
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
    ck_assert_int_eq(broker_topic_by_id(g.broker, a.id, &b), 1);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic_by_id(g.broker, a.id, &b), 1);
    ck_assert_int_eq(broker_topic(g.broker, slice_str("t"), &b), 0);
    ck_assert_mem_ne(a.id, b.id, sizeof a.id);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("topics");
    TCase *t = tcase_create("topics");
    tcase_add_test(t, names_by_the_rules);
    tcase_add_test(t, create_answers);
    tcase_add_test(t, create_leniently);
    tcase_add_test(t, create_refuses);
    tcase_add_test(t, automatic_creation);
    tcase_add_test(t, collisions);
    tcase_add_test(t, limits);
    tcase_add_test(t, delete_and_make_again);
    tcase_add_test(t, delete_under_load);
    tcase_add_test(t, grow);
    tcase_add_test(t, alter);
    tcase_add_test(t, alter_while_loading);
    tcase_add_test(t, busy);
    tcase_add_test(t, list_in_order);
    tcase_add_test(t, configs_and_their_sources);
    tcase_add_test(t, settings_and_what_speaks_for_them);
    tcase_add_test(t, dynamic_broker_configs);
    tcase_add_test(t, found_by_id);
    tcase_add_test(t, status_texts);
    suite_add_tcase(s, t);
    return rig_main(s);
}
