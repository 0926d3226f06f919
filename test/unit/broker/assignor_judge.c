/* SPDX-License-Identifier: MIT
 *
 * assignor_judge: see assignor_judge.h. The numbers of the promises are those of assignor.h.
 */
#include "assignor_judge.h"

#include <limits.h>
#include <stdlib.h>

static bool judge_before(const struct judge_group *g, int a, int b)
{
    return strcmp(g->members[a].key, g->members[b].key) < 0;
}

/* Who owned a partition: of its subscribers who claim it the one with the smallest key. */
static int judge_owner(const struct judge_group *g, int topic, int32_t partition)
{
    int owner = -1;
    for (int m = 0; m < g->member_count; m++) {
        const struct judge_member *who = &g->members[m];
        for (size_t i = 0; i < who->owned_count; i++) {
            if (who->owned[i].topic == (uint32_t)topic && who->owned[i].partition == partition &&
                who->subscribed[topic] && (owner < 0 || judge_before(g, m, owner)))
                owner = m;
        }
    }
    return owner;
}

/* N1, N2, N3: reads the lists into out->who and out->load. */
static void judge_lists(const struct judge_group *g, const struct assignor_result *r,
                        struct judge_result *out)
{
    size_t sum = 0;
    memset(out->who, 0xff, sizeof out->who);
    JUDGE_THAT(g, r->member_count == (size_t)g->member_count);
    for (int m = 0; m < g->member_count; m++) {
        const struct assignor_list *list = &r->members[m];
        out->load[m] = (int)list->count;
        sum += list->count;
        for (size_t i = 0; i < list->count; i++) {
            struct assignor_partition p = list->items[i];
            JUDGE_THAT(g, p.topic < (uint32_t)g->topic_count);
            JUDGE_THAT(g, p.partition >= 0 && p.partition < g->partitions[p.topic]);
            JUDGE_THAT(g, g->members[m].subscribed[p.topic]);
            JUDGE_THAT(g, out->who[p.topic][p.partition] == -1);
            JUDGE_THAT(g, i == 0 || list->items[i - 1].topic < p.topic ||
                              (list->items[i - 1].topic == p.topic &&
                               list->items[i - 1].partition < p.partition));
            out->who[p.topic][p.partition] = m;
        }
    }
    JUDGE_THAT(g, sum == r->item_count);
}

/* N1: nothing is left over that somebody subscribes to. */
static void judge_all(const struct judge_group *g, const struct judge_result *r)
{
    for (int t = 0; t < g->topic_count; t++) {
        bool wanted = false;
        for (int m = 0; m < g->member_count; m++)
            wanted = wanted || g->members[m].subscribed[t];
        for (int32_t p = 0; p < g->partitions[t]; p++)
            JUDGE_THAT(g, wanted == (r->who[t][p] >= 0));
    }
}

/* N5: no partition that would better be with another subscriber. */
static void judge_balance(const struct judge_group *g, const struct judge_result *r)
{
    for (int t = 0; t < g->topic_count; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            for (int m = 0; m < g->member_count && r->who[t][p] >= 0; m++)
                JUDGE_THAT(g,
                           !g->members[m].subscribed[t] || r->load[r->who[t][p]] < r->load[m] + 2);
        }
    }
}

/* Counts what moved. Of one topic nobody may have got a strange partition while one of its own
 * went elsewhere: swapping them would be balanced too. */
static void judge_moves(const struct judge_group *g, struct judge_result *r)
{
    r->moved = 0;
    for (int t = 0; t < g->topic_count; t++) {
        bool lost[JUDGE_MEMBERS] = {false};
        bool got[JUDGE_MEMBERS] = {false};
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            int owner = judge_owner(g, t, p);
            if (owner == r->who[t][p])
                continue;
            if (owner >= 0)
                lost[owner] = true;
            got[r->who[t][p]] = true;
            r->moved += owner >= 0;
        }
        for (int m = 0; m < g->member_count; m++)
            JUDGE_THAT(g, !(lost[m] && got[m]));
    }
}

/* True when all who subscribe to a topic with partitions subscribe to the same ones. */
static bool judge_same(const struct judge_group *g)
{
    for (int a = 0; a < g->member_count; a++) {
        for (int b = 0; b < g->member_count; b++) {
            int only_a = 0, only_b = 0, both = 0;
            for (int t = 0; t < g->topic_count; t++) {
                bool in_a = g->members[a].subscribed[t] && g->partitions[t] > 0;
                bool in_b = g->members[b].subscribed[t] && g->partitions[t] > 0;
                only_a += in_a && !in_b;
                only_b += in_b && !in_a;
                both += in_a && in_b;
            }
            if (only_a + both > 0 && only_b + both > 0 && only_a + only_b > 0)
                return false;
        }
    }
    return true;
}

