/* SPDX-License-Identifier: MIT
 *
 * test_conn_ends: connections that end, by either side and at every stage; the system refusing;
 * stop. Whatever happens: requests with the user are told, pieces are given back once.
 */
#include <sys/mman.h>

#include "rig.h"

/* --- the peer goes --- */

/* Of a connection that ends. */
enum stage {
    STAGE_CONNECTED,
    STAGE_HALF_HEAD,
    STAGE_HALF_FRAME,
    STAGE_HALF_LARGE,
    STAGE_WITH_USER,
    STAGE_BEHIND, /* answered, behind one that is not */
    STAGE_READY,  /* answered, not flushed */
    STAGE_HALF_SENT,
    STAGE_HELD,
};
#define STAGES 9

/* Brings a new connection to the stage: requests sent, taken and answered. */
static int test_reach(struct rig *rig, enum stage stage)
{
    static char large[100000], answer[8 << 20];
    struct conn_piece piece = conn_piece_slice(slice_of("x", 1), rig_release, rig);
    size_t frames = stage >= STAGE_WITH_USER ? 2 : 0;
    int fd = rig_client(rig);
    uint64_t before = rig_stats(rig).bytes_in;
    if (stage == STAGE_HALF_HEAD)
        rig_send(rig, fd, "\0\0", 2);
    if (stage == STAGE_HALF_FRAME)
        rig_send(rig, fd, "\0\0\0\x09half", 8);
    if (stage == STAGE_HALF_LARGE) {
        rig_send(rig, fd, "\x00\x10\0\0", 4);
        rig_send(rig, fd, large, sizeof large);
    }
    for (size_t i = 0; i < frames; i++)
        rig_send_text(rig, fd, "request");
    uint64_t sent = stage == STAGE_HALF_HEAD ? 2 : stage == STAGE_HALF_FRAME ? 8 : 0;
    sent = stage == STAGE_HALF_LARGE ? 4 + sizeof large : sent;
    if (frames == 0)
        RIG_UNTIL(rig, rig_stats(rig).bytes_in == before + sent);
    else
        RIG_UNTIL(rig, rig->taken_count == 2);
    if (stage == STAGE_HELD) {
        rig_send_text(rig, fd, "not read yet");
        RIG_UNTIL(rig, rig_stats(rig).held == 1);
    }
    if (stage == STAGE_BEHIND)
        conn_answer(rig_take(rig, 1), &piece, 1);
    if (stage == STAGE_READY)
        conn_answer(rig_take(rig, 0), &piece, 1);
    if (stage == STAGE_HALF_SENT) {
        piece.p = (const uint8_t *)answer;
        piece.size = sizeof answer;
        conn_answer(rig_take(rig, 0), &piece, 1);
        RIG_UNTIL(rig, rig_stats(rig).bytes_out > 0);
    }
    return fd;
}

/* Every stage, with an orderly end, with a reset, and with answers given inside `gone`. */
START_TEST(test_peer_goes)
{
    struct rig rig;
    enum stage stage = (enum stage)(_i / 3);
    rig_init(&rig);
    rig.options.conn_requests_max = 2;
    rig.answer_gone = _i % 3 == 2;
    rig_open(&rig);
    int fd = test_reach(&rig, stage);
    size_t gone = rig.taken_count;
    if (_i % 3 == 0)
        close(fd);
    else
        rig_reset(fd);
    if (stage == STAGE_HELD && _i % 3 == 0) { /* there are bytes to be read before the end */
        for (int i = 0; i < 2; i++) {
            conn_answer(rig_take(&rig, 0), NULL, 0);
            for (int k = 0; k < 5; k++)
                rig_wait(&rig);
        }
        gone = 1;
    }
    RIG_UNTIL(&rig, rig.closed == 1);
    if (_i % 3 == 0 && stage != STAGE_HALF_SENT && stage != STAGE_READY)
        ck_assert_int_eq(rig.last_end, CONN_END_PEER);
    ck_assert(rig.last_end == CONN_END_PEER || rig.last_end == CONN_END_RESET);
    ck_assert_uint_eq(rig.gone, gone);
    ck_assert_uint_eq(rig.taken_count, rig.answer_gone ? 0 : gone);
    ck_assert_uint_eq(rig_stats(&rig).gone, rig.taken_count);
    bool piece = stage == STAGE_BEHIND || stage == STAGE_READY || stage == STAGE_HALF_SENT;
    ck_assert_uint_eq(rig.releases, piece ? 1 : 0);
    while (rig.taken_count > 0) { /* too late: dropped, and given back */
        struct conn_request *r = rig_take(&rig, 0);
        ck_assert(r->gone && r->conn == NULL);
        struct conn_piece late = conn_piece_slice(slice_of("x", 1), rig_release, &rig);
        size_t before = rig.releases;
        conn_answer(r, &late, 1);
        ck_assert_uint_eq(rig.releases, before + 1);
    }
    ck_assert_uint_eq(rig_stats(&rig).in_flight_size, 0);
    ck_assert_uint_eq(rig_stats(&rig).connections, 0);
    rig_close(&rig);
}
END_TEST

