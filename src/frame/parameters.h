/* SPDX-License-Identifier: Apache-2.0 */
/**
 * parameters.h - The parameters of AmneziaWG as people write them
 *
 * One table names every parameter: how files and the UAPI spell it, what a value looks like,
 * whether both ends must agree on it. Reading, writing and judging follow from the table. A set
 * of parameters is read value by value, then judged as a whole, then used as a whole: nothing is
 * applied before all of it is valid.
 *
 * With everything at its default the wire is WireGuard's, octet for octet.
 *
 * Source:  AmneziaWG 1.0 to 3.1 as its implementations behave; they publish no specification.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "frame/range.h"

enum {
	FRAME_MESSAGES = 4, /* initiation, response, cookie reply, transport: S1..S4, H1..H4 */
	FRAME_SIGNATURES = 5,		  /* I1..I5 */
	FRAME_SIGNATURE_TEXT_MAX = 60000, /* octets of one I1..I5 as written */
	FRAME_JUNK_MAX = 128,		  /* Jc */
	FRAME_DATAGRAM_MAX = 65507,	  /* UDP over IPv4 */
	FRAME_PRELUDE_MAX = 176 * 1024,	  /* octets of I1..I5 and junk before one initiation */
	FRAME_PATH_PAYLOAD = 1232,	  /* UDP payload that every IPv6 path carries */
	FRAME_NONCE_LEN = 12,		  /* of header protection: the first octets of a PAD */
};

enum frame_key {
	FRAME_JC,
	FRAME_JMIN,
	FRAME_JMAX,
	FRAME_S1,
	FRAME_S2,
	FRAME_S3,
	FRAME_S4,
	FRAME_H1,
	FRAME_H2,
	FRAME_H3,
	FRAME_H4,
	FRAME_I1,
	FRAME_I2,
	FRAME_I3,
	FRAME_I4,
	FRAME_I5,
	FRAME_HEADER_PROTECTION_KEY,
	FRAME_CONTENT_PADDING_ADDITION,
	FRAME_REKEY_AFTER_TIME,
	FRAME_REKEY_TIMEOUT,
	FRAME_REJECT_AFTER_TIME,
	FRAME_KEEPALIVE_TIMEOUT,
	FRAME_MAX_HANDSHAKE_ATTEMPTS,
	FRAME_RANDOM_TRAILERS,
	FRAME_DISABLE_COOKIES,
	FRAME_KEYS,
};

/**
 * struct frame_parameters - One set
 * @pad:		S1..S4
 * @header:		H1..H4
 * @signature:		I1..I5 as written, owned; NULL: unset
 * @protection_key:	All zero: no header protection
 * @content_padding and the ranges below: zero is off, or the default of WireGuard; seconds,
 *			but @max_attempts
 */
struct frame_parameters {
	uint32_t jc;
	uint32_t jmin;
	uint32_t jmax;
	uint32_t pad[FRAME_MESSAGES];
	struct frame_range header[FRAME_MESSAGES];
	char *signature[FRAME_SIGNATURES];
	struct secret_key protection_key;
	struct frame_range content_padding;
	struct frame_range rekey_after;
	struct frame_range rekey_timeout;
	struct frame_range reject_after;
	struct frame_range keepalive_timeout;
	struct frame_range max_attempts;
	bool random_trailers;
	bool disable_cookies;
};

/* Everything at its default: plain WireGuard. */
void frame_parameters_init(struct frame_parameters *p);
/* Wipes and frees; afterwards as after _init(). */
void frame_parameters_done(struct frame_parameters *p);
/** frame_parameters_copy() - @to holds nothing before. Return: 0 or -ENOMEM */
int frame_parameters_copy(struct frame_parameters *to, const struct frame_parameters *from);
bool frame_parameters_are_plain(const struct frame_parameters *p);
/* Would either end understand the other? Only what must match is compared. */
bool frame_parameters_match(const struct frame_parameters *a, const struct frame_parameters *b);
/**
 * frame_parameters_clash() - Could two peers, one of each, not be served side by side?
 *
 * What an initiation looks like says how its sender wants to be answered. Where it looks the
 * same under both and the rest does not match, one of them gets answers that it cannot read.
 * Trailers are no such difference: the length of a message tells.
 */
