/* SPDX-License-Identifier: MIT
 *
 * test_seal: a mac depends on every bit of what it covers, and is the one that the protocol says
 * (RFC 4231 proves libcrypto's HMAC, RFC 8439 its Poly1305; here they are laid out by hand once
 * more).
 */
#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/cargo/cargo_seal.h"

#define SECRET "sixteen letters!"

static struct cargo_seal *seal;
static const uint8_t *const nonce = (const uint8_t *)"0123456789abcdef";

static void setup(void)
{
    seal = cargo_seal_new(slice_str(SECRET));
}

static void teardown(void)
{
    seal = cargo_seal_free(seal);
}

START_TEST(test_layout)
{
    static const uint8_t message[] = "kauri ship call 1\0"
                                     "0123456789abcdef"
                                     "\x01\0\0\0\0\0\0\0"
                                     "\x02\0\0\0\0\0\0\0"
                                     "\x03\0\0\0\0\0\0\0"
                                     "\x04\0\0\0\0\0\0\0"
                                     "body";
    uint8_t key[32], wanted[32], mac[32];
    struct cargo_seal_call of = {nonce, 1, 2};
    unsigned size = 0;
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET),
                               (const uint8_t *)"kauri ship key 1", 17, key, &size));
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, 32, message, sizeof message - 1, wanted, &size));
    cargo_seal_question(seal, &of, 3, slice_str("body"), mac);
    ck_assert_mem_eq(mac, wanted, 32);
    ck_assert(cargo_seal_equal(slice_of(wanted, 32), mac));
}
END_TEST

static void poly1305(const uint8_t key[32], const char *text, uint8_t tag[16])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t size = 0;
    ck_assert_int_eq(EVP_MAC_init(ctx, key, 32, NULL), 1);
    ck_assert_int_eq(EVP_MAC_update(ctx, (const uint8_t *)text, strlen(text)), 1);
    ck_assert_int_eq(EVP_MAC_final(ctx, tag, &size, 16), 1);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

/* Raw bytes count by their tag. */
START_TEST(test_layout_of_answers)
{
    static const uint8_t call[] = "kauri ship raw 1\0"
                                  "0123456789abcdef"
                                  "\x01\0\0\0\0\0\0\0"
                                  "\x02\0\0\0\0\0\0\0";
    uint8_t message[] = "kauri ship answer 2\0"
                        "0123456789abcdef"
                        "\x01\0\0\0\0\0\0\0"
                        "\x02\0\0\0\0\0\0\0"
                        "\x04\0\0\0\0\0\0\0"
                        "body"
                        "the tag's place.";
    uint8_t key[32], raw_key[32], wanted[32], mac[32];
    struct cargo_seal_call of = {nonce, 1, 2};
    unsigned size = 0;
    size_t bare = sizeof message - 1 - 16;
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET),
                               (const uint8_t *)"kauri ship key 1", 17, key, &size));
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, 32, call, sizeof call - 1, raw_key, &size));
    poly1305(raw_key, "raw bytes", message + bare);
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, 32, message, bare + 16, wanted, &size));
    cargo_seal_answer(seal, &of, slice_str("body"), slice_str("raw bytes"), mac);
    ck_assert_mem_eq(mac, wanted, 32);
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, 32, message, bare, wanted, &size));
    cargo_seal_answer(seal, &of, slice_str("body"), SLICE_NULL, mac);
    ck_assert_mem_eq(mac, wanted, 32);
}
END_TEST

/* Every bit of raw bytes that are no multiple of anything, and their size. */
START_TEST(test_every_raw_bit_counts)
{
    uint8_t raw[73] = {1, 2, 3}, right[CARGO_MAC_SIZE], mac[CARGO_MAC_SIZE];
    struct cargo_seal_call of = {nonce, 1, 2};
    struct slice body = slice_str("body");
    cargo_seal_answer(seal, &of, body, slice_of(raw, sizeof raw), right);
    for (size_t bit = 0; bit < 8 * sizeof raw; bit++) {
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cargo_seal_answer(seal, &of, body, slice_of(raw, sizeof raw), mac);
        ck_assert(!cargo_seal_equal(slice_of(right, sizeof right), mac));
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < sizeof raw; size++) {
        cargo_seal_answer(seal, &of, body, slice_of(raw, size), mac);
        ck_assert(!cargo_seal_equal(slice_of(right, sizeof right), mac));
    }
    cargo_seal_answer(seal, &of, body, slice_of(raw, sizeof raw), mac);
    ck_assert(cargo_seal_equal(slice_of(right, sizeof right), mac));
}
END_TEST

