/* SPDX-License-Identifier: MIT
 *
 * replica: what the leader of one partition knows of its replicas, and what follows from it: how
 * far the high watermark is, who is in sync, whether acks=all may be taken. Kafka's protocol of
 * in-sync replicas (KIP-101, KIP-497, KIP-903, KIP-966), with one thing added, below.
 *
 * Must not know: files, records of the cluster, calls between brokers, clocks. Time, ends and
 * outcomes come in; verdicts and wanted changes go out. The same calls give the same results.
 *
 *   begin --> pulled, own_end ------------------------------> the high watermark moves
 *         --> registered -------> striking --.
 *         --> propose (change) --------------+--> the caller writes the record, compare-and-set
 *               ^                                 |            |           |
 *               '--- refused <--------------------'        committed    unknown --> propose again,
 *               (then adopt, once the record was read)                             or adopt
 *
 * "End" is the counted end: durable, or written where durability=os. The caller decides; it must be
 * the same at leader and followers.
 *
 * What counts. A follower counts for nothing until it said that its log stands on this leader's
 * epoch: that all of it is a prefix of the leader's log and holds at least what the leader had when
 * the epoch began (`epoch_start`). It writes that down (the epoch it reached, durable, never going
 * back, not even when its log is cut) before it says so. Elections go by the epoch reached, then
 * the end: were they to go by the epoch of the last batch, a leader that has not written in its
 * own epoch could pass the high watermark over older records, and then lose to a log that lacks
 * them but ends in a later epoch (the fifth section of the Raft paper has the picture, figure 8;
 * Viewstamped Replication elects as here).
 *
 * Changes of the in-sync set are records with a revision; one is under way at a time. While one is,
 * or its outcome is unknown, all who are or may be members are waited for (the maximal set).
 *
 * Invariants (replica_set_check):
 *   R1 self is a replica and in the in-sync set; in-sync and eligible ones are disjoint, replicas
 *   R2 the high watermark is at most the own end and never moves back
 *   R3 the maximal set holds the in-sync set, and is equal to it when no change is open
 *   R4 a follower that counts, counts by a pull with its registered broker epoch
 *   R5 what promotions go by is no more than the leader obeys, and than there are replicas
 *
 * Failures: none. What a follower says wrongly is a verdict.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLICA_COUNT_MAX 16

/* Broker ids without repetition, in the order they were added. */
struct replica_ids {
    uint32_t count;
    int32_t id[REPLICA_COUNT_MAX];
};
bool replica_ids_has(const struct replica_ids *s, int32_t id);
/* Both are allowed when it is there, or is not. At most REPLICA_COUNT_MAX. */
void replica_ids_add(struct replica_ids *s, int32_t id);
void replica_ids_remove(struct replica_ids *s, int32_t id);
/* The same members, in whatever order. */
bool replica_ids_same(const struct replica_ids *a, const struct replica_ids *b);

/* What promotions go by, beside the replicas; kept in the record. A candidate wants the promises of
 * so many that they meet any `holders` replicas. Only what is true may be written there, and what
 * was true for another record holds for those who have not heard of the change:
 *   - it rises with the in-sync set, whose members have all that was acknowledged
 *   - min.insync.replicas is lowered: `holders` falls at once, and what was valid stays in `before`
 *   - a replica is added: the replicas without it stay in `before`
 *   - `before` goes when so many of its replicas have mirrored the record that any candidate of the
 *     old one meets one of them: it takes the newest records of its voters before it decides
 * Until then what is acknowledged is right for both. */
struct replica_base {
    uint32_t holders;          /* nothing acknowledged had fewer; 0: not written down */
    uint32_t before_holders;   /* of `before`; 0: none */
    struct replica_ids before; /* some candidate may go by these; none: nobody can */
};
/* These in-sync replicas are enough to acknowledge by. */
bool replica_base_allows(const struct replica_base *b, const struct replica_ids *isr);
/* A broker is gone for good. */
void replica_base_drop(struct replica_base *b, int32_t id);

struct replica_follower {
    int32_t id;
    bool strike;          /* leaves the sets before its registration is answered */
    bool parted;          /* it stopped, and said so: it leaves the in-sync set */
    int64_t broker_epoch; /* registered; -1: it is not */
    int64_t pulled_epoch; /* the broker epoch of its last pull; -1: none in this leader epoch */
    int64_t told;         /* its end by the last pull; -1: none */
    int64_t counted;      /* the same, once it stands on this leader's epoch; -1 */
    int64_t wanted;       /* the offset it asked for last; -1 */
    int64_t mirrored;     /* it has the cluster's records up to this revision; -1 */
    int64_t pulled_ms;
    int64_t caught_up_ms; /* it had all that the leader had then */
    int64_t mark_end;     /* the leader's end at mark_ms: when it has that, it was caught up then */
    int64_t mark_ms;
    int64_t since_ms; /* in the in-sync set, or out of it, since then; at least since the begin */
};

/* A wanted change of the record; compare `revision`, and the joiner's registration. */
struct replica_change {
    struct replica_ids isr;
    struct replica_ids elr;
    struct replica_base base;
    int64_t revision;     /* of the record as it is */
    int32_t joiner;       /* who comes in; -1: nobody */
    int64_t broker_epoch; /* it must be registered with still; -1 */
};

