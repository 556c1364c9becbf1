/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nft refuses to add an element whose key is there with another verdict, and to remove one
 * that is not there. Hence @was in each change: nothing has to be read back from the kernel, and a
 * caller whose picture is wrong is told.
 */
#include "host/access.h"

#include "base/text.h"
#include "net/nft.h"

enum { COMMANDS_MAX = 1 << 20 };

static void put_object(struct text *t, const char *verb, const char *object, const char *table)
{
	text_printf(t, "%s{\"%s\":{\"%s\":{\"family\":\"inet\",\"table\":\"%s\",",
		    t->len > 1 && t->data[t->len - 1] == '}' ? "," : "", verb, object, table);
}

static void begin(struct text *t, const char *interface, char table[NFT_TABLE_NAME_MAX])
{
	nft_table_name(interface, table);
	text_puts(t, "{\"nftables\":[");
}

static int finish(struct text *t, struct diag *d)
{
	int err;

	text_puts(t, "]}");
	err = t->err;
	if (err < 0)
		diag_set(d, err, 0, "access lists: %s", err_text(err));
	else
		err = nft_run(t->data, t->len, d);
	text_done(t);
	return err;
}

static const char *ip_word(uint8_t family)
{
	return family == ADDR_V4 ? "ip" : "ip6";
}

/* --- the maps --- */

static void put_map(struct text *t, const char *table, uint8_t family)
{
	put_object(t, "add", "map", table);
	text_printf(t, "\"name\":\"access%u\",\"type\":\"ipv%u_addr\",\"map\":\"verdict\"}}}",
		    family, family);
}

/* A chain of its own, behind those that translate and clamp; policy: nothing to say. */
static void put_hook(struct text *t, const char *table, const char *hook)
{
	put_object(t, "add", "chain", table);
	text_printf(t,
		    "\"name\":\"access_%s\",\"type\":\"filter\",\"hook\":\"%s\",\"prio\":0,"
		    "\"policy\":\"accept\"}}}",
		    hook, hook);
}

static void put_lookup(struct text *t, const char *table, const char *hook,
		       const char *interface, uint8_t family)
{
	put_object(t, "add", "rule", table);
	text_printf(t,
		    "\"chain\":\"access_%s\",\"expr\":[{\"match\":{\"op\":\"==\",\"left\":"
		    "{\"meta\":{\"key\":\"iifname\"}},\"right\":",
		    hook);
	nft_put_string(t, interface);
	text_printf(t,
		    "}},{\"vmap\":{\"key\":{\"payload\":{\"protocol\":\"%s\","
		    "\"field\":\"saddr\"}},\"data\":\"@access%u\"}}]}}}",
		    ip_word(family), family);
}

int access_begin(const char *interface, struct diag *d)
{
	static const char *const hooks[] = { "forward", "input" };
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];

	begin(&t, interface, table);
	put_map(&t, table, ADDR_V4);
	put_map(&t, table, ADDR_V6);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		put_hook(&t, table, hooks[i]);
		put_lookup(&t, table, hooks[i], interface, ADDR_V4);
		put_lookup(&t, table, hooks[i], interface, ADDR_V6);
	}
	return finish(&t, d);
}

/* --- lists --- */

static bool is_possible(const struct access_rule *r)
{
	bool has_ports = r->protocol == ACCESS_TCP || r->protocol == ACCESS_UDP;

	if (r->protocol < ACCESS_ANY || r->protocol > ACCESS_ICMP ||
	    (r->to.ip.family != ADDR_V4 && r->to.ip.family != ADDR_V6) ||
	    r->to.bits > ip_addr_bits(&r->to.ip))
		return false;
	if (!has_ports || (r->port_first == 0 && r->port_last == 0))
		return true;
	return r->port_first != 0 && r->port_first <= r->port_last;
}

static void put_protocol(struct text *t, const struct access_rule *r)
{
	static const char *const words[] = { [ACCESS_TCP] = "tcp", [ACCESS_UDP] = "udp" };
	const char *word = r->protocol == ACCESS_ICMP
				   ? r->to.ip.family == ADDR_V4 ? "icmp" : "ipv6-icmp"
				   : words[r->protocol];

	text_printf(t,
		    "{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"l4proto\"}},"
		    "\"right\":\"%s\"}},",
		    word);
	if (r->protocol != ACCESS_ICMP && r->port_first != 0)
		text_printf(
			t,
			"{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"th\","
			"\"field\":\"dport\"}},\"right\":{\"range\":[%u,%u]}}},",
			r->port_first, r->port_last);
}

