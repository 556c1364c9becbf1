/* SPDX-License-Identifier: Apache-2.0 */
/* A wg-quick file: taken, it is written back octet for octet, and what is stripped of it is a
 * file again, and so is what has other parameters; refused, line and reason are there and nothing
 * is kept. */
#include <stdbool.h>
#include <string.h>

#include "conf/wgconf_framing.h"
#include "conf/wgconf_names.h"
#include "fuzz.h"

static unsigned int count_lines(const uint8_t *data, size_t size)
{
	unsigned int n = size && data[size - 1] != '\n';

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

static void check_refusal(const struct wgconf *c, const struct diag *d, int err,
			  unsigned int lines)
{
	static const struct wgconf empty;

	HOLDS(err == ERR_FORMAT);
	HOLDS(d->text[0] && d->line >= 1 && d->line <= lines);
	HOLDS(memcmp(c, &empty, sizeof(empty)) == 0);
}

/* Stripping twice adds nothing but the newline that each run adds at the end. */
static void check_strip(const struct wgconf *c)
{
	struct text once = { 0 }, twice = { 0 };
	struct wgconf stripped = { 0 };
	struct diag d;

	wgconf_strip(&once, c);
	HOLDS(once.err == 0 && wgconf_parse(once.data, once.len, &stripped, &d) == 0);
	HOLDS(stripped.n_peers == c->n_peers && stripped.n_allowed_ips == c->n_allowed_ips);
	HOLDS(stripped.n_addresses == 0 && stripped.n_dns == 0 && stripped.interface.mtu == 0);
	HOLDS(stripped.n_profiles == 0);
	HOLDS(stripped.interface.framing_given == c->interface.framing_given);
	wgconf_strip(&twice, &stripped);
	HOLDS(twice.len == once.len + 1 && memcmp(once.data, twice.data, once.len) == 0);
	text_done(&once);
	text_done(&twice);
	wgconf_done(&stripped);
}

static bool is_framing(const struct wgconf_line *line)
{
	return line->key == WGCONF_AMNEZIA || line->key == WGCONF_AWG_1_5;
}

/* The next line with a key that is not about framing, from *@at on. */
static const struct wgconf_line *next_line(const struct wgconf *c, size_t *at)
{
	while (*at < c->n_lines) {
		const struct wgconf_line *line = &c->lines[(*at)++];

		if (line->key != WGCONF_NO_KEY && !is_framing(line))
			return line;
	}
	return NULL;
}

static void check_same_keys(const struct wgconf *a, const struct wgconf *b)
{
	size_t at_a = 0, at_b = 0;
	const struct wgconf_line *one, *other;

	do {
		one = next_line(a, &at_a);
		other = next_line(b, &at_b);
		HOLDS(!one == !other);
		if (one)
			HOLDS(one->key == other->key && one->value.len == other->value.len &&
			      memcmp(one->value.at, other->value.at, one->value.len) == 0);
	} while (one);
}

/* With its own parameters, and with none, it is a file that has them and all else. */
static void check_reframe(const struct wgconf *c)
{
	struct frame_parameters plain;
	const struct frame_parameters *const sets[] = { &c->interface.framing, &plain };

	frame_parameters_init(&plain);
	HOLDS(frame_parameters_check(&c->interface.framing, NULL) == FRAME_RULE_NONE);
	for (size_t i = 0; i < 2; i++) {
		struct wgconf again = { 0 };
		struct text out = { 0 };
		struct diag d;

		wgconf_reframe(&out, c, sets[i], 0);
		HOLDS(out.err == 0 &&
		      wgconf_parse(out.data ? out.data : "", out.len, &again, &d) == 0);
		HOLDS(frame_parameters_match(&again.interface.framing, sets[i]));
		HOLDS(i == 0 || frame_parameters_are_plain(&again.interface.framing));
		check_same_keys(c, &again);
		text_done(&out);
		wgconf_done(&again);
	}
}

/* A name is a piece of one comment line, and reads the same again. */
static void check_names(const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_peers; i++) {
		struct wgconf_span name = c->peers[i].name, again;
		struct text line = { 0 };

		if (!name.len)
			continue;
		HOLDS(name.at > c->text && name.at + name.len <= c->text + c->text_len);
		HOLDS(!memchr(name.at, '\n', name.len));
		text_puts(&line, "# friendly_name = ");
		text_add(&line, name.at, name.len);
		HOLDS(wgconf_name_read((struct wgconf_span){ line.data, line.len }, &again) ==
		      WGCONF_NAME_FRIENDLY);
		HOLDS(again.len == name.len && memcmp(again.at, name.at, name.len) == 0);
		text_done(&line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wgconf c = { 0 };
	struct text out = { 0 };
	struct diag d = { 0 };
	int err = wgconf_parse((const char *)data, size, &c, &d);

	if (err) {
		check_refusal(&c, &d, err, count_lines(data, size));
		return 0;
	}
	HOLDS(c.n_lines == count_lines(data, size));
	wgconf_write(&out, &c);
	HOLDS(out.len == size && (!size || memcmp(out.data, data, size) == 0));
	check_strip(&c);
	check_reframe(&c);
	check_names(&c);
	text_done(&out);
	wgconf_done(&c);
	return 0;
}
