/* SPDX-License-Identifier: Apache-2.0 */
#include "host/gateway_child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/access_desk.h"
#include "host/credentials.h"
#include "host/tree_key.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	ARGUMENTS_MAX = 96,
	MESSAGES_PER_WAKE = 32,
};

#define READY_PATIENCE_NS   (UINT64_C(120) * 1000000000) /* a large database is read first */
#define TRIAL_PATIENCE_NS   (UINT64_C(30) * 1000000000)	 /* while callers wait */
#define HAND_ON_PATIENCE_NS (UINT64_C(15) * 1000000000)
#define LEAVE_PATIENCE_NS   (UINT64_C(5) * 1000000000)
#define STOP_PATIENCE_NS    (UINT64_C(10) * 1000000000)

#define BIT(n) (1U << (n))

/* Where each state may lead. Anything else is a bug in this file. */
static const unsigned int exits[] = {
	[GATEWAY_ABSENT] = BIT(GATEWAY_STARTING),
	[GATEWAY_STARTING] = BIT(GATEWAY_SERVING) | BIT(GATEWAY_ENDING) | BIT(GATEWAY_ABSENT),
	[GATEWAY_SERVING] = BIT(GATEWAY_LEAVING) | BIT(GATEWAY_ENDING) | BIT(GATEWAY_ABSENT),
	[GATEWAY_LEAVING] = BIT(GATEWAY_ENDING) | BIT(GATEWAY_ABSENT),
	[GATEWAY_ENDING] = BIT(GATEWAY_ABSENT),
};

/* The only place that writes @phase. */
static void enter(struct gateway_child *g, enum gateway_state to, uint64_t now_ns)
{
	assert(exits[g->phase] & BIT(to));
	g->phase = to;
	switch (to) {
	case GATEWAY_STARTING:
		g->dialogue = (struct host_dialogue){ 0 };
		g->access = (struct access){ .interface = NULL };
		g->ready_by_ns = now_ns + (g->program ? TRIAL_PATIENCE_NS : READY_PATIENCE_NS);
		break;
	case GATEWAY_SERVING:
		g->has_served = true;
		break;
	case GATEWAY_LEAVING:
		g->end_by_ns = now_ns + HAND_ON_PATIENCE_NS;
		break;
	case GATEWAY_ENDING:
		g->end_by_ns = now_ns + LEAVE_PATIENCE_NS;
		break;
	case GATEWAY_ABSENT:
		if (g->fd >= 0)
			close(g->fd);
		g->fd = -1;
		break;
	}
}

static void give_up(struct gateway_child *g, const char *why)
{
	log_error("the gateway process is ended: %s", why);
	kill(g->child.pid, SIGKILL);
	enter(g, GATEWAY_ENDING, clock_boot_ns());
	g->end_by_ns = UINT64_MAX;
}

/* The texts behind its arguments. */
struct arguments {
	const char *argv[ARGUMENTS_MAX];
	char subnet4[ADDR_TEXT_MAX];
	char subnet6[ADDR_TEXT_MAX];
	char port[8];
	char actions[12];
};

static const char *kind_word(const struct device_child *t)
{
	if (t->is_usernet)
		return "usernet";
	return t->is_kernel ? "kernel" : "userspace";
}

