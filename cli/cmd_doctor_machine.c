/* SPDX-License-Identifier: MIT
 *
 * cmd_doctor_machine: the part of `kauri doctor` that looks at the machine and at the settings.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cmd_doctor_priv.h"
#include "cli/report.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"

#define CMD_DOCTOR_SYNCS      40
#define CMD_DOCTOR_SYNC_SLOW  20000 /* us */
#define CMD_DOCTOR_SYNC_FAST  20    /* us: no disk is so fast, not even with a battery */
#define CMD_DOCTOR_FILES_MIN  4096
#define CMD_DOCTOR_CONNECT_MS 1000

int64_t cmd_doctor_wall(void)
{
    return clock_real()->wall_ms(clock_real());
}

static int64_t cmd_doctor_us(void)
{
    return clock_real()->mono_us(clock_real());
}

void cmd_doctor_pause(const struct cmd_doctor *d)
{
    int64_t left = d->before.taken_ms + d->watch_ms - cmd_doctor_us() / 1000;
    if (left > 0)
        (void)poll(NULL, 0, (int)left);
}

/* --- file system and disk ------------------------------------------------------------------- */

static void cmd_doctor_file_system(struct cmd_doctor *d, const char *dir)
{
    static const char *const good[] = {"ext4", "xfs", "btrfs", "zfs", "ext2/3/4", "f2fs"};
    const char *name = report_file_system(dir);
    bool known = false;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        known = known || strcmp(name, good[i]) == 0;
    if (strcmp(name, "tmpfs") == 0)
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "fs", "kauri serve --data DIR, on a disk",
                       "%s lies in memory: everything is lost when the machine stops", dir);
    else
        cmd_doctor_say(d, known ? CMD_DOCTOR_OK : CMD_DOCTOR_WARNING, "fs",
                       "ext4 or xfs are what it is tested on; a network file system may lie "
                       "about syncs",
                       "%s: %s", dir, name);
}

static int cmd_doctor_by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* One page written and synced, again and again. 0 or -errno. */
static int cmd_doctor_sync_times(int fd, int64_t us[CMD_DOCTOR_SYNCS])
{
    char page[4096] = {0};
    for (int i = 0; i < CMD_DOCTOR_SYNCS; i++) {
        int64_t began = cmd_doctor_us();
        page[0] = (char)i;
        if (pwrite(fd, page, sizeof page, 0) != (ssize_t)sizeof page || fdatasync(fd) != 0)
            return errno != 0 ? -errno : -EIO;
        us[i] = cmd_doctor_us() - began;
    }
    qsort(us, CMD_DOCTOR_SYNCS, sizeof us[0], cmd_doctor_by_size);
    return 0;
}

static void cmd_doctor_sync(struct cmd_doctor *d, const char *dir)
{
    char path[1100];
    int64_t us[CMD_DOCTOR_SYNCS];
    (void)snprintf(path, sizeof path, "%s/.doctor-%d", dir, (int)getpid());
    int fd CLEANUP(cleanup_fd) =
        open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) /* not ours to write in, or full */
        return;
    int r = cmd_doctor_sync_times(fd, us);
    (void)unlink(path);
    if (r != 0) {
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "sync", "dmesg, smartctl -a", "the disk of %s: %s",
                       dir, error_text(r));
        return;
    }
    int64_t p50 = us[CMD_DOCTOR_SYNCS / 2], p95 = us[CMD_DOCTOR_SYNCS * 95 / 100];
    const char *hint =
        p50 < CMD_DOCTOR_SYNC_FAST
            ? "is this a disk? what it says is synced may not survive a power cut"
            : "every acknowledgement waits for one: a faster disk, or more records a "
              "batch";
    cmd_doctor_say(d,
                   p50 > CMD_DOCTOR_SYNC_SLOW || p50 < CMD_DOCTOR_SYNC_FAST ? CMD_DOCTOR_WARNING
                                                                            : CMD_DOCTOR_OK,
                   "sync", hint, "a page is on the disk in %.2f ms (95 %%: %.2f ms)",
                   (double)p50 / 1000, (double)p95 / 1000);
}

/* --- the process ---------------------------------------------------------------------------- */

static void cmd_doctor_files(struct cmd_doctor *d)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/limits", d->before.status.process);
    FILE *f = fopen(path, "re");
    long limit = -1;
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Max open files %ld", &limit) == 1)
            break;
    if (f != NULL)
        (void)fclose(f);
    if (limit < 0)
        return;
    cmd_doctor_say(d, limit < CMD_DOCTOR_FILES_MIN ? CMD_DOCTOR_WARNING : CMD_DOCTOR_OK, "files",
                   "ulimit -n 65536 before kauri serve; LimitNOFILE= in the unit",
                   "the broker may have %ld descriptors open", limit);
}

