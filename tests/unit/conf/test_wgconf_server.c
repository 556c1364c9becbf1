/* SPDX-License-Identifier: Apache-2.0 */
/* A server's file: what stands in it, and that it is read back as it was meant. */
#include <string.h>

#include "../test.h"
#include "conf/wgconf_server.h"

#define KEY "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" /* 32 times 1 */

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = { .bits = 0 };

	CHECK(ip_prefix_parse(text, true, &p) == 0);
	return p;
}

static struct wgconf_server_peer peer(const struct secret_key *key,
				      const struct ip_prefix *prefixes, size_t n)
{
	struct wgconf_server_peer p = { .name = "Ann = a",
					.preshared_key = key,
					.allowed_ips = prefixes,
					.n_allowed_ips = n,
					.keepalive_s = 25 };

	memset(p.public_key, 1, 32);
	return p;
}

static void writes_interface_and_peers(void)
{
	const struct ip_prefix allowed[] = { prefix("10.0.1.2/32"), prefix("fd00::/64") };
	const struct wgconf_address own = { prefix("10.0.1.1/32").ip, 24 };
	struct wgconf_server s = {
		.about = "one\ntwo", .addresses = &own, .n_addresses = 1, .port = 5
	};
	struct secret_key key;
	struct text out = { .data = NULL };
	struct wgconf_server_peer p;

	memset(key.b, 1, sizeof(key.b));
	p = peer(&key, allowed, 2);
	wgconf_server_begin(&out, &s);
	wgconf_server_add(&out, &p);
	CHECK(out.err == 0);
	CHECK(strcmp(out.data,
		     "# one\n# two\n[Interface]\nAddress = 10.0.1.1/24\nListenPort = 5\n"
		     "# PrivateKey = is left out here\n\n[Peer]\n# friendly_name = Ann = a\n"
		     "PublicKey = " KEY "\nPresharedKey = " KEY
		     "\nAllowedIPs = 10.0.1.2/32, fd00::/64\nPersistentKeepalive = 25\n") == 0);
	text_done(&out);
	s.private_key = &key;
	s.about = NULL;
	s.mtu = 1300;
	wgconf_server_begin(&out, &s);
	CHECK(strcmp(out.data,
		     "[Interface]\nAddress = 10.0.1.1/24\nListenPort = 5\nPrivateKey = " KEY
		     "\nMTU = 1300\n") == 0);
	text_done(&out);
}

static void is_read_back_as_it_was_meant(void)
{
	const struct ip_prefix allowed = prefix("10.0.1.2/32");
	struct wgconf_server s = { .port = 51820 };
	struct wgconf_server_peer p = peer(NULL, &allowed, 1);
	struct text out = { .data = NULL };
	struct wgconf c = { .text = NULL };
	struct diag d;

	wgconf_server_begin(&out, &s);
	wgconf_server_add(&out, &p);
	CHECK(wgconf_parse(out.data, out.len, &c, &d) == 0 && c.n_peers == 1);
	CHECK(c.peers[0].name.len == 7 && memcmp(c.peers[0].name.at, "Ann = a", 7) == 0);
	CHECK(c.peers[0].keepalive.hi == 25 && !c.peers[0].has_preshared_key);
	CHECK(c.interface.listen_port == 51820 && !c.interface.has_private_key);
	wgconf_done(&c);
	text_done(&out);
}

static void a_disabled_peer_is_no_peer_to_who_loads_the_file(void)
{
	struct wgconf_server s = { .port = 1 };
	struct wgconf_server_peer p = peer(NULL, NULL, 0);
	struct text out = { .data = NULL };
	struct wgconf c = { .text = NULL };
	struct diag d;

	p.is_disabled = true;
	wgconf_server_begin(&out, &s);
	wgconf_server_add(&out, &p);
	CHECK(strstr(out.data, "\n\n#[disabled] [Peer]\n#[disabled] # friendly_name = Ann = a\n"
			       "#[disabled] PublicKey = " KEY
			       "\n#[disabled] PersistentKeepalive = 25\n"));
	CHECK(wgconf_parse(out.data, out.len, &c, &d) == 0 && c.n_peers == 0);
	wgconf_done(&c);
	text_done(&out);
}

static void refuses_a_name_that_would_begin_a_line(void)
{
	struct wgconf_server_peer p = peer(NULL, NULL, 0);
	struct text out = { .data = NULL };

	p.name = "a\nPresharedKey = x";
	wgconf_server_add(&out, &p);
	CHECK(out.err == ERR_FORMAT);
	text_done(&out);
	p.is_disabled = true;
	wgconf_server_add(&out, &p);
	CHECK(out.err == ERR_FORMAT);
	text_done(&out);
}

int main(void)
{
	RUN(writes_interface_and_peers);
	RUN(is_read_back_as_it_was_meant);
	RUN(a_disabled_peer_is_no_peer_to_who_loads_the_file);
	RUN(refuses_a_name_that_would_begin_a_line);
	return DONE();
}
