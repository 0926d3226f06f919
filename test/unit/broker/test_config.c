/* SPDX-License-Identifier: MIT
 *
 * test_config: the table keeps its own rules, values are read as people write them, the order of
 * the origins holds, and a topic's overrides behave like a small sorted map.
 */
#include "engine/broker/config.h"

#include <check.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"

static char message[256];

static int set(struct config *c, enum config_origin from, const char *key, const char *value)
{
    message[0] = '\0';
    return config_set(c, from, slice_str(key), slice_str(value), message);
}

static int topic_set(struct config_topic *t, const char *key, const char *value)
{
    message[0] = '\0';
    struct slice v = value == NULL ? SLICE_NULL : slice_str(value);
    return config_topic_set(t, slice_str(key), v, message);
}

/* The normalised text, or "!" for a value that is refused. Static. */
static const char *normal(const char *key, bool topic, const char *value)
{
    static char text[4200];
    struct buf out CLEANUP(buf_deinit) = {0};
    const struct config_row *row = config_row_find(key, topic);
    ck_assert_ptr_nonnull(row);
    message[0] = '\0';
    int r = config_normalise(row, slice_str(value), &out, message);
    if (r != 0) {
        ck_assert_int_eq(r, CONFIG_BAD);
        ck_assert_str_ne(message, "");
        ck_assert_uint_eq(out.size, 0);
        return "!";
    }
    (void)snprintf(text, sizeof text, "%s", (char *)out.p);
    ck_assert_uint_eq(strlen(text), out.size);
    return text;
}

START_TEST(table_is_sorted_and_sound)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    ck_assert_uint_gt(count, 60);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_ne(rows[i].name, "");
        ck_assert_uint_le(strlen(rows[i].name), CONFIG_NAME_MAX);
        ck_assert_str_ne(rows[i].help, "");
        ck_assert(rows[i].help[strlen(rows[i].help) - 1] != '.');
        ck_assert_ptr_eq(config_row_find(rows[i].name, rows[i].topic), &rows[i]);
        if (i > 0 && rows[i - 1].topic == rows[i].topic)
            ck_assert_int_lt(strcmp(rows[i - 1].name, rows[i].name), 0);
        if (i > 0)
            ck_assert(rows[i - 1].topic || !rows[i].topic);
        if (rows[i].inert)
            ck_assert(strncmp(rows[i].help, "accepted without effect", 23) == 0 ||
                      strcmp(rows[i].name, "remote.storage.enable") == 0);
    }
}
END_TEST

START_TEST(every_preset_is_its_own_normal_form)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].preset != NULL)
            ck_assert_str_eq(normal(rows[i].name, rows[i].topic, rows[i].preset), rows[i].preset);
}
END_TEST

START_TEST(topic_defaults_agree_with_the_broker)
{
    struct config *c = config_new();
    struct config_topic none = {0};
    const char *source = NULL;
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count && rows[i].topic; i++) {
        const char *preset = rows[i].preset != NULL ? rows[i].preset : "";
        ck_assert_str_eq(config_topic_text(c, &none, &rows[i], &source), preset);
        ck_assert_str_eq(source, "default");
        if (rows[i].broker_name != NULL)
            ck_assert_str_eq(config_get(c, rows[i].broker_name, NULL), preset);
    }
    config_free(c);
}
END_TEST

START_TEST(sizes_and_durations)
{
    ck_assert_str_eq(normal("segment.bytes", true, "1K"), "1024");
    ck_assert_str_eq(normal("segment.bytes", true, " 64MiB "), "67108864");
    ck_assert_str_eq(normal("retention.bytes", true, "2t"), "2199023255552");
    ck_assert_str_eq(normal("retention.bytes", true, "-1"), "-1");
    ck_assert_str_eq(normal("retention.ms", true, "7d"), "604800000");
    ck_assert_str_eq(normal("retention.ms", true, "90S"), "90000");
    ck_assert_str_eq(normal("retention.ms", true, "15ms"), "15");
    ck_assert_str_eq(normal("retention.ms", true, "-1"), "-1");
    ck_assert_str_eq(normal("log.retention.hours", false, "30d"), "720");
    ck_assert_str_eq(normal("log.retention.minutes", false, "2h"), "120");
    ck_assert_str_eq(normal("log.retention.hours", false, "90m"), "!");
}
END_TEST

