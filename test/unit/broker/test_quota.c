/* SPDX-License-Identifier: MIT
 *
 * test_quota: whose quota counts, what it lets through over time, and quotas as records: changed,
 * refused, and there after a restart. Time is what the test says.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/rig.h"

static struct quota_entity entity(const char *text)
{
    struct quota_entity e;
    ck_assert_int_eq(quota_entity_decode(slice_str(text), &e), 0);
    return e;
}

static void give(struct quota_table *q, const char *who, double produce, double fetch, double share)
{
    struct quota_entity e = entity(who);
    struct quota_values v = {{produce, fetch, share}};
    quota_table_set(q, &e, &v);
    quota_table_check(q);
}

static uint32_t charge(struct quota_table *q, enum quota_key key, const char *client, double amount,
                       int64_t now_ms)
{
    struct quota_use use = {key, amount, now_ms};
    uint32_t wait = quota_table_charge(q, client != NULL ? slice_str(client) : SLICE_NULL, &use);
    quota_table_check(q);
    return wait;
}

/* 100 bytes a second: 1,000 in the first window for nothing, then as long as it takes. */
START_TEST(window)
{
    struct quota_table *q = quota_table_new(1);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1e9, 0), 0);
    give(q, "na", 100, 0, 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1000, 5000), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1, 5000), 10); /* 10.01 s of 10 */
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 99, 5500), 500);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 0, 15999), 1); /* the first is still seen */
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1000, 16000), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "b", 1e9, 16000), 0); /* no quota */
    ck_assert_uint_eq(charge(q, QUOTA_FETCH, "a", 1e9, 16000), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1e12, 16000), QUOTA_THROTTLE_MAX_MS);
    q = quota_table_free(q);
}
END_TEST

/* Who waits as told uses what the quota gives, whatever the size of its requests. */
START_TEST(rate_over_time)
{
    static const double sizes[] = {10, 999, 20000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct quota_table *q = quota_table_new(1);
        int64_t now = 0;
        double sum = 0;
        give(q, "d", 1000, 0, 0);
        while (now < 600000) {
            sum += sizes[i];
            now += 1 + charge(q, QUOTA_PRODUCE, "c", sizes[i], now);
        }
        ck_assert_double_ge(sum, 600 * 1000.0 * 0.9);
        ck_assert_double_le(sum, 600 * 1000.0 * 1.15 + 10000 + sizes[i]);
        q = quota_table_free(q);
    }
}
END_TEST

/* Half of the loop's time; a request of 8 s of work waits one second, no more. */
START_TEST(share_of_time)
{
    struct quota_table *q = quota_table_new(1);
    give(q, "u", 0, 0, 50);
    ck_assert_uint_eq(charge(q, QUOTA_TIME, "a", 5e6, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_TIME, "b", 5e4, 0), 100); /* one for all */
    ck_assert_uint_eq(charge(q, QUOTA_TIME, "c", 8e6, 0), QUOTA_TIME_MAX_MS);
    q = quota_table_free(q);
}
END_TEST

START_TEST(nearest)
{
    static const char *const order[] = {"una", "ud", "u", "na", "d"};
    for (int from = 0; from < 5; from++) {
        struct quota_table *q = quota_table_new(1);
        for (int i = from; i < 5; i++)
            give(q, order[i], 100 + i, 0, 0);
        ck_assert_double_eq(quota_table_bound(q, QUOTA_PRODUCE, slice_str("a")), 10 * (100 + from));
        give(q, order[from], 0, 7, 0); /* a value of another key is none */
        double next = from == 4 ? 0 : 10 * (101 + from);
        ck_assert_double_eq(quota_table_bound(q, QUOTA_PRODUCE, slice_str("a")), next);
        ck_assert_double_eq(quota_table_bound(q, QUOTA_FETCH, slice_str("a")), 70);
        q = quota_table_free(q);
    }
}
END_TEST

/* A default of clients is each client's for itself; the user's is shared. */
START_TEST(sharing)
{
    struct quota_table *q = quota_table_new(1);
    give(q, "d", 100, 0, 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1000, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "b", 1000, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, NULL, 1000, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "", 100, 0), 1000); /* none and empty are one */
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 100, 0), 1000);
    give(q, "u", 100, 0, 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "a", 1000, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "b", 100, 0), 1000);
    q = quota_table_free(q);
}
END_TEST

/* More clients than counters: the one unseen for longest is forgotten. */
START_TEST(many_clients)
{
    struct quota_table *q = quota_table_new(1);
    char name[16], longer[400];
    give(q, "d", 1, 0, 0);
    for (int i = 0; i <= QUOTA_COUNTERS_MAX; i++) {
        struct quota_use use = {QUOTA_PRODUCE, 10, 0};
        (void)snprintf(name, sizeof name, "c%d", i);
        ck_assert_uint_eq(quota_table_charge(q, slice_str(name), &use), 0);
    }
    ck_assert_uint_gt(charge(q, QUOTA_PRODUCE, "c1", 10, 0), 0);
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, "c0", 10, 0), 0);
    memset(longer, 'x', sizeof longer);
    longer[399] = '\0';
    ck_assert_uint_eq(charge(q, QUOTA_PRODUCE, longer, 10, 0), 0);
    longer[300] = 'y';
    ck_assert_uint_gt(charge(q, QUOTA_PRODUCE, longer, 10, 0), 0);
    q = quota_table_free(q);
}
END_TEST

