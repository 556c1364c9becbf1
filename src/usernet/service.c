/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/service.h"

#include "usernet/internal.h"

bool service_find(const struct usernet *u, bool is_udp, const struct inet_pair *pair,
		  struct ip_addr *ret_to, uint16_t *ret_port)
{
	for (size_t i = 0; i < u->options.n_services; i++) {
		const struct usernet_forward *s = &u->options.services[i];

		if (s->port != pair->local_port || s->is_udp != is_udp ||
		    !own_is_address(u, &pair->local))
			continue;
		*ret_to = s->to;
		*ret_port = s->to_port;
		return true;
	}
	return false;
}
