/* SPDX-License-Identifier: Apache-2.0 */
/**
 * courier.h - A thread that carries messages to other people's servers, many at once
 *
 * POST over HTTP or HTTPS, certificates verified, no redirects, no proxy; at most COURIER_READ_MAX
 * octets of an answer are read. Each message has its own time: a slow server delays nobody else.
 *
 * Where a message goes is judged by the address that is connected to, after the name was looked up:
 * neither a name that means one of our networks nor one that changes between two look-ups leads
 * there. Nor does one that leads to this very machine.
 *
 * Bounds:  COURIER_JOBS_MAX under way.
 * Threads: calls from one thread; @done in the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COURIER_JOBS_MAX = 16,
	COURIER_LINES_MAX = 5,
	COURIER_READ_MAX = 65536,
	COURIER_CONNECT_MS = 5000,
	COURIER_TOTAL_MS = 10000,
	COURIER_WHY_MAX = 160,
	COURIER_FILES_MAX = 11,
};

/**
 * struct courier_job - One message; at the start of the owner's, borrowed until @done
 * @url, @body, @lines: Header fields such as "name: value"; NULL behind the last
 * @status:	What was answered; 0: nothing, and @why says why
 * @retry_after_s: What the answer said of when to try again; 0: nothing
 */
struct courier_job {
	struct courier_job *next;
	const char *url;
	const char *body;
	size_t body_len;
	const char *lines[COURIER_LINES_MAX + 1];
	void (*done)(struct courier_job *job);
	long status;
	uint64_t retry_after_s;
	char why[COURIER_WHY_MAX];
	/* of courier.c */
	bool allows_private;
	size_t n_read;
	void *easy;
	void *fields;
	char error[256];
};

struct courier;

/** courier_files() - What it reads to find and to trust others: files and directories that everybody may
 *  read, for a sandbox to leave open. Return: how many */
size_t courier_files(const char *paths[COURIER_FILES_MAX]);

/** courier_new() - Start the thread. @allows_private: to private networks and the loopback too */
int courier_new(bool allows_private, struct courier **ret);

/** courier_free() - What is under way is broken off and not done. Takes NULL, returns NULL */
struct courier *courier_free(struct courier *c);

/** courier_submit() - Return: 0, or ERR_LIMIT when too many are under way */
int courier_submit(struct courier *c, struct courier_job *job);

int courier_fd(const struct courier *c); /* readable: call courier_collect() */
void courier_collect(struct courier *c); /* calls @done */
