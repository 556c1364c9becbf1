/* SPDX-License-Identifier: Apache-2.0 */
#include "host/proxy_child.h"

#include <stdio.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/clock.h"
#include "sys/log.h"

#define STOP_PATIENCE_NS (UINT64_C(3) * 1000000000)

enum { PATH_LEN = VIEW_PATH_MAX + sizeof("/proxy/carrier.key"), ARGUMENTS_MAX = 24 };

/* What culvert-proxy(8) and culvert-carrier(8) read from their environment. */
static const char *const inherited[] = { "PROXY_OPEN",
					 "CULVERT_PROXY_ALLOW",
					 "CULVERT_PROXY_TUNNELS",
					 "CULVERT_PROXY_TUNNELS_PER_KEY",
					 "CULVERT_PROXY_RATE_PER_KEY",
					 "CULVERT_PROXY_IDLE",
					 "CULVERT_PROXY_LIFETIME",
					 "CULVERT_PROXY_WORKERS",
					 "CULVERT_CARRIER_SITE",
					 "CULVERT_CARRIER_PATH",
					 NULL };

/* struct paths - What lies in the directory that the gateway made for them */
struct paths {
	char keys[PATH_LEN];
	char cert[PATH_LEN];
	char cert_key[PATH_LEN];
	char target[32];
};

static const char *name_of(const struct proxy_child *p)
{
	return p->kind == PROXY_CHILD_PROXY ? "proxy" : "carrier";
}

static const char *place_of(const struct proxy_child *p)
{
	return p->kind == PROXY_CHILD_PROXY ? p->config->proxy : p->config->carrier;
}

static void fill_paths(const struct proxy_child *p, struct paths *ret)
{
	snprintf(ret->keys, PATH_LEN, "%s/proxy/keys", p->view->state);
	snprintf(ret->cert, PATH_LEN, "%s/proxy/carrier.crt", p->view->state);
	snprintf(ret->cert_key, PATH_LEN, "%s/proxy/carrier.key", p->view->state);
	snprintf(ret->target, sizeof(ret->target), "127.0.0.1:%u", p->config->port);
}

static void fill_arguments(const struct proxy_child *p, const struct paths *paths,
			   const char *argv[ARGUMENTS_MAX])
{
	const struct host_config *c = p->config;
	size_t n = 0;

	argv[n++] = "culvert";
	argv[n++] = name_of(p);
	argv[n++] = "--listen";
	argv[n++] = place_of(p);
	argv[n++] = "--keys";
	argv[n++] = paths->keys;
	argv[n++] = "--watch-keys";
	argv[n++] = "--log-level";
	argv[n++] = c->log_level;
	if (c->log_json)
		argv[n++] = "--log-json";
	if (p->kind == PROXY_CHILD_CARRIER) {
		argv[n++] = "--target";
		argv[n++] = paths->target;
		argv[n++] = "--cert";
		argv[n++] = paths->cert;
		argv[n++] = "--cert-key";
		argv[n++] = paths->cert_key;
	}
	argv[n] = NULL;
}

static int start(struct proxy_child *p, uint64_t now_ns)
{
	const char *argv[ARGUMENTS_MAX];
	struct paths paths;
	const struct child_plan plan = {
		.program = p->view->program[0] ? p->view->program : NULL,
		.argv = argv,
		.inherits = inherited,
		.drops_rights = true,
		.keeps_ports = p->kind == PROXY_CHILD_CARRIER,
		.drops_user = p->state->uid != geteuid(),
		.uid = p->state->uid,
		.gid = p->state->gid,
	};

	fill_paths(p, &paths);
	fill_arguments(p, &paths, argv);
	p->child.name = name_of(p);
	return child_start(&p->child, &plan, now_ns);
}

void proxy_child_tick(struct proxy_child *p, bool may_begin, uint64_t now_ns)
{
	int err;

	if (!place_of(p) || !may_begin || p->child.pid > 0 || now_ns < p->due_ns)
		return;
	err = start(p, now_ns);
	if (err == 0)
		return;
	log_error("the %s cannot be started: %s", name_of(p), err_text(err));
	p->due_ns = child_ended(&p->child, now_ns);
}

void proxy_child_bury(struct proxy_child *p, uint64_t now_ns)
{
	int status = 0;

	if (p->child.pid == 0 || !child_reap(&p->child, &status))
		return;
	if (WIFSIGNALED(status))
		log_error("the %s was ended by signal %d; starting it again", name_of(p),
			  WTERMSIG(status));
	else
		log_error("the %s ended with code %d; starting it again", name_of(p),
			  WEXITSTATUS(status));
	p->due_ns = child_ended(&p->child, now_ns);
}

uint64_t proxy_child_deadline_ns(const struct proxy_child *p)
{
	return place_of(p) && p->child.pid == 0 ? p->due_ns : UINT64_MAX;
}

void proxy_child_stop(struct proxy_child *p)
{
	if (p->child.pid > 0 && !child_stop(&p->child, STOP_PATIENCE_NS))
		log_warning("the %s did not stop by itself", name_of(p));
}
