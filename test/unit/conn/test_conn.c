/* SPDX-License-Identifier: MIT
 *
 * test_conn: listening, frames in: however they are cut, in their order, with little memory.
 */
#include <malloc.h>
#include <netdb.h>

#include "rig.h"

/* --- listening --- */

START_TEST(test_addresses)
{
    static const char *const bad[] = {
        "",       "localhost", "127.0.0.1:",   "127.0.0.1:x",
        "::1:80", "[::1:80",   "127.0.0.1:-1", "127.0.0.1:65536",
        "[]:1",   "h:1234567", "127.0.0.1:1 ", "no.such.host.invalid:1"};
    struct rig rig;
    char why[CONN_WHY_SIZE];
    rig_init(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        why[0] = '\0';
        ck_assert_msg(conn_listen(rig.f, bad[i], 0, why) == CONN_BAD_ADDRESS, "'%s'", bad[i]);
        ck_assert_uint_ne(strlen(why), 0);
    }
    ck_assert_uint_eq(conn_listen_port(rig.f, 1), 0);
    ck_assert_int_eq(conn_listen(rig.f, "localhost:0", 1, why), 0);
    ck_assert_int_eq(conn_listen(rig.f, ":0", 1, why), 0);
    ck_assert_int_eq(conn_listen(rig.f, "0.0.0.0:0", 1, why), 0);
    rig_close(&rig);
}
END_TEST

/* All sockets of a name share one port. */
START_TEST(test_name_port)
{
    struct rig rig;
    char why[CONN_WHY_SIZE] = "";
    rig_init(&rig);
    rig_open(&rig);
    ck_assert_msg(conn_listen(rig.f, "localhost:0", 1, why) == 0, "%s", why);
    if (conn_listen_port(rig.f, 2) == 0)
        printf("localhost has one address here: not tested that several share a port\n");
    for (size_t i = 2; conn_listen_port(rig.f, i) != 0; i++)
        ck_assert_uint_eq(conn_listen_port(rig.f, i), conn_listen_port(rig.f, 1));
    rig_close(&rig);
}
END_TEST

START_TEST(test_in_use)
{
    struct rig rig;
    char why[CONN_WHY_SIZE] = "", address[64], want[64];
    rig_init(&rig);
    rig_open(&rig);
    snprintf(address, sizeof address, "127.0.0.1:%u", rig.port);
    ck_assert_int_eq(conn_listen(rig.f, address, 0, why), CONN_IN_USE);
    snprintf(want, sizeof want, "process %d", (int)getpid());
    ck_assert_msg(strstr(why, want) != NULL && strstr(why, "test_net_conn") != NULL, "%s", why);
    rig_close(&rig);
}
END_TEST

START_TEST(test_loopback_only)
{
    struct rig rig;
    char why[CONN_WHY_SIZE] = "";
    rig_init(&rig);
    rig.options.loopback_only = true;
    rig_open(&rig);
    ck_assert_int_eq(conn_listen(rig.f, "0.0.0.0:0", 0, why), CONN_NOT_LOOPBACK);
    ck_assert_int_eq(conn_listen(rig.f, ":0", 0, why), CONN_NOT_LOOPBACK);
    ck_assert_uint_eq(conn_listen_port(rig.f, 1), 0);
    ck_assert_int_eq(conn_listen(rig.f, "127.8.9.1:0", 0, why), 0);
    rig_close(&rig);
}
END_TEST

