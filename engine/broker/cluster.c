/* SPDX-License-Identifier: MIT
 *
 * cluster: see cluster.h.
 */
#include "engine/broker/cluster.h"

#include "engine/base/assert.h"
#include "engine/broker/catalog.h"

#define CLUSTER_VERSION  1
#define CLUSTER_PART_2   2 /* a partition's record that says what promotions go by */
#define CLUSTER_ID_CHARS 22

/* --- bytes --- */

struct cluster_reader {
    struct slice rest;
    bool good;
};

static struct cluster_reader cluster_read_version(struct slice in, uint8_t version)
{
    ASSERT(in.p != NULL || in.size == 0);
    struct cluster_reader r = {.rest = in, .good = in.size > 0 && in.p[0] == version};
    if (r.good)
        r.rest = slice_of(in.p + 1, in.size - 1);
    ASSERT(r.rest.size <= in.size);
    return r;
}

static struct cluster_reader cluster_read(struct slice in)
{
    ASSERT(in.p != NULL || in.size == 0);
    return cluster_read_version(in, CLUSTER_VERSION);
}

/* The next `size` bytes; NULL, and never good again, when there are fewer. */
static const uint8_t *cluster_take(struct cluster_reader *r, size_t size)
{
    ASSERT(size > 0);
    ASSERT(!r->good || r->rest.p != NULL);
    if (!r->good || r->rest.size < size) {
        r->good = false;
        return NULL;
    }
    const uint8_t *p = r->rest.p;
    r->rest = slice_of(p + size, r->rest.size - size);
    return p;
}

static uint8_t cluster_take_u8(struct cluster_reader *r)
{
    const uint8_t *p = cluster_take(r, 1);
    ASSERT(p != NULL || !r->good);
    return p != NULL ? p[0] : 0;
}

static uint32_t cluster_take_u32(struct cluster_reader *r)
{
    const uint8_t *p = cluster_take(r, 4);
    ASSERT(p != NULL || !r->good);
    return p != NULL ? bytes_le32(p) : 0;
}

static uint64_t cluster_take_u64(struct cluster_reader *r)
{
    const uint8_t *p = cluster_take(r, 8);
    ASSERT(p != NULL || !r->good);
    return p != NULL ? bytes_le64(p) : 0;
}

static void cluster_take_id(struct cluster_reader *r, uint8_t out[16])
{
    const uint8_t *p = cluster_take(r, 16);
    ASSERT(p != NULL || !r->good);
    if (p != NULL)
        memcpy(out, p, 16);
}

static void cluster_take_text(struct cluster_reader *r, char out[CLUSTER_TEXT_MAX + 1])
{
    const uint8_t *head = cluster_take(r, 2);
    ASSERT(head != NULL || !r->good);
    size_t size = head != NULL ? (size_t)(head[0] | head[1] << 8) : 0;
    r->good = r->good && size <= CLUSTER_TEXT_MAX;
    const uint8_t *p = size > 0 ? cluster_take(r, size) : NULL;
    if (p == NULL)
        return;
    r->good = memchr(p, 0, size) == NULL;
    memcpy(out, p, size);
    out[size] = '\0';
}

static void cluster_put_text(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    ASSERT(size <= CLUSTER_TEXT_MAX);
    buf_append_u8(out, (uint8_t)size);
    buf_append_u8(out, (uint8_t)(size >> 8));
    buf_append(out, text, size);
}

/* Everything was there, and nothing behind it. */
static bool cluster_ended(const struct cluster_reader *r)
{
    ASSERT(!r->good || r->rest.p != NULL);
    return r->good && r->rest.size == 0;
}

/* --- sets of brokers --- */

static void cluster_take_ids(struct cluster_reader *r, struct replica_ids *out)
{
    uint8_t count = cluster_take_u8(r);
    ASSERT(out->count == 0);
    r->good = r->good && count <= REPLICA_COUNT_MAX;
    for (unsigned i = 0; r->good && i < count; i++) {
        int32_t id = (int32_t)cluster_take_u32(r);
        r->good = r->good && id >= 0 && !replica_ids_has(out, id);
        if (r->good)
            replica_ids_add(out, id);
    }
}

static void cluster_put_ids(struct buf *out, const struct replica_ids *s)
{
    ASSERT(s->count <= REPLICA_COUNT_MAX);
    buf_append_u8(out, (uint8_t)s->count);
    for (size_t i = 0; i < s->count; i++)
        buf_append_le32(out, (uint32_t)s->id[i]);
}

/* --- cluster/leader --- */

