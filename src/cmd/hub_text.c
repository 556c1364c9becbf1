/* SPDX-License-Identifier: Apache-2.0 */
/* culvert hub: the files of a hub and of its spokes, as text. */
#include <string.h>

#include "base/codec.h"
#include "cmd/hub.h"

struct ip_addr hub_host(const struct hub_request *r, unsigned int n)
{
	struct ip_addr a = r->network.ip;
	uint32_t host = ((uint32_t)a.b[2] << 8 | a.b[3]) + n; /* networks of /16 or smaller */

	a.b[2] = (uint8_t)(host >> 8);
	a.b[3] = (uint8_t)host;
	return a;
}

unsigned int hub_host_number(const struct hub_request *r, const struct ip_addr *address)
{
	if (address->family != ADDR_V4 || !ip_prefix_contains(&r->network, address))
		return 0;
	return ((unsigned int)address->b[2] << 8 | address->b[3]) -
	       ((unsigned int)r->network.ip.b[2] << 8 | r->network.ip.b[3]);
}

bool hub_is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = strlen(name);

	return len >= 1 && len <= HUB_NAME_MAX && name[0] != '-' &&
	       strspn(name, allowed) == len && strcmp(name, "hub") != 0 &&
	       strcmp(name, "nodes") != 0;
}

unsigned int hub_name_number(const char *name)
{
	static const char prefix[] = "node-";
	const char *letter = name + sizeof(prefix) - 1;

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 || *letter < 'a' || *letter > 'z' ||
	    letter[1])
		return 0;
	return (unsigned int)(*letter - 'a') + 1;
}

static void put_key(struct text *out, const char *name, const uint8_t key[32])
{
	char base64[KEY_BASE64_LEN + 1];

	key_to_base64(key, base64);
	text_printf(out, "%s = %s\n", name, base64);
	secret_wipe(base64, sizeof(base64));
}

/* Forwarding is switched on for packets that come in from the tunnel and for no others, and the
 * switch goes with the interface: whoever else forwards on this host is left alone. */
void hub_text_hub(struct text *out, const struct hub_request *r, const struct secret_key *key)
{
	char hub[ADDR_TEXT_MAX];

	text_printf(out, "[Interface]\nAddress = %s/%u\nListenPort = %u\n",
		    ip_addr_format(&r->hub, hub), r->network.bits, r->port);
	put_key(out, "PrivateKey", key->b);
	text_puts(out, "PostUp = sysctl -q -w net/ipv4/conf/%i/forwarding=1\n");
}

void hub_text_peer(struct text *out, const char *name, const uint8_t key[32],
		   const struct ip_addr *address)
{
	char text[ADDR_TEXT_MAX];
	unsigned int number = hub_name_number(name);

	text_puts(out, "\n[Peer]\n");
	if (number)
		text_printf(out, "# Spoke %c\n", (char)('A' + number - 1));
	text_printf(out, "# friendly_name = %s\n", name);
	put_key(out, "PublicKey", key);
	text_printf(out, "AllowedIPs = %s/32\nPersistentKeepalive = %d\n",
		    ip_addr_format(address, text), HUB_KEEPALIVE_S);
}

void hub_text_spoke(struct text *out, const struct hub_request *r, const struct secret_key *key,
		    const char *hub_key, const char *endpoint, const struct ip_addr *address)
{
	char own[ADDR_TEXT_MAX], network[ADDR_TEXT_MAX];

	text_printf(out, "[Interface]\nAddress = %s/32\n", ip_addr_format(address, own));
	put_key(out, "PrivateKey", key->b);
	text_printf(out,
		    "ListenPort = %u\n\n[Peer]\n# Hub\nPublicKey = %s\nEndpoint = %s\n"
		    "AllowedIPs = %s\nPersistentKeepalive = %d\n",
		    r->port, hub_key, endpoint, ip_prefix_format(&r->network, network),
		    HUB_KEEPALIVE_S);
}

static void begin_table(struct text *out, const char *name)
{
	text_printf(out, "table inet %s\ndelete table inet %s\ntable inet %s {\n", name, name,
		    name);
}

