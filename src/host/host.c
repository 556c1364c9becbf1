/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Starting is one straight line of steps, stopping is the same line
 * backwards, and each step back looks only at what its step forward left in struct host:
 * a start that fails half way is undone by the same code as a long life.
 *
 * In between there is one poll(): signals, the gateway's messages, and the time at which
 * a dead child is due again. Nothing else happens in this process.
 */
#include "host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/suite.h"
#include "host/device_child.h"
#include "host/gateway_child.h"
#include "host/preflight.h"
#include "host/proxy_child.h"
#include "host/report.h"
#include "host/tree_key.h"
#include "host/upgrade.h"
#include "host/usernet_child.h"
#include "net/nft.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/own_path.h"
#include "sys/privileges.h"

#define RUN_DIR "/run/culvert"

enum { FRONTS = PROXY_CHILD_CARRIER + 1 };

/* Everything that must be taken back at the end. */
struct host {
	const struct host_config *config;
	struct signals signals;
	struct state_dir state;
	struct claim claim;
	struct view view;
	struct netlink *nl;
	struct device_child device;
	struct gateway_child gateway;
	struct proxy_child fronts[FRONTS]; /* by their kind */
	struct hooks hooks;
	struct report report;
	struct upgrade upgrade;
	uint64_t filter; /* fingerprint of the one in force */
	bool has_table;
	enum host_end end;
};

/* What is left of root: network settings, other users' processes, and what children need. */
static const int kept_caps[] = {
	CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID,
	CAP_SETPCAP,   CAP_KILL,
};

static enum host_end classify(int err)
{
	switch (err) {
	case 0:
		return HOST_DONE;
	case ERR_RANGE:
		return HOST_REFUSED;
	case -EACCES:
	case -EPERM:
	case -EOPNOTSUPP: /* a kernel without WireGuard */
		return HOST_PRIVILEGE;
	default:
		return HOST_FAILED;
	}
}

static int find_public_key(struct host *h, struct diag *d)
{
	struct suite *suite = NULL;
	struct secret_key key;
	uint8_t public_key[32];
	int err = suite_new(SUITE_OPENSSL, &suite);

	if (err < 0)
		return diag_set(d, err, 0, "the cryptographic library does not work: %s",
				err_text(err));
	err = state_dir_private_key(&h->state, &key);
	if (err == 0) {
		dh_public(suite, public_key, &key);
		key_to_base64(public_key, h->gateway.public_key);
	}
	secret_key_done(&key);
	suite_free(suite);
	return err;
}

/* --- starting --- */

static enum host_end look_around(struct host *h, struct diag *d)
{
	enum host_end end;
	int usernet = usernet_child_choose(h->config, &h->device.why, d);

	if (usernet < 0)
		return HOST_PRIVILEGE;
	h->device.is_usernet = usernet == 1;
	end = preflight_config(h->config, d);
	for (size_t i = 0; i < HOOKS_PROGRAMS && end == HOST_DONE; i++)
		if (h->config->hooks[i])
			end = classify(hooks_check(h->config->hooks[i], d));
	return end;
}

static int open_state(struct host *h, struct diag *d)
{
	uid_t uid;
	gid_t gid;
	int err;

	preflight_user(&uid, &gid);
	if (h->config->shares_key) /* the key comes later: agree_on_key() */
		return state_dir_open_but_key(&h->state, h->config->state, uid, gid, d);
	err = state_dir_open(&h->state, h->config->state, uid, gid, d);
	return err < 0 ? err : find_public_key(h, d);
}

/* The key that is there, or the tree's, or a new one; then the tree has it as well. */
static int agree_on_key(struct host *h, struct diag *d)
{
	const struct tree_key t = { h->config, &h->state, &h->view, &h->signals };
	char own[KEY_BASE64_LEN + 1], theirs[KEY_BASE64_LEN + 1] = "";
	struct secret_key key = { { 0 } };
	bool is_there = false;
	int err = state_dir_find_key(&h->state, &is_there, d);

	if (err == 0 && !is_there) {
		err = tree_key_ask(&t, NULL, theirs, d);
		if (err == 0 && theirs[0])
			err = state_dir_put_key(&h->state, theirs, d);
	}
	if (err == 0 && !is_there)
		err = state_dir_open_key(&h->state, d);
	if (err == 0)
		err = state_dir_private_key(&h->state, &key);
	if (err == 0) {
		key_to_base64(key.b, own);
		err = tree_key_ask(&t, own, theirs, d);
		secret_wipe(own, sizeof(own));
	}
	secret_key_done(&key);
	secret_wipe(theirs, sizeof(theirs));
	return err < 0 ? err : find_public_key(h, d);
}