void cluster_leader_encode(const struct cluster_leader *l, struct buf *out)
{
    ASSERT(l->term <= CLUSTER_TERM_MAX && l->start <= CLUSTER_START_MAX);
    ASSERT(l->id >= 0);
    buf_append_u8(out, CLUSTER_VERSION);
    buf_append_le32(out, l->term);
    buf_append_le32(out, l->start);
    buf_append_le32(out, (uint32_t)l->id);
    buf_append_le64(out, (uint64_t)l->promoted_ms);
    cluster_put_text(out, l->native);
}

int cluster_leader_decode(struct slice in, struct cluster_leader *out)
{
    struct cluster_reader r = cluster_read(in);
    *out = (struct cluster_leader){0};
    out->term = cluster_take_u32(&r);
    out->start = cluster_take_u32(&r);
    out->id = (int32_t)cluster_take_u32(&r);
    out->promoted_ms = (int64_t)cluster_take_u64(&r);
    cluster_take_text(&r, out->native);
    ASSERT(out->native[CLUSTER_TEXT_MAX] == '\0');
    if (cluster_ended(&r) && out->term <= CLUSTER_TERM_MAX && out->start <= CLUSTER_START_MAX &&
        out->id >= 0)
        return 0;
    *out = (struct cluster_leader){0};
    return CLUSTER_DAMAGED;
}

/* --- brokers/<id> --- */

void cluster_broker_encode(const struct cluster_broker *b, struct buf *out)
{
    ASSERT(b->id >= 0);
    ASSERT(b->kafka_port >= 0 && b->kafka_port <= UINT16_MAX);
    buf_append_u8(out, CLUSTER_VERSION);
    buf_append_le32(out, (uint32_t)b->id);
    buf_append_le64(out, (uint64_t)b->epoch);
    buf_append_le64(out, b->incarnation);
    buf_append(out, b->folder, 16);
    buf_append(out, b->boot, 16);
    cluster_put_text(out, b->rack);
    cluster_put_text(out, b->native);
    cluster_put_text(out, b->kafka_host);
    buf_append_le32(out, (uint32_t)b->kafka_port);
    buf_append_le64(out, (uint64_t)b->registered_ms);
    ASSERT(b->left || !b->forced);
    buf_append_u8(out, (uint8_t)(b->left + b->forced));
}

int cluster_broker_decode(struct slice in, struct cluster_broker *out)
{
    struct cluster_reader r = cluster_read(in);
    *out = (struct cluster_broker){0};
    out->id = (int32_t)cluster_take_u32(&r);
    out->epoch = (int64_t)cluster_take_u64(&r);
    out->incarnation = cluster_take_u64(&r);
    cluster_take_id(&r, out->folder);
    cluster_take_id(&r, out->boot);
    cluster_take_text(&r, out->rack);
    cluster_take_text(&r, out->native);
    cluster_take_text(&r, out->kafka_host);
    out->kafka_port = (int32_t)cluster_take_u32(&r);
    out->registered_ms = (int64_t)cluster_take_u64(&r);
    uint8_t left = cluster_take_u8(&r);
    out->left = left >= 1;
    out->forced = left == 2;
    ASSERT(out->rack[CLUSTER_TEXT_MAX] == '\0' && out->kafka_host[CLUSTER_TEXT_MAX] == '\0');
    if (cluster_ended(&r) && left <= 2 && out->id >= 0 && out->kafka_port >= 0 &&
        out->kafka_port <= UINT16_MAX)
        return 0;
    *out = (struct cluster_broker){0};
    return CLUSTER_DAMAGED;
}

/* --- parts/<topic>/<p> --- */

static const char *cluster_base_fault(const struct cluster_part *p)
{
    const struct replica_base *b = &p->base;
    ASSERT(p->replicas.count <= REPLICA_COUNT_MAX);
    ASSERT(b->before.count <= REPLICA_COUNT_MAX);
    if (b->holders > p->replicas.count || b->before_holders > b->before.count)
        return "it counts on more holders than there are";
    if ((b->before_holders == 0) != (b->before.count == 0) ||
        (b->before_holders > 0 && b->holders == 0))
        return "it counts on nobody";
    for (size_t i = 0; i < b->before.count; i++)
        if (!replica_ids_has(&p->replicas, b->before.id[i]))
            return "a broker of before is not one of its replicas";
    return NULL;
}

const char *cluster_part_fault(const struct cluster_part *p)
{
    ASSERT(p->replicas.count <= REPLICA_COUNT_MAX);
    if (p->replicas.count == 0)
        return "it has no replica";
    if (p->leader < -1 || (p->leader >= 0 && !replica_ids_has(&p->replicas, p->leader)))
        return "its leader is not one of its replicas";
    if (p->leader_epoch < 0)
        return "its leader epoch is below 0";
    for (size_t i = 0; i < p->isr.count; i++)
        if (!replica_ids_has(&p->replicas, p->isr.id[i]))
            return "an in-sync broker is not one of its replicas";
    for (size_t i = 0; i < p->elr.count; i++)
        if (!replica_ids_has(&p->replicas, p->elr.id[i]) || replica_ids_has(&p->isr, p->elr.id[i]))
            return "an eligible broker is in sync, or not one of its replicas";
    return cluster_base_fault(p);
}

