/* SPDX-License-Identifier: MIT
 *
 * serve_priv: what `kauri serve` knows before it starts.
 */
#pragma once

#include "cli/args.h"
#include "engine/base/bytes.h"
#include "engine/broker/config.h"

#define SERVE_FRONTS_MAX 8
#define SERVE_HOST_MAX   256
#define SERVE_SEEDS_MAX  16

struct serve_setup {
    struct args *args;
    struct config *config;           /* owned */
    struct buf data;                 /* folder, with a NUL */
    char *natives[SERVE_FRONTS_MAX]; /* owned URLs */
    size_t native_count;
    char *kafkas[SERVE_FRONTS_MAX];     /* owned HOST:PORT */
    char *advertised[SERVE_FRONTS_MAX]; /* owned HOST:PORT; NULL: what the client dialled */
    size_t kafka_count;
    char *advertised_native;          /* owned; NULL: the first of natives that others can dial */
    char *seeds[SERVE_SEEDS_MAX + 1]; /* owned: --replica-of, up to a NULL */
    size_t seed_count;
    bool told_id;        /* --broker-id */
    const char *file;    /* borrowed; NULL without one */
    struct buf place;    /* of the file nobody named */
    bool foreign;        /* file is one of Kafka's */
    bool default_native; /* nobody named an address */
};

/* Reads options, file and environment, settles folder and addresses. 0; -1 when there is nothing
 * more to do (help or --check-config); or an exit code after the errors were printed. */
int serve_setup_read(struct serve_setup *s, struct args *a, int argc, char **argv);
/* Reads the file once more and says what it did. True when something may have changed. */
bool serve_setup_reload(struct serve_setup *s);
/* serve_listeners.c: where to listen. `kafka` NULL: not told. 0 or an exit code. */
int serve_settle_listeners(struct serve_setup *s, const char *const *natives, size_t native_count,
                           const char *kafka);
/* serve_listeners.c: whose replica this broker is. Likewise. */
int serve_settle_seeds(struct serve_setup *s);
void serve_setup_deinit(struct serve_setup *s);

/* serve_node.c: the boot id of the running system; zeros where there is none. */
void serve_node_boot(uint8_t out[16]);
/* The address that other instances are told: advertised.listeners' NANO, else the first tcp one,
 * with the name of this host where it listens on all addresses; else ipc. False: none. */
bool serve_node_native(const struct serve_setup *s, char out[SERVE_HOST_MAX]);
/* An address of this host only: ipc, or loopback. */
bool serve_node_is_ipc(const char *url);
bool serve_node_is_local(const char *url);
/* Takes a free port for every Kafka listener on port 0, so that others can be told. 0 or -errno. */
int serve_node_ports(struct serve_setup *s) MUST_CHECK;
/* The host that Kafka's clients are told, "" for none; returns the port. */
int32_t serve_node_kafka(const struct serve_setup *s, char host[SERVE_HOST_MAX]);
