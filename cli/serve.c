/* SPDX-License-Identifier: MIT
 *
 * serve: opens the data folder, listens, and turns until it is told to stop. See serve.h.
 *
 * One turn of the loop, after the descriptors were polled (serve_turn):
 *
 *   nano_turn, kafka_turn        requests come in
 *   ship_turn                    answers of other brokers
 *   work_drain                   what workers finished
 *   broker_run                   timers, rounds, completions
 *   nano_flush, kafka_flush      answers go out
 *   ship_flush                   and questions to other brokers
 *   http_turn                    who watches is answered last
 *
 * The libuv timer and polls only wake the loop; nothing happens in their callbacks, so a turn's
 * order is always the same: sockets are read before the broker's timers fire. After a turn longer
 * than SERVE_STALL_MS they are read until they are empty, for a slow disk must expire nobody.
 *
 *   running --SIGTERM, SIGINT--> stopping --all stopped--> closed, exit 0
 *      |                            |
 *      | fatal: exit 9              | second signal: exit 128 + n at once
 *
 * Failures: see serve_open_failed and serve_listen_failed; a broker that cannot trust its disk any
 * more says so through serve_fatal, after which nothing is answered.
 */
#include "cli/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cmd.h"
#include "cli/notify.h"
#include "cli/report.h"
#include "cli/serve_cluster.h"
#include "cli/serve_http.h"
#include "cli/serve_priv.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/guard.h"
#include "engine/base/io.h"
#include "engine/base/random.h"
#include "engine/base/work.h"
#include "engine/broker/broker.h"
#include "net/http/http.h"
#include "net/kafka/kafka.h"
#include "net/nano/nano.h"
#include "net/ship/ship.h"

#define SERVE_STALL_MS      200
#define SERVE_SIGNALS       4
#define SERVE_LOCK_TRIES    25
#define SERVE_LOCK_PAUSE_US 20000
#define SERVE_DRAINS_MAX    64 /* nano_turn calls of one front after a stall */
#define SERVE_MARGIN        ((size_t)1024 * 1024)
#define SERVE_MESSAGE_MIN   ((size_t)16 * 1024 * 1024)
#define SERVE_FILES_MIN     ((size_t)256)
#define SERVE_FILES_MAX     ((size_t)65536)
#define SERVE_READERS_MAX                                                                          \
    ((size_t)4096) /* each up to three mappings, of 65,530 a process may have */

struct serve_front {
    struct nano *nano; /* owned */
    uv_poll_t poll;
    bool polled;
};

struct serve {
    struct serve_setup setup;
    struct io *io;
    struct work *work;
    struct clock clock;
    struct broker *broker;
    struct serve_front fronts[SERVE_FRONTS_MAX];
    size_t front_count;
    struct kafka *kafka; /* owned; NULL: off */
    uv_poll_t kafka_poll;
    struct serve_cluster cluster;
    uv_poll_t ship_poll;
    struct serve_http http;
    uv_poll_t http_poll;
    uv_loop_t loop;
    uv_poll_t work_poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_signal_t signals[SERVE_SIGNALS];
    struct notify notify;
    char kafka_host[SERVE_HOST_MAX]; /* that clients are told */
    int64_t start_ms;
    int64_t stop_ms; /* when it was told to stop; 0: running */
    size_t stop_sessions;
    size_t stop_partitions;
    bool stalled; /* the last turn was long */
    bool fatal;
    bool ended;
};

/* The broker may keep its clock writable, the machine's is constant. */
static int64_t serve_wall_ms(const struct clock *c)
{
    (void)c;
    return clock_real()->wall_ms(clock_real());
}

static int64_t serve_mono_ms(const struct clock *c)
{
    (void)c;
    return clock_real()->mono_ms(clock_real());
}

static int64_t serve_mono_us(const struct clock *c)
{
    (void)c;
    return clock_real()->mono_us(clock_real());
}

static int64_t serve_now(const struct serve *s)
{
    return s->clock.mono_ms(&s->clock);
}

/* --- the broker's words --------------------------------------------------------------------- */

