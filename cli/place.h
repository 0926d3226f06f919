/* SPDX-License-Identifier: MIT
 *
 * place: where data and socket lie when nobody says, one rule for serve and the clients.
 *
 *   data    $STATE_DIRECTORY (systemd), $XDG_STATE_HOME/kauri, else ~/.local/state/kauri; root:
 *           /var/lib/kauri
 *   socket  1 $RUNTIME_DIRECTORY/kauri.sock (systemd sets it, for the service only)
 *           2 $XDG_RUNTIME_DIR/kauri/kauri.sock
 *           3 the data folder's kauri.sock
 *
 * A client looks at 2, /run/kauri and 3 and takes the first that is there, else the first it may
 * have: the error then names where serve would listen.
 */
#pragma once

#include "engine/base/bytes.h"

/* Appends the path and a NUL that is not counted. */
void place_data(struct buf *out);
/* Appends the settings that `serve` reads when none are named: kauri.conf in
 * $CONFIGURATION_DIRECTORY (systemd), else in /etc/kauri. */
void place_config(struct buf *out);
/* Appends the URL where `serve` listens, with a NUL that is not counted. */
void place_listen(const char *data, struct buf *out);
/* Appends the URL where a client finds the broker, with a NUL that is not counted. */
void place_connect(struct buf *out);
