/* SPDX-License-Identifier: MIT
 *
 * cargo_seal: see cargo_seal.h. One context of libcrypto is keyed once and begun anew for each mac.
 */
#include "net/cargo/cargo_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

/* With their NULs, which part label and content. */
#define CARGO_SEAL_KEY      "kauri ship key 1"
#define CARGO_SEAL_QUESTION "kauri ship call 1"
#define CARGO_SEAL_ANSWER   "kauri ship answer 2"
#define CARGO_SEAL_RAW      "kauri ship raw 1"

#define CARGO_SEAL_TAG_SIZE 16

struct cargo_seal {
    EVP_MAC_CTX *ctx; /* keyed */
    EVP_MAC_CTX *raw; /* Poly1305, keyed anew for each answer */
};

/* --- macs --- */

/* libcrypto fails only where memory ran out or our use of it is wrong. */
static void cargo_seal_begin(EVP_MAC_CTX *ctx, struct slice key)
{
    char digest[] = OSSL_DIGEST_NAME_SHA2_256;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    int r = EVP_MAC_init(ctx, key.p, key.size, key.p != NULL ? params : NULL);
    ASSERT(r == 1);
}

static void cargo_seal_add(EVP_MAC_CTX *ctx, struct slice bytes)
{
    int r = bytes.size == 0 ? 1 : EVP_MAC_update(ctx, bytes.p, bytes.size);
    ASSERT(r == 1);
}

static void cargo_seal_add_u64(EVP_MAC_CTX *ctx, uint64_t v)
{
    uint8_t bytes[8];
    bytes_put_le64(bytes, v);
    cargo_seal_add(ctx, slice_of(bytes, sizeof bytes));
}

static void cargo_seal_end(EVP_MAC_CTX *ctx, uint8_t mac[CARGO_MAC_SIZE])
{
    size_t size = 0;
    int r = EVP_MAC_final(ctx, mac, &size, CARGO_MAC_SIZE);
    ASSERT(r == 1 && size == CARGO_MAC_SIZE);
}

static void cargo_seal_add_call(EVP_MAC_CTX *ctx, const struct cargo_seal_call *of)
{
    cargo_seal_add(ctx, slice_of(of->nonce, CARGO_NONCE_SIZE));
    cargo_seal_add_u64(ctx, of->session);
    cargo_seal_add_u64(ctx, of->id);
}

void cargo_seal_question(struct cargo_seal *s, const struct cargo_seal_call *of, uint64_t sequence,
                         struct slice body, uint8_t mac[CARGO_MAC_SIZE])
{
    cargo_seal_begin(s->ctx, SLICE_NULL);
    cargo_seal_add(s->ctx, slice_of(CARGO_SEAL_QUESTION, sizeof CARGO_SEAL_QUESTION));
    cargo_seal_add_call(s->ctx, of);
    cargo_seal_add_u64(s->ctx, sequence);
    cargo_seal_add_u64(s->ctx, body.size);
    cargo_seal_add(s->ctx, body);
    cargo_seal_end(s->ctx, mac);
}

/* Poly1305 of the raw bytes, under a key of this call's own. */
static void cargo_seal_tag(struct cargo_seal *s, const struct cargo_seal_call *of, struct slice raw,
                           uint8_t tag[CARGO_SEAL_TAG_SIZE])
{
    uint8_t key[CARGO_MAC_SIZE];
    size_t size = 0;
    cargo_seal_begin(s->ctx, SLICE_NULL);
    cargo_seal_add(s->ctx, slice_of(CARGO_SEAL_RAW, sizeof CARGO_SEAL_RAW));
    cargo_seal_add_call(s->ctx, of);
    cargo_seal_end(s->ctx, key);
    int r = EVP_MAC_init(s->raw, key, sizeof key, NULL);
    ASSERT(r == 1);
    cargo_seal_add(s->raw, raw);
    r = EVP_MAC_final(s->raw, tag, &size, CARGO_SEAL_TAG_SIZE);
    ASSERT(r == 1 && size == CARGO_SEAL_TAG_SIZE);
    OPENSSL_cleanse(key, sizeof key);
}

