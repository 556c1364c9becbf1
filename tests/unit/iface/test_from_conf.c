/* SPDX-License-Identifier: Apache-2.0 */
/* From a file and what an interface says of itself to the request that closes the difference. The
 * request is looked at as the text that goes over the socket. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "iface/from_conf.h"

#define ALICE	  "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define ALICE_HEX "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define BOB	  "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
#define BOB_HEX	  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"

static struct iface_snapshot now;
static struct ip_prefix prefixes[2];
static struct uapi_get_peer peers[2];

/* An interface with one peer, Bob. */
static void make_now(void)
{
	now = (struct iface_snapshot){ .listen_port = 51820, .peers = peers, .n_peers = 1 };
	frame_parameters_init(&now.framing);
	peers[0] = (struct uapi_get_peer){ .allowed_ips = prefixes, .n_allowed_ips = 2 };
	for (size_t i = 0; i < 32; i++) {
		unsigned int octet;

		sscanf(&BOB_HEX[2 * i], "%2x", &octet);
		peers[0].public_key[i] = (uint8_t)octet;
		sscanf(&ALICE_HEX[2 * i], "%2x", &octet);
		now.private_key.b[i] = (uint8_t)octet;
	}
	ip_prefix_parse("10.0.0.2/32", true, &prefixes[0]);
	ip_prefix_parse("fd00::2/128", true, &prefixes[1]);
	endpoint_parse("192.0.2.1:51820", &peers[0].endpoint);
}

static bool asks_with(const char *file, const char *endpoint, bool keep, const char *wanted)
{
	struct endpoint endpoints[4] = { 0 };
	struct wgconf c = { 0 };
	struct from_conf from = {
		.conf = &c, .endpoints = endpoints, .now = &now, .keep_peers = keep
	};
	struct uapi_set set = { 0 };
	struct text out = { 0 };
	struct diag d;
	bool same;

	if (endpoint)
		endpoint_parse(endpoint, &endpoints[0]);
	same = wgconf_parse(file, strlen(file), &c, &d) == 0 &&
	       from_conf_make(&from, &set) == 0;
	uapi_write_set(&out, &set);
	same = same && strcmp(out.data, wanted) == 0;
	if (!same)
		printf("# %s", out.data);
	text_done(&out);
	uapi_set_done(&set);
	wgconf_done(&c);
	return same;
}

static bool asks(const char *file, bool keep, const char *wanted)
{
	return asks_with(file, NULL, keep, wanted);
}

#define HEAD "[Interface]\nPrivateKey=" ALICE "\n"
#define PEER "[Peer]\nPublicKey=" BOB "\nAllowedIPs=10.0.0.2/32, fd00::2/128\n"

static void asks_for_nothing_that_is_so_already(void)
{
	make_now();
	CHECK(asks(HEAD "ListenPort=51820\n" PEER, true, "set=1\n\n"));
	CHECK(asks(HEAD PEER, true, "set=1\n\n"));
}

static void replaces_all_peers_without_sync(void)
{
	make_now();
	CHECK(asks_with(
		HEAD PEER "PresharedKey=" ALICE "\nPersistentKeepalive=22-30\n",
		"192.0.2.1:51820", false,
		"set=1\nreplace_peers=true\npublic_key=" BOB_HEX "\npreshared_key=" ALICE_HEX
		"\nendpoint=192.0.2.1:51820\npersistent_keepalive_interval=22-30\n"
		"replace_allowed_ips=true\nallowed_ip=10.0.0.2/32\nallowed_ip=fd00::2/128\n\n"));
}

static void changes_what_differs_of_the_device(void)
{
	make_now();
	now.fwmark = 7;
	CHECK(asks(HEAD PEER, true, "set=1\n\n"));
	CHECK(asks(
		"[Interface]\nListenPort=0\nFwMark=off\n" PEER, true,
		"set=1\nprivate_key=0000000000000000000000000000000000000000000000000000000000000000"
		"\nlisten_port=0\nfwmark=0\n\n"));
	CHECK(asks(HEAD "FwMark=0x8\n" PEER, true, "set=1\nfwmark=8\n\n"));
	CHECK(asks(HEAD, false, "set=1\nfwmark=0\nreplace_peers=true\n\n"));
}

static void sends_parameters_that_differ_and_no_other(void)
{
	make_now();
	now.framing.jc = 4;
	now.framing.pad[0] = 20;
	now.framing.header[1] = (struct frame_range){ 7, 9 };
	CHECK(asks(HEAD "S1=20\nS2=30\nH2=7-8\nI1=<r 5>\n" PEER, true,
		   "set=1\njc=0\ns2=30\nh2=7-8\ni1=<r 5>\n\n"));
	CHECK(asks(HEAD PEER, true, "set=1\njc=0\ns1=0\nh2=2\n\n"));
}

static void sends_profiles_only_where_there_are_some(void)
{
	struct uapi_profile old = { .name = "old" };

	make_now();
	CHECK(asks(HEAD "CulvertProfile = a s1=3\n" PEER, true,
		   "set=1\nculvert_replace_profiles=true\nculvert_profile=a s1=3\n\n"));
	now.profiles = &old;
	now.n_profiles = 1;
	CHECK(asks(HEAD PEER, true, "set=1\nculvert_replace_profiles=true\n\n"));
}

static void changes_what_differs_of_a_peer(void)
{
	make_now();
	peers[0].keepalive = (struct frame_range){ 25, 25 };
	CHECK(asks(HEAD PEER, true,
		   "set=1\npublic_key=" BOB_HEX "\npersistent_keepalive_interval=0\n\n"));
	make_now();
	CHECK(asks(HEAD PEER "AllowedIPs=10.1.0.0/16\n", true,
		   "set=1\npublic_key=" BOB_HEX
		   "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.2/32\n"
		   "allowed_ip=fd00::2/128\nallowed_ip=10.1.0.0/16\n\n"));
	CHECK(asks_with(HEAD PEER, "192.0.2.1:51820", true, "set=1\n\n"));
	CHECK(asks_with(HEAD PEER, "192.0.2.9:51820", true,
			"set=1\npublic_key=" BOB_HEX "\nendpoint=192.0.2.9:51820\n\n"));
}

static void removes_peers_before_it_adds_others(void)
{
	make_now();
	CHECK(asks(HEAD "[Peer]\nPublicKey=" ALICE "\nAllowedIPs=10.0.0.2\n", true,
		   "set=1\npublic_key=" BOB_HEX "\nremove=true\npublic_key=" ALICE_HEX
		   "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.2/32\n\n"));
	CHECK(asks(HEAD, true, "set=1\npublic_key=" BOB_HEX "\nremove=true\n\n"));
}

int main(void)
{
	RUN(asks_for_nothing_that_is_so_already);
	RUN(replaces_all_peers_without_sync);
	RUN(changes_what_differs_of_the_device);
	RUN(sends_parameters_that_differ_and_no_other);
	RUN(sends_profiles_only_where_there_are_some);
	RUN(changes_what_differs_of_a_peer);
	RUN(removes_peers_before_it_adds_others);
	return DONE();
}