START_TEST(test_every_part_counts)
{
    uint8_t macs[12][CARGO_MAC_SIZE];
    uint8_t other[CARGO_NONCE_SIZE] = {0};
    struct cargo_seal *stranger = cargo_seal_new(slice_str("another sixteen!"));
    struct slice body = slice_str("body"), raw = slice_str("raw");
    cargo_seal_question(seal, &(struct cargo_seal_call){nonce, 1, 2}, 3, body, macs[0]);
    cargo_seal_question(seal, &(struct cargo_seal_call){nonce, 2, 2}, 3, body, macs[1]);
    cargo_seal_question(seal, &(struct cargo_seal_call){nonce, 1, 3}, 3, body, macs[2]);
    cargo_seal_question(seal, &(struct cargo_seal_call){nonce, 1, 2}, 4, body, macs[3]);
    cargo_seal_question(seal, &(struct cargo_seal_call){nonce, 1, 2}, 3, raw, macs[4]);
    cargo_seal_question(seal, &(struct cargo_seal_call){other, 1, 2}, 3, body, macs[5]);
    cargo_seal_question(stranger, &(struct cargo_seal_call){nonce, 1, 2}, 3, body, macs[6]);
    cargo_seal_answer(seal, &(struct cargo_seal_call){nonce, 1, 2}, body, raw, macs[7]);
    cargo_seal_answer(seal, &(struct cargo_seal_call){nonce, 1, 2}, body, SLICE_NULL, macs[8]);
    cargo_seal_answer(seal, &(struct cargo_seal_call){nonce, 1, 2}, slice_str("bodyraw"),
                      SLICE_NULL, macs[9]);
    cargo_seal_answer(seal, &(struct cargo_seal_call){nonce, 1, 3}, body, raw, macs[10]);
    cargo_seal_answer(stranger, &(struct cargo_seal_call){nonce, 1, 2}, body, raw, macs[11]);
    for (size_t i = 0; i < 12; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert(!cargo_seal_equal(slice_of(macs[i], CARGO_MAC_SIZE), macs[j]));
    ck_assert(!cargo_seal_equal(slice_of(macs[0], CARGO_MAC_SIZE - 1), macs[0]));
    ck_assert(!cargo_seal_equal(SLICE_NULL, macs[0]));
    (void)cargo_seal_free(stranger);
}
END_TEST

static void write_secret(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(test_settings)
{
    char why[CARGO_SEAL_WHY] = "", path[] = "/tmp/kauri-seal-XXXXXX";
    struct cargo_seal *s = NULL;
    uint8_t a[CARGO_MAC_SIZE], b[CARGO_MAC_SIZE];
    struct cargo_seal_call of = {nonce, 1, 2};
    close(mkstemp(path));
    ck_assert_int_eq(cargo_seal_read("", "", &s, why), CARGO_SEAL_NONE);
    ck_assert_int_eq(cargo_seal_read(SECRET, path, &s, why), CARGO_SEAL_BAD);
    ck_assert_int_eq(cargo_seal_read("fifteen letters", "", &s, why), CARGO_SEAL_BAD);
    ck_assert_ptr_null(strstr(why, "fifteen"));
    ck_assert_int_eq(cargo_seal_read("", "/nonexistent/x", &s, why), CARGO_SEAL_BAD);
    ck_assert_ptr_nonnull(strstr(why, "/nonexistent/x"));
    ck_assert_int_eq(cargo_seal_read("", path, &s, why), CARGO_SEAL_BAD); /* empty */
    write_secret(path, SECRET "\nignored\n");
    ck_assert_int_eq(cargo_seal_read("", path, &s, why), 0);
    cargo_seal_question(s, &of, 3, slice_str("x"), a);
    s = cargo_seal_free(s);
    ck_assert_int_eq(cargo_seal_read(SECRET, "", &s, why), 0);
    cargo_seal_question(s, &of, 3, slice_str("x"), b);
    s = cargo_seal_free(s);
    ck_assert_mem_eq(a, b, sizeof a);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("seal");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_layout);
    tcase_add_test(tc, test_layout_of_answers);
    tcase_add_test(tc, test_every_raw_bit_counts);
    tcase_add_test(tc, test_every_part_counts);
    tcase_add_test(tc, test_settings);
    Suite *s = suite_create("cargo/seal");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
