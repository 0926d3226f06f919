/* SPDX-License-Identifier: MIT
 *
 * kp_encode: the encoder over the tables. See kp.h.
 *
 * One walk, run twice: first it counts, then it writes into memory of just that size. A tagged
 * field is counted once more where it stands, as its size comes before it; tags nest at most twice.
 */
#include "proto/kafka/kp.h"
#include "proto/kafka/kp_priv.h"

static bool kp_is_default_struct(const struct kp_struct *s, const uint8_t *from);

/* Whether a field holds what its absence means. */
static bool kp_is_default(const struct kp_field *f, const uint8_t *from)
{
    static const struct kp_uuid zero;
    bool nullable = f->null_from != UINT8_MAX;
    if ((f->flags & KP_FIELD_LIST) != 0) {
        int32_t count = ((const struct kp_list *)(const void *)from)->count;
        return nullable ? count < 0 : count <= 0;
    }
    if (f->type == KP_TYPE_STRUCT && nullable)
        return *(const void *const *)(const void *)from == NULL;
    if (f->type == KP_TYPE_STRUCT)
        return kp_is_default_struct(&kp_structs[f->sub], from);
    if (f->type == KP_TYPE_STRING || f->type == KP_TYPE_BYTES) {
        const struct slice *s = (const struct slice *)(const void *)from;
        return nullable ? s->p == NULL : s->size == 0;
    }
    if (f->type == KP_TYPE_UUID)
        return memcmp(from, &zero, sizeof zero) == 0;
    return kp_load(f, from) == kp_defaults[f->deflt];
}

static bool kp_is_default_struct(const struct kp_struct *s, const uint8_t *from)
{
    const struct kp_field *f = &kp_fields[s->first];
    const struct kp_field *end = f + s->plain_count + s->tagged_count;
    for (; f < end; f++) {
        if (!kp_is_default(f, from + f->offset))
            return false;
    }
    return true;
}

/* One value, neither a list nor a null struct. */
static void kp_write_value(struct kp_out *out, const struct kp_field *f, bool nullable,
                           const uint8_t *from)
{
    bool plain = (f->flags & KP_FIELD_PLAIN) != 0;
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
    case KP_TYPE_I8:
        kp_out_i8(out, (int8_t)kp_load(f, from));
        return;
    case KP_TYPE_I16:
    case KP_TYPE_U16:
        kp_out_i16(out, (int16_t)kp_load(f, from));
        return;
    case KP_TYPE_I32:
        kp_out_i32(out, (int32_t)kp_load(f, from));
        return;
    case KP_TYPE_I64:
    case KP_TYPE_F64:
        kp_out_i64(out, kp_load(f, from));
        return;
    case KP_TYPE_UUID:
        kp_out_uuid(out, (const struct kp_uuid *)from);
        return;
    case KP_TYPE_STRING:
        kp_out_string(out, *(const struct slice *)(const void *)from, nullable, plain);
        return;
    case KP_TYPE_BYTES:
        kp_out_bytes(out, *(const struct slice *)(const void *)from, nullable, plain);
        return;
    case KP_TYPE_STRUCT:
        kp_write_struct(out, &kp_structs[f->sub], from);
        return;
    }
    ASSERT(false); /* no type of the tables */
}

/* sizeof of a list's element. */
static size_t kp_item_size(const struct kp_field *f)
{
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
    case KP_TYPE_I8:
        return 1;
    case KP_TYPE_I16:
    case KP_TYPE_U16:
        return 2;
    case KP_TYPE_I32:
        return 4;
    case KP_TYPE_I64:
    case KP_TYPE_F64:
        return 8;
    case KP_TYPE_UUID:
        return sizeof(struct kp_uuid);
    case KP_TYPE_STRING:
    case KP_TYPE_BYTES:
        return sizeof(struct slice);
    case KP_TYPE_STRUCT:
        return kp_structs[f->sub].size;
    }
    ASSERT(false); /* no type of the tables */
    return 0;
}

static void kp_write_field(struct kp_out *out, const struct kp_field *f, const uint8_t *from)
{
    bool nullable = out->version >= f->null_from;
    if ((f->flags & KP_FIELD_LIST) != 0) {
        const struct kp_list *list = (const struct kp_list *)(const void *)from;
        int32_t count = kp_out_count(out, list->count, nullable);
        size_t size = kp_item_size(f);
        for (int32_t i = 0; i < count; i++)
            kp_write_value(out, f, false, (const uint8_t *)list->v + (size_t)i * size);
    } else if (f->type == KP_TYPE_STRUCT && f->null_from != UINT8_MAX) {
        const uint8_t *p = *(const uint8_t *const *)(const void *)from;
        kp_out_i8(out, p == NULL ? -1 : 1);
        if (p != NULL)
            kp_write_struct(out, &kp_structs[f->sub], p);
    } else {
        kp_write_value(out, f, nullable, from);
    }
}

