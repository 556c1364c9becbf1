/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters one by one: names, what a value looks like, reading and writing. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "../test.h"
#include "frame/parameters.h"

#define KEY_BASE64  "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_HEX	    "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define ZERO_BASE64 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define ZERO_HEX    "0000000000000000000000000000000000000000000000000000000000000000"

/* By hand from what the tools and implementations of AmneziaWG know. */
static const struct {
	enum frame_key key;
	const char *conf;
	const char *uapi;
	bool must_match;
	const char *normal;	/* as the UAPI writes it */
	const char *conf_other; /* a value that is no default */
	const char *uapi_other;
} known[] = {
	{ FRAME_JC, "Jc", "jc", false, "0", "5", "5" },
	{ FRAME_JMIN, "Jmin", "jmin", false, "0", "10", "10" },
	{ FRAME_JMAX, "Jmax", "jmax", false, "0", "50", "50" },
	{ FRAME_S1, "S1", "s1", true, "0", "42", "42" },
	{ FRAME_S2, "S2", "s2", true, "0", "108", "108" },
	{ FRAME_S3, "S3", "s3", true, "0", "13", "13" },
	{ FRAME_S4, "S4", "s4", true, "0", "12", "12" },
	{ FRAME_H1, "H1", "h1", true, "1", "5-4294967295", "5-4294967295" },
	{ FRAME_H2, "H2", "h2", true, "2", "0", "0" },
	{ FRAME_H3, "H3", "h3", true, "3", "1234567890", "1234567890" },
	{ FRAME_H4, "H4", "h4", true, "4", "4-5", "4-5" },
	{ FRAME_I1, "I1", "i1", false, "", "<b 0xf00d><r 5>", "<b 0xf00d><r 5>" },
	{ FRAME_I2, "I2", "i2", false, "", "<t>", "<t>" },
	{ FRAME_I3, "I3", "i3", false, "", "<rc 5> a = b", "<rc 5> a = b" },
	{ FRAME_I4, "I4", "i4", false, "", "<d>", "<d>" },
	{ FRAME_I5, "I5", "i5", false, "", "<rd   7>", "<rd   7>" },
	{ FRAME_HEADER_PROTECTION_KEY, "HeaderProtectionKey", "header_protection_key", true,
	  ZERO_HEX, KEY_BASE64, KEY_HEX },
	{ FRAME_CONTENT_PADDING_ADDITION, "ContentPaddingAddition", "content_padding_addition",
	  false, "0", "10-100", "10-100" },
	{ FRAME_REKEY_AFTER_TIME, "RekeyAfterTime", "rekey_after_time", false, "0", "100-120",
	  "100-120" },
	{ FRAME_REKEY_TIMEOUT, "RekeyTimeout", "rekey_timeout", false, "0", "3-7", "3-7" },
	{ FRAME_REJECT_AFTER_TIME, "RejectAfterTime", "reject_after_time", false, "0",
	  "150-180", "150-180" },
	{ FRAME_KEEPALIVE_TIMEOUT, "KeepaliveTimeout", "keepalive_timeout", false, "0", "5-15",
	  "5-15" },
	{ FRAME_MAX_HANDSHAKE_ATTEMPTS, "MaxHandshakeAttempts", "max_handshake_attempts", false,
	  "0", "15-65535", "15-65535" },
	{ FRAME_RANDOM_TRAILERS, "RandomTrailers", "random_trailers", true, "0", "on", "1" },
	{ FRAME_DISABLE_COOKIES, "DisableCookies", "disable_cookies", false, "0", "on", "1" },
};

enum { KNOWN = sizeof(known) / sizeof(known[0]) };
static_assert(sizeof(known) / sizeof(known[0]) == FRAME_KEYS, "one row per key");

static int set(struct frame_parameters *p, enum frame_dialect dialect, enum frame_key key,
	       const char *text, struct diag *d)
{
	char *exact = malloc(strlen(text) + 1); /* a sanitizer sees the first octet too much */
	int err;

	memcpy(exact, text, strlen(text));
	err = frame_parameters_set(p, dialect, key, exact, strlen(text), d);
	free(exact);
	return err;
}

/* Is the value of @key written as @expected? */
static bool is_written(const struct frame_parameters *p, enum frame_dialect dialect,
		       enum frame_key key, const char *expected)
{
	struct text out = { 0 };
	bool same;

