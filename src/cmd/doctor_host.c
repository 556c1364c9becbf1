/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/doctor_host.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/running.h"
#include "net/netlink.h"
#include "net/nft.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/random.h"

enum {
	WAIT_MS = 1000,
	RESOLVERS_MAX = 3, /* as many as the C library asks */
	RESOLV_CONF_MAX = 65536,
	DNS_PORT = 53,
	/* Handshakes carry the time, and peers refuse one that is before the last: a clock
	 * that was reset is worse than one that is some minutes off. */
	CLOCK_BEGINS_S = 1735689600, /* 2025-01-01 */
};

/** struct looking - One examination */
struct looking {
	const struct doctor_host *host;
	doctor_finding find;
	void *context;
};

__attribute__((format(printf, 3, 4))) static void tell(const struct looking *l,
						       const char *about, const char *format,
						       ...)
{
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	l->find(l->context, about, sentence);
}

/* The first character of a setting; 0: there is no such setting. */
static char read_setting(const char *family, const char *interface, const char *name)
{
	char path[160], value = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value;
}

/* --- Settings --- */

static void look_at_forwarding(const struct looking *l)
{
	const char *where = l->host->interface ? l->host->interface : "all";

	if (read_setting("ipv4", where, "forwarding") == '0')
		tell(l, "forwarding",
		     "IPv4 is not forwarded (%s): clients reach this host and nothing behind it; "
		     "sysctl -w net/ipv4/conf/%s/forwarding=1",
		     where, where);
	if (read_setting("ipv6", "all", "forwarding") == '0')
		tell(l, "forwarding",
		     "IPv6 is not forwarded: clients reach this host and nothing behind it over "
		     "IPv6; sysctl -w net/ipv6/conf/all/forwarding=1");
}

/* The kernel takes the greater of the two. */
static void look_at_rp_filter(const struct looking *l)
{
	const char *where = l->host->interface ? l->host->interface : "default";
	char all = read_setting("ipv4", "all", "rp_filter");
	char own = read_setting("ipv4", where, "rp_filter");

	if ((all > own ? all : own) == '1')
		tell(l, "rp_filter",
		     "rp_filter is strict (%s): packets whose answer would leave another way are "
		     "dropped; sysctl -w net/ipv4/conf/%s/rp_filter=2",
		     all == '1' ? "all" : where, all == '1' ? "all" : where);
}

/* --- Devices, programs, the clock --- */

static void look_at_modules(const struct looking *l)
{
	char list[NFT_LIST_MAX];
	struct diag d = { 0 };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		tell(l, "modules",
		     "/dev/net/tun: %s; load the module (modprobe tun), or give this container "
		     "the device; until then a gateway here has no interface (usernet)",
		     err_text(-errno));
	else
		close(fd);
	err = nft_list_table("culvert_doctor", true, list, &d);
	if (err == ERR_UNKNOWN && strstr(d.text, "No such file"))
		return; /* no such table: nft and the kernel understand each other */
	if (err < 0)
		tell(l, "modules",
		     "firewall rules cannot be set (%s): install nftables, load the module "
		     "(modprobe nf_tables), and run this as root",
		     d.text);
}

static void look_at_clock(const struct looking *l)
{
	struct timex t = { 0 };

	if (clock_wall_ns() / 1000000000 < CLOCK_BEGINS_S)
		tell(l, "clock",
		     "the clock is before 2025: peers refuse handshakes that are older than "
		     "earlier ones, certificates are not valid yet; set it (timedatectl)");
	else if (adjtimex(&t) == TIME_ERROR && (t.status & STA_UNSYNC))
		tell(l, "clock",
		     "nothing keeps the clock right: signed requests are refused once it is some "
		     "minutes off; run a time service (chrony, systemd-timesyncd)");
}

/* --- Ports --- */

static int bind_udp(int family, uint16_t port)
{
	const int on = 1;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .v6 = { .sin6_family = (sa_family_t)family } };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return 0;
	a.v4.sin_port = htons(port); /* at the same place in both */
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &a.any, family == AF_INET6 ? sizeof(a.v6) : sizeof(a.v4)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static bool is_link(const char *name)
{
	struct netlink_link link;
	struct netlink *nl = NULL;
	bool found = netlink_open(&nl) == 0 && netlink_link_find(nl, name, &link) == 0;

	netlink_close(nl);
	return found;
}

static void look_at_port(const struct looking *l)
{
	const char *interface = l->host->interface;
	bool serves = interface && is_link(interface);
	uint16_t port = l->host->port;
	bool taken;

	if (!port)
		return;
	taken = bind_udp(AF_INET, port) == -EADDRINUSE ||
		bind_udp(AF_INET6, port) == -EADDRINUSE;
	if (taken && !serves)
		tell(l, "port",
		     "UDP port %u is in use: stop what uses it (ss -ulpn), or choose another",
		     port);
	else if (!taken && serves)
		tell(l, "port",
		     "UDP port %u is closed although %s is there: give it the port (wg set %s "
		     "listen-port %u) and set it up (ip link set %s up)",
		     port, interface, interface, port, interface);
}

