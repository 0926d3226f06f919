/* SPDX-License-Identifier: MIT
 *
 * broker_lead: see broker_lead.h.
 *
 *   begin      each partition's record gets the new leader epoch (compare-and-set, many at once);
 *              with it durable, bpart_lead
 *   register   a broker says who it is -> who may lack what was counted leaves the sets ->
 *              brokers/<id> is written, its revision is the broker epoch -> answered -> it is
 *              added to the partitions that want another replica
 *   goodbye    a broker stops: it leaves the in-sync sets at once, and comes back by registering
 *   drop       a broker left (broker_leave.c): the records of its partitions lose it
 *   consider   the set proposes (a joiner, a leaver) -> compare-and-set -> committed
 *
 * Registrations go one after the other: each looks at every partition.
 *
 * Failures: no room for a record: tried again by the clock; a registration is refused DISK_FULL.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_leave.h"
#include "engine/broker/replica_rules.h"

#define BROKER_LEAD_TICK_MS   500
#define BROKER_LEAD_AGAIN_MS  20    /* a record is being changed by somebody else */
#define BROKER_LEAD_OPS       256   /* records in one change */
#define BROKER_LEAD_ALIVE_MS  10000 /* a broker heard within this time is there */
#define BROKER_LEAD_SILENT_MS 3000
#define BROKER_LEAD_FACTOR    3
#define BROKER_LEAD_SAY_MS    60000 /* one thing that stays as it is, once in a while */

/* One change of many partitions' records. */
struct broker_lead_many {
    struct coord_op ops[BROKER_LEAD_OPS];
    struct buf keys[BROKER_LEAD_OPS];
    struct buf values[BROKER_LEAD_OPS];
    struct bpart *parts[BROKER_LEAD_OPS];
    size_t count;
    size_t left; /* done is still to run for */
    bool out;
};

struct broker_lead {
    struct broker *broker;
    struct broker_peer peers[REPLICA_COUNT_MAX];
    size_t peer_count;
    struct broker_lead_many *many; /* owned */
    bool scan;                     /* records are to be looked at: epochs, replicas, strikes */
    struct list registers;         /* struct ship_call, by priv.link */
    struct coord_op op;            /* brokers/<id> of the first of them */
    struct buf key;
    struct buf value;
    bool writing;
    bool struck; /* the first of them left all the sets it had to leave */
    int64_t next_ms;
    int64_t scan_ms; /* no scan before this */
    bool leading;
    bool leaves;    /* some broker left, and partitions may name it still */
    bool unheard;   /* a candidate may go by some record as it was before */
    int64_t say_ms; /* what waits for that is said again */
};

struct broker_lead *broker_lead_new(struct broker *b)
{
    struct broker_lead *l = calloc(1, sizeof *l);
    ASSERT(b != NULL);
    ASSERT(l != NULL);
    l->many = calloc(1, sizeof *l->many);
    ASSERT(l->many != NULL);
    l->broker = b;
    l->next_ms = INT64_MAX;
    list_init(&l->registers);
    return l;
}

static void broker_lead_many_clear(struct broker_lead_many *m)
{
    ASSERT(!m->out);
    for (size_t i = 0; i < m->count; i++) {
        buf_deinit(&m->keys[i]);
        buf_deinit(&m->values[i]);
    }
    m->count = m->left = 0;
}

struct broker_lead *broker_lead_free(struct broker_lead *l)
{
    if (l == NULL)
        return NULL;
    ASSERT(list_empty(&l->registers));
    l->many->out = false; /* the broker is dead: nothing comes back */
    broker_lead_many_clear(l->many);
    buf_deinit(&l->key);
    buf_deinit(&l->value);
    free(l->many);
    free(l);
    return NULL;
}

/* --- who is there --- */

static struct broker_peer *broker_lead_find(struct broker_lead *l, int32_t id)
{
    ASSERT(l->peer_count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].id == id)
            return &l->peers[i];
    return NULL;
}

const struct broker_peer *broker_lead_heard(struct broker_lead *l, int32_t id)
{
    struct broker_peer *p = broker_lead_find(l, id);
    ASSERT(id >= 0);
    if (p == NULL || p->broker_epoch < 0)
        return NULL;
    ASSERT(l->leading);
    p->heard_ms = broker_now(l->broker);
    return p;
}

