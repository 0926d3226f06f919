/* SPDX-License-Identifier: MIT
 *
 * part: one partition, a folder of segments. The owner thread decides (checks, offsets, producer
 * state, where each byte goes); a worker executes what was decided, a round at a time (round.h).
 *
 *   segments   [0 .......][57 .......][113 ....     ]      named by base offset; the last is active
 *                          ^log start         ^durable ^reserved
 *
 * Three ends, all "next offset": reserved (decided), written (in the page cache), durable (synced).
 * A round fixes the reserved end when it is taken and raises written and durable to exactly that
 * value when it succeeded.
 *
 * One append, in steps:
 *   part_append       owner   producer checks, offset, stamp, queued; end `reserved` moves
 *   part_round_take   owner   everything queued becomes one struct part_round: writes with file
 *                             positions, index entries, a roll, perhaps a checkpoint
 *   part_round_write  worker  files created, space reserved, one pwritev per segment
 *   (io_sync of all files of all partitions in the round; part_round_sync_dir for new names)
 *   part_round_done   owner   ends move, completions run
 *
 * Reading is bounded by an end the caller names and checks the CRC of every batch it returns, so a
 * flipped byte is an error with an offset range, never a wrong byte. Reading what is not in memory
 * says PART_COLD and fills a struct part_warm for a worker.
 *
 * Failures: a full disk takes the round's appends back (part_append's done gets IO_FULL),
 * everything else that fails in a write or sync is fatal to the process (the caller's duty): the
 * part is `failed` and takes part in no further round. Damage found below the durable point is
 * never cut: the offset range is remembered, reported, and answered with PART_DAMAGED.
 *
 * Must not know: topics, clocks, sockets, LMDB.
 *
 * Invariants, walked by part_check:
 *   P1 segments rise: base[i] + its records <= base[i+1]; only the last is active
 *   P2 log_start <= written, durable <= written <= reserved
 *   P3 pending appends are contiguous and end at reserved
 *   P4 at most one round is out; without one and without pending, written == reserved, unless
 *      failed
 *   P5 a writer is on the store's list exactly when it is open and no round is out
 *   P6 damaged ranges do not touch, rise, and end by written
 *   P7 while a swap is in a round, its segments are there, sealed, mapped and pinned
 *   P8 kept_start <= log_start
 *   P10 mark <= written
 *   P9 the epochs are those of the batches in [log start, reserved), and none is above the part's
 */
#pragma once

#include "engine/base/work.h"
#include "engine/store/epochs.h"
#include "engine/store/producers.h"
#include "engine/store/reader.h"
#include "engine/store/recover.h"
#include "engine/store/state.h"

struct part_config {
    uint64_t segment_size_max;    /* segment.bytes */
    int64_t segment_ms;           /* segment.ms */
    uint64_t roll_size;           /* a segment ends at this size already; 0: segment_size_max */
    int64_t roll_ms;              /* and this long after its first append, when it is not small; */
    int64_t roll_small_ms;        /* this long when it is; both by now_ms, 0: never */
    uint64_t bury_size;           /* see part_buried; 0: nothing is left to the owner */
    uint64_t index_interval_size; /* index.interval.bytes */
    uint64_t checkpoint_size;     /* bytes between recovery points; 0: 64 MiB */
    size_t producers_max;         /* producer ids remembered; 0: 100,000 */
};

struct segment {
    int64_t base;
    uint64_t size;           /* bytes decided so far: where the next batch goes */
    uint64_t ready;          /* bytes that readers may look at */
    uint64_t alloc;          /* bytes reserved on disk (active segment) */
    int64_t first_timestamp; /* of the first batch; -1 none */
    int64_t max_timestamp;   /* -1 none */
    int64_t opened_ms;       /* of the first append, by now_ms; 0 none or not known */
    int64_t appended_ms;     /* of the last; INT64_MAX not known */
    uint64_t indexed;        /* position of the last index entry */
    uint64_t index_size;     /* bytes decided */
    uint64_t index_ready;    /* bytes that readers may look at */
    uint64_t timeindex_size;
    uint64_t timeindex_ready;
    struct reader *reader; /* NULL unless mapped */
    bool exists;           /* its log is in the folder */
};

