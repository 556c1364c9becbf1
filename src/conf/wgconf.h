/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf.h - The files of wg-quick: every line kept, the known keys understood
 *
 * A file is kept as it was read, line by line, whatever its line ends, comments and
 * unknown keys: written back unchanged it is the same octets. Beside it stands the
 * typed view of the keys we know: WireGuard's, those of wg-quick, AmneziaWG's (every
 * row of frame/parameters.h), and our own CulvertProfile.
 *
 * Source:  wg(8) section CONFIGURATION FILE FORMAT, wg-quick(8), awg(8).
 * Rules:   sections and keys in either case; a comment begins at '#'; of a repeated
 *	    single-valued key the last counts; an unknown key is kept and is no error;
 *	    a known key with a bad value, or in the wrong section, is one; so are
 *	    parameters of AmneziaWG that are invalid as a whole.
 * Bounds:  WGCONF_SIZE_MAX octets and WGCONF_LINES_MAX lines in a file;
 *	    WGCONF_PROFILES_MAX lines CulvertProfile.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/uapi.h"
#include "crypto/secret.h"
#include "frame/frame.h"

enum {
	WGCONF_SIZE_MAX = 32 << 20, /* octets: 200 000 peers */
	WGCONF_LINES_MAX = 1 << 22,
	WGCONF_PROFILES_MAX = FRAME_PROFILES_MAX - 1, /* beside the default one */
};

enum wgconf_section {
	WGCONF_NONE, /* before the first section: comments and empty lines only */
	WGCONF_INTERFACE,
	WGCONF_PEER,
};

/** enum wgconf_key - What a line sets */
enum wgconf_key {
	WGCONF_NO_KEY, /* an empty line, a comment, the head of a section */
	WGCONF_UNKNOWN,
	WGCONF_PRIVATE_KEY,
	WGCONF_LISTEN_PORT,
	WGCONF_FWMARK,
	WGCONF_ADDRESS,
	WGCONF_DNS,
	WGCONF_MTU,
	WGCONF_TABLE,
	WGCONF_PRE_UP,
	WGCONF_POST_UP,
	WGCONF_PRE_DOWN,
	WGCONF_POST_DOWN,
	WGCONF_SAVE_CONFIG,
	WGCONF_PUBLIC_KEY,
	WGCONF_PRESHARED_KEY,
	WGCONF_ALLOWED_IPS,
	WGCONF_ENDPOINT,
	WGCONF_KEEPALIVE,
	WGCONF_AMNEZIA,	 /* a parameter of struct frame_parameters: which, is in the line */
	WGCONF_AWG_1_5,	 /* J1..J3 and Itime, which no later version has: ignored */
	WGCONF_ADVANCED, /* AdvancedSecurity: of the kernel module, ignored */
	WGCONF_PROFILE,	 /* CulvertProfile */
};

/** struct wgconf_span - A piece of the file's text, without a NUL */
struct wgconf_span {
	const char *at;
	size_t len;
};

/**
 * struct wgconf_line - One line, in the order of the file
 * @whole:	With its line end; the last line may have none
 * @name:	Key as written, trimmed; empty where @key is WGCONF_NO_KEY
 * @value:	Trimmed, its comment cut off
 * @parameter:	Where @key is WGCONF_AMNEZIA; else FRAME_KEYS
 */
struct wgconf_line {
	struct wgconf_span whole;
	struct wgconf_span name;
	struct wgconf_span value;
	enum wgconf_section section;
	enum wgconf_key key;
	enum frame_key parameter;
};

/** struct wgconf_address - An interface address: the host bits count */
struct wgconf_address {
	struct ip_addr ip;
	uint8_t bits;
};

/**
 * struct wgconf_interface - All [Interface] sections together
 * @mtu:	0: not said
 * @table:	"off", "auto", a number or a name; empty: not said
 * @framing:	AmneziaWG's parameters, those not given at their default
 * @framing_given: 1 << enum frame_key, for each that is given
 */
