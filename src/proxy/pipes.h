/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pipes.h - Pipes for data that is on its way through, kept while nobody needs them
 *
 * splice(2) moves what a socket received to another socket by way of a pipe, without copying it. A tunnel
 * that rests needs none: a pipe is taken when there is much to move and given back when it is empty.
 *
 * Bounds:  PIPES_OPEN_MAX of a pool are open at a time, PIPES_LARGE_MAX of them large. Who gets none does
 *	    without. All of two pools stay below what the kernel lets a user have in pipes (64 MiB).
 * Threads: one per pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	PIPES_OPEN_MAX = 192,
	PIPES_LARGE_MAX = 8,
	PIPE_SMALL = 64 << 10,
	PIPE_LARGE = 1 << 20,
};

/**
 * struct pipe - One of them
 * @size:	Octets that fit in, when they lie well
 * @held:	Octets in it; whoever moves some counts
 */
struct pipe {
	int in;
	int out;
	size_t size;
	size_t held;
	bool is_large;
	struct pipe *next;
};

/* struct pipes - A pool; all zeroes is an empty one */
struct pipes {
	struct pipe *small;
	struct pipe *large;
	unsigned int n_open;
	unsigned int n_large;
};

/** pipes_take() - An empty pipe, a large one if it can be had and is wanted. NULL: none */
struct pipe *pipes_take(struct pipes *p, bool large);
/** pipes_give() - Give it back. One that is not empty is closed. Takes NULL */
void pipes_give(struct pipes *p, struct pipe *one);
void pipes_done(struct pipes *p);
