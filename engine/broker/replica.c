/* SPDX-License-Identifier: MIT
 *
 * replica: see replica.h.
 */
#include "engine/broker/replica.h"

#include "engine/base/assert.h"
#include "engine/broker/replica_rules.h"

#define REPLICA_AWAIT_MS       1000
#define REPLICA_AWAIT_AGAIN_MS 5000

/* --- sets of ids --- */

bool replica_ids_has(const struct replica_ids *s, int32_t id)
{
    ASSERT(s != NULL && s->count <= REPLICA_COUNT_MAX);
    ASSERT(id >= 0);
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->id[i] == id)
            return true;
    }
    return false;
}

void replica_ids_add(struct replica_ids *s, int32_t id)
{
    if (replica_ids_has(s, id))
        return;
    ASSERT(s->count < REPLICA_COUNT_MAX);
    s->id[s->count++] = id;
    ASSERT(replica_ids_has(s, id));
}

void replica_ids_remove(struct replica_ids *s, int32_t id)
{
    uint32_t kept = 0;
    ASSERT(s != NULL && s->count <= REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->id[i] != id)
            s->id[kept++] = s->id[i];
    }
    s->count = kept;
    ASSERT(!replica_ids_has(s, id));
}

bool replica_ids_same(const struct replica_ids *a, const struct replica_ids *b)
{
    ASSERT(a->count <= REPLICA_COUNT_MAX && b->count <= REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < a->count; i++) {
        if (!replica_ids_has(b, a->id[i]))
            return false;
    }
    ASSERT(a->count <= b->count);
    return a->count == b->count;
}

static void replica_ids_add_all(struct replica_ids *s, const struct replica_ids *more)
{
    ASSERT(s != more);
    ASSERT(more->count <= REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < more->count; i++)
        replica_ids_add(s, more->id[i]);
}

/* --- what promotions go by --- */

static uint32_t replica_ids_common(const struct replica_ids *a, const struct replica_ids *b)
{
    uint32_t common = 0;
    ASSERT(a->count <= REPLICA_COUNT_MAX && b->count <= REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < a->count; i++)
        common += replica_ids_has(b, a->id[i]);
    ASSERT(common <= a->count && common <= b->count);
    return common;
}

bool replica_base_allows(const struct replica_base *b, const struct replica_ids *isr)
{
    ASSERT(b->before_holders <= b->before.count);
    ASSERT(isr->count <= REPLICA_COUNT_MAX);
    return isr->count >= b->holders && replica_ids_common(isr, &b->before) >= b->before_holders;
}

void replica_base_drop(struct replica_base *b, int32_t id)
{
    ASSERT(b->before_holders <= b->before.count);
    replica_ids_remove(&b->before, id);
    if (b->before_holders > b->before.count)
        b->before_holders = b->before.count;
    ASSERT((b->before.count == 0) == (b->before_holders == 0));
}

static uint32_t replica_set_configured(const struct replica_set *r)
{
    ASSERT(r->replicas.count > 0);
    ASSERT(r->min_insync > 0);
    return r->min_insync < r->replicas.count ? r->min_insync : r->replicas.count;
}

/* Whoever goes by `before` meets one who has mirrored the record. */
static bool replica_set_heard(const struct replica_set *r)
{
    uint32_t heard = replica_ids_has(&r->base.before, r->self);
    ASSERT(r->revision >= 0);
    for (uint32_t i = 0; i < r->follower_count; i++)
        heard += replica_ids_has(&r->base.before, r->followers[i].id) &&
                 r->followers[i].mirrored >= r->revision;
    ASSERT(heard <= r->base.before.count);
    return heard >= r->base.before_holders;
}

