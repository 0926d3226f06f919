/* SPDX-License-Identifier: MIT
 *
 * kp_types: the types that the generated structs (kp_gen.h) are made of.
 *
 *   wire                   C
 *   bool i8 .. i64         bool int8_t .. int64_t
 *   f64                    double
 *   string, bytes          struct slice; p NULL is null. Where null is not allowed it means empty
 *   uuid                   struct kp_uuid
 *   [x]                    {const x *v; int32_t count}; count -1 is null, or empty where null is
 *                          not allowed
 *   struct                 the struct itself; a pointer, NULL for null, where null is allowed
 *
 * Every list has the same layout, that of struct kp_list: the interpreter relies on it.
 *
 * A struct that is to be sent starts as its _INIT of kp_gen.h (or kp_init of kp.h), so that what
 * the sender leaves alone is right in every version.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

struct kp_uuid {
    uint8_t b[16];
};

struct kp_list {
    const void *v; /* borrowed: the arena of the decoder, or memory of the sender */
    int32_t count;
};

struct kp_bools {
    const bool *v;
    int32_t count;
};

struct kp_i8s {
    const int8_t *v;
    int32_t count;
};

struct kp_i16s {
    const int16_t *v;
    int32_t count;
};

struct kp_u16s {
    const uint16_t *v;
    int32_t count;
};

struct kp_i32s {
    const int32_t *v;
    int32_t count;
};

struct kp_i64s {
    const int64_t *v;
    int32_t count;
};

struct kp_f64s {
    const double *v;
    int32_t count;
};

struct kp_uuids {
    const struct kp_uuid *v;
    int32_t count;
};

struct kp_slices {
    const struct slice *v;
    int32_t count;
};

_Static_assert(sizeof(struct kp_i32s) == sizeof(struct kp_list) &&
                   offsetof(struct kp_i32s, count) == offsetof(struct kp_list, count),
               "lists share one layout");
