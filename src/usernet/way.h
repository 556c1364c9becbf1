/* SPDX-License-Identifier: Apache-2.0 */
/**
 * way.h - The way out for TCP: straight to the destination, or through an HTTP proxy
 *
 * Theory of operation. Whoever opens a connection gets a socket at once and a conversation that must
 * come to its end before the socket is the destination's. Straight ahead that is the host's own
 * handshake; through a proxy a request and its answer follow. Of the answer exactly the head is taken
 * from the socket (it is looked at first): what the destination said already stays there for
 * whoever reads on.
 *
 * Errors are the destination's where the proxy tells; a proxy that cannot be reached is a network
 * that is not there (-ENETUNREACH), never a destination that refused.
 *
 * Threads: as usernet.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "usernet/connect_head.h"

/**
 * struct way - Where connections go first. All zeroes: straight to their destination
 * @proxy:	ip.family ADDR_NONE: there is none
 * @mark:	SO_MARK of its sockets, so that routing tells them from what they carry; 0: none. A
 *		socket that cannot be marked is not used: it would come back to us
 * @credential:	Of Proxy-Authorization; wiped by way_done()
 * @told_ns:	When the operator was last told that the proxy turns us away
 * @no_udp_until_ns: It offers no datagrams; asked again then
 */
struct way {
	struct endpoint proxy;
	uint32_t mark;
	char credential[CONNECT_CREDENTIAL_MAX];
	uint64_t told_ns;
	uint64_t no_udp_until_ns;
};

/** way_init() - @credential may be NULL. Return: 0, ERR_LIMIT or ERR_FORMAT: see connect_head.h */
int way_init(struct way *w, const struct endpoint *proxy, uint32_t mark,
	     const char *credential);
void way_done(struct way *w);

static inline bool way_is_direct(const struct way *w)
{
	return w->proxy.ip.family == ADDR_NONE;
}

/** struct way_talk - A conversation with the proxy, until the connection stands */
struct way_talk;

enum way_kind {
	WAY_OCTETS,    /* CONNECT */
	WAY_DATAGRAMS, /* connect-udp: capsules follow (carrier/capsule.h) */
};

/**
 * way_open() - Begin to connect through the proxy; only if there is one
 * @ret:	The conversation; the caller's, to be freed
 *
 * Return: a socket that does not wait, to be watched by the caller; or -errno.
 */
int way_open(const struct way *w, enum way_kind kind, const struct ip_addr *to, uint16_t port,
	     struct way_talk **ret);

/**
 * way_go_on() - Go on as far as it goes
 * @events:	What epoll said of @fd, edge by edge; what was used up is cleared
 *
 * Return: 0: the connection stands, @fd is the destination's. -EAGAIN: later. -EOPNOTSUPP: the proxy
 *	   offers no datagrams. Another -errno: why it will not be.
 */
int way_go_on(struct way *w, struct way_talk *t, int fd, uint64_t now_ns, uint32_t *events);

/* What the proxy answered, 100 to 999; 0: nothing yet. */
unsigned int way_status(const struct way_talk *t);

struct way_talk *way_talk_free(struct way_talk *t); /* takes NULL, returns NULL */