static void serve_say(const struct serve *s, const char *label, const char *line)
{
    char time[OUT_TEXT_MAX];
    if (s->setup.args->out.journal) /* it knows the time */
        (void)fprintf(stderr, "<%d>%s\n", label[0] == 'e' ? 3 : label[0] == 'w' ? 4 : 6, line);
    else
        (void)fprintf(stderr, "%s  %-7s  %s\n", out_time(time, s->clock.wall_ms(&s->clock)), label,
                      line);
}

static void serve_log(void *ctx, int level, const char *line)
{
    static const char *const labels[] = {"info", "warning", "error"};
    const struct serve *s = ctx;
    ASSERT(level >= 0 && level <= 2);
    if (level > 0 || !s->setup.args->out.quiet)
        serve_say(s, labels[level], line);
}

static void serve_fatal(void *ctx, const char *what, int error)
{
    struct serve *s = ctx;
    s->fatal = true;
    out_error(&s->setup.args->out, "%s", what);
    if (error != 0)
        out_hint(&s->setup.args->out,
                 "the system says: %s; look at the disk, then start again: kauri serve",
                 error_text(error));
    else
        out_hint(&s->setup.args->out, "look at the disk, then start again: kauri serve");
}

/* Nothing may be answered any more, so nothing is taken down in order either. */
static _Noreturn void serve_die(void)
{
    (void)fflush(NULL);
    _exit(CMD_FATAL);
}

/* --- opening -------------------------------------------------------------------------------- */

static int serve_open_failed(const struct serve *s, int r)
{
    const struct out *o = &s->setup.args->out;
    const char *dir = (const char *)s->setup.data.p;
    switch (r) {
    case BROKER_OPEN_LOCKED:
        out_error(o, "cannot use %s: another kauri has it", dir);
        out_hint(o, "stop that one, or choose another folder: kauri serve --data DIR");
        return CMD_FAILED;
    case BROKER_OPEN_NEWER:
        out_error(o, "%s was written by a newer format than this kauri %s knows", dir,
                  KAURI_VERSION_TEXT);
        out_hint(o, "install a newer kauri (the file `format` says which); nothing was changed");
        return CMD_FAILED;
    case BROKER_OPEN_FOREIGN:
        out_error(o, "cannot use %s: it is not empty, and not kauri's: no file `format`", dir);
        out_hint(o, "choose another folder: kauri serve --data DIR");
        return CMD_USAGE;
    case BROKER_OPEN_SNAPSHOT:
        out_error(o, "cannot use %s: it is a snapshot, and shares bytes with others", dir);
        out_hint(o, "make a data folder of it: kauri snapshot --restore %s --data NEW", dir);
        return CMD_REFUSED;
    case BROKER_OPEN_DAMAGED:
        out_error(o, "cannot use %s: its file `format` or its log `__meta` cannot be read", dir);
        out_hint(o, "keep a copy of the folder; nothing was changed");
        return CMD_DAMAGED;
    case BROKER_OPEN_CLUSTER:
        out_error(o, "cannot use %s: it belongs to another cluster", dir);
        out_hint(o, "nothing was changed; give an empty folder to a new replica (--data DIR), or "
                    "the right --replica-of");
        return CMD_USAGE;
    case BROKER_OPEN_FULL:
        out_error(o, "cannot use %s: no space left on the disk", dir);
        out_hint(o, "make room, then start again; nothing was deleted");
        return CMD_FAILED;
    }
    out_error(o, "cannot use %s: %s", dir, error_text(r));
    out_hint(o, "choose another folder: kauri serve --data DIR");
    return CMD_FAILED;
}

static int serve_listen_failed(const struct serve *s, int r, const char *url, const char *why)
{
    const struct out *o = &s->setup.args->out;
    if (why[0] != '\0')
        out_error(o, "cannot listen: %s", why);
    else
        out_error(o, "cannot listen on %s: %s", url, r < 0 ? error_text(r) : "it is refused");
    switch (r) {
    case NANO_BAD_URL:
        out_hint(o,
                 "want ipc:///PATH or tcp://HOST:PORT: kauri serve --native tcp://127.0.0.1:7092");
        return CMD_USAGE;
    case NANO_IN_USE:
        out_hint(o, "stop it, or choose another: kauri serve --native tcp://127.0.0.1:7192");
        return CMD_FAILED;
    case NANO_INSECURE:
        out_hint(o, "there is no TLS yet; if the network is yours alone: kauri serve "
                    "--allow-insecure");
        return CMD_USAGE;
    case NANO_FOLDER:
        out_hint(o, "make the folder, or choose another: kauri serve --native ipc:///PATH");
        return CMD_FAILED;
    }
    out_hint(o, "choose another: kauri serve --native tcp://127.0.0.1:7192");
    return CMD_FAILED;
}