int64_t broker_lead_silent(const struct broker_lead *l, int32_t id)
{
    ASSERT(l->peer_count <= REPLICA_COUNT_MAX);
    if (id == l->broker->node_id)
        return 0;
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].id == id && l->peers[i].broker_epoch >= 0)
            return broker_now(l->broker) - l->peers[i].heard_ms;
    return -1;
}

const struct broker_peer *broker_lead_peer(const struct broker_lead *l, size_t at)
{
    ASSERT(l->peer_count <= REPLICA_COUNT_MAX);
    return at < l->peer_count ? &l->peers[at] : NULL;
}

/* In the order of their ids, so that replicas are assigned alike whoever came first. */
static struct broker_peer *broker_lead_add(struct broker_lead *l, int32_t id)
{
    size_t at = l->peer_count++;
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    for (; at > 0 && l->peers[at - 1].id > id; at--)
        l->peers[at] = l->peers[at - 1];
    l->peers[at] = (struct broker_peer){.id = id, .broker_epoch = -1, .mirrored = -1, .paged = -1};
    ASSERT(at == 0 || l->peers[at - 1].id < id);
    return &l->peers[at];
}

void broker_lead_drop(struct broker_lead *l, int32_t id)
{
    size_t kept = 0;
    ASSERT(l->leading);
    ASSERT(id != l->broker->node_id);
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].id != id)
            l->peers[kept++] = l->peers[i];
    l->peer_count = kept;
    l->leaves = l->scan = true;
}

bool broker_lead_registering(const struct broker_lead *l)
{
    ASSERT(l->broker != NULL);
    return l->writing;
}

bool broker_lead_alive(const struct broker_lead *l, int32_t id)
{
    int64_t silent = broker_lead_silent(l, id);
    ASSERT(id >= 0);
    return silent >= 0 && silent <= BROKER_LEAD_ALIVE_MS;
}

bool broker_lead_misses(const struct broker_lead *l)
{
    ASSERT(l->peer_count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].broker_epoch < 0 ||
            broker_now(l->broker) - l->peers[i].heard_ms > BROKER_LEAD_SILENT_MS)
            return true;
    return false;
}

void broker_lead_mirrored(struct broker_lead *l, int32_t id, int64_t revision)
{
    struct broker_peer *p = broker_lead_find(l, id);
    ASSERT(l->leading && p != NULL);
    ASSERT(p->paged >= -1);
    if (p->mirrored >= revision || revision <= p->paged ||
        revision > coord_revision(l->broker->coord))
        return;
    p->mirrored = revision;
    if (l->unheard)
        l->next_ms = broker_now(l->broker);
}

void broker_lead_paged(struct broker_lead *l, int32_t id, int64_t revision)
{
    struct broker_peer *p = broker_lead_find(l, id);
    ASSERT(id >= 0);
    ASSERT(revision >= 0);
    if (p != NULL && revision > p->paged)
        p->paged = revision;
}

size_t broker_lead_count(const struct broker_lead *l)
{
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    return l->peer_count + 1;
}

void broker_lead_introduce(struct bpart *p)
{
    struct broker_lead *l = broker_lead_of(p->broker);
    ASSERT(p->replica != NULL && p->broker == l->broker);
    ASSERT(p->replica->leading);
    for (size_t i = 0; i < l->peer_count; i++) {
        struct replica_registration g = {.id = l->peers[i].id,
                                         .broker_epoch = l->peers[i].broker_epoch};
        if (g.broker_epoch >= 0)
            (void)replica_set_registered(&p->replica->set, &g);
    }
}

/* --- many records at once --- */

static void broker_lead_many_done(struct coord_op *op, int result)
{
    struct broker_lead *l = op->ctx;
    struct broker_lead_many *m = l->many;
    size_t at = (size_t)(op - m->ops);
    struct bpart *p = m->parts[at];
    ASSERT(m->out && m->left > 0 && p->jobs > 0);
    p->jobs--;
    p->replica->changing = false;
    if (result == 0 && p->state != BPART_GONE) {
        struct cluster_part record;
        int r = cluster_part_decode(buf_slice(&m->values[at]), &record);
        ASSERT(r == 0);
        bpart_replica_record(p, &record, op->revision);
    }
    if (--m->left > 0)
        return;
    m->out = false;
    broker_lead_many_clear(m);
    l->scan = l->leading;
    if (result != 0)
        l->scan_ms = broker_now(l->broker) + BROKER_LEAD_TICK_MS;
}

