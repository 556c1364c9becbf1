/* SPDX-License-Identifier: Apache-2.0 */
/* wg-quick files: what is understood, what is refused and where, and that no octet is lost. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "conf/wgconf.h"

/* The keys of Alice and Bob, RFC 7748 section 6.1. */
#define ALICE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define BOB   "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static int parse(const char *text, struct wgconf *c, struct diag *d)
{
	return wgconf_parse(text, strlen(text), c, d);
}

static bool span_equal(struct wgconf_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static bool prefix_equal(const struct ip_prefix *p, const char *text)
{
	char out[ADDR_TEXT_MAX];

	return strcmp(ip_prefix_format(p, out), text) == 0;
}

static const char full[] = "# head\n"
			   "[Interface]\n"
			   "PrivateKey = " ALICE " # mine\n"
			   "ListenPort=51820\n"
			   "FwMark = 0xCA6C\n"
			   "Address = 10.0.0.1/24, fd00::1/64 10.9.0.1\n"
			   "DNS = 10.0.0.53, corp.example\n"
			   "MTU = 1420\n"
			   "Table = off\n"
			   "PreUp = echo a = b\n"
			   "SaveConfig = true\n"
			   "Jc = 4\n"
			   "Colour = red\n"
			   "\n"
			   "[Peer]\n"
			   "# friendly_name = Bob's phone\n"
			   "PublicKey = " BOB "\n"
			   "PresharedKey = " ALICE "\n"
			   "AllowedIPs = 10.0.0.2/32,fd00::2\n"
			   "AllowedIPs = 192.0.2.77/24\n"
			   "Endpoint = vpn.example.com:51821\n"
			   "PersistentKeepalive = 25\n"
			   "[peer]\n"
			   "publickey=" ALICE "\n"
			   "Endpoint = [2001:db8::1]:1\n"
			   "PersistentKeepalive = off";

static const char amnezia[] =
	"[Interface]\n"
	"jC = 5\n"
	"Jmin = 10\n"
	"Jmax= 50 # comment\n"
	"S1 = 42\nS2 = 24\nS3 = 13\nS4 = 12\n"
	"H1 = 100 - 200\nH4 = 4294967295\n"
	"I1 = <b 0x01> <r 2># not this\n"
	"I2 =\n"
	"HEADERPROTECTIONKEY = " ALICE "\n"
	"ContentPaddingAddition = 10-100\n"
	"RekeyAfterTime = off\n"
	"RandomTrailers = on\nDisableCookies = 0\n"
	"J1 = <x\nItime = soon\n"
	"Jc = 6\n"
	"CulvertProfile = old s1=20 h1=77 i1=<b 0x01><r 5> until=1800000000\n"
	"CULVERTPROFILE = wire\n"
	"[Peer]\n"
	"PublicKey = " BOB "\n"
	"AdvancedSecurity = on\n"
	"PersistentKeepalive = 22-30\n";

static void understands_every_interface_key(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse(full, &c, &d) == 0);
	CHECK(c.interface.has_private_key && c.interface.private_key.b[0] == 0x77);
	CHECK(c.interface.has_listen_port && c.interface.listen_port == 51820);
	CHECK(c.interface.has_fwmark && c.interface.fwmark == 0xca6c);
	CHECK(c.interface.mtu == 1420 && c.interface.save_config);
	CHECK(span_equal(c.interface.table, "off"));
	CHECK(c.n_addresses == 3);
	CHECK(c.addresses[0].ip.b[3] == 1 && c.addresses[0].bits == 24); /* host bits kept */
	CHECK(c.addresses[1].ip.b[15] == 1 && c.addresses[1].bits == 64);
	CHECK(c.addresses[2].bits == 32);
	CHECK(c.n_dns == 2 && span_equal(c.dns[0], "10.0.0.53") &&
	      span_equal(c.dns[1], "corp.example"));
	wgconf_done(&c);
}

