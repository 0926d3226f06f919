/* SPDX-License-Identifier: MIT
 *
 * corpus_main: runs a fuzz target over the files of the folders given, and over every prefix of
 * each, without a fuzzer.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/bytes.h"

#define CORPUS_SIZE_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t corpus_main_file(const char *path)
{
    static uint8_t bytes[CORPUS_SIZE_MAX];
    FILE *f = fopen(path, "rb");
    ASSERT(f != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    for (size_t prefix = 0; prefix <= size; prefix++)
        (void)LLVMFuzzerTestOneInput(bytes, prefix);
    return 1;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        char path[4096];
        DIR *dir = opendir(argv[i]);
        ASSERT(dir != NULL);
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            count += e->d_name[0] == '.' ? 0 : corpus_main_file(path);
        }
        (void)closedir(dir);
    }
    printf("%zu files\n", count);
    return count > 0 ? 0 : 1;
}
