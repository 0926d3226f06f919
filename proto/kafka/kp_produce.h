/* SPDX-License-Identifier: MIT
 *
 * kp_produce: the hot path of Produce, written by hand: a request read in place without lists, and
 * an answer written straight into a buffer. The tables (kp.h) do the same with structs; the tests
 * compare the two byte for byte.
 *
 * A request:  kp_produce_open; while kp_produce_next_topic, while kp_produce_next_partition.
 * Open walks the whole body once (sizes only, records are stepped over) and takes it only when all
 * of it is right: nothing of a request that ends badly is ever appended, and next cannot fail. A
 * copy made behind open begins again at the first topic.
 *
 * An answer:  kp_produce_answer; per topic kp_produce_put_topic, per partition
 * kp_produce_put_partition; kp_produce_end. Counts are told first, so nothing is moved.
 *
 * Invariants: R1 slices lie in the body that was opened, which must stay; R2 the counts told to the
 * answer are the numbers of calls that follow (asserted).
 * Failures: the conditions of kp.h from open, and KP_TOO_LARGE from end.
 */
#pragma once

#include "proto/kafka/kp.h"

struct kp_produce {
    struct slice transactional_id; /* null: none */
    int16_t acks;
    int32_t timeout_ms;
    int32_t topic_count;
    int32_t partition_count; /* of all topics */
    /* Private: where the walk is. */
    const uint8_t *p;
    size_t left;
    int16_t version;
    bool flexible;
    int32_t topics_left;
    int32_t partitions_left;
};

struct kp_produce_topic {
    struct slice name;
    int32_t partition_count;
};

struct kp_produce_partition {
    int32_t index;
    struct slice records; /* null and empty are what the sender made them */
};

/* Takes the body of a request of a known version. 0 or a condition; then *out is not touched. */
int kp_produce_open(int16_t version, struct slice body, struct kp_produce *out) MUST_CHECK;
/* The next topic; false at the end. Partitions not asked for are passed over. */
bool kp_produce_next_topic(struct kp_produce *r, struct kp_produce_topic *out);
/* The next partition of that topic; false at its end. */
bool kp_produce_next_partition(struct kp_produce *r, struct kp_produce_partition *out);

struct kp_produce_writer {
    struct buf *out; /* borrowed until end */
    size_t begin;    /* where the frame begins */
    int16_t version;
    bool flexible;
    bool too_large;
    int32_t topics_left;
    int32_t partitions_left;
};

/* Begins a frame at the end of *out. */
void kp_produce_answer(struct kp_produce_writer *w, int16_t version, int32_t correlation_id,
                       int32_t topic_count, struct buf *out);
void kp_produce_put_topic(struct kp_produce_writer *w, struct slice name, int32_t partition_count);
void kp_produce_put_partition(struct kp_produce_writer *w,
                              const struct kp_produce_response_partition *p);
/* Writes what stands behind the topics (throttle time, and nodes where the version has them; the
 * topics of `rest` are not looked at) and the frame's size. 0, or KP_TOO_LARGE with the whole frame
 * taken away again. */
int kp_produce_end(struct kp_produce_writer *w, const struct kp_produce_response *rest) MUST_CHECK;
