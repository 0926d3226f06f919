/* SPDX-License-Identifier: MIT
 *
 * test_mirror: two brokers, the records of one mirrored to the other while both change, end and
 * start again: topics, settings and quotas are the same afterwards, folders of topics that are gone
 * are gone, and a topic made anew under an old name begins empty.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "test/unit/broker/rig.h"

#define NAMES 5

struct pair {
    struct rig leader;
    struct rig follower;
    struct random rnd;
    int64_t since;
    unsigned mirrors;          /* with news */
    unsigned anew;             /* topics that came again under another id */
    uint8_t filled[NAMES][16]; /* id of the topic that has records at the follower */
    int64_t count[NAMES];      /* and how many */
};

struct mirror {
    struct broker_mirror m;
    unsigned done;
    int result;
};

static void mirror_done(struct broker_mirror *m, int result)
{
    struct mirror *own = m->ctx;
    own->done++;
    own->result = result;
}

/* Asks the leader and starts the mirror. False: nothing is to be done, or not now. */
static bool mirror_start(struct pair *p, struct mirror *m)
{
    struct coord_changes news = {0};
    *m = (struct mirror){.m = {.done = mirror_done}};
    m->m.ctx = m;
    coord_changes(p->leader.broker->coord, p->since, cluster_mirrored, &news);
    int r = broker_mirror(p->follower.broker, &m->m, &news);
    p->since = r == BROKER_MIRROR_BUSY ? p->since : news.revision;
    coord_changes_deinit(&news);
    ck_assert_int_ne(r, BROKER_MIRROR_BAD);
    ck_assert_uint_eq(m->done, 0);
    p->mirrors += r == 0;
    return r == 0;
}

static void mirror_all(struct pair *p)
{
    struct mirror m;
    rig_run(&p->leader);
    if (!mirror_start(p, &m))
        return;
    rig_run(&p->follower);
    ck_assert(m.done == 1 && m.result == 0);
}

static void pair_init(struct pair *p, uint64_t seed)
{
    *p = (struct pair){.since = -1};
    random_init(&p->rnd, seed);
    rig_init(&p->leader, seed, 0);
    rig_init(&p->follower, seed + 1, 0);
    rig_open(&p->leader);
    rig_open(&p->follower);
}

static void pair_deinit(struct pair *p)
{
    ck_assert_uint_eq(p->leader.errors + p->follower.errors, 0);
    rig_deinit(&p->leader);
    rig_deinit(&p->follower);
}

/* --- what a broker says of itself --- */

static void say_config(void *ctx, const char *key, const char *value, const char *source,
                       const char *help)
{
    ck_assert_ptr_nonnull(help);
    buf_printf(ctx, "  %s=%s (%s)\n", key, value, source);
}

static void say_quota(void *ctx, const struct quota_entity *e, const struct quota_values *values)
{
    quota_entity_encode(e, ctx);
    for (unsigned i = 0; i < QUOTA_KEY_COUNT; i++)
        buf_printf(ctx, " %g", values->v[i]);
    buf_printf(ctx, "\n");
}

static void say(struct rig *g, struct buf *out)
{
    struct broker_topic_info info;
    struct slice after = SLICE_NULL;
    while (broker_topic_after(g->broker, after, &info) == 0) {
        char id[23];
        const struct topic *t = broker_find_topic(g->broker, info.name);
        catalog_id_text(info.id, id);
        buf_printf(out, "%.*s %s %d %d %d\n", (int)info.name.size, (const char *)info.name.p, id,
                   info.partition_count, info.replication, t->record.spread);
        broker_configs(g->broker, info.name, say_config, out);
        after = info.name;
    }
    broker_configs(g->broker, SLICE_NULL, say_config, out);
    broker_quotas_each(g->broker, say_quota, out);
    buf_append_u8(out, 0);
}

