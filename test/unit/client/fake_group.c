/* SPDX-License-Identifier: MIT */
#include "fake_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "fake_calls.h"
#include "proto/frame.h"

/* --- what the test says and sees --- */

void fake_group_assign(struct fake_group *g, const char *target)
{
    g->target_count = 0;
    for (const char *p = target; *p != '\0';) {
        char topic[32];
        size_t size = strcspn(p, ":");
        ASSERT(size < sizeof topic && p[size] == ':');
        memcpy(topic, p, size);
        topic[size] = '\0';
        for (p += size; *p == ':' || *p == ',';) {
            char *end;
            ASSERT(g->target_count < FAKE_PARTS_MAX);
            struct fake_part *part = &g->target[g->target_count++];
            (void)snprintf(part->topic, sizeof part->topic, "%s", topic);
            part->partition = (int32_t)strtol(p + 1, &end, 10);
            p = end;
        }
        p += *p == ' ';
    }
}

const char *fake_group_owned(const struct fake_group *g)
{
    static char text[512];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < g->owned_count; i++) {
        const struct fake_part *part = &g->owned[i];
        bool first = i == 0 || strcmp(part->topic, g->owned[i - 1].topic) != 0;
        const char *space = i > 0 && first ? " " : "";
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s%c%d", space,
                                 first ? part->topic : "", first ? ':' : ',', part->partition);
        ASSERT(size < sizeof text);
    }
    return text;
}

static struct fake_commit *fake_group_find(const struct fake_group *g, const char *topic,
                                           int32_t partition)
{
    for (size_t i = 0; i < g->offset_count; i++) {
        const struct fake_commit *c = &g->offsets[i];
        if (c->part.partition == partition && strcmp(c->part.topic, topic) == 0)
            return (struct fake_commit *)(uintptr_t)c;
    }
    return NULL;
}

int64_t fake_group_offset(const struct fake_group *g, const char *topic, int32_t partition)
{
    const struct fake_commit *c = fake_group_find(g, topic, partition);
    return c == NULL ? -1 : c->offset;
}

void fake_group_put(struct fake_group *g, const char *topic, int32_t partition, int64_t offset,
                    int32_t epoch)
{
    struct fake_commit *c = fake_group_find(g, topic, partition);
    if (c == NULL) {
        ASSERT(g->offset_count < FAKE_PARTS_MAX);
        c = &g->offsets[g->offset_count++];
        (void)snprintf(c->part.topic, sizeof c->part.topic, "%s", topic);
        c->part.partition = partition;
    }
    c->offset = offset;
    c->epoch = epoch;
    ASSERT(g->log_count < FAKE_COMMITS_MAX);
    g->log[g->log_count++] = *c;
}

/* --- beat --- */

static void fake_group_hear(struct fake_group *g, const Kauri__GroupBeat *b)
{
    g->beats++;
    g->beat_epoch = b->epoch;
    (void)snprintf(g->group, sizeof g->group, "%s", b->group);
    (void)snprintf(g->instance, sizeof g->instance, "%s", b->instance);
    (void)snprintf(g->regex, sizeof g->regex, "%s",
                   b->maybe_regex_case == KAURI__GROUP_BEAT__MAYBE_REGEX_REGEX ? b->regex : "?");
    (void)snprintf(
        g->assignor, sizeof g->assignor, "%s",
        b->maybe_assignor_case == KAURI__GROUP_BEAT__MAYBE_ASSIGNOR_ASSIGNOR ? b->assignor : "?");
    g->rebalance_timeout_ms = b->rebalance_timeout_ms;
    g->topics[0] = '\0';
    ASSERT(b->topics != NULL && b->owned != NULL); /* every beat is whole */
    for (size_t i = 0, size = 0; i < b->topics->n_names; i++)
        size += (size_t)snprintf(g->topics + size, sizeof g->topics - size, "%s%s",
                                 i == 0 ? "" : ",", b->topics->names[i]);
    g->owned_count = 0;
    for (size_t i = 0; i < b->owned->n_topics; i++)
        for (size_t j = 0; j < b->owned->topics[i]->n_partitions; j++) {
            struct fake_part *part = &g->owned[g->owned_count++];
            ASSERT(g->owned_count <= FAKE_PARTS_MAX);
            (void)snprintf(part->topic, sizeof part->topic, "%s", b->owned->topics[i]->topic);
            part->partition = b->owned->topics[i]->partitions[j];
        }
}

