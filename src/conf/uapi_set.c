/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of a set request: reading it line by line, and writing one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "conf/keyvalue.h"
#include "conf/uapi.h"

/**
 * struct set_key - What one key of a set request does
 * @read:	NULL: the key exists in replies only
 */
struct set_key {
	const char *name;
	int (*read)(struct uapi_set *set, const struct keyvalue *kv, struct diag *d);
};

static int add_peer(struct uapi_set *set, const uint8_t public_key[32], struct diag *d)
{
	struct uapi_set_peer *peer;

	if (set->n_peers == UAPI_PEERS_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d peers in one request",
				UAPI_PEERS_MAX);
	if (array_room(&set->peers, set->n_peers, sizeof(*peer), &set->peers_capacity))
		return diag_set(d, ERR_LIMIT, 0, "no memory for another peer");
	peer = &set->peers[set->n_peers++];
	*peer = (struct uapi_set_peer){
		.first_allowed_ip = (uint32_t)set->n_allowed_ips,
		.budget_bytes = UINT64_MAX,
	};
	memcpy(peer->public_key, public_key, sizeof(peer->public_key));
	return 0;
}

static int add_allowed_ip(struct uapi_set *set, const struct uapi_allowed_ip *ip,
			  struct diag *d)
{
	if (set->n_allowed_ips == UAPI_ALLOWED_IPS_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d allowed IPs in one request",
				UAPI_ALLOWED_IPS_MAX);
	if (array_room(&set->allowed_ips, set->n_allowed_ips, sizeof(*ip),
		       &set->allowed_ips_capacity))
		return diag_set(d, ERR_LIMIT, 0, "no memory for another allowed IP");
	set->allowed_ips[set->n_allowed_ips++] = *ip;
	set->peers[set->n_peers - 1].n_allowed_ips++;
	return 0;
}

/* --- Device keys --- */

static int read_private_key(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (keyvalue_key(kv, set->private_key.b, d))
		return ERR_FORMAT;
	set->has_private_key = true;
	return 0;
}

static int read_listen_port(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	uint64_t port;

	if (keyvalue_number(kv, UINT16_MAX, &port, d))
		return ERR_FORMAT;
	set->listen_port = (uint16_t)port;
	set->has_listen_port = true;
	return 0;
}

static int read_fwmark(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	uint64_t mark;

	if (keyvalue_number(kv, UINT32_MAX, &mark, d))
		return ERR_FORMAT;
	set->fwmark = (uint32_t)mark;
	set->has_fwmark = true;
	return 0;
}

static int read_replace_peers(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_true(kv, &set->replace_peers, d);
}

static int read_replace_profiles(struct uapi_set *set, const struct keyvalue *kv,
				 struct diag *d)
{
	return keyvalue_true(kv, &set->replace_profiles, d);
}

/* Keys of version 1.5 that have no meaning any more. */
static int read_nothing(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	(void)set;
	(void)kv;
	(void)d;
	return 0;
}

static bool has_profile(const struct uapi_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_profiles; i++)
		if (strcmp(set->profiles[i].name, name) == 0)
			return true;
	return false;
}

/* A text of which too much is sent is a wrong value; there was no want of room here. */
static int wrong_value(int err)
{
	return err == ERR_LIMIT ? ERR_RANGE : err;
}

static int read_profile(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	struct uapi_profile p = { .until_s = 0 };
	int err = 0;

	if (set->n_profiles == UAPI_PROFILES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d profiles in one request",
				UAPI_PROFILES_MAX);
	if (!set->profiles) /* all at once: what grows leaves keys behind */
		set->profiles = calloc(UAPI_PROFILES_MAX, sizeof(*set->profiles));
	if (!set->profiles)
		return diag_set(d, -ENOMEM, 0, "no memory for another profile");
	err = wrong_value(uapi_profile_parse(kv->value, kv->value_len, &p, d));
	if (err == 0 && has_profile(set, p.name)) {
		err = diag_set(d, ERR_FORMAT, 0,
			       "culvert_profile: %s stands twice in a request", p.name);
		frame_parameters_done(&p.parameters);
	}
	if (err == 0)
		set->profiles[set->n_profiles++] = p;
	secret_key_done(&p.parameters.protection_key);
	return err;
}

