/* SPDX-License-Identifier: Apache-2.0 */
#include "net/nft.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "sys/program.h"

enum {
	JSON_MAX = 16384,
	PORT_FIRST = 1024, /* of translated flows; those below belong to services */
	PORT_LAST = 65535,
};

#define NFT_TIMEOUT_NS (UINT64_C(30) * 1000000000) /* a large set takes a while */

static const char *const nft_paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
					 "/usr/local/sbin/nft" };

void nft_table_name(const char *interface, char out[NFT_TABLE_NAME_MAX])
{
	snprintf(out, NFT_TABLE_NAME_MAX, "culvert_%s", interface);
	for (char *p = out; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_-.", *p))
			*p = '_';
	}
}

void nft_lists_name(const char *interface, char letter, char out[NFT_TABLE_NAME_MAX])
{
	size_t len;

	nft_table_name(interface, out);
	len = strlen(out);
	snprintf(out + len, NFT_TABLE_NAME_MAX - len, "/lists-%c", letter);
}

/* The first line of what nft said, without its "Error: ". */
static int refuse(struct diag *d, const struct program_result *result)
{
	const char *said = result->complaint;

	if (strncmp(said, "Error: ", 7) == 0)
		said += 7;
	if (*said == '\0')
		return diag_set(d, ERR_UNKNOWN, 0, "nft ended with status %d", result->status);
	return diag_set(d, ERR_UNKNOWN, 0, "nft: %.*s", (int)strcspn(said, "\n"), said);
}

static int run_nft(const char *const argv[], const char *input, size_t len,
		   struct program_result *result, struct diag *d)
{
	int err = -ENOENT;

	for (size_t i = 0; i < sizeof(nft_paths) / sizeof(nft_paths[0]) && err == -ENOENT; i++)
		err = program_run(nft_paths[i], argv, input, len, NFT_TIMEOUT_NS, result);
	if (err == -ENOENT)
		return diag_set(d, err, 0,
				"the program nft is missing; install the package nftables");
	if (err < 0)
		return diag_set(d, err, 0, "nft: %s", err_text(err));
	return result->status == 0 ? 0 : refuse(d, result);
}

int nft_run(const char *json, size_t len, struct diag *d)
{
	static const char *const argv[] = { "nft", "-j", "-f", "-", NULL };
	struct program_result result;

	return run_nft(argv, json, len, &result, d);
}

int nft_run_text(const char *text, size_t len, struct diag *d)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	struct program_result result;

	return run_nft(argv, text, len, &result, d);
}

static_assert((int)NFT_LIST_MAX == (int)PROGRAM_TEXT_MAX, "a list is what a program said");

int nft_list_table(const char *name, bool rules_only, char out[NFT_LIST_MAX], struct diag *d)
{
	const char *const whole[] = { "nft", "list", "table", "inet", name, NULL };
	const char *const rules[] = { "nft", "-s", "-t", "list", "table", "inet", name, NULL };
	struct program_result result;
	int err = run_nft(rules_only ? rules : whole, "", 0, &result, d);

	if (!err)
		memcpy(out, result.out, sizeof(result.out));
	return err;
}

void nft_put_string(struct text *t, const char *s)
{
	text_puts(t, "\"");
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\')
			text_printf(t, "\\u%04x", (unsigned int)(unsigned char)*s);
		else
			text_add(t, s, 1);
	}
	text_puts(t, "\"");
}

static void put_table(struct text *t, const char *verb, const char *table)
{
	text_printf(t, "{\"%s\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", verb,
		    table);
}

static void put_chain(struct text *t, const char *table, const char *name, const char *type,
		      const char *hook, int priority)
{
	text_printf(
		t,
		",{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"%s\",\"name\":\"%s\","
		"\"type\":\"%s\",\"hook\":\"%s\",\"prio\":%d,\"policy\":\"accept\"}}}",
		table, name, type, hook, priority);
}

static void begin_rule(struct text *t, const char *table, const char *chain)
{
	text_printf(
		t,
		",{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"%s\",\"chain\":\"%s\","
		"\"expr\":[",
		table, chain);
}

static void put_interface_match(struct text *t, const char *key, const char *op,
				const char *interface)
{
	text_printf(t,
		    "{\"match\":{\"op\":\"%s\",\"left\":{\"meta\":{\"key\":\"%s\"}},\"right\":",
		    op, key);
	nft_put_string(t, interface);
	text_puts(t, "}}");
}

