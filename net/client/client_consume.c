/* SPDX-License-Identifier: MIT
 *
 * client_consume: assignments and the calls for them. See client_consume.h.
 */
#include "net/client/client_consume.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

void client_consume_init(struct client_consume *c)
{
    list_init(&c->assignments);
    c->next_good = -1;
}

void client_consume_give_up(struct client_ask_many *many)
{
    for (size_t i = 0; i < many->count; i++)
        many->items[i]->asked = false;
    many->call = client_call_free(many->call);
    many->count = 0;
}

void client_consume_interrupt(struct client_consume *c)
{
    for (int i = 0; i < CLIENT_FETCH_CALLS; i++)
        client_consume_give_up(&c->fetches[i]);
    client_consume_give_up(&c->resolve);
    client_consume_give_up(&c->start);
}

static struct client_assignment *client_assignment_free(struct kauri *k,
                                                        struct client_assignment *a)
{
    client_read_drop(k, a);
    list_remove(&a->link);
    k->consume.count--;
    if (k->consume.hand == a)
        k->consume.hand = NULL;
    buf_deinit(&a->scratch);
    free(a->topic);
    free(a);
    return NULL;
}

void client_consume_deinit(struct kauri *k)
{
    struct client_consume *c = &k->consume;
    client_consume_interrupt(c);
    while (!list_empty(&c->assignments))
        (void)client_assignment_free(
            k, LIST_ENTRY(c->assignments.next, struct client_assignment, link));
    buf_deinit(&c->headers);
}

/* The same partition is asked again later. */
static void client_consume_put_off(struct client_assignment *a)
{
    a->due_ms = client_now_ms() + client_backoff_ms(a->refusals++);
}

void client_consume_refused(struct kauri *k, struct client_assignment *a, Kauri__Status status,
                            const char *said)
{
    if (client_status_retriable(status)) {
        client_consume_put_off(a);
        return;
    }
    if (status == KAURI__STATUS__OFFSET_OUT_OF_RANGE && client_start_reset(k, a)) {
        client_consume_put_off(a);
        return;
    }
    char message[CLIENT_MESSAGE_MAX];
    client_status_explain(status, said, a->topic, a->partition, message);
    client_read_fail(a, client_status_error(status), a->fetch_offset, message);
}

/* The call as a whole failed, or its answer does not fit: then it is asked again. */
static void client_consume_whole(struct kauri *k, struct client_assignment *a,
                                 const Kauri__Answer *answer)
{
    bool said = answer->status != KAURI__STATUS__OK;
    client_consume_refused(k, a, said ? answer->status : KAURI__STATUS__BUSY, answer->message);
}

/* --- START and END become offsets --- */

static void client_consume_resolve_one(struct kauri *k, struct client_assignment *a, int64_t offset)
{
    a->position = a->fetch_offset = offset;
    if (a->grouped)
        client_group_placed(k); /* a member that comes next begins there too */
}

static void client_consume_resolved(struct kauri *k, struct client_call *call,
                                    const struct client_answer *a)
{
    struct client_ask_many *many = call->owner;
    const Kauri__Answer *answer = a->answer;
    bool fits = answer->status == KAURI__STATUS__OK &&
                answer->answer_case == KAURI__ANSWER__ANSWER_LIST_OFFSETS &&
                answer->list_offsets->n_results == many->count;
    for (size_t i = 0; i < many->count; i++) {
        struct client_assignment *to = many->items[i];
        const Kauri__ListOffsetsResult *r = fits ? answer->list_offsets->results[i] : NULL;
        if (r == NULL)
            client_consume_whole(k, to, answer);
        else if (r->status != KAURI__STATUS__OK || r->offset < 0)
            client_consume_refused(
                k, to, r->status == KAURI__STATUS__OK ? KAURI__STATUS__BAD_REQUEST : r->status,
                NULL);
        else
            client_consume_resolve_one(k, to, r->offset);
    }
    client_consume_give_up(many);
}

bool client_consume_due(struct kauri *k, const struct client_assignment *a, int64_t now_ms)
{
    if (a->error != 0 || a->paused || a->revoked)
        return false;
    if (now_ms < a->due_ms)
        client_wake(k, a->due_ms);
    return now_ms >= a->due_ms;
}

