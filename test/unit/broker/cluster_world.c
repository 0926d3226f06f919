/* SPDX-License-Identifier: MIT */
#include "test/unit/broker/cluster_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/arena.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_lead.h"

struct world_message {
    struct list link;
    struct world *world;
    int from;
    int to;
    uint64_t from_life;
    uint64_t to_life;
    struct ship_call *asker;       /* NULL: it does not wait any more */
    struct ship_call call;         /* the other side's copy */
    struct ship_pull_entry *pulls; /* owned */
    struct ship_record *records;   /* owned: of the answer */
    struct ship_holding *holdings; /* owned: likewise */
    struct buf bytes;              /* owned: all that the answer points to */
    struct arena question;         /* owned: all that a change points to */
    int64_t at_ms;                 /* when it arrives; of the answer likewise */
    int64_t deadline_ms;
    enum { WORLD_GOING, WORLD_SERVED, WORLD_BACK, WORLD_TAKEN, WORLD_LOST } state;
};

static int64_t world_now(const struct world *w)
{
    const struct clock *c = &w->nodes[1].rig.clock.clock;
    return c->mono_ms(c);
}

static int world_find(const struct world *w, const char *native)
{
    for (int i = 1; i <= w->count; i++)
        if (strcmp(w->nodes[i].native, native) == 0)
            return i;
    return 0;
}

static bool world_chance(struct world *w, unsigned of_1000)
{
    return of_1000 > 0 && random_below(&w->random, 1000) < of_1000;
}

static int64_t world_late(struct world *w)
{
    unsigned most = world_chance(w, w->late) ? WORLD_LATE_MS : w->delay_ms;
    return world_now(w) + (most > 0 ? (int64_t)random_below(&w->random, most) : 0);
}

/* A copy that lives as long as the message. */
static void *world_own(struct world_message *m, const void *p, size_t size)
{
    void *to = arena_alloc(&m->question, size + 1);
    ck_assert_ptr_nonnull(to);
    if (size > 0)
        memcpy(to, p, size);
    return to;
}

static struct slice world_own_slice(struct world_message *m, struct slice s)
{
    return s.p == NULL ? s : slice_of(world_own(m, s.p, s.size), s.size);
}

/* The asker's memory may go before the other side is done. */
static void world_ask_admin(struct world_message *m, const struct broker_admin *a)
{
    struct broker_admin *to = &m->call.admin.req;
    struct broker_config_entry *v = world_own(m, a->configs, a->config_count * sizeof *v);
    for (size_t i = 0; i < a->config_count; i++) {
        v[i].key = world_own_slice(m, v[i].key);
        v[i].value = world_own_slice(m, v[i].value);
    }
    to->configs = v;
    to->quotas = world_own(m, a->quotas, a->quota_count * sizeof *a->quotas);
    to->topic = world_own_slice(m, a->topic);
    to->entity.name = world_own_slice(m, a->entity.name);
}

/* The copy that arrives later; nobody waits for what it says. */
static void world_repeat(struct world *w, const struct world_message *m)
{
    struct world_message *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    *r = *m;
    r->asker = NULL;
    r->at_ms += 1 + (int64_t)random_below(&w->random, WORLD_LATE_MS);
    if (m->pulls != NULL) {
        size_t size = m->call.pull.count * sizeof *m->pulls;
        r->pulls = malloc(size);
        ck_assert_ptr_nonnull(r->pulls);
        memcpy(r->pulls, m->pulls, size);
        r->call.pull.entries = r->pulls;
    }
    arena_init(&r->question, 1u << 20);
    if (m->call.kind == SHIP_ADMIN)
        world_ask_admin(r, &m->call.admin.req);
    list_add_tail(&w->messages, &r->link);
}

static void world_send(void *ctx, const char *native, struct ship_call *call)
{
    struct world_node *n = ctx;
    struct world *w = n->world;
    struct world_message *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    arena_init(&m->question, 1u << 20);
    m->world = w;
    m->from = n->id;
    m->from_life = n->life;
    m->to = world_find(w, native);
    m->asker = call;
    m->call = *call;
    m->at_ms = world_late(w);
    m->deadline_ms = world_now(w) + (call->timeout_ms > 0 ? call->timeout_ms : 30000);
    if (call->kind == SHIP_PULL) {
        m->pulls = calloc(call->pull.count, sizeof *m->pulls);
        ck_assert_ptr_nonnull(m->pulls);
        memcpy(m->pulls, call->pull.entries, call->pull.count * sizeof *m->pulls);
        m->call.pull.entries = m->pulls;
    }
    if (call->kind == SHIP_ADMIN)
        world_ask_admin(m, &call->admin.req);
    w->sent++;
    if (m->to == 0 || w->cut[n->id][m->to] || world_chance(w, w->lose))
        m->state = WORLD_LOST;
    else if (world_chance(w, w->repeat))
        world_repeat(w, m);
    list_add_tail(&w->messages, &m->link);
}