/* All that was acknowledged is on each of c->isr: a joiner has it, too. */
static bool replica_set_rebase(const struct replica_set *r, struct replica_change *c)
{
    uint32_t configured = replica_set_configured(r);
    uint32_t up = configured < c->isr.count ? configured : c->isr.count;
    struct replica_base *b = &c->base;
    ASSERT(c->isr.count > 0 && r->base.holders > 0);
    *b = r->base;
    if (!RULE_HOLDS(RULE_HOLDERS)) {
        *b = (struct replica_base){.holders = configured};
        return b->holders != r->base.holders;
    }
    if (up > b->holders)
        b->holders = up;
    bool same = b->holders >= b->before_holders && replica_ids_same(&b->before, &r->replicas);
    if (same || replica_set_heard(r)) {
        b->before_holders = 0;
        b->before.count = 0;
    }
    if (configured < b->holders && b->before.count == 0) {
        b->before = r->replicas;
        b->before_holders = b->holders;
        b->holders = configured;
    }
    ASSERT(b->holders > 0 && b->holders <= r->replicas.count);
    return b->holders != r->base.holders || b->before.count != r->base.before.count;
}

/* --- the high watermark --- */

uint32_t replica_set_minimum(const struct replica_set *r)
{
    uint32_t configured = replica_set_configured(r);
    ASSERT(r->holders >= r->base.holders);
    return configured > r->holders || !RULE_HOLDS(RULE_HOLDERS) ? configured : r->holders;
}

bool replica_set_acks_allowed(const struct replica_set *r)
{
    ASSERT(r->isr.count > 0);
    ASSERT(r->isr.count <= r->replicas.count);
    return r->isr.count >= replica_set_minimum(r) && replica_base_allows(&r->base, &r->isr);
}

bool replica_set_unheard(const struct replica_set *r)
{
    ASSERT(r->isr.count > 0);
    return r->base.before.count > 0 && r->isr.count >= replica_set_configured(r) &&
           !replica_set_acks_allowed(r);
}

void replica_set_mirrored(struct replica_set *r, int32_t id, int64_t revision)
{
    ASSERT(revision >= -1);
    ASSERT(id != r->self);
    for (uint32_t i = 0; i < r->follower_count; i++)
        if (r->followers[i].id == id)
            r->followers[i].mirrored = revision;
}

bool replica_set_confirmed(const struct replica_set *r)
{
    uint32_t count = 1;
    ASSERT(r->follower_count < REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < r->follower_count; i++) {
        ASSERT(r->followers[i].id != r->self);
        count += r->followers[i].pulled_epoch >= 0;
    }
    return count >= replica_set_minimum(r);
}

const struct replica_follower *replica_set_follower(const struct replica_set *r, int32_t id)
{
    ASSERT(r != NULL);
    ASSERT(r->follower_count < REPLICA_COUNT_MAX);
    for (uint32_t i = 0; i < r->follower_count; i++) {
        if (r->followers[i].id == id)
            return &r->followers[i];
    }
    return NULL;
}

static struct replica_follower *replica_set_find(struct replica_set *r, int32_t id)
{
    const struct replica_follower *f = replica_set_follower(r, id);
    ASSERT(f == NULL || f->id == id);
    ASSERT(f == NULL || f >= r->followers);
    return f != NULL ? &r->followers[f - r->followers] : NULL;
}

/* The smallest end of all that are waited for; -1 when one of them does not count yet. */
static int64_t replica_set_least(const struct replica_set *r)
{
    const struct replica_ids *members = RULE_HOLDS(RULE_MAXIMAL) ? &r->maximal : &r->isr;
    int64_t least = r->end;
    ASSERT(replica_ids_has(members, r->self));
    for (uint32_t i = 0; i < members->count; i++) {
        const struct replica_follower *f = replica_set_follower(r, members->id[i]);
        if (f != NULL && f->counted < least)
            least = f->counted;
    }
    const struct replica_follower *near =
        r->awaited < 0 ? NULL : replica_set_follower(r, r->awaited);
    if (near != NULL && near->counted >= 0 &&
        near->counted < least) /* -1: it stopped, or began anew */
        least = near->counted;
    ASSERT(least <= r->end);
    return least;
}

static bool replica_set_advance(struct replica_set *r)
{
    int64_t least;
    ASSERT(r->high_watermark >= 0);
    if (RULE_HOLDS(RULE_FREEZE) && !replica_set_acks_allowed(r))
        return false;
    least = replica_set_least(r);
    if (least <= r->high_watermark)
        return false;
    r->high_watermark = least;
    ASSERT(r->high_watermark <= r->end);
    return true;
}

