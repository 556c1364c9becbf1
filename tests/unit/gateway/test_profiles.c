/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of profiles: what is missing, what has ended, what takes whose place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "gateway/profiles.h"

static const uint64_t NOW_NS = UINT64_C(1700000000000000000);
static const uint64_t DAY_NS = UINT64_C(86400000000000);

/* A store that keeps the rows of the last change. */
struct fake_store {
	struct store store;
	struct profile_rows kept;
	size_t applied;
	int fail_load, fail_apply;
};

static struct fake_store store;
static struct generator generator;

static int apply(struct store *s, struct store_change *c)
{
	struct fake_store *f = (struct fake_store *)s;

	f->applied++;
	if (f->fail_apply)
		return f->fail_apply;
	profile_rows_done(&f->kept);
	for (size_t i = 0; i < c->n_profiles; i++) {
		f->kept.texts[i] = (struct text){ .data = NULL };
		text_puts(&f->kept.texts[i], c->profiles[i].parameters);
		f->kept.rows[i] = c->profiles[i];
		f->kept.rows[i].parameters = f->kept.texts[i].data;
	}
	f->kept.n = c->n_profiles;
	return 0;
}

static int load(struct store *s, store_profile_visitor visit, void *context)
{
	struct fake_store *f = (struct fake_store *)s;
	int err = f->fail_load;

	for (size_t i = 0; i < f->kept.n && err == 0; i++)
		err = visit(context, &f->kept.rows[i]);
	return err;
}

static const struct store_ops fake_ops = { .apply = apply, .load_profiles = load };

static void prepare_store(void)
{
	static const uint8_t seed[GENERATOR_SEED_LEN] = { 42 };

	profile_rows_done(&store.kept);
	store = (struct fake_store){ .store = { &fake_ops } };
	generator_init(&generator, seed);
}

/* Rows without drawing anything. */
static void put_row(const char *name, enum frame_level level, const char *parameters,
		    uint64_t until_ns)
{
	struct profile_rows *k = &store.kept;

	k->texts[k->n] = (struct text){ .data = NULL };
	text_puts(&k->texts[k->n], parameters);
	k->rows[k->n] = (struct store_profile){ .level = level,
						.parameters = k->texts[k->n].data,
						.created_ns = 5,
						.until_ns = until_ns };
	snprintf(k->rows[k->n].name, sizeof(k->rows[0].name), "%s", name);
	k->n++;
}

static void fill(struct profiles *p)
{
	struct profiles none = { .n = 0 };
	bool differs = false;

	p->n = 0;
	CHECK(profiles_complete(&none, &generator, NOW_NS, p, &differs) == 0 && differs);
}

static int rotate(struct profiles *p, enum frame_level level, uint64_t until_ns,
		  uint64_t now_ns)
{
	struct profiles after = { .n = 0 };
	int err = profiles_rotate(p, level, until_ns, &generator, now_ns, &after);

	if (err == 0) {
		profiles_done(p);
		*p = after;
	}
	return err;
}

static void every_level_but_off_gets_parameters_of_its_own(void)
{
	static const char *const names[] = { "low", "medium", "high", "extreme" };
	struct profiles p;

	prepare_store();
	fill(&p);
	CHECK(p.n == 4 && !profiles_current(&p, FRAME_OFF));
	for (size_t i = 0; i < p.n; i++) {
		struct diag d = { .text = "" };

		CHECK(strcmp(p.all[i].name, names[i]) == 0);
		CHECK(p.all[i].level == FRAME_LOW + i && p.all[i].until_ns == 0);
		CHECK(p.all[i].created_ns == NOW_NS);
		CHECK(!frame_parameters_are_plain(&p.all[i].parameters));
		CHECK(frame_parameters_check(&p.all[i].parameters, &d) == FRAME_RULE_NONE);
		for (size_t k = 0; k < i; k++)
			CHECK(!frame_parameters_match(&p.all[i].parameters,
						      &p.all[k].parameters));
	}
	profiles_done(&p);
}

static void a_complete_list_stays_as_it_is(void)
{
	struct profiles p, again = { .n = 0 };
	bool differs = true;

	prepare_store();
	fill(&p);
	CHECK(profiles_complete(&p, &generator, NOW_NS, &again, &differs) == 0 && !differs);
	CHECK(again.n == 4);
	for (size_t i = 0; i < 4; i++)
		CHECK(frame_parameters_match(&p.all[i].parameters, &again.all[i].parameters));
	profiles_done(&p);
	profiles_done(&again);
}

static void what_was_stored_is_read_back_to_the_last_parameter(void)
{
	struct profiles p = { .n = 0 };
	struct diag d = { .text = "" };

	prepare_store();
	CHECK(profiles_prepare(&store.store, &generator, NOW_NS, &d) == 0);
	CHECK(store.applied == 1 && store.kept.n == 4);
	CHECK(profiles_load(&store.store, &p, &d) == 0 && p.n == 4);
	for (size_t i = 0; i < p.n; i++) {
		struct text text = { .data = NULL };

		uapi_profile_put(&text, p.all[i].name, &p.all[i].parameters, 0);
		CHECK(strcmp(strchr(text.data, ' ') + 1, store.kept.rows[i].parameters) == 0);
		text_done(&text);
	}
	/* The next start changes nothing. */
	CHECK(profiles_prepare(&store.store, &generator, NOW_NS + DAY_NS, &d) == 0);
	CHECK(store.applied == 1);
	profiles_done(&p);
}