static void expect_same(struct pair *p)
{
    struct buf a CLEANUP(buf_deinit) = {0}, b CLEANUP(buf_deinit) = {0};
    struct coord_changes x = {0}, y = {0};
    say(&p->leader, &a);
    say(&p->follower, &b);
    size_t at = 0;
    while (a.p[at] != 0 && a.p[at] == b.p[at])
        at++;
    ck_assert_msg(a.p[at] == b.p[at], "the leader says \"%.300s\", the follower \"%.300s\"",
                  (const char *)a.p + at, (const char *)b.p + at);
    coord_changes(p->leader.broker->coord, -1, cluster_mirrored, &x);
    coord_diff(p->follower.broker->coord, &x, cluster_mirrored, &y);
    ck_assert_uint_eq(y.count, 0);
    coord_changes_deinit(&x);
    coord_changes_deinit(&y);
    ck_assert(!rig_has_folder(&p->follower, "lost+found"));
    coord_changes(p->follower.broker->coord, -1, NULL, &x);
    for (size_t i = 0; i < x.count; i++)
        ck_assert_msg(x.v[i].key.size < 9 || memcmp(x.v[i].key.p, CLUSTER_GONE, 9) != 0,
                      "%.*s stays", (int)x.v[i].key.size, (const char *)x.v[i].key.p);
    coord_changes_deinit(&x);
}

/* --- steps by hand --- */

static void quota(struct rig *g, const char *client, double value)
{
    struct rig_admin a;
    struct broker_quota_value v = {QUOTA_PRODUCE, value, value <= 0};
    rig_admin_init(&a, BROKER_QUOTA_ALTER, NULL);
    a.req.entity = (struct quota_entity){.client = true, .name = slice_str(client)};
    a.req.quotas = &v;
    a.req.quota_count = 1;
    ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
}

static void cluster_config(struct rig *g, const char *key, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    a.req.cluster = true;
    rig_admin_config(&a, key, value);
    ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
}

static int32_t partitions(struct rig *g, const char *topic)
{
    struct broker_topic_info info;
    return broker_topic(g->broker, slice_str(topic), &info) == 0 ? info.partition_count : -1;
}

static void grow(struct rig *g, const char *topic, int32_t to)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_GROW, topic);
    a.req.partitions = to;
    ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
}

START_TEST(each_change)
{
    struct pair p;
    pair_init(&p, 1);
    mirror_all(&p);
    rig_create(&p.leader, "t", 2, "retention.ms=1h");
    mirror_all(&p);
    ck_assert_int_eq(partitions(&p.follower, "t"), 2);
    ck_assert(!rig_has_folder(&p.follower, "t-0"));
    grow(&p.leader, "t", 4);
    mirror_all(&p);
    ck_assert_int_eq(partitions(&p.follower, "t"), 4);
    ck_assert_int_eq(rig_alter(&p.leader, "t", "max.message.bytes", "100"), BROKER_OK);
    cluster_config(&p.leader, "num.partitions", "6");
    quota(&p.leader, "c", 1e6);
    mirror_all(&p);
    expect_same(&p);
    struct rig_batch big = {.value_size = 200};
    ck_assert_int_eq(rig_put(&p.follower, "t", 3, &big, NULL), BROKER_BATCH_TOO_LARGE);
    ck_assert(broker_quota_any(p.follower.broker, QUOTA_PRODUCE));
    ck_assert_int_eq(rig_alter(&p.leader, "t", "max.message.bytes", NULL), BROKER_OK);
    cluster_config(&p.leader, "num.partitions", NULL);
    quota(&p.leader, "c", 0);
    mirror_all(&p);
    expect_same(&p);
    ck_assert_int_eq(rig_put(&p.follower, "t", 3, &big, NULL), BROKER_OK);
    ck_assert(!broker_quota_any(p.follower.broker, QUOTA_PRODUCE));
    ck_assert(rig_has_folder(&p.follower, "t-3"));
    ck_assert_int_eq(rig_delete(&p.leader, "t"), BROKER_OK);
    mirror_all(&p);
    ck_assert(!rig_has_topic(&p.follower, "t") && !rig_has_folder(&p.follower, "t-"));
    expect_same(&p);
    mirror_all(&p);
    p.since = -1;
    unsigned before = p.mirrors;
    mirror_all(&p); /* a whole answer without news writes nothing */
    ck_assert_uint_eq(p.mirrors, before);
    pair_deinit(&p);
}
END_TEST

