/* SPDX-License-Identifier: MIT */
#include "fake_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"
#include "engine/base/crc32c.h"
#include "proto/frame.h"

#define FAKE_ITEMS_MAX 1024

static int64_t fake_calls_now(void)
{
    const struct clock *clock = clock_real();
    return clock->mono_ms(clock);
}

static void fake_calls_simple(struct fake_server *s, struct fake_session *from,
                              const Kauri__Call *call, Kauri__Status status)
{
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.status = status;
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

static void fake_calls_hello(struct fake_server *s, struct fake_session *from,
                             const Kauri__Call *call)
{
    uint32_t version = s->script.version == 0 ? 1 : s->script.version;
    if (call->hello->version != version) {
        fake_calls_simple(s, from, call, KAURI__STATUS__UNSUPPORTED_VERSION);
        return;
    }
    Kauri__HelloAnswer hello;
    kauri__hello_answer__init(&hello);
    hello.version = version;
    hello.software = frame_borrow("fake 1.0");
    hello.cluster_id = frame_borrow("AAAAAAAAAAAAAAAAAAAAAA");
    hello.node_id = 7;
    hello.incarnation = 42;
    hello.message_size_max = 16 * 1024 * 1024;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_HELLO;
    a.hello = &hello;
    fake_server_answer(s, from, KAURI__CALL__CALL_HELLO, &a, SLICE_NULL);
}

/* --- produce --- */

static void fake_calls_item(struct fake_server *s, const Kauri__ProduceItem *item,
                            struct slice batch, Kauri__ProduceResult *r)
{
    kauri__produce_result__init(r);
    r->append_time_ms = -1;
    struct fake_partition *p =
        fake_log_partition(&s->log, item->topic, item->partition, &r->status);
    if (p == NULL)
        return;
    if (s->script.skip_items > 0) {
        s->script.skip_items--;
    } else if (s->script.refuse_items > 0) {
        s->script.refuse_items--;
        r->status = s->script.refuse_status;
        return;
    }
    r->status = fake_log_append(p, batch, &r->base_offset);
    if (s->script.stop_items > 0 && --s->script.stop_items == 0)
        s->silent = true;
}

static void fake_calls_produce(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call, struct slice raw)
{
    Kauri__ProduceResult *results CLEANUP(cleanup_free) = calloc(FAKE_ITEMS_MAX, sizeof *results);
    ASSERT(results != NULL);
    Kauri__ProduceResult *pointers[FAKE_ITEMS_MAX];
    const Kauri__Produce *produce = call->produce;
    ASSERT(produce->n_items <= FAKE_ITEMS_MAX && s->produced_count < FAKE_SEEN_MAX);
    s->produced[s->produced_count++] = (struct fake_seen){call->id, crc32c(raw.p, raw.size)};
    for (size_t i = 0; i < produce->n_items; i++) {
        ASSERT(produce->items[i]->size <= raw.size);
        struct slice batch = slice_of(raw.p, produce->items[i]->size);
        raw = slice_of(raw.p + batch.size, raw.size - batch.size);
        fake_calls_item(s, produce->items[i], batch, &results[i]);
        pointers[i] = &results[i];
    }
    ASSERT(raw.size == 0);
    if (produce->acks == 0)
        return;
    Kauri__ProduceAnswer answer;
    kauri__produce_answer__init(&answer);
    answer.n_results = produce->n_items;
    answer.results = pointers;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_PRODUCE;
    a.produce = &answer;
    if (!s->script.withhold || call->id != s->produced[0].id)
        fake_server_answer(s, from, KAURI__CALL__CALL_PRODUCE, &a, SLICE_NULL);
}

static void fake_calls_init_producer(struct fake_server *s, struct fake_session *from,
                                     const Kauri__Call *call)
{
    Kauri__InitProducerAnswer init;
    kauri__init_producer_answer__init(&init);
    init.producer_id = s->next_producer++;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_INIT_PRODUCER;
    a.init_producer = &init;
    fake_server_answer(s, from, KAURI__CALL__CALL_INIT_PRODUCER, &a, SLICE_NULL);
}

/* --- fetch --- */

struct fake_parked {
    struct list link;
    uint64_t session;
    struct buf call; /* packed */
    uint64_t id;
    int64_t until_ms;
};

/* The bytes of one item; the result's status, size and marks. */
static void fake_calls_read(struct fake_server *s, const Kauri__FetchItem *item,
                            Kauri__FetchResult *r, struct buf *out)
{
    kauri__fetch_result__init(r);
    struct fake_partition *p =
        fake_log_partition(&s->log, item->topic, item->partition, &r->status);
    if (p == NULL)
        return;
    r->log_start = p->log_start;
    r->high_watermark = p->end;
    if (item->offset < p->log_start || item->offset > p->end) {
        r->status = KAURI__STATUS__OFFSET_OUT_OF_RANGE;
        return;
    }
    size_t start = out->size;
    size_t i = fake_log_find(p, item->offset);
    if (i < p->batch_count && p->batches[i].header.base_offset == p->damaged) {
        r->status = KAURI__STATUS__STORAGE;
        r->next_good = p->next_good;
        return;
    }
    for (; i < p->batch_count; i++) {
        const struct fake_batch *b = &p->batches[i];
        bool more = out->size == start || out->size - start + b->header.size <= item->size_max;
        if (!more || b->header.base_offset == p->damaged)
            break;
        buf_append(out, b->bytes, b->header.size);
    }
    r->size = (uint32_t)(out->size - start);
}

/* True when answered: something to say, or no more patience. */
static bool fake_calls_fetch(struct fake_server *s, struct fake_session *from,
                             const Kauri__Call *call, bool must)
{
    Kauri__FetchResult *results CLEANUP(cleanup_free) = calloc(FAKE_ITEMS_MAX, sizeof *results);
    ASSERT(results != NULL);
    Kauri__FetchResult *pointers[FAKE_ITEMS_MAX];
    struct buf raw CLEANUP(buf_deinit) = {0};
    const Kauri__Fetch *fetch = call->fetch;
    ASSERT(fetch->n_items <= FAKE_ITEMS_MAX);
    bool something = false;
    for (size_t i = 0; i < fetch->n_items; i++) {
        fake_calls_read(s, fetch->items[i], &results[i], &raw);
        pointers[i] = &results[i];
        something = something || results[i].status != KAURI__STATUS__OK;
    }
    if (!must && !something && raw.size == 0)
        return false;
    if (s->script.corrupt > 0 && raw.size > 0) {
        s->script.corrupt--;
        raw.p[raw.size - 1] ^= 0x10;
    }
    Kauri__FetchAnswer answer;
    kauri__fetch_answer__init(&answer);
    answer.n_results = fetch->n_items;
    answer.results = pointers;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_FETCH;
    a.fetch = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_FETCH, &a, buf_slice(&raw));
    return true;
}

