/* SPDX-License-Identifier: MIT
 *
 * nano_answers: see nano_answers.h.
 */
#include "net/nano/nano_answers.h"

#include <nanomsg/nn.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"
#include "net/nano/nano_errmap.h"
#include "net/nano/nano_session.h"
#include "net/nano/nano_ship.h"
#include "proto/frame.h"

/* Tag and size of an answer, and its share of sequence, session and prefix: generously. */
#define NANO_ANSWERS_OVERHEAD 48

/* One message while it is made. */
struct nano_answers {
    Kauri__Answers message;   /* .answers[i] belongs to calls[i] */
    struct nano_call **calls; /* the scratch arena's */
};

struct nano_answers_copy {
    uint8_t *to;
    struct slice from;
};

size_t nano_answers_size(const Kauri__Answer *answer)
{
    return kauri__answer__get_packed_size(answer) + answer->size + NANO_ANSWERS_OVERHEAD;
}

/* Runs under a guard: may be left in the middle, holds nothing. */
static int nano_answers_copy_bytes(void *ctx)
{
    const struct nano_answers_copy *copy = ctx;
    memcpy(copy->to, copy->from.p, copy->from.size);
    return 0;
}

bool nano_answers_copy(uint8_t *to, struct slice from)
{
    struct nano_answers_copy copy = {to, from};
    return from.size == 0 || guard_run(from.p, from.size, nano_answers_copy_bytes, &copy) >= 0;
}

/* The item's bytes cannot be read: the answer says so, and asks to try the same offset again, where
 * the broker will have found out what is damaged. */
static void nano_answers_damage(struct nano_call *c, size_t index)
{
    Kauri__FetchResult *r = c->answer->fetch->results[index];
    ASSERT(c->answer->size >= r->size && r->size == c->fetch.items[index].bytes.size);
    c->answer->size -= r->size;
    r->size = 0;
    r->status = KAURI__STATUS__STORAGE;
    r->message = frame_borrow(nano_errmap_text(r->status));
    r->next_good = c->fetch.items[index].offset;
    c->fetch.items[index].bytes = SLICE_NULL;
}

/* Copies the raw bytes of a fetch to `to`. Items that cannot be read are damaged; false then. */
static bool nano_answers_copy_fetch(struct nano_call *c, uint8_t *to)
{
    bool whole = true;
    for (size_t i = 0; i < c->fetch.count; i++) {
        struct slice from = c->fetch.items[i].bytes;
        if (!nano_answers_copy(to, from)) {
            nano_answers_damage(c, i);
            whole = false;
        }
        to += from.size;
    }
    return whole;
}

static bool nano_answers_copy_raw(struct nano_call *c, uint8_t *to)
{
    return nano_ship_is(c) ? nano_ship_copy(c, to) : nano_answers_copy_fetch(c, to);
}

static bool nano_answers_copy_all(const struct nano_answers *a, uint8_t *to)
{
    bool whole = true;
    for (size_t i = 0; i < a->message.n_answers; i++) {
        struct nano_call *c = a->calls[i];
        size_t size = c->answer->size;
        bool copied = size == 0 || nano_answers_copy_raw(c, to);
        if (copied && c->answer->answer_case == KAURI__ANSWER__ANSWER_SHIP)
            nano_ship_seal(c, slice_of(to, size));
        whole = copied && whole;
        to += size;
    }
    return whole;
}

/* The message, or NULL when an item proved damaged and another size is needed. */
static void *nano_answers_pack(const struct nano_answers *a)
{
    size_t header_size = kauri__answers__get_packed_size(&a->message);
    size_t raw_size = 0;
    for (size_t i = 0; i < a->message.n_answers; i++)
        raw_size += a->message.answers[i]->size;
    size_t size = FRAME_PREFIX_SIZE + header_size + raw_size;
    uint8_t *message = assert_memory(nn_allocmsg(size, 0), size);
    if (!nano_answers_copy_all(a, message + FRAME_PREFIX_SIZE + header_size)) {
        nn_freemsg(message);
        return NULL;
    }
    frame_put(&a->message.base, header_size, message);
    return message;
}

/* Chooses the session's oldest answers, as many as fit in a message, at least one. */
static void nano_answers_gather(struct nano *n, struct nano_session *s, struct nano_answers *out)
{
    size_t size = 0;
    size_t count = 0;
    kauri__answers__init(&out->message);
    out->calls = arena_array(&n->scratch, s->calls.count, sizeof *out->calls);
    out->message.answers = arena_array(&n->scratch, s->calls.count, sizeof(Kauri__Answer *));
    LIST_EACH (node, &s->ready) {
        struct nano_call *c = LIST_ENTRY(node, struct nano_call, link);
        size_t more = nano_answers_size(c->answer);
        if (count > 0 && more > n->options.message_size_max - size)
            break;
        ASSERT(count < s->calls.count && more <= n->options.message_size_max);
        size += more;
        out->calls[count] = c;
        out->message.answers[count++] = c->answer;
    }
    ASSERT(count > 0);
    out->message.n_answers = count;
    out->message.session = (uint64_t)s->id;
    out->message.sequence = s->sequence;
}

static void nano_answers_session(struct nano *n, struct nano_session *s)
{
    struct nano_answers a;
    void *message;
    nano_session_sent(n, s);
    nano_answers_gather(n, s, &a);
    /* Bounded: each failure leaves one item less with bytes. */
    while ((message = nano_answers_pack(&a)) == NULL)
        ;
    nano_send(n, &s->route, message);
    for (size_t i = 0; i < a.message.n_answers; i++)
        nano_call_free(a.calls[i]);
    arena_reset(&n->scratch);
}

void nano_answers_flush(struct nano *n)
{
    while (!list_empty(&n->sending))
        nano_answers_session(n, LIST_ENTRY(n->sending.next, struct nano_session, sending));
}

void nano_answers_alone(struct nano *n, uint64_t session, Kauri__Answer *answer)
{
    Kauri__Answers m;
    ASSERT(answer->size == 0);
    kauri__answers__init(&m);
    m.session = session;
    m.n_answers = 1;
    m.answers = &answer;
    size_t header_size = kauri__answers__get_packed_size(&m);
    size_t size = FRAME_PREFIX_SIZE + header_size;
    uint8_t *message = assert_memory(nn_allocmsg(size, 0), size);
    frame_put(&m.base, header_size, message);
    nano_send(n, &n->route, message);
}
