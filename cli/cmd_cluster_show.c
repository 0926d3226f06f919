/* SPDX-License-Identifier: MIT
 *
 * cmd_cluster_show: `kauri cluster status` as tables and as JSON.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cmd_cluster_priv.h"

static json_t *cmd_cluster_number(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static const char *cmd_cluster_role(const struct kauri_cluster *t,
                                    const struct kauri_cluster_broker *b)
{
    if (b->left)
        return "left";
    if (b->id == t->leader)
        return "leader";
    if (t->leader == t->id && b->silent_ms < 0)
        return "away";
    return "follower";
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *cmd_cluster_ids_json(const int32_t *ids, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *cmd_cluster_broker_json(const struct kauri_cluster *t,
                                       const struct kauri_cluster_broker *b)
{
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:i, s:s}", "id", b->id, "role",
                          cmd_cluster_role(t, b), "native", b->native, "kafka_host", b->kafka_host,
                          "kafka_port", b->kafka_port, "rack", b->rack);
    (void)json_object_set_new(o, "silent_ms", cmd_cluster_number(b->silent_ms));
    (void)json_object_set_new(o, "leading", json_integer(b->leading));
    (void)json_object_set_new(o, "replicas", json_integer(b->replicas));
    (void)json_object_set_new(o, "in_sync", json_integer(b->in_sync));
    (void)json_object_set_new(o, "lag", cmd_cluster_number(b->lag));
    (void)json_object_set_new(o, "lag_bytes", cmd_cluster_number(b->lag < 0 ? -1 : b->lag_size));
    (void)json_object_set_new(o, "behind_ms", cmd_cluster_number(b->lag < 0 ? -1 : b->behind_ms));
    return o;
}

static json_t *cmd_cluster_partition_json(const struct kauri_cluster_partition *p)
{
    json_t *o = json_pack("{s:s, s:i, s:i, s:i}", "topic", p->topic, "partition", p->partition,
                          "leader", p->leader, "epoch", p->epoch);
    json_t *followers = json_array();
    for (size_t i = 0; i < p->follower_count; i++) {
        const struct kauri_cluster_follower *f = &p->followers[i];
        json_t *j = json_pack("{s:i, s:b}", "id", f->id, "in_sync", f->in_sync);
        (void)json_object_set_new(j, "end", cmd_cluster_number(f->end));
        (void)json_object_set_new(j, "lag", cmd_cluster_number(f->lag));
        (void)json_object_set_new(j, "lag_bytes", cmd_cluster_number(f->lag_size));
        (void)json_object_set_new(j, "caught_up_ms", cmd_cluster_number(f->caught_up_ms));
        (void)json_object_set_new(j, "since_ms", cmd_cluster_number(f->since_ms));
        (void)json_array_append_new(followers, j);
    }
    (void)json_object_set_new(o, "replicas", cmd_cluster_ids_json(p->replicas, p->replica_count));
    (void)json_object_set_new(o, "in_sync", cmd_cluster_ids_json(p->in_sync, p->in_sync_count));
    (void)json_object_set_new(o, "eligible", cmd_cluster_ids_json(p->eligible, p->eligible_count));
    (void)json_object_set_new(o, "end", cmd_cluster_number(p->end));
    (void)json_object_set_new(o, "followers", followers);
    (void)json_object_set_new(o, "fenced", json_boolean(p->fenced));
    return o;
}

static void cmd_cluster_json(const struct cmd_cluster_view *v, bool partitions)
{
    const struct kauri_cluster *t = v->told;
    json_t *brokers = json_array();
    json_t *list = json_array();
    for (size_t i = 0; i < t->broker_count; i++)
        (void)json_array_append_new(brokers, cmd_cluster_broker_json(t, &t->brokers[i]));
    for (size_t i = 0; i < t->listed_count; i++)
        (void)json_array_append_new(list, cmd_cluster_partition_json(&t->partitions[i]));
    json_t *o = json_pack("{s:i, s:s, s:I, s:o}", "told_by", t->id, "role", t->role, "term",
                          (json_int_t)t->term, "leader", cmd_cluster_number(t->leader));
    (void)json_object_set_new(o, "leader_native", json_string(t->native));
    (void)json_object_set_new(o, "leader_answers", json_boolean(t->leader >= 0 && !v->silent));
    (void)json_object_set_new(o, "partition_count", json_integer(t->partition_count));
    (void)json_object_set_new(o, "leaderless", json_integer(t->leaderless));
    (void)json_object_set_new(o, "under_replicated", json_integer(t->under_replicated));
    (void)json_object_set_new(o, "trouble", json_string(v->trouble));
    (void)json_object_set_new(o, "fenced_here", json_integer(v->fenced));
    (void)json_object_set_new(o, "brokers", brokers);
    if (partitions)
        (void)json_object_set(o, "partitions", list);
    json_decref(list);
    out_json(o);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void cmd_cluster_heading(const struct cmd_cluster_view *v)
{
    const struct kauri_cluster *t = v->told;
    if (strcmp(t->role, "alone") == 0)
        (void)printf("broker %d is alone", t->id);
    else if (t->leader < 0)
        (void)printf("no broker leads, says broker %d (%s), term %u", t->id, t->role, t->term);
    else
        (void)printf("broker %d leads%s, term %u", t->leader, v->silent ? ", and is silent" : "",
                     t->term);
    (void)printf("; %u partition%s, %u under-replicated", t->partition_count,
                 t->partition_count == 1 ? "" : "s", t->under_replicated);
    if (t->leaderless > 0)
        (void)printf(", %u without a leader", t->leaderless);
    (void)printf("\n");
}

static const char *cmd_cluster_time(char text[OUT_TEXT_MAX], int64_t ms)
{
    if (ms < 0)
        return "-";
    (void)snprintf(text, OUT_TEXT_MAX, "%" PRId64 ".%" PRId64 " s", ms / 1000, ms % 1000 / 100);
    return text;
}

static const char *cmd_cluster_ago(char text[OUT_TEXT_MAX], int64_t ms)
{
    char time[OUT_TEXT_MAX];
    if (ms < 0)
        return "-";
    (void)snprintf(text, OUT_TEXT_MAX, "%.32s ago", cmd_cluster_time(time, ms));
    return text;
}

static void cmd_cluster_brokers(const struct kauri_cluster *t)
{
    static const char *const heads[] = {"BROKER",  "ROLE", "NATIVE", "KAFKA", "HEARD",
                                        "IN SYNC", "LAG",  "BYTES",  "BEHIND"};
    struct out_table table = {.align = "rlllrrrrr"};
    char text[320];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < t->broker_count; i++) {
        const struct kauri_cluster_broker *b = &t->brokers[i];
        out_table_add(&table, out_count(text, b->id));
        out_table_add(&table, cmd_cluster_role(t, b));
        out_table_add(&table, b->native[0] != '\0' ? b->native : "-");
        (void)snprintf(text, sizeof text, "%.255s:%d", b->kafka_host, b->kafka_port);
        out_table_add(&table, b->kafka_host[0] != '\0' ? text : "-");
        out_table_add(&table, b->id == t->leader || b->id == t->id
                                  ? "-"
                                  : cmd_cluster_ago(text, b->silent_ms));
        (void)snprintf(text, sizeof text, "%u/%u", b->in_sync, b->replicas);
        out_table_add(&table, text);
        bool known = b->id != t->leader && b->lag >= 0;
        out_table_add(&table, known ? out_count(text, b->lag) : "-");
        out_table_add(&table, known ? out_size(text, b->lag_size) : "-");
        out_table_add(&table, known ? cmd_cluster_time(text, b->behind_ms) : "-");
    }
    out_table_end(&table);
}

static void cmd_cluster_ids(struct buf *out, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%d", i > 0 ? "," : "", ids[i]);
    buf_append_u8(out, 0);
}

/* "2: 0 in sync for 61.0 s, 3: 1200 (3.4 MiB, 12.0 s) out for 2.1 s" */
static void cmd_cluster_followers(struct buf *out, const struct kauri_cluster_partition *p)
{
    char text[OUT_TEXT_MAX], size[OUT_TEXT_MAX];
    for (size_t i = 0; i < p->follower_count; i++) {
        const struct kauri_cluster_follower *f = &p->followers[i];
        buf_printf(out, "%s%d: %s", i > 0 ? ", " : "", f->id, out_count(text, f->lag));
        if (f->lag > 0)
            buf_printf(out, " (%s, %s)", out_size(size, f->lag_size),
                       cmd_cluster_time(text, f->caught_up_ms));
        buf_printf(out, " %s for %s", f->in_sync ? "in sync" : "out",
                   cmd_cluster_time(text, f->since_ms));
    }
    if (p->follower_count == 0)
        buf_printf(out, "-");
    buf_append_u8(out, 0);
}

