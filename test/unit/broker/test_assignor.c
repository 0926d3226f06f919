/* SPDX-License-Identifier: MIT
 *
 * assignor: groups of a few members by hand, thousands of random ones by seed, a large one with its
 * time printed. Every assignment made here goes through assignor_judge (assignor_judge.h), which
 * holds it against the promises of assignor.h with its own slow means. 2,000 seeds of six
 * assignments each; 20,000 with KAURI_TEST_LONG=1.
 */
#include "engine/broker/assignor.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "assignor_judge.h"
#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "engine/broker/assignor_priv.h"

/* `members` members "m00", "m01", ... of which each subscribes to all topics. */
static void group_init(struct judge_group *g, int members, int topics, int32_t partitions)
{
    *g = (struct judge_group){.member_count = members, .topic_count = topics};
    for (int t = 0; t < topics; t++)
        g->partitions[t] = partitions;
    for (int m = 0; m < members; m++) {
        snprintf(g->members[m].key, sizeof g->members[m].key, "m%02d", m);
        for (int t = 0; t < topics; t++)
            g->members[m].subscribed[t] = true;
    }
}

/* The group's member goes, those behind it move up. */
static void group_leave(struct judge_group *g, int member)
{
    g->member_count--;
    for (int m = member; m < g->member_count; m++)
        g->members[m] = g->members[m + 1];
}

static void group_join(struct judge_group *g, const char *key)
{
    struct judge_member *m = &g->members[g->member_count++];
    ck_assert_int_le(g->member_count, JUDGE_MEMBERS);
    *m = (struct judge_member){.owned_count = 0};
    snprintf(m->key, sizeof m->key, "%s", key);
    for (int t = 0; t < g->topic_count; t++)
        m->subscribed[t] = true;
}

START_TEST(test_names)
{
    enum assignor kind = ASSIGNOR_UNIFORM;
    ck_assert_str_eq(assignor_name(ASSIGNOR_UNIFORM), "uniform");
    ck_assert_str_eq(assignor_name(ASSIGNOR_RANGE), "range");
    ck_assert_int_eq(assignor_from_name(slice_str("range"), &kind), 0);
    ck_assert_int_eq(kind, ASSIGNOR_RANGE);
    ck_assert_int_eq(assignor_from_name(slice_str("uniform"), &kind), 0);
    ck_assert_int_eq(kind, ASSIGNOR_UNIFORM);
    ck_assert_int_eq(assignor_from_name(slice_str("sticky"), &kind), 1);
    ck_assert_int_eq(assignor_from_name(SLICE_NULL, &kind), 1);
}
END_TEST

static const struct {
    int32_t partitions;
    int members;
    const char *loads; /* of m00, m01, ... */
    const char *range; /* the owner of each partition */
} even_rows[] = {
    {3, 3, "111", "012"},
    {6, 3, "222", "001122"},
    {4, 4, "1111", "0123"},
    {4, 2, "22", "0011"},
    {4, 6, "111100", "0123"},
    {6, 8, "11111100", "012345"},
    {12, 12, "111111111111", "0123456789:;"},
    {7, 3, "322", "0001122"},
    {1, 1, "1", "0"},
    {0, 2, "00", ""},
};

START_TEST(test_one_topic)
{
    struct judge_group g;
    struct judge_result uniform, range;
    group_init(&g, even_rows[_i].members, 1, even_rows[_i].partitions);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &uniform);
    assignor_judge(ASSIGNOR_RANGE, &g, &range);
    for (int m = 0; m < g.member_count; m++) {
        ck_assert_int_eq(uniform.load[m], even_rows[_i].loads[m] - '0');
        ck_assert_int_eq(range.load[m], even_rows[_i].loads[m] - '0');
    }
    for (int32_t p = 0; p < g.partitions[0]; p++)
        ck_assert_int_eq(range.who[0][p], even_rows[_i].range[p] - '0');
}
END_TEST

