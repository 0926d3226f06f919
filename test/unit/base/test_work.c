/* SPDX-License-Identifier: MIT
 *
 * work: the pool and the simulated work keep one contract: done runs exactly once, in the owner's
 * thread and only while draining, behind the notes of its job. No test sleeps.
 */
#include "engine/base/work.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum test_work_kind {
    TEST_WORK_SIM,
    TEST_WORK_ONE,
    TEST_WORK_FOUR,
};
#define TEST_WORK_KINDS 3

#define NOTES           3

struct job {
    struct work_job job;
    struct work_note notes[NOTES];
    unsigned note_count; /* reported by run */
    unsigned seen;       /* notes whose done ran */
    bool ran;
    unsigned again; /* more jobs to submit from done */
};

static struct {
    struct work *w;
    pthread_t owner;
    unsigned done;
    unsigned order[1000];
    struct job jobs[1000];
    bool draining;
} t;

static struct work *test_work_new(int kind)
{
    t.owner = pthread_self();
    t.w = kind == TEST_WORK_SIM   ? work_sim_new(7)
          : kind == TEST_WORK_ONE ? work_pool_new(1)
                                  : work_pool_new(4);
    ck_assert_ptr_nonnull(t.w);
    return t.w;
}

static void test_work_free(int kind)
{
    t.draining = true;
    t.w = kind == TEST_WORK_SIM ? work_sim_free(t.w) : work_pool_free(t.w);
    ck_assert_ptr_null(t.w);
}

static void test_work_drain(void)
{
    t.draining = true;
    work_drain(t.w);
    t.draining = false;
}

static void test_work_wait(void)
{
    t.draining = true;
    work_wait(t.w);
    t.draining = false;
}

static void test_work_submit(unsigned index);

static void job_done(struct work_note *note)
{
    struct job *j = (struct job *)(void *)note;
    ck_assert(pthread_equal(pthread_self(), t.owner));
    ck_assert(t.draining);
    ck_assert(j->ran);
    ck_assert_uint_eq(j->seen, j->note_count);
    t.order[t.done++] = (unsigned)(j - t.jobs);
    if (j->again > 0) {
        unsigned next = (unsigned)(j - t.jobs) + 1;
        t.jobs[next].again = j->again - 1;
        unsigned done = t.done;
        test_work_submit(next);
        ck_assert_uint_eq(t.done, done); /* not inside the starting call */
    }
    j->ran = false; /* a second done would fail above */
}

static void note_done(struct work_note *note)
{
    ck_assert(t.draining);
    for (unsigned i = 0; i < 1000; i++) {
        struct job *j = &t.jobs[i];
        if (note >= j->notes && note < j->notes + NOTES) {
            ck_assert_ptr_eq(note, &j->notes[j->seen]); /* in the order of the reports */
            j->seen++;
            return;
        }
    }
    ck_abort_msg("a note of no job");
}

static void job_run(struct work_job *job)
{
    struct job *j = (struct job *)(void *)job;
    for (unsigned i = 0; i < j->note_count; i++) {
        j->notes[i].done = note_done;
        work_report(job, &j->notes[i]);
    }
    j->ran = true;
}

static void test_work_submit(unsigned index)
{
    struct job *j = &t.jobs[index];
    j->note_count = index % (NOTES + 1);
    j->job.run = job_run;
    j->job.note.done = job_done;
    work_submit(t.w, &j->job);
}

START_TEST(every_job_is_done_once)
{
    test_work_new(_i);
    for (unsigned i = 0; i < 1000; i++)
        test_work_submit(i);
    ck_assert_uint_eq(t.done, 0);
    ck_assert_uint_eq(t.w->pending, 1000);
    while (t.w->pending > 0)
        test_work_wait();
    ck_assert_uint_eq(t.done, 1000);
    bool seen[1000] = {false};
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert(!seen[t.order[i]]);
        seen[t.order[i]] = true;
    }
    test_work_wait(); /* nothing pending: comes back */
    test_work_drain();
    ck_assert_uint_eq(t.done, 1000);
    test_work_free(_i);
}
END_TEST

