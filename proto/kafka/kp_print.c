/* SPDX-License-Identifier: MIT
 *
 * kp_print: a message as one line of text, over the tables. See kp.h. The text is for people and
 * tests; nothing parses it. What a peer sent is escaped, and the whole is bounded.
 */
#include "proto/kafka/kp.h"
#include "proto/kafka/kp_priv.h"

#define KP_PRINT_STRING_MAX 256
#define KP_PRINT_BYTES_MAX  32
#define KP_PRINT_ITEMS_MAX  64

struct kp_printer {
    struct buf *out;
    size_t end; /* no more once the buffer is this large */
    int16_t version;
};

static void kp_print_struct(struct kp_printer *p, const struct kp_struct *s, const uint8_t *from);

static void kp_print_hex(struct kp_printer *p, struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        buf_printf(p->out, "%02x", s.p[i]);
}

static void kp_print_string(struct kp_printer *p, struct slice s)
{
    size_t size = s.size > KP_PRINT_STRING_MAX ? KP_PRINT_STRING_MAX : s.size;
    buf_append_u8(p->out, '"');
    for (size_t i = 0; i < size; i++) {
        uint8_t c = s.p[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            buf_printf(p->out, "\\x%02x", c);
        else
            buf_append_u8(p->out, c);
    }
    buf_printf(p->out, size < s.size ? "..\"" : "\"");
}

static void kp_print_bytes(struct kp_printer *p, struct slice s)
{
    size_t size = s.size > KP_PRINT_BYTES_MAX ? KP_PRINT_BYTES_MAX : s.size;
    buf_printf(p->out, "%zu:", s.size);
    kp_print_hex(p, slice_of(s.p, size));
    if (size < s.size)
        buf_printf(p->out, "..");
}

static void kp_print_slice(struct kp_printer *p, const struct kp_field *f, struct slice s)
{
    if (s.p == NULL && f->null_from != UINT8_MAX && (f->flags & KP_FIELD_LIST) == 0)
        buf_printf(p->out, "null");
    else if (f->type == KP_TYPE_STRING)
        kp_print_string(p, s);
    else
        kp_print_bytes(p, s);
}

static void kp_print_double(struct kp_printer *p, int64_t bits)
{
    double value;
    _Static_assert(sizeof value == sizeof bits, "an f64 is its bits");
    memcpy(&value, &bits, sizeof value);
    if (value != value) /* whatever its sign */
        buf_printf(p->out, "nan");
    else
        buf_printf(p->out, "%.17g", value);
}

/* One value; gives its size in memory. */
static size_t kp_print_value(struct kp_printer *p, const struct kp_field *f, const uint8_t *from)
{
    switch ((enum kp_type)f->type) {
    case KP_TYPE_BOOL:
        buf_printf(p->out, kp_load(f, from) != 0 ? "true" : "false");
        return sizeof(bool);
    case KP_TYPE_I8:
    case KP_TYPE_I16:
    case KP_TYPE_U16:
    case KP_TYPE_I32:
    case KP_TYPE_I64:
        buf_printf(p->out, "%lld", (long long)kp_load(f, from));
        return f->type == KP_TYPE_I8    ? 1
               : f->type == KP_TYPE_I32 ? 4
               : f->type == KP_TYPE_I64 ? 8
                                        : 2;
    case KP_TYPE_F64:
        kp_print_double(p, kp_load(f, from));
        return sizeof(double);
    case KP_TYPE_UUID:
        kp_print_hex(p, slice_of(from, sizeof(struct kp_uuid)));
        return sizeof(struct kp_uuid);
    case KP_TYPE_STRING:
    case KP_TYPE_BYTES:
        kp_print_slice(p, f, *(const struct slice *)(const void *)from);
        return sizeof(struct slice);
    case KP_TYPE_STRUCT:
        kp_print_struct(p, &kp_structs[f->sub], from);
        return kp_structs[f->sub].size;
    }
    ASSERT(false); /* no type of the tables */
    return 0;
}

static void kp_print_list(struct kp_printer *p, const struct kp_field *f,
                          const struct kp_list *list)
{
    const uint8_t *item = list->v;
    if (list->count < 0) {
        buf_printf(p->out, f->null_from == UINT8_MAX ? "[]" : "null");
        return;
    }
    buf_append_u8(p->out, '[');
    for (int32_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_append_u8(p->out, ' ');
        if (i == KP_PRINT_ITEMS_MAX || p->out->size >= p->end) {
            buf_printf(p->out, "..");
            break;
        }
        item += kp_print_value(p, f, item);
    }
    buf_append_u8(p->out, ']');
}

static void kp_print_field(struct kp_printer *p, const struct kp_field *f, const uint8_t *from)
{
    buf_printf(p->out, "%s=", kp_names[f - kp_fields]);
    if ((f->flags & KP_FIELD_LIST) != 0) {
        kp_print_list(p, f, (const struct kp_list *)(const void *)from);
    } else if (f->type == KP_TYPE_STRUCT && f->null_from != UINT8_MAX) {
        const uint8_t *sub = *(const uint8_t *const *)(const void *)from;
        if (sub == NULL)
            buf_printf(p->out, "null");
        else
            kp_print_struct(p, &kp_structs[f->sub], sub);
    } else {
        (void)kp_print_value(p, f, from);
    }
}

static void kp_print_struct(struct kp_printer *p, const struct kp_struct *s, const uint8_t *from)
{
    const struct kp_field *f = &kp_fields[s->first];
    const struct kp_field *end = f + s->plain_count + s->tagged_count;
    bool first = true;
    buf_append_u8(p->out, '{');
    for (; f < end; f++) {
        if (!kp_is_present(f, p->version))
            continue;
        if (!first)
            buf_append_u8(p->out, ' ');
        first = false;
        kp_print_field(p, f, from + f->offset);
    }
    buf_append_u8(p->out, '}');
}

void kp_print(struct kp_kind kind, const void *message, struct buf *out)
{
    ASSERT(out->size <= SIZE_MAX - KP_PRINT_SIZE_MAX);
    struct kp_printer p = {out, out->size + KP_PRINT_SIZE_MAX, kind.version};
    kp_print_struct(&p, kp_root(kind), message);
}
