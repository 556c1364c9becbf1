/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/device_usernet.h"

#include <stdio.h>
#include <string.h>

#include <sys/resource.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/device_environment.h"
#include "sys/log.h"

enum {
	MTU_DEFAULT = 1420,
	FLOWS_DEFAULT = 65536,
	FLOWS_LEAST = 64,
	DESCRIPTORS_BESIDE = 192, /* of the tunnel itself */
	DESCRIPTORS_TIER_A = 768, /* the same with tier A, and its pipes */
	LINE_MAX_LEN = 512,
};

void device_usernet_init(struct usernet_options *o)
{
	*o = (struct usernet_options){ .tier = USERNET_TIER_AUTO,
				       .mtu = MTU_DEFAULT,
				       .flows_max = FLOWS_DEFAULT };
	device_environment_defaults(o);
}

static int refuse(const char *what, const char *text)
{
	fprintf(stderr, "culvert device: %s, not \"%s\"\n", what, text);
	return EXIT_USAGE;
}

/* "10.0.0.1/24" keeps its host bits: they are our address. */
static int add_address(struct usernet_options *o, const char *text)
{
	struct ip_prefix prefix;
	char bare[ADDR_TEXT_MAX];
	size_t len = strcspn(text, "/");

	if (len >= sizeof(bare) || ip_prefix_parse(text, false, &prefix) < 0)
		return refuse("--address takes addresses with the length of their network",
			      text);
	memcpy(bare, text, len);
	bare[len] = '\0';
	if (ip_addr_parse(bare, &prefix.ip) < 0 || o->n_addresses == USERNET_ADDRESSES_MAX)
		return refuse("--address takes at most 8 addresses", text);
	o->addresses[o->n_addresses++] = prefix;
	return EXIT_DONE;
}

static int set_tier(struct usernet_options *o, const char *text)
{
	static const char *const names[] = { [USERNET_TIER_AUTO] = "auto",
					     [USERNET_TIER_A] = "tier-a",
					     [USERNET_TIER_B] = "tier-b" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			o->tier = (enum usernet_tier)i;
			return EXIT_DONE;
		}
	return refuse("--usernet= takes tier-a, tier-b or auto", text);
}

static int add_resolver(struct usernet_options *o, const char *text)
{
	struct ip_addr ip;

	if (ip_addr_parse(text, &ip) < 0 || o->n_resolvers == USERNET_RESOLVERS_MAX)
		return refuse("--dns takes at most three addresses", text);
	o->resolvers[o->n_resolvers++] = ip;
	return EXIT_DONE;
}

static int add_allowed(struct usernet_options *o, const char *text)
{
	struct ip_prefix prefix;

	if (ip_prefix_parse(text, false, &prefix) < 0 || o->n_allowed == USERNET_ALLOWED_MAX)
		return refuse("--allow takes at most 64 networks", text);
	o->allowed[o->n_allowed++] = prefix;
	return EXIT_DONE;
}

/* "8080=10.9.0.2:80", "udp:8080=[fd09::2]:80": as endpoints are written. */
static bool read_rule(const char *text, struct usernet_forward *ret)
{
	bool is_udp = strncmp(text, "udp:", 4) == 0;
	const char *to = strchr(text, '=');
	struct endpoint endpoint;
	uint64_t port = 0;

	if (is_udp || strncmp(text, "tcp:", 4) == 0)
		text += 4;
	if (!to || decimal_parse(text, (size_t)(to - text), 65535, &port) < 0 || port == 0 ||
	    endpoint_parse(to + 1, &endpoint) < 0 || endpoint.port == 0)
		return false;
	*ret = (struct usernet_forward){ .is_udp = is_udp,
					 .port = (uint16_t)port,
					 .to_port = endpoint.port,
					 .to = endpoint.ip };
	return true;
}

static int add_forward(struct usernet_options *o, const char *text)
{
	if (o->n_forwards == USERNET_FORWARDS_MAX ||
	    !read_rule(text, &o->forwards[o->n_forwards]))
		return refuse("--forward takes at most 64 of [tcp:|udp:]PORT=ADDRESS:PORT",
			      text);
	o->n_forwards++;
	return EXIT_DONE;
}

