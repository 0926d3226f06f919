/* SPDX-License-Identifier: MIT
 *
 * cmd_doctor: `kauri doctor`: looks at a running broker, its machine and its data, and says what is
 * wrong, what will be, and what to type. Changes nothing; where the data folder can be written, a
 * file of one page is synced there a few times and removed.
 *
 * Findings are ok, warning or failed. Exit 0 unless one failed, then 1. What cannot be looked at
 * from here (a broker on another machine, another user's files) is passed over.
 */
#include "cli/cmd_doctor_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/lag.h"
#include "cli/value.h"
#include "engine/base/assert.h"

#define CMD_DOCTOR_WATCH_MS  2000
#define CMD_DOCTOR_SLOW_MS   200
#define CMD_DOCTOR_CLOCK_MS  1000
#define CMD_DOCTOR_DAYS_WARN 14
#define CMD_DOCTOR_DAYS_FAIL 1
#define CMD_DOCTOR_SHARE     4 /* times the mean makes a partition unbalanced */
#define CMD_DOCTOR_SIZE_MIN  (INT64_C(16) << 20)
#define CMD_DOCTOR_NAMES_MAX 5

static const struct args_row cmd_doctor_rows[] = {
    {'t', "watch", "TIME", "measure rates for so long; default 2s"},
    {'b', "bundle", "FILE", "also write a tar archive for a report about the broker"},
};

static const struct args_page cmd_doctor_page = {
    .command = "doctor",
    .usage = "[--watch TIME] [--bundle FILE]",
    .about =
        "Looks for trouble: disk, file system, time of a sync, descriptors, clock, advertised\n"
        "addresses, lag and stuck groups, unbalanced partitions, members without partitions,\n"
        "days until the disk is full, retention, settings that are rarely meant. Changes nothing.\n"
        "Exit 1 when something failed.\n"
        "A bundle has versions, findings, settings, topics, groups, metrics, state, machine and\n"
        "the log's end; no records. Passwords are masked. Also when no broker answers.",
    ARGS_ROWS(cmd_doctor_rows),
    .examples = "  kauri doctor\n"
                "  kauri doctor --watch 60s\n"
                "  kauri doctor --bundle report.tar\n"
                "  kauri doctor --json\n",
};

/* --- findings ------------------------------------------------------------------------------- */

void cmd_doctor_say(struct cmd_doctor *d, enum cmd_doctor_level level, const char *name,
                    const char *hint, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warning", "failed"};
    char text[600];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->counts[level]++;
    (void)json_array_append_new(d->list, json_pack("{s:s, s:s, s:s, s:s?}", "check", name, "status",
                                                   words[level], "text", text, "hint",
                                                   level == CMD_DOCTOR_OK ? NULL : hint));
    if (d->a->json || (level == CMD_DOCTOR_OK && d->a->out.quiet))
        return;
    (void)printf("%-7s  %-10s  %s\n", words[level], name, text);
    if (level != CMD_DOCTOR_OK && hint != NULL)
        (void)printf("                     hint: %s\n", hint);
}

/* A list of names with an end: "a, b, c and 4 more". */
struct cmd_doctor_names {
    char text[400];
    size_t count;
};

static void cmd_doctor_name(struct cmd_doctor_names *n, const char *name)
{
    size_t at = strlen(n->text);
    if (n->count++ < CMD_DOCTOR_NAMES_MAX)
        (void)snprintf(n->text + at, sizeof n->text - at, "%s%.60s", at > 0 ? ", " : "", name);
}

static const char *cmd_doctor_names(struct cmd_doctor_names *n)
{
    size_t at = strlen(n->text);
    if (n->count > CMD_DOCTOR_NAMES_MAX)
        (void)snprintf(n->text + at, sizeof n->text - at, " and %zu more",
                       n->count - CMD_DOCTOR_NAMES_MAX);
    n->count = 0;
    return n->text;
}

/* --- the broker ----------------------------------------------------------------------------- */

