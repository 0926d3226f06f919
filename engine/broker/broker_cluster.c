/* SPDX-License-Identifier: MIT
 *
 * broker_cluster: see broker_cluster.h for the roles.
 *
 * Who leads is asked, never assumed: of the addresses given at start and of every broker that the
 * records know. An answer names a term; one below what was promised here is nobody's business any
 * more.
 *
 * A term that is greater than the promised one is written down (node/vote) before the first call to
 * its leader.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_cluster_priv.h"
#include "engine/broker/broker_forward.h"
#include "engine/broker/broker_leave.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/broker_promote.h"
#include "engine/broker/broker_trouble.h"

#define BROKER_CLUSTER_ASK_MS    500
#define BROKER_CLUSTER_KEEN_MS   50   /* asked so often in the first second of seeking */
#define BROKER_CLUSTER_SOON_MS   10   /* something is on its way to the disk */
#define BROKER_CLUSTER_LONELY_MS 5000 /* a leader whose followers promised a term that has none */

/* --- how new the records are --- */

struct cluster_mirror broker_cluster_position(const struct broker *b)
{
    const struct broker_cluster *c = b->cluster;
    struct cluster_mirror m = c->mirror;
    ASSERT(c->record.term <= CLUSTER_TERM_MAX);
    if (c->record.term > 0 && c->record.id == b->node_id && c->record.term >= m.term)
        m = (struct cluster_mirror){c->record.term, coord_last_change(b->coord, cluster_mirrored)};
    return m;
}

static void broker_cluster_mirror_done(struct coord_put *put, int result)
{
    struct broker_cluster *c = put->ctx;
    ASSERT(c->mirror_out && put == &c->mirror_put);
    c->mirror_out = false;
    if (result != 0) /* no room: it counts as older than it is */
        c->mirror = (struct cluster_mirror){0};
}

void broker_cluster_mirrored(struct broker *b, uint32_t term, int64_t position)
{
    struct broker_cluster *c = b->cluster;
    struct coord_changes changes = {0};
    struct buf value CLEANUP(buf_deinit) = {0};
    ASSERT(term <= CLUSTER_TERM_MAX);
    if (c->mirror_out || position < 0 || (c->mirror.term == term && c->mirror.position == position))
        return;
    c->mirror = (struct cluster_mirror){term, position};
    cluster_mirror_encode(&c->mirror, &value);
    c->mirror_out = true;
    c->mirror_put = (struct coord_put){.done = broker_cluster_mirror_done, .ctx = c};
    coord_changes_add(&changes, slice_str(CLUSTER_MIRROR_KEY), buf_slice(&value));
    coord_put(b->coord, &c->mirror_put, &changes, broker_wall(b));
    coord_changes_deinit(&changes);
}

bool broker_cluster_kept(const struct broker *b, uint32_t term, int64_t position)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(term <= CLUSTER_TERM_MAX);
    ASSERT(position >= -1);
    return !c->mirror_out && c->mirror.term == term && c->mirror.position == position;
}

/* --- the promise of a term --- */

static void broker_cluster_voted(struct coord_put *put, int result)
{
    struct broker_cluster *c = put->ctx;
    ASSERT(put == &c->vote_put);
    ASSERT(c->vote_out);
    c->vote_out = false;
    if (result == 0 && c->writing.term >= c->held.term)
        c->held = c->writing;
    c->next_ms = broker_now(c->broker);
}

bool broker_cluster_promise(struct broker_cluster *c, const struct cluster_vote *vote)
{
    struct coord_changes changes = {0};
    ASSERT(vote->term <= CLUSTER_TERM_MAX && vote->candidate >= -1);
    struct buf value CLEANUP(buf_deinit) = {0};
    ASSERT(vote->term >= c->held.term);
    if (c->vote_out)
        return false;
    c->writing = *vote;
    c->vote_out = true;
    c->vote_put = (struct coord_put){.done = broker_cluster_voted, .ctx = c};
    cluster_vote_encode(vote, &value);
    coord_changes_add(&changes, slice_str(CLUSTER_VOTE_KEY), buf_slice(&value));
    coord_put(c->broker->coord, &c->vote_put, &changes, broker_wall(c->broker));
    coord_changes_deinit(&changes);
    return true;
}

