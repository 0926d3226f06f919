/* SPDX-License-Identifier: MIT
 *
 * kafka_fetch_answer: the second half of Fetch: what the broker read becomes the answer. See
 * kafka_fetch.c for the whole.
 *
 *   done -> results: errors, marks, pinned bytes in the rows
 *        -> session: a new one, or the rows that need not be told are left out
 *        -> frame without records, cut where they belong -> pieces -> let go when they have left
 *
 * Invariants: A1 pins and `out` are let go exactly once, on each way; A2 nothing of a session is
 * touched unless its serial and epoch are those of the request; A3 pinned bytes are read by the
 * kernel only. Whatever codec they are in: a client that does not know it says so itself.
 */
#include <stdio.h>

#include "net/kafka/kafka_fetch_priv.h"

/* --- the answer ------------------------------------------------------------------------------- */

static void kafka_fetch_let_go(void *ctx)
{
    struct kafka_call *c = ctx;
    broker_fetch_release(c->k->options.broker, &c->fetch);
    buf_deinit(&c->out);
}

/* The last piece's release does it for all of them. */
static void kafka_fetch_keep(void *ctx)
{
    ASSERT(ctx != NULL);
}

static void kafka_fetch_fail(struct kafka_call *c, const char *why)
{
    kafka_fetch_let_go(c);
    kafka_refuse(c, why);
}

static struct kp_fetch_response_partition kafka_fetch_partition(struct kafka_call *c,
                                                                const struct kafka_fetch_row *row)
{
    struct kafka_fetch_plan *plan = c->state;
    struct kp_fetch_response_partition p = KP_FETCH_RESPONSE_PARTITION_INIT;
    p.index = row->index;
    p.error = row->told.error;
    p.high_watermark = row->told.high_watermark;
    p.last_stable_offset = row->told.high_watermark;
    p.log_start_offset = row->told.log_start;
    p.aborted.count = plan->committed ? 0 : -1;
    p.preferred_replica = row->preferred;
    p.records = row->bytes;
    if (p.error != 0 && c->kind.version >= KAFKA_FETCH_WITH_LEADER) {
        struct kafka_hint_of of = {row->name, row->index, p.error};
        struct kafka_hint hint = kafka_nodes_hint(c, &plan->nodes, &of);
        p.current_leader.leader_id = hint.leader;
        p.current_leader.leader_epoch = hint.epoch;
    }
    return p;
}

/* The addresses of those that were named; without them where the arena is used up. */
static void kafka_fetch_nodes(struct kafka_call *c, struct kp_fetch_response *head)
{
    const struct kafka_fetch_plan *plan = c->state;
    size_t count = c->kind.version >= KAFKA_FETCH_WITH_NODES ? kafka_nodes_hinted(plan->nodes) : 0;
    struct kp_fetch_response_node *v = count > 0 ? kafka_alloc(c, count, sizeof *v) : NULL;
    for (size_t i = 0; v != NULL && i < plan->nodes->count; i++) {
        const struct kafka_node *n = &plan->nodes->v[i];
        if (n->hinted)
            v[head->node_endpoints.count++] =
                (struct kp_fetch_response_node){n->id, n->host, n->port, n->rack};
    }
    head->node_endpoints.v = v;
}

static size_t kafka_fetch_run_of(const struct kafka_fetch_plan *plan, size_t begin)
{
    size_t end = begin + 1;
    while (end < plan->count && kafka_fetch_same_topic(plan, &plan->rows[begin], &plan->rows[end]))
        end++;
    return end - begin;
}

/* All rows, those of one topic that follow each other under one name. False: it is too large. */
static bool kafka_fetch_write(struct kafka_call *c, struct kp_fetch_response *head)
{
    struct kafka_fetch_plan *plan = c->state;
    struct kp_fetch_writer w;
    int32_t topics = 0;
    for (size_t i = 0; i < plan->count; i += kafka_fetch_run_of(plan, i))
        topics++;
    kp_fetch_answer(&w, c->kind.version, c->correlation_id, head, topics, &c->out);
    size_t left = 0;
    for (size_t i = 0; i < plan->count; i++, left--) {
        struct kafka_fetch_row *row = &plan->rows[i];
        if (left == 0) {
            left = kafka_fetch_run_of(plan, i);
            kp_fetch_put_topic(&w, row->name, &row->id, (int32_t)left);
        }
        struct kp_fetch_response_partition p = kafka_fetch_partition(c, row);
        row->cut = kp_fetch_put_partition(&w, &p);
    }
    kafka_fetch_nodes(c, head);
    return kp_fetch_end(&w, head) == 0;
}

