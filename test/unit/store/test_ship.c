/* SPDX-License-Identifier: MIT
 *
 * ship: batches of another leader stored as they are: where segments begin, what is refused, what a
 * full disk takes back, logs that begin late, gaps of a compacted leader, leader epochs that the
 * disk changed, snapshots of older versions.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/store/round.h"
#include "engine/store/snapshot.h"
#include "engine/store/verify.h"
#include "test/unit/store/ship_rig.h"

#define LEADER   "/leader-0"
#define FOLLOWER "/follower-0"

static struct io *disk;
static struct io *fault;
static struct log *leader;
static struct log *follower;

static struct log *open_log(struct io *io, const char *dir, uint64_t segment_size_max)
{
    struct log_options o = {.io = io,
                            .dir = dir,
                            .segment_size_max = segment_size_max,
                            .index_interval_size = 200,
                            .checkpoint_size = 3000,
                            .now_ms = RIG_TIME};
    struct log *l = NULL;
    ck_assert_int_eq(log_open(&o, &l), 0);
    part_check(log_part(l));
    return l;
}

static void setup(void)
{
    disk = io_crash_new(0);
    fault = io_fault_new(disk);
    leader = open_log(disk, LEADER, 1500);
    follower = open_log(fault, FOLLOWER, 1 << 20);
    ck_assert_int_eq(part_set_epoch(log_part(follower), 1000), 0);
}

static void teardown(void)
{
    ck_assert_int_le(log_close(leader), 0);
    ck_assert_int_le(log_close(follower), 0);
    io_fault_free(fault);
    io_crash_free(disk);
}

static void lift(void)
{
    io_fault_plan(fault, (struct io_fault_plan){.fail_at = 0});
}

/* The machine dies; both come back. */
static void cut(uint64_t seed)
{
    io_fault_plan(fault, (struct io_fault_plan){.fail_at = 1, .error = -EIO, .forever = true});
    ck_assert_int_le(log_close(follower), 0);
    struct io *next = io_crash_cut(disk, seed);
    ck_assert_int_le(log_close(leader), 0);
    io_fault_free(fault);
    io_crash_free(disk);
    disk = next;
    fault = io_fault_new(disk);
    leader = open_log(disk, LEADER, 1500);
    follower = open_log(fault, FOLLOWER, 1 << 20);
    ck_assert_uint_eq(log_recovery(follower)->damaged_count, 0);
    ck_assert_uint_eq(log_recovery(leader)->damaged_count, 0);
    if (part_set_epoch(log_part(follower), 1000) != 0)
        ck_abort_msg("the epoch fell");
}

static void put(struct log *l, int64_t producer, int32_t sequence, int32_t count, size_t size)
{
    struct buf b = {0};
    struct rig_batch batch = {.producer_id = producer,
                              .sequence = sequence,
                              .count = count,
                              .timestamp = RIG_TIME,
                              .value_size = size,
                              .tag = (uint64_t)log_part(l)->reserved};
    rig_build(&batch, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, NULL), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    buf_deinit(&b);
}

/* Forty batches of two records, of one producer, in ever newer epochs. */
static void fill(void)
{
    for (int32_t i = 0; i < 40; i++) {
        ck_assert_int_eq(part_set_epoch(log_part(leader), 3 + i / 15), 0);
        put(leader, 5, 2 * i, 2, 100);
    }
    ck_assert_uint_eq(log_part(leader)->epochs.count, 3);
}

START_TEST(test_rolls_where_the_leader_did)
{
    fill();
    ship_all(leader, follower, 900);
    const struct part *a = log_part(leader), *b = log_part(follower);
    ck_assert_uint_gt(a->count, 5);
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        struct buf x = {0}, y = {0};
        ck_assert_int_eq(a->segments[i]->base, b->segments[i]->base);
        ck_assert(ship_file(disk, LEADER, a->segments[i]->base, &x));
        ck_assert(ship_file(disk, FOLLOWER, a->segments[i]->base, &y));
        if (i + 1 < a->count)
            ck_assert(slice_equal(buf_slice(&x), buf_slice(&y)));
        buf_deinit(&x);
        buf_deinit(&y);
    }
    ship_same(leader, follower, 0);
    ship_same_producers(leader, follower);
    cut(1);
    ship_same(leader, follower, 0);
    ship_same_producers(leader, follower);
}
END_TEST

