/* SPDX-License-Identifier: MIT
 *
 * test_kafka_topics: what kafka-topics takes and refuses, which topics an expression names, and the
 * lines of --describe; the expectations were taken from Apache's tool, 3.9.
 */
#include "cli/kafka/topics.h"

#include <check.h>
#include <stdlib.h>

static struct opts o;
static struct fault f;
static char words[512];
static char *argv[32];

static void parse(const char *line)
{
    int argc = 0;
    (void)snprintf(words, sizeof words, "kafka-topics %s", line);
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL && argc < 31; word = strsep(&rest, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    ck_assert_int_eq(opts_parse(topics_page(), argc, argv, &o, &f), 0);
}

/* `want` empty: no rule is broken. */
static void rule(const char *line, const char *want)
{
    struct buf broken = {0};
    parse(line);
    topics_rules(&o, &broken);
    ck_assert_msg(slice_equal(buf_slice(&broken), slice_str(want)), "%s: %.*s", line,
                  (int)broken.size, (const char *)broken.p);
    buf_deinit(&broken);
    opts_deinit(&o);
}

#define B "--bootstrap-server h:1 "

START_TEST(rules)
{
    static const char one[] = "Command must include exactly one action: --list, --describe, "
                              "--create, --alter or --delete";
    rule(B "--list", "");
    rule(B "--create --topic t --partitions 3 --replication-factor 1 --config a=b", "");
    rule(B "--alter --topic t --partitions 6 --if-exists", "");
    rule(B "--describe --unavailable-partitions --under-replicated-partitions", "");
    rule(B, one);
    rule(B "--list --describe", one);
    rule("--list", "--bootstrap-server must be specified");
    rule(B "--create", "Missing required argument \"[topic]\"");
    rule(B "--delete", "Missing required argument \"[topic]\"");
    rule(B "--alter --topic t", "Missing required argument \"[partitions]\"");
    rule(B "--describe --if-exists", "--topic or --topic-id is required to describe a topic");
    rule(B "--alter --topic t --partitions 2 --config a=b",
         "Option combination \"[[bootstrap-server], [config]]\" can't be used with option "
         "\"[alter]\" (the kafka-configs CLI supports altering topic configs with a "
         "--bootstrap-server option)");
    rule(B "--list --if-exists", "Option \"[if-exists]\" can't be used with option \"[list]\"");
    rule(B "--delete --topic t --if-not-exists",
         "Option \"[if-not-exists]\" can't be used with option \"[delete]\"");
    rule(B "--alter --topic t --partitions 2 --replication-factor 1",
         "Option \"[replication-factor]\" can't be used with option \"[alter]\"");
    rule(B "--create --topic t --partitions 2 --replica-assignment 1",
         "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"");
    rule(B "--describe --topics-with-overrides --unavailable-partitions",
         "Option \"[unavailable-partitions]\" can't be used with option "
         "\"[topics-with-overrides]\"");
    rule(B "--create --topic t --exclude-internal",
         "Option \"[exclude-internal]\" can't be used with option \"[create]\"");
}
END_TEST

static void plan_refused(const char *line, const char *exception, const char *text)
{
    struct topics_plan plan;
    parse(line);
    ck_assert_msg(topics_plan(&o, &plan, &f) == 1, "%s", line);
    ck_assert_str_eq(f.exception, exception);
    ck_assert_str_eq(f.text, text);
    opts_deinit(&o);
}

START_TEST(plans)
{
    struct topics_plan plan;
    static const char argument[] = "java.lang.IllegalArgumentException";
    parse("--create --topic t --partitions 3 --config a=1 --config b=x,y");
    ck_assert_int_eq(topics_plan(&o, &plan, &f), 0);
    ck_assert_str_eq(plan.topic, "t");
    ck_assert_int_eq(plan.partitions, 3);
    ck_assert_int_eq(plan.replication, -1);
    ck_assert_str_eq(props_get(&plan.configs, "a"), "1");
    ck_assert_str_eq(props_get(&plan.configs, "b"), "x,y");
    topics_plan_deinit(&plan);
    opts_deinit(&o);
    plan_refused("--create --topic t --partitions 0", argument,
                 "The partitions must be greater than 0");
    plan_refused("--create --topic t --partitions -1", argument,
                 "The partitions must be greater than 0");
    plan_refused("--create --topic t --replication-factor 0", argument,
                 "The replication factor must be between 1 and 32767 inclusive");
    plan_refused("--create --topic t --replication-factor 32768", argument,
                 "The replication factor must be between 1 and 32767 inclusive");
    plan_refused("--create --topic t --partitions x",
                 "joptsimple.OptionArgumentConversionException",
                 "Cannot parse argument 'x' of option partitions");
    static const char *const configs[] = {"a", "a=", "a=b=c"};
    for (size_t i = 0; i < 3; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "--create --topic t --config %s", configs[i]);
        plan_refused(line, argument,
                     "requirement failed: Invalid topic config: all configs to be added must be in "
                     "the format \"key=val\".");
    }
}
END_TEST

START_TEST(assignments)
{
    struct assignment a;
    ck_assert_int_eq(assignment_parse("1:2,2:1, 3 : 4 ", &a, &f), 0);
    ck_assert_uint_eq(a.partitions, 3);
    ck_assert_uint_eq(a.replicas, 2);
    static const int32_t want[] = {1, 2, 2, 1, 3, 4};
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(assignment_of(&a, i / 2)[i % 2], want[i]);
    assignment_deinit(&a);
    ck_assert_int_eq(assignment_parse("7", &a, &f), 0);
    ck_assert_uint_eq(a.partitions, 1);
    ck_assert_int_eq(assignment_of(&a, 0)[0], 7);
    assignment_deinit(&a);
    ck_assert_int_eq(assignment_parse("1:1", &a, &f), 1);
    ck_assert_str_eq(f.text, "Partition replica lists may not contain duplicate entries: 1");
    ck_assert_int_eq(assignment_parse("1:2,1", &a, &f), 1);
    ck_assert_str_eq(f.text, "Partition 1 has different replication factor: [1]");
    static const char *const bad[] = {"", "x", "1:", ",1", "1,,2", "-1", "4294967296", "1:2x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(assignment_parse(bad[i], &a, &f) == 1, "%s", bad[i]);
        ck_assert_str_eq(f.exception, "java.lang.NumberFormatException");
    }
}
END_TEST

static void matches(const char *regex, enum match_kind kind, const char *topic, bool want)
{
    struct match m = {0};
    ck_assert_msg(match_init(&m, regex, kind, &f) == 0, "%s", regex);
    ck_assert_msg(match_topic(&m, topic) == want, "%s on %s", regex, topic);
    match_deinit(&m);
}

START_TEST(expressions)
{
    matches("user-events", MATCH_LIST, "user-events", true);
    matches("user", MATCH_LIST, "user-events", false);
    matches("events", MATCH_LIST, "user-events", false);
    matches("user.*", MATCH_LIST, "user-events", true);
    matches(" a , b ", MATCH_LIST, "b", true);
    matches("\"a,b\"", MATCH_LIST, "a", true);
    matches("a,b", MATCH_JAVA, "a", false);
    matches("a|b", MATCH_JAVA, "b", true);
    matches("a|bc", MATCH_JAVA, "ac", false);
    matches("t\\.x", MATCH_LIST, "t.x", true);
    matches("t\\.x", MATCH_LIST, "t-x", false);
    matches("t-\\d+", MATCH_JAVA, "t-42", true);
    matches("t-\\d+", MATCH_JAVA, "t-d", false);
    matches("t-[\\d_]+", MATCH_JAVA, "t-4_2", true);
    matches("(?:a|b)\\w{2}", MATCH_JAVA, "b_9", true);
    static const char *const bad[] = {"[", "(", "(?i)a", "(?!a)b", "a\\"};
    struct match m = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        ck_assert_msg(match_init(&m, bad[i], MATCH_LIST, &f) == 1, "%s", bad[i]);
        (void)snprintf(text, sizeof text, "%s is an invalid regex.", bad[i]);
        ck_assert_str_eq(f.text, text);
    }
    ck_assert(match_internal("__consumer_offsets") && match_internal("__transaction_state"));
    ck_assert(!match_internal("__other"));
}
END_TEST