static void fake_parked_free(struct fake_parked *p)
{
    list_remove(&p->link);
    buf_deinit(&p->call);
    free(p);
}

void fake_calls_drop(struct fake_server *s)
{
    while (!list_empty(&s->parked))
        fake_parked_free(LIST_ENTRY(s->parked.next, struct fake_parked, link));
}

static void fake_calls_park(struct fake_server *s, const struct fake_session *from,
                            const Kauri__Call *call)
{
    LIST_EACH (node, &s->parked) {
        const struct fake_parked *p = LIST_ENTRY(node, struct fake_parked, link);
        if (p->session == from->id && p->id == call->id)
            return; /* still running */
    }
    struct fake_parked *p = calloc(1, sizeof *p);
    ASSERT(p != NULL);
    p->session = from->id;
    p->id = call->id;
    p->until_ms = fake_calls_now() + call->fetch->max_wait_ms;
    buf_reserve(&p->call, kauri__call__get_packed_size(call));
    p->call.size = kauri__call__pack(call, p->call.p);
    list_add_tail(&s->parked, &p->link);
}

void fake_calls_parked(struct fake_server *s)
{
    LIST_EACH_SAFE (node, &s->parked) {
        struct fake_parked *p = LIST_ENTRY(node, struct fake_parked, link);
        Kauri__Call *call = kauri__call__unpack(NULL, p->call.size, p->call.p);
        ASSERT(call != NULL);
        for (size_t i = 0; i < s->session_count; i++)
            if (s->sessions[i].id == p->session &&
                fake_calls_fetch(s, &s->sessions[i], call, fake_calls_now() >= p->until_ms)) {
                fake_parked_free(p);
                break;
            }
        kauri__call__free_unpacked(call, NULL);
    }
}

