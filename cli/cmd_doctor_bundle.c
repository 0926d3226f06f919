/* SPDX-License-Identifier: MIT
 *
 * cmd_doctor_bundle: `kauri doctor --bundle FILE`: what a report about a broker needs, in one tar
 * archive. No records, no keys; secrets are masked by their names (mask.h), in every file of it.
 *
 *   README        what lies beside it          config.txt     settings in force, and from where
 *   version.txt   program, broker, cluster     topics.json    partitions, settings of their own
 *   doctor.json   findings                     groups.json    members, lag, what stands
 *   machine.txt   system, process, disk        metrics.txt, state.json    from the broker's port
 *                                              log.txt        its end, a file's or the journal's
 *
 * What cannot be had is left out, and the README says so: a bundle is wanted most where something
 * does not work, so also where nobody answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cmd_doctor_priv.h"
#include "cli/mask.h"
#include "cli/report.h"
#include "cli/tar.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define CMD_BUNDLE_LOG_MAX  (1u << 20)
#define CMD_BUNDLE_PAGE_MAX (32u << 20)
#define CMD_BUNDLE_FILE_MAX (64u << 10)
#define CMD_BUNDLE_HTTP_S   5

struct cmd_bundle {
    struct cmd_doctor *doctor;
    struct kauri *k; /* NULL: nobody answers */
    struct buf tar;
    struct buf readme;
    char http[300]; /* http.listen */
    size_t count;
};

/* --- parts ---------------------------------------------------------------------------------- */

static void cmd_bundle_add(struct cmd_bundle *b, const char *name, const char *about,
                           const struct buf *bytes)
{
    struct buf masked CLEANUP(buf_deinit) = {0};
    if (bytes->size == 0) {
        buf_printf(&b->readme, "  %-12s  (%s: could not be had)\n", name, about);
        return;
    }
    mask_text(buf_slice(bytes), &masked);
    tar_add(&b->tar, name, cmd_doctor_wall() / 1000, buf_slice(&masked));
    buf_printf(&b->readme, "  %-12s  %s\n", name, about);
    b->count++;
}

static void cmd_bundle_json(struct cmd_bundle *b, const char *name, const char *about,
                            json_t *taken)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    char *dump CLEANUP(cleanup_free) = json_dumps(taken, JSON_INDENT(1));
    if (dump != NULL)
        buf_printf(&text, "%s\n", dump);
    json_decref(taken);
    cmd_bundle_add(b, name, about, &text);
}

/* Reads until the end or `max`. */
static void cmd_bundle_drain(int fd, size_t max, struct buf *out)
{
    size_t end = out->size + max;
    ssize_t n = 1;
    while (n > 0 && out->size < end) {
        size_t want = end - out->size < 65536 ? end - out->size : 65536;
        buf_reserve(out, want);
        n = read(fd, out->p + out->size, want);
        out->size += n > 0 ? (size_t)n : 0;
        n = n < 0 && errno == EINTR ? 1 : n;
    }
}

static void cmd_bundle_version(struct cmd_bundle *b)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    const struct kauri_server *s = &b->doctor->server;
    buf_printf(&text, "program      kauri %s\n", KAURI_VERSION_TEXT);
    if (b->k != NULL)
        buf_printf(&text,
                   "broker       %s\ncluster      %s\nnode         %d\nincarnation  %016" PRIx64
                   "\n",
                   s->software, s->cluster_id, s->node_id, s->incarnation);
    else
        buf_printf(&text, "broker       does not answer\n");
    cmd_bundle_add(b, "version.txt", "program, broker, cluster", &text);
}

/* --- what the broker tells ------------------------------------------------------------------- */

struct cmd_bundle_config {
    struct cmd_bundle *bundle;
    struct buf text;
};

static void cmd_bundle_setting(void *ctx, const struct kauri_config *c)
{
    struct cmd_bundle_config *to = ctx;
    const char *value = c->value != NULL ? c->value : "";
    if (strcmp(c->key, "http.listen") == 0)
        (void)snprintf(to->bundle->http, sizeof to->bundle->http, "%s", value);
    if (mask_is_secret(c->key) && value[0] != '\0')
        value = MASK;
    buf_printf(&to->text, "%s=%s    # %s\n", c->key, value, c->source != NULL ? c->source : "");
}

static void cmd_bundle_settings(struct cmd_bundle *b)
{
    struct cmd_bundle_config to = {.bundle = b};
    if (b->k != NULL && kauri_broker_config(b->k, NULL, 0, cmd_bundle_setting, &to) != 0)
        buf_reset(&to.text);
    cmd_bundle_add(b, "config.txt", "settings in force, and where each comes from", &to.text);
    buf_deinit(&to.text);
}

static json_t *cmd_bundle_partitions(const struct kauri_topic *t)
{
    json_t *list = json_array();
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++) {
        const struct kauri_partition *p = &t->partitions[i];
        (void)json_array_append_new(
            list, json_pack("{s:i, s:i, s:i, s:I, s:I, s:I}", "partition", p->partition, "leader",
                            p->leader, "epoch", p->epoch, "start", (json_int_t)p->log_start, "end",
                            (json_int_t)p->high_watermark, "bytes", (json_int_t)p->size));
    }
    return list;
}

