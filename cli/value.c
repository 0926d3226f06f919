/* SPDX-License-Identifier: MIT
 *
 * value: see value.h.
 */
#include "cli/value.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/assert.h"

struct value_unit {
    const char *name;
    int64_t factor;
};

static bool value_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool value_u64(const char *text, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    if (!value_digit(text[0]))
        return false;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > max)
        return false;
    *out = number;
    return true;
}

bool value_i64(const char *text, int64_t *out)
{
    char *end = NULL;
    if (!value_digit(text[text[0] == '-' ? 1 : 0]))
        return false;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = number;
    return true;
}

/* A number >= 0 with a fraction, times the factor of its suffix. */
static bool value_scaled(const char *text, const struct value_unit *units, size_t count,
                         int64_t *out)
{
    char *end = NULL;
    if (!value_digit(text[0]))
        return false;
    double number = strtod(text, &end);
    for (size_t i = 0; i < count; i++) {
        double scaled = number * (double)units[i].factor;
        if (strcasecmp(end, units[i].name) != 0 || scaled >= 9.2e18)
            continue;
        *out = (int64_t)(scaled + 0.5);
        return true;
    }
    return false;
}

bool value_duration(const char *text, int64_t *ms)
{
    static const struct value_unit units[] = {
        {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    return value_scaled(text, units, sizeof units / sizeof units[0], ms);
}

bool value_size(const char *text, uint64_t *bytes)
{
    static const struct value_unit units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1 << 10},
        {"kb", 1 << 10},
        {"kib", 1 << 10},
        {"m", 1 << 20},
        {"mb", 1 << 20},
        {"mib", 1 << 20},
        {"g", 1 << 30},
        {"gb", 1 << 30},
        {"gib", 1 << 30},
        {"t", INT64_C(1) << 40},
        {"tb", INT64_C(1) << 40},
        {"tib", INT64_C(1) << 40},
    };
    int64_t number = 0;
    if (!value_scaled(text, units, sizeof units / sizeof units[0], &number))
        return false;
    *bytes = (uint64_t)number;
    return true;
}

bool value_rate(const char *text, double *per_second)
{
    static const struct value_unit units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}};
    char number[32] = "";
    int64_t count = 0;
    const char *slash = strchr(text, '/');
    size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
    bool minutes = slash != NULL && strcmp(slash, "/m") == 0;
    bool seconds = slash == NULL || strcmp(slash, "/s") == 0;
    if (size >= sizeof number || (!minutes && !seconds))
        return false;
    memcpy(number, text, size);
    if (!value_scaled(number, units, sizeof units / sizeof units[0], &count) || count == 0)
        return false;
    *per_second = (double)count / (minutes ? 60 : 1);
    return true;
}

