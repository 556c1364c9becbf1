/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/running.h"

#include <errno.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "device/uapi_server.h"
#include "net/netlink.h"

/* The newer one first: it says ranges where the other says a number. */
static const enum uapi_dialect order[] = { UAPI_AMNEZIA, UAPI_WIREGUARD };

static bool is_name(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < LINK_NAME_MAX;
}

static int connect_to(enum uapi_dialect dialect, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	uapi_path(dialect, name, address.sun_path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* A connection was made already; another is not wanted. */
static int no_more(void *context, int *ret_fd)
{
	(void)context;
	(void)ret_fd;
	return -ENOTCONN;
}

static int explain(const char *name, int err, struct diag *d)
{
	if (err == -ENOENT)
		return diag_set(d, err, 0,
				"no interface %s: neither %s nor %s has a socket for it", name,
				uapi_directory(UAPI_AMNEZIA), uapi_directory(UAPI_WIREGUARD));
	if (err == -ECONNREFUSED)
		return diag_set(d, err, 0, "interface %s does not run any more", name);
	return diag_set(d, err, 0, "interface %s: %s", name, err_text(err));
}

int running_open(const char *name, struct iface **ret, struct diag *d)
{
	int fd = -ENOENT, err;

	if (!is_name(name))
		return diag_set(d, -EINVAL, 0, "not the name of an interface");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && fd < 0; i++) {
		int got = connect_to(order[i], name);

		fd = got == -ENOENT ? fd : got;
	}
	if (fd < 0)
		return explain(name, fd, d);
	err = iface_userspace_new(fd, no_more, NULL, ret);
	if (err) {
		close(fd);
		return explain(name, err, d);
	}
	return 0;
}

bool running_exists(const char *name)
{
	char path[108];

	for (size_t i = 0; is_name(name) && i < sizeof(order) / sizeof(order[0]); i++) {
		uapi_path(order[i], name, path);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}
