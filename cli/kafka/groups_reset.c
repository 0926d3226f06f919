/* SPDX-License-Identifier: MIT
 *
 * groups_reset: --reset-offsets of kafka-consumer-groups.
 *
 *   for each group without members: which partitions -> where to, within the log -> commit -> print
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kafka/groups_admin.h"
#include "cli/kafka/groups_text.h"
#include "cli/kafka/tool.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define GROUPS_FILE_MAX ((size_t)64 * 1024 * 1024)

/* What --reset-offsets works on. */
struct groups_reset {
    const struct opts *o;
    struct cluster *cluster;
    struct buf file; /* of --from-file */
    bool single;     /* one --group: its CSV goes without the group */
    struct buf rows; /* to be printed at the end */
    bool groups;     /* there was one */
};

/* ---- where to -------------------------------------------------------------------------------- */

static int groups_copy(const rd_kafka_topic_partition_list_t *parts, struct cluster *c,
                       int64_t time_ms, rd_kafka_topic_partition_list_t **out, struct fault *f)
{
    rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_copy(parts);
    int rc = groups_offsets(c, copy, time_ms, f);
    for (int i = 0; i < copy->cnt && rc == 0; i++)
        if (copy->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            rc =
                fault_set(f, fault_exception(copy->elems[i].err), "%s-%d: %s", copy->elems[i].topic,
                          copy->elems[i].partition, fault_text(copy->elems[i].err));
    if (rc != 0)
        rd_kafka_topic_partition_list_destroy(copy);
    else
        *out = copy;
    return rc;
}

/* Brings offsets that lie outside the log to its ends. */
static int groups_clamp(struct cluster *c, rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    rd_kafka_topic_partition_list_t *starts CLEANUP(groups_parts_cleanup) = NULL;
    rd_kafka_topic_partition_list_t *ends CLEANUP(groups_parts_cleanup) = NULL;
    int rc = groups_copy(parts, c, RD_KAFKA_OFFSET_BEGINNING, &starts, f);
    if (rc == 0)
        rc = groups_copy(parts, c, RD_KAFKA_OFFSET_END, &ends, f);
    for (int i = 0; i < parts->cnt && rc == 0; i++) {
        rd_kafka_topic_partition_t *part = &parts->elems[i];
        int64_t start = starts->elems[i].offset;
        int64_t end = ends->elems[i].offset;
        bool above = part->offset > end;
        if (!above && part->offset >= start)
            continue;
        tool_log("WARN", GROUPS_LOGGER,
                 "New offset (%" PRId64 ") is %s offset for topic partition %s-%d. Value will be "
                 "set to %" PRId64,
                 part->offset, above ? "higher than latest" : "lower than earliest", part->topic,
                 part->partition, above ? end : start);
        part->offset = above ? end : start;
    }
    return rc;
}

static int groups_to_end(struct cluster *c, rd_kafka_topic_partition_list_t *parts, int64_t where,
                         struct fault *f)
{
    rd_kafka_topic_partition_list_t *told CLEANUP(groups_parts_cleanup) = NULL;
    int rc = groups_copy(parts, c, where, &told, f);
    for (int i = 0; i < parts->cnt && rc == 0; i++)
        parts->elems[i].offset = told->elems[i].offset;
    return rc;
}

/* The first record at or after; the end where there is none. */
static int groups_to_time(struct cluster *c, rd_kafka_topic_partition_list_t *parts,
                          int64_t time_ms, struct fault *f)
{
    rd_kafka_topic_partition_list_t *told CLEANUP(groups_parts_cleanup) = NULL;
    rd_kafka_topic_partition_list_t *ends CLEANUP(groups_parts_cleanup) = NULL;
    int rc = groups_copy(parts, c, time_ms < 0 ? 0 : time_ms, &told, f);
    if (rc == 0)
        rc = groups_copy(parts, c, RD_KAFKA_OFFSET_END, &ends, f);
    for (int i = 0; i < parts->cnt && rc == 0; i++) {
        rd_kafka_topic_partition_t *part = &parts->elems[i];
        part->offset = told->elems[i].offset;
        if (part->offset >= 0)
            continue;
        part->offset = ends->elems[i].offset;
        (void)printf("\nWarn: Partition %d from topic %s is empty. Falling back to latest known "
                     "offset.\n",
                     part->partition, part->topic);
    }
    return rc;
}

static int groups_to_moment(const struct groups_reset *r, rd_kafka_topic_partition_list_t *parts,
                            struct fault *f)
{
    int64_t ms = 0;
    const char *moment = opts_text(r->o, GROUPS_TO_DATETIME);
    int rc = 0;
    if (moment != NULL)
        rc = groups_text_moment(moment, &ms, f);
    else if (!groups_text_duration(opts_text(r->o, GROUPS_BY_DURATION), &ms))
        rc = fault_set(f, "java.time.format.DateTimeParseException",
                       "Text cannot be parsed to a Duration");
    else
        ms = clock_real()->wall_ms(clock_real()) - ms;
    return rc == 0 ? groups_to_time(r->cluster, parts, ms, f) : rc;
}

/* --shift-by and --to-current */
static int groups_to_committed(const struct groups_reset *r, const char *group,
                               rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    rd_kafka_topic_partition_list_t *committed CLEANUP(groups_parts_cleanup) = NULL;
    bool shift = opts_has(r->o, GROUPS_SHIFT_BY);
    int64_t by = 0;
    int rc = opts_number(r->o, GROUPS_SHIFT_BY, OPTS_LONG, &by, f);
    if (rc == 0)
        rc = groups_committed(r->cluster, group, &committed, f);
    if (rc == 0 && !shift)
        rc = groups_to_end(r->cluster, parts, RD_KAFKA_OFFSET_END, f);
    for (int i = 0; i < parts->cnt && rc == 0; i++) {
        rd_kafka_topic_partition_t *part = &parts->elems[i];
        const rd_kafka_topic_partition_t *had =
            rd_kafka_topic_partition_list_find(committed, part->topic, part->partition);
        if (had == NULL && shift)
            return fault_set(f, FAULT_ARGUMENT,
                             "Cannot shift offset for partition %s-%d since there is no current "
                             "committed offset",
                             part->topic, part->partition);
        if (had != NULL && __builtin_add_overflow(had->offset, by, &part->offset))
            part->offset = by < 0 ? 0 : INT64_MAX;
    }
    return rc == 0 && shift ? groups_clamp(r->cluster, parts, f) : rc;
}

static int groups_to_offset(const struct groups_reset *r, rd_kafka_topic_partition_list_t *parts,
                            struct fault *f)
{
    int64_t offset = 0;
    int rc = opts_number(r->o, GROUPS_TO_OFFSET, OPTS_LONG, &offset, f);
    for (int i = 0; i < parts->cnt; i++)
        parts->elems[i].offset = offset;
    return rc == 0 ? groups_clamp(r->cluster, parts, f) : rc;
}

/* The lines of the file that are of this group. */
static int groups_to_file(const struct groups_reset *r, const char *group,
                          rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    bool found = false;
    struct slice rest = slice_of(r->file.p, r->file.size);
    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.p) : rest.size;
        struct groups_text_plan plan;
        if (!groups_text_plan(slice_of(rest.p, size), &plan))
            return fault_set(f, "com.fasterxml.jackson.databind.exc.InvalidFormatException",
                             "Cannot read \"%.*s\": want topic,partition,offset or "
                             "group,topic,partition,offset",
                             (int)(size < 200 ? size : 200), (const char *)rest.p);
        bool whole = plan.group.size == 1;
        if (whole ? r->single : strcmp((const char *)plan.group.p, group) == 0) {
            found = true;
            rd_kafka_topic_partition_t *part = rd_kafka_topic_partition_list_find(
                parts, (const char *)plan.topic.p, plan.partition);
            if (part == NULL)
                part = rd_kafka_topic_partition_list_add(parts, (const char *)plan.topic.p,
                                                         plan.partition);
            part->offset = plan.offset;
        }
        groups_text_plan_deinit(&plan);
        rest.p += size + (end != NULL);
        rest.size -= size + (end != NULL);
    }
    if (!found)
        (void)printf("\nError: No reset plan for group %s found\n", group);
    return groups_clamp(r->cluster, parts, f);
}

