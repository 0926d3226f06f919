/* SPDX-License-Identifier: MIT
 *
 * broker_mirror: see broker_mirror.h.
 *
 *   topics/T changes to        topic T in memory is    then
 *   live, same id              live                    it grows, its settings change
 *   live, other id | gone      live                    node/gone/T in the same batch; T goes
 *   anything                   being removed           node/gone/T likewise; looked at again when T
 *                                                      is gone (broker_admin)
 *   live                       not there               it is added
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

#define BROKER_MIRROR_TOPICS  "topics/"
#define BROKER_MIRROR_CONFIGS "clustercfg/"
#define BROKER_MIRROR_QUOTAS  "quotas/"

/* What stands behind the prefix; p NULL when the key begins otherwise. */
static struct slice broker_mirror_rest(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    ASSERT(size > 0);
    if (key.size < size || memcmp(key.p, prefix, size) != 0)
        return SLICE_NULL;
    return slice_of(key.p + size, key.size - size);
}

/* --- what comes in --- */

static bool broker_mirror_legal(struct slice key, struct slice value)
{
    struct catalog_topic record = {0};
    ASSERT(value.p != NULL || value.size == 0);
    if (!coord_change_legal(key, value) || !cluster_mirrored(key))
        return false;
    struct slice name = broker_mirror_rest(key, BROKER_MIRROR_TOPICS);
    if (name.p == NULL)
        return true;
    ASSERT(name.size < key.size);
    if (catalog_name_fault(name) != NULL)
        return false;
    if (value.p != NULL && catalog_decode(value, &record) != 0)
        return false;
    catalog_deinit(&record);
    return true;
}

/* What is under way may still change what we compare with. */
static bool broker_mirror_must_wait(const struct broker *b)
{
    ASSERT(b->topic_count == b->topics.count);
    for (size_t i = 0; i < b->topic_count; i++)
        if (b->sorted[i]->busy && !b->sorted[i]->deleting)
            return true;
    return b->mirroring || !list_empty(&b->creating);
}

/* The topic lives on under this record. */
static bool broker_mirror_keeps(const struct topic *t, struct slice value)
{
    struct catalog_topic record = {0};
    ASSERT(t->record.partitions > 0);
    ASSERT(value.p != NULL || value.size == 0);
    if (t->deleting || value.p == NULL)
        return false;
    int r = catalog_decode(value, &record);
    bool keeps = r == 0 && record.state == CATALOG_LIVE &&
                 memcmp(record.id, t->record.id, sizeof record.id) == 0;
    catalog_deinit(&record);
    return keeps;
}

static void broker_gone_key(struct slice name, struct buf *out)
{
    ASSERT(out->size == 0 && name.size > 0);
    buf_append(out, CLUSTER_GONE, strlen(CLUSTER_GONE));
    buf_append(out, name.p, name.size);
}

bool broker_gone(const struct broker *b, struct slice name, int64_t *revision)
{
    struct buf key CLEANUP(buf_deinit) = {0};
    struct slice value;
    ASSERT(revision != NULL);
    broker_gone_key(name, &key);
    ASSERT(key.size > strlen(CLUSTER_GONE));
    return coord_get(b->coord, buf_slice(&key), &value, revision) == 0;
}

/* Changes of this broker's own that go with the leader's. */
struct broker_mirror_own {
    struct coord_changes list; /* sizes only: the text moves as it grows */
    struct buf text;
};

static void broker_mirror_add(struct broker_mirror_own *own, const struct buf *key,
                              const struct buf *value)
{
    ASSERT(key->size > 0 && value->size > 0);
    buf_append(&own->text, key->p, key->size);
    buf_append(&own->text, value->p, value->size);
    coord_changes_add(&own->list, slice_of(own->text.p, key->size),
                      slice_of(own->text.p, value->size));
    ASSERT(own->list.count > 0);
}

