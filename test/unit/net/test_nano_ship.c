/* SPDX-License-Identifier: MIT
 *
 * test_nano_ship: calls of other brokers that somebody else holds in hand: recorded and sent again,
 * changed, taken to another session; what is out of bounds; bytes that cannot be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/cargo/cargo.h"
#include "net/cargo/cargo_seal.h"
#include "proto/frame.h"
#include "rig.h"

#define PAGE 4096

static struct rig rig;
static struct cargo_seal *seal;
static struct arena scratch;

static void setup(void)
{
    arena_init(&scratch, 0);
    seal = cargo_seal_new(slice_str("a secret of brokers"));
    rig_init(&rig, true);
    rig.options.seal = seal;
    rig_open(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
    seal = cargo_seal_free(seal);
    arena_deinit(&scratch);
}

/* The nonce that a client was told in its last hello. */
static const uint8_t *nonce_of(const struct client *c, uint64_t hello)
{
    const Kauri__Answer *a = c->got[hello].answer;
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_HELLO);
    ck_assert_uint_eq(a->hello->nonce.len, CARGO_NONCE_SIZE);
    return a->hello->nonce.data;
}

struct made {
    struct buf message;
    uint64_t id;
    size_t ship_size; /* of the Ship at the message's end */
};

/* A message of a call as `c` would send it now, sealed. */
static struct made make(struct client *c, const struct ship_call *call, const uint8_t *nonce,
                        uint64_t sequence)
{
    struct made made = {0};
    struct buf body = {0};
    uint8_t mac[CARGO_MAC_SIZE];
    Kauri__Call message;
    Kauri__Ship ship;
    client_call(c, &message, cargo_case(call->kind));
    kauri__ship__init(&ship);
    cargo_put_call(call, 1u << 20, &scratch, &body);
    struct cargo_seal_call of = {nonce, c->session, message.id};
    cargo_seal_question(seal, &of, sequence, buf_slice(&body), mac);
    ship.body = (ProtobufCBinaryData){body.size, body.p};
    ship.sequence = sequence;
    ship.mac = (ProtobufCBinaryData){sizeof mac, mac};
    message.ship_pull = &ship;
    frame_pack(&message.base, SLICE_NULL, &made.message);
    made.id = message.id;
    made.ship_size = kauri__ship__get_packed_size(&ship);
    buf_deinit(&body);
    return made;
}

static void send_made(const struct made *m, struct client *c)
{
    rig_send_bytes(&rig, c, m->message.p, m->message.size);
}

static struct ship_call leader_call(void)
{
    return (struct ship_call){.kind = SHIP_LEADER, .from = 2, .to = 1, .broker_epoch = -1};
}

/* A round trip after which all that was sent before has arrived. */
static void settle(struct client *c)
{
    struct client *before = rig.client;
    rig.client = c;
    rig_answer(&rig, c, rig_ping(&rig, c, false));
    rig.client = before;
}

START_TEST(test_recorded_call_has_no_effect)
{
    struct ship_call call = leader_call();
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    send_made(&m, rig.client);
    ck_assert_int_eq(rig_answer(&rig, rig.client, m.id)->status, KAURI__STATUS__OK);
    ck_assert_uint_eq(rig.broker->started, 1);
    uint64_t dropped = rig_stats(&rig).dropped;
    for (int i = 0; i < 3; i++)
        send_made(&m, rig.client);
    settle(rig.client);
    ck_assert_uint_eq(rig.broker->started, 1);
    ck_assert_uint_eq(rig.client->got[m.id].times, 1);
    ck_assert_uint_eq(rig_stats(&rig).dropped, dropped + 3);
    buf_deinit(&m.message);
}
END_TEST

