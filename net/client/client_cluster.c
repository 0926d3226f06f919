/* SPDX-License-Identifier: MIT
 *
 * client_cluster: who belongs to the cluster, and the asking of a broker to lead.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "net/client/client_result.h"
#include "proto/frame.h"

static void client_cluster_head(struct client_result *r, const Kauri__ClusterStatusAnswer *a,
                                struct kauri_cluster *out)
{
    struct kauri_cluster_broker *list = client_result_array(r, a->n_brokers + 1, sizeof *list);
    for (size_t i = 0; i < a->n_brokers; i++) {
        const Kauri__ClusterBroker *b = a->brokers[i];
        list[i] =
            (struct kauri_cluster_broker){.id = b->id,
                                          .native = client_result_text(r, b->native),
                                          .kafka_host = client_result_text(r, b->kafka_host),
                                          .kafka_port = b->kafka_port,
                                          .rack = client_result_text(r, b->rack),
                                          .left = b->left,
                                          .silent_ms = b->silent_ms,
                                          .leading = b->leading,
                                          .replicas = b->replicas,
                                          .in_sync = b->in_sync,
                                          .lag = a->leader == a->id ? b->lag : -1,
                                          .lag_size = a->leader == a->id ? b->lag_size : -1,
                                          .behind_ms = a->leader == a->id ? b->behind_ms : -1};
    }
    *out = (struct kauri_cluster){.id = a->id,
                                  .role = client_result_text(r, a->role),
                                  .term = a->term,
                                  .leader = a->leader,
                                  .native = client_result_text(r, a->native),
                                  .brokers = list,
                                  .broker_count = a->n_brokers,
                                  .partition_count = a->partition_count,
                                  .leaderless = a->leaderless,
                                  .under_replicated = a->under_replicated,
                                  .fenced = a->fenced,
                                  .trouble = client_result_text(r, a->trouble)};
}

static const int32_t *client_cluster_ids(struct client_result *r, const int32_t *ids, size_t count)
{
    int32_t *copy = client_result_array(r, count + 1, sizeof *copy);
    if (count > 0)
        memcpy(copy, ids, count * sizeof *copy);
    return copy;
}

static struct kauri_cluster_partition client_cluster_partition(struct client_result *r,
                                                               const Kauri__ClusterPartition *p)
{
    struct kauri_cluster_follower *list = client_result_array(r, p->n_followers + 1, sizeof *list);
    for (size_t i = 0; i < p->n_followers; i++) {
        const Kauri__ClusterFollower *f = p->followers[i];
        list[i] = (struct kauri_cluster_follower){.id = f->id,
                                                  .in_sync = f->in_sync,
                                                  .end = f->end,
                                                  .lag = f->lag,
                                                  .lag_size = f->lag_size,
                                                  .caught_up_ms = f->caught_up_ms,
                                                  .since_ms = f->since_ms};
    }
    return (struct kauri_cluster_partition){
        .topic = client_result_text(r, p->topic),
        .partition = p->partition,
        .leader = p->leader,
        .epoch = p->epoch,
        .replicas = client_cluster_ids(r, p->replicas, p->n_replicas),
        .replica_count = p->n_replicas,
        .in_sync = client_cluster_ids(r, p->in_sync, p->n_in_sync),
        .in_sync_count = p->n_in_sync,
        .eligible = client_cluster_ids(r, p->eligible, p->n_eligible),
        .eligible_count = p->n_eligible,
        .end = p->end,
        .followers = list,
        .follower_count = p->n_followers,
        .fenced = p->fenced};
}

/* Where a page begins. */
struct client_cluster_at {
    const char *topic; /* the result's; NULL: no page follows */
    int32_t partition;
};

