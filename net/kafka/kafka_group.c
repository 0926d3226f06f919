/* SPDX-License-Identifier: MIT
 *
 * kafka_group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup: the members of classic groups. Each is
 * one request to the broker, which may keep it for as long as a rebalance takes.
 *
 *   by version                                   JoinGroup   SyncGroup   Heartbeat   LeaveGroup
 *   a rebalance timeout of its own               1
 *   static members (KIP-345)                     5           3           3           3
 *   a new member is given its id first           4
 *   protocol type and name told (KIP-559)        7           5
 *   leader: the assignment stands (KIP-814)      9
 *   several members, each with its own error                                         3
 *
 * While groups are loaded, two answers differ from the rest, because old clients know no better: a
 * heartbeat is well, and who waits for an assignment joins again.
 */
#include "net/kafka/kafka_group_priv.h"

#include <stdio.h>

#define KAFKA_ID_VERSION      4 /* of JoinGroup: see above */
#define KAFKA_SKIP_VERSION    9
#define KAFKA_TYPE_VERSION    5 /* of SyncGroup */
#define KAFKA_LEAVERS_VERSION 3 /* of LeaveGroup */

/* --- shared ----------------------------------------------------------------------------------- */

struct broker_group *kafka_group_new(struct kafka_call *c, enum broker_group_op op,
                                     struct slice group, void (*done)(struct broker_group *req))
{
    char host[CONN_ADDRESS_SIZE + 1] = "/"; /* as Java writes an address without a name */
    struct broker_group *req = kafka_alloc(c, 1, sizeof *req);
    if (req == NULL)
        return NULL;
    bool joins = op == BROKER_GROUP_JOIN || op == BROKER_GROUP_BEAT; /* nobody else's is kept */
    if (joins && c->r->conn != NULL)
        conn_peer_host(c->r->conn, host + 1);
    *req = (struct broker_group){.op = op,
                                 .group = group,
                                 .member = slice_str(""),
                                 .instance = SLICE_NULL,
                                 .generation = -1,
                                 .client_id = c->client_id.p != NULL ? c->client_id : slice_str(""),
                                 .client_host = arena_copy(&c->r->arena, slice_str(host)),
                                 .done = done,
                                 .ctx = c};
    return req->client_host.p != NULL ? req : NULL;
}

void kafka_group_start(struct kafka_call *c, struct broker_group *req)
{
    ASSERT(req->ctx == c && req->done != NULL);
    kafka_run(c);
    broker_group(c->k->options.broker, req);
}

int16_t kafka_group_ready(const struct kafka_call *c)
{
    if (c->k->stopping)
        return kafka_errmap_group(BROKER_STOPPING);
    return kafka_errmap_group(broker_groups_ready(c->k->options.broker));
}

struct slice kafka_group_copy(struct kafka_call *c, struct slice s, bool *failed)
{
    if (s.p == NULL)
        return s;
    struct slice copy = arena_copy(&c->r->arena, s);
    *failed = *failed || copy.p == NULL;
    return copy;
}

struct slice kafka_group_message(struct kafka_call *c, const char *before, struct slice name,
                                 const char *behind)
{
    char text[BROKER_GROUP_NAME_MAX + 64];
    int size = name.size < BROKER_GROUP_NAME_MAX ? (int)name.size : BROKER_GROUP_NAME_MAX;
    (void)snprintf(text, sizeof text, "%s%.*s%s", before, size, (const char *)name.p, behind);
    return arena_copy(&c->r->arena, slice_str(text));
}

struct slice kafka_group_not_found(struct kafka_call *c, struct slice name)
{
    return kafka_group_message(c, "Group ", name, " not found.");
}

struct kp_i32s kafka_group_partitions(struct kafka_call *c, const struct broker_group_topic *t,
                                      bool *failed)
{
    int32_t *v = kafka_alloc(c, t->count, sizeof *v);
    if (v == NULL) {
        *failed = true;
        return (struct kp_i32s){NULL, 0};
    }
    for (size_t i = 0; i < t->count; i++)
        v[i] = t->partitions[i];
    return (struct kp_i32s){v, (int32_t)t->count};
}