static void client_consume_resolve(struct kauri *k, int64_t now_ms)
{
    struct client_ask_many *many = &k->consume.resolve;
    Kauri__ListOffsetsItem items[CLIENT_FETCH_ITEMS_MAX];
    Kauri__ListOffsetsItem *pointers[CLIENT_FETCH_ITEMS_MAX];
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        if (a->fetch_offset >= 0 || a->fetch_offset == CLIENT_OFFSET_COMMITTED ||
            many->count == CLIENT_FETCH_ITEMS_MAX || !client_consume_due(k, a, now_ms))
            continue;
        Kauri__ListOffsetsItem *item = &items[many->count];
        kauri__list_offsets_item__init(item);
        item->topic = a->topic;
        item->partition = a->partition;
        item->timestamp_ms = a->fetch_offset;
        pointers[many->count] = item;
        many->items[many->count++] = a;
    }
    if (many->count == 0)
        return;
    Kauri__ListOffsets list;
    kauri__list_offsets__init(&list);
    Kauri__Call content;
    kauri__call__init(&content);
    list.n_items = many->count;
    list.items = pointers;
    content.call_case = KAURI__CALL__CALL_LIST_OFFSETS;
    content.list_offsets = &list;
    many->call = client_call_new(&content);
    many->call->done = client_consume_resolved;
    many->call->owner = many;
    client_wire_add(&k->wire, many->call);
}

/* --- fetch --- */

static void client_consume_result(struct kauri *k, struct client_assignment *a,
                                  const Kauri__FetchResult *r, struct slice bytes,
                                  struct client_message *m)
{
    if (a->error != 0)
        return; /* what is told stands before what came after */
    a->next_good = r->status == KAURI__STATUS__STORAGE ? r->next_good : -1;
    if (r->status != KAURI__STATUS__OK) {
        client_consume_refused(k, a, r->status, r->message);
        return;
    }
    a->refusals = 0;
    a->high_watermark = r->high_watermark;
    client_read_take(k, a, bytes, m);
    a->idle = bytes.size == 0 || a->fetch_offset >= a->high_watermark;
}

static void client_consume_fetched(struct kauri *k, struct client_call *call,
                                   const struct client_answer *a)
{
    struct client_ask_many *many = call->owner;
    const Kauri__Answer *answer = a->answer;
    bool fits = answer->status == KAURI__STATUS__OK &&
                answer->answer_case == KAURI__ANSWER__ANSWER_FETCH &&
                answer->fetch->n_results == many->count;
    struct slice rest = a->raw;
    for (size_t i = 0; i < many->count; i++) {
        const Kauri__FetchResult *r = fits ? answer->fetch->results[i] : NULL;
        if (r == NULL || r->size > rest.size) {
            client_consume_whole(k, many->items[i], answer);
            fits = false;
            continue;
        }
        client_consume_result(k, many->items[i], r, slice_of(rest.p, r->size), a->message);
        rest = slice_of(rest.p + r->size, rest.size - r->size);
    }
    client_consume_give_up(many);
}

/* Picks the partitions to ask: those that wait for data, or those that should have some. */
static void client_consume_pick(struct kauri *k, struct client_ask_many *many, bool idle,
                                int64_t now_ms)
{
    ASSERT(many->count == 0);
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        if (a->fetch_offset < 0 || a->asked || a->idle != idle ||
            a->held >= k->options.fetch_size || many->count == CLIENT_FETCH_ITEMS_MAX ||
            !client_consume_due(k, a, now_ms))
            continue;
        many->items[many->count++] = a;
        a->asked = true;
    }
}

static void client_consume_items(const struct kauri *k, const struct client_ask_many *many,
                                 Kauri__FetchItem *items, Kauri__FetchItem **pointers)
{
    const size_t max = k->options.fetch_size;
    for (size_t i = 0; i < many->count; i++) {
        kauri__fetch_item__init(&items[i]);
        items[i].topic = many->items[i]->topic;
        items[i].partition = many->items[i]->partition;
        items[i].offset = many->items[i]->fetch_offset;
        items[i].size_max =
            max < CLIENT_MESSAGE_SIZE_MAX / 2 ? (uint32_t)max : CLIENT_MESSAGE_SIZE_MAX / 2;
        pointers[i] = &items[i];
    }
}

/* The bytes one answer may carry: what prefetch leaves, below both sides' message limits. */
static uint32_t client_consume_room(const struct kauri *k)
{
    size_t room = k->options.prefetch_size - k->consume.held;
    if (room > CLIENT_MESSAGE_SIZE_MAX / 2)
        room = CLIENT_MESSAGE_SIZE_MAX / 2;
    return room < k->wire.message_size_max / 2 ? (uint32_t)room : k->wire.message_size_max / 2;
}

