/* SPDX-License-Identifier: MIT
 *
 * test_report: what serve says of itself, word for word.
 */
#include "cli/report.h"

#include <check.h>
#include <stdlib.h>

static const char *const natives[] = {"ipc:///run/user/1000/kauri/kauri.sock",
                                      "tcp://127.0.0.1:7092"};

static void expect(struct buf *b, const char *want)
{
    buf_append_u8(b, 0);
    ck_assert_str_eq((const char *)b->p, want);
    buf_deinit(b);
}

START_TEST(first_start)
{
    struct buf b = {0};
    const struct report r = {.version = "0.1.0",
                             .data = "/home/ann/.local/state/kauri",
                             .home = "/home/ann",
                             .file_system = "ext4",
                             .fresh = true,
                             .free_size = UINT64_C(71) << 30,
                             .natives = natives,
                             .native_count = 1,
                             .clients_find_it = true,
                             .ready_ms = 18};
    report_start(&r, &b);
    expect(&b, "kauri 0.1.0\n"
               "  data    ~/.local/state/kauri            new, ext4, 71 GiB free\n"
               "  native  ipc:///run/user/1000/kauri/kauri.sock\n"
               "  acks    all = written and fsynced here; replicas: none\n"
               "ready in 18 ms.  Next:  echo hello | kauri produce greetings\n");
}
END_TEST

START_TEST(in_a_cluster)
{
    static const char *const seeds[] = {"tcp://db1:7092", "tcp://db3:7092"};
    struct buf b = {0};
    struct report r = {.version = "0.1.0",
                       .data = "/srv/kauri",
                       .file_system = "xfs",
                       .fresh = true,
                       .free_size = 1536,
                       .natives = natives + 1,
                       .native_count = 1,
                       .seeds = seeds,
                       .seed_count = 2,
                       .broker_id = 2,
                       .member_count = 1,
                       .role = "seeking",
                       .ready_ms = 5};
    report_start(&r, &b);
    expect(&b, "kauri 0.1.0\n"
               "  data    /srv/kauri                      new, xfs, 1.5 KiB free\n"
               "  native  tcp://127.0.0.1:7092\n"
               "  acks    all = written and fsynced here and on every in-sync replica\n"
               "  cluster broker 2, seeking: replica of tcp://db1:7092, tcp://db3:7092\n"
               "ready in 5 ms.  Next:  kauri cluster status -s tcp://127.0.0.1:7092\n");
    r.seed_count = 0;
    r.fresh = false;
    r.topics = r.partitions = 2;
    r.member_count = 3;
    r.role = "starting";
    b = (struct buf){0};
    report_start(&r, &b);
    expect(&b, "kauri 0.1.0\n"
               "  data    /srv/kauri                      2 topics, 2 partitions, xfs, 1.5 KiB "
               "free\n"
               "  native  tcp://127.0.0.1:7092\n"
               "  acks    all = written and fsynced here and on every in-sync replica\n"
               "  cluster broker 2, one of 3, starting\n"
               "ready in 5 ms.\n");
}
END_TEST

START_TEST(later_start)
{
    struct buf b = {0};
    const struct report r = {.version = "0.1.0",
                             .data = "/home/anna/kauri",
                             .home = "/home/ann",
                             .file_system = "xfs",
                             .topics = 1,
                             .partitions = 214,
                             .free_size = 1536,
                             .natives = natives,
                             .native_count = 2,
                             .http = "http://127.0.0.1:7094/",
                             .durability_os = true,
                             .flush_ms = 1000,
                             .ready_ms = 5};
    report_start(&r, &b);
    expect(&b, "kauri 0.1.0\n"
               "  data    /home/anna/kauri                1 topic, 214 partitions, xfs, "
               "1.5 KiB free\n"
               "  native  ipc:///run/user/1000/kauri/kauri.sock\n"
               "          tcp://127.0.0.1:7092\n"
               "  http    http://127.0.0.1:7094/\n"
               "  acks    written to the page cache, synced every 1s (durability=os); replicas: "
               "none\n"
               "ready in 5 ms.\n");
}
END_TEST

START_TEST(next_step_names_the_address)
{
    struct buf b = {0};
    const struct report r = {.version = "1",
                             .data = "/d",
                             .file_system = "ext4",
                             .fresh = true,
                             .natives = natives + 1,
                             .native_count = 1};
    report_start(&r, &b);
    buf_append_u8(&b, 0);
    ck_assert_ptr_nonnull(
        strstr((const char *)b.p, "kauri produce greetings -s tcp://127.0.0.1:7092\n"));
    buf_deinit(&b);
}
END_TEST

START_TEST(stop_and_state)
{
    struct buf b = {0};
    report_stop(3, 214, 62, &b);
    expect(&b, "stopping: 3 sessions drained, 214 partitions flushed, 62 ms\n");
    report_stop(1, 1, 0, &b);
    expect(&b, "stopping: 1 session drained, 1 partition flushed, 0 ms\n");
    const struct report_state s = {.up_ms = 12345,
                                   .topics = 2,
                                   .partitions = 3,
                                   .sessions = 4,
                                   .running = 5,
                                   .received = 6,
                                   .refused = 7,
                                   .free_size = 1024,
                                   .disk_full = true,
                                   .jobs = 8};
    report_state(&s, &b);
    expect(&b, "state: up 12 s, 2 topics, 3 partitions, 4 sessions, 5 calls running, 6 messages "
               "received, 7 refused, 8 jobs, 1.0 KiB free, disk full");
}
END_TEST

START_TEST(file_systems)
{
    ck_assert_str_ne(report_file_system("/"), "unknown");
    ck_assert_str_eq(report_file_system("/no/such/folder"), "unknown");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/report");
    TCase *t = tcase_create("report");
    tcase_add_test(t, first_start);
    tcase_add_test(t, in_a_cluster);
    tcase_add_test(t, later_start);
    tcase_add_test(t, next_step_names_the_address);
    tcase_add_test(t, stop_and_state);
    tcase_add_test(t, file_systems);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
