/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "api/client_conf.h"
#include "empty_gateway.h"

#define SERVER_KEY "TU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU0="

static struct api api;

static void start(void)
{
	api = (struct api){ .gateway = empty_gateway(),
			    .dns = { "1.1.1.1", "8.8.8.8, 2001:4860:4860::8888", "9.9.9.9" },
			    .endpoint = "vpn.example.org" };
}

static void stop(void)
{
	gateway_free(api.gateway);
}

/* Of a client at level off. */
static json_t *values_of(const struct peer *peer)
{
	struct client_conf c;
	json_t *values = NULL;

	if (client_conf_init(&api, FRAME_OFF, &c) == 0)
		values = client_conf_values(&api, peer, &c);
	client_conf_done(&c);
	return values;
}

static struct peer phone(void)
{
	return (struct peer){ .name = "phone",
			      .dns = "d2",
			      .v4 = { ADDR_V4, { 10, 0, 1, 2 } },
			      .v6 = { ADDR_V6, { 0xfd, [15] = 2 } } };
}

static void an_endpoint_is_written_as_files_have_it(void)
{
	static const struct {
		const char *host, *expected;
	} rows[] = {
		{ "vpn.example.org", "vpn.example.org:51820" },
		{ "vpn.example.org:443", "vpn.example.org:443" },
		{ "192.0.2.1", "192.0.2.1:51820" },
		{ "192.0.2.1:53", "192.0.2.1:53" },
		{ "2001:db8::1", "[2001:db8::1]:51820" },
		{ "[2001:db8::1]", "[2001:db8::1]:51820" },
		{ "[2001:db8::1]:53", "[2001:db8::1]:53" },
	};
	char text[API_HOST_MAX + 16];

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(api.endpoint, sizeof(api.endpoint), "%s", rows[i].host);
		client_conf_endpoint(&api, text);
		CHECK(strcmp(text, rows[i].expected) == 0);
	}
	stop();
}

static void the_longest_host_has_room(void)
{
	char text[API_HOST_MAX + 16];

	start();
	memset(api.endpoint, 'a', API_HOST_MAX);
	api.endpoint[API_HOST_MAX] = '\0';
	client_conf_endpoint(&api, text);
	CHECK(strlen(text) == API_HOST_MAX + 6 && strcmp(text + API_HOST_MAX, ":51820") == 0);
	stop();
}

static void the_values_are_those_of_the_contract(void)
{
	struct peer peer = phone();
	json_t *values, *expected;

	start();
	values = values_of(&peer);
	expected = json_pack("{s:s, s:s, s:[s,s], s:[s,s], s:i, s:i}", "server_public_key",
			     SERVER_KEY, "endpoint", "vpn.example.org:51820", "dns", "8.8.8.8",
			     "2001:4860:4860::8888", "allowed_ips", "0.0.0.0/0", "::/0", "mtu",
			     1420, "persistent_keepalive", 25);
	CHECK(values && json_equal(values, expected));
	json_decref(values);
	json_decref(expected);
	stop();
}

static void a_peer_of_one_family_sends_only_that(void)
{
	struct peer peer = phone();
	json_t *values, *allowed;

	start();
	peer.v6.family = ADDR_NONE;
	values = values_of(&peer);
	allowed = json_object_get(values, "allowed_ips");
	CHECK(json_array_size(allowed) == 1 &&
	      strcmp(json_string_value(json_array_get(allowed, 0)), "0.0.0.0/0") == 0);
	json_decref(values);
	stop();
}

static void a_choice_nobody_knows_is_the_first(void)
{
	static const char *const choices[] = { "d1", "", "d0", "d4", "x" };
	struct peer peer = phone();

	start();
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		snprintf(peer.dns, sizeof(peer.dns), "%s", choices[i]);
		json_t *values = values_of(&peer);
		json_t *dns = json_object_get(values, "dns");

		CHECK(json_array_size(dns) == 1 &&
		      strcmp(json_string_value(json_array_get(dns, 0)), "1.1.1.1") == 0);
		json_decref(values);
	}
	stop();
}

