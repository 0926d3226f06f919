/* SPDX-License-Identifier: MIT
 *
 * test_secret: who may ask and who is believed: the same secret, another one, one on either side
 * only, listeners of this host and others; an answer that somebody else made.
 */
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <stdio.h>

#include "proto/frame.h"
#include "proto/kauri.pb-c.h"
#include "rig.h"

static struct rig rig;
static struct cargo_seal *ours;
static struct cargo_seal *theirs;

static void start(struct cargo_seal *asker, struct cargo_seal *asked)
{
    rig_init(&rig, true);
    rig.options.seal = asker;
    rig.nano_options.seal = asked;
    rig_listen(&rig);
    rig_ask(&rig);
}

static void make_seals(void)
{
    ours = cargo_seal_new(slice_str("one secret of ours"));
    theirs = cargo_seal_new(slice_str("one secret of theirs"));
}

static void close_all(void)
{
    rig_close(&rig);
    ours = cargo_seal_free(ours);
    theirs = cargo_seal_free(theirs);
}

static enum broker_status ask(enum ship_kind kind)
{
    static struct rig_call c;
    rig_make(&c, kind);
    return rig_run(&rig, &c);
}

START_TEST(test_shared_secret)
{
    static struct rig_call c;
    make_seals();
    start(ours, ours);
    for (int kind = 0; kind < SHIP_KIND_COUNT; kind++)
        ck_assert_int_eq(ask((enum ship_kind)kind), BROKER_OK);
    rig_make(&c, SHIP_PULL);
    rig.broker->ship_size = 300000;
    c.entries[0].size_max = 300000;
    c.kept = true;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert_uint_eq(c.entries[0].bytes.size, 300000);
    for (size_t i = 0; i < 300000; i++)
        ck_assert_uint_eq(c.entries[0].bytes.p[i], fake_ship_byte(100, i));
    rig.link.release(rig.link.ctx, &c.call);
    rig_kill(&rig); /* another life, another nonce */
    rig_listen(&rig);
    RIG_UNTIL(&rig, ask(SHIP_VOTE) == BROKER_OK);
    ck_assert_uint_eq(rig.lines, 0);
    close_all();
}
END_TEST

/* Refused without the broker hearing of it; each side says so once. */
static void check_denied(const char *words)
{
    struct nano_stats front;
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ask((enum ship_kind)(i % SHIP_KIND_COUNT)), BROKER_DENIED);
    nano_stats(rig.nano, &front);
    ck_assert_uint_eq(rig.broker->started, 0);
    ck_assert_uint_ge(front.denied, 20);
    ck_assert_uint_eq(rig.lines, 2);
    ck_assert_msg(strstr(rig.line, words) != NULL, "%s", rig.line);
}

START_TEST(test_other_secret)
{
    make_seals();
    start(ours, theirs);
    check_denied("is another than this");
    close_all();
}
END_TEST

START_TEST(test_asker_without)
{
    make_seals();
    start(NULL, ours);
    check_denied("it has no ship.secret");
    close_all();
}
END_TEST

START_TEST(test_asked_without)
{
    make_seals();
    start(ours, NULL);
    check_denied("and this broker has none");
    close_all();
}
END_TEST

static void everywhere(struct cargo_seal *seal)
{
    rig_init(&rig, true);
    snprintf(rig.url, sizeof rig.url, "tcp://0.0.0.0:%s", strrchr(rig.dial, ':') + 1);
    rig.nano_options.allow_insecure = true;
    rig.options.seal = rig.nano_options.seal = seal;
    rig_listen(&rig);
    rig_ask(&rig);
}

START_TEST(test_listener_for_all_wants_a_secret)
{
    make_seals();
    everywhere(NULL);
    check_denied("loopback");
    close_all();
}
END_TEST

START_TEST(test_listener_for_all_with_a_secret)
{
    make_seals();
    everywhere(ours);
    ck_assert_int_eq(ask(SHIP_REGISTER), BROKER_OK);
    close_all();
}
END_TEST

/* --- an impostor that listens --- */

static bool other_version; /* hello is answered as a broker older or newer would */

static int impostor_open(const char *url)
{
    int s = nn_socket(AF_SP_RAW, NN_REP);
    ck_assert_int_ge(s, 0);
    ck_assert_int_ge(nn_bind(s, url), 0);
    return s;
}

