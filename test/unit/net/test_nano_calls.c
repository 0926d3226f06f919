/* SPDX-License-Identifier: MIT
 *
 * test_nano_calls: every kind of call: what the broker is asked, and what the client reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/tally.h"
#include "net/nano/nano_errmap.h"
#include "proto/frame.h"
#include "rig.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
    rig.options.message_size_max = NANO_MESSAGE_SIZE_MIN;
    rig_open(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

/* Sends a call whose body was set, waits, and wants this status. */
static const Kauri__Answer *ask(Kauri__Call *call, struct slice raw, Kauri__Status status)
{
    const Kauri__Answer *a = rig_answer(&rig, rig.client, rig_send(&rig, rig.client, call, raw));
    ck_assert_msg(a->status == status, "status %d, %s", (int)a->status, a->message);
    return a;
}

START_TEST(test_hello)
{
    const Kauri__Answer *a = rig.client->got[1].answer;
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_HELLO);
    ck_assert_uint_eq(a->hello->version, 1);
    ck_assert_str_eq(a->hello->software, "kauri test");
    ck_assert_str_eq(a->hello->cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
    ck_assert_int_eq(a->hello->node_id, 1);
    ck_assert_uint_eq(a->hello->incarnation, 42);
    ck_assert_uint_eq(a->hello->message_size_max, NANO_MESSAGE_SIZE_MIN);
}
END_TEST

START_TEST(test_produce)
{
    Kauri__Call call;
    Kauri__Produce produce;
    Kauri__ProduceItem items[3];
    Kauri__ProduceItem *list[] = {&items[0], &items[1], &items[2]};
    static const uint8_t raw[6] = {1, 2, 3, 100, 50, 7};
    kauri__produce__init(&produce);
    produce.acks = -1;
    produce.items = list;
    produce.n_items = 3;
    for (int i = 0; i < 3; i++) {
        kauri__produce_item__init(&items[i]);
        items[i].topic = frame_borrow("t");
        items[i].size = (uint32_t)(3 - i);
        items[i].partition = i == 2 ? 9 : i;
    }
    rig.broker->hold = true;
    client_call(rig.client, &call, KAURI__CALL__CALL_PRODUCE);
    call.produce = &produce;
    rig_send(&rig, rig.client, &call, slice_of(raw, sizeof raw));
    RIG_UNTIL(&rig, rig.broker->started == 1);
    rig.broker->hold = false; /* the batches are read and written only now */
    const Kauri__Answer *a = rig_answer(&rig, rig.client, call.id);
    ck_assert_uint_eq(a->produce->n_results, 3);
    ck_assert_int_eq(a->produce->results[0]->base_offset, 6);
    ck_assert_int_eq(a->produce->results[1]->base_offset, 150);
    ck_assert_int_eq(a->produce->results[1]->append_time_ms, -1);
    ck_assert_int_eq(a->produce->results[2]->base_offset, 7);
    ck_assert_int_eq(a->produce->results[2]->status, KAURI__STATUS__UNKNOWN_PARTITION);
    ck_assert_uint_gt(strlen(a->produce->results[2]->message), 0);
}
END_TEST

START_TEST(test_list_offsets)
{
    Kauri__Call call;
    Kauri__ListOffsets offsets;
    Kauri__ListOffsetsItem item;
    Kauri__ListOffsetsItem *items[] = {&item, &item};
    kauri__list_offsets__init(&offsets);
    kauri__list_offsets_item__init(&item);
    item.timestamp_ms = -3;
    offsets.items = items;
    offsets.n_items = 2;
    client_call(rig.client, &call, KAURI__CALL__CALL_LIST_OFFSETS);
    call.list_offsets = &offsets;
    const Kauri__Answer *a = ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert_uint_eq(a->list_offsets->n_results, 2);
    ck_assert_int_eq(a->list_offsets->results[1]->offset, 997);
    ck_assert_int_eq(a->list_offsets->results[1]->timestamp_ms, -3);
}
END_TEST

START_TEST(test_init_producer)
{
    Kauri__Call call;
    Kauri__InitProducer init;
    kauri__init_producer__init(&init);
    client_call(rig.client, &call, KAURI__CALL__CALL_INIT_PRODUCER);
    call.init_producer = &init;
    const Kauri__Answer *a = ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert_int_eq(a->init_producer->producer_id, 4000);
    ck_assert_uint_eq(a->init_producer->producer_epoch, 3);
}
END_TEST