/* The order of members is that of their keys as bytes, a prefix first. */
START_TEST(test_range_by_key)
{
    static const char *const keys[] = {"b", "\xc3\xa4", "a", "ab"};
    static const int order[] = {2, 3, 0, 1};
    struct judge_group g;
    struct judge_result r;
    group_init(&g, 4, 2, 6);
    for (int m = 0; m < 4; m++)
        snprintf(g.members[m].key, sizeof g.members[m].key, "%s", keys[m]);
    g.members[0].subscribed[1] = false; /* topic 1: three subscribers */
    assignor_judge(ASSIGNOR_RANGE, &g, &r);
    for (int32_t p = 0; p < 6; p++)
        ck_assert_int_eq(r.who[0][p], order[p < 4 ? p / 2 : p - 2]);
    ck_assert_int_eq(r.who[1][0], 2);
    ck_assert_int_eq(r.who[1][2], 3);
    ck_assert_int_eq(r.who[1][5], 1);
}
END_TEST

START_TEST(test_member_leaves)
{
    struct judge_group g;
    struct judge_result before, after;
    group_init(&g, 4, 2, 6);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &before);
    judge_follow(&g, &before);
    group_leave(&g, _i);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_eq(after.moved, 0); /* nobody who stays loses any */
    for (int m = 0; m < 3; m++)
        ck_assert_int_eq(after.load[m], 4);
}
END_TEST

START_TEST(test_member_joins)
{
    struct judge_group g;
    struct judge_result before, after;
    group_init(&g, 5, 3, 7);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &before);
    judge_follow(&g, &before);
    group_join(&g, _i == 0 ? "a-first" : "z-last");
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_le(after.moved, (21 + 5) / 6);
    ck_assert_int_eq(after.moved, after.load[5]); /* all that moves, moves to it */
}
END_TEST

START_TEST(test_topic_grows)
{
    struct judge_group g;
    struct judge_result before, after;
    group_init(&g, 3, 2, 4);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &before);
    judge_follow(&g, &before);
    g.partitions[0] = 11;
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_eq(after.moved, 0);
    for (int m = 0; m < 3; m++)
        ck_assert_int_eq(after.load[m], 5);
}
END_TEST

START_TEST(test_topic_vanishes)
{
    struct judge_group g;
    struct judge_result before, after;
    group_init(&g, 3, 2, 6);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &before);
    judge_follow(&g, &before);
    for (int m = 0; m < 3; m++) {
        for (size_t i = 0; i < g.members[m].owned_count; i++) {
            if (g.members[m].owned[i].topic == 1)
                g.members[m].owned[i].topic = ASSIGNOR_NO_TOPIC;
        }
    }
    g.topic_count = 1;
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_eq(after.moved, 0);
    ck_assert_int_eq(after.load[0], 2);
}
END_TEST

START_TEST(test_subscription_changes)
{
    struct judge_group g;
    struct judge_result before, after;
    group_init(&g, 3, 2, 6);
    assignor_judge(ASSIGNOR_UNIFORM, &g, &before);
    judge_follow(&g, &before);
    g.members[0].subscribed[1] = false; /* gives up two of its four, has room for topic 0 */
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_eq(after.load[0], 4);
    ck_assert_int_eq(after.moved, 2);
    judge_follow(&g, &after);
    for (int m = 0; m < 3; m++)
        g.members[m].subscribed[1] = false; /* nobody wants topic 1 any more */
    assignor_judge(ASSIGNOR_UNIFORM, &g, &after);
    ck_assert_int_eq(after.load[0], 2);
    ck_assert_int_eq(after.who[1][0], -1);
}
END_TEST

START_TEST(test_mixed_subscriptions)
{
    struct judge_group g;
    struct judge_result r;
    group_init(&g, 3, 3, 0);
    g.partitions[0] = 2;
    g.partitions[1] = 4;
    g.partitions[2] = 6;
    g.members[0].subscribed[1] = g.members[0].subscribed[2] = false;
    g.members[1].subscribed[2] = false;
    assignor_judge(ASSIGNOR_UNIFORM, &g, &r);
    ck_assert_int_eq(r.load[0], 2); /* all of topic 0 */
    ck_assert_int_eq(r.load[1], 4); /* all of topic 1 */
    ck_assert_int_eq(r.load[2], 6); /* topic 2 is nobody else's */
}
END_TEST