/* The rightful sender repeats with the next sequence, and is heard again. */
START_TEST(test_repeated_call_is_answered_again)
{
    struct ship_call call = leader_call();
    const uint8_t *nonce = nonce_of(rig.client, 1);
    struct made m = make(rig.client, &call, nonce, 1);
    send_made(&m, rig.client);
    rig_answer(&rig, rig.client, m.id);
    rig.client->next_id--;
    struct made again = make(rig.client, &call, nonce, 2);
    ck_assert_uint_eq(again.id, m.id);
    send_made(&again, rig.client);
    RIG_UNTIL(&rig, rig.client->got[m.id].times == 2);
    ck_assert_int_eq(rig.client->got[m.id].answer->status, KAURI__STATUS__OK);
    buf_deinit(&m.message);
    buf_deinit(&again.message);
}
END_TEST

/* A hello under the same number by somebody else gives recordings no second chance. */
START_TEST(test_recorded_call_after_another_hello)
{
    struct ship_call call = leader_call();
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    send_made(&m, rig.client);
    rig_answer(&rig, rig.client, m.id);
    rig_answer(&rig, rig.client, rig_hello(&rig, rig.client));
    send_made(&m, rig.client);
    settle(rig.client);
    ck_assert_uint_eq(rig.broker->started, 1);
    buf_deinit(&m.message);
}
END_TEST

/* After a restart the nonce is another one: what was recorded before is sealed wrongly. */
START_TEST(test_recorded_call_after_a_restart)
{
    struct ship_call call = leader_call();
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    nano_stop(rig.nano);
    rig.nano = nano_close(rig.nano);
    rig.client = client_free(rig.client);
    rig_open(&rig);
    send_made(&m, rig.client);
    ck_assert_int_eq(rig_answer(&rig, rig.client, m.id)->status, KAURI__STATUS__DENIED);
    ck_assert_uint_eq(rig.broker->started, 0);
    ck_assert_uint_eq(rig_stats(&rig).denied, 1);
    buf_deinit(&m.message);
}
END_TEST

START_TEST(test_call_in_another_session)
{
    struct client *other = client_new(rig.url, 2000);
    struct client *first = rig.client;
    struct ship_call call = leader_call();
    rig.client = other;
    rig_answer(&rig, other, rig_hello(&rig, other));
    struct made m = make(other, &call, nonce_of(first, 1), 1);
    send_made(&m, other);
    ck_assert_int_eq(rig_answer(&rig, other, m.id)->status, KAURI__STATUS__DENIED);
    ck_assert_uint_eq(rig.broker->started, 0);
    buf_deinit(&m.message);
    rig.client = first;
    (void)client_free(other);
}
END_TEST

/* Every byte of what is sealed in turn, and of the seal: nothing reaches the broker. */
START_TEST(test_changed_call)
{
    struct ship_call call = leader_call();
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    for (size_t at = m.message.size - m.ship_size; at < m.message.size; at++) {
        m.message.p[at] ^= 0x10;
        send_made(&m, rig.client);
        m.message.p[at] ^= 0x10;
        settle(rig.client);
    }
    ck_assert_uint_eq(rig.broker->started, 0);
    ck_assert_uint_gt(rig_stats(&rig).denied, CARGO_MAC_SIZE);
    buf_deinit(&m.message);
}
END_TEST

START_TEST(test_question_out_of_bounds)
{
    static struct ship_call call = {.kind = SHIP_RECORDS, .from = 2, .records = {.since = -1}};
    const uint8_t *nonce = nonce_of(rig.client, 1);
    struct made m = make(rig.client, &call, nonce, 1);
    send_made(&m, rig.client);
    ck_assert_int_eq(rig_answer(&rig, rig.client, m.id)->status, KAURI__STATUS__OK);
    /* the body of a vote in a call for records, sealed all the same */
    Kauri__Call message;
    Kauri__Ship ship;
    struct buf body = {0};
    uint8_t mac[CARGO_MAC_SIZE];
    call = (struct ship_call){.kind = SHIP_VOTE};
    cargo_put_call(&call, 1u << 20, &scratch, &body);
    client_call(rig.client, &message, KAURI__CALL__CALL_SHIP_RECORDS);
    kauri__ship__init(&ship);
    struct cargo_seal_call of = {nonce, rig.client->session, message.id};
    cargo_seal_question(seal, &of, 2, buf_slice(&body), mac);
    ship.body = (ProtobufCBinaryData){body.size, body.p};
    ship.sequence = 2;
    ship.mac = (ProtobufCBinaryData){sizeof mac, mac};
    message.ship_records = &ship;
    uint64_t id = rig_send(&rig, rig.client, &message, SLICE_NULL);
    ck_assert_int_eq(rig_answer(&rig, rig.client, id)->status, KAURI__STATUS__BAD_REQUEST);
    ck_assert_uint_eq(rig.broker->started, 1);
    buf_deinit(&body);
    buf_deinit(&m.message);
}
END_TEST

