/* SPDX-License-Identifier: MIT
 *
 * client_parts: see client_parts.h.
 */
#include "net/client/client_parts.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"

int client_parts_order(const char *topic_a, int32_t a, const char *topic_b, int32_t b)
{
    int order = strcmp(topic_a, topic_b);
    return order != 0 ? order : (a > b) - (a < b);
}

void client_parts_deinit(struct client_parts *p)
{
    for (size_t i = 0; i < p->name_count; i++)
        free(p->names[i]);
    free(p->names);
    free(p->items);
    *p = (struct client_parts){0};
}

static int client_parts_sort(const void *a, const void *b)
{
    const struct kauri_topic_partition *pa = a;
    const struct kauri_topic_partition *pb = b;
    return client_parts_order(pa->topic, pa->partition, pb->topic, pb->partition);
}

static bool client_parts_count(const Kauri__GroupTopics *from, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < from->n_topics; i++) {
        if (from->topics[i]->n_partitions > CLIENT_PARTS_MAX - *count)
            return false;
        *count += from->topics[i]->n_partitions;
        for (size_t j = 0; j < from->topics[i]->n_partitions; j++)
            if (from->topics[i]->partitions[j] < 0)
                return false;
    }
    return true;
}

static void client_parts_unique(struct client_parts *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (kept == 0 || client_parts_sort(&p->items[kept - 1], &p->items[i]) < 0)
            p->items[kept++] = p->items[i];
    p->count = kept;
}

bool client_parts_take(struct client_parts *out, const Kauri__GroupTopics *from)
{
    size_t count;
    client_parts_deinit(out);
    if (!client_parts_count(from, &count))
        return false;
    out->items = calloc(count + 1, sizeof *out->items);
    out->names = calloc(from->n_topics + 1, sizeof *out->names);
    ASSERT(out->items != NULL && out->names != NULL);
    for (size_t i = 0; i < from->n_topics; i++) {
        const Kauri__GroupTopic *t = from->topics[i];
        char *name = out->names[out->name_count++] = strdup(t->topic);
        ASSERT(name != NULL);
        for (size_t j = 0; j < t->n_partitions; j++)
            out->items[out->count++] = (struct kauri_topic_partition){name, t->partitions[j]};
    }
    ASSERT(out->count == count);
    qsort(out->items, out->count, sizeof *out->items, client_parts_sort);
    client_parts_unique(out);
    return true;
}

static int client_parts_sort_assigned(const void *a, const void *b)
{
    const struct client_assignment *pa = *(struct client_assignment *const *)a;
    const struct client_assignment *pb = *(struct client_assignment *const *)b;
    return client_parts_order(pa->topic, pa->partition, pb->topic, pb->partition);
}

struct client_assignment **client_parts_assigned(struct kauri *k, size_t *count)
{
    *count = 0;
    if (k->consume.count == 0)
        return NULL;
    struct client_assignment **list = calloc(k->consume.count, sizeof *list);
    ASSERT(list != NULL);
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        if (a->grouped)
            list[(*count)++] = a;
    }
    qsort(list, *count, sizeof *list, client_parts_sort_assigned);
    return list;
}

struct client_assignment *client_parts_find(struct client_assignment *const *sorted, size_t count,
                                            const char *topic, int32_t partition)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct client_assignment *a = sorted[middle];
        int order = client_parts_order(a->topic, a->partition, topic, partition);
        if (order == 0)
            return a;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
