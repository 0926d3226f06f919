/* SPDX-License-Identifier: MIT
 *
 * catalog: the names and records of the catalogue: which topic names are legal, and how a topic is
 * written down as a coordination record.
 *
 * Keys of coordination records:
 *   topics/<name>      a topic
 *   seq/pid            the next block of producer ids
 *   brokercfg/<key>    a dynamic broker config of this node, value as text
 *   clustercfg/<key>   one of every broker of the cluster
 *   quotas/<entity>    the quotas of an entity, see quota.h
 *   and those of cluster.h
 *
 * Value of a topic record: [u8 version 2][u8 state][16 id][i32 le partitions][i32 le replication]
 * [u8 1: spread] [u32 le count] then per config [u16 le size][key][u16 le size][value]. Version 1
 * has no spread, and is read as if it were 1.
 */
#pragma once

#include "engine/broker/config.h"

#define CATALOG_NAME_MAX 249

enum catalog_state {
    CATALOG_LIVE = 0,
    CATALOG_DELETING = 1, /* the folders are being removed */
};

struct catalog_topic {
    uint8_t id[16];
    enum catalog_state state;
    int32_t partitions;
    int32_t replication;         /* as it was asked for */
    bool spread;                 /* nobody asked for it: more as brokers join */
    struct config_topic configs; /* owned */
};

#define CATALOG_DAMAGED 1

/* Kafka's rules: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". NULL when legal, else what is wrong
 * (static). */
const char *catalog_name_fault(struct slice name);
/* Two names that differ only in . and _ would collide in metric names; Kafka refuses the second. */
bool catalog_names_collide(struct slice a, struct slice b);
/* Names that begin with "__" are the broker's own. */
bool catalog_name_internal(struct slice name);

void catalog_encode(const struct catalog_topic *t, struct buf *out);
/* Into a zeroed struct; 0 or CATALOG_DAMAGED (then *t is empty again). */
int catalog_decode(struct slice in, struct catalog_topic *t) MUST_CHECK;
void catalog_deinit(struct catalog_topic *t);
/* One replica was asked for: it stays where it is. */
bool catalog_topic_single(const struct catalog_topic *t);

/* 16 bytes as 22 characters of base64url, with a NUL. */
void catalog_id_text(const uint8_t id[16], char out[23]);
/* The other way; false when no id is written so. */
bool catalog_id_read(struct slice text, uint8_t id[16]) MUST_CHECK;
