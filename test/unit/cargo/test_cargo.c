/* SPDX-License-Identifier: MIT
 *
 * test_cargo: calls and answers come back as they went, with random contents and at their limits;
 * what is out of bounds is refused and leaves the asker's call alone.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "net/cargo/cargo.h"

#define ENTRIES   SHIP_PULL_ENTRIES_MAX
#define SIZE_MAX_ (8u << 20)

static struct random random_;
static struct arena arena;
static struct ship_pull_entry entries[ENTRIES];
static uint8_t raw[4096];

static void setup(void)
{
    random_init(&random_, 5);
    arena_init(&arena, (size_t)256 << 20);
    memset(entries, 0, sizeof entries);
}

static void teardown(void)
{
    arena_deinit(&arena);
}

static int64_t some_i64(int64_t least)
{
    switch (random_below(&random_, 4)) {
    case 0:
        return least;
    case 1:
        return INT64_MAX;
    default:
        return (int64_t)(random_u64(&random_) >> 1 >> random_below(&random_, 62));
    }
}

static int32_t some_i32(int32_t least)
{
    int64_t v = some_i64(least);
    return v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

static void some_text(char *to, size_t size_max)
{
    size_t size = random_below(&random_, 3) == 0 ? size_max - 1 : random_below(&random_, size_max);
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(0x20 + random_below(&random_, 0x5f));
    to[size] = '\0';
}

static void some_bytes(uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)random_u64(&random_);
}

static void some_cluster(char to[23])
{
    snprintf(to, 23, "%s", random_below(&random_, 2) == 0 ? "" : "Ab-_0123456789abcdefgh");
}

static void some_register(struct ship_register *r)
{
    r->node.id = some_i32(0);
    r->node.incarnation = random_u64(&random_);
    some_bytes(r->node.folder, 16);
    some_bytes(r->node.boot, 16);
    some_text(r->node.native, SHIP_HOST_MAX);
    some_text(r->node.kafka_host, SHIP_HOST_MAX);
    r->node.kafka_port = (int32_t)random_below(&random_, 65536);
    some_text(r->node.rack, SHIP_HOST_MAX);
    r->fresh = random_below(&random_, 2);
    r->unclean = random_below(&random_, 2);
    r->goodbye = random_below(&random_, 2);
}

static void some_pull(struct ship_pull *p)
{
    p->entries = entries;
    p->count = random_below(&random_, 20) == 0 ? ENTRIES : 1 + random_below(&random_, 20);
    p->max_wait_ms = (uint32_t)random_u64(&random_);
    p->size_max = random_below(&random_, SIZE_MAX_);
    p->mend = random_below(&random_, 2) == 0;
    for (size_t i = 0; i < p->count; i++) {
        struct ship_pull_entry *e = &entries[i];
        *e = (struct ship_pull_entry){.partition = some_i32(0),
                                      .leader_epoch = some_i32(-1),
                                      .offset = some_i64(0),
                                      .last_epoch = some_i32(-1),
                                      .reached = some_i32(-1),
                                      .durable = some_i64(0),
                                      .high_watermark = some_i64(0),
                                      .size_max = (uint32_t)random_u64(&random_)};
        some_bytes(e->topic, 16);
    }
}

static struct slice some_slice(size_t size_max)
{
    static const uint8_t bytes[512] = "a name, or a value";
    return slice_of(bytes, random_below(&random_, size_max + 1));
}

static void some_admin(struct broker_admin *a)
{
    static const enum broker_admin_op ops[] = {BROKER_TOPIC_CREATE, BROKER_TOPIC_ALTER,
                                               BROKER_CONFIG_ALTER, BROKER_INIT_PRODUCER,
                                               BROKER_QUOTA_ALTER};
    static struct broker_config_entry configs[4096];
    static struct broker_quota_value quotas[64];
    *a = (struct broker_admin){.op = ops[random_below(&random_, 5)],
                               .topic = some_slice(CARGO_KEY_MAX),
                               .partitions = some_i32(-1),
                               .replication = some_i32(-1),
                               .configs = configs,
                               .config_count = random_below(&random_, 9) == 0 ? 4096 : 5,
                               .replace = random_below(&random_, 2),
                               .cluster = random_below(&random_, 2),
                               .validate_only = random_below(&random_, 2),
                               .automatic = random_below(&random_, 2)};
    for (size_t i = 0; i < a->config_count; i++)
        configs[i] =
            (struct broker_config_entry){some_slice(40), i % 3 == 0 ? SLICE_NULL : some_slice(90),
                                         (enum config_edit)random_below(&random_, 3)};
    if (a->op != BROKER_QUOTA_ALTER)
        return;
    a->entity = (struct quota_entity){.user = true, .client = random_below(&random_, 2)};
    if (a->entity.client && random_below(&random_, 2))
        a->entity.name = some_slice(255);
    a->quotas = quotas;
    a->quota_count = random_below(&random_, 65);
    for (size_t i = 0; i < a->quota_count; i++)
        quotas[i] =
            (struct broker_quota_value){(enum quota_key)random_below(&random_, QUOTA_KEY_COUNT),
                                        (double)some_i32(-1) / 7, random_below(&random_, 2)};
}

static void some_call(struct ship_call *c, enum ship_kind kind)
{
    *c = (struct ship_call){.kind = kind,
                            .from = some_i32(-1),
                            .to = some_i32(-1),
                            .broker_epoch = some_i64(-1),
                            .term = (uint32_t)random_u64(&random_)};
    some_cluster(c->cluster_id);
    if (kind == SHIP_REGISTER)
        some_register(&c->reg);
    if (kind == SHIP_RECORDS)
        c->records = (struct ship_records){
            .since = some_i64(-1), .max_wait_ms = (uint32_t)random_u64(&random_), .size_max = 1000};
    if (kind == SHIP_PULL)
        some_pull(&c->pull);
    if (kind == SHIP_ADMIN)
        some_admin(&c->admin.req);
    if (kind == SHIP_VOTE) {
        c->vote = (struct ship_vote){.term = (uint32_t)random_u64(&random_),
                                     .ask_only = random_below(&random_, 2)};
        some_text(c->vote.native, SHIP_HOST_MAX);
    }
}

static void same_pull(const struct ship_pull *a, const struct ship_pull *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->max_wait_ms, b->max_wait_ms);
    ck_assert_uint_eq(a->size_max, b->size_max);
    ck_assert_int_eq(a->mend, b->mend);
    for (size_t i = 0; i < a->count; i++) {
        const struct ship_pull_entry *x = &a->entries[i];
        const struct ship_pull_entry *y = &b->entries[i];
        ck_assert_mem_eq(x->topic, y->topic, 16);
        ck_assert(x->partition == y->partition && x->leader_epoch == y->leader_epoch);
        ck_assert(x->offset == y->offset && x->last_epoch == y->last_epoch);
        ck_assert_int_eq(x->reached, y->reached);
        ck_assert(x->durable == y->durable && x->high_watermark == y->high_watermark);
        ck_assert(x->size_max == y->size_max && !y->answered);
    }
}

static void same_admin(const struct broker_admin *a, const struct broker_admin *b)
{
    ck_assert_int_eq(a->op, b->op);
    ck_assert(slice_equal(a->topic, b->topic));
    ck_assert(a->partitions == b->partitions && a->replication == b->replication);
    ck_assert(a->replace == b->replace && a->cluster == b->cluster);
    ck_assert(a->validate_only == b->validate_only && a->automatic == b->automatic);
    ck_assert(!b->forward && !b->internal);
    ck_assert_uint_eq(a->config_count, b->config_count);
    for (size_t i = 0; i < a->config_count; i++) {
        const struct broker_config_entry *x = &a->configs[i], *y = &b->configs[i];
        ck_assert(slice_equal(x->key, y->key) && slice_equal(x->value, y->value));
        ck_assert((x->value.p == NULL) == (y->value.p == NULL) && x->edit == y->edit);
    }
    ck_assert_uint_eq(a->quota_count, b->quota_count);
    ck_assert(a->entity.user == b->entity.user && a->entity.client == b->entity.client);
    ck_assert(slice_equal(a->entity.name, b->entity.name));
    ck_assert((a->entity.name.p == NULL) == (b->entity.name.p == NULL));
    for (size_t i = 0; i < a->quota_count; i++) {
        const struct broker_quota_value *x = &a->quotas[i], *y = &b->quotas[i];
        ck_assert(x->key == y->key && x->value == y->value && x->remove == y->remove);
    }
}

static void same_call(const struct ship_call *a, const struct ship_call *b)
{
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_str_eq(a->cluster_id, b->cluster_id);
    ck_assert(a->from == b->from && a->to == b->to && a->broker_epoch == b->broker_epoch);
    ck_assert_uint_eq(a->term, b->term);
    if (a->kind == SHIP_REGISTER) {
        const struct ship_node *x = &a->reg.node;
        const struct ship_node *y = &b->reg.node;
        ck_assert(x->id == y->id && x->incarnation == y->incarnation);
        ck_assert_mem_eq(x->folder, y->folder, 16);
        ck_assert_mem_eq(x->boot, y->boot, 16);
        ck_assert_str_eq(x->native, y->native);
        ck_assert_str_eq(x->kafka_host, y->kafka_host);
        ck_assert_int_eq(x->kafka_port, y->kafka_port);
        ck_assert_str_eq(x->rack, y->rack);
        ck_assert(a->reg.fresh == b->reg.fresh && a->reg.unclean == b->reg.unclean);
        ck_assert_int_eq(a->reg.goodbye, b->reg.goodbye);
    } else if (a->kind == SHIP_RECORDS) {
        ck_assert_int_eq(a->records.since, b->records.since);
        ck_assert_uint_eq(a->records.max_wait_ms, b->records.max_wait_ms);
        ck_assert_uint_eq(a->records.size_max, b->records.size_max);
    } else if (a->kind == SHIP_PULL) {
        same_pull(&a->pull, &b->pull);
    } else if (a->kind == SHIP_VOTE) {
        ck_assert(a->vote.term == b->vote.term && a->vote.ask_only == b->vote.ask_only);
        ck_assert_str_eq(a->vote.native, b->vote.native);
    } else if (a->kind == SHIP_ADMIN) {
        same_admin(&a->admin.req, &b->admin.req);
    }
}

START_TEST(test_calls_come_back)
{
    enum ship_kind kind = (enum ship_kind)_i;
    for (int i = 0; i < 300; i++) {
        static struct ship_call call, back;
        struct buf body = {0};
        const char *why = NULL;
        some_call(&call, kind);
        memset(&back, 0, sizeof back);
        cargo_put_call(&call, SIZE_MAX_, &arena, &body);
        ck_assert_int_eq(cargo_get_call(kind, buf_slice(&body), &arena, &back, &why), 0);
        same_call(&call, &back);
        enum ship_kind other = (enum ship_kind)((_i + 1) % SHIP_KIND_COUNT);
        ck_assert_int_eq(cargo_get_call(other, buf_slice(&body), &arena, &back, &why), CARGO_BAD);
        buf_deinit(&body);
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_size_max_is_lowered)
{
    static struct ship_call call, back;
    struct buf body = {0};
    const char *why;
    some_call(&call, SHIP_PULL);
    call.pull.size_max = 5000;
    cargo_put_call(&call, 1000, &arena, &body);
    ck_assert_int_eq(cargo_get_call(SHIP_PULL, buf_slice(&body), &arena, &back, &why), 0);
    ck_assert_uint_eq(back.pull.size_max, 1000);
    some_call(&call, SHIP_RECORDS);
    call.records.size_max = 0;
    buf_reset(&body);
    cargo_put_call(&call, 1000, &arena, &body);
    ck_assert_int_eq(cargo_get_call(SHIP_RECORDS, buf_slice(&body), &arena, &back, &why), 0);
    ck_assert_uint_eq(back.records.size_max, 1000);
    buf_deinit(&body);
}
END_TEST

/* --- answers --- */

