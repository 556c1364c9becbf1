/* SPDX-License-Identifier: Apache-2.0 */
/**
 * session.h - One connection of a client: made, looked after, taken back
 *
 * Theory of operation. The names of endpoints are looked up while there is DNS. Then, each step in the
 * journal first: the firewall, from which on nothing leaves but what it allows; the tunnel's
 * process and interface; a switch of the kernel; routes and rules; name servers. What fails half way is taken
 * back by the same walk as a long connection.
 *
 * The process that connected stays and looks after it: it starts the tunnel again when that ends, makes the
 * firewall again when somebody has emptied or changed it, puts our resolv.conf back when a DHCP client has written its own, and takes everything back on SIGTERM. When
 * it is killed instead, the tunnel's process ends with it, and the firewall stays: nothing
 * leaves until somebody connects again or disconnects.
 *
 * Threads: one.
 */
#pragma once

#include "client/endpoint_list.h"
#include "client/plan.h"
#include "client/tunnel.h"
#include "client/undo_journal.h"
#include "host/signals.h"

/**
 * struct client_config - What to connect to; borrowed
 * @state:	Directory of the journals' directory
 * @name:	What people call it; what a word of the journal cannot hold becomes '_'
 * @ways:	Endpoints of the first peer that has one, as client/endpoint_list.h reads them; NULL: those
 *		of the file
 * @proxy:	The way is an HTTP proxy, which stands in @conf as the one peer's endpoint; NULL: it is not
 */
struct client_config {
	const char *state;
	const char *name;
	const char *interface;
	const char *ways;
	const struct wgconf *conf;
	const struct client_proxy *proxy;
	struct client_options options;
};

/**
 * struct client_session - All zeroes is none; large
 * @endpoints:	Where the peers of the file are
 * @main_peer:	The peer that is called: the first with an endpoint
 * @ways:	To it, in order; @way is the one in use
 * @seen_rx, @seen_tx, @silent_since_ns: client/choice.c's
 * @control_fd:	client/control.h's; -1: there is none
 * @handshake_ms: Time until its first answer; UINT32_MAX: none yet
 * @table_print:	net/nft_look.h's of the firewall as it was made; 0: to be made again
 * @cgroup_inode: What the firewall takes the plan's cgroup for
 * @table_failed: It could not be made again, and that was said
 * @dns_holder:	Another connection, whose name servers are in /etc/resolv.conf; "": none
 * @had_table:	The firewall of an earlier connection stood when this one began
 * @is_detached: Nobody sees what is said at the end: it is left for client_disconnect()
 */
struct client_session {
	const struct client_config *config;
	struct client_plan plan;
	struct undo_journal journal;
	struct client_tunnel tunnel;
	struct netlink *nl;
	struct endpoint *endpoints;
	struct signals signals;
	size_t main_peer;
	uint32_t handshake_ms;
	struct endpoint ways[CLIENT_ENDPOINTS_MAX];
	struct endpoint_name way_names[CLIENT_ENDPOINTS_MAX];
	size_t n_ways;
	size_t way;
	uint64_t seen_rx;
	uint64_t seen_tx;
	uint64_t silent_since_ns;
	int control_fd;
	uint64_t dns_looked_ns;
	uint64_t table_print;
	uint64_t cgroup_inode;
	bool table_failed;
	char dns_holder[LINK_NAME_MAX];
	bool had_table;
	bool is_detached;
};

/**
 * client_session_connect() - From nothing to connected
 *
 * First takes back what a connection to the same interface has left that was killed, all but its
 * firewall. After a failure everything is as it was before.
 *
 * Return: 0; ERR_FORMAT: the file or the options are wrong; -EEXIST: connected already, or the
 *	   name of the interface is taken; -EBUSY: another connection lets nothing leave; -EPERM, -EACCES: a
 *	   privilege is missing; other codes; with a sentence in @d.
 */
int client_session_connect(struct client_session *s, const struct client_config *config,
			   struct diag *d);

/**
 * client_session_probe() - Of a connection through a proxy: does it let us through?
 *
 * Return: 0, with @s->handshake_ms; as proxy_probe().
 */
int client_session_probe(struct client_session *s, uint64_t patience_ns, struct diag *d);

/** client_session_give_up_rights() - Keep what looking after it takes. 0 or -errno */
int client_session_give_up_rights(void);

/**
 * client_session_keep() - Look after it until a signal comes
 * @each:	Called about once a second
 * @serve:	Called when @s->control_fd can be read
 */
void client_session_keep(struct client_session *s, void (*each)(void *context),
			 void (*serve)(void *context), void *context);

/** client_session_disconnect() - Take everything back. As client_steps_undo() */
int client_session_disconnect(struct client_session *s, struct text *said, struct diag *d);
void client_session_done(struct client_session *s); /* frees; changes nothing on the host */

/**
 * client_disconnect() - Have a connection of any process end, and take back what it has left
 * @said:	As client_steps_undo() has it
 *
 * Return: 0; ERR_UNKNOWN when there is nothing to take back; -EXDEV when it was made in another network
 *	   namespace; as undo_journal_open() and
 *	   client_steps_undo().
 */
int client_disconnect(const char *state, const char *interface, struct text *said,
		      struct diag *d);

/**
 * client_restore() - Take back what connections have left whose process is gone
 * @earlier_boots_only: And that were made before this machine started
 *
 * Those of another network namespace stay, which @said says. Return: as above.
 */
int client_restore(const char *state, bool earlier_boots_only, struct text *said,
		   struct diag *d);
