/* SPDX-License-Identifier: MIT
 *
 * selftest: see selftest.h.
 */
#include "test/chaos/selftest.h"

#include <stddef.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "test/chaos/history.h"
#include "test/chaos/verdict.h"

#define SELFTEST_COUNT    10
#define SELFTEST_SIZE_MAX 64
#define SELFTEST_RUN      77
#define SELFTEST_CLEAN    SIZE_MAX

/* One partition: two producers in turn, sequences 0 to 4 of each, offsets 0 to 9. A plant changes
 * what the log holds, or what the producers were told. */
struct selftest_log {
    struct record_id id[SELFTEST_COUNT + 1];
    int64_t offset[SELFTEST_COUNT + 1];
    bool unreadable[SELFTEST_COUNT + 1];
    size_t count;
    int64_t start;
    bool retention;
    bool compacted;
    int failed; /* this one was reported as failed; -1: none */
    int silent; /* of this one nothing was reported; -1: none */
};

static struct record_id selftest_id(size_t i)
{
    return (struct record_id){
        .run = SELFTEST_RUN, .producer = (uint32_t)(i % 2), .partition = 0, .sequence = i / 2};
}

/* Takes record i out; the later ones move up, as their offsets do when `renumber`. */
static void selftest_remove(struct selftest_log *l, size_t i, bool renumber)
{
    for (; i + 1 < l->count; i++) {
        l->id[i] = l->id[i + 1];
        l->offset[i] = renumber ? (int64_t)i : l->offset[i + 1];
    }
    l->count--;
}

static void selftest_nothing(struct selftest_log *l)
{
    (void)l;
}

static void selftest_lose_last(struct selftest_log *l)
{
    l->count--;
}

static void selftest_lose_inside(struct selftest_log *l)
{
    selftest_remove(l, 4, true);
}

static void selftest_gap(struct selftest_log *l)
{
    selftest_remove(l, 4, false);
}

static void selftest_duplicate(struct selftest_log *l)
{
    l->id[l->count] = l->id[5];
    l->offset[l->count] = (int64_t)l->count;
    l->count++;
}

static void selftest_swap(struct selftest_log *l)
{
    struct record_id id = l->id[2];
    l->id[2] = l->id[4];
    l->id[4] = id;
}

static void selftest_phantom(struct selftest_log *l)
{
    l->id[l->count] = selftest_id(SELFTEST_COUNT);
    l->offset[l->count] = (int64_t)l->count;
    l->count++;
}

static void selftest_elsewhere(struct selftest_log *l)
{
    l->id[6].partition = 1;
}

static void selftest_garble(struct selftest_log *l)
{
    l->unreadable[3] = true;
}

static void selftest_skip(struct selftest_log *l)
{
    l->silent = 4;
    l->unreadable[4] = false;
    l->id[4] = l->id[5]; /* its place is taken, and so on up */
    for (size_t i = 5; i + 1 < l->count; i++)
        l->id[i] = l->id[i + 1];
    l->count--;
}

static void selftest_fail_absent(struct selftest_log *l)
{
    l->failed = 9;
    l->count--;
}

static void selftest_fail_present(struct selftest_log *l)
{
    l->failed = 4;
}

static void selftest_cut_start(struct selftest_log *l)
{
    l->start = 4;
    for (size_t i = 0; i < 6; i++) {
        l->id[i] = l->id[i + 4];
        l->offset[i] = l->offset[i + 4];
    }
    l->count = 6;
}

static void selftest_expire(struct selftest_log *l)
{
    selftest_cut_start(l);
    l->retention = true;
}

/* Sequences 0 to 4 have keys of their own: here 4 becomes a second one of the key of 0, so that of
 * each producer the first record is superseded. */
static void selftest_compact(struct selftest_log *l)
{
    l->compacted = true;
    for (size_t i = SELFTEST_COUNT - 2; i < SELFTEST_COUNT; i++)
        l->id[i].sequence = RECORD_KEYS;
    selftest_remove(l, 0, false);
    selftest_remove(l, 0, false);
}

static void selftest_compact_latest(struct selftest_log *l)
{
    selftest_compact(l);
    selftest_remove(l, 3, false); /* nothing behind it has its key */
}

static void selftest_compact_last(struct selftest_log *l)
{
    selftest_compact(l);
    l->count -= 2;
}

static void selftest_compact_other(struct selftest_log *l)
{
    selftest_compact(l);
    l->id[3] = l->id[1];
}

static void selftest_compact_order(struct selftest_log *l)
{
    selftest_compact(l);
    l->offset[3] = l->offset[2];
}

#define SELFTEST_FIELD(name) offsetof(struct verdict_counts, name)
static const struct {
    const char *name;
    size_t field; /* the count that must not be 0; SELFTEST_CLEAN: nothing bad */
    void (*plant)(struct selftest_log *l);
} selftest_cases[] = {
    {"a clean log", SELFTEST_CLEAN, selftest_nothing},
    {"the last record lost", SELFTEST_FIELD(lost), selftest_lose_last},
    {"a record lost inside", SELFTEST_FIELD(wrong), selftest_lose_inside},
    {"an offset left out", SELFTEST_FIELD(gaps), selftest_gap},
    {"a record twice", SELFTEST_FIELD(duplicated), selftest_duplicate},
    {"two records swapped", SELFTEST_FIELD(reordered), selftest_swap},
    {"a record nobody sent", SELFTEST_FIELD(phantom), selftest_phantom},
    {"a record of another partition", SELFTEST_FIELD(phantom), selftest_elsewhere},
    {"a value changed", SELFTEST_FIELD(wrong), selftest_garble},
    {"a sequence skipped in silence", SELFTEST_FIELD(skipped), selftest_skip},
    {"a failed record that is absent", SELFTEST_CLEAN, selftest_fail_absent},
    {"a failed record that is present", SELFTEST_CLEAN, selftest_fail_present},
    {"the log start moved", SELFTEST_FIELD(lost), selftest_cut_start},
    {"the log start moved by retention", SELFTEST_CLEAN, selftest_expire},
    {"superseded records gone", SELFTEST_CLEAN, selftest_compact},
    {"the latest of a key gone", SELFTEST_FIELD(lost), selftest_compact_latest},
    {"the last of all gone", SELFTEST_FIELD(lost), selftest_compact_last},
    {"another record in a compacted log", SELFTEST_FIELD(wrong), selftest_compact_other},
    {"an offset twice in a compacted log", SELFTEST_FIELD(gaps), selftest_compact_order},
};
#define SELFTEST_CASES (sizeof selftest_cases / sizeof selftest_cases[0])