	text_puts(&out, "");
	frame_parameters_put(&out, dialect, p, key);
	same = !out.err && strcmp(out.data, expected) == 0;
	if (!same)
		printf("# %s: %s instead of %s\n", frame_key_name(dialect, key), out.data,
		       expected);
	text_done(&out);
	return same;
}

/* Is @text refused with a reason that begins with the key's name, and nothing changed? */
static bool is_refused(enum frame_dialect dialect, enum frame_key key, const char *text)
{
	const char *name = frame_key_name(dialect, key);
	struct frame_parameters p;
	struct diag d = { 0 };
	int err;
	bool refused;

	frame_parameters_init(&p);
	err = set(&p, dialect, key, text, &d);
	refused = (err == ERR_FORMAT || err == ERR_RANGE || err == ERR_LIMIT) &&
		  strncmp(d.text, name, strlen(name)) == 0 && d.text[strlen(name)] == ':' &&
		  frame_parameters_are_plain(&p);
	if (!refused)
		printf("# %s = '%s': %d, %s\n", name, text, err, d.text);
	frame_parameters_done(&p);
	return refused;
}

/* --- Names --- */

static void every_key_has_its_two_names(void)
{
	for (size_t i = 0; i < KNOWN; i++) {
		const char *conf = known[i].conf, *uapi = known[i].uapi;
		enum frame_key key = known[i].key;

		CHECK(strcmp(frame_key_name(FRAME_CONF, key), conf) == 0);
		CHECK(strcmp(frame_key_name(FRAME_UAPI, key), uapi) == 0);
		CHECK(frame_key_find(FRAME_CONF, conf, strlen(conf)) == key);
		CHECK(frame_key_find(FRAME_UAPI, uapi, strlen(uapi)) == key);
		CHECK(frame_key_must_match(key) == known[i].must_match);
	}
}

static void case_matters_in_the_uapi_only(void)
{
	CHECK(frame_key_find(FRAME_CONF, "jC", 2) == FRAME_JC);
	CHECK(frame_key_find(FRAME_CONF, "HEADERPROTECTIONKEY", 19) ==
	      FRAME_HEADER_PROTECTION_KEY);
	CHECK(frame_key_find(FRAME_UAPI, "Jc", 2) == FRAME_KEYS);
	CHECK(frame_key_find(FRAME_UAPI, "jc", 2) == FRAME_JC);
}

static void other_names_are_no_keys(void)
{
	static const char *const others[] = { "",    "j",     "jcc",
					      "j1",  "itime", "h0",
					      "h5",  "s5",    "i0",
					      "i6",  "mtu",   "public_key",
					      "jc ", " jc",   "random-trailers" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CHECK(frame_key_find(FRAME_CONF, others[i], strlen(others[i])) == FRAME_KEYS);
		CHECK(frame_key_find(FRAME_UAPI, others[i], strlen(others[i])) == FRAME_KEYS);
	}
	CHECK(frame_key_find(FRAME_CONF, "RekeyAfterTimes", 14) == FRAME_REKEY_AFTER_TIME);
	CHECK(frame_key_find(FRAME_CONF, "header_protection_key", 21) == FRAME_KEYS);
}

/* --- Values --- */

static void a_new_set_is_plain_wireguard(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(frame_parameters_are_plain(&p));
	for (size_t i = 0; i < KNOWN; i++) {
		CHECK(frame_key_is_default(&p, known[i].key));
		CHECK(is_written(&p, FRAME_UAPI, known[i].key, known[i].normal));
	}
	CHECK(is_written(&p, FRAME_CONF, FRAME_RANDOM_TRAILERS, "off"));
	frame_parameters_done(&p);
}

static void every_key_is_read_and_written_in_both_spellings(void)
{
	for (size_t i = 0; i < KNOWN; i++) {
		enum frame_key key = known[i].key;
		struct frame_parameters conf, uapi;
		struct diag d = { 0 };

		frame_parameters_init(&conf);
		frame_parameters_init(&uapi);
		CHECK(set(&conf, FRAME_CONF, key, known[i].conf_other, &d) == 0);
		CHECK(set(&uapi, FRAME_UAPI, key, known[i].uapi_other, &d) == 0);
		CHECK(!frame_key_is_default(&conf, key) && !frame_parameters_are_plain(&uapi));
		CHECK(is_written(&conf, FRAME_UAPI, key, known[i].uapi_other));
		CHECK(is_written(&uapi, FRAME_CONF, key, known[i].conf_other));
		CHECK(set(&uapi, FRAME_UAPI, key, known[i].normal, &d) == 0);
		CHECK(frame_parameters_are_plain(&uapi));
		frame_parameters_done(&conf);
		CHECK(frame_parameters_are_plain(&conf));
		frame_parameters_done(&uapi);
	}
}

