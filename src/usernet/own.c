/* SPDX-License-Identifier: Apache-2.0 */
/* Our own addresses: those inside the tunnel, which answer, and the host's, which nobody may reach. */
#include <string.h>

#include <ifaddrs.h>
#include <netinet/in.h>

#include "usernet/internal.h"

enum { ECHO_REQUEST_V4 = 8, ECHO_REPLY_V4 = 0, ECHO_REQUEST_V6 = 128, ECHO_REPLY_V6 = 129 };

#define READ_AGAIN_AFTER (5 * SECOND)

bool own_address(const struct usernet *u, uint8_t family, struct ip_addr *ret)
{
	for (size_t i = 0; i < u->options.n_addresses; i++)
		if (u->options.addresses[i].ip.family == family) {
			*ret = u->options.addresses[i].ip;
			return true;
		}
	return false;
}

bool own_is_address(const struct usernet *u, const struct ip_addr *a)
{
	for (size_t i = 0; i < u->options.n_addresses; i++)
		if (ip_addr_equal(&u->options.addresses[i].ip, a))
			return true;
	return false;
}

bool own_is_near(const struct usernet *u, const struct ip_addr *a)
{
	for (size_t i = 0; i < u->options.n_addresses; i++) {
		struct ip_prefix network = u->options.addresses[i];

		ip_prefix_mask(&network);
		if (ip_prefix_contains(&network, a))
			return true;
	}
	return false;
}

void own_echo(struct usernet *u, const struct inner *in)
{
	bool is_v4 = in->ip.source.family == ADDR_V4;
	const uint8_t *message = in->packet + in->upper.offset;
	uint32_t len = in->len - in->upper.offset;
	uint8_t *out = u->inbox, *icmp = out + (is_v4 ? 20 : 40);

	if (len < INET_ECHO_HEADER || message[0] != (is_v4 ? ECHO_REQUEST_V4 : ECHO_REQUEST_V6))
		return;
	memcpy(icmp, message, len);
	icmp[0] = is_v4 ? ECHO_REPLY_V4 : ECHO_REPLY_V6;
	len += inet_echo_write(&in->ip.destination, &in->ip.source, HOPS, icmp, len, out);
	out_send(u, out, len);
}

/* --- The host's --- */

static void add(struct egress *e, const struct sockaddr *address)
{
	struct ip_addr ip;
	uint16_t port;

	if (!address || e->n_own == EGRESS_OWN_MAX)
		return;
	host_address_read(address, &ip, &port);
	if (ip.family != ADDR_NONE)
		e->own[e->n_own++] = ip;
}

/* They change rarely; a connection to one that is new is noticed by its own two ends
 * (host_is_ourselves()). */
static void read_host(struct usernet *u)
{
	struct ifaddrs *first = NULL;

	if (u->own_read_ns && u->now_ns < u->own_read_ns + READ_AGAIN_AFTER)
		return;
	u->own_read_ns = u->now_ns;
	if (getifaddrs(&first) < 0)
		return;
	u->egress.n_own = 0;
	for (const struct ifaddrs *i = first; i; i = i->ifa_next)
		add(&u->egress, i->ifa_addr);
	freeifaddrs(first);
}

enum egress_verdict own_may_reach(struct usernet *u, const struct ip_addr *to)
{
	read_host(u);
	return egress_judge(&u->egress, to);
}
