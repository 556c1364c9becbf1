/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/usernet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <unistd.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "sys/clock.h"
#include "sys/random.h"
#include "usernet/connect_dns.h"
#include "usernet/connect_udp_flow.h"
#include "usernet/forward.h"
#include "usernet/forward_udp.h"
#include "usernet/internal.h"
#include "usernet/transparent.h"

enum {
	EVENTS_PER_WAIT = 256,
	WORK_PER_RUN = 1024, /* flows looked at before packets of peers are */
	INBOX_BYTES = 65536 + 128,
	RECEIVE_MAX = 4 << 20,
	SEND_MAX = 4 << 20,
	V4_HEADER = 20,
};

#define KEEPALIVE_AFTER (7200 * SECOND)
#define GIVE_UP_AFTER	(900 * SECOND)

/* --- Making --- */

static void set_tcp(struct usernet *u)
{
	u->budget.limit = u->options.memory_bytes;
	u->tcp = (struct tcp_settings){
		.mtu = u->options.mtu,
		.receive_max = RECEIVE_MAX,
		.send_max = SEND_MAX,
		.keepalive_ns = KEEPALIVE_AFTER,
		.give_up_ns = GIVE_UP_AFTER,
		.ecn = true,
		.budget = &u->budget,
	};
}

static int set_way(struct usernet *u, const struct usernet_options *options, struct diag *d)
{
	int err = options->proxy.ip.family == ADDR_NONE
			  ? 0
			  : way_init(&u->way, &options->proxy, options->mark,
				     options->credential);

	return err < 0 ? diag_set(d, err, 0,
				  "a proxy's key is at most %d visible characters of ASCII",
				  CONNECT_CREDENTIAL_MAX - 1)
		       : 0;
}

static int allocate(struct usernet *u)
{
	uint8_t key[16];

	random_fill(u->isn_key, sizeof(u->isn_key));
	random_fill(key, sizeof(key));
	u->arena = aligned_alloc(64, OUT_ARENA_BYTES);
	u->inbox = malloc(INBOX_BYTES);
	if (!u->arena || !u->inbox || fragments_new(&u->fragments) < 0 ||
	    host_inbox_new(&u->datagrams) < 0)
		return -ENOMEM;
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll < 0)
		return -errno;
	if (!way_is_direct(&u->way) && connect_dns_new(&u->queries) < 0)
		return -ENOMEM;
	return flows_init(&u->flows, u->options.flows_max, key);
}

/* Before anybody connects: what can fail must fail at start. */
static int open_forwards(struct usernet *u, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < u->options.n_forwards && err == 0; i++) {
		const struct usernet_forward *rule = &u->options.forwards[i];
		struct ip_addr own;

		if (!own_address(u, rule->to.family, &own))
			return diag_set(
				d, ERR_RANGE, 0,
				"port %u leads to an IPv%d address, and --address names none of "
				"ours",
				rule->port, rule->to.family == ADDR_V4 ? 4 : 6);
		err = (rule->is_udp ? forward_udp_open : forward_open)(u, rule, &u->forwards[i],
								       d);
	}
	return err;
}

static int choose_tier(struct usernet *u, struct diag *d)
{
	int err = 0;

	if (u->options.tier == USERNET_TIER_B)
		return 0;
	err = transparent_open(u, d);
	return u->options.tier == USERNET_TIER_AUTO ? 0 : err;
}

int usernet_new(const struct usernet_options *options, struct usernet **ret, struct diag *d)
{
	struct usernet *u = NULL;
	int err = 0;

	if (options->mtu < USERNET_MTU_MIN || options->mtu > USERNET_MTU_MAX ||
	    options->flows_max < 64 || options->flows_max > USERNET_FLOWS_MAX)
		return diag_set(d, ERR_RANGE, 0, "MTU %u and %u flows are out of range",
				options->mtu, options->flows_max);
	u = calloc(1, sizeof(*u));
	if (!u)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	u->options = *options;
	u->options.credential = NULL; /* way_init() has its own */
	u->epoll = -1;
	memcpy(u->egress.allowed, options->allowed, sizeof(options->allowed));
	u->egress.n_allowed = options->n_allowed;
	set_tcp(u);
	capture_begin(&u->capture, options->capture_fd);
	err = set_way(u, options, d);
	if (err < 0) {
		usernet_free(u);
		return err;
	}
	err = allocate(u);
	if (err < 0) {
		usernet_free(u);
		return diag_set(d, err, 0, "cannot set up connections of peers: %s",
				err_text(err));
	}
	err = open_forwards(u, d);
	if (err == 0)
		err = choose_tier(u, d);
	if (err < 0) {
		usernet_free(u);
		return err;
	}
	*ret = u;
	return 0;
}

