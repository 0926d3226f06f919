/* SPDX-License-Identifier: MIT
 *
 * conn: the TCP side of the Kafka front: listening sockets, connections, frames in, answers out. It
 * knows frames, not what is in them: a frame is a 32-bit size, big endian, and that many bytes.
 *
 *   conn_open, conn_listen...
 *   each turn of the owner's loop:
 *     conn_turn(f)    new connections, then bytes in: frame(ctx, c, r) for each complete frame
 *     ...             what workers finished, the engine's turn: conn_answer(r, ...) at any time
 *     conn_flush(f)   answers out, then timeouts
 *   conn_stop, turns until conn_stopped, conn_close
 *
 * A request lives from its frame to the moment its answer has left. Any number may be with the user
 * at once and be answered in any order; answers leave in the order of the requests:
 *
 *   queue of a connection:  [answered, half sent] -> [answered] -> [with the user] -> [answered]
 *                            ^ the next to leave                    ^ holds back those behind it
 *
 * One descriptor for the loop: the front keeps an epoll set of its own, whose descriptor (conn_fd)
 * the loop polls as it polls the native front's. Each socket is added once, edge-triggered for both
 * directions, and "readable" and "writable" are remembered here: holding back a connection and
 * letting it go on cost no system call, and tests need no loop. The price is one more epoll_wait
 * per turn. bench/bench_conn.c measures it beside a uv_poll or a uv_tcp per connection that only
 * count bytes: a ping-pong takes 15.5 us instead of 14.1 and 14.5; a pipelined frame costs about
 * 0.13 us of the server's CPU, whoever polls the descriptor.
 *
 * The order of a turn: time is read once, in conn_turn, and holds until the next; all events are
 * marked before anything is done; then connections are accepted; then those that have bytes are
 * read, in the order in which their bytes were noticed; conn_flush sends in the order in which the
 * answers became ready. What arrived before a turn is read in it before anybody is timed out, so a
 * long turn expires nobody.
 *
 * Bounds of one turn: CONN_ACCEPTS_MAX connections per listener, CONN_READ_MAX bytes in and
 * CONN_SEND_MAX bytes out per connection. What is left over goes on in the next turn, behind the
 * others; conn_next_ms is then "now".
 *
 * Memory: an idle connection is one struct (measured: 233 bytes each with 10,000 of them) and holds
 * no buffer. Bytes are read into one buffer that all share; a complete small frame is copied out of
 * it, the rest of a large one is read straight into its place. That place grows with what has
 * arrived (64 KiB, then 16 times what is there), never to what was announced: announcing 100 MB
 * costs nothing. Requests are used again with their first arena block; what a second did not need
 * is freed.
 *
 * Limits and what happens at each:
 *   connections_max         accepted and closed at once
 *   address_conns_max       the same, for connections from one address
 *   descriptors             a reserve descriptor is given up to accept and close; never a busy loop
 *   frame_size_max          checked before anything is allocated: the connection is closed
 *   conn_requests_max,      requests, bytes of requests, bytes of unsent answers of a connection:
 *   conn_in_flight_size_max,    no more is read from it until they fall below (one read may go
 *   conn_out_size_max           beyond)
 *   in_flight_size_max      bytes of requests of all connections: the same for all. When half
 *                           frames alone fill it, the one with the least missing goes on alone, so
 *                           that it cannot lock up
 *   conn_hold               the user's wish: no more is read from it for a time
 *   idle_timeout_ms         nothing moved either way and no request is with the user: closed
 *   frame_timeout_ms        a frame begun is not complete, each 64 KiB of it giving one second
 *                           more; time in which we do not read does not count: closed
 *
 * Invariants (conn_check):
 *   C1 a connection is in exactly the list its state and place name, and in the heap of deadlines
 *   C2 in_flight_size is the sum over the requests, also per connection; so are out_size and counts
 *   C3 a connection is in the sending list exactly when it is writable, not ending, and the head
 *      of its queue is answered
 *   C4 only the head of a queue can be partly sent
 *   C5 the connections counted at the addresses are the connections
 *   C6 the release of a piece runs exactly once: when its answer has left, or the connection ended
 *
 * Failures: what a peer does wrong, and a socket that fails, end that connection and are counted
 * (enum conn_end); accepting that fails is counted and tried again. conn_turn fails only when the
 * epoll set does.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/list.h"

struct clock;
struct conn;
struct conn_front;

#define CONN_LISTENERS_MAX 16 /* sockets; a name may stand for several */
#define CONN_ACCEPTS_MAX   64
#define CONN_READ_MAX      (1024u * 1024)
#define CONN_SEND_MAX      (2u * 1024 * 1024)
#define CONN_WHY_SIZE      256
#define CONN_ADDRESS_SIZE  64  /* "[...]:65535" with its NUL */
#define CONN_PIECES_INLINE 3   /* the frame's size and two pieces need no allocation */
#define CONN_NEAR_MAX      512 /* a body up to here lies in its request */

