/* SPDX-License-Identifier: Apache-2.0 */
/* Links of AmneziaVPN. One was made outside, by Python's json and zlib in the shape that the app
 * exports; the rest are made here and read back, or taken apart with zlib's own calls. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "../test.h"
#include "base/codec.h"
#include "base/json_slice.h"
#include "base/wire.h"
#include "conf/link.h"

#define ALICE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define BOB   "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
#define KEY   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const char foreign[] =
	"vpn://"
	"AAAEMHjalVLbbuIwEH3vV0RR32AhccgFpD4gKOVSKIWulopUyCROa21wUsfcivj39TiFAtpd7d"
	"p5OD7nzGQ8nt2VJpceJExgygjP9Jo2VRys3RGdu6RJxwtGPij-tuF4qxfPjYqrXYQrJcaZmMk8EX2FJL"
	"u9fubZH0_74n9Vgdevl0UA9U81-AxoX2-bvjz7esV0qhXDcCxfLx60IKaEiRlNc4tplLySWUKnDpUwl6"
	"cdJgiPcEBefJ_Vw5CTLNNutENY2UKSbw7Gkrsejjr9-uh5Jo9F7Xp823gYND_P0jTkdIUF6ZGt9IbrUD"
	"RY_zmdGF4ra22_z7uLUVjt31civu7-fM8mkZuOkH3fSG5kbDeQMRUAC8rU7xXGG4ltwGNTItcBhEBHto"
	"RtIL96IAnQLLfqGsi0IKxtSQIZpm24tuN4wFRUyqrn2oYDSeQ3HRLC4f7D5TymQX4DK3Xn0URU1_Onpx"
	"-o3XAfHs3BR6H56L3NyV044NGm0LordHqGBzeox3GyJmFnCN0zSmqXjaJWq5WhkFsWpgllAmqvIimikl"
	"uz7QqCSw_lNNNMyGfrEZLimK4IlK2q-3q2tyQTA7wgn-96yHLiSBMuQM3zsv3FnKmRAg_MkvL8ziA4Zh"
	"m4ZilPRALeZZj-cfgVesnz6CGJ8DIWjb_PvbRlAaepoAkDx5jwFeGaeZRZZgJvltQ-oVFOQ3OP9KEtSj"
	"o0Rb_a_wK0zxY-";

static const char foreign_file[] = "[Interface]\n"
				   "Address = 10.8.1.2/32\n"
				   "DNS = 1.1.1.1, 1.0.0.1\n"
				   "PrivateKey = " ALICE "\n"
				   "Jc = 4\nJmin = 10\nJmax = 50\n"
				   "S1 = 76\nS2 = 125\n"
				   "H1 = 416940063\nH2 = 379702130\nH3 = 2015075668\n"
				   "H4 = 509875065\n"
				   "\n"
				   "[Peer]\n"
				   "PublicKey = " BOB "\n"
				   "PresharedKey = \n";

#define HEAD                                   \
	"[Interface]\n"                        \
	"PrivateKey = " ALICE "\n"             \
	"Address = 10.0.0.2/32, fd00::2/128\n" \
	"DNS = fd00::1, 10.0.0.1, corp.example, 1.1.1.1\n"
#define PEER                               \
	"[Peer]\n"                         \
	"PublicKey = " BOB "\n"            \
	"PresharedKey = " KEY "\n"         \
	"AllowedIPs = 0.0.0.0/0, ::/0\n"   \
	"Endpoint = [2001:db8::1]:51820\n" \
	"PersistentKeepalive = 22-30\n"

static const char plain[] = HEAD PEER;
static const char awg_1_0[] = HEAD "Jc = 4\nS1 = 20\nH1 = 7\n" PEER;
static const char awg_1_5[] = HEAD "H1 = 7\nI1 = <b 0x01><r 5>\n" PEER;
static const char awg_2_0[] = HEAD "H1 = 700-800\n" PEER;
static const char awg_3_1[] = HEAD "MTU = 1396\nS1 = 12\nS2 = 12\nS3 = 12\nS4 = 12\n"
				   "HeaderProtectionKey = " KEY "\nRandomTrailers = on\n"
				   "RekeyAfterTime = 100-120\n" PEER;

static int make(const char *file, const char *description, struct text *out, struct diag *d)
{
	struct wgconf c = { 0 };
	int err = wgconf_parse(file, strlen(file), &c, d);

	if (!err)
		err = link_make(&c, description, out, d);
	wgconf_done(&c);
	return err;
}

/* The JSON in a link, by zlib's own call. */
static struct text open_link(const struct text *link)
{
	static uint8_t payload[65536], json[65536];
	long n = base64url_decode(link->data + 6, link->len - 6, payload, sizeof(payload));
	uLongf len = sizeof(json);
	struct text out = { 0 };

