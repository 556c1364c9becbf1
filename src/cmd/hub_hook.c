/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/hub_hook.h"

#include <errno.h>
#include <stdio.h>

#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"
#include "sys/program.h"

#define HOOK_TIMEOUT_NS (UINT64_C(1800) * 1000000000) /* machines take minutes */

/* Who may write it decides what we run. */
static int check(const char *path)
{
	struct stat st;

	if (path[0] != '/')
		return hub_complain(EXIT_REFUSED, "--hook is an absolute path");
	if (stat(path, &st) < 0)
		return hub_complain(EXIT_REFUSED, "%s: %s", path, err_text(-errno));
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return hub_complain(EXIT_REFUSED, "%s is no program", path);
	if ((st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return hub_complain(EXIT_REFUSED,
				    "%s may be changed by others than root and you; it is not "
				    "run",
				    path);
	return EXIT_DONE;
}

int hub_hook_run(const struct hub_request *r)
{
	char network[ADDR_TEXT_MAX], port[8];
	const struct hub_cloud *c = r->cloud;
	const char *const argv[] = { "hook",   r->verb, c->region, c->size,
				     c->nodes, network, port,	   NULL };
	struct program_result result;
	int code, err;

	if (!r->hook || !*r->hook)
		return hub_complain(EXIT_USAGE,
				    "%s needs a program that knows your provider: name it with "
				    "--hook or CULVERT_HUB_HOOK",
				    r->verb);
	code = check(r->hook);
	if (code != EXIT_DONE)
		return code;
	ip_prefix_format(&r->network, network);
	snprintf(port, sizeof(port), "%u", r->port);
	if (r->dry_run) {
		printf("would run %s %s %s %s %s %s %s\n", r->hook, r->verb, c->region, c->size,
		       c->nodes, network, port);
		return EXIT_DONE;
	}
	err = program_run(r->hook, argv, "", 0, HOOK_TIMEOUT_NS, &result);
	if (err < 0)
		return hub_complain(EXIT_FAILED, "%s: %s", r->hook, err_text(err));
	fputs(result.out, stdout);
	fputs(result.complaint, stderr);
	if (result.status)
		return hub_complain(EXIT_FAILED, "%s ended with status %d", r->hook,
				    result.status);
	return EXIT_DONE;
}
