/* SPDX-License-Identifier: Apache-2.0 */
/* Sets as a whole: what is refused, under which name, and what is only warned of. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "frame/parameters.h"

#define KEY "HeaderProtectionKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

/* Read "Key=value|Key=value" as from a file. */
static bool load(struct frame_parameters *p, const char *lines, struct diag *d)
{
	frame_parameters_init(p);
	while (*lines) {
		size_t len = strcspn(lines, "|"), name = strcspn(lines, "=");
		enum frame_key key = frame_key_find(FRAME_CONF, lines, name);

		if (key == FRAME_KEYS)
			return false;
		if (frame_parameters_set(p, FRAME_CONF, key, lines + name + 1, len - name - 1,
					 d))
			return false;
		lines += len + (lines[len] == '|');
	}
	return true;
}

/* What judging @lines says: the rule, and the sentence in @d. */
static enum frame_rule judge(const char *lines, struct diag *d)
{
	struct frame_parameters p;
	enum frame_rule rule = FRAME_RULES;

	*d = (struct diag){ 0 };
	if (load(&p, lines, d))
		rule = frame_parameters_check(&p, d);
	frame_parameters_done(&p);
	return rule;
}

static bool is_valid(const char *lines)
{
	struct diag d;
	enum frame_rule rule = judge(lines, &d);

	if (rule != FRAME_RULE_NONE)
		printf("# %s: %s\n", lines, d.text);
	return rule == FRAME_RULE_NONE && !d.text[0];
}

static bool breaks(const char *lines, enum frame_rule expected, const char *sentence)
{
	struct diag d;
	enum frame_rule rule = judge(lines, &d);
	bool same = rule == expected && strcmp(d.text, sentence) == 0;

	if (!same)
		printf("# %s: rule %d, %s\n", lines, (int)rule, d.text);
	return same;
}

/* --- Rules --- */

static void rules_have_names(void)
{
	static const char *const names[] = {
		"none",	      "header-overlap", "protection-padding", "junk-order", "junk-size",
		"junk-count", "datagram-size",	"signature",	      "prelude"
	};

	for (enum frame_rule rule = FRAME_RULE_NONE; rule < FRAME_RULES; rule++)
		CHECK(strcmp(frame_rule_name(rule), names[rule]) == 0);
}

static void header_words_must_not_overlap_defaults_included(void)
{
	CHECK(breaks("H1=1-10", FRAME_RULE_HEADER_OVERLAP,
		     "header-overlap: H1 (1-10) and H2 (2) share values: H1 to H4 must not "
		     "overlap"));
	CHECK(breaks("H3=7|H4=5-7", FRAME_RULE_HEADER_OVERLAP,
		     "header-overlap: H3 (7) and H4 (5-7) share values: H1 to H4 must not "
		     "overlap"));
	CHECK(breaks("H1=4294967295|H4=0-4294967295|H2=9|H3=9", FRAME_RULE_HEADER_OVERLAP,
		     "header-overlap: H1 (4294967295) and H4 (0-4294967295) share values: H1 "
		     "to H4 must not overlap"));
	CHECK(is_valid("H1=2|H2=1|H3=4|H4=3"));
	CHECK(is_valid("H1=1-10|H2=11-20|H3=21|H4=0"));
}

/* Every pair, touching and overlapping by one. */
static void every_pair_of_header_words_is_compared(void)
{
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		for (uint32_t j = 0; j < FRAME_MESSAGES; j++) {
			struct frame_parameters p;

			if (i == j)
				continue;
			frame_parameters_init(&p);
			p.header[i] = (struct frame_range){ 100, 200 };
			p.header[j] = (struct frame_range){ 201, 300 };
			CHECK(frame_parameters_check(&p, NULL) == FRAME_RULE_NONE);
			p.header[j].lo = 200;
			CHECK(frame_parameters_check(&p, NULL) == FRAME_RULE_HEADER_OVERLAP);
			frame_parameters_done(&p);
		}
}

static void header_protection_needs_twelve_octets_of_each_padding(void)
{
	CHECK(is_valid(KEY "|S1=12|S2=12|S3=12|S4=12"));
	CHECK(is_valid("S1=11|S2=0|S3=3|S4=11"));
	CHECK(breaks(KEY "|S1=12|S2=12|S3=11|S4=12", FRAME_RULE_PROTECTION_PADDING,
		     "protection-padding: S3 is 11: with HeaderProtectionKey each of S1 to S4 "
		     "must be at least 12, for the nonce is taken from it"));
	CHECK(breaks(KEY, FRAME_RULE_PROTECTION_PADDING,
		     "protection-padding: S1 is 0: with HeaderProtectionKey each of S1 to S4 "
		     "must be at least 12, for the nonce is taken from it"));
}

