/* SPDX-License-Identifier: MIT
 *
 * The producer against the scripted broker: placement, batching, limits, refusals of every kind.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/client/client_priv.h"
#include "rig.h"

#define PRODUCE KAURI__CALL__CALL_PRODUCE

START_TEST(test_round_robin)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 3);
    rig_send_many(r, "t", -1, 10);
    rig_settle(r);
    for (size_t i = 0; i < 10; i++)
        ck_assert_int_eq(r->records[i].partition, (int32_t)(i % 3));
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_keys)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 7);
    for (size_t i = 0; i < 50; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "key-%zu", i);
        struct kauri_record record = {.topic = "t", .partition = -1, .timestamp_ms = -1};
        record.key = key;
        record.key_size = (size_t)size;
        record.opaque = (void *)(uintptr_t)r->sent;
        ck_assert_int_eq(kauri_send(r->k, &record), 0);
        r->sent++;
    }
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 0);
    for (size_t i = 0; i < 50; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "key-%zu", i);
        ck_assert_int_eq(r->records[i].partition, kauri_partition_for(key, (size_t)size, 7));
    }
    rig_free(r);
}
END_TEST

/* An empty key is hashed, an absent one is not. */
START_TEST(test_empty_key)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 7);
    struct kauri_record record = {.topic = "t", .partition = -1, .timestamp_ms = 5, .key = ""};
    r->sent = 1;
    ck_assert_int_eq(kauri_send(r->k, &record), 0);
    rig_settle(r);
    ck_assert_int_eq(r->records[0].partition, 275646681 % 7);
    ck_assert_int_ne(r->records[0].partition, 0);
    rig_free(r);
}
END_TEST

static void stored_full(void *ctx, const struct batch_record *b)
{
    struct slice headers = b->headers;
    struct slice name;
    struct slice value;
    ++*(unsigned *)ctx;
    ck_assert_int_eq(b->timestamp, 1234567);
    ck_assert(slice_equal(b->key, slice_str("k")));
    ck_assert_ptr_null(b->value.p);
    ck_assert_int_eq(b->header_count, 2);
    ck_assert(batch_header_next(&headers, &name, &value));
    ck_assert(slice_equal(name, slice_str("h")) && value.p == NULL);
    ck_assert(batch_header_next(&headers, &name, &value));
    ck_assert(slice_equal(name, slice_str("h")) && slice_equal(value, slice_str("v")));
}

START_TEST(test_contents)
{
    struct rig *r = rig_new((struct kauri_options){.codec = (enum kauri_codec)_i});
    fake_server_topic(r->s, "t", 1);
    const struct kauri_header headers[] = {{"h", 1, NULL, 0}, {"h", 1, "v", 1}};
    struct kauri_record record = {.topic = "t",
                                  .timestamp_ms = 1234567,
                                  .key = "k",
                                  .key_size = 1,
                                  .headers = headers,
                                  .header_count = 2};
    r->sent = 1;
    ck_assert_int_eq(kauri_send(r->k, &record), 0);
    rig_settle(r);
    unsigned count = 0;
    fake_server_lock(r->s);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    fake_log_records(p, stored_full, &count);
    ck_assert_int_eq((int)batch_codec(&p->batches[0].header), _i);
    fake_server_unlock(r->s);
    ck_assert_uint_eq(count, 1);
    rig_free(r);
}
END_TEST

/* With time to wait, all partitions' records leave as one batch each in one call. */
START_TEST(test_linger)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000});
    fake_server_topic(r->s, "t", 3);
    rig_send_many(r, "t", -1, 30);
    ck_assert_int_ge(kauri_poll(r->k, 0), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, PRODUCE), 0);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    ck_assert_uint_eq(r->reported, 30);
    ck_assert_uint_eq(fake_server_calls(r->s, PRODUCE), 1);
    ck_assert_uint_eq(rig_partition(r, "t", 2)->batch_count, 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_no_linger)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    for (int i = 0; i < 3; i++) {
        rig_send_many(r, "t", 0, 1);
        rig_settle(r);
    }
    ck_assert_uint_eq(rig_partition(r, "t", 0)->batch_count, 3);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Full batches leave by themselves, each within its size. */
