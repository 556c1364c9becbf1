/* SPDX-License-Identifier: Apache-2.0 */
#include "api/access_lists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/objects.h"
#include "api/time_text.h"
#include "base/codec.h"

enum {
	PROTOCOLS = ACCESS_ICMP + 1,
	PORTS_TEXT_MAX = 12, /* "65535-65535" */
};

static const char *const protocol_words[PROTOCOLS] = {
	[ACCESS_ANY] = "any",
	[ACCESS_TCP] = "tcp",
	[ACCESS_UDP] = "udp",
	[ACCESS_ICMP] = "icmp",
};

/* --- One rule, as JSON --- */

static bool read_port(const char *text, size_t len, uint16_t *ret)
{
	uint64_t port;

	if (decimal_parse(text, len, UINT16_MAX, &port) != 0 || port == 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* "443" or "8000-8100". */
static bool read_ports(const char *text, struct access_rule *r)
{
	size_t len = strcspn(text, "-");

	if (!read_port(text, len, &r->port_first))
		return false;
	r->port_last = r->port_first;
	return !text[len] || read_port(text + len + 1, strlen(text + len + 1), &r->port_last);
}

static bool read_protocol(const char *text, enum access_protocol *ret)
{
	for (int i = 0; i < PROTOCOLS; i++) {
		if (strcmp(text, protocol_words[i]) != 0)
			continue;
		*ret = (enum access_protocol)i;
		return true;
	}
	return false;
}

/* A member that is misspelt would leave a rule wider than it was meant. */
static bool has_strange_member(const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (strcmp(name, "to") != 0 && strcmp(name, "protocol") != 0 &&
		    strcmp(name, "ports") != 0)
			return true;
	}
	return false;
}

/* NULL and JSON's null alike. Return: false when it is there and no text. */
static bool take_text(const json_t *object, const char *name, const char **ret)
{
	const json_t *value = json_object_get(object, name);

	*ret = json_string_value(value);
	return !value || json_is_null(value) || *ret;
}

/* Return: NULL, or what is wrong with it. */
static const char *read_rule(const json_t *object, struct access_rule *ret)
{
	const char *to, *protocol, *ports;
	struct access_rule r = { .protocol = ACCESS_ANY };

	if (!json_is_object(object) || has_strange_member(object))
		return "is an object with \"to\", and perhaps \"protocol\" and \"ports\"";
	if (!take_text(object, "to", &to) || !to || ip_prefix_parse(to, false, &r.to) != 0)
		return "needs \"to\", a network or an address, like 10.9.0.0/24";
	if (!take_text(object, "protocol", &protocol) ||
	    (protocol && !read_protocol(protocol, &r.protocol)))
		return "has as \"protocol\" any, tcp, udp or icmp";
	if (!take_text(object, "ports", &ports) || (ports && !read_ports(ports, &r)) ||
	    r.port_first > r.port_last)
		return "has as \"ports\" a text like \"443\" or \"8000-8100\"";
	if (ports && r.protocol != ACCESS_TCP && r.protocol != ACCESS_UDP)
		return "has ports only where the protocol is tcp or udp";
	*ret = r;
	return NULL;
}

static json_t *ports_json(const struct access_rule *r)
{
	char text[PORTS_TEXT_MAX];

	if (r->port_first == 0)
		return json_null();
	if (r->port_first == r->port_last)
		snprintf(text, sizeof(text), "%u", r->port_first);
	else
		snprintf(text, sizeof(text), "%u-%u", r->port_first, r->port_last);
	return json_string(text);
}

static json_t *rule_json(const struct access_rule *r)
{
	char to[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:s, s:o}", "to", ip_prefix_format(&r->to, to), "protocol",
			 protocol_words[r->protocol], "ports", ports_json(r));
}

/* --- The body of a record: {"rules": […], "note": "…"} --- */

/* struct list - @note: borrowed; NULL: none */
struct list {
	struct access_rule rules[ACCESS_RULES_MAX];
	size_t n;
	const char *note;
};

static int read_rules(const json_t *array, struct access_rule *ret, size_t *ret_n)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > ACCESS_RULES_MAX)
		return ERR_CORRUPT;
	for (size_t i = 0; i < n; i++)
		if (read_rule(json_array_get(array, i), &ret[i]) != NULL)
			return ERR_CORRUPT;
	*ret_n = n;
	return 0;
}

/* Return: the body, which has the note; the caller owns it. */
static json_t *list_read(const struct record *record, struct list *ret)
{
	json_t *body = json_loads(record->body, 0, NULL);

	ret->n = 0;
	(void)read_rules(json_object_get(body, "rules"), ret->rules, &ret->n);
	ret->note = json_string_value(json_object_get(body, "note"));
	return body;
}

static int rules_of_body(const char *text, struct access_rule *ret, size_t *ret_n)
{
	json_t *body = json_loads(text, 0, NULL);
	int err = read_rules(json_object_get(body, "rules"), ret, ret_n);

	json_decref(body);
	return err;
}