static int add_service(struct usernet_options *o, const char *text)
{
	if (o->n_services == USERNET_FORWARDS_MAX ||
	    !read_rule(text, &o->services[o->n_services]))
		return refuse("--serve takes at most 64 of [tcp:|udp:]PORT=ADDRESS:PORT", text);
	o->n_services++;
	return EXIT_DONE;
}

static int add_each(struct usernet_options *o, const char *text,
		    int (*add)(struct usernet_options *o, const char *text))
{
	char one[ADDR_TEXT_MAX + sizeof("udp:65535=")];
	int code = EXIT_DONE;

	while (code == EXIT_DONE) {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(one))
			return refuse("an address is shorter", text);
		memcpy(one, text, len);
		one[len] = '\0';
		code = add(o, one);
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	return code;
}

static int read_number(const char *what, const char *text, uint32_t min, uint32_t max,
		       uint32_t *ret)
{
	uint64_t n = 0;

	if (decimal_parse(text, strlen(text), max, &n) < 0 || n < min) {
		fprintf(stderr, "culvert device: %s takes a number from %u to %u, not \"%s\"\n",
			what, min, max, text);
		return EXIT_USAGE;
	}
	*ret = (uint32_t)n;
	return EXIT_DONE;
}

int device_usernet_read(struct usernet_options *o, enum device_usernet_option option,
			const char *text)
{
	switch (option) {
	case DEVICE_USERNET_TIER:
		return set_tier(o, text);
	case DEVICE_USERNET_ADDRESS:
		return add_each(o, text, add_address);
	case DEVICE_USERNET_DNS:
		return add_each(o, text, add_resolver);
	case DEVICE_USERNET_ALLOW:
		return add_each(o, text, add_allowed);
	case DEVICE_USERNET_FORWARD:
		return add_each(o, text, add_forward);
	case DEVICE_USERNET_SERVE:
		return add_each(o, text, add_service);
	case DEVICE_USERNET_ISOLATE:
		o->isolates_peers = true;
		return EXIT_DONE;
	case DEVICE_USERNET_MTU:
		return read_number("--mtu", text, USERNET_MTU_MIN, USERNET_MTU_MAX, &o->mtu);
	case DEVICE_USERNET_FLOWS:
		return read_number("--flows", text, FLOWS_LEAST, USERNET_FLOWS_MAX,
				   &o->flows_max);
	}
	return EXIT_USAGE;
}

/* resolv.conf(5): lines "nameserver ADDRESS". */
static void read_system_resolvers(struct usernet_options *o)
{
	char line[LINE_MAX_LEN], word[ADDR_TEXT_MAX];
	FILE *file = fopen("/etc/resolv.conf", "re");

	while (file && o->n_resolvers < USERNET_RESOLVERS_MAX &&
	       fgets(line, sizeof(line), file)) {
		struct ip_addr ip;

		if (sscanf(line, " nameserver %71s", word) == 1 &&
		    ip_addr_parse(word, &ip) == 0)
			o->resolvers[o->n_resolvers++] = ip;
	}
	if (file)
		fclose(file);
}

static void fit_descriptors(struct usernet_options *o)
{
	struct rlimit limit = { 0 };
	rlim_t wanted = (rlim_t)o->flows_max + DESCRIPTORS_BESIDE, most = wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (o->tier != USERNET_TIER_B) /* two for a flow, and usernet fits itself to fewer */
		most = 2 * (rlim_t)o->flows_max + DESCRIPTORS_TIER_A;
	if (limit.rlim_cur < most) {
		limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return;
	o->flows_max = limit.rlim_cur > DESCRIPTORS_BESIDE + FLOWS_LEAST
			       ? (uint32_t)(limit.rlim_cur - DESCRIPTORS_BESIDE)
			       : FLOWS_LEAST;
	log_info(
		"at most %u connections at a time: so many descriptors are allowed (ulimit -n)",
		o->flows_max);
}

void device_usernet_finish(struct usernet_options *o)
{
	if (o->n_resolvers == 0)
		read_system_resolvers(o);
	fit_descriptors(o);
}