START_TEST(test_batch_size)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 1000});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 500);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    ck_assert_uint_gt(p->batch_count, 5);
    for (size_t i = 0; i < p->batch_count; i++)
        ck_assert_uint_le(p->batches[i].header.size, 1000);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_buffer)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .buffer_size = 4096});
    fake_server_topic(r->s, "t", 1);
    int error = 0;
    while ((error = rig_send(r, "t", 0)) == 0)
        continue;
    ck_assert_int_eq(error, KAURI_AGAIN);
    ck_assert_str_eq(kauri_message(r->k), "the buffer of 4096 bytes is full");
    ck_assert_uint_le(r->sent, 4096 / CLIENT_RECORD_COST);
    ck_assert_uint_eq(kauri_outstanding(r->k), r->sent);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    rig_send_many(r, "t", 0, 200); /* there is room again, and again */
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_arguments)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 300, .buffer_size = 1 << 20});
    fake_server_topic(r->s, "t", 2);
    char *big = calloc(1, 1 << 20);
    struct kauri_record record = {.topic = "t", .timestamp_ms = -1, .value = big};
    record.value_size = 1 << 20;
    ck_assert_int_eq(kauri_send(r->k, &record), KAURI_TOO_LARGE);
    free(big);
    ck_assert_int_eq(rig_send(r, "t", -2), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(rig_send(r, NULL, 0), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(rig_send(r, "t", 2), KAURI_UNKNOWN_PARTITION);
    ck_assert_str_eq(kauri_message(r->k), "topic \"t\" has no partition 2");
    ck_assert_int_eq(rig_send(r, "", 0), KAURI_BAD_NAME);
    fake_server_lock(r->s);
    r->s->script.refuse_calls[KAURI__CALL__CALL_TOPIC_LIST] = 1;
    r->s->script.refuse_status = KAURI__STATUS__UNKNOWN_TOPIC;
    fake_server_unlock(r->s);
    ck_assert_int_eq(rig_send(r, "none", 0), KAURI_UNKNOWN_TOPIC);
    ck_assert_str_eq(kauri_message(r->k), "topic \"none\" does not exist");
    ck_assert_int_eq(rig_send(r, "made", 0), 0); /* created by being used */
    rig_settle(r);
    rig_check(r, "made");
    rig_free(r);
}
END_TEST

START_TEST(test_options)
{
    struct kauri *k;
    ck_assert_int_eq(kauri_open(&(struct kauri_options){0}, &k), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_open(&(struct kauri_options){.server = "nonsense"}, &k),
                     KAURI_BAD_ARGUMENT);
    struct kauri_options o = {.server = "ipc:///tmp/none", .in_flight_max = 6};
    ck_assert_int_eq(kauri_open(&o, &k), KAURI_BAD_ARGUMENT);
    o = (struct kauri_options){.server = "ipc:///tmp/none", .codec = (enum kauri_codec)9};
    ck_assert_int_eq(kauri_open(&o, &k), KAURI_BAD_ARGUMENT);
    ck_assert_ptr_null(kauri_close(NULL));
}
END_TEST

/* A topic that grew elsewhere is noticed when a new partition is named. */
START_TEST(test_grown)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    fake_server_lock(r->s);
    fake_log_topic(&r->s->log, "t")->partition_count = 4;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 3, 1);
    rig_settle(r);
    ck_assert_int_eq(r->records[1].partition, 3);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_acks_none)
{
    struct rig *r = rig_new((struct kauri_options){.acks = KAURI_ACKS_NONE, .batch_size = 500});
    fake_server_topic(r->s, "t", 2);
    rig_send_many(r, "t", -1, 300);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    ck_assert_int_eq(r->records[299].offset, -1);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    ck_assert_int_eq(p->batches[0].header.producer_id, -1);
    ck_assert_int_eq(p->batches[0].header.base_sequence, -1);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_INIT_PRODUCER), 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

static void refuse_items(struct rig *r, unsigned skip, unsigned count, Kauri__Status status)
{
    fake_server_lock(r->s);
    r->s->script.skip_items = skip;
    r->s->script.refuse_items = count;
    r->s->script.refuse_status = status;
    fake_server_unlock(r->s);
}