/* AmneziaWG's: a row of the table in frame/parameters.c. */
static int read_framing(struct uapi_set *set, enum frame_key key, const struct keyvalue *kv,
			struct diag *d)
{
	int err = frame_parameters_set(&set->framing, FRAME_UAPI, key, kv->value, kv->value_len,
				       d);

	if (err == 0)
		set->framing_given |= UINT32_C(1) << key;
	return wrong_value(err);
}

/* --- Peer keys. They work on the last peer; there is one. --- */

static struct uapi_set_peer *last(const struct uapi_set *set)
{
	return &set->peers[set->n_peers - 1];
}

static int read_public_key(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	uint8_t key[32];
	int err = keyvalue_key(kv, key, d);

	return err ? err : add_peer(set, key, d);
}

static int read_preshared_key(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (keyvalue_key(kv, last(set)->preshared_key.b, d))
		return ERR_FORMAT;
	last(set)->has_preshared_key = true;
	return 0;
}

static int read_endpoint(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (keyvalue_endpoint(kv, set->zone_index, &last(set)->endpoint, d))
		return ERR_FORMAT;
	last(set)->has_endpoint = true;
	return 0;
}

static int read_keepalive(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (frame_range_parse(kv->value, kv->value_len, UINT16_MAX, &last(set)->keepalive))
		return keyvalue_refuse(kv, "not seconds, a number from 0 to 65535 or a range",
				       d);
	last(set)->has_keepalive = true;
	return 0;
}

static int read_allowed_ip(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	struct uapi_allowed_ip ip = { 0 };
	struct keyvalue rest = *kv;

	if (kv->value_len && kv->value[0] == '-') {
		ip.remove = true;
		rest.value++;
		rest.value_len--;
	}
	if (keyvalue_prefix(&rest, &ip.prefix, d))
		return ERR_FORMAT;
	return add_allowed_ip(set, &ip, d);
}

static int read_remove(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_true(kv, &last(set)->remove, d);
}

static int read_update_only(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_true(kv, &last(set)->update_only, d);
}

static int read_replace_ips(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_true(kv, &last(set)->replace_allowed_ips, d);
}

static int read_version(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	(void)set;
	if (kv->value_len != 1 || kv->value[0] != '1')
		return keyvalue_refuse(kv, "the only version is 1", d);
	return 0;
}

static int read_budget(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (keyvalue_number(kv, UINT64_MAX, &last(set)->budget_bytes, d))
		return ERR_FORMAT;
	last(set)->has_budget = true;
	return 0;
}

static int read_rate(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	if (keyvalue_number(kv, UINT64_MAX, &last(set)->rate_bps, d))
		return ERR_FORMAT;
	last(set)->has_rate = true;
	return 0;
}

static int read_timestamp(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	struct uapi_set_peer *peer = last(set);

	if (keyvalue_timestamp(kv, peer->greatest_timestamp, d))
		return ERR_FORMAT;
	peer->has_greatest_timestamp = true;
	return 0;
}

/* The name of a profile, or nothing. */
static int read_name(const struct keyvalue *kv, char out[FRAME_NAME_MAX + 1], bool *ret_has,
		     struct diag *d)
{
	if (kv->value_len && !frame_is_name(kv->value, kv->value_len))
		return keyvalue_refuse(kv, "not the name of a profile", d);
	memcpy(out, kv->value, kv->value_len);
	out[kv->value_len] = '\0';
	*ret_has = true;
	return 0;
}

static int read_pin(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return read_name(kv, last(set)->profile_pin, &last(set)->has_profile_pin, d);
}

static int read_heard(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	return read_name(kv, last(set)->profile_heard, &last(set)->has_profile_heard, d);
}

static int read_prelude(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	bool is_false = kv->value_len == 5 && memcmp(kv->value, "false", 5) == 0;
	bool is_true = kv->value_len == 4 && memcmp(kv->value, "true", 4) == 0;

	if (!is_false && !is_true)
		return keyvalue_refuse(kv, "true or false", d);
	last(set)->sends_prelude = is_true;
	last(set)->has_sends_prelude = true;
	return 0;
}

