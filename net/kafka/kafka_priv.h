/* SPDX-License-Identifier: MIT
 *
 * kafka_priv: what the files of the Kafka front share.
 *
 *   kafka.c          life, frames in, answers out
 *   kafka_apis.c     the table of APIs
 *   kafka_errmap.c   broker conditions to error codes: the only place with numbers of Kafka's
 * errors
 *   kafka_cluster.c  ApiVersions, Metadata, DescribeCluster, FindCoordinator
 *   kafka_nodes.c    the cluster as clients are told of it
 *   kafka_produce.c  Produce, InitProducerId
 *   kafka_fetch.c    Fetch, to the broker; kafka_fetch_answer.c: and back
 *   kafka_session.c  incremental sessions of fetches (KIP-227)
 *   kafka_offsets.c  ListOffsets, OffsetForLeaderEpoch
 *   kafka_admin.c    CreateTopics, DeleteTopics, CreatePartitions
 *   kafka_configs.c  DescribeConfigs, and the settings of a topic just made
 *   kafka_alter.c    AlterConfigs, IncrementalAlterConfigs, ListConfigResources
 *   kafka_records.c  DeleteRecords, DescribeLogDirs, DescribeProducers
 *   kafka_leaders.c  ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments,
 *                    DescribeTopicPartitions
 *   kafka_acls.c     DescribeAcls, CreateAcls, DeleteAcls
 *   kafka_quotas.c   DescribeClientQuotas, AlterClientQuotas
 *   kafka_throttle.c what a call costs its client, and holding back who used too much
 *   kafka_group.c    JoinGroup, SyncGroup, Heartbeat, LeaveGroup; kafka_group_priv.h: what the
 *                    files of groups share
 *   kafka_group_offsets.c   OffsetCommit, OffsetFetch, OffsetDelete
 *   kafka_group_admin.c     ListGroups, DescribeGroups, DeleteGroups
 *   kafka_group_consumer.c  ConsumerGroupHeartbeat, ConsumerGroupDescribe
 *
 * A handler gets a call whose `request` is decoded (or whose `body` is to be read by hand). It
 * calls the broker with a request embedded in the call or in its arena, between kafka_run and
 * kafka_end, or answers at once. All memory of a call is in its arena, which lives until the answer
 * has left.
 */
#pragma once

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/list.h"
#include "engine/base/tally.h"
#include "engine/broker/broker.h"
#include "net/conn/conn.h"
#include "net/kafka/kafka.h"
#include "net/kafka/kafka_errmap.h"
#include "net/kafka/kafka_session.h"
#include "proto/kafka/kp.h"

#define KAFKA_ITEMS_MAX 4096 /* partitions, topics or resources of one request: BROKER_ITEMS_MAX */

#define KAFKA_RACK_MAX  255 /* bytes */

/* Damaged ranges that were logged, so that each is logged once. */
#define KAFKA_DAMAGED_MAX 64

struct kafka_advertised {
    char host[KAFKA_HOST_MAX + 1]; /* "": what the client dialled */
    uint16_t port;
};

struct kafka {
    struct kafka_options options;
    struct kafka_advertised advertised[KAFKA_LISTENERS_MAX]; /* by conn_tag */
    struct conn_front *front;                                /* owned */
    struct list running;                                     /* calls with the broker */
    size_t running_count;
    struct kafka_sessions *sessions; /* owned */
    struct buf answer;               /* small answers are written here, see kafka_answer_written */
    uint64_t requests;
    uint64_t refused;
    struct tally tallies[KP_API_COUNT]; /* from a frame to its answer */
    char cluster_id[23];
    int32_t node_id;
    char rack[KAFKA_RACK_MAX + 1]; /* of this broker; "": none */
    int64_t led_us;  /* monotonic: since it was seen that this broker leads; 0: it does not */
    bool rack_aware; /* consumers are sent to replicas in their rack */
    struct kafka_call *current;          /* whose frame is being taken; NULL when it was answered */
    uint64_t damaged[KAFKA_DAMAGED_MAX]; /* by hash; a ring */
    size_t damaged_count;
    bool stopping;
};

struct kafka_call {
    struct kafka *k;
    struct conn_request *r; /* the front's; its arena is ours until the answer has left */
    struct list link;       /* k->running while with the broker */
    struct kp_kind kind;    /* of the request */
    int32_t correlation_id;
    int64_t began_us; /* monotonic; 0: not counted, its header was wrong */
    struct slice client_id;
    struct slice body;
    void *request;       /* decoded; NULL where the handler reads the body itself */
    int32_t throttle_ms; /* for the answer: its connection is not read for that time */
    bool timed;          /* somebody has a quota of the loop's time */
    int64_t stretch_us;  /* when this stretch of work on it began */
    int64_t spent_us;    /* the stretches before */
    size_t waiting;      /* broker requests under way, for handlers with several; see kafka_run */
    struct buf out;      /* of a Fetch answer, until its pins are released */
    void *state;         /* the handler's, in the arena */
    struct broker_produce produce;
    struct broker_fetch fetch;
    struct broker_offsets offsets;
};

/* --- kafka.c --- */