static void end(struct usernet *u, struct flow *flow)
{
	switch (flow->kind) {
	case FLOW_TCP:
		tcp_flow_end(u, flow);
		break;
	case FLOW_UDP:
		udp_flow_end(u, flow);
		break;
	case FLOW_ECHO:
		echo_end(u, flow);
		break;
	case FLOW_CALLER:
		forward_udp_caller_end(u, flow);
		break;
	case FLOW_CONNECT_UDP:
		connect_udp_end(u, flow);
		break;
	case FLOW_FORWARD:
	case FLOW_FORWARD_UDP:
	case FLOW_TUN:
	case FLOW_ACCEPT:
	case FLOW_ACCEPTED:
	case FLOW_CONNECT_DNS:
		break;
	}
}

/* The engine may be gone already. */
static void send_nowhere(void *context, uint64_t now_ns, struct engine_packet *packets,
			 size_t n)
{
	(void)context;
	(void)now_ns;
	(void)packets;
	(void)n;
}

struct usernet *usernet_free(struct usernet *u)
{
	if (!u)
		return NULL;
	u->options.send = send_nowhere;
	while (u->flows.oldest)
		end(u, u->flows.oldest);
	for (size_t i = 0; i < USERNET_FORWARDS_MAX; i++)
		u->forwards[i] = forward_close(u->forwards[i]);
	connect_dns_free(u->queries);
	way_done(&u->way);
	flows_done(&u->flows);
	u->transparent = transparent_close(u->transparent);
	if (u->epoll >= 0)
		close(u->epoll);
	fragments_free(u->fragments);
	host_inbox_free(u->datagrams);
	free(u->arena);
	free(u->inbox);
	free(u);
	return NULL;
}

int usernet_fd(const struct usernet *u)
{
	return u->epoll;
}

uint64_t usernet_counted(const struct usernet *u, enum usernet_count c)
{
	return atomic_load_explicit(&u->counts[c], memory_order_relaxed);
}

enum usernet_tier usernet_tier(const struct usernet *u)
{
	return u->transparent ? USERNET_TIER_A : USERNET_TIER_B;
}

uint32_t usernet_flows(const struct usernet *u)
{
	return atomic_load_explicit(&u->n_flows, memory_order_relaxed);
}

bool usernet_make_room(struct usernet *u, const struct inet_pair *pair)
{
	struct flow *victim = NULL;

	if (!flow_victim(&u->flows, pair, &victim)) {
		usernet_count(u, USERNET_FULL);
		return false;
	}
	if (victim) {
		usernet_count(u, USERNET_EVICTED);
		end(u, victim);
	}
	return true;
}

void usernet_forget(struct usernet *u, struct flow *flow)
{
	static const enum usernet_count closed[] = {
		[FLOW_TCP] = USERNET_TCP_CLOSED,	 [FLOW_UDP] = USERNET_UDP_CLOSED,
		[FLOW_ECHO] = USERNET_ECHO_CLOSED,	 [FLOW_CALLER] = USERNET_UDP_CLOSED,
		[FLOW_CONNECT_UDP] = USERNET_UDP_CLOSED,
	};

	usernet_count(u, closed[flow->kind]);
	flow_remove(&u->flows, flow);
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
}

/* --- Packets to peers --- */

/* How many packets a run of them is: told by what is behind its headers (of UDP, 8 octets). */
static uint32_t packets_in(const uint8_t *packet, uint32_t len, const struct inet_offload *o)
{
	uint32_t header_len = o->csum_start + INET_UDP_HEADER;

	if (o->gso == INET_GSO_NONE || o->gso_size == 0 || len <= o->csum_start + 12U)
		return 1;
	if (o->gso != INET_GSO_UDP)
		header_len = o->csum_start + (uint32_t)(packet[o->csum_start + 12] >> 4) * 4;
	return len <= header_len ? 1 : (len - header_len + o->gso_size - 1) / o->gso_size;
}

