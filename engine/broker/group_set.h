/* SPDX-License-Identifier: MIT
 *
 * group_set: sets of partitions, as the members of a consumer group have, want and give up: arrays
 * in order. It must not know groups.
 *
 * A topic is one struct however many sets name it (group_topic), found by its id: a topic that was
 * made anew under an old name is another one. Sets borrow topics: they live as long as a set may
 * name them (groups.h).
 *
 * Invariants (group_set_check): S1 strictly rising by (topic name, topic id, partition); S2 no
 * partition is negative.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

struct group_topic {
    char *name; /* owned */
    uint8_t id[16];
    int32_t partitions;
    bool gone;      /* deleted: nobody may have its partitions any more */
    uint32_t index; /* scratch of one computation of a target */
};

struct group_tp {
    struct group_topic *topic; /* borrowed */
    int32_t partition;
};

/* Zeroed is empty. */
struct group_set {
    struct group_tp *v; /* owned */
    size_t count;
    size_t cap;
};

int group_tp_compare(struct group_tp a, struct group_tp b);
bool group_set_has(const struct group_set *s, struct group_tp tp);
bool group_set_equal(const struct group_set *a, const struct group_set *b);
/* True when every member of a is one of b. */
bool group_set_within(const struct group_set *a, const struct group_set *b);
/* True when they share one. */
bool group_set_meets(const struct group_set *a, const struct group_set *b);
/* Adds one; nothing happens when it is there. O(n). */
void group_set_add(struct group_set *s, struct group_tp tp);
/* Sorts and takes out repeats, after items were put in by hand through group_set_push. */
void group_set_push(struct group_set *s, struct group_tp tp);
void group_set_settle(struct group_set *s);
/* *out is replaced: a without b, what both have, what one has. out may not be a or b. */
void group_set_minus(const struct group_set *a, const struct group_set *b, struct group_set *out);
void group_set_both(const struct group_set *a, const struct group_set *b, struct group_set *out);
void group_set_either(const struct group_set *a, const struct group_set *b, struct group_set *out);
/* *to becomes *from; *from is empty afterwards. */
void group_set_move(struct group_set *to, struct group_set *from);
void group_set_copy(struct group_set *to, const struct group_set *from);
void group_set_clear(struct group_set *s);
void group_set_deinit(struct group_set *s);
void group_set_check(const struct group_set *s);
