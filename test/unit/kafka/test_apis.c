/* SPDX-License-Identifier: MIT
 *
 * test_apis: which calls the Kafka front tells, takes and refuses: ApiVersions names just what the
 * schema offers, a key that is known and not offered is refused like one never heard of, and
 * whoever looks for a coordinator is answered in every version.
 */
#include "test/unit/kafka/kclient.h"

#define APIS_COORDINATOR_MAX 6

START_TEST(tells_what_is_offered)
{
    struct kclient c;
    struct kp_api_versions_request q = KP_API_VERSIONS_REQUEST_INIT;
    int32_t next = 0;
    kclient_init(&c, 1);
    kclient_open(&c);
    const struct kp_api_versions_response *a = kclient_ask(&c, KP_API_API_VERSIONS, 4, &q);
    for (int api = 0; api < KP_API_COUNT; api++) {
        if (!kp_is_offered((enum kp_api)api))
            continue;
        struct kp_versions offered = kp_offered((enum kp_api)api);
        ck_assert_int_lt(next, a->api_keys.count);
        const struct kp_api_versions_response_api_key *told = &a->api_keys.v[next++];
        ck_assert_int_eq(told->key, kp_key((enum kp_api)api));
        ck_assert_int_eq(told->min_version, offered.min);
        ck_assert_int_eq(told->max_version, offered.max);
    }
    ck_assert_int_eq(next, a->api_keys.count);
    kclient_close(&c);
}
END_TEST

/* What was sent ended the connection; there is a new one then. */
static void refused(struct kclient *c, unsigned count)
{
    struct kafka_stats stats;
    ck_assert_ptr_null(kclient_receive(c, KP_API_API_VERSIONS, 0));
    kafka_stats(c->k, &stats);
    ck_assert_uint_eq(stats.refused, count);
    kclient_hang_up(c);
    kclient_connect(c);
}

START_TEST(refuses_what_is_not_offered)
{
    static const uint8_t inner[] = {0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff}; /* key 4 */
    struct kclient c;
    unsigned count = 0;
    kclient_init(&c, 2);
    kclient_open(&c);
    kclient_send_bytes(&c, slice_of(inner, sizeof inner));
    refused(&c, ++count);
    for (int api = 0; api < KP_API_COUNT; api++) {
        struct kp_versions known = kp_known((enum kp_api)api);
        for (int16_t v = known.min; v <= known.max && !kp_is_offered((enum kp_api)api); v++) {
            union kp_any q;
            kp_init((struct kp_kind){(enum kp_api)api, KP_REQUEST, v}, &q);
            kclient_send(&c, (enum kp_api)api, v, &q);
            refused(&c, ++count);
        }
    }
    kclient_close(&c);
}
END_TEST

/* One node for everything; of which kind the key must be is told apart. */
static void coordinators(struct kclient *c, int16_t version, int8_t type, int16_t error)
{
    struct slice keys[2] = {slice_str("g"), slice_str("")};
    struct kp_find_coordinator_request q = KP_FIND_COORDINATOR_REQUEST_INIT;
    q.key = keys[0];
    q.key_type = type;
    q.coordinator_keys.v = keys;
    q.coordinator_keys.count = 2;
    const struct kp_find_coordinator_response *a =
        kclient_ask(c, KP_API_FIND_COORDINATOR, version, &q);
    ck_assert_int_eq(a->error, version < 4 ? error : 0);
    ck_assert_int_eq(a->coordinators.count, version < 4 ? 0 : 2);
    if (version < 4) {
        ck_assert_int_eq(a->port, error == 0 ? kafka_port(c->k) : -1);
        ck_slice(a->host, error == 0 ? "127.0.0.1" : "");
        ck_assert_int_eq(a->node_id, error == 0 ? 1 : -1);
    }
    for (int32_t i = 0; i < a->coordinators.count; i++) {
        const struct kp_find_coordinator_response_coordinator *v = &a->coordinators.v[i];
        ck_assert(slice_equal(v->key, keys[i]));
        ck_assert_int_eq(v->error, error);
        ck_assert((v->error_message.p != NULL) == (error != 0));
        ck_assert_int_eq(v->port, error == 0 ? kafka_port(c->k) : -1);
        ck_slice(v->host, error == 0 ? "127.0.0.1" : "");
        ck_assert_int_eq(v->node_id, error == 0 ? 1 : -1);
    }
}

START_TEST(coordinator_in_every_version)
{
    struct kclient c;
    kclient_init(&c, 3);
    kclient_open(&c);
    ck_assert_int_eq(kp_offered(KP_API_FIND_COORDINATOR).max, APIS_COORDINATOR_MAX);
    for (int16_t v = 0; v <= APIS_COORDINATOR_MAX; v++) {
        coordinators(&c, v, 0, 0);
        if (v == 0)
            continue; /* knows groups alone */
        coordinators(&c, v, 1, KAFKA_COORDINATOR_NOT_AVAILABLE);
        coordinators(&c, v, 2, KAFKA_INVALID_REQUEST);
        coordinators(&c, v, 7, KAFKA_INVALID_REQUEST);
    }
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka apis");
    TCase *t = tcase_create("apis");
    tcase_add_test(t, tells_what_is_offered);
    tcase_add_test(t, refuses_what_is_not_offered);
    tcase_add_test(t, coordinator_in_every_version);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
