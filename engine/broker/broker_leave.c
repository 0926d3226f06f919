/* SPDX-License-Identifier: MIT
 *
 * broker_leave: a broker leaves the cluster for good.
 *
 *   asked, at the leader -> would too few stay? refused, unless forced
 *        -> brokers/<id> says `left`, durable: it is not registered, not asked, given no replica
 *        -> every record of parts/ loses it, as the scan of broker_lead.c comes by -> answered
 *
 * What is written first decides: a leader that dies in between, or another one after it, finds
 * `left` and goes on with the records.
 *
 * A record loses a replica only when as many in-sync ones stay as it counts on (replica.h, struct
 * replica_base), and as min.insync.replicas wants of it as it was. Then any later candidate meets
 * one of them: it needs all but that number of the smaller set, and one more (election.h), and all
 * who stay in sync have what was acknowledged. The same holds against a candidate that knows the
 * old set only: as the set does not fall under the number, its promises and those who acknowledge
 * meet in it, too. With fewer it may be that only
 * who leaves has a record, or that it could be promoted alone: that is what `force` is for. When
 * in-sync sets shrink between the question and the record, it waits.
 *
 * Who left and hears of it (its own record, or BROKER_LEFT to a registration) goes by itself into
 * the role BROKER_HAS_LEFT: it keeps its files and shows them up to its high watermark, takes
 * nothing, votes for nobody, is not promoted. A start that names the cluster (seeds) makes it come
 * back: it forgets which epochs its logs stand on, so that it counts for nothing before it has
 * caught up again, and registers as one that holds nothing. Its logs are used: what agrees with the
 * leader's need not be copied.
 *
 * Failures: no room for the record: DISK_FULL, nothing has changed.
 */
#include "engine/broker/broker_leave.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define BROKER_LEAVE_WAIT_MS 10000 /* for the records, then it is answered that some wait */
#define BROKER_LEAVE_TICK_MS 200

struct broker_leave {
    struct broker *broker;
    struct list requests; /* struct broker_leave_request, by priv.link */
    struct coord_op op;   /* brokers/<id> of the first of them */
    struct buf key;
    struct buf value;
    bool writing;
    int64_t next_ms;
};

struct broker_leave *broker_leave_new(struct broker *b)
{
    struct broker_leave *l = calloc(1, sizeof *l);
    ASSERT(b != NULL);
    ASSERT(l != NULL);
    l->broker = b;
    list_init(&l->requests);
    return l;
}

struct broker_leave *broker_leave_free(struct broker_leave *l)
{
    if (l == NULL)
        return NULL;
    ASSERT(!l->writing || l->broker->dead);
    buf_deinit(&l->key);
    buf_deinit(&l->value);
    free(l);
    return NULL;
}

/* --- what a record loses --- */

static uint32_t broker_leave_minimum(const struct bpart *p, const struct cluster_part *record)
{
    uint32_t min = (uint32_t)p->topic->limits.min_insync;
    ASSERT(record->replicas.count > 0);
    ASSERT(min > 0);
    min = min < record->replicas.count ? min : record->replicas.count;
    return min > record->base.holders ? min : record->base.holders;
}

/* As many in-sync replicas stay as its promise wants. */
static bool broker_leave_keeps(const struct bpart *p, const struct cluster_part *record, int32_t id)
{
    struct replica_ids stay = record->isr;
    if (record->leader < 0) /* nobody knows who is in sync */
        return false;
    ASSERT(replica_ids_has(&record->replicas, id));
    ASSERT(id >= 0);
    replica_ids_remove(&stay, id);
    return stay.count >= broker_leave_minimum(p, record) &&
           replica_base_allows(&record->base, &stay);
}

/* Nobody else is named to lead it: without the broker it would be nobody's. */
static bool broker_leave_last(const struct cluster_part *record, int32_t id)
{
    uint32_t in = record->isr.count - replica_ids_has(&record->isr, id);
    uint32_t eligible = record->elr.count - replica_ids_has(&record->elr, id);
    ASSERT(record->replicas.count > 0);
    ASSERT(id >= 0);
    return in + eligible == 0;
}

