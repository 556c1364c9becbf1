/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/state_default.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

const char *state_default(uid_t uid, char out[STATE_DEFAULT_MAX])
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int len = STATE_DEFAULT_MAX;

	if (uid != 0 && base && base[0] == '/')
		len = snprintf(out, STATE_DEFAULT_MAX, "%s/culvert", base);
	else if (uid != 0 && home && home[0] == '/')
		len = snprintf(out, STATE_DEFAULT_MAX, "%s/.local/state/culvert", home);
	if (len < 0 || len >= STATE_DEFAULT_MAX)
		snprintf(out, STATE_DEFAULT_MAX, "/var/lib/culvert");
	return out;
}

void state_default_prepare(const char *path)
{
	char above[STATE_DEFAULT_MAX];

	if (strlen(path) >= sizeof(above))
		return;
	memcpy(above, path, strlen(path) + 1);
	for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		/* Who opens the state directory says what is missing, if this did not help. */
		(void)mkdir(above, 0700);
		*slash = '/';
	}
}