static void client_consume_fetch(struct kauri *k, struct client_ask_many *many, uint32_t wait_ms)
{
    Kauri__FetchItem items[CLIENT_FETCH_ITEMS_MAX];
    Kauri__FetchItem *pointers[CLIENT_FETCH_ITEMS_MAX];
    Kauri__Fetch fetch;
    kauri__fetch__init(&fetch);
    Kauri__Call content;
    kauri__call__init(&content);
    client_consume_items(k, many, items, pointers);
    fetch.max_wait_ms = wait_ms;
    fetch.min_size = 1;
    fetch.size_max = client_consume_room(k);
    fetch.n_items = many->count;
    fetch.items = pointers;
    content.call_case = KAURI__CALL__CALL_FETCH;
    content.fetch = &fetch;
    many->call = client_call_new(&content);
    many->call->patience_ms = wait_ms;
    many->call->done = client_consume_fetched;
    many->call->owner = many;
    client_wire_add(&k->wire, many->call);
}

/* What stands first is served first when room is short: next time another one does. */
static void client_consume_rotate(struct client_consume *c)
{
    struct list *first = c->assignments.next;
    if (!list_empty(&LIST_ENTRY(first, struct client_assignment, link)->chunks))
        return; /* being read */
    list_remove(first);
    list_add_tail(&c->assignments, first);
}

void client_consume_turn(struct kauri *k, int64_t now_ms)
{
    struct client_consume *c = &k->consume;
    c->turn_due = false;
    if (c->count == 0)
        return;
    if (c->resolve.call == NULL)
        client_consume_resolve(k, now_ms);
    if (c->start.call == NULL)
        client_start_ask(k, now_ms);
    bool polled = false; /* one long poll for all that became idle */
    for (int i = 0; i < CLIENT_FETCH_CALLS && c->held < k->options.prefetch_size; i++) {
        struct client_ask_many *many = &c->fetches[i];
        if (many->call != NULL || polled)
            continue;
        client_consume_pick(k, many, i > 0, now_ms);
        polled = i > 0;
        if (many->count > 0)
            client_consume_fetch(k, many, i > 0 ? k->options.fetch_wait_ms : 0);
        if (many->count > 0 && i == 0)
            client_consume_rotate(c);
    }
}

/* --- the public calls --- */

struct client_assignment *client_consume_find(struct kauri *k, const char *topic, int32_t partition)
{
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        if (a->partition == partition && strcmp(a->topic, topic) == 0)
            return a;
    }
    return NULL;
}

static int client_consume_missing(struct kauri *k, const char *topic, int32_t partition)
{
    return client_fail(k, KAURI_UNKNOWN_PARTITION, "topic \"%.180s\" partition %d is not assigned",
                       topic, partition);
}

int64_t client_consume_handled(const struct kauri *k, const struct client_assignment *a)
{
    return k->consume.hand == a ? k->consume.hand_offset : a->position;
}

void client_consume_place(struct kauri *k, struct client_assignment *a, int64_t offset)
{
    client_consume_interrupt(&k->consume);
    client_read_drop(k, a);
    if (k->consume.hand == a)
        k->consume.hand = NULL;
    a->position = a->fetch_offset = offset;
    a->high_watermark = -1;
    a->end_told = false;
    a->idle = false;
    a->error = 0;
    a->due_ms = 0;
    a->refusals = 0;
}

static int client_consume_offset(struct kauri *k, int64_t offset)
{
    if (offset >= KAURI_OFFSET_START)
        return 0;
    return client_fail(k, KAURI_BAD_ARGUMENT, "offset %lld is negative", (long long)offset);
}

static int client_consume_known(struct kauri *k, const char *topic, int32_t partition)
{
    struct client_topic *t;
    int r = client_topic_get(k, topic, false, &t);
    if (r == 0 && partition >= t->partition_count) {
        t->stale = true; /* it may have grown */
        r = client_topic_get(k, topic, false, &t);
    }
    if (r != 0)
        return r;
    if (partition < 0 || partition >= t->partition_count)
        return client_fail(k, KAURI_UNKNOWN_PARTITION, "topic \"%.180s\" has no partition %d",
                           topic, partition);
    return 0;
}