/* --- changes of role --- */

static void broker_cluster_to(struct broker_cluster *c, enum broker_role role)
{
    enum broker_role was = c->role;
    ASSERT((unsigned)role < BROKER_ROLE_COUNT);
    ASSERT(c->broker->groups != NULL);
    if (was == role)
        return;
    c->role = role;
    c->overtaken_ms = -1;
    if (was == BROKER_LEADING) {
        broker_lead_end(c->lead);
        broker_leave_end(c->leave, BROKER_NOT_LEADER);
    }
    if (was == BROKER_FOLLOWING)
        broker_follow_end(c->follow);
    if (role == BROKER_SEEKING)
        broker_trouble_seek(c->broker);
    if (role == BROKER_LEADING)
        broker_trouble_end(c->broker);
    broker_log(c->broker, 0, "role: %s (was %s), term %u", broker_cluster_role_text(role),
               broker_cluster_role_text(was), broker_cluster_term(c->broker));
    c->next_ms = broker_now(c->broker);
    c->until_ms = c->next_ms + (role == BROKER_STARTING
                                    ? config_i64(c->broker->env.config, CONFIG_START_WAIT_MS)
                                    : BROKER_CLUSTER_LONELY_MS);
    for (size_t i = 0; i < c->ask_count; i++)
        c->asks[i].answered = false;
    broker_groups_role(c->broker->groups, role == BROKER_ALONE || role == BROKER_LEADING,
                       was != BROKER_STARTING && was != BROKER_ALONE);
}

static void broker_cluster_follow(struct broker_cluster *c)
{
    struct cluster_vote vote = {.term = c->leader.term, .candidate = -1};
    ASSERT(c->leader.native[0] != 0);
    ASSERT(c->leader.id >= 0 && c->leader.id != c->broker->node_id);
    if (c->leader.term < c->held.term)
        return;
    if (c->leader.term > c->held.term) {
        (void)broker_cluster_promise(c, &vote); /* and then, with the next turn */
        return;
    }
    if (!broker_node_settled(c->broker))
        return;
    broker_cluster_to(c, BROKER_FOLLOWING);
    broker_follow_begin(c->follow);
}

void broker_cluster_learn(struct broker_cluster *c, const struct ship_leader *leader)
{
    bool news = leader->term > c->leader.term ||
                (leader->term == c->leader.term && c->leader.id < 0 && leader->id >= 0);
    ASSERT(leader->id >= -1);
    ASSERT(c->broker->cluster == c);
    if (!news || leader->term < c->held.term || leader->term > CLUSTER_TERM_MAX ||
        leader->id == c->broker->node_id || (leader->id >= 0 && leader->native[0] == '\0'))
        return;
    if (c->role == BROKER_PROMOTING && leader->id < 0 && leader->term == c->held.term &&
        c->held.candidate == c->broker->node_id)
        return; /* a voter tells us of our own term */
    c->leader = *leader;
    if (c->role == BROKER_HAS_LEFT)
        return;
    if (c->role == BROKER_PROMOTING)
        broker_promote_overtaken(c->promote);
    broker_cluster_to(c, BROKER_SEEKING);
}

void broker_cluster_lost(struct broker_cluster *c)
{
    ASSERT(c->broker->cluster == c);
    if (c->role == BROKER_FOLLOWING)
        broker_cluster_to(c, BROKER_SEEKING);
}

void broker_cluster_leaves(struct broker_cluster *c)
{
    ASSERT(c->broker->cluster == c);
    ASSERT(c->role == BROKER_FOLLOWING || c->role == BROKER_SEEKING);
    broker_cluster_to(c, BROKER_HAS_LEFT);
    broker_log(c->broker, 1,
               "this broker has left the cluster: it keeps its records and shows them, takes none "
               "and follows nobody. To come back: start it again with --replica-of");
}

void broker_cluster_overtaken(struct broker_cluster *c, uint32_t term)
{
    int64_t now = broker_now(c->broker);
    ASSERT(term > broker_cluster_term(c->broker));
    if (c->role != BROKER_LEADING)
        return;
    if (c->overtaken_ms < 0)
        c->overtaken_ms = now;
    if (now - c->overtaken_ms >= BROKER_CLUSTER_LONELY_MS)
        broker_promote_above(c->promote, term);
}

