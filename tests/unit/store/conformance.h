/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h - What every kind of store does, as tests
 *
 * Whoever includes it says how a store of its kind is opened, and how SQL is run beside it.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "store/store.h"

/* From now on there is another, empty place. */
static void fresh_place(void);
/* Open what is in the place. */
static int open_place(const struct store_config *config, struct store **ret, struct diag *d);
/* Beside the store that is open. */
static void run_sql(const char *sql);
static int count_sql(const char *sql);

static const struct secret_key master = { { 9, 9, 9 } };

static struct store_config config_of(uint8_t gateway)
{
	return (struct store_config){
		.interface = "wg0", .public_key = { gateway }, .now_ns = 1000, .master = &master
	};
}

static struct store *reopen(void)
{
	struct store *s = NULL;
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };

	if (open_place(&config, &s, &d) != 0) {
		printf("# %s\n", d.text);
		fflush(stdout);
		abort();
	}
	return s;
}

static struct store *fresh(void)
{
	fresh_place();
	return reopen();
}

static struct store_change addition(uint8_t n)
{
	struct store_change c = {
		.kind = STORE_ADD_PEER,
		.now_ns = 5000,
		.who = "test",
		.action = "peer.create",
		.peer = {
			.public_key = { n, 1, 2, 3 },
			.v4 = { ADDR_V4, { 10, 0, 1, n } },
			.v6 = { ADDR_V6, { 0xfd, [15] = n } },
			.status = STORE_PEER_ACTIVE,
			.families = STORE_IPV4 | STORE_IPV6,
			.port = 40001,
			.dns = "d2",
			.keepalive_s = 25,
		},
	};

	snprintf(c.peer.name, sizeof(c.peer.name), "peer%u", n);
	return c;
}

/* All of the peer that @c has added, once more. */
static struct store_change change_of(const struct store_change *c, uint64_t now_ns)
{
	struct store_change change = { .kind = STORE_CHANGE_PEER,
				       .now_ns = now_ns,
				       .who = "test",
				       .action = "peer.update",
				       .peer = c->peer };

	change.peer.changed_ns = now_ns;
	return change;
}

static struct store_change signed_with(uint8_t digest, uint64_t signed_s)
{
	return (struct store_change){
		.kind = STORE_NO_CHANGE,
		.has_signature = true,
		.digest = { digest },
		.signed_s = signed_s,
	};
}

/* All profiles there shall be: "low" and as many of level high as @n says. */
static struct store_change profiles(struct store_profile list[STORE_PROFILES_MAX], size_t n)
{
	list[0] = (struct store_profile){ .name = "low",
					  .level = FRAME_LOW,
					  .parameters = "jc=4 jmin=8 i1=<b 0x00><r 5>",
					  .created_ns = 11 };
	for (size_t i = 1; i <= n; i++) {
		list[i] = (struct store_profile){ .level = FRAME_HIGH,
						  .parameters = "jc=9",
						  .until_ns = i };
		snprintf(list[i].name, sizeof(list[i].name), "high.%zu", i);
	}
	return (struct store_change){ .kind = STORE_SET_PROFILES,
				      .now_ns = 7000,
				      .who = "test",
				      .action = "level.rotate",
				      .subject = "level high",
				      .profiles = list,
				      .n_profiles = n + 1 };
}

/* --- What a store holds, collected --- */

struct seen {
	struct store_peer peers[300];
	struct store_resting resting[300];
	struct store_signature signatures[300];
	struct store_profile profiles[STORE_PROFILES_MAX];
	char parameters[STORE_PROFILES_MAX][64];
	unsigned int n_peers, n_resting, n_signatures, n_profiles;
	uint64_t floor_s;
};

static int see_peer(void *context, const struct store_peer *p)
{
	struct seen *seen = context;

	seen->peers[seen->n_peers++] = *p;
	return 0;
}

static int see_resting(void *context, const struct store_resting *r)
{
	struct seen *seen = context;

	seen->resting[seen->n_resting++] = *r;
	return 0;
}

static int see_profile(void *context, const struct store_profile *p)
{
	struct seen *seen = context;
	char *parameters = seen->parameters[seen->n_profiles];

	snprintf(parameters, sizeof(seen->parameters[0]), "%s", p->parameters);
	seen->profiles[seen->n_profiles] = *p;
	seen->profiles[seen->n_profiles++].parameters = parameters;
	return 0;
}