static void numbers_are_decimal_and_have_sixteen_bits(void)
{
	static const char *const bad[] = { "",	      "-1",  "+1",    "1.0",
					   "0x10",    "1e3", "65536", "99999999999999999999",
					   "1 2",     "off", "on",    "4-8",
					   "\xd9\xa1" };
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (enum frame_key key = FRAME_JC; key <= FRAME_S4; key++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			CHECK(is_refused(FRAME_CONF, key, bad[i]));
			CHECK(is_refused(FRAME_UAPI, key, bad[i]));
		}
		CHECK(set(&p, FRAME_UAPI, key, "65535", NULL) == 0);
		CHECK(is_written(&p, FRAME_UAPI, key, "65535"));
	}
	frame_parameters_done(&p);
}

static void a_range_of_junk_is_refused_in_words(void)
{
	struct frame_parameters p;
	struct diag d = { 0 };

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_CONF, FRAME_JC, "4-8", &d) == ERR_FORMAT);
	CHECK(strcmp(d.text, "Jc: '4-8' is a range, and this takes one number: only H1 to H4, "
			     "ContentPaddingAddition and the timers take ranges") == 0);
	frame_parameters_done(&p);
}

static void ranges_have_at_most_one_dash_and_end_where_their_type_does(void)
{
	static const char *const bad[] = { "",	    "-",   "1-",    "-1", "1--2", "1-2-3",
					   "20-10", "1,2", "0x1-2", "a",  "10-b", "10-20s" };

	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		bool header = key >= FRAME_H1 && key <= FRAME_H4;

		if (!header && (key < FRAME_CONTENT_PADDING_ADDITION ||
				key > FRAME_MAX_HANDSHAKE_ATTEMPTS))
			continue;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			CHECK(is_refused(FRAME_CONF, key, bad[i]));
			CHECK(is_refused(FRAME_UAPI, key, bad[i]));
		}
		CHECK(is_refused(FRAME_UAPI, key, header ? "4294967296" : "65536"));
		CHECK(is_refused(FRAME_CONF, key, header ? "1-4294967296" : "1-65536"));
		CHECK(is_refused(FRAME_UAPI, key, "off"));
	}
	CHECK(is_refused(FRAME_CONF, FRAME_H1, "off"));
}

static void off_in_a_file_turns_a_range_off(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (enum frame_key key = FRAME_CONTENT_PADDING_ADDITION;
	     key <= FRAME_MAX_HANDSHAKE_ATTEMPTS; key++) {
		CHECK(set(&p, FRAME_CONF, key, "7-9", NULL) == 0);
		CHECK(set(&p, FRAME_CONF, key, "Off", NULL) == 0);
		CHECK(frame_key_is_default(&p, key));
	}
	frame_parameters_done(&p);
}

/* The tools drop blanks; a blank between two numbers is more likely a mistake. */
static void blanks_around_values_and_dashes_are_dropped_in_files_only(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_CONF, FRAME_H1, " 5 \t-  10  ", NULL) == 0);
	CHECK(is_written(&p, FRAME_CONF, FRAME_H1, "5-10"));
	CHECK(set(&p, FRAME_CONF, FRAME_JC, " 7 ", NULL) == 0 && p.jc == 7);
	frame_parameters_done(&p);
	CHECK(is_refused(FRAME_CONF, FRAME_H1, "5 0-10"));
	CHECK(is_refused(FRAME_CONF, FRAME_JC, "1  2"));
	CHECK(is_refused(FRAME_CONF, FRAME_JC, "  "));
	CHECK(is_refused(FRAME_UAPI, FRAME_H1, "5 - 10"));
	CHECK(is_refused(FRAME_UAPI, FRAME_JC, " 7"));
}

