/* SPDX-License-Identifier: MIT
 *
 * test_kafka_e2e: the program itself, started as the tools it carries, against librdkafka's mock
 * cluster: what goes in at the producer comes out at the consumer, with Apache's texts and exit
 * codes. The program's path is the test's argument.
 */
#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 8192

static const char *program;
static rd_kafka_t *rk;
static rd_kafka_mock_cluster_t *mock;
static const char *servers;

static char out[TEXT_MAX];
static char err[TEXT_MAX];

static void start(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_msg(rk != NULL, "%s", why);
    mock = rd_kafka_mock_cluster_new(rk, 1);
    ck_assert_ptr_nonnull(mock);
    servers = rd_kafka_mock_cluster_bootstraps(mock);
}

static void stop(void)
{
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(rk);
}

static FILE *file(const char *text)
{
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    rewind(f);
    return f;
}

static void slurp(FILE *f, char text[TEXT_MAX])
{
    rewind(f);
    text[fread(text, 1, TEXT_MAX - 1, f)] = '\0';
    (void)fclose(f);
}

extern char **environ;

/* Runs "TOOL OPTION...", words separated by single blanks, $B being the broker; fills out and err
 * and returns the exit code. */
static int run(const char *line, const char *in)
{
    char words[1024];
    char *argv[64];
    char address[128];
    int argc = 0;
    int status = 0;
    pid_t pid;
    FILE *files[] = {file(in), file(""), file("")};
    posix_spawn_file_actions_t actions;
    (void)snprintf(words, sizeof words, "%s", line);
    (void)snprintf(address, sizeof address, "--bootstrap-server=%s", servers);
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL && argc < 63; word = strsep(&rest, " "))
        argv[argc++] = strcmp(word, "$B") == 0 ? address : word;
    argv[argc] = NULL;
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, fileno(files[i]), i), 0);
    ck_assert_int_eq(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    (void)fclose(files[0]);
    slurp(files[1], out);
    slurp(files[2], err);
    ck_assert_msg(WIFEXITED(status), "%s: ended by a signal: %s", line, err);
    return WEXITSTATUS(status);
}

static void has(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "no \"%s\" in: %s", what, text);
}

START_TEST(topics_listed_and_described)
{
    start();
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "user-events", 2, 1), 0);
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "b", 1, 1), 0);
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "__consumer_offsets", 1, 1), 0);
    ck_assert_int_eq(run("kafka-topics.sh $B --list", ""), 0);
    ck_assert_str_eq(out, "__consumer_offsets\nb\nuser-events\n");
    ck_assert_int_eq(run("kafka-topics $B --list --exclude-internal", ""), 0);
    ck_assert_str_eq(out, "b\nuser-events\n");
    ck_assert_int_eq(run("kauri-kafka kafka-topics $B --list --topic nope", ""), 0);
    ck_assert_str_eq(out, "\n");
    /* The mock has no DescribeConfigs: the line goes without. */
    ck_assert_int_eq(run("kafka-topics $B --describe --topic user.*", ""), 0);
    ck_assert_str_eq(out,
                     "Topic: user-events\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: \n"
                     "\tTopic: user-events\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: "
                     "N/A\tLastKnownElr: N/A\n"
                     "\tTopic: user-events\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: "
                     "N/A\tLastKnownElr: N/A\n");
    stop();
}
END_TEST