START_TEST(bad_values_are_refused)
{
    static const char *const bad[][2] = {
        {"segment.bytes", ""},
        {"segment.bytes", "x"},
        {"segment.bytes", "1X"},
        {"segment.bytes", "13"},
        {"segment.bytes", "2G"},
        {"retention.bytes", "9223372036854775808"},
        {"retention.bytes", "9000000T"},
        {"retention.bytes", "-2"},
        {"retention.ms", "1w"},
        {"retention.ms", "1 d"},
        {"min.insync.replicas", "1K"},
        {"min.insync.replicas", "0"},
        {"preallocate", "yes"},
        {"cleanup.policy", "delete,shred"},
        {"cleanup.policy", ""},
        {"cleanup.policy", "delete,"},
        {"durability", "none"},
        {"min.cleanable.dirty.ratio", "1.5"},
        {"min.cleanable.dirty.ratio", "nan"},
        {"min.cleanable.dirty.ratio", "0.5x"},
        {"message.format.version", "a\nb"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(strcmp(normal(bad[i][0], true, bad[i][1]), "!") == 0, "%s=%s", bad[i][0],
                      bad[i][1]);
    ck_assert_str_eq(normal("retention.bytes", true, "9223372036854775807"), "9223372036854775807");
}
END_TEST

START_TEST(choices_take_the_spelling_of_the_table)
{
    ck_assert_str_eq(normal("cleanup.policy", true, "COMPACT, delete"), "delete,compact");
    ck_assert_str_eq(normal("message.timestamp.type", true, "logappendtime"), "LogAppendTime");
    ck_assert_str_eq(normal("preallocate", true, "TRUE"), "true");
    ck_assert_str_eq(normal("compression.type", true, "Zstd"), "zstd");
    ck_assert_str_eq(normal("min.cleanable.dirty.ratio", true, "0.250"), "0.25");
    ck_assert_str_eq(normal("log.cleaner.io.max.bytes.per.second", false, "1.7976931348623157E308"),
                     "1.7976931348623157e+308"); /* Kafka's own file says so */
}
END_TEST

START_TEST(values_too_long_or_with_zero_bytes)
{
    char longest[CONFIG_VALUE_MAX + 2];
    struct buf out CLEANUP(buf_deinit) = {0};
    const struct config_row *row = config_row_find("log.dirs", false);
    memset(longest, 'x', sizeof longest);
    int r = config_normalise(row, slice_of(longest, CONFIG_VALUE_MAX + 1), &out, message);
    ck_assert_int_eq(r, CONFIG_BAD);
    r = config_normalise(row, slice_of("a\0b", 3), &out, message);
    ck_assert_int_eq(r, CONFIG_BAD);
    r = config_normalise(row, slice_of(longest, CONFIG_VALUE_MAX), &out, message);
    ck_assert_int_eq(r, 0);
    ck_assert_uint_eq(out.size, CONFIG_VALUE_MAX);
}
END_TEST

START_TEST(unknown_keys_name_the_nearest)
{
    struct config *c = config_new();
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "num.partitons", "3"), CONFIG_UNKNOWN);
    ck_assert_str_eq(message, "unknown key \"num.partitons\" (did you mean \"num.partitions\"?)");
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "nothing.like.this", "3"), CONFIG_UNKNOWN);
    ck_assert_str_eq(message, "unknown key \"nothing.like.this\"");
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "", "3"), CONFIG_UNKNOWN);
    ck_assert_str_eq(config_nearest("retention.m", true), "retention.ms");
    ck_assert_ptr_null(config_nearest("zzzzzzzzzz", true));
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "ssl.keystore.location", "x"), CONFIG_DENIED);
    ck_assert_str_eq(message, "key \"ssl.keystore.location\" cannot be set: there is no TLS yet");
    char big[300];
    memset(big, 'k', sizeof big);
    int r = config_set(c, CONFIG_FROM_FILE, slice_of(big, sizeof big), slice_str("1"), message);
    ck_assert_int_eq(r, CONFIG_UNKNOWN);
    config_free(c);
}
END_TEST

