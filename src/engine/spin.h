/* SPDX-License-Identifier: Apache-2.0 */
/**
 * spin.h - A lock of one octet, for sections of a few dozen instructions
 *
 * After a short while the waiter yields: on two cores the holder may not be running.
 * Never held across a cryptographic operation, an allocation or a system call.
 */
#pragma once

#include <sched.h>
#include <stdatomic.h>

struct spin {
	atomic_flag taken;
};

static inline void spin_lock(struct spin *s)
{
	for (unsigned int tries = 0;
	     atomic_flag_test_and_set_explicit(&s->taken, memory_order_acquire); tries++)
		if (tries >= 64)
			sched_yield();
}

static inline void spin_unlock(struct spin *s)
{
	atomic_flag_clear_explicit(&s->taken, memory_order_release);
}
