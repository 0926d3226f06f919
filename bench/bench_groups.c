/* SPDX-License-Identifier: MIT
 *
 * bench_groups: loads of consumer groups on the Kafka front, on one thread.
 *
 *   bench_groups members --port P --topic T  makes --groups of --members each over --links
 *                       connections, in the newer protocol with --newer 1; says "settled"; commits
 *                       every partition once with --commit 1; heartbeats for --hold-ms
 *   bench_groups commit  --port P --topic T  --links clients, each the one member of a group of its
 *                       own, with --window requests of --items partitions on their way, for
 *                       --duration-ms; offsets rise and begin again behind --offsets
 *   bench_groups first   --port P            waits for a broker to appear there, then for the
 *                       offsets of the first group of `members`; then counts those of all --groups
 *
 * Answers: members: beats_s and their latency from the scheduled time; commit: requests_s,
 * offsets_s, the latency of a request; first: the monotonic ns of both, the count of offsets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/frames.h"
#include "bench/links.h"
#include "bench/members.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define BENCH_WAIT_NS 60000000000
#define BENCH_TRY_NS  200000

struct bench_run {
    const char *row;
    struct members_options groups;
    int64_t newer;
    int64_t commit;
    int64_t hold_ms;
    int64_t window;
    int64_t items;
    int64_t offsets;
    int64_t duration_ms;
};

/* --- members ---------------------------------------------------------------------------------- */

static void bench_members(struct bench_run *run)
{
    static struct hist h; /* large */
    struct buf line = {0};
    int64_t begin = bench_now_ns();
    run->groups.newer = run->newer != 0;
    struct members *ms = members_open(&run->groups);
    int64_t settled = bench_now_ns();
    if (run->commit)
        members_commit(ms);
    int64_t held = bench_now_ns();
    (void)puts("settled"); /* run.py looks at the broker from now on */
    (void)fflush(stdout);
    int64_t beats = members_hold(ms, run->hold_ms, &h);
    bench_line_begin(&line, run->row);
    bench_line_number(&line, "settle_s", (double)(settled - begin) / 1e9);
    bench_line_number(&line, "commit_s", (double)(held - settled) / 1e9);
    bench_line_number(&line, "beats_s", (double)beats / ((double)(bench_now_ns() - held) / 1e9));
    bench_line_hist(&line, &h);
    bench_line_end(&line);
    members_close(ms);
}

/* --- commit ----------------------------------------------------------------------------------- */

struct bench_client {
    struct bench_commit *all;
    struct frames_member member;
    char group[MEMBERS_GROUP_MAX];
    struct buf frame;
    size_t at[FRAMES_PARTITIONS_MAX]; /* of the offsets in it */
    int64_t *begun;                   /* ring of `window` */
    int64_t sent, done;
};

struct bench_commit {
    const struct bench_run *run;
    struct links *links;
    struct bench_client *v;
    struct hist *latency;
    int64_t begin_ns, end_ns, last_ns;
    int64_t news;
    bool joining;
};

static void bench_commit_send(struct bench_client *c, int64_t now)
{
    const struct bench_run *run = c->all->run;
    int64_t offset = c->sent % run->offsets;
    for (int64_t i = 0; i < run->items; i++)
        bytes_put_be64(c->frame.p + c->at[i], (uint64_t)offset);
    c->begun[c->sent++ % run->window] = now;
    buf_append(links_out(c->all->links, (size_t)(c - c->all->v), c), c->frame.p, c->frame.size);
}

static void bench_commit_answer(void *ctx, void *tag, struct slice frame)
{
    struct bench_commit *all = ctx;
    struct bench_client *c = tag;
    int64_t now = bench_now_ns();
    if (all->joining) {
        all->news += frames_consumer_beaten(frame, &c->member);
        return;
    }
    frames_committed(frame, &c->member);
    hist_add(all->latency, now - c->begun[c->done++ % all->run->window]);
    all->last_ns = now;
    if (now < all->end_ns)
        bench_commit_send(c, now);
}

/* Each the only member of its group, so that the broker looks up a member with each commit. */
static void bench_commit_join(struct bench_commit *all)
{
    all->joining = true;
    do {
        all->news = 0;
        for (int64_t i = 0; i < all->run->groups.links; i++)
            frames_consumer_beat(&all->v[i].member, true,
                                 links_out(all->links, (size_t)i, &all->v[i]));
        links_settle(all->links);
    } while (all->news > 0);
    all->joining = false;
}

static void bench_commit_prepare(struct bench_commit *all, struct bench_client *c)
{
    const struct bench_run *run = all->run;
    int64_t first = c - all->v;
    c->begun = assert_memory(calloc((size_t)run->window, sizeof *c->begun), (size_t)run->window);
    c->member.owned_count = (int32_t)run->items;
    for (int64_t i = 0; i < run->items; i++)
        c->member.owned[i] = (int32_t)((first + i) % run->groups.partitions);
    frames_commit(&c->member, 0, &c->frame);
    frames_commit_at(&c->member, c->at);
}