int fake_calls_wait_ms(struct fake_server *s)
{
    int64_t first = INT64_MAX;
    LIST_EACH (node, &s->parked)
        if (LIST_ENTRY(node, struct fake_parked, link)->until_ms < first)
            first = LIST_ENTRY(node, struct fake_parked, link)->until_ms;
    if (first == INT64_MAX)
        return -1;
    int64_t wait = first - fake_calls_now();
    return wait < 0 ? 0 : (int)wait;
}

static void fake_calls_list_offsets(struct fake_server *s, struct fake_session *from,
                                    const Kauri__Call *call)
{
    Kauri__ListOffsetsResult *results CLEANUP(cleanup_free) =
        calloc(FAKE_ITEMS_MAX, sizeof *results);
    ASSERT(results != NULL);
    Kauri__ListOffsetsResult *pointers[FAKE_ITEMS_MAX];
    const Kauri__ListOffsets *list = call->list_offsets;
    ASSERT(list->n_items <= FAKE_ITEMS_MAX);
    for (size_t i = 0; i < list->n_items; i++) {
        const Kauri__ListOffsetsItem *item = list->items[i];
        Kauri__ListOffsetsResult *r = pointers[i] = &results[i];
        kauri__list_offsets_result__init(r);
        const struct fake_partition *p =
            fake_log_partition(&s->log, item->topic, item->partition, &r->status);
        if (p == NULL)
            continue;
        r->offset = item->timestamp_ms == -2 ? p->log_start : p->end;
        for (size_t b = p->batch_count; item->timestamp_ms >= 0 && b > 0; b--)
            if (p->batches[b - 1].header.max_timestamp >= item->timestamp_ms)
                r->offset = p->batches[b - 1].header.base_offset;
        if (item->timestamp_ms >= 0 && r->offset == p->end)
            r->offset = -1;
    }
    Kauri__ListOffsetsAnswer answer;
    kauri__list_offsets_answer__init(&answer);
    answer.n_results = list->n_items;
    answer.results = pointers;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_LIST_OFFSETS;
    a.list_offsets = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_LIST_OFFSETS, &a, SLICE_NULL);
}

/* --- topics --- */

static Kauri__Status fake_calls_create(struct fake_server *s, const Kauri__TopicCreate *c)
{
    if (fake_log_topic(&s->log, c->name) != NULL)
        return KAURI__STATUS__TOPIC_EXISTS;
    if (strchr(c->name, ' ') != NULL)
        return KAURI__STATUS__BAD_TOPIC_NAME;
    if (c->partitions == 0 || c->partitions > FAKE_PARTITIONS_MAX)
        return KAURI__STATUS__BAD_PARTITIONS;
    if (c->validate_only)
        return KAURI__STATUS__OK;
    struct fake_topic *t = fake_log_create(&s->log, c->name, c->partitions < 0 ? 1 : c->partitions);
    if (c->n_configs > 0) {
        (void)snprintf(t->config_key, sizeof t->config_key, "%s", c->configs[0]->key);
        (void)snprintf(t->config_value, sizeof t->config_value, "%s", c->configs[0]->value);
    }
    return KAURI__STATUS__OK;
}

static Kauri__Status fake_calls_delete(struct fake_server *s, const Kauri__TopicDelete *d)
{
    struct fake_topic *t = fake_log_topic(&s->log, d->name);
    if (t == NULL)
        return KAURI__STATUS__UNKNOWN_TOPIC;
    fake_log_delete(t);
    return KAURI__STATUS__OK;
}

