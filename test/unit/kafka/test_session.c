/* SPDX-License-Identifier: MIT
 *
 * The sessions of incremental fetches beside a dumb model: arrays, searched from the front.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "net/kafka/kafka_errmap.h"
#include "net/kafka/kafka_session.h"

#define MODEL_PARTITIONS 12
#define MODEL_STEPS      8000

struct model_partition {
    int topic;
    int32_t index;
    int64_t offset;
    int64_t high_watermark;
    int64_t log_start;
};

struct model_session {
    int32_t id;
    uint64_t serial;
    int32_t epoch;
    bool by_id;
    int64_t created_ms;
    int64_t used_ms;
    uint64_t turn; /* of the last use */
    struct model_partition v[MODEL_PARTITIONS];
    size_t count;
};

struct model {
    struct model_session v[KAFKA_SESSIONS_MAX];
    size_t count;
    int64_t now_ms;
    uint64_t turn;
    struct random random;
    struct kafka_sessions *real;
    unsigned evicted_idle;
    unsigned evicted_small;
    unsigned refused;
};

static const char *const model_names[] = {"a", "orders", "orders.eu", "x-y_z", ""};
static const uint8_t model_ids[5][16] = {{1}, {2}, {3}, {1, 1}, {0}};

static uint64_t model_below(struct model *m, uint64_t bound)
{
    return random_below(&m->random, bound);
}

static struct kafka_session_ask model_ask(bool by_id, int topic, int32_t index, int64_t offset)
{
    return (struct kafka_session_ask){.topic = by_id ? slice_of(model_ids[topic], 16)
                                                     : slice_str(model_names[topic]),
                                      .index = index,
                                      .leader_epoch = (int32_t)offset + 1,
                                      .max_bytes = (int32_t)offset + 2,
                                      .fetch_offset = offset};
}

static void model_remove_at(struct model *m, size_t i)
{
    m->v[i] = m->v[--m->count];
}

static struct model_session *model_find(struct model *m, int32_t id)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->v[i].id == id)
            return &m->v[i];
    return NULL;
}

/* One in the model is one in the real cache, partition by partition in order. */
static void model_compare_one(const struct model *m, const struct model_session *s)
{
    size_t i = 0;
    struct kafka_session *r = kafka_session_find(m->real, s->id, s->serial);
    ck_assert_ptr_nonnull(r);
    ck_assert_int_eq(r->epoch, s->epoch);
    ck_assert_uint_eq(r->partitions.count, s->count);
    LIST_EACH (node, &r->order) {
        struct kafka_session_partition *p = kafka_session_at(node);
        const struct model_partition *want = &s->v[i++];
        struct kafka_session_ask ask = kafka_session_asked(p);
        struct kafka_session_ask e = model_ask(s->by_id, want->topic, want->index, want->offset);
        ck_assert(slice_equal(ask.topic, e.topic));
        ck_assert_int_eq(ask.index, e.index);
        ck_assert_int_eq(ask.fetch_offset, e.fetch_offset);
        ck_assert_int_eq(ask.leader_epoch, e.leader_epoch);
        ck_assert_int_eq(ask.max_bytes, e.max_bytes);
        ck_assert_int_eq(p->high_watermark, want->high_watermark);
        ck_assert_int_eq(p->log_start, want->log_start);
    }
}

static void model_compare(const struct model *m)
{
    ck_assert_uint_eq(kafka_sessions_count(m->real), m->count);
    for (size_t i = 0; i < m->count; i++)
        model_compare_one(m, &m->v[i]);
    kafka_sessions_check(m->real);
}

/* --- the same steps in both --- */

static struct model_partition *model_partition(struct model_session *s, int topic, int32_t index)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].topic == topic && s->v[i].index == index)
            return &s->v[i];
    return NULL;
}

static void model_put(struct model *m, struct model_session *s, struct kafka_session *r)
{
    int topic = (int)model_below(m, 5);
    int32_t index = (int32_t)model_below(m, 4) - 1;
    int64_t offset = (int64_t)model_below(m, 1000);
    struct model_partition *p = model_partition(s, topic, index);
    if (p == NULL && s->count == MODEL_PARTITIONS)
        return;
    if (p == NULL) {
        p = &s->v[s->count++];
        *p = (struct model_partition){topic, index, 0, -1, -1};
    }
    p->offset = offset;
    struct kafka_session_ask ask = model_ask(s->by_id, topic, index, offset);
    ck_assert_ptr_nonnull(kafka_session_put(m->real, r, &ask));
}

