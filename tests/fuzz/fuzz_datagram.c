/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that strangers, peers and the TUN can hand to an engine. The input is a list of
 * operations, each an octet and what it needs (see operations[]): reads of datagrams as they are, or
 * sealed with a live key so that what is inside gets looked at; handshakes that are valid but for one
 * octet; packets with any offload header; time. datagram_world.h says who is there. A first octet from
 * 0xf0 on is no operation, but the number of the framing (framings.h); without it all is plain.
 *
 * Holds: outputs lie in the arena and within their bounds; nothing is sent to somebody who neither was
 * known nor sent a valid MAC1, and to who is no peer not more than was heard from there; what reaches the TUN is an IP packet, from an address of a peer or our own
 * ICMP error; when the peers are gone nothing of theirs is left.
 */
#include "datagram_world.h"

enum {
	HANDSHAKES = 6,
	OPERATIONS = 64,
	SEALED_MAX = 64,
	SEALED_TEXT_MAX = 2048,
	DRESSED_MAX = 2048,
	DRESS_MAX = FRAMING_PAD_MAX + FRAME_WINDOW, /* octets around a message */
	FRAMING_FIRST = 0xf0,
};

/* ---- what comes out ---- */

static volatile uint8_t sink;

static void look_at(const void *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum ^= ((const uint8_t *)data)[i];
	sink = sum;
}

/* Not junk nor a signature packet, which go there too. */
static void note_initiation(const struct engine_output *o)
{
	const struct frame_set *set = engine_profiles(world.engine);
	uint8_t message[sizeof(world.initiation)];

	for (uint32_t i = 0; i < set->n && o->peer == world.peers[1]; i++) {
		if (!undress(&set->profiles[i], MESSAGE_INITIATION, o->data, o->len,
			     &world.checkers[1], message))
			continue;
		memcpy(&world.initiation, message, sizeof(message));
		world.has_initiation = true;
	}
}

static void check_destination(const struct engine_output *o)
{
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct endpoint e = source_number(i);

		if (!endpoint_same_remote(&e, &o->to))
			continue;
		HOLDS(world.may_hear[i]);
		world.said[i] += o->len;
		HOLDS(world.is_peer[i] ||
		      (world.said[i] <= world.heard[i] && o->segment <= world.longest[i]));
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
	const struct frame_set *set = engine_profiles(world.engine);
	uint8_t message[sizeof(struct msg_initiation)];

	for (uint32_t i = 0; i < set->n; i++)
		for (int type = MESSAGE_INITIATION; type <= MESSAGE_RESPONSE; type++)
			world.may_hear[source % SOURCES] |=
				undress(&set->profiles[i], (enum message_type)type, data, len,
					&id->checker, message);
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
	world.heard[source % SOURCES] += len;
	if (step > world.longest[source % SOURCES])
		world.longest[source % SOURCES] = step;
	for (size_t at = 0; at < len; at += step)
		judge(source, data + at, len - at < step ? len - at : step);
	engine_receive(world.worker, world.now_ns, &d, 1);
	fetch();
	free(d.data);
}

/* Octets that begin like a message, as if they were one; the rest of them as trailer. */
static size_t dress_anything(uint32_t source, uint8_t *data, size_t len)
{
	static uint8_t out[DRESSED_MAX + DRESS_MAX];
	enum message_type type = (enum message_type)(1 + (data[0] - 1U) % 4);
	size_t n = type == MESSAGE_DATA ? len : frame_message_len(type);
	le32 word = le32_from(type_word(source, type));

	if (n > len || n < MESSAGE_DATA_MIN)
		return len;
	memcpy(data, &word, sizeof(word));
	len = framing_dress(profile_of_source(source), type, data, (uint32_t)n,
			    (uint32_t)(len - n), &world.dice, out);
	memcpy(data, out, len);
	return len;
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
	if (world.framing && source & 0x80 && len && len <= DRESSED_MAX)
		len = dress_anything(source, data, len);
	hear(source, tos, segment, data, len);
}

