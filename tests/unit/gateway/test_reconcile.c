/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "../test.h"
#include "fake_iface.h"
#include "gateway/access_sync.h"
#include "gateway/observer.h"
#include "gateway/reconcile.h"
#include "sys/clock.h"

/* A store that only loads. */
struct fake_store {
	struct store store;
	struct store_peer peers[FAKE_PEERS_MAX];
	size_t n;
	struct store_profile profiles[STORE_PROFILES_MAX];
	size_t n_profiles;
	int fail;
};

static int load(struct store *s, store_peer_visitor visit, void *context)
{
	struct fake_store *f = (struct fake_store *)s;
	int err = f->fail;

	for (size_t i = 0; i < f->n && err == 0; i++)
		err = visit(context, &f->peers[i]);
	return err;
}

static int load_profiles(struct store *s, store_profile_visitor visit, void *context)
{
	struct fake_store *f = (struct fake_store *)s;
	int err = f->fail;

	for (size_t i = 0; i < f->n_profiles && err == 0; i++)
		err = visit(context, &f->profiles[i]);
	return err;
}

static int load_usage(struct store *s, store_usage_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static const char *state_body; /* of the record that switches the interface; NULL: none */

static bool has_list; /* of destinations, number 7 */

static int load_records(struct store *s, store_record_visitor visit, void *context)
{
	struct store_record one = { .id = 1, .kind = STORE_SETTING, .name = "interface" };
	struct store_record list = { .id = 7, .kind = STORE_ACCESS, .name = "l", .body = "" };
	int err;

	(void)s;
	one.body = state_body;
	err = state_body ? visit(context, &one) : 0;
	return err == 0 && has_list ? visit(context, &list) : err;
}

static const struct store_ops fake_store_ops = { .load_peers = load,
						 .load_records = load_records,
						 .load_usage = load_usage,
						 .load_profiles = load_profiles };

static struct fake_store store;
static struct fake_iface fake;
static struct reconcile r;

static struct store_peer stored(uint8_t n)
{
	return (struct store_peer){
		.id = n,
		.public_key = { n, 9 },
		.status = STORE_PEER_ACTIVE,
		.v4 = { ADDR_V4, { 10, 0, 1, n } },
		.v6 = { ADDR_V6, { 0xfd, [15] = n } },
		.keepalive_s = 25,
	};
}

static void start(uint8_t peers)
{
	store = (struct fake_store){ .store = { &fake_store_ops } };
	fake = (struct fake_iface){ .iface = { &fake_iface_ops }, .is_open = true };
	r = (struct reconcile){ .store = &store.store, .iface = &fake.iface };
	for (uint8_t n = 1; n <= peers; n++)
		store.peers[store.n++] = stored(n);
}

static int now(void)
{
	struct diag d = { .text = "" };

	return reconcile_now(&r, &d);
}

/* Does the interface have exactly the active peers, each with its two addresses? */
static bool is_same(void)
{
	size_t active = 0;

	for (size_t i = 0; i < store.n; i++) {
		const struct store_peer *p = &store.peers[i];
		struct fake_peer *f = fake_find(&fake, p->public_key);

		if (p->status != STORE_PEER_ACTIVE)
			continue;
		active++;
		if (!f || f->n_ips != 2 || f->keepalive.hi != 25 ||
		    f->keepalive.lo != (p->level == FRAME_EXTREME ? 16 : 25) ||
		    !ip_addr_equal(&f->ips[0].ip, &p->v4) || f->ips[0].bits != 32 ||
		    !ip_addr_equal(&f->ips[1].ip, &p->v6) || f->ips[1].bits != 128 ||
		    !secret_is_zero(f->preshared_key.b, 32))
			return false;
	}
	return fake.n == active;
}

static void an_empty_interface_gets_everybody_in_one_request(void)
{
	start(40);
	store.peers[3].status = STORE_PEER_SUSPENDED;
	CHECK(now() == 0 && is_same());
	CHECK(fake.sets == 1 && fake.largest_set == 39);
	CHECK(reconcile_is_well(&r));
}

static void an_interface_that_is_right_is_left_alone(void)
{
	start(10);
	store.peers[4].level = FRAME_EXTREME; /* has a keepalive with two ends */
	CHECK(now() == 0);
	fake.sets = 0;
	CHECK(now() == 0);
	CHECK(fake.sets == 0);
}

static void only_the_difference_is_set(void)
{
	start(10);
	CHECK(now() == 0);
	fake.largest_set = 0;

	struct uapi_set_peer stranger = { .public_key = { 99 } };
	struct uapi_set set = { .peers = &stranger, .n_peers = 1 };

	fake_apply(&fake, &set, &stranger);			/* one too many */
	fake_find(&fake, store.peers[1].public_key)->n_ips = 1; /* lacks IPv6 */
	fake_find(&fake, store.peers[2].public_key)->keepalive.hi = 37;
	fake_find(&fake, store.peers[3].public_key)->preshared_key.b[0] = 1;
	fake_find(&fake, store.peers[4].public_key)->ips[0].bits = 24;
	store.peers[5].status = STORE_PEER_SUSPENDED;
	store.peers[store.n++] = stored(50);
	CHECK(now() == 0 && is_same());
	CHECK(fake.largest_set == 7);
	CHECK(!fake_find(&fake, (const uint8_t[32]){ 99 }));
}

static void an_address_comes_back_from_a_peer_that_goes(void)
{
	start(2);

	/* A stranger holds peer 1's address and goes in the same request. */
	struct uapi_set_peer stranger = { .public_key = { 99 }, .n_allowed_ips = 1 };
	struct uapi_allowed_ip ip = { .prefix = { store.peers[0].v4, 32 } };
	struct uapi_set set = { .peers = &stranger, .n_peers = 1, .allowed_ips = &ip };

	fake_apply(&fake, &set, &stranger);
	CHECK(now() == 0 && is_same());
}

static void a_peer_the_interface_has_lost_is_set_where_it_was(void)
{
	struct observed seen = { .last_handshake_ns = clock_wall_ns(),
				 .endpoint = { { ADDR_V4, { 192, 0, 2, 1 } }, .port = 4242 },
				 .profile_heard = "extreme" };
	uint64_t now_ns = clock_boot_ns();

	start(3);
	r.endpoints = endpoints_new();
	memcpy(seen.public_key, store.peers[1].public_key, 32);
	endpoints_note(r.endpoints, &seen, 1, now_ns, clock_wall_ns());
	CHECK(now() == 0 && is_same());
	CHECK(fake_find(&fake, store.peers[1].public_key)->port == 4242);
	CHECK(strcmp(fake_find(&fake, store.peers[1].public_key)->heard, "extreme") == 0);
	CHECK(fake_find(&fake, store.peers[0].public_key)->port == 0);
	CHECK(fake_find(&fake, store.peers[0].public_key)->heard[0] == '\0');
	/* One that is there knows better itself. */
	seen.endpoint.port = 1;
	endpoints_note(r.endpoints, &seen, 1, now_ns, clock_wall_ns());
	fake_find(&fake, store.peers[1].public_key)->n_ips = 0;
	CHECK(now() == 0 && is_same());
	CHECK(fake_find(&fake, store.peers[1].public_key)->port == 4242);
	r.endpoints = endpoints_free(r.endpoints);
}

static void what_fails_is_not_in_sync(void)
{
	start(3);
	fake.fail_gets = 1;
	CHECK(now() == -EPIPE && !reconcile_is_well(&r));
	fake.fail_sets = 1;
	CHECK(now() == -EPIPE && !reconcile_is_well(&r));
	store.fail = -EIO;
	CHECK(now() == -EIO && !reconcile_is_well(&r));
	store.fail = 0;
	CHECK(now() == 0 && reconcile_is_well(&r) && is_same());
}

static void one_peer_the_interface_refuses_does_not_stop_the_others(void)
{
	start(5);
	fake.refuses = true;
	memcpy(fake.refused_key, store.peers[2].public_key, 32);
	CHECK(now() == 0 && reconcile_is_well(&r));
	CHECK(fake.n == 4 && !fake_find(&fake, store.peers[2].public_key));
}

/* --- Profiles --- */

static const struct store_profile two_profiles[] = {
	{ .name = "low", .level = FRAME_LOW, .parameters = "jc=4 jmin=8 jmax=40 h1=9" },
	{ .name = "low.1",
	  .level = FRAME_LOW,
	  .parameters = "s1=15",
	  .until_ns = UINT64_C(1700000000999999999) },
};

static void the_profiles_are_set_whenever_all_is_compared(void)
{
	start(2);
	memcpy(store.profiles, two_profiles, sizeof(two_profiles));
	store.n_profiles = 2;
	CHECK(now() == 0 && is_same());
	CHECK(fake.n_profiles == 2 && strcmp(fake.profiles[1], "low.1") == 0);
	CHECK(fake.until_s[0] == 0 && fake.until_s[1] == 1700000000);
	/* The device was restarted: it has neither peers nor profiles. */
	fake.n = fake.n_profiles = 0;
	reconcile_mark_stale(&r);
	reconcile_idle(&r);
	CHECK(is_same() && fake.n_profiles == 2);
	/* No peer differs: the profiles alone are set. */
	fake.sets = 0;
	CHECK(now() == 0 && fake.sets == 1 && fake.profile_sets == 3);
}

static void a_profile_that_is_refused_keeps_no_other_from_the_interface(void)
{
	start(3);
	memcpy(store.profiles, two_profiles, sizeof(two_profiles));
	store.n_profiles = 2;
	fake.refused_profile = two_profiles[0].name;
	CHECK(now() == 0 && is_same());
	CHECK(fake.n_profiles == 1 && strcmp(fake.profiles[0], two_profiles[1].name) == 0);
}

static void an_interface_without_profiles_gets_its_peers(void)
{
	start(3);
	memcpy(store.profiles, two_profiles, sizeof(two_profiles));
	store.n_profiles = 2;
	fake.knows_no_profiles = true;
	CHECK(now() == 0 && is_same() && reconcile_is_well(&r));
}

static void a_profile_that_cannot_be_read_is_not_in_sync(void)
{
	struct diag d = { .text = "" };

	start(1);
	store.profiles[0] = two_profiles[0];
	store.profiles[0].parameters = "h1=2";
	store.n_profiles = 1;
	CHECK(reconcile_now(&r, &d) == ERR_CORRUPT && strstr(d.text, "low"));
	CHECK(!reconcile_is_well(&r) && fake.sets == 0);
}

static void a_rotation_reaches_the_interface_with_its_group(void)
{
	struct store_change rotate = { .kind = STORE_SET_PROFILES,
				       .profiles = two_profiles,
				       .n_profiles = 2,
				       .carried = 4711 };
	struct store_change add = { .kind = STORE_ADD_PEER, .peer = stored(20) };

	start(1);
	CHECK(now() == 0);
	fake.sets = 0;
	rotate.next = &add;
	store.peers[store.n++] = stored(20);
	reconcile_group(&r, &rotate);
	CHECK(rotate.carried == 0 && add.carried == 0);
	CHECK(fake.sets == 1 && fake.n_profiles == 2 && is_same());
}

/* --- Groups --- */

static struct store_change change(enum store_change_kind kind, uint8_t n)
{
	return (struct store_change){ .kind = kind, .peer = stored(n), .carried = 4711 };
}

static void a_group_is_one_request(void)
{
	start(4);
	CHECK(now() == 0);
	fake.sets = fake.gets = 0;

	struct store_change add = change(STORE_ADD_PEER, 20),
			    drop = change(STORE_REMOVE_PEER, 1);
	struct store_change suspend = change(STORE_CHANGE_PEER, 2),
			    none = change(STORE_NO_CHANGE, 0);
	struct store_change refused = change(STORE_ADD_PEER, 30);

	suspend.peer.status = STORE_PEER_SUSPENDED;
	refused.result = ERR_EXISTS;
	add.next = &drop;
	drop.next = &suspend;
	suspend.next = &refused;
	refused.next = &none;
	reconcile_group(&r, &add);
	CHECK(fake.sets == 1 && fake.gets == 0 && fake.largest_set == 4);
	CHECK(fake_find(&fake, add.peer.public_key) && !fake_find(&fake, drop.peer.public_key));
	CHECK(!fake_find(&fake, suspend.peer.public_key));
	CHECK(!fake_find(&fake, refused.peer.public_key));
	CHECK(add.carried == 0 && drop.carried == 0 && none.carried == 0);

	suspend.peer.status = STORE_PEER_ACTIVE;
	suspend.next = NULL;
	reconcile_group(&r, &suspend);
	CHECK(fake_find(&fake, suspend.peer.public_key) && suspend.carried == 0);
}

static void a_peer_of_another_level_gets_its_keepalives(void)
{
	struct store_change level = change(STORE_CHANGE_PEER, 2);

	start(4);
	CHECK(now() == 0);
	level.peer.level = FRAME_EXTREME;
	reconcile_group(&r, &level);
	CHECK(level.carried == 0);
	CHECK(fake_find(&fake, level.peer.public_key)->keepalive.lo == 16);
	CHECK(fake_find(&fake, level.peer.public_key)->keepalive.hi == 25);
	/* Who is disabled stays away. */
	level.peer.status = STORE_PEER_SUSPENDED;
	reconcile_group(&r, &level);
	CHECK(!fake_find(&fake, level.peer.public_key));
}

static void a_group_without_changes_asks_nothing(void)
{
	struct store_change none = change(STORE_NO_CHANGE, 0);

	start(1);
	CHECK(now() == 0);
	fake.sets = 0;
	reconcile_group(&r, &none);
	CHECK(fake.sets == 0 && none.carried == 0);
}

static void a_failed_group_is_caught_up_from_the_store(void)
{
	struct store_change add = change(STORE_ADD_PEER, 20);

	start(4);
	CHECK(now() == 0);
	store.peers[store.n++] = stored(20); /* it is committed */
	fake.fail_sets = 1;
	reconcile_group(&r, &add);
	CHECK(add.carried == 0 && is_same() && reconcile_is_well(&r));
}

static void while_the_interface_is_gone_attempts_are_a_second_apart(void)
{
	struct store_change add = change(STORE_ADD_PEER, 20);

	start(4);
	CHECK(now() == 0);
	store.peers[store.n++] = stored(20);
	fake.fail_sets = fake.fail_gets = 100;
	reconcile_group(&r, &add);
	CHECK(add.carried != 0 && !reconcile_is_well(&r));

	int gets = fake.gets;

	for (int i = 0; i < 10; i++) {
		reconcile_group(&r, &add);
		CHECK(add.carried != 0);
		CHECK(reconcile_idle(&r) <= 1000000000);
	}
	CHECK(fake.gets == gets);

	/* A restarted device is tried at once. */
	fake.fail_sets = fake.fail_gets = 0;
	fake.n = 0;
	reconcile_mark_stale(&r);
	CHECK(!reconcile_is_well(&r));
	reconcile_idle(&r);
	CHECK(fake.closes == 1 && is_same() && reconcile_is_well(&r));
}

static void a_connection_that_closed_is_noticed_when_idle(void)
{
	start(4);
	CHECK(now() == 0);
	fake.n = 0;
	fake.is_open = false;
	reconcile_idle(&r);
	CHECK(is_same());
}

static struct store_change switched(const char *body)
{
	struct store_change c = { .kind = STORE_PUT_RECORD };

	state_body = body;
	c.record.kind = STORE_SETTING;
	snprintf(c.record.name, sizeof(c.record.name), "interface");
	c.record.body = body;
	return c;
}

static void an_interface_that_is_switched_off_has_nobody_until_it_is_on_again(void)
{
	struct store_change off, on, add = change(STORE_ADD_PEER, 5);

	start(4);
	CHECK(now() == 0 && is_same());
	off = switched("{\"state\":\"down\"}");
	reconcile_group(&r, &off);
	CHECK(off.carried == 0 && fake.n == 0);
	store.peers[store.n++] = stored(5);
	reconcile_group(&r, &add); /* whoever comes now waits as well */
	CHECK(add.carried == 0 && fake.n == 0);
	CHECK(now() == 0 && fake.n == 0);
	on = switched("{\"state\":\"up\"}");
	reconcile_group(&r, &on);
	CHECK(on.carried == 0 && fake.n == 5 && is_same());
	off = switched("{\"state\":\"of a newer version\"}");
	reconcile_group(&r, &off);
	CHECK(fake.n == 0);
	state_body = NULL;
	CHECK(now() == 0 && is_same());
}

/* --- What somebody else does --- */

static int repairs; /* of key or port, asked of the host */

static void note_repair(void *context)
{
	(void)context;
	repairs++;
}

/* Ten peers, all in place, and the host's side of the identity known. */
static void start_watched(enum drift_policy policy)
{
	start(10);
	repairs = 0;
	fake.tells_state = true;
	fake.state.listen_port = 51820;
	fake.state.public_key[0] = 7;
	r.drift.is_ours = true;
	r.drift.policy = policy;
	r.drift.port = 51820;
	r.drift.public_key[0] = 7;
	r.drift.identity_changed = note_repair;
	CHECK(now() == 0 && is_same());
	r.drift.next_ns = 0;
	reconcile_idle(&r); /* what we set ourselves is looked at, and right */
	CHECK(drift_total(&r.drift) == 0);
}

/* By somebody else, who removes one, changes one and adds one. */
static void meddle(void)
{
	struct uapi_set_peer stranger = { .public_key = { 99 } };
	struct uapi_set set = { .peers = &stranger, .n_peers = 1 };

	fake_apply(&fake, &set, &stranger);
	fake_find(&fake, store.peers[1].public_key)->n_ips = 1;
	stranger = (struct uapi_set_peer){ .remove = true };
	memcpy(stranger.public_key, store.peers[2].public_key, 32);
	fake_apply(&fake, &set, &stranger);
	fake.state.number++;
	r.drift.next_ns = 0;
}

static void what_others_change_is_counted_and_set_again(void)
{
	start_watched(DRIFT_REPAIR);
	meddle();
	reconcile_idle(&r);
	CHECK(is_same() && drift_total(&r.drift) == 3);
	r.drift.next_ns = 0;
	reconcile_idle(&r);
	CHECK(drift_total(&r.drift) == 3);
}

static void what_others_change_is_left_where_only_a_report_is_wanted(void)
{
	start_watched(DRIFT_REPORT);
	meddle();
	fake.sets = 0;
	reconcile_idle(&r);
	CHECK(!is_same() && drift_total(&r.drift) == 3 && fake.sets == 0);
	r.drift.next_ns = 0;
	reconcile_idle(&r); /* said once */
	CHECK(drift_total(&r.drift) == 3 && reconcile_is_well(&r));
}

static struct drift_peer taken[8];
static size_t n_taken;

static void take(void *context, const struct drift_peer *peers, size_t n)
{
	CHECK(context == taken && n <= 8);
	memcpy(taken, peers, n * sizeof(*peers));
	n_taken = n;
}

static const struct drift_peer *taken_of(const uint8_t key[32])
{
	for (size_t i = 0; i < n_taken; i++)
		if (memcmp(taken[i].public_key, key, 32) == 0)
			return &taken[i];
	return NULL;
}

static void what_others_change_is_handed_to_who_adopts_it_as_the_interface_has_it(void)
{
	const struct drift_peer *missing, *foreign, *different;

	start_watched(DRIFT_ADOPT);
	r.drift.take = take;
	r.drift.take_context = taken;
	meddle();
	fake_find(&fake, store.peers[1].public_key)->preshared_key.b[0] = 3;
	fake.sets = 0;
	reconcile_idle(&r);
	CHECK(n_taken == 3 && fake.sets == 0 && !is_same());
	missing = taken_of(store.peers[2].public_key);
	different = taken_of(store.peers[1].public_key);
	foreign = taken_of((const uint8_t[32]){ 99 });
	CHECK(missing && missing->kind == DRIFT_MISSING);
	CHECK(foreign && foreign->kind == DRIFT_FOREIGN && foreign->n_prefixes == 0);
	CHECK(different && different->kind == DRIFT_DIFFERENT);
	CHECK(different && different->n_prefixes == 1 && different->keepalive_s == 25 &&
	      different->preshared_key.b[0] == 3 &&
	      ip_addr_equal(&different->prefixes[0].ip, &store.peers[1].v4));
	n_taken = 0;
	r.drift.next_ns = 0;
	reconcile_idle(&r); /* once */
	CHECK(n_taken == 0);
}

static void an_interface_that_nobody_changed_is_not_compared(void)
{
	start_watched(DRIFT_REPAIR);
	fake.gets = 0;
	for (int i = 0; i < 5; i++) {
		r.drift.next_ns = 0;
		reconcile_idle(&r);
	}
	CHECK(fake.gets == 0);
}

static void another_port_or_key_is_told_to_the_host_while_it_lasts(void)
{
	start_watched(DRIFT_REPAIR);
	fake.state.listen_port = 4444;
	for (int i = 0; i < 2; i++) {
		r.drift.next_ns = 0;
		reconcile_idle(&r);
	}
	CHECK(repairs == 2 && drift_total(&r.drift) == 2);
	fake.state.listen_port = 51820;
	fake.state.public_key[0] = 8;
	r.drift.next_ns = 0;
	reconcile_idle(&r);
	CHECK(repairs == 3);
}

static void a_peer_that_has_just_expired_is_nobodys_meddling(void)
{
	start_watched(DRIFT_REPAIR);
	store.peers[3].expires_ns = 1;
	fake.state.number++;
	r.drift.next_ns = 0;
	reconcile_idle(&r);
	CHECK(drift_total(&r.drift) == 0);
	CHECK(fake_find(&fake, store.peers[3].public_key) != NULL);
	CHECK(now() == 0); /* any other comparison ends it */
	CHECK(!fake_find(&fake, store.peers[3].public_key));
}

static void what_cannot_stay_is_not_set_for_ever(void)
{
	start_watched(DRIFT_REPAIR);
	fake.sets = 0;
	for (int i = 0; i < 40; i++) { /* two peers that want one address */
		fake_find(&fake, store.peers[1].public_key)->n_ips = 1;
		fake.state.number += i < 12;
		r.drift.next_ns = 0;
		reconcile_idle(&r);
	}
	CHECK(fake.sets > 5 && fake.sets < 20);
}

static void an_interface_that_does_not_tell_is_asked_once(void)
{
	start(3);
	r.drift.is_ours = true;
	CHECK(now() == 0 && r.drift.is_blind);
	r.drift.next_ns = 0;
	CHECK(reconcile_idle(&r) > 0 && is_same());
}

static void a_plain_interface_is_asked_for_nothing_that_it_cannot_do(void)
{
	struct store_change add = change(STORE_ADD_PEER, 20);

	start(4);
	r.is_plain = true;
	fake.knows_no_profiles = true;
	store.profiles[store.n_profiles++] = (struct store_profile){ .name = "low" };
	store.peers[0].level = FRAME_EXTREME;
	store.peers[1].rate_bps = 1000000;
	store.peers[2].budget_bytes = 5;
	CHECK(now() == 0 && fake.n == 4 && fake.profile_sets == 0);
	CHECK(fake_find(&fake, store.peers[0].public_key)->keepalive.lo == 25);
	CHECK(!fake.has_limits);
	fake.sets = 0;
	CHECK(now() == 0 && fake.sets == 0);
	add.peer.rate_bps = 7;
	add.sets_limits = true;
	reconcile_group(&r, &add);
	CHECK(add.carried == 0 && fake.n == 5 && !fake.has_limits);
}

/* --- Access lists --- */

/* A host of which one kind of message fails, and whose table somebody may have removed. */
struct fake_host {
	uint32_t failing;
	bool has_table;
};

static int host_send(void *context, struct host_message *m)
{
	struct fake_host *h = context;

	if (m->type == h->failing)
		return -EIO;
	if (m->type == HOST_ACCESS_CLEAR)
		h->has_table = false;
	if (m->type == HOST_ACCESS_ENFORCE)
		h->has_table = true;
	return m->type == HOST_ACCESS_CHECK && !h->has_table ? ERR_UNKNOWN : 0;
}

static int no_rules(const char *body, struct access_rule *ret, size_t *ret_n)
{
	(void)body, (void)ret;
	*ret_n = 0;
	return 0;
}

static int64_t no_list(const char *body)
{
	(void)body;
	return 0;
}

/* Three peers, of which the second has a list. */
static void start_with_list(struct fake_host *h)
{
	static const struct access_readers readers = { no_rules, no_list };

	start(3);
	store.peers[1].access_id = 7;
	has_list = true;
	if (access_sync_new(&store.store, host_send, h, &readers, &r.access) != 0)
		abort();
}

static void end_with_list(void)
{
	r.access = access_sync_free(r.access);
	has_list = false;
}

static bool has_second(void)
{
	return fake_find(&fake, store.peers[1].public_key) != NULL;
}

static void whose_list_the_host_lost_leaves_the_interface_until_it_is_back(void)
{
	static const uint32_t steps[] = { HOST_ACCESS_STAGE, HOST_ACCESS_LIST,
					  HOST_ACCESS_MEMBERS, HOST_ACCESS_ENFORCE };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct fake_host h = { .failing = 0 };

		start_with_list(&h);
		CHECK(now() == 0 && has_second() && fake.n == 3);
		h = (struct fake_host){ .failing = steps[i] };
		reconcile_idle(&r);
		CHECK(!has_second() && fake.n == 2 && !reconcile_is_well(&r));
		CHECK(now() != 0 && !has_second() && fake.n == 2);
		h.failing = 0;
		CHECK(now() == 0 && has_second() && fake.n == 3);
		end_with_list();
	}
}

