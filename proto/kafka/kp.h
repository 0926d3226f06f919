/* SPDX-License-Identifier: MIT
 *
 * kp: Kafka's wire protocol as data. A schema (*.kdl) says what each message holds in each version;
 * gen.py makes structs and tables of it (kp_gen.h); this is the interpreter of the tables, for both
 * directions. It knows bytes and versions, not what a message means, and no socket.
 *
 *   frame     | size i32 | header | body |           all numbers big endian
 *   header    request 1, 2: key, version, correlation id, client id; response 0, 1: correlation id.
 *             2 and 1 end with a tag section and go with flexible bodies. Answers to ApiVersions
 *             have header 0 always
 *   body      the fields of the version, in the order of the schema
 *
 *             plain versions                     flexible versions
 *   string    i16 size, -1 null                  uvarint size + 1, 0 null
 *   bytes     i32 size, -1 null                  uvarint size + 1, 0 null
 *   list      i32 count, -1 null                 uvarint count + 1, 0 null
 *   struct    its fields                         its fields and a tag section
 *   may be null: struct                          i8 -1 null, 1 present, then the struct
 *   tag section                                  uvarint count; each: uvarint tag and size, bytes
 *
 * Happy path of a server: kp_take_request_header, kp_decode with the arena of the request, work,
 * kp_encode_response. Produce and Fetch have quicker ways: kp_produce.h, kp_fetch.h.
 *
 * Invariants:
 *   K1  what is decoded lies in the frame (strings, bytes) or in the arena (lists), nowhere else
 *   K2  a list is given memory only when its count fits the bytes that remain, and the arena's
 *       limit bounds the sum
 *   K3  fields that a version does not have hold their defaults after decoding and are not sent
 *   K4  the depth of the walk is the schema's; nothing in the bytes can deepen it
 *   K5  what was decoded can be encoded again in the same version
 * Failures: the conditions below. Foreign bytes never assert; a wrong kind or an out-of-range
 * version does, as the caller has checked it.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "proto/kafka/kp_gen.h"

/* Conditions. */
#define KP_SHORT           1  /* the bytes end before the message does */
#define KP_BAD_SIZE        2  /* a size below -1, or a string above KP_STRING_SIZE_MAX */
#define KP_BAD_COUNT       3  /* a count below -1, or more elements than the bytes can hold */
#define KP_BAD_NULL        4  /* null where the version allows none */
#define KP_BAD_VARINT      5  /* a varint of more than 5 bytes or 32 bits */
#define KP_BAD_TAG         6  /* tags that do not ascend, too many, or not of their size */
#define KP_LIMIT           7  /* the arena's limit is passed */
#define KP_UNKNOWN_API     8  /* no such key */
#define KP_UNKNOWN_VERSION 9  /* a key of ours, in a version that is not known */
#define KP_TOO_LARGE       10 /* encoder: a string, bytes or frame beyond what a size can tell */

#define KP_STRING_SIZE_MAX 32767
#define KP_TAGS_MAX        64 /* of one struct, unknown ones included */
#define KP_FRAME_PREFIX    4
#define KP_PRINT_SIZE_MAX  16384

enum kp_direction { KP_REQUEST, KP_RESPONSE };

struct kp_kind {
    enum kp_api api;
    enum kp_direction direction;
    int16_t version;
};

struct kp_versions {
    int16_t min;
    int16_t max;
};

/* The API of a key. 0 or KP_UNKNOWN_API. */
int kp_find(int16_t key, enum kp_api *out) MUST_CHECK;
int16_t kp_key(enum kp_api api);
/* "ListOffsets"; static. */
const char *kp_name(enum kp_api api);
/* What is decoded, and what ApiVersions tells (which may begin lower, see the schema). An API that
 * is known need not be offered; kp_offered wants one that is. */
struct kp_versions kp_known(enum kp_api api);
bool kp_is_offered(enum kp_api api);
struct kp_versions kp_offered(enum kp_api api);
bool kp_is_known(enum kp_api api, int16_t version);
bool kp_is_flexible(enum kp_api api, int16_t version);
/* "a string is too long"; for any condition above, static. */
const char *kp_condition_text(int condition);

/* sizeof of a message's struct. */
size_t kp_size(struct kp_kind kind);
/* Sets a message (not what hangs on it) to its defaults; any version. */
void kp_init(struct kp_kind kind, void *message);

/* Where the struct of a response keeps throttle_time_ms; NULL: it has none. O(its fields). */
int32_t *kp_throttle(struct kp_kind kind, void *message);

/* Takes the header from the front of a frame without its size; the body is what stays in *frame.
 * 0: *out and *api are set. KP_UNKNOWN_API, KP_UNKNOWN_VERSION: the header cannot be read to its
 * end, but out's key, version and correlation id are set (and *api for the latter): ApiVersions is
 * answered even then. Else a condition of the decoder. out->client_id borrows the frame. */
int kp_take_request_header(struct slice *frame, struct kp_request_header *out,
                           enum kp_api *api) MUST_CHECK;
/* The same for the answer to a request of this kind (direction does not matter). */
int kp_take_response_header(struct kp_kind kind, struct slice *frame,
                            struct kp_response_header *out) MUST_CHECK;

/* Takes a body from the front of *in into `message`, the struct of the kind. Strings and bytes
 * borrow the input, lists belong to the arena, whose limit must be set. *in is then what lies
 * behind: Kafka passes over it, so that is the caller's to judge. On a condition neither is
 * touched, but the arena holds what was read so far. */
int kp_decode(struct kp_kind kind, struct slice *in, struct arena *a, void *message) MUST_CHECK;

/* Appends a body. 0, or KP_TOO_LARGE with nothing appended. It is walked twice, sizes first. */
int kp_encode(struct kp_kind kind, const void *message, struct buf *out) MUST_CHECK;
/* Appends a whole frame: size, header and body. The header's key and version come from the kind. */
int kp_encode_request(struct kp_kind kind, const struct kp_request_header *header,
                      const void *message, struct buf *out) MUST_CHECK;
int kp_encode_response(struct kp_kind kind, int32_t correlation_id, const void *message,
                       struct buf *out) MUST_CHECK;

/* Appends the fields of the kind's version as text on one line, for tracing:
 *   {acks=-1 timeout_ms=30000 topics=[{name="t" partitions=[{index=0 records=70:0000ab..}]}]}
 * Bytes are their size and the first of them in hex. Long strings, long lists, and in the end what
 * goes beyond about KP_PRINT_SIZE_MAX bytes are cut, which `..` shows. */
void kp_print(struct kp_kind kind, const void *message, struct buf *out);