START_TEST(origins_win_in_order)
{
    struct config *c = config_new();
    enum config_origin from;
    ck_assert_int_eq(config_i64(c, CONFIG_NUM_PARTITIONS), 1);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "num.partitions", "4"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "num.partitions", "2"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_ENV, "num.partitions", "3"), 0);
    ck_assert_str_eq(config_get(c, "num.partitions", &from), "4");
    ck_assert_int_eq(from, CONFIG_FROM_FLAG);
    ck_assert_int_eq(set(c, CONFIG_FROM_DYNAMIC, "num.partitions", "5"), 0);
    ck_assert_int_eq(config_i64(c, CONFIG_NUM_PARTITIONS), 5);
    ck_assert_int_eq(config_unset(c, CONFIG_FROM_DYNAMIC, slice_str("num.partitions")), 0);
    ck_assert_int_eq(config_i64(c, CONFIG_NUM_PARTITIONS), 4);
    ck_assert_int_eq(config_unset(c, CONFIG_FROM_DYNAMIC, slice_str("num.nothing")),
                     CONFIG_UNKNOWN);
    ck_assert_int_eq(set(c, CONFIG_FROM_DYNAMIC, "node.id", "5"), CONFIG_READONLY);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "num.partitions", "0"), CONFIG_BAD);
    ck_assert_int_eq(config_i64(c, CONFIG_NUM_PARTITIONS), 4);
    ck_assert_ptr_null(config_get(c, "num.nothing", &from));
    ck_assert(config_bool(c, CONFIG_AUTO_CREATE_TOPICS));
    config_free(c);
}
END_TEST

START_TEST(coarser_spellings)
{
    struct config *c = config_new();
    struct config_topic none = {0};
    enum config_origin from;
    ck_assert_str_eq(config_get(c, "log.retention.ms", &from), "604800000");
    ck_assert_int_eq(from, CONFIG_FROM_DEFAULT);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.retention.hours", "720"), 0);
    ck_assert_int_eq(config_topic_i64(c, &none, CONFIG_RETENTION_MS), INT64_C(720) * 3600000);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.retention.minutes", "10"), 0);
    ck_assert_int_eq(config_topic_i64(c, &none, CONFIG_RETENTION_MS), 600000);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.retention.ms", "5"), 0);
    ck_assert_int_eq(config_topic_i64(c, &none, CONFIG_RETENTION_MS), 5);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "log.retention.hours", "-1"), 0);
    ck_assert_str_eq(config_get(c, "log.retention.ms", &from), "-1");
    ck_assert_int_eq(from, CONFIG_FROM_FLAG);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "broker.id", "7"), 0);
    ck_assert_int_eq(config_i64(c, CONFIG_NODE_ID), 7);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.dir", "/a b"), 0);
    ck_assert_str_eq(config_get(c, "log.dirs", NULL), "/a b");
    config_free(c);
}
END_TEST

static unsigned bad_lines[8];
static size_t bad_count;

static void bad(void *ctx, unsigned line, const char *text)
{
    ck_assert_ptr_eq(ctx, bad_lines);
    ck_assert_str_ne(text, "");
    if (bad_count < 8)
        bad_lines[bad_count] = line;
    bad_count++;
}