/* The view comes after the claim, which makes RUN_DIR. */
static enum host_end claim_host(struct host *h, struct diag *d)
{
	enum host_end end;
	int err = netlink_open(&h->nl);

	if (err < 0)
		return diag_set(d, err, 0, "netlink: %s", err_text(err)), HOST_FAILED;
	err = claim_take(&h->claim, RUN_DIR, h->config->interface, d);
	if (err < 0)
		return classify(err);
	end = preflight_network(h->config, h->nl, d);
	if (end != HOST_DONE)
		return end;
	return classify(view_open(&h->view, RUN_DIR, h->config->interface, h->config->state,
				  h->state.uid, h->state.gid, d));
}

/* Without an interface nothing of the host changes: there is nothing to claim. */
static enum host_end look_at_usernet(struct host *h, struct diag *d)
{
	enum host_end end;

	log_info("usernet: peers go through sockets of this user, without an interface: %s",
		 h->device.why);
	if (mkdir(h->config->run_dir, 0700) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "cannot make %s: %s", h->config->run_dir,
				err_text(-errno)),
		       HOST_FAILED;
	end = preflight_port(h->config, d);
	if (end != HOST_DONE)
		return end;
	return classify(view_open(&h->view, h->config->run_dir, h->config->interface,
				  h->config->state, h->state.uid, h->state.gid, d));
}

static void prepare_device(struct host *h)
{
	h->device.config = h->config;
	h->device.state = &h->state;
	h->device.claim = &h->claim;
	h->device.signals = &h->signals;
	h->device.nl = h->nl;
}

static int start_device(struct host *h, struct diag *d)
{
	int err;

	prepare_device(h);
	err = device_child_choose(&h->device, d);
	return err < 0 ? err : device_child_start(&h->device, d);
}

static int open_ways(struct host *h, struct diag *d)
{
	const struct ip_prefix subnets[] = { h->config->subnet4, h->config->subnet6 };
	const struct nft_gateway table = { .interface = h->config->interface,
					   .subnets = subnets,
					   .n = 2,
					   .port = h->config->port,
					   .isolate = h->config->isolate };
	int err = h->device.is_usernet ? 0 : nft_gateway(&table, d);

	if (err < 0 || h->device.is_usernet)
		return err;
	h->has_table = true;
	return claim_forwarding(&h->claim, d);
}

static int give_up_rights(struct host *h, struct diag *d)
{
	int err = privileges_no_dump();

	if (err == 0)
		err = privileges_limit_caps(kept_caps,
					    sizeof(kept_caps) / sizeof(kept_caps[0]));
	if (err == 0 && h->filter != privileges_seccomp_fingerprint())
		err = privileges_seccomp(PRIVILEGES_HOST);
	if (err < 0)
		return diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
	h->filter = privileges_is_sanitized() ? 0 : privileges_seccomp_fingerprint();
	return 0;
}

static enum host_end start(struct host *h, struct diag *d)
{
	enum host_end end = look_around(h, d);
	int err;

	if (end != HOST_DONE)
		return end;
	err = open_state(h, d);
	if (err < 0)
		return classify(err);
	end = h->device.is_usernet ? look_at_usernet(h, d) : claim_host(h, d);
	if (end != HOST_DONE)
		return end;
	err = h->config->shares_key ? agree_on_key(h, d) : 0;
	if (err == 0)
		err = start_device(h, d);
	if (err == 0)
		err = open_ways(h, d);
	if (err == 0)
		err = give_up_rights(h, d);
	if (err == 0)
		err = gateway_child_start(&h->gateway, d);
	return classify(err);
}

