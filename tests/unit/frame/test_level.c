/* SPDX-License-Identifier: Apache-2.0 */
/* What the levels draw, against the rules and ranges stated a second time, plainly. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "frame/level.h"
#include "frame/signature.h"

static struct generator generator;

enum { SETS = 10000 /* of each level */ };

/* --- The rules, naively --- */

static bool are_disjoint(const struct frame_parameters *p)
{
	for (int i = 0; i < 4; i++) {
		if (p->header[i].lo > p->header[i].hi)
			return false;
		for (int j = 0; j < 4; j++)
			if (i != j && p->header[i].lo <= p->header[j].hi &&
			    p->header[j].lo <= p->header[i].hi)
				return false;
	}
	return true;
}

static uint32_t signature_len(const char *text)
{
	struct frame_signature s = { 0 };
	uint32_t len;

	if (!text)
		return 0;
	if (frame_signature_parse(text, strlen(text), &s, NULL))
		return UINT32_MAX;
	len = s.len;
	frame_signature_done(&s);
	return len;
}

/* The number of the first rule that @p breaks, or 0. */
static int broken_rule(const struct frame_parameters *p)
{
	const int s1 = (int)p->pad[0], s2 = (int)p->pad[1], s3 = (int)p->pad[2],
		  s4 = (int)p->pad[3];
	const int sizes[] = { s1 + 148, s2 + 92, s3 + 64, s4 + 32 };
	bool ranges = false;

	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			if (i != j && sizes[i] == sizes[j])
				return 1;
	if (s2 + 92 > s1 + 148 || s3 + 64 > s1 + 148)
		return 2;
	for (int i = 0; i < 4; i++) {
		if (p->header[i].lo < 5 || p->header[i].hi > 2147483647)
			return 3;
		ranges = ranges || p->header[i].lo != p->header[i].hi;
	}
	if (!are_disjoint(p))
		return 3;
	if (p->jmin >= p->jmax)
		return 4;
	if (sizes[0] > 1232 || sizes[1] > 1232 || sizes[2] > 1232 || p->jmax > 1232)
		return 5;
	for (int i = 0; i < 5; i++)
		if (signature_len(p->signature[i]) > 1232)
			return 5;
	for (int k = 0; ranges && k < 100; k++) {
		int transport = s4 + 32 + 16 * k;

		if (transport == sizes[0] || transport == sizes[1] || transport == sizes[2])
			return 6;
	}
	return 0;
}

/* --- The tables --- */

struct bounds {
	uint32_t lo;
	uint32_t hi;
};

/* By hand; I1 and the words are looked at apart. */
static const struct expected {
	struct bounds jc, jmin, jmax;
	struct bounds pad[4];
	struct bounds word;
	struct bounds width;
	bool has_signature;
	bool is_3_1;
} tables[] = {
	[FRAME_LOW] = { { 4, 6 },
			{ 8, 16 },
			{ 40, 80 },
			{ { 15, 40 }, { 15, 40 }, { 0, 0 }, { 0, 0 } },
			{ 5, 255 },
			{ 1, 1 },
			false,
			false },
	[FRAME_MEDIUM] = { { 4, 10 },
			   { 16, 64 },
			   { 80, 250 },
			   { { 15, 150 }, { 15, 150 }, { 0, 0 }, { 0, 0 } },
			   { 16777216, 2147483647 },
			   { 1, 1 },
			   false,
			   false },
	[FRAME_HIGH] = { { 4, 10 },
			 { 16, 64 },
			 { 80, 250 },
			 { { 15, 150 }, { 15, 150 }, { 8, 64 }, { 4, 20 } },
			 { 16777216, 2147483647 },
			 { 16777216, 134217728 },
			 true,
			 false },
	[FRAME_EXTREME] = { { 6, 10 },
			    { 10, 64 },
			    { 80, 250 },
			    { { 12, 24 }, { 12, 24 }, { 12, 24 }, { 12, 24 } },
			    { 16777216, 2147483647 },
			    { 1, 1 },
			    true,
			    true },
};

static bool in(struct bounds b, uint32_t v)
{
	return v >= b.lo && v <= b.hi;
}

static bool range_in(struct frame_range r, struct bounds lo, struct bounds hi)
{
	return in(lo, r.lo) && in(hi, r.hi);
}

