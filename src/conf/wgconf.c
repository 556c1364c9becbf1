/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: the text is copied once, and every line is kept as a piece of that
 * copy. A line is cut into name and value; the row of the name in the table of
 * wgconf_values.c then fills the typed view. What is not the value of a known key is
 * never touched.
 */
#include "conf/wgconf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "conf/wgconf_framing.h"
#include "conf/wgconf_values.h"

static int refuse(const struct wgconf_reading *r, const char *why)
{
	return diag_set(r->d, ERR_FORMAT, r->number, "%s", why);
}

static int add_peer(struct wgconf_reading *r)
{
	struct wgconf *c = r->c;

	if (array_room(&c->peers, c->n_peers, sizeof(*c->peers), &c->peers_capacity))
		return diag_set(r->d, -ENOMEM, r->number, "out of memory");
	c->peers[c->n_peers++] = (struct wgconf_peer){
		.line = r->number,
		.first_allowed_ip = c->n_allowed_ips,
	};
	return 0;
}

/* A section has ended: is it whole? */
static int finish_section(const struct wgconf_reading *r)
{
	const struct wgconf *c = r->c;

	if (r->section == WGCONF_PEER && !c->peers[c->n_peers - 1].has_public_key)
		return diag_set(r->d, ERR_FORMAT, c->peers[c->n_peers - 1].line,
				"this [Peer] has no PublicKey");
	return 0;
}

/* A name that is as good as the one the peer has, or better. */
static void name_peer(struct wgconf_reading *r, enum wgconf_name_rank rank,
		      struct wgconf_span name)
{
	if (rank <= r->name_rank && rank != WGCONF_NAME_FRIENDLY)
		return;
	/* It has one inside: that above its head was of the one before. */
	if (rank == WGCONF_NAME_FRIENDLY && r->lent.len)
		r->c->peers[r->c->n_peers - 2].name = r->lent;
	r->lent.len = 0;
	r->c->peers[r->c->n_peers - 1].name = name;
	r->name_rank = rank;
}

/* Names stand above [Peer], or inside it; behind its first key they are the next one's, if there is one
 * right behind them. */
static void read_comment(struct wgconf_reading *r)
{
	struct wgconf_span text = wgconf_trim(r->line.whole), name = { .len = 0 };
	enum wgconf_name_rank rank =
		text.len ? wgconf_name_read(text, &name) : WGCONF_NAME_NONE;

	if (rank != WGCONF_NAME_NONE && r->section == WGCONF_PEER && !r->has_keys) {
		name_peer(r, rank, name);
	} else if (rank != WGCONF_NAME_NONE && rank >= r->next_rank) {
		r->next_name = name;
		r->next_rank = rank;
	} else if (!text.len && r->next_rank == WGCONF_NAME_BARE) {
		r->next_rank = WGCONF_NAME_NONE;
	}
}

/* A friendly name amid its keys, or at the end, is the peer's own. */
static void keep_friendly_name(struct wgconf_reading *r)
{
	if (r->section == WGCONF_PEER && r->has_keys && r->next_rank == WGCONF_NAME_FRIENDLY)
		name_peer(r, r->next_rank, r->next_name);
	r->next_rank = WGCONF_NAME_NONE;
}

/* The section that begins takes the name above it, if it is a peer's. */
static void take_next_name(struct wgconf_reading *r)
{
	bool is_lent = r->section == WGCONF_PEER && r->c->n_peers > 1 &&
		       r->next_rank == WGCONF_NAME_FRIENDLY;

	r->name_rank = WGCONF_NAME_NONE;
	r->has_keys = false;
	r->lent.len = 0;
	if (r->section == WGCONF_PEER && r->next_rank != WGCONF_NAME_NONE)
		name_peer(r, r->next_rank, r->next_name);
	if (is_lent)
		r->lent = r->next_name;
	r->next_rank = WGCONF_NAME_NONE;
}

