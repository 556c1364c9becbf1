/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/peer_print.h"

#include <stdio.h>
#include <string.h>

#include "cmd/table.h"

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
	if (out->len == 0)
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

static void fill(const json_t *peer, struct text cells[COLUMNS])
{
	text_puts(&cells[0], text_of(peer, "name", text_of(peer, "public_key", "?")));
	join_addresses(peer, &cells[1]);
	text_puts(&cells[2], text_of(peer, "obfuscation_level", "?"));
	text_puts(&cells[3], state_of(peer));
	text_puts(&cells[4], text_of(peer, "last_handshake", "never"));
	join_traffic(peer, &cells[5]);
}

static void fill_row(void *context, size_t row, struct text cells[])
{
	fill(json_array_get(context, row), cells);
}

void peer_print_list(json_t *peers)
{
	static const char *const heads[COLUMNS] = {
		"NAME", "ADDRESSES", "LEVEL", "STATE", "LAST HANDSHAKE", "RECEIVED / SENT"
	};

	table_print(heads, COLUMNS, json_array_size(peers), fill_row, peers);
}

void peer_print_one(const json_t *peer)
{
	struct text cells[COLUMNS] = { { .data = NULL } };

	fill(peer, cells);
	printf("name:            %s\n", text_of(peer, "name", "-"));
	printf("public key:      %s\n", text_of(peer, "public_key", "?"));
	printf("addresses:       %s\n", cells[1].data);
	printf("level:           %s\n", cells[2].data);
	printf("state:           %s\n", cells[3].data);
	if (json_is_integer(json_object_get(peer, "access")))
		printf("access list:     %" JSON_INTEGER_FORMAT "\n",
		       json_integer_value(json_object_get(peer, "access")));
	printf("created:         %s\n", text_of(peer, "created", "?"));
	printf("endpoint:        %s\n", text_of(peer, "endpoint", "-"));
	printf("last handshake:  %s\n", cells[4].data);
	printf("heard at:        %s\n", text_of(peer, "profile", "-"));
	printf("received / sent: %s\n", cells[5].data);
	for (int c = 0; c < COLUMNS; c++)
		text_done(&cells[c]);
}