static void world_cancel(void *ctx)
{
    struct world_node *n = ctx;
    LIST_EACH (node, &n->world->messages) {
        struct world_message *m = LIST_ENTRY(node, struct world_message, link);
        if (m->from == n->id && m->asker != NULL && m->state != WORLD_TAKEN)
            m->deadline_ms = 0;
    }
}

/* Appends the bytes; gives where, for world_placed once all are there. */
static size_t world_keep(struct world_message *m, struct slice s)
{
    size_t at = m->bytes.size;
    if (s.size > 0)
        buf_append(&m->bytes, s.p, s.size);
    return at;
}

static struct slice world_placed(const struct world_message *m, size_t at, struct slice was)
{
    static const uint8_t none = 0;
    if (was.p == NULL)
        return SLICE_NULL;
    return was.size == 0 ? slice_of(&none, 0) : slice_of(m->bytes.p + at, was.size);
}

static void world_keep_pull(struct world_message *m, struct ship_call *call, struct broker *b)
{
    size_t count = call->pull.count;
    struct slice *was CLEANUP(cleanup_free) = calloc(count, sizeof *was);
    size_t *at CLEANUP(cleanup_free) = calloc(count, sizeof *at);
    ck_assert(was != NULL && at != NULL);
    for (size_t i = 0; i < count; i++) {
        was[i] = call->pull.entries[i].bytes;
        at[i] = world_keep(m, was[i]);
    }
    broker_ship_release(b, call);
    for (size_t i = 0; i < count; i++)
        call->pull.entries[i].bytes = world_placed(m, at[i], was[i]);
}

static void world_keep_records(struct world_message *m, struct ship_call *call, struct broker *b)
{
    size_t count = call->records.count;
    struct ship_record *was CLEANUP(cleanup_free) = calloc(count + 1, sizeof *was);
    size_t *at CLEANUP(cleanup_free) = calloc(2 * count + 1, sizeof *at);
    ck_assert(was != NULL && at != NULL);
    m->records = calloc(count + 1, sizeof *m->records);
    ck_assert_ptr_nonnull(m->records);
    for (size_t i = 0; i < count; i++) {
        was[i] = call->records.records[i];
        at[2 * i] = world_keep(m, was[i].key);
        at[2 * i + 1] = world_keep(m, was[i].value);
    }
    for (size_t i = 0; i < count; i++)
        m->records[i] = (struct ship_record){world_placed(m, at[2 * i], was[i].key),
                                             world_placed(m, at[2 * i + 1], was[i].value)};
    broker_ship_release(b, call);
    m->world->pages += call->records.more;
    call->records.records = m->records;
}

static void world_keep_vote(struct world_message *m, struct ship_call *call, struct broker *b)
{
    size_t count = call->vote.count;
    m->holdings = calloc(count + 1, sizeof *m->holdings);
    ck_assert_ptr_nonnull(m->holdings);
    if (count > 0)
        memcpy(m->holdings, call->vote.holdings, count * sizeof *m->holdings);
    broker_ship_release(b, call);
    call->vote.holdings = m->holdings;
}

/* The other side has answered: everything is copied, its memory goes. */
static void world_served(struct ship_call *call)
{
    struct world_message *m = call->ctx;
    struct world *w = m->world;
    struct broker *b = w->nodes[m->to].rig.broker;
    ck_assert_int_eq(m->state, WORLD_SERVED);
    if (call->kind == SHIP_PULL && call->status == BROKER_OK)
        world_keep_pull(m, call, b);
    else if (call->kind == SHIP_RECORDS && call->status == BROKER_OK)
        world_keep_records(m, call, b);
    else if (call->kind == SHIP_VOTE && call->status == BROKER_OK)
        world_keep_vote(m, call, b);
    else
        broker_ship_release(b, call);
    bool lost = w->cut[m->to][m->from] || world_chance(w, w->lose);
    m->state = lost ? WORLD_LOST : WORLD_BACK;
    m->at_ms = world_late(w);
}

