/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: from parameters that were judged valid to what every packet needs. */
#include <string.h>

#include "frame/frame.h"

enum {
	MTU_MIN = 1280,		/* RFC 8200, section 5 */
	OUTER_V4 = 20 + 8 + 32, /* IPv4, UDP, transport message */
	OUTER_V6 = 40 + 8 + 32,
};

const struct frame_timers frame_timers_plain = {
	.rekey_after = { 120, 120 },
	.rekey_timeout = { 5, 5 },
	.reject_after = { 180, 180 },
	.keepalive_timeout = { 10, 10 },
	.max_attempts = { 18, 18 },
};

bool frame_is_name(const char *text, size_t len)
{
	if (len == 0 || len > FRAME_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

static struct frame_range or_default(struct frame_range r, struct frame_range otherwise)
{
	return frame_range_is_zero(r) ? otherwise : r;
}

static struct frame_timers timers_of(const struct frame_parameters *p)
{
	const struct frame_timers *d = &frame_timers_plain;

	return (struct frame_timers){
		.rekey_after = or_default(p->rekey_after, d->rekey_after),
		.rekey_timeout = or_default(p->rekey_timeout, d->rekey_timeout),
		.reject_after = or_default(p->reject_after, d->reject_after),
		.keepalive_timeout = or_default(p->keepalive_timeout, d->keepalive_timeout),
		.max_attempts = or_default(p->max_attempts, d->max_attempts),
	};
}

static bool looks_plain(const struct frame_profile *p)
{
	bool plain = !p->is_protected && !p->parameters.random_trailers &&
		     frame_range_is_zero(p->parameters.content_padding);

	for (uint32_t type = MESSAGE_INITIATION; type <= MESSAGE_DATA && plain; type++)
		plain = p->pad[type] == 0 && p->header[type].lo == type &&
			p->header[type].hi == type;
	return plain;
}

static int compile_prelude(struct frame_profile *p)
{
	const struct frame_parameters *from = &p->parameters;
	int err = 0;

	for (int i = 0; i < FRAME_SIGNATURES && err == 0; i++) {
		if (!from->signature[i])
			continue;
		err = frame_signature_parse(from->signature[i], strlen(from->signature[i]),
					    &p->signature[i], NULL);
		p->prelude_max += p->signature[i].len;
		p->prelude_packets += p->signature[i].len != 0;
	}
	if (from->jmax) {
		p->prelude_max += from->jc * from->jmax;
		p->prelude_packets += from->jc;
	}
	return err;
}

static int compile(const struct frame_profile_source *from, struct frame_profile *p)
{
	int err = frame_parameters_copy(&p->parameters, from->parameters);

	if (err < 0)
		return err;
	memcpy(p->name, from->name, strlen(from->name) + 1);
	p->until_s = from->until_s;
	p->timers = timers_of(&p->parameters);
	p->is_protected = !secret_is_zero(&p->parameters.protection_key, SECRET_KEY_LEN);
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++) {
		p->pad[MESSAGE_INITIATION + i] = p->parameters.pad[i];
		p->header[MESSAGE_INITIATION + i] = p->parameters.header[i];
	}
	p->is_plain = looks_plain(p);
	return compile_prelude(p);
}

/* --- Numbers --- */

static bool is_taken(const struct frame_set *set, uint32_t number)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->profiles[i].number == number)
			return true;
	return false;
}

/* Give @p the number of a profile of @before that it continues, if it has none yet. */
static void continue_from(struct frame_profile *p, const struct frame_set *before,
			  const struct frame_set *now, bool by_wire, bool by_name)
{
	for (uint32_t i = 0; before && i < before->n && p->number == FRAME_NUMBER_NONE; i++) {
		const struct frame_profile *old = &before->profiles[i];

		if ((by_wire && !frame_parameters_match(&old->parameters, &p->parameters)) ||
		    (by_name && strcmp(old->name, p->name) != 0) || is_taken(now, old->number))
			continue;
		p->number = old->number;
	}
}

/* Peers remember a number. Whoever was heard under a profile that lives on under another
 * name, as in a rotation, must still be found; so the wire counts before the name. */
static void give_numbers(const struct frame_set *before, struct frame_set *set)
{
	static const struct {
		bool by_wire, by_name;
	} passes[] = { { true, true }, { true, false }, { false, true } };

	set->numbers = before ? before->numbers : 0;
	for (size_t pass = 0; pass < sizeof(passes) / sizeof(passes[0]); pass++)
		for (uint32_t i = 0; i < set->n; i++)
			continue_from(&set->profiles[i], before, set, passes[pass].by_wire,
				      passes[pass].by_name);
	for (uint32_t i = 0; i < set->n; i++)
		if (set->profiles[i].number == FRAME_NUMBER_NONE)
			set->profiles[i].number = ++set->numbers;
}

/* --- Sets --- */

void frame_set_init(struct frame_set *set)
{
	struct frame_profile *p = &set->profiles[0];

	memset(set, 0, sizeof(*set));
	set->n = 1;
	set->numbers = 1;
	p->number = 1;
	frame_parameters_init(&p->parameters);
	for (uint32_t i = 0; i < FRAME_MESSAGES; i++)
		p->header[MESSAGE_INITIATION + i] = p->parameters.header[i];
	p->timers = frame_timers_plain;
	p->is_plain = true;
}

void frame_set_done(struct frame_set *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		struct frame_profile *p = &set->profiles[i];

		for (int s = 0; s < FRAME_SIGNATURES; s++)
			frame_signature_done(&p->signature[s]);
		frame_parameters_done(&p->parameters);
	}
	secret_wipe(set, sizeof(*set));
}

int frame_set_make(const struct frame_set *before, const struct frame_profile_source *sources,
		   uint32_t n, struct frame_set *ret)
{
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < n && err == 0; i++) {
		ret->n++;
		err = compile(&sources[i], &ret->profiles[i]);
	}
	if (err < 0)
		frame_set_done(ret);
	else
		give_numbers(before, ret);
	return err;
}

const struct frame_profile *frame_set_find(const struct frame_set *set, uint32_t number)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->profiles[i].number == number)
			return &set->profiles[i];
	return &set->profiles[0];
}

const struct frame_profile *frame_set_named(const struct frame_set *set, const char *name)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->profiles[i].name, name) == 0)
			return &set->profiles[i];
	return NULL;
}

uint32_t frame_mtu(uint32_t path_mtu, uint32_t s4, bool v4_only)
{
	uint32_t taken = (v4_only ? OUTER_V4 : OUTER_V6) + s4;

	return path_mtu > taken + MTU_MIN ? path_mtu - taken : MTU_MIN;
}
