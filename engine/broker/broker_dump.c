/* SPDX-License-Identifier: MIT
 *
 * broker_dump: the broker in words: what is under way, then every partition.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

static size_t broker_dump_length(const struct list *head)
{
    size_t n = 0;
    ASSERT(head->next != NULL);
    for (const struct list *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

static void broker_dump_part(const struct bpart *p, struct buf *out)
{
    static const char *const states[BPART_STATE_COUNT] = {
        [BPART_IDLE] = "idle",     [BPART_LOADING] = "loading", [BPART_ONLINE] = "online",
        [BPART_FAILED] = "failed", [BPART_GONE] = "gone",
    };
    ASSERT((size_t)p->state < BPART_STATE_COUNT);
    ASSERT((p->state == BPART_ONLINE) == (p->part != NULL) || p->state == BPART_GONE);
    buf_printf(out, "partition %s-%d: %s, %u jobs, %zu fetches wait%s%s\n",
               p->topic != NULL ? p->topic->name : "__meta", p->index, states[p->state], p->jobs,
               broker_dump_length(&p->waits), list_linked(&p->due) ? ", due" : "",
               p->flush ? ", to flush" : "");
    if (p->part != NULL)
        part_dump(p->part, out);
}

void broker_dump(const struct broker *b, struct buf *out)
{
    ASSERT(b->sorted != NULL || b->topic_count == 0);
    buf_printf(
        out,
        "broker: %zu topics, %zu partitions, %zu bytes in flight, %zu admin calls, rounds out: "
        "%s%s, due: %zu sync %zu os%s%s%s\n",
        b->topic_count, b->partition_count, b->in_flight_size, b->admins,
        b->rounds[1].out ? "sync " : "", b->rounds[0].out ? "os" : "",
        broker_dump_length(&b->due[1]), broker_dump_length(&b->due[0]),
        b->disk_full ? ", disk full" : "", b->stopping ? ", stopping" : "",
        b->dead ? ", dead" : "");
    buf_printf(out, "store: %zu segments mapped, %zu open for writing\n", b->store.reader_count,
               b->store.writer_count);
    broker_dump_part(&b->meta_part, out);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            broker_dump_part(b->sorted[i]->parts[k], out);
}