static size_t seal(uint32_t source, uint32_t which, int64_t skip, const uint8_t *text,
		   size_t len, uint8_t *out)
{
	static uint8_t message[SEALED_TEXT_MAX + MESSAGE_DATA_MIN];
	struct live_key *k = &world.keys[which % 3];
	struct msg_data *m = (void *)message;
	struct aead_job job = { .key = k->key.b,
				.counter = k->counter + (uint64_t)skip,
				.src = text,
				.dst = m->sealed,
				.len = (uint32_t)len };

	k->counter = job.counter + 1;
	m->type = le32_from(type_word(source, MESSAGE_DATA));
	m->receiver = le32_from(k->index);
	m->counter = le64_from(job.counter);
	aead_seal(world.suite, &job, 1);
	return dress(source, MESSAGE_DATA, m, len + MESSAGE_DATA_MIN, out);
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
	static uint8_t text[SEALED_TEXT_MAX];
	static uint8_t joined[SEALED_MAX * (sizeof(text) + MESSAGE_DATA_MIN + DRESS_MAX)];
	uint32_t source = take(in, 1), which = take(in, 1), flags = take(in, 1);
	uint32_t times = 1 + flags % 8 * (flags >> 3 & 7);
	size_t len = take_octets(in, text, sizeof(text)), at = 0;

	if (flags & 0x40)
		make_plausible(text, len, (uint8_t)(which >> 4) % 4, 9);
	for (uint32_t i = 0; i < times && i < SEALED_MAX; i++) {
		int64_t skip = flags & 0x80 ? (int8_t)take(in, 1) * INT64_C(130) : 0;

		at += seal(source, which, skip, text, len, joined + at);
		if (len >= 28 && i % 4 != 3) /* the next of a flow */
			put_be32(text + 24, get_be32(text + 24) + (uint32_t)(len - 40));
	}
	world.may_hear[source % SOURCES] = world.is_peer[source % SOURCES] = true;
	hear(source, (uint8_t)(which >> 2), (uint16_t)(at / times), joined, at);
}

static void hear_message(uint32_t source, uint8_t tos, enum message_type type,
			 const void *message, size_t len)
{
	uint8_t out[sizeof(struct msg_initiation) + DRESS_MAX];

	hear(source, tos, 0, out, dress(source, type, message, len, out));
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
				      type_word(source, MESSAGE_INITIATION), take(in, 4),
				      random, label, &hs, &m) == 0);
	if (change % 2) /* before or after it is signed */
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	cookie_sign(&maker, world.suite, world.us.public_key, 0, &m, sizeof(m));
	if (change && change % 2 == 0)
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	hear_message(source, 0x88, MESSAGE_INITIATION, &m, sizeof(m));
	world.is_peer[source % SOURCES] = true; /* from now on, if all was right */
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
	    noise_response_create(world.suite, &hs, &world.ours[1],
				  type_word(source, MESSAGE_RESPONSE), take(in, 4),
				  le32_value(world.initiation.sender), random, &m, &keys) != 0)
		BROKEN("our own initiation is not readable");
	if (change % 2)
		((uint8_t *)&m)[at % sizeof(m)] ^= change;
	cookie_sign(&maker, world.suite, world.us.public_key, 0, &m, sizeof(m));
	world.is_peer[source % SOURCES] = true;
	hear_message(source, 0x88, MESSAGE_RESPONSE, &m, sizeof(m));
	noise_keys_done(&keys);
}

/* Any octets as a handshake message with a right MAC1: a stranger who knows our public key. */
static void hear_signed(struct input *in)
{
	struct cookie_maker maker = { 0 };
	uint8_t m[sizeof(struct msg_initiation)] = { 0 }, out[sizeof(m) + DRESS_MAX];
	uint32_t source = take(in, 1), kind = take(in, 1);
	enum message_type type = kind % 2 ? MESSAGE_INITIATION : MESSAGE_RESPONSE;
	size_t len = frame_message_len(type);
	le32 word = le32_from(type_word(source, type));

	if (world.handshakes++ >= HANDSHAKES)
		return;
	take_octets(in, m, len);
	memcpy(m, &word, sizeof(word));
	if (kind & 2 && world.has_initiation) /* to the handshake that waits */
		memcpy(m + 8, &world.initiation.sender, 4);
	cookie_sign(&maker, world.suite, world.us.public_key, 0, m, len);
	len = dress(source, type, m, len, out);
	for (uint32_t i = 0; i < (kind & 4 ? 200u : 1u); i++) /* enough to be under load */
		hear(source, 0, 0, out, len);
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

	if (size && data[0] >= FRAMING_FIRST)
		begin(take(&in, 1) % FRAMINGS);
	else
		begin(0);
	for (int i = 0; i < OPERATIONS && in.left; i++)
		operations[take(&in, 1) % (sizeof(operations) / sizeof(operations[0]))](&in);
	end();
	return 0;
}
