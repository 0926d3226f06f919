/* SPDX-License-Identifier: MIT
 *
 * config_value: one value of one row, from what people type to the one normalised text that is
 * stored, and from that to a number.
 *
 *   bool       true, false in any case          -> true | false
 *   int        decimal                          -> decimal
 *   size       decimal, K M G T [iB]            -> bytes
 *   duration   decimal, ms s m h d              -> decimal in the key's unit, which must divide it
 *   double     decimal fraction                 -> the same, shortest form
 *   enum, list one or several of row->choices   -> the choice as the table spells it
 *   list       without choices: words, commas   -> the words, each once, in their order
 *   string     printable text, <= CONFIG_VALUE_MAX bytes, without control characters
 *
 * The empty value is good only for strings and for lists without choices.
 */
#include "engine/broker/config_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define CONFIG_UNIT_COUNT 5
struct config_unit {
    const char *name;
    int64_t factor;
};

static const struct config_unit config_sizes[CONFIG_UNIT_COUNT] = {
    {"k", INT64_C(1) << 10},
    {"m", INT64_C(1) << 20},
    {"g", INT64_C(1) << 30},
    {"t", INT64_C(1) << 40},
    {"b", 1},
};
static const struct config_unit config_times[CONFIG_UNIT_COUNT] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static bool config_ends(const char *name, const char *tail)
{
    size_t size = strlen(name);
    size_t tail_size = strlen(tail);
    ASSERT(tail_size > 0);
    return size > tail_size && strcmp(name + size - tail_size, tail) == 0;
}

int64_t config_unit_ms(const char *name)
{
    ASSERT(name != NULL);
    int64_t unit = config_ends(name, ".hours")     ? 3600000
                   : config_ends(name, ".minutes") ? 60000
                                                   : 1;
    ASSERT(unit > 0);
    return unit;
}

/* Factor of a suffix, 0 when there is none of that name. "MiB" counts as "m". */
static int64_t config_factor(const struct config_unit *units, const char *suffix, bool size)
{
    char text[8] = "";
    ASSERT(units != NULL);
    if (strlen(suffix) >= sizeof text)
        return 0;
    for (size_t i = 0; suffix[i] != '\0'; i++)
        text[i] = (char)(suffix[i] >= 'A' && suffix[i] <= 'Z' ? suffix[i] + 32 : suffix[i]);
    if (size && strlen(text) == 3 && strcmp(text + 1, "ib") == 0)
        text[1] = '\0';
    for (size_t i = 0; i < CONFIG_UNIT_COUNT; i++)
        if (strcmp(text, units[i].name) == 0)
            return units[i].factor;
    return 0;
}

/* Number with an optional suffix. 0 and *out, or CONFIG_BAD. */
static int config_scaled(const struct config_row *row, const char *text, int64_t *out)
{
    char *end = NULL;
    ASSERT(row->type != CONFIG_STRING);
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return CONFIG_BAD;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || end == text)
        return CONFIG_BAD;
    if (*end == '\0') {
        *out = number;
        return 0;
    }
    bool size = row->type == CONFIG_SIZE;
    if (!size && row->type != CONFIG_DURATION)
        return CONFIG_BAD;
    int64_t factor = config_factor(size ? config_sizes : config_times, end, size);
    int64_t unit = size ? 1 : config_unit_ms(row->name);
    if (factor == 0 || __builtin_mul_overflow(number, factor, &number) || number % unit != 0)
        return CONFIG_BAD;
    *out = number / unit;
    ASSERT(*out * unit == number);
    return 0;
}

