/* SPDX-License-Identifier: MIT
 *
 * work: the seam for work that may wait: self-contained jobs run elsewhere, completions come back
 * to the one thread that owns all state. Plain threads, no event library, so that the store embeds
 * anywhere.
 *
 *   owner thread                          worker thread
 *   work_submit(job)  ---- queue ---->    job->run(job)
 *   work_drain()      <--- notes -----    work_report(note) any number of times
 *     note->done(note)                    (job's own note is reported when run returns)
 *
 * The caller owns job and notes until their `done` ran; `done` runs exactly once, only inside
 * work_drain or work_wait, which it must not call itself; it may submit.
 * Notes of one job arrive in the order they were reported, the job's own last.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/list.h"

struct work;

struct work_note {
    struct list link;
    void (*done)(struct work_note *note); /* owner thread */
    bool last;                            /* a job's own; set by work_submit and work_report */
};

struct work_job {
    struct work_note note;             /* set note.done before submit */
    void (*run)(struct work_job *job); /* worker thread */
    struct work *work;                 /* set by work_submit */
};

struct work_ops {
    void (*submit)(struct work *w, struct work_job *job);
    void (*report)(struct work *w, struct work_note *note);
    void (*drain)(struct work *w);
    void (*wait)(struct work *w);
    int (*fd)(struct work *w);
};

struct work {
    const struct work_ops *ops;
    uint64_t pending; /* jobs submitted whose done did not start yet; owner thread only */
};

/* Hands a job over; see above for who owns it. Owner thread. */
static inline void work_submit(struct work *w, struct work_job *job)
{
    ASSERT(job->run != NULL);
    ASSERT(job->note.done != NULL);
    job->work = w;
    job->note.last = true;
    w->pending++;
    w->ops->submit(w, job);
}

/* From inside run: sends a progress note ahead of the job's own. */
static inline void work_report(struct work_job *job, struct work_note *note)
{
    ASSERT(note->done != NULL);
    ASSERT(note != &job->note);
    note->last = false;
    job->work->ops->report(job->work, note);
}

/* Runs `done` of everything finished so far. */
static inline void work_drain(struct work *w)
{
    w->ops->drain(w);
}

/* Blocks until something was reported or finished, or nothing is pending; then drains. */
static inline void work_wait(struct work *w)
{
    w->ops->wait(w);
}

/* Readable when work_drain has something to do; -1 where there is none (test work). */
static inline int work_fd(struct work *w)
{
    return w->ops->fd(w);
}

/* A pool of `threads` (1..64) worker threads. NULL when no thread can be started. */
struct work *work_pool_new(unsigned threads);
/* Waits for pending jobs (running their done), ends the threads. NULL is fine; returns NULL. */
struct work *work_pool_free(struct work *w);

/* One thread, no waiting: submit queues, drain runs queued jobs in an order chosen by seed (jobs
 * submitted by done callbacks included) until none is left. Same seed, same order. */
struct work *work_sim_new(uint64_t seed);
struct work *work_sim_free(struct work *w);
/* Runs at most one queued job and delivers the notes. False when nothing was queued. */
bool work_sim_step(struct work *w);

/* Delivers the notes of a list, in order; for implementations. */
void work_deliver(struct work *w, struct list *notes);

/* Starts a thread that takes no signals but those of its own faults (SIGBUS, SIGSEGV, ...): the
 * others belong to the owner of the process. 0 or -errno. */
int work_thread_start(pthread_t *out, void *(*run)(void *arg), void *arg) MUST_CHECK;