	CHECK(n > 4 && uncompress(json, &len, payload + 4, (uLong)n - 4) == Z_OK);
	CHECK(get_be32(payload) == len);
	text_add(&out, json, len);
	return out;
}

static bool is_text(struct json_slice object, const char *name, const char *wanted)
{
	struct json_slice value;
	struct text out = { 0 };
	bool same = json_slice_member(object, name, &value) && json_slice_string(value, &out) &&
		    strcmp(out.len ? out.data : "", wanted) == 0;

	if (!same)
		printf("# %s: '%s'\n", name, out.data ? out.data : "(none)");
	text_done(&out);
	return same;
}

static bool is_raw(struct json_slice object, const char *name, const char *wanted)
{
	struct json_slice value;

	return json_slice_member(object, name, &value) && value.len == strlen(wanted) &&
	       memcmp(value.at, wanted, value.len) == 0;
}

static bool has(struct json_slice object, const char *name)
{
	struct json_slice value;

	return json_slice_member(object, name, &value);
}

static void reads_a_link_made_elsewhere(void)
{
	struct text out = { 0 };
	struct diag d;
	size_t len = strcspn(foreign_file, "P") + strlen("PrivateKey = " ALICE "\n");

	CHECK(link_read(foreign, strlen(foreign), &out, &d) == 0);
	CHECK(out.len > len && memcmp(out.data, foreign_file, len) == 0);
	CHECK(strstr(out.data, "H4 = 509875065\n\n[Peer]\n") &&
	      strstr(out.data, "Endpoint = 192.0.2.7:55424\n"));
	CHECK(!strchr(out.data, '$'));
	text_done(&out);
}

static void gives_back_the_file_octet_for_octet(void)
{
	static const char *const files[] = { plain, awg_1_0, awg_1_5, awg_2_0, awg_3_1 };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct text link = { 0 }, out = { 0 };
		struct diag d;

		CHECK(make(files[i], NULL, &link, &d) == 0);
		CHECK(link_is(link.data, link.len) && !strpbrk(link.data, "=+\n "));
		CHECK(link_read(link.data, link.len, &out, &d) == 0);
		CHECK(strcmp(out.data, files[i]) == 0);
		text_done(&link);
		text_done(&out);
	}
}

