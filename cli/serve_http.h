/* SPDX-License-Identifier: MIT
 *
 * serve_http: the port that the broker is watched at, beside its fronts: opened from http.listen,
 * told what the fronts count. See net/http/http.h.
 *
 * The default address is a convenience: when it is taken, a warning says so and the broker goes on
 * without. An address that somebody asked for must work.
 */
#pragma once

#include "cli/serve_priv.h"

struct broker;
struct clock;
struct http;
struct kafka;
struct nano;

#define SERVE_URL_MAX 300

struct serve_http {
    struct http *http;                    /* owned; NULL: off */
    struct nano *nanos[SERVE_FRONTS_MAX]; /* borrowed, like kafka */
    size_t nano_count;
    struct kafka *kafka; /* NULL: off */
    char url[SERVE_URL_MAX];
};

/* 0 or an exit code after the error was printed. The fronts are set already. */
int serve_http_open(struct serve_http *x, const struct serve_setup *s, struct broker *b,
                    const struct clock *clock);
void serve_http_close(struct serve_http *x);
