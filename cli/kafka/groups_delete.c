/* SPDX-License-Identifier: MIT
 *
 * groups_delete: --delete and --delete-offsets of kafka-consumer-groups.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kafka/groups_admin.h"
#include "engine/base/assert.h"

CLEANUP_DEFINE(groups_delete_options, rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy);

/* ---- --delete-offsets ------------------------------------------------------------------------ */

/* The line about the call as a whole: the first error of any partition. */
static void groups_delete_offsets_told(const struct opts *o, const char *group,
                                       rd_kafka_resp_err_t error)
{
    size_t at = 0;
    const char *comma = "";
    switch ((int)error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        (void)printf("Request succeed for deleting offsets with topic ");
        for (const char *topic = opts_next(o, GROUPS_TOPIC, &at); topic != NULL;
             topic = opts_next(o, GROUPS_TOPIC, &at), comma = ", ")
            (void)printf("%s%s", comma, topic);
        (void)printf(" group %s\n", group);
        break;
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
        (void)printf("\nError: '%s' is not valid.\n", group);
        break;
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
        (void)printf("\nError: '%s' does not exist.\n", group);
        break;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        (void)printf("\nError: Access to '%s' is not authorized.\n", group);
        break;
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
        (void)printf("\nError: Deleting offsets of a consumer group '%s' is forbidden if the group "
                     "is not empty.\n",
                     group);
        break;
    case RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        (void)printf("\nError: Encounter some partition level error, see the follow-up "
                     "details:\n");
        break;
    default:
        (void)printf("\nError: Encounter some unknown error: %s\n", rd_kafka_err2name(error));
        break;
    }
}

static void groups_delete_offsets_rows(const rd_kafka_topic_partition_list_t *parts)
{
    (void)printf("\n%-30s %-15s %-15s\n", "TOPIC", "PARTITION", "STATUS");
    for (int i = 0; i < parts->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &parts->elems[i];
        char number[16] = "Not Provided";
        if (part->partition >= 0)
            (void)snprintf(number, sizeof number, "%d", part->partition);
        (void)printf("%-30s %-15s ", part->topic, number);
        if (part->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            (void)printf("%-15s\n", "Successful");
        else
            (void)printf("Error: :%s: %s\n", fault_exception(part->err), fault_text(part->err));
    }
}

/* An error of the group as a whole, which librdkafka tells in place of the answer, goes to every
 * partition; another one stays the fault. */
static int groups_delete_offsets_whole(const struct fault *f,
                                       rd_kafka_topic_partition_list_t *parts)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(fault_exception(errors[i]), f->exception) != 0)
            continue;
        for (int j = 0; j < parts->cnt; j++)
            if (parts->elems[j].partition >= 0)
                parts->elems[j].err = errors[i];
        return 0;
    }
    return 1;
}

/* Deletes the offsets of `ask` and marks each partition of `parts` with what became of it. */
static int groups_delete_offsets_call(struct cluster *c, const char *group,
                                      const rd_kafka_topic_partition_list_t *ask,
                                      rd_kafka_topic_partition_list_t *parts, struct fault *f)
{
    size_t count = 0;
    rd_kafka_event_t *event CLEANUP(groups_event_cleanup) = NULL;
    if (ask->cnt == 0)
        return 0;
    rd_kafka_DeleteConsumerGroupOffsets_t *call =
        rd_kafka_DeleteConsumerGroupOffsets_new(group, ask);
    rd_kafka_AdminOptions_t *options CLEANUP(groups_delete_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS);
    rd_kafka_DeleteConsumerGroupOffsets(c->rk, &call, 1, options, c->queue);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(call);
    if (cluster_answer(c, "offsetDelete(api=FIND_COORDINATOR)", &event, f) != 0)
        return groups_delete_offsets_whole(f, parts);
    const rd_kafka_group_result_t **list = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
        rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &count);
    if (count != 1)
        return fault_set(f, FAULT_KAFKA, "%zu groups in the answer, of 1", count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(list[0]);
    const rd_kafka_topic_partition_list_t *done = rd_kafka_group_result_partitions(list[0]);
    for (int i = 0; i < ask->cnt; i++) {
        const rd_kafka_topic_partition_t *asked = &ask->elems[i];
        rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_find(parts, asked->topic, asked->partition);
        const rd_kafka_topic_partition_t *told =
            done != NULL ? rd_kafka_topic_partition_list_find(done, asked->topic, asked->partition)
                         : NULL;
        part->err = error != NULL  ? rd_kafka_error_code(error)
                    : told != NULL ? told->err
                                   : RD_KAFKA_RESP_ERR_UNKNOWN;
    }
    return 0;
}

