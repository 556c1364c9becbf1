/* SPDX-License-Identifier: Apache-2.0 */
/**
 * serving.h - Which surface is served where, and what else the serving process is told
 *
 * Both `culvert gateway`, which checks it before it changes anything, and the process that serves
 * have these options. A surface is served on a URL with a scheme: "https://0.0.0.0:8000",
 * "http://127.0.0.1:8000", "unix:/run/culvert/agent.sock", or "off". Words may follow: "insecure"
 * allows plain HTTP on an address that is no loopback; "share" allows two surfaces on one address
 * where both say it and their routes do not collide.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "cmd/options.h"

enum {
	SERVING_ALLOWED_MAX = 32,
	SERVING_PATH_MAX = 107, /* of a socket */
	SERVING_URL_MAX = 255,
};

/* In the order of the options; the places in struct serving. */
enum serving_surface {
	SERVING_GATEWAY,
	SERVING_AGENT,
	SERVING_USERS,
	SERVING_STATUS,
	SERVING_METRICS,
	SERVING_LINKS,
	SERVING_SURFACES,
};

enum serving_scheme {
	SERVING_OFF,
	SERVING_HTTP,
	SERVING_HTTPS,
	SERVING_UNIX,
};

/**
 * struct serving_place - Where one surface is served
 * @at:		With a port, unless @scheme is SERVING_UNIX
 * @allowed:	Who may call; none: everybody
 */
struct serving_place {
	enum serving_scheme scheme;
	struct endpoint at;
	char path[SERVING_PATH_MAX + 1];
	bool is_insecure;
	bool is_shared;
	struct ip_prefix allowed[SERVING_ALLOWED_MAX];
	size_t n_allowed;
};

/**
 * struct serving - All of it
 * @request_rate: Of one source, or one key, in a second; 0: no limit
 * @links_url:	Without a slash at the end; "": found out
 * @webhooks_private, @webhooks_insecure, @webhooks_retry_s: Of the section [webhooks]
 * @switches:	--api-switch
 */
struct serving {
	struct serving_place place[SERVING_SURFACES];
	uint32_t request_rate;
	bool metrics_without_peers;
	bool needs_version_2;
	bool lists_all_users;
	bool forgets_private_keys;
	char links_url[SERVING_URL_MAX + 1];
	bool webhooks_private;
	bool webhooks_insecure;
	uint64_t webhooks_retry_s;
	bool switches;
};