static void world_free(struct world_message *m)
{
    list_remove(&m->link);
    buf_deinit(&m->bytes);
    arena_deinit(&m->question);
    free(m->pulls);
    free(m->records);
    free(m->holdings);
    free(m);
}

static void world_release(void *ctx, struct ship_call *call)
{
    struct world_node *n = ctx;
    LIST_EACH_SAFE (node, &n->world->messages) {
        struct world_message *m = LIST_ENTRY(node, struct world_message, link);
        if (m->state == WORLD_TAKEN && m->asker == call) {
            world_free(m);
            return;
        }
    }
}

/* It arrives at the other side. */
static void world_serve(struct world *w, struct world_message *m)
{
    struct world_node *to = &w->nodes[m->to];
    if (!to->up || w->cut[m->from][m->to]) {
        m->state = WORLD_LOST;
        return;
    }
    m->state = WORLD_SERVED;
    m->to_life = to->life;
    if (m->call.kind == SHIP_RECORDS)
        m->call.records.size_max = w->page_size;
    m->call.done = world_served;
    m->call.ctx = m;
    broker_ship(to->rig.broker, &m->call);
}

/* The asker gets its answer, or learns that there is none. */
static void world_answer(struct world_message *m, bool there)
{
    struct ship_call *call = m->asker;
    struct ship_pull_entry *entries = call->kind == SHIP_PULL ? call->pull.entries : NULL;
    if (there) {
        void (*done)(struct ship_call *) = call->done;
        void *ctx = call->ctx;
        *call = m->call;
        call->done = done;
        call->ctx = ctx;
        if (entries != NULL) {
            memcpy(entries, m->pulls, m->call.pull.count * sizeof *entries);
            call->pull.entries = entries;
        }
    } else {
        call->status = BROKER_TIMED_OUT;
    }
    m->state = WORLD_TAKEN;
    call->done(call);
}

static bool world_due(struct world *w, struct world_message *m)
{
    int64_t now = world_now(w);
    if (m->asker != NULL && m->state != WORLD_TAKEN && now >= m->deadline_ms &&
        !w->paused[m->from]) {
        if (m->state == WORLD_SERVED || m->state == WORLD_GOING) { /* nobody waits for its answer */
            struct world_message *late = calloc(1, sizeof *late);
            ck_assert_ptr_nonnull(late);
            *late = (struct world_message){.world = w, .from = m->from, .asker = m->asker};
            arena_init(&late->question, 1);
            m->asker = NULL;
            list_add_tail(&w->messages, &late->link);
            m = late;
        }
        world_answer(m, false);
        return true;
    }
    if (m->state == WORLD_GOING && now >= m->at_ms && !w->paused[m->to]) {
        world_serve(w, m);
        return true;
    }
    if (m->state == WORLD_BACK && now >= m->at_ms && !w->paused[m->from]) {
        if (m->asker == NULL || w->nodes[m->from].life != m->from_life)
            world_free(m);
        else
            world_answer(m, true);
        return true;
    }
    if (m->state == WORLD_LOST && m->asker == NULL) {
        world_free(m);
        return true;
    }
    return false;
}

/* --- the network's own time --- */

static void world_messages(struct world *w)
{
    for (bool again = true; again;) {
        again = false;
        LIST_EACH (node, &w->messages) {
            if (world_due(w, LIST_ENTRY(node, struct world_message, link))) {
                again = true; /* the list is another */
                break;
            }
        }
    }
}

/* One that stops is never done before the network has had its turn. */
static void world_wind_down(struct rig *g)
{
    for (int i = 0; i < 20 && !broker_stopped(g->broker); i++) {
        work_drain(g->work);
        broker_run(g->broker);
    }
}

static void world_settle(struct world *w)
{
    for (int i = 1; i <= w->count; i++) {
        struct rig *g = &w->nodes[i].rig;
        if (!w->nodes[i].up || w->paused[i])
            continue;
        if (w->nodes[i].held) {
            rig_turn(g);
            continue;
        }
        if (w->nodes[i].stopping) {
            world_wind_down(g);
            continue;
        }
        if (!world_chance(w, w->stall)) {
            rig_run(g);
            continue;
        }
        rig_turn(g);
        if (random_below(&w->random, 4) == 0 && work_sim_step(g->work))
            rig_turn(g);
    }
}