static int see_signature(void *context, const struct store_signature *one)
{
	struct seen *seen = context;

	seen->signatures[seen->n_signatures++] = *one;
	return 0;
}

static struct seen *look(struct store *s)
{
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	CHECK(store_load_peers(s, see_peer, &seen) == 0);
	CHECK(store_load_resting(s, see_resting, &seen) == 0);
	CHECK(store_load_profiles(s, see_profile, &seen) == 0);
	CHECK(store_load_signatures(s, see_signature, &seen, &seen.floor_s) == 0);
	return &seen;
}

/* --- Tests --- */

static void what_was_applied_is_there_after_reopening(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	snprintf(b.peer.obfuscation, sizeof(b.peer.obfuscation), "{\"jc\":4}");
	b.peer.name[0] = '\0';
	b.peer.level = FRAME_EXTREME;
	b.peer.v6.family = ADDR_NONE;
	memset(b.peer.v6.b, 0, sizeof(b.peer.v6.b));
	a.next = &b;
	CHECK(store_apply(s, &a) == 0);
	CHECK(a.result == 0 && b.result == 0);
	CHECK(a.peer.id > 0 && b.peer.id > a.peer.id);
	store_free(s);

	s = reopen();
	struct seen *seen = look(s);

	CHECK(seen->n_peers == 2);
	CHECK(seen->peers[0].id == a.peer.id && seen->peers[1].id == b.peer.id);
	CHECK(memcmp(seen->peers[0].public_key, a.peer.public_key, 32) == 0);
	CHECK(strcmp(seen->peers[0].name, "peer2") == 0 && seen->peers[1].name[0] == '\0');
	CHECK(ip_addr_equal(&seen->peers[0].v4, &a.peer.v4));
	CHECK(ip_addr_equal(&seen->peers[0].v6, &a.peer.v6));
	CHECK(seen->peers[1].v6.family == ADDR_NONE);
	CHECK(seen->peers[0].port == 40001 && seen->peers[0].families == 3);
	CHECK(strcmp(seen->peers[0].dns, "d2") == 0);
	CHECK(strcmp(seen->peers[1].obfuscation, "{\"jc\":4}") == 0);
	CHECK(seen->peers[0].level == FRAME_OFF && seen->peers[1].level == FRAME_EXTREME);
	CHECK(seen->peers[0].created_ns == 5000 && seen->peers[0].changed_ns == 5000);
	store_free(s);
}

static void a_refused_change_does_not_spoil_its_group(void)
{
	struct store *s = fresh();
	struct store_change first = addition(2), same_key = addition(3),
			    same_name = addition(4);
	struct store_change same_ip = addition(5), last = addition(6), unknown = addition(7);

	memcpy(same_key.peer.public_key, first.peer.public_key, 32);
	memcpy(same_name.peer.name, first.peer.name, sizeof(first.peer.name));
	same_ip.peer.v6 = first.peer.v6;
	unknown.kind = STORE_CHANGE_PEER;
	unknown.peer.id = 4711;
	first.next = &same_key;
	same_key.next = &same_name;
	same_name.next = &same_ip;
	same_ip.next = &unknown;
	unknown.next = &last;
	CHECK(store_apply(s, &first) == 0);
	CHECK(first.result == 0 && last.result == 0);
	CHECK(same_key.result == ERR_EXISTS);
	CHECK(same_name.result == ERR_EXISTS);
	CHECK(same_ip.result == ERR_EXISTS);
	CHECK(unknown.result == ERR_UNKNOWN);

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 2); /* nothing half: same_ip had its IPv4 row already */
	CHECK(seen->peers[1].v4.b[3] == 6);

	/* The IPv4 address of the refused one is still free. */
	struct store_change again = addition(5);

	CHECK(store_apply(s, &again) == 0 && again.result == 0);
	store_free(s);
}

