/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/proxy_status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 100, REQUEST_MAX = 4096, BACKLOG = 16 };

static bool somebody_answers(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0;

	if (fd >= 0)
		close(fd);
	return answers;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int open_at(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t before;
	int err = 0;

	if (fd < 0)
		return -errno;
	before = umask(0177);
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, BACKLOG) < 0)
		err = -errno;
	umask(before);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int proxy_status_open(const char *path, struct diag *d)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(at.sun_path))
		return diag_set(d, -ENAMETOOLONG, 0,
				"the path of the status socket is too long");
	memcpy(at.sun_path, path, strlen(path));
	if (is_socket(path) && !somebody_answers(&at))
		unlink(path);
	fd = open_at(&at);
	return fd >= 0 ? fd
		       : diag_set(d, fd, 0, "cannot listen on %.160s: %s", path, err_text(fd));
}

static bool is_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0 && is_ready(fd, POLLOUT)) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

void proxy_status_answer(int listener, const struct text *body)
{
	char request[REQUEST_MAX], head[160];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (is_ready(fd, POLLIN) && recv(fd, request, sizeof(request), 0) > 0 && !body->err) {
		int n = snprintf(
			head, sizeof(head),
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n",
			body->len);

		send_all(fd, head, (size_t)n);
		send_all(fd, body->data, body->len);
	}
	close(fd);
}
