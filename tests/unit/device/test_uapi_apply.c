/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as text, applied to an engine, and looked at in its dump: spec of the UAPI. */
#include <stdlib.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "../test.h"
#include "device/uapi_apply.h"

#define KEY_A "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define KEY_B "b1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define KEY_C "c1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define PSK   "1111111111111111111111111111111111111111111111111111111111111111"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* RFC 7748, section 6.1: Alice's keys. */
#define ALICE_PRIVATE "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define ALICE_CLAMPED "70076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c6a"
#define ALICE_PUBLIC  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"

/* struct rig - An engine that is asked and looked at */
struct rig {
	struct engine *engine;
	struct engine_worker *worker;
	struct text dump;
	struct diag d;
};

static void fill(void *context, void *out, size_t len)
{
	(void)context;
	seeded_fill(out, len);
}

static struct rig rig_new(void)
{
	const struct engine_options options = { .random = fill,
						.staged_bytes_max = 1 << 20,
						.packets_max = 64 };
	struct rig r = { 0 };

	if (engine_new(&options, &r.engine) != 0 || engine_worker_new(r.engine, &r.worker) != 0)
		abort();
	engine_enter(r.worker);
	engine_set_up(r.worker, ENGINE_SECOND, true);
	return r;
}

static void rig_done(struct rig *r)
{
	engine_leave(r->worker);
	r->worker = engine_worker_free(r->worker);
	r->engine = engine_free(r->engine);
	text_done(&r->dump);
}

static int apply(struct rig *r, const char *request)
{
	struct uapi_ready ready = { .framing = NULL };
	struct uapi_set set = { 0 };
	int err = 0;

	while (*request && !err) {
		size_t len = strcspn(request, "\n");

		err = uapi_set_line(&set, request, len, &r->d);
		request += len + (request[len] == '\n');
	}
	if (!err)
		err = uapi_prepare(r->engine, r->worker, &set, &ready, &r->d);
	if (!err)
		err = uapi_apply(r->engine, r->worker, 2 * ENGINE_SECOND, &set, &ready, &r->d);
	uapi_ready_done(&ready);
	uapi_set_done(&set);
	return err;
}

static bool is_counter(const char *line)
{
	static const char *const settable[] = { "culvert_budget_bytes", "culvert_rate_bps",
						"culvert_greatest_timestamp", "culvert_profile",
						"culvert_prelude" };

	static const char *const plain[] = { "h1=1\n",
					     "h2=2\n",
					     "h3=3\n",
					     "h4=4\n",
					     "random_trailers=0\n",
					     "disable_cookies=0\n" };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strncmp(line, plain[i], strlen(plain[i])) == 0)
			return true; /* said of every interface */
	if (strncmp(line, "culvert_", 8) != 0)
		return false;
	for (size_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++)
		if (strncmp(line, settable[i], strlen(settable[i])) == 0)
			return false;
	return true;
}

/* The dump without what only counts. */
static const char *dump(struct rig *r)
{
	struct text all = { 0 };

	text_clear(&r->dump);
	text_add(&r->dump, "", 0);
	uapi_dump(r->engine, &all, UAPI_AMNEZIA, &(struct uapi_outside){ 0 }, true);
	for (char *line = all.data, *end; line && *line; line = end) {
		end = line + strcspn(line, "\n") + 1;
		if (!is_counter(line))
			text_add(&r->dump, line, (size_t)(end - line));
	}
	text_done(&all);
	return r->dump.len ? r->dump.data : "";
}

static bool dumps(struct rig *r, const char *expected)
{
	const char *got = dump(r);
	bool same = strcmp(got, expected) == 0;

	if (!same)
		printf("# dump:\n%s", got);
	return same;
}

/* A peer that was only named, with what is appended by hand. */
#define BLOCK(key, psk, endpoint)                                                  \
	"public_key=" key "\npreshared_key=" psk "\nprotocol_version=1\n" endpoint \
	"last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"

#define QUIET "persistent_keepalive_interval=0\n"

/* ---- round trips ---- */

