/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The rules are the union of what implementations enforce, so that a set
 * which passes works with all of them; a warning is for what works and is still worse than it
 * could be. Each is one function that knows why.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "frame/parameters.h"
#include "frame/signature.h"
#include "noise/messages.h"

enum {
	PLAIN_TYPE_MIN = 1, /* WireGuard's type words are 1 to 4 */
	PLAIN_TYPE_MAX = 4,
	PLAIN_REKEY_AFTER_S = 120, /* whitepaper, section 6.1 */
	PLAIN_REJECT_AFTER_S = 180,
	STOCK_ROUTE_MTU = 1500,
	STOCK_MTU_SPARE = 80, /* what awg-quick subtracts from the route's MTU */
	STOCK_MTU_ROOM = 20,  /* what an IPv4 packet of data leaves of these, without S4 */
};

/* In the order of S1..S4; a transport message at its shortest. */
static const uint32_t message_len[FRAME_MESSAGES] = { sizeof(struct msg_initiation),
						      sizeof(struct msg_response),
						      sizeof(struct msg_cookie),
						      MESSAGE_DATA_MIN };
static const char *const message_name[FRAME_MESSAGES] = { "initiations", "responses",
							  "cookie replies", "keepalives" };

static uint32_t framed_len(const struct frame_parameters *p, uint32_t message)
{
	return p->pad[message] + message_len[message];
}

static bool is_protected(const struct frame_parameters *p)
{
	return !secret_is_zero(&p->protection_key, sizeof(p->protection_key));
}

static struct frame_fault by(enum frame_key key)
{
	return (struct frame_fault){ .key = key, .other = FRAME_KEYS };
}

/* Two values that do not go together: the later one, unless it is what it always was. */
static struct frame_fault by_either(const struct frame_parameters *p, enum frame_key first,
				    enum frame_key later)
{
	if (frame_key_is_default(p, later))
		return (struct frame_fault){ .key = first, .other = later };
	return (struct frame_fault){ .key = later, .other = first };
}

/* --- Rules: 0, or the reason in @d and what breaks it in @f --- */

static void show_range(struct diag *out, struct frame_range r)
{
	if (r.lo == r.hi)
		diag_set(out, 0, 0, "%u", r.lo);
	else
		diag_set(out, 0, 0, "%u-%u", r.lo, r.hi);
}

static int check_header_overlap(const struct frame_parameters *p, struct frame_fault *f,
				struct diag *d)
{
	struct diag one, other;

	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		for (uint32_t j = i + 1; j < FRAME_MESSAGES; j++) {
			if (!frame_range_overlaps(p->header[i], p->header[j]))
				continue;
			show_range(&one, p->header[i]);
			show_range(&other, p->header[j]);
			*f = by_either(p, FRAME_H1 + i, FRAME_H1 + j);
			return diag_set(d, ERR_RANGE, 0,
					"H%u (%.24s) and H%u (%.24s) share values: H1 to H4 "
					"must not overlap",
					i + 1, one.text, j + 1, other.text);
		}
	return 0;
}

static int check_protection_padding(const struct frame_parameters *p, struct frame_fault *f,
				    struct diag *d)
{
	if (!is_protected(p))
		return 0;
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++) {
		if (p->pad[i] >= FRAME_NONCE_LEN)
			continue;
		*f = (struct frame_fault){ FRAME_S1 + i, FRAME_HEADER_PROTECTION_KEY };
		return diag_set(
			d, ERR_RANGE, 0,
			"S%u is %u: with HeaderProtectionKey each of S1 to S4 must be at "
			"least %d, for the nonce is taken from it",
			i + 1, p->pad[i], FRAME_NONCE_LEN);
	}
	return 0;
}

static int check_junk_order(const struct frame_parameters *p, struct frame_fault *f,
			    struct diag *d)
{
	if (p->jmin <= p->jmax)
		return 0;
	*f = by_either(p, FRAME_JMIN, FRAME_JMAX);
	return diag_set(d, ERR_RANGE, 0, "Jmin (%u) is greater than Jmax (%u)", p->jmin,
			p->jmax);
}

