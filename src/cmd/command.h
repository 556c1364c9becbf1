/* SPDX-License-Identifier: Apache-2.0 */
/**
 * command.h - One subcommand of culvert, and what its exit code says
 *
 * To add one: a file here with a function cmd_NAME(), its line below, a row in
 * main.c. A command answers --help itself, prints results on standard output and
 * complaints on standard error, each beginning "culvert NAME: ".
 */
#pragma once

enum command_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,    /* it could not be done: a full disk, a port in use, a lost race */
	EXIT_USAGE = 2,	    /* the command line is wrong */
	EXIT_REFUSED = 3,   /* the input is wrong: a malformed file, key, address */
	EXIT_PRIVILEGE = 4, /* a capability or a device is missing */
};

/**
 * struct command - One row of the table in main.c
 * @name:	The word after "culvert"
 * @summary:	One line of `culvert --help`, no capital, no full stop; NULL: not for people
 * @run:	Like main(); argv[0] is "culvert NAME", what getopt_long() puts before its
 *		complaints, or the program's own name when that chose the command.
 *		Return: an enum command_exit
 */
struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

int cmd_device(int argc, char **argv);
int cmd_gateway(int argc, char **argv);
int cmd_gateway_serve(int argc, char **argv);
int cmd_gateway_peer(int argc, char **argv);	    /* argv[0] is "culvert gateway peer" */
int cmd_gateway_obfuscation(int argc, char **argv); /* likewise */
int cmd_gateway_api(int argc, char **argv);
int cmd_gateway_key(int argc, char **argv);
int cmd_gateway_import(int argc, char **argv);
int cmd_gateway_adopt(int argc, char **argv);
int cmd_gateway_export(int argc, char **argv);
int cmd_gateway_access(int argc, char **argv);
int cmd_gateway_webhook(int argc, char **argv);
int cmd_proxy(int argc, char **argv);
int cmd_carrier(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_gateway_upgrade(int argc, char **argv); /* a trial; see host/upgrade.h */
int cmd_kernel_serve(int argc, char **argv);	/* the driver; see host/kernel_child.h */
int cmd_users_key(int argc, char **argv);	/* see host/tree_key.h */
int cmd_keys(int argc, char **argv);
int cmd_keys_server(int argc, char **argv); /* argv[0] is "culvert keys server" */
int cmd_conf(int argc, char **argv);
int cmd_conf_obfuscate(int argc, char **argv); /* argv[0] is "culvert conf obfuscate" */
int cmd_conf_apply(int argc, char **argv);
int cmd_conf_export(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_qr(int argc, char **argv);
int cmd_proxy_tunnel(int argc, char **argv);
int cmd_hub(int argc, char **argv);
int cmd_host(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_disconnect(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_switch(int argc, char **argv);
int cmd_lockdown(int argc, char **argv);
int cmd_setup(int argc, char **argv); /* argv[0] may be "vpn-client setup"; see cmd/ephem.h */
int cmd_create(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_enroll(int argc, char **argv);
int cmd_routing(int argc, char **argv); /* argv[0] may be "setup-routing" */
int cmd_vpn_client(int argc, char **argv);
