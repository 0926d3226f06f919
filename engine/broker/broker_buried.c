/* SPDX-License-Identifier: MIT
 *
 * broker_buried: files of segments that left a log (<base>.log.deleted) and are unlinked later, by
 * a worker and one at a time: after file.delete.delay.ms, and when nobody reads through a mapping
 * of a segment that is gone, because the last to let go would wait for the file system, and that
 * is the loop. Unlinking 1 GiB takes a quarter of a second on ext4.
 *
 * They are not cut off in pieces: a mapping may still show them. A file that cannot be removed, or
 * whose removal a crash forgets, goes when its partition is opened next.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

#define BROKER_BURIED_WAIT_MS 20    /* for readers, between two looks */
#define BROKER_BURIED_MAX_MS  10000 /* no longer than this */

struct broker_grave {
    struct heap_node due; /* monotonic */
    int64_t at_ms;        /* when it was first due */
    char *path;           /* owned */
};

static void broker_grave_free(struct broker_grave *g)
{
    ASSERT(g->due.slot == 0);
    free(g->path);
    free(g);
}

void broker_bury(struct bpart *p)
{
    struct broker *b = p->broker;
    int64_t *bases = NULL, delay = p->topic != NULL ? p->topic->limits.delete_delay_ms : 0;
    size_t count = part_buried(p->part, &bases);
    ASSERT(delay >= 0);
    for (size_t i = 0; i < count; i++) {
        struct broker_grave *g = assert_memory(calloc(1, sizeof *g), sizeof *g);
        struct buf path = {0};
        state_segment_path(&path, p->part->dir, bases[i], STATE_BURIED);
        g->path = (char *)path.p; /* with its NUL */
        g->at_ms = delay < INT64_MAX - broker_now(b) ? broker_now(b) + delay : INT64_MAX;
        heap_set(&b->buried.due, &g->due, g->at_ms);
    }
    free(bases);
}

static void broker_buried_job(struct work_job *job)
{
    struct broker_buried *u = LIST_ENTRY(job, struct broker_buried, job);
    ASSERT(u->grave != NULL);
    u->result = io_unlink(u->broker->io, u->grave->path);
}

static void broker_buried_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_buried *u = LIST_ENTRY(job, struct broker_buried, job);
    ASSERT(u->grave != NULL);
    if (u->result < 0)
        broker_log(u->broker, 1, "cannot remove %s: %s; the next start tries again", u->grave->path,
                   error_text(u->result));
    broker_grave_free(u->grave);
    u->grave = NULL;
}

void broker_buried_run(struct broker *b)
{
    struct broker_buried *u = &b->buried;
    int64_t now = broker_now(b);
    ASSERT(!b->dead);
    if (u->grave != NULL)
        return;
    struct heap_node *n = heap_pop_due(&u->due, b->stopping ? INT64_MAX : now);
    if (n == NULL)
        return;
    struct broker_grave *g = HEAP_ENTRY(n, struct broker_grave, due);
    if (b->store.orphan_count > 0 && !b->stopping && now < g->at_ms + BROKER_BURIED_MAX_MS) {
        heap_set(&u->due, n, now + BROKER_BURIED_WAIT_MS);
        return;
    }
    u->broker = b;
    u->grave = g;
    u->job = (struct work_job){.run = broker_buried_job, .note = {.done = broker_buried_done}};
    work_submit(b->env.work, &u->job);
}

bool broker_buried_quiet(const struct broker *b)
{
    ASSERT(b->buried.due.count == 0 || heap_first(&b->buried.due) != NULL);
    return b->buried.grave == NULL && b->buried.due.count == 0;
}

int64_t broker_buried_next(const struct broker *b)
{
    const struct heap_node *n = heap_first(&b->buried.due);
    ASSERT(n == NULL || n->slot == 1);
    return n == NULL || b->buried.grave != NULL ? INT64_MAX : n->at;
}

void broker_buried_deinit(struct broker *b)
{
    ASSERT(b->buried.grave == NULL);
    for (struct heap_node *n = heap_first(&b->buried.due); n != NULL;
         n = heap_first(&b->buried.due)) {
        heap_remove(&b->buried.due, n);
        broker_grave_free(HEAP_ENTRY(n, struct broker_grave, due));
    }
    heap_deinit(&b->buried.due);
}
