/* SPDX-License-Identifier: MIT
 *
 * load: one producer under the crash harness. Writes records (record.h) to the partitions of one
 * topic in random order until stdin closes or SIGTERM comes, through every death of the broker, and
 * notes each acknowledgement in its history (history.h). Then it waits for what is in flight, ends
 * the history and prints its counters as one JSON object.
 *
 * The history must lie on a disk that is not the tested one. Exit 0; 1 when records were left
 * without an answer, the history could not be written, or the library failed; 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "net/client/kauri.h"
#include "test/chaos/history.h"

#define LOAD_PARTITIONS_MAX 1024
#define LOAD_FLUSH_MS       90000
#define LOAD_KEYS           97

struct load {
    const char *server;
    const char *topic;
    const char *history_path;
    struct history_head head;
    uint64_t seed;
    double rate; /* records a second; 0: as fast as it goes */
    uint32_t linger_ms;
    int acks;
    enum kauri_codec codec;
    uint64_t records_max;
    /* the run */
    struct kauri *k;
    FILE *history;
    struct random random;
    struct buf value;
    uint64_t sent[LOAD_PARTITIONS_MAX];
    uint64_t sent_all;
    uint64_t acked;
    uint64_t failed;
    uint64_t refused; /* kauri_send said no: never sent */
    bool broken;      /* the history could not be written */
};

static volatile sig_atomic_t load_stop;

static void load_signal(int number)
{
    (void)number;
    load_stop = 1;
}

static void load_note(struct load *l, const struct history_entry *e)
{
    if (history_write(l->history, e) != 0)
        l->broken = true;
}

static void load_delivered(void *ctx, const struct kauri_record *r, int error, const char *message)
{
    struct load *l = ctx;
    struct history_entry e = {.kind = error == 0 ? HISTORY_ACKED : HISTORY_FAILED,
                              .partition = (uint32_t)r->partition,
                              .sequence = (uint64_t)(uintptr_t)r->opaque,
                              .offset = r->offset};
    if (error == 0)
        l->acked++;
    else if (l->failed++ < 5)
        (void)fprintf(stderr, "load %u: %s\n", l->head.producer,
                      message != NULL && message[0] != '\0' ? message : kauri_error_text(error));
    load_note(l, &e);
}

static bool load_stopped(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte[16];
    if (load_stop == 0 && poll(&in, 1, 0) == 1 && read(STDIN_FILENO, byte, sizeof byte) <= 0)
        load_stop = 1;
    return load_stop != 0;
}

/* One record. 0, or a kauri_error that will not pass. */
static int load_one(struct load *l)
{
    uint32_t partition = (uint32_t)random_below(&l->random, l->head.partitions);
    struct record_id id = {.run = l->head.run,
                           .producer = l->head.producer,
                           .partition = partition,
                           .sequence = l->sent[partition]};
    char key[16];
    record_make(&id, l->head.size_max, &l->value);
    int key_size = snprintf(key, sizeof key, "k%u", (unsigned)(id.sequence % LOAD_KEYS));
    struct kauri_record r = {.topic = l->topic,
                             .partition = (int32_t)partition,
                             .timestamp_ms = -1,
                             .key = key,
                             .key_size = (size_t)key_size,
                             .value = l->value.p,
                             .value_size = l->value.size,
                             .opaque = (void *)(uintptr_t)id.sequence};
    for (;;) {
        int error = kauri_send(l->k, &r);
        if (error == 0) {
            l->sent[partition]++;
            l->sent_all++;
            return 0;
        }
        if (error != KAURI_AGAIN && error != KAURI_NO_SERVER && error != KAURI_TIMED_OUT) {
            l->refused++;
            return error;
        }
        (void)kauri_poll(l->k, 20);
        if (load_stopped())
            return 0;
    }
}

static void load_pace(struct load *l, int64_t start_us)
{
    const struct clock *clock = clock_real();
    if (l->rate <= 0) {
        (void)kauri_poll(l->k, 0);
        return;
    }
    for (;;) {
        double due_us = (double)l->sent_all * 1e6 / l->rate;
        double left_us = due_us - (double)(clock->mono_us(clock) - start_us);
        int handled = kauri_poll(l->k, left_us > 1000 ? 1 : 0);
        if (left_us <= 0 || load_stopped())
            return;
        if (handled == 0 && left_us > 500)
            (void)usleep(500);
    }
}

static void load_run(struct load *l)
{
    const struct clock *clock = clock_real();
    int64_t start_us = clock->mono_us(clock);
    while (!load_stopped() && l->sent_all < l->records_max) {
        int burst = 1 + (int)random_below(&l->random, 32);
        for (int i = 0; i < burst; i++) {
            int error = load_one(l);
            if (error == 0)
                continue;
            (void)fprintf(stderr, "load %u: cannot send: %s: %s\n", l->head.producer,
                          kauri_error_text(error), kauri_message(l->k));
            (void)usleep(20000);
            if (l->refused > 10000)
                return;
        }
        load_pace(l, start_us);
    }
}