bool broker_leave_strike(const struct bpart *p, struct cluster_part *record)
{
    const struct cluster_broker *n;
    bool struck = false;
    ASSERT(p->topic != NULL && record->replicas.count > 0);
    for (size_t i = 0; (n = broker_cluster_node(p->broker, i)) != NULL; i++) {
        if (!n->left || !replica_ids_has(&record->replicas, n->id) || record->leader == n->id ||
            broker_leave_last(record, n->id) ||
            !(n->forced || broker_leave_keeps(p, record, n->id)))
            continue;
        replica_ids_remove(&record->replicas, n->id);
        replica_ids_remove(&record->isr, n->id);
        replica_ids_remove(&record->elr, n->id);
        replica_base_drop(&record->base, n->id);
        uint32_t holders = record->isr.count > 0 ? record->isr.count : 1;
        if (record->base.holders > holders) /* by force: those who stay have what they have */
            record->base.holders = holders;
        struck = true;
    }
    ASSERT(cluster_part_fault(record) == NULL);
    return struck;
}

bool broker_leave_names(const struct bpart *p)
{
    const struct cluster_broker *n;
    const struct bpart_replica *r = p->replica;
    ASSERT(p->broker->cluster != NULL);
    if (r == NULL || r->revision < 0)
        return false;
    ASSERT(r->record.replicas.count > 0);
    for (size_t i = 0; (n = broker_cluster_node(p->broker, i)) != NULL; i++)
        if (n->left && replica_ids_has(&r->record.replicas, n->id))
            return true;
    return false;
}

/* --- the question --- */

/* How it stands with the replicas of the broker. */
struct broker_leave_count {
    uint32_t replicas;
    uint32_t refusing;         /* of these, too few in sync would stay */
    const struct bpart *first; /* of these */
};

static void broker_leave_look(const struct broker_leave *l, int32_t id,
                              struct broker_leave_count *out)
{
    struct broker *b = l->broker;
    *out = (struct broker_leave_count){0};
    ASSERT(id >= 0);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; !b->sorted[i]->deleting && k < b->sorted[i]->record.partitions; k++) {
            const struct bpart *p = b->sorted[i]->parts[k];
            if (p->replica == NULL || p->replica->revision < 0 ||
                !replica_ids_has(&p->replica->record.replicas, id))
                continue;
            out->replicas++;
            if (broker_leave_keeps(p, &p->replica->record, id))
                continue;
            out->first = out->refusing++ == 0 ? p : out->first;
        }
    ASSERT(out->refusing <= out->replicas);
}

static const struct cluster_broker *broker_leave_known(const struct broker *b, int32_t id)
{
    const struct cluster_broker *n;
    ASSERT(b->cluster != NULL);
    for (size_t i = 0; (n = broker_cluster_node(b, i)) != NULL; i++) {
        ASSERT(n->id >= 0);
        if (n->id == id)
            return n;
    }
    return NULL;
}

static void broker_leave_answer(struct broker_leave *l, struct broker_leave_request *r,
                                enum broker_status status)
{
    ASSERT(list_linked(&r->priv.link));
    ASSERT((unsigned)status < BROKER_STATUS_COUNT);
    list_remove(&r->priv.link);
    r->status = status;
    if (status != BROKER_OK && r->message[0] == '\0')
        (void)snprintf(r->message, sizeof r->message, "%s", broker_status_text(status));
    list_add_tail(&l->broker->ready_leave, &r->priv.link);
}

static void broker_leave_short(const struct broker_leave_count *c, struct broker_leave_request *r)
{
    const struct cluster_part *record = &c->first->replica->record;
    ASSERT(c->refusing > 0 && c->first != NULL);
    ASSERT(replica_ids_has(&record->replicas, r->id));
    (void)snprintf(
        r->message, sizeof r->message,
        "of its replicas %u of %u cannot be spared: too few in sync would stay (%.100s-%d: "
        "%u, and min.insync.replicas wants %u)",
        c->refusing, c->replicas, c->first->topic->name, c->first->index,
        record->isr.count - replica_ids_has(&record->isr, r->id),
        broker_leave_minimum(c->first, record));
}