/* Requests that came before the end of the stream are handed out. */
START_TEST(test_last_words)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    for (int i = 0; i < 100; i++)
        rig_send_text(&rig, fd, "acks=0");
    close(fd);
    RIG_UNTIL(&rig, rig.closed == 1);
    ck_assert_uint_eq(rig_stats(&rig).frames, 100);
    ck_assert_int_eq(rig.last_end, CONN_END_PEER);
    rig_close(&rig);
}
END_TEST

/* --- the user drops --- */

static void test_drop_second(struct rig *rig, struct conn_request *r)
{
    if (slice_equal(r->body, slice_str("bad"))) {
        conn_drop(r->conn);
        conn_answer(r, NULL, 0);
    } else {
        rig_echo(r);
    }
}

START_TEST(test_drop_in_frame)
{
    struct rig rig;
    rig_init(&rig);
    rig.on_frame = test_drop_second;
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send(&rig, fd, "\0\0\0\4good\0\0\0\3bad\0\0\0\5never", 24);
    rig_expect_end(&rig, fd); /* the good one's answer goes with it */
    ck_assert_uint_eq(rig_stats(&rig).frames, 2);
    ck_assert_int_eq(rig.last_end, CONN_END_DROPPED);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* The last answer and those before it arrive, though unread bytes wait; those behind are gone. */
START_TEST(test_answer_last)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    for (int i = 0; i < 4; i++)
        rig_send_text(&rig, fd, "request");
    RIG_UNTIL(&rig, rig.taken_count == 4);
    struct conn_request *last = rig_take(&rig, 1);
    struct slice text = slice_str("wrong password");
    struct conn_piece piece = conn_piece_bytes(text);
    conn_answer_last(last, _i == 0 ? &piece : NULL, _i == 0 ? 1 : 0);
    rig_answer_text(rig_take(&rig, 1), "never seen"); /* the next one behind */
    rig_send_text(&rig, fd, "not read");
    for (int i = 0; i < 10; i++)
        rig_wait(&rig);
    rig_answer_text(rig_take(&rig, 0), "before");
    rig_expect_text(&rig, fd, "before");
    if (_i == 0)
        rig_expect_text(&rig, fd, "wrong password");
    char byte;
    ssize_t n;
    RIG_UNTIL(&rig, (n = recv(fd, &byte, 1, 0)) >= 0); /* an end, no reset */
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(rig_stats(&rig).frames, 4);
    close(fd);
    RIG_UNTIL(&rig, rig.closed == 1);
    ck_assert_int_eq(rig.last_end, CONN_END_DROPPED);
    ck_assert_uint_eq(rig.gone, 1);
    rig_close(&rig);
}
END_TEST

/* A peer that goes on talking after its last answer is given a second. */
START_TEST(test_linger)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "request");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    conn_answer_last(rig_take(&rig, 0), NULL, 0);
    rig_send_text(&rig, fd, "more");
    RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == 11 + 8);
    rig_send_text(&rig, fd, "and more");
    clock_fake_advance(&rig.clock, CONN_LINGER_MS - 1);
    rig_turn(&rig);
    ck_assert_uint_eq(rig.closed, 0);
    ck_assert_int_eq(conn_next_ms(rig.f), rig.f->now_ms + 1);
    clock_fake_advance(&rig.clock, 1);
    rig_turn(&rig);
    ck_assert_uint_eq(rig.closed, 1);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* --- the system refuses --- */

struct faults {
    int error; /* of the n-th call, counting down */
    int at;
    int calls;
};

static bool faults_now(void *ctx)
{
    struct faults *k = ctx;
    k->calls++;
    return k->at > 0 && k->calls == k->at;
}

static ssize_t faults_receive(void *ctx, int fd, struct iovec *v, size_t count)
{
    const struct faults *k = ctx;
    return faults_now(ctx) ? -k->error : conn_read_receive(NULL, fd, v, count);
}