static void a_signature_stands_or_falls_with_its_change(void)
{
	struct store *s = fresh();
	struct store_change first = addition(2), refused = addition(3),
			    plain = signed_with(3, 70);

	first.has_signature = refused.has_signature = true;
	first.digest[0] = 1;
	first.signed_s = 60;
	refused.digest[0] = 2;
	memcpy(refused.peer.public_key, first.peer.public_key, 32);
	first.next = &refused;
	refused.next = &plain;
	CHECK(store_apply(s, &first) == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_signatures == 2);
	CHECK(seen->signatures[0].digest[0] == 1 && seen->signatures[0].signed_s == 60);
	CHECK(seen->signatures[1].digest[0] == 3 && seen->signatures[1].signed_s == 70);
	store_free(s);
}

static void status_changes_and_removal_last(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	a.next = &b;
	CHECK(store_apply(s, &a) == 0);

	struct store_change suspend = change_of(&a, 6000);

	suspend.peer.status = STORE_PEER_SUSPENDED;

	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = b.peer.id } };

	suspend.next = &drop;
	CHECK(store_apply(s, &suspend) == 0);
	CHECK(suspend.result == 0 && drop.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->n_resting == 0);
	CHECK(seen->peers[0].status == STORE_PEER_SUSPENDED);
	CHECK(seen->peers[0].changed_ns == 6000 && seen->peers[0].created_ns == 5000);

	drop.next = NULL;
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	store_free(s);
}

static void removed_addresses_rest_and_then_serve_again(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), early = addition(2), late = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change drop = { .kind = STORE_REMOVE_PEER,
				     .rest_until_ns = 9000,
				     .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 0 && seen->n_resting == 2);
	CHECK(seen->resting[0].until_ns == 9000);

	early.now_ns = 8999;
	CHECK(store_apply(s, &early) == 0 && early.result == ERR_EXISTS);
	late.now_ns = 9000;
	CHECK(store_apply(s, &late) == 0 && late.result == 0);
	CHECK(look(s)->n_resting == 0);
	store_free(s);
}

static void profiles_are_replaced_as_a_whole_beside_other_changes(void)
{
	struct store *s = fresh();
	struct store_profile first[STORE_PROFILES_MAX], second[STORE_PROFILES_MAX];
	struct store_change many = profiles(first, 3), fewer = profiles(second, 1);
	struct store_change a = addition(2);

	CHECK(look(s)->n_profiles == 0);
	many.next = &a;
	CHECK(store_apply(s, &many) == 0 && many.result == 0 && a.result == 0);
	CHECK(look(s)->n_profiles == 4 && look(s)->n_peers == 1);
	second[1].until_ns = 0;
	CHECK(store_apply(s, &fewer) == 0 && fewer.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_profiles == 2);
	CHECK(strcmp(seen->profiles[0].name, "high.1") == 0 && seen->profiles[0].until_ns == 0);
	CHECK(seen->profiles[0].level == FRAME_HIGH);
	CHECK(strcmp(seen->profiles[1].name, "low") == 0 && seen->profiles[1].created_ns == 11);
	CHECK(strcmp(seen->profiles[1].parameters, "jc=4 jmin=8 i1=<b 0x00><r 5>") == 0);
	store_free(s);
}

static void profiles_that_contradict_each_other_change_nothing(void)
{
	struct store *s = fresh();
	struct store_profile good[STORE_PROFILES_MAX], bad[STORE_PROFILES_MAX];
	struct store_change first = profiles(good, 1), refused = profiles(bad, 2);
	struct store_change a = addition(2);

	memcpy(bad[2].name, bad[1].name, sizeof(bad[2].name));
	CHECK(store_apply(s, &first) == 0);
	refused.next = &a;
	CHECK(store_apply(s, &refused) == 0);
	CHECK(refused.result == ERR_EXISTS && a.result == 0);
	CHECK(look(s)->n_profiles == 2 && look(s)->n_peers == 1);
	store_free(s);
}

static void ids_are_never_used_again(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	CHECK(store_apply(s, &a) == 0);

	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0);
	CHECK(store_apply(s, &b) == 0);
	CHECK(b.peer.id > a.peer.id);
	store_free(s);
}

static void old_signatures_are_forgotten_and_leave_a_floor(void)
{
	struct store *s = fresh();
	struct store_change one = signed_with(1, 100), two = signed_with(2, 250);
	struct store_change three = signed_with(3, 300);

	one.next = &two;
	CHECK(store_apply(s, &one) == 0);
	CHECK(look(s)->n_signatures == 2 && look(s)->floor_s == 0);
	three.forget_before_s = 240;
	CHECK(store_apply(s, &three) == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_signatures == 2 && seen->signatures[0].digest[0] == 2);
	CHECK(seen->floor_s == 100);
	store_free(s);
}