static void fake_group_status(struct fake_server *s, struct fake_session *from,
                              const Kauri__Call *call, Kauri__Status status)
{
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.status = status;
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

static void fake_group_welcome(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call)
{
    struct fake_group *g = &s->group;
    Kauri__GroupTopic topics[FAKE_PARTS_MAX];
    Kauri__GroupTopic *pointers[FAKE_PARTS_MAX];
    Kauri__GroupTopics assignment;
    Kauri__GroupBeatAnswer body;
    Kauri__Answer a;
    kauri__group_topics__init(&assignment);
    kauri__group_beat_answer__init(&body);
    kauri__answer__init(&a);
    for (size_t i = 0; i < g->target_count; i++) { /* a message for each: it may come so */
        pointers[i] = &topics[i];
        kauri__group_topic__init(&topics[i]);
        topics[i].topic = g->target[i].topic;
        topics[i].partitions = &g->target[i].partition;
        topics[i].n_partitions = 1;
    }
    assignment.topics = pointers;
    assignment.n_topics = g->target_count;
    body.member = g->member;
    body.epoch = g->epoch;
    body.interval_ms = g->interval_ms;
    body.assignment = g->keep_quiet ? NULL : &assignment;
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_GROUP_BEAT;
    a.group_beat = &body;
    fake_server_answer(s, from, KAURI__CALL__CALL_GROUP_BEAT, &a, SLICE_NULL);
}

static void fake_group_beat(struct fake_server *s, struct fake_session *from,
                            const Kauri__Call *call)
{
    struct fake_group *g = &s->group;
    const Kauri__GroupBeat *b = call->group_beat;
    ASSERT(b->member[0] != '\0');
    if (b->epoch < 0) {
        g->left = b->epoch;
        g->epoch = 0;
        (void)snprintf(g->instance, sizeof g->instance, "%s", b->instance);
        fake_group_status(s, from, call, KAURI__STATUS__OK);
        return;
    }
    fake_group_hear(g, b);
    if (b->epoch == 0) {
        ASSERT(g->owned_count == 0);
        (void)snprintf(g->member, sizeof g->member, "%s", b->member);
        g->joins++;
        g->epoch = (int32_t)(10 * g->joins);
    } else if (strcmp(b->member, g->member) != 0) {
        fake_group_status(s, from, call, KAURI__STATUS__UNKNOWN_MEMBER);
        return;
    } else if (b->epoch != g->epoch && b->epoch != g->epoch - 1) {
        fake_group_status(s, from, call, KAURI__STATUS__MEMBER_EPOCH_FENCED);
        return;
    }
    g->epoch += g->moving;
    fake_group_welcome(s, from, call);
}

/* --- offsets --- */

static void fake_group_statuses(struct fake_server *s, struct fake_session *from,
                                const Kauri__Call *call, Kauri__Status *statuses, size_t count)
{
    Kauri__GroupStatuses body;
    Kauri__Answer a;
    kauri__group_statuses__init(&body);
    kauri__answer__init(&a);
    body.statuses = statuses;
    body.n_statuses = count;
    a.id = call->id;
    a.answer_case = call->call_case == KAURI__CALL__CALL_GROUP_COMMIT
                        ? KAURI__ANSWER__ANSWER_GROUP_COMMIT
                        : KAURI__ANSWER__ANSWER_GROUP_FORGET;
    a.group_commit = &body; /* the same place as group_forget's */
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

static void fake_group_commit(struct fake_server *s, struct fake_session *from,
                              const Kauri__Call *call)
{
    struct fake_group *g = &s->group;
    const Kauri__GroupCommit *c = call->group_commit;
    Kauri__Status *statuses CLEANUP(cleanup_free) = calloc(c->n_items + 1, sizeof *statuses);
    ASSERT(statuses != NULL && c->n_items > 0);
    g->commit_calls++;
    bool admin = c->epoch == -1 && c->member[0] == '\0' && g->epoch == 0;
    if (!admin && (c->member[0] == '\0' || strcmp(c->member, g->member) != 0)) {
        fake_group_status(s, from, call, KAURI__STATUS__UNKNOWN_MEMBER);
        return;
    }
    if (!admin && c->epoch != g->epoch) {
        fake_group_status(s, from, call,
                          c->epoch < g->epoch ? KAURI__STATUS__MEMBER_EPOCH_STALE
                                              : KAURI__STATUS__MEMBER_EPOCH_FENCED);
        return;
    }
    for (size_t i = 0; i < c->n_items; i++) {
        const Kauri__GroupCommitItem *item = c->items[i];
        if (g->refuse_rows > 0) {
            g->refuse_rows--;
            statuses[i] = g->refuse_row;
            continue;
        }
        fake_group_put(g, item->topic, item->partition, item->offset, c->epoch);
    }
    fake_group_statuses(s, from, call, statuses, c->n_items);
}

static void fake_group_row(struct fake_server *s, const char *topic, int32_t partition,
                           Kauri__GroupOffset *row)
{
    Kauri__Status status;
    kauri__group_offset__init(row);
    struct fake_partition *p = fake_log_partition(&s->log, topic, partition, &status);
    row->topic = frame_borrow(topic);
    row->partition = partition;
    row->offset = fake_group_offset(&s->group, topic, partition);
    row->leader_epoch = -1;
    row->owner = s->group.member;
    row->log_start = p == NULL ? -1 : p->log_start;
    row->end = p == NULL ? -1 : p->end;
    row->status = p == NULL ? KAURI__STATUS__UNKNOWN_PARTITION : KAURI__STATUS__OK;
    if (s->script.loading > 0) {
        s->script.loading--;
        row->end = row->log_start = -1;
        row->status = KAURI__STATUS__LOADING;
    }
}

static bool fake_group_behind(const Kauri__GroupOffsets *o, const struct fake_part *part)
{
    int order = strcmp(part->topic, o->after_topic);
    return o->after_topic[0] == '\0' || order > 0 ||
           (order == 0 && part->partition > o->after_partition);
}

/* Offsets stand as they were put: a test of pages puts them in order. */
static void fake_group_offsets(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call)
{
    const Kauri__GroupOffsets *o = call->group_offsets;
    size_t room = o->n_items + FAKE_PARTS_MAX;
    Kauri__GroupOffset *rows CLEANUP(cleanup_free) = calloc(room, sizeof *rows);
    Kauri__GroupOffset **pointers CLEANUP(cleanup_free) = calloc(room, sizeof *pointers);
    Kauri__GroupOffsetsAnswer body;
    Kauri__Answer a;
    ASSERT(rows != NULL && pointers != NULL);
    kauri__group_offsets_answer__init(&body);
    kauri__answer__init(&a);
    for (size_t i = 0; i < o->n_items; i++)
        fake_group_row(s, o->items[i]->topic, o->items[i]->partition, &rows[body.n_offsets++]);
    for (size_t i = 0; o->n_items == 0 && i < s->group.offset_count; i++) {
        const struct fake_part *part = &s->group.offsets[i].part;
        if (!fake_group_behind(o, part))
            continue;
        if (body.n_offsets == s->page_size)
            body.more = true;
        else
            fake_group_row(s, part->topic, part->partition, &rows[body.n_offsets++]);
    }
    for (size_t i = 0; i < body.n_offsets; i++)
        pointers[i] = &rows[i];
    body.offsets = pointers;
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_GROUP_OFFSETS;
    a.group_offsets = &body;
    fake_server_answer(s, from, KAURI__CALL__CALL_GROUP_OFFSETS, &a, SLICE_NULL);
}

/* --- looking --- */

static void fake_group_info(const struct fake_group *g, const char *name, Kauri__GroupInfo *info)
{
    kauri__group_info__init(info);
    info->name = frame_borrow(name);
    info->type = frame_borrow("consumer");
    info->state = frame_borrow("Stable");
    info->protocol_type = frame_borrow("consumer");
    info->protocol = frame_borrow("uniform");
    info->generation = 3;
    info->assignment_epoch = 2;
    info->member_count = 5;
    info->offset_count = (uint32_t)g->offset_count;
    info->state_since_ms = 77;
}

/* Groups a, b, ... e, page by page. */
static void fake_group_list(struct fake_server *s, struct fake_session *from,
                            const Kauri__Call *call)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    Kauri__GroupInfo infos[5];
    Kauri__GroupInfo *pointers[5];
    Kauri__GroupListAnswer body;
    Kauri__Answer a;
    kauri__group_list_answer__init(&body);
    kauri__answer__init(&a);
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(names[i], call->group_list->after) <= 0)
            continue;
        if (body.n_groups == s->page_size) {
            body.more = true;
            break;
        }
        fake_group_info(&s->group, names[i], &infos[i]);
        pointers[body.n_groups++] = &infos[i];
    }
    body.groups = pointers;
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_GROUP_LIST;
    a.group_list = &body;
    fake_server_answer(s, from, KAURI__CALL__CALL_GROUP_LIST, &a, SLICE_NULL);
}

