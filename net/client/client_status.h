/* SPDX-License-Identifier: MIT
 *
 * client_status: the one table from the protocol's status to enum kauri_error, and the messages.
 */
#pragma once

#include <stdbool.h>

#include "net/client/kauri.h"
#include "proto/kauri.pb-c.h"

#define CLIENT_MESSAGE_MAX 256

/* KAURI_OK for OK; a status this client does not know is KAURI_REFUSED. */
int client_status_error(Kauri__Status s);
/* True when the same call may succeed later. */
bool client_status_retriable(Kauri__Status s);
/* One line for people into out[CLIENT_MESSAGE_MAX]: what the broker said, or when it said nothing
 * the status in words about this topic (NULL: none) and partition (-1: none). */
void client_status_explain(Kauri__Status s, const char *said, const char *topic, int32_t partition,
                           char *out);
