/* SPDX-License-Identifier: MIT
 *
 * props: see props.h.
 */
#include "cli/kafka/props.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

static char *props_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return assert_memory(strdup(text), size);
}

static struct props_pair *props_find(const struct props *p, const char *key)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->pairs[i].key, key) == 0)
            return &p->pairs[i];
    return NULL;
}

void props_set(struct props *p, const char *key, const char *value)
{
    struct props_pair *pair = props_find(p, key);
    if (pair != NULL) {
        free(pair->value);
        pair->value = props_copy(value);
        return;
    }
    if (p->count == p->cap) {
        p->cap = p->cap > 0 ? 2 * p->cap : 16;
        p->pairs =
            assert_memory(realloc(p->pairs, p->cap * sizeof *pair), p->cap * sizeof *p->pairs);
    }
    p->pairs[p->count++] = (struct props_pair){.key = props_copy(key), .value = props_copy(value)};
}

const char *props_get(const struct props *p, const char *key)
{
    const struct props_pair *pair = props_find(p, key);
    return pair != NULL ? pair->value : NULL;
}

bool props_true(const struct props *p, const char *key)
{
    const char *value = props_get(p, key);
    if (value == NULL)
        return false;
    value += strspn(value, " \t\r\n\f");
    return strncasecmp(value, "true", 4) == 0 && value[4 + strspn(value + 4, " \t\r\n\f")] == '\0';
}

void props_word(struct props *p, const char *word)
{
    char *key CLEANUP(cleanup_free) = props_copy(word);
    char *equals = strchr(key, '=');
    if (equals != NULL)
        *equals = '\0';
    props_set(p, key, equals != NULL ? equals + 1 : "");
}

static bool props_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

/* Appends the code point of \uXXXX, whose digits stand at p, as UTF-8; what it took, 0 when these
 * are no digits. */
static size_t props_unicode(const uint8_t *p, size_t left, struct buf *out)
{
    char digits[5] = {0};
    if (left < 4)
        return 0;
    memcpy(digits, p, 4);
    for (size_t i = 0; i < 4; i++)
        if (isxdigit((unsigned char)digits[i]) == 0)
            return 0;
    unsigned long c = strtoul(digits, NULL, 16);
    if (c < 0x80) {
        buf_append_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_append_u8(out, (uint8_t)(0xc0 | (c >> 6)));
        buf_append_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_append_u8(out, (uint8_t)(0xe0 | (c >> 12)));
        buf_append_u8(out, (uint8_t)(0x80 | ((c >> 6) & 0x3f)));
        buf_append_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
    return 4;
}

/* Appends the character behind a backslash at p; how many bytes it took. */
static size_t props_escape(const uint8_t *p, size_t left, struct buf *out)
{
    static const char from[] = "tnrf";
    static const char to[] = "\t\n\r\f";
    ASSERT(left > 0);
    if (p[0] == 'u') {
        size_t took = props_unicode(p + 1, left - 1, out);
        if (took > 0)
            return took + 1;
    }
    const char *at = p[0] != '\0' ? strchr(from, p[0]) : NULL;
    buf_append_u8(out, at != NULL ? (uint8_t)to[at - from] : p[0]);
    return 1;
}

/* Resolves escapes up to the end, or for a key to its end; how many bytes it took. */
static size_t props_part(struct slice line, bool key, struct buf *out)
{
    size_t at = 0;
    while (at < line.size) {
        uint8_t c = line.p[at];
        if (key && (c == '=' || c == ':' || props_blank(c)))
            break;
        at++;
        if (c == '\\' && at < line.size)
            at += props_escape(line.p + at, line.size - at, out);
        else if (c != '\\')
            buf_append_u8(out, c);
    }
    buf_append_u8(out, 0);
    return at;
}

/* One logical line without leading blanks. */
static void props_line(struct props *p, struct slice line)
{
    struct buf key = {0};
    struct buf value = {0};
    if (line.size == 0 || line.p[0] == '#' || line.p[0] == '!')
        return;
    size_t at = props_part(line, true, &key);
    bool equals = false;
    while (at < line.size &&
           (props_blank(line.p[at]) || (!equals && (line.p[at] == '=' || line.p[at] == ':'))))
        equals = !props_blank(line.p[at++]) || equals;
    (void)props_part(slice_of(line.p + at, line.size - at), false, &value);
    props_set(p, (const char *)key.p, (const char *)value.p);
    buf_deinit(&key);
    buf_deinit(&value);
}

/* True when an odd number of backslashes ends it: the next line belongs to it. */
static bool props_joins(const struct buf *line)
{
    size_t count = 0;
    while (count < line->size && line->p[line->size - 1 - count] == '\\')
        count++;
    return count % 2 == 1;
}

void props_read(struct props *p, struct slice text)
{
    struct buf line = {0};
    size_t at = 0;
    while (at < text.size) {
        size_t begin = at;
        while (at < text.size && text.p[at] != '\n' && text.p[at] != '\r')
            at++;
        while (begin < at && props_blank(text.p[begin]))
            begin++;
        bool comment =
            line.size == 0 && begin < at && (text.p[begin] == '#' || text.p[begin] == '!');
        buf_append(&line, text.p + begin, at - begin);
        at += text.size - at >= 2 && text.p[at] == '\r' && text.p[at + 1] == '\n' ? 2 : 1;
        if (!comment && props_joins(&line) && at < text.size) {
            line.size--;
            continue;
        }
        props_line(p, buf_slice(&line));
        buf_reset(&line);
    }
    buf_deinit(&line);
}

int props_load(struct props *p, const char *path, struct fault *f)
{
    struct buf text = {0};
    int fd CLEANUP(cleanup_fd) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fault_set(f, "java.nio.file.NoSuchFileException", "%s", path);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text.size <= PROPS_FILE_MAX) {
        buf_reserve(&text, 4096);
        got = read(fd, text.p + text.size, 4096);
        if (got > 0)
            text.size += (size_t)got;
    }
    int error = got < 0 ? errno : EFBIG;
    bool good = got == 0;
    if (good)
        props_read(p, buf_slice(&text));
    buf_deinit(&text);
    if (!good)
        return fault_set(f, "java.nio.file.FileSystemException", "%s: %s", path, error_text(error));
    return 0;
}

int props_option_file(struct props *p, const struct opts *o, size_t row, struct fault *f)
{
    const char *path = opts_text(o, row);
    return path != NULL ? props_load(p, path, f) : 0;
}

void props_options(struct props *p, const struct opts *o, size_t row)
{
    size_t at = 0;
    for (const char *word = opts_next(o, row, &at); word != NULL; word = opts_next(o, row, &at))
        props_word(p, word);
}

void props_deinit(struct props *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->pairs[i].key);
        free(p->pairs[i].value);
    }
    free(p->pairs);
    *p = (struct props){0};
}