/* m00 has 3 and m01 has 2 when m02 comes with nothing: m00 gives, although a look at topic 0 first
 * would take from m01. m03 makes the group a mixed one. */
START_TEST(test_mixed_takes_from_the_fullest)
{
    struct judge_group g;
    struct judge_result r;
    group_init(&g, 4, 3, 0);
    g.partitions[0] = 2;
    g.partitions[1] = 3;
    g.partitions[2] = 1;
    for (int m = 0; m < 3; m++)
        g.members[m].subscribed[2] = false;
    g.members[3].subscribed[0] = g.members[3].subscribed[1] = false;
    for (int32_t p = 0; p < 2; p++)
        g.members[1].owned[g.members[1].owned_count++] = (struct assignor_partition){0, p};
    for (int32_t p = 0; p < 3; p++)
        g.members[0].owned[g.members[0].owned_count++] = (struct assignor_partition){1, p};
    assignor_judge(ASSIGNOR_UNIFORM, &g, &r);
    ck_assert_int_eq(r.moved, 1);
    ck_assert_int_eq(r.load[0], 2);
    ck_assert_int_eq(r.load[1], 2);
    ck_assert_int_eq(r.load[2], 1);
}
END_TEST

START_TEST(test_nothing_to_do)
{
    struct judge_group g;
    struct judge_result r;
    group_init(&g, 0, 0, 0);
    assignor_judge((enum assignor)_i, &g, &r);
    group_init(&g, 0, 2, 4); /* nobody */
    assignor_judge((enum assignor)_i, &g, &r);
    group_init(&g, 3, 0, 0); /* no topic */
    assignor_judge((enum assignor)_i, &g, &r);
    group_init(&g, 3, 2, 0); /* no partition */
    assignor_judge((enum assignor)_i, &g, &r);
    group_init(&g, 1, 2, 4); /* no subscription */
    memset(g.members[0].subscribed, 0, sizeof g.members[0].subscribed);
    assignor_judge((enum assignor)_i, &g, &r);
    ck_assert_int_eq(r.load[0], 0);
    ck_assert_ptr_null(assignor_free(NULL));
}
END_TEST

/* A client may choose a member id that is another's instance id. */
START_TEST(test_same_key_twice)
{
    const uint32_t topics[] = {0, 0, 0}; /* a repeat is no harm */
    const struct assignor_topic topic = {.partition_count = 3};
    const struct assignor_member members[] = {
        {.key = slice_str("twin"), .topics = topics, .topic_count = 3},
        {.key = slice_str("twin"), .topics = topics, .topic_count = 1},
    };
    struct assignor_input in = {members, 2, &topic, 1};
    struct assignor_result *r = assignor_assign((enum assignor)_i, &in);
    ck_assert_uint_eq(r->item_count, 3);
    ck_assert_uint_eq(r->members[0].count, 2);
    ck_assert_uint_eq(r->members[1].count, 1);
    r = assignor_free(r);
    ck_assert_ptr_null(r);
}
END_TEST

START_TEST(test_unknown_topic_aborts)
{
    const uint32_t topics[] = {1};
    const struct assignor_topic topic = {.partition_count = 3};
    const struct assignor_member member = {
        .key = slice_str("a"), .topics = topics, .topic_count = 1};
    struct assignor_input in = {&member, 1, &topic, 1};
    (void)assignor_free(assignor_assign(ASSIGNOR_UNIFORM, &in));
}
END_TEST

/* ---- By seed ---- */

static void random_owned(struct random *r, struct judge_group *g, bool foreign)
{
    for (int m = 0; m < g->member_count; m++) {
        struct judge_member *who = &g->members[m];
        who->owned_count = random_below(r, 2) ? random_below(r, 20) : 0;
        for (size_t i = 0; i < who->owned_count; i++) {
            struct assignor_partition *p = &who->owned[i];
            p->topic = (uint32_t)random_below(r, (uint64_t)g->topic_count + 1);
            p->partition = (int32_t)random_below(r, 14);
            if (foreign && random_below(r, 10) == 0)
                *p = random_below(r, 2) ? (struct assignor_partition){ASSIGNOR_NO_TOPIC, 0}
                                        : (struct assignor_partition){0, -1};
        }
    }
}

