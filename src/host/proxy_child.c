/* SPDX-License-Identifier: Apache-2.0 */
#include "host/proxy_child.h"

#include <stdio.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/clock.h"
#include "sys/log.h"

#define STOP_PATIENCE_NS (UINT64_C(3) * 1000000000)

enum { PATH_LEN = VIEW_PATH_MAX + sizeof("/proxy/keys") };

/* What culvert-proxy(8) reads from its environment. */
static const char *const inherited[] = { "PROXY_OPEN",
					 "CULVERT_PROXY_ALLOW",
					 "CULVERT_PROXY_TUNNELS",
					 "CULVERT_PROXY_TUNNELS_PER_KEY",
					 "CULVERT_PROXY_RATE_PER_KEY",
					 "CULVERT_PROXY_IDLE",
					 "CULVERT_PROXY_LIFETIME",
					 "CULVERT_PROXY_WORKERS",
					 NULL };

static int start(struct proxy_child *p, uint64_t now_ns)
{
	const struct host_config *c = p->config;
	char keys[PATH_LEN];
	const char *argv[] = { "culvert",
			       "proxy",
			       "--listen",
			       c->proxy,
			       "--keys",
			       keys,
			       "--watch-keys",
			       "--log-level",
			       c->log_level,
			       c->log_json ? "--log-json" : NULL,
			       NULL };
	const struct child_plan plan = {
		.program = p->view->program[0] ? p->view->program : NULL,
		.argv = argv,
		.inherits = inherited,
		.drops_rights = true,
		.drops_user = p->state->uid != geteuid(),
		.uid = p->state->uid,
		.gid = p->state->gid,
	};

	snprintf(keys, sizeof(keys), "%s/proxy/keys", p->view->state);
	p->child.name = "proxy";
	return child_start(&p->child, &plan, now_ns);
}

void proxy_child_tick(struct proxy_child *p, bool may_begin, uint64_t now_ns)
{
	int err;

	if (!p->config->proxy || !may_begin || p->child.pid > 0 || now_ns < p->due_ns)
		return;
	err = start(p, now_ns);
	if (err == 0)
		return;
	log_error("the proxy cannot be started: %s", err_text(err));
	p->due_ns = child_ended(&p->child, now_ns);
}

void proxy_child_bury(struct proxy_child *p, uint64_t now_ns)
{
	int status = 0;

	if (p->child.pid == 0 || !child_reap(&p->child, &status))
		return;
	if (WIFSIGNALED(status))
		log_error("the proxy was ended by signal %d; starting it again",
			  WTERMSIG(status));
	else
		log_error("the proxy ended with code %d; starting it again",
			  WEXITSTATUS(status));
	p->due_ns = child_ended(&p->child, now_ns);
}

uint64_t proxy_child_deadline_ns(const struct proxy_child *p)
{
	return p->config->proxy && p->child.pid == 0 ? p->due_ns : UINT64_MAX;
}

void proxy_child_stop(struct proxy_child *p)
{
	if (p->child.pid > 0 && !child_stop(&p->child, STOP_PATIENCE_NS))
		log_warning("the proxy did not stop by itself");
}
