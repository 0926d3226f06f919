/* SPDX-License-Identifier: MIT
 *
 * verdict: see verdict.h.
 */
#include "test/chaos/verdict.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/assert.h"

#define VERDICT_TEXT_MAX 4000
#define VERDICT_NOBODY   UINT32_MAX

struct verdict_cell {
    uint64_t sequence;
    uint32_t producer; /* VERDICT_NOBODY: not a value of this run */
    bool acked;
};

struct verdict_stream { /* one producer in one partition */
    uint64_t sent;
    uint64_t next;    /* one above the largest sequence seen */
    uint64_t missing; /* sequences jumped over and not seen since */
    uint64_t failed;
    uint8_t *seen; /* a bit per sequence; owned */
    uint64_t seen_size;
};

struct verdict_part {
    struct verdict_cell *cells; /* by offset - start; owned */
    size_t count;
    size_t cap;
    int64_t start;
    bool retention;
    int64_t latest[RECORD_KEYS]; /* offset of each key's last record, plus one */
};

struct verdict {
    struct verdict_part *parts;     /* owned */
    struct verdict_stream *streams; /* producers * partitions; owned */
    uint32_t producers;
    uint32_t partitions;
    bool compacted;
    struct verdict_counts counts;
    struct buf text;
};

struct verdict *verdict_new(uint32_t producers, uint32_t partitions)
{
    ASSERT(producers > 0 && partitions > 0);
    struct verdict *v = assert_memory(calloc(1, sizeof *v), sizeof *v);
    size_t streams = (size_t)producers * partitions;
    v->producers = producers;
    v->partitions = partitions;
    v->parts = assert_memory(calloc(partitions, sizeof v->parts[0]), partitions);
    v->streams = assert_memory(calloc(streams, sizeof v->streams[0]), streams);
    return v;
}

struct verdict *verdict_free(struct verdict *v)
{
    if (v == NULL)
        return NULL;
    for (uint32_t i = 0; i < v->partitions; i++)
        free(v->parts[i].cells);
    for (size_t i = 0; i < (size_t)v->producers * v->partitions; i++)
        free(v->streams[i].seen);
    free(v->parts);
    free(v->streams);
    buf_deinit(&v->text);
    free(v);
    return NULL;
}

static void verdict_count(struct verdict *v, uint64_t *count, const char *what, uint32_t partition,
                          int64_t offset, uint32_t producer, uint64_t sequence)
{
    ++*count;
    if (v->text.size < VERDICT_TEXT_MAX)
        buf_printf(&v->text,
                   "%s: partition %u offset %" PRId64 " producer %d sequence %" PRIu64 "\n", what,
                   partition, offset, (int)producer, sequence);
}

static struct verdict_stream *verdict_stream(struct verdict *v, uint32_t producer,
                                             uint32_t partition)
{
    ASSERT(producer < v->producers && partition < v->partitions);
    return &v->streams[(size_t)producer * v->partitions + partition];
}

void verdict_compacted(struct verdict *v)
{
    ASSERT(v->counts.records == 0);
    v->compacted = true;
}

void verdict_start(struct verdict *v, uint32_t partition, int64_t offset, bool retention)
{
    ASSERT(partition < v->partitions && v->parts[partition].count == 0);
    v->parts[partition].start = offset;
    v->parts[partition].retention = retention;
}

/* The bit of a sequence; *was before it is set. */
static bool verdict_mark(struct verdict_stream *s, uint64_t sequence)
{
    uint64_t byte = sequence / 8;
    uint8_t bit = (uint8_t)(1u << (sequence % 8));
    if (byte >= s->seen_size) {
        uint64_t size = byte * 2 + 64;
        s->seen = assert_memory(realloc(s->seen, size), size);
        memset(s->seen + s->seen_size, 0, size - s->seen_size);
        s->seen_size = size;
    }
    bool was = (s->seen[byte] & bit) != 0;
    s->seen[byte] |= bit;
    return was;
}

static void verdict_keep(struct verdict_part *p, const struct record_id *id)
{
    if (p->count == p->cap) {
        p->cap = p->cap * 2 + 1024;
        size_t size = p->cap * sizeof p->cells[0];
        p->cells = assert_memory(realloc(p->cells, size), size);
    }
    p->cells[p->count++] =
        (struct verdict_cell){.sequence = id != NULL ? id->sequence : 0,
                              .producer = id != NULL ? id->producer : VERDICT_NOBODY};
}

