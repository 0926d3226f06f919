/* SPDX-License-Identifier: MIT
 *
 * fake_groups: see fake_groups.h.
 */
#include "test/unit/kafka/fake_groups.h"

#include <check.h>
#include <stdlib.h>

#define FAKE_LENT_MAX 4096

/* What --wrap makes of the calls. */
void __real_broker_run(struct broker *b);
void __wrap_broker_run(struct broker *b);
void __wrap_broker_group(struct broker *b, struct broker_group *req);
enum broker_status __wrap_broker_groups_ready(const struct broker *b);
int __wrap_broker_group_info(const struct broker *b, struct slice name,
                             struct broker_group_info *out);
void __wrap_broker_groups_each(const struct broker *b,
                               void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx);
void __wrap_broker_group_members(const struct broker *b, struct slice name,
                                 void (*fn)(void *ctx, const struct broker_group_member *m),
                                 void *ctx);
int __wrap_broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                               int32_t partition, struct broker_group_offset *out);
void __wrap_broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                                 void (*fn)(void *ctx, const struct broker_group_offset *o),
                                 void *ctx);

struct fake_loan {
    void *p;
    size_t size;
};

static struct fake_groups *fake_used;
static struct list fake_pending;
static struct fake_loan fake_lent[FAKE_LENT_MAX];
static size_t fake_lent_count;

void fake_groups_use(struct fake_groups *f)
{
    fake_used = f;
    list_init(&fake_pending);
}

void *fake_groups_lend_copy(const void *p, size_t size)
{
    ck_assert_uint_lt(fake_lent_count, FAKE_LENT_MAX);
    void *copy = malloc(size + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, size > 0 ? p : "", size);
    fake_lent[fake_lent_count++] = (struct fake_loan){copy, size};
    return copy;
}

static struct slice fake_lend(struct slice s)
{
    return s.p == NULL ? s : slice_of(fake_groups_lend_copy(s.p, s.size), s.size);
}

struct slice fake_groups_lend(const char *text)
{
    return fake_lend(slice_str(text));
}

static void fake_take_back(void)
{
    for (size_t i = 0; i < fake_lent_count; i++) {
        memset(fake_lent[i].p, 0xee, fake_lent[i].size);
        free(fake_lent[i].p);
    }
    fake_lent_count = 0;
}

/* --- requests --- */

void __wrap_broker_group(struct broker *b, struct broker_group *req)
{
    ck_assert_ptr_nonnull(b);
    fake_take_back();
    fake_used->seen++;
    if (fake_used->see != NULL)
        fake_used->see(req);
    list_add_tail(&fake_pending, &req->priv.link);
}

void __wrap_broker_run(struct broker *b)
{
    struct list *node;
    __real_broker_run(b);
    while (!fake_used->hold && (node = list_pop(&fake_pending)) != NULL) {
        struct broker_group *req = LIST_ENTRY(node, struct broker_group, priv.link);
        req->status = fake_used->status;
        if (fake_used->answer != NULL)
            fake_used->answer(req);
        req->done(req);
        fake_take_back();
    }
}

/* --- looking around --- */

enum broker_status __wrap_broker_groups_ready(const struct broker *b)
{
    ck_assert_ptr_nonnull(b);
    return fake_used->ready;
}

static const struct fake_group *fake_find(struct slice name)
{
    for (size_t i = 0; i < fake_used->group_count; i++)
        if (slice_equal(fake_used->groups[i].info.name, name))
            return &fake_used->groups[i];
    return NULL;
}

static struct broker_group_info fake_lend_info(const struct fake_group *g)
{
    struct broker_group_info i = g->info;
    i.name = fake_lend(i.name);
    i.protocol_type = fake_lend(i.protocol_type);
    i.protocol = fake_lend(i.protocol);
    i.leader = fake_lend(i.leader);
    return i;
}

int __wrap_broker_group_info(const struct broker *b, struct slice name,
                             struct broker_group_info *out)
{
    const struct fake_group *g = fake_find(name);
    ck_assert_ptr_nonnull(b);
    fake_take_back();
    if (g == NULL)
        return 1;
    *out = fake_lend_info(g);
    return 0;
}

void __wrap_broker_groups_each(const struct broker *b,
                               void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx)
{
    ck_assert_ptr_nonnull(b);
    fake_take_back();
    for (size_t i = 0; i < fake_used->group_count; i++) {
        struct broker_group_info info = fake_lend_info(&fake_used->groups[i]);
        fn(ctx, &info);
    }
}

static const struct broker_group_topic *fake_lend_topics(const struct broker_group_topic *from,
                                                         size_t count)
{
    struct broker_group_topic *v = fake_groups_lend_copy(from, count * sizeof *v);
    for (size_t i = 0; i < count; i++) {
        v[i].name = fake_lend(from[i].name);
        v[i].partitions =
            fake_groups_lend_copy(from[i].partitions, from[i].count * sizeof(int32_t));
    }
    return v;
}

static struct broker_group_member fake_lend_member(const struct broker_group_member *from)
{
    struct broker_group_member m = *from;
    m.id = fake_lend(m.id);
    m.instance = fake_lend(m.instance);
    m.rack = fake_lend(m.rack);
    m.client_id = fake_lend(m.client_id);
    m.client_host = fake_lend(m.client_host);
    m.metadata = fake_lend(m.metadata);
    m.assignment = fake_lend(m.assignment);
    m.regex = fake_lend(m.regex);
    struct slice *topics = fake_groups_lend_copy(m.topics, m.topic_count * sizeof *topics);
    for (size_t i = 0; i < m.topic_count; i++)
        topics[i] = fake_lend(m.topics[i]);
    m.topics = topics;
    m.assigned = fake_lend_topics(m.assigned, m.assigned_count);
    m.target = fake_lend_topics(m.target, m.target_count);
    return m;
}

void __wrap_broker_group_members(const struct broker *b, struct slice name,
                                 void (*fn)(void *ctx, const struct broker_group_member *m),
                                 void *ctx)
{
    const struct fake_group *g = fake_find(name);
    ck_assert_ptr_nonnull(b);
    fake_take_back();
    for (size_t i = 0; g != NULL && i < g->info.member_count; i++) {
        struct broker_group_member m = fake_lend_member(&g->members[i]);
        fn(ctx, &m);
    }
}

static struct broker_group_offset fake_lend_offset(const struct broker_group_offset *from)
{
    struct broker_group_offset o = *from;
    o.topic = fake_lend(o.topic);
    o.metadata = fake_lend(o.metadata);
    o.owner = fake_lend(o.owner);
    return o;
}

int __wrap_broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                               int32_t partition, struct broker_group_offset *out)
{
    const struct fake_group *g = fake_find(group);
    ck_assert_ptr_nonnull(b);
    fake_take_back();
    for (size_t i = 0; g != NULL && i < g->info.offset_count; i++)
        if (slice_equal(g->offsets[i].topic, topic) && g->offsets[i].partition == partition) {
            *out = fake_lend_offset(&g->offsets[i]);
            return 0;
        }
    return 1;
}

void __wrap_broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                                 void (*fn)(void *ctx, const struct broker_group_offset *o),
                                 void *ctx)
{
    const struct fake_group *g = fake_find(group);
    ck_assert_ptr_nonnull(b);
    ck_assert(!assigned);
    fake_take_back();
    for (size_t i = 0; g != NULL && i < g->info.offset_count; i++) {
        struct broker_group_offset o = fake_lend_offset(&g->offsets[i]);
        fn(ctx, &o);
    }
}
