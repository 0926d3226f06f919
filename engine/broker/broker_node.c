/* SPDX-License-Identifier: MIT
 *
 * broker_node: what this broker stands on, and whether its last run lost something.
 *
 * The record node/seat holds an id of the folder, made once, and the boot id of the system under
 * the last run. It is written at the start, without the mark of a clean end, and at a clean stop,
 * when nothing waits for the disk any more, with it. A start that finds no mark and another boot id
 * knows that the system went down under the run before: what was written and not synced is lost.
 * Boot ids that are not known count as others. That stays written until a registration has told it,
 * and records that are newer than that name this broker in sync or eligible wherever it matters:
 * then it holds again all that it ever counted for.
 * A folder restored from a snapshot has lost what came later: it is another folder, with another
 * id, and the file that says so goes when that is written.
 *
 * Whoever registers or leads waits for broker_node_settled: until the mark is gone from the disk, a
 * power loss would look like a clean end. What is durable in __meta later says that it is.
 *
 * Failures: no space at the start: tried again while there is some; at the stop: the mark is
 * missing, and the next start assumes the worse.
 */
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/snapshot.h"

static bool broker_node_boot_known(const uint8_t boot[16])
{
    static const uint8_t none[16];
    ASSERT(boot != NULL);
    return memcmp(boot, none, sizeof none) != 0;
}

/* The run that left this seat lost what it had not synced. */
static bool broker_node_lost(const struct broker *b, const struct cluster_seat *seat)
{
    const uint8_t *boot = b->env.boot_id;
    ASSERT(b->node.op.done == NULL); /* nothing is written yet */
    return !seat->clean && !(broker_node_boot_known(boot) && memcmp(seat->boot, boot, 16) == 0);
}

/* The folder came out of a snapshot. */
static bool broker_node_restored(struct broker *b)
{
    struct buf path CLEANUP(buf_deinit) = {0}, text CLEANUP(buf_deinit) = {0};
    ASSERT(!b->node.busy);
    state_path(&path, b->dir, SNAPSHOT_RESTORED);
    int r = io_read_file(b->io, (const char *)path.p, 4096, &text);
    return r != IO_MISSING; /* if in doubt, it did */
}

/* Should a crash forget this, the next start takes one more id. */
static void broker_node_unmark(struct broker *b)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(b->node.saved && b->node.restored);
    b->node.restored = false;
    state_path(&path, b->dir, SNAPSHOT_RESTORED);
    if (io_unlink(b->io, (const char *)path.p) != 0 || io_sync_dir(b->io, b->dir) != 0)
        broker_log(b, 1, "the file `restored` could not be removed");
}

static void broker_node_write(struct broker *b);

static void broker_node_done(struct coord_op *op, int result)
{
    struct broker *b = op->ctx;
    struct broker_seat *n = &b->node;
    ASSERT(n->busy && op == &n->op);
    ASSERT(n->value.size > 0);
    n->busy = false;
    n->saved = result == 0;
    if (n->saved && n->restored && !b->dead)
        broker_node_unmark(b);
    if (n->saved && n->again && !b->stopping)
        broker_node_write(b);
}

static void broker_node_write(struct broker *b)
{
    struct broker_seat *n = &b->node;
    struct slice old, key = slice_str(CLUSTER_SEAT_KEY);
    int64_t revision;
    ASSERT(!n->busy);
    ASSERT(n->seat.unclean || n->seat.told == -1);
    n->again = false;
    buf_reset(&n->value);
    cluster_seat_encode(&n->seat, &n->value);
    n->op = (struct coord_op){.key = key,
                              .value = buf_slice(&n->value),
                              .expect = -1,
                              .done = broker_node_done,
                              .ctx = b};
    if (coord_get(b->coord, key, &old, &revision) == 0)
        n->op.expect = revision;
    n->busy = true;
    int r = coord_cas(b->coord, &n->op, broker_wall(b));
    ASSERT(r == 0); /* nobody else changes this record */
}

