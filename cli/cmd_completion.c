/* SPDX-License-Identifier: MIT
 *
 * cmd_completion: `kauri completion bash|zsh|fish`: commands, subcommands and options, made of the
 * same pages as -h. Words only: nothing is asked of a broker.
 */
#include <stdio.h>

#include "cli/cmd.h"
#include "engine/base/assert.h"
#include "engine/base/bytes.h"

/* What is walked: per page, its words. */
struct cmd_completion {
    void (*page)(const struct args_page *page);
};

static void cmd_completion_page(void *ctx, const struct args_page *page)
{
    const struct cmd_completion *c = ctx;
    if (page->command[0] != '\0')
        c->page(page);
}

/* Calls `page` for every page, a command before its subcommands. */
static void cmd_completion_walk(struct args *a, void (*page)(const struct args_page *page))
{
    struct cmd_completion c = {page};
    a->on_page = cmd_completion_page;
    a->page_ctx = &c;
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        (void)cmd_page(row, a);
    a->on_page = NULL;
}

/* "topic create" has a command above it: then *name is its last word. */
static bool cmd_completion_is_sub(const struct args_page *page, const char **name, size_t *above)
{
    const char *space = strchr(page->command, ' ');
    *name = space != NULL ? space + 1 : page->command;
    *above = space != NULL ? (size_t)(space - page->command) : 0;
    return space != NULL;
}

/* Text inside single quotes of a shell. */
static void cmd_completion_quoted(const char *text)
{
    (void)putchar('\'');
    for (const char *p = text; *p != '\0'; p++)
        (void)fputs(*p == '\'' ? "'\\''" : *p == '\n' ? " " : (char[]){*p, '\0'}, stdout);
    (void)putchar('\'');
}

/* --- bash ----------------------------------------------------------------------------------- */

static void cmd_completion_bash_options(const struct args_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].name != NULL)
            (void)printf(" --%s", rows[i].name);
        else
            (void)printf(" -%c", rows[i].key);
    }
}

static void cmd_completion_bash_page(const struct args_page *page)
{
    const char *name;
    size_t above;
    if (cmd_completion_is_sub(page, &name, &above))
        (void)printf("    subs[%.*s]+=' %s'\n", (int)above, page->command, name);
    (void)printf("    opts['%s']='", page->command);
    cmd_completion_bash_options(page->rows, page->row_count);
    (void)fputs("'\n", stdout);
}

static void cmd_completion_bash(struct args *a)
{
    size_t count = 0;
    const struct args_row *common = args_common(&count);
    (void)fputs("# bash completion for kauri\n"
                "_kauri()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} cmd='' sub='' word i\n"
                "    local -A subs opts\n    local common='",
                stdout);
    cmd_completion_bash_options(common, count);
    (void)fputs("'\n    local cmds='", stdout);
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++)
        (void)printf(" %s", row->name);
    (void)fputs("'\n", stdout);
    cmd_completion_walk(a, cmd_completion_bash_page);
    (void)fputs(
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        word=${COMP_WORDS[i]}\n"
        "        [[ $word == -* ]] && continue\n"
        "        if [[ -z $cmd ]]; then cmd=$word\n"
        "        elif [[ -z $sub && \" ${subs[$cmd]-} \" == *\" $word \"* ]]; then sub=$word; fi\n"
        "    done\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"${opts[${cmd:-none}${sub:+ $sub}]-} $common\" -- "
        "\"$cur\"))\n"
        "    elif [[ -z $cmd ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$cmds\" -- \"$cur\"))\n"
        "    elif [[ -z $sub && -n ${subs[$cmd]-} ]]; then\n"
        "        COMPREPLY=($(compgen -W \"${subs[$cmd]}\" -- \"$cur\"))\n"
        "    else\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "    fi\n}\ncomplete -o filenames -F _kauri kauri\n",
        stdout);
}

/* --- zsh ------------------------------------------------------------------------------------ */

static void cmd_completion_zsh_row(const struct args_row *row)
{
    struct buf text = {0};
    const char *value = row->metavar != NULL ? ":value:_files" : "";
    if (row->name != NULL)
        buf_printf(&text, "--%s[", row->name);
    else
        buf_printf(&text, "-%c[", row->key);
    for (const char *p = row->help; *p != '\0'; p++)
        if (*p != '[' && *p != ']' && *p != ':')
            buf_append_u8(&text, (uint8_t)*p);
    buf_printf(&text, "]%s", value);
    (void)fputs(" ", stdout);
    cmd_completion_quoted((const char *)text.p);
    buf_deinit(&text);
}