/* A topic of two partitions, listed in the wrong order, the second without its leader. */
static int32_t both[] = {1, 2};
static int32_t first[] = {1};
static char name[] = "user-events";
static struct rd_kafka_metadata_broker brokers[] = {{.id = 1}, {.id = 3}};
static struct rd_kafka_metadata_partition partitions[] = {
    {.id = 1, .leader = -1, .replica_cnt = 2, .replicas = both, .isr_cnt = 1, .isrs = first},
    {.id = 0, .leader = 1, .replica_cnt = 2, .replicas = both, .isr_cnt = 2, .isrs = both},
};
static struct rd_kafka_metadata_topic topics[] = {
    {.topic = name, .partition_cnt = 2, .partitions = partitions}};
static const struct rd_kafka_metadata cluster = {
    .broker_cnt = 2, .brokers = brokers, .topic_cnt = 1, .topics = topics};

#define LINE_HEAD "Topic: user-events\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: "
#define LINE_0                                                                                     \
    "\tTopic: user-events\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: "                \
    "N/A\tLastKnownElr: N/A\n"
#define LINE_1                                                                                     \
    "\tTopic: user-events\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 1\tElr: "               \
    "N/A\tLastKnownElr: N/A\n"

static void described(struct describe_filter filter, const char *text, int64_t min_isr,
                      const char *want)
{
    struct describe_configs configs = {.min_isr = min_isr};
    struct buf out = {0};
    buf_append(&configs.text, text, strlen(text));
    describe_topic(&filter, &cluster, topics, &configs, &out);
    buf_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.p, want);
    buf_deinit(&out);
    buf_deinit(&configs.text);
}

START_TEST(descriptions)
{
    described((struct describe_filter){0}, "", 1, LINE_HEAD "\n" LINE_0 LINE_1);
    described((struct describe_filter){0}, "segment.bytes=1048576,retention.ms=7", 1,
              LINE_HEAD "segment.bytes=1048576,retention.ms=7\n" LINE_0 LINE_1);
    described((struct describe_filter){.overrides = true}, "", 1, "");
    described((struct describe_filter){.overrides = true}, "a=b", 1, LINE_HEAD "a=b\n");
    described((struct describe_filter){.under_replicated = true}, "", 1, LINE_1);
    described((struct describe_filter){.unavailable = true}, "", 1, LINE_1);
    described((struct describe_filter){.under_min_isr = true}, "", 1, LINE_1);
    described((struct describe_filter){.under_min_isr = true}, "", 3, LINE_0 LINE_1);
    described((struct describe_filter){.at_min_isr = true}, "", 2, LINE_0);
    described((struct describe_filter){.at_min_isr = true}, "", 1, LINE_1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/kafka_topics");
    TCase *t = tcase_create("kafka_topics");
    tcase_add_test(t, rules);
    tcase_add_test(t, plans);
    tcase_add_test(t, assignments);
    tcase_add_test(t, expressions);
    tcase_add_test(t, descriptions);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
