/* SPDX-License-Identifier: MIT
 *
 * test_tar: what is written is what tar(1) reads.
 */
#include "cli/tar.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Output of a shell command. */
static void run(const char *command, struct buf *out)
{
    char bytes[4096];
    FILE *f = popen(command, "re");
    ck_assert_ptr_nonnull(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        buf_append(out, bytes, n);
    ck_assert_msg(pclose(f) == 0, "%s", command);
}

START_TEST(reads_back)
{
    static const size_t sizes[] = {0, 1, 511, 512, 513, 70000};
    char path[] = "/tmp/kauri-tar-XXXXXX", command[200];
    struct buf tar = {0}, names = {0};
    char *bytes = malloc(70000);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < 70000; i++)
        bytes[i] = (char)(i * 31 + i / 256);
    for (size_t i = 0; i < 6; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "folder/file-%zu", sizes[i]);
        tar_add(&tar, name, 1700000000, slice_of(bytes, sizes[i]));
    }
    tar_end(&tar);
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && write(fd, tar.p, tar.size) == (ssize_t)tar.size && close(fd) == 0);
    (void)snprintf(command, sizeof command, "tar -tf %s", path);
    run(command, &names);
    for (size_t i = 0; i < 6; i++) {
        struct buf got = {0};
        (void)snprintf(command, sizeof command, "tar -xOf %s folder/file-%zu", path, sizes[i]);
        run(command, &got);
        ck_assert_uint_eq(got.size, sizes[i]);
        ck_assert(got.size == 0 || memcmp(got.p, bytes, got.size) == 0);
        buf_deinit(&got);
    }
    buf_append_u8(&names, 0);
    ck_assert_str_eq((const char *)names.p,
                     "folder/file-0\nfolder/file-1\nfolder/file-511\nfolder/file-512\n"
                     "folder/file-513\nfolder/file-70000\n");
    names.size = 0;
    (void)snprintf(command, sizeof command, "TZ=UTC tar --full-time -tvf %s folder/file-1", path);
    run(command, &names);
    buf_append_u8(&names, 0);
    ck_assert_msg(strstr((char *)names.p, "-rw-------") != NULL &&
                      strstr((char *)names.p, "2023-11-14 22:13:20") != NULL,
                  "%s", (char *)names.p);
    (void)unlink(path);
    free(bytes);
    buf_deinit(&names);
    buf_deinit(&tar);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/tar");
    TCase *t = tcase_create("tar");
    tcase_add_test(t, reads_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