/* --- JoinGroup -------------------------------------------------------------------------------- */

/* The members, for the leader. False when the arena is used up. */
static bool kafka_join_members(struct kafka_call *c, const struct broker_group_join *j,
                               struct kp_join_group_response *a)
{
    struct kp_join_group_response_member *v = kafka_alloc(c, j->member_count, sizeof *v);
    if (v == NULL)
        return false;
    for (size_t i = 0; i < j->member_count; i++)
        v[i] = (struct kp_join_group_response_member){.member_id = j->members[i].id,
                                                      .group_instance_id = j->members[i].instance,
                                                      .metadata = j->members[i].metadata};
    a->members.v = v;
    a->members.count = (int32_t)j->member_count;
    return true;
}

static void kafka_join_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    const struct broker_group_join *j = &req->join;
    struct kp_join_group_response a = KP_JOIN_GROUP_RESPONSE_INIT;
    bool last = kafka_end(c);
    ASSERT(last);
    a.error = kafka_errmap_group(req->status);
    a.member_id = req->status == BROKER_MEMBER_ID_REQUIRED ? j->member : req->member;
    if (req->status == BROKER_OK) {
        a.generation_id = j->generation;
        a.protocol_type = j->protocol_type;
        a.protocol_name = j->protocol;
        a.leader = j->leader;
        a.skip_assignment = j->skip_assignment;
        a.member_id = j->member;
    }
    if (req->status == BROKER_OK && !kafka_join_members(c, j, &a))
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    else
        kafka_answer(c, &a);
}

void kafka_join_group(struct kafka_call *c)
{
    const struct kp_join_group_request *q = c->request;
    struct broker_group *req = kafka_group_new(c, BROKER_GROUP_JOIN, q->group_id, kafka_join_done);
    struct broker_group_protocol *v = kafka_alloc(c, (size_t)q->protocols.count, sizeof *v);
    if (req == NULL || v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (int32_t i = 0; i < q->protocols.count; i++)
        v[i] = (struct broker_group_protocol){q->protocols.v[i].name, q->protocols.v[i].metadata};
    req->member = q->member_id;
    req->instance = q->group_instance_id;
    req->join = (struct broker_group_join){.protocol_type = q->protocol_type,
                                           .protocols = v,
                                           .protocol_count = (size_t)q->protocols.count,
                                           .session_timeout_ms = q->session_timeout_ms,
                                           .rebalance_timeout_ms = q->rebalance_timeout_ms,
                                           .id_required = c->kind.version >= KAFKA_ID_VERSION,
                                           .may_skip = c->kind.version >= KAFKA_SKIP_VERSION,
                                           .reason = q->reason};
    kafka_group_start(c, req);
}

/* --- SyncGroup -------------------------------------------------------------------------------- */

static void kafka_sync_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    struct kp_sync_group_response a = KP_SYNC_GROUP_RESPONSE_INIT;
    bool last = kafka_end(c);
    ASSERT(last);
    a.error = req->status == BROKER_GROUP_LOADING ? KAFKA_REBALANCE_IN_PROGRESS
                                                  : kafka_errmap_group(req->status);
    if (req->status == BROKER_OK) {
        a.protocol_type = req->sync.protocol_type;
        a.protocol_name = req->sync.protocol;
        a.assignment = req->sync.assignment;
    }
    kafka_answer(c, &a);
}

/* From this version on a member must say what it took part in. */
static bool kafka_sync_says(const struct kafka_call *c, const struct kp_sync_group_request *q)
{
    return c->kind.version < KAFKA_TYPE_VERSION ||
           (q->protocol_type.p != NULL && q->protocol_name.p != NULL);
}

