/* SPDX-License-Identifier: MIT
 *
 * fuzz_cargo: foreign bytes as question and answer of every kind (libFuzzer; corpus in
 * corpus/cargo). The input is taken as a question of each kind, and as the answer to a call of each
 * kind, with a few raw bytes behind it.
 *
 * Beyond not crashing: what was read is within its bounds, and packed again and read again it is
 * read once more.
 */
#include "engine/base/assert.h"
#include "net/cargo/cargo.h"

#define FUZZ_ENTRIES 3
#define FUZZ_MEMORY  (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_cargo_question(enum ship_kind kind, struct slice bytes, struct arena *a)
{
    static struct ship_call call, again;
    struct buf body = {0};
    const char *why;
    memset(&call, 0, sizeof call);
    if (cargo_get_call(kind, bytes, a, &call, &why) != 0)
        return;
    ASSERT(call.kind == kind && call.from >= -1 && cargo_cluster_fits(call.cluster_id));
    cargo_put_call(&call, UINT32_MAX, a, &body);
    memset(&again, 0, sizeof again);
    int r = cargo_get_call(kind, buf_slice(&body), a, &again, &why);
    ASSERT(r == 0 && again.term == call.term);
    buf_deinit(&body);
}

static void fuzz_cargo_answer(enum ship_kind kind, struct slice bytes, struct slice raw,
                              struct arena *a)
{
    static struct ship_call call;
    struct ship_pull_entry entries[FUZZ_ENTRIES] = {0};
    struct slice body;
    size_t size = 0;
    const char *why;
    memset(&call, 0, sizeof call);
    call.kind = kind;
    if (kind == SHIP_PULL)
        call.pull = (struct ship_pull){.entries = entries, .count = FUZZ_ENTRIES};
    if (cargo_get_answer(bytes, raw, a, &call, &why) != 0) {
        ASSERT(why[0] != '\0' && !entries[0].answered);
        return;
    }
    ASSERT(call.answer_from >= -1 && cargo_text_fits(call.leader.native));
    int r = cargo_put_answer(&call, FUZZ_MEMORY / 8, a, &body, &size);
    ASSERT(r == 0 && size == raw.size);
    r = cargo_get_answer(body, raw, a, &call, &why);
    ASSERT(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t raw[] = "0123456789abcdef";
    struct arena a;
    arena_init(&a, 16 * FUZZ_MEMORY);
    for (int kind = 0; kind < SHIP_KIND_COUNT; kind++) {
        fuzz_cargo_question((enum ship_kind)kind, slice_of(data, size), &a);
        fuzz_cargo_answer((enum ship_kind)kind, slice_of(data, size), slice_of(raw, 0), &a);
        fuzz_cargo_answer((enum ship_kind)kind, slice_of(data, size), slice_of(raw, 16), &a);
        arena_reset(&a);
    }
    arena_deinit(&a);
    return 0;
}