static void note_sent(struct usernet *u, const struct engine_packet *p)
{
	const struct iovec slice = { p->data, p->len };

	usernet_count_many(u, USERNET_PACKETS_TO, packets_in(p->data, p->len, &p->offload));
	usernet_count_many(u, USERNET_OCTETS_TO, p->len);
	if (u->capture.fd >= 0)
		capture_packet(&u->capture, clock_wall_ns(), &slice, 1, p->len);
}

void out_flush(struct usernet *u)
{
	if (u->n_out)
		u->options.send(u->options.context, u->now_ns, u->out, u->n_out);
	u->n_out = 0;
	u->arena_used = 0;
}

uint8_t *out_room(struct usernet *u)
{
	if (u->n_out == OUT_PACKETS || u->arena_used > OUT_BATCH_BYTES)
		out_flush(u);
	return u->arena + u->arena_used;
}

void out_put(struct usernet *u, uint32_t len, const struct inet_offload *offload)
{
	struct engine_packet packet = { .data = u->arena + u->arena_used,
					.len = len,
					.offload = *offload };

	note_sent(u, &packet);
	if (offload->gso == INET_GSO_NONE) {
		u->out[u->n_out++] = packet;
		u->arena_used += (len + ENGINE_TAILROOM + 63) & ~63U;
		return;
	}
	if (u->n_out) /* first what came first; it lies in front and is not touched */
		u->options.send(u->options.context, u->now_ns, u->out, u->n_out);
	u->options.send(u->options.context, u->now_ns, &packet, 1);
	u->n_out = 0;
	u->arena_used = 0;
}

void out_send(struct usernet *u, const uint8_t *packet, uint32_t len)
{
	const struct inet_offload none = { 0 };
	struct fragment_cut cut;
	uint32_t id = 0, piece = 0;

	if (len <= u->options.mtu) {
		memcpy(out_room(u), packet, len);
		out_put(u, len, &none);
		return;
	}
	random_fill(&id, sizeof(id)); /* RFC 7739: not to be guessed */
	fragment_cut_begin(&cut, packet, len, u->options.mtu, id);
	while ((piece = fragment_cut_next(&cut, out_room(u))) != 0)
		out_put(u, piece, &none);
}

/* --- Packets of peers --- */

size_t inner_payload(const struct inner *in, uint32_t offset, struct iovec out[SLICES_MAX])
{
	uint32_t left = in->len - offset;
	size_t n = 0;

	for (size_t i = 0; i < in->n_slices && left && n < SLICES_MAX; i++) {
		struct iovec slice = in->slices[i];

		if (i == 0) {
			slice.iov_base = in->packet + offset;
			slice.iov_len -= offset;
		}
		if (slice.iov_len > left)
			slice.iov_len = left;
		if (slice.iov_len == 0)
			continue;
		left -= (uint32_t)slice.iov_len;
		out[n++] = slice;
	}
	return n;
}

/* A router takes one hop away (RFC 1812 section 5.3.1). */
static void take_hop(const struct inner *in)
{
	uint8_t *p = in->packet;

	if (in->ip.source.family == ADDR_V4) {
		inet_checksum_update(p + 10, get_be16(p + 8),
				     (uint16_t)(get_be16(p + 8) - 256));
		p[8]--;
	} else {
		p[7]--;
	}
}

/* From one peer to another. */
static void forward(struct usernet *u, const struct inner *in)
{
	uint8_t *out = NULL;
	uint32_t at = 0;

	if (u->options.isolates_peers) {
		uint8_t quoted[OUT_QUOTE];

		usernet_count(u, USERNET_DENIED);
		answer_error(u, INET_ICMP_PROHIBITED, 0, quoted, answer_quote(in, quoted));
		return;
	}
	take_hop(in);
	out = out_room(u);
	for (size_t i = 0; i < in->n_slices && at + in->slices[i].iov_len <= TCP_OUTPUT_MAX;
	     i++) {
		memcpy(out + at, in->slices[i].iov_base, in->slices[i].iov_len);
		at += (uint32_t)in->slices[i].iov_len;
	}
	usernet_count(u, USERNET_FORWARDED);
	out_put(u, at < in->len ? at : in->len, &in->offload);
}

