/* SPDX-License-Identifier: MIT
 *
 * test_coord: what a watcher of the records is told, what a mirror writes down, and that the log
 * stays in proportion: against a plain model, over a disk that loses what was not synced.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/coord_priv.h"
#include "test/unit/broker/rig.h"

#define KEYS 40

/* --- one change --- */

struct change {
    struct coord_op op;
    char key[32];
    char value[700];
    unsigned done;
    int result;
};

static void change_done(struct coord_op *op, int result)
{
    struct change *c = op->ctx;
    c->done++;
    c->result = result;
}

static struct coord *coord_of(struct rig *g)
{
    return g->broker->coord;
}

/* Starts key = value (NULL: deletes), whatever is there. */
static void change_start(struct rig *g, struct change *c, const char *key, const char *value)
{
    struct slice old;
    *c = (struct change){0};
    (void)snprintf(c->key, sizeof c->key, "%s", key);
    (void)snprintf(c->value, sizeof c->value, "%s", value != NULL ? value : "");
    c->op = (struct coord_op){.key = slice_str(c->key),
                              .value = value != NULL ? slice_str(c->value) : SLICE_NULL,
                              .done = change_done,
                              .ctx = c};
    if (coord_get(coord_of(g), c->op.key, &old, &c->op.expect) != 0)
        c->op.expect = -1;
    ck_assert_int_eq(coord_cas(coord_of(g), &c->op, RIG_TIME), 0);
}

static void set(struct rig *g, const char *key, const char *value)
{
    struct change c;
    change_start(g, &c, key, value);
    rig_run(g);
    ck_assert(c.done == 1 && c.result == 0);
}

static bool shared(struct slice key)
{
    return key.p[0] == 'k';
}

static void expect_change(const struct coord_changes *l, size_t i, const char *key,
                          const char *value)
{
    ck_assert_uint_lt(i, l->count);
    ck_assert(slice_equal(l->v[i].key, slice_str(key)));
    ck_assert_int_eq(l->v[i].value.p == NULL, value == NULL);
    if (value != NULL)
        ck_assert(slice_equal(l->v[i].value, slice_str(value)));
}

START_TEST(watched)
{
    struct rig g;
    struct coord_changes l = {0};
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_run(&g);
    set(&g, "k1", "a");
    set(&g, "k2", "b");
    int64_t since = coord_revision(coord_of(&g));
    coord_changes(coord_of(&g), since, shared, &l);
    ck_assert(l.count == 0 && !l.whole && l.revision == since);
    coord_changes_deinit(&l);
    set(&g, "k3", "");
    set(&g, "k1", "c");
    set(&g, "x1", "hidden");
    set(&g, "k2", NULL);
    rig_advance(&g, 5000); /* the view has it all */
    coord_changes(coord_of(&g), since, shared, &l);
    ck_assert(l.count == 3 && !l.whole && l.revision == since + 4);
    expect_change(&l, 0, "k3", "");
    expect_change(&l, 1, "k1", "c");
    expect_change(&l, 2, "k2", NULL);
    set(&g, "k1", "other"); /* what was told is the asker's */
    expect_change(&l, 1, "k1", "c");
    coord_changes_deinit(&l);
    coord_changes(coord_of(&g), -1, shared, &l);
    ck_assert(l.count == 2 && l.whole);
    expect_change(&l, 0, "k3", "");
    expect_change(&l, 1, "k1", "other");
    coord_changes_deinit(&l);
    coord_changes(coord_of(&g), since + 1000, NULL, &l); /* of another log */
    ck_assert(l.whole);
    coord_changes_deinit(&l);
    set(&g, "k2", "again");
    coord_changes(coord_of(&g), since, shared, &l);
    ck_assert(l.count == 3 && !l.whole);
    expect_change(&l, 2, "k2", "again");
    coord_changes_deinit(&l);
    rig_reopen(&g, true); /* what was deleted before, nobody knows */
    coord_changes(coord_of(&g), since, shared, &l);
    ck_assert(l.whole && l.count == 3);
    coord_changes_deinit(&l);
    rig_deinit(&g);
}
END_TEST

