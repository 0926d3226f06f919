/* SPDX-License-Identifier: MIT
 *
 * test_place: data and socket lie where the rule says, for serve and clients alike.
 */
#include "cli/place.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/kauri-place-XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    setenv("XDG_STATE_HOME", dir, 1);
}

static void teardown(void)
{
    char path[256];
    static const char *const names[] = {"kauri/kauri.sock", "kauri", "run/kauri/kauri.sock",
                                        "run/kauri",        "run",   ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
}

static void touch(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void folder(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void ends(const struct buf *b, const char *tail)
{
    char want[256];
    (void)snprintf(want, sizeof want, "ipc://%s/%s", dir, tail);
    ck_assert_str_eq((const char *)b->p, want);
    ck_assert_uint_eq(strlen((const char *)b->p), b->size);
}

START_TEST(data_folder)
{
    struct buf b = {0};
    char want[256];
    place_data(&b);
    (void)snprintf(want, sizeof want, "%s/kauri", dir);
    ck_assert_str_eq((const char *)b.p, want);
    buf_reset(&b);
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/ann", 1);
    place_data(&b);
    ck_assert_str_eq((const char *)b.p,
                     getuid() == 0 ? "/var/lib/kauri" : "/home/ann/.local/state/kauri");
    buf_deinit(&b);
}
END_TEST

START_TEST(service_places)
{
    struct buf out = {0};
    unsetenv("CONFIGURATION_DIRECTORY");
    place_config(&out);
    ck_assert_str_eq((const char *)out.p, "/etc/kauri/kauri.conf");
    buf_reset(&out);
    setenv("CONFIGURATION_DIRECTORY", "/etc/other:/etc/more", 1);
    place_config(&out);
    ck_assert_str_eq((const char *)out.p, "/etc/other/kauri.conf");
    buf_reset(&out);
    setenv("XDG_STATE_HOME", "/home/ann/state", 1);
    setenv("STATE_DIRECTORY", "/var/lib/kauri:/var/lib/more", 1);
    place_data(&out);
    ck_assert_str_eq((const char *)out.p, "/var/lib/kauri");
    buf_deinit(&out);
}
END_TEST

START_TEST(where_serve_listens)
{
    struct buf b = {0};
    place_listen("/srv/data", &b);
    ck_assert_str_eq((const char *)b.p, "ipc:///srv/data/kauri.sock");
    buf_reset(&b);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    place_listen("/srv/data", &b);
    ck_assert_str_eq((const char *)b.p, "ipc:///srv/data/kauri.sock");
    buf_reset(&b);
    setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
    place_listen("/srv/data", &b);
    ck_assert_str_eq((const char *)b.p, "ipc:///run/user/1000/kauri/kauri.sock");
    buf_reset(&b);
    setenv("RUNTIME_DIRECTORY", "/run/kauri:/run/other", 1);
    place_listen("/srv/data", &b);
    ck_assert_str_eq((const char *)b.p, "ipc:///run/kauri/kauri.sock");
    buf_deinit(&b);
}
END_TEST

START_TEST(where_clients_look)
{
    struct buf b = {0};
    char run[256];
    if (access("/run/kauri/kauri.sock", F_OK) == 0) {
        (void)printf("a broker runs as a service here: where_clients_look cannot tell\n");
        return;
    }
    place_connect(&b);
    ends(&b, "kauri/kauri.sock"); /* nothing is there: the place of the data folder */
    buf_reset(&b);
    (void)snprintf(run, sizeof run, "%s/run", dir);
    setenv("XDG_RUNTIME_DIR", run, 1);
    place_connect(&b);
    ends(&b, "run/kauri/kauri.sock"); /* still nothing: where serve would listen */
    buf_reset(&b);
    folder("kauri");
    touch("kauri/kauri.sock");
    place_connect(&b);
    ends(&b, "kauri/kauri.sock"); /* only the data folder has one */
    buf_reset(&b);
    folder("run");
    folder("run/kauri");
    touch("run/kauri/kauri.sock");
    place_connect(&b);
    ends(&b, "run/kauri/kauri.sock"); /* the session's comes first */
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/place");
    TCase *t = tcase_create("place");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, data_folder);
    tcase_add_test(t, where_serve_listens);
    tcase_add_test(t, service_places);
    tcase_add_test(t, where_clients_look);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
