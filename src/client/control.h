/* SPDX-License-Identifier: Apache-2.0 */
/**
 * control.h - A word to the process that looks after a connection
 *
 * A socket of records, RUN_DIR/client-IF.sock, mode 0600; whoever speaks must be root, as the kernel
 * says who it is. One record there, one back:
 *
 *	switch				the next endpoint
 *	switch ADDRESS:PORT		this one
 *
 *	ok ADDRESS:PORT			what is called now
 *	error SENTENCE
 *
 * Bounds:  records of CONTROL_RECORD_MAX octets; one caller at a time, who gets 2 s.
 * Threads: one.
 */
#pragma once

#include "client/session.h"

enum { CONTROL_RECORD_MAX = 300 };

/** client_control_open() - Listen. Return: a descriptor or -errno */
int client_control_open(const char *interface);

/** client_control_serve() - Answer one caller of @fd, if there is one */
void client_control_serve(int fd, struct client_session *s);

/** client_control_close() - And remove the socket; takes -1 */
void client_control_close(int fd, const char *interface);

/**
 * client_control_switch() - Ask for another endpoint
 * @to:		NULL: the next
 * @ret:	What is called now
 *
 * Return: 0; -ENOENT, -ECONNREFUSED: nobody looks after it; ERR_FORMAT with what it said in @d; -errno.
 */
int client_control_switch(const char *interface, const struct endpoint *to,
			  char ret[ADDR_TEXT_MAX], struct diag *d);
