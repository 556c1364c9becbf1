/* SPDX-License-Identifier: Apache-2.0 */
#include "client/session.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/dns.h"
#include "client/endpoint_list.h"
#include "client/firewall.h"
#include "client/lockdown.h"
#include "client/proxy_probe.h"
#include "client/steps.h"
#include "conf/uapi.h"
#include "device/uapi_server.h"
#include "host/journal.h"
#include "net/nft_look.h"
#include "net/resolve.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/privileges.h"

enum {
	TICK_MS = 1000,
};

#define LOCK_PATIENCE_NS   (UINT64_C(10) * 1000000000)
#define KEEPER_PATIENCE_NS (UINT64_C(20) * 1000000000)
#define PROXY_PATIENCE_NS  (UINT64_C(5) * 1000000000)
#define DNS_PAUSE_NS	   (UINT64_C(2) * 1000000000)

static struct client_steps steps_of(struct client_session *s)
{
	return (struct client_steps){ &s->plan, &s->journal, s->nl };
}

/* --- Before anything is changed --- */

static int copy_host(const struct wgconf_peer *peer, char out[UNDO_HOST_MAX])
{
	if (peer->endpoint_host.len >= UNDO_HOST_MAX)
		return ERR_LIMIT;
	memcpy(out, peer->endpoint_host.at, peer->endpoint_host.len);
	out[peer->endpoint_host.len] = '\0';
	return 0;
}

/* Behind the firewall of an earlier connection no name is found: then what it had found holds. */
static int find_endpoint(const struct undo_journal *before, const char *host, uint16_t port,
			 struct endpoint *ret, struct diag *d)
{
	const struct endpoint *known = undo_journal_pinned(before, host, port);
	struct ip_addr literal;
	int err;

	if (known && ip_addr_parse(host, &literal) < 0 && before->has_kill_switch) {
		*ret = *known;
		return 0;
	}
	err = resolve_endpoint(host, port, ret);
	if (err < 0 && known) {
		*ret = *known;
		return 0;
	}
	return err < 0 ? diag_set(d, err, 0, "Endpoint: %s: %s", host,
				  err == ERR_UNKNOWN ? "no such host" : err_text(err))
		       : 0;
}

static int add_way(struct client_session *s, const struct endpoint *at,
		   const struct endpoint_name *name)
{
	size_t i = 0;

	while (i < s->n_ways && !endpoint_same_remote(&s->ways[i], at))
		i++;
	if (i == CLIENT_ENDPOINTS_MAX || client_plan_add_endpoint(&s->plan, at) < 0)
		return ERR_LIMIT;
	s->ways[i] = *at;
	s->way_names[i] = *name;
	s->n_ways += i == s->n_ways;
	return 0;
}

/* The ways to the main peer: its endpoint, and what the command line or the file has besides. */
static int find_ways(struct client_session *s, struct diag *d)
{
	const char *given = s->config->ways;
	struct wgconf_span list = given ? (struct wgconf_span){ given, strlen(given) }
					: endpoint_list_find(s->config->conf, s->main_peer);
	struct endpoint_name name;
	int more;

	if (!given)
		s->ways[s->n_ways++] = s->endpoints[s->main_peer];
	while ((more = endpoint_list_next(&list, &name)) > 0) {
		struct endpoint at;
		int err = find_endpoint(&s->journal, name.host, name.port, &at, d);

		if (err < 0)
			return err;
		err = add_way(s, &at, &name);
		if (err < 0)
			return diag_set(d, err, 0, "more than %d endpoints",
					CLIENT_ENDPOINTS_MAX);
	}
	if (more < 0 || s->n_ways == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"endpoints are HOST:PORT, with commas between");
	s->endpoints[s->main_peer] = s->ways[0];
	return 0;
}

static int find_endpoints(struct client_session *s, struct diag *d)
{
	const struct wgconf *c = s->config->conf;

	s->endpoints = calloc(c->n_peers + 1, sizeof(*s->endpoints));
	if (!s->endpoints)
		return diag_set(d, -ENOMEM, 0, "%s", err_text(-ENOMEM));
	s->main_peer = c->n_peers;
	for (size_t i = 0; i < c->n_peers; i++) {
		char host[UNDO_HOST_MAX];
		int err = copy_host(&c->peers[i], host);

		if (err == 0 && !host[0])
			continue;
		if (err == 0)
			err = find_endpoint(&s->journal, host, c->peers[i].endpoint_port,
					    &s->endpoints[i], d);
		if (err == 0)
			err = client_plan_add_endpoint(&s->plan, &s->endpoints[i]);
		if (err < 0)
			return err == ERR_LIMIT ? diag_set(d, err, 0, "more than %d endpoints",
							   CLIENT_ENDPOINTS_MAX)
						: err;
		if (s->main_peer == c->n_peers)
			s->main_peer = i;
	}
	return 0;
}

