/* SPDX-License-Identifier: MIT
 *
 * http_state: see http_state.h.
 */
#include "net/http/http_state.h"

#include <jansson.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/broker/broker.h"
#include "engine/broker/broker_counters.h"
#include "engine/broker/broker_group.h"
#include "net/http/http_text.h"

static json_t *http_state_text(struct slice s)
{
    struct buf text = {0};
    http_text_utf8(&text, s);
    json_t *j = json_stringn((const char *)text.p, text.size);
    buf_deinit(&text);
    ASSERT(j != NULL);
    return j;
}

static json_t *http_state_known(int64_t figure)
{
    return figure < 0 ? json_null() : json_integer(figure);
}

static void http_state_add(json_t *o, const char *key, json_t *value)
{
    int r = json_object_set_new(o, key, value);
    ASSERT(r == 0);
}

static json_t *http_state_broker(const struct http_options *o)
{
    struct broker_info b;
    struct broker_counters c;
    broker_info(o->broker, &b);
    broker_counters(o->broker, &c);
    json_t *j = json_object();
    http_state_add(j, "version", json_string(o->version));
    http_state_add(j, "cluster_id", json_string(b.cluster_id));
    http_state_add(j, "node_id", json_integer(b.node_id));
    http_state_add(j, "up_ms", json_integer(o->clock->wall_ms(o->clock) - c.opened_ms));
    http_state_add(j, "topics", json_integer((json_int_t)b.topics));
    http_state_add(j, "partitions", json_integer((json_int_t)b.partitions));
    http_state_add(j, "disk_free", json_integer((json_int_t)b.disk_free_size));
    http_state_add(j, "disk_size", json_integer((json_int_t)c.disk_size));
    http_state_add(j, "disk_full", json_boolean(b.disk_full));
    http_state_add(j, "stopping", json_boolean(c.stopping));
    http_state_add(j, "jobs", json_integer((json_int_t)c.jobs));
    http_state_add(j, "in_flight", json_integer((json_int_t)c.in_flight_size));
    return j;
}

static json_t *http_state_fronts(const struct http_options *o)
{
    json_t *list = json_array();
    struct http_watch *w = assert_memory(calloc(1, sizeof *w), sizeof *w);
    if (o->watch != NULL)
        o->watch(o->ctx, w);
    for (size_t i = 0; i < w->front_count; i++) {
        const struct http_front *f = &w->fronts[i];
        json_t *j = json_object();
        http_state_add(j, "front", json_string(f->name));
        http_state_add(j, "connections", json_integer((json_int_t)f->connections));
        http_state_add(j, "running", json_integer((json_int_t)f->running));
        http_state_add(j, "in_flight", json_integer((json_int_t)f->in_flight_size));
        http_state_add(j, "refused", json_integer((json_int_t)f->refused));
        (void)json_array_append_new(list, j);
    }
    free(w);
    return list;
}

static void http_state_peer(void *arg, const struct http_peer *p)
{
    json_t *j = json_object();
    http_state_add(j, "front", json_string(p->front));
    http_state_add(j, "id", json_integer((json_int_t)p->id));
    http_state_add(j, "address", json_string(p->address));
    http_state_add(j, "unsent", json_integer((json_int_t)p->out_size));
    (void)json_array_append_new(arg, j);
}

/* --- topics ----------------------------------------------------------------------------------- */

/* Adds the sums over the partitions; null where one of them is not known, or they are too many. */
static void http_state_sums(const struct http_options *o, const struct broker_topic_info *t,
                            json_t *j)
{
    int64_t records = 0, bytes = 0;
    for (int32_t k = 0; k < t->partition_count && records >= 0; k++) {
        struct broker_partition_info p;
        bool known = t->partition_count <= HTTP_STATE_PARTITIONS &&
                     broker_partition(o->broker, t->name, k, false, &p) == 0 &&
                     p.high_watermark >= 0;
        records = known ? records + (p.high_watermark - p.log_start) : -1;
        bytes = known ? bytes + (int64_t)p.size : -1;
    }
    http_state_add(j, "records", http_state_known(records));
    http_state_add(j, "bytes", http_state_known(bytes));
}