/* Why a connection ended or was refused. */
enum conn_end {
    CONN_END_PEER,    /* closed by the peer */
    CONN_END_RESET,   /* the socket failed */
    CONN_END_SIZE,    /* a frame of a size beyond frame_size_max, or negative */
    CONN_END_IDLE,    /* idle_timeout_ms */
    CONN_END_FRAME,   /* frame_timeout_ms */
    CONN_END_PIECE,   /* a piece of an answer could not be read: file or mapping */
    CONN_END_DROPPED, /* by the user: conn_drop, conn_answer_last */
    CONN_END_STOPPED, /* conn_stop */
    CONN_END_FULL,    /* refused: connections_max */
    CONN_END_ADDRESS, /* refused: address_conns_max */
    CONN_END_FILES,   /* refused: no descriptor left */
};
#define CONN_ENDS 11
/* "closed by the peer"; static storage. */
const char *conn_end_text(enum conn_end end);

/* One piece of an answer: bytes, or a range of a file. It stays valid until its release ran. */
struct conn_piece {
    const uint8_t *p; /* NULL: size bytes of file fd from pos on */
    size_t size;
    int fd;
    int64_t pos;
    void (*release)(void *ctx); /* NULL, or runs once the piece is no longer needed. May not call
                                 * functions of this module */
    void *ctx;
};

/* Bytes that live as long as the request: in its arena, in its body, static. */
static inline struct conn_piece conn_piece_bytes(struct slice s)
{
    return (struct conn_piece){.p = s.p, .size = s.p == NULL ? 0 : s.size, .fd = -1};
}

/* Takes the buffer's memory over; the buffer is empty and valid afterwards. */
static inline struct conn_piece conn_piece_owned(struct buf *b)
{
    struct conn_piece piece = {
        .p = b->p, .size = b->size, .fd = -1, .release = b->p == NULL ? NULL : free, .ctx = b->p};
    *b = (struct buf){0};
    return piece;
}

/* Bytes of others, such as a pinned mapping. Only the kernel reads them, so that a page the disk
 * cannot give is an error and no signal. */
static inline struct conn_piece conn_piece_slice(struct slice s, void (*release)(void *), void *ctx)
{
    ASSERT(release != NULL);
    return (struct conn_piece){.p = s.p, .size = s.size, .fd = -1, .release = release, .ctx = ctx};
}

/* A range of a file, sent by sendfile. release may be NULL. */
struct conn_range {
    int fd;
    int64_t pos;
    size_t size;
};
static inline struct conn_piece conn_piece_file(struct conn_range range, void (*release)(void *),
                                                void *ctx)
{
    ASSERT(range.fd >= 0 && range.pos >= 0);
    return (struct conn_piece){
        .size = range.size, .fd = range.fd, .pos = range.pos, .release = release, .ctx = ctx};
}

