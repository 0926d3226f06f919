/* SPDX-License-Identifier: MIT
 *
 * guard: a mapping longer than its file, read with and without frames.
 */
#include "engine/base/guard.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAP_SIZE ((size_t)64 * 1024)

/* A mapping of 64 KiB whose file ends after `size` bytes. */
static const volatile uint8_t *map_cut(size_t size)
{
    int fd = memfd_create("guard", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)MAP_SIZE), 0);
    uint8_t *p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    for (size_t i = 0; i < MAP_SIZE; i++)
        p[i] = 1;
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    (void)close(fd);
    return p;
}

struct sum {
    const volatile uint8_t *p;
    size_t size;
    int result;
};

static int sum_bytes(void *ctx)
{
    struct sum *s = ctx;
    int sum = 0;
    for (size_t i = 0; i < s->size; i++)
        sum += s->p[i];
    s->result = sum;
    return sum;
}

static int guarded_sum(struct sum *s)
{
    return guard_run((const void *)(uintptr_t)s->p, MAP_SIZE, sum_bytes, s);
}

START_TEST(test_returns_the_result)
{
    guard_install();
    struct sum s = {.p = map_cut(MAP_SIZE), .size = MAP_SIZE};
    ck_assert_int_eq(guarded_sum(&s), (int)MAP_SIZE);
    ck_assert_int_eq(guard_run(NULL, 0, sum_bytes, &s), (int)MAP_SIZE);
}
END_TEST

/* Again and again: the signal must not stay blocked, the frame not stay behind. */
START_TEST(test_cut_file)
{
    guard_install();
    guard_install();
    struct sum s = {.p = map_cut(8192), .size = MAP_SIZE, .result = -1};
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(guarded_sum(&s), -EIO);
    ck_assert_int_eq(s.result, -1);
    s.size = 8192;
    ck_assert_int_eq(guarded_sum(&s), 8192);
}
END_TEST

struct nest {
    struct sum outer; /* read after the inner run */
    struct sum inner;
    int inner_result;
};

static int run_nested(void *ctx)
{
    struct nest *n = ctx;
    n->inner_result = guarded_sum(&n->inner);
    return sum_bytes(&n->outer);
}

static int guarded_nest(struct nest *n)
{
    return guard_run((const void *)(uintptr_t)n->outer.p, MAP_SIZE, run_nested, n);
}

START_TEST(test_nested_inner_fails)
{
    guard_install();
    struct nest n = {.outer = {.p = map_cut(MAP_SIZE), .size = MAP_SIZE},
                     .inner = {.p = map_cut(0), .size = 1}};
    ck_assert_int_eq(guarded_nest(&n), (int)MAP_SIZE);
    ck_assert_int_eq(n.inner_result, -EIO);
}
END_TEST

START_TEST(test_nested_outer_fails)
{
    guard_install();
    struct nest n = {.outer = {.p = map_cut(4096), .size = MAP_SIZE},
                     .inner = {.p = map_cut(MAP_SIZE), .size = MAP_SIZE}};
    ck_assert_int_eq(guarded_nest(&n), -EIO);
    ck_assert_int_eq(n.inner_result, (int)MAP_SIZE);
}
END_TEST

struct inside {
    struct sum of_outer;
    const volatile uint8_t *inner;
    bool returned;
};

static int read_outer_inside(void *ctx)
{
    struct inside *in = ctx;
    int r = guard_run((const void *)(uintptr_t)in->inner, MAP_SIZE, sum_bytes, &in->of_outer);
    in->returned = true;
    return r;
}

/* The inner frame does not cover the address: the outer run fails as a whole, and the inner frame
 * is gone with it. */
START_TEST(test_nested_address_of_outer)
{
    guard_install();
    struct inside in = {.of_outer = {.p = map_cut(0), .size = 1}, .inner = map_cut(MAP_SIZE)};
    const void *outer = (const void *)(uintptr_t)in.of_outer.p;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(guard_run(outer, MAP_SIZE, read_outer_inside, &in), -EIO);
    ck_assert(!in.returned);
}
END_TEST

static void *thread_run(void *ctx)
{
    struct sum *s = ctx;
    for (int i = 0; i < 200; i++)
        if (guarded_sum(s) != -EIO)
            return NULL;
    return s;
}

START_TEST(test_threads_have_their_own_frames)
{
    guard_install();
    struct sum s[2] = {{.p = map_cut(4096), .size = MAP_SIZE}, {.p = map_cut(0), .size = 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_run, &s[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &s[i]);
    }
}
END_TEST

static void *thread_reads_bare(void *ctx)
{
    (void)sum_bytes(ctx);
    return NULL;
}

static int run_thread_reads_bare(void *ctx)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, thread_reads_bare, ctx), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return 0;
}

/* A frame that covers the address helps only the thread that made it. */
START_TEST(test_frame_of_another_thread_aborts)
{
    guard_install();
    struct sum s = {.p = map_cut(0), .size = 1};
    const void *map = (const void *)(uintptr_t)s.p;
    ck_abort_msg("guard_run returned %d", guard_run(map, MAP_SIZE, run_thread_reads_bare, &s));
}
END_TEST

START_TEST(test_no_frame_aborts)
{
    guard_install();
    struct sum s = {.p = map_cut(0), .size = 1};
    (void)sum_bytes(&s);
}
END_TEST

/* After a guarded run its frame no longer counts. */
START_TEST(test_frame_ends_with_the_run)
{
    guard_install();
    struct sum s = {.p = map_cut(0), .size = 1};
    if (guarded_sum(&s) == -EIO)
        (void)sum_bytes(&s);
}
END_TEST

START_TEST(test_other_address_aborts)
{
    guard_install();
    struct sum s = {.p = map_cut(0), .size = 1};
    const void *other = (const void *)(uintptr_t)map_cut(MAP_SIZE);
    ck_abort_msg("guard_run returned %d", guard_run(other, MAP_SIZE, sum_bytes, &s));
}
END_TEST

static int raise_bus(void *ctx)
{
    (void)ctx;
    return raise(SIGBUS);
}

/* A signal that somebody sent is no read error. */
START_TEST(test_sent_signal_aborts)
{
    guard_install();
    int r = guard_run((const void *)1, SIZE_MAX - 1, raise_bus, NULL); /* all addresses */
    ck_abort_msg("guard_run returned %d", r);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("guard");
    tcase_add_test(tc, test_returns_the_result);
    tcase_add_test(tc, test_cut_file);
    tcase_add_test(tc, test_nested_inner_fails);
    tcase_add_test(tc, test_nested_outer_fails);
    tcase_add_test(tc, test_nested_address_of_outer);
    tcase_add_test(tc, test_threads_have_their_own_frames);
    tcase_add_test_raise_signal(tc, test_frame_of_another_thread_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_no_frame_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_frame_ends_with_the_run, SIGABRT);
    tcase_add_test_raise_signal(tc, test_other_address_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_sent_signal_aborts, SIGABRT);
    Suite *suite = suite_create("base/guard");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
