/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/connect_datagram.h"

#include <string.h>

#include "usernet/connect_dns.h"
#include "usernet/connect_udp_flow.h"

enum { QUERIES_PER_RUN = 64 };

void connect_datagram_refuse(struct usernet *u, const struct inner *in)
{
	uint8_t quoted[OUT_QUOTE];

	usernet_count(u, USERNET_DENIED);
	answer_error(u, INET_ICMP_PROHIBITED, 0, quoted, answer_quote(in, quoted));
}

size_t connect_datagram_gather(const struct inner *in, const struct inet_udp *udp, uint8_t *out,
			       size_t room)
{
	struct iovec slices[SLICES_MAX];
	size_t n = inner_payload(in, in->upper.offset + INET_UDP_HEADER, slices), at = 0;
	size_t left = udp->len - (size_t)INET_UDP_HEADER;

	if (left > room)
		left = room;
	for (size_t i = 0; i < n && at < left; i++) {
		size_t len = slices[i].iov_len < left - at ? slices[i].iov_len : left - at;

		memcpy(out + at, slices[i].iov_base, len);
		at += len;
	}
	return at;
}

static void ask(struct usernet *u, const struct inner *in, const struct inet_udp *udp)
{
	const struct inet_pair asker = { .local = in->ip.destination,
					 .remote = in->ip.source,
					 .local_port = udp->destination_port,
					 .remote_port = udp->source_port };
	size_t len = connect_datagram_gather(in, udp, u->inbox, HOST_INBOX_LEN_MAX);
	size_t step = in->gso_size ? in->gso_size : len, at = 0;

	for (int i = 0; i < QUERIES_PER_RUN && at < len; i++, at += step)
		connect_dns_ask(u, &asker, u->inbox + at, len - at < step ? len - at : step);
}

void connect_datagram_receive(struct usernet *u, const struct inner *in,
			      const struct inet_udp *udp)
{
	uint8_t quoted[OUT_QUOTE];

	if (udp->destination_port == DNS_PORT && u->options.n_resolvers) {
		ask(u, in, udp);
		return;
	}
	if (own_is_address(u, &in->ip.destination)) {
		answer_error(u, INET_ICMP_PORT_UNREACHABLE, 0, quoted,
			     answer_quote(in, quoted));
		return;
	}
	if (udp->destination_port == 0 || own_may_reach(u, &in->ip.destination) != EGRESS_OK)
		connect_datagram_refuse(u, in);
	else
		connect_udp_receive(u, in, udp);
}
