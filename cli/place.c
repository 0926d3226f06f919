/* SPDX-License-Identifier: MIT
 *
 * place: see place.h.
 */
#include "cli/place.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

#define PLACE_SERVICE "/run/kauri"

/* NULL when unset, empty or no absolute path. */
static const char *place_variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] == '/' ? value : NULL;
}

static void place_end(struct buf *out)
{
    buf_append_u8(out, 0);
    out->size--;
}

static const char *place_home(void)
{
    const char *home = place_variable("HOME");
    if (home != NULL)
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user != NULL && user->pw_dir != NULL ? user->pw_dir : "";
}

void place_data(struct buf *out)
{
    const char *service = place_variable("STATE_DIRECTORY");
    const char *state = place_variable("XDG_STATE_HOME");
    if (service != NULL)
        buf_printf(out, "%.*s", (int)strcspn(service, ":"), service);
    else if (state != NULL)
        buf_printf(out, "%s/kauri", state);
    else if (getuid() == 0)
        buf_printf(out, "/var/lib/kauri");
    else
        buf_printf(out, "%s/.local/state/kauri", place_home());
    place_end(out);
}

void place_config(struct buf *out)
{
    const char *service = place_variable("CONFIGURATION_DIRECTORY");
    if (service != NULL)
        buf_printf(out, "%.*s/kauri.conf", (int)strcspn(service, ":"), service);
    else
        buf_printf(out, "/etc/kauri/kauri.conf");
    place_end(out);
}

void place_listen(const char *data, struct buf *out)
{
    const char *service = place_variable("RUNTIME_DIRECTORY");
    const char *session = place_variable("XDG_RUNTIME_DIR");
    if (service != NULL)
        buf_printf(out, "ipc://%.*s/kauri.sock", (int)strcspn(service, ":"), service);
    else if (session != NULL)
        buf_printf(out, "ipc://%s/kauri/kauri.sock", session);
    else
        buf_printf(out, "ipc://%s/kauri.sock", data);
    place_end(out);
}

void place_connect(struct buf *out)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    struct buf paths[3] = {{0}, {0}, {0}};
    const char *session = place_variable("XDG_RUNTIME_DIR");
    place_data(&data);
    if (session != NULL)
        buf_printf(&paths[0], "%s/kauri/kauri.sock", session);
    buf_printf(&paths[1], "%s/kauri.sock", PLACE_SERVICE);
    buf_printf(&paths[2], "%s/kauri.sock", (const char *)data.p);
    size_t chosen = session != NULL ? 0 : 2;
    for (size_t i = 3; i-- > 0;) {
        if (paths[i].size == 0)
            continue;
        place_end(&paths[i]);
        if (access((const char *)paths[i].p, F_OK) == 0)
            chosen = i;
    }
    buf_printf(out, "ipc://%s", (const char *)paths[chosen].p);
    place_end(out);
    for (size_t i = 0; i < 3; i++)
        buf_deinit(&paths[i]);
}
