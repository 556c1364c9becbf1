/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two engines with real threads: data threads, a keeper and a control thread each, joined by
 * bounded rings. Time is a counter that runs thousands of times faster than the world's, so
 * that keys change many times. A thread sanitizer judges; besides, no packet may come twice,
 * change, or get to the wrong engine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "../unit/test.h"
#include "engine/engine.h"
#include "net.h"

enum {
	DATA_THREADS = 2,
	THREADS = DATA_THREADS + 2, /* data, keeper, control */
	RING = 512,
	STRANGERS = 16, /* peers that control adds and removes */
	PACKET = 200,
	BATCH = 8,
	NUMBERS_MAX = 1 << 22,
};

struct ring {
	pthread_mutex_t lock;
	struct {
		uint32_t len;
		uint8_t tos;
		uint8_t data[PACKET + 64 + 100];
	} slot[RING];
	uint32_t first, n;
};

struct side {
	struct engine *engine;
	struct engine_worker *worker[THREADS];
	struct ring in;
	struct side *other;
	struct endpoint address;
	struct ip_prefix inner;
	struct secret_key private_key;
	uint8_t public_key[32];
	_Atomic bool keeper_wanted;
	_Atomic uint8_t *seen; /* packets of the other side, by number */
};

static struct side sides[2];
static _Atomic uint64_t now_ns;
static _Atomic bool stop;
static _Atomic uint64_t next_number, delivered, twice, changed, entropy;

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void fill_random(void *context, void *out, size_t len)
{
	uint8_t *at = out;

	(void)context;
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)mix(atomic_fetch_add(&entropy, UINT64_C(0x9e3779b97f4a7c15)));
}

static uint64_t random_below(uint64_t n)
{
	return mix(atomic_fetch_add(&entropy, UINT64_C(0x9e3779b97f4a7c15))) % n;
}

static uint64_t now(void)
{
	return atomic_load_explicit(&now_ns, memory_order_relaxed);
}

/* ---- the wire ---- */

static void ring_put(struct ring *r, const uint8_t *data, uint32_t len, uint8_t tos)
{
	pthread_mutex_lock(&r->lock);
	if (r->n < RING && len <= sizeof(r->slot[0].data)) { /* full: lost */
		uint32_t i = (r->first + r->n++) % RING;

		r->slot[i].len = len;
		r->slot[i].tos = tos;
		memcpy(r->slot[i].data, data, len);
	}
	pthread_mutex_unlock(&r->lock);
}