static void put_hub_policy(struct text *out, const struct hub_request *r, const char *network)
{
	text_printf(
		out,
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter; policy drop;\n"
		"\t\tiifname \"lo\" accept\n"
		"\t\tct state established,related accept\n"
		"\t\tiifname \"%s\" drop\n" /* spokes reach each other, not the hub's ports */
		"\t\tmeta l4proto ipv6-icmp accept\n"
		"\t\ttcp dport 22 accept\n"
		"\t\tudp dport %u accept\n"
		"\t}\n",
		r->interface, r->port);
	text_printf(out,
		    "\tchain forward {\n"
		    "\t\ttype filter hook forward priority filter; policy drop;\n"
		    "\t\tiifname \"%s\" oifname \"%s\" accept\n"
		    "\t}\n"
		    "\tchain output {\n"
		    "\t\ttype filter hook output priority filter; policy accept;\n"
		    "\t\toifname \"%s\" ip daddr %s drop\n"
		    "\t}\n",
		    r->interface, r->interface, r->interface, network);
}

/* The hub is dropped before anything else: also what answers a connection. */
static void put_spoke_policy(struct text *out, const struct hub_request *r, const char *hub,
			     const char *network)
{
	text_printf(out,
		    "\tchain input {\n"
		    "\t\ttype filter hook input priority filter; policy drop;\n"
		    "\t\tiifname \"lo\" accept\n"
		    "\t\tiifname \"%s\" ip saddr %s drop\n"
		    "\t\tct state established,related accept\n"
		    "\t\tmeta l4proto ipv6-icmp accept\n"
		    "\t\ttcp dport 8000 accept\n"
		    "\t\tiifname \"%s\" ip saddr %s accept\n"
		    "\t}\n",
		    r->interface, hub, r->interface, network);
	text_puts(out, "\tchain forward {\n"
		       "\t\ttype filter hook forward priority filter; policy drop;\n"
		       "\t}\n"
		       "\tchain output {\n"
		       "\t\ttype filter hook output priority filter; policy accept;\n"
		       "\t}\n");
}

void hub_text_policy(struct text *out, const struct hub_request *r, enum hub_role role)
{
	char hub[ADDR_TEXT_MAX], network[ADDR_TEXT_MAX];

	ip_addr_format(&r->hub, hub);
	ip_prefix_format(&r->network, network);
	text_puts(out, "#!/usr/sbin/nft -f\n"
		       "# Replaces the whole table \"inet filter\" of this host.\n");
	begin_table(out, "filter");
	if (role == HUB_ROLE_HUB)
		put_hub_policy(out, r, network);
	else
		put_spoke_policy(out, r, hub, network);
	text_puts(out, "}\n");
}

static void put_hub_table(struct text *out, const char *interface)
{
	text_printf(out,
		    "\tchain input {\n"
		    "\t\ttype filter hook input priority -10; policy accept;\n"
		    "\t\tiifname \"%s\" counter drop\n"
		    "\t}\n"
		    "\tchain forward {\n"
		    "\t\ttype filter hook forward priority -10; policy accept;\n"
		    "\t\tiifname \"%s\" oifname \"%s\" accept\n"
		    "\t\tiifname \"%s\" counter drop\n"
		    "\t\toifname \"%s\" counter drop\n"
		    "\t}\n"
		    "\tchain output {\n"
		    "\t\ttype filter hook output priority -10; policy accept;\n"
		    "\t\toifname \"%s\" counter drop\n"
		    "\t}\n",
		    interface, interface, interface, interface, interface, interface);
}

/* Before connection tracking: a packet of the hub's leaves no trace. */
static void put_spoke_table(struct text *out, const struct hub_request *r, const char *hub,
			    const char *network)
{
	text_printf(out,
		    "\tchain prerouting {\n"
		    "\t\ttype filter hook prerouting priority raw; policy accept;\n"
		    "\t\tiifname \"%s\" ip saddr %s counter drop\n"
		    "\t\tiifname \"%s\" ip saddr != %s counter drop\n"
		    "\t}\n"
		    "\tchain forward {\n"
		    "\t\ttype filter hook forward priority -10; policy accept;\n"
		    "\t\tiifname \"%s\" counter drop\n"
		    "\t\toifname \"%s\" counter drop\n"
		    "\t}\n",
		    r->interface, hub, r->interface, network, r->interface, r->interface);
}

void hub_text_table(struct text *out, const struct hub_request *r, enum hub_role role)
{
	char hub[ADDR_TEXT_MAX], network[ADDR_TEXT_MAX];

	begin_table(out, HUB_TABLE);
	if (role == HUB_ROLE_HUB)
		put_hub_table(out, r->interface);
	else
		put_spoke_table(out, r, ip_addr_format(&r->hub, hub),
				ip_prefix_format(&r->network, network));
	text_puts(out, "}\n");
}