struct part_range { /* damaged offsets [from, to); none with stray bytes between two batches */
    int64_t from;
    int64_t to;
    int64_t base; /* segment and position where the damage begins */
    uint64_t pos;
    int64_t next_base; /* and where `to` can be read */
    uint64_t next_pos;
};

/* Conditions (state.h and io.h use 1 to 6). */
#define PART_DUPLICATE    10 /* append: stored before; offsets are the original's */
#define PART_GAP          11 /* append: sequence out of order */
#define PART_FENCED       12 /* append: older producer epoch */
#define PART_PRODUCERS    13 /* append: too many producer ids */
#define PART_TOO_LARGE    14 /* append: batch larger than a segment */
#define PART_OUT_OF_RANGE 15 /* read: below log start, or beyond the bound */
#define PART_END          16 /* read: offset is the bound: nothing there yet */
#define PART_COLD         17 /* read: run part_warm first */
#define PART_DAMAGED      18 /* read: offset lies in a damaged range */
#define PART_CLOSING      19 /* append: the partition is being closed */
#define PART_LOST         20 /* swap: the segments are not what they were */
#define PART_BROKEN       21 /* append as is: no whole good batches that follow the log's end */
#define PART_EPOCH        22 /* set epoch, append as is: it falls, or is above the part's */

struct part_shipped;

struct part_append {
    struct list link;
    uint8_t *batch;             /* borrowed, stamped in place; pinned until done */
    struct batch_header header; /* parsed and validated by the caller; base_offset set here */
    int64_t base_offset;        /* results */
    int64_t last_offset;
    int64_t from; /* the reserved end in front of it */
    size_t size;  /* of all its bytes */
    struct producers_undo undo;
    struct part_shipped *shipped; /* the part's; NULL unless appended as is */
    /* 0: written (os) or durable (sync); IO_FULL: not stored; owner thread, inside
     * part_round_done. */
    void (*done)(struct part_append *a, int result);
};

/* Batches of another leader, to be stored as they are. */
struct part_shipment {
    struct slice
        bytes;       /* borrowed until done: whole batches of one segment, one behind the other */
    int64_t segment; /* base offset of that segment at the leader */
};

/* Waits until `offset` is below the durable end (written end where the round does not sync). */
struct part_wait {
    struct list link;
    int64_t offset;
    bool sync; /* set by part_wait: for the durable end */
    void (*done)(struct part_wait *w, int result);
};

/* Puts one cleaned segment in the place of sealed ones; see compact.h. */
struct part_swap {
    int64_t base;  /* of the first of them, and of the new one */
    int64_t end;   /* of the segment behind the last of them */
    uint64_t size; /* bytes of them all, as they were copied */
    size_t count;  /* of them */
    struct reader *
        *readers;           /* borrowed; count mappings of them; what the part takes becomes NULL */
    struct segment segment; /* the new one: figures as in struct part */
    bool begins;            /* the first of a pass: the compaction generation rises */
    void *ctx;
    /* 0: in force; PART_LOST or IO_FULL: nothing changed; -errno. Owner thread, inside
     * part_round_done or part_abort. */
    void (*done)(struct part_swap *s, int result);
};

struct part_round;