static void booleans_are_words_or_numbers_in_files_and_digits_in_the_uapi(void)
{
	static const char *const yes[] = { "on", "ON", "true", "yes", "1", "7", "4294967296" };
	static const char *const no[] = { "off", "False", "no", "0", "00" };
	static const char *const neither[] = { "", "maybe", "-1", "1.5", "o", "onn", "t" };
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		p.random_trailers = false;
		CHECK(set(&p, FRAME_CONF, FRAME_RANDOM_TRAILERS, yes[i], NULL) == 0);
		CHECK(p.random_trailers);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		p.random_trailers = true;
		CHECK(set(&p, FRAME_CONF, FRAME_RANDOM_TRAILERS, no[i], NULL) == 0);
		CHECK(!p.random_trailers);
	}
	for (size_t i = 0; i < sizeof(neither) / sizeof(neither[0]); i++) {
		CHECK(is_refused(FRAME_CONF, FRAME_DISABLE_COOKIES, neither[i]));
		CHECK(is_refused(FRAME_UAPI, FRAME_DISABLE_COOKIES, neither[i]));
	}
	CHECK(is_refused(FRAME_UAPI, FRAME_DISABLE_COOKIES, "on"));
	CHECK(is_refused(FRAME_UAPI, FRAME_DISABLE_COOKIES, "2"));
	frame_parameters_done(&p);
}

static void the_key_is_base64_or_hex_and_zero_is_none(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_CONF, FRAME_HEADER_PROTECTION_KEY, KEY_BASE64, NULL) == 0);
	CHECK(p.protection_key.b[0] == 0xff && p.protection_key.b[31] == 0x1f);
	CHECK(set(&p, FRAME_CONF, FRAME_HEADER_PROTECTION_KEY, ZERO_BASE64, NULL) == 0);
	CHECK(frame_key_is_default(&p, FRAME_HEADER_PROTECTION_KEY));
	CHECK(set(&p, FRAME_UAPI, FRAME_HEADER_PROTECTION_KEY, KEY_HEX, NULL) == 0);
	CHECK(p.protection_key.b[0] == 0xff && p.protection_key.b[31] == 0x1f);
	frame_parameters_done(&p);
	CHECK(is_refused(FRAME_CONF, FRAME_HEADER_PROTECTION_KEY, KEY_HEX));
	CHECK(is_refused(FRAME_UAPI, FRAME_HEADER_PROTECTION_KEY, KEY_BASE64));
	CHECK(is_refused(FRAME_CONF, FRAME_HEADER_PROTECTION_KEY, ""));
	CHECK(is_refused(FRAME_UAPI, FRAME_HEADER_PROTECTION_KEY, "0"));
}

static void a_refusal_never_shows_the_key(void)
{
	static const char almost[] = "Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFy";
	struct frame_parameters p;
	struct diag d;

	frame_parameters_init(&p);
	for (size_t len = 1; len < sizeof(almost); len++) {
		CHECK(frame_parameters_set(&p, FRAME_CONF, FRAME_HEADER_PROTECTION_KEY, almost,
					   len, &d) == ERR_FORMAT);
		CHECK(!strstr(d.text, "Zm9v"));
	}
	frame_parameters_done(&p);
}

static void a_refusal_shows_no_control_characters_and_no_long_value(void)
{
	struct frame_parameters p;
	char value[5000];
	struct diag d;

	frame_parameters_init(&p);
	memset(value, '\n', sizeof(value));
	CHECK(frame_parameters_set(&p, FRAME_UAPI, FRAME_JC, value, sizeof(value), &d) ==
	      ERR_FORMAT);
	CHECK(!strchr(d.text, '\n') && strlen(d.text) < 120);
	memset(value, '1', sizeof(value));
	CHECK(frame_parameters_set(&p, FRAME_CONF, FRAME_H1, value, sizeof(value), &d) < 0);
	CHECK(strncmp(d.text, "H1: ", 4) == 0 && strlen(d.text) < 120);
	frame_parameters_done(&p);
}

/* --- Signature packets --- */

static void a_signature_is_kept_as_written(void)
{
	static const char written[] = " first <b 0X0a0B>, then <r   3 x> ";
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_UAPI, FRAME_I3, written, NULL) == 0);
	CHECK(is_written(&p, FRAME_UAPI, FRAME_I3, written));
	CHECK(is_written(&p, FRAME_CONF, FRAME_I3, written));
	CHECK(set(&p, FRAME_UAPI, FRAME_I3, "<r 4>", NULL) == 0);
	CHECK(is_written(&p, FRAME_UAPI, FRAME_I3, "<r 4>"));
	frame_parameters_done(&p);
}

static void a_signature_without_tags_is_none(void)
{
	static const char *const none[] = { "", " ", "no packet", ">>>" };
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		CHECK(set(&p, FRAME_CONF, FRAME_I1, "<r 1>", NULL) == 0 && p.signature[0]);
		CHECK(set(&p, FRAME_CONF, FRAME_I1, none[i], NULL) == 0);
		CHECK(frame_parameters_are_plain(&p));
	}
	frame_parameters_done(&p);
}

