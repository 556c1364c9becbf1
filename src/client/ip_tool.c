/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ip_tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TOOL_PATH_MAX = 64 };

static const uint64_t TIMEOUT_NS = UINT64_C(20000000000);

int ip_tool_run(const char *const argv[], struct program_result *ret, struct diag *d)
{
	static const char *const places[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };
	char path[TOOL_PATH_MAX];
	int err = -ENOENT;

	for (size_t i = 0; err == -ENOENT && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], argv[0]);
		err = program_run(path, argv, "", 0, TIMEOUT_NS, ret);
	}
	if (err)
		return diag_set(d, err, 0, "%s: %s", argv[0], err_text(err));
	if (ret->status != 0)
		return diag_set(d, ERR_UNABLE, 0, "%s: %.*s", argv[0],
				(int)strcspn(ret->complaint, "\n"), ret->complaint);
	return 0;
}
