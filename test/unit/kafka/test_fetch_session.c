/* SPDX-License-Identifier: MIT
 *
 * test_fetch_session: incremental fetches (KIP-227) as a client sees them: what an answer leaves
 * out, epochs, ends of sessions, and everybody's turn.
 */
#include <check.h>
#include <stdlib.h>

#include "net/kafka/kafka_errmap.h"
#include "net/kafka/kafka_session.h"
#include "test/unit/kafka/fetch_rig.h"

#define VERSION_MIN 7
#define VERSION_END 18

static size_t sessions(const struct fetch_rig *r)
{
    struct kafka_stats s;
    kafka_stats(r->k, &s);
    return s.sessions;
}

static void got(const struct fetch_client *c, const struct fetch_want *w, int64_t to, int64_t end)
{
    const struct kp_fetch_response_partition *p = fetch_client_find(c, w);
    ck_assert_msg(p != NULL, "%s-%d is not in the answer", w->topic, w->partition);
    ck_assert_int_eq(p->error, 0);
    ck_assert_int_eq(p->high_watermark, end);
    ck_assert_int_eq(fetch_client_read(p->records, w->offset), to);
}

static void got_error(const struct fetch_client *c, const struct fetch_want *w, int16_t error)
{
    const struct kp_fetch_response_partition *p = fetch_client_find(c, w);
    ck_assert_msg(p != NULL, "%s-%d is not in the answer", w->topic, w->partition);
    ck_assert_int_eq(p->error, error);
}

/* A session over these, made by a full fetch. */
static void begin(struct fetch_client *c, struct fetch_query *q)
{
    q->session_id = q->session_epoch = 0;
    fetch_client_ask(c, q);
    ck_assert_int_eq(c->answer.error, 0);
    ck_assert_int_gt(c->answer.session_id, 0);
    ck_assert_uint_eq(fetch_client_count(c), q->count); /* all of them, data or not */
    q->session_id = c->answer.session_id;
    q->session_epoch = 1;
    q->count = 0;
}

/* The next incremental fetch. */
static void next(struct fetch_client *c, struct fetch_query *q)
{
    fetch_client_ask(c, q);
    ck_assert_int_eq(c->answer.error, 0);
    ck_assert_int_eq(c->answer.session_id, q->session_id);
    q->session_epoch++;
    q->count = q->forgotten_count = 0;
}

static void refused(struct fetch_client *c, struct fetch_query q, int16_t error)
{
    q.max_wait_ms = 60000; /* at once, all the same */
    fetch_client_ask(c, &q);
    ck_assert_int_eq(c->answer.error, error);
    ck_assert_int_eq(c->answer.session_id, 0);
    ck_assert_int_eq(c->answer.topics.count, 0);
}

static void put(struct fetch_rig *r, const char *topic, int32_t partition)
{
    struct rig_batch b = {.tag = 1};
    ck_assert_int_eq(rig_put(&r->g, topic, partition, &b, NULL), BROKER_OK);
}

