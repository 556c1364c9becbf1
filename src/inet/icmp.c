/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/icmp.h"

#include <stdbool.h>
#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/packet.h"

enum {
	V4_HEADER = 20,
	V6_HEADER = 40,
	ICMP_HEADER = 8,
	V4_MESSAGE_MAX = 576, /* RFC 1812 section 4.3.2.3 */
	V4_DF = 0x40,
	HOPS = 64,

	/* Precedence "internetwork control", RFC 1812 section 4.3.2.5. */
	V4_TOS = 0xc0,
};

/* One host that can be answered, and that may stand as a source? */
static bool is_host_v4(const uint8_t a[4])
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool is_host_v6(const uint8_t a[16])
{
	static const uint8_t zero[15] = { 0 };
	bool is_low = memcmp(a, zero, sizeof(zero)) == 0 && a[15] <= 1; /* :: and ::1 */

	return a[0] != 0xff && !is_low;
}

/* RFC 792, RFC 950, RFC 1256, RFC 8335: questions and answers, no errors, no redirects. */
static bool is_query_v4(uint8_t type)
{
	switch (type) {
	case 0:
	case 8:
	case 9:
	case 10:
	case 13:
	case 14:
	case 15:
	case 16:
	case 17:
	case 18:
	case 42:
	case 43:
		return true;
	default:
		return false;
	}
}

/* RFC 4443 section 2.4 (e.1), (e.2): errors are below 128; 137 is Redirect. */
static bool is_query_v6(uint8_t type)
{
	return type >= 128 && type != 137;
}

static bool may_answer(const uint8_t *packet, const struct inet_ip *ip)
{
	bool is_v4 = ip->source.family == ADDR_V4;
	struct inet_upper up;

	if (is_v4 && (!is_host_v4(ip->source.b) || !is_host_v4(ip->destination.b)))
		return false;
	if (!is_v4 && (!is_host_v6(ip->source.b) || !is_host_v6(ip->destination.b)))
		return false;
	if (!inet_upper_find(packet, ip->len, &up) || up.is_later_fragment)
		return false;
	if (up.protocol != (is_v4 ? INET_ICMP4 : INET_ICMP6))
		return true;
	if (up.offset >= ip->len) /* the type is not there: it may be an error */
		return false;
	return is_v4 ? is_query_v4(packet[up.offset]) : is_query_v6(packet[up.offset]);
}

static uint32_t build_v4(const struct inet_icmp_kind *kind, const uint8_t source[4],
			 const uint8_t *packet, uint32_t quoted, uint8_t *out)
{
	uint8_t *icmp = out + V4_HEADER;
	uint32_t len = V4_HEADER + ICMP_HEADER + quoted;

	memset(out, 0, V4_HEADER + ICMP_HEADER);
	out[0] = 0x45;
	out[1] = V4_TOS;
	put_be16(out + 2, (uint16_t)len);
	out[6] = V4_DF; /* atomic: needs no identification (RFC 6864) */
	out[8] = HOPS;
	out[9] = INET_ICMP4;
	memcpy(out + 12, source, 4);
	memcpy(out + 16, packet + 12, 4);
	inet_checksum_put(out + 10, inet_sum_words(out, V4_HEADER));

	icmp[0] = kind->type;
	icmp[1] = kind->code;
	put_be32(icmp + 4, kind->info);
	memcpy(icmp + ICMP_HEADER, packet, quoted);
	inet_checksum_put(icmp + 2, inet_sum(icmp, ICMP_HEADER + quoted));
	return len;
}

static uint32_t build_v6(const struct inet_icmp_kind *kind, const uint8_t source[16],
			 const uint8_t *packet, uint32_t quoted, uint8_t *out)
{
	uint8_t *icmp = out + V6_HEADER;
	uint16_t payload = (uint16_t)(ICMP_HEADER + quoted);

	memset(out, 0, V6_HEADER + ICMP_HEADER);
	out[0] = 0x60;
	put_be16(out + 4, payload);
	out[6] = INET_ICMP6;
	out[7] = HOPS;
	memcpy(out + 8, source, 16);
	memcpy(out + 24, packet + 8, 16);

	icmp[0] = kind->type;
	icmp[1] = kind->code;
	put_be32(icmp + 4, kind->info);
	memcpy(icmp + ICMP_HEADER, packet, quoted);
	inet_checksum_put(icmp + 2, inet_sum_pseudo(out, INET_ICMP6) +
					    inet_sum_number(payload) + inet_sum(icmp, payload));
	return V6_HEADER + (uint32_t)payload;
}

/* Types and codes, by enum inet_icmp_error. */
static const struct {
	uint8_t v4[2];
	uint8_t v6[2];
} numbers[] = {
	[INET_ICMP_HOST_UNREACHABLE] = { { 3, 1 }, { 1, 3 } },
	[INET_ICMP_TOO_BIG] = { { 3, 4 }, { 2, 0 } },
	[INET_ICMP_NO_ROUTE] = { { 3, 0 }, { 1, 0 } },
	[INET_ICMP_PORT_UNREACHABLE] = { { 3, 3 }, { 1, 4 } },
	[INET_ICMP_PROHIBITED] = { { 3, 13 }, { 1, 1 } },
	[INET_ICMP_TIME_EXCEEDED] = { { 11, 0 }, { 3, 0 } },
};

struct inet_icmp_kind inet_icmp_kind(enum inet_icmp_error error, uint8_t family, uint32_t mtu)
{
	const uint8_t *n = family == ADDR_V4 ? numbers[error].v4 : numbers[error].v6;
	struct inet_icmp_kind kind = { .type = n[0], .code = n[1] };

	if (error == INET_ICMP_TOO_BIG)
		kind.info = family == ADDR_V4 && mtu > 65535 ? 65535 : mtu;
	return kind;
}

uint32_t inet_icmp_error_from(const struct inet_icmp_kind *kind, const struct ip_addr *source,
			      const uint8_t *packet, uint32_t len, uint8_t out[INET_ICMP_MAX])
{
	struct inet_ip ip;
	uint32_t room;

	if (!inet_ip_parse(packet, len, &ip) || !may_answer(packet, &ip) ||
	    source->family != ip.source.family)
		return 0;
	if (ip.source.family == ADDR_V4) {
		if (kind->type == 3 && kind->code == 4 && (packet[6] & V4_DF) == 0)
			return 0;
		room = V4_MESSAGE_MAX - V4_HEADER - ICMP_HEADER;
		return build_v4(kind, source->b, packet, ip.len < room ? ip.len : room, out);
	}
	room = INET_ICMP_MAX - V6_HEADER - ICMP_HEADER;
	return build_v6(kind, source->b, packet, ip.len < room ? ip.len : room, out);
}

uint32_t inet_icmp_error(enum inet_icmp_error error, uint32_t mtu, const uint8_t *packet,
			 uint32_t len, uint8_t out[INET_ICMP_MAX])
{
	struct inet_icmp_kind kind;
	struct inet_ip ip;

	if (!inet_ip_parse(packet, len, &ip))
		return 0;
	kind = inet_icmp_kind(error, ip.source.family, mtu);
	return inet_icmp_error_from(&kind, &ip.destination, packet, len, out);
}