struct replica_set {
    int32_t self;
    uint32_t min_insync; /* as configured: min.insync.replicas */
    int32_t leader_epoch;
    int64_t epoch_start;
    int64_t revision; /* of the record */
    struct replica_ids replicas;
    struct replica_ids isr; /* committed */
    struct replica_ids elr;
    struct replica_base base;
    struct replica_ids maximal;   /* isr and all who may have been added */
    uint32_t holders;             /* the most that the record may say */
    bool asked;                   /* `change` is being written */
    bool doubtful;                /* one before it may have been written, or may be yet */
    struct replica_change change; /* while asked */
    int64_t end;                  /* the own counted end */
    int64_t written;              /* the own end, to which followers may read */
    int64_t high_watermark;
    int32_t awaited;    /* no member, but near: the high watermark waits for it; -1: nobody */
    int64_t awaited_ms; /* since, or the last time; -1 */
    uint32_t follower_count;
    struct replica_follower followers[REPLICA_COUNT_MAX - 1];
};

/* As the leader's record says, durable already at this leader epoch. */
struct replica_begin {
    int32_t self; /* in isr */
    uint32_t min_insync;
    int32_t leader_epoch;
    int64_t revision;
    struct replica_ids replicas;
    struct replica_ids isr;
    struct replica_ids elr;
    struct replica_base base; /* holders 0: as configured */
    int64_t end;              /* counted */
    int64_t written;          /* the leader's epoch starts here */
    int64_t high_watermark;   /* as far as it is known; what is above `end` is dropped */
    int64_t now_ms;
};
/* Forgets all about followers; each registers (or is said to be registered) first. */
void replica_set_begin(struct replica_set *r, const struct replica_begin *b);

/* How many in-sync replicas are the minimum: as configured, but no more than there are replicas,
 * and no fewer than a candidate counts on. */
uint32_t replica_set_minimum(const struct replica_set *r);
/* So many, this one included, have pulled in this epoch that no other broker was promoted before
 * they did. A leader that starts again in its term cannot know that by itself. */
bool replica_set_confirmed(const struct replica_set *r);
/* NULL for a stranger and for the leader itself. */
const struct replica_follower *replica_set_follower(const struct replica_set *r, int32_t id);

struct replica_ends {
    int64_t end;
    int64_t written; /* >= end */
};
/* The own ends; they do not move back. True when the high watermark moved. */
bool replica_set_own_end(struct replica_set *r, struct replica_ends ends);
/* It has mirrored the cluster's records up to this revision of the leader. */
void replica_set_mirrored(struct replica_set *r, int32_t id, int64_t revision);
/* Enough are in sync by the configuration, but a candidate might not know of the last change. */
bool replica_set_unheard(const struct replica_set *r);
/* min.insync.replicas is another. True when the high watermark moved. */
bool replica_set_min_insync(struct replica_set *r, uint32_t min_insync);

struct replica_registration {
    int32_t id;
    int64_t broker_epoch;
    bool strike; /* it may lack records that were counted: another folder; or unclean and
                    durability=os */
};
/* A replica is registered (anew): what was counted of it is taken back. With `strike` it leaves
 * both sets: propose until replica_set_striking is false, then answer it. True for a replica. */
bool replica_set_registered(struct replica_set *r, const struct replica_registration *g);
bool replica_set_striking(const struct replica_set *r, int32_t id);
/* It stops: nothing counts of it any more, and it leaves the in-sync set as one that lags does, at
 * the next propose. Until it is registered again. */
void replica_set_parted(struct replica_set *r, int32_t id);

struct replica_pull {
    int32_t from;
    int32_t leader_epoch;
    int32_t reached; /* the epoch its log stands on; -1: none */
    int64_t broker_epoch;
    int64_t wanted; /* offset */
    int64_t end;    /* its counted end */
};
enum replica_verdict {
    REPLICA_TAKEN,
    REPLICA_STRANGER,     /* not a replica */
    REPLICA_UNREGISTERED, /* this broker epoch is not the registered one: register again */
    REPLICA_FENCED,       /* its leader epoch is below this one */
    REPLICA_AHEAD,        /* it is above */
};
#define REPLICA_VERDICT_COUNT 5
/* Whether the pull may be looked at. Compare its offset with the log next, and only if they agree
 * call replica_set_pulled. */
enum replica_verdict replica_set_judge(const struct replica_set *r, const struct replica_pull *p);
/* A pull that was taken and agrees with the log. True when the high watermark moved. */
bool replica_set_pulled(struct replica_set *r, const struct replica_pull *p, int64_t now_ms);
/* The high watermark waits no longer for a follower that did not come near enough in a second. True
 * when it moved. */
bool replica_set_awaited_long(struct replica_set *r, int64_t now_ms);

/* The next change of the record, if one is wanted: who is struck out, who leaves (not caught up for
 * `lag_max_ms`), one who joins; what promotions go by. It is under way then; tell how it went by
 * one of the three below. After `unknown` a change is always wanted, be it none
 * but in its revision: whichever of the two is written first, the other is refused. */
struct replica_time {
    int64_t now_ms;
    int64_t lag_max_ms; /* replica.lag.time.max.ms */
};
bool replica_set_propose(struct replica_set *r, struct replica_time time,
                         struct replica_change *out);
/* Written, with this revision. True when the high watermark moved. */
bool replica_set_committed(struct replica_set *r, int64_t revision, int64_t now_ms);
/* Not written, and never will be. If the record has another revision, adopt it. */
void replica_set_refused(struct replica_set *r);
/* It may have been written, or may be yet: the larger set is waited for. */
void replica_set_unknown(struct replica_set *r);
/* The record as it was read, with at least the revision known: sets and revision of `record`, while
 * none is under way. True when the high watermark moved. With a new revision all is decided. */
bool replica_set_adopt(struct replica_set *r, const struct replica_change *record);

/* acks=all may be appended; else NOT_ENOUGH_REPLICAS. The same question when the high watermark has
 * passed: else NOT_ENOUGH_REPLICAS_AFTER_APPEND. */
bool replica_set_acks_allowed(const struct replica_set *r);

void replica_set_check(const struct replica_set *r);