void broker_cluster_yield(struct broker_cluster *c, const char *native, uint32_t term)
{
    ASSERT(native != NULL && term <= CLUSTER_TERM_MAX);
    ASSERT(term >= c->leader.term);
    if (c->role == BROKER_PROMOTING)
        broker_promote_overtaken(c->promote);
    c->leader = (struct ship_leader){.term = term, .id = -1};
    (void)snprintf(c->leader.native, sizeof c->leader.native, "%s", native);
    broker_cluster_to(c, BROKER_SEEKING);
}

void broker_cluster_promoting(struct broker_cluster *c)
{
    ASSERT(c->role != BROKER_ALONE || c->node_count == 0);
    ASSERT(!c->broker->stopping);
    broker_cluster_to(c, BROKER_PROMOTING);
}

void broker_cluster_gave_up(struct broker_cluster *c)
{
    ASSERT(c->role == BROKER_PROMOTING);
    broker_cluster_to(c, BROKER_SEEKING);
}

/* --- leading --- */

static void broker_cluster_reload(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    ASSERT(revision >= 0);
    broker_cluster_record(ctx, key, value, revision);
}

static void broker_cluster_led(struct coord_put *put, int result)
{
    struct broker_cluster *c = put->ctx;
    struct broker *b = c->broker;
    ASSERT(put == &c->lead_put);
    ASSERT(c->lead_out);
    c->lead_out = false;
    if (result != 0 || c->record.id != b->node_id || c->record.term < c->held.term ||
        c->role == BROKER_SEEKING || c->role == BROKER_FOLLOWING) {
        c->next_ms = broker_now(b) + BROKER_CLUSTER_ASK_MS;
        return;
    }
    c->leader = (struct ship_leader){.term = c->record.term, .id = b->node_id};
    memcpy(c->leader.native, c->record.native, sizeof c->leader.native);
    c->epoch = cluster_epoch(c->record.term, c->record.start);
    coord_each(b->coord, slice_str(CLUSTER_PARTS), broker_cluster_reload, b);
    coord_each(b->coord, slice_str(CLUSTER_BROKERS), broker_cluster_reload, b);
    broker_catalogue_lead(b);
    broker_cluster_to(c, BROKER_LEADING);
    broker_lead_begin(c->lead);
    broker_node_told(b, c->epoch);
    broker_node_records(b);
}

/* Of this broker, as it registers itself. */
static void broker_cluster_self(struct broker *b, struct buf *key, struct buf *value)
{
    struct ship_node n;
    broker_node_self(b, &n);
    struct cluster_broker record = {.id = n.id,
                                    .epoch = 0,
                                    .incarnation = n.incarnation,
                                    .kafka_port = n.kafka_port,
                                    .registered_ms = broker_wall(b)};
    ASSERT(key->size == 0 && value->size == 0);
    memcpy(record.folder, n.folder, sizeof record.folder);
    memcpy(record.boot, n.boot, sizeof record.boot);
    (void)snprintf(record.native, sizeof record.native, "%s", n.native);
    (void)snprintf(record.kafka_host, sizeof record.kafka_host, "%s", n.kafka_host);
    (void)snprintf(record.rack, sizeof record.rack, "%s", n.rack);
    cluster_broker_key(n.id, key);
    cluster_broker_encode(&record, value);
}

/* A leader that lost what it had not synced may lack what others hold. */
static bool broker_cluster_may_resume(const struct broker_cluster *c)
{
    struct broker *b = c->broker;
    int64_t told;
    struct election_promise held = {c->held.term, c->held.candidate, c->held.incarnation};
    if (!broker_node_unclean(b, &told))
        return true;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            const struct bpart_replica *r = b->sorted[i]->parts[k]->replica;
            if (r == NULL || r->revision < 0 || r->record.leader != b->node_id)
                continue;
            struct election_resume e = {.self = b->node_id,
                                        .lossy = !b->sorted[i]->limits.sync,
                                        .term = c->record.term,
                                        .held = held,
                                        .isr = r->record.isr,
                                        .elr = r->record.elr};
            ASSERT(e.isr.count > 0);
            if (!election_may_resume(&e))
                return false;
        }
    return true;
}

