/* SPDX-License-Identifier: MIT
 *
 * catalog: see catalog.h.
 */
#include "engine/broker/catalog.h"

#include "engine/base/assert.h"

#define CATALOG_VERSION     2
#define CATALOG_HEAD_SIZE   31
#define CATALOG_HEAD_SIZE_1 30 /* of version 1 */

static bool catalog_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

const char *catalog_name_fault(struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    if (name.size == 0)
        return "a topic name cannot be empty";
    if (name.size > CATALOG_NAME_MAX)
        return "a topic name has at most 249 characters";
    if (slice_equal(name, slice_str(".")) || slice_equal(name, slice_str("..")))
        return "a topic cannot be named \".\" or \"..\"";
    for (size_t i = 0; i < name.size; i++)
        if (!catalog_char(name.p[i]))
            return "a topic name has only letters, digits, \".\", \"_\" and \"-\"";
    return NULL;
}

bool catalog_names_collide(struct slice a, struct slice b)
{
    ASSERT((a.p != NULL || a.size == 0) && (b.p != NULL || b.size == 0));
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a.p[i] == '.' ? '_' : a.p[i], y = b.p[i] == '.' ? '_' : b.p[i];
        if (x != y)
            return false;
    }
    return true;
}

bool catalog_name_internal(struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    return name.size >= 2 && name.p[0] == '_' && name.p[1] == '_';
}

static void catalog_put_text(struct buf *out, const char *s)
{
    size_t size = strlen(s);
    ASSERT(size <= UINT16_MAX);
    uint8_t raw[2] = {(uint8_t)size, (uint8_t)(size >> 8)};
    buf_append(out, raw, 2);
    buf_append(out, s, size);
}

void catalog_encode(const struct catalog_topic *t, struct buf *out)
{
    const char *key, *value;
    uint8_t head[2] = {CATALOG_VERSION, (uint8_t)t->state};
    ASSERT(t->partitions > 0);
    ASSERT((unsigned)t->state <= CATALOG_DELETING);
    buf_append(out, head, sizeof head);
    buf_append(out, t->id, sizeof t->id);
    buf_append_le32(out, (uint32_t)t->partitions);
    buf_append_le32(out, (uint32_t)t->replication);
    buf_append_u8(out, t->spread);
    buf_append_le32(out, (uint32_t)t->configs.count);
    ASSERT(out->size >= CATALOG_HEAD_SIZE);
    for (size_t i = 0; config_topic_at(&t->configs, i, &key, &value); i++) {
        catalog_put_text(out, key);
        catalog_put_text(out, value);
    }
}

static bool catalog_take_text(struct slice *in, struct slice *out)
{
    ASSERT(in->p != NULL);
    if (in->size < 2)
        return false;
    size_t size = (size_t)(in->p[0] | in->p[1] << 8);
    if (size > in->size - 2)
        return false;
    *out = slice_of(in->p + 2, size);
    *in = slice_of(in->p + 2 + size, in->size - 2 - size);
    return true;
}

/* A config that a later version no longer knows is dropped: the topic matters more. */
static bool catalog_take_config(struct slice *in, struct config_topic *t)
{
    ASSERT(t != NULL);
    struct slice key, value;
    char message[256];
    if (!catalog_take_text(in, &key) || !catalog_take_text(in, &value))
        return false;
    int r = config_topic_set(t, key, value, message);
    return r >= 0;
}

int catalog_decode(struct slice in, struct catalog_topic *t)
{
    ASSERT(in.p != NULL || in.size == 0);
    ASSERT(t->configs.v == NULL && t->configs.count == 0);
    bool old = in.size > 0 && in.p[0] == 1;
    size_t head = old ? CATALOG_HEAD_SIZE_1 : CATALOG_HEAD_SIZE;
    if (in.size < head || (!old && in.p[0] != CATALOG_VERSION) || in.p[1] > CATALOG_DELETING ||
        (!old && in.p[26] > 1))
        return CATALOG_DAMAGED;
    t->state = (enum catalog_state)in.p[1];
    memcpy(t->id, in.p + 2, sizeof t->id);
    t->partitions = (int32_t)bytes_le32(in.p + 18);
    t->replication = (int32_t)bytes_le32(in.p + 22);
    t->spread = old || in.p[26] == 1;
    uint32_t count = bytes_le32(in.p + head - 4);
    struct slice rest = slice_of(in.p + head, in.size - head);
    bool good = t->partitions > 0 && count <= rest.size;
    for (uint32_t i = 0; good && i < count; i++)
        good = catalog_take_config(&rest, &t->configs);
    if (good)
        return 0;
    catalog_deinit(t);
    return CATALOG_DAMAGED;
}

void catalog_deinit(struct catalog_topic *t)
{
    ASSERT(t != NULL);
    config_topic_deinit(&t->configs);
    *t = (struct catalog_topic){0};
}

bool catalog_topic_single(const struct catalog_topic *t)
{
    ASSERT(t->replication >= 1);
    ASSERT(t->partitions > 0);
    return t->replication == 1 && !t->spread;
}

void catalog_id_text(const uint8_t id[16], char out[23])
{
    ASSERT(id != NULL && out != NULL);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = 0;
    for (size_t i = 0; i < 16; i += 3) {
        uint32_t v = (uint32_t)id[i] << 16;
        if (i + 1 < 16)
            v |= (uint32_t)id[i + 1] << 8;
        if (i + 2 < 16)
            v |= id[i + 2];
        for (unsigned k = 0; k < 4 && n < 22; k++)
            out[n++] = digits[(v >> (18 - 6 * k)) & 63];
    }
    ASSERT(n == 22);
    out[n] = '\0';
}

static int catalog_digit(uint8_t c)
{
    ASSERT('z' - 'a' == 25 && 'Z' - 'A' == 25);
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

bool catalog_id_read(struct slice text, uint8_t id[16])
{
    uint32_t bits = 0;
    unsigned held = 0, n = 0;
    ASSERT(text.p != NULL || text.size == 0);
    if (text.size != 22)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int digit = catalog_digit(text.p[i]);
        if (digit < 0)
            return false;
        bits = (bits << 6 | (uint32_t)digit) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            id[n++] = (uint8_t)(bits >> held);
        }
    }
    ASSERT(n == 16 && held == 4);
    return (bits & 15) == 0; /* 132 bits for 128 */
}
