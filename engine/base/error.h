/* SPDX-License-Identifier: MIT
 *
 * error: the one error convention of kauri.
 *
 *   0          done
 *   negative   -errno: fatal for the operation, passed up unchanged
 *   positive   a condition named at that function; the direct caller handles it or folds it
 *
 * Every function that follows the convention is marked MUST_CHECK; results leave through `*out`
 * and are written only on success. A bug is never an error: it asserts (assert.h).
 */
#pragma once

#define MUST_CHECK __attribute__((warn_unused_result))

/* Text for an -errno value ("no space left on device"), lower case, static storage, never NULL.
 * Also takes positive errno values. Not for conditions: their owner names them. */
const char *error_text(int error);