static void put_rule(struct text *t, const char *table, uint32_t list,
		     const struct access_rule *r)
{
	char address[ADDR_TEXT_MAX];

	ip_addr_format(&r->to.ip, address);
	put_object(t, "add", "rule", table);
	text_printf(t,
		    "\"chain\":\"list_%u\",\"expr\":[{\"match\":{\"op\":\"==\",\"left\":{"
		    "\"meta\":{\"key\":\"nfproto\"}},\"right\":\"ipv%u\"}},",
		    list, r->to.ip.family);
	if (r->to.bits > 0)
		text_printf(
			t,
			"{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\","
			"\"field\":\"daddr\"}},\"right\":{\"prefix\":{\"addr\":\"%s\",\"len\":%u}}}},",
			ip_word(r->to.ip.family), address, r->to.bits);
	if (r->protocol != ACCESS_ANY)
		put_protocol(t, r);
	text_puts(t, "{\"accept\":null}]}}}");
}

/* Made if it was not there; emptied if it was. */
static void put_empty_list(struct text *t, const char *table, uint32_t list)
{
	put_object(t, "add", "chain", table);
	text_printf(t, "\"name\":\"list_%u\"}}}", list);
	put_object(t, "flush", "chain", table);
	text_printf(t, "\"name\":\"list_%u\"}}}", list);
}

static int check_list(uint32_t list, const struct access_rule *rules, size_t n, struct diag *d)
{
	if (list == 0)
		return diag_set(d, ERR_RANGE, 0, "access lists are numbered from 1");
	if (n > ACCESS_RULES_MAX)
		return diag_set(d, ERR_RANGE, 0, "an access list has at most %d rules",
				ACCESS_RULES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (!is_possible(&rules[i]))
			return diag_set(d, ERR_RANGE, 0,
					"rule %zu of the access list cannot be: a network, a "
					"protocol, and ports from 1 upwards are expected",
					i + 1);
	}
	return 0;
}

int access_set_list(const char *interface, uint32_t list, const struct access_rule *rules,
		    size_t n, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];
	int err = check_list(list, rules, n, d);

	if (err < 0)
		return err;
	begin(&t, interface, table);
	put_empty_list(&t, table, list);
	put_object(&t, "add", "rule", table);
	text_printf(&t,
		    "\"chain\":\"list_%u\",\"expr\":[{\"match\":{\"op\":\"in\",\"left\":{"
		    "\"ct\":{\"key\":\"state\"}},\"right\":[\"established\",\"related\"]}},"
		    "{\"accept\":null}]}}}",
		    list);
	for (size_t i = 0; i < n; i++)
		put_rule(&t, table, list, &rules[i]);
	put_object(&t, "add", "rule", table);
	text_printf(&t, "\"chain\":\"list_%u\",\"expr\":[{\"drop\":null}]}}}", list);
	return finish(&t, d);
}

int access_remove_list(const char *interface, uint32_t list, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];

	begin(&t, interface, table);
	put_object(&t, "delete", "chain", table);
	text_printf(&t, "\"name\":\"list_%u\"}}}", list);
	return finish(&t, d);
}

/* --- who has which --- */

static void put_element(struct text *t, const char *verb, const char *table,
			const struct ip_addr *peer, uint32_t list)
{
	char address[ADDR_TEXT_MAX];

	ip_addr_format(peer, address);
	put_object(t, verb, "element", table);
	text_printf(
		t,
		"\"name\":\"access%u\",\"elem\":[[\"%s\",{\"goto\":{\"target\":\"list_%u\"}}]]}}}",
		peer->family, address, list);
}

int access_apply(const char *interface, const struct access_change *changes, size_t n,
		 struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];

	if (n > ACCESS_CHANGES_MAX)
		return diag_set(d, ERR_RANGE, 0, "at most %d peers change lists at once",
				ACCESS_CHANGES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (changes[i].peer.family != ADDR_V4 && changes[i].peer.family != ADDR_V6)
			return diag_set(d, ERR_RANGE, 0, "change %zu has no address", i + 1);
	}
	begin(&t, interface, table);
	for (size_t i = 0; i < n; i++) {
		const struct access_change *c = &changes[i];

		if (c->was != 0)
			put_element(&t, "delete", table, &c->peer, c->was);
		if (c->is != 0)
			put_element(&t, "add", table, &c->peer, c->is);
	}
	return finish(&t, d);
}
