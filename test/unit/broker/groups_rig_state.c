/* SPDX-License-Identifier: MIT
 *
 * groups_rig_state: the engine's state in words, and what the rig checks after every call
 * (groups_rig.h).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "test/unit/broker/groups_rig.h"

#define GRIG_MEMBERS_MAX 512

/* --- words --- */

static void grig_say_set(struct buf *out, const char *what, const struct group_set *s)
{
    buf_printf(out, " %s[", what);
    const struct group_topic *last = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct group_topic *t = s->v[i].topic;
        if (t->gone) /* the log is read without it */
            continue;
        if (t != last)
            buf_printf(out, "%s%s:", last == NULL ? "" : ";", t->name);
        buf_printf(out, "%s%d", t == last ? "," : "", s->v[i].partition);
        last = t;
    }
    buf_printf(out, "]");
}

const char *grig_set(struct grig *g, const struct group_set *s)
{
    struct buf out = {0};
    grig_say_set(&out, "", s);
    const char *text = grig_text(g, slice_of(out.p + 2, out.size - 3));
    buf_deinit(&out);
    return text;
}

static const char *grig_or_none(const char *s)
{
    return s == NULL ? "(none)" : s;
}

static int grig_order(const void *x, const void *y)
{
    const struct group_member *const *a = x, *const *b = y;
    return strcmp((*a)->id, (*b)->id);
}

static void grig_say_member(struct buf *out, const struct group_member *m)
{
    const struct group *g = m->group;
    struct slice metadata = slice_str("");
    buf_printf(out, "  %s instance %s client %s host %s rebalance %d", m->id,
               grig_or_none(m->instance), m->client_id, m->client_host, m->rebalance_ms);
    if (g->type == BROKER_GROUP_CLASSIC) {
        for (size_t i = 0; g->protocol != NULL && i < m->protocol_count; i++)
            if (slice_equal(m->protocols[i].name, slice_str(g->protocol)))
                metadata = m->protocols[i].metadata;
        buf_printf(out, " session %d metadata '%.*s' assignment '%.*s'\n", m->session_ms,
                   (int)metadata.size, (const char *)metadata.p, (int)m->assignment.size,
                   (const char *)m->assignment.p);
        return;
    }
    buf_printf(out, " rack %s regex %s assignor %s topics", grig_or_none(m->rack),
               grig_or_none(m->regex), grig_or_none(m->assignor));
    for (size_t i = 0; i < m->topic_count; i++)
        buf_printf(out, " %s", m->topics[i]);
    buf_printf(out, "%s epoch %d before %d state %d", m->away ? " away" : "", m->epoch,
               m->previous_epoch, m->state);
    grig_say_set(out, "has", &m->assigned);
    grig_say_set(out, "gives", &m->revoking);
    grig_say_set(out, "target", &m->target);
    buf_printf(out, "\n");
}

/* Strict: what any engine knows of it that has read the log. */
static void grig_say_members(struct buf *out, const struct group *g)
{
    const struct group_member *all[GRIG_MEMBERS_MAX];
    size_t count = 0;
    buf_printf(out, " %s %s generation %d target %d type %s protocol %s leader %s\n",
               broker_group_type_text(g->type), broker_group_state_text(g->state), g->generation,
               g->target_epoch, grig_or_none(g->protocol_type), grig_or_none(g->protocol),
               g->leader == NULL ? "(none)" : g->leader->id);
    LIST_EACH (node, &g->members) {
        ck_assert_uint_lt(count, GRIG_MEMBERS_MAX);
        all[count++] = LIST_ENTRY(node, struct group_member, link);
    }
    qsort(all, count, sizeof all[0], grig_order);
    for (size_t i = 0; i < count; i++)
        grig_say_member(out, all[i]);
}

static void grig_say_offset(void *ctx, const struct broker_group_offset *o)
{
    buf_printf(ctx, "  %.*s:%d = %" PRId64 " epoch %d '%.*s' at %" PRId64 "\n", (int)o->topic.size,
               (const char *)o->topic.p, o->partition, o->offset, o->leader_epoch,
               (int)o->metadata.size, (const char *)o->metadata.p, o->commit_ms);
}