static void fill_arguments(const struct gateway_child *g, struct arguments *a)
{
	const struct host_config *c = g->config;
	size_t n = 0;
	const char *const fixed[] = {
		"culvert",	  "gateway-serve",
		"--state",	  g->view->state,
		"--interface",	  c->interface,
		"--listen",	  c->listen,
		"--uapi-fd",	  "3",
		"--host-fd",	  "4",
		"--shelf-in-fd",  "5",
		"--shelf-out-fd", "6",
		"--public-key",	  g->public_key,
		"--subnet4",	  ip_prefix_format(&c->subnet4, a->subnet4),
		"--subnet6",	  ip_prefix_format(&c->subnet6, a->subnet6),
		"--port",	  a->port,
		"--obfuscation",  c->obfuscation,
		"--log-level",	  c->log_level,
		"--isolation",	  c->isolate ? "on" : "off",
		"--kind",	  kind_word(g->device),
	};

	static_assert(sizeof(fixed) / sizeof(fixed[0]) + 8 <= ARGUMENTS_MAX, "room for all");
	snprintf(a->port, sizeof(a->port), "%u", c->port);
	for (; n < sizeof(fixed) / sizeof(fixed[0]); n++)
		a->argv[n] = fixed[n];
	if (c->endpoint) {
		a->argv[n++] = "--endpoint";
		a->argv[n++] = c->endpoint;
	}
	if (c->log_json)
		a->argv[n++] = "--log-json";
	if (c->proxy || c->carrier)
		a->argv[n++] = "--proxy-keys";
	if (g->device->is_usernet) {
		a->argv[n++] = "--kind-why";
		a->argv[n++] = g->device->why;
	}
	if (hooks_actions(g->hooks) != 0) {
		snprintf(a->actions, sizeof(a->actions), "%u", hooks_actions(g->hooks));
		a->argv[n++] = "--actions";
		a->argv[n++] = a->actions;
	}
	for (size_t i = 0; c->gateway_arguments && c->gateway_arguments[i]; i++) {
		assert(n + 1 < ARGUMENTS_MAX);
		a->argv[n++] = c->gateway_arguments[i];
	}
	a->argv[n] = NULL;
}

/* NULL: that of this process. */
static const char *own_program(const struct gateway_child *g)
{
	if (g->config->gateway_program)
		return g->config->gateway_program;
	if (g->program)
		return g->program;
	return g->view->program[0] ? g->view->program : NULL;
}

/* Not the one in the view: its place there says nothing to people. */
void gateway_child_program(const struct gateway_child *g, char out[PATH_MAX])
{
	ssize_t n;

	if (g->config->gateway_program) {
		snprintf(out, PATH_MAX, "%s", g->config->gateway_program);
		return;
	}
	if (g->program) {
		snprintf(out, PATH_MAX, "%s", g->program);
		return;
	}
	n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	out[n < 0 ? 0 : n] = '\0';
}

/* What the contract of the users' API names, beside what its tree needs. */
static const char *const users_variables[] = { "API_PORT", "DNS_NAME", "VPN_PUBLIC_IP", NULL };

/* The three lists, of which NULL is an empty one, as one. */
static void name_variables(const char *out[CHILD_VARIABLES_MAX + 1], const char *const *a,
			   const char *const *b, const char *const *c)
{
	const char *const *const lists[] = { a, b, c };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const char *const *one = lists[i]; one && *one; one++) {
			assert(n < CHILD_VARIABLES_MAX);
			out[n++] = *one;
		}
	}
	out[n] = NULL;
}

static int spawn(struct gateway_child *g, int uapi_fd, int their_end,
		 const char *const *credentials)
{
	/* What the contract of the REST API and libpq name, and nobody but this process reads. */
	static const char *const variables[] = { "GATEWAY_API_KEY",
						 "MAX_TIMESTAMP_DIFF",
						 "DB_PATH",
						 "DNS_SERVERS",
						 "DNS_D1",
						 "DNS_D2",
						 "DNS_D3",
						 "ECDH_PRIVATE_KEY",
						 "GATEWAY_NAME",
						 "NODE_ID",
						 "WG_AGENT_SECRET",
						 "MAX_TIMESTAMP_AGE",
						 "WG_AGENT_OPEN_HEALTH",
						 "WG_AGENT_OPEN_METRICS",
						 "CULVERT_MASTER_KEY",
						 "PGPASSFILE",
						 "PGPASSWORD",
						 "PGSERVICEFILE",
						 "POSTGRES_USER",
						 "POSTGRES_DB",
						 "POSTGRES_PASSWORD",
						 NULL };
	const char *inherited[CHILD_VARIABLES_MAX + 1];
	struct arguments arguments;
	struct child_plan plan = {
		.argv = arguments.argv,
		.inherits = inherited,
		.sets = credentials,
		.fds = { uapi_fd, their_end, g->shelf[0], g->shelf[1] },
		.n_fds = 4,
		.drops_rights = true,
		.drops_user = g->state->uid != geteuid(),
		.uid = g->state->uid,
		.gid = g->state->gid,
	};

	name_variables(inherited, variables, g->config->shares_key ? users_variables : NULL,
		       g->config->shares_key ? tree_variables : NULL);
	plan.program = own_program(g);
	fill_arguments(g, &arguments);
	return child_start(&g->child, &plan, clock_boot_ns());
}