START_TEST(bytes)
{
    static const char *const good[] = {"u", "d", "ud", "nx", "unx", "nu", "n\xff"};
    static const char *const bad[] = {"", "x", "uu", "dx", "udx", "uu"};
    struct quota_entity e;
    struct quota_values v = {{1, 0, 0.5}}, w;
    struct buf out = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        buf_reset(&out);
        e = entity(good[i]);
        quota_entity_encode(&e, &out);
        ck_assert(slice_equal(buf_slice(&out), slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(quota_entity_decode(slice_str(bad[i]), &e), 1);
    buf_reset(&out);
    quota_values_encode(&v, &out);
    ck_assert_int_eq(quota_values_decode(buf_slice(&out), &w), 0);
    ck_assert_mem_eq(&v, &w, sizeof v);
    for (size_t size = 0; size < out.size; size++)
        if (size % 9 != 1)
            ck_assert_int_eq(quota_values_decode(slice_of(out.p, size), &w), 1);
    out.p[1] = QUOTA_KEY_COUNT;
    ck_assert_int_eq(quota_values_decode(buf_slice(&out), &w), 1);
    memset(out.p + 1, 0xff, 9);
    out.p[1] = 0;
    ck_assert_int_eq(quota_values_decode(buf_slice(&out), &w), 1); /* not a number */
    out.p[0] = 2;
    ck_assert_int_eq(quota_values_decode(buf_slice(&out), &w), 1);
    buf_deinit(&out);
}
END_TEST

/* --- as records --- */

static enum broker_status alter(struct rig *g, const char *who, enum quota_key key, double value)
{
    struct rig_admin a;
    struct broker_quota_value v = {key, value, value == 0};
    rig_admin_init(&a, BROKER_QUOTA_ALTER, NULL);
    a.req.entity = entity(who);
    a.req.quotas = &v;
    a.req.quota_count = 1;
    return rig_admin_run(g, &a);
}

static void told(void *ctx, const struct quota_entity *e, const struct quota_values *v)
{
    struct buf *out = ctx;
    quota_entity_encode(e, out);
    buf_printf(out, "=%g/%g/%g ", v->v[0], v->v[1], v->v[2]);
}

static void expect(struct rig *g, const char *want)
{
    struct buf out = {0};
    broker_quotas_each(g->broker, told, &out);
    buf_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.p, want);
    buf_deinit(&out);
}

START_TEST(kept)
{
    struct rig g;
    rig_init(&g, 1, 0);
    rig_open(&g);
    ck_assert_int_eq(alter(&g, "na", QUOTA_PRODUCE, 100), BROKER_OK);
    ck_assert_int_eq(alter(&g, "na", QUOTA_FETCH, 200), BROKER_OK);
    ck_assert_int_eq(alter(&g, "ud", QUOTA_TIME, 12.5), BROKER_OK);
    for (int i = 0; i < 3; i++) {
        expect(&g, "na=100/200/0 ud=0/0/12.5 ");
        ck_assert(broker_quota_any(g.broker, QUOTA_TIME));
        ck_assert_double_eq(broker_quota_bound(g.broker, QUOTA_FETCH, slice_str("a")), 2000);
        rig_reopen(&g, i == 1);
    }
    ck_assert_int_eq(alter(&g, "ud", QUOTA_TIME, 0), BROKER_OK);
    ck_assert_int_eq(alter(&g, "na", QUOTA_PRODUCE, 0), BROKER_OK);
    ck_assert_int_eq(alter(&g, "nb", QUOTA_PRODUCE, 0), BROKER_OK); /* nothing to take away */
    rig_reopen(&g, false);
    expect(&g, "na=0/200/0 ");
    ck_assert(!broker_quota_any(g.broker, QUOTA_TIME));
    ck_assert_uint_gt(broker_quota_charge(g.broker, QUOTA_FETCH, slice_str("a"), 5000), 0);
    ck_assert_uint_eq(broker_quota_charge(g.broker, QUOTA_FETCH, slice_str("b"), 5000), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(refused)
{
    static const double bad[] = {-1, 0.5, 1e17, INFINITY, NAN};
    struct rig g;
    struct rig_admin a;
    struct broker_quota_value v[2] = {{QUOTA_PRODUCE, 1, false}, {QUOTA_PRODUCE, 2, false}};
    rig_init(&g, 2, 0);
    rig_open(&g);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(alter(&g, "na", QUOTA_PRODUCE, bad[i]), BROKER_BAD_REQUEST);
    ck_assert_int_eq(alter(&g, "na", QUOTA_TIME, -0.5), BROKER_BAD_REQUEST);
    rig_admin_init(&a, BROKER_QUOTA_ALTER, NULL);
    a.req.quotas = v;
    a.req.quota_count = 1;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REQUEST); /* of nobody */
    a.req.entity = (struct quota_entity){.client = true, .name = slice_str("")};
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REQUEST);
    a.req.entity.name = slice_of("a\0b", 3);
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REQUEST);
    a.req.entity = entity("na");
    a.req.quota_count = 2;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_BAD_REQUEST); /* twice */
    a.req.quota_count = 1;
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
    expect(&g, "");
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("broker quota");
    TCase *t = tcase_create("quota");
    tcase_add_test(t, window);
    tcase_add_test(t, rate_over_time);
    tcase_add_test(t, share_of_time);
    tcase_add_test(t, nearest);
    tcase_add_test(t, sharing);
    tcase_add_test(t, many_clients);
    tcase_add_test(t, bytes);
    tcase_add_test(t, kept);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    return rig_main(s);
}
