/* SPDX-License-Identifier: Apache-2.0 */
/**
 * level.h - Five levels of obfuscation: recipes for parameters
 *
 * A level is no protocol: it says from which ranges the parameters of one deployment are drawn.
 * Values are drawn when an interface or a profile is made, and stored; no two deployments share
 * them, and nothing is derived from names or keys. What each level hides, and does not, is in
 * docs/obfuscation.md.
 *
 *	off	plain WireGuard
 *	low	AmneziaWG 1.0: junk, padded handshakes, other type octets
 *	medium	AmneziaWG 1.0: the same, all four octets of a type
 *	high	AmneziaWG 2.0: everything padded, types from ranges, a signature packet
 *	extreme	AmneziaWG 3.1: and header protection, trailers, content padding, ranged timers
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/generator.h"
#include "frame/parameters.h"

enum frame_level {
	FRAME_OFF,
	FRAME_LOW,
	FRAME_MEDIUM,
	FRAME_HIGH,
	FRAME_EXTREME,
	FRAME_LEVELS,
};

/** frame_level_find() - Takes "basic" (low) and "stealth" (extreme) too. FRAME_LEVELS: none */
enum frame_level frame_level_find(const char *word, size_t len);
const char *frame_level_name(enum frame_level level); /* off low medium high extreme */
/* The word that deployed systems know: off basic high high stealth. */
const char *frame_level_deployed_name(enum frame_level level);

/**
 * frame_level_draw() - The parameters of a new deployment
 * @ret:	Initialised; what it held is freed
 *
 * Return: 0 or -ENOMEM. The result keeps every rule of frame_parameters_check() and has
 *	   nothing that frame_parameters_warn() would name, but the MTU that an S4 above 20
 *	   asks for (extreme): who writes a configuration writes that MTU into it.
 */
int frame_level_draw(enum frame_level level, struct generator *g, struct frame_parameters *ret);

/**
 * frame_level_draw_client() - Parameters for one client of a deployment
 * @server:	The deployment's
 *
 * What must match is copied; the rest is drawn again from the level's ranges (junk, signature
 * packets' literal octets, timers).
 *
 * Return: 0 or -ENOMEM.
 */
int frame_level_draw_client(enum frame_level level, const struct frame_parameters *server,
			    struct generator *g, struct frame_parameters *ret);

/**
 * frame_level_of() - The level that a set is of, whoever made it
 *
 * Told by what both ends share, as the lowest level whose clients could understand it: whoever
 * knows that level's version of AmneziaWG and its kinds of values. A set of plain WireGuard with
 * junk or signature packets is low, without them off.
 */
enum frame_level frame_level_of(const struct frame_parameters *p);

/** frame_level_keepalive() - A client's PersistentKeepalive, seconds; 25 below extreme */
struct frame_range frame_level_keepalive(enum frame_level level, struct generator *g);