/* Five members, page by page; while script.moving lasts each page has another generation. */
static void fake_group_describe(struct fake_server *s, struct fake_session *from,
                                const Kauri__Call *call)
{
    static char ids[5][8];
    int32_t partitions[] = {4, 5};
    char *topics[] = {frame_borrow("t"), frame_borrow("u")};
    Kauri__GroupInfo info;
    Kauri__GroupTopic has;
    Kauri__GroupTopic *assigned[] = {&has};
    Kauri__GroupMember members[5];
    Kauri__GroupMember *pointers[5];
    Kauri__GroupDescribeAnswer body;
    Kauri__Answer a;
    kauri__group_describe_answer__init(&body);
    kauri__group_topic__init(&has);
    kauri__answer__init(&a);
    has.topic = topics[0];
    has.partitions = partitions;
    has.n_partitions = 2;
    fake_group_info(&s->group, call->group_describe->group, &info);
    info.generation += s->script.moving > 0 ? (int32_t)s->script.moving-- : 0;
    for (size_t i = call->group_describe->skip; i < 5; i++) {
        body.more = body.n_members == s->page_size;
        if (body.more)
            break;
        Kauri__GroupMember *m = pointers[body.n_members++] = &members[i];
        kauri__group_member__init(m);
        (void)snprintf(ids[i], sizeof ids[i], "m%zu", i);
        m->member = ids[i];
        m->topics = topics;
        m->n_topics = 2;
        m->epoch = 3;
        m->assigned = assigned;
        m->n_assigned = 1;
    }
    body.info = &info;
    body.members = pointers;
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_GROUP_DESCRIBE;
    a.group_describe = &body;
    fake_server_answer(s, from, KAURI__CALL__CALL_GROUP_DESCRIBE, &a, SLICE_NULL);
}

