/* SPDX-License-Identifier: Apache-2.0 */
/**
 * internal.h - What the files of this directory share, and nobody else
 */
#pragma once

#include <stdatomic.h>

#include "inet/fragment.h"
#include "inet/icmp.h"
#include "inet/tcp.h"
#include "inet/udp.h"
#include "usernet/capture.h"
#include "usernet/egress.h"
#include "usernet/flow.h"
#include "usernet/host_inbox.h"
#include "usernet/usernet.h"
#include "usernet/way.h"

enum {
	OUT_PACKETS = ENGINE_PACKETS_MAX,
	OUT_BATCH_BYTES = 96 << 10, /* small packets gathered for one call */
	OUT_ROOM = TCP_OUTPUT_MAX + 1 + ENGINE_TAILROOM,
	OUT_ARENA_BYTES = (OUT_BATCH_BYTES + OUT_ROOM + 63) & ~63,
	SLICES_MAX = INET_MERGE_SLICES + 2,
	INBOX_FRONT = 64, /* for the headers of what is passed on */
	DNS_PORT = 53,
	HOPS = 64,
};

#define SECOND UINT64_C(1000000000)

struct usernet {
	struct usernet_options options;
	int epoll;
	struct flows flows;
	struct tcp_settings tcp;
	struct tcp_budget budget;
	struct egress egress;
	struct way way;
	struct connect_dns *queries; /* where there is a proxy */
	uint64_t own_read_ns;	     /* when the host's addresses were read */
	uint8_t isn_key[16];
	uint64_t now_ns;
	uint8_t *arena;
	uint32_t arena_used;
	struct engine_packet out[OUT_PACKETS];
	size_t n_out;
	struct fragments *fragments;
	struct host_inbox *datagrams;
	uint8_t *inbox; /* what a host's socket sent, with room for headers in front */
	uint64_t icmp_paid_ns;
	size_t resolver; /* the one in use */
	struct flow *forwards[USERNET_FORWARDS_MAX];
	uint32_t n_callers;
	uint32_t n_raw_echoes;
	struct capture capture;
	struct transparent *transparent; /* NULL: tier B */
	_Atomic uint64_t counts[USERNET_COUNTS];
	_Atomic uint32_t n_flows;
};

/**
 * struct inner - A packet of a peer, read as far as everybody needs
 * @packet:	Its headers, in one piece
 * @slices:	The whole packet: @packet is the beginning of the first
 * @len:	By its IP header
 * @gso_size:	Payload per packet when it is a run, else 0
 */
struct inner {
	uint8_t *packet;
	struct iovec *slices;
	size_t n_slices;
	uint32_t len;
	uint16_t gso_size;
	uint8_t hops;
	struct inet_offload offload;
	struct inet_ip ip;
	struct inet_upper upper;
};

/** inner_payload() - Slices of what begins at @offset, without what lies behind @in->len
 * Return: how many are at @out. */
size_t inner_payload(const struct inner *in, uint32_t offset, struct iovec out[SLICES_MAX]);

static inline void usernet_count_many(struct usernet *u, enum usernet_count c, uint64_t n)
{
	atomic_fetch_add_explicit(&u->counts[c], n, memory_order_relaxed);
}

static inline void usernet_count(struct usernet *u, enum usernet_count c)
{
	usernet_count_many(u, c, 1);
}

/* --- usernet.c: packets to peers --- */

/* Room for a packet of any size, until the next call of out_put(). */
uint8_t *out_room(struct usernet *u);
/* What was written there. Super-frames leave at once, packets when there are many, or in the end. */
void out_put(struct usernet *u, uint32_t len, const struct inet_offload *offload);
void out_flush(struct usernet *u);
/* A packet from the host, in pieces where the tunnel is too narrow for it. */
void out_send(struct usernet *u, const uint8_t *packet, uint32_t len);

/* --- answers.c --- */

/** answer_error() - ICMP for what a peer sent, from the address it was sent to; not too often */
void answer_error(struct usernet *u, enum inet_icmp_error error, uint32_t mtu,
		  const uint8_t *packet, uint32_t len);
/* The same from a router on the way. */
void answer_error_from(struct usernet *u, const struct inet_icmp_kind *kind,
		       const struct ip_addr *source, const uint8_t *packet, uint32_t len);
enum { OUT_QUOTE = 1280 };

