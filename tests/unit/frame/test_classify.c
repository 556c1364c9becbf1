/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives: found under its profile, or left alone. dress.h frames it the naive way. */
#include "dress.h"

enum { INDEX = 0x12345678, PENDING = 0x23456789, LONGEST = 1600 };

/* A message whose MAC1 is all 0x77 is for us; index INDEX is a session's, PENDING that of one
 * that has no keys yet. */
static int session, pending;

static void *find_index(void *context, uint32_t index, enum message_type type)
{
	(void)context;
	if (index == PENDING && type == MESSAGE_COOKIE)
		return &pending;
	return index == INDEX ? &session : NULL;
}

static bool has_mac1(void *context, const void *message, uint32_t len)
{
	const uint8_t *mac1 = (const uint8_t *)message + len - 32;

	(void)context;
	for (int i = 0; i < 16; i++)
		if (mac1[i] != 0x77)
			return false;
	return true;
}

static const struct frame_lookup lookup = { .find_index = find_index, .has_mac1 = has_mac1 };

/* A good message of kind @type under @p. Returns its length. */
static uint32_t make_message(const struct frame_parameters *p, uint32_t type, uint8_t *out,
			     uint32_t text)
{
	static const uint32_t lengths[] = { 0, 148, 92, 64, 0 };
	uint32_t len = type == 4 ? 32 + text : lengths[type];
	uint32_t word = p->header[type - 1].lo +
			throw() % (p->header[type - 1].hi - p->header[type - 1].lo + 1);

	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t) throw();
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(word >> 8 * i);
	for (int i = 0; i < 4 && type >= 3; i++)
		out[4 + i] = (uint8_t)((uint32_t)INDEX >> 8 * i);
	if (type <= 2)
		memset(out + len - 32, 0x77, 16);
	return len;
}

/* All generations on one interface; the first is plain. */
static struct frame_set all(void)
{
	static const char *const names[] = { "", "one", "two", "three", "threeone" };
	struct frame_profile_source sources[GENERATIONS];
	struct frame_parameters p[GENERATIONS];
	struct frame_set set;

	for (int i = 0; i < GENERATIONS; i++) {
		p[i] = parameters_of(generations[i]);
		sources[i] = (struct frame_profile_source){ names[i], &p[i], 0 };
	}
	CHECK(frame_set_make(NULL, sources, GENERATIONS, &set) == 0);
	for (int i = 0; i < GENERATIONS; i++)
		frame_parameters_done(&p[i]);
	return set;
}

/* The datagram in memory of exactly its size: a sanitizer sees the first octet too much. */
static struct frame_view classify(const struct frame_set *set,
				  const struct frame_profile *guess, uint8_t *exact,
				  uint32_t len)
{
	struct frame_datagram d = { exact, len };
	struct frame_view view = { 0 };

	frame_classify(set, guess, &d, 1, &lookup, &view);
	return view;
}

/* Whitepaper, section 5.4: 148, 92 and 64 octets; data has 32 or more. By hand. */
static bool is_message(uint32_t type, uint32_t len)
{
	return (type == 1 && len == 148) || (type == 2 && len == 92) ||
	       (type == 3 && len == 64) || (type == 4 && len >= 32);
}

static bool is_taken(const struct frame_set *set, uint32_t type, uint32_t len)
{
	uint8_t *exact = calloc(1, len ? len : 1);
	struct frame_view view;

	for (uint32_t i = 0; i < 4 && i < len; i++) {
		exact[i] = (uint8_t)(type >> 8 * i);
		if (len >= 8)
			exact[4 + i] = (uint8_t)((uint32_t)INDEX >> 8 * i);
	}
	if (len >= 64)
		memset(exact + len - 32, 0x77, 16);
	view = classify(set, NULL, exact, len);
	if (view.type) {
		CHECK(view.message == exact && view.len == len && !view.miss);
		CHECK((uint32_t)view.type == type && view.profile == &set->profiles[0]);
	} else {
		CHECK(view.miss != FRAME_NO_MISS && !view.message && !view.profile);
	}
	free(exact);
	return view.type != 0;
}

static void every_plain_length_and_type_is_judged_as_the_whitepaper_says(void)
{
	struct frame_set set;

	frame_set_init(&set);
	for (uint32_t type = 0; type <= 255; type++)
		for (uint32_t len = 0; len <= 300; len++)
			if (is_taken(&set, type, len) != (len >= 32 && is_message(type, len)))
				FAIL("type or length misjudged");
	for (uint32_t type = 0; type < 8; type++)
		for (uint32_t len = 300; len <= 65535; len += len < 2000 ? 1 : 977)
			if (is_taken(&set, type, len) != is_message(type, len))
				FAIL("type or length misjudged");
	frame_set_done(&set);
}