static void what_was_set_is_in_the_dump_in_the_order_wg_expects(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\n"
			"public_key=" KEY_B "\npreshared_key=" PSK "\nendpoint=192.0.2.7:9\n"
			"persistent_keepalive_interval=25\nallowed_ip=10.2.0.0/16\n"
			"allowed_ip=fd00::/64\nallowed_ip=10.1.0.1/32\n"
			"culvert_budget_bytes=1000\nculvert_rate_bps=8000\n"
			"culvert_greatest_timestamp=400000000000000a00000001\n"
			"public_key=" KEY_A "\nendpoint=[2001:db8::1]:51820\n") == 0);
	CHECK(dumps(
		&r,
		"private_key=" ALICE_CLAMPED "\n" BLOCK(
			KEY_B, PSK,
			"endpoint=192.0.2.7:9\n") "persistent_keepalive_interval=25\nallowed_ip=10.2.0.0/16\n"
						  "allowed_ip=fd00::/64\nallowed_ip=10.1.0.1/32\n"
						  "culvert_budget_bytes=1000\nculvert_rate_bps=8000\n"
						  "culvert_greatest_timestamp=400000000000000a00000001\n" BLOCK(
							  KEY_A, ZEROS,
							  "endpoint=[2001:db8::1]:51820\n")
							  QUIET));
	rig_done(&r);
}

/* The lines of a dump that a set takes, applied to an empty engine, give the same dump. */
static void a_dump_applied_elsewhere_gives_the_same_dump(void)
{
	static const char *const reports[] = { "last_", "tx_", "rx_", NULL };
	struct rig r = rig_new(), copy = rig_new();
	struct text request = { 0 };
	char *text = NULL;

	for (int i = 0; i < 200; i++) {
		char peer[400];

		snprintf(peer, sizeof(peer),
			 "public_key=%02x%s\nendpoint=198.51.100.%d:%d\n"
			 "persistent_keepalive_interval=%d\nallowed_ip=10.%d.0.0/%d\n"
			 "allowed_ip=fd00:%x::/%d\nculvert_rate_bps=%d\n",
			 i, &KEY_A[2], i, 1000 + i, i * 300, i, 16 + i % 17, i, 32 + i % 97, i);
		text_puts(&request, peer);
	}
	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\n") == 0);
	CHECK(apply(&r, request.data) == 0);
	text = strdup(dump(&r));
	text_clear(&request);
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		bool is_report = false;

		for (int i = 0; reports[i]; i++)
			is_report |= strncmp(line, reports[i], strlen(reports[i])) == 0;
		if (!is_report)
			text_add(&request, line, strcspn(line, "\n") + 1);
	}
	CHECK(apply(&copy, request.data) == 0);
	CHECK(engine_peer_count(copy.engine) == 200 && dumps(&copy, text));
	free(text);
	text_done(&request);
	rig_done(&r);
	rig_done(&copy);
}

static void an_empty_device_dumps_only_counters(void)
{
	struct rig r = rig_new();

	CHECK(dumps(&r, ""));
	CHECK(apply(&r, "") == 0 && dumps(&r, ""));
	rig_done(&r);
}

static void zero_clears_private_and_preshared_key(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\npublic_key=" KEY_A
			"\npreshared_key=" PSK "\n") == 0);
	CHECK(apply(&r, "private_key=" ZEROS "\npublic_key=" KEY_A "\npreshared_key=" ZEROS
			"\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET));
	rig_done(&r);
}

static void a_dump_for_others_has_everything_but_the_private_key(void)
{
	struct rig r = rig_new();
	struct uapi_outside outside = { .listen_port = 7, .fwmark = 9, .cut = 77 };
	struct text whole = { 0 }, part = { 0 };

	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\npublic_key=" KEY_A
			"\npreshared_key=" PSK "\n") == 0);
	uapi_dump(r.engine, &whole, UAPI_WIREGUARD, &outside, true);
	uapi_dump(r.engine, &part, UAPI_WIREGUARD, &outside, false);
	CHECK(!strstr(part.data, "private_key") && !strstr(part.data, ALICE_CLAMPED));
	CHECK(strncmp(part.data, "listen_port=7\nfwmark=9\n", 23) == 0);
	CHECK(strstr(part.data, "\nculvert_cut=77\n"));
	CHECK(strcmp(strchr(whole.data, '\n') + 1, part.data) == 0);
	text_done(&whole);
	text_done(&part);
	rig_done(&r);
}

