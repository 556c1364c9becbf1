/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions, with a store in memory that can be held, filled up, or made to fail. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pthread.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/gateway.h"

struct fake {
	struct store store;
	pthread_mutex_t gate;
	int fail; /* of the next groups */
	int64_t next_id;
	struct store_peer loaded[8];
	size_t n_loaded;
	struct store_resting resting[8];
	size_t n_resting;
	struct store_profile profiles[STORE_PROFILES_MAX];
	size_t n_profiles;
	size_t n_outbox;	  /* records to be loaded */
	unsigned int n_joined;	  /* of the last group */
	struct store_change last; /* of the last group, its first */
	char last_profiles[STORE_PROFILES_MAX][FRAME_NAME_MAX + 1];
};

static struct fake fake;
static struct gateway *g;
static struct generator generator;

static int fake_apply(struct store *s, struct store_change *first)
{
	struct fake *f = (struct fake *)s;

	pthread_mutex_lock(&f->gate);
	f->last = *first;
	f->n_joined = 0;
	for (struct store_change *c = first; c; c = c->next) {
		c->result = f->fail;
		f->n_joined += c->is_joined;
		if (c->kind == STORE_PUT_RECORD && c->result == 0 && c->record.id == 0)
			c->record.id = f->next_id++;
		if (c->kind == STORE_ADD_PEER && c->result == 0)
			c->peer.id = f->next_id++;
		for (size_t i = 0; i < c->n_profiles; i++)
			memcpy(f->last_profiles[i], c->profiles[i].name,
			       sizeof(f->last_profiles[i]));
	}
	pthread_mutex_unlock(&f->gate);
	return f->fail;
}

static int fake_load_peers(struct store *s, store_peer_visitor visit, void *context)
{
	struct fake *f = (struct fake *)s;
	int err = 0;

	for (size_t i = 0; i < f->n_loaded && err == 0; i++)
		err = visit(context, &f->loaded[i]);
	return err;
}

static int fake_load_resting(struct store *s, store_resting_visitor visit, void *context)
{
	struct fake *f = (struct fake *)s;

	for (size_t i = 0; i < f->n_resting; i++)
		visit(context, &f->resting[i]);
	return 0;
}

static int fake_load_profiles(struct store *s, store_profile_visitor visit, void *context)
{
	struct fake *f = (struct fake *)s;
	int err = 0;

	for (size_t i = 0; i < f->n_profiles && err == 0; i++)
		err = visit(context, &f->profiles[i]);
	return err;
}

static int fake_load_records(struct store *s, store_record_visitor visit, void *context)
{
	struct fake *f = (struct fake *)s;
	int err = 0;

	for (size_t i = 0; i < f->n_outbox && err == 0; i++) {
		struct store_record one = { .id = (int64_t)i + 1,
					    .kind = STORE_OUTBOX,
					    .body = "{}" };

		snprintf(one.name, sizeof(one.name), "msg_%zu-1", i);
		err = visit(context, &one);
	}
	return err;
}