/* N6: the most that can stay, over every way to give out the larger shares: best[k] is that of the
 * members so far when k of them have one more. */
static void judge_fewest(const struct judge_group *g, const struct judge_result *r)
{
    int owned[JUDGE_MEMBERS] = {0};
    int best[JUDGE_MEMBERS + 1];
    int total = 0, owned_total = 0, active = 0;
    for (int t = 0; t < g->topic_count; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            int owner = judge_owner(g, t, p);
            total += r->who[t][p] >= 0;
            owned_total += owner >= 0;
            if (owner >= 0)
                owned[owner]++;
        }
    }
    for (int k = 0; k <= JUDGE_MEMBERS; k++)
        best[k] = k == 0 ? 0 : INT_MIN / 2;
    bool is_active[JUDGE_MEMBERS] = {false};
    for (int m = 0; m < g->member_count; m++) {
        for (int t = 0; t < g->topic_count; t++)
            is_active[m] = is_active[m] || (g->members[m].subscribed[t] && g->partitions[t] > 0);
        active += is_active[m];
    }
    for (int m = 0; m < g->member_count; m++) {
        int share = active > 0 ? total / active : 0;
        for (int k = JUDGE_MEMBERS; k >= 0 && is_active[m]; k--) {
            int plain = best[k] + (owned[m] < share ? owned[m] : share);
            int more =
                k == 0 ? INT_MIN / 2 : best[k - 1] + (owned[m] < share + 1 ? owned[m] : share + 1);
            best[k] = plain > more ? plain : more;
        }
    }
    if (active > 0)
        JUDGE_THAT(g, owned_total - r->moved == best[total % active]);
}

/* Range, from the other end: the subscriber with i others before it has this stretch. */
static void judge_range(const struct judge_group *g, const struct judge_result *r)
{
    for (int t = 0; t < g->topic_count; t++) {
        int subscribers = 0;
        for (int m = 0; m < g->member_count; m++)
            subscribers += g->members[m].subscribed[t];
        for (int m = 0; m < g->member_count; m++) {
            int i = 0;
            for (int n = 0; n < g->member_count; n++)
                i += g->members[n].subscribed[t] && judge_before(g, n, m);
            if (!g->members[m].subscribed[t])
                continue;
            int share = g->partitions[t] / subscribers, extra = g->partitions[t] % subscribers;
            int from = i * share + (i < extra ? i : extra);
            int to = from + share + (i < extra ? 1 : 0);
            for (int32_t p = 0; p < g->partitions[t]; p++)
                JUDGE_THAT(g, (r->who[t][p] == m) == (p >= from && p < to));
        }
    }
}

void assignor_judge(enum assignor kind, const struct judge_group *g, struct judge_result *out)
{
    struct assignor_member members[JUDGE_MEMBERS];
    struct assignor_topic topics[JUDGE_TOPICS];
    uint32_t subscriptions[JUDGE_MEMBERS][JUDGE_TOPICS];
    for (int t = 0; t < g->topic_count; t++)
        topics[t].partition_count = g->partitions[t];
    for (int m = 0; m < g->member_count; m++) {
        const struct judge_member *from = &g->members[m];
        size_t count = 0;
        for (int i = 0; i < g->topic_count; i++) {
            int t = g->backwards ? g->topic_count - 1 - i : i;
            if (from->subscribed[t])
                subscriptions[m][count++] = (uint32_t)t;
        }
        members[m] = (struct assignor_member){slice_str(from->key), subscriptions[m], count,
                                              from->owned, from->owned_count};
    }
    struct assignor_input in = {members, (size_t)g->member_count, topics, (size_t)g->topic_count};
    struct assignor_result *r = assignor_assign(kind, &in);
    JUDGE_THAT(g, r->settled);
    judge_lists(g, r, out);
    r = assignor_free(r);
    judge_all(g, out);
    if (kind == ASSIGNOR_RANGE) {
        out->moved = -1;
        judge_range(g, out);
        return;
    }
    judge_balance(g, out);
    judge_moves(g, out);
    if (judge_same(g))
        judge_fewest(g, out);
}

void judge_follow(struct judge_group *g, const struct judge_result *r)
{
    for (int m = 0; m < g->member_count; m++)
        g->members[m].owned_count = 0;
    for (int t = 0; t < g->topic_count; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            if (r->who[t][p] < 0)
                continue;
            struct judge_member *m = &g->members[r->who[t][p]];
            m->owned[m->owned_count++] = (struct assignor_partition){(uint32_t)t, p};
        }
    }
}
