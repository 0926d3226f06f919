/* SPDX-License-Identifier: MIT
 *
 * kafka_nodes: the cluster as clients are told of it: its brokers and their addresses, which of
 * them leads, and what is out of reach.
 *
 *   this broker      by the address that the client dialled, or that of its listener: it is there
 *   another          as it has registered; not told when it left, or has no address for clients
 *   leader           of the cluster or of a partition: -1 when it is not known, or the record still
 *                    names this broker, which does not lead (yet, or any more)
 *   offline          only the leader knows: replicas that are not registered with it, or have been
 *                    silent for KAFKA_SILENT_MS
 *   gone             likewise, and after a while: not told in Metadata, as Kafka leaves out fenced
 *                    brokers, because some clients dial for ever what is named there
 *
 * Invariants: N1 what is made here borrows from the broker until its next turn, so it ends up in an
 * answer that is encoded at once, or is not used later.
 * Failures: the arena of the call is used up: NULL or false.
 */
#include "net/kafka/kafka_nodes.h"

#define KAFKA_SILENT_MS 10000
#define KAFKA_COME_US   5000000 /* a new leader's followers have so long to come to it */

/* --- brokers ---------------------------------------------------------------------------------- */

static struct slice kafka_nodes_text(const char *text)
{
    return text[0] == '\0' ? SLICE_NULL : slice_str(text);
}

static void kafka_nodes_here(struct kafka_call *c, struct kafka_node *n)
{
    struct kafka_address here = kafka_here(c);
    n->host = here.host;
    n->port = here.port;
    n->rack = kafka_nodes_text(c->k->rack);
    n->told = true;
}

/* Room for one more, in the order of ids. */
static struct kafka_node *kafka_nodes_add(struct kafka_nodes *all, int32_t id)
{
    size_t at = all->count++;
    for (; at > 0 && all->v[at - 1].id > id; at--)
        all->v[at] = all->v[at - 1];
    all->v[at] = (struct kafka_node){.id = id};
    return &all->v[at];
}

static void kafka_nodes_take(struct kafka_call *c, struct kafka_nodes *all,
                             const struct broker_member *m)
{
    struct kafka_node *n = kafka_nodes_add(all, m->id);
    if (m->self) {
        kafka_nodes_here(c, n);
        return;
    }
    n->host = slice_str(m->kafka_host);
    n->port = m->kafka_port;
    n->rack = kafka_nodes_text(m->rack);
    n->told = !m->left && m->kafka_host[0] != '\0' && m->kafka_port > 0;
    n->silent = all->leads && (m->left || m->silent_ms < 0 || m->silent_ms > KAFKA_SILENT_MS);
    n->gone = n->silent && (m->silent_ms >= 0 || c->began_us - c->k->led_us > KAFKA_COME_US);
}

struct kafka_nodes *kafka_nodes(struct kafka_call *c)
{
    const struct broker *b = c->k->options.broker;
    struct broker_cluster_info info;
    struct broker_member m;
    size_t count = 0;
    while (broker_member(b, count, &m) == 0)
        count++;
    struct kafka_nodes *all = kafka_alloc(c, 1, sizeof *all);
    struct kafka_node *v = kafka_alloc(c, count + 1, sizeof *v);
    if (all == NULL || v == NULL)
        return NULL;
    broker_cluster_info(b, &info);
    all->v = v;
    all->self = c->k->node_id;
    all->leads = info.changes_here;
    if (!all->leads)
        c->k->led_us = 0;
    else if (c->k->led_us == 0)
        c->k->led_us = c->began_us;
    all->leader = info.leader == all->self && !all->leads ? -1 : info.leader;
    for (size_t i = 0; broker_member(b, i, &m) == 0; i++)
        kafka_nodes_take(c, all, &m);
    ASSERT(all->count == count);
    if (kafka_nodes_find(all, all->self) == NULL) /* not registered yet, but answering */
        kafka_nodes_here(c, kafka_nodes_add(all, all->self));
    return all;
}

struct kafka_node *kafka_nodes_find(const struct kafka_nodes *all, int32_t id)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->v[i].id == id)
            return &all->v[i];
    return NULL;
}

struct kafka_node *kafka_nodes_told(const struct kafka_nodes *all, int32_t id)
{
    struct kafka_node *n = kafka_nodes_find(all, id);
    return n != NULL && n->told ? n : NULL;
}

/* --- partitions ------------------------------------------------------------------------------- */

int32_t kafka_nodes_leader(const struct kafka_nodes *all, const struct broker_partition_info *info)
{
    return info->leader == all->self && !all->leads ? -1 : info->leader;
}

static bool kafka_nodes_offline(const struct kafka_nodes *all, int32_t id)
{
    const struct kafka_node *n = kafka_nodes_find(all, id);
    return all->leads && (n == NULL || n->silent);
}

static struct kp_i32s kafka_nodes_ids(const int32_t *v, size_t count)
{
    if (count == 1 && v[0] < 0) /* where the leader alone has it, and nobody leads */
        count = 0;
    return (struct kp_i32s){v, (int32_t)count};
}

bool kafka_nodes_partition(struct kafka_call *c, const struct kafka_nodes *all,
                           const struct broker_partition_info *info, struct kafka_led *out)
{
    int32_t leader = kafka_nodes_leader(all, info);
    size_t count = 0;
    *out = (struct kafka_led){.leader = leader, .epoch = info->epoch};
    if (kafka_nodes_told(all, leader) == NULL) {
        out->leader = -1;
        out->error = KAFKA_LEADER_NOT_AVAILABLE;
    }
    out->replicas = kafka_nodes_ids(info->replicas, info->replica_count);
    out->in_sync = kafka_nodes_ids(info->isr, info->isr_count);
    out->eligible = kafka_nodes_ids(info->elr, info->elr_count);
    for (int32_t i = 0; i < out->replicas.count; i++)
        count += kafka_nodes_offline(all, out->replicas.v[i]);
    if (count == 0)
        return true;
    int32_t *v = kafka_alloc(c, count, sizeof *v);
    if (v == NULL)
        return false;
    out->offline.v = v;
    for (int32_t i = 0; i < out->replicas.count; i++)
        if (kafka_nodes_offline(all, out->replicas.v[i]))
            v[out->offline.count++] = out->replicas.v[i];
    return true;
}

/* --- whom to ask instead (KIP-951) ------------------------------------------------------------ */

struct kafka_hint kafka_nodes_hint(struct kafka_call *c, struct kafka_nodes **all,
                                   const struct kafka_hint_of *of)
{
    struct kafka_hint none = {-1, -1};
    struct broker_partition_info info;
    bool wrong = of->error == KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (!wrong && of->error != KAFKA_FENCED_LEADER_EPOCH)
        return none;
    if (*all == NULL)
        *all = kafka_nodes(c);
    if (*all == NULL ||
        broker_partition(c->k->options.broker, of->topic, of->index, false, &info) != 0)
        return none;
    int32_t leader = kafka_nodes_leader(*all, &info);
    if (leader < 0 || (wrong && leader == (*all)->self)) /* it will be ready soon */
        return none;
    struct kafka_node *n = kafka_nodes_told(*all, leader);
    if (n != NULL)
        n->hinted = true;
    return (struct kafka_hint){leader, info.epoch};
}

size_t kafka_nodes_hinted(const struct kafka_nodes *all)
{
    size_t count = 0;
    for (size_t i = 0; all != NULL && i < all->count; i++)
        count += all->v[i].hinted;
    return count;
}
