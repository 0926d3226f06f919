/* SPDX-License-Identifier: MIT
 *
 * seek: see seek.h.
 */
#include "cli/seek.h"

#include <string.h>

#include "cli/value.h"
#include "engine/base/assert.h"

bool seek_parse(const char *text, int64_t now_ms, struct seek_to *out)
{
    uint64_t number = 0;
    int64_t ms = 0;
    bool back = text[0] == '-';
    if (strcmp(text, "start") == 0 || strcmp(text, "end") == 0) {
        *out = (struct seek_to){.place = text[0] == 's' ? SEEK_TO_START : SEEK_TO_END};
        return true;
    }
    if (text[0] == '@') {
        if (!value_time(text + 1, now_ms, &ms))
            return false;
        *out = (struct seek_to){.place = SEEK_TO_TIME, .number = ms};
        return true;
    }
    if (value_u64(text + (back || text[0] == '+'), INT64_MAX, &number)) {
        bool by = back || text[0] == '+';
        *out = (struct seek_to){.place = by ? SEEK_TO_BY : SEEK_TO_OFFSET,
                                .number = back ? -(int64_t)number : (int64_t)number};
        return true;
    }
    if (!back || !value_duration(text + 1, &ms))
        return false;
    *out = (struct seek_to){.place = SEEK_TO_TIME, .number = now_ms - ms};
    return true;
}

int seek_offset(const struct seek_to *to, const struct seek_log *log, int64_t *out)
{
    int64_t offset = to->number;
    ASSERT(log->start <= log->end);
    switch (to->place) {
    case SEEK_TO_START:
        offset = log->start;
        break;
    case SEEK_TO_END:
        offset = log->end;
        break;
    case SEEK_TO_OFFSET:
        break;
    case SEEK_TO_BY:
        if (log->committed < 0)
            return 1;
        if (__builtin_add_overflow(log->committed, to->number, &offset))
            offset = to->number < 0 ? log->start : log->end;
        break;
    case SEEK_TO_TIME:
        offset = log->at_time >= 0 ? log->at_time : log->end;
        break;
    }
    *out = offset < log->start ? log->start : offset > log->end ? log->end : offset;
    return 0;
}

bool seek_topic_parse(const char *text, struct seek_topic *out)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);
    uint64_t number = 0;
    if (size == 0 || size >= sizeof out->topic ||
        (colon != NULL && !value_u64(colon + 1, INT32_MAX, &number)))
        return false;
    memcpy(out->topic, text, size);
    out->topic[size] = '\0';
    out->partition = colon != NULL ? (int32_t)number : -1;
    return true;
}
