/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routing.h - What the files of `culvert routing` share
 */
#pragma once

#include <stdbool.h>

/**
 * struct routing_call - One call
 * @program:	For the usage: "culvert routing" or "setup-routing"
 * @is_old:	By the name of the tool people had: every failure is exit code 1
 */
struct routing_call {
	const char *program;
	bool is_old;
};

/** routing_complain() - "✗ " and the sentence. Return: what to exit with for @err */
int routing_complain(const struct routing_call *c, int err, const char *sentence);

/**
 * routing_start() - Note the routes, run a client until it ends, bring the routes back
 * @key:	For VPN_API_KEY of the client; NULL: what the environment has
 * @client:	Another program than this one; NULL: this one
 *
 * However it ends: when the client does, by a signal, or killed.
 *
 * Return: an enum command_exit, the client's if it failed.
 */
int routing_start(const struct routing_call *c, const char *host, const char *port,
		  const char *key, const char *client);
