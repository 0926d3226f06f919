/* SPDX-License-Identifier: MIT
 *
 * args: see args.h.
 */
#include "cli/args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/value.h"
#include "engine/base/assert.h"

#define ARGS_OPTIONS_MAX 48

enum {
    ARGS_JSON = ARGS_LONG + 200,
    ARGS_COLOR,
    ARGS_NO_PROGRESS,
    ARGS_TIMEOUT,
    ARGS_DRY_RUN,
};

static const struct args_row args_rows[] = {
    {'s', "server", "URL",
     "the broker, or brokers of one cluster: ipc:///PATH or tcp://HOST:PORT, "
     "comma separated (KAURI_SERVER)"},
    {ARGS_JSON, "json", NULL, "machine-readable (produce: one envelope a line comes in)"},
    {'q', "quiet", NULL, "results and errors only"},
    {'v', "verbose", NULL, "say more"},
    {ARGS_COLOR, "color", "WHEN", "auto or never (NO_COLOR)"},
    {ARGS_NO_PROGRESS, "no-progress", NULL, "no progress bar"},
    {ARGS_TIMEOUT, "timeout", "TIME", "give up waiting after this, such as 5s"},
    {ARGS_DRY_RUN, "dry-run", NULL, "check, change nothing"},
    {'y', "yes", NULL, "do not ask"},
    {'h', "help", NULL, "this page"},
};
#define ARGS_ROW_COUNT (sizeof args_rows / sizeof args_rows[0])

/* What getopt wants, made of the tables. */
struct args_table {
    char letters[4 * ARGS_OPTIONS_MAX];
    struct option options[ARGS_OPTIONS_MAX + 1];
    size_t letter_count;
    size_t count;
};

static void args_settle(struct args *a)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    const char *no_color = getenv("NO_COLOR");
    bool colorless = a->color_never || (no_color != NULL && no_color[0] != '\0');
    a->out.color = terminal && !colorless;
    a->out.progress = terminal && !a->no_progress;
}

void args_init(struct args *a)
{
    *a = (struct args){.server = getenv("KAURI_SERVER")};
    if (a->server != NULL && a->server[0] == '\0')
        a->server = NULL;
    args_settle(a);
}

/* A later row with a letter or a name that is taken is left out: a command's own option hides the
 * one of all commands. */
static bool args_taken(const struct args_table *t, const struct args_row *row)
{
    for (size_t i = 0; i < t->count; i++)
        if (row->name != NULL && strcmp(t->options[i].name, row->name) == 0)
            return true;
    return row->key < ARGS_LONG && memchr(t->letters, row->key, t->letter_count) != NULL;
}

static void args_add(struct args_table *t, const struct args_row *row)
{
    if (args_taken(t, row))
        return;
    ASSERT(t->count < ARGS_OPTIONS_MAX);
    if (row->name != NULL)
        t->options[t->count++] = (struct option){
            row->name, row->metavar != NULL ? required_argument : no_argument, NULL, row->key};
    if (row->key >= ARGS_LONG)
        return;
    t->letters[t->letter_count++] = (char)row->key;
    if (row->metavar != NULL)
        t->letters[t->letter_count++] = ':';
}

static void args_table(const struct args_page *page, struct args_table *t)
{
    memset(t, 0, sizeof *t);
    if (page->stop)
        t->letters[t->letter_count++] = '+';
    t->letters[t->letter_count++] = ':';
    for (size_t i = 0; i < page->row_count; i++)
        args_add(t, &page->rows[i]);
    for (size_t i = 0; i < ARGS_ROW_COUNT; i++)
        args_add(t, &args_rows[i]);
}

/* An option of all commands: NULL or what it wants. */
static const char *args_take(struct args *a, int key, const char *value)
{
    int64_t ms = 0;
    switch (key) {
    case 's':
        a->server = value;
        break;
    case 'q':
        a->out.quiet = true;
        break;
    case 'v':
        a->verbose = true;
        break;
    case 'y':
        a->yes = true;
        break;
    case ARGS_JSON:
        a->json = true;
        break;
    case ARGS_NO_PROGRESS:
        a->no_progress = true;
        break;
    case ARGS_DRY_RUN:
        a->dry_run = true;
        break;
    case ARGS_COLOR:
        a->color_never = strcmp(value, "never") == 0;
        return a->color_never || strcmp(value, "auto") == 0 ? NULL : "auto or never";
    case ARGS_TIMEOUT:
        if (!value_duration(value, &ms) || ms <= 0 || ms > INT32_MAX)
            return "a time such as 5s";
        a->timeout_ms = (uint32_t)ms;
        break;
    }
    return NULL;
}

