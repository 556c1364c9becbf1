/* SPDX-License-Identifier: Apache-2.0 */
/* The file a client gets: by hand once, then read back by the parser of such files. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "base/codec.h"
#include "conf/wgconf.h"

#define ALICE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define BOB   "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static const char *const dns[] = { "10.0.1.1", "fd42:4242:1::1" };

static struct secret_key alice;
static struct wgconf_address addresses[2];
static struct ip_prefix everything[2];

static struct wgconf_client make(void)
{
	struct wgconf_client c = {
		.name = "phone",
		.private_key = &alice,
		.preshared_key = &alice,
		.addresses = addresses,
		.n_addresses = 2,
		.dns = dns,
		.n_dns = 2,
		.allowed_ips = everything,
		.n_allowed_ips = 2,
		.endpoint = "vpn.example.com:51820",
		.mtu = 1420,
		.keepalive = { 25, 25 },
	};

	key_from_base64(ALICE, KEY_BASE64_LEN, alice.b);
	key_from_base64(BOB, KEY_BASE64_LEN, c.server_key);
	ip_addr_parse("10.0.1.2", &addresses[0].ip);
	ip_addr_parse("fd42:4242:1::2", &addresses[1].ip);
	addresses[0].bits = 32;
	addresses[1].bits = 128;
	ip_prefix_parse("0.0.0.0/0", true, &everything[0]);
	ip_prefix_parse("::/0", true, &everything[1]);
	return c;
}

static bool writes(const struct wgconf_client *c, const char *wanted)
{
	struct text out = { 0 };
	bool same;

	wgconf_client_text(&out, c);
	same = out.err == 0 && strcmp(out.data, wanted) == 0;
	if (!same)
		printf("# wrote: %s\n", out.data);
	text_done(&out);
	return same;
}

static void writes_everything_that_is_set(void)
{
	struct wgconf_client c = make();

	CHECK(writes(&c, "# phone\n"
			 "[Interface]\n"
			 "PrivateKey = " ALICE "\n"
			 "Address = 10.0.1.2/32, fd42:4242:1::2/128\n"
			 "DNS = 10.0.1.1, fd42:4242:1::1\n"
			 "MTU = 1420\n"
			 "\n"
			 "[Peer]\n"
			 "PublicKey = " BOB "\n"
			 "PresharedKey = " ALICE "\n"
			 "Endpoint = vpn.example.com:51820\n"
			 "AllowedIPs = 0.0.0.0/0, ::/0\n"
			 "PersistentKeepalive = 25\n"));
}

static void leaves_out_what_is_not_set(void)
{
	struct wgconf_client c = make();

	c.name = NULL;
	c.private_key = NULL;
	c.preshared_key = NULL;
	c.n_addresses = c.n_dns = c.n_allowed_ips = 0;
	c.mtu = 0;
	c.keepalive = (struct frame_range){ 0 };
	CHECK(writes(&c, "[Interface]\n"
			 "# PrivateKey = your own private key; the gateway does not have it\n"
			 "\n"
			 "[Peer]\n"
			 "PublicKey = " BOB "\n"
			 "Endpoint = vpn.example.com:51820\n"));
}

static void is_read_back_as_it_was_meant(void)
{
	struct wgconf_client c = make();
	struct text out = { 0 };
	struct wgconf read = { 0 };
	struct diag d;

	wgconf_client_text(&out, &c);
	CHECK(wgconf_parse(out.data, out.len, &read, &d) == 0);
	CHECK(memcmp(&read.interface.private_key, &alice, sizeof(alice)) == 0);
	CHECK(read.n_addresses == 2 &&
	      memcmp(read.addresses, addresses, sizeof(addresses)) == 0);
	CHECK(read.n_dns == 2 && read.interface.mtu == 1420);
	CHECK(read.n_peers == 1 && memcmp(read.peers[0].public_key, c.server_key, 32) == 0);
	CHECK(read.n_allowed_ips == 2 &&
	      memcmp(read.allowed_ips, everything, sizeof(everything)) == 0);
	CHECK(read.peers[0].keepalive_s == 25 && read.peers[0].endpoint_port == 51820);
	wgconf_done(&read);
	text_done(&out);
}

static void refuses_words_that_would_begin_a_line(void)
{
	struct wgconf_client name = make(), endpoint = make(), servers = make();
	static const char *const bad_dns[] = { "1.1.1.1\nPostUp = id" };
	const struct wgconf_client *const all[] = { &name, &endpoint, &servers };

	name.name = "x\nPostUp = id";
	endpoint.endpoint = "x:1\rPostUp";
	servers.dns = bad_dns;
	servers.n_dns = 1;
	for (size_t i = 0; i < 3; i++) {
		struct text out = { 0 };

		wgconf_client_text(&out, all[i]);
		CHECK(out.err == ERR_FORMAT);
		CHECK(!out.data || !strstr(out.data, "PostUp"));
		text_done(&out);
	}
}

int main(void)
{
	RUN(writes_everything_that_is_set);
	RUN(leaves_out_what_is_not_set);
	RUN(is_read_back_as_it_was_meant);
	RUN(refuses_words_that_would_begin_a_line);
	return DONE();
}
