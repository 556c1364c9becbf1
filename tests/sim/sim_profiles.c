/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever parameters somebody writes: either they are refused, by the name of the rule, and
 * nothing has changed; or two who have them talk.
 *
 * Case N of a run with seed S is case 0 of a run with seed S + N.
 */
#include "base/codec.h"
#include "device/uapi_apply.h"
#include "draw.h"
#include "framed.h"

enum {
	CASES = 2000,
	CASES_FULL = 100000,
	SUPER_MAX =
		150000, /* octets that a super-frame may become: what the engine has room for */
	SLICE = 600,
};

/* Keys are made at whole seconds and end so: what were sent then would be lost in their last
 * hundredth, as in WireGuard. */
#define OUT_OF_STEP (137 * SIM_MS)

/* --- Through the UAPI --- */

struct asked {
	char *lines[DRAW_LINES];
	uint32_t n;
};

static struct asked ask(const struct drawn *d)
{
	struct asked a;

	a.n = draw_lines(&dice, d, a.lines);
	return a;
}

static void asked_done(struct asked *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		free(a->lines[i]);
}

/* Return: 0 or UAPI_E..., why in @d. */
static int tell(struct sim_node *n, const struct asked *a, struct diag *d)
{
	struct uapi_ready ready = { .framing = NULL };
	struct uapi_set set = { 0 };
	int err = 0;

	for (uint32_t i = 0; i < a->n && !err; i++)
		err = uapi_set_line(&set, a->lines[i], strlen(a->lines[i]), d);
	if (!err)
		err = uapi_prepare(n->engine, n->worker, &set, &ready, d);
	if (!err)
		err = uapi_apply(n->engine, n->worker, sim_boot_ns(n), &set, &ready, d);
	uapi_ready_done(&ready);
	uapi_set_done(&set);
	return err;
}

static char *dump(struct sim_node *n)
{
	struct uapi_outside outside = { 0 };
	struct text out = { 0 };

	uapi_dump(n->engine, &out, UAPI_AMNEZIA, &outside, true);
	return out.data;
}

/* The network reads what it was told by the same lines. */
static void let_network_know(struct sim_node *n, const struct asked *a)
{
	struct frame_parameters p;
	struct frame_profile_source source = { "", &p, 0 };

	frame_parameters_init(&p);
	for (uint32_t i = 0; i < a->n; i++) {
		size_t name = strcspn(a->lines[i], "=");
		const char *value = a->lines[i] + name + 1;

		CHECK(frame_parameters_set(&p, FRAME_UAPI,
					   frame_key_find(FRAME_UAPI, a->lines[i], name), value,
					   strlen(value), NULL) == 0);
	}
	sim_frame_known(n, &source, 1);
	frame_parameters_done(&p);
}

/* --- Refusal --- */

/* What frame_parameters_check() says of the same values. A text that does not parse is put
 * there by hand: reading would refuse it. */
static enum frame_rule judged(const struct drawn *d)
{
	struct frame_parameters p;
	enum frame_rule rule;

	frame_parameters_init(&p);
	p.jc = d->jc;
	p.jmin = d->jmin;
	p.jmax = d->jmax;
	for (int i = 0; i < 4; i++) {
		p.pad[i] = d->pad[i];
		p.header[i] = d->header[i];
	}
	for (int i = 0; i < 5; i++)
		p.signature[i] = d->signature[i][0] ? strdup(d->signature[i]) : NULL;
	if (d->is_protected)
		memcpy(p.protection_key.b, d->key, sizeof(d->key));
	rule = frame_parameters_check(&p, NULL);
	frame_parameters_done(&p);
	return rule;
}

static void check_refused(struct sim_node *n, struct drawn *d, enum frame_rule rule)
{
	struct diag why = { .text = "" };
	struct asked a;
	char *before = dump(n), *after = NULL;

	draw_break(&dice, d, rule);
	CHECK(draw_broken(d) == rule && judged(d) == rule);
	a = ask(d);
	CHECK(tell(n, &a, &why) == UAPI_EINVAL);
	/* A signature packet is refused as it is read, by the name of its key. */
	if (rule == FRAME_RULE_SIGNATURE ? why.text[0] != 'i'
					 : strstr(why.text, frame_rule_name(rule)) != why.text)
		FAIL(why.text);
	after = dump(n);
	CHECK(strcmp(before, after) == 0);
	free(before);
	free(after);
	asked_done(&a);
}