START_TEST(test_names_of_both_ends)
{
    struct rig rig;
    char peer[CONN_ADDRESS_SIZE], local[CONN_ADDRESS_SIZE], want[CONN_ADDRESS_SIZE];
    uint16_t port = 0;
    struct sockaddr_in me;
    socklen_t size = sizeof me;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "hello");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&me, &size), 0);
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(me.sin_port));
    conn_peer(rig.last_conn, peer);
    ck_assert_str_eq(peer, want);
    conn_peer_host(rig.last_conn, peer);
    ck_assert_str_eq(peer, "127.0.0.1");
    ck_assert(conn_local(rig.last_conn, local, &port));
    ck_assert_str_eq(local, "127.0.0.1");
    ck_assert_uint_eq(port, rig.port);
    ck_assert_uint_eq(conn_tag(rig.last_conn), 5);
    ck_assert_uint_eq(conn_id(rig.last_conn), 1);
    close(fd);
    rig_close(&rig);
}
END_TEST

START_TEST(test_ipv6)
{
    struct rig rig;
    char why[CONN_WHY_SIZE], text[CONN_ADDRESS_SIZE];
    uint16_t port;
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    if (conn_listen(rig.f, "[::1]:0", 9, why) != 0) {
        printf("no IPv6 here (%s): not tested\n", why);
        rig_close(&rig);
        return;
    }
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    to.sin6_port = htons(conn_listen_port(rig.f, 1));
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
    RIG_UNTIL(&rig, rig.opened == 1);
    rig_send_text(&rig, fd, "six");
    rig_expect_text(&rig, fd, "six");
    conn_peer(rig.last_conn, text);
    ck_assert_msg(strncmp(text, "[::1]:", 6) == 0, "%s", text);
    conn_peer_host(rig.last_conn, text);
    ck_assert_str_eq(text, "::1");
    ck_assert(conn_local(rig.last_conn, text, &port));
    ck_assert_str_eq(text, "::1");
    ck_assert_uint_eq(conn_tag(rig.last_conn), 9);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* --- frames in --- */

#define CUT_FRAMES 4

/* Frames of sizes 0, 1, 5 and 9 in one stream, which is cut at two places in every way. */
START_TEST(test_every_cut)
{
    struct rig rig;
    static const char *const texts[CUT_FRAMES] = {"", "a", "bcdef", "ghijklmno"};
    struct buf stream = {0};
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    for (size_t i = 0; i < CUT_FRAMES; i++) {
        buf_append_be32(&stream, (uint32_t)strlen(texts[i]));
        buf_append(&stream, texts[i], strlen(texts[i]));
    }
    int fd = rig_client(&rig);
    for (size_t a = 0; a <= stream.size; a++) {
        for (size_t b = a; b <= stream.size; b++) {
            uint64_t want = rig_stats(&rig).bytes_in + a;
            rig_send(&rig, fd, stream.p, a);
            RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == want);
            rig_send(&rig, fd, stream.p + a, b - a);
            want += b - a;
            RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == want);
            rig_send(&rig, fd, stream.p + b, stream.size - b);
            for (size_t i = 0; i < CUT_FRAMES; i++)
                rig_expect_text(&rig, fd, texts[i]);
        }
    }
    close(fd);
    buf_deinit(&stream);
    rig_close(&rig);
}
END_TEST

/* Sizes around every step of growth, before and behind small frames. */
START_TEST(test_sizes)
{
    static const size_t sizes[] = {4095,    4096,   4097,    65531,   65532,   65533,
                                   65535,   65536,  65537,   131072,  1048576, 1048577,
                                   2000000, 100000, 1114112, 1114113, 5000000, 17 << 20};
    struct rig rig;
    struct buf out = {0}, in = {0};
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    int fd = rig_client(&rig);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buf_reset(&out);
        buf_reserve(&out, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            out.p[k] = (uint8_t)(k * 2654435761u >> 13);
        out.size = sizes[i];
        rig_send_text(&rig, fd, "before");
        rig_send_frame(&rig, fd, out.p, out.size);
        rig_send_text(&rig, fd, "behind");
        rig_expect_text(&rig, fd, "before");
        rig_read_frame(&rig, fd, &in);
        ck_assert(slice_equal(buf_slice(&in), buf_slice(&out)));
        rig_expect_text(&rig, fd, "behind");
    }
    close(fd);
    buf_deinit(&out);
    buf_deinit(&in);
    rig_close(&rig);
}
END_TEST