/* ---- peers ---- */

static void our_own_key_is_ignored(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\npublic_key=" ALICE_PUBLIC
			"\nallowed_ip=10.0.0.0/8\npublic_key=" KEY_A "\n") == 0);
	CHECK(dumps(&r, "private_key=" ALICE_CLAMPED "\n" BLOCK(KEY_A, ZEROS, "") QUIET));
	rig_done(&r);
}

static void a_peer_whose_key_becomes_ours_is_removed(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" ALICE_PUBLIC "\nallowed_ip=10.0.0.0/8\n") == 0);
	CHECK(engine_peer_count(r.engine) == 1);
	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\n") == 0);
	CHECK(dumps(&r, "private_key=" ALICE_CLAMPED "\n"));
	rig_done(&r);
}

static void removing_or_updating_a_stranger_succeeds_and_makes_nobody(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nremove=true\nallowed_ip=10.0.0.0/8\n"
			"public_key=" KEY_B "\nupdate_only=true\nallowed_ip=10.0.0.0/8\n"
			"endpoint=192.0.2.1:1\npersistent_keepalive_interval=5\n") == 0);
	CHECK(dumps(&r, ""));
	rig_done(&r);
}

static void update_only_updates_who_is_there(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\n") == 0);
	CHECK(apply(&r, "public_key=" KEY_A "\nupdate_only=true\nallowed_ip=10.0.0.0/8\n") ==
	      0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET "allowed_ip=10.0.0.0/8\n"));
	rig_done(&r);
}

static void who_is_removed_and_added_in_one_request_starts_anew(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\npreshared_key=" PSK
			"\nallowed_ip=10.0.0.0/8\nendpoint=192.0.2.1:1\n"
			"public_key=" KEY_B "\n") == 0);
	CHECK(apply(&r, "public_key=" KEY_A "\nremove=true\npublic_key=" KEY_A
			"\nallowed_ip=10.9.0.0/16\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_B, ZEROS, "") QUIET BLOCK(KEY_A, ZEROS, "") QUIET
		    "allowed_ip=10.9.0.0/16\n"));
	rig_done(&r);
}

static void two_blocks_of_one_peer_are_applied_in_order(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.1.0.0/16\nendpoint=192.0.2.1:1\n"
			"public_key=" KEY_B "\npublic_key=" KEY_A
			"\nallowed_ip=10.2.0.0/16\nendpoint=192.0.2.2:2\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "endpoint=192.0.2.2:2\n") QUIET
		    "allowed_ip=10.1.0.0/16\nallowed_ip=10.2.0.0/16\n" BLOCK(KEY_B, ZEROS, "")
			    QUIET));
	rig_done(&r);
}

static void replace_peers_leaves_those_of_the_request(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.0.0.0/8\npublic_key=" KEY_B
			"\nallowed_ip=10.2.0.0/16\n") == 0);
	CHECK(apply(&r, "replace_peers=true\npublic_key=" KEY_C
			"\nallowed_ip=10.2.0.0/16\npublic_key=" KEY_B "\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_C, ZEROS, "") QUIET
		    "allowed_ip=10.2.0.0/16\n" BLOCK(KEY_B, ZEROS, "") QUIET));
	CHECK(apply(&r, "replace_peers=true\n") == 0 && dumps(&r, ""));
	rig_done(&r);
}

/* ---- allowed IPs ---- */

static void a_prefix_moves_to_who_named_it_last(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\n"
			"public_key=" KEY_B "\nallowed_ip=10.1.2.3/8\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET "allowed_ip=::/0\n" BLOCK(
				KEY_B, ZEROS, "") QUIET "allowed_ip=10.0.0.0/8\n"));
	rig_done(&r);
}

