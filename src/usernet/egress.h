/* SPDX-License-Identifier: Apache-2.0 */
/**
 * egress.h - Which addresses a peer may reach through us
 *
 * Theory of operation. A peer speaks with this host's voice, so it must not reach what trusts that
 * voice: the host itself, its link, the metadata service of a cloud. Private networks behind us are
 * closed until they are opened one by one. An IPv6 address may stand for an IPv4 one (mapped,
 * compatible, NAT64, 6to4, Teredo, ISATAP): what counts is the address that packets would really go to, so
 * that is taken out first, and both must be allowed.
 *
 * Source:  RFC 6890 and the IANA special-purpose registries; RFC 6052 and 8215 (NAT64); RFC 3056 (6to4);
 *          RFC 4380 (Teredo); RFC 5214 (ISATAP).
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum { EGRESS_ALLOWED_MAX = 64, EGRESS_OWN_MAX = 256 };

enum egress_verdict {
	EGRESS_OK,
	EGRESS_LOOPBACK,
	EGRESS_LINK,	  /* link-local, the metadata services among them */
	EGRESS_METADATA,  /* those that are elsewhere */
	EGRESS_MULTICAST, /* and broadcast */
	EGRESS_RESERVED,  /* no address of anybody */
	EGRESS_OWN,	  /* of this host */
	EGRESS_PRIVATE,	  /* and not opened */
	EGRESS_VERDICTS,
};

/**
 * struct egress - All zeroes: private networks are closed, no address is our own
 * @allowed:	Private networks that are open
 * @own:	Addresses of this host, refused whatever is allowed
 */
struct egress {
	struct ip_prefix allowed[EGRESS_ALLOWED_MAX];
	struct ip_addr own[EGRESS_OWN_MAX];
	size_t n_allowed;
	size_t n_own;
};

/** egress_judge() - May packets go to @to? */
enum egress_verdict egress_judge(const struct egress *e, const struct ip_addr *to);

/* A word for people, static. */
const char *egress_verdict_text(enum egress_verdict v);