static bool timers_are_as_in_the_table(const struct frame_parameters *p)
{
	return range_in(p->content_padding, (struct bounds){ 5, 20 },
			(struct bounds){ 80, 128 }) &&
	       range_in(p->rekey_after, (struct bounds){ 90, 105 },
			(struct bounds){ 110, 120 }) &&
	       range_in(p->rekey_timeout, (struct bounds){ 3, 4 }, (struct bounds){ 5, 7 }) &&
	       range_in(p->reject_after, (struct bounds){ 150, 165 },
			(struct bounds){ 170, 180 }) &&
	       range_in(p->keepalive_timeout, (struct bounds){ 5, 8 },
			(struct bounds){ 12, 15 }) &&
	       range_in(p->max_attempts, (struct bounds){ 15, 16 }, (struct bounds){ 18, 20 });
}

/* Only what version 1.0 or 2.0 knows. */
static bool has_nothing_of_version_3(const struct frame_parameters *p)
{
	for (enum frame_key key = FRAME_HEADER_PROTECTION_KEY; key < FRAME_KEYS; key++)
		if (!frame_key_is_default(p, key))
			return false;
	return true;
}

static bool is_as_in_the_table(const struct frame_parameters *p, const struct expected *t)
{
	bool good = in(t->jc, p->jc) && in(t->jmin, p->jmin) && in(t->jmax, p->jmax);

	for (int i = 0; i < 4; i++)
		good = good && in(t->pad[i], p->pad[i]) && in(t->word, p->header[i].lo) &&
		       in(t->word, p->header[i].hi) &&
		       in(t->width, p->header[i].hi - p->header[i].lo + 1);
	good = good && !p->signature[0] == !t->has_signature;
	for (int i = 1; i < 5; i++)
		good = good && !p->signature[i];
	if (!t->is_3_1)
		return good && has_nothing_of_version_3(p);
	return good && p->pad[0] == p->pad[1] && p->pad[0] == p->pad[2] &&
	       p->pad[0] == p->pad[3] && p->random_trailers && !p->disable_cookies &&
	       !secret_is_zero(&p->protection_key, 32) && timers_are_as_in_the_table(p);
}

/* --- Many draws --- */

/* All values as one line, to compare. The caller frees. */
static char *line_of(const struct frame_parameters *p)
{
	struct text out = { 0 };

	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		frame_parameters_put(&out, FRAME_UAPI, p, key);
		text_puts(&out, " ");
	}
	CHECK(out.err == 0);
	return out.data;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void fail_on_warning(void *context, struct frame_fault about, const char *sentence)
{
	(void)context;
	(void)about;
	if (strncmp(sentence, "S4 is 2", 7) != 0)
		FAIL(sentence);
}

static void check_draw(enum frame_level level, const struct frame_parameters *p)
{
	struct diag d = { 0 };
	int rule = broken_rule(p);

	if (rule) {
		printf("# level %s, rule %d\n", frame_level_name(level), rule);
		FAIL("a drawn set breaks a rule");
	}
	if (!is_as_in_the_table(p, &tables[level]))
		FAIL("a drawn set is outside of its table");
	if (frame_parameters_check(p, &d))
		FAIL(d.text);
	frame_parameters_warn(p, fail_on_warning, NULL);
}

static void every_drawn_set_keeps_the_rules_and_no_two_are_equal(void)
{
	char **lines = calloc(SETS, sizeof(*lines));
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (enum frame_level level = FRAME_LOW; level < FRAME_LEVELS; level++) {
		for (uint32_t i = 0; i < SETS; i++) {
			CHECK(frame_level_draw(level, &generator, &p) == 0);
			check_draw(level, &p);
			lines[i] = line_of(&p);
		}
		qsort(lines, SETS, sizeof(*lines), compare);
		for (uint32_t i = 1; i < SETS; i++)
			CHECK(strcmp(lines[i - 1], lines[i]) != 0);
		for (uint32_t i = 0; i < SETS; i++)
			free(lines[i]);
	}
	free(lines);
	frame_parameters_done(&p);
}

