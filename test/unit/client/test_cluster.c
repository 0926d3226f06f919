/* SPDX-License-Identifier: MIT
 *
 * Several addresses: the client goes where the leader is, and on when nobody answers; records are
 * stored once, in order. And the calls about the cluster.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/client/client_priv.h"
#include "rig.h"

#define PRODUCE KAURI__CALL__CALL_PRODUCE

static char list[512];

/* A rig of two servers: the client's list has `other` first. r->s is where its records belong. */
static struct rig *rig_two(struct fake_server *other, struct kauri_options o)
{
    struct rig *r = rig_new(o);
    r->k = kauri_close(r->k);
    o.ctx = r;
    (void)snprintf(list, sizeof list, "%s, %s", other->url, r->s->url);
    o.server = list;
    o.delivered = rig_delivered;
    ck_assert_int_eq(kauri_open(&o, &r->k), 0);
    return r;
}

static void refuse(struct fake_server *s, unsigned items, const char *leader)
{
    fake_server_lock(s);
    s->script.refuse_items = items;
    s->script.refuse_status = KAURI__STATUS__NOT_LEADER;
    s->script.leader = leader;
    fake_server_unlock(s);
}

START_TEST(test_bad_lists)
{
    struct kauri *k = NULL;
    static const char *const bad[] = {"", " , ,", "nonsense,ipc:///tmp/x"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_ne(kauri_open(&(struct kauri_options){.server = bad[i]}, &k), 0);
    ck_assert_int_eq(kauri_open(&(struct kauri_options){.server = ",ipc:///tmp/x,"}, &k), 0);
    ck_assert_str_eq(client_route_url(&k->route), "ipc:///tmp/x");
    kauri_close(k);
}
END_TEST

START_TEST(test_first_is_away)
{
    struct fake_server *away = fake_server_new();
    fake_server_stop(away);
    struct rig *r = rig_two(away, (struct kauri_options){.linger_ms = UINT32_MAX});
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    ck_assert_int_eq(server.node_id, 7);
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 10);
    rig_settle(r);
    rig_check(r, "t");
    rig_free(r);
    fake_server_free(away);
}
END_TEST

/* It says nothing at all, though one is connected. */
START_TEST(test_first_is_mute)
{
    struct fake_server *mute = fake_server_new();
    fake_server_lock(mute);
    mute->script.ignore[KAURI__CALL__CALL_HELLO] = 100;
    fake_server_unlock(mute);
    struct rig *r = rig_two(mute, (struct kauri_options){.timeout_ms = 9000});
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    ck_assert_uint_ge(fake_server_calls(mute, KAURI__CALL__CALL_HELLO), 2);
    rig_free(r);
    fake_server_free(mute);
}
END_TEST

/* With the leader's address, and (1) without, where the next of the list is tried. */
START_TEST(test_not_leader)
{
    struct fake_server *other = fake_server_new();
    struct rig *r = rig_two(other, (struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(other, "t", 2);
    fake_server_topic(r->s, "t", 2);
    refuse(other, 100000, _i == 0 ? r->s->url : NULL);
    rig_send_many(r, "t", -1, 400);
    ck_assert_int_eq(kauri_flush(r->k, 10000), 0);
    ck_assert_uint_eq(r->failed, 0);
    ck_assert_uint_ge(fake_server_calls(other, PRODUCE), 1);
    ck_assert(r->k->route.led == (_i == 0));
    /* The same producer, from its first sequence on, wherever a batch went first. */
    for (int32_t p = 0; p < 2; p++) {
        const struct batch_header *h = &rig_partition(r, "t", p)->batches[0].header;
        ck_assert_int_eq(h->producer_id, 1000);
        ck_assert(h->producer_epoch == 0 && h->base_sequence == 0);
    }
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_INIT_PRODUCER), 0);
    rig_check(r, "t");
    rig_free(r);
    fake_server_free(other);
}
END_TEST