static ssize_t faults_send(void *ctx, int fd, const struct msghdr *message, int flags)
{
    const struct faults *k = ctx;
    return faults_now(ctx) ? -k->error : conn_write_send(NULL, fd, message, flags);
}

static ssize_t faults_send_file(void *ctx, int fd, struct conn_range from)
{
    const struct faults *k = ctx;
    return faults_now(ctx) ? -k->error : conn_write_send_file(NULL, fd, from);
}

static void test_answer_all(struct rig *rig, int file)
{
    while (rig->taken_count > 0) {
        struct conn_piece pieces[] = {
            conn_piece_slice(slice_str("slice"), rig_release, rig),
            conn_piece_file((struct conn_range){file, 0, 4}, rig_release, rig),
        };
        conn_answer(rig_take(rig, 0), pieces, 2);
    }
}

/* A dialogue of a few requests; false when the connection ended. */
static bool test_dialogue(struct rig *rig, int fd, int file)
{
    for (int i = 0; i < 3; i++) {
        char got[13];
        size_t have = 0;
        if (send(fd, "\0\0\0\1x", 5, MSG_NOSIGNAL) != 5)
            return false;
        while (have < sizeof got) {
            rig_wait(rig);
            test_answer_all(rig, file);
            ssize_t n = recv(fd, got + have, sizeof got - have, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                return false;
            have += n > 0 ? (size_t)n : 0;
        }
        ck_assert_int_eq(memcmp(got, "\0\0\0\x09slicefile", 13), 0);
    }
    return true;
}

/* The n-th call fails, n = 1, 2, ...: the connection ends, or goes on where that is right. */
START_TEST(test_calls_fail)
{
    static const struct {
        int error;
        bool fatal;
    } kinds[] = {{ECONNRESET, true}, {EIO, true}, {ENOMEM, true}, {EINTR, false}};
    int file = memfd_create("file", MFD_CLOEXEC);
    ck_assert_int_eq(write(file, "file", 4), 4);
    bool fine = false;
    int n = 1;
    for (; !fine; n++) {
        struct rig rig;
        struct faults faults = {.error = kinds[_i].error};
        struct conn_calls calls = {faults_receive, faults_send, faults_send_file, &faults};
        rig_init(&rig);
        rig.options.calls = &calls;
        rig_open(&rig);
        int fd = rig_client(&rig);
        faults.calls = 0;
        faults.at = n;
        bool whole = test_dialogue(&rig, fd, file);
        bool hit = faults.calls >= n;
        ck_assert(whole == !(hit && kinds[_i].fatal));
        ck_assert_uint_eq(rig.closed, whole ? 0 : 1);
        fine = !hit;
        close(fd);
        rig_close(&rig);
        ck_assert_uint_eq(rig.releases % 2, 0);
    }
    ck_assert_int_gt(n, 8);
    close(file);
}
END_TEST

/* A file shorter than the answer says, and a mapping that cannot be read: no half truths follow. */
START_TEST(test_piece_fails)
{
    struct rig rig;
    char got[8192];
    ssize_t n;
    size_t have = 0;
    rig_init(&rig);
    rig_open(&rig);
    int file = memfd_create("short", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(file, 8192), 0);
    uint8_t *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(ftruncate(file, 4096), 0);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "request");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    /* a small slice, which would be copied were it ours */
    struct slice slice = slice_of(map + 4000, _i == 2 ? 8192 - 4000 : 200);
    struct conn_piece piece =
        _i == 0 ? conn_piece_file((struct conn_range){file, 4000, 200}, rig_release, &rig)
                : conn_piece_slice(slice, rig_release, &rig);
    conn_answer(rig_take(&rig, 0), &piece, 1);
    RIG_UNTIL(&rig, rig.closed == 1);
    while ((n = recv(fd, got, sizeof got, 0)) > 0)
        have += (size_t)n;
    ck_assert_uint_le(have, 4 + 96);
    ck_assert_int_eq(rig.last_end, CONN_END_PIECE);
    ck_assert_uint_eq(rig.releases, 1);
    ck_assert_msg(strstr(rig.line, "could not be read") != NULL, "%s", rig.line);
    munmap(map, 8192);
    close(file);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* --- stop --- */

START_TEST(test_stop)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int idle = rig_client(&rig);
    int half = rig_client(&rig);
    int busy = rig_client(&rig);
    rig_send(&rig, half, "\0\0", 2);
    rig_send_text(&rig, busy, "in flight");
    RIG_UNTIL(&rig, rig.taken_count == 1 && rig_stats(&rig).bytes_in == 15);
    conn_stop(rig.f);
    conn_check(rig.f);
    ck_assert(!conn_stopped(rig.f));
    ck_assert_uint_eq(conn_listen_port(rig.f, 0), 0);
    rig_send_text(&rig, busy, "too late");
    rig_expect_end(&rig, idle);
    rig_expect_end(&rig, half);
    ck_assert_uint_eq(rig.taken_count, 1);
    ck_assert_uint_eq(rig_stats(&rig).connections, 1);
    rig_answer_text(rig_take(&rig, 0), "done");
    rig_expect_text(&rig, busy, "done");
    char byte;
    ssize_t n;
    RIG_UNTIL(&rig, (n = recv(busy, &byte, 1, 0)) >= 0);
    ck_assert_int_eq(n, 0);
    close(busy);
    RIG_UNTIL(&rig, conn_stopped(rig.f));
    ck_assert_int_eq(rig.last_end, CONN_END_STOPPED);
    close(idle);
    close(half);
    rig_close(&rig);
}
END_TEST

