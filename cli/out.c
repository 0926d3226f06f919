/* SPDX-License-Identifier: MIT
 *
 * out: see out.h.
 */
#include "cli/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define OUT_RED    "\033[1;31m"
#define OUT_YELLOW "\033[1;33m"
#define OUT_CYAN   "\033[1;36m"
#define OUT_PLAIN  "\033[0m"

__attribute__((format(printf, 4, 0))) static void
out_line(const struct out *o, const char *color, const char *label, const char *fmt, va_list args)
{
    (void)fflush(stdout);
    if (o->journal)
        (void)fprintf(stderr, "<%d>", label[0] == 'e' ? 3 : label[0] == 'w' ? 4 : 6);
    (void)fprintf(stderr, "%s%s%s ", o->color ? color : "", label, o->color ? OUT_PLAIN : "");
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
}

void out_error(const struct out *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out_line(o, OUT_RED, "error:", fmt, args);
    va_end(args);
}

void out_hint(const struct out *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out_line(o, OUT_CYAN, "hint: ", fmt, args);
    va_end(args);
}

void out_warning(const struct out *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out_line(o, OUT_YELLOW, "warning:", fmt, args);
    va_end(args);
}

void out_note(const struct out *o, const char *fmt, ...)
{
    va_list args;
    if (o->quiet)
        return;
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)putchar('\n');
}

void out_json(json_t *object)
{
    ASSERT(object != NULL);
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)putchar('\n');
    json_decref(object);
}

const char *out_size(char text[OUT_TEXT_MAX], int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = (double)bytes;
    size_t unit = 0;
    if (bytes < 0)
        return out_count(text, -1);
    while (number >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        number /= 1024;
        unit++;
    }
    (void)snprintf(text, OUT_TEXT_MAX, unit > 0 && number < 10 ? "%.1f %s" : "%.0f %s", number,
                   units[unit]);
    return text;
}

const char *out_duration(char text[OUT_TEXT_MAX], int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms < 0)
        return out_count(text, -1);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms % units[i].ms != 0 || (ms == 0 && units[i].ms > 1))
            continue;
        (void)snprintf(text, OUT_TEXT_MAX, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
        break;
    }
    return text;
}

const char *out_time(char text[OUT_TEXT_MAX], int64_t ms)
{
    struct tm tm;
    int64_t rest = ms % 1000 < 0 ? ms % 1000 + 1000 : ms % 1000;
    time_t seconds = (time_t)((ms - rest) / 1000);
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099)
        return out_count(text, -1);
    size_t size = strftime(text, OUT_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    ASSERT(size > 0);
    (void)snprintf(text + size, OUT_TEXT_MAX - size, ".%03dZ", (int)rest);
    return text;
}

const char *out_count(char text[OUT_TEXT_MAX], int64_t count)
{
    if (count < 0)
        (void)snprintf(text, OUT_TEXT_MAX, "-");
    else
        (void)snprintf(text, OUT_TEXT_MAX, "%" PRId64, count);
    return text;
}

void out_table_add(struct out_table *t, const char *cell)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 64 : t->cap * 2;
        size_t size = t->cap * sizeof t->cells[0];
        t->cells = assert_memory(realloc(t->cells, size), size);
    }
    t->cells[t->count++] = assert_memory(strdup(cell), strlen(cell) + 1);
}

/* Columns on the screen: bytes that begin a character. */
static int out_width(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void out_cell(const char *cell, int width, char align, bool last)
{
    int pad = width - out_width(cell);
    if (align == 'r')
        (void)printf("%*s%s", pad, "", cell);
    else
        (void)printf("%s%*s", cell, last ? 0 : pad, "");
    (void)fputs(last ? "\n" : "  ", stdout);
}

void out_table_drop(struct out_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct out_table){.align = t->align};
}

void out_table_end(struct out_table *t)
{
    int widths[OUT_COLUMNS_MAX] = {0};
    size_t columns = strlen(t->align);
    ASSERT(columns > 0 && columns <= OUT_COLUMNS_MAX);
    ASSERT(t->count % columns == 0);
    for (size_t i = 0; i < t->count; i++) {
        int width = out_width(t->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % columns;
        out_cell(t->cells[i], widths[column], t->align[column], column + 1 == columns);
    }
    out_table_drop(t);
}

void out_progress(const struct out *o, int64_t *last_ms, const char *label, uint64_t done,
                  uint64_t total)
{
    static const char full[] = "####################";
    static const char none[] = "--------------------";
    int64_t now = clock_real()->mono_ms(clock_real());
    bool over = *last_ms == INT64_MAX;
    if (!o->progress || o->quiet || total == 0 || over || (done < total && now - *last_ms < 100))
        return;
    *last_ms = done < total ? now : INT64_MAX;
    double share = done < total ? (double)done / (double)total : 1.0;
    int bars = (int)(share * 20);
    (void)fprintf(stderr, "\r[%.*s%.*s] %3d%%  %s%s", bars, full, 20 - bars, none,
                  (int)(share * 100), label, done < total ? "" : "\n");
}