bool broker_cluster_taking(const struct broker_cluster *c)
{
    ASSERT(c->lead != NULL && c->promote != NULL);
    return c->lead_out || c->vote_out;
}

/* Writes cluster/leader, our own record and a promise of the term, together with what is in
 * `changes`; then leads. */
void broker_cluster_take(struct broker_cluster *c, uint32_t term, uint32_t start,
                         struct coord_changes *changes)
{
    struct broker *b = c->broker;
    struct buf leader CLEANUP(buf_deinit) = {0}, vote CLEANUP(buf_deinit) = {0};
    struct buf key CLEANUP(buf_deinit) = {0}, self CLEANUP(buf_deinit) = {0};
    struct ship_node node;
    ASSERT(!c->lead_out && term >= c->held.term && start <= CLUSTER_START_MAX);
    broker_node_self(b, &node);
    c->record = (struct cluster_leader){
        .term = term, .start = start, .id = b->node_id, .promoted_ms = broker_wall(b)};
    memcpy(c->record.native, node.native, sizeof c->record.native);
    c->held = (struct cluster_vote){.term = term, .candidate = b->node_id};
    cluster_leader_encode(&c->record, &leader);
    cluster_vote_encode(&c->held, &vote);
    broker_cluster_self(b, &key, &self);
    coord_changes_add(changes, slice_str(CLUSTER_LEADER_KEY), buf_slice(&leader));
    coord_changes_add(changes, slice_str(CLUSTER_VOTE_KEY), buf_slice(&vote));
    coord_changes_add(changes, buf_slice(&key), buf_slice(&self));
    c->lead_out = true;
    c->lead_put = (struct coord_put){.done = broker_cluster_led, .ctx = c};
    coord_put(b->coord, &c->lead_put, changes, broker_wall(b));
}

void broker_cluster_found(struct broker_cluster *c)
{
    struct coord_changes changes = {0};
    if (c->lead_out || c->vote_out || !broker_node_settled(c->broker))
        return;
    ASSERT(c->role == BROKER_ALONE && c->record.term == 0);
    uint32_t slot = (uint32_t)c->broker->node_id % ELECTION_SLOTS;
    broker_cluster_take(c, election_next_term(c->held.term, slot), 1, &changes);
    coord_changes_deinit(&changes);
}

/* The same leader again, in a new process. */
static void broker_cluster_resume(struct broker_cluster *c)
{
    struct coord_changes changes = {0};
    ASSERT(c->role == BROKER_STARTING);
    ASSERT(c->record.id == c->broker->node_id && c->record.term > 0);
    if (c->lead_out || c->vote_out || !broker_node_settled(c->broker)) {
        c->next_ms = broker_now(c->broker) + BROKER_CLUSTER_SOON_MS;
        return;
    }
    if (c->held.term > c->record.term) { /* promised to another meanwhile */
        broker_cluster_to(c, BROKER_SEEKING);
        return;
    }
    if (c->record.start >= CLUSTER_START_MAX || !broker_cluster_may_resume(c)) {
        broker_promote_self(c->promote);
        return;
    }
    broker_cluster_take(c, c->record.term, c->record.start + 1, &changes);
    coord_changes_deinit(&changes);
}

/* --- asking who leads --- */

static void broker_cluster_answered(struct ship_call *call)
{
    struct broker_cluster_ask *a = call->ctx;
    struct broker_cluster *c = a->cluster;
    struct ship_link *link = c->broker->env.ship;
    ASSERT(call == &a->call);
    ASSERT(a->out && c->out > 0);
    a->out = false;
    c->out--;
    bool refused = call->status == BROKER_DENIED || call->status == BROKER_BAD_REQUEST;
    if (refused && c->role != BROKER_LEADING)
        broker_trouble_tell(c->broker, 1, "%.80s refuses this broker: %.150s", a->native,
                            call->message);
    if (call->status == BROKER_OK && call->answer_from == c->broker->node_id)
        broker_trouble_tell(c->broker, 1,
                            "broker %d answers at %.80s, and so is this one: give each a number of "
                            "its own (--broker-id), and others' addresses",
                            call->answer_from, a->native);
    if (call->status == BROKER_OK) {
        a->answered = true;
        broker_cluster_learn(c, &call->leader);
        if (c->role == BROKER_SEEKING && call->leader.id >= 0 &&
            call->leader.id != c->broker->node_id && call->leader.term == c->leader.term &&
            call->leader.id == c->leader.id)
            broker_cluster_follow(c);
    }
    link->release(link->ctx, call);
}