static int grig_group_order(const void *x, const void *y)
{
    const struct group *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

static size_t grig_groups(const struct groups *gs, const struct group **all)
{
    size_t at = 0, count = 0;
    for (const struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        ck_assert_uint_lt(count, GRIG_MEMBERS_MAX);
        all[count++] = g;
    }
    qsort(all, count, sizeof all[0], grig_group_order);
    return count;
}

static int64_t grig_left(const struct grig *g, const struct heap_node *n)
{
    return n->slot == 0 ? -1 : n->at - g->groups->now;
}

const char *grig_state(struct grig *g)
{
    const struct group *all[GRIG_MEMBERS_MAX];
    size_t count = grig_groups(g->groups, all);
    struct buf out = {0};
    groups_dump(g->groups, &out);
    buf_printf(&out, "%zu records\n", g->record_count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&out, "%s", all[i]->name);
        grig_say_members(&out, all[i]);
        buf_printf(&out, "  timer %" PRId64 " pending %zu initial %d events %zu\n",
                   grig_left(g, &all[i]->timer), all[i]->pending_count, all[i]->initial,
                   all[i]->event_count);
        LIST_EACH (node, &all[i]->members) {
            const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
            buf_printf(&out, "  %s session %" PRId64 " revocation %" PRId64 "%s%s protocols %zu\n",
                       m->id, grig_left(g, &m->session), grig_left(g, &m->revocation),
                       m->joining != NULL ? " joining" : "", m->syncing != NULL ? " syncing" : "",
                       m->protocol_count);
        }
        groups_view_offsets(g->groups, all[i], false, grig_say_offset, &out);
    }
    const char *text = grig_text(g, buf_slice(&out));
    buf_deinit(&out);
    return text;
}

/* --- the log, read again --- */

static int grig_key_order(const void *x, const void *y)
{
    const struct grig_record *const *p = x, *const *q = y;
    struct slice a = (*p)->key, b = (*q)->key;
    size_t common = a.size < b.size ? a.size : b.size;
    int r = memcmp(a.p, b.p, common);
    if (r == 0)
        r = (a.size > b.size) - (a.size < b.size);
    return r != 0 ? r : (*p > *q) - (*p < *q); /* the same key: in the order of the log */
}

/* The last record of each key among the first `end`, tombstones left out. */
static void grig_load_rows(struct grig *g, struct groups *gs, size_t end)
{
    const struct grig_record **all = calloc(end + 1, sizeof *all);
    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < end; i++)
        all[i] = &g->records[i];
    qsort(all, end, sizeof *all, grig_key_order);
    for (size_t i = 0; i < end; i++) {
        bool last = i + 1 == end || !slice_equal(all[i]->key, all[i + 1]->key);
        if (last && all[i]->value.p != NULL)
            ck_assert(groups_load(gs, all[i]->key, all[i]->value));
    }
    free(all);
}

void grig_load(struct grig *g, struct groups *gs, enum grig_load how)
{
    size_t rows = how == GRIG_LOAD_LOG ? 0 : how == GRIG_LOAD_MIXED ? g->durable / 2 : g->durable;
    grig_load_rows(g, gs, rows);
    for (size_t i = rows; i < g->durable; i++)
        ck_assert(groups_load(gs, g->records[i].key, g->records[i].value));
    groups_loaded(gs);
    groups_check(gs);
}

static void grig_no_put(void *ctx, struct slice key, struct slice value)
{
    (void)ctx;
    (void)key;
    (void)value;
    ck_abort_msg("a put while reading");
}

/* What of the group must be the same; `live` is the group that says how much that is. */
static void grig_say_kept(struct groups *gs, const struct group *live, const struct group *g,
                          bool offsets, struct buf *out)
{
    bool moving = live->state == BROKER_GROUP_PREPARING || live->state == BROKER_GROUP_COMPLETING;
    buf_printf(out, "%s", live->name);
    if (g != NULL && live->recorded && !moving)
        grig_say_members(out, g);
    buf_printf(out, "\n");
    if (g != NULL && offsets)
        groups_view_offsets(gs, g, false, grig_say_offset, out);
}

static void grig_compare(struct grig *g, struct groups *read)
{
    const struct group *all[GRIG_MEMBERS_MAX];
    struct buf have = {0}, want = {0};
    size_t count = grig_groups(g->groups, all);
    for (size_t i = 0; i < count; i++) {
        const struct group *other = groups_find(read, slice_str(all[i]->name));
        grig_say_kept(g->groups, all[i], all[i], !g->torn, &want);
        grig_say_kept(read, all[i], other, !g->torn, &have);
    }
    count = grig_groups(read, all);
    for (size_t i = 0; i < count && !g->torn; i++)
        ck_assert_msg(groups_find(g->groups, slice_str(all[i]->name)) != NULL,
                      "seed %u: group %s comes back", g->number, all[i]->name);
    buf_append_u8(&have, 0);
    buf_append_u8(&want, 0);
    ck_assert_msg(strcmp((const char *)have.p, (const char *)want.p) == 0,
                  "seed %u: read from the log\n%sinstead of\n%s", g->number, (const char *)have.p,
                  (const char *)want.p);
    buf_deinit(&have);
    buf_deinit(&want);
}

