/* SPDX-License-Identifier: MIT
 *
 * kclient: a broker on a simulated disk, the Kafka front before it on a real socket of loopback,
 * and one client that asks and waits. Answers are decoded by the same tables, so what they say of
 * the bytes is tested elsewhere; here it is what the front says.
 *
 *   rig_set on c.g ... -> kclient_open -> kclient_ask ... -> kclient_close
 */
#pragma once

#include <check.h>

#include "engine/base/arena.h"
#include "net/kafka/kafka.h"
#include "net/kafka/kafka_errmap.h"
#include "proto/kafka/kp.h"
#include "test/unit/broker/rig.h"

struct kclient {
    struct rig g; /* rig_init by kclient_init */
    struct kafka *k;
    struct clock *clock; /* of the front alone; NULL: the rig's */
    int fd;
    int32_t correlation_id;
    struct arena arena; /* answers, until kclient_close */
    struct buf in;
    bool ended;              /* by the front */
    bool frozen;             /* the broker gets no turn */
    struct rig *rig;         /* the broker's; &g, unless it is attached */
    void (*turn)(void *ctx); /* instead of the rig's; NULL: none */
    void *ctx;
};

void kclient_init(struct kclient *c, uint64_t seed);
/* Opens the broker, the front and the connection. */
void kclient_open(struct kclient *c);
/* Closes the front, stops the broker and opens both again. */
void kclient_reopen(struct kclient *c);
void kclient_close(struct kclient *c);
/* A front and a client for a broker of somebody else's, who gives it its turns. */
void kclient_attach(struct kclient *c, struct rig *g, void (*turn)(void *ctx), void *ctx);
/* Ends both. */
void kclient_detach(struct kclient *c);
/* A connection anew. */
void kclient_connect(struct kclient *c);
/* Closes the client's end. */
void kclient_hang_up(struct kclient *c);
/* A turn of the loop. */
void kclient_turn(struct kclient *c);
/* Sends bytes as they are. */
void kclient_send_bytes(struct kclient *c, struct slice bytes);
/* Sends the request. */
void kclient_send(struct kclient *c, enum kp_api api, int16_t version, const void *request);
/* Waits for the answer to the last request; NULL when the connection was ended instead. Valid until
 * kclient_close. */
const void *kclient_receive(struct kclient *c, enum kp_api api, int16_t version);
/* Both; there must be an answer. */
const void *kclient_ask(struct kclient *c, enum kp_api api, int16_t version, const void *request);

/* The text in a slice; "(null)" for null. Static, until the fourth call after. */
const char *kclient_text(struct slice s);
#define ck_slice(s, text) ck_assert_str_eq(kclient_text(s), text)
