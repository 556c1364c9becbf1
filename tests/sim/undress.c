/* SPDX-License-Identifier: Apache-2.0 */
#include "undress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/frame/naive.h"
#include "conf/uapi.h"
#include "engine/peer.h"
#include "keys.h"
#include "net.h"

enum {
	LABEL_INDEX = 4,    /* a cookie reply or data: where the receiver's index stands */
	PLAIN_REJECT = 180, /* whitepaper, section 6.1 */
	NONCE_LEN = 12,
	TAG_LEN = 16,
};

/* --- How nodes frame --- */

void sim_frame_forget(struct sim_node *n)
{
	for (uint32_t i = 0; i < n->n_profiles; i++)
		frame_parameters_done(&n->profiles[i].parameters);
	free(n->profiles);
	n->profiles = NULL;
	n->n_profiles = 0;
}

void sim_frame_known(struct sim_node *n, const struct frame_profile_source *sources,
		     uint32_t count)
{
	sim_frame_forget(n);
	n->profiles = calloc(count, sizeof(*n->profiles));
	n->n_profiles = count;
	for (uint32_t i = 0; i < count; i++) {
		struct sim_profile *p = &n->profiles[i];

		memcpy(p->name, sources[i].name, strlen(sources[i].name) + 1);
		p->until_s = sources[i].until_s;
		if (frame_parameters_copy(&p->parameters, sources[i].parameters) != 0)
			abort();
	}
}

void sim_frame(struct sim_node *n, const struct frame_profile_source *sources, uint32_t count)
{
	struct engine_framing *framing = NULL;

	if (engine_framing_new(n->engine, sources, count, &framing) != 0)
		abort();
	engine_framing_publish(n->worker, framing);
	sim_frame_known(n, sources, count);
}

struct frame_parameters sim_parameters(const char *text)
{
	struct text line = { 0 };
	struct uapi_profile p;
	struct diag d = { .text = "" };

	text_puts(&line, "x ");
	text_puts(&line, text);
	if (uapi_profile_parse(line.data, line.len, &p, &d) != 0) {
		printf("# %s: %s\n", text, d.text);
		abort();
	}
	text_done(&line);
	return p.parameters;
}

void sim_frame_text(struct sim_node *n, const char *text)
{
	struct frame_parameters p = sim_parameters(text);
	struct frame_profile_source source = { "", &p, 0 };

	sim_frame(n, &source, 1);
	frame_parameters_done(&p);
}

void sim_inject_dressed(struct sim_node *to, const struct endpoint *source, uint32_t profile,
			uint32_t type, const void *message, uint32_t len, uint32_t trailer)
{
	const struct frame_parameters *p = &to->profiles[profile].parameters;
	uint32_t all = p->pad[type - 1] + len + trailer;
	uint8_t *out = malloc(all);

	for (uint32_t i = 0; i < all; i++)
		out[i] = (uint8_t)sim_random(to->sim);
	naive_frame(p, type, message, len, out);
	sim_inject(to, source, out, all);
	free(out);
}

/* --- Plain WireGuard --- */

static uint32_t plain_type(const uint8_t *data, uint32_t len)
{
	return len < 4 ? 0 : naive_word(data);
}

static void take_plain(struct sim_datagram *d)
{
	d->type = plain_type(d->data, d->len);
	d->plain = d->data;
	d->plain_len = d->len;
	d->is_keepalive = d->type == MESSAGE_DATA && d->len == MESSAGE_DATA_MIN;
}

/* --- Any other framing --- */

static bool is_for_somebody(const struct sim *s, const struct sim_datagram *d,
			    const uint8_t *message, uint32_t len)
{
	if (d->to && naive_has_mac1(message, len, d->to->public_key))
		return true;
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (naive_has_mac1(message, len, s->nodes[i]->public_key))
			return true;
	return false;
}

static bool is_confirmed(const struct sim *s, const struct sim_datagram *d, uint32_t type,
			 const uint8_t *message, uint32_t len)
{
	if (type == MESSAGE_INITIATION || type == MESSAGE_RESPONSE)
		return is_for_somebody(s, d, message, len);
	return sim_keys_is_announced(s->keys, naive_word(message + LABEL_INDEX));
}

