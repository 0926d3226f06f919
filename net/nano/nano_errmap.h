/* SPDX-License-Identifier: MIT
 *
 * nano_errmap: the engine's statuses in the native protocol's numbers (of cargo_errmap),
 * and the words of all of these.
 */
#pragma once

#include "engine/broker/broker.h"
#include "proto/kauri.pb-c.h"

Kauri__Status nano_errmap_status(enum broker_status status);
/* "unknown session", ... for people; static, "" for OK. Texts of the engine's statuses are the
 * engine's (broker_status_text). */
const char *nano_errmap_text(Kauri__Status status);