static int fake_load_answered(struct store *s, store_answered_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static int fake_maintain(struct store *s)
{
	(void)s;
	return 0;
}

static const struct store_ops fake_ops = {
	.apply = fake_apply,
	.load_peers = fake_load_peers,
	.load_resting = fake_load_resting,
	.load_profiles = fake_load_profiles,
	.load_records = fake_load_records,
	.load_answered = fake_load_answered,
	.maintain = fake_maintain,
};

static void carried(void *context, struct store_change *first)
{
	(void)context;
	(void)first;
}

static uint64_t idle(void *context)
{
	(void)context;
	return 1000000000;
}

static void prepare(void)
{
	static const uint8_t seed[GENERATOR_SEED_LEN] = { 1 };

	generator_init(&generator, seed);
	fake = (struct fake){ .store = { &fake_ops }, .next_id = 100 };
	pthread_mutex_init(&fake.gate, NULL);
}

static int open_gateway(const char *subnet4, struct diag *d)
{
	struct gateway_config config = {
		.interface = "wg0",
		.public_key = { 77 },
		.port = 51820,
		.generator = &generator,
		.rest_ns = 1000,
	};
	struct writer_callbacks callbacks = { .committed = carried, .idle = idle };

	if (ip_prefix_parse(subnet4, true, &config.subnet4) != 0 ||
	    ip_prefix_parse("fd00::/64", true, &config.subnet6) != 0)
		abort();
	return gateway_new(&config, &fake.store, &callbacks, 5000, &g, d);
}

static void start(void)
{
	prepare();
	if (open_gateway("10.0.1.0/24", NULL) != 0)
		abort();
}

/* --- Outcomes --- */

static struct {
	int calls;
	int err;
	struct peer peer;
	bool has_peer;
} done;

static void on_done(void *context, int err, int carried_err, const struct peer *peer)
{
	CHECK(context == &done && carried_err == 0);
	done.calls++;
	done.err = err;
	done.has_peer = peer;
	if (peer)
		done.peer = *peer;
}

static void wait_for(int calls)
{
	struct pollfd p = { .fd = gateway_fd(g), .events = POLLIN };

	while (done.calls < calls) {
		if (poll(&p, 1, 5000) != 1) {
			FAIL("an outcome");
			return;
		}
		gateway_collect(g);
	}
}

static struct gateway_add wanted(uint8_t n)
{
	return (struct gateway_add){ .public_key = { n },
				     .name = "",
				     .dns = "d1",
				     .obfuscation = "",
				     .wants_v4 = true,
				     .wants_v6 = true };
}

static const struct gateway_grant grant = { .now_ns = 6000, .who = "test" };

static int add(const struct gateway_add *a)
{
	memset(&done, 0, sizeof(done));
	return gateway_add_peer(g, a, &grant, on_done, &done);
}

static void add_and_wait(uint8_t n)
{
	struct gateway_add a = wanted(n);

	CHECK(add(&a) == 0);
	wait_for(1);
	CHECK(done.err == 0 && done.has_peer);
}

static uint64_t used4(void)
{
	return pool_used(gateway_pool(g, ADDR_V4));
}

static void a_peer_gets_both_addresses_and_an_id(void)
{
	start();
	add_and_wait(1);
	CHECK(done.peer.id == 100 && done.peer.v4.b[3] == 2 && done.peer.v6.b[15] == 2);
	CHECK(done.peer.created_ns == 6000 && !done.peer.is_busy);
	CHECK(peers_find_id(gateway_peers(g), 100));
	gateway_free(g);
}

static void nothing_is_reported_before_it_is_committed(void)
{
	struct gateway_add a = wanted(1);

	a.name = "one";
	start();
	pthread_mutex_lock(&fake.gate);
	CHECK(add(&a) == 0);
	for (int i = 0; i < 50; i++) {
		poll(NULL, 0, 1);
		gateway_collect(g);
	}
	CHECK(done.calls == 0);
	/* Meanwhile nobody else decides about it. */
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == -EBUSY);

	struct gateway_add namesake = wanted(2);

	namesake.name = a.name;
	CHECK(gateway_add_peer(g, &namesake, &grant, on_done, &done) == -EBUSY);
	pthread_mutex_unlock(&fake.gate);
	wait_for(1);
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == ERR_EXISTS);
	gateway_free(g);
}

static void a_failed_commit_undoes_the_decision(void)
{
	struct gateway_add a = wanted(1);

	start();
	fake.fail = -ENOSPC;
	CHECK(add(&a) == 0);
	wait_for(1);
	CHECK(done.err == -ENOSPC && !done.has_peer);
	CHECK(used4() == 0 && pool_resting(gateway_pool(g, ADDR_V4)) == 0);
	CHECK(peers_count(gateway_peers(g)) == 0);
	fake.fail = 0;
	add_and_wait(1);
	CHECK(done.peer.v4.b[3] == 2);

	fake.fail = -ENOSPC;
	memset(&done, 0, sizeof(done));
	CHECK(gateway_remove_peer(g, 100, &grant, on_done, &done) == 0);
	wait_for(1);
	CHECK(done.err == -ENOSPC && done.has_peer && !done.peer.is_busy && used4() == 1);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_set_status(g, 100, STORE_PEER_SUSPENDED, &grant, on_done, &done) == 0);
	wait_for(1);
	CHECK(done.err == -ENOSPC && done.peer.status == STORE_PEER_ACTIVE);
	gateway_free(g);
}

