/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_health.h - Does the world answer? One question over HTTP, one to a resolver
 *
 * They go out as any connection of this host, not through the tunnel: what fails for these fails for peers. Of an
 * https URL it is asked whether its port takes connections. The host of a URL is resolved once.
 *
 * Bounds:  DEVICE_HEALTH_PATIENCE_S for a question.
 * Threads: device_health_read() before others start; the rest by one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum { DEVICE_HEALTH_PATIENCE_S = 5, DEVICE_HEALTH_URL_MAX = 512 };

struct device_health {
	char url[DEVICE_HEALTH_URL_MAX];
	char host[256];
	const char *path;
	struct endpoint http; /* port 0: nothing is asked */
	bool is_https;
	char name[256]; /* "": nothing is asked */
	struct ip_addr resolver;
};

/**
 * device_health_read() - HEALTH_HTTP_URL, HEALTH_DNS_NAME, HEALTH_DNS_IP
 * @resolver:	Where names are asked for unless the last says so; may be none
 * Return: 0 or ERR_FORMAT with a sentence in @d.
 */
int device_health_read(struct device_health *h, const struct ip_addr *resolver, struct diag *d);

/* Ask, and log what came of it. */
void device_health_ask(const struct device_health *h);