static void broker_cluster_ask(struct broker_cluster *c, const char *native)
{
    struct broker_cluster_ask *a = NULL;
    struct ship_link *link = c->broker->env.ship;
    ASSERT(c->ask_count <= BROKER_CLUSTER_ASKS);
    ASSERT(c->role != BROKER_ALONE);
    if (native == NULL || native[0] == '\0' || link == NULL ||
        (c->broker->env.native != NULL && strcmp(native, c->broker->env.native) == 0))
        return;
    for (size_t i = 0; i < c->ask_count && a == NULL; i++)
        if (strcmp(c->asks[i].native, native) == 0)
            a = &c->asks[i];
    if (a == NULL && c->ask_count < BROKER_CLUSTER_ASKS) {
        a = &c->asks[c->ask_count++];
        (void)snprintf(a->native, sizeof a->native, "%s", native);
        a->cluster = c;
    }
    if (a == NULL || a->out)
        return;
    broker_ship_fill(c->broker, &a->call, SHIP_LEADER);
    a->call.timeout_ms = 2 * BROKER_CLUSTER_ASK_MS;
    a->call.done = broker_cluster_answered;
    a->call.ctx = a;
    a->out = true;
    c->out++;
    link->send(link->ctx, a->native, &a->call);
}

static void broker_cluster_ask_all(struct broker_cluster *c)
{
    const char *const *seeds = c->broker->env.seeds;
    for (size_t i = 0; seeds != NULL && seeds[i] != NULL; i++)
        broker_cluster_ask(c, seeds[i]);
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].id != c->broker->node_id && !c->nodes[i].left)
            broker_cluster_ask(c, c->nodes[i].native);
    broker_cluster_ask(c, c->leader.native);
    ASSERT(c->ask_count <= BROKER_CLUSTER_ASKS);
}

/* All that were asked have said something. */
static bool broker_cluster_all_answered(const struct broker_cluster *c)
{
    ASSERT(c->ask_count <= BROKER_CLUSTER_ASKS);
    for (size_t i = 0; i < c->ask_count; i++)
        if (!c->asks[i].answered)
            return false;
    return true;
}

/* --- records --- */

static void broker_cluster_node_record(struct broker_cluster *c, int32_t id, struct slice value)
{
    size_t at = 0;
    ASSERT(id >= 0 && c->node_count <= REPLICA_COUNT_MAX);
    while (at < c->node_count && c->nodes[at].id != id)
        at++;
    if (value.p == NULL) {
        if (at < c->node_count)
            c->nodes[at] = c->nodes[--c->node_count];
        return;
    }
    for (size_t i = 0; at == REPLICA_COUNT_MAX && i < REPLICA_COUNT_MAX; i++)
        if (c->nodes[i].left) /* its place is another's by now */
            at = i;
    if (at == REPLICA_COUNT_MAX)
        return;
    struct cluster_broker node;
    if (cluster_broker_decode(value, &node) != 0)
        return;
    ASSERT(at <= c->node_count);
    c->nodes[at] = node;
    c->node_count += at == c->node_count;
}

void broker_cluster_record(struct broker *b, struct slice key, struct slice value, int64_t revision)
{
    struct broker_cluster *c = b->cluster;
    uint8_t topic[16];
    int32_t id;
    ASSERT(key.p != NULL && key.size > 0);
    ASSERT(value.p == NULL || revision >= 0);
    if (c == NULL)
        return;
    if (slice_equal(key, slice_str(CLUSTER_LEADER_KEY))) {
        struct cluster_leader record;
        if (value.p != NULL && cluster_leader_decode(value, &record) == 0)
            c->record = record;
    } else if (cluster_broker_key_read(key, &id)) {
        broker_cluster_node_record(c, id, value);
    } else if (cluster_part_key_read(key, topic, &id)) {
        struct topic *t = map_get(&b->ids, slice_of(topic, sizeof topic));
        struct bpart *p = t == NULL ? NULL : broker_find_part(t, id);
        struct cluster_part record;
        if (p != NULL && value.p != NULL && cluster_part_decode(value, &record) == 0)
            bpart_replica_record(p, &record, revision);
    }
}