START_TEST(done_may_submit)
{
    test_work_new(_i);
    t.jobs[0].again = 99;
    test_work_submit(0);
    while (t.w->pending > 0)
        test_work_wait();
    ck_assert_uint_eq(t.done, 100);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(t.order[i], i);
    test_work_free(_i);
}
END_TEST

START_TEST(free_runs_what_is_pending)
{
    test_work_new(_i);
    t.jobs[0].again = 9;
    test_work_submit(0);
    for (unsigned i = 20; i < 70; i++)
        test_work_submit(i);
    test_work_free(_i);
    ck_assert_uint_eq(t.done, 60);
    ck_assert_ptr_null(work_pool_free(NULL));
    ck_assert_ptr_null(work_sim_free(NULL));
}
END_TEST

static void own_done(struct work_note *note)
{
    t.done++;
    free(note); /* the job's first member: it is the owner's again */
}

static void own_run(struct work_job *job)
{
    (void)job;
}

START_TEST(done_may_free_its_job)
{
    test_work_new(_i);
    for (unsigned i = 0; i < 200; i++) {
        struct work_job *job = calloc(1, sizeof *job);
        ck_assert_ptr_nonnull(job);
        job->run = own_run;
        job->note.done = own_done;
        work_submit(t.w, job);
        if (i % 10 == 0)
            test_work_drain();
    }
    test_work_free(_i);
    ck_assert_uint_eq(t.done, 200);
}
END_TEST

/* Only the pool */

/* A job that runs until it is let go: two at once prove two threads, one proves that the owner does
 * not wait. */
static pthread_barrier_t gate;

static void gate_run(struct work_job *job)
{
    ((struct job *)(void *)job)->ran = true;
    (void)pthread_barrier_wait(&gate);
}

static void gate_submit(unsigned index)
{
    t.jobs[index].job.run = gate_run;
    t.jobs[index].job.note.done = job_done;
    work_submit(t.w, &t.jobs[index].job);
}