/* The follower was away while a topic was deleted and made anew; it ends at every step of that. */
START_TEST(made_anew)
{
    for (unsigned n = 0; n < 60; n++) {
        struct pair p;
        struct mirror m;
        pair_init(&p, n);
        rig_create(&p.leader, "t", 3, NULL);
        mirror_all(&p);
        rig_put_tag(&p.follower, "t", 1);
        ck_assert_int_eq(rig_delete(&p.leader, "t"), BROKER_OK);
        if (n % 3 != 2)
            rig_create(&p.leader, "t", 2, NULL);
        p.since = n % 2 ? p.since : -1;
        ck_assert(mirror_start(&p, &m));
        for (unsigned k = 0; k < n / 3; k++) {
            rig_turn(&p.follower);
            (void)work_sim_step(p.follower.work);
        }
        if (n % 2)
            rig_kill(&p.follower);
        else
            rig_cut(&p.follower, n);
        ck_assert_uint_eq(m.done, 1); /* it failed, with everything else */
        rig_open(&p.follower);
        rig_run(&p.follower);
        p.since = -1;
        mirror_all(&p);
        ck_assert_int_eq(partitions(&p.follower, "t"), n % 3 != 2 ? 2 : -1);
        if (n % 3 != 2)
            ck_assert_int_eq(rig_end(&p.follower, "t", 0), 0);
        expect_same(&p);
        pair_deinit(&p);
    }
}
END_TEST

/* The leader decided a deletion and went; whoever leads then finishes it. */
START_TEST(deletion_is_inherited)
{
    for (unsigned n = 0; n < 2; n++) {
        struct pair p;
        struct rig_admin a;
        struct slice value;
        int64_t revision;
        pair_init(&p, 7);
        rig_create(&p.leader, "t", 1, NULL);
        rig_put_tag(&p.leader, "t", 1);
        mirror_all(&p);
        rig_put_tag(&p.follower, "t", 1);
        rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
        rig_admin_start(&p.leader, &a);
        struct topic *t = broker_find_topic(p.leader.broker, slice_str("t"));
        for (unsigned i = 0; i < 100 && !t->deleting; i++) {
            rig_turn(&p.leader);
            (void)work_sim_step(p.leader.work);
        }
        ck_assert(t->deleting);
        struct mirror m;
        ck_assert(mirror_start(&p, &m));
        rig_run(&p.follower);
        ck_assert(!rig_has_topic(&p.follower, "t") && !rig_has_folder(&p.follower, "t-0"));
        if (n == 1)
            rig_reopen(&p.follower, true);
        else
            ck_assert_int_eq(
                coord_get(p.follower.broker->coord, slice_str("topics/t"), &value, &revision), 0);
        broker_catalogue_lead(p.follower.broker);
        rig_run(&p.follower);
        ck_assert_int_eq(
            coord_get(p.follower.broker->coord, slice_str("topics/t"), &value, &revision),
            COORD_NONE);
        rig_create(&p.follower, "t", 4, NULL);
        ck_assert_int_eq(rig_end(&p.follower, "t", 0), 0);
        rig_run(&p.leader);
        pair_deinit(&p);
    }
}
END_TEST

/* A broker that led comes back with changes that nobody else has: they go. */
START_TEST(deposed)
{
    struct pair p;
    pair_init(&p, 8);
    rig_create(&p.leader, "both", 1, NULL);
    mirror_all(&p);
    rig_create(&p.follower, "mine", 2, NULL); /* as if it had led */
    rig_put_tag(&p.follower, "mine", 5);
    rig_put_tag(&p.follower, "both", 6);
    ck_assert_int_eq(rig_delete(&p.follower, "both"), BROKER_OK);
    ck_assert_int_eq(rig_producer_id(&p.follower), 0);
    (void)rig_producer_id(&p.leader);
    p.since = -1;
    mirror_all(&p);
    expect_same(&p);
    ck_assert(!rig_has_folder(&p.follower, "mine"));
    ck_assert_int_eq(rig_end(&p.follower, "both", 0), 0);
    pair_deinit(&p);
}
END_TEST

/* Turns and jobs, as many as chance says. */
static void some_steps(struct pair *p, struct rig *g)
{
    for (uint64_t k = random_below(&p->rnd, 8); k > 0; k--) {
        (void)work_sim_step(g->work);
        rig_turn(g);
    }
}