/* All orders of five lines, by Heap's algorithm: the same answer whatever comes first. */
static uint32_t judge_in_every_order(const char *lines[5], uint32_t n, enum frame_rule expected)
{
	uint32_t seen = 0;

	if (n == 1) {
		char all[400];
		struct diag d;

		snprintf(all, sizeof(all), "%s|%s|%s|%s|%s", lines[0], lines[1], lines[2],
			 lines[3], lines[4]);
		CHECK(judge(all, &d) == expected);
		return 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t other = n % 2 ? 0 : i;
		const char *last = lines[n - 1];

		seen += judge_in_every_order(lines, n - 1, expected);
		lines[n - 1] = lines[other];
		lines[other] = last;
	}
	return seen;
}

static void the_order_of_lines_does_not_matter(void)
{
	const char *bad[5] = { KEY, "S1=12", "S2=13", "S3=11", "S4=14" };
	const char *good[5] = { KEY, "S1=12", "S2=13", "S3=15", "S4=14" };
	const char *overlap[5] = { "H1=1-10", "H2=10-20", "H3=30", "H4=40", "Jc=1" };
	const char *disjoint[5] = { "H1=1-10", "H2=11-20", "H3=30", "H4=40", "Jc=1" };

	CHECK(judge_in_every_order(bad, 5, FRAME_RULE_PROTECTION_PADDING) == 120);
	CHECK(judge_in_every_order(good, 5, FRAME_RULE_NONE) == 120);
	CHECK(judge_in_every_order(overlap, 5, FRAME_RULE_HEADER_OVERLAP) == 120);
	CHECK(judge_in_every_order(disjoint, 5, FRAME_RULE_NONE) == 120);
}

static void junk_is_ordered_and_bounded(void)
{
	CHECK(is_valid("Jc=5|Jmin=50|Jmax=50"));
	CHECK(breaks("Jc=5|Jmin=51|Jmax=50", FRAME_RULE_JUNK_ORDER,
		     "junk-order: Jmin (51) is greater than Jmax (50)"));
	CHECK(breaks("Jmin=1", FRAME_RULE_JUNK_ORDER,
		     "junk-order: Jmin (1) is greater than Jmax (0)"));
	CHECK(is_valid("Jc=2|Jmax=65507"));
	CHECK(breaks("Jc=1|Jmax=65508", FRAME_RULE_JUNK_SIZE,
		     "junk-size: Jmax (65508) is more than a datagram carries (65507)"));
	CHECK(is_valid("Jc=128|Jmin=10|Jmax=50"));
	CHECK(breaks("Jc=129|Jmin=10|Jmax=50", FRAME_RULE_JUNK_COUNT,
		     "junk-count: Jc (129) must be at most 128"));
}

static void messages_fit_datagrams(void)
{
	CHECK(is_valid("S1=65359"));
	CHECK(is_valid("S2=65415"));
	CHECK(is_valid("S3=65443"));
	CHECK(is_valid("S4=65475"));
	CHECK(breaks("S1=65360", FRAME_RULE_DATAGRAM_SIZE,
		     "datagram-size: S1 (65360) makes initiations of 65508 octets: a datagram "
		     "carries 65507"));
	CHECK(breaks("S2=65416", FRAME_RULE_DATAGRAM_SIZE,
		     "datagram-size: S2 (65416) makes responses of 65508 octets: a datagram "
		     "carries 65507"));
	CHECK(breaks("S3=65444", FRAME_RULE_DATAGRAM_SIZE,
		     "datagram-size: S3 (65444) makes cookie replies of 65508 octets: a "
		     "datagram carries 65507"));
	CHECK(breaks("S4=65476", FRAME_RULE_DATAGRAM_SIZE,
		     "datagram-size: S4 (65476) makes keepalives of 65508 octets: a datagram "
		     "carries 65507"));
}

/* Setting refuses such a text already; a set may come from elsewhere. */
static void a_signature_that_does_not_parse_is_named(void)
{
	struct frame_parameters p;
	struct diag d = { 0 };

	frame_parameters_init(&p);
	p.signature[3] = strdup("<r>");
	CHECK(frame_parameters_check(&p, &d) == FRAME_RULE_SIGNATURE);
	CHECK(strcmp(d.text,
		     "signature: I4: <r> needs a number from 0 to 65507, as in <r 16>") == 0);
	frame_parameters_done(&p);
}

