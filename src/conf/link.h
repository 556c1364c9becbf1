/* SPDX-License-Identifier: Apache-2.0 */
/**
 * link.h - "vpn://" links of AmneziaVPN, written, read, and cut into QR codes
 *
 *	link	   "vpn://" base64url without padding of the payload
 *	payload	   32 bits big-endian: octets of the JSON; then the JSON, compressed by zlib
 *	part	   base64url of 16 bits 1984, number of parts, index from 0 (8 bits each), 32 bits
 *		   octets that follow, and these octets of the payload; all big-endian
 *
 * The JSON names one container. The tunnel's values stand in it one by one, in a text
 * "last_config" that is itself JSON, and as the whole file, which is what comes back when a
 * link is read. A link holds a private key like the file in it.
 *
 * Source:  AmneziaVPN's client, versions 4.8 to 5.0, as it imports and exports; there is no
 *	    specification.
 * Bounds:  LINK_TEXT_MAX characters, LINK_JSON_MAX octets of JSON, LINK_PARTS_MAX parts.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text.h"
#include "conf/wgconf.h"

enum {
	LINK_JSON_MAX = 1 << 20,
	LINK_PAYLOAD_MAX = LINK_JSON_MAX + 4096, /* zlib adds little to what it cannot press */
	LINK_TEXT_MAX = LINK_PAYLOAD_MAX / 3 * 4 + 16,
	LINK_PART_OCTETS = 850, /* of the payload in one QR code */
	LINK_PARTS_MAX = 255,
};

/** link_is() - Does @text begin like a link? */
bool link_is(const char *text, size_t len);

/**
 * link_make() - The link of a client's file
 * @description: What the app calls the server; NULL: the host's name
 *
 * Return: 0; ERR_FORMAT with what the file lacks in @d: PrivateKey, Address, and one [Peer]
 *	   with an Endpoint; ERR_LIMIT, -ENOMEM.
 */
int link_make(const struct wgconf *c, const char *description, struct text *out,
	      struct diag *d);

/**
 * link_read() - The file in a link
 *
 * Of several containers the default one is taken. White space around the link is no error; nor
 * is a payload that is not compressed, which some generators write.
 *
 * Return: 0; ERR_FORMAT or ERR_LIMIT with the reason in @d; -ENOMEM. The caller wipes @out with
 *	   text_done() in any case.
 */
int link_read(const char *text, size_t len, struct text *out, struct diag *d);

/**
 * link_parts() - Into how many QR codes a link goes
 *
 * Return: 1..LINK_PARTS_MAX; ERR_FORMAT (no link), ERR_LIMIT, -ENOMEM.
 */
int link_parts(const char *text, size_t len, struct diag *d);

/** link_part() - The text of part @index. Errors are those of link_parts(), in @out->err */
void link_part(const char *text, size_t len, unsigned int index, struct text *out);