/* node/gone/T for the topics that these changes end. */
static void broker_mirror_gone(const struct broker *b, const struct coord_changes *l,
                               struct broker_mirror_own *own)
{
    ASSERT(l->count > 0);
    for (size_t i = 0; i < l->count; i++) {
        struct slice name = broker_mirror_rest(l->v[i].key, BROKER_MIRROR_TOPICS);
        const struct topic *t = name.p != NULL ? broker_find_topic(b, name) : NULL;
        if (t == NULL || broker_mirror_keeps(t, l->v[i].value))
            continue;
        struct catalog_topic record = t->record;
        ASSERT(record.partitions > 0);
        record.state = CATALOG_DELETING;
        record.configs = (struct config_topic){0};
        struct buf value CLEANUP(buf_deinit) = {0}, key CLEANUP(buf_deinit) = {0};
        broker_gone_key(name, &key);
        catalog_encode(&record, &value);
        broker_mirror_add(own, &key, &value);
    }
}

/* node/reached/ of what another one leads now, and this broker led: so far the record itself told
 * that the log stands on the epoch that it led. */
static void broker_mirror_stood(const struct broker *b, const struct coord_changes *l,
                                struct broker_mirror_own *own)
{
    uint8_t id[16];
    int32_t index;
    ASSERT(l->count > 0);
    for (size_t i = 0; i < l->count; i++) {
        struct cluster_part record;
        if (!cluster_part_key_read(l->v[i].key, id, &index) || l->v[i].value.p == NULL)
            continue;
        struct topic *t = map_get(&b->ids, slice_of(id, sizeof id));
        const struct bpart *p = t == NULL ? NULL : broker_find_part(t, index);
        const struct bpart_replica *r = p == NULL ? NULL : p->replica;
        if (r == NULL || r->revision < 0 || r->reached < 0 || r->record.leader != b->node_id ||
            cluster_part_decode(l->v[i].value, &record) != 0 || record.leader == b->node_id)
            continue;
        struct buf value CLEANUP(buf_deinit) = {0}, key CLEANUP(buf_deinit) = {0};
        cluster_reached_key(id, index, &key);
        buf_append_le32(&value, (uint32_t)r->reached);
        ASSERT(value.size == 4);
        broker_mirror_add(own, &key, &value);
    }
}

static void broker_mirror_take(struct coord_changes *l, struct broker_mirror_own *own)
{
    size_t at = 0;
    for (size_t i = 0; i < own->list.count; i++) {
        struct slice key = slice_of(own->text.p + at, own->list.v[i].key.size);
        struct slice value = slice_of(key.p + key.size, own->list.v[i].value.size);
        at += key.size + value.size;
        coord_changes_add(l, key, value);
    }
    ASSERT(at == own->text.size && l->count >= own->list.count);
    coord_changes_own(l);
    coord_changes_deinit(&own->list);
    buf_deinit(&own->text);
}

static void broker_mirror_done(struct coord_put *put, int result)
{
    struct broker_mirror *m = put->ctx;
    struct broker *b = m->priv.broker;
    struct coord_changes *l = &m->priv.changes;
    ASSERT(put == &m->priv.put && l->count > 0);
    ASSERT(b->mirroring);
    b->mirroring = false;
    for (unsigned pass = 0; result == 0 && pass < 2; pass++) /* what goes, goes first */
        for (size_t i = 0; i < l->count; i++)
            if ((broker_mirror_rest(l->v[i].key, CLUSTER_GONE).p != NULL) == (pass == 0))
                broker_apply_record(b, l->v[i].key);
    coord_changes_deinit(l);
    m->done(m, result);
}

int broker_mirror(struct broker *b, struct broker_mirror *m, const struct coord_changes *from)
{
    struct broker_mirror_own own = {0};
    ASSERT(m->done != NULL);
    ASSERT(!b->dead && b->coord != NULL);
    for (size_t i = 0; i < from->count; i++)
        if (!broker_mirror_legal(from->v[i].key, from->v[i].value))
            return BROKER_MIRROR_BAD;
    if (broker_mirror_must_wait(b))
        return BROKER_MIRROR_BUSY;
    b->mirrors = true;
    m->priv = (typeof(m->priv)){.broker = b};
    struct coord_changes *l = &m->priv.changes;
    coord_diff(b->coord, from, cluster_mirrored, l);
    if (l->count == 0) {
        coord_changes_deinit(l);
        return BROKER_MIRROR_SAME;
    }
    broker_mirror_gone(b, l, &own);
    broker_mirror_stood(b, l, &own);
    broker_mirror_take(l, &own);
    b->mirroring = true;
    m->priv.put = (struct coord_put){.done = broker_mirror_done, .ctx = m};
    coord_put(b->coord, &m->priv.put, l, broker_wall(b));
    return 0;
}