static void what_goes_before_a_handshake_is_bounded_together(void)
{
	CHECK(is_valid("Jc=128|Jmax=1408"));
	CHECK(is_valid("I1=<r 65507>|I2=<r 65507>|I5=<r 49210>"));
	CHECK(breaks("Jc=128|Jmax=1409", FRAME_RULE_PRELUDE,
		     "prelude: I1 to I5 and Jc packets of Jmax octets are 180352 octets before "
		     "each handshake: at most 180224"));
	CHECK(breaks("I1=<r 65507>|I2=<r 65507>|I5=<r 49210>|Jc=1|Jmax=1", FRAME_RULE_PRELUDE,
		     "prelude: I1 to I5 and Jc packets of Jmax octets are 180225 octets before "
		     "each handshake: at most 180224"));
}

/* Both keys of a fault, by name; "-" for none. */
static bool is_to_blame(struct frame_fault f, const char *key, const char *other)
{
	const char *second = f.other == FRAME_KEYS ? "-" : frame_key_name(FRAME_CONF, f.other);

	return strcmp(frame_key_name(FRAME_CONF, f.key), key) == 0 &&
	       strcmp(second, other) == 0;
}

static bool is_broken_by(const char *lines, const char *key, const char *other)
{
	struct frame_fault f = { FRAME_JC, FRAME_JC };
	struct frame_parameters p;
	struct diag d = { 0 };
	bool same;

	same = load(&p, lines, &d) &&
	       frame_parameters_find_fault(&p, &f, &d) != FRAME_RULE_NONE &&
	       is_to_blame(f, key, other);
	if (!same)
		printf("# %s: %d and %d, %s\n", lines, (int)f.key, (int)f.other, d.text);
	frame_parameters_done(&p);
	return same;
}

static void a_broken_rule_says_which_key_breaks_it(void)
{
	CHECK(is_broken_by("H1=1-10", "H1", "H2"));
	CHECK(is_broken_by("H1=1-10|H2=2", "H1", "H2"));
	CHECK(is_broken_by("H3=7|H4=5-7", "H4", "H3"));
	CHECK(is_broken_by(KEY "|S1=12|S2=12|S3=11|S4=12", "S3", "HeaderProtectionKey"));
	CHECK(is_broken_by("Jmin=51|Jmax=50", "Jmax", "Jmin"));
	CHECK(is_broken_by("Jmin=1", "Jmin", "Jmax"));
	CHECK(is_broken_by("Jmax=65508", "Jmax", "-"));
	CHECK(is_broken_by("Jc=129", "Jc", "-"));
	CHECK(is_broken_by("S3=65444", "S3", "-"));
	CHECK(is_broken_by("Jc=128|Jmax=1409|I1=<r 9>", "Jmax", "Jc"));
	CHECK(is_broken_by("I1=<r 65506>|I3=<r 65507>|I5=<r 65506>|Jc=1", "I3", "-"));
}

/* --- Warnings --- */

struct heard {
	uint32_t n;
	struct frame_fault about; /* the last one */
	char all[4096];
};

static void hear(void *context, struct frame_fault about, const char *sentence)
{
	struct heard *h = context;
	size_t used = strlen(h->all);

	h->n++;
	h->about = about;
	CHECK(strlen(sentence) < DIAG_TEXT_MAX - 1); /* nothing was cut off */
	snprintf(h->all + used, sizeof(h->all) - used, "%s\n", sentence);
}

static struct heard listen_to(const char *lines)
{
	struct heard h = { 0 };
	struct frame_parameters p;
	struct diag d = { 0 };

	if (!load(&p, lines, &d) || frame_parameters_check(&p, &d))
		FAIL(d.text);
	frame_parameters_warn(&p, hear, &h);
	frame_parameters_done(&p);
	return h;
}

/* One warning, which holds @words. */
static bool is_warned_of(const char *lines, const char *words)
{
	struct heard h = listen_to(lines);

	if (h.n != 1 || !strstr(h.all, words))
		printf("# %s: %u warnings:\n# %s", lines, h.n, h.all);
	return h.n == 1 && strstr(h.all, words);
}

static bool is_fine(const char *lines)
{
	struct heard h = listen_to(lines);

	if (h.n)
		printf("# %s: %s", lines, h.all);
	return h.n == 0;
}

#define WORDS "H1=5|H2=6|H3=7|H4=8"

