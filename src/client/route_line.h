/* SPDX-License-Identifier: Apache-2.0 */
/**
 * route_line.h - One line of `ip route`, taken apart into fields that can be given back to it
 *
 * A line comes from a file that may be years old or somebody else's. It is never evaluated: what is not one
 * of the words below, with a value of its kind, is refused, and what goes to ip(8) are the fields.
 *
 * Source:  ip-route(8), as it prints IPv4 routes.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum {
	ROUTE_LINE_MAX = 512,
	ROUTE_LINE_DEVICE_MAX = 16, /* with its NUL */
	ROUTE_LINE_WORD_MAX = 16,
	ROUTE_LINE_ARGUMENTS_MAX = 24,
};

/**
 * struct route_line - One route; a text that is "", a family that is ADDR_NONE: not said
 * @is_default:	"default", or 0.0.0.0/0
 * @destination: Unless it is the default
 * @protocol:	"dhcp", "static", "16"
 * @scope:	"link", "global"
 */
struct route_line {
	bool is_default;
	bool is_onlink;
	bool has_metric;
	struct ip_prefix destination;
	struct ip_addr via;
	struct ip_addr source;
	uint32_t metric;
	char device[ROUTE_LINE_DEVICE_MAX];
	char protocol[ROUTE_LINE_WORD_MAX];
	char scope[ROUTE_LINE_WORD_MAX];
};

/**
 * route_line_read() - @text: without its newline
 *
 * Flags such as "linkdown", and an expiry, are of a moment and left out.
 *
 * Return: 0; ERR_FORMAT with a sentence in @d.
 */
int route_line_read(const char *text, size_t len, struct route_line *ret, struct diag *d);

bool route_line_equal(const struct route_line *a, const struct route_line *b);

/**
 * struct route_arguments - The same as arguments of ip(8), after "route replace"
 * @words:	Into @text; NULL behind the last
 */
struct route_arguments {
	const char *words[ROUTE_LINE_ARGUMENTS_MAX];
	size_t n;
	char text[ROUTE_LINE_MAX];
	size_t len;
};

/** route_line_put() - Append the fields of @r to @out, whose @n and @len are 0 at first */
void route_line_put(const struct route_line *r, struct route_arguments *out);
