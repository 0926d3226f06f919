/* SPDX-License-Identifier: MIT
 *
 * kp: the api table, defaults, and the decoder. See kp.h; the encoder is kp_encode.c.
 *
 * A message is decoded into a local of its size, handed out when all of it was right. The walk
 *
 *   kp_read_struct -> kp_read_field -> kp_read_list | kp_read_maybe -> kp_read_struct
 *
 * follows the tables, whose nesting gen.py bounds (K4).
 */
#include "proto/kafka/kp.h"

#include "proto/kafka/kp_priv.h"

#define KP_REQUEST_START 8u /* key, version, correlation id */

_Static_assert(sizeof(struct kp_list) == 16, "pointer and count, as in every list of kp_gen.h");

const struct kp_api_row *kp_row(enum kp_api api)
{
    ASSERT((unsigned)api < KP_API_COUNT);
    return &kp_apis[api];
}

const struct kp_struct *kp_root(struct kp_kind kind)
{
    ASSERT(kind.direction == KP_REQUEST || kind.direction == KP_RESPONSE);
    return &kp_structs[kp_row(kind.api)->message[kind.direction]];
}

int kp_find(int16_t key, enum kp_api *out)
{
    size_t low = 0;
    size_t high = KP_API_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        ASSERT(middle == 0 || kp_apis[middle - 1].key < kp_apis[middle].key);
        if (kp_apis[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == KP_API_COUNT || kp_apis[low].key != key)
        return KP_UNKNOWN_API;
    *out = (enum kp_api)low;
    return 0;
}

int16_t kp_key(enum kp_api api)
{
    return kp_row(api)->key;
}

const char *kp_name(enum kp_api api)
{
    return kp_row(api)->name;
}

struct kp_versions kp_known(enum kp_api api)
{
    const struct kp_api_row *row = kp_row(api);
    return (struct kp_versions){row->known_min, row->known_max};
}

bool kp_is_offered(enum kp_api api)
{
    return kp_row(api)->offer_min != UINT8_MAX;
}

struct kp_versions kp_offered(enum kp_api api)
{
    const struct kp_api_row *row = kp_row(api);
    ASSERT(kp_is_offered(api));
    return (struct kp_versions){row->offer_min, row->offer_max};
}

bool kp_is_known(enum kp_api api, int16_t version)
{
    const struct kp_api_row *row = kp_row(api);
    return version >= row->known_min && version <= row->known_max;
}

bool kp_is_flexible(enum kp_api api, int16_t version)
{
    return version >= kp_row(api)->flexible;
}

const char *kp_condition_text(int condition)
{
    static const char *const texts[] = {
        [KP_SHORT] = "the message is cut off",
        [KP_BAD_SIZE] = "a size is out of range",
        [KP_BAD_COUNT] = "a count is more than the message can hold",
        [KP_BAD_NULL] = "null where there must be a value",
        [KP_BAD_VARINT] = "a varint is too long",
        [KP_BAD_TAG] = "a tag section is wrong",
        [KP_LIMIT] = "the message needs more memory than a request may have",
        [KP_UNKNOWN_API] = "the api key is unknown",
        [KP_UNKNOWN_VERSION] = "the version is unknown",
        [KP_TOO_LARGE] = "the message is too large to send",
    };
    ASSERT(condition >= KP_SHORT && condition <= KP_TOO_LARGE);
    return texts[condition];
}

size_t kp_size(struct kp_kind kind)
{
    return kp_root(kind)->size;
}

int32_t *kp_throttle(struct kp_kind kind, void *message)
{
    const struct kp_struct *s = kp_root(kind);
    ASSERT(kind.direction == KP_RESPONSE);
    for (size_t i = s->first; i < (size_t)s->first + s->plain_count; i++)
        if (kp_fields[i].type == KP_TYPE_I32 && strcmp(kp_names[i], "throttle_time_ms") == 0)
            return (int32_t *)(void *)((uint8_t *)message + kp_fields[i].offset);
    return NULL;
}

int64_t kp_load(const struct kp_field *f, const uint8_t *from)
{
    int64_t bits;
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
        return *(const bool *)from;
    case KP_TYPE_I8:
        return *(const int8_t *)from;
    case KP_TYPE_I16:
        return *(const int16_t *)(const void *)from;
    case KP_TYPE_U16:
        return *(const uint16_t *)(const void *)from;
    case KP_TYPE_I32:
        return *(const int32_t *)(const void *)from;
    case KP_TYPE_I64:
        return *(const int64_t *)(const void *)from;
    case KP_TYPE_F64:
        memcpy(&bits, from, sizeof bits);
        return bits;
    case KP_TYPE_UUID:
    case KP_TYPE_STRING:
    case KP_TYPE_BYTES:
    case KP_TYPE_STRUCT:
        break;
    }
    ASSERT(false); /* not a number */
    return 0;
}