START_TEST(file_reports_every_bad_line)
{
    static const char text[] = "# comment\n"
                               "\n"
                               "num.partitions = 6   # behind a value\r\n"
                               "! also a comment\n"
                               "this is no pair\n"
                               "log.retention.hours=abc\n"
                               "listeners = NANO://tcp://127.0.0.1:7092#x\n"
                               "nmu.partitions = 3\n"
                               "log.dirs = /var/lib/kauri";
    struct config *c = config_new();
    bad_count = 0;
    ck_assert_int_eq(config_parse(c, slice_str(text), bad, bad_lines), 3);
    ck_assert_uint_eq(bad_count, 3);
    ck_assert_uint_eq(bad_lines[0], 5);
    ck_assert_uint_eq(bad_lines[1], 6);
    ck_assert_uint_eq(bad_lines[2], 8);
    ck_assert_int_eq(config_i64(c, CONFIG_NUM_PARTITIONS), 6);
    ck_assert_str_eq(config_get(c, "log.dirs", NULL), "/var/lib/kauri");
    ck_assert_str_eq(config_get(c, "listeners", NULL), "NANO://tcp://127.0.0.1:7092#x");
    ck_assert_int_eq(config_parse(c, slice_str(""), bad, bad_lines), 0);
    config_free(c);
}
END_TEST

START_TEST(environment_sets_keys)
{
    static char hours[] = "KAURI_LOG_RETENTION_HOURS=1";
    static char server[] = "KAURI_SERVER=ipc:///x";
    static char unknown[] = "KAURI_NO_SUCH_THING=1";
    static char other[] = "PATH=/bin";
    static char nameless[] = "KAURI_=1";
    char *const env[] = {hours, server, unknown, other, nameless, NULL};
    struct config *c = config_new();
    enum config_origin from;
    bad_count = 0;
    ck_assert_int_eq(config_environ(c, env, bad, bad_lines), 2);
    ck_assert_uint_eq(bad_count, 2);
    ck_assert_uint_eq(bad_lines[0], 0);
    ck_assert_str_eq(config_get(c, "log.retention.ms", &from), "3600000");
    ck_assert_int_eq(from, CONFIG_FROM_ENV);
    config_free(c);
}
END_TEST

START_TEST(topic_overrides)
{
    struct config *c = config_new();
    struct config_topic t = {0};
    struct config_topic copy = {0};
    const char *key, *value, *source;
    ck_assert_int_eq(topic_set(&t, "segment.bytes", "64K"), 0);
    ck_assert_int_eq(topic_set(&t, "cleanup.policy", "compact"), 0);
    ck_assert_int_eq(topic_set(&t, "retention.ms", "1h"), 0);
    ck_assert_int_eq(topic_set(&t, "segment.bytes", "32K"), 0);
    ck_assert_uint_eq(t.count, 3);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_SEGMENT_BYTES), 32768);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_CLEANUP_POLICY), CONFIG_CLEANUP_COMPACT);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_DURABILITY), CONFIG_DURABILITY_SYNC);
    ck_assert(config_topic_at(&t, 0, &key, &value));
    ck_assert_str_eq(key, "cleanup.policy");
    ck_assert(config_topic_at(&t, 1, &key, &value));
    ck_assert_str_eq(value, "3600000");
    ck_assert(!config_topic_at(&t, 3, &key, &value));
    config_topic_copy(&copy, &t);
    ck_assert_int_eq(topic_set(&t, "retention.ms", NULL), 0);
    ck_assert_int_eq(topic_set(&t, "flush.ms", NULL), 0);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_RETENTION_MS), 604800000);
    ck_assert_int_eq(config_topic_i64(c, &copy, CONFIG_RETENTION_MS), 3600000);
    ck_assert_int_eq(set(c, CONFIG_FROM_DYNAMIC, "log.retention.ms", "9"), 0);
    const struct config_row *row = config_row_find("retention.ms", true);
    ck_assert_str_eq(config_topic_text(c, &t, row, &source), "9");
    ck_assert_str_eq(source, "broker");
    ck_assert_str_eq(config_topic_text(c, &copy, row, &source), "3600000");
    ck_assert_str_eq(source, "topic");
    ck_assert_int_eq(topic_set(&t, "segment.bytes", NULL), 0);
    ck_assert_int_eq(topic_set(&t, "cleanup.policy", NULL), 0);
    ck_assert_uint_eq(t.count, 0);
    ck_assert_ptr_null(t.v);
    config_topic_deinit(&copy);
    config_topic_deinit(&t);
    config_free(c);
}
END_TEST

