/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/stream.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "sys/clock.h"

/* A connection whose other end is gone without a word is noticed after about a minute. */
enum { PROBE_AFTER_S = 30, PROBE_EVERY_S = 10, PROBES = 3 };

static void set_int(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value)); /* each is a help only */
}

void stream_init(struct stream *s, int fd, unsigned int patience_ms)
{
	*s = (struct stream){ .fd = fd };
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, STREAM_NOTSENT_OCTETS);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)patience_ms);
}

void stream_done(struct stream *s)
{
	if (s->tls) {
		if (SSL_is_init_finished(s->tls))
			(void)SSL_shutdown(s->tls);
		SSL_free(s->tls);
		ERR_clear_error();
	}
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct stream){ .fd = -1 };
}

int stream_secure(struct stream *s, struct ssl_ctx_st *context, enum stream_side side,
		  const char *host)
{
	struct ip_addr ip;
	bool is_address = host && ip_addr_parse(host, &ip) == 0;
	bool is_set = true;

	s->tls = SSL_new(context);
	if (!s->tls || SSL_set_fd(s->tls, s->fd) != 1)
		return -ENOMEM;
	if (side == STREAM_SERVER) {
		SSL_set_accept_state(s->tls);
		return 0;
	}
	SSL_set_connect_state(s->tls);
	if (is_address)
		is_set = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->tls), host) == 1;
	else if (host) /* RFC 6066 section 3: names only */
		is_set = SSL_set_tlsext_host_name(s->tls, host) == 1 &&
			 SSL_set1_host(s->tls, host) == 1;
	return is_set ? 0 : -ENOMEM;
}

/* What a call into TLS that did not succeed wants. Return: -EAGAIN, 0 at the end, -errno. */
static int want(struct stream *s, int n)
{
	int saved = errno, code = SSL_get_error(s->tls, n);

	ERR_clear_error();
	s->wants_read = code == SSL_ERROR_WANT_READ;
	s->wants_write = code == SSL_ERROR_WANT_WRITE;
	if (s->wants_read || s->wants_write)
		return -EAGAIN;
	if (code == SSL_ERROR_ZERO_RETURN)
		return 0;
	return code == SSL_ERROR_SYSCALL && saved != 0 ? -saved : -EPROTO;
}

static int refuse(struct stream *s, struct diag *d)
{
	long verdict = SSL_get_verify_result(s->tls);

	ERR_clear_error();
	if (verdict != X509_V_OK)
		return diag_set(d, ERR_AUTH, 0, "the certificate is not trusted: %s",
				X509_verify_cert_error_string(verdict));
	return diag_set(d, -EPROTO, 0, "the TLS handshake failed");
}

int stream_shake(struct stream *s, struct diag *d)
{
	int n, code;

	ERR_clear_error();
	n = SSL_do_handshake(s->tls);
	if (n == 1)
		return 0;
	code = SSL_get_error(s->tls, n);
	s->wants_read = code == SSL_ERROR_WANT_READ;
	s->wants_write = code == SSL_ERROR_WANT_WRITE;
	return s->wants_read || s->wants_write ? -EAGAIN : refuse(s, d);
}

ssize_t stream_read(struct stream *s, void *out, size_t size)
{
	ssize_t n;

	s->wants_read = s->wants_write = false;
	if (s->tls) {
		ERR_clear_error();
		n = SSL_read(s->tls, out, size < INT_MAX ? (int)size : INT_MAX);
		return n > 0 ? n : want(s, (int)n);
	}
	n = recv(s->fd, out, size, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	s->wants_read = errno == EAGAIN || errno == EINTR;
	return s->wants_read ? -EAGAIN : -errno;
}

ssize_t stream_write(struct stream *s, const void *data, size_t len)
{
	ssize_t n;

	s->wants_read = s->wants_write = false;
	if (s->tls) {
		ERR_clear_error();
		n = SSL_write(s->tls, data, len < INT_MAX ? (int)len : INT_MAX);
		n = n > 0 ? n : want(s, (int)n);
		return n == 0 ? -EPIPE : n;
	}
	n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	s->wants_write = errno == EAGAIN || errno == EINTR;
	return s->wants_write ? -EAGAIN : -errno;
}

int stream_wait(const struct stream *s, int stop_fd, uint64_t deadline_ns)
{
	uint64_t now = clock_boot_ns();
	struct pollfd fds[2] = {
		{ .fd = s->fd, .events = s->wants_write ? POLLOUT : POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	if (poll(fds, 2, (int)((deadline_ns - now) / 1000000) + 1) < 0)
		return errno == EINTR ? 0 : -errno;
	return fds[1].revents ? -ECANCELED : 0;
}

int stream_read_all(struct stream *s, void *out, size_t len, int stop_fd, uint64_t deadline_ns)
{
	uint8_t *to = out;

	while (len > 0) {
		ssize_t n = stream_read(s, to, len);

		if (n == 0)
			return -EPIPE;
		if (n < 0) {
			int err = n == -EAGAIN ? stream_wait(s, stop_fd, deadline_ns) : (int)n;

			if (err != 0)
				return err;
			continue;
		}
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int stream_write_all(struct stream *s, const void *data, size_t len, int stop_fd,
		     uint64_t deadline_ns)
{
	const uint8_t *from = data;

	while (len > 0) {
		ssize_t n = stream_write(s, from, len);

		if (n < 0) {
			int err = n == -EAGAIN ? stream_wait(s, stop_fd, deadline_ns) : (int)n;

			if (err != 0)
				return err;
			continue;
		}
		from += n;
		len -= (size_t)n;
	}
	return 0;
}
