/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/peer_print.h"

#include <stdio.h>
#include <string.h>

#include <locale.h>
#include <wchar.h>

#include "base/text.h"

enum { COLUMNS = 6 };

static const char *text_of(const json_t *peer, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(peer, name));

	return text ? text : otherwise;
}

/* "10.0.1.2/32, fd42::2/128" */
static void join_addresses(const json_t *peer, struct text *out)
{
	const json_t *list = json_object_get(peer, "addresses");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		text_printf(out, "%s%s", i ? ", " : "", text ? text : "?");
	}
	if (!out->data)
		text_puts(out, "-");
}

static void join_traffic(const json_t *peer, struct text *out)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static const char *const members[] = { "rx_bytes", "tx_bytes" };

	for (int i = 0; i < 2; i++) {
		double n = (double)json_integer_value(json_object_get(peer, members[i]));
		int unit = 0;

		for (; n >= 1024 && unit < 4; unit++)
			n /= 1024;
		text_printf(out, "%s%.*f %s", i ? " / " : "", unit ? 1 : 0, n, units[unit]);
	}
}

static const char *state_of(const json_t *peer)
{
	return json_is_true(json_object_get(peer, "enabled")) ? "enabled" : "disabled";
}

struct line {
	struct text cell[COLUMNS];
};

static void fill(struct line *l, const json_t *peer)
{
	text_puts(&l->cell[0], text_of(peer, "name", text_of(peer, "public_key", "?")));
	join_addresses(peer, &l->cell[1]);
	text_puts(&l->cell[2], text_of(peer, "obfuscation_level", "?"));
	text_puts(&l->cell[3], state_of(peer));
	text_puts(&l->cell[4], text_of(peer, "last_handshake", "never"));
	join_traffic(peer, &l->cell[5]);
}

static void clear(struct line *l)
{
	for (int c = 0; c < COLUMNS; c++)
		text_done(&l->cell[c]);
}

/* Columns on a terminal that knows UTF-8; C.UTF-8 is in every C library of ours. */
static size_t width_of(const char *text)
{
	size_t width = 0;
	mbstate_t state = { 0 };

	for (size_t left = strlen(text); left > 0;) {
		wchar_t c = 0;
		size_t n = mbrtowc(&c, text, left, &state);

		if (n == 0 || n > left) /* no such locale after all */
			return width + left;
		width += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
		text += n;
		left -= n;
	}
	return width;
}

/* One cell of a line, filled up to where the next begins. */
static void print_cell(const char *text, size_t width, bool is_last)
{
	printf("%s%*s", text, is_last ? 0 : (int)(width + 2 - width_of(text)), "");
	if (is_last)
		putchar('\n');
}

/* The widths of the columns first: two passes over the list. */
void peer_print_list(const json_t *peers)
{
	static const char *const heads[COLUMNS] = {
		"NAME", "ADDRESSES", "LEVEL", "STATE", "LAST HANDSHAKE", "RECEIVED / SENT"
	};
	size_t width[COLUMNS];

	setlocale(LC_CTYPE, "C.UTF-8"); /* what the API speaks, whatever the caller's is */
	for (int c = 0; c < COLUMNS; c++)
		width[c] = strlen(heads[c]);
	for (int pass = 0; pass < 2; pass++) {
		for (int c = 0; pass == 1 && c < COLUMNS; c++)
			print_cell(heads[c], width[c], c + 1 == COLUMNS);
		for (size_t i = 0; i < json_array_size(peers); i++) {
			struct line l = { .cell = { { .data = NULL } } };

			fill(&l, json_array_get(peers, i));
			for (int c = 0; c < COLUMNS; c++) {
				size_t needed = width_of(l.cell[c].data);

				if (pass == 0 && needed > width[c])
					width[c] = needed;
				if (pass == 1)
					print_cell(l.cell[c].data, width[c], c + 1 == COLUMNS);
			}
			clear(&l);
		}
	}
}

void peer_print_one(const json_t *peer)
{
	struct line l = { .cell = { { .data = NULL } } };

	fill(&l, peer);
	printf("name:            %s\n", text_of(peer, "name", "-"));
	printf("public key:      %s\n", text_of(peer, "public_key", "?"));
	printf("addresses:       %s\n", l.cell[1].data);
	printf("level:           %s\n", l.cell[2].data);
	printf("state:           %s\n", l.cell[3].data);
	printf("created:         %s\n", text_of(peer, "created", "?"));
	printf("endpoint:        %s\n", text_of(peer, "endpoint", "-"));
	printf("last handshake:  %s\n", l.cell[4].data);
	printf("heard at:        %s\n", text_of(peer, "profile", "-"));
	printf("received / sent: %s\n", l.cell[5].data);
	clear(&l);
}