/* Refused for now, in the middle of five in flight: those behind meet a gap and follow in order. */
START_TEST(test_retriable)
{
    static const Kauri__Status statuses[] = {
        KAURI__STATUS__LOADING,   KAURI__STATUS__DISK_FULL, KAURI__STATUS__BUSY,
        KAURI__STATUS__TIMED_OUT, KAURI__STATUS__STOPPING,  KAURI__STATUS__STORAGE,
    };
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    refuse_items(r, 2, 2, statuses[_i]);
    fake_server_lock(r->s); /* no answer before five are in flight */
    rig_send_many(r, "t", 0, 200);
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_flush(r->k, 10000), 0);
    ck_assert_uint_eq(r->failed, 0);
    ck_assert_uint_gt(rig_partition(r, "t", 0)->gaps, 0);
    ck_assert_int_eq(rig_partition(r, "t", 0)->batches[0].header.producer_epoch, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_retriable_call)
{
    struct rig *r = rig_new((struct kauri_options){.batch_size = 300});
    fake_server_topic(r->s, "t", 2);
    fake_server_lock(r->s);
    r->s->script.refuse_status = KAURI__STATUS__BUSY;
    r->s->script.refuse_calls[PRODUCE] = 2;
    r->s->script.refuse_calls[KAURI__CALL__CALL_INIT_PRODUCER] = 2;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", -1, 100);
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* One batch is refused for good: its records fail, all others are stored under the next epoch. */
START_TEST(test_refused)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    refuse_items(r, 3, 1, KAURI__STATUS__BATCH_INVALID);
    rig_send_many(r, "t", 0, 200);
    ck_assert_int_eq(kauri_flush(r->k, 10000), 0);
    ck_assert_uint_gt(r->failed, 0);
    ck_assert_uint_lt(r->failed, 40);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    ck_assert_int_eq(p->batches[p->batch_count - 1].header.producer_epoch, 1);
    for (size_t i = 0; i < 200; i++)
        if (r->records[i].error != 0) {
            ck_assert_int_eq(r->records[i].error, KAURI_REFUSED);
            ck_assert_str_eq(r->records[i].message,
                             "topic \"t\" partition 0: a rule of the topic forbids the record");
        }
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_fenced)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    refuse_items(r, 0, 1, KAURI__STATUS__PRODUCER_FENCED);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(r->records[0].error, KAURI_REFUSED);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(r->records[1].error, 0);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_INIT_PRODUCER), 2);
    ck_assert_int_eq(rig_partition(r, "t", 0)->batches[0].header.producer_id, 1001);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* The broker lost the producer's state: a gap at the head of the queue begins the next epoch. */
START_TEST(test_state_lost)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 50);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    fake_server_lock(r->s);
    fake_log_forget(rig_partition(r, "t", 0));
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 50);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    ck_assert_uint_eq(r->failed, 0);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    ck_assert_int_eq(p->batches[p->batch_count - 1].header.producer_epoch, 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_sequence_wraps)
{
    ck_assert_int_eq(client_sequence_add(INT32_MAX, 1), 0);
    ck_assert_int_eq(client_sequence_add(INT32_MAX - 1, 5), 3);
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    struct client_topic *t = map_get(&r->k->topics, slice_str("t"));
    t->parts[0]->sequence = INT32_MAX - 9;
    fake_server_lock(r->s);
    rig_partition(r, "t", 0)->producers[0].next = INT32_MAX - 9;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 50);
    ck_assert_int_eq(kauri_flush(r->k, 5000), 0);
    ck_assert_uint_eq(rig_partition(r, "t", 0)->gaps, 0);
    ck_assert_int_eq(t->parts[0]->sequence, 40);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* The epochs of a producer id are used up: a new id follows. */
START_TEST(test_epochs_end)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    struct client_topic *t = map_get(&r->k->topics, slice_str("t"));
    t->parts[0]->epoch = INT16_MAX;
    t->parts[0]->renumber = true;
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(rig_partition(r, "t", 0)->batches[1].header.producer_id, 1001);
    ck_assert_int_eq(rig_partition(r, "t", 0)->batches[1].header.producer_epoch, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_deleted)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    fake_server_lock(r->s);
    fake_log_delete(fake_log_topic(&r->s->log, "t"));
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(r->records[1].error, KAURI_UNKNOWN_TOPIC);
    ck_assert_str_eq(r->records[1].message, "topic \"t\" does not exist");
    rig_send_many(r, "t", 2, 1); /* asked again: it is made anew, with three partitions */
    rig_settle(r);
    ck_assert_int_eq(r->records[2].error, 0);
    ck_assert_int_eq(r->records[2].offset, 0);
    rig_free(r);
}
END_TEST

/* --- too late --- */