static void a_killed_process_loses_nothing_acknowledged(void)
{
	enum { RUNS = 10 };

	for (int run = 0; run < RUNS; run++) {
		int acknowledged[2];
		uint8_t n = 2, last = 0;

		fresh_place();
		store_free(reopen());
		if (pipe(acknowledged) != 0)
			abort();

		pid_t child = fork();

		if (child == 0) {
			struct store *s = reopen();

			for (; n < 250; n++) {
				struct store_change c = addition(n);

				if (store_apply(s, &c) != 0 || c.result != 0 ||
				    write(acknowledged[1], &n, 1) != 1)
					_exit(1);
				if (n % 16 == 0)
					store_maintain(s);
			}
			pause();
		}
		close(acknowledged[1]);
		/* Kill after a certain number of acknowledgements, at no certain point. */
		for (int i = 0; i < 5 + 17 * run && read(acknowledged[0], &last, 1) == 1; i++)
			;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(acknowledged[0], &n, 1) == 1)
			last = n;
		close(acknowledged[0]);

		struct store *s = reopen();
		struct seen *seen = look(s);

		CHECK(seen->n_peers >= last - 1U && seen->n_peers <= last + 0U);
		for (unsigned int i = 0; i < seen->n_peers; i++)
			CHECK(seen->peers[i].v4.b[3] == i + 2);
		store_free(s);
	}
}

static void a_rotated_level_leaves_a_row_for_the_audit(void)
{
	struct store *s = fresh();
	struct store_profile list[STORE_PROFILES_MAX];
	struct store_change c = profiles(list, 1), silent = profiles(list, 1);

	silent.who[0] = '\0'; /* what the gateway draws for itself at its first start */
	silent.next = &c;
	CHECK(store_apply(s, &silent) == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit") == 1);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE time_ns = 7000 AND who = 'test' AND"
			" action = 'level.rotate' AND subject = 'level high'") == 1);
}

static void a_changed_level_lasts(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change level = change_of(&a, 6000);

	level.peer.level = FRAME_EXTREME;

	CHECK(store_apply(s, &level) == 0 && level.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE action = 'peer.update' AND"
			" subject = 'peer 1 peer2'") == 1);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->peers[0].level == FRAME_EXTREME);
	CHECK(seen->peers[0].status == STORE_PEER_ACTIVE && seen->peers[0].changed_ns == 6000);
	level.peer.id++;
	CHECK(store_apply(s, &level) == 0 && level.result == ERR_UNKNOWN);
	store_free(s);
}

static void a_dropped_profile_leaves_a_row_for_the_audit(void)
{
	struct store *s = fresh();
	struct store_profile list[STORE_PROFILES_MAX];
	struct store_change c = profiles(list, 1);

	snprintf(c.action, sizeof(c.action), "profile.drop");
	snprintf(c.subject, sizeof(c.subject), "profile high.2");
	CHECK(store_apply(s, &c) == 0 && c.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE action = 'profile.drop' AND"
			" subject = 'profile high.2'") == 1);
}

static void joined_changes_stand_or_fall_together(void)
{
	struct store *s = fresh();
	struct store_change before = addition(2), one = addition(3), two = addition(4),
			    three = addition(5), after = addition(6);

	memcpy(two.peer.name, before.peer.name, sizeof(two.peer.name)); /* taken */
	two.is_joined = three.is_joined = true;
	before.next = &one;
	one.next = &two;
	two.next = &three;
	three.next = &after;
	CHECK(store_apply(s, &before) == 0);
	CHECK(before.result == 0 && after.result == 0);
	CHECK(one.result == -ECANCELED && two.result == ERR_EXISTS &&
	      three.result == -ECANCELED);
	CHECK(look(s)->n_peers == 2);

	struct store_change again = addition(3), more = addition(4);

	more.is_joined = true;
	again.next = &more;
	CHECK(store_apply(s, &again) == 0 && again.result == 0 && more.result == 0);
	CHECK(look(s)->n_peers == 4);
	store_free(s);
}

