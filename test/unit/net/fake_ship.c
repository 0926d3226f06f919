/* SPDX-License-Identifier: MIT
 *
 * fake_ship: what the fake broker answers to other brokers. See fake_broker.h.
 */
#include "fake_broker.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

#define FAKE_PERIOD      251
#define FAKE_PATTERN_MAX ((size_t)32 << 20)
#define FAKE_KEY_SIZE    32

uint8_t fake_ship_byte(int64_t offset, size_t index)
{
    return (uint8_t)(((size_t)offset + index) % FAKE_PERIOD);
}

static const uint8_t *fake_ship_pattern(struct broker *b, int64_t offset)
{
    if (b->ship_bytes == NULL) {
        b->ship_bytes = malloc(FAKE_PATTERN_MAX + FAKE_PERIOD);
        for (size_t i = 0; i < FAKE_PATTERN_MAX + FAKE_PERIOD; i++)
            b->ship_bytes[i] = (uint8_t)(i % FAKE_PERIOD);
    }
    return b->ship_bytes + offset % FAKE_PERIOD;
}

static void fake_ship_entry(struct broker *b, struct ship_pull_entry *e, size_t *left)
{
    size_t size = e->size_max < b->ship_size ? e->size_max : b->ship_size;
    size = size < *left ? size : *left;
    e->answered = e->size_max > 0 || e->partition == 8;
    e->status = e->partition == 9   ? SHIP_PULL_UNKNOWN
                : e->partition == 8 ? SHIP_PULL_DIVERGING
                                    : SHIP_PULL_OK;
    e->leader_high_watermark = e->offset + 5;
    e->leader_end = e->offset + 10;
    e->log_start = 3;
    e->diverge_epoch = e->partition == 8 ? 4 : -1;
    e->diverge_end = e->partition == 8 ? e->offset - 1 : -1;
    e->segment = e->offset - e->offset % 100;
    if (!e->answered || e->status != SHIP_PULL_OK)
        return;
    e->bytes = e->partition == 1 ? b->mapped : slice_of(fake_ship_pattern(b, e->offset), size);
    *left -= e->bytes.size < *left ? e->bytes.size : *left;
}

static void fake_ship_records(const struct broker *b, struct ship_records *r)
{
    r->records = calloc(b->record_count + 1, sizeof *r->records);
    for (size_t i = 0; i < b->record_count; i++) {
        char *key = calloc(1, FAKE_KEY_SIZE);
        snprintf(key, FAKE_KEY_SIZE, "key-%zu", i);
        r->records[i].key = slice_str(key);
        r->records[i].value = i % 3 == 2 ? SLICE_NULL : slice_of(key + 4, strlen(key) - 4);
    }
    r->count = b->record_count;
    r->whole = r->since < 0;
    r->revision = r->since + (int64_t)b->record_count;
}

static void fake_ship_vote(const struct broker *b, struct ship_vote *v)
{
    v->holdings = calloc(b->record_count + 1, sizeof *v->holdings);
    v->count = b->record_count;
    for (size_t i = 0; i < v->count; i++) {
        v->holdings[i].topic[15] = 9;
        v->holdings[i].partition = (int32_t)i;
        v->holdings[i].reached = (int32_t)i - 1;
        v->holdings[i].end = (int64_t)i * 1000;
        v->holdings[i].high_watermark = (int64_t)i;
        v->holdings[i].intact = i % 2 == 0;
    }
    v->accepted = v->term > 5;
    v->accepted_term = v->term > 5 ? v->term : 5;
}

static void fake_ship_fill(struct broker *b, struct ship_call *call)
{
    size_t left = call->kind == SHIP_PULL ? call->pull.size_max : 0;
    switch (call->kind) {
    case SHIP_REGISTER:
        call->reg.broker_epoch = 1000 + call->reg.node.id;
        return;
    case SHIP_RECORDS:
        fake_ship_records(b, &call->records);
        return;
    case SHIP_PULL:
        for (size_t i = 0; i < call->pull.count; i++)
            fake_ship_entry(b, &call->pull.entries[i], &left);
        return;
    case SHIP_VOTE:
        fake_ship_vote(b, &call->vote);
        return;
    case SHIP_ADMIN:
        call->admin.req.producer_id = 4711;
        return;
    case SHIP_LEADER:
        return;
    }
}

void fake_ship_finish(struct broker *b, struct ship_call *call)
{
    b->last_ship = *call;
    b->pins++;
    call->leader = (struct ship_leader){.term = 3, .id = 7, .native = "tcp://127.0.0.1:7092"};
    call->answer_from = 7;
    snprintf(call->answer_cluster_id, sizeof call->answer_cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
    if (strncmp(call->cluster_id, "no", 2) == 0) {
        call->status = BROKER_DENIED;
        snprintf(call->message, sizeof call->message, "not this one");
    } else {
        fake_ship_fill(b, call);
    }
    call->done(call);
}

void broker_ship_release(struct broker *b, struct ship_call *call)
{
    ASSERT(b->pins > 0);
    b->pins--;
    if (call->kind == SHIP_VOTE)
        free(call->vote.holdings);
    if (call->kind != SHIP_RECORDS)
        return;
    for (size_t i = 0; i < call->records.count; i++)
        free((void *)(uintptr_t)call->records.records[i].key.p);
    free(call->records.records);
}
