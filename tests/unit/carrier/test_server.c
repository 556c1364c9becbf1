/* SPDX-License-Identifier: Apache-2.0 */
/* A server on loopback, and clients that are written here, octet by octet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "carrier/hello.h"
#include "carrier/server.h"

/* "one" and "two", as in test_keys.c */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

enum { QUIET_MS = 60, ENOUGH_MS = 5000, OUT_MAX = 4096 };

/* A server, with the WireGuard it leads to played by @udp. */
struct world {
	struct carrier_server *server;
	int udp;
	uint16_t udp_port;
	uint16_t ports[CARRIER_HTTP + 1];
};

static int open_port(int type, uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	CHECK(bind(fd, (struct sockaddr *)&at, len) == 0);
	CHECK(type == SOCK_DGRAM || listen(fd, 64) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static struct carrier_keys *keys_of(const char *text)
{
	struct carrier_keys *k = NULL;
	struct diag d;

	CHECK(carrier_keys_read(text, strlen(text), &k, &d) == 0);
	return k;
}

static void begin(struct world *w)
{
	struct carrier_server_config config = { .target = {
							.ip = { ADDR_V4, { 127, 0, 0, 1 } } } };
	struct site *site = NULL;
	struct diag d;

	w->udp = open_port(SOCK_DGRAM, &w->udp_port);
	config.target.port = w->udp_port;
	CHECK(connect_udp_template_read(CONNECT_UDP_DEFAULT_PATH, &config.path, &d) == 0);
	CHECK(site_own_page(&site) == 0);
	CHECK(carrier_server_new(&config, keys_of("anna " ONE "\nbea " TWO "\n"), site,
				 &w->server) == 0);
	CHECK(carrier_server_listen(w->server, CARRIER_TCP,
				    open_port(SOCK_STREAM, &w->ports[CARRIER_TCP])) == 0);
	CHECK(carrier_server_listen(w->server, CARRIER_HTTP,
				    open_port(SOCK_STREAM, &w->ports[CARRIER_HTTP])) == 0);
}

static void end(struct world *w)
{
	carrier_server_free(w->server);
	close(w->udp);
}

static int knock(const struct world *w, enum carrier_kind kind)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(w->ports[kind]),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

/* Let the server work until @fd has something to read. false: nothing for @ms. */
static bool turn(struct world *w, int fd, int ms)
{
	for (;;) {
		struct pollfd p[] = { { .fd = carrier_server_fd(w->server), .events = POLLIN },
				      { .fd = fd, .events = POLLIN } };

		if (poll(p, 2, ms) <= 0)
			return false;
		if (p[0].revents)
			carrier_server_turn(w->server);
		if (p[1].revents)
			return true;
	}
}

/* Exactly @len octets. */
static bool get(struct world *w, int fd, void *out, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n = turn(w, fd, ENOUGH_MS) ? recv(fd, (char *)out + have, len - have, 0)
						   : -1;

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

/* All there is until it is quiet, or the end. */
static size_t get_some(struct world *w, int fd, char out[OUT_MAX])
{
	size_t have = 0;

	while (have < OUT_MAX - 1 && turn(w, fd, QUIET_MS)) {
		ssize_t n = recv(fd, out + have, OUT_MAX - 1 - have, 0);

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	out[have] = '\0';
	return have;
}

static bool has_ended(struct world *w, int fd)
{
	char octet;

	return turn(w, fd, ENOUGH_MS) && recv(fd, &octet, 1, 0) <= 0;
}

static bool is_silent(struct world *w, int fd)
{
	return !turn(w, fd, QUIET_MS);
}

static void put(int fd, const void *data, size_t len)
{
	CHECK(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* --- TCP --- */

/* HELLO out and ANSWER in; @proof gets what must come next. */
static bool greet(struct world *w, int fd, const char *key, uint8_t proof[HELLO_PROOF_LEN])
{
	uint8_t digest[HELLO_KEY_LEN], out[HELLO_LEN], in[HELLO_ANSWER_LEN];
	struct hello h = { .client_nonce = { 1, 2, 3 } };

	hello_digest(key, strlen(key), digest);
	hello_tag(digest, h.tag);
	hello_put(&h, out);
	put(fd, out, sizeof(out));
	if (!get(w, fd, in, sizeof(in)))
		return false;
	memcpy(h.server_nonce, in, HELLO_NONCE_LEN);
	hello_prove(&h, HELLO_CLIENT, digest, proof);
	return hello_is_proof(&h, HELLO_SERVER, digest, in + HELLO_NONCE_LEN);
}

static void carries_both_ways_behind_a_proof(void)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t proof[HELLO_PROOF_LEN], in[8];
	struct carrier_server_counts n;
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_TCP);
	CHECK(greet(&w, fd, "one", proof));
	put(fd, proof, sizeof(proof));
	CHECK(get(&w, fd, in, 2) && in[0] == 0 && in[1] == 0); /* welcome */
	put(fd, "\0\3abc\0\0\0\1d", 10);
	CHECK(turn(&w, w.udp, ENOUGH_MS));
	CHECK(recvfrom(w.udp, in, sizeof(in), 0, (struct sockaddr *)&from, &len) == 3);
	CHECK(memcmp(in, "abc", 3) == 0);
	CHECK(turn(&w, w.udp, ENOUGH_MS) && recv(w.udp, in, sizeof(in), 0) == 1);
	CHECK(sendto(w.udp, "xy", 2, 0, (struct sockaddr *)&from, len) == 2);
	CHECK(get(&w, fd, in, 4) && memcmp(in, "\0\2xy", 4) == 0);
	carrier_server_count(w.server, &n);
	CHECK(n.users == 1 && n.proved == 1 && n.refused == 0);
	close(fd);
	end(&w);
}

static void forwards_nothing_without_a_proof(void)
{
	uint8_t proof[HELLO_PROOF_LEN];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_TCP); /* frames at once */
	for (int i = 0; i < 20; i++)
		put(fd, "\0\4data", 6);
	CHECK(has_ended(&w, fd));
	close(fd);
	fd = knock(&w, CARRIER_TCP); /* a proof that is none, and frames behind it */
	CHECK(greet(&w, fd, "one", proof));
	proof[31] ^= 1;
	put(fd, proof, sizeof(proof));
	put(fd, "\0\4data", 6);
	CHECK(has_ended(&w, fd));
	close(fd);
	CHECK(is_silent(&w, w.udp));
	end(&w);
}

static void a_recorded_proof_is_worth_nothing_later(void)
{
	uint8_t recorded[HELLO_PROOF_LEN], fresh[HELLO_PROOF_LEN];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_TCP);
	CHECK(greet(&w, fd, "one", recorded));
	close(fd);
	fd = knock(&w, CARRIER_TCP);
	CHECK(greet(&w, fd, "one", fresh));
	CHECK(memcmp(recorded, fresh, sizeof(fresh)) != 0);
	put(fd, recorded, sizeof(recorded));
	CHECK(has_ended(&w, fd));
	close(fd);
	end(&w);
}

static void answers_an_unknown_tag_as_any_other(void)
{
	uint8_t proof[HELLO_PROOF_LEN];
	struct carrier_server_counts n;
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_TCP);
	CHECK(!greet(&w, fd, "three", proof)); /* it has answered, and proved nothing */
	put(fd, proof, sizeof(proof));
	CHECK(has_ended(&w, fd));
	carrier_server_count(w.server, &n);
	CHECK(n.refused == 1 && n.users == 0);
	close(fd);
	end(&w);
}

static void is_silent_to_who_says_something_else(void)
{
	char out[OUT_MAX];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_TCP);
	say(fd, "GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: somebody\r\n\r\n");
	CHECK(get_some(&w, fd, out) == 0);
	close(fd);
	end(&w);
}

