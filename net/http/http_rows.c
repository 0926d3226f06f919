/* SPDX-License-Identifier: MIT
 *
 * http_rows: the families of /metrics. Those with a row for each topic, partition, group or
 * committed offset are a table: name, type, help, and the field of the row that is the value.
 *
 * The names that begin with kafka_ are those of kafka_exporter, with its labels, so that dashboards
 * made for it work: also where their names end in _sum though they are gauges.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/broker/broker.h"
#include "engine/broker/broker_counters.h"
#include "engine/broker/broker_group.h"
#include "net/http/http_page.h"
#include "net/http/http_process.h"
#include "net/http/http_text.h"

static const struct http_text_labels http_rows_bare = {NULL, 0};

#define HTTP_ROWS_LABELS(v) ((struct http_text_labels){(v), sizeof(v) / sizeof(v)[0]})

/* --- the broker's own figures ----------------------------------------------------------------- */

static void http_rows_gauge(struct http_page *p, const char *name, const char *help, int64_t value)
{
    http_text_head(&p->out, name, HTTP_TEXT_GAUGE, help);
    http_text_i64(&p->out, name, http_rows_bare, value);
}

static void http_rows_counter(struct http_page *p, const char *name, const char *help,
                              uint64_t value)
{
    http_text_head(&p->out, name, HTTP_TEXT_COUNTER, help);
    http_text_u64(&p->out, name, http_rows_bare, value);
}

static void http_rows_seconds(struct http_page *p, const char *name, enum http_text_type type,
                              const char *help, int64_t us)
{
    http_text_head(&p->out, name, type, help);
    http_text_us(&p->out, name, http_rows_bare, us > 0 ? (uint64_t)us : 0);
}

static void http_rows_life(struct http_page *p, const struct broker_counters *c)
{
    const struct clock *clock = p->options->clock;
    const struct http_text_label version[] = {{"version", slice_str(p->options->version)}};
    http_text_head(&p->out, "kauri_build_info", HTTP_TEXT_GAUGE, "which kauri this is; always 1");
    http_text_u64(&p->out, "kauri_build_info", HTTP_ROWS_LABELS(version), 1);
    http_rows_seconds(p, "kauri_start_time_seconds", HTTP_TEXT_GAUGE,
                      "when the data folder was opened, Unix time", c->opened_ms * 1000);
    http_rows_seconds(p, "kauri_uptime_seconds", HTTP_TEXT_GAUGE, "time since then",
                      (clock->wall_ms(clock) - c->opened_ms) * 1000);
    http_rows_gauge(p, "kauri_ready", "1 when /readyz answers 200", p->ready);
}

/* Under our name and the one that every Prometheus client has. */
static void http_rows_process(struct http_page *p)
{
    struct http_process u;
    http_process(&u);
    http_rows_gauge(p, "kauri_process_resident_memory_bytes",
                    "memory in RAM, mapped files included", (int64_t)u.resident_size);
    http_rows_gauge(p, "kauri_process_anonymous_memory_bytes", "of it what is no file's",
                    (int64_t)u.anonymous_size);
    http_rows_gauge(p, "kauri_process_open_fds", "open descriptors", (int64_t)u.descriptors);
    http_rows_seconds(p, "kauri_process_cpu_seconds_total", HTTP_TEXT_COUNTER,
                      "processor time, user and system", u.cpu_us);
    http_rows_gauge(p, "process_resident_memory_bytes", "memory in RAM, mapped files included",
                    (int64_t)u.resident_size);
    http_rows_gauge(p, "process_open_fds", "open descriptors", (int64_t)u.descriptors);
    http_rows_gauge(p, "process_max_fds", "most descriptors", (int64_t)u.descriptors_max);
    http_rows_seconds(p, "process_cpu_seconds_total", HTTP_TEXT_COUNTER,
                      "processor time, user and system", u.cpu_us);
}

