/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/codec.h"
#include "conf/keyvalue.h"

/* struct taking - A snapshot on its way; @err is the first failure */
struct taking {
	struct iface_snapshot *s;
	struct diag *d;
	bool in_peers;
	int err;
};

/* --- Lines of the device --- */

static int read_number(const struct keyvalue *kv, uint64_t max, uint32_t *ret, struct diag *d)
{
	uint64_t value;

	if (keyvalue_number(kv, max, &value, d))
		return ERR_FORMAT;
	*ret = (uint32_t)value;
	return 0;
}

static int read_profile(struct iface_snapshot *s, const struct keyvalue *kv, struct diag *d)
{
	struct uapi_profile profile;
	int err;

	if (array_room(&s->profiles, s->n_profiles, sizeof(profile), &s->profiles_capacity))
		return -ENOMEM;
	err = uapi_profile_parse(kv->value, kv->value_len, &profile, d);
	if (err == 0)
		s->profiles[s->n_profiles++] = profile;
	return err;
}

static int read_device_line(struct iface_snapshot *s, const struct keyvalue *kv, struct diag *d)
{
	enum frame_key key = frame_key_find(FRAME_UAPI, kv->key, kv->key_len);
	uint32_t port = s->listen_port;
	int err = 0;

	if (key != FRAME_KEYS)
		return frame_parameters_set(&s->framing, FRAME_UAPI, key, kv->value,
					    kv->value_len, d);
	if (keyvalue_is(kv, "private_key"))
		err = keyvalue_key(kv, s->private_key.b, d);
	else if (keyvalue_is(kv, "fwmark"))
		err = read_number(kv, UINT32_MAX, &s->fwmark, d);
	else if (keyvalue_is(kv, "listen_port"))
		err = read_number(kv, UINT16_MAX, &port, d);
	else if (keyvalue_is(kv, "culvert_profile"))
		err = read_profile(s, kv, d);
	s->listen_port = (uint16_t)port;
	return err;
}

static void take_line(void *context, const char *line, size_t len)
{
	struct taking *t = context;
	struct keyvalue kv;

	if (t->err || t->in_peers || keyvalue_split(line, len, &kv, t->d))
		return;
	t->in_peers = keyvalue_is(&kv, "public_key");
	if (!t->in_peers)
		t->err = read_device_line(t->s, &kv, t->d);
}

/* --- Peers --- */

static int copy_allowed_ips(struct iface_snapshot *s, const struct uapi_get_peer *peer)
{
	for (size_t i = 0; i < peer->n_allowed_ips; i++) {
		if (array_room(&s->allowed_ips, s->n_allowed_ips, sizeof(*s->allowed_ips),
			       &s->allowed_ips_capacity))
			return -ENOMEM;
		s->allowed_ips[s->n_allowed_ips++] = peer->allowed_ips[i];
	}
	return 0;
}

static void take_peer(void *context, const struct uapi_get_peer *peer)
{
	struct taking *t = context;
	struct iface_snapshot *s = t->s;

	if (!t->err)
		t->err = array_room(&s->peers, s->n_peers, sizeof(*peer), &s->peers_capacity);
	if (!t->err)
		t->err = copy_allowed_ips(s, peer);
	if (t->err)
		return;
	s->peers[s->n_peers] = *peer;
	s->peers[s->n_peers++].allowed_ips = NULL;
}

/* The array of prefixes does not move any more. */
static void point_at_allowed_ips(struct iface_snapshot *s)
{
	size_t at = 0;

	for (size_t i = 0; i < s->n_peers; i++) {
		s->peers[i].allowed_ips = s->allowed_ips ? s->allowed_ips + at : NULL;
		at += s->peers[i].n_allowed_ips;
	}
}

static int compare(const void *a, const void *b)
{
	const struct uapi_get_peer *one = a, *other = b;

	return memcmp(one->public_key, other->public_key, sizeof(one->public_key));
}

int iface_snapshot_take(struct iface *i, struct iface_snapshot *ret, struct diag *d)
{
	struct iface_snapshot s = { .listen_port = 0 };
	struct taking t = { .s = &s, .d = d };
	int err;

	frame_parameters_init(&s.framing);
	err = iface_userspace_read(i, take_line, take_peer, &t, d);
	if (err == 0 && t.err == -ENOMEM)
		diag_set(d, -ENOMEM, 0, "out of memory");
	err = err ? err : t.err;
	if (err) {
		iface_snapshot_done(&s);
		return err;
	}
	point_at_allowed_ips(&s);
	if (s.n_peers)
		qsort(s.peers, s.n_peers, sizeof(*s.peers), compare);
	*ret = s;
	secret_wipe(&s, sizeof(s));
	return 0;
}

void iface_snapshot_done(struct iface_snapshot *s)
{
	if (s->peers)
		secret_wipe(s->peers, s->n_peers * sizeof(*s->peers));
	for (size_t i = 0; i < s->n_profiles; i++)
		frame_parameters_done(&s->profiles[i].parameters);
	frame_parameters_done(&s->framing);
	free(s->profiles);
	free(s->peers);
	free(s->allowed_ips);
	secret_wipe(s, sizeof(*s));
}

const struct uapi_get_peer *iface_snapshot_find(const struct iface_snapshot *s,
						const uint8_t public_key[32])
{
	struct uapi_get_peer wanted = { .n_allowed_ips = 0 };

	memcpy(wanted.public_key, public_key, sizeof(wanted.public_key));
	return s->n_peers ? bsearch(&wanted, s->peers, s->n_peers, sizeof(wanted), compare)
			  : NULL;
}
