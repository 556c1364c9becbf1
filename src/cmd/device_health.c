/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/device_health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/wire.h"
#include "net/resolve.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	DNS_PORT = 53,
	DNS_HEADER = 12,
	DNS_MESSAGE_MAX = 512,
	DNS_LABEL_MAX = 63,
	DNS_IS_ANSWER = 0x80,
	DNS_CODE = 0x0f,
	REQUEST_MAX = 1024,
	STATUS_LEN = 12, /* "HTTP/1.1 200" */
};

#define MS UINT64_C(1000000)

/* --- What to ask --- */

/* The host as it stands in a URL, in brackets if it is an IPv6 address, and its port. */
static int split_authority(struct device_health *h, const char *at, size_t len, uint16_t port)
{
	const char *end = at + len, *colon = NULL;
	uint64_t number = port;

	if (len > 0 && at[0] == '[') {
		const char *close = memchr(at, ']', len);

		if (!close)
			return ERR_FORMAT;
		colon = close + 1 < end ? close + 1 : NULL;
		at++;
		len = (size_t)(close - at);
	} else {
		colon = memchr(at, ':', len);
		len = colon ? (size_t)(colon - at) : len;
	}
	if (len == 0 || len >= sizeof(h->host) ||
	    (colon &&
	     (*colon != ':' ||
	      decimal_parse(colon + 1, (size_t)(end - colon - 1), UINT16_MAX, &number) < 0 ||
	      number == 0)))
		return ERR_FORMAT;
	memcpy(h->host, at, len);
	h->host[len] = '\0';
	h->http.port = (uint16_t)number;
	return 0;
}

/* What a URL has not is what a request must not have. */
static bool is_plain(const char *url)
{
	for (; *url; url++)
		if ((unsigned char)*url <= ' ' || *url == 0x7f)
			return false;
	return true;
}

static int read_url(struct device_health *h, const char *url, struct diag *d)
{
	const char *at = NULL;
	uint16_t port;

	if (strlen(url) < sizeof(h->url) && is_plain(url)) {
		snprintf(h->url, sizeof(h->url), "%s", url);
		h->is_https = strncmp(url, "https://", 8) == 0;
		at = h->is_https		       ? h->url + 8
		     : strncmp(url, "http://", 7) == 0 ? h->url + 7
						       : NULL;
	}
	if (!at || split_authority(h, at, strcspn(at, "/?#"), h->is_https ? 443 : 80) < 0)
		return diag_set(d, ERR_FORMAT, 0,
				"HEALTH_HTTP_URL: http://host/path is expected");
	h->path = at + strcspn(at, "/?#");
	port = h->http.port;
	if (resolve_endpoint(h->host, port, &h->http) < 0) {
		log_warning("health: %s is not found: it is not asked", h->host);
		h->http.port = 0;
	}
	return 0;
}

static bool is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 253)
		return false;
	for (; *name; name += *name == '.') {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > DNS_LABEL_MAX)
			return false;
		name += label;
	}
	return true;
}

int device_health_read(struct device_health *h, const struct ip_addr *resolver, struct diag *d)
{
	const char *url = getenv("HEALTH_HTTP_URL"), *name = getenv("HEALTH_DNS_NAME");
	const char *ip = getenv("HEALTH_DNS_IP");

	*h = (struct device_health){ .resolver = *resolver };
	if (ip && ip[0] && ip_addr_parse(ip, &h->resolver) < 0)
		return diag_set(d, ERR_FORMAT, 0, "HEALTH_DNS_IP: an address is expected");
	if (name && name[0] && !is_name(name))
		return diag_set(d, ERR_FORMAT, 0,
				"HEALTH_DNS_NAME: the name of a host is expected");
	if (name && h->resolver.family != ADDR_NONE)
		snprintf(h->name, sizeof(h->name), "%s", name);
	return url && url[0] ? read_url(h, url, d) : 0;
}

/* --- Asking --- */

/* Return: what is left of the patience, in milliseconds; 0 when it is over. */
static int left_ms(uint64_t until_ns)
{
	uint64_t now_ns = clock_boot_ns();

	return now_ns < until_ns ? (int)((until_ns - now_ns) / MS) + 1 : 0;
}

static int wait_for(int fd, short events, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, left_ms(until_ns));

	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

/* Return: a connected socket that does not wait, or -errno. */
static int dial(const struct ip_addr *ip, uint16_t port, int kind, uint64_t until_ns)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool is_v4 = ip->family == ADDR_V4;
	socklen_t size = sizeof(int);
	int err = 0;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, ip->b, is_v4 ? 4 : 16);
	if (connect(fd, is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
		    is_v4 ? sizeof(v4) : sizeof(v6)) < 0)
		err = errno == EINPROGRESS ? wait_for(fd, POLLOUT, until_ns) : -errno;
	if (err == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0)
		err = -err;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* Exactly @len octets. */
