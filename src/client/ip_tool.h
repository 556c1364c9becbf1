/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ip_tool.h - ip(8) and its like, run with fixed arguments
 *
 * Threads: one at a time.
 */
#pragma once

#include "base/err.h"
#include "sys/program.h"

/**
 * ip_tool_run() - Run @program from where the system has it
 * @argv:	argv[0] is its name; NULL behind the last
 *
 * Return: 0 when it ran and ended well; ERR_UNABLE when it complained, its first line in @d; -ENOENT: there is
 *	   no such program; -errno.
 */
int ip_tool_run(const char *const argv[], struct program_result *ret, struct diag *d);
