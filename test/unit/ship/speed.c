/* SPDX-License-Identifier: MIT
 *
 * speed: how fast one peer gives bytes away over loopback: a front in a process of its own, pulls
 * from here. No test of the suite.
 *
 *   ship_speed [SECONDS [PULLS [SECRET]]]     3 s, 2 pulls at once
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "rig.h"

#define SPEED_PULLS_MAX 16
#define SPEED_SIZE      (8u << 20)

static struct rig rig;
static struct rig_call calls[SPEED_PULLS_MAX];

static void speed_serve(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    rig.broker->ship_size = SPEED_SIZE;
    rig_listen(&rig);
    for (;;) {
        struct pollfd fd = {.fd = nano_fd(rig.nano), .events = POLLIN};
        (void)poll(&fd, 1, 100);
        int r = nano_turn(rig.nano);
        ASSERT(r == 0);
        broker_run(rig.broker);
        nano_flush(rig.nano);
    }
}

static void speed_pull(struct rig_call *c)
{
    rig_make(c, SHIP_PULL);
    c->entries[0].size_max = SPEED_SIZE;
    c->call.pull.size_max = SPEED_SIZE;
    rig_send(&rig, c);
}

static void speed_turn(size_t pulls)
{
    struct pollfd fd = {.fd = ship_fd(rig.ship), .events = POLLIN};
    (void)poll(&fd, 1, 10);
    ship_turn(rig.ship);
    for (size_t i = 0; i < pulls; i++)
        if (calls[i].done > 0) {
            rig.link.release(rig.link.ctx, &calls[i].call);
            speed_pull(&calls[i]);
        }
    ship_flush(rig.ship);
}

static int seconds;
static size_t pulls;
static struct cargo_seal *seal;

START_TEST(speed_measure)
{
    struct ship_stats begin, end;
    rig_init(&rig, true);
    rig.options.seal = rig.nano_options.seal = seal;
    pid_t child = fork();
    if (child == 0)
        speed_serve();
    rig_ask(&rig);
    for (size_t i = 0; i < pulls; i++)
        speed_pull(&calls[i]);
    for (int64_t until = rig_now() + 1000; rig_now() < until;)
        speed_turn(pulls);
    ship_stats(rig.ship, &begin);
    int64_t from = rig_now();
    while (rig_now() < from + seconds * 1000)
        speed_turn(pulls);
    int64_t took = rig_now() - from;
    ship_stats(rig.ship, &end);
    printf("%zu pulls, %s: %.0f MB/s, %.0f answers/s, window %zu KiB\n", pulls,
           seal != NULL ? "sealed" : "plain", (double)(end.size - begin.size) / 1e3 / (double)took,
           (double)(end.answered - begin.answered) * 1e3 / (double)took, end.window >> 10);
    kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {speed_measure};
    seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 3;
    pulls = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    seal = argc > 3 ? cargo_seal_new(slice_str(argv[3])) : NULL;
    ASSERT(pulls > 0 && pulls <= SPEED_PULLS_MAX && seconds > 0 && seconds < 10);
    return rig_main("speed", tests, 1);
}