static void http_rows_store(struct http_page *p, const struct broker_counters *c)
{
    struct broker_info b;
    broker_info(p->options->broker, &b);
    http_rows_gauge(p, "kauri_topics", "topics, the broker's own included", (int64_t)b.topics);
    http_rows_gauge(p, "kauri_partitions", "partitions of all topics", (int64_t)b.partitions);
    http_rows_gauge(p, "kauri_partitions_loading",
                    "partitions in recovery; 1 more when others wait for it", (int64_t)c->loading);
    http_rows_gauge(p, "kauri_disk_free_bytes", "free space of the data folder's disk",
                    (int64_t)b.disk_free_size);
    http_rows_gauge(p, "kauri_disk_size_bytes", "size of that disk", (int64_t)c->disk_size);
    http_rows_gauge(p, "kauri_disk_full", "1 while produce is refused for lack of space",
                    b.disk_full);
    http_rows_gauge(p, "kauri_jobs", "jobs with the workers", (int64_t)c->jobs);
    http_rows_gauge(p, "kauri_produce_in_flight_bytes", "bytes of produce requests not answered",
                    (int64_t)c->in_flight_size);
    http_rows_counter(p, "kauri_round_partitions_total", "partitions written in all write rounds",
                      c->round_partitions);
    http_rows_gauge(p, "kauri_partitions_damaged",
                    "partitions with damage that no other replica could repair yet",
                    (int64_t)c->damaged);
    http_rows_counter(p, "kauri_repaired_ranges_total",
                      "damaged ranges of logs that were repaired from another replica", c->mended);
    http_rows_counter(p, "kauri_repaired_bytes_total", "bytes fetched for that", c->mended_size);
    const char *name = "kauri_round_duration_seconds";
    const struct http_text_label os[] = {{"durability", slice_str("os")}};
    const struct http_text_label sync[] = {{"durability", slice_str("sync")}};
    http_text_head(&p->out, name, HTTP_TEXT_HISTOGRAM, "write rounds, from start to end");
    http_text_tally(&p->out, name, HTTP_ROWS_LABELS(os), &c->rounds[0]);
    http_text_tally(&p->out, name, HTTP_ROWS_LABELS(sync), &c->rounds[1]);
    name = "kauri_sync_duration_seconds";
    http_text_head(&p->out, name, HTTP_TEXT_HISTOGRAM, "the syncs of a round, all files together");
    http_text_tally(&p->out, name, http_rows_bare, &c->syncs);
}

/* One family with a row for each front; UINT64_MAX: the front does not know. */
static void http_rows_front(struct http_page *p, const char *name, enum http_text_type type,
                            const char *help, uint64_t (*value)(const struct http_front *f))
{
    if (p->watch.front_count == 0)
        return;
    http_text_head(&p->out, name, type, help);
    for (size_t i = 0; i < p->watch.front_count; i++) {
        const struct http_front *f = &p->watch.fronts[i];
        const struct http_text_label front[] = {{"front", slice_str(f->name)}};
        uint64_t v = value(f);
        if (v != UINT64_MAX)
            http_text_u64(&p->out, name, HTTP_ROWS_LABELS(front), v);
    }
}

static uint64_t http_rows_connections(const struct http_front *f)
{
    return f->connections;
}

static uint64_t http_rows_running(const struct http_front *f)
{
    return f->running;
}

static uint64_t http_rows_in_flight(const struct http_front *f)
{
    return f->in_flight_size;
}

static uint64_t http_rows_accepted(const struct http_front *f)
{
    return f->counts_bytes ? f->accepted : UINT64_MAX;
}

static uint64_t http_rows_refused(const struct http_front *f)
{
    return f->refused;
}

static uint64_t http_rows_bytes_in(const struct http_front *f)
{
    return f->counts_bytes ? f->bytes_in : UINT64_MAX;
}

static uint64_t http_rows_bytes_out(const struct http_front *f)
{
    return f->counts_bytes ? f->bytes_out : UINT64_MAX;
}