void cargo_seal_answer(struct cargo_seal *s, const struct cargo_seal_call *of, struct slice body,
                       struct slice raw, uint8_t mac[CARGO_MAC_SIZE])
{
    uint8_t tag[CARGO_SEAL_TAG_SIZE];
    if (raw.size > 0)
        cargo_seal_tag(s, of, raw, tag);
    cargo_seal_begin(s->ctx, SLICE_NULL);
    cargo_seal_add(s->ctx, slice_of(CARGO_SEAL_ANSWER, sizeof CARGO_SEAL_ANSWER));
    cargo_seal_add_call(s->ctx, of);
    cargo_seal_add_u64(s->ctx, body.size);
    cargo_seal_add(s->ctx, body);
    cargo_seal_add(s->ctx, slice_of(tag, raw.size > 0 ? sizeof tag : 0));
    cargo_seal_end(s->ctx, mac);
}

bool cargo_seal_equal(struct slice theirs, const uint8_t mac[CARGO_MAC_SIZE])
{
    return theirs.size == CARGO_MAC_SIZE && CRYPTO_memcmp(theirs.p, mac, CARGO_MAC_SIZE) == 0;
}

/* --- the secret --- */

static EVP_MAC_CTX *cargo_seal_context(const char *name)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, name, NULL);
    ASSERT(mac != NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    ASSERT(ctx != NULL);
    return ctx;
}

struct cargo_seal *cargo_seal_new(struct slice secret)
{
    uint8_t key[CARGO_MAC_SIZE];
    ASSERT(secret.size >= CARGO_SECRET_MIN && secret.size <= CARGO_SECRET_MAX);
    struct cargo_seal *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->ctx = cargo_seal_context(OSSL_MAC_NAME_HMAC);
    s->raw = cargo_seal_context(OSSL_MAC_NAME_POLY1305);
    cargo_seal_begin(s->ctx, secret);
    cargo_seal_add(s->ctx, slice_of(CARGO_SEAL_KEY, sizeof CARGO_SEAL_KEY));
    cargo_seal_end(s->ctx, key);
    cargo_seal_begin(s->ctx, slice_of(key, sizeof key));
    OPENSSL_cleanse(key, sizeof key);
    return s;
}

struct cargo_seal *cargo_seal_free(struct cargo_seal *s)
{
    if (s == NULL)
        return NULL;
    EVP_MAC_CTX_free(s->ctx);
    EVP_MAC_CTX_free(s->raw);
    free(s);
    return NULL;
}

/* Reads at most `room` bytes. The count, or -errno. */
static ssize_t cargo_seal_file(const char *path, char *to, size_t room)
{
    int fd CLEANUP(cleanup_fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t size = read(fd, to, room);
    return size < 0 ? -errno : size;
}

static int cargo_seal_make(struct slice secret, const char *where, struct cargo_seal **out,
                           char why[CARGO_SEAL_WHY])
{
    if (secret.size < CARGO_SECRET_MIN || secret.size > CARGO_SECRET_MAX) {
        (void)snprintf(why, CARGO_SEAL_WHY, "the secret in %.200s must have %d to %d bytes", where,
                       CARGO_SECRET_MIN, CARGO_SECRET_MAX);
        return CARGO_SEAL_BAD;
    }
    *out = cargo_seal_new(secret);
    return 0;
}

int cargo_seal_read(const char *secret, const char *path, struct cargo_seal **out,
                    char why[CARGO_SEAL_WHY])
{
    char text[CARGO_SECRET_MAX + 2];
    if (secret[0] == '\0' && path[0] == '\0')
        return CARGO_SEAL_NONE;
    if (secret[0] != '\0' && path[0] != '\0') {
        (void)snprintf(why, CARGO_SEAL_WHY, "ship.secret and ship.secret.file are both set");
        return CARGO_SEAL_BAD;
    }
    if (path[0] == '\0')
        return cargo_seal_make(slice_str(secret), "ship.secret", out, why);
    ssize_t size = cargo_seal_file(path, text, sizeof text - 1);
    if (size < 0) {
        (void)snprintf(why, CARGO_SEAL_WHY, "cannot read ship.secret.file '%.150s': %s", path,
                       error_text((int)size));
        return CARGO_SEAL_BAD;
    }
    text[size] = '\0';
    int r = cargo_seal_make(slice_of(text, strcspn(text, "\r\n")), path, out, why);
    OPENSSL_cleanse(text, sizeof text);
    return r;
}