static int receive(int fd, void *out, size_t len, uint64_t until_ns)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = recv(fd, (char *)out + at, len - at, 0);

		if (n == 0)
			return -EPROTO;
		if (n > 0)
			at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
		else if (wait_for(fd, POLLIN, until_ns) < 0)
			return -ETIMEDOUT;
	}
	return 0;
}

/* Return: its status, or -errno. */
static int ask_http(const struct device_health *h, int fd, uint64_t until_ns)
{
	char request[REQUEST_MAX], status[STATUS_LEN];
	bool is_v6 = strchr(h->host, ':') != NULL;
	uint64_t code = 0;
	int len = snprintf(request, sizeof(request),
			   "GET %s%s HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n\r\n",
			   h->path[0] == '/' ? "" : "/", h->path, is_v6 ? "[" : "", h->host,
			   is_v6 ? "]" : "", h->http.port);
	int err = len < (int)sizeof(request) ? 0 : -EMSGSIZE;

	if (err == 0 && send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		err = -EIO;
	if (err == 0)
		err = receive(fd, status, sizeof(status), until_ns);
	if (err == 0 &&
	    (memcmp(status, "HTTP/1.", 7) != 0 || decimal_parse(status + 9, 3, 999, &code) < 0))
		err = -EPROTO;
	return err < 0 ? err : (int)code;
}

static void tell(const char *what, int result, uint64_t began_ns)
{
	unsigned long long ms = (clock_boot_ns() - began_ns) / MS;

	if (result < 0)
		log_warning("health: %s: %s", what, err_text(result));
	else if (result >= 400)
		log_warning("health: %s: status %d", what, result);
	else
		log_info("health: %s answers, %llu ms", what, ms);
}

static void ask_url(const struct device_health *h)
{
	uint64_t began_ns = clock_boot_ns();
	uint64_t until_ns = began_ns + DEVICE_HEALTH_PATIENCE_S * 1000 * MS;
	int fd = dial(&h->http.ip, h->http.port, SOCK_STREAM, until_ns), result = fd;

	if (fd >= 0) {
		result = h->is_https ? 0 : ask_http(h, fd, until_ns);
		close(fd);
	}
	tell(h->url, result, began_ns);
}

/* A question for an address (RFC 1035 section 4.1). Return: its length. */
static size_t write_question(const char *name, uint16_t id, uint8_t out[DNS_MESSAGE_MAX])
{
	size_t at = DNS_HEADER;

	memset(out, 0, DNS_HEADER);
	put_be16(out, id);
	out[2] = 1; /* recursion is wanted */
	out[5] = 1; /* one question */
	for (; *name; name += *name == '.') {
		size_t label = strcspn(name, ".");

		out[at++] = (uint8_t)label;
		memcpy(out + at, name, label);
		at += label;
		name += label;
	}
	out[at++] = 0;
	put_be16(out + at, 1);	   /* A */
	put_be16(out + at + 2, 1); /* IN */
	return at + 4;
}

static int ask_resolver(const struct device_health *h, int fd, uint64_t until_ns)
{
	uint8_t message[DNS_MESSAGE_MAX];
	uint16_t id = 0;
	ssize_t n;
	size_t len;

	random_fill(&id, sizeof(id));
	len = write_question(h->name, id, message);
	if (send(fd, message, len, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		int err = wait_for(fd, POLLIN, until_ns);

		if (err < 0)
			return err;
		n = recv(fd, message, sizeof(message), 0);
		if (n < 0)
			return -errno;
		if (n >= DNS_HEADER && get_be16(message) == id && message[2] & DNS_IS_ANSWER)
			break;
	}
	return (message[3] & DNS_CODE) == 0 && get_be16(message + 6) > 0 ? 0 : -ENOENT;
}

static void ask_name(const struct device_health *h)
{
	uint64_t began_ns = clock_boot_ns();
	uint64_t until_ns = began_ns + DEVICE_HEALTH_PATIENCE_S * 1000 * MS;
	int fd = dial(&h->resolver, DNS_PORT, SOCK_DGRAM, until_ns), result = fd;
	char what[300];

	if (fd >= 0) {
		result = ask_resolver(h, fd, until_ns);
		close(fd);
	}
	snprintf(what, sizeof(what), "the address of %s", h->name);
	tell(what, result, began_ns);
}

void device_health_ask(const struct device_health *h)
{
	if (h->http.port != 0)
		ask_url(h);
	if (h->name[0])
		ask_name(h);
}