static int check_junk_size(const struct frame_parameters *p, struct frame_fault *f,
			   struct diag *d)
{
	if (p->jmax <= FRAME_DATAGRAM_MAX)
		return 0;
	*f = by(FRAME_JMAX);
	return diag_set(d, ERR_RANGE, 0, "Jmax (%u) is more than a datagram carries (%d)",
			p->jmax, FRAME_DATAGRAM_MAX);
}

static int check_junk_count(const struct frame_parameters *p, struct frame_fault *f,
			    struct diag *d)
{
	if (p->jc <= FRAME_JUNK_MAX)
		return 0;
	*f = by(FRAME_JC);
	return diag_set(d, ERR_RANGE, 0, "Jc (%u) must be at most %d", p->jc, FRAME_JUNK_MAX);
}

static int check_datagram_size(const struct frame_parameters *p, struct frame_fault *f,
			       struct diag *d)
{
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++) {
		if (framed_len(p, i) <= FRAME_DATAGRAM_MAX)
			continue;
		*f = by(FRAME_S1 + i);
		return diag_set(d, ERR_RANGE, 0,
				"S%u (%u) makes %s of %u octets: a datagram carries %d", i + 1,
				p->pad[i], message_name[i], framed_len(p, i),
				FRAME_DATAGRAM_MAX);
	}
	return 0;
}

/* Octets of I@number when sent, or a negative code. */
static int64_t signature_len(const struct frame_parameters *p, uint32_t number, struct diag *d)
{
	const char *text = p->signature[number - 1];
	struct frame_signature parsed = { 0 };
	int64_t len;
	int err;

	if (!text)
		return 0;
	err = frame_signature_parse(text, strlen(text), &parsed, d);
	if (err)
		return err;
	len = parsed.len;
	frame_signature_done(&parsed);
	return len;
}

static int check_signature(const struct frame_parameters *p, struct frame_fault *f,
			   struct diag *d)
{
	struct diag why = { 0 };

	for (uint32_t number = 1; number <= FRAME_SIGNATURES; number++) {
		int64_t len = signature_len(p, number, &why);

		if (len >= 0)
			continue;
		*f = by(FRAME_I1 + number - 1);
		return diag_set(d, (int)len, 0, "I%u: %s", number,
				len == -ENOMEM ? err_text(-ENOMEM) : why.text);
	}
	return 0;
}

static int check_prelude(const struct frame_parameters *p, struct frame_fault *f,
			 struct diag *d)
{
	uint64_t octets = (uint64_t)p->jc * p->jmax, most = octets;

	*f = by_either(p, FRAME_JC, FRAME_JMAX); /* unless a signature packet is longer */
	for (uint32_t number = 1; number <= FRAME_SIGNATURES; number++) {
		int64_t len = signature_len(p, number, NULL);
		uint64_t more = len > 0 ? (uint64_t)len : 0;

		octets += more;
		if (more <= most)
			continue;
		most = more;
		*f = by(FRAME_I1 + number - 1);
	}
	if (octets <= FRAME_PRELUDE_MAX)
		return 0;
	return diag_set(d, ERR_LIMIT, 0,
			"I1 to I5 and Jc packets of Jmax octets are %llu octets before each "
			"handshake: at most %d",
			(unsigned long long)octets, FRAME_PRELUDE_MAX);
}

/* The order is that of judging: what a rule relies on comes before it. */
static const struct {
	const char *name;
	int (*check)(const struct frame_parameters *p, struct frame_fault *f, struct diag *d);
} rules[] = {
	[FRAME_RULE_NONE] = { "none", NULL },
	[FRAME_RULE_HEADER_OVERLAP] = { "header-overlap", check_header_overlap },
	[FRAME_RULE_PROTECTION_PADDING] = { "protection-padding", check_protection_padding },
	[FRAME_RULE_JUNK_ORDER] = { "junk-order", check_junk_order },
	[FRAME_RULE_JUNK_SIZE] = { "junk-size", check_junk_size },
	[FRAME_RULE_JUNK_COUNT] = { "junk-count", check_junk_count },
	[FRAME_RULE_DATAGRAM_SIZE] = { "datagram-size", check_datagram_size },
	[FRAME_RULE_SIGNATURE] = { "signature", check_signature },
	[FRAME_RULE_PRELUDE] = { "prelude", check_prelude },
};
static_assert(sizeof(rules) / sizeof(rules[0]) == FRAME_RULES, "one row per rule");