static void equal_sizes_are_warned_of(void)
{
	CHECK(is_warned_of("S1=20|S2=76|" WORDS, "S1 and S2 make initiations and responses "
						 "equally long (168 octets)"));
	CHECK(is_warned_of("S1=10|S3=94|" WORDS, "S1 and S3 make initiations and cookie"));
	CHECK(is_warned_of("S2=8|S3=36|" WORDS, "S2 and S3 make responses and cookie replies"));
	CHECK(listen_to("S4=32|" WORDS).n == 2); /* keepalives as cookie replies, and the MTU */
	CHECK(is_fine("S1=20|S2=75|" WORDS));
}

static void plain_types_are_warned_of_where_other_words_are_possible(void)
{
	CHECK(is_warned_of("S1=15|H2=6|H3=7|H4=8", "H1 has values from 1 to 4"));
	CHECK(is_warned_of("H1=0-1|H2=6|H3=7|H4=8", "H1 has"));
	CHECK(is_warned_of("H1=15|H2=16|H3=17|H4=4-9", "H4 has"));
	CHECK(listen_to("H1=2|H2=1").n == 4);
	CHECK(listen_to("RandomTrailers=on").n == 4);
	CHECK(listen_to("S4=4").n == 4);
	CHECK(is_fine(KEY "|S1=12|S2=12|S3=12|S4=12"));
	CHECK(is_fine("Jc=4|Jmin=40|Jmax=70|I1=<r 50>")); /* the server may be WireGuard */
}

static void replies_longer_than_requests_are_warned_of(void)
{
	CHECK(is_warned_of("S1=42|S2=108|" WORDS, "S2 makes responses (200 octets) longer than "
						  "S1 makes initiations (190)"));
	CHECK(is_warned_of("S3=85|" WORDS, "S3 makes cookie replies (149 octets) longer than"));
	CHECK(is_fine("S3=83|" WORDS));
}

static void what_does_not_fit_every_path_is_warned_of(void)
{
	CHECK(is_fine("I1=<r 1232>|Jc=1|Jmax=1232"));
	CHECK(is_warned_of("I2=<r 1233>", "I2 has 1233 octets"));
	CHECK(is_warned_of("Jc=1|Jmax=1233", "Jmax is 1233 octets"));
	CHECK(is_fine("Jmax=1233")); /* none is sent */
	CHECK(is_fine("S1=1084|" WORDS));
	CHECK(is_warned_of("S1=1085|" WORDS, "S1 makes initiations of 1233 octets"));
}

static void an_mtu_that_would_fragment_is_warned_of(void)
{
	CHECK(is_fine("S4=20|" WORDS));
	CHECK(is_warned_of("S4=21|" WORDS, "the MTU of the route - 80 - S4 (1420 - 21"));
}

static void timers_unlike_wireguards_are_warned_of(void)
{
	CHECK(is_fine("RejectAfterTime=150-180|RekeyAfterTime=100-120"));
	CHECK(is_fine("RekeyAfterTime=180"));
	CHECK(is_warned_of("RejectAfterTime=150-181", "used for longer than the 180 seconds"));
	CHECK(is_warned_of("RekeyAfterTime=100-181", "may end before they are renewed"));
	CHECK(is_warned_of("RejectAfterTime=119", "RejectAfterTime ends at 119 and "
						  "RekeyAfterTime at 120 seconds"));
	CHECK(is_warned_of("RekeyTimeout=0-5", "without a pause"));
	CHECK(is_fine("RekeyTimeout=0"));
}

static void disabled_cookies_are_warned_of(void)
{
	CHECK(is_warned_of("DisableCookies=on", "new clients are locked out"));
}

static bool is_about(const char *lines, const char *key, const char *other)
{
	struct heard h = listen_to(lines);

	return h.n == 1 && is_to_blame(h.about, key, other);
}

static void a_warning_says_which_key_it_is_about(void)
{
	CHECK(is_about("S1=20|S2=76|" WORDS, "S2", "S1"));
	CHECK(is_about("S1=15|H2=6|H3=7|H4=8", "H1", "-"));
	CHECK(is_about("S1=42|S2=108|" WORDS, "S2", "-"));
	CHECK(is_about("S3=85|" WORDS, "S3", "-"));
	CHECK(is_about("I2=<r 1233>", "I2", "-"));
	CHECK(is_about("Jc=1|Jmax=1233", "Jmax", "-"));
	CHECK(is_about("S4=21|" WORDS, "S4", "-"));
	CHECK(is_about("DisableCookies=on", "DisableCookies", "-"));
	CHECK(is_about("RekeyAfterTime=181", "RekeyAfterTime", "RejectAfterTime"));
	CHECK(is_about("RejectAfterTime=119", "RejectAfterTime", "RekeyAfterTime"));
	CHECK(is_about("RekeyTimeout=0-5", "RekeyTimeout", "-"));
}

