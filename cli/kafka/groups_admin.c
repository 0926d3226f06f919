/* SPDX-License-Identifier: MIT
 *
 * groups_admin: see groups_admin.h.
 */
#include "cli/kafka/groups_admin.h"

#include <stdlib.h>
#include <string.h>

#include "cli/value.h"
#include "engine/base/assert.h"

CLEANUP_DEFINE(groups_options, rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy);

const char *groups_state(rd_kafka_consumer_group_state_t state)
{
    return rd_kafka_consumer_group_state_name(state);
}

/* ---- sets of groups -------------------------------------------------------------------------- */

static int groups_order(const void *a, const void *b)
{
    const struct groups_item *x = a;
    const struct groups_item *y = b;
    return strcmp(x->name, y->name);
}

static struct groups_item *groups_find(const struct groups_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].name, name) == 0)
            return &set->items[i];
    return NULL;
}

/* `items` has room for one more. */
static struct groups_item *groups_add(struct groups_set *set, const char *name)
{
    struct groups_item *item = &set->items[set->count++];
    *item = (struct groups_item){.name = (char *)slice_dup(slice_str(name))};
    return item;
}

static void groups_room(struct groups_set *set, size_t count)
{
    size_t size = (count + 1) * sizeof *set->items;
    set->items = assert_memory(calloc(1, size), size);
}

void groups_set_deinit(struct groups_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->items[i].name);
    free(set->items);
    if (set->described != NULL)
        rd_kafka_event_destroy(set->described);
    *set = (struct groups_set){0};
}

