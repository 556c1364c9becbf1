/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that strangers, peers and the TUN can hand to an engine. The input is a list of
 * operations, each an octet and what it needs (see operations[]): reads of datagrams as they are, or
 * sealed with a live key so that what is inside gets looked at; handshakes that are valid but for one
 * octet; packets with any offload header; time.
 *
 * Three peers: 0 has keys in every place (previous, current, next), 1 is known with its endpoint and
 * shakes hands, 2 has no endpoint. Sources are numbered: 0 and 1 are the peers', the others strangers'.
 *
 * Holds: outputs lie in the arena and within their bounds; nothing is sent to somebody who neither was
 * known nor sent a valid MAC1; what reaches the TUN is an IP packet, from an address of a peer or our own
 * ICMP error; when the peers are gone nothing of theirs is left.
 */
#include <stdbool.h>
#include <string.h>

#include "engine/internal.h"
#include "fuzz.h"

enum { SOURCES = 8, PEERS = 3, HANDSHAKES = 6, OPERATIONS = 64, SEALED_MAX = 64 };

/* ---- input ---- */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint32_t take(struct input *in, size_t octets)
{
	uint32_t v = 0;

	for (; octets && in->left; octets--, in->left--)
		v = v << 8 | *in->at++;
	return v;
}

static size_t take_octets(struct input *in, void *out, size_t max)
{
	size_t n = take(in, 2);

	n = n > in->left ? in->left : n;
	n = n > max ? max : n;
	if (n)
		memcpy(out, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

/* ---- the world ---- */

static struct {
	struct engine *engine;
	struct engine_worker *worker;
	struct suite *suite;
	struct noise_identity us;
	struct noise_identity them[PEERS];
	struct noise_remote ours[PEERS]; /* us, as each peer knows us */
	struct peer *peers[PEERS];
	struct live_key {
		uint32_t index;
		struct secret_key key; /* a copy: the session may end before the input */
		uint64_t counter;
	} keys[3];		/* of peer 0 */
	bool may_hear[SOURCES]; /* known, or has sent something authentic */
	struct msg_initiation initiation;
	bool has_initiation; /* the last one to peer 1 */
	unsigned int handshakes;
	uint64_t now_ns;
	uint64_t wall_ns; /* never back: labels grow */
	uint64_t random;
} world;

static void fill(void *context, void *out, size_t len)
{
	uint8_t *at = out;

	(void)context;
	for (size_t i = 0; i < len; i++) {
		world.random = world.random * UINT64_C(6364136223846793005) +
			       UINT64_C(1442695040888963407);
		at[i] = (uint8_t)(world.random >> 56);
	}
}

static struct endpoint source_number(uint32_t n)
{
	bool v6 = n % SOURCES % 3 == 2;
	struct endpoint e = { .ip = { .family = v6 ? ADDR_V6 : ADDR_V4 }, .port = 1000 };

	memset(e.ip.b, 0x20, v6 ? 16 : 4);
	e.ip.b[v6 ? 15 : 3] = (uint8_t)(n % SOURCES);
	return e;
}

static void make_world(void)
{
	const struct engine_options options = { .random = fill,
						.backend = SUITE_OPENSSL,
						.staged_bytes_max = 1 << 20,
						.packets_max = 200 };
	struct secret_key key;

	world.random = 1;
	world.now_ns = 1000 * ENGINE_SECOND;
	world.wall_ns = UINT64_C(1700000000) * ENGINE_SECOND;
	HOLDS(suite_new(SUITE_OPENSSL, &world.suite) == 0);
	HOLDS(engine_new(&options, &world.engine) == 0);
	HOLDS(engine_worker_new(world.engine, &world.worker) == 0);
	fill(NULL, &key, sizeof(key));
	noise_identity_init(&world.us, world.suite, &key);
	for (int i = 0; i < PEERS; i++) {
		fill(NULL, &key, sizeof(key));
		noise_identity_init(&world.them[i], world.suite, &key);
		memcpy(world.ours[i].public_key, world.us.public_key, NOISE_KEY_LEN);
		noise_remote_prepare(&world.ours[i], world.suite, &world.them[i]);
	}
	engine_enter(world.worker);
	engine_set_private_key(world.worker, world.now_ns, &world.us.private_key);
}

static struct session *live_key(int which, bool is_initiator)
{
	struct session *s = session_begin(world.worker, world.peers[0], is_initiator);

	HOLDS(s);
	fill(NULL, &s->send, sizeof(s->send));
	fill(NULL, &s->receive, sizeof(s->receive));
	s->born_ns = world.now_ns;
	atomic_store(&s->state, SESSION_READY);
	world.keys[which] = (struct live_key){ .index = s->index.index, .key = s->receive };
	return s;
}

/* Peer N has 10.0.N.0/24 and fd0N::/16. */
static void add_peers(void)
{
	for (uint8_t i = 0; i < PEERS; i++) {
		struct ip_prefix v4 = { { ADDR_V4, { 10, 0, i } }, 24 };
		struct ip_prefix v6 = { { ADDR_V6, { 0xfd, i } }, 16 };
		struct endpoint e = source_number(i);
		struct peer **p = &world.peers[i];

		HOLDS(engine_peer_add(world.worker, world.them[i].public_key, p) == 0);
		HOLDS(engine_allowed_ip_add(world.engine, *p, &v4) == 0);
		HOLDS(engine_allowed_ip_add(world.engine, *p, &v6) == 0);
		if (i < 2)
			HOLDS(engine_peer_set_endpoint(world.worker, *p, &e) == 0);
	}
	atomic_store(&world.peers[0]->previous, live_key(0, false));
	atomic_store(&world.peers[0]->current, live_key(1, true));
	atomic_store(&world.peers[0]->next, live_key(2, false));
}

static void begin(void)
{
	if (!world.engine)
		make_world();
	world.random = 7;
	world.worker->jitter_state = 7;
	world.now_ns += 10000 * ENGINE_SECOND; /* nothing of the input before is remembered */
	world.wall_ns += 10000 * ENGINE_SECOND;
	world.has_initiation = false;
	world.handshakes = 0;
	for (int i = 0; i < SOURCES; i++)
		world.may_hear[i] = i < 2;
	engine_set_mtu(world.engine, 1420);
	engine_worker_set_merge(world.worker, true);
	engine_set_up(world.worker, world.now_ns, true);
	add_peers();
}

/* ---- what comes out ---- */

static volatile uint8_t sink;

static void look_at(const void *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum ^= ((const uint8_t *)data)[i];
	sink = sum;
}

static void note_initiation(const struct engine_output *o)
{
	if (o->peer != world.peers[1] || o->data[0] != MESSAGE_INITIATION ||
	    o->len != sizeof(world.initiation))
		return;
	memcpy(&world.initiation, o->data, o->len);
	world.has_initiation = true;
}

static void check_destination(const struct engine_output *o)
{
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct endpoint e = source_number(i);

		if (!endpoint_same_remote(&e, &o->to))
			continue;
		HOLDS(world.may_hear[i]);
		return;
	}
	BROKEN("sent to somebody who was never there");
}

static void check_datagrams(void)
{
	const struct engine_output *outs = NULL;
	const uint8_t *arena = world.worker->arena;
	size_t n = engine_outputs(world.worker, &outs);

	HOLDS(n <= OUTPUTS_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct engine_output *o = &outs[i];

		HOLDS(o->data >= arena && o->data + o->len <= arena + ARENA_BYTES);
		HOLDS(o->segment && o->segment <= o->len);
		HOLDS((o->len - 1) / o->segment < SEGMENTS_MAX);
		HOLDS(o->segment == o->len || o->len <= ENGINE_DATAGRAM_MAX);
		look_at(o->data, o->len);
		check_destination(o);
		note_initiation(o);
	}
}

/* A packet of a peer, or an ICMP error of ours. */
static bool may_enter(const struct inet_ip *ip, const uint8_t *packet)
{
	if (allowed_ips_find(world.engine->allowed_ips, &ip->source))
		return true;
	return packet[0] >> 4 == 4 ? packet[9] == INET_ICMP4 : packet[6] == INET_ICMP6;
}

static void check_packets(void)
{
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;
	size_t n = engine_writes(world.worker, &writes, &slices);

	HOLDS(n <= 200 + ICMP_PER_BATCH);
	for (size_t i = 0; i < n; i++) {
		const struct iovec *first = &slices[writes[i].first_slice];
		struct inet_ip ip;
		size_t len = 0;

		for (uint32_t k = 0; k < writes[i].n_slices; k++) {
			look_at(first[k].iov_base, first[k].iov_len);
			len += first[k].iov_len;
		}
		HOLDS(len == writes[i].len && len <= INET_MERGE_BYTES_MAX);
		HOLDS(writes[i].n_slices >= 1 && writes[i].n_slices <= INET_MERGE_SLICES);
		HOLDS((writes[i].offload.gso == INET_GSO_NONE) == (writes[i].n_slices == 1));
		HOLDS(inet_ip_parse(first->iov_base, (uint32_t)len, &ip) && ip.len == len);
		HOLDS(may_enter(&ip, first->iov_base));
	}
}

static void fetch(void)
{
	check_datagrams();
	check_packets();
	engine_quiet(world.worker);
}

/* ---- operations ---- */

/* Whoever says this may be answered. */
static void judge(uint32_t source, const uint8_t *data, size_t len)
{
	const struct identity *id = atomic_load(&world.engine->identity);

	if ((len == sizeof(struct msg_initiation) && data[0] == MESSAGE_INITIATION) ||
	    (len == sizeof(struct msg_response) && data[0] == MESSAGE_RESPONSE))
		world.may_hear[source % SOURCES] |=
			cookie_mac1_is_valid(&id->checker, world.suite, data, len);
}

/* In memory of exactly its size. */
static void hear(uint32_t source, uint8_t tos, uint16_t segment, const uint8_t *data,
		 size_t len)
{
	struct engine_datagram d = { .data = malloc(len ? len : 1),
				     .len = (uint32_t)len,
				     .segment = segment,
				     .tos = tos,
				     .source = source_number(source) };
	size_t step = segment && segment < len ? segment : len;

	HOLDS(d.data);
	if (len)
		memcpy(d.data, data, len);
	for (size_t at = 0; at < len; at += step)
		judge(source, data + at, len - at < step ? len - at : step);
	engine_receive(world.worker, world.now_ns, &d, 1);
	fetch();
	free(d.data);
}

static void hear_anything(struct input *in)
{
	static uint8_t data[65535];
	uint32_t source = take(in, 1);
	uint8_t tos = (uint8_t)take(in, 1);
	uint16_t segment = (uint16_t)take(in, 2);
	size_t len = take_octets(in, data, sizeof(data));

	if (len >= 8 && data[0] == MESSAGE_DATA && data[1] & 0x80) { /* an index that exists */
		le32 index = le32_from(world.keys[data[1] % 3].index);

		memset(data + 1, 0, 3);
		memcpy(data + 4, &index, sizeof(index));
	}
	hear(source, tos, segment, data, len);
}

static size_t seal(uint32_t which, int64_t skip, const uint8_t *text, size_t len, uint8_t *out)
{
	struct live_key *k = &world.keys[which % 3];
	struct msg_data *m = (void *)out;
	struct aead_job job = { .key = k->key.b,
				.counter = k->counter + (uint64_t)skip,
				.src = text,
				.dst = m->sealed,
				.len = (uint32_t)len };

	k->counter = job.counter + 1;
	m->type = le32_from(MESSAGE_DATA);
	m->receiver = le32_from(k->index);
	m->counter = le64_from(job.counter);
	aead_seal(world.suite, &job, 1);
	return len + MESSAGE_DATA_MIN;
}

/* Make the packet's addresses and lengths plausible, so that the rest of it is looked at. */
static void make_plausible(uint8_t *packet, size_t len, uint8_t from, uint8_t to)
{
	if (len >= 40 && packet[0] >> 4 == 6) {
		put_be16(packet + 4, (uint16_t)(len - 40));
		packet[8] = packet[24] = 0xfd;
		packet[9] = from;
		packet[25] = to;
	} else if (len >= 20) {
		packet[0] = packet[0] % 16 >= 5 && packet[0] % 16u * 4 <= len
				    ? (uint8_t)(0x40 | packet[0] % 16)
				    : 0x45;
		put_be16(packet + 2, (uint16_t)len);
		packet[12] = packet[16] = 10;
		packet[13] = packet[17] = 0;
		packet[14] = from;
		packet[18] = to;
	}
}

/* Sealed under a live key; several of them joined, as GRO would. */
static void hear_sealed(struct input *in)
{
	static uint8_t text[2048], joined[SEALED_MAX * (sizeof(text) + MESSAGE_DATA_MIN)];
	uint32_t source = take(in, 1), which = take(in, 1), flags = take(in, 1);
	uint32_t times = 1 + flags % 8 * (flags >> 3 & 7);
	size_t len = take_octets(in, text, sizeof(text)), at = 0;

	if (flags & 0x40)
		make_plausible(text, len, (uint8_t)(which >> 4) % 4, 9);
	for (uint32_t i = 0; i < times && i < SEALED_MAX; i++) {
		int64_t skip = flags & 0x80 ? (int8_t)take(in, 1) * INT64_C(130) : 0;

		at += seal(which, skip, text, len, joined + at);
		if (len >= 28 && i % 4 != 3) /* the next of a flow */
			put_be32(text + 24, get_be32(text + 24) + (uint32_t)(len - 40));
	}
	world.may_hear[source % SOURCES] = true;
	hear(source, (uint8_t)(which >> 2), (uint16_t)(at / times), joined, at);
}

/* An initiation of a peer, right in everything but perhaps one octet. */
static void hear_initiation(struct input *in)
{
	struct cookie_maker maker = { 0 };
	struct noise_handshake hs;
	struct msg_initiation m;
	uint8_t random[32], label[NOISE_TIME_LEN];
	uint32_t source = take(in, 1), peer = take(in, 1) % PEERS, at = take(in, 1);
	uint8_t change = (uint8_t)take(in, 1);

	if (world.handshakes++ >= HANDSHAKES)
		return;
	fill(NULL, random, sizeof(random));
	noise_time(label, world.wall_ns);
	HOLDS(noise_initiation_create(world.suite, &world.them[peer], &world.ours[peer],
				      MESSAGE_INITIATION, take(in, 4), random, label, &hs,
				      &m) == 0);
	if (change % 2) /* before or after it is signed */
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	cookie_sign(&maker, world.suite, world.us.public_key, 0, &m, sizeof(m));
	if (change && change % 2 == 0)
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	hear(source, 0x88, 0, (const uint8_t *)&m, sizeof(m));
	noise_handshake_done(&hs);
}

/* The answer of peer 1 to our last initiation, likewise. */
static void hear_response(struct input *in)
{
	struct cookie_maker maker = { 0 };
	struct noise_handshake hs;
	struct noise_keys keys;
	struct msg_response m;
	uint8_t random[32], label[NOISE_TIME_LEN];
	uint32_t source = take(in, 1), at = take(in, 1);
	uint8_t change = (uint8_t)take(in, 1);

	if (!world.has_initiation || world.handshakes++ >= HANDSHAKES)
		return;
	fill(NULL, random, sizeof(random));
	if (noise_initiation_open(world.suite, &world.them[1], &world.initiation, &hs) != 0 ||
	    noise_initiation_finish(world.suite, &world.them[1], &world.ours[1],
				    &world.initiation, &hs, label) != 0 ||
	    noise_response_create(world.suite, &hs, &world.ours[1], MESSAGE_RESPONSE,
				  take(in, 4), le32_value(world.initiation.sender), random, &m,
				  &keys) != 0)
		BROKEN("our own initiation is not readable");
	if (change % 2)
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	cookie_sign(&maker, world.suite, world.us.public_key, 0, &m, sizeof(m));
	hear(source, 0x88, 0, (const uint8_t *)&m, sizeof(m));
	noise_keys_done(&keys);
}

/* Any octets as a handshake message with a right MAC1: a stranger who knows our public key. */
static void hear_signed(struct input *in)
{
	struct cookie_maker maker = { 0 };
	uint8_t m[sizeof(struct msg_initiation)] = { 0 };
	uint32_t source = take(in, 1), kind = take(in, 1);
	size_t len = kind % 2 ? sizeof(struct msg_initiation) : sizeof(struct msg_response);

	if (world.handshakes++ >= HANDSHAKES)
		return;
	take_octets(in, m, len);
	m[0] = kind % 2 ? MESSAGE_INITIATION : MESSAGE_RESPONSE;
	memset(m + 1, 0, 3);
	if (kind & 2 && world.has_initiation) /* to the handshake that waits */
		memcpy(m + 8, &world.initiation.sender, 4);
	cookie_sign(&maker, world.suite, world.us.public_key, 0, m, len);
	for (uint32_t i = 0; i < (kind & 4 ? 200u : 1u); i++) /* enough to be under load */
		hear(source, 0, 0, m, len);
}

/* Packets from the TUN, with what the kernel left undone. */
static void send_packets(struct input *in)
{
	enum { ROOM = 65535 };
	struct engine_packet packets[4];
	uint8_t flags = (uint8_t)take(in, 1);
	size_t n = 1 + flags % 4;

	for (size_t i = 0; i < n; i++) {
		static uint8_t octets[ROOM];
		struct engine_packet *p = &packets[i];
		uint32_t kind = take(in, 1), repeat = take(in, 1);
		size_t len;

		p->offload = (struct inet_offload){ .gso = kind % 4,
						    .needs_csum = kind >> 2 & 1,
						    .gso_size = (uint16_t)take(in, 2),
						    .csum_start = (uint16_t)take(in, 1),
						    .csum_offset = (uint16_t)take(in, 1) };
		len = take_octets(in, octets, 2048);
		while (repeat-- && len && len * 2 <= ROOM) { /* long ones from short input */
			memcpy(octets + len, octets, len);
			len *= 2;
		}
		if (n > 1 && len > 32768) /* the contract: 128 KiB, a super-frame alone */
			len = 32768;
		if (n > 1)
			p->offload.gso = INET_GSO_NONE;
		if (kind & 8)
			make_plausible(octets, len, 9, (uint8_t)(kind >> 4));
		p->len = (uint32_t)len;
		p->data = malloc(len + ENGINE_TAILROOM);
		HOLDS(p->data);
		memcpy(p->data, octets, len);
		memset(p->data + len, 0xa5, ENGINE_TAILROOM);
	}
	engine_send(world.worker, world.now_ns, packets, n);
	fetch();
	for (size_t i = 0; i < n; i++)
		free(packets[i].data);
}

static void keep(struct input *in)
{
	static const uint64_t units[] = { 1000000, ENGINE_SECOND / 10, ENGINE_SECOND,
					  30 * ENGINE_SECOND };
	uint32_t how = take(in, 1), rounds = 0;
	uint64_t step = units[how % 4] * (how >> 2);

	world.now_ns += step;
	world.wall_ns += step + (1 << 25); /* labels are 16.8 ms apart */
	while (engine_keep(world.worker, world.now_ns, world.wall_ns)) {
		fetch();
		HOLDS(++rounds < 10000); /* it comes to rest */
	}
	fetch();
}

static void control(struct input *in)
{
	uint32_t what = take(in, 1);
	struct peer *p = world.peers[what >> 4 & 1];
	struct session *s = NULL;
	uint64_t value = take(in, 2);

	switch (what % 8) {
	case 0:
		engine_set_mtu(world.engine, (uint32_t)value);
		break;
	case 1:
		engine_worker_set_merge(world.worker, value & 1);
		engine_worker_set_merge_udp(world.worker, value & 2);
		break;
	case 2:
		engine_peer_set_budget(p, value);
		break;
	case 3:
		engine_peer_set_rate(p, value << (value % 32));
		break;
	case 4:
		engine_peer_set_keepalive(
			world.worker, world.now_ns, p,
			(struct frame_range){ value & 0xffff, value & 0xffff });
		break;
	case 5:
		if ((s = atomic_load(&p->current)))
			atomic_store(&s->send_counter, REJECT_AFTER_MESSAGES - value % 4096);
		break;
	case 6:
		engine_source_failed(world.worker, p);
		break;
	case 7:
		engine_peer_greet(world.worker, p);
		break;
	}
}

static void (*const operations[])(struct input *in) = {
	hear_anything, hear_sealed, send_packets,    keep,
	control,       hear_signed, hear_initiation, hear_response,
};

static void end(void)
{
	struct input nothing = { 0 };

	engine_peer_remove_all(world.worker);
	keep(&nothing);
	keep(&nothing);
	HOLDS(atomic_load(&world.engine->staged_bytes) == 0);
	HOLDS(engine_handshakes_waiting(world.engine) == 0);
	HOLDS(engine_deadline_ns(world.worker) == UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };

	begin();
	for (int i = 0; i < OPERATIONS && in.left; i++)
		operations[take(&in, 1) % (sizeof(operations) / sizeof(operations[0]))](&in);
	end();
	return 0;
}