static void some_results(struct ship_call *c)
{
    size_t left = sizeof raw;
    some_text(c->leader.native, SHIP_HOST_MAX);
    c->leader.term = (uint32_t)random_u64(&random_);
    c->leader.id = some_i32(-1);
    c->answer_from = some_i32(-1);
    some_cluster(c->answer_cluster_id);
    some_text(c->message, sizeof c->message);
    if (c->kind == SHIP_REGISTER)
        c->reg.broker_epoch = some_i64(-1);
    if (c->kind == SHIP_ADMIN) {
        c->admin.req.producer_id = some_i64(0);
        c->admin.req.producer_epoch = (int16_t)random_below(&random_, INT16_MAX + 1);
        c->admin.req.partition_count = some_i32(0);
        some_bytes(c->admin.req.topic_id, 16);
    }
    for (size_t i = 0; c->kind == SHIP_PULL && i < c->pull.count; i++) {
        struct ship_pull_entry *e = &c->pull.entries[i];
        size_t size = random_below(&random_, 100);
        e->answered = random_below(&random_, 3) > 0;
        e->status = (enum ship_pull_status)random_below(&random_, SHIP_PULL_STATUS_COUNT);
        e->leader_high_watermark = some_i64(-1);
        e->log_start = some_i64(-1);
        e->leader_end = some_i64(-1);
        e->epoch_start = some_i64(-1);
        e->diverge_epoch = some_i32(-1);
        e->diverge_end = some_i64(-1);
        e->next_good = some_i64(-1);
        e->segment = some_i64(-1);
        e->bytes = SLICE_NULL;
        if (!e->answered || e->status != SHIP_PULL_OK || size > left)
            continue;
        e->bytes = slice_of(raw + sizeof raw - left, size);
        left -= size;
    }
}