static void a_rotated_level_keeps_its_former_parameters_for_a_while(void)
{
	struct frame_parameters former;
	const struct profile *one;
	struct profiles p;

	prepare_store();
	fill(&p);
	CHECK(frame_parameters_copy(&former, &profiles_named(&p, "high")->parameters) == 0);
	CHECK(rotate(&p, FRAME_HIGH, NOW_NS + DAY_NS, NOW_NS + 5) == 0);
	CHECK(p.n == 5);
	one = profiles_named(&p, "high.1");
	CHECK(one && one->until_ns == NOW_NS + DAY_NS && one->created_ns == NOW_NS);
	CHECK(one && frame_parameters_match(&one->parameters, &former));
	one = profiles_current(&p, FRAME_HIGH);
	CHECK(one && one->until_ns == 0 && one->created_ns == NOW_NS + 5);
	CHECK(one && !frame_parameters_match(&one->parameters, &former));
	/* The current one stands before the former ones of its level. */
	CHECK(strcmp(p.all[2].name, "high") == 0 && strcmp(p.all[3].name, "high.1") == 0);
	frame_parameters_done(&former);
	profiles_done(&p);
}

static void former_ones_end_with_the_next_change(void)
{
	struct profiles p, later = { .n = 0 };
	bool differs = false;

	prepare_store();
	fill(&p);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + DAY_NS, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + 3 * DAY_NS, NOW_NS + 1) == 0);
	CHECK(p.n == 6 && profiles_named(&p, "low.1") && profiles_named(&p, "low.2"));
	CHECK(rotate(&p, FRAME_EXTREME, NOW_NS + 9 * DAY_NS, NOW_NS + DAY_NS) == 0);
	CHECK(p.n == 6 && !profiles_named(&p, "low.1") && profiles_named(&p, "low.2"));
	/* And at a start, which then has something to store. */
	CHECK(profiles_complete(&p, &generator, NOW_NS + 4 * DAY_NS, &later, &differs) == 0);
	CHECK(differs && later.n == 5 && !profiles_named(&later, "low.2"));
	profiles_done(&p);
	profiles_done(&later);
}

static void parameters_that_shall_not_be_kept_are_gone_at_once(void)
{
	struct profiles p;

	prepare_store();
	fill(&p);
	CHECK(rotate(&p, FRAME_MEDIUM, NOW_NS, NOW_NS) == 0);
	CHECK(p.n == 4 && profiles_current(&p, FRAME_MEDIUM));
	profiles_done(&p);
}

static void the_interface_has_room_for_so_many(void)
{
	struct profiles p;

	prepare_store();
	fill(&p);
	for (size_t i = p.n; i < STORE_PROFILES_MAX; i++)
		CHECK(rotate(&p, FRAME_HIGH, NOW_NS + DAY_NS + i, NOW_NS) == 0);
	CHECK(p.n == STORE_PROFILES_MAX);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + DAY_NS, NOW_NS) == ERR_EXHAUSTED);
	CHECK(p.n == STORE_PROFILES_MAX && profiles_current(&p, FRAME_LOW));
	/* One that is to be forgotten needs no room. */
	CHECK(rotate(&p, FRAME_LOW, NOW_NS, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + 9 * DAY_NS, NOW_NS + 2 * DAY_NS) == 0);
	CHECK(p.n == 5);
	profiles_done(&p);
}

static void a_former_one_can_end_before_its_time(void)
{
	struct profiles p, after = { .n = 0 };

	prepare_store();
	fill(&p);
	CHECK(rotate(&p, FRAME_HIGH, NOW_NS + DAY_NS, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_HIGH, NOW_NS + 2 * DAY_NS, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + 3 * DAY_NS, NOW_NS) == 0);
	CHECK(profiles_drop(&p, "high", NOW_NS, &after) == ERR_RANGE);
	CHECK(profiles_drop(&p, "high.3", NOW_NS, &after) == ERR_UNKNOWN);
	CHECK(profiles_drop(&p, "off", NOW_NS, &after) == ERR_UNKNOWN && after.n == 0);
	/* high.1 has ended by then; nobody needs it in the new list. */
	CHECK(profiles_drop(&p, "high.2", NOW_NS + DAY_NS, &after) == 0);
	CHECK(after.n == 5 && profiles_current(&after, FRAME_HIGH));
	CHECK(profiles_named(&after, "low.1") && !profiles_named(&after, "high.2"));
	CHECK(!profiles_named(&after, "high.1"));
	CHECK(frame_parameters_match(&profiles_named(&after, "low.1")->parameters,
				     &profiles_named(&p, "low.1")->parameters));
	profiles_done(&p);
	profiles_done(&after);
}