static void kafka_fetch_send_plain(struct kafka_call *c)
{
    broker_fetch_release(c->k->options.broker, &c->fetch);
    struct conn_piece piece = conn_piece_owned(&c->out);
    piece.p += KP_FRAME_PREFIX; /* the front writes the size itself */
    piece.size -= KP_FRAME_PREFIX;
    kafka_answer_pieces(c, &piece, 1);
}

static void kafka_fetch_send_pinned(struct kafka_call *c, size_t pinned)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct conn_piece *v = kafka_alloc(c, 2 * pinned + 1, sizeof *v);
    size_t count = 0, pos = KP_FRAME_PREFIX;
    if (v == NULL) {
        kafka_fetch_fail(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct kafka_fetch_row *row = &plan->rows[i];
        if (row->bytes.size == 0)
            continue;
        v[count++] = conn_piece_bytes(slice_of(c->out.p + pos, row->cut - pos));
        v[count++] = conn_piece_slice(row->bytes, kafka_fetch_keep, c);
        pos = row->cut;
    }
    ASSERT(count == 2 * pinned && pos <= c->out.size);
    v[count - 1].release = kafka_fetch_let_go;
    if (pos < c->out.size)
        v[count++] = conn_piece_bytes(slice_of(c->out.p + pos, c->out.size - pos));
    kafka_answer_pieces(c, v, count);
}

/* Bytes of records. */
static size_t kafka_fetch_size(const struct kafka_fetch_plan *plan)
{
    size_t size = 0;
    for (size_t i = 0; i < plan->count; i++)
        size += plan->rows[i].bytes.size;
    return size;
}

/* Pins are the call's: let go here, or when the answer has left. */
static void kafka_fetch_send(struct kafka_call *c, int16_t error, int32_t session_id)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct kp_fetch_response head = KP_FETCH_RESPONSE_INIT;
    size_t pinned = 0;
    head.error = error;
    head.session_id = session_id;
    kafka_throttle_bytes(c, QUOTA_FETCH, kafka_fetch_size(plan));
    head.throttle_time_ms = kafka_throttle_answer(c);
    if (!kafka_fetch_write(c, &head)) {
        kafka_fetch_fail(c, kp_condition_text(KP_TOO_LARGE));
        return;
    }
    for (size_t i = 0; i < plan->count; i++)
        pinned += plan->rows[i].bytes.size > 0;
    if (pinned == 0)
        kafka_fetch_send_plain(c);
    else
        kafka_fetch_send_pinned(c, pinned);
}

/* --- sessions, when the rows are known
 * --------------------------------------------------------- */

/* The id of a session with these rows; 0: none. */
static int32_t kafka_fetch_make_session(struct kafka_call *c)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct kafka_sessions *all = c->k->sessions;
    struct kafka_session_new n = {
        .count = plan->count, .now_ms = kafka_fetch_now(c), .by_id = plan->by_id};
    for (size_t i = 0; i < plan->count; i++)
        n.size += kafka_session_cost(kafka_fetch_key(plan, &plan->rows[i]));
    struct kafka_session *s = kafka_session_create(all, &n);
    if (s == NULL)
        return 0;
    int32_t id = (int32_t)s->id;
    for (size_t i = 0; i < plan->count; i++) {
        struct kafka_session_ask ask = kafka_fetch_ask(plan, &plan->rows[i]);
        struct kafka_session_partition *p = kafka_session_put(all, s, &ask);
        if (p == NULL) { /* a name too long for a topic */
            kafka_session_close(all, id);
            return 0;
        }
        struct kafka_session_told told = plan->rows[i].told;
        told.data = false; /* keeps the order of the request */
        (void)kafka_session_note(s, p, &told);
    }
    return id;
}