int groups_listed(struct cluster *c, struct groups_set *out, struct fault *f)
{
    size_t count = 0;
    size_t error_count = 0;
    struct groups_set set = {0};
    rd_kafka_event_t *event CLEANUP(groups_event_cleanup) = NULL;
    rd_kafka_AdminOptions_t *options CLEANUP(groups_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
    rd_kafka_ListConsumerGroups(c->rk, options, c->queue);
    int rc = cluster_answer(c, "listGroups", &event, f);
    if (rc != 0)
        return rc;
    const rd_kafka_ListConsumerGroups_result_t *result =
        rd_kafka_event_ListConsumerGroups_result(event);
    const rd_kafka_error_t **errors =
        rd_kafka_ListConsumerGroups_result_errors(result, &error_count);
    if (error_count > 0)
        return fault_of(f, rd_kafka_error_code(errors[0]), NULL);
    const rd_kafka_ConsumerGroupListing_t **list =
        rd_kafka_ListConsumerGroups_result_valid(result, &count);
    groups_room(&set, count);
    for (size_t i = 0; i < count; i++) {
        struct groups_item *item =
            groups_add(&set, rd_kafka_ConsumerGroupListing_group_id(list[i]));
        item->state = rd_kafka_ConsumerGroupListing_state(list[i]);
        item->listed = true;
    }
    qsort(set.items, set.count, sizeof *set.items, groups_order);
    *out = set;
    return 0;
}

/* A group that seems dead but is listed is one whose members cannot be asked for. */
static int groups_settle(struct cluster *c, struct groups_set *set, struct fault *f)
{
    struct groups_set listed = {0};
    bool dead = false;
    for (size_t i = 0; i < set->count; i++)
        dead = dead || set->items[i].state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD;
    if (!dead)
        return 0;
    int rc = groups_listed(c, &listed, f);
    for (size_t i = 0; i < set->count && rc == 0; i++) {
        struct groups_item *item = &set->items[i];
        const struct groups_item *known = groups_find(&listed, item->name);
        if (item->state != RD_KAFKA_CONSUMER_GROUP_STATE_DEAD || known == NULL ||
            known->state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD)
            continue;
        item->state = known->state;
        item->modern = true;
        item->about = NULL;
    }
    groups_set_deinit(&listed);
    return rc;
}

static int groups_described_answer(struct groups_set *set, struct fault *f)
{
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **list =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(set->described), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(list[i]);
        struct groups_item *item =
            groups_find(set, rd_kafka_ConsumerGroupDescription_group_id(list[i]));
        if (item == NULL)
            continue;
        item->about = list[i];
        item->state = rd_kafka_ConsumerGroupDescription_state(list[i]);
        if (error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
            item->state = RD_KAFKA_CONSUMER_GROUP_STATE_DEAD;
        else if (error != NULL)
            return fault_of(f, rd_kafka_error_code(error), NULL);
    }
    return 0;
}

int groups_described(struct cluster *c, struct groups_set *set, struct fault *f)
{
    rd_kafka_AdminOptions_t *options CLEANUP(groups_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    ASSERT(set->described == NULL);
    if (set->count == 0)
        return 0;
    size_t size = set->count * sizeof(char *);
    const char **names = assert_memory(calloc(1, size), size);
    for (size_t i = 0; i < set->count; i++)
        names[i] = set->items[i].name;
    rd_kafka_DescribeConsumerGroups(c->rk, names, set->count, options, c->queue);
    free(names);
    int rc = cluster_answer(c, "describeConsumerGroups(api=FIND_COORDINATOR)", &set->described, f);
    if (rc == 0)
        rc = groups_described_answer(set, f);
    return rc == 0 ? groups_settle(c, set, f) : rc;
}

int groups_chosen(const struct opts *o, struct cluster *c, struct groups_set *out, struct fault *f)
{
    size_t at = 0;
    struct groups_set set = {0};
    int rc = 0;
    if (opts_has(o, GROUPS_ALL_GROUPS)) {
        rc = groups_listed(c, &set, f);
    } else {
        groups_room(&set, o->count);
        for (const char *name = opts_next(o, GROUPS_GROUP, &at); name != NULL;
             name = opts_next(o, GROUPS_GROUP, &at))
            if (groups_find(&set, name) == NULL)
                (void)groups_add(&set, name);
        qsort(set.items, set.count, sizeof *set.items, groups_order);
    }
    if (rc == 0)
        rc = groups_described(c, &set, f);
    if (rc != 0)
        groups_set_deinit(&set);
    else
        *out = set;
    return rc;
}

/* ---- offsets --------------------------------------------------------------------------------- */

static int groups_parts_order(const void *a, const void *b, void *ctx)
{
    const rd_kafka_topic_partition_t *x = a;
    const rd_kafka_topic_partition_t *y = b;
    int topics = strcmp(x->topic, y->topic);
    (void)ctx;
    return topics != 0 ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

/* The partitions of the only group in an answer, or the fault in their place. */
static int groups_result(const rd_kafka_group_result_t **list, size_t count,
                         const rd_kafka_topic_partition_list_t **out, struct fault *f)
{
    if (count != 1)
        return fault_set(f, FAULT_KAFKA, "%zu groups in the answer, of 1", count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(list[0]);
    if (error != NULL)
        return fault_of(f, rd_kafka_error_code(error), NULL);
    *out = rd_kafka_group_result_partitions(list[0]);
    return 0;
}

int groups_committed(struct cluster *c, const char *group, rd_kafka_topic_partition_list_t **out,
                     struct fault *f)
{
    size_t count = 0;
    const rd_kafka_topic_partition_list_t *found = NULL;
    rd_kafka_event_t *event CLEANUP(groups_event_cleanup) = NULL;
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
    rd_kafka_AdminOptions_t *options CLEANUP(groups_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(c->rk, &ask, 1, options, c->queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    int rc = cluster_answer(c, "listConsumerGroupOffsets(api=FIND_COORDINATOR)", &event, f);
    if (rc != 0)
        return rc;
    const rd_kafka_group_result_t **list = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    rc = groups_result(list, count, &found, f);
    if (rc != 0)
        return rc;
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(found->cnt);
    for (int i = 0; i < found->cnt; i++)
        if (found->elems[i].offset >= 0)
            rd_kafka_topic_partition_list_add(parts, found->elems[i].topic,
                                              found->elems[i].partition)
                ->offset = found->elems[i].offset;
    rd_kafka_topic_partition_list_sort(parts, groups_parts_order, NULL);
    *out = parts;
    return 0;
}

static const struct rd_kafka_metadata_topic *groups_topic(const struct rd_kafka_metadata *known,
                                                          const char *name)
{
    for (int i = 0; i < known->topic_cnt; i++)
        if (strcmp(known->topics[i].topic, name) == 0)
            return &known->topics[i];
    return NULL;
}

/* Moves the partitions that are there into *ask, with the question in place of their offsets; of
 * the others librdkafka would wait for news until the timeout. */
static int groups_sift(struct cluster *c, rd_kafka_topic_partition_list_t *parts, int64_t time_ms,
                       rd_kafka_topic_partition_list_t *ask, struct fault *f)
{
    const struct rd_kafka_metadata *known = NULL;
    int rc = cluster_topics(c, &known, f);
    if (rc != 0)
        return rc;
    for (int i = 0; i < parts->cnt; i++) {
        rd_kafka_topic_partition_t *part = &parts->elems[i];
        const struct rd_kafka_metadata_topic *topic = groups_topic(known, part->topic);
        bool there = topic != NULL && part->partition < topic->partition_cnt;
        part->err = there ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        part->offset = RD_KAFKA_OFFSET_INVALID;
        if (there)
            rd_kafka_topic_partition_list_add(ask, part->topic, part->partition)->offset = time_ms;
    }
    rd_kafka_metadata_destroy(known);
    return 0;
}

int groups_offsets(struct cluster *c, rd_kafka_topic_partition_list_t *parts, int64_t time_ms,
                   struct fault *f)
{
    rd_kafka_topic_partition_list_t *ask CLEANUP(groups_parts_cleanup) =
        rd_kafka_topic_partition_list_new(parts->cnt);
    if (parts->cnt == 0)
        return 0;
    int rc = groups_sift(c, parts, time_ms, ask, f);
    if (rc != 0 || ask->cnt == 0)
        return rc;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(c->rk, ask, c->timeout_ms);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fault_of(f, error, NULL);
    for (int i = 0; i < ask->cnt; i++) {
        const rd_kafka_topic_partition_t *told = &ask->elems[i];
        rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_find(parts, told->topic, told->partition);
        ASSERT(part != NULL);
        if (told->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fault_of(f, told->err, NULL);
        part->offset = told->offset;
    }
    return 0;
}

int groups_commit(struct cluster *c, const char *group,
                  const rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    size_t count = 0;
    const rd_kafka_topic_partition_list_t *done = NULL;
    rd_kafka_event_t *event CLEANUP(groups_event_cleanup) = NULL;
    if (parts->cnt == 0)
        return 0;
    rd_kafka_AlterConsumerGroupOffsets_t *ask =
        rd_kafka_AlterConsumerGroupOffsets_new(group, parts);
    rd_kafka_AdminOptions_t *options CLEANUP(groups_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets(c->rk, &ask, 1, options, c->queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(ask);
    int rc = cluster_answer(c, "offsetCommit(api=FIND_COORDINATOR)", &event, f);
    if (rc != 0)
        return rc;
    const rd_kafka_group_result_t **list = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    rc = groups_result(list, count, &done, f);
    for (int i = 0; rc == 0 && i < done->cnt; i++)
        if (done->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            rc = fault_of(f, done->elems[i].err, NULL);
    return rc;
}

/* ---- --topic --------------------------------------------------------------------------------- */

/* "TOPIC:P,P" */
static int groups_topic_word(const char *word, rd_kafka_topic_partition_list_t *out,
                             struct fault *f)
{
    char topic[256];
    char number[32];
    int64_t partition = 0;
    size_t size = strcspn(word, ":");
    const char *rest = word + size + 1;
    if (strchr(rest, ':') != NULL || *rest == '\0' || size >= sizeof topic)
        return fault_set(f, FAULT_ARGUMENT,
                         "Invalid topic arg '%s', expected topic name and partitions", word);
    memcpy(topic, word, size);
    topic[size] = '\0';
    for (;;) {
        size = strcspn(rest, ",");
        memcpy(number, rest, size < sizeof number ? size : 0);
        number[size < sizeof number ? size : 0] = '\0';
        if (!value_i64(number, &partition) || partition < 0 || partition > INT32_MAX)
            return fault_set(f, FAULT_ARGUMENT,
                             "Invalid partition '%.*s' specified in topic arg '%s''", (int)size,
                             rest, word);
        if (rd_kafka_topic_partition_list_find(out, topic, (int32_t)partition) == NULL)
            (void)rd_kafka_topic_partition_list_add(out, topic, (int32_t)partition);
        if (rest[size] == '\0')
            return 0;
        rest += size + 1;
    }
}

static int groups_topic_whole(const char *name, const struct rd_kafka_metadata *known, bool absent,
                              rd_kafka_topic_partition_list_t *out, struct fault *f)
{
    const struct rd_kafka_metadata_topic *topic = groups_topic(known, name);
    if (topic == NULL && !absent)
        return fault_of(f, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL);
    if (topic == NULL)
        (void)rd_kafka_topic_partition_list_add(out, name, RD_KAFKA_PARTITION_UA);
    for (int i = 0; topic != NULL && i < topic->partition_cnt; i++)
        if (rd_kafka_topic_partition_list_find(out, name, i) == NULL)
            (void)rd_kafka_topic_partition_list_add(out, name, i);
    return 0;
}

int groups_topics(const struct opts *o, struct cluster *c, bool absent,
                  rd_kafka_topic_partition_list_t *out, struct fault *f)
{
    size_t at = 0;
    int rc = 0;
    const struct rd_kafka_metadata *known = NULL;
    for (const char *word = opts_next(o, GROUPS_TOPIC, &at); word != NULL && rc == 0;
         word = opts_next(o, GROUPS_TOPIC, &at)) {
        if (strchr(word, ':') != NULL) {
            rc = groups_topic_word(word, out, f);
            continue;
        }
        if (known == NULL)
            rc = cluster_topics(c, &known, f);
        if (rc == 0)
            rc = groups_topic_whole(word, known, absent, out, f);
    }
    if (known != NULL)
        rd_kafka_metadata_destroy(known);
    rd_kafka_topic_partition_list_sort(out, groups_parts_order, NULL);
    return rc;
}
