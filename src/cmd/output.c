/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/output.h"

#include <stdio.h>

#include <sys/stat.h>
#include <unistd.h>

void output_warn_if_readable(const char *command)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07))
		fprintf(stderr,
			"%s: warning: others may read the file this key is written to; "
			"set the umask to 077\n",
			command);
}
