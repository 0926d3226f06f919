/* SPDX-License-Identifier: MIT
 *
 * nano_group_view: see nano_group.h. Looking at groups: list, describe, offsets, history.
 *
 * What the broker hands out lasts until the next call into it, so it is copied into the call's
 * arena before anything else is asked. When the arena is used up the page ends.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_errmap.h"
#include "net/nano/nano_group.h"
#include "proto/frame.h"

/* How much of a page is filled. */
struct nano_group_page {
    struct nano_call *call;
    size_t count_max;
    size_t count;
    size_t seen; /* among those to be skipped or not */
    size_t size; /* packed */
    bool more;
    bool full; /* not even the first fits */
};

static struct nano_group_page nano_group_page(struct nano_call *c, uint32_t asked)
{
    size_t max = asked == 0 || asked > NANO_ITEMS_MAX ? NANO_ITEMS_MAX : asked;
    return (struct nano_group_page){.call = c, .count_max = max};
}

/* True when an entry of this packed size belongs to the page. `made`: the arena had room for it. */
static bool nano_group_page_takes(struct nano_group_page *p, bool made, size_t size)
{
    size_t max = p->call->nano->options.message_size_max / 4;
    p->size += size + FRAME_PREFIX_SIZE;
    if (made && (p->count == 0 || p->size <= max)) {
        ASSERT(p->count < p->count_max);
        p->count++;
        return true;
    }
    p->more = true;
    p->full = p->count == 0;
    return false;
}

static void nano_group_too_large(struct nano_call *c)
{
    nano_calls_finish(c, KAURI__STATUS__BATCH_TOO_LARGE, "too large for one answer");
}

/* --- list --- */

static Kauri__GroupInfo *nano_group_info(struct nano_call *c, const struct broker_group_info *g)
{
    Kauri__GroupInfo *to = arena_alloc(&c->arena, sizeof *to);
    if (to == NULL)
        return NULL;
    kauri__group_info__init(to);
    to->name = nano_group_text(c, g->name);
    to->type = frame_borrow(broker_group_type_text(g->type));
    to->state = frame_borrow(broker_group_state_text(g->state));
    to->protocol_type = nano_group_text(c, g->protocol_type);
    to->protocol = nano_group_text(c, g->protocol);
    to->leader = nano_group_text(c, g->leader);
    to->generation = g->generation;
    to->assignment_epoch = g->assignment_epoch;
    to->member_count = (uint32_t)g->member_count;
    to->offset_count = (uint32_t)g->offset_count;
    to->state_since_ms = g->state_since_ms;
    bool whole = to->name != NULL && to->protocol_type != NULL && to->protocol != NULL;
    return whole && to->leader != NULL ? to : NULL;
}

/* The groups behind `after`; borrowed until the broker is called again. */
struct nano_group_behind {
    struct slice after;
    struct broker_group_info *infos; /* NULL while counting */
    size_t count;
};