START_TEST(what_has_not_changed_is_left_out)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w[] = {{.topic = "t"}, {.topic = "t", .partition = 1}, {.topic = "u"}};
    struct fetch_want add = {.topic = "u", .partition = 1};
    struct fetch_query q = {.version = (int16_t)_i, .wants = w, .count = 3};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 2, NULL);
    rig_create(&r.g, "u", 2, NULL);
    put(&r, "t", 0);
    begin(&c, &q);
    got(&c, &w[0], 1, 1);
    got(&c, &w[1], 0, 0);

    q.wants = w; /* the reader has gone on in one partition; nothing is new anywhere */
    q.count = 1;
    w[0].offset = 1;
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 0);

    put(&r, "u", 0);
    put(&r, "t", 1);
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 2);
    got(&c, &w[1], 1, 1);
    got(&c, &w[2], 1, 1);

    q.wants = &add; /* one more, and one that goes */
    q.count = 1;
    q.forgotten = &w[1];
    q.forgotten_count = 1;
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 2); /* u-0 again: its reader has not gone on */
    got(&c, &w[2], 1, 1);
    got(&c, &add, 0, 0); /* told once */
    put(&r, "t", 1);
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 1);
    got(&c, &w[2], 1, 1);

    ck_assert_int_eq(rig_trim(&r.g, "t", 0, 1), BROKER_OK); /* the log start is news */
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 2);
    got(&c, &w[0], 1, 1);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(an_error_is_told_until_it_ends)
{
    struct fetch_rig r;
    struct fetch_client c;
    int16_t v = (int16_t)_i;
    struct fetch_want w[] = {{.topic = "t"}, {.topic = "t", .offset = 0, .partition = 1}};
    struct fetch_query q = {.version = v, .wants = w, .count = 2};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    begin(&c, &q);
    for (int i = 0; i < 3; i++) {
        next(&c, &q);
        ck_assert_uint_eq(fetch_client_count(&c), 1);
        got_error(&c, &w[1], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_GROW, "t");
    a.req.partitions = 2;
    ck_assert_int_eq(rig_admin_run(&r.g, &a), BROKER_OK);
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 1);
    got(&c, &w[1], 0, 0);
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(epochs_and_ids)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    int16_t v = (int16_t)_i, other = v < 13 ? 13 : 12;
    struct fetch_query q = {.version = v, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    begin(&c, &q);
    struct fetch_query bad = q;
    bad.session_epoch = 2;
    refused(&c, bad, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    bad.session_epoch = -2;
    refused(&c, bad, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    bad.session_epoch = 1;
    bad.session_id ^= 1;
    refused(&c, bad, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    bad.session_id = 0;
    refused(&c, bad, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    bad = q;
    bad.version = other;
    refused(&c, bad, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    next(&c, &q); /* none of them did anything to it */
    bad = q;
    bad.session_epoch = 1;
    refused(&c, bad, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    next(&c, &q);
    ck_assert_uint_eq(sessions(&r), 1);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(sessions_end)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = (int16_t)_i, .wants = &w, .count = 1}, full;
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    full = q;
    begin(&c, &q);
    struct fetch_query old = q;
    full.session_id = q.session_id; /* closes it, makes another */
    fetch_client_ask(&c, &full);
    got(&c, &w, 0, 0);
    ck_assert_int_gt(c.answer.session_id, 0);
    ck_assert_int_ne(c.answer.session_id, old.session_id);
    ck_assert_uint_eq(sessions(&r), 1);
    full.session_id = c.answer.session_id;
    refused(&c, old, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_uint_eq(sessions(&r), 1);

    /* closes it, wants none */
    full.session_epoch = -1;
    fetch_client_ask(&c, &full);
    got(&c, &w, 0, 0);
    ck_assert_int_eq(c.answer.session_id, 0);
    ck_assert_uint_eq(sessions(&r), 0);

    q.count = 1; /* a session without partitions ends */
    begin(&c, &q);
    q.forgotten = &w;
    q.forgotten_count = 1;
    q.max_wait_ms = 60000;
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(c.answer.error, 0);
    ck_assert_int_eq(c.answer.session_id, 0);
    ck_assert_uint_eq(fetch_client_count(&c), 0);
    ck_assert_uint_eq(sessions(&r), 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(an_incremental_fetch_waits)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w[] = {{.topic = "t"}, {.topic = "t", .partition = 1}};
    struct fetch_query q = {.version = (int16_t)_i, .min_bytes = 1, .wants = w, .count = 2};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 2, NULL);
    begin(&c, &q);
    q.max_wait_ms = 1000;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    put(&r, "t", 1);
    fetch_client_take(&c);
    ck_assert_uint_eq(fetch_client_count(&c), 1);
    got(&c, &w[1], 1, 1);
    q.session_epoch++;
    w[1].offset = 1;
    q.wants = &w[1];
    q.count = 1;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    fetch_rig_advance(&r, 1000);
    fetch_client_take(&c);
    ck_assert_int_eq(c.answer.error, 0);
    ck_assert_uint_eq(fetch_client_count(&c), 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* The epoch says who was first; the older of two finds another when it is answered. */
START_TEST(two_requests_in_one_session)
{
    struct fetch_rig r;
    struct fetch_client c, d;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = (int16_t)_i, .min_bytes = 1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    fetch_client_open(&d, &r);
    rig_create(&r.g, "t", 1, NULL);
    begin(&c, &q);
    q.max_wait_ms = 60000;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    q.session_epoch = 2;
    fetch_client_send(&d, &q);
    ck_assert(!fetch_client_poll(&d));
    put(&r, "t", 0);
    fetch_client_take(&c);
    fetch_client_take(&d);
    ck_assert_int_eq(c.answer.error, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    ck_assert_int_eq(c.answer.session_id, q.session_id);
    ck_assert_int_eq(c.answer.topics.count, 0);
    ck_assert_int_eq(d.answer.error, 0);
    got(&d, &w, 1, 1);
    fetch_client_close(&c);
    fetch_client_close(&d);
    fetch_rig_close(&r);
}
END_TEST

/* Its partitions are gone with it: what waits may not touch them. */
START_TEST(a_session_closed_under_a_request)
{
    struct fetch_rig r;
    struct fetch_client c, d;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = (int16_t)_i, .min_bytes = 1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    fetch_client_open(&d, &r);
    rig_create(&r.g, "t", 1, NULL);
    begin(&c, &q);
    q.max_wait_ms = 60000;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    q.session_epoch = -1;
    q.max_wait_ms = 0;
    fetch_client_ask(&d, &q);
    ck_assert_uint_eq(sessions(&r), 0);
    ck_assert(!fetch_client_poll(&c));
    put(&r, "t", 0);
    fetch_client_take(&c);
    ck_assert_int_eq(c.answer.error, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_int_eq(c.answer.topics.count, 0);
    fetch_client_close(&c);
    fetch_client_close(&d);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(a_topic_that_comes_again)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct broker_topic_info old;
    int16_t v = (int16_t)_i;
    struct fetch_want w = {.topic = "t"}, by_old = {.topic = "t", .id = old.id};
    struct fetch_query q = {.version = v, .min_bytes = 1, .wants = &by_old, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic(r.g.broker, slice_str("t"), &old), 0);
    begin(&c, &q);
    q.max_wait_ms = 60000;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    ck_assert_int_eq(rig_delete(&r.g, "t"), BROKER_OK);
    fetch_client_take(&c);
    q.session_epoch++;
    got_error(&c, &by_old, v >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    rig_create(&r.g, "t", 1, NULL);
    put(&r, "t", 0);
    next(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 1);
    if (v < 13) {
        got(&c, &w, 1, 1);
    } else {
        got_error(&c, &by_old, KAFKA_UNKNOWN_TOPIC_ID);
        q.wants = &w; /* as Java's client does: the new id comes, the old one goes */
        q.count = 1;
        q.forgotten = &by_old;
        q.forgotten_count = 1;
        next(&c, &q);
        ck_assert_uint_eq(fetch_client_count(&c), 1);
        got(&c, &w, 1, 1);
    }
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* --- many partitions --- */

#define MANY 300

/* An answer has room for a few: each has its turn, because those that gave data go to the end. */
START_TEST(everybody_has_a_turn)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct rig_batch b = {.value_size = 1000};
    static struct fetch_want w[MANY];
    int16_t v = (int16_t)_i;
    struct fetch_query q = {.version = v, .min_bytes = 1, .wants = w, .count = MANY};
    unsigned seen = 0, rounds = 0;
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", MANY, NULL);
    for (int32_t i = 0; i < MANY; i++)
        w[i] = (struct fetch_want){.topic = "t", .partition = i};
    begin(&c, &q);
    for (int32_t i = 0; i < MANY; i++)
        ck_assert_int_eq(rig_put(&r.g, "t", i, &b, NULL), BROKER_OK);
    q.max_bytes = 12000; /* about 11 of them; the readers do not go on */
    for (; rounds < MANY / 10 + 1; rounds++) {
        next(&c, &q);
        if (rounds > 0)
            ck_assert_uint_lt(fetch_client_count(&c), 12);
        for (int32_t i = 0; i < MANY; i++) {
            const struct kp_fetch_response_partition *p = fetch_client_find(&c, &w[i]);
            if (p == NULL || p->records.size == 0)
                continue;
            seen += w[i].offset == 0;
            w[i].offset = -1; /* only marks it */
        }
    }
    ck_assert_uint_eq(seen, MANY);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* More than a session may hold: full answers, no session. */
START_TEST(too_many_for_a_session)
{
    struct fetch_rig r;
    struct fetch_client c;
    size_t count = KAFKA_SESSION_PARTITIONS_MAX + 1;
    struct fetch_want *w = calloc(count, sizeof *w);
    struct fetch_query q = {.version = 13, .wants = w, .count = count - 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    for (size_t i = 0; i < count; i++)
        w[i] = (struct fetch_want){.topic = "t", .partition = (int32_t)i};
    begin(&c, &q);
    ck_assert_uint_eq(sessions(&r), 1);
    q.wants = &w[count - 1]; /* one more than fits: the session ends */
    q.count = 1;
    refused(&c, q, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_uint_eq(sessions(&r), 0);
    q = (struct fetch_query){.version = 13, .wants = w, .count = count};
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(c.answer.session_id, 0);
    ck_assert_uint_eq(fetch_client_count(&c), count);
    fetch_client_close(&c);
    fetch_rig_close(&r);
    free(w);
}
END_TEST

/* All slots are taken: none for a newcomer until one has been idle for two minutes. */
START_TEST(slots_are_given_up)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = 12, .wants = &w, .count = 1}, first = {0};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    for (int i = 0; i < KAFKA_SESSIONS_MAX; i++) {
        q.count = 1;
        begin(&c, &q);
        if (i == 0)
            first = q;
    }
    q = (struct fetch_query){.version = 12, .wants = &w, .count = 1};
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(c.answer.session_id, 0);
    got(&c, &w, 0, 0);
    fetch_rig_advance(&r, KAFKA_SESSION_IDLE_MS - 1);
    next(&c, &first); /* the first is in use again; the second is now the longest unused */
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(c.answer.session_id, 0);
    fetch_rig_advance(&r, 1);
    begin(&c, &q);
    ck_assert_uint_eq(sessions(&r), KAFKA_SESSIONS_MAX);
    next(&c, &first);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch_session");
    TCase *t = tcase_create("fetch_session");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, what_has_not_changed_is_left_out, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, an_error_is_told_until_it_ends, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, epochs_and_ids, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, sessions_end, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, an_incremental_fetch_waits, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, two_requests_in_one_session, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, a_session_closed_under_a_request, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, a_topic_that_comes_again, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, everybody_has_a_turn, 12, 14);
    tcase_add_test(t, too_many_for_a_session);
    tcase_add_test(t, slots_are_given_up);
    suite_add_tcase(s, t);
    return rig_main(s);
}
