/* SPDX-License-Identifier: MIT
 *
 * kp_priv: the tables that gen.py writes, and the reader and writer of single values that the
 * interpreter and the hand-written paths share.
 *
 * A reader keeps its first fault: from then on it has no bytes left, every read gives 0, empty or
 * null, and the caller asks once at the end. A writer without memory only counts.
 *
 * Invariants: P1 in->p is never NULL and in->left bytes follow it; P2 in->bad != 0 means
 * in->left == 0; P3 out->size never passes the room that was asked for: counted by
 * a walk before, or the most that it can be.
 */
#pragma once

#include "engine/base/assert.h"
#include "proto/kafka/kp.h"

enum kp_type {
    KP_TYPE_BOOL,
    KP_TYPE_I8,
    KP_TYPE_I16,
    KP_TYPE_U16,
    KP_TYPE_I32,
    KP_TYPE_I64,
    KP_TYPE_F64,
    KP_TYPE_UUID,
    KP_TYPE_STRING,
    KP_TYPE_BYTES,
    KP_TYPE_STRUCT
};

#define KP_FIELD_LIST  1
#define KP_FIELD_PLAIN 2 /* sizes as in plain versions */

/* One field. Versions are 0 to 254; 255 in null_from: never null. */
struct kp_field {
    uint8_t type;
    uint8_t flags;
    uint8_t version_min;
    uint8_t version_max;
    uint8_t null_from;
    uint8_t tag;     /* of the fields behind the plain ones */
    uint16_t offset; /* in the struct */
    uint16_t sub;    /* index of the struct, for KP_TYPE_STRUCT */
    uint16_t deflt;  /* index in kp_defaults */
};

_Static_assert(sizeof(struct kp_field) <= 12, "the tables stay small");

struct kp_struct {
    uint16_t first; /* index of its first field: the plain ones, then the tagged by number */
    uint16_t plain_count;
    uint16_t tagged_count;
    uint16_t wire_min; /* the fewest bytes on the wire, over all versions */
    uint16_t size;     /* sizeof */
};

struct kp_api_row {
    const char *name;
    int16_t key;
    uint8_t known_min;
    uint8_t known_max;
    uint8_t offer_min; /* 255: not offered */
    uint8_t offer_max;
    uint8_t flexible;    /* first flexible version; 255 none */
    bool bare;           /* answers carry header 0 always */
    uint16_t message[2]; /* index of the struct, by direction */
};

struct kp_header_row {
    uint16_t message;
    uint8_t flexible;
};

/* Written by gen.py. */
extern const int64_t kp_defaults[];
extern const struct kp_field kp_fields[];
extern const char *const kp_names[]; /* of the fields, by the same index */
extern const struct kp_struct kp_structs[];
extern const struct kp_api_row kp_apis[KP_API_COUNT]; /* by key */
extern const struct kp_header_row kp_request_header_row;
extern const struct kp_header_row kp_response_header_row;

/* A row of the api table, checked. */
const struct kp_api_row *kp_row(enum kp_api api);
/* The struct of a message; its version is checked. */
const struct kp_struct *kp_root(struct kp_kind kind);
/* Defaults of a struct whose memory is zeroed. */
void kp_init_fields(const struct kp_struct *s, uint8_t *to);

static inline bool kp_is_present(const struct kp_field *f, int16_t version)
{
    return version >= f->version_min && version <= f->version_max;
}

/* A number of any width, as the struct holds it; an f64 by its bits. */
int64_t kp_load(const struct kp_field *f, const uint8_t *from);
void kp_store(const struct kp_field *f, uint8_t *to, int64_t value);

/* ---- Reading ------------------------------------------------------------------------------- */
struct kp_in {
    const uint8_t *p;
    size_t left;
    struct arena *arena; /* NULL where no list can come */
    int16_t version;
    bool flexible;
    int bad;
};

struct kp_in kp_in_of(struct slice bytes, struct kp_kind kind, struct arena *a);
/* Keeps the first fault and drops the rest of the bytes. */
void kp_in_fail(struct kp_in *in, int condition);

/* The next `size` bytes, or NULL and KP_SHORT. */
static inline const uint8_t *kp_in_take(struct kp_in *in, size_t size)
{
    const uint8_t *p = in->p;
    if (size > in->left) {
        kp_in_fail(in, KP_SHORT);
        return NULL;
    }
    in->p += size;
    in->left -= size;
    return p;
}

static inline int8_t kp_in_i8(struct kp_in *in)
{
    const uint8_t *p = kp_in_take(in, 1);
    return p == NULL ? 0 : (int8_t)*p;
}

static inline int16_t kp_in_i16(struct kp_in *in)
{
    const uint8_t *p = kp_in_take(in, 2);
    return p == NULL ? 0 : (int16_t)bytes_be16(p);
}