/* --- Talking --- */

/* The longest packet that fits a datagram, also when it is padded to 16. */
static uint32_t longest(const struct drawn *d)
{
	return (65507 - 32 - d->pad[3]) / 16 * 16;
}

static void send6(struct sim_node *from, const struct sim_node *to, uint32_t len)
{
	struct ip_prefix a = sim_inner6(from), b = sim_inner6(to);
	uint8_t packet[2048];

	sim_build(packet, &a.ip, &b.ip, 0, ++from->sim->next_number, from->sim->now_ns, len);
	sim_send_raw(from, packet, len);
}

/* All sizes, both families, both ways. */
static void exchange(struct pair *p, const struct drawn *d)
{
	static const uint32_t sizes[] = { 44, 45, 64, 100, 577, 1280, 1419, 1420 };
	uint64_t a = p->a->delivered, b = p->b->delivered, n = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > longest(d))
			continue;
		sim_send(p->a, p->b, sizes[i]);
		sim_send(p->b, p->a, sizes[i]);
		n++;
		if (sizes[i] < 64)
			continue;
		send6(p->a, p->b, sizes[i]);
		send6(p->b, p->a, sizes[i]);
		n++;
	}
	sim_run_for(p->s, SIM_S);
	CHECK(p->a->delivered == a + n && p->b->delivered == b + n);
}

/* One UDP super-frame of as many slices as fit what the engine has room for. */
static void send_super(struct pair *p, const struct drawn *d, uint32_t mtu)
{
	uint32_t n = SUPER_MAX / (d->pad[3] + 32 + mtu);
	struct ip_prefix from = sim_inner4(p->a), to = sim_inner4(p->b);
	uint8_t *packet = malloc(28 + 40 * SLICE + ENGINE_TAILROOM), one[28 + SLICE];
	struct engine_packet super = { .data = packet,
				       .offload = { .gso = INET_GSO_UDP,
						    .gso_size = SLICE,
						    .csum_start = 20,
						    .csum_offset = 6,
						    .needs_csum = true } };
	uint64_t before = p->b->delivered;

	n = n > 40 ? 40 : n;
	if (longest(d) < sizeof(one))
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		sim_build(one, &from.ip, &to.ip, 0, ++p->s->next_number, p->s->now_ns,
			  sizeof(one));
		memcpy(packet + 28 + (size_t)i * SLICE, one + 28, SLICE);
	}
	memcpy(packet, one, 28);
	super.len = 28 + n * SLICE;
	put_be16(packet + 2, (uint16_t)super.len);
	put_be16(packet + 24, (uint16_t)(super.len - 20));
	if (n >= 2) {
		engine_send(p->a->worker, sim_boot_ns(p->a), &super, 1);
		sim_fetch(p->a);
		sim_run_for(p->s, SIM_S);
		CHECK(p->b->delivered == before + n);
	}
	free(packet);
}

