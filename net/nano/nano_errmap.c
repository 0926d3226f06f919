/* SPDX-License-Identifier: MIT
 *
 * nano_errmap: see nano_errmap.h.
 */
#include "net/nano/nano_errmap.h"

#include "engine/base/assert.h"

static const Kauri__Status nano_errmap_rows[BROKER_STATUS_COUNT] = {
    [BROKER_OK] = KAURI__STATUS__OK,
    [BROKER_BAD_REQUEST] = KAURI__STATUS__BAD_REQUEST,
    [BROKER_UNKNOWN_TOPIC] = KAURI__STATUS__UNKNOWN_TOPIC,
    [BROKER_UNKNOWN_PARTITION] = KAURI__STATUS__UNKNOWN_PARTITION,
    [BROKER_TOPIC_EXISTS] = KAURI__STATUS__TOPIC_EXISTS,
    [BROKER_BAD_TOPIC_NAME] = KAURI__STATUS__BAD_TOPIC_NAME,
    [BROKER_BAD_PARTITIONS] = KAURI__STATUS__BAD_PARTITIONS,
    [BROKER_BAD_REPLICATION] = KAURI__STATUS__BAD_REPLICATION,
    [BROKER_BAD_CONFIG] = KAURI__STATUS__BAD_CONFIG,
    [BROKER_BATCH_CORRUPT] = KAURI__STATUS__BATCH_CORRUPT,
    [BROKER_BATCH_INVALID] = KAURI__STATUS__BATCH_INVALID,
    [BROKER_BATCH_TIMESTAMP] = KAURI__STATUS__BATCH_TIMESTAMP,
    [BROKER_BATCH_TOO_LARGE] = KAURI__STATUS__BATCH_TOO_LARGE,
    [BROKER_SEQUENCE_GAP] = KAURI__STATUS__SEQUENCE_GAP,
    [BROKER_PRODUCER_FENCED] = KAURI__STATUS__PRODUCER_FENCED,
    [BROKER_OFFSET_OUT_OF_RANGE] = KAURI__STATUS__OFFSET_OUT_OF_RANGE,
    [BROKER_LOADING] = KAURI__STATUS__LOADING,
    [BROKER_DISK_FULL] = KAURI__STATUS__DISK_FULL,
    [BROKER_STORAGE] = KAURI__STATUS__STORAGE,
    [BROKER_BUSY] = KAURI__STATUS__BUSY,
    [BROKER_TIMED_OUT] = KAURI__STATUS__TIMED_OUT,
    [BROKER_STOPPING] = KAURI__STATUS__STOPPING,
    [BROKER_DENIED] = KAURI__STATUS__DENIED,
    [BROKER_NOT_ENOUGH_REPLICAS] = KAURI__STATUS__NOT_ENOUGH_REPLICAS,
};

static bool nano_errmap_from(Kauri__Status status, enum broker_status *out)
{
    for (int i = 0; i < BROKER_STATUS_COUNT; i++) {
        if (nano_errmap_rows[i] == status) {
            *out = (enum broker_status)i;
            return true;
        }
    }
    return false;
}

Kauri__Status nano_errmap_status(enum broker_status status)
{
    ASSERT((unsigned)status < BROKER_STATUS_COUNT);
    return nano_errmap_rows[status];
}

const char *nano_errmap_text(Kauri__Status status)
{
    enum broker_status from;
    if (status == KAURI__STATUS__OK)
        return "";
    if (status == KAURI__STATUS__UNSUPPORTED_VERSION)
        return "the broker does not speak this protocol version";
    if (status == KAURI__STATUS__UNKNOWN_SESSION)
        return "unknown session: say hello";
    bool found = nano_errmap_from(status, &from);
    ASSERT(found);
    return broker_status_text(from);
}
