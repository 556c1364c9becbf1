/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "api/call.h"
#include "base/codec.h"
#include "cmd/gateway_environment.h"

static struct api api;
static struct diag d;

static int read_with(const char *name, const char *value)
{
	int err;

	memset(&api, 0, sizeof(api));
	setenv(name, value, 1);
	err = gateway_environment_read(&api, &d);
	unsetenv(name);
	return err;
}

static void nothing_set_is_the_defaults(void)
{
	memset(&api, 0, sizeof(api));
	CHECK(gateway_environment_read(&api, &d) == 0);
	CHECK(api.window_s == 60 && !api.has_ecdh_key && api.name[0] == '\0' && api.node[0]);
	CHECK(strcmp(api.dns[0], "1.1.1.1") == 0 && strcmp(api.dns[2], "9.9.9.9") == 0);
}

static void windows_have_bounds_and_say_whose(void)
{
	static const char *const wrong[] = { "0", "301", "-1", "abc", "" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(read_with("MAX_TIMESTAMP_DIFF", wrong[i]) == ERR_RANGE);
		CHECK(strstr(d.text, "MAX_TIMESTAMP_DIFF") && strstr(d.text, "1 to 300"));
	}
	CHECK(read_with("MAX_TIMESTAMP_DIFF", "300") == 0 && api.window_s == 300);
}

static void resolvers_come_from_the_object_and_then_one_by_one(void)
{
	setenv("DNS_D2", "10.0.0.2, fd00::2", 1);
	CHECK(read_with("DNS_SERVERS", "{\"d1\": \"10.0.0.1\", \"d2\": \"10.9.9.9\"}") == 0);
	unsetenv("DNS_D2");
	CHECK(strcmp(api.dns[0], "10.0.0.1") == 0);
	CHECK(strcmp(api.dns[1], "10.0.0.2, fd00::2") == 0);
	CHECK(strcmp(api.dns[2], "9.9.9.9") == 0);
	CHECK(read_with("DNS_SERVERS", "{") == ERR_RANGE);
	CHECK(read_with("DNS_D1", "resolver.example") == ERR_RANGE);
}

static void the_ecdh_key_leaves_the_environment(void)
{
	CHECK(read_with("ECDH_PRIVATE_KEY", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") ==
	      0);
	CHECK(api.has_ecdh_key && api.ecdh_key.b[0] == 1);
	setenv("ECDH_PRIVATE_KEY", "nonsense", 1);
	CHECK(gateway_environment_read(&api, &d) == ERR_RANGE);
	CHECK(!getenv("ECDH_PRIVATE_KEY"));
}

static void the_agent_needs_a_secret_of_its_own(void)
{
	CHECK(gateway_environment_read_agent(&api, &d) == ERR_RANGE);
	setenv("WG_AGENT_SECRET", "change-me-in-production", 1);
	CHECK(gateway_environment_read_agent(&api, &d) == ERR_RANGE);
	setenv("WG_AGENT_SECRET", "s3cret", 1);
	setenv("WG_AGENT_OPEN_METRICS", "No", 1);
	CHECK(gateway_environment_read_agent(&api, &d) == 0);
	CHECK(api.agent_key.len == 6 && memcmp(api.agent_key.text, "s3cret", 6) == 0);
	CHECK(api.agent_health_is_open && !api.agent_metrics_are_open);
	CHECK(api.agent_window_s == 300);
	setenv("MAX_TIMESTAMP_AGE", "301", 1);
	CHECK(gateway_environment_read_agent(&api, &d) == ERR_RANGE);
}

static void put_key_file(const char *directory, const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/api.key", directory);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0 || chmod(path, 0600) != 0)
		abort();
}

static void the_api_key_is_the_variable_or_the_file(void)
{
	char directory[] = "/tmp/culvert-environment-XXXXXX", path[64];
	struct hmac_key k = { .len = 0 };
	char *long_text = calloc(1, HMAC_KEY_MAX + 2);

	if (!mkdtemp(directory) || !long_text)
		abort();
	CHECK(gateway_environment_read_api_key(directory, &k, &d) < 0);
	CHECK(strstr(d.text, "api.key"));
	put_key_file(directory, "\n");
	CHECK(gateway_environment_read_api_key(directory, &k, &d) == ERR_RANGE);
	put_key_file(directory, "the key\n");
	CHECK(gateway_environment_read_api_key(directory, &k, &d) == 0);
	CHECK(k.len == 7 && memcmp(k.text, "the key", 7) == 0);
	setenv("GATEWAY_API_KEY", "another", 1);
	CHECK(gateway_environment_read_api_key(directory, &k, &d) == 0 && k.text[0] == 'a');
	memset(long_text, 'x', HMAC_KEY_MAX + 1);
	setenv("GATEWAY_API_KEY", long_text, 1);
	CHECK(gateway_environment_read_api_key(directory, &k, &d) == ERR_RANGE);
	CHECK(strstr(d.text, "GATEWAY_API_KEY") && !strstr(d.text, "xxx"));
	unsetenv("GATEWAY_API_KEY");
	free(long_text);
	snprintf(path, sizeof(path), "%s/api.key", directory);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	RUN(nothing_set_is_the_defaults);
	RUN(windows_have_bounds_and_say_whose);
	RUN(resolvers_come_from_the_object_and_then_one_by_one);
	RUN(the_ecdh_key_leaves_the_environment);
	RUN(the_agent_needs_a_secret_of_its_own);
	RUN(the_api_key_is_the_variable_or_the_file);
	return DONE();
}
