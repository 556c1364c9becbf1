/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/listen.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "cmd/shelf.h"
#include "sys/log.h"

enum { BACKLOG = 1024 };

static socklen_t fill(const struct endpoint *e, struct sockaddr_storage *to)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(e->port) };

	memset(to, 0, sizeof(*to));
	if (e->ip.family == ADDR_V4) {
		memcpy(&v4.sin_addr, e->ip.b, 4);
		memcpy(to, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, e->ip.b, 16);
	memcpy(to, &v6, sizeof(v6));
	return sizeof(v6);
}

static int explain(int err, const char *what, struct diag *d)
{
	const char *advice = "";

	if (err == -EADDRINUSE)
		advice = "; another program listens there, choose another below [listen]";
	else if (err == -EACCES)
		advice = "; ports below 1024 need a privilege the gateway does not keep";
	else if (err == -EADDRNOTAVAIL)
		advice = "; no interface has this address";
	return diag_set(d, err, 0, "cannot listen on %.100s: %s%s", what, err_text(err),
			advice);
}

static int open_listener(const struct endpoint *e, uint16_t *ret_port)
{
	struct sockaddr_storage to;
	socklen_t len = fill(e, &to);
	const int on = 1;
	int fd = shelf_take((struct sockaddr *)&to, len);
	int err;

	if (fd >= 0) {
		*ret_port = e->port;
		return fd;
	}
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
			 sizeof(on)); /* only saves a minute */
	if (bind(fd, (struct sockaddr *)&to, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&to, &len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	/* The port stands at the same place in both. */
	*ret_port = ntohs(((const struct sockaddr_in *)(const void *)&to)->sin_port);
	return fd;
}

/* Does anybody answer on it? */
static bool is_alive(const struct sockaddr_un *to)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0;

	if (fd >= 0)
		close(fd);
	return alive;
}

int listen_local(const char *path, struct diag *d)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, err = 0;

	if (strlen(path) >= sizeof(to.sun_path))
		return diag_set(
			d, -ENAMETOOLONG, 0,
			"%.120s: a socket's path has at most 107 octets; choose a shorter"
			" directory with --state",
			path);
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = shelf_take((const struct sockaddr *)&to,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
	if (fd >= 0)
		return fd;
	if (is_alive(&to))
		return diag_set(d, -EADDRINUSE, 0, "%s: another gateway answers there", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return explain(-errno, path, d);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain(-errno, path, d);
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, BACKLOG) < 0)
		err = -errno;
	umask(mask);
	if (err == 0)
		return fd;
	close(fd);
	return explain(err, path, d);
}

int listen_open(const struct serving_place *place, char ret_shown[LISTEN_SHOWN_MAX],
		struct diag *d)
{
	struct endpoint e = place->at;
	char text[ADDR_TEXT_MAX];
	int fd;

	if (place->scheme == SERVING_UNIX) {
		snprintf(ret_shown, LISTEN_SHOWN_MAX, "unix:%s", place->path);
		return listen_local(place->path, d);
	}
	fd = open_listener(&e, &e.port);
	snprintf(ret_shown, LISTEN_SHOWN_MAX, "%s://%s",
		 place->scheme == SERVING_HTTPS ? "https" : "http", endpoint_format(&e, text));
	if (fd < 0)
		return explain(fd, ret_shown, d);
	if (place->is_insecure)
		log_warning("%s is reachable from other machines and not encrypted", ret_shown);
	return fd;
}
