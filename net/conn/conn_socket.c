/* SPDX-License-Identifier: MIT
 *
 * conn_socket: a listening socket for those who accept by themselves, by the rules of conn_listen
 * for addresses, loopback and ports that are taken.
 */
#include <errno.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "net/conn/conn_priv.h"

#define CONN_SOCKET_BACKLOG 1024

/* 0 or -errno; on success *a has its real port. */
static int conn_socket_one(struct conn_sockaddr *a, int *out)
{
    int one = 1;
    int fd CLEANUP(cleanup_fd) =
        socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)&a->storage, a->size) != 0 ||
        listen(fd, CONN_SOCKET_BACKLOG) != 0)
        return -errno;
    a->size = sizeof a->storage;
    if (getsockname(fd, (struct sockaddr *)&a->storage, &a->size) != 0)
        return -errno;
    *out = fd;
    fd = -1;
    return 0;
}

int conn_socket(const char *address, bool loopback_only, int *fd, uint16_t *port, char *why)
{
    struct conn_sockaddr all[CONN_LISTENERS_MAX];
    size_t count = 0;
    int r = conn_address_find(address, all, &count, why);
    if (r != 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (loopback_only && !conn_address_is_loopback(&all[i])) {
            conn_address_why(why, "'%s' is not a loopback address", address);
            return CONN_NOT_LOOPBACK;
        }
        r = conn_socket_one(&all[i], fd);
        if (r == -EADDRINUSE) {
            conn_address_in_use(&all[i], address, why);
            return CONN_IN_USE;
        }
        if (r != 0)
            continue; /* a family that this machine lacks */
        *port = conn_address_port(&all[i]);
        return 0;
    }
    conn_address_why(why, "cannot listen at '%s': %s", address, error_text(r));
    return r;
}
