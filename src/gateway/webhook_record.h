/* SPDX-License-Identifier: Apache-2.0 */
/**
 * webhook_record.h - What is stored of a webhook
 *
 * {"url": "https://…", "events": ["peer.*"], "enabled": true, "secret": "whsec_…", "note": "…"};
 * for a day after its secret was exchanged "former" and "former_until_ns" as well. Sealed on the disk.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "auth/webhook_sign.h"
#include "base/err.h"
#include "base/text.h"
#include "gateway/event_names.h"
#include "store/store.h"

enum {
	WEBHOOK_URL_MAX = 1024,
	WEBHOOK_EVENTS_MAX = 32,
	WEBHOOK_FORMER_S =
		86400, /* messages are signed with the former secret too, that long */
};

struct webhook_record {
	char url[WEBHOOK_URL_MAX + 1];
	char events[WEBHOOK_EVENTS_MAX][EVENT_NAME_MAX + 1];
	unsigned int n_events;
	bool is_enabled;
	struct webhook_secret secret;
	struct webhook_secret former; /* @len 0: none */
	uint64_t former_until_ns;
	char note[STORE_NOTE_MAX + 1];
};

/** webhook_record_read() - From a record's body. Return: 0; ERR_CORRUPT */
int webhook_record_read(const char *body, struct webhook_record *ret);
/** webhook_record_write() - Body for a record; errors stay in @out->err */
void webhook_record_write(const struct webhook_record *w, struct text *out);
void webhook_record_done(struct webhook_record *w); /* wipes the secrets */

bool webhook_record_wants(const struct webhook_record *w, const char *event);

/**
 * webhook_url_check() - May messages be sent there, as far as the URL tells?
 * @allows_private: Addresses of private networks and the loopback too; plain HTTP to the loopback
 * @allows_plain: Plain HTTP to anywhere
 *
 * A name is judged again when it is connected to (gateway/courier.h), by the address it then has.
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE, with a sentence in @d.
 */
int webhook_url_check(const char *url, bool allows_private, bool allows_plain, struct diag *d);