static void broker_lead_many_add(struct broker_lead *l, struct bpart *p,
                                 const struct cluster_part *record)
{
    struct broker_lead_many *m = l->many;
    ASSERT(p->topic != NULL && record->replicas.count > 0);
    ASSERT(m->count < BROKER_LEAD_OPS && !m->out);
    size_t at = m->count++;
    struct bpart_replica *r = bpart_replica_make(p);
    cluster_part_key(p->topic->record.id, p->index, &m->keys[at]);
    cluster_part_encode(record, &m->values[at]);
    m->parts[at] = p;
    m->ops[at] = (struct coord_op){.key = buf_slice(&m->keys[at]),
                                   .value = buf_slice(&m->values[at]),
                                   .expect = r->revision,
                                   .done = broker_lead_many_done,
                                   .ctx = l};
}

static void broker_lead_many_start(struct broker_lead *l)
{
    struct broker_lead_many *m = l->many;
    ASSERT(m->count <= BROKER_LEAD_OPS);
    ASSERT(m->count > 0 && !m->out);
    m->left = m->count;
    m->out = true;
    for (size_t i = 0; i < m->count; i++) {
        m->parts[i]->jobs++;
        m->parts[i]->replica->changing = true;
    }
    int r = coord_cas_all(l->broker->coord, m->ops, m->count, broker_wall(l->broker));
    if (r == 0)
        return;
    ASSERT(r == COORD_CONFLICT); /* one of them is being changed: the clock brings us back */
    for (size_t i = 0; i < m->count; i++) {
        m->parts[i]->jobs--;
        m->parts[i]->replica->changing = false;
    }
    m->out = false;
    broker_lead_many_clear(m);
    l->scan = l->leading;
    l->scan_ms = broker_now(l->broker) + BROKER_LEAD_AGAIN_MS;
}

/* --- what the record of a partition should be --- */

void broker_lead_choose(const struct broker_lead *l, int32_t index, int32_t factor,
                        struct replica_ids *out)
{
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    *out = (struct replica_ids){0};
    ASSERT(index >= 0 && factor > 0);
    replica_ids_add(out, l->broker->node_id);
    for (size_t i = 0; i < l->peer_count && out->count < (uint32_t)factor; i++)
        replica_ids_add(out, l->peers[((size_t)index + i) % l->peer_count].id);
}

int32_t broker_lead_factor(const struct broker_lead *l, const struct catalog_topic *t)
{
    int32_t want = t->replication;
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    ASSERT(want >= 1);
    if (t->spread && want < BROKER_LEAD_FACTOR)
        want = BROKER_LEAD_FACTOR;
    int32_t have = (int32_t)broker_lead_count(l);
    return want < have ? want : have;
}

bool broker_lead_later(const struct broker_lead *l, const struct catalog_topic *t)
{
    ASSERT(t->replication >= 1);
    ASSERT(l->broker != NULL);
    return broker_lead_factor(l, t) < 2 && !catalog_topic_single(t);
}

/* Who is registered with a strike leaves the sets; never as the last of them, which the leader is
 * where there is one. */
static void broker_lead_strike(struct cluster_part *record, int32_t id)
{
    ASSERT(id >= 0);
    if (record->leader >= 0 && record->isr.count + record->elr.count < 2)
        return;
    replica_ids_remove(&record->isr, id);
    replica_ids_remove(&record->elr, id);
    ASSERT(!replica_ids_has(&record->isr, id) && !replica_ids_has(&record->elr, id));
}

/* Of a record that does not say what promotions go by. What was acknowledged while there was none,
 * this broker alone has. */
static uint32_t broker_lead_holders(const struct bpart *p, const struct cluster_part *record,
                                    bool fresh)
{
    uint32_t min = (uint32_t)p->topic->limits.min_insync;
    ASSERT(min > 0);
    ASSERT(record->replicas.count > 0);
    if (fresh)
        return 1;
    return min < record->replicas.count ? min : record->replicas.count;
}

/* Gives it the replicas that it lacks; later, while candidates may go by an older record still. A
 * broker that has not heard of the new ones may be promoted by the old ones: see struct
 * replica_base. True when there are more. */
