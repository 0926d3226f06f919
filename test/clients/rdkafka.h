/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * rdkafka: a client of the matrix, written in C on librdkafka
 *
 * Speaks the protocol of session.py: one JSON request a line on stdin, one answer a line on stdout.
 * rdkafka.c reads requests and hands them to one function per kind, each of which opens a client of
 * its own, does the work, and closes it. What fails is an answer {"error": TEXT}; only a lack of
 * memory or a broken request (the driver's bug) ends the program.
 */
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#define RDKAFKA_LIMIT_MS     20000
#define RDKAFKA_RUN_LIMIT_MS 60000

struct rdkafka_reports;

/* The address that was given to the program; borrowed by every client that is opened. */
struct rdkafka {
    const char *bootstrap;
};

/* ---- rdkafka.c: what all share ------------------------------------------------------------- */

/* Opens a client with NULL-ended pairs of settings; ends the program when one is refused.
 * `reports`, which may be NULL, is what the delivery reports of a producer go to (borrowed). */
rd_kafka_t *rdkafka_open(const struct rdkafka *r, rd_kafka_type_t type,
                         const char *const (*settings)[2], struct rdkafka_reports *reports);

/* A string of the request, borrowed from it; `otherwise` when there is none. */
const char *rdkafka_word(const json_t *ask, const char *name, const char *otherwise);

/* Ends the program, for what is no answer. */
void rdkafka_die(const char *what, const char *why);

/* One line out. Takes `line`. */
void rdkafka_say(json_t *line);

/* {"error": TEXT}; the caller owns it. */
json_t *rdkafka_error(const char *what, const char *why);

int64_t rdkafka_now_us(void);

/* HEX or null to bytes: NULL for null, else `size` of them, to be freed. */
void *rdkafka_bytes(const json_t *hex, size_t *size);

/* Bytes to HEX; NULL to null. */
json_t *rdkafka_hex(const void *bytes, size_t size);

/* One delivery report (rdkafka_produce.c). */
void rdkafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);

/* ---- One function per kind of request: the answer, owned by the caller ---------------------- */
json_t *rdkafka_metadata(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_create(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_grow(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_produce(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_run(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_consume(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_follow(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_join(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_stream(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_groups(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_group(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_offsets(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_set_offsets(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_forget(const struct rdkafka *r, const json_t *ask);
json_t *rdkafka_delete_group(const struct rdkafka *r, const json_t *ask);
