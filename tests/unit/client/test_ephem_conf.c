/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "client/ephem_conf.h"
#include "client/ephem_state.h"

#define HEAD "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n"
#define PEER "[Peer]\nPublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n"

static int check(const char *text, struct diag *d)
{
	return ephem_conf_check(text, strlen(text), d);
}

static void a_clients_file_is_taken(void)
{
	struct diag d = { .text = "" };

	CHECK(check(HEAD PEER, &d) == 0);
	CHECK(check("# PostUp = x\n" HEAD "Jc = 4\nJmin = 40\nJmax = 70\nDNS = 8.8.8.8\n" PEER,
		    &d) == 0);
}

static void lines_that_run_programs_are_refused_by_name(void)
{
	static const char *const keys[] = { "PreUp", "PostUp", "PreDown", "PostDown",
					    "SaveConfig" };
	struct diag d;
	char text[512];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		d = (struct diag){ .text = "" };
		snprintf(text, sizeof(text), HEAD "%s = true\n" PEER, keys[i]);
		CHECK(check(text, &d) == ERR_RANGE);
		CHECK(strstr(d.text, keys[i]) && d.line == 3);
	}
	CHECK(check(HEAD "pOsTuP=x"
			 "\n" PEER,
		    &d) == ERR_RANGE);
}

static void what_connects_nobody_is_refused(void)
{
	static char longer[EPHEM_CONF_MAX + 2];
	struct diag d = { .text = "" };

	CHECK(check("", &d) == ERR_FORMAT);
	CHECK(check(HEAD, &d) == ERR_FORMAT);
	CHECK(check("[Interface]\n" PEER, &d) == ERR_FORMAT);
	CHECK(check("hello", &d) == ERR_FORMAT);
	CHECK(ephem_conf_check("[Interface]\0", 12, &d) == ERR_LIMIT);
	memset(longer, '\n', sizeof(longer) - 1);
	CHECK(check(longer, &d) == ERR_LIMIT);
}

/* --- Made from values --- */

static int make(const char *values, struct text *out, struct diag *d)
{
	static const struct secret_key key = { .b = { 8 } };
	json_t *json = json_loads(values, 0, NULL);
	int err = ephem_conf_make("alice", json, &key, out, d);

	json_decref(json);
	return err;
}

#define VALUES(address, dns, key, endpoint, allowed, keepalive)                    \
	"{\"address\": " address ", \"dns\": " dns ", \"server_public_key\": " key \
	", \"endpoint\": " endpoint ", \"allowed_ips\": " allowed                  \
	", \"persistent_keepalive\": " keepalive "}"
#define SERVER	      "\"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\""
#define GOOD_ENDPOINT "\"vpn.example.com:51820\""

static void a_file_is_made_of_values_and_is_one_that_is_taken(void)
{
	static const char wanted[] =
		"# WireGuard VPN Client Configuration for alice\n"
		"[Interface]\n"
		"PrivateKey = CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		"Address = 10.0.0.87/24\n"
		"DNS = 8.8.8.8, 2001:4860:4860::8888\n"
		"\n"
		"[Peer]\n"
		"PublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n"
		"Endpoint = [2001:db8::1]:51820\n"
		"AllowedIPs = 0.0.0.0/0, 10.9.0.0/16\n"
		"PersistentKeepalive = 25\n";
	struct text out = { .data = NULL };
	struct diag d = { .text = "" };

	CHECK(make(VALUES("\"10.0.0.87/24\"", "[\"8.8.8.8\", \"2001:4860:4860::8888\"]", SERVER,
			  "\"[2001:db8::1]:51820\"", "[\"0.0.0.0/0\", \"10.9.0.0/16\"]", "25"),
		   &out, &d) == 0);
	CHECK(out.data && strcmp(out.data, wanted) == 0);
	CHECK(out.data && check(out.data, &d) == 0);
	text_done(&out);
}

static void values_that_are_none_are_refused_by_name(void)
{
	static const struct {
		const char *values;
		const char *name;
	} bad[] = {
		{ "{}", "\"address\"" },
		{ "[]", "\"address\"" },
		{ VALUES("\"10.0.0.87\"", "[]", SERVER, GOOD_ENDPOINT, "[\"0.0.0.0/0\"]", "25"),
		  "\"address\"" },
		{ VALUES("\"10.0.0.87/33\"", "[]", SERVER, GOOD_ENDPOINT, "[\"0.0.0.0/0\"]",
			 "25"),
		  "\"address\"" },
		{ VALUES("\"10.0.0.87/24\"", "[\"x\\nPostUp = y\"]", SERVER, GOOD_ENDPOINT,
			 "[\"0.0.0.0/0\"]", "25"),
		  "\"dns\"" },
		{ VALUES("\"10.0.0.87/24\"", "[1]", SERVER, GOOD_ENDPOINT, "[\"0.0.0.0/0\"]",
			 "25"),
		  "\"dns\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, GOOD_ENDPOINT, "[]", "25"),
		  "\"allowed_ips\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, GOOD_ENDPOINT, "[\"x\"]", "25"),
		  "\"allowed_ips\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", "\"AAAA\"", GOOD_ENDPOINT, "[\"0.0.0.0/0\"]",
			 "25"),
		  "\"server_public_key\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, "\"host:1\\nPostUp = y\"",
			 "[\"0.0.0.0/0\"]", "25"),
		  "\"endpoint\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, "\"host\"", "[\"0.0.0.0/0\"]", "25"),
		  "\"endpoint\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, "\"host:0\"", "[\"0.0.0.0/0\"]",
			 "25"),
		  "\"endpoint\"" },
		{ VALUES("\"10.0.0.87/24\"", "[]", SERVER, GOOD_ENDPOINT, "[\"0.0.0.0/0\"]",
			 "65536"),
		  "\"persistent_keepalive\"" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct text out = { .data = NULL };
		struct diag d = { .text = "" };

		CHECK(make(bad[i].values, &out, &d) == ERR_FORMAT);
		CHECK(strstr(d.text, bad[i].name));
		CHECK(out.len == 0);
		text_done(&out);
	}
}

int main(void)
{
	RUN(a_file_is_made_of_values_and_is_one_that_is_taken);
	RUN(values_that_are_none_are_refused_by_name);
	RUN(a_clients_file_is_taken);
	RUN(lines_that_run_programs_are_refused_by_name);
	RUN(what_connects_nobody_is_refused);
	return DONE();
}