static void fake_group_history(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call)
{
    Kauri__GroupRebalance one;
    Kauri__GroupRebalance *list[] = {&one, &one};
    Kauri__GroupHistoryAnswer body;
    Kauri__Answer a;
    kauri__group_rebalance__init(&one);
    kauri__group_history_answer__init(&body);
    kauri__answer__init(&a);
    one.began_ms = 5;
    one.ended_ms = -1;
    one.cause = frame_borrow("member left");
    one.member = frame_borrow("m1");
    one.reason = frame_borrow("why");
    one.generation = 8;
    one.member_count = 2;
    body.rebalances = list;
    body.n_rebalances = 2;
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_GROUP_HISTORY;
    a.group_history = &body;
    fake_server_answer(s, from, KAURI__CALL__CALL_GROUP_HISTORY, &a, SLICE_NULL);
}

static void fake_group_forget(struct fake_server *s, struct fake_session *from,
                              const Kauri__Call *call)
{
    const Kauri__GroupForget *f = call->group_forget;
    Kauri__Status *statuses CLEANUP(cleanup_free) = calloc(f->n_items + 1, sizeof *statuses);
    ASSERT(statuses != NULL);
    for (size_t i = 0; i < f->n_items; i++) {
        if (strcmp(f->items[i]->topic, "read") == 0)
            statuses[i] = KAURI__STATUS__GROUP_SUBSCRIBED;
        else
            (void)snprintf(s->group.forgotten, sizeof s->group.forgotten, "%.20s/%d",
                           f->items[i]->topic, f->items[i]->partition);
    }
    fake_group_statuses(s, from, call, statuses, f->n_items);
}

void fake_group_handle(struct fake_server *s, struct fake_session *from, const Kauri__Call *call)
{
    int kind = (int)call->call_case;
    if (kind == KAURI__CALL__CALL_GROUP_BEAT)
        fake_group_beat(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_COMMIT)
        fake_group_commit(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_OFFSETS)
        fake_group_offsets(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_LIST)
        fake_group_list(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_DESCRIBE)
        fake_group_describe(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_HISTORY)
        fake_group_history(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_FORGET)
        fake_group_forget(s, from, call);
    else if (kind == KAURI__CALL__CALL_GROUP_DELETE) {
        (void)snprintf(s->group.deleted, sizeof s->group.deleted, "%s", call->group_delete->group);
        fake_group_status(s, from, call, KAURI__STATUS__OK);
    }
}
