/* SPDX-License-Identifier: MIT
 *
 * rig: see rig.h.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/frame.h"

#define RIG_WAIT_MS 10000

/* A port nobody has now. */
static int rig_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

void rig_init(struct rig *rig, bool tcp)
{
    memset(rig, 0, sizeof *rig);
    snprintf(rig->dir, sizeof rig->dir, "/tmp/kauri-nano-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(rig->dir));
    if (tcp)
        snprintf(rig->url, sizeof rig->url, "tcp://127.0.0.1:%d", rig_free_port());
    else
        snprintf(rig->url, sizeof rig->url, "ipc://%s/run/kauri.sock", rig->dir);
    rig->broker = fake_broker_new();
    clock_fake_init(&rig->clock, 1000000);
    rig->options = (struct nano_options){.broker = rig->broker,
                                         .clock = &rig->clock.clock,
                                         .url = rig->url,
                                         .software = "kauri test",
                                         .seed = 1,
                                         .why = rig->why};
}

void rig_open(struct rig *rig)
{
    int r = nano_open(&rig->options, &rig->nano);
    ck_assert_msg(r == 0, "open: %d, %s", r, rig->why);
    rig->client = client_new(rig->url, 1000);
    rig_answer(rig, rig->client, rig_hello(rig, rig->client));
}

void rig_close(struct rig *rig)
{
    char command[128];
    if (rig->nano != NULL) {
        nano_stop(rig->nano);
        fake_broker_complete(rig->broker, SIZE_MAX);
        ck_assert(nano_stopped(rig->nano));
    }
    rig->nano = nano_close(rig->nano);
    rig->client = client_free(rig->client);
    rig->broker = fake_broker_free(rig->broker);
    snprintf(command, sizeof command, "rm -rf %s", rig->dir);
    ck_assert_int_eq(system(command), 0);
}

struct nano_stats rig_stats(const struct rig *rig)
{
    struct nano_stats stats;
    nano_stats(rig->nano, &stats);
    return stats;
}

static void rig_wait(struct rig *rig, int send_fd)
{
    struct pollfd fds[3] = {{.fd = -1}, {.fd = -1}, {.fd = send_fd, .events = POLLIN}};
    if (nano_wants_read(rig->nano))
        fds[0] = (struct pollfd){.fd = nano_fd(rig->nano), .events = POLLIN};
    if (rig->client != NULL && !rig->client->deaf)
        fds[1] = (struct pollfd){.fd = rig->client->fd, .events = POLLIN};
    int r = poll(fds, 3, RIG_WAIT_MS);
    ck_assert_msg(r > 0, "nothing happens any more");
}

/* True when something happened. */
static bool rig_step(struct rig *rig)
{
    struct nano_stats before = rig_stats(rig);
    size_t done = rig->broker->done;
    ck_assert_int_eq(nano_turn(rig->nano), 0);
    broker_run(rig->broker);
    nano_flush(rig->nano);
    nano_check(rig->nano);
    size_t got = rig->client == NULL ? 0 : client_receive(rig->client);
    struct nano_stats after = rig_stats(rig);
    return got > 0 || after.received != before.received || rig->broker->done != done;
}

void rig_turn(struct rig *rig)
{
    if (!rig_step(rig))
        rig_wait(rig, -1);
}

void rig_send_bytes(struct rig *rig, struct client *c, const void *p, size_t size)
{
    while (!client_send_bytes(c, p, size)) {
        rig_wait(rig, client_send_fd(c));
        rig_step(rig);
    }
}

uint64_t rig_send(struct rig *rig, struct client *c, Kauri__Call *call, struct slice raw)
{
    struct buf out = {0};
    frame_pack(&call->base, raw, &out);
    rig_send_bytes(rig, c, out.p, out.size);
    buf_deinit(&out);
    return call->id;
}

uint64_t rig_hello(struct rig *rig, struct client *c)
{
    Kauri__Call call;
    Kauri__Hello hello;
    kauri__hello__init(&hello);
    hello.version = 1;
    hello.client = frame_borrow("test");
    c->received = 0;
    client_call(c, &call, KAURI__CALL__CALL_HELLO);
    call.hello = &hello;
    return rig_send(rig, c, &call, SLICE_NULL);
}

uint64_t rig_ping(struct rig *rig, struct client *c, bool resync)
{
    Kauri__Call call;
    Kauri__Ping ping;
    kauri__ping__init(&ping);
    client_call(c, &call, KAURI__CALL__CALL_PING);
    call.ping = &ping;
    call.resync = resync;
    return rig_send(rig, c, &call, SLICE_NULL);
}

uint64_t rig_fetch(struct rig *rig, struct client *c, int32_t partition, int64_t offset)
{
    Kauri__Call call;
    Kauri__Fetch fetch;
    Kauri__FetchItem item;
    Kauri__FetchItem *items = &item;
    kauri__fetch__init(&fetch);
    kauri__fetch_item__init(&item);
    item.topic = frame_borrow("t");
    item.partition = partition;
    item.offset = offset;
    item.size_max = fetch.size_max = 1u << 30;
    fetch.items = &items;
    fetch.n_items = 1;
    client_call(c, &call, KAURI__CALL__CALL_FETCH);
    call.fetch = &fetch;
    return rig_send(rig, c, &call, SLICE_NULL);
}

uint64_t rig_produce(struct rig *rig, struct client *c, int acks, struct slice batch)
{
    Kauri__Call call;
    Kauri__Produce produce;
    Kauri__ProduceItem item;
    Kauri__ProduceItem *items = &item;
    kauri__produce__init(&produce);
    kauri__produce_item__init(&item);
    item.topic = frame_borrow("t");
    item.size = (uint32_t)batch.size;
    produce.acks = acks;
    produce.items = &items;
    produce.n_items = 1;
    client_call(c, &call, KAURI__CALL__CALL_PRODUCE);
    call.produce = &produce;
    return rig_send(rig, c, &call, batch);
}

const Kauri__Answer *rig_answer(struct rig *rig, struct client *c, uint64_t id)
{
    RIG_UNTIL(rig, c->got[id].times > 0);
    return c->got[id].answer;
}
