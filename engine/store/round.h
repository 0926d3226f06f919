/* SPDX-License-Identifier: MIT
 *
 * round: the only writer of partition folders. A round is a set of partitions whose queued work is
 * written together and synced together in one worker job.
 *
 *   write    each partition: its folder, old segment sealed (trimmed, synced) before the new file
 *            is created, space reserved in growing chunks, one pwritev per segment, index entries
 *   (note: written, where somebody waits for that and a sync follows)
 *   sync     all logs of all partitions as one set, then the folders that got new names; or not
 *   (note: durable or written) the acknowledgements leave here, where control follows
 *   control  what may follow: producer snapshot, state file, a swap of cleaned segments, segments
 *            dropped, big ones by a new name only: unlinking takes its time
 *   (done: finished)           else here
 *
 * One note less is one wake-up less of the owner: `written` is told in front of a sync only where
 * replicas read up to there, whose disks then sync beside this one.
 *
 * A partition's failure with a full disk is its own (the others go on); any other failure is the
 * whole round's and fatal.
 *
 * On-disk order and why: the sealed segment is durable before its successor exists, so that the
 * mere existence of a later segment proves the earlier ones. Segments are dropped oldest first, so
 * a crash leaves a contiguous rest; the log then starts at the larger of the state's log start and
 * the first segment, which is why a drop works on a full disk where the state cannot be written. A
 * new folder gets its first state, synced, before its first segment, so that "no state" means
 * "state lost".
 *
 * Where offsets may be missing the folder says so (state, mark) durably before the first batch
 * behind a gap is written: recovery would take it for damage.
 *
 * A refused round (disk full) leaves nothing: new segments are removed, the old one is cut back to
 * its end and synced before the refusal is reported, because after a restart recovery would take
 * whole batches behind the end for good ones.
 */
#pragma once

#include "engine/base/clock.h"
#include "engine/store/compact_swap.h"
#include "engine/store/part.h"

/* Bytes for one segment. */
struct round_write {
    int64_t base;
    uint64_t pos;
    struct iovec *iov; /* owned; the bytes are the appends' */
    int iov_count;
    size_t size;
    uint64_t alloc;     /* reserved end before and after */
    uint64_t alloc_max; /* the segment does not grow beyond: no space is reserved there ahead */
    struct buf index;
    struct buf timeindex;
    uint64_t index_pos;
    uint64_t timeindex_pos;
    bool create;
    bool seal;
};

/* A segment that goes; buried: its log stays as <base>.log.deleted, for somebody with more time. */
struct round_drop {
    int64_t base;
    bool bury;
};

struct part_round {
    struct list link;  /* in struct round */
    struct part *part; /* owner thread only */
    struct io *io;
    const char *dir;            /* the part's, constant */
    struct io_file *file;       /* the active segment's log; in and out */
    struct io_file *state_file; /* worker: the first state of a new folder, until it is synced */
    struct buf first_state;     /* with create_dir */
    struct round_write *writes; /* owned, in order */
    size_t write_count;
    struct list appends; /* struct part_append */
    int64_t now_ms;
    int64_t end; /* offset that written and durable are raised to */
    bool sync;
    bool create_dir;
    bool gaps;           /* offsets are missing in these writes, for the first time */
    bool new_names;      /* in and out: the folder has new names to sync */
    bool new_folder;     /* likewise the folder's own name */
                         /* control */
    struct buf state;    /* empty: none */
    struct buf snapshot; /* empty: none */
    int64_t snapshot_offset;
    struct round_drop *drops; /* owned: segments to remove */
    size_t drop_count;
    int64_t log_start;        /* in state */
    int64_t old_snapshot;     /* to unlink once the new one is durable; -1 none */
    struct compact_swap swap; /* with swaps */
    bool swaps;
    bool swap_lost;    /* it does not fit any more */
    bool checkpointed; /* state and snapshot are durable */
    bool dropped;      /* the drops are gone from the folder */
    bool raised_written;
    bool raised_durable;
    int result; /* 0, IO_FULL, -errno */
    /* To take the plan back when the disk was full. */
    bool saved_roll;
    uint32_t saved_generation;
    size_t saved_count;
    struct segment saved; /* the last segment before this plan */
};

struct round {
    struct work_job job;
    struct work_note written;
    struct work_note durable;
    struct io *io;
    struct list parts; /* struct part_round */
    size_t count;
    bool sync;
    bool tells_written;        /* in front of its sync; set before the submit */
    int result;                /* 0 or -errno: fatal */
    const struct clock *clock; /* borrowed; NULL: nothing is timed. Nothing is decided by it */
    int64_t sync_us;           /* how long the syncs took, with a clock */
    /* Owner thread: after the partitions' part_round_done of each stage ran. `fatal` is 0 or
     * -errno. */
    void (*staged)(struct round *r, enum part_stage stage, int fatal);
    /* Owner thread: after each partition's part_round_done. result as in part_round. */
    void (*part_done)(struct part *p, enum part_stage stage, int result);
    void *ctx;
};

/* An empty round; sync as in part_round_take. */
void round_init(struct round *r, struct io *io, bool sync);
/* Takes a partition into the round. */
void round_add(struct round *r, struct part *p, int64_t now_ms);
/* Runs in a worker; completions come in work_drain. count > 0. */
void round_submit(struct round *r, struct work *w);
/* Runs here and now, to the end. 0 or the fatal -errno. For the embedded log, tests and
 * recovery. */
int round_run_now(struct round *r) MUST_CHECK;

/* Steps of one partition, exposed for the tests. Worker. */
int round_write_part(struct part_round *pr) MUST_CHECK;
int round_control_part(struct part_round *pr) MUST_CHECK;
