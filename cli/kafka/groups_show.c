/* SPDX-License-Identifier: MIT
 *
 * groups_show: --list and --describe of kafka-consumer-groups. Lines begin with their newline, as
 * Apache's tool prints them; one more ends the whole.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kafka/groups_admin.h"
#include "engine/base/assert.h"

#define GROUPS_MISSING "-"

/* ---- --list ---------------------------------------------------------------------------------- */

#define GROUPS_STATE_COUNT 7
#define GROUPS_TYPE_COUNT  2

/* The last two are Unknown to librdkafka. */
static const char *const groups_states[GROUPS_STATE_COUNT] = {
    "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty",
    "Assigning",          "Reconciling"};
static const char *const groups_types[GROUPS_TYPE_COUNT] = {"Consumer", "Classic"};

struct groups_words {
    const char *const *names;
    size_t count;
    const char *what; /* "state" */
    const char *whats;
};

/* The names in a list with commas as bits, in any case; 0 when there is no list. */
static int groups_words(const struct groups_words *known, const char *text, uint32_t *out,
                        struct fault *f)
{
    struct buf valid = {0};
    *out = 0;
    if (text == NULL || text[0] == '\0')
        return 0;
    for (const char *at = text;;) {
        size_t skip = strspn(at, " \t");
        size_t size = strcspn(at, ",");
        size_t end = size;
        size_t i = 0;
        while (end > skip && isspace((unsigned char)at[end - 1]))
            end--;
        while (i < known->count && (strlen(known->names[i]) + skip != end ||
                                    strncasecmp(known->names[i], at + skip, end - skip) != 0))
            i++;
        if (i == known->count)
            break;
        *out |= 1U << i;
        if (at[size] == '\0')
            return 0;
        at += size + 1;
    }
    for (size_t i = 0; i < known->count; i++)
        buf_printf(&valid, "%s%s", i > 0 ? ", " : "", known->names[i]);
    (void)fault_set(f, FAULT_ARGUMENT, "Invalid %s list '%s'. Valid %s are: %.*s", known->what,
                    text, known->whats, (int)valid.size, (const char *)valid.p);
    buf_deinit(&valid);
    return 1;
}

static bool groups_in_states(uint32_t states, rd_kafka_consumer_group_state_t state)
{
    const char *name = groups_state(state);
    if (states == 0)
        return true;
    for (size_t i = 0; i < GROUPS_STATE_COUNT; i++)
        if ((states >> i & 1U) != 0 && strcmp(groups_states[i], name) == 0)
            return true;
    return (states & 3U << 5) != 0 && state == RD_KAFKA_CONSUMER_GROUP_STATE_UNKNOWN;
}

static void groups_list_print(const struct groups_set *set, const struct opts *o, uint32_t states,
                              uint32_t types)
{
    bool type = opts_has(o, GROUPS_TYPE);
    bool state = opts_has(o, GROUPS_STATE);
    size_t width = 15;
    for (size_t i = 0; i < set->count; i++)
        width = strlen(set->items[i].name) > width ? strlen(set->items[i].name) : width;
    (void)printf("%-*s", (int)width + 10, "GROUP");
    (void)printf("%s", type ? " TYPE                " : "");
    (void)printf("%s\n", state ? " STATE               " : "");
    for (size_t i = 0; i < set->count; i++) {
        const struct groups_item *item = &set->items[i];
        if (!groups_in_states(states, item->state) ||
            (types != 0 && (types >> (item->modern ? 0 : 1) & 1U) == 0))
            continue;
        (void)printf("%-*s", (int)width + 10, item->name);
        if (type)
            (void)printf(" %-20s", groups_types[item->modern ? 0 : 1]);
        if (state)
            (void)printf(" %-20s", groups_state(item->state));
        (void)printf("\n");
    }
}

int groups_list(const struct opts *o, struct cluster *c, struct fault *f)
{
    static const struct groups_words state_words = {groups_states, GROUPS_STATE_COUNT, "state",
                                                    "states"};
    static const struct groups_words type_words = {groups_types, GROUPS_TYPE_COUNT, "types",
                                                   "types"};
    struct groups_set set = {0};
    uint32_t states = 0;
    uint32_t types = 0;
    int rc = groups_words(&type_words, opts_text(o, GROUPS_TYPE), &types, f);
    if (rc == 0)
        rc = groups_words(&state_words, opts_text(o, GROUPS_STATE), &states, f);
    if (rc == 0)
        rc = groups_listed(c, &set, f);
    if (rc == 0 && opts_has(o, GROUPS_TYPE))
        rc = groups_described(c, &set, f);
    if (rc == 0 && (opts_has(o, GROUPS_TYPE) || opts_has(o, GROUPS_STATE)))
        groups_list_print(&set, o, states, types);
    else
        for (size_t i = 0; i < set.count && rc == 0; i++)
            (void)printf("%s\n", set.items[i].name);
    groups_set_deinit(&set);
    return rc;
}