static void a_bad_signature_is_refused_at_once(void)
{
	struct frame_parameters p;
	struct diag d = { 0 };

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_CONF, FRAME_I2, "<r 1>", NULL) == 0);
	CHECK(set(&p, FRAME_CONF, FRAME_I2, "<x 1>", &d) == ERR_FORMAT);
	CHECK(strcmp(d.text, "I2: <x 1> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and "
			     "wt") == 0);
	CHECK(is_written(&p, FRAME_CONF, FRAME_I2, "<r 1>")); /* as it was */
	frame_parameters_done(&p);
	CHECK(is_refused(FRAME_UAPI, FRAME_I1, "<r 65508>"));
	CHECK(is_refused(FRAME_UAPI, FRAME_I1, "<r 5>\tx"));
	CHECK(is_refused(FRAME_UAPI, FRAME_I1, "<r 5>\x7f"));
	CHECK(is_refused(FRAME_CONF, FRAME_I1, "<r\n5>"));
}

static void a_signature_holds_no_nul_and_is_bounded(void)
{
	static char text[FRAME_SIGNATURE_TEXT_MAX + 1];
	struct frame_parameters p;
	struct diag d;

	frame_parameters_init(&p);
	CHECK(frame_parameters_set(&p, FRAME_UAPI, FRAME_I1, "<r 5>\0", 6, &d) == ERR_FORMAT);
	memset(text, 'x', sizeof(text));
	memcpy(text, "<r 5>", 5);
	CHECK(frame_parameters_set(&p, FRAME_UAPI, FRAME_I1, text, sizeof(text), &d) ==
	      ERR_LIMIT);
	CHECK(!p.signature[0]);
	CHECK(frame_parameters_set(&p, FRAME_UAPI, FRAME_I1, text, sizeof(text) - 1, &d) == 0);
	CHECK(strlen(p.signature[0]) == FRAME_SIGNATURE_TEXT_MAX);
	frame_parameters_done(&p);
}

/* "#" begins a comment in files. */
static void what_would_be_a_comment_is_left_out_of_files(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(set(&p, FRAME_UAPI, FRAME_I1, "# one <b 0x01> <r  5 #x><t #>", NULL) == 0);
	CHECK(is_written(&p, FRAME_CONF, FRAME_I1, "<b 0x01><r 5><t>"));
	CHECK(is_written(&p, FRAME_UAPI, FRAME_I1, "# one <b 0x01> <r  5 #x><t #>"));
	frame_parameters_done(&p);
}

/* --- Whole sets --- */

static void draw(struct frame_parameters *p)
{
	struct frame_range *const ranges[] = { &p->content_padding,   &p->rekey_after,
					       &p->rekey_timeout,     &p->reject_after,
					       &p->keepalive_timeout, &p->max_attempts };

	p->jc = seeded_next() & 0xffff;
	p->jmin = seeded_next() & 0xffff;
	p->jmax = seeded_next() & 0xffff;
	for (int i = 0; i < FRAME_MESSAGES; i++) {
		p->pad[i] = seeded_next() & 0xffff;
		p->header[i].lo = (uint32_t)seeded_next();
		p->header[i].hi = p->header[i].lo | (uint32_t)seeded_next();
	}
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		ranges[i]->lo = seeded_next() & 0xffff;
		ranges[i]->hi = ranges[i]->lo | (seeded_next() & 0xffff);
	}
	seeded_fill(&p->protection_key, sizeof(p->protection_key));
	p->random_trailers = seeded_next() & 1;
	p->disable_cookies = seeded_next() & 1;
	if (seeded_next() & 1)
		p->signature[seeded_next() % FRAME_SIGNATURES] = strdup("a <rd 5> b");
}

static bool same(const struct frame_parameters *a, const struct frame_parameters *b)
{
	for (int i = 0; i < FRAME_SIGNATURES; i++) {
		const char *one = a->signature[i], *other = b->signature[i];

		if (!one != !other || (one && (one == other || strcmp(one, other) != 0)))
			return false;
	}
	return memcmp(a, b, offsetof(struct frame_parameters, signature)) == 0 &&
	       memcmp(&a->protection_key, &b->protection_key,
		      offsetof(struct frame_parameters, random_trailers) -
			      offsetof(struct frame_parameters, protection_key)) == 0 &&
	       a->random_trailers == b->random_trailers &&
	       a->disable_cookies == b->disable_cookies;
}

