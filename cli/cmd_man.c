/* SPDX-License-Identifier: MIT
 *
 * cmd_man: the manual page kauri(1), made of the same pages as -h.
 */
#include <stdio.h>

#include "cli/cmd.h"

/* Text as roff: a line's leading dot or quote and every backslash and dash stand for themselves. */
static void cmd_man_text(const char *text)
{
    bool head = true;
    for (const char *p = text; *p != '\0'; p++) {
        if (head && (*p == '.' || *p == '\''))
            (void)fputs("\\&", stdout);
        if (*p == '\\')
            (void)fputs("\\e", stdout);
        else if (*p == '-')
            (void)fputs("\\-", stdout);
        else
            (void)putchar(*p);
        head = *p == '\n';
    }
    if (!head)
        (void)putchar('\n');
}

static void cmd_man_row(const struct args_row *row)
{
    (void)fputs(".TP\n\\fB", stdout);
    if (row->key < ARGS_LONG)
        (void)printf("\\-%c%s", row->key, row->name != NULL ? "\\fR, \\fB" : "");
    if (row->name != NULL) {
        (void)fputs("\\-\\-", stdout);
        for (const char *p = row->name; *p != '\0'; p++)
            (void)fputs(*p == '-' ? "\\-" : (char[]){*p, '\0'}, stdout);
    }
    (void)printf("\\fR%s%s%s\n", row->metavar != NULL ? " \\fI" : "",
                 row->metavar != NULL ? row->metavar : "", row->metavar != NULL ? "\\fR" : "");
    cmd_man_text(row->help);
}

static void cmd_man_page(void *ctx, const struct args_page *page)
{
    bool *first = ctx;
    if (page->command[0] == '\0') /* of the program itself */
        return;
    if (*first)
        (void)fputs(".SH COMMANDS\n", stdout);
    *first = false;
    (void)fputs(".SS kauri ", stdout);
    cmd_man_text(page->command);
    (void)fputs(".PP\n\\fBkauri ", stdout);
    (void)printf("%s\\fR ", page->command);
    cmd_man_text(page->usage);
    (void)fputs(".PP\n", stdout);
    cmd_man_text(page->about);
    for (size_t i = 0; i < page->row_count; i++)
        cmd_man_row(&page->rows[i]);
    (void)fputs(".PP\nExamples:\n.PP\n.nf\n", stdout);
    cmd_man_text(page->examples);
    (void)fputs(".fi\n", stdout);
}

static void cmd_man_topic(void *ctx, const char *name, const char *about, const char *text)
{
    (void)ctx;
    (void)printf(".SS %s: ", name);
    cmd_man_text(about);
    (void)fputs(".PP\n.nf\n", stdout);
    cmd_man_text(text);
    (void)fputs(".fi\n", stdout);
}

void cmd_man(struct args *a)
{
    size_t count = 0;
    const struct args_row *common = args_common(&count);
    bool first = true;
    (void)fputs(
        ".TH KAURI 1 \"\" \"kauri " KAURI_VERSION_TEXT "\" \"User Commands\"\n"
        ".SH NAME\nkauri \\- a durable, replayable, partitioned log\n"
        ".SH SYNOPSIS\n\\fBkauri\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... "
        "[\\fIOPERAND\\fR]...\n.SH DESCRIPTION\n"
        "A broker for one host that acknowledges a record only when it is on disk, and the\n"
        "tools for it. It speaks a protocol of its own and Kafka's.\n",
        stdout);
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++) {
        (void)printf(".TP\n\\fBkauri %s\\fR\n", row->name);
        cmd_man_text(row->about);
    }
    (void)fputs(".SH OPTIONS\nEvery command takes these.\n", stdout);
    for (size_t i = 0; i < count; i++)
        cmd_man_row(&common[i]);
    a->on_page = cmd_man_page;
    a->page_ctx = &first;
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        (void)cmd_page(row, a);
    a->on_page = NULL;
    (void)fputs(".SH NOTES\n", stdout);
    cmd_help_topic_each(cmd_man_topic, NULL);
    (void)fputs(".SH FILES\n.TP\n\\fI/etc/kauri/kauri.conf\\fR\nsettings of \\fBkauri serve\\fR\n"
                ".TP\n\\fI/var/lib/kauri\\fR, \\fI~/.local/state/kauri\\fR\ndata, of root and the "
                "service, and of a person\n",
                stdout);
}
