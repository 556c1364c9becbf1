/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/egress.h"

#include <string.h>

/* One row of what is not the open Internet. The first that fits decides. */
struct special {
	struct ip_prefix prefix;
	enum egress_verdict verdict;
};

#define V4(a, b, c, d, bits)                      \
	{                                         \
		{ ADDR_V4, { a, b, c, d } }, bits \
	}
#define V6(bits, ...)                              \
	{                                          \
		{ ADDR_V6, { __VA_ARGS__ } }, bits \
	}

static const struct special specials[] = {
	{ V4(0, 0, 0, 0, 8), EGRESS_RESERVED },
	{ V4(127, 0, 0, 0, 8), EGRESS_LOOPBACK },
	{ V4(169, 254, 0, 0, 16), EGRESS_LINK },
	{ V4(100, 100, 100, 200, 32), EGRESS_METADATA }, /* Alibaba */
	{ V4(192, 0, 0, 192, 32), EGRESS_METADATA },	 /* Oracle */
	{ V4(168, 63, 129, 16, 32), EGRESS_METADATA },	 /* Azure's wire server */
	{ V4(192, 0, 0, 0, 24), EGRESS_RESERVED },
	{ V4(224, 0, 0, 0, 4), EGRESS_MULTICAST },
	{ V4(255, 255, 255, 255, 32), EGRESS_MULTICAST },
	{ V4(240, 0, 0, 0, 4), EGRESS_RESERVED },
	{ V4(10, 0, 0, 0, 8), EGRESS_PRIVATE },
	{ V4(172, 16, 0, 0, 12), EGRESS_PRIVATE },
	{ V4(192, 168, 0, 0, 16), EGRESS_PRIVATE },
	{ V4(100, 64, 0, 0, 10), EGRESS_PRIVATE },
	{ V6(128, 0), EGRESS_RESERVED },
	{ V6(128, [15] = 1), EGRESS_LOOPBACK },
	{ V6(10, 0xfe, 0x80), EGRESS_LINK },
	{ V6(128, 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x54, [14] = 0x02),
	  EGRESS_METADATA }, /* AWS */
	{ V6(128, 0xfd, 0x20, 0x00, 0xce, [15] = 0x54, [14] = 0x02),
	  EGRESS_METADATA }, /* Google */
	{ V6(8, 0xff), EGRESS_MULTICAST },
	{ V6(64, 0x01), EGRESS_RESERVED }, /* discard only, RFC 6666 */
	/* Somebody's own NAT64, RFC 8215: where in it the IPv4 address stands only they know. */
	{ V6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), EGRESS_RESERVED },
	{ V6(7, 0xfc), EGRESS_PRIVATE },
	{ V6(10, 0xfe, 0xc0), EGRESS_PRIVATE },
};

/* Where an IPv4 address stands in an IPv6 one. */
struct embedding {
	struct ip_prefix prefix;
	uint8_t at;
	bool is_inverted;
};

static const struct embedding embeddings[] = {
	{ V6(96, [10] = 0xff, [11] = 0xff), 12, false }, /* mapped */
	{ V6(96, [8] = 0xff, [9] = 0xff), 12, false },	 /* SIIT, RFC 2765 */
	{ V6(96, 0), 12, false },			 /* compatible */
	{ V6(96, 0x00, 0x64, 0xff, 0x9b), 12, false },	 /* NAT64 */
	{ V6(16, 0x20, 0x02), 2, false },		 /* 6to4 */
	{ V6(32, 0x20, 0x01, 0x00, 0x00), 12, true },	 /* Teredo client */
	{ V6(32, 0x20, 0x01, 0x00, 0x00), 4, false },	 /* Teredo server */
};

static bool is_isatap(const struct ip_addr *a)
{
	return a->family == ADDR_V6 && (a->b[8] & 0xfd) == 0 && a->b[9] == 0 &&
	       a->b[10] == 0x5e && a->b[11] == 0xfe;
}

static struct ip_addr taken_out(const struct ip_addr *a, uint8_t at, bool is_inverted)
{
	uint8_t b[4];

	for (int i = 0; i < 4; i++)
		b[i] = is_inverted ? (uint8_t)~a->b[at + i] : a->b[at + i];
	return ip_addr_v4(b);
}

/* Only private networks can be opened: the rest is closed for good. */
static enum egress_verdict judge_plainly(const struct egress *e, const struct ip_addr *to)
{
	for (size_t i = 0; i < e->n_own; i++)
		if (ip_addr_equal(&e->own[i], to))
			return EGRESS_OWN;
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		if (!ip_prefix_contains(&specials[i].prefix, to))
			continue;
		for (size_t k = 0; specials[i].verdict == EGRESS_PRIVATE && k < e->n_allowed;
		     k++)
			if (ip_prefix_contains(&e->allowed[k], to))
				return EGRESS_OK;
		return specials[i].verdict;
	}
	return EGRESS_OK;
}

enum egress_verdict egress_judge(const struct egress *e, const struct ip_addr *to)
{
	enum egress_verdict v = judge_plainly(e, to);

	if (to->family != ADDR_V6)
		return to->family == ADDR_V4 ? v : EGRESS_RESERVED;
	for (size_t i = 0; v == EGRESS_OK && i < sizeof(embeddings) / sizeof(embeddings[0]);
	     i++) {
		const struct embedding *m = &embeddings[i];

		if (ip_prefix_contains(&m->prefix, to)) {
			struct ip_addr inner = taken_out(to, m->at, m->is_inverted);

			v = judge_plainly(e, &inner);
		}
	}
	if (v == EGRESS_OK && is_isatap(to)) {
		struct ip_addr inner = taken_out(to, 12, false);

		v = judge_plainly(e, &inner);
	}
	return v;
}

const char *egress_verdict_text(enum egress_verdict v)
{
	static const char *const texts[EGRESS_VERDICTS] = {
		[EGRESS_OK] = "allowed",
		[EGRESS_LOOPBACK] = "loopback",
		[EGRESS_LINK] = "link-local",
		[EGRESS_METADATA] = "a metadata service",
		[EGRESS_MULTICAST] = "multicast",
		[EGRESS_RESERVED] = "reserved",
		[EGRESS_OWN] = "an address of this host",
		[EGRESS_PRIVATE] = "a private network that is not opened",
	};

	return texts[v];
}
