/* SPDX-License-Identifier: MIT */
#include "fake_server.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"
#include "fake_calls.h"
#include "proto/answer.h"
#include "proto/frame.h"

#define FAKE_SIZE_MAX   (64 * 1024 * 1024)
#define FAKE_ANSWER_TAG 0x1a /* field 3 of Answers, with a length */

/* --- answers --- */

struct fake_answer {
    struct list link;
    int kind; /* of the call */
    uint64_t id;
    struct buf packed;
    struct buf raw;
};

static void fake_answer_free(struct fake_answer *a)
{
    buf_deinit(&a->packed);
    buf_deinit(&a->raw);
    free(a);
}

void fake_server_answer(struct fake_server *s, struct fake_session *to, int kind,
                        Kauri__Answer *answer, struct slice raw)
{
    if (s->silent)
        return;
    struct fake_answer *a = calloc(1, sizeof *a);
    ASSERT(a != NULL);
    a->kind = kind;
    a->id = answer->id;
    answer->size = (uint32_t)raw.size;
    if (s->script.leader != NULL && answer_is_elsewhere(answer))
        answer->leader = frame_borrow(s->script.leader);
    size_t size = kauri__answer__get_packed_size(answer);
    buf_reserve(&a->packed, size);
    a->packed.size = kauri__answer__pack(answer, a->packed.p);
    buf_append(&a->raw, raw.p, raw.size);
    list_add_tail(&to->answers, &a->link);
}

static void fake_server_length(struct buf *out, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_append_u8(out, (uint8_t)(v | 0x80));
    buf_append_u8(out, (uint8_t)v);
}

/* Control header and message to nanomsg; when the pipe is busy it is dropped, as the real one does.
 * */
static void fake_server_push(struct fake_server *s, struct fake_session *to, struct slice header,
                             struct slice raw)
{
    size_t size = FRAME_PREFIX_SIZE + header.size + raw.size;
    uint8_t *m = nn_allocmsg(size, 0);
    ASSERT(m != NULL);
    bytes_put_le32(m, (uint32_t)header.size);
    memcpy(m + FRAME_PREFIX_SIZE, header.p, header.size);
    if (raw.size > 0)
        memcpy(m + FRAME_PREFIX_SIZE + header.size, raw.p, raw.size);
    void *message = m;
    struct nn_iovec vector = {&message, NN_MSG};
    struct nn_msghdr h = {&vector, 1, to->control, sizeof to->control};
    if (nn_sendmsg(s->socket, &h, NN_DONTWAIT) < 0)
        (void)nn_freemsg(message);
}

/* All answers ready in one message, if the one before was confirmed. */
static void fake_server_send(struct fake_server *s, struct fake_session *to)
{
    if (list_empty(&to->answers) || to->confirmed != to->sequence || s->silent)
        return;
    Kauri__Answers head;
    kauri__answers__init(&head);
    head.session = to->id;
    head.sequence = ++to->sequence;
    struct buf header CLEANUP(buf_deinit) = {0};
    struct buf raw CLEANUP(buf_deinit) = {0};
    buf_reserve(&header, kauri__answers__get_packed_size(&head));
    header.size = kauri__answers__pack(&head, header.p);
    bool lost = false;
    for (struct list *node = list_pop(&to->answers); node != NULL; node = list_pop(&to->answers)) {
        struct fake_answer *a = LIST_ENTRY(node, struct fake_answer, link);
        if (s->script.swallow[a->kind] > 0) {
            s->script.swallow[a->kind]--;
            lost = true;
        }
        buf_append_u8(&header, FAKE_ANSWER_TAG);
        fake_server_length(&header, a->packed.size);
        buf_append(&header, a->packed.p, a->packed.size);
        buf_append(&raw, a->raw.p, a->raw.size);
        fake_answer_free(a);
    }
    if (lost)
        return;
    s->messages++;
    fake_server_push(s, to, buf_slice(&header), buf_slice(&raw));
}

/* --- sessions --- */

static struct fake_session *fake_server_session(struct fake_server *s, uint64_t id)
{
    for (size_t i = 0; i < s->session_count; i++)
        if (s->sessions[i].id == id)
            return &s->sessions[i];
    return NULL;
}

static void fake_session_clear(struct fake_session *e)
{
    for (struct list *node = list_pop(&e->answers); node != NULL; node = list_pop(&e->answers))
        fake_answer_free(LIST_ENTRY(node, struct fake_answer, link));
    e->sequence = e->confirmed = 0;
}