static void follower_again(struct pair *p)
{
    if (random_below(&p->rnd, 2))
        rig_kill(&p->follower);
    else
        rig_cut(&p->follower, random_u64(&p->rnd));
    rig_open(&p->follower);
    p->since = -1;
}

/* One mirror comes while what the last one began still goes on. */
START_TEST(one_after_another)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct pair p;
        struct mirror m[8] = {0};
        unsigned count = 0;
        pair_init(&p, seed);
        rig_create(&p.leader, "t", 3, NULL);
        mirror_all(&p);
        for (int32_t i = 0; i < 3; i++)
            ck_assert_int_eq(rig_put(&p.follower, "t", i, &(struct rig_batch){0}, NULL), BROKER_OK);
        while (count < 8) {
            if (rig_has_topic(&p.leader, "t"))
                ck_assert_int_eq(rig_delete(&p.leader, "t"), BROKER_OK);
            if (count % 2 || random_below(&p.rnd, 2))
                rig_create(&p.leader, "t", 1 + (int32_t)random_below(&p.rnd, 3), NULL);
            if (mirror_start(&p, &m[count]))
                count++;
            some_steps(&p, &p.follower);
        }
        if (seed % 3 == 0) {
            follower_again(&p);
        }
        rig_run(&p.follower);
        mirror_all(&p);
        expect_same(&p);
        for (int32_t i = 0; i < partitions(&p.leader, "t"); i++)
            ck_assert_int_eq(rig_end(&p.follower, "t", i), 0);
        pair_deinit(&p);
    }
}
END_TEST

/* It was removing a topic that the others still have: it goes as a whole, and comes back empty. */
START_TEST(deposed_while_deleting)
{
    for (uint64_t seed = 0; seed < 800; seed++) {
        struct pair p;
        struct mirror m;
        struct rig_admin a;
        pair_init(&p, seed);
        rig_create(&p.leader, "t", 3, NULL);
        mirror_all(&p);
        for (int32_t i = 0; i < 3; i++)
            ck_assert_int_eq(rig_put(&p.follower, "t", i, &(struct rig_batch){0}, NULL), BROKER_OK);
        rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
        rig_admin_start(&p.follower, &a);
        const struct topic *t = broker_find_topic(p.follower.broker, slice_str("t"));
        for (unsigned i = 0; i < 100 && !t->deleting; i++) {
            (void)work_sim_step(p.follower.work);
            rig_turn(&p.follower);
        }
        ck_assert(t->deleting);
        if (seed % 4 > 1)
            some_steps(&p, &p.follower);
        p.since = -1;
        ck_assert(mirror_start(&p, &m));
        some_steps(&p, &p.follower);
        if (seed % 2) {
            follower_again(&p);
            ck_assert_uint_eq(m.done, 1);
        }
        rig_run(&p.follower);
        mirror_all(&p);
        expect_same(&p);
        for (int32_t i = 0; i < 3; i++)
            ck_assert_int_eq(rig_end(&p.follower, "t", i), 0);
        pair_deinit(&p);
    }
}
END_TEST

/* A change of its own first; records that are none; ids of producers across terms. */
START_TEST(refused)
{
    struct pair p;
    struct rig_admin a;
    struct coord_changes l = {0};
    struct mirror m = {.m = {.done = mirror_done}};
    static const char *const bad[][2] = {{"topics/../x", NULL},
                                         {"topics/t", "nonsense"},
                                         {"node/seat", "x"},
                                         {"brokercfg/num.partitions", "2"},
                                         {"topics/", NULL}};
    m.m.ctx = &m;
    pair_init(&p, 9);
    rig_create(&p.leader, "t", 1, NULL);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "own");
    rig_admin_start(&p.follower, &a);
    coord_changes(p.leader.broker->coord, -1, cluster_mirrored, &l);
    ck_assert_int_eq(broker_mirror(p.follower.broker, &m.m, &l), BROKER_MIRROR_BUSY);
    rig_run(&p.follower);
    ck_assert_int_eq(broker_mirror(p.follower.broker, &m.m, &l), 0);
    rig_run(&p.follower);
    coord_changes_deinit(&l);
    ck_assert(m.done == 1 && a.done == 1 && !rig_has_topic(&p.follower, "own"));
    expect_same(&p);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        coord_changes_add(&l, slice_str("clustercfg/num.partitions"), slice_str("3"));
        coord_changes_add(&l, slice_str(bad[i][0]),
                          bad[i][1] != NULL ? slice_str(bad[i][1]) : SLICE_NULL);
        ck_assert_int_eq(broker_mirror(p.follower.broker, &m.m, &l), BROKER_MIRROR_BAD);
        coord_changes_deinit(&l);
    }
    rig_run(&p.follower);
    expect_same(&p);
    pair_deinit(&p);
}
END_TEST

