/* SPDX-License-Identifier: MIT
 *
 * test_conn_answers: answers leave in the order of the requests, whole, whatever they are made of
 * and however the socket cuts them; every piece is given back once.
 */
#include <sys/mman.h>

#include "engine/base/random.h"
#include "rig.h"

#define ORDER_COUNT 200

/* Random completion order, several seeds. */
START_TEST(test_order)
{
    struct rig rig;
    struct random random;
    char text[32];
    random_init(&random, (uint64_t)_i);
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    for (int i = 0; i < ORDER_COUNT; i++) {
        snprintf(text, sizeof text, "request %d", i);
        rig_send_text(&rig, fd, text);
    }
    RIG_UNTIL(&rig, rig.taken_count == ORDER_COUNT);
    while (rig.taken_count > 0) {
        rig_echo(rig_take(&rig, random_below(&random, rig.taken_count)));
        if (random_below(&random, 8) == 0)
            rig_turn(&rig);
    }
    for (int i = 0; i < ORDER_COUNT; i++) {
        snprintf(text, sizeof text, "request %d", i);
        rig_expect_text(&rig, fd, text);
    }
    close(fd);
    rig_close(&rig);
}
END_TEST

START_TEST(test_head_holds_back)
{
    struct rig rig;
    char byte;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "first");
    rig_send_text(&rig, fd, "second");
    RIG_UNTIL(&rig, rig.taken_count == 2);
    rig_answer_text(rig_take(&rig, 1), "two");
    for (int i = 0; i < 3; i++)
        rig_turn(&rig);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_uint_eq(rig_stats(&rig).sends, 0);
    rig_answer_text(rig_take(&rig, 0), "one");
    rig_expect_text(&rig, fd, "one");
    rig_expect_text(&rig, fd, "two");
    ck_assert_uint_eq(rig_stats(&rig).sends, 1); /* both in one */
    close(fd);
    rig_close(&rig);
}
END_TEST

/* acks=0: no bytes for it, and those behind it go on. */
START_TEST(test_nothing)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    for (int i = 0; i < 5; i++)
        rig_send_text(&rig, fd, "request");
    RIG_UNTIL(&rig, rig.taken_count == 5);
    conn_answer(rig_take(&rig, 4), NULL, 0);
    rig_answer_text(rig_take(&rig, 3), "four");
    conn_answer(rig_take(&rig, 2), NULL, 0);
    rig_answer_text(rig_take(&rig, 1), "two");
    conn_answer(rig_take(&rig, 0), NULL, 0);
    rig_expect_text(&rig, fd, "two");
    rig_expect_text(&rig, fd, "four");
    RIG_UNTIL(&rig, rig_stats(&rig).requests == 0);
    ck_assert_uint_eq(rig_stats(&rig).answers, 2);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* --- pieces of every kind --- */

struct cutter {
    size_t cut; /* bytes that one call may send */
    size_t calls;
};

static ssize_t cutter_send(void *ctx, int fd, const struct msghdr *message, int flags)
{
    struct cutter *k = ctx;
    size_t left = k->cut;
    struct iovec v[128];
    struct msghdr cut = {.msg_iov = v};
    for (size_t i = 0; i < message->msg_iovlen && left > 0; i++) {
        v[i] = message->msg_iov[i];
        v[i].iov_len = v[i].iov_len < left ? v[i].iov_len : left;
        left -= v[i].iov_len;
        cut.msg_iovlen = i + 1;
    }
    k->calls++;
    return conn_write_send(NULL, fd, &cut, flags);
}

static ssize_t cutter_send_file(void *ctx, int fd, struct conn_range from)
{
    struct cutter *k = ctx;
    from.size = from.size < k->cut ? from.size : k->cut;
    k->calls++;
    return conn_write_send_file(NULL, fd, from);
}

static ssize_t cutter_receive(void *ctx, int fd, struct iovec *v, size_t count)
{
    (void)ctx;
    return conn_read_receive(NULL, fd, v, count);
}