const char *frame_rule_name(enum frame_rule rule)
{
	return rules[rule].name;
}

enum frame_rule frame_parameters_find_fault(const struct frame_parameters *p,
					    struct frame_fault *ret, struct diag *d)
{
	struct frame_fault fault = by(FRAME_KEYS);
	struct diag why = { 0 };

	for (enum frame_rule rule = FRAME_RULE_NONE + 1; rule < FRAME_RULES; rule++) {
		if (!rules[rule].check(p, &fault, &why))
			continue;
		*ret = fault;
		diag_set(d, ERR_RANGE, 0, "%s: %s", rules[rule].name, why.text);
		return rule;
	}
	return FRAME_RULE_NONE;
}

enum frame_rule frame_parameters_check(const struct frame_parameters *p, struct diag *d)
{
	struct frame_fault ignored;

	return frame_parameters_find_fault(p, &ignored, d);
}

/* --- Warnings --- */

/* struct audience - Who is told. A struct diag is the sheet that a sentence is written on. */
struct audience {
	void (*say)(void *context, struct frame_fault about, const char *sentence);
	void *context;
	struct diag sheet;
};

#define SAY(a_, about_, ...)                                          \
	do {                                                          \
		diag_set(&(a_)->sheet, 0, 0, __VA_ARGS__);            \
		(a_)->say((a_)->context, (about_), (a_)->sheet.text); \
	} while (0)

static void warn_of_equal_sizes(const struct frame_parameters *p, struct audience *a)
{
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		for (uint32_t j = i + 1; j < FRAME_MESSAGES; j++)
			if (framed_len(p, i) == framed_len(p, j))
				SAY(a, by_either(p, FRAME_S1 + i, FRAME_S1 + j),
				    "S%u and S%u make %s and %s equally long (%u octets): older "
				    "versions of AmneziaWG refuse that or mistake one for the other",
				    i + 1, j + 1, message_name[i], message_name[j],
				    framed_len(p, i));
}

/*
 * Padding and trailers say that the other end speaks AmneziaWG, so it could use other words.
 * Junk and signature packets alone do not: plain WireGuard ignores them, and needs 1 to 4.
 */
static bool could_hide_types(const struct frame_parameters *p)
{
	bool could = p->random_trailers;

	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		could = could || p->pad[i] || !frame_key_is_default(p, FRAME_H1 + i);
	return could && !is_protected(p);
}

static void warn_of_plain_types(const struct frame_parameters *p, struct audience *a)
{
	static const struct frame_range plain = { PLAIN_TYPE_MIN, PLAIN_TYPE_MAX };

	if (!could_hide_types(p))
		return;
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		if (frame_range_overlaps(p->header[i], plain))
			SAY(a, by(FRAME_H1 + i),
			    "H%u has values from 1 to 4, the type words of WireGuard, which are "
			    "easily recognised: use values from 5 up, or HeaderProtectionKey",
			    i + 1);
}

static void warn_of_amplification(const struct frame_parameters *p, struct audience *a)
{
	static const char because[] =
		"whoever forges a source address gets more sent there than he sends";

	if (framed_len(p, 1) > framed_len(p, 0))
		SAY(a, by(FRAME_S2),
		    "S2 makes responses (%u octets) longer than S1 makes initiations (%u): %s",
		    framed_len(p, 1), framed_len(p, 0), because);
	if (framed_len(p, 2) > framed_len(p, 0))
		SAY(a, by(FRAME_S3),
		    "S3 makes cookie replies (%u octets) longer than S1 makes initiations (%u): %s",
		    framed_len(p, 2), framed_len(p, 0), because);
}

