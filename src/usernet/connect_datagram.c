/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/connect_datagram.h"

#include <string.h>

#include "usernet/connect_dns.h"

enum { QUERIES_PER_RUN = 64 };

static void refuse(struct usernet *u, const struct inner *in)
{
	uint8_t quoted[OUT_QUOTE];

	answer_error(u, INET_ICMP_PROHIBITED, 0, quoted, answer_quote(in, quoted));
}

/* The payload in one piece, at most what a query may have. Return: octets. */
static size_t gather(const struct inner *in, const struct inet_udp *udp, uint8_t *out,
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
	size_t len = gather(in, udp, u->inbox, HOST_INBOX_LEN_MAX);
	size_t step = in->gso_size ? in->gso_size : len, at = 0;

	for (int i = 0; i < QUERIES_PER_RUN && at < len; i++, at += step)
		connect_dns_ask(u, &asker, u->inbox + at, len - at < step ? len - at : step);
}

void connect_datagram_receive(struct usernet *u, const struct inner *in,
			      const struct inet_udp *udp)
{
	if (udp->destination_port == DNS_PORT && u->options.n_resolvers) {
		ask(u, in, udp);
		return;
	}
	usernet_count(u, USERNET_DENIED);
	refuse(u, in);
}
