/* SPDX-License-Identifier: MIT
 *
 * broker_groups_log: the way of the groups' records to their log:
 *
 *   put     records gather in the open batch (one per turn, or BROKER_GROUPS_BATCH)
 *   flush   at the end of a turn the batch goes to the log __consumer_offsets, and with the next
 *           round to the disk: thousands of commits share one batch and one sync
 *   done    on disk: its rows are noted for the view, then everybody who waited hears of it
 *
 *     open -- close --> queued -- append --> batches -- on disk, or failed --> end
 *
 * The log is a topic of one partition, made before the first record; Kafka's tools read it. What
 * was committed when is in it until compaction takes it: min.compaction.lag.ms of that topic.
 *
 * Invariants: B1 a wait hangs at the newest batch that was open or under way when it was asked for;
 * B2 batches end in the order they began; B3 when one fails, so do those behind it: what they say
 * rests on it.
 *
 * Failures: the topic cannot be made, the log takes no more or could not be written: what waits
 * hears of it, and the engine says the same again with its next change.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_groups_priv.h"
#include "engine/broker/broker_priv.h"

#define BROKER_GROUPS_BATCH   (512u << 10) /* bytes of records */
#define BROKER_GROUPS_SEGMENT "104857600"
#define BROKER_GROUPS_HISTORY "604800000"

static struct broker_groups_batch *broker_groups_open(struct broker_groups *bg)
{
    struct broker_groups_batch *batch = bg->open;
    if (batch == NULL) {
        batch = assert_memory(calloc(1, sizeof *batch), sizeof *batch);
        batch->groups = bg;
        list_init(&batch->link);
        list_init(&batch->waits);
        batch_build_init(&batch->build);
        bg->open = batch;
    }
    ASSERT(batch->groups == bg);
    ASSERT(batch->bytes.size == 0);
    return batch;
}

void broker_groups_close(struct broker_groups *bg)
{
    struct batch_build_options o = batch_build_plain();
    struct broker_groups_batch *batch = bg->open;
    ASSERT(batch != NULL && batch->bytes.size == 0);
    batch_build_finish(&batch->build, &o, &batch->bytes);
    ASSERT(batch->bytes.size > 0);
    batch_build_deinit(&batch->build);
    bg->open = NULL;
    list_add_tail(&bg->queued, &batch->link);
}

void broker_groups_put(void *ctx, struct slice key, struct slice value)
{
    struct broker_groups *bg = ctx;
    struct broker_groups_batch *batch = broker_groups_open(bg);
    ASSERT(key.size > 0);
    ASSERT(bg->phase == BROKER_GROUPS_READY);
    batch_build_add(&batch->build, broker_wall(bg->broker), key, value, NULL, 0);
}

/* B1. The batch is closed here and not in put, so that records that belong together stay so. */
void broker_groups_wait(void *ctx, struct groups_wait *w)
{
    struct broker_groups *bg = ctx;
    struct list *last = !list_empty(&bg->queued)    ? bg->queued.prev
                        : !list_empty(&bg->batches) ? bg->batches.prev
                                                    : NULL;
    ASSERT(w->done != NULL);
    ASSERT(!list_linked(&w->link));
    if (bg->open != NULL) {
        list_add_tail(&bg->open->waits, &w->link);
        if (batch_build_size(&bg->open->build) >= BROKER_GROUPS_BATCH)
            broker_groups_close(bg);
    } else if (last != NULL) {
        list_add_tail(&LIST_ENTRY(last, struct broker_groups_batch, link)->waits, &w->link);
    } else {
        list_add_tail(&bg->idle, &w->link);
    }
}

/* --- on disk --- */

static void broker_groups_note(struct broker_groups *bg, const struct broker_groups_batch *batch)
{
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault =
        batch_iter_init(&it, buf_slice(&batch->bytes), BROKER_GROUPS_INFLATE, &bg->scratch);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault))
        group_rows_note(bg->rows, rec.key, rec.value, rec.offset);
    ASSERT(fault == BATCH_OK); /* built here */
}

static void broker_groups_end(struct broker_groups_batch *batch, int result)
{
    struct broker_groups *bg = batch->groups;
    struct list waits;
    ASSERT(bg->open != batch && batch->bytes.size > 0);
    list_init(&waits);
    if (result == 0)
        broker_groups_note(bg, batch);
    if (list_linked(&batch->link))
        list_remove(&batch->link);
    list_splice(&waits, &batch->waits);
    buf_deinit(&batch->bytes);
    free(batch);
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        ASSERT(w->done != NULL);
        w->done(w, result);
    }
}

void broker_groups_fail_queued(struct broker_groups *bg)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &bg->queued);
    while (!list_empty(&all))
        broker_groups_end(LIST_ENTRY(all.next, struct broker_groups_batch, link), -EIO);
    ASSERT(list_empty(&all));
}