static bool broker_lead_grow(const struct broker_lead *l, int32_t index, int32_t factor,
                             struct cluster_part *record)
{
    struct replica_ids old = record->replicas;
    ASSERT(index >= 0 && record->base.holders > 0);
    if (record->base.before.count > 0)
        return false;
    for (size_t i = 0; i < l->peer_count && (int32_t)record->replicas.count < factor; i++)
        replica_ids_add(&record->replicas, l->peers[((size_t)index + i) % l->peer_count].id);
    if (record->replicas.count == old.count)
        return false;
    if (record->base.holders > 1) { /* else any candidate needs our promise */
        record->base.before = old;
        record->base.before_holders = record->base.holders;
    }
    ASSERT(cluster_part_fault(record) == NULL);
    return true;
}

/* True when the record is to be another. */
static bool broker_lead_wants(const struct broker_lead *l, const struct bpart *p,
                              struct cluster_part *out)
{
    const struct broker *b = l->broker;
    const struct bpart_replica *r = p->replica;
    int32_t factor = broker_lead_factor(l, &p->topic->record);
    bool fresh = r == NULL || r->revision < 0;
    ASSERT(p->topic != NULL);
    if (fresh) {
        if (broker_lead_later(l, &p->topic->record))
            return false;
        *out = (struct cluster_part){.leader = b->node_id};
        replica_ids_add(&out->replicas, b->node_id);
        replica_ids_add(&out->isr, b->node_id);
    } else {
        *out = r->record;
    }
    ASSERT(out->replicas.count > 0);
    bool wants = fresh || out->leader_epoch != broker_leader_epoch(b) || out->base.holders == 0;
    if (out->leader != b->node_id && out->leader != -1)
        return false; /* not ours */
    if (out->base.holders == 0)
        out->base.holders = broker_lead_holders(p, out, fresh);
    wants = broker_leave_strike(p, out) || wants;
    out->leader_epoch = broker_leader_epoch(b);
    if (out->leader < 0) /* whoever leads it next knows more */
        return wants;
    return broker_lead_grow(l, p->index, factor, out) || wants;
}

/* Looks at every partition until a change is full or all are as they should be. */
static void broker_lead_scan(struct broker_lead *l)
{
    struct broker *b = l->broker;
    struct broker_lead_many *m = l->many;
    ASSERT(l->many != NULL);
    ASSERT(l->broker->topic_count == l->broker->topics.count);
    if (!l->scan || m->out || broker_now(b) < l->scan_ms)
        return;
    l->scan = false;
    bool named = false;
    for (size_t i = 0; i < b->topic_count; i++) {
        struct topic *t = b->sorted[i];
        for (int32_t k = 0; !t->deleting && !t->busy && k < t->record.partitions; k++) {
            struct cluster_part record;
            struct bpart *p = t->parts[k];
            if (m->count == BROKER_LEAD_OPS)
                break;
            named = named || (l->leaves && broker_leave_names(p));
            if (broker_lead_wants(l, p, &record)) {
                if (p->replica != NULL && p->replica->changing)
                    l->scan = true;
                else
                    broker_lead_many_add(l, p, &record);
            }
        }
        l->scan = l->scan || (t->busy && !t->deleting);
    }
    if (l->scan) /* what somebody else is changing: a little later */
        l->scan_ms = broker_now(b) + BROKER_LEAD_AGAIN_MS;
    l->leaves = l->leaves && (named || l->scan);
    if (m->count > 0)
        broker_lead_many_start(l);
}

void broker_lead_assign(struct broker_lead *l)
{
    ASSERT(l->broker != NULL);
    l->scan = l->leading;
}

/* --- the in-sync set --- */

static void broker_lead_changed(struct coord_op *op, int result)
{
    struct bpart *p = op->ctx;
    struct bpart_replica *r = p->replica;
    ASSERT(r->value.size > 0);
    ASSERT(p->jobs > 0 && r->changing && op == &r->op);
    p->jobs--;
    r->changing = false;
    struct cluster_part record;
    int d = cluster_part_decode(buf_slice(&r->value), &record);
    ASSERT(d == 0);
    buf_deinit(&r->key);
    buf_deinit(&r->value);
    if (result != 0) {
        if (r->leading)
            replica_set_refused(&r->set);
        return;
    }
    r->record = record;
    r->revision = op->revision;
    if (p->state == BPART_GONE || !r->leading)
        return;
    broker_log(p->broker, 0, "%s-%d: %u of %u replicas in sync", p->topic->name, p->index,
               record.isr.count, record.replicas.count);
    (void)replica_set_committed(&r->set, op->revision, broker_now(p->broker));
    bpart_watermark_moved(p);
    broker_lead_consider(p);
}

