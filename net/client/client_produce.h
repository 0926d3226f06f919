/* SPDX-License-Identifier: MIT
 *
 * client_produce: batches from kauri_send to the delivery report.
 *
 *   partition.queue, oldest first:
 *
 *   [FLIGHT][FLIGHT][READY]...[FULL][OPEN]
 *    sent    sent    to be     not    takes
 *                    repeated  encoded records
 *
 * A batch is encoded, and gets its sequence numbers, when it is sent for the first time; from then
 * on its bytes stay the same, but for a renumbering (below). Several partitions' batches share one
 * call.
 *
 * The life of a batch, and who moves it:
 *   OPEN -> FULL      client_send_room: batch_size reached
 *   OPEN, FULL -> READY -> FLIGHT   client_produce_next (encodes), client_produce_take
 *   FLIGHT -> READY   client_produce_settle: refused for now, or a gap before it
 *   any -> REPORT     client_produce_finish: acknowledged, refused or too old
 *
 * Invariants: P1 a batch is sent only when all before it in its partition are in flight, so nothing
 * is reordered; P2 the batches of a partition from the oldest one without an answer to the newest
 * one sent are at most in_flight_max, answered ones among them: so many of a producer the broker
 * knows again, so the oldest can always be repeated; P3 the sequences of encoded batches in a queue
 * follow each other; P4 used and outstanding cover every record accepted and not yet reported.
 *
 * Gaps: when a batch is refused for now, those in flight behind it may be refused with
 * SEQUENCE_GAP. They go back and leave again one by one as head of the queue. A gap at the head
 * itself means that the broker lost the producer's state.
 * Renumbering: a batch that finally fails, or a gap at the head, leaves a hole. When nothing of the
 * partition is in flight any more the next epoch begins at sequence 0 with the batches left; by
 * then each of them has been refused, so none can be stored twice.
 */
#pragma once

#include "engine/base/list.h"
#include "engine/base/map.h"
#include "engine/store/batch.h"
#include "net/client/client_status.h"
#include "net/client/client_wire.h"

#define CLIENT_CALL_SIZE_MAX  (1024u * 1024) /* batches of one call, unless it is only one */
#define CLIENT_CALL_ITEMS_MAX 256
#define CLIENT_RECORD_COST    64 /* bytes counted for each record beside its contents */

struct client_topic {
    char *name; /* owned; key of the map */
    int32_t partition_count;
    int32_t part_cap;
    struct client_part **parts; /* owned, part_cap of them, NULL until used */
    int32_t next;               /* round robin */
    bool stale;                 /* ask again before the next use */
};

/* One partition as the producer sees it. */
struct client_part {
    struct list active; /* in client_produce.active while the queue is not empty */
    struct client_topic *topic;
    int32_t index;
    struct list queue;
    uint32_t in_flight;
    uint64_t encoded;    /* batches so far */
    int64_t producer_id; /* -1: take the client's at the next sending */
    int16_t epoch;
    int32_t sequence; /* of the next record to be encoded */
    bool renumber;
};

enum client_batch_state {
    CLIENT_BATCH_OPEN,
    CLIENT_BATCH_FULL,
    CLIENT_BATCH_READY,
    CLIENT_BATCH_FLIGHT,
    CLIENT_BATCH_REPORT,
};

struct client_batch {
    struct list link; /* partition queue, then reports */
    struct client_part *part;
    enum client_batch_state state;
    struct batch_build build;
    struct buf bytes;   /* encoded, empty before */
    struct buf opaques; /* one pointer per record */
    struct buf charges; /* one size_t per record */
    int32_t count;
    uint64_t number; /* among the encoded ones of its partition */
    int64_t created_ms;
    int64_t due_ms; /* not before */
    uint32_t refusals;
    Kauri__Status refused; /* why it was put back last */
    bool sent;             /* some call with it left, or may have */
    bool head;             /* it was first in its queue when sent last */
    bool alone;            /* send again only as head */
    struct client_call *call;
    int error; /* REPORT */
    int64_t base_offset;
    char message[CLIENT_MESSAGE_MAX];
};

struct client_produce {
    struct list active;  /* partitions with batches */
    struct list reports; /* batches done, callbacks due */
    size_t used;         /* of buffer_size */
    size_t outstanding;  /* records */
    int64_t producer_id; /* -1: none yet */
    int16_t epoch;
    struct client_call *init_call; /* owned while asked for */
    int64_t init_due_ms;
    uint32_t init_refusals;
    uint32_t flushing; /* > 0: linger is over for everybody */
    bool full;         /* a record found no room: likewise */
};

/* --- client_batch.c: one batch --- */

struct client_batch *client_batch_new(struct client_part *part, int64_t now_ms);
struct client_batch *client_batch_free(struct client_batch *b);
/* Copies a record in, at its timestamp; charge: what it takes of buffer_size. */
void client_batch_add(struct client_batch *b, const struct kauri_record *r, int64_t timestamp_ms,
                      size_t charge);
/* Encodes with the partition's producer id, epoch and next sequence, and moves that on. */
void client_batch_encode(struct client_batch *b, enum codec codec);
/* Gives an encoded batch the partition's producer id, epoch and next sequence instead. */
void client_batch_renumber(struct client_batch *b);
int32_t client_sequence_add(int32_t sequence, int32_t count);

/* --- client_produce.c: calls, answers, life of the queues --- */

void client_produce_init(struct client_produce *p);
/* Frees the batches of a partition, and the partition. */
struct client_part *client_part_free(struct client_part *part);
void client_produce_deinit(struct kauri *k);
/* Expires, closes, sends. */
void client_produce_turn(struct kauri *k, int64_t now_ms);
/* Runs the callbacks due; returns the records reported. */
int client_produce_report(struct kauri *k);

/* --- client_settle.c: what becomes of a batch --- */

/* The broker's word on a batch in flight. */
void client_produce_settle(struct kauri *k, struct client_batch *b, const Kauri__ProduceResult *r);
/* The end of a batch: out of its queue, into the reports. message may be NULL. */
void client_produce_finish(struct kauri *k, struct client_batch *b, int error, const char *message);
/* Fails the batches of a partition that are older than the delivery timeout. */
void client_produce_expire(struct kauri *k, struct client_part *part, int64_t now_ms);
/* Takes a batch's call back: all its batches are READY again. */
void client_produce_recall(struct client_call *call);

/* The batches of one produce call, its owner. */
struct client_produce_call {
    size_t count;
    size_t size;
    struct client_batch *batches[CLIENT_CALL_ITEMS_MAX];
};
