/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer_key.h - A client's private key on the command line's side: made, or read from a file
 */
#pragma once

#include "base/codec.h"
#include "crypto/secret.h"

/* Both complain about what goes wrong. Return: an enum command_exit. */

/** peer_key_make() - A new one, and its public half */
int peer_key_make(struct secret_key *ret, char ret_public[KEY_BASE64_LEN + 1]);

/**
 * peer_key_read() - The one in the file @path, and its public half
 * @path:	A key as `culvert keys gen` writes it, or a client's earlier file; "-" is standard input
 */
int peer_key_read(const char *path, struct secret_key *ret,
		  char ret_public[KEY_BASE64_LEN + 1]);
