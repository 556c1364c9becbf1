/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp.h - One end of a TCP connection, without clock, socket or thread
 *
 * Theory of operation. Segments and time go in, packets and a deadline come out. The owner
 * looks up the connection, verified the checksum, and calls tcp_input(); then it moves
 * octets between the two rings and whatever it serves, and calls tcp_output() until nothing comes.
 * A packet may be a super-frame of up to TCP_OUTPUT_SEGMENTS segments, to be cut by inet/split.h.
 *
 * Sequence numbers are widened to 64-bit stream positions once, where a segment comes in
 * (the lower half is what is on the wire), so that everything behind compares with "<".
 *
 * Loss is found by time (RACK-TLP), as RFC 8985 has it, never by counting duplicates alone; an
 * octet is flying, lost or SACKed (inet/tcp_board.h) and what flies is held against the window,
 * which already is limited transmit and RFC 6675. In recovery the window follows PRR.
 *
 * Data that has arrived stays in the receive ring until the owner consumes it; the window
 * offered is the room left there, and grows with the rate at which the owner consumes. Nothing
 * that was acknowledged is ever dropped.
 *
 * Source:  RFC 9293; RFC 7323 (scaling, timestamps, PAWS); RFC 2018, 2883, 6675 (SACK); RFC 8985
 *          (RACK-TLP); RFC 9438, 9406 (CUBIC, HyStart++); RFC 6937 (PRR); RFC 3168 (ECN); RFC 5961 (blind
 *          attacks); RFC 6528 (sequence numbers); RFC 6298 (RTO); RFC 1122 section 4.2.3 (delayed
 *          ACK, silly windows, keep-alive).
 * Files:   tcp.c life and state, tcp_input.c what comes in, tcp_output.c what goes out,
 *          tcp_recovery.c acknowledgements, loss and windows.
 * Memory:  about 900 octets held by the caller; rings, board and ranges on the heap while they hold
 *          something, rings within the budget.
 * Threads: none here. Times never go back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "inet/tcp_board.h"
#include "inet/tcp_cubic.h"
#include "inet/tcp_ranges.h"
#include "inet/tcp_ring.h"
#include "inet/tcp_rtt.h"
#include "inet/tcp_segment.h"

enum {
	/* Payloads in one packet of tcp_output(). */
	TCP_OUTPUT_SEGMENTS = 44,
	TCP_OUTPUT_MAX = 65535,
};

/* RFC 9293 section 3.3.2. LISTEN belongs to the owner. */
enum tcp_state {
	TCP_STATE_CLOSED,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_CLOSING,
	TCP_STATE_LAST_ACK,
	TCP_STATE_TIME_WAIT,
};

/* Why a connection is closed. */
enum tcp_end {
	TCP_END_NONE,	 /* it is not, or both ends said goodbye */
	TCP_END_RESET,	 /* by the other end */
	TCP_END_TIMEOUT, /* the other end does not answer any more */
	TCP_END_ABORTED, /* by us */
};

/**
 * struct tcp_settings - Shared by connections; borrowed for as long as they live
 * @mtu:	Of the path below, 576 to 65535
 * @receive_max, @send_max: Octets buffered per direction, at most TCP_RING_MAX
 * @keepalive_ns: Ask after so much silence; 0: never
 * @give_up_ns:	Unanswered data, probes or keep-alives end the connection after so long
 * @ecn:	Offer and accept it
 */
struct tcp_settings {
	uint32_t mtu;
	uint32_t receive_max;
	uint32_t send_max;
	uint64_t keepalive_ns;
	uint64_t give_up_ns;
	bool ecn;
	struct tcp_budget *budget;
};

/* What a timer for lost data would do. */
enum tcp_timer {
	TCP_TIMER_NONE,
	TCP_TIMER_RTO,
	TCP_TIMER_PROBE,   /* tail loss probe, RFC 8985 section 7 */
	TCP_TIMER_REORDER, /* RFC 8985 section 6.2, step 5 */
	TCP_TIMER_PERSIST, /* RFC 9293 section 3.8.6.1 */
};