/* An extent comes from one segment, and says from which. */
START_TEST(test_extents)
{
    const struct part *p = log_part(leader);
    fill();
    for (int64_t at = 0; at < p->written;) {
        struct part_extent e;
        size_t slot = p->count;
        ck_assert_int_eq(ship_read(leader, at, 1 << 20, &e), 0);
        while (p->segments[slot - 1]->base > at)
            slot--;
        ck_assert_int_eq(e.segment, p->segments[slot - 1]->base);
        ck_assert_int_eq(e.next_offset, slot < p->count ? p->segments[slot]->base : p->written);
        at = e.next_offset;
        reader_unpin(e.pin);
    }
}
END_TEST

/* Two batches at 0 and 2, stamped; returns the size of the first. */
static size_t two(struct buf *out, int64_t second, int32_t epoch, int32_t second_epoch)
{
    struct rig_batch b = {.producer_id = 5, .count = 2, .timestamp = RIG_TIME, .value_size = 20};
    rig_build(&b, out);
    size_t first = out->size;
    b.sequence = 2;
    rig_build(&b, out);
    batch_stamp(out->p, 0, epoch);
    batch_stamp(out->p + first, second, second_epoch);
    return first;
}

static void refused(struct slice bytes, int64_t segment, int want)
{
    const struct part *p = log_part(follower);
    int64_t reserved = p->reserved;
    size_t epochs = p->epochs.count, producers = p->producers.map.count;
    ck_assert_int_eq(ship_put(follower, bytes, segment), want);
    ck_assert_int_eq(p->reserved, reserved);
    ck_assert_uint_eq(p->epochs.count, epochs);
    ck_assert_uint_eq(p->producers.map.count, producers);
    ck_assert(!part_round_due(p, false));
}

START_TEST(test_refused)
{
    struct buf b = {0};
    size_t first = two(&b, 2, 7, 8);
    for (size_t i = 0; i < b.size; i++)
        refused(slice_of(b.p, i == first ? 0 : i), 0, PART_BROKEN);
    refused(slice_of(b.p + first, b.size - first), 3, PART_BROKEN); /* of a later segment */
    for (size_t i = 16; i < b.size; i++) {
        if (i >= first && i < first + 16)
            continue; /* its base offset and epoch, which no checksum covers */
        b.p[i] ^= 4;
        refused(buf_slice(&b), 0, PART_BROKEN);
        b.p[i] ^= 4;
    }
    buf_reset(&b);
    two(&b, 1, 7, 7); /* the second one lies inside the first */
    refused(buf_slice(&b), 0, PART_BROKEN);
    buf_reset(&b);
    two(&b, 2, 7, 6);
    refused(buf_slice(&b), 0, PART_EPOCH);
    buf_reset(&b);
    two(&b, 2, -1, 6);
    refused(buf_slice(&b), 0, PART_EPOCH);
    buf_reset(&b);
    two(&b, 2, 7, 1001); /* beyond the leader's own */
    refused(buf_slice(&b), 0, PART_EPOCH);
    buf_reset(&b);
    two(&b, INT32_MAX, 7, 7); /* more than a segment can name */
    refused(buf_slice(&b), 0, PART_BROKEN);
    buf_reset(&b);
    two(&b, 2, 7, 8);
    ck_assert_int_eq(ship_put(follower, buf_slice(&b), 0), 0);
    ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    refused(buf_slice(&b), 0, PART_BROKEN); /* it is there */
    batch_stamp(b.p, 4, 7);
    refused(slice_of(b.p, first), 0, PART_EPOCH); /* below the epoch of what is there */
    buf_deinit(&b);
}
END_TEST

/* What was queued from the leader, and behind it as leader itself, goes with a full disk. */
START_TEST(test_full)
{
    const struct part *p = log_part(follower);
    struct buf b = {0};
    for (int32_t i = 0; i < 4; i++)
        put(leader, 5, 2 * i, 2, 100);
    ck_assert_int_eq(ship_once(leader, follower, 400), 0);
    ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    int64_t end = log_end(follower);
    ck_assert_int_eq(part_set_epoch(log_part(leader), 2), 0);
    for (int32_t i = 4; i < 12; i++)
        put(leader, 5, 2 * i, 2, 300);
    while (ship_once(leader, follower, 700) == 0) {
    }
    struct rig_batch own = {.producer_id = 5, .sequence = 24, .count = 1, .timestamp = RIG_TIME};
    rig_build(&own, &b);
    ck_assert_int_eq(log_append_batch(follower, buf_slice(&b), RIG_TIME, NULL), 0);
    ck_assert_int_eq(part_last_epoch(p), 1000);
    part_check(p);
    io_fault_plan(fault, (struct io_fault_plan){
                             .fail_at = 1 + (uint64_t)_i, .error = IO_FULL, .space_only = true});
    int r = log_sync(follower, RIG_TIME);
    lift();
    part_check(p);
    if (r != 0) {
        ck_assert_int_eq(r, IO_FULL);
        ck_assert_int_eq(p->reserved, end);
        ck_assert_int_eq(part_last_epoch(p), 0);
        ck_assert_uint_eq(p->epochs.count, 1);
        size_t at = 0;
        const struct producers_entry *e = map_next(&p->producers.map, &at);
        ck_assert_int_eq(e->batches[e->count - 1].base_offset, end - 2);
        ship_all(leader, follower, 700);
        ck_assert_int_eq(log_append_batch(follower, buf_slice(&b), RIG_TIME, NULL), 0);
        ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    }
    ck_assert_int_eq(log_end(follower), 25);
    ck_assert_uint_eq(p->epochs.count, 3);
    cut((uint64_t)_i);
    ck_assert_int_eq(log_end(follower), 25);
    ck_assert_int_eq(part_last_epoch(log_part(follower)), 1000);
    buf_deinit(&b);
}
END_TEST