struct wgconf_interface {
	struct secret_key private_key;
	struct frame_parameters framing;
	uint32_t framing_given;
	uint32_t fwmark;
	uint16_t listen_port;
	uint16_t mtu;
	bool has_private_key;
	bool has_listen_port;
	bool has_fwmark;
	bool save_config;
	struct wgconf_span table;
};

/**
 * struct wgconf_peer - One [Peer] section
 * @endpoint_host: A name or an address without brackets; empty: none
 * @name:	From a comment in or above the section, see conf/wgconf_names.h; empty: none
 * @line:	Line of the section's head, from 1
 * @first_allowed_ip, @n_allowed_ips: Range in struct wgconf @allowed_ips
 */
struct wgconf_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key;
	struct wgconf_span endpoint_host;
	struct wgconf_span name;
	size_t first_allowed_ip;
	size_t n_allowed_ips;
	unsigned int line;
	struct frame_range keepalive; /* seconds; zero: off */
	uint16_t endpoint_port;
	bool has_public_key;
	bool has_preshared_key;
};

/**
 * struct wgconf - A file. wgconf_done() wipes and frees, and takes all zeroes too
 */
struct wgconf {
	char *text; /* a copy of the input; every span points into it */
	size_t text_len;
	struct wgconf_line *lines;
	struct wgconf_interface interface;
	struct wgconf_address *addresses;
	struct wgconf_span *dns; /* addresses and search domains, in order */
	struct uapi_profile *profiles;
	struct wgconf_peer *peers;
	struct ip_prefix *allowed_ips;
	size_t n_lines, lines_capacity;
	size_t n_addresses, addresses_capacity;
	size_t n_dns, dns_capacity;
	size_t n_profiles, profiles_capacity;
	size_t n_peers, peers_capacity;
	size_t n_allowed_ips, allowed_ips_capacity;
};

/**
 * wgconf_parse() - Read a file
 * @ret:	All zeroes before; after a failure too
 *
 * Return: 0; ERR_FORMAT with line, key and what would be right in @d (never a secret);
 *	   ERR_LIMIT or -ENOMEM.
 */
int wgconf_parse(const char *text, size_t len, struct wgconf *ret, struct diag *d);
void wgconf_done(struct wgconf *c);

/** wgconf_write() - Every line as it was read */
void wgconf_write(struct text *out, const struct wgconf *c);

/**
 * wgconf_strip() - What `wg-quick strip` prints: the keys only wg-quick knows are left out
 *
 * Our own CulvertProfile, too, which neither `wg` nor `awg` knows.
 */
void wgconf_strip(struct text *out, const struct wgconf *c);

/** wgconf_line_key() - How the documentation spells the key of @line; "" where nothing does */
const char *wgconf_line_key(const struct wgconf_line *line);

/** wgconf_nearest_key() - The known key somebody may have meant in @section, or NULL */
const char *wgconf_nearest_key(enum wgconf_section section, struct wgconf_span name);

/* --- Making the file of a client --- */

/**
 * struct wgconf_client - What a gateway gives to one client
 * @name:		A comment on top; NULL for none
 * @private_key:	NULL: the client has its own, a comment says where it goes
 * @dns:		Addresses or search domains
 * @mtu, @keepalive:	0: the line is left out
 * @framing:		NULL or plain: no key of AmneziaWG is written
 * @preshared_key:	NULL: none
 * @endpoint:		"host:port" or "[v6]:port"; NULL: not known
 */
struct wgconf_client {
	const char *name;
	const struct secret_key *private_key;
	const struct secret_key *preshared_key;
	const struct wgconf_address *addresses;
	const char *const *dns;
	const struct ip_prefix *allowed_ips;
	const struct frame_parameters *framing;
	const char *endpoint;
	size_t n_addresses;
	size_t n_dns;
	size_t n_allowed_ips;
	uint8_t server_key[32];
	uint16_t mtu;
	struct frame_range keepalive;
};

/**
 * wgconf_client_text() - The file, for wg-quick and for the apps' QR reader
 *
 * Text that would break out of its line (control characters in @name, @dns or @endpoint)
 * sets @out->err to ERR_FORMAT.
 */
void wgconf_client_text(struct text *out, const struct wgconf_client *client);
