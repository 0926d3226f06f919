/* SPDX-License-Identifier: MIT
 *
 * fleet: three brokers that replicate (test/unit/broker/cluster_world.h), and a Kafka front with a
 * client before any one of them. The brokers are real, on simulated disks and a simulated network;
 * only their Kafka addresses are made up: rig:9092.
 */
#pragma once

#include "test/unit/broker/cluster_world.h"
#include "test/unit/kafka/kclient.h"

struct fleet {
    struct world w;
    struct kclient c; /* of the broker that is asked */
};

/* The first leads, in rack a, the second is in rack b, the third in none, and all send consumers to
 * their rack. "t" has 2 partitions on all of them and 5 records in the first; "solo" is on the
 * leader alone. */
void fleet_open(struct fleet *f);
void fleet_close(struct fleet *f);
/* From now on it is this broker that is asked. */
void fleet_ask(struct fleet *f, int id);

void fleet_create(struct fleet *f, const char *topic, int32_t partitions, int32_t replication);
/* One more record in "t", with acks=all, not through a front. */
void fleet_put(struct fleet *f, int id, uint64_t tag);
/* Of the leader of "t", as this broker knows it. */
int32_t fleet_epoch_at(struct fleet *f, int id);

/* Requests about one topic; "t" where there is no name. */
const struct kp_metadata_response *fleet_metadata(struct fleet *f, int16_t version,
                                                  const char *topic, bool make);
const struct kp_produce_response *fleet_produce(struct fleet *f, int16_t version);
struct kp_list_offsets_response_partition fleet_list(struct fleet *f, int16_t version,
                                                     int32_t replica, int64_t time, int32_t epoch);
struct kp_offset_for_leader_epoch_response_partition fleet_end_of(struct fleet *f, int32_t current,
                                                                  int32_t epoch);
/* The address is that of this broker, as told by `self`. */
void fleet_broker(struct fleet *f, int32_t id, struct slice host, int32_t port, int self);