START_TEST(topic_pairs_and_denials)
{
    struct config_topic t = {0};
    ck_assert_int_eq(topic_set(&t, "min.compaction.lag.ms", "10"), 0);
    ck_assert_int_eq(topic_set(&t, "max.compaction.lag.ms", "9"), CONFIG_BAD);
    ck_assert_int_eq(topic_set(&t, "max.compaction.lag.ms", "10"), 0);
    ck_assert_int_eq(topic_set(&t, "min.compaction.lag.ms", "11"), CONFIG_BAD);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_int_eq(topic_set(&t, "remote.storage.enable", "true"), CONFIG_DENIED);
    ck_assert_int_eq(topic_set(&t, "remote.storage.enable", "false"), 0);
    ck_assert_int_eq(topic_set(&t, "log.retention.ms", "1"), CONFIG_UNKNOWN);
    config_topic_deinit(&t);
}
END_TEST

struct reload {
    unsigned bad;
    unsigned left;
};

static void reload_bad(void *ctx, unsigned line, const char *text)
{
    struct reload *r = ctx;
    ck_assert(line > 0 && text[0] != '\0');
    r->bad++;
}

static void reload_left(void *ctx, const char *key)
{
    struct reload *r = ctx;
    ck_assert_str_eq(key, "node.id");
    r->left++;
}

static void foreign_warn(void *ctx, unsigned line, const char *text)
{
    struct reload *r = ctx;
    ck_assert(line > 0 && text[0] != '\0');
    r->left++;
}

/* A file of Kafka's: what is not known or cannot be honoured is told and passed over. */
START_TEST(a_file_of_kafka)
{
    struct config *c = config_new();
    struct reload r = {0};
    const char *text = "process.roles=broker,controller\nnode.id=7\nnum.network.thraeds=3\n"
                       "log.dirs=/x\nlog.retention.hours=168\n";
    ck_assert_int_eq(config_parse_foreign(c, slice_str(text), reload_bad, foreign_warn, &r), 0);
    ck_assert_uint_eq(r.left, 2);
    ck_assert_int_eq(config_i64(c, CONFIG_NODE_ID), 7);
    ck_assert_int_eq(
        config_parse_foreign(c, slice_str("node.id=many\n"), reload_bad, foreign_warn, &r), 1);
    ck_assert_uint_eq(r.bad, 1);
    config_free(c);
}
END_TEST

/* What the file says anew is in force, but for keys that need a restart and what flags say. */
START_TEST(the_file_is_read_again)
{
    struct config *c = config_new();
    struct reload r = {0};
    const char *first = "log.retention.ms = 1h\nlog.segment.bytes = 1M\nnode.id = 1\n"
                        "log.flush.interval.ms = 7\n";
    const char *second = "log.retention.ms = 2h\nnode.id = 2\nlog.flush.interval.ms = 9\n";
    ck_assert_int_eq(config_parse(c, slice_str(first), reload_bad, &r), 0);
    ck_assert_int_eq(config_set(c, CONFIG_FROM_FLAG, slice_str("log.flush.interval.ms"),
                                slice_str("8"), message),
                     0);
    ck_assert_int_eq(config_reload(c, slice_str("nonsense\n"), reload_bad, reload_left, &r), 1);
    ck_assert_uint_eq(r.bad, 1);
    ck_assert_str_eq(config_get(c, "log.retention.ms", NULL), "3600000");
    ck_assert_int_eq(config_reload(c, slice_str(second), reload_bad, reload_left, &r), 0);
    ck_assert_str_eq(config_get(c, "log.retention.ms", NULL), "7200000");
    ck_assert_str_eq(config_get(c, "log.segment.bytes", NULL), "1073741824");
    ck_assert_int_eq(config_i64(c, CONFIG_NODE_ID), 1);
    ck_assert_int_eq(config_i64(c, CONFIG_FLUSH_INTERVAL_MS), 8);
    ck_assert_uint_eq(r.left, 1);
    config_free(c);
}
END_TEST

