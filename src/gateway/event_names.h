/* SPDX-License-Identifier: Apache-2.0 */
/**
 * event_names.h - What events are called, and who asks for which
 *
 * An event is a noun and what happened to it: "peer.created". The audit trail has what was done
 * instead ("peer.create"); one follows from the other. A pattern is a name, all of a noun ("peer.*"),
 * or everything ("*"). "missed" and "webhook.test" come to every webhook.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>

enum { EVENT_NAME_MAX = 39 };

/** event_name() - Of an action of the audit trail. Return: @out */
char *event_name(const char *action, char out[EVENT_NAME_MAX + 1]);

/** event_pattern_is_known() - Does any event match it? */
bool event_pattern_is_known(const char *pattern);

bool event_matches(const char *pattern, const char *name);