void kp_store(const struct kp_field *f, uint8_t *to, int64_t value)
{
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
        *(bool *)to = value != 0;
        return;
    case KP_TYPE_I8:
        *(int8_t *)to = (int8_t)value;
        return;
    case KP_TYPE_I16:
        *(int16_t *)(void *)to = (int16_t)value;
        return;
    case KP_TYPE_U16:
        *(uint16_t *)(void *)to = (uint16_t)value;
        return;
    case KP_TYPE_I32:
        *(int32_t *)(void *)to = (int32_t)value;
        return;
    case KP_TYPE_I64:
        *(int64_t *)(void *)to = value;
        return;
    case KP_TYPE_F64:
        memcpy(to, &value, sizeof value);
        return;
    case KP_TYPE_UUID:
    case KP_TYPE_STRING:
    case KP_TYPE_BYTES:
    case KP_TYPE_STRUCT:
        break;
    }
    ASSERT(false); /* not a number */
}

/* The default of one field; zeroed memory is right for most. */
static void kp_init_field(const struct kp_field *f, uint8_t *to)
{
    if ((f->flags & KP_FIELD_LIST) != 0) {
        if (f->null_from != UINT8_MAX)
            ((struct kp_list *)(void *)to)->count = -1;
    } else if (f->type == KP_TYPE_STRUCT) {
        if (f->null_from == UINT8_MAX)
            kp_init_fields(&kp_structs[f->sub], to);
    } else if (f->deflt != 0) {
        kp_store(f, to, kp_defaults[f->deflt]);
    }
}

void kp_init_fields(const struct kp_struct *s, uint8_t *to)
{
    const struct kp_field *f = &kp_fields[s->first];
    const struct kp_field *end = f + s->plain_count + s->tagged_count;
    ASSERT(kp_defaults[0] == 0);
    for (; f < end; f++)
        kp_init_field(f, to + f->offset);
}

void kp_init(struct kp_kind kind, void *message)
{
    const struct kp_struct *s = kp_root(kind);
    memset(message, 0, s->size);
    kp_init_fields(s, message);
}

static void kp_read_struct(struct kp_in *in, const struct kp_struct *s, uint8_t *to);

/* One value, neither a list nor a null struct. */
static void kp_read_value(struct kp_in *in, const struct kp_field *f, bool nullable, uint8_t *to)
{
    bool plain = (f->flags & KP_FIELD_PLAIN) != 0;
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
    case KP_TYPE_I8:
        kp_store(f, to, kp_in_i8(in));
        return;
    case KP_TYPE_I16:
    case KP_TYPE_U16:
        kp_store(f, to, kp_in_i16(in));
        return;
    case KP_TYPE_I32:
        kp_store(f, to, kp_in_i32(in));
        return;
    case KP_TYPE_I64:
    case KP_TYPE_F64:
        kp_store(f, to, kp_in_i64(in));
        return;
    case KP_TYPE_UUID:
        *(struct kp_uuid *)to = kp_in_uuid(in);
        return;
    case KP_TYPE_STRING:
        *(struct slice *)(void *)to = kp_in_string(in, nullable, plain);
        return;
    case KP_TYPE_BYTES:
        *(struct slice *)(void *)to = kp_in_bytes(in, nullable, plain);
        return;
    case KP_TYPE_STRUCT:
        kp_read_struct(in, &kp_structs[f->sub], to);
        return;
    }
    ASSERT(false); /* no type of the tables */
}

/* sizeof and the fewest bytes of a list's element. */
static void kp_item_sizes(const struct kp_in *in, const struct kp_field *f, size_t *size,
                          size_t *wire_min)
{
    static const uint8_t fixed[] = {
        [KP_TYPE_BOOL] = 1, [KP_TYPE_I8] = 1,  [KP_TYPE_I16] = 2, [KP_TYPE_U16] = 2,
        [KP_TYPE_I32] = 4,  [KP_TYPE_I64] = 8, [KP_TYPE_F64] = 8, [KP_TYPE_UUID] = 16};
    if (f->type == KP_TYPE_STRUCT) {
        *size = kp_structs[f->sub].size;
        *wire_min = kp_structs[f->sub].wire_min;
    } else if (f->type == KP_TYPE_STRING || f->type == KP_TYPE_BYTES) {
        *size = sizeof(struct slice);
        *wire_min = in->flexible ? 1 : f->type == KP_TYPE_STRING ? 2 : 4;
    } else {
        ASSERT(f->type < sizeof fixed);
        *size = *wire_min = fixed[f->type];
    }
}

static void kp_read_list(struct kp_in *in, const struct kp_field *f, bool nullable, uint8_t *to)
{
    size_t size, wire_min;
    kp_item_sizes(in, f, &size, &wire_min);
    struct kp_list *list = (struct kp_list *)(void *)to;
    int32_t count = kp_in_count(in, nullable, wire_min);
    *list = (struct kp_list){NULL, count};
    if (count <= 0)
        return;
    uint8_t *items = arena_array(in->arena, (size_t)count, size);
    if (items == NULL) {
        kp_in_fail(in, KP_LIMIT);
        return;
    }
    for (int32_t i = 0; i < count && in->bad == 0; i++)
        kp_read_value(in, f, false, items + (size_t)i * size);
    list->v = items;
}