static void cmd_cluster_partitions(const struct kauri_cluster *t)
{
    static const char *const heads[] = {"TOPIC", "PART",     "LEADER",  "EPOCH",
                                        "END",   "REPLICAS", "IN SYNC", "LAG OF FOLLOWERS"};
    struct out_table table = {.align = "lrrrrlll"};
    char text[OUT_TEXT_MAX];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < t->listed_count; i++) {
        const struct kauri_cluster_partition *p = &t->partitions[i];
        struct buf cells = {0};
        out_table_add(&table, p->topic);
        out_table_add(&table, out_count(text, p->partition));
        out_table_add(&table, out_count(text, p->leader));
        out_table_add(&table, out_count(text, p->epoch));
        out_table_add(&table, out_count(text, p->end));
        cmd_cluster_ids(&cells, p->replicas, p->replica_count);
        out_table_add(&table, (const char *)cells.p);
        buf_reset(&cells);
        cmd_cluster_ids(&cells, p->in_sync, p->in_sync_count);
        out_table_add(&table, (const char *)cells.p);
        buf_reset(&cells);
        cmd_cluster_followers(&cells, p);
        out_table_add(&table, (const char *)cells.p);
        buf_deinit(&cells);
    }
    out_table_end(&table);
}

void cmd_cluster_show(const struct args *a, const struct cmd_cluster_view *v, bool partitions)
{
    if (a->json) {
        cmd_cluster_json(v, partitions);
        return;
    }
    cmd_cluster_heading(v);
    if (partitions)
        cmd_cluster_partitions(v->told);
    else
        cmd_cluster_brokers(v->told);
}