static void removed_addresses_rest(void)
{
	struct gateway_add a = wanted(2);

	start();
	add_and_wait(1);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_remove_peer(g, 100, &grant, on_done, &done) == 0);
	CHECK(gateway_remove_peer(g, 100, &grant, on_done, &done) == -EBUSY);
	wait_for(1);
	CHECK(done.err == 0 && !done.has_peer);
	CHECK(fake.last.rest_until_ns == 7000 && fake.last.peer.v4.b[3] == 2);
	CHECK(gateway_remove_peer(g, 100, &grant, on_done, &done) == ERR_UNKNOWN);
	a.v4 = (struct ip_addr){ ADDR_V4, { 10, 0, 1, 2 } };
	CHECK(add(&a) == ERR_EXPIRED);
	add_and_wait(3);
	CHECK(done.peer.v4.b[3] == 3);
	gateway_free(g);
}

static void refused_additions_leave_nothing(void)
{
	struct gateway_add a;

	start();
	add_and_wait(1);
	a = wanted(0);
	CHECK(add(&a) == ERR_KEY); /* all zero */
	a = wanted(77);
	CHECK(add(&a) == ERR_KEY); /* our own */
	a = wanted(2);
	a.v4 = (struct ip_addr){ ADDR_V4, { 10, 0, 1, 1 } };
	CHECK(add(&a) == ERR_RANGE);
	a.v4 = (struct ip_addr){ ADDR_V4, { 10, 0, 1, 9 } };
	a.v6 = (struct ip_addr){ ADDR_V6, { 0xfd, [15] = 2 } }; /* peer 1 has it */
	CHECK(add(&a) == ERR_EXISTS);
	CHECK(used4() == 1); /* 10.0.1.9 was not kept */
	a = wanted(2);
	a.name = "twin";
	CHECK(add(&a) == 0);
	wait_for(1);
	a = wanted(3);
	a.name = "twin";
	CHECK(add(&a) == ERR_EXISTS);
	CHECK(used4() == 2);
	gateway_free(g);
}

static void a_full_pool_is_exhausted(void)
{
	struct gateway_add a = wanted(2);

	prepare();
	CHECK(open_gateway("10.0.1.0/30", NULL) == 0);
	add_and_wait(1);
	CHECK(add(&a) == ERR_EXHAUSTED);
	CHECK(pool_used(gateway_pool(g, ADDR_V6)) == 1);
	a.wants_v4 = false; /* the other family still has room */
	CHECK(add(&a) == 0);
	wait_for(1);
	CHECK(done.peer.v4.family == ADDR_NONE && done.peer.v6.b[15] == 3);
	gateway_free(g);
}

static void status_changes_when_it_is_committed(void)
{
	start();
	add_and_wait(1);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_set_status(g, 100, STORE_PEER_SUSPENDED, &grant, on_done, &done) == 0);
	CHECK(peers_find_id(gateway_peers(g), 100)->status == STORE_PEER_ACTIVE);
	wait_for(1);
	CHECK(done.peer.status == STORE_PEER_SUSPENDED);
	CHECK(fake.last.peer.status == STORE_PEER_SUSPENDED &&
	      fake.last.peer.public_key[0] == 1);
	CHECK(gateway_set_status(g, 5, STORE_PEER_ACTIVE, &grant, on_done, &done) ==
	      ERR_UNKNOWN);
	gateway_free(g);
}

static void signatures_travel_with_their_change(void)
{
	struct gateway_grant with = grant;

	start();
	with.has_signature = true;
	with.digest[0] = 42;
	with.signed_s = 60;
	with.forget_before_s = 10;
	memset(&done, 0, sizeof(done));
	CHECK(gateway_record(g, &with, on_done, &done) == 0);
	wait_for(1);
	CHECK(fake.last.kind == STORE_NO_CHANGE && fake.last.has_signature);
	CHECK(fake.last.digest[0] == 42 && fake.last.signed_s == 60 &&
	      fake.last.forget_before_s == 10);
	CHECK(strcmp(fake.last.who, "test") == 0);
	gateway_free(g);
}