/* --- living --- */

static void restart_device(struct host *h)
{
	struct diag d = { 0 };
	int err = device_child_start(&h->device, &d);

	if (err == 0) {
		log_info("the tunnel is back");
		gateway_child_device_restarted(&h->gateway);
		return;
	}
	if (d.text[0])
		log_error("%s", d.text);
	device_child_stop(&h->device);
	if (err != -ECANCELED)
		h->device.due_ns = child_ended(&h->device.child, clock_boot_ns());
}

static void bury_device(struct host *h)
{
	int status = 0;

	/* In an upgrade its end may be as it should be. */
	if (h->device.child.pid == 0 || h->upgrade.phase == UPGRADE_DEVICE ||
	    !child_reap(&h->device.child, &status))
		return;
	if (WIFSIGNALED(status))
		log_error("the tunnel process was ended by signal %d; starting it again",
			  WTERMSIG(status));
	else
		log_error("the tunnel process ended with code %d; starting it again",
			  WEXITSTATUS(status));
	if (!h->device.is_kernel) /* a kernel interface outlives its driver */
		h->device.index = 0;
	h->device.due_ns = child_ended(&h->device.child, clock_boot_ns());
}

static void explain_exec_failure(const struct host *h, struct diag *d)
{
	char program[PATH_MAX];

	gateway_child_program(&h->gateway, program);
	diag_set(
		d, -EACCES, 0,
		"the gateway process cannot run: the user it runs as (uid %u) may not execute or read"
		" %.110s; after a build with umask 077, 'chmod -R go+rX' of its directory helps",
		(unsigned int)h->gateway.state->uid, program);
}

/* One that never served has a reason that will not go away: a port in use, a bad option. */
static void bury_gateway(struct host *h, struct diag *d)
{
	int status = 0;

	if (h->gateway.phase == GATEWAY_ABSENT || !child_reap(&h->gateway.child, &status))
		return;
	gateway_child_ended(&h->gateway, status);
	if (h->gateway.has_served)
		return;
	h->end = HOST_FAILED;
	if (WIFSIGNALED(status))
		diag_set(d, -EPIPE, 0,
			 "the gateway process was ended by signal %d before it served",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status) == HOST_REFUSED || WEXITSTATUS(status) == HOST_PRIVILEGE)
		h->end = (enum host_end)WEXITSTATUS(status);
	else if (WEXITSTATUS(status) == CHILD_EXEC_FAILED)
		explain_exec_failure(h, d);
	else if (WEXITSTATUS(status) != HOST_FAILED)
		diag_set(d, -EPIPE, 0,
			 "the gateway process ended with code %d before it served",
			 WEXITSTATUS(status));
	h->signals.stop = true;
}

static void start_what_is_due(struct host *h)
{
	struct diag d = { 0 };

	if (h->device.child.pid == 0 && clock_boot_ns() >= h->device.due_ns)
		restart_device(h);
	gateway_child_expire(&h->gateway, clock_boot_ns());
	for (size_t i = 0; i < FRONTS; i++)
		proxy_child_tick(&h->fronts[i], h->gateway.has_served, clock_boot_ns());
	if (h->device.child.pid == 0 || h->gateway.phase != GATEWAY_ABSENT ||
	    clock_boot_ns() < h->gateway.due_ns)
		return;
	upgrade_recheck(&h->upgrade);
	if (gateway_child_start(&h->gateway, &d) < 0) {
		log_error("%s", d.text);
		h->gateway.due_ns = child_ended(&h->gateway.child, clock_boot_ns());
	}
}

static int wait_ms(const struct host *h)
{
	uint64_t now_ns = clock_boot_ns();
	uint64_t due_ns = gateway_child_deadline_ns(&h->gateway);

	if (h->device.child.pid == 0)
		due_ns = h->device.due_ns; /* the gateway waits for it */
	if (upgrade_deadline_ns(&h->upgrade) < due_ns)
		due_ns = upgrade_deadline_ns(&h->upgrade);
	if (report_deadline_ns(&h->report) < due_ns)
		due_ns = report_deadline_ns(&h->report);
	if (hooks_deadline_ns(&h->hooks) < due_ns)
		due_ns = hooks_deadline_ns(&h->hooks);
	for (size_t i = 0; i < FRONTS && h->gateway.has_served; i++) {
		if (proxy_child_deadline_ns(&h->fronts[i]) < due_ns)
			due_ns = proxy_child_deadline_ns(&h->fronts[i]);
	}
	if (due_ns == UINT64_MAX)
		return -1;
	return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns) / 1000000 % INT32_MAX) + 1;
}

