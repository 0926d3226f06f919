/* SPDX-License-Identifier: MIT
 *
 * client_consume: assigned partitions, fetch calls over all that need data, records handed out one
 * by one.
 *
 *   offset   position                    fetch_offset        high_watermark
 *     |---------|-----[chunk][chunk][chunk]---|-------------------|
 *     handed out      fetched ahead           asked for next
 *
 * Two kinds of fetch: one call at a time asks, without waiting, for the partitions that have data
 * or may have; those that had none (idle) are polled by calls that wait at the broker. So an idle
 * partition never holds up a busy one. Each partition is in one call at most; long polls that began
 * at different times stay apart until they end, then their partitions come together again.
 *
 * A chunk is a run of whole batches in a pinned message; CRCs are checked when it arrives, records
 * are read (and inflated) when they are handed out.
 *
 * Invariants: C1 position <= fetch_offset once resolved; C2 with no chunk left both are equal; C3
 * held is the bytes of the chunks, in all without those of paused partitions, which may wait for
 * long; C4 no pointer to an assignment outlives it: every change of the assignments gives up the
 * calls under way.
 * Failures stay with their partition: error is told once, behind the records before it, and nothing
 * is fetched there until kauri_seek.
 */
#pragma once

#include "engine/base/list.h"
#include "engine/store/batch.h"
#include "net/client/client_status.h"
#include "net/client/client_wire.h"

#define CLIENT_FETCH_ITEMS_MAX  1024
#define CLIENT_INFLATE_MAX      (256u * 1024 * 1024)
#define CLIENT_FETCH_CALLS      8 /* the first asks at once, the others are long polls */

#define CLIENT_OFFSET_COMMITTED (-3) /* where the group is; beside KAURI_OFFSET_START and _END */

struct client_chunk {
    struct list link;
    struct client_message *message; /* pinned */
    struct slice bytes;             /* not handed out yet */
    size_t size;                    /* counted in held */
};

struct client_assignment {
    struct list link;
    char *topic; /* owned */
    int32_t partition;
    bool paused;
    bool grouped;         /* the group's, see client_group.h */
    bool revoked;         /* on its way out: not fetched, not handed out */
    int64_t committed;    /* the last offset known to be; -1 */
    bool asked;           /* in a fetch under way */
    bool idle;            /* had nothing more when asked last */
    int64_t position;     /* START, END or COMMITTED until resolved */
    int64_t fetch_offset; /* likewise */
    int64_t high_watermark;
    struct list chunks;
    size_t held;
    bool reading; /* iter stands in a batch of the first chunk */
    struct batch_iter iter;
    struct buf scratch;
    bool end_told;
    int error; /* 0 none */
    bool error_told;
    int64_t error_offset;
    int64_t next_good;
    char message[CLIENT_MESSAGE_MAX];
    int64_t due_ms; /* asked again not before */
    uint32_t refusals;
};

/* A call over several assignments, in the order of its items. */
struct client_ask_many {
    struct client_call *call; /* NULL: none in flight */
    struct client_assignment *items[CLIENT_FETCH_ITEMS_MAX];
    size_t count;
};

struct client_consume {
    struct list assignments; /* the next to be read first */
    size_t count;
    size_t held;
    struct client_ask_many fetches[CLIENT_FETCH_CALLS];
    struct client_ask_many resolve; /* START and END */
    struct client_ask_many start;   /* COMMITTED */
    struct client_assignment *hand; /* of the record handed out last, until the next is asked for */
    int64_t hand_offset;
    int64_t next_good;
    bool turn_due;      /* room was made: fetch */
    struct buf headers; /* struct kauri_header of the record handed out */
};

void client_consume_init(struct client_consume *c);
void client_consume_deinit(struct kauri *k);
/* Asks for what is needed. */
void client_consume_turn(struct kauri *k, int64_t now_ms);
/* Gives up the calls in flight: what is assigned is about to change. */
void client_consume_interrupt(struct client_consume *c);

struct client_assignment *client_consume_find(struct kauri *k, const char *topic,
                                              int32_t partition);
/* Adds one that is not there yet. */
struct client_assignment *client_consume_add(struct kauri *k, const char *topic, int32_t partition,
                                             int64_t offset);
void client_consume_remove(struct kauri *k, struct client_assignment *a);
/* Begins anew at `offset`. */
void client_consume_place(struct kauri *k, struct client_assignment *a, int64_t offset);
/* The offset behind all that was handled; negative while it is not known. */
int64_t client_consume_handled(const struct kauri *k, const struct client_assignment *a);

/* For calls over many partitions: may it be asked now? What becomes of one that was refused, and of
 * the call. */
bool client_consume_due(struct kauri *k, const struct client_assignment *a, int64_t now_ms);
void client_consume_refused(struct kauri *k, struct client_assignment *a, Kauri__Status status,
                            const char *said);
void client_consume_give_up(struct client_ask_many *many);

/* --- client_read.c: from chunks to records --- */

/* Takes the bytes a fetch brought: checks them, queues the good ones, notes the fault. */
void client_read_take(struct kauri *k, struct client_assignment *a, struct slice bytes,
                      struct client_message *m);
/* The next record of any assignment: 0, KAURI_AGAIN, KAURI_END or a partition's error. */
int client_read_next(struct kauri *k, struct kauri_record *r);
/* Drops what was fetched. */
void client_read_drop(struct kauri *k, struct client_assignment *a);
/* Notes what is wrong with a partition; it is told once the records before were read. */
void client_read_fail(struct client_assignment *a, int error, int64_t offset, const char *message);
