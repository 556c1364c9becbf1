/* SPDX-License-Identifier: Apache-2.0 */
/**
 * random.h - Random octets for keys
 */
#pragma once

#include <stddef.h>

/**
 * random_fill() - getrandom(2), blocking until the kernel's pool is ready
 *
 * Never fails: a system without randomness must not run a VPN, so the process ends
 * with a message instead. Threads: any.
 */
void random_fill(void *out, size_t len);