void world_run(struct world *w, int64_t ms)
{
    for (int64_t done = 0; done < ms;) {
        int64_t step = 1 + (int64_t)random_below(&w->random, 5);
        for (int i = 1; i <= w->count; i++)
            clock_fake_advance(&w->nodes[i].rig.clock, step);
        done += step;
        world_settle(w);
        world_messages(w);
        world_settle(w);
        if (w->each != NULL)
            w->each(w, w->ctx);
    }
}

void world_until(struct world *w, bool (*done)(struct world *w, void *ctx), void *ctx, int64_t ms)
{
    int64_t until = world_now(w) + ms;
    while (!done(w, ctx)) {
        ck_assert_msg(world_now(w) < until, "waited %lld ms in vain", (long long)ms);
        world_run(w, 20);
    }
}

/* --- brokers --- */

void world_init(struct world *w, uint64_t seed, int count)
{
    *w = (struct world){.count = count, .delay_ms = 3};
    ck_assert_int_le(count, WORLD_NODES);
    list_init(&w->messages);
    random_init(&w->random, seed);
    for (int i = 1; i <= count; i++) {
        struct world_node *n = &w->nodes[i];
        rig_init(&n->rig, seed * 16 + (uint64_t)i, 0);
        n->world = w;
        n->id = i;
        (void)snprintf(n->native, sizeof n->native, "tcp://node%d:7092", i);
        (void)snprintf(n->id_text, sizeof n->id_text, "%d", i);
        n->link = (struct ship_link){
            .send = world_send, .release = world_release, .cancel = world_cancel, .ctx = n};
        n->rig.native = n->native;
        n->rig.ship = &n->link;
        n->rig.seeds = w->seeds;
        n->rig.boot_id[0] = (uint8_t)i;
        rig_set(&n->rig, "node.id", n->id_text);
    }
}

void world_set(struct world *w, const char *key, const char *value)
{
    for (int i = 1; i <= w->count; i++)
        rig_set(&w->nodes[i].rig, key, value);
}

void world_start(struct world *w, int id)
{
    struct world_node *n = &w->nodes[id];
    struct broker_info info;
    ck_assert(!n->up);
    n->life++;
    n->rig.join = w->cluster_id[0] != '\0' ? w->cluster_id : NULL;
    n->rig.seeds = w->cluster_id[0] != '\0' ? w->seeds : NULL;
    rig_open(&n->rig);
    n->up = true;
    broker_info(n->rig.broker, &info);
    memcpy(w->cluster_id, info.cluster_id, sizeof w->cluster_id);
    for (int i = 0; i < w->count; i++)
        w->seeds[i] = w->nodes[i + 1].native;
}

/* What it had out, or in hand, is gone. */
static void world_drop(struct world *w, int id)
{
    struct world_node *n = &w->nodes[id];
    n->up = w->paused[id] = false;
    n->life++;
    LIST_EACH_SAFE (node, &w->messages) {
        struct world_message *m = LIST_ENTRY(node, struct world_message, link);
        if (m->from == id) {
            m->asker = NULL;
            if (m->state == WORLD_TAKEN)
                world_free(m);
        } else if (m->to == id && (m->state == WORLD_SERVED || m->state == WORLD_GOING)) {
            m->state = WORLD_LOST;
        }
    }
}

void world_kill(struct world *w, int id)
{
    ck_assert(w->nodes[id].up);
    rig_kill(&w->nodes[id].rig);
    world_drop(w, id);
}

void world_power(struct world *w, int id)
{
    ck_assert(w->nodes[id].up);
    rig_cut(&w->nodes[id].rig, random_below(&w->random, UINT64_MAX));
    w->nodes[id].rig.boot_id[1]++;
    world_drop(w, id);
}

static bool world_stopped(struct world *w, void *ctx)
{
    struct world_node *n = ctx;
    ck_assert_ptr_nonnull(w);
    return broker_stopped(n->rig.broker);
}

void world_stop(struct world *w, int id)
{
    struct world_node *n = &w->nodes[id];
    broker_stop(n->rig.broker);
    n->stopping = true;
    world_until(w, world_stopped, n, 60000);
    n->stopping = false;
    n->rig.broker = broker_free(n->rig.broker);
    world_drop(w, id);
}