static bool ring_take(struct ring *r, uint8_t *out, uint32_t *ret_len, uint8_t *ret_tos)
{
	bool found = false;

	pthread_mutex_lock(&r->lock);
	if (r->n) {
		*ret_len = r->slot[r->first].len;
		*ret_tos = r->slot[r->first].tos;
		memcpy(out, r->slot[r->first].data, *ret_len);
		r->first = (r->first + 1) % RING;
		r->n--;
		found = true;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

static void take_packet(struct side *s, const uint8_t *data, uint32_t len)
{
	uint64_t number = len == PACKET ? get_be64(data + 28) : NUMBERS_MAX;

	if (number >= NUMBERS_MAX || memcmp(data + 16, s->inner.ip.b, 4) != 0) {
		if (data[9] != 1) /* ICMP from ourselves is fine */
			atomic_fetch_add(&changed, 1);
		return;
	}
	if (atomic_fetch_add(&s->seen[number], 1))
		atomic_fetch_add(&twice, 1);
	atomic_fetch_add(&delivered, 1);
}

static void fetch(struct side *s, struct engine_worker *w)
{
	const struct engine_output *outs = NULL;
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;
	size_t n = engine_outputs(w, &outs);

	for (size_t i = 0; i < n; i++) {
		for (uint32_t at = 0; at < outs[i].len; at += outs[i].segment) {
			uint32_t len = outs[i].len - at;

			ring_put(&s->other->in, outs[i].data + at,
				 len < outs[i].segment ? len : outs[i].segment, outs[i].tos);
		}
		if (outs[i].peer && random_below(1024) == 0)
			engine_source_failed(w, outs[i].peer);
	}
	n = engine_writes(w, &writes, &slices);
	for (size_t i = 0; i < n; i++) {
		struct iovec *v = &slices[writes[i].first_slice];

		take_packet(s, v->iov_base, (uint32_t)v->iov_len);
	}
	if (engine_wants_keeper(w))
		atomic_store(&s->keeper_wanted, true);
}

/* ---- the threads ---- */

struct thread {
	pthread_t id;
	struct side *side;
	struct engine_worker *worker;
};

static struct ip_prefix stranger_net(uint32_t n)
{
	return (struct ip_prefix){ .ip = { .family = ADDR_V4, .b = { 172, 16, (uint8_t)n } },
				   .bits = 24 };
}

static void send_some(struct side *s, struct engine_worker *w)
{
	uint8_t room[BATCH][PACKET + ENGINE_TAILROOM];
	struct engine_packet packets[BATCH];
	size_t n = 0;

	for (; n < BATCH; n++) {
		uint64_t number = atomic_fetch_add(&next_number, 1);
		struct ip_prefix to = random_below(16)
					      ? s->other->inner
					      : stranger_net((uint32_t)random_below(STRANGERS));

		if (number >= NUMBERS_MAX)
			break;
		sim_build(room[n], &s->inner.ip, &to.ip, 0, number, 0, PACKET);
		packets[n] = (struct engine_packet){ .data = room[n], .len = PACKET };
	}
	engine_send(w, now(), packets, n);
	fetch(s, w);
}

static void receive_some(struct side *s, struct engine_worker *w)
{
	static _Thread_local uint8_t room[BATCH][sizeof(s->in.slot[0].data)];
	struct engine_datagram in[BATCH];
	size_t n = 0;

	for (; n < BATCH; n++) {
		in[n] = (struct engine_datagram){ .data = room[n],
						  .source = s->other->address };
		in[n].source.port = (uint16_t)(1000 + random_below(2)); /* an unsteady NAT */
		in[n].source.local = s->address.ip;
		if (!ring_take(&s->in, room[n], &in[n].len, &in[n].tos))
			break;
	}
	engine_receive(w, now(), in, n);
	fetch(s, w);
}

static void *data_thread(void *arg)
{
	struct thread *t = arg;

	engine_enter(t->worker);
	while (!atomic_load(&stop)) {
		send_some(t->side, t->worker);
		for (int i = 0; i < 2; i++)
			receive_some(t->side, t->worker);
		engine_quiet(t->worker);
		if (random_below(4) == 0) {
			engine_leave(t->worker);
			sched_yield();
			engine_enter(t->worker);
		}
	}
	engine_leave(t->worker);
	return NULL;
}

static void *keeper_thread(void *arg)
{
	struct thread *t = arg;

	engine_enter(t->worker);
	while (!atomic_load(&stop)) {
		bool wanted = atomic_exchange(&t->side->keeper_wanted, false);

		while (wanted || engine_deadline_ns(t->worker) <= now()) {
			wanted = engine_keep(t->worker, now(), SIM_WALL + now());
			fetch(t->side, t->worker);
		}
		engine_leave(t->worker);
		sched_yield();
		engine_enter(t->worker);
	}
	engine_leave(t->worker);
	return NULL;
}

static void add_stranger(struct side *s, struct engine_worker *w, uint32_t n)
{
	uint8_t key[32] = { (uint8_t)(n + 1), 7 };
	struct ip_prefix net = stranger_net(n);
	struct peer *p = NULL;
	uint32_t seconds = 0;

	if (engine_peer_find(w, key) || engine_peer_add(w, key, &p) != 0)
		return;
	(void)engine_peer_set_endpoint(w, p, &s->other->address);
	(void)engine_allowed_ip_add(s->engine, p, &net);
	seconds = (uint32_t)random_below(3);
	engine_peer_set_keepalive(w, now(), p, (struct frame_range){ seconds, seconds });
}

static void remove_stranger(struct engine_worker *w, uint32_t n)
{
	uint8_t key[32] = { (uint8_t)(n + 1), 7 };
	struct peer *p = engine_peer_find(w, key);

	if (p)
		engine_peer_remove(w, p);
}

static void add_other(struct side *s, struct engine_worker *w)
{
	struct peer *p = NULL;

	if (engine_peer_add(w, s->other->public_key, &p) != 0 ||
	    engine_peer_set_endpoint(w, p, &s->other->address) != 0 ||
	    engine_allowed_ip_add(s->engine, p, &s->other->inner) != 0)
		abort();
}

static void look_at_everything(struct side *s)
{
	struct engine_counters counters;
	struct engine_peer_info info;
	struct ip_prefix prefixes[4];

	engine_counters(s->engine, &counters);
	for (struct peer *p = NULL; (p = engine_peer_next(s->engine, p)) != NULL;) {
		engine_peer_info(p, &info);
		(void)engine_peer_allowed_ips(p, prefixes, 4);
	}
}

static void change_something(struct side *s, struct engine_worker *w)
{
	struct peer *p = engine_peer_find(w, s->other->public_key);
	uint32_t n = (uint32_t)random_below(STRANGERS);

	switch (random_below(10)) {
	case 0:
	case 1:
	case 2:
		add_stranger(s, w, n);
		break;
	case 3:
	case 4:
		remove_stranger(w, n);
		break;
	case 5:
		look_at_everything(s);
		break;
	case 6:
		engine_peer_set_keepalive(
			w, now(), p, (struct frame_range){ 7, 7 + (uint32_t)random_below(30) });
		(void)engine_peer_set_endpoint(w, p, &s->other->address);
		break;
	case 7:
		engine_forget_sources(w);
		engine_set_mtu(s->engine, 1280 + (uint32_t)random_below(200));
		break;
	case 8:
		engine_peer_flush(w, now(), p);
		break;
	case 9:
		if (random_below(20) == 0)
			engine_forget_keys(w, now());
		if (random_below(200) == 0) {
			engine_set_up(w, now(), false);
			engine_set_up(w, now(), true);
		}
		if (random_below(20) == 0) { /* in the middle of its traffic */
			engine_peer_remove(w, p);
			add_other(s, w);
		}
		break;
	}
	if (engine_wants_keeper(w))
		atomic_store(&s->keeper_wanted, true);
}

static void *control_thread(void *arg)
{
	struct thread *t = arg;

	while (!atomic_load(&stop)) {
		engine_enter(t->worker);
		change_something(t->side, t->worker);
		engine_leave(t->worker);
		sched_yield();
	}
	return NULL;
}

/* ---- the test ---- */

static void begin_side(struct side *s, uint8_t id)
{
	struct engine_options options = { .random = fill_random,
					  .backend = SUITE_OPENSSL,
					  .staged_bytes_max = 1 << 20,
					  .packets_max = 64 };
	struct suite *suite = NULL;

	s->other = &sides[1 - id];
	s->address = (struct endpoint){ .ip = { .family = ADDR_V4, .b = { 192, 0, 2, id } },
					.port = 1000 };
	s->inner = (struct ip_prefix){ .ip = { .family = ADDR_V4, .b = { 10, 0, 0, id } },
				       .bits = 32 };
	s->seen = calloc(NUMBERS_MAX, 1);
	pthread_mutex_init(&s->in.lock, NULL);
	CHECK(suite_new(SUITE_OPENSSL, &suite) == 0);
	fill_random(NULL, &s->private_key, sizeof(s->private_key));
	dh_clamp(&s->private_key);
	dh_public(suite, s->public_key, &s->private_key);
	suite_free(suite);
	CHECK(engine_new(&options, &s->engine) == 0);
	for (int i = 0; i < THREADS; i++) {
		CHECK(engine_worker_new(s->engine, &s->worker[i]) == 0);
		engine_worker_set_merge(s->worker[i], false);
	}
}

static void configure(struct side *s)
{
	struct engine_worker *w = s->worker[0];

	engine_enter(w);
	engine_set_private_key(w, now(), &s->private_key);
	engine_set_up(w, now(), true);
	add_other(s, w);
	engine_leave(w);
}

static uint64_t keys_made(void)
{
	struct engine_counters a, b;

	engine_counters(sides[0].engine, &a);
	engine_counters(sides[1].engine, &b);
	return a.handshakes_completed + b.handshakes_completed;
}

/* Until many keys were made and much arrived; or too much time has passed. */
static void let_time_pass(void)
{
	uint64_t keys = sim_is_soak() ? 10000 : 100, packets = sim_is_soak() ? 1000000 : 20000;

	for (int i = 0; i < (sim_is_soak() ? 1000000 : 60000); i++) {
		struct timespec tick = { .tv_nsec = 1000000 };

		nanosleep(&tick, NULL);
		atomic_fetch_add(&now_ns, 100 * SIM_MS);
		if (keys_made() >= keys && atomic_load(&delivered) >= packets)
			return;
	}
}

static void threads_share_an_engine_without_a_race(void)
{
	void *(*const role[THREADS])(void *) = { data_thread, data_thread, keeper_thread,
						 control_thread };
	struct thread thread[2][THREADS];

	atomic_store(&now_ns, SIM_S);
	atomic_store(&entropy, sim_seed(9));
	begin_side(&sides[0], 0);
	begin_side(&sides[1], 1);
	configure(&sides[0]);
	configure(&sides[1]);
	for (int s = 0; s < 2; s++)
		for (int i = 0; i < THREADS; i++) {
			thread[s][i].side = &sides[s];
			thread[s][i].worker = sides[s].worker[i];
			pthread_create(&thread[s][i].id, NULL, role[i], &thread[s][i]);
		}
	let_time_pass();
	atomic_store(&stop, true);
	for (int s = 0; s < 2; s++)
		for (int i = 0; i < THREADS; i++)
			pthread_join(thread[s][i].id, NULL);
	printf("# %llu packets sent, %llu arrived, %llu keys, %.0f s\n",
	       (unsigned long long)atomic_load(&next_number),
	       (unsigned long long)atomic_load(&delivered), (unsigned long long)keys_made(),
	       (double)now() / 1e9);
	CHECK(atomic_load(&delivered) > 1000);
	CHECK(keys_made() > 10);
	CHECK(atomic_load(&twice) == 0);
	CHECK(atomic_load(&changed) == 0);
	for (int s = 0; s < 2; s++) {
		for (int i = 0; i < THREADS; i++)
			engine_worker_free(sides[s].worker[i]);
		engine_free(sides[s].engine);
		free(sides[s].seen);
	}
}

int main(void)
{
	RUN(threads_share_an_engine_without_a_race);
	return DONE();
}