static bool readable(int timeout_ms)
{
    struct pollfd p = {.fd = work_fd(t.w), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

START_TEST(pool_runs_in_parallel)
{
    test_work_new(TEST_WORK_FOUR);
    ck_assert_int_eq(pthread_barrier_init(&gate, NULL, 5), 0);
    for (unsigned i = 0; i < 4; i++)
        gate_submit(i);
    ck_assert(!readable(0));
    test_work_drain();
    ck_assert_uint_eq(t.done, 0);
    (void)pthread_barrier_wait(&gate);
    while (t.w->pending > 0)
        test_work_wait();
    ck_assert_uint_eq(t.done, 4);
    test_work_free(TEST_WORK_FOUR);
}
END_TEST

START_TEST(pool_descriptor_tells_of_notes)
{
    test_work_new(TEST_WORK_ONE);
    ck_assert_int_ge(work_fd(t.w), 0);
    ck_assert(!readable(0));
    for (unsigned i = 0; i < 3; i++) {
        test_work_submit(i);
        ck_assert(readable(10000));
        ck_assert(readable(0)); /* until the drain */
        while (t.done <= i)
            test_work_wait();
        ck_assert(!readable(0));
    }
    test_work_free(TEST_WORK_ONE);
}
END_TEST

/* A note wakes the owner while its job still runs. */
static void note_then_gate_run(struct work_job *job)
{
    struct job *j = (struct job *)(void *)job;
    j->notes[0].done = note_done;
    work_report(job, &j->notes[0]);
    j->ran = true;
    (void)pthread_barrier_wait(&gate);
}

START_TEST(pool_delivers_progress)
{
    test_work_new(TEST_WORK_ONE);
    ck_assert_int_eq(pthread_barrier_init(&gate, NULL, 2), 0);
    t.jobs[0].note_count = 1;
    t.jobs[0].job.run = note_then_gate_run;
    t.jobs[0].job.note.done = job_done;
    work_submit(t.w, &t.jobs[0].job);
    test_work_wait();
    ck_assert_uint_eq(t.jobs[0].seen, 1);
    ck_assert_uint_eq(t.done, 0);
    ck_assert_uint_eq(t.w->pending, 1);
    (void)pthread_barrier_wait(&gate);
    test_work_wait();
    ck_assert_uint_eq(t.done, 1);
    ck_assert_uint_eq(t.w->pending, 0);
    test_work_free(TEST_WORK_ONE);
}
END_TEST

static atomic_bool blocked_term;
static atomic_bool blocked_bus;

static void mask_run(struct work_job *job)
{
    sigset_t set;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    atomic_store(&blocked_term, sigismember(&set, SIGTERM) == 1);
    atomic_store(&blocked_bus, sigismember(&set, SIGBUS) == 1);
    ((struct job *)(void *)job)->ran = true;
}

START_TEST(pool_threads_take_only_their_own_faults)
{
    test_work_new(TEST_WORK_ONE);
    t.jobs[0].job.run = mask_run;
    t.jobs[0].job.note.done = job_done;
    work_submit(t.w, &t.jobs[0].job);
    test_work_wait();
    ck_assert(atomic_load(&blocked_term));
    ck_assert(!atomic_load(&blocked_bus));
    sigset_t set;
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
    ck_assert_int_eq(sigismember(&set, SIGTERM), 0); /* the owner's mask is as before */
    test_work_free(TEST_WORK_ONE);
}
END_TEST

/* Only the simulated work */

static void sim_order(uint64_t seed, unsigned *order)
{
    t.done = 0;
    t.owner = pthread_self();
    t.w = work_sim_new(seed);
    for (unsigned i = 0; i < 50; i++) {
        t.jobs[i] = (struct job){0};
        test_work_submit(i);
    }
    test_work_drain();
    ck_assert_uint_eq(t.done, 50);
    for (unsigned i = 0; i < 50; i++)
        order[i] = t.order[i];
    t.w = work_sim_free(t.w);
}

START_TEST(sim_order_follows_the_seed)
{
    unsigned a[50], b[50], c[50];
    sim_order(1, a);
    sim_order(1, b);
    sim_order(2, c);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_mem_ne(a, c, sizeof a);
    bool sorted = true;
    for (unsigned i = 0; i < 50; i++)
        sorted = sorted && a[i] == i;
    ck_assert(!sorted);
}
END_TEST

START_TEST(sim_steps_one_by_one)
{
    test_work_new(TEST_WORK_SIM);
    ck_assert_int_eq(work_fd(t.w), -1);
    ck_assert(!work_sim_step(t.w));
    t.draining = true;
    for (unsigned i = 0; i < 3; i++)
        test_work_submit(i);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(t.done, i);
        ck_assert_uint_eq(t.w->pending, 3 - i);
        ck_assert(work_sim_step(t.w));
    }
    ck_assert(!work_sim_step(t.w));
    test_work_free(TEST_WORK_SIM);
}
END_TEST

static void nested_done(struct work_note *note)
{
    (void)note;
    work_drain(t.w);
}

START_TEST(a_nested_drain_asserts)
{
    test_work_new(_i);
    t.jobs[0].job.run = own_run;
    t.jobs[0].job.note.done = nested_done;
    work_submit(t.w, &t.jobs[0].job);
    test_work_wait();
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("both");
    tcase_set_timeout(all, 30);
    tcase_add_loop_test(all, every_job_is_done_once, 0, TEST_WORK_KINDS);
    tcase_add_loop_test(all, done_may_submit, 0, TEST_WORK_KINDS);
    tcase_add_loop_test(all, free_runs_what_is_pending, 0, TEST_WORK_KINDS);
    tcase_add_loop_test(all, done_may_free_its_job, 0, TEST_WORK_KINDS);
    tcase_add_loop_test_raise_signal(all, a_nested_drain_asserts, SIGABRT, 0, TEST_WORK_KINDS);
    TCase *pool = tcase_create("pool");
    tcase_set_timeout(pool, 30);
    tcase_add_test(pool, pool_runs_in_parallel);
    tcase_add_test(pool, pool_descriptor_tells_of_notes);
    tcase_add_test(pool, pool_delivers_progress);
    tcase_add_test(pool, pool_threads_take_only_their_own_faults);
    TCase *sim = tcase_create("sim");
    tcase_add_test(sim, sim_order_follows_the_seed);
    tcase_add_test(sim, sim_steps_one_by_one);
    Suite *suite = suite_create("base/work");
    suite_add_tcase(suite, all);
    suite_add_tcase(suite, pool);
    suite_add_tcase(suite, sim);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