static void model_forget(struct model *m, struct model_session *s, struct kafka_session *r)
{
    int topic = (int)model_below(m, 5);
    int32_t index = (int32_t)model_below(m, 4) - 1;
    struct model_partition *p = model_partition(s, topic, index);
    struct kafka_session_ask ask = model_ask(s->by_id, topic, index, 0);
    kafka_session_forget(m->real, r, &ask);
    if (p == NULL)
        return;
    size_t behind = (size_t)(s->v + s->count - (p + 1));
    memmove(p, p + 1, behind * sizeof *p);
    s->count--;
}

/* Answers one partition, which by the rules of KIP-227 must be told or not. */
static void model_note(struct model *m, struct model_session *s, struct kafka_session *r)
{
    size_t i = model_below(m, s->count);
    struct model_partition p = s->v[i];
    struct kafka_session_told told = {.high_watermark = (int64_t)model_below(m, 3),
                                      .log_start = (int64_t)model_below(m, 2),
                                      .data = model_below(m, 3) == 0};
    told.elsewhere = !told.data && model_below(m, 5) == 0;
    if (!told.data && model_below(m, 4) == 0)
        told = (struct kafka_session_told){-1, -1, KAFKA_UNKNOWN_TOPIC_ID, false, false};
    bool must = told.data || told.elsewhere || told.error != 0 ||
                p.high_watermark != told.high_watermark || p.log_start != told.log_start;
    struct list *node = r->order.next;
    for (size_t k = 0; k < i; k++)
        node = node->next;
    ck_assert(kafka_session_note(r, kafka_session_at(node), &told) == must);
    s->v[i].high_watermark = told.high_watermark;
    s->v[i].log_start = told.log_start;
    if (told.data) {
        p = s->v[i];
        memmove(&s->v[i], &s->v[i + 1], (s->count - i - 1) * sizeof p);
        s->v[s->count - 1] = p;
    }
}

static int32_t model_some_id(struct model *m)
{
    return m->count == 0 || model_below(m, 20) == 0 ? (int32_t)model_below(m, INT32_MAX)
                                                    : m->v[model_below(m, m->count)].id;
}

static void model_incremental(struct model *m)
{
    struct kafka_session_claim claim = {model_some_id(m), 0, model_below(m, 2) == 0};
    struct model_session *s = model_find(m, claim.id);
    struct kafka_session *r = NULL;
    claim.epoch = s == NULL || model_below(m, 10) == 0 ? (int32_t)model_below(m, 4) : s->epoch;
    if (s != NULL && model_below(m, 10) > 0)
        claim.by_id = s->by_id;
    int16_t want = s == NULL                 ? KAFKA_FETCH_SESSION_ID_NOT_FOUND
                   : s->epoch != claim.epoch ? KAFKA_INVALID_FETCH_SESSION_EPOCH
                   : s->by_id != claim.by_id ? KAFKA_FETCH_SESSION_TOPIC_ID_ERROR
                                             : 0;
    ck_assert_int_eq(kafka_session_enter(m->real, &claim, &r), want);
    if (want != 0)
        return;
    for (uint64_t n = model_below(m, 4); n > 0; n--)
        model_put(m, s, r);
    for (uint64_t n = model_below(m, 3); n > 0; n--)
        model_forget(m, s, r);
    kafka_session_step(m->real, r, m->now_ms);
    s->epoch++;
    s->used_ms = m->now_ms;
    s->turn = ++m->turn;
    for (uint64_t n = model_below(m, 4); n > 0 && s->count > 0; n--)
        model_note(m, s, r);
}

/* Who goes for a newcomer, or m->count: nobody. */
static size_t model_victim(struct model *m, size_t count)
{
    size_t oldest = 0, least = m->count;
    for (size_t i = 0; i < m->count; i++) {
        const struct model_session *s = &m->v[i];
        if (s->turn < m->v[oldest].turn)
            oldest = i;
        if (m->now_ms - s->created_ms < 120000 || s->count >= count)
            continue;
        if (least == m->count || s->count < m->v[least].count ||
            (s->count == m->v[least].count && s->id < m->v[least].id))
            least = i;
    }
    if (m->now_ms - m->v[oldest].used_ms >= 120000) {
        m->evicted_idle++;
        return oldest;
    }
    m->evicted_small += least < m->count;
    m->refused += least == m->count;
    return least;
}