static void bench_commit_clients(struct bench_commit *all)
{
    int64_t count = all->run->groups.links;
    all->v = assert_memory(calloc((size_t)count, sizeof *all->v), (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        members_group("commit", i, all->v[i].group);
        all->v[i].all = all;
        all->v[i].member.group = all->v[i].group;
        all->v[i].member.topic = all->run->groups.topic;
    }
    bench_commit_join(all);
    for (int64_t i = 0; i < count; i++)
        bench_commit_prepare(all, &all->v[i]);
}

static void bench_commit_report(const struct bench_commit *all)
{
    struct buf line = {0};
    double seconds = (double)(all->last_ns - all->begin_ns) / 1e9, requests = 0;
    for (int64_t i = 0; i < all->run->groups.links; i++)
        requests += (double)all->v[i].done;
    bench_line_begin(&line, all->run->row);
    bench_line_number(&line, "requests_s", requests / seconds);
    bench_line_number(&line, "offsets_s", requests * (double)all->run->items / seconds);
    bench_line_number(&line, "seconds", seconds);
    bench_line_hist(&line, all->latency);
    bench_line_end(&line);
}

static void bench_commits(const struct bench_run *run)
{
    static struct hist h; /* large */
    struct bench_commit all = {.run = run, .latency = &h};
    if (run->window < 1 || run->items < 1 || run->items > run->groups.partitions ||
        run->groups.partitions > FRAMES_PARTITIONS_MAX || run->offsets < 1)
        bench_die("arguments", "want --window, --offsets and --items from 1, at most --partitions");
    all.links = links_open(&(struct links_options){.port = run->groups.port,
                                                   .count = (size_t)run->groups.links,
                                                   .answer = bench_commit_answer,
                                                   .ctx = &all});
    bench_commit_clients(&all);
    all.begin_ns = bench_now_ns();
    all.end_ns = all.begin_ns + run->duration_ms * 1000000;
    for (int64_t i = 0; i < run->window; i++)
        for (int64_t j = 0; j < run->groups.links; j++)
            bench_commit_send(&all.v[j], all.begin_ns);
    links_settle(all.links);
    bench_commit_report(&all);
    for (int64_t i = 0; i < run->groups.links; i++) {
        buf_deinit(&all.v[i].frame);
        free(all.v[i].begun);
    }
    free(all.v);
    links_close(all.links);
}

/* --- first ------------------------------------------------------------------------------------ */

struct bench_fetch {
    size_t offsets;
    int error;
};

static bool bench_there(int64_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd CLEANUP(cleanup_fd) = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        bench_die("socket", strerror(errno));
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static void bench_fetched(void *ctx, void *tag, struct slice frame)
{
    struct bench_fetch *f = ctx;
    (void)tag;
    f->offsets += frames_fetched(frame, &f->error);
}

static void bench_fetch(struct links *l, int64_t group)
{
    char name[MEMBERS_GROUP_MAX];
    members_group("members", group, name);
    frames_fetch(name, links_out(l, 0, NULL));
}

static void bench_first(const struct bench_run *run)
{
    struct bench_fetch f = {.error = FRAMES_LOADING};
    struct buf line = {0};
    bench_sharp_timers();
    (void)puts("waiting"); /* run.py starts the broker now */
    (void)fflush(stdout);
    for (int64_t until = bench_now_ns() + BENCH_WAIT_NS; !bench_there(run->groups.port);) {
        if (bench_now_ns() > until)
            bench_die("first", "nobody listens");
        bench_sleep_until(bench_now_ns() + BENCH_TRY_NS);
    }
    int64_t there = bench_now_ns(), until = there + BENCH_WAIT_NS;
    struct links *l = links_open(&(struct links_options){
        .port = run->groups.port, .count = 1, .answer = bench_fetched, .ctx = &f});
    for (; f.error != 0; bench_sleep_until(bench_now_ns() + BENCH_TRY_NS)) {
        f.offsets = 0;
        bench_fetch(l, 0);
        links_settle(l);
        if (bench_now_ns() > until)
            bench_die("first", "the groups are not read");
    }
    int64_t fetched = bench_now_ns();
    for (int64_t i = 1; i < run->groups.groups; i++)
        bench_fetch(l, i);
    links_settle(l);
    bench_line_begin(&line, run->row);
    bench_line_number(&line, "there_ns", (double)there);
    bench_line_number(&line, "fetched_ns", (double)fetched);
    bench_line_number(&line, "all_ns", (double)bench_now_ns());
    bench_line_number(&line, "offsets", (double)f.offsets);
    bench_line_end(&line);
    links_close(l);
}

int main(int argc, char **argv)
{
    struct bench_run run = {
        .row = "row",
        .groups = {.groups = 1, .members = 1, .links = 1, .partitions = 1, .beat_ms = 3000},
        .window = 1,
        .items = 1,
        .offsets = 1,
        .duration_ms = 3000};
    struct members_options *g = &run.groups;
    const struct bench_option options[] = {{"row", &run.row, NULL},
                                           {"topic", &g->topic, NULL},
                                           {"port", NULL, &g->port},
                                           {"groups", NULL, &g->groups},
                                           {"members", NULL, &g->members},
                                           {"links", NULL, &g->links},
                                           {"partitions", NULL, &g->partitions},
                                           {"beat-ms", NULL, &g->beat_ms},
                                           {"newer", NULL, &run.newer},
                                           {"commit", NULL, &run.commit},
                                           {"hold-ms", NULL, &run.hold_ms},
                                           {"window", NULL, &run.window},
                                           {"items", NULL, &run.items},
                                           {"offsets", NULL, &run.offsets},
                                           {"duration-ms", NULL, &run.duration_ms},
                                           {NULL, NULL, NULL}};
    if (argc < 2)
        bench_die("arguments", "want members, commit or first");
    bench_options(argc, argv, 2, options);
    if (g->port < 1 || g->links < 1 || (g->topic == NULL && strcmp(argv[1], "first") != 0))
        bench_die("arguments", "want --port, --topic and --links from 1");
    if (strcmp(argv[1], "members") == 0)
        bench_members(&run);
    else if (strcmp(argv[1], "commit") == 0)
        bench_commits(&run);
    else
        bench_first(&run);
    return 0;
}