static void some_rows(struct ship_call *c)
{
    size_t count = random_below(&random_, 200);
    if (c->kind == SHIP_RECORDS) {
        c->records.records = arena_array(&arena, count, sizeof *c->records.records);
        c->records.count = count;
        c->records.whole = random_below(&random_, 2);
        c->records.more = random_below(&random_, 2);
        c->records.revision = some_i64(-1);
        for (size_t i = 0; i < count; i++) {
            struct ship_record *r = &c->records.records[i];
            r->key = slice_of(raw, random_below(&random_, 4) == 0 ? CARGO_KEY_MAX : 1 + i);
            if (i % 3 > 0)
                r->value = slice_of(raw + i, i % 3 == 1 ? 0 : random_below(&random_, 1000));
        }
    }
    if (c->kind == SHIP_VOTE) {
        c->vote.holdings = arena_array(&arena, count, sizeof *c->vote.holdings);
        c->vote.count = count;
        c->vote.accepted = random_below(&random_, 2);
        c->vote.accepted_term = (uint32_t)random_u64(&random_);
        for (size_t i = 0; i < count; i++) {
            struct ship_holding *h = &c->vote.holdings[i];
            some_bytes(h->topic, 16);
            h->partition = some_i32(0);
            h->reached = some_i32(-1);
            h->end = some_i64(0);
            h->high_watermark = some_i64(0);
            h->intact = random_below(&random_, 2);
        }
    }
}

