/* SPDX-License-Identifier: MIT
 *
 * selftest: proves that the checker sees: a small log with one planted fault of each kind must be
 * found guilty of it, the clean ones of nothing; a value with any byte changed is nobody's; a
 * history that was cut off is refused.
 */
#pragma once

/* Prints a line per case. 0, or 1 when a fault went unseen or a clean log was accused. */
int selftest_run(void);
