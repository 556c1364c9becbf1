/* SPDX-License-Identifier: Apache-2.0 */
/**
 * stream.h - One end of a byte stream: TCP, or TLS on it
 *
 * Nothing blocks: what cannot go on says -EAGAIN, and stream_events() says what to wait for.
 * stream_wait() is for those who have nothing else to do meanwhile.
 *
 * TLS is OpenSSL's. A small TCP_NOTSENT_LOWAT keeps what was not sent yet where it can still
 * be dropped, outside of the kernel.
 *
 * Threads: one at a time per stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/err.h"

struct ssl_st;
struct ssl_ctx_st;

enum { STREAM_NOTSENT_OCTETS = 32 << 10 };

/**
 * struct stream - @fd of -1 is none
 * @tls:	NULL: plain
 * @wants_read, @wants_write: What the last call that said -EAGAIN waits for
 */
struct stream {
	int fd;
	struct ssl_st *tls;
	bool wants_read;
	bool wants_write;
};

/**
 * stream_init() - Take over a connected, non-blocking TCP socket and set its options
 * @patience_ms: How long what was sent may stay unanswered before the connection counts as gone
 */
void stream_init(struct stream *s, int fd, unsigned int patience_ms);
void stream_done(struct stream *s); /* closes; says goodbye in TLS if it can at once */

enum stream_side { STREAM_CLIENT, STREAM_SERVER };

/**
 * stream_secure() - Go on in TLS
 * @host:	As a client: the name that the certificate must have, and the server is told
 *
 * Return: 0 or -ENOMEM; then stream_shake() until it is done.
 */
int stream_secure(struct stream *s, struct ssl_ctx_st *context, enum stream_side side,
		  const char *host);

/** stream_shake() - Return: 0; -EAGAIN; ERR_AUTH, -EPROTO with the reason in @d; -errno */
int stream_shake(struct stream *s, struct diag *d);

/* Return: octets; 0: the other side has finished (reading only); -EAGAIN; -errno. */
ssize_t stream_read(struct stream *s, void *out, size_t size);
ssize_t stream_write(struct stream *s, const void *data, size_t len);

/* Until @deadline_ns of the boot clock, or until @stop_fd (-1: none) becomes readable.
 * Return: 0; -ETIMEDOUT; -ECANCELED; -errno. */
int stream_wait(const struct stream *s, int stop_fd, uint64_t deadline_ns);

/* All of it, waiting. Return: 0 or as the above; -EPIPE when the other side has finished. */
int stream_read_all(struct stream *s, void *out, size_t len, int stop_fd, uint64_t deadline_ns);
int stream_write_all(struct stream *s, const void *data, size_t len, int stop_fd,
		     uint64_t deadline_ns);
