/* SPDX-License-Identifier: MIT
 *
 * client_result: see client_result.h.
 */
#include "net/client/client_result.h"

#include <stdlib.h>

#include "engine/base/assert.h"

struct client_result *client_result_new(size_t body_size)
{
    struct client_result *r = calloc(1, sizeof *r + body_size);
    ASSERT(r != NULL);
    arena_init(&r->arena, 0); /* bounded by CLIENT_RESULT_ROWS_MAX and the size of messages */
    return r;
}

void kauri_result_free(void *result)
{
    if (result == NULL)
        return;
    struct client_result *r =
        (struct client_result *)(void *)((char *)result - offsetof(struct client_result, body));
    arena_deinit(&r->arena);
    buf_deinit(&r->rows);
    free(r);
}

void client_result_cleanup(struct client_result **r)
{
    if (*r != NULL)
        kauri_result_free((*r)->body);
}

void *client_result_give(struct client_result **r)
{
    struct client_result *given = *r;
    *r = NULL;
    buf_deinit(&given->rows);
    return given->body;
}

void *client_result_array(struct client_result *r, size_t count, size_t size)
{
    void *p = arena_array(&r->arena, count, size);
    ASSERT(p != NULL);
    return p;
}

const char *client_result_text(struct client_result *r, const char *s)
{
    struct slice copy = arena_copy(&r->arena, slice_str(s));
    ASSERT(copy.p != NULL);
    return (const char *)copy.p;
}

bool client_result_add(struct client_result *r, const void *row, size_t size)
{
    if (r->count >= CLIENT_RESULT_ROWS_MAX)
        return false;
    buf_append(&r->rows, row, size);
    r->count++;
    return true;
}

const void *client_result_rows(struct client_result *r)
{
    struct slice copy = arena_copy(&r->arena, buf_slice(&r->rows));
    ASSERT(copy.p != NULL);
    return copy.p;
}

int client_result_ask(struct kauri *k, struct client_ask *ask, const Kauri__Call *content,
                      Kauri__Answer__AnswerCase kind)
{
    int r = client_ask(k, ask, content);
    if (r == 0)
        r = client_admin_status(k, ask, NULL, -1);
    if (r == 0 && ask->answer.answer->answer_case != kind)
        r = client_admin_odd(k);
    return r;
}
