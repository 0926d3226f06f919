/* SPDX-License-Identifier: MIT
 *
 * cargo_seal: who may speak for a broker. HMAC-SHA256 under a key made of the shared secret, over
 * what is told at Ship in proto/kauri.proto; libcrypto computes it.
 *
 * A seal covers the random nonce of the asked broker and the random session number of the asker, so
 * that nothing recorded fits another session, and the sequence of the sending. It hides nothing:
 * bytes travel as they are.
 *
 * Of the raw bytes of an answer (batches, megabytes) the HMAC covers a tag in their place: Poly1305
 * under a key that is the HMAC of the call alone. Why that is as good: whoever alters raw bytes
 * needs either an HMAC of another tag, or other bytes with the same tag under a key that he does
 * not know. He never sees a tag, nor is the key used for another call, so that the best he can do
 * is to guess: at most 2^-79 a try for 256 MiB (8 * blocks of 16 bytes / 2^106). A call that is
 * answered twice tells nothing of its key either, for a tag leaves inside an HMAC only. Poly1305 is
 * seven times as fast as SHA-256 where the processor knows SHA-256, and more where it does not.
 *
 * Invariants: H1 the secret itself is not kept; H2 comparing takes the same time wherever two macs
 * differ.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/error.h"

#define CARGO_MAC_SIZE   32
#define CARGO_NONCE_SIZE 16
#define CARGO_SECRET_MIN 16
#define CARGO_SECRET_MAX 1024
#define CARGO_SEAL_WHY   256

struct cargo_seal;

/* `secret` has CARGO_SECRET_MIN to _MAX bytes; only read. */
struct cargo_seal *cargo_seal_new(struct slice secret);
/* Wipes the key. NULL is fine; returns NULL. */
struct cargo_seal *cargo_seal_free(struct cargo_seal *s);
/* Conditions of cargo_seal_read. */
#define CARGO_SEAL_NONE 1 /* neither is given: *out is untouched */
#define CARGO_SEAL_BAD  2 /* both are given, or a secret of a wrong size, or no file: see why */
/* The seal of the settings ship.secret and ship.secret.file, "" where not set. The file's bytes
 * count up to its first line end. *out is owned. */
int cargo_seal_read(const char *secret, const char *path, struct cargo_seal **out,
                    char why[CARGO_SEAL_WHY]) MUST_CHECK;

/* What one call is known by. */
struct cargo_seal_call {
    const uint8_t *nonce; /* CARGO_NONCE_SIZE bytes, of the session's hello */
    uint64_t session;
    uint64_t id;
};

void cargo_seal_question(struct cargo_seal *s, const struct cargo_seal_call *of, uint64_t sequence,
                         struct slice body, uint8_t mac[CARGO_MAC_SIZE]);
void cargo_seal_answer(struct cargo_seal *s, const struct cargo_seal_call *of, struct slice body,
                       struct slice raw, uint8_t mac[CARGO_MAC_SIZE]);
/* Constant time; false for another size. */
bool cargo_seal_equal(struct slice theirs, const uint8_t mac[CARGO_MAC_SIZE]);
