/* SPDX-License-Identifier: Apache-2.0 */
/**
 * penalty.h - Whoever fails to prove who they are has to wait before the next try
 *
 * A source (an IPv4 address, or the /64 of an IPv6 address) may fail PENALTY_BURST times in a
 * row and PENALTY_PER_S times a second after that; then it is told to wait, before anything is
 * checked. Success costs nothing. Loopback is exempt: a proxy in front of us is everybody.
 *
 * Sources that share a place (auth/pace.h) share its failures, so a flood from everywhere makes others
 * wait at most PENALTY_WAIT_S.
 *
 * Threads: none here; time comes in.
 */
#pragma once

#include <stdint.h>

#include "auth/pace.h"
#include "base/addr.h"

enum {
	PENALTY_BURST = 20,
	PENALTY_PER_S = 1,
	PENALTY_WAIT_S = 20,
};

/** penalty_wait_s() - How many seconds @from has to wait; 0: none */
unsigned int penalty_wait_s(const struct pace *p, const struct ip_addr *from, uint64_t now_ns);

/** penalty_failed() - @from failed once more */
void penalty_failed(struct pace *p, const struct ip_addr *from, uint64_t now_ns);
