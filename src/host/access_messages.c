/* SPDX-License-Identifier: Apache-2.0 */
#include "host/access_messages.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct host_access_rule) == 24 && sizeof(struct host_access_change) == 28,
	      "no padding that could carry something");
static_assert(sizeof(struct host_access) == 8 + 1024 * 28, "nor in the body");
static_assert((int)HOST_ACCESS_RULES_MAX == (int)ACCESS_RULES_MAX, "a list is one message");
static_assert((int)HOST_ACCESS_CHANGES_MAX == (int)ACCESS_CHANGES_MAX, "a message is one call");

bool host_access_is_type(uint32_t type)
{
	return type >= HOST_ACCESS_CLEAR && type <= HOST_ACCESS_MEMBERS;
}

bool host_access_has_body(uint32_t type)
{
	return type >= HOST_ACCESS_LIST && type <= HOST_ACCESS_MEMBERS;
}

/* --- Items --- */

static struct ip_addr read_address(uint8_t family, const uint8_t address[16])
{
	struct ip_addr ip = { .family = family };

	memcpy(ip.b, address, family == ADDR_V4 ? 4 : 16);
	return ip;
}

static void write_address(const struct ip_addr *from, uint8_t to[16])
{
	memcpy(to, from->b, from->family == ADDR_V4 ? 4 : 16);
}

void host_access_write_rule(const struct access_rule *from, struct host_access_rule *to)
{
	*to = (struct host_access_rule){ .family = from->to.ip.family,
					 .bits = from->to.bits,
					 .protocol = (uint8_t)from->protocol,
					 .port_first = from->port_first,
					 .port_last = from->port_last };
	write_address(&from->to.ip, to->address);
}

struct access_rule host_access_read_rule(const struct host_access_rule *from)
{
	return (struct access_rule){
		.to = { .ip = read_address(from->family, from->address), .bits = from->bits },
		.protocol = (enum access_protocol)from->protocol,
		.port_first = from->port_first,
		.port_last = from->port_last,
	};
}

void host_access_write_change(const struct nft_element *from, struct host_access_change *to)
{
	*to = (struct host_access_change){ .family = from->key.family,
					   .was = from->was,
					   .is = from->is };
	write_address(&from->key, to->address);
}

struct nft_element host_access_read_change(const struct host_access_change *from)
{
	return (struct nft_element){ .key = read_address((uint8_t)from->family, from->address),
				     .was = from->was,
				     .is = from->is };
}

/* --- Judging --- */

static bool is_zero(const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		if (b[i] != 0)
			return false;
	return true;
}

static bool is_address(uint32_t family, const uint8_t address[16])
{
	return family == ADDR_V6 || (family == ADDR_V4 && is_zero(address + 4, 12));
}

static bool is_rule(const struct host_access_rule *r)
{
	struct access_rule rule;

	if (r->zero != 0 || r->protocol > ACCESS_ICMP || !is_address(r->family, r->address))
		return false;
	rule = host_access_read_rule(r);
	return access_is_possible(&rule);
}

static bool is_change(const struct host_access_change *c)
{
	return is_address(c->family, c->address) && c->was != c->is;
}

static const char *judge_list(const struct host_access *body)
{
	if (body->list == 0 || body->n > HOST_ACCESS_RULES_MAX)
		return "a list without a number, or with too many rules";
	for (size_t i = 0; i < body->n; i++)
		if (!is_rule(&body->rules[i]))
			return "a rule that cannot be";
	if (!is_zero(&body->rules[body->n], sizeof(*body) - sizeof(body->list) -
						    sizeof(body->n) -
						    body->n * sizeof(body->rules[0])))
		return "something behind the rules";
	return NULL;
}

static const char *judge_members(const struct host_access *body)
{
	if (body->list != 0 || body->n == 0 || body->n > HOST_ACCESS_CHANGES_MAX)
		return "members of a list, or none, or too many";
	for (size_t i = 0; i < body->n; i++)
		if (!is_change(&body->changes[i]))
			return "a member that cannot be";
	if (!is_zero(&body->changes[body->n],
		     (HOST_ACCESS_CHANGES_MAX - body->n) * sizeof(body->changes[0])))
		return "something behind the members";
	return NULL;
}

const char *host_access_judge(uint32_t type, const struct host_access *body)
{
	switch (type) {
	case HOST_ACCESS_LIST:
		return judge_list(body);
	case HOST_ACCESS_REMOVE:
		return body->n != 0 ? "rules of a list that goes" : judge_list(body);
	case HOST_ACCESS_MEMBERS:
		return judge_members(body);
	default:
		return "a body where none belongs";
	}
}