static void broker_groups_finish(struct broker_groups_batch *batch, int result)
{
    struct broker_groups *bg = batch->groups;
    ASSERT(bg->batches.next == &batch->link); /* B2 */
    broker_groups_tick(bg);
    if (result != 0 && bg->open != NULL)
        broker_groups_close(bg);
    broker_groups_end(batch, result);
    if (result != 0) /* B3 */
        broker_groups_fail_queued(bg);
}

static void broker_groups_acked(struct bpart_ack *a, enum broker_status status)
{
    struct broker_groups_batch *batch = LIST_ENTRY(a, struct broker_groups_batch, ack);
    ASSERT(batch->groups != NULL);
    broker_groups_finish(batch, status == BROKER_OK ? 0 : -EIO);
}

static void broker_groups_appended(struct part_append *a, int result)
{
    struct broker_groups_batch *batch = LIST_ENTRY(a, struct broker_groups_batch, append);
    struct bpart *p = broker_groups_bpart(batch->groups);
    if (result == 0 && p != NULL) { /* Kafka's acks=all */
        batch->ack.offset = a->last_offset;
        batch->ack.done = broker_groups_acked;
        if (bpart_ack_wait(p, &batch->ack))
            return;
    }
    ASSERT(result <= 0 || result == IO_FULL);
    broker_groups_finish(batch, result);
}

static void broker_groups_append(struct broker_groups *bg, struct bpart *p,
                                 struct broker_groups_batch *batch)
{
    struct part_append *a = &batch->append;
    enum batch_fault fault = batch_parse(buf_slice(&batch->bytes), &a->header);
    ASSERT(fault == BATCH_OK && p->part != NULL);
    ASSERT(!bg->creating);
    a->batch = batch->bytes.p;
    a->done = broker_groups_appended;
    list_remove(&batch->link);
    list_add_tail(&bg->batches, &batch->link);
    int r = bpart_may_append(p, -1) != BROKER_OK ? PART_CLOSING
                                                 : part_append(p->part, a, broker_wall(bg->broker));
    if (r != 0) { /* not ours to write, too few in sync, larger than a segment, or closing */
        list_remove(&batch->link);
        broker_groups_end(batch, -EIO);
        return;
    }
    bpart_due(p);
}

static void broker_groups_created(struct broker_admin *req)
{
    struct broker_groups *bg = req->ctx;
    ASSERT(bg->creating);
    ASSERT(req == &bg->create);
    bg->creating = false;
    if (req->status == BROKER_OK || req->status == BROKER_TOPIC_EXISTS)
        return;
    broker_log(bg->broker, 2, "topic %s cannot be made: %s", BROKER_GROUPS_TOPIC,
               req->message[0] != '\0' ? req->message : broker_status_text(req->status));
    if (bg->open != NULL)
        broker_groups_close(bg);
    broker_groups_tick(bg);
    broker_groups_fail_queued(bg);
}

static void broker_groups_create(struct broker_groups *bg)
{
    const struct broker_config_entry configs[] = {
        {.key = slice_str("cleanup.policy"), .value = slice_str("compact")},
        {.key = slice_str("durability"), .value = slice_str("sync")},
        {.key = slice_str("min.compaction.lag.ms"), .value = slice_str(BROKER_GROUPS_HISTORY)},
        {.key = slice_str("segment.bytes"), .value = slice_str(BROKER_GROUPS_SEGMENT)}};
    ASSERT(!bg->creating);
    ASSERT(!bg->broker->stopping && broker_groups_bpart(bg) == NULL);
    bg->creating = true;
    memcpy(bg->configs, configs, sizeof configs);
    bg->create = (struct broker_admin){.op = BROKER_TOPIC_CREATE,
                                       .topic = slice_str(BROKER_GROUPS_TOPIC),
                                       .partitions = 1,
                                       .replication = -1,
                                       .configs = bg->configs,
                                       .config_count = sizeof configs / sizeof configs[0],
                                       .internal = true,
                                       .done = broker_groups_created,
                                       .ctx = bg};
    broker_admin(bg->broker, &bg->create);
}

void broker_groups_flush(struct broker_groups *bg)
{
    if (bg->open != NULL)
        broker_groups_close(bg);
    if (list_empty(&bg->queued) || bg->creating)
        return;
    struct bpart *p = broker_groups_bpart(bg);
    if (p == NULL) {
        if (bg->broker->stopping)
            broker_groups_fail_queued(bg);
        else
            broker_groups_create(bg);
        return;
    }
    enum broker_status status = bpart_use(p);
    ASSERT(status != BROKER_LOADING); /* the groups were read from it */
    if (status != BROKER_OK)
        return broker_groups_fail_queued(bg);
    while (!list_empty(&bg->queued))
        broker_groups_append(bg, p, LIST_ENTRY(bg->queued.next, struct broker_groups_batch, link));
}