#define MANY 10000

/* 10,000 frames sent before the first answer is read; few system calls. */
START_TEST(test_pipeline)
{
    struct rig rig;
    struct buf stream = {0};
    struct buf answer = {0};
    rig_init(&rig);
    rig.options.conn_requests_max = 2 * MANY;
    rig_open(&rig);
    for (uint32_t i = 0; i < MANY; i++) {
        buf_append_be32(&stream, 8);
        buf_append_be32(&stream, i);
        buf_append_be32(&stream, ~i);
    }
    int fd = rig_client(&rig);
    rig_send(&rig, fd, stream.p, stream.size);
    RIG_UNTIL(&rig, rig.taken_count == MANY);
    ck_assert_uint_lt(rig_stats(&rig).reads, 50);
    while (rig.taken_count > 0) /* the last first */
        rig_echo(rig_take(&rig, rig.taken_count - 1));
    for (uint32_t i = 0; i < MANY; i++) {
        rig_read_frame(&rig, fd, &answer);
        ck_assert_uint_eq(answer.size, 8);
        ck_assert_uint_eq(bytes_be32(answer.p), i);
        ck_assert_uint_eq(bytes_be32(answer.p + 4), ~i);
    }
    ck_assert_uint_lt(rig_stats(&rig).sends, 50);
    ck_assert_uint_eq(rig_stats(&rig).answers, MANY);
    close(fd);
    buf_deinit(&stream);
    buf_deinit(&answer);
    rig_close(&rig);
}
END_TEST

/* Announcing much and sending little costs little. */
START_TEST(test_announced_memory)
{
    struct rig rig;
    int fds[50];
    rig_init(&rig);
    rig_open(&rig);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (size_t i = 0; i < 50; i++) {
        fds[i] = rig_client(&rig);
        rig_send(&rig, fds[i], "\x06\x00\x00\x00ten bytes!", 14);
    }
    RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == 50 * 14);
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    ck_assert_uint_lt(used,
                      50 * (64 * 1024 + 2048)); /* room, of which only the bytes are touched */
    ck_assert_uint_lt(rig_stats(&rig).in_flight_size, 50 * 1024);
    for (size_t i = 0; i < 50; i++)
        close(fds[i]);
    rig_close(&rig);
}
END_TEST

/* Idle connections hold their struct, also after they were busy. */
START_TEST(test_idle_memory)
{
    struct rig rig;
    int fds[200];
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    fds[0] = rig_client(&rig);
    rig_send_text(&rig, fds[0], "warm up");
    rig_expect_text(&rig, fds[0], "warm up");
    size_t before = mallinfo2().uordblks;
    for (size_t i = 1; i < 200; i++) {
        fds[i] = rig_client(&rig);
        rig_send_text(&rig, fds[i], "one request");
        rig_expect_text(&rig, fds[i], "one request");
    }
    ck_assert_uint_lt(mallinfo2().uordblks - before, 199 * 512);
    for (size_t i = 0; i < 200; i++)
        close(fds[i]);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn");
    TCase *listening = tcase_create("listening");
    tcase_add_test(listening, test_addresses);
    tcase_add_test(listening, test_name_port);
    tcase_add_test(listening, test_in_use);
    tcase_add_test(listening, test_loopback_only);
    tcase_add_test(listening, test_names_of_both_ends);
    tcase_add_test(listening, test_ipv6);
    suite_add_tcase(suite, listening);
    TCase *frames = tcase_create("frames");
    tcase_set_timeout(frames, 60);
    tcase_add_test(frames, test_every_cut);
    tcase_add_test(frames, test_sizes);
    tcase_add_test(frames, test_pipeline);
    tcase_add_test(frames, test_announced_memory);
    tcase_add_test(frames, test_idle_memory);
    suite_add_tcase(suite, frames);
    return rig_main(suite);
}
