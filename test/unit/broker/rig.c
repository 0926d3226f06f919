/* SPDX-License-Identifier: MIT */
#include "test/unit/broker/rig.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "engine/store/batch.h"

#define RIG_TURNS_MAX 20000

struct rig_kept {
    struct rig_kept *next;
    struct rig_produce *produce; /* owned */
    struct rig_admin *admin;     /* owned */
};

static void rig_on_fatal(void *ctx, const char *what, int error)
{
    struct rig *g = ctx;
    ck_assert_str_ne(what, "");
    ck_assert_int_lt(error, 0);
    if (!g->dying)
        g->fatals++;
    ck_assert_uint_le(g->fatals, 1);
}

static void rig_on_log(void *ctx, int level, const char *line)
{
    struct rig *g = ctx;
    ck_assert_str_ne(line, "");
    if (g->dying)
        return;
    if (getenv("RIG_LOG") != NULL)
        (void)fprintf(stderr, "%s: [%d] %s\n", g->native != NULL ? g->native : "rig", level, line);
    g->warnings += level == 1;
    g->errors += level == 2;
    if (level > 0)
        (void)snprintf(g->line, sizeof g->line, "%s", line);
}

static void rig_init_rest(struct rig *g, uint64_t seed)
{
    g->seed = seed;
    g->fault = io_fault_new(g->disk);
    g->work = work_sim_new(seed);
    g->view = meta_store_new();
    clock_fake_init(&g->clock, RIG_TIME);
    clock_fake_advance(&g->clock, 1000);
}

void rig_init(struct rig *g, uint64_t seed, uint64_t space_max)
{
    *g = (struct rig){.dir = RIG_DIR, .disk = io_crash_new(space_max)};
    rig_init_rest(g, seed);
}

void rig_init_real(struct rig *g, const char *dir)
{
    *g = (struct rig){.dir = dir, .disk = io_real_new(), .real = true};
    rig_init_rest(g, 1);
}

void rig_set(struct rig *g, const char *key, const char *value)
{
    ck_assert_uint_lt(g->set_count, RIG_SETS_MAX);
    g->sets[g->set_count][0] = key;
    g->sets[g->set_count++][1] = value;
}

void rig_fail(struct rig *g, uint64_t n, bool forever)
{
    struct io_fault_plan plan = {
        .fail_at = n, .error = -EIO, .forever = forever, .short_write = n % 2 == 0};
    io_fault_plan(g->fault, plan);
}

static void rig_configure(struct rig *g)
{
    char message[256];
    config_free(g->config);
    g->config = config_new();
    for (size_t i = 0; i < g->set_count; i++) {
        int r = config_set(g->config, CONFIG_FROM_FLAG, slice_str(g->sets[i][0]),
                           slice_str(g->sets[i][1]), message);
        ck_assert_msg(r == 0, "%s: %s", g->sets[i][0], message);
    }
}

int rig_try_open(struct rig *g)
{
    ck_assert_ptr_null(g->broker);
    rig_configure(g);
    g->fatals = g->warnings = g->errors = 0;
    struct broker_env env = {.io = g->fault,
                             .work = g->work,
                             .clock = &g->clock.clock,
                             .dir = g->dir,
                             .config = g->config,
                             .memory_view = g->view,
                             .seed = g->seed + g->opens++,
                             .reader_max = g->reader_max,
                             .join_cluster_id = g->join,
                             .native = g->native != NULL ? g->native : "tcp://rig:7092",
                             .ship = g->ship,
                             .seeds = g->seeds,
                             .kafka_host = "rig",
                             .kafka_port = 9092,
                             .fatal = rig_on_fatal,
                             .log = rig_on_log,
                             .ctx = g};
    memcpy(env.boot_id, g->boot_id, sizeof env.boot_id);
    return broker_open(&env, &g->broker);
}

void rig_open(struct rig *g)
{
    int r = rig_try_open(g);
    ck_assert_msg(r == 0, "open: %d, %s", r, g->line);
    broker_check(g->broker);
}