static void warn_of_fragments(const struct frame_parameters *p, struct audience *a)
{
	static const char because[] = "some paths cut that into fragments, which stand out";

	for (uint32_t i = 0; i < FRAME_MESSAGES - 1; i++)
		if (framed_len(p, i) > FRAME_PATH_PAYLOAD)
			SAY(a, by(FRAME_S1 + i), "S%u makes %s of %u octets, more than %d: %s",
			    i + 1, message_name[i], framed_len(p, i), FRAME_PATH_PAYLOAD,
			    because);
	for (uint32_t number = 1; number <= FRAME_SIGNATURES; number++) {
		int64_t len = signature_len(p, number, NULL);

		if (len > FRAME_PATH_PAYLOAD)
			SAY(a, by(FRAME_I1 + number - 1), "I%u has %u octets, more than %d: %s",
			    number, (uint32_t)len, FRAME_PATH_PAYLOAD, because);
	}
	if (p->jc && p->jmax > FRAME_PATH_PAYLOAD)
		SAY(a, by(FRAME_JMAX), "Jmax is %u octets, more than %d: %s", p->jmax,
		    FRAME_PATH_PAYLOAD, because);
}

static void warn_of_mtu(const struct frame_parameters *p, struct audience *a)
{
	uint32_t s4 = p->pad[FRAME_MESSAGES - 1];

	if (s4 > STOCK_MTU_ROOM)
		SAY(a, by(FRAME_S4),
		    "S4 is %u: the MTU that awg-quick chooses lets full packets be cut into "
		    "fragments; set it to the MTU of the route - %d - S4 (%d - %u on Ethernet)",
		    s4, STOCK_MTU_SPARE, STOCK_ROUTE_MTU - STOCK_MTU_SPARE, s4);
}

static void warn_of_cookies(const struct frame_parameters *p, struct audience *a)
{
	if (p->disable_cookies)
		SAY(a, by(FRAME_DISABLE_COOKIES),
		    "DisableCookies: in a flood of handshakes nobody can prove his address, "
		    "and new clients are locked out");
}

static uint32_t upper_or(struct frame_range r, uint32_t otherwise)
{
	return frame_range_is_zero(r) ? otherwise : r.hi;
}

static void warn_of_timers(const struct frame_parameters *p, struct audience *a)
{
	uint32_t reject = upper_or(p->reject_after, PLAIN_REJECT_AFTER_S);
	uint32_t rekey = upper_or(p->rekey_after, PLAIN_REKEY_AFTER_S);

	if (reject > PLAIN_REJECT_AFTER_S)
		SAY(a, by(FRAME_REJECT_AFTER_TIME),
		    "RejectAfterTime goes up to %u: session keys are used for longer than the %d "
		    "seconds of WireGuard",
		    reject, PLAIN_REJECT_AFTER_S);
	if (reject < rekey)
		SAY(a, by_either(p, FRAME_REKEY_AFTER_TIME, FRAME_REJECT_AFTER_TIME),
		    "RejectAfterTime ends at %u and RekeyAfterTime at %u seconds: sessions may end "
		    "before they are renewed",
		    reject, rekey);
	if (!frame_range_is_zero(p->rekey_timeout) && p->rekey_timeout.lo == 0)
		SAY(a, by(FRAME_REKEY_TIMEOUT),
		    "RekeyTimeout begins at 0: handshakes may be retried without a pause");
}

void frame_parameters_warn(const struct frame_parameters *p,
			   void (*say)(void *context, struct frame_fault about,
				       const char *sentence),
			   void *context)
{
	struct audience a = { .say = say, .context = context };

	warn_of_equal_sizes(p, &a);
	warn_of_plain_types(p, &a);
	warn_of_amplification(p, &a);
	warn_of_fragments(p, &a);
	warn_of_mtu(p, &a);
	warn_of_cookies(p, &a);
	warn_of_timers(p, &a);
}