static void names_the_container_by_the_version(void)
{
	static const struct {
		const char *file, *container, *protocol, *version;
	} rows[] = {
		{ plain, "amnezia-wireguard", "wireguard", NULL },
		{ awg_1_0, "amnezia-awg", "awg", NULL },
		{ awg_1_5, "amnezia-awg", "awg", "1.5" },
		{ awg_2_0, "amnezia-awg2", "awg", "2" },
		{ awg_3_1, "amnezia-awg2", "awg", "3.1" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_slice s, list, container = { 0 }, protocol;
		struct text link = { 0 }, json;
		const char *at = NULL;
		struct diag d;

		CHECK(make(rows[i].file, "home", &link, &d) == 0);
		json = open_link(&link);
		CHECK(json_slice_open(json.data, json.len, &s) == 0);
		CHECK(is_text(s, "defaultContainer", rows[i].container));
		CHECK(is_text(s, "description", "home") &&
		      is_text(s, "hostName", "2001:db8::1"));
		CHECK(json_slice_member(s, "containers", &list) &&
		      json_slice_next(list, &at, &container));
		CHECK(is_text(container, "container", rows[i].container));
		CHECK(json_slice_member(container, rows[i].protocol, &protocol));
		CHECK(is_text(protocol, "port", "51820") &&
		      is_text(protocol, "transport_proto", "udp") &&
		      is_raw(protocol, "isThirdPartyConfig", "true"));
		CHECK(rows[i].version ? is_text(protocol, "protocol_version", rows[i].version)
				      : !has(protocol, "protocol_version"));
		CHECK(!json_slice_next(list, &at, &container));
		text_done(&link);
		text_done(&json);
	}
}

/* Call @judge with both objects that carry the parameters of @file. */
static void look_inside(const char *file,
			void (*judge)(struct json_slice json, struct json_slice protocol,
				      struct json_slice last))
{
	struct json_slice s, list, container = { 0 }, protocol, text, last;
	struct text link = { 0 }, json, inner = { 0 };
	const char *at = NULL;
	struct diag d;

	CHECK(make(file, NULL, &link, &d) == 0);
	json = open_link(&link);
	CHECK(json_slice_open(json.data, json.len, &s) == 0);
	CHECK(json_slice_member(s, "containers", &list) &&
	      json_slice_next(list, &at, &container));
	CHECK(json_slice_member(container, "awg", &protocol) ||
	      json_slice_member(container, "wireguard", &protocol));
	CHECK(json_slice_member(protocol, "last_config", &text) &&
	      json_slice_string(text, &inner));
	CHECK(json_slice_open(inner.data, inner.len, &last) == 0);
	if (!test_failed)
		judge(s, protocol, last);
	text_done(&link);
	text_done(&json);
	text_done(&inner);
}

static void judge_3_1(struct json_slice json, struct json_slice protocol,
		      struct json_slice last)
{
	const struct json_slice both[] = { protocol, last };

	for (size_t i = 0; i < 2; i++) {
		CHECK(is_text(both[i], "S1", "12") && is_text(both[i], "S4", "12"));
		CHECK(is_text(both[i], "Jc", "0") && is_text(both[i], "H1", "1") &&
		      is_text(both[i], "H4", "4"));
		CHECK(is_text(both[i], "HeaderProtectionKey", KEY));
		CHECK(is_text(both[i], "RandomTrailers", "on"));
		CHECK(is_text(both[i], "RekeyAfterTime", "100-120"));
		CHECK(!has(both[i], "DisableCookies") && !has(both[i], "I1"));
	}
	CHECK(is_text(last, "config", awg_3_1));
	CHECK(is_text(last, "hostName", "2001:db8::1") && is_raw(last, "port", "51820"));
	CHECK(is_text(last, "client_priv_key", ALICE) && is_text(last, "server_pub_key", BOB) &&
	      is_text(last, "psk_key", KEY));
	CHECK(is_text(last, "client_ip", "10.0.0.2/32, fd00::2/128"));
	CHECK(is_raw(last, "allowed_ips", "[\"0.0.0.0/0\",\"::/0\"]"));
	CHECK(is_text(last, "mtu", "1396") && is_text(last, "persistent_keep_alive", "22-30"));
	CHECK(is_text(json, "dns1", "10.0.0.1") && is_text(json, "dns2", "1.1.1.1"));
	CHECK(is_text(json, "description", "2001:db8::1"));
}

static void judge_1_0(struct json_slice json, struct json_slice protocol,
		      struct json_slice last)
{
	(void)json;
	CHECK(is_text(protocol, "Jmin", "0") && is_text(last, "H1", "7"));
	CHECK(!has(last, "S3") && !has(protocol, "S4") && !has(last, "mtu"));
}

static void judge_plain(struct json_slice json, struct json_slice protocol,
			struct json_slice last)
{
	(void)json;
	CHECK(!has(protocol, "Jc") && !has(last, "H1") &&
	      is_text(last, "client_priv_key", ALICE));
}

static void writes_every_value_where_the_app_looks(void)
{
	look_inside(awg_3_1, judge_3_1);
	look_inside(awg_1_0, judge_1_0);
	look_inside(plain, judge_plain);
}

static void refuses_files_that_make_no_client(void)
{
	static const char *const rows[][2] = {
		{ "[Interface]\nAddress=10.0.0.2\n" PEER, "PrivateKey" },
		{ "[Interface]\nPrivateKey=" ALICE "\n" PEER, "Address" },
		{ HEAD, "one [Peer]" },
		{ HEAD PEER PEER, "one [Peer]" },
		{ HEAD "[Peer]\nPublicKey=" BOB "\n", "Endpoint" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text out = { 0 };
		struct diag d = { 0 };

		CHECK(make(rows[i][0], NULL, &out, &d) == ERR_FORMAT);
		CHECK(strstr(d.text, rows[i][1]) && out.len == 0);
		text_done(&out);
	}
}

/* A link of any JSON, compressed or not, with a length that may be wrong. */
static struct text wrap(const char *json, bool pressed, uint32_t len)
{
	static uint8_t payload[1 << 17];
	static char text[1 << 18];
	uLongf n = sizeof(payload) - 4;
	struct text out = { 0 };

	if (pressed) {
		put_be32(payload, len);
		CHECK(compress2(payload + 4, &n, (const uint8_t *)json, strlen(json), 9) ==
		      Z_OK);
		n += 4;
	} else {
		n = strlen(json);
		memcpy(payload, json, n);
	}
	base64url_encode(payload, n, text);
	text_puts(&out, "vpn://");
	text_puts(&out, text);
	return out;
}

#define LAST(file) "\"last_config\":\"{\\\"config\\\":\\\"" file "\\\"}\""

static bool reads(const char *json, bool pressed, uint32_t len, const char *wanted)
{
	struct text link = wrap(json, pressed, len), out = { 0 };
	struct diag d = { 0 };
	int err = link_read(link.data, link.len, &out, &d);
	bool same = wanted ? err == 0 && strcmp(out.data, wanted) == 0
			   : err == ERR_FORMAT && d.text[0];

	if (!same)
		printf("# %s: %d '%s' '%s'\n", json, err, d.text, out.data ? out.data : "");
	text_done(&link);
	text_done(&out);
	return same;
}

static void reads_links_of_every_shape(void)
{
	static const char one[] = "{\"containers\":[{\"awg\":{" LAST("x") "}}]}";

	CHECK(reads(one, true, sizeof(one) - 1, "x"));
	CHECK(reads(one, true, 0, "x")); /* the length is a hint */
	CHECK(reads(one, true, UINT32_MAX, "x"));
	CHECK(reads(one, false, 0, "x"));
	CHECK(reads("{\"containers\":[{\"wireguard\":{" LAST("w") "}}]}", true, 0, "w"));
	CHECK(reads("{\"containers\":[{\"container\":\"a\",\"awg\":{" LAST(
			    "1") "}},"
				 "{\"container\":\"b\",\"awg\":{" LAST(
					 "2") "}}],\"defaultContainer\":\"b\"}",
		    true, 0, "2"));
	CHECK(reads(
		"{\"containers\":[{\"container\":\"a\",\"awg\":{" LAST(
			"1") "}},"
			     "{\"container\":\"b\",\"xray\":{}}],\"defaultContainer\":\"b\"}",
		true, 0, "1"));
}

static void puts_resolvers_where_the_app_would(void)
{
#define WITH_DNS(file, more) "{\"containers\":[{\"awg\":{" LAST(file) "}}]" more "}"
	CHECK(reads(WITH_DNS("a $PRIMARY_DNS, $SECONDARY_DNS$",
			     ",\"dns1\":\"1.1.1.1\",\"dns2\":\"fd00::1\""),
		    true, 0, "a 1.1.1.1, fd00::1$"));
	CHECK(reads(WITH_DNS("a $PRIMARY_DN $", ""), true, 0, "a $PRIMARY_DN $"));
	CHECK(reads(WITH_DNS("a $PRIMARY_DNS", ""), true, 0, NULL));
	CHECK(reads(WITH_DNS("a $PRIMARY_DNS", ",\"dns1\":\"1.1.1.1\\nPostUp = id\""), true, 0,
		    NULL));
}

static void refuses_links_without_a_file(void)
{
	CHECK(reads("{}", true, 0, NULL));
	CHECK(reads("[1", true, 0, NULL));
	CHECK(reads("{\"containers\":[]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"xray\":{" LAST("x") "}}]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"awg\":{}}]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"awg\":{\"last_config\":\"\"}}]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"awg\":{\"last_config\":\"{\"}}]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"awg\":{\"last_config\":\"{}\"}}]}", true, 0, NULL));
	CHECK(reads("{\"containers\":[{\"awg\":{" LAST("x\\\\u0000") "}}]}", true, 0, NULL));
}

static void refuses_what_is_no_link(void)
{
	static const char *const texts[] = {
		"",
		"vpn",
		"vpn://",
		"vpn://A",
		"vpn://AAAA",
		"vpn://AAAAAAAA",
		"vpn://****",
		"https://AAAA",
		"vpn://AAAAAnja",
		"vpn://AAAA AAAA",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct text out = { 0 };
		struct diag d = { 0 };

		CHECK(link_read(texts[i], strlen(texts[i]), &out, &d) == ERR_FORMAT);
		CHECK(d.text[0] && out.len == 0);
		text_done(&out);
	}
}

/* 2 MiB of zeros are 2 KiB in zlib's form. */
static void stops_inflating_at_the_bound(void)
{
	enum { SIZE = 2 * LINK_JSON_MAX };
	uint8_t *zeros = calloc(1, SIZE), payload[8192];
	uLongf n = sizeof(payload) - 4;
	char text[16384];
	struct text link = { 0 }, out = { 0 };
	struct diag d = { 0 };

	CHECK(zeros && compress2(payload + 4, &n, zeros, SIZE, 9) == Z_OK);
	put_be32(payload, 1);
	base64url_encode(payload, n + 4, text);
	text_puts(&link, "vpn://");
	text_puts(&link, text);
	CHECK(link_read(link.data, link.len, &out, &d) == ERR_LIMIT && d.text[0]);
	free(zeros);
	text_done(&link);
	text_done(&out);
}

static void refuses_a_file_that_is_too_long_for_a_link(void)
{
	struct text file = { 0 }, out = { 0 };
	struct diag d = { 0 };

	text_puts(&file, plain);
	while (file.len < LINK_JSON_MAX)
		text_puts(&file, "# a comment that makes the file longer\n");
	CHECK(make(file.data, NULL, &out, &d) == ERR_LIMIT && d.text[0]);
	text_done(&file);
	text_done(&out);
}

/* Put the parts together as the app does. */
static void cuts_a_link_into_parts_that_make_it_again(void)
{
	struct text file = { 0 }, link = { 0 }, payload = { 0 }, again = { 0 };
	uint32_t noise = 1;
	struct diag d;
	int n;

	text_puts(&file, plain);
	for (int i = 0; i < 2000; i++) { /* what zlib cannot press */
		noise = noise * 1664525 + 1013904223;
		text_printf(&file, "# %u\n", noise);
	}
	CHECK(make(file.data, NULL, &link, &d) == 0);
	n = link_parts(link.data, link.len, &d);
	CHECK(n > 10 && n <= LINK_PARTS_MAX);
	for (int i = 0; i < n; i++) {
		struct text part = { 0 };
		uint8_t octets[1024];
		long len;

		link_part(link.data, link.len, (unsigned int)i, &part);
		len = base64url_decode(part.data, part.len, octets, sizeof(octets));
		CHECK(part.err == 0 && len >= 8);
		CHECK(get_be16(octets) == 1984 && octets[2] == n && octets[3] == i);
		CHECK(get_be32(octets + 4) == (uint32_t)len - 8);
		CHECK(i == n - 1 ? len - 8 <= 850 : len - 8 == 850);
		text_add(&payload, octets + 8, (size_t)len - 8);
		text_done(&part);
	}
	again.data = malloc(payload.len * 2);
	CHECK(base64url_encode(payload.data, payload.len, again.data) == link.len - 6);
	CHECK(strcmp(again.data, link.data + 6) == 0);
	free(again.data);
	text_done(&file);
	text_done(&link);
	text_done(&payload);
}

static void refuses_links_of_too_many_parts(void)
{
	static uint8_t octets[LINK_PART_OCTETS * LINK_PARTS_MAX + 1];
	static char text[sizeof(octets) / 3 * 4 + 16] = "vpn://";
	struct text out = { 0 };
	struct diag d = { 0 };

	base64url_encode(octets, sizeof(octets) - 1, text + 6);
	CHECK(link_parts(text, strlen(text), &d) == LINK_PARTS_MAX);
	base64url_encode(octets, sizeof(octets), text + 6);
	CHECK(link_parts(text, strlen(text), &d) == ERR_LIMIT && d.text[0]);
	link_part(text, strlen(text), 0, &out);
	CHECK(out.err == ERR_LIMIT && out.len == 0);
	text_done(&out);
	CHECK(link_parts("vpn://AAAA", 10, &d) == 1);
	link_part("vpn://AAAA", 10, 1, &out);
	CHECK(out.err == ERR_RANGE);
	text_done(&out);
}

int main(void)
{
	RUN(reads_a_link_made_elsewhere);
	RUN(gives_back_the_file_octet_for_octet);
	RUN(names_the_container_by_the_version);
	RUN(writes_every_value_where_the_app_looks);
	RUN(refuses_files_that_make_no_client);
	RUN(reads_links_of_every_shape);
	RUN(puts_resolvers_where_the_app_would);
	RUN(refuses_links_without_a_file);
	RUN(refuses_what_is_no_link);
	RUN(stops_inflating_at_the_bound);
	RUN(refuses_a_file_that_is_too_long_for_a_link);
	RUN(cuts_a_link_into_parts_that_make_it_again);
	RUN(refuses_links_of_too_many_parts);
	return DONE();
}
