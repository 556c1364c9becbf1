/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_probe.h"

#include <errno.h>

#include <poll.h>
#include <unistd.h>

#include "sys/clock.h"
#include "usernet/way.h"

enum { DNS_PORT_ASKED = 53, MILLISECOND_NS = 1000000 };

/* Return: 0 when @fd has one of @events, into *@ret; -ETIMEDOUT; -errno. */
static int wait_for(int fd, short events, uint64_t until_ns, uint32_t *ret)
{
	struct pollfd one = { .fd = fd, .events = events };
	int n = 0;

	do {
		uint64_t now = clock_boot_ns();

		if (now >= until_ns)
			return -ETIMEDOUT;
		n = poll(&one, 1, (int)((until_ns - now) / MILLISECOND_NS) + 1);
	} while (n == 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	*ret = (uint32_t)one.revents; /* epoll has the same bits */
	return 0;
}

static int talk(struct way *w, struct way_talk *t, int fd, uint64_t until_ns)
{
	uint32_t events = 0;
	int err = wait_for(fd, POLLOUT, until_ns, &events);

	while (err == 0) {
		err = way_go_on(w, t, fd, clock_boot_ns(), &events);
		if (err != -EAGAIN)
			return err;
		err = wait_for(fd, POLLIN, until_ns, &events);
	}
	return err;
}

/* What only a server that is no proxy says to CONNECT. */
static bool knows_no_connect(unsigned int status)
{
	return status == 400 || status == 404 || status == 405 || status == 501 ||
	       status == 505;
}

static int explain(const struct usernet_options *o, const struct way_talk *t, int err,
		   struct diag *d)
{
	unsigned int status = t ? way_status(t) : 0;
	char proxy[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];

	endpoint_format(&o->proxy, proxy);
	ip_addr_format(&o->resolvers[0], to);
	if (err == 0)
		return 0;
	if (status == 407 || status == 401)
		return diag_set(
			d, -EKEYREJECTED, 0,
			"the proxy %s %s (it answers %u): say --key-file or VPN_API_KEY", proxy,
			o->credential ? "refuses this key" : "wants a key", status);
	if (knows_no_connect(status))
		return diag_set(d, -EPROTO, 0,
				"what is at %s is no proxy for CONNECT: it answers %u", proxy,
				status);
	if (status)
		return diag_set(
			d, err, 0,
			"the proxy %s answers %u when asked for port 53 of the resolver %s",
			proxy, status, to);
	if (err == -EPROTO)
		return diag_set(d, err, 0, "what is at %s does not answer as an HTTP proxy",
				proxy);
	return diag_set(d, err, 0, "the proxy %s cannot be reached: %s", proxy, err_text(err));
}

int proxy_probe(const struct usernet_options *options, uint64_t wait_ns, struct diag *d)
{
	uint64_t until = clock_boot_ns() + wait_ns;
	struct way_talk *t = NULL;
	struct way w = { 0 };
	int err = way_init(&w, &options->proxy, options->mark, options->credential), fd = -1;

	if (err < 0)
		return diag_set(d, err, 0, "a proxy's key is visible ASCII, and not that long");
	fd = way_open(&w, WAY_OCTETS, &options->resolvers[0], DNS_PORT_ASKED, &t);
	err = explain(options, t, fd < 0 ? fd : talk(&w, t, fd, until), d);
	if (fd >= 0)
		close(fd);
	way_talk_free(t);
	way_done(&w);
	return err;
}
