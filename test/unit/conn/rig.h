/* SPDX-License-Identifier: MIT
 *
 * rig: a front on loopback with a fake clock, a user that keeps the requests it is given, and
 * clients that are plain sockets. All in one thread: who waits for something turns the front
 * meanwhile, and fails the test when it does not come within RIG_WAIT_MS.
 */
#pragma once

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "net/conn/conn.h"
#include "net/conn/conn_priv.h"

#define RIG_WAIT_MS 20000

struct rig {
    struct clock_fake clock;
    struct conn_options options;
    struct conn_front *f;
    uint16_t port;
    bool echo;                   /* answer at once with the body */
    struct conn_request **taken; /* owned array: requests with the user, in the order they came */
    size_t taken_count;
    size_t taken_cap;
    struct conn *last_conn; /* of the last frame */
    size_t opened;
    size_t closed;
    size_t gone;
    enum conn_end last_end;
    bool answer_gone; /* answer inside `gone` */
    size_t releases;
    char line[CONN_WHY_SIZE]; /* the last line logged */
    size_t lines;
    void (*on_frame)(struct rig *rig, struct conn_request *r); /* instead of keeping it */
};

/* Fills the options; the caller may change them before rig_open. */
void rig_init(struct rig *rig);
void rig_open(struct rig *rig);
/* Answers what is left with nothing, checks that all was given back, closes. */
void rig_close(struct rig *rig);
/* One turn, with conn_check between the steps. */
void rig_turn(struct rig *rig);
/* Polls the front's descriptor for up to 50 ms of real time, then turns. */
void rig_wait(struct rig *rig);
/* Turns until the expression holds. */
#define RIG_UNTIL(rig, ...)                                                                        \
    do {                                                                                           \
        int64_t rig_end_ = rig_real_ms() + RIG_WAIT_MS;                                            \
        while (!(__VA_ARGS__)) {                                                                   \
            ck_assert_msg(rig_real_ms() < rig_end_, "waited in vain for " #__VA_ARGS__);           \
            rig_wait(rig);                                                                         \
        }                                                                                          \
    } while (0)
int64_t rig_real_ms(void);
struct conn_stats rig_stats(const struct rig *rig);

/* Takes the index-th request the user has out of the array. */
struct conn_request *rig_take(struct rig *rig, size_t index);
/* Answers with a copy of the body. */
void rig_echo(struct conn_request *r);
void rig_answer_text(struct conn_request *r, const char *text);
/* A release that counts: ctx is the rig. */
void rig_release(void *ctx);

/* --- clients --- */

/* A connected, non-blocking socket, known to the front. */
int rig_client(struct rig *rig);
/* Sends all, turning the front as needed. */
void rig_send(struct rig *rig, int fd, const void *p, size_t size);
/* Sends a frame: its size and its bytes. */
void rig_send_frame(struct rig *rig, int fd, const void *p, size_t size);
void rig_send_text(struct rig *rig, int fd, const char *text);
/* Reads exactly size bytes. */
void rig_read(struct rig *rig, int fd, void *p, size_t size);
/* Reads a frame into *out, whose old content goes. */
void rig_read_frame(struct rig *rig, int fd, struct buf *out);
void rig_expect_text(struct rig *rig, int fd, const char *text);
/* Expects the end of the stream, or a reset. */
void rig_expect_end(struct rig *rig, int fd);
/* Closes with a reset instead of an orderly end. */
void rig_reset(int fd);
int rig_main(Suite *suite);