static void a_moved_peer_leaves_its_address_to_rest(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change move = change_of(&a, 6000);

	move.is_moved = true;
	move.rest_until_ns = 9000;
	move.peer.v4.b[3] = 77; /* and its IPv6 address stays */
	CHECK(store_apply(s, &move) == 0 && move.result == 0);

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->peers[0].v4.b[3] == 77);
	CHECK(seen->peers[0].v6.b[15] == 2);
	CHECK(seen->n_resting == 1 && seen->resting[0].ip.b[3] == 2);
	store_free(s);
}

static void a_peer_keeps_what_it_may(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);
	struct seen *seen;

	a.peer.expires_ns = 11;
	a.peer.quota_bytes = 12;
	a.peer.quota_period = STORE_PERIOD_WEEK;
	a.peer.rate_bps = 13;
	a.peer.keepalive_s = 14;
	a.peer.blocked = STORE_BLOCK_QUOTA;
	a.peer.routes = "10.9.0.0/16";
	a.peer.note = "the blue one";
	CHECK(store_apply(s, &a) == 0);
	store_free(s);
	s = reopen();
	seen = look(s);
	CHECK(seen->peers[0].expires_ns == 11 && seen->peers[0].quota_bytes == 12);
	CHECK(seen->peers[0].quota_period == STORE_PERIOD_WEEK &&
	      seen->peers[0].rate_bps == 13);
	CHECK(seen->peers[0].keepalive_s == 14 && seen->peers[0].blocked == STORE_BLOCK_QUOTA);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM peer WHERE routes = '10.9.0.0/16' AND"
			" note = 'the blue one' AND schedule IS NULL") == 1);
}

static void a_preshared_key_survives_changes_that_do_not_name_it(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	a.peer.preshared_key.b[0] = 0xab;
	CHECK(store_apply(s, &a) == 0);

	struct store_change other_key = change_of(&a, 6000);

	other_key.peer.preshared_key = (struct secret_key){ .b = { 0 } };
	other_key.peer.public_key[0] = 0x99; /* its place in the seal */
	CHECK(store_apply(s, &other_key) == 0 && other_key.result == 0);
	CHECK(other_key.peer.preshared_key.b[0] == 0xab); /* whoever carries it on needs it */
	CHECK(look(s)->peers[0].preshared_key.b[0] == 0xab);

	struct store_change none = change_of(&other_key, 7000);

	none.sets_preshared_key = true;
	none.peer.preshared_key = (struct secret_key){ .b = { 0 } };
	CHECK(store_apply(s, &none) == 0);
	CHECK(look(s)->peers[0].preshared_key.b[0] == 0);
	store_free(s);
}

static struct store_change record(enum store_record_kind kind, const char *name,
				  const char *body)
{
	struct store_change c = { .kind = STORE_PUT_RECORD,
				  .now_ns = 5000,
				  .who = "test",
				  .action = "record.put",
				  .record = { .kind = kind, .body = body } };

	snprintf(c.record.name, sizeof(c.record.name), "%s", name);
	return c;
}

struct seen_records {
	unsigned int n;
	struct store_record last;
	char body[64];
};

static int see_record(void *context, const struct store_record *one)
{
	struct seen_records *seen = context;

	seen->n++;
	seen->last = *one;
	snprintf(seen->body, sizeof(seen->body), "%s", one->body);
	return 0;
}

