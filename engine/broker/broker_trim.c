/* SPDX-License-Identifier: MIT
 *
 * broker_trim: the log start of a partition moves because somebody asked for it (DeleteRecords).
 *
 *   trim -> the partition is opened -> asked of it -> a round of it writes the new start and
 *   removes segments below it -> answered
 *
 * A request waits in broker->trims while the partition is opened or its round is on the way. What a
 * round cannot do for lack of space stays asked for, and the request waits; a stop refuses it.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

static void broker_trim_waited(struct broker_admin *a, struct bpart *p)
{
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    ASSERT(a->op == BROKER_TOPIC_TRIM);
    a->log_start = p->part->log_start;
    a->status = BROKER_OK;
    broker_admin_ready(p->broker, a);
}

/* Called when a round of the partition ended. */
void broker_trim_done(struct broker *b, struct bpart *p)
{
    LIST_EACH_SAFE (node, &b->trims) {
        struct broker_admin *a = LIST_ENTRY(node, struct broker_admin, priv.ready);
        ASSERT(a->op == BROKER_TOPIC_TRIM && a->priv.state != NULL);
        if (a->priv.state != p || (p->state == BPART_ONLINE && p->part->trim_to >= 0))
            continue;
        list_remove(node);
        if (p->state == BPART_ONLINE)
            broker_trim_waited(a, p);
        else
            broker_admin_refuse(b, a, BROKER_UNKNOWN_TOPIC, "%s", "");
    }
}

void broker_trim_loaded(struct broker *b, struct bpart *p)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &b->trims);
    for (struct list *n = list_pop(&batch); n != NULL; n = list_pop(&batch)) {
        struct broker_admin *a = LIST_ENTRY(n, struct broker_admin, priv.ready);
        ASSERT(a->op == BROKER_TOPIC_TRIM && a->priv.state != NULL);
        if (a->priv.state != p) {
            list_add_tail(&b->trims, n);
        } else if (b->stopping) {
            broker_admin_refuse(b, a, BROKER_STOPPING, "%s", "");
        } else if (p->state == BPART_IDLE) { /* no space to open it: not again at once */
            broker_admin_refuse(b, a, BROKER_DISK_FULL, "%s", "");
        } else {
            broker_trim(b, a);
        }
    }
}

void broker_trim_fail_all(struct broker *b)
{
    ASSERT(b->stopping);
    for (struct list *n = list_pop(&b->trims); n != NULL; n = list_pop(&b->trims)) {
        struct broker_admin *a = LIST_ENTRY(n, struct broker_admin, priv.ready);
        broker_admin_refuse(b, a, BROKER_STOPPING, "%s", "");
    }
}

void broker_trim(struct broker *b, struct broker_admin *a)
{
    ASSERT(a->op == BROKER_TOPIC_TRIM);
    struct topic *t = broker_admin_topic(b, a);
    if (t == NULL)
        return;
    struct bpart *p = broker_find_part(t, a->partitions);
    if (p == NULL) {
        broker_admin_refuse(b, a, BROKER_UNKNOWN_PARTITION, "%s", "");
        return;
    }
    if (t->limits.compacted && !t->limits.expires) {
        broker_admin_refuse(b, a, BROKER_DENIED,
                            "cleanup.policy of topic \"%s\" is compact alone: its records are not "
                            "deleted by offset",
                            t->name);
        return;
    }
    enum broker_status s = bpart_use_here(p);
    if (s == BROKER_LOADING) {
        a->priv.state = p;
        list_add_tail(&b->trims, &a->priv.ready);
        return;
    }
    if (s != BROKER_OK) {
        broker_admin_refuse(b, a, s, "%s", "");
        return;
    }
    ASSERT(p->part != NULL && p->topic == t);
    int64_t to = a->before == -1 ? bpart_visible(p) : a->before;
    if (to < 0 || to > bpart_visible(p)) {
        broker_admin_refuse(b, a, BROKER_OFFSET_OUT_OF_RANGE, "%s-%d ends at %lld", t->name,
                            p->index, (long long)bpart_visible(p));
        return;
    }
    if (to <= p->part->kept_start && p->part->trim_to < 0) { /* and durably so */
        broker_trim_waited(a, p);
        return;
    }
    part_trim(p->part, to);
    ASSERT(p->part->trim_to >= to);
    a->priv.state = p;
    list_add_tail(&b->trims, &a->priv.ready);
    bpart_due(p);
}
