/* SPDX-License-Identifier: Apache-2.0 */
/* culvert gateway peer link: a link behind which somebody finds the client's file, once. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/output.h"
#include "cmd/peer.h"
#include "cmd/peer_key.h"

enum { USES_MAX = 100 };

static const uint64_t TTL_MAX_S = UINT64_C(30) * 86400;

bool peer_read_ttl(const char *text, uint64_t *ret_s)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	size_t len = strlen(text);
	uint64_t times = 1, number;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && len > 0; i++) {
		if (text[len - 1] == units[i].unit) {
			times = units[i].seconds;
			len--;
			break;
		}
	}
	if (decimal_parse(text, len, TTL_MAX_S, &number) != 0)
		return false;
	*ret_s = number * times;
	return *ret_s >= 60 && *ret_s <= TTL_MAX_S;
}

static int add_key(const char *path, json_t *body)
{
	char public_key[KEY_BASE64_LEN + 1], text[KEY_BASE64_LEN + 1];
	struct secret_key key;
	int code = peer_key_read(path, &key, public_key);

	if (code != EXIT_DONE)
		return code;
	key_to_base64(key.b, text);
	secret_key_done(&key);
	json_object_set_new(body, "private_key", json_string(text));
	secret_wipe(text, sizeof(text));
	return EXIT_DONE;
}

static int make_body(const struct peer_request *r, json_t *body)
{
	const char *ttl = options_get(r->options, "ttl"),
		   *uses = options_get(r->options, "uses");
	const char *path = options_get(r->options, "private-key");
	uint64_t number;

	if (ttl && !peer_read_ttl(ttl, &number))
		return peer_complain(
			EXIT_USAGE,
			"--ttl is a time such as 30m, 24h or 7d: a minute to 30 days");
	if (ttl)
		json_object_set_new(body, "ttl", json_integer((json_int_t)number));
	if (uses && (decimal_parse(uses, strlen(uses), USES_MAX, &number) != 0 || number == 0))
		return peer_complain(EXIT_USAGE, "--uses is a number from 1 to 100");
	if (uses)
		json_object_set_new(body, "uses", json_integer((json_int_t)number));
	if (options_get(r->options, "generate"))
		json_object_set_new(body, "generate", json_true());
	return path ? add_key(path, body) : EXIT_DONE;
}

static int print(const struct peer_request *r, const json_t *reply)
{
	const char *url = json_string_value(json_object_get(reply, "url"));
	const char *expires = json_string_value(json_object_get(reply, "expires"));
	json_int_t uses = json_integer_value(json_object_get(reply, "uses"));

	output_warn_if_readable("culvert gateway peer");
	if (r->json)
		return peer_print_json(reply);
	if (!url || !expires)
		return peer_complain(EXIT_FAILED, "the gateway's answer is not understood");
	puts(url);
	if (uses == 1)
		fputs("Good once", stderr);
	else
		fprintf(stderr, "Good %" JSON_INTEGER_FORMAT " times", uses);
	fprintf(stderr, ", until %s. Whoever has it has the configuration.\n", expires);
	if (!options_get(r->options, "private-key"))
		fprintf(stderr,
			"%s has a new key now: files made for it before connect no more.\n",
			r->name);
	return EXIT_DONE;
}

int peer_link(const struct peer_request *r)
{
	struct text path = { .data = NULL };
	json_t *body = json_object(), *reply = NULL;
	int code = body ? make_body(r, body) : EXIT_FAILED;

	peer_path(r->name, &path);
	text_puts(&path, "/link");
	if (code == EXIT_DONE)
		code = path.err == 0 ? peer_ask(r, "POST", path.data, body, &reply)
				     : EXIT_FAILED;
	if (code == EXIT_DONE)
		code = print(r, reply);
	json_decref(reply);
	json_decref(body);
	text_done(&path);
	return code;
}
