/* SPDX-License-Identifier: Apache-2.0 */
/**
 * module.h - Commands that live in culvert-gateway.so, and how they are reached
 *
 * The module holds the parsers of HTTP and JSON, the database and their libraries.
 * Processes with tunnel keys never load it; a command that needs it does, here. It is
 * looked for beside the program (a build tree), then where it was installed.
 */
#pragma once

/* struct module_command - One row of the module's table; NULL name ends it */
struct module_command {
	const char *name;
	int (*run)(int argc, char **argv);
};

/* The one name the module exports: its table, or NULL when it was built for another version
 * of the program. */
typedef const struct module_command *(*module_entry)(const char *version);
#define MODULE_ENTRY "culvert_gateway_module"

/**
 * module_run() - Load the module and run one of its commands
 *
 * Return: what the command returns; EXIT_FAILED, with a complaint, without a module.
 */
int module_run(const char *command, int argc, char **argv);
