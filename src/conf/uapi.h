/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uapi.h - The text that `wg` speaks to a tunnel, read and written
 *
 * Reading is line by line into one struct uapi_set, so a request of a million
 * peers needs no second copy; nothing is applied here. All of a request is
 * validated before the caller commits any of it: a set is all or nothing.
 *
 * Source:  spec of the cross-platform interface, wireguard.com/xplatform.
 * Bounds:  UAPI_PEERS_MAX peers and UAPI_ALLOWED_IPS_MAX prefixes in one request.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "frame/frame.h"

enum {
	UAPI_PEERS_MAX = 1 << 20,
	UAPI_ALLOWED_IPS_MAX = 1 << 22,
	UAPI_PROFILES_MAX = 64, /* lines; an interface holds fewer */
	UAPI_LINE_MAX =
		65535, /* longest line we accept, without the newline: signature packets */

	/* Values of errno= in replies, without their sign */
	UAPI_EIO = 5,
	UAPI_EBUSY = 16,
	UAPI_EPROTO = 71,
	UAPI_EINVAL = 22,
	UAPI_EADDRINUSE = 98,
	UAPI_EOTHER = 55,
};

struct uapi_allowed_ip {
	struct ip_prefix prefix;
	bool remove; /* "-" in front: take away if it is this peer's */
};

/**
 * struct uapi_set_peer - One peer block of a set request
 * @first_allowed_ip, @n_allowed_ips: Range in struct uapi_set @allowed_ips, in order
 * @profile_pin, @profile_heard, @sends_prelude, @budget_bytes, @rate_bps, @greatest_timestamp: our culvert_
 *		keys
 */
struct uapi_set_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key; /* zero clears */
	struct endpoint endpoint;
	struct frame_range keepalive;		/* seconds; zero: off */
	char profile_pin[FRAME_NAME_MAX + 1];	/* "": recognise it */
	char profile_heard[FRAME_NAME_MAX + 1]; /* by an earlier process */
	bool sends_prelude;		/* signature packets and junk when we initiate */
	uint64_t budget_bytes;		/* UINT64_MAX: none */
	uint64_t rate_bps;		/* 0: none */
	uint8_t greatest_timestamp[12]; /* TAI64N */
	uint32_t first_allowed_ip;
	uint32_t n_allowed_ips;
	bool remove;
	bool update_only;
	bool replace_allowed_ips;
	bool has_preshared_key;
	bool has_endpoint;
	bool has_keepalive;
	bool has_budget;
	bool has_rate;
	bool has_greatest_timestamp;
	bool has_profile_pin;
	bool has_profile_heard;
	bool has_sends_prelude;
};

/**
 * struct uapi_profile - One "culvert_profile=NAME key=value ..." line: a whole profile
 *
 * The line names every parameter that is not at its default; besides, "until=UNIX" (accepted
 * until then; 0: for good) or "remove" alone. Blanks within <...> belong to a value.
 */
struct uapi_profile {
	char name[FRAME_NAME_MAX + 1];
	struct frame_parameters parameters;
	uint64_t until_s;
	bool remove;
};

/**
 * struct uapi_set - A whole request. All zeroes is empty; uapi_set_done() wipes and frees
 * @zone_index:	Number of an interface by name, 0 when there is none: `wg` writes
 *		link-local endpoints as [fe80::1%eth0]. NULL: only numbers are taken
 */
struct uapi_set {
	uint32_t (*zone_index)(const char *name);
	struct secret_key private_key; /* zero clears; not yet clamped */
	uint32_t fwmark;
	uint16_t listen_port;
	bool has_private_key;
	bool has_listen_port;
	bool has_fwmark;
	bool replace_peers;
	/* AmneziaWG's keys: the default profile. What is not given stays as it is. */
	struct frame_parameters framing;
	uint32_t framing_given; /* 1 << enum frame_key */
	bool replace_profiles;	/* those that this request does not name are removed */
	struct uapi_profile *profiles;
	size_t n_profiles;
	size_t profiles_capacity;
	struct uapi_set_peer *peers;
	size_t n_peers;
	size_t peers_capacity;
	struct uapi_allowed_ip *allowed_ips;
	size_t n_allowed_ips;
	size_t allowed_ips_capacity;
};