static int groups_target(const struct groups_reset *r, const char *group,
                         rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    const struct opts *o = r->o;
    if (opts_has(o, GROUPS_TO_OFFSET))
        return groups_to_offset(r, parts, f);
    if (opts_has(o, GROUPS_TO_EARLIEST))
        return groups_to_end(r->cluster, parts, RD_KAFKA_OFFSET_BEGINNING, f);
    if (opts_has(o, GROUPS_TO_LATEST))
        return groups_to_end(r->cluster, parts, RD_KAFKA_OFFSET_END, f);
    if (opts_has(o, GROUPS_TO_DATETIME) || opts_has(o, GROUPS_BY_DURATION))
        return groups_to_moment(r, parts, f);
    if (opts_has(o, GROUPS_FROM_FILE))
        return groups_to_file(r, group, parts, f);
    if (opts_has(o, GROUPS_SHIFT_BY) || opts_has(o, GROUPS_TO_CURRENT))
        return groups_to_committed(r, group, parts, f);
    return fault_set(f, FAULT_ARGUMENT,
                     "Option '[reset-offsets]' requires one of the following scenarios: "
                     "[[to-offset], [to-current], [to-datetime], [from-file], [by-duration], "
                     "[to-earliest], [to-latest], [shift-by]]");
}

/* ---- --reset-offsets ------------------------------------------------------------------------- */