const struct access_readers access_list_readers = {
	.rules = rules_of_body,
	.account_list = account_access_list,
};

static json_t *rules_json(const struct list *l)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(rules, rule_json(&l->rules[i]));
	return rules;
}

static char *list_write(const struct list *l)
{
	json_t *body = json_pack("{s:o, s:s?}", "rules", rules_json(l), "note", l->note);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	return text;
}

/* --- Requests --- */

static json_t *list_json(const struct record *record)
{
	char created[TIME_TEXT_MAX];
	struct list l;
	json_t *body = list_read(record, &l);
	json_t *json = json_pack(
		"{s:I, s:s, s:o, s:s?, s:I, s:I, s:s}", "id", (json_int_t)record->id, "name",
		record->name, "rules", rules_json(&l), "note", l.note, "peers",
		(json_int_t)record->n_peers, "accounts", (json_int_t)record->n_accounts,
		"created", time_text_utc(record->created_ns, created));

	json_decref(body);
	return json;
}

static void made(struct call *call, int err, unsigned int status)
{
	const struct record *one = object_made(call, STORE_ACCESS, err);

	if (one)
		call_reply(call, status, list_json(one));
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	(void)carried, (void)peer; /* nobody has it yet */
	made(context, err, 201);
}

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	(void)peer;
	if (err == 0 && carried != 0)
		call_refuse(context, 503, "Stored, but it is not in force yet");
	else
		made(context, err, 200);
}

static void put(struct call *call, int64_t id, const char *name, const struct list *l)
{
	struct gateway_grant grant = call_grant(call);
	char *body = NULL;

	if (call->api->is_usernet) {
		call_refuse(
			call, 409,
			"A gateway without an interface (usernet) has no firewall: it cannot "
			"keep peers to a list; --peer-isolation and --allow are for all");
		return;
	}
	body = list_write(l);
	if (!body) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	call->id = id;
	object_follow_put(call, gateway_put_record(call->api->gateway, STORE_ACCESS, id, name,
						   body, id ? "access.update" : "access.create",
						   &grant, id ? changed : created, call));
	free(body);
}

static void read_list(struct json_reader *r, bool required, struct list *l)
{
	const json_t *rules = NULL;
	char why[128];

	if (json_object_get(r->object, "note"))
		l->note = NULL;
	json_take_text(r, "note", false, STORE_NOTE_MAX, &l->note);
	json_take_list(r, "rules", &rules);
	json_refuse_unknown(r, (const char *const[]){ "name", "note", "rules", NULL });
	if (!rules && required && json_reader_is_well(r))
		json_refuse(r, "rules", "missing", "Field required");
	if (!rules)
		return;
	l->n = 0;
	if (json_array_size(rules) > ACCESS_RULES_MAX) {
		json_refuse(r, "rules", "value_error", "A list has at most 256 rules");
		return;
	}
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const char *wrong = read_rule(json_array_get(rules, i), &l->rules[l->n++]);

		if (!wrong)
			continue;
		snprintf(why, sizeof(why), "Rule %zu %s", i + 1, wrong);
		json_refuse(r, "rules", "value_error", why);
		return;
	}
}

void access_lists_create(struct call *call)
{
	struct list l = { .n = 0 };
	struct json_reader r;
	const char *name;

	if (!call_read_members(call, &r))
		return;
	name = object_read_name(&r, true);
	read_list(&r, true, &l);
	if (call_end_members(call, &r) && object_has_room(call, STORE_ACCESS))
		put(call, 0, name, &l);
}

void access_lists_change(struct call *call)
{
	const struct record *one = object_find(call, STORE_ACCESS);
	struct json_reader r;
	struct list l;
	const char *name;
	json_t *body;

	if (!one) {
		object_refuse_unknown(call);
		return;
	}
	if (!call_read_members(call, &r))
		return;
	body = list_read(one, &l);
	name = object_read_name(&r, false);
	read_list(&r, false, &l);
	if (call_end_members(call, &r))
		put(call, one->id, name ? name : one->name, &l);
	json_decref(body);
}

/* Names of networks are not for whoever is let in by one account's key. */
static bool may_see(struct call *call)
{
	if (call->who.account_id == 0)
		return true;
	call_refuse(call, 403, "A key of an account does not see access lists");
	return false;
}

void access_lists_list(struct call *call)
{
	json_t *page =
		may_see(call) ? object_page(call, STORE_ACCESS, "access", list_json) : NULL;

	if (!page)
		return;
	json_object_set_new(page, "isolation", json_boolean(call->api->isolates_peers));
	call_reply(call, 200, page);
}

void access_lists_show(struct call *call)
{
	if (may_see(call))
		object_show(call, STORE_ACCESS, list_json);
}

void access_lists_delete(struct call *call)
{
	object_drop(call, STORE_ACCESS, "access.delete",
		    "Peers or accounts still have it: give them another first");
}