static void kp_write_tag(struct kp_out *out, const struct kp_field *f, const uint8_t *from)
{
    struct kp_out count = *out;
    count.p = NULL;
    count.size = 0;
    kp_write_field(&count, f, from);
    kp_out_uvarint(out, f->tag);
    kp_out_uvarint(out, (uint32_t)count.size);
    size_t begin = out->size;
    kp_write_field(out, f, from);
    ASSERT(out->size - begin == count.size);
}

static void kp_write_tags(struct kp_out *out, const struct kp_struct *s, const uint8_t *from)
{
    const struct kp_field *tagged = &kp_fields[s->first + s->plain_count];
    uint32_t count = 0;
    uint64_t sent = 0;
    ASSERT(s->tagged_count <= 64);
    for (unsigned i = 0; i < s->tagged_count; i++) {
        const struct kp_field *f = &tagged[i];
        if (kp_is_present(f, out->version) && !kp_is_default(f, from + f->offset)) {
            sent |= UINT64_C(1) << i;
            count++;
        }
    }
    kp_out_uvarint(out, count);
    for (unsigned i = 0; i < s->tagged_count; i++) {
        if ((sent >> i & 1) != 0)
            kp_write_tag(out, &tagged[i], from + tagged[i].offset);
    }
}

void kp_write_struct(struct kp_out *out, const struct kp_struct *s, const uint8_t *from)
{
    const struct kp_field *f = &kp_fields[s->first];
    for (const struct kp_field *end = f + s->plain_count; f < end; f++) {
        if (kp_is_present(f, out->version))
            kp_write_field(out, f, from + f->offset);
    }
    if (out->flexible)
        kp_write_tags(out, s, from);
}

static void kp_write_request_header(struct kp_out *out, const struct kp_request_header *header)
{
    struct kp_out h = *out;
    h.version = out->flexible ? 2 : 1;
    kp_write_struct(&h, &kp_structs[kp_request_header_row.message], (const uint8_t *)header);
    out->size = h.size;
    out->bad = h.bad;
}

/* By hand, for every answer passes here: the fields of headers.kdl. */
void kp_write_response_header(struct kp_out *out, struct kp_kind kind, int32_t correlation_id)
{
    kp_out_i32(out, correlation_id);
    if (kp_is_flexible(kind.api, kind.version) && !kp_row(kind.api)->bare)
        kp_out_i8(out, 0); /* no tags */
}

/* What is encoded: a body, behind a header of either direction or none. */
struct kp_job {
    struct kp_kind kind;
    bool framed;
    struct kp_request_header request;
    int32_t correlation_id;
    const void *message;
};

static void kp_write_job(struct kp_out *out, const struct kp_job *job, size_t total)
{
    struct kp_kind kind = job->kind;
    if (job->framed) {
        kp_out_i32(out, (int32_t)(total - KP_FRAME_PREFIX));
        if (kind.direction == KP_RESPONSE)
            kp_write_response_header(out, kind, job->correlation_id);
        else
            kp_write_request_header(out, &job->request);
    }
    kp_write_struct(out, kp_root(kind), job->message);
}

static int kp_run_job(const struct kp_job *job, struct buf *to)
{
    struct kp_kind kind = job->kind;
    ASSERT(kp_is_known(kind.api, kind.version));
    struct kp_out count = {.version = kind.version,
                           .flexible = kp_is_flexible(kind.api, kind.version)};
    kp_write_job(&count, job, KP_FRAME_PREFIX);
    if (count.bad != 0 || count.size > INT32_MAX)
        return KP_TOO_LARGE;
    if (count.size == 0)
        return 0; /* the request that says nothing */
    struct kp_out out = kp_out_room(&count, to);
    kp_write_job(&out, job, count.size);
    kp_out_done(&out, &count, to);
    return 0;
}

int kp_encode(struct kp_kind kind, const void *message, struct buf *out)
{
    return kp_run_job(&(struct kp_job){.kind = kind, .message = message}, out);
}

int kp_encode_request(struct kp_kind kind, const struct kp_request_header *header,
                      const void *message, struct buf *out)
{
    ASSERT(kind.direction == KP_REQUEST);
    struct kp_job job = {.kind = kind, .framed = true, .request = *header, .message = message};
    job.request.api_key = kp_key(kind.api);
    job.request.api_version = kind.version;
    return kp_run_job(&job, out);
}

int kp_encode_response(struct kp_kind kind, int32_t correlation_id, const void *message,
                       struct buf *out)
{
    ASSERT(kind.direction == KP_RESPONSE);
    return kp_run_job(
        &(struct kp_job){
            .kind = kind, .framed = true, .correlation_id = correlation_id, .message = message},
        out);
}
