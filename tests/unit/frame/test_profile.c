/* SPDX-License-Identifier: Apache-2.0 */
#include "dress.h"

static struct frame_set make(const struct frame_set *before, uint32_t n,
			     const char *const (*profiles)[2])
{
	struct frame_profile_source sources[FRAME_PROFILES_MAX];
	struct frame_parameters p[FRAME_PROFILES_MAX];
	struct frame_set set;

	for (uint32_t i = 0; i < n; i++) {
		p[i] = parameters_of(profiles[i][1]);
		sources[i] = (struct frame_profile_source){ profiles[i][0], &p[i], 0 };
	}
	CHECK(frame_set_make(before, sources, n, &set) == 0);
	for (uint32_t i = 0; i < n; i++)
		frame_parameters_done(&p[i]);
	return set;
}

static void the_first_set_is_plain_wireguard(void)
{
	struct frame_set set;

	frame_set_init(&set);
	CHECK(set.n == 1 && set.profiles[0].is_plain && set.profiles[0].number == 1);
	CHECK(set.profiles[0].timers.rekey_after.lo == 120);
	CHECK(frame_set_find(&set, 99) == &set.profiles[0]);
	CHECK(frame_set_named(&set, "") == &set.profiles[0] && !frame_set_named(&set, "x"));
	frame_set_done(&set);
}

