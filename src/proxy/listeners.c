/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listeners.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <netinet/tcp.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "proxy/address.h"

enum { BACKLOG = 4096 };

static bool is_wildcard(const struct endpoint *at)
{
	return secret_is_zero(at->ip.b, sizeof(at->ip.b));
}

static int open_at(const struct endpoint *at)
{
	const struct address address = address_write(at);
	const int on = 1;
	int alone = !is_wildcard(at), err = 0;
	int fd = socket(address.u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (at->ip.family == ADDR_V6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof(alone)) < 0)
		err = -errno;
	/* Accepted sockets inherit the second one. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		err = -errno;
	if (err == 0 && (bind(fd, &address.u.any, address.len) < 0 || listen(fd, BACKLOG) < 0))
		err = -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int listeners_open(const struct endpoint *at, struct diag *d)
{
	char text[ADDR_TEXT_MAX];
	int fd = open_at(at);

	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && at->ip.family == ADDR_V6 &&
	    is_wildcard(at)) {
		const struct endpoint v4 = { .ip = { .family = ADDR_V4 }, .port = at->port };

		fd = open_at(&v4);
	}
	if (fd == -EADDRINUSE)
		return diag_set(d, fd, 0, "%s is in use by another program",
				endpoint_format(at, text));
	if (fd < 0)
		return diag_set(d, fd, 0, "cannot listen on %s: %s", endpoint_format(at, text),
				err_text(fd));
	return fd;
}

int listeners_address(int fd, struct endpoint *ret)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t len = sizeof(storage);

	if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0)
		return -errno;
	*ret = address_read((struct sockaddr *)&storage);
	return 0;
}