static bool args_owns(const struct args_page *page, int key)
{
    for (size_t i = 0; i < page->row_count; i++)
        if (page->rows[i].key == key)
            return true;
    return false;
}

/* "-p" or "--acks", whatever names the key best. */
static const char *args_name(const struct args_page *page, int key, char text[64])
{
    const char *name = NULL;
    for (size_t i = 0; i < ARGS_ROW_COUNT; i++)
        if (args_rows[i].key == key)
            name = args_rows[i].name;
    for (size_t i = 0; i < page->row_count; i++)
        if (page->rows[i].key == key)
            name = page->rows[i].name;
    if (key < ARGS_LONG)
        (void)snprintf(text, 64, "-%c", key);
    else
        (void)snprintf(text, 64, "--%s", name);
    return text;
}

static int args_bad(const struct args_page *page, const struct args *a)
{
    const char *space = page->command[0] != '\0' ? " " : "";
    out_hint(&a->out, "kauri%s%s -h", space, page->command);
    return ARGS_BAD;
}

static int args_bad_option(const struct args_page *page, const struct args *a, int found,
                           const char *word)
{
    char name[64];
    if (found == ':')
        out_error(&a->out, "option %s needs a value", args_name(page, optopt, name));
    else if (optopt != 0 && optopt < ARGS_LONG && strncmp(word, "--", 2) != 0)
        out_error(&a->out, "unknown option \"-%c\"", optopt);
    else
        out_error(&a->out, "unknown option \"%s\"", word);
    return args_bad(page, a);
}

int args_parse(const struct args_page *page, struct args *a, int argc, char **argv,
               const char *(*take)(void *ctx, int key, const char *value), void *ctx, int *first)
{
    struct args_table table;
    char name[64];
    args_table(page, &table);
    optind = 0;
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int key = getopt_long(argc, argv, table.letters, table.options, NULL);
        if (key == -1)
            break;
        if (key == '?' || key == ':')
            return args_bad_option(page, a, key, argv[optind > at ? optind - 1 : at]);
        if (key == 'h' && !args_owns(page, 'h')) {
            if (a->on_page != NULL)
                a->on_page(a->page_ctx, page);
            else
                args_help(page);
            return ARGS_HELP;
        }
        const char *want =
            args_owns(page, key) ? take(ctx, key, optarg) : args_take(a, key, optarg);
        if (want != NULL) {
            out_error(&a->out, "option %s cannot be \"%s\": want %s", args_name(page, key, name),
                      optarg != NULL ? optarg : "", want);
            return args_bad(page, a);
        }
    }
    args_settle(a);
    *first = optind;
    return 0;
}

int args_usage(const struct args_page *page, const struct args *a, const char *what)
{
    out_error(&a->out, "%s", what);
    return args_bad(page, a);
}

const struct args_row *args_common(size_t *count)
{
    *count = ARGS_ROW_COUNT;
    return args_rows;
}

static void args_print_row(const struct args_row *row)
{
    char left[64];
    char letter[8] = "    ";
    const char *value = row->metavar != NULL ? row->metavar : "";
    const char *blank = row->metavar != NULL ? " " : "";
    if (row->key < ARGS_LONG)
        (void)snprintf(letter, sizeof letter, "-%c%s", row->key, row->name != NULL ? ", " : "");
    if (row->name != NULL)
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, row->name, blank, value);
    else
        (void)snprintf(left, sizeof left, "%s%s%s", letter, blank, value);
    (void)printf("  %-24s  %s\n", left, row->help);
}

void args_help(const struct args_page *page)
{
    struct args_table taken;
    if (page->print != NULL) {
        page->print();
        return;
    }
    memset(&taken, 0, sizeof taken);
    const char *space = page->command[0] != '\0' ? " " : "";
    (void)printf("usage: kauri%s%s %s\n\n%s\n", space, page->command, page->usage, page->about);
    if (page->row_count > 0)
        (void)printf("\noptions\n");
    for (size_t i = 0; i < page->row_count; i++) {
        args_print_row(&page->rows[i]);
        args_add(&taken, &page->rows[i]);
    }
    (void)printf("\noptions of all commands\n");
    for (size_t i = 0; i < ARGS_ROW_COUNT; i++)
        if (!args_taken(&taken, &args_rows[i]))
            args_print_row(&args_rows[i]);
    (void)printf("\nexamples\n%s", page->examples);
}
