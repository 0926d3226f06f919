/* SPDX-License-Identifier: MIT
 *
 * test_mask: secrets leave a text, the rest of it stays as it is.
 */
#include "cli/mask.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    const char *masked;
} rows[] = {
    {"", ""},
    {"log.dirs=/data\n# a comment\n", "log.dirs=/data\n# a comment\n"},
    {"ssl.keystore.password=geheim\nnext=1\n", "ssl.keystore.password=" MASK "\nnext=1\n"},
    {"PASSWORD: geheim", "PASSWORD: " MASK},
    {"--set ssl.key.password=geheim --kafka off", "--set ssl.key.password=" MASK " --kafka off"},
    {"{\"client_secret\": \"a b\\\"c\", \"x\": 1}", "{\"client_secret\": \"" MASK "\", \"x\": 1}"},
    {"apikey='one two' three", "apikey='" MASK "' three"},
    {"sasl.jaas.config=Login required user=\"u\" pass=\"p\";\nb=2",
     "sasl.jaas.config=" MASK "\nb=2"},
    {"at https://anna:geheim@host:1/x", "at https://anna:" MASK "@host:1/x"},
    {"at ipc:///run/a:b@c and http://host:80/a@b", "at ipc:///run/a:b@c and http://host:80/a@b"},
    {"the password is wrong", "the password is wrong"},
    {"password=", "password="},
    {"password=\"\"", "password=\"\""},
    {"password", "password"},
    {"password=\"open", "password=\"" MASK},
};

START_TEST(texts)
{
    struct buf out = {0};
    mask_text(slice_str(rows[_i].text), &out);
    buf_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.p, rows[_i].masked);
    buf_deinit(&out);
}
END_TEST

START_TEST(names)
{
    ck_assert(mask_is_secret("ssl.keystore.password") && mask_is_secret("SASL.JAAS.CONFIG"));
    ck_assert(mask_is_secret("oauth.token") && mask_is_secret("ssl.keystore.key"));
    ck_assert(!mask_is_secret("log.retention.ms") && !mask_is_secret("key.serializer"));
    ck_assert(!mask_is_secret(""));
}
END_TEST

/* Whatever the bytes are: no read beyond them, and nothing is added but masks. */
START_TEST(any_bytes)
{
    static const char alphabet[] = "password:=\"'/@ \n\\x";
    srand(7);
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = (size_t)(rand() % 40);
        char *text = malloc(size + 1); /* exact, for the sanitizers */
        struct buf out = {0};
        for (size_t i = 0; i < size; i++)
            text[i] = rand() % 5 == 0 ? (char)rand() : alphabet[rand() % (int)sizeof alphabet];
        mask_text(slice_of(text, size), &out);
        ck_assert_uint_le(out.size, size + 40 * strlen(MASK));
        free(text);
        buf_deinit(&out);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/mask");
    TCase *t = tcase_create("mask");
    tcase_add_loop_test(t, texts, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(t, names);
    tcase_add_test(t, any_bytes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