/* What has the name and no socket of ours is the kernel's, or somebody else's. */
static void look_at_interface(const struct looking *l)
{
	const char *name = l->host->interface;

	if (name && is_link(name) && !running_exists(name))
		tell(l, "interface",
		     "%s is there and is not a tunnel of ours: wg-quick down %s, or choose "
		     "another name",
		     name, name);
}

/* --- Others that should answer --- */

static int connect_to(int type, const struct endpoint *to)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .v6 = { .sin6_port = htons(to->port) } };
	bool v4 = to->ip.family == ADDR_V4;
	int fd = socket(v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	a.any.sa_family = v4 ? AF_INET : AF_INET6;
	memcpy(v4 ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, to->ip.b, v4 ? 4 : 16);
	if (connect(fd, &a.any, v4 ? sizeof(a.v4) : sizeof(a.v6)) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* Wait for @events. 0, -ETIMEDOUT, or what the socket says. */
static int await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int error = 0;
	socklen_t len = sizeof(error);

	if (poll(&p, 1, WAIT_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* Ask for the name servers of the root: every resolver knows them, and no name leaks. */
static int ask_resolver(const struct ip_addr *ip)
{
	uint8_t query[] = { 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };
	const struct endpoint to = { .ip = *ip, .port = DNS_PORT };
	uint8_t answer[512];
	int fd = connect_to(SOCK_DGRAM, &to);
	int err = fd < 0 ? fd : 0;

	if (err)
		return err;
	random_fill(query, 2);
	if (send(fd, query, sizeof(query), MSG_NOSIGNAL) < 0)
		err = -errno;
	if (!err)
		err = await(fd, POLLIN);
	if (!err && (recv(fd, answer, sizeof(answer), 0) < 12 ||
		     memcmp(answer, query, 2) != 0 || !(answer[2] & 0x80)))
		err = -EBADMSG;
	close(fd);
	return err;
}

static void try_resolver(const struct looking *l, const char *word)
{
	struct ip_addr ip;
	int err;

	if (ip_addr_parse(word, &ip) < 0) /* link-local with a scope: not asked */
		return;
	err = ask_resolver(&ip);
	if (err)
		tell(l, "dns",
		     "the resolver %s of /etc/resolv.conf does not answer (%s): names are not "
		     "found, or late; take it out or let UDP port 53 through",
		     word, err_text(err));
}

static void look_at_resolvers(const struct looking *l)
{
	static char in[RESOLV_CONF_MAX + 1];
	unsigned int n = 0;
	size_t len = 0;
	char *save = NULL;
	int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC); /* may be a link */
	ssize_t got = fd < 0 ? -1 : read(fd, in, RESOLV_CONF_MAX);

	if (fd >= 0)
		close(fd);
	len = got > 0 ? (size_t)got : 0;
	in[len] = '\0';
	for (char *line = strtok_r(in, "\n", &save); line && n < RESOLVERS_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		char word[64];

		if (sscanf(line, " nameserver %63s", word) != 1)
			continue;
		try_resolver(l, word);
		n++;
	}
	if (!n)
		tell(l, "dns",
		     "/etc/resolv.conf names no resolver: names are not found; write a line "
		     "\"nameserver ADDRESS\"");
}

static void look_at_api(const struct looking *l)
{
	struct endpoint to;
	int fd, err;

	if (!l->host->api)
		return;
	err = endpoint_parse(l->host->api, &to);
	if (!err) {
		fd = connect_to(SOCK_STREAM, &to);
		err = fd < 0 ? fd : await(fd, POLLOUT);
		if (fd >= 0)
			close(fd);
	}
	if (err)
		tell(l, "api",
		     "the API at %s cannot be reached (%s): does the gateway run, does it listen "
		     "there, and does the firewall let it in?",
		     l->host->api, err_text(err));
}

/* Where a gateway has been, one should be: SQLite's file, or what says that it was PostgreSQL. */
static void look_at_absence(const struct looking *l)
{
	static const char *const names[] = { "culvert.db", "store" };
	char path[PATH_MAX];
	bool has_been = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		has_been |= snprintf(path, sizeof(path), "%s/%s", l->host->state, names[i]) <
				    (int)sizeof(path) &&
			    access(path, F_OK) == 0;
	if (has_been)
		tell(l, "gateway",
		     "the gateway of %s does not run: start it (systemctl start culvert-gateway, "
		     "or culvert gateway)",
		     l->host->state);
}

static void look_at_socket(const struct looking *l)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, err = 0;

	if (!l->host->state || snprintf(a.sun_path, sizeof(a.sun_path), "%s/gateway.sock",
					l->host->state) >= (int)sizeof(a.sun_path))
		return;
	if (access(a.sun_path, F_OK) < 0) {
		look_at_absence(l);
		return;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		err = -errno;
	close(fd);
	if (err)
		tell(l, "api",
		     "%s: %s; the gateway is gone or hangs: start it anew (systemctl restart "
		     "culvert-gateway)",
		     a.sun_path, err_text(err));
}

void doctor_host_look(const struct doctor_host *h, doctor_finding find, void *context)
{
	const struct looking l = { .host = h, .find = find, .context = context };

	look_at_forwarding(&l);
	look_at_rp_filter(&l);
	look_at_modules(&l);
	look_at_clock(&l);
	look_at_interface(&l);
	look_at_port(&l);
	look_at_resolvers(&l);
	look_at_socket(&l);
	look_at_api(&l);
}
