/* SPDX-License-Identifier: MIT
 *
 * bpart_replica: one replicated partition inside the broker: its record, whether this broker leads
 * it, its high watermark, and who waits for that.
 *
 *   record here (durable) names us, we lead the cluster, the partition is online -> leading
 *   another record, another role                                                -> not leading
 *
 * A partition without a record has one replica: what is durable is visible, as ever.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/broker_pull.h"

struct bpart_replica *bpart_replica_make(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    ASSERT(p->state != BPART_GONE);
    ASSERT(p->topic != NULL);
    if (r != NULL)
        return r;
    r = calloc(1, sizeof *r);
    ASSERT(r != NULL);
    list_init(&r->acks);
    list_init(&r->pulls);
    r->reached = r->fetch_from = -1;
    r->high_watermark = p->part != NULL ? p->part->mark : 0;
    list_init(&r->mark.link);
    r->mark.bpart = p;
    list_init(&r->mend.link);
    r->mend.bpart = p;
    r->mend.left = -1;
    r->revision = -1;
    p->replica = r;
    return r;
}

uint32_t bpart_holders(const struct bpart *p)
{
    uint32_t holders = p->replica->record.base.holders;
    ASSERT(p->replica->revision >= 0);
    ASSERT(p->topic->limits.min_insync >= 1);
    return holders > 0 ? holders : (uint32_t)p->topic->limits.min_insync;
}

int64_t bpart_watermark(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(r != NULL);
    return r->leading ? r->set.high_watermark : r->high_watermark;
}

void bpart_info(const struct bpart *p, struct broker_partition_info *out)
{
    const struct broker *b = p->broker;
    const struct bpart_replica *r = p->replica;
    const struct cluster_part *c = r == NULL ? NULL : &r->record;
    ASSERT(out != NULL);
    *out = (struct broker_partition_info){.log_start = -1, .high_watermark = -1};
    if (r == NULL || r->revision < 0) {
        out->leader = broker_leads(b) ? b->node_id : broker_known_leader(b)->id;
        out->replicas = out->isr = broker_leads(b) ? &b->node_id : &broker_known_leader(b)->id;
        out->replica_count = out->isr_count = 1;
        return;
    }
    ASSERT(c->replicas.count <= REPLICA_COUNT_MAX);
    out->fenced = broker_follow_is_fenced(p);
    out->leader = c->leader;
    out->epoch = c->leader_epoch;
    out->replicas = c->replicas.id;
    out->replica_count = c->replicas.count;
    out->isr = c->isr.id;
    out->isr_count = c->isr.count;
    out->elr = c->elr.id;
    out->elr_count = c->elr.count;
}

int broker_partition_follower(const struct broker *b, struct slice topic, int32_t partition,
                              size_t at, struct broker_follower *out)
{
    struct topic *t = broker_find_topic(b, topic);
    const struct bpart *p = t == NULL ? NULL : broker_find_part(t, partition);
    if (p == NULL || p->replica == NULL || !p->replica->leading ||
        at >= p->replica->set.follower_count)
        return 1;
    const struct replica_set *set = &p->replica->set;
    const struct replica_follower *f = &set->followers[at];
    ASSERT(out != NULL);
    *out = (struct broker_follower){
        .id = f->id,
        .in_sync = replica_ids_has(&set->isr, f->id),
        .end = f->told,
        .lag = f->told < 0          ? -1
               : set->end > f->told ? set->end - f->told
                                    : 0,
        .lag_size = f->told < 0 ? -1 : (int64_t)part_size_from(p->part, f->told),
        .caught_up_ms = f->told < 0 ? -1 : broker_now(b) - f->caught_up_ms,
        .since_ms = broker_now(b) - f->since_ms};
    return 0;
}

bool bpart_watermark_known(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->part != NULL);
    return r == NULL || !r->leading || r->set.high_watermark >= r->set.epoch_start;
}

bool bpart_confirmed(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->topic != NULL);
    return r == NULL || r->revision < 0 || (r->leading && replica_set_confirmed(&r->set));
}

bool bpart_alone(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->topic != NULL);
    return r == NULL || r->revision < 0 ||
           (r->record.replicas.count == 1 && catalog_topic_single(&p->topic->record));
}

enum broker_status bpart_use_here(struct bpart *p)
{
    const struct broker *b = p->broker;
    const struct bpart_replica *r = p->replica;
    ASSERT(p->topic != NULL);
    if (r == NULL || r->revision < 0 || broker_role(b) == BROKER_HAS_LEFT ||
        replica_ids_has(&r->record.replicas, b->node_id))
        return bpart_use(p);
    ASSERT(b->node_id >= 0);
    return r->record.leader < 0 && broker_leads(b) ? BROKER_OFFSET_NOT_AVAILABLE
                                                   : BROKER_NOT_LEADER;
}

bool bpart_leads(const struct bpart *p)
{
    ASSERT(p->broker != NULL);
    if (!broker_leads(p->broker))
        return false;
    return p->replica == NULL || p->replica->leading;
}

/* The end that counts: here and at every follower the same. */
static int64_t bpart_counted(const struct bpart *p)
{
    ASSERT(p->part != NULL);
    return bpart_syncs(p) ? p->part->durable : p->part->written;
}

