/* SPDX-License-Identifier: MIT
 *
 * cluster_pages: see cluster_pages.h.
 */
#include "engine/broker/cluster_pages.h"

#include "engine/base/assert.h"
#include "engine/base/map.h"

#define CLUSTER_PAGES_GONE UINT32_MAX

void cluster_pages_deinit(struct cluster_pages *p)
{
    ASSERT(p != NULL);
    buf_deinit(&p->bytes);
    *p = (struct cluster_pages){.since = -1, .begun = -1};
}

void cluster_pages_reset(struct cluster_pages *p, int64_t since)
{
    ASSERT(since >= -1);
    cluster_pages_deinit(p);
    p->since = since;
}

void cluster_pages_ask(const struct cluster_pages *p, struct ship_records *out)
{
    ASSERT(p->since >= -1 && p->begun >= -1);
    out->since = p->since;
    out->begun = p->begun;
}

int cluster_pages_take(struct cluster_pages *p, const struct ship_records *in)
{
    ASSERT(in->records != NULL || in->count == 0);
    if (in->whole) { /* from here on */
        cluster_pages_reset(p, -1);
        p->whole = true;
    }
    for (size_t i = 0; i < in->count; i++) {
        const struct ship_record *r = &in->records[i];
        bool gone = r->value.p == NULL;
        if (p->bytes.size + r->key.size + r->value.size > CLUSTER_PAGES_SIZE_MAX)
            return CLUSTER_PAGES_LARGE;
        buf_append_le32(&p->bytes, (uint32_t)r->key.size);
        buf_append_le32(&p->bytes, gone ? CLUSTER_PAGES_GONE : (uint32_t)r->value.size);
        buf_append(&p->bytes, r->key.p, r->key.size);
        if (!gone && r->value.size > 0)
            buf_append(&p->bytes, r->value.p, r->value.size);
        p->count++;
    }
    p->since = in->revision;
    p->begun = p->whole ? in->begun : -1;
    ASSERT(p->begun >= -1);
    return in->more ? CLUSTER_PAGES_MORE : 0;
}

/* The record at *pos, and behind it. */
static struct coord_change cluster_pages_next(const struct cluster_pages *p, size_t *pos)
{
    const uint8_t *at = p->bytes.p + *pos;
    uint32_t key = bytes_le32(at), value = bytes_le32(at + 4);
    bool gone = value == CLUSTER_PAGES_GONE;
    struct coord_change c = {.key = slice_of(at + 8, key),
                             .value = gone ? SLICE_NULL : slice_of(at + 8 + key, value)};
    *pos += 8 + (size_t)key + (gone ? 0 : value);
    ASSERT(*pos <= p->bytes.size && key > 0);
    return c;
}

void cluster_pages_changes(const struct cluster_pages *p, struct coord_changes *out)
{
    struct map last; /* key -> where it comes for the last time */
    size_t pos = 0;
    ASSERT(out->v == NULL && out->count == 0);
    map_init(&last, (uint64_t)p->begun);
    for (size_t i = 0; i < p->count; i++) {
        struct coord_change c = cluster_pages_next(p, &pos);
        (void)map_put(&last, c.key, (void *)(uintptr_t)c.key.p);
    }
    pos = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct coord_change c = cluster_pages_next(p, &pos);
        if (map_get(&last, c.key) == c.key.p)
            coord_changes_add(out, c.key, c.value);
    }
    map_deinit(&last);
    out->whole = p->whole;
    out->revision = p->since;
}