void kafka_sync_group(struct kafka_call *c)
{
    const struct kp_sync_group_request *q = c->request;
    struct kp_sync_group_response refusal = KP_SYNC_GROUP_RESPONSE_INIT;
    struct broker_group *req = kafka_group_new(c, BROKER_GROUP_SYNC, q->group_id, kafka_sync_done);
    struct broker_group_assigned *v = kafka_alloc(c, (size_t)q->assignments.count, sizeof *v);
    if (req == NULL || v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    if (!kafka_sync_says(c, q)) {
        refusal.error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        kafka_answer(c, &refusal);
        return;
    }
    for (int32_t i = 0; i < q->assignments.count; i++)
        v[i] = (struct broker_group_assigned){q->assignments.v[i].member_id,
                                              q->assignments.v[i].assignment};
    req->member = q->member_id;
    req->instance = q->group_instance_id;
    req->generation = q->generation_id;
    req->sync = (struct broker_group_sync){.protocol_type = q->protocol_type,
                                           .protocol = q->protocol_name,
                                           .assignments = v,
                                           .assignment_count = (size_t)q->assignments.count};
    kafka_group_start(c, req);
}

/* --- Heartbeat -------------------------------------------------------------------------------- */

static void kafka_heartbeat_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    struct kp_heartbeat_response a = KP_HEARTBEAT_RESPONSE_INIT;
    bool last = kafka_end(c);
    ASSERT(last);
    if (req->status != BROKER_GROUP_LOADING)
        a.error = kafka_errmap_group(req->status);
    kafka_answer(c, &a);
}

void kafka_heartbeat(struct kafka_call *c)
{
    const struct kp_heartbeat_request *q = c->request;
    struct broker_group *req =
        kafka_group_new(c, BROKER_GROUP_HEARTBEAT, q->group_id, kafka_heartbeat_done);
    if (req == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    req->member = q->member_id;
    req->instance = q->group_instance_id;
    req->generation = q->generation_id;
    kafka_group_start(c, req);
}

/* --- LeaveGroup (KIP-345) --------------------------------------------------------------------- */

/* False when the arena is used up. */
static bool kafka_leave_members(struct kafka_call *c, const struct broker_group_leave *l,
                                struct kp_leave_group_response *a)
{
    struct kp_leave_group_response_member *v = kafka_alloc(c, l->count, sizeof *v);
    if (v == NULL)
        return false;
    for (size_t i = 0; i < l->count; i++)
        v[i] = (struct kp_leave_group_response_member){
            .member_id = l->leavers[i].member,
            .group_instance_id = l->leavers[i].instance,
            .error = kafka_errmap_group(l->leavers[i].status),
        };
    a->members.v = v;
    a->members.count = (int32_t)l->count;
    return true;
}

static void kafka_leave_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    struct kp_leave_group_response a = KP_LEAVE_GROUP_RESPONSE_INIT;
    bool several = c->kind.version >= KAFKA_LEAVERS_VERSION;
    bool last = kafka_end(c);
    ASSERT(last && (several || req->leave.count == 1));
    a.error = kafka_errmap_group(req->status);
    if (req->status == BROKER_OK && !several)
        a.error = kafka_errmap_group(req->leave.leavers[0].status);
    if (req->status == BROKER_OK && several && !kafka_leave_members(c, &req->leave, &a))
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    else
        kafka_answer(c, &a);
}

void kafka_leave_group(struct kafka_call *c)
{
    const struct kp_leave_group_request *q = c->request;
    bool several = c->kind.version >= KAFKA_LEAVERS_VERSION;
    int32_t count = several ? q->members.count : 1;
    struct broker_group *req =
        kafka_group_new(c, BROKER_GROUP_LEAVE, q->group_id, kafka_leave_done);
    struct broker_group_leaver *v = kafka_alloc(c, (size_t)count, sizeof *v);
    if (req == NULL || v == NULL || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many members in one request");
        return;
    }
    if (!several)
        v[0] = (struct broker_group_leaver){.member = q->member_id};
    for (int32_t i = 0; several && i < count; i++)
        v[i] = (struct broker_group_leaver){.member = q->members.v[i].member_id,
                                            .instance = q->members.v[i].group_instance_id,
                                            .reason = q->members.v[i].reason};
    req->leave = (struct broker_group_leave){v, (size_t)count};
    kafka_group_start(c, req);
}