static void same_entry(const struct ship_pull_entry *a, const struct ship_pull_entry *b)
{
    ck_assert(a->answered == b->answered);
    if (!a->answered)
        return;
    ck_assert(a->status == b->status && a->leader_high_watermark == b->leader_high_watermark);
    ck_assert(a->log_start == b->log_start && a->leader_end == b->leader_end);
    ck_assert(a->diverge_epoch == b->diverge_epoch && a->diverge_end == b->diverge_end);
    ck_assert(a->next_good == b->next_good && a->segment == b->segment);
    ck_assert_int_eq(a->epoch_start, b->epoch_start);
    ck_assert(slice_equal(a->bytes, b->bytes));
}

static void same_rows(const struct ship_call *a, const struct ship_call *b)
{
    ck_assert_uint_eq(a->records.count, b->records.count);
    for (size_t i = 0; i < a->records.count; i++) {
        const struct ship_record *x = &a->records.records[i];
        const struct ship_record *y = &b->records.records[i];
        ck_assert(slice_equal(x->key, y->key) && slice_equal(x->value, y->value));
        ck_assert((x->value.p == NULL) == (y->value.p == NULL));
    }
    ck_assert(a->records.whole == b->records.whole && a->records.more == b->records.more);
    ck_assert_int_eq(a->records.revision, b->records.revision);
}

