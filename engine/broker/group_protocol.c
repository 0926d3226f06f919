/* SPDX-License-Identifier: MIT
 *
 * group_protocol: see group_protocol.h.
 */
#include "engine/broker/group_protocol.h"

#include "engine/base/assert.h"

static bool group_protocol_i16(struct slice *in, int16_t *out)
{
    ASSERT(out != NULL);
    ASSERT(in->p != NULL || in->size == 0);
    if (in->size < 2)
        return false;
    *out = (int16_t)bytes_be16(in->p);
    *in = slice_of(in->p + 2, in->size - 2);
    return true;
}

/* A count of things that have at least `least` bytes each. */
static bool group_protocol_count(struct slice *in, size_t least, size_t *out)
{
    ASSERT(least > 0 && out != NULL);
    ASSERT(in->p != NULL || in->size == 0);
    if (in->size < 4)
        return false;
    int32_t n = (int32_t)bytes_be32(in->p);
    *in = slice_of(in->p + 4, in->size - 4);
    if (n < 0 || (size_t)n > in->size / least)
        return false;
    *out = (size_t)n;
    return true;
}

static bool group_protocol_string(struct slice *in, struct slice *out)
{
    int16_t size;
    ASSERT(out != NULL);
    if (!group_protocol_i16(in, &size) || size < 0 || (size_t)size > in->size)
        return false;
    *out = slice_of(in->p, (size_t)size);
    *in = slice_of(in->p + size, in->size - (size_t)size);
    return true;
}

int group_protocol_subscription(struct slice in, struct arena *arena, struct slice **topics,
                                size_t *count)
{
    int16_t version;
    size_t n;
    ASSERT(topics != NULL && count != NULL);
    ASSERT(arena != NULL);
    if (!group_protocol_i16(&in, &version) || version < 0 || !group_protocol_count(&in, 2, &n))
        return 1;
    struct slice *all = arena_array(arena, n, sizeof *all);
    if (all == NULL)
        return 1;
    for (size_t i = 0; i < n; i++)
        if (!group_protocol_string(&in, &all[i]))
            return 1;
    *topics = all;
    *count = n;
    return 0;
}

static bool group_protocol_topic(struct slice *in, struct arena *arena,
                                 struct broker_group_topic *out)
{
    ASSERT(out->count == 0);
    if (!group_protocol_string(in, &out->name) || !group_protocol_count(in, 4, &out->count))
        return false;
    int32_t *numbers = arena_array(arena, out->count, sizeof *numbers);
    if (numbers == NULL)
        return false;
    ASSERT(out->count <= in->size / 4);
    for (size_t i = 0; i < out->count; i++)
        numbers[i] = (int32_t)bytes_be32(in->p + 4 * i);
    *in = slice_of(in->p + 4 * out->count, in->size - 4 * out->count);
    out->partitions = numbers;
    return true;
}

int group_protocol_assignment(struct slice in, struct arena *arena,
                              struct broker_group_topic **topics, size_t *count)
{
    int16_t version;
    size_t n;
    ASSERT(topics != NULL && count != NULL);
    ASSERT(arena != NULL);
    if (!group_protocol_i16(&in, &version) || version < 0 || !group_protocol_count(&in, 6, &n))
        return 1;
    struct broker_group_topic *all = arena_array(arena, n, sizeof *all);
    if (all == NULL)
        return 1;
    for (size_t i = 0; i < n; i++)
        if (!group_protocol_topic(&in, arena, &all[i]))
            return 1;
    *topics = all;
    *count = n;
    return 0;
}
