/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/memory.h"

#include <malloc.h>

enum { LARGE = 128 << 10 };

void memory_give_back(void)
{
	mallopt(M_ARENA_MAX, 1); /* our threads allocate rarely */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	mallopt(M_TRIM_THRESHOLD, LARGE);
}