static void http_rows_fronts(struct http_page *p)
{
    http_rows_front(p, "kauri_connections", HTTP_TEXT_GAUGE,
                    "connections; sessions of the native protocol", http_rows_connections);
    http_rows_front(p, "kauri_requests_running", HTTP_TEXT_GAUGE, "requests with the broker",
                    http_rows_running);
    http_rows_front(p, "kauri_requests_in_flight_bytes", HTTP_TEXT_GAUGE,
                    "bytes of requests in memory", http_rows_in_flight);
    http_rows_front(p, "kauri_connections_accepted_total", HTTP_TEXT_COUNTER,
                    "connections since the start", http_rows_accepted);
    http_rows_front(p, "kauri_requests_refused_total", HTTP_TEXT_COUNTER,
                    "requests refused by the front itself", http_rows_refused);
    http_rows_front(p, "kauri_received_bytes_total", HTTP_TEXT_COUNTER, "bytes received",
                    http_rows_bytes_in);
    http_rows_front(p, "kauri_sent_bytes_total", HTTP_TEXT_COUNTER, "bytes sent",
                    http_rows_bytes_out);
}

static void http_rows_apis(struct http_page *p)
{
    const char *counter = "kauri_requests_total", *seconds = "kauri_request_duration_seconds";
    if (p->watch.api_count == 0)
        return;
    http_text_head(&p->out, counter, HTTP_TEXT_COUNTER, "requests answered");
    for (size_t i = 0; i < p->watch.api_count; i++) {
        const struct http_api *a = &p->watch.apis[i];
        const struct http_text_label labels[] = {{"front", slice_str(a->front)},
                                                 {"api", slice_str(a->name)}};
        http_text_u64(&p->out, counter, HTTP_ROWS_LABELS(labels), a->latency.count);
    }
    http_text_head(&p->out, seconds, HTTP_TEXT_HISTOGRAM,
                   "from a whole request to its answer, the waiting that it asked for included");
    for (size_t i = 0; i < p->watch.api_count; i++) {
        const struct http_api *a = &p->watch.apis[i];
        const struct http_text_label labels[] = {{"front", slice_str(a->front)},
                                                 {"api", slice_str(a->name)}};
        http_text_tally(&p->out, seconds, HTTP_ROWS_LABELS(labels), &a->latency);
    }
}

static void http_rows_groups(struct http_page *p, const struct broker_counters *c)
{
    const char *states = "kauri_groups", *moves = "kauri_group_rebalances_total";
    http_text_head(&p->out, states, HTTP_TEXT_GAUGE, "consumer groups, by state");
    for (unsigned s = 0; s < BROKER_GROUP_STATE_COUNT; s++) {
        const char *text = broker_group_state_text((enum broker_group_state)s);
        const struct http_text_label state[] = {{"state", slice_str(text)}};
        uint64_t count = 0;
        for (size_t i = 0; i < p->group_count; i++)
            count += !p->groups[i].gone && p->groups[i].state == text;
        http_text_u64(&p->out, states, HTTP_ROWS_LABELS(state), count);
    }
    http_text_head(&p->out, moves, HTTP_TEXT_COUNTER, "rebalances of all groups, by cause");
    for (unsigned k = 0; k < BROKER_GROUP_CAUSE_COUNT; k++) {
        const struct http_text_label cause[] = {
            {"cause", slice_str(broker_group_cause_text((enum broker_group_cause)k))}};
        http_text_u64(&p->out, moves, HTTP_ROWS_LABELS(cause), c->rebalances[k]);
    }
    http_rows_gauge(p, "kauri_metrics_partitions_left_out",
                    "partitions beyond metrics.partitions.max, without rows in this page",
                    (int64_t)p->partitions_left_out);
    http_rows_gauge(p, "kauri_metrics_offsets_left_out",
                    "committed offsets beyond metrics.partitions.max, likewise",
                    (int64_t)p->offsets_left_out);
}