/* Requests without an answer live as long as the process. */
static void rig_keep(struct rig *g, struct rig_produce *p, struct rig_admin *a)
{
    struct rig_kept *k = calloc(1, sizeof *k);
    ck_assert_ptr_nonnull(k);
    *k = (struct rig_kept){.next = g->kept, .produce = p, .admin = a};
    g->kept = k;
}

static void rig_forget(struct rig *g)
{
    while (g->kept != NULL) {
        struct rig_kept *k = g->kept;
        g->kept = k->next;
        rig_produce_free(k->produce);
        free(k->admin);
        free(k);
    }
}

/* Frees a broker in mid-work: its jobs run to their end, on a disk that answers nothing. */
static void rig_end_process(struct rig *g)
{
    g->dying = true;
    work_drain(g->work);
    g->broker = broker_free(g->broker);
    g->dying = false;
    rig_forget(g);
}

static void rig_next_disk(struct rig *g, struct io *disk)
{
    struct io *dead = g->disk;
    rig_end_process(g);
    io_fault_free(g->fault);
    io_crash_free(dead);
    g->disk = disk;
    g->fault = io_fault_new(disk);
}

void rig_kill(struct rig *g)
{
    if (g->real)
        rig_end_process(g);
    else
        rig_next_disk(g, io_crash_kill(g->disk));
}

void rig_cut(struct rig *g, uint64_t seed)
{
    ck_assert(!g->real);
    rig_next_disk(g, io_crash_cut(g->disk, seed));
}

void rig_deinit(struct rig *g)
{
    if (g->broker != NULL)
        rig_kill(g);
    io_fault_free(g->fault);
    if (g->real)
        io_real_free(g->disk);
    else
        io_crash_free(g->disk);
    work_sim_free(g->work);
    meta_store_free(g->view);
    config_free(g->config);
}

void rig_stop(struct rig *g)
{
    broker_stop(g->broker);
    rig_run(g);
    ck_assert(broker_stopped(g->broker));
    ck_assert_uint_eq(g->work->pending, 0);
    g->broker = broker_free(g->broker);
    rig_forget(g);
}

void rig_reopen(struct rig *g, bool clean)
{
    if (clean)
        rig_stop(g);
    else
        rig_kill(g);
    rig_open(g);
}

void rig_turn(struct rig *g)
{
    broker_run(g->broker);
}

void rig_run(struct rig *g)
{
    for (unsigned i = 0; i < RIG_TURNS_MAX; i++) {
        work_drain(g->work);
        broker_run(g->broker);
        bool now = broker_next_ms(g->broker) <= g->clock.clock.mono_ms(&g->clock.clock);
        bool elsewhere = g->ship != NULL && g->broker->stopping && i > RIG_TURNS_MAX / 20;
        if (broker_stopped(g->broker) || elsewhere || (g->work->pending == 0 && !now)) {
            if (g->fatals == 0)
                broker_check(g->broker);
            return;
        }
    }
    ck_abort_msg("the broker spins: %u turns", RIG_TURNS_MAX);
}

void rig_advance(struct rig *g, int64_t ms)
{
    while (ms > 0) {
        int64_t step = ms < 1000 ? ms : 1000;
        clock_fake_advance(&g->clock, step);
        rig_run(g);
        ms -= step;
    }
}

/* --- produce --- */

void rig_build(const struct rig_batch *b, struct buf *out)
{
    struct batch_build build;
    struct batch_build_options o = batch_build_plain();
    size_t size = b->value_size > 8 ? b->value_size : 8;
    uint8_t *value CLEANUP(cleanup_free) = calloc(1, size);
    ck_assert_ptr_nonnull(value);
    if (b->producer > 0) {
        o.producer_id = b->producer - 1;
        o.producer_epoch = b->epoch;
        o.base_sequence = b->sequence;
    }
    batch_build_init(&build);
    for (int32_t i = 0; i < (b->count > 0 ? b->count : 1); i++) {
        bytes_put_le64(value, b->tag + (uint64_t)i);
        batch_build_add(&build, b->timestamp != 0 ? b->timestamp : RIG_TIME, SLICE_NULL,
                        slice_of(value, size), NULL, 0);
    }
    batch_build_finish(&build, &o, out);
    batch_build_deinit(&build);
}