/* ---- --describe ------------------------------------------------------------------------------ */

/* Says what there is to say of the state; false when there is nothing to print of the group. */
static bool groups_told(const struct groups_item *item, bool rows)
{
    (void)fflush(stdout);
    switch (item->state) {
    case RD_KAFKA_CONSUMER_GROUP_STATE_DEAD:
        (void)printf("\nError: Consumer group '%s' does not exist.\n", item->name);
        return false;
    case RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY:
        (void)fprintf(stderr, "\nConsumer group '%s' has no active members.\n", item->name);
        break;
    case RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE:
    case RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE:
    case RD_KAFKA_CONSUMER_GROUP_STATE_UNKNOWN:
        (void)fprintf(stderr, "\nWarning: Consumer group '%s' is rebalancing.\n", item->name);
        break;
    case RD_KAFKA_CONSUMER_GROUP_STATE_STABLE:
    case RD_KAFKA_CONSUMER_GROUP_STATE__CNT:
        break;
    }
    if (item->modern && item->state != RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY)
        (void)fprintf(stderr,
                      "\nWarning: Consumer group '%s' uses the new consumer protocol: librdkafka "
                      "%s cannot ask for its members.\n",
                      item->name, rd_kafka_version_str());
    return rows;
}

struct groups_row {
    const char *topic;
    int32_t partition;
    int64_t offset; /* < 0: none */
    int64_t end;    /* < 0: not known */
    const char *member;
    const char *host;
    const char *client;
};

struct groups_rows {
    struct groups_row *items; /* owned; texts borrowed */
    size_t count;
    size_t cap;
};

static const char *groups_text(const char *text)
{
    return text != NULL ? text : "";
}

static size_t groups_member_size(const rd_kafka_MemberDescription_t *m)
{
    const rd_kafka_MemberAssignment_t *a = rd_kafka_MemberDescription_assignment(m);
    const rd_kafka_topic_partition_list_t *list =
        a != NULL ? rd_kafka_MemberAssignment_partitions(a) : NULL;
    return list != NULL ? (size_t)list->cnt : 0;
}

/* Adds the partitions of a list, by topic and partition; `m` NULL: nobody's. */
static void groups_rows_add(struct groups_rows *rows, const rd_kafka_topic_partition_list_t *list,
                            const rd_kafka_MemberDescription_t *m)
{
    for (int i = 0; i < list->cnt; i++) {
        if (rows->count == rows->cap) {
            rows->cap = rows->cap > 0 ? 2 * rows->cap : 16;
            rows->items = assert_memory(realloc(rows->items, rows->cap * sizeof *rows->items),
                                        rows->cap * sizeof *rows->items);
        }
        rows->items[rows->count++] = (struct groups_row){
            .topic = list->elems[i].topic,
            .partition = list->elems[i].partition,
            .offset = -1,
            .end = -1,
            .member =
                m != NULL ? groups_text(rd_kafka_MemberDescription_consumer_id(m)) : GROUPS_MISSING,
            .host = m != NULL ? groups_text(rd_kafka_MemberDescription_host(m)) : GROUPS_MISSING,
            .client =
                m != NULL ? groups_text(rd_kafka_MemberDescription_client_id(m)) : GROUPS_MISSING,
        };
    }
}

static int groups_row_order(const void *a, const void *b)
{
    const struct groups_row *x = a;
    const struct groups_row *y = b;
    int topics = strcmp(x->topic, y->topic);
    return topics != 0 ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

/* Members with the most partitions first, each one's partitions in order. */
static void groups_rows_members(struct groups_rows *rows, const struct groups_item *item)
{
    size_t count =
        item->about != NULL ? rd_kafka_ConsumerGroupDescription_member_count(item->about) : 0;
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = groups_member_size(rd_kafka_ConsumerGroupDescription_member(item->about, i));
        most = size > most ? size : most;
    }
    for (size_t size = most; size > 0; size--)
        for (size_t i = 0; i < count; i++) {
            const rd_kafka_MemberDescription_t *m =
                rd_kafka_ConsumerGroupDescription_member(item->about, i);
            if (groups_member_size(m) != size)
                continue;
            size_t first = rows->count;
            groups_rows_add(
                rows,
                rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(m)), m);
            qsort(rows->items + first, rows->count - first, sizeof *rows->items, groups_row_order);
        }
}

