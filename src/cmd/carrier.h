/* SPDX-License-Identifier: Apache-2.0 */
/**
 * carrier.h - The two ends of `culvert carrier`, and what they share
 *
 * carrier.c reads the command line, carrier_serve.c is the gateway's end, carrier_connect.c the
 * client's, carrier_auto.c one that chooses its way, carrier_process.c what any of them does around it: privileges, signals, the ready
 * line.
 */
#pragma once

#include <stdbool.h>

#include "carrier/client.h"
#include "carrier/server.h"
#include "cmd/options.h"

enum { CARRIER_PATHS_MAX = 8, CARRIER_CAPS_MAX = 2 };

/**
 * struct carrier_process - What is around either end
 * @paths:	Directories that are read again later; those in @n_paths only
 * @signal_fd:	SIGTERM, SIGINT, SIGHUP, SIGUSR1
 * @watch_fd:	Says when a file in a directory was put; -1: nothing is watched
 */
struct carrier_process {
	const char *paths[CARRIER_PATHS_MAX];
	size_t n_paths;
	int signal_fd;
	int watch_fd;
};

/* carrier_process_wait() returns this when something was put into the watched directory. */
enum { CARRIER_PROCESS_PUT = -1 };

/** carrier_process_open() - Signals, before there are threads. 0 or -errno */
int carrier_process_open(struct carrier_process *p, struct diag *d);
void carrier_process_close(struct carrier_process *p);

/** carrier_process_read_later() - @path will be read again: its directory stays in sight */
void carrier_process_read_later(struct carrier_process *p, const char *path, bool is_directory);

/** carrier_process_watch() - From now on the directory of @path. 0 or -errno */
int carrier_process_watch(struct carrier_process *p, const char *path, struct diag *d);

/** carrier_process_give_up() - Everything is open: an unprivileged user, and nothing but sockets
 *
 * Of the capabilities only the @n in @caps stay, at most CARRIER_CAPS_MAX.
 */
int carrier_process_give_up(const struct carrier_process *p, const int *caps, size_t n,
			    struct diag *d);

/** carrier_process_wait() - Return: a signal's number; CARRIER_PROCESS_PUT; 0: @fd is readable, or
 *  @timeout_ms is over */
int carrier_process_wait(const struct carrier_process *p, int fd, int timeout_ms);

/* Print the line that says it works; and tell the service manager. */
void carrier_process_ready(const char *text);

/** carrier_process_keep_user() - The same for who must reach a tunnel's socket: rights go, the user stays */
int carrier_process_keep_user(struct diag *d, bool keeps_admin);

/** carrier_client_options() - All but @url and @listen, from the command line */
int carrier_client_options(const struct options *o, struct carrier_client_config *ret,
			   struct diag *d);
void carrier_client_config_done(struct carrier_client_config *c);

/* Return: an exit code. */
int carrier_auto(const struct options *o);
int carrier_serve(const struct options *o);
int carrier_connect(const struct options *o);

/* A refusal of what option @name says, as an exit code. */
int carrier_refuse(const struct options *o, const char *name, const char *why);
int carrier_complain(int code, const char *what);
int carrier_exit_code(int err);
