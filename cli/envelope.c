/* SPDX-License-Identifier: MIT
 *
 * envelope: see envelope.h.
 */
#include "cli/envelope.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

static const char envelope_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void envelope_encode(const uint8_t *p, size_t size, struct buf *out)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        buf_append_u8(out, (uint8_t)envelope_digits[v >> 18]);
        buf_append_u8(out, (uint8_t)envelope_digits[v >> 12 & 63]);
        buf_append_u8(out, (uint8_t)(left > 1 ? envelope_digits[v >> 6 & 63] : '='));
        buf_append_u8(out, (uint8_t)(left > 2 ? envelope_digits[v & 63] : '='));
    }
}

/* Appends the bytes; false when the text is no base64. */
static bool envelope_decode(const char *text, size_t size, struct buf *out)
{
    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        uint32_t v = 0;
        size_t pad = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *digit = memchr(envelope_digits, text[i + j], 64);
            bool padding = text[i + j] == '=' && j >= 2 && i + 4 == size;
            if (digit == NULL ? !padding : pad > 0)
                return false;
            pad += digit == NULL;
            v = v << 6 | (digit == NULL ? 0 : (uint32_t)(digit - envelope_digits));
        }
        const uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        buf_append(out, bytes, 3 - pad);
    }
    return true;
}

/* --- in ------------------------------------------------------------------------------------- */

/* Bytes of one field, found first as a position because e->bytes may still move. */
struct envelope_field {
    bool null;
    const char *text; /* in the JSON tree, or NULL: in e->bytes at pos */
    size_t pos;
    size_t size;
};

static int envelope_no(char why[256], const char *text)
{
    (void)snprintf(why, 256, "%s", text);
    return 1;
}

static int envelope_field(struct envelope *e, const json_t *v, bool base64,
                          struct envelope_field *out, char why[256])
{
    *out = (struct envelope_field){.null = v == NULL || json_is_null(v), .pos = e->bytes.size};
    if (out->null)
        return 0;
    if (json_is_string(v) && !base64) {
        out->text = json_string_value(v);
        out->size = json_string_length(v);
        return 0;
    }
    if (base64) {
        const char *text = json_is_string(v) ? json_string_value(v) : "?";
        if (!envelope_decode(text, json_is_string(v) ? json_string_length(v) : 1, &e->bytes))
            return envelope_no(why, "a base64 field is no base64");
    } else {
        char *text CLEANUP(cleanup_free) = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        ASSERT(text != NULL);
        buf_append(&e->bytes, text, strlen(text));
    }
    out->size = e->bytes.size - out->pos;
    return 0;
}

/* Valid once e->bytes moves no more. */
static const void *envelope_pointer(const struct envelope *e, const struct envelope_field *f)
{
    if (f->null)
        return NULL;
    if (f->text != NULL)
        return f->text;
    return f->size == 0 ? (const void *)"" : e->bytes.p + f->pos;
}

static int envelope_pair(struct envelope *e, const char *member, struct envelope_field *out,
                         char why[256])
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s_base64", member);
    const json_t *encoded = json_object_get(e->root, name);
    if (encoded != NULL)
        return envelope_field(e, encoded, true, out, why);
    return envelope_field(e, json_object_get(e->root, member), false, out, why);
}

static int envelope_header(struct envelope *e, const char *name, size_t name_size, const json_t *v,
                           bool base64, struct envelope_field *fields, char why[256])
{
    size_t i = e->record.header_count;
    if (i == ENVELOPE_HEADERS_MAX)
        return envelope_no(why, "too many headers, at most 256");
    e->headers[i].name = name;
    e->headers[i].name_size = name_size;
    e->record.header_count++;
    return envelope_field(e, v, base64, &fields[i], why);
}

static int envelope_headers(struct envelope *e, struct envelope_field *fields, char why[256])
{
    json_t *headers = json_object_get(e->root, "headers");
    const char *name = NULL;
    json_t *v = NULL;
    size_t i = 0;
    if (headers == NULL || json_is_null(headers))
        return 0;
    if (json_is_object(headers)) {
        json_object_foreach(headers, name, v) if (envelope_header(e, name, strlen(name), v, false,
                                                                  fields, why) != 0) return 1;
        return 0;
    }
    if (!json_is_array(headers))
        return envelope_no(why, "headers must be an object or a list of pairs");
    json_array_foreach(headers, i, v)
    {
        const json_t *first = json_array_get(v, 0);
        if (!json_is_string(first) || json_array_size(v) > 3)
            return envelope_no(why, "headers must be an object or a list of pairs");
        if (envelope_header(e, json_string_value(first), json_string_length(first),
                            json_array_get(v, 1), json_is_true(json_array_get(v, 2)), fields,
                            why) != 0)
            return 1;
    }
    return 0;
}