static const struct set_key device_keys[] = {
	{ "private_key", read_private_key },
	{ "listen_port", read_listen_port },
	{ "fwmark", read_fwmark },
	{ "replace_peers", read_replace_peers },
	{ "culvert_profile", read_profile },
	{ "culvert_replace_profiles", read_replace_profiles },
	{ "j1", read_nothing },
	{ "j2", read_nothing },
	{ "j3", read_nothing },
	{ "itime", read_nothing },
	{ NULL, NULL },
};

/* In the order of how often they come. */
static const struct set_key peer_keys[] = {
	{ "public_key", read_public_key },
	{ "allowed_ip", read_allowed_ip },
	{ "replace_allowed_ips", read_replace_ips },
	{ "preshared_key", read_preshared_key },
	{ "endpoint", read_endpoint },
	{ "persistent_keepalive_interval", read_keepalive },
	{ "remove", read_remove },
	{ "update_only", read_update_only },
	{ "protocol_version", read_version },
	{ "culvert_profile_pin", read_pin },
	{ "culvert_profile_heard", read_heard },
	{ "culvert_prelude", read_prelude },
	{ "culvert_budget_bytes", read_budget },
	{ "culvert_rate_bps", read_rate },
	{ "culvert_greatest_timestamp", read_timestamp },
	{ "culvert_drops", NULL },
	{ "culvert_handshake_failures", NULL },
	{ "last_handshake_time_sec", NULL },
	{ "last_handshake_time_nsec", NULL },
	{ "tx_bytes", NULL },
	{ "rx_bytes", NULL },
	{ NULL, NULL },
};

static const struct set_key *find(const struct set_key *keys, const struct keyvalue *kv)
{
	while (keys->name && !keyvalue_is(kv, keys->name))
		keys++;
	return keys->name ? keys : NULL;
}

static int out_of_place(const struct keyvalue *kv, struct diag *d)
{
	return keyvalue_refuse(kv, "belongs to the device: before the first public_key", d);
}

/* The key's row, if the key may stand at this place of the request. */
static int look_up(const struct uapi_set *set, const struct keyvalue *kv,
		   const struct set_key **ret, struct diag *d)
{
	const struct set_key *peer_key = find(peer_keys, kv);
	const struct set_key *key = peer_key ? peer_key : find(device_keys, kv);

	if (!key)
		return keyvalue_refuse(kv, "not a key of a set request", d);
	if (!key->read)
		return keyvalue_refuse(kv, "can be read, not set", d);
	if (peer_key && set->n_peers == 0 && key->read != read_public_key)
		return keyvalue_refuse(kv, "belongs to a peer: public_key must come first", d);
	if (!peer_key && set->n_peers > 0)
		return out_of_place(kv, d);
	*ret = key;
	return 0;
}

static int read_line(struct uapi_set *set, const struct keyvalue *kv, struct diag *d)
{
	enum frame_key framing = FRAME_KEYS;
	const struct set_key *key = NULL;
	int err = 0;

	if (!set->n_peers) /* the lines of 100 000 peers need not be looked up here */
		framing = frame_key_find(FRAME_UAPI, kv->key, kv->key_len);
	if (framing != FRAME_KEYS)
		return read_framing(set, framing, kv, d);
	err = look_up(set, kv, &key, d);
	return key ? key->read(set, kv, d) : err;
}

int uapi_set_line(struct uapi_set *set, const char *line, size_t len, struct diag *d)
{
	struct keyvalue kv;
	int err;

	if (len > UAPI_LINE_MAX) {
		diag_set(d, 0, 0, "a line of more than %d characters", UAPI_LINE_MAX);
		return UAPI_EPROTO;
	}
	if (keyvalue_split(line, len, &kv, d))
		return UAPI_EPROTO;
	err = read_line(set, &kv, d);
	if (!err)
		return 0;
	return err == ERR_LIMIT || err == -ENOMEM ? UAPI_EOTHER : UAPI_EINVAL;
}

void uapi_set_done(struct uapi_set *set)
{
	if (set->peers) {
		secret_wipe(set->peers, set->n_peers * sizeof(*set->peers));
		free(set->peers);
	}
	free(set->allowed_ips);
	for (size_t i = 0; i < set->n_profiles; i++)
		frame_parameters_done(&set->profiles[i].parameters);
	free(set->profiles);
	frame_parameters_done(&set->framing);
	secret_wipe(set, sizeof(*set));
}