static void same_vote(const struct ship_vote *a, const struct ship_vote *b)
{
    ck_assert(a->accepted == b->accepted && a->accepted_term == b->accepted_term);
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct ship_holding *x = &a->holdings[i];
        const struct ship_holding *y = &b->holdings[i];
        ck_assert_mem_eq(x->topic, y->topic, 16);
        ck_assert(x->partition == y->partition && x->reached == y->reached);
        ck_assert(x->end == y->end && x->high_watermark == y->high_watermark);
        ck_assert(x->intact == y->intact);
    }
}

static void same_answer(const struct ship_call *a, const struct ship_call *b)
{
    ck_assert_int_eq(a->status, b->status);
    ck_assert_str_eq(a->message, b->message);
    ck_assert_str_eq(a->answer_cluster_id, b->answer_cluster_id);
    ck_assert(a->answer_from == b->answer_from && a->leader.id == b->leader.id);
    ck_assert_uint_eq(a->leader.term, b->leader.term);
    ck_assert_str_eq(a->leader.native, b->leader.native);
    if (a->status != BROKER_OK)
        return;
    if (a->kind == SHIP_REGISTER)
        ck_assert_int_eq(a->reg.broker_epoch, b->reg.broker_epoch);
    for (size_t i = 0; a->kind == SHIP_PULL && i < a->pull.count; i++)
        same_entry(&a->pull.entries[i], &b->pull.entries[i]);
    if (a->kind == SHIP_RECORDS)
        same_rows(a, b);
    if (a->kind == SHIP_ADMIN) {
        const struct broker_admin *x = &a->admin.req, *y = &b->admin.req;
        ck_assert(x->producer_id == y->producer_id && x->producer_epoch == y->producer_epoch);
        ck_assert_int_eq(x->partition_count, y->partition_count);
        ck_assert_mem_eq(x->topic_id, y->topic_id, 16);
    }
    if (a->kind == SHIP_VOTE)
        same_vote(&a->vote, &b->vote);
}

/* The asker's own copy of a call, without results. */
static struct ship_call *asked(const struct ship_call *call)
{
    struct ship_call *copy = arena_alloc(&arena, sizeof *copy);
    *copy = (struct ship_call){.kind = call->kind};
    if (call->kind != SHIP_PULL)
        return copy;
    copy->pull.count = call->pull.count;
    copy->pull.entries = arena_array(&arena, call->pull.count, sizeof *copy->pull.entries);
    return copy;
}

static struct slice behind(const struct ship_call *call, size_t size)
{
    uint8_t *p = arena_alloc(&arena, size + 1);
    size_t at = 0;
    for (size_t i = 0; call->kind == SHIP_PULL && i < call->pull.count; i++) {
        struct slice b = call->pull.entries[i].bytes;
        if (!call->pull.entries[i].answered || b.size == 0)
            continue;
        memcpy(p + at, b.p, b.size);
        at += b.size;
    }
    ck_assert_uint_eq(at, call->status == BROKER_OK ? size : at);
    return slice_of(p, size);
}

