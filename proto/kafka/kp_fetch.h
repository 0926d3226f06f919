/* SPDX-License-Identifier: MIT
 *
 * kp_fetch: the hot path of Fetch, written by hand: a request read in place without lists, and an
 * answer whose records are sent from elsewhere. The tables (kp.h) do the same with structs; the
 * tests compare the two byte for byte.
 *
 * A request:  kp_fetch_open; while kp_fetch_next_topic, while kp_fetch_next_partition; then while
 * kp_fetch_next_forgotten. Open walks the whole body once and takes it only when all of it is
 * right, so next cannot fail.
 *
 * An answer:  kp_fetch_answer; per topic kp_fetch_put_topic, per partition kp_fetch_put_partition;
 * kp_fetch_end. What is in the buffer is the frame without records; each cut says where in it the
 * records of one partition belong:
 *
 *   buf  | size header .. partition 0 .. records size | tags .. partition 1 .. records size | tags
 *                                                     ^ cut 0                               ^ cut 1
 *   sent | buf up to cut 0 | records 0 | buf up to cut 1 | records 1 | the rest of buf
 *
 * Invariants: F1 slices lie in the body that was opened, which must stay; F2 the counts told to the
 * answer are the numbers of calls that follow (asserted); F3 the frame's size counts the records;
 * F4 records are never null.
 * Failures: the conditions of kp.h from open, and KP_TOO_LARGE from end.
 */
#pragma once

#include "proto/kafka/kp.h"

struct kp_fetch_place {
    const uint8_t *p;
    size_t left;
};

struct kp_fetch {
    int32_t replica_id;    /* -1: a consumer; from where the version has it */
    int64_t replica_epoch; /* -1: not told */
    int32_t max_wait_ms;
    int32_t min_bytes;
    int32_t max_bytes;
    int8_t isolation_level;
    int32_t session_id;
    int32_t session_epoch;
    int32_t topic_count;
    int32_t partition_count; /* of all topics */
    int32_t forgotten_count;
    struct slice rack_id;    /* empty: none */
    struct slice cluster_id; /* null: none */
    /* Private: where the walks are. */
    struct kp_fetch_place topics;
    struct kp_fetch_place forgotten;
    int16_t version;
    int32_t topics_left;
    int32_t partitions_left;
    int32_t forgotten_left;
};

struct kp_fetch_topic {
    struct slice name;       /* up to version 12, later empty */
    struct kp_uuid topic_id; /* from version 13, earlier zero */
    int32_t partition_count;
};

struct kp_fetch_forgotten {
    struct slice name;
    struct kp_uuid topic_id;
    int32_t count;
    const uint8_t *indexes; /* count times i32; read them with kp_fetch_forgotten_index */
};

/* Takes the body of a request of a known version. 0 or a condition; then *out is not touched. */
int kp_fetch_open(int16_t version, struct slice body, struct kp_fetch *out) MUST_CHECK;
/* The next topic; false at the end. Partitions not asked for are passed over. */
bool kp_fetch_next_topic(struct kp_fetch *r, struct kp_fetch_topic *out);
/* The next partition of that topic; false at its end. */
bool kp_fetch_next_partition(struct kp_fetch *r, struct kp_fetch_request_partition *out);
/* The next topic that leaves the session; independent of the other walk. */
bool kp_fetch_next_forgotten(struct kp_fetch *r, struct kp_fetch_forgotten *out);
/* i from 0 to count - 1. */
int32_t kp_fetch_forgotten_index(const struct kp_fetch_forgotten *f, int32_t i);

struct kp_fetch_writer {
    struct buf *out;     /* borrowed until end */
    size_t begin;        /* where the frame begins */
    size_t records_size; /* of all partitions so far */
    int16_t version;
    int32_t topics_left;
    int32_t partitions_left;
    bool too_large;
};

/* Begins a frame at the end of *out. Of `head` throttle time, error and session id are taken. */
void kp_fetch_answer(struct kp_fetch_writer *w, int16_t version, int32_t correlation_id,
                     const struct kp_fetch_response *head, int32_t topic_count, struct buf *out);
/* Name or id, as the version has it. */
void kp_fetch_put_topic(struct kp_fetch_writer *w, struct slice name,
                        const struct kp_uuid *topic_id, int32_t partition_count);
/* Of p->records only the size matters. Gives the cut: a position in the buffer. */
size_t kp_fetch_put_partition(struct kp_fetch_writer *w,
                              const struct kp_fetch_response_partition *p);
/* Of `head` the nodes are taken. 0, or KP_TOO_LARGE (with the records beyond 2 GiB, or a string too
 * long) with the whole frame taken away again. */
int kp_fetch_end(struct kp_fetch_writer *w, const struct kp_fetch_response *head) MUST_CHECK;