static void broker_lead_tell_mirrored(struct bpart *p)
{
    struct broker_lead *l = broker_lead_of(p->broker);
    ASSERT(p->replica->leading);
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    l->unheard = true;
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].broker_epoch >= 0)
            replica_set_mirrored(&p->replica->set, l->peers[i].id, l->peers[i].mirrored);
}

void broker_lead_consider(struct bpart *p)
{
    struct broker *b = p->broker;
    struct bpart_replica *r = p->replica;
    struct replica_change change;
    ASSERT(p->topic != NULL);
    ASSERT(r != NULL);
    if (r->leading && replica_set_awaited_long(&r->set, broker_now(b)))
        bpart_watermark_moved(p);
    if (!r->leading || r->changing || b->stopping || p->topic->deleting)
        return;
    if (r->set.base.before.count > 0)
        broker_lead_tell_mirrored(p);
    struct replica_time time = {broker_now(b), config_i64(b->env.config, CONFIG_REPLICA_LAG_MS)};
    if (!replica_set_propose(&r->set, time, &change))
        return;
    struct cluster_part record = r->record;
    record.isr = change.isr;
    record.elr = change.elr;
    record.base = change.base;
    ASSERT(change.revision == r->revision);
    cluster_part_key(p->topic->record.id, p->index, &r->key);
    cluster_part_encode(&record, &r->value);
    r->op = (struct coord_op){.key = buf_slice(&r->key),
                              .value = buf_slice(&r->value),
                              .expect = r->revision,
                              .done = broker_lead_changed,
                              .ctx = p};
    r->changing = true;
    p->jobs++;
    if (coord_cas(b->coord, &r->op, broker_wall(b)) == 0)
        return;
    p->jobs--;
    r->changing = false;
    buf_deinit(&r->key);
    buf_deinit(&r->value);
    replica_set_refused(&r->set);
}

/* Brokers that are gone for good will not hear of it. */
static void broker_lead_say(struct broker_lead *l, const struct bpart *p)
{
    const struct replica_base *base = &p->replica->set.base;
    ASSERT(p->replica->leading && base->before.count > 0);
    ASSERT(l->broker == p->broker);
    if (!replica_set_unheard(&p->replica->set) || broker_now(l->broker) < l->say_ms)
        return;
    l->say_ms = broker_now(l->broker) + BROKER_LEAD_SAY_MS;
    broker_log(l->broker, 1,
               "%s-%d: acks=all waits until %u of its %u replicas of before have heard of the new "
               "min.insync.replicas, or number of replicas; if brokers are gone for good: kauri "
               "cluster leave --broker-id N --force",
               p->topic->name, p->index, base->before_holders, base->before.count);
}

static void broker_lead_tick(struct broker_lead *l)
{
    struct broker *b = l->broker;
    ASSERT(l->leading);
    l->unheard = false;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->replica == NULL || !p->replica->leading)
                continue;
            broker_lead_consider(p);
            if (p->replica->set.base.before.count > 0)
                broker_lead_say(l, p);
        }
}

/* --- registrations --- */

static const struct cluster_broker *broker_lead_known(const struct broker_lead *l, int32_t id)
{
    const struct cluster_broker *n;
    ASSERT(l->leading);
    for (size_t i = 0; (n = broker_cluster_node(l->broker, i)) != NULL; i++) {
        ASSERT(n->id >= 0);
        if (n->id == id)
            return n;
    }
    return NULL;
}

static void broker_lead_answer(struct broker_lead *l, struct ship_call *call,
                               enum broker_status status)
{
    ASSERT(list_linked(&call->priv.link));
    ASSERT(call->kind == SHIP_REGISTER);
    list_remove(&call->priv.link);
    l->struck = false;
    call->status = status;
    if (status != BROKER_OK && call->message[0] == '\0')
        (void)snprintf(call->message, sizeof call->message, "%s", broker_status_text(status));
    broker_ship_done(l->broker, call);
}

/* Its terms are told apart from ours: election.h. */
static bool broker_lead_slot_taken(const struct broker_lead *l, int32_t id)
{
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    if (id % ELECTION_SLOTS == l->broker->node_id % ELECTION_SLOTS)
        return true;
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].id != id && l->peers[i].id % ELECTION_SLOTS == id % ELECTION_SLOTS)
            return true;
    ASSERT(id >= 0);
    return false;
}

