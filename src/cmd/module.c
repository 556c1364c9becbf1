/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/module.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <dlfcn.h>
#include <libgen.h>
#include <unistd.h>

#include "cmd/command.h"

#ifndef CULVERT_MODULE_DIR
#	define CULVERT_MODULE_DIR "/usr/local/lib/culvert"
#endif

static const char file_name[] = "culvert-gateway.so";

/* Beside the running program, wherever that is. Return: false when that is not known. */
static bool path_beside(char *out, size_t size)
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n <= 0)
		return false;
	own[n] = '\0';
	return snprintf(out, size, "%s/%s", dirname(own), file_name) < (int)size;
}

/* Everything is bound at once: a module that lacks something says so now, not at the first
 * request that needs it. */
static void *load(void)
{
	char path[PATH_MAX + sizeof(file_name)];

	/* One that is there and may not be read is the reason, and not that there is no other. */
	if (path_beside(path, sizeof(path)) && access(path, F_OK) == 0)
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return dlopen(CULVERT_MODULE_DIR "/culvert-gateway.so", RTLD_NOW | RTLD_LOCAL);
}

int module_run(const char *command, int argc, char **argv)
{
	void *module = load();
	const struct module_command *row = NULL;
	module_entry entry = NULL;

	if (module) /* POSIX allows this conversion; C has no word for it */
		*(void **)&entry = dlsym(module, MODULE_ENTRY);
	if (!entry) {
		fprintf(stderr, "culvert: the gateway's module cannot be loaded: %s\n",
			dlerror());
		return EXIT_FAILED;
	}
	row = entry(CULVERT_VERSION);
	if (!row) {
		fprintf(stderr, "culvert: %s belongs to another version of culvert than %s\n",
			file_name, CULVERT_VERSION);
		return EXIT_FAILED;
	}
	while (row->name && strcmp(row->name, command) != 0)
		row++;
	if (row->name)
		return row->run(argc, argv);
	fprintf(stderr, "culvert: %s has no command '%s'\n", file_name, command);
	return EXIT_FAILED;
}

int cmd_gateway_serve(int argc, char **argv)
{
	return module_run("gateway-serve", argc, argv);
}

int cmd_gateway_obfuscation(int argc, char **argv)
{
	return module_run("gateway-obfuscation", argc, argv);
}

int cmd_gateway_peer(int argc, char **argv)
{
	return module_run("gateway-peer", argc, argv);
}

int cmd_gateway_api(int argc, char **argv)
{
	return module_run("gateway-api", argc, argv);
}

int cmd_gateway_webhook(int argc, char **argv)
{
	return module_run("gateway-webhook", argc, argv);
}

int cmd_gateway_access(int argc, char **argv)
{
	return module_run("gateway-access", argc, argv);
}

int cmd_gateway_key(int argc, char **argv)
{
	return module_run("gateway-key", argc, argv);
}

int cmd_gateway_import(int argc, char **argv)
{
	return module_run("gateway-import", argc, argv);
}

int cmd_gateway_adopt(int argc, char **argv)
{
	return module_run("gateway-adopt", argc, argv);
}

int cmd_gateway_export(int argc, char **argv)
{
	return module_run("gateway-export", argc, argv);
}

int cmd_users_key(int argc, char **argv)
{
	return module_run("users-key", argc, argv);
}

int cmd_keys_server(int argc, char **argv)
{
	return module_run("keys-server", argc, argv);
}

int cmd_carrier(int argc, char **argv)
{
	return module_run("carrier", argc, argv);
}

int cmd_audit(int argc, char **argv)
{
	return module_run("audit", argc, argv);
}

int cmd_backup(int argc, char **argv)
{
	return module_run("backup", argc, argv);
}

int cmd_setup(int argc, char **argv)
{
	return module_run("setup", argc, argv);
}

int cmd_create(int argc, char **argv)
{
	return module_run("create", argc, argv);
}

int cmd_pull(int argc, char **argv)
{
	return module_run("pull", argc, argv);
}

int cmd_list(int argc, char **argv)
{
	return module_run("list", argc, argv);
}

int cmd_enroll(int argc, char **argv)
{
	return module_run("enroll", argc, argv);
}