bool broker_cluster_part_record(const struct broker *b, const struct catalog_topic *topic,
                                int32_t index, struct cluster_part *out)
{
    const struct broker_cluster *c = b->cluster;
    ASSERT(index >= 0 && topic->partitions > index);
    if (c == NULL || c->role != BROKER_LEADING || broker_lead_later(c->lead, topic))
        return false;
    *out = (struct cluster_part){.leader = b->node_id, .leader_epoch = c->epoch};
    broker_lead_choose(c->lead, index, broker_lead_factor(c->lead, topic), &out->replicas);
    for (uint32_t i = 0; i < out->replicas.count; i++)
        if (broker_lead_alive(c->lead, out->replicas.id[i]))
            replica_ids_add(&out->isr, out->replicas.id[i]);
    ASSERT(replica_ids_has(&out->isr, b->node_id));
    uint32_t min =
        (uint32_t)config_topic_i64(b->env.config, &topic->configs, CONFIG_MIN_INSYNC_REPLICAS);
    out->base.holders = min < out->replicas.count ? min : out->replicas.count; /* it is empty */
    return true;
}

void broker_cluster_topic(struct broker *b, struct topic *t)
{
    ASSERT(t != NULL && t->record.partitions > 0);
    if (b->cluster == NULL)
        return;
    for (int32_t i = 0; i < t->record.partitions; i++) {
        struct buf key CLEANUP(buf_deinit) = {0};
        struct slice value;
        int64_t revision;
        cluster_part_key(t->record.id, i, &key);
        if (t->parts[i]->replica == NULL &&
            coord_get(b->coord, buf_slice(&key), &value, &revision) == 0)
            broker_cluster_record(b, buf_slice(&key), value, revision);
    }
    ASSERT(b->cluster->lead != NULL);
    broker_lead_assign(b->cluster->lead);
}

struct broker_cluster_gone { /* records that go with their topic */
    struct coord_put put;
};

static void broker_cluster_gone_done(struct coord_put *put, int result)
{
    ASSERT(result <= 0 ||
           result == IO_FULL); /* what is left is nobody's: ids are never used again */
    free(LIST_ENTRY(put, struct broker_cluster_gone, put));
}

void broker_cluster_topic_gone(struct broker *b, const struct topic *t)
{
    struct coord_changes changes = {0};
    size_t count = 2 * (size_t)t->record.partitions;
    struct buf *keys = calloc(count, sizeof *keys);
    ASSERT(t->deleting);
    ASSERT(keys != NULL);
    for (int32_t i = 0; i < t->record.partitions; i++) {
        const struct bpart_replica *r = t->parts[i]->replica;
        struct buf *part = &keys[2 * i], *reached = &keys[2 * i + 1];
        if (r == NULL)
            continue;
        cluster_part_key(t->record.id, i, part);
        cluster_reached_key(t->record.id, i, reached);
        if (r->revision >= 0)
            coord_changes_add(&changes, buf_slice(part), SLICE_NULL);
        if (r->reached >= 0)
            coord_changes_add(&changes, buf_slice(reached), SLICE_NULL);
    }
    if (changes.count > 0 && !b->stopping) {
        struct broker_cluster_gone *g = calloc(1, sizeof *g);
        ASSERT(g != NULL);
        g->put = (struct coord_put){.done = broker_cluster_gone_done};
        coord_put(b->coord, &g->put, &changes, broker_wall(b));
    }
    coord_changes_deinit(&changes);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&keys[i]);
    free(keys);
}