/* --- topics --- */

/* A topic of which only folders are left. Takes record over. */
static void broker_apply_remains(struct broker *b, struct slice name, struct catalog_topic *record,
                                 int64_t revision)
{
    ASSERT(broker_find_topic(b, name) == NULL);
    ASSERT(record->partitions > 0 && revision >= 0);
    if (map_get(&b->ids, slice_of(record->id, sizeof record->id)) != NULL) {
        random_entropy(record->id, sizeof record->id); /* it is not asked for any more */
        ASSERT(map_get(&b->ids, slice_of(record->id, sizeof record->id)) == NULL);
    }
    record->state = CATALOG_DELETING;
    broker_delete_forsaken(b, broker_add_topic(b, name, record, revision));
}

static void broker_apply_gone(struct broker *b, struct slice name, struct slice value,
                              int64_t revision)
{
    struct topic *t = broker_find_topic(b, name);
    struct catalog_topic record = {0};
    ASSERT(revision >= 0);
    if (t != NULL && t->deleting)
        return;
    if (t != NULL) {
        broker_delete_forsaken(b, t);
        return;
    }
    if (catalog_decode(value, &record) == 0)
        broker_apply_remains(b, name, &record, revision);
}

/* Takes over what the record says of a topic that is there. */
static void broker_apply_change(struct broker *b, struct topic *t, struct catalog_topic *record,
                                int64_t revision)
{
    ASSERT(!t->deleting && !t->busy);
    ASSERT(memcmp(t->record.id, record->id, sizeof record->id) == 0);
    if (record->partitions > t->record.partitions)
        broker_grow_topic(b, t, record->partitions);
    else if (record->partitions < t->record.partitions)
        broker_log(b, 2, "topic \"%s\" has %d partitions here and %d at the leader: all are kept",
                   t->name, t->record.partitions, record->partitions);
    config_topic_deinit(&t->record.configs);
    t->record.configs = record->configs;
    record->configs = (struct config_topic){0};
    t->record.replication = record->replication;
    t->record.spread = record->spread;
    t->revision = revision;
    broker_refresh_topic(b, t);
}

static void broker_apply_add(struct broker *b, struct slice name, struct catalog_topic *record,
                             int64_t revision)
{
    const struct topic *other = map_get(&b->ids, slice_of(record->id, sizeof record->id));
    ASSERT(record->state == CATALOG_LIVE);
    ASSERT(broker_find_topic(b, name) == NULL);
    if (other == NULL)
        broker_add_topic(b, name, record, revision);
    else
        broker_log(b, 2, "topic \"%.*s\" has the id of topic \"%s\" and is left out",
                   (int)name.size, (const char *)name.p, other->name);
}

void broker_apply_topic(struct broker *b, struct slice name)
{
    struct buf key CLEANUP(buf_deinit) = {0};
    struct catalog_topic record = {0};
    struct topic *t = broker_find_topic(b, name);
    struct slice value;
    int64_t revision = -1, gone;
    ASSERT(name.size > 0);
    if (t != NULL && t->deleting) /* looked at again when it is gone */
        return;
    buf_append(&key, BROKER_MIRROR_TOPICS, strlen(BROKER_MIRROR_TOPICS));
    buf_append(&key, name.p, name.size);
    bool there = coord_get(b->coord, buf_slice(&key), &value, &revision) == 0;
    if (there && (catalog_name_fault(name) != NULL || catalog_decode(value, &record) != 0)) {
        broker_log(b, 2, "topic record \"%.*s\" cannot be read", (int)name.size,
                   (const char *)name.p);
        return;
    }
    bool live = there && record.state == CATALOG_LIVE;
    bool same = live && t != NULL && memcmp(record.id, t->record.id, sizeof record.id) == 0;
    ASSERT(t != NULL || !broker_gone(b, name, &gone));
    if (same)
        broker_apply_change(b, t, &record, revision);
    else if (t != NULL)
        broker_delete_forsaken(b, t);
    else if (live)
        broker_apply_add(b, name, &record, revision);
    else if (there && !b->mirrors)
        broker_apply_remains(b, name, &record, revision);
    catalog_deinit(&record);
}