START_TEST(engine_keys_have_the_documented_numbers)
{
    struct config *c = config_new();
    struct config_topic t = {0};
    static const struct {
        enum config_topic_key key;
        int64_t number;
    } rows[CONFIG_TOPIC_KEY_COUNT] = {
        {CONFIG_CLEANUP_POLICY, CONFIG_CLEANUP_DELETE},
        {CONFIG_COMPRESSION_TYPE, CONFIG_COMPRESSION_PRODUCER},
        {CONFIG_DURABILITY, CONFIG_DURABILITY_SYNC},
        {CONFIG_INDEX_INTERVAL_BYTES, 4096},
        {CONFIG_MAX_MESSAGE_BYTES, 1048588},
        {CONFIG_MESSAGE_TIMESTAMP_TYPE, CONFIG_TIME_CREATE},
        {CONFIG_TIMESTAMP_BEFORE_MAX_MS, INT64_MAX},
        {CONFIG_TIMESTAMP_AFTER_MAX_MS, INT64_MAX},
        {CONFIG_MIN_INSYNC_REPLICAS, 1},
        {CONFIG_RETENTION_BYTES, -1},
        {CONFIG_RETENTION_MS, 604800000},
        {CONFIG_SEGMENT_BYTES, 1073741824},
        {CONFIG_SEGMENT_MS, 604800000},
        {CONFIG_DELETE_DELAY_MS, 0},
        {CONFIG_DELETE_RETENTION_MS, 86400000},
        {CONFIG_MAX_COMPACTION_LAG_MS, INT64_MAX},
        {CONFIG_MIN_CLEANABLE_RATIO, 0}, /* a double: below */
        {CONFIG_MIN_COMPACTION_LAG_MS, 0},
        {CONFIG_FLUSH_MS, INT64_MAX},
    };
    for (size_t i = 0; i < CONFIG_TOPIC_KEY_COUNT; i++)
        ck_assert_int_eq(config_topic_i64(c, &t, rows[i].key), rows[i].number);
    ck_assert(config_topic_double(c, &t, CONFIG_MIN_CLEANABLE_RATIO) == 0.5);
    ck_assert_int_eq(topic_set(&t, "min.cleanable.dirty.ratio", "0.1"), 0);
    ck_assert(config_topic_double(c, &t, CONFIG_MIN_CLEANABLE_RATIO) == 0.1);
    ck_assert(config_double(c, CONFIG_CLEANER_RATE) == DBL_MAX);
    ck_assert_int_eq(topic_set(&t, "compression.type", "zstd"), 0);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_COMPRESSION_TYPE), CONFIG_COMPRESSION_NONE + 4);
    ck_assert_int_eq(topic_set(&t, "message.timestamp.type", "LogAppendTime"), 0);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_MESSAGE_TIMESTAMP_TYPE), CONFIG_TIME_APPEND);
    ck_assert_int_eq(topic_set(&t, "durability", "os"), 0);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_DURABILITY), CONFIG_DURABILITY_OS);
    ck_assert_int_eq(topic_set(&t, "cleanup.policy", "compact,delete"), 0);
    ck_assert_int_eq(config_topic_i64(c, &t, CONFIG_CLEANUP_POLICY), 3);
    config_topic_deinit(&t);
    config_free(c);
}
END_TEST

static void expect_step(const struct config_step *s, const char *name, const char *value,
                        enum config_origin from)
{
    ck_assert_str_eq(s->name, name);
    ck_assert_str_eq(s->value, value);
    ck_assert_int_eq(s->from, from);
}