/* --- the epoch begins --- */

/* Nothing of what it said so far is of use. */
static void replica_follower_reset(struct replica_follower *f)
{
    ASSERT(f != NULL);
    ASSERT(f->id >= 0);
    f->pulled_epoch = -1;
    f->told = -1;
    f->counted = -1;
    f->wanted = -1;
}

static void replica_set_mark(struct replica_follower *f, int64_t end, int64_t now_ms)
{
    ASSERT(end >= 0);
    ASSERT(now_ms >= f->mark_ms);
    f->mark_end = end;
    f->mark_ms = now_ms;
}

void replica_set_begin(struct replica_set *r, const struct replica_begin *b)
{
    ASSERT(replica_ids_has(&b->isr, b->self));
    ASSERT(b->end >= 0 && b->written >= b->end && b->leader_epoch >= 0 && b->min_insync > 0);
    *r = (struct replica_set){
        .self = b->self,
        .min_insync = b->min_insync,
        .leader_epoch = b->leader_epoch,
        .epoch_start = b->written,
        .revision = b->revision,
        .replicas = b->replicas,
        .isr = b->isr,
        .elr = b->elr,
        .base = b->base,
        .maximal = b->isr,
        .end = b->end,
        .written = b->written,
        .high_watermark = b->high_watermark < b->end ? b->high_watermark : b->end,
        .awaited = -1,
        .awaited_ms = -1,
    };
    if (r->base.holders == 0)
        r->base.holders = replica_set_configured(r);
    r->holders = r->base.holders;
    for (uint32_t i = 0; i < b->replicas.count; i++) {
        struct replica_follower f = {.id = b->replicas.id[i], .broker_epoch = -1, .mirrored = -1};
        if (f.id == b->self)
            continue;
        replica_follower_reset(&f);
        f.pulled_ms = f.caught_up_ms = f.mark_ms = f.since_ms = b->now_ms;
        f.mark_end = b->written;
        r->followers[r->follower_count++] = f;
    }
    (void)replica_set_advance(r);
    replica_set_check(r);
}

/* --- ends --- */

bool replica_set_own_end(struct replica_set *r, struct replica_ends ends)
{
    ASSERT(ends.end >= r->end && ends.written >= r->written);
    ASSERT(ends.written >= ends.end);
    r->end = ends.end;
    r->written = ends.written;
    return replica_set_advance(r);
}

bool replica_set_min_insync(struct replica_set *r, uint32_t min_insync)
{
    ASSERT(min_insync > 0);
    r->min_insync = min_insync;
    if (replica_set_acks_allowed(r))
        r->elr.count = 0;
    ASSERT(replica_set_minimum(r) > 0);
    return replica_set_advance(r);
}

/* --- followers --- */

bool replica_set_registered(struct replica_set *r, const struct replica_registration *g)
{
    struct replica_follower *f = replica_set_find(r, g->id);
    ASSERT(g->broker_epoch >= 0);
    ASSERT(g->id != r->self);
    if (f == NULL)
        return false;
    f->broker_epoch = g->broker_epoch;
    f->mirrored = -1;
    f->parted = false;
    if (RULE_HOLDS(RULE_RESET))
        replica_follower_reset(f);
    else
        f->pulled_epoch = g->broker_epoch;
    if (g->strike && RULE_HOLDS(RULE_STRIKE))
        f->strike = true;
    f->strike = replica_set_striking(r, g->id);
    return true;
}

/* An open change may bring it in, too: it is written over, so that it cannot be carried out. */
bool replica_set_striking(const struct replica_set *r, int32_t id)
{
    const struct replica_follower *f = replica_set_follower(r, id);
    ASSERT(id != r->self);
    if (f == NULL || !f->strike)
        return false;
    ASSERT(f->broker_epoch >= 0 || f->parted);
    return replica_ids_has(&r->maximal, id) || replica_ids_has(&r->elr, id);
}

void replica_set_parted(struct replica_set *r, int32_t id)
{
    struct replica_follower *f = replica_set_find(r, id);
    ASSERT(id != r->self);
    if (f == NULL)
        return;
    f->parted = true;
    f->broker_epoch = -1;
    f->mirrored = -1;
    replica_follower_reset(f);
    replica_set_check(r);
}