/* A page that the disk cannot give: that entry says so, at its own offset; the others stand, and
 * the seal fits what left. */
START_TEST(test_damage_under_a_pull)
{
    char path[] = "/tmp/kauri-nano-XXXXXX";
    static struct ship_call call, back;
    struct ship_pull_entry entries[3] = {{.offset = 5, .size_max = 500},
                                         {.partition = 1, .offset = 77, .size_max = 500},
                                         {.offset = 9, .size_max = 500}};
    int fd = mkstemp(path);
    ck_assert_int_eq(ftruncate(fd, 2 * PAGE), 0);
    void *map = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(ftruncate(fd, PAGE), 0);
    rig.broker->mapped = slice_of(map, 2 * PAGE);
    rig.broker->ship_size = 500;
    call = (struct ship_call){.kind = SHIP_PULL, .from = 2};
    call.pull = (struct ship_pull){.entries = entries, .count = 3, .size_max = 100000};
    back = call;
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    send_made(&m, rig.client);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, m.id);
    struct slice raw = rig.client->got[m.id].raw;
    struct slice body = slice_of(a->ship->body.data, a->ship->body.len);
    const char *why = "";
    uint8_t mac[CARGO_MAC_SIZE];
    struct cargo_seal_call of = {nonce_of(rig.client, 1), rig.client->session, m.id};
    cargo_seal_answer(seal, &of, body, raw, mac);
    ck_assert(cargo_seal_equal(slice_of(a->ship->mac.data, a->ship->mac.len), mac));
    arena_deinit(&scratch);
    arena_init(&scratch, 1u << 20);
    int r = cargo_get_answer(body, raw, &scratch, &back, &why);
    ck_assert_msg(r == 0, "%s", why);
    ck_assert(entries[0].status == SHIP_PULL_OK && entries[0].bytes.size == 500);
    ck_assert(entries[1].status == SHIP_PULL_STORAGE && entries[1].next_good == 77);
    ck_assert(entries[2].status == SHIP_PULL_OK && entries[2].bytes.size == 500);
    for (size_t i = 0; i < 500; i++)
        ck_assert_uint_eq(entries[2].bytes.p[i], fake_ship_byte(9, i));
    buf_deinit(&m.message);
    munmap(map, 2 * PAGE);
    close(fd);
    unlink(path);
}
END_TEST

/* A session that goes takes its waiting calls along. */
START_TEST(test_forgotten_session_cancels)
{
    struct ship_call call = leader_call();
    rig.broker->hold = true;
    struct made m = make(rig.client, &call, nonce_of(rig.client, 1), 1);
    send_made(&m, rig.client);
    RIG_UNTIL(&rig, rig.broker->pending_count == 1);
    rig_answer(&rig, rig.client, rig_hello(&rig, rig.client));
    ck_assert_uint_eq(rig.broker->cancelled, 1);
    fake_broker_complete(rig.broker, 1);
    ck_assert_uint_eq(rig.broker->pins, 0);
    buf_deinit(&m.message);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ship");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_recorded_call_has_no_effect);
    tcase_add_test(tc, test_repeated_call_is_answered_again);
    tcase_add_test(tc, test_recorded_call_after_another_hello);
    tcase_add_test(tc, test_recorded_call_after_a_restart);
    tcase_add_test(tc, test_call_in_another_session);
    tcase_add_test(tc, test_changed_call);
    tcase_add_test(tc, test_question_out_of_bounds);
    tcase_add_test(tc, test_damage_under_a_pull);
    tcase_add_test(tc, test_forgotten_session_cancels);
    Suite *s = suite_create("net/nano_ship");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
