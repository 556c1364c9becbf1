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
	values = client_conf_values(&api, &peer);
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
	values = client_conf_values(&api, &peer);
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
		json_t *values = client_conf_values(&api, &peer);
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

	start();
	CHECK(client_conf_text(&api, &peer, &private_key, &file) == 0);
	CHECK(has_line(&file, "[Interface]") && has_line(&file, "[Peer]"));
	CHECK(has_line(&file, "PrivateKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
	CHECK(has_line(&file, "Address = 10.0.1.2/32, fd00::2/128"));
	CHECK(has_line(&file, "DNS = 8.8.8.8, 2001:4860:4860::8888"));
	CHECK(has_line(&file, "MTU = 1420"));
	CHECK(has_line(&file, "PublicKey = " SERVER_KEY));
	CHECK(has_line(&file, "AllowedIPs = 0.0.0.0/0, ::/0"));
	CHECK(has_line(&file, "Endpoint = vpn.example.org:51820"));
	CHECK(has_line(&file, "PersistentKeepalive = 25"));
	CHECK(client_conf_text(&api, &peer, NULL, &without) == 0);
	CHECK(!strstr(without.data, "\nPrivateKey = A"));
	text_done(&file);
	text_done(&without);
	stop();
}

int main(void)
{
	RUN(an_endpoint_is_written_as_files_have_it);
	RUN(the_longest_host_has_room);
	RUN(the_values_are_those_of_the_contract);
	RUN(a_peer_of_one_family_sends_only_that);
	RUN(a_choice_nobody_knows_is_the_first);
	RUN(the_file_has_everything_a_client_needs);
	return DONE();
}
