/* SPDX-License-Identifier: MIT
 *
 * assignment: --replica-assignment: for each partition, in order, the brokers that hold it, the
 * leader first: "1:2,2:1" is two partitions on brokers 1 and 2.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/kafka/fault.h"

struct assignment {
    int32_t *brokers; /* owned: `replicas` of them for each partition */
    size_t partitions;
    size_t replicas;
};

/* A fault for what is no number, for a broker named twice, for lists of different length. */
int assignment_parse(const char *text, struct assignment *out, struct fault *f) MUST_CHECK;
/* The brokers of one partition: `replicas` of them, borrowed. */
int32_t *assignment_of(const struct assignment *a, size_t partition);
void assignment_deinit(struct assignment *a);
