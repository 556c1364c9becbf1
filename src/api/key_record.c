/* SPDX-License-Identifier: Apache-2.0 */
#include "api/key_record.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "base/codec.h"
#include "base/err.h"

static const char *const role_words[] = {
	[ROLE_READER] = "reader",
	[ROLE_OPERATOR] = "operator",
	[ROLE_ADMIN] = "admin",
};

const char *key_record_role_word(enum principal_role role)
{
	return role == ROLE_NONE ? "none" : role_words[role];
}

enum principal_role key_record_role(const char *word)
{
	for (enum principal_role r = ROLE_READER; r <= ROLE_ADMIN; r++) {
		if (strcmp(word, role_words[r]) == 0)
			return r;
	}
	return ROLE_NONE;
}

int key_record_read(const char *body, struct key_record *ret)
{
	const char *digest = NULL, *role = NULL;
	json_int_t account = 0, expires_ns = 0;
	json_t *value = json_loads(body, 0, NULL);
	int err = ERR_CORRUPT;

	if (value &&
	    json_unpack(value, "{s:s, s:s, s:I, s:I}", "digest", &digest, "role", &role,
			"account", &account, "expires_ns", &expires_ns) == 0 &&
	    hex_decode(digest, strlen(digest), ret->digest, sizeof(ret->digest)) ==
		    BEARER_DIGEST_LEN &&
	    key_record_role(role) != ROLE_NONE) {
		ret->role = key_record_role(role);
		ret->account_id = account;
		ret->expires_ns = (uint64_t)expires_ns;
		err = 0;
	}
	json_decref(value);
	return err;
}

void key_record_write(const struct key_record *k, struct text *out)
{
	char digest[2 * BEARER_DIGEST_LEN + 1];

	hex_encode(k->digest, sizeof(k->digest), digest);
	text_printf(out,
		    "{\"digest\":\"%s\",\"role\":\"%s\",\"account\":%" PRId64
		    ",\"expires_ns\":%" PRIu64 "}",
		    digest, key_record_role_word(k->role), k->account_id, k->expires_ns);
}
