/* SPDX-License-Identifier: MIT */
#include "test/unit/kafka/fleet.h"

#include "engine/base/cleanup.h"

#define FLEET_SELECTOR "org.apache.kafka.common.replica.RackAwareReplicaSelector"

static void fleet_turn(void *ctx)
{
    world_run(ctx, 2);
}

void fleet_ask(struct fleet *f, int id)
{
    if (f->c.k != NULL)
        kclient_detach(&f->c);
    kclient_attach(&f->c, &f->w.nodes[id].rig, fleet_turn, &f->w);
}

void fleet_create(struct fleet *f, const char *topic, int32_t partitions, int32_t replication)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, topic);
    a.req.partitions = partitions;
    a.req.replication = replication;
    rig_admin_start(&f->w.nodes[1].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&f->w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

void fleet_put(struct fleet *f, int id, uint64_t tag)
{
    struct rig_batch b = {.tag = tag};
    enum broker_status s = BROKER_LOADING;
    for (int tries = 0; s != BROKER_OK && tries < 50; tries++) {
        struct rig_produce *p = world_produce(&f->w, id, "t", -1, &b);
        for (int i = 0; p->done == 0 && i < 1000; i++)
            world_run(&f->w, 20);
        s = p->items[0].status;
        rig_produce_free(p);
    }
    ck_assert_int_eq(s, BROKER_OK);
}

void fleet_open(struct fleet *f)
{
    static const char *const racks[] = {"", "a", "b", ""};
    world_init(&f->w, 1, 3);
    f->c = (struct kclient){0};
    for (int i = 1; i <= 3; i++) {
        rig_set(&f->w.nodes[i].rig, "broker.rack", racks[i]);
        rig_set(&f->w.nodes[i].rig, "replica.selector.class", FLEET_SELECTOR);
        world_start(&f->w, i);
        if (i == 1)
            fleet_create(f, "t", 2, -1);
    }
    world_wait_isr(&f->w, "t", 3, 30000);
    fleet_create(f, "solo", 1, 1);
    for (uint64_t i = 0; i < 5; i++)
        fleet_put(f, 1, i);
    world_run(&f->w, 3000); /* followers hear of the last high watermark */
}

void fleet_close(struct fleet *f)
{
    if (f->c.k != NULL)
        kclient_detach(&f->c);
    world_deinit(&f->w);
}

int32_t fleet_epoch_at(struct fleet *f, int id)
{
    struct broker_partition_info info;
    ck_assert_int_eq(broker_partition(f->w.nodes[id].rig.broker, slice_str("t"), 0, true, &info),
                     0);
    return info.epoch;
}

const struct kp_metadata_response *fleet_metadata(struct fleet *f, int16_t version,
                                                  const char *topic, bool make)
{
    struct kp_metadata_request q = KP_METADATA_REQUEST_INIT;
    struct kp_metadata_request_topic t = KP_METADATA_REQUEST_TOPIC_INIT;
    t.name = slice_str(topic);
    q.topics.v = &t;
    q.topics.count = 1;
    q.allow_auto_topic_creation = make;
    return kclient_ask(&f->c, KP_API_METADATA, version, &q);
}

void fleet_broker(struct fleet *f, int32_t id, struct slice host, int32_t port, int self)
{
    bool here = id == self;
    ck_slice(host, here ? "127.0.0.1" : "rig");
    ck_assert_int_eq(port, here ? kafka_port(f->c.k) : 9092);
}

const struct kp_produce_response *fleet_produce(struct fleet *f, int16_t version)
{
    struct buf batch CLEANUP(buf_deinit) = {0};
    struct rig_batch b = {.tag = 77};
    struct kp_produce_request q = KP_PRODUCE_REQUEST_INIT;
    struct kp_produce_request_topic t = KP_PRODUCE_REQUEST_TOPIC_INIT;
    struct kp_produce_request_partition p = KP_PRODUCE_REQUEST_PARTITION_INIT;
    rig_build(&b, &batch);
    p.records = buf_slice(&batch);
    t.name = slice_str("t");
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    q.acks = -1;
    q.timeout_ms = 5000;
    return kclient_ask(&f->c, KP_API_PRODUCE, version, &q);
}

struct kp_list_offsets_response_partition fleet_list(struct fleet *f, int16_t version,
                                                     int32_t replica, int64_t time, int32_t epoch)
{
    struct kp_list_offsets_request q = KP_LIST_OFFSETS_REQUEST_INIT;
    struct kp_list_offsets_request_topic t = KP_LIST_OFFSETS_REQUEST_TOPIC_INIT;
    struct kp_list_offsets_request_partition p = {0, version >= 4 ? epoch : -1, time};
    t.name = slice_str("t");
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    q.replica_id = replica;
    const struct kp_list_offsets_response *a = kclient_ask(&f->c, KP_API_LIST_OFFSETS, version, &q);
    return a->topics.v[0].partitions.v[0];
}

struct kp_offset_for_leader_epoch_response_partition fleet_end_of(struct fleet *f, int32_t current,
                                                                  int32_t epoch)
{
    struct kp_offset_for_leader_epoch_request q = KP_OFFSET_FOR_LEADER_EPOCH_REQUEST_INIT;
    struct kp_offset_for_leader_epoch_request_topic t = {.name = slice_str("t")};
    struct kp_offset_for_leader_epoch_request_partition p = {0, current, epoch};
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    const struct kp_offset_for_leader_epoch_response *a =
        kclient_ask(&f->c, KP_API_OFFSET_FOR_LEADER_EPOCH, 4, &q);
    return a->topics.v[0].partitions.v[0];
}