struct part {
    struct store *store;
    char *dir; /* owned */
    struct part_config config;
    struct segment **segments; /* owned; count >= 1 once anything was appended */
    size_t count;
    size_t cap;
    int64_t log_start;  /* may be ahead of the disk: part_advance */
    int64_t kept_start; /* log start in the state on disk, or above */
    int64_t reserved;
    int64_t written;
    int64_t durable;
    int32_t epoch; /* leader epoch stamped into batches */
    uint32_t generation;
    struct epochs epochs;
    struct producers producers;
    struct list pending; /* struct part_append */
    struct list shipped; /* struct part_shipped, owned */
    struct list waits;   /* struct part_wait, by offset */
    size_t pending_size;
    size_t pending_count;
    struct io_file *writer; /* log of the active segment; NULL when closed or in a round */
    struct list writer_link;
    struct part_round *round;   /* out with a worker; NULL */
    void *owner;                /* the caller's, for round.part_done */
    struct part_range *damaged; /* owned, rising */
    size_t damaged_count;
    int64_t mark;              /* committed below, as the owner says; at most written */
    int64_t skipped;           /* damage below, at the opening: no snapshot is right; -1 none */
    int64_t checkpoint;        /* recovery point on disk */
    int64_t snapshots[2];      /* offsets of the snapshots on disk, newest first; -1 none */
    uint64_t since_checkpoint; /* bytes decided since */
    uint64_t appended;         /* bytes ever decided by this process; only rises */
    int64_t *buried;           /* owned; see part_buried */
    size_t buried_count;
    int64_t trim_to;        /* asked log start, -1 none */
    struct part_swap *swap; /* asked for, or in the round that is out; borrowed */
    uint64_t swaps;         /* that ended */
    unsigned rebuilds;      /* part_warm that write index files */
    int failed;             /* -errno of the round after which nothing is known; 0 */
    bool exists;            /* the folder is there, with a state or a segment */
    bool read_only;
    bool dirty;      /* written beyond durable (rounds without sync) */
    bool new_names;  /* the folder has names that are not synced (rounds without sync) */
    bool new_folder; /* nor is the folder's own name */
    bool roll;       /* the next append begins a new segment */
    bool seal;       /* the next round begins one, with or without an append */
    bool sealing;    /* the round that is out does so */
    bool swapping;   /* the swap is in the round that is out */
    bool want_checkpoint;
};

/* What recovery did, for the log line and for verify. */
struct part_recovery {
    uint64_t scanned_size; /* batches behind the recovery point, or the producer snapshot */
    uint64_t torn_size;    /* bytes cut behind the last good batch, never acknowledged */
    int64_t torn_offset;
    bool torn_saved; /* cut bytes held a later valid batch: kept in a .torn file */
    bool swap_found; /* a swap of cleaned segments was half done */
    bool state_damaged;
    bool snapshot_damaged;
    bool index_rebuilt;
    size_t damaged_count;  /* ranges below the durable point */
    size_t epochs_damaged; /* batches with a leader epoch below that of one in front of them */
};

struct part_open_options {
    const char *dir;
    struct part_config config;
    int64_t now_ms;
    bool rewrite_tail; /* after an error exit: the page cache may show what the disk lacks */
    bool read_only;    /* change nothing: for dump and verify beside other tools */
};

/* Opens and recovers a folder; a missing one is an empty partition. May wait for the disk: any
 * thread, if nothing else uses the folder; the store's lists are not touched. 0, STATE_NEWER,
 * IO_FULL or -errno. *out is owned. */
int part_open(struct store *s, const struct part_open_options *o, struct part **out,
              struct part_recovery *report) MUST_CHECK;
/* No round and no part_warm is out. Forgets pending appends (as a kill would); closes files. Owner
 * thread. NULL fine, returns NULL. */
struct part *part_close(struct part *p);
void part_check(const struct part *p);
/* Appends the partition's state in words, a few lines. */
void part_dump(const struct part *p, struct buf *out);

/* --- appending --- */

/* Reserves offsets for a validated batch. 0 (done will be called), or PART_DUPLICATE,
 * PART_GAP, PART_FENCED, PART_PRODUCERS, PART_TOO_LARGE: nothing queued. */
int part_append(struct part *p, struct part_append *a, int64_t now_ms) MUST_CHECK;
/* The epoch of what this part leads from now on, and the highest that is appended as is. It is for
 * the caller to have it durable before. 0, or PART_EPOCH: below what the part has known; unchanged.
 */
