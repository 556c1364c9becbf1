/* SPDX-License-Identifier: Apache-2.0 */
/**
 * choice.h - Which way to the server: measured at first, and changed when it falls silent
 *
 * Where there are several ways, each is called once and the time until its handshake is taken; the
 * quickest is used. When packets go out for some seconds and nothing comes back, the next
 * is called.
 *
 * Threads: one.
 */
#pragma once

#include "client/session.h"

/**
 * client_choice_wait() - Call the server and wait until it answers
 * @patience_ns: For each of the ways
 *
 * Return: 0, with @s->handshake_ms; -ETIMEDOUT: none answered; -ECANCELED after a signal; -errno with a
 *	   sentence in @d. The connection stays in any case.
 */
int client_choice_wait(struct client_session *s, uint64_t patience_ns, struct diag *d);

/** client_choice_tick() - Look whether it answers; about once a second */
void client_choice_tick(struct client_session *s, uint64_t now_ns);

/**
 * client_choice_switch() - Use another way, now
 * @to:		One of the known, or another address of the server; NULL: the next one
 *
 * Return: 0; -EINVAL: there is no other; ERR_LIMIT; -errno; with a sentence in @d.
 */
int client_choice_switch(struct client_session *s, const struct endpoint *to, struct diag *d);