static int value_hex(char c)
{
    if (value_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One escape behind the backslash; bytes taken, 0 when it is none. */
static size_t value_escape(const char *at, struct buf *out)
{
    static const char names[] = "ntr0\\";
    static const char bytes[] = "\n\t\r\0\\";
    if (at[0] == 'x') {
        int high = value_hex(at[1]);
        int low = high < 0 ? -1 : value_hex(at[2]);
        if (low < 0)
            return 0;
        buf_append_u8(out, (uint8_t)(high * 16 + low));
        return 3;
    }
    const char *name = at[0] == '\0' ? NULL : strchr(names, at[0]);
    if (name == NULL)
        return 0;
    buf_append_u8(out, (uint8_t)bytes[name - names]);
    return 1;
}

bool value_unescape(const char *text, struct buf *out)
{
    for (const char *at = text; *at != '\0';) {
        if (*at != '\\') {
            buf_append_u8(out, (uint8_t)*at++);
            continue;
        }
        size_t taken = value_escape(at + 1, out);
        if (taken == 0)
            return false;
        at += taken + 1;
    }
    return true;
}

/* "Z", "+02:00", "-0330" or nothing. */
static bool value_zone(const char *text, bool *local, int64_t *seconds)
{
    *local = *text == '\0';
    *seconds = 0;
    if (*local || strcasecmp(text, "z") == 0)
        return true;
    struct tm tm = {0};
    const char *end = strptime(text, "%z", &tm);
    if ((text[0] != '+' && text[0] != '-') || end == NULL || *end != '\0')
        return false;
    *seconds = tm.tm_gmtoff;
    return true;
}

/* ".250" -> 250; what is behind it through *end. */
static int64_t value_fraction(const char *text, const char **end)
{
    int64_t ms = 0;
    int64_t unit = 100;
    *end = text;
    if (*text != '.')
        return 0;
    for (text++; value_digit(*text); text++) {
        ms += (*text - '0') * unit;
        unit /= 10;
    }
    *end = text;
    return ms;
}

static bool value_calendar(const char *text, int64_t *ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm tm = {.tm_isdst = -1};
        bool local = false;
        int64_t zone = 0;
        const char *rest = strptime(text, formats[i], &tm);
        if (rest == NULL)
            continue;
        int64_t fraction = value_fraction(rest, &rest);
        if (!value_zone(rest, &local, &zone))
            continue;
        tm.tm_isdst = -1;
        int64_t seconds = local ? mktime(&tm) : timegm(&tm) - zone;
        *ms = seconds * 1000 + fraction;
        return true;
    }
    return false;
}

bool value_time(const char *text, int64_t now_ms, int64_t *ms)
{
    int64_t ago = 0;
    if (text[0] == '-') {
        if (!value_duration(text + 1, &ago))
            return false;
        *ms = now_ms - ago;
        return true;
    }
    return value_i64(text, ms) || value_calendar(text, ms);
}

/* TIME or TIME..@TIME, behind the first @. */
static bool value_times(const char *text, int64_t now_ms, struct value_span *out)
{
    char first[64] = "";
    struct value_span span = {.place = VALUE_TIME};
    const char *dots = strstr(text, "..");
    size_t size = dots != NULL ? (size_t)(dots - text) : strlen(text);
    if (size >= sizeof first)
        return false;
    memcpy(first, text, size);
    if (!value_time(first, now_ms, &span.number))
        return false;
    span.bounded = dots != NULL;
    if (dots != NULL && (dots[2] != '@' || !value_time(dots + 3, now_ms, &span.stop_ms)))
        return false;
    *out = span;
    return true;
}

bool value_offsets(const char *text, int64_t now_ms, struct value_span *out)
{
    int64_t number = 0;
    if (strcmp(text, "start") == 0 || strcmp(text, "beginning") == 0) {
        *out = (struct value_span){.place = VALUE_START};
        return true;
    }
    if (strcmp(text, "end") == 0) {
        *out = (struct value_span){.place = VALUE_END};
        return true;
    }
    if (text[0] == '@')
        return value_times(text + 1, now_ms, out);
    if (!value_i64(text, &number) || number == INT64_MIN)
        return false;
    bool last = text[0] == '-';
    *out = (struct value_span){.place = last ? VALUE_LAST : VALUE_OFFSET,
                               .number = last ? -number : number};
    return true;
}

#define VALUE_NEAR_MAX 64

/* Damerau's distance with neighbours swapped counting as one, cut at VALUE_NEAR_MAX. */
static size_t value_distance(const char *a, const char *b)
{
    size_t rows[3][VALUE_NEAR_MAX + 1];
    size_t width = strlen(b);
    ASSERT(strlen(a) <= VALUE_NEAR_MAX && width <= VALUE_NEAR_MAX);
    for (size_t j = 0; j <= width; j++)
        rows[0][j] = j;
    size_t last = 0;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && rows[(i + 1) % 3][j - 2] + 1 < best)
                best = rows[(i + 1) % 3][j - 2] + 1;
            row[j] = best;
        }
        last = i % 3;
    }
    return rows[last][width];
}

bool value_near(const char *a, const char *b)
{
    size_t size = strlen(a);
    if (size > VALUE_NEAR_MAX || strlen(b) > VALUE_NEAR_MAX)
        return false;
    size_t distance = value_distance(a, b);
    return distance <= 2 && distance < size;
}
