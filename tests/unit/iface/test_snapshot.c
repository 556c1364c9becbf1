/* SPDX-License-Identifier: Apache-2.0 */
/* What an interface says of itself, read from a script at the other end of a socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "iface/snapshot.h"

#define KEY_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY_2 "2222222222222222222222222222222222222222222222222222222222222222"

static int no_more(void *context, int *ret_fd)
{
	(void)context;
	(void)ret_fd;
	return -ENOTCONN;
}

/* The answer waits in the socket before it is asked for. */
static int take(const char *answer, struct iface_snapshot *s, struct diag *d)
{
	struct iface *i = NULL;
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
	    write(ends[1], answer, strlen(answer)) != (ssize_t)strlen(answer) ||
	    iface_userspace_new(ends[0], no_more, NULL, &i) != 0)
		abort();
	err = iface_snapshot_take(i, s, d);
	iface_free(i);
	close(ends[1]);
	return err;
}

static const char answer[] =
	"private_key=" KEY_1 "\nlisten_port=51820\nfwmark=51820\njc=4\ns1=20\nh1=100-200\n"
	"h2=2\nh3=3\nh4=4\ni1=<r 5>\nrandom_trailers=0\nculvert_profile=old s1=3 h1=77 until=99\n"
	"something_new=1\n"
	"public_key=" KEY_2 "\npreshared_key=" KEY_1 "\nendpoint=192.0.2.1:1\n"
	"last_handshake_time_sec=5\nrx_bytes=7\npersistent_keepalive_interval=22-30\n"
	"allowed_ip=10.0.0.0/8\nallowed_ip=fd00::/8\nlisten_port=1\n"
	"public_key=" KEY_1 "\nallowed_ip=10.1.0.0/16\nerrno=0\n\n";

static void reads_the_device_and_its_profiles(void)
{
	struct iface_snapshot s = { 0 };
	struct diag d = { 0 };

	CHECK(take(answer, &s, &d) == 0);
	CHECK(s.private_key.b[0] == 0x11 && s.listen_port == 51820 && s.fwmark == 51820);
	CHECK(s.framing.jc == 4 && s.framing.pad[0] == 20 && s.framing.header[0].hi == 200);
	CHECK(s.framing.signature[0] && strcmp(s.framing.signature[0], "<r 5>") == 0);
	CHECK(s.n_profiles == 1 && strcmp(s.profiles[0].name, "old") == 0);
	CHECK(s.profiles[0].until_s == 99 && s.profiles[0].parameters.header[0].lo == 77);
	iface_snapshot_done(&s);
}

static void finds_peers_with_what_is_theirs(void)
{
	struct iface_snapshot s = { 0 };
	const struct uapi_get_peer *peer;
	struct diag d = { 0 };
	uint8_t key[32];

	CHECK(take(answer, &s, &d) == 0 && s.n_peers == 2);
	CHECK(s.peers[0].public_key[0] == 0x11 && s.peers[1].public_key[0] == 0x22);
	memset(key, 0x22, sizeof(key));
	peer = iface_snapshot_find(&s, key);
	CHECK(peer && peer->n_allowed_ips == 2 && peer->allowed_ips[1].ip.family == ADDR_V6);
	CHECK(peer && peer->keepalive.hi == 30 && peer->rx_bytes == 7 &&
	      peer->endpoint.port == 1);
	memset(key, 0x11, sizeof(key));
	peer = iface_snapshot_find(&s, key);
	CHECK(peer && peer->n_allowed_ips == 1 && peer->allowed_ips[0].bits == 16);
	memset(key, 0x33, sizeof(key));
	CHECK(!iface_snapshot_find(&s, key));
	iface_snapshot_done(&s);
}

static void takes_an_interface_that_knows_wireguard_alone(void)
{
	struct iface_snapshot s = { 0 };
	struct diag d = { 0 };

	CHECK(take("errno=0\n\n", &s, &d) == 0);
	CHECK(frame_parameters_are_plain(&s.framing) && !s.n_peers && !s.n_profiles);
	iface_snapshot_done(&s);
}

static void refuses_what_cannot_be(void)
{
	static const char *const answers[] = {
		"jc=x\nerrno=0\n\n",
		"h1=9-5\nerrno=0\n\n",
		"culvert_profile=\nerrno=0\n\n",
		"culvert_profile=a s1=1\nculvert_profile=b h1=2\nerrno=0\n\n",
		"private_key=1\nerrno=0\n\n",
		"errno=1\n\n",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		static const struct iface_snapshot empty;
		struct iface_snapshot s = { 0 };
		struct diag d = { 0 };

		CHECK(take(answers[i], &s, &d) < 0 && d.text[0]);
		CHECK(memcmp(&s, &empty, sizeof(s)) == 0);
	}
}

int main(void)
{
	RUN(reads_the_device_and_its_profiles);
	RUN(finds_peers_with_what_is_theirs);
	RUN(takes_an_interface_that_knows_wireguard_alone);
	RUN(refuses_what_cannot_be);
	return DONE();
}