static void replace_allowed_ips_takes_away_those_from_before(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.1.0.0/16\nallowed_ip=fd00::/8\n"
			"public_key=" KEY_B "\nallowed_ip=10.2.0.0/16\n") == 0);
	/* Where in its block the line stands makes no difference. */
	CHECK(apply(&r, "public_key=" KEY_A
			"\nallowed_ip=10.3.0.0/16\nreplace_allowed_ips=true\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET "allowed_ip=10.3.0.0/16\n" BLOCK(
				KEY_B, ZEROS, "") QUIET "allowed_ip=10.2.0.0/16\n"));
	rig_done(&r);
}

static void a_minus_takes_away_only_what_is_this_peers(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.1.0.0/16\nallowed_ip=10.3.0.0/16\n"
			"public_key=" KEY_B "\nallowed_ip=10.2.0.0/16\n") == 0);
	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=-10.2.0.0/16\n"
			"allowed_ip=-10.1.0.0/16\nallowed_ip=-10.1.0.0/16\n"
			"allowed_ip=-172.16.0.0/12\n") == 0);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET "allowed_ip=10.3.0.0/16\n" BLOCK(
				KEY_B, ZEROS, "") QUIET "allowed_ip=10.2.0.0/16\n"));
	rig_done(&r);
}

/* ---- all or nothing ---- */

/* More peers than there may be, found out before the first change. */
static void a_request_that_cannot_be_carried_out_changes_nothing(void)
{
	struct rig r = rig_new();
	struct uapi_set set = { .has_private_key = true,
				.n_peers = ENGINE_PEERS_MAX,
				.peers = calloc(ENGINE_PEERS_MAX, sizeof(*set.peers)) };
	struct uapi_ready ready = { .framing = NULL };
	char *before = NULL;

	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\npublic_key=" KEY_A
			"\nallowed_ip=10.0.0.0/8\n") == 0);
	before = strdup(dump(&r));
	CHECK(uapi_prepare(r.engine, r.worker, &set, &ready, &r.d) == UAPI_EINVAL);
	CHECK(!ready.framing);
	CHECK(strstr(r.d.text, "1048576 peers"));
	CHECK(dumps(&r, before));
	free(before);
	free(set.peers);
	rig_done(&r);
}

static void a_request_with_a_line_that_is_wrong_changes_nothing(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nallowed_ip=10.0.0.0/8\n") == 0);
	CHECK(apply(&r, "private_key=" ALICE_PRIVATE "\nreplace_peers=true\npublic_key=" KEY_B
			"\nallowed_ip=10.0.0.0/33\n") == UAPI_EINVAL);
	CHECK(dumps(&r, BLOCK(KEY_A, ZEROS, "") QUIET "allowed_ip=10.0.0.0/8\n"));
	rig_done(&r);
}

/* ---- AmneziaWG ---- */

#define PROTECTION KEY_B

/* Does the device say all of @text (whole lines) of itself? */
static bool says(struct rig *r, const char *text)
{
	struct text all = { 0 };
	bool found = false;

	uapi_dump(r->engine, &all, UAPI_AMNEZIA, &(struct uapi_outside){ 0 }, true);
	found = strstr(all.data, text) != NULL;
	if (!found)
		printf("# dump:\n%s", all.data);
	text_done(&all);
	return found;
}

static void parameters_are_set_one_by_one_and_stay(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "jc=4\njmin=8\njmax=80\ns1=20\nh1=100-200\n") == 0);
	CHECK(says(&r, "jc=4\njmin=8\njmax=80\ns1=20\nh1=100-200\nh2=2\nh3=3\nh4=4\n"
		       "random_trailers=0\ndisable_cookies=0\n"));
	CHECK(apply(&r, "s1=0\ns2=30\ni1=<b 0xff> x <r 3>\n") == 0);
	CHECK(says(&r, "jmax=80\ns2=30\nh1=100-200\n"));
	CHECK(says(&r, "h4=4\ni1=<b 0xff> x <r 3>\nrandom"));
	CHECK(apply(&r, "i1=\njc=0\nh1=1\n") == 0);
	CHECK(says(&r, "jmin=8\njmax=80\ns2=30\nh1=1\nh2=2\nh3=3\nh4=4\nrandom"));
	rig_done(&r);
}

