/* SPDX-License-Identifier: MIT
 *
 * report: what `kauri serve` says of itself: the lines at the start, which list only what is there,
 * the line at the stop, the state on SIGUSR1. Pure text, made of plain figures.
 */
#pragma once

#include "engine/base/bytes.h"

struct report {
    const char *version;
    const char *data; /* folder */
    const char *home; /* written as ~; NULL: not at all */
    const char *file_system;
    bool fresh;
    size_t topics;
    size_t partitions;
    uint64_t free_size;
    const char *const *natives; /* URLs */
    size_t native_count;
    const char *const *kafkas;
    const char *const *advertised; /* NULL entries: as each client dialled */
    size_t kafka_count;
    const char *http;         /* URL; NULL: off */
    const char *const *seeds; /* native URLs of the cluster that is joined */
    size_t seed_count;
    int32_t broker_id;
    size_t member_count;  /* brokers of the cluster that are known, itself included */
    const char *role;     /* broker_cluster_info's; NULL or "alone": there is no cluster */
    bool clients_find_it; /* without -s */
    bool durability_os;
    int64_t flush_ms;
    int64_t ready_ms;
};

/* Appends the lines printed at the start. */
void report_start(const struct report *r, struct buf *out);
/* "stopping: 3 sessions drained, 214 partitions flushed, 62 ms" and a newline. */
void report_stop(size_t sessions, size_t partitions, int64_t ms, struct buf *out);

struct report_state {
    int64_t up_ms;
    size_t topics;
    size_t partitions;
    size_t sessions;
    size_t running;
    uint64_t received;
    uint64_t refused;
    uint64_t free_size;
    bool disk_full;
    uint64_t jobs;
};
/* One line without newline. */
void report_state(const struct report_state *s, struct buf *out);

/* "ext4", ... of the file system that holds `path`; "unknown" when it cannot be asked. */
const char *report_file_system(const char *path);
