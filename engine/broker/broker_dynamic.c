/* SPDX-License-Identifier: MIT
 *
 * broker_dynamic: broker configs that change while the broker runs, for this broker alone or for
 * every broker of the cluster.
 *
 *   record              origin
 *   brokercfg/<key>     CONFIG_FROM_DYNAMIC   this broker's: it lies in the log of this node
 *   clustercfg/<key>    CONFIG_FROM_CLUSTER   every broker's
 *
 * The happy path of a change: every entry is judged -> one record for each key that becomes another
 * -> all of them in one batch of __meta (coord_cas_all), durable -> in force -> answered. With
 * `replace`, keys of the same origin that are not named lose their record in the same batch.
 *
 * Failures: one bad entry refuses the whole request; another change of one of the keys under way:
 * BROKER_BUSY; no space: BROKER_DISK_FULL and nothing changed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"

struct broker_dynamic_key {
    const struct config_row *row;
    struct buf key;   /* owned; of the record */
    struct buf value; /* owned; empty, with `unset`: the record goes */
    bool unset;
};

struct broker_dynamic {
    struct broker *broker;
    struct broker_admin *req;
    enum config_origin from;
    struct broker_dynamic_key *keys; /* owned */
    struct coord_op *ops;            /* owned */
    size_t count;
    size_t done;
};

static const char *broker_dynamic_prefix(enum config_origin from)
{
    ASSERT(from == CONFIG_FROM_CLUSTER || from == CONFIG_FROM_DYNAMIC);
    return from == CONFIG_FROM_CLUSTER ? "clustercfg/" : "brokercfg/";
}

static void broker_dynamic_free(struct broker_dynamic *d)
{
    ASSERT(d->count == 0 || d->keys != NULL);
    for (size_t i = 0; i < d->count; i++) {
        buf_deinit(&d->keys[i].key);
        buf_deinit(&d->keys[i].value);
    }
    free(d->keys);
    free(d->ops);
    free(d);
}

static struct broker_dynamic_key *broker_dynamic_find(struct broker_dynamic *d,
                                                      const struct config_row *row)
{
    ASSERT(row != NULL);
    for (size_t i = 0; i < d->count; i++)
        if (d->keys[i].row == row)
            return &d->keys[i];
    return NULL;
}

static struct broker_dynamic_key *broker_dynamic_add(struct broker_dynamic *d,
                                                     const struct config_row *row)
{
    size_t size = (d->count + 1) * sizeof *d->keys;
    ASSERT(broker_dynamic_find(d, row) == NULL);
    d->keys = assert_memory(realloc(d->keys, size), size);
    struct broker_dynamic_key *k = &d->keys[d->count++];
    *k = (struct broker_dynamic_key){.row = row};
    buf_printf(&k->key, "%s%s", broker_dynamic_prefix(d->from), row->name);
    return k;
}

/* Judges one entry. 0, or a condition of config.h with a sentence. */
static int broker_dynamic_entry(struct broker_dynamic *d, const struct broker_config_entry *e,
                                char message[256])
{
    struct buf text CLEANUP(buf_deinit) = {0};
    const struct config_row *row = NULL;
    struct slice value = e->value;
    int r = config_dynamic_find(e->key, &row, message);
    if (r != 0)
        return r;
    if (broker_dynamic_find(d, row) != NULL) {
        (void)snprintf(message, 256, "\"%s\" is named twice", row->name);
        return CONFIG_BAD;
    }
    if (e->edit != CONFIG_EDIT_SET) {
        r = config_edit_list(row, e->edit, config_get(d->broker->env.config, row->name, NULL),
                             value, &text, message);
        value = buf_slice(&text);
    }
    struct broker_dynamic_key *k = r == 0 ? broker_dynamic_add(d, row) : NULL;
    ASSERT((k != NULL) == (r == 0));
    if (k == NULL)
        return r;
    k->unset = value.p == NULL;
    return k->unset ? 0 : config_normalise(row, value, &k->value, message);
}

/* With `replace`: a record that the request does not name. */
static void broker_dynamic_left(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct broker_dynamic *d = ctx;
    char message[256];
    const struct config_row *row = NULL;
    size_t prefix = strlen(broker_dynamic_prefix(d->from));
    ASSERT(key.size > prefix && revision >= 0);
    (void)value;
    int r = config_dynamic_find(slice_of(key.p + prefix, key.size - prefix), &row, message);
    if (r != 0 || broker_dynamic_find(d, row) != NULL)
        return; /* of a newer version, or named */
    broker_dynamic_add(d, row)->unset = true;
}

/* Drops the keys whose record stays as it is: not there, and to be unset. */
static void broker_dynamic_prune(struct broker_dynamic *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->count; i++) {
        struct broker_dynamic_key *k = &d->keys[i];
        struct slice value;
        int64_t revision;
        if (k->unset &&
            coord_get(d->broker->coord, buf_slice(&k->key), &value, &revision) == COORD_NONE) {
            buf_deinit(&k->key);
            continue;
        }
        if (kept != i)
            d->keys[kept] = *k;
        kept++;
    }
    ASSERT(kept <= d->count);
    d->count = kept;
}