/* --- What people have --- */

#define AMNEZIA                                                                     \
	"Jc=5|Jmin=10|Jmax=50|S1=42|S2=108|S3=13|S4=12|H1=1|H2=2|H3=3|H4=4|" KEY    \
	"|ContentPaddingAddition=10-100|RekeyAfterTime=100-120|RekeyTimeout=3-7|"   \
	"RejectAfterTime=150-180|KeepaliveTimeout=5-15|MaxHandshakeAttempts=15-20|" \
	"RandomTrailers=on|"

static void the_default_of_amnezia_loads_with_two_warnings(void)
{
	struct heard h = listen_to(AMNEZIA "DisableCookies=on");

	CHECK(h.n == 2);
	CHECK(strstr(h.all, "S2 makes responses (200 octets)"));
	CHECK(strstr(h.all, "DisableCookies"));
	CHECK(is_warned_of(AMNEZIA "DisableCookies=false", "S2 makes responses")); /* wg-easy */
}

static void what_other_deployments_use_loads(void)
{
	/* version 2.0, as most have it */
	CHECK(is_fine("Jc=4|Jmin=40|Jmax=70|S1=30|S2=40|S3=20|S4=10|H1=100000-200000|"
		      "H2=300000-400000|H3=500000-600000|H4=700000-800000|"
		      "I1=<b 0xc70000000108><r 8><b 0x0000449e><r 1182>"));
	/* a server of plain WireGuard behind a client with junk */
	CHECK(is_fine("S1=0|S2=0|H1=1|H2=2|H3=3|H4=4|Jc=4|Jmin=40|Jmax=70|I1=<b 0xc2><r 20>"));
	/* a fork: a DNS response, ranges beyond ours */
	CHECK(is_fine("Jc=3|Jmin=10|Jmax=30|S1=64|S2=100|S3=30|S4=12|H1=1|H2=2|H3=3|H4=4|" KEY
		      "|ContentPaddingAddition=10-100|RandomTrailers=on|"
		      "I1=<r 2><b 0x85800001000100000000066963>|I2=|I3=|I4=|I5="));
	/* generators */
	CHECK(is_fine("Jc=7|Jmin=50|Jmax=250|S1=77|S2=99|S3=55|S4=4|" WORDS));
	CHECK(is_warned_of("Jc=7|Jmin=50|Jmax=80|S1=77|S2=99|S3=8|S4=31|" WORDS, "S4 is 31"));
	/* version 1.0 */
	CHECK(is_fine("Jc=4|Jmin=8|Jmax=80|S1=15|S2=69|H1=1020325451|H2=3288052141|"
		      "H3=1766607858|H4=2528465083"));
}

static void a_range_of_junk_packets_does_not_load(void)
{
	struct frame_parameters p;
	struct diag d = { 0 };

	CHECK(!load(&p, "Jc=4-8", &d) && strstr(d.text, "Jc: '4-8' is a range"));
	frame_parameters_done(&p);
}

int main(void)
{
	RUN(rules_have_names);
	RUN(header_words_must_not_overlap_defaults_included);
	RUN(every_pair_of_header_words_is_compared);
	RUN(header_protection_needs_twelve_octets_of_each_padding);
	RUN(the_order_of_lines_does_not_matter);
	RUN(junk_is_ordered_and_bounded);
	RUN(messages_fit_datagrams);
	RUN(a_signature_that_does_not_parse_is_named);
	RUN(what_goes_before_a_handshake_is_bounded_together);
	RUN(a_broken_rule_says_which_key_breaks_it);
	RUN(equal_sizes_are_warned_of);
	RUN(plain_types_are_warned_of_where_other_words_are_possible);
	RUN(replies_longer_than_requests_are_warned_of);
	RUN(what_does_not_fit_every_path_is_warned_of);
	RUN(an_mtu_that_would_fragment_is_warned_of);
	RUN(timers_unlike_wireguards_are_warned_of);
	RUN(disabled_cookies_are_warned_of);
	RUN(a_warning_says_which_key_it_is_about);
	RUN(the_default_of_amnezia_loads_with_two_warnings);
	RUN(what_other_deployments_use_loads);
	RUN(a_range_of_junk_packets_does_not_load);
	return DONE();
}
