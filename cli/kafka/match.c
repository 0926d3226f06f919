/* SPDX-License-Identifier: MIT
 *
 * match: see match.h.
 */
#include "cli/kafka/match.h"

#include <ctype.h>
#include <stdlib.h>

#include "engine/base/bytes.h"

/* The text of kafka-topics' --topic: trimmed, without blanks and outer quotes, `,` as `|`. */
static void match_list(const char *text, struct buf *out)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c != ' ' && (isspace((unsigned char)*c) == 0))
            buf_append_u8(out, *c == ',' ? '|' : (uint8_t)*c);
    size_t begin = 0;
    while (begin < out->size && strchr("\"'", out->p[begin]) != NULL)
        begin++;
    while (out->size > begin && strchr("\"'", out->p[out->size - 1]) != NULL)
        out->size--;
    if (begin > 0)
        memmove(out->p, out->p + begin, out->size - begin);
    out->size -= begin;
}

/* A backslash and `c` of Java in POSIX, within brackets or outside. */
static void match_escape(char c, bool bracket, struct buf *out)
{
    if (c == 'd' || (c == 'w' && bracket))
        buf_printf(out, "%s%s%s", bracket ? "" : "[", c == 'd' ? "0-9" : "a-zA-Z0-9_",
                   bracket ? "" : "]");
    else if (c == 'D')
        buf_printf(out, "[^0-9]");
    else if (bracket)
        buf_append_u8(out, (uint8_t)c);
    else
        buf_printf(out, "\\%c", c);
}

/* False when it holds what POSIX cannot say. */
static bool match_translate(const char *text, struct buf *out)
{
    bool bracket = false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\' && c[1] == '\0')
            return false;
        if (*c == '\\') {
            match_escape(*++c, bracket, out);
            continue;
        }
        if (!bracket && c[0] == '(' && c[1] == '?') {
            if (c[2] != ':')
                return false;
            c += 2;
            buf_append_u8(out, '(');
            continue;
        }
        bracket = bracket ? *c != ']' : *c == '[';
        buf_append_u8(out, (uint8_t)*c);
    }
    return true;
}

int match_init(struct match *m, const char *text, enum match_kind kind, struct fault *f)
{
    struct buf plain = {0};
    struct buf posix = {0};
    if (kind == MATCH_LIST)
        match_list(text, &plain);
    else
        buf_append(&plain, text, strlen(text));
    buf_append_u8(&plain, 0);
    buf_printf(&posix, "^(");
    bool good = match_translate((const char *)plain.p, &posix);
    buf_printf(&posix, ")$");
    buf_append_u8(&posix, 0);
    good = good && regcomp(&m->regex, (const char *)posix.p, REG_EXTENDED | REG_NOSUB) == 0;
    if (good)
        m->posix = (char *)slice_dup(slice_of(posix.p, posix.size));
    else
        (void)fault_set(f, "java.lang.RuntimeException", "%s is an invalid regex.",
                        (const char *)plain.p);
    buf_deinit(&plain);
    buf_deinit(&posix);
    return good ? 0 : 1;
}

bool match_topic(const struct match *m, const char *topic)
{
    return regexec(&m->regex, topic, 0, NULL, 0) == 0;
}

void match_deinit(struct match *m)
{
    if (m->posix == NULL)
        return;
    regfree(&m->regex);
    free(m->posix);
    m->posix = NULL;
}

bool match_internal(const char *topic)
{
    return strcmp(topic, "__consumer_offsets") == 0 || strcmp(topic, "__transaction_state") == 0 ||
           strcmp(topic, "__share_group_state") == 0;
}
