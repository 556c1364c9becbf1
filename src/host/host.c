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
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/capability.h>
#include <sys/wait.h>

#include "crypto/suite.h"
#include "host/device_child.h"
#include "host/gateway_child.h"
#include "host/preflight.h"
#include "host/report.h"
#include "host/tree_key.h"
#include "net/nft.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/privileges.h"

#define RUN_DIR "/run/culvert"

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
	struct report report;
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
	enum host_end end = preflight_rights(h->config, d);

	if (end == HOST_DONE)
		end = preflight_config(h->config, d);
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

static int start_device(struct host *h, struct diag *d)
{
	h->device = (struct device_child){ .config = h->config,
					   .state = &h->state,
					   .claim = &h->claim,
					   .signals = &h->signals,
					   .nl = h->nl };
	int err = device_child_choose(&h->device, d);

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
	int err = nft_gateway(&table, d);

	if (err < 0)
		return err;
	h->has_table = true;
	return claim_forwarding(&h->claim, d);
}

static int give_up_rights(struct diag *d)
{
	int err = privileges_no_dump();

	if (err == 0)
		err = privileges_limit_caps(kept_caps,
					    sizeof(kept_caps) / sizeof(kept_caps[0]));
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_HOST);
	return err < 0 ? diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err))
		       : 0;
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
	end = claim_host(h, d);
	if (end != HOST_DONE)
		return end;
	err = h->config->shares_key ? agree_on_key(h, d) : 0;
	if (err == 0)
		err = start_device(h, d);
	if (err == 0)
		err = open_ways(h, d);
	if (err == 0)
		err = give_up_rights(d);
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

	if (h->device.child.pid == 0 || !child_reap(&h->device.child, &status))
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
	if (h->device.child.pid == 0 || h->gateway.phase != GATEWAY_ABSENT ||
	    clock_boot_ns() < h->gateway.due_ns)
		return;
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
	if (report_deadline_ns(&h->report) < due_ns)
		due_ns = report_deadline_ns(&h->report);
	if (due_ns == UINT64_MAX)
		return -1;
	return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns) / 1000000 % INT32_MAX) + 1;
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

/* Signals are taken before the dead are counted, never after: one that came in between
 * would be taken for counted, and nothing would wake us again. */
static void live(struct host *h, struct diag *d)
{
	while (!signals_take(&h->signals)) {
		bury_device(h);
		bury_gateway(h, d);
		if (h->signals.stop)
			return;
		start_what_is_due(h);
		report_state(&h->report,
			     h->device.child.pid > 0 && h->gateway.phase == GATEWAY_SERVING,
			     clock_boot_ns());
		wait_and_heed(h);
	}
}

/* --- stopping --- */

static void stop(struct host *h)
{
	struct diag d = { 0 };

	report_stopping(&h->report);
	gateway_child_stop(&h->gateway);
	device_child_stop(&h->device); /* while there are rules for what comes out of it */
	if (h->has_table && nft_remove(h->config->interface, &d) < 0)
		log_error("%s", d.text);
	if (claim_release(&h->claim, &d) < 0)
		log_error("%s", d.text);
	netlink_close(h->nl);
	state_dir_close(&h->state);
	signals_close(&h->signals);
	report_close(&h->report);
}

enum host_end host_run(const struct host_config *config, struct diag *d)
{
	struct host h = { .config = config, .state = STATE_DIR_CLOSED };
	enum host_end end;

	*d = (struct diag){ 0 };
	h.gateway = (struct gateway_child){ .config = config,
					    .device = &h.device,
					    .state = &h.state,
					    .claim = &h.claim,
					    .view = &h.view,
					    .fd = -1 };
	if (signals_open(&h.signals) < 0)
		return diag_set(d, -errno, 0, "signals: %s", err_text(-errno)), HOST_FAILED;
	report_open(&h.report);
	end = start(&h, d);
	if (end == HOST_DONE) {
		if (privileges_gaps()[0])
			log_warning("not enforced here: %s", privileges_gaps());
		live(&h, d);
		end = h.end;
	} else if (h.signals.stop) { /* asked to end while starting: that is no failure */
		*d = (struct diag){ 0 };
		end = HOST_DONE;
	}
	stop(&h);
	return end;
}