/* The broker's process, by its number, has our data folder: it runs here. */
static bool cmd_doctor_is_here(const struct kauri_broker_status *s)
{
    char path[64], name[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", s->process);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool is = fgets(name, sizeof name, f) != NULL && strcmp(name, "kauri\n") == 0;
    (void)fclose(f);
    return is && access(s->dir, F_OK) == 0;
}

void cmd_doctor_machine(struct cmd_doctor *d)
{
    const struct kauri_broker_status *s = &d->before.status;
    d->here = cmd_doctor_is_here(s);
    if (!d->here) {
        cmd_doctor_say(d, CMD_DOCTOR_OK, "machine", NULL,
                       "the broker runs elsewhere: its disk and its limits are not looked at");
        return;
    }
    cmd_doctor_file_system(d, s->dir);
    cmd_doctor_sync(d, s->dir);
    cmd_doctor_files(d);
}

/* --- addresses ------------------------------------------------------------------------------ */

static bool cmd_doctor_wait_connected(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    return poll(&p, 1, CMD_DOCTOR_CONNECT_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static bool cmd_doctor_reaches(const char *host, const char *port)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    bool reached = false;
    if (getaddrinfo(host, port, &want, &found) != 0)
        return false;
    for (const struct addrinfo *i = found; i != NULL && !reached; i = i->ai_next) {
        int fd CLEANUP(cleanup_fd) =
            socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        reached = connect(fd, i->ai_addr, i->ai_addrlen) == 0 ||
                  (errno == EINPROGRESS && cmd_doctor_wait_connected(fd));
    }
    freeaddrinfo(found);
    return reached;
}

/* One of advertised.listeners: NAME://HOST:PORT. */
static void cmd_doctor_address(struct cmd_doctor *d, const char *address, bool remote)
{
    char host[300];
    const char *from = strstr(address, "://");
    from = from != NULL ? from + 3 : address;
    const char *colon = strrchr(from, ':');
    if (colon == NULL || (size_t)(colon - from) >= sizeof host)
        return;
    bool brackets = from[0] == '[' && colon > from + 1 && colon[-1] == ']';
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - from) - (brackets ? 2 : 0),
                   from + (brackets ? 1 : 0));
    bool local =
        strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
    if (!cmd_doctor_reaches(host, colon + 1))
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "advertised",
                       "kauri serve --set advertised.listeners=PLAINTEXT://HOST:PORT",
                       "%s is told to clients, and cannot be reached from here", address);
    else if (local && remote)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "advertised",
                       "kauri serve --set advertised.listeners=PLAINTEXT://HOST:PORT",
                       "clients on other machines are told to connect to \"%s\"", host);
    else
        cmd_doctor_say(d, CMD_DOCTOR_OK, "advertised", NULL, "%s can be reached", address);
}

/* --- settings ------------------------------------------------------------------------------- */

struct cmd_doctor_settings {
    char advertised[1024];
    char listeners[1024];
    bool insecure;
    bool os;
    int64_t message_max;
    int64_t segment_size;
};

static void cmd_doctor_setting(void *ctx, const struct kauri_config *c)
{
    struct cmd_doctor_settings *s = ctx;
    const char *value = c->value != NULL ? c->value : "";
    if (strcmp(c->key, "advertised.listeners") == 0)
        (void)snprintf(s->advertised, sizeof s->advertised, "%s", value);
    else if (strcmp(c->key, "listeners") == 0)
        (void)snprintf(s->listeners, sizeof s->listeners, "%s", value);
    else if (strcmp(c->key, "allow.insecure") == 0)
        s->insecure = strcmp(value, "true") == 0;
    else if (strcmp(c->key, "durability") == 0)
        s->os = strcmp(value, "os") == 0;
    else if (strcmp(c->key, "message.max.bytes") == 0)
        s->message_max = strtoll(value, NULL, 10);
    else if (strcmp(c->key, "log.segment.bytes") == 0)
        s->segment_size = strtoll(value, NULL, 10);
}

int cmd_doctor_settings(struct cmd_doctor *d, struct kauri *k)
{
    struct cmd_doctor_settings s = {.message_max = 0};
    int error = kauri_broker_config(k, NULL, 0, cmd_doctor_setting, &s);
    if (error != 0)
        return error;
    for (char *at = s.advertised + strspn(s.advertised, ", "); *at != '\0';) {
        size_t size = strcspn(at, ", ");
        char *next = at + size + strspn(at + size, ", ");
        at[size] = '\0';
        cmd_doctor_address(d, at, s.insecure);
        at = next;
    }
    if (s.insecure)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "insecure",
                       "only in a network that is yours alone; else take allow.insecure away",
                       "allow.insecure is on: who reaches the broker may do everything");
    if (s.os)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "durability",
                       "if that is not meant: kauri config unset durability",
                       "durability=os is the broker's default: a power cut may lose what was "
                       "acknowledged");
    if (s.segment_size > 0 && s.message_max > s.segment_size)
        cmd_doctor_say(
            d, CMD_DOCTOR_WARNING, "segments", "kauri config set message.max.bytes ...",
            "message.max.bytes is larger than log.segment.bytes: such a batch fits in no "
            "segment");
    return 0;
}