static int spawn_with_credentials(struct gateway_child *g, int uapi_fd, int their_end,
				  struct diag *d)
{
	struct credentials credentials;
	int err = credentials_read(&credentials, d);

	if (err == 0)
		err = spawn(g, uapi_fd, their_end, credentials.sets);
	credentials_done(&credentials);
	return err;
}

int gateway_child_start(struct gateway_child *g, struct diag *d)
{
	int ends[2] = { -1, -1 };
	int uapi_fd = device_child_connect_limited(g->device);
	int err = uapi_fd < 0 ? uapi_fd : 0;

	*d = (struct diag){ 0 }; /* what was only a warning before */
	if (err == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		err = -errno;
	if (err == 0)
		err = spawn_with_credentials(g, uapi_fd, ends[1], d);
	if (uapi_fd >= 0)
		close(uapi_fd);
	if (ends[1] >= 0)
		close(ends[1]);
	if (err < 0) {
		if (ends[0] >= 0)
			close(ends[0]);
		return d->text[0] ? err
				  : diag_set(d, err, 0, "cannot start the gateway process: %s",
					     err_text(err));
	}
	g->fd = ends[0];
	enter(g, GATEWAY_STARTING, clock_boot_ns());
	if (claim_add_child(g->claim, g->child.pid) < 0)
		log_warning("cannot enter the gateway process in the journal");
	return 0;
}

static void say(struct gateway_child *g, const struct host_message *m, int passed_fd)
{
	int err = host_message_send(g->fd, m, passed_fd);

	if (err == -EAGAIN)
		give_up(g, "it does not listen");
	/* -EPIPE: it is ending, and its end will be told. */
}

void gateway_child_acted(struct gateway_child *g, uint64_t serial, uint32_t error)
{
	const struct host_message m = { .type = HOST_ACTED, .error = error, .serial = serial };

	if (g->phase == GATEWAY_SERVING)
		say(g, &m, -1);
}

/* Without a firewall there is none to clear, and none can be made. */
static uint32_t do_access_without(const struct host_message *m)
{
	return m->type == HOST_ACCESS_CLEAR ? 0 : EOPNOTSUPP;
}

static uint32_t do_access(struct gateway_child *g, const struct host_message *m)
{
	int err = g->access.interface ? 0 : access_init(&g->access, g->config->interface);

	if (err == 0)
		return access_desk_do(&g->access, m);
	log_warning("which access lists are in force cannot be read: %s", err_text(err));
	return (uint32_t)-err;
}

static void answer(struct gateway_child *g, const struct host_message *m)
{
	struct host_message reply = { .type = HOST_PONG, .serial = m->serial };
	int fd = -1;

	if (m->type == HOST_READY) {
		enter(g, GATEWAY_SERVING, clock_boot_ns());
		return;
	}
	if (m->type == HOST_ACT) {
		uint32_t error =
			hooks_ask(g->hooks, (enum host_action)host_action_of(m->serial),
				  m->serial, clock_boot_ns());

		if (error != 0)
			gateway_child_acted(g, m->serial, error);
		return;
	}
	if (host_access_is_type(m->type)) {
		reply.type = HOST_ACCESS_DONE;
		reply.error = g->device->is_usernet ? do_access_without(m) : do_access(g, m);
	}
	if (m->type == HOST_DRIFTED) {
		device_child_repair(g->device);
		return;
	}
	if (m->type == HOST_RECONNECT) {
		reply.type = HOST_UAPI;
		fd = host_dialogue_may_reconnect(&g->dialogue, clock_boot_ns())
			     ? device_child_connect_limited(g->device)
			     : -EBUSY;
		reply.error = fd < 0 ? (uint32_t)-fd : 0;
	}
	say(g, &reply, fd);
	if (fd >= 0)
		close(fd);
}

/* Return: false when there is nothing more to read now. */
static bool heed_one(struct gateway_child *g)
{
	struct host_message m;
	const char *broken;
	int passed = -1;
	int n = host_message_receive(g->fd, &m, &passed);

	if (n == -EAGAIN)
		return false;
	if (n == 0 && g->phase == GATEWAY_LEAVING) {
		close(g->fd);
		g->fd = -1;
		return false;
	}
	if (n == 0) { /* mostly because it ends, with a code that will say why */
		enter(g, GATEWAY_ENDING, clock_boot_ns());
		return false;
	}
	if (n < 0) {
		give_up(g, "a message of a wrong form");
		return false;
	}
	broken = host_dialogue_judge(&g->dialogue, &m, passed >= 0, clock_boot_ns());
	if (passed >= 0)
		close(passed);
	if (broken)
		give_up(g, broken);
	else
		answer(g, &m);
	return g->phase != GATEWAY_ENDING;
}

void gateway_child_heed(struct gateway_child *g)
{
	for (int i = 0; i < MESSAGES_PER_WAKE; i++) {
		if (!heed_one(g))
			return;
	}
}

void gateway_child_hand_on(struct gateway_child *g, const char *program)
{
	const struct host_message m = { .type = HOST_HAND_ON };

	assert(g->phase == GATEWAY_SERVING);
	g->program = program;
	enter(g, GATEWAY_LEAVING, clock_boot_ns());
	say(g, &m, -1);
}

void gateway_child_adopted(struct gateway_child *g)
{
	uint64_t now_ns = clock_boot_ns();

	enter(g, GATEWAY_STARTING, now_ns);
	enter(g, GATEWAY_SERVING, now_ns);
	g->dialogue.is_ready = true;
}

void gateway_child_device_restarted(struct gateway_child *g)
{
	const struct host_message m = { .type = HOST_DEVICE_RESTARTED };

	if (g->phase == GATEWAY_STARTING || g->phase == GATEWAY_SERVING)
		say(g, &m, -1);
}

void gateway_child_expire(struct gateway_child *g, uint64_t now_ns)
{
	if (g->phase == GATEWAY_STARTING && now_ns >= g->ready_by_ns)
		give_up(g, "it did not get ready in time");
	if (g->phase == GATEWAY_LEAVING && now_ns >= g->end_by_ns)
		give_up(g, "it did not hand on in time");
	if (g->phase == GATEWAY_ENDING && now_ns >= g->end_by_ns) {
		log_error("the gateway process is ended: it left the conversation");
		kill(g->child.pid, SIGKILL);
		g->end_by_ns = UINT64_MAX;
	}
}

uint64_t gateway_child_deadline_ns(const struct gateway_child *g)
{
	switch (g->phase) {
	case GATEWAY_ABSENT:
		return g->due_ns;
	case GATEWAY_STARTING:
		return g->ready_by_ns;
	case GATEWAY_SERVING:
		return UINT64_MAX;
	case GATEWAY_LEAVING:
	case GATEWAY_ENDING:
		return g->end_by_ns;
	}
	return UINT64_MAX;
}

void gateway_child_ended(struct gateway_child *g, int status)
{
	uint64_t now_ns = clock_boot_ns();

	bool is_expected = g->phase == GATEWAY_LEAVING && status == 0;

	if (is_expected)
		g->child.failures = 0;
	else if (g->has_served && WIFSIGNALED(status))
		log_error("the gateway process was ended by signal %d; starting it again",
			  WTERMSIG(status));
	else if (g->has_served)
		log_error("the gateway process ended with code %d; starting it again",
			  WEXITSTATUS(status));
	g->due_ns = child_ended(&g->child, now_ns);
	if (is_expected)
		g->due_ns = now_ns;
	enter(g, GATEWAY_ABSENT, now_ns);
}

void gateway_child_stop(struct gateway_child *g)
{
	const struct host_message m = { .type = HOST_STOP };

	if (g->phase == GATEWAY_ABSENT)
		return;
	host_message_send(g->fd, &m, -1); /* SIGTERM follows, for one that does not listen */
	if (!child_stop(&g->child, STOP_PATIENCE_NS))
		log_warning("the gateway process did not stop by itself");
	enter(g, GATEWAY_ABSENT, clock_boot_ns());
	state_dir_remove_socket(g->state);
}
