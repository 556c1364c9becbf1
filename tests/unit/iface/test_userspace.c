/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of the socket is a thread with a script: what it hears, what it says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "iface/iface.h"

/* One connection of a device: for each request it says the next answer, then closes. */
struct device {
	int fd;
	const char *answers[4];
	bool in_pieces; /* an octet at a time */
	char heard[1 << 16];
	size_t heard_len;
	pthread_t thread;
};

static bool hear_request(struct device *d)
{
	size_t from = d->heard_len;

	while (d->heard_len < sizeof(d->heard) - 1) {
		ssize_t n = read(d->fd, d->heard + d->heard_len,
				 sizeof(d->heard) - 1 - d->heard_len);

		if (n <= 0)
			return false;
		d->heard_len += (size_t)n;
		d->heard[d->heard_len] = '\0';
		if (strstr(d->heard + from, "\n\n"))
			return true;
	}
	return false;
}

static void *serve(void *argument)
{
	struct device *d = argument;

	for (int i = 0; i < 4 && d->answers[i] && hear_request(d); i++) {
		size_t len = strlen(d->answers[i]), step = d->in_pieces ? 1 : len;

		for (size_t at = 0; at < len; at += step)
			if (send(d->fd, d->answers[i] + at, step, MSG_NOSIGNAL) < 0)
				break;
	}
	shutdown(d->fd, SHUT_RDWR);
	return NULL;
}

static struct device device;
static struct iface *iface;
static int connections;
static int connect_error;

static int connect_device(void *context, int *ret_fd)
{
	int ends[2];

	CHECK(context == &device);
	connections++;
	if (connect_error)
		return connect_error;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		abort();
	device.fd = ends[1];
	if (pthread_create(&device.thread, NULL, serve, &device) != 0)
		abort();
	*ret_fd = ends[0];
	return 0;
}

static void start(const char *first, const char *second)
{
	memset(&device, 0, sizeof(device));
	device.answers[0] = first;
	device.answers[1] = second;
	connections = connect_error = 0;
	if (iface_userspace_new(-1, connect_device, &device, &iface) != 0)
		abort();
}

static void end(void)
{
	iface = iface_free(iface);
	if (connections && !connect_error) {
		pthread_join(device.thread, NULL);
		close(device.fd);
	}
}

/* --- Requests --- */

static int set_one(struct diag *d)
{
	struct uapi_set_peer peer = { .public_key = { 0xaa },
				      .n_allowed_ips = 1,
				      .has_keepalive = true,
				      .keepalive = { 25, 25 } };
	struct uapi_allowed_ip ip = { .prefix = { { ADDR_V4, { 10, 0, 1, 2 } }, 32 } };
	struct uapi_set set = {
		.peers = &peer, .n_peers = 1, .allowed_ips = &ip, .n_allowed_ips = 1
	};

	return iface_set(iface, &set, d);
}

static struct {
	int peers;
	uint64_t rx_bytes;
	size_t n_ips;
} got;

static void on_peer(void *context, const struct uapi_get_peer *peer)
{
	CHECK(context == &got);
	got.peers++;
	got.rx_bytes += peer->rx_bytes;
	got.n_ips += peer->n_allowed_ips;
}

static int get_all(struct diag *d)
{
	memset(&got, 0, sizeof(got));
	return iface_get(iface, on_peer, &got, d);
}

#define KEY_A "aa00000000000000000000000000000000000000000000000000000000000000"
#define KEY_B "bb00000000000000000000000000000000000000000000000000000000000000"
#define TWO_PEERS                                                                      \
	"private_key=" KEY_A "\nlisten_port=51820\npublic_key=" KEY_A "\nrx_bytes=5\n" \
	"allowed_ip=10.0.1.2/32\nallowed_ip=fd00::2/128\npublic_key=" KEY_B            \
	"\nculvert_new_thing=1\nrx_bytes=7\nerrno=0\n\n"

static void a_set_is_the_text_of_the_interface(void)
{
	start("errno=0\n\n", NULL);
	CHECK(set_one(NULL) == 0);
	CHECK(strcmp(device.heard,
		     "set=1\npublic_key=" KEY_A "\npersistent_keepalive_interval=25\n"
		     "allowed_ip=10.0.1.2/32\n\n") == 0);
	end();
}

static void a_get_visits_every_peer_also_in_small_pieces(void)
{
	for (int pieces = 0; pieces < 2; pieces++) {
		start(TWO_PEERS, NULL);
		device.in_pieces = pieces;
		CHECK(get_all(NULL) == 0);
		CHECK(strcmp(device.heard, "get=1\n\n") == 0);
		CHECK(got.peers == 2 && got.rx_bytes == 12 && got.n_ips == 2);
		end();
	}
}

