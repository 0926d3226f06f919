/* SPDX-License-Identifier: MIT
 *
 * test_conn_soak: random clients by seed against a dumb model, and clients that send garbage.
 *
 * The model of a client is the text it expects: a running number per request, in order, with a flag
 * in the request that says what the answer is to be (echo, nothing, slice, file). Small limits keep
 * holding back, starving and letting go on going all the time.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/base/random.h"
#include "rig.h"

#define SOAK_CLIENTS 8
#define SOAK_STEPS   2000
#define SOAK_FILE    300000
#define SOAK_HEAD    9 /* kind, number, size of the answer */

enum soak_kind {
    SOAK_ECHO,
    SOAK_NOTHING,
    SOAK_SLICE,
    SOAK_FILE_RANGE,
};
#define SOAK_KINDS 4

struct soak_client {
    int fd; /* -1: not connected */
    uint32_t number;
    struct buf out;    /* not sent yet */
    struct buf in;     /* read, not checked yet */
    struct buf expect; /* what the answers must be, not seen yet */
};

struct soak {
    struct rig rig;
    struct random random;
    struct soak_client clients[SOAK_CLIENTS];
    uint8_t *data; /* mapped, the file's bytes */
    int file;
    size_t pieces; /* given out with a release */
    uint64_t checked;
    uint64_t resets;
};

static void soak_connect(struct soak *s, struct soak_client *c)
{
    c->fd = rig_client(&s->rig);
    c->number = 0;
    buf_reset(&c->out);
    buf_reset(&c->in);
    buf_reset(&c->expect);
}

/* A request of a random kind and size goes to `out`, its answer to `expect`. */
static void soak_request(struct soak *s, struct soak_client *c)
{
    enum soak_kind kind = (enum soak_kind)random_below(&s->random, SOAK_KINDS);
    static const size_t sizes[] = {20, 20, 200, 5000, 70000, 300000};
    size_t pad = random_below(&s->random, sizes[random_below(&s->random, 6)]);
    size_t size = random_below(&s->random, sizes[random_below(&s->random, 6)]);
    uint8_t body[SOAK_HEAD] = {(uint8_t)kind};
    bytes_put_be32(body + 1, c->number++);
    bytes_put_be32(body + 5, (uint32_t)size);
    buf_append_be32(&c->out, (uint32_t)(sizeof body + pad));
    buf_append(&c->out, body, sizeof body);
    buf_append(&c->out, s->data, pad);
    if (kind == SOAK_NOTHING)
        return;
    size_t tail = kind == SOAK_ECHO ? pad : size;
    buf_append_be32(&c->expect, (uint32_t)(sizeof body + tail));
    buf_append(&c->expect, body, sizeof body);
    buf_append(&c->expect, s->data, tail);
}

static void soak_answer(struct soak *s, struct conn_request *r)
{
    enum soak_kind kind = (enum soak_kind)r->body.p[0];
    size_t size = bytes_be32(r->body.p + 5);
    struct slice head = arena_copy(&r->arena, slice_of(r->body.p, SOAK_HEAD));
    struct conn_piece pieces[2] = {conn_piece_bytes(head)};
    s->pieces += kind == SOAK_SLICE || kind == SOAK_FILE_RANGE;
    switch (kind) {
    case SOAK_ECHO:
        rig_echo(r);
        return;
    case SOAK_NOTHING:
        conn_answer(r, NULL, 0);
        return;
    case SOAK_SLICE:
        pieces[1] = conn_piece_slice(slice_of(s->data, size), rig_release, &s->rig);
        break;
    case SOAK_FILE_RANGE:
        pieces[1] = conn_piece_file((struct conn_range){s->file, 0, size}, rig_release, &s->rig);
        break;
    }
    conn_answer(r, pieces, 2);
}

static void soak_cut(struct buf *b, size_t size)
{
    memmove(b->p, b->p + size, b->size - size);
    b->size -= size;
}

static void soak_send(struct soak *s, struct soak_client *c)
{
    size_t size = random_below(&s->random, c->out.size + 1);
    ssize_t n = size == 0 ? 0 : send(c->fd, c->out.p, size, MSG_NOSIGNAL);
    ck_assert(n >= 0 || errno == EAGAIN);
    if (n > 0)
        soak_cut(&c->out, (size_t)n);
}

static void soak_receive(struct soak *s, struct soak_client *c, size_t max)
{
    buf_reserve(&c->in, max);
    ssize_t n = max == 0 ? 0 : recv(c->fd, c->in.p + c->in.size, max, 0);
    ck_assert_msg(n > 0 || max == 0 || (n < 0 && errno == EAGAIN), "recv: %zd %s", n,
                  strerror(errno));
    if (n <= 0)
        return;
    c->in.size += (size_t)n;
    ck_assert_uint_le(c->in.size, c->expect.size);
    ck_assert_int_eq(memcmp(c->in.p, c->expect.p, c->in.size), 0);
    soak_cut(&c->expect, c->in.size);
    s->checked += c->in.size;
    buf_reset(&c->in);
}