static void put_record(struct rig *g, const char *key, const struct buf *value)
{
    struct coord_changes l = {0};
    struct mirror m = {.m = {.done = mirror_done}};
    m.m.ctx = &m;
    coord_changes_add(&l, slice_str(key), buf_slice(value));
    ck_assert_int_eq(broker_mirror(g->broker, &m.m, &l), 0);
    rig_run(g);
    ck_assert_uint_eq(m.done, 1);
    coord_changes_deinit(&l);
}

/* No term hands out what an earlier one may have. */
START_TEST(producer_ids)
{
    struct rig g;
    struct cluster_leader leader = {.term = 3};
    struct broker_info info;
    struct buf value CLEANUP(buf_deinit) = {0};
    rig_init(&g, 11, 0);
    rig_open(&g);
    ck_assert_int_eq(rig_producer_id(&g), 0);
    ck_assert_int_eq(rig_producer_id(&g), 1);
    broker_info(g.broker, &info);
    leader.id = info.node_id;
    cluster_leader_encode(&leader, &value);
    put_record(&g, CLUSTER_LEADER_KEY, &value);
    buf_reset(&value);
    buf_append_le64(&value, 5000);
    put_record(&g, "seq/pid", &value);
    ck_assert_int_eq(rig_producer_id(&g), INT64_C(3) << 32);
    ck_assert_int_eq(rig_producer_id(&g), (INT64_C(3) << 32) + 1);
    rig_reopen(&g, false);
    rig_advance(&g, 2000); /* it leads again */
    ck_assert_int_eq(rig_producer_id(&g), (INT64_C(3) << 32) + 1000);
    rig_deinit(&g);
}
END_TEST

/* Explicit factors as far as there are brokers; what nobody asked for spreads. */
START_TEST(factors)
{
    struct rig g;
    struct rig_admin a;
    struct buf value CLEANUP(buf_deinit) = {0};
    rig_init(&g, 12, 0);
    rig_open(&g);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "alone");
    a.req.replication = 1;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    ck_assert(broker_find_topic(g.broker, slice_str("alone"))->record.spread);
    for (int32_t id = 1; id <= 3; id++) {
        struct cluster_broker node = {.id = id, .left = id == 3};
        char key[32];
        (void)snprintf(key, sizeof key, "brokers/%d", id);
        buf_reset(&value);
        cluster_broker_encode(&node, &value);
        put_record(&g, key, &value);
    }
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "three");
    a.req.replication = 3;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REPLICATION);
    ck_assert_str_eq(a.req.message,
                     "Unable to replicate the partition 3 time(s): The target replication factor "
                     "of 3 cannot be reached because only 2 broker(s) are registered.");
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "two");
    a.req.replication = 2;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    const struct topic *t = broker_find_topic(g.broker, slice_str("two"));
    ck_assert(t->record.replication == 2 && !t->record.spread);
    rig_create(&g, "default", 1, NULL);
    ck_assert(broker_find_topic(g.broker, slice_str("default"))->record.spread);
    rig_deinit(&g);
}
END_TEST

/* --- all of it, by seed --- */

static const char *const names[NAMES] = {"a", "b", "a-1", "c.d", "e"};

