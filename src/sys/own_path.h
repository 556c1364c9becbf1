/* SPDX-License-Identifier: Apache-2.0 */
/**
 * own_path.h - Where this program lies, so that its successor can be found there
 *
 * /proc/self/exe tells what runs: once a package has put another file in its place, that is a
 * file which was removed. What was started is a path, and what lies there later is what
 * whoever put it there wants to run.
 *
 * Threads: any.
 */
#pragma once

#include <limits.h>

/**
 * own_path() - The path this process was started by, made absolute
 *
 * Call it before the working directory changes. A name that leads to another program by now,
 * or to none, gives way to the kernel's.
 *
 * Return: 0; -ENAMETOOLONG; -errno.
 */
int own_path(char out[PATH_MAX]);
