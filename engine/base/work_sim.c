/* SPDX-License-Identifier: MIT
 *
 * work_sim: the work seam without threads, for tests and the simulator. Jobs run inside work_drain,
 * one after the other, in an order that a seed decides: the same seed and the same submissions give
 * the same run.
 *
 * Invariants: S1 queued == length of `queue`; S2 `notes` is empty between steps; S3 steps do not
 * nest.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "engine/base/work.h"

struct work_sim {
    struct work work;
    struct random random;
    struct list queue; /* jobs, by note.link */
    uint64_t queued;
    struct list notes; /* of the step that runs */
    bool stepping;
};

static struct work_sim *work_sim_of(struct work *w)
{
    ASSERT(w != NULL);
    return (struct work_sim *)(void *)w;
}

static void work_sim_submit(struct work *w, struct work_job *job)
{
    struct work_sim *sim = work_sim_of(w);
    ASSERT(job->work == w);
    list_add_tail(&sim->queue, &job->note.link);
    sim->queued++;
    ASSERT(sim->queued <= w->pending);
}

static void work_sim_report(struct work *w, struct work_note *note)
{
    struct work_sim *sim = work_sim_of(w);
    ASSERT(sim->stepping);
    list_add_tail(&sim->notes, &note->link);
}

/* Takes a random job out of the queue. */
static struct work_job *work_sim_take(struct work_sim *sim)
{
    ASSERT(sim->queued > 0);
    struct list *link = sim->queue.next;
    for (uint64_t skip = random_below(&sim->random, sim->queued); skip > 0; skip--)
        link = link->next;
    ASSERT(link != &sim->queue);
    list_remove(link);
    sim->queued--;
    return LIST_ENTRY(link, struct work_job, note.link);
}

bool work_sim_step(struct work *w)
{
    struct work_sim *sim = work_sim_of(w);
    ASSERT(!sim->stepping);
    if (sim->queued == 0)
        return false;
    sim->stepping = true;
    struct work_job *job = work_sim_take(sim);
    ASSERT(job->work == w);
    job->run(job);
    list_add_tail(&sim->notes, &job->note.link);
    work_deliver(w, &sim->notes);
    sim->stepping = false;
    ASSERT(list_empty(&sim->notes));
    return true;
}

static void work_sim_drain(struct work *w)
{
    while (work_sim_step(w)) {
    }
    ASSERT(w->pending == 0);
}

static int work_sim_fd(struct work *w)
{
    ASSERT(w != NULL);
    return -1;
}

static const struct work_ops work_sim_ops = {
    .submit = work_sim_submit,
    .report = work_sim_report,
    .drain = work_sim_drain,
    .wait = work_sim_drain,
    .fd = work_sim_fd,
};

struct work *work_sim_new(uint64_t seed)
{
    struct work_sim *sim = assert_memory(calloc(1, sizeof *sim), sizeof *sim);
    sim->work.ops = &work_sim_ops;
    random_init(&sim->random, seed);
    list_init(&sim->queue);
    list_init(&sim->notes);
    return &sim->work;
}

struct work *work_sim_free(struct work *w)
{
    if (w == NULL)
        return NULL;
    ASSERT(w->ops == &work_sim_ops);
    work_sim_drain(w);
    free(work_sim_of(w));
    return NULL;
}