enum replica_verdict replica_set_judge(const struct replica_set *r, const struct replica_pull *p)
{
    const struct replica_follower *f = replica_set_follower(r, p->from);
    ASSERT(r->leader_epoch >= 0);
    if (f == NULL)
        return REPLICA_STRANGER;
    ASSERT(f->id == p->from);
    if (RULE_HOLDS(RULE_BROKER_EPOCH) &&
        (f->broker_epoch < 0 || f->broker_epoch != p->broker_epoch))
        return REPLICA_UNREGISTERED;
    if (RULE_HOLDS(RULE_EPOCH) && p->leader_epoch != r->leader_epoch)
        return p->leader_epoch < r->leader_epoch ? REPLICA_FENCED : REPLICA_AHEAD;
    return REPLICA_TAKEN;
}

/* Caught up: it has what the leader had at the mark; then a new mark is set. A follower that is
 * always a little behind a leader under load is told from one that falls behind for good. */
static void replica_set_caught_up(struct replica_set *r, struct replica_follower *f, int64_t now_ms)
{
    ASSERT(f->told >= 0);
    ASSERT(f->mark_end <= r->written);
    if (f->told >= f->mark_end) {
        f->caught_up_ms = f->mark_ms;
        replica_set_mark(f, r->written, now_ms);
    }
    if (f->told >= r->written)
        f->caught_up_ms = now_ms;
}

/* Its end by this pull: not beyond what was agreed upon. */
static int64_t replica_set_told(const struct replica_pull *p)
{
    int64_t end = p->end < p->wanted ? p->end : p->wanted;
    return end > 0 ? end : 0;
}

static bool replica_set_counts(const struct replica_set *r, const struct replica_pull *p)
{
    ASSERT(r->leader_epoch >= 0);
    ASSERT(r->epoch_start >= 0);
    return !RULE_HOLDS(RULE_REACHED) ||
           (p->reached == r->leader_epoch && replica_set_told(p) >= r->epoch_start);
}

/* Pulls of one partition may be under way side by side, and pass each other. A log that counts is
 * not cut while its registration and the leader's epoch last: what tells of less left earlier. If
 * it counted, nobody would tell again of what the later one told. */
static bool replica_set_overtaken(const struct replica_set *r, const struct replica_follower *f,
                                  const struct replica_pull *p)
{
    ASSERT(f->counted <= f->told);
    ASSERT(f->id == p->from);
    return f->counted >= 0 && f->pulled_epoch == p->broker_epoch &&
           (!replica_set_counts(r, p) || replica_set_told(p) < f->counted);
}

/* Beside producers that never pause the high watermark is further on by the time the pull of a
 * follower far away arrives, each time. Once it is near, it is waited for, as it will be for good
 * as a member; for a moment only, and not again soon. */
static void replica_set_await(struct replica_set *r, const struct replica_follower *f,
                              int64_t now_ms)
{
    bool out = !replica_ids_has(&r->isr, f->id) && !f->strike;
    ASSERT(f->id != r->self);
    if (r->awaited == f->id && !out)
        r->awaited = -1;
    if (r->awaited >= 0 || !out || f->counted < r->epoch_start || f->counted >= r->high_watermark)
        return;
    if (now_ms - f->caught_up_ms > REPLICA_AWAIT_MS ||
        (r->awaited_ms >= 0 && now_ms - r->awaited_ms < REPLICA_AWAIT_AGAIN_MS))
        return;
    r->awaited = f->id;
    r->awaited_ms = now_ms;
    ASSERT(replica_set_follower(r, r->awaited) == f);
}

bool replica_set_pulled(struct replica_set *r, const struct replica_pull *p, int64_t now_ms)
{
    struct replica_follower *f = replica_set_find(r, p->from);
    ASSERT(f != NULL && replica_set_judge(r, p) == REPLICA_TAKEN);
    ASSERT(p->wanted <= r->written || !RULE_HOLDS(RULE_EPOCH));
    if (!replica_set_overtaken(r, f, p)) {
        f->wanted = p->wanted;
        f->told = replica_set_told(p);
        f->counted = replica_set_counts(r, p) ? f->told : -1;
    }
    f->pulled_epoch = p->broker_epoch;
    f->pulled_ms = now_ms;
    replica_set_caught_up(r, f, now_ms);
    replica_set_await(r, f, now_ms);
    return replica_set_advance(r);
}