static void broker_cluster_load(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct broker_cluster *c = ctx;
    struct bpart *p;
    uint8_t topic[16];
    int32_t index;
    ASSERT(revision >= 0);
    broker_cluster_record(c->broker, key, value, revision);
    if (cluster_reached_key_read(key, topic, &index) && value.size == 4) {
        struct topic *t = map_get(&c->broker->ids, slice_of(topic, sizeof topic));
        p = t == NULL ? NULL : broker_find_part(t, index);
        if (p != NULL)
            bpart_replica_make(p)->reached = (int32_t)bytes_le32(value.p);
    } else if (slice_equal(key, slice_str(CLUSTER_MIRROR_KEY))) {
        if (cluster_mirror_decode(value, &c->mirror) != 0)
            broker_log(c->broker, 1, "the position of the mirrored records cannot be read");
    } else if (slice_equal(key, slice_str(CLUSTER_VOTE_KEY))) {
        if (cluster_vote_decode(value, &c->held) != 0)
            broker_log(c->broker, 2, "the record of the promised term cannot be read");
    }
}

/* A partition that this broker led stands on the epoch it led. */
static void broker_cluster_stood(struct broker_cluster *c)
{
    struct broker *b = c->broker;
    ASSERT(c->role == BROKER_ALONE);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart_replica *r = b->sorted[i]->parts[k]->replica;
            if (r != NULL && r->revision >= 0 && r->record.leader == b->node_id &&
                r->reached < r->record.leader_epoch)
                r->reached = r->record.leader_epoch;
            ASSERT(r == NULL || !r->leading);
        }
}

/* --- life --- */

void broker_cluster_open(struct broker *b)
{
    struct broker_cluster *c = calloc(1, sizeof *c);
    ASSERT(b->groups != NULL && b->coord != NULL);
    ASSERT(c != NULL && b->cluster == NULL);
    b->cluster = c;
    c->broker = b;
    c->leader.id = -1;
    c->held.candidate = -1;
    broker_pulls_init(&c->pulls);
    c->lead = broker_lead_new(b);
    c->follow = broker_follow_new(b);
    c->promote = broker_promote_new(b);
    c->forwards = broker_forwards_new(b);
    c->leave = broker_leave_new(b);
    c->mend = broker_mend_new(b);
    c->ships = broker_ships_new(b);
    c->role = BROKER_ALONE;
    coord_each(b->coord, SLICE_NULL, broker_cluster_load, c);
    broker_cluster_stood(c);
    if (c->record.term > 0) {
        c->leader.term = c->record.term;
        c->leader.id = c->record.id == b->node_id ? -1 : c->record.id;
        memcpy(c->leader.native, c->record.native, sizeof c->leader.native);
    }
    bool ours = c->record.term > 0 && c->record.id == b->node_id && c->held.term <= c->record.term;
    bool seeds = b->env.seeds != NULL && b->env.seeds[0] != NULL;
    bool others = c->record.term > 0 || seeds;
    if (broker_cluster_has_left(b) && !seeds)
        broker_cluster_to(c, BROKER_HAS_LEFT);
    else if (ours)
        broker_cluster_to(c, BROKER_STARTING);
    else if (others)
        broker_cluster_to(c, BROKER_SEEKING);
}

void broker_cluster_abandon(struct broker_cluster *c)
{
    struct broker *b = c->broker;
    ASSERT(b->dead);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++)
            if (b->sorted[i]->parts[k]->replica != NULL)
                bpart_unlead(b->sorted[i]->parts[k]);
    broker_pulls_abandon(&c->pulls);
    broker_ships_abandon(c->ships);
    broker_promote_abandon(c->promote);
}

struct broker_cluster *broker_cluster_free(struct broker_cluster *c)
{
    ASSERT(c == NULL || c->broker->dead || c->out == 0);
    if (c == NULL)
        return NULL;
    c->lead = broker_lead_free(c->lead);
    c->follow = broker_follow_free(c->follow);
    c->promote = broker_promote_free(c->promote);
    c->forwards = broker_forwards_free(c->forwards);
    c->leave = broker_leave_free(c->leave);
    c->mend = broker_mend_free(c->mend);
    c->ships = broker_ships_free(c->ships);
    broker_pulls_deinit(&c->pulls);
    free(c);
    return NULL;
}

