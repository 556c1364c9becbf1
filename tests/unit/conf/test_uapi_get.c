/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: the order of lines that `wg` and wireguard-go know, and reading them back. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "conf/uapi.h"

#define KEY_A "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
/* Ends with zero octets, and is a key all the same. */
#define KEY_0 "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f00"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* By hand: every optional line present in the first peer, absent in the second. */
static const char reply[] =
	"private_key=" KEY_0 "\nlisten_port=51820\nfwmark=7\n"
	"public_key=" KEY_A "\npreshared_key=" KEY_A "\nprotocol_version=1\n"
	"endpoint=[fe80::1%3]:51821\nlast_handshake_time_sec=1700000000\n"
	"last_handshake_time_nsec=5\ntx_bytes=18446744073709551615\nrx_bytes=1\n"
	"persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\n"
	"culvert_drops=3\nculvert_handshake_failures=4\nculvert_budget_bytes=0\n"
	"culvert_rate_bps=9\nculvert_greatest_timestamp=400000000000000a00000001\n"
	"public_key=" ZEROS "\npreshared_key=" ZEROS "\nprotocol_version=1\n"
	"last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
	"persistent_keepalive_interval=0\nculvert_drops=0\nculvert_handshake_failures=0\n"
	"errno=0\n\n";

/* A device rebuilt from what was read, as text. */
struct echo {
	struct text peers;
	int n;
};

static void echo_peer(void *context, const struct uapi_get_peer *peer)
{
	struct echo *echo = context;

	uapi_write_peer(&echo->peers, UAPI_AMNEZIA, peer);
	echo->n++;
}

static int read_all(struct uapi_get_reader *r, const char *text, struct diag *d)
{
	int err = 0;

	while (*text && *text != '\n' && !err) {
		size_t len = strcspn(text, "\n");

		err = uapi_get_line(r, text, len, d);
		text += len + (text[len] == '\n');
	}
	return err;
}

static void writes_what_it_reads_line_for_line(void)
{
	struct echo echo = { 0 };
	struct uapi_get_reader r = { .peer = echo_peer, .context = &echo };
	struct text out = { 0 };
	struct diag d;

	CHECK(read_all(&r, reply, &d) == 0);
	CHECK(r.is_done && r.uapi_errno == 0 && echo.n == 2);
	uapi_write_device(&out, &r.device);
	text_add(&out, echo.peers.data, echo.peers.len);
	uapi_write_errno(&out, 0, true);
	CHECK(out.err == 0 && strcmp(out.data, reply) == 0);
	text_done(&out);
	text_done(&echo.peers);
	uapi_get_reader_done(&r);
}

static void keep_peer(void *context, const struct uapi_get_peer *peer)
{
	*(struct uapi_get_peer *)context = *peer;
}

static void understands_each_value(void)
{
	struct uapi_get_peer peer = { 0 };
	struct uapi_get_reader r = { .peer = keep_peer, .context = &peer };
	struct diag d;

	CHECK(read_all(&r,
		       "listen_port=51820\nfwmark=7\npublic_key=" KEY_A "\n"
		       "endpoint=[fe80::1%3]:51821\nlast_handshake_time_nsec=5\n"
		       "last_handshake_time_sec=1700000000\nrx_bytes=1\ntx_bytes=2\n"
		       "allowed_ip=10.0.0.0/8\nerrno=0\n",
		       &d) == 0);
	CHECK(r.device.listen_port == 51820 && r.device.fwmark == 7);
	CHECK(peer.last_handshake_ns == UINT64_C(1700000000000000005));
	CHECK(peer.rx_bytes == 1 && peer.tx_bytes == 2 && frame_range_is_zero(peer.keepalive));
	CHECK(peer.endpoint.scope == 3 && peer.endpoint.port == 51821);
	CHECK(peer.n_allowed_ips == 1 && peer.allowed_ips[0].bits == 8);
	CHECK(peer.budget_bytes == UINT64_MAX && peer.rate_bps == 0);
	uapi_get_reader_done(&r);
}

static void takes_a_zone_that_is_a_name_without_its_number(void)
{
	struct uapi_get_peer peer = { 0 };
	struct uapi_get_reader r = { .peer = keep_peer, .context = &peer };
	struct diag d;

	CHECK(read_all(&r, "public_key=" KEY_A "\nendpoint=[fe80::1%eth0]:51821\nerrno=0\n",
		       &d) == 0);
	CHECK(peer.endpoint.ip.family == ADDR_V6 && peer.endpoint.ip.b[0] == 0xfe &&
	      peer.endpoint.ip.b[15] == 1 && peer.endpoint.port == 51821 &&
	      peer.endpoint.scope == 0);
	uapi_get_reader_done(&r);
}

static void skips_keys_it_does_not_know(void)
{
	struct uapi_get_reader r = { 0 };
	struct diag d;

	CHECK(read_all(&r,
		       "jc=4\nlisten_port=1\npublic_key=" KEY_A "\nweather=fine\nfwmark=x\n"
		       "errno=0\n",
		       &d) == 0);
	CHECK(r.is_done && r.device.listen_port == 1 && r.device.fwmark == 0);
	uapi_get_reader_done(&r);
}

