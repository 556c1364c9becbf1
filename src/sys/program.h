/* SPDX-License-Identifier: Apache-2.0 */
/**
 * program.h - Run another program to its end: fixed arguments, data on its input
 *
 * No shell and no search along PATH. The program gets @argv, a fixed environment, the
 * input, and nothing else: no descriptor of ours, no blocked signal. What it prints is
 * kept up to a bound, the rest is read and thrown away, so it cannot stall.
 *
 * Threads: any, but children are made with fork(): call it from small processes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PROGRAM_TEXT_MAX = 4096 };

/**
 * struct program_result - How it ended
 * @status:	0..255: exit code; 256 + n: ended by signal n
 * @out, @complaint: Standard output and standard error, NUL-terminated, cut at the bound
 */
struct program_result {
	int status;
	char out[PROGRAM_TEXT_MAX];
	char complaint[PROGRAM_TEXT_MAX];
};

/**
 * program_run() - Start @path, feed it, wait
 * @argv:	Ends with NULL; argv[0] is the name it sees
 * @timeout_ns:	After that it is killed
 *
 * Return: 0 when it ran and ended, whatever its status; -ETIMEDOUT; -errno when it could
 *	   not be started (-ENOENT: there is no such program).
 */
int program_run(const char *path, const char *const argv[], const void *input, size_t len,
		uint64_t timeout_ns, struct program_result *ret);
