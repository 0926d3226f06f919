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

#include "engine/base/assert.h"

int64_t rig_now(void)
{
    return clock_real()->mono_ms(clock_real());
}

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

static void rig_log(void *ctx, int level, const char *line)
{
    struct rig *rig = ctx;
    ck_assert_int_le(level, 2);
    snprintf(rig->line, sizeof rig->line, "%s", line);
    rig->lines++;
}

void rig_set(struct rig *rig, const char *key, const char *value)
{
    char why[256];
    int r = config_set(rig->config, CONFIG_FROM_FLAG, slice_str(key), slice_str(value), why);
    ck_assert_msg(r == 0, "%s", why);
}

void rig_init(struct rig *rig, bool tcp)
{
    struct clock *clock = (struct clock *)(uintptr_t)clock_real();
    memset(rig, 0, sizeof *rig);
    snprintf(rig->dir, sizeof rig->dir, "/tmp/kauri-ship-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(rig->dir));
    if (tcp)
        snprintf(rig->url, sizeof rig->url, "tcp://127.0.0.1:%d", rig_free_port());
    else
        snprintf(rig->url, sizeof rig->url, "ipc://%s/s", rig->dir);
    memcpy(rig->dial, rig->url, sizeof rig->dial);
    rig->config = config_new();
    rig->broker = fake_broker_new();
    rig->broker->ship_size = 1000;
    rig->broker->record_count = 10;
    rig->nano_options = (struct nano_options){.broker = rig->broker,
                                              .clock = clock,
                                              .url = rig->url,
                                              .seed = 1,
                                              .log = rig_log,
                                              .ctx = rig};
    rig->options = (struct ship_options){
        .clock = clock, .config = rig->config, .broker_id = 2, .log = rig_log, .ctx = rig};
}

void rig_listen(struct rig *rig)
{
    char why[NANO_WHY_SIZE] = "";
    rig->nano_options.why = why;
    int r = nano_open(&rig->nano_options, &rig->nano);
    ck_assert_msg(r == 0, "open: %d, %s", r, why);
}

void rig_kill(struct rig *rig)
{
    if (rig->nano == NULL)
        return;
    nano_stop(rig->nano);
    fake_broker_complete(rig->broker, SIZE_MAX);
    ck_assert(nano_stopped(rig->nano));
    rig->nano = nano_close(rig->nano);
    ck_assert_uint_eq(rig->broker->pins, 0);
}

void rig_ask(struct rig *rig)
{
    ck_assert_int_eq(ship_open(&rig->options, &rig->ship), 0);
    rig->link = ship_link(rig->ship);
}

void rig_close(struct rig *rig)
{
    char command[128];
    struct ship_stats stats = {0};
    if (rig->ship != NULL) {
        rig->link.cancel(rig->link.ctx);
        ship_turn(rig->ship);
        ship_stats(rig->ship, &stats);
    }
    ck_assert_uint_eq(stats.calls, 0);
    rig->ship = ship_close(rig->ship);
    rig_kill(rig);
    rig->broker = fake_broker_free(rig->broker);
    rig->config = config_free(rig->config);
    snprintf(command, sizeof command, "rm -rf %s", rig->dir);
    ck_assert_int_eq(system(command), 0);
}

static void rig_wait(struct rig *rig, int64_t wait_ms)
{
    struct pollfd fds[2] = {{.fd = ship_fd(rig->ship), .events = POLLIN}, {.fd = -1}};
    int64_t next = ship_next_ms(rig->ship);
    int64_t until = rig_now() + wait_ms;
    if (rig->nano != NULL)
        fds[1] = (struct pollfd){.fd = nano_fd(rig->nano), .events = POLLIN};
    next = next < until ? next : until;
    next -= rig_now();
    (void)poll(fds, 2, next > 0 ? (int)next : 0);
}

void rig_turn(struct rig *rig, int wait_ms)
{
    rig_wait(rig, wait_ms);
    if (rig->nano != NULL)
        ck_assert_int_eq(nano_turn(rig->nano), 0);
    ship_turn(rig->ship);
    ship_check(rig->ship);
    broker_run(rig->broker);
    if (rig->nano != NULL) {
        nano_flush(rig->nano);
        nano_check(rig->nano);
    }
    ship_flush(rig->ship);
    ship_check(rig->ship);
}

static void rig_done(struct ship_call *call)
{
    struct rig_call *c = call->ctx;
    ck_assert_ptr_eq(call, &c->call);
    c->done++;
}

void rig_make(struct rig_call *c, enum ship_kind kind)
{
    *c =
        (struct rig_call){.call = {.kind = kind, .from = 2, .to = 1, .broker_epoch = 5, .term = 6}};
    c->call.done = rig_done;
    c->call.ctx = c;
    snprintf(c->call.cluster_id, sizeof c->call.cluster_id, "BBBBBBBBBBBBBBBBBBBBBB");
    if (kind == SHIP_REGISTER)
        c->call.reg.node = (struct ship_node){.id = 2, .native = "tcp://127.0.0.1:1"};
    if (kind == SHIP_RECORDS)
        c->call.records.since = -1;
    if (kind == SHIP_VOTE)
        c->call.vote.term = 6;
    if (kind == SHIP_ADMIN)
        c->call.admin.req = (struct broker_admin){.op = BROKER_INIT_PRODUCER};
    if (kind != SHIP_PULL)
        return;
    c->call.pull = (struct ship_pull){.entries = c->entries, .count = 1, .size_max = 1u << 20};
    c->entries[0] = (struct ship_pull_entry){.offset = 100, .last_epoch = -1, .size_max = 1000};
}

void rig_send(struct rig *rig, struct rig_call *c)
{
    c->done = 0;
    rig->link.send(rig->link.ctx, rig->dial, &c->call);
    ck_assert_uint_eq(c->done, 0);
}

enum broker_status rig_run(struct rig *rig, struct rig_call *c)
{
    rig_send(rig, c);
    RIG_UNTIL(rig, c->done > 0);
    ck_assert_uint_eq(c->done, 1);
    if (!c->kept)
        rig->link.release(rig->link.ctx, &c->call);
    return c->call.status;
}

int rig_main(const char *name, const TTest *const *tests, size_t count)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 20);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    Suite *s = suite_create(name);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
