/* SPDX-License-Identifier: MIT
 *
 * sources: see sources.h.
 */
#include "test/chaos/sources.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/batch.h"
#include "net/client/kauri.h"

#define SOURCE_WAIT_MS     10000
#define SOURCE_INFLATE_MAX ((size_t)256 << 20)

static void source_record(const struct source *s, uint32_t partition, int64_t offset,
                          struct slice value, struct buf *scratch)
{
    struct record_id id;
    bool good = record_read(value, s->run, s->size_max, scratch, &id) == 0;
    verdict_record(s->verdict, partition, offset, good ? &id : NULL);
}

/* --- through the client --------------------------------------------------------------------- */

static int source_fail(struct kauri *k, const char *what, int error)
{
    (void)fprintf(stderr, "check: %s: %s: %s\n", what, kauri_error_text(error), kauri_message(k));
    return 1;
}

static int source_assign(const struct source *s, struct kauri *k, uint32_t partition)
{
    int64_t start = -1;
    int error = kauri_offset(k, s->topic, (int32_t)partition, KAURI_OFFSET_START, &start);
    if (error == 0)
        error = kauri_assign(k, s->topic, (int32_t)partition, start);
    if (error != 0)
        return source_fail(k, "cannot assign", error);
    verdict_start(s->verdict, partition, start, s->retention);
    return 0;
}

static int source_read(const struct source *s, struct kauri *k)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    uint32_t open = s->partitions;
    while (open > 0) {
        struct kauri_record r = {0};
        int error = kauri_next(k, SOURCE_WAIT_MS, &r);
        if (error == KAURI_END) {
            /* Ends come once per reached end: a partition that is done is taken away. */
            open--;
            (void)kauri_unassign(k, s->topic, r.partition);
        } else if (error == 0) {
            source_record(s, (uint32_t)r.partition, r.offset, slice_of(r.value, r.value_size),
                          &scratch);
        } else {
            return source_fail(k, "cannot read", error);
        }
    }
    return 0;
}

int source_client(const struct source *s, const char *server)
{
    struct kauri_options options = {
        .server = server, .client_name = "chaos_check", .eof_events = true, .timeout_ms = 20000};
    struct kauri *k = NULL;
    int r = kauri_open(&options, &k);
    if (r != 0) {
        (void)fprintf(stderr, "check: cannot open %s\n", server);
        return 1;
    }
    for (uint32_t i = 0; r == 0 && i < s->partitions; i++)
        r = source_assign(s, k, i);
    if (r == 0)
        r = source_read(s, k);
    (void)kauri_close(k);
    return r;
}

/* --- from the files ------------------------------------------------------------------------- */

static int source_load(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    size_t got = 1;
    buf_reset(out);
    while (f != NULL && got > 0) {
        buf_reserve(out, (size_t)1 << 20);
        got = fread(out->p + out->size, 1, (size_t)1 << 20, f);
        out->size += got;
    }
    if (f == NULL || fclose(f) != 0) {
        (void)fprintf(stderr, "check: cannot read %s\n", path);
        return 1;
    }
    return 0;
}

static int source_batch(const struct source *s, uint32_t partition, struct slice batch,
                        struct buf scratch[2])
{
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault fault = batch_iter_init(&it, batch, SOURCE_INFLATE_MAX, &scratch[0]);
    while (fault == BATCH_OK && batch_iter_next(&it, &r, &fault))
        source_record(s, partition, r.offset, r.value, &scratch[1]);
    if (fault == BATCH_OK)
        return 0;
    (void)fprintf(stderr, "check: a batch of partition %u: %s\n", partition,
                  batch_fault_text(fault));
    return 1;
}

static int source_segment(const struct source *s, uint32_t partition, struct slice bytes,
                          int64_t expected, bool first)
{
    struct buf scratch[2] = {{0}, {0}};
    struct batch_header h;
    int r = 0;
    while (r == 0 && batch_check_stored(bytes, expected, &h) == BATCH_OK) {
        struct slice batch = slice_of(bytes.p, h.size);
        if (first)
            verdict_start(s->verdict, partition, h.base_offset, s->retention);
        first = false;
        r = source_batch(s, partition, batch, scratch);
        expected = batch_next_offset(&h);
        bytes = slice_of(bytes.p + h.size, bytes.size - h.size);
    }
    buf_deinit(&scratch[0]);
    buf_deinit(&scratch[1]);
    return r;
}

static int source_partition(const struct source *s, const char *dir, uint32_t partition)
{
    struct buf pattern CLEANUP(buf_deinit) = {0};
    struct buf bytes CLEANUP(buf_deinit) = {0};
    glob_t found = {0};
    int r = 0;
    buf_printf(&pattern, "%s/%s-%u/*.log", dir, s->topic, partition);
    buf_append_u8(&pattern, 0);
    int globbed = glob((const char *)pattern.p, 0, NULL, &found);
    if (globbed != 0 && globbed != GLOB_NOMATCH)
        r = 1;
    for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        r = source_load(found.gl_pathv[i], &bytes);
        if (r == 0)
            r = source_segment(s, partition, buf_slice(&bytes), strtoll(name, NULL, 10), i == 0);
    }
    globfree(&found);
    return r;
}

int source_folder(const struct source *s, const char *dir)
{
    ASSERT(dir != NULL);
    for (uint32_t i = 0; i < s->partitions; i++)
        if (source_partition(s, dir, i) != 0)
            return 1;
    return 0;
}