/* A folder that was wiped has forgotten which terms it promised: nobody else may have taken one. */
static bool broker_lead_all_here(const struct broker_lead *l, int32_t but)
{
    int64_t now = broker_now(l->broker);
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    for (size_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].id != but &&
            (l->peers[i].broker_epoch < 0 || now - l->peers[i].heard_ms > BROKER_LEAD_ALIVE_MS))
            return false;
    return true;
}

/* It was told to leave: it comes back as a new process that has forgotten on what its logs
 * stand. */
static bool broker_lead_gone(const struct ship_register *reg, const struct cluster_broker *known)
{
    ASSERT(reg->node.id >= 0);
    ASSERT(known == NULL || known->id == reg->node.id);
    return known != NULL && known->left &&
           (known->incarnation == reg->node.incarnation || !reg->fresh);
}

/* What speaks against it, in call->message. */
static enum broker_status broker_lead_refuses(struct broker_lead *l, struct ship_call *call)
{
    const struct ship_node *n = &call->reg.node;
    const struct broker_peer *p = broker_lead_find(l, n->id);
    const struct cluster_broker *known = broker_lead_known(l, n->id);
    bool other = known != NULL && memcmp(known->folder, n->folder, sizeof known->folder) != 0;
    ASSERT(call->kind == SHIP_REGISTER);
    if (n->id < 0 || n->id == l->broker->node_id) {
        (void)snprintf(call->message, sizeof call->message,
                       "broker id %d is the leader's own: give each broker one of its own with "
                       "--broker-id",
                       n->id);
        return BROKER_DENIED;
    }
    if (p != NULL && memcmp(p->folder, n->folder, sizeof p->folder) != 0 &&
        broker_now(l->broker) - p->heard_ms < BROKER_LEAD_ALIVE_MS && p->broker_epoch >= 0) {
        (void)snprintf(call->message, sizeof call->message,
                       "broker id %d is present already, with another data folder", n->id);
        return BROKER_DENIED;
    }
    if (broker_lead_slot_taken(l, n->id)) {
        (void)snprintf(call->message, sizeof call->message,
                       "broker ids must differ modulo %d, and that of %d is taken", ELECTION_SLOTS,
                       n->id);
        return BROKER_DENIED;
    }
    if (broker_lead_gone(&call->reg, known)) {
        (void)snprintf(call->message, sizeof call->message,
                       "broker %d was told to leave the cluster", n->id);
        return BROKER_LEFT;
    }
    if (other && !broker_lead_all_here(l, n->id)) {
        (void)snprintf(call->message, sizeof call->message,
                       "the data folder of broker %d is new: it is taken in when all other brokers "
                       "are here, or have left (kauri cluster leave)",
                       n->id);
        return BROKER_BUSY;
    }
    if (p == NULL && l->peer_count + 1 >= REPLICA_COUNT_MAX) {
        (void)snprintf(call->message, sizeof call->message, "the cluster has %d brokers, the most",
                       REPLICA_COUNT_MAX);
        return BROKER_BUSY;
    }
    return BROKER_OK;
}

static bool broker_lead_strikes(const struct broker_peer *known, const struct ship_register *reg,
                                const struct topic *t)
{
    bool other = known == NULL || memcmp(known->folder, reg->node.folder, 16) != 0;
    ASSERT(t != NULL);
    return RULE_HOLDS(RULE_STRIKE) && (other || reg->fresh || (reg->unclean && !t->limits.sync));
}

/* One partition forgets what was counted of the broker, and strikes it out where it must. True when
 * it is out. */
static bool broker_lead_strike_part(struct broker_lead *l, struct bpart *p,
                                    const struct ship_register *reg)
{
    struct bpart_replica *r = p->replica;
    const struct broker_peer *known = broker_lead_find(l, reg->node.id);
    int32_t id = reg->node.id;
    struct cluster_part record = r->record;
    ASSERT(l->many != NULL && id == reg->node.id);
    ASSERT(r->revision >= 0);
    if (r->leading) {
        struct replica_registration none = {.id = id, .broker_epoch = INT64_MAX};
        (void)replica_set_registered(&r->set, &none); /* no pull has that one: nothing counts */
    }
    if (!broker_lead_strikes(known, reg, p->topic))
        return true;
    broker_lead_strike(&record, id);
    if (replica_ids_same(&record.isr, &r->record.isr) &&
        replica_ids_same(&record.elr, &r->record.elr))
        return true;
    if (!r->changing && l->many->count < BROKER_LEAD_OPS)
        broker_lead_many_add(l, p, &record);
    return false;
}