/* Fills offsets and ends. */
static int groups_rows_fill(struct groups_rows *rows, struct cluster *c,
                            rd_kafka_topic_partition_list_t *committed, struct fault *f)
{
    rd_kafka_topic_partition_list_t *ends CLEANUP(groups_parts_cleanup) =
        rd_kafka_topic_partition_list_new((int)rows->count);
    for (size_t i = 0; i < rows->count; i++)
        if (rd_kafka_topic_partition_list_find(ends, rows->items[i].topic,
                                               rows->items[i].partition) == NULL)
            (void)rd_kafka_topic_partition_list_add(ends, rows->items[i].topic,
                                                    rows->items[i].partition);
    int rc = groups_offsets(c, ends, RD_KAFKA_OFFSET_END, f);
    for (size_t i = 0; i < rows->count && rc == 0; i++) {
        struct groups_row *row = &rows->items[i];
        const rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_find(committed, row->topic, row->partition);
        row->offset = part != NULL ? part->offset : -1;
        row->end = rd_kafka_topic_partition_list_find(ends, row->topic, row->partition)->offset;
    }
    return rc;
}

static int groups_width(size_t least, size_t size)
{
    return (int)(size > least ? size : least);
}

static void groups_rows_print(const struct groups_rows *rows, const char *group)
{
    int widths[] = {groups_width(15, strlen(group)), 15, 15, 15};
    for (size_t i = 0; i < rows->count; i++) {
        const struct groups_row *row = &rows->items[i];
        widths[1] = groups_width((size_t)widths[1], strlen(row->topic));
        widths[2] = groups_width((size_t)widths[2], strlen(row->member));
        widths[3] = groups_width((size_t)widths[3], strlen(row->host));
    }
    (void)printf("\n%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s", widths[0], "GROUP", widths[1],
                 "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", widths[2],
                 "CONSUMER-ID", widths[3], "HOST", "CLIENT-ID");
    for (size_t i = 0; i < rows->count; i++) {
        const struct groups_row *row = &rows->items[i];
        char offset[32] = GROUPS_MISSING;
        char end[32] = GROUPS_MISSING;
        char lag[32] = GROUPS_MISSING;
        if (row->offset >= 0)
            (void)snprintf(offset, sizeof offset, "%" PRId64, row->offset);
        if (row->end >= 0)
            (void)snprintf(end, sizeof end, "%" PRId64, row->end);
        if (row->offset >= 0 && row->end >= 0)
            (void)snprintf(lag, sizeof lag, "%" PRId64, row->end - row->offset);
        (void)printf("\n%-*s %-*s %-10d %-15s %-15s %-15s %-*s %-*s %s", widths[0], group,
                     widths[1], row->topic, row->partition, offset, end, lag, widths[2],
                     row->member, widths[3], row->host, row->client);
    }
}

static int groups_describe_offsets(const struct groups_item *item, struct cluster *c,
                                   struct fault *f)
{
    struct groups_rows rows = {0};
    rd_kafka_topic_partition_list_t *committed CLEANUP(groups_parts_cleanup) = NULL;
    rd_kafka_topic_partition_list_t *rest CLEANUP(groups_parts_cleanup) = NULL;
    int rc = groups_committed(c, item->name, &committed, f);
    if (rc != 0)
        return rc;
    groups_rows_members(&rows, item);
    rest = rd_kafka_topic_partition_list_new(committed->cnt);
    for (int i = 0; i < committed->cnt; i++) {
        size_t j = 0;
        while (j < rows.count && (rows.items[j].partition != committed->elems[i].partition ||
                                  strcmp(rows.items[j].topic, committed->elems[i].topic) != 0))
            j++;
        if (j == rows.count)
            (void)rd_kafka_topic_partition_list_add(rest, committed->elems[i].topic,
                                                    committed->elems[i].partition);
    }
    groups_rows_add(&rows, rest, NULL);
    rc = groups_rows_fill(&rows, c, committed, f);
    if (rc == 0 && groups_told(item, rows.count > 0))
        groups_rows_print(&rows, item->name);
    free(rows.items);
    return rc;
}

/* "orders(0,1), prices(2)" */
static void groups_assignment(const rd_kafka_MemberDescription_t *m)
{
    struct groups_rows rows = {0};
    if (groups_member_size(m) == 0) {
        (void)printf(GROUPS_MISSING);
        return;
    }
    groups_rows_add(
        &rows, rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(m)), m);
    qsort(rows.items, rows.count, sizeof *rows.items, groups_row_order);
    for (size_t i = 0; i < rows.count; i++) {
        bool first = i == 0 || strcmp(rows.items[i].topic, rows.items[i - 1].topic) != 0;
        bool last =
            i + 1 == rows.count || strcmp(rows.items[i].topic, rows.items[i + 1].topic) != 0;
        if (first)
            (void)printf("%s%s(", i > 0 ? ", " : "", rows.items[i].topic);
        (void)printf("%d%s", rows.items[i].partition, last ? ")" : ",");
    }
    free(rows.items);
}

