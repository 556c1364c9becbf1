/* SPDX-License-Identifier: Apache-2.0 */
/**
 * link_record.h - A client's file behind a link that is good once
 *
 * The link has 256 random bits, its token. One key derived from them names the record, another
 * encrypts the file: who has the database, and even the master key, can neither make the link nor
 * read the file. {"peer": 7, "public_key": "…", "until_ns": …, "uses": 1, "sealed": "<base64>"}
 *
 * Source:  keyed BLAKE2s (crypto/suite.h) for both keys; XChaCha20-Poly1305 with a random nonce, the
 *	    record's name and the peer bound.
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "crypto/suite.h"
#include "store/store.h"

enum {
	LINK_TOKEN_LEN = 32,
	LINK_TOKEN_TEXT_LEN = 43, /* base64url */
	LINK_TOKEN_TEXT_MAX = 45, /* room to write it */
	LINK_FILE_MAX = 16384,
};

/**
 * struct link_record - @sealed: owned
 * @public_key:	The peer's when the link was made: with another key the file is no use
 * @uses:	How often it may still be taken
 */
struct link_record {
	int64_t peer_id;
	uint8_t public_key[32];
	uint64_t until_ns;
	unsigned int uses;
	uint8_t *sealed;
	size_t sealed_len;
};

/** link_token_read() - Return: 0 or ERR_FORMAT. The caller wipes @token */
int link_token_read(const char *text, size_t len, uint8_t token[LINK_TOKEN_LEN]);
void link_token_format(const uint8_t token[LINK_TOKEN_LEN], char out[LINK_TOKEN_TEXT_MAX]);

/** link_name() - Of the record of @token: 64 hex digits */
void link_name(struct suite *s, const uint8_t token[LINK_TOKEN_LEN],
	       char out[STORE_NAME_MAX + 1]);

/** link_close() - Encrypt the @len octets of a file into @l. Return: 0; -ENOMEM; ERR_LIMIT */
int link_close(struct suite *s, const uint8_t token[LINK_TOKEN_LEN], const char *file,
	       size_t len, struct link_record *l);
/** link_open() - The file, into the empty @out. Return: 0; ERR_AUTH; -ENOMEM */
int link_open(struct suite *s, const uint8_t token[LINK_TOKEN_LEN], const struct link_record *l,
	      struct text *out);

/** link_record_read() - From a record's body. Return: 0; ERR_CORRUPT; -ENOMEM */
int link_record_read(const char *body, struct link_record *ret);
/** link_record_peek() - All but @sealed, which stays NULL: for many records in one go. Return: likewise */
int link_record_peek(const char *body, struct link_record *ret);
void link_record_write(const struct link_record *l, struct text *out); /* errors in @out->err */
void link_record_done(struct link_record *l);
