/* SPDX-License-Identifier: Apache-2.0 */
/**
 * usernet.h - Packets of peers to the world and back, through ordinary sockets
 *
 * Theory of operation. What a kernel does with a TUN, routing and NAT is done here with sockets that
 * anybody may open: no capability, no interface. A TCP connection of a peer ends here
 * (inet/tcp.h), and a socket of the host continues it; the handshake is answered only once the
 * host's connection stands, so refused and unreachable are told truthfully. What is offered to
 * the peer as window is the room in front of the host's socket. A UDP port of a peer is one
 * socket, whomever it speaks to, and anybody may answer it (endpoint-independent: calls and games
 * work). Echo goes through ping sockets. Errors that the host learns of become ICMP for the peer.
 *
 * Packets from one peer to another go straight back to the engine.
 *
 * Source:  RFC 5382, 4787, 5508 (behaviour of NATs); RFC 1812 (what a router says).
 * Bounds:  flows in total, per peer and half open; octets buffered; every refusal is counted.
 *          When there are too many flows, the one that was idle for longest ends.
 * Threads: all calls from one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "base/addr.h"
#include "base/err.h"
#include "engine/engine.h"
#include "inet/merge.h"

enum {
	USERNET_ADDRESSES_MAX = 8,
	USERNET_RESOLVERS_MAX = 3,
	USERNET_ALLOWED_MAX = 64,
	USERNET_FORWARDS_MAX = 64,
	USERNET_OUTSIDE_MAX = 64,
	USERNET_MTU_MIN = 1280,
	USERNET_MTU_MAX = 9000,
	USERNET_FLOWS_MAX = 1 << 20,
};

/* struct usernet_forward - TCP connections, or datagrams, to @port of the host go to a peer; or, of our own address, to
 * a service of the host */
struct usernet_forward {
	bool is_udp;
	uint16_t port;
	uint16_t to_port;
	struct ip_addr to;
};

/**
 * enum usernet_tier - Whose TCP peers speak to
 *
 *	B	ours (inet/tcp.h)
 *	A	the kernel's, in a namespace of our own (usernet/transparent.h)
 *	AUTO	A where this host allows it, else B
 */
enum usernet_tier {
	USERNET_TIER_B,
	USERNET_TIER_A,
	USERNET_TIER_AUTO,
};

/**
 * struct usernet_options - Copied by usernet_new()
 * @send:	Packets for peers, at most ENGINE_PACKETS_MAX, or one super-frame; as
 *		engine_send() takes them
 * @is_peer:	Does this address belong to a peer?
 * @mtu:	Of the tunnel
 * @addresses:	Our own inside the tunnel, with their networks; they answer to ping and, when
 *		there are resolvers, to DNS
 * @resolvers:	Where DNS queries go, port 53; they need not be allowed otherwise
 * @allowed:	Private networks that peers may reach
 * @forwards:	Each needs one of @addresses of the family it leads to
 * @services:	Ports of @addresses that lead to services of the host, which need not be allowed otherwise
 * @outside:	Networks that peers reach through sockets even where they are a peer's
 * @refuses_v6:	IPv6 of peers goes nowhere, and they are told so
 * @capture_fd:	A file for what peers send and get (usernet/capture.h); 0 or less: none. Not closed
 * @isolates_peers: They do not reach each other through us
 * @flows_max:	Connections and ports at a time; as many sockets
 * @memory_bytes: For data on its way, as far as it lies here: the kernel has its own bounds
 * @proxy:	The HTTP proxy that all connections go through, by CONNECT (usernet/way.h); ip.family
 *		ADDR_NONE: they go straight. Then all DNS queries go to @resolvers as well, by TCP, other
 *		datagrams by connect-udp if the proxy offers it, and echo is refused
 * @credential:	Value of Proxy-Authorization, or NULL; a secret, copied
 * @mark:	SO_MARK of sockets to the proxy; 0: none
 */
struct usernet_options {
	void (*send)(void *context, uint64_t now_ns, struct engine_packet *packets, size_t n);
	bool (*is_peer)(void *context, const struct ip_addr *address);
	void *context;
	enum usernet_tier tier;
	uint32_t mtu;
	struct ip_prefix addresses[USERNET_ADDRESSES_MAX];
	size_t n_addresses;
	struct ip_addr resolvers[USERNET_RESOLVERS_MAX];
	size_t n_resolvers;
	struct ip_prefix allowed[USERNET_ALLOWED_MAX];
	size_t n_allowed;
	struct usernet_forward forwards[USERNET_FORWARDS_MAX];
	size_t n_forwards;
	struct usernet_forward services[USERNET_FORWARDS_MAX];
	size_t n_services;
	struct ip_prefix outside[USERNET_OUTSIDE_MAX];
	size_t n_outside;
	bool refuses_v6;
	bool isolates_peers;
	int capture_fd;
	uint32_t flows_max;
	size_t memory_bytes;
	struct endpoint proxy;
	const char *credential;
	uint32_t mark;
};

struct usernet;

/**
 * usernet_new() - Return: 0 or an error with its sentence in @d
 *
 * Before other threads start: with tier A it forks. On success with B where A was also welcome, @d says why
 * this host has no A.
 */
int usernet_new(const struct usernet_options *options, struct usernet **ret, struct diag *d);
/* Ends everything at once. Takes NULL, returns NULL. */
struct usernet *usernet_free(struct usernet *u);

/* Readable when a host's socket has something: then call usernet_run(). */
int usernet_fd(const struct usernet *u);

/**
 * usernet_receive() - Packets that peers sent, as engine_writes() gives them
 * @writes, @slices: Not the engine's own lists: what was sent meanwhile would change them.
 *		The packets themselves are used up
 *
 * Answers may be sent at once; what flows owe is sent by usernet_run().
 */
void usernet_receive(struct usernet *u, uint64_t now_ns, const struct inet_write *writes,
		     size_t n, struct iovec *slices);

/**
 * usernet_run() - Sockets, timers, and everything that is to be sent
 * Return: true when there is more to do at once.
 */
bool usernet_run(struct usernet *u, uint64_t now_ns);

/* When usernet_run() must be called at the latest; UINT64_MAX: when there is an event. */
uint64_t usernet_deadline_ns(const struct usernet *u);

enum usernet_count {
	USERNET_TCP_OPENED,
	USERNET_TCP_REFUSED, /* by the other side, or not reachable */
	USERNET_UDP_OPENED,
	USERNET_ECHO_OPENED,
	USERNET_FORWARDED, /* packets from peer to peer */
	USERNET_DENIED,	   /* by egress rules */
	USERNET_MALFORMED, /* packets with wrong checksums or headers, of protocols we do not carry */
	USERNET_EVICTED, /* flows ended to make room */
	USERNET_FULL, /* flows refused: too many of this peer, half open, or no socket left */
	USERNET_DROPPED, /* datagrams that a host's socket did not take */
	USERNET_TCP_CLOSED,
	USERNET_UDP_CLOSED,
	USERNET_ECHO_CLOSED,
	USERNET_PACKETS_FROM, /* peers; those of a run one by one */
	USERNET_OCTETS_FROM,
	USERNET_PACKETS_TO,
	USERNET_OCTETS_TO,
	USERNET_COUNTS,
};

/** usernet_counted() - From any thread */
uint64_t usernet_counted(const struct usernet *u, enum usernet_count c);
/* A or B; from any thread. */
enum usernet_tier usernet_tier(const struct usernet *u);
/* Flows there are now; from any thread. */
uint32_t usernet_flows(const struct usernet *u);