static int pin_endpoints(struct client_session *s)
{
	const struct wgconf *c = s->config->conf;
	int err = 0;

	s->journal.n_pins = 0;
	for (size_t i = 0; err == 0 && i < c->n_peers; i++) {
		char host[UNDO_HOST_MAX];

		if (s->endpoints[i].ip.family == ADDR_NONE ||
		    (i == s->main_peer && s->config->ways))
			continue;
		err = copy_host(&c->peers[i], host);
		if (err == 0 && host[0])
			err = undo_journal_pin(&s->journal, host, &s->endpoints[i]);
	}
	for (size_t i = 0; err == 0 && i < s->n_ways; i++) {
		if (s->way_names[i].host[0])
			err = undo_journal_pin(&s->journal, s->way_names[i].host, &s->ways[i]);
	}
	return err;
}

/* struct search - For what others use already. @taken: bit n: CLIENT_NUMBER + n is; @rival: has a kill switch */
struct search {
	struct client_session *s;
	uint64_t taken;
	char rival[LINK_NAME_MAX];
	bool rival_is_full;
};

static void take_number(struct search *f, uint32_t number)
{
	if (number >= CLIENT_NUMBER && number < CLIENT_NUMBER + CLIENT_NUMBERS)
		f->taken |= UINT64_C(1) << (number - CLIENT_NUMBER);
}

static bool see_rule(void *context, const struct netlink_rule *rule)
{
	take_number(context, rule->table);
	take_number(context, rule->mark);
	return true;
}

/* Two that replace one file each keep what the other wrote for what was before: there is one at a time. */
static bool holds_dns(struct undo_journal *other)
{
	const struct undo_step *step = undo_journal_find(other, UNDO_RESOLV);

	return step && (client_dns_stands(other->interface, other->dir_fd, step) ||
			(undo_journal_is_kept(other) && other->netns == journal_netns()));
}

static void see_client(void *context, const char *interface)
{
	struct search *f = context;
	struct undo_journal other;
	struct diag ignored;

	if (strcmp(interface, f->s->plan.interface) == 0 ||
	    undo_journal_peek(&other, f->s->config->state, interface, &ignored) < 0)
		return;
	take_number(f, other.number);
	if (other.has_kill_switch && undo_journal_find(&other, UNDO_TABLE) &&
	    undo_journal_is_of_this_boot(&other) && other.netns == journal_netns())
		memcpy(f->rival, other.interface, sizeof(f->rival));
	if (f->rival[0])
		f->rival_is_full = other.has_scope && other.scope == CLIENT_FULL;
	if (holds_dns(&other))
		memcpy(f->s->dns_holder, other.interface, sizeof(f->s->dns_holder));
	undo_journal_close(&other);
}

/* A table and a mark that nobody has, so that whatever is in it is ours. */
static int choose_number(struct client_session *s, struct diag *d)
{
	struct search f = { .s = s };
	int err = undo_journal_interfaces(s->config->state, see_client, &f);

	if (err == 0)
		err = netlink_rules(s->nl, ADDR_V4, see_rule, &f);
	if (err == 0 && s->plan.has_ipv6)
		err = netlink_rules(s->nl, ADDR_V6, see_rule, &f);
	if (err < 0)
		return diag_set(d, err, 0, "routing rules: %s", err_text(err));
	if (f.rival[0])
		return diag_set(
			d, -EBUSY, 0, "the connection on %s %s: disconnect it first", f.rival,
			f.rival_is_full ? "lets nothing else leave"
					: "has a kill switch, which no other is made beside");
	if (s->dns_holder[0] && s->plan.n_dns && s->plan.scope == CLIENT_FULL &&
	    s->plan.has_kill_switch)
		return diag_set(d, -EBUSY, 0,
				"the connection on %s has the name servers, which nobody could "
				"ask beside a full tunnel: disconnect it first",
				s->dns_holder);
	for (uint32_t i = 0; i < CLIENT_NUMBERS; i++) {
		if (f.taken & (UINT64_C(1) << i))
			continue;
		client_plan_set_number(&s->plan, s->config->conf, CLIENT_NUMBER + i);
		return 0;
	}
	return diag_set(d, ERR_EXHAUSTED, 0, "routing tables %d to %d are all taken",
			CLIENT_NUMBER, CLIENT_NUMBER + CLIENT_NUMBERS - 1);
}

