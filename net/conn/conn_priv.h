/* SPDX-License-Identifier: MIT
 *
 * conn_priv: what the files of conn share.
 *
 *   conn.c          the front: options, turns, stop and close
 *   conn_address.c  HOST:PORT and who is in the way
 *   conn_listen.c   listening sockets, accepting, refusing
 *   conn_peer.c     the life of one connection: states, deadlines, end
 *   conn_read.c     bytes in, frames, holding back
 *   conn_write.c    answers, bytes out
 *   conn_socket.c   a listening socket for others
 *   conn_dump.c     conn_check, conn_dump, conn_each
 *
 * A connection's states, and the function of each arrow (conn_peer_state holds the table):
 *
 *   OPEN --conn_peer_last--> LAST --conn_peer_finish, the peer's bytes unread--> LINGER
 *     |                        |                                                   |
 *     +-----conn_peer_end------+--conn_peer_finish, or conn_peer_end---------------+--> ENDED
 *
 * LAST: answers leave, nothing is read (conn_stop, conn_answer_last). LINGER: our side is shut; the
 * peer's bytes are read and thrown away for a second at most, because closing over unread bytes
 * would reset the connection and could take the last answers with it. ENDED: in the list of the
 * ended, until conn_peer_reap at the end of the turn or flush.
 *
 * A connection's place among the readers (conn_read_place):
 *
 *   NONE     nothing to read, or not OPEN
 *   READY    bytes wait, to be read next turn
 *   HELD     bytes wait; one of the connection's own limits is reached, or its user holds it
 *   STARVED  bytes wait; the limit of all is reached
 */
#pragma once

#include "engine/base/clock.h"
#include "engine/base/heap.h"
#include "engine/base/map.h"
#include "net/conn/conn.h"

#define CONN_HEAD          4u           /* the size before a frame */
#define CONN_BUFFER_SIZE   (64u * 1024) /* of the shared read and gather buffers */
#define CONN_GROW          16u
#define CONN_SPARES_MIN    64 /* spare requests, each about 3 KiB, that are always kept */
#define CONN_SPARES_MAX    4096
#define CONN_TRIM_MS       1000
#define CONN_GIVE_BACK     1024 /* so many freed at once: their memory goes back to the kernel */
#define CONN_LINGER_MS     1000
#define CONN_RETRY_MS      100   /* after accept failed for want of something */
#define CONN_LOG_MS        10000 /* between two lines of one kind */
#define CONN_RATE_PER_MS   64    /* bytes of a frame that buy it a millisecond */
#define CONN_ADDRESS_BYTES 16

enum conn_state {
    CONN_OPEN,
    CONN_LAST,
    CONN_LINGER,
    CONN_ENDED,
};
#define CONN_STATES 4

enum conn_place {
    CONN_NONE,
    CONN_READY,
    CONN_HELD,
    CONN_STARVED,
};
#define CONN_PLACES 4

/* What an event of the epoll set points to: the first member of a listener or a connection. */
struct conn_source {
    int fd; /* owned */
    bool listens;
};

struct conn_listener {
    struct conn_source source;
    unsigned tag;
    uint16_t port;
    bool ready; /* connections wait */
};

/* An address that somebody is connected from. */
struct conn_address {
    uint8_t bytes[CONN_ADDRESS_BYTES]; /* IPv6, or IPv4 mapped into it */
    size_t count;
};

struct conn {
    struct conn_source source;
    enum conn_state state;
    enum conn_place place;
    enum conn_end end; /* why it is LAST or later */
    bool readable;     /* as far as we know */
    bool writable;
    bool hangup; /* the peer has shut its side: only reading nothing says that all was read */
    bool pass;   /* may read beyond the limit of all */
    uint8_t head_size;
    uint8_t head[CONN_HEAD]; /* of the frame that is coming in */
    uint16_t peer_port;
    unsigned tag;
    struct conn_front *front;
    struct conn_request *partial; /* owned; the frame that is coming in, its size known */
    struct list all;              /* in front->all, or front->ended */
    struct list reading;          /* in front->places[place], unlinked for NONE */
    struct list sending;          /* in front->sending */
    struct list queue;            /* requests in order, owned */
    struct heap_node timer;       /* never later than conn_deadline */
    struct conn_address *address; /* counted in front->addresses */
    size_t requests;              /* in the queue */
    size_t unanswered;            /* of these, with the user */
    size_t in_flight_size;
    size_t out_size;
    int64_t moved_ms;  /* bytes went either way */
    int64_t frame_ms;  /* the frame that is coming in began, plus the time it was held back */
    int64_t paused_ms; /* held back or starved since */
    int64_t hold_ms;   /* nothing is read before; 0: read it is */
    uint64_t id;
    void *user;
};

