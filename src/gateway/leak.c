/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/leak.h"

#include <string.h>

enum { SITE_OCTETS = 8 }; /* of an IPv6 address: its /64 */

static const uint64_t SECOND_NS = 1000000000;

static bool is_same_place(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family == ADDR_V6 && b->family == ADDR_V6)
		return memcmp(a->b, b->b, SITE_OCTETS) == 0;
	return ip_addr_equal(a, b);
}

static bool is_within(uint64_t then_ns, uint64_t now_ns, uint64_t seconds)
{
	return then_ns != 0 && now_ns - then_ns <= seconds * SECOND_NS;
}

static bool was_there(const struct leak *l, const struct ip_addr *place, uint64_t now_ns)
{
	for (int i = 0; i < LEAK_PLACES; i++) {
		if (is_within(l->left_ns[i], now_ns, LEAK_WINDOW_S) &&
		    is_same_place(&l->places[i], place))
			return true;
	}
	return false;
}

/* Over what is known of that place already, or over the one left longest ago. */
static void leave(struct leak *l, const struct ip_addr *place, uint64_t now_ns)
{
	int at = 0;

	for (int i = 0; i < LEAK_PLACES; i++) {
		if (l->left_ns[i] != 0 && is_same_place(&l->places[i], place)) {
			at = i;
			break;
		}
		if (l->left_ns[i] < l->left_ns[at])
			at = i;
	}
	l->places[at] = *place;
	l->left_ns[at] = now_ns;
}

bool leak_moved(struct leak *l, const struct ip_addr *from, const struct ip_addr *to,
		uint64_t now_ns)
{
	bool is_return;

	if (from->family == ADDR_NONE || to->family == ADDR_NONE || is_same_place(from, to))
		return false;
	is_return = was_there(l, to, now_ns);
	leave(l, from, now_ns);
	if (!is_return)
		return false;
	memmove(l->returns_ns + 1, l->returns_ns, (LEAK_RETURNS - 1) * sizeof(uint64_t));
	l->returns_ns[0] = now_ns;
	if (!is_within(l->returns_ns[LEAK_RETURNS - 1], now_ns, LEAK_WINDOW_S) ||
	    is_within(l->told_ns, now_ns, LEAK_QUIET_S))
		return false;
	l->told_ns = now_ns;
	return true;
}