static void cmd_bundle_topic(void *ctx, const struct kauri_topic *t)
{
    json_t *own = json_object();
    for (size_t i = 0; t->configs != NULL && i < t->config_count; i++) {
        const struct kauri_config *c = &t->configs[i];
        if (c->source != NULL && c->value != NULL && strcmp(c->source, "topic") == 0)
            (void)json_object_set_new(own, c->key,
                                      json_string(mask_is_secret(c->key) ? MASK : c->value));
    }
    (void)json_array_append_new(ctx, json_pack("{s:s, s:b, s:o, s:o}", "topic", t->name, "internal",
                                               (int)t->internal, "configs", own, "partitions",
                                               cmd_bundle_partitions(t)));
}

static void cmd_bundle_topics(struct cmd_bundle *b)
{
    json_t *topics = json_array(), *groups = json_array();
    const struct survey *s = &b->doctor->now;
    if (b->k != NULL)
        (void)kauri_topics(b->k, NULL, KAURI_WITH_PARTITIONS | KAURI_WITH_CONFIGS, cmd_bundle_topic,
                           topics);
    for (size_t i = 0; i < s->group_count; i++) {
        const struct survey_group *g = &s->groups[i];
        (void)json_array_append_new(
            groups, json_pack("{s:s, s:s, s:i, s:I, s:I, s:s}", "group", g->name, "state", g->state,
                              "members", (int)g->members, "lag", (json_int_t)g->lag, "standing_ms",
                              (json_int_t)g->standing_ms, "standing", g->standing));
    }
    cmd_bundle_json(b, "topics.json", "topics, their partitions and settings", topics);
    cmd_bundle_json(b, "groups.json", "groups and their lag", groups);
}

/* --- its port -------------------------------------------------------------------------------- */