static void look_after_hooks(struct host *h)
{
	uint64_t serial;
	uint32_t error;

	hooks_tick(&h->hooks, clock_boot_ns());
	if (hooks_take_answer(&h->hooks, &serial, &error))
		gateway_child_acted(&h->gateway, serial, error);
}

/* Sleep until something happens, and hear what the gateway has to say. */
static void wait_and_heed(struct host *h)
{
	struct pollfd fds[2] = {
		{ .fd = h->signals.fd, .events = POLLIN },
		{ .fd = h->gateway.phase == GATEWAY_ENDING ? -1 : h->gateway.fd,
		  .events = POLLIN },
	};

	if (poll(fds, 2, wait_ms(h)) < 0 && errno != EINTR)
		log_error("poll: %s", err_text(-errno));
	if (fds[1].revents)
		gateway_child_heed(&h->gateway);
}

/* --- being replaced --- */

static void describe(const struct host *h, struct upgrade_state *s)
{
	const uint64_t numbers[UPGRADE_NUMBERS] = {
		[UPGRADE_UID] = h->state.uid,
		[UPGRADE_GID] = h->state.gid,
		[UPGRADE_NETNS] = h->claim.netns,
		[UPGRADE_STARTED] = h->claim.started,
		[UPGRADE_FILTER] = h->filter,
		[UPGRADE_HAS_TABLE] = h->has_table,
		[UPGRADE_DEVICE_PID] = (uint64_t)h->device.child.pid,
		[UPGRADE_DEVICE_BEGUN] = h->device.child.begun_ns,
		[UPGRADE_DEVICE_FAILURES] = h->device.child.failures,
		[UPGRADE_DEVICE_INDEX] = h->device.index,
		[UPGRADE_DEVICE_IS_KERNEL] = h->device.is_kernel,
		[UPGRADE_GATEWAY_PID] = (uint64_t)h->gateway.child.pid,
		[UPGRADE_GATEWAY_BEGUN] = h->gateway.child.begun_ns,
		[UPGRADE_GATEWAY_FAILURES] = h->gateway.child.failures,
		[UPGRADE_FD_STATE] = (uint64_t)h->state.fd,
		[UPGRADE_FD_LOCK] = (uint64_t)h->state.lock_fd,
		[UPGRADE_FD_KEY] = (uint64_t)h->state.key_fd,
		[UPGRADE_FD_GATEWAY] = (uint64_t)h->gateway.fd,
		[UPGRADE_FD_SHELF_IN] = (uint64_t)h->gateway.shelf[0],
		[UPGRADE_FD_SHELF_OUT] = (uint64_t)h->gateway.shelf[1],
		[UPGRADE_FD_CONTROL] = (uint64_t)h->device.control_fd,
	};
	size_t n = 0;

	memcpy(s->numbers, numbers, sizeof(numbers));
	s->program = h->upgrade.program;
	s->view_state = h->view.state;
	s->view_program = h->view.program[0] && h->upgrade.gateway_program[0]
				  ? h->upgrade.gateway_program
				  : h->view.program;
	for (; h->config->options && h->config->options[n] && n < 2 * UPGRADE_OPTIONS_MAX; n++)
		s->options[n] = h->config->options[n];
	s->options[n] = NULL;
}

