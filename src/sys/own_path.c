/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/own_path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_this_program(const char *path)
{
	struct stat there, self;

	return stat(path, &there) == 0 && stat("/proc/self/exe", &self) == 0 &&
	       there.st_dev == self.st_dev && there.st_ino == self.st_ino;
}

static int from_kernel(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

int own_path(char out[PATH_MAX])
{
	/* What execve() was given; no search along PATH is left to do. */
	const char *given = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char directory[PATH_MAX];
	int n;

	/* A descriptor's name is another program's in another process. */
	if (!given || strncmp(given, "/proc/", 6) == 0 || strncmp(given, "/dev/fd/", 8) == 0 ||
	    !is_this_program(given))
		return from_kernel(out);
	if (given[0] == '/')
		n = snprintf(out, PATH_MAX, "%s", given);
	else if (getcwd(directory, sizeof(directory)))
		n = snprintf(out, PATH_MAX, "%s/%s", directory, given);
	else
		return -errno;
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}