/* Patience ends with who does not read; a request with the user is waited for. */
START_TEST(test_stop_patience)
{
    static char zeros[8 << 20];
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int slow = rig_client(&rig);
    int busy = rig_client(&rig);
    rig_send_text(&rig, slow, "big");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    struct conn_piece piece = conn_piece_slice(slice_of(zeros, sizeof zeros), rig_release, &rig);
    conn_answer(rig_take(&rig, 0), &piece, 1);
    rig_send_text(&rig, busy, "request");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    conn_stop(rig.f);
    clock_fake_advance(&rig.clock, 4999);
    rig_turn(&rig);
    ck_assert_uint_eq(rig.closed, 0);
    ck_assert_int_eq(conn_next_ms(rig.f), rig.f->now_ms + 1);
    clock_fake_advance(&rig.clock, 1);
    rig_turn(&rig);
    ck_assert_uint_eq(rig.closed, 1);
    ck_assert_uint_eq(rig.releases, 1);
    ck_assert_int_gt(conn_next_ms(rig.f), rig.f->now_ms);
    rig_answer_text(rig_take(&rig, 0), "done");
    RIG_UNTIL(&rig, conn_stopped(rig.f));
    rig_expect_text(&rig, busy, "done");
    close(slow);
    close(busy);
    rig_close(&rig);
}
END_TEST

/* conn_close gives back what waits, and the text of conn_dump tells what there is. */
START_TEST(test_close_and_dump)
{
    struct rig rig;
    struct buf text = {0};
    rig_init(&rig);
    rig_open(&rig);
    int fd = test_reach(&rig, STAGE_HALF_SENT);
    int half = test_reach(&rig, STAGE_CONNECTED);
    rig_send(&rig, half, "\0\0\0\x09half", 8);
    RIG_UNTIL(&rig, rig.f->stats.bytes_in == 22 + 8);
    conn_answer(rig_take(&rig, 0), NULL, 0);
    conn_dump(rig.f, &text);
    buf_append_u8(&text, 0);
    ck_assert_msg(strstr((char *)text.p, "connections: 2 of") != NULL, "%s", text.p);
    ck_assert_msg(strstr((char *)text.p, "frame 4 of 9 bytes") != NULL, "%s", text.p);
    ck_assert_msg(strstr((char *)text.p, "full; 2 requests") != NULL, "%s", text.p);
    buf_deinit(&text);
    rig_close(&rig);
    ck_assert_uint_eq(rig.releases, 1);
    ck_assert_uint_eq(rig.closed, 2);
    close(fd);
    close(half);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_ends");
    TCase *tests = tcase_create("ends");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_peer_goes, 0, 3 * STAGES);
    tcase_add_test(tests, test_last_words);
    tcase_add_test(tests, test_drop_in_frame);
    tcase_add_loop_test(tests, test_answer_last, 0, 2);
    tcase_add_test(tests, test_linger);
    tcase_add_loop_test(tests, test_calls_fail, 0, 4);
    tcase_add_loop_test(tests, test_piece_fails, 0, 3);
    tcase_add_test(tests, test_stop);
    tcase_add_test(tests, test_stop_patience);
    tcase_add_test(tests, test_close_and_dump);
    suite_add_tcase(suite, tests);
    return rig_main(suite);
}