static void records_are_made_changed_and_dropped(void)
{
	struct store *s = fresh();
	struct seen_records seen = { .n = 0 };
	struct store_change a = record(STORE_ACCOUNT, "acme", "{\"a\":1}");
	struct store_change twice = record(STORE_ACCOUNT, "acme", "{}");
	struct store_change hook = record(STORE_WEBHOOK, "acme", "{\"secret\":\"PLAIN\"}");

	a.next = &twice;
	twice.next = &hook;
	CHECK(store_apply(s, &a) == 0);
	CHECK(a.result == 0 && twice.result == ERR_EXISTS && hook.result == 0);
	a.next = NULL;
	a.record.body = "{\"a\":2}";
	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	store_free(s);
	s = reopen();
	CHECK(store_load_records(s, see_record, &seen) == 0);
	CHECK(seen.n == 2 && strcmp(seen.body, "{\"secret\":\"PLAIN\"}") == 0);

	struct store_change drop = { .kind = STORE_DROP_RECORD,
				     .record = { .id = hook.record.id,
						 .kind = STORE_WEBHOOK } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	seen.n = 0;
	CHECK(store_load_records(s, see_record, &seen) == 0);
	CHECK(seen.n == 1 && strcmp(seen.body, "{\"a\":2}") == 0);
	store_free(s);
}

/* Opened anew and read: how that ends. */
static int read_all_records(void)
{
	struct store *s = NULL;
	struct store_config config = config_of(7);
	struct seen_records seen = { .n = 0 };
	struct diag d = { .line = 0 };
	int err = open_place(&config, &s, &d);

	if (err == 0) {
		err = store_load_records(s, see_record, &seen);
		store_free(s);
	}
	return err;
}

static void a_body_that_is_not_sealed_as_its_kind_is_corruption(void)
{
	struct store *s = fresh();
	struct store_change a = record(STORE_ACCOUNT, "acme", "{}"),
			    hook = record(STORE_WEBHOOK, "h", "{}"),
			    link = record(STORE_LINK, "l", "{}");

	a.next = &hook;
	hook.next = &link;
	CHECK(store_apply(s, &a) == 0 && hook.result == 0 && link.result == 0);
	store_free(s);
	CHECK(read_all_records() == 0);
	run_sql("UPDATE record SET body = '{}' WHERE kind = 1"); /* as it was */
	CHECK(read_all_records() == 0);
	run_sql("UPDATE record SET sealed = (SELECT sealed FROM record WHERE kind = 3),"
		" body = NULL WHERE kind = 1");
	CHECK(read_all_records() == ERR_CORRUPT);
	run_sql("UPDATE record SET sealed = NULL, body = '{}' WHERE kind = 1");
	CHECK(read_all_records() == 0);
	run_sql("UPDATE record SET sealed = NULL, body = '{}' WHERE kind = 4");
	CHECK(read_all_records() == ERR_CORRUPT);
	run_sql("DELETE FROM record WHERE kind = 4");
	CHECK(read_all_records() == 0);
	run_sql("UPDATE record SET sealed = NULL, body = '{}' WHERE kind = 3");
	CHECK(read_all_records() == ERR_CORRUPT);
}

static void a_peer_cannot_name_an_account_that_is_not_there(void)
{
	struct store *s = fresh();
	struct store_change peer = addition(2), account = record(STORE_ACCOUNT, "a", "{}");
	struct store_change drop = { .kind = STORE_DROP_RECORD };

	peer.peer.account_id = 4711;
	CHECK(store_apply(s, &peer) == 0 && peer.result == ERR_UNKNOWN);
	CHECK(store_apply(s, &account) == 0);
	peer.peer.account_id = account.record.id;
	CHECK(store_apply(s, &peer) == 0 && peer.result == 0);
	CHECK(look(s)->peers[0].account_id == account.record.id);
	drop.record = account.record;
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	store_free(s);
}

static void another_master_key_is_refused_at_once(void)
{
	static const struct secret_key wrong = { { 1 } };
	struct store *s = fresh();
	struct store_change peer = addition(2);
	struct store_config config = config_of(7);
	struct diag d = { .text = "" };

	peer.peer.preshared_key.b[0] = 1;
	CHECK(store_apply(s, &peer) == 0);
	store_free(s);
	s = NULL;
	config.master = &wrong;
	CHECK(open_place(&config, &s, &d) == ERR_AUTH && !s);
	CHECK(strstr(d.text, "master key"));
}

static void records_of_an_undone_run_leave_their_names_free(void)
{
	struct store *s = fresh();
	struct store_change first = record(STORE_ACCOUNT, "a", "{}");
	struct store_change one = record(STORE_ACCOUNT, "b", "{}"), two = first, again;

	CHECK(store_apply(s, &first) == 0 && first.result == 0);
	two.record.id = 0;
	two.is_joined = true; /* the name is taken: the run is undone */
	one.next = &two;
	CHECK(store_apply(s, &one) == 0);
	CHECK(one.result == -ECANCELED && two.result == ERR_EXISTS);
	CHECK(one.record.id == 0 && two.record.id == 0); /* what was not made is new still */
	again = record(STORE_ACCOUNT, "b", "{}");
	CHECK(store_apply(s, &again) == 0 && again.result == 0);
	one = record(STORE_ACCOUNT, "c", "{}");
	one.next = &two;
	CHECK(store_apply(s, &one) == 0 && one.result == -ECANCELED);
	one.next = NULL;
	CHECK(store_apply(s, &one) == 0 && one.result == 0 && one.record.id != 0);
	store_free(s);
}

static void a_snapshot_begins_and_ends_between_changes(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	CHECK(store_apply(s, &a) == 0);
	CHECK(store_snapshot(s, true) == 0);
	CHECK(look(s)->n_peers == 1);
	CHECK(store_snapshot(s, false) == 0);
	CHECK(store_apply(s, &b) == 0 && b.result == 0);
	CHECK(look(s)->n_peers == 2);
	store_free(s);
}

/* Numbers, texts and octets at their bounds come back as they were. */
static void extremes_come_back_as_they_went(void)
{
	static char note[STORE_NOTE_MAX + 1], body[STORE_BODY_MAX + 1];
	struct store *s = fresh();
	struct store_change a = addition(2), big = record(STORE_SETTING, "big", body);
	struct seen *seen;

	memset(note, 'n', STORE_NOTE_MAX);
	memset(body, 'b', STORE_BODY_MAX);
	memset(a.peer.public_key, 0xff, sizeof(a.peer.public_key));
	memset(a.peer.preshared_key.b, 0xff, sizeof(a.peer.preshared_key.b));
	memset(a.peer.name, 'x', STORE_NAME_MAX);
	memcpy(a.peer.name, "\xc3\xbc\xf0\x9f\x94\x91", 6); /* of 2 and of 4 octets */
	a.peer.expires_ns = a.peer.quota_bytes = a.peer.rate_bps = UINT64_MAX;
	a.peer.port = a.peer.keepalive_s = UINT16_MAX;
	a.peer.note = note;
	a.now_ns = INT64_MAX;
	a.next = &big;
	CHECK(store_apply(s, &a) == 0 && a.result == 0 && big.result == 0);
	store_free(s);
	s = reopen();
	seen = look(s);
	CHECK(seen->n_peers == 1);
	CHECK(strcmp(seen->peers[0].name, a.peer.name) == 0);
	CHECK(memcmp(seen->peers[0].public_key, a.peer.public_key, 32) == 0);
	CHECK(memcmp(seen->peers[0].preshared_key.b, a.peer.preshared_key.b, 32) == 0);
	CHECK(seen->peers[0].expires_ns == UINT64_MAX && seen->peers[0].rate_bps == UINT64_MAX);
	CHECK(seen->peers[0].port == UINT16_MAX && seen->peers[0].created_ns == INT64_MAX);
	store_free(s);
}

static int see_usage(void *context, const struct store_usage *u)
{
	memcpy(context, u->data, u->len);
	return u->len == 3 ? 0 : ERR_CORRUPT;
}

static void usage_is_kept_for_peers_that_exist(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);
	char data[4] = "";

	a.next = &b;
	CHECK(store_apply(s, &a) == 0);

	const struct store_usage usage[] = { { a.peer.id, "one", 3 }, { 4711, "two", 3 } };
	struct store_change set = { .kind = STORE_SET_USAGE, .usage = usage, .n_usage = 2 };

	CHECK(store_apply(s, &set) == 0 && set.result == 0);
	CHECK(store_load_usage(s, see_usage, data) == 0 && strcmp(data, "one") == 0);
	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM usage") == 0);
}