/* All of them are durable. */
static void broker_dynamic_apply(struct broker_dynamic *d)
{
    struct config *config = d->broker->env.config;
    char message[256];
    for (size_t i = 0; i < d->count; i++) {
        const struct broker_dynamic_key *k = &d->keys[i];
        struct slice name = slice_str(k->row->name);
        int r = k->unset ? config_unset(config, d->from, name)
                         : config_set(config, d->from, name, buf_slice(&k->value), message);
        ASSERT(r == 0); /* judged before */
    }
    ASSERT(d->count > 0);
    broker_refresh_topics(d->broker);
}

static void broker_dynamic_done(struct coord_op *op, int result)
{
    struct broker_dynamic *d = op->ctx;
    ASSERT(d->done < d->count && op == &d->ops[d->done]);
    if (++d->done < d->count)
        return;
    if (result == 0)
        broker_dynamic_apply(d);
    if (result == 0)
        broker_admin_refuse(d->broker, d->req, BROKER_OK, "%s", "");
    else
        broker_admin_refuse(d->broker, d->req, BROKER_DISK_FULL,
                            "no space left to write the change down");
    broker_dynamic_free(d);
}

static void broker_dynamic_start(struct broker_dynamic *d)
{
    struct broker *b = d->broker;
    struct slice value;
    ASSERT(d->count > 0 && d->ops == NULL);
    d->ops = assert_memory(calloc(d->count, sizeof *d->ops), d->count * sizeof *d->ops);
    for (size_t i = 0; i < d->count; i++) {
        const struct broker_dynamic_key *k = &d->keys[i];
        struct coord_op *op = &d->ops[i];
        *op = (struct coord_op){.key = buf_slice(&k->key),
                                .value = k->unset ? SLICE_NULL : buf_slice(&k->value),
                                .done = broker_dynamic_done,
                                .ctx = d};
        if (coord_get(b->coord, op->key, &value, &op->expect) != 0)
            op->expect = -1;
    }
    if (coord_cas_all(b->coord, d->ops, d->count, broker_wall(b)) == 0)
        return;
    broker_admin_refuse(b, d->req, BROKER_BUSY, "another change of a key is under way");
    broker_dynamic_free(d);
}

void broker_config_alter(struct broker *b, struct broker_admin *a)
{
    char message[256] = "";
    int r = 0;
    ASSERT(a->op == BROKER_CONFIG_ALTER);
    ASSERT(a->configs != NULL || a->config_count == 0);
    if (a->config_count > BROKER_ITEMS_MAX || (a->config_count == 0 && !a->replace)) {
        broker_admin_refuse(b, a, BROKER_BAD_REQUEST, "no configs, or too many");
        return;
    }
    struct broker_dynamic *d = assert_memory(calloc(1, sizeof *d), sizeof *d);
    d->broker = b;
    d->req = a;
    d->from = a->cluster ? CONFIG_FROM_CLUSTER : CONFIG_FROM_DYNAMIC;
    for (size_t i = 0; r == 0 && i < a->config_count; i++)
        r = broker_dynamic_entry(d, &a->configs[i], message);
    if (r == 0 && a->replace)
        coord_each(b->coord, slice_str(broker_dynamic_prefix(d->from)), broker_dynamic_left, d);
    if (r == 0)
        broker_dynamic_prune(d);
    if (r == 0 && !a->validate_only && d->count > 0) {
        broker_dynamic_start(d);
        return;
    }
    broker_admin_refuse(b, a, r == 0 ? BROKER_OK : BROKER_BAD_CONFIG, "%s", message);
    broker_dynamic_free(d);
}

/* --- start --- */

struct broker_dynamic_load {
    struct broker *broker;
    enum config_origin from;
};

static void broker_dynamic_load(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    const struct broker_dynamic_load *l = ctx;
    size_t prefix = strlen(broker_dynamic_prefix(l->from));
    char message[256];
    ASSERT(revision >= 0);
    ASSERT(key.size >= prefix);
    struct slice name = slice_of(key.p + prefix, key.size - prefix);
    int r = config_set(l->broker->env.config, l->from, name, value, message);
    if (r != 0)
        broker_log(l->broker, 1, "stored broker config ignored: %s", message);
}

void broker_load_dynamic_configs(struct broker *b)
{
    static const enum config_origin origins[] = {CONFIG_FROM_CLUSTER, CONFIG_FROM_DYNAMIC};
    ASSERT(b->coord != NULL);
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        struct broker_dynamic_load l = {b, origins[i]};
        coord_each(b->coord, slice_str(broker_dynamic_prefix(l.from)), broker_dynamic_load, &l);
    }
}