static void understands_every_peer_key(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse(full, &c, &d) == 0);
	CHECK(c.n_peers == 2 && c.n_allowed_ips == 3);
	CHECK(c.peers[0].has_public_key && c.peers[0].public_key[0] == 0xde);
	CHECK(c.peers[0].has_preshared_key && c.peers[0].preshared_key.b[0] == 0x77);
	CHECK(span_equal(c.peers[0].name, "Bob's phone") && c.peers[0].line == 15);
	CHECK(span_equal(c.peers[0].endpoint_host, "vpn.example.com"));
	CHECK(c.peers[0].endpoint_port == 51821 && c.peers[0].keepalive.lo == 25 &&
	      c.peers[0].keepalive.hi == 25);
	CHECK(c.peers[0].first_allowed_ip == 0 && c.peers[0].n_allowed_ips == 3);
	CHECK(prefix_equal(&c.allowed_ips[1], "fd00::2/128"));
	CHECK(prefix_equal(&c.allowed_ips[2], "192.0.2.0/24"));
	CHECK(c.peers[1].public_key[0] == 0x77 && !c.peers[1].has_preshared_key);
	CHECK(span_equal(c.peers[1].endpoint_host, "2001:db8::1") &&
	      c.peers[1].endpoint_port == 1);
	CHECK(c.peers[1].n_allowed_ips == 0 && frame_range_is_zero(c.peers[1].keepalive));
	CHECK(c.peers[1].name.len == 0);
	wgconf_done(&c);
}

static void knows_what_each_line_is(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse(full, &c, &d) == 0 && c.n_lines == 26);
	CHECK(c.lines[0].key == WGCONF_NO_KEY && c.lines[0].section == WGCONF_NONE);
	CHECK(c.lines[1].key == WGCONF_NO_KEY && c.lines[1].section == WGCONF_INTERFACE);
	CHECK(c.lines[2].key == WGCONF_PRIVATE_KEY && span_equal(c.lines[2].value, ALICE));
	CHECK(c.lines[9].key == WGCONF_PRE_UP && span_equal(c.lines[9].value, "echo a = b"));
	CHECK(c.lines[11].key == WGCONF_AMNEZIA && span_equal(c.lines[11].name, "Jc"));
	CHECK(c.lines[11].parameter == FRAME_JC && c.lines[2].parameter == FRAME_KEYS);
	CHECK(c.lines[12].key == WGCONF_UNKNOWN && span_equal(c.lines[12].name, "Colour"));
	CHECK(c.lines[13].key == WGCONF_NO_KEY && c.lines[13].whole.len == 1);
	CHECK(c.lines[23].key == WGCONF_PUBLIC_KEY && c.lines[23].section == WGCONF_PEER);
	wgconf_done(&c);
}

static bool comes_back_unchanged(const char *text)
{
	struct wgconf c = { 0 };
	struct text out = { 0 };
	struct diag d;
	bool same;

	if (parse(text, &c, &d))
		return false;
	wgconf_write(&out, &c);
	same = out.len == strlen(text) && memcmp(out.len ? out.data : "", text, out.len) == 0;
	text_done(&out);
	wgconf_done(&c);
	return same;
}

static void writes_back_the_same_octets(void)
{
	CHECK(comes_back_unchanged(full));
	CHECK(comes_back_unchanged(amnezia));
	CHECK(comes_back_unchanged(""));
	CHECK(comes_back_unchanged("\n\n\n"));
	CHECK(comes_back_unchanged("# only a comment"));
	CHECK(comes_back_unchanged(
		"\t [INTERFACE] \r\n listenport\t=\v1 #x\r\n\r\n;=\xff\xfe\n"));
	CHECK(comes_back_unchanged("[Interface]\nMTU=1280\nMTU=1281\n[Interface]\nMTU=1282"));
}