/* What an earlier connection on this interface has left. */
static int settle_before(struct client_session *s, struct diag *d)
{
	struct text said = { .max = 4096 };
	int err;

	if (undo_journal_is_kept(&s->journal))
		return diag_set(d, -EEXIST, 0, "%s is connected already (process %d)",
				s->plan.interface, s->journal.keeper);
	s->had_table = undo_journal_find(&s->journal, UNDO_TABLE) &&
		       undo_journal_is_of_this_boot(&s->journal) &&
		       s->journal.netns == journal_netns();
	err = client_steps_undo(&s->journal,
				s->had_table ? CLIENT_UNDO_ALL_BUT_TABLE : CLIENT_UNDO_ALL,
				&said, d);
	if (said.data && said.len)
		log_warning("%s", said.data);
	text_done(&said);
	return err;
}

/* Before it is written down that we are going to make one. */
static int check_name(struct client_session *s, struct diag *d)
{
	struct netlink_link link;
	int err = netlink_link_find(s->nl, s->plan.interface, &link);

	if (err == 0)
		return diag_set(d, -EEXIST, 0, "there is an interface %s already",
				s->plan.interface);
	for (int i = 0; i < UAPI_DIALECTS; i++) {
		if (uapi_call((enum uapi_dialect)i, s->plan.interface) == 0)
			return diag_set(d, -EEXIST, 0,
					"another process serves an interface %s already, in "
					"another network namespace perhaps",
					s->plan.interface);
	}
	return err == -ENODEV ? 0 : diag_set(d, err, 0, "netlink: %s", err_text(err));
}

/* Marked, as behind the firewall nothing else gets there. */
int client_session_probe(struct client_session *s, uint64_t patience_ns, struct diag *d)
{
	struct usernet_options *o = s->config->proxy->usernet;
	uint64_t begun_ns = clock_boot_ns();
	int err = 0;

	o->proxy = s->endpoints[s->main_peer];
	o->mark = s->plan.mark;
	err = proxy_probe(o, patience_ns, d);
	if (err == 0)
		s->handshake_ms = (uint32_t)((clock_boot_ns() - begun_ns) / 1000000);
	return err;
}

/* One that is not there now may be there later; one that turns us away will not change its mind. */
static int check_proxy(struct client_session *s, struct diag *d)
{
	int err = client_session_probe(s, PROXY_PATIENCE_NS, d);

	s->handshake_ms = UINT32_MAX;
	return err == -EKEYREJECTED || err == -EPROTO ? err : 0;
}

static bool host_has_ipv6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

/* One word of the journal. */
static void copy_name(const char *name, char out[UNDO_NAME_MAX])
{
	snprintf(out, UNDO_NAME_MAX, "%s", name);
	for (char *p = out; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_=+.-@", *p))
			*p = '_';
	}
}

static int check_lockdown(const struct client_session *s, struct diag *d)
{
	if (!client_lockdown_is_on(s->journal.dir_fd) ||
	    (s->plan.scope == CLIENT_FULL && s->plan.has_kill_switch))
		return 0;
	return diag_set(
		d, -EBUSY, 0,
		"lockdown is on: only a full tunnel with its kill switch may be connected");
}

static int prepare(struct client_session *s, struct diag *d)
{
	const struct client_config *c = s->config;
	int err = client_plan_make(&s->plan, c->interface, c->conf, &c->options,
				   host_has_ipv6(), d);

	if (err < 0)
		return err;
	err = undo_journal_open(&s->journal, c->state, c->interface, LOCK_PATIENCE_NS, d);
	if (err < 0)
		return err;
	err = check_lockdown(s, d);
	if (err == 0)
		err = settle_before(s, d);
	if (err == 0)
		err = find_endpoints(s, d);
	if (err == 0)
		err = find_ways(s, d);
	if (err < 0)
		return err;
	err = netlink_open(&s->nl);
	if (err < 0)
		return diag_set(d, err, 0, "netlink: %s", err_text(err));
	err = check_name(s, d);
	if (err == 0)
		err = choose_number(s, d);
	if (err == 0 && c->proxy)
		err = check_proxy(s, d);
	if (err == 0)
		err = undo_journal_begin(&s->journal);
	if (err == 0)
		err = pin_endpoints(s);
	copy_name(c->name, s->journal.name);
	s->journal.number = s->plan.number;
	s->journal.has_kill_switch = s->plan.has_kill_switch;
	s->journal.has_scope = true;
	s->journal.scope = s->plan.scope;
	return err;
}