START_TEST(topics_refused)
{
    start();
    ck_assert_int_eq(run("kafka-topics $B --describe --topic nope", ""), 1);
    ck_assert_str_eq(out, "Error while executing topic command : Topic 'Optional[nope]' does not "
                          "exist as expected\n");
    has(err, "] ERROR java.lang.IllegalArgumentException: Topic 'Optional[nope]' does not exist as "
             "expected\n (org.apache.kafka.tools.TopicCommand)\n");
    ck_assert_int_eq(run("kafka-topics $B --delete --topic nope --if-exists", ""), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(run("kafka-topics $B --alter --topic nope --partitions 2", ""), 1);
    ck_assert_int_eq(run("kafka-topics $B --nope", ""), 1);
    ck_assert_str_eq(err, "nope is not a recognized option\n"
                          "joptsimple.UnrecognizedOptionException: nope is not a recognized "
                          "option\n");
    ck_assert_int_eq(run("kafka-topics --help", ""), 1);
    has(err, "This tool helps to create, delete, describe, or change a topic.\nOption ");
    ck_assert_int_eq(run("kafka-topics --version", ""), 0);
    stop();
}
END_TEST

START_TEST(nobody_answers)
{
    char line[256];
    FILE *settings = file("default.api.timeout.ms=1500\n");
    start();
    (void)snprintf(line, sizeof line,
                   "kafka-topics --bootstrap-server localhost:1 --list --command-config "
                   "/proc/%d/fd/%d",
                   (int)getpid(), fileno(settings));
    ck_assert_int_eq(run(line, ""), 1);
    ck_assert_str_eq(out, "Error while executing topic command : Timed out waiting for a node "
                          "assignment. Call: listTopics\n");
    has(err, "ERROR org.apache.kafka.common.errors.TimeoutException: ");
    has(err, "Connection refused");
    /* The mock has no controller, which creates topics. */
    (void)snprintf(line, sizeof line,
                   "kafka-topics $B --create --topic a.b --command-config /proc/%d/fd/%d",
                   (int)getpid(), fileno(settings));
    ck_assert_int_eq(run(line, ""), 1);
    ck_assert_str_eq(out, "WARNING: Due to limitations in metric names, topics with a period ('.') "
                          "or underscore ('_') could collide. To avoid issues it is best to use "
                          "either, but not both.\nError while executing topic command : Timed out "
                          "waiting for a node assignment. Call: createTopics\n");
    (void)fclose(settings);
    stop();
}
END_TEST

START_TEST(produced_is_consumed)
{
    start();
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "t", 1, 1), 0);
    ck_assert_int_eq(run("kafka-console-producer.sh $B --topic t", "one\r\ntwo\n\nlast"), 0);
    ck_assert_str_eq(out, "");
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(
        run("kafka-console-producer $B --topic t --sync --compression-codec --property "
            "parse.key=true --property key.separator=: --property parse.headers=true "
            "--property headers.key.separator==",
            "a=1,b=2\tk:v\n"),
        0);
    ck_assert_int_eq(run("kafka-console-consumer.sh $B --topic t --from-beginning --max-messages 5 "
                         "--property print.key=true --property print.headers=true --property "
                         "print.offset=true --property print.partition=true",
                         ""),
                     0);
    ck_assert_str_eq(out, "Partition:0\tOffset:0\tNO_HEADERS\tnull\tone\n"
                          "Partition:0\tOffset:1\tNO_HEADERS\tnull\ttwo\n"
                          "Partition:0\tOffset:2\tNO_HEADERS\tnull\t\n"
                          "Partition:0\tOffset:3\tNO_HEADERS\tnull\tlast\n"
                          "Partition:0\tOffset:4\ta:1,b:2\tk\tv\n");
    ck_assert_str_eq(err, "Processed a total of 5 messages\n");
    ck_assert_int_eq(
        run("kafka-console-consumer $B --topic t --partition 0 --offset 3 --max-messages 1", ""),
        0);
    ck_assert_str_eq(out, "last\n");
    ck_assert_int_eq(run("kafka-console-consumer $B --include t|u --timeout-ms 1000 --property "
                         "print.value=false --from-beginning --enable-systest-events",
                         ""),
                     0);
    ck_assert_str_eq(out, "shutdown_complete\n");
    has(err, "] ERROR Error processing message, terminating consumer process:  "
             "(org.apache.kafka.tools.consumer.ConsoleConsumer)\n"
             "org.apache.kafka.common.errors.TimeoutException\nProcessed a total of 5 messages\n");
    stop();
}
END_TEST

START_TEST(all_partitions_without_a_group)
{
    start();
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "t", 4, 1), 0);
    /* Whoever asks for a coordinator (FindCoordinator is call 10) hears that there is none. */
    for (size_t i = 0; i < 8; i++)
        rd_kafka_mock_broker_push_request_error_rtts(
            mock, 1, 10, 1, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 0);
    ck_assert_int_eq(run("kafka-console-producer $B --topic t --property parse.key=true --property "
                         "key.separator=:",
                         "a:1\nb:2\nc:3\nd:4\ne:5\nf:6\n"),
                     0);
    ck_assert_int_eq(
        run("kafka-console-consumer $B --topic t --from-beginning --max-messages 6", ""), 0);
    for (const char *c = "123456"; *c != '\0'; c++)
        ck_assert_ptr_nonnull(strchr(out, *c));
    size_t left = 0;
    ck_assert_int_eq(rd_kafka_mock_broker_error_stack_cnt(mock, 1, 10, &left), 0);
    ck_assert_uint_eq(left, 8);
    stop();
}
END_TEST

START_TEST(a_group_goes_on_where_it_was)
{
    start();
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "t", 1, 1), 0);
    ck_assert_int_eq(run("kafka-console-producer $B --topic t", "one\ntwo\nthree\n"), 0);
    ck_assert_int_eq(run("kafka-console-consumer $B --topic t --group g --from-beginning "
                         "--max-messages 2 --consumer-property session.timeout.ms=3000",
                         ""),
                     0);
    ck_assert_str_eq(out, "one\ntwo\n");
    /* The mock forgets a member that left only when its session is over. */
    ck_assert_int_eq(run("kafka-console-consumer $B --topic t --consumer-property group.id=g "
                         "--from-beginning --max-messages 1",
                         ""),
                     0);
    ck_assert_str_eq(out, "three\n");
    stop();
}
END_TEST

