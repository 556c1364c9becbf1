/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway that was taken over, on its limited connection to a kernel interface: whatever it says, the
 * identity stays as it was, every answer can be read, and nobody else's connection suffers. The
 * first octet chooses what the kernel below does.
 */
#include <errno.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/iface/fake_kernel.h"
#include "base/text.h"
#include "conf/uapi.h"
#include "fuzz.h"
#include "sys/clock.h"
#include "sys/log.h"

static uint64_t now_ns = UINT64_C(5000000000);

uint64_t clock_boot_ns(void)
{
	return now_ns;
}

uint64_t clock_wall_ns(void)
{
	return now_ns;
}

/* All that can be done now; what rests is woken. Return: false when the interface is gone */
static bool settle(struct kernel_server *s)
{
	struct pollfd fds[KERNEL_CONNECTIONS_MAX];

	for (int i = 0; i < 100000; i++) {
		int timeout_ms;
		size_t n = kernel_server_watch(s, now_ns, fds, &timeout_ms);

		if (poll(fds, n, 0) == 0 && timeout_ms < 0)
			return true;
		if (timeout_ms > 0)
			now_ns += (uint64_t)timeout_ms * 1000000;
		if (!kernel_server_run(s))
			return false;
	}
	BROKEN("the server does not come to rest");
	return false;
}

/* Everything that was answered up to now. false: the connection is over */
static bool hear(int fd, struct text *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		text_add(out, piece, (size_t)n);
	return n < 0 && errno == EAGAIN;
}

static bool say(struct kernel_server *s, int fd, const char *data, size_t len, struct text *out)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return false;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		if (!settle(s) || !hear(fd, out))
			return false;
	}
	for (size_t before = out->len + 1; before != out->len;) {
		before = out->len;
		if (!settle(s) || !hear(fd, out))
			return false;
	}
	return true;
}

/* Lines, an empty one behind each answer. Return: how many answers */
static unsigned int read_answers(const struct text *out)
{
	struct uapi_get_reader r = { .is_done = false };
	const char *at = out->data, *end;
	unsigned int n = 0;

	for (; at && (end = strchr(at, '\n')) != NULL; at = end + 1) {
		struct diag d = { 0 };

		HOLDS(strncmp(at, "private_key", 11) != 0);
		if (end != at) {
			HOLDS(uapi_get_line(&r, at, (size_t)(end - at), &d) == 0);
			continue;
		}
		HOLDS(r.is_done);
		uapi_get_reader_done(&r);
		n++;
	}
	uapi_get_reader_done(&r);
	return n;
}

static int dial(struct kernel_server *s)
{
	int ends[2];

	HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	HOLDS(kernel_server_add(s, ends[1], false) == 0);
	return ends[0];
}

static struct kernel_server *server;

/* In pieces: what others said meanwhile is heard in between. */
static int get(void *context, struct wg_genl_snapshot *ret)
{
	now_ns += UINT64_C(1500000000);
	kernel_server_pause(server, false);
	kernel_server_pause(server, true);
	return fake_get(context, ret);
}

static int set(void *context, const struct wg_genl_set *change)
{
	kernel_server_pause(server, false);
	return fake_set(context, change);
}

static struct kernel_server *serve(struct fake_kernel *k, uint8_t mood)
{
	const struct kernel_backend backend = { get, set, k };
	struct kernel_server *s = NULL;

	*k = (struct fake_kernel){ .listen_port = 51820, .public_key = { 7 } };
	k->fail_set = (mood & 1) ? -ENOMEM : 0;
	k->stop_after = mood >> 4;
	k->fail_get = (mood & 2) ? -ETIMEDOUT : (mood & 4) ? -ENODEV : 0;
	HOLDS(kernel_server_new(&backend, &s) == 0);
	server = s;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char limit[] = "limited=1\n\n", ask[] = "\n\nstate=1\n\n";
	static struct fake_kernel kernel;
	struct text out = { .data = NULL }, other_out = { .data = NULL };
	struct kernel_server *s;
	bool is_alive;
	int fd, other;

	if (size == 0)
		return 0;
	log_set_level(LOG_LEVEL_SILENT);
	s = serve(&kernel, data[0]);
	fd = dial(s);
	other = dial(s);
	HOLDS(say(s, fd, limit, sizeof(limit) - 1, &out) && read_answers(&out) == 1);
	text_clear(&out);
	is_alive = say(s, fd, (const char *)data + 1, size - 1, &out);
	read_answers(&out);
	HOLDS(!kernel.touched_identity && kernel.listen_port == 51820);
	kernel.fail_get = kernel.fail_get == -ENODEV ? -ENODEV : 0;
	if (is_alive && kernel.fail_get == 0) {
		HOLDS(say(s, other, ask, sizeof(ask) - 1, &other_out));
		HOLDS(read_answers(&other_out) == 1);
	}
	text_done(&out);
	text_done(&other_out);
	close(fd);
	close(other);
	kernel_server_free(s);
	return 0;
}