static void cmd_doctor_broker(struct cmd_doctor *d)
{
    int64_t ms = d->now.took_ms;
    enum cmd_doctor_level level = ms > CMD_DOCTOR_SLOW_MS ? CMD_DOCTOR_WARNING : CMD_DOCTOR_OK;
    cmd_doctor_say(d, level, "broker", "kauri top; is the machine busy, or the disk slow?",
                   "%s answers in %" PRId64 " ms, %u topics, %u partitions", d->server.software, ms,
                   d->now.status.topics, d->now.status.partitions);
    if (strcmp(d->server.software, "kauri " KAURI_VERSION_TEXT) != 0)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "version", "restart the broker, or use its own kauri",
                       "the broker is %s, this program kauri %s", d->server.software,
                       KAURI_VERSION_TEXT);
}

static void cmd_doctor_clock(struct cmd_doctor *d)
{
    int64_t off = d->now.status.now_ms - d->wall_ms;
    int64_t size = off < 0 ? -off : off;
    enum cmd_doctor_level level =
        size > CMD_DOCTOR_CLOCK_MS + d->now.took_ms ? CMD_DOCTOR_WARNING : CMD_DOCTOR_OK;
    cmd_doctor_say(d, level, "clock",
                   "timedatectl, on both machines: retention and searches go by time",
                   "the broker's differs from this one's by %" PRId64 " ms", off);
}

static void cmd_doctor_loading(struct cmd_doctor *d)
{
    int64_t loading = 0;
    for (size_t i = 0; i < d->now.topic_count; i++)
        loading += d->now.topics[i].unloaded;
    if (loading > 0)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "recovery", "kauri check ready; its log says why",
                       "%" PRId64 " partitions are not there yet, or cannot be read", loading);
}

/* --- the disk ------------------------------------------------------------------------------- */

static bool cmd_doctor_keeps_all(const struct survey_topic *t)
{
    return !t->internal && !t->compacted && t->retention_ms < 0 && t->retention_size < 0;
}

static void cmd_doctor_space(struct cmd_doctor *d)
{
    char size[OUT_TEXT_MAX];
    const struct kauri_broker_status *s = &d->now.status;
    double share =
        s->disk_total_size > 0 ? 100.0 * (double)s->disk_free_size / (double)s->disk_total_size : 0;
    cmd_doctor_say(d,
                   s->disk_full ? CMD_DOCTOR_FAILED
                   : share < 10 ? CMD_DOCTOR_WARNING
                                : CMD_DOCTOR_OK,
                   "disk", "make room, or keep less: kauri topic alter T --set retention.ms=...",
                   "%s of %.0f GiB free (%.1f %%)%s", out_size(size, (int64_t)s->disk_free_size),
                   (double)s->disk_total_size / (double)(1 << 30), share,
                   s->disk_full ? "; records are refused" : "");
}

/* Retention gives back what it takes, but not before it has filled. */
static void cmd_doctor_days(struct cmd_doctor *d)
{
    double rate = survey_disk_rate(&d->before, &d->now);
    double days = rate > 0 ? (double)d->now.status.disk_free_size / rate / 86400 : -1;
    if (rate <= 0) {
        cmd_doctor_say(d, CMD_DOCTOR_OK, "growth", NULL, "nothing grew in %.1f s",
                       (double)d->watch_ms / 1000);
        return;
    }
    cmd_doctor_say(d,
                   days < CMD_DOCTOR_DAYS_FAIL   ? CMD_DOCTOR_FAILED
                   : days < CMD_DOCTOR_DAYS_WARN ? CMD_DOCTOR_WARNING
                                                 : CMD_DOCTOR_OK,
                   "growth",
                   "keep less: kauri topic alter T --set retention.bytes=... (a partition)",
                   "%.2f MB/s: the disk is full in %.1f days, unless retention takes as much",
                   rate / 1e6, days);
}

static void cmd_doctor_retention(struct cmd_doctor *d)
{
    struct cmd_doctor_names n = {.count = 0};
    for (size_t i = 0; i < d->now.topic_count; i++)
        if (cmd_doctor_keeps_all(&d->now.topics[i]))
            cmd_doctor_name(&n, d->now.topics[i].name);
    if (n.count > 0)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "retention",
                       "kauri topic alter T --set retention.ms=30d, or retention.bytes",
                       "no retention is set: %s kept for ever", cmd_doctor_names(&n));
    else
        cmd_doctor_say(d, CMD_DOCTOR_OK, "retention", NULL, "every topic has an end");
}

/* --- topics and groups ---------------------------------------------------------------------- */

