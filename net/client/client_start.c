/* SPDX-License-Identifier: MIT
 *
 * client_start: where an assigned partition begins: at the group's committed offset, else as the
 * options say. Like START and END in client_consume.c, in one call over many partitions.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

static int64_t client_start_offset(const struct kauri *k)
{
    return k->group.options.reset == KAURI_RESET_EARLIEST ? KAURI_OFFSET_START : KAURI_OFFSET_END;
}

bool client_start_reset(struct kauri *k, struct client_assignment *a)
{
    if (!a->grouped || k->group.options.reset == KAURI_RESET_ERROR)
        return false;
    if (!list_empty(&a->chunks))
        return true; /* once what came before was read: it is asked again */
    a->position = a->fetch_offset = client_start_offset(k);
    a->idle = false;
    return true;
}

static void client_start_place(struct kauri *k, struct client_assignment *a, int64_t committed)
{
    a->refusals = 0;
    if (committed >= 0) {
        a->position = a->fetch_offset = a->committed = committed;
        return;
    }
    if (k->group.options.reset != KAURI_RESET_ERROR) {
        a->position = a->fetch_offset = client_start_offset(k);
        return;
    }
    char message[CLIENT_MESSAGE_MAX];
    (void)snprintf(message, sizeof message, "topic \"%.100s\" partition %d: nothing is committed",
                   a->topic, a->partition);
    client_read_fail(a, KAURI_NO_OFFSET, -1, message);
}

static void client_start_answered(struct kauri *k, struct client_call *call,
                                  const struct client_answer *a)
{
    struct client_ask_many *many = call->owner;
    const Kauri__Answer *answer = a->answer;
    bool fits = answer->status == KAURI__STATUS__OK &&
                answer->answer_case == KAURI__ANSWER__ANSWER_GROUP_OFFSETS &&
                answer->group_offsets->n_offsets == many->count;
    Kauri__Status why = answer->status == KAURI__STATUS__OK ? KAURI__STATUS__BUSY : answer->status;
    for (size_t i = 0; i < many->count; i++) {
        if (fits)
            client_start_place(k, many->items[i], answer->group_offsets->offsets[i]->offset);
        else
            client_consume_refused(k, many->items[i], why, answer->message);
    }
    client_consume_give_up(many);
}

static void client_start_send(struct kauri *k, struct client_ask_many *many)
{
    Kauri__GroupPartition *items CLEANUP(cleanup_free) = calloc(many->count, sizeof *items);
    Kauri__GroupPartition **pointers CLEANUP(cleanup_free) = calloc(many->count, sizeof *pointers);
    ASSERT(items != NULL && pointers != NULL);
    for (size_t i = 0; i < many->count; i++) {
        kauri__group_partition__init(&items[i]);
        items[i].topic = many->items[i]->topic;
        items[i].partition = many->items[i]->partition;
        pointers[i] = &items[i];
    }
    Kauri__GroupOffsets offsets;
    kauri__group_offsets__init(&offsets);
    Kauri__Call content;
    kauri__call__init(&content);
    offsets.group = frame_borrow(k->group.options.group);
    offsets.items = pointers;
    offsets.n_items = many->count;
    content.call_case = KAURI__CALL__CALL_GROUP_OFFSETS;
    content.group_offsets = &offsets;
    many->call = client_call_new(&content);
    many->call->done = client_start_answered;
    many->call->owner = many;
    client_wire_add(&k->wire, many->call);
}

void client_start_ask(struct kauri *k, int64_t now_ms)
{
    struct client_ask_many *many = &k->consume.start;
    ASSERT(many->count == 0);
    if (k->group.state == CLIENT_GROUP_NONE)
        return;
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        if (a->fetch_offset == CLIENT_OFFSET_COMMITTED && many->count < CLIENT_FETCH_ITEMS_MAX &&
            client_consume_due(k, a, now_ms))
            many->items[many->count++] = a;
    }
    if (many->count > 0)
        client_start_send(k, many);
}
