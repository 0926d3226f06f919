/* SPDX-License-Identifier: MIT
 *
 * client_status: see client_status.h.
 */
#include "net/client/client_status.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

struct client_status_row {
    int error;
    bool retriable;
    const char *text; /* a sentence, or what follows the topic's name (see subject) */
};

/* The enum comes from the wire: a broker newer than this client may say what no row knows. */
static const struct client_status_row client_status_rows[] = {
    [KAURI__STATUS__OK] = {KAURI_OK, false, "done"},
    [KAURI__STATUS__BAD_REQUEST] = {KAURI_BAD_ARGUMENT, false, "the broker refuses the call"},
    [KAURI__STATUS__UNSUPPORTED_VERSION] = {KAURI_VERSION, false,
                                            "the broker speaks another version"},
    [KAURI__STATUS__UNKNOWN_SESSION] = {KAURI_TIMED_OUT, true, "the session is gone"},
    [KAURI__STATUS__UNKNOWN_TOPIC] = {KAURI_UNKNOWN_TOPIC, false, "does not exist"},
    [KAURI__STATUS__UNKNOWN_PARTITION] = {KAURI_UNKNOWN_PARTITION, false, "has no such partition"},
    [KAURI__STATUS__TOPIC_EXISTS] = {KAURI_EXISTS, false, "exists already"},
    [KAURI__STATUS__BAD_TOPIC_NAME] = {KAURI_BAD_NAME, false, "is not a valid name"},
    [KAURI__STATUS__BAD_PARTITIONS] = {KAURI_BAD_ARGUMENT, false,
                                       "cannot have that number of partitions"},
    [KAURI__STATUS__BAD_REPLICATION] = {KAURI_BAD_ARGUMENT, false,
                                        "cannot have more replicas than there are brokers"},
    [KAURI__STATUS__BAD_CONFIG] = {KAURI_BAD_ARGUMENT, false,
                                   "a config is unknown or out of bounds"},
    [KAURI__STATUS__BATCH_CORRUPT] = {KAURI_CORRUPT, false, "the batch arrived damaged"},
    [KAURI__STATUS__BATCH_INVALID] = {KAURI_REFUSED, false,
                                      "a rule of the topic forbids the record"},
    [KAURI__STATUS__BATCH_TIMESTAMP] = {KAURI_REFUSED, false,
                                        "a timestamp is outside the topic's limits"},
    [KAURI__STATUS__BATCH_TOO_LARGE] = {KAURI_TOO_LARGE, false,
                                        "the batch is over the topic's max.message.bytes"},
    [KAURI__STATUS__SEQUENCE_GAP] = {KAURI_REFUSED, false, "a batch before this one is missing"},
    [KAURI__STATUS__PRODUCER_FENCED] = {KAURI_REFUSED, false, "a newer producer took over"},
    [KAURI__STATUS__OFFSET_OUT_OF_RANGE] = {KAURI_OUT_OF_RANGE, false,
                                            "the offset is out of range"},
    [KAURI__STATUS__LOADING] = {KAURI_TIMED_OUT, true, "the partition is being recovered"},
    [KAURI__STATUS__DISK_FULL] = {KAURI_DISK_FULL, true, "the broker's disk is full"},
    [KAURI__STATUS__STORAGE] = {KAURI_DAMAGED, false, "its data is damaged or cannot be read"},
    [KAURI__STATUS__BUSY] = {KAURI_TIMED_OUT, true, "the broker is at a limit"},
    [KAURI__STATUS__TIMED_OUT] = {KAURI_TIMED_OUT, true, "the broker gave up waiting"},
    [KAURI__STATUS__STOPPING] = {KAURI_TIMED_OUT, true, "the broker is stopping"},
    [KAURI__STATUS__DENIED] = {KAURI_REFUSED, false, "is internal"},
    [KAURI__STATUS__NOT_ENOUGH_REPLICAS] = {KAURI_TIMED_OUT, true,
                                            "fewer replicas are in sync than min.insync.replicas"},
    [KAURI__STATUS__BAD_GROUP_ID] = {KAURI_BAD_NAME, false, "the group's name is not valid"},
    [KAURI__STATUS__GROUP_LOADING] = {KAURI_TIMED_OUT, true, "the broker reads its groups"},
    [KAURI__STATUS__GROUP_UNAVAILABLE] = {KAURI_TIMED_OUT, true,
                                          "the group could not be written down"},
    [KAURI__STATUS__UNKNOWN_GROUP] = {KAURI_UNKNOWN_GROUP, false, "no such group"},
    [KAURI__STATUS__GROUP_NOT_EMPTY] = {KAURI_NOT_EMPTY, false, "the group has members"},
    [KAURI__STATUS__GROUP_FULL] = {KAURI_REFUSED, false, "the group is full"},
    [KAURI__STATUS__GROUP_SUBSCRIBED] = {KAURI_NOT_EMPTY, false, "a member reads the topic"},
    [KAURI__STATUS__UNKNOWN_MEMBER] = {KAURI_FENCED, false, "not a member of the group"},
    [KAURI__STATUS__MEMBER_ID_REQUIRED] = {KAURI_REFUSED, false, "the member has no id yet"},
    [KAURI__STATUS__ILLEGAL_GENERATION] = {KAURI_FENCED, false, "the group is further on"},
    [KAURI__STATUS__REBALANCE] = {KAURI_TIMED_OUT, true, "the group is being rebalanced"},
    [KAURI__STATUS__INCONSISTENT_PROTOCOL] = {KAURI_REFUSED, false,
                                              "the members have no protocol in common"},
    [KAURI__STATUS__BAD_SESSION_TIMEOUT] = {KAURI_BAD_ARGUMENT, false,
                                            "the session timeout is out of bounds"},
    [KAURI__STATUS__INSTANCE_FENCED] = {KAURI_FENCED, false, "another took over the instance"},
    [KAURI__STATUS__INSTANCE_HELD] = {KAURI_FENCED, false, "another member has the instance"},
    [KAURI__STATUS__MEMBER_EPOCH_FENCED] = {KAURI_FENCED, false, "the member's epoch is over"},
    [KAURI__STATUS__MEMBER_EPOCH_STALE] = {KAURI_TIMED_OUT, true, "the member's epoch moved on"},
    [KAURI__STATUS__UNKNOWN_ASSIGNOR] = {KAURI_BAD_ARGUMENT, false, "no such assignor"},
    [KAURI__STATUS__BAD_REGEX] = {KAURI_BAD_ARGUMENT, false, "the expression is not valid"},
    [KAURI__STATUS__METADATA_TOO_LARGE] = {KAURI_TOO_LARGE, false, "the metadata is too large"},
    [KAURI__STATUS__NOT_LEADER] = {KAURI_TIMED_OUT, true, "another broker leads"},
    [KAURI__STATUS__NOT_ENOUGH_AFTER_APPEND] = {KAURI_TIMED_OUT, true,
                                                "too few replicas are in sync to keep it"},
    [KAURI__STATUS__STALE_BROKER] = {KAURI_FENCED, false, "the broker is not registered"},
    [KAURI__STATUS__OFFSET_NOT_AVAILABLE] = {KAURI_TIMED_OUT, true,
                                             "a new leader does not know its end yet"},
    [KAURI__STATUS__LEFT] = {KAURI_REFUSED, false, "the broker has left the cluster"},
    [KAURI__STATUS__UNKNOWN_BROKER] = {KAURI_NO_BROKER, false, "no such broker in the cluster"},
};
#define CLIENT_STATUS_COUNT (sizeof client_status_rows / sizeof client_status_rows[0])

