/* SPDX-License-Identifier: MIT
 *
 * work_pool: the work seam over threads: one queue, one list of finished notes, one eventfd.
 *
 *   work_submit -> queue -> worker: run(job) -> notes -> work_drain -> done(note)
 *                                                  |
 *                                                  +-- eventfd: readable while notes wait
 *
 * This is one of the few places with a lock; it is never held while a job or a done runs.
 *
 * Invariants, under `lock`: P1 the eventfd counts 1 exactly while `notes` is not empty; P2 a job is
 * in the queue, with one worker, or in `notes`; a worker never touches it once its note was put
 * there, as its owner may have freed it; P3 a job's own note is put last, by the thread that ran
 * it, so it arrives behind those it reported.
 *
 * Failures: none while running. A pool starts with as many threads as the system gives, at least
 * one.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/work.h"

#define WORK_POOL_THREADS_MAX 64u

struct work_pool {
    struct work work;
    int fd;
    bool draining; /* owner thread only */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a job came, or stopping */
    struct list queue;   /* jobs, by note.link */
    struct list notes;   /* finished, in order */
    bool stopping;
    unsigned thread_count;
    pthread_t threads[WORK_POOL_THREADS_MAX];
};

void work_deliver(struct work *w, struct list *notes)
{
    ASSERT(w != NULL);
    for (struct list *link = list_pop(notes); link != NULL; link = list_pop(notes)) {
        struct work_note *note = LIST_ENTRY(link, struct work_note, link);
        ASSERT(!note->last || w->pending > 0);
        if (note->last)
            w->pending--;
        note->done(note); /* may free the note */
    }
    ASSERT(list_empty(notes));
}

int work_thread_start(pthread_t *out, void *(*run)(void *arg), void *arg)
{
    static const int own_faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, old;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own_faults / sizeof own_faults[0]; i++)
        sigdelset(&blocked, own_faults[i]);
    int r = pthread_sigmask(SIG_SETMASK, &blocked, &old);
    ASSERT(r == 0);
    int started = pthread_create(out, NULL, run, arg);
    r = pthread_sigmask(SIG_SETMASK, &old, NULL);
    ASSERT(r == 0);
    return -started;
}

static struct work_pool *work_pool_of(struct work *w)
{
    ASSERT(w != NULL);
    return (struct work_pool *)(void *)w;
}

/* Puts a note on the list of finished ones and makes the eventfd readable. */
static void work_pool_report(struct work *w, struct work_note *note)
{
    struct work_pool *pool = work_pool_of(w);
    ASSERT(note->done != NULL);
    pthread_mutex_lock(&pool->lock);
    bool first = list_empty(&pool->notes);
    list_add_tail(&pool->notes, &note->link);
    if (first) {
        int r = eventfd_write(pool->fd, 1);
        ASSERT(r == 0);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void *work_pool_worker(void *arg)
{
    struct work_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        struct list *link = list_pop(&pool->queue);
        if (link == NULL) {
            pthread_cond_wait(&pool->wake, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        struct work_job *job = LIST_ENTRY(link, struct work_job, note.link);
        ASSERT(job->work == &pool->work);
        job->run(job);
        work_pool_report(&pool->work, &job->note);
        pthread_mutex_lock(&pool->lock);
    }
    ASSERT(list_empty(&pool->queue));
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void work_pool_submit(struct work *w, struct work_job *job)
{
    struct work_pool *pool = work_pool_of(w);
    ASSERT(job->work == w);
    pthread_mutex_lock(&pool->lock);
    ASSERT(!pool->stopping);
    list_add_tail(&pool->queue, &job->note.link);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void work_pool_drain(struct work *w)
{
    struct work_pool *pool = work_pool_of(w);
    ASSERT(!pool->draining);
    struct list notes;
    list_init(&notes);
    pthread_mutex_lock(&pool->lock);
    if (!list_empty(&pool->notes)) {
        eventfd_t count;
        int r = eventfd_read(pool->fd, &count);
        ASSERT(r == 0 && count == 1);
        list_splice(&notes, &pool->notes);
    }
    pthread_mutex_unlock(&pool->lock);
    pool->draining = true;
    work_deliver(w, &notes);
    pool->draining = false;
}

static void work_pool_wait(struct work *w)
{
    struct work_pool *pool = work_pool_of(w);
    if (w->pending > 0) {
        struct pollfd p = {.fd = pool->fd, .events = POLLIN};
        int r;
        do
            r = poll(&p, 1, -1);
        while (r < 0 && errno == EINTR);
        ASSERT(r == 1);
    }
    work_pool_drain(w);
}

static int work_pool_fd(struct work *w)
{
    ASSERT(work_pool_of(w)->fd >= 0);
    return work_pool_of(w)->fd;
}

static const struct work_ops work_pool_ops = {
    .submit = work_pool_submit,
    .report = work_pool_report,
    .drain = work_pool_drain,
    .wait = work_pool_wait,
    .fd = work_pool_fd,
};

static struct work_pool *work_pool_init(int fd)
{
    ASSERT(fd >= 0);
    struct work_pool *pool = assert_memory(calloc(1, sizeof *pool), sizeof *pool);
    pool->work.ops = &work_pool_ops;
    pool->fd = fd;
    list_init(&pool->queue);
    list_init(&pool->notes);
    int r = pthread_mutex_init(&pool->lock, NULL);
    ASSERT(r == 0);
    r = pthread_cond_init(&pool->wake, NULL);
    ASSERT(r == 0);
    return pool;
}

struct work *work_pool_new(unsigned threads)
{
    ASSERT(threads >= 1 && threads <= WORK_POOL_THREADS_MAX);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct work_pool *pool = work_pool_init(fd);
    while (pool->thread_count < threads) {
        pthread_t *thread = &pool->threads[pool->thread_count];
        if (work_thread_start(thread, work_pool_worker, pool) != 0)
            break;
        pool->thread_count++;
    }
    return pool->thread_count > 0 ? &pool->work : work_pool_free(&pool->work);
}

struct work *work_pool_free(struct work *w)
{
    if (w == NULL)
        return NULL;
    struct work_pool *pool = work_pool_of(w);
    ASSERT(w->ops == &work_pool_ops);
    while (w->pending > 0)
        work_pool_wait(w);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        int r = pthread_join(pool->threads[i], NULL);
        ASSERT(r == 0);
    }
    ASSERT(list_empty(&pool->notes));
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    (void)close(pool->fd);
    free(pool);
    return NULL;
}