static void one_connection_serves_many_requests(void)
{
	start("errno=0\n\n", TWO_PEERS);
	CHECK(set_one(NULL) == 0);
	CHECK(iface_is_open(iface));
	CHECK(get_all(NULL) == 0 && got.peers == 2);
	CHECK(connections == 1);
	end();
}

static void a_state_is_a_number_a_key_and_a_port(void)
{
	struct iface_state state = { .number = 0 };

	start("listen_port=51820\nculvert_public_key=" KEY_A "\nculvert_state=42\nerrno=0\n\n",
	      "errno=0\n\n");
	CHECK(iface_state(iface, &state, NULL) == 0);
	CHECK(state.number == 42 && state.listen_port == 51820 && state.public_key[0] == 0xaa);
	CHECK(strcmp(device.heard, "state=1\n\n") == 0);
	CHECK(iface_state(iface, &state, NULL) == ERR_FORMAT && state.number == 42);
	end();
}

static void an_interface_that_hangs_up_when_asked_for_its_state_is_not_asked_again(void)
{
	struct iface_state state = { .number = 7 };

	start("", NULL);
	CHECK(iface_state(iface, &state, NULL) == -EOPNOTSUPP && connections == 1);
	CHECK(iface_state(iface, &state, NULL) == -EOPNOTSUPP && connections == 1);
	CHECK(state.number == 7);
	end();
}

static void a_refusal_says_why_and_starts_anew(void)
{
	struct diag d = { .text = "" };

	start("errno=-22\n\n", NULL);
	CHECK(set_one(&d) == -EINVAL);
	CHECK(strstr(d.text, "22"));
	CHECK(!iface_is_open(iface)); /* the rest of the request may still be in the pipe */
	end();
}

static void a_get_that_finds_the_device_busy_asks_again(void)
{
	start("errno=16\n\n", "errno=16\n\n");
	device.answers[2] = TWO_PEERS;
	CHECK(get_all(NULL) == 0);
	CHECK(got.peers == 2 && connections == 1);
	CHECK(strcmp(device.heard, "get=1\n\nget=1\n\nget=1\n\n") == 0);
	end();
}

static void a_closed_connection_is_noticed_and_opened_again(void)
{
	struct diag d = { .text = "" };

	start("errno=0\n\n", NULL);
	CHECK(set_one(NULL) == 0);
	pthread_join(device.thread, NULL); /* it has closed */
	close(device.fd);
	CHECK(!iface_is_open(iface));
	CHECK(set_one(&d) < 0 && d.text[0]);
	device.answers[0] = "errno=0\n\n";
	device.heard_len = 0;
	CHECK(set_one(NULL) == 0);
	CHECK(connections == 2);
	end();
}

static void answers_that_break_off_or_make_no_sense_fail(void)
{
	static const char *const answers[] = { "errno=0\n", "public_key=zz\nerrno=0\n\n",
					       "nonsense\n\n", "\n",
					       "public_key=" KEY_A "\n\n" };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct diag d = { .text = "" };

		start(answers[i], NULL);
		CHECK(get_all(&d) < 0 && d.text[0]);
		CHECK(!iface_is_open(iface));
		end();
	}
}

static void a_line_without_end_has_a_bound(void)
{
	static char endless[200000];

	memset(endless, 'x', sizeof(endless) - 1);
	start(endless, NULL);
	CHECK(get_all(NULL) == ERR_LIMIT);
	end();
}

static void no_connection_is_an_error_with_its_reason(void)
{
	struct diag d = { .text = "" };

	start(NULL, NULL);
	connect_error = -ENOENT;
	CHECK(set_one(&d) == -ENOENT && strstr(d.text, "cannot be reached"));
	CHECK(get_all(&d) == -ENOENT);
	CHECK(!iface_is_open(iface));
	end();
}

int main(void)
{
	RUN(a_state_is_a_number_a_key_and_a_port);
	RUN(an_interface_that_hangs_up_when_asked_for_its_state_is_not_asked_again);
	RUN(a_set_is_the_text_of_the_interface);
	RUN(a_get_visits_every_peer_also_in_small_pieces);
	RUN(one_connection_serves_many_requests);
	RUN(a_refusal_says_why_and_starts_anew);
	RUN(a_get_that_finds_the_device_busy_asks_again);
	RUN(a_closed_connection_is_noticed_and_opened_again);
	RUN(answers_that_break_off_or_make_no_sense_fail);
	RUN(a_line_without_end_has_a_bound);
	RUN(no_connection_is_an_error_with_its_reason);
	return DONE();
}
