/* SPDX-License-Identifier: MIT
 *
 * client_wire: one raw REQ socket, one session, and the calls that have no answer yet.
 *
 * A call is packed once, without session, id and `received`: those are packed apart at each sending
 * and put before it, which protobuf reads as one message. So a call that is sent again carries the
 * same bytes, and its records (parts) are borrowed from the owner, not copied, until they leave.
 *
 *            hello sent            answered OK
 *   CLOSED ------------> GREETING -------------> ALIVE     client_wire_greet, client_wire_greeted
 *     ^  ^----no answer-----|  |--version refused--> REFUSED --after a second--> CLOSED
 *     |------------------UNKNOWN_SESSION------------------|      client_wire_forget
 *
 * Every session life has its own random number, so that answers of an earlier one are told apart,
 * and an answer that comes while GREETING can only be to a hello.
 *
 * Silence: a call sent and nothing heard for its patience (300 ms, more each time it was sent
 * again, plus the long poll of a fetch) leads to a ping with `resync`, repeated after 300 ms to 1
 * s. Its answer says that the session lives: then all calls without an answer go out again, in
 * their order. So that a single lost call cannot hide behind the answers to others, its age counts
 * too.
 *
 * Credit: each message of answers is confirmed by the next call, or by a ping with id 0 when calls
 * wait and none is to be sent.
 *
 * Invariants: W1 calls stand in the order of their ids; W2 a linked call is WAITING or SENT;
 * W3 nothing but hello is sent unless the session is ALIVE; W4 `done` runs at most once, never
 * inside client_wire_add, and finds the call unlinked.
 * A wire that moves to another address does so as if its broker had forgotten it: a new session,
 * all calls again.
 *
 * Failures: a broken connection, a restarted broker, lost messages end in a resend; garbage and
 * answers to calls given up are dropped.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"
#include "engine/base/list.h"
#include "net/client/kauri.h"
#include "proto/kauri.pb-c.h"

#define CLIENT_SILENCE_MS        300
#define CLIENT_BACKOFF_MIN_MS    20
#define CLIENT_BACKOFF_MAX_MS    1000
#define CLIENT_AGE_MAX_MS        5000
#define CLIENT_STUCK_MS          3000
#define CLIENT_SILENT_COUNT      4    /* hellos or pings in a row without an answer */
#define CLIENT_SILENT_MS         1500 /* without a connection, and without a refusal either */
#define CLIENT_MESSAGE_SIZE_MAX  (64u * 1024 * 1024)
#define CLIENT_HEADER_MEMORY_MAX (128u * 1024 * 1024)

/* One message from the broker, kept while an answer or its records are in use. */
struct client_message {
    void *bytes; /* owned, nanomsg's */
    struct arena arena;
    uint32_t pins;
};

struct client_message *client_message_pin(struct client_message *m);
struct client_message *client_message_unpin(struct client_message *m);

/* What `done` gets: borrowed until it returns, or as long as `message` is pinned. */
struct client_answer {
    const Kauri__Answer *answer;
    struct slice raw;
    struct client_message *message;
};

enum client_call_state { CLIENT_CALL_IDLE, CLIENT_CALL_WAITING, CLIENT_CALL_SENT };

struct client_wire;

struct client_call {
    struct list link;
    uint64_t id;
    enum client_call_state state;
    struct buf body;     /* owned: the packed call */
    struct slice *parts; /* owned array of borrowed bytes */
    size_t part_count;
    uint32_t patience_ms;  /* the broker may take so long by right */
    uint32_t sends;        /* how often it left */
    uint32_t retries;      /* how often it was refused and put back */
    int64_t sent_ms;       /* last time */
    int64_t due_ms;        /* not before */
    Kauri__Status refused; /* why it was put back last */
    bool one_way;          /* `done` runs with NULL once sent */
    /* NULL, or makes `body` anew before each sending, for what changes from one to the next. */
    void (*pack)(struct client_wire *w, struct client_call *call);
    void (*done)(struct kauri *k, struct client_call *call, const struct client_answer *a);
    void *owner;
};