static void random_change(struct pair *p)
{
    struct rig *g = &p->leader;
    const char *name = names[random_below(&p->rnd, NAMES)];
    char text[32];
    bool there = rig_has_topic(g, name);
    switch (random_below(&p->rnd, 8)) {
    case 0:
    case 1:
        if (!there)
            rig_create(g, name, 1 + (int32_t)random_below(&p->rnd, 3), "segment.bytes=300");
        break;
    case 2:
        if (there)
            ck_assert_int_eq(rig_delete(g, name), BROKER_OK);
        break;
    case 3:
        if (there && partitions(g, name) < 6)
            grow(g, name, partitions(g, name) + 1);
        break;
    case 4:
        (void)snprintf(text, sizeof text, "%u", 1000 + (unsigned)random_below(&p->rnd, 9));
        if (there)
            ck_assert_int_eq(
                rig_alter(g, name, "retention.ms", random_below(&p->rnd, 3) ? text : NULL),
                BROKER_OK);
        break;
    case 5:
        (void)snprintf(text, sizeof text, "%u", 1 + (unsigned)random_below(&p->rnd, 9));
        cluster_config(g, "num.partitions", random_below(&p->rnd, 3) ? text : NULL);
        break;
    case 6:
        (void)snprintf(text, sizeof text, "c%u", (unsigned)random_below(&p->rnd, 4));
        quota(g, text, (double)random_below(&p->rnd, 3) * 100);
        break;
    default:
        (void)rig_producer_id(g);
    }
}

/* Gives a topic of the follower records, as if they had been pulled. */
static void random_fill(struct pair *p)
{
    size_t i = random_below(&p->rnd, NAMES);
    struct broker_topic_info info;
    if (broker_topic(p->follower.broker, slice_str(names[i]), &info) != 0)
        return;
    if (memcmp(info.id, p->filled[i], 16) != 0) {
        p->anew += p->count[i] > 0;
        p->count[i] = 0;
        memcpy(p->filled[i], info.id, 16);
    }
    ck_assert_int_eq(rig_put_tag(&p->follower, names[i], 1), p->count[i]);
    p->count[i]++;
}

static void random_end(struct pair *p)
{
    struct rig *g = random_below(&p->rnd, 2) ? &p->leader : &p->follower;
    struct mirror m = {0};
    if (g == &p->follower && random_below(&p->rnd, 2)) {
        rig_run(&p->leader);
        (void)mirror_start(p, &m);
        for (uint64_t k = random_below(&p->rnd, 20); k > 0; k--) {
            (void)work_sim_step(g->work);
            rig_turn(g);
        }
    }
    ck_assert_uint_eq(g->errors, 0);
    uint64_t how = random_below(&p->rnd, 3);
    if (how == 0)
        rig_stop(g);
    else if (how == 1)
        rig_kill(g);
    else
        rig_cut(g, random_u64(&p->rnd));
    if (random_below(&p->rnd, 2)) {
        meta_store_free(g->view);
        g->view = meta_store_new();
    }
    rig_open(g);
    coord_tidy_above(g->broker->coord, 2048);
    if (g == &p->follower)
        p->since = -1;
}

START_TEST(by_seed)
{
    unsigned anew = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct pair p;
        pair_init(&p, seed);
        for (unsigned n = 0; n < 150; n++) {
            random_change(&p);
            uint64_t dice = random_below(&p.rnd, 10);
            if (dice < 3)
                random_fill(&p);
            else if (dice < 7)
                mirror_all(&p);
            else if (dice == 7)
                random_end(&p);
            else if (dice == 8)
                rig_advance(random_below(&p.rnd, 2) ? &p.leader : &p.follower, 2000);
            if (random_below(&p.rnd, 10) == 0) {
                mirror_all(&p);
                expect_same(&p);
            }
        }
        anew += p.anew;
        pair_deinit(&p);
    }
    ck_assert_uint_gt(anew, 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mirror");
    TCase *t = tcase_create("mirror");
    tcase_set_timeout(t, 200);
    tcase_add_test(t, each_change);
    tcase_add_test(t, made_anew);
    tcase_add_test(t, deletion_is_inherited);
    tcase_add_test(t, deposed);
    tcase_add_test(t, one_after_another);
    tcase_add_test(t, deposed_while_deleting);
    tcase_add_test(t, refused);
    tcase_add_test(t, producer_ids);
    tcase_add_test(t, factors);
    tcase_add_test(t, by_seed);
    suite_add_tcase(s, t);
    return rig_main(s);
}
