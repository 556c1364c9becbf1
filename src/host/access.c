/* SPDX-License-Identifier: Apache-2.0 */
#include "host/access.h"

#include <errno.h>

#include "base/text.h"
#include "net/nft.h"

enum {
	COMMANDS_MAX = 1 << 20,
	DAY_S = 86400,
	PRIORITY = -190, /* behind the tracking of connections (-200), before marks (-150) */
};

#define CHAIN "access"

static void name_table(const struct access *a, char letter, char out[NFT_TABLE_NAME_MAX])
{
	nft_lists_name(a->interface, letter, out);
}

static char other(char letter)
{
	return letter == 'a' ? 'b' : 'a';
}

static void put_comma(struct text *t)
{
	if (t->data[t->len - 1] == '}')
		text_puts(t, ",");
}

static void put_table(struct text *t, const char *verb, const char *table)
{
	put_comma(t);
	text_printf(t, "{\"%s\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", verb,
		    table);
}

/* Deleting what is not there fails, so it is added first. */
static void put_removal(struct text *t, const char *table)
{
	put_table(t, "add", table);
	put_table(t, "delete", table);
}

static void put_object(struct text *t, const char *verb, const char *object, const char *table)
{
	put_comma(t);
	text_printf(t, "{\"%s\":{\"%s\":{\"family\":\"inet\",\"table\":\"%s\",", verb, object,
		    table);
}

static void begin(struct text *t)
{
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

/* The table that changes are for. */
static int find_table(const struct access *a, char out[NFT_TABLE_NAME_MAX], struct diag *d)
{
	if (!a->staged && !a->in_force)
		return diag_set(d, ERR_UNKNOWN, 0, "there is no table of access lists");
	name_table(a, a->staged ? a->staged : a->in_force, out);
	return 0;
}

/* --- the tables --- */

/* Taking what cannot be read for absent, access_stage() might begin in the table that is in force. */
int access_init(struct access *a, const char *interface)
{
	struct access found = { .interface = interface };
	char table[NFT_TABLE_NAME_MAX];

	*a = (struct access){ .interface = NULL };
	for (char letter = 'a'; letter <= 'b'; letter++) {
		int has;

		name_table(&found, letter, table);
		has = nft_has_chain(table, CHAIN);
		if (has < 0)
			return has;
		if (has == 1)
			found.in_force = letter;
	}
	*a = found;
	return 0;
}

int access_clear(struct access *a, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];
	int err;

	begin(&t);
	for (char letter = 'a'; letter <= 'b'; letter++) {
		name_table(a, letter, table);
		put_removal(&t, table);
	}
	err = finish(&t, d);
	if (err == 0)
		a->in_force = a->staged = 0;
	return err;
}

/* For a map of a fixed size the kernel would set all of it aside at once, 32 MiB for addresses; one
 * whose elements could time out grows with them. None of ours does: it need not look for those. */
static void put_map(struct text *t, const char *table, const char *name, const char *types,
		    int size)
{
	put_object(t, "add", "map", table);
	text_printf(
		t,
		"\"name\":\"%s\",%s,\"size\":%d,\"flags\":[\"timeout\"],\"gc-interval\":%d}}}",
		name, types, size, DAY_S);
}

/* Without a chain at a hook it does nothing yet. */
int access_stage(struct access *a, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char letter = other(a->in_force), table[NFT_TABLE_NAME_MAX];
	int err;

	name_table(a, letter, table);
	begin(&t);
	put_removal(&t, table);
	put_table(&t, "add", table);
	put_map(&t, table, "access4", "\"type\":\"ipv4_addr\",\"map\":\"mark\"",
		ACCESS_ADDRESSES_MAX);
	put_map(&t, table, "access6", "\"type\":\"ipv6_addr\",\"map\":\"mark\"",
		ACCESS_ADDRESSES_MAX);
	put_map(&t, table, "lists", "\"type\":\"mark\",\"map\":\"verdict\"", ACCESS_LISTS_MAX);
	err = finish(&t, d);
	a->staged = err == 0 ? letter : 0;
	return err;
}