START_TEST(test_answers_come_back)
{
    some_bytes(raw, sizeof raw);
    for (int i = 0; i < 300; i++) {
        static struct ship_call call;
        struct slice body;
        size_t size = 0;
        const char *why = "";
        some_call(&call, (enum ship_kind)_i);
        some_results(&call);
        some_rows(&call);
        call.status = i % 5 == 4 ? (enum broker_status)random_below(&random_, BROKER_STATUS_COUNT)
                                 : BROKER_OK;
        ck_assert_int_eq(cargo_put_answer(&call, SIZE_MAX_, &arena, &body, &size), 0);
        struct ship_call *back = asked(&call);
        int r = cargo_get_answer(body, behind(&call, size), &arena, back, &why);
        ck_assert_msg(r == 0, "%s", why);
        same_answer(&call, back);
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_answers_that_are_too_large)
{
    static struct ship_call call;
    struct slice body;
    size_t size;
    some_call(&call, SHIP_VOTE);
    call.vote.count = 1000;
    call.vote.holdings = arena_array(&arena, 1000, sizeof *call.vote.holdings);
    ck_assert_int_eq(cargo_put_answer(&call, 10000, &arena, &body, &size), CARGO_LARGE);
    ck_assert_int_eq(cargo_put_answer(&call, 100000, &arena, &body, &size), 0);
    some_call(&call, SHIP_PULL);
    call.pull.count = 1;
    entries[0].answered = true;
    entries[0].bytes = slice_of(raw, sizeof raw);
    ck_assert_int_eq(cargo_put_answer(&call, sizeof raw, &arena, &body, &size), CARGO_LARGE);
    ck_assert_int_eq(cargo_put_answer(&call, sizeof raw + 1000, &arena, &body, &size), 0);
    ck_assert_uint_eq(size, sizeof raw);
}
END_TEST

/* --- foreign --- */

/* Every prefix, and single bytes changed: nothing out of bounds is read (sanitizers look). */
START_TEST(test_foreign_bytes)
{
    static struct ship_call call, back;
    struct buf body = {0};
    const char *why;
    enum ship_kind kind = (enum ship_kind)_i;
    for (int i = 0; i < 2000; i++) {
        some_call(&call, kind);
        if (kind == SHIP_PULL)
            call.pull.count = 1 + call.pull.count % 3;
        buf_reset(&body);
        cargo_put_call(&call, SIZE_MAX_, &arena, &body);
        size_t size = random_below(&random_, body.size + 1);
        if (size > 0 && i % 2 == 0) {
            body.p[random_below(&random_, size)] ^= (uint8_t)(1 + random_below(&random_, 255));
            size = body.size;
        }
        memset(&back, 0, sizeof back);
        int r = cargo_get_call(kind, slice_of(body.p, size), &arena, &back, &why);
        ck_assert((r == 0) == (why[0] == '\0'));
        ck_assert(back.from >= -1 && back.broker_epoch >= -1);
        ck_assert(kind != SHIP_REGISTER || cargo_text_fits(back.reg.node.native));
        ck_assert(kind != SHIP_ADMIN ||
                  (back.admin.req.config_count <= 4096 && back.admin.req.quota_count <= 64));
        arena_reset(&arena);
    }
    buf_deinit(&body);
}
END_TEST

static int get_ask(Kauri__ShipAsk *ask, enum ship_kind kind)
{
    static struct ship_call back;
    const char *why = NULL;
    uint8_t *p = arena_alloc(&arena, kauri__ship_ask__get_packed_size(ask) + 1);
    size_t size = kauri__ship_ask__pack(ask, p);
    memset(&back, 0, sizeof back);
    int r = cargo_get_call(kind, slice_of(p, size), &arena, &back, &why);
    ck_assert((r == 0) == (why[0] == '\0'));
    return r;
}

static void check_admin_bounds(Kauri__ShipAsk *ask)
{
    static uint8_t name[CARGO_KEY_MAX + 1];
    static Kauri__ShipAdminEntry entry, *rows[4097];
    static Kauri__ShipAdminQuota quota, *quotas[65];
    Kauri__ShipAdmin m;
    kauri__ship_admin__init(&m);
    kauri__ship_admin_entry__init(&entry);
    kauri__ship_admin_quota__init(&quota);
    for (size_t i = 0; i < 4097; i++)
        rows[i] = &entry;
    for (size_t i = 0; i < 65; i++)
        quotas[i] = &quota;
    m.configs = rows;
    m.quotas = quotas;
    ask->ask_case = KAURI__SHIP_ASK__ASK_ADMIN;
    ask->admin = &m;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD); /* no change at all */
    m.op = 99;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    m.op = KAURI__SHIP_ADMIN_OP__ADMIN_TOPIC_ALTER;
    m.topic = (ProtobufCBinaryData){CARGO_KEY_MAX, name};
    m.n_configs = 4096;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), 0);
    m.n_configs = 4097;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    m.n_configs = 1;
    entry.edit = 3;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    entry.edit = 2;
    m.topic.len++;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    m.topic.len = 0;
    m.op = KAURI__SHIP_ADMIN_OP__ADMIN_QUOTA_ALTER;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD); /* nobody's */
    m.user = true;
    m.n_quotas = 64;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), 0);
    m.n_quotas = 65;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    m.n_quotas = 1;
    quota.value = (double)INFINITY;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    quota.value = 1;
    quota.key = QUOTA_KEY_COUNT;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
    quota.key = 0;
    m.maybe_case = KAURI__SHIP_ADMIN__MAYBE_CLIENT_NAME;
    m.client_name = (ProtobufCBinaryData){CARGO_KEY_MAX, name};
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD); /* a name, and no client */
    m.client = true;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), 0);
    m.client_name.len++;
    ck_assert_int_eq(get_ask(ask, SHIP_ADMIN), CARGO_BAD);
}