static void put_source_match(struct text *t, const struct ip_prefix *subnet)
{
	char address[ADDR_TEXT_MAX];

	ip_addr_format(&subnet->ip, address);
	text_printf(
		t,
		"{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\","
		"\"field\":\"saddr\"}},\"right\":{\"prefix\":{\"addr\":\"%s\",\"len\":%u}}}},",
		subnet->ip.family == ADDR_V4 ? "ip" : "ip6", address, subnet->bits);
}

/* Flows with ports stay on one side of the tunnel's port, whichever has more of them. */
static void put_masquerade(struct text *t, const char *table, const struct nft_gateway *g,
			   const struct ip_prefix *subnet)
{
	bool is_below = g->port > (PORT_FIRST + PORT_LAST) / 2;

	begin_rule(t, table, "postrouting");
	put_source_match(t, subnet);
	put_interface_match(t, "oifname", "!=", g->interface);
	text_printf(t,
		    ",{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"l4proto\"}},"
		    "\"right\":{\"set\":[\"tcp\",\"udp\"]}}},"
		    "{\"masquerade\":{\"port\":{\"range\":[%d,%d]}}}]}}}",
		    is_below || g->port < PORT_FIRST ? PORT_FIRST : g->port + 1,
		    is_below ? g->port - 1 : PORT_LAST);
	begin_rule(t, table, "postrouting");
	put_source_match(t, subnet);
	put_interface_match(t, "oifname", "!=", g->interface);
	text_puts(t, ",{\"masquerade\":null}]}}}");
}

static void put_isolation(struct text *t, const char *table, const char *interface)
{
	begin_rule(t, table, "forward");
	put_interface_match(t, "iifname", "==", interface);
	text_puts(t, ",");
	put_interface_match(t, "oifname", "==", interface);
	text_puts(t, ",{\"drop\":null}]}}}");
}

/* @key: "iifname" or "oifname". */
static void put_clamp(struct text *t, const char *table, const char *interface, const char *key)
{
	begin_rule(t, table, "forward");
	put_interface_match(t, key, "==", interface);
	text_puts(
		t,
		",{\"match\":{\"op\":\"in\",\"left\":{\"payload\":{\"protocol\":\"tcp\",\"field\":"
		"\"flags\"}},\"right\":\"syn\"}},"
		"{\"mangle\":{\"key\":{\"tcp option\":{\"name\":\"maxseg\",\"field\":\"size\"}},"
		"\"value\":{\"rt\":{\"key\":\"mtu\"}}}}]}}}");
}

static int run_text(struct text *t, struct diag *d)
{
	int err = t->err;

	if (err < 0)
		diag_set(d, err, 0, "nft: %s", err_text(err));
	else
		err = nft_run(t->data, t->len, d);
	text_done(t);
	return err;
}

int nft_gateway(const struct nft_gateway *g, struct diag *d)
{
	struct text t = { .max = JSON_MAX };
	char table[NFT_TABLE_NAME_MAX];

	nft_table_name(g->interface, table);
	text_puts(&t, "{\"nftables\":[");
	/* Deleting what is not there fails, so it is added first: one transaction replaces
	 * whatever an earlier run left. */
	put_table(&t, "add", table);
	text_puts(&t, ",");
	put_table(&t, "delete", table);
	text_puts(&t, ",");
	put_table(&t, "add", table);
	put_chain(&t, table, "postrouting", "nat", "postrouting", 100);
	put_chain(&t, table, "forward", "filter", "forward", -150);
	for (size_t i = 0; i < g->n; i++)
		put_masquerade(&t, table, g, &g->subnets[i]);
	if (g->isolate)
		put_isolation(&t, table, g->interface);
	put_clamp(&t, table, g->interface, "iifname");
	put_clamp(&t, table, g->interface, "oifname");
	text_puts(&t, "]}");
	return run_text(&t, d);
}

static void put_removal(struct text *t, const char *table)
{
	put_table(t, "add", table);
	text_puts(t, ",");
	put_table(t, "delete", table);
}

int nft_remove(const char *interface, struct diag *d)
{
	struct text t = { .max = JSON_MAX };
	char table[NFT_TABLE_NAME_MAX];

	nft_table_name(interface, table);
	text_puts(&t, "{\"nftables\":[");
	put_removal(&t, table);
	for (char letter = 'a'; letter <= 'b'; letter++) {
		nft_lists_name(interface, letter, table);
		text_puts(&t, ",");
		put_removal(&t, table);
	}
	text_puts(&t, "]}");
	return run_text(&t, d);
}
