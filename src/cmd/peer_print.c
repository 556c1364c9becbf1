/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/peer_print.h"

#include <stdio.h>
#include <string.h>

#include "cmd/table.h"

enum { COLUMNS = 7 };

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

static void put_octets(struct text *out, const json_t *value)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double n = (double)json_integer_value(value);
	int unit = 0;

	for (; n >= 1024 && unit < 4; unit++)
		n /= 1024;
	text_printf(out, "%.*f %s", unit ? 1 : 0, n, units[unit]);
}

static void join_traffic(const json_t *peer, struct text *out)
{
	put_octets(out, json_object_get(peer, "rx_bytes"));
	text_puts(out, " / ");
	put_octets(out, json_object_get(peer, "tx_bytes"));
}

/* "enabled", "disabled", or "blocked: expired, quota". */
static void put_state(const json_t *peer, struct text *out)
{
	const json_t *blocked = json_object_get(peer, "blocked");
	bool is_enabled = json_is_true(json_object_get(peer, "enabled"));

	if (!is_enabled)
		text_puts(out, "disabled");
	else if (json_array_size(blocked) == 0)
		text_puts(out, "enabled");
	else
		text_puts(out, "blocked: ");
	for (size_t i = 0; is_enabled && i < json_array_size(blocked); i++) {
		const char *why = json_string_value(json_array_get(blocked, i));

		text_printf(out, "%s%s", i ? ", " : "", why ? why : "?");
	}
}

/* "1.2 GiB of 10.0 GiB a month" */
static void put_quota(const json_t *peer, struct text *out)
{
	const json_t *quota = json_object_get(peer, "quota");
	const char *period = text_of(quota, "period", "none");

	if (!json_is_object(quota)) {
		text_puts(out, "-");
		return;
	}
	put_octets(out, json_object_get(peer, "used_bytes"));
	text_puts(out, " of ");
	put_octets(out, json_object_get(quota, "bytes"));
	if (strcmp(period, "none") != 0)
		text_printf(out, " a %s", period);
}

static void fill(const json_t *peer, struct text cells[COLUMNS])
{
	text_puts(&cells[0], text_of(peer, "name", text_of(peer, "public_key", "?")));
	join_addresses(peer, &cells[1]);
	text_puts(&cells[2], text_of(peer, "obfuscation_level", "?"));
	put_state(peer, &cells[3]);
	text_puts(&cells[4], text_of(peer, "last_handshake", "never"));
	join_traffic(peer, &cells[5]);
}

static void fill_row(void *context, size_t row, struct text cells[])
{
	fill(json_array_get(context, row), cells);
}

static void fill_row_with_quota(void *context, size_t row, struct text cells[])
{
	fill_row(context, row, cells);
	put_quota(json_array_get(context, row), &cells[COLUMNS - 1]);
}

static bool has_quota(const json_t *peers)
{
	for (size_t i = 0; i < json_array_size(peers); i++)
		if (json_is_object(json_object_get(json_array_get(peers, i), "quota")))
			return true;
	return false;
}

/* The last column only where there is something in it. */
void peer_print_list(json_t *peers)
{
	static const char *const heads[COLUMNS] = { "NAME",	      "ADDRESSES",
						    "LEVEL",	      "STATE",
						    "LAST HANDSHAKE", "RECEIVED / SENT",
						    "USED OF QUOTA" };

	size_t n = json_array_size(peers);

	if (has_quota(peers))
		table_print(heads, COLUMNS, n, fill_row_with_quota, peers);
	else
		table_print(heads, COLUMNS - 1, n, fill_row, peers);
}

/* What a peer need not have is shown only where it does. */
static void print_limits(const json_t *peer)
{
	static const char *const texts[] = { "expires", "schedule", "note" };
	static const char *const numbers[] = { "account", "access" };
	json_int_t rate = json_integer_value(json_object_get(peer, "rate_bps"));
	const json_t *routes = json_object_get(peer, "routes");

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (json_is_string(json_object_get(peer, texts[i])))
			printf("%s:%*s%s\n", texts[i], (int)(16 - strlen(texts[i])), "",
			       text_of(peer, texts[i], ""));
	if (rate > 0)
		printf("rate:            %.3g Mbit/s each way\n", (double)rate / 1e6);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (json_is_integer(json_object_get(peer, numbers[i])))
			printf("%s:%*s%" JSON_INTEGER_FORMAT "\n", numbers[i],
			       (int)(16 - strlen(numbers[i])), "",
			       json_integer_value(json_object_get(peer, numbers[i])));
	for (size_t i = 0; i < json_array_size(routes); i++)
		printf("%s%s\n", i ? "                 " : "routes:          ",
		       json_string_value(json_array_get(routes, i)));
}

void peer_print_one(const json_t *peer)
{
	struct text cells[COLUMNS] = { { .data = NULL } };

	fill(peer, cells);
	put_quota(peer, &cells[COLUMNS - 1]);
	printf("name:            %s\n", text_of(peer, "name", "-"));
	printf("public key:      %s\n", text_of(peer, "public_key", "?"));
	printf("preshared key:   %s\n",
	       json_is_true(json_object_get(peer, "has_preshared_key")) ? "yes" : "no");
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
	if (json_is_object(json_object_get(peer, "quota")))
		printf("used of quota:   %s\n", cells[6].data);
	print_limits(peer);
	for (int c = 0; c < COLUMNS; c++)
		text_done(&cells[c]);
}