static void takes_the_last_of_a_repeated_key(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse("[Interface]\nMTU=1280\n[Peer]\nPublicKey=" BOB "\nPublicKey=" ALICE
		    "\n[Interface]\nMTU=1281\nFwMark=off\n",
		    &c, &d) == 0);
	CHECK(c.interface.mtu == 1281 && c.n_peers == 1 && c.peers[0].public_key[0] == 0x77);
	CHECK(c.interface.has_fwmark && c.interface.fwmark == 0);
	wgconf_done(&c);
}

/**
 * struct refusal - A file, the line that is wrong, and what the reason must say
 */
struct refusal {
	const char *text;
	unsigned int line;
	const char *reason;
};

static const struct refusal refusals[] = {
	{ "PrivateKey = " ALICE "\n", 1, "before the first section" },
	{ "[Interface\n", 1, "[Interface] or [Peer] was expected" },
	{ "[ Interface ]\n", 1, "unknown section" },
	{ "[Interface] x = 1\n", 1, "unknown section" },
	{ "\n[WireGuard]\n", 2, "unknown section" },
	{ "[Interface]\nhello\n", 2, "without '='" },
	{ "[Interface]\n=1\n", 2, "no key before" },
	{ "[Interface]\nPrivateKey = short\n", 2, "PrivateKey: the value is not a key" },
	{ "[Interface]\n# x\nPrivateKey =\n", 3, "PrivateKey" },
	{ "[Interface]\nListenPort = 65536\n", 2, "ListenPort: '65536' is not a port" },
	{ "[Interface]\nListenPort = http\n", 2, "ListenPort" },
	{ "[Interface]\nFwMark = 0x\n", 2, "FwMark: '0x' is not a mark" },
	{ "[Interface]\nFwMark = 0x123456789\n", 2, "FwMark" },
	{ "[Interface]\nFwMark = 4294967296\n", 2, "FwMark" },
	{ "[Interface]\nFwMark = 0xg\n", 2, "FwMark" },
	{ "[Interface]\nMTU = 67\n", 2, "MTU: '67' is not an MTU" },
	{ "[Interface]\nMTU = 65536\n", 2, "MTU" },
	{ "[Interface]\nTable = a b\n", 2, "Table: 'a b' is not a routing table" },
	{ "[Interface]\nTable = \n", 2, "Table" },
	{ "[Interface]\nSaveConfig = yes\n", 2, "SaveConfig: 'yes' is not true or false" },
	{ "[Interface]\nAddress = 10.0.0.1/24, 10.0.0.256\n", 2,
	  "'10.0.0.256' is not an address" },
	{ "[Interface]\nAddress = 10.0.0.1/33\n", 2, "Address" },
	{ "[Interface]\nAddress = ::ffff:10.0.0.1/64\n", 2, "Address" },
	{ "[Interface]\nAllowedIPs = 10.0.0.1/32\n", 2, "AllowedIPs belongs to [Peer]" },
	{ "[Interface]\nAdvancedSecurity = on\n", 2, "AdvancedSecurity belongs to [Peer]" },
	{ "[Peer]\nPublicKey = " BOB "\nJc = 4\n", 3, "Jc belongs to [Interface]" },
	{ "[Peer]\nPublicKey = " BOB "x\n", 2, "PublicKey: the value is not a key" },
	{ "[Peer]\nPublicKey = " BOB "\nPresharedKey = 0\n", 3, "PresharedKey" },
	{ "[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.0.0.0/8, 10.0.0.0/33\n", 3,
	  "AllowedIPs: '10.0.0.0/33' is not a prefix" },
	{ "[Peer]\nPublicKey = " BOB "\nAllowedIPs = 10.0.0.0/8 10.1.0.0/16\n", 3,
	  "AllowedIPs" },
	{ "[Peer]\nPublicKey = " BOB "\nPersistentKeepalive = 65536\n", 3,
	  "PersistentKeepalive" },
	{ "[Peer]\nPublicKey = " BOB "\nPersistentKeepalive = 30-22\n", 3,
	  "PersistentKeepalive: '30-22' is not seconds" },
	{ "[Peer]\nPublicKey = " BOB "\nCulvertProfile = x\n", 3,
	  "CulvertProfile belongs to [Interface]" },
	{ "[Peer]\nPublicKey = " BOB "\nItime = 1\n", 3, "Itime belongs to [Interface]" },
	{ "[Interface]\n\nJc = 4-8\n", 3, "Jc: '4-8' is a range" },
	{ "[Interface]\nJc =\n", 2, "Jc: ''" },
	{ "[Interface]\nH1 = 9-5\n", 2, "H1: '9-5'" },
	{ "[Interface]\nI1 = <x>\n", 2, "I1: " },
	{ "[Interface]\nHeaderProtectionKey = short\n", 2, "HeaderProtectionKey" },
	{ "[Interface]\nRandomTrailers = maybe\n", 2, "RandomTrailers" },
	{ "[Interface]\nH1 = 1-10\nMTU = 1280\n", 2, "header-overlap: H1 (1-10) and H2" },
	{ "[Interface]\nS1=12\nHeaderProtectionKey=" ALICE "\n\n# end\n", 3,
	  "protection-padding: S2 is 0" },
	{ "[Interface]\nS1=15\nS1=11\nHeaderProtectionKey=" ALICE "\nJc = 4\n", 3,
	  "protection-padding: S1 is 11" },
	{ "[Interface]\nH1 = 5-9\nH2 = 8\nJc = 4\n[Peer]\nPublicKey=" BOB
	  "\n[Interface]\nI1 = <t>\n",
	  3, "header-overlap: H1 (5-9) and H2 (8)" },
	{ "[Interface]\nH2 = 2\nH1 = 1-10\nS1 = 15\n", 3, "header-overlap" },
	{ "[Interface]\nJmax=8\nJmin=9\nS1=15\n", 2, "junk-order" },
	{ "[Interface]\nJmin=9\nS1=15\n", 2, "junk-order" },
	{ "[Interface]\nS1 = 65360\nS2=15\n", 2, "datagram-size" },
	{ "[Interface]\nJmax=2000\nJc=128\nS2=15\n", 2, "prelude" },
	{ "[Interface]\nJmin=9\nJmax=8\n[Peer]\nPublicKey=" BOB "\n", 3, "junk-order" },
	{ "[Interface]\nJc = 129\n", 2, "junk-count" },
	{ "[Interface]\nCulvertProfile =\n", 2, "CulvertProfile: a name was expected" },
	{ "[Interface]\nCulvertProfile = a jc=x\n", 2, "CulvertProfile: jc" },
	{ "[Interface]\nCulvertProfile = a h1=2\n", 2, "CulvertProfile: header-overlap" },
	{ "[Interface]\nCulvertProfile = a remove\n", 2, "'remove' has no place" },
	{ "[Interface]\nCulvertProfile = a\nculvertprofile=a jc=1\n", 3,
	  "a second profile of the name a" },
	{ "[Interface]\nS1 = 9\nCulvertProfile = a s1=8 s2=1\nCulvertProfile = b s1=8\n", 4,
	  "profile-clash: initiations of b" },
	{ "[Interface]\nCulvertProfile = a s2=1\n", 2, "profile-clash: initiations of a" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = 2001:db8::1:51820\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = vpn.example.com\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = vpn.example.com:\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = vpn.example.com:65536\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = vpn example:1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = $(id):1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = :1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [10.0.0.1]:1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [::1:1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [::1]1\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [::1]x51820\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [\n", 3, "Endpoint" },
	{ "[Peer]\nPublicKey = " BOB "\nEndpoint = [fe80::1%]:1\n", 3, "Endpoint" },
	{ "[Interface]\n[Peer]\nAllowedIPs = ::/0\n[Interface]\n", 2, "no PublicKey" },
	{ "[Interface]\n\n[Peer]", 3, "no PublicKey" },
	{ "\xef\xbb\xbf[Interface]\n", 1, "byte order mark" },
};

static void refuses_with_line_and_reason(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct wgconf c = { 0 };
		struct diag d = { 0 };

		CHECK(parse(r->text, &c, &d) == ERR_FORMAT);
		CHECK(d.line == r->line && strstr(d.text, r->reason));
		if (d.line != r->line || !strstr(d.text, r->reason))
			printf("# '%s': line %u, '%s'\n", r->text, d.line, d.text);
		CHECK(c.text == NULL && c.n_lines == 0);
	}
}

static void refuses_a_nul_character(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(wgconf_parse("[Interface]\nMTU=1280\0\n", 22, &c, &d) == ERR_FORMAT);
	CHECK(d.line == 2 && strstr(d.text, "NUL"));
}

static void never_shows_a_secret_in_a_reason(void)
{
	static const char *const texts[] = {
		"[Interface]\nPrivateKey = Sesame\n",
		"[Interface]\nSesame\n",
		"Sesame\n",
		"Sesame = 1\n",
		"[Peer]\nPresharedKey = Sesame\n",
		"[Interface]\nPrivateKey: Sesame\n",
		"[Interface]\nHeaderProtectionKey = Sesame\n",
		"[Interface]\nCulvertProfile = a header_protection_key=Sesame\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct wgconf c = { 0 };
		struct diag d = { 0 };

		CHECK(parse(texts[i], &c, &d) == ERR_FORMAT);
		CHECK(d.text[0] && !strstr(d.text, "Sesame"));
	}
}

static void accepts_endpoints_of_every_kind(void)
{
	static const char *const rows[][2] = {
		{ "192.0.2.1:51820", "192.0.2.1" },
		{ "[fe80::1%eth0]:51820", "fe80::1%eth0" },
		{ "[fe80::1%3]:51820", "fe80::1%3" },
		{ "a_b-c.d.example.:51820", "a_b-c.d.example." },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wgconf c = { 0 };
		struct diag d;
		char text[256];

		snprintf(text, sizeof(text), "[Peer]\nPublicKey=%s\nEndpoint=%s", BOB,
			 rows[i][0]);
		CHECK(parse(text, &c, &d) == 0);
		CHECK(c.n_peers == 1 && span_equal(c.peers[0].endpoint_host, rows[i][1]));
		CHECK(c.peers[0].endpoint_port == 51820);
		wgconf_done(&c);
	}
}

static void finds_names_in_comments_of_a_peer_only(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse("# friendly_name = no\n[Interface]\n# friendly_name = no\n"
		    "[Peer]\nPublicKey=" BOB "\n#friendly_name=a = b \r\n#\n# friendly = no\n"
		    "[Peer]\n# Friendly_Name=c\nPublicKey=" ALICE " # friendly_name = no\n",
		    &c, &d) == 0);
	CHECK(c.n_peers == 2 && span_equal(c.peers[0].name, "a = b"));
	CHECK(span_equal(c.peers[1].name, "c"));
	wgconf_done(&c);
}

static bool strips_to(const char *text, const char *wanted)
{
	struct wgconf c = { 0 };
	struct text out = { 0 };
	struct diag d;
	bool same;

	if (parse(text, &c, &d))
		return false;
	wgconf_strip(&out, &c);
	same = strcmp(out.data, wanted) == 0;
	text_done(&out);
	wgconf_done(&c);
	return same;
}

/* The shape of `wg-quick strip`, seen from 1.0.20210914; the test of the command compares with
 * the program itself. */
static void strips_what_only_wg_quick_knows(void)
{
	CHECK(strips_to("", "\n"));
	CHECK(strips_to("[Interface]\nADDRESS=10.0.0.1\nPostDown=x\nListenPort = 1 # c\n",
			"[Interface]\nListenPort = 1 # c\n\n"));
	CHECK(strips_to(" [Interface]\t\r\n\tMTU = 1280\n  ", "[Interface]\t\r\n\n"));
	CHECK(strips_to("# a\n\n[Interface]\nFoo=1", "# a\n\n[Interface]\nFoo=1\n\n"));
	CHECK(strips_to("[Peer]\nPublicKey=" BOB "\nTable = x\n", "") ==
	      false); /* wrong section */
}

static void guesses_the_key_that_was_meant(void)
{
	struct wgconf_span allowed = { "AllowedIP", 9 }, adress = { "adress", 6 },
			   none = { "Foo", 3 }, trailers = { "RandomTrailer", 13 },
			   profile = { "CulvertProfiles", 15 };

	CHECK(strcmp(wgconf_nearest_key(WGCONF_PEER, allowed), "AllowedIPs") == 0);
	CHECK(strcmp(wgconf_nearest_key(WGCONF_INTERFACE, adress), "Address") == 0);
	CHECK(wgconf_nearest_key(WGCONF_PEER, adress) == NULL);
	CHECK(wgconf_nearest_key(WGCONF_PEER, none) == NULL);
	CHECK(strcmp(wgconf_nearest_key(WGCONF_INTERFACE, trailers), "RandomTrailers") == 0);
	CHECK(wgconf_nearest_key(WGCONF_PEER, trailers) == NULL);
	CHECK(strcmp(wgconf_nearest_key(WGCONF_INTERFACE, profile), "CulvertProfile") == 0);
}

static void understands_every_kind_of_amneziawg_key(void)
{
	const struct frame_parameters *p;
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse(amnezia, &c, &d) == 0);
	p = &c.interface.framing;
	CHECK(p->jc == 6 && p->jmin == 10 && p->jmax == 50);
	CHECK(p->pad[0] == 42 && p->pad[1] == 24 && p->pad[2] == 13 && p->pad[3] == 12);
	CHECK(p->header[0].lo == 100 && p->header[0].hi == 200);
	CHECK(p->header[1].lo == 2 && p->header[3].hi == UINT32_MAX);
	CHECK(p->signature[0] && strcmp(p->signature[0], "<b 0x01> <r 2>") == 0);
	CHECK(!p->signature[1] && p->protection_key.b[0] == 0x77);
	CHECK(p->content_padding.lo == 10 && p->content_padding.hi == 100);
	CHECK(frame_range_is_zero(p->rekey_after) && p->random_trailers && !p->disable_cookies);
	CHECK(c.peers[0].keepalive.lo == 22 && c.peers[0].keepalive.hi == 30);
	wgconf_done(&c);
}