static void rig_produce_done(struct broker_produce *req)
{
    struct rig_produce *p = req->ctx;
    p->done++;
    ck_assert_uint_eq(p->done, 1);
}

struct rig_produce *rig_produce_new(int acks)
{
    struct rig_produce *p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    p->req = (struct broker_produce){
        .items = p->items, .acks = acks, .timeout_ms = 30000, .done = rig_produce_done, .ctx = p};
    return p;
}

void rig_produce_add(struct rig_produce *p, const char *topic, int32_t partition,
                     const struct rig_batch *b)
{
    ck_assert_uint_lt(p->req.count, RIG_ITEMS_MAX);
    size_t i = p->req.count++;
    rig_build(b, &p->batches[i]);
    p->items[i] = (struct broker_produce_item){.topic = slice_str(topic),
                                               .partition = partition,
                                               .batch = p->batches[i].p,
                                               .size = p->batches[i].size,
                                               .base_offset = -7,
                                               .append_time_ms = -7,
                                               .log_start = -7};
}

void rig_produce_start(struct rig *g, struct rig_produce *p)
{
    broker_produce(g->broker, &p->req);
    ck_assert_uint_eq(p->done, 0); /* never inside the starting call */
}

void rig_produce_free(struct rig_produce *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < RIG_ITEMS_MAX; i++)
        buf_deinit(&p->batches[i]);
    free(p);
}

enum broker_status rig_put(struct rig *g, const char *topic, int32_t partition,
                           const struct rig_batch *b, int64_t *offset)
{
    enum broker_status s = BROKER_LOADING;
    for (unsigned i = 0; s == BROKER_LOADING && i < 3; i++) {
        struct rig_produce *p = rig_produce_new(-1);
        rig_produce_add(p, topic, partition, b);
        rig_produce_start(g, p);
        rig_run(g);
        ck_assert(p->done == 1 || g->fatals > 0);
        s = p->done == 1 ? p->items[0].status : BROKER_STORAGE;
        if (offset != NULL)
            *offset = p->items[0].base_offset;
        if (p->done == 1)
            rig_produce_free(p);
        else
            rig_keep(g, p, NULL);
    }
    return s;
}

int64_t rig_put_tag(struct rig *g, const char *topic, uint64_t tag)
{
    struct rig_batch b = {.tag = tag};
    int64_t offset = -1;
    enum broker_status s = rig_put(g, topic, 0, &b, &offset);
    ck_assert_msg(s == BROKER_OK, "%s: %s", topic, broker_status_text(s));
    return offset;
}

/* --- fetch --- */

static void rig_fetch_done(struct broker_fetch *req)
{
    struct rig_fetch *f = req->ctx;
    f->done++;
    ck_assert_uint_eq(f->done, 1);
}

void rig_fetch_init(struct rig_fetch *f)
{
    *f = (struct rig_fetch){.req = {.size_max = 1 << 20,
                                    .min_size = 1,
                                    .done = rig_fetch_done,
                                    .items = f->items,
                                    .ctx = f}};
}

void rig_fetch_add(struct rig_fetch *f, const char *topic, int32_t partition, int64_t offset)
{
    ck_assert_uint_lt(f->req.count, RIG_ITEMS_MAX);
    f->items[f->req.count++] = (struct broker_fetch_item){
        .topic = slice_str(topic), .partition = partition, .offset = offset, .size_max = 1 << 20};
}

void rig_fetch_run(struct rig *g, struct rig_fetch *f)
{
    f->done = 0;
    broker_fetch(g->broker, &f->req);
    ck_assert_uint_eq(f->done, 0);
    rig_run(g);
}

/* One record at a time: (offset, tag). Returns the offset behind the batch. */
static int64_t rig_read_batch(struct slice bytes, int64_t from, struct buf *out)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    struct batch_header h;
    struct batch_iter it;
    struct batch_record rec;
    ck_assert_int_eq(batch_check_stored(bytes, 0, &h), BATCH_OK);
    enum batch_fault fault = batch_iter_init(&it, slice_of(bytes.p, h.size), 1 << 20, &scratch);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault)) {
        ck_assert_uint_ge(rec.value.size, 8);
        if (rec.offset < from)
            continue;
        buf_append_le64(out, (uint64_t)rec.offset);
        buf_append(out, rec.value.p, 8);
    }
    ck_assert_int_eq(fault, BATCH_OK);
    return batch_next_offset(&h);
}

