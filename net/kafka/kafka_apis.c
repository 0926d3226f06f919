/* SPDX-License-Identifier: MIT
 *
 * kafka_apis: the table of what is served. See kafka.h. Versions and keys are the schema's: each
 * API that it offers has a row here, which kafka_open asserts.
 */
#include "net/kafka/kafka_priv.h"

static const struct kafka_api kafka_apis[KP_API_COUNT] = {
    [KP_API_PRODUCE] = {false, kafka_produce},
    [KP_API_FETCH] = {false, kafka_fetch},
    [KP_API_LIST_OFFSETS] = {true, kafka_list_offsets},
    [KP_API_METADATA] = {true, kafka_metadata},
    [KP_API_OFFSET_COMMIT] = {true, kafka_offset_commit},
    [KP_API_OFFSET_FETCH] = {true, kafka_offset_fetch},
    [KP_API_FIND_COORDINATOR] = {true, kafka_find_coordinator},
    [KP_API_JOIN_GROUP] = {true, kafka_join_group},
    [KP_API_HEARTBEAT] = {true, kafka_heartbeat},
    [KP_API_LEAVE_GROUP] = {true, kafka_leave_group},
    [KP_API_SYNC_GROUP] = {true, kafka_sync_group},
    [KP_API_DESCRIBE_GROUPS] = {true, kafka_describe_groups},
    [KP_API_LIST_GROUPS] = {true, kafka_list_groups},
    [KP_API_API_VERSIONS] = {true, kafka_api_versions},
    [KP_API_CREATE_TOPICS] = {true, kafka_create_topics},
    [KP_API_DELETE_TOPICS] = {true, kafka_delete_topics},
    [KP_API_INIT_PRODUCER_ID] = {true, kafka_init_producer_id},
    [KP_API_OFFSET_FOR_LEADER_EPOCH] = {true, kafka_offset_for_leader_epoch},
    [KP_API_DELETE_RECORDS] = {true, kafka_delete_records},
    [KP_API_DESCRIBE_ACLS] = {true, kafka_describe_acls},
    [KP_API_CREATE_ACLS] = {true, kafka_create_acls},
    [KP_API_DELETE_ACLS] = {true, kafka_delete_acls},
    [KP_API_DESCRIBE_CONFIGS] = {true, kafka_describe_configs},
    [KP_API_ALTER_CONFIGS] = {true, kafka_alter_configs},
    [KP_API_INCREMENTAL_ALTER_CONFIGS] = {true, kafka_incremental_alter_configs},
    [KP_API_LIST_CONFIG_RESOURCES] = {true, kafka_list_config_resources},
    [KP_API_DESCRIBE_LOG_DIRS] = {true, kafka_describe_log_dirs},
    [KP_API_ELECT_LEADERS] = {true, kafka_elect_leaders},
    [KP_API_ALTER_PARTITION_REASSIGNMENTS] = {true, kafka_alter_partition_reassignments},
    [KP_API_LIST_PARTITION_REASSIGNMENTS] = {true, kafka_list_partition_reassignments},
    [KP_API_DESCRIBE_PRODUCERS] = {true, kafka_describe_producers},
    [KP_API_DESCRIBE_TOPIC_PARTITIONS] = {true, kafka_describe_topic_partitions},
    [KP_API_CREATE_PARTITIONS] = {true, kafka_create_partitions},
    [KP_API_DELETE_GROUPS] = {true, kafka_delete_groups},
    [KP_API_OFFSET_DELETE] = {true, kafka_offset_delete},
    [KP_API_CONSUMER_GROUP_HEARTBEAT] = {true, kafka_consumer_group_heartbeat},
    [KP_API_CONSUMER_GROUP_DESCRIBE] = {true, kafka_consumer_group_describe},
    [KP_API_DESCRIBE_CLIENT_QUOTAS] = {true, kafka_describe_client_quotas},
    [KP_API_ALTER_CLIENT_QUOTAS] = {true, kafka_alter_client_quotas},
    [KP_API_DESCRIBE_CLUSTER] = {true, kafka_describe_cluster},
};

const struct kafka_api *kafka_api_of(enum kp_api api)
{
    ASSERT((unsigned)api < KP_API_COUNT);
    ASSERT(kafka_apis[api].run != NULL);
    return &kafka_apis[api];
}
