/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_internal.h - What the files of one TCP connection share, and nobody else
 */
#pragma once

#include "inet/tcp.h"

#define MILLISECOND UINT64_C(1000000)
#define SECOND	    UINT64_C(1000000000)
#define NEVER	    UINT64_MAX

enum {
	SYN_TRIES = 6,
	QUICK_ACKS = 16,
	DUPLICATES = 3, /* RFC 5681's threshold, where RFC 8985 still asks for it */
};

#define DELAYED_ACK_NS	  (40 * MILLISECOND)
#define PEER_ACK_DELAY_NS (200 * MILLISECOND) /* RFC 8985 section 7.2: WCDelAckT */
#define TIME_WAIT_NS	  (60 * SECOND)

/* --- tcp.c --- */

/** tcp_enter() - The only place that writes the state; asserts that it may follow */
void tcp_enter(struct tcp *t, enum tcp_state to, uint64_t now_ns);
/* CLOSED, because of @why; nothing is owed but what the caller sets afterwards. */
void tcp_close(struct tcp *t, enum tcp_end why);
uint32_t tcp_now_ts(const struct tcp *t, uint64_t now_ns);
/* Payload of a full segment, with the options that every segment has. */
uint32_t tcp_segment_size(const struct tcp *t);
/* What a SYN says about the other end. */
void tcp_take_syn(struct tcp *t, const struct tcp_segment *syn, uint64_t now_ns);
void tcp_set_mss(struct tcp *t, uint32_t offered);
/* A handshake that was answered: the first round trip, the windows. */
void tcp_established(struct tcp *t, uint64_t now_ns);

/* --- tcp_recovery.c --- */

/**
 * tcp_acknowledged() - @ack and the SACK blocks of @s were received, and are acceptable
 * Return: true when something of ours was newly acknowledged.
 */
bool tcp_acknowledged(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s,
		      uint64_t ack);
/* Set the timer for what flies. */
void tcp_arm(struct tcp *t, uint64_t now_ns);
/* It ran out. */
void tcp_timer_expired(struct tcp *t, uint64_t now_ns);

/* --- tcp_output.c --- */

/* The window that could be offered now, in octets. */
uint64_t tcp_receive_edge(const struct tcp *t);

static inline uint64_t widen(uint64_t near, uint32_t wire)
{
	return near + (uint64_t)(int64_t)(int32_t)(wire - (uint32_t)near);
}

/* The FIN's position in our stream; only once the owner wants it. */
static inline bool has_fin_at(const struct tcp *t, uint64_t position)
{
	return t->snd.wants_fin && position == t->snd.end;
}

/* What may be sent: data and, behind it, the FIN. */
static inline uint64_t send_limit(const struct tcp *t)
{
	return t->snd.end + t->snd.wants_fin;
}
