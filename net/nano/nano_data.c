/* SPDX-License-Identifier: MIT
 *
 * nano_data: see nano_data.h.
 */
#include "net/nano/nano_data.h"

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_errmap.h"
#include "net/nano/nano_session.h"
#include "proto/frame.h"

static char *nano_data_text(enum broker_status status, const char *detail)
{
    const char *text = status == BROKER_OK ? "" : broker_status_text(status);
    return frame_borrow(detail != NULL ? detail : text);
}

/* --- produce --- */

static void nano_data_produce_done(struct broker_produce *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->produce && c->message != NULL);
    nano_call_end(c);
    Kauri__ProduceAnswer *body = nano_calls_array(c, 1, sizeof *body);
    Kauri__ProduceResult *results = nano_calls_array(c, req->count, sizeof *results);
    kauri__produce_answer__init(body);
    body->n_results = req->count;
    body->results = nano_calls_array(c, req->count, sizeof *body->results);
    for (size_t i = 0; i < req->count; i++) {
        const struct broker_produce_item *item = &req->items[i];
        kauri__produce_result__init(&results[i]);
        results[i].status = nano_errmap_status(item->status);
        results[i].message = nano_data_text(item->status, item->message);
        results[i].base_offset = item->base_offset;
        results[i].append_time_ms = item->append_time_ms;
        results[i].log_start = item->log_start;
        body->results[i] = &results[i];
    }
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_PRODUCE;
    c->answer->produce = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

/* Points the items at their batches. False when their sizes are not exactly the raw bytes. */
static bool nano_data_produce_items(struct nano_call *c, struct slice raw)
{
    const Kauri__Produce *p = c->request->produce;
    size_t left = raw.size;
    ASSERT(left <= c->message_size && raw.p + left == (uint8_t *)c->message + c->message_size);
    struct broker_produce_item *items = nano_calls_array(c, p->n_items, sizeof *items);
    for (size_t i = 0; i < p->n_items; i++) {
        size_t size = p->items[i]->size;
        if (size > left)
            return false;
        items[i].topic = slice_str(p->items[i]->topic);
        items[i].partition = p->items[i]->partition;
        items[i].batch = (uint8_t *)c->message + c->message_size - left;
        items[i].size = size;
        left -= size;
    }
    c->produce.items = items;
    c->produce.count = p->n_items;
    return left == 0;
}

void nano_data_produce(struct nano_call *c, struct slice raw)
{
    const Kauri__Produce *p = c->request->produce;
    if (p->acks < -1 || p->acks > 1) {
        nano_calls_bad(c, "acks is none of 0, 1 and -1");
    } else if (p->n_items == 0 || p->n_items > NANO_ITEMS_MAX) {
        nano_calls_bad(c, "items: none or too many");
    } else if (!nano_data_produce_items(c, raw)) {
        nano_calls_bad(c, "items: their sizes do not make up the raw bytes");
    } else {
        c->produce.acks = p->acks;
        c->produce.timeout_ms = p->timeout_ms;
        c->produce.done = nano_data_produce_done;
        c->produce.ctx = c;
        nano_call_run(c);
        broker_produce(c->nano->options.broker, &c->produce);
    }
}

/* --- fetch --- */

static Kauri__FetchResult *nano_data_fetch_result(struct nano_call *c,
                                                  const struct broker_fetch_item *item)
{
    Kauri__FetchResult *r = nano_calls_array(c, 1, sizeof *r);
    kauri__fetch_result__init(r);
    r->status = nano_errmap_status(item->status);
    r->message = nano_data_text(item->status, NULL);
    r->log_start = item->log_start;
    r->high_watermark = item->high_watermark;
    r->size = (uint32_t)item->bytes.size;
    r->next_good = item->status == BROKER_STORAGE ? item->next_good : 0;
    return r;
}