/* Octets of the message when a datagram of @len octets may hold one of kind @type; 0: it may not. */
static uint32_t message_len(const struct frame_parameters *p, uint32_t type, uint32_t len)
{
	static const uint32_t fixed[] = { 0, 148, 92, 64 };
	uint32_t pad = p->pad[type - 1];

	if (type == MESSAGE_DATA)
		return len >= pad + 32 ? len - pad : 0;
	if (p->random_trailers ? len < pad + fixed[type] : len != pad + fixed[type])
		return 0;
	return fixed[type];
}

static bool try_profile(const struct sim *s, struct sim_datagram *d,
			const struct frame_parameters *p, uint8_t *room)
{
	/* What is confirmed best comes first. */
	static const uint32_t kinds[] = { MESSAGE_INITIATION, MESSAGE_RESPONSE, MESSAGE_DATA,
					  MESSAGE_COOKIE };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t type = kinds[i], len = message_len(p, type, d->len);

		if (!len || !naive_undress(p, type, d->data, d->len, room) ||
		    !is_confirmed(s, d, type, room, len))
			continue;
		d->type = type;
		d->plain = room;
		d->plain_len = len;
		return true;
	}
	return false;
}

static void note_keepalive(struct sim_datagram *d)
{
	uint8_t *text = malloc(d->plain_len);
	uint32_t len = 0;

	if (sim_open(d, text, &len))
		d->is_keepalive = len == 0 || text[0] == 0;
	else
		d->is_keepalive = d->plain_len == MESSAGE_DATA_MIN;
	free(text);
}

void sim_undress(const struct sim_node *as, struct sim_datagram *d)
{
	uint8_t *room = NULL;

	d->type = 0;
	d->plain = NULL;
	d->plain_len = 0;
	d->profile = 0;
	d->is_keepalive = false;
	if (!as->n_profiles) {
		take_plain(d);
	} else {
		room = malloc(d->len);
		while (d->profile < as->n_profiles &&
		       !try_profile(as->sim, d, &as->profiles[d->profile].parameters, room))
			d->profile++;
		if (d->type == 0) {
			d->profile = 0;
			free(room);
		} else if (d->type == MESSAGE_DATA && as == d->from) {
			note_keepalive(d);
		}
	}
	if ((d->type == MESSAGE_INITIATION || d->type == MESSAGE_RESPONSE) && d->plain_len >= 8)
		sim_keys_announced(as->sim->keys, naive_word(d->plain + LABEL_INDEX));
}

void sim_dress_off(struct sim_datagram *d)
{
	if (d->plain && d->plain != d->data)
		free((uint8_t *)(uintptr_t)d->plain);
	d->plain = NULL;
}

/* --- Inside --- */

static bool open_with(const struct secret_key *key, const uint8_t *message, uint32_t len,
		      uint8_t *text)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[NONCE_LEN] = { 0 }, tag[TAG_LEN];
	int n = (int)len - MESSAGE_DATA_MIN, done = 0;
	bool is_good = false;

	memcpy(nonce + 4, message + 8, 8);
	memcpy(tag, message + len - TAG_LEN, TAG_LEN);
	naive_must(EVP_DecryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key->b, nonce));
	naive_must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag));
	if (n)
		naive_must(EVP_DecryptUpdate(c, text, &done, message + 16, n));
	is_good = EVP_DecryptFinal_ex(c, text + done, &done) == 1;
	EVP_CIPHER_CTX_free(c);
	return is_good;
}

bool sim_open(const struct sim_datagram *d, uint8_t *text, uint32_t *ret_len)
{
	struct peer *p = d->from && d->to ? sim_peer(d->from, d->to) : NULL;
	struct session *sessions[] = { p ? atomic_load(&p->current) : NULL,
				       p ? atomic_load(&p->next) : NULL,
				       p ? atomic_load(&p->previous) : NULL };

	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++)
		if (sessions[i] &&
		    sessions[i]->remote_index == naive_word(d->plain + LABEL_INDEX) &&
		    open_with(&sessions[i]->send, d->plain, d->plain_len, text)) {
			*ret_len = d->plain_len - MESSAGE_DATA_MIN;
			return true;
		}
	return false;
}

uint64_t sim_key_life_ns(const struct sim_node *n, uint32_t profile)
{
	const struct frame_range *r =
		profile < n->n_profiles ? &n->profiles[profile].parameters.reject_after : NULL;

	return (r && r->hi ? r->hi : PLAIN_REJECT) * SIM_S;
}
