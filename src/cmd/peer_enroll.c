/* SPDX-License-Identifier: Apache-2.0 */
/* culvert gateway peer enroll: a token with which somebody becomes a user, once. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/output.h"
#include "cmd/peer.h"

static int print(const struct peer_request *r, const json_t *reply)
{
	const char *token = json_string_value(json_object_get(reply, "token"));
	const char *expires = json_string_value(json_object_get(reply, "expires"));

	output_warn_if_readable("culvert gateway peer");
	if (r->json)
		return peer_print_json(reply);
	if (!token || !expires)
		return peer_complain(EXIT_FAILED, "the gateway's answer is not understood");
	puts(token);
	fprintf(stderr,
		"Good once, until %s, for the user %s. On the other machine, with the address of the\n"
		"users' API: culvert enroll URL TOKEN\n",
		expires, r->name);
	return EXIT_DONE;
}

int peer_enroll(const struct peer_request *r)
{
	const char *ttl = options_get(r->options, "ttl");
	json_t *body, *reply = NULL;
	uint64_t seconds = 0;
	int code;

	if (ttl && !peer_read_ttl(ttl, &seconds))
		return peer_complain(
			EXIT_USAGE,
			"--ttl is a time such as 30m, 24h or 7d: a minute to 7 days");
	body = json_pack("{s:s}", "client_id", r->name);
	if (body && ttl)
		json_object_set_new(body, "ttl", json_integer((json_int_t)seconds));
	code = body ? peer_ask(r, "POST", "/api/v1/enrolments", body, &reply) : EXIT_FAILED;
	if (code == EXIT_DONE)
		code = print(r, reply);
	json_decref(reply);
	json_decref(body);
	return code;
}