bool replica_set_awaited_long(struct replica_set *r, int64_t now_ms)
{
    ASSERT(now_ms >= 0);
    if (r->awaited < 0 || now_ms - r->awaited_ms < REPLICA_AWAIT_MS)
        return false;
    r->awaited = -1;
    ASSERT(r->high_watermark <= r->end);
    return replica_set_advance(r);
}

/* --- the in-sync set --- */

static bool replica_set_may_join(const struct replica_set *r, const struct replica_follower *f,
                                 struct replica_time time)
{
    int64_t end = RULE_HOLDS(RULE_JOIN_START) ? f->counted : f->told;
    ASSERT(f->id != r->self);
    ASSERT(r->epoch_start >= 0);
    if (f->broker_epoch < 0 || f->told < 0 || time.now_ms - f->pulled_ms > time.lag_max_ms)
        return false;
    if (RULE_HOLDS(RULE_BROKER_EPOCH) && f->pulled_epoch != f->broker_epoch)
        return false;
    if (RULE_HOLDS(RULE_JOIN_START) && end < r->epoch_start)
        return false;
    return !RULE_HOLDS(RULE_JOIN_MARK) || end >= r->high_watermark;
}

/* Leaves or joins as the follower stands. True when it changes something. */
static bool replica_set_place(const struct replica_set *r, const struct replica_follower *f,
                              struct replica_time time, struct replica_change *c)
{
    bool member = replica_ids_has(&r->isr, f->id);
    ASSERT(time.lag_max_ms >= 0);
    ASSERT(c->joiner != f->id);
    if (f->strike) {
        replica_ids_remove(&c->isr, f->id);
        return replica_set_striking(r, f->id);
    }
    if (member && (f->parted || time.now_ms - f->caught_up_ms > time.lag_max_ms)) {
        replica_ids_remove(&c->isr, f->id);
        return true;
    }
    if (member || c->joiner >= 0 || !replica_set_may_join(r, f, time))
        return false;
    replica_ids_add(&c->isr, f->id);
    c->joiner = f->id;
    c->broker_epoch = f->broker_epoch;
    return true;
}

/* Under the minimum, all who have what was acknowledged stay eligible (KIP-966). */
static void replica_set_eligible(const struct replica_set *r, struct replica_change *c)
{
    ASSERT(c->isr.count > 0);
    ASSERT(replica_ids_has(&c->isr, r->self));
    c->elr.count = 0;
    if ((c->isr.count >= replica_set_minimum(r) && replica_base_allows(&c->base, &c->isr)) ||
        !RULE_HOLDS(RULE_ELIGIBLE))
        return;
    c->elr = r->elr;
    replica_ids_add_all(&c->elr, &r->isr);
    for (uint32_t i = 0; i < c->isr.count; i++)
        replica_ids_remove(&c->elr, c->isr.id[i]);
    for (uint32_t i = 0; i < r->follower_count; i++) {
        if (r->followers[i].strike)
            replica_ids_remove(&c->elr, r->followers[i].id);
    }
}

bool replica_set_propose(struct replica_set *r, struct replica_time time,
                         struct replica_change *out)
{
    struct replica_change c = {
        .isr = r->isr, .revision = r->revision, .joiner = -1, .broker_epoch = -1};
    bool wanted = false;
    ASSERT(out != NULL);
    if (r->asked)
        return false;
    for (uint32_t i = 0; i < r->follower_count; i++)
        wanted |= replica_set_place(r, &r->followers[i], time, &c);
    wanted |= replica_set_rebase(r, &c);
    replica_set_eligible(r, &c);
    if (!wanted && !r->doubtful)
        return false;
    replica_ids_add_all(&r->maximal, &c.isr);
    if (c.base.holders > r->holders)
        r->holders = c.base.holders;
    r->change = c;
    r->asked = true;
    *out = c;
    replica_set_check(r);
    return true;
}