/* Deletions are known up to a number; behind that everything is told. */
START_TEST(graves)
{
    struct rig g;
    struct coord_changes l = {0};
    rig_init(&g, 2, 0);
    rig_open(&g);
    set(&g, "x", "v");
    int64_t since = coord_revision(coord_of(&g));
    for (unsigned n = 0; n < COORD_GRAVES_MAX + 200; n++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%u", n);
        set(&g, key, "v");
        set(&g, key, NULL);
        if (n == COORD_GRAVES_MAX - 1) {
            coord_changes(coord_of(&g), since, shared, &l);
            ck_assert(!l.whole && l.count == COORD_GRAVES_MAX);
            coord_changes_deinit(&l);
        }
    }
    rig_advance(&g, 3000);
    set(&g, "k", "v");
    set(&g, "k", NULL); /* the view knows of the others now */
    coord_changes(coord_of(&g), since, shared, &l);
    ck_assert(l.whole && l.count == 0);
    coord_changes_deinit(&l);
    coord_changes(coord_of(&g), coord_revision(coord_of(&g)) - 2 * COORD_GRAVES_MAX, shared, &l);
    ck_assert(!l.whole && l.count == COORD_GRAVES_MAX);
    coord_changes_deinit(&l);
    ck_assert_uint_eq(g.broker->coord->grave_count, COORD_GRAVES_MAX);
    rig_deinit(&g);
}
END_TEST

/* --- a mirror --- */

struct put {
    struct coord_put put;
    unsigned done;
    int result;
};

static void put_done(struct coord_put *put, int result)
{
    struct put *p = put->ctx;
    p->done++;
    p->result = result;
}

static size_t mirror(struct rig *g, const struct coord_changes *from)
{
    struct coord_changes news = {0};
    struct put p = {.put = {.done = put_done}};
    p.put.ctx = &p;
    coord_diff(coord_of(g), from, shared, &news);
    size_t count = news.count;
    if (count > 0) {
        coord_put(coord_of(g), &p.put, &news, RIG_TIME);
        coord_changes_deinit(&news);
        ck_assert_uint_eq(p.done, 0);
        rig_run(g);
        ck_assert(p.done == 1 && p.result == 0);
    }
    coord_changes_deinit(&news);
    return count;
}

START_TEST(mirrored)
{
    struct rig g;
    struct change c;
    struct coord_changes l = {.whole = true}, news = {0};
    struct slice value;
    int64_t revision;
    rig_init(&g, 3, 0);
    rig_open(&g);
    set(&g, "k1", "old");
    set(&g, "k2", "gone");
    set(&g, "x1", "mine");
    coord_changes_add(&l, slice_str("k1"), slice_str("new"));
    coord_changes_add(&l, slice_str("k3"), slice_str(""));
    ck_assert_uint_eq(mirror(&g, &l), 3);
    ck_assert_uint_eq(mirror(&g, &l), 0); /* nothing is news */
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k1"), &value, &revision), 0);
    ck_assert(slice_equal(value, slice_str("new")));
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k2"), &value, &revision), COORD_NONE);
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("x1"), &value, &revision), 0);
    rig_reopen(&g, false);
    ck_assert_uint_eq(mirror(&g, &l), 0);
    /* A change of our own is under way: ours first, then what the leader says. */
    change_start(&g, &c, "k1", "ours");
    coord_diff(coord_of(&g), &l, shared, &news);
    ck_assert_uint_eq(news.count, 1);
    coord_changes_deinit(&news);
    ck_assert_uint_eq(mirror(&g, &l), 1);
    ck_assert(c.done == 1 && c.result == 0);
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k1"), &value, &revision), 0);
    ck_assert(slice_equal(value, slice_str("new")));
    change_start(&g, &c, "k4", "ours"); /* and it would come to be */
    ck_assert_uint_eq(mirror(&g, &l), 1);
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k4"), &value, &revision), COORD_NONE);
    coord_changes_deinit(&l);
    ck_assert(!coord_change_legal(slice_str(""), SLICE_NULL));
    ck_assert(!coord_change_legal(slice_of(g.line, META_KEY_MAX + 1), SLICE_NULL));
    rig_deinit(&g);
}
END_TEST

/* No compare-and-set beside a mirror's change of the key. */
START_TEST(mirror_comes_first)
{
    struct rig g;
    struct coord_changes l = {0};
    struct put p = {.put = {.done = put_done}};
    struct change c = {.key = "k1"};
    p.put.ctx = &p;
    rig_init(&g, 4, 0);
    rig_open(&g);
    coord_changes_add(&l, slice_str("k1"), slice_str("a"));
    coord_put(coord_of(&g), &p.put, &l, RIG_TIME);
    c.op = (struct coord_op){.key = slice_str("k1"), .expect = -1, .done = change_done, .ctx = &c};
    ck_assert_int_eq(coord_cas(coord_of(&g), &c.op, RIG_TIME), COORD_CONFLICT);
    rig_run(&g);
    ck_assert(p.done == 1 && c.done == 0);
    coord_changes_deinit(&l);
    rig_deinit(&g);
}
END_TEST

