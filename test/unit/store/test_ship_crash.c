/* SPDX-License-Identifier: MIT
 *
 * ship_crash: two logs that lead by turns. Whoever leads appends, the other one takes it over in
 * pieces of any size, and dies while it does: its n-th step on the disk fails, then the power is
 * cut or not. What it had made durable is there when it comes back, and nothing else is missing or
 * doubled in the end. When the lead changes a tail that was not shipped is left behind: the old
 * leader finds by the epochs where the two part, cuts there, dying on the way, and follows.
 *
 * Whenever a follower has everything, both hold the same batches, epochs and producers, and the
 * sealed files that begin behind the last cut are equal, byte by byte.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/store/ship_rig.h"

#define DIR       "/orders-0"
#define LEADS     6
#define PRODUCERS 3

struct node {
    struct io *disk;  /* owned */
    struct io *fault; /* owned, around it */
    struct log *log;  /* owned */
    int64_t cut;      /* files that begin below are not those of the other */
};

struct world {
    struct node nodes[2];
    struct random random;
    int32_t epoch;
    uint64_t tag;
    bool trims;
};

static uint64_t below(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

static void lift(struct node *n)
{
    io_fault_plan(n->fault, (struct io_fault_plan){.fail_at = 0});
}

static void doom(struct world *w, struct node *n, uint64_t steps)
{
    io_fault_plan(n->fault, (struct io_fault_plan){.fail_at = 1 + below(w, steps),
                                                   .error = -EIO,
                                                   .forever = true,
                                                   .short_write = below(w, 2) == 0});
}

/* Segments of a size of its own: what a follower stores must not depend on it. */
static int open_node(struct world *w, struct node *n)
{
    struct log_options o = {.io = n->fault,
                            .dir = DIR,
                            .segment_size_max = 2000 + below(w, 5000),
                            .index_interval_size = 1 + below(w, 700),
                            .checkpoint_size = 1000 + below(w, 10000),
                            .segment_ms = below(w, 3) == 0 ? 3000 : 0,
                            .now_ms = RIG_TIME};
    return log_open(&o, &n->log);
}

/* It dies, and comes back: with everything it had acknowledged. */
static void revive(struct world *w, struct node *n)
{
    int64_t durable = n->log != NULL ? log_end(n->log) : 0;
    int r = -1;
    io_fault_plan(n->fault, (struct io_fault_plan){.fail_at = 1, .error = -EIO, .forever = true});
    if (n->log != NULL)
        ck_assert_int_le(log_close(n->log), 0);
    for (unsigned tries = 0; r != 0; tries++) {
        struct io *disk = below(w, 3) > 0 ? io_crash_cut(n->disk, random_u64(&w->random))
                                          : io_crash_kill(n->disk);
        io_fault_free(n->fault);
        io_crash_free(n->disk);
        n->disk = disk;
        n->fault = io_fault_new(disk);
        if (tries < 2 && below(w, 2) == 0)
            doom(w, n, 20);
        r = open_node(w, n);
        ck_assert_int_le(r, 0);
    }
    lift(n);
    part_check(log_part(n->log));
    ck_assert_uint_eq(log_recovery(n->log)->damaged_count, 0);
    ck_assert_uint_eq(log_recovery(n->log)->epochs_damaged, 0);
    ck_assert_int_ge(log_end(n->log), durable);
    ck_assert_int_eq(part_set_epoch(log_part(n->log), w->epoch), 0);
}

/* --- the leader --- */

/* The producer's next batch, by what the log knows of it. */
static void append(struct world *w, struct node *n)
{
    struct buf b = {0};
    struct rig_batch batch = {.producer_id = (int64_t)below(w, PRODUCERS + 1) - 1,
                              .count = 1 + (int32_t)below(w, 6),
                              .timestamp = RIG_TIME + (int64_t)below(w, 9000),
                              .value_size = below(w, 150),
                              .tag = w->tag++,
                              .codec = below(w, 3) == 0 ? CODEC_LZ4 : CODEC_NONE};
    const struct map *map = &log_part(n->log)->producers.map;
    const struct producers_entry *e =
        batch.producer_id < 0 ? NULL : map_get(map, map_key64(&batch.producer_id));
    if (e != NULL && e->count > 0) {
        batch.epoch = e->epoch;
        batch.sequence =
            (int32_t)((uint32_t)e->batches[e->count - 1].last_sequence + 1) & INT32_MAX;
    }
    rig_build(&batch, &b);
    ck_assert_int_eq(log_append_batch(n->log, buf_slice(&b), RIG_TIME, NULL), 0);
    buf_deinit(&b);
}

static void lead(struct world *w, struct node *leader, const struct node *follower, bool trim)
{
    for (uint64_t i = below(w, 12); i > 0; i--)
        append(w, leader);
    if (below(w, 8) == 0)
        part_seal(log_part(leader->log));
    ck_assert_int_eq(log_sync(leader->log, RIG_TIME), 0);
    int64_t start = log_start(leader->log), most = log_end(follower->log);
    if (trim && most > start && below(w, 6) == 0)
        ck_assert_int_eq(log_trim(leader->log,
                                  start + (int64_t)below(w, (uint64_t)(most - start) + 1),
                                  RIG_TIME),
                         0);
}

/* --- the follower --- */

static void keep_apart(struct node *a, struct node *b, int64_t cut)
{
    cut = cut > a->cut ? cut : a->cut;
    a->cut = b->cut = cut > b->cut ? cut : b->cut;
}

static int follow_step(struct world *w, struct node *leader, struct node *follower)
{
    for (uint64_t i = 1 + below(w, 3); i > 0; i--) {
        int r = ship_once(leader->log, follower->log, 1 + below(w, 4000));
        ck_assert(r == 0 || r == PART_END);
    }
    int r = log_sync(follower->log, RIG_TIME);
    int64_t start = log_start(leader->log);
    if (r != 0 || start <= log_start(follower->log) || start > log_end(follower->log))
        return r;
    if (start == log_end(follower->log)) /* it rolls, for itself */
        keep_apart(leader, follower, start);
    return log_trim(follower->log, start, RIG_TIME);
}

static void follow(struct world *w, struct node *leader, struct node *follower)
{
    bool doomed = below(w, 5) == 0;
    if (doomed)
        doom(w, follower, 20);
    int r = follow_step(w, leader, follower);
    ck_assert_int_le(r, 0);
    if (r < 0 || below(w, 20) == 0)
        revive(w, follower);
    lift(follower);
}

static int64_t common_end(struct log *a, struct log *b)
{
    int64_t at = log_start(a) > log_start(b) ? log_start(a) : log_start(b);
    for (;;) {
        struct part_extent x, y;
        if (ship_read(a, at, 1, &x) != 0)
            return at;
        int r = ship_read(b, at, 1, &y);
        bool same = r == 0 && slice_equal(x.bytes, y.bytes);
        int64_t next = x.next_offset;
        reader_unpin(x.pin);
        if (r == 0)
            reader_unpin(y.pin);
        if (!same)
            return at;
        at = next;
    }
}

/* Where the segment begins that an append at the offset goes to. */
static int64_t segment_at(const struct node *n, int64_t offset)
{
    const struct part *p = log_part(n->log);
    int64_t base = -1;
    for (size_t i = 0; i < p->count && p->segments[i]->base <= offset; i++)
        base = p->segments[i]->base;
    return base;
}

/* KIP-101: cuts until the leader knows the follower's last batch. */
static void reconcile(struct world *w, struct node *leader, struct node *follower)
{
    int64_t want = common_end(leader->log, follower->log);
    for (unsigned i = 0;; i++) {
        const struct part *l = log_part(leader->log), *f = log_part(follower->log);
        int32_t last = part_last_epoch(f);
        struct epochs_end there = epochs_end(&l->epochs, last, l->reserved);
        ck_assert_uint_lt(i, 100);
        if (last == EPOCHS_NONE || (there.epoch == last && there.end >= f->reserved))
            break;
        struct epochs_end here = epochs_end(&f->epochs, there.epoch, f->reserved);
        int64_t to = here.end < there.end ? here.end : there.end;
        ck_assert_int_ge(to, want); /* nothing that both have goes */
        keep_apart(leader, follower, want);
        if (below(w, 2) == 0)
            doom(w, follower, 30);
        struct log *log = follower->log;
        int r = log_truncate(log, to, RIG_TIME);
        ck_assert_int_le(r, 0);
        if (r < 0) { /* what is there now is not known */
            follower->log = NULL;
            ck_assert_int_le(log_close(log), 0);
            revive(w, follower);
        }
        lift(follower);
        part_check(log_part(follower->log));
        ck_assert_int_ge(log_end(follower->log), to);
    }
    ck_assert_int_eq(log_end(follower->log), want);
    if (segment_at(leader, want) != segment_at(follower, want))
        keep_apart(leader, follower, want);
    ck_assert_int_eq(part_set_epoch(log_part(follower->log), w->epoch), 0);
}

/* Sealed files of the follower that begin behind the cut. */
static void same_files(const struct node *leader, const struct node *follower)
{
    const struct part *p = log_part(follower->log);
    int64_t cut = follower->cut > log_start(leader->log) ? follower->cut : log_start(leader->log);
    for (size_t i = 0; i + 1 < p->count; i++) {
        struct buf a = {0}, b = {0};
        int64_t base = p->segments[i]->base;
        if (base <= cut && cut > 0)
            continue;
        ck_assert(ship_file(leader->disk, DIR, base, &a));
        ck_assert(ship_file(follower->disk, DIR, base, &b));
        ck_assert_uint_eq(a.size, b.size);
        if (a.size > 0)
            ck_assert_mem_eq(a.p, b.p, a.size);
        buf_deinit(&a);
        buf_deinit(&b);
    }
}

static void compare(struct world *w, struct node *leader, struct node *follower)
{
    ship_all(leader->log, follower->log, 1 + below(w, 4000));
    if (log_start(leader->log) == log_end(follower->log))
        keep_apart(leader, follower, log_end(follower->log));
    if (log_start(leader->log) > log_start(follower->log))
        ck_assert_int_eq(log_trim(follower->log, log_start(leader->log), RIG_TIME), 0);
    int64_t from = log_start(follower->log);
    ship_same(leader->log, follower->log,
              from > log_start(leader->log) ? from : log_start(leader->log));
    same_files(leader, follower);
    if (!w->trims)
        ship_same_producers(leader->log, follower->log);
}

static void run_lead(struct world *w, struct node *leader, struct node *follower)
{
    w->epoch += 1 + (int32_t)below(w, 3);
    ck_assert_int_eq(part_set_epoch(log_part(leader->log), w->epoch), 0);
    if (below(w, 2) == 0)
        lead(w, leader, follower, false); /* nobody knows yet where the two part */
    reconcile(w, leader, follower);
    for (uint64_t i = below(w, 25); i > 0; i--) {
        lead(w, leader, follower, w->trims);
        if (below(w, 4) > 0)
            follow(w, leader, follower);
    }
    if (below(w, 2) == 0)
        compare(w, leader, follower);
    if (below(w, 4) == 0)
        revive(w, leader);
}

START_TEST(test_ship)
{
    struct world w = {.trims = _i % 2 == 1};
    random_init(&w.random, (uint64_t)_i);
    for (unsigned i = 0; i < 2; i++) {
        w.nodes[i].disk = io_crash_new(0);
        w.nodes[i].fault = io_fault_new(w.nodes[i].disk);
        ck_assert_int_eq(open_node(&w, &w.nodes[i]), 0);
    }
    for (unsigned i = 0; i < LEADS; i++)
        run_lead(&w, &w.nodes[i % 2], &w.nodes[1 - i % 2]);
    reconcile(&w, &w.nodes[0], &w.nodes[1]);
    compare(&w, &w.nodes[0], &w.nodes[1]);
    for (unsigned i = 0; i < 2; i++)
        revive(&w, &w.nodes[i]);
    compare(&w, &w.nodes[0], &w.nodes[1]);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(log_close(w.nodes[i].log), 0);
        io_crash_check(w.nodes[i].disk);
        io_fault_free(w.nodes[i].fault);
        io_crash_free(w.nodes[i].disk);
    }
}
END_TEST

int main(void)
{
    int seeds = getenv("KAURI_TEST_LONG") != NULL ? 2000 : 100;
    Suite *s = suite_create("ship_crash");
    TCase *c = tcase_create("ship_crash");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_ship, 0, seeds);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