bool frame_parameters_clash(const struct frame_parameters *a, const struct frame_parameters *b);

/* --- The table --- */

/* Where a name or a value comes from: they differ in spelling, and in how keys are written. */
enum frame_dialect {
	FRAME_CONF, /* "Jc", "HeaderProtectionKey = base64" */
	FRAME_UAPI, /* "jc", "header_protection_key=hex" */
};

/** frame_key_find() - Conf names in either case. Return: FRAME_KEYS when there is none */
enum frame_key frame_key_find(enum frame_dialect dialect, const char *name, size_t len);
const char *frame_key_name(enum frame_dialect dialect, enum frame_key key);
/* Both ends must have the same value. */
bool frame_key_must_match(enum frame_key key);
/* The value is at its default and need not be written. */
bool frame_key_is_default(const struct frame_parameters *p, enum frame_key key);

/**
 * frame_parameters_set() - Read one value
 * @text:	Not NUL-terminated. Empty I1..I5 and an all-zero key unset it
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE or ERR_LIMIT with what would be right in @d, beginning with
 *	   the key's name and never showing a secret; -ENOMEM.
 */
int frame_parameters_set(struct frame_parameters *p, enum frame_dialect dialect,
			 enum frame_key key, const char *text, size_t len, struct diag *d);

/** frame_parameters_take() - Only @key's value, from @from. Return: 0 or -ENOMEM */
int frame_parameters_take(struct frame_parameters *p, const struct frame_parameters *from,
			  enum frame_key key);

/** frame_parameters_put() - The value of @key as frame_parameters_set() reads it */
void frame_parameters_put(struct text *out, enum frame_dialect dialect,
			  const struct frame_parameters *p, enum frame_key key);

/* --- Judging a whole set --- */

enum frame_rule {
	FRAME_RULE_NONE,
	FRAME_RULE_HEADER_OVERLAP,     /* H1..H4 pairwise disjoint, defaults included */
	FRAME_RULE_PROTECTION_PADDING, /* header protection: S1..S4 at least 12 each */
	FRAME_RULE_JUNK_ORDER,	       /* Jmin <= Jmax */
	FRAME_RULE_JUNK_SIZE,	       /* Jmax <= 65507 */
	FRAME_RULE_JUNK_COUNT,	       /* Jc <= 128 */
	FRAME_RULE_DATAGRAM_SIZE,      /* S + message below 65508 */
	FRAME_RULE_SIGNATURE,	       /* I1..I5 parse and fit a datagram */
	FRAME_RULE_PRELUDE,	       /* I1..I5 and junk together are bounded */
	FRAME_RULES,
};

/* "header-overlap" and so on. */
const char *frame_rule_name(enum frame_rule rule);

/**
 * struct frame_fault - What a sentence is about, for who knows where each value was written
 * @key:	To be changed first
 * @other:	Takes part, too, and is to blame where nobody wrote @key; FRAME_KEYS: none does
 */
struct frame_fault {
	enum frame_key key;
	enum frame_key other;
};

/**
 * frame_parameters_check() - Is the set valid?
 *
 * Return: FRAME_RULE_NONE, or the first rule that is broken, its name and why in @d.
 */
enum frame_rule frame_parameters_check(const struct frame_parameters *p, struct diag *d);

/** frame_parameters_find_fault() - The same; where a rule is broken, also by what */
enum frame_rule frame_parameters_find_fault(const struct frame_parameters *p,
					    struct frame_fault *ret, struct diag *d);

/**
 * frame_parameters_warn() - What is valid and should be known all the same
 * @say:	Called with each sentence
 */
void frame_parameters_warn(const struct frame_parameters *p,
			   void (*say)(void *context, struct frame_fault about,
				       const char *sentence),
			   void *context);
