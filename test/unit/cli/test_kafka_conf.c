/* SPDX-License-Identifier: MIT
 *
 * test_kafka_conf: properties files as Java reads them, and Java's settings under
 * librdkafka's names.
 */
#include "cli/kafka/conf.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static struct props p;
static struct fault f;
static rd_kafka_conf_t *conf;

START_TEST(key_value_words)
{
    props_word(&p, "a=1");
    props_word(&p, "b=x=y");
    props_word(&p, "c");
    props_word(&p, "a=2");
    ck_assert_uint_eq(p.count, 3);
    ck_assert_str_eq(props_get(&p, "a"), "2");
    ck_assert_str_eq(props_get(&p, "b"), "x=y");
    ck_assert_str_eq(props_get(&p, "c"), "");
    ck_assert_ptr_null(props_get(&p, "d"));
    ck_assert(!props_true(&p, "a") && !props_true(&p, "d"));
    props_set(&p, "e", " True ");
    props_set(&p, "g", "truer");
    ck_assert(props_true(&p, "e") && !props_true(&p, "g"));
    props_deinit(&p);
}
END_TEST

START_TEST(files)
{
    static const char text[] = "# a comment \\\n"
                               "! another\n"
                               "\n"
                               "  plain = value with blanks \r\n"
                               "colon:v\n"
                               "blank  v2\n"
                               "equals== two\n"
                               "joined=one,\\\n"
                               "    two,\\\r\n"
                               "\tthree\n"
                               "even=backslash\\\\\n"
                               "key\\ with\\:colon=x\n"
                               "escapes=\\t\\u00e9\\u20ac\\q\n"
                               "empty=\n"
                               "alone\n"
                               "last=end\\";
    static const char *const want[][2] = {
        {"plain", "value with blanks "},
        {"colon", "v"},
        {"blank", "v2"},
        {"equals", "= two"},
        {"joined", "one,two,three"},
        {"even", "backslash\\"},
        {"key with:colon", "x"},
        {"escapes", "\t\xc3\xa9\xe2\x82\xacq"},
        {"empty", ""},
        {"alone", ""},
        {"last", "end"},
    };
    props_read(&p, slice_of(text, sizeof text - 1));
    ck_assert_uint_eq(p.count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < p.count; i++) {
        ck_assert_str_eq(p.pairs[i].key, want[i][0]);
        ck_assert_str_eq(p.pairs[i].value, want[i][1]);
    }
    props_deinit(&p);
}
END_TEST

START_TEST(file_on_disk)
{
    char path[] = "/tmp/test_kafka_conf.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "a=1\n", 4), 4);
    ck_assert_int_eq(props_load(&p, path, &f), 0);
    ck_assert_str_eq(props_get(&p, "a"), "1");
    ck_assert_int_eq(ftruncate(fd, (off_t)PROPS_FILE_MAX + 1), 0);
    ck_assert_int_eq(props_load(&p, path, &f), 1);
    (void)close(fd);
    (void)unlink(path);
    ck_assert_int_eq(props_load(&p, path, &f), 1);
    ck_assert_str_eq(f.exception, "java.nio.file.NoSuchFileException");
    ck_assert_str_eq(f.text, path);
    ck_assert_int_eq(props_load(&p, "/", &f), 1);
    props_deinit(&p);
}
END_TEST

static void make(enum conf_kind kind, const char *const *words)
{
    props_word(&p, "bootstrap.servers=h:1");
    for (; *words != NULL; words++)
        props_word(&p, *words);
    ck_assert_msg(conf_new(&p, kind, &conf, &f) == 0, "%s", f.text);
}