/* All of it, whatever else the request holds: the key, a peer, another parameter. */
static void a_set_with_one_bad_parameter_changes_nothing_and_names_the_rule(void)
{
	static const struct {
		const char *request, *why;
	} cases[] = {
		{ "h1=1-10\n", "header-overlap" }, /* with the default of H2 */
		{ "jmin=90\njmax=80\n", "junk-order" },
		{ "s1=65500\n", "datagram-size" },
		{ "jc=129\n", "junk-count" },
		{ "header_protection_key=" PROTECTION "\ns1=12\ns2=12\ns3=12\n",
		  "protection-padding" },
		{ "s4=11\ns1=12\ns2=12\ns3=12\nheader_protection_key=" PROTECTION "\n",
		  "protection-padding" },
		{ "jc=x\n", "jc" },
		{ "i1=<q 5>\n", "i1" },
		{ "i1=<r 65507><t>\n", "i1" },
		{ "culvert_profile=a i1=<r 65507><t>\n", "i1" },
		{ "culvert_profile=a s1=1 h2=1\n", "header-overlap" },
		{ "culvert_profile=a b c\n", "culvert_profile" },
		{ "culvert_profile=a s1=1\nculvert_profile=a s1=2\n", "twice" },
		{ "culvert_profile=a s2=1\n", "profiles (default) and a" },
		{ "culvert_profile=a s1=1\nculvert_profile=b s1=1 h4=9\n", "profiles a and b" },
		{ "s1=3\nculvert_profile=a s1=3 s4=1\n", "profile-clash" },
	};
	struct rig r = rig_new();
	char *before = NULL;

	CHECK(apply(&r, "jc=1\npublic_key=" KEY_A "\nallowed_ip=10.0.0.0/8\n") == 0);
	before = strdup(dump(&r));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[1024];

		snprintf(request, sizeof(request),
			 "private_key=" ALICE_PRIVATE "\nreplace_peers=true\njc=7\n%s"
			 "public_key=" KEY_B "\n",
			 cases[i].request);
		CHECK(apply(&r, request) == UAPI_EINVAL);
		if (!strstr(r.d.text, cases[i].why))
			FAIL(r.d.text);
		CHECK(dumps(&r, before));
	}
	CHECK(apply(&r, "s4=12\ns1=12\nheader_protection_key=" PROTECTION "\ns2=12\ns3=12\n") ==
	      0); /* in any order */
	free(before);
	rig_done(&r);
}

static void profiles_come_go_and_are_replaced(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r,
		    "culvert_profile=a s1=1 i1=<b 0x01>x<r 2>\nculvert_profile=b s1=2 until=5"
		    "\n") == 0);
	CHECK(says(&r, "culvert_profile=a s1=1 i1=<b 0x01><r 2>\n"
		       "culvert_profile=b s1=2 until=5\n"));
	CHECK(apply(&r, "culvert_profile=a s1=3\n") == 0); /* whole, not by the key */
	CHECK(says(&r, "culvert_profile=b s1=2 until=5\nculvert_profile=a s1=3\n"));
	CHECK(apply(&r, "culvert_profile=b remove\nculvert_profile=gone remove\n") == 0);
	CHECK(says(&r, "disable_cookies=0\nculvert_profile=a s1=3\nculvert_mtu_advice"));
	CHECK(apply(&r, "culvert_replace_profiles=true\nculvert_profile=c s1=4 s2=1\n") == 0);
	CHECK(says(&r, "disable_cookies=0\nculvert_profile=c s1=4 s2=1\nculvert_mtu_advice"));
	CHECK(apply(&r, "culvert_replace_profiles=true\n") == 0);
	CHECK(says(&r, "disable_cookies=0\nculvert_mtu_advice"));
	rig_done(&r);
}

static void an_interface_holds_sixteen_profiles(void)
{
	struct rig r = rig_new();
	char request[64];

	for (int i = 1; i <= FRAME_PROFILES_MAX; i++) {
		snprintf(request, sizeof(request), "culvert_profile=p%d s1=%d\n", i, i);
		CHECK(apply(&r, request) == (i < FRAME_PROFILES_MAX ? 0 : UAPI_EINVAL));
	}
	CHECK(strstr(r.d.text, "16 profiles"));
	rig_done(&r);
}