/* What tcp_output() still owes. */
enum tcp_owed {
	TCP_OWES_ACK = 1,
	TCP_OWES_SYN = 2,
	TCP_OWES_RESET = 4,
	TCP_OWES_PROBE = 8, /* one segment that makes the other end answer */
	TCP_OWES_TAIL = 16, /* a tail loss probe */
};

/* The sending half. Positions: una <= nxt <= end (+ 1 with the FIN). */
struct tcp_send {
	uint64_t iss;
	uint64_t una;
	uint64_t nxt;
	uint64_t end;		  /* of what the owner wrote */
	uint64_t update_sequence; /* of the segment that last set the window: SND.WL1 */
	uint64_t update_ack;	  /* SND.WL2 */
	uint32_t window;
	uint32_t window_most; /* largest ever offered */
	uint16_t mss;	      /* payload of a segment without options */
	uint8_t scale;	      /* of the windows offered to us */
	bool wants_fin;
	bool is_more;	/* the owner will write on at once: hold the last, short segment */
	bool is_forced; /* send even if silly: the window stayed small */
	struct tcp_ring ring;
	struct tcp_board board;
};

/* The receiving half. Positions: read <= nxt <= edge. */
struct tcp_receive {
	uint64_t irs;
	uint64_t read; /* the owner consumed up to here */
	uint64_t nxt;
	uint64_t edge;	 /* of the window as it was last offered; never comes back */
	uint64_t fin_at; /* UINT64_MAX: none seen */
	uint64_t acked;	 /* the last acknowledgement sent */
	uint64_t duplicate_start, duplicate_end; /* to be told as D-SACK; equal: none */
	uint64_t round_start; /* window tuning: consumption is measured from here */
	uint64_t round_at_ns;
	uint32_t limit; /* octets the ring may hold at present */
	uint32_t unacked;
	uint8_t scale;
	uint8_t quick; /* acknowledgements still to be sent without delay */
	struct tcp_ring ring;
	struct tcp_ranges ranges;
};

/* RFC 8985 and RFC 6937 */
struct tcp_recovery {
	uint64_t xmit_ns; /* RACK: of the most recently sent segment that was delivered */
	uint64_t end;
	uint64_t rtt_ns;
	uint64_t forward; /* highest position delivered */
	uint64_t round_end;
	uint64_t point;	   /* recovery ends when this is acknowledged; meaningful in recovery */
	uint64_t tail_end; /* a tail loss probe is out: it ends here; 0: none */
	uint32_t prr_delivered;
	uint32_t prr_out;
	uint32_t prr_flight;
	uint8_t reorder_mult;
	uint8_t reorder_persist;
	bool has_reordering;
	bool is_active; /* fast recovery */
	bool is_loss;	/* after a timeout */
	bool tail_is_resent;
	bool duplicate_seen; /* D-SACK in this acknowledgement */
};

struct tcp {
	const struct tcp_settings *settings;
	struct inet_pair pair;
	enum tcp_state state;
	enum tcp_end end;
	unsigned int owed; /* set of enum tcp_owed */
	struct tcp_send snd;
	struct tcp_receive rcv;
	struct tcp_recovery recovery;
	struct tcp_rtt rtt;
	struct tcp_cubic cubic;
	enum tcp_timer timer;
	uint64_t timer_ns;
	uint64_t ack_ns;  /* delayed acknowledgement; UINT64_MAX: none */
	uint64_t wait_ns; /* handshake, TIME-WAIT; UINT64_MAX: none */
	uint64_t heard_ns;
	uint64_t sent_ns;
	uint64_t silent_since_ns; /* unanswered since; 0: nothing is */
	uint64_t challenge_ns;	  /* before this no challenge ACK */
	uint32_t ts_offset;
	uint32_t ts_recent;
	uint64_t ts_recent_ns;
	uint64_t cwr_point; /* ECN: one reduction until this is acknowledged */
	uint64_t reset_at;  /* sequence of the reset that is owed */
	uint8_t tries;	    /* of the handshake, or of keep-alive */
	bool has_timestamps;
	bool has_sack;
	bool has_ecn;
	bool tells_ce; /* ECE until CWR */
	bool tells_cwr;
};

/* --- Life --- */