/* Is the transport checksum of a packet that came alone right? Those of runs were looked at. */
static bool is_intact(const struct inner *in)
{
	uint32_t offset = in->upper.offset, len = in->len - offset;
	const uint8_t *at = in->packet + offset;
	uint64_t sum = inet_sum(at, len);

	if (in->gso_size || in->offload.needs_csum) /* the latter never was on a wire */
		return true;
	switch (in->upper.protocol) {
	case INET_ICMP4:
		return inet_sum_is_valid(sum);
	case INET_UDP:
		if (in->ip.source.family == ADDR_V4 && len >= INET_UDP_HEADER &&
		    get_be16(at + 6) == 0)
			return true; /* none */
		break;
	default:
		break;
	}
	return inet_sum_is_valid(sum + inet_sum_pseudo(in->packet, in->upper.protocol) +
				 inet_sum_number((uint16_t)len));
}

static bool read_packet(struct inner *in, uint32_t available)
{
	const uint8_t *p = in->packet;

	if (!inet_ip_parse(p, available, &in->ip))
		return false;
	in->len = in->ip.len;
	in->hops = in->ip.source.family == ADDR_V4 ? p[8] : p[7];
	if (in->ip.source.family == ADDR_V4 &&
	    !inet_sum_is_valid(inet_sum_words(p, (uint32_t)(p[0] & 15) * 4)))
		return false;
	return inet_upper_find(p, in->len, &in->upper) && !in->upper.is_routed;
}

static void input_icmp(struct usernet *u, const struct inner *in)
{
	const uint8_t *message = in->packet + in->upper.offset;
	uint32_t len = in->len - in->upper.offset;
	bool is_v4 = in->ip.source.family == ADDR_V4;

	if (len < 8)
		return;
	if (is_v4 && message[0] == 3 && message[1] == 4)
		tcp_flow_too_big(u, in, in->upper.offset + 8, get_be16(message + 6));
	else if (!is_v4 && message[0] == 2)
		tcp_flow_too_big(u, in, in->upper.offset + 8, get_be32(message + 4));
	else if (own_is_address(u, &in->ip.destination))
		own_echo(u, in);
	else
		echo_receive(u, in);
}

static void input(struct usernet *u, const struct inner *in)
{
	uint8_t quoted[OUT_QUOTE];

	if (!is_intact(in)) {
		usernet_count(u, USERNET_MALFORMED);
		return;
	}
	switch (in->upper.protocol) {
	case INET_TCP:
		tcp_flow_receive(u, in);
		break;
	case INET_UDP:
		udp_flow_receive(u, in);
		break;
	case INET_ICMP4:
	case INET_ICMP6:
		input_icmp(u, in);
		break;
	default:
		usernet_count(u, USERNET_MALFORMED);
		answer_error(u, INET_ICMP_PROHIBITED, 0, quoted, answer_quote(in, quoted));
		break;
	}
}

static void input_fragment(struct usernet *u, const struct inner *in)
{
	struct inner whole = { 0 };
	struct iovec slice;
	uint32_t len = 0;

	if (!fragment_add(u->fragments, u->now_ns, in->packet, in->len, &whole.packet, &len))
		return;
	slice = (struct iovec){ whole.packet, len };
	whole.slices = &slice;
	whole.n_slices = 1;
	if (read_packet(&whole, len) && !whole.upper.is_fragment)
		input(u, &whole);
	else
		usernet_count(u, USERNET_MALFORMED);
}

static bool is_outside(const struct usernet *u, const struct ip_addr *a)
{
	for (size_t i = 0; i < u->options.n_outside; i++)
		if (ip_prefix_contains(&u->options.outside[i], a))
			return true;
	return false;
}

static bool is_for_a_peer(const struct usernet *u, const struct ip_addr *a)
{
	return (own_is_near(u, a) || u->options.is_peer(u->options.context, a)) &&
	       !is_outside(u, a);
}

static void note_received(struct usernet *u, const struct inner *in, uint32_t len)
{
	usernet_count_many(u, USERNET_PACKETS_FROM,
			   packets_in(in->packet, in->len, &in->offload));
	usernet_count_many(u, USERNET_OCTETS_FROM, in->len);
	if (u->capture.fd >= 0)
		capture_packet(&u->capture, clock_wall_ns(), in->slices, in->n_slices, len);
}