/* --- Writing --- */

static void write_profile(struct text *out, const struct uapi_profile *p)
{
	text_puts(out, "culvert_profile=");
	if (p->remove) {
		text_puts(out, p->name);
		text_puts(out, " remove");
	} else {
		uapi_profile_put(out, p->name, &p->parameters, p->until_s);
	}
	text_puts(out, "\n");
}

static void write_framing(struct text *out, const struct uapi_set *set)
{
	for (int key = 0; key < FRAME_KEYS; key++) {
		if (!(set->framing_given >> key & 1))
			continue;
		text_puts(out, frame_key_name(FRAME_UAPI, (enum frame_key)key));
		text_puts(out, "=");
		frame_parameters_put(out, FRAME_UAPI, &set->framing, (enum frame_key)key);
		text_puts(out, "\n");
	}
	if (set->replace_profiles)
		text_puts(out, "culvert_replace_profiles=true\n");
	for (size_t i = 0; i < set->n_profiles; i++)
		write_profile(out, &set->profiles[i]);
}

static void write_device(struct text *out, const struct uapi_set *set)
{
	if (set->has_private_key)
		keyvalue_write_hex(out, "private_key=", set->private_key.b, SECRET_KEY_LEN);
	if (set->has_listen_port)
		keyvalue_write_number(out, "listen_port=", set->listen_port);
	if (set->has_fwmark)
		keyvalue_write_number(out, "fwmark=", set->fwmark);
	write_framing(out, set);
	if (set->replace_peers)
		text_puts(out, "replace_peers=true\n");
}

static void write_allowed_ip(struct text *out, const struct uapi_allowed_ip *ip)
{
	char text[ADDR_TEXT_MAX];

	keyvalue_write_text(out, ip->remove ? "allowed_ip=-" : "allowed_ip=",
			    ip_prefix_format(&ip->prefix, text));
}

/* replace_allowed_ips stands before allowed_ip: some devices apply line by line. */
static void write_peer(struct text *out, const struct uapi_set *set,
		       const struct uapi_set_peer *p)
{
	char text[ADDR_TEXT_MAX];

	keyvalue_write_hex(out, "public_key=", p->public_key, sizeof(p->public_key));
	if (p->remove)
		text_puts(out, "remove=true\n");
	if (p->update_only)
		text_puts(out, "update_only=true\n");
	if (p->has_preshared_key)
		keyvalue_write_hex(out, "preshared_key=", p->preshared_key.b, SECRET_KEY_LEN);
	if (p->has_endpoint)
		keyvalue_write_text(out, "endpoint=", endpoint_format(&p->endpoint, text));
	if (p->has_keepalive)
		keyvalue_write_range(out, "persistent_keepalive_interval=", p->keepalive);
	if (p->replace_allowed_ips)
		text_puts(out, "replace_allowed_ips=true\n");
	for (uint32_t i = 0; i < p->n_allowed_ips; i++)
		write_allowed_ip(out, &set->allowed_ips[p->first_allowed_ip + i]);
	if (p->has_profile_pin)
		keyvalue_write_text(out, "culvert_profile_pin=", p->profile_pin);
	if (p->has_profile_heard)
		keyvalue_write_text(out, "culvert_profile_heard=", p->profile_heard);
	if (p->has_sends_prelude)
		keyvalue_write_text(out,
				    "culvert_prelude=", p->sends_prelude ? "true" : "false");
	if (p->has_budget)
		keyvalue_write_number(out, "culvert_budget_bytes=", p->budget_bytes);
	if (p->has_rate)
		keyvalue_write_number(out, "culvert_rate_bps=", p->rate_bps);
	if (p->has_greatest_timestamp)
		keyvalue_write_hex(out, "culvert_greatest_timestamp=", p->greatest_timestamp,
				   sizeof(p->greatest_timestamp));
}

void uapi_write_set(struct text *out, const struct uapi_set *set)
{
	text_puts(out, "set=1\n");
	write_device(out, set);
	for (size_t i = 0; i < set->n_peers; i++)
		write_peer(out, set, &set->peers[i]);
	text_add(out, "\n", 1);
}
