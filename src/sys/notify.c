/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"

/* The NUL of a path is not counted by its length, and an abstract name has none. */
static int read_address(const char *text, struct notify *n)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
		return -EINVAL;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, text, len);
	if (text[0] == '@')
		n->to.sun_path[0] = '\0';
	n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

static int read_watchdog(struct notify *n)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t number;

	if (pid && (decimal_parse(pid, strlen(pid), INT32_MAX, &number) < 0 ||
		    number != (uint64_t)getpid()))
		return 0;
	if (!usec)
		return 0;
	if (decimal_parse(usec, strlen(usec), UINT64_MAX / 1000, &number) < 0 || number == 0)
		return -EINVAL;
	n->watchdog_ns = number * 1000;
	return 0;
}

int notify_open(struct notify *n)
{
	const char *text = getenv("NOTIFY_SOCKET");
	int err;

	*n = (struct notify){ 0 };
	if (!text || !text[0])
		return 0;
	err = read_address(text, n);
	if (err == 0)
		err = read_watchdog(n);
	if (err == 0) {
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		err = n->fd < 0 ? -errno : 0;
	}
	if (err < 0)
		*n = (struct notify){ 0 };
	return err;
}

void notify_close(struct notify *n)
{
	if (n->len > 0)
		close(n->fd);
	*n = (struct notify){ 0 };
}

int notify_send(const struct notify *n, const char *lines)
{
	if (n->len == 0)
		return 0;
	if (sendto(n->fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
		   n->len) < 0)
		return -errno;
	return 0;
}