/* --- Connecting --- */

static int note_device(struct client_session *s, struct diag *d)
{
	struct undo_step *step = undo_journal_find(&s->journal, UNDO_DEVICE);
	int err = 0;

	if (!step) {
		const struct undo_step new = { .kind = UNDO_DEVICE };

		err = undo_journal_add(&s->journal, &new);
		step = undo_journal_find(&s->journal, UNDO_DEVICE);
	}
	if (err == 0 && step) {
		step->pid = s->tunnel.child.pid;
		step->started = step->pid ? journal_process_started(step->pid) : 0;
		err = undo_journal_save(&s->journal);
	}
	return err < 0 ? diag_set(d, err, 0, "the journal: %s", err_text(err)) : 0;
}

static int start_tunnel(struct client_session *s, struct diag *d)
{
	int err = note_device(s, d);

	if (err == 0)
		err = client_tunnel_start(&s->tunnel, d);
	if (err == 0)
		err = note_device(s, d);
	if (err == 0)
		err = client_tunnel_configure(&s->tunnel, d);
	undo_point();
	return err;
}

static uint64_t look_at_table(const struct client_session *s)
{
	char table[NFT_TABLE_NAME_MAX];
	struct nft_look now;

	client_firewall_name(s->plan.interface, table);
	return nft_look(table, &now) == 0 ? now.print : s->table_print;
}

/* 0: there is none, and none is needed. */
static uint64_t cgroup_inode(const struct client_plan *p)
{
	char path[sizeof("/sys/fs/cgroup/") + CLIENT_CGROUP_MAX];
	struct stat st;

	if (p->scope != CLIENT_CGROUP)
		return 0;
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", p->cgroup);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static int change_host(struct client_session *s, struct diag *d)
{
	const struct client_steps steps = steps_of(s);
	int err;

	s->cgroup_inode = cgroup_inode(&s->plan);
	err = client_steps_table(&steps, d);
	if (err == 0)
		s->table_print = look_at_table(s);

	s->tunnel = (struct client_tunnel){ .plan = &s->plan,
					    .conf = s->config->conf,
					    .endpoints = s->endpoints,
					    .nl = s->nl,
					    .proxy = s->config->proxy };
	if (err == 0)
		err = start_tunnel(s, d);
	if (err == 0)
		err = client_steps_setting(&steps, d);
	if (err == 0)
		err = client_steps_ways(&steps, d);
	if (err == 0 && !s->dns_holder[0])
		err = client_steps_dns(&steps, d);
	return err;
}

/* A firewall that stood before stands after: what failed must not open what was shut. */
static void take_back(struct client_session *s)
{
	struct text said = { .max = 4096 };
	struct diag d = { 0 };

	client_tunnel_stop(&s->tunnel);
	if (client_steps_undo(&s->journal,
			      s->had_table ? CLIENT_UNDO_ALL_BUT_TABLE : CLIENT_UNDO_ALL, &said,
			      &d) < 0)
		log_warning("%s", d.text);
	text_done(&said);
	if (s->had_table)
		log_warning("the firewall of the connection before still stands; "
			    "culvert disconnect %s removes it",
			    s->plan.interface);
}

int client_session_connect(struct client_session *s, const struct client_config *config,
			   struct diag *d)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->config = config;
	s->handshake_ms = UINT32_MAX;
	s->control_fd = -1;
	s->journal = (struct undo_journal){ .dir_fd = -1, .lock_fd = -1 };
	err = signals_open(&s->signals);
	if (err < 0)
		return diag_set(d, err, 0, "signals: %s", err_text(err));
	err = prepare(s, d);
	if (err < 0) {
		if (!d->text[0])
			diag_set(d, err, 0, "%s", err_text(err));
		return err;
	}
	err = change_host(s, d);
	if (err < 0)
		take_back(s);
	undo_journal_unlock(&s->journal);
	return err;
}

/* --- Looking after it --- */

int client_session_give_up_rights(void)
{
	/* To set routes and rules, and for what the tunnel's process and nft need. */
	static const int caps[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE,
				    CAP_SETPCAP };
	int err = privileges_no_dump();

	if (err == 0)
		err = privileges_limit_caps(caps, sizeof(caps) / sizeof(caps[0]));
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_HOST);
	return err;
}