static Kauri__Status fake_calls_grow(struct fake_server *s, const Kauri__TopicGrow *g)
{
    struct fake_topic *t = fake_log_topic(&s->log, g->name);
    if (t == NULL)
        return KAURI__STATUS__UNKNOWN_TOPIC;
    if (g->partitions <= t->partition_count || g->partitions > FAKE_PARTITIONS_MAX)
        return KAURI__STATUS__BAD_PARTITIONS;
    t->partition_count = g->partitions;
    return KAURI__STATUS__OK;
}

static Kauri__Status fake_calls_alter(struct fake_server *s, const Kauri__TopicAlter *c)
{
    struct fake_topic *t = fake_log_topic(&s->log, c->name);
    if (t == NULL)
        return KAURI__STATUS__UNKNOWN_TOPIC;
    if (c->n_configs != 1 || strcmp(c->configs[0]->key, "no.such") == 0)
        return KAURI__STATUS__BAD_CONFIG;
    bool set = c->configs[0]->maybe_case == KAURI__KEY_VALUE__MAYBE_VALUE;
    (void)snprintf(t->config_key, sizeof t->config_key, "%s", c->configs[0]->key);
    (void)snprintf(t->config_value, sizeof t->config_value, "%s",
                   set ? c->configs[0]->value : "default");
    return KAURI__STATUS__OK;
}

static void fake_calls_trim(struct fake_server *s, struct fake_session *from,
                            const Kauri__Call *call)
{
    Kauri__Answer a;
    Kauri__TopicTrimAnswer trim;
    kauri__answer__init(&a);
    kauri__topic_trim_answer__init(&trim);
    a.id = call->id;
    struct fake_partition *p =
        fake_log_partition(&s->log, call->topic_trim->name, call->topic_trim->partition, &a.status);
    if (p != NULL) {
        p->log_start = call->topic_trim->before < 0 ? p->end : call->topic_trim->before;
        trim.log_start = p->log_start;
        a.answer_case = KAURI__ANSWER__ANSWER_TOPIC_TRIM;
        a.topic_trim = &trim;
    }
    fake_server_answer(s, from, KAURI__CALL__CALL_TOPIC_TRIM, &a, SLICE_NULL);
}

/* The topic with the smallest name behind `after`, or the one called `name`. */
static struct fake_topic *fake_calls_after(struct fake_server *s, const char *name,
                                           const char *after)
{
    struct fake_topic *best = NULL;
    if (name[0] != '\0')
        return after[0] == '\0' ? fake_log_topic(&s->log, name) : NULL;
    for (int i = 0; i < FAKE_TOPICS_MAX; i++) {
        struct fake_topic *t = &s->log.topics[i];
        if (t->name[0] != '\0' && strcmp(t->name, after) > 0 &&
            (best == NULL || strcmp(t->name, best->name) < 0))
            best = t;
    }
    return best;
}

struct fake_info {
    Kauri__TopicInfo topic;
    Kauri__PartitionInfo partitions[FAKE_PARTITIONS_MAX];
    Kauri__PartitionInfo *pointers[FAKE_PARTITIONS_MAX];
    Kauri__ConfigInfo config;
    Kauri__ConfigInfo *configs[1];
};

static void fake_calls_info(struct fake_topic *t, const Kauri__TopicList *list,
                            struct fake_info *out)
{
    kauri__topic_info__init(&out->topic);
    out->topic.name = t->name;
    out->topic.partition_count = t->partition_count;
    out->topic.replication = 1;
    out->topic.id = (ProtobufCBinaryData){16, (uint8_t *)t->name};
    for (int32_t i = 0; list->partitions && i < t->partition_count; i++) {
        Kauri__PartitionInfo *p = out->pointers[i] = &out->partitions[i];
        kauri__partition_info__init(p);
        p->partition = i;
        p->log_start = t->partitions[i].log_start;
        p->high_watermark = t->partitions[i].end;
        out->topic.n_partitions++;
    }
    out->topic.partitions = out->pointers;
    if (!list->configs)
        return;
    kauri__config_info__init(&out->config);
    out->config.key = t->config_key;
    out->config.value = t->config_value;
    out->configs[0] = &out->config;
    out->topic.configs = out->configs;
    out->topic.n_configs = 1;
}

