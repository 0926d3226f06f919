/* SPDX-License-Identifier: MIT
 *
 * lag: see lag.h.
 */
#include "cli/lag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"

const char *lag_status_text(enum lag_status s)
{
    switch (s) {
    case LAG_OK:
        return "OK";
    case LAG_STUCK:
        return "STUCK";
    case LAG_NOT_CONSUMED:
        return "NOT CONSUMED";
    case LAG_UNKNOWN:
        return "-";
    }
    return "-";
}

const char *lag_age(char text[OUT_TEXT_MAX], int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}};
    if (ms < 0)
        return out_count(text, -1);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        /* From two of a unit on: 90 s says more than 1 min. */
        if (ms < 2 * units[i].ms && units[i].ms > 1000)
            continue;
        (void)snprintf(text, OUT_TEXT_MAX, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
        break;
    }
    return text;
}

void lag_key(struct lag_row *row, struct slice key)
{
    size_t size = key.size < LAG_KEY_MAX - 1 ? key.size : LAG_KEY_MAX - 1;
    row->has_key = key.p != NULL;
    row->key[0] = '\0';
    for (size_t i = 0; i < size; i++)
        if (key.p[i] < ' ' || key.p[i] > '~')
            return;
    if (size > 0)
        memcpy(row->key, key.p, size);
    row->key[size] = '\0';
}

/* ---- judging --------------------------------------------------------------------------------- */

static int64_t lag_since(int64_t now_ms, int64_t then_ms)
{
    return then_ms < 0 || then_ms > now_ms ? 0 : now_ms - then_ms;
}

/* All but the status. */
static void lag_figures(struct lag_row *r, int64_t now_ms)
{
    bool known = r->committed >= 0 && r->end >= 0;
    r->lag = !known ? -1 : r->end > r->committed ? r->end - r->committed : 0;
    r->behind_ms = r->lag == 0             ? 0
                   : r->lag > 0 && r->read ? lag_since(now_ms, r->timestamp_ms)
                                           : -1;
    r->stands_ms = 0;
    r->lost_ms = -1;
    if (r->lag <= 0)
        return;
    /* An offset whose last move nobody remembers has stood since before its record came. */
    int64_t stood_ms = r->moved_ms >= 0 ? lag_since(now_ms, r->moved_ms) : INT64_MAX;
    if (r->behind_ms >= 0)
        r->stands_ms = stood_ms < r->behind_ms ? stood_ms : r->behind_ms;
    if (r->committed < r->log_start)
        r->lost_ms = 0;
    else if (r->retention_ms >= 0 && r->behind_ms >= 0)
        r->lost_ms = r->retention_ms > r->behind_ms ? r->retention_ms - r->behind_ms : 0;
}

/* Whether a commit of the group moved within the time. */
static bool lag_moves(const struct lag_row *rows, size_t count, int64_t now_ms, int64_t stuck_ms)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].moved_ms >= 0 && lag_since(now_ms, rows[i].moved_ms) < stuck_ms)
            return true;
    return false;
}

void lag_judge(struct lag_row *rows, size_t count, int64_t now_ms, int64_t stuck_ms,
               struct lag_sum *sum)
{
    bool moves = lag_moves(rows, count, now_ms, stuck_ms);
    *sum = (struct lag_sum){.lag = -1};
    for (size_t i = 0; i < count; i++) {
        struct lag_row *r = &rows[i];
        lag_figures(r, now_ms);
        bool stands = r->lag > 0 && r->stands_ms >= stuck_ms;
        r->status = r->lag < 0 ? LAG_UNKNOWN
                    : !stands  ? LAG_OK
                    : moves    ? LAG_STUCK
                               : LAG_NOT_CONSUMED;
        sum->stuck += r->status == LAG_STUCK;
        sum->not_consumed += r->status == LAG_NOT_CONSUMED;
        if (r->lag >= 0)
            sum->lag = (sum->lag < 0 ? 0 : sum->lag) + r->lag;
        if (r->behind_ms > sum->oldest_ms)
            sum->oldest_ms = r->behind_ms;
    }
}

/* ---- advice ---------------------------------------------------------------------------------- */

/* A partition that moves, to name beside one that does not; the one that moved last. */
static const struct lag_row *lag_moving(const struct lag_row *rows, size_t count)
{
    const struct lag_row *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (rows[i].status == LAG_OK && (best == NULL || rows[i].moved_ms > best->moved_ms))
            best = &rows[i];
    return best;
}

static void lag_record(const struct lag_row *r, struct buf *out)
{
    char size[OUT_TEXT_MAX];
    buf_printf(out, "record %" PRId64, r->offset);
    if (!r->read)
        return;
    buf_printf(out, " (");
    if (r->key[0] != '\0')
        buf_printf(out, "key \"%s\", ", r->key);
    else
        buf_printf(out, "%s key, ", r->has_key ? "binary" : "no");
    buf_printf(out, "%s)", out_size(size, r->size));
}

/* How to call the member: by its client's name, unless another member has the same. */
static const char *lag_who(const struct lag_row *rows, size_t count, const struct lag_row *r)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].client, r->client) == 0 && strcmp(rows[i].member, r->member) != 0)
            return r->member;
    return r->client[0] != '\0' ? r->client : r->member;
}

static void lag_advise_stuck(const struct lag_row *rows, size_t count, struct buf *out)
{
    const struct lag_row *moving = lag_moving(rows, count);
    char age[OUT_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct lag_row *r = &rows[i];
        if (r->status != LAG_STUCK)
            continue;
        buf_printf(out, "%s-%d has not moved for %s", r->topic, r->partition,
                   lag_age(age, r->stands_ms));
        if (moving != NULL)
            buf_printf(out, " while %s-%d does", moving->topic, moving->partition);
        buf_printf(out, ": ");
        lag_record(r, out);
        if (r->member[0] == '\0')
            buf_printf(out, " is next, and no member has the partition\n");
        else
            buf_printf(out, " is probably failing in %s\n", lag_who(rows, count, r));
    }
}

static void lag_advise_lost(const struct lag_row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].lag > 0 && rows[i].committed < rows[i].log_start)
            buf_printf(out,
                       "retention has taken %" PRId64
                       " unread records of %s-%d: it now starts at %" PRId64 "\n",
                       rows[i].log_start - rows[i].committed, rows[i].topic, rows[i].partition,
                       rows[i].log_start);
}

/* Every partition is late by more than stuck_ms, though the group moves. */
static bool lag_all(const struct lag_row *rows, size_t count, int64_t stuck_ms)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].status != LAG_OK || rows[i].lag <= 0 || rows[i].behind_ms < stuck_ms)
            return false;
    return count > 0;
}

void lag_advice(const struct lag_row *rows, size_t count, size_t members, int64_t stuck_ms,
                struct buf *out)
{
    size_t idle = 0;
    lag_advise_stuck(rows, count, out);
    lag_advise_lost(rows, count, out);
    for (size_t i = 0; i < count; i++)
        idle += rows[i].status == LAG_NOT_CONSUMED;
    if (idle > 0 && members == 0)
        buf_printf(out, "nobody reads: the group has no members\n");
    else if (idle > 0)
        buf_printf(out,
                   "no partition moves, and %zu member%s: look for what holds all of them up\n",
                   members, members == 1 ? " is there" : "s are there");
    if (!lag_all(rows, count, stuck_ms) || members == 0)
        return;
    if (members < count)
        buf_printf(out, "every partition lags: add instances (%zu now, for %zu partitions)\n",
                   members, count);
    else
        buf_printf(out,
                   "every partition lags, and every one has a member of its own: add partitions, "
                   "then instances\n");
}