static uint32_t upper(struct frame_range r, uint32_t otherwise)
{
	return r.hi ? r.hi : otherwise;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Nothing but keepalives: each is heard, also when it must make a key first. */
static void keep_alive(struct pair *p, const struct drawn *da, const struct drawn *db)
{
	uint32_t every = 1 + generator_between(&dice, 0, 25);
	uint32_t patience =
		every + 2 * larger(upper(da->rekey_timeout, 5), upper(db->rekey_timeout, 5));
	uint64_t delivered = p->b->delivered;
	struct peer *b = sim_peer(p->a, p->b);

	engine_peer_set_keepalive(p->a->worker, p->s->now_ns, b,
				  (struct frame_range){ every / 2, every });
	sim_pump(p->a);
	for (int i = 0; i < 4; i++) {
		uint64_t heard = sim_info(p->b, p->a).rx_bytes;

		sim_run_for(p->s, (patience + 1) * SIM_S);
		CHECK(sim_info(p->b, p->a).rx_bytes > heard);
	}
	engine_peer_set_keepalive(p->a->worker, p->s->now_ns, b, (struct frame_range){ 0, 0 });
	CHECK(p->b->delivered == delivered);
}

/* A packet each way now and then, until keys were made again: nothing is lost. */
static void rekey(struct pair *p, const struct drawn *da, const struct drawn *db)
{
	uint32_t life = upper(da->reject_after, 180);
	uint32_t patience =
		2 * larger(upper(da->rekey_timeout, 5), upper(db->rekey_timeout, 5));
	uint64_t keys = sim_counters(p->a).handshakes_completed;
	uint64_t a = p->a->delivered, b = p->b->delivered, n = 0;

	for (uint32_t s = 0; s < life + patience; s += 7, n++) {
		sim_send(p->a, p->b, 44);
		sim_send(p->b, p->a, 44);
		sim_run_for(p->s, 7 * SIM_S);
	}
	sim_run_for(p->s, patience * SIM_S);
	CHECK(sim_counters(p->a).handshakes_completed > keys);
	CHECK(p->a->delivered == a + n && p->b->delivered == b + n);
}

static void check_talk(struct drawn *da, uint64_t seed)
{
	static const uint32_t mtus[] = { 1280, 1420, 1500, 9000 };
	struct pair p = pair_seeded(seed);
	struct drawn db;
	struct diag why = { .text = "" };
	uint32_t mtu = mtus[generator_between(&dice, 0, 3)];

	draw_other_end(&dice, da, &db);
	p.s->is_logging = false;
	for (int i = 0; i < 2; i++) {
		const struct drawn *d = i ? &db : da;
		struct sim_node *n = i ? p.b : p.a;
		struct asked a = ask(d);

		CHECK(draw_broken(d) == FRAME_RULE_NONE && judged(d) == FRAME_RULE_NONE);
		if (tell(n, &a, &why) != 0)
			FAIL(why.text);
		let_network_know(n, &a);
		engine_set_mtu(n->engine, mtu);
		asked_done(&a);
	}
	keep_alive(&p, da, &db);
	sim_run_for(p.s, upper(da->reject_after, 180) * SIM_S); /* no key is alive */
	if (longest(da) >= 44) {
		sim_run_for(p.s, OUT_OF_STEP);
		exchange(&p, da);
		send_super(&p, da, mtu);
		rekey(&p, da, &db);
		sim_run_for(p.s, OUT_OF_STEP);
		exchange(&p, da);
	}
	pair_done(&p);
}

static void begin_case(uint64_t seed)
{
	uint8_t from[GENERATOR_SEED_LEN] = { 0 };

	memcpy(from, &seed, sizeof(seed));
	generator_init(&dice, from);
}

static void every_set_of_parameters_is_refused_by_name_or_works(void)
{
	uint64_t seed = sim_seed(1), n = sim_is_soak() ? CASES_FULL : CASES, refused = 0;
	struct pair judge = pair_framed_up("jc=1 jmax=9 s1=1");

	printf("# scale: %llu sets of parameters\n", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		int failed = test_failed;
		struct drawn d;

		begin_case(seed + i);
		draw_valid(&dice, &d);
		if (generator_between(&dice, 0, 2) == 0) {
			check_refused(
				judge.b, &d,
				(enum frame_rule)generator_between(&dice, 1, FRAME_RULES - 1));
			refused++;
		} else {
			check_talk(&d, seed + i);
		}
		if (test_failed != failed)
			printf("# again with CULVERT_SIM_SEED=%llu\n",
			       (unsigned long long)(seed + i));
		if (test_failed > 20)
			break;
	}
	printf("# %llu of them refused\n", (unsigned long long)refused);
	both_ways(&judge, SIM_S); /* after all that was refused */
	pair_done(&judge);
}

int main(void)
{
	RUN(every_set_of_parameters_is_refused_by_name_or_works);
	return DONE();
}
