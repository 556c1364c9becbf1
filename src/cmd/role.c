/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's module shows to the program that loads it. */
#include "cmd/role.h"

#include <string.h>

#include "cmd/module.h"

static const struct module_command commands[] = {
	{ "gateway-serve", role_gateway_serve },
	{ "gateway-peer", role_gateway_peer },
	{ "gateway-obfuscation", role_gateway_obfuscation },
	{ "gateway-api", role_gateway_api },
	{ "gateway-key", role_gateway_key },
	{ "gateway-import", role_gateway_import },
	{ "gateway-export", role_gateway_export },
	{ "gateway-adopt", role_gateway_adopt },
	{ "users-key", role_users_key },
	{ "gateway-access", role_gateway_access },
	{ "gateway-webhook", role_gateway_webhook },
	{ "audit", role_audit },
	{ "carrier", role_carrier },
	{ "backup", role_backup },
	{ "setup", role_setup },
	{ "create", role_create },
	{ "pull", role_pull },
	{ "list", role_list },
	{ "enroll", role_enroll },
	{ "keys-server", role_keys_server },
	{ NULL, NULL },
};

__attribute__((visibility("default"))) const struct module_command *culvert_gateway_module(
	const char *version);

const struct module_command *culvert_gateway_module(const char *version)
{
	return strcmp(version, CULVERT_VERSION) == 0 ? commands : NULL;
}
