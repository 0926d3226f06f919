/* SPDX-License-Identifier: MIT
 *
 * load: the three loads that bench_client puts on a broker, all over net/client/kauri.h.
 *
 *   load_produce  closed loop: each client keeps `window` records unacknowledged
 *   load_drain    reads partitions from their start to their end
 *   load_paced    open loop: a record leaves when the schedule says so, however late the answers
 *                 are; what a stall delays counts from the scheduled time, so that a slow broker is
 *                 not asked less (no coordinated omission)
 *
 * A client is used by one thread, as the library wants; a thread may drive several. Failures end
 * the program.
 */
#pragma once

#include "bench/bench.h"
#include "net/client/kauri.h"

#define LOAD_KEY_SIZE 24

struct load {
    const char *server;
    const char *topic;
    int64_t partitions;  /* of the topic, which is there */
    int64_t size;        /* of a value, >= 8 */
    int64_t keys;        /* that the records go through; 0: records without key */
    int64_t records;     /* at most so many in all; 0: no limit */
    int64_t duration_ms; /* at most so long; 0: no limit */
    int64_t window;      /* records of one client under way; 0: as the buffer allows */
    int64_t clients;
    int64_t threads; /* that drive them, load_produce; 0: one each */
    int64_t batch_size;
    int64_t linger_ms;
    int64_t rate; /* records a second, load_paced */
    int acks;     /* KAURI_ACKS_* */
};

struct load_result {
    int64_t records;
    double size; /* bytes of values */
    int64_t took_ns;
    struct hist latency; /* ns: send to acknowledgement, or schedule to consumer */
};

/* From the first record behind a warm-up to the last acknowledgement. */
void load_produce(const struct load *l, struct load_result *out);
void load_drain(const struct load *l, struct load_result *out);
/* Latency leaves out the first tenth of the records. */
void load_paced(const struct load *l, struct load_result *out);

/* The key of record `number`, in text the caller has: all keys once before one comes again. */
void load_key(const struct load *l, int64_t number, char text[LOAD_KEY_SIZE],
              struct kauri_record *r);
/* A client with the load's options; `delivered` may be NULL. */
struct kauri *load_open(const struct load *l,
                        void (*delivered)(void *ctx, const struct kauri_record *r, int error,
                                          const char *message),
                        void *ctx);
/* bench_die with the client's words unless `error` is 0. */
void load_check(struct kauri *k, const char *what, int error);
