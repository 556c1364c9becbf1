/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's end of carriers: files read, sockets opened, then a loop. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/tls.h"
#include "cmd/carrier.h"
#include "cmd/command.h"
#include "cmd/state_default.h"
#include "http/certificate.h"
#include "net/udp_socket.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { WAITING_MAX = 1024, SWEEP_MS = 1000 };

/* Everything there is. */
struct serving {
	const struct options *o;
	struct carrier_process process;
	struct carrier_server *server;
	struct carrier_url urls[SERVER_LISTENERS_MAX];
	int fds[SERVER_LISTENERS_MAX];
	size_t n;
	bool has_tls;
	char state[STATE_DEFAULT_MAX];
	char cert[2 * STATE_DEFAULT_MAX];
	char cert_key[2 * STATE_DEFAULT_MAX];
	char fingerprint[CERTIFICATE_FINGERPRINT_LEN + 1];
};

/* --- Where to listen --- */

static int read_urls(struct serving *s, const char *list, struct diag *d)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		char one[CARRIER_AUTHORITY_MAX + 8];
		struct ip_addr ip;

		if (s->n == SERVER_LISTENERS_MAX || len >= sizeof(one))
			return diag_set(d, ERR_LIMIT, 0, "more than %d places to listen",
					SERVER_LISTENERS_MAX);
		memcpy(one, list, len);
		one[len] = '\0';
		if (carrier_url_read(one, &s->urls[s->n], d) != 0)
			return ERR_FORMAT;
		if (ip_addr_parse(s->urls[s->n].host, &ip) != 0)
			return diag_set(d, ERR_FORMAT, 0, "%s: listening needs an address",
					one);
		s->has_tls = s->has_tls || s->urls[s->n].kind == CARRIER_HTTPS;
		s->fds[s->n++] = -1;
		list += len + (list[len] == ',');
	}
	return 0;
}