static void what_was_stored_is_loaded(void)
{
	struct gateway_add a = wanted(9);

	prepare();
	fake.loaded[0] = (struct store_peer){ .id = 4,
					      .public_key = { 1 },
					      .name = "old",
					      .status = STORE_PEER_SUSPENDED,
					      .dns = "d2",
					      .v4 = { ADDR_V4, { 10, 0, 1, 2 } } };
	fake.loaded[1] = (struct store_peer){ .id = 5,
					      .public_key = { 2 },
					      .status = STORE_PEER_ACTIVE,
					      .v4 = { ADDR_V4, { 192, 168, 7, 7 } } };
	fake.n_loaded = 2;
	fake.resting[0] = (struct store_resting){ { ADDR_V4, { 10, 0, 1, 3 } }, 6500 };
	fake.resting[1] = (struct store_resting){ { ADDR_V4, { 10, 0, 1, 4 } }, 4999 };
	fake.n_resting = 2;
	CHECK(open_gateway("10.0.1.0/24", NULL) == 0);
	CHECK(peers_find_name(gateway_peers(g), "old")->id == 4);
	CHECK(peers_count(gateway_peers(g)) == 2 && peers_count_active(gateway_peers(g)) == 1);
	CHECK(used4() ==
	      1); /* an address of another prefix stays its peer's, outside the pool */
	CHECK(add(&a) == 0); /* at 6000: .3 rests until 6500, .4 did until 4999 */
	wait_for(1);
	CHECK(done.peer.v4.b[3] == 4);
	gateway_free(g);
}

static void contradictions_and_narrow_prefixes_are_refused(void)
{
	struct diag d = { .text = "" };

	prepare();
	CHECK(open_gateway("10.0.1.0/31", &d) == ERR_RANGE);
	CHECK(strstr(d.text, "10.0.1.0/31"));
	fake.loaded[0] = (struct store_peer){ .id = 4, .public_key = { 1 }, .status = 1 };
	fake.loaded[1] = (struct store_peer){ .id = 5, .public_key = { 1 }, .status = 1 };
	fake.n_loaded = 2;
	CHECK(open_gateway("10.0.1.0/24", &d) == ERR_EXISTS);
}

static void a_peer_keeps_its_level(void)
{
	struct gateway_add a = wanted(1);

	prepare();
	fake.loaded[0] = (struct store_peer){
		.id = 4, .public_key = { 9 }, .status = 1, .level = FRAME_HIGH
	};
	fake.n_loaded = 1;
	CHECK(open_gateway("10.0.1.0/24", NULL) == 0);
	a.level = FRAME_EXTREME;
	CHECK(add(&a) == 0);
	wait_for(1);
	CHECK(done.peer.level == FRAME_EXTREME && fake.last.peer.level == FRAME_EXTREME);
	CHECK(peers_find_id(gateway_peers(g), 4)->level == FRAME_HIGH);
	CHECK(peers_count_level(gateway_peers(g), FRAME_HIGH) == 1);
	CHECK(gateway_set_status(g, 4, STORE_PEER_SUSPENDED, &grant, on_done, &done) == 0);
	wait_for(2);
	CHECK(fake.last.peer.level == FRAME_HIGH);
	gateway_free(g);
}

static void start_with_profiles(void)
{
	prepare();
	fake.profiles[0] = (struct store_profile){
		.name = "high", .level = FRAME_HIGH, .parameters = "s1=20", .created_ns = 4000
	};
	fake.n_profiles = 1;
	if (open_gateway("10.0.1.0/24", NULL) != 0)
		abort();
}

static int rotate(enum frame_level level, uint64_t keep_ns)
{
	memset(&done, 0, sizeof(done));
	return gateway_rotate(g, level, keep_ns, &grant, on_done, &done);
}

static void a_rotation_is_what_the_disk_has(void)
{
	const struct profile *former;

	start_with_profiles();
	pthread_mutex_lock(&fake.gate);
	CHECK(rotate(FRAME_HIGH, 1000) == 0);
	/* Until then new clients get what was, and nobody else rotates. */
	CHECK(profiles_current(gateway_profiles(g), FRAME_HIGH)->created_ns == 4000);
	CHECK(gateway_rotate(g, FRAME_LOW, 1000, &grant, on_done, &done) == -EBUSY);
	pthread_mutex_unlock(&fake.gate);
	wait_for(1);
	CHECK(done.err == 0 && !done.has_peer);
	CHECK(fake.last.kind == STORE_SET_PROFILES && fake.last.n_profiles == 2);
	CHECK(strcmp(fake.last.subject, "level high") == 0 &&
	      strcmp(fake.last.who, "test") == 0);
	CHECK(strcmp(fake.last_profiles[1], "high.1") == 0);
	CHECK(profiles_current(gateway_profiles(g), FRAME_HIGH)->created_ns == 6000);
	former = profiles_named(gateway_profiles(g), "high.1");
	CHECK(former && former->until_ns == 7000 && former->parameters.pad[0] == 20);
	gateway_free(g);
}

