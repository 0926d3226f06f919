/* SPDX-License-Identifier: MIT
 *
 * fake_groups: stands in for the groups of a broker that is real in everything else: the linker
 * gives the front's calls of broker_group.h to it (-Wl,--wrap). It keeps no groups: a test says
 * what a request is answered with and what is there to look at.
 *
 *   fake_groups_use(&f) -> kclient_ask -> f.see(req) when it arrives, f.answer(req) a turn later
 *
 * What it hands out is overwritten as soon as the contract allows: results when `done` has
 * returned, what was looked at with the next call. So a front that keeps a pointer is found out.
 */
#pragma once

#include "engine/broker/broker_group.h"

struct fake_group {
    struct broker_group_info info;
    const struct broker_group_member *members; /* info.member_count */
    const struct broker_group_offset *offsets; /* info.offset_count */
};

struct fake_groups {
    enum broker_status ready;
    enum broker_status status;                /* of every request, unless `answer` says another */
    void (*answer)(struct broker_group *req); /* fills the results of one; NULL: nothing */
    void (*see)(const struct broker_group *req);
    const struct fake_group *groups;
    size_t group_count;
    bool hold; /* nothing is answered */
    size_t seen;
};

/* From now on; borrowed. */
void fake_groups_use(struct fake_groups *f);
/* For results: a copy until they are over. */
struct slice fake_groups_lend(const char *text);
void *fake_groups_lend_copy(const void *p, size_t size);
