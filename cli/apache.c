/* SPDX-License-Identifier: MIT
 *
 * apache: names of Apache's server tools that `kauri` answers to when it is called by them:
 *
 *   kafka-server-start FILE [--override KEY=VALUE]...          as `kauri serve --config FILE`
 *   kafka-storage random-uuid                                  prints a cluster id
 *   kafka-storage format -t ID -c FILE [--ignore-formatted]    makes the data folder
 *
 * Their client tools are another program, kauri-kafka. Formatting is never needed here: a broker
 * makes its folder by itself; it is for scripts that do it, and gives the folder their cluster id.
 */
#include "cli/apache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/serve.h"
#include "cli/serve_priv.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "engine/broker/catalog.h"
#include "engine/broker/format.h"

#define APACHE_ID_SIZE  22
#define APACHE_ARGS_MAX 256

/* --- kafka-server-start ----------------------------------------------------------------------- */

/* FILE [--override K=V]... becomes serve --config FILE [--set K=V]... */
static int apache_start(struct args *a, int argc, char **argv)
{
    char config[] = "--config", set[] = "--set";
    char *words[APACHE_ARGS_MAX + 4] = {argv[0], config, argv[1]};
    int count = 3;
    if (argc < 2 || argv[1][0] == '-' || argc > APACHE_ARGS_MAX) {
        (void)fprintf(stderr, "usage: kafka-server-start server.properties [--override "
                              "property=value]*\n");
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        bool override = strcmp(argv[i], "--override") == 0;
        words[count++] = override ? set : argv[i];
    }
    return serve(a, count, words);
}

/* --- kafka-storage ---------------------------------------------------------------------------- */

static int apache_random_uuid(void)
{
    uint8_t id[16];
    char text[APACHE_ID_SIZE + 1];
    do { /* a leading dash would look like an option to the next tool */
        random_entropy(id, sizeof id);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
        catalog_id_text(id, text);
    } while (text[0] == '-');
    (void)printf("%s\n", text);
    return CMD_DONE;
}

static bool apache_is_id(const char *text)
{
    size_t size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return size == APACHE_ID_SIZE && text[size] == '\0';
}

static int apache_make(const struct serve_setup *s, const char *id, bool ignore)
{
    const char *dir = (const char *)s->data.p;
    struct io *io = io_real_new();
    struct format f = {.version = FORMAT_VERSION,
                       .node_id = (int32_t)config_i64(s->config, CONFIG_NODE_ID)};
    struct format old;
    memcpy(f.cluster_id, id, APACHE_ID_SIZE);
    int r = format_read(io, dir, &old);
    bool there = r != IO_MISSING;
    if (!there) {
        r = io_mkdir(io, dir);
        r = r == 0 || r == IO_EXISTS ? format_write(io, dir, &f) : r;
    }
    (void)io_real_free(io);
    if (there && !ignore) {
        (void)fprintf(stderr,
                      "Log directory %s is already formatted. Use --ignore-formatted to "
                      "ignore this directory and format the others.\n",
                      dir);
        return CMD_FAILED;
    }
    if (there)
        (void)printf("All of the log directories are already formatted.\n");
    else if (r == 0)
        (void)printf("Formatting %s with metadata.version 3.9-IV0.\n", dir);
    else
        (void)fprintf(stderr, "cannot format %s: %s\n", dir, error_text(r > 0 ? ENOENT : r));
    return r == 0 || there ? CMD_DONE : CMD_FAILED;
}

static int apache_format(struct args *a, int argc, char **argv)
{
    const char *id = NULL;
    int at = 0; /* of the file's name */
    bool ignore = false;
    for (int i = 1; i < argc; i++) {
        bool takes = i + 1 < argc;
        if (takes && (strcmp(argv[i], "-t") == 0 || strcmp(argv[i], "--cluster-id") == 0))
            id = argv[++i];
        else if (takes && (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0))
            at = ++i;
        else if (strcmp(argv[i], "-g") == 0 || strcmp(argv[i], "--ignore-formatted") == 0)
            ignore = true;
        else if (strcmp(argv[i], "--standalone") != 0)
            id = "";
    }
    if (id == NULL || at == 0 || !apache_is_id(id)) {
        (void)fprintf(stderr, "usage: kafka-storage format -t CLUSTER_ID -c FILE "
                              "[--ignore-formatted]\nCLUSTER_ID is what kafka-storage random-uuid "
                              "prints\n");
        return 1;
    }
    struct serve_setup s = {0};
    char config[] = "--config", kafka[] = "--kafka", off[] = "off";
    char *words[] = {argv[0], config, argv[at], kafka, off};
    int r = serve_setup_read(&s, a, 5, words);
    if (r == 0)
        r = apache_make(&s, id, ignore);
    serve_setup_deinit(&s);
    return r < 0 ? CMD_DONE : r;
}

static int apache_storage(struct args *a, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "random-uuid") == 0)
        return apache_random_uuid();
    if (argc > 2 && strcmp(argv[1], "format") == 0)
        return apache_format(a, argc - 1, argv + 1);
    (void)fprintf(stderr, "usage: kafka-storage random-uuid | format -t CLUSTER_ID -c FILE\n");
    return 1;
}

/* --- by name ---------------------------------------------------------------------------------- */

bool apache_called(struct args *a, int argc, char **argv, int *code)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    size_t size = strlen(name);
    if (size > 3 && strcmp(name + size - 3, ".sh") == 0)
        size -= 3;
    ASSERT(code != NULL);
    if (size == strlen("kafka-server-start") && strncmp(name, "kafka-server-start", size) == 0)
        *code = apache_start(a, argc, argv);
    else if (size == strlen("kafka-storage") && strncmp(name, "kafka-storage", size) == 0)
        *code = apache_storage(a, argc, argv);
    else
        return false;
    return true;
}