/* The leader has dropped what the follower lacks, up to inside a batch. */
START_TEST(test_begin)
{
    bool reached = true;
    fill();
    ck_assert_int_eq(ship_once(leader, follower, 1200), 0);
    ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    put(leader, 9, 0, 10, 10);
    int64_t start = log_end(leader) - 4;
    put(leader, 9, 10, 10, 10);
    ck_assert_int_eq(log_trim(leader, start, RIG_TIME), 0);
    ck_assert_int_eq(log_begin(follower, log_end(follower) - 1, RIG_TIME), PART_OUT_OF_RANGE);
    ck_assert_int_gt(log_end(follower), 0);
    for (uint64_t n = 1; reached; n++) {
        int64_t end = log_end(follower);
        io_fault_plan(fault, (struct io_fault_plan){.fail_at = n, .error = -EIO, .forever = true});
        int r = log_begin(follower, start, RIG_TIME);
        reached = io_fault_calls(fault) >= n;
        ck_assert_int_eq(r, reached ? -EIO : 0);
        cut(n);
        ck_assert(log_end(follower) == end || log_end(follower) == start);
    }
    const struct part *p = log_part(follower);
    ck_assert_int_eq(log_start(follower), start);
    ck_assert_int_eq(p->reserved, start);
    ck_assert_uint_eq(p->count, 0);
    ck_assert_uint_eq(p->producers.map.count, 0);
    ck_assert_int_eq(part_last_epoch(p), EPOCHS_NONE);
    ck_assert(!rig_has(disk, FOLLOWER, "log") && !rig_has(disk, FOLLOWER, "snapshot"));
    ship_all(leader, follower, 1);
    ship_same(leader, follower, start);
    ck_assert_int_eq(p->segments[0]->base, start - 6);
    cut(99);
    ck_assert_int_eq(log_start(follower), start);
    ship_same(leader, follower, start);
    ck_assert_int_eq(log_begin(follower, log_end(follower), RIG_TIME), 0);
    ck_assert_int_eq(log_start(follower), log_end(leader));
}
END_TEST

/* A folder that is not there yet. */
START_TEST(test_begin_nothing)
{
    ck_assert_int_eq(log_begin(follower, 0, RIG_TIME), 0);
    ck_assert(!rig_has(disk, FOLLOWER, ""));
    ck_assert_int_eq(log_begin(follower, 500, RIG_TIME), 0);
    cut((uint64_t)_i);
    ck_assert_int_eq(log_start(follower), 500);
    put(follower, -1, 0, 3, 10);
    cut((uint64_t)_i);
    ck_assert_int_eq(log_start(follower), 500);
    ck_assert_int_eq(log_end(follower), 503);
}
END_TEST

static void put_key(int64_t i, const char *key)
{
    struct slice k = slice_str(key);
    ck_assert_int_eq(log_append_record(leader, RIG_TIME + i, k, k, NULL), 0);
    ck_assert_int_eq(log_sync(leader, RIG_TIME), 0);
}

/* One batch that the follower has, and more behind a gap. */
static void fill_compacted(void)
{
    struct log_compact o = {.now_ms = RIG_TIME + 1000};
    put_key(0, "first");
    ship_all(leader, follower, 1);
    ck_assert_uint_eq(log_part(follower)->generation, 0);
    for (int64_t i = 1; i < 60; i++) {
        ck_assert_int_eq(part_set_epoch(log_part(leader), (int32_t)(3 + i / 15)), 0);
        put_key(i, i % 7 == 0 ? "a" : i % 9 == 0 ? "b" : "c");
    }
    ck_assert_int_eq(log_compact(leader, &o), 0);
    ck_assert_uint_gt(log_part(leader)->generation, 0);
}

