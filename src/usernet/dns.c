/* SPDX-License-Identifier: Apache-2.0 */
/* Port 53 of our own address is a resolver's, by UDP and by TCP. Through a proxy that of any address is: a
 * resolver of this host's own network is not to be reached from there. */
#include "usernet/internal.h"

bool dns_target(struct usernet *u, const struct inet_pair *pair, struct ip_addr *ret)
{
	if (pair->local_port != DNS_PORT || u->options.n_resolvers == 0 ||
	    (way_is_direct(&u->way) && !own_is_address(u, &pair->local))) {
		*ret = pair->local;
		return false;
	}
	*ret = u->options.resolvers[u->resolver];
	return true;
}

void dns_failed(struct usernet *u, const struct ip_addr *resolver)
{
	if (ip_addr_equal(resolver, &u->options.resolvers[u->resolver]))
		u->resolver = (u->resolver + 1) % u->options.n_resolvers;
}
