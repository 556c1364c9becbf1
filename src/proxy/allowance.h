/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allowance.h - How many octets in a second the tunnels of one key may move together
 *
 * A bucket that fills at the rate and holds what a quarter of a second brings. Whoever wants to move
 * takes first and gives back what was not needed, so that many threads never move more than there is.
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

/* struct allowance - All zeroes is full */
struct allowance {
	_Atomic int64_t spent;
	_Atomic uint64_t since_ns;
};

/**
 * allowance_take() - Up to @wanted octets of a bucket that fills at @rate octets in a second
 * @rate:	0: there is no bound
 *
 * Return: how many may be moved now; 0: none, try again a little later.
 */
size_t allowance_take(struct allowance *a, uint64_t rate, uint64_t now_ns, size_t wanted);
void allowance_return(struct allowance *a, uint64_t rate, size_t unused);
