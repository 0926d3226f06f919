/* SPDX-License-Identifier: MIT
 *
 * record_pass: one record of engine/broker/group_record.h, of any kind, read and written again.
 * Shared by the unit test and the fuzz target.
 */
#pragma once

#include "engine/broker/group_record.h"

/* Decodes a value of this kind and, on 0, appends what encode makes of it. The answer is decode's;
 * a kind whose value is not read answers UNKNOWN. */
int record_pass_value(enum group_record_kind kind, struct slice in, struct arena *arena,
                      struct buf *out);
/* The same with a key. */
int record_pass_key(struct slice in, struct buf *out);