static void http_rows_cluster(struct http_page *p)
{
    static const char *const roles[] = {"alone",     "starting",  "seeking",
                                        "following", "promoting", "leading"};
    struct broker_cluster_info c;
    broker_cluster_info(p->options->broker, &c);
    http_text_head(&p->out, "kauri_cluster_role", HTTP_TEXT_GAUGE,
                   "1 at what this broker is in its cluster");
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        const struct http_text_label role[] = {{"role", slice_str(roles[i])}};
        http_text_u64(&p->out, "kauri_cluster_role", HTTP_ROWS_LABELS(role),
                      strcmp(c.role, roles[i]) == 0);
    }
    http_rows_gauge(p, "kauri_cluster_term", "of the leader; 0 while there is one broker", c.term);
    http_rows_gauge(p, "kauri_cluster_leader", "node id of the leader, -1 when none is known",
                    c.leader);
}

static size_t http_rows_brokers(const struct http_page *p)
{
    struct broker_member m;
    size_t count = 0;
    for (size_t i = 0; broker_member(p->options->broker, i, &m) == 0; i++)
        count += !m.left;
    return count;
}

static void http_rows_exporter(struct http_page *p)
{
    struct broker_member m;
    char id[16], address[320];
    http_rows_gauge(p, "kafka_brokers", "brokers of the cluster", (int64_t)http_rows_brokers(p));
    http_text_head(&p->out, "kafka_broker_info", HTTP_TEXT_GAUGE, "the brokers; always 1");
    for (size_t i = 0; broker_member(p->options->broker, i, &m) == 0; i++) {
        if (m.left)
            continue;
        (void)snprintf(id, sizeof id, "%d", m.id);
        (void)snprintf(address, sizeof address, "%.256s:%d", m.kafka_host, m.kafka_port);
        bool own = m.self && p->options->kafka != NULL;
        const char *told = own ? p->options->kafka : m.kafka_host[0] != '\0' ? address : "";
        const struct http_text_label labels[] = {{"id", slice_str(id)},
                                                 {"address", slice_str(told)}};
        http_text_u64(&p->out, "kafka_broker_info", HTTP_ROWS_LABELS(labels), 1);
    }
}

void http_rows_broker(struct http_page *p)
{
    struct broker_counters c;
    broker_counters(p->options->broker, &c);
    http_rows_life(p, &c);
    http_rows_process(p);
    http_rows_store(p, &c);
    http_rows_fronts(p);
    http_rows_apis(p);
    http_rows_groups(p, &c);
    http_rows_cluster(p);
    http_rows_exporter(p);
}

/* --- families with many rows ------------------------------------------------------------------ */

enum http_rows_kind {
    HTTP_ROWS_TOPIC,
    HTTP_ROWS_PARTITION,
    HTTP_ROWS_FOLLOWER, /* of the partitions: the broker is asked when it is told */
    HTTP_ROWS_GROUP,
    HTTP_ROWS_OFFSET,
    HTTP_ROWS_SUM, /* of the offsets of a group in a topic */
};

enum http_rows_unit {
    HTTP_ROWS_PLAIN,
    HTTP_ROWS_MS,
    HTTP_ROWS_ONE, /* the row itself is what is told */
};

struct http_rows_family {
    const char *name;
    const char *help;
    enum http_rows_kind kind;
    enum http_text_type type;
    enum http_rows_unit unit;
    size_t field;      /* offset in the row */
    const char *group; /* name of the label */
};

#define HTTP_ROWS_OF(row, field) offsetof(struct http_page_##row, field)

/* clang-format off */
/* A follower's row. */
struct http_rows_follower {
    int64_t lag;
    int64_t lag_size;
    int64_t caught_up_ms;
    int64_t in_sync;
    int64_t since_ms;
};

