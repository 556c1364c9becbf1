/* SPDX-License-Identifier: Apache-2.0 */
/**
 * endpoint_list.h - Several ways to one server: "vpn1.example.net:51820, [2001:db8::2]:443"
 *
 * On the command line, or in a file's [Peer] as a comment, which other programs skip:
 *	# Endpoints = vpn1.example.net:51820, vpn2.example.net:51820
 *
 * Threads: none here; pure.
 */
#pragma once

#include "conf/wgconf.h"

enum { ENDPOINT_HOST_MAX = 256 };

/** struct endpoint_name - One of them. @host: a name, or an address without brackets */
struct endpoint_name {
	char host[ENDPOINT_HOST_MAX];
	uint16_t port;
};

/**
 * endpoint_list_next() - Take the first of @list off it
 * @list:	What is left; empty at the end
 *
 * Return: 1 with @ret; 0 when nothing is left; ERR_FORMAT for what is no HOST:PORT.
 */
int endpoint_list_next(struct wgconf_span *list, struct endpoint_name *ret);

/** endpoint_list_find() - What the comments of peer @index say; empty: nothing */
struct wgconf_span endpoint_list_find(const struct wgconf *c, size_t index);