static void begin_rule(struct text *t, const char *table)
{
	put_object(t, "add", "rule", table);
	text_puts(t, "\"chain\":\"" CHAIN "\",\"expr\":[");
}

static void put_mark_match(struct text *t)
{
	text_puts(t, "{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"mark\"}},"
		     "\"right\":0}},{\"accept\":null}]}}}");
}

static void put_lookup(struct text *t, const char *table, uint8_t family)
{
	begin_rule(t, table);
	text_printf(t,
		    "{\"mangle\":{\"key\":{\"meta\":{\"key\":\"mark\"}},\"value\":{\"map\":{"
		    "\"key\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"saddr\"}},"
		    "\"data\":\"@access%u\"}}}}]}}}",
		    ip_word(family), family);
}

/* From here on its packets are looked at. */
static void put_hook(struct text *t, const char *table, const char *interface)
{
	put_object(t, "add", "chain", table);
	text_printf(t,
		    "\"name\":\"" CHAIN "\",\"type\":\"filter\",\"hook\":\"prerouting\","
		    "\"prio\":%d,\"policy\":\"accept\"}}}",
		    PRIORITY);
	begin_rule(t, table);
	text_puts(t, "{\"match\":{\"op\":\"!=\",\"left\":{\"meta\":{\"key\":\"iifname\"}},"
		     "\"right\":");
	nft_put_string(t, interface);
	text_puts(t, "}},{\"accept\":null}]}}}");
	begin_rule(t, table);
	text_puts(t, "{\"mangle\":{\"key\":{\"meta\":{\"key\":\"mark\"}},\"value\":0}}]}}}");
	put_lookup(t, table, ADDR_V4);
	put_lookup(t, table, ADDR_V6);
	begin_rule(t, table);
	put_mark_match(t);
	begin_rule(t, table);
	text_puts(t, "{\"vmap\":{\"key\":{\"meta\":{\"key\":\"mark\"}},\"data\":\"@lists\"}}"
		     "]}}}");
	begin_rule(t, table);
	text_puts(t, "{\"drop\":null}]}}}");
}

int access_enforce(struct access *a, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];
	int err;

	if (!a->staged)
		return diag_set(d, ERR_UNKNOWN, 0, "no table of access lists was begun");
	begin(&t);
	name_table(a, a->staged, table);
	put_hook(&t, table, a->interface);
	name_table(a, other(a->staged), table);
	put_removal(&t, table);
	err = finish(&t, d);
	if (err < 0)
		return err;
	a->in_force = a->staged;
	a->staged = 0;
	return 0;
}

int access_check(struct access *a)
{
	char table[NFT_TABLE_NAME_MAX];
	int has;

	if (!a->in_force)
		return ERR_UNKNOWN;
	name_table(a, a->in_force, table);
	has = nft_has_chain(table, CHAIN);
	if (has == 0)
		a->in_force = 0;
	return has < 0 ? has : has ? 0 : ERR_UNKNOWN;
}

/* --- lists --- */

bool access_is_possible(const struct access_rule *r)
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

/* Without its mark. */
static void put_passing(struct text *t)
{
	text_puts(t, "{\"mangle\":{\"key\":{\"meta\":{\"key\":\"mark\"}},\"value\":0}},"
		     "{\"accept\":null}]}}}");
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
	put_passing(t);
}

/* Made if it was not there; emptied if it was. */
static void put_empty_list(struct text *t, const char *table, uint32_t list)
{
	put_object(t, "add", "chain", table);
	text_printf(t, "\"name\":\"list_%u\"}}}", list);
	put_object(t, "flush", "chain", table);
	text_printf(t, "\"name\":\"list_%u\"}}}", list);
}

/* It answers whoever reached it, and says when that did not work: not in FTP's sense, where what is
 * related is a connection to anywhere. */