static int open_listener(const struct carrier_url *u, struct diag *d)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(u->port) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(u->port) };
	struct ip_addr ip = { .family = ADDR_NONE };
	int on = 1, fd, err;

	(void)ip_addr_parse(u->host, &ip);
	memcpy(&sin.sin_addr, ip.b, sizeof(sin.sin_addr));
	memcpy(&sin6.sin6_addr, ip.b, sizeof(sin6.sin6_addr));
	fd = socket(ip.family == ADDR_V4 ? AF_INET : AF_INET6,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = fd < 0 ||
			      (ip.family == ADDR_V4
				       ? bind(fd, (struct sockaddr *)&sin, sizeof(sin))
				       : bind(fd, (struct sockaddr *)&sin6, sizeof(sin6))) <
				      0 ||
			      listen(fd, WAITING_MAX) < 0
		      ? -errno
		      : 0;
	if (err == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return diag_set(d, err, 0, "%s://%s: %s", carrier_kind_name(u->kind), u->authority,
			err_text(err));
}

static int open_listeners(struct serving *s, struct diag *d)
{
	for (size_t i = 0; i < s->n; i++) {
		int fd = open_listener(&s->urls[i], d);

		if (fd < 0)
			return fd;
		s->fds[i] = fd;
	}
	return 0;
}

/* --- What is read now, and again on SIGHUP --- */

static void find_certificate(struct serving *s)
{
	const char *cert = options_get(s->o, "cert"), *key = options_get(s->o, "cert-key");

	state_default(getuid(), s->state);
	if (!cert && !key) {
		state_default_prepare(s->state);
		snprintf(s->cert, sizeof(s->cert), "%s/carrier.crt", s->state);
		snprintf(s->cert_key, sizeof(s->cert_key), "%s/carrier.key", s->state);
		return;
	}
	snprintf(s->cert, sizeof(s->cert), "%s", cert ? cert : "");
	snprintf(s->cert_key, sizeof(s->cert_key), "%s", key ? key : "");
}

static int read_tls(struct serving *s, bool may_make, struct ssl_ctx_st **ret, struct diag *d)
{
	struct certificate c = { .cert = NULL };
	int err = certificate_read(s->cert, s->cert_key, may_make, "localhost", &c, d);

	if (err == 0)
		err = tls_server(c.cert, c.key, ret, d);
	if (err == 0)
		memcpy(s->fingerprint, c.fingerprint, sizeof(s->fingerprint));
	certificate_done(&c);
	return err;
}

static int read_site(struct serving *s, struct site **ret, struct diag *d)
{
	const char *directory = options_get(s->o, "site");

	return directory ? site_read(directory, ret, d) : site_own_page(ret);
}

/* Whatever cannot be read stays as it was. */
static int read_keys(struct serving *s, struct carrier_keys **ret, struct diag *d)
{
	int err = carrier_keys_read_file(options_get(s->o, "keys"), ret, d);

	/* Whoever is to write it has not done so yet: until then nobody is let in. */
	if (err == -ENOENT && options_get(s->o, "watch-keys"))
		err = carrier_keys_read("", 0, ret, d);
	return err;
}

static void read_keys_again(struct serving *s)
{
	struct carrier_keys *keys = NULL;
	struct diag d = { .text = "" };

	if (read_keys(s, &keys, &d) == 0) {
		log_info("%zu keys were read again", carrier_keys_count(keys));
		carrier_server_set_keys(s->server, keys);
	} else {
		log_error("the keys stay as they were: %s", d.text);
	}
}

static void read_again(struct serving *s)
{
	struct ssl_ctx_st *tls = NULL;
	struct site *site = NULL;
	struct diag d = { .text = "" };

	read_keys_again(s);
	if (s->has_tls && read_tls(s, false, &tls, &d) == 0)
		carrier_server_set_tls(s->server, tls);
	else if (s->has_tls)
		log_error("the certificate stays as it was: %s", d.text);
	if (options_get(s->o, "site") && read_site(s, &site, &d) == 0)
		carrier_server_set_site(s->server, site);
	else if (options_get(s->o, "site"))
		log_error("the site stays as it was: %s", d.text);
}

/* --- Making and running --- */

static int read_config(struct serving *s, struct carrier_server_config *c, struct diag *d)
{
	const char *target = options_get(s->o, "target");
	int err = connect_udp_template_read(options_get(s->o, "path"), &c->path, d);

	if (err == 0 && c->path.scheme[0])
		err = diag_set(d, ERR_FORMAT, 0, "--path begins with '/'");
	if (err == 0 && endpoint_parse(target ? target : "127.0.0.1:51820", &c->target) != 0)
		err = diag_set(d, ERR_FORMAT, 0, "--target is ADDRESS:PORT at a gateway");
	return err;
}

static int make_server(struct serving *s, struct diag *d)
{
	struct carrier_server_config config = { .path = { .n = 0 } };
	struct carrier_keys *keys = NULL;
	struct ssl_ctx_st *tls = NULL;
	struct site *site = NULL;
	int err = read_config(s, &config, d);

	if (err == 0)
		err = read_keys(s, &keys, d);
	if (err == 0)
		err = read_site(s, &site, d);
	if (err == 0 && s->has_tls)
		err = read_tls(s, true, &tls, d);
	if (err == 0) {
		err = carrier_server_new(&config, keys, site, &s->server);
		keys = NULL; /* taken over */
		site = NULL;
	}
	if (err == 0)
		carrier_server_set_tls(s->server, tls);
	else
		tls_free(tls);
	carrier_keys_free(keys);
	site_free(site);
	return err;
}

static int hand_over_listeners(struct serving *s)
{
	int err = 0;

	for (size_t i = 0; i < s->n && err == 0; i++) {
		err = carrier_server_listen(s->server, s->urls[i].kind, s->fds[i]);
		s->fds[i] = -1;
	}
	return err;
}

static void say_ready(struct serving *s)
{
	bool is_json = options_get(s->o, "json") != NULL;
	struct text line = { .data = NULL };

	text_puts(&line, is_json ? "{\"ready\":true,\"listen\":[" : "carrier ready: ");
	for (size_t i = 0; i < s->n; i++)
		text_printf(&line, is_json ? "%s\"%s://%s\"" : "%s%s://%s", i ? "," : "",
			    carrier_kind_name(s->urls[i].kind), s->urls[i].authority);
	text_puts(&line, is_json ? "]" : "");
	if (s->fingerprint[0])
		text_printf(&line, is_json ? ",\"fingerprint\":\"%s\"" : ", certificate %s",
			    s->fingerprint);
	text_puts(&line, is_json ? "}" : "");
	carrier_process_ready(line.err ? "" : line.data);
	text_done(&line);
}

static void log_counts(const struct serving *s)
{
	struct carrier_server_counts n;

	carrier_server_count(s->server, &n);
	log_info("connections %" PRIu64 ", of users %" PRIu64 "; accepted %" PRIu64
		 ", proved %" PRIu64 ", refused %" PRIu64 ", crowded out %" PRIu64
		 "; datagrams dropped %" PRIu64,
		 n.connections, n.users, n.accepted, n.proved, n.refused, n.crowded, n.dropped);
}

static void serve(struct serving *s)
{
	int signal = 0;

	while (signal != SIGTERM && signal != SIGINT) {
		bool is_due = carrier_server_deadline_ns(s->server) != UINT64_MAX;

		signal = carrier_process_wait(&s->process, carrier_server_fd(s->server),
					      is_due ? SWEEP_MS : -1);
		if (signal == SIGHUP)
			read_again(s);
		else if (signal == CARRIER_PROCESS_PUT)
			read_keys_again(s);
		else if (signal == SIGUSR1)
			log_counts(s);
		carrier_server_turn(s->server);
	}
}

static int begin(struct serving *s, struct diag *d)
{
	int err = read_urls(s, options_get(s->o, "listen"), d);

	if (err == 0)
		err = carrier_process_open(&s->process, d);
	if (err == 0)
		err = open_listeners(s, d);
	if (err == 0)
		err = make_server(s, d);
	if (err != 0)
		return err;
	if (options_get(s->o, "watch-keys"))
		err = carrier_process_watch(&s->process, options_get(s->o, "keys"), d);
	if (err != 0)
		return err;
	carrier_process_read_later(&s->process, options_get(s->o, "keys"), false);
	carrier_process_read_later(&s->process, options_get(s->o, "site"), true);
	if (s->has_tls) {
		carrier_process_read_later(&s->process, s->cert, false);
		carrier_process_read_later(&s->process, s->cert_key, false);
	}
	err = carrier_process_give_up(&s->process, NULL, 0, d);
	return err == 0 ? hand_over_listeners(s) : err;
}

int carrier_serve(const struct options *o)
{
	struct serving s = { .o = o, .process = { .signal_fd = -1, .watch_fd = -1 } };
	struct diag d = { .text = "" };
	int err;

	if (!options_get(o, "keys"))
		return carrier_complain(EXIT_USAGE, "--keys says who may use it; see --help");
	find_certificate(&s);
	err = begin(&s, &d);
	if (err == 0) {
		say_ready(&s);
		serve(&s);
	} else {
		carrier_complain(0, d.text[0] ? d.text : err_text(err));
	}
	carrier_server_free(s.server);
	for (size_t i = 0; i < s.n; i++) {
		if (s.fds[i] >= 0)
			close(s.fds[i]);
	}
	carrier_process_close(&s.process);
	return carrier_exit_code(err);
}