static int load_end(struct load *l)
{
    int left = kauri_flush(l->k, LOAD_FLUSH_MS);
    size_t outstanding = kauri_outstanding(l->k);
    for (uint32_t i = 0; i < l->head.partitions; i++)
        load_note(l, &(struct history_entry){
                         .kind = HISTORY_SENT, .partition = i, .sequence = l->sent[i]});
    if (fclose(l->history) != 0)
        l->broken = true;
    (void)printf("{\"producer\":%u,\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"failed\":%" PRIu64
                 ",\"refused\":%" PRIu64 ",\"outstanding\":%zu}\n",
                 l->head.producer, l->sent_all, l->acked, l->failed, l->refused, outstanding);
    if (l->broken)
        (void)fprintf(stderr, "load %u: cannot write %s\n", l->head.producer, l->history_path);
    return left == 0 && outstanding == 0 && !l->broken ? 0 : 1;
}

/* --- options -------------------------------------------------------------------------------- */

static const struct option load_options[] = {
    {"server", required_argument, NULL, 's'},   {"topic", required_argument, NULL, 't'},
    {"history", required_argument, NULL, 'h'},  {"producer", required_argument, NULL, 'i'},
    {"run", required_argument, NULL, 'r'},      {"partitions", required_argument, NULL, 'p'},
    {"size-max", required_argument, NULL, 'm'}, {"seed", required_argument, NULL, 'e'},
    {"rate", required_argument, NULL, 'a'},     {"codec", required_argument, NULL, 'c'},
    {"acks", required_argument, NULL, 'k'},     {"linger", required_argument, NULL, 'l'},
    {"records", required_argument, NULL, 'n'},  {NULL, 0, NULL, 0},
};

static bool load_codec(struct load *l, const char *name)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            l->codec = (enum kauri_codec)i;
            return true;
        }
    return false;
}

static bool load_text(struct load *l, int key, const char *value)
{
    if (key == 's')
        l->server = value;
    else if (key == 't')
        l->topic = value;
    else if (key == 'h')
        l->history_path = value;
    else if (key == 'c')
        return load_codec(l, value);
    else
        return false;
    return true;
}

static bool load_number(struct load *l, int key, const char *value)
{
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0')
        return false;
    if (key == 'i')
        l->head.producer = (uint32_t)number;
    else if (key == 'r')
        l->head.run = number;
    else if (key == 'p')
        l->head.partitions = (uint32_t)number;
    else if (key == 'm')
        l->head.size_max = (uint32_t)number;
    else if (key == 'e')
        l->seed = number;
    else if (key == 'a')
        l->rate = (double)number;
    else if (key == 'l')
        l->linger_ms = number == 0 ? UINT32_MAX : (uint32_t)number;
    else if (key == 'n')
        l->records_max = number;
    else if (key == 'k')
        l->acks = number == 1 ? KAURI_ACKS_LEADER : KAURI_ACKS_NONE;
    else
        return false;
    return true;
}

static bool load_parse(struct load *l, int argc, char **argv)
{
    int key;
    while ((key = getopt_long(argc, argv, "", load_options, NULL)) != -1) {
        bool text = strchr("sthc", key) != NULL;
        if (key == '?' || !(text ? load_text(l, key, optarg) : load_number(l, key, optarg)))
            return false;
    }
    return optind == argc && l->server != NULL && l->topic != NULL && l->history_path != NULL &&
           l->head.partitions > 0 && l->head.partitions <= LOAD_PARTITIONS_MAX &&
           l->head.size_max > 0;
}

int main(int argc, char **argv)
{
    static struct load l = {.head = {.partitions = 1, .size_max = 200},
                            .acks = KAURI_ACKS_ALL,
                            .records_max = UINT64_MAX};
    if (!load_parse(&l, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: chaos_load --server URL --topic T --history FILE [--producer N] "
                      "[--run N] [--partitions N] [--size-max N] [--seed N] [--rate N] "
                      "[--codec NAME] [--acks 1|0] [--linger MS] [--records N]\n");
        return 2;
    }
    (void)signal(SIGTERM, load_signal);
    random_init(&l.random, l.seed ^ ((uint64_t)l.head.producer << 32));
    l.history = fopen(l.history_path, "wb");
    if (l.history == NULL || history_write_head(l.history, &l.head) != 0) {
        (void)fprintf(stderr, "load: cannot write %s\n", l.history_path);
        return 1;
    }
    struct kauri_options options = {.server = l.server,
                                    .client_name = "chaos_load",
                                    .linger_ms = l.linger_ms,
                                    .buffer_size = (size_t)8 << 20,
                                    .batch_size = (size_t)32 << 10,
                                    .delivery_timeout_ms = 600000,
                                    .acks = l.acks,
                                    .codec = l.codec,
                                    .delivered = load_delivered,
                                    .ctx = &l};
    int r = kauri_open(&options, &l.k);
    if (r != 0) {
        (void)fprintf(stderr, "load: cannot open %s: %s\n", l.server, kauri_error_text(r));
        return 1;
    }
    load_run(&l);
    r = load_end(&l);
    l.k = kauri_close(l.k);
    buf_deinit(&l.value);
    return r;
}
