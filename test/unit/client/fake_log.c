/* SPDX-License-Identifier: MIT */
#include "fake_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define FAKE_INFLATE_MAX (16u * 1024 * 1024)

void fake_log_delete(struct fake_topic *t)
{
    for (int i = 0; t->partitions != NULL && i < FAKE_PARTITIONS_MAX; i++)
        for (size_t b = 0; b < t->partitions[i].batch_count; b++)
            free(t->partitions[i].batches[b].bytes);
    free(t->partitions);
    *t = (struct fake_topic){0};
}

void fake_log_deinit(struct fake_log *log)
{
    for (int i = 0; i < FAKE_TOPICS_MAX; i++)
        fake_log_delete(&log->topics[i]);
}

struct fake_topic *fake_log_topic(struct fake_log *log, const char *name)
{
    for (int i = 0; i < FAKE_TOPICS_MAX; i++)
        if (log->topics[i].name[0] != '\0' && strcmp(log->topics[i].name, name) == 0)
            return &log->topics[i];
    return NULL;
}

struct fake_topic *fake_log_create(struct fake_log *log, const char *name, int32_t partitions)
{
    ASSERT(fake_log_topic(log, name) == NULL && partitions <= FAKE_PARTITIONS_MAX);
    struct fake_topic *t = NULL;
    for (int i = 0; i < FAKE_TOPICS_MAX && t == NULL; i++)
        if (log->topics[i].name[0] == '\0')
            t = &log->topics[i];
    ASSERT(t != NULL);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->partition_count = partitions;
    t->partitions = calloc(FAKE_PARTITIONS_MAX, sizeof *t->partitions);
    ASSERT(t->partitions != NULL);
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++)
        t->partitions[i].damaged = -1;
    return t;
}

struct fake_partition *fake_log_partition(struct fake_log *log, const char *topic,
                                          int32_t partition, Kauri__Status *status)
{
    struct fake_topic *t = fake_log_topic(log, topic);
    *status = t == NULL ? KAURI__STATUS__UNKNOWN_TOPIC : KAURI__STATUS__OK;
    if (t != NULL && (partition < 0 || partition >= t->partition_count))
        *status = KAURI__STATUS__UNKNOWN_PARTITION;
    return *status == KAURI__STATUS__OK ? &t->partitions[partition] : NULL;
}

static struct fake_producer *fake_log_producer(struct fake_partition *p, int64_t id)
{
    for (size_t i = 0; i < p->producer_count; i++)
        if (p->producers[i].id == id)
            return &p->producers[i];
    ASSERT(p->producer_count < FAKE_PRODUCERS_MAX);
    struct fake_producer *q = &p->producers[p->producer_count++];
    *q = (struct fake_producer){.id = id, .epoch = -1};
    return q;
}

void fake_log_forget(struct fake_partition *p)
{
    p->producer_count = 0;
}

static int32_t fake_log_last(const struct batch_header *h)
{
    return (int32_t)(((uint32_t)h->base_sequence + (uint32_t)h->count - 1) & 0x7fffffffu);
}

/* The rules of an idempotent producer. True when the batch is a repetition (*base_offset set). */
static Kauri__Status fake_log_sequence(struct fake_partition *p, const struct batch_header *h,
                                       int64_t *base_offset, bool *again)
{
    struct fake_producer *q = fake_log_producer(p, h->producer_id);
    if (h->producer_epoch < q->epoch)
        return KAURI__STATUS__PRODUCER_FENCED;
    if (h->producer_epoch > q->epoch) {
        if (h->base_sequence != 0) {
            p->gaps++;
            return KAURI__STATUS__SEQUENCE_GAP;
        }
        *q = (struct fake_producer){.id = q->id, .epoch = h->producer_epoch};
    }
    for (unsigned i = 0; i < FAKE_REMEMBERED && i < q->count; i++)
        if (q->first[i] == h->base_sequence && q->last[i] == fake_log_last(h)) {
            *base_offset = q->offset[i];
            *again = true;
            p->duplicates++;
            return KAURI__STATUS__OK;
        }
    if (h->base_sequence != q->next) {
        p->gaps++;
        return KAURI__STATUS__SEQUENCE_GAP;
    }
    unsigned slot = q->count++ % FAKE_REMEMBERED;
    q->first[slot] = h->base_sequence;
    q->last[slot] = fake_log_last(h);
    q->offset[slot] = p->end;
    q->next = (int32_t)(((uint32_t)q->last[slot] + 1) & 0x7fffffffu);
    return KAURI__STATUS__OK;
}

Kauri__Status fake_log_append(struct fake_partition *p, struct slice batch, int64_t *base_offset)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    struct batch_rules rules = {.inflate_max = FAKE_INFLATE_MAX, .scratch = &scratch};
    struct batch_header h;
    if (batch_validate(batch, &rules, &h) != BATCH_OK)
        return KAURI__STATUS__BATCH_CORRUPT;
    bool again = false;
    if (h.producer_id >= 0) {
        Kauri__Status s = fake_log_sequence(p, &h, base_offset, &again);
        if (s != KAURI__STATUS__OK || again)
            return s;
    }
    ASSERT(p->batch_count < FAKE_BATCHES_MAX);
    struct fake_batch *b = &p->batches[p->batch_count++];
    b->bytes = slice_dup(batch);
    batch_stamp(b->bytes, p->end, 0);
    b->header = h;
    b->header.base_offset = p->end;
    *base_offset = p->end;
    p->end = batch_next_offset(&b->header);
    return KAURI__STATUS__OK;
}

size_t fake_log_find(const struct fake_partition *p, int64_t offset)
{
    size_t i = 0;
    while (i < p->batch_count && batch_last_offset(&p->batches[i].header) < offset)
        i++;
    return i;
}

void fake_log_records(const struct fake_partition *p,
                      void (*fn)(void *ctx, const struct batch_record *r), void *ctx)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    for (size_t i = 0; i < p->batch_count; i++) {
        struct batch_iter it;
        struct batch_record r;
        struct slice bytes = slice_of(p->batches[i].bytes, p->batches[i].header.size);
        enum batch_fault fault = batch_iter_init(&it, bytes, FAKE_INFLATE_MAX, &scratch);
        ASSERT(fault == BATCH_OK);
        while (batch_iter_next(&it, &r, &fault))
            fn(ctx, &r);
        ASSERT(fault == BATCH_OK);
    }
}
