/* SPDX-License-Identifier: MIT
 *
 * election: the decisions of a promotion, and what each broker holds itself to so that they are
 * right. Pure: answers and what was written down come in, decisions go out.
 *
 *   candidate                                          voter
 *   election_next_term --- vote (term, who) --------> election_accepts: written down, then no pull,
 *                                                     no answer and no append of a smaller term
 *   election_decide   <--- holding per partition ----
 *   pull from the best until its log ends as that one's, and sync; then write down the leader epoch
 *   (term, 1) as that of the record and as the epoch its own log has reached; then lead, alone in
 *   the in-sync set, with nobody eligible
 *
 * Three things the callers see to, for election_decide to be right:
 *   - The best serves the candidate only in the process that answered the vote: after a restart it
 *     may hold less than it said, and is asked again.
 *   - The candidate syncs what it leads with, also where durability=os. Alone in sync, with nobody
 *     eligible, it would go on after a power loss (election_may_resume).
 *   - A broker that may have forgotten what it promised (another folder under a known id) hears the
 *     greatest term accepted from every other broker, and accepts that, before it follows or votes.
 *
 * Why nothing acknowledged is lost. A record was acknowledged at epoch e when at least min_insync
 * replicas counted for it: W. (That number is the partition record's, not min.insync.replicas as
 * it is now: replica.h, struct replica_base, says why both go together.) A candidate has the
 * promises of as many intact ones as meet each such W: V. So some v is in both. It
 * held the record when it promised, and had reached e (replica.h); since then it counts for no
 * smaller term. Each log that reached an epoch above e stands on the log of that epoch's leader,
 * which has the record (by induction over elections). Each that reached e and is at least as long
 * as v's has it, too, for both are prefixes of one log, or have followed later leaders and kept
 * what is below. So the greatest by (reached, end) has it.
 *
 * Two sets of promises need not meet: with two replicas and a minimum of two, either may be
 * promoted alone. So the term itself must not be chosen twice: each broker has a slot of its own,
 * and takes terms that are the slot modulo ELECTION_SLOTS only.
 *
 * Intact: nothing is missing of what the broker ever counted for. A folder that never was in sync
 * is not; one that was wiped is not; one that lost its power is not where durability=os. It is
 * again when a record that is newer than its registration (at which it was struck out) names it in
 * sync or eligible.
 *
 * A leader goes on after a restart within its term, at the next start. It must not where it may
 * lack what others hold (unclean, durability=os): it has itself promoted, or another.
 */
#pragma once

#include "engine/broker/replica.h"
#include "engine/broker/ship.h"

#define ELECTION_SLOTS     16
#define ELECTION_START_MAX 4095
#define ELECTION_TERM_MAX  0x7ffffu

/* --- terms --- */

/* The smallest term of the slot that is greater; 0: there is none left. */
uint32_t election_next_term(uint32_t greatest, uint32_t slot);
/* term << 12 | start; 0 <= start <= ELECTION_START_MAX. */
int32_t election_leader_epoch(uint32_t term, uint32_t start);

/* What a voter wrote down last. */
struct election_promise {
    uint32_t term;
    int32_t candidate;    /* -1: it learnt of the term otherwise, as that of a leader */
    uint64_t incarnation; /* of the candidate's process: a later one knows nothing of this vote */
};
/* Whether to write down and answer: a greater term, or the same vote once more. */
bool election_accepts(const struct election_promise *held, const struct election_promise *asked);
/* Whether to follow a leader of this term, or count one's own: not below what was accepted. A
 * greater one is accepted (written down) before the first pull. */
bool election_may_follow(const struct election_promise *held, uint32_t term);

/* --- standing --- */

/* Where a record or a registration stands in the history of the cluster. */
struct election_position {
    uint32_t term;
    int64_t revision; /* of the leader of that term */
};
struct election_standing {
    bool lossy;                             /* fresh or wiped; unclean, where durability=os */
    bool registered;                        /* since */
    struct election_position registered_at; /* the leader's revision when it answered */
    struct election_position record_at;     /* of the partition's record, as mirrored */
    bool named;                             /* there, in sync or eligible */
};
/* Nothing that was ever counted is missing. Once true for a lossy one, it may be written down. */
bool election_intact(const struct election_standing *s);

/* Whether a leader that starts again goes on, at the next start of its term. `sets` are of its own
 * record; lossy: unclean, and durability=os. */
struct election_resume {
    int32_t self;
    bool lossy;
    uint32_t term; /* in which it led */
    struct election_promise held;
    struct replica_ids isr;
    struct replica_ids elr;
};
bool election_may_resume(const struct election_resume *r);

/* --- the vote about one partition --- */

struct election_answer {
    int32_t id;
    bool promised;
    struct ship_holding holding; /* when it answered at all; end -1 when not */
};
struct election_case {
    int32_t candidate;
    struct replica_ids replicas;
    uint32_t min_insync;                   /* nothing acknowledged had fewer holders */
    const struct election_answer *answers; /* one of each broker, the candidate among them */
    size_t count;
};
enum election_status {
    ELECTION_WON,
    ELECTION_SHORT,  /* too few intact promises: only by force */
    ELECTION_NOBODY, /* no replica has promised: there is no log to lead */
};
#define ELECTION_STATUS_COUNT 3
struct election_result {
    enum election_status status;
    uint32_t promises; /* intact ones */
    uint32_t wanted;
    int32_t best;           /* whose log it shall be; -1: nobody */
    int32_t reached;        /* of the best */
    int64_t end;            /* the candidate must have it to here, and synced, before it leads */
    struct replica_ids isr; /* of the first record: the candidate; nobody is eligible beside it */
    /* what force may lose */
    struct replica_ids unheard; /* replicas that may hold more: no promise, or not intact */
    int64_t lost;               /* offsets that were committed for sure and are not in the best */
};
void election_decide(const struct election_case *c, struct election_result *out);
