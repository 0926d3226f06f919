/* SPDX-License-Identifier: MIT
 *
 * fuzz_kafka: foreign bytes as Kafka's messages (libFuzzer; corpus in corpus/kafka).
 *
 *   pos  size  meaning
 *   0    1     api key
 *   1    1     version, taken modulo the known ones
 *   2    1     0 request, 1 response, else a whole request frame without its size
 *   3    ..    body, or frame
 *
 * Beyond not crashing: what decodes encodes in the same version; that decodes to the same bytes
 * again; memory stays in proportion to the input; and the hand-written Produce and Fetch agree with
 * the tables, on what is refused too.
 */
#include "engine/base/assert.h"
#include "test/unit/proto/kafka_twin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes a body and encodes it; false when it is refused. */
static bool fuzz_kafka_turn(struct kp_kind kind, struct slice body, struct buf *out)
{
    union kp_any m;
    struct arena a;
    struct buf text = {0};
    struct slice rest = body;
    arena_init(&a, KAFKA_TWIN_ARENA(body.size));
    int r = kp_decode(kind, &rest, &a, &m);
    ASSERT(r != KP_LIMIT);
    if (r == 0) {
        ASSERT(rest.size <= body.size);
        int e = kp_encode(kind, &m, out);
        ASSERT(e == 0);
        kp_print(kind, &m, &text);
        ASSERT(text.size <= 4 * KP_PRINT_SIZE_MAX);
        kafka_twin_response(kind, &m);
    } else {
        ASSERT(kp_condition_text(r) != NULL);
    }
    buf_deinit(&text);
    arena_deinit(&a);
    return r == 0;
}

static void fuzz_kafka_body(struct kp_kind kind, struct slice body)
{
    struct buf first = {0};
    struct buf second = {0};
    kafka_twin_request(kind, body);
    if (fuzz_kafka_turn(kind, body, &first)) {
        bool again = fuzz_kafka_turn(kind, buf_slice(&first), &second);
        ASSERT(again && slice_equal(buf_slice(&first), buf_slice(&second)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
}

static void fuzz_kafka_frame(struct slice frame)
{
    struct kp_request_header h;
    enum kp_api api;
    size_t size = frame.size;
    int r = kp_take_request_header(&frame, &h, &api);
    ASSERT(r == 0 ? frame.size < size : frame.size == size);
    if (r == 0)
        fuzz_kafka_body((struct kp_kind){api, KP_REQUEST, h.api_version}, frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kp_kind kind = {.direction = KP_REQUEST};
    if (size < 3)
        return 0;
    struct slice rest = slice_of(data + 3, size - 3);
    if (data[2] > 1) {
        fuzz_kafka_frame(rest);
        return 0;
    }
    if (kp_find(data[0], &kind.api) != 0)
        return 0;
    struct kp_versions known = kp_known(kind.api);
    kind.direction = data[2] == 0 ? KP_REQUEST : KP_RESPONSE;
    kind.version = (int16_t)(known.min + data[1] % (known.max - known.min + 1));
    fuzz_kafka_body(kind, rest);
    return 0;
}