static struct replica_ends bpart_ends(const struct bpart *p)
{
    struct replica_ends e = {bpart_counted(p), p->part->written};
    ASSERT(p->replica != NULL);
    if (p->replica->leading && e.written < p->replica->set.epoch_start)
        e.written = p->replica->set.epoch_start; /* reserved in an earlier epoch, on its way */
    ASSERT(e.end <= e.written);
    return e;
}

/* --- acknowledgements --- */

static void bpart_ack_end(struct bpart *p, int64_t below, enum broker_status status)
{
    ASSERT(p->replica != NULL && below >= 0);
    while (!list_empty(&p->replica->acks)) {
        struct bpart_ack *a = LIST_ENTRY(p->replica->acks.next, struct bpart_ack, link);
        ASSERT(a->done != NULL);
        if (a->offset >= below)
            return;
        list_remove(&a->link);
        a->done(a, status);
    }
}

bool bpart_ack_wait(struct bpart *p, struct bpart_ack *a)
{
    struct bpart_replica *r = p->replica;
    ASSERT(a->offset >= 0);
    ASSERT(a->done != NULL);
    if (r == NULL || (r->leading && a->offset < r->set.high_watermark))
        return false;
    struct list *after = r->acks.prev; /* nearly always the last */
    while (after != &r->acks && LIST_ENTRY(after, struct bpart_ack, link)->offset > a->offset)
        after = after->prev;
    list_init(&a->link);
    list_add_tail(after->next, &a->link);
    if (!r->leading) /* deposed while it was on its way to the disk: nobody else may have it */
        bpart_ack_end(p, INT64_MAX, BROKER_NOT_LEADER);
    else if (!replica_set_acks_allowed(&r->set))
        bpart_ack_end(p, INT64_MAX, BROKER_NOT_ENOUGH_AFTER_APPEND);
    return true;
}

void bpart_ack_cancel(struct bpart_ack *a)
{
    ASSERT(list_linked(&a->link));
    list_remove(&a->link);
}

enum broker_status bpart_may_append(const struct bpart *p, int acks)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->topic != NULL);
    ASSERT(acks >= -1 && acks <= 1);
    if (!bpart_leads(p))
        return r != NULL && broker_leads(p->broker) && r->record.leader == p->broker->node_id
                   ? BROKER_LOADING /* soon */
                   : BROKER_NOT_LEADER;
    if (r != NULL && acks < 0 && !replica_set_acks_allowed(&r->set))
        return BROKER_NOT_ENOUGH_REPLICAS;
    return BROKER_OK;
}

/* --- the high watermark --- */

/* What is committed and on this disk: kept for the next start. */
static void bpart_keep_mark(struct bpart *p)
{
    const struct part *part = p->part;
    ASSERT(p->replica != NULL && part != NULL);
    if (p->replica->revision < 0)
        return;
    int64_t mark = bpart_watermark(p);
    part_committed(p->part, mark < part->written ? mark : part->written);
    if (p->replica->mark.noted < part->mark)
        broker_marks_moved(p);
}

void bpart_opened(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    if (r == NULL || r->leading)
        return;
    int64_t mark = broker_marks_find(p);
    if (mark > p->part->reserved && r->mark.noted == 0) { /* it was on the disk once */
        broker_log(p->broker, 2,
                   "%s-%d: ends at offset %lld, but %lld was committed and on this disk before",
                   p->topic->name, p->index, (long long)p->part->reserved, (long long)mark);
        broker_mend_mark(p);
    }
    r->mark.noted = mark;
    mark = mark < p->part->reserved ? mark : p->part->reserved;
    mark = mark > p->part->mark ? mark : p->part->mark;
    r->high_watermark = mark > r->high_watermark ? mark : r->high_watermark;
}

void bpart_watermark_moved(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    ASSERT(p->replica != NULL);
    if (p->part != NULL)
        bpart_keep_mark(p);
    if (p->replica->leading && !replica_set_acks_allowed(&p->replica->set))
        bpart_ack_end(p, INT64_MAX, BROKER_NOT_ENOUGH_AFTER_APPEND);
    bpart_ack_end(p, bpart_watermark(p), BROKER_OK);
    broker_fetch_wake(p->broker, p);
    broker_pulls_wake(p);
}

void bpart_advanced(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    if (r == NULL || p->state != BPART_ONLINE)
        return;
    ASSERT(p->part != NULL);
    bpart_keep_mark(p);
    if (!r->leading) {
        bpart_lead(p);
        return;
    }
    if (replica_set_own_end(&r->set, bpart_ends(p)))
        bpart_watermark_moved(p);
    else
        broker_pulls_wake(p);
}

