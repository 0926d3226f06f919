/* SPDX-License-Identifier: MIT
 *
 * nano_errmap: the engine's statuses in the native protocol's numbers: the one table of this front.
 * Total: every broker_status has a row, every Kauri__Status a text.
 */
#pragma once

#include "engine/broker/broker.h"
#include "proto/kauri.pb-c.h"

Kauri__Status nano_errmap_status(enum broker_status status);
/* "unknown session", ... for people; static, "" for OK. Texts of the engine's statuses are the
 * engine's (broker_status_text). */
const char *nano_errmap_text(Kauri__Status status);
