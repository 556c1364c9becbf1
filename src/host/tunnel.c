/* SPDX-License-Identifier: Apache-2.0 */
#include "host/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/text.h"
#include "conf/uapi.h"
#include "sys/file.h"

enum {
	ANSWER_MAX = 256,
	ANSWER_TIMEOUT_S = 10,
};

char *tunnel_socket_path(const char *interface, char out[64])
{
	snprintf(out, 64, "/var/run/wireguard/%.15s.sock", interface);
	return out;
}

int tunnel_connect(const char *interface)
{
	char path[64];

	return tunnel_connect_at(tunnel_socket_path(interface, path));
}

int tunnel_connect_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* "errno=N\n\n" and nothing else. Return: N, or -errno. */
static int read_answer(int fd)
{
	char text[ANSWER_MAX];
	size_t len = 0;
	uint64_t number;

	do {
		ssize_t n = recv(fd, text + len, sizeof(text) - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EPROTO : errno == EAGAIN ? -ETIMEDOUT : -errno;
		len += (size_t)n;
	} while (len < sizeof(text) && (len < 2 || memcmp(text + len - 2, "\n\n", 2) != 0));
	if (len < 9 || memcmp(text, "errno=", 6) != 0)
		return -EPROTO;
	text[len - 2] = '\0';
	if (text[6] == '-') /* wireguard-go writes the number with its sign */
		memmove(text + 6, text + 7, len - 7);
	if (decimal_parse(text + 6, strlen(text + 6), 4095, &number) < 0)
		return -EPROTO;
	return (int)number;
}

static void set_timeout(int fd, int seconds)
{
	const struct timeval patience = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* Send a whole request and wait for its answer, as read_answer() gives it. */
static int ask(int fd, const char *request, size_t len)
{
	int answer;

	set_timeout(fd, ANSWER_TIMEOUT_S);
	answer = file_write_all(fd, request, len);
	if (answer == 0)
		answer = read_answer(fd);
	set_timeout(fd, 0); /* the next user of this connection decides for itself */
	return answer;
}

int tunnel_limit(int fd)
{
	static const char request[] = "limited=1\n\n";
	int answer = ask(fd, request, sizeof(request) - 1);

	if (answer == EBUSY)
		return -EBUSY;
	return answer > 0 ? -EPROTO : answer;
}

int tunnel_connect_limited(const char *interface)
{
	char path[64];

	return tunnel_connect_limited_at(tunnel_socket_path(interface, path));
}

int tunnel_connect_limited_at(const char *path)
{
	int fd = tunnel_connect_at(path);
	int err;

	if (fd < 0)
		return fd;
	err = tunnel_limit(fd);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int tunnel_configure(int fd, const struct secret_key *key, uint16_t port, struct diag *d)
{
	struct uapi_set set = { .private_key = *key,
				.has_private_key = true,
				.listen_port = port,
				.has_listen_port = true };
	struct text request = { .max = 1024 };
	int answer = -ENOMEM;

	uapi_write_set(&request, &set);
	secret_key_done(&set.private_key);
	if (request.err == 0)
		answer = ask(fd, request.data, request.len);
	text_done(&request);
	if (answer == 0)
		return 0;
	answer = answer > 0 ? -answer : answer;
	if (answer == -EADDRINUSE)
		return diag_set(
			d, answer, 0,
			"UDP port %u is in use: stop what uses it, or choose another with "
			"--port",
			port);
	return diag_set(d, answer, 0, "the tunnel does not take its key and port: %s",
			err_text(answer));
}
