/* SPDX-License-Identifier: Apache-2.0 */
/**
 * host.h - The small privileged process around a gateway
 *
 * It makes the state directory, starts the tunnel process and gives it its key, sets the
 * addresses, forwarding and address translation, starts the gateway as a user without
 * rights, and then waits: for a child to end (it is started again), for one of the fixed
 * messages of host/messages.h, or for SIGTERM, upon which it takes everything back. It reads
 * no octet that came from the network.
 *
 * On SIGUSR2, or SIGHUP without a terminal, it executes the program that lies where it was
 * started from: host/upgrade.h.
 *
 * The gateway may end and come back without a packet noticing. When the tunnel ends, the
 * gateway is told to set its peers again.
 *
 * Threads: one; call it from a process that has started none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "host/hooks.h"

/* What serves the interface. */
enum host_kind {
	HOST_KIND_USERSPACE, /* our own tunnel process: TUN, or USERNET where that cannot be had */
	HOST_KIND_TUN,	     /* it, with an interface */
	HOST_KIND_USERNET, /* it, without one and without any right (usernet_child.h) */
	HOST_KIND_KERNEL,  /* the kernel's WireGuard, level off only */
	HOST_KIND_AUTO, /* the kernel's where it is there and new peers are at level off, else USERSPACE */
};

/**
 * struct host_config - What to run. Texts are borrowed until host_run() returns
 * @endpoint:	What clients are told to connect to; NULL: the gateway finds it out
 * @subnet4, @subnet6: The first host of each is the gateway's address
 * @obfuscation: Level of new peers, as frame_level_find() knows it
 * @log_level:	As log_level_find() knows it; of all three processes
 * @kind:	What serves the interface
 * @run_dir:	With usernet: where its control socket lies
 * @usernet:	With usernet: more arguments of its tunnel process, NULL behind the last; or NULL
 * @isolate:	Peers do not reach each other
 * @hooks:	Programs that the gateway may ask for; NULL: not allowed
 * @proxy:	Where the CONNECT proxy listens, for the gateway's users; NULL: there is none
 * @carrier:	URLs where the carrier listens, likewise
 * @shares_key: The users' tree has the server's key too (host/tree_key.h)
 * @gateway_arguments: More of them for the gateway process, NULL behind the last; or NULL
 * @gateway_program: For tests; NULL: this program
 * @options:	Name, value, …, NULL: what all of this was made of, for a later version of
 *		the program that takes this one's place
 */
struct host_config {
	const char *state;
	const char *interface;
	const char *listen;
	const char *endpoint;
	const char *obfuscation;
	const char *log_level;
	struct ip_prefix subnet4;
	struct ip_prefix subnet6;
	uint16_t port;
	enum host_kind kind;
	bool log_json;
	bool isolate;
	const char *hooks[HOOKS_PROGRAMS];
	const char *proxy;
	const char *carrier;
	bool shares_key;
	const char *const *gateway_arguments;
	const char *gateway_program;
	const char *run_dir;
	const char *const *usernet;
	const char *const *options;
};

/* What kind of failure; the same numbers as a command's exit codes. */
enum host_end {
	HOST_DONE = 0, /* stopped by a signal, everything taken back */
	HOST_FAILED = 1,
	HOST_REFUSED = 3,   /* the configuration does not fit this host */
	HOST_PRIVILEGE = 4, /* a right or a device is missing */
};

/**
 * host_run() - Be the host process until SIGTERM or SIGINT
 *
 * Return: HOST_DONE, or why not with a sentence in @d; empty when a child has said it already.
 */
enum host_end host_run(const struct host_config *config, struct diag *d);

struct upgrade_state;

/** host_resume() - The same, from where the program before this one was. Changes nothing first */
enum host_end host_resume(const struct host_config *config, const struct upgrade_state *s,
			  struct diag *d);
