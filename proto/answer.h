/* SPDX-License-Identifier: MIT
 *
 * answer: what both sides of the native protocol must read out of an answer alike.
 */
#pragma once

#include <stdbool.h>

#include "proto/kauri.pb-c.h"

/* It says NOT_LEADER, as a whole or of an item: the call is to be made at the broker that leads. A
 * promotion that says so is done. */
bool answer_is_elsewhere(const Kauri__Answer *a);