static int see_answered(void *context, const struct store_answered *one)
{
	*(struct store_answered *)context = *one;
	return 0;
}

static void an_idempotency_key_is_good_for_one_change(void)
{
	static const uint64_t day_ns = (uint64_t)STORE_ANSWERED_S * 1000000000;
	struct store *s = fresh();
	struct store_change a = addition(2), again = addition(3), late = addition(4);
	struct store_answered one = { .subject = 0 };

	a.has_answered = again.has_answered = late.has_answered = true;
	a.now_ns = again.now_ns = day_ns;
	a.answered_digest[0] = again.answered_digest[0] = late.answered_digest[0] = 5;
	late.now_ns = 2 * day_ns + 1;
	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	CHECK(store_apply(s, &again) == 0 && again.result == ERR_EXISTS);
	CHECK(store_load_answered(s, see_answered, &one) == 0);
	CHECK(one.subject == a.peer.id && one.digest[0] == 5 && look(s)->n_peers == 1);
	CHECK(store_apply(s, &late) == 0 && late.result == 0); /* forgotten after a day */
	store_free(s);
}

/* struct chain - Follows the trail as whoever verifies it would */
struct chain {
	struct seal *seal;
	uint8_t prev[SEAL_CHAIN_LEN];
	unsigned int n;
	unsigned int broken;
};