/* Both ends of each range, over enough draws. */
static void both_ends_of_the_ranges_are_drawn(void)
{
	struct frame_parameters p;
	bool jc_lo = false, jc_hi = false, s4_lo = false, s4_hi = false, pad_hi = false;
	bool timer_lo = false, timer_hi = false;

	frame_parameters_init(&p);
	for (int i = 0; i < 600; i++) {
		frame_level_draw(FRAME_HIGH, &generator, &p);
		jc_lo = jc_lo || p.jc == 4;
		jc_hi = jc_hi || p.jc == 10;
		s4_lo = s4_lo || p.pad[3] == 4;
		s4_hi = s4_hi || p.pad[3] == 20;
		frame_level_draw(FRAME_EXTREME, &generator, &p);
		pad_hi = pad_hi || p.pad[0] == 24;
		timer_lo = timer_lo || p.rekey_after.lo == 90;
		timer_hi = timer_hi || p.rekey_after.hi == 120;
	}
	CHECK(jc_lo && jc_hi && s4_lo && s4_hi && pad_hi && timer_lo && timer_hi);
	frame_parameters_done(&p);
}

static void off_is_plain_wireguard(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	CHECK(frame_level_draw(FRAME_EXTREME, &generator, &p) == 0);
	CHECK(frame_level_draw(FRAME_OFF, &generator, &p) == 0);
	CHECK(frame_parameters_are_plain(&p));
	frame_parameters_done(&p);
}

/* --- Signature packets --- */

/* Rendered, is it a packet of one of the three shapes? Return: which, or -1. By hand from RFC
 * 9000, section 17.2.2; RFC 1035, section 4.1; RFC 8489, section 5. */
static int shape_of(const uint8_t *b, uint32_t len)
{
	if (len == 1200 && (b[0] & 0xf0) == 0xc0 && memcmp(b + 1, "\0\0\0\1\x08", 5) == 0 &&
	    b[14] == 0 && b[15] == 0 && (b[16] & 0xc0) == 0x40 &&
	    ((b[16] & 0x3fu) << 8 | b[17]) == 1200 - 18)
		return 0;
	if (len == 20 && memcmp(b, "\0\1\0\0\x21\x12\xa4\x42", 8) == 0)
		return 2;
	if (len < 32 || memcmp(b + 2, "\1\0\0\1\0\0\0\0\0\0", 10) != 0)
		return -1;

	uint32_t at = 12;

	while (at < len && b[at])
		at += 1u + b[at];
	return at + 5 == len && b[len - 2] == 0 && b[len - 1] == 1 ? 1 : -1;
}

static int shape_of_text(const char *text)
{
	struct frame_signature s = { 0 };
	uint8_t packet[2048];
	int shape = -1;

	if (frame_signature_parse(text, strlen(text), &s, NULL) == 0 &&
	    s.len <= sizeof(packet)) {
		frame_signature_render(&s, &generator, 0, 0, packet);
		shape = shape_of(packet, s.len);
	}
	frame_signature_done(&s);
	return shape;
}

/* Generated texts use what every implementation takes. */
static bool is_portable(const char *text)
{
	for (const char *at = strchr(text, '<'); at; at = strchr(at + 1, '<')) {
		if (strncmp(at, "<b 0x", 5) == 0)
			continue;
		if (strncmp(at, "<r ", 3) != 0 && strncmp(at, "<rc ", 4) != 0)
			return false;
		if (strtoul(strchr(at, ' '), NULL, 10) > 1000)
			return false;
	}
	return true;
}

static void signatures_have_each_of_three_shapes(void)
{
	struct frame_parameters p;
	int seen[3] = { 0 };

	frame_parameters_init(&p);
	for (int i = 0; i < 300; i++) {
		enum frame_level level = i % 2 ? FRAME_HIGH : FRAME_EXTREME;
		int shape;

		frame_level_draw(level, &generator, &p);
		shape = shape_of_text(p.signature[0]);
		CHECK(shape >= 0 && is_portable(p.signature[0]));
		if (shape >= 0)
			seen[shape]++;
	}
	CHECK(seen[0] > 50 && seen[1] > 50 && seen[2] > 50);
	frame_parameters_done(&p);
}

/* --- Clients --- */