int part_set_epoch(struct part *p, int32_t epoch) MUST_CHECK;
/* Of the newest batch, reserved or stored; EPOCHS_NONE: there is none. */
int32_t part_last_epoch(const struct part *p);
/* Takes whole batches at the offsets and epochs they carry (a->batch and a->header are not for the
 * caller), all or none: the first at or behind the reserved end, gaps allowed; in an empty log
 * without a file also one that holds its start. Begins a new segment where in->segment says that
 * the leader did, and for no other reason of size or time. 0 (done will be called; in->bytes is
 * pinned until then), PART_BROKEN or PART_EPOCH: nothing queued. O(bytes). */
int part_append_as_is(struct part *p, struct part_append *a, const struct part_shipment *in,
                      int64_t now_ms) MUST_CHECK;
/* Joins the waiters of an offset below `reserved`; w->done runs in a later part_round_done (with 0,
 * IO_FULL when the offset was taken back, or -errno), or never if the offset is durable (with sync)
 * or written (without) already: then false is returned and nothing is queued. */
bool part_wait(struct part *p, struct part_wait *w, bool sync);
void part_wait_cancel(struct part_wait *w);
/* Completes everything queued and waiting with `result` (not 0); the partition is closed next. No
 * round is out. */
void part_abort(struct part *p, int result);
/* Asks that the log begin at `offset` (<= durable); done by a later round. */
void part_trim(struct part *p, int64_t offset);
/* Asks that the active segment, when it has bytes, end with the next round. */
void part_seal(struct part *p);
/* Asks for a swap; one at a time. s stays until its done ran or part_swap_cancel. */
void part_swap(struct part *p, struct part_swap *s);
/* Takes it back; not while p->swapping. done does not run. */
void part_swap_cancel(struct part *p);
/* Asks for a new recovery point at the end of the next round. */
void part_checkpoint(struct part *p);
/* True when a round has something to do: pending appends, a trim, a checkpoint, a seal, a swap; and
 * for `flush` also bytes that are written and not durable. */
bool part_round_due(const struct part *p, bool flush);

/* All below is committed: kept in `state` with the next recovery point, as far as that goes. Never
 * moves back. */
void part_committed(struct part *p, int64_t mark);
/* What `state` says when the recovery point is the end of the log: for whoever closes a part to
 * change its files and opens it again. Without that the opening would take damage behind the old
 * recovery point for a torn tail, and cut it. False: there is no folder, or the end is not durable.
 */
bool part_settled(const struct part *p, struct state *out);

/* --- rounds: see round.h for how a set of them runs --- */

/* Takes everything that is due. sync: the round ends with a sync. now_ms for the age of segments.
 * Owner thread; no round is out. */
struct part_round *part_round_take(struct part *p, bool sync, int64_t now_ms);
/* Completes: result 0, IO_FULL (appends taken back), or -errno (fatal: nothing is known). `stage`
 * written raises the written end and completes waiters of a round without sync; durable raises
 * both; finished ends the round and frees it. */
enum part_stage {
    PART_STAGE_WRITTEN,
    PART_STAGE_DURABLE,
    PART_STAGE_FINISHED,
};
void part_round_done(struct part *p, struct part_round *r, enum part_stage stage);

/* --- reading --- */

struct part_extent {
    struct slice bytes;  /* whole batches; the first contains the offset asked for */
    int64_t next_offset; /* behind the last of them */
    int64_t segment;     /* base offset of the one segment they all come from */
    struct reader *pin;  /* reader_unpin when done */
};

struct part_read {
    int64_t offset;
    int64_t bound;   /* batches end at or below this offset: durable, or written */
    size_t size_max; /* the first batch comes whole even if larger */
    bool may_wait;   /* pages that are not in memory are waited for: PART_COLD only opens files */
};

/* What a worker must do before a PART_COLD read can go on. The part stays open until
 * part_warm_done. */
struct part_warm {
    struct reader_plan plan;
    struct io *io;
    struct reader *reader; /* result; NULL when the segment was mapped already */
    uint64_t pos;          /* bytes to bring into memory */
    size_t size;
    bool open;
    bool rebuild;                   /* the index of this sealed segment is damaged: make it anew */
    struct recover_segment segment; /* for that */
    struct recover_sizes rebuilt;   /* its result */
    uint64_t swaps;                 /* of the part, when this was asked for */
    int result;
};