/* A whole number in [min, max], `absent` when it is not there. */
static int envelope_number(const struct envelope *e, const char *member, int64_t max, int64_t *out,
                           char why[256])
{
    const json_t *v = json_object_get(e->root, member);
    *out = -1;
    if (v == NULL || json_is_null(v))
        return 0;
    *out = json_integer_value(v);
    if (json_is_integer(v) && *out >= -1 && *out <= max)
        return 0;
    (void)snprintf(why, 256, "\"%s\" must be a whole number", member);
    return 1;
}

static int envelope_known(const struct envelope *e, char why[256])
{
    static const char *const known[] = {"topic", "partition", "offset",     "timestamp",   "key",
                                        "value", "headers",   "key_base64", "value_base64"};
    const char *name = NULL;
    json_t *v = NULL;
    json_object_foreach(e->root, name, v)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found) {
            (void)snprintf(why, 256, "unknown member \"%.60s\"", name);
            return 1;
        }
    }
    return 0;
}

static int envelope_fill(struct envelope *e, char why[256])
{
    struct envelope_field fields[ENVELOPE_HEADERS_MAX];
    struct envelope_field key, value;
    int64_t partition = -1;
    if (envelope_known(e, why) != 0 || envelope_pair(e, "key", &key, why) != 0 ||
        envelope_pair(e, "value", &value, why) != 0 || envelope_headers(e, fields, why) != 0 ||
        envelope_number(e, "partition", INT32_MAX, &partition, why) != 0 ||
        envelope_number(e, "timestamp", INT64_MAX, &e->record.timestamp_ms, why) != 0)
        return 1;
    e->record.partition = (int32_t)partition;
    e->record.key = envelope_pointer(e, &key);
    e->record.key_size = key.size;
    e->record.value = envelope_pointer(e, &value);
    e->record.value_size = value.size;
    e->record.headers = e->headers;
    for (size_t i = 0; i < e->record.header_count; i++) {
        e->headers[i].value = envelope_pointer(e, &fields[i]);
        e->headers[i].value_size = fields[i].size;
    }
    return 0;
}

int envelope_parse(struct slice line, struct envelope *e, char why[256])
{
    json_error_t error;
    json_decref(e->root);
    buf_reset(&e->bytes);
    e->record = (struct kauri_record){.partition = -1, .timestamp_ms = -1};
    e->root = json_loadb((const char *)line.p, line.size, JSON_ALLOW_NUL, &error);
    if (e->root == NULL) {
        (void)snprintf(why, 256, "no JSON: %s", error.text);
        return 1;
    }
    if (!json_is_object(e->root))
        return envelope_no(why, "want one JSON object a line");
    return envelope_fill(e, why);
}

void envelope_deinit(struct envelope *e)
{
    json_decref(e->root);
    e->root = NULL;
    buf_deinit(&e->bytes);
}

/* --- out ------------------------------------------------------------------------------------ */

static json_t *envelope_base64(const void *p, size_t size)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    envelope_encode(p, size, &text);
    return json_stringn(text.size == 0 ? "" : (const char *)text.p, text.size);
}

static void envelope_put(json_t *object, const char *name, const void *p, size_t size)
{
    char encoded[32];
    json_t *plain = p == NULL ? json_null() : json_stringn(p, size);
    if (plain != NULL) {
        (void)json_object_set_new(object, name, plain);
        return;
    }
    (void)snprintf(encoded, sizeof encoded, "%s_base64", name);
    (void)json_object_set_new(object, encoded, envelope_base64(p, size));
}

static json_t *envelope_header_of(const struct kauri_header *h)
{
    json_t *pair = json_array();
    json_t *name = json_stringn(h->name, h->name_size);
    (void)json_array_append_new(pair, name != NULL ? name : json_string("?"));
    json_t *plain = h->value == NULL ? json_null() : json_stringn(h->value, h->value_size);
    if (plain != NULL) {
        (void)json_array_append_new(pair, plain);
        return pair;
    }
    (void)json_array_append_new(pair, envelope_base64(h->value, h->value_size));
    (void)json_array_append_new(pair, json_true());
    return pair;
}

json_t *envelope_of(const struct kauri_record *r)
{
    json_t *object = json_object();
    ASSERT(object != NULL && r->topic != NULL);
    (void)json_object_set_new(object, "topic", json_string(r->topic));
    (void)json_object_set_new(object, "partition", json_integer(r->partition));
    (void)json_object_set_new(object, "offset", json_integer(r->offset));
    (void)json_object_set_new(object, "timestamp", json_integer(r->timestamp_ms));
    envelope_put(object, "key", r->key, r->key_size);
    envelope_put(object, "value", r->value, r->value_size);
    if (r->header_count == 0)
        return object;
    json_t *headers = json_array();
    for (size_t i = 0; i < r->header_count; i++)
        (void)json_array_append_new(headers, envelope_header_of(&r->headers[i]));
    (void)json_object_set_new(object, "headers", headers);
    return object;
}