/* A frame that came in. Owned by the front; the user may read the first part, and write `user`. */
struct conn_request {
    struct conn *conn;  /* NULL once gone */
    struct slice body;  /* the frame without its size. Valid until the answer; and until the answer
                         * has left when one of its pieces points into it */
    struct arena arena; /* for whatever lives as long as the request */
    void *user;         /* the user's own, NULL at first */
    bool gone;          /* the connection ended: the answer will be dropped */
    /* The front's own. */
    bool answered;
    bool last; /* the connection ends with this answer */
    struct conn_front *front;
    struct list link;          /* in its connection's queue, or among the gone */
    uint8_t *far;              /* owned body, NULL when it lies in `near` */
    size_t cap;                /* room for the body, below body.size while it comes in */
    size_t have;               /* bytes of the body that have arrived */
    size_t charge;             /* counted in in_flight_size */
    struct conn_piece *pieces; /* `few`, or owned */
    size_t piece_count;        /* 0: nothing is sent */
    size_t piece_index;        /* the next to leave ... */
    size_t piece_pos;          /* ... and what has left of it */
    struct conn_piece few[CONN_PIECES_INLINE];
    uint8_t head[4]; /* size of the answer, big endian */
    uint8_t near[CONN_NEAR_MAX];
};

/* The system calls, so that tests can cut them short and let them fail. As recvmsg, sendmsg and
 * sendfile, but for -errno. */
struct conn_calls {
    ssize_t (*receive)(void *ctx, int fd, struct iovec *v, size_t count);
    ssize_t (*send)(void *ctx, int fd, const struct msghdr *message, int flags);
    ssize_t (*send_file)(void *ctx, int fd, struct conn_range from);
    void *ctx;
};

/* Zero means the default for every number. Callbacks run inside conn_turn and conn_flush (and of
 * what conn_close ends, inside that), and may not call these or conn_stop. */
struct conn_options {
    const struct clock *clock; /* borrowed for the front's life */
    /* A complete frame. The request is the user's until it answers, which it may do at once. */
    void (*frame)(void *ctx, struct conn *c, struct conn_request *r);
    /* The connection of a request that was not answered has ended. It must still be answered (with
     * nothing, as what was answered is dropped), now or later. NULL: not told. */
    void (*gone)(void *ctx, struct conn_request *r);
    /* A connection begins: conn_set_user. Ends: after all its `gone`. NULL: not told. */
    void (*opened)(void *ctx, struct conn *c);
    void (*closed)(void *ctx, struct conn *c, enum conn_end end);
    /* One line about something wrong, level 1: warning; each kind at most once in 10 s. NULL:
     * none. */
    void (*log)(void *ctx, int level, const char *line);
    void *ctx;

    size_t connections_max;         /* default half of the descriptor limit */
    size_t address_conns_max;       /* default none */
    size_t frame_size_max;          /* default 104857600; at most INT32_MAX */
    size_t in_flight_size_max;      /* default 256 MiB */
    size_t conn_in_flight_size_max; /* default 32 MiB */
    size_t conn_requests_max;       /* default 4096 */
    size_t conn_out_size_max;       /* default 104857600 */
    size_t arena_size_max;          /* of a request, default 64 MiB; beyond, arena_alloc is NULL */
    int64_t idle_timeout_ms;        /* default 600000 */
    int64_t frame_timeout_ms;       /* default 30000 */
    int64_t stop_timeout_ms;        /* after conn_stop, for peers that do not read, default 5000 */
    int send_buffer_size;           /* SO_SNDBUF; default the system's */
    bool loopback_only;             /* conn_listen refuses other addresses */
    uint64_t seed;                  /* for the hash map of addresses */
    const struct conn_calls *calls; /* NULL: the system's */
};

/* --- the front --- */

/* The process must ignore SIGPIPE. *out is owned. 0 or -errno. */
int conn_open(const struct conn_options *o, struct conn_front **out) MUST_CHECK;

/* Conditions of conn_listen. */
#define CONN_BAD_ADDRESS  1 /* not HOST:PORT, an unknown name, or too many listeners */
#define CONN_IN_USE       2 /* another process listens there; *why names it where it can be found */
#define CONN_NOT_LOOPBACK 3 /* and loopback_only is set */

/* Listens at HOST:PORT: an IPv4 address, an IPv6 address in brackets, a name such as localhost (all
 * its addresses), or nothing for all addresses; port 0 takes a free one. `tag` is what conn_tag
 * gives for the connections that come in here. Blocks while a name is looked up. 0, a condition or
 * -errno; after a failure `why` (room for CONN_WHY_SIZE bytes) holds one line. */
