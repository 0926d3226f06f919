/* SPDX-License-Identifier: MIT
 *
 * broker_lead: what the leader does about the others: takes their registrations, gives them
 * partitions, lets them into the in-sync sets and out again. And the private calls between the
 * files of the cluster.
 */
#pragma once

#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

/* A broker as the leader's process knows it. */
struct broker_peer {
    int32_t id;
    int64_t broker_epoch; /* -1: not registered with this process */
    int64_t heard_ms;     /* monotonic, of its last call */
    int64_t mirrored;     /* it has our records up to this revision, for good; -1 */
    int64_t paged;        /* what it was given up to here may be a page of more */
    uint8_t folder[16];
};

struct broker_promote;

/* --- broker_ship.c --- */

/* The results are there, status and message too: `done` runs in this turn or the next. */
void broker_ship_done(struct broker *b, struct ship_call *call);

/* --- broker_lead.c --- */

struct broker_lead;
struct broker_lead *broker_lead_new(struct broker *b);
/* No change of a record is under way. */
struct broker_lead *broker_lead_free(struct broker_lead *l);
/* Its partitions get no record before another broker is there: they are to have more than one
 * replica, and until then acks=all is refused where min.insync.replicas wants more. */
bool broker_lead_later(const struct broker_lead *l, const struct catalog_topic *t);
/* The role begins: cluster/leader is durable. Records of all its partitions follow. */
void broker_lead_begin(struct broker_lead *l);
/* The role ends: every partition is let go, calls that wait are answered. */
void broker_lead_end(struct broker_lead *l);
void broker_lead_run(struct broker_lead *l);
int64_t broker_lead_next_ms(const struct broker_lead *l);
bool broker_lead_quiet(const struct broker_lead *l);
/* A registered broker stops: nobody waits for it any more. */
void broker_lead_goodbye(struct broker_lead *l, int32_t id);
/* Takes a SHIP_REGISTER; answers it in a later turn. */
void broker_lead_register(struct broker_lead *l, struct ship_call *call);
/* A call of this broker came. NULL: not registered with this process. */
const struct broker_peer *broker_lead_heard(struct broker_lead *l, int32_t id);
/* ms since its last call; -1: not registered with this process. */
int64_t broker_lead_silent(const struct broker_lead *l, int32_t id);
const struct broker_peer *broker_lead_peer(const struct broker_lead *l, size_t at);
/* It has mirrored our records up to here, and will not forget it. */
void broker_lead_mirrored(struct broker_lead *l, int32_t id, int64_t revision);
/* It is given a page that ends here, and not the last. */
void broker_lead_paged(struct broker_lead *l, int32_t id, int64_t revision);
/* A partition begins to be led: its set is told who is registered. */
void broker_lead_introduce(struct bpart *p);
/* A change of the in-sync set may be wanted. */
void broker_lead_consider(struct bpart *p);
/* Topics were made or grew: their partitions may want replicas. */
void broker_lead_assign(struct broker_lead *l);
/* The replicas that a partition of a new topic shall have. */
void broker_lead_choose(const struct broker_lead *l, int32_t index, int32_t factor,
                        struct replica_ids *out);
/* How many replicas a partition of the topic should have by now. */
int32_t broker_lead_factor(const struct broker_lead *l, const struct catalog_topic *t);
/* Some broker of the cluster is not registered, or silent. */
bool broker_lead_misses(const struct broker_lead *l);
/* Registered, and heard of lately. */
bool broker_lead_alive(const struct broker_lead *l, int32_t id);
/* It left: it gets no replica, and loses those it has. */
void broker_lead_drop(struct broker_lead *l, int32_t id);
/* A record of brokers/ is being written for a registration. */
bool broker_lead_registering(const struct broker_lead *l);
/* How many brokers could hold one, this one included. */
size_t broker_lead_count(const struct broker_lead *l);

/* --- bpart_replica.c --- */

/* Its record; made when there is none. */
struct bpart_replica *bpart_replica_make(struct bpart *p);
/* The record changed. */
void bpart_replica_record(struct bpart *p, const struct cluster_part *record, int64_t revision);
/* What promotions go by, see struct replica_base: its record says so; >= 1. */
uint32_t bpart_holders(const struct bpart *p);
/* Leads it, if everything is there for that. */
void bpart_lead(struct bpart *p);
void bpart_unlead(struct bpart *p);
/* It was opened: its high watermark is at least what was kept of it. */
void bpart_opened(struct bpart *p);
/* Its log is closed for a moment: it is led no more, but who waits for acknowledgements goes on
 * waiting for bpart_lead, or bpart_unheld. */