static void knows_which_parameters_were_given(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse("[Interface]\nJc=0\nI5=\n", &c, &d) == 0);
	CHECK(c.interface.framing_given == (1u << FRAME_JC | 1u << FRAME_I5));
	CHECK(frame_parameters_are_plain(&c.interface.framing));
	wgconf_done(&c);
	CHECK(parse("[Interface]\nMTU=1280\n", &c, &d) == 0);
	CHECK(!c.interface.framing_given && frame_parameters_are_plain(&c.interface.framing));
	wgconf_done(&c);
}

static void reads_further_profiles(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse(amnezia, &c, &d) == 0 && c.n_profiles == 2);
	CHECK(strcmp(c.profiles[0].name, "old") == 0 && c.profiles[0].until_s == 1800000000);
	CHECK(c.profiles[0].parameters.pad[0] == 20 &&
	      c.profiles[0].parameters.header[0].lo == 77);
	CHECK(strcmp(c.profiles[0].parameters.signature[0], "<b 0x01><r 5>") == 0);
	CHECK(strcmp(c.profiles[1].name, "wire") == 0 &&
	      frame_parameters_are_plain(&c.profiles[1].parameters));
	wgconf_done(&c);
}

static void takes_as_many_profiles_as_an_interface_holds(void)
{
	struct text in = { 0 };
	struct wgconf c = { 0 };
	struct diag d;

	text_puts(&in, "[Interface]\n");
	for (int i = 0; i < WGCONF_PROFILES_MAX; i++)
		text_printf(&in, "CulvertProfile = p%d\n", i);
	CHECK(wgconf_parse(in.data, in.len, &c, &d) == 0 &&
	      c.n_profiles == WGCONF_PROFILES_MAX);
	wgconf_done(&c);
	text_puts(&in, "CulvertProfile = one-more\n");
	CHECK(wgconf_parse(in.data, in.len, &c, &d) == ERR_FORMAT &&
	      d.line == WGCONF_PROFILES_MAX + 2 && strstr(d.text, "more than"));
	text_done(&in);
}

