/* SPDX-License-Identifier: MIT
 *
 * client_route: see client_route.h.
 */
#include "net/client/client_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/answer.h"

int client_route_init(struct client_route *r, const char *server)
{
    *r = (struct client_route){.list = strdup(server)};
    ASSERT(r->list != NULL);
    for (char *p = r->list; *p != '\0';) {
        size_t blank = strspn(p, ", ");
        p += blank;
        size_t size = strcspn(p, ", ");
        if (size == 0)
            break;
        if (r->count == CLIENT_ROUTE_URLS_MAX || size >= CLIENT_ROUTE_URL_MAX)
            return KAURI_BAD_ARGUMENT;
        r->urls[r->count++] = p;
        p += size;
        if (*p != '\0')
            *p++ = '\0';
    }
    return r->count > 0 ? 0 : KAURI_BAD_ARGUMENT;
}

void client_route_deinit(struct client_route *r)
{
    free(r->list);
    r->list = NULL;
    r->count = 0;
}

const char *client_route_url(const struct client_route *r)
{
    ASSERT(r->at < r->count);
    return r->led ? r->leader : r->urls[r->at];
}

void client_route_heard(struct kauri *k, const Kauri__Answer *a)
{
    struct client_route *r = &k->route;
    if (!answer_is_elsewhere(a)) {
        bool good = a->status == KAURI__STATUS__OK &&
                    a->answer_case != KAURI__ANSWER__ANSWER_HELLO &&
                    a->answer_case != KAURI__ANSWER__ANSWER__NOT_SET;
        r->moves = good ? 0 : r->moves;
        return;
    }
    r->elsewhere = true;
    if (strlen(a->leader) < sizeof r->told)
        (void)snprintf(r->told, sizeof r->told, "%s", a->leader);
}

/* The next address of the list; after a leader that was told, the one that told it. */
static bool client_route_next(struct client_route *r)
{
    if (!r->led && r->count == 1)
        return false;
    if (!r->led)
        r->at = (r->at + 1) % r->count;
    r->led = false;
    return true;
}

/* Where NOT_LEADER leads to; false: it stays. */
static bool client_route_lead(struct client_route *r)
{
    if (r->told[0] == '\0')
        return client_route_next(r);
    if (strcmp(r->told, client_route_url(r)) == 0)
        return false;
    memcpy(r->leader, r->told, sizeof r->leader);
    r->led = true;
    return true;
}

static bool client_route_lost(struct kauri *k, int64_t now_ms)
{
    struct client_wire *w = &k->wire;
    if (w->state == CLIENT_SESSION_ALIVE && !w->blocked && w->resync_count == 0)
        return false;
    client_wake(k, now_ms + CLIENT_ROUTE_LOOK_MS); /* a refused connection wakes nobody */
    return client_wire_silent(w, now_ms) || client_wire_unreachable(w);
}

void client_route_turn(struct kauri *k, int64_t now_ms)
{
    struct client_route *r = &k->route;
    bool lost = !r->elsewhere && (r->led || r->count > 1) && client_route_lost(k, now_ms);
    if (!lost && !r->elsewhere)
        return;
    int64_t due = r->moved_ms + (r->moves == 0 ? 0 : client_backoff_ms(r->moves));
    if (now_ms < due) {
        r->elsewhere = r->elsewhere || lost; /* an attempt that failed is told once */
        client_wake(k, due);
        return;
    }
    bool moves = lost ? client_route_next(r) : client_route_lead(r);
    r->elsewhere = false;
    r->told[0] = '\0';
    if (!moves)
        return;
    r->moves++;
    r->moved_ms = now_ms;
    client_wake(k, now_ms);
    if (client_wire_move(&k->wire, client_route_url(r), now_ms) != 0)
        r->elsewhere = true; /* not an address, or no descriptors: the next one, after a pause */
}