static void model_create(struct model *m)
{
    struct kafka_session_new n = {
        .count = model_below(m, MODEL_PARTITIONS), .now_ms = m->now_ms, .by_id = m->turn % 2 == 0};
    n.size = n.count * kafka_session_cost(slice_of(NULL, 16));
    bool full = m->count == KAFKA_SESSIONS_MAX;
    size_t victim = full ? model_victim(m, n.count) : m->count;
    struct kafka_session *r = kafka_session_create(m->real, &n);
    ck_assert_int_eq(r != NULL, !full || victim < m->count);
    if (r == NULL)
        return;
    if (full)
        model_remove_at(m, victim);
    ck_assert_ptr_null(model_find(m, (int32_t)r->id));
    ck_assert(r->id > 0 && r->id <= INT32_MAX);
    struct model_session *s = &m->v[m->count++];
    *s = (struct model_session){.id = (int32_t)r->id,
                                .serial = r->serial,
                                .epoch = 1,
                                .by_id = n.by_id,
                                .created_ms = m->now_ms,
                                .used_ms = m->now_ms,
                                .turn = ++m->turn};
    for (size_t i = 0; i < n.count; i++)
        model_put(m, s, r);
}

static void model_close(struct model *m)
{
    int32_t id = model_some_id(m);
    struct model_session *s = model_find(m, id);
    kafka_session_close(m->real, id);
    if (s != NULL)
        model_remove_at(m, (size_t)(s - m->v));
}

static void model_step(struct model *m)
{
    uint64_t what = model_below(m, 100);
    if (what < 30)
        model_create(m);
    else if (what < 32)
        model_close(m);
    else
        model_incremental(m);
    if (model_below(m, 5) == 0) /* a round of all sessions takes about as long as they may idle */
        m->now_ms += (int64_t)model_below(m, 300);
}

START_TEST(random_requests_as_in_the_model)
{
    struct model *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    random_init(&m->random, (uint64_t)_i);
    m->now_ms = 1000;
    m->real = kafka_sessions_new((uint64_t)_i);
    for (int i = 0; i < MODEL_STEPS; i++) {
        model_step(m);
        ck_assert_uint_eq(kafka_sessions_count(m->real), m->count);
        if (i % 997 == 0)
            model_compare(m);
    }
    model_compare(m);
    ck_assert_uint_gt(m->evicted_idle, 10);
    ck_assert_uint_gt(m->evicted_small, 10);
    ck_assert_uint_gt(m->refused, 10);
    kafka_sessions_free(m->real);
    free(m);
}
END_TEST

/* --- limits --- */

static struct kafka_session *limits_fill(struct kafka_sessions *s, int64_t now_ms)
{
    static const char name[] = "a-topic-with-a-name-of-usual-length";
    struct kafka_session_new n = {.count = KAFKA_SESSION_PARTITIONS_MAX, .now_ms = now_ms};
    n.size = n.count * kafka_session_cost(slice_str(name));
    struct kafka_session *r = kafka_session_create(s, &n);
    for (int32_t i = 0; r != NULL && i < KAFKA_SESSION_PARTITIONS_MAX; i++) {
        struct kafka_session_ask ask = {.topic = slice_str(name), .index = i};
        ck_assert_ptr_nonnull(kafka_session_put(s, r, &ask));
    }
    return r;
}

START_TEST(bytes_of_all_sessions_are_bounded)
{
    struct kafka_sessions *s = kafka_sessions_new(1);
    size_t count = 0;
    while (limits_fill(s, 1000) != NULL)
        count++;
    ck_assert_uint_gt(count, 5);
    ck_assert_uint_lt(count, 100);
    kafka_sessions_check(s);
    ck_assert_ptr_null(limits_fill(s, 1000 + KAFKA_SESSION_IDLE_MS - 1));
    ck_assert_ptr_nonnull(limits_fill(s, 1000 + KAFKA_SESSION_IDLE_MS));
    ck_assert_uint_eq(kafka_sessions_count(s), count);
    kafka_sessions_check(s);
    kafka_sessions_free(s);
}
END_TEST

START_TEST(a_session_does_not_grow_beyond_all_bytes)
{
    struct kafka_sessions *s = kafka_sessions_new(1);
    struct kafka_session_new n = {.now_ms = 1};
    struct kafka_session *small = kafka_session_create(s, &n);
    while (limits_fill(s, 1000) != NULL)
        ;
    char name[KAFKA_SESSION_TOPIC_MAX + 1];
    memset(name, 'n', sizeof name);
    struct kafka_session_ask ask = {.topic = slice_of(name, sizeof name - 1)};
    while (ask.index < KAFKA_SESSION_PARTITIONS_MAX && kafka_session_put(s, small, &ask) != NULL)
        ask.index++;
    ck_assert_int_gt(ask.index, 0);
    ck_assert_int_lt(ask.index, KAFKA_SESSION_PARTITIONS_MAX);
    kafka_sessions_check(s);
    kafka_sessions_free(s);
}
END_TEST

