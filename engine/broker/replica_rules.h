/* SPDX-License-Identifier: MIT
 *
 * replica_rules: the rules of replication by name, so that a simulation can take each away and see
 * what is lost without it. In a normal build every rule is the constant true and nothing is left of
 * the question. A test that compiles the files below itself with KAURI_REPLICA_RULES defines
 * `replica_rules_off`, the bits of the rules that do not hold.
 *
 *   rule              in        what holds
 *   RULE_FREEZE       replica   no high watermark below min.insync.replicas in-sync replicas
 *   RULE_MAXIMAL      replica   a member being added is waited for, too
 *   RULE_JOIN_MARK    replica   a joiner has all below the high watermark
 *   RULE_JOIN_START   replica   a joiner has all the leader had when its epoch began
 *   RULE_EPOCH        replica   a pull of another leader epoch is refused
 *   RULE_BROKER_EPOCH replica   a pull sent before the sender's last registration is refused
 *   RULE_RESET        replica   a registration takes back what was counted (KIP-903)
 *   RULE_STRIKE       replica   who lost records leaves the sets before it is registered
 *   RULE_ELIGIBLE     replica   who leaves a set that falls under the minimum stays eligible
 *   RULE_HOLDERS      replica   promotions go by what is true of all that was acknowledged, and not
 *                               by min.insync.replicas as it is now
 *   RULE_REACHED      replica   a follower counts once its log stands on this leader's epoch
 *   RULE_TERM_ONCE    election  a term is accepted once, and no smaller one after it
 *   RULE_SLOT         election  two candidates never choose the same term
 *   RULE_QUORUM       election  promises of replicas - holders + 1
 *   RULE_INTACT       election  the promise of one that lost records does not count
 *   RULE_GREATEST     election  of the logs that reached the greatest epoch, the longest wins
 *   RULE_RESUME       election  a leader that lost records does not go on by itself
 *   RULE_SYNCED       follow    a follower says it has what its disk has, not what goes there
 *   RULE_CUT          follow    a follower cuts its log where it parts from the leader's by epochs,
 *                               and not back to its own high watermark
 *   RULE_AGREE        pull      a pull tells the epoch before its offset, and the logs are compared
 *
 * follow: broker_follow_part.c; pull: broker_pull.c. RULE_STRIKE is broker_lead.c's as well, which
 * writes the records, RULE_QUORUM broker_promote.c's, which sounds out the others.
 */
#pragma once

#define RULE_FREEZE       (1u << 0)
#define RULE_MAXIMAL      (1u << 1)
#define RULE_JOIN_MARK    (1u << 2)
#define RULE_JOIN_START   (1u << 3)
#define RULE_EPOCH        (1u << 4)
#define RULE_BROKER_EPOCH (1u << 5)
#define RULE_RESET        (1u << 6)
#define RULE_STRIKE       (1u << 7)
#define RULE_ELIGIBLE     (1u << 8)
#define RULE_REACHED      (1u << 9)
#define RULE_TERM_ONCE    (1u << 10)
#define RULE_SLOT         (1u << 11)
#define RULE_QUORUM       (1u << 12)
#define RULE_INTACT       (1u << 13)
#define RULE_GREATEST     (1u << 14)
#define RULE_RESUME       (1u << 15)
#define RULE_SYNCED       (1u << 16)
#define RULE_CUT          (1u << 17)
#define RULE_AGREE        (1u << 18)
#define RULE_HOLDERS      (1u << 19)
#define RULE_COUNT        20

#ifdef KAURI_REPLICA_RULES
extern unsigned replica_rules_off;
#define RULE_HOLDS(rule) ((replica_rules_off & (rule)) == 0)
#else
#define RULE_HOLDS(rule) ((rule) != 0)
#endif