static void fake_calls_list(struct fake_server *s, struct fake_session *from,
                            const Kauri__Call *call)
{
    struct fake_info infos[FAKE_TOPICS_MAX];
    Kauri__TopicInfo *pointers[FAKE_TOPICS_MAX];
    const Kauri__TopicList *list = call->topic_list;
    bool named = list->name[0] != '\0';
    if (named && list->create && fake_log_topic(&s->log, list->name) == NULL)
        (void)fake_log_create(&s->log, list->name, 3);
    if (named && fake_log_topic(&s->log, list->name) == NULL) {
        fake_calls_simple(s, from, call, KAURI__STATUS__UNKNOWN_TOPIC);
        return;
    }
    Kauri__TopicListAnswer answer;
    kauri__topic_list_answer__init(&answer);
    answer.topics = pointers;
    const char *after = list->after;
    for (struct fake_topic *t = fake_calls_after(s, list->name, after);
         t != NULL && answer.n_topics < s->page_size; t = fake_calls_after(s, list->name, after)) {
        fake_calls_info(t, list, &infos[answer.n_topics]);
        pointers[answer.n_topics] = &infos[answer.n_topics].topic;
        answer.n_topics++;
        after = t->name;
    }
    answer.more = fake_calls_after(s, list->name, after) != NULL;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_TOPIC_LIST;
    a.topic_list = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_TOPIC_LIST, &a, SLICE_NULL);
}

static void fake_calls_broker_config(struct fake_server *s, struct fake_session *from,
                                     const Kauri__Call *call)
{
    if (call->broker_config->n_set > 0)
        (void)snprintf(s->broker_config, sizeof s->broker_config, "%s",
                       call->broker_config->set[0]->value);
    Kauri__ConfigInfo config;
    kauri__config_info__init(&config);
    config.key = frame_borrow("log.retention.ms");
    config.value = s->broker_config;
    Kauri__ConfigInfo *configs[] = {&config};
    Kauri__BrokerConfigAnswer answer;
    kauri__broker_config_answer__init(&answer);
    answer.configs = configs;
    answer.n_configs = 1;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_BROKER_CONFIG;
    a.broker_config = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_BROKER_CONFIG, &a, SLICE_NULL);
}

static void fake_calls_snapshot(struct fake_server *s, struct fake_session *from,
                                const Kauri__Call *call)
{
    Kauri__SnapshotAnswer answer;
    kauri__snapshot_answer__init(&answer);
    answer.partitions = (uint32_t)strlen(call->snapshot->dir);
    answer.linked_size = 1ull << 40;
    answer.copied_size = 17;
    answer.took_ms = 312;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_SNAPSHOT;
    a.snapshot = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_SNAPSHOT, &a, SLICE_NULL);
}

static void fake_calls_broker_status(struct fake_server *s, struct fake_session *from,
                                     const Kauri__Call *call)
{
    char dir[] = "/var/lib/kauri";
    Kauri__BrokerStatusAnswer answer;
    kauri__broker_status_answer__init(&answer);
    answer.dir = dir;
    answer.disk_free_size = 5;
    answer.disk_total_size = 9;
    answer.disk_full = true;
    answer.partitions = 3;
    answer.now_ms = 1700000000000;
    answer.process = 812;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_BROKER_STATUS;
    a.broker_status = &answer;
    fake_server_answer(s, from, KAURI__CALL__CALL_BROKER_STATUS, &a, SLICE_NULL);
}

/* --- the cluster --- */