/* --- the others --- */

static void broker_apply_config(struct broker *b, struct slice name, struct slice value)
{
    char message[256] = "";
    ASSERT(name.p != NULL);
    int r = value.p == NULL ? config_unset(b->env.config, CONFIG_FROM_CLUSTER, name)
                            : config_set(b->env.config, CONFIG_FROM_CLUSTER, name, value, message);
    if (r != 0 && value.p != NULL)
        broker_log(b, 1, "a setting of the cluster is ignored: %s", message);
    broker_refresh_topics(b);
}

void broker_apply_record(struct broker *b, struct slice key)
{
    struct slice value = SLICE_NULL, name;
    int64_t revision = -1;
    ASSERT(key.p != NULL && key.size > 0);
    bool there = coord_get(b->coord, key, &value, &revision) == 0;
    ASSERT(there == (value.p != NULL));
    broker_cluster_record(b, key, value, revision);
    if ((name = broker_mirror_rest(key, CLUSTER_GONE)).p != NULL) {
        if (there)
            broker_apply_gone(b, name, value, revision);
    } else if ((name = broker_mirror_rest(key, BROKER_MIRROR_TOPICS)).p != NULL) {
        broker_apply_topic(b, name);
    } else if ((name = broker_mirror_rest(key, BROKER_MIRROR_CONFIGS)).p != NULL) {
        broker_apply_config(b, name, value);
    } else if ((name = broker_mirror_rest(key, BROKER_MIRROR_QUOTAS)).p != NULL) {
        broker_quota_apply(b, name, value);
    } else if (slice_equal(key, slice_str("seq/pid"))) {
        b->pid_next = b->pid_limit; /* the block was of another time: take none of it */
    }
}

/* --- leading --- */

struct broker_lead {
    struct broker *broker;
    struct buf names; /* NUL-ended */
};

static void broker_lead_topic(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct broker_lead *l = ctx;
    struct catalog_topic record = {0};
    struct slice name = broker_mirror_rest(key, BROKER_MIRROR_TOPICS);
    ASSERT(name.p != NULL && revision >= 0);
    if (catalog_decode(value, &record) != 0)
        return;
    if (record.state == CATALOG_DELETING && broker_find_topic(l->broker, name) == NULL) {
        buf_append(&l->names, name.p, name.size);
        buf_append_u8(&l->names, 0);
    }
    catalog_deinit(&record);
}

void broker_catalogue_lead(struct broker *b)
{
    struct broker_lead l = {.broker = b};
    ASSERT(b->coord != NULL);
    ASSERT(!b->dead);
    b->mirrors = false;
    coord_each(b->coord, slice_str(BROKER_MIRROR_TOPICS), broker_lead_topic, &l);
    for (size_t at = 0; at < l.names.size; at += strlen((const char *)l.names.p + at) + 1)
        broker_apply_topic(b, slice_str((const char *)l.names.p + at));
    buf_deinit(&l.names);
}

static void broker_cluster_count(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct cluster_broker record;
    int32_t *count = ctx;
    ASSERT(key.size > 0 && revision >= 0);
    if (cluster_broker_decode(value, &record) == 0 && !record.left)
        ++*count;
}

static bool broker_cluster_key(struct slice key)
{
    ASSERT(key.size > 0);
    return broker_mirror_rest(key, CLUSTER_BROKERS).p != NULL;
}

int32_t broker_cluster_size(struct broker *b)
{
    struct coord_changes news = {0};
    ASSERT(b->coord != NULL);
    coord_changes(b->coord, b->brokers_seen, broker_cluster_key, &news);
    b->brokers_seen = news.revision;
    if (news.count > 0 || news.whole) {
        b->brokers = 0;
        coord_each(b->coord, slice_str(CLUSTER_BROKERS), broker_cluster_count, &b->brokers);
    }
    coord_changes_deinit(&news);
    ASSERT(b->brokers >= 0);
    return b->brokers > 0 ? b->brokers : 1;
}