/* As many descriptors as the system gives; how many that is. */
static size_t serve_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return SERVE_FILES_MIN;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < SERVE_FILES_MIN)
        return SERVE_FILES_MIN;
    return limit.rlim_cur < SERVE_FILES_MAX ? (size_t)limit.rlim_cur : SERVE_FILES_MAX;
}

static void serve_waiting(void *ctx)
{
    const struct serve *s = ctx;
    notify_send(&s->notify, "STATUS=waiting for the cluster\nEXTEND_TIMEOUT_USEC=600000000");
}

/* 0 or an exit code. */
static int serve_open_cluster(struct serve *s)
{
    const struct serve_cluster_log log = {serve_log, s};
    int r = serve_node_ports(&s->setup);
    if (r != 0) {
        out_error(&s->setup.args->out, "cannot choose a port: %s", error_text(r));
        out_hint(&s->setup.args->out, "name one: kauri serve --kafka 127.0.0.1:9092");
        return CMD_FAILED;
    }
    int code = serve_cluster_open(&s->cluster, &s->setup, &s->clock, &log);
    if (code == CMD_DONE)
        code = serve_cluster_ask(&s->cluster, &s->setup, &s->clock, serve_waiting, s);
    return code;
}

/* A folder keeps the number that it was made with: the logs of its cluster name it so. */
static int serve_check_id(const struct serve *s)
{
    struct broker_info info;
    const struct out *o = &s->setup.args->out;
    int64_t asked = config_i64(s->setup.config, CONFIG_NODE_ID);
    broker_info(s->broker, &info);
    if (!s->setup.told_id || info.node_id == asked)
        return CMD_DONE;
    out_error(o, "cannot use %s: it belongs to broker %d", info.dir, info.node_id);
    out_hint(o, "start it with --broker-id %d, or choose another folder: --data DIR", info.node_id);
    return CMD_USAGE;
}

/* 0 or an exit code. */
static int serve_open_broker(struct serve *s)
{
    uint64_t seed = 0;
    random_entropy(&seed, sizeof seed);
    guard_install();
    s->io = io_real_new();
    s->work = work_pool_new((unsigned)config_i64(s->setup.config, CONFIG_WORKER_THREADS));
    if (s->work == NULL) {
        out_error(&s->setup.args->out, "cannot start a thread: %s", error_text(errno));
        return CMD_FAILED;
    }
    struct broker_env env = {.io = s->io,
                             .work = s->work,
                             .clock = &s->clock,
                             .dir = (const char *)s->setup.data.p,
                             .config = s->setup.config,
                             .seed = seed,
                             .descriptor_max = serve_raise_files(),
                             .reader_max = SERVE_READERS_MAX,
                             .native = s->cluster.native,
                             .kafka_host = s->kafka_host,
                             .kafka_port = serve_node_kafka(&s->setup, s->kafka_host),
                             .join_cluster_id =
                                 s->cluster.joined[0] != '\0' ? s->cluster.joined : NULL,
                             .ship = &s->cluster.link,
                             .seeds = (const char *const *)s->setup.seeds,
                             .fatal = serve_fatal,
                             .log = serve_log,
                             .ctx = s};
    serve_node_boot(env.boot_id);
    int r = broker_open(&env, &s->broker);
    for (int i = 0; r == BROKER_OPEN_LOCKED && i < SERVE_LOCK_TRIES; i++) {
        (void)usleep(SERVE_LOCK_PAUSE_US); /* one that was killed may just be going */
        r = broker_open(&env, &s->broker);
    }
    if (s->fatal)
        serve_die();
    return r == 0 ? serve_check_id(s) : serve_open_failed(s, r);
}

static size_t serve_message_max(const struct serve *s)
{
    const char *text = config_get(s->setup.config, "message.max.bytes", NULL);
    size_t batch = text != NULL ? strtoul(text, NULL, 10) : 0;
    return batch + SERVE_MARGIN > SERVE_MESSAGE_MIN ? batch + SERVE_MARGIN : SERVE_MESSAGE_MIN;
}