/* What speaks against it, with a message. */
static enum broker_status broker_leave_refuses(struct broker_leave *l,
                                               struct broker_leave_request *r)
{
    struct broker *b = l->broker;
    const struct cluster_broker *n = broker_leave_known(b, r->id);
    struct broker_leave_count c;
    ASSERT(!r->priv.written);
    if (r->id == b->node_id) {
        (void)snprintf(r->message, sizeof r->message,
                       "broker %d leads the cluster: promote another one first", r->id);
        return BROKER_DENIED;
    }
    if (n == NULL) {
        (void)snprintf(r->message, sizeof r->message, "the cluster has no broker %d", r->id);
        return BROKER_UNKNOWN_BROKER;
    }
    broker_leave_look(l, r->id, &c);
    ASSERT(c.refusing <= c.replicas);
    r->replicas = c.replicas;
    r->pending = c.refusing;
    if (c.refusing == 0 || r->force)
        return BROKER_OK;
    broker_leave_short(&c, r);
    return BROKER_NOT_ENOUGH_REPLICAS;
}

/* --- the record --- */

static void broker_leave_written(struct coord_op *op, int result)
{
    struct broker_leave *l = op->ctx;
    struct broker *b = l->broker;
    int32_t id;
    ASSERT(l->writing && op == &l->op);
    bool key = cluster_broker_key_read(buf_slice(&l->key), &id);
    ASSERT(key);
    l->writing = false;
    if (result == 0)
        broker_cluster_record(b, buf_slice(&l->key), buf_slice(&l->value), op->revision);
    buf_deinit(&l->key);
    buf_deinit(&l->value);
    if (result == 0 && broker_role(b) == BROKER_LEADING)
        broker_lead_drop(broker_lead_of(b), id);
    if (list_empty(&l->requests))
        return; /* the role ended meanwhile */
    struct broker_leave_request *r =
        LIST_ENTRY(l->requests.next, struct broker_leave_request, priv.link);
    if (result != 0) {
        broker_leave_answer(l, r, BROKER_DISK_FULL);
        return;
    }
    broker_log(b, 1, "broker %d leaves the cluster%s", id, r->force ? ", by force" : "");
    r->priv.written = true;
    r->priv.until_ms = broker_now(b) + BROKER_LEAVE_WAIT_MS;
}

static void broker_leave_write(struct broker_leave *l, const struct broker_leave_request *r)
{
    struct cluster_broker record = *broker_leave_known(l->broker, r->id);
    struct slice was;
    int64_t revision = -1;
    ASSERT(!l->writing && record.id == r->id);
    record.left = true;
    record.forced = r->force;
    cluster_broker_key(r->id, &l->key);
    cluster_broker_encode(&record, &l->value);
    int there = coord_get(l->broker->coord, buf_slice(&l->key), &was, &revision);
    ASSERT(there == 0);
    l->op = (struct coord_op){.key = buf_slice(&l->key),
                              .value = buf_slice(&l->value),
                              .expect = revision,
                              .done = broker_leave_written,
                              .ctx = l};
    l->writing = true;
    int c = coord_cas(l->broker->coord, &l->op, broker_wall(l->broker));
    ASSERT(c == 0); /* registrations wait meanwhile */
}

/* --- the turn --- */

/* Every record that can be without it is. */
static void broker_leave_wait(struct broker_leave *l, struct broker_leave_request *r)
{
    struct broker_leave_count c;
    ASSERT(r->priv.written);
    broker_leave_look(l, r->id, &c);
    r->pending = c.replicas;
    if (c.replicas > 0 && broker_now(l->broker) < r->priv.until_ms)
        return;
    if (c.replicas > 0)
        (void)snprintf(r->message, sizeof r->message,
                       "broker %d has left; partitions that name it until others are in sync: %u",
                       r->id, c.replicas);
    else
        (void)snprintf(r->message, sizeof r->message, "broker %d has left; replicas it had: %u",
                       r->id, r->replicas);
    ASSERT(r->message[0] != '\0');
    broker_leave_answer(l, r, BROKER_OK);
}

