/* SPDX-License-Identifier: MIT
 *
 * sources: see sources.h. The files of a stopped broker.
 */
#include "test/chaos/sources.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/batch.h"

#define SOURCE_INFLATE_MAX ((size_t)256 << 20)

void source_record(const struct source *s, uint32_t partition, int64_t offset, struct slice value,
                   struct buf *scratch)
{
    struct record_id id;
    bool good = record_read(value, s->run, s->size_max, scratch, &id) == 0;
    verdict_record(s->verdict, partition, offset, good ? &id : NULL);
}

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