/* 0 and *out; PART_OUT_OF_RANGE; PART_END; PART_DAMAGED (*next_good, above the offset, is where
 * reading can go on); PART_COLD (*warm is set). Unless it may, it never waits for the disk but for
 * a page evicted in the last moment. Owner thread. */
int part_read(struct part *p, const struct part_read *q, struct part_extent *out,
              struct part_warm *warm, int64_t *next_good) MUST_CHECK;
/* Worker. */
void part_warm_run(struct part_warm *w);
/* Owner thread: hands the result over. 0 or -errno. */
int part_warm_done(struct part *p, struct part_warm *w) MUST_CHECK;
/* Owner thread: it was not run and will not be. */
void part_warm_drop(struct part *p, const struct part_warm *w);

uint64_t part_size(const struct part *p);
/* Bytes behind an offset; inside a segment by its share of the offsets, so about. O(segments). */
uint64_t part_size_from(const struct part *p, int64_t offset);

/* --- damage (part_damage.c) --- */

/* The offset in front of which the log can be read from its start on, as far as is known: the
 * reserved end, where no damage is. */
int64_t part_whole_end(const struct part *p);
/* The first damaged offsets, not below the log start, that end behind `offset`; those of one
 * segment, base and next_base being that one. Where the log has no segment, the one that begins
 * with them. False: none is known. */
bool part_damaged_piece(const struct part *p, int64_t offset, struct part_range *out);

/* --- retention (part_retain.c) --- */

/* The time of a segment's newest record: its timestamp, or that of the last append where this was
 * earlier: a record that claims a time to come is as old as its append, and so is one without a
 * time. */
int64_t part_newest_ms(const struct segment *s);
/* Largest base offset b such that dropping the segments below b keeps at least retention_size bytes
 * and drops only segments whose newest record is older than older_than_ms (-1: no limit by time).
 * The active segment counts as droppable when everything in it is old and nothing is pending; then
 * the answer is the end. Returns log_start when nothing expires. */
struct part_retention {
    int64_t retention_size; /* -1 none */
    int64_t older_than_ms;  /* -1 none */
};
int64_t part_expired(const struct part *p, const struct part_retention *q);
/* The first segment that has bytes, and what is known of the log's oldest records. */
struct part_oldest {
    int64_t end;      /* offset behind the segment */
    size_t slot;      /* of it */
    int64_t first_ms; /* largest time of its first batch, if the log begins with that; -1 unknown */
    int64_t newest_ms; /* of the segment */
};
/* False: there is no record. */
bool part_oldest(const struct part *p, struct part_oldest *out);
/* Bytes that may be appended until a further segment is beyond retention_size. */
uint64_t part_room(const struct part *p, uint64_t retention_size);
/* Lets the log begin at `offset` inside its first segment: in memory, and on disk with the next
 * recovery point, so a crash may take it back. Nothing happens when it is not in there. */
void part_advance(struct part *p, int64_t offset);
/* The clock that now_ms comes from was put forward by ms (back, when negative). */
void part_shift_clock(struct part *p, int64_t ms);
/* Segments that left the log and were at least bury_size: <base>.log.deleted is the caller's to
 * remove. *bases is handed over (free). The next opening removes what is left of them. */
size_t part_buried(struct part *p, int64_t **bases);

/* What compaction may work on: whole sealed durable segments. */
struct part_cleanable {
    int64_t first_dirty; /* in: where an earlier pass ended, -1 unknown; out: put right */
    int64_t young_ms;    /* in: a segment with a newer record, and all behind it, stay out */
    int64_t bound;       /* in: what is not below stays out, as what is not durable does; 0: none */
    int64_t end;         /* out: base of the first segment that stays out; log start: nothing */
    uint64_t clean_size; /* out: bytes in front of first_dirty */
    uint64_t dirty_size; /* out: bytes from there to the end */
    int64_t oldest_ms;   /* out: a time at or before that of the first dirty record, also in what
                          * stays out; INT64_MAX none */
};
void part_cleanable(const struct part *p, struct part_cleanable *q);