void fake_server_forget(struct fake_server *s)
{
    fake_calls_drop(s);
    for (size_t i = 0; i < s->session_count; i++)
        fake_session_clear(&s->sessions[i]);
    s->session_count = 0;
    s->silent = false;
}

static struct fake_session *fake_server_hello(struct fake_server *s, uint64_t id)
{
    struct fake_session *e = fake_server_session(s, id);
    if (e == NULL) {
        ASSERT(s->session_count < FAKE_SESSIONS_MAX);
        e = &s->sessions[s->session_count++];
        *e = (struct fake_session){.id = id};
        list_init(&e->answers);
    }
    fake_session_clear(e);
    return e;
}

/* Best effort, without credit. */
static void fake_server_unknown(struct fake_server *s, const Kauri__Call *call,
                                const uint8_t control[256])
{
    struct fake_session nobody = {.id = call->session};
    memcpy(nobody.control, control, sizeof nobody.control);
    Kauri__Answer answer;
    kauri__answer__init(&answer);
    answer.id = call->id;
    answer.status = KAURI__STATUS__UNKNOWN_SESSION;
    Kauri__Answer *answers[] = {&answer};
    Kauri__Answers head;
    kauri__answers__init(&head);
    head.session = call->session;
    head.answers = answers;
    head.n_answers = 1;
    struct buf header CLEANUP(buf_deinit) = {0};
    buf_reserve(&header, kauri__answers__get_packed_size(&head));
    header.size = kauri__answers__pack(&head, header.p);
    fake_server_push(s, &nobody, buf_slice(&header), SLICE_NULL);
}

static bool fake_server_running(const struct fake_session *e, uint64_t id)
{
    LIST_EACH (node, &e->answers)
        if (LIST_ENTRY(node, struct fake_answer, link)->id == id)
            return true;
    return false;
}

static void fake_server_call(struct fake_server *s, const Kauri__Call *call, struct slice raw,
                             const uint8_t control[256])
{
    int kind = (int)call->call_case;
    ASSERT(kind >= 0 && kind < FAKE_KINDS);
    s->calls[kind]++;
    if (s->script.ignore[kind] > 0) {
        s->script.ignore[kind]--;
        return;
    }
    struct fake_session *e = kind == KAURI__CALL__CALL_HELLO
                                 ? fake_server_hello(s, call->session)
                                 : fake_server_session(s, call->session);
    if (e == NULL) {
        fake_server_unknown(s, call, control);
        return;
    }
    memcpy(e->control, control, sizeof e->control);
    ASSERT(call->received <= e->sequence);
    if (call->received > e->confirmed)
        e->confirmed = call->received;
    if (call->resync) {
        s->resyncs++;
        e->confirmed = e->sequence;
    }
    if (call->id != 0 && !fake_server_running(e, call->id))
        fake_calls_handle(s, e, call, raw);
    fake_server_send(s, e);
}

/* --- the thread --- */

static bool fake_server_receive(struct fake_server *s)
{
    uint8_t control[256] = {0};
    void *bytes = NULL;
    struct nn_iovec vector = {&bytes, NN_MSG};
    struct nn_msghdr h = {&vector, 1, control, sizeof control};
    int size = nn_recvmsg(s->socket, &h, NN_DONTWAIT);
    if (size < 0)
        return false;
    struct frame frame;
    int r = frame_split(slice_of(bytes, (size_t)size), &frame);
    ASSERT(r == 0);
    Kauri__Call *call = kauri__call__unpack(NULL, frame.header.size, frame.header.p);
    ASSERT(call != NULL);
    if (!s->script.mute)
        fake_server_call(s, call, frame.raw, control);
    kauri__call__free_unpacked(call, NULL);
    (void)nn_freemsg(bytes);
    return true;
}

static void fake_server_up(struct fake_server *s)
{
    int max = FAKE_SIZE_MAX;
    s->socket = nn_socket(AF_SP_RAW, NN_REP);
    ASSERT(s->socket >= 0);
    int r = nn_setsockopt(s->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &max, sizeof max);
    ASSERT(r == 0);
    r = nn_bind(s->socket, s->url);
    ASSERT(r >= 0);
}