static void a_rotation_that_fails_changes_nothing(void)
{
	start_with_profiles();
	fake.fail = -ENOSPC;
	CHECK(rotate(FRAME_HIGH, 1000) == 0);
	wait_for(1);
	CHECK(done.err == -ENOSPC && gateway_profiles(g)->n == 1);
	CHECK(profiles_current(gateway_profiles(g), FRAME_HIGH)->parameters.pad[0] == 20);
	fake.fail = 0;
	CHECK(rotate(FRAME_OFF, 1000) == ERR_RANGE);
	CHECK(rotate(FRAME_HIGH, 1000) == 0);
	wait_for(1);
	CHECK(done.err == 0);
	gateway_free(g);
}

static void a_dropped_profile_is_gone_once_the_disk_knows(void)
{
	start_with_profiles();
	CHECK(rotate(FRAME_HIGH, 1000) == 0);
	wait_for(1);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_drop_profile(g, "high", &grant, on_done, &done) == ERR_RANGE);
	CHECK(gateway_drop_profile(g, "high.2", &grant, on_done, &done) == ERR_UNKNOWN);
	fake.fail = -ENOSPC;
	CHECK(gateway_drop_profile(g, "high.1", &grant, on_done, &done) == 0);
	CHECK(gateway_rotate(g, FRAME_LOW, 0, &grant, on_done, &done) == -EBUSY);
	wait_for(1);
	CHECK(done.err == -ENOSPC && profiles_named(gateway_profiles(g), "high.1"));
	fake.fail = 0;
	memset(&done, 0, sizeof(done));
	CHECK(gateway_drop_profile(g, "high.1", &grant, on_done, &done) == 0);
	wait_for(1);
	CHECK(done.err == 0 && !profiles_named(gateway_profiles(g), "high.1"));
	CHECK(fake.last.kind == STORE_SET_PROFILES && fake.last.n_profiles == 1);
	CHECK(strcmp(fake.last.action, "profile.drop") == 0);
	CHECK(strcmp(fake.last.subject, "profile high.1") == 0);
	gateway_free(g);
}

static void a_level_changes_when_it_is_committed(void)
{
	start();
	add_and_wait(1);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_set_level(g, 100, FRAME_EXTREME, &grant, on_done, &done) == 0);
	CHECK(peers_count_level(gateway_peers(g), FRAME_EXTREME) == 0);
	wait_for(1);
	CHECK(done.err == 0 && done.peer.level == FRAME_EXTREME);
	CHECK(peers_count_level(gateway_peers(g), FRAME_EXTREME) == 1);
	CHECK(peers_count_level(gateway_peers(g), FRAME_OFF) == 0);
	CHECK(fake.last.kind == STORE_CHANGE_PEER && fake.last.peer.level == FRAME_EXTREME);
	CHECK(fake.last.peer.status == STORE_PEER_ACTIVE && fake.last.peer.public_key[0] == 1);
	fake.fail = -ENOSPC;
	memset(&done, 0, sizeof(done));
	CHECK(gateway_set_level(g, 100, FRAME_LOW, &grant, on_done, &done) == 0);
	wait_for(1);
	CHECK(done.err == -ENOSPC && done.peer.level == FRAME_EXTREME);
	CHECK(gateway_set_level(g, 5, FRAME_LOW, &grant, on_done, &done) == ERR_UNKNOWN);
	gateway_free(g);
}

/* --- Edits, batches, records --- */

static int change_and_wait(int64_t id, const struct gateway_edit *edit)
{
	int err;

	memset(&done, 0, sizeof(done));
	err = gateway_change_peer(g, id, edit, &grant, on_done, &done);
	if (err != 0)
		return err;
	wait_for(1);
	return done.err;
}

