/* SPDX-License-Identifier: MIT */
#include "group_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"

static int64_t group_rig_now(void)
{
    const struct clock *clock = clock_real();
    return clock->mono_ms(clock);
}

static void group_rig_note(struct group_rig *g, char what,
                           const struct kauri_topic_partition *parts, size_t count)
{
    size_t size = strlen(g->told);
    ck_assert_uint_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || strcmp(parts[i].topic, parts[i - 1].topic) != 0;
        char start[40] = "";
        if (first)
            (void)snprintf(start, sizeof start, "%s%c%s", size == 0 ? "" : " ", what,
                           parts[i].topic);
        size += (size_t)snprintf(g->told + size, sizeof g->told - size, "%s%c%d", start,
                                 first ? ':' : ',', parts[i].partition);
        ck_assert_uint_lt(size, sizeof g->told);
    }
    if (g->inside != NULL)
        g->inside(g, what);
}

static void group_rig_assigned(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    group_rig_note(ctx, '+', parts, count);
}

static void group_rig_revoked(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    struct group_rig *g = ctx;
    g->committed_then = group_rig_committed(g, "t", 1);
    group_rig_note(ctx, '-', parts, count);
}

static void group_rig_lost(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    group_rig_note(ctx, '!', parts, count);
}

struct group_rig *group_rig_new(struct kauri_options o)
{
    struct group_rig *g = calloc(1, sizeof *g);
    ck_assert_ptr_nonnull(g);
    g->r = rig_new(o);
    g->k = g->r->k;
    fake_server_topic(g->r->s, "t", 4);
    fake_server_topic(g->r->s, "u", 4);
    rig_send_many(g->r, "t", 0, 20);
    rig_send_many(g->r, "t", 1, 20);
    rig_settle(g->r);
    fake_server_lock(g->r->s);
    g->r->s->group.interval_ms = 20;
    fake_server_unlock(g->r->s);
    g->topics[0] = "t";
    g->topics[1] = "u";
    g->options = (struct kauri_group_options){
        .group = "g",
        .topics = g->topics,
        .topic_count = 1,
        .auto_commit_interval_ms = UINT32_MAX,
        .reset = KAURI_RESET_EARLIEST,
        .assigned = group_rig_assigned,
        .revoked = group_rig_revoked,
        .lost = group_rig_lost,
        .ctx = g,
    };
    return g;
}

struct group_rig *group_rig_free(struct group_rig *g)
{
    g->r = rig_free(g->r);
    free(g);
    return NULL;
}

void group_rig_subscribe(struct group_rig *g)
{
    int r = kauri_subscribe(g->k, &g->options);
    ck_assert_msg(r == 0, "%s", kauri_message(g->k));
}

void group_rig_assign(struct group_rig *g, const char *target)
{
    fake_server_lock(g->r->s);
    fake_group_assign(&g->r->s->group, target);
    fake_server_unlock(g->r->s);
}

void group_rig_told(struct group_rig *g, const char *told)
{
    int64_t until = group_rig_now() + GROUP_WAIT_MS;
    while (strlen(g->told) < strlen(told) && group_rig_now() < until)
        (void)kauri_poll(g->k, 10);
    ck_assert_str_eq(g->told, told);
    g->told[0] = '\0';
}

void group_rig_holds(struct group_rig *g, const char *owned)
{
    int64_t until = group_rig_now() + GROUP_WAIT_MS;
    for (bool held = false; !held;) {
        (void)kauri_poll(g->k, 10);
        fake_server_lock(g->r->s);
        held = strcmp(fake_group_owned(&g->r->s->group), owned) == 0;
        fake_server_unlock(g->r->s);
        ck_assert_msg(held || group_rig_now() < until, "not held: %s", owned);
    }
}

void group_rig_next(struct group_rig *g, const char *topic, int32_t partition, int64_t offset)
{
    struct kauri_record got;
    int error = kauri_next(g->k, GROUP_WAIT_MS, &got);
    ck_assert_msg(error == 0, "error %d: %s", error, kauri_message(g->k));
    ck_assert_str_eq(got.topic, topic);
    ck_assert_int_eq(got.partition, partition);
    ck_assert_int_eq(got.offset, offset);
}

int64_t group_rig_committed(struct group_rig *g, const char *topic, int32_t partition)
{
    fake_server_lock(g->r->s);
    int64_t offset = fake_group_offset(&g->r->s->group, topic, partition);
    fake_server_unlock(g->r->s);
    return offset;
}

void group_rig_commits(struct group_rig *g, const char *topic, int32_t partition, int64_t offset)
{
    int64_t until = group_rig_now() + GROUP_WAIT_MS;
    while (group_rig_committed(g, topic, partition) != offset && group_rig_now() < until)
        (void)kauri_poll(g->k, 10);
    ck_assert_int_eq(group_rig_committed(g, topic, partition), offset);
}

void group_rig_spend(struct group_rig *g, uint32_t ms)
{
    int64_t until = group_rig_now() + ms;
    while (group_rig_now() < until)
        (void)kauri_poll(g->k, 5);
}