void world_wipe(struct world *w, int id)
{
    struct world_node *n = &w->nodes[id];
    struct rig *g = &n->rig;
    ck_assert(!n->up);
    io_fault_free(g->fault);
    io_crash_free(g->disk);
    meta_store_free(g->view);
    g->disk = io_crash_new(0);
    g->fault = io_fault_new(g->disk);
    g->view = meta_store_new();
}

void world_deinit(struct world *w)
{
    for (int i = 1; i <= w->count; i++) {
        if (w->nodes[i].up)
            world_kill(w, i);
        rig_deinit(&w->nodes[i].rig);
    }
    while (!list_empty(&w->messages))
        world_free(LIST_ENTRY(w->messages.next, struct world_message, link));
}

/* --- asking --- */

int world_leader(const struct world *w)
{
    int best = 0;
    uint32_t term = 0;
    for (int i = 1; i <= w->count; i++) {
        const struct broker *b = w->nodes[i].rig.broker;
        if (!w->nodes[i].up || !broker_leads(b) || (best != 0 && broker_cluster_term(b) < term))
            continue;
        best = i;
        term = broker_cluster_term(b);
    }
    return best;
}

static bool world_has_leader(struct world *w, void *ctx)
{
    ck_assert_ptr_null(ctx);
    return world_leader(w) != 0;
}

void world_wait_leader(struct world *w, int64_t ms)
{
    world_until(w, world_has_leader, NULL, ms);
}

static void world_promoted(struct broker_promote_request *r)
{
    *(bool *)r->ctx = true;
}

static bool world_is_true(struct world *w, void *ctx)
{
    ck_assert_ptr_nonnull(w);
    return *(bool *)ctx;
}

enum broker_status world_promote(struct world *w, int id, bool force)
{
    bool done = false;
    struct broker_promote_request r = {.force = force, .done = world_promoted, .ctx = &done};
    broker_promote_request(w->nodes[id].rig.broker, &r);
    world_until(w, world_is_true, &done, 120000);
    (void)snprintf(w->said, sizeof w->said, "%s", r.message);
    return r.status;
}

static void world_left(struct broker_leave_request *r)
{
    *(bool *)r->ctx = true;
}

enum broker_status world_leave(struct world *w, int at, struct world_leave leave)
{
    bool done = false;
    struct broker_leave_request r = {.id = leave.id,
                                     .force = leave.force,
                                     .validate_only = leave.validate_only,
                                     .done = world_left,
                                     .ctx = &done};
    broker_leave_request(w->nodes[at].rig.broker, &r);
    world_until(w, world_is_true, &done, 60000);
    (void)snprintf(w->said, sizeof w->said, "%s", r.message);
    return r.status;
}

struct rig_produce *world_produce(struct world *w, int id, const char *topic, int acks,
                                  const struct rig_batch *batch)
{
    struct rig_produce *p = rig_produce_new(acks);
    rig_produce_add(p, topic, 0, batch);
    rig_produce_start(&w->nodes[id].rig, p);
    return p;
}

enum broker_status world_put(struct world *w, int id, const char *topic, int32_t partition,
                             int acks)
{
    static uint64_t tag = 1u << 20; /* behind those that tests choose */
    struct rig_batch b = {.tag = ++tag};
    struct rig_produce *p = rig_produce_new(acks);
    rig_produce_add(p, topic, partition, &b);
    rig_produce_start(&w->nodes[id].rig, p);
    for (int i = 0; p->done == 0 && i < 1000; i++)
        world_run(w, 20);
    ck_assert_uint_eq(p->done, 1);
    enum broker_status s = p->items[0].status;
    rig_produce_free(p);
    return s;
}

struct bpart *world_part(struct world *w, int id, const char *topic)
{
    struct broker *b = w->nodes[id].rig.broker;
    struct topic *t = broker_find_topic(b, slice_str(topic));
    return t == NULL ? NULL : broker_find_part(t, 0);
}

struct world_isr {
    const char *topic;
    unsigned count;
};

static bool world_in_sync(struct world *w, void *ctx)
{
    const struct world_isr *want = ctx;
    int leader = world_leader(w);
    struct bpart *p = leader == 0 ? NULL : world_part(w, leader, want->topic);
    return p != NULL && p->replica != NULL && p->replica->leading &&
           p->replica->set.isr.count >= want->count;
}

void world_wait_isr(struct world *w, const char *topic, unsigned count, int64_t ms)
{
    struct world_isr want = {topic, count};
    world_until(w, world_in_sync, &want, ms);
}
