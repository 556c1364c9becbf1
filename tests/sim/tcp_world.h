/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_world.h - Two TCP ends and a bad network between them, from a seed
 *
 * What each end sends is a stream whose octets follow from their position: a receiver needs
 * nothing else to judge what it got. Time is simulated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/generator.h"
#include "inet/tcp.h"

enum {
	TCP_WORLD_PACKETS = 1 << 14, /* on their way at once */
	TCP_WORLD_MTU_MAX = 9000,
};

#define WORLD_MS UINT64_C(1000000)
#define WORLD_S	 UINT64_C(1000000000)

/* The path, either way. Chances are out of 10 000. */
struct tcp_path {
	uint64_t delay_ns;
	uint64_t jitter_ns;    /* uniform: packets overtake each other */
	uint64_t bits_per_s;   /* 0: no limit */
	uint32_t queue_octets; /* in front of the limit; more is dropped */
	uint32_t loss;
	uint32_t duplicate;
	uint32_t mark; /* CE on packets that are capable of ECN */
};

struct tcp_flight {
	uint64_t at_ns;
	uint64_t number;
	uint8_t *data;
	uint32_t len;
	uint8_t to;
};

struct tcp_side {
	struct tcp tcp;
	struct tcp_settings settings;
	struct tcp_budget budget;
	uint64_t to_send;
	uint64_t written;
	uint64_t received;
	uint32_t chunk_max;	   /* octets written or read at once */
	uint64_t stalled_until_ns; /* it reads nothing */
	uint32_t stall;		   /* chance per read */
	uint64_t free_at_ns;	   /* of its link */
	bool is_broken;		   /* an octet was wrong */
	bool was_ended;
};

struct tcp_world {
	struct generator random;
	uint64_t now_ns;
	struct tcp_path path;
	struct tcp_side side[2];
	struct tcp_flight *flights; /* a heap by time */
	uint32_t n_flights;
	uint64_t sent; /* packets */
	uint64_t lost;
	/* Judges and may change a packet; false: it is lost. NULL: nobody does. */
	bool (*filter)(struct tcp_world *w, unsigned int to, uint8_t *packet, uint32_t len);
	void *context;
};

void tcp_world_init(struct tcp_world *w, uint64_t seed);
void tcp_world_done(struct tcp_world *w);

/** tcp_world_open() - Side 0 connects. @at_once: side 1 does the same at the same time */
void tcp_world_open(struct tcp_world *w, bool at_once);

/** tcp_world_step() - To the next event and through it. Return: false when there is none */
bool tcp_world_step(struct tcp_world *w, uint64_t until_ns);

/* Both have received all, and the connection is over on both sides. */
bool tcp_world_is_done(const struct tcp_world *w);
