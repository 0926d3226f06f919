/* SPDX-License-Identifier: MIT
 *
 * test_guard: which Host is one of ours.
 */
#include "net/http/http_guard.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *host;
    bool loopback; /* listening at 127.0.0.1:7094 */
    bool name;     /* at metrics.example:7094 */
    bool any;      /* at :7094 */
};

static const struct row rows[] = {
    {"localhost", true, true, true},
    {"LocalHost:7094", true, true, true},
    {"127.0.0.1", true, true, true},
    {"127.0.0.1:7094", true, true, true},
    {"127.9.8.7:1", true, true, true},
    {"[::1]", true, true, true},
    {"[::1]:7094", true, true, true},
    {"metrics.example", false, true, false},
    {"Metrics.Example:80", false, true, false},
    {"10.1.2.3:7094", false, false, true},
    {"[fe80::1]:7094", false, false, true},
    {"evil.example", false, false, false},
    {"evil.example:7094", false, false, false},
    {"127.0.0.1.evil.example", false, false, false},
    {"localhost.evil.example", false, false, false},
    {"localhost@evil.example", false, false, false},
    {"evil.example:127.0.0.1", false, false, false},
    {"127.0.0.1:7094x", false, false, false},
    {"127.1", false, false, false},
    {"2130706433", false, false, false},
    {"::1", false, false, false},
    {"[::1", false, false, false},
    {"[::1]x", false, false, false},
    {"[localhost]", false, false, false},
    {"[127.0.0.1]", false, false, false},
    {"", false, false, false},
    {":7094", false, false, false},
    {"[]", false, false, false},
};

START_TEST(hosts)
{
    struct http_guard loopback, name, any, four, six;
    http_guard_init(&loopback, "127.0.0.1:7094");
    http_guard_init(&name, "metrics.example:7094");
    http_guard_init(&any, ":7094");
    http_guard_init(&four, "0.0.0.0:7094");
    http_guard_init(&six, "[::]:7094");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        ck_assert_msg(http_guard_allows(&loopback, r->host) == r->loopback, "%s", r->host);
        ck_assert_msg(http_guard_allows(&name, r->host) == r->name, "%s", r->host);
        ck_assert_msg(http_guard_allows(&any, r->host) == r->any, "%s", r->host);
        ck_assert_msg(http_guard_allows(&four, r->host) == r->any, "%s", r->host);
        ck_assert_msg(http_guard_allows(&six, r->host) == r->any, "%s", r->host);
    }
    ck_assert(!http_guard_allows(&any, NULL));
}
END_TEST

START_TEST(very_long)
{
    char host[1000];
    struct http_guard g;
    memset(host, 'a', sizeof host);
    host[sizeof host - 1] = '\0';
    http_guard_init(&g, "127.0.0.1:7094");
    ck_assert(!http_guard_allows(&g, host));
    memcpy(host, "127.0.0.1:", 10);
    memset(host + 10, '7', sizeof host - 11);
    ck_assert(http_guard_allows(&g, host)); /* a port is nobody's name */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("guard");
    TCase *c = tcase_create("all");
    tcase_add_test(c, hosts);
    tcase_add_test(c, very_long);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