static void cmd_doctor_balance(struct cmd_doctor *d)
{
    size_t found = 0;
    for (size_t i = 0; i < d->now.topic_count; i++) {
        const struct survey_topic *t = &d->now.topics[i];
        int64_t mean = t->partitions > 0 ? t->size / t->partitions : 0;
        /* with few partitions the largest can never be so many times the mean */
        int64_t times =
            t->partitions < 2 * CMD_DOCTOR_SHARE ? (t->partitions + 1) / 2 : CMD_DOCTOR_SHARE;
        if (t->partitions < 2 || t->largest < CMD_DOCTOR_SIZE_MIN || t->internal ||
            (t->partitions == 2 ? t->largest < t->size / 10 * 9 : t->largest <= times * mean))
            continue;
        found++;
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "balance",
                       "one key is hot, or keys are few: a finer key spreads them",
                       "partition %d of %s has %.0f %% of its bytes, of %d partitions",
                       t->largest_partition, t->name, 100.0 * (double)t->largest / (double)t->size,
                       t->partitions);
    }
    if (found == 0)
        cmd_doctor_say(d, CMD_DOCTOR_OK, "balance", NULL, "no partition stands out");
}

static void cmd_doctor_groups(struct cmd_doctor *d)
{
    char age[OUT_TEXT_MAX], hint[400];
    size_t found = 0;
    int64_t lag = 0;
    for (size_t i = 0; i < d->now.group_count; i++) {
        const struct survey_group *g = &d->now.groups[i];
        lag += g->lag > 0 ? g->lag : 0;
        if (g->standing_ms < SURVEY_MOVES_MS)
            continue;
        found++;
        (void)snprintf(hint, sizeof hint, "kauri group describe %.250s", g->name);
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "groups", hint,
                       "%s: %s has not moved for %s, %" PRId64 " unread%s", g->name, g->standing,
                       lag_age(age, g->standing_ms), g->lag,
                       g->members == 0 ? ", no members"
                       : g->moves      ? ", while others do: a record keeps failing"
                                       : "");
    }
    if (found == 0)
        cmd_doctor_say(d, CMD_DOCTOR_OK, "groups", NULL,
                       "%zu groups, none stands, %" PRId64 " records unread", d->now.group_count,
                       lag);
}

/* Partitions are what members share. */
static void cmd_doctor_planning(struct cmd_doctor *d)
{
    size_t found = 0;
    for (size_t i = 0; i < d->now.group_count; i++) {
        const struct survey_group *g = &d->now.groups[i];
        if (g->partitions == 0 || g->members <= (uint32_t)g->partitions)
            continue;
        found++;
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "planning",
                       "kauri topic alter T --partitions N (keys move), or fewer members",
                       "%s: %u members share %d partitions: %u have nothing to do", g->name,
                       g->members, g->partitions, g->members - (uint32_t)g->partitions);
    }
    if (found == 0)
        cmd_doctor_say(d, CMD_DOCTOR_OK, "planning", NULL,
                       "no group has more members than partitions");
}

static void cmd_doctor_topics(struct cmd_doctor *d)
{
    struct cmd_doctor_names n = {.count = 0};
    for (size_t i = 0; i < d->now.topic_count; i++)
        if (d->now.topics[i].os)
            cmd_doctor_name(&n, d->now.topics[i].name);
    if (n.count > 0)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "durability",
                       "if that is not meant: kauri topic alter T --unset durability",
                       "durability=os: a power cut may lose acknowledged records of %s",
                       cmd_doctor_names(&n));
}

/* A broker that knows no clusters has nothing to tell. */
static void cmd_doctor_cluster(struct cmd_doctor *d, struct kauri *k)
{
    struct kauri_cluster *t = NULL;
    const char *hint = "kauri cluster status -p";
    bool bad = true;
    if (kauri_cluster_status(k, false, &t) != 0)
        return;
    if (t->fenced > 0)
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "cluster",
                       "its log names them; if the leader is right, stop this broker and start it "
                       "with an empty data folder",
                       "%u partitions part from the leader's log below what was acknowledged, and "
                       "are not followed",
                       t->fenced);
    else if (t->trouble[0] != '\0')
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "cluster", hint, "%s", t->trouble);
    else if (t->leader < 0)
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "cluster", hint, "no broker leads (this one: %s)",
                       t->role);
    else if (t->leaderless > 0)
        cmd_doctor_say(d, CMD_DOCTOR_FAILED, "cluster", hint, "%u partitions have no leader",
                       t->leaderless);
    else
        bad = false;
    if (!bad && t->under_replicated > 0)
        cmd_doctor_say(d, CMD_DOCTOR_WARNING, "replicas", hint,
                       "%u of %u partitions have a replica that is not in sync",
                       t->under_replicated, t->partition_count);
    else if (!bad && t->broker_count > 1)
        cmd_doctor_say(d, CMD_DOCTOR_OK, "replicas", NULL,
                       "%zu brokers, broker %d leads, all in sync", t->broker_count, t->leader);
    kauri_result_free(t);
}

