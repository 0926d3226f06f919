/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"

#define RIG_SETTLE_MS 10000

void rig_delivered(void *ctx, const struct kauri_record *r, int error, const char *message)
{
    struct rig *rig = ctx;
    size_t i = (size_t)(uintptr_t)r->opaque;
    ck_assert_uint_lt(i, rig->sent);
    struct rig_record *to = &rig->records[i];
    to->reports++;
    to->partition = r->partition;
    to->offset = r->offset;
    to->error = error;
    (void)snprintf(to->message, sizeof to->message, "%s", message);
    rig->reported++;
    rig->failed += error != 0;
}

struct rig *rig_new(struct kauri_options o)
{
    struct rig *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    r->s = fake_server_new();
    o.server = r->s->url;
    o.delivered = rig_delivered;
    o.ctx = r;
    ck_assert_int_eq(kauri_open(&o, &r->k), 0);
    return r;
}

struct rig *rig_free(struct rig *r)
{
    r->k = kauri_close(r->k);
    r->s = fake_server_free(r->s);
    free(r);
    return NULL;
}

int rig_send(struct rig *r, const char *topic, int32_t partition)
{
    char value[16];
    int size = snprintf(value, sizeof value, "%zu", r->sent);
    ck_assert_uint_lt(r->sent, RIG_RECORDS_MAX);
    struct kauri_record record = {
        .topic = topic,
        .partition = partition,
        .timestamp_ms = -1,
        .value = value,
        .value_size = (size_t)size,
        .opaque = (void *)(uintptr_t)r->sent,
    };
    int error = kauri_send(r->k, &record);
    r->sent += error == 0;
    return error;
}

void rig_send_many(struct rig *r, const char *topic, int32_t partition, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int error = rig_send(r, topic, partition);
        while (error == KAURI_AGAIN) {
            (void)kauri_poll(r->k, 100);
            error = rig_send(r, topic, partition);
        }
        ck_assert_msg(error == 0, "%s", kauri_message(r->k));
    }
}

static int64_t rig_now(void)
{
    const struct clock *clock = clock_real();
    return clock->mono_ms(clock);
}

void rig_settle(struct rig *r)
{
    int64_t until = rig_now() + RIG_SETTLE_MS;
    while (r->reported < r->sent && rig_now() < until)
        (void)kauri_poll(r->k, 100);
    ck_assert_uint_eq(r->reported, r->sent);
    ck_assert_uint_eq(kauri_outstanding(r->k), 0);
}

struct rig_walk {
    struct rig *rig;
    int32_t partition;
    long last; /* number of the record before */
    size_t found;
};

static void rig_stored(void *ctx, const struct batch_record *b)
{
    struct rig_walk *w = ctx;
    char text[16] = {0};
    ck_assert_uint_lt(b->value.size, sizeof text);
    memcpy(text, b->value.p, b->value.size);
    long i = strtol(text, NULL, 10);
    ck_assert_int_gt(i, w->last); /* in order, and so not twice */
    w->last = i;
    const struct rig_record *r = &w->rig->records[i];
    if (r->error != 0)
        return; /* reported as failed: it may be there */
    ck_assert_int_eq(r->partition, w->partition);
    if (r->offset != -1) /* acks none */
        ck_assert_int_eq(r->offset, b->offset);
    w->found++;
}

void rig_check(struct rig *r, const char *topic)
{
    struct rig_walk w = {.rig = r};
    for (size_t i = 0; i < r->sent; i++)
        ck_assert_uint_eq(r->records[i].reports, 1);
    fake_server_lock(r->s);
    const struct fake_topic *t = fake_log_topic(&r->s->log, topic);
    for (w.partition = 0; w.partition < t->partition_count; w.partition++) {
        w.last = -1;
        fake_log_records(&t->partitions[w.partition], rig_stored, &w);
    }
    fake_server_unlock(r->s);
    ck_assert_uint_eq(w.found, r->sent - r->failed);
}

struct fake_partition *rig_partition(struct rig *r, const char *topic, int32_t partition)
{
    return &fake_log_topic(&r->s->log, topic)->partitions[partition];
}

int rig_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 20);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