static int cmd_bundle_connect(const char *address)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval limit = {.tv_sec = CMD_BUNDLE_HTTP_S};
    char host[300];
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return -1;
    bool brackets = address[0] == '[' && colon > address + 1;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address) - (brackets ? 2 : 0),
                   address + (brackets ? 1 : 0));
    if (getaddrinfo(host, colon + 1, &want, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
                    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
                    connect(fd, found->ai_addr, found->ai_addrlen) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* The body of a page; empty when it cannot be had. */
static void cmd_bundle_get(const char *address, const char *path, struct buf *out)
{
    struct buf all CLEANUP(buf_deinit) = {0};
    char request[100];
    int fd CLEANUP(cleanup_fd) = cmd_bundle_connect(address);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    ASSERT(n > 0 && (size_t)n < sizeof request);
    if (fd < 0 || send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return;
    cmd_bundle_drain(fd, CMD_BUNDLE_PAGE_MAX, &all);
    const uint8_t *body = all.size > 0 ? memmem(all.p, all.size, "\r\n\r\n", 4) : NULL;
    if (body == NULL || all.size < 12 || memcmp(all.p + 8, " 200", 4) != 0)
        return;
    buf_append(out, body + 4, (size_t)(all.p + all.size - body) - 4);
}

static void cmd_bundle_pages(struct cmd_bundle *b)
{
    struct buf metrics CLEANUP(buf_deinit) = {0}, state CLEANUP(buf_deinit) = {0};
    if (b->k != NULL && b->http[0] != '\0' && strcmp(b->http, "off") != 0) {
        cmd_bundle_get(b->http, "/metrics", &metrics);
        cmd_bundle_get(b->http, "/state", &state);
    }
    cmd_bundle_add(b, "metrics.txt", "/metrics of the port it is watched at", &metrics);
    cmd_bundle_add(b, "state.json", "/state of that port", &state);
}

/* --- its machine ----------------------------------------------------------------------------- */

/* Appends a file under a heading, NULs as blanks; nothing when it cannot be read. */
static void cmd_bundle_file(struct buf *out, const char *path)
{
    int fd CLEANUP(cleanup_fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    buf_printf(out, "\n--- %s\n", path);
    size_t from = out->size;
    cmd_bundle_drain(fd, CMD_BUNDLE_FILE_MAX, out);
    for (size_t i = from; i < out->size; i++)
        out->p[i] = out->p[i] == '\0' ? ' ' : out->p[i];
    if (out->size > from && out->p[out->size - 1] != '\n')
        buf_append_u8(out, '\n');
}

static void cmd_bundle_machine(struct cmd_bundle *b)
{
    static const char *const files[] = {"/etc/os-release", "/proc/meminfo", "/proc/loadavg",
                                        "/sys/fs/cgroup/memory.max"};
    static const char *const own[] = {"cmdline", "limits", "status", "io", "cgroup"};
    struct buf text CLEANUP(buf_deinit) = {0};
    struct utsname u = {.sysname = ""};
    const struct kauri_broker_status *s = &b->doctor->before.status;
    (void)uname(&u); /* without the machine's name */
    buf_printf(&text, "system      %s %s %s %s\nprocessors  %ld\n", u.sysname, u.release, u.version,
               u.machine, sysconf(_SC_NPROCESSORS_ONLN));
    if (b->k != NULL)
        buf_printf(&text, "data        %s, %s, %" PRIu64 " of %" PRIu64 " MiB free%s\n", s->dir,
                   b->doctor->here ? report_file_system(s->dir) : "on another machine",
                   s->disk_free_size >> 20, s->disk_total_size >> 20,
                   s->disk_full ? ", records are refused" : "");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        cmd_bundle_file(&text, files[i]);
    for (size_t i = 0; b->doctor->here && i < sizeof own / sizeof own[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/%s", s->process, own[i]);
        cmd_bundle_file(&text, path);
    }
    cmd_bundle_add(b, "machine.txt", "system, the broker's process and disk", &text);
}

/* Appends what journalctl has of a process. */
static void cmd_bundle_journal(int64_t process, struct buf *out)
{
    char unit[32];
    char *words[] = {"journalctl", "--no-pager", "-q", "-n", "5000", "-o", "short-iso", unit, NULL};
    int ends[2];
    pid_t child = -1;
    posix_spawn_file_actions_t actions;
    (void)snprintf(unit, sizeof unit, "_PID=%" PRId64, process);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    int from CLEANUP(cleanup_fd) = ends[0], to CLEANUP(cleanup_fd) = ends[1];
    if (posix_spawn_file_actions_init(&actions) != 0)
        return;
    bool started =
        posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO) == 0 &&
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
        posix_spawnp(&child, words[0], &actions, NULL, words, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    if (!started)
        return;
    (void)close(to);
    to = -1;
    cmd_bundle_drain(from, CMD_BUNDLE_LOG_MAX, out);
    (void)close(from); /* more than that: it ends by SIGPIPE */
    from = -1;
    (void)waitpid(child, NULL, 0);
}

static void cmd_bundle_log(struct cmd_bundle *b)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    char path[64];
    struct stat st;
    const struct kauri_broker_status *s = &b->doctor->before.status;
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/2", s->process);
    if (b->k != NULL && b->doctor->here && stat(path, &st) == 0) {
        int fd CLEANUP(cleanup_fd) = S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        off_t from = st.st_size > (off_t)CMD_BUNDLE_LOG_MAX ? st.st_size - CMD_BUNDLE_LOG_MAX : 0;
        if (fd >= 0 && lseek(fd, from, SEEK_SET) == from)
            cmd_bundle_drain(fd, CMD_BUNDLE_LOG_MAX, &text);
        else if (S_ISSOCK(st.st_mode))
            cmd_bundle_journal(s->process, &text);
    }
    cmd_bundle_add(b, "log.txt", "the end of its log", &text);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* 0 or -errno; never over a file that is there. */
static int cmd_bundle_write(const struct buf *bytes, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : 0;
    for (size_t at = 0; r == 0 && at < bytes->size;) {
        ssize_t n = write(fd, bytes->p + at, bytes->size - at);
        if (n <= 0 && errno != EINTR)
            r = n < 0 ? -errno : -EIO;
        at += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && close(fd) != 0 && r == 0)
        r = -errno;
    if (fd >= 0 && r != 0)
        (void)unlink(path);
    return r;
}

static void cmd_bundle_fill(struct cmd_bundle *b)
{
    buf_printf(&b->readme,
               "Made by kauri doctor --bundle, for a report about a broker. No records and no keys "
               "are in it;\npasswords and the like are masked by their names. There are names of "
               "topics, groups and\nclients, addresses and paths: look through it before it leaves "
               "the house.\n\n");
    cmd_bundle_version(b);
    cmd_bundle_json(b, "doctor.json", "what kauri doctor finds", json_incref(b->doctor->list));
    cmd_bundle_settings(b);
    cmd_bundle_topics(b);
    cmd_bundle_pages(b);
    cmd_bundle_machine(b);
    cmd_bundle_log(b);
    tar_add(&b->tar, "README", cmd_doctor_wall() / 1000, buf_slice(&b->readme));
    tar_end(&b->tar);
}

int cmd_doctor_bundle(struct cmd_doctor *d, struct kauri *k, const char *path)
{
    struct cmd_bundle b = {.doctor = d, .k = k};
    char size[OUT_TEXT_MAX];
    cmd_bundle_fill(&b);
    int r = cmd_bundle_write(&b.tar, path);
    if (r == 0 && !d->a->json)
        out_note(&d->a->out, "%s: %zu files, %s; look through it before you send it", path,
                 b.count + 1, out_size(size, (int64_t)b.tar.size));
    else if (r != 0)
        out_error(&d->a->out, "cannot write the bundle \"%s\": %s", path, error_text(r));
    buf_deinit(&b.tar);
    buf_deinit(&b.readme);
    return r == 0 ? CMD_DONE : r == -EEXIST ? CMD_MISSING : CMD_FAILED;
}
