/* SPDX-License-Identifier: Apache-2.0 */
/**
 * background.h - Long work beside the main loop: a thread that runs one job after the other
 *
 * For answers that take milliseconds to make, such as a sorted list of 100 000 addresses.
 * A job works on what it was given, a copy; the main loop goes on serving.
 *
 * Bounds:  BACKGROUND_JOBS_MAX wait.
 * Threads: calls from one thread; @run in the background's, @done in the caller's.
 */
#pragma once

enum { BACKGROUND_JOBS_MAX = 16 };

/* struct background_job - At the start of the owner's; borrowed until @done */
struct background_job {
	struct background_job *next;
	void (*run)(struct background_job *job);
	void (*done)(struct background_job *job);
};

struct background;

int background_new(struct background **ret);

/** background_free() - Ends after the running job; the others are not done. Takes NULL */
struct background *background_free(struct background *b);

/** background_submit() - Return: 0, or ERR_LIMIT when too many wait */
int background_submit(struct background *b, struct background_job *job);

int background_fd(const struct background *b); /* readable: call background_collect() */
void background_collect(struct background *b); /* calls @done */