/* True when it left every set. */
static bool broker_lead_strike_all(struct broker_lead *l, const struct ship_register *reg)
{
    struct broker *b = l->broker;
    bool out = true;
    ASSERT(reg->node.id >= 0);
    ASSERT(l->many != NULL);
    if (l->many->out)
        return false;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->replica != NULL && p->replica->revision >= 0 &&
                replica_ids_has(&p->replica->record.replicas, reg->node.id))
                out = broker_lead_strike_part(l, p, reg) && out;
        }
    if (l->many->count > 0)
        broker_lead_many_start(l);
    return out;
}

static void broker_lead_registered(struct coord_op *op, int result)
{
    struct broker_lead *l = op->ctx;
    struct ship_call *call = LIST_ENTRY(l->registers.next, struct ship_call, priv.link);
    struct broker *b = l->broker;
    ASSERT(op == &l->op);
    ASSERT(l->writing);
    l->writing = false;
    if (result == 0)
        broker_cluster_record(b, buf_slice(&l->key), buf_slice(&l->value), op->revision);
    buf_deinit(&l->key);
    buf_deinit(&l->value);
    if (list_empty(&l->registers))
        return; /* the role ended meanwhile */
    if (result != 0)
        return broker_lead_answer(l, call, BROKER_DISK_FULL);
    struct broker_peer *p = broker_lead_find(l, call->reg.node.id);
    if (p == NULL)
        p = broker_lead_add(l, call->reg.node.id);
    p->broker_epoch = op->revision;
    p->mirrored = -1;
    p->heard_ms = broker_now(b);
    memcpy(p->folder, call->reg.node.folder, sizeof p->folder);
    call->reg.broker_epoch = op->revision;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *bp = b->sorted[i]->parts[k];
            struct replica_registration g = {.id = p->id, .broker_epoch = p->broker_epoch};
            if (bp->replica != NULL && bp->replica->leading)
                (void)replica_set_registered(&bp->replica->set, &g);
        }
    l->scan = true;
    broker_log(b, 0, "broker %d registered: %s", p->id, call->reg.node.native);
    broker_lead_answer(l, call, BROKER_OK);
}

static void broker_lead_write(struct broker_lead *l, const struct ship_call *call)
{
    const struct ship_node *n = &call->reg.node;
    struct cluster_broker record = {.id = n->id,
                                    .incarnation = n->incarnation,
                                    .kafka_port = n->kafka_port,
                                    .registered_ms = broker_wall(l->broker)};
    struct slice was;
    int64_t revision = -1;
    ASSERT(call->kind == SHIP_REGISTER && l->leading);
    ASSERT(!l->writing);
    memcpy(record.folder, n->folder, sizeof record.folder);
    memcpy(record.boot, n->boot, sizeof record.boot);
    (void)snprintf(record.native, sizeof record.native, "%s", n->native);
    (void)snprintf(record.kafka_host, sizeof record.kafka_host, "%s", n->kafka_host);
    (void)snprintf(record.rack, sizeof record.rack, "%s", n->rack);
    cluster_broker_key(n->id, &l->key);
    cluster_broker_encode(&record, &l->value);
    if (coord_get(l->broker->coord, buf_slice(&l->key), &was, &revision) != 0)
        revision = -1;
    l->op = (struct coord_op){.key = buf_slice(&l->key),
                              .value = buf_slice(&l->value),
                              .expect = revision,
                              .done = broker_lead_registered,
                              .ctx = l};
    l->writing = true;
    int r = coord_cas(l->broker->coord, &l->op, broker_wall(l->broker));
    ASSERT(r == 0); /* nobody else writes it */
}