struct conn_front {
    struct conn_options options;
    struct conn_calls calls;
    int epoll;
    int reserve; /* descriptor to give up when there is no other; -1 when it is given up */
    struct conn_listener listeners[CONN_LISTENERS_MAX];
    size_t listener_count;
    struct list all;
    struct list places[CONN_PLACES]; /* [CONN_NONE] stays empty */
    struct list sending;
    struct list ended;
    struct list gone; /* requests */
    struct heap timers;
    struct map addresses;
    struct conn *passing; /* the connection with the pass, or NULL */
    uint8_t *buffer;      /* owned, CONN_BUFFER_SIZE: bytes in */
    uint8_t *gather;      /* owned, CONN_BUFFER_SIZE: small pieces on their way out */
    struct list spares;   /* requests to be used again, the warmest first */
    size_t spare_count;
    size_t spare_low; /* the least there were since the last trim */
    int64_t trim_ms;  /* the next; INT64_MAX: nothing to trim */
    int64_t now_ms;   /* of this turn */
    int64_t retry_ms; /* accept again; INT64_MAX: nobody waits */
    int64_t stop_ms;  /* the end of patience; INT64_MAX: not stopping */
    int64_t logged_ms[CONN_ENDS];
    uint64_t last_id;
    struct conn_stats stats;
};

/* --- conn_address.c --- */

struct conn_sockaddr {
    struct sockaddr_storage storage;
    socklen_t size;
};
/* Looks an address up: fills at most `max` of out[], *count. 0 or CONN_BAD_ADDRESS with why. */
int conn_address_find(const char *address, struct conn_sockaddr *out, size_t *count,
                      char *why) MUST_CHECK;
bool conn_address_is_loopback(const struct conn_sockaddr *a);
uint16_t conn_address_port(const struct conn_sockaddr *a);
void conn_address_set_port(struct conn_sockaddr *a, uint16_t port);
/* The 16 bytes that connections are counted by. */
void conn_address_bytes(const struct conn_sockaddr *a, uint8_t *out);
/* The text of 16 such bytes; out has room for INET6_ADDRSTRLEN. */
void conn_address_text(const uint8_t *bytes, char *out);
/* Writes to why that the port of `a` is in use, and by whom where /proc tells. */
void conn_address_in_use(const struct conn_sockaddr *a, const char *address, char *why);
__attribute__((format(printf, 2, 3))) void conn_address_why(char *why, const char *fmt, ...);

/* --- conn_listen.c --- */

void conn_listen_event(struct conn_listener *l);
/* Accepts at every listener with somebody waiting. */
void conn_listen_turn(struct conn_front *f);
void conn_listen_close(struct conn_front *f);

/* --- conn_peer.c --- */

/* A new connection of an accepted socket, which is taken. NULL when it was refused. */
struct conn *conn_peer_new(struct conn_front *f, int fd, const struct conn_sockaddr *from,
                           unsigned tag);
/* Counts and logs an end or a refusal. c may be NULL. */
void conn_peer_count(struct conn_front *f, enum conn_end end, const char *detail);
void conn_peer_event(struct conn *c, uint32_t events);
/* Ends the connection; nothing of it may be used for I/O any more. Nothing happens when it has. */
void conn_peer_end(struct conn *c, enum conn_end end);
/* Reads no more; ends with `end` when the queue is empty. */
void conn_peer_last(struct conn *c, enum conn_end end);
/* All of a connection that is LAST has left: ends it, or lets it linger. */
void conn_peer_finish(struct conn *c);
/* Ends the ended: tells the user, releases, frees. */
void conn_peer_reap(struct conn_front *f);
/* Ends who is out of time. */
void conn_peer_expire(struct conn_front *f);
/* Makes sure that the connection is looked at when the time of its frame, if one is coming in, is
 * over. */
void conn_peer_watch(struct conn *c);
static inline bool conn_peer_frame_open(const struct conn *c)
{
    return c->partial != NULL || c->head_size > 0;
}

/* --- conn_read.c --- */

/* Puts the connection into the list where it belongs now. O(1). */
void conn_read_place(struct conn *c);
/* Reads every connection that is ready, once. */
void conn_read_turn(struct conn_front *f);
/* True when connections are starved and one of them may go on. */
bool conn_read_relief(const struct conn_front *f);
/* What a size that cannot be one looks like, as the end of a sentence; empty when like nothing. */
const char *conn_read_guess(const uint8_t *head);
ssize_t conn_read_receive(void *ctx, int fd, struct iovec *v, size_t count);

/* --- conn_write.c --- */

/* Puts the connection into the sending list when something can be sent. */
void conn_write_place(struct conn *c);
/* Sends for every connection of the sending list, once. */
void conn_write_turn(struct conn_front *f);
/* Releases what a request holds and frees it. It is in no list. */
void conn_write_free(struct conn_request *r);
/* Frees the spare requests that nobody needed for CONN_TRIM_MS. */
void conn_write_trim(struct conn_front *f);
/* Frees `count` spare requests. */
void conn_write_free_spares(struct conn_front *f, size_t count);
/* Bytes of the answer that have not left. */
size_t conn_write_left(const struct conn_request *r);
ssize_t conn_write_send(void *ctx, int fd, const struct msghdr *message, int flags);
ssize_t conn_write_send_file(void *ctx, int fd, struct conn_range from);
