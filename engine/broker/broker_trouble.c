/* SPDX-License-Identifier: MIT
 *
 * broker_trouble: see broker_trouble.h.
 */
#include "engine/broker/broker_trouble.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"

#define BROKER_TROUBLE_AGAIN_MS 10000 /* the same once more */
#define BROKER_TROUBLE_SEEK_MS  5000  /* a leader is looked for: told then, */
#define BROKER_TROUBLE_LONG_MS  30000 /* and again */

void broker_trouble_tell(struct broker *b, int level, const char *fmt, ...)
{
    struct broker_trouble *t = &b->trouble;
    char text[sizeof t->text];
    va_list args;
    ASSERT(fmt != NULL && level >= 0);
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ASSERT(text[0] != '\0');
    if (strcmp(text, t->text) == 0 && broker_now(b) < t->said_ms + BROKER_TROUBLE_AGAIN_MS)
        return;
    memcpy(t->text, text, sizeof text);
    t->said_ms = broker_now(b);
    broker_log(b, level, "%s", text);
}

void broker_trouble_seek(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    b->trouble.seek_ms = broker_now(b) + BROKER_TROUBLE_SEEK_MS;
}

void broker_trouble_sought(struct broker *b, const char *asked)
{
    ASSERT(asked != NULL);
    ASSERT(b->trouble.seek_ms > 0);
    if (broker_now(b) < b->trouble.seek_ms)
        return;
    b->trouble.seek_ms = broker_now(b) + BROKER_TROUBLE_LONG_MS;
    if (b->trouble.text[0] == '\0' || broker_now(b) > b->trouble.said_ms + BROKER_TROUBLE_AGAIN_MS)
        broker_trouble_tell(b, 1,
                            "no leader of the cluster answers (asked: %s): start it, or promote "
                            "another: kauri cluster promote",
                            asked);
}

void broker_trouble_end(struct broker *b)
{
    ASSERT(b->cluster != NULL);
    b->trouble.text[0] = '\0';
}