static const struct http_rows_family http_rows_families[] = {
    {"kauri_topic_partitions", "partitions of a topic",
     HTTP_ROWS_TOPIC, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(topic, partitions), NULL},
    {"kafka_topic_partitions", "partitions of a topic",
     HTTP_ROWS_TOPIC, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(topic, partitions), NULL},

    {"kauri_partition_log_start_offset", "the oldest record kept",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, start), NULL},
    {"kauri_partition_high_watermark", "the offset behind the last record that consumers see",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, end), NULL},
    {"kauri_partition_size_bytes", "bytes of its segments",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, size), NULL},
    {"kauri_partition_produced_records_total", "records appended since the start",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, records_in), NULL},
    {"kauri_partition_produced_bytes_total", "bytes of their batches",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, size_in), NULL},
    {"kauri_partition_produced_batches_total", "batches appended since the start",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, batches_in), NULL},
    {"kauri_partition_fetched_records_total", "records sent since the start, to all consumers",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, records_out), NULL},
    {"kauri_partition_fetched_bytes_total", "bytes of their batches",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, size_out), NULL},
    {"kauri_partition_fetches_total", "fetches that were answered with records",
     HTTP_ROWS_PARTITION, HTTP_TEXT_COUNTER, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, fetches), NULL},

    {"kafka_topic_partition_current_offset", "the offset behind the last record",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, end), NULL},
    {"kafka_topic_partition_oldest_offset", "the oldest record kept",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, start), NULL},
    {"kafka_topic_partition_leader", "node id of the leader",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, leader), NULL},
    {"kafka_topic_partition_leader_is_preferred", "1 when the leader is the first replica",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, preferred), NULL},
    {"kafka_topic_partition_replicas", "replicas",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, replicas), NULL},
    {"kafka_topic_partition_in_sync_replica", "replicas that are in sync",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, in_sync), NULL},
    {"kafka_topic_partition_under_replicated_partition", "1 when a replica is not in sync",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, under), NULL},

    {"kauri_partition_in_sync_replicas", "replicas that are in sync, the leader included",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(partition, in_sync), NULL},
    {"kauri_partition_under_replicated", "1 when a replica is not in sync",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, under), NULL},
    {"kauri_partition_leader_epoch", "leader epoch of a partition",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, epoch), NULL},
    {"kauri_partition_fenced",
     "1 when the leader's log parts from ours below the high watermark: nothing is followed",
     HTTP_ROWS_PARTITION, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(partition, fenced), NULL},
    {"kauri_follower_in_sync", "1 when a follower of this leader is in sync",
     HTTP_ROWS_FOLLOWER, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     offsetof(struct http_rows_follower, in_sync), NULL},
    {"kauri_follower_since_seconds", "time since it is in sync, or is not",
     HTTP_ROWS_FOLLOWER, HTTP_TEXT_GAUGE, HTTP_ROWS_MS,
     offsetof(struct http_rows_follower, since_ms), NULL},
    {"kauri_follower_lag_bytes", "bytes that a follower of this leader lacks, about",
     HTTP_ROWS_FOLLOWER, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     offsetof(struct http_rows_follower, lag_size), NULL},
    {"kauri_follower_lag_records", "records that a follower of this leader lacks",
     HTTP_ROWS_FOLLOWER, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     offsetof(struct http_rows_follower, lag), NULL},
    {"kauri_follower_lag_seconds", "time since a follower had everything; 0 when it has",
     HTTP_ROWS_FOLLOWER, HTTP_TEXT_GAUGE, HTTP_ROWS_MS,
     offsetof(struct http_rows_follower, caught_up_ms), NULL},

    {"kauri_group_state", "state and model of a group, in labels; always 1",
     HTTP_ROWS_GROUP, HTTP_TEXT_GAUGE, HTTP_ROWS_ONE, 0, "group"},
    {"kauri_group_members", "members of a group",
     HTTP_ROWS_GROUP, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(group, members), "group"},
    {"kauri_group_stuck_partitions", "partitions that stand while others of the group move",
     HTTP_ROWS_GROUP, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(group, stuck), "group"},
    {"kauri_group_not_consumed_partitions", "partitions that stand, as all of the group do",
     HTTP_ROWS_GROUP, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(group, not_consumed), "group"},
    {"kafka_consumergroup_members", "members of a group",
     HTTP_ROWS_GROUP, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(group, members), "consumergroup"},

    {"kauri_group_committed_offset", "the next record that a group reads",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(offset, committed), "group"},
    {"kauri_group_lag_records", "records that a group has not read",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(offset, lag), "group"},
    {"kauri_group_lag_seconds", "time since the committed offset moved; 0 when all is read",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_MS, HTTP_ROWS_OF(offset, behind_ms), "group"},
    {"kauri_group_stuck", "1 when an offset with unread records stands for group.stuck.ms",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(offset, stuck), "group"},
    {"kafka_consumergroup_current_offset", "the next record that a group reads",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(offset, committed), "consumergroup"},
    {"kafka_consumergroup_lag", "records that a group has not read",
     HTTP_ROWS_OFFSET, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(offset, lag), "consumergroup"},
    {"kafka_consumergroup_current_offset_sum", "committed offsets, over a topic",
     HTTP_ROWS_SUM, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN,
     HTTP_ROWS_OF(offset, committed), "consumergroup"},
    {"kafka_consumergroup_lag_sum", "records that a group has not read, over a topic",
     HTTP_ROWS_SUM, HTTP_TEXT_GAUGE, HTTP_ROWS_PLAIN, HTTP_ROWS_OF(offset, lag), "consumergroup"},
};
/* clang-format on */
#define HTTP_ROWS_FAMILIES (sizeof http_rows_families / sizeof http_rows_families[0])

