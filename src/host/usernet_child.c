/* SPDX-License-Identifier: Apache-2.0 */
#include "host/usernet_child.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/tunnel.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { BACKLOG = 16, ARGUMENTS_MAX = 24 };

#define TOOLS_DIR "/var/run/wireguard"

static bool may_administer(void)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps)
		cap_get_flag(caps, CAP_NET_ADMIN, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

/* Return: 0 or -errno. */
static int try_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int refuse(int err, struct diag *d)
{
	if (err == -EPERM)
		return diag_set(
			d, err, 0,
			"a gateway of this kind sets addresses, forwarding and firewall rules: "
			"start it as root, or choose --kind usernet");
	return diag_set(
		d, err, 0,
		"/dev/net/tun: %s; load the module (modprobe tun), give this container the "
		"device, or choose --kind usernet",
		err_text(err));
}

int usernet_child_choose(const struct host_config *config, const char **ret_why, struct diag *d)
{
	bool is_open = config->kind == HOST_KIND_USERSPACE || config->kind == HOST_KIND_AUTO;
	int err = may_administer() ? 0 : -EPERM;

	*ret_why = "chosen by --kind";
	if (config->kind == HOST_KIND_USERNET)
		return 1;
	*ret_why = "there is no right to set up an interface (CAP_NET_ADMIN)";
	if (err == 0 && config->kind != HOST_KIND_KERNEL) {
		err = try_tun();
		*ret_why = "there is no /dev/net/tun to open";
	}
	if (err == 0)
		return 0;
	return is_open ? 1 : refuse(err, d);
}

/* --- Its socket --- */

static int bind_and_listen(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t before = umask(077);
	int err;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	err = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (err == 0 && listen(fd, BACKLOG) < 0)
		err = -errno;
	return err;
}

/* Return: a listening socket; -EEXIST when somebody else serves there. */
static int listen_at(const char *path)
{
	int fd = tunnel_connect_at(path);
	int err;

	if (fd >= 0) {
		close(fd);
		return -EEXIST;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_and_listen(fd, path);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* Return: as listen_at(); @t->socket is where. */
static int listen_in(struct device_child *t, const char *directory)
{
	int n = snprintf(t->socket, sizeof(t->socket), "%s/%.15s.sock", directory,
			 t->config->interface);

	if (n < 0 || (size_t)n >= sizeof(t->socket))
		return -ENAMETOOLONG;
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	return listen_at(t->socket);
}

static int open_socket(struct device_child *t, struct diag *d)
{
	int fd = access(TOOLS_DIR, W_OK) == 0 ? listen_in(t, TOOLS_DIR) : -EACCES;

	if (fd < 0 && fd != -EEXIST)
		fd = listen_in(t, t->config->run_dir);
	if (fd >= 0)
		return fd;
	if (fd == -EEXIST)
		diag_set(d, fd, 0,
			 "another tunnel serves %s: choose another name with --interface",
			 t->socket);
	else
		diag_set(d, fd, 0, "cannot listen in %s: %s", t->config->run_dir, err_text(fd));
	t->socket[0] = '\0'; /* not ours to remove */
	return fd;
}

void usernet_child_remove_socket(struct device_child *t)
{
	if (t->socket[0])
		unlink(t->socket);
	t->socket[0] = '\0';
}

/* --- Its process --- */

/* The first host of each network is ours, as on an interface. */
static void name_addresses(const struct host_config *c, char out[2 * ADDR_TEXT_MAX])
{
	struct ip_prefix own[2] = { c->subnet4, c->subnet6 };
	size_t len = 0;

	for (int i = 0; i < 2; i++) {
		own[i].ip.b[ip_addr_bits(&own[i].ip) / 8 - 1] |= 1;
		if (i > 0)
			out[len++] = ',';
		ip_prefix_format(&own[i], out + len);
		len += strlen(out + len);
	}
}

static int start_with(struct device_child *t, int listener, struct diag *d)
{
	const struct host_config *c = t->config;
	char addresses[2 * ADDR_TEXT_MAX], level[32], mtu[16];
	const char *argv[ARGUMENTS_MAX] = { "culvert-device", "-f",    "--usernet", "--address",
					    addresses,	      "--mtu", mtu };
	const char *const variables[] = { level, "WG_UAPI_FD=3", NULL };
	/* What tells how it does; the rest is the gateway's to say. */
	static const char *const told[] = { "METRICS_LOG",     "METRICS_INTERVAL",
					    "METRICS_FORMAT",  "WG_PCAP",
					    "WG_DISABLE_IPV6", "HEALTHCHECK",
					    "HEALTH_HTTP_URL", "HEALTH_DNS_NAME",
					    "HEALTH_DNS_IP",   NULL };
	const struct child_plan plan = { .argv = argv,
					 .inherits = told,
					 .sets = variables,
					 .fds = { listener },
					 .n_fds = 1 };
	size_t n = 7;
	int err;

	name_addresses(c, addresses);
	snprintf(level, sizeof(level), "LOG_LEVEL=%s", c->log_level);
	snprintf(mtu, sizeof(mtu), "%d", DEVICE_CHILD_MTU);
	if (c->isolate)
		argv[n++] = "--isolate";
	for (size_t i = 0; c->usernet && c->usernet[i] && n < ARGUMENTS_MAX - 2; i++)
		argv[n++] = c->usernet[i];
	argv[n++] = c->interface;
	argv[n] = NULL;
	err = child_start(&t->child, &plan, clock_boot_ns());
	return err < 0 ? diag_set(d, err, 0, "cannot start the tunnel process: %s",
				  err_text(err))
		       : 0;
}

int usernet_child_start(struct device_child *t, struct diag *d)
{
	int listener = open_socket(t, d), err;

	if (listener < 0)
		return listener == -EEXIST ? -EADDRINUSE : listener;
	err = start_with(t, listener, d);
	close(listener); /* from now on its process has it alone */
	return err;
}
