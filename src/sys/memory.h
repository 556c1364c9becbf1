/* SPDX-License-Identifier: Apache-2.0 */
/**
 * memory.h - How much the allocator keeps of what was freed
 *
 * Threads: before the others start.
 */
#pragma once

/**
 * memory_give_back() - What is large goes back to the system when it is freed
 *
 * For processes that now and then hold something about 100 000 peers: a request, an answer, a look
 * at the interface. Left alone, the C library learns from the first to keep the next, and keeps an arena
 * for each thread.
 */
void memory_give_back(void);