static void soak_step(struct soak *s)
{
    struct rig *rig = &s->rig;
    struct soak_client *c = &s->clients[random_below(&s->random, SOAK_CLIENTS)];
    uint64_t what = random_below(&s->random, 100);
    if (c->fd < 0)
        soak_connect(s, c);
    else if (what < 30 && c->out.size < 1000000)
        soak_request(s, c);
    else if (what < 50)
        soak_send(s, c);
    else if (what < 65)
        soak_receive(s, c, random_below(&s->random, 200000));
    else if (what < 85 && rig->taken_count > 0)
        soak_answer(s, rig_take(rig, random_below(&s->random, rig->taken_count)));
    else if (what < 99)
        rig_turn(rig);
    else {
        s->resets++;
        if (random_below(&s->random, 2) == 0)
            rig_reset(c->fd);
        else
            close(c->fd);
        c->fd = -1;
    }
}

/* All that was asked is answered and read. */
static void soak_finish(struct soak *s)
{
    struct rig *rig = &s->rig;
    int64_t end = rig_real_ms() + RIG_WAIT_MS;
    for (size_t i = 0; i < SOAK_CLIENTS; i++) {
        struct soak_client *c = &s->clients[i];
        while (c->fd >= 0 && (c->out.size > 0 || c->expect.size > 0)) {
            ck_assert_msg(rig_real_ms() < end, "client %zu: %zu to send, %zu to come", i,
                          c->out.size, c->expect.size);
            for (size_t k = 0; k < SOAK_CLIENTS; k++) {
                if (s->clients[k].fd < 0)
                    continue;
                soak_send(s, &s->clients[k]);
                soak_receive(s, &s->clients[k], 1000000);
            }
            while (rig->taken_count > 0)
                soak_answer(s, rig_take(rig, random_below(&s->random, rig->taken_count)));
            rig_wait(rig);
        }
    }
}

static void soak_init(struct soak *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    random_init(&s->random, seed);
    rig_init(&s->rig);
    s->rig.options.conn_requests_max = 5 + random_below(&s->random, 20);
    s->rig.options.conn_in_flight_size_max = 1000 + random_below(&s->random, 300000);
    s->rig.options.conn_out_size_max = 1000 + random_below(&s->random, 1000000);
    s->rig.options.in_flight_size_max = 2000 + random_below(&s->random, 1000000);
    s->rig.options.send_buffer_size = 10000;
    rig_open(&s->rig);
    s->file = memfd_create("soak", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(s->file, SOAK_FILE), 0);
    s->data = mmap(NULL, SOAK_FILE, PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0);
    ck_assert_ptr_ne(s->data, MAP_FAILED);
    for (size_t i = 0; i < SOAK_FILE; i++)
        s->data[i] = (uint8_t)random_u64(&s->random);
    for (size_t i = 0; i < SOAK_CLIENTS; i++)
        s->clients[i].fd = -1;
}

START_TEST(test_soak)
{
    struct soak s;
    soak_init(&s, (uint64_t)_i);
    for (int i = 0; i < SOAK_STEPS; i++)
        soak_step(&s);
    soak_finish(&s);
    ck_assert_uint_gt(s.checked, 100000);
    ck_assert_uint_gt(s.resets, 0);
    ck_assert_uint_gt(rig_stats(&s.rig).held, 0);
    for (size_t i = 0; i < SOAK_CLIENTS; i++) {
        if (s.clients[i].fd >= 0)
            close(s.clients[i].fd);
        buf_deinit(&s.clients[i].out);
        buf_deinit(&s.clients[i].in);
        buf_deinit(&s.clients[i].expect);
    }
    rig_close(&s.rig);
    ck_assert_uint_eq(s.rig.releases, s.pieces);
    munmap(s.data, SOAK_FILE);
    close(s.file);
}
END_TEST

/* Garbage on many connections beside an honest one: memory bounded, nobody else disturbed. */
START_TEST(test_garbage)
{
    struct rig rig;
    struct random random;
    uint8_t bytes[3000];
    random_init(&random, (uint64_t)_i);
    rig_init(&rig);
    rig.echo = true;
    rig.options.frame_size_max = 100000;
    rig_open(&rig);
    int honest = rig_client(&rig);
    for (int round = 0; round < 150; round++) {
        int fd = rig_client(&rig);
        size_t size = random_below(&random, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_u64(&random);
        for (size_t at = 0; at + 4 < size; at += 4 + random_below(&random, 60))
            if (random_below(&random, 4) > 0) /* sizes that are plausible */
                bytes_put_be32(bytes + at, (uint32_t)random_below(&random, 80));
        if (size > 0)
            (void)!send(fd, bytes, size, MSG_NOSIGNAL);
        rig_turn(&rig);
        if (random_below(&random, 2) == 0)
            rig_reset(fd);
        else
            close(fd);
        rig_send_text(&rig, honest, "honest");
        rig_expect_text(&rig, honest, "honest");
    }
    RIG_UNTIL(&rig, rig_stats(&rig).connections == 1);
    ck_assert_uint_eq(rig_stats(&rig).in_flight_size, 0);
    ck_assert_uint_gt(rig_stats(&rig).ended[CONN_END_SIZE], 0);
    close(honest);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_soak");
    TCase *tests = tcase_create("soak");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_soak, 1, 9);
    tcase_add_loop_test(tests, test_garbage, 1, 5);
    suite_add_tcase(suite, tests);
    return rig_main(suite);
}