static void refuses_malformed_values_of_known_keys(void)
{
	static const char *const lines[] = {
		"nonsense",    "",	 "private_key=zz", "listen_port=65536", "fwmark=-1",
		"public_key=", "errno=", "errno=x",	   "errno=--1",
	};
	static const char *const peer_lines[] = {
		"preshared_key=1",
		"endpoint=here",
		"last_handshake_time_sec=99999999999999999",
		"last_handshake_time_nsec=1000000000",
		"tx_bytes=-1",
		"rx_bytes=1.5",
		"allowed_ip=10.0.0.1",
		"allowed_ip=-10.0.0.1/32",
		"persistent_keepalive_interval=65536",
		"culvert_drops=",
		"culvert_greatest_timestamp=0",
	};
	struct diag d;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct uapi_get_reader r = { 0 };

		d.text[0] = '\0';
		CHECK(uapi_get_line(&r, lines[i], strlen(lines[i]), &d) == ERR_FORMAT &&
		      d.text[0]);
		CHECK(!r.is_done && !r.in_peer);
	}
	for (size_t i = 0; i < sizeof(peer_lines) / sizeof(peer_lines[0]); i++) {
		struct uapi_get_reader r = { .in_peer = true };

		d.text[0] = '\0';
		CHECK(uapi_get_line(&r, peer_lines[i], strlen(peer_lines[i]), &d) ==
		      ERR_FORMAT);
		CHECK(d.text[0] && r.n_allowed_ips == 0);
	}
}

static void reads_the_number_of_an_error_with_and_without_its_sign(void)
{
	struct uapi_get_reader plain = { 0 }, negative = { 0 };
	struct diag d;

	CHECK(read_all(&plain, "errno=22\n", &d) == 0 && plain.uapi_errno == UAPI_EINVAL);
	CHECK(read_all(&negative, "errno=-22\n", &d) == 0 &&
	      negative.uapi_errno == UAPI_EINVAL);
	CHECK(uapi_get_line(&plain, "listen_port=1", 13, &d) == ERR_FORMAT);
}

static void keeps_a_half_read_peer_to_itself_when_the_reply_failed(void)
{
	struct echo echo = { 0 };
	struct uapi_get_reader r = { .peer = echo_peer, .context = &echo };
	struct diag d;

	CHECK(read_all(&r, "public_key=" KEY_A "\nrx_bytes=1\nerrno=5\n", &d) == 0);
	CHECK(r.is_done && r.uapi_errno == UAPI_EIO && echo.n == 0);
	uapi_get_reader_done(&r);
}

static bool errno_is(int uapi_errno, bool in_get, const char *text)
{
	struct text out = { 0 };
	bool right;

	uapi_write_errno(&out, uapi_errno, in_get);
	right = strcmp(out.data, text) == 0;
	text_done(&out);
	return right;
}

/* `wg` takes the sign only in the reply to set; in the reply to get it gives up. */
static void writes_the_sign_of_an_error_only_after_set(void)
{
	CHECK(errno_is(0, false, "errno=0\n\n"));
	CHECK(errno_is(0, true, "errno=0\n\n"));
	CHECK(errno_is(UAPI_EINVAL, false, "errno=-22\n\n"));
	CHECK(errno_is(UAPI_EINVAL, true, "errno=22\n\n"));
}

static void keeps_many_allowed_ips_in_order(void)
{
	enum { IPS = 1000 };
	struct echo echo = { 0 };
	struct uapi_get_reader r = { .peer = echo_peer, .context = &echo };
	struct text in = { 0 };
	struct diag d;
	char line[64];
	const char *at;

	text_puts(&in, "public_key=" KEY_A "\n");
	for (unsigned int i = 0; i < IPS; i++)
		text_printf(&in, "allowed_ip=10.0.%u.%u/32\n", i >> 8, i & 255);
	text_puts(&in, "errno=0\n");
	CHECK(read_all(&r, in.data, &d) == 0 && echo.n == 1);
	at = echo.peers.data;
	for (unsigned int i = 0; i < IPS && at; i++) {
		snprintf(line, sizeof(line), "allowed_ip=10.0.%u.%u/32\n", i >> 8, i & 255);
		at = strstr(at, line);
	}
	CHECK(at);
	text_done(&in);
	text_done(&echo.peers);
	uapi_get_reader_done(&r);
}

int main(void)
{
	RUN(writes_what_it_reads_line_for_line);
	RUN(understands_each_value);
	RUN(takes_a_zone_that_is_a_name_without_its_number);
	RUN(skips_keys_it_does_not_know);
	RUN(refuses_malformed_values_of_known_keys);
	RUN(reads_the_number_of_an_error_with_and_without_its_sign);
	RUN(keeps_a_half_read_peer_to_itself_when_the_reply_failed);
	RUN(writes_the_sign_of_an_error_only_after_set);
	RUN(keeps_many_allowed_ips_in_order);
	return DONE();
}