/* --- leading --- */

void bpart_lead(struct bpart *p)
{
    struct broker *b = p->broker;
    struct bpart_replica *r = p->replica;
    ASSERT(p->topic != NULL);
    ASSERT(r != NULL && !r->leading);
    if (!broker_leads(b) || p->state != BPART_ONLINE || r->record.leader != b->node_id ||
        r->record.leader_epoch != broker_leader_epoch(b))
        return;
    int e = part_set_epoch(p->part, r->record.leader_epoch);
    if (e != 0) { /* a log from an epoch that the record has not seen yet: never ours to lead */
        broker_log(b, 2, "%s-%d: its log is of leader epoch %d, above the record's %d: not led",
                   p->topic->name, p->index, p->part->epoch, r->record.leader_epoch);
        return;
    }
    struct replica_begin begin = {.self = b->node_id,
                                  .min_insync = (uint32_t)p->topic->limits.min_insync,
                                  .leader_epoch = r->record.leader_epoch,
                                  .revision = r->revision,
                                  .replicas = r->record.replicas,
                                  .isr = r->record.isr,
                                  .elr = r->record.elr,
                                  .base = r->record.base,
                                  .end = bpart_counted(p),
                                  .written = p->part->reserved,
                                  .high_watermark = r->high_watermark,
                                  .now_ms = broker_now(b)};
    replica_set_begin(&r->set, &begin);
    r->leading = true;
    r->reached = r->record.leader_epoch;
    broker_lead_introduce(p);
    bpart_watermark_moved(p);
    broker_produce_wake(b, p);
}

void bpart_unlead(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    ASSERT(p->broker != NULL);
    ASSERT(r != NULL);
    if (!r->leading)
        return;
    r->high_watermark = r->set.high_watermark;
    bpart_ack_end(p, INT64_MAX, BROKER_NOT_LEADER);
    r->leading = false;
    broker_pulls_end(p);
    broker_fetch_wake(p->broker, p);
    if (p->state != BPART_LOADING)
        broker_produce_wake(p->broker, p);
}

void bpart_hold(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    ASSERT(p->state == BPART_ONLINE && (r == NULL || !r->changing));
    if (r == NULL || !r->leading)
        return;
    r->high_watermark = r->set.high_watermark;
    r->leading = false;
    ASSERT(r->high_watermark <= p->part->written);
}

void bpart_unheld(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    ASSERT(p->state != BPART_LOADING);
    if (p->replica != NULL && !p->replica->leading)
        bpart_ack_end(p, INT64_MAX, BROKER_NOT_LEADER);
}

void bpart_replica_record(struct bpart *p, const struct cluster_part *record, int64_t revision)
{
    struct bpart_replica *r = bpart_replica_make(p);
    bool again = r->record.leader_epoch != record->leader_epoch ||
                 r->record.leader != record->leader ||
                 !replica_ids_same(&r->record.replicas, &record->replicas);
    ASSERT(record->replicas.count > 0);
    ASSERT(revision >= 0);
    struct replica_change news = {.isr = record->isr,
                                  .elr = record->elr,
                                  .base = record->base,
                                  .revision = revision,
                                  .joiner = -1,
                                  .broker_epoch = -1};
    bool adopts = !again && r->leading && revision > r->revision;
    r->record = *record;
    r->revision = revision;
    if (adopts && replica_set_adopt(&r->set, &news))
        bpart_watermark_moved(p);
    if (again) {
        bool led = r->leading;
        if (led && record->leader == p->broker->node_id) { /* acks go on: it is led by us still */
            r->high_watermark = r->set.high_watermark;
            r->leading = false;
        } else {
            bpart_unlead(p);
        }
        bpart_lead(p);
        if (led && !r->leading)
            bpart_ack_end(p, INT64_MAX, BROKER_NOT_LEADER);
    }
    broker_follow_part(p);
    broker_mend_look(p);
}

void bpart_limits_changed(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    ASSERT(p->topic->limits.min_insync >= 0);
    if (r != NULL && r->leading &&
        replica_set_min_insync(&r->set, (uint32_t)p->topic->limits.min_insync))
        bpart_watermark_moved(p);
}

void bpart_replica_end(struct bpart *p)
{
    ASSERT(p->state == BPART_GONE);
    if (p->replica == NULL)
        return;
    bpart_unlead(p);
    broker_pulls_end(p);
    broker_follow_part(p);
    broker_mend_forget(p);
}

void bpart_replica_free(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    if (r == NULL)
        return;
    if (list_linked(&r->mark.link))
        list_remove(&r->mark.link);
    broker_follow_forget(p);
    broker_mend_forget(p);
    ASSERT(p->broker->dead || (!r->changing && list_empty(&r->pulls)));
    buf_deinit(&r->key);
    buf_deinit(&r->value);
    free(r);
    p->replica = NULL;
}