static void whose_list_the_host_still_has_stays_while_no_other_can_be_made(void)
{
	struct fake_host h = { .failing = 0 };

	start_with_list(&h);
	CHECK(now() == 0 && has_second());
	end_with_list();

	struct fake_iface before = fake; /* the next gateway process finds it so */

	start_with_list(&h);
	fake = before;
	h.failing = HOST_ACCESS_ENFORCE;
	CHECK(now() != 0 && has_second() && fake.n == 3);
	h.has_table = false; /* and finds it so if somebody was there in between */
	CHECK(now() != 0 && !has_second() && fake.n == 2);
	end_with_list();
}

int main(void)
{
	RUN(an_empty_interface_gets_everybody_in_one_request);
	RUN(an_interface_that_is_right_is_left_alone);
	RUN(only_the_difference_is_set);
	RUN(an_address_comes_back_from_a_peer_that_goes);
	RUN(a_peer_the_interface_has_lost_is_set_where_it_was);
	RUN(what_fails_is_not_in_sync);
	RUN(one_peer_the_interface_refuses_does_not_stop_the_others);
	RUN(a_group_is_one_request);
	RUN(a_peer_of_another_level_gets_its_keepalives);
	RUN(a_group_without_changes_asks_nothing);
	RUN(a_failed_group_is_caught_up_from_the_store);
	RUN(while_the_interface_is_gone_attempts_are_a_second_apart);
	RUN(a_connection_that_closed_is_noticed_when_idle);
	RUN(the_profiles_are_set_whenever_all_is_compared);
	RUN(a_profile_that_is_refused_keeps_no_other_from_the_interface);
	RUN(an_interface_without_profiles_gets_its_peers);
	RUN(a_profile_that_cannot_be_read_is_not_in_sync);
	RUN(an_interface_that_is_switched_off_has_nobody_until_it_is_on_again);
	RUN(a_rotation_reaches_the_interface_with_its_group);
	RUN(what_others_change_is_counted_and_set_again);
	RUN(what_others_change_is_left_where_only_a_report_is_wanted);
	RUN(what_others_change_is_handed_to_who_adopts_it_as_the_interface_has_it);
	RUN(an_interface_that_nobody_changed_is_not_compared);
	RUN(another_port_or_key_is_told_to_the_host_while_it_lasts);
	RUN(a_peer_that_has_just_expired_is_nobodys_meddling);
	RUN(what_cannot_stay_is_not_set_for_ever);
	RUN(an_interface_that_does_not_tell_is_asked_once);
	RUN(a_plain_interface_is_asked_for_nothing_that_it_cannot_do);
	RUN(whose_list_the_host_lost_leaves_the_interface_until_it_is_back);
	RUN(whose_list_the_host_still_has_stays_while_no_other_can_be_made);
	return DONE();
}
