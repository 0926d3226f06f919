/* SPDX-License-Identifier: MIT */
#include "test/unit/broker/load.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"

static uint64_t load_below(struct load *l, uint64_t bound)
{
    return random_below(&l->random, bound);
}

static bool load_dead(const struct load *l)
{
    return l->rig->fatals > 0;
}

void load_init(struct load *l, struct rig *g, uint64_t seed)
{
    *l = (struct load){.rig = g, .producer_id = -1};
    random_init(&l->random, seed);
    for (size_t i = 0; i < LOAD_TOPICS; i++) {
        (void)snprintf(l->topics[i].name, sizeof l->topics[i].name, "t%zu", i);
        l->topics[i].os = i == 3;
    }
}

/* --- produce --- */

static int32_t load_batch_count(int32_t partition)
{
    return 1 + partition % 3;
}

static struct load_flight *load_slot(struct load *l)
{
    for (size_t i = 0; i < LOAD_FLIGHT_MAX; i++)
        if (l->flights[i].produce == NULL && l->flights[i].trim == NULL)
            return &l->flights[i];
    return NULL;
}

static void load_produce(struct load *l, struct load_topic *t, int32_t partition)
{
    struct load_partition *p = &t->parts[partition];
    struct load_flight *f = load_slot(l);
    int32_t count = load_batch_count(partition);
    if (f == NULL || p->refused || p->sent - p->acked >= 4 * count) /* five are remembered */
        return;
    ck_assert_int_lt(p->sent + count, LOAD_SENT_MAX);
    for (int32_t i = 0; i < count; i++)
        p->times[p->sent + i] = l->rig->clock.wall_now_ms;
    struct rig_batch b = {.producer = partition + 1,
                          .sequence = (int32_t)p->sent,
                          .count = count,
                          .timestamp = l->rig->clock.wall_now_ms,
                          .tag = t->incarnation << 32 | (uint64_t)p->sent,
                          .value_size = load_below(l, 200)};
    *f = (struct load_flight){.produce = rig_produce_new(-1), .topic = t, .partition = partition};
    rig_produce_add(f->produce, t->name, partition, &b);
    p->sent += count;
    rig_produce_start(l->rig, f->produce);
}

static void load_produced(struct load *l, struct load_flight *f)
{
    const struct broker_produce_item *item = &f->produce->items[0];
    struct load_partition *p = &f->topic->parts[f->partition];
    int32_t count = load_batch_count(f->partition);
    if (item->status == BROKER_UNKNOWN_TOPIC) {
        ck_assert(!f->topic->exists || f->topic->change != NULL);
        return;
    }
    if (item->status == BROKER_STORAGE && l->faulty) {
        p->refused = true;
        return;
    }
    ck_assert_msg(item->status == BROKER_OK, "produce: %s", broker_status_text(item->status));
    ck_assert_int_eq(item->base_offset, p->acked);
    p->acked += count;
    l->acknowledged += (uint64_t)count;
}

/* --- trims --- */

static void load_trim(struct load *l, struct load_topic *t, int32_t partition)
{
    struct load_partition *p = &t->parts[partition];
    struct load_flight *f = load_slot(l);
    if (f == NULL || p->acked == 0)
        return;
    *f = (struct load_flight){
        .trim = calloc(1, sizeof *f->trim), .topic = t, .partition = partition};
    ck_assert_ptr_nonnull(f->trim);
    rig_admin_init(f->trim, BROKER_TOPIC_TRIM, t->name);
    f->trim->req.partitions = partition;
    f->trim->req.before = (int64_t)load_below(l, (uint64_t)p->acked) / 2;
    if (f->trim->req.before > p->trimming)
        p->trimming = f->trim->req.before;
    rig_admin_start(l->rig, f->trim);
}

static void load_trimmed(struct load *l, struct load_flight *f)
{
    struct load_partition *p = &f->topic->parts[f->partition];
    enum broker_status s = f->trim->req.status;
    if (s == BROKER_STORAGE && l->faulty)
        return;
    ck_assert_msg(s == BROKER_OK || s == BROKER_BUSY || s == BROKER_UNKNOWN_TOPIC, "trim: %s",
                  broker_status_text(s));
    if (s != BROKER_OK)
        return;
    ck_assert_int_ge(f->trim->req.log_start, f->trim->req.before);
    if (f->trim->req.before > p->trimmed) /* where retention is may come again after a crash */
        p->trimmed = f->trim->req.before;
}

/* --- changes of a topic --- */

static void load_change(struct load *l, struct load_topic *t, enum broker_admin_op op)
{
    static const char *const limits[] = {"3000", "8000", "10800000"};
    if (t->change != NULL)
        return;
    t->change = calloc(1, sizeof *t->change);
    ck_assert_ptr_nonnull(t->change);
    rig_admin_init(t->change, op, t->name);
    uint64_t retention = load_below(l, 3);
    if (op == BROKER_TOPIC_CREATE) {
        t->change->req.partitions = 1 + (int32_t)load_below(l, 3);
        if (t->os)
            rig_admin_config(t->change, "durability", "os");
    } else if (op == BROKER_TOPIC_GROW) {
        t->change->req.partitions = t->partitions + 1;
    } else if (op == BROKER_TOPIC_ALTER) {
        t->change->req.before = strtoll(limits[retention], NULL, 10); /* remembered here */
        if (t->change->req.before < t->retention_least)
            t->retention_least = t->change->req.before;
        rig_admin_config(t->change, "retention.ms", limits[retention]);
    }
    rig_admin_start(l->rig, t->change);
}

