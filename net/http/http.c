/* SPDX-License-Identifier: MIT
 *
 * http: the daemon and its routes; see http.h.
 *
 * libmicrohttpd calls the handler when the headers are there, and again when the whole request is:
 * only then may the connection go on behind the answer. A wrong method is answered at once, a body
 * ends the connection.
 */
#include "net/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"
#include "engine/broker/broker.h"
#include "engine/broker/broker_counters.h"
#include "engine/broker/broker_group.h"
#include "net/conn/conn.h"
#include "net/http/http_guard.h"
#include "net/http/http_page.h"
#include "net/http/http_state.h"

#define HTTP_TARGET_MAX 1024 /* of a path */
#define HTTP_SWEEP_MS   1000
#define HTTP_CROWD_MS   50 /* the same while all places are taken */

struct http_link {
    int fd; /* -1: free */
    int64_t since_ms;
    bool asked; /* a request is being answered */
};

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon; /* owned */
    struct http_guard guard;
    struct http_link links[HTTP_CONNECTIONS_MAX];
    size_t link_count;
    size_t pages;
    int64_t next_ms;
    int64_t swept_ms;
    uint16_t port;
    int fd;
    bool woken;
    bool freed; /* a connection ended in this turn */
    char why[sizeof((struct broker_cluster_info *)0)->trouble + 2];
    bool started; /* groups and partitions were read */
};

/* A page on its way. */
struct http_sent {
    struct http *h;
    struct http_page *page; /* owned */
};

static int64_t http_now(const struct http *h)
{
    return h->options.clock->mono_ms(h->options.clock);
}

/* --- answers ---------------------------------------------------------------------------------- */

static enum MHD_Result http_queue(struct MHD_Connection *c, unsigned status, struct MHD_Response *r,
                                  const char *type)
{
    ASSERT(r != NULL);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result http_say(struct MHD_Connection *c, unsigned status, const char *text)
{
    size_t size = strlen(text);
    char *copy = assert_memory(strdup(text), size + 1);
    return http_queue(c, status, MHD_create_response_from_buffer(size, copy, MHD_RESPMEM_MUST_FREE),
                      "text/plain; charset=utf-8");
}

static enum MHD_Result http_index(struct http *h, struct MHD_Connection *c)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "kauri %s\n\n"
                   "/metrics   for Prometheus, with the names of kafka_exporter beside our own\n"
                   "/healthz   200 while the broker turns\n"
                   "/readyz    200 when it takes requests, else why not\n"
                   "/state     JSON; ?topics_after=NAME and ?groups_after=NAME go on\n",
                   h->options.version);
    return http_say(c, MHD_HTTP_OK, text);
}

static enum MHD_Result http_healthz(struct http *h, struct MHD_Connection *c)
{
    struct broker_counters b;
    broker_counters(h->options.broker, &b);
    if (b.dead)
        return http_say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the broker has failed\n");
    if (b.stopping)
        return http_say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping\n");
    return http_say(c, MHD_HTTP_OK, "ok\n");
}

/* A broker of a cluster that is neither led nor leads. */
static const char *http_not_led(struct http *h)
{
    struct broker_cluster_info cluster;
    broker_cluster_info(h->options.broker, &cluster);
    if (cluster.trouble[0] != '\0' && !cluster.changes_here) {
        (void)snprintf(h->why, sizeof h->why, "%s\n", cluster.trouble);
        return h->why;
    }
    if (strcmp(cluster.role, "left") == 0)
        return "this broker has left the cluster\n";
    if (strcmp(cluster.role, "starting") == 0)
        return "the other brokers are asked who leads\n";
    if (strcmp(cluster.role, "seeking") == 0)
        return "no leader of the cluster answers\n";
    if (strcmp(cluster.role, "promoting") == 0)
        return "a promotion is under way\n";
    return NULL;
}

/* NULL: ready. What is recovered later, on its first use, is no reason. */
static const char *http_not_ready(struct http *h)
{
    struct broker_counters b;
    struct broker_info info;
    broker_counters(h->options.broker, &b);
    broker_info(h->options.broker, &info);
    const char *lost = http_not_led(h);
    enum broker_status ready = broker_groups_ready(h->options.broker);
    bool groups = ready == BROKER_OK || ready == BROKER_NOT_LEADER;
    h->started = h->started || (groups && b.loading == 0);
    if (b.dead)
        return "the broker has failed\n";
    if (b.stopping)
        return "stopping\n";
    if (!h->started)
        return groups ? "partitions are being recovered\n" : "groups are being read\n";
    if (lost != NULL)
        return lost;
    return info.disk_full ? "disk full: produce is refused\n" : NULL;
}

