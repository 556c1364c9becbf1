/* SPDX-License-Identifier: Apache-2.0 */
/**
 * credentials.h - Secrets that the service manager keeps for the gateway process
 *
 * Files in $CREDENTIALS_DIRECTORY are readable for the unit's user, root, only: the gateway
 * process, which is another user, gets their contents as variables of its environment.
 *
 * Threads: one.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

enum {
	CREDENTIALS_MAX = 3, /* of this kind */
	CREDENTIAL_TEXT_MAX = 1100,
};

/**
 * struct credentials - "NAME=VALUE" texts
 * @sets:	Ends with NULL, for struct child_plan; points into @texts: do not copy
 */
struct credentials {
	char texts[CREDENTIALS_MAX][CREDENTIAL_TEXT_MAX];
	const char *sets[CREDENTIALS_MAX + 1];
};

/**
 * credentials_read() - api.key as GATEWAY_API_KEY, master.key as CULVERT_MASTER_KEY,
 *	database.password as PGPASSWORD
 *
 * One newline at the end does not count. A variable that is set in our environment comes
 * before its file.
 *
 * Return: 0, also when there are none; ERR_FORMAT for one that is empty or has a NUL;
 *	   ERR_LIMIT for one that is too long; -errno. With a sentence in @d; @ret is wiped then.
 */
int credentials_read(struct credentials *ret, struct diag *d);
void credentials_done(struct credentials *c); /* wipes them */