static void selftest_judge(const struct selftest_log *l, struct verdict_counts *out)
{
    struct verdict *v = verdict_new(2, 1);
    if (l->compacted)
        verdict_compacted(v);
    verdict_start(v, 0, l->start, l->retention);
    for (size_t i = 0; i < l->count; i++)
        verdict_record(v, 0, l->offset[i], l->unreadable[i] ? NULL : &l->id[i]);
    for (uint32_t i = 0; i < 2; i++)
        verdict_sent(v, i, 0, l->compacted ? RECORD_KEYS + 1 : SELFTEST_COUNT / 2);
    for (int i = 0; i < SELFTEST_COUNT; i++) {
        struct record_id id = selftest_id((size_t)i);
        if (l->compacted && i >= SELFTEST_COUNT - 2)
            id.sequence = RECORD_KEYS;
        if (i == l->failed)
            verdict_failed(v, id.producer, 0, id.sequence);
        else if (i != l->silent)
            verdict_acked(v, id.producer, 0, id.sequence,
                          l->silent >= 0 && i > l->silent ? i - 1 : i);
    }
    verdict_end(v, out);
    (void)verdict_free(v);
}

static bool selftest_case(size_t n)
{
    struct verdict_counts counts;
    struct selftest_log l = {.count = SELFTEST_COUNT, .failed = -1, .silent = -1};
    for (size_t i = 0; i < SELFTEST_COUNT; i++) {
        l.id[i] = selftest_id(i);
        l.offset[i] = (int64_t)i;
    }
    selftest_cases[n].plant(&l);
    selftest_judge(&l, &counts);
    if (selftest_cases[n].field == SELFTEST_CLEAN)
        return !verdict_bad(&counts);
    uint64_t found;
    memcpy(&found, (const char *)&counts + selftest_cases[n].field, sizeof found);
    return found > 0 && verdict_bad(&counts);
}

/* Every changed byte makes a value nobody's. */
static bool selftest_values(void)
{
    struct buf value CLEANUP(buf_deinit) = {0};
    struct buf scratch CLEANUP(buf_deinit) = {0};
    struct record_id id = {.run = SELFTEST_RUN, .producer = 1, .partition = 2, .sequence = 3};
    struct record_id found;
    record_make(&id, SELFTEST_SIZE_MAX, &value);
    if (record_read(buf_slice(&value), SELFTEST_RUN, SELFTEST_SIZE_MAX, &scratch, &found) != 0)
        return false;
    bool good = found.producer == 1 && found.partition == 2 && found.sequence == 3;
    for (size_t i = 0; i < value.size; i++) {
        value.p[i] ^= 0x10;
        good = good && record_read(buf_slice(&value), SELFTEST_RUN, SELFTEST_SIZE_MAX, &scratch,
                                   &found) != 0;
        value.p[i] ^= 0x10;
    }
    struct slice cut = slice_of(value.p, value.size - 1);
    return good && record_read(cut, SELFTEST_RUN, SELFTEST_SIZE_MAX, &scratch, &found) != 0;
}

/* What was written comes back; an entry cut off is not taken for an end. */
static bool selftest_history(void)
{
    struct history_head head = {.run = 5, .producer = 1, .size_max = 9, .partitions = 2};
    struct history_entry e = {.kind = HISTORY_ACKED, .partition = 1, .sequence = 7, .offset = 8};
    struct history_head h;
    struct history_entry got;
    FILE *f = tmpfile();
    if (f == NULL)
        return false;
    bool good = history_write_head(f, &head) == 0 && history_write(f, &e) == 0 &&
                history_write(f, &e) == 0 && ftruncate(fileno(f), fflush(f) == 0 ? 70 : 0) == 0;
    rewind(f);
    good = good && history_read_head(f, &h) == 0 && h.run == 5 && h.partitions == 2;
    good = good && history_read(f, &got) == 0 && got.sequence == 7 && got.offset == 8;
    good = good && history_read(f, &got) == 2;
    (void)fclose(f);
    return good;
}

static int selftest_tell(const char *name, bool good)
{
    (void)printf("%s  %s\n", good ? "ok    " : "FAILED", name);
    return good ? 0 : 1;
}

int selftest_run(void)
{
    int failed = selftest_tell("values prove themselves", selftest_values());
    failed += selftest_tell("histories come back", selftest_history());
    for (size_t i = 0; i < SELFTEST_CASES; i++)
        failed += selftest_tell(selftest_cases[i].name, selftest_case(i));
    (void)printf("%zu cases, %d failed\n", SELFTEST_CASES + 2, failed);
    return failed > 0 ? 1 : 0;
}