static void cmd_completion_zsh_page(const struct args_page *page)
{
    const char *name;
    size_t above;
    if (cmd_completion_is_sub(page, &name, &above))
        (void)printf("  subs[%.*s]+=' %s'\n", (int)above, page->command, name);
    (void)printf("  [[ $key == '%s' ]] && opts+=(", page->command);
    for (size_t i = 0; i < page->row_count; i++)
        cmd_completion_zsh_row(&page->rows[i]);
    (void)fputs(")\n", stdout);
}

static void cmd_completion_zsh(struct args *a)
{
    size_t count = 0;
    const struct args_row *common = args_common(&count);
    (void)fputs("#compdef kauri\n_kauri() {\n  local -A subs\n  local -a cmds opts plain\n"
                "  plain=(${words[2,CURRENT-1]:#-*})\n"
                "  local key=\"$plain[1] $plain[2]\"\n"
                "  cmds=(",
                stdout);
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++) {
        struct buf text = {0};
        buf_printf(&text, "%s:%s", row->name, row->about);
        (void)putchar(' ');
        cmd_completion_quoted((const char *)text.p);
        buf_deinit(&text);
    }
    (void)fputs(")\n", stdout);
    cmd_completion_walk(a, cmd_completion_zsh_page);
    (void)fputs("  if [[ -z $opts ]]; then\n    key=$plain[1]\n", stdout);
    cmd_completion_walk(a, cmd_completion_zsh_page);
    (void)fputs("  fi\n  opts+=(", stdout);
    for (size_t i = 0; i < count; i++)
        cmd_completion_zsh_row(&common[i]);
    (void)fputs(")\n"
                "  if (( $#plain == 0 )) && [[ $PREFIX != -* ]]; then _describe command cmds\n"
                "  elif (( $#plain == 1 )) && [[ -n $subs[$plain[1]] && $PREFIX != -* ]]; then\n"
                "    compadd -- ${=subs[$plain[1]]}\n"
                "  else _arguments -S $opts '*:file:_files'; fi\n}\n_kauri \"$@\"\n",
                stdout);
}

/* --- fish ----------------------------------------------------------------------------------- */

static void cmd_completion_fish_row(const struct args_row *row, const char *when)
{
    (void)printf("complete -c kauri%s%s%s", when[0] != '\0' ? " -n '" : "", when,
                 when[0] != '\0' ? "'" : "");
    if (row->key < ARGS_LONG)
        (void)printf(" -s %c", row->key);
    if (row->name != NULL)
        (void)printf(" -l %s", row->name);
    (void)printf("%s -d ", row->metavar != NULL ? " -r" : "");
    cmd_completion_quoted(row->help);
    (void)putchar('\n');
}

static void cmd_completion_fish_page(const struct args_page *page)
{
    char when[300];
    const char *name;
    size_t above;
    if (cmd_completion_is_sub(page, &name, &above)) {
        (void)printf("complete -c kauri -n '__fish_seen_subcommand_from %.*s' -f -a %s\n",
                     (int)above, page->command, name);
        (void)snprintf(when, sizeof when,
                       "__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s",
                       (int)above, page->command, name);
    } else {
        (void)snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", page->command);
    }
    for (size_t i = 0; i < page->row_count; i++)
        cmd_completion_fish_row(&page->rows[i], when);
}

static void cmd_completion_fish(struct args *a)
{
    size_t count = 0;
    const struct args_row *common = args_common(&count);
    (void)fputs("# fish completion for kauri\n", stdout);
    for (const struct cmd_row *row = main_commands(); row->name != NULL; row++) {
        (void)printf("complete -c kauri -n __fish_use_subcommand -f -a %s -d ", row->name);
        cmd_completion_quoted(row->about);
        (void)putchar('\n');
    }
    cmd_completion_walk(a, cmd_completion_fish_page);
    for (size_t i = 0; i < count; i++)
        cmd_completion_fish_row(&common[i], "");
}

int cmd_completion(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "completion",
        .usage = "bash|zsh|fish",
        .about = "Prints a script that completes commands and options in that shell.",
        .examples = "  source <(kauri completion bash)\n"
                    "  kauri completion zsh >~/.zfunc/_kauri\n"
                    "  kauri completion fish >~/.config/fish/completions/kauri.fish\n",
    };
    static const struct {
        const char *shell;
        void (*print)(struct args *a);
    } shells[] = {
        {"bash", cmd_completion_bash}, {"zsh", cmd_completion_zsh}, {"fish", cmd_completion_fish}};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, NULL, NULL, &first);
    if (r != 0)
        return cmd_args(r);
    for (size_t i = 0; argc - first == 1 && i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(argv[first], shells[i].shell) != 0)
            continue;
        shells[i].print(a);
        return CMD_DONE;
    }
    return cmd_args(args_usage(&page, a, "which shell? bash, zsh or fish"));
}