static void clients_match_their_server_and_draw_the_rest(void)
{
	struct frame_parameters server, client;

	frame_parameters_init(&server);
	frame_parameters_init(&client);
	for (uint32_t i = 0; i < SETS / 2; i++) {
		enum frame_level level = FRAME_LOW + i % 4;

		CHECK(frame_level_draw(level, &generator, &server) == 0);
		CHECK(frame_level_draw_client(level, &server, &generator, &client) == 0);
		CHECK(frame_parameters_match(&server, &client));
		check_draw(level, &client);
		if (server.signature[0])
			CHECK(shape_of_text(server.signature[0]) ==
			      shape_of_text(client.signature[0]));
	}
	frame_parameters_done(&server);
	frame_parameters_done(&client);
}

/* Low and medium are told apart by their header words, which never meet. */
static void a_drawn_set_is_known_for_its_level(void)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++)
		for (int i = 0; i < 100; i++) {
			CHECK(frame_level_draw(level, &generator, &p) == 0);
			CHECK(frame_level_of(&p) == level);
		}
	frame_parameters_done(&p);
}

static enum frame_level level_with(enum frame_key key, const char *value)
{
	struct frame_parameters p;
	enum frame_level level;

	frame_parameters_init(&p);
	CHECK(frame_parameters_set(&p, FRAME_CONF, key, value, strlen(value), NULL) == 0);
	level = frame_level_of(&p);
	frame_parameters_done(&p);
	return level;
}