static void verdict_order(struct verdict *v, uint32_t partition, int64_t offset,
                          const struct record_id *id)
{
    struct verdict_stream *s = verdict_stream(v, id->producer, partition);
    bool first = s->seen == NULL;
    if (verdict_mark(s, id->sequence)) {
        verdict_count(v, &v->counts.duplicated, "duplicated", partition, offset, id->producer,
                      id->sequence);
        return;
    }
    if (id->sequence < s->next) {
        verdict_count(v, &v->counts.reordered, "reordered", partition, offset, id->producer,
                      id->sequence);
        s->missing -= s->missing > 0;
        return;
    }
    /* Behind a log start that retention moved, a stream begins anywhere. */
    if (!first || v->parts[partition].start == 0)
        s->missing += id->sequence - s->next;
    s->next = id->sequence + 1;
}

void verdict_record(struct verdict *v, uint32_t partition, int64_t offset,
                    const struct record_id *id)
{
    ASSERT(partition < v->partitions);
    struct verdict_part *p = &v->parts[partition];
    int64_t expected = p->start + (int64_t)p->count;
    v->counts.records++;
    if (offset < expected || (offset > expected && !v->compacted))
        verdict_count(v, &v->counts.gaps, "gap before", partition, offset, VERDICT_NOBODY, 0);
    if (offset < expected)
        return; /* seen already: keep the first */
    for (; expected < offset; expected++)
        verdict_keep(p, NULL);
    verdict_keep(p, id);
    if (id != NULL)
        p->latest[id->sequence % RECORD_KEYS] = offset + 1;
    if (id == NULL)
        verdict_count(v, &v->counts.wrong, "not a value", partition, offset, VERDICT_NOBODY, 0);
    else if (id->producer >= v->producers || id->partition != partition)
        verdict_count(v, &v->counts.phantom, "phantom", partition, offset, id->producer,
                      id->sequence);
    else
        verdict_order(v, partition, offset, id);
}

void verdict_sent(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sent)
{
    verdict_stream(v, producer, partition)->sent = sent;
}

void verdict_failed(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sequence)
{
    struct verdict_stream *s = verdict_stream(v, producer, partition);
    v->counts.failed++;
    if (sequence < s->next && !verdict_mark(s, sequence))
        s->failed++;
}

void verdict_acked(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sequence,
                   int64_t offset)
{
    ASSERT(partition < v->partitions);
    struct verdict_part *p = &v->parts[partition];
    v->counts.acked++;
    if (offset < p->start && p->retention) {
        v->counts.expired++;
        return;
    }
    bool outside = offset < p->start || offset - p->start >= (int64_t)p->count;
    bool hole = v->compacted && (outside || p->cells[offset - p->start].producer == VERDICT_NOBODY);
    if (hole && p->latest[sequence % RECORD_KEYS] > offset + 1) {
        v->counts.superseded++;
        return;
    }
    if (outside || hole) {
        verdict_count(v, &v->counts.lost, "lost", partition, offset, producer, sequence);
        return;
    }
    struct verdict_cell *cell = &p->cells[offset - p->start];
    if (cell->producer != producer || cell->sequence != sequence || cell->acked)
        verdict_count(v, &v->counts.wrong, "another record at", partition, offset, producer,
                      sequence);
    cell->acked = true;
}

/* Records beyond what their producer sent. */
static void verdict_phantoms(struct verdict *v, uint32_t partition)
{
    const struct verdict_part *p = &v->parts[partition];
    for (size_t i = 0; i < p->count; i++) {
        const struct verdict_cell *c = &p->cells[i];
        if (c->producer < v->producers &&
            c->sequence >= verdict_stream(v, c->producer, partition)->sent)
            verdict_count(v, &v->counts.phantom, "phantom", partition, p->start + (int64_t)i,
                          c->producer, c->sequence);
    }
}

void verdict_end(struct verdict *v, struct verdict_counts *out)
{
    for (uint32_t i = 0; i < v->partitions; i++)
        verdict_phantoms(v, i);
    for (uint32_t i = 0; i < v->producers; i++)
        for (uint32_t k = 0; k < v->partitions; k++) {
            const struct verdict_stream *s = verdict_stream(v, i, k);
            if (s->missing > s->failed && !v->compacted)
                verdict_count(v, &v->counts.skipped, "sequences skipped", k, -1, i,
                              s->missing - s->failed);
        }
    *out = v->counts;
}

bool verdict_bad(const struct verdict_counts *c)
{
    return c->lost + c->wrong + c->duplicated + c->reordered + c->phantom + c->gaps + c->skipped >
           0;
}

const char *verdict_text(struct verdict *v)
{
    buf_reserve(&v->text, 1);
    v->text.p[v->text.size] = 0;
    return (const char *)v->text.p;
}