static void ended_ones_take_no_room(void)
{
	struct profiles p;

	prepare_store();
	fill(&p);
	CHECK(profiles_room(&p, NOW_NS) == STORE_PROFILES_MAX - 4);
	CHECK(profiles_former(&p, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_HIGH, NOW_NS + DAY_NS, NOW_NS) == 0);
	CHECK(rotate(&p, FRAME_LOW, NOW_NS + 2 * DAY_NS, NOW_NS) == 0);
	CHECK(profiles_room(&p, NOW_NS) == STORE_PROFILES_MAX - 6);
	CHECK(profiles_former(&p, NOW_NS) == 2);
	CHECK(profiles_room(&p, NOW_NS + DAY_NS) == STORE_PROFILES_MAX - 5);
	CHECK(profiles_former(&p, NOW_NS + DAY_NS) == 1);
	profiles_done(&p);
}

static void level_off_has_nothing_to_rotate(void)
{
	struct profiles p;

	prepare_store();
	fill(&p);
	CHECK(rotate(&p, FRAME_OFF, NOW_NS + DAY_NS, NOW_NS) == ERR_RANGE);
	profiles_done(&p);
}

static void a_profile_that_breaks_a_rule_is_corruption(void)
{
	struct profiles p = { .n = 0 };
	struct diag d = { .text = "" };

	prepare_store();
	put_row("low", FRAME_LOW, "jc=4 jmin=8 jmax=40", 0);
	put_row("high", FRAME_HIGH, "h1=5 h2=5", 0);
	CHECK(profiles_load(&store.store, &p, &d) == ERR_CORRUPT && p.n == 0);
	CHECK(strstr(d.text, "high") && strstr(d.text, "header-overlap"));
}

static void a_row_for_the_interface_says_until_when(void)
{
	struct uapi_profile wire = { .until_s = 7 };
	struct diag d = { .text = "" };

	prepare_store();
	put_row("high.1", FRAME_HIGH, "jc=4 jmin=8 jmax=40 i1=<b 0x00><r 5>", NOW_NS);
	CHECK(profile_row_read(&store.kept.rows[0], &wire, &d) == 0);
	CHECK(strcmp(wire.name, "high.1") == 0 && wire.until_s == 1700000000);
	CHECK(wire.parameters.jc == 4 && wire.parameters.signature[0]);
	frame_parameters_done(&wire.parameters);
}

static void what_cannot_be_stored_is_said(void)
{
	struct diag d = { .text = "" };

	prepare_store();
	store.fail_apply = -ENOSPC;
	CHECK(profiles_prepare(&store.store, &generator, NOW_NS, &d) == -ENOSPC && d.text[0]);
	d.text[0] = '\0';
	store.fail_load = -EIO;
	CHECK(profiles_prepare(&store.store, &generator, NOW_NS, &d) == -EIO && d.text[0]);
	profile_rows_done(&store.kept);
}

/* The interface would refuse them all; by chance alone one draw of some thousand is such. */
static void what_is_drawn_can_be_told_apart(void)
{
	size_t clashes = 0;

	prepare_store();
	for (int round = 0; round < 30000; round++) {
		struct profiles p;

		fill(&p);
		for (size_t i = 0; i < p.n; i++)
			for (size_t k = 0; k < i; k++)
				clashes += frame_parameters_clash(&p.all[i].parameters,
								  &p.all[k].parameters);
		profiles_done(&p);
	}
	CHECK(clashes == 0);
}

static void a_rotated_level_can_be_told_from_its_former_one(void)
{
	struct profiles p;
	size_t clashes = 0;

	prepare_store();
	fill(&p);
	for (int round = 0; round < 30000; round++) {
		uint64_t now_ns = NOW_NS + (uint64_t)round * DAY_NS;

		CHECK(rotate(&p, FRAME_LOW, now_ns + DAY_NS, now_ns) == 0);
		clashes += frame_parameters_clash(&profiles_current(&p, FRAME_LOW)->parameters,
						  &profiles_named(&p, "low.1")->parameters);
	}
	CHECK(clashes == 0);
	profiles_done(&p);
}

int main(void)
{
	RUN(every_level_but_off_gets_parameters_of_its_own);
	RUN(what_is_drawn_can_be_told_apart);
	RUN(a_rotated_level_can_be_told_from_its_former_one);
	RUN(a_complete_list_stays_as_it_is);
	RUN(what_was_stored_is_read_back_to_the_last_parameter);
	RUN(a_rotated_level_keeps_its_former_parameters_for_a_while);
	RUN(former_ones_end_with_the_next_change);
	RUN(parameters_that_shall_not_be_kept_are_gone_at_once);
	RUN(the_interface_has_room_for_so_many);
	RUN(a_former_one_can_end_before_its_time);
	RUN(ended_ones_take_no_room);
	RUN(level_off_has_nothing_to_rotate);
	RUN(a_profile_that_breaks_a_rule_is_corruption);
	RUN(a_row_for_the_interface_says_until_when);
	RUN(what_cannot_be_stored_is_said);
	return DONE();
}