/* Zeroed memory of the call, never NULL: when the arena's limit is passed, the connection is
 * dropped and the call must end: see KAFKA_ALLOC. */
void *kafka_alloc(struct kafka_call *c, size_t count, size_t size);
/* The call is with the broker: the next statement starts one of its requests. Counts. */
void kafka_run(struct kafka_call *c);
/* One of them completed. True for the last. */
bool kafka_end(struct kafka_call *c);
/* Encodes the answer (a response struct of the call's API and version) and hands it over. The call
 * is gone afterwards. */
void kafka_answer(struct kafka_call *c, const void *response);
/* Hands over the frame in k->answer, which may be written again afterwards: a small one moves into
 * the arena, so that most answers cost no allocation. The call is gone afterwards. */
void kafka_answer_written(struct kafka_call *c);
/* Hands over finished pieces. */
void kafka_answer_pieces(struct kafka_call *c, const struct conn_piece *pieces, size_t count);
/* Ends the connection: the client broke the protocol. `why` is a short text for the log. The call
 * is gone afterwards. */
void kafka_refuse(struct kafka_call *c, const char *why);

/* Where the client of this call should go: the advertised address of its listener, or what it
 * dialled. The host is in the call's arena. */
struct kafka_address {
    struct slice host;
    int32_t port;
};
struct kafka_address kafka_here(struct kafka_call *c);

/* Bit sums of what is allowed where nothing is forbidden. */
#define KAFKA_CLUSTER_OPERATIONS 8096
#define KAFKA_TOPIC_OPERATIONS   3576

/* --- kafka_throttle.c --- */

/* Work on the call begins, or rests. */
void kafka_throttle_begin(struct kafka_call *c);
void kafka_throttle_rest(struct kafka_call *c);
/* Counts bytes of the call against a quota of its client. */
void kafka_throttle_bytes(struct kafka_call *c, enum quota_key key, size_t size);
/* Before its answer is written: counts the time, and tells what throttle_time_ms is. */
int32_t kafka_throttle_answer(struct kafka_call *c);
/* The response with that time set: itself, or a copy in the arena; NULL when that is used up. */
const void *kafka_throttle_response(struct kafka_call *c, const void *response);

/* Room for so many items of a request; NULL when it was refused and the call is gone. */
void *kafka_items(struct kafka_call *c, int32_t count, size_t size);
/* What the broker said of a change; null when nothing is wrong. In the request, or static. */
struct slice kafka_said(const struct broker_admin *a);

/* --- kafka_apis.c --- */

struct kafka_api {
    bool decoded; /* by the tables, into call->request */
    void (*run)(struct kafka_call *c);
};
/* Of an API that is offered; never NULL. */
const struct kafka_api *kafka_api_of(enum kp_api api);

/* --- handlers --- */

void kafka_api_versions(struct kafka_call *c);
/* The answer to a version that is not known: KIP-511. */
void kafka_api_versions_unknown(struct kafka_call *c);
void kafka_metadata(struct kafka_call *c);
void kafka_describe_cluster(struct kafka_call *c);
void kafka_find_coordinator(struct kafka_call *c);
void kafka_produce(struct kafka_call *c);
void kafka_init_producer_id(struct kafka_call *c);
void kafka_fetch(struct kafka_call *c);
void kafka_list_offsets(struct kafka_call *c);
void kafka_offset_for_leader_epoch(struct kafka_call *c);
void kafka_create_topics(struct kafka_call *c);
void kafka_delete_topics(struct kafka_call *c);
void kafka_create_partitions(struct kafka_call *c);
void kafka_describe_configs(struct kafka_call *c);
void kafka_alter_configs(struct kafka_call *c);
void kafka_incremental_alter_configs(struct kafka_call *c);
void kafka_list_config_resources(struct kafka_call *c);
void kafka_delete_records(struct kafka_call *c);
void kafka_describe_log_dirs(struct kafka_call *c);
void kafka_describe_producers(struct kafka_call *c);
void kafka_elect_leaders(struct kafka_call *c);
void kafka_alter_partition_reassignments(struct kafka_call *c);
void kafka_list_partition_reassignments(struct kafka_call *c);
void kafka_describe_topic_partitions(struct kafka_call *c);
void kafka_describe_acls(struct kafka_call *c);
void kafka_create_acls(struct kafka_call *c);
void kafka_delete_acls(struct kafka_call *c);
void kafka_describe_client_quotas(struct kafka_call *c);
void kafka_alter_client_quotas(struct kafka_call *c);
void kafka_join_group(struct kafka_call *c);
void kafka_sync_group(struct kafka_call *c);
void kafka_heartbeat(struct kafka_call *c);
void kafka_leave_group(struct kafka_call *c);
void kafka_offset_commit(struct kafka_call *c);
void kafka_offset_fetch(struct kafka_call *c);
void kafka_offset_delete(struct kafka_call *c);
void kafka_list_groups(struct kafka_call *c);
void kafka_describe_groups(struct kafka_call *c);
void kafka_delete_groups(struct kafka_call *c);
void kafka_consumer_group_heartbeat(struct kafka_call *c);
void kafka_consumer_group_describe(struct kafka_call *c);
