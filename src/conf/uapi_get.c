/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of a get reply: writing it, and reading it line by line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "conf/keyvalue.h"
#include "conf/uapi.h"

enum { NS_PER_S = 1000000000 };

/* --- Writing. A reply may have 100 000 peers, so no printf below. --- */

/* Looks at every octet: where the first one that is not zero stands is nobody's business. */
static bool is_zero(const uint8_t *octets, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= octets[i];
	return any == 0;
}

/* In the order of amneziawg-go. `awg` expects H1..H4 and the switches always. */
static void write_default_profile(struct text *out, const struct frame_parameters *p)
{
	for (int i = 0; i < FRAME_KEYS; i++) {
		enum frame_key key = (enum frame_key)i;
		bool always = (key >= FRAME_H1 && key <= FRAME_H4) ||
			      key == FRAME_RANDOM_TRAILERS || key == FRAME_DISABLE_COOKIES;

		if (!always && frame_key_is_default(p, key))
			continue;
		text_puts(out, frame_key_name(FRAME_UAPI, key));
		text_puts(out, "=");
		frame_parameters_put(out, FRAME_UAPI, p, key);
		text_puts(out, "\n");
	}
}

static void write_framing(struct text *out, const struct frame_set *set)
{
	write_default_profile(out, &set->profiles[0].parameters);
	for (uint32_t i = 1; i < set->n; i++) {
		const struct frame_profile *p = &set->profiles[i];

		text_puts(out, "culvert_profile=");
		uapi_profile_put(out, p->name, &p->parameters, p->until_s);
		text_puts(out, "\n");
	}
}

void uapi_write_device(struct text *out, const struct uapi_get_device *device)
{
	if (!is_zero(device->private_key.b, SECRET_KEY_LEN))
		keyvalue_write_hex(out, "private_key=", device->private_key.b, SECRET_KEY_LEN);
	if (device->listen_port)
		keyvalue_write_number(out, "listen_port=", device->listen_port);
	if (device->fwmark)
		keyvalue_write_number(out, "fwmark=", device->fwmark);
	if (device->framing)
		write_framing(out, device->framing);
	if (device->has_state) {
		keyvalue_write_hex(out, "culvert_public_key=", device->public_key, 32);
		keyvalue_write_number(out, "culvert_state=", device->state);
	}
}

/* Keys that only we know: `wg` skips them. */
static void write_ours(struct text *out, const struct uapi_get_peer *peer)
{
	if (peer->profile_heard[0] || peer->is_heard_gone)
		keyvalue_write_text(out, "culvert_profile_heard=", peer->profile_heard);
	if (peer->profile_pin[0])
		keyvalue_write_text(out, "culvert_profile_pin=", peer->profile_pin);
	if (peer->sends_no_prelude)
		text_puts(out, "culvert_prelude=false\n");
	keyvalue_write_number(out, "culvert_drops=", peer->drops);
	keyvalue_write_number(out, "culvert_handshake_failures=", peer->handshake_failures);
	if (peer->budget_bytes != UINT64_MAX)
		keyvalue_write_number(out, "culvert_budget_bytes=", peer->budget_bytes);
	if (peer->rate_bps)
		keyvalue_write_number(out, "culvert_rate_bps=", peer->rate_bps);
	if (!is_zero(peer->greatest_timestamp, sizeof(peer->greatest_timestamp)))
		keyvalue_write_hex(out, "culvert_greatest_timestamp=", peer->greatest_timestamp,
				   sizeof(peer->greatest_timestamp));
}

/* `wg` expects a number, and always; `awg` takes a range. */
static void write_keepalive(struct text *out, enum uapi_dialect dialect, struct frame_range r)
{
	if (dialect == UAPI_AMNEZIA)
		keyvalue_write_range(out, "persistent_keepalive_interval=", r);
	else
		keyvalue_write_number(out, "persistent_keepalive_interval=", r.lo);
}

void uapi_write_peer(struct text *out, enum uapi_dialect dialect,
		     const struct uapi_get_peer *peer)
{
	char address[ADDR_TEXT_MAX];

	keyvalue_write_hex(out, "public_key=", peer->public_key, sizeof(peer->public_key));
	keyvalue_write_hex(out, "preshared_key=", peer->preshared_key.b, SECRET_KEY_LEN);
	text_puts(out, "protocol_version=1\n");
	if (peer->endpoint.ip.family != ADDR_NONE)
		keyvalue_write_text(out,
				    "endpoint=", endpoint_format(&peer->endpoint, address));
	keyvalue_write_number(out,
			      "last_handshake_time_sec=", peer->last_handshake_ns / NS_PER_S);
	keyvalue_write_number(out,
			      "last_handshake_time_nsec=", peer->last_handshake_ns % NS_PER_S);
	keyvalue_write_number(out, "tx_bytes=", peer->tx_bytes);
	keyvalue_write_number(out, "rx_bytes=", peer->rx_bytes);
	write_keepalive(out, dialect, peer->keepalive);
	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		keyvalue_write_text(
			out, "allowed_ip=", ip_prefix_format(&peer->allowed_ips[i], address));
	write_ours(out, peer);
}