static void one_value_tells_which_version_it_needs(void)
{
	CHECK(level_with(FRAME_JC, "4") == FRAME_LOW);
	CHECK(level_with(FRAME_I1, "<r 9>") == FRAME_LOW);
	CHECK(level_with(FRAME_S1, "40") == FRAME_LOW);
	CHECK(level_with(FRAME_S1, "41") == FRAME_MEDIUM);
	CHECK(level_with(FRAME_H4, "255") == FRAME_LOW);
	CHECK(level_with(FRAME_H4, "256") == FRAME_MEDIUM);
	CHECK(level_with(FRAME_H4, "4-5") == FRAME_HIGH);
	CHECK(level_with(FRAME_S3, "1") == FRAME_HIGH);
	CHECK(level_with(FRAME_S4, "1") == FRAME_HIGH);
	CHECK(level_with(FRAME_RANDOM_TRAILERS, "on") == FRAME_EXTREME);
	CHECK(level_with(FRAME_HEADER_PROTECTION_KEY,
			 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=") == FRAME_EXTREME);
}

static void no_two_clients_are_alike(void)
{
	struct frame_parameters server, client;
	char *lines[200];

	frame_parameters_init(&server);
	frame_parameters_init(&client);
	frame_level_draw(FRAME_EXTREME, &generator, &server);
	for (int i = 0; i < 200; i++) {
		frame_level_draw_client(FRAME_EXTREME, &server, &generator, &client);
		lines[i] = line_of(&client);
	}
	qsort(lines, 200, sizeof(*lines), compare);
	for (int i = 0; i < 200; i++)
		CHECK(i == 0 || strcmp(lines[i - 1], lines[i]) != 0);
	for (int i = 0; i < 200; i++)
		free(lines[i]);
	frame_parameters_done(&server);
	frame_parameters_done(&client);
}

/* But in a STUN request nothing is literal that could differ. */
static void literal_octets_of_signatures_are_drawn_for_each_deployment_and_client(void)
{
	struct frame_parameters server, client;
	int drawn = 0, servers = 0, clients = 0;
	char before[128] = "";

	frame_parameters_init(&server);
	frame_parameters_init(&client);
	for (int i = 0; i < 300; i++) {
		frame_level_draw(FRAME_HIGH, &generator, &server);
		frame_level_draw_client(FRAME_HIGH, &server, &generator, &client);
		if (shape_of_text(server.signature[0]) != 0)
			continue;
		drawn++;
		servers += strcmp(server.signature[0], before) != 0;
		clients += strcmp(server.signature[0], client.signature[0]) != 0;
		snprintf(before, sizeof(before), "%s", server.signature[0]);
	}
	CHECK(drawn > 50 && servers > drawn / 2 && clients > drawn / 2); /* of 16 each */
	frame_parameters_done(&server);
	frame_parameters_done(&client);
}

static void what_an_operator_wrote_is_kept_for_clients(void)
{
	static const char sip[] = "<b 0x5245474953544552><rd 20>";
	struct frame_parameters server, client;

	frame_parameters_init(&server);
	frame_parameters_init(&client);
	frame_level_draw(FRAME_HIGH, &generator, &server);
	frame_parameters_set(&server, FRAME_CONF, FRAME_I1, sip, strlen(sip), NULL);
	frame_parameters_set(&server, FRAME_CONF, FRAME_I4, sip, strlen(sip), NULL);
	CHECK(frame_level_draw_client(FRAME_HIGH, &server, &generator, &client) == 0);
	CHECK(strcmp(client.signature[0], sip) == 0 && strcmp(client.signature[3], sip) == 0);
	frame_parameters_set(&server, FRAME_CONF, FRAME_I1, "", 0, NULL);
	CHECK(frame_level_draw_client(FRAME_HIGH, &server, &generator, &client) == 0);
	CHECK(!client.signature[0]);
	frame_parameters_done(&server);
	frame_parameters_done(&client);
}

static void a_client_may_be_drawn_over_its_server(void)
{
	struct frame_parameters p, before;

	frame_parameters_init(&p);
	frame_level_draw(FRAME_EXTREME, &generator, &p);
	CHECK(frame_parameters_copy(&before, &p) == 0);
	CHECK(frame_level_draw_client(FRAME_EXTREME, &p, &generator, &p) == 0);
	CHECK(frame_parameters_match(&before, &p));
	frame_parameters_done(&p);
	frame_parameters_done(&before);
}

static void clients_at_extreme_keep_alive_from_a_range(void)
{
	for (enum frame_level level = FRAME_OFF; level < FRAME_EXTREME; level++) {
		struct frame_range r = frame_level_keepalive(level, &generator);

		CHECK(r.lo == 25 && r.hi == 25);
	}
	for (int i = 0; i < 100; i++)
		CHECK(range_in(frame_level_keepalive(FRAME_EXTREME, &generator),
			       (struct bounds){ 15, 18 }, (struct bounds){ 22, 25 }));
}

/* --- Names --- */

static void levels_are_found_by_both_vocabularies(void)
{
	static const struct {
		const char *word;
		enum frame_level level;
	} words[] = {
		{ "off", FRAME_OFF },	      { "low", FRAME_LOW },
		{ "medium", FRAME_MEDIUM },   { "high", FRAME_HIGH },
		{ "extreme", FRAME_EXTREME }, { "basic", FRAME_LOW },
		{ "stealth", FRAME_EXTREME }, { "", FRAME_LEVELS },
		{ "hig", FRAME_LEVELS },      { "higher", FRAME_LEVELS },
		{ "High", FRAME_LEVELS },     { "none", FRAME_LEVELS },
	};
	static const char *const names[] = { "off", "low", "medium", "high", "extreme" };
	static const char *const deployed[] = { "off", "basic", "high", "high", "stealth" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		CHECK(frame_level_find(words[i].word, strlen(words[i].word)) == words[i].level);
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++) {
		CHECK(strcmp(frame_level_name(level), names[level]) == 0);
		CHECK(strcmp(frame_level_deployed_name(level), deployed[level]) == 0);
	}
}

int main(void)
{
	uint8_t seed[GENERATOR_SEED_LEN] = { 1 };

	printf("# seed 1\n");
	generator_init(&generator, seed);
	RUN(every_drawn_set_keeps_the_rules_and_no_two_are_equal);
	RUN(both_ends_of_the_ranges_are_drawn);
	RUN(off_is_plain_wireguard);
	RUN(signatures_have_each_of_three_shapes);
	RUN(clients_match_their_server_and_draw_the_rest);
	RUN(a_drawn_set_is_known_for_its_level);
	RUN(one_value_tells_which_version_it_needs);
	RUN(no_two_clients_are_alike);
	RUN(literal_octets_of_signatures_are_drawn_for_each_deployment_and_client);
	RUN(what_an_operator_wrote_is_kept_for_clients);
	RUN(a_client_may_be_drawn_over_its_server);
	RUN(clients_at_extreme_keep_alive_from_a_range);
	RUN(levels_are_found_by_both_vocabularies);
	return DONE();
}
