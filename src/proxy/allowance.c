/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/allowance.h"

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t LONGEST_NS = 250000000; /* what the bucket holds */

/* What the time since the last look is worth comes off what was spent; one thread does that. */
static void refill(struct allowance *a, uint64_t rate, uint64_t now_ns)
{
	uint64_t since_ns = atomic_load(&a->since_ns);
	uint64_t passed_ns = now_ns > since_ns ? now_ns - since_ns : 0;
	int64_t spent, left, earned;

	if (passed_ns > LONGEST_NS)
		passed_ns = LONGEST_NS;
	earned = (int64_t)((double)passed_ns * (double)rate / (double)SECOND_NS);
	if (earned <= 0 || !atomic_compare_exchange_strong(&a->since_ns, &since_ns, now_ns))
		return;
	spent = atomic_load(&a->spent);
	do {
		left = spent > earned ? spent - earned : 0;
	} while (!atomic_compare_exchange_weak(&a->spent, &spent, left));
}

size_t allowance_take(struct allowance *a, uint64_t rate, uint64_t now_ns, size_t wanted)
{
	int64_t most = (int64_t)((double)rate * (double)LONGEST_NS / (double)SECOND_NS) + 1;
	int64_t spent, taken;

	if (rate == 0)
		return wanted;
	refill(a, rate, now_ns);
	spent = atomic_load(&a->spent);
	do {
		taken = most - spent;
		if (taken <= 0)
			return 0;
		if ((uint64_t)taken > wanted)
			taken = (int64_t)wanted;
	} while (!atomic_compare_exchange_weak(&a->spent, &spent, spent + taken));
	return (size_t)taken;
}

void allowance_return(struct allowance *a, uint64_t rate, size_t unused)
{
	if (rate > 0 && unused > 0)
		atomic_fetch_sub(&a->spent, (int64_t)unused);
}
