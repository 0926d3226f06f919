/* SPDX-License-Identifier: MIT
 *
 * test_nano_open: which addresses are bound, and who may reach them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rig.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
}

static void teardown(void)
{
    rig_close(&rig);
}

static int try_open(const char *url, bool insecure)
{
    struct nano *n = NULL;
    rig.options.url = url;
    rig.options.allow_insecure = insecure;
    rig.why[0] = 0;
    int r = nano_open(&rig.options, &n);
    ck_assert((r == 0) == (n != NULL));
    ck_assert((r == 0) == (rig.why[0] == 0));
    nano_close(n);
    return r;
}

START_TEST(test_modes_whatever_the_umask)
{
    struct stat st;
    char path[128];
    umask((mode_t)(_i == 0 ? 0 : 0077));
    rig_open(&rig);
    ck_assert_int_eq(stat(rig.url + 6, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s/run", rig.dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    mode_t mask = umask(0);
    ck_assert_uint_eq(mask, _i == 0 ? 0 : 0077); /* as it was */
}
END_TEST

START_TEST(test_bad_urls)
{
    static const char *const urls[] = {
        "",
        "http://x",
        "ipc://",
        "ipc://relative/x",
        "tcp://",
        "tcp://:1",
        "tcp://1.2.3.4",
        "tcp://[::1]",
        "tcp://[:1",
        "tcp://127.0.0.1:",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:999999",
        "tcp://h:8x",
        "inproc://a",
        "tcp://[]:80",
    };
    char path[200] = "ipc:///";
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        ck_assert_msg(try_open(urls[i], true) == NANO_BAD_URL, "%s", urls[i]);
    memset(path + 7, 'x', 120);
    ck_assert_int_eq(try_open(path, false), NANO_BAD_URL);
    memset(path + 7, 'x', 180);
    ck_assert_int_eq(try_open(path, false), NANO_BAD_URL);
}
END_TEST

START_TEST(test_only_loopback)
{
    static const char *const urls[] = {
        "tcp://0.0.0.0:39095",   "tcp://*:39095",         "tcp://192.168.1.1:39095",
        "tcp://[::]:39095",      "tcp://localhost:39095", "tcp://127.0.0.1.evil:39095",
        "tcp://128.0.0.1:39095",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        ck_assert_msg(try_open(urls[i], false) == NANO_INSECURE, "%s", urls[i]);
    ck_assert_ptr_nonnull(strstr(rig.why, "loopback"));
}
END_TEST

START_TEST(test_insecure_when_allowed)
{
    char url[64];
    struct rig tcp;
    rig_init(&tcp, true);
    snprintf(url, sizeof url, "tcp://*:%s", strrchr(tcp.url, ':') + 1);
    ck_assert_msg(try_open(url, true) == 0, "%s", rig.why);
    rig_close(&tcp);
}
END_TEST

START_TEST(test_in_use)
{
    rig_close(&rig);
    rig_init(&rig, _i == 1);
    rig_open(&rig);
    ck_assert_int_eq(try_open(rig.url, false), NANO_IN_USE);
    ck_assert_ptr_nonnull(strstr(rig.why, "in use"));
    /* The first is not hurt by that. */
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
}
END_TEST

START_TEST(test_stale_socket_is_removed)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/stale.sock", rig.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    snprintf(rig.url, sizeof rig.url, "ipc://%s", address.sun_path);
    rig.options.url = rig.url;
    rig_open(&rig);
}
END_TEST

START_TEST(test_other_files_stay)
{
    char path[100];
    snprintf(path, sizeof path, "%s/file", rig.dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    snprintf(rig.url, sizeof rig.url, "ipc://%s", path);
    ck_assert_int_eq(try_open(rig.url, false), NANO_IN_USE);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_folder_cannot_be_made)
{
    snprintf(rig.url, sizeof rig.url, "ipc://%s/missing/deep/x.sock", rig.dir);
    ck_assert_int_eq(try_open(rig.url, false), NANO_FOLDER);
}
END_TEST

START_TEST(test_reopen)
{
    for (int i = 0; i < 3; i++)
        ck_assert_msg(try_open(rig.url, false) == 0, "%s", rig.why);
    nano_close(NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("open");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_modes_whatever_the_umask, 0, 2);
    tcase_add_test(tc, test_bad_urls);
    tcase_add_test(tc, test_only_loopback);
    tcase_add_test(tc, test_insecure_when_allowed);
    tcase_add_loop_test(tc, test_in_use, 0, 2);
    tcase_add_test(tc, test_stale_socket_is_removed);
    tcase_add_test(tc, test_other_files_stay);
    tcase_add_test(tc, test_folder_cannot_be_made);
    tcase_add_test(tc, test_reopen);
    Suite *s = suite_create("net/nano_open");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
