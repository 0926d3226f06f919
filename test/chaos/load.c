/* SPDX-License-Identifier: MIT
 *
 * load: one producer under the crash harness. Writes records (record.h) to the partitions of one
 * topic in random order until stdin closes or SIGTERM comes, through every death of the broker, and
 * notes each acknowledgement in its history (history.h). Then it waits for what is in flight, ends
 * the history and prints its counters as one JSON object, the longest silence (between two
 * acknowledgements, CLOCK_MONOTONIC) among them. By which client it writes is chosen when
 * it is linked (sender.h): chaos_load is the native one, chaos_load_kafka librdkafka.
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
#include "test/chaos/history.h"
#include "test/chaos/sender.h"

#define LOAD_PARTITIONS_MAX 1024
#define LOAD_FLUSH_MS       90000

struct load {
    struct sender_options options;
    const char *history_path;
    struct history_head head;
    uint64_t seed;
    double rate; /* records a second; 0: as fast as it goes */
    uint64_t records_max;
    /* the run */
    struct sender *sender;
    FILE *history;
    struct random random;
    struct buf value;
    uint64_t sent[LOAD_PARTITIONS_MAX];
    uint64_t sent_all;
    uint64_t acked;
    uint64_t failed;
    uint64_t refused;                   /* the client said no: never sent */
    int64_t acked_us;                   /* the last acknowledgement; 0: none yet */
    int64_t quiet_from_us, quiet_to_us; /* the longest time without one */
    bool broken;                        /* the history could not be written */
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

static void load_acked(struct load *l)
{
    const struct clock *clock = clock_real();
    int64_t now_us = clock->mono_us(clock);
    l->acked++;
    if (l->acked_us > 0 && now_us - l->acked_us > l->quiet_to_us - l->quiet_from_us) {
        l->quiet_from_us = l->acked_us;
        l->quiet_to_us = now_us;
    }
    l->acked_us = now_us;
}

static void load_delivered(void *ctx, const struct sender_report *r)
{
    struct load *l = ctx;
    struct history_entry e = {.kind = r->message == NULL ? HISTORY_ACKED : HISTORY_FAILED,
                              .partition = r->partition,
                              .sequence = r->sequence,
                              .offset = r->offset};
    if (r->message == NULL)
        load_acked(l);
    else if (l->failed++ < 5)
        (void)fprintf(stderr, "load %u: %s\n", l->head.producer, r->message);
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

/* One record, unless the end comes first. False when the client refused it. */
static bool load_one(struct load *l)
{
    uint32_t partition = (uint32_t)random_below(&l->random, l->head.partitions);
    struct record_id id = {.run = l->head.run,
                           .producer = l->head.producer,
                           .partition = partition,
                           .sequence = l->sent[partition]};
    char key[16];
    record_make(&id, l->head.size_max, &l->value);
    int key_size = snprintf(key, sizeof key, "k%u", (unsigned)(id.sequence % RECORD_KEYS));
    struct sender_record r = {.partition = partition,
                              .key = slice_of(key, (size_t)key_size),
                              .value = buf_slice(&l->value),
                              .sequence = id.sequence};
    enum sender_answer answer;
    while ((answer = sender_send(l->sender, &r)) == SENDER_LATER) {
        (void)sender_poll(l->sender, 20);
        if (load_stopped())
            return true;
    }
    l->sent[partition] += answer == SENDER_TAKEN;
    l->sent_all += answer == SENDER_TAKEN;
    l->refused += answer == SENDER_REFUSED;
    return answer == SENDER_TAKEN;
}

static void load_pace(struct load *l, int64_t start_us)
{
    const struct clock *clock = clock_real();
    if (l->rate <= 0) {
        (void)sender_poll(l->sender, 0);
        return;
    }
    for (;;) {
        double due_us = (double)l->sent_all * 1e6 / l->rate;
        double left_us = due_us - (double)(clock->mono_us(clock) - start_us);
        int handled = sender_poll(l->sender, left_us > 1000 ? 1 : 0);
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
            if (load_one(l))
                continue;
            (void)usleep(20000);
            if (l->refused > 10000)
                return;
        }
        load_pace(l, start_us);
    }
}

static int load_end(struct load *l)
{
    size_t outstanding = sender_flush(l->sender, LOAD_FLUSH_MS);
    for (uint32_t i = 0; i < l->head.partitions; i++)
        load_note(l, &(struct history_entry){
                         .kind = HISTORY_SENT, .partition = i, .sequence = l->sent[i]});
    if (fclose(l->history) != 0)
        l->broken = true;
    (void)printf("{\"producer\":%u,\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"failed\":%" PRIu64
                 ",\"refused\":%" PRIu64 ",\"outstanding\":%zu"
                 ",\"quiet_from_us\":%" PRId64 ",\"quiet_to_us\":%" PRId64 "}\n",
                 l->head.producer, l->sent_all, l->acked, l->failed, l->refused, outstanding,
                 l->quiet_from_us, l->quiet_to_us);
    if (l->broken)
        (void)fprintf(stderr, "load %u: cannot write %s\n", l->head.producer, l->history_path);
    return outstanding == 0 && !l->broken ? 0 : 1;
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

static bool load_text(struct load *l, int key, const char *value)
{
    if (key == 's')
        l->options.server = value;
    else if (key == 't')
        l->options.topic = value;
    else if (key == 'h')
        l->history_path = value;
    else if (key == 'c')
        l->options.codec = value;
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
        l->options.linger_ms = (uint32_t)number;
    else if (key == 'n')
        l->records_max = number;
    else if (key == 'k')
        l->options.acks = number == 1 ? 1 : 0;
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
    return optind == argc && l->options.server != NULL && l->options.topic != NULL &&
           l->history_path != NULL && l->head.partitions > 0 &&
           l->head.partitions <= LOAD_PARTITIONS_MAX && l->head.size_max > 0;
}

int main(int argc, char **argv)
{
    static struct load l = {
        .head = {.partitions = 1, .size_max = 200},
        .options = {.codec = "none", .acks = -1, .delivered = load_delivered, .ctx = &l},
        .records_max = UINT64_MAX};
    if (!load_parse(&l, argc, argv)) {
        (void)fprintf(
            stderr,
            "usage: chaos_load --server URL|HOST:PORT --topic T --history FILE [--producer N] "
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
    if (sender_open(&l.options, &l.sender) != 0)
        return 1;
    load_run(&l);
    int r = load_end(&l);
    l.sender = sender_close(l.sender);
    buf_deinit(&l.value);
    return r;
}