/* More than a batch holds. */
START_TEST(large)
{
    struct rig g;
    struct coord_changes l = {.whole = true}, back = {0};
    static char keys[30][8];
    rig_init(&g, 5, 0);
    rig_open(&g);
    char *value CLEANUP(cleanup_free) = malloc(COORD_VALUE_MAX);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', COORD_VALUE_MAX);
    for (unsigned i = 0; i < 30; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%u", i);
        coord_changes_add(&l, slice_str(keys[i]), slice_of(value, COORD_VALUE_MAX));
    }
    ck_assert_uint_eq(mirror(&g, &l), 30);
    rig_reopen(&g, false);
    coord_changes(coord_of(&g), -1, shared, &back);
    ck_assert_uint_eq(back.count, 30);
    for (unsigned i = 0; i < 30; i++)
        ck_assert(slice_equal(back.v[i].key, slice_str(keys[i])) &&
                  back.v[i].value.size == COORD_VALUE_MAX);
    coord_changes_deinit(&back);
    coord_changes_deinit(&l);
    rig_deinit(&g);
}
END_TEST

/* --- the bound of the log, against a model --- */

struct model {
    struct rig g;
    struct random rnd;
    int value[KEYS];            /* acknowledged; -1 none */
    int64_t revision[KEYS];     /* of the value */
    struct change *doubt[KEYS]; /* not answered when the process ended */
    unsigned trims;
};

static void model_text(unsigned n, char out[700])
{
    int size = snprintf(out, 700, "%u ", n);
    memset(out + size, 'x', 300 + n % 300);
    out[size + 300 + n % 300] = '\0';
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static void model_key(unsigned i, char out[32])
{
    (void)snprintf(out, 32, "k%u", i);
}

/* What is there is what was acknowledged, or what was under way. */
static void model_check(struct model *m)
{
    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        struct slice value;
        int64_t revision = -1;
        model_key(i, key);
        bool there = coord_get(coord_of(&m->g), slice_str(key), &value, &revision) == 0;
        int n = there ? number((const char *)value.p) : -1;
        struct change *c = m->doubt[i];
        int doubtful = c == NULL ? -2 : c->op.value.p == NULL ? -1 : number(c->value);
        if (n != m->value[i] || (there && revision != m->revision[i])) {
            ck_assert_msg(c != NULL && n == doubtful, "%s is %d, not %d or %d", key, n, m->value[i],
                          doubtful);
            m->value[i] = n;
            m->revision[i] = revision;
        }
        free(c);
        m->doubt[i] = NULL;
    }
    coord_check(coord_of(&m->g));
}

static void model_change(struct model *m, bool answered)
{
    unsigned i = (unsigned)random_below(&m->rnd, KEYS), n = (unsigned)random_below(&m->rnd, 1000);
    bool remove = m->value[i] >= 0 && random_below(&m->rnd, 3) == 0;
    char key[32], text[700];
    if (m->doubt[i] != NULL)
        return;
    struct change *c = calloc(1, sizeof *c);
    ck_assert_ptr_nonnull(c);
    model_key(i, key);
    model_text(n, text);
    change_start(&m->g, c, key, remove ? NULL : text);
    m->doubt[i] = c;
    if (!answered)
        return;
    rig_run(&m->g);
    for (unsigned k = 0; k < KEYS; k++) {
        struct change *d = m->doubt[k];
        if (d == NULL)
            continue;
        ck_assert(d->done == 1 && d->result == 0);
        m->value[k] = d->op.value.p == NULL ? -1 : number(d->value);
        m->revision[k] = d->op.revision;
        free(d);
        m->doubt[k] = NULL;
    }
}

static void model_open(struct model *m)
{
    rig_open(&m->g);
    coord_tidy_above(coord_of(&m->g), 4096);
    model_check(m);
}

static void model_end(struct model *m, unsigned how)
{
    if (how == 0)
        rig_stop(&m->g);
    else if (how == 1)
        rig_kill(&m->g);
    else
        rig_cut(&m->g, random_u64(&m->rnd));
    if (random_below(&m->rnd, 2)) { /* the log alone must know */
        meta_store_free(m->g.view);
        m->g.view = meta_store_new();
    }
}