START_TEST(partitions_of_a_session_are_bounded)
{
    struct kafka_sessions *s = kafka_sessions_new(1);
    struct kafka_session *r = limits_fill(s, 0);
    struct kafka_session_ask ask = {.topic = slice_str("b")};
    struct kafka_session_ask known = {
        .topic = slice_str("a-topic-with-a-name-of-usual-length"), .index = 7, .fetch_offset = 9};
    struct kafka_session_new more = {.count = KAFKA_SESSION_PARTITIONS_MAX + 1};
    ck_assert_ptr_nonnull(r);
    ck_assert_ptr_null(kafka_session_put(s, r, &ask));
    ck_assert_ptr_nonnull(kafka_session_put(s, r, &known));
    kafka_session_forget(s, r, &known);
    ck_assert_ptr_nonnull(kafka_session_put(s, r, &ask));
    ck_assert_ptr_null(kafka_session_create(s, &more));
    kafka_sessions_check(s);
    kafka_sessions_free(s);
}
END_TEST

START_TEST(no_session_for_a_name_no_topic_has)
{
    char name[KAFKA_SESSION_TOPIC_MAX + 1];
    memset(name, 'n', sizeof name);
    struct kafka_sessions *s = kafka_sessions_new(1);
    struct kafka_session_new n = {.count = 1};
    struct kafka_session *r = kafka_session_create(s, &n);
    struct kafka_session_ask ask = {.topic = slice_of(name, sizeof name)};
    ck_assert_ptr_null(kafka_session_put(s, r, &ask));
    kafka_session_forget(s, r, &ask);
    ask.topic.size--;
    ck_assert_ptr_nonnull(kafka_session_put(s, r, &ask));
    kafka_sessions_check(s);
    kafka_sessions_free(s);
}
END_TEST

START_TEST(epochs_begin_anew_at_1)
{
    struct kafka_sessions *s = kafka_sessions_new(1);
    struct kafka_session_new n = {.count = 0};
    struct kafka_session *r = kafka_session_create(s, &n);
    struct kafka_session_claim claim = {(int32_t)r->id, INT32_MAX, false};
    struct kafka_session *found = NULL;
    r->epoch = INT32_MAX;
    ck_assert_int_eq(kafka_session_enter(s, &claim, &found), 0);
    kafka_session_step(s, found, 5);
    ck_assert_int_eq(found->epoch, 1);
    ck_assert_ptr_null(kafka_session_find(s, claim.id, r->serial + 1));
    kafka_sessions_free(s);
}
END_TEST

/* An error is told each time, and so is its end, even with the marks of before. */
START_TEST(the_end_of_an_error_is_told)
{
    struct kafka_sessions *s = kafka_sessions_new(1);
    struct kafka_session_new n = {.count = 1};
    struct kafka_session *r = kafka_session_create(s, &n);
    struct kafka_session_ask ask = {.topic = slice_str("a")};
    struct kafka_session_partition *p = kafka_session_put(s, r, &ask);
    struct kafka_session_told good = {.high_watermark = 3}, bad = good;
    bad.error = KAFKA_STORAGE_ERROR;
    ck_assert_ptr_nonnull(p);
    ck_assert(kafka_session_note(r, p, &good));
    ck_assert(!kafka_session_note(r, p, &good));
    ck_assert(kafka_session_note(r, p, &bad));
    ck_assert(kafka_session_note(r, p, &bad));
    ck_assert(kafka_session_note(r, p, &good));
    ck_assert(!kafka_session_note(r, p, &good));
    kafka_sessions_free(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, random_requests_as_in_the_model, 0, 2);
    tcase_add_test(t, bytes_of_all_sessions_are_bounded);
    tcase_add_test(t, a_session_does_not_grow_beyond_all_bytes);
    tcase_add_test(t, partitions_of_a_session_are_bounded);
    tcase_add_test(t, no_session_for_a_name_no_topic_has);
    tcase_add_test(t, epochs_begin_anew_at_1);
    tcase_add_test(t, the_end_of_an_error_is_told);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