static inline int32_t kp_in_i32(struct kp_in *in)
{
    const uint8_t *p = kp_in_take(in, 4);
    return p == NULL ? 0 : (int32_t)bytes_be32(p);
}

static inline int64_t kp_in_i64(struct kp_in *in)
{
    const uint8_t *p = kp_in_take(in, 8);
    return p == NULL ? 0 : (int64_t)bytes_be64(p);
}

static inline struct kp_uuid kp_in_uuid(struct kp_in *in)
{
    struct kp_uuid id = {{0}};
    const uint8_t *p = kp_in_take(in, sizeof id.b);
    if (p != NULL)
        memcpy(id.b, p, sizeof id.b);
    return id;
}

uint32_t kp_in_uvarint(struct kp_in *in);
/* `plain`: sizes as in plain versions whatever the message's are. Never NULL unless null. */
struct slice kp_in_string(struct kp_in *in, bool nullable, bool plain);
struct slice kp_in_bytes(struct kp_in *in, bool nullable, bool plain);
/* The count of a list whose elements take at least wire_min > 0 bytes each; -1 null. */
int32_t kp_in_count(struct kp_in *in, bool nullable, size_t wire_min);

/* A tag section, tag by tag:
 *   kp_in_tags(in, &tags); while (kp_in_tag(in, &tags)) { .. kp_in_tag_end(in, &tags); }
 * tags.in is the reader of one payload; what tag_end finds unread there is a fault. */
struct kp_tags {
    uint32_t left;
    int64_t number; /* of the tag at hand */
    struct kp_in in;
};

void kp_in_tags(struct kp_in *in, struct kp_tags *tags);
bool kp_in_tag(struct kp_in *in, struct kp_tags *tags);
void kp_in_tag_end(struct kp_in *in, struct kp_tags *tags);
void kp_in_tag_skip(struct kp_tags *tags);
/* A section of which no tag is known; nothing in plain versions. */
void kp_in_skip_tags(struct kp_in *in);

/* ---- Writing ------------------------------------------------------------------------------- */
struct kp_out {
    uint8_t *p;  /* NULL: count only */
    size_t size; /* written or counted */
    int16_t version;
    bool flexible;
    int bad; /* 0 or KP_TOO_LARGE */
};

static inline void kp_out_put(struct kp_out *out, const void *p, size_t size)
{
    if (out->p != NULL && size > 0)
        memcpy(out->p + out->size, p, size);
    out->size += size;
}

static inline void kp_out_i8(struct kp_out *out, int8_t v)
{
    kp_out_put(out, &v, 1);
}

static inline void kp_out_i16(struct kp_out *out, int16_t v)
{
    uint8_t b[2];
    bytes_put_be16(b, (uint16_t)v);
    kp_out_put(out, b, sizeof b);
}

static inline void kp_out_i32(struct kp_out *out, int32_t v)
{
    uint8_t b[4];
    bytes_put_be32(b, (uint32_t)v);
    kp_out_put(out, b, sizeof b);
}

static inline void kp_out_i64(struct kp_out *out, int64_t v)
{
    uint8_t b[8];
    bytes_put_be64(b, (uint64_t)v);
    kp_out_put(out, b, sizeof b);
}

static inline void kp_out_uuid(struct kp_out *out, const struct kp_uuid *id)
{
    kp_out_put(out, id->b, sizeof id->b);
}

void kp_out_uvarint(struct kp_out *out, uint32_t v);
void kp_out_string(struct kp_out *out, struct slice s, bool nullable, bool plain);
void kp_out_bytes(struct kp_out *out, struct slice s, bool nullable, bool plain);
/* The size of bytes that are sent from elsewhere. */
void kp_out_bytes_size(struct kp_out *out, size_t size);
/* Count of a list; below 0 null. Gives the number of elements to write. */
int32_t kp_out_count(struct kp_out *out, int32_t count, bool nullable);
/* An empty tag section; nothing in plain versions. */
static inline void kp_out_no_tags(struct kp_out *out)
{
    if (out->flexible)
        kp_out_i8(out, 0);
}

/* When a counting walk is done: the writer for the same walk over room at the end of a buffer, and
 * after that walk the buffer's new size. count->size > 0. */
struct kp_out kp_out_room(const struct kp_out *count, struct buf *to);
void kp_out_done(const struct kp_out *out, const struct kp_out *count, struct buf *to);

/* A struct of the tables, in the writer's version. */
void kp_write_struct(struct kp_out *out, const struct kp_struct *s, const uint8_t *from);
/* The header of an answer to a request of this kind. */
void kp_write_response_header(struct kp_out *out, struct kp_kind kind, int32_t correlation_id);