START_TEST(test_topic_create)
{
    Kauri__Call call;
    Kauri__TopicCreate create;
    Kauri__KeyValue pairs[2];
    Kauri__KeyValue *list[] = {&pairs[0], &pairs[1]};
    kauri__topic_create__init(&create);
    kauri__key_value__init(&pairs[0]);
    kauri__key_value__init(&pairs[1]);
    pairs[0].key = pairs[1].key = frame_borrow("k");
    pairs[1].maybe_case = KAURI__KEY_VALUE__MAYBE_VALUE;
    pairs[1].value = frame_borrow("");
    create.name = frame_borrow("new");
    create.partitions = -1;
    create.replication = 2;
    create.validate_only = true;
    create.configs = list;
    create.n_configs = 2;
    rig.broker->hold = true;
    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_CREATE);
    call.topic_create = &create;
    uint64_t id = rig_send(&rig, rig.client, &call, SLICE_NULL);
    RIG_UNTIL(&rig, rig.broker->started == 1);
    rig.broker->hold = false;
    broker_run(rig.broker);
    const struct broker_admin *admin = &rig.broker->last_admin;
    ck_assert_int_eq(admin->op, BROKER_TOPIC_CREATE);
    ck_assert(admin->partitions == -1 && admin->replication == 2 && admin->validate_only);
    ck_assert_uint_eq(admin->config_count, 2);
    ck_assert(admin->configs[0].value.p == NULL && admin->configs[1].value.p != NULL);
    ck_assert(!admin->automatic);
    ck_assert_int_eq(rig_answer(&rig, rig.client, id)->status, KAURI__STATUS__OK);

    create.name = frame_borrow("not");
    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_CREATE);
    call.topic_create = &create;
    ck_assert_str_eq(ask(&call, SLICE_NULL, KAURI__STATUS__DENIED)->message, "not this one");
}
END_TEST

START_TEST(test_topic_changes)
{
    Kauri__Call call;
    Kauri__TopicDelete drop;
    Kauri__TopicGrow grow;
    Kauri__TopicAlter alter;
    Kauri__TopicTrim trim;
    const struct broker_admin *admin = &rig.broker->last_admin;
    kauri__topic_delete__init(&drop);
    kauri__topic_grow__init(&grow);
    kauri__topic_alter__init(&alter);
    kauri__topic_trim__init(&trim);
    drop.name = grow.name = alter.name = trim.name = frame_borrow("t");

    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_DELETE);
    call.topic_delete = &drop;
    ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert_int_eq(admin->op, BROKER_TOPIC_DELETE);

    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_GROW);
    grow.partitions = 12;
    call.topic_grow = &grow;
    ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert(admin->op == BROKER_TOPIC_GROW && admin->partitions == 12);

    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_ALTER);
    alter.validate_only = true;
    call.topic_alter = &alter;
    ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert(admin->op == BROKER_TOPIC_ALTER && admin->validate_only);

    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_TRIM);
    trim.partition = 4;
    trim.before = -1;
    call.topic_trim = &trim;
    const Kauri__Answer *a = ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    ck_assert(admin->op == BROKER_TOPIC_TRIM && admin->partitions == 4 && admin->before == -1);
    ck_assert_int_eq(a->topic_trim->log_start, 77);
}
END_TEST

START_TEST(test_broker_config)
{
    Kauri__Call call;
    Kauri__BrokerConfig config;
    Kauri__KeyValue pair;
    Kauri__KeyValue *list = &pair;
    kauri__broker_config__init(&config);
    kauri__key_value__init(&pair);
    for (size_t set = 0; set < 2; set++) {
        config.set = &list;
        config.n_set = set;
        client_call(rig.client, &call, KAURI__CALL__CALL_BROKER_CONFIG);
        call.broker_config = &config;
        const Kauri__Answer *a = ask(&call, SLICE_NULL, KAURI__STATUS__OK);
        ck_assert_uint_eq(rig.broker->started, set);
        ck_assert_uint_eq(a->broker_config->n_configs, 2);
        ck_assert_str_eq(a->broker_config->configs[1]->key, "broker.key");
        ck_assert_str_eq(a->broker_config->configs[1]->help, "what it does");
    }
    ck_assert_int_eq(rig.broker->last_admin.op, BROKER_CONFIG_ALTER);
}
END_TEST

static const Kauri__Answer *list_topics(const Kauri__TopicList *list, Kauri__Status status)
{
    Kauri__Call call;
    Kauri__TopicList copy = *list;
    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_LIST);
    call.topic_list = &copy;
    return ask(&call, SLICE_NULL, status);
}

