/* SPDX-License-Identifier: Apache-2.0 */
#include "host/preflight.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/kernel_child.h"
#include "sys/log.h"
#include "sys/privileges.h"

/* What the kernel takes, without what would need quoting in some place or other. */
static bool is_interface_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, "all") == 0 || strcmp(name, "default") == 0 || strcmp(name, "lo") == 0)
		return false;
	for (const char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_=+.-", *p))
			return false;
	}
	return true;
}

static bool is_unusable(const struct ip_addr *a)
{
	if (a->family == ADDR_V4)
		return a->b[0] == 0 || a->b[0] == 127 || a->b[0] >= 224;
	return a->b[0] == 0xff || a->b[0] == 0 || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80);
}

static enum host_end check_subnet(const struct ip_prefix *p, enum addr_family family,
				  unsigned int longest, const char *option, struct diag *d)
{
	if (p->ip.family == family && p->bits >= 1 && p->bits <= longest &&
	    !is_unusable(&p->ip))
		return HOST_DONE;
	diag_set(d, ERR_RANGE, 0,
		 "%s must be a network of IPv%d hosts with a length of 1 to %u, such as %s",
		 option, (int)family, longest,
		 family == ADDR_V4 ? "10.0.1.0/24" : "fd42:4242:1::/64");
	return HOST_REFUSED;
}

enum host_end preflight_config(const struct host_config *config, struct diag *d)
{
	enum host_end end;

	if (!is_interface_name(config->interface)) {
		diag_set(
			d, ERR_FORMAT, 0,
			"\"%.32s\" cannot be an interface name: 1 to 15 letters, digits and _=+.-, "
			"not lo, all or default",
			config->interface);
		return HOST_REFUSED;
	}
	end = check_subnet(&config->subnet4, ADDR_V4, 30, "--subnet4", d);
	if (end == HOST_DONE)
		end = check_subnet(&config->subnet6, ADDR_V6, 126, "--subnet6", d);
	return end;
}

struct overlap {
	const struct ip_prefix *subnet;
	struct netlink_address found;
	bool is_found;
};

static bool look_for_overlap(void *context, const struct netlink_address *address)
{
	struct overlap *o = context;
	struct ip_prefix theirs = { .ip = address->ip, .bits = address->bits };

	if (address->ip.family != o->subnet->ip.family)
		return true;
	ip_prefix_mask(&theirs);
	if (ip_prefix_contains(o->subnet, &address->ip) ||
	    ip_prefix_contains(&theirs, &o->subnet->ip)) {
		o->found = *address;
		o->is_found = true;
	}
	return !o->is_found;
}

static enum host_end check_overlap(struct netlink *nl, const struct ip_prefix *subnet,
				   const char *option, struct diag *d)
{
	char wanted[ADDR_TEXT_MAX], theirs[ADDR_TEXT_MAX], name[IF_NAMESIZE] = "?";
	struct overlap o = { .subnet = subnet };
	int err = netlink_addresses(nl, look_for_overlap, &o);

	if (err < 0) {
		diag_set(d, err, 0, "cannot list this host's addresses: %s", err_text(err));
		return HOST_FAILED;
	}
	if (!o.is_found)
		return HOST_DONE;
	if_indextoname(o.found.index, name);
	diag_set(d, -EADDRINUSE, 0, "%s overlaps %s/%u on %s: choose another network with %s",
		 ip_prefix_format(subnet, wanted), ip_addr_format(&o.found.ip, theirs),
		 o.found.bits, name, option);
	return HOST_REFUSED;
}

/* The tunnel opens its sockets when its interface goes up, and can then only log a failure. */
static int try_port(int family, uint16_t port)
{
	const int on = 1;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = { .any.sa_family = (sa_family_t)family };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0) /* a kernel without this family */
		return 0;
	if (family == AF_INET6) {
		address.v6.sin6_port = htons(port);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	} else {
		address.v4.sin_port = htons(port);
	}
	if (bind(fd, &address.any,
		 family == AF_INET6 ? sizeof(address.v6) : sizeof(address.v4)) < 0)
		err = -errno;
	close(fd);
	return err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT ? 0 : err;
}

static enum host_end check_port(uint16_t port, struct diag *d)
{
	int err = try_port(AF_INET, port);

	if (err == 0)
		err = try_port(AF_INET6, port);
	if (err == 0)
		return HOST_DONE;
	if (err == -EADDRINUSE)
		diag_set(
			d, err, 0,
			"UDP port %u is in use: stop what uses it, or choose another with --port",
			port);
	else
		diag_set(d, err, 0, "cannot use UDP port %u: %s", port, err_text(err));
	return err == -EACCES ? HOST_PRIVILEGE : HOST_FAILED;
}

enum host_end preflight_network(const struct host_config *config, struct netlink *nl,
				struct diag *d)
{
	struct netlink_link link;
	enum host_end end;
	int err = netlink_link_find(nl, config->interface, &link);

	if (err == 0 && kernel_child_is_ours(&link)) { /* nobody alive claims the name */
		log_warning("removing the interface %s, which a gateway that was killed left",
			    config->interface);
		err = netlink_link_delete(nl, link.index);
		err = err == 0 ? -ENODEV : err;
	}
	if (err == 0) {
		diag_set(d, -EEXIST, 0,
			 "the interface %s exists already and is not ours: choose another with "
			 "--interface, or remove it (ip link delete %s)",
			 config->interface, config->interface);
		return HOST_FAILED;
	}
	if (err != -ENODEV) {
		diag_set(d, err, 0, "cannot list this host's interfaces: %s", err_text(err));
		return HOST_FAILED;
	}
	end = check_overlap(nl, &config->subnet4, "--subnet4", d);
	if (end == HOST_DONE)
		end = check_overlap(nl, &config->subnet6, "--subnet6", d);
	if (end == HOST_DONE)
		end = check_port(config->port, d);
	return end;
}

/* Nothing of the host changes, but what lies in that network there is out of the peers' reach. */
static void warn_of_overlap(const struct host_config *config)
{
	struct netlink *nl = NULL;
	struct diag d = { 0 };

	if (netlink_open(&nl) == 0 &&
	    (check_overlap(nl, &config->subnet4, "--subnet4", &d) == HOST_REFUSED ||
	     check_overlap(nl, &config->subnet6, "--subnet6", &d) == HOST_REFUSED))
		log_warning("peers do not reach hosts of the same network here: %s", d.text);
	netlink_close(nl);
}

enum host_end preflight_port(const struct host_config *config, struct diag *d)
{
	warn_of_overlap(config);
	return check_port(config->port, d);
}

static bool can_become(uid_t uid, gid_t gid)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(privileges_become(uid, gid, false) < 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void preflight_user(uid_t *ret_uid, gid_t *ret_gid)
{
	int kind = privileges_unprivileged_ids(ret_uid, ret_gid);

	if (kind >= 0 && can_become(*ret_uid, *ret_gid)) {
		if (kind == PRIVILEGES_SHARED_USER)
			log_warning(
				"there is no user culvert: the gateway runs as nobody, and whatever "
				"else does can read its API key and peers; make the user (useradd "
				"--system culvert) and start again");
		return;
	}
	privileges_add_gap("the gateway runs as the user that started it");
	*ret_uid = geteuid();
	*ret_gid = getegid();
}