static void an_edit_changes_what_it_names_and_nothing_else(void)
{
	const struct gateway_edit edit = {
		.fields = GATEWAY_NAME | GATEWAY_QUOTA | GATEWAY_NOTE | GATEWAY_KEY,
		.name = "other",
		.public_key = { 42 },
		.limits = { .quota_bytes = 7, .quota_period = STORE_PERIOD_DAY, .note = "n" },
	};
	const struct gateway_edit no_note = { .fields = GATEWAY_NOTE };
	static const uint8_t old_key[32] = { 1 }, new_key[32] = { 42 };
	const struct peer *peer;

	start();
	add_and_wait(1);
	CHECK(change_and_wait(100, &edit) == 0);
	peer = peers_find_key(gateway_peers(g), new_key);
	CHECK(peer && peer->id == 100 && peer == peers_find_name(gateway_peers(g), "other"));
	CHECK(!peers_find_key(gateway_peers(g), old_key));
	CHECK(peer->quota_bytes == 7 && strcmp(peer->note, "n") == 0);
	CHECK(peer->v4.b[3] == 2 && peers_find_address(gateway_peers(g), &peer->v4) == peer);
	CHECK(fake.last.has_former_key && memcmp(fake.last.former_key, old_key, 32) == 0);
	CHECK(change_and_wait(100, &no_note) == 0);
	CHECK(!peer->note && peer->quota_bytes == 7);
	gateway_free(g);
}

static void versions_of_a_peer_have_times_that_rise(void)
{
	const struct gateway_edit edit = { .fields = GATEWAY_NOTE };
	uint64_t before;

	start();
	add_and_wait(1);
	before = peers_find_id(gateway_peers(g), 100)->changed_ns;
	CHECK(change_and_wait(100, &edit) == 0); /* by the same clock reading */
	CHECK(peers_find_id(gateway_peers(g), 100)->changed_ns > before);
	gateway_free(g);
}

static void a_move_takes_the_new_address_and_lets_the_old_one_rest(void)
{
	struct gateway_edit edit = { .fields = GATEWAY_ADDRESSES,
				     .v4 = { ADDR_V4, { 10, 0, 1, 50 } } };
	const struct peer *peer;

	start();
	add_and_wait(1);
	peer = peers_find_id(gateway_peers(g), 100);
	edit.v6 = peer->v6;
	CHECK(change_and_wait(100, &edit) == 0);
	CHECK(peer->v4.b[3] == 50 && used4() == 1);
	CHECK(peers_find_address(gateway_peers(g), &edit.v4) == peer);
	fake.fail = -ENOSPC;
	edit.v4.b[3] = 51;
	CHECK(change_and_wait(100, &edit) == -ENOSPC);
	CHECK(peer->v4.b[3] == 50 && used4() == 1); /* .51 is free again */
	fake.fail = 0;
	edit.v4.b[3] = 51;
	CHECK(change_and_wait(100, &edit) == 0);
	edit.v4.b[3] = 50; /* rests */
	CHECK(change_and_wait(100, &edit) == ERR_EXPIRED);
	gateway_free(g);
}

static void a_batch_is_sent_joined_or_taken_back_whole(void)
{
	struct gateway_add a = wanted(1), b = wanted(2), c = wanted(3);

	start();
	memset(&done, 0, sizeof(done));
	gateway_batch_begin(g);
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == 0);
	CHECK(gateway_add_peer(g, &b, &grant, on_done, &done) == 0);
	CHECK(gateway_batch_end(g, false) == 0);
	CHECK(peers_count(gateway_peers(g)) == 0 && used4() == 0 && done.calls == 0);
	gateway_batch_begin(g);
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == 0);
	CHECK(gateway_add_peer(g, &b, &grant, on_done, &done) == 0);
	CHECK(gateway_add_peer(g, &c, &grant, on_done, &done) == 0);
	CHECK(gateway_batch_end(g, true) == 0);
	wait_for(3);
	CHECK(fake.n_joined == 2 && peers_count(gateway_peers(g)) == 3);
	gateway_free(g);
}

static const struct gateway_grant at_once = { .now_ns = 6000,
					      .who = "test",
					      .frees_at_once = true };

/* Peer 100, with 10.0.1.2 and a network, goes, and another comes with both. */
static void begin_a_swap(void)
{
	struct gateway_add b = wanted(2);

	b.wants_v4 = b.wants_v6 = false;
	b.v4 = peers_find_id(gateway_peers(g), 100)->v4;
	b.v6 = peers_find_id(gateway_peers(g), 100)->v6;
	b.limits.routes = "192.168.7.0/24";
	memset(&done, 0, sizeof(done));
	gateway_batch_begin(g);
	CHECK(gateway_remove_peer(g, 100, &at_once, on_done, &done) == 0);
	CHECK(gateway_add_peer(g, &b, &at_once, on_done, &done) == 0);
}