static size_t http_rows_count(const struct http_page *p, enum http_rows_kind kind)
{
    switch (kind) {
    case HTTP_ROWS_TOPIC:
        return p->topic_count;
    case HTTP_ROWS_PARTITION:
    case HTTP_ROWS_FOLLOWER:
        return p->partition_count;
    case HTTP_ROWS_GROUP:
        return p->group_count;
    case HTTP_ROWS_OFFSET:
    case HTTP_ROWS_SUM:
        return p->offset_count;
    }
    return 0;
}

static int64_t http_rows_value(const struct http_rows_family *f, const void *row)
{
    int64_t value = 0;
    switch (f->unit) {
    case HTTP_ROWS_PLAIN:
    case HTTP_ROWS_MS:
        memcpy(&value, (const uint8_t *)row + f->field, sizeof value);
        return value;
    case HTTP_ROWS_ONE:
        return 1;
    }
    return value;
}

static void http_rows_put(struct http_page *p, const struct http_rows_family *f,
                          struct http_text_labels labels, int64_t value)
{
    if (value == HTTP_PAGE_NONE)
        return;
    if (f->unit == HTTP_ROWS_MS)
        http_text_us(&p->out, f->name, labels, (uint64_t)value * 1000);
    else
        http_text_i64(&p->out, f->name, labels, value);
}

static void http_rows_topic(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_topic *row = &p->topics[i];
    const struct http_text_label labels[] = {{"topic", row->name}};
    http_rows_put(p, f, HTTP_ROWS_LABELS(labels), http_rows_value(f, row));
}

static void http_rows_partition(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_partition *row = &p->partitions[i];
    char number[16];
    (void)snprintf(number, sizeof number, "%d", row->number);
    const struct http_text_label labels[] = {{"partition", slice_str(number)},
                                             {"topic", p->topics[row->topic].name}};
    http_rows_put(p, f, HTTP_ROWS_LABELS(labels), http_rows_value(f, row));
}