START_TEST(test_call_fields_out_of_bounds)
{
    uint8_t id[17] = {0};
    char text[SHIP_HOST_MAX + 1];
    Kauri__ShipAsk ask;
    kauri__ship_ask__init(&ask);
    Kauri__ShipWho who;
    kauri__ship_who__init(&who);
    ask.ask_case = KAURI__SHIP_ASK__ASK_LEADER;
    ask.leader = &who;
    ck_assert_int_eq(get_ask(&ask, SHIP_LEADER), 0);
    ask.cluster_id = (char[]){"short"};
    ck_assert_int_eq(get_ask(&ask, SHIP_LEADER), CARGO_BAD);
    ask.cluster_id = (char[]){"0123456789abcdef01234/"};
    ck_assert_int_eq(get_ask(&ask, SHIP_LEADER), CARGO_BAD);
    ask.cluster_id = (char[]){"0123456789abcdef012345"};
    ck_assert_int_eq(get_ask(&ask, SHIP_LEADER), 0);
    ask.from = -2;
    ck_assert_int_eq(get_ask(&ask, SHIP_LEADER), CARGO_BAD);
    ask.from = 0;

    Kauri__ShipVote vote;
    kauri__ship_vote__init(&vote);
    memset(text, 'x', sizeof text);
    text[SHIP_HOST_MAX] = '\0';
    ask.ask_case = KAURI__SHIP_ASK__ASK_VOTE;
    ask.vote = &vote;
    vote.native = text;
    ck_assert_int_eq(get_ask(&ask, SHIP_VOTE), CARGO_BAD);
    text[SHIP_HOST_MAX - 1] = '\0';
    ck_assert_int_eq(get_ask(&ask, SHIP_VOTE), 0);
    text[3] = '\n';
    ck_assert_int_eq(get_ask(&ask, SHIP_VOTE), CARGO_BAD);

    check_admin_bounds(&ask);
    Kauri__ShipPull pull;
    kauri__ship_pull__init(&pull);
    Kauri__ShipPullEntry entry;
    kauri__ship_pull_entry__init(&entry);
    static Kauri__ShipPullEntry *all[ENTRIES + 1];
    for (size_t i = 0; i <= ENTRIES; i++)
        all[i] = &entry;
    ask.ask_case = KAURI__SHIP_ASK__ASK_PULL;
    ask.pull = &pull;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD); /* no entries */
    pull.entries = all;
    pull.n_entries = 1;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD); /* no topic */
    entry.topic = (ProtobufCBinaryData){16, id};
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), 0);
    pull.n_entries = ENTRIES;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), 0);
    pull.n_entries = ENTRIES + 1;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD);
    pull.n_entries = 1;
    entry.topic.len = 17;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD);
    entry.topic.len = 16;
    entry.offset = -1;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD);
    entry.offset = 0;
    entry.partition = -1;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD);
    entry.partition = 0;
    entry.last_epoch = -2;
    ck_assert_int_eq(get_ask(&ask, SHIP_PULL), CARGO_BAD);
}
END_TEST