enum client_session {
    CLIENT_SESSION_CLOSED,
    CLIENT_SESSION_GREETING,
    CLIENT_SESSION_ALIVE,
    CLIENT_SESSION_REFUSED,
};

#define CLIENT_NONCE_SIZE 16

struct client_wire {
    struct kauri *owner; /* what `done` gets; NULL is fine */
    /* NULL, or sees every answer before its `done`. */
    void (*heard)(struct kauri *k, const Kauri__Answer *a);
    const char *url;    /* borrowed, like name */
    const char *name;   /* told in hello */
    size_t receive_max; /* bytes of a message */
    int64_t wake_ms;    /* the next turn is due then; the owner sets it to INT64_MAX before one */
    int socket;         /* -1: none */
    int receive_fd;
    int send_fd;
    uint32_t request;        /* of the REQ header */
    bool blocked;            /* the pipe takes nothing now: wait for send_fd */
    int64_t blocked_ms;      /* since when; 0: it is not */
    uint64_t connect_errors; /* of the socket, when last looked at */
    enum client_session state;
    uint64_t session;
    uint8_t nonce[CLIENT_NONCE_SIZE]; /* the broker's, for this session; 0: none */
    uint64_t received;                /* highest sequence seen */
    uint64_t last_id;
    int64_t hello_ms; /* CLOSED, REFUSED: not before; GREETING: when sent */
    uint32_t hello_count;
    uint64_t resync_first; /* ids of the pings under way, 0 none */
    uint64_t resync_last;
    int64_t resync_ms;
    uint32_t resync_count;
    int64_t heard_ms;
    bool confirm; /* the broker waits for `received` */
    struct list calls;
    struct kauri_server server;
    uint32_t message_size_max; /* as hello told */
};

struct client_wire_options {
    const char *url; /* borrowed for the wire's life, like name and owner */
    const char *name;
    struct kauri *owner;
    void (*heard)(struct kauri *k, const Kauri__Answer *a);
    size_t receive_max; /* 0: CLIENT_MESSAGE_SIZE_MAX */
};

/* Opens the socket and starts connecting. 0, KAURI_BAD_ARGUMENT (not a URL) or -errno. */
int client_wire_open(struct client_wire *w, const struct client_wire_options *o) MUST_CHECK;
/* Closes; calls still linked are forgotten, their owners free them. */
void client_wire_close(struct client_wire *w);

/* A call of the given content (NULL: `pack` makes it); done and owner are set by the caller. Owned
 * by the caller. */
struct client_call *client_call_new(const Kauri__Call *content);
struct client_call *client_call_free(struct client_call *call);

/* Queues a call under a new id. */
void client_wire_add(struct client_wire *w, struct client_call *call);
/* Queues an answered call again, after a pause that grows with each time. */
void client_wire_retry(struct client_wire *w, struct client_call *call, Kauri__Status why);
/* Takes a call out: its answer, if any, will be dropped. Fine when it is not queued. */
void client_wire_cancel(struct client_call *call);
/* A new session: hello goes first, then all calls again. */
void client_wire_restart(struct client_wire *w, int64_t now_ms);

/* From now on at another address (borrowed), in a new session: all calls go out again. 0 or as
 * client_wire_open; then nothing was changed. */
int client_wire_move(struct client_wire *w, const char *url, int64_t now_ms) MUST_CHECK;
/* Nobody has answered for long, or nothing can be sent: true soon after somebody should have. */
bool client_wire_silent(const struct client_wire *w, int64_t now_ms);
/* True when no connection stands and an attempt to make one has failed since it was asked last. */
bool client_wire_unreachable(struct client_wire *w);
/* Receives all there is (a bounded number) and runs `done`. Returns the messages handled. */
int client_wire_receive(struct client_wire *w, int64_t now_ms);
/* Sends what is due and can be sent; lowers wake_ms to the time of the next turn. */
void client_wire_send(struct client_wire *w, int64_t now_ms);

/* 20 ms, doubled by `count` up to 1 s. */
int64_t client_backoff_ms(uint32_t count);