void cluster_part_encode(const struct cluster_part *p, struct buf *out)
{
    ASSERT(cluster_part_fault(p) == NULL);
    ASSERT(p->base.holders <= REPLICA_COUNT_MAX);
    buf_append_u8(out, p->base.holders > 0 ? CLUSTER_PART_2 : CLUSTER_VERSION);
    buf_append_le32(out, (uint32_t)p->leader);
    buf_append_le32(out, (uint32_t)p->leader_epoch);
    cluster_put_ids(out, &p->replicas);
    cluster_put_ids(out, &p->isr);
    cluster_put_ids(out, &p->elr);
    if (p->base.holders == 0)
        return;
    buf_append_u8(out, (uint8_t)p->base.holders);
    buf_append_u8(out, (uint8_t)p->base.before_holders);
    cluster_put_ids(out, &p->base.before);
}

int cluster_part_decode(struct slice in, struct cluster_part *out)
{
    bool second = in.size > 0 && in.p[0] == CLUSTER_PART_2;
    struct cluster_reader r = cluster_read_version(in, second ? CLUSTER_PART_2 : CLUSTER_VERSION);
    *out = (struct cluster_part){0};
    out->leader = (int32_t)cluster_take_u32(&r);
    out->leader_epoch = (int32_t)cluster_take_u32(&r);
    cluster_take_ids(&r, &out->replicas);
    cluster_take_ids(&r, &out->isr);
    cluster_take_ids(&r, &out->elr);
    if (second) {
        out->base.holders = cluster_take_u8(&r);
        out->base.before_holders = cluster_take_u8(&r);
        cluster_take_ids(&r, &out->base.before);
    }
    if (cluster_ended(&r) && second == (out->base.holders > 0) && cluster_part_fault(out) == NULL)
        return 0;
    *out = (struct cluster_part){0};
    ASSERT(out->replicas.count == 0);
    return CLUSTER_DAMAGED;
}

/* --- node/... --- */

void cluster_vote_encode(const struct cluster_vote *v, struct buf *out)
{
    ASSERT(v->term <= CLUSTER_TERM_MAX);
    ASSERT(v->candidate >= -1);
    buf_append_u8(out, CLUSTER_VERSION);
    buf_append_le32(out, v->term);
    buf_append_le32(out, (uint32_t)v->candidate);
    buf_append_le64(out, v->incarnation);
}

int cluster_vote_decode(struct slice in, struct cluster_vote *out)
{
    struct cluster_reader r = cluster_read(in);
    *out = (struct cluster_vote){.term = cluster_take_u32(&r)};
    out->candidate = (int32_t)cluster_take_u32(&r);
    out->incarnation = cluster_take_u64(&r);
    if (cluster_ended(&r) && out->term <= CLUSTER_TERM_MAX && out->candidate >= -1)
        return 0;
    *out = (struct cluster_vote){0};
    ASSERT(out->term == 0);
    return CLUSTER_DAMAGED;
}

void cluster_mirror_encode(const struct cluster_mirror *m, struct buf *out)
{
    ASSERT(m->term <= CLUSTER_TERM_MAX && m->position >= -1);
    buf_append_u8(out, CLUSTER_VERSION);
    buf_append_le32(out, m->term);
    buf_append_le64(out, (uint64_t)m->position);
}

int cluster_mirror_decode(struct slice in, struct cluster_mirror *out)
{
    struct cluster_reader r = cluster_read(in);
    *out = (struct cluster_mirror){.term = cluster_take_u32(&r)};
    out->position = (int64_t)cluster_take_u64(&r);
    if (cluster_ended(&r) && out->term <= CLUSTER_TERM_MAX && out->position >= -1)
        return 0;
    *out = (struct cluster_mirror){0};
    ASSERT(out->term == 0);
    return CLUSTER_DAMAGED;
}

#define CLUSTER_SEAT_CLEAN   1
#define CLUSTER_SEAT_UNCLEAN 2

void cluster_seat_encode(const struct cluster_seat *s, struct buf *out)
{
    uint8_t flags =
        (uint8_t)((s->clean ? CLUSTER_SEAT_CLEAN : 0) | (s->unclean ? CLUSTER_SEAT_UNCLEAN : 0));
    ASSERT(s->told >= -1);
    buf_append_u8(out, CLUSTER_VERSION);
    buf_append(out, s->folder, 16);
    buf_append(out, s->boot, 16);
    buf_append_u8(out, flags);
    buf_append_le64(out, (uint64_t)s->told);
}