/* Which partitions; of a file, those in it. Owned by the caller. */
static int groups_scope(const struct groups_reset *r, const char *group,
                        rd_kafka_topic_partition_list_t **out, struct fault *f)
{
    const struct opts *o = r->o;
    bool from_file = opts_has(o, GROUPS_FROM_FILE);
    if (opts_has(o, GROUPS_ALL_TOPICS) && !from_file)
        return groups_committed(r->cluster, group, out, f);
    if (!opts_has(o, GROUPS_TOPIC) && !from_file)
        return fault_set(f, FAULT_ARGUMENT,
                         "One of the reset scopes should be defined: --all-topics, --topic.");
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(8);
    int rc = from_file ? 0 : groups_topics(o, r->cluster, false, parts, f);
    if (rc != 0)
        rd_kafka_topic_partition_list_destroy(parts);
    else
        *out = parts;
    return rc;
}

static void groups_reset_rows(struct groups_reset *r, const char *group,
                              const rd_kafka_topic_partition_list_t *parts)
{
    bool csv = opts_has(r->o, GROUPS_EXPORT);
    for (int i = 0; i < parts->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &parts->elems[i];
        if (csv)
            groups_text_line(r->single ? NULL : group, part->topic, part->partition, part->offset,
                             &r->rows);
        else
            buf_printf(&r->rows, "%-30s %-30s %-10d %-15" PRId64 "\n", group, part->topic,
                       part->partition, part->offset);
    }
}

static int groups_reset_group(struct groups_reset *r, const struct groups_item *item,
                              struct fault *f)
{
    rd_kafka_topic_partition_list_t *parts CLEANUP(groups_parts_cleanup) = NULL;
    r->groups = true;
    if (item->state != RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY &&
        item->state != RD_KAFKA_CONSUMER_GROUP_STATE_DEAD) {
        (void)printf("\nError: Assignments can only be reset if the group '%s' is inactive, but "
                     "the current state is %s.\n",
                     item->name, groups_state(item->state));
        return 0;
    }
    int rc = groups_scope(r, item->name, &parts, f);
    if (rc == 0)
        rc = groups_target(r, item->name, parts, f);
    if (rc == 0 && opts_has(r->o, GROUPS_EXECUTE))
        rc = groups_commit(r->cluster, item->name, parts, f);
    if (rc == 0)
        groups_reset_rows(r, item->name, parts);
    return rc;
}

static void groups_reset_print(struct groups_reset *r)
{
    if (!opts_has(r->o, GROUPS_EXPORT) && r->groups)
        (void)printf("\n%-30s %-30s %-10s %-15s\n", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    if (r->rows.size > 0)
        (void)fwrite(r->rows.p, 1, r->rows.size, stdout);
    if (opts_has(r->o, GROUPS_EXPORT))
        (void)printf("\n");
}

static int groups_file(const char *path, struct buf *out, struct fault *f)
{
    uint8_t block[8192];
    size_t got = 0;
    FILE *file = fopen(path, "rb");
    bool good = file != NULL;
    while (good && (got = fread(block, 1, sizeof block, file)) > 0 &&
           out->size + got <= GROUPS_FILE_MAX)
        buf_append(out, block, got);
    good = good && ferror(file) == 0 && got == 0;
    if (file != NULL)
        (void)fclose(file);
    return good ? 0 : fault_set(f, "java.io.IOException", "Unable to read file %s", path);
}

int groups_reset(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct groups_set set = {0};
    struct groups_reset r = {.o = o, .cluster = c};
    size_t at = 0;
    size_t named = 0;
    int rc = 0;
    while (opts_next(o, GROUPS_GROUP, &at) != NULL)
        named++;
    r.single = named == 1;
    if (opts_has(o, GROUPS_FROM_FILE))
        rc = groups_file(opts_text(o, GROUPS_FROM_FILE), &r.file, f);
    if (rc == 0)
        rc = groups_chosen(o, c, &set, f);
    for (size_t i = 0; i < set.count && rc == 0; i++)
        rc = groups_reset_group(&r, &set.items[i], f);
    if (rc == 0)
        groups_reset_print(&r);
    groups_set_deinit(&set);
    buf_deinit(&r.file);
    buf_deinit(&r.rows);
    return rc;
}
