/* SPDX-License-Identifier: MIT
 *
 * nano_errmap: see nano_errmap.h.
 */
#include "net/nano/nano_errmap.h"

#include "engine/base/assert.h"
#include "net/cargo/cargo_errmap.h"

Kauri__Status nano_errmap_status(enum broker_status status)
{
    return cargo_errmap_status(status);
}

const char *nano_errmap_text(Kauri__Status status)
{
    enum broker_status from;
    if (status == KAURI__STATUS__OK)
        return "";
    if (status == KAURI__STATUS__UNSUPPORTED_VERSION)
        return "the broker does not speak this protocol version";
    if (status == KAURI__STATUS__UNKNOWN_SESSION)
        return "unknown session: say hello";
    bool found = cargo_errmap_broker(status, &from);
    ASSERT(found);
    return broker_status_text(from);
}