START_TEST(test_timeout_answerless)
{
    struct rig *r =
        rig_new((struct kauri_options){.linger_ms = UINT32_MAX, .delivery_timeout_ms = 150});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    fake_server_lock(r->s);
    r->s->script.mute = true;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 3);
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 3);
    ck_assert_int_eq(r->records[1].error, KAURI_TIMED_OUT);
    ck_assert_str_eq(r->records[1].message, "no answer within 150 ms");
    fake_server_lock(r->s);
    r->s->script.mute = false;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 3);
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 3);
    const struct fake_partition *p = rig_partition(r, "t", 0);
    ck_assert_int_eq(p->batches[p->batch_count - 1].header.producer_epoch, 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_timeout_refused)
{
    struct rig *r =
        rig_new((struct kauri_options){.linger_ms = UINT32_MAX, .delivery_timeout_ms = 100});
    fake_server_topic(r->s, "t", 1);
    refuse_items(r, 0, 1000, KAURI__STATUS__DISK_FULL);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(r->records[0].error, KAURI_DISK_FULL);
    ck_assert_str_eq(r->records[0].message, "no success within 100 ms: the broker's disk is full");
    rig_free(r);
}
END_TEST

START_TEST(test_timeout_unsent)
{
    struct rig *r =
        rig_new((struct kauri_options){.linger_ms = UINT32_MAX, .delivery_timeout_ms = 100});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    fake_server_stop(r->s);
    while (r->k->wire.state == CLIENT_SESSION_ALIVE) { /* until the loss is noticed */
        rig_send_many(r, "t", 0, 1);
        rig_settle(r);
        if (r->records[r->sent - 1].error == KAURI_NO_SERVER)
            break;
    }
    ck_assert_int_eq(r->records[r->sent - 1].error, KAURI_NO_SERVER);
    ck_assert_ptr_nonnull(strstr(r->records[r->sent - 1].message, "no broker answers at \"ipc://"));
    rig_free(r);
}
END_TEST

START_TEST(test_flush_late)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    fake_server_lock(r->s);
    r->s->script.mute = true;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_flush(r->k, 50), KAURI_TIMED_OUT);
    ck_assert_str_eq(kauri_message(r->k), "1 records are not delivered after 50 ms");
    rig_free(r); /* and closing with a record in flight leaks nothing */
}
END_TEST

/* --- callbacks may send --- */

struct chain {
    struct kauri *k;
    int left;
    int errors;
};

static void chain_next(void *ctx, const struct kauri_record *r, int error, const char *message)
{
    struct chain *c = ctx;
    struct kauri_record next = {.topic = r->topic, .timestamp_ms = -1, .value = "x"};
    c->errors += error != 0;
    if (c->left-- > 0)
        c->errors += kauri_send(c->k, &next) != 0;
}

START_TEST(test_send_from_callback)
{
    struct fake_server *s = fake_server_new();
    struct chain c = {.left = 20};
    fake_server_topic(s, "t", 1);
    struct kauri_options o = {.server = s->url, .delivered = chain_next, .ctx = &c};
    ck_assert_int_eq(kauri_open(&o, &c.k), 0);
    ck_assert_int_eq(kauri_send(c.k, &(struct kauri_record){.topic = "t", .timestamp_ms = -1}), 0);
    ck_assert_int_eq(kauri_flush(c.k, 5000), 0);
    ck_assert_int_eq(c.errors, 0);
    ck_assert_int_eq(s->log.topics[0].partitions[0].end, 21);
    c.k = kauri_close(c.k);
    s = fake_server_free(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("produce");
    TCase *tc = tcase_create("produce");
    const TTest *const tests[] = {test_round_robin,
                                  test_keys,
                                  test_empty_key,
                                  test_linger,
                                  test_no_linger,
                                  test_batch_size,
                                  test_buffer,
                                  test_arguments,
                                  test_options,
                                  test_grown,
                                  test_acks_none,
                                  test_retriable_call,
                                  test_refused,
                                  test_fenced,
                                  test_state_lost,
                                  test_sequence_wraps,
                                  test_epochs_end,
                                  test_deleted,
                                  test_timeout_answerless,
                                  test_timeout_refused,
                                  test_timeout_unsent,
                                  test_flush_late,
                                  test_send_from_callback};
    tcase_set_timeout(tc, 20);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    tcase_add_loop_test(tc, test_contents, 0, CODEC_COUNT);
    tcase_add_loop_test(tc, test_retriable, 0, 6);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