static int nano_group_order(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.p, b.p, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int nano_group_sort(const void *a, const void *b)
{
    const struct broker_group_info *ga = a;
    const struct broker_group_info *gb = b;
    return nano_group_order(ga->name, gb->name);
}

static void nano_group_note(void *ctx, const struct broker_group_info *g)
{
    struct nano_group_behind *b = ctx;
    if (nano_group_order(g->name, b->after) <= 0)
        return;
    if (b->infos != NULL)
        b->infos[b->count] = *g;
    b->count++;
}

/* Sorted. False when the arena is used up. */
static bool nano_group_gather(struct nano_call *c, struct nano_group_behind *out)
{
    const struct broker *b = c->nano->options.broker;
    broker_groups_each(b, nano_group_note, out);
    size_t expected = out->count;
    out->infos = arena_array(&c->arena, expected, sizeof *out->infos);
    if (out->infos == NULL)
        return false;
    out->count = 0;
    broker_groups_each(b, nano_group_note, out);
    ASSERT(out->count == expected);
    if (out->count > 1)
        qsort(out->infos, out->count, sizeof *out->infos, nano_group_sort);
    return true;
}

void nano_group_list(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupList *l = c->request->group_list;
    struct nano_group_page page = nano_group_page(c, l->count_max);
    struct nano_group_behind behind = {.after = slice_str(l->after)};
    (void)raw;
    if (!nano_group_readable(c, NULL))
        return;
    Kauri__GroupListAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_list_answer__init(body);
    if (!nano_group_gather(c, &behind)) {
        nano_group_too_large(c);
        return;
    }
    size_t count = behind.count < page.count_max ? behind.count : page.count_max;
    body->groups = nano_calls_array(c, count, sizeof *body->groups);
    while (page.count < count) {
        size_t index = page.count;
        Kauri__GroupInfo *g = nano_group_info(c, &behind.infos[index]);
        size_t size = g == NULL ? 0 : kauri__group_info__get_packed_size(g);
        if (!nano_group_page_takes(&page, g != NULL, size))
            break;
        body->groups[index] = g;
    }
    body->n_groups = page.count;
    body->more = page.count < behind.count;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_LIST;
    c->answer->group_list = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

/* --- describe --- */

struct nano_group_members {
    struct nano_group_page page;
    size_t skip;
    Kauri__GroupMember **list;
};

static bool nano_group_member_topics(struct nano_call *c, const struct broker_group_member *m,
                                     Kauri__GroupMember *to)
{
    to->topics = arena_array(&c->arena, m->topic_count, sizeof *to->topics);
    for (size_t i = 0; to->topics != NULL && i < m->topic_count; i++) {
        to->topics[i] = nano_group_text(c, m->topics[i]);
        if (to->topics[i] == NULL)
            return false;
        to->n_topics++;
    }
    return to->topics != NULL;
}

static Kauri__GroupMember *nano_group_view_member(struct nano_call *c,
                                                  const struct broker_group_member *m)
{
    Kauri__GroupMember *to = arena_alloc(&c->arena, sizeof *to);
    if (to == NULL)
        return NULL;
    kauri__group_member__init(to);
    to->member = nano_group_text(c, m->id);
    to->instance = nano_group_text(c, m->instance);
    to->rack = nano_group_text(c, m->rack);
    to->client = nano_group_text(c, m->client_id);
    to->host = nano_group_text(c, m->client_host);
    to->epoch = m->epoch;
    to->regex = nano_group_text(c, m->regex);
    to->assigned = nano_group_topics(c, m->assigned, m->assigned_count);
    to->n_assigned = m->assigned_count;
    to->target = nano_group_topics(c, m->target, m->target_count);
    to->n_target = m->target_count;
    bool texts = to->member != NULL && to->instance != NULL && to->rack != NULL &&
                 to->client != NULL && to->host != NULL && to->regex != NULL;
    bool whole = texts && to->assigned != NULL && to->target != NULL;
    return whole && nano_group_member_topics(c, m, to) ? to : NULL;
}

static void nano_group_take_member(void *ctx, const struct broker_group_member *m)
{
    struct nano_group_members *all = ctx;
    struct nano_group_page *page = &all->page;
    if (page->seen++ < all->skip || page->more)
        return;
    if (page->count == page->count_max) {
        page->more = true;
        return;
    }
    Kauri__GroupMember *to = nano_group_view_member(page->call, m);
    size_t size = to == NULL ? 0 : kauri__group_member__get_packed_size(to);
    if (nano_group_page_takes(page, to != NULL, size))
        all->list[page->count - 1] = to;
}

void nano_group_describe(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupDescribe *d = c->request->group_describe;
    const struct broker *b = c->nano->options.broker;
    struct nano_group_members all = {.page = nano_group_page(c, d->count_max), .skip = d->skip};
    struct broker_group_info info;
    (void)raw;
    if (!nano_group_readable(c, d->group))
        return;
    if (broker_group_info(b, slice_str(d->group), &info) != 0) {
        nano_calls_finish_status(c, BROKER_UNKNOWN_GROUP, NULL);
        return;
    }
    Kauri__GroupDescribeAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_describe_answer__init(body);
    body->info = nano_group_info(c, &info);
    all.list = nano_calls_array(c, all.page.count_max, sizeof *all.list);
    broker_group_members(b, slice_str(d->group), nano_group_take_member, &all);
    if (body->info == NULL || all.page.full) {
        nano_group_too_large(c);
        return;
    }
    body->members = all.list;
    body->n_members = all.page.count;
    body->more = all.page.more;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_DESCRIBE;
    c->answer->group_describe = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

/* --- offsets --- */

struct nano_group_rows {
    struct nano_group_page page;
    struct slice after_topic;
    int32_t after_partition;
    Kauri__GroupOffset **list;
};

/* A row without figures of the log. NULL when the arena is used up. */
static Kauri__GroupOffset *nano_group_row(struct nano_call *c, const struct broker_group_offset *o)
{
    Kauri__GroupOffset *to = arena_alloc(&c->arena, sizeof *to);
    if (to == NULL)
        return NULL;
    kauri__group_offset__init(to);
    to->topic = nano_group_text(c, o->topic);
    to->partition = o->partition;
    to->offset = o->offset;
    to->leader_epoch = o->leader_epoch;
    to->metadata = nano_group_text(c, o->metadata);
    to->commit_ms = o->commit_ms;
    to->moved_ms = o->moved_ms;
    to->owner = nano_group_text(c, o->owner);
    return to->topic != NULL && to->metadata != NULL && to->owner != NULL ? to : NULL;
}

static void nano_group_take_row(void *ctx, const struct broker_group_offset *o)
{
    struct nano_group_rows *rows = ctx;
    struct nano_group_page *page = &rows->page;
    int order = nano_group_order(o->topic, rows->after_topic);
    bool before = order < 0 || (order == 0 && o->partition <= rows->after_partition);
    if ((rows->after_topic.size > 0 && before) || page->more)
        return;
    if (page->count == page->count_max) {
        page->more = true;
        return;
    }
    Kauri__GroupOffset *to = nano_group_row(page->call, o);
    size_t size = to == NULL ? 0 : kauri__group_offset__get_packed_size(to);
    if (nano_group_page_takes(page, to != NULL, size))
        rows->list[page->count - 1] = to;
}

/* Both ends of the log, so that lag is exact: committed and written as of one moment. */
static void nano_group_ends(struct nano_call *c, Kauri__GroupOffset *row)
{
    struct broker_partition_info info;
    struct broker *b = c->nano->options.broker;
    row->log_start = row->end = -1;
    if (broker_partition(b, slice_str(row->topic), row->partition, true, &info) != 0) {
        row->status = KAURI__STATUS__UNKNOWN_PARTITION;
        return;
    }
    row->log_start = info.log_start;
    row->end = info.high_watermark;
    row->status = info.high_watermark < 0 ? KAURI__STATUS__LOADING : KAURI__STATUS__OK;
}

static void nano_group_offsets_finish(struct nano_call *c, struct nano_group_rows *rows)
{
    Kauri__GroupOffsetsAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_offsets_answer__init(body);
    for (size_t i = 0; i < rows->page.count; i++)
        nano_group_ends(c, rows->list[i]);
    body->offsets = rows->list;
    body->n_offsets = rows->page.count;
    body->more = rows->page.more;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_OFFSETS;
    c->answer->group_offsets = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

/* One row per item, in their order. */
static void nano_group_offsets_items(struct nano_call *c, struct nano_group_rows *rows)
{
    const Kauri__GroupOffsets *o = c->request->group_offsets;
    const struct broker *b = c->nano->options.broker;
    for (size_t i = 0; i < o->n_items; i++) {
        struct broker_group_offset found;
        struct slice topic = slice_str(o->items[i]->topic);
        int32_t partition = o->items[i]->partition;
        if (broker_group_offset(b, slice_str(o->group), topic, partition, &found) != 0)
            found = (struct broker_group_offset){.topic = topic,
                                                 .partition = partition,
                                                 .offset = -1,
                                                 .leader_epoch = -1,
                                                 .commit_ms = -1,
                                                 .moved_ms = -1};
        rows->list[i] = nano_group_row(c, &found);
        if (rows->list[i] == NULL) {
            nano_group_too_large(c);
            return;
        }
    }
    rows->page.count = o->n_items;
    nano_group_offsets_finish(c, rows);
}

void nano_group_offsets(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupOffsets *o = c->request->group_offsets;
    const struct broker *b = c->nano->options.broker;
    struct broker_group_info info;
    struct nano_group_rows rows = {.page = nano_group_page(c, o->count_max),
                                   .after_topic = slice_str(o->after_topic),
                                   .after_partition = o->after_partition};
    (void)raw;
    if (!nano_group_readable(c, o->group))
        return;
    if (o->n_items > NANO_ITEMS_MAX) {
        nano_calls_bad(c, "items: too many");
        return;
    }
    size_t room = o->n_items > 0 ? o->n_items : rows.page.count_max;
    rows.list = nano_calls_array(c, room, sizeof *rows.list);
    if (o->n_items > 0) {
        nano_group_offsets_items(c, &rows);
        return;
    }
    if (broker_group_info(b, slice_str(o->group), &info) != 0) {
        nano_calls_finish_status(c, BROKER_UNKNOWN_GROUP, NULL);
        return;
    }
    broker_group_offsets(b, slice_str(o->group), o->assigned, nano_group_take_row, &rows);
    if (rows.page.full)
        nano_group_too_large(c);
    else
        nano_group_offsets_finish(c, &rows);
}

/* --- history --- */

static void nano_group_take_rebalance(void *ctx, const struct broker_group_rebalance *r)
{
    struct nano_call *c = ctx;
    Kauri__GroupHistoryAnswer *body = nano_calls_answer(c)->group_history;
    Kauri__GroupRebalance *to = nano_calls_array(c, 1, sizeof *to);
    ASSERT(body->n_rebalances < BROKER_GROUP_HISTORY_MAX);
    kauri__group_rebalance__init(to);
    to->began_ms = r->began_ms;
    to->ended_ms = r->ended_ms;
    to->cause = frame_borrow(broker_group_cause_text(r->cause));
    to->member = nano_group_text(c, r->member);
    to->reason = nano_group_text(c, r->reason);
    to->generation = r->generation;
    to->member_count = (uint32_t)r->member_count;
    if (to->member != NULL && to->reason != NULL)
        body->rebalances[body->n_rebalances++] = to;
}

void nano_group_history(struct nano_call *c, struct slice raw)
{
    const char *group = c->request->group_history->group;
    const struct broker *b = c->nano->options.broker;
    struct broker_group_info info;
    (void)raw;
    if (!nano_group_readable(c, group))
        return;
    if (broker_group_info(b, slice_str(group), &info) != 0) {
        nano_calls_finish_status(c, BROKER_UNKNOWN_GROUP, NULL);
        return;
    }
    Kauri__GroupHistoryAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_history_answer__init(body);
    body->rebalances = nano_calls_array(c, BROKER_GROUP_HISTORY_MAX, sizeof *body->rebalances);
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_HISTORY;
    c->answer->group_history = body;
    broker_group_history(b, slice_str(group), nano_group_take_rebalance, c);
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}