static enum MHD_Result http_readyz(struct http *h, struct MHD_Connection *c)
{
    const char *why = http_not_ready(h);
    return why == NULL ? http_say(c, MHD_HTTP_OK, "ready\n")
                       : http_say(c, MHD_HTTP_SERVICE_UNAVAILABLE, why);
}

static enum MHD_Result http_state_page(struct http *h, struct MHD_Connection *c)
{
    char *text = http_state(&h->options,
                            MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "topics_after"),
                            MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "groups_after"));
    return http_queue(c, MHD_HTTP_OK,
                      MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE),
                      "application/json");
}

static ssize_t http_metrics_read(void *cls, uint64_t pos, char *to, size_t max)
{
    struct http_sent *sent = cls;
    (void)pos;
    long size = http_page_read(sent->page, to, max);
    return size < 0 ? MHD_CONTENT_READER_END_OF_STREAM : size;
}

static void http_metrics_free(void *cls)
{
    struct http_sent *sent = cls;
    ASSERT(sent->h->pages > 0);
    sent->h->pages--;
    http_page_free(sent->page);
    free(sent);
}

static enum MHD_Result http_metrics(struct http *h, struct MHD_Connection *c)
{
    if (h->pages == HTTP_PAGES_MAX)
        return http_say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many pages are being made\n");
    struct http_sent *sent = assert_memory(calloc(1, sizeof *sent), sizeof *sent);
    sent->h = h;
    sent->page = http_page_new(&h->options, http_not_ready(h) == NULL);
    h->pages++;
    return http_queue(c, MHD_HTTP_OK,
                      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_PIECE_SIZE,
                                                        http_metrics_read, sent, http_metrics_free),
                      "text/plain; version=0.0.4; charset=utf-8");
}

/* --- requests --------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    enum MHD_Result (*answer)(struct http *h, struct MHD_Connection *c);
} http_routes[] = {
    {"/", http_index},        {"/metrics", http_metrics},  {"/healthz", http_healthz},
    {"/readyz", http_readyz}, {"/state", http_state_page},
};

static enum MHD_Result http_request(void *cls, struct MHD_Connection *c, const char *url,
                                    const char *method, const char *version, const char *body,
                                    size_t *body_size, void **user)
{
    struct http *h = cls;
    (void)version;
    (void)body;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_link *link = info != NULL ? info->socket_context : NULL;
    if (link != NULL) {
        link->since_ms = http_now(h);
        link->asked = true;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return http_say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    if (*user == NULL) {
        *user = h;
        return MHD_YES;
    }
    if (*body_size != 0)
        return MHD_NO;
    if (strlen(url) > HTTP_TARGET_MAX)
        return http_say(c, MHD_HTTP_URI_TOO_LONG, "too long\n");
    if (!http_guard_allows(&h->guard,
                           MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return http_say(c, MHD_HTTP_FORBIDDEN,
                        "Host is not one of this broker: want localhost, its address in numbers, "
                        "or what http.listen says\n");
    for (size_t i = 0; i < sizeof http_routes / sizeof http_routes[0]; i++)
        if (strcmp(url, http_routes[i].path) == 0)
            return http_routes[i].answer(h, c);
    return http_say(c, MHD_HTTP_NOT_FOUND, "no such page; see /\n");
}

/* --- connections ------------------------------------------------------------------------------ */

static void http_link_notify(void *cls, struct MHD_Connection *c, void **context,
                             enum MHD_ConnectionNotificationCode code)
{
    struct http *h = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_link *link = *context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (link == NULL)
            return;
        ASSERT(link->fd >= 0 && h->link_count > 0);
        link->fd = -1;
        h->link_count--;
        h->freed = true;
        return;
    }
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX && info != NULL; i++) {
        if (h->links[i].fd >= 0)
            continue;
        h->links[i] = (struct http_link){.fd = info->connect_fd, .since_ms = http_now(h)};
        h->link_count++;
        *context = &h->links[i];
        return;
    }
}

