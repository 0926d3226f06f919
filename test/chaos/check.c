/* SPDX-License-Identifier: MIT
 *
 * check: judges a topic against the histories of its producers (verdict.h says by what).
 *
 *   chaos_check --server URL --topic T HISTORY...     through the client library
 *   chaos_check_kafka --server HOST:PORT ...          through librdkafka
 *   chaos_check --dir DATA --topic T HISTORY...       from the files of a stopped broker
 *   chaos_check --self-test                           every fault, planted, must be found
 *
 * --retention: the log may begin above 0, and what lies below is expired, not lost. --compacted:
 * only the latest record of each key must be there. Prints one JSON object, then the first faults.
 * Exit 0 clean, 1 faults found, 2 usage or unreadable input.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "test/chaos/history.h"
#include "test/chaos/selftest.h"
#include "test/chaos/sources.h"

#define CHECK_HISTORIES_MAX 256

struct check {
    const char *server;
    const char *dir;
    struct source source;
    FILE *files[CHECK_HISTORIES_MAX];
    struct history_head heads[CHECK_HISTORIES_MAX];
    uint32_t count;
};

static void check_print(const struct verdict_counts *c)
{
    (void)printf("{\"records\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"failed\":%" PRIu64
                 ",\"expired\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"wrong\":%" PRIu64
                 ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"phantom\":%" PRIu64
                 ",\"gaps\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"superseded\":%" PRIu64 "}\n",
                 c->records, c->acked, c->failed, c->expired, c->lost, c->wrong, c->duplicated,
                 c->reordered, c->phantom, c->gaps, c->skipped, c->superseded);
}

/* --- histories ------------------------------------------------------------------------------ */

static int check_open(struct check *c, char **paths, int count)
{
    if (count < 1 || count > CHECK_HISTORIES_MAX)
        return 1;
    for (int i = 0; i < count; i++) {
        struct history_head *h = &c->heads[i];
        c->files[i] = fopen(paths[i], "rb");
        if (c->files[i] == NULL || history_read_head(c->files[i], h) != 0 ||
            h->producer >= (uint32_t)count || h->run != c->heads[0].run ||
            h->partitions != c->heads[0].partitions || h->size_max != c->heads[0].size_max) {
            (void)fprintf(stderr, "check: %s is no history of this run\n", paths[i]);
            return 1;
        }
    }
    c->count = (uint32_t)count;
    c->source.run = c->heads[0].run;
    c->source.size_max = c->heads[0].size_max;
    c->source.partitions = c->heads[0].partitions;
    return 0;
}

static void check_entry(struct verdict *v, uint32_t producer, const struct history_entry *e)
{
    switch (e->kind) {
    case HISTORY_ACKED:
        verdict_acked(v, producer, e->partition, e->sequence, e->offset);
        return;
    case HISTORY_FAILED:
        verdict_failed(v, producer, e->partition, e->sequence);
        return;
    case HISTORY_SENT:
        verdict_sent(v, producer, e->partition, e->sequence);
        return;
    }
}

/* 0, or 1 for a history that is cut off or not ended. */
static int check_history(struct check *c, uint32_t i)
{
    struct history_entry e;
    uint32_t ends = 0;
    int r = 0;
    while ((r = history_read(c->files[i], &e)) == 0 && e.partition < c->source.partitions) {
        ends += e.kind == HISTORY_SENT;
        check_entry(c->source.verdict, c->heads[i].producer, &e);
    }
    if (r == 1 && ends == c->source.partitions)
        return 0;
    (void)fprintf(stderr, "check: the history of producer %u was not ended in order\n",
                  c->heads[i].producer);
    return 1;
}

static int check_run(struct check *c)
{
    struct verdict_counts counts;
    c->source.verdict = verdict_new(c->count, c->source.partitions);
    if (c->source.compacted)
        verdict_compacted(c->source.verdict);
    int r = c->server != NULL ? source_server(&c->source, c->server)
                              : source_folder(&c->source, c->dir);
    for (uint32_t i = 0; r == 0 && i < c->count; i++)
        r = check_history(c, i);
    if (r == 0) {
        verdict_end(c->source.verdict, &counts);
        check_print(&counts);
        (void)fputs(verdict_text(c->source.verdict), stdout);
    }
    c->source.verdict = verdict_free(c->source.verdict);
    if (r != 0)
        return 2;
    return verdict_bad(&counts) ? 1 : 0;
}

static void check_close(struct check *c)
{
    for (size_t i = 0; i < CHECK_HISTORIES_MAX; i++)
        if (c->files[i] != NULL)
            (void)fclose(c->files[i]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},
        {"topic", required_argument, NULL, 't'},
        {"retention", no_argument, NULL, 'r'},
        {"compacted", no_argument, NULL, 'c'},
        {"self-test", no_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    static struct check c;
    int key;
    bool self_test = false;
    while ((key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        c.server = key == 's' ? optarg : c.server;
        c.dir = key == 'd' ? optarg : c.dir;
        c.source.topic = key == 't' ? optarg : c.source.topic;
        c.source.retention = c.source.retention || key == 'r';
        c.source.compacted = c.source.compacted || key == 'c';
        self_test = self_test || key == 'x';
    }
    if (self_test)
        return selftest_run();
    int r = 2;
    if (c.source.topic == NULL || (c.server == NULL) == (c.dir == NULL))
        (void)fprintf(
            stderr, "usage: chaos_check --server URL|HOST:PORT|--dir DATA --topic T [--retention] "
                    "[--compacted] HISTORY...\n       chaos_check --self-test\n");
    else if (check_open(&c, argv + optind, argc - optind) == 0)
        r = check_run(&c);
    check_close(&c);
    return r;
}
