/* SPDX-License-Identifier: MIT
 *
 * fake_log: a broker's topics in memory, simple enough to be obviously right: the model that the
 * client's promises are checked against. One array of stored batches per partition; idempotent
 * producers by the rules of KIP-98, but stricter: a producer without state must begin at 0.
 */
#pragma once

#include <stdbool.h>

#include "engine/store/batch.h"
#include "proto/kauri.pb-c.h"

#define FAKE_TOPICS_MAX     8
#define FAKE_PARTITIONS_MAX 8
#define FAKE_BATCHES_MAX    4096
#define FAKE_PRODUCERS_MAX  16
#define FAKE_REMEMBERED     5

struct fake_batch {
    uint8_t *bytes; /* owned */
    struct batch_header header;
};

struct fake_producer {
    int64_t id;
    int16_t epoch;
    int32_t next;
    int32_t first[FAKE_REMEMBERED]; /* ring of base sequences, and where they were stored */
    int32_t last[FAKE_REMEMBERED];
    int64_t offset[FAKE_REMEMBERED];
    unsigned count;
};

struct fake_partition {
    struct fake_batch batches[FAKE_BATCHES_MAX];
    size_t batch_count;
    int64_t log_start;
    int64_t end;
    struct fake_producer producers[FAKE_PRODUCERS_MAX];
    size_t producer_count;
    int64_t damaged; /* fetches at this offset meet a damaged range; -1 none */
    int64_t next_good;
    unsigned duplicates; /* batches recognised */
    unsigned gaps;       /* batches refused */
};

struct fake_topic {
    char name[64]; /* empty: no topic */
    int32_t partition_count;
    char config_key[64]; /* one config is enough */
    char config_value[64];
    struct fake_partition *partitions; /* owned, FAKE_PARTITIONS_MAX */
};

struct fake_log {
    struct fake_topic topics[FAKE_TOPICS_MAX];
};

void fake_log_deinit(struct fake_log *log);
/* NULL when there is none. */
struct fake_topic *fake_log_topic(struct fake_log *log, const char *name);
struct fake_topic *fake_log_create(struct fake_log *log, const char *name, int32_t partitions);
void fake_log_delete(struct fake_topic *t);
/* NULL and *status when topic or partition is not there. */
struct fake_partition *fake_log_partition(struct fake_log *log, const char *topic,
                                          int32_t partition, Kauri__Status *status);
/* Checks a batch and stores it: OK with *base_offset, or why not. */
Kauri__Status fake_log_append(struct fake_partition *p, struct slice batch, int64_t *base_offset);
/* Forgets all producers, as after a loss of state. */
void fake_log_forget(struct fake_partition *p);
/* The batch that contains `offset` or the first behind it; batch_count when there is none. */
size_t fake_log_find(const struct fake_partition *p, int64_t offset);
/* Calls fn for each record stored in the partition, in order; asserts that every batch reads. */
void fake_log_records(const struct fake_partition *p,
                      void (*fn)(void *ctx, const struct batch_record *r), void *ctx);
