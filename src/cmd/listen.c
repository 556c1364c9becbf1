/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/codec.h"
#include "sys/log.h"

enum {
	BACKLOG = 1024,
	DEFAULT_PORT = 8000,
	HOST_MAX = 64,
};

static int refuse_url(const char *url, struct diag *d)
{
	return diag_set(d, ERR_FORMAT, 0,
			"--listen %.100s: expected http://ADDRESS:PORT, such as"
			" http://127.0.0.1:8000",
			url);
}

/* "[v6]:port", "v4:port", "localhost" to an endpoint. */
static int parse_host(const char *url, const char *host, struct endpoint *ret, struct diag *d)
{
	size_t len = strcspn(host, "/");
	bool is_v6 = host[0] == '[';
	const char *close = is_v6 ? memchr(host, ']', len) : NULL;
	const char *colon = close ? close + 1 : memchr(host, ':', len);
	uint64_t port = DEFAULT_PORT;
	char text[HOST_MAX];
	size_t host_len;

	if ((is_v6 && !close) || (host[len] == '/' && host[len + 1] != '\0'))
		return refuse_url(url, d);
	if (colon == host + len) /* nothing behind the bracket */
		colon = NULL;
	host_len = (size_t)((colon ? colon : host + len) - host);
	if (is_v6) {
		host++;
		host_len = (size_t)(close - host);
	}
	if (host_len >= sizeof(text))
		return refuse_url(url, d);
	memcpy(text, host, host_len);
	text[host_len] = '\0';
	if (colon && (*colon != ':' ||
		      decimal_parse(colon + 1, strcspn(colon + 1, "/"), UINT16_MAX, &port)))
		return refuse_url(url, d);
	if (ip_addr_parse(strcmp(text, "localhost") == 0 ? "127.0.0.1" : text, &ret->ip) != 0)
		return refuse_url(url, d);
	ret->port = (uint16_t)port;
	return 0;
}

static int parse_url(const char *url, struct endpoint *ret, struct diag *d)
{
	if (strncmp(url, "https://", 8) == 0)
		return diag_set(
			d, ERR_FORMAT, 0,
			"--listen %.100s: TLS is not served by this version; use http:// on a"
			" loopback or management address, behind a TLS proxy if need be",
			url);
	if (strncmp(url, "http://", 7) != 0)
		return refuse_url(url, d);
	return parse_host(url, url + 7, ret, d);
}

int listen_check(const char *url, struct diag *d)
{
	struct endpoint where;

	return parse_url(url, &where, d);
}

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

static bool is_loopback(const struct ip_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == ADDR_V4 ? a->b[0] == 127 : memcmp(a->b, v6, 16) == 0;
}

static int explain(int err, const char *what, struct diag *d)
{
	const char *advice = "";

	if (err == -EADDRINUSE)
		advice = "; another program listens there, choose another with --listen";
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
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

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

int listen_url(const char *url, char ret_shown[80], struct diag *d)
{
	struct endpoint e = { .port = 0 };
	char text[ADDR_TEXT_MAX];
	int fd, err = parse_url(url, &e, d);

	if (err != 0)
		return err;
	fd = open_listener(&e, &e.port);
	if (fd < 0)
		return explain(fd, url, d);
	if (!is_loopback(&e.ip))
		log_warning("%s is reachable from other machines and not encrypted", url);
	snprintf(ret_shown, 80, "http://%s", endpoint_format(&e, text));
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