/* The next Produce, which is call 0, is refused. */
static void refuse_produce(void)
{
    rd_kafka_mock_push_request_errors(mock, 0, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
}

START_TEST(producer_failures)
{
    start();
    ck_assert_int_eq(rd_kafka_mock_topic_create(mock, "t", 1, 1), 0);
    refuse_produce();
    ck_assert_int_eq(run("kafka-console-producer $B --topic t", "one\n"), 0);
    has(err, "] ERROR Error when sending message to topic t with key: null, value: 3 bytes with "
             "error: (org.apache.kafka.clients.producer.internals.ErrorLoggingCallback)\n"
             "org.apache.kafka.common.errors.TopicAuthorizationException: ");
    refuse_produce();
    ck_assert_int_eq(run("kafka-console-producer $B --topic t --sync", "one\ntwo\n"), 1);
    has(err, "java.util.concurrent.ExecutionException: "
             "org.apache.kafka.common.errors.TopicAuthorizationException: ");
    ck_assert_int_eq(run("kafka-console-producer $B --topic t --property parse.key=true", "one\n"),
                     1);
    ck_assert_str_eq(err, "org.apache.kafka.common.KafkaException: No key separator found on line "
                          "number 1: 'one'\n");
    ck_assert_int_eq(run("kafka-console-producer $B --topic t --compression-codec nope", ""), 1);
    ck_assert_str_eq(err, "org.apache.kafka.common.config.ConfigException: Invalid value nope for "
                          "configuration compression.type: String must be one of: none, gzip, "
                          "snappy, lz4, zstd\n");
    ck_assert_int_eq(run("kafka-console-producer $B --topic t --batch-size x", ""), 1);
    ck_assert_str_eq(err, "Cannot parse argument 'x' of option batch-size\n");
    ck_assert_int_eq(run("kafka-console-producer --topic t", ""), 1);
    has(err, "Missing required option(s) [bootstrap-server]\nOption ");
    ck_assert_int_eq(run("kafka-console-producer --topic t --broker-list h", ""), 1);
    has(err, "Please provide valid host:port like host1:9091,host2:9092\n \nOption ");
    stop();
}
END_TEST

START_TEST(consumer_refused)
{
    static const char *const bad[][2] = {
        {"$B", "Exactly one of --include/--topic is required. \nOption "},
        {"$B --topic t --include x", "Exactly one of --include/--topic is required. \nOption "},
        {"--topic t", "Missing required argument \"[bootstrap-server]\"\nOption "},
        {"$B --topic t --offset 1", "The partition is required when offset is specified.\nOption "},
        {"$B --topic t --partition 0 --offset -1",
         "The provided offset value '-1' is incorrect. Valid values are 'earliest', 'latest', or a "
         "non-negative long.\nOption "},
        {"$B --topic t --partition 0 --group g",
         "Options group and partition cannot be specified together.\nOption "},
        {"$B --include t --partition 0", "The topic is required when partition is specified.\n"},
        {"$B --topic t --group g --consumer-property group.id=h",
         "The group ids provided in different places (directly using '--group', via "
         "'--consumer-property', or via '--consumer.config') do not match. Detected group ids: "
         "'g', "
         "'h'\nOption "},
        {"$B --topic t --from-beginning --consumer-property auto.offset.reset=latest",
         "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please "
         "remove one option\n"},
        {"$B --topic t --formatter nope", "nope\nOption "},
        {"$B --topic t --isolation-level nope",
         "org.apache.kafka.common.config.ConfigException: Invalid value nope for configuration "
         "isolation.level: String must be one of: read_committed, read_uncommitted\n"},
        {"$B --topic t --max-messages x",
         "joptsimple.OptionArgumentConversionException: Cannot parse argument 'x' of option "
         "max-messages\n"},
    };
    start();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[256];
        (void)snprintf(line, sizeof line, "kafka-console-consumer %s", bad[i][0]);
        ck_assert_msg(run(line, "") == 1, "%s", line);
        has(err, bad[i][1]);
        ck_assert_str_eq(out, "");
    }
    stop();
}
END_TEST

START_TEST(unknown_tool)
{
    servers = "h:1";
    ck_assert_int_eq(run("kauri-kafka", ""), 1);
    has(err, "usage: kauri-kafka TOOL [OPTION...]\n");
    has(err, "  kafka-console-consumer ");
    ck_assert_int_eq(run("kauri-kafka kafka-nope --list", ""), 1);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return EXIT_FAILURE;
    program = argv[1];
    Suite *s = suite_create("cli/kafka_e2e");
    TCase *t = tcase_create("kafka_e2e");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, topics_listed_and_described);
    tcase_add_test(t, topics_refused);
    tcase_add_test(t, nobody_answers);
    tcase_add_test(t, produced_is_consumed);
    tcase_add_test(t, all_partitions_without_a_group);
    tcase_add_test(t, a_group_goes_on_where_it_was);
    tcase_add_test(t, producer_failures);
    tcase_add_test(t, consumer_refused);
    tcase_add_test(t, unknown_tool);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