static int get_reply(const Kauri__ShipReply *m, size_t raw_size, struct ship_call *call)
{
    const char *why = NULL;
    uint8_t *p = arena_alloc(&arena, kauri__ship_reply__get_packed_size(m) + 1);
    size_t size = kauri__ship_reply__pack(m, p);
    int r = cargo_get_answer(slice_of(p, size), slice_of(raw, raw_size), &arena, call, &why);
    ck_assert((r == 0) == (why[0] == '\0'));
    return r;
}

START_TEST(test_answer_fields_out_of_bounds)
{
    Kauri__ShipLeader leader;
    kauri__ship_leader__init(&leader);
    Kauri__ShipPullReply pull;
    kauri__ship_pull_reply__init(&pull);
    Kauri__ShipPullResult one;
    kauri__ship_pull_result__init(&one);
    Kauri__ShipPullResult two;
    kauri__ship_pull_result__init(&two);
    Kauri__ShipPullResult *results[2] = {&one, &two};
    Kauri__ShipReply m;
    kauri__ship_reply__init(&m);
    struct ship_call call = {.kind = SHIP_PULL, .pull = {.entries = entries, .count = 2}};
    m.reply_case = KAURI__SHIP_REPLY__REPLY_PULL;
    m.pull = &pull;
    pull.results = results;
    pull.n_results = 2;
    one.size = 10;
    two.index = 1;
    two.size = 20;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD); /* no leader */
    m.leader = &leader;
    ck_assert_int_eq(get_reply(&m, 29, &call), CARGO_BAD);
    ck_assert_int_eq(get_reply(&m, 31, &call), CARGO_BAD);
    two.size = UINT32_MAX - 5;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.size = 20;
    two.index = 2;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.index = 0;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.index = 1;
    two.status = (Kauri__ShipPullStatus)SHIP_PULL_STATUS_COUNT;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.status = KAURI__SHIP_PULL_STATUS__PULL_FENCED; /* and has bytes */
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.status = KAURI__SHIP_PULL_STATUS__PULL_OK;
    two.diverge_end = -2;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    two.diverge_end = 0;
    m.status = (Kauri__Status)1000;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    m.status = KAURI__STATUS__DENIED; /* and has results */
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
    m.status = KAURI__STATUS__OK;
    ck_assert(!entries[0].answered && !entries[1].answered);
    ck_assert_int_eq(get_reply(&m, 30, &call), 0);
    ck_assert(entries[0].answered && entries[1].bytes.p == raw + 10);
    call.kind = SHIP_VOTE;
    ck_assert_int_eq(get_reply(&m, 30, &call), CARGO_BAD);
}
END_TEST

START_TEST(test_message_of_an_answer_is_tamed)
{
    Kauri__ShipLeader leader;
    kauri__ship_leader__init(&leader);
    Kauri__ShipReply m;
    kauri__ship_reply__init(&m);
    struct ship_call call = {.kind = SHIP_LEADER};
    char text[400];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    text[1] = '\n';
    m.leader = &leader;
    m.message = text;
    ck_assert_int_eq(get_reply(&m, 0, &call), 0);
    ck_assert_uint_eq(strlen(call.message), sizeof call.message - 1);
    ck_assert_int_eq(call.message[1], ' ');
    ck_assert_int_eq(get_reply(&m, 1, &call), CARGO_BAD); /* raw bytes that belong to nothing */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cargo");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_calls_come_back, 0, SHIP_KIND_COUNT);
    tcase_add_test(tc, test_size_max_is_lowered);
    tcase_add_loop_test(tc, test_answers_come_back, 0, SHIP_KIND_COUNT);
    tcase_add_test(tc, test_answers_that_are_too_large);
    tcase_add_loop_test(tc, test_foreign_bytes, 0, SHIP_KIND_COUNT);
    tcase_add_test(tc, test_call_fields_out_of_bounds);
    tcase_add_test(tc, test_answer_fields_out_of_bounds);
    tcase_add_test(tc, test_message_of_an_answer_is_tamed);
    Suite *s = suite_create("cargo/cargo");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