/* The first of those that wait goes on. */
static void broker_lead_register_step(struct broker_lead *l)
{
    ASSERT(l->broker->cluster != NULL);
    ASSERT(!l->broker->stopping);
    if (list_empty(&l->registers) || l->writing || broker_leave_writing(broker_leave_of(l->broker)))
        return;
    struct ship_call *call = LIST_ENTRY(l->registers.next, struct ship_call, priv.link);
    if (broker_role(l->broker) == BROKER_ALONE)
        return broker_cluster_found(l->broker->cluster);
    if (!l->leading)
        return;
    enum broker_status s = broker_lead_refuses(l, call);
    if (s != BROKER_OK)
        return broker_lead_answer(l, call, s);
    if (!l->struck)
        l->struck = broker_lead_strike_all(l, &call->reg);
    if (l->struck)
        broker_lead_write(l, call);
    else
        l->next_ms = broker_now(l->broker) + BROKER_LEAD_AGAIN_MS;
}

void broker_lead_register(struct broker_lead *l, struct ship_call *call)
{
    ASSERT(!list_linked(&call->priv.link));
    ASSERT(call->kind == SHIP_REGISTER);
    list_add_tail(&l->registers, &call->priv.link);
}

void broker_lead_goodbye(struct broker_lead *l, int32_t id)
{
    struct broker_peer *peer = broker_lead_find(l, id);
    struct broker *b = l->broker;
    ASSERT(l->leading && peer != NULL);
    ASSERT(peer->broker_epoch >= 0);
    peer->broker_epoch = -1;
    peer->mirrored = -1;
    broker_log(b, 0, "broker %d stops", id);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->replica == NULL || !p->replica->leading)
                continue;
            replica_set_parted(&p->replica->set, id);
            broker_lead_consider(p);
        }
}

/* --- the role --- */

/* Those the records know are replicas, registered or not. */
static void broker_lead_know(struct broker_lead *l)
{
    ASSERT(l->leading);
    ASSERT(l->peer_count == 0);
    for (size_t i = 0;; i++) {
        const struct cluster_broker *n = broker_cluster_node(l->broker, i);
        if (n == NULL)
            return;
        l->leaves = l->leaves || n->left;
        if (n->id == l->broker->node_id || n->left || l->peer_count + 1 >= REPLICA_COUNT_MAX)
            continue;
        struct broker_peer *p = broker_lead_add(l, n->id);
        memcpy(p->folder, n->folder, sizeof p->folder);
    }
}

void broker_lead_begin(struct broker_lead *l)
{
    ASSERT(list_empty(&l->registers) || l->broker->cluster != NULL);
    ASSERT(!l->leading);
    l->leading = true;
    l->scan = true;
    l->leaves = l->unheard = false;
    l->say_ms = broker_now(l->broker) + BROKER_LEAD_SILENT_MS;
    l->peer_count = 0;
    l->next_ms = broker_now(l->broker);
    broker_lead_know(l);
    for (size_t i = 0; i < l->broker->topic_count; i++)
        for (int32_t k = 0; k < l->broker->sorted[i]->record.partitions; k++)
            bpart_advanced(l->broker->sorted[i]->parts[k]);
}

void broker_lead_end(struct broker_lead *l)
{
    struct broker *b = l->broker;
    ASSERT(l->many != NULL);
    l->leading = l->scan = l->struck = false;
    l->next_ms = INT64_MAX;
    while (!list_empty(&l->registers))
        broker_lead_answer(l, LIST_ENTRY(l->registers.next, struct ship_call, priv.link),
                           BROKER_NOT_LEADER);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            if (b->sorted[i]->parts[k]->replica != NULL) {
                bpart_unlead(b->sorted[i]->parts[k]);
                if (b->sorted[i]->parts[k]->state != BPART_LOADING)
                    broker_produce_wake(b, b->sorted[i]->parts[k]);
            }
    l->peer_count = 0;
}

void broker_lead_run(struct broker_lead *l)
{
    int64_t now = broker_now(l->broker);
    ASSERT(l->many != NULL);
    ASSERT(l->peer_count < REPLICA_COUNT_MAX);
    broker_lead_register_step(l);
    if (!l->leading)
        return;
    if (now >= l->next_ms) {
        l->next_ms = now + BROKER_LEAD_TICK_MS;
        broker_lead_tick(l);
        l->scan = l->scan || l->leaves || l->unheard;
    }
    broker_lead_scan(l);
}

int64_t broker_lead_next_ms(const struct broker_lead *l)
{
    ASSERT(l->broker != NULL);
    return l->scan && !l->many->out && l->scan_ms < l->next_ms ? l->scan_ms : l->next_ms;
}

bool broker_lead_quiet(const struct broker_lead *l)
{
    ASSERT(l->many != NULL);
    return !l->writing && !l->many->out;
}