static void fake_server_down(struct fake_server *s)
{
    int r = nn_close(s->socket);
    ASSERT(r == 0);
    s->socket = -1;
    fake_server_forget(s);
}

/* Receives, answers what waited. Locked. */
static void fake_server_turn(struct fake_server *s)
{
    if (s->want_up && s->socket < 0)
        fake_server_up(s);
    if (!s->want_up && s->socket >= 0)
        fake_server_down(s);
    while (s->socket >= 0 && fake_server_receive(s))
        continue;
    if (s->socket >= 0) {
        fake_calls_parked(s);
        for (size_t i = 0; i < s->session_count; i++)
            fake_server_send(s, &s->sessions[i]);
    }
    (void)pthread_cond_broadcast(&s->changed);
}

static int fake_server_fd(const struct fake_server *s)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (s->socket >= 0)
        (void)nn_getsockopt(s->socket, NN_SOL_SOCKET, NN_RCVFD, &fd, &size);
    return fd;
}

static void *fake_server_run(void *arg)
{
    struct fake_server *s = arg;
    fake_server_lock(s);
    while (!s->quit) {
        fake_server_turn(s);
        struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN},
                                {.fd = fake_server_fd(s), .events = POLLIN}};
        int wait = fake_calls_wait_ms(s);
        fake_server_unlock(s);
        (void)poll(fds, 2, wait);
        uint64_t seen;
        if (fds[0].revents != 0 && read(s->wake_fd, &seen, sizeof seen) < 0)
            abort();
        fake_server_lock(s);
    }
    s->want_up = false;
    fake_server_turn(s);
    fake_server_unlock(s);
    return NULL;
}

static void fake_server_wake(struct fake_server *s)
{
    uint64_t one = 1;
    if (write(s->wake_fd, &one, sizeof one) != sizeof one)
        abort();
}

void fake_server_lock(struct fake_server *s)
{
    int r = pthread_mutex_lock(&s->mutex);
    ASSERT(r == 0);
}

void fake_server_unlock(struct fake_server *s)
{
    int r = pthread_mutex_unlock(&s->mutex);
    ASSERT(r == 0);
}

static void fake_server_want(struct fake_server *s, bool up)
{
    fake_server_lock(s);
    s->want_up = up;
    fake_server_wake(s);
    while ((s->socket >= 0) != up)
        (void)pthread_cond_wait(&s->changed, &s->mutex);
    fake_server_unlock(s);
}

void fake_server_stop(struct fake_server *s)
{
    fake_server_want(s, false);
}

void fake_server_start(struct fake_server *s)
{
    fake_server_want(s, true);
}

struct fake_server *fake_server_new(void)
{
    struct fake_server *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->socket = -1;
    s->page_size = 2;
    s->next_producer = 1000;
    list_init(&s->parked);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/kauri-client-XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        abort();
    (void)snprintf(s->url, sizeof s->url, "ipc://%s/sock", s->dir);
    s->wake_fd = eventfd(0, EFD_CLOEXEC);
    int r = pthread_mutex_init(&s->mutex, NULL);
    ASSERT(s->wake_fd >= 0 && r == 0);
    r = pthread_cond_init(&s->changed, NULL);
    ASSERT(r == 0);
    r = pthread_create(&s->thread, NULL, fake_server_run, s);
    ASSERT(r == 0);
    fake_server_start(s);
    return s;
}

struct fake_server *fake_server_free(struct fake_server *s)
{
    fake_server_lock(s);
    s->quit = true;
    fake_server_wake(s);
    fake_server_unlock(s);
    int r = pthread_join(s->thread, NULL);
    ASSERT(r == 0);
    fake_log_deinit(&s->log);
    (void)close(s->wake_fd);
    char path[96];
    (void)snprintf(path, sizeof path, "%s/sock", s->dir);
    (void)unlink(path);
    (void)rmdir(s->dir);
    (void)pthread_mutex_destroy(&s->mutex);
    (void)pthread_cond_destroy(&s->changed);
    free(s);
    return NULL;
}

void fake_server_topic(struct fake_server *s, const char *name, int32_t partitions)
{
    fake_server_lock(s);
    (void)fake_log_create(&s->log, name, partitions);
    fake_server_unlock(s);
}

unsigned fake_server_calls(struct fake_server *s, int kind)
{
    fake_server_lock(s);
    unsigned count = s->calls[kind];
    fake_server_unlock(s);
    return count;
}
