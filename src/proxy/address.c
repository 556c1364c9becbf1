/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/address.h"

#include <string.h>

struct address address_write(const struct endpoint *e)
{
	struct address a = { .len = sizeof(a.u.v4) };

	if (e->ip.family == ADDR_V4) {
		a.u.v4.sin_family = AF_INET;
		a.u.v4.sin_port = htons(e->port);
		memcpy(&a.u.v4.sin_addr, e->ip.b, 4);
		return a;
	}
	a.u.v6.sin6_family = AF_INET6;
	a.u.v6.sin6_port = htons(e->port);
	a.u.v6.sin6_scope_id = e->scope;
	memcpy(&a.u.v6.sin6_addr, e->ip.b, 16);
	a.len = sizeof(a.u.v6);
	return a;
}

struct endpoint address_read(const struct sockaddr *any)
{
	struct endpoint e = { .port = 0 };
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (any->sa_family == AF_INET) {
		memcpy(&v4, any, sizeof(v4));
		e.ip = ip_addr_v4((const uint8_t *)&v4.sin_addr);
		e.port = ntohs(v4.sin_port);
	} else if (any->sa_family == AF_INET6) {
		memcpy(&v6, any, sizeof(v6));
		e.ip = ip_addr_v6(v6.sin6_addr.s6_addr);
		e.port = ntohs(v6.sin6_port);
		e.scope = e.ip.family == ADDR_V6 ? v6.sin6_scope_id : 0;
	}
	return e;
}
