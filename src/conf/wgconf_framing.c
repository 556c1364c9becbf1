/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf_framing.h"

#include <string.h>

#include "base/codec.h"

void wgconf_put_framing(struct text *out, const struct frame_parameters *p, const char *eol)
{
	for (int i = 0; i < FRAME_KEYS; i++) {
		enum frame_key key = (enum frame_key)i;

		if (frame_key_is_default(p, key))
			continue;
		text_puts(out, frame_key_name(FRAME_CONF, key));
		text_puts(out, " = ");
		frame_parameters_put(out, FRAME_CONF, p, key);
		text_puts(out, eol);
	}
}

/* The last one counts. */
static unsigned int find_line(const struct wgconf *c, enum frame_key key)
{
	for (size_t i = key == FRAME_KEYS ? 0 : c->n_lines; i > 0; i--)
		if (c->lines[i - 1].key == WGCONF_AMNEZIA && c->lines[i - 1].parameter == key)
			return (unsigned int)i;
	return 0;
}

unsigned int wgconf_fault_line(const struct wgconf *c, struct frame_fault fault)
{
	unsigned int line = find_line(c, fault.key);

	return line ? line : find_line(c, fault.other);
}

static bool is_v4(struct wgconf_span host)
{
	char text[ADDR_TEXT_MAX] = "";
	struct ip_addr a;

	if (host.len < sizeof(text))
		memcpy(text, host.at, host.len);
	return ip_addr_parse(text, &a) == 0 && a.family == ADDR_V4;
}

uint32_t wgconf_advise_mtu(const struct wgconf *c, uint32_t path_mtu,
			   const struct frame_parameters *p)
{
	bool any = false, all_v4 = true;

	for (size_t i = 0; i < c->n_peers; i++) {
		if (!c->peers[i].endpoint_host.len)
			continue;
		any = true;
		all_v4 = all_v4 && is_v4(c->peers[i].endpoint_host);
	}
	return frame_mtu(path_mtu, p->pad[FRAME_MESSAGES - 1], any && all_v4);
}

/* --- Replacing --- */

/**
 * struct reframing - A file on its way out
 * @place:	Line in front of which the new ones go; SIZE_MAX: there is no [Interface]
 * @needs_mtu:	No line says one
 */
struct reframing {
	struct text *out;
	const struct wgconf *c;
	const struct frame_parameters *p;
	const char *eol;
	uint32_t mtu;
	size_t place;
	bool needs_mtu;
};

static bool is_old(const struct wgconf_line *line)
{
	return line->key == WGCONF_AMNEZIA || line->key == WGCONF_AWG_1_5;
}

/* Where do the new lines go? */
static size_t find_place(const struct wgconf *c)
{
	size_t place = SIZE_MAX;
	bool is_open = false; /* the first [Interface] */

	for (size_t i = 0; i < c->n_lines; i++) {
		if (is_old(&c->lines[i]))
			return i;
		is_open = c->lines[i].section == WGCONF_INTERFACE &&
			  (is_open || place == SIZE_MAX);
		if (is_open && (place == SIZE_MAX || c->lines[i].key != WGCONF_NO_KEY))
			place = i + 1;
	}
	return place;
}

/* How the file ends its lines. */
static const char *find_eol(const struct wgconf *c)
{
	const char *end = memchr(c->text, '\n', c->text_len);

	return end && end > c->text && end[-1] == '\r' ? "\r\n" : "\n";
}

/* New text begins a line of its own even where the last one has no end. */
static void end_line(struct reframing *r)
{
	if (r->out->len && r->out->data[r->out->len - 1] != '\n')
		text_puts(r->out, r->eol);
}

static void put_new(struct reframing *r)
{
	if (frame_parameters_are_plain(r->p) && !r->needs_mtu)
		return;
	end_line(r);
	if (r->place == SIZE_MAX) {
		text_puts(r->out, "[Interface]");
		text_puts(r->out, r->eol);
	}
	if (r->needs_mtu) {
		text_puts(r->out, "MTU = ");
		text_put_u64(r->out, r->mtu);
		text_puts(r->out, r->eol);
	}
	wgconf_put_framing(r->out, r->p, r->eol);
}

/* The line as it was, only its number lower if it was too great. */
static void put_mtu(struct reframing *r, const struct wgconf_line *line)
{
	const char *end = line->whole.at + line->whole.len;
	const char *behind = line->value.at + line->value.len;
	uint64_t mtu = 0;

	if (!r->mtu || decimal_parse(line->value.at, line->value.len, r->mtu, &mtu) == 0) {
		text_add(r->out, line->whole.at, line->whole.len);
		return;
	}
	text_add(r->out, line->whole.at, (size_t)(line->value.at - line->whole.at));
	text_put_u64(r->out, r->mtu);
	text_add(r->out, behind, (size_t)(end - behind));
}

void wgconf_reframe(struct text *out, const struct wgconf *c, const struct frame_parameters *p,
		    uint32_t mtu)
{
	struct reframing r = { .out = out,
			       .c = c,
			       .p = p,
			       .eol = find_eol(c),
			       .mtu = mtu,
			       .place = find_place(c),
			       .needs_mtu = mtu && !c->interface.mtu };

	for (size_t i = 0; i < c->n_lines; i++) {
		const struct wgconf_line *line = &c->lines[i];

		if (i == r.place)
			put_new(&r);
		if (line->key == WGCONF_MTU)
			put_mtu(&r, line);
		else if (!is_old(line))
			text_add(out, line->whole.at, line->whole.len);
	}
	if (r.place >= c->n_lines)
		put_new(&r);
}
