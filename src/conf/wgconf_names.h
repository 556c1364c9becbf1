/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf_names.h - How installers and panels write the name of a peer into a comment
 *
 *	# friendly_name = NAME		exporters, and ourselves; inside [Peer], or right above it
 *	### Client NAME			a line above [Peer]; so do the following
 *	# BEGIN_PEER NAME
 *	### begin NAME ###
 *	# Client: NAME (ID)
 *	# Name: NAME			also with "="
 *	# NAME				right above [Peer], or right below
 *
 * "# END_PEER NAME" and "### end NAME ###" name nobody.
 *
 * Threads: none here.
 */
#pragma once

#include "conf/wgconf.h"

/* How sure it is that a comment is a name; a greater one wins. */
enum wgconf_name_rank {
	WGCONF_NAME_NONE,
	WGCONF_NAME_BARE,
	WGCONF_NAME_MARKED,
	WGCONF_NAME_FRIENDLY,
};

/**
 * wgconf_name_read() - The name in @comment, a line without blanks around it that begins with "#"
 * @ret:	Set unless WGCONF_NAME_NONE is returned; a piece of @comment, never empty
 */
enum wgconf_name_rank wgconf_name_read(struct wgconf_span comment, struct wgconf_span *ret);