/* The rows, for an option table. */
#define SERVING_ROWS                                                                               \
	{ "listen-gateway", "URL", NULL, NULL, "where the REST API listens (as --listen)",         \
	  "listen" },                                                                              \
		{ "listen-agent", "URL", "off", NULL, "where the node agent listens", "listen" },  \
		{ "listen-users", "URL", "off", NULL, "where the users' API listens", "listen" },  \
		{ "listen-status", "URL", "off", NULL, "where the status page is", "listen" },     \
		{ "listen-metrics", "URL", "off", NULL, "where Prometheus finds /metrics",         \
		  "listen" },                                                                      \
		{ "listen-gateway-allow",                                                          \
		  "PREFIXES",                                                                      \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "who may call the REST API; else everybody",                                     \
		  "listen" },                                                                      \
		{ "listen-agent-allow",	    "PREFIXES", NULL, NULL,                                \
		  "who may call the agent", "listen" },                                            \
		{ "listen-users-allow",		 "PREFIXES", NULL, NULL,                           \
		  "who may call the users' API", "listen" },                                       \
		{ "listen-status-allow",	 "PREFIXES", NULL, NULL,                           \
		  "who may see the status page", "listen" },                                       \
		{ "listen-links",                                                                  \
		  "URL",                                                                           \
		  "off",                                                                           \
		  NULL,                                                                            \
		  "where one-time links lead, beside the REST API",                                \
		  "listen" },                                                                      \
		{ "listen-links-allow",		"PREFIXES", NULL, NULL,                            \
		  "who may follow links there", "listen" },                                        \
		{ "links-url",                                                                     \
		  "URL",                                                                           \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "what links begin with, such as https://vpn.example.com; else found out",        \
		  NULL },                                                                          \
		{ "listen-metrics-allow", "PREFIXES", NULL, NULL,                                  \
		  "who may see /metrics", "listen" },                                              \
		{ "tls-cert",                                                                      \
		  "FILE",                                                                          \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "certificates in PEM for https; else STATE/cert.pem",                            \
		  "tls" },                                                                         \
		{ "tls-key", "FILE", NULL, NULL, "their private key; else STATE/key.pem", "tls" }, \
		{ "params",                                                                        \
		  "STORE",                                                                         \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "users' tree: dir:/PATH, ssm:/PREFIX; else SSM_PREFIX, STATE/params",            \
		  NULL },                                                                          \
		{ "users-list", "self|all", "self", NULL, "which users a user's key sees", NULL }, \
		{ "users-private-keys",                                                            \
		  "keep|forget",                                                                   \
		  "keep",                                                                          \
		  NULL,                                                                            \
		  "forget: users' private keys are in the first reply only",                       \
		  NULL },                                                                          \
		{ "store", "KIND", "sqlite", NULL, "where peers are kept: sqlite or postgres",     \
		  NULL },                                                                          \
		{ "store-new",                                                                     \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "with postgres: leave the peers behind that SQLite has",                         \
		  NULL },                                                                          \
		{ "database",                                                                      \
		  "CONNINFO",                                                                      \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "with postgres: how it is reached, without a password",                          \
		  NULL },                                                                          \
		{ "status-postgres",                                                               \
		  "CONNINFO",                                                                      \
		  NULL,                                                                            \
		  NULL,                                                                            \
		  "PostgreSQL server that the status page tells of",                               \
		  "status" },                                                                      \
		{ "metrics-peers",                                                                 \
		  "on|off",                                                                        \
		  "on",                                                                            \
		  NULL,                                                                            \
		  "whether /metrics has lines for each peer",                                      \
		  "metrics" },                                                                     \
		{ "webhooks-private",                                                              \
		  "on|off",                                                                        \
		  "off",                                                                           \
		  NULL,                                                                            \
		  "whether webhooks may lead to private networks and this host",                   \
		  "webhooks" },                                                                    \
		{ "webhooks-insecure",                                                             \
		  "on|off",                                                                        \
		  "off",                                                                           \
		  NULL,                                                                            \
		  "whether webhooks may use plain HTTP",                                           \
		  "webhooks" },                                                                    \
		{ "webhooks-retry",                                                                \
		  "SECONDS",                                                                       \
		  "5",                                                                             \
		  NULL,                                                                            \
		  "first pause after a webhook failed; each is twice as long",                     \
		  "webhooks" },                                                                    \
		{ "drift",                                                                         \
		  "WORD",                                                                          \
		  "repair",                                                                        \
		  NULL,                                                                            \
		  "what becomes of changes to the interface by others: repair, report or adopt",   \
		  NULL },                                                                          \
		{ "api-version1",                                                                  \
		  "on|off",                                                                        \
		  "on",                                                                            \
		  NULL,                                                                            \
		  "whether signatures of version 1 are accepted",                                  \
		  "api" },                                                                         \
		{ "api-switch",                                                                    \
		  "on|off",                                                                        \
		  "off",                                                                           \
		  NULL,                                                                            \
		  "whether stopping wg-manager switches the interface off",                        \
		  "api" },                                                                         \
	{                                                                                          \
		"api-request-rate", "N", "1000", NULL,                                             \
			"requests in a second from one source, or with one key", "api"             \
	}

/**
 * serving_read() - Read and check all of it
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE, ERR_EXISTS (two on one address) with a sentence in @d that names the
 *	   options.
 */
int serving_read(const struct options *o, struct serving *ret, struct diag *d);

const char *serving_name(enum serving_surface surface); /* "agent" */

/**
 * serving_arguments() - The same for another process: "--name", "value", …, NULL
 * @out:	Room for 2 * OPTIONS_MAX + 1. The values are borrowed from @o
 */
void serving_arguments(const struct options *o, const char *out[]);