static void http_link_answered(void *cls, struct MHD_Connection *c, void **user,
                               enum MHD_RequestTerminationCode code)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_link *link = info != NULL ? info->socket_context : NULL;
    (void)cls;
    (void)user;
    (void)code;
    if (link != NULL)
        link->asked = false;
}

/* The peer has left without a whole request. libmicrohttpd 0.9.75 takes a short read for the end of
 * what there is, and does not see an end that came together with the last bytes. */
static bool http_link_left(const struct http_link *link)
{
    char c;
    return !link->asked && recv(link->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int64_t http_sweep_ms(const struct http *h)
{
    if (h->link_count == 0)
        return INT64_MAX;
    return h->swept_ms + (h->link_count < HTTP_CONNECTIONS_MAX ? HTTP_SWEEP_MS : HTTP_CROWD_MS);
}

/* Who is to go is shut down: libmicrohttpd sees that and closes. */
static void http_sweep(struct http *h, int64_t now_ms)
{
    if (now_ms < http_sweep_ms(h))
        return;
    h->swept_ms = now_ms;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        const struct http_link *link = &h->links[i];
        if (link->fd >= 0 && (now_ms - link->since_ms > HTTP_LIFE_MS || http_link_left(link)))
            (void)shutdown(link->fd, SHUT_RDWR);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static int http_start(struct http *h, int *fd)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, http_request, h, MHD_OPTION_LISTEN_SOCKET, *fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_SIZE,
        MHD_OPTION_NOTIFY_CONNECTION, http_link_notify, h, MHD_OPTION_NOTIFY_COMPLETED,
        http_link_answered, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (h->daemon == NULL)
        return errno > 0 ? -errno : -EIO;
    *fd = -1; /* the daemon's now */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return -EIO;
    h->fd = info->epoll_fd;
    return 0;
}

CLEANUP_DEFINE(http, struct http, http_close);

int http_open(const struct http_options *o, struct http **out)
{
    char why[CONN_WHY_SIZE] = "";
    int fd CLEANUP(cleanup_fd) = -1;
    ASSERT(o->broker != NULL && o->clock != NULL && o->address != NULL && o->version != NULL);
    struct http *h CLEANUP(http_cleanup) = assert_memory(calloc(1, sizeof *h), sizeof *h);
    h->options = *o;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        h->links[i].fd = -1;
    http_guard_init(&h->guard, o->address);
    int r = conn_socket(o->address, o->loopback_only, &fd, &h->port, why);
    if (r == 0)
        r = http_start(h, &fd);
    if (o->why != NULL)
        (void)snprintf(o->why, HTTP_WHY_SIZE, "%s", why);
    if (r != 0)
        return r == CONN_BAD_ADDRESS    ? HTTP_BAD_ADDRESS
               : r == CONN_IN_USE       ? HTTP_IN_USE
               : r == CONN_NOT_LOOPBACK ? HTTP_NOT_LOOPBACK
                                        : r;
    h->options.why = NULL;
    *out = h;
    h = NULL;
    return 0;
}

uint16_t http_port(const struct http *h)
{
    return h->port;
}

int http_fd(const struct http *h)
{
    return h->fd;
}

int64_t http_next_ms(const struct http *h)
{
    return h->next_ms;
}

void http_wake(struct http *h)
{
    h->woken = true;
}

void http_turn(struct http *h)
{
    int64_t now_ms = http_now(h);
    unsigned long long left_ms = 0;
    if (!h->started)
        (void)http_not_ready(h);
    if (!h->woken && now_ms < h->next_ms)
        return;
    h->woken = false;
    http_sweep(h, now_ms);
    h->freed = false;
    (void)MHD_run(h->daemon);
    h->next_ms = http_sweep_ms(h);
    if (MHD_get_timeout(h->daemon, &left_ms) == MHD_YES && now_ms + (int64_t)left_ms < h->next_ms)
        h->next_ms = now_ms + (int64_t)left_ms;
    if (h->freed) /* only its next run looks at who waits for the place */
        h->next_ms = now_ms;
}

struct http *http_close(struct http *h)
{
    if (h == NULL)
        return NULL;
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    ASSERT(h->pages == 0 && h->link_count == 0);
    free(h);
    return NULL;
}