static void load_made(struct load *l, struct load_topic *t, int32_t partitions)
{
    t->exists = true;
    t->partitions = partitions;
    t->retention = t->retention_least = INT64_C(604800000);
    t->incarnation = ++l->incarnations;
    memset(t->parts, 0, sizeof t->parts);
}

static void load_changed(struct load *l, struct load_topic *t)
{
    const struct broker_admin *a = &t->change->req;
    bool ok = a->status == BROKER_OK;
    if (a->op == BROKER_TOPIC_DELETE) /* a fault in mid-way: gone all the same */
        ck_assert(ok || a->status == BROKER_STORAGE);
    else
        ck_assert_msg(ok || a->status == BROKER_BUSY, "change: %s", broker_status_text(a->status));
    if (a->op == BROKER_TOPIC_DELETE)
        t->exists = false;
    else if (ok && a->op == BROKER_TOPIC_CREATE)
        load_made(l, t, a->partitions);
    else if (ok && a->op == BROKER_TOPIC_GROW)
        t->partitions = a->partitions;
    else if (ok && a->op == BROKER_TOPIC_ALTER)
        t->retention = a->before;
    free(t->change);
    t->change = NULL;
}

/* --- running --- */

static void load_answers(struct load *l)
{
    for (size_t i = 0; i < LOAD_TOPICS; i++)
        if (l->topics[i].change != NULL && l->topics[i].change->done > 0)
            load_changed(l, &l->topics[i]);
    for (size_t i = 0; i < LOAD_FLIGHT_MAX; i++) {
        struct load_flight *f = &l->flights[i];
        if (f->trim != NULL && f->trim->done > 0) {
            load_trimmed(l, f);
            free(f->trim);
            f->trim = NULL;
        }
    }
}

/* Produce answers in the order of the starts, for a partition: the smallest first. */
static void load_produce_answers(struct load *l)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < LOAD_FLIGHT_MAX; i++) {
            struct load_flight *f = &l->flights[i];
            if (f->produce == NULL || f->produce->done == 0)
                continue;
            const struct broker_produce_item *item = &f->produce->items[0];
            if (item->status == BROKER_OK &&
                item->base_offset > f->topic->parts[f->partition].acked)
                continue; /* behind another one that is still to be looked at */
            load_produced(l, f);
            rig_produce_free(f->produce);
            f->produce = NULL;
            more = true;
        }
    }
}

static void load_turn(struct load *l)
{
    switch (load_below(l, 6)) {
    case 0:
        rig_run(l->rig);
        break;
    case 1:
        rig_advance(l->rig, 700);
        break;
    case 2:
    case 3:
        rig_turn(l->rig);
        break;
    default:
        (void)work_sim_step(l->rig->work);
        rig_turn(l->rig);
        break;
    }
    load_produce_answers(l);
    load_answers(l);
}

static void load_operation(struct load *l)
{
    struct load_topic *t = &l->topics[load_below(l, LOAD_TOPICS)];
    uint64_t what = load_below(l, 100);
    if (!t->exists || t->change != NULL) {
        if (!t->exists && what < 70)
            load_change(l, t, BROKER_TOPIC_CREATE);
        return;
    }
    int32_t partition = (int32_t)load_below(l, (uint64_t)t->partitions);
    if (what < 80)
        load_produce(l, t, partition);
    else if (what < 84)
        load_trim(l, t, partition);
    else if (what < 88 && t->partitions < LOAD_PARTITIONS)
        load_change(l, t, BROKER_TOPIC_GROW);
    else if (what < 92)
        load_change(l, t, BROKER_TOPIC_ALTER);
    else if (what < 95)
        load_change(l, t, BROKER_TOPIC_DELETE);
}

void load_run(struct load *l, unsigned count)
{
    for (unsigned i = 0; i < count && !load_dead(l); i++) {
        load_operation(l);
        if (load_below(l, 3) == 0)
            load_turn(l);
    }
}

void load_settle(struct load *l)
{
    rig_run(l->rig);
    load_produce_answers(l);
    load_answers(l);
    for (size_t i = 0; i < LOAD_FLIGHT_MAX && !load_dead(l); i++)
        ck_assert(l->flights[i].produce == NULL && l->flights[i].trim == NULL);
}

/* --- the end, and what is left --- */