static void a_peer_is_pinned_by_name_and_only_to_what_there_is(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nculvert_profile_pin=a\n") == UAPI_EINVAL);
	CHECK(strstr(r.d.text, "no profile a"));
	CHECK(dumps(&r, ""));
	CHECK(apply(&r, "culvert_profile=a s1=1\npublic_key=" KEY_A
			"\nculvert_profile_pin=a\nculvert_profile_heard=a\n"
			"culvert_prelude=false\n") == 0);
	CHECK(says(&r, "culvert_profile_heard=a\nculvert_profile_pin=a\n"
		       "culvert_prelude=false\n"));
	CHECK(apply(&r, "public_key=" KEY_A "\nculvert_profile_pin=\nculvert_prelude=true\n") ==
	      0);
	CHECK(says(&r, "culvert_profile_heard=a\nculvert_drops=0\n"));
	/* A profile that is no more has no name, and is not the default either. */
	CHECK(apply(&r, "culvert_profile=a remove\n") == 0);
	CHECK(says(&r, "culvert_profile_heard=\nculvert_drops=0\n"));
	CHECK(apply(&r, "public_key=" KEY_A "\nculvert_profile_heard=\n") == 0);
	CHECK(!strstr(dump(&r), "culvert_profile_heard"));
	rig_done(&r);
}

/* Nobody would be heard under it any more, and nothing would say so. */
static void a_profile_that_a_peer_is_pinned_to_cannot_go(void)
{
	static const char remove[] = "culvert_profile=a remove\n";
	static const char *const settled[] = { "public_key=" KEY_A "\nculvert_profile_pin=\n",
					       "public_key=" KEY_A "\nculvert_profile_pin=b\n",
					       "public_key=" KEY_A "\nremove=true\n",
					       "replace_peers=true\n" };

	for (size_t i = 0; i < sizeof(settled) / sizeof(settled[0]); i++) {
		struct rig r = rig_new();
		char request[300];

		CHECK(apply(&r, "culvert_profile=a s1=1\nculvert_profile=b s1=2\n"
				"public_key=" KEY_A "\nculvert_profile_pin=a\n") == 0);
		CHECK(apply(&r, remove) == UAPI_EINVAL && strstr(r.d.text, "pinned to a"));
		CHECK(apply(&r, "culvert_replace_profiles=true\n") == UAPI_EINVAL);
		CHECK(says(&r, "culvert_profile=a s1=1\n"));
		CHECK(apply(&r, "culvert_profile=a s1=7\nculvert_profile=b remove\n") == 0);
		CHECK(says(&r, "culvert_profile_pin=a\n"));
		CHECK(apply(&r, "culvert_profile=b s1=2\n") == 0);
		snprintf(request, sizeof(request), "%s%s", remove, settled[i]);
		CHECK(apply(&r, request) == 0);
		rig_done(&r);
	}
}

/* `wg` gives up on anything but a number there. */
static void a_range_of_keepalives_is_a_number_for_wg(void)
{
	struct rig r = rig_new();
	struct text wg = { 0 };

	CHECK(apply(&r, "public_key=" KEY_A "\npersistent_keepalive_interval=22-30\n") == 0);
	CHECK(says(&r, "persistent_keepalive_interval=22-30\n"));
	uapi_dump(r.engine, &wg, UAPI_WIREGUARD, &(struct uapi_outside){ 0 }, false);
	CHECK(strstr(wg.data, "persistent_keepalive_interval=22\n"));
	CHECK(apply(&r, "public_key=" KEY_A "\npersistent_keepalive_interval=30-22\n") ==
	      UAPI_EINVAL);
	text_done(&wg);
	rig_done(&r);
}

