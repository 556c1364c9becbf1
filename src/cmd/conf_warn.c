/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf_warn.h"

#include <stdio.h>
#include <string.h>

#include "conf/wgconf_framing.h"
#include "conf/wgconf_values.h"

enum {
	SENTENCE_MAX = 2 * DIAG_TEXT_MAX, /* a warning with the name of its profile in front */
	KINDS = WGCONF_PROFILE + 1,	  /* of enum wgconf_key */
};

/* --- Keys --- */

static void warn_of_unknown_key(const struct conf_listener *to, size_t number,
				const struct wgconf_line *line)
{
	const char *meant = wgconf_nearest_key(line->section, line->name);
	char text[160], name[41];
	size_t len = line->name.len < sizeof(name) - 1 ? line->name.len : sizeof(name) - 1;

	for (size_t i = 0; i < len; i++) {
		bool plain = line->name.at[i] > ' ' && line->name.at[i] <= '~';

		name[i] = plain ? line->name.at[i] : '?';
	}
	name[len] = '\0';
	snprintf(text, sizeof(text), "unknown key %s%s%s%s", name,
		 meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
	to->say(to->context, number, text);
}

static void warn_of_old_key(const struct conf_listener *to, size_t number,
			    const struct wgconf_line *line)
{
	char text[80];

	snprintf(text, sizeof(text), "%s exists in AmneziaWG 1.5 only: it is ignored",
		 wgconf_line_key(line));
	to->say(to->context, number, text);
}

/* Of these the last line counts; of the others all lines together. */
static bool is_single(enum wgconf_key key)
{
	switch (key) {
	case WGCONF_PRIVATE_KEY:
	case WGCONF_LISTEN_PORT:
	case WGCONF_FWMARK:
	case WGCONF_MTU:
	case WGCONF_TABLE:
	case WGCONF_SAVE_CONFIG:
	case WGCONF_PUBLIC_KEY:
	case WGCONF_PRESHARED_KEY:
	case WGCONF_ENDPOINT:
	case WGCONF_KEEPALIVE:
	case WGCONF_AMNEZIA:
		return true;
	case WGCONF_NO_KEY:
	case WGCONF_UNKNOWN:
	case WGCONF_ADDRESS:
	case WGCONF_DNS:
	case WGCONF_PRE_UP:
	case WGCONF_POST_UP:
	case WGCONF_PRE_DOWN:
	case WGCONF_POST_DOWN:
	case WGCONF_ALLOWED_IPS:
	case WGCONF_AWG_1_5:
	case WGCONF_ADVANCED:
	case WGCONF_PROFILE:
		return false;
	}
	return false;
}

/* struct seen - The line that said each key last, from 1: of all [Interface] together, and of
 * one [Peer] */
struct seen {
	size_t keys[KINDS];
	size_t parameters[FRAME_KEYS];
	unsigned int peer;
};

static void begin_peer(struct seen *s)
{
	s->keys[WGCONF_PUBLIC_KEY] = 0;
	s->keys[WGCONF_PRESHARED_KEY] = 0;
	s->keys[WGCONF_ENDPOINT] = 0;
	s->keys[WGCONF_KEEPALIVE] = 0;
}

static void warn_of_repeated_key(const struct conf_listener *to, struct seen *s, size_t number,
				 const struct wgconf_line *line)
{
	size_t *last = line->key == WGCONF_AMNEZIA ? &s->parameters[line->parameter]
						   : &s->keys[line->key];
	char text[120];

	if (*last) {
		snprintf(text, sizeof(text),
			 "%s is given again: this line counts, and line %zu does not",
			 wgconf_line_key(line), *last);
		to->say(to->context, number, text);
	}
	*last = number;
}

void conf_warn_of_keys(const struct wgconf *c, const struct conf_listener *to)
{
	struct seen seen = { .peer = 0 };

	for (size_t i = 0; i < c->n_lines; i++) {
		const struct wgconf_line *line = &c->lines[i];

		if (seen.peer < c->n_peers && c->peers[seen.peer].line == i + 1) {
			begin_peer(&seen);
			seen.peer++;
		}
		if (line->key == WGCONF_UNKNOWN)
			warn_of_unknown_key(to, i + 1, line);
		else if (line->key == WGCONF_AWG_1_5)
			warn_of_old_key(to, i + 1, line);
		else if (is_single(line->key))
			warn_of_repeated_key(to, &seen, i + 1, line);
	}
	if (!c->interface.has_private_key)
		to->say(to->context, 0, "no PrivateKey in [Interface]");
}

/* --- Parameters --- */

/**
 * struct framing - Whose parameters are judged
 * @profile:	The line of CulvertProfile; 0: the default one, where each key has its line
 * @about:	In front of each sentence
 */
struct framing {
	const struct wgconf *c;
	const struct conf_listener *to;
	const char *about;
	size_t profile;
	bool knows_mtu;
};

static void warn_of_parameter(void *context, struct frame_fault fault, const char *sentence)
{
	static const char of_mtu[] = "S4 is ";
	const struct framing *f = context;
	char text[SENTENCE_MAX];

	if (f->knows_mtu && strncmp(sentence, of_mtu, sizeof(of_mtu) - 1) == 0)
		return;
	snprintf(text, sizeof(text), "%s%s", f->about, sentence);
	f->to->say(f->to->context, f->profile ? f->profile : wgconf_fault_line(f->c, fault),
		   text);
}

void conf_warn_of_framing(const struct wgconf *c, bool knows_mtu,
			  const struct conf_listener *to)
{
	struct framing f = { .c = c, .to = to, .about = "", .knows_mtu = knows_mtu };
	char about[FRAME_NAME_MAX + 16];
	size_t n = 0;

	frame_parameters_warn(&c->interface.framing, warn_of_parameter, &f);
	f.about = about;
	for (size_t i = 0; i < c->n_lines && n < c->n_profiles; i++) {
		if (c->lines[i].key != WGCONF_PROFILE)
			continue;
		snprintf(about, sizeof(about), "profile %s: ", c->profiles[n].name);
		f.profile = i + 1;
		frame_parameters_warn(&c->profiles[n++].parameters, warn_of_parameter, &f);
	}
}