/** answer_quote() - The beginning of what a peer sent, as a packet of its own length. Return: octets */
uint32_t answer_quote(const struct inner *in, uint8_t out[OUT_QUOTE]);
/* What an error of the host means for a peer; false: nothing it should hear of. */
bool answer_errno(int err, enum inet_icmp_error *ret);
/* Nobody waits for this segment. */
void answer_reset(struct usernet *u, const struct inet_pair *pair, const struct tcp_segment *s,
		  uint32_t payload_len);

/* --- own.c: what is for ourselves --- */

/* Our address that stands for us towards a family; false: we have none. */
bool own_address(const struct usernet *u, uint8_t family, struct ip_addr *ret);
bool own_is_address(const struct usernet *u, const struct ip_addr *a);
/* Within one of our networks. */
bool own_is_near(const struct usernet *u, const struct ip_addr *a);
/* Echo requests to ourselves. */
void own_echo(struct usernet *u, const struct inner *in);
/** own_may_reach() - Egress rules, with the host's addresses as they are now */
enum egress_verdict own_may_reach(struct usernet *u, const struct ip_addr *to);

/* --- dns.c --- */

/** dns_target() - Where a conversation with @pair's local end really goes
 * Return: true when that is a resolver. */
bool dns_target(struct usernet *u, const struct inet_pair *pair, struct ip_addr *ret);
/* It did not answer: the next one's turn. */
void dns_failed(struct usernet *u, const struct ip_addr *resolver);

/* --- host_socket.c --- */

/** host_socket() - A socket that does not wait. Return: descriptor or -errno */
int host_socket(uint8_t family, int kind, int protocol);
int host_watch(struct usernet *u, struct flow *flow);
/* @ret: sockaddr_storage. Return: its length. */
unsigned int host_address(const struct ip_addr *ip, uint16_t port, void *ret);
/* From a sockaddr; an IPv6 address stays one. */
void host_address_read(const void *address, struct ip_addr *ret_ip, uint16_t *ret_port);
/* Is the far end of a connected socket this host itself? */
bool host_is_ourselves(int fd);
/** host_set_hops() - Hops left and type of service of what is sent; sets what changed */
struct host_marks {
	int hops, tos; /* as set; -1: not yet */
	int df;
};
void host_set_marks(int fd, uint8_t family, struct host_marks *marks, uint8_t hops, uint8_t tos,
		    bool df);
void host_close_at_once(int fd); /* with a reset */

/* --- host_error.c --- */

/** host_error_read() - One error that the host was told about what it sent
 * @ret_to:	Where that was going
 * @payload:	What is known of it
 * Return: octets of payload, or -1 when there is none.
 */
struct host_error {
	struct inet_icmp_kind kind;
	struct ip_addr source; /* who says so; ADDR_NONE: ourselves */
	struct ip_addr to;
	uint16_t to_port;
};
int host_error_read(int fd, struct host_error *ret, uint8_t *payload, size_t room);

/* --- tcp_flow.c, udp_flow.c, echo.c --- */

void tcp_flow_receive(struct usernet *u, const struct inner *in);
/* Do what is to be done; the flow may end. */
void tcp_flow_work(struct usernet *u, struct flow *flow);
/* End it, whatever its state. */
void tcp_flow_end(struct usernet *u, struct flow *flow);
/** tcp_flow_call() - Connect @fd, which somebody outside opened, to a peer; takes @fd in any case */
void tcp_flow_call(struct usernet *u, int fd, const struct ip_addr *to, uint16_t port);
/* A peer's ICMP says that a path is narrower; at @quoted_at is our packet's beginning. */
void tcp_flow_too_big(struct usernet *u, const struct inner *in, uint32_t quoted_at,
		      uint32_t mtu);

void udp_flow_receive(struct usernet *u, const struct inner *in);
void udp_flow_work(struct usernet *u, struct flow *flow);
void udp_flow_end(struct usernet *u, struct flow *flow);

void echo_receive(struct usernet *u, const struct inner *in);
void echo_work(struct usernet *u, struct flow *flow);
void echo_end(struct usernet *u, struct flow *flow);

/** usernet_make_room() - For one more flow of @pair. false: it is refused, and counted */
bool usernet_make_room(struct usernet *u, const struct inet_pair *pair);
/* Leaves the table; closes the socket. The memory is the caller's. */
void usernet_forget(struct usernet *u, struct flow *flow);
