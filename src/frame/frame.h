/* SPDX-License-Identifier: Apache-2.0 */
/**
 * frame.h - What a message looks like on the wire
 *
 * The engine speaks plain WireGuard messages; this layer decides how they look to an observer.
 *
 *   frame_type()      before noise computes MACs: MAC1 covers the type word as sent
 *   frame_wrap()      after sealing: padding, masks, trailers, for a batch at once
 *   frame_prelude()   before an initiation: signature packets and junk
 *   frame_classify()  on arrival: which message is this, under which profile, and where does it
 *		       begin?
 *
 * A struct frame_profile is one way of framing. One interface has a set of them: the first is
 * the default, which we use towards peers we have not heard; what arrives may be framed by any.
 *
 * Theory of operation, receiving. Words drawn from ranges and octets masked by a key mean that
 * no datagram says for certain what it is. So a guess is confirmed by something only a real
 * message has: transport by the index of a session with keys, a handshake message by its MAC1.
 * (Without keys it is no use: the answer to our initiation names that session too, and may do so
 * where transport would.) Transport is tried first: data whose random octets happen to look like
 * a handshake's is still data, which is where other implementations lose packets. The caller
 * says how a source was framed last, so
 * that the first guess is nearly always right, and masks are computed for a batch.
 *
 * Source:  AmneziaWG 1.0 to 3.1 as its implementations behave; they publish no specification.
 * Threads: a set is read-only once made; calls may run in parallel, each with a generator of
 *	    its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/generator.h"
#include "frame/parameters.h"
#include "frame/signature.h"
#include "noise/messages.h"

enum {
	FRAME_PROFILES_MAX = 16,
	FRAME_NAME_MAX = 31,
	FRAME_BATCH = 64,   /* datagrams in one call */
	FRAME_WINDOW = 500, /* where the largest datagram of a peer begins to be counted */

	/* Until a profile may be forgotten: for good. */
	FRAME_NUMBER_NONE = 0,
};

/* struct frame_timers - Seconds; both ends of each are drawn from */
struct frame_timers {
	struct frame_range rekey_after;
	struct frame_range rekey_timeout;
	struct frame_range reject_after;
	struct frame_range keepalive_timeout;
	struct frame_range max_attempts;
};

extern const struct frame_timers frame_timers_plain;

/**
 * struct frame_profile - One way of framing, ready for use
 * @name:	"" for the default
 * @number:	The same as long as an interface lives, whatever becomes of its neighbours; never
 *		FRAME_NUMBER_NONE
 * @until_s:	Unix time from which it is not accepted any more; 0: for good
 * @pad, @header: By enum message_type
 * @is_plain:	Octet for octet WireGuard's wire
 */
struct frame_profile {
	char name[FRAME_NAME_MAX + 1];
	uint32_t number;
	bool is_plain;
	bool is_protected;
	uint32_t pad[5];
	struct frame_range header[5];
	uint64_t until_s;
	struct frame_timers timers;
	struct frame_parameters parameters;
	struct frame_signature signature[FRAME_SIGNATURES];
	uint32_t prelude_max;	  /* octets that frame_prelude() may write */
	uint32_t prelude_packets; /* ... in so many packets */
};

/**
 * struct frame_set - The profiles of one interface; the first is the default
 * @numbers:	How many numbers were given so far
 */
struct frame_set {
	uint32_t n;
	uint32_t numbers;
	struct frame_profile profiles[FRAME_PROFILES_MAX];
};

/* What a new set is made from. @name "" is the default, and the first. */
struct frame_profile_source {
	const char *name;
	const struct frame_parameters *parameters;
	uint64_t until_s;
};

/* One default profile that is plain WireGuard. Nothing to free before the first _make(). */
void frame_set_init(struct frame_set *set);
void frame_set_done(struct frame_set *set);

/**
 * frame_set_make() - Compile profiles that were judged valid
 * @before:	The set that this one follows: a profile that looks the same on the wire keeps
 *		its number, then one with the same name; NULL: none
 * @sources:	1..FRAME_PROFILES_MAX, the default first
 *
 * Return: 0 or -ENOMEM, ERR_FORMAT (a signature packet that does not parse); @ret then holds
 *	   nothing.
 */
int frame_set_make(const struct frame_set *before, const struct frame_profile_source *sources,
		   uint32_t n, struct frame_set *ret);

/* The profile of that number; the default where there is none. */
const struct frame_profile *frame_set_find(const struct frame_set *set, uint32_t number);
/* By name; NULL: none. */
const struct frame_profile *frame_set_named(const struct frame_set *set, const char *name);

/** frame_is_name() - Letters, digits, '-', '_' and '.', 1..FRAME_NAME_MAX of them */
bool frame_is_name(const char *text, size_t len);

/* Octets of a message of a fixed length; of a transport message, its header. */
uint32_t frame_message_len(enum message_type type);

/* --- Sending --- */