static int read_head(struct wgconf_reading *r, struct wgconf_span body)
{
	int err = finish_section(r);

	if (err)
		return err;
	if (!wgconf_span_is(body, "[Peer]"))
		keep_friendly_name(r);
	if (wgconf_span_is(body, "[Interface]"))
		r->section = WGCONF_INTERFACE;
	else if (wgconf_span_is(body, "[Peer]"))
		r->section = WGCONF_PEER;
	else
		return refuse(r, "unknown section: [Interface] or [Peer] was expected");
	r->line.section = r->section;
	err = r->section == WGCONF_PEER ? add_peer(r) : 0;
	if (!err)
		take_next_name(r);
	return err;
}

static int read_setting(struct wgconf_reading *r, struct wgconf_span body)
{
	struct wgconf_span name = wgconf_before(body, '=');
	const struct wgconf_key_row *row;

	if (r->section == WGCONF_NONE)
		return refuse(r,
			      "before the first section: [Interface] or [Peer] was expected");
	if (name.len == body.len)
		return refuse(r, "a line without '=': 'Key = value' was expected");
	keep_friendly_name(r);
	r->lent.len = 0;
	r->has_keys = true;
	r->line.name = wgconf_trim(name);
	r->line.value = wgconf_trim(wgconf_after(body, name.len + 1));
	if (!r->line.name.len)
		return refuse(r, "no key before '='");
	row = wgconf_key_find(&r->line);
	if (row && row->section != r->section)
		return diag_set(r->d, ERR_FORMAT, r->number, "%s belongs to [%s]",
				wgconf_line_key(&r->line),
				row->section == WGCONF_PEER ? "Peer" : "Interface");
	return row && row->read ? row->read(r) : 0;
}

static int keep_line(struct wgconf_reading *r)
{
	struct wgconf *c = r->c;

	if (c->n_lines == WGCONF_LINES_MAX)
		return diag_set(r->d, ERR_LIMIT, r->number, "more than %d lines",
				WGCONF_LINES_MAX);
	if (array_room(&c->lines, c->n_lines, sizeof(r->line), &c->lines_capacity))
		return diag_set(r->d, -ENOMEM, r->number, "out of memory");
	c->lines[c->n_lines++] = r->line;
	return 0;
}

static int read_line(struct wgconf_reading *r, struct wgconf_span whole)
{
	struct wgconf_span body = wgconf_trim(wgconf_before(whole, '#'));
	int err = 0;

	r->number++;
	r->line = (struct wgconf_line){ .whole = whole,
					.section = r->section,
					.parameter = FRAME_KEYS };
	if (memchr(whole.at, '\0', whole.len))
		return refuse(r, "a NUL character: this is not a text file");
	if (!body.len)
		read_comment(r);
	else if (body.at[0] == '[')
		err = read_head(r, body);
	else
		err = read_setting(r, body);
	return err ? err : keep_line(r);
}

/* Line of the @n-th CulvertProfile. */
static unsigned int profile_line(const struct wgconf *c, size_t n)
{
	size_t i = 0;

	for (; i < c->n_lines; i++)
		if (c->lines[i].key == WGCONF_PROFILE && n-- == 0)
			break;
	return (unsigned int)i + 1;
}

/* As an interface judges them: every two must be told apart by what arrives first. */
static int refuse_clashes(const struct wgconf_reading *r)
{
	const struct wgconf *c = r->c;

	for (size_t i = 0; i < c->n_profiles; i++) {
		const struct frame_parameters *p = &c->profiles[i].parameters;
		bool clashes = frame_parameters_clash(p, &c->interface.framing);

		for (size_t j = 0; j < i && !clashes; j++)
			clashes = frame_parameters_clash(p, &c->profiles[j].parameters);
		if (clashes)
			return diag_set(r->d, ERR_FORMAT, profile_line(c, i),
					"profile-clash: initiations of %s look like those of "
					"another profile, but not what follows: S1, H1 or "
					"HeaderProtectionKey must differ",
					c->profiles[i].name);
	}
	return 0;
}

/* The file has ended: do AmneziaWG's parameters go together? */
static int finish_framing(const struct wgconf_reading *r)
{
	struct frame_fault fault;
	struct diag why = { 0 };

	if (frame_parameters_find_fault(&r->c->interface.framing, &fault, &why) ==
	    FRAME_RULE_NONE)
		return refuse_clashes(r);
	return diag_set(r->d, ERR_FORMAT, wgconf_fault_line(r->c, fault), "%s", why.text);
}