/* A struct that may be null. */
static void kp_read_maybe(struct kp_in *in, const struct kp_field *f, uint8_t *to)
{
    int8_t present = kp_in_i8(in);
    if (in->bad != 0 || present == -1)
        return;
    if (present != 1) {
        kp_in_fail(in, KP_BAD_NULL);
        return;
    }
    const struct kp_struct *s = &kp_structs[f->sub];
    uint8_t *p = arena_alloc(in->arena, s->size);
    if (p == NULL) {
        kp_in_fail(in, KP_LIMIT);
        return;
    }
    kp_read_struct(in, s, p);
    *(const void **)(void *)to = p;
}

static void kp_read_field(struct kp_in *in, const struct kp_field *f, uint8_t *to)
{
    bool nullable = in->version >= f->null_from;
    ASSERT(kp_is_present(f, in->version));
    if ((f->flags & KP_FIELD_LIST) != 0)
        kp_read_list(in, f, nullable, to);
    else if (f->type == KP_TYPE_STRUCT && f->null_from != UINT8_MAX)
        kp_read_maybe(in, f, to);
    else
        kp_read_value(in, f, nullable, to);
}

/* The tagged field of a number, NULL when the version has none. */
static const struct kp_field *kp_find_tag(const struct kp_struct *s, int64_t tag, int16_t version)
{
    const struct kp_field *f = &kp_fields[s->first + s->plain_count];
    for (const struct kp_field *end = f + s->tagged_count; f < end; f++) {
        if (f->tag == tag && kp_is_present(f, version))
            return f;
    }
    return NULL;
}

static void kp_read_tags(struct kp_in *in, const struct kp_struct *s, uint8_t *to)
{
    struct kp_tags tags;
    kp_in_tags(in, &tags);
    while (kp_in_tag(in, &tags)) {
        const struct kp_field *f = kp_find_tag(s, tags.number, in->version);
        if (f != NULL)
            kp_read_field(&tags.in, f, to + f->offset);
        else
            kp_in_tag_skip(&tags);
        kp_in_tag_end(in, &tags);
    }
}

static void kp_read_struct(struct kp_in *in, const struct kp_struct *s, uint8_t *to)
{
    const struct kp_field *f = &kp_fields[s->first];
    kp_init_fields(s, to);
    for (const struct kp_field *end = f + s->plain_count; f < end && in->bad == 0; f++) {
        if (kp_is_present(f, in->version))
            kp_read_field(in, f, to + f->offset);
    }
    if (in->flexible)
        kp_read_tags(in, s, to);
}

/* A whole message from the front of *from; all or nothing. */
static int kp_read_message(struct kp_in *in, const struct kp_struct *s, struct slice *from,
                           void *message)
{
    union kp_any m;
    ASSERT(s->size <= sizeof m);
    memset(&m, 0, s->size);
    kp_read_struct(in, s, (uint8_t *)&m);
    if (in->bad != 0)
        return in->bad;
    memcpy(message, &m, s->size);
    *from = slice_of(in->p, in->left);
    return 0;
}

int kp_decode(struct kp_kind kind, struct slice *in, struct arena *a, void *message)
{
    ASSERT(kp_is_known(kind.api, kind.version));
    ASSERT(a->limit > 0);
    struct kp_in r = kp_in_of(*in, kind, a);
    return kp_read_message(&r, kp_root(kind), in, message);
}

/* By hand, for every request passes here: the fields of headers.kdl. */
int kp_take_request_header(struct slice *frame, struct kp_request_header *out, enum kp_api *api)
{
    if (frame->size < KP_REQUEST_START)
        return KP_SHORT;
    struct kp_request_header h = {.api_key = (int16_t)bytes_be16(frame->p),
                                  .api_version = (int16_t)bytes_be16(frame->p + 2),
                                  .correlation_id = (int32_t)bytes_be32(frame->p + 4)};
    int r = kp_find(h.api_key, api);
    if (r == 0 && !kp_is_known(*api, h.api_version))
        r = KP_UNKNOWN_VERSION;
    if (r != 0) {
        *out = h;
        return r;
    }
    struct kp_in in = {.p = frame->p + KP_REQUEST_START,
                       .left = frame->size - KP_REQUEST_START,
                       .flexible = kp_is_flexible(*api, h.api_version)};
    h.client_id = kp_in_string(&in, true, true);
    kp_in_skip_tags(&in);
    if (in.bad != 0)
        return in.bad;
    *out = h;
    *frame = slice_of(in.p, in.left);
    return 0;
}

int kp_take_response_header(struct kp_kind kind, struct slice *frame,
                            struct kp_response_header *out)
{
    const struct kp_header_row *row = &kp_response_header_row;
    struct kp_in in = kp_in_of(*frame, kind, NULL); /* no list is in it */
    in.version = in.flexible && !kp_row(kind.api)->bare ? 1 : 0;
    in.flexible = in.version >= row->flexible;
    return kp_read_message(&in, &kp_structs[row->message], frame, out);
}