static void marks_keys_that_are_ignored(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(parse("[Interface]\nj1=<x\nJ3 =\nITIME=x\n[Peer]\nPublicKey=" BOB
		    "\nAdvancedSecurity=?\n",
		    &c, &d) == 0);
	for (size_t i = 1; i <= 3; i++)
		CHECK(c.lines[i].key == WGCONF_AWG_1_5);
	CHECK(strcmp(wgconf_line_key(&c.lines[1]), "J1") == 0);
	CHECK(strcmp(wgconf_line_key(&c.lines[3]), "Itime") == 0);
	CHECK(c.lines[6].key == WGCONF_ADVANCED);
	wgconf_done(&c);
}

static void strips_profiles_that_only_we_know(void)
{
	CHECK(strips_to("[Interface]\nJc = 4\nculvertprofile = a jc=1\nJ1=x\n",
			"[Interface]\nJc = 4\nJ1=x\n\n"));
}

static void holds_a_file_of_many_peers(void)
{
	enum { PEERS = 5000 };
	struct text in = { 0 };
	struct wgconf c = { 0 };
	struct diag d;

	text_puts(&in, "[Interface]\nPrivateKey = " ALICE "\n");
	for (unsigned int i = 0; i < PEERS; i++)
		text_printf(
			&in,
			"\n[Peer]\n# friendly_name = p%u\nPublicKey = %s\nAllowedIPs = 10.1.%u.%u/32\n",
			i, BOB, i >> 8, i & 255);
	CHECK(wgconf_parse(in.data, in.len, &c, &d) == 0);
	CHECK(c.n_peers == PEERS && c.n_allowed_ips == PEERS);
	CHECK(c.peers[PEERS - 1].first_allowed_ip == PEERS - 1);
	CHECK(span_equal(c.peers[4321].name, "p4321"));
	CHECK(c.allowed_ips[4321].ip.b[2] == 4321 >> 8 &&
	      c.allowed_ips[4321].ip.b[3] == (4321 & 255));
	wgconf_done(&c);
	text_done(&in);
}