int groups_delete_offsets(const struct opts *o, struct cluster *c, struct fault *f)
{
    size_t at = 0;
    rd_kafka_resp_err_t first = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *parts CLEANUP(groups_parts_cleanup) =
        rd_kafka_topic_partition_list_new(8);
    rd_kafka_topic_partition_list_t *ask CLEANUP(groups_parts_cleanup) =
        rd_kafka_topic_partition_list_new(8);
    const char *group = opts_next(o, GROUPS_GROUP, &at);
    if (opts_next(o, GROUPS_GROUP, &at) != NULL)
        return fault_set(f, "joptsimple.MultipleArgumentsForOptionException",
                         "Found multiple arguments for option group, but you asked for only one");
    int rc = groups_topics(o, c, true, parts, f);
    for (int i = 0; i < parts->cnt; i++)
        if (parts->elems[i].partition >= 0)
            (void)rd_kafka_topic_partition_list_add(ask, parts->elems[i].topic,
                                                    parts->elems[i].partition);
        else
            parts->elems[i].err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (rc == 0)
        rc = groups_delete_offsets_call(c, group, ask, parts, f);
    if (rc != 0)
        return rc;
    for (int i = 0; i < parts->cnt && first == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        if (parts->elems[i].partition >= 0)
            first = parts->elems[i].err;
    groups_delete_offsets_told(o, group, first);
    groups_delete_offsets_rows(parts);
    return 0;
}

/* ---- --delete -------------------------------------------------------------------------------- */

static void groups_delete_print(const rd_kafka_group_result_t **list, size_t count)
{
    size_t failed = 0;
    const char *comma = "";
    for (size_t i = 0; i < count; i++)
        failed += rd_kafka_group_result_error(list[i]) != NULL;
    if (failed > 0)
        (void)printf("\nError: Deletion of some consumer groups failed:\n");
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(list[i]);
        if (error != NULL)
            (void)printf("* Group '%s' could not be deleted due to: "
                         "java.util.concurrent.ExecutionException: %s: %s\n",
                         rd_kafka_group_result_name(list[i]),
                         fault_exception(rd_kafka_error_code(error)),
                         fault_text(rd_kafka_error_code(error)));
    }
    if (failed == count && count > 0)
        return;
    (void)printf(failed > 0 ? "\nThese consumer groups were deleted successfully: '"
                            : "Deletion of requested consumer groups ('");
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_group_result_error(list[i]) == NULL) {
            (void)printf("%s%s", comma, rd_kafka_group_result_name(list[i]));
            comma = failed > 0 ? "', '" : ", ";
        }
    (void)printf(failed > 0 ? "'\n" : "') was successful.\n");
}

/* The groups that --group or --all-groups name. */
static int groups_delete_chosen(const struct opts *o, struct cluster *c,
                                rd_kafka_DeleteGroup_t ***out, size_t *count, struct fault *f)
{
    struct groups_set set = {0};
    size_t at = 0;
    bool all = opts_has(o, GROUPS_ALL_GROUPS);
    int rc = all ? groups_listed(c, &set, f) : 0;
    if (rc != 0)
        return rc;
    size_t size = (set.count + o->count + 1) * sizeof(void *);
    rd_kafka_DeleteGroup_t **items = assert_memory(calloc(1, size), size);
    *count = 0;
    for (size_t i = 0; i < set.count; i++)
        items[(*count)++] = rd_kafka_DeleteGroup_new(set.items[i].name);
    for (const char *name = all ? NULL : opts_next(o, GROUPS_GROUP, &at); name != NULL;
         name = opts_next(o, GROUPS_GROUP, &at))
        items[(*count)++] = rd_kafka_DeleteGroup_new(name);
    groups_set_deinit(&set);
    *out = items;
    return 0;
}

int groups_delete(const struct opts *o, struct cluster *c, struct fault *f)
{
    size_t count = 0;
    size_t asked = 0;
    rd_kafka_DeleteGroup_t **items = NULL;
    const rd_kafka_group_result_t **results = NULL;
    rd_kafka_event_t *event CLEANUP(groups_event_cleanup) = NULL;
    rd_kafka_AdminOptions_t *options CLEANUP(groups_delete_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
    int rc = groups_delete_chosen(o, c, &items, &asked, f);
    if (rc != 0)
        return rc;
    if (asked > 0) {
        rd_kafka_DeleteGroups(c->rk, items, asked, options, c->queue);
        rc = cluster_answer(c, "deleteConsumerGroups(api=FIND_COORDINATOR)", &event, f);
    }
    if (rc == 0 && asked > 0)
        results =
            rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    if (rc == 0)
        groups_delete_print(results, count);
    rd_kafka_DeleteGroup_destroy_array(items, asked);
    free(items);
    return rc;
}
