/* SPDX-License-Identifier: MIT
 *
 * opts: see opts.h.
 */
#include "cli/kafka/opts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kafka/tool.h"
#include "cli/value.h"
#include "engine/base/assert.h"

#define OPTS_JOPT       "joptsimple."
#define OPTS_HELP_WIDTH 60
#define OPTS_LEFT_WIDTH 38

static const char *opts_row_name(const struct opts_page *page, size_t row)
{
    ASSERT(row < page->row_count);
    return page->rows[row].name;
}

/* The row whose name stands in text[0..size); row_count when there is none. */
static size_t opts_find(const struct opts_page *page, const char *text, size_t size)
{
    size_t i = 0;
    while (i < page->row_count &&
           (strlen(page->rows[i].name) != size || memcmp(page->rows[i].name, text, size) != 0))
        i++;
    return i;
}

static int opts_unknown(struct fault *f, const char *name, size_t size)
{
    return fault_set(f, OPTS_JOPT "UnrecognizedOptionException", "%.*s is not a recognized option",
                     (int)size, name);
}

/* One option, its name at argv[*at] behind `dashes`; *at moves to the last word taken. */
static int opts_take(struct opts *o, int argc, char **argv, int *at, size_t dashes, struct fault *f)
{
    const char *name = argv[*at] + dashes;
    size_t size = strcspn(name, "=");
    const char *given = name[size] == '=' && name[size + 1] != '\0' ? name + size + 1 : NULL;
    size_t row = opts_find(o->page, name, size);
    if (row == o->page->row_count)
        return opts_unknown(f, name, dashes == 1 ? 1 : size);
    const struct opts_row *r = &o->page->rows[row];
    if (r->arg == OPTS_NONE)
        given = NULL;
    if (given == NULL && *at + 1 < argc &&
        (r->arg == OPTS_NEEDS || (r->arg == OPTS_MAY && argv[*at + 1][0] != '-')))
        given = argv[++*at];
    if (given == NULL && r->arg == OPTS_NEEDS)
        return fault_set(f, OPTS_JOPT "OptionMissingRequiredArgumentException",
                         "Option %s requires an argument", r->name);
    if (given != NULL && !r->many && opts_text(o, row) != NULL)
        return fault_set(f, OPTS_JOPT "MultipleArgumentsForOptionException",
                         "Found multiple arguments for option %s, but you asked for only one",
                         r->name);
    o->values[o->count++] = (struct opts_value){.row = row, .text = given};
    return 0;
}

int opts_parse(const struct opts_page *page, int argc, char **argv, struct opts *o, struct fault *f)
{
    size_t size = ((size_t)argc + 1) * sizeof *o->values;
    ASSERT(argc >= 0);
    *o = (struct opts){.page = page, .values = assert_memory(calloc(1, size), size)};
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--") == 0)
            break;
        if (word[0] != '-' || word[1] == '\0')
            continue;
        if (opts_take(o, argc, argv, &at, word[1] == '-' ? 2 : 1, f) != 0) {
            opts_deinit(o);
            return 1;
        }
    }
    return 0;
}

void opts_deinit(struct opts *o)
{
    free(o->values);
    *o = (struct opts){0};
}

bool opts_has(const struct opts *o, size_t row)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->values[i].row == row)
            return true;
    return false;
}

const char *opts_next(const struct opts *o, size_t row, size_t *at)
{
    while (*at < o->count) {
        const struct opts_value *v = &o->values[(*at)++];
        if (v->row == row && v->text != NULL)
            return v->text;
    }
    return NULL;
}

const char *opts_text(const struct opts *o, size_t row)
{
    size_t at = 0;
    return opts_next(o, row, &at);
}

int opts_number(const struct opts *o, size_t row, struct opts_range range, int64_t *out,
                struct fault *f)
{
    const char *text = opts_text(o, row);
    int64_t value = 0;
    if (text == NULL)
        return 0;
    if (!value_i64(text, &value) || value < range.min || value > range.max)
        return fault_set(f, OPTS_JOPT "OptionArgumentConversionException",
                         "Cannot parse argument '%s' of option %s", text,
                         opts_row_name(o->page, row));
    *out = value;
    return 0;
}

/* Prints `help` in lines of at most OPTS_HELP_WIDTH, the first behind `left`. */
static void opts_print_row(const char *left, const char *help)
{
    size_t rest = strlen(help);
    bool beside = strlen(left) <= OPTS_LEFT_WIDTH;
    (void)fprintf(stderr, beside ? "%-*s  " : "%-*s\n", OPTS_LEFT_WIDTH, left);
    for (bool first = beside;; first = false) {
        size_t size = rest;
        if (rest > OPTS_HELP_WIDTH) {
            size = OPTS_HELP_WIDTH;
            while (size > 0 && help[size] != ' ')
                size--;
            size = size > 0 ? size : OPTS_HELP_WIDTH;
        }
        (void)fprintf(stderr, "%*s%.*s\n", first ? 0 : OPTS_LEFT_WIDTH + 2, "", (int)size, help);
        help += size;
        rest -= size;
        if (rest == 0)
            break;
        help += help[0] == ' ';
        rest = strlen(help);
    }
}

int opts_usage(const struct opts_page *page, const char *message)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n%-*s  %s\n%-*s  %s\n", message, OPTS_LEFT_WIDTH, "Option",
                  "Description", OPTS_LEFT_WIDTH, "------", "-----------");
    for (size_t i = 0; i < page->row_count; i++) {
        const struct opts_row *row = &page->rows[i];
        char left[128];
        if (row->arg == OPTS_NONE)
            (void)snprintf(left, sizeof left, "--%s", row->name);
        else
            (void)snprintf(left, sizeof left, row->arg == OPTS_MAY ? "--%s [%s]" : "--%s <%s>",
                           row->name, row->metavar);
        opts_print_row(left, row->help);
    }
    return TOOL_FAILED;
}

int opts_version(void)
{
    (void)printf("%s (librdkafka %s)\n", KAURI_VERSION_TEXT, rd_kafka_version_str());
    return TOOL_DONE;
}
