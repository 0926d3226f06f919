/* SPDX-License-Identifier: MIT
 *
 * part_dump: a partition in words, for people who look for a bug.
 */
#include "engine/base/assert.h"
#include "engine/store/part.h"

static void part_dump_segment(const struct segment *s, struct buf *out)
{
    ASSERT(s != NULL && s->ready <= s->size);
    buf_printf(out,
               "    segment %lld: %llu of %llu bytes ready, %llu reserved, %llu indexed, newest "
               "%lld%s%s\n",
               (long long)s->base, (unsigned long long)s->ready, (unsigned long long)s->size,
               (unsigned long long)s->alloc, (unsigned long long)s->indexed,
               (long long)s->max_timestamp, s->reader != NULL ? ", mapped" : "",
               s->exists ? "" : ", not there yet");
}

void part_dump(const struct part *p, struct buf *out)
{
    size_t before = out->size;
    ASSERT(p != NULL && out != NULL);
    buf_printf(
        out, "  %s: start %lld durable %lld written %lld reserved %lld checkpoint %lld epoch %d\n",
        p->dir, (long long)p->log_start, (long long)p->durable, (long long)p->written,
        (long long)p->reserved, (long long)p->checkpoint, p->epoch);
    buf_printf(
        out, "    %zu pending (%zu bytes), %zu producers, %zu damaged ranges, failed %d%s%s%s%s\n",
        p->pending_count, p->pending_size, p->producers.map.count, p->damaged_count, p->failed,
        p->round != NULL ? ", round out" : "", p->dirty ? ", dirty" : "",
        p->roll ? ", must roll" : "", p->trim_to >= 0 ? ", must trim" : "");
    for (size_t i = 0; i < p->epochs.count; i++)
        buf_printf(out, "    epoch %d from offset %lld\n", p->epochs.entries[i].epoch,
                   (long long)p->epochs.entries[i].start);
    for (size_t i = 0; i < p->count; i++)
        part_dump_segment(p->segments[i], out);
    for (size_t i = 0; i < p->damaged_count; i++)
        buf_printf(out, "    damaged: offsets %lld to %lld\n", (long long)p->damaged[i].from,
                   (long long)p->damaged[i].to - 1);
    ASSERT(out->size > before);
}
