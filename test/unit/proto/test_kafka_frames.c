/* SPDX-License-Identifier: MIT
 *
 * test_kafka_frames: whole frames as other programs encode them (kafka_frames.txt, the argument):
 * each decodes to its end and encodes to the same bytes again, the hand-written way too; and none
 * of them, cut off at any length or spoilt at any byte, does harm or takes more memory than it may.
 */
#include <check.h>
#include <stdlib.h>

#include "kafka_lines.h"
#include "kafka_twin.h"

static const char *frames;

/* Decodes a frame without its size, header first, and encodes it again with its size. 0 or a
 * condition. */
static int through(enum kp_direction direction, struct kp_kind kind, struct slice in,
                   struct buf *again)
{
    union kp_any m;
    struct kp_request_header request;
    struct kp_response_header response;
    struct arena a;
    int r = direction == KP_REQUEST ? kp_take_request_header(&in, &request, &kind.api)
                                    : kp_take_response_header(kind, &in, &response);
    if (r != 0)
        return r;
    if (direction == KP_REQUEST)
        kind.version = request.api_version;
    kafka_twin_request(kind, in);
    arena_init(&a, KAFKA_TWIN_ARENA(in.size));
    r = kp_decode(kind, &in, &a, &m);
    ck_assert_int_ne(r, KP_LIMIT);
    if (r == 0 && direction == KP_REQUEST)
        r = kp_encode_request(kind, &request, &m, again);
    else if (r == 0)
        r = kp_encode_response(kind, response.correlation_id, &m, again);
    if (r == 0)
        kafka_twin_response(kind, &m);
    arena_deinit(&a);
    return r;
}

struct frame {
    struct kp_kind kind;
    struct buf bytes; /* with the size */
};

/* A copy of just this size, so that a sanitizer sees a step too far. */
static int through_copy(const struct frame *f, size_t size)
{
    struct buf again = {0};
    uint8_t *copy = malloc(size + 1);
    memcpy(copy + 1, f->bytes.p + KP_FRAME_PREFIX, size);
    int r = through(f->kind.direction, f->kind, slice_of(copy + 1, size), &again);
    free(copy);
    buf_deinit(&again);
    return r;
}

static void check_same(struct frame *f)
{
    struct buf again = {0};
    struct slice all = buf_slice(&f->bytes);
    ck_assert_uint_eq(bytes_be32(all.p), all.size - KP_FRAME_PREFIX);
    struct slice in = slice_of(all.p + KP_FRAME_PREFIX, all.size - KP_FRAME_PREFIX);
    ck_assert_int_eq(through(f->kind.direction, f->kind, in, &again), 0);
    ck_assert_msg(slice_equal(all, buf_slice(&again)), "%s %s v%d", kp_name(f->kind.api),
                  f->kind.direction == KP_REQUEST ? "request" : "response", f->kind.version);
    buf_deinit(&again);
}

static void check_cuts(struct frame *f)
{
    for (size_t size = 0; size < f->bytes.size - KP_FRAME_PREFIX; size++)
        ck_assert_int_ne(through_copy(f, size), 0);
}

static void check_flips(struct frame *f)
{
    for (size_t i = KP_FRAME_PREFIX; i < f->bytes.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f->bytes.p[i] ^= (uint8_t)(1u << bit);
            (void)through_copy(f, f->bytes.size - KP_FRAME_PREFIX);
            f->bytes.p[i] ^= (uint8_t)(1u << bit);
        }
    }
}

static void (*check)(struct frame *f);

static void use(char **words)
{
    struct frame f = {.kind.direction =
                          strcmp(words[0], "request") == 0 ? KP_REQUEST : KP_RESPONSE};
    ck_assert_int_eq(kp_find((int16_t)strtol(words[1], NULL, 10), &f.kind.api), 0);
    f.kind.version = (int16_t)strtol(words[2], NULL, 10);
    kafka_unhex(words[3], &f.bytes);
    check(&f);
    buf_deinit(&f.bytes);
}

START_TEST(test_same_bytes)
{
    check = check_same;
    kafka_lines(frames, " ", 4, 100, use);
}
END_TEST

START_TEST(test_cut_off_at_every_byte)
{
    check = check_cuts;
    kafka_lines(frames, " ", 4, 100, use);
}
END_TEST

START_TEST(test_every_bit_flipped)
{
    check = check_flips;
    kafka_lines(frames, " ", 4, 100, use);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    frames = argv[1];
    TCase *tc = tcase_create("kafka_frames");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_same_bytes);
    tcase_add_test(tc, test_cut_off_at_every_byte);
    tcase_add_test(tc, test_every_bit_flipped);
    Suite *s = suite_create("proto/kafka_frames");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
