/* SPDX-License-Identifier: MIT
 *
 * fault: see fault.h.
 */
#include "cli/kafka/fault.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define FAULT_ERRORS "org.apache.kafka.common.errors."

static const struct {
    rd_kafka_resp_err_t error;
    const char *exception;
} fault_rows[] = {
    {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, FAULT_ERRORS "TopicExistsException"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, FAULT_ERRORS "InvalidTopicException"},
    {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, FAULT_ERRORS "InvalidPartitionsException"},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
     FAULT_ERRORS "InvalidReplicationFactorException"},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT,
     FAULT_ERRORS "InvalidReplicaAssignmentException"},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, FAULT_ERRORS "InvalidConfigurationException"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FAULT_ERRORS "UnknownTopicOrPartitionException"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, FAULT_ERRORS "UnknownTopicOrPartitionException"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, FAULT_ERRORS "UnknownTopicOrPartitionException"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, FAULT_ERRORS "PolicyViolationException"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, FAULT_ERRORS "TopicAuthorizationException"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, FAULT_ERRORS "GroupAuthorizationException"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, FAULT_ERRORS "ClusterAuthorizationException"},
    {RD_KAFKA_RESP_ERR_NOT_CONTROLLER, FAULT_ERRORS "NotControllerException"},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, FAULT_ERRORS "NotLeaderOrFollowerException"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, FAULT_ERRORS "NotEnoughReplicasException"},
    {RD_KAFKA_RESP_ERR_INVALID_REQUEST, FAULT_ERRORS "InvalidRequestException"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, FAULT_ERRORS "InvalidRecordException"},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, FAULT_ERRORS "InvalidTimestampException"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, FAULT_ERRORS "RecordTooLargeException"},
    {RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED, FAULT_ERRORS "TopicDeletionDisabledException"},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, FAULT_ERRORS "ThrottlingQuotaExceededException"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, FAULT_VERSION},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, FAULT_VERSION},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__TRANSPORT, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, FAULT_TIMEOUT},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, FAULT_ERRORS "SaslAuthenticationException"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, FAULT_ERRORS "SaslAuthenticationException"},
    {RD_KAFKA_RESP_ERR__SSL, FAULT_ERRORS "SslAuthenticationException"},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
     "org.apache.kafka.clients.consumer.OffsetOutOfRangeException"},
    {RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, FAULT_ERRORS "GroupIdNotFoundException"},
    {RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, FAULT_ERRORS "GroupNotEmptyException"},
    {RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC, FAULT_ERRORS "GroupSubscribedToTopicException"},
    {RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, FAULT_ERRORS "InvalidGroupIdException"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, FAULT_ERRORS "UnknownMemberIdException"},
    {RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, FAULT_ERRORS "RebalanceInProgressException"},
    {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, FAULT_ERRORS "IllegalGenerationException"},
    {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, FAULT_ERRORS "CoordinatorNotAvailableException"},
    {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
     FAULT_ERRORS "CoordinatorLoadInProgressException"},
    {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, FAULT_ERRORS "NotCoordinatorException"},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, FAULT_ERRORS "OffsetOutOfRangeException"},
    {RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, FAULT_ERRORS "OffsetMetadataTooLarge"},
    {RD_KAFKA_RESP_ERR_UNKNOWN, FAULT_ERRORS "UnknownServerException"},
};

/* Java's words, where scripts look for them; else librdkafka's are used. */
static const struct {
    rd_kafka_resp_err_t error;
    const char *text;
} fault_texts[] = {
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "This server does not host this topic-partition."},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, "Timed out waiting for a node assignment."},
    {RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, "The group id does not exist."},
    {RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, "The group is not empty."},
    {RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC,
     "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to "
     "it."},
    {RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, "The group id is invalid."},
    {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "The coordinator is not aware of this member."},
};

const char *fault_exception(rd_kafka_resp_err_t error)
{
    for (size_t i = 0; i < sizeof fault_rows / sizeof fault_rows[0]; i++)
        if (fault_rows[i].error == error)
            return fault_rows[i].exception;
    return FAULT_KAFKA;
}

const char *fault_text(rd_kafka_resp_err_t error)
{
    for (size_t i = 0; i < sizeof fault_texts / sizeof fault_texts[0]; i++)
        if (fault_texts[i].error == error)
            return fault_texts[i].text;
    return rd_kafka_err2str(error);
}

int fault_set(struct fault *f, const char *exception, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    f->exception = exception;
    (void)vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
    return 1;
}

int fault_of(struct fault *f, rd_kafka_resp_err_t error, const char *text)
{
    bool own = text == NULL || text[0] == '\0';
    return fault_set(f, fault_exception(error), "%s", own ? fault_text(error) : text);
}