static int read_lines(struct wgconf_reading *r)
{
	struct wgconf_span rest = { .at = r->c->text, .len = r->c->text_len };

	if (rest.len >= 3 && memcmp(rest.at, "\xef\xbb\xbf", 3) == 0)
		return diag_set(
			r->d, ERR_FORMAT, 1,
			"the file begins with a byte order mark, which wg does not take: "
			"save it as UTF-8 without one");
	while (rest.len) {
		struct wgconf_span whole = wgconf_before(rest, '\n');
		int err;

		whole.len += whole.len < rest.len; /* its newline */
		err = read_line(r, whole);
		if (err)
			return err;
		rest = wgconf_after(rest, whole.len);
	}
	keep_friendly_name(r);
	return finish_section(r) ? ERR_FORMAT : finish_framing(r);
}

int wgconf_parse(const char *text, size_t len, struct wgconf *ret, struct diag *d)
{
	struct wgconf c = { .text_len = len };
	struct wgconf_reading r = { .c = &c, .d = d };
	int err;

	if (len > WGCONF_SIZE_MAX)
		return diag_set(d, ERR_LIMIT, 0, "the file has more than %d octets",
				WGCONF_SIZE_MAX);
	c.text = malloc(len + 1);
	if (!c.text)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	if (len)
		memcpy(c.text, text, len);
	c.text[len] = '\0';
	frame_parameters_init(&c.interface.framing);
	err = read_lines(&r);
	if (err) {
		wgconf_done(&c);
		return err;
	}
	*ret = c;
	secret_wipe(&c.interface, sizeof(c.interface));
	return 0;
}

void wgconf_done(struct wgconf *c)
{
	if (c->text)
		secret_wipe(c->text, c->text_len);
	if (c->peers)
		secret_wipe(c->peers, c->n_peers * sizeof(*c->peers));
	for (size_t i = 0; i < c->n_profiles; i++)
		frame_parameters_done(&c->profiles[i].parameters);
	frame_parameters_done(&c->interface.framing);
	free(c->text);
	free(c->peers);
	free(c->profiles);
	free(c->lines);
	free(c->addresses);
	free(c->dns);
	free(c->allowed_ips);
	secret_wipe(c, sizeof(*c));
}

void wgconf_write(struct text *out, const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_lines; i++)
		text_add(out, c->lines[i].whole.at, c->lines[i].whole.len);
}

/* Keys that wg-quick takes for itself, and ours. */
static bool is_stripped(enum wgconf_key key)
{
	switch (key) {
	case WGCONF_PROFILE:
	case WGCONF_ADDRESS:
	case WGCONF_DNS:
	case WGCONF_MTU:
	case WGCONF_TABLE:
	case WGCONF_PRE_UP:
	case WGCONF_POST_UP:
	case WGCONF_PRE_DOWN:
	case WGCONF_POST_DOWN:
	case WGCONF_SAVE_CONFIG:
		return true;
	case WGCONF_NO_KEY:
	case WGCONF_UNKNOWN:
	case WGCONF_PRIVATE_KEY:
	case WGCONF_LISTEN_PORT:
	case WGCONF_FWMARK:
	case WGCONF_PUBLIC_KEY:
	case WGCONF_PRESHARED_KEY:
	case WGCONF_ALLOWED_IPS:
	case WGCONF_ENDPOINT:
	case WGCONF_KEEPALIVE:
	case WGCONF_AMNEZIA:
	case WGCONF_AWG_1_5:
	case WGCONF_ADVANCED:
		return false;
	}
	return false;
}

/* The shell's `read` takes blanks and tabs off both ends of a line, and nothing else. */
static struct wgconf_span strip_blanks(struct wgconf_span s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = wgconf_after(s, 1);
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

void wgconf_strip(struct text *out, const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_lines; i++) {
		struct wgconf_span whole = c->lines[i].whole;
		struct wgconf_span line = strip_blanks(wgconf_before(whole, '\n'));
		bool ends = whole.at[whole.len - 1] == '\n';

		if (is_stripped(c->lines[i].key) || (!ends && !line.len))
			continue;
		text_add(out, line.at, line.len);
		text_add(out, "\n", 1);
	}
	text_add(out, "\n",
		 1); /* wg-quick echoes the whole, which ends with a newline already */
}
