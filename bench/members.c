/* SPDX-License-Identifier: MIT
 *
 * members: see members.h. Joining goes in rounds, a request of each member in each:
 *
 *   classic   JoinGroup without id -> JoinGroup with it, parked until the group is complete ->
 *             SyncGroup, the leader's with the shares of all
 *   newer     ConsumerGroupHeartbeat with epoch 0, then such that tell what was taken over, until
 *             a round has told nobody anything new
 */
#include "bench/members.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/frames.h"
#include "bench/links.h"
#include "engine/base/assert.h"

#define MEMBERS_ROUNDS_MAX 100

struct members_one {
    struct members *all;
    struct frames_member frame;
    struct buf beat; /* the frame of a heartbeat, once settled */
    int64_t due_ns;
    bool leader;
};

struct members {
    struct members_options options;
    struct links *links;
    struct members_one *v; /* of group 0, of group 1, ... */
    char (*groups)[MEMBERS_GROUP_MAX];
    int64_t count;
    void (*answer)(struct members_one *m, struct slice frame); /* of this round */
    struct hist *latency;
    int64_t beats;
    int64_t news; /* of this round */
};

void members_group(const char *kind, int64_t number, char out[MEMBERS_GROUP_MAX])
{
    int n = snprintf(out, MEMBERS_GROUP_MAX, "%s-%05lld", kind, (long long)number);
    ASSERT(n < MEMBERS_GROUP_MAX);
}

static void members_answer(void *ctx, void *tag, struct slice frame)
{
    struct members *ms = ctx;
    ms->answer(tag, frame);
}

static struct buf *members_out(struct members_one *m)
{
    struct members *ms = m->all;
    int64_t group = (m - ms->v) / ms->options.members;
    return links_out(ms->links, (size_t)(group % ms->options.links), m);
}

/* One request of each, and all answers. */
static void members_round(struct members *ms, void (*ask)(struct members_one *m),
                          void (*answer)(struct members_one *m, struct slice frame))
{
    ms->answer = answer;
    for (int64_t i = 0; i < ms->count; i++)
        ask(&ms->v[i]);
    links_settle(ms->links);
}

/* --- classic ---------------------------------------------------------------------------------- */

static void members_join(struct members_one *m)
{
    frames_join(&m->frame, members_out(m));
}

static void members_named(struct members_one *m, struct slice frame)
{
    int32_t members;
    if (frames_joined(frame, &m->frame, &members) != FRAMES_MEMBER_ID_WANTED)
        bench_die("join", "a member without id was let in");
}

static void members_joined(struct members_one *m, struct slice frame)
{
    int32_t members;
    if (frames_joined(frame, &m->frame, &members) != 0 || m->frame.generation != 1)
        bench_die("join", "the group was not made in one go");
    m->leader = members > 0;
    if (m->leader && members != m->all->options.members)
        bench_die("join", "members are missing");
}

static void members_share(struct members_one *m)
{
    const struct members_options *o = &m->all->options;
    int64_t index = (m - m->all->v) % o->members;
    m->frame.owned_count = 0;
    for (int64_t p = index; p < o->partitions; p += o->members)
        m->frame.owned[m->frame.owned_count++] = (int32_t)p;
}

static void members_sync(struct members_one *m)
{
    struct frames_member v[FRAMES_PARTITIONS_MAX];
    const struct members *ms = m->all;
    size_t members = m->leader ? (size_t)ms->options.members : 0;
    const struct members_one *first = m - (m - ms->v) % ms->options.members;
    for (size_t i = 0; i < members; i++)
        v[i] = first[i].frame;
    frames_sync(&m->frame, v, members, members_out(m));
}

static void members_synced(struct members_one *m, struct slice frame)
{
    (void)m;
    frames_synced(frame);
}

static void members_make_classic(struct members *ms)
{
    for (int64_t i = 0; i < ms->count; i++)
        members_share(&ms->v[i]);
    members_round(ms, members_join, members_named);
    members_round(ms, members_join, members_joined);
    members_round(ms, members_sync, members_synced);
}

/* --- newer ------------------------------------------------------------------------------------ */

