/* SPDX-License-Identifier: MIT
 *
 * broker_cluster_view: what the rest of the broker, and the fronts, see of the cluster: the role,
 * the leader as far as it is known, the brokers of the records. It changes nothing and cannot
 * fail.
 */
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_cluster_priv.h"
#include "engine/broker/broker_forward.h"
#include "engine/broker/broker_leave.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/broker_promote.h"
#include "engine/broker/broker_trouble.h"

const char *broker_cluster_role_text(enum broker_role role)
{
    static const char *const names[BROKER_ROLE_COUNT] = {
        "alone", "starting", "seeking", "following", "promoting", "leading", "left"};
    ASSERT((unsigned)role < BROKER_ROLE_COUNT);
    return names[role];
}

enum broker_role broker_role(const struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->role;
}

bool broker_leads(const struct broker *b)
{
    ASSERT(b->cluster == NULL || (unsigned)b->cluster->role < BROKER_ROLE_COUNT);
    return b->cluster == NULL || b->cluster->role == BROKER_ALONE ||
           b->cluster->role == BROKER_LEADING;
}

int32_t broker_leader_epoch(const struct broker *b)
{
    ASSERT(b->cluster == NULL || b->cluster->epoch >= 0);
    return b->cluster == NULL ? 0 : b->cluster->epoch;
}

uint32_t broker_cluster_term(const struct broker *b)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(c->held.term <= CLUSTER_TERM_MAX && c->leader.term <= CLUSTER_TERM_MAX);
    return c->leader.term > c->held.term ? c->leader.term : c->held.term;
}

struct broker_pulls *broker_pulls_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return &b->cluster->pulls;
}

struct broker_lead *broker_lead_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->lead;
}

struct broker_follow *broker_follow_of(struct broker *b)
{
    ASSERT(b->cluster == NULL || b->cluster->broker == b);
    return b->cluster == NULL ? NULL : b->cluster->follow;
}

struct broker_promote *broker_promote_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->promote;
}

struct broker_forwards *broker_forwards_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->forwards;
}

struct broker_leave *broker_leave_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->leave;
}

bool broker_cluster_has_left(const struct broker *b)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(c->node_count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].id == b->node_id)
            return c->nodes[i].left;
    return false;
}

struct broker_mend *broker_mend_of(struct broker *b)
{
    ASSERT(b->cluster == NULL || b->cluster->broker == b);
    return b->cluster == NULL ? NULL : b->cluster->mend;
}

struct broker_ships *broker_ships_of(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return b->cluster->ships;
}

const struct ship_leader *broker_known_leader(const struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return &b->cluster->leader;
}

const struct cluster_broker *broker_cluster_node(const struct broker *b, size_t at)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(c->node_count <= REPLICA_COUNT_MAX);
    return at < c->node_count ? &c->nodes[at] : NULL;
}

bool broker_cluster_led_last(const struct broker *b)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(c->record.term <= CLUSTER_TERM_MAX);
    return c->record.term > 0 && c->record.id == b->node_id;
}

const struct cluster_vote *broker_cluster_held(const struct broker *b)
{
    ASSERT(b->cluster != NULL);
    return &b->cluster->held;
}

void broker_cluster_info(const struct broker *b, struct broker_cluster_info *out)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(out != NULL && c != NULL);
    *out = (struct broker_cluster_info){.role = broker_cluster_role_text(c->role),
                                        .term = broker_cluster_term(b),
                                        .leader = broker_leads(b) ? b->node_id : c->leader.id,
                                        .changes_here = broker_leads(b)};
    ASSERT(sizeof out->native == sizeof c->leader.native);
    memcpy(out->native, c->leader.native, sizeof out->native);
    ASSERT(sizeof out->trouble == sizeof b->trouble.text);
    memcpy(out->trouble, b->trouble.text, sizeof out->trouble);
}

int broker_member(const struct broker *b, size_t at, struct broker_member *out)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(out != NULL);
    if (c->node_count == 0 && at == 0) {
        *out =
            (struct broker_member){.id = b->node_id,
                                   .kafka_host = b->env.kafka_host != NULL ? b->env.kafka_host : "",
                                   .kafka_port = b->env.kafka_port,
                                   .native = b->env.native != NULL ? b->env.native : "",
                                   .rack = "",
                                   .self = true};
        return 0;
    }
    if (at >= c->node_count)
        return 1;
    const struct cluster_broker *n = &c->nodes[at];
    ASSERT(n->id >= 0);
    *out = (struct broker_member){.id = n->id,
                                  .kafka_host = n->kafka_host,
                                  .kafka_port = n->kafka_port,
                                  .native = n->native,
                                  .rack = n->rack,
                                  .self = n->id == b->node_id,
                                  .left = n->left,
                                  .silent_ms = broker_lead_silent(c->lead, n->id)};
    return 0;
}

void broker_leader_text(const struct broker *b, char out[256])
{
    const struct ship_leader *l = &b->cluster->leader;
    ASSERT(out != NULL);
    const char *left = b->cluster->role == BROKER_HAS_LEFT ? "this broker has left; " : "";
    if (l->id >= 0)
        (void)snprintf(out, 256, "%sbroker %d leads, at %.200s", left, l->id, l->native);
    else
        (void)snprintf(out, 256, "%sno broker leads: see kauri cluster status", left);
}

void broker_ship_fill(struct broker *b, struct ship_call *call, enum ship_kind kind)
{
    struct broker_cluster *c = b->cluster;
    ASSERT((unsigned)kind < SHIP_KIND_COUNT);
    call->kind = kind;
    call->from = b->node_id;
    call->to = -1;
    call->broker_epoch = -1;
    call->term = broker_cluster_term(b);
    call->status = BROKER_TIMED_OUT;
    call->message[0] = '\0';
    call->leader = (struct ship_leader){.id = -1};
    memcpy(call->cluster_id, b->cluster_id, sizeof call->cluster_id);
    ASSERT(c != NULL);
}