/* Routes into the tunnel, and what resolved knew of it, went with the interface. */
static void restart_tunnel(struct client_session *s)
{
	const struct undo_step *dns = undo_journal_find(&s->journal, UNDO_DNS);
	struct diag d = { 0 };
	int err;

	if (clock_boot_ns() < s->tunnel.due_ns ||
	    undo_journal_lock(&s->journal, LOCK_PATIENCE_NS) < 0)
		return;
	log_warning("the tunnel process has ended; starting another");
	err = start_tunnel(s, &d);
	if (err == 0 && dns)
		err = client_dns_do(&s->plan, s->journal.dir_fd, dns, &d);
	undo_journal_unlock(&s->journal);
	if (err == 0) {
		s->tunnel.due_ns = 0;
		return;
	}
	log_error("%s", d.text);
	client_tunnel_stop(&s->tunnel);
	s->tunnel.due_ns = child_ended(&s->tunnel.child, clock_boot_ns());
}

/* What a DHCP client has written is what comes back at the end; meanwhile ours stands. */
static void keep_dns(struct client_session *s)
{
	const struct client_steps steps = steps_of(s);
	struct undo_step *step = undo_journal_find(&s->journal, UNDO_RESOLV);
	struct diag d = { 0 };
	bool left = false;
	int err;

	if (!step || clock_boot_ns() - s->dns_looked_ns < DNS_PAUSE_NS)
		return;
	s->dns_looked_ns = clock_boot_ns();
	if (client_dns_stands(s->plan.interface, s->journal.dir_fd, step) ||
	    undo_journal_lock(&s->journal, 0) < 0)
		return;
	log_info("somebody has written another /etc/resolv.conf; putting ours in its place");
	err = client_dns_undo(s->plan.interface, s->journal.dir_fd, step, &left, &d);
	if (err == 0) {
		undo_journal_remove(&s->journal, (size_t)(step - s->journal.steps));
		err = client_steps_dns(&steps, &d);
	}
	undo_journal_unlock(&s->journal);
	if (err < 0)
		log_warning("%s", d.text);
}

/* Somebody has emptied or changed it, or the cgroup that it knows by its inode was made anew. Meanwhile things
 * may have left; each moment counts, so no lock is waited for. */
static void keep_table(struct client_session *s)
{
	const struct client_steps steps = steps_of(s);
	uint64_t inode = cgroup_inode(&s->plan);
	bool is_same_cgroup = inode == 0 || inode == s->cgroup_inode;
	struct diag d = { 0 };
	int err;

	if (is_same_cgroup && s->table_print && look_at_table(s) == s->table_print)
		return;
	if (!is_same_cgroup)
		log_info("the cgroup was made anew; so is the firewall");
	else if (!s->table_failed)
		log_warning("somebody has removed or changed our firewall; making it again");
	err = client_steps_table_again(&steps, &d);
	if (err < 0 && !s->table_failed)
		log_error("%s", d.text);
	s->table_failed = err < 0;
	s->table_print = 0;
	if (err < 0)
		return;
	s->table_print = look_at_table(s);
	s->cgroup_inode = inode;
}

void client_session_keep(struct client_session *s, void (*each)(void *context),
			 void (*serve)(void *context), void *context)
{
	struct pollfd fds[] = { { .fd = s->signals.fd, .events = POLLIN },
				{ .fd = s->control_fd, .events = POLLIN },
				{ .fd = nft_look_open(), .events = POLLIN } };
	uint64_t due_ns = 0;

	if (fds[2].fd < 0)
		log_warning("changes of the firewall are seen once a second only: %s",
			    err_text(fds[2].fd));

	while (!signals_take(&s->signals)) {
		if (clock_boot_ns() >= due_ns) {
			due_ns = clock_boot_ns() + TICK_MS * UINT64_C(1000000);
			client_tunnel_listen(&s->tunnel);
			keep_table(s);
			keep_dns(s);
			each(context);
		}
		if (client_tunnel_has_ended(&s->tunnel))
			restart_tunnel(s);
		if (poll(fds, 3, TICK_MS) <= 0)
			continue;
		if (fds[2].revents) {
			nft_look_drain(fds[2].fd);
			keep_table(s);
		}
		if (fds[1].revents)
			serve(context);
	}
	if (fds[2].fd >= 0)
		close(fds[2].fd);
}

/* --- The end --- */

