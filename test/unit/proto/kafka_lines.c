/* SPDX-License-Identifier: MIT
 *
 * kafka_lines: see kafka_lines.h.
 */
#include "kafka_lines.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void kafka_lines(const char *path, const char *separator, size_t count, size_t least,
                 void (*use)(char **words))
{
    char *line = NULL;
    size_t room = 0, lines = 0;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (getline(&line, &room, file) > 0) {
        char *words[KAFKA_LINE_WORDS];
        size_t found = 0;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        for (char *rest = line; rest != NULL && found < KAFKA_LINE_WORDS;)
            words[found++] = strsep(&rest, separator);
        ck_assert_uint_eq(found, count);
        use(words);
        lines++;
    }
    fclose(file);
    free(line);
    ck_assert_uint_ge(lines, least);
}

void kafka_unhex(const char *hex, struct buf *out)
{
    unsigned byte;
    for (; hex[0] != '\0'; hex += 2) {
        ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
        buf_append_u8(out, (uint8_t)byte);
    }
}
