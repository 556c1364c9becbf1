/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

enum { KEEPER_ROUNDS_MAX = 100000 };

/* ---- randomness ---- */

/* Source: G. Steele et al., "Fast splittable pseudorandom number generators", 2014. */
uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t sim_random_below(struct sim *s, uint64_t n)
{
	return n ? sim_random(s) % n : 0;
}

static bool chance(struct sim *s, uint32_t ppm)
{
	return ppm && sim_random_below(s, 1000000) < ppm;
}

static void fill_random(void *context, void *out, size_t len)
{
	uint8_t *at = out;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)sim_random(context);
}

uint64_t sim_seed(uint64_t otherwise)
{
	const char *text = getenv("CULVERT_SIM_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;

	setvbuf(stdout, NULL, _IOLBF, 0); /* a long run shows how far it is */
	printf("# seed %llu\n", (unsigned long long)seed);
	return seed;
}

bool sim_is_soak(void)
{
	return getenv("CULVERT_SOAK") != NULL;
}

static void violation(struct sim *s, const char *what, const struct sim_node *at)
{
	if (s->violations++ < 20)
		printf("# seed %llu, %.3f s: node %u: %s\n", (unsigned long long)s->seed,
		       (double)s->now_ns / 1e9, at ? at->id : 0, what);
}

bool sim_check(const struct sim *s)
{
	return s->violations == 0;
}

/* ---- events: a binary heap ---- */

enum event_kind { EVENT_ARRIVE, EVENT_WAKE, EVENT_CALL };

struct event {
	uint64_t at_ns;
	uint64_t sequence; /* equal times happen in the order they were asked for */
	enum event_kind kind;
	struct sim_node *node;
	struct sim_datagram *datagram;
	void (*function)(struct sim *s, void *arg);
	void *arg;
};

struct sim_events {
	struct event *heap;
	size_t n, room;
	uint64_t sequence;
};

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void push(struct sim *s, struct event ev)
{
	struct sim_events *q = s->events;
	size_t i = q->n++;

	if (q->n > q->room) {
		q->room = q->room ? q->room * 2 : 256;
		q->heap = realloc(q->heap, q->room * sizeof(*q->heap));
	}
	ev.sequence = q->sequence++;
	for (; i > 0 && before(&ev, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = ev;
}

static struct event pop(struct sim *s)
{
	struct sim_events *q = s->events;
	struct event first = q->heap[0], last = q->heap[--q->n];
	size_t i = 0;

	for (size_t c = 1; c < q->n; i = c, c = 2 * i + 1) {
		if (c + 1 < q->n && before(&q->heap[c + 1], &q->heap[c]))
			c++;
		if (!before(&q->heap[c], &last))
			break;
		q->heap[i] = q->heap[c];
	}
	if (q->n)
		q->heap[i] = last;
	return first;
}

/* ---- datagrams ---- */

static struct sim_datagram *datagram_copy(const struct sim_datagram *d)
{
	struct sim_datagram *copy = malloc(sizeof(*copy));

	*copy = *d;
	copy->data = malloc(d->len ? d->len : 1); /* its own size: a sanitizer sees the end */
	memcpy(copy->data, d->data, d->len);
	if (d->plain == d->data) {
		copy->plain = copy->data;
	} else if (d->plain) {
		uint8_t *plain = malloc(d->plain_len);

		memcpy(plain, d->plain, d->plain_len);
		copy->plain = plain;
	}
	return copy;
}

static void datagram_free(struct sim_datagram *d)
{
	sim_dress_off(d);
	free(d->data);
	free(d);
}

static void log_datagram(struct sim *s, const struct sim_datagram *d)
{
	struct sim_datagram *copy = NULL;

	if (!s->is_logging)
		return;
	if ((s->n_log & (s->n_log - 1)) == 0) /* doubles at powers of two */
		s->log = realloc(s->log, (s->n_log ? s->n_log * 2 : 1) * sizeof(*s->log));
	copy = datagram_copy(d);
	s->log[s->n_log++] = *copy;
	free(copy);
}

/* Whose address is this? The node's number stands in it. */
static struct sim_node *node_at(struct sim *s, const struct endpoint *to)
{
	const uint8_t *b = to->ip.b + (to->ip.family == ADDR_V4 ? 2 : 14);
	uint32_t id = (uint32_t)(b[0] << 8 | b[1]);
	struct sim_node *n = id >= 1 && id <= s->n_nodes ? s->nodes[id - 1] : NULL;

	return n && endpoint_same_remote(&n->address, to) ? n : NULL;
}

static void travel(struct sim *s, const struct sim_datagram *d, const struct sim_link *link)
{
	uint64_t span = link->delay_max_ns - link->delay_min_ns;
	struct sim_datagram *copy = datagram_copy(d);

	sim_dress_off(copy); /* whoever gets it sees for himself */
	if (chance(s, link->corrupt_ppm) && d->len)
		copy->data[sim_random_below(s, d->len)] ^=
			(uint8_t)(1 + sim_random_below(s, 255));
	push(s, (struct event){
			.at_ns = s->now_ns + link->delay_min_ns + sim_random_below(s, span + 1),
			.kind = EVENT_ARRIVE,
			.datagram = copy,
		});
}

static void put_on_wire(struct sim_node *from, uint8_t *data, uint32_t len, uint8_t tos,
			const struct endpoint *to)
{
	struct sim *s = from->sim;
	struct sim_datagram d = {
		.from = from,
		.to = node_at(s, to),
		.source = from->address,
		.destination = *to,
		.sent_ns = s->now_ns,
		.len = len,
		.tos = tos,
		.data = data,
	};
	const char *wrong = NULL;

	sim_undress(from, &d);
	wrong = sim_keys_sent(s->keys, &d, &s->key_age_ns);
	if (wrong)
		violation(s, wrong, from);
	if (s->key_age_ns > s->key_age_max_ns)
		s->key_age_max_ns = s->key_age_ns;
	from->sent++;
	s->datagrams++;
	log_datagram(s, &d);
	if ((!s->on_wire || s->on_wire(s, &d)) && !from->is_cut &&
	    !chance(s, from->link.loss_ppm)) {
		travel(s, &d, &from->link);
		if (chance(s, from->link.duplicate_ppm))
			travel(s, &d, &from->link);
	}
	sim_dress_off(&d);
}

/* ---- inner packets ---- */

static uint16_t checksum(const uint8_t *at, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint8_t filler(uint64_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i * 7);
}

uint32_t sim_build(uint8_t *out, const struct ip_addr *source,
		   const struct ip_addr *destination, uint8_t tos, uint64_t number,
		   uint64_t sent_ns, uint32_t len)
{
	bool v4 = source->family == ADDR_V4;
	uint32_t ip_len = v4 ? 20 : 40;
	uint8_t *udp = out + ip_len, *body = udp + 8;

	memset(out, 0, ip_len + 8);
	if (v4) {
		out[0] = 0x45;
		out[1] = tos;
		put_be16(out + 2, (uint16_t)len);
		out[8] = 64;
		out[9] = 17;
		memcpy(out + 12, source->b, 4);
		memcpy(out + 16, destination->b, 4);
		put_be16(out + 10, checksum(out, 20));
	} else {
		put_be32(out, UINT32_C(6) << 28 | (uint32_t)tos << 20);
		put_be16(out + 4, (uint16_t)(len - 40));
		out[6] = 17;
		out[7] = 64;
		memcpy(out + 8, source->b, 16);
		memcpy(out + 24, destination->b, 16);
	}
	put_be16(udp, 7000);
	put_be16(udp + 2, 7000);
	put_be16(udp + 4, (uint16_t)(len - ip_len));
	put_be64(body, number);
	put_be64(body + 8, sent_ns);
	for (uint32_t i = 16; i < len - ip_len - 8; i++)
		body[i] = filler(number, i);
	return len;
}

struct ip_prefix sim_inner4(const struct sim_node *n)
{
	return (struct ip_prefix){ .ip = { .family = ADDR_V4,
					   .b = { 10, 0, (uint8_t)(n->id >> 8),
						  (uint8_t)n->id } },
				   .bits = 32 };
}

struct ip_prefix sim_inner6(const struct sim_node *n)
{
	return (struct ip_prefix){
		.ip = { .family = ADDR_V6,
			.b = { 0xfd, [14] = (uint8_t)(n->id >> 8), [15] = (uint8_t)n->id } },
		.bits = 128
	};
}

uint64_t sim_send(struct sim_node *from, const struct sim_node *to, uint32_t len)
{
	uint8_t packet[2048];
	struct ip_prefix a = sim_inner4(from), b = sim_inner4(to);
	uint64_t number = ++from->sim->next_number;

	sim_build(packet, &a.ip, &b.ip, 0, number, from->sim->now_ns, len);
	sim_send_raw(from, packet, len);
	return number;
}

void sim_send_raw(struct sim_node *from, const uint8_t *packet, uint32_t len)
{
	uint8_t *copy = malloc(len + ENGINE_TAILROOM);
	struct engine_packet p = { .data = copy, .len = len };

	memcpy(copy, packet, len);
	memset(copy + len, 0xa5, ENGINE_TAILROOM);
	if (!from->is_asleep) {
		engine_send(from->worker, sim_boot_ns(from), &p, 1);
		sim_fetch(from);
	}
	free(copy);
}

/* Is the packet as sim_build() made it, and at the node it was made for? */
static void take_packet(struct sim_node *n, const uint8_t *data, uint32_t len)
{
	struct sim *s = n->sim;
	struct sim_packet p = { .at = n, .data = data, .len = len };
	uint32_t ip_len = len && data[0] >> 4 == 6 ? 40 : 20;
	const uint8_t *body = data + ip_len + 8;

	n->delivered++;
	if (len >= ip_len + 24 && data[ip_len == 40 ? 6 : 9] == 17) {
		p.number = get_be64(body);
		p.sent_ns = get_be64(body + 8);
		for (uint32_t i = 16; i < len - ip_len - 8; i++) {
			if (body[i] != filler(p.number, i)) {
				violation(s, "an inner packet was changed", n);
				break;
			}
		}
	}
	if (s->on_packet)
		s->on_packet(s, &p);
}

/* ---- nodes ---- */

uint64_t sim_boot_ns(struct sim_node *n)
{
	return n->sim->now_ns - sim_random_below(n->sim, n->wobble_ns + 1);
}

static uint64_t wall_ns(const struct sim_node *n)
{
	return SIM_WALL + n->sim->now_ns + (uint64_t)n->wall_offset_ns;
}

/* A sticky source that is not ours any more: the system refuses to send from it. */
static bool source_is_gone(const struct sim_node *n, const struct endpoint *to)
{
	return to->local.family != ADDR_NONE && !ip_addr_equal(&to->local, &n->address.ip);
}

static void fetch_datagrams(struct sim_node *n)
{
	const struct engine_output *outs = NULL;
	size_t count = engine_outputs(n->worker, &outs);

	for (size_t i = 0; i < count; i++) {
		const struct engine_output *o = &outs[i];

		if (source_is_gone(n, &o->to))
			engine_source_failed(n->worker, o->peer); /* and try without */
		for (uint32_t at = 0; at < o->len; at += o->segment) {
			uint32_t len = o->len - at < o->segment ? o->len - at : o->segment;

			put_on_wire(n, o->data + at, len, o->tos, &o->to);
		}
	}
}

static void fetch_packets(struct sim_node *n)
{
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;
	size_t count = engine_writes(n->worker, &writes, &slices);

	for (size_t i = 0; i < count; i++) {
		uint8_t *flat = malloc(writes[i].len ? writes[i].len : 1);
		uint32_t at = 0;

		for (uint32_t k = 0; k < writes[i].n_slices; k++) {
			const struct iovec *v = &slices[writes[i].first_slice + k];

			memcpy(flat + at, v->iov_base, v->iov_len);
			at += (uint32_t)v->iov_len;
		}
		if (at != writes[i].len)
			violation(n->sim, "slices of a write do not sum up", n);
		take_packet(n, flat, writes[i].len);
		free(flat);
	}
}

static void wake_by(struct sim_node *n, uint64_t at_ns)
{
	if (at_ns == UINT64_MAX || n->wake_at <= at_ns)
		return;
	if (at_ns < n->sim->now_ns)
		at_ns = n->sim->now_ns;
	n->wake_at = at_ns;
	push(n->sim, (struct event){ .at_ns = at_ns, .kind = EVENT_WAKE, .node = n });
}

static void keep(struct sim_node *n)
{
	bool more = true;

	n->keeper_wanted = false;
	for (uint64_t round = 0; more && round < KEEPER_ROUNDS_MAX; round++) {
		more = engine_keep(n->worker, sim_boot_ns(n), wall_ns(n));
		n->keeper_runs++;
		fetch_datagrams(n);
		fetch_packets(n);
	}
	if (more)
		violation(n->sim, "the keeper does not come to rest", n);
}

static void await_deadline(struct sim_node *n)
{
	uint64_t at = engine_deadline_ns(n->worker);

	/* A clock read early may find the deadline not come yet: look again a bit later. */
	if (at <= n->sim->now_ns)
		at = n->sim->now_ns + SIM_MS;
	wake_by(n, at);
}

void sim_fetch(struct sim_node *n)
{
	fetch_datagrams(n);
	fetch_packets(n);
	sim_pump(n);
}

void sim_pump(struct sim_node *n)
{
	if (engine_wants_keeper(n->worker)) {
		if (n->keeper_delay_ns) {
			n->keeper_wanted = true;
			wake_by(n, n->sim->now_ns + n->keeper_delay_ns);
		} else {
			keep(n);
		}
	}
	await_deadline(n);
	engine_quiet(n->worker);
}

static void wake(struct sim_node *n)
{
	n->wake_at = UINT64_MAX;
	if (n->is_asleep)
		return;
	if (n->keeper_wanted || engine_deadline_ns(n->worker) <= n->sim->now_ns)
		keep(n);
	await_deadline(n);
	engine_quiet(n->worker);
}

static void start_engine(struct sim_node *n)
{
	struct engine_options options = {
		.random = fill_random,
		.random_context = n->sim,
		.backend = n->sim->backend,
		.staged_bytes_max = 4 << 20,
		.packets_max = 2048,
	};

	if (engine_new(&options, &n->engine) != 0 ||
	    engine_worker_new(n->engine, &n->worker) != 0)
		abort();
	engine_worker_set_merge(n->worker, false);
	engine_enter(n->worker);
	engine_set_private_key(n->worker, sim_boot_ns(n), &n->private_key);
	engine_set_up(n->worker, sim_boot_ns(n), true);
	sim_pump(n);
}

static void stop_engine(struct sim_node *n)
{
	engine_leave(n->worker);
	engine_worker_free(n->worker);
	n->engine = engine_free(n->engine);
}

static void make_keys(struct sim_node *n)
{
	struct suite *suite = NULL;

	if (suite_new(SUITE_OPENSSL, &suite) != 0)
		abort();
	fill_random(n->sim, &n->private_key, sizeof(n->private_key));
	dh_clamp(&n->private_key);
	dh_public(suite, n->public_key, &n->private_key);
	suite_free(suite);
}

struct sim_node *sim_node_new(struct sim *s)
{
	struct sim_node *n = calloc(1, sizeof(*n));

	n->sim = s;
	n->id = s->n_nodes + 1;
	n->wake_at = UINT64_MAX;
	n->address = (struct endpoint){
		.ip = { .family = ADDR_V4,
			.b = { 198, 18, (uint8_t)(n->id >> 8), (uint8_t)n->id } },
		.port = 51820,
	};
	n->link = (struct sim_link){ .delay_min_ns = 10 * SIM_MS, .delay_max_ns = 10 * SIM_MS };
	s->nodes = realloc(s->nodes, (s->n_nodes + 1) * sizeof(struct sim_node *));
	s->nodes[s->n_nodes++] = n;
	make_keys(n);
	start_engine(n);
	return n;
}

void sim_node_restart(struct sim_node *n)
{
	stop_engine(n);
	sim_frame_forget(n);
	n->keeper_wanted = false;
	start_engine(n);
}

struct peer *sim_know(struct sim_node *a, const struct sim_node *b, bool with_endpoint)
{
	struct peer *p = NULL;
	struct ip_prefix inner4 = sim_inner4(b), inner6 = sim_inner6(b);

	if (engine_peer_add(a->worker, b->public_key, &p) != 0 ||
	    engine_allowed_ip_add(a->engine, p, &inner4) != 0 ||
	    engine_allowed_ip_add(a->engine, p, &inner6) != 0)
		abort();
	if (with_endpoint && engine_peer_set_endpoint(a->worker, p, &b->address) != 0)
		abort();
	sim_pump(a);
	return p;
}

void sim_introduce(struct sim_node *a, struct sim_node *b)
{
	sim_know(a, b, true);
	sim_know(b, a, true);
}

struct peer *sim_peer(const struct sim_node *at, const struct sim_node *of)
{
	return engine_peer_find(at->worker, of->public_key);
}

struct engine_peer_info sim_info(const struct sim_node *at, const struct sim_node *of)
{
	struct engine_peer_info info;

	engine_peer_info(sim_peer(at, of), &info);
	return info;
}

struct engine_counters sim_counters(const struct sim_node *n)
{
	struct engine_counters c;

	engine_counters(n->engine, &c);
	return c;
}

static void wake_up(struct sim *s, void *arg)
{
	struct sim_node *n = arg;

	(void)s;
	n->is_asleep = false;
	wake(n);
}

void sim_sleep(struct sim_node *n, uint64_t ns)
{
	n->is_asleep = true;
	sim_call(n->sim, n->sim->now_ns + ns, wake_up, n);
}

/* ---- arrival ---- */

static void note_arrival(struct sim_node *at, const uint8_t *data, uint32_t len)
{
	struct sim_datagram d = { .to = at, .data = (uint8_t *)(uintptr_t)data, .len = len };

	sim_undress(at, &d);
	sim_keys_arrived(at->sim->keys, at, &d, at->sim->now_ns);
	sim_dress_off(&d);
}

void sim_inject_burst(struct sim_node *to, const struct endpoint *source,
		      const uint8_t *const *data, const uint32_t *len, size_t n)
{
	struct engine_datagram *in = calloc(n, sizeof(*in));

	for (size_t i = 0; i < n; i++) {
		in[i] = (struct engine_datagram){
			.data = malloc(len[i] ? len[i] : 1),
			.len = len[i],
			.source = *source,
		};
		if (source->local.family == ADDR_NONE)
			in[i].source.local = to->address.ip;
		memcpy(in[i].data, data[i], len[i]);
		note_arrival(to, data[i], len[i]);
	}
	engine_receive(to->worker, sim_boot_ns(to), in, n);
	sim_fetch(to);
	for (size_t i = 0; i < n; i++)
		free(in[i].data);
	free(in);
}

void sim_replay(struct sim_node *to, const struct sim_datagram *d)
{
	sim_inject_tos(to, &d->source, d->data, d->len, d->tos);
}

void sim_inject_tos(struct sim_node *to, const struct endpoint *source, const void *data,
		    uint32_t len, uint8_t tos)
{
	struct engine_datagram in = {
		.data = malloc(len ? len : 1), .len = len, .tos = tos, .source = *source
	};

	memcpy(in.data, data, len);
	in.source.local = to->address.ip;
	note_arrival(to, data, len);
	engine_receive(to->worker, sim_boot_ns(to), &in, 1);
	sim_fetch(to);
	free(in.data);
}

void sim_inject(struct sim_node *to, const struct endpoint *source, const void *data,
		uint32_t len)
{
	const uint8_t *one = data;

	sim_inject_burst(to, source, &one, &len, 1);
}

static void arrive(struct sim *s, struct sim_datagram *d)
{
	struct sim_node *n = node_at(s, &d->destination);
	struct engine_datagram in = {
		.data = d->data, .len = d->len, .tos = d->tos, .source = d->source
	};

	if (!n || n->is_cut || n->is_asleep)
		return;
	in.source.local = d->destination.ip;
	sim_undress(n, d);
	sim_keys_arrived(s->keys, n, d, s->now_ns);

	bool may_hear = sim_keys_may_hear(s->keys, n, d, s->now_ns);
	uint64_t before = n->delivered;

	engine_receive(n->worker, sim_boot_ns(n), &in, 1);
	sim_fetch(n);
	if (n->delivered > before && !may_hear)
		violation(s, "data heard under a key that is too old, or unknown", n);
}

/* ---- the run ---- */

void sim_call(struct sim *s, uint64_t at_ns, void (*function)(struct sim *s, void *arg),
	      void *arg)
{
	push(s, (struct event){
			.at_ns = at_ns, .kind = EVENT_CALL, .function = function, .arg = arg });
}

static void happen(struct sim *s, struct event *ev)
{
	s->now_ns = ev->at_ns;
	switch (ev->kind) {
	case EVENT_ARRIVE:
		arrive(s, ev->datagram);
		datagram_free(ev->datagram);
		break;
	case EVENT_WAKE:
		if (ev->node->wake_at == ev->at_ns)
			wake(ev->node);
		break;
	case EVENT_CALL:
		ev->function(s, ev->arg);
		break;
	}
}

void sim_run_until(struct sim *s, uint64_t at_ns)
{
	while (s->events->n && s->events->heap[0].at_ns <= at_ns) {
		struct event ev = pop(s);

		happen(s, &ev);
	}
	s->now_ns = at_ns;
}

void sim_run_for(struct sim *s, uint64_t ns)
{
	sim_run_until(s, s->now_ns + ns);
}

struct sim *sim_new(uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	s->seed = seed;
	s->random_state = seed;
	s->now_ns = SIM_S; /* zero is a time that never was */
	s->backend = SUITE_OPENSSL;
	s->events = calloc(1, sizeof(*s->events));
	s->keys = sim_keys_new();
	return s;
}

struct sim *sim_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		stop_engine(s->nodes[i]);
		sim_frame_forget(s->nodes[i]);
		free(s->nodes[i]);
	}
	while (s->events->n) {
		struct event ev = pop(s);

		if (ev.kind == EVENT_ARRIVE)
			datagram_free(ev.datagram);
	}
	for (size_t i = 0; i < s->n_log; i++) {
		sim_dress_off(&s->log[i]);
		free(s->log[i].data);
	}
	free(s->log);
	free(s->events->heap);
	free(s->events);
	free(s->nodes);
	sim_keys_free(s->keys);
	free(s);
	return NULL;
}

/* ---- the log ---- */

size_t sim_logged(const struct sim *s, const struct sim_node *from, uint32_t type, size_t first)
{
	size_t n = 0;

	for (size_t i = first; i < s->n_log; i++)
		n += s->log[i].type == type && (!from || s->log[i].from == from);
	return n;
}

const struct sim_datagram *sim_nth(const struct sim *s, const struct sim_node *from,
				   uint32_t type, size_t first, size_t n)
{
	for (size_t i = first; i < s->n_log; i++) {
		const struct sim_datagram *d = &s->log[i];

		if (d->type == type && (!from || d->from == from) && n-- == 0)
			return d;
	}
	return NULL;
}

const struct sim_datagram *sim_last(const struct sim *s, const struct sim_node *from,
				    uint32_t type)
{
	for (size_t i = s->n_log; i > 0; i--) {
		const struct sim_datagram *d = &s->log[i - 1];

		if (d->type == type && (!from || d->from == from))
			return d;
	}
	return NULL;
}

bool sim_is_keepalive(const struct sim_datagram *d)
{
	return d->is_keepalive;
}