/* The reserved octets belong to the type: any bit of them makes it another. */
static void a_reserved_octet_that_is_not_zero_is_refused_in_plain_messages(void)
{
	struct frame_set set;

	frame_set_init(&set);
	for (uint32_t type = 1; type <= 4; type++)
		for (int bit = 8; bit < 32; bit++) {
			CHECK(!is_taken(&set, type | UINT32_C(1) << bit, 148));
			CHECK(!is_taken(&set, type | UINT32_C(1) << bit, 92));
			CHECK(!is_taken(&set, type | UINT32_C(1) << bit, 64));
		}
	frame_set_done(&set);
}

/* One message of @type in @of's dress arrives at @set: found, unmasked, whole. */
static void check_found(const struct frame_set *set, const struct frame_profile *of,
			const struct frame_profile *guess, uint32_t type, uint32_t text)
{
	bool trailers = type != 4 && of->parameters.random_trailers;
	uint8_t message[LONGEST], wire[LONGEST];
	uint32_t len = make_message(&of->parameters, type, message, text);
	uint32_t framed = naive_dress(&of->parameters, type, message, len,
				      trailers ? throw() % 300 : 0, wire);
	uint8_t *exact = malloc(framed);
	struct frame_view view;

	memcpy(exact, wire, framed);
	view = classify(set, guess, exact, framed);
	if (view.type != type || view.profile != of || view.len != len ||
	    view.message != exact + of->pad[type] || memcmp(view.message, message, len) != 0)
		FAIL("not found, or not as it was");
	CHECK(type < 3 || view.found == &session);
	free(exact);
}

static void every_kind_is_found_under_every_profile_whatever_the_first_guess(void)
{
	struct frame_set set = all();

	for (int round = 0; round < 100; round++)
		for (uint32_t of = 0; of < set.n; of++)
			for (uint32_t guess = 0; guess < set.n; guess++)
				for (uint32_t type = 1; type <= 4; type++)
					check_found(&set, &set.profiles[of],
						    &set.profiles[guess], type, throw() % 1400);
	frame_set_done(&set);
}

static void a_batch_of_different_framings_is_told_apart(void)
{
	struct frame_set set = all();
	uint8_t wires[FRAME_BATCH][LONGEST], message[LONGEST];
	struct frame_datagram d[FRAME_BATCH];
	struct frame_view views[FRAME_BATCH];

	for (uint32_t i = 0; i < FRAME_BATCH; i++) {
		const struct frame_parameters *p = &set.profiles[i % set.n].parameters;
		uint32_t type = 1 + i / set.n % 4;
		uint32_t len = make_message(p, type, message, 100 + i);

		d[i] = (struct frame_datagram){ wires[i], naive_dress(p, type, message, len, 0,
								      wires[i]) };
	}
	frame_classify(&set, &set.profiles[4], d, FRAME_BATCH, &lookup, views);
	for (uint32_t i = 0; i < FRAME_BATCH; i++)
		CHECK(views[i].type == 1 + i / set.n % 4 &&
		      views[i].profile == &set.profiles[i % set.n]);
	frame_set_done(&set);
}

/* The widest ranges there may be, and trailers: nearly every octet of data looks like the type of
 * a handshake message. All of it is data. */
static void data_that_looks_like_a_handshake_is_data(void)
{
	struct frame_set set =
		alone("s1=20 s2=30 s3=40 s4=4 random_trailers=1 h1=5-1400000000"
		      " h2=1400000001-2800000000 h3=2800000001-4294967294 h4=4294967295");

	for (int i = 0; i < 5000; i++)
		check_found(&set, &set.profiles[0], NULL, 4, throw() % 1400);
	for (uint32_t type = 1; type <= 3; type++)
		for (int i = 0; i < 1000; i++)
			check_found(&set, &set.profiles[0], NULL, type, 0);
	frame_set_done(&set);
}

/* With S4 = S2 + 4 the index that a response answers stands where that of data would, behind an
 * index drawn at random where the type would. */
static void a_response_is_no_data_though_its_index_stands_where_that_of_data_would(void)
{
	struct frame_set set = alone("s4=4 h1=4 h2=3 h3=2 h4=5-4294967295");

	for (int i = 0; i < 100; i++) {
		uint8_t message[LONGEST], wire[LONGEST];
		uint32_t len = make_message(&set.profiles[0].parameters, 2, message, 0);
		struct frame_view view;

		for (int k = 0; k < 4; k++)
			message[8 + k] = (uint8_t)((uint32_t)PENDING >> 8 * k);
		len = naive_dress(&set.profiles[0].parameters, 2, message, len, 0, wire);
		view = classify(&set, NULL, wire, len);
		CHECK(view.type == MESSAGE_RESPONSE && view.message == wire);
	}
	frame_set_done(&set);
}