static int serve_kafka_failed(const struct serve *s, int r, const char *why)
{
    const struct out *o = &s->setup.args->out;
    out_error(o, "cannot listen: %s", why[0] != '\0' ? why : error_text(r < 0 ? r : -EINVAL));
    switch (r) {
    case KAFKA_IN_USE:
        out_hint(o, "stop it, or choose another port: kauri serve --kafka 127.0.0.1:9192");
        return CMD_FAILED;
    case KAFKA_NOT_LOOPBACK:
        out_hint(o, "there is no TLS yet; if the network is yours alone: kauri serve "
                    "--allow-insecure");
        return CMD_USAGE;
    case KAFKA_BAD_ADDRESS:
        out_hint(o, "want HOST:PORT or off: kauri serve --kafka 127.0.0.1:9092");
        return CMD_USAGE;
    }
    return CMD_FAILED;
}

/* 0 or an exit code. */
static int serve_open_kafka(struct serve *s)
{
    char why[KAFKA_WHY_SIZE] = "";
    struct kafka_options o = {.broker = s->broker,
                              .clock = &s->clock,
                              .listener_count = s->setup.kafka_count,
                              .loopback_only = !config_bool(s->setup.config, CONFIG_ALLOW_INSECURE),
                              .in_flight_size_max =
                                  (size_t)config_i64(s->setup.config, CONFIG_REQUEST_BYTES_MAX),
                              .log = serve_log,
                              .ctx = s,
                              .why = why};
    if (o.listener_count == 0)
        return CMD_DONE;
    for (size_t i = 0; i < o.listener_count; i++)
        o.listeners[i] = (struct kafka_listener){s->setup.kafkas[i], s->setup.advertised[i]};
    random_entropy(&o.seed, sizeof o.seed);
    int r = kafka_open(&o, &s->kafka);
    return r == 0 ? CMD_DONE : serve_kafka_failed(s, r, why);
}

/* 0 or an exit code. */
static int serve_open_fronts(struct serve *s)
{
    char why[NANO_WHY_SIZE];
    for (size_t i = 0; i < s->setup.native_count; i++) {
        struct nano_options o = {
            .broker = s->broker,
            .clock = &s->clock,
            .url = s->setup.natives[i],
            .software = "kauri " KAURI_VERSION_TEXT,
            .allow_insecure = config_bool(s->setup.config, CONFIG_ALLOW_INSECURE),
            .message_size_max = serve_message_max(s),
            .in_flight_size_max = (size_t)config_i64(s->setup.config, CONFIG_REQUEST_BYTES_MAX),
            .seal = s->cluster.seal,
            .log = serve_log,
            .ctx = s,
            .why = why};
        random_entropy(&o.seed, sizeof o.seed);
        why[0] = '\0';
        int r = nano_open(&o, &s->fronts[i].nano);
        if (r != 0)
            return serve_listen_failed(s, r, o.url, why);
        s->http.nanos[s->front_count] = s->fronts[i].nano;
        s->http.nano_count = ++s->front_count;
    }
    int code = serve_open_kafka(s);
    s->http.kafka = s->kafka;
    return code == CMD_DONE ? serve_http_open(&s->http, &s->setup, s->broker, &s->clock) : code;
}

/* --- the loop ------------------------------------------------------------------------------- */

