/* SPDX-License-Identifier: MIT
 *
 * groups_text: see groups_text.h.
 */
#include "cli/kafka/groups_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/value.h"
#include "engine/base/assert.h"

/* ---- moments --------------------------------------------------------------------------------- */

#define GROUPS_TEXT_DAYS_MAX 100000000 /* beyond what any log has */

struct groups_text_part {
    char unit;
    bool time; /* behind the T */
    int64_t ms;
};

static const struct groups_text_part groups_text_parts[] = {
    {'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000}};
#define GROUPS_TEXT_PART_COUNT (sizeof groups_text_parts / sizeof groups_text_parts[0])

/* The number at *at, in thousandths; its fraction in *fraction. Moves *at behind it. */
static bool groups_text_number(const char **at, int64_t *thousandths, bool *fraction)
{
    const char *p = *at;
    int64_t sign = *p == '-' ? -1 : 1;
    int64_t number = 0;
    int64_t scale = 100;
    p += *p == '-' || *p == '+';
    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p) && number < INT64_MAX / 100000; p++)
        number = number * 10 + (*p - '0');
    number *= 1000;
    *fraction = *p == '.' || *p == ',';
    if (*fraction)
        for (p++; isdigit((unsigned char)*p); p++, scale /= 10)
            number += (*p - '0') * scale;
    *thousandths = sign * number;
    *at = p;
    return true;
}

/* One part of a duration, its unit not before `first`, which moves behind it. */
static bool groups_text_part(const char **at, bool time, size_t *first, int64_t *ms)
{
    int64_t thousandths = 0;
    int64_t more = 0;
    bool fraction = false;
    if (!groups_text_number(at, &thousandths, &fraction))
        return false;
    size_t i = *first;
    while (i < GROUPS_TEXT_PART_COUNT && groups_text_parts[i].unit != toupper((unsigned char)**at))
        i++;
    if (i == GROUPS_TEXT_PART_COUNT || groups_text_parts[i].time != time ||
        (fraction && groups_text_parts[i].unit != 'S'))
        return false;
    if (__builtin_mul_overflow(thousandths, groups_text_parts[i].ms / 1000, &more) ||
        __builtin_add_overflow(*ms, more, ms) ||
        llabs(*ms) > (int64_t)GROUPS_TEXT_DAYS_MAX * 86400000)
        return false;
    *first = i + 1;
    (*at)++;
    return true;
}

bool groups_text_duration(const char *text, int64_t *ms)
{
    const char *at = text;
    int64_t sum = 0;
    size_t first = 0;
    bool time = false;
    int64_t sign = *at == '-' ? -1 : 1;
    at += *at == '-' || *at == '+';
    if (toupper((unsigned char)*at++) != 'P' || *at == '\0')
        return false;
    while (*at != '\0') {
        if (!time && toupper((unsigned char)*at) == 'T') {
            time = true;
            at++;
        }
        if (!groups_text_part(&at, time, &first, &sum))
            return false;
    }
    *ms = sign * sum;
    return true;
}

int groups_text_moment(const char *text, int64_t *ms, struct fault *f)
{
    struct buf zoned = {0};
    const char *t = strchr(text, 'T');
    if (t == NULL || t[1] == '\0')
        return fault_set(f, "java.text.ParseException",
                         "Error parsing timestamp. It does not contain a 'T' according to ISO8601 "
                         "format");
    buf_printf(&zoned, "%s%s", text, strpbrk(t, "+-Z") == NULL ? "Z" : "");
    buf_append_u8(&zoned, 0);
    int rc = 0;
    if (!isdigit((unsigned char)text[0]) || !value_time((const char *)zoned.p, 0, ms))
        rc = fault_set(f, "java.text.ParseException", "Unparseable date: \"%s\"",
                       (const char *)zoned.p);
    buf_deinit(&zoned);
    return rc;
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void groups_text_field(const char *text, struct buf *out)
{
    if (strpbrk(text, ",\" \t\r\n") == NULL) {
        buf_append(out, text, strlen(text));
        return;
    }
    buf_append_u8(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            buf_append_u8(out, '"');
        buf_append_u8(out, (uint8_t)*p);
    }
    buf_append_u8(out, '"');
}

void groups_text_line(const char *group, const char *topic, int32_t partition, int64_t offset,
                      struct buf *out)
{
    ASSERT(topic != NULL);
    if (group != NULL) {
        groups_text_field(group, out);
        buf_append_u8(out, ',');
    }
    groups_text_field(topic, out);
    buf_printf(out, ",%" PRId32 ",%" PRId64 "\n", partition, offset);
}

/* Takes a field with its NUL into *out; *pos moves behind the comma, or beyond the end. */
static bool groups_text_take(struct slice line, size_t *pos, struct buf *out)
{
    bool quoted = *pos < line.size && line.p[*pos] == '"';
    size_t i = *pos + quoted;
    for (; i < line.size; i++) {
        uint8_t c = line.p[i];
        if (!quoted && c == ',')
            break;
        if (quoted && c == '"' && (i + 1 == line.size || line.p[i + 1] != '"')) {
            quoted = false;
            continue;
        }
        i += quoted && c == '"';
        buf_append_u8(out, line.p[i]);
    }
    *pos = i + 1;
    buf_append_u8(out, 0);
    return !quoted;
}

bool groups_text_plan(struct slice line, struct groups_text_plan *out)
{
    struct buf fields[4] = {{0}, {0}, {0}, {0}};
    size_t count = 0;
    size_t pos = 0;
    int64_t partition = -1;
    int64_t offset = -1;
    bool good = true;
    while (line.size > 0 && (line.p[line.size - 1] == '\r' || line.p[line.size - 1] == '\n'))
        line.size--;
    while (good && pos <= line.size && count < 4)
        good = groups_text_take(line, &pos, &fields[count++]);
    good = good && pos > line.size && count >= 3 &&
           value_i64((const char *)fields[count - 2].p, &partition) && partition >= 0 &&
           partition <= INT32_MAX && value_i64((const char *)fields[count - 1].p, &offset);
    if (good) {
        *out = (struct groups_text_plan){.partition = (int32_t)partition, .offset = offset};
        buf_append(&out->group, fields[0].p, count == 4 ? fields[0].size : 0);
        if (count == 3)
            buf_append_u8(&out->group, 0);
        buf_append(&out->topic, fields[count - 3].p, fields[count - 3].size);
    }
    for (size_t i = 0; i < 4; i++)
        buf_deinit(&fields[i]);
    return good;
}

void groups_text_plan_deinit(struct groups_text_plan *plan)
{
    buf_deinit(&plan->group);
    buf_deinit(&plan->topic);
}