static const struct client_status_row *client_status_row(Kauri__Status s)
{
    static const struct client_status_row unknown = {KAURI_REFUSED, false, "is refused"};
    return (size_t)s < CLIENT_STATUS_COUNT ? &client_status_rows[s] : &unknown;
}

int client_status_error(Kauri__Status s)
{
    return client_status_row(s)->error;
}

bool client_status_retriable(Kauri__Status s)
{
    return client_status_row(s)->retriable;
}

/* True when the text goes on from the topic's name. */
static bool client_status_subject(Kauri__Status s)
{
    return (s >= KAURI__STATUS__UNKNOWN_TOPIC && s <= KAURI__STATUS__BAD_REPLICATION) ||
           s == KAURI__STATUS__DENIED || (size_t)s >= CLIENT_STATUS_COUNT;
}

void client_status_explain(Kauri__Status s, const char *said, const char *topic, int32_t partition,
                           char *out)
{
    ASSERT(out != NULL);
    const char *text = client_status_row(s)->text;
    const size_t max = CLIENT_MESSAGE_MAX;
    if (said != NULL && said[0] != '\0')
        (void)snprintf(out, max, "%s", said);
    else if (topic == NULL)
        (void)snprintf(out, max, "%s", text);
    else if (s == KAURI__STATUS__UNKNOWN_PARTITION && partition >= 0)
        (void)snprintf(out, max, "topic \"%.180s\" has no partition %d", topic, partition);
    else if (client_status_subject(s))
        (void)snprintf(out, max, "topic \"%.180s\" %s", topic, text);
    else if (partition >= 0)
        (void)snprintf(out, max, "topic \"%.160s\" partition %d: %s", topic, partition, text);
    else
        (void)snprintf(out, max, "topic \"%.180s\": %s", topic, text);
}

const char *kauri_error_text(int error)
{
    static const char *const texts[KAURI_ERROR_COUNT] = {
        [KAURI_OK] = "done",
        [KAURI_AGAIN] = "no room now",
        [KAURI_TIMED_OUT] = "timed out",
        [KAURI_NO_SERVER] = "no broker",
        [KAURI_UNKNOWN_TOPIC] = "unknown topic",
        [KAURI_UNKNOWN_PARTITION] = "unknown partition",
        [KAURI_EXISTS] = "exists already",
        [KAURI_BAD_NAME] = "bad name",
        [KAURI_BAD_ARGUMENT] = "bad argument",
        [KAURI_TOO_LARGE] = "too large",
        [KAURI_OUT_OF_RANGE] = "offset out of range",
        [KAURI_DAMAGED] = "damaged range",
        [KAURI_DISK_FULL] = "disk full",
        [KAURI_REFUSED] = "refused",
        [KAURI_VERSION] = "another protocol version",
        [KAURI_CORRUPT] = "checksum failed",
        [KAURI_END] = "end of the partition",
        [KAURI_FENCED] = "not a member any more",
        [KAURI_UNKNOWN_GROUP] = "unknown group",
        [KAURI_NOT_EMPTY] = "the group has members",
        [KAURI_NO_OFFSET] = "no committed offset",
        [KAURI_NOT_ENOUGH] = "not enough replicas",
        [KAURI_NO_BROKER] = "no such broker",
    };
    if (error < 0)
        return error_text(error);
    return error < KAURI_ERROR_COUNT ? texts[error] : "unknown error";
}
