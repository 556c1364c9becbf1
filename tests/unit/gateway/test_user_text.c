/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/user_text.h"

/* RFC 7748 section 6.1, in base64 once and twice (coreutils base64). */
static const char key[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
static const char twice[] = "ZHdkdENuTVlwWDA4RnNGeVViSm1SZDlNTDRmcndKa3FzWGY3cFIyNUxDbz0=";

/* Published with the rule. */
static void octets_come_from_the_md5_of_the_name(void)
{
	CHECK(user_octet("alice") == 87);
	CHECK(user_octet("bob") == 22);
	CHECK(user_octet("carol") == 29);
	CHECK(user_octet("user1") == 110);
	CHECK(user_octet("your-username") == 25);
}

static void names_have_1_to_64_harmless_characters(void)
{
	char longest[USER_ID_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[USER_ID_MAX + 1] = '\0';
	CHECK(!user_id_ok(longest));
	longest[USER_ID_MAX] = '\0';
	CHECK(user_id_ok(longest));
	CHECK(user_id_ok("a.b_c-9"));
	CHECK(!user_id_ok("") && !user_id_ok(".a") && !user_id_ok("a/b") && !user_id_ok("a b"));
	CHECK(!user_id_ok("a\n"));
}

static void keys_are_read_in_base64_once_and_twice(void)
{
	uint8_t one[32] = { 0 }, two[32] = { 1 };

	CHECK(user_key_read(key, strlen(key), one) == 0 && one[0] == 0x77 && one[31] == 0x2a);
	CHECK(user_key_read(twice, strlen(twice), two) == 0 && memcmp(one, two, 32) == 0);
	CHECK(user_key_read(key, 40, one) == ERR_FORMAT);
	CHECK(user_key_read(twice, 56, one) == ERR_FORMAT);
	CHECK(user_key_read("", 0, one) == ERR_FORMAT);
}

static void a_configuration_is_the_expected_text(void)
{
	const struct user_config c = { "user1", "PRIVATE", "10.0.0.110/24", "PUBLIC",
				       "vpn.example.com:51820" };
	struct text t = { 0 };

	user_config_write(&c, &t);
	CHECK(t.err == 0);
	CHECK(t.data &&
	      strcmp(t.data, "# WireGuard VPN Client Configuration for user1\n"
			     "# Save this as user1.conf and use with: wg-quick up user1.conf\n"
			     "\n"
			     "[Interface]\n"
			     "PrivateKey = PRIVATE\n"
			     "Address = 10.0.0.110/24\n"
			     "DNS = 8.8.8.8, 8.8.4.4\n"
			     "\n"
			     "[Peer]\n"
			     "PublicKey = PUBLIC\n"
			     "Endpoint = vpn.example.com:51820\n"
			     "AllowedIPs = 0.0.0.0/0\n"
			     "PersistentKeepalive = 25\n"
			     "\n"
			     "# To connect:\n"
			     "# 1. Install WireGuard: https://www.wireguard.com/install/\n"
			     "# 2. Save this config as user1.conf\n"
			     "# 3. Run: wg-quick up user1.conf\n"
			     "# 4. To disconnect: wg-quick down user1.conf\n") == 0);
	text_done(&t);
}

int main(void)
{
	RUN(octets_come_from_the_md5_of_the_name);
	RUN(names_have_1_to_64_harmless_characters);
	RUN(keys_are_read_in_base64_once_and_twice);
	RUN(a_configuration_is_the_expected_text);
	return DONE();
}