static void broker_leave_begin(struct broker_leave *l, struct broker_leave_request *r)
{
    const struct cluster_broker *n = broker_leave_known(l->broker, r->id);
    ASSERT(!r->priv.written);
    if (n != NULL && n->left && (n->forced || !r->force)) { /* once more: it goes on */
        struct broker_leave_count c;
        broker_leave_look(l, r->id, &c);
        ASSERT(c.refusing <= c.replicas);
        r->replicas = c.replicas;
        r->priv.written = true;
        r->priv.until_ms = broker_now(l->broker) + BROKER_LEAVE_WAIT_MS;
        return;
    }
    enum broker_status s = broker_leave_refuses(l, r);
    if (s == BROKER_OK && r->validate_only)
        (void)snprintf(r->message, sizeof r->message, "broker %d would leave; replicas it has: %u",
                       r->id, r->replicas);
    if (s != BROKER_OK || r->validate_only)
        broker_leave_answer(l, r, s);
    else
        broker_leave_write(l, r);
}

void broker_leave_run(struct broker_leave *l)
{
    int64_t now = broker_now(l->broker);
    ASSERT(l->broker->cluster != NULL);
    if (list_empty(&l->requests) || l->writing ||
        broker_lead_registering(broker_lead_of(l->broker)))
        return;
    ASSERT(broker_role(l->broker) == BROKER_LEADING);
    struct broker_leave_request *r =
        LIST_ENTRY(l->requests.next, struct broker_leave_request, priv.link);
    if (!r->priv.written) {
        broker_leave_begin(l, r);
    } else if (now >= l->next_ms) {
        l->next_ms = now + BROKER_LEAVE_TICK_MS;
        broker_leave_wait(l, r);
    }
}

int64_t broker_leave_next_ms(const struct broker_leave *l)
{
    ASSERT(l->broker != NULL);
    ASSERT(l->next_ms >= 0);
    return list_empty(&l->requests) || l->writing ? INT64_MAX : l->next_ms;
}

bool broker_leave_quiet(const struct broker_leave *l)
{
    ASSERT(l->broker != NULL);
    return !l->writing;
}

bool broker_leave_writing(const struct broker_leave *l)
{
    ASSERT(l->broker != NULL);
    return l->writing;
}

void broker_leave_end(struct broker_leave *l, enum broker_status status)
{
    ASSERT(status != BROKER_OK);
    while (!list_empty(&l->requests)) {
        struct broker_leave_request *r =
            LIST_ENTRY(l->requests.next, struct broker_leave_request, priv.link);
        ASSERT(r->done != NULL);
        broker_leave_answer(l, r, status);
    }
}

void broker_leave_request(struct broker *b, struct broker_leave_request *r)
{
    struct broker_leave *l = broker_leave_of(b);
    ASSERT(r->done != NULL);
    ASSERT(b->cluster != NULL);
    r->message[0] = '\0';
    r->replicas = r->pending = 0;
    r->priv.written = false;
    list_init(&r->priv.link);
    list_add_tail(&l->requests, &r->priv.link);
    if (b->stopping) {
        broker_leave_answer(l, r, BROKER_STOPPING);
    } else if (broker_role(b) == BROKER_ALONE) {
        (void)snprintf(r->message, sizeof r->message,
                       "broker %d is alone: there is no cluster to leave", b->node_id);
        broker_leave_answer(l, r, BROKER_DENIED);
    } else if (broker_role(b) != BROKER_LEADING) {
        broker_leave_answer(l, r, BROKER_NOT_LEADER);
    } else {
        l->next_ms = broker_now(b);
    }
}
