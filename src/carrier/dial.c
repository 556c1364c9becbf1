/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/dial_internal.h"
#include "carrier/hello.h"
#include "carrier/tls.h"
#include "crypto/secret.h"
#include "net/udp_socket.h"
#include "sys/clock.h"
#include "sys/random.h"

/* One address of several must not use up the time of the others. */
#define ADDRESS_PATIENCE_NS (UINT64_C(5) * 1000000000)

/* --- The connection --- */

static int set_options(int fd, const struct dial_to *to, struct diag *d)
{
	int err = to->mark ? udp_set_mark(fd, to->mark) : 0;

	if (err == 0 && to->device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, to->device,
		       (socklen_t)strlen(to->device)) < 0)
		err = -errno;
	return err == 0 ? 0
			: diag_set(d, err, 0, "mark or device of the connection: %s",
				   err_text(err));
}

static int connect_one(struct call *c, const struct addrinfo *a)
{
	struct stream *s = &c->ret->stream;
	uint64_t until = clock_boot_ns() + ADDRESS_PATIENCE_NS;
	int err = 0;
	socklen_t len = sizeof(err);
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	stream_init(s, fd, DIAL_UNANSWERED_MS);
	err = set_options(fd, c->to, c->d);
	if (err == 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (err == 0) {
		s->wants_write = true;
		err = stream_wait(s, c->to->stop_fd,
				  until < c->deadline_ns ? until : c->deadline_ns);
	}
	if (err == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0)
		err = -err;
	if (err != 0)
		stream_done(s);
	return err;
}

static int connect_any(struct call *c, const char *host, uint16_t port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	char service[8];
	int err, code;

	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, &list);
	if (code != 0)
		return diag_set(c->d, code == EAI_AGAIN ? -EAGAIN : ERR_UNKNOWN, 0, "%s: %s",
				host, gai_strerror(code));
	err = ERR_UNKNOWN;
	for (const struct addrinfo *a = list; a && err != 0 && err != -ECANCELED;
	     a = a->ai_next)
		err = connect_one(c, a);
	freeaddrinfo(list);
	if (err != 0 && c->d->text[0] == '\0')
		diag_set(c->d, err, 0, "%s port %u: %s", host, port, err_text(err));
	return err;
}

/* --- TLS --- */

static int secure(struct call *c)
{
	struct stream *s = &c->ret->stream;
	int err = stream_secure(s, c->to->tls, STREAM_CLIENT, c->to->url->host);

	while (err == 0 && (err = stream_shake(s, c->d)) == -EAGAIN)
		err = stream_wait(s, c->to->stop_fd, c->deadline_ns);
	if (err == 0 && !s->tls)
		err = -EPROTO;
	if (err == 0 && c->to->pin)
		err = tls_check_pin(s->tls, c->to->pin, c->d);
	return err;
}

/* --- The proof of a TCP carrier --- */

static int exchange(struct call *c, const void *out, size_t out_len, void *in, size_t in_len)
{
	struct stream *s = &c->ret->stream;
	int err = stream_write_all(s, out, out_len, c->to->stop_fd, c->deadline_ns);

	return err == 0 ? stream_read_all(s, in, in_len, c->to->stop_fd, c->deadline_ns) : err;
}

static int prove(struct call *c)
{
	uint8_t digest[HELLO_KEY_LEN], answer[HELLO_ANSWER_LEN], proof[HELLO_PROOF_LEN];
	uint8_t first[HELLO_LEN], welcome[2] = { 0xff, 0xff };
	struct hello h;
	int err;

	hello_digest(c->to->key, strlen(c->to->key), digest);
	hello_tag(digest, h.tag);
	random_fill(h.client_nonce, sizeof(h.client_nonce));
	hello_put(&h, first);
	err = exchange(c, first, sizeof(first), answer, sizeof(answer));
	if (err == 0) {
		memcpy(h.server_nonce, answer, HELLO_NONCE_LEN);
		if (!hello_is_proof(&h, HELLO_SERVER, digest, answer + HELLO_NONCE_LEN))
			err = diag_set(c->d, ERR_AUTH, 0, "the server does not know this key");
	}
	if (err == 0) {
		hello_prove(&h, HELLO_CLIENT, digest, proof);
		err = exchange(c, proof, sizeof(proof), welcome, sizeof(welcome));
	}
	if (err == 0 && (welcome[0] != 0 || welcome[1] != 0))
		err = diag_set(c->d, ERR_FORMAT, 0, "there is no carrier at this port");
	secret_wipe(digest, sizeof(digest));
	c->ret->framing = FRAMING_LENGTH;
	return err;
}

int carrier_dial(const struct dial_to *to, struct dialed *ret, struct diag *d)
{
	struct call c = {
		.to = to, .ret = ret, .deadline_ns = clock_boot_ns() + DIAL_PATIENCE_NS, .d = d
	};
	bool has_proxy = to->via && to->via->host[0];
	int err;

	d->text[0] = '\0';
	ret->stream = (struct stream){ .fd = -1 };
	ret->early_len = 0;
	err = connect_any(&c, has_proxy ? to->via->host : to->url->host,
			  has_proxy ? to->via->port : to->url->port);
	if (err == 0 && has_proxy)
		err = carrier_dial_through_proxy(&c);
	if (err == 0 && to->url->kind == CARRIER_HTTPS)
		err = secure(&c);
	if (err == 0)
		err = to->url->kind == CARRIER_TCP ? prove(&c) : carrier_dial_upgrade(&c);
	if (err == 0)
		return 0;
	stream_done(&ret->stream);
	if (d->text[0] == '\0')
		diag_set(d, err, 0, "%s: %s", to->url->authority, err_text(err));
	return err;
}