/* Index of a choice, in any case, among row->choices; -1 when there is none. */
static int config_choice(const char *choices, struct slice text)
{
    const char *at = choices;
    ASSERT(choices != NULL);
    for (int i = 0; at != NULL; i++) {
        size_t size = strcspn(at, ",");
        ASSERT(size > 0);
        if (size == text.size && strncasecmp(at, (const char *)text.p, size) == 0)
            return i;
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    return -1;
}

static struct slice config_choice_at(const char *choices, int index)
{
    const char *at = choices;
    ASSERT(index >= 0);
    for (int i = 0; i < index; i++)
        at = strchr(at, ',') + 1;
    ASSERT(*at != '\0');
    return slice_of(at, strcspn(at, ","));
}

static struct slice config_trim(struct slice s)
{
    ASSERT(s.p != NULL);
    while (s.size > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_of(s.p + 1, s.size - 1);
    while (s.size > 0 && (s.p[s.size - 1] == ' ' || s.p[s.size - 1] == '\t'))
        s.size--;
    ASSERT(s.size == 0 || s.p[0] != ' ');
    return s;
}

/* The set of a list as a mask, -1 when one is not known or none is named. */
static int64_t config_mask(const char *choices, const char *text)
{
    int64_t mask = 0;
    const char *at = text;
    ASSERT(choices != NULL && text != NULL);
    while (at != NULL) {
        size_t size = strcspn(at, ",");
        int index = config_choice(choices, config_trim(slice_of(at, size)));
        if (index < 0)
            return -1;
        mask |= INT64_C(1) << index;
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    ASSERT(mask > 0);
    return mask;
}

int64_t config_number(const struct config_row *row, const char *text)
{
    ASSERT(row != NULL && text != NULL);
    if (text[0] == '\0')
        return 0;
    switch (row->type) {
    case CONFIG_BOOL:
        return strcmp(text, "true") == 0;
    case CONFIG_ENUM:
        return config_choice(row->choices, slice_str(text));
    case CONFIG_LIST:
        return row->choices != NULL ? config_mask(row->choices, text) : 0;
    case CONFIG_INT:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return strtoll(text, NULL, 10);
    case CONFIG_DOUBLE:
    case CONFIG_STRING:
    case CONFIG_PASSWORD:
        break;
    }
    return 0;
}

static const char *config_wanted(const struct config_row *row)
{
    ASSERT(row != NULL);
    switch (row->type) {
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_INT:
        return "a whole number";
    case CONFIG_SIZE:
        return "a size, such as 1048576, 64K or 1G";
    case CONFIG_DURATION:
        return config_unit_ms(row->name) == 1 ? "a duration, such as 60000, 90s, 12h or 7d"
                                              : "a duration in whole units of the key";
    case CONFIG_DOUBLE:
        return "a number";
    case CONFIG_STRING:
    case CONFIG_PASSWORD:
        return "text without control characters";
    case CONFIG_LIST:
    case CONFIG_ENUM:
        return row->choices != NULL ? row->choices : "words without control characters";
    }
    return "";
}

static int config_bad(const struct config_row *row, const char *text, char message[256])
{
    ASSERT(message != NULL);
    (void)snprintf(message, 256, "%s cannot be \"%.60s\": want %s%s", row->name, text,
                   row->choices == NULL       ? ""
                   : row->type == CONFIG_LIST ? "some of "
                                              : "one of ",
                   config_wanted(row));
    return CONFIG_BAD;
}

static int config_range(const struct config_row *row, const char *text, char message[256])
{
    ASSERT(row->min <= row->max);
    if (row->max >= CONFIG_I64_MAX)
        (void)snprintf(message, 256, "%s cannot be \"%.60s\": at least %.15g", row->name, text,
                       row->min);
    else
        (void)snprintf(message, 256, "%s cannot be \"%.60s\": want %.15g to %.15g", row->name, text,
                       row->min, row->max);
    ASSERT(message[0] != '\0');
    return CONFIG_BAD;
}

static int config_put_double(const struct config_row *row, const char *text, struct buf *out,
                             char message[256])
{
    char *end = NULL;
    ASSERT(row->type == CONFIG_DOUBLE);
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || number != number)
        return config_bad(row, text, message);
    if (number < row->min || number > row->max)
        return config_range(row, text, message);
    char plain[40];
    (void)snprintf(plain, sizeof plain, "%.15g", number);
    buf_printf(out, "%.*g", strtod(plain, NULL) == number ? 15 : 17, number); /* it reads back */
    return 0;
}

static int config_put_number(const struct config_row *row, const char *text, struct buf *out,
                             char message[256])
{
    int64_t number = 0;
    if (config_scaled(row, text, &number) != 0)
        return config_bad(row, text, message);
    if ((double)number < row->min || (double)number > row->max)
        return config_range(row, text, message);
    ASSERT(row->min <= row->max);
    buf_printf(out, "%" PRId64, number);
    return 0;
}

static int config_put_choices(const struct config_row *row, const char *text, struct buf *out,
                              char message[256])
{
    int64_t mask = -1;
    if (row->type == CONFIG_LIST) {
        mask = config_mask(row->choices, text);
    } else {
        int index = config_choice(row->choices, slice_str(text));
        mask = index < 0 ? -1 : INT64_C(1) << index;
    }
    if (mask < 0)
        return config_bad(row, text, message);
    ASSERT(mask > 0);
    size_t start = out->size;
    for (int i = 0; mask >> i != 0; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        struct slice choice = config_choice_at(row->choices, i);
        if (out->size > start)
            buf_append_u8(out, ',');
        buf_append(out, choice.p, choice.size);
    }
    ASSERT(out->size > start);
    return 0;
}

static int config_put_string(const struct config_row *row, const char *text, struct buf *out,
                             char message[256])
{
    ASSERT(row->type == CONFIG_STRING || row->type == CONFIG_PASSWORD);
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return config_bad(row, "\\?", message);
    buf_append(out, text, strlen(text));
    return 0;
}

/* The word at the front of a list, which moves on; false at its end. */
static bool config_word(const char **at, struct slice *out)
{
    ASSERT(at != NULL && out != NULL);
    if (*at == NULL)
        return false;
    size_t size = strcspn(*at, ",");
    *out = config_trim(slice_of(*at, size));
    *at = (*at)[size] == ',' ? *at + size + 1 : NULL;
    return true;
}

/* Choices are compared in any case, as everywhere. */
static bool config_has_word(const char *list, struct slice word, bool choices)
{
    struct slice one;
    ASSERT(list != NULL);
    while (config_word(&list, &one))
        if (one.size == word.size &&
            (choices ? strncasecmp((const char *)one.p, (const char *)word.p, word.size)
                     : memcmp(one.p, word.p, word.size)) == 0)
            return true;
    return false;
}

/* Appends the words of a list that are not empty and not in `out` yet, nor in `without`. */
static void config_put_words(const struct config_row *row, const char *list, const char *without,
                             struct buf *out)
{
    struct slice word;
    size_t start = out->size;
    ASSERT(row->type == CONFIG_LIST && list != NULL);
    buf_append_u8(out, 0);
    out->size--; /* a text to look into at every time */
    while (config_word(&list, &word)) {
        if (word.size == 0 ||
            config_has_word((const char *)out->p + start, word, row->choices != NULL) ||
            config_has_word(without, word, row->choices != NULL))
            continue;
        if (out->size > start)
            buf_append_u8(out, ',');
        buf_append(out, word.p, word.size);
        buf_append_u8(out, 0);
        out->size--;
    }
}

int config_edit_list(const struct config_row *row, enum config_edit edit, const char *now,
                     struct slice value, struct buf *out, char message[256])
{
    struct buf text CLEANUP(buf_deinit) = {0};
    ASSERT(edit != CONFIG_EDIT_SET && now != NULL);
    if (row->type != CONFIG_LIST) {
        (void)snprintf(message, 256, "%s is no list: there is nothing to add to or take from it",
                       row->name);
        return CONFIG_BAD;
    }
    if (value.p == NULL || memchr(value.p, 0, value.size) != NULL) {
        (void)snprintf(message, 256, "%s: words are wanted to add or take away", row->name);
        return CONFIG_BAD;
    }
    if (edit == CONFIG_EDIT_APPEND) {
        buf_printf(&text, "%s,", now);
        buf_append(&text, value.p, value.size);
        buf_append_u8(&text, 0);
        config_put_words(row, (const char *)text.p, "", out);
    } else {
        buf_append(&text, value.p, value.size);
        buf_append_u8(&text, 0);
        config_put_words(row, now, (const char *)text.p, out);
    }
    return 0;
}

static int config_put_free_list(const struct config_row *row, const char *text, struct buf *out,
                                char message[256])
{
    ASSERT(row->type == CONFIG_LIST && row->choices == NULL);
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return config_bad(row, "\\?", message);
    config_put_words(row, text, "", out);
    return 0;
}

static int config_put_bool(const struct config_row *row, const char *text, struct buf *out,
                           char message[256])
{
    ASSERT(row->type == CONFIG_BOOL);
    bool yes = strcasecmp(text, "true") == 0;
    if (!yes && strcasecmp(text, "false") != 0)
        return config_bad(row, text, message);
    buf_printf(out, "%s", yes ? "true" : "false");
    return 0;
}

static int config_put(const struct config_row *row, const char *text, struct buf *out,
                      char message[256])
{
    ASSERT(text != NULL && out != NULL);
    switch (row->type) {
    case CONFIG_BOOL:
        return config_put_bool(row, text, out, message);
    case CONFIG_INT:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return config_put_number(row, text, out, message);
    case CONFIG_DOUBLE:
        return config_put_double(row, text, out, message);
    case CONFIG_LIST:
        return row->choices != NULL ? config_put_choices(row, text, out, message)
                                    : config_put_free_list(row, text, out, message);
    case CONFIG_ENUM:
        return config_put_choices(row, text, out, message);
    case CONFIG_STRING:
    case CONFIG_PASSWORD:
        return config_put_string(row, text, out, message);
    }
    return CONFIG_BAD;
}

int config_normalise(const struct config_row *row, struct slice value, struct buf *out,
                     char message[256])
{
    char text[CONFIG_VALUE_MAX + 1];
    ASSERT(row != NULL && out != NULL && message != NULL);
    struct slice plain = value.p == NULL ? slice_str("") : config_trim(value);
    if (plain.size > CONFIG_VALUE_MAX || memchr(plain.p, 0, plain.size) != NULL) {
        (void)snprintf(message, 256, "the value of %s is too long or has a zero byte", row->name);
        return CONFIG_BAD;
    }
    memcpy(text, plain.p, plain.size);
    text[plain.size] = '\0';
    int r = config_put(row, text, out, message);
    if (r != 0)
        return r;
    buf_append_u8(out, 0);
    out->size--;
    ASSERT(out->p[out->size] == 0);
    return 0;
}
