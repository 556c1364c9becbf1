/* SPDX-License-Identifier: Apache-2.0 */
/**
 * user_text.h - What a user's name, address and configuration look like where parameters hold them
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { USER_ID_MAX = 64 };

/** user_id_ok() - 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with '.' */
bool user_id_ok(const char *id);

/** user_octet() - 2..255, from the first 64 bits of MD5(@id); 255 is no host's: take another */
unsigned int user_octet(const char *id);

/**
 * user_key_read() - A key in base64, once or twice
 *
 * Decoded once: 32 octets are the key; 44 characters are decoded again. Return: 0 or ERR_FORMAT.
 */
int user_key_read(const char *text, size_t len, uint8_t ret[32]);

/**
 * struct user_config - What a client's file says; everything borrowed
 * @address:	"10.0.0.110/24"
 * @endpoint:	"HOST:PORT"
 */
struct user_config {
	const char *id;
	const char *private_key;
	const char *address;
	const char *server_key;
	const char *endpoint;
};

/* Resolvers in that file. */
#define USER_DNS_1 "8.8.8.8"
#define USER_DNS_2 "8.8.4.4"

/** user_config_write() - Append the file, for wg-quick; look at @out->err */
void user_config_write(const struct user_config *c, struct text *out);