/** frame_type() - The type word to write into a message of kind @type */
static inline uint32_t frame_type(const struct frame_profile *p, enum message_type type,
				  struct generator *g)
{
	return generator_between(g, p->header[type].lo, p->header[type].hi);
}

/**
 * frame_content_padding() - Zero octets to seal behind a packet
 * @len:	Of the packet; 0 for a keepalive
 * @mtu:	Of the tunnel; 0: not known
 * @window:	The largest datagram exchanged with the peer, FRAME_WINDOW at first
 *
 * Full packets get none, whatever the profile: bulk data keeps one size.
 */
uint32_t frame_content_padding(const struct frame_profile *p, uint32_t len, uint32_t mtu,
			       uint32_t window, struct generator *g);

/**
 * frame_trailer() - Random octets to send behind a handshake message of kind @type
 * @window:	As above; FRAME_WINDOW where there is no peer
 * @cap:	The datagram must not be longer than that: of the request that it answers, or
 *		FRAME_DATAGRAM_MAX
 */
uint32_t frame_trailer(const struct frame_profile *p, enum message_type type, uint32_t window,
		       uint32_t cap, struct generator *g);

/** struct frame_message - A datagram with a message in it: PAD octets are free before it
 * @data:	Where the PAD goes; the message stands at @data + pad
 * @len:	Octets of all, trailer included
 */
struct frame_message {
	uint8_t *data;
	uint32_t len;
};

/**
 * frame_wrap() - Dress @n finished messages of kind @type: fill PAD and trailer, mask
 *
 * MACs and tags are in place already. At most FRAME_BATCH.
 */
void frame_wrap(const struct frame_profile *p, enum message_type type,
		const struct frame_message *messages, uint32_t n, struct generator *g);

/* struct frame_prelude_packet - One packet of a prelude, in the caller's buffer */
struct frame_prelude_packet {
	uint8_t *data;
	uint32_t len;
};

/**
 * frame_prelude() - What goes before an initiation, in order
 * @buffer:	@p->prelude_max octets
 * @out:	@p->prelude_packets packets, none of them empty
 * @counter:	For <c>: one more for each packet
 *
 * Return: how many.
 */
uint32_t frame_prelude(const struct frame_profile *p, struct generator *g, uint32_t unix_s,
		       uint32_t *counter, uint8_t *buffer, struct frame_prelude_packet *out);

/* --- Receiving --- */

/**
 * struct frame_lookup - How a guess is confirmed
 * @find_index:	The session of that number, which can have been sent a message of kind @type;
 *		NULL: none
 * @has_mac1:	Does the message carry a MAC1 under our key? NULL: all do
 * @wall_s:	Unix time, for profiles that end; 0: not known, none has ended
 */
struct frame_lookup {
	void *(*find_index)(void *context, uint32_t index, enum message_type type);
	bool (*has_mac1)(void *context, const void *message, uint32_t len);
	void *context;
	uint64_t wall_s;
};

/* Why a datagram is no message. */
enum frame_miss {
	FRAME_NO_MISS,
	FRAME_MALFORMED,     /* nothing fits */
	FRAME_UNKNOWN_INDEX, /* a transport message or cookie reply of nobody we know */
	FRAME_BAD_MAC1,	     /* a handshake message for somebody else */
};

/** struct frame_view - A message found in a datagram
 * @type:	The kind; 0: none, see @miss
 * @message:	Unmasked, in place; the type word as it was sent
 * @len:	Of the message alone
 * @found:	What find_index() said, for transport and cookie replies
 */
struct frame_view {
	enum message_type type;
	enum frame_miss miss;
	uint8_t *message;
	uint32_t len;
	const struct frame_profile *profile;
	void *found;
};

/* struct frame_datagram - As it arrived */
struct frame_datagram {
	uint8_t *data;
	uint32_t len;
};

/**
 * frame_classify() - Undo the framing of datagrams of one source, in place
 * @guess:	How that source was framed last; NULL: the default
 * @n:		At most FRAME_BATCH
 * @views:	@n results
 */
void frame_classify(const struct frame_set *set, const struct frame_profile *guess,
		    const struct frame_datagram *datagrams, uint32_t n,
		    const struct frame_lookup *lookup, struct frame_view *views);

/* --- Arithmetic of MTUs --- */

/** frame_data_overhead() - What a packet grows by from the tunnel to the UDP payload */
static inline uint32_t frame_data_overhead(const struct frame_profile *p)
{
	return MESSAGE_DATA_MIN + p->pad[MESSAGE_DATA];
}

/**
 * frame_mtu() - The tunnel's MTU on a path of @path_mtu octets
 * @s4:		PAD of transport messages
 * @v4_only:	Every endpoint is IPv4
 *
 * Never below 1280, which IPv6 in the tunnel needs.
 */
uint32_t frame_mtu(uint32_t path_mtu, uint32_t s4, bool v4_only);
