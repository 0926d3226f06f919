/* SPDX-License-Identifier: MIT
 *
 * client_group: subscribing, leaving, timers. See client_group.h.
 */
#include "net/client/client_group.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "net/client/client_priv.h"

#define CLIENT_GROUP_SESSION_MS   45000
#define CLIENT_GROUP_REBALANCE_MS 300000
#define CLIENT_GROUP_COMMIT_MS    5000

/* --- states --- */

void client_group_move(struct client_group *g, enum client_group_state to)
{
    static const bool allowed[CLIENT_GROUP_STATE_COUNT][CLIENT_GROUP_STATE_COUNT] = {
        [CLIENT_GROUP_NONE] = {[CLIENT_GROUP_JOINING] = true},
        [CLIENT_GROUP_JOINING] = {[CLIENT_GROUP_JOINING] = true,
                                  [CLIENT_GROUP_MEMBER] = true,
                                  [CLIENT_GROUP_FAILED] = true,
                                  [CLIENT_GROUP_LEAVING] = true},
        [CLIENT_GROUP_MEMBER] = {[CLIENT_GROUP_REVOKING] = true,
                                 [CLIENT_GROUP_JOINING] = true,
                                 [CLIENT_GROUP_FAILED] = true,
                                 [CLIENT_GROUP_LEAVING] = true},
        [CLIENT_GROUP_REVOKING] = {[CLIENT_GROUP_MEMBER] = true,
                                   [CLIENT_GROUP_JOINING] = true,
                                   [CLIENT_GROUP_FAILED] = true,
                                   [CLIENT_GROUP_LEAVING] = true},
        [CLIENT_GROUP_FAILED] = {[CLIENT_GROUP_JOINING] = true, [CLIENT_GROUP_LEAVING] = true},
        [CLIENT_GROUP_LEAVING] = {[CLIENT_GROUP_NONE] = true},
    };
    ASSERT(allowed[g->state][to]);
    g->state = to;
    bool member = to == CLIENT_GROUP_MEMBER || to == CLIENT_GROUP_REVOKING;
    ASSERT(to == CLIENT_GROUP_LEAVING || member == (g->epoch > 0));
}

void client_group_init(struct kauri *k)
{
    client_commit_init(&k->group.commits);
}

bool client_group_subscribed(const struct kauri *k)
{
    return k->group.state != CLIENT_GROUP_NONE;
}

/* --- options --- */

static void client_group_free_options(struct kauri_group_options *o)
{
    for (size_t i = 0; i < o->topic_count; i++)
        free((char *)(uintptr_t)o->topics[i]);
    free((void *)(uintptr_t)o->topics);
    free((char *)(uintptr_t)o->group);
    free((char *)(uintptr_t)o->instance);
    free((char *)(uintptr_t)o->rack);
    free((char *)(uintptr_t)o->regex);
    free((char *)(uintptr_t)o->assignor);
    *o = (struct kauri_group_options){0};
}

static char *client_group_dup(const char *s)
{
    if (s == NULL)
        return NULL;
    char *copy = strdup(s);
    ASSERT(copy != NULL);
    return copy;
}

