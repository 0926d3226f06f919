/* SPDX-License-Identifier: MIT
 *
 * describe: see describe.h.
 */
#include "cli/kafka/describe.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/assert.h"

static bool describe_whole(const struct describe_filter *filter)
{
    return !filter->under_replicated && !filter->unavailable && !filter->under_min_isr &&
           !filter->at_min_isr;
}

bool describe_wants_min_isr(const struct describe_filter *filter)
{
    return filter->under_min_isr || filter->at_min_isr;
}

static bool describe_alive(const struct rd_kafka_metadata *cluster, int32_t id)
{
    for (int i = 0; i < cluster->broker_cnt; i++)
        if (cluster->brokers[i].id == id)
            return true;
    return false;
}

static bool describe_shows(const struct describe_filter *filter,
                           const struct rd_kafka_metadata *cluster,
                           const struct rd_kafka_metadata_partition *p, int64_t min_isr)
{
    bool led = describe_alive(cluster, p->leader);
    if (describe_whole(filter))
        return true;
    return (filter->under_replicated && p->isr_cnt < p->replica_cnt) ||
           (filter->unavailable && !led) ||
           (filter->under_min_isr && (!led || p->isr_cnt < min_isr)) ||
           (filter->at_min_isr && p->isr_cnt == min_isr);
}

static void describe_ids(const char *label, const int32_t *ids, int count, struct buf *out)
{
    buf_printf(out, "\t%s: ", label);
    for (int i = 0; i < count; i++)
        buf_printf(out, "%s%" PRId32, i > 0 ? "," : "", ids[i]);
}

static void describe_partition(const struct rd_kafka_metadata *cluster, const char *topic,
                               const struct rd_kafka_metadata_partition *p, struct buf *out)
{
    buf_printf(out, "\tTopic: %s\tPartition: %" PRId32, topic, p->id);
    if (describe_alive(cluster, p->leader))
        buf_printf(out, "\tLeader: %" PRId32, p->leader);
    else
        buf_printf(out, "\tLeader: none");
    describe_ids("Replicas", p->replicas, p->replica_cnt, out);
    describe_ids("Isr", p->isrs, p->isr_cnt, out);
    buf_printf(out, "\tElr: N/A\tLastKnownElr: N/A\n");
}

static int describe_order(const void *a, const void *b)
{
    const struct rd_kafka_metadata_partition *const *x = a;
    const struct rd_kafka_metadata_partition *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static void describe_head(const struct rd_kafka_metadata_topic *topic, int replicas,
                          const struct describe_configs *configs, struct buf *out)
{
    buf_printf(out, "Topic: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %.*s\n",
               topic->topic, topic->partition_cnt, replicas, (int)configs->text.size,
               configs->text.p != NULL ? (const char *)configs->text.p : "");
}

void describe_topic(const struct describe_filter *filter, const struct rd_kafka_metadata *cluster,
                    const struct rd_kafka_metadata_topic *topic,
                    const struct describe_configs *configs, struct buf *out)
{
    size_t count = (size_t)topic->partition_cnt;
    if (count == 0)
        return;
    const struct rd_kafka_metadata_partition **sorted =
        assert_memory(calloc(count, sizeof(void *)), count * sizeof(void *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &topic->partitions[i];
    qsort(sorted, count, sizeof(void *), describe_order);
    if (describe_whole(filter) && (!filter->overrides || configs->text.size > 0))
        describe_head(topic, sorted[0]->replica_cnt, configs, out);
    for (size_t i = 0; i < count && !filter->overrides; i++)
        if (describe_shows(filter, cluster, sorted[i], configs->min_isr))
            describe_partition(cluster, topic->topic, sorted[i], out);
    free(sorted);
}