static void random_subscription(struct random *r, struct judge_group *g, int m)
{
    for (int t = 0; t < g->topic_count; t++)
        g->members[m].subscribed[t] = g->same ? g->wanted[t] : random_below(r, 3) > 0;
    if (random_below(r, 12) == 0)
        memset(g->members[m].subscribed, 0, sizeof g->members[m].subscribed);
}

static void random_group(struct random *r, struct judge_group *g)
{
    group_init(g, (int)random_below(r, 11), (int)random_below(r, 7), 0);
    g->same = random_below(r, 2) == 0;
    for (int t = 0; t < g->topic_count; t++) {
        g->partitions[t] = (int32_t)random_below(r, 13);
        g->wanted[t] = random_below(r, 3) > 0;
    }
    for (int m = 0; m < g->member_count; m++)
        random_subscription(r, g, m);
    random_owned(r, g, random_below(r, 2) == 0);
}

static void random_change(struct random *r, struct judge_group *g, int step)
{
    char key[JUDGE_KEY_SIZE];
    snprintf(key, sizeof key, "m%02d-%d", (int)random_below(r, 12), step);
    switch (random_below(r, 5)) {
    case 0:
        if (g->member_count > 0)
            group_leave(g, (int)random_below(r, (uint64_t)g->member_count));
        break;
    case 1:
        group_join(g, key);
        random_subscription(r, g, g->member_count - 1);
        break;
    case 2:
        if (g->topic_count > 0)
            g->partitions[random_below(r, (uint64_t)g->topic_count)] = (int32_t)random_below(r, 13);
        break;
    case 3:
        if (g->member_count > 0)
            random_subscription(r, g, (int)random_below(r, (uint64_t)g->member_count));
        break;
    default:
        if (g->topic_count > 0)
            g->topic_count--;
        break;
    }
}

/* The same members in another order, and their lists in another order, get the same. */
static void check_shuffled(struct random *r, const struct judge_group *g,
                           const struct judge_result *want, enum assignor kind)
{
    static struct judge_group other;
    struct judge_result got;
    int place[JUDGE_MEMBERS];
    other = *g;
    for (int m = 0; m < g->member_count; m++)
        place[m] = m;
    for (int m = g->member_count - 1; m > 0; m--) {
        int n = (int)random_below(r, (uint64_t)m + 1);
        int swap = place[m];
        place[m] = place[n];
        place[n] = swap;
    }
    for (int m = 0; m < g->member_count; m++) {
        struct judge_member *to = &other.members[place[m]];
        *to = g->members[m];
        for (size_t i = 0; i < to->owned_count; i++)
            to->owned[i] = g->members[m].owned[to->owned_count - 1 - i];
    }
    other.backwards = true;
    assignor_judge(kind, &other, &got);
    for (int t = 0; t < g->topic_count; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++)
            JUDGE_THAT(g, got.who[t][p] == (want->who[t][p] < 0 ? -1 : place[want->who[t][p]]));
    }
}

/* What was assigned, given in as owned, comes out again. */
static void check_stays(const struct judge_group *g, const struct judge_result *want)
{
    static struct judge_group again;
    struct judge_result got;
    again = *g;
    judge_follow(&again, want);
    assignor_judge(ASSIGNOR_UNIFORM, &again, &got);
    JUDGE_THAT(g, got.moved == 0);
    for (int t = 0; t < g->topic_count; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++)
            JUDGE_THAT(g, got.who[t][p] == want->who[t][p]);
    }
}