/* Leaves the rows that must be told. 0, or the error of the whole answer. */
static int16_t kafka_fetch_leave_out(struct kafka_call *c)
{
    struct kafka_fetch_plan *plan = c->state;
    struct kafka_session *s =
        kafka_session_find(c->k->sessions, plan->session_id, plan->session_serial);
    size_t count = 0, all = plan->count;
    plan->count = 0;
    if (s == NULL) {
        plan->session_id = 0;
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (s->epoch != plan->session_epoch) /* a younger request has come in this session */
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    for (size_t i = 0; i < all; i++)
        if (kafka_session_note(s, plan->rows[i].cached, &plan->rows[i].told))
            plan->rows[count++] = plan->rows[i];
    plan->count = count;
    return 0;
}

static void kafka_fetch_answer(struct kafka_call *c)
{
    struct kafka_fetch_plan *plan = c->state;
    int16_t error = 0;
    if (plan->incremental)
        error = kafka_fetch_leave_out(c);
    else if (plan->make_session && !c->r->gone)
        plan->session_id = kafka_fetch_make_session(c);
    kafka_fetch_send(c, error, plan->session_id);
}

/* --- results ---------------------------------------------------------------------------------- */

/* What passes by itself is, for every client, a leader to be asked for again; Java's consumer stops
 * at a code that it does not expect in this answer, such as LEADER_NOT_AVAILABLE. */
static int16_t kafka_fetch_error(const struct kafka_fetch_row *row)
{
    enum broker_status status = row->item->status;
    bool passes = status == BROKER_LOADING || status == BROKER_BUSY || status == BROKER_TIMED_OUT;
    if (status == BROKER_OFFSET_NOT_AVAILABLE && row->follower)
        return KAFKA_OFFSET_NOT_AVAILABLE;                    /* not here yet */
    passes = passes || status == BROKER_OFFSET_NOT_AVAILABLE; /* an old leader, for all it knows */
    return passes ? KAFKA_NOT_LEADER_OR_FOLLOWER : kafka_errmap(status);
}

/* Once for each range, as far as the memory for it goes. */
static void kafka_fetch_log_damage(struct kafka_call *c, const struct kafka_fetch_row *row)
{
    char line[512];
    struct kafka *k = c->k;
    uint64_t mark = map_hash(row->name, (uint64_t)row->item->next_good << 16 ^ row->index);
    for (size_t i = 0; i < KAFKA_DAMAGED_MAX; i++)
        if (k->damaged[i] == mark)
            return;
    k->damaged[k->damaged_count++ % KAFKA_DAMAGED_MAX] = mark;
    if (k->options.log == NULL)
        return;
    (void)snprintf(line, sizeof line,
                   "\"%.*s\"-%d cannot be read at offset %lld: damaged on disk; a consumer can go "
                   "on at offset %lld",
                   (int)row->name.size, (const char *)row->name.p, row->index,
                   (long long)row->offset, (long long)row->item->next_good);
    k->options.log(k->options.ctx, 2, line);
}

/* While it waited, the topic may have been deleted, and another made under its name. */
static bool kafka_fetch_still_there(struct kafka_call *c, const struct kafka_fetch_row *row)
{
    const struct kafka_fetch_plan *plan = c->state;
    struct broker_topic_info info;
    return !plan->by_id || broker_topic_by_id(c->k->options.broker, row->id.b, &info) == 0;
}

static void kafka_fetch_result(struct kafka_call *c, struct kafka_fetch_row *row)
{
    const struct broker_fetch_item *item = row->item;
    if (row->preferred >= 0)
        return; /* all of it is known */
    if (item != NULL) {
        row->told.error = kafka_fetch_error(row);
        row->bytes = item->bytes;
        if (!kafka_fetch_still_there(c, row))
            row->told.error = KAFKA_UNKNOWN_TOPIC_ID;
        else if (item->status == BROKER_STORAGE && item->next_good >= 0)
            kafka_fetch_log_damage(c, row);
    }
    bool good = row->told.error == 0;
    row->told.high_watermark = good ? item->high_watermark : -1;
    row->told.log_start = good ? item->log_start : -1;
    if (!good)
        row->bytes = SLICE_NULL;
    row->told.data = row->bytes.size > 0;
}

void kafka_fetch_done(struct broker_fetch *req)
{
    struct kafka_call *c = req->ctx;
    struct kafka_fetch_plan *plan = c->state;
    bool last = kafka_end(c);
    ASSERT(last && req == &c->fetch);
    for (size_t i = 0; i < plan->count; i++)
        kafka_fetch_result(c, &plan->rows[i]);
    kafka_fetch_answer(c);
}