void uapi_write_errno(struct text *out, int uapi_errno, bool in_get)
{
	text_puts(out, uapi_errno && !in_get ? "errno=-" : "errno=");
	text_put_u64(out, (uint64_t)uapi_errno);
	text_add(out, "\n\n", 2);
}

/* --- Reading --- */

/**
 * struct get_key - What one line of a reply means
 * @read:	Stores the value in @r->device or @r->current
 */
struct get_key {
	const char *name;
	int (*read)(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d);
};

static int read_private_key(struct uapi_get_reader *r, const struct keyvalue *kv,
			    struct diag *d)
{
	return keyvalue_key(kv, r->device.private_key.b, d);
}

static int read_listen_port(struct uapi_get_reader *r, const struct keyvalue *kv,
			    struct diag *d)
{
	uint64_t port;

	if (keyvalue_number(kv, UINT16_MAX, &port, d))
		return ERR_FORMAT;
	r->device.listen_port = (uint16_t)port;
	return 0;
}

static int read_fwmark(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	uint64_t mark;

	if (keyvalue_number(kv, UINT32_MAX, &mark, d))
		return ERR_FORMAT;
	r->device.fwmark = (uint32_t)mark;
	return 0;
}

/* Hand the peer whose block has ended to the caller. */
static void finish_peer(struct uapi_get_reader *r)
{
	if (!r->in_peer)
		return;
	r->in_peer = false;
	r->current.allowed_ips = r->allowed_ips;
	r->current.n_allowed_ips = r->n_allowed_ips;
	if (r->peer)
		r->peer(r->context, &r->current);
}

static int read_public_key(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	uint8_t key[32];

	if (keyvalue_key(kv, key, d))
		return ERR_FORMAT;
	finish_peer(r);
	r->current = (struct uapi_get_peer){ .budget_bytes = UINT64_MAX };
	memcpy(r->current.public_key, key, sizeof(key));
	r->n_allowed_ips = 0;
	r->in_peer = true;
	return 0;
}

static int read_preshared_key(struct uapi_get_reader *r, const struct keyvalue *kv,
			      struct diag *d)
{
	return keyvalue_key(kv, r->current.preshared_key.b, d);
}

/* Some devices write the zone of a link-local address as a name. Which number it has cannot be
 * asked here: it stays 0. */
static uint32_t unknown_zone(const char *name)
{
	(void)name;
	return UINT32_MAX;
}

static int read_endpoint(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	struct endpoint *e = &r->current.endpoint;

	if (keyvalue_endpoint(kv, unknown_zone, e, d))
		return ERR_FORMAT;
	if (e->scope == UINT32_MAX)
		e->scope = 0;
	return 0;
}

static int read_handshake_s(struct uapi_get_reader *r, const struct keyvalue *kv,
			    struct diag *d)
{
	uint64_t s;

	if (keyvalue_number(kv, UINT64_MAX / NS_PER_S - 1, &s, d))
		return ERR_FORMAT;
	r->current.last_handshake_ns = s * NS_PER_S + r->current.last_handshake_ns % NS_PER_S;
	return 0;
}

static int read_handshake_ns(struct uapi_get_reader *r, const struct keyvalue *kv,
			     struct diag *d)
{
	uint64_t ns;

	if (keyvalue_number(kv, NS_PER_S - 1, &ns, d))
		return ERR_FORMAT;
	r->current.last_handshake_ns -= r->current.last_handshake_ns % NS_PER_S;
	r->current.last_handshake_ns += ns;
	return 0;
}

static int read_tx_bytes(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.tx_bytes, d);
}

static int read_rx_bytes(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.rx_bytes, d);
}

static int read_keepalive(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	if (frame_range_parse(kv->value, kv->value_len, UINT16_MAX, &r->current.keepalive))
		return keyvalue_refuse(kv, "not seconds, a number from 0 to 65535 or a range",
				       d);
	return 0;
}