/** tcp_isn() - RFC 6528: F(addresses, ports, key) and a clock of 4 us */
uint32_t tcp_isn(const uint8_t key[16], const struct inet_pair *pair, uint64_t now_ns);

/**
 * tcp_accept() - Answer @syn; the SYN-ACK comes from tcp_output()
 * @t:		Uninitialised
 * @syn:	SYN and nothing of ACK, RST, FIN. Its payload is not taken
 * @isn, @ts_offset: Unpredictable
 */
void tcp_accept(struct tcp *t, const struct tcp_settings *settings,
		const struct inet_pair *pair, const struct tcp_segment *syn, uint32_t isn,
		uint32_t ts_offset, uint64_t now_ns);

/** tcp_connect() - The other role: the SYN comes from tcp_output() */
void tcp_connect(struct tcp *t, const struct tcp_settings *settings,
		 const struct inet_pair *pair, uint32_t isn, uint32_t ts_offset,
		 uint64_t now_ns);

/* Give memory back, in any state. */
void tcp_done(struct tcp *t);

/** tcp_abort() - Reset the connection, once tcp_output() is called */
void tcp_abort(struct tcp *t);

/** tcp_may_reuse() - A SYN that reached a connection in TIME-WAIT: may a new one begin?
 * Source: RFC 9293 section 3.10.7.4, RFC 6191 */
bool tcp_may_reuse(const struct tcp *t, const struct tcp_segment *syn);

/* --- Packets --- */

/**
 * tcp_input() - A segment for this connection
 * @payload:	@n slices of what follows the header
 * @has_ce:	Congestion was experienced (the IP header says so)
 */
void tcp_input(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s,
	       const struct iovec *payload, size_t n, bool has_ce);

/**
 * tcp_output() - The next packet to send
 * @out:	TCP_OUTPUT_MAX octets
 *
 * Return: its length, 0 when there is nothing to send now.
 */
uint32_t tcp_output(struct tcp *t, uint64_t now_ns, uint8_t *out,
		    struct inet_offload *ret_offload);

/** tcp_shrink_mtu() - The path carries @mtu octets (RFC 1191, RFC 8201). @position: the sequence
 * number in what was quoted; ignored unless it is in flight (RFC 5927) */
void tcp_shrink_mtu(struct tcp *t, uint32_t mtu, uint32_t sequence);

/* --- Time --- */

/* When tcp_expire() must be called; UINT64_MAX: never. */
uint64_t tcp_deadline_ns(const struct tcp *t);
/* Timers that have run out. Then call tcp_output(). */
void tcp_expire(struct tcp *t, uint64_t now_ns);

/* --- The owner's side: sending --- */

/** tcp_send_wanted() - How many octets it makes sense to write now; 0: enough is waiting */
uint32_t tcp_send_wanted(const struct tcp *t);

/**
 * tcp_send_space() - Places for up to @len octets that follow what was written
 * Return: slices, together perhaps fewer than @len octets where memory is scarce; 0 when there is
 *	   none, or the end was announced.
 */
int tcp_send_space(struct tcp *t, uint32_t len, struct iovec out[2]);
/* @len octets were written there. @is_more: more will follow as soon as there is room */
void tcp_send_written(struct tcp *t, uint32_t len, bool is_more);
/* No more will be written: FIN after what was. */
void tcp_send_end(struct tcp *t);

/* --- The owner's side: receiving --- */

/** tcp_receive_slices() - What has arrived in order. Return: slices, 0 for nothing */
int tcp_receive_slices(const struct tcp *t, struct iovec out[2]);
/** tcp_receive_taken() - @len octets of it were used */
void tcp_receive_taken(struct tcp *t, uint32_t len, uint64_t now_ns);
/** tcp_receive_ended() - Everything up to the other end's FIN was taken */
bool tcp_receive_ended(const struct tcp *t);

/* Rings that are empty are given back; call it for connections that are quiet. */
void tcp_trim(struct tcp *t);

/* The handshake is over and neither end has closed for good. */
static inline bool tcp_is_open(const struct tcp *t)
{
	return t->state >= TCP_STATE_ESTABLISHED && t->state <= TCP_STATE_LAST_ACK;
}
