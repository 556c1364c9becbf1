/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/connect_proxy.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include "cmd/command.h"

enum { FILE_MAX = 4096 };

#define DNS_DEFAULT "1.1.1.1,8.8.8.8,9.9.9.9"

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert connect: %s%s\n", what, word);
	return code;
}

/* 10.0.0.1 is the tunnel's own end, which passes queries on. Addresses have no network: that might be the one that
 * the proxy is in. */
static const char file[] = "[Interface]\n"
			   "PrivateKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAUE=\n"
			   "Address = %s/32, fdcc:756c:7672::2/128\n"
			   "DNS = 10.0.0.1\n"
			   "MTU = 1500\n"
			   "[Peer]\n"
			   "PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
			   "AllowedIPs = 0.0.0.0/0, ::/0\n"
			   "Endpoint = %s\n";

static bool is_ours(const struct ifaddrs *first, const char *text)
{
	struct in_addr wanted, has;

	inet_pton(AF_INET, text, &wanted);
	for (const struct ifaddrs *i = first; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&has, (const char *)i->ifa_addr + offsetof(struct sockaddr_in, sin_addr),
		       sizeof(has));
		if (has.s_addr == wanted.s_addr)
			return true;
	}
	return false;
}

/* What comes to the tunnel's address beside the tunnel is dropped: it must not be one that this host lives by. */
static const char *find_address(void)
{
	static const char *const addresses[] = { "10.0.0.2", "10.255.255.2", "172.31.255.2" };
	struct ifaddrs *first = NULL;
	size_t n = 0;

	if (getifaddrs(&first) == 0)
		while (n < sizeof(addresses) / sizeof(addresses[0]) - 1 &&
		       is_ours(first, addresses[n]))
			n++;
	freeifaddrs(first);
	return addresses[n];
}

static int make_file(struct connect_proxy *p)
{
	struct diag d = { .text = "" };

	p->file.max = FILE_MAX;
	text_printf(&p->file, file, find_address(), p->target);
	if (strpbrk(p->target, " \t\r\n#") || p->file.err ||
	    wgconf_parse(p->file.data, p->file.len, &p->conf, &d) < 0)
		return complain(EXIT_USAGE,
				"a proxy is HOST:PORT (an IPv6 address in brackets), not ",
				p->target);
	return EXIT_DONE;
}

/* The tunnel's process reads it again, from the root directory. */
static int find_key(struct connect_proxy *p)
{
	if (p->key_file && !realpath(p->key_file, p->key_path))
		return complain(EXIT_FAILED, "no such file: ", p->key_file);
	return proxy_settings_key(&p->settings, p->key_file, p->user);
}

int connect_proxy_make(struct connect_proxy *p, struct client_config *config)
{
	const char *dns = p->dns ? p->dns : DNS_DEFAULT;
	int code = EXIT_DONE;

	proxy_settings_init(&p->settings, "culvert connect");
	code = make_file(p);
	if (code == EXIT_DONE)
		code = proxy_settings_resolvers(&p->settings, dns);
	if (code == EXIT_DONE)
		code = find_key(p);
	if (code != EXIT_DONE)
		return code;
	p->client = (struct client_proxy){ .usernet = &p->settings.usernet,
					   .dns = dns,
					   .key_file = p->key_file ? p->key_path : NULL,
					   .user = p->user };
	config->conf = &p->conf;
	config->proxy = &p->client;
	config->name = "proxy";
	config->options.is_tcp = true;
	return EXIT_DONE;
}

void connect_proxy_done(struct connect_proxy *p)
{
	proxy_settings_done(&p->settings);
	wgconf_done(&p->conf);
	text_done(&p->file);
}
