/* SPDX-License-Identifier: Apache-2.0 */
/**
 * principal.h - Who a request comes from, however that was proven
 */
#pragma once

enum principal_kind {
	PRINCIPAL_API_KEY = 1, /* signed with the gateway's API key */
	PRINCIPAL_LOCAL,       /* over the local socket, by peer credentials */
};

enum { PRINCIPAL_NAME_MAX = 64 };

/* struct principal - @name is for the audit trail: "api-key", "uid 0" */
struct principal {
	enum principal_kind kind;
	char name[PRINCIPAL_NAME_MAX + 1];
};
