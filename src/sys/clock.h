/* SPDX-License-Identifier: Apache-2.0 */
/**
 * clock.h - The two clocks, as nanoseconds
 *
 * Timers and lives of keys use the boot clock: it counts through suspend and
 * never goes back. The wall clock appears in handshake labels and in what people
 * read. Threads: any.
 */
#pragma once

#include <stdint.h>

uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME */
uint64_t clock_wall_ns(void); /* CLOCK_REALTIME, Unix epoch */