static bool has_line(const struct text *t, const char *line)
{
	const char *at = strstr(t->data, line);

	return at && (at == t->data || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void the_file_has_everything_a_client_needs(void)
{
	struct secret_key private_key = { { 1 } };
	struct peer peer = phone();
	struct text file = { 0 }, without = { 0 };
	struct client_conf conf;

	start();
	CHECK(client_conf_init(&api, FRAME_OFF, &conf) == 0);
	CHECK(client_conf_text(&api, &peer, &conf, &private_key, NULL, &file) == 0);
	CHECK(has_line(&file, "[Interface]") && has_line(&file, "[Peer]"));
	CHECK(has_line(&file, "PrivateKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
	CHECK(has_line(&file, "Address = 10.0.1.2/32, fd00::2/128"));
	CHECK(has_line(&file, "DNS = 8.8.8.8, 2001:4860:4860::8888"));
	CHECK(has_line(&file, "MTU = 1420"));
	CHECK(has_line(&file, "PublicKey = " SERVER_KEY));
	CHECK(has_line(&file, "AllowedIPs = 0.0.0.0/0, ::/0"));
	CHECK(has_line(&file, "Endpoint = vpn.example.org:51820"));
	CHECK(has_line(&file, "PersistentKeepalive = 25"));
	CHECK(client_conf_text(&api, &peer, &conf, NULL, NULL, &without) == 0);
	CHECK(!strstr(without.data, "\nPrivateKey = A"));
	text_done(&file);
	text_done(&without);
	client_conf_done(&conf);
	stop();
}

/* --- Levels --- */

/* A gateway whose levels have parameters. */
static void start_with_levels(struct profiles *ret)
{
	struct profiles none = { .n = 0 };
	bool differs;

	empty_gateway_seed();
	ret->n = 0;
	CHECK(profiles_complete(&none, &empty_generator, 5000, ret, &differs) == 0);
	CHECK(profile_rows_make(ret, &empty_rows) == 0);
	start();
}

static void stop_with_levels(struct profiles *p)
{
	stop();
	profile_rows_done(&empty_rows);
	profiles_done(p);
}

static void a_level_without_parameters_is_unknown(void)
{
	struct client_conf conf;

	start();
	CHECK(client_conf_has(&api, FRAME_OFF) && !client_conf_has(&api, FRAME_HIGH));
	CHECK(client_conf_init(&api, FRAME_HIGH, &conf) == ERR_UNKNOWN);
	client_conf_done(&conf);
	stop();
}

static void a_client_of_each_level_is_understood_by_the_gateway(void)
{
	struct profiles all;

	start_with_levels(&all);
	for (size_t i = 0; i < all.n; i++) {
		const struct frame_parameters *server = &all.all[i].parameters;
		struct client_conf c;

		CHECK(client_conf_init(&api, all.all[i].level, &c) == 0);
		CHECK(frame_parameters_match(server, &c.framing));
		CHECK(frame_parameters_check(&c.framing, NULL) == FRAME_RULE_NONE);
		CHECK(c.mtu == 1420 - server->pad[3]);
		CHECK((c.keepalive.lo != c.keepalive.hi) ==
		      (all.all[i].level == FRAME_EXTREME));
		client_conf_done(&c);
	}
	stop_with_levels(&all);
}

static void two_clients_have_junk_of_their_own(void)
{
	struct client_conf a, b;
	struct profiles all;

	start_with_levels(&all);
	CHECK(client_conf_init(&api, FRAME_EXTREME, &a) == 0);
	CHECK(client_conf_init(&api, FRAME_EXTREME, &b) == 0);
	CHECK(a.framing.jmin != b.framing.jmin || a.framing.jmax != b.framing.jmax ||
	      a.framing.jc != b.framing.jc);
	client_conf_done(&a);
	client_conf_done(&b);
	stop_with_levels(&all);
}

/* The command line makes the file from the values: it must come out the same. */
static void the_values_hold_every_parameter_of_the_file(void)
{
	struct frame_parameters read;
	struct text file = { 0 };
	struct peer peer = phone();
	struct client_conf c;
	struct profiles all;
	const char *name;
	json_t *values, *value;

	start_with_levels(&all);
	CHECK(client_conf_init(&api, FRAME_EXTREME, &c) == 0);
	values = client_conf_values(&api, &peer, &c);
	CHECK(client_conf_text(&api, &peer, &c, NULL, NULL, &file) == 0);
	frame_parameters_init(&read);
	json_object_foreach(json_object_get(values, "amneziawg"), name, value)
	{
		enum frame_key key = frame_key_find(FRAME_CONF, name, strlen(name));
		const char *text = json_string_value(value);
		char line[512];

		snprintf(line, sizeof(line), "%s = %s", name, text);
		CHECK(has_line(&file, line));
		CHECK(frame_parameters_set(&read, FRAME_CONF, key, text, strlen(text), NULL) ==
		      0);
	}
	for (enum frame_key key = 0; key < FRAME_KEYS; key++)
		CHECK(frame_key_is_default(&read, key) ==
		      frame_key_is_default(&c.framing, key));
	CHECK(frame_parameters_match(&read, &c.framing) && read.jc == c.framing.jc);
	CHECK(json_is_string(json_object_get(values, "persistent_keepalive")));
	json_decref(values);
	text_done(&file);
	frame_parameters_done(&read);
	client_conf_done(&c);
	stop_with_levels(&all);
}

int main(void)
{
	RUN(an_endpoint_is_written_as_files_have_it);
	RUN(the_longest_host_has_room);
	RUN(the_values_are_those_of_the_contract);
	RUN(a_peer_of_one_family_sends_only_that);
	RUN(a_choice_nobody_knows_is_the_first);
	RUN(the_file_has_everything_a_client_needs);
	RUN(a_level_without_parameters_is_unknown);
	RUN(a_client_of_each_level_is_understood_by_the_gateway);
	RUN(two_clients_have_junk_of_their_own);
	RUN(the_values_hold_every_parameter_of_the_file);
	return DONE();
}