static void route(struct usernet *u, const struct inner *in)
{
	uint8_t quoted[OUT_QUOTE];
	bool is_own = own_is_address(u, &in->ip.destination);

	if (u->options.refuses_v6 && in->ip.source.family == ADDR_V6) {
		answer_error(u, INET_ICMP_NO_ROUTE, 0, quoted, answer_quote(in, quoted));
		return;
	}
	if (!is_own && in->hops <= 1) {
		answer_error(u, INET_ICMP_TIME_EXCEEDED, 0, quoted, answer_quote(in, quoted));
		return;
	}
	if (!is_own && is_for_a_peer(u, &in->ip.destination)) {
		forward(u, in);
		return;
	}
	if (in->upper.is_fragment)
		input_fragment(u, in);
	else
		input(u, in);
}

void usernet_receive(struct usernet *u, uint64_t now_ns, const struct inet_write *writes,
		     size_t n, struct iovec *slices)
{
	u->now_ns = now_ns;
	for (size_t i = 0; i < n; i++) {
		struct inner in = { .packet = writes[i].header,
				    .slices = slices + writes[i].first_slice,
				    .n_slices = writes[i].n_slices,
				    .gso_size = writes[i].offload.gso != INET_GSO_NONE
							? writes[i].offload.gso_size
							: 0,
				    .offload = writes[i].offload };

		if (read_packet(&in, writes[i].len)) {
			note_received(u, &in, writes[i].len);
			route(u, &in);
		} else {
			usernet_count(u, USERNET_MALFORMED);
		}
	}
}

/* --- Running --- */

static void take_events(struct usernet *u)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	int n = epoll_wait(u->epoll, events, EVENTS_PER_WAIT, 0);

	for (int i = 0; i < n; i++) {
		struct flow *flow = events[i].data.ptr;

		flow->events |= events[i].events;
		flow_mark(&u->flows, flow);
	}
}

static void take_timers(struct usernet *u)
{
	struct schedule_node *first = NULL;

	while ((first = schedule_first(&u->flows.schedule)) && first->at_ns <= u->now_ns) {
		schedule_remove(&u->flows.schedule, first);
		flow_mark(&u->flows, (struct flow *)(void *)first);
	}
}

static void work(struct usernet *u, struct flow *flow)
{
	switch (flow->kind) {
	case FLOW_TCP:
		tcp_flow_work(u, flow);
		break;
	case FLOW_UDP:
		udp_flow_work(u, flow);
		break;
	case FLOW_ECHO:
		echo_work(u, flow);
		break;
	case FLOW_CALLER:
		forward_udp_caller_work(u, flow);
		break;
	case FLOW_FORWARD:
		forward_work(u, flow);
		break;
	case FLOW_FORWARD_UDP:
		forward_udp_work(u, flow);
		break;
	case FLOW_TUN:
		transparent_tun_work(u, flow);
		break;
	case FLOW_ACCEPT:
		transparent_accept_work(u, flow);
		break;
	case FLOW_ACCEPTED:
		transparent_accepted_work(u, flow);
		break;
	case FLOW_CONNECT_UDP:
		connect_udp_work(u, flow);
		break;
	case FLOW_CONNECT_DNS:
		connect_dns_work(u, flow);
		break;
	}
}

bool usernet_run(struct usernet *u, uint64_t now_ns)
{
	struct flow *flow = NULL;
	/* All that may be marked, once: flows, what of them is in a namespace, listeners. */
	uint32_t n = 2 * u->flows.n + 2 * USERNET_FORWARDS_MAX;

	if (n > WORK_PER_RUN)
		n = WORK_PER_RUN;

	u->now_ns = now_ns;
	take_events(u);
	take_timers(u);
	while (n-- && (flow = flow_take_marked(&u->flows)))
		work(u, flow);
	out_flush(u);
	atomic_store_explicit(&u->n_flows, u->flows.n, memory_order_relaxed);
	return u->flows.first_dirty != NULL;
}

uint64_t usernet_deadline_ns(const struct usernet *u)
{
	const struct schedule_node *first = schedule_first(&u->flows.schedule);

	return first ? first->at_ns : UINT64_MAX;
}