static void left_name(const char *interface, char out[32])
{
	snprintf(out, 32, "%.15s.left", interface);
}

/* What a process in the background has to say at its end, who has it end says. */
static void hand_on(const struct undo_journal *j, const struct text *said)
{
	char name[32];

	left_name(j->interface, name);
	if (said->data && said->len &&
	    file_write(j->dir_fd, name, said->data, said->len, FILE_MODE(0600)) < 0)
		log_warning("cannot write %s", name);
}

static void take_over(const struct undo_journal *j, struct text *said)
{
	char name[32], words[4096];
	size_t len = 0;

	left_name(j->interface, name);
	if (file_read_ours(j->dir_fd, name, words, sizeof(words), &len) == 0 && said)
		text_add(said, words, len);
	unlinkat(j->dir_fd, name, 0);
}

int client_session_disconnect(struct client_session *s, struct text *said, struct diag *d)
{
	int err = undo_journal_lock(&s->journal, LOCK_PATIENCE_NS);

	if (err < 0)
		return diag_set(d, err, 0, "another connect or disconnect is at work");
	client_tunnel_stop(&s->tunnel);
	err = client_steps_undo(&s->journal, CLIENT_UNDO_ALL, said, d);
	if (s->is_detached)
		hand_on(&s->journal, said);
	undo_journal_unlock(&s->journal);
	return err;
}

void client_session_done(struct client_session *s)
{
	iface_free(s->tunnel.iface);
	s->tunnel.iface = NULL;
	netlink_close(s->nl);
	s->nl = NULL;
	free(s->endpoints);
	s->endpoints = NULL;
	undo_journal_close(&s->journal);
	signals_close(&s->signals);
}

/* One that was stopped hears SIGTERM only when it goes on. */
static void end_keeper(const struct undo_journal *j)
{
	if (!undo_journal_is_kept(j) || j->keeper == getpid())
		return;
	kill(j->keeper, SIGTERM);
	kill(j->keeper, SIGCONT);
	child_stop_foreign(j->keeper, j->keeper_started, KEEPER_PATIENCE_NS);
}

int client_disconnect(const char *state, const char *interface, struct text *said,
		      struct diag *d)
{
	struct undo_journal j;
	int err = undo_journal_peek(&j, state, interface, d);

	if (err == -ENOENT)
		return diag_set(d, ERR_UNKNOWN, 0, "%s is not connected", interface);
	if (err < 0)
		return err;
	if (undo_journal_is_elsewhere(&j)) {
		undo_journal_close(&j);
		return diag_set(d, -EXDEV, 0,
				"%s was connected in another network namespace: disconnect it "
				"there; if that is gone, connect here first",
				interface);
	}
	take_over(&j, NULL); /* of another time */
	end_keeper(&j);
	take_over(&j, said);
	undo_journal_close(&j);
	err = undo_journal_open(&j, state, interface, LOCK_PATIENCE_NS, d);
	if (err < 0)
		return err;
	err = client_steps_undo(&j, CLIENT_UNDO_ALL, said, d);
	undo_journal_close(&j);
	return err;
}

struct restoring {
	const char *state;
	bool earlier_boots_only;
	struct text *said;
	struct diag *d;
	int err;
};

/* What another network namespace has may be there still, the firewall above all. */
static bool stays(struct restoring *r, const struct undo_journal *j)
{
	if (undo_journal_is_kept(j) ||
	    (r->earlier_boots_only && undo_journal_is_of_this_boot(j)))
		return true;
	if (!undo_journal_is_elsewhere(j))
		return false;
	text_printf(r->said, "%s: left as it was connected in another network namespace\n",
		    j->interface);
	return true;
}

static void restore_one(void *context, const char *interface)
{
	struct restoring *r = context;
	struct undo_journal j;
	struct diag why = { 0 };
	int err = undo_journal_open(&j, r->state, interface, LOCK_PATIENCE_NS, &why);

	if (err == 0 && !stays(r, &j))
		err = client_steps_undo(&j, CLIENT_UNDO_ALL, r->said, &why);
	undo_journal_close(&j);
	if (err < 0 && r->err == 0) {
		r->err = err;
		*r->d = why;
	}
}

int client_restore(const char *state, bool earlier_boots_only, struct text *said,
		   struct diag *d)
{
	struct restoring r = { state, earlier_boots_only, said, d, 0 };
	int err = undo_journal_interfaces(state, restore_one, &r);

	return err < 0 ? diag_set(d, err, 0, "%s: %s", state, err_text(err)) : r.err;
}