static void a_key_that_is_gone_ends_what_it_opened(void)
{
	uint8_t proof[HELLO_PROOF_LEN], in[2];
	struct world w;
	int one, two;

	begin(&w);
	one = knock(&w, CARRIER_TCP);
	CHECK(greet(&w, one, "one", proof));
	put(one, proof, sizeof(proof));
	CHECK(get(&w, one, in, 2));
	two = knock(&w, CARRIER_TCP);
	CHECK(greet(&w, two, "two", proof));
	put(two, proof, sizeof(proof));
	CHECK(get(&w, two, in, 2));
	carrier_server_set_keys(w.server, keys_of("bea " TWO "\n"));
	CHECK(has_ended(&w, one));
	put(two, "\0\1x", 3);
	CHECK(turn(&w, w.udp, ENOUGH_MS));
	close(one);
	close(two);
	end(&w);
}

/* A proved connection of @key, or -1. */
static int get_in(struct world *w, const char *key)
{
	uint8_t proof[HELLO_PROOF_LEN], in[2];
	int fd = knock(w, CARRIER_TCP);

	if (greet(w, fd, key, proof)) {
		put(fd, proof, sizeof(proof));
		if (get(w, fd, in, 2))
			return fd;
	}
	close(fd);
	return -1;
}

static void one_key_has_so_many_connections_and_another_has_its_own(void)
{
	struct carrier_server_counts n;
	int other, fds[SERVER_PER_KEY + 1];
	struct world w;

	begin(&w);
	other = get_in(&w, "two");
	for (int i = 0; i <= SERVER_PER_KEY; i++)
		fds[i] = get_in(&w, "one");
	CHECK(has_ended(&w, fds[0]));
	CHECK(is_silent(&w, fds[1]) && is_silent(&w, fds[SERVER_PER_KEY]));
	CHECK(is_silent(&w, other));
	carrier_server_count(w.server, &n);
	CHECK(n.users == SERVER_PER_KEY + 1 && n.crowded == 1);
	put(fds[SERVER_PER_KEY], "\0\1x", 3);
	CHECK(turn(&w, w.udp, ENOUGH_MS));
	close(other);
	for (int i = 0; i <= SERVER_PER_KEY; i++)
		close(fds[i]);
	end(&w);
}

/* --- HTTP --- */