/* The record is known: nobody else is a member. */
static bool replica_set_settle(struct replica_set *r)
{
    ASSERT(replica_ids_has(&r->isr, r->self));
    r->asked = false;
    r->doubtful = false;
    r->maximal = r->isr;
    r->holders = r->base.holders;
    for (uint32_t i = 0; i < r->follower_count; i++) {
        if (!replica_set_striking(r, r->followers[i].id))
            r->followers[i].strike = false;
    }
    bool moved = replica_set_advance(r);
    replica_set_check(r);
    return moved;
}

bool replica_set_committed(struct replica_set *r, int64_t revision, int64_t now_ms)
{
    struct replica_follower *f;
    ASSERT(r->asked);
    ASSERT(revision > r->revision);
    for (uint32_t i = 0; i < r->follower_count; i++)
        if (replica_ids_has(&r->isr, r->followers[i].id) !=
            replica_ids_has(&r->change.isr, r->followers[i].id))
            r->followers[i].since_ms = now_ms;
    r->revision = revision;
    r->isr = r->change.isr;
    r->elr = r->change.elr;
    r->base = r->change.base;
    f = r->change.joiner >= 0 ? replica_set_find(r, r->change.joiner) : NULL;
    if (f != NULL) { /* it has the time of any member to catch up with the end */
        f->caught_up_ms = now_ms;
        replica_set_mark(f, r->written, now_ms);
    }
    return replica_set_settle(r);
}

void replica_set_refused(struct replica_set *r)
{
    ASSERT(r->asked);
    r->asked = false;
    if (!r->doubtful) {
        r->maximal = r->isr;
        r->holders = r->base.holders;
    }
    replica_set_check(r);
}

void replica_set_unknown(struct replica_set *r)
{
    ASSERT(r->asked);
    r->asked = false;
    r->doubtful = true;
    replica_set_check(r);
}

bool replica_set_adopt(struct replica_set *r, const struct replica_change *record)
{
    ASSERT(record->revision >= r->revision && !r->asked);
    ASSERT(replica_ids_has(&record->isr, r->self));
    if (record->revision == r->revision)
        return false;
    r->revision = record->revision;
    r->isr = record->isr;
    r->elr = record->elr;
    if (record->base.holders > 0)
        r->base = record->base;
    return replica_set_settle(r);
}

/* --- check --- */

static void replica_set_check_sets(const struct replica_set *r)
{
    for (uint32_t i = 0; i < r->isr.count; i++) {
        ASSERT(replica_ids_has(&r->replicas, r->isr.id[i])); /* R1 */
        ASSERT(!replica_ids_has(&r->elr, r->isr.id[i]));
        ASSERT(replica_ids_has(&r->maximal, r->isr.id[i])); /* R3 */
    }
    for (uint32_t i = 0; i < r->elr.count; i++)
        ASSERT(replica_ids_has(&r->replicas, r->elr.id[i]));
    ASSERT(r->asked || r->doubtful || replica_ids_same(&r->maximal, &r->isr));
}

void replica_set_check(const struct replica_set *r)
{
    ASSERT(replica_ids_has(&r->isr, r->self));
    ASSERT(r->follower_count == r->replicas.count - 1);
    ASSERT(r->high_watermark >= 0 && r->high_watermark <= r->end); /* R2 */
    ASSERT(r->end <= r->written && r->epoch_start <= r->written);
    ASSERT(r->base.holders <= r->holders && r->holders <= r->replicas.count); /* R5 */
    replica_set_check_sets(r);
    for (uint32_t i = 0; i < r->follower_count; i++) {
        const struct replica_follower *f = &r->followers[i];
        ASSERT(f->id != r->self && replica_ids_has(&r->replicas, f->id));
        ASSERT(f->counted <= f->told && f->told <= r->written);
        ASSERT(f->counted < 0 || f->pulled_epoch == f->broker_epoch || /* R4 */
               !RULE_HOLDS(RULE_BROKER_EPOCH) || !RULE_HOLDS(RULE_RESET));
    }
}