static void broker_cluster_step(struct broker_cluster *c)
{
    int64_t now = broker_now(c->broker);
    ASSERT((unsigned)c->role < BROKER_ROLE_COUNT);
    ASSERT(!c->broker->stopping);
    if (now < c->next_ms)
        return;
    bool keen = c->role == BROKER_SEEKING && now < c->until_ms - BROKER_CLUSTER_LONELY_MS + 1000;
    c->next_ms = now + (keen ? BROKER_CLUSTER_KEEN_MS : BROKER_CLUSTER_ASK_MS);
    switch (c->role) {
    case BROKER_ALONE:
    case BROKER_PROMOTING:
    case BROKER_FOLLOWING:
    case BROKER_HAS_LEFT:
        return;
    case BROKER_LEADING: /* another may have been promoted while we could not hear of it */
        if (c->overtaken_ms >= 0 || broker_lead_misses(c->lead))
            broker_cluster_ask_all(c);
        return;
    case BROKER_STARTING:
        broker_cluster_ask_all(c);
        if (broker_cluster_all_answered(c) || now >= c->until_ms)
            broker_cluster_resume(c);
        return;
    case BROKER_SEEKING:
        broker_cluster_ask_all(c);
        broker_trouble_sought(c->broker, c->ask_count > 0 ? c->asks[0].native : "nobody");
        if (now >= c->until_ms && c->record.id == c->broker->node_id && c->leader.id < 0) {
            c->until_ms = now + BROKER_CLUSTER_LONELY_MS;
            broker_promote_self(c->promote);
        }
        return;
    }
}

void broker_cluster_run(struct broker_cluster *c)
{
    ASSERT(c->broker->cluster == c);
    ASSERT(c->lead != NULL && c->follow != NULL);
    if (!c->broker->stopping) {
        broker_cluster_step(c);
        broker_lead_run(c->lead);
        broker_leave_run(c->leave);
        broker_follow_run(c->follow);
        if (c->role == BROKER_FOLLOWING && broker_cluster_has_left(c->broker) &&
            broker_follow_is_mirrored(c->follow))
            broker_cluster_leaves(c);
        broker_promote_run(c->promote);
        broker_mend_run(c->mend);
    }
    broker_ships_run(c->ships);
    broker_pulls_run(c->broker);
}

int64_t broker_cluster_next_ms(const struct broker_cluster *c)
{
    bool steps =
        c->role == BROKER_STARTING || c->role == BROKER_SEEKING || c->role == BROKER_LEADING;
    int64_t next = steps ? c->next_ms : INT64_MAX;
    int64_t all[] = {broker_lead_next_ms(c->lead),       broker_follow_next_ms(c->follow),
                     broker_promote_next_ms(c->promote), broker_ships_next_ms(c->ships),
                     broker_pulls_next_ms(c->broker),    broker_leave_next_ms(c->leave),
                     broker_mend_next_ms(c->mend)};
    ASSERT(c->broker != NULL);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        next = all[i] < next ? all[i] : next;
    ASSERT(next >= 0);
    return next;
}

void broker_cluster_stop(struct broker_cluster *c)
{
    struct ship_link *link = c->broker->env.ship;
    ASSERT(c->broker->cluster == c);
    ASSERT(c->broker->stopping);
    if (link != NULL)
        link->cancel(link->ctx);
    broker_follow_goodbye(c->follow);
    broker_promote_stop(c->promote);
    if (c->role != BROKER_ALONE)
        broker_cluster_to(c, BROKER_SEEKING); /* lets go of everything */
    broker_leave_end(c->leave, BROKER_STOPPING);
    broker_mend_stop(c->mend);
    broker_pulls_fail_all(c->broker);
    broker_ships_fail_all(c->ships);
}

bool broker_cluster_quiet(const struct broker_cluster *c)
{
    ASSERT(c->out <= BROKER_CLUSTER_ASKS);
    return c->out == 0 && !c->vote_out && !c->lead_out && !c->mirror_out &&
           broker_lead_quiet(c->lead) && broker_follow_quiet(c->follow) &&
           broker_promote_quiet(c->promote) && broker_forwards_quiet(c->forwards) &&
           broker_leave_quiet(c->leave) && broker_mend_quiet(c->mend) &&
           broker_ships_quiet(c->ships);
}
