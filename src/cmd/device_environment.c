/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/device_environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "net/resolve.h"
#include "sys/log.h"

enum {
	PORT_DEFAULT = 51820,
	MTU_DEFAULT = 1380,
	KEEPALIVE_MAX = 65535,
	NAME_MAX_LEN = 64,
	HOST_MAX_LEN = 255,
};

static int refuse(const char *name, const char *expected)
{
	fprintf(stderr, "culvert device: %s: %s\n", name, expected);
	return EXIT_REFUSED;
}

/* Empty is as good as unset: that is what a file of a container's settings leaves behind. */
static const char *value_of(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

bool device_environment_truth(const char *name)
{
	static const char *const words[] = { "1", "true", "yes", "on" };
	const char *value = value_of(name);

	for (size_t i = 0; value && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}

/* By contract what cannot be read is as if it had not been said. */
static uint64_t number_or(const char *name, uint64_t min, uint64_t max, uint64_t otherwise)
{
	const char *value = value_of(name);
	uint64_t n = 0;

	return value && decimal_parse(value, strlen(value), max, &n) == 0 && n >= min
		       ? n
		       : otherwise;
}

void device_environment_defaults(struct usernet_options *o)
{
	uint32_t otherwise = value_of("WG_PRIVATE_KEY") ? MTU_DEFAULT : o->mtu;

	o->mtu = (uint32_t)number_or("WG_MTU", USERNET_MTU_MIN, USERNET_MTU_MAX, otherwise);
	o->refuses_v6 = device_environment_truth("WG_DISABLE_IPV6");
}

/* The next of a list with commas, without blanks around it. false: none is left. */
static bool next_word(const char **list, char *out, size_t room, bool *ret_fits)
{
	const char *at = *list;
	size_t len;

	at += strspn(at, ", \t");
	len = strcspn(at, ", \t");
	*list = at + len;
	*ret_fits = len < room;
	if (len == 0)
		return false;
	if (*ret_fits) {
		memcpy(out, at, len);
		out[len] = '\0';
	}
	return true;
}

/* --- Peers --- */

static int add_line(struct uapi_set *set, const char *key, const char *value)
{
	struct diag d = { 0 };
	struct text line = { .max = 512 };
	int err;

	text_printf(&line, "%s=%s", key, value);
	err = line.err < 0 ? UAPI_EINVAL : uapi_set_line(set, line.data, line.len, &d);
	text_done(&line);
	return err;
}

static int add_allowed(struct uapi_set *set, const char *name)
{
	const char *list = value_of(name);
	char word[ADDR_TEXT_MAX];
	bool fits = true;

	while (list && next_word(&list, word, sizeof(word), &fits))
		if (!fits || add_line(set, "allowed_ip", word) != 0)
			return refuse(name, "networks with commas between them are expected");
	return EXIT_DONE;
}

/* "host:port", "[v6]:port". The host may be a name: whoever cannot be found may still call us. */
static int add_endpoint(struct uapi_set *set, const char *name)
{
	const char *value = value_of(name), *colon = value ? strrchr(value, ':') : NULL;
	char host[HOST_MAX_LEN + 1], text[ADDR_TEXT_MAX];
	struct endpoint endpoint;
	uint64_t port = 0;
	size_t len;

	if (!value)
		return EXIT_DONE;
	if (endpoint_parse(value, &endpoint) == 0)
		return add_line(set, "endpoint", value) == 0
			       ? EXIT_DONE
			       : refuse(name, "host:port is expected");
	len = colon ? (size_t)(colon - value) : 0;
	if (len == 0 || len >= sizeof(host) ||
	    decimal_parse(colon + 1, strlen(colon + 1), UINT16_MAX, &port) < 0 || port == 0)
		return refuse(name, "host:port is expected");
	memcpy(host, value, len);
	host[len] = '\0';
	if (resolve_endpoint(host, (uint16_t)port, &endpoint) == 0)
		return add_line(set, "endpoint", endpoint_format(&endpoint, text)) == 0
			       ? EXIT_DONE
			       : refuse(name, "host:port is expected");
	log_warning("%s: %s is not found now; this peer has to call", name, host);
	return EXIT_DONE;
}

static int add_keepalive(struct uapi_set *set, const char *name)
{
	uint64_t seconds = number_or(name, 0, KEEPALIVE_MAX, 0);
	char text[8];

	if (!value_of(name))
		return EXIT_DONE;
	snprintf(text, sizeof(text), "%u", (unsigned int)seconds);
	return add_line(set, "persistent_keepalive_interval", text) == 0
		       ? EXIT_DONE
		       : refuse(name, "seconds are expected");
}

static int add_peer(struct uapi_set *set, const char *index)
{
	static const struct {
		const char *suffix;
		int (*add)(struct uapi_set *set, const char *name);
	} members[] = {
		{ "ALLOWED_IPS", add_allowed },
		{ "ENDPOINT", add_endpoint },
		{ "KEEPALIVE", add_keepalive },
	};
	char name[NAME_MAX_LEN], hex[KEY_HEX_LEN + 1];
	const char *value;
	uint8_t key[32];
	int code = EXIT_DONE;

	snprintf(name, sizeof(name), "WG_PEER_%.16s_PUBLIC_KEY", index);
	value = value_of(name);
	if (!value) {
		log_warning("%s is not set: there is no peer %s", name, index);
		return EXIT_DONE;
	}
	if (key_from_base64(value, strlen(value), key) < 0)
		return refuse(name, "a key in base64 is expected");
	key_to_hex(key, hex);
	if (add_line(set, "public_key", hex) != 0)
		return refuse(name, "this key cannot be used");
	for (size_t i = 0; code == EXIT_DONE && i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(name, sizeof(name), "WG_PEER_%.16s_%s", index, members[i].suffix);
		code = members[i].add(set, name);
	}
	return code;
}

static int add_peers(struct uapi_set *set)
{
	const char *list = value_of("WG_PEERS");
	int code = EXIT_DONE;
	bool fits = true;
	char index[17];

	while (code == EXIT_DONE && list && next_word(&list, index, sizeof(index), &fits)) {
		if (!fits || strspn(index, "0123456789") != strlen(index))
			return refuse("WG_PEERS",
				      "numbers with commas between them are expected");
		if (set->n_peers == DEVICE_ENVIRONMENT_PEERS)
			return refuse("WG_PEERS", "there are at most 4096 peers");
		code = add_peer(set, index);
	}
	return code;
}

/* --- What lies around the tunnel --- */

static int add_outside(struct usernet_options *o, const char *text)
{
	if (o->n_outside == USERNET_OUTSIDE_MAX ||
	    ip_prefix_parse(text, false, &o->outside[o->n_outside]) < 0)
		return refuse("WG_OVERLAY_EXCLUDE_CIDRS",
			      "at most 64 networks with commas between them are expected");
	o->n_outside++;
	return EXIT_DONE;
}

/* Off: to a peer's address, too, packets leave through sockets. */
static int read_overlay(struct usernet_options *o)
{
	bool is_on = device_environment_truth("WG_OVERLAY_ROUTING");
	const char *list = is_on ? value_of("WG_OVERLAY_EXCLUDE_CIDRS") : "0.0.0.0/0,::/0";
	char word[ADDR_TEXT_MAX];
	int code = EXIT_DONE;
	bool fits = true;

	while (code == EXIT_DONE && list && next_word(&list, word, sizeof(word), &fits))
		code = add_outside(o, fits ? word : "");
	return code;
}

static int open_capture(struct usernet_options *o)
{
	const char *path = value_of("WG_PCAP");

	if (!path)
		return EXIT_DONE;
	o->capture_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (o->capture_fd == 0) /* standard input was closed; 0 is none */
		o->capture_fd = fcntl(0, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (o->capture_fd > 0)
		return EXIT_DONE;
	fprintf(stderr, "culvert device: WG_PCAP: %s: %s\n", path, err_text(-errno));
	return EXIT_FAILED;
}

static int read_private_key(struct uapi_set *set, char *value)
{
	int err = key_from_base64(value, strlen(value), set->private_key.b);

	secret_wipe(value, strlen(value)); /* it need not be in /proc any longer */
	set->has_private_key = err == 0;
	return err == 0 ? EXIT_DONE : refuse("WG_PRIVATE_KEY", "a key in base64 is expected");
}

int device_environment_read(struct uapi_set *set, struct usernet_options *o, bool *ret_is_whole)
{
	char *key = getenv("WG_PRIVATE_KEY");
	int code = open_capture(o);

	*ret_is_whole = key && key[0];
	if (!key || !key[0] || code != EXIT_DONE)
		return code;
	set->listen_port = (uint16_t)number_or("WG_LISTEN_PORT", 1, UINT16_MAX, PORT_DEFAULT);
	set->has_listen_port = true;
	set->replace_peers = true;
	code = read_private_key(set, key);
	if (code == EXIT_DONE)
		code = read_overlay(o);
	return code == EXIT_DONE ? add_peers(set) : code;
}
