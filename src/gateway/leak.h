/* SPDX-License-Identifier: Apache-2.0 */
/**
 * leak.h - Is one peer's configuration used in two places at once?
 *
 * WireGuard answers to wherever the last packet came from, so two devices with one key pull the
 * peer's endpoint back and forth. Who travels leaves a place and goes on to another, or comes
 * home once; what gives two devices away is coming back again and again within minutes. So
 * returns are counted: A to B to A is one, A to B to A to B two.
 *
 * Another port of one address is no other place (translators change ports), nor is another
 * IPv6 address of one /64 (hosts change those for the sake of privacy).
 *
 * Memory:  fixed, the caller's; all zeroes is a peer that never moved.
 * Threads: none here; time comes in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	LEAK_PLACES = 4,  /* that are remembered; the one left longest ago is forgotten first */
	LEAK_RETURNS = 2, /* so many … */
	LEAK_WINDOW_S = 600, /* … within that time are one too many */
	LEAK_QUIET_S = 3600, /* said once, it is not said again for that long */
};

/**
 * struct leak - Where one peer has been
 * @places, @left_ns: Places, and when it left them; 0: none
 * @returns_ns:	Its last returns, newest first; 0: none
 * @told_ns:	When leak_moved() last said true; 0: never
 */
struct leak {
	struct ip_addr places[LEAK_PLACES];
	uint64_t left_ns[LEAK_PLACES];
	uint64_t returns_ns[LEAK_RETURNS];
	uint64_t told_ns;
};

/**
 * leak_moved() - The peer is at @to and was at @from until now
 * @now_ns:	Not 0, and never less than before
 *
 * Return: true if it is in two places, and that was not said lately.
 */
bool leak_moved(struct leak *l, const struct ip_addr *from, const struct ip_addr *to,
		uint64_t now_ns);