static void what_is_for_somebody_else_is_left_as_it_came(void)
{
	struct frame_set set = all();
	uint8_t message[LONGEST], wire[LONGEST], before[LONGEST];

	for (uint32_t of = 0; of < set.n; of++)
		for (uint32_t type = 1; type <= 4; type++) {
			const struct frame_parameters *p = &set.profiles[of].parameters;
			uint32_t len = make_message(p, type, message, 200), framed;
			struct frame_view view;

			message[type <= 2 ? len - 32 : 4] ^= 1; /* MAC1, or the index */
			framed = naive_dress(p, type, message, len, 0, wire);
			memcpy(before, wire, framed);
			view = classify(&set, NULL, wire, framed);
			CHECK(!view.type);
			CHECK(view.miss == (type <= 2 ? FRAME_BAD_MAC1 : FRAME_UNKNOWN_INDEX));
			CHECK(memcmp(before, wire, framed) == 0);
		}
	frame_set_done(&set);
}

static void junk_of_every_length_is_no_message(void)
{
	struct frame_set set = all();
	uint32_t taken = 0;

	for (uint32_t len = 0; len < LONGEST; len++) {
		uint8_t *exact = malloc(len ? len : 1);

		for (uint32_t i = 0; i < len; i++)
			exact[i] = (uint8_t) throw();
		taken += classify(&set, &set.profiles[len % set.n], exact, len).type != 0;
		free(exact);
	}
	CHECK(taken == 0);
	frame_set_done(&set);
}

/* Keepalives of early 2.0 came without their PAD. */
static void a_keepalive_without_its_padding_is_found(void)
{
	struct frame_set set = alone(generations[2]);
	uint8_t message[LONGEST];
	uint32_t len = make_message(&set.profiles[0].parameters, 4, message, 0);
	struct frame_view view = classify(&set, NULL, message, len);

	CHECK(len == 32 && view.type == MESSAGE_DATA && view.message == message);
	CHECK(view.len == 32 && view.found == &session);
	len = make_message(&set.profiles[0].parameters, 4, message, 16);
	CHECK(!classify(&set, NULL, message, len).type); /* only keepalives */
	frame_set_done(&set);
}

/* The kernel module of 3.0 does not mask its cookie replies. */
static void a_cookie_reply_without_its_mask_is_found(void)
{
	struct frame_set set = alone(generations[3]);
	struct frame_parameters bare = parameters_of("s1=42 s2=108 s3=13 s4=12");
	uint8_t message[LONGEST], wire[LONGEST];
	uint32_t len = make_message(&bare, 3, message, 0);
	uint32_t framed = naive_dress(&bare, 3, message, len, 0, wire);
	struct frame_view view = classify(&set, NULL, wire, framed);

	CHECK(view.type == MESSAGE_COOKIE && view.message == wire + 13 && view.len == 64);
	CHECK(memcmp(view.message, message, len) == 0);
	framed = naive_dress(&bare, 3, message, len, 1, wire);
	CHECK(!classify(&set, NULL, wire, framed).type);
	frame_set_done(&set);
}

static void a_profile_is_not_accepted_after_its_end(void)
{
	struct frame_parameters plain = parameters_of(""), old = parameters_of(generations[4]);
	struct frame_profile_source sources[] = { { "", &plain, 0 }, { "old", &old, 1000 } };
	uint8_t message[LONGEST], wire[LONGEST];
	struct frame_set set;

	CHECK(frame_set_make(NULL, sources, 2, &set) == 0);
	for (int over = 0; over < 2; over++) {
		struct frame_lookup at = lookup;

		at.wall_s = over ? 1000 : 999;
		for (uint32_t type = 1; type <= 4; type++)
			for (uint32_t guess = 0; guess < 2; guess++) {
				uint32_t len = make_message(&old, type, message, 50);
				struct frame_datagram d = {
					wire, naive_dress(&old, type, message, len, 0, wire)
				};
				struct frame_view view;

				frame_classify(&set, &set.profiles[guess], &d, 1, &at, &view);
				CHECK((view.type == 0) == over);
			}
	}
	frame_parameters_done(&old);
	frame_set_done(&set);
}

int main(void)
{
	dice_begin(1);
	RUN(every_plain_length_and_type_is_judged_as_the_whitepaper_says);
	RUN(a_reserved_octet_that_is_not_zero_is_refused_in_plain_messages);
	RUN(every_kind_is_found_under_every_profile_whatever_the_first_guess);
	RUN(a_batch_of_different_framings_is_told_apart);
	RUN(data_that_looks_like_a_handshake_is_data);
	RUN(a_response_is_no_data_though_its_index_stands_where_that_of_data_would);
	RUN(what_is_for_somebody_else_is_left_as_it_came);
	RUN(junk_of_every_length_is_no_message);
	RUN(a_keepalive_without_its_padding_is_found);
	RUN(a_cookie_reply_without_its_mask_is_found);
	RUN(a_profile_is_not_accepted_after_its_end);
	return DONE();
}
