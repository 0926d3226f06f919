/* SPDX-License-Identifier: MIT
 *
 * client_topic: what the client remembers of topics: the number of partitions, and the producer's
 * state of each partition used.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

static struct client_topic *client_topic_free(struct client_topic *t)
{
    for (int32_t i = 0; i < t->part_cap; i++)
        (void)client_part_free(t->parts[i]);
    free(t->parts);
    free(t->name);
    free(t);
    return NULL;
}

void client_topics_free(struct kauri *k)
{
    size_t at = 0;
    for (struct client_topic *t = map_next(&k->topics, &at); t != NULL;
         t = map_next(&k->topics, &at))
        (void)client_topic_free(t);
    map_deinit(&k->topics);
}

/* Takes in the partition count; a topic that shrank (deleted, created anew) keeps its old slots. */
static void client_topic_resize(struct client_topic *t, int32_t count)
{
    ASSERT(count > 0);
    if (count > t->part_cap) {
        struct client_part **parts = calloc((size_t)count, sizeof *parts);
        ASSERT(parts != NULL);
        for (int32_t i = 0; i < t->part_cap; i++)
            parts[i] = t->parts[i];
        free(t->parts);
        t->parts = parts;
        t->part_cap = count;
    }
    t->partition_count = count;
    if (t->next >= count)
        t->next = 0;
    t->stale = false;
}

static struct client_topic *client_topic_put(struct kauri *k, const char *name)
{
    struct client_topic *t = map_get(&k->topics, slice_str(name));
    if (t != NULL)
        return t;
    t = calloc(1, sizeof *t);
    ASSERT(t != NULL);
    t->name = strdup(name);
    ASSERT(t->name != NULL);
    (void)map_put(&k->topics, slice_str(t->name), t);
    return t;
}

/* The answer's partition count for the topic; 0 when the answer does not hold it. */
static int32_t client_topic_count(const Kauri__Answer *a, const char *name)
{
    if (a->answer_case != KAURI__ANSWER__ANSWER_TOPIC_LIST || a->topic_list->n_topics != 1)
        return 0;
    const Kauri__TopicInfo *info = a->topic_list->topics[0];
    return strcmp(info->name, name) == 0 && info->partition_count > 0 ? info->partition_count : 0;
}

static int client_topic_ask(struct kauri *k, const char *name, bool create, int32_t *count)
{
    Kauri__TopicList list;
    kauri__topic_list__init(&list);
    Kauri__Call content;
    kauri__call__init(&content);
    list.name = frame_borrow(name);
    list.create = create;
    content.call_case = KAURI__CALL__CALL_TOPIC_LIST;
    content.topic_list = &list;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r != 0)
        return r;
    Kauri__Status status = ask.status;
    *count = client_topic_count(ask.answer.answer, name);
    if (status == KAURI__STATUS__OK && *count > 0)
        return 0;
    if (status == KAURI__STATUS__OK)
        status = KAURI__STATUS__UNKNOWN_TOPIC;
    client_status_explain(status, ask.answer.answer->message, name, -1, k->message);
    return client_status_error(status);
}

int client_topic_get(struct kauri *k, const char *name, bool create, struct client_topic **out)
{
    struct client_topic *t = map_get(&k->topics, slice_str(name));
    if (t != NULL && !t->stale) {
        *out = t;
        return 0;
    }
    if (name[0] == '\0')
        return client_fail(k, KAURI_BAD_NAME, "topic \"\" is not a valid name");
    int32_t count = 0;
    int r = client_topic_ask(k, name, create, &count);
    if (r != 0)
        return r;
    t = client_topic_put(k, name);
    client_topic_resize(t, count);
    *out = t;
    return 0;
}

struct client_part *client_topic_part(struct client_topic *t, int32_t index)
{
    ASSERT(index >= 0 && index < t->part_cap);
    if (t->parts[index] != NULL)
        return t->parts[index];
    struct client_part *part = calloc(1, sizeof *part);
    ASSERT(part != NULL);
    part->topic = t;
    part->index = index;
    part->producer_id = BATCH_NO_PRODUCER;
    part->epoch = -1;
    list_init(&part->active);
    list_init(&part->queue);
    t->parts[index] = part;
    return part;
}