/* Page by page; every topic exactly once, no page over a quarter of a message. */
START_TEST(test_topic_list_pages)
{
    Kauri__TopicList list;
    size_t topics = 0;
    size_t pages = 0;
    bool more = true;
    kauri__topic_list__init(&list);
    list.partitions = list.configs = true;
    list.count_max = _i == 0 ? 0 : 7;
    rig.broker->topic_count = _i == 0 ? 300 : 30;
    rig.broker->partition_count = 20;
    for (; more; pages++) {
        const Kauri__Answer *a = list_topics(&list, KAURI__STATUS__OK);
        ck_assert_uint_le(kauri__answer__get_packed_size(a), NANO_MESSAGE_SIZE_MIN / 4 + 1024);
        ck_assert(list.count_max == 0 || a->topic_list->n_topics <= list.count_max);
        ck_assert_uint_gt(a->topic_list->n_topics, 0);
        for (size_t i = 0; i < a->topic_list->n_topics; i++) {
            const Kauri__TopicInfo *t = a->topic_list->topics[i];
            char name[32];
            snprintf(name, sizeof name, "topic-%06zu", topics++);
            ck_assert_str_eq(t->name, name);
            ck_assert(t->n_partitions == 20 && t->n_configs == 2 && t->id.len == 16);
            ck_assert_int_eq(t->partitions[19]->partition, 19);
            ck_assert_int_eq(t->partitions[0]->log_start, -1);
            list.after = t->name;
        }
        more = a->topic_list->more;
    }
    ck_assert_uint_eq(topics, rig.broker->topic_count);
    ck_assert_uint_ge(pages, 4);
}
END_TEST

START_TEST(test_topic_list_one)
{
    Kauri__TopicList list;
    kauri__topic_list__init(&list);
    rig.broker->topic_count = 3;
    rig.broker->brokers = 2;
    list.name = frame_borrow("topic-000001");
    list.partitions = true;
    const Kauri__Answer *a = list_topics(&list, KAURI__STATUS__OK);
    ck_assert_uint_eq(a->topic_list->n_topics, 1);
    ck_assert(!a->topic_list->more);
    const Kauri__PartitionInfo *p = a->topic_list->topics[0]->partitions[2];
    ck_assert(p->leader == 1 && p->epoch == 2 && p->log_start == 5 && p->size == 9);
    ck_assert(p->n_replicas == 2 && p->replicas[0] == 1 && p->replicas[1] == 2);
    ck_assert(p->n_in_sync == 1 && p->in_sync[0] == 1 && p->n_eligible == 0);
    rig.broker->brokers = 0;
    list.name = frame_borrow("topic-9");
    list_topics(&list, KAURI__STATUS__UNKNOWN_TOPIC);
    rig.broker->topic_count = 0;
    list.name = frame_borrow("");
    ck_assert_uint_eq(list_topics(&list, KAURI__STATUS__OK)->topic_list->n_topics, 0);
}
END_TEST

START_TEST(test_topic_list_creates)
{
    Kauri__TopicList list;
    kauri__topic_list__init(&list);
    list.create = true;
    list.name = frame_borrow("fresh");
    const Kauri__Answer *a = list_topics(&list, KAURI__STATUS__OK);
    ck_assert_str_eq(a->topic_list->topics[0]->name, "fresh");
    ck_assert(rig.broker->last_admin.automatic && rig.broker->last_admin.partitions == -1);
    list_topics(&list, KAURI__STATUS__OK); /* there now: not created again */
    ck_assert_uint_eq(rig.broker->started, 1);
    list.name = frame_borrow("nope");
    list_topics(&list, KAURI__STATUS__DENIED);
}
END_TEST

/* A topic too large for any message is refused, not cut. */
START_TEST(test_topic_too_large)
{
    Kauri__TopicList list;
    kauri__topic_list__init(&list);
    list.partitions = true;
    rig.broker->topic_count = 1;
    rig.broker->partition_count = _i == 0 ? 20000 : 100000;
    list_topics(&list, _i == 0 ? KAURI__STATUS__BATCH_TOO_LARGE : KAURI__STATUS__BAD_REQUEST);
    list.partitions = false;
    list_topics(&list, KAURI__STATUS__OK);
}
END_TEST

/* The second page of the mapping lies behind the end of the file. */
START_TEST(test_damaged_bytes_are_storage)
{
    Kauri__Call call;
    Kauri__Fetch fetch;
    Kauri__FetchItem items[3];
    Kauri__FetchItem *list[] = {&items[0], &items[1], &items[2]};
    int fd = memfd_create("damaged", 0);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    void *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    rig.broker->mapped = slice_of(map, 8192);
    rig.broker->fetch_size = 500;
    kauri__fetch__init(&fetch);
    fetch.items = list;
    fetch.n_items = 3;
    for (int i = 0; i < 3; i++) {
        kauri__fetch_item__init(&items[i]);
        items[i].topic = frame_borrow("t");
        items[i].partition = i == 1;
        items[i].offset = 40 + i;
    }
    client_call(rig.client, &call, KAURI__CALL__CALL_FETCH);
    call.fetch = &fetch;
    const Kauri__Answer *a = ask(&call, SLICE_NULL, KAURI__STATUS__OK);
    const Kauri__FetchResult *r = a->fetch->results[1];
    ck_assert_int_eq(r->status, KAURI__STATUS__STORAGE);
    ck_assert(r->size == 0 && r->next_good == 41);
    ck_assert_uint_eq(a->size, 1000);
    struct slice raw = rig.client->got[call.id].raw;
    ck_assert(raw.p[0] == 40 && raw.p[499] == 40 && raw.p[500] == 42 && raw.p[999] == 42);
    ck_assert_uint_eq(rig.broker->pins, 0);
    munmap(map, 8192);
    close(fd);
}
END_TEST

