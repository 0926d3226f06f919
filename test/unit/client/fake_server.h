/* SPDX-License-Identifier: MIT
 *
 * fake_server: a scripted broker for the client's tests. A raw REP socket on ipc:// in a temporary
 * folder, served by a thread of its own, because the client's calls wait. It follows the transport
 * protocol to the letter (one message of answers per session until it is confirmed, resync,
 * sessions), keeps its data in a fake_log, and misbehaves as the script says.
 *
 * Everything in struct fake_server is used under fake_server_lock, by tests and by the thread.
 */
#pragma once

#include <pthread.h>

#include "engine/base/list.h"
#include "fake_group.h"
#include "fake_log.h"

#define FAKE_SESSIONS_MAX  64
#define FAKE_SEEN_MAX      8192
#define FAKE_CLUSTER_PARTS 5
#define FAKE_KINDS         64 /* calls by their number in the protocol */

struct fake_seen {
    uint64_t id;
    uint32_t crc; /* of the raw bytes */
};

struct fake_session {
    uint64_t id;
    uint64_t sequence;
    uint64_t confirmed;
    uint8_t control[256];
    struct list answers; /* not sent yet */
};

/* What goes wrong. Counts fall by one each time, 0: nothing. */
struct fake_script {
    unsigned swallow[FAKE_KINDS]; /* calls carried out, whose answers' message is lost */
    unsigned ignore[FAKE_KINDS];  /* calls lost on their way here */
    bool withhold; /* the first produce call is carried out and not answered, nor are its repeats */
    unsigned refuse_calls[FAKE_KINDS];
    Kauri__Status refuse_status; /* of refuse_calls and refuse_items */
    unsigned refuse_items;       /* produce items */
    unsigned skip_items;         /* let so many pass before */
    unsigned stop_items; /* after so many produce items: answer nothing any more, until restart */
    bool mute;           /* no call is looked at */
    unsigned corrupt;    /* fetched bytes with a bit flipped */
    uint32_t version;    /* of hello, 0: 1 */
    unsigned loading;    /* rows of group_offsets that know no end yet */
    const char *leader;  /* told with NOT_LEADER */
    Kauri__Status promoted;
    Kauri__Status left;
    unsigned moving; /* pages of group_describe of a group that changes meanwhile */
};

struct fake_server {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    int wake_fd;
    char dir[64];
    char url[96];
    int socket; /* -1: down */
    bool want_up;
    bool quit;
    struct fake_session sessions[FAKE_SESSIONS_MAX];
    size_t session_count;
    bool silent;        /* carries calls out, answers nothing, until stopped */
    struct list parked; /* fetches that wait */
    struct fake_log log;
    struct fake_group group;
    struct fake_script script;
    int64_t next_producer;
    unsigned calls[FAKE_KINDS]; /* seen */
    unsigned resyncs;
    unsigned messages;                        /* of answers, sent */
    struct fake_seen produced[FAKE_SEEN_MAX]; /* repeats as well */
    size_t produced_count;
    uint32_t fetch_wait_ms; /* of the last fetch */
    size_t fetch_items;
    char broker_config[64];
    unsigned page_size; /* topics per page */
};

/* Up and listening, with no topics. */
struct fake_server *fake_server_new(void);
struct fake_server *fake_server_free(struct fake_server *s);
void fake_server_lock(struct fake_server *s);
void fake_server_unlock(struct fake_server *s);
/* Not locked: takes the socket down and up; sessions, answers and waiting calls are lost. */
void fake_server_stop(struct fake_server *s);
void fake_server_start(struct fake_server *s);
/* Locked: forgets the sessions while the connection stands. */
void fake_server_forget(struct fake_server *s);
/* Not locked: makes a topic. */
void fake_server_topic(struct fake_server *s, const char *name, int32_t partitions);
/* Not locked: the count of calls of a kind (KAURI__CALL__CALL_...). */
unsigned fake_server_calls(struct fake_server *s, int kind);
