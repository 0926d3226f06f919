/* SPDX-License-Identifier: MIT
 *
 * What broker_cluster.c (who leads, and what this broker is) and broker_cluster_view.c (what the
 * rest of the broker sees of that) share. Nobody else includes it.
 */
#pragma once

#include "engine/broker/broker_follow_priv.h"
#include "engine/broker/broker_pull.h"
#include "engine/broker/broker_ship_priv.h"

#define BROKER_CLUSTER_ASKS (REPLICA_COUNT_MAX + 4)

struct broker_cluster_ask {
    struct ship_call call;
    struct broker_cluster *cluster;
    char native[SHIP_HOST_MAX];
    bool out;
    bool answered; /* since the asking began */
};

struct broker_cluster {
    struct broker *broker;
    enum broker_role role;
    struct cluster_leader record; /* cluster/leader as it is here; term 0: none */
    struct ship_leader leader;    /* as far as it is known */
    struct cluster_vote held;
    struct cluster_vote writing; /* what node/vote shall say */
    struct coord_put vote_put;
    bool vote_out;
    struct cluster_mirror mirror; /* node/mirror; of records that are another's */
    struct coord_put mirror_put;
    bool mirror_out;
    struct coord_put lead_put;
    bool lead_out;
    struct cluster_broker nodes[REPLICA_COUNT_MAX];
    size_t node_count;
    struct broker_cluster_ask asks[BROKER_CLUSTER_ASKS];
    size_t ask_count;
    size_t out;
    int64_t next_ms;
    int64_t until_ms;
    int64_t overtaken_ms; /* LEADING: since when others speak of a greater term; -1 */
    int32_t epoch;        /* of this process as leader; 0 */
    struct broker_pulls pulls;
    struct broker_ships *ships;
    struct broker_lead *lead;
    struct broker_follow *follow;
    struct broker_promote *promote;
    struct broker_forwards *forwards;
    struct broker_leave *leave;
    struct broker_mend *mend;
};

const char *broker_cluster_role_text(enum broker_role role);