static void is(const char *name, const char *want)
{
    char value[256];
    size_t size = sizeof value;
    ck_assert_int_eq(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    ck_assert_str_eq(value, want);
}

START_TEST(names)
{
    make(CONF_PRODUCER,
         (const char *const[]){"acks=all", "buffer.memory=2097152", "send.buffer.bytes=-1",
                               "batch.size=0", "request.timeout.ms=1500", "max.request.size=5000",
                               "metadata.max.age.ms=60000", "compression.type=zstd", "linger.ms=12",
                               "key.serializer=x.Y", NULL});
    is("bootstrap.servers", "h:1");
    is("acks", "-1");
    is("queue.buffering.max.kbytes", "2048");
    is("socket.send.buffer.bytes", "0");
    is("batch.size", "1");
    is("request.timeout.ms", "1500");
    is("message.max.bytes", "5000");
    is("topic.metadata.refresh.interval.ms", "60000");
    is("compression.type", "zstd");
    is("linger.ms", "12");
    rd_kafka_conf_destroy(conf);
    props_deinit(&p);
    make(CONF_CONSUMER,
         (const char *const[]){
             "fetch.max.wait.ms=77", "request.timeout.ms=9000", "auto.offset.reset=none",
             "isolation.level=read_uncommitted",
             "partition.assignment.strategy=org.apache.kafka.clients.consumer.RoundRobinAssignor",
             "ssl.endpoint.identification.algorithm=", "sasl.mechanism=SCRAM-SHA-256",
             "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
             "username=\"me\" password=\"a\\\"b\";",
             NULL});
    is("fetch.wait.max.ms", "77");
    is("socket.timeout.ms", "9000");
    is("auto.offset.reset", "error");
    is("partition.assignment.strategy", "roundrobin");
    is("ssl.endpoint.identification.algorithm", "none");
    is("sasl.username", "me");
    is("sasl.password", "a\"b");
    rd_kafka_conf_destroy(conf);
    props_deinit(&p);
}
END_TEST

START_TEST(unknown_is_only_warned_of)
{
    make(CONF_ADMIN, (const char *const[]){"nope.nope=1", "client.id=x", NULL});
    is("client.id", "x");
    rd_kafka_conf_destroy(conf);
    props_deinit(&p);
}
END_TEST

START_TEST(bad_values)
{
    static const char *const bad[][2] = {
        {"compression.type=nope", "Invalid value nope for configuration compression.type: String "
                                  "must be one of: none, gzip, snappy, lz4, zstd"},
        {"acks=7", "Invalid value 7 for configuration acks: String must be one of: all, -1, 0, 1"},
        {"acks=al", "Invalid value al for configuration acks: String must be one of: all, -1, 0, "
                    "1"},
        {"isolation.level=nope",
         "Invalid value nope for configuration isolation.level: String must "
         "be one of: read_committed, read_uncommitted"},
        {"buffer.memory=x", "Invalid value x for configuration buffer.memory: Not a number"},
        {"bootstrap.servers=localhost", "Invalid url in bootstrap.servers: localhost"},
        {"sasl.jaas.config=x required username=\"u\";", "no password in sasl.jaas.config"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        props_word(&p, "bootstrap.servers=h:1");
        props_word(&p, bad[i][0]);
        ck_assert_msg(conf_new(&p, CONF_PRODUCER, &conf, &f) == 1, "%s", bad[i][0]);
        ck_assert_str_eq(f.exception, "org.apache.kafka.common.config.ConfigException");
        ck_assert_str_eq(f.text, bad[i][1]);
        props_deinit(&p);
    }
}
END_TEST

START_TEST(servers)
{
    ck_assert(conf_servers("localhost:9092"));
    ck_assert(conf_servers("a:1,b:22,[::1]:9092"));
    static const char *const bad[] = {"", "a", "a:", ":1", "a:x", "a:1,", "a:1,b", "a:123456"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!conf_servers(bad[i]), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/kafka_conf");
    TCase *t = tcase_create("kafka_conf");
    tcase_add_test(t, key_value_words);
    tcase_add_test(t, files);
    tcase_add_test(t, file_on_disk);
    tcase_add_test(t, names);
    tcase_add_test(t, unknown_is_only_warned_of);
    tcase_add_test(t, bad_values);
    tcase_add_test(t, servers);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