static int read_allowed_ip(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	struct ip_prefix prefix;

	if (keyvalue_prefix(kv, &prefix, d))
		return ERR_FORMAT;
	if (r->n_allowed_ips == UAPI_ALLOWED_IPS_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d allowed IPs of one peer",
				UAPI_ALLOWED_IPS_MAX);
	if (array_room(&r->allowed_ips, r->n_allowed_ips, sizeof(prefix), &r->capacity))
		return diag_set(d, -ENOMEM, 0, "no memory for another allowed IP");
	r->allowed_ips[r->n_allowed_ips++] = prefix;
	return 0;
}

static int read_drops(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.drops, d);
}

static int read_failures(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.handshake_failures, d);
}

static int read_budget(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.budget_bytes, d);
}

static int read_rate(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_number(kv, UINT64_MAX, &r->current.rate_bps, d);
}

static int read_timestamp(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_timestamp(kv, r->current.greatest_timestamp, d);
}

/* Devices write a minus before it or not; here it is a positive number. */
static int read_errno(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	struct keyvalue number = *kv;
	uint64_t value;

	if (number.value_len && number.value[0] == '-') {
		number.value++;
		number.value_len--;
	}
	if (keyvalue_number(&number, INT32_MAX, &value, d))
		return ERR_FORMAT;
	if (value == 0)
		finish_peer(r);
	r->uapi_errno = (int)value;
	r->is_done = true;
	return 0;
}

/* The name of a profile. */
static int read_name(const struct keyvalue *kv, char out[FRAME_NAME_MAX + 1], struct diag *d)
{
	if (!frame_is_name(kv->value, kv->value_len))
		return keyvalue_refuse(kv, "not the name of a profile", d);
	memcpy(out, kv->value, kv->value_len);
	out[kv->value_len] = '\0';
	return 0;
}

static int read_heard(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	r->current.is_heard_gone = kv->value_len == 0;
	return kv->value_len ? read_name(kv, r->current.profile_heard, d) : 0;
}

static int read_pin(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return read_name(kv, r->current.profile_pin, d);
}

static int read_own_key(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_key(kv, r->device.public_key, d);
}

static int read_state(struct uapi_get_reader *r, const struct keyvalue *kv, struct diag *d)
{
	r->device.has_state = true;
	return keyvalue_number(kv, UINT64_MAX, &r->device.state, d);
}

static const struct get_key device_keys[] = {
	{ "public_key", read_public_key },
	{ "private_key", read_private_key },
	{ "listen_port", read_listen_port },
	{ "fwmark", read_fwmark },
	{ "culvert_public_key", read_own_key },
	{ "culvert_state", read_state },
	{ "errno", read_errno },
	{ NULL, NULL },
};

static const struct get_key peer_keys[] = {
	{ "public_key", read_public_key },
	{ "preshared_key", read_preshared_key },
	{ "endpoint", read_endpoint },
	{ "last_handshake_time_sec", read_handshake_s },
	{ "last_handshake_time_nsec", read_handshake_ns },
	{ "tx_bytes", read_tx_bytes },
	{ "rx_bytes", read_rx_bytes },
	{ "persistent_keepalive_interval", read_keepalive },
	{ "allowed_ip", read_allowed_ip },
	{ "culvert_profile_heard", read_heard },
	{ "culvert_profile_pin", read_pin },
	{ "culvert_drops", read_drops },
	{ "culvert_handshake_failures", read_failures },
	{ "culvert_budget_bytes", read_budget },
	{ "culvert_rate_bps", read_rate },
	{ "culvert_greatest_timestamp", read_timestamp },
	{ "errno", read_errno },
	{ NULL, NULL },
};

int uapi_get_line(struct uapi_get_reader *r, const char *line, size_t len, struct diag *d)
{
	const struct get_key *key = r->in_peer ? peer_keys : device_keys;
	struct keyvalue kv;

	if (r->is_done)
		return diag_set(d, ERR_FORMAT, 0, "a line after errno=");
	if (len > UAPI_LINE_MAX)
		return diag_set(d, ERR_LIMIT, 0, "a line of more than %d characters",
				UAPI_LINE_MAX);
	if (keyvalue_split(line, len, &kv, d))
		return ERR_FORMAT;
	while (key->name && !keyvalue_is(&kv, key->name))
		key++;
	return key->name ? key->read(r, &kv, d) : 0;
}

void uapi_get_reader_done(struct uapi_get_reader *r)
{
	free(r->allowed_ips);
	secret_wipe(r, sizeof(*r));
}