static void what_is_written_is_read_back_the_same(void)
{
	for (int round = 0; round < 1000; round++) {
		enum frame_dialect dialect = round % 2 ? FRAME_CONF : FRAME_UAPI;
		struct frame_parameters p, again;

		frame_parameters_init(&p);
		frame_parameters_init(&again);
		draw(&p);
		for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
			struct text out = { 0 };

			text_puts(&out, "");
			frame_parameters_put(&out, dialect, &p, key);
			CHECK(set(&again, dialect, key, out.data, NULL) == 0);
			text_done(&out);
		}
		CHECK(same(&p, &again));
		frame_parameters_done(&p);
		frame_parameters_done(&again);
	}
}

static void a_copy_is_the_same_and_stands_alone(void)
{
	struct frame_parameters p, copy;

	frame_parameters_init(&p);
	draw(&p);
	CHECK(set(&p, FRAME_UAPI, FRAME_I1, "<r 7>", NULL) == 0);
	CHECK(frame_parameters_copy(&copy, &p) == 0 && same(&p, &copy));
	CHECK(frame_parameters_match(&p, &copy));
	frame_parameters_done(&p);
	CHECK(strcmp(copy.signature[0], "<r 7>") == 0);
	frame_parameters_done(&copy);
	CHECK(secret_is_zero(&copy.protection_key, sizeof(copy.protection_key)));
}

static void taking_one_value_leaves_the_others(void)
{
	struct frame_parameters from;

	frame_parameters_init(&from);
	for (size_t i = 0; i < KNOWN; i++)
		CHECK(set(&from, FRAME_UAPI, known[i].key, known[i].uapi_other, NULL) == 0);
	for (size_t i = 0; i < KNOWN; i++) {
		struct frame_parameters p;

		frame_parameters_init(&p);
		CHECK(frame_parameters_take(&p, &from, known[i].key) == 0);
		for (size_t j = 0; j < KNOWN; j++)
			CHECK(is_written(&p, FRAME_UAPI, known[j].key,
					 i == j ? known[j].uapi_other : known[j].normal));
		CHECK(frame_parameters_take(&from, &from, known[i].key) == 0);
		CHECK(is_written(&from, FRAME_UAPI, known[i].key, known[i].uapi_other));
		frame_parameters_done(&p);
	}
	frame_parameters_done(&from);
}

static void only_what_both_ends_need_must_match(void)
{
	for (size_t i = 0; i < KNOWN; i++) {
		struct frame_parameters a, b;

		frame_parameters_init(&a);
		frame_parameters_init(&b);
		CHECK(frame_parameters_match(&a, &b));
		CHECK(set(&b, FRAME_UAPI, known[i].key, known[i].uapi_other, NULL) == 0);
		CHECK(frame_parameters_match(&a, &b) == !known[i].must_match);
		CHECK(frame_parameters_match(&b, &a) == !known[i].must_match);
		frame_parameters_done(&a);
		frame_parameters_done(&b);
	}
}

int main(void)
{
	RUN(every_key_has_its_two_names);
	RUN(case_matters_in_the_uapi_only);
	RUN(other_names_are_no_keys);
	RUN(a_new_set_is_plain_wireguard);
	RUN(every_key_is_read_and_written_in_both_spellings);
	RUN(numbers_are_decimal_and_have_sixteen_bits);
	RUN(a_range_of_junk_is_refused_in_words);
	RUN(ranges_have_at_most_one_dash_and_end_where_their_type_does);
	RUN(off_in_a_file_turns_a_range_off);
	RUN(blanks_around_values_and_dashes_are_dropped_in_files_only);
	RUN(booleans_are_words_or_numbers_in_files_and_digits_in_the_uapi);
	RUN(the_key_is_base64_or_hex_and_zero_is_none);
	RUN(a_refusal_never_shows_the_key);
	RUN(a_refusal_shows_no_control_characters_and_no_long_value);
	RUN(a_signature_is_kept_as_written);
	RUN(a_signature_without_tags_is_none);
	RUN(a_bad_signature_is_refused_at_once);
	RUN(a_signature_holds_no_nul_and_is_bounded);
	RUN(what_would_be_a_comment_is_left_out_of_files);
	RUN(what_is_written_is_read_back_the_same);
	RUN(a_copy_is_the_same_and_stands_alone);
	RUN(taking_one_value_leaves_the_others);
	RUN(only_what_both_ends_need_must_match);
	return DONE();
}