/* Offsets are missing: never taken for damage, wherever the follower dies. */
START_TEST(test_compacted_leader)
{
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        fill_compacted();
        io_fault_plan(fault, (struct io_fault_plan){.fail_at = n, .error = -EIO, .forever = true});
        ck_assert_int_eq(ship_once(leader, follower, 1), 0);
        int r = log_sync(follower, RIG_TIME);
        reached = io_fault_calls(fault) >= n;
        ck_assert_int_eq(r, reached ? -EIO : 0);
        int64_t end = log_end(follower);
        ck_assert_int_gt(end, reached ? 0 : 2);
        cut(n * 7 + (uint64_t)_i);
        ck_assert_int_ge(log_end(follower), end);
        ship_all(leader, follower, 300);
        ship_same(leader, follower, 0);
        cut(n + (uint64_t)_i);
        ship_same(leader, follower, 0);
        ck_assert_uint_gt(log_part(follower)->generation, 0);
        teardown();
        setup();
    }
}
END_TEST

/* A segment that is told of in 32 bits, and nothing for six thousand million offsets. */
START_TEST(test_far_apart)
{
    const int64_t far = INT64_C(6) << 30;
    struct buf b = {0};
    size_t first = two(&b, far + 2, 7, 7);
    ck_assert_int_eq(ship_put(follower, slice_of(b.p, first), 0), 0);
    ck_assert_int_eq(ship_put(follower, slice_of(b.p + first, b.size - first), far), 0);
    ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    cut((uint64_t)_i);
    ck_assert(!log_recovery(follower)->index_rebuilt);
    ck_assert_int_eq(log_end(follower), far + 4);
    ck_assert_int_eq(log_part(follower)->segments[1]->base, far);
    struct log_view v;
    int64_t good;
    ck_assert_int_eq(log_read(follower, 2, 100, &v, &good), 0);
    ck_assert_int_eq(v.next_offset, far + 4);
    log_view_release(&v);
    buf_deinit(&b);
}
END_TEST

/* --- what the disk does to epochs --- */

static void drop_files(const char *dir, const char *suffix)
{
    int64_t offsets[64];
    size_t n = rig_files(disk, dir, suffix, offsets, 64);
    for (size_t i = 0; i < n; i++) {
        struct buf path = {0};
        state_segment_path(&path, dir, offsets[i], suffix);
        ck_assert_int_eq(io_unlink(disk, (const char *)path.p), 0);
        buf_deinit(&path);
    }
}

static unsigned faults;

static void on_found(void *ctx, bool is_fault, const char *line)
{
    ck_assert_ptr_null(ctx);
    faults += is_fault && strstr(line, "leader epoch falls") != NULL;
}

/* The epoch of the 20th of 40 batches (3 for 15, 4 for 15, 5 for 10) loses or gets a bit. */
START_TEST(test_epoch_flipped)
{
    struct epochs want = {0};
    struct verify_totals totals = {0};
    struct store store;
    fill();
    for (size_t i = 0; i < 3; i++)
        ck_assert(epochs_append(&want, (int32_t)(3 + i), (int64_t)i * 30));
    const struct part *p = log_part(leader);
    size_t slot = p->count;
    while (p->segments[slot - 1]->base > 38)
        slot--;
    int64_t base = p->segments[slot - 1]->base;
    struct part_extent e;
    ck_assert_int_eq(ship_read(leader, base, 1 << 20, &e), 0);
    struct batch_header h;
    size_t pos = 0;
    ck_assert_int_eq(batch_parse(e.bytes, &h), BATCH_OK);
    pos = (size_t)(38 - base) / 2 * h.size;
    reader_unpin(e.pin);
    ck_assert_int_eq(log_close(leader), 0);
    drop_files(LEADER, "snapshot");
    struct buf path = {0};
    state_segment_path(&path, LEADER, base, "log");
    ck_assert_int_eq(io_crash_flip(disk, (const char *)path.p, pos + BATCH_POS_LEADER_EPOCH + 3,
                                   _i == 0 ? 5 : 2),
                     0);
    store_init(&store, &(struct store_options){.io = disk});
    struct verify_options o = {.found = on_found};
    faults = 0;
    ck_assert_int_eq(verify_part(&store, LEADER, &o, &totals), 0);
    ck_assert_uint_eq(faults, 1);
    store_deinit(&store);
    leader = open_log(disk, LEADER, 1500);
    ck_assert_uint_eq(log_recovery(leader)->epochs_damaged, 1);
    ck_assert(epochs_equal(&log_part(leader)->epochs, &want));
    ck_assert_int_eq(part_set_epoch(log_part(leader), 6), 0); /* and it goes on */
    buf_deinit(&path);
    epochs_deinit(&want);
}
END_TEST

