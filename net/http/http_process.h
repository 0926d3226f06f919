/* SPDX-License-Identifier: MIT
 *
 * http_process: what the system says of this process. What it does not say is 0.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct http_process {
    uint64_t resident_size;
    uint64_t anonymous_size;
    size_t descriptors;
    size_t descriptors_max;
    int64_t cpu_us;
};

/* A few system calls; does not wait. */
void http_process(struct http_process *out);