static int see_audit(void *context, const struct store_audit *one)
{
	struct chain *chain = context;
	uint8_t hash[SEAL_CHAIN_LEN];

	seal_chain(chain->seal, one->prev, &one->row, hash);
	if (!one->is_chained || memcmp(hash, one->hash, sizeof(hash)) != 0 ||
	    (chain->n > 0 && memcmp(chain->prev, one->prev, sizeof(hash)) != 0))
		chain->broken++;
	memcpy(chain->prev, one->hash, sizeof(hash));
	chain->n++;
	return 0;
}

static struct chain follow_chain(struct store *s)
{
	struct chain chain = { .n = 0 };

	if (seal_new(&master, &chain.seal) != 0)
		abort();
	CHECK(store_read_audit(s, 0, 1000, see_audit, &chain) == 0);
	seal_free(chain.seal);
	return chain;
}

static void rows_of_the_audit_trail_are_chained(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), refused = addition(2), b = addition(3);
	struct chain chain;

	a.next = &refused;
	refused.next = &b;
	CHECK(store_apply(s, &a) == 0 && refused.result == ERR_EXISTS);
	CHECK(a.ret_audit_id == 1 && refused.ret_audit_id == 0 && b.ret_audit_id == 2);
	store_free(s);
	s = reopen();
	b = addition(4);
	CHECK(store_apply(s, &b) == 0 && b.ret_audit_id == 3);
	chain = follow_chain(s);
	CHECK(chain.n == 3 && chain.broken == 0);
	run_sql("UPDATE audit SET who = 'tesu' WHERE id = 2");
	CHECK(follow_chain(s).broken == 1);
	run_sql("UPDATE audit SET who = 'test' WHERE id = 2; DELETE FROM audit WHERE id = 2");
	CHECK(follow_chain(s).broken == 1);
	store_free(s);
}

static void conformance_run(void)
{
	RUN(what_was_applied_is_there_after_reopening);
	RUN(a_refused_change_does_not_spoil_its_group);
	RUN(a_signature_stands_or_falls_with_its_change);
	RUN(status_changes_and_removal_last);
	RUN(removed_addresses_rest_and_then_serve_again);
	RUN(profiles_are_replaced_as_a_whole_beside_other_changes);
	RUN(profiles_that_contradict_each_other_change_nothing);
	RUN(ids_are_never_used_again);
	RUN(old_signatures_are_forgotten_and_leave_a_floor);
	RUN(a_killed_process_loses_nothing_acknowledged);
	RUN(a_rotated_level_leaves_a_row_for_the_audit);
	RUN(a_changed_level_lasts);
	RUN(a_dropped_profile_leaves_a_row_for_the_audit);
	RUN(joined_changes_stand_or_fall_together);
	RUN(a_moved_peer_leaves_its_address_to_rest);
	RUN(a_peer_keeps_what_it_may);
	RUN(a_preshared_key_survives_changes_that_do_not_name_it);
	RUN(records_are_made_changed_and_dropped);
	RUN(a_body_that_is_not_sealed_as_its_kind_is_corruption);
	RUN(a_peer_cannot_name_an_account_that_is_not_there);
	RUN(another_master_key_is_refused_at_once);
	RUN(usage_is_kept_for_peers_that_exist);
	RUN(an_idempotency_key_is_good_for_one_change);
	RUN(rows_of_the_audit_trail_are_chained);
	RUN(records_of_an_undone_run_leave_their_names_free);
	RUN(a_snapshot_begins_and_ends_between_changes);
	RUN(extremes_come_back_as_they_went);
}