void bpart_hold(struct bpart *p);
void bpart_unheld(struct bpart *p);
int64_t bpart_watermark(const struct bpart *p);
/* The high watermark, or the in-sync set, is another. */
void bpart_watermark_moved(struct bpart *p);

/* --- broker_cluster.c --- */

/* The leader epoch of this process; 0 while it is alone. */
int32_t broker_leader_epoch(const struct broker *b);
struct broker_pulls *broker_pulls_of(struct broker *b);
const struct ship_leader *broker_known_leader(const struct broker *b);
/* The first other broker registers: term, start and our own record are written; done(ctx) runs when
 * this broker is LEADING. */
void broker_cluster_found(struct broker_cluster *c);
/* Somebody says who leads. */
void broker_cluster_learn(struct broker_cluster *c, const struct ship_leader *leader);
/* The leader does not answer, or does not lead any more. */
void broker_cluster_lost(struct broker_cluster *c);
/* A broker that does not lead has heard of, or promised, this greater term. */
void broker_cluster_overtaken(struct broker_cluster *c, uint32_t term);
/* A vote for another in this term was written down: our own role ends. `native`: where it is. */
void broker_cluster_yield(struct broker_cluster *c, const char *native, uint32_t term);
/* Writes a promise down; broker_cluster_held tells when it is. False: another one is under way. */
bool broker_cluster_promise(struct broker_cluster *c, const struct cluster_vote *vote);
/* A promotion begins with votes; it gave up; it won: the records in `changes` and those of the
 * leader are written, and then we lead. */
void broker_cluster_promoting(struct broker_cluster *c);
void broker_cluster_gave_up(struct broker_cluster *c);
void broker_cluster_take(struct broker_cluster *c, uint32_t term, uint32_t start,
                         struct coord_changes *changes);
/* A take, or a promise, is being written. */
bool broker_cluster_taking(const struct broker_cluster *c);
struct broker_lead *broker_lead_of(struct broker *b);
struct broker_leave *broker_leave_of(struct broker *b);
/* Our own record says that this broker was told to leave. */
bool broker_cluster_has_left(const struct broker *b);
/* The leader says so. */
void broker_cluster_leaves(struct broker_cluster *c);
struct broker_promote *broker_promote_of(struct broker *b);
/* How new the mirrored records are that this broker has. */
struct cluster_mirror broker_cluster_position(const struct broker *b);
/* They are as new as this now: written down. */
void broker_cluster_mirrored(struct broker *b, uint32_t term, int64_t position);
/* That is durable. */
bool broker_cluster_kept(const struct broker *b, uint32_t term, int64_t position);
/* Fills a call to another broker with who we are. */
void broker_ship_fill(struct broker *b, struct ship_call *call, enum ship_kind kind);

/* --- broker_follow.c --- */

struct broker_follow;
struct broker_follow *broker_follow_new(struct broker *b);
struct broker_follow *broker_follow_free(struct broker_follow *f);
/* Follows a leader, or a voter that holds more; term and leader as in the cluster's leader. */
void broker_follow_begin(struct broker_follow *f);
void broker_follow_end(struct broker_follow *f);
/* The broker stops: the leader is told, for a second at most. */
void broker_follow_goodbye(struct broker_follow *f);
void broker_follow_run(struct broker_follow *f);
int64_t broker_follow_next_ms(const struct broker_follow *f);
bool broker_follow_quiet(const struct broker_follow *f);
/* All records of the leader are here. */
bool broker_follow_is_mirrored(const struct broker_follow *f);
/* The record of a partition, or its state, changed: it may have to be pulled. */
void broker_follow_part(struct bpart *p);
/* The partition goes. */
void broker_follow_forget(struct bpart *p);
/* A candidate: pulls the partitions whose replica.fetch_from is this voter. */
void broker_follow_fetch(struct broker_follow *f, int32_t id, const char *native, uint32_t term);
/* The partition has all below `end` on the disk: it is pulled no more. */
bool broker_follow_fetched(struct broker_follow *f, struct bpart *p, int64_t end);
void broker_follow_fetch_end(struct broker_follow *f);
/* Its leader's log parts from ours below the high watermark: it is left alone. */
bool broker_follow_is_fenced(const struct bpart *p);
/* Its durable end moved. */
void broker_follow_advanced(struct bpart *p);

/* --- broker_vote.c --- */

/* A candidate that we promised the term pulls from us. */
bool broker_vote_serves(const struct broker *b, const struct ship_call *call);
