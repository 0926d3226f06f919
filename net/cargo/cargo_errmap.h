/* SPDX-License-Identifier: MIT
 *
 * cargo_errmap: the engine's statuses in the native protocol's numbers, both ways: the one table of
 * net/nano and net/ship. Total: every broker_status has a row.
 */
#pragma once

#include "engine/broker/broker.h"
#include "proto/kauri.pb-c.h"

Kauri__Status cargo_errmap_status(enum broker_status status);
/* False when the number says nothing about the engine: one of the session, or foreign. */
bool cargo_errmap_broker(Kauri__Status status, enum broker_status *out);
