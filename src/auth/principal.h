/* SPDX-License-Identifier: Apache-2.0 */
/**
 * principal.h - Who a request comes from, however that was proven
 */
#pragma once

#include <stdint.h>

enum principal_kind {
	PRINCIPAL_API_KEY = 1, /* signed with the gateway's API key */
	PRINCIPAL_LOCAL,       /* over the local socket, by peer credentials */
	PRINCIPAL_KEY,	       /* one of our own keys */
	PRINCIPAL_AGENT,       /* signed with the node's shared secret */
	PRINCIPAL_MASTER,      /* the master key of the users' API */
	PRINCIPAL_USER,	       /* a user's key */
};

/* What a caller of our own API may do; a higher one may do all that a lower one may. */
enum principal_role {
	ROLE_NONE = 0,
	ROLE_READER,
	ROLE_OPERATOR,
	ROLE_ADMIN,
};

enum { PRINCIPAL_NAME_MAX = 64 };

/**
 * struct principal - One caller
 * @account_id:	A key that belongs to an account sees and changes that account's peers only;
 *		0: everything
 * @key_id:	Of PRINCIPAL_KEY; of PRINCIPAL_USER, the user's record
 * @name:	For the audit trail: "api-key", "uid 0", "key backend", "users:master", "user:ID"
 */
struct principal {
	enum principal_kind kind;
	enum principal_role role;
	int64_t account_id;
	int64_t key_id;
	char name[PRINCIPAL_NAME_MAX + 1];
};