static bool has_all(int64_t id)
{
	const struct peer *peer = peers_find_id(gateway_peers(g), id);

	return peer && peer->v4.b[3] == 2 && peer->v6.b[15] == 2 && !peer->is_busy &&
	       peers_find_address(gateway_peers(g), &peer->v4) == peer &&
	       peers_find_address(gateway_peers(g), &peer->v6) == peer &&
	       strcmp(peer->routes, "192.168.7.0/24") == 0;
}

static void a_batch_gives_what_a_removed_peer_had_to_another(void)
{
	struct gateway_add a = wanted(1), c = wanted(3);

	start();
	a.limits.routes = c.limits.routes = "192.168.7.0/24";
	CHECK(add(&a) == 0);
	wait_for(1);
	begin_a_swap();
	CHECK(gateway_batch_end(g, false) == 0); /* taken back: as it was */
	CHECK(done.calls == 0 && has_all(100) && peers_count(gateway_peers(g)) == 1);
	CHECK(used4() == 1 && add(&c) == ERR_EXISTS);
	fake.fail = -ENOSPC;
	begin_a_swap();
	CHECK(gateway_batch_end(g, true) == 0);
	wait_for(2);
	CHECK(done.err == -ENOSPC && has_all(100) && peers_count(gateway_peers(g)) == 1);
	CHECK(used4() == 1 && add(&c) == ERR_EXISTS);
	fake.fail = 0;
	begin_a_swap();
	CHECK(gateway_batch_end(g, true) == 0);
	wait_for(2);
	CHECK(done.err == 0 && has_all(101) && peers_count(gateway_peers(g)) == 1);
	CHECK(used4() == 1 && add(&c) == ERR_EXISTS);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_remove_peer(g, 101, &at_once, on_done, &done) == 0);
	wait_for(1);
	CHECK(used4() == 0 && add(&c) == 0); /* no claim is left over */
	wait_for(1);
	gateway_free(g);
}

static void records_are_found_and_hold_who_names_them(void)
{
	struct gateway_add a = wanted(1);
	const struct record *account;
	struct gateway_edit leave = { .fields = GATEWAY_ACCOUNT };

	start();
	memset(&done, 0, sizeof(done));
	CHECK(gateway_put_record(g, STORE_ACCOUNT, 0, "acme", "{}", "account.create", &grant,
				 on_done, &done) == 0);
	wait_for(1);
	account = records_find_name(gateway_records(g), STORE_ACCOUNT, "acme");
	CHECK(done.err == 0 && account && account->id == 100);
	CHECK(gateway_put_record(g, STORE_ACCOUNT, 0, "acme", "{}", "account.create", &grant,
				 on_done, &done) == ERR_EXISTS);
	a.limits.account_id = 4711;
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == ERR_UNKNOWN);
	a.limits.account_id = 100;
	memset(&done, 0, sizeof(done));
	CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == 0);
	wait_for(1);
	CHECK(account->n_peers == 1);
	CHECK(gateway_drop_record(g, STORE_ACCOUNT, 100, "account.delete", &grant, on_done,
				  &done) == ERR_EXISTS);
	CHECK(change_and_wait(101, &leave) == 0);
	CHECK(account->n_peers == 0);
	memset(&done, 0, sizeof(done));
	CHECK(gateway_drop_record(g, STORE_ACCOUNT, 100, "account.delete", &grant, on_done,
				  &done) == 0);
	wait_for(1);
	CHECK(!records_find_name(gateway_records(g), STORE_ACCOUNT, "acme"));
	gateway_free(g);
}

static int put_setting(int n)
{
	char name[16];

	snprintf(name, sizeof(name), "s%d", n);
	return gateway_put_record(g, STORE_SETTING, 0, name, "{}", "", &grant, on_done, &done);
}

static void fill_settings(int first, int err)
{
	memset(&done, 0, sizeof(done));
	for (int n = first; n < RECORDS_SETTINGS_MAX; n++)
		CHECK(put_setting(n) == 0);
	CHECK(put_setting(4711) == ERR_LIMIT);
	CHECK(!records_has_room(gateway_records(g), STORE_SETTING));
	wait_for(RECORDS_SETTINGS_MAX - first);
	CHECK(done.err == err);
}

