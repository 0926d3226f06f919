/* SPDX-License-Identifier: MIT
 *
 * test_notify: what a service manager hears. The test is the manager.
 */
#include "cli/notify.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int manager_open(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    memcpy(at.sun_path, name, size);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, length), 0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

/* The next datagram; "" when there is none. */
static const char *heard(int fd, char text[600])
{
    ssize_t n = recv(fd, text, 599, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(says_what_is)
{
    char name[64], text[600];
    struct notify n;
    (void)snprintf(name, sizeof name, _i == 0 ? "@test-notify-%d" : "/tmp/test-notify-%d",
                   (int)getpid());
    int fd = manager_open(name);
    notify_open(&n);
    ck_assert_int_ge(n.fd, 0);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    ck_assert_int_eq(notify_next_ms(&n), INT64_MAX);
    notify_send(&n, "READY=1\nSTATUS=%s", "serving");
    ck_assert_str_eq(heard(fd, text), "READY=1\nSTATUS=serving");
    notify_turn(&n, 5000, false); /* no watchdog: no sign of life */
    ck_assert_str_eq(heard(fd, text), "");
    notify_turn(&n, 6000, true);
    ck_assert_str_eq(heard(fd, text), "EXTEND_TIMEOUT_USEC=30000000");
    notify_turn(&n, 6500, true);
    ck_assert_str_eq(heard(fd, text), "");
    notify_turn(&n, 7000, true);
    ck_assert_str_eq(heard(fd, text), "EXTEND_TIMEOUT_USEC=30000000");
    notify_close(&n);
    notify_send(&n, "STATUS=gone");
    ck_assert_str_eq(heard(fd, text), "");
    (void)close(fd);
    if (name[0] == '/')
        (void)unlink(name);
}
END_TEST

START_TEST(lives)
{
    char name[64], pid[32], text[600];
    struct notify n;
    (void)snprintf(name, sizeof name, "@test-notify-%d", (int)getpid());
    int fd = manager_open(name);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid() + (_i == 0 ? 0 : 1));
    ck_assert_int_eq(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    ck_assert_int_eq(setenv("WATCHDOG_PID", pid, 1), 0);
    notify_open(&n);
    notify_turn(&n, 100, false);
    if (_i == 1) { /* somebody else is watched */
        ck_assert_str_eq(heard(fd, text), "");
        return;
    }
    ck_assert_str_eq(heard(fd, text), "WATCHDOG=1");
    ck_assert_int_eq(notify_next_ms(&n), 15100);
    notify_turn(&n, 15099, false);
    ck_assert_str_eq(heard(fd, text), "");
    notify_turn(&n, 15100, false);
    ck_assert_str_eq(heard(fd, text), "WATCHDOG=1");
    notify_close(&n);
}
END_TEST

START_TEST(nobody_listens)
{
    static const char *const names[] = {"", "x", "/", "/tmp/test-notify-none", "@"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct notify n;
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        notify_open(&n);
        ck_assert_int_eq(n.fd, -1);
        notify_send(&n, "READY=1");
        notify_turn(&n, 1, true);
        notify_close(&n);
    }
}
END_TEST

START_TEST(knows_the_journal)
{
    char stream[64];
    struct stat st;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert(!notify_is_journal(fds[1]));
    ck_assert_int_eq(fstat(fds[1], &st), 0);
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
    ck_assert(notify_is_journal(fds[1]));
    ck_assert(!notify_is_journal(STDIN_FILENO));
    ck_assert_int_eq(setenv("JOURNAL_STREAM", "8", 1), 0);
    ck_assert(!notify_is_journal(fds[1]));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/notify");
    TCase *t = tcase_create("notify");
    tcase_add_loop_test(t, says_what_is, 0, 2);
    tcase_add_loop_test(t, lives, 0, 2);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, knows_the_journal);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