void broker_node_open(struct broker *b)
{
    struct broker_seat *n = &b->node;
    struct slice value;
    int64_t revision;
    ASSERT(!n->busy && !n->saved);
    ASSERT(!n->stopping && n->op.done == NULL);
    bool there = coord_get(b->coord, slice_str(CLUSTER_SEAT_KEY), &value, &revision) == 0;
    if (there && cluster_seat_decode(value, &n->seat) != 0) {
        broker_log(b, 1, "the record of this folder cannot be read and is made anew");
        there = false;
    }
    n->restored = broker_node_restored(b);
    if (!there || n->restored) {
        n->seat = (struct cluster_seat){.told = -1};
        random_entropy(n->seat.folder, sizeof n->seat.folder);
    } else if (broker_node_lost(b, &n->seat)) {
        n->seat.unclean = true;
        n->seat.told = -1;
    }
    n->seat.clean = false;
    memcpy(n->seat.boot, b->env.boot_id, sizeof n->seat.boot);
    broker_node_write(b);
}

void broker_node_periodic(struct broker *b)
{
    ASSERT(!b->stopping);
    ASSERT(b->node.op.done != NULL);
    if (!b->node.saved && !b->node.busy && !b->disk_full)
        broker_node_write(b);
}

/* Everything that was written is on the disk. */
static bool broker_node_clean(const struct broker *b)
{
    ASSERT(b->stopping && b->checkpointed);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            const struct bpart *p = b->sorted[i]->parts[k];
            if (p->part != NULL && (p->part->dirty || p->part->written != p->part->durable))
                return false;
        }
    return true;
}

bool broker_node_stop(struct broker *b)
{
    struct broker_seat *n = &b->node;
    ASSERT(b->stopping && !b->dead);
    if (n->stopping || !n->saved)
        return !n->busy;
    n->stopping = true;
    n->seat.clean = broker_node_clean(b);
    if (!n->seat.clean)
        return true;
    broker_node_write(b);
    return false;
}

bool broker_node_settled(const struct broker *b)
{
    ASSERT(b->node.op.done != NULL);
    return b->node.saved;
}

bool broker_node_unclean(const struct broker *b, int64_t *told)
{
    ASSERT(told != NULL);
    *told = b->node.seat.told;
    return b->node.seat.unclean;
}

void broker_node_told(struct broker *b, int64_t broker_epoch)
{
    struct broker_seat *n = &b->node;
    ASSERT(broker_epoch >= 0);
    ASSERT(n->op.done != NULL);
    if (!n->seat.unclean || n->seat.told >= 0)
        return;
    n->seat.told = broker_epoch;
    n->again = n->busy;
    if (!n->busy && !b->stopping)
        broker_node_write(b);
}

/* The records say that it has what was counted of it. */
static bool broker_node_named(const struct broker *b)
{
    ASSERT(b->cluster != NULL);
    ASSERT(b->topic_count == b->topics.count);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            const struct bpart *p = b->sorted[i]->parts[k];
            const struct bpart_replica *r = p->replica;
            if (r != NULL && r->revision >= 0 && !bpart_syncs(p) &&
                replica_ids_has(&r->record.replicas, b->node_id) &&
                !replica_ids_has(&r->record.isr, b->node_id) &&
                !replica_ids_has(&r->record.elr, b->node_id))
                return false;
        }
    return true;
}

void broker_node_records(struct broker *b)
{
    struct broker_seat *n = &b->node;
    ASSERT(n->op.done != NULL);
    ASSERT(n->seat.unclean || n->seat.told == -1);
    if (!n->seat.unclean || n->seat.told < 0 || b->stopping || !broker_node_named(b))
        return;
    n->seat.unclean = false;
    n->seat.told = -1;
    n->again = n->busy;
    if (!n->busy)
        broker_node_write(b);
}

static void broker_node_text(const char *from, char to[SHIP_HOST_MAX])
{
    ASSERT(to != NULL);
    if (from != NULL)
        (void)snprintf(to, SHIP_HOST_MAX, "%s", from);
}

void broker_node_self(const struct broker *b, struct ship_node *out)
{
    ASSERT(out != NULL);
    ASSERT(b->node_id >= 0 && b->env.kafka_port >= 0);
    *out = (struct ship_node){
        .id = b->node_id, .incarnation = b->incarnation, .kafka_port = b->env.kafka_port};
    memcpy(out->folder, b->node.seat.folder, sizeof out->folder);
    memcpy(out->boot, b->env.boot_id, sizeof out->boot);
    broker_node_text(b->env.native, out->native);
    broker_node_text(b->env.kafka_host, out->kafka_host);
    broker_node_text(config_get(b->env.config, "broker.rack", NULL), out->rack);
}