static void refuses_a_file_over_the_bound(void)
{
	struct wgconf c = { 0 };
	struct diag d;

	CHECK(wgconf_parse("", (size_t)WGCONF_SIZE_MAX + 1, &c, &d) == ERR_LIMIT && d.text[0]);
}

int main(void)
{
	RUN(understands_every_interface_key);
	RUN(understands_every_peer_key);
	RUN(knows_what_each_line_is);
	RUN(writes_back_the_same_octets);
	RUN(takes_the_last_of_a_repeated_key);
	RUN(refuses_with_line_and_reason);
	RUN(refuses_a_nul_character);
	RUN(never_shows_a_secret_in_a_reason);
	RUN(accepts_endpoints_of_every_kind);
	RUN(finds_names_in_comments_of_a_peer_only);
	RUN(strips_what_only_wg_quick_knows);
	RUN(guesses_the_key_that_was_meant);
	RUN(understands_every_kind_of_amneziawg_key);
	RUN(knows_which_parameters_were_given);
	RUN(reads_further_profiles);
	RUN(takes_as_many_profiles_as_an_interface_holds);
	RUN(marks_keys_that_are_ignored);
	RUN(strips_profiles_that_only_we_know);
	RUN(holds_a_file_of_many_peers);
	RUN(refuses_a_file_over_the_bound);
	return DONE();
}