/* GROUP, CONSUMER-ID, GROUP-INSTANCE-ID, HOST, CLIENT-ID */
#define GROUPS_MEMBER_COLUMNS 5

static void groups_member_cells(const struct groups_item *item, size_t index,
                                const char *cells[GROUPS_MEMBER_COLUMNS])
{
    const rd_kafka_MemberDescription_t *m =
        rd_kafka_ConsumerGroupDescription_member(item->about, index);
    cells[0] = item->name;
    cells[1] = groups_text(rd_kafka_MemberDescription_consumer_id(m));
    cells[2] = groups_text(rd_kafka_MemberDescription_group_instance_id(m));
    cells[3] = groups_text(rd_kafka_MemberDescription_host(m));
    cells[4] = groups_text(rd_kafka_MemberDescription_client_id(m));
}

static void groups_member_print(const char *const cells[GROUPS_MEMBER_COLUMNS],
                                const int widths[GROUPS_MEMBER_COLUMNS], bool instances,
                                const char *count)
{
    for (size_t i = 0; i < GROUPS_MEMBER_COLUMNS; i++)
        if (i != 2 || instances)
            (void)printf("%-*s ", widths[i], cells[i]);
    (void)printf("%-15s ", count);
}

static void groups_describe_members(const struct groups_item *item, bool verbose)
{
    static const char *const heads[] = {"GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST",
                                        "CLIENT-ID"};
    int widths[] = {15, 15, 17, 15, 15};
    const char *cells[GROUPS_MEMBER_COLUMNS];
    bool instances = false;
    char number[32];
    size_t count =
        item->about != NULL ? rd_kafka_ConsumerGroupDescription_member_count(item->about) : 0;
    bool rows = groups_told(item, count > 0);
    for (size_t i = 0; i < count && rows; i++) {
        groups_member_cells(item, i, cells);
        for (size_t j = 0; j < GROUPS_MEMBER_COLUMNS; j++)
            widths[j] = groups_width((size_t)widths[j], strlen(cells[j]));
        instances = instances || cells[2][0] != '\0';
    }
    (void)printf("\n");
    groups_member_print(heads, widths, instances, "#PARTITIONS");
    (void)printf("%s\n", verbose ? "ASSIGNMENT" : "");
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_MemberDescription_t *m =
            rd_kafka_ConsumerGroupDescription_member(item->about, i);
        groups_member_cells(item, i, cells);
        (void)snprintf(number, sizeof number, "%zu", groups_member_size(m));
        groups_member_print(cells, widths, instances, number);
        if (verbose)
            groups_assignment(m);
        (void)printf("\n");
    }
}

static void groups_describe_state(const struct groups_item *item)
{
    char coordinator[300] = GROUPS_MISSING;
    bool empty = item->state == RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY;
    char members[32] = GROUPS_MISSING;
    const char *assignor = GROUPS_MISSING;
    if (!groups_told(item, true))
        return;
    if (empty)
        (void)snprintf(members, sizeof members, "0");
    if (item->about != NULL) {
        const rd_kafka_Node_t *node = rd_kafka_ConsumerGroupDescription_coordinator(item->about);
        (void)snprintf(members, sizeof members, "%zu",
                       rd_kafka_ConsumerGroupDescription_member_count(item->about));
        assignor = groups_text(rd_kafka_ConsumerGroupDescription_partition_assignor(item->about));
        if (node != NULL)
            (void)snprintf(coordinator, sizeof coordinator, "%s:%u  (%d)", rd_kafka_Node_host(node),
                           rd_kafka_Node_port(node), rd_kafka_Node_id(node));
    }
    int width = groups_width(25, strlen(coordinator));
    (void)printf("\n%-*s %-25s %-20s %-15s %s", width, "GROUP", "COORDINATOR (ID)",
                 "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS");
    (void)printf("\n%-*s %-25s %-20s %-15s %s\n", width, item->name, coordinator, assignor,
                 groups_state(item->state), members);
}

int groups_describe(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct groups_set set = {0};
    bool members = opts_has(o, GROUPS_MEMBERS);
    bool state = opts_has(o, GROUPS_STATE);
    int rc = groups_chosen(o, c, &set, f);
    for (size_t i = 0; i < set.count && rc == 0; i++) {
        if (members)
            groups_describe_members(&set.items[i], opts_has(o, GROUPS_VERBOSE));
        else if (state)
            groups_describe_state(&set.items[i]);
        else
            rc = groups_describe_offsets(&set.items[i], c, f);
    }
    if (!members && !state && set.count > 0)
        (void)printf("\n");
    groups_set_deinit(&set);
    return rc;
}