START_TEST(steps_of_a_family)
{
    struct config_step s[CONFIG_STEPS_MAX];
    struct config *c = config_new();
    const struct config_row *head = config_row_find("log.retention.ms", false);
    const struct config_row *topic = config_row_find("retention.ms", true);
    ck_assert_uint_eq(config_steps(c, head, s), 1);
    expect_step(&s[0], "log.retention.hours", "168", CONFIG_FROM_DEFAULT);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.retention.ms", "5"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "log.retention.hours", "1"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "log.retention.minutes", "30"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_ENV, "log.retention.ms", "6"), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(config_steps(c, i == 0 ? head : topic, s), 5);
        expect_step(&s[0], "log.retention.minutes", "30", CONFIG_FROM_FLAG);
        expect_step(&s[1], "log.retention.hours", "1", CONFIG_FROM_FLAG);
        expect_step(&s[2], "log.retention.ms", "6", CONFIG_FROM_ENV);
        expect_step(&s[3], "log.retention.ms", "5", CONFIG_FROM_FILE);
        expect_step(&s[4], "log.retention.hours", "168", CONFIG_FROM_DEFAULT);
    }
    ck_assert_int_eq(set(c, CONFIG_FROM_DYNAMIC, "log.retention.ms", "7"), 0);
    ck_assert_uint_eq(config_steps(c, head, s), 6);
    expect_step(&s[0], "log.retention.ms", "7", CONFIG_FROM_DYNAMIC);
    ck_assert_int_eq(set(c, CONFIG_FROM_FILE, "log.dir", "/d"), 0);
    ck_assert_int_eq(set(c, CONFIG_FROM_FLAG, "log.dirs", ""), 0); /* says nothing */
    ck_assert_uint_eq(config_steps(c, config_row_find("log.dirs", false), s), 1);
    expect_step(&s[0], "log.dir", "/d", CONFIG_FROM_FILE);
    config_free(c);
}
END_TEST

/* All that can be set at once still fits, and the first step is the one in force. */
START_TEST(steps_of_everything)
{
    struct config_step s[CONFIG_STEPS_MAX];
    struct config *c = config_new();
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    static const char *const family[] = {"log.retention.ms", "log.retention.minutes",
                                         "log.retention.hours"};
    for (size_t i = 0; i < 3; i++)
        for (int from = CONFIG_FROM_FILE; from <= CONFIG_FROM_FLAG; from++)
            ck_assert_int_eq(set(c, (enum config_origin)from, family[i], "9"), 0);
    ck_assert_uint_eq(config_steps(c, config_row_find("retention.ms", true), s), 10);
    for (size_t i = 0; i < count; i++) {
        enum config_origin from = CONFIG_FROM_DEFAULT;
        size_t steps = config_steps(c, &rows[i], s);
        ck_assert_uint_lt(steps, CONFIG_STEPS_MAX);
        if (rows[i].topic)
            continue;
        const char *value = config_get(c, rows[i].name, &from);
        ck_assert(steps > 0 || (value[0] == '\0' && from == CONFIG_FROM_DEFAULT));
        ck_assert(steps == 0 || s[0].from == from);
    }
    config_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_test(t, table_is_sorted_and_sound);
    tcase_add_test(t, every_preset_is_its_own_normal_form);
    tcase_add_test(t, topic_defaults_agree_with_the_broker);
    tcase_add_test(t, sizes_and_durations);
    tcase_add_test(t, bad_values_are_refused);
    tcase_add_test(t, choices_take_the_spelling_of_the_table);
    tcase_add_test(t, values_too_long_or_with_zero_bytes);
    tcase_add_test(t, unknown_keys_name_the_nearest);
    tcase_add_test(t, origins_win_in_order);
    tcase_add_test(t, coarser_spellings);
    tcase_add_test(t, file_reports_every_bad_line);
    tcase_add_test(t, a_file_of_kafka);
    tcase_add_test(t, the_file_is_read_again);
    tcase_add_test(t, environment_sets_keys);
    tcase_add_test(t, topic_overrides);
    tcase_add_test(t, topic_pairs_and_denials);
    tcase_add_test(t, engine_keys_have_the_documented_numbers);
    tcase_add_test(t, steps_of_a_family);
    tcase_add_test(t, steps_of_everything);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