START_TEST(test_fetch_larger_than_a_message)
{
    rig.broker->fetch_size = NANO_MESSAGE_SIZE_MIN + (_i == 0 ? 1 : -20);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, rig_fetch(&rig, rig.client, 0, 1));
    ck_assert_int_eq(a->status, KAURI__STATUS__BATCH_TOO_LARGE);
    ck_assert_uint_eq(a->size, 0);
    ck_assert_uint_eq(rig.broker->pins, 0);
}
END_TEST

START_TEST(test_errmap_is_total)
{
    bool seen[64] = {false};
    for (int i = 0; i < BROKER_STATUS_COUNT; i++) {
        Kauri__Status s = nano_errmap_status((enum broker_status)i);
        ck_assert_msg((s == KAURI__STATUS__OK) == (i == BROKER_OK), "row %d", i);
        ck_assert(!seen[s]); /* nothing is lost by translating */
        seen[s] = true;
    }
    const ProtobufCEnumDescriptor *d = &kauri__status__descriptor;
    for (unsigned i = 0; i < d->n_values; i++) {
        Kauri__Status s = (Kauri__Status)d->values[i].value;
        ck_assert((strlen(nano_errmap_text(s)) > 0) == (s != KAURI__STATUS__OK));
    }
    ck_assert_int_eq(nano_errmap_status(BROKER_DENIED), KAURI__STATUS__DENIED);
}
END_TEST

static void count_kind(void *ctx, const char *call, const struct tally *t)
{
    unsigned *kinds = ctx;
    ck_assert_uint_gt(t->count, 0);
    ck_assert_str_ne(call, "");
    (*kinds)++;
}

/* Whatever is in the protocol has its row and its tally, also when its body is empty. */
START_TEST(test_every_kind)
{
    const ProtobufCMessageDescriptor *d = &kauri__call__descriptor;
    unsigned sent = 1, counted = 0; /* the hello */
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
            f->id == KAURI__CALL__CALL_HELLO) /* resets the session */
            continue;
        Kauri__Call call;
        const ProtobufCMessageDescriptor *kind = f->descriptor;
        ProtobufCMessage *body = calloc(1, kind->sizeof_message);
        ck_assert_ptr_nonnull(body);
        protobuf_c_message_init(kind, body);
        client_call(rig.client, &call, (Kauri__Call__CallCase)f->id);
        memcpy((char *)&call + f->offset, &body, sizeof body);
        if (f->id == KAURI__CALL__CALL_PRODUCE)
            call.produce->acks = 1; /* 0 wants no answer */
        if (kind == &kauri__ship__descriptor)
            ((Kauri__Ship *)body)->sequence = sent; /* it must rise */
        uint64_t id = rig_send(&rig, rig.client, &call, SLICE_NULL);
        free(body);
        ck_assert_ptr_nonnull(rig_answer(&rig, rig.client, id));
        sent++;
    }
    nano_each_call(rig.nano, count_kind, &counted);
    ck_assert_uint_gt(sent, 20);
    ck_assert_uint_eq(counted, sent);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("calls");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_hello);
    tcase_add_test(tc, test_produce);
    tcase_add_test(tc, test_list_offsets);
    tcase_add_test(tc, test_init_producer);
    tcase_add_test(tc, test_topic_create);
    tcase_add_test(tc, test_topic_changes);
    tcase_add_test(tc, test_broker_config);
    tcase_add_loop_test(tc, test_topic_list_pages, 0, 2);
    tcase_add_test(tc, test_topic_list_one);
    tcase_add_test(tc, test_topic_list_creates);
    tcase_add_loop_test(tc, test_topic_too_large, 0, 2);
    tcase_add_test(tc, test_damaged_bytes_are_storage);
    tcase_add_loop_test(tc, test_fetch_larger_than_a_message, 0, 2);
    tcase_add_test(tc, test_errmap_is_total);
    tcase_add_test(tc, test_every_kind);
    Suite *s = suite_create("net/nano_calls");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