START_TEST(test_seeds)
{
    static struct judge_group g;
    struct judge_result result;
    uint64_t seeds = getenv("KAURI_TEST_LONG") != NULL ? 20000 : 2000;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct random r;
        random_init(&r, seed);
        random_group(&r, &g);
        g.seed = seed;
        for (int step = 0; step < 3; step++) {
            assignor_judge(ASSIGNOR_RANGE, &g, &result);
            check_shuffled(&r, &g, &result, ASSIGNOR_RANGE);
            assignor_judge(ASSIGNOR_UNIFORM, &g, &result);
            check_shuffled(&r, &g, &result, ASSIGNOR_UNIFORM);
            check_stays(&g, &result);
            judge_follow(&g, &result);
            random_change(&r, &g, step);
        }
    }
}
END_TEST

/* ---- Large ---- */

struct large {
    struct assignor_member *members;
    struct assignor_topic *topics;
    char (*keys)[16];
    uint32_t *subscriptions; /* topic_count for each member */
    size_t member_count;
    size_t topic_count;
};

static void *large_array(size_t count, size_t size)
{
    return assert_memory(calloc(count, size), count * size);
}

/* Each member subscribes to `share` of the topics, which are next to each other from a random one
 * on; the first one may own everything that it is subscribed to. */
static void large_init(struct large *l, size_t members, size_t topics, int32_t partitions,
                       size_t share)
{
    struct random r;
    random_init(&r, 1);
    *l = (struct large){.member_count = members, .topic_count = topics};
    l->members = large_array(members, sizeof l->members[0]);
    l->topics = large_array(topics, sizeof l->topics[0]);
    l->keys = large_array(members, sizeof l->keys[0]);
    l->subscriptions = large_array(members * topics, sizeof l->subscriptions[0]);
    for (size_t t = 0; t < topics; t++)
        l->topics[t].partition_count = partitions;
    for (size_t m = 0; m < members; m++) {
        uint32_t *subs = &l->subscriptions[m * topics];
        size_t from = random_below(&r, topics);
        snprintf(l->keys[m], sizeof l->keys[m], "member-%06zu", m * 7919 % 1000000);
        for (size_t i = 0; i < share; i++)
            subs[i] = (uint32_t)((from + i) % topics);
        l->members[m] = (struct assignor_member){
            .key = slice_str(l->keys[m]), .topics = subs, .topic_count = share};
    }
}

static void large_deinit(struct large *l)
{
    free(l->members);
    free(l->topics);
    free(l->keys);
    free(l->subscriptions);
}