static void put_answers(struct text *t, const char *table, uint32_t list)
{
	put_object(t, "add", "rule", table);
	text_printf(t,
		    "\"chain\":\"list_%u\",\"expr\":[{\"match\":{\"op\":\"==\",\"left\":{"
		    "\"ct\":{\"key\":\"direction\"}},\"right\":\"reply\"}},",
		    list);
	put_passing(t);
	put_object(t, "add", "rule", table);
	text_printf(t,
		    "\"chain\":\"list_%u\",\"expr\":[{\"match\":{\"op\":\"in\",\"left\":{"
		    "\"ct\":{\"key\":\"state\"}},\"right\":\"related\"}},{\"match\":{\"op\":"
		    "\"==\",\"left\":{\"meta\":{\"key\":\"l4proto\"}},\"right\":{\"set\":["
		    "\"icmp\",\"ipv6-icmp\"]}}},",
		    list);
	put_passing(t);
}

static void put_way_in(struct text *t, const char *verb, const char *table, uint32_t list)
{
	put_object(t, verb, "element", table);
	text_printf(t,
		    "\"name\":\"lists\",\"elem\":[[%u,{\"goto\":{\"target\":\"list_%u\"}}]]}}}",
		    list, list);
}

static int check_list(uint32_t list, const struct access_rule *rules, size_t n, struct diag *d)
{
	if (list == 0)
		return diag_set(d, ERR_RANGE, 0, "access lists are numbered from 1");
	if (n > ACCESS_RULES_MAX)
		return diag_set(d, ERR_RANGE, 0, "an access list has at most %d rules",
				ACCESS_RULES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (!access_is_possible(&rules[i]))
			return diag_set(d, ERR_RANGE, 0,
					"rule %zu of the access list cannot be: a network, a "
					"protocol, and ports from 1 upwards are expected",
					i + 1);
	}
	return 0;
}

int access_set_list(struct access *a, uint32_t list, const struct access_rule *rules, size_t n,
		    struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];
	int err = check_list(list, rules, n, d);

	if (err == 0)
		err = find_table(a, table, d);
	if (err < 0)
		return err;
	begin(&t);
	put_empty_list(&t, table, list);
	put_answers(&t, table, list);
	for (size_t i = 0; i < n; i++)
		put_rule(&t, table, list, &rules[i]);
	put_object(&t, "add", "rule", table);
	text_printf(&t, "\"chain\":\"list_%u\",\"expr\":[{\"drop\":null}]}}}", list);
	put_way_in(&t, "add", table, list);
	return finish(&t, d);
}

int access_remove_list(struct access *a, uint32_t list, struct diag *d)
{
	struct text t = { .max = COMMANDS_MAX };
	char table[NFT_TABLE_NAME_MAX];
	int err = find_table(a, table, d);

	if (err < 0)
		return err;
	begin(&t);
	put_way_in(&t, "delete", table, list);
	put_object(&t, "delete", "chain", table);
	text_printf(&t, "\"name\":\"list_%u\"}}}", list);
	return finish(&t, d);
}

/* --- who has which --- */

int access_apply(struct access *a, const struct nft_element *changes, size_t n, struct diag *d)
{
	char table[NFT_TABLE_NAME_MAX];
	int err = find_table(a, table, d);

	if (err < 0)
		return err;
	err = nft_elements_set(table, "access4", "access6", changes, n);
	switch (err) {
	case 0:
		return 0;
	case -E2BIG:
	case -EINVAL:
		return diag_set(
			d, ERR_RANGE, 0,
			"a change of access lists has no address, or there are more than %d",
			ACCESS_CHANGES_MAX);
	case -ENFILE: /* so the kernel says that a map is full */
		return diag_set(d, ERR_EXHAUSTED, 0,
				"more than %d addresses of a family have access lists",
				ACCESS_ADDRESSES_MAX);
	case -ENOENT:
	case -EEXIST:
		return diag_set(d, ERR_UNKNOWN, 0,
				"the addresses with access lists are others than believed");
	default:
		return diag_set(d, err, 0, "access lists: %s", err_text(err));
	}
}
