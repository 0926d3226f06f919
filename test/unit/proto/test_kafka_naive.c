/* SPDX-License-Identifier: MIT
 *
 * test_kafka_naive: every message in every version against the dumb encoder of kafka_naive.py,
 * whose fixtures are the argument: what it encoded decodes to the values it chose (told by text),
 * with defaults where the version has no field, and encodes to the same bytes. Each body is also
 * cut off at every length and spoilt at every byte, and Produce and Fetch go the hand-written way
 * too.
 */
#include <check.h>
#include <stdlib.h>

#include "kafka_lines.h"
#include "kafka_twin.h"

static const char *fixtures;

struct fixture {
    struct kp_kind kind;
    struct buf body;
    const char *text;
    const char *text_newest;
};

/* What is done with a fixture, and with how many of them: every step-th. */
static void (*check)(const struct fixture *f);
static unsigned step, seen;

static void use(char **words)
{
    struct fixture f = {.text = words[4], .text_newest = words[5]};
    ck_assert_int_eq(kp_find((int16_t)strtol(words[0], NULL, 10), &f.kind.api), 0);
    f.kind.direction = strcmp(words[1], "request") == 0 ? KP_REQUEST : KP_RESPONSE;
    f.kind.version = (int16_t)strtol(words[2], NULL, 10);
    ck_assert(kp_is_known(f.kind.api, f.kind.version));
    kafka_unhex(words[3], &f.body);
    if (seen++ % step == 0)
        check(&f);
    buf_deinit(&f.body);
}

static void each(void (*with)(const struct fixture *f), unsigned every)
{
    check = with;
    step = every;
    kafka_lines(fixtures, "\t", 6, 1000, use);
}

static void check_text(struct kp_kind kind, const void *m, const char *want)
{
    struct buf text = {0};
    kp_print(kind, m, &text);
    buf_append_u8(&text, '\0');
    ck_assert_str_eq((const char *)text.p, want);
    buf_deinit(&text);
}

static void check_values(const struct fixture *f)
{
    union kp_any m;
    struct arena a;
    struct buf again = {0};
    struct slice in = buf_slice(&f->body);
    struct kp_kind newest = f->kind;
    newest.version = kp_known(f->kind.api).max;
    arena_init(&a, KAFKA_TWIN_ARENA(in.size));
    memset(&m, 0xee, sizeof m);
    ck_assert_int_eq(kp_decode(f->kind, &in, &a, &m), 0);
    ck_assert_uint_eq(in.size, 0);
    check_text(f->kind, &m, f->text);
    check_text(newest, &m, f->text_newest);
    ck_assert_int_eq(kp_encode(f->kind, &m, &again), 0);
    ck_assert(slice_equal(buf_slice(&again), buf_slice(&f->body)));
    kafka_twin_request(f->kind, buf_slice(&f->body));
    kafka_twin_response(f->kind, &m);
    buf_deinit(&again);
    arena_deinit(&a);
}

START_TEST(test_values_and_bytes)
{
    each(check_values, 1);
}
END_TEST

/* Decodes a copy of just this size, so that a sanitizer sees a step too far. */
static int decode_copy(const struct fixture *f, const uint8_t *bytes, size_t size)
{
    union kp_any m;
    struct arena a;
    struct buf again = {0};
    uint8_t *copy = malloc(size + 1);
    memcpy(copy + 1, bytes, size);
    struct slice in = slice_of(copy + 1, size);
    arena_init(&a, KAFKA_TWIN_ARENA(size));
    int r = kp_decode(f->kind, &in, &a, &m);
    ck_assert_int_ne(r, KP_LIMIT);
    if (r == 0) {
        ck_assert_int_eq(kp_encode(f->kind, &m, &again), 0);
        kafka_twin_response(f->kind, &m);
    } else {
        ck_assert_ptr_nonnull(kp_condition_text(r));
    }
    kafka_twin_request(f->kind, slice_of(copy + 1, size));
    buf_deinit(&again);
    arena_deinit(&a);
    free(copy);
    return r;
}

static void check_cuts(const struct fixture *f)
{
    for (size_t size = 0; size < f->body.size; size++)
        ck_assert_int_ne(decode_copy(f, f->body.p, size), 0);
}

START_TEST(test_cut_off_at_every_byte)
{
    each(check_cuts, 3);
}
END_TEST

static void check_flips(const struct fixture *f)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (size_t i = 0; i < f->body.size; i++) {
        for (size_t k = 0; k < sizeof flips; k++) {
            f->body.p[i] ^= flips[k];
            (void)decode_copy(f, f->body.p, f->body.size);
            f->body.p[i] ^= flips[k];
        }
    }
}

START_TEST(test_spoilt_at_every_byte)
{
    each(check_flips, 3);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    fixtures = argv[1];
    TCase *tc = tcase_create("kafka_naive");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_values_and_bytes);
    tcase_add_test(tc, test_cut_off_at_every_byte);
    tcase_add_test(tc, test_spoilt_at_every_byte);
    Suite *s = suite_create("proto/kafka_naive");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