void load_crashed(struct load *l, bool power)
{
    for (size_t i = 0; i < LOAD_FLIGHT_MAX; i++) {
        rig_produce_free(l->flights[i].produce);
        free(l->flights[i].trim);
        l->flights[i] = (struct load_flight){0};
    }
    for (size_t i = 0; i < LOAD_TOPICS; i++)
        for (int32_t k = 0; k < LOAD_PARTITIONS; k++)
            if (power && l->topics[i].os)
                l->topics[i].parts[k].acked = 0;
}

/* What an unanswered change made of the topic: taken over when it is one of the two. */
static void load_check_topic(struct load *l, struct load_topic *t)
{
    struct broker_topic_info info;
    const struct broker_admin *a = t->change != NULL ? &t->change->req : NULL;
    bool there = broker_topic(l->rig->broker, slice_str(t->name), &info) == 0;
    if (there && !t->exists) {
        ck_assert(a != NULL && a->op == BROKER_TOPIC_CREATE);
        load_made(l, t, a->partitions);
    } else if (!there && t->exists) {
        ck_assert_msg(a != NULL && a->op == BROKER_TOPIC_DELETE, "%s is lost", t->name);
        t->exists = false;
    } else if (there && info.partition_count != t->partitions) {
        ck_assert(a != NULL && a->op == BROKER_TOPIC_GROW);
        t->partitions = a->partitions;
    }
    ck_assert(!there || info.partition_count == t->partitions);
}

static void load_on_config(void *ctx, const char *key, const char *value, const char *source,
                           const char *help)
{
    (void)source;
    (void)help;
    if (strcmp(key, "retention.ms") == 0)
        *(int64_t *)ctx = strtoll(value, NULL, 10);
}

static void load_check_config(struct load *l, struct load_topic *t)
{
    int64_t retention = -1;
    const struct broker_admin *a = t->change != NULL ? &t->change->req : NULL;
    broker_configs(l->rig->broker, slice_str(t->name), load_on_config, &retention);
    if (retention != t->retention) {
        ck_assert(a != NULL && a->op == BROKER_TOPIC_ALTER);
        ck_assert_int_eq(retention, a->before);
        t->retention = retention;
    }
}

static void load_check_partition(struct load *l, struct load_topic *t, int32_t partition)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    struct load_partition *p = &t->parts[partition];
    int64_t start = rig_start(l->rig, t->name, partition);
    int64_t end = rig_end(l->rig, t->name, partition);
    ck_assert_int_ge(start, p->trimmed);
    for (int64_t i = p->trimming; i < start; i++)
        ck_assert_int_lt(p->times[i], l->rig->clock.wall_now_ms - t->retention_least);
    ck_assert_msg(end >= p->acked, "%s-%d: acknowledged to %lld, ends at %lld", t->name, partition,
                  (long long)p->acked, (long long)end);
    ck_assert_int_le(end, p->sent);
    ck_assert_int_eq(end % load_batch_count(partition), 0);
    rig_read_all(l->rig, t->name, partition, start, &pairs);
    ck_assert_uint_eq(pairs.size, (size_t)(end - start) * 16);
    for (int64_t i = start; i < end; i++) {
        const uint8_t *pair = pairs.p + (i - start) * 16;
        ck_assert_int_eq((int64_t)bytes_le64(pair), i);
        ck_assert_uint_eq(bytes_le64(pair + 8), t->incarnation << 32 | (uint64_t)i);
    }
    p->acked = p->sent = end; /* sent again from here */
    p->refused = false;
}

/* All are open: whatever is too old goes in time. */
static void load_check_retention(struct load *l)
{
    rig_advance(l->rig, 1000);
    for (size_t i = 0; i < LOAD_TOPICS; i++) {
        const struct load_topic *t = &l->topics[i];
        for (int32_t k = 0; t->exists && k < t->partitions; k++) {
            int64_t start = rig_start(l->rig, t->name, k), end = rig_end(l->rig, t->name, k);
            int64_t oldest = l->rig->clock.wall_now_ms - t->retention - 1000;
            ck_assert_msg(start == end || t->parts[k].times[start] >= oldest,
                          "%s-%d: offset %lld is older than %lld ms", t->name, k, (long long)start,
                          (long long)t->retention);
        }
    }
}

void load_check(struct load *l)
{
    rig_run(l->rig);
    for (size_t i = 0; i < LOAD_TOPICS; i++) {
        struct load_topic *t = &l->topics[i];
        load_check_topic(l, t);
        if (t->exists)
            load_check_config(l, t);
        for (int32_t k = 0; t->exists && k < t->partitions; k++)
            load_check_partition(l, t, k);
        char prefix[16];
        (void)snprintf(prefix, sizeof prefix, "%s-", t->name);
        ck_assert(t->exists || !rig_has_folder(l->rig, prefix));
        free(t->change);
        t->change = NULL;
    }
    load_check_retention(l);
    int64_t id = rig_producer_id(l->rig);
    ck_assert_int_gt(id, l->producer_id);
    l->producer_id = id;
    broker_check(l->rig->broker);
}

void load_deinit(struct load *l)
{
    load_crashed(l, false);
    for (size_t i = 0; i < LOAD_TOPICS; i++)
        free(l->topics[i].change);
}