static bool grig_settled(struct grig *g)
{
    size_t at = 0;
    for (const struct group *x = map_next(&g->groups->map, &at); x != NULL;
         x = map_next(&g->groups->map, &at))
        if (x->unsaved || x->deleting || x->storing)
            return false;
    return g->wait_count == 0 && g->durable == g->record_count && !g->groups->loading;
}

static void grig_check_log(struct grig *g)
{
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
        struct groups_env env = g->groups->env;
        env.put = grig_no_put;
        struct groups *read = groups_new(&env);
        groups_time(read, g->mono, g->wall);
        grig_load(g, read, how);
        grig_compare(g, read);
        groups_free(read);
    }
}

/* --- owners --- */

static void grig_check_owners(const struct group *g)
{
    LIST_EACH (x, &g->members) {
        const struct group_member *a = LIST_ENTRY(x, struct group_member, link);
        ck_assert(!group_set_meets(&a->assigned, &a->revoking));
        for (struct list *y = x->next; y != &g->members; y = y->next) {
            const struct group_member *b = LIST_ENTRY(y, struct group_member, link);
            bool shared = group_set_meets(&a->assigned, &b->assigned) ||
                          group_set_meets(&a->assigned, &b->revoking) ||
                          group_set_meets(&a->revoking, &b->assigned) ||
                          group_set_meets(&a->revoking, &b->revoking);
            ck_assert_msg(!shared, "%s and %s have the same partition", a->id, b->id);
        }
    }
}

void grig_check(struct grig *g)
{
    size_t at = 0;
    groups_check(g->groups);
    ck_assert_uint_eq(g->groups->running, g->open);
    for (const struct group *x = map_next(&g->groups->map, &at); x != NULL;
         x = map_next(&g->groups->map, &at))
        grig_check_owners(x);
    if (!g->blind && grig_settled(g))
        grig_check_log(g);
}

/* --- answers in words --- */

const char *grig_id(struct grig_call *c)
{
    bool beat = c->req.op == BROKER_GROUP_BEAT;
    struct slice id = beat ? c->req.beat.member : c->req.join.member;
    ck_assert(c->answered && id.size > 0);
    return grig_text(c->rig, id);
}

const char *grig_told(struct grig_call *c)
{
    const struct broker_group_beat *b = &c->req.beat;
    struct buf out = {0};
    ck_assert(c->answered && c->req.op == BROKER_GROUP_BEAT);
    if (!b->has_assignment)
        return "-";
    for (size_t i = 0; i < b->assignment_count; i++) {
        const struct broker_group_topic *t = &b->assignment[i];
        buf_printf(&out, "%s%s:", i == 0 ? "" : ";", (const char *)t->name.p);
        for (size_t k = 0; k < t->count; k++)
            buf_printf(&out, "%s%d", k == 0 ? "" : ",", t->partitions[k]);
    }
    const char *text = grig_text(c->rig, buf_slice(&out));
    buf_deinit(&out);
    return text;
}

struct group *grig_group(struct grig *g, const char *name)
{
    return groups_find(g->groups, slice_str(name == NULL ? "g" : name));
}

struct group_member *grig_member(struct grig *g, const char *id)
{
    struct group *group = grig_group(g, NULL);
    ck_assert_ptr_nonnull(group);
    return group_find_member(group, slice_str(id));
}

const char *grig_group_state(struct grig *g)
{
    const struct group *group = grig_group(g, NULL);
    return group == NULL ? "none" : broker_group_state_text(group->state);
}

const char *grig_offset(struct grig *g, const char *group, const char *topic, int32_t partition)
{
    struct broker_group_offset o;
    struct buf out = {0};
    struct group *in = grig_group(g, group);
    if (in == NULL || groups_view_offset(g->groups, in, slice_str(topic), partition, &o) != 0)
        return "-";
    buf_printf(&out, "%" PRId64 " epoch %d '%.*s'", o.offset, o.leader_epoch, (int)o.metadata.size,
               (const char *)o.metadata.p);
    const char *text = grig_text(g, buf_slice(&out));
    buf_deinit(&out);
    return text;
}