static int test_file(const char *text)
{
    int fd = memfd_create("pieces", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* An answer with empty and full pieces of all kinds; its text is MIXED. */
#define MIXED "bytes,owned,slice,file,more slice"
static void test_answer_mixed(struct rig *rig, struct conn_request *r, int file)
{
    struct buf owned = {0};
    struct buf none = {0};
    buf_append(&owned, "owned,", 6);
    struct conn_piece pieces[] = {
        conn_piece_bytes(slice_of("", 0)),
        conn_piece_bytes(slice_str("bytes,")),
        conn_piece_owned(&owned),
        conn_piece_owned(&none),
        conn_piece_slice(slice_str("slice,"), rig_release, rig),
        conn_piece_file((struct conn_range){file, 100, 0}, rig_release, rig),
        conn_piece_bytes(SLICE_NULL),
        conn_piece_file((struct conn_range){file, 4, 5}, rig_release, rig),
        conn_piece_slice(slice_str(""), rig_release, rig),
        conn_piece_slice(slice_str("more slice"), rig_release, rig),
    };
    ck_assert(owned.p == NULL && owned.size == 0);
    conn_answer(r, pieces, sizeof pieces / sizeof *pieces);
}

/* Every number of bytes per call: each boundary of each piece is a cut once. */
START_TEST(test_pieces_cut)
{
    struct rig rig;
    struct cutter cutter = {.cut = 1};
    struct conn_calls calls = {cutter_receive, cutter_send, cutter_send_file, &cutter};
    int file = test_file("and file,\n");
    rig_init(&rig);
    rig.options.calls = &calls;
    rig_open(&rig);
    int fd = rig_client(&rig);
    size_t rounds = 2 * (strlen(MIXED) + 4) + 1;
    for (; cutter.cut <= rounds; cutter.cut++) {
        rig_send_text(&rig, fd, "x");
        rig_send_text(&rig, fd, "y");
        RIG_UNTIL(&rig, rig.taken_count == 2);
        test_answer_mixed(&rig, rig_take(&rig, 1), file);
        test_answer_mixed(&rig, rig_take(&rig, 0), file);
        rig_expect_text(&rig, fd, MIXED);
        rig_expect_text(&rig, fd, MIXED);
        RIG_UNTIL(&rig, rig_stats(&rig).requests == 0);
        ck_assert_uint_eq(rig.releases, cutter.cut * 10);
    }
    ck_assert_uint_eq(rig_stats(&rig).out_size, 0);
    close(fd);
    close(file);
    rig_close(&rig);
}
END_TEST

/* More pieces than one call takes, large and small ones mixed. */
START_TEST(test_many_pieces)
{
    enum { COUNT = 2000 };
    struct rig rig;
    struct buf want = {0}, got = {0};
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "x");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    struct conn_request *r = rig_take(&rig, 0);
    struct conn_piece *pieces = arena_array(&r->arena, COUNT, sizeof *pieces);
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i % 7 * (i % 5 == 0 ? 1000 : 10);
        uint8_t *p = arena_alloc(&r->arena, size);
        memset(p, (int)i, size);
        buf_append(&want, p, size);
        pieces[i] = i % 3 == 0 ? conn_piece_slice(slice_of(p, size), rig_release, &rig)
                               : conn_piece_bytes(slice_of(p, size));
    }
    conn_answer(r, pieces, COUNT);
    rig_read_frame(&rig, fd, &got);
    ck_assert(slice_equal(buf_slice(&got), buf_slice(&want)));
    RIG_UNTIL(&rig, rig_stats(&rig).requests == 0);
    ck_assert_uint_eq(rig.releases, (COUNT + 2) / 3);
    buf_deinit(&want);
    buf_deinit(&got);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A large body is given back at the answer, unless the answer lies in it. */
START_TEST(test_body_given_back)
{
    struct rig rig;
    struct buf body = {0}, got = {0};
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    buf_reserve(&body, 300000);
    memset(body.p, 'b', 300000);
    rig_send_text(&rig, fd, "holds the others back");
    rig_send_frame(&rig, fd, body.p, 300000);
    rig_send_frame(&rig, fd, body.p, 300000);
    RIG_UNTIL(&rig, rig.taken_count == 3);
    ck_assert_uint_gt(rig_stats(&rig).in_flight_size, 600000);
    rig_answer_text(rig_take(&rig, 1), "small");
    ck_assert_uint_lt(rig_stats(&rig).in_flight_size, 310000);
    struct conn_request *r = rig_take(&rig, 1);
    struct conn_piece piece = conn_piece_bytes(slice_of(r->body.p + 299990, 10));
    conn_answer(r, &piece, 1);
    ck_assert_uint_gt(rig_stats(&rig).in_flight_size, 300000);
    rig_answer_text(rig_take(&rig, 0), "go");
    rig_expect_text(&rig, fd, "go");
    rig_expect_text(&rig, fd, "small");
    rig_expect_text(&rig, fd, "bbbbbbbbbb");
    RIG_UNTIL(&rig, rig_stats(&rig).in_flight_size == 0);
    buf_deinit(&body);
    buf_deinit(&got);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A large file range beside other connections' small answers: bounded work per turn. */
START_TEST(test_fair)
{
    enum { SIZE = 24 << 20 };
    struct rig rig;
    struct buf got = {0};
    rig_init(&rig);
    rig_open(&rig);
    int file = memfd_create("large", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(file, SIZE), 0);
    int large = rig_client(&rig);
    int small = rig_client(&rig);
    rig_send_text(&rig, large, "large");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    struct conn_piece piece =
        conn_piece_file((struct conn_range){file, 0, SIZE}, rig_release, &rig);
    conn_answer(rig_take(&rig, 0), &piece, 1);
    uint64_t before = rig_stats(&rig).bytes_out;
    rig_turn(&rig);
    ck_assert_uint_le(rig_stats(&rig).bytes_out - before, CONN_SEND_MAX + (1u << 20));
    rig_send_text(&rig, small, "small");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    rig_answer_text(rig_take(&rig, 0), "quick");
    rig_expect_text(&rig, small, "quick");
    ck_assert_uint_eq(rig.releases, 0); /* the large one has not left yet */
    rig_read_frame(&rig, large, &got);
    ck_assert_uint_eq(got.size, SIZE);
    RIG_UNTIL(&rig, rig.releases == 1);
    buf_deinit(&got);
    close(large);
    close(small);
    close(file);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_answers");
    TCase *tests = tcase_create("answers");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_order, 1, 6);
    tcase_add_test(tests, test_head_holds_back);
    tcase_add_test(tests, test_nothing);
    tcase_add_test(tests, test_pieces_cut);
    tcase_add_test(tests, test_many_pieces);
    tcase_add_test(tests, test_body_given_back);
    tcase_add_test(tests, test_fair);
    suite_add_tcase(suite, tests);
    return rig_main(suite);
}