static void ask(int fd, unsigned int port, const char *more)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "GET /.well-known/masque/udp/127.0.0.1/%u/ HTTP/1.1\r\nHost: x\r\n"
		 "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n"
		 "%s\r\n",
		 port, more);
	say(fd, text);
}

static void upgrades_for_who_has_a_key(void)
{
	static const char *const shows[] = {
		"Authorization: Bearer one\r\n",
		"authorization: bearer two\r\n",
		"Authorization: Basic YW5uYTpvbmU=\r\n", /* anna:one */
		"Proxy-Authorization: Bearer one\r\n",
	};

	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
		char out[OUT_MAX];
		struct world w;
		int fd;

		begin(&w);
		fd = knock(&w, CARRIER_HTTP);
		ask(fd, w.udp_port, shows[i]);
		put(fd, "\0\3\0hi", 5); /* early: a capsule in the same segment or the next */
		CHECK(turn(&w, w.udp, ENOUGH_MS) && recv(w.udp, out, OUT_MAX, 0) == 2);
		CHECK(get_some(&w, fd, out) == strlen(connect_udp_accepted));
		CHECK(strcmp(out, connect_udp_accepted) == 0);
		close(fd);
		end(&w);
	}
}

/* Without its date, which may change in between. */
static void cut_date(char *text)
{
	char *date = strstr(text, "Date: "), *end = date ? strstr(date, "\r\n") : NULL;

	if (end)
		memmove(date, end, strlen(end) + 1);
}

static void a_wrong_key_gets_what_a_stranger_gets(void)
{
	static const char *const shows[] = {
		"",
		"Authorization: Bearer three\r\n",
		"Authorization: Bearer \r\n",
		"Authorization: Bearer " ONE "\r\n", /* the digest is not the key */
		"Authorization: Basic YW5uYTp0aHJlZQ==\r\n",
		"Authorization: Basic !!!\r\n",
		"Authorization: Digest one\r\n",
		"Authorization: one\r\n",
	};
	char first[OUT_MAX] = "", out[OUT_MAX];
	struct world w;

	begin(&w);
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
		int fd = knock(&w, CARRIER_HTTP);

		ask(fd, w.udp_port, shows[i]);
		CHECK(get_some(&w, fd, out) > 0);
		cut_date(out);
		if (i == 0)
			memcpy(first, out, sizeof(first));
		CHECK(strncmp(out, "HTTP/1.1 404 ", 13) == 0);
		CHECK(strcmp(out, first) == 0);
		put(fd, "\0\3\0hi", 5);
		close(fd);
	}
	CHECK(is_silent(&w, w.udp));
	end(&w);
}

static void leads_to_one_place_only(void)
{
	char out[OUT_MAX];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_HTTP);
	ask(fd, w.udp_port ^ 1U, "Authorization: Bearer one\r\n");
	CHECK(get_some(&w, fd, out) > 0);
	CHECK(strncmp(out, "HTTP/1.1 403 ", 13) == 0);
	close(fd);
	end(&w);
}

static void answers_one_request_after_the_other(void)
{
	char out[OUT_MAX];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_HTTP);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /no HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK(get_some(&w, fd, out) > 0);
	CHECK(strncmp(out, "HTTP/1.1 200 ", 13) == 0 && strstr(out, "</html>\nHTTP/1.1 404 "));
	ask(fd, w.udp_port, "Authorization: Bearer one\r\n");
	CHECK(get_some(&w, fd, out) > 0 && strncmp(out, "HTTP/1.1 101 ", 13) == 0);
	close(fd);
	fd = knock(&w, CARRIER_HTTP);
	say(fd, "nonsense\n");
	CHECK(get_some(&w, fd, out) > 0 && strncmp(out, "HTTP/1.1 400 ", 13) == 0);
	CHECK(has_ended(&w, fd));
	close(fd);
	end(&w);
}

static void aborts_a_stream_that_is_no_capsules(void)
{
	char out[OUT_MAX];
	struct world w;
	int fd;

	begin(&w);
	fd = knock(&w, CARRIER_HTTP);
	ask(fd, w.udp_port, "Authorization: Bearer one\r\n");
	CHECK(get_some(&w, fd, out) > 0);
	put(fd, "\0\0", 2); /* a datagram without its context */
	CHECK(has_ended(&w, fd));
	close(fd);
	end(&w);
}

int main(void)
{
	RUN(carries_both_ways_behind_a_proof);
	RUN(forwards_nothing_without_a_proof);
	RUN(a_recorded_proof_is_worth_nothing_later);
	RUN(answers_an_unknown_tag_as_any_other);
	RUN(is_silent_to_who_says_something_else);
	RUN(a_key_that_is_gone_ends_what_it_opened);
	RUN(one_key_has_so_many_connections_and_another_has_its_own);
	RUN(upgrades_for_who_has_a_key);
	RUN(a_wrong_key_gets_what_a_stranger_gets);
	RUN(leads_to_one_place_only);
	RUN(answers_one_request_after_the_other);
	RUN(aborts_a_stream_that_is_no_capsules);
	return DONE();
}
