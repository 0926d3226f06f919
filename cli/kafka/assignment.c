/* SPDX-License-Identifier: MIT
 *
 * assignment: see assignment.h.
 */
#include "cli/kafka/assignment.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/value.h"
#include "engine/base/assert.h"

/* The number in text[0..size), with blanks around it. */
static int assignment_id(const char *text, size_t size, int32_t *out, struct fault *f)
{
    char digits[16];
    uint64_t value = 0;
    while (size > 0 && text[0] == ' ') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == ' ')
        size--;
    (void)snprintf(digits, sizeof digits, "%.*s", (int)size, text);
    if (size >= sizeof digits || !value_u64(digits, INT32_MAX, &value))
        return fault_set(f, "java.lang.NumberFormatException", "For input string: \"%.*s\"",
                         (int)size, text);
    *out = (int32_t)value;
    return 0;
}

/* The brokers of one partition behind those already there. *count is how many. */
static int assignment_list(struct assignment *a, size_t at, const char *text, size_t size,
                           size_t *count, struct fault *f)
{
    size_t begin = 0;
    *count = 0;
    while (begin <= size) {
        size_t end = begin;
        while (end < size && text[end] != ':')
            end++;
        int32_t *brokers = a->brokers + at;
        int rc = assignment_id(text + begin, end - begin, &brokers[*count], f);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < *count; i++)
            if (brokers[i] == brokers[*count])
                return fault_set(
                    f, "org.apache.kafka.server.common.AdminCommandFailedException",
                    "Partition replica lists may not contain duplicate entries: %" PRId32,
                    brokers[i]);
        (*count)++;
        begin = end + 1;
    }
    return 0;
}

static int assignment_fill(struct assignment *a, const char *text, struct fault *f)
{
    size_t at = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        size_t count = 0;
        int rc = assignment_list(a, at, text, size, &count, f);
        if (rc != 0)
            return rc;
        if (a->partitions > 0 && count != a->replicas)
            return fault_set(f, "org.apache.kafka.server.common.AdminOperationException",
                             "Partition %zu has different replication factor: [%.*s]",
                             a->partitions, (int)size, text);
        a->replicas = count;
        a->partitions++;
        at += count;
        if (text[size] == '\0')
            return 0;
        text += size + 1;
    }
}

int assignment_parse(const char *text, struct assignment *out, struct fault *f)
{
    struct assignment a = {0};
    size_t most = strlen(text) / 2 + 1; /* a number takes a digit and a separator */
    a.brokers = assert_memory(calloc(most + 1, sizeof *a.brokers), most);
    int rc = assignment_fill(&a, text, f);
    if (rc != 0) {
        free(a.brokers);
        return rc;
    }
    *out = a;
    return 0;
}

int32_t *assignment_of(const struct assignment *a, size_t partition)
{
    ASSERT(partition < a->partitions);
    return a->brokers + partition * a->replicas;
}

void assignment_deinit(struct assignment *a)
{
    free(a->brokers);
    *a = (struct assignment){0};
}