int cluster_seat_decode(struct slice in, struct cluster_seat *out)
{
    struct cluster_reader r = cluster_read(in);
    *out = (struct cluster_seat){0};
    cluster_take_id(&r, out->folder);
    cluster_take_id(&r, out->boot);
    uint8_t flags = cluster_take_u8(&r);
    out->clean = (flags & CLUSTER_SEAT_CLEAN) != 0;
    out->unclean = (flags & CLUSTER_SEAT_UNCLEAN) != 0;
    out->told = (int64_t)cluster_take_u64(&r);
    if (cluster_ended(&r) && flags <= (CLUSTER_SEAT_CLEAN | CLUSTER_SEAT_UNCLEAN) &&
        out->told >= -1)
        return 0;
    *out = (struct cluster_seat){0};
    ASSERT(!out->clean);
    return CLUSTER_DAMAGED;
}

/* --- keys --- */

static bool cluster_begins(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    ASSERT(size > 0);
    return key.size >= size && memcmp(key.p, prefix, size) == 0;
}

/* A decimal number as it is written: no sign, no zero in front. */
static bool cluster_number(struct slice text, int32_t *out)
{
    int64_t n = 0;
    ASSERT(text.p != NULL || text.size == 0);
    if (text.size == 0 || text.size > 10 || (text.p[0] == '0' && text.size > 1))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (text.p[i] - '0');
    }
    if (n > INT32_MAX)
        return false;
    *out = (int32_t)n;
    return true;
}

void cluster_broker_key(int32_t id, struct buf *out)
{
    ASSERT(id >= 0);
    buf_printf(out, CLUSTER_BROKERS "%d", id);
}

bool cluster_broker_key_read(struct slice key, int32_t *id)
{
    size_t prefix = strlen(CLUSTER_BROKERS);
    ASSERT(id != NULL);
    return cluster_begins(key, CLUSTER_BROKERS) &&
           cluster_number(slice_of(key.p + prefix, key.size - prefix), id);
}

static void cluster_index_key(const char *prefix, const uint8_t topic_id[16], int32_t index,
                              struct buf *out)
{
    char text[CLUSTER_ID_CHARS + 1];
    ASSERT(index >= 0);
    ASSERT(topic_id != NULL);
    catalog_id_text(topic_id, text);
    buf_printf(out, "%s%s/%d", prefix, text, index);
}

static bool cluster_index_key_read(const char *prefix, struct slice key, uint8_t topic_id[16],
                                   int32_t *index)
{
    size_t head = strlen(prefix) + CLUSTER_ID_CHARS;
    ASSERT(topic_id != NULL && index != NULL);
    if (!cluster_begins(key, prefix) || key.size <= head || key.p[head] != '/')
        return false;
    struct slice text = slice_of(key.p + strlen(prefix), CLUSTER_ID_CHARS);
    return catalog_id_read(text, topic_id) &&
           cluster_number(slice_of(key.p + head + 1, key.size - head - 1), index);
}

void cluster_part_key(const uint8_t topic_id[16], int32_t index, struct buf *out)
{
    cluster_index_key(CLUSTER_PARTS, topic_id, index, out);
}

bool cluster_part_key_read(struct slice key, uint8_t topic_id[16], int32_t *index)
{
    return cluster_index_key_read(CLUSTER_PARTS, key, topic_id, index);
}

void cluster_reached_key(const uint8_t topic_id[16], int32_t index, struct buf *out)
{
    cluster_index_key(CLUSTER_REACHED, topic_id, index, out);
}

bool cluster_reached_key_read(struct slice key, uint8_t topic_id[16], int32_t *index)
{
    return cluster_index_key_read(CLUSTER_REACHED, key, topic_id, index);
}

bool cluster_mirrored(struct slice key)
{
    ASSERT(key.p != NULL && key.size > 0);
    return !cluster_begins(key, "node/") && !cluster_begins(key, "brokercfg/");
}

/* --- epochs --- */

int32_t cluster_epoch(uint32_t term, uint32_t start)
{
    ASSERT(term <= CLUSTER_TERM_MAX);
    ASSERT(start <= CLUSTER_START_MAX);
    return (int32_t)(term << 12 | start);
}

uint32_t cluster_epoch_term(int32_t epoch)
{
    ASSERT(epoch >= 0);
    return (uint32_t)epoch >> 12;
}

uint32_t cluster_epoch_start(int32_t epoch)
{
    ASSERT(epoch >= 0);
    return (uint32_t)epoch & CLUSTER_START_MAX;
}