/* Junk alone changes nothing in a message: what clients of plain servers do. */
static void only_what_changes_a_message_makes_a_profile_not_plain(void)
{
	static const struct {
		const char *text;
		bool is_plain, is_protected;
	} cases[] = {
		{ "", true, false },
		{ "jc=4 jmin=1 jmax=9 i1=<r 5>", true, false },
		{ "rekey_after_time=100-120", true, false },
		{ "s4=1", false, false },
		{ "h4=5", false, false },
		{ "h1=1-1", true, false },
		{ "random_trailers=1", false, false },
		{ "content_padding_addition=1-2", false, false },
		{ "s1=12 s2=12 s3=12 s4=12 header_protection_key=" KEY_A, false, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const profiles[][2] = { { "", cases[i].text } };
		struct frame_set set = make(NULL, 1, profiles);

		CHECK(set.profiles[0].is_plain == cases[i].is_plain);
		CHECK(set.profiles[0].is_protected == cases[i].is_protected);
		frame_set_done(&set);
	}
}

static void timers_that_are_not_given_are_those_of_wireguard(void)
{
	const char *const profiles[][2] = { { "", "reject_after_time=150-170 "
						  "max_handshake_attempts=3" } };
	struct frame_set set = make(NULL, 1, profiles);
	const struct frame_timers *t = &set.profiles[0].timers;

	CHECK(t->reject_after.lo == 150 && t->reject_after.hi == 170);
	CHECK(t->max_attempts.lo == 3 && t->max_attempts.hi == 3);
	CHECK(t->rekey_after.hi == 120 && t->rekey_timeout.lo == 5);
	CHECK(t->keepalive_timeout.hi == 10);
	frame_set_done(&set);
}

/* ---- numbers ---- */

static uint32_t number(const struct frame_set *set, const char *name)
{
	return frame_set_named(set, name)->number;
}

static void a_profile_keeps_its_number_when_its_neighbours_come_and_go(void)
{
	const char *const first[][2] = { { "", "" }, { "a", "s1=1" }, { "b", "s1=2" } };
	const char *const then[][2] = { { "", "" }, { "c", "s1=3" }, { "b", "s1=2" } };
	struct frame_set one = make(NULL, 3, first), two = make(&one, 3, then);
	const char *const last[][2] = { { "", "" }, { "a", "s1=9" } };
	struct frame_set three = make(&two, 2, last);

	CHECK(number(&one, "") == number(&two, "") && number(&one, "b") == number(&two, "b"));
	CHECK(number(&two, "c") != number(&one, "a"));	/* peers heard under a are not c's */
	CHECK(number(&three, "a") > number(&two, "c")); /* nor is a number given twice */
	frame_set_done(&one);
	frame_set_done(&two);
	frame_set_done(&three);
}

/* The new parameters take the name, the old ones live on under another: whoever was heard
 * under them is found there. */
static void in_a_rotation_peers_stay_with_the_parameters_they_have(void)
{
	const char *const first[][2] = { { "", "" }, { "level", "s1=1 h1=77" } };
	const char *const then[][2] = { { "", "" },
					{ "level", "s1=2 h1=88" },
					{ "level.old", "s1=1 h1=77 jc=3 jmax=9" } };
	struct frame_set one = make(NULL, 2, first), two = make(&one, 3, then);

	CHECK(number(&two, "level.old") == number(&one, "level"));
	CHECK(number(&two, "level") != number(&one, "level"));
	frame_set_done(&one);
	frame_set_done(&two);
}

static void new_parameters_under_an_old_name_keep_the_number(void)
{
	const char *const first[][2] = { { "", "s1=5" } }, *const then[][2] = { { "",
										  "s1=6" } };
	struct frame_set one = make(NULL, 1, first), two = make(&one, 1, then);

	CHECK(number(&one, "") == number(&two, ""));
	frame_set_done(&one);
	frame_set_done(&two);
}

/* Whether the other end can be told from its initiation how it wants to be answered. */
static void profiles_clash_when_initiations_look_alike_and_the_rest_does_not(void)
{
	static const struct {
		const char *one, *other;
		bool do_clash;
	} cases[] = {
		{ "", "", false },
		{ "s1=1", "s1=1 jc=5 jmax=9 rekey_after_time=77 i1=<r 1>", false },
		{ "s1=1", "s1=2", false },
		{ "s1=1", "s1=1 s2=1", true },
		{ "s1=1", "s1=1 s3=1", true },
		{ "s1=1", "s1=1 s4=1", true },
		{ "s1=1", "s1=1 h2=9", true },
		{ "s1=1", "s1=1 h3=9", true },
		{ "s1=1", "s1=1 h4=9", true },
		{ "h1=10-20", "h1=21-30", false },
		{ "h1=10-20", "h1=20-30", true },
		{ "h1=5 s2=1", "h1=5 s2=2", true },
		{ "s1=1 s2=1", "s1=2 s2=2", false },
		{ "s1=1", "s1=1 random_trailers=1", false }, /* the length tells */
		{ "s1=1", "s1=1 s4=1 random_trailers=1", true },
		{ "s1=12 s2=12 s3=12 s4=12",
		  "s1=12 s2=12 s3=12 s4=12 header_protection_key=" KEY_A, false },
		{ "s1=12 s2=12 s3=12 s4=12 header_protection_key=" KEY_B,
		  "s1=12 s2=12 s3=12 s4=12 header_protection_key=" KEY_A, false },
		{ "s1=12 s2=12 s3=12 s4=12 header_protection_key=" KEY_A,
		  "s1=12 s2=12 s3=12 s4=13 header_protection_key=" KEY_A, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame_parameters a = parameters_of(cases[i].one);
		struct frame_parameters b = parameters_of(cases[i].other);

		CHECK(frame_parameters_clash(&a, &b) == cases[i].do_clash);
		CHECK(frame_parameters_clash(&b, &a) == cases[i].do_clash);
		frame_parameters_done(&a);
		frame_parameters_done(&b);
	}
}

static void names_are_short_and_without_blanks(void)
{
	CHECK(frame_is_name("a-B_9.x", 7) && !frame_is_name("", 0) && !frame_is_name("a b", 3));
	CHECK(frame_is_name("0123456789012345678901234567890", 31));
	CHECK(!frame_is_name("01234567890123456789012345678901", 32));
	CHECK(!frame_is_name("a=b", 3) && !frame_is_name("a\n", 2));
}

/* 1500 less 40 + 8 + 32, less S4; by hand. */
static void the_mtu_knows_the_padding_of_data(void)
{
	CHECK(frame_mtu(1500, 0, false) == 1420 && frame_mtu(1500, 0, true) == 1440);
	CHECK(frame_mtu(1500, 20, false) == 1400 && frame_mtu(1500, 12, true) == 1428);
	CHECK(frame_mtu(1360, 0, false) == 1280 && frame_mtu(1000, 60000, false) == 1280);
	CHECK(frame_mtu(9000, 16, false) == 8904 && frame_mtu(0, 0, true) == 1280);
}

int main(void)
{
	RUN(the_first_set_is_plain_wireguard);
	RUN(only_what_changes_a_message_makes_a_profile_not_plain);
	RUN(timers_that_are_not_given_are_those_of_wireguard);
	RUN(a_profile_keeps_its_number_when_its_neighbours_come_and_go);
	RUN(in_a_rotation_peers_stay_with_the_parameters_they_have);
	RUN(new_parameters_under_an_old_name_keep_the_number);
	RUN(profiles_clash_when_initiations_look_alike_and_the_rest_does_not);
	RUN(names_are_short_and_without_blanks);
	RUN(the_mtu_knows_the_padding_of_data);
	return DONE();
}