/* Answers every hello rightly, every call with a reply that is sealed by `seal`, or not at all. */
static void impostor_answer(const Kauri__Call *q, struct cargo_seal *seal, Kauri__Answer *a,
                            struct buf *body)
{
    static uint8_t nonce[CARGO_NONCE_SIZE] = {1};
    static uint8_t mac[CARGO_MAC_SIZE];
    static Kauri__HelloAnswer hello;
    static Kauri__ShipAnswer ship;
    Kauri__ShipReply reply;
    kauri__ship_reply__init(&reply);
    Kauri__ShipLeader leader;
    kauri__ship_leader__init(&leader);
    kauri__answer__init(a);
    kauri__hello_answer__init(&hello);
    kauri__ship_answer__init(&ship);
    a->id = q->id;
    if (q->call_case == KAURI__CALL__CALL_HELLO && other_version) {
        a->status = KAURI__STATUS__UNSUPPORTED_VERSION;
        return;
    }
    if (q->call_case == KAURI__CALL__CALL_HELLO) {
        hello.version = 1;
        hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
        a->answer_case = KAURI__ANSWER__ANSWER_HELLO;
        a->hello = &hello;
        return;
    }
    reply.leader = &leader;
    buf_reset(body);
    buf_reserve(body, 256);
    body->size = kauri__ship_reply__pack(&reply, body->p);
    ship.body = (ProtobufCBinaryData){body->size, body->p};
    if (seal != NULL) {
        struct cargo_seal_call of = {nonce, q->session, q->id};
        cargo_seal_answer(seal, &of, buf_slice(body), SLICE_NULL, mac);
        ship.mac = (ProtobufCBinaryData){sizeof mac, mac};
    }
    a->answer_case = KAURI__ANSWER__ANSWER_SHIP;
    a->ship = &ship;
}

static void impostor_turn(int s, struct cargo_seal *seal, uint64_t *sequence)
{
    uint8_t control[256] = {0};
    void *message = NULL;
    struct nn_iovec v = {&message, NN_MSG};
    struct nn_msghdr header = {&v, 1, control, sizeof control};
    int size = nn_recvmsg(s, &header, NN_DONTWAIT);
    if (size < 0)
        return;
    struct arena arena;
    struct frame f;
    ProtobufCMessage *m;
    struct buf body = {0}, out = {0};
    Kauri__Answer a;
    Kauri__Answer *list = &a;
    Kauri__Answers answers;
    kauri__answers__init(&answers);
    arena_init(&arena, 1u << 20);
    ck_assert_int_eq(frame_split(slice_of(message, (size_t)size), &f), 0);
    ck_assert_int_eq(frame_unpack(&kauri__call__descriptor, f.header, &arena, &m), 0);
    const Kauri__Call *q = (const Kauri__Call *)m;
    impostor_answer(q, seal, &a, &body);
    answers.session = q->session;
    answers.sequence = ++*sequence;
    answers.n_answers = q->id == 0 ? 0 : 1;
    answers.answers = &list;
    frame_pack(&answers.base, SLICE_NULL, &out);
    struct nn_iovec w = {out.p, out.size};
    struct nn_cmsghdr *c = (struct nn_cmsghdr *)(void *)control;
    struct nn_msghdr back = {&w, 1, control, c->cmsg_len};
    (void)nn_sendmsg(s, &back, NN_DONTWAIT);
    nn_freemsg(message);
    buf_deinit(&body);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static enum broker_status ask_impostor(struct cargo_seal *seal)
{
    static struct rig_call c;
    uint64_t sequence = 0;
    int s = impostor_open(rig.url);
    rig_make(&c, SHIP_LEADER);
    rig_send(&rig, &c);
    for (int i = 0; i < 2000 && c.done == 0; i++) {
        impostor_turn(s, seal, &sequence);
        rig_turn(&rig, 5);
    }
    ck_assert_uint_eq(c.done, 1);
    rig.link.release(rig.link.ctx, &c.call);
    nn_close(s);
    return c.call.status;
}

START_TEST(test_answer_of_an_impostor)
{
    make_seals();
    struct cargo_seal *seals[] = {NULL, theirs, ours};
    rig_init(&rig, false);
    rig.options.seal = ours;
    snprintf(rig.url, sizeof rig.url, "%s", rig.dial);
    rig_ask(&rig);
    ck_assert_int_eq(ask_impostor(seals[_i]), _i == 2 ? BROKER_OK : BROKER_DENIED);
    ck_assert_uint_eq(rig.lines, _i == 2 ? 0 : 1);
    close_all();
}
END_TEST

/* One that speaks another version of the protocol is not called again and again for nothing. */
START_TEST(test_other_version)
{
    make_seals();
    other_version = true;
    rig_init(&rig, false);
    snprintf(rig.url, sizeof rig.url, "%s", rig.dial);
    rig_ask(&rig);
    ck_assert_int_eq(ask_impostor(NULL), BROKER_BAD_REQUEST);
    close_all();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("secret");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_shared_secret);
    tcase_add_test(tc, test_other_secret);
    tcase_add_test(tc, test_asker_without);
    tcase_add_test(tc, test_asked_without);
    tcase_add_test(tc, test_listener_for_all_wants_a_secret);
    tcase_add_test(tc, test_listener_for_all_with_a_secret);
    tcase_add_loop_test(tc, test_answer_of_an_impostor, 0, 3);
    tcase_add_test(tc, test_other_version);
    Suite *s = suite_create("ship/secret");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