/* A leader that was told and dies: back to the one of the list that told it. */
START_TEST(test_told_leader_dies)
{
    struct fake_server *leader = fake_server_new();
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    fake_server_topic(leader, "t", 1);
    refuse(r->s, 1, leader->url);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert(r->k->route.led && leader->produced_count == 1);
    fake_server_stop(leader);
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    ck_assert(!r->k->route.led);
    rig_free(r);
    fake_server_free(leader);
}
END_TEST

/* One address, and no leader known: it waits there. So it does where the leader is said to be. */
START_TEST(test_nowhere_to_go)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    refuse(r->s, 3, _i == 0 ? NULL : r->s->url);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_uint_eq(fake_server_calls(r->s, PRODUCE), 4);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Two brokers send one here and there: the calls get fewer, not more. */
START_TEST(test_ping_pong)
{
    struct fake_server *other = fake_server_new();
    struct rig *r = rig_two(other, (struct kauri_options){.timeout_ms = 2000});
    fake_server_lock(other);
    other->script.refuse_calls[KAURI__CALL__CALL_TOPIC_DELETE] = 100000;
    other->script.refuse_status = KAURI__STATUS__NOT_LEADER;
    other->script.leader = r->s->url;
    fake_server_unlock(other);
    fake_server_lock(r->s);
    r->s->script.refuse_calls[KAURI__CALL__CALL_TOPIC_DELETE] = 100000;
    r->s->script.refuse_status = KAURI__STATUS__NOT_LEADER;
    r->s->script.leader = other->url;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_topic_delete(r->k, "t"), KAURI_TIMED_OUT);
    ck_assert_ptr_nonnull(strstr(kauri_message(r->k), "another broker leads"));
    unsigned calls = fake_server_calls(other, KAURI__CALL__CALL_TOPIC_DELETE) +
                     fake_server_calls(r->s, KAURI__CALL__CALL_TOPIC_DELETE);
    ck_assert_uint_ge(calls, 2);
    ck_assert_uint_le(calls, 20);
    rig_free(r);
    fake_server_free(other);
}
END_TEST

static void fill(struct fake_server *s, size_t count)
{
    struct kauri *k = NULL;
    char value[16];
    fake_server_topic(s, "t", 1);
    ck_assert_int_eq(kauri_open(&(struct kauri_options){.server = s->url, .batch_size = 300}, &k),
                     0);
    for (size_t i = 0; i < count; i++) {
        int size = snprintf(value, sizeof value, "%zu", i);
        const struct kauri_record record = {
            .topic = "t", .timestamp_ms = 1, .value = value, .value_size = (size_t)size};
        ck_assert_int_eq(kauri_send(k, &record), 0);
    }
    ck_assert_int_eq(kauri_flush(k, 10000), 0);
    kauri_close(k);
}

/* A consumer reads on at the next broker, from where it was. */
START_TEST(test_consumer_goes_on)
{
    struct fake_server *first = fake_server_new();
    struct rig *r = rig_two(first, (struct kauri_options){.fetch_size = 300, .prefetch_size = 600});
    fill(first, 1000);
    fill(r->s, 1000);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, KAURI_OFFSET_START), 0);
    for (int64_t i = 0; i < 1000; i++) {
        struct kauri_record record;
        char want[16];
        ck_assert_int_eq(kauri_next(r->k, 9000, &record), 0);
        ck_assert_int_eq(record.offset, i);
        int size = snprintf(want, sizeof want, "%d", (int)i);
        ck_assert(record.value_size == (size_t)size &&
                  memcmp(record.value, want, (size_t)size) == 0);
        if (i == 100)
            fake_server_stop(first);
    }
    ck_assert_uint_gt(fake_server_calls(r->s, KAURI__CALL__CALL_FETCH), 0);
    rig_free(r);
    fake_server_free(first);
}
END_TEST