static struct assignor_result *large_run(const struct large *l, size_t members, const char *what)
{
    struct assignor_input in = {l->members, members, l->topics, l->topic_count};
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    struct assignor_result *r = assignor_assign(ASSIGNOR_UNIFORM, &in);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("assignor: %zu members, %zu topics, %zu partitions, %s: %.1f ms of CPU\n", members,
           l->topic_count, r->item_count, what,
           (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
    ck_assert(r->settled);
    return r;
}

static const struct {
    size_t topics;
    int32_t partitions;
    size_t share;
} large_rows[] = {
    {100, 100, 100}, /* the same for all */
    {100, 100, 10},  /* few topics of many */
    {1000, 10, 999}, /* nearly all of them, no two the same */
};

START_TEST(test_large)
{
    struct large l;
    large_init(&l, 1000, large_rows[_i].topics, large_rows[_i].partitions, large_rows[_i].share);
    struct assignor_result *before = large_run(&l, 900, "fresh");
    ck_assert_uint_eq(before->item_count, 10000);
    for (size_t m = 0; m < 900; m++) {
        l.members[m].owned = before->members[m].items;
        l.members[m].owned_count = before->members[m].count;
    }
    struct assignor_result *after = large_run(&l, 1000, "100 join");
    ck_assert_uint_eq(after->item_count, 10000);
    after = assignor_free(after);
    l.members[0].owned = before->items; /* one claims all that it may have */
    l.members[0].owned_count = before->item_count;
    for (size_t m = 1; m < 900; m++)
        l.members[m].owned_count = 0;
    after = large_run(&l, 1000, "one had all");
    ck_assert_uint_eq(after->item_count, 10000);
    after = assignor_free(after);
    before = assignor_free(before);
    large_deinit(&l);
}
END_TEST

/* Where the effort runs out the assignment is whole, says that it is not settled, and is a start
 * that the next call goes on from. */
START_TEST(test_effort_runs_out)
{
    struct large l;
    struct assignor_partition all[60];
    large_init(&l, 3, 2, 30, 2);
    l.members[2].topic_count = 1; /* mixed */
    for (uint32_t i = 0; i < 60; i++)
        all[i] = (struct assignor_partition){i / 30, (int32_t)(i % 30)};
    l.members[0].owned = all;
    l.members[0].owned_count = 60;
    struct assignor_input in = {l.members, 3, l.topics, 2};
    struct assignor_result *r = assignor_assign_within(ASSIGNOR_UNIFORM, &in, 100);
    ck_assert_uint_eq(r->item_count, 60);
    ck_assert(!r->settled);
    int calls = 1;
    for (; !r->settled; calls++) {
        ck_assert_int_lt(calls, 60);
        struct assignor_result *last = r;
        for (size_t m = 0; m < 3; m++) {
            l.members[m].owned = last->members[m].items;
            l.members[m].owned_count = last->members[m].count;
        }
        r = assignor_assign_within(ASSIGNOR_UNIFORM, &in, 100);
        ck_assert_uint_eq(r->item_count, 60);
        last = assignor_free(last);
    }
    for (size_t m = 0; m < 3; m++)
        ck_assert_uint_eq(r->members[m].count, 20);
    ck_assert_int_gt(calls, 2);
    r = assignor_free(r);
    large_deinit(&l);
}
END_TEST

/* Two members, topic 0 for both, topic 1 for the first one, who owned `owned` of topic 0;
 * true when next to no effort is enough. */
static bool little_effort(int32_t partitions_0, int32_t partitions_1, size_t owned)
{
    const uint32_t both[] = {0, 1};
    const struct assignor_topic topics[] = {{partitions_0}, {partitions_1}};
    const struct assignor_partition first[] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}};
    const struct assignor_member members[] = {
        {slice_str("a"), both, 2, first, owned},
        {slice_str("b"), both, 1, NULL, 0},
    };
    struct assignor_input in = {members, 2, topics, 2};
    struct assignor_result *r = assignor_assign_within(ASSIGNOR_UNIFORM, &in, 1);
    bool settled = r->settled;
    r = assignor_free(r);
    return settled;
}

START_TEST(test_little_effort)
{
    ck_assert(!little_effort(4, 1, 4)); /* two of four have to move */
    ck_assert(little_effort(4, 0, 4));  /* an empty topic does not make a group mixed */
    ck_assert(little_effort(2, 2, 0));  /* filled from the rarer topic on: none moves */
    ck_assert(little_effort(2, 9, 0));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("assignor");
    tcase_set_timeout(tc, getenv("KAURI_TEST_LONG") != NULL ? 600 : 60);
    tcase_add_test(tc, test_names);
    tcase_add_loop_test(tc, test_one_topic, 0, sizeof even_rows / sizeof even_rows[0]);
    tcase_add_test(tc, test_range_by_key);
    tcase_add_loop_test(tc, test_member_leaves, 0, 4);
    tcase_add_loop_test(tc, test_member_joins, 0, 2);
    tcase_add_test(tc, test_topic_grows);
    tcase_add_test(tc, test_topic_vanishes);
    tcase_add_test(tc, test_subscription_changes);
    tcase_add_test(tc, test_mixed_subscriptions);
    tcase_add_test(tc, test_mixed_takes_from_the_fullest);
    tcase_add_loop_test(tc, test_nothing_to_do, 0, ASSIGNOR_COUNT);
    tcase_add_loop_test(tc, test_same_key_twice, 0, ASSIGNOR_COUNT);
    tcase_add_test_raise_signal(tc, test_unknown_topic_aborts, SIGABRT);
    tcase_add_test(tc, test_seeds);
    tcase_add_loop_test(tc, test_large, 0, sizeof large_rows / sizeof large_rows[0]);
    tcase_add_test(tc, test_effort_runs_out);
    tcase_add_test(tc, test_little_effort);
    Suite *suite = suite_create("broker/assignor");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