/* Snapshots as versions wrote them that knew no leader epochs: producers are taken from there, the
 * epochs are read from the batches, unless there was only one. */
START_TEST(test_old_snapshots)
{
    struct epochs want = {0};
    struct buf bytes = {0}, path = {0};
    int64_t offsets[8];
    bool one = _i == 0;
    if (one)
        for (int32_t i = 0; i < 40; i++)
            put(leader, 5, 2 * i, 2, 100);
    else
        fill();
    for (size_t i = 0; i < log_part(leader)->epochs.count; i++)
        ck_assert(epochs_append(&want, log_part(leader)->epochs.entries[i].epoch,
                                log_part(leader)->epochs.entries[i].start));
    part_checkpoint(log_part(leader));
    ck_assert_int_eq(log_sync(leader, RIG_TIME), 0);
    producers_save(&log_part(leader)->producers, log_end(leader), &bytes);
    ck_assert_int_eq(log_close(leader), 0);
    drop_files(LEADER, "snapshot");
    state_segment_path(&path, LEADER, 80, "snapshot");
    ck_assert_int_eq(io_write_file(disk, LEADER, (const char *)path.p, buf_slice(&bytes)), 0);
    leader = open_log(disk, LEADER, 1500);
    ck_assert(!log_recovery(leader)->snapshot_damaged);
    ck_assert_uint_eq(log_recovery(leader)->scanned_size > 0, !one);
    ck_assert(epochs_equal(&log_part(leader)->epochs, &want));
    ck_assert_int_eq(log_part(leader)->epoch, one ? 0 : 5);
    put(leader, 5, 80, 1, 10);
    part_checkpoint(log_part(leader));
    ck_assert_int_eq(log_close(leader), 0);
    leader = open_log(disk, LEADER, 1500);
    ck_assert_uint_eq(log_recovery(leader)->scanned_size, 0); /* the new one tells */
    ck_assert_uint_eq(log_part(leader)->epochs.count, want.count);
    ck_assert_uint_ge(rig_files(disk, LEADER, "snapshot", offsets, 8), 1);
    buf_deinit(&bytes);
    buf_deinit(&path);
    epochs_deinit(&want);
}
END_TEST

/* A sealed file may have another name, of a copy: a cut into it leaves that as it is. */
START_TEST(test_truncate_keeps_other_names)
{
    struct rig g;
    struct buf before = {0}, after = {0};
    char from[160], to[160];
    rig_init(&g, true);
    struct log *l = open_log(g.io, g.dir, 1500);
    for (int32_t i = 0; i < 40; i++)
        put(l, 5, 2 * i, 2, 100);
    int64_t base = log_part(l)->segments[1]->base;
    snprintf(from, sizeof from, "%s/%020lld.log", g.dir, (long long)base);
    snprintf(to, sizeof to, "%s/other", g.root);
    ck_assert_int_eq(link(from, to), 0);
    ck_assert_int_eq(io_read_file(g.io, to, 1 << 20, &before), 0);
    ck_assert_int_eq(log_truncate(l, base + 3, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), base + 2);
    for (int32_t i = 0; i < 4; i++)
        put(l, 6, i, 1, 100);
    ck_assert_int_eq(io_read_file(g.io, to, 1 << 20, &after), 0);
    ck_assert(slice_equal(buf_slice(&before), buf_slice(&after)));
    ck_assert_int_eq(log_close(l), 0);
    buf_deinit(&before);
    buf_deinit(&after);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ship");
    TCase *c = tcase_create("ship");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_rolls_where_the_leader_did);
    tcase_add_test(c, test_extents);
    tcase_add_test(c, test_refused);
    tcase_add_loop_test(c, test_full, 0, 25);
    tcase_add_test(c, test_begin);
    tcase_add_loop_test(c, test_begin_nothing, 0, 5);
    tcase_add_loop_test(c, test_compacted_leader, 0, 5);
    tcase_add_loop_test(c, test_far_apart, 0, 3);
    tcase_add_loop_test(c, test_epoch_flipped, 0, 2);
    tcase_add_loop_test(c, test_old_snapshots, 0, 2);
    tcase_add_test(c, test_truncate_keeps_other_names);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
