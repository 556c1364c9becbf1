/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_usernet.h - Options of `culvert device --usernet`
 */
#pragma once

#include "usernet/usernet.h"

enum device_usernet_option {
	DEVICE_USERNET_TIER, /* "tier-a", "tier-b", "auto" */
	DEVICE_USERNET_ADDRESS,
	DEVICE_USERNET_DNS,
	DEVICE_USERNET_ALLOW,
	DEVICE_USERNET_MTU,
	DEVICE_USERNET_FLOWS,
	DEVICE_USERNET_FORWARD,
	DEVICE_USERNET_SERVE,
	DEVICE_USERNET_ISOLATE,
};

/* What stands where nothing is said. */
void device_usernet_init(struct usernet_options *o);

/** device_usernet_read() - One option; complains on standard error
 * @text:	NULL for one without an argument. Lists are separated by commas, and an option may be repeated
 * Return: an exit code, EXIT_DONE when it is fine. */
int device_usernet_read(struct usernet_options *o, enum device_usernet_option option,
			const char *text);

/** device_usernet_finish() - Resolvers of the system where none were named, and as many descriptors as
 * there may be flows, or as many flows as there may be descriptors */
void device_usernet_finish(struct usernet_options *o);