struct client_assignment *client_consume_add(struct kauri *k, const char *topic, int32_t partition,
                                             int64_t offset)
{
    struct client_assignment *a = calloc(1, sizeof *a);
    ASSERT(a != NULL);
    a->topic = strdup(topic);
    ASSERT(a->topic != NULL);
    a->partition = partition;
    a->next_good = -1;
    a->committed = -1;
    list_init(&a->chunks);
    list_add_tail(&k->consume.assignments, &a->link);
    k->consume.count++;
    client_consume_place(k, a, offset);
    return a;
}

void client_consume_remove(struct kauri *k, struct client_assignment *a)
{
    client_consume_interrupt(&k->consume);
    (void)client_assignment_free(k, a);
}

/* By hand or by a group, not both. */
static int client_consume_by_hand(struct kauri *k)
{
    if (!client_group_subscribed(k))
        return 0;
    return client_fail(k, KAURI_BAD_ARGUMENT, "the group \"%.180s\" assigns the partitions",
                       k->group.options.group);
}

int kauri_assign(struct kauri *k, const char *topic, int32_t partition, int64_t offset)
{
    ASSERT(k != NULL && topic != NULL);
    int r = client_consume_by_hand(k);
    if (r == 0)
        r = client_consume_offset(k, offset);
    if (r == 0)
        r = client_consume_known(k, topic, partition);
    if (r != 0)
        return r;
    if (client_consume_find(k, topic, partition) != NULL)
        return client_fail(k, KAURI_EXISTS, "topic \"%.180s\" partition %d is assigned already",
                           topic, partition);
    (void)client_consume_add(k, topic, partition, offset);
    return 0;
}

int kauri_unassign(struct kauri *k, const char *topic, int32_t partition)
{
    int r = client_consume_by_hand(k);
    if (r != 0)
        return r;
    struct client_assignment *a = client_consume_find(k, topic, partition);
    if (a == NULL)
        return client_consume_missing(k, topic, partition);
    client_consume_remove(k, a);
    return 0;
}

int kauri_seek(struct kauri *k, const char *topic, int32_t partition, int64_t offset)
{
    int r = client_consume_offset(k, offset);
    if (r != 0)
        return r;
    struct client_assignment *a = client_consume_find(k, topic, partition);
    if (a == NULL)
        return client_consume_missing(k, topic, partition);
    client_consume_place(k, a, offset);
    return 0;
}

int kauri_pause(struct kauri *k, const char *topic, int32_t partition, bool pause)
{
    struct client_assignment *a = client_consume_find(k, topic, partition);
    if (a == NULL)
        return client_consume_missing(k, topic, partition);
    if (a->paused == pause)
        return 0;
    a->paused = pause;
    if (pause) {
        k->consume.held -= a->held;
    } else {
        k->consume.held += a->held;
        client_consume_interrupt(&k->consume); /* the fetches under way leave it out */
    }
    return 0;
}

int kauri_position(struct kauri *k, const char *topic, int32_t partition, int64_t *offset)
{
    ASSERT(k != NULL && topic != NULL && offset != NULL);
    const struct client_assignment *a = client_consume_find(k, topic, partition);
    if (a == NULL)
        return client_consume_missing(k, topic, partition);
    if (a->position < 0)
        return client_fail(k, KAURI_AGAIN, "topic \"%.180s\" partition %d has no position yet",
                           topic, partition);
    *offset = a->position;
    return 0;
}

/* A record, an event, or what the group has to say; else KAURI_AGAIN. */
static int client_consume_next(struct kauri *k, struct kauri_record *r)
{
    int event = client_group_event(k, r);
    if (event == KAURI_AGAIN)
        event = client_read_next(k, r);
    return event;
}

int kauri_next(struct kauri *k, uint32_t timeout_ms, struct kauri_record *r)
{
    ASSERT(k != NULL && r != NULL);
    int64_t now = client_now_ms();
    int64_t until = now + timeout_ms;
    k->consume.hand = NULL; /* the application came back */
    if (k->consume.turn_due || client_group_turn_due(k, now))
        (void)client_turn(k);
    (void)client_group_step(k);
    for (;;) {
        int event = client_consume_next(k, r);
        if (event != KAURI_AGAIN)
            return event;
        int handled = client_turn(k);
        handled += client_group_step(k);
        if (handled == 0 && client_now_ms() >= until)
            return KAURI_AGAIN;
        if (handled == 0)
            client_sleep(k, until);
    }
}

int64_t kauri_next_good(const struct kauri *k)
{
    return k->consume.next_good;
}