/* A page of one partition of FAKE_CLUSTER_PARTS. */
static void fake_calls_cluster_status(struct fake_server *s, struct fake_session *from,
                                      const Kauri__Call *call)
{
    const Kauri__ClusterStatus *ask = call->cluster_status;
    int32_t ids[] = {7, 8};
    Kauri__ClusterBroker brokers[2];
    Kauri__ClusterBroker *broker_list[] = {&brokers[0], &brokers[1]};
    for (int i = 0; i < 2; i++) {
        kauri__cluster_broker__init(&brokers[i]);
        brokers[i].id = ids[i];
        brokers[i].native = frame_borrow("tcp://n:1");
        brokers[i].lag = 11 * i;
    }
    Kauri__ClusterFollower follower;
    kauri__cluster_follower__init(&follower);
    follower.id = 8;
    follower.lag = 11;
    Kauri__ClusterFollower *followers[] = {&follower};
    Kauri__ClusterPartition part;
    kauri__cluster_partition__init(&part);
    part.topic = frame_borrow("t");
    part.partition = ask->after_topic[0] == '\0' ? 0 : ask->after_partition + 1;
    part.replicas = part.in_sync = ids;
    part.n_replicas = 2;
    part.n_in_sync = 1;
    part.followers = followers;
    part.n_followers = 1;
    Kauri__ClusterPartition *parts[] = {&part};
    Kauri__ClusterStatusAnswer body;
    kauri__cluster_status_answer__init(&body);
    body.id = body.leader = 7;
    body.role = frame_borrow("leading");
    body.term = 33;
    body.brokers = broker_list;
    body.n_brokers = 2;
    body.partition_count = FAKE_CLUSTER_PARTS;
    body.under_replicated = 1;
    body.partitions = parts;
    body.n_partitions = ask->partitions ? 1 : 0;
    body.more = ask->partitions && part.partition + 1 < FAKE_CLUSTER_PARTS;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.answer_case = KAURI__ANSWER__ANSWER_CLUSTER_STATUS;
    a.cluster_status = &body;
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

static void fake_calls_promote(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call)
{
    Kauri__ClusterPromoteAnswer body;
    kauri__cluster_promote_answer__init(&body);
    body.term = 34;
    body.lost = call->cluster_promote->force ? 5 : 0;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.status = s->script.promoted;
    a.message = frame_borrow("as asked");
    a.answer_case = KAURI__ANSWER__ANSWER_CLUSTER_PROMOTE;
    a.cluster_promote = &body;
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

static void fake_calls_leave(struct fake_server *s, struct fake_session *from,
                             const Kauri__Call *call)
{
    Kauri__ClusterLeaveAnswer body;
    kauri__cluster_leave_answer__init(&body);
    body.replicas = (uint32_t)call->cluster_leave->id;
    body.pending = call->cluster_leave->force ? 5 : 0;
    Kauri__Answer a;
    kauri__answer__init(&a);
    a.id = call->id;
    a.status = s->script.left;
    a.message = frame_borrow("as asked");
    a.answer_case = KAURI__ANSWER__ANSWER_CLUSTER_LEAVE;
    a.cluster_leave = &body;
    fake_server_answer(s, from, (int)call->call_case, &a, SLICE_NULL);
}

/* Of brokers as a whole. */
static void fake_calls_machine(struct fake_server *s, struct fake_session *from,
                               const Kauri__Call *call)
{
    if (call->call_case == KAURI__CALL__CALL_SNAPSHOT)
        fake_calls_snapshot(s, from, call);
    else if (call->call_case == KAURI__CALL__CALL_BROKER_STATUS)
        fake_calls_broker_status(s, from, call);
    else if (call->call_case == KAURI__CALL__CALL_CLUSTER_STATUS)
        fake_calls_cluster_status(s, from, call);
    else if (call->call_case == KAURI__CALL__CALL_CLUSTER_LEAVE)
        fake_calls_leave(s, from, call);
    else
        fake_calls_promote(s, from, call);
}

static void fake_calls_fetch_or_park(struct fake_server *s, struct fake_session *from,
                                     const Kauri__Call *call)
{
    s->fetch_wait_ms = call->fetch->max_wait_ms;
    s->fetch_items = call->fetch->n_items;
    if (!fake_calls_fetch(s, from, call, call->fetch->max_wait_ms == 0))
        fake_calls_park(s, from, call);
}

static void fake_calls_change(struct fake_server *s, struct fake_session *from,
                              const Kauri__Call *call)
{
    bool grow = call->call_case == KAURI__CALL__CALL_TOPIC_GROW;
    fake_calls_simple(s, from, call,
                      grow ? fake_calls_grow(s, call->topic_grow)
                           : fake_calls_alter(s, call->topic_alter));
}

/* A table in the form of a switch. */
static void fake_calls_dispatch(struct fake_server *s, struct fake_session *from,
                                const Kauri__Call *call, struct slice raw)
{
    ASSERT(call->call_case != KAURI__CALL__CALL__NOT_SET);
    switch (call->call_case) {
    case KAURI__CALL__CALL_HELLO:
        fake_calls_hello(s, from, call);
        return;
    case KAURI__CALL__CALL_PING:
        fake_calls_simple(s, from, call, KAURI__STATUS__OK);
        return;
    case KAURI__CALL__CALL_PRODUCE:
        fake_calls_produce(s, from, call, raw);
        return;
    case KAURI__CALL__CALL_FETCH:
        fake_calls_fetch_or_park(s, from, call);
        return;
    case KAURI__CALL__CALL_LIST_OFFSETS:
        fake_calls_list_offsets(s, from, call);
        return;
    case KAURI__CALL__CALL_INIT_PRODUCER:
        fake_calls_init_producer(s, from, call);
        return;
    case KAURI__CALL__CALL_TOPIC_CREATE:
        fake_calls_simple(s, from, call, fake_calls_create(s, call->topic_create));
        return;
    case KAURI__CALL__CALL_TOPIC_DELETE:
        fake_calls_simple(s, from, call, fake_calls_delete(s, call->topic_delete));
        return;
    case KAURI__CALL__CALL_TOPIC_GROW:
    case KAURI__CALL__CALL_TOPIC_ALTER:
        fake_calls_change(s, from, call);
        return;
    case KAURI__CALL__CALL_TOPIC_TRIM:
        fake_calls_trim(s, from, call);
        return;
    case KAURI__CALL__CALL_TOPIC_LIST:
        fake_calls_list(s, from, call);
        return;
    case KAURI__CALL__CALL_BROKER_CONFIG:
        fake_calls_broker_config(s, from, call);
        return;
    case KAURI__CALL__CALL_GROUP_BEAT:
    case KAURI__CALL__CALL_GROUP_COMMIT:
    case KAURI__CALL__CALL_GROUP_OFFSETS:
    case KAURI__CALL__CALL_GROUP_LIST:
    case KAURI__CALL__CALL_GROUP_DESCRIBE:
    case KAURI__CALL__CALL_GROUP_HISTORY:
    case KAURI__CALL__CALL_GROUP_DELETE:
    case KAURI__CALL__CALL_GROUP_FORGET:
        fake_group_handle(s, from, call);
        return;
    case KAURI__CALL__CALL_SNAPSHOT:
    case KAURI__CALL__CALL_BROKER_STATUS:
    case KAURI__CALL__CALL_CLUSTER_STATUS:
    case KAURI__CALL__CALL_CLUSTER_PROMOTE:
    case KAURI__CALL__CALL_CLUSTER_LEAVE:
        fake_calls_machine(s, from, call);
        return;
    case KAURI__CALL__CALL_SHIP_REGISTER: /* of brokers, not of clients */
    case KAURI__CALL__CALL_SHIP_RECORDS:
    case KAURI__CALL__CALL_SHIP_PULL:
    case KAURI__CALL__CALL_SHIP_VOTE:
    case KAURI__CALL__CALL_SHIP_LEADER:
    case KAURI__CALL__CALL_SHIP_ADMIN:
    case KAURI__CALL__CALL__NOT_SET:
    case _KAURI__CALL__CALL__CASE_IS_INT_SIZE:
        return;
    }
}

void fake_calls_handle(struct fake_server *s, struct fake_session *from, const Kauri__Call *call,
                       struct slice raw)
{
    int kind = (int)call->call_case;
    if (s->script.refuse_calls[kind] > 0) {
        s->script.refuse_calls[kind]--;
        fake_calls_simple(s, from, call, s->script.refuse_status);
        return;
    }
    fake_calls_dispatch(s, from, call, raw);
}