/** uapi_profile_parse() - What stands behind "culvert_profile=". Judges the whole profile
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE (a rule's name first in @d), ERR_LIMIT, -ENOMEM. @ret is then
 *	   unchanged; else its parameters are the caller's to free.
 */
int uapi_profile_parse(const char *text, size_t len, struct uapi_profile *ret, struct diag *d);

/** uapi_profile_put() - The same text; signature packets without what stands between tags */
void uapi_profile_put(struct text *out, const char *name,
		      const struct frame_parameters *parameters, uint64_t until_s);

/**
 * uapi_set_line() - Add one line (without its newline) of a set request
 *
 * Return: 0; or a positive UAPI_E... with the reason in @d. After a failure the
 *	   set must not be applied, and the caller skips lines up to the empty one.
 *	   @d->line is left for the caller to fill.
 */
int uapi_set_line(struct uapi_set *set, const char *line, size_t len, struct diag *d);
void uapi_set_done(struct uapi_set *set);

/* --- Writing the reply to get=1 --- */

/* Who asks: `wg` takes no range where it expects a number. */
enum uapi_dialect {
	UAPI_WIREGUARD,
	UAPI_AMNEZIA,
	UAPI_DIALECTS,
};

/**
 * struct uapi_get_device - What concerns the interface itself
 * @private_key, @listen_port, @fwmark: Left out when zero
 * @framing:	NULL: nothing is said of it
 * @has_state:	Of an answer to state=1: the next two are said
 * @public_key:	Its own
 * @state:	The same number again: nobody from outside has changed peers meanwhile
 */
struct uapi_get_device {
	struct secret_key private_key;
	uint16_t listen_port;
	uint32_t fwmark;
	const struct frame_set *framing;
	bool has_state;
	uint8_t public_key[32];
	uint64_t state;
};

struct uapi_get_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key;
	struct endpoint endpoint;   /* left out when unknown */
	uint64_t last_handshake_ns; /* wall clock, Unix; 0: never */
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	struct frame_range keepalive;
	const struct ip_prefix *allowed_ips; /* in order of insertion */
	size_t n_allowed_ips;
	/* ours */
	uint64_t drops;
	uint64_t handshake_failures;
	uint64_t budget_bytes;			/* left out when UINT64_MAX */
	uint64_t rate_bps;			/* left out when 0 */
	uint8_t greatest_timestamp[12];		/* left out when zero */
	char profile_heard[FRAME_NAME_MAX + 1]; /* left out when "", unless */
	bool is_heard_gone;			/* the profile is no more: an empty name */
	char profile_pin[FRAME_NAME_MAX + 1];	/* left out when "" */
	bool sends_no_prelude;			/* left out when false */
};

/* The order of the lines is the one of wireguard-go; ours come last in a block. */
void uapi_write_device(struct text *out, const struct uapi_get_device *device);
void uapi_write_peer(struct text *out, enum uapi_dialect dialect,
		     const struct uapi_get_peer *peer);
/* errno=0 or errno=-@uapi_errno (@in_get: without the sign), and the empty line. */
void uapi_write_errno(struct text *out, int uapi_errno, bool in_get);

/* --- Reading a get reply (the gateway's side), line by line --- */

struct uapi_get_reader {
	/* Called at the end of each peer block; @peer is borrowed. */
	void (*peer)(void *context, const struct uapi_get_peer *peer);
	void *context;
	struct uapi_get_device device;
	struct uapi_get_peer current; /* allowed_ips point into @allowed_ips below */
	struct ip_prefix *allowed_ips;
	size_t n_allowed_ips;
	size_t capacity;
	bool in_peer;
	bool is_done; /* errno= was read */
	int uapi_errno;
};

/* Unknown keys are skipped. Return: 0, ERR_FORMAT, ERR_LIMIT or -ENOMEM. */
int uapi_get_line(struct uapi_get_reader *r, const char *line, size_t len, struct diag *d);
void uapi_get_reader_done(struct uapi_get_reader *r);

/* --- Writing a set request (the gateway's side) --- */

/* Writes "set=1", the device keys that are set, every peer block, and the empty line. */
void uapi_write_set(struct text *out, const struct uapi_set *set);