/* The opposite. */
static void adopt(struct host *h, const struct upgrade_state *s)
{
	const uint64_t *n = s->numbers;

	h->state = (struct state_dir){ .path = h->config->state,
				       .fd = (int)n[UPGRADE_FD_STATE],
				       .lock_fd = (int)n[UPGRADE_FD_LOCK],
				       .key_fd = (int)n[UPGRADE_FD_KEY],
				       .uid = (uid_t)n[UPGRADE_UID],
				       .gid = (gid_t)n[UPGRADE_GID] };
	h->claim = (struct claim){ .dir = RUN_DIR,
				   .interface = h->config->interface,
				   .netns = n[UPGRADE_NETNS],
				   .started = n[UPGRADE_STARTED],
				   .pid = getpid() };
	snprintf(h->view.state, sizeof(h->view.state), "%s", s->view_state);
	snprintf(h->view.program, sizeof(h->view.program), "%s", s->view_program);
	h->filter = n[UPGRADE_FILTER];
	h->has_table = n[UPGRADE_HAS_TABLE] != 0;
	h->device.child =
		(struct child){ .pid = (pid_t)n[UPGRADE_DEVICE_PID],
				.begun_ns = n[UPGRADE_DEVICE_BEGUN],
				.failures = (unsigned int)n[UPGRADE_DEVICE_FAILURES] };
	h->device.index = (uint32_t)n[UPGRADE_DEVICE_INDEX];
	h->device.is_kernel = n[UPGRADE_DEVICE_IS_KERNEL] != 0;
	h->device.control_fd = (int)n[UPGRADE_FD_CONTROL];
	h->gateway.child =
		(struct child){ .pid = (pid_t)n[UPGRADE_GATEWAY_PID],
				.begun_ns = n[UPGRADE_GATEWAY_BEGUN],
				.failures = (unsigned int)n[UPGRADE_GATEWAY_FAILURES] };
	h->gateway.fd = (int)n[UPGRADE_FD_GATEWAY];
	h->gateway.shelf[0] = (int)n[UPGRADE_FD_SHELF_IN];
	h->gateway.shelf[1] = (int)n[UPGRADE_FD_SHELF_OUT];
	gateway_child_adopted(&h->gateway);
	snprintf(h->upgrade.program, sizeof(h->upgrade.program), "%s", s->program);
}

static void write_state(const struct host *h, struct text *out)
{
	struct upgrade_state s = { .program = NULL };

	*out = (struct text){ .max = UPGRADE_OCTETS_MAX };
	describe(h, &s);
	upgrade_state_write(&s, out);
}

static bool has_both(const struct host *h)
{
	return h->device.child.pid > 0 && h->gateway.phase == GATEWAY_SERVING;
}

/* The next program would know nothing of a hook that runs or is due. None is begun meanwhile: who
 * asks for one after the other would keep the old program here. */
static bool waits_for_hooks(struct host *h)
{
	bool is_ready = h->upgrade.phase == UPGRADE_READY;
	bool waits = is_ready && !hooks_is_idle(&h->hooks);

	if (waits && !h->hooks.is_closed)
		log_info("upgrade: the host process goes on when a hook has ended");
	h->hooks.is_closed = is_ready;
	return waits;
}

static void stop_fronts(struct host *h)
{
	for (size_t i = 0; i < FRONTS; i++)
		proxy_child_stop(&h->fronts[i]);
}

/* An upgrade needs both children, to have something to replace. */
static void follow_upgrade(struct host *h)
{
	bool begins = h->signals.upgrade && h->upgrade.phase == UPGRADE_IDLE && has_both(h);
	bool executes;
	struct text state;

	upgrade_step(&h->upgrade, clock_boot_ns());
	/* Half a table of access lists would be forgotten. */
	executes = !waits_for_hooks(h) && h->upgrade.phase == UPGRADE_READY && has_both(h) &&
		   h->gateway.access.staged == 0;
	if (!begins && !executes)
		return;
	write_state(h, &state);
	if (begins) {
		h->signals.upgrade = false;
		upgrade_begin(&h->upgrade, &state);
	} else {
		stop_fronts(h); /* the next program would not know them */
		upgrade_execute(&h->upgrade, &state);
		h->hooks.is_closed = false;
	}
	text_done(&state);
}

/* Signals are taken before the dead are counted, never after: one that came in between
 * would be taken for counted, and nothing would wake us again. */