static void http_rows_followers(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_partition *row = &p->partitions[i];
    struct slice topic = p->topics[row->topic].name;
    struct broker_follower follower;
    char number[16], id[16];
    (void)snprintf(number, sizeof number, "%d", row->number);
    for (size_t n = 0;
         broker_partition_follower(p->options->broker, topic, row->number, n, &follower) == 0;
         n++) {
        (void)snprintf(id, sizeof id, "%d", follower.id);
        const struct http_text_label labels[] = {
            {"broker", slice_str(id)}, {"partition", slice_str(number)}, {"topic", topic}};
        const struct http_rows_follower figures = {
            .lag = follower.lag,
            .lag_size = follower.lag_size,
            .caught_up_ms = follower.lag == 0 ? 0 : follower.caught_up_ms,
            .in_sync = follower.in_sync,
            .since_ms = follower.since_ms};
        int64_t value = http_rows_value(f, &figures);
        http_rows_put(p, f, HTTP_ROWS_LABELS(labels), value < 0 ? HTTP_PAGE_NONE : value);
    }
}

static void http_rows_group(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_group *row = &p->groups[i];
    if (row->gone)
        return;
    const struct http_text_label labels[] = {
        {f->group, row->name}, {"state", slice_str(row->state)}, {"type", slice_str(row->type)}};
    struct http_text_labels all = HTTP_ROWS_LABELS(labels);
    all.count = f->unit == HTTP_ROWS_ONE ? all.count : 1;
    http_rows_put(p, f, all, http_rows_value(f, row));
}

static void http_rows_offset(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_offset *row = &p->offsets[i];
    char number[16];
    (void)snprintf(number, sizeof number, "%d", row->partition);
    const struct http_text_label labels[] = {{f->group, p->groups[row->group].name},
                                             {"partition", slice_str(number)},
                                             {"topic", row->topic}};
    http_rows_put(p, f, HTTP_ROWS_LABELS(labels), http_rows_value(f, row));
}

static bool http_rows_same(const struct http_page_offset *a, const struct http_page_offset *b)
{
    return a->group == b->group && slice_equal(a->topic, b->topic);
}

/* At the first of a group's rows in a topic, over all of them; what is not known counts nothing. */
static void http_rows_sum(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    const struct http_page_offset *row = &p->offsets[i];
    int64_t sum = HTTP_PAGE_NONE;
    if (i > 0 && http_rows_same(row, row - 1))
        return;
    for (; i < p->offset_count && http_rows_same(row, &p->offsets[i]); i++) {
        int64_t value = http_rows_value(f, &p->offsets[i]);
        if (value != HTTP_PAGE_NONE)
            sum = (sum == HTTP_PAGE_NONE ? 0 : sum) + value;
    }
    const struct http_text_label labels[] = {{f->group, p->groups[row->group].name},
                                             {"topic", row->topic}};
    http_rows_put(p, f, HTTP_ROWS_LABELS(labels), sum);
}

static void http_rows_one(struct http_page *p, const struct http_rows_family *f, size_t i)
{
    switch (f->kind) {
    case HTTP_ROWS_TOPIC:
        http_rows_topic(p, f, i);
        break;
    case HTTP_ROWS_PARTITION:
        http_rows_partition(p, f, i);
        break;
    case HTTP_ROWS_FOLLOWER:
        http_rows_followers(p, f, i);
        break;
    case HTTP_ROWS_GROUP:
        http_rows_group(p, f, i);
        break;
    case HTTP_ROWS_OFFSET:
        http_rows_offset(p, f, i);
        break;
    case HTTP_ROWS_SUM:
        http_rows_sum(p, f, i);
        break;
    }
}

bool http_rows_some(struct http_page *p)
{
    ASSERT(p->family < HTTP_ROWS_FAMILIES);
    const struct http_rows_family *f = &http_rows_families[p->family];
    size_t count = http_rows_count(p, f->kind);
    if (p->at == 0)
        http_text_head(&p->out, f->name, f->type, f->help);
    for (size_t n = 0; n < HTTP_STEP_ROWS && p->at < count && p->out.size < HTTP_PIECE_SIZE; n++)
        http_rows_one(p, f, p->at++);
    if (p->at < count)
        return true;
    p->family++;
    p->at = 0;
    return p->family < HTTP_ROWS_FAMILIES;
}