int conn_listen(struct conn_front *f, const char *address, unsigned tag, char *why) MUST_CHECK;
/* The same for those who accept by themselves: one socket that listens at the first address of
 * HOST:PORT that works, and its port. *fd is owned. */
int conn_socket(const char *address, bool loopback_only, int *fd, uint16_t *port,
                char *why) MUST_CHECK;
/* The port of the index-th listening socket, 0 when there is none. */
uint16_t conn_listen_port(const struct conn_front *f, size_t index);

/* Readable when conn_turn has something to do. */
int conn_fd(const struct conn_front *f);
/* Monotonic ms of the next turn that is needed even when conn_fd is not readable; INT64_MAX: none.
 * 0 when work is left over from the last one. */
int64_t conn_next_ms(const struct conn_front *f);
/* Takes the events, accepts, reads, hands out frames. Never waits. 0 or -errno (fatal). */
int conn_turn(struct conn_front *f) MUST_CHECK;
/* Sends what is answered, closes who is out of time. Never waits. */
void conn_flush(struct conn_front *f);
/* No new connections, no new requests. Those in flight finish, then their connections close. */
void conn_stop(struct conn_front *f);
/* True after conn_stop when no connection and no request is left. */
bool conn_stopped(const struct conn_front *f);
/* Ends all connections and frees. No request may be with the user. Returns NULL; NULL is fine. */
struct conn_front *conn_close(struct conn_front *f);

/* --- requests --- */

/* Answers: the size of all pieces and the pieces, which are copied, not what they point to. Count
 * 0: nothing is sent for this request. Exactly once per request, which is the front's from then on
 * (it may be freed before the call returns). At most INT32_MAX bytes in all. O(count). */
void conn_answer(struct conn_request *r, const struct conn_piece *pieces, size_t count);
/* The same, and the connection ends when this answer has left: no more is read, requests behind it
 * are gone. */
void conn_answer_last(struct conn_request *r, const struct conn_piece *pieces, size_t count);

/* --- connections: valid until `closed` returns --- */

/* Ends the connection at the end of this turn; answers that have not left are dropped. */
void conn_drop(struct conn *c);
/* Reads nothing from the connection for so long, or for the rest of an earlier hold if that is
 * more. Frames that were read already are still handed out, answers leave. */
void conn_hold(struct conn *c, int64_t ms);
/* Counts up from 1, never used twice. */
uint64_t conn_id(const struct conn *c);
unsigned conn_tag(const struct conn *c);
void conn_set_user(struct conn *c, void *user);
void *conn_user(const struct conn *c);
/* "127.0.0.1:52114" or "[::1]:52114"; `out` has room for CONN_ADDRESS_SIZE bytes. */
void conn_peer(const struct conn *c, char *out);
/* The same without port and brackets. */
void conn_peer_host(const struct conn *c, char *out);
/* The address the client dialled, without port and brackets, and the port. False when the system
 * does not tell it any more. One system call. */
bool conn_local(const struct conn *c, char *out, uint16_t *port) MUST_CHECK;
/* Bytes of answers that wait for the peer to read: for users that hold back large ones. */
size_t conn_out_size(const struct conn *c);

/* --- watching --- */

struct conn_stats {
    uint64_t accepted;
    uint64_t ended[CONN_ENDS]; /* by enum conn_end, refused ones too */
    uint64_t frames;
    uint64_t answers; /* that have left whole */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t reads; /* system calls */
    uint64_t sends;
    uint64_t held;         /* times a connection was held back */
    size_t connections;    /* now, like those below */
    size_t requests;       /* complete frames whose answers have not left */
    size_t gone;           /* requests with the user whose connection ended */
    size_t in_flight_size; /* bytes */
    size_t out_size;       /* bytes */
};
void conn_stats(const struct conn_front *f, struct conn_stats *out);
/* At most `max` connections, oldest first. fn changes nothing here. */
void conn_each(const struct conn_front *f, size_t max, void (*fn)(void *ctx, const struct conn *c),
               void *ctx);
/* Walks all invariants; asserts. O(connections + requests). */
void conn_check(const struct conn_front *f);
/* Appends the state in lines of text, at most CONN_DUMP_MAX connections. */
#define CONN_DUMP_MAX 64
void conn_dump(const struct conn_front *f, struct buf *out);