static void nano_data_fetch_done(struct broker_fetch *req)
{
    struct nano_call *c = req->ctx;
    size_t size = 0;
    ASSERT(req == &c->fetch && !c->pinned);
    nano_call_end(c);
    c->pinned = true;
    for (size_t i = 0; i < req->count; i++)
        size += req->items[i].bytes.size;
    if (size > c->nano->options.message_size_max) {
        nano_calls_finish_status(c, BROKER_BATCH_TOO_LARGE, NULL);
        return;
    }
    Kauri__FetchAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__fetch_answer__init(body);
    body->n_results = req->count;
    body->results = nano_calls_array(c, req->count, sizeof *body->results);
    for (size_t i = 0; i < req->count; i++)
        body->results[i] = nano_data_fetch_result(c, &req->items[i]);
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_FETCH;
    c->answer->fetch = body;
    c->answer->size = (uint32_t)size;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

static size_t nano_data_min(size_t value, size_t bound)
{
    return value < bound ? value : bound;
}

/* Half of a message for bytes leaves room for the results; a wait ends long before the session. */
static void nano_data_fetch_bounds(struct nano_call *c)
{
    const Kauri__Fetch *f = c->request->fetch;
    const struct nano_options *o = &c->nano->options;
    c->fetch.size_max = nano_data_min(f->size_max, o->message_size_max / 2);
    c->fetch.min_size = nano_data_min(f->min_size, c->fetch.size_max);
    c->fetch.max_wait_ms =
        (uint32_t)nano_data_min(f->max_wait_ms, (size_t)(o->idle_timeout_ms / 2));
}

void nano_data_fetch(struct nano_call *c, struct slice raw)
{
    const Kauri__Fetch *f = c->request->fetch;
    (void)raw;
    if (f->n_items == 0 || f->n_items > NANO_ITEMS_MAX) {
        nano_calls_bad(c, "items: none or too many");
        return;
    }
    nano_data_fetch_bounds(c);
    c->fetch.items = nano_calls_array(c, f->n_items, sizeof *c->fetch.items);
    c->fetch.count = f->n_items;
    for (size_t i = 0; i < f->n_items; i++) {
        c->fetch.items[i].topic = slice_str(f->items[i]->topic);
        c->fetch.items[i].partition = f->items[i]->partition;
        c->fetch.items[i].offset = f->items[i]->offset;
        c->fetch.items[i].size_max = nano_data_min(f->items[i]->size_max, c->fetch.size_max);
    }
    c->fetch.done = nano_data_fetch_done;
    c->fetch.ctx = c;
    nano_call_run(c);
    broker_fetch(c->nano->options.broker, &c->fetch);
}

/* --- list_offsets --- */

static void nano_data_offsets_done(struct broker_offsets *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->offsets);
    nano_call_end(c);
    Kauri__ListOffsetsAnswer *body = nano_calls_array(c, 1, sizeof *body);
    Kauri__ListOffsetsResult *results = nano_calls_array(c, req->count, sizeof *results);
    kauri__list_offsets_answer__init(body);
    body->n_results = req->count;
    body->results = nano_calls_array(c, req->count, sizeof *body->results);
    for (size_t i = 0; i < req->count; i++) {
        kauri__list_offsets_result__init(&results[i]);
        results[i].status = nano_errmap_status(req->items[i].status);
        results[i].offset = req->items[i].offset;
        results[i].timestamp_ms = req->items[i].found_timestamp_ms;
        body->results[i] = &results[i];
    }
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_LIST_OFFSETS;
    c->answer->list_offsets = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

void nano_data_offsets(struct nano_call *c, struct slice raw)
{
    const Kauri__ListOffsets *l = c->request->list_offsets;
    (void)raw;
    if (l->n_items == 0 || l->n_items > NANO_ITEMS_MAX) {
        nano_calls_bad(c, "items: none or too many");
        return;
    }
    c->offsets.items = nano_calls_array(c, l->n_items, sizeof *c->offsets.items);
    c->offsets.count = l->n_items;
    for (size_t i = 0; i < l->n_items; i++) {
        if (l->items[i]->timestamp_ms < BROKER_OFFSET_MAX_TIME) {
            nano_calls_bad(c, "timestamp_ms: below -3");
            return;
        }
        c->offsets.items[i].topic = slice_str(l->items[i]->topic);
        c->offsets.items[i].partition = l->items[i]->partition;
        c->offsets.items[i].timestamp_ms = l->items[i]->timestamp_ms;
    }
    c->offsets.done = nano_data_offsets_done;
    c->offsets.ctx = c;
    nano_call_run(c);
    broker_offsets(c->nano->options.broker, &c->offsets);
}