/* One page behind *at, which moves on. The head is the first page's. */
static int client_cluster_page(struct kauri *k, struct client_result *result, bool partitions,
                               struct client_cluster_at *at)
{
    struct kauri_cluster *cluster = (struct kauri_cluster *)(void *)result->body;
    Kauri__ClusterStatus status;
    Kauri__Call content;
    kauri__cluster_status__init(&status);
    kauri__call__init(&content);
    status.partitions = partitions;
    status.after_topic = frame_borrow(at->topic);
    status.after_partition = at->partition;
    content.call_case = KAURI__CALL__CALL_CLUSTER_STATUS;
    content.cluster_status = &status;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_CLUSTER_STATUS);
    if (r != 0)
        return r;
    const Kauri__ClusterStatusAnswer *a = ask.answer.answer->cluster_status;
    if (at->topic[0] == '\0')
        client_cluster_head(result, a, cluster);
    for (size_t i = 0; i < a->n_partitions; i++) {
        struct kauri_cluster_partition p = client_cluster_partition(result, a->partitions[i]);
        int order = strcmp(p.topic, at->topic);
        bool forward = order > 0 || (order == 0 && p.partition > at->partition);
        if (!forward || !client_result_add(result, &p, sizeof p))
            return client_admin_odd(k);
        *at = (struct client_cluster_at){p.topic, p.partition};
    }
    if (a->more && a->n_partitions == 0)
        return client_admin_odd(k);
    if (!a->more)
        at->topic = NULL;
    return 0;
}

int kauri_cluster_status(struct kauri *k, bool partitions, struct kauri_cluster **out)
{
    ASSERT(k != NULL && out != NULL);
    struct kauri_cluster *cluster;
    struct client_result *result CLEANUP(client_result_cleanup) =
        client_result_new(sizeof *cluster);
    struct client_cluster_at at = {"", -1};
    while (at.topic != NULL) {
        int r = client_cluster_page(k, result, partitions, &at);
        if (r != 0)
            return r;
    }
    cluster = (struct kauri_cluster *)(void *)result->body;
    cluster->listed_count = result->count;
    cluster->partitions = client_result_rows(result);
    *out = client_result_give(&result);
    return 0;
}

int kauri_cluster_promote(struct kauri *k, bool force, struct kauri_cluster_promotion *out)
{
    ASSERT(k != NULL && out != NULL);
    Kauri__ClusterPromote promote;
    Kauri__Call content;
    kauri__cluster_promote__init(&promote);
    kauri__call__init(&content);
    promote.force = force;
    content.call_case = KAURI__CALL__CALL_CLUSTER_PROMOTE;
    content.cluster_promote = &promote;
    struct client_ask ask CLEANUP(client_ask_done);
    *out = (struct kauri_cluster_promotion){.lost = 0};
    int r = client_ask_once(k, &ask, &content);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    (void)snprintf(out->message, sizeof out->message, "%s", a->message);
    if (a->answer_case == KAURI__ANSWER__ANSWER_CLUSTER_PROMOTE) {
        out->term = a->cluster_promote->term;
        out->lost = a->cluster_promote->lost;
    }
    r = client_admin_status(k, &ask, NULL, -1);
    if (a->status == KAURI__STATUS__NOT_ENOUGH_REPLICAS)
        return KAURI_NOT_ENOUGH;
    bool other = a->status == KAURI__STATUS__BUSY || a->status == KAURI__STATUS__NOT_LEADER;
    return other ? KAURI_REFUSED : r;
}

int kauri_cluster_leave(struct kauri *k, struct kauri_cluster_leave *leave)
{
    ASSERT(k != NULL && leave != NULL);
    Kauri__ClusterLeave body;
    Kauri__Call content;
    kauri__cluster_leave__init(&body);
    kauri__call__init(&content);
    body.id = leave->id;
    body.force = leave->force;
    body.validate_only = leave->validate_only;
    content.call_case = KAURI__CALL__CALL_CLUSTER_LEAVE;
    content.cluster_leave = &body;
    leave->replicas = leave->pending = 0;
    leave->message[0] = '\0';
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask_unless(k, &ask, &content, KAURI__STATUS__NOT_ENOUGH_REPLICAS);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    (void)snprintf(leave->message, sizeof leave->message, "%s", a->message);
    if (a->answer_case == KAURI__ANSWER__ANSWER_CLUSTER_LEAVE) {
        leave->replicas = a->cluster_leave->replicas;
        leave->pending = a->cluster_leave->pending;
    }
    r = client_admin_status(k, &ask, NULL, -1);
    return a->status == KAURI__STATUS__NOT_ENOUGH_REPLICAS ? KAURI_NOT_ENOUGH : r;
}
