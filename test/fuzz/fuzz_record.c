/* SPDX-License-Identifier: MIT
 *
 * fuzz_record: foreign bytes as keys and values of __consumer_offsets (libFuzzer; corpus in
 * corpus/record).
 *
 * The first byte tells what the rest is: a kind of value, or from GROUP_RECORD_KIND_COUNT on a key.
 * Beyond not crashing: what is read is written and then read as the same, and the arena is asked
 * for no more than the header promises.
 */
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "test/unit/broker/record_pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_record_pass(uint8_t what, struct slice in, struct arena *arena, struct buf *out)
{
    if (what >= GROUP_RECORD_KIND_COUNT)
        return record_pass_key(in, out);
    return record_pass_value((enum group_record_kind)what, in, arena, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once CLEANUP(buf_deinit) = {0}, twice CLEANUP(buf_deinit) = {0};
    struct arena arena CLEANUP(arena_deinit) = {0};
    if (size == 0)
        return 0;
    arena_init(&arena, 0);
    int r = fuzz_record_pass(data[0], slice_of(data + 1, size - 1), &arena, &once);
    ASSERT(r == 0 || r == GROUP_RECORD_UNKNOWN || r == GROUP_RECORD_DAMAGED);
    ASSERT((r == 0) == (once.size > 0));
    ASSERT(arena.used <= 16 * size + 32);
    if (r != 0)
        return 0;
    r = fuzz_record_pass(data[0], buf_slice(&once), &arena, &twice);
    ASSERT(r == 0 && slice_equal(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