static void members_tell(struct members_one *m)
{
    frames_consumer_beat(&m->frame, true, members_out(m));
}

static void members_told(struct members_one *m, struct slice frame)
{
    m->all->news += frames_consumer_beaten(frame, &m->frame);
}

static void members_make_newer(struct members *ms)
{
    int64_t owned = 0, rounds = 0;
    do {
        ms->news = 0;
        members_round(ms, members_tell, members_told);
    } while (ms->news > 0 && ++rounds < MEMBERS_ROUNDS_MAX);
    for (int64_t i = 0; i < ms->count; i++)
        owned += ms->v[i].frame.owned_count;
    if (ms->news > 0 || owned != ms->options.groups * ms->options.partitions)
        bench_die("heartbeat", "the groups do not come to rest");
}

/* --- all -------------------------------------------------------------------------------------- */

struct members *members_open(const struct members_options *o)
{
    struct members *ms = assert_memory(calloc(1, sizeof *ms), sizeof *ms);
    if (o->groups < 1 || o->links < 1 || o->members < 1 || o->members > FRAMES_PARTITIONS_MAX ||
        o->partitions < o->members || o->partitions > FRAMES_PARTITIONS_MAX || o->beat_ms < 1)
        bench_die("arguments", "want --groups, --links, --members, --beat-ms from 1 and as many "
                               "--partitions as members, at most 128");
    ms->options = *o;
    ms->count = o->groups * o->members;
    ms->links = links_open(&(struct links_options){
        .port = o->port, .count = (size_t)o->links, .answer = members_answer, .ctx = ms});
    ms->v = assert_memory(calloc((size_t)ms->count, sizeof *ms->v), (size_t)ms->count);
    ms->groups = assert_memory(calloc((size_t)o->groups, sizeof *ms->groups), (size_t)o->groups);
    for (int64_t i = 0; i < ms->count; i++) {
        members_group("members", i / o->members, ms->groups[i / o->members]);
        ms->v[i].all = ms;
        ms->v[i].frame.group = ms->groups[i / o->members];
        ms->v[i].frame.topic = o->topic;
    }
    if (o->newer)
        members_make_newer(ms);
    else
        members_make_classic(ms);
    return ms;
}

struct members *members_close(struct members *ms)
{
    ms->links = links_close(ms->links);
    for (int64_t i = 0; i < ms->count; i++)
        buf_deinit(&ms->v[i].beat);
    free(ms->v);
    free(ms->groups);
    free(ms);
    return NULL;
}

static void members_ask_commit(struct members_one *m)
{
    frames_commit(&m->frame, 1, members_out(m));
}

static void members_committed(struct members_one *m, struct slice frame)
{
    frames_committed(frame, &m->frame);
}

void members_commit(struct members *ms)
{
    members_round(ms, members_ask_commit, members_committed);
}

static void members_beaten(struct members_one *m, struct slice frame)
{
    if (frames_beat_error(frame) != 0)
        bench_die("heartbeat", "a member was refused: the group moves");
    hist_add(m->all->latency, bench_now_ns() - m->due_ns);
    m->all->beats++;
}

int64_t members_hold(struct members *ms, int64_t ms_long, struct hist *latency)
{
    int64_t gap = ms->options.beat_ms * 1000000 / ms->count;
    ms->answer = members_beaten;
    ms->latency = latency;
    for (int64_t i = 0; i < ms->count; i++) {
        if (ms->options.newer)
            frames_consumer_beat(&ms->v[i].frame, false, &ms->v[i].beat);
        else
            frames_beat(&ms->v[i].frame, &ms->v[i].beat);
    }
    int64_t due = bench_now_ns(), end = due + ms_long * 1000000, now = due;
    for (int64_t next = 0; now < end; now = bench_now_ns()) {
        for (; due <= now; due += gap) {
            struct members_one *m = &ms->v[next++ % ms->count];
            m->due_ns = due;
            buf_append(members_out(m), m->beat.p, m->beat.size);
        }
        links_turn(ms->links, due - now);
    }
    links_settle(ms->links);
    return ms->beats;
}