static void records_on_their_way_count_for_the_bound_of_their_kind(void)
{
	const struct records *records;

	start();
	records = gateway_records(g);
	gateway_batch_begin(g);
	CHECK(put_setting(1) == 0);
	CHECK(gateway_batch_end(g, false) == 0); /* its room is free again */
	fake.fail = -ENOSPC;
	fill_settings(0, -ENOSPC);
	CHECK(records_count(records, STORE_SETTING) == 0);
	fake.fail = 0;
	fill_settings(0, 0);
	CHECK(records_count(records, STORE_SETTING) == RECORDS_SETTINGS_MAX);
	CHECK(put_setting(4711) == ERR_LIMIT);
	memset(&done, 0, sizeof(done)); /* who is there may change all the same */
	CHECK(gateway_put_record(g, STORE_SETTING, records_after(records, STORE_SETTING, 0)->id,
				 "s0", "[]", "", &grant, on_done, &done) == 0);
	CHECK(gateway_put_record(g, STORE_ACCOUNT, 0, "acme", "{}", "", &grant, on_done,
				 &done) == 0); /* another kind has room of its own */
	wait_for(2);
	CHECK(done.err == 0);
	gateway_free(g);
}

static void a_gateway_starts_with_more_records_than_may_be_made(void)
{
	struct store_change *event = NULL;

	prepare();
	fake.n_outbox = RECORDS_OUTBOX_MAX + 3;
	if (open_gateway("10.0.1.0/24", NULL) != 0) {
		FAIL("a start");
		return;
	}
	CHECK(records_count(gateway_records(g), STORE_OUTBOX) == RECORDS_OUTBOX_MAX + 3);
	CHECK(gateway_event_new(g, "msg_ff-1", "{}", &event) == ERR_LIMIT);
	CHECK(put_setting(1) == 0);
	memset(&done, 0, sizeof(done));
	for (int64_t id = 1; id <= 4; id++) /* trimmed: then there is room */
		CHECK(gateway_drop_record(g, STORE_OUTBOX, id, "", NULL, on_done, &done) == 0);
	wait_for(5);
	CHECK(gateway_event_new(g, "msg_ff-1", "{}", &event) == 0);
	CHECK(!records_has_room(gateway_records(g), STORE_OUTBOX));
	gateway_events_free(event);
	CHECK(records_has_room(gateway_records(g), STORE_OUTBOX));
	gateway_free(g);
}

static void stopping_reports_everything_that_was_decided(void)
{
	start();
	memset(&done, 0, sizeof(done));
	for (uint8_t n = 1; n <= 50; n++) {
		struct gateway_add a = wanted(n);

		CHECK(gateway_add_peer(g, &a, &grant, on_done, &done) == 0);
	}
	gateway_stop(g);
	CHECK(done.calls == 50);

	struct gateway_add late = wanted(60);

	CHECK(gateway_add_peer(g, &late, &grant, on_done, &done) == ERR_LIMIT);
	CHECK(used4() == 50);
	gateway_free(g);
}

int main(void)
{
	RUN(a_peer_gets_both_addresses_and_an_id);
	RUN(nothing_is_reported_before_it_is_committed);
	RUN(a_failed_commit_undoes_the_decision);
	RUN(removed_addresses_rest);
	RUN(refused_additions_leave_nothing);
	RUN(a_full_pool_is_exhausted);
	RUN(status_changes_when_it_is_committed);
	RUN(signatures_travel_with_their_change);
	RUN(what_was_stored_is_loaded);
	RUN(contradictions_and_narrow_prefixes_are_refused);
	RUN(a_peer_keeps_its_level);
	RUN(a_rotation_is_what_the_disk_has);
	RUN(a_rotation_that_fails_changes_nothing);
	RUN(a_dropped_profile_is_gone_once_the_disk_knows);
	RUN(a_level_changes_when_it_is_committed);
	RUN(an_edit_changes_what_it_names_and_nothing_else);
	RUN(versions_of_a_peer_have_times_that_rise);
	RUN(a_move_takes_the_new_address_and_lets_the_old_one_rest);
	RUN(a_batch_is_sent_joined_or_taken_back_whole);
	RUN(a_batch_gives_what_a_removed_peer_had_to_another);
	RUN(records_are_found_and_hold_who_names_them);
	RUN(records_on_their_way_count_for_the_bound_of_their_kind);
	RUN(a_gateway_starts_with_more_records_than_may_be_made);
	RUN(stopping_reports_everything_that_was_decided);
	return DONE();
}