static void what_a_device_says_of_itself_makes_another_like_it(void)
{
	struct rig one = rig_new(), two = rig_new();
	char *said = NULL;

	CHECK(apply(&one, "jc=5\njmin=10\njmax=50\ns1=42\ns2=108\ns3=13\ns4=12\n"
			  "header_protection_key=" PROTECTION
			  "\ncontent_padding_addition=10-100\nrekey_after_time=100-120\n"
			  "rekey_timeout=3-7\nreject_after_time=150-180\n"
			  "keepalive_timeout=5-15\nmax_handshake_attempts=15-20\n"
			  "random_trailers=1\ndisable_cookies=1\n"
			  "culvert_profile=b h4=77-99 i5=<t><rd 3>\n") == 0);
	said = strdup(dump(&one));
	CHECK(apply(&two, said) == 0);
	CHECK(dumps(&two, said));
	free(said);
	rig_done(&one);
	rig_done(&two);
}

/* ---- changes ---- */

static const char *changes(struct rig *r)
{
	text_clear(&r->dump);
	uapi_dump_changes(r->engine, &r->dump);
	return r->dump.len ? r->dump.data : "";
}

static void only_who_changed_is_told_and_only_once(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\npublic_key=" KEY_B "\npublic_key=" KEY_C "\n") ==
	      0);
	CHECK(strcmp(changes(&r), "") == 0);
	CHECK(apply(&r, "public_key=" KEY_B "\nendpoint=192.0.2.1:7\n") == 0);
	CHECK(strcmp(changes(&r),
		     "public_key=" KEY_B "\nevent=endpoint\nendpoint=192.0.2.1:7\n"
		     "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\n"
		     "rx_bytes=0\nculvert_drops=0\n\n") == 0);
	CHECK(strcmp(changes(&r), "") == 0);
	rig_done(&r);
}

/* A keepalive that begins is due at once; one that only changes is not. */
static void a_keepalive_that_begins_wakes_the_keeper(void)
{
	struct rig r = rig_new();

	CHECK(apply(&r, "public_key=" KEY_A "\nendpoint=192.0.2.1:1\n") == 0);
	(void)engine_wants_keeper(r.worker);
	CHECK(apply(&r, "public_key=" KEY_A "\npersistent_keepalive_interval=5\n") == 0);
	CHECK(engine_wants_keeper(r.worker));
	CHECK(apply(&r, "public_key=" KEY_A "\npersistent_keepalive_interval=5\n") == 0);
	CHECK(!engine_wants_keeper(r.worker));
	rig_done(&r);
}

int main(void)
{
	RUN(an_empty_device_dumps_only_counters);
	RUN(what_was_set_is_in_the_dump_in_the_order_wg_expects);
	RUN(a_dump_applied_elsewhere_gives_the_same_dump);
	RUN(zero_clears_private_and_preshared_key);
	RUN(a_dump_for_others_has_everything_but_the_private_key);
	RUN(our_own_key_is_ignored);
	RUN(a_peer_whose_key_becomes_ours_is_removed);
	RUN(removing_or_updating_a_stranger_succeeds_and_makes_nobody);
	RUN(update_only_updates_who_is_there);
	RUN(who_is_removed_and_added_in_one_request_starts_anew);
	RUN(two_blocks_of_one_peer_are_applied_in_order);
	RUN(replace_peers_leaves_those_of_the_request);
	RUN(a_prefix_moves_to_who_named_it_last);
	RUN(replace_allowed_ips_takes_away_those_from_before);
	RUN(a_minus_takes_away_only_what_is_this_peers);
	RUN(a_request_that_cannot_be_carried_out_changes_nothing);
	RUN(a_request_with_a_line_that_is_wrong_changes_nothing);
	RUN(only_who_changed_is_told_and_only_once);
	RUN(a_keepalive_that_begins_wakes_the_keeper);
	RUN(parameters_are_set_one_by_one_and_stay);
	RUN(a_set_with_one_bad_parameter_changes_nothing_and_names_the_rule);
	RUN(profiles_come_go_and_are_replaced);
	RUN(an_interface_holds_sixteen_profiles);
	RUN(a_peer_is_pinned_by_name_and_only_to_what_there_is);
	RUN(a_profile_that_a_peer_is_pinned_to_cannot_go);
	RUN(a_range_of_keepalives_is_a_number_for_wg);
	RUN(what_a_device_says_of_itself_makes_another_like_it);
	return DONE();
}
