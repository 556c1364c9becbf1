/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_settings.h - A proxy, its key and the resolvers behind it, as a command line names them
 *
 * All functions complain on standard error, beginning with @command, and return an exit code, EXIT_DONE
 * when it is fine.
 */
#pragma once

#include "usernet/connect_head.h"
#include "usernet/usernet.h"

/**
 * struct proxy_settings - proxy_settings_done() wipes
 * @usernet:	With what is said here; its credential is @credential
 */
struct proxy_settings {
	const char *command;
	struct usernet_options usernet;
	char credential[CONNECT_CREDENTIAL_MAX];
};

/** proxy_settings_init() - What stands where nothing is said
 *
 * Destinations in private networks are the proxy's to judge. */
void proxy_settings_init(struct proxy_settings *s, const char *command);
void proxy_settings_done(struct proxy_settings *s);

/** proxy_settings_target() - "HOST:PORT", "[ADDRESS]:PORT"; a name is looked up, which may wait */
int proxy_settings_target(struct proxy_settings *s, const char *text);

/**
 * proxy_settings_key() - What the proxy shall be shown
 * @path:	A file of nobody else's with the key in its first line, or NULL: the variable
 *		VPN_API_KEY, if it is set
 * @user:	Basic, with this name and the key as password; NULL: Bearer
 */
int proxy_settings_key(struct proxy_settings *s, const char *path, const char *user);

/** proxy_settings_resolvers() - Addresses separated by commas */
int proxy_settings_resolvers(struct proxy_settings *s, const char *text);
