/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that uapi_server.h listens on. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "device/uapi_server.h"

/* Where `wg` and `awg` look. */
static const char *const directories[UAPI_DIALECTS] = {
	[UAPI_WIREGUARD] = "/var/run/wireguard",
	[UAPI_AMNEZIA] = "/var/run/amneziawg",
};

const char *uapi_directory(enum uapi_dialect dialect)
{
	return directories[dialect];
}

void uapi_path(enum uapi_dialect dialect, const char *name, char out[108])
{
	snprintf(out, 108, "%s/%s.sock", directories[dialect], name);
}

int uapi_call(enum uapi_dialect dialect, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;

	if (fd < 0)
		return -errno;
	uapi_path(dialect, name, address.sun_path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	close(fd);
	return err == -EAGAIN ? 0 : err; /* so many wait already that there must be one */
}

static int bind_and_listen(int fd, const struct sockaddr_un *name)
{
	mode_t before = umask(077);
	int err = bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0 ? -errno : 0;

	umask(before);
	if (err == 0 && listen(fd, UAPI_CONNECTIONS_MAX) < 0)
		err = -errno;
	return err;
}

int uapi_listen(enum uapi_dialect dialect, const char *name, struct diag *d)
{
	const char *directory = directories[dialect];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = -1, err = 0;

	uapi_path(dialect, name, address.sun_path);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "cannot make %s: %s", directory,
				err_text(-errno));
	if (uapi_call(dialect, name) == 0)
		return diag_set(d, -EADDRINUSE, 0,
				"another process already serves interface %s (%s answers)",
				name, address.sun_path);
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return diag_set(d, -errno, 0, "cannot replace %s: %s", address.sun_path,
				err_text(-errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = fd < 0 ? -errno : bind_and_listen(fd, &address);
	if (err < 0) {
		if (fd >= 0)
			close(fd);
		return diag_set(d, err, 0, "cannot listen on %s: %s", address.sun_path,
				err_text(err));
	}
	return fd;
}
