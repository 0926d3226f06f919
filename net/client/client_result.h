/* SPDX-License-Identifier: MIT
 *
 * client_result: what the caller of the library gets and frees by kauri_result_free: one block of
 * memory with all it points to. Long lists come page by page, and their rows are gathered here.
 */
#pragma once

#include <stddef.h>

#include "engine/base/arena.h"
#include "net/client/client_priv.h"

#define CLIENT_RESULT_ROWS_MAX (1u << 20) /* of one list */

struct client_result {
    struct arena arena;
    struct buf rows; /* gathered so far */
    size_t count;
    _Alignas(max_align_t) uint8_t body[]; /* what the caller gets */
};

struct client_result *client_result_new(size_t body_size);
void client_result_cleanup(struct client_result **r);
/* Hands it over. */
void *client_result_give(struct client_result **r);
/* Zeroed memory of the result, like the copy of a text: never NULL. */
void *client_result_array(struct client_result *r, size_t count, size_t size);
const char *client_result_text(struct client_result *r, const char *s);
/* Adds a row. False when there are too many. */
bool client_result_add(struct client_result *r, const void *row, size_t size);
const void *client_result_rows(struct client_result *r);
/* Asks, and checks status and kind of the answer. */
int client_result_ask(struct kauri *k, struct client_ask *ask, const Kauri__Call *content,
                      Kauri__Answer__AnswerCase kind) MUST_CHECK;