static int64_t rig_read_bytes(struct slice bytes, int64_t from, struct buf *out)
{
    int64_t next = from;
    while (bytes.size > 0) {
        struct batch_header h;
        ck_assert_int_eq(batch_parse(bytes, &h), BATCH_OK);
        ck_assert_uint_le(h.size, bytes.size);
        next = rig_read_batch(bytes, from, out);
        bytes = slice_of(bytes.p + h.size, bytes.size - h.size);
    }
    return next;
}

void rig_read_all(struct rig *g, const char *topic, int32_t partition, int64_t offset,
                  struct buf *out)
{
    for (unsigned i = 0; i < 100000; i++) {
        struct rig_fetch f;
        rig_fetch_init(&f);
        rig_fetch_add(&f, topic, partition, offset);
        rig_fetch_run(g, &f);
        ck_assert_uint_eq(f.done, 1);
        enum broker_status s = f.items[0].status;
        ck_assert_msg(s == BROKER_OK || s == BROKER_LOADING, "%s-%d at %lld: %s", topic, partition,
                      (long long)offset, broker_status_text(s));
        bool end = s == BROKER_OK && f.items[0].bytes.size == 0;
        if (s == BROKER_OK && !end)
            offset = rig_read_bytes(f.items[0].bytes, offset, out);
        if (end)
            ck_assert_int_eq(offset, f.items[0].high_watermark);
        broker_fetch_release(g->broker, &f.req);
        if (end)
            return;
    }
    ck_abort_msg("%s-%d does not end", topic, partition);
}

uint64_t rig_tag_at(struct rig *g, const char *topic, int32_t partition, int64_t offset)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    rig_read_all(g, topic, partition, offset, &pairs);
    ck_assert_uint_ge(pairs.size, 16);
    ck_assert_int_eq((int64_t)bytes_le64(pairs.p), offset);
    return bytes_le64(pairs.p + 8);
}

void rig_load(struct rig *g, const char *topic, int32_t partition,
              struct broker_partition_info *out)
{
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(broker_partition(g->broker, slice_str(topic), partition, true, out), 0);
        if (out->high_watermark >= 0)
            return;
        rig_run(g);
    }
    ck_abort_msg("%s-%d does not load: %s", topic, partition, g->line);
}

void rig_set_epoch(struct rig *g, const char *topic, int32_t epoch)
{
    struct topic *t = broker_find_topic(g->broker, slice_str(topic));
    ck_assert(t != NULL && t->parts[0]->part != NULL);
    t->parts[0]->part->epoch = epoch;
}

int64_t rig_end(struct rig *g, const char *topic, int32_t partition)
{
    struct broker_partition_info info;
    rig_load(g, topic, partition, &info);
    return info.high_watermark;
}

int64_t rig_start(struct rig *g, const char *topic, int32_t partition)
{
    struct broker_partition_info info;
    rig_load(g, topic, partition, &info);
    return info.log_start;
}

/* --- offsets and administration --- */

static void rig_offsets_done(struct broker_offsets *req)
{
    unsigned *done = req->ctx;
    (*done)++;
}

enum broker_status rig_offset(struct rig *g, const char *topic, int32_t partition, int64_t time_ms,
                              int64_t *offset)
{
    unsigned done = 0;
    struct broker_offset_item item = {.topic = slice_str(topic),
                                      .partition = partition,
                                      .timestamp_ms = time_ms,
                                      .offset = -7,
                                      .found_timestamp_ms = -7};
    struct broker_offsets req = {
        .items = &item, .count = 1, .done = rig_offsets_done, .ctx = &done};
    broker_offsets(g->broker, &req);
    ck_assert_uint_eq(done, 0);
    rig_run(g);
    ck_assert_uint_eq(done, 1);
    *offset = item.offset;
    return item.status;
}