/* --- all of it ------------------------------------------------------------------------------ */

static int cmd_doctor_look(struct cmd_doctor *d, struct cmd_client *c)
{
    int error = kauri_server(c->k, &d->server);
    if (error == 0)
        cmd_doctor_cluster(d, c->k); /* first: what follows may be asked of the leader */
    if (error == 0)
        error = survey_take(c->k, &d->before);
    if (error != 0)
        return error;
    cmd_doctor_machine(d); /* takes its time, too */
    cmd_doctor_pause(d);
    error = survey_take(c->k, &d->now);
    d->wall_ms = cmd_doctor_wall();
    if (error == 0)
        error = cmd_doctor_settings(d, c->k);
    if (error != 0)
        return error;
    cmd_doctor_broker(d);
    cmd_doctor_clock(d);
    cmd_doctor_loading(d);
    cmd_doctor_space(d);
    cmd_doctor_days(d);
    cmd_doctor_retention(d);
    cmd_doctor_topics(d);
    cmd_doctor_balance(d);
    cmd_doctor_planning(d);
    cmd_doctor_groups(d);
    return 0;
}

static void cmd_doctor_end(struct cmd_doctor *d, bool whole)
{
    if (d->a->json && whole)
        out_json(json_pack("{s:O, s:i, s:i}", "checks", d->list, "warnings",
                           (int)d->counts[CMD_DOCTOR_WARNING], "failed",
                           (int)d->counts[CMD_DOCTOR_FAILED]));
    else if (whole)
        out_note(&d->a->out, "%zu ok, %zu warnings, %zu failed", d->counts[CMD_DOCTOR_OK],
                 d->counts[CMD_DOCTOR_WARNING], d->counts[CMD_DOCTOR_FAILED]);
    json_decref(d->list);
    survey_deinit(&d->before);
    survey_deinit(&d->now);
}

static const char *cmd_doctor_take(void *ctx, int key, const char *value)
{
    struct cmd_doctor *d = ctx;
    if (key == 'b') {
        d->bundle = value;
        return value[0] != '\0' ? NULL : "a file";
    }
    ASSERT(key == 't');
    return value_duration(value, &d->watch_ms) && d->watch_ms <= 3600000 ? NULL
                                                                         : "a time, at most 1h";
}

int cmd_doctor(struct args *a, int argc, char **argv)
{
    struct cmd_doctor d = {.a = a, .watch_ms = CMD_DOCTOR_WATCH_MS};
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    int first = 0;
    int r = args_parse(&cmd_doctor_page, a, argc, argv, cmd_doctor_take, &d, &first);
    if (r != 0)
        return cmd_args(r);
    if (first < argc)
        return cmd_args(args_usage(&cmd_doctor_page, a, "doctor takes no operands"));
    d.list = json_array();
    r = cmd_open(a, &options, &c);
    if (r != 0) {
        int told =
            r == CMD_NO_SERVER && d.bundle != NULL ? cmd_doctor_bundle(&d, NULL, d.bundle) : 0;
        cmd_doctor_end(&d, false);
        return told != 0 ? told : r;
    }
    int error = cmd_doctor_look(&d, &c);
    int told = d.bundle != NULL ? cmd_doctor_bundle(&d, error == 0 ? c.k : NULL, d.bundle) : 0;
    r = error != 0                        ? cmd_fail(a, &c, error, NULL)
        : d.counts[CMD_DOCTOR_FAILED] > 0 ? CMD_FAILED
                                          : CMD_DONE;
    cmd_doctor_end(&d, error == 0);
    cmd_close(&c);
    return told != 0 ? told : r;
}
