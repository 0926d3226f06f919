/* SPDX-License-Identifier: MIT
 *
 * fuzz_nano: foreign bytes as one native message (libFuzzer; corpus in corpus/nano).
 *
 * The front runs on a socket of its own, but messages are handed in behind it, on a route that
 * leads nowhere, so that an input is one deterministic walk: hello, the input, the broker's
 * completions, the answers. Each input is taken as it is and once more as the header of a right
 * frame, with the session and an id put behind (a later field wins) and a few raw bytes.
 *
 * Beyond not crashing: the front's invariants hold, nothing stays with the broker, pins are given
 * back, and what is kept is within the limits.
 */
#include <nanomsg/nn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_session.h"
#include "proto/frame.h"
#include "test/unit/net/fake_broker.h"

#define FUZZ_SESSION 1
#define FUZZ_RAW     "0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nano *fuzz_nano_open(void)
{
    static struct clock_fake clock;
    char dir[] = "/tmp/kauri-fuzz-XXXXXX";
    char url[64];
    struct nano *n = NULL;
    struct broker *b = fake_broker_new();
    clock_fake_init(&clock, 1);
    b->topic_count = 5;
    b->fetch_size = 100;
    b->group_count = b->member_count = b->assigned_count = b->history_count = 3;
    b->row_count = 6;
    ASSERT(mkdtemp(dir) != NULL);
    (void)snprintf(url, sizeof url, "ipc://%s/s", dir);
    struct nano_options o = {
        .broker = b,
        .clock = &clock.clock,
        .url = url,
        .message_size_max = NANO_MESSAGE_SIZE_MIN,
        .in_flight_size_max = 32u * 1024 * 1024,
    };
    int r = nano_open(&o, &n);
    ASSERT(r == 0);
    (void)unlink(url + 6); /* nobody shall come */
    (void)rmdir(dir);
    return n;
}

/* A control header whose pipe does not exist: nanomsg drops what is sent there. */
static void fuzz_nano_route(struct nano *n)
{
    size_t size = 8;
    struct nn_cmsghdr *header = (struct nn_cmsghdr *)(void *)n->route.bytes;
    memset(&n->route, 0xff, sizeof n->route);
    header->cmsg_len = n->route.size = NN_CMSG_SPACE(sizeof size + 8);
    header->cmsg_level = PROTO_SP;
    header->cmsg_type = SP_HDR;
    memcpy(NN_CMSG_DATA(header), &size, sizeof size);
}

static void fuzz_nano_receive(struct nano *n, struct slice bytes)
{
    void *message = nn_allocmsg(bytes.size + 1, 0);
    ASSERT(message != NULL);
    if (bytes.size > 0)
        memcpy(message, bytes.p, bytes.size);
    fuzz_nano_route(n);
    nano_calls_receive(n, message, bytes.size);
    nano_check(n);
}

static void fuzz_nano_hello(struct nano *n)
{
    Kauri__Call call;
    Kauri__Hello hello;
    struct buf out = {0};
    kauri__call__init(&call);
    kauri__hello__init(&hello);
    hello.version = 1;
    call.session = FUZZ_SESSION;
    call.id = 1;
    call.call_case = KAURI__CALL__CALL_HELLO;
    call.hello = &hello;
    frame_pack(&call.base, SLICE_NULL, &out);
    fuzz_nano_receive(n, buf_slice(&out));
    buf_deinit(&out);
}

static void fuzz_nano_one(struct nano *n, struct slice bytes)
{
    fuzz_nano_hello(n);
    fuzz_nano_receive(n, bytes);
    broker_run(n->options.broker);
    nano_flush(n);
    nano_check(n);
    ASSERT(n->stats.running == 0 && n->stats.running_size == 0);
    while (!list_empty(&n->idle)) /* all of them: the input may have opened others */
        nano_session_drop(n, LIST_ENTRY(n->idle.next, struct nano_session, idle));
    ASSERT(n->options.broker->pins == 0);
}

/* With a frame around, and session and id that are known. */
static void fuzz_nano_framed(struct nano *n, struct slice header)
{
    static const uint8_t tail[] = {0x08, FUZZ_SESSION, 0x10, 7};
    struct buf out = {0};
    buf_append_le32(&out, (uint32_t)(header.size + sizeof tail));
    if (header.size > 0)
        buf_append(&out, header.p, header.size);
    buf_append(&out, tail, sizeof tail);
    fuzz_nano_one(n, buf_slice(&out));
    buf_append(&out, FUZZ_RAW, sizeof FUZZ_RAW - 1);
    fuzz_nano_one(n, buf_slice(&out));
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nano *n; /* one for the process: a socket per input would be slow */
    if (n == NULL)
        n = fuzz_nano_open();
    if (size >= NANO_MESSAGE_SIZE_MIN)
        return 0;
    fuzz_nano_one(n, slice_of(data, size));
    fuzz_nano_framed(n, slice_of(data, size));
    return 0;
}
