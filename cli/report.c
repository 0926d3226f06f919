/* SPDX-License-Identifier: MIT
 *
 * report: see report.h.
 */
#include "cli/report.h"

#include <inttypes.h>
#include <sys/vfs.h>

#include "cli/out.h"

static void report_data(const struct report *r, struct buf *out)
{
    char text[OUT_TEXT_MAX];
    size_t home_size = r->home != NULL ? strlen(r->home) : 0;
    bool at_home = home_size > 1 && strncmp(r->data, r->home, home_size) == 0 &&
                   (r->data[home_size] == '/' || r->data[home_size] == '\0');
    size_t before = out->size;
    buf_printf(out, "  data    %s%s", at_home ? "~" : "", r->data + (at_home ? home_size : 0));
    int pad = 42 - (int)(out->size - before);
    buf_printf(out, "%*s", pad > 2 ? pad : 2, "");
    if (r->fresh)
        buf_printf(out, "new");
    else
        buf_printf(out, "%zu topic%s, %zu partition%s", r->topics, r->topics == 1 ? "" : "s",
                   r->partitions, r->partitions == 1 ? "" : "s");
    buf_printf(out, ", %s, %s free\n", r->file_system, out_size(text, (int64_t)r->free_size));
}

static void report_next(const struct report *r, struct buf *out)
{
    bool say = !r->clients_find_it && r->native_count > 0;
    buf_printf(out, "  Next:  echo hello | kauri produce greetings%s%s", say ? " -s " : "",
               say ? r->natives[0] : "");
}

/* The end of the line about acks, and who the others are. */
static void report_cluster(const struct report *r, struct buf *out)
{
    if (r->role == NULL || strcmp(r->role, "alone") == 0) {
        buf_printf(out, "; replicas: none\n");
        return;
    }
    buf_printf(out, "%s on every in-sync replica\n  cluster broker %d",
               r->durability_os ? ";" : " and", r->broker_id);
    if (r->member_count > 1)
        buf_printf(out, ", one of %zu", r->member_count);
    buf_printf(out, ", %s", r->role);
    for (size_t i = 0; i < r->seed_count; i++)
        buf_printf(out, "%s%s", i == 0 ? ": replica of " : ", ", r->seeds[i]);
    buf_append_u8(out, '\n');
}

void report_start(const struct report *r, struct buf *out)
{
    char text[OUT_TEXT_MAX];
    buf_printf(out, "kauri %s\n", r->version);
    report_data(r, out);
    for (size_t i = 0; i < r->native_count; i++)
        buf_printf(out, "  %s  %s\n", i == 0 ? "native" : "      ", r->natives[i]);
    for (size_t i = 0; i < r->kafka_count; i++)
        buf_printf(out, "  %s   %-33s advertised: %s\n", i == 0 ? "kafka" : "     ", r->kafkas[i],
                   r->advertised[i] != NULL ? r->advertised[i] : "as each client dialled");
    if (r->http != NULL)
        buf_printf(out, "  http    %s\n", r->http);
    if (r->durability_os)
        buf_printf(out, "  acks    written to the page cache, synced every %s (durability=os)",
                   out_duration(text, r->flush_ms));
    else
        buf_printf(out, "  acks    all = written and fsynced here");
    report_cluster(r, out);
    buf_printf(out, "ready in %" PRId64 " ms.", r->ready_ms);
    if (r->seed_count > 0)
        buf_printf(out, "  Next:  kauri cluster status%s%s", r->clients_find_it ? "" : " -s ",
                   r->clients_find_it ? "" : r->natives[0]);
    else if (r->fresh || r->topics == 0)
        report_next(r, out);
    buf_append_u8(out, '\n');
}

void report_stop(size_t sessions, size_t partitions, int64_t ms, struct buf *out)
{
    buf_printf(out, "stopping: %zu session%s drained, %zu partition%s flushed, %" PRId64 " ms\n",
               sessions, sessions == 1 ? "" : "s", partitions, partitions == 1 ? "" : "s", ms);
}

void report_state(const struct report_state *s, struct buf *out)
{
    char size[OUT_TEXT_MAX];
    buf_printf(
        out,
        "state: up %" PRId64 " s, %zu topics, %zu partitions, %zu sessions, %zu calls running, "
        "%" PRIu64 " messages received, %" PRIu64 " refused, %" PRIu64 " jobs, %s free%s",
        s->up_ms / 1000, s->topics, s->partitions, s->sessions, s->running, s->received, s->refused,
        s->jobs, out_size(size, (int64_t)s->free_size), s->disk_full ? ", disk full" : "");
}

const char *report_file_system(const char *path)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } names[] = {
        {0xef53, "ext4"},      {0x58465342, "xfs"},      {0x9123683e, "btrfs"},
        {0x01021994, "tmpfs"}, {0x2fc12fc1, "zfs"},      {0x794c7630, "overlay"},
        {0xf2f52010, "f2fs"},  {0x6969, "nfs"},          {0xff534d42, "cifs"},
        {0x65735546, "fuse"},  {0xca451a4e, "bcachefs"},
    };
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return "unknown";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((uint32_t)fs.f_type == names[i].magic)
            return names[i].name;
    return "other file system";
}