static void live(struct host *h, struct diag *d)
{
	while (!signals_take(&h->signals)) {
		bury_device(h);
		bury_gateway(h, d);
		for (size_t i = 0; i < FRONTS; i++)
			proxy_child_bury(&h->fronts[i], clock_boot_ns());
		if (h->signals.stop)
			return;
		start_what_is_due(h);
		look_after_hooks(h);
		follow_upgrade(h);
		report_state(&h->report, h->upgrade.phase != UPGRADE_IDLE || has_both(h),
			     clock_boot_ns());
		wait_and_heed(h);
	}
}

/* --- stopping --- */

static void close_shelf(struct host *h)
{
	for (int i = 0; i < 2; i++) {
		if (h->gateway.shelf[i] >= 0)
			close(h->gateway.shelf[i]);
	}
}

static void stop(struct host *h)
{
	struct diag d = { 0 };

	report_stopping(&h->report);
	hooks_stop(&h->hooks);
	stop_fronts(h);
	gateway_child_stop(&h->gateway);
	device_child_stop(&h->device); /* while there are rules for what comes out of it */
	if (h->has_table && nft_remove(h->config->interface, &d) < 0)
		log_error("%s", d.text);
	if (claim_release(&h->claim, &d) < 0)
		log_error("%s", d.text);
	netlink_close(h->nl);
	close_shelf(h);
	state_dir_close(&h->state);
	signals_close(&h->signals);
	report_close(&h->report);
}

static int open_shelf(struct host *h, struct diag *d)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, h->gateway.shelf) < 0)
		return diag_set(d, -errno, 0, "a pair of sockets: %s", err_text(-errno));
	return own_path(h->upgrade.program);
}

static int begin(struct host *h, const struct host_config *config, struct diag *d)
{
	*h = (struct host){ .config = config, .state = STATE_DIR_CLOSED };
	*d = (struct diag){ 0 };
	memcpy(h->hooks.paths, config->hooks, sizeof(h->hooks.paths));
	h->gateway = (struct gateway_child){ .config = config,
					     .device = &h->device,
					     .state = &h->state,
					     .claim = &h->claim,
					     .view = &h->view,
					     .hooks = &h->hooks,
					     .fd = -1,
					     .shelf = { -1, -1 } };
	for (size_t i = 0; i < FRONTS; i++)
		h->fronts[i] = (struct proxy_child){ .kind = (enum proxy_child_kind)i,
						     .config = config,
						     .state = &h->state,
						     .view = &h->view };
	h->upgrade = (struct upgrade){ .view = &h->view,
				       .device = &h->device,
				       .gateway = &h->gateway,
				       .report = &h->report };
	if (signals_open(&h->signals) < 0)
		return diag_set(d, -errno, 0, "signals: %s", err_text(-errno));
	report_open(&h->report);
	return 0;
}

static enum host_end live_and_stop(struct host *h, enum host_end end, struct diag *d)
{
	if (end == HOST_DONE) {
		if (privileges_gaps()[0])
			log_warning("not enforced here: %s", privileges_gaps());
		live(h, d);
		end = h->end;
	} else if (h->signals.stop) { /* asked to end while starting: that is no failure */
		*d = (struct diag){ 0 };
		end = HOST_DONE;
	}
	stop(h);
	return end;
}

enum host_end host_run(const struct host_config *config, struct diag *d)
{
	struct host h;
	int err = begin(&h, config, d);

	if (err < 0)
		return HOST_FAILED;
	err = open_shelf(&h, d);
	return live_and_stop(&h, err < 0 ? HOST_FAILED : start(&h, d), d);
}

enum host_end host_resume(const struct host_config *config, const struct upgrade_state *s,
			  struct diag *d)
{
	struct host h;
	int err = begin(&h, config, d);

	if (err < 0)
		return HOST_FAILED;
	err = netlink_open(&h.nl);
	if (err < 0)
		diag_set(d, err, 0, "netlink: %s", err_text(err));
	prepare_device(&h);
	adopt(&h, s);
	if (err == 0)
		err = find_public_key(&h, d);
	if (err == 0)
		err = give_up_rights(&h, d);
	if (err == 0)
		log_info("upgraded");
	return live_and_stop(&h, classify(err), d);
}