static json_t *http_state_topics(const struct http_options *o, const char *after, json_t **next)
{
    struct broker_topic_info t;
    struct slice last = after != NULL ? slice_str(after) : SLICE_NULL;
    json_t *list = json_array();
    int64_t looked = 0;
    while (broker_topic_after(o->broker, last, &t) == 0) {
        if (json_array_size(list) == HTTP_STATE_ROWS || looked >= HTTP_STATE_PARTITIONS) {
            *next = http_state_text(last);
            break;
        }
        json_t *j = json_object();
        http_state_add(j, "name", http_state_text(t.name));
        http_state_add(j, "partitions", json_integer(t.partition_count));
        http_state_add(j, "replication", json_integer(t.replication));
        http_state_add(j, "internal", json_boolean(t.internal));
        http_state_sums(o, &t, j);
        (void)json_array_append_new(list, j);
        looked += t.partition_count;
        last = t.name; /* nothing changes the topics in here */
    }
    return list;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* The first groups behind a name: the broker has them in no order. */
struct http_state_first {
    struct slice after;                          /* p NULL: all */
    struct broker_group_info v[HTTP_STATE_ROWS]; /* by name; nothing changes them in here */
    size_t count;
    bool more;
};

static int http_state_order(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int r = common == 0 ? 0 : memcmp(a.p, b.p, common);
    return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

static void http_state_group(void *ctx, const struct broker_group_info *g)
{
    struct http_state_first *f = ctx;
    if (f->after.p != NULL && http_state_order(g->name, f->after) <= 0)
        return;
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (http_state_order(f->v[mid].name, g->name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    bool full = f->count == HTTP_STATE_ROWS;
    f->more = f->more || full;
    if (low == HTTP_STATE_ROWS)
        return;
    memmove(&f->v[low + 1], &f->v[low], (f->count - full - low) * sizeof f->v[0]);
    f->v[low] = *g;
    f->count += !full;
}

static json_t *http_state_groups(const struct http_options *o, const char *after, json_t **next)
{
    json_t *list = json_array();
    struct http_state_first *f = assert_memory(calloc(1, sizeof *f), sizeof *f);
    f->after = after != NULL ? slice_str(after) : SLICE_NULL;
    if (broker_groups_ready(o->broker) == BROKER_OK)
        broker_groups_each(o->broker, http_state_group, f);
    for (size_t i = 0; i < f->count; i++) {
        const struct broker_group_info *g = &f->v[i];
        json_t *j = json_object();
        http_state_add(j, "group", http_state_text(g->name));
        http_state_add(j, "state", json_string(broker_group_state_text(g->state)));
        http_state_add(j, "type", json_string(broker_group_type_text(g->type)));
        http_state_add(j, "assignor", http_state_text(g->protocol));
        http_state_add(j, "members", json_integer((json_int_t)g->member_count));
        http_state_add(j, "offsets", json_integer((json_int_t)g->offset_count));
        (void)json_array_append_new(list, j);
    }
    if (f->more)
        *next = http_state_text(f->v[f->count - 1].name);
    free(f);
    return list;
}

char *http_state(const struct http_options *o, const char *topics_after, const char *groups_after)
{
    json_t *all = json_object(), *peers = json_array();
    json_t *topics_next = NULL, *groups_next = NULL;
    if (o->peers != NULL)
        o->peers(o->ctx, HTTP_PEERS_MAX, http_state_peer, peers);
    http_state_add(all, "broker", http_state_broker(o));
    http_state_add(all, "fronts", http_state_fronts(o));
    http_state_add(all, "connections", peers);
    http_state_add(all, "topics", http_state_topics(o, topics_after, &topics_next));
    http_state_add(all, "topics_next", topics_next != NULL ? topics_next : json_null());
    http_state_add(all, "groups", http_state_groups(o, groups_after, &groups_next));
    http_state_add(all, "groups_next", groups_next != NULL ? groups_next : json_null());
    char *text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    ASSERT(text != NULL);
    return text;
}