static uint32_t client_group_or(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void client_group_copy_options(struct kauri_group_options *to,
                                      const struct kauri_group_options *from)
{
    const char **topics = calloc(from->topic_count + 1, sizeof *topics);
    ASSERT(topics != NULL);
    for (size_t i = 0; i < from->topic_count; i++)
        topics[i] = client_group_dup(from->topics[i]);
    *to = *from;
    to->topics = topics;
    to->group = client_group_dup(from->group);
    to->instance = client_group_dup(from->instance);
    to->rack = client_group_dup(from->rack);
    to->regex = client_group_dup(from->regex);
    to->assignor = client_group_dup(from->assignor);
    to->session_timeout_ms = client_group_or(to->session_timeout_ms, CLIENT_GROUP_SESSION_MS);
    to->rebalance_timeout_ms = client_group_or(to->rebalance_timeout_ms, CLIENT_GROUP_REBALANCE_MS);
    to->auto_commit_interval_ms =
        client_group_or(to->auto_commit_interval_ms, CLIENT_GROUP_COMMIT_MS);
}

static bool client_group_word(const char *s, size_t max)
{
    return s == NULL || (s[0] != '\0' && strnlen(s, max + 1) <= max);
}

static bool client_group_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int client_group_check(struct kauri *k, const struct kauri_group_options *o)
{
    const struct client_group *g = &k->group;
    bool words = o->group != NULL && client_group_word(o->group, CLIENT_GROUP_NAME_MAX) &&
                 client_group_word(o->instance, CLIENT_GROUP_NAME_MAX) &&
                 client_group_word(o->rack, CLIENT_GROUP_NAME_MAX) &&
                 client_group_word(o->assignor, CLIENT_GROUP_NAME_MAX) &&
                 client_group_word(o->regex, CLIENT_GROUP_REGEX_MAX);
    for (size_t i = 0; words && o->topic_count <= CLIENT_GROUP_TOPICS_MAX && i < o->topic_count;
         i++)
        words = o->topics[i] != NULL && client_group_word(o->topics[i], CLIENT_GROUP_NAME_MAX);
    if (!words)
        return client_fail(k, KAURI_BAD_ARGUMENT, "group options: a name is missing or too long");
    if (o->topic_count > CLIENT_GROUP_TOPICS_MAX || (o->topic_count == 0 && o->regex == NULL))
        return client_fail(k, KAURI_BAD_ARGUMENT, "group options: no topics, or too many");
    if (o->rebalance_timeout_ms > INT32_MAX || (unsigned)o->reset > KAURI_RESET_ERROR)
        return client_fail(k, KAURI_BAD_ARGUMENT, "group options: out of bounds");
    if (g->stepping || g->state == CLIENT_GROUP_LEAVING)
        return client_fail(k, KAURI_BAD_ARGUMENT, "not from a callback");
    bool fresh = g->state == CLIENT_GROUP_NONE;
    if (fresh && k->consume.count > 0)
        return client_fail(k, KAURI_BAD_ARGUMENT, "partitions are assigned by hand");
    if (!fresh && (!client_group_same(o->group, g->options.group) ||
                   !client_group_same(o->instance, g->options.instance)))
        return client_fail(k, KAURI_BAD_ARGUMENT, "subscribed as a member of \"%.180s\"",
                           g->options.group);
    return 0;
}

/* A name nobody else has: the broker need not make one, so that joining can be repeated. */
static void client_group_name(struct client_group *g)
{
    uint8_t bytes[(sizeof g->member - 1) / 2];
    random_entropy(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(g->member + 2 * i, 3, "%02x", bytes[i]);
}

int kauri_subscribe(struct kauri *k, const struct kauri_group_options *o)
{
    ASSERT(k != NULL && o != NULL && (o->topics != NULL || o->topic_count == 0));
    struct client_group *g = &k->group;
    int r = client_group_check(k, o);
    if (r != 0)
        return r;
    struct kauri_group_options copy;
    client_group_copy_options(&copy, o);
    client_group_free_options(&g->options);
    g->options = copy;
    int64_t now = client_now_ms();
    g->commits.due_ms = now + copy.auto_commit_interval_ms;
    if (g->state == CLIENT_GROUP_NONE)
        client_group_name(g);
    if (g->state == CLIENT_GROUP_NONE || g->state == CLIENT_GROUP_FAILED) {
        client_group_move(g, CLIENT_GROUP_JOINING);
        g->refusals = 0;
        g->held_ms = 0;
    }
    client_group_beat_soon(k);
    return 0;
}

int kauri_membership(struct kauri *k, struct kauri_membership *out)
{
    ASSERT(k != NULL && out != NULL);
    const struct client_group *g = &k->group;
    if (g->state == CLIENT_GROUP_NONE)
        return client_fail(k, KAURI_UNKNOWN_GROUP, "no group is subscribed");
    *out = (struct kauri_membership){
        .group = g->options.group, .member = g->member, .epoch = g->epoch};
    LIST_EACH (node, &k->consume.assignments) {
        const struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        out->partitions += a->grouped && !a->revoked;
    }
    return 0;
}

/* --- turns --- */

void client_group_turn(struct kauri *k, int64_t now_ms)
{
    struct client_group *g = &k->group;
    bool member = g->state == CLIENT_GROUP_MEMBER || g->state == CLIENT_GROUP_REVOKING;
    if (g->state == CLIENT_GROUP_NONE)
        return;
    if (member) {
        int64_t end = g->heard_ms + g->options.session_timeout_ms;
        if (now_ms >= end) {
            client_group_lose(k, CLIENT_GROUP_JOINING);
            g->beat_due_ms = now_ms;
        } else {
            client_wake(k, end);
        }
    }
    if (g->state != CLIENT_GROUP_LEAVING && g->state != CLIENT_GROUP_FAILED)
        client_group_beat_turn(k, now_ms);
    client_commit_turn(k, now_ms);
}

bool client_group_turn_due(const struct kauri *k, int64_t now_ms)
{
    return k->group.state != CLIENT_GROUP_NONE && now_ms - k->turn_ms >= CLIENT_GROUP_TURN_MS;
}

int client_group_event(struct kauri *k, struct kauri_record *r)
{
    const struct client_group *g = &k->group;
    if (g->state != CLIENT_GROUP_FAILED || g->losing)
        return KAURI_AGAIN;
    *r = (struct kauri_record){.partition = -1, .offset = -1, .timestamp_ms = -1};
    return client_fail(k, g->error, "%s", g->message);
}

void client_group_placed(struct kauri *k)
{
    struct client_group *g = &k->group;
    if (g->options.auto_commit_interval_ms != UINT32_MAX)
        g->commits.due_ms = 0;
}

/* --- leaving --- */

static void client_group_left(struct kauri *k, struct client_call *call,
                              const struct client_answer *a)
{
    (void)k;
    (void)a;
    *(bool *)call->owner = true;
}

/* True while it is worth to wait for an answer. */
static bool client_group_waits(struct kauri *k, int64_t until_ms)
{
    if (k->wire.state != CLIENT_SESSION_ALIVE || client_now_ms() >= until_ms)
        return false;
    (void)client_turn(k);
    return k->wire.state == CLIENT_SESSION_ALIVE;
}

/* A beat under way may move the epoch that commits are told with. */
static void client_group_last_beat(struct kauri *k, int64_t until_ms)
{
    struct client_group *g = &k->group;
    while (g->epoch > 0 && g->beat != NULL && client_group_waits(k, until_ms))
        if (g->beat != NULL)
            client_sleep(k, until_ms);
    g->beat = client_call_free(g->beat);
}

static void client_group_settle(struct kauri *k, int64_t until_ms)
{
    const struct list *waiting = &k->group.commits.waiting;
    while (!list_empty(waiting) && client_group_waits(k, until_ms))
        if (!list_empty(waiting))
            client_sleep(k, until_ms);
    client_commit_fail_all(k, KAURI_TIMED_OUT, "the commit found no success before the end");
    (void)client_commit_report(k);
}

static void client_group_say_goodbye(struct kauri *k, int32_t epoch, int64_t until_ms)
{
    bool finished = false;
    if (k->wire.state != CLIENT_SESSION_ALIVE)
        return;
    struct client_call *call = client_group_beat_leave(k, epoch);
    call->done = client_group_left;
    call->owner = &finished;
    client_wire_add(&k->wire, call);
    while (!finished && client_group_waits(k, until_ms))
        if (!finished)
            client_sleep(k, until_ms);
    (void)client_call_free(call);
}

static void client_group_leave(struct kauri *k, int32_t epoch)
{
    struct client_group *g = &k->group;
    int64_t until = client_now_ms() + k->options.timeout_ms;
    bool known = g->epoch > 0 || g->beat != NULL; /* the broker may have it as a member */
    if (g->state == CLIENT_GROUP_NONE)
        return;
    k->consume.hand = NULL; /* the application came back from its last record */
    client_group_move(g, CLIENT_GROUP_LEAVING);
    client_group_last_beat(k, until);
    g->last = client_commit_free(k, g->last);
    g->stepping = true;
    if (g->epoch > 0)
        (void)client_commit_handled(k, false, false);
    client_group_settle(k, until);
    client_group_drop_all(k);
    client_group_settle(k, until); /* what `revoked` asked for */
    g->stepping = false;
    if (known)
        client_group_say_goodbye(k, epoch, until);
    g->epoch = 0;
    g->target_news = false;
    client_parts_deinit(&g->target);
    client_group_free_options(&g->options);
    client_group_move(g, CLIENT_GROUP_NONE);
}

int kauri_unsubscribe(struct kauri *k)
{
    ASSERT(k != NULL);
    if (k->group.stepping)
        return client_fail(k, KAURI_BAD_ARGUMENT, "not from a callback");
    client_group_leave(k, -1);
    return 0;
}

void client_group_deinit(struct kauri *k)
{
    client_group_leave(k, k->group.options.instance == NULL ? -1 : -2);
    ASSERT(k->group.commits.count == 0);
}