START_TEST(test_status)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 5000});
    struct kauri_cluster *c = NULL;
    ck_assert_int_eq(kauri_cluster_status(r->k, _i == 1, &c), 0);
    ck_assert(c->id == 7 && c->leader == 7 && c->term == 33 && c->under_replicated == 1);
    ck_assert(c->broker_count == 2 && c->brokers[1].id == 8 && c->brokers[1].lag == 11);
    ck_assert_str_eq(c->brokers[1].native, "tcp://n:1");
    ck_assert_uint_eq(c->listed_count, _i == 1 ? FAKE_CLUSTER_PARTS : 0);
    for (size_t i = 0; i < c->listed_count; i++) {
        const struct kauri_cluster_partition *p = &c->partitions[i];
        ck_assert(strcmp(p->topic, "t") == 0 && p->partition == (int32_t)i);
        ck_assert(p->replica_count == 2 && p->replicas[1] == 8 && p->in_sync_count == 1);
        ck_assert(p->follower_count == 1 && p->followers[0].lag == 11);
    }
    kauri_result_free(c);
    rig_free(r);
}
END_TEST

/* A refusal is an answer: it is not asked again, and nobody else is. */
START_TEST(test_promote)
{
    static const struct {
        Kauri__Status status;
        int error;
    } cases[] = {{KAURI__STATUS__OK, 0},
                 {KAURI__STATUS__NOT_ENOUGH_REPLICAS, KAURI_NOT_ENOUGH},
                 {KAURI__STATUS__BUSY, KAURI_REFUSED},
                 {KAURI__STATUS__NOT_LEADER, KAURI_REFUSED}};
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 5000});
    struct kauri_cluster_promotion p;
    fake_server_lock(r->s);
    r->s->script.promoted = cases[_i].status;
    r->s->script.leader = "ipc:///nowhere";
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_cluster_promote(r->k, _i == 0, &p), cases[_i].error);
    ck_assert_str_eq(p.message, "as asked");
    ck_assert(p.term == 34 && p.lost == (_i == 0 ? 5 : 0));
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_CLUSTER_PROMOTE), 1);
    ck_assert(!r->k->route.led);
    rig_free(r);
}
END_TEST

/* A refusal for good is an answer; one for now is asked again. */
START_TEST(test_leave)
{
    static const struct {
        Kauri__Status status;
        int error;
        bool once;
    } cases[] = {{KAURI__STATUS__OK, 0, true},
                 {KAURI__STATUS__NOT_ENOUGH_REPLICAS, KAURI_NOT_ENOUGH, true},
                 {KAURI__STATUS__UNKNOWN_BROKER, KAURI_NO_BROKER, true},
                 {KAURI__STATUS__DENIED, KAURI_REFUSED, true},
                 {KAURI__STATUS__BUSY, KAURI_TIMED_OUT, false}};
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 1000});
    struct kauri_cluster_leave l = {.id = 8, .force = _i == 0};
    fake_server_lock(r->s);
    r->s->script.left = cases[_i].status;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_cluster_leave(r->k, &l), cases[_i].error);
    size_t calls = fake_server_calls(r->s, KAURI__CALL__CALL_CLUSTER_LEAVE);
    ck_assert(cases[_i].once ? calls == 1 : calls > 1);
    ck_assert_str_eq(l.message, cases[_i].once ? "as asked" : "");
    ck_assert_uint_eq(l.replicas, cases[_i].once ? 8 : 0);
    ck_assert_uint_eq(l.pending, _i == 0 ? 5 : 0);
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client/cluster");
    TCase *tc = tcase_create("cluster");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, test_bad_lists);
    tcase_add_test(tc, test_first_is_away);
    tcase_add_test(tc, test_first_is_mute);
    tcase_add_loop_test(tc, test_not_leader, 0, 2);
    tcase_add_test(tc, test_told_leader_dies);
    tcase_add_loop_test(tc, test_nowhere_to_go, 0, 2);
    tcase_add_test(tc, test_ping_pong);
    tcase_add_test(tc, test_consumer_goes_on);
    tcase_add_loop_test(tc, test_status, 0, 2);
    tcase_add_loop_test(tc, test_promote, 0, 4);
    tcase_add_loop_test(tc, test_leave, 0, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
