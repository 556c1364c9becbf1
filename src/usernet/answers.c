/* SPDX-License-Identifier: Apache-2.0 */
/* What we say ourselves: ICMP errors and resets. */
#include <errno.h>
#include <string.h>

#include "usernet/internal.h"

/* RFC 1812 section 4.3.2.8: 1000 errors a second, 50 at a time. */
#define ERROR_SPACING (SECOND / 1000)
#define ERROR_BURST   (50 * ERROR_SPACING)

/* A token bucket told as time. */
static bool may_complain(struct usernet *u)
{
	uint64_t paid = u->icmp_paid_ns > u->now_ns ? u->icmp_paid_ns : u->now_ns;

	if (paid - u->now_ns >= ERROR_BURST)
		return false;
	u->icmp_paid_ns = paid + ERROR_SPACING;
	return true;
}

void answer_error_from(struct usernet *u, const struct inet_icmp_kind *kind,
		       const struct ip_addr *source, const uint8_t *packet, uint32_t len)
{
	const struct inet_offload none = { 0 };
	uint32_t made = 0;

	if (!may_complain(u))
		return;
	made = inet_icmp_error_from(kind, source, packet, len, out_room(u));
	if (made)
		out_put(u, made, &none);
}

void answer_error(struct usernet *u, enum inet_icmp_error error, uint32_t mtu,
		  const uint8_t *packet, uint32_t len)
{
	struct inet_icmp_kind kind;
	struct ip_addr source;
	struct inet_ip ip;

	if (!inet_ip_parse(packet, len, &ip))
		return;
	kind = inet_icmp_kind(error, ip.source.family, mtu);
	if (error != INET_ICMP_TIME_EXCEEDED || !own_address(u, ip.source.family, &source))
		source = ip.destination;
	answer_error_from(u, &kind, &source, packet, len);
}

uint32_t answer_quote(const struct inner *in, uint8_t out[OUT_QUOTE])
{
	uint32_t len =
		in->slices[0].iov_len < OUT_QUOTE ? (uint32_t)in->slices[0].iov_len : OUT_QUOTE;

	memcpy(out, in->packet, len);
	/* What is cut off must not be promised: the quotation is a packet of its own length. */
	if (in->ip.source.family == ADDR_V4 && len < in->len) {
		out[2] = (uint8_t)(len >> 8);
		out[3] = (uint8_t)len;
	} else if (len < in->len) {
		out[4] = (uint8_t)((len - 40) >> 8);
		out[5] = (uint8_t)(len - 40);
	}
	return len < in->len ? len : in->len;
}

bool answer_errno(int err, enum inet_icmp_error *ret)
{
	switch (-err) {
	case ENETUNREACH:
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
		*ret = INET_ICMP_NO_ROUTE;
		return true;
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EHOSTDOWN:
		*ret = INET_ICMP_HOST_UNREACHABLE;
		return true;
	case ECONNREFUSED:
		*ret = INET_ICMP_PORT_UNREACHABLE;
		return true;
	case EACCES:
	case EPERM:
		*ret = INET_ICMP_PROHIBITED;
		return true;
	case EMSGSIZE:
		*ret = INET_ICMP_TOO_BIG;
		return true;
	default:
		return false;
	}
}

void answer_reset(struct usernet *u, const struct inet_pair *pair, const struct tcp_segment *s,
		  uint32_t payload_len)
{
	const struct inet_offload none = { 0 };
	uint32_t len = tcp_refuse(pair, s, payload_len, out_room(u));

	if (len)
		out_put(u, len, &none);
}