static void model_run(uint64_t seed)
{
    struct model m = {0};
    random_init(&m.rnd, seed);
    rig_init(&m.g, seed, 0);
    for (unsigned i = 0; i < KEYS; i++)
        m.value[i] = -1;
    model_open(&m);
    for (unsigned n = 0; n < 800; n++) {
        const struct part *log = m.g.broker->meta_part.part;
        int64_t start = log->log_start;
        uint64_t dice = random_below(&m.rnd, 40);
        for (uint64_t k = dice < 8 ? random_below(&m.rnd, 12) : 0; k > 0; k--) { /* step by step */
            if (random_below(&m.rnd, 3) == 0)
                model_change(&m, false);
            (void)work_sim_step(m.g.work);
            rig_turn(&m.g);
        }
        if (dice == 0) { /* the end, with changes and perhaps a tidying under way */
            unsigned how = (unsigned)random_below(&m.rnd, 3);
            if (how == 0)
                rig_run(&m.g);
            model_end(&m, how);
            model_open(&m);
            continue;
        }
        model_change(&m, dice > 10);
        if (dice > 30)
            rig_advance(&m.g, 1000);
        m.trims += m.g.broker->meta_part.part->log_start > start;
    }
    rig_run(&m.g);
    rig_advance(&m.g, 5000);
    ck_assert_uint_gt(m.trims, 2);
    ck_assert_uint_lt(part_size(m.g.broker->meta_part.part), 200 * 1024);
    ck_assert_uint_eq(m.g.errors, 0);
    rig_stop(&m.g);
    model_open(&m);
    rig_deinit(&m.g);
    for (unsigned i = 0; i < KEYS; i++)
        free(m.doubt[i]);
}

START_TEST(log_is_bounded)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        model_run(seed);
}
END_TEST

/* Every call of the disk fails once, in a tidying: then the process ends, and all is there. */
START_TEST(tidying_fails)
{
    unsigned failed = 0;
    for (uint64_t n = 1; n < 40; n++) {
        struct model m = {0};
        random_init(&m.rnd, n);
        rig_init(&m.g, n, 0);
        for (unsigned i = 0; i < KEYS; i++)
            m.value[i] = -1;
        rig_open(&m.g);
        for (unsigned i = 0; i < 200; i++)
            model_change(&m, true);
        coord_tidy_above(coord_of(&m.g), 4096);
        rig_fail(&m.g, n, n % 2 == 0);
        for (unsigned i = 0; i < 8 && m.g.fatals == 0; i++)
            rig_advance(&m.g, 1000);
        failed += m.g.fatals;
        model_end(&m, 1 + n % 2);
        rig_fail(&m.g, 0, false);
        model_open(&m);
        for (unsigned i = 0; i < 8; i++)
            rig_advance(&m.g, 1000);
        ck_assert_int_gt(m.g.broker->meta_part.part->log_start, 0);
        model_check(&m);
        rig_deinit(&m.g);
    }
    ck_assert_uint_gt(failed, 10);
}
END_TEST

/* Nothing is left to write once more. */
START_TEST(tidied_to_nothing)
{
    struct rig g;
    struct slice value;
    int64_t revision;
    char text[700];
    rig_init(&g, 9, 0);
    rig_open(&g);
    rig_run(&g);
    model_text(5, text);
    for (unsigned i = 0; i < 100; i++)
        set(&g, "k", text);
    set(&g, "k", NULL);
    set(&g, "node/seat", NULL);
    coord_tidy_above(coord_of(&g), 4096);
    rig_advance(&g, 5000);
    ck_assert_int_gt(g.broker->meta_part.part->log_start, 100);
    set(&g, "k2", "b");
    rig_kill(&g);
    rig_open(&g);
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k2"), &value, &revision), 0);
    ck_assert_int_eq(coord_get(coord_of(&g), slice_str("k"), &value, &revision), COORD_NONE);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("coord");
    TCase *t = tcase_create("coord");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, watched);
    tcase_add_test(t, graves);
    tcase_add_test(t, mirrored);
    tcase_add_test(t, mirror_comes_first);
    tcase_add_test(t, large);
    tcase_add_test(t, log_is_bounded);
    tcase_add_test(t, tidying_fails);
    tcase_add_test(t, tidied_to_nothing);
    suite_add_tcase(s, t);
    return rig_main(s);
}