static void rig_admin_done(struct broker_admin *req)
{
    struct rig_admin *a = req->ctx;
    a->done++;
    ck_assert_uint_eq(a->done, 1);
    ck_assert_uint_lt(strlen(req->message), sizeof req->message);
}

void rig_admin_init(struct rig_admin *a, enum broker_admin_op op, const char *topic)
{
    *a = (struct rig_admin){.req = {.op = op,
                                    .topic = topic != NULL ? slice_str(topic) : SLICE_NULL,
                                    .partitions = -1,
                                    .replication = -1,
                                    .before = -1,
                                    .configs = a->configs,
                                    .done = rig_admin_done,
                                    .ctx = a}};
}

void rig_admin_config(struct rig_admin *a, const char *key, const char *value)
{
    ck_assert_uint_lt(a->req.config_count, 4);
    a->configs[a->req.config_count++] = (struct broker_config_entry){
        .key = slice_str(key), .value = value != NULL ? slice_str(value) : SLICE_NULL};
}

void rig_admin_start(struct rig *g, struct rig_admin *a)
{
    a->done = 0;
    broker_admin(g->broker, &a->req);
    ck_assert_uint_eq(a->done, 0);
}

enum broker_status rig_admin_run(struct rig *g, struct rig_admin *a)
{
    struct rig_admin *copy = malloc(sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    *copy = *a;
    copy->req.configs = copy->configs;
    copy->req.ctx = copy;
    rig_admin_start(g, copy);
    rig_run(g);
    ck_assert(copy->done == 1 || g->fatals > 0);
    if (copy->done != 1) {
        rig_keep(g, NULL, copy);
        return BROKER_STORAGE;
    }
    *a = *copy;
    a->req.configs = a->configs;
    a->req.ctx = a;
    free(copy);
    return a->req.status;
}

void rig_create(struct rig *g, const char *topic, int32_t partitions, const char *config)
{
    struct rig_admin a;
    char key[64] = "";
    rig_admin_init(&a, BROKER_TOPIC_CREATE, topic);
    a.req.partitions = partitions;
    if (config != NULL) {
        const char *value = strchr(config, '=');
        ck_assert_ptr_nonnull(value);
        (void)snprintf(key, sizeof key, "%.*s", (int)(value - config), config);
        rig_admin_config(&a, key, value + 1);
    }
    enum broker_status s = rig_admin_run(g, &a);
    ck_assert_msg(s == BROKER_OK, "%s: %s %s", topic, broker_status_text(s), a.req.message);
    ck_assert_int_eq(a.req.partition_count, partitions);
}

enum broker_status rig_delete(struct rig *g, const char *topic)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_DELETE, topic);
    return rig_admin_run(g, &a);
}

enum broker_status rig_alter(struct rig *g, const char *topic, const char *key, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_ALTER, topic);
    rig_admin_config(&a, key, value);
    return rig_admin_run(g, &a);
}

enum broker_status rig_alter_broker(struct rig *g, const char *key, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    rig_admin_config(&a, key, value);
    return rig_admin_run(g, &a);
}

enum broker_status rig_trim(struct rig *g, const char *topic, int32_t partition, int64_t before)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_TRIM, topic);
    a.req.partitions = partition;
    a.req.before = before;
    return rig_admin_run(g, &a);
}

int64_t rig_producer_id(struct rig *g)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_INIT_PRODUCER, NULL);
    ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
    ck_assert_int_eq(a.req.producer_epoch, 0);
    ck_assert_int_ge(a.req.producer_id, 0);
    return a.req.producer_id;
}

bool rig_has_topic(struct rig *g, const char *topic)
{
    struct broker_topic_info info;
    return broker_topic(g->broker, slice_str(topic), &info) == 0;
}

static int rig_on_name(void *ctx, const char *name, enum io_kind kind)
{
    const char *prefix = ctx;
    return kind == IO_KIND_FOLDER && strncmp(name, prefix, strlen(prefix)) == 0;
}

bool rig_has_folder(struct rig *g, const char *prefix)
{
    char copy[300];
    (void)snprintf(copy, sizeof copy, "%s", prefix);
    return io_list(g->disk, g->dir, rig_on_name, copy) == 1;
}

int rig_main(struct Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