static bool serve_readable(const struct nano *n)
{
    struct pollfd fd = {.fd = nano_fd(n), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void serve_receive(struct serve *s)
{
    for (size_t i = 0; i < s->front_count; i++) {
        struct nano *n = s->fronts[i].nano;
        int drains = s->stalled ? SERVE_DRAINS_MAX : 1;
        do {
            int r = nano_turn(n);
            if (r == 0)
                continue;
            out_error(&s->setup.args->out, "the listener %s is gone: %s", s->setup.natives[i],
                      error_text(r));
            s->fatal = true;
            return;
        } while (--drains > 0 && nano_wants_read(n) && serve_readable(n));
    }
    int r = s->kafka != NULL ? kafka_turn(s->kafka) : 0;
    if (r == 0)
        return;
    out_error(&s->setup.args->out, "the Kafka listener is gone: %s", error_text(r));
    s->fatal = true;
}

static void serve_close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static bool serve_stopped(const struct serve *s)
{
    for (size_t i = 0; i < s->front_count; i++)
        if (!nano_stopped(s->fronts[i].nano))
            return false;
    return (s->kafka == NULL || kafka_stopped(s->kafka)) && broker_stopped(s->broker);
}

static void serve_turn(uv_check_t *check)
{
    struct serve *s = check->data;
    int64_t start = serve_now(s);
    serve_receive(s);
    ship_turn(s->cluster.ship);
    work_drain(s->work);
    if (!s->fatal)
        broker_run(s->broker);
    if (s->fatal)
        serve_die();
    for (size_t i = 0; i < s->front_count; i++)
        nano_flush(s->fronts[i].nano);
    if (s->kafka != NULL)
        kafka_flush(s->kafka);
    ship_flush(s->cluster.ship);
    if (s->http.http != NULL)
        http_turn(s->http.http);
    notify_turn(&s->notify, serve_now(s), s->stop_ms != 0);
    s->stalled = serve_now(s) - start > SERVE_STALL_MS;
    if (s->stop_ms == 0 || s->ended || !serve_stopped(s))
        return;
    s->ended = true;
    uv_walk(&s->loop, serve_close_handle, NULL);
}

static void serve_wake_poll(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

/* The others look for themselves in every turn. */
static void serve_wake_http(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    http_wake(poll->data);
}

static void serve_wake_timer(uv_timer_t *timer)
{
    (void)timer;
}

static int64_t serve_next_ms(const struct serve *s)
{
    int64_t next = broker_next_ms(s->broker), sign = notify_next_ms(&s->notify);
    next = sign < next ? sign : next;
    int64_t ship = ship_next_ms(s->cluster.ship);
    next = ship < next ? ship : next;
    for (size_t i = 0; i < s->front_count; i++) {
        int64_t at = nano_next_ms(s->fronts[i].nano);
        next = at < next ? at : next;
    }
    int64_t at = s->kafka != NULL ? kafka_next_ms(s->kafka) : INT64_MAX;
    next = at < next ? at : next;
    at = s->http.http != NULL ? http_next_ms(s->http.http) : INT64_MAX;
    return at < next ? at : next;
}

/* Settles what may wake the loop next. */
static void serve_prepare(uv_prepare_t *prepare)
{
    struct serve *s = prepare->data;
    int64_t next = serve_next_ms(s);
    for (size_t i = 0; i < s->front_count; i++) {
        struct serve_front *front = &s->fronts[i];
        bool wants = nano_wants_read(front->nano);
        if (wants && !front->polled)
            (void)uv_poll_start(&front->poll, UV_READABLE, serve_wake_poll);
        else if (!wants && front->polled)
            (void)uv_poll_stop(&front->poll);
        front->polled = wants;
    }
    (void)uv_timer_stop(&s->timer);
    if (next == INT64_MAX)
        return;
    int64_t left = next - serve_now(s);
    uv_update_time(&s->loop);
    (void)uv_timer_start(&s->timer, serve_wake_timer, left > 0 ? (uint64_t)left : 0, 0);
}

/* --- signals -------------------------------------------------------------------------------- */

static void serve_sum(const struct serve *s, struct report_state *out)
{
    struct broker_info info;
    broker_info(s->broker, &info);
    *out = (struct report_state){.up_ms = serve_now(s) - s->start_ms,
                                 .topics = info.topics,
                                 .partitions = info.partitions,
                                 .free_size = info.disk_free_size,
                                 .disk_full = info.disk_full,
                                 .jobs = s->work->pending};
    for (size_t i = 0; i < s->front_count; i++) {
        struct nano_stats stats;
        nano_stats(s->fronts[i].nano, &stats);
        out->sessions += stats.sessions;
        out->running += stats.running;
        out->received += stats.received;
        out->refused += stats.refused;
    }
}

static void serve_tell_state(struct serve *s)
{
    struct report_state state;
    struct buf line = {0};
    serve_sum(s, &state);
    report_state(&state, &line);
    buf_append_u8(&line, 0);
    serve_say(s, "info", (const char *)line.p);
    buf_reset(&line);
    broker_dump(s->broker, &line);
    if (s->kafka != NULL)
        kafka_dump(s->kafka, &line);
    (void)fwrite(line.p, 1, line.size, stderr);
    buf_deinit(&line);
}

static void serve_stop(struct serve *s)
{
    struct report_state state;
    serve_sum(s, &state);
    s->stop_ms = serve_now(s);
    notify_send(&s->notify, "STOPPING=1\nSTATUS=stopping, %zu partitions", state.partitions);
    s->stop_sessions = state.sessions;
    s->stop_partitions = state.partitions;
    for (size_t i = 0; i < s->front_count; i++)
        nano_stop(s->fronts[i].nano);
    if (s->kafka != NULL)
        kafka_stop(s->kafka);
    broker_stop(s->broker);
}

static void serve_signal(uv_signal_t *handle, int number)
{
    struct serve *s = handle->data;
    if (number == SIGUSR1) {
        serve_tell_state(s);
        return;
    }
    if (number == SIGHUP) {
        if (serve_setup_reload(&s->setup)) {
            broker_reconfigure(s->broker);
            serve_log(s, 0, "the settings were read again");
        }
        return;
    }
    if (s->stop_ms != 0) {
        (void)fflush(NULL);
        _exit(CMD_SIGNAL + number);
    }
    serve_stop(s);
}

/* 0 or an exit code. */
static int serve_start_loop(struct serve *s)
{
    static const int numbers[SERVE_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    int r = uv_timer_init(&s->loop, &s->timer);
    r = r == 0 ? uv_prepare_init(&s->loop, &s->prepare) : r;
    r = r == 0 ? uv_check_init(&s->loop, &s->check) : r;
    s->prepare.data = s;
    s->check.data = s;
    r = r == 0 ? uv_prepare_start(&s->prepare, serve_prepare) : r;
    r = r == 0 ? uv_check_start(&s->check, serve_turn) : r;
    r = r == 0 ? uv_poll_init(&s->loop, &s->work_poll, work_fd(s->work)) : r;
    r = r == 0 ? uv_poll_start(&s->work_poll, UV_READABLE, serve_wake_poll) : r;
    for (size_t i = 0; r == 0 && i < s->front_count; i++)
        r = uv_poll_init(&s->loop, &s->fronts[i].poll, nano_fd(s->fronts[i].nano));
    if (r == 0 && s->kafka != NULL)
        r = uv_poll_init(&s->loop, &s->kafka_poll, kafka_fd(s->kafka));
    if (r == 0 && s->kafka != NULL)
        r = uv_poll_start(&s->kafka_poll, UV_READABLE, serve_wake_poll);
    r = r == 0 ? uv_poll_init(&s->loop, &s->ship_poll, ship_fd(s->cluster.ship)) : r;
    r = r == 0 ? uv_poll_start(&s->ship_poll, UV_READABLE, serve_wake_poll) : r;
    if (r == 0 && s->http.http != NULL)
        r = uv_poll_init(&s->loop, &s->http_poll, http_fd(s->http.http));
    s->http_poll.data = s->http.http;
    if (r == 0 && s->http.http != NULL)
        r = uv_poll_start(&s->http_poll, UV_READABLE, serve_wake_http);
    for (size_t i = 0; r == 0 && i < SERVE_SIGNALS; i++) {
        r = uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        r = r == 0 ? uv_signal_start(&s->signals[i], serve_signal, numbers[i]) : r;
    }
    if (r == 0)
        return CMD_DONE;
    out_error(&s->setup.args->out, "cannot start the event loop: %s", error_text(r));
    return CMD_FAILED;
}

/* --- start and stop ------------------------------------------------------------------------- */

static size_t serve_members(const struct serve *s)
{
    struct broker_member member;
    size_t count = 0;
    while (broker_member(s->broker, count, &member) == 0)
        count++;
    return count;
}

static void serve_tell_start(const struct serve *s)
{
    struct buf text = {0};
    struct broker_info info;
    const char *dir = (const char *)s->setup.data.p;
    const char *durability = config_get(s->setup.config, "durability", NULL);
    struct broker_cluster_info cluster;
    broker_info(s->broker, &info);
    broker_cluster_info(s->broker, &cluster);
    struct report report = {.version = KAURI_VERSION_TEXT,
                            .data = dir,
                            .home = getenv("HOME"),
                            .file_system = report_file_system(dir),
                            .fresh = info.fresh,
                            .topics = info.topics,
                            .partitions = info.partitions,
                            .free_size = info.disk_free_size,
                            .natives = (const char *const *)s->setup.natives,
                            .native_count = s->setup.native_count,
                            .kafkas = (const char *const *)s->setup.kafkas,
                            .advertised = (const char *const *)s->setup.advertised,
                            .kafka_count = s->setup.kafka_count,
                            .http = s->http.http != NULL ? s->http.url : NULL,
                            .seeds = (const char *const *)s->setup.seeds,
                            .seed_count = s->setup.seed_count,
                            .broker_id = info.node_id,
                            .member_count = serve_members(s),
                            .role = cluster.role,
                            .clients_find_it = s->setup.default_native,
                            .durability_os = durability != NULL && strcmp(durability, "os") == 0,
                            .flush_ms = config_i64(s->setup.config, CONFIG_FLUSH_INTERVAL_MS),
                            .ready_ms = serve_now(s) - s->start_ms};
    report_start(&report, &text);
    if (!s->setup.args->out.quiet)
        (void)fwrite(text.p, 1, text.size, stdout);
    (void)fflush(stdout);
    buf_deinit(&text);
    if (strcmp(report.file_system, "tmpfs") == 0)
        out_warning(&s->setup.args->out,
                    "%s lies in memory: everything is lost when the machine "
                    "stops",
                    dir);
}

static void serve_tell_stop(const struct serve *s)
{
    struct buf text = {0};
    report_stop(s->stop_sessions, s->stop_partitions, serve_now(s) - s->stop_ms, &text);
    if (!s->setup.args->out.quiet)
        (void)fwrite(text.p, 1, text.size, stdout);
    (void)fflush(stdout);
    buf_deinit(&text);
}

/* Stops a broker that never got to its loop, so that the next start finds a clean folder. */
static void serve_stop_unstarted(struct serve *s)
{
    if (s->broker == NULL)
        return;
    broker_stop(s->broker);
    while (!broker_stopped(s->broker)) {
        ship_turn(s->cluster.ship);
        work_wait(s->work);
        broker_run(s->broker);
        if (s->fatal)
            serve_die();
        if (s->work->pending == 0 && !broker_stopped(s->broker))
            (void)usleep(1000);
    }
}

static void serve_close(struct serve *s)
{
    serve_http_close(&s->http);
    for (size_t i = 0; i < s->front_count; i++)
        s->fronts[i].nano = nano_close(s->fronts[i].nano);
    s->kafka = kafka_close(s->kafka);
    if (s->broker != NULL) { /* what was asked since it stopped */
        serve_cluster_stop(&s->cluster);
        ship_turn(s->cluster.ship);
    }
    s->broker = broker_free(s->broker);
    serve_cluster_close(&s->cluster);
    s->work = work_pool_free(s->work);
    s->io = io_real_free(s->io);
}

static int serve_run(struct serve *s)
{
    notify_send(&s->notify, "STATUS=opening %s\nEXTEND_TIMEOUT_USEC=600000000",
                (const char *)s->setup.data.p);
    int code = serve_open_cluster(s);
    if (code == CMD_DONE)
        code = serve_open_broker(s);
    if (code == CMD_DONE)
        code = serve_open_fronts(s);
    if (code == CMD_DONE && uv_loop_init(&s->loop) != 0)
        code = CMD_FAILED;
    if (code == CMD_DONE)
        code = serve_start_loop(s);
    if (code != CMD_DONE) {
        serve_stop_unstarted(s);
        return code;
    }
    serve_tell_start(s);
    notify_send(&s->notify, "READY=1\nSTATUS=serving %s", (const char *)s->setup.data.p);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
    serve_tell_stop(s);
    return CMD_DONE;
}

int serve(struct args *a, int argc, char **argv)
{
    struct serve *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->clock = (struct clock){serve_wall_ms, serve_mono_ms, serve_mono_us};
    s->start_ms = serve_now(s);
    (void)signal(SIGPIPE, SIG_IGN);
    notify_open(&s->notify);
    a->out.journal = notify_is_journal(STDERR_FILENO);
    int r = serve_setup_read(&s->setup, a, argc, argv);
    int code = r == 0 ? serve_run(s) : r < 0 ? CMD_DONE : r;
    serve_close(s);
    notify_close(&s->notify);
    serve_setup_deinit(&s->setup);
    free(s);
    return code;
}
