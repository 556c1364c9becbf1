/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as octets over real sockets; server and client share this thread. Time is the
 * server's argument.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "http/server.h"

static const uint64_t SECOND = 1000000000;

static struct http_server *server;
static int turns; /* that it has had */
static uint64_t now_ns = 1000000000000;
static char local_path[64];
static struct sockaddr_in address;

/* What the handler saw last, and what it does. */
static struct {
	int calls;
	char target[HTTP_TARGET_MAX + 1];
	char method[16];
	size_t body_len;
	bool is_local;
	uid_t uid;
	bool later;
	struct http_exchange *waiting;
} seen;

static void answer(struct http_exchange *x)
{
	struct http_reply reply = { .status = 200, .content_type = "application/json" };

	text_puts(&reply.body, "{\"hello\":true}");
	http_reply(x, &reply);
}

static void handle(void *context, struct http_exchange *x)
{
	const struct http_request *r = http_exchange_request(x);

	(void)context;
	seen.calls++;
	snprintf(seen.target, sizeof(seen.target), "%s", r->target);
	snprintf(seen.method, sizeof(seen.method), "%s", r->method_text);
	seen.body_len = r->body_len;
	seen.is_local = r->is_local;
	seen.uid = r->caller.uid;
	if (seen.later)
		seen.waiting = x;
	else
		answer(x);
}

static void refuse(void *context, unsigned int listener, struct http_reply *reply,
		   unsigned int status, const char *why)
{
	(void)context, (void)listener;
	reply->status = status;
	reply->content_type = "text/plain";
	text_puts(&reply->body, why);
}

static void (*handler)(void *context, struct http_exchange *x) = handle;

static int listen_on(int family, const void *to, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, to, len) != 0 || listen(fd, 64) != 0)
		abort();
	return fd;
}

static void start(void)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(address);
	struct http_server_config config = { .handle = handler, .refuse = refuse };

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	snprintf(local_path, sizeof(local_path), "/tmp/culvert-http-%d.sock", (int)getpid());
	snprintf(local.sun_path, sizeof(local.sun_path), "%s", local_path);
	config.n_listeners = 2;
	config.listeners[0].fd = listen_on(AF_INET, &address, sizeof(address));
	config.listeners[1].fd = listen_on(AF_UNIX, &local, sizeof(local));
	config.listeners[1].is_local = true;
	getsockname(config.listeners[0].fd, (struct sockaddr *)&address, &len);
	if (http_server_new(&config, &server) != 0)
		abort();
}

static int dial(bool is_local)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	snprintf(local.sun_path, sizeof(local.sun_path), "%s", local_path);
	err = is_local ? connect(fd, (struct sockaddr *)&local, sizeof(local))
		       : connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (err != 0)
		abort();
	return fd;
}

static void run(int times)
{
	for (int i = 0; i < times; i++, turns++)
		http_server_run(server, now_ns);
}

static void put(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return; /* cut off: the test looks at the answer */
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
		run(1);
	}
}

/* Everything the server says until it stops; 0 octets and *@ret_closed when it hung up. */
static const char *hear(int fd, bool *ret_closed)
{
	static char text[65536];
	size_t len = 0;
	bool closed = false;

	for (int quiet = 0; quiet < 300 && !closed;) {
		run(1);

		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);

		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno == ECONNRESET)
			closed = true;
		else
			quiet++;
	}
	text[len] = '\0';
	if (ret_closed)
		*ret_closed = closed;
	return text;
}

/* The status of the answer to @request, 0 when the connection just ended or nothing came. */
static int status_of(const char *request)
{
	int fd = dial(false), status = 0;
	const char *text;

	put(fd, request, strlen(request));
	text = hear(fd, NULL);
	if (strncmp(text, "HTTP/1.1 ", 9) == 0)
		status = (int)strtol(text + 9, NULL, 10);
	close(fd);
	run(5);
	return status;
}

#define HOST "Host: localhost\r\n"

static void answers_a_request_and_passes_the_raw_target(void)
{
	memset(&seen, 0, sizeof(seen));
	CHECK(status_of("GET /a%2Fb//../c?x=%41 HTTP/1.1\r\n" HOST "\r\n") == 200);
	CHECK(seen.calls == 1 && strcmp(seen.target, "/a%2Fb//../c?x=%41") == 0);
	CHECK(strcmp(seen.method, "GET") == 0 && !seen.is_local);
}

static void passes_bodies_by_length_and_by_chunks(void)
{
	CHECK(status_of("POST /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello") == 200);
	CHECK(seen.body_len == 5);
	CHECK(status_of("POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
			"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n") == 200);
	CHECK(seen.body_len == 5);
}

static void refuses_what_two_readers_could_read_differently(void)
{
	memset(&seen, 0, sizeof(seen));
	CHECK(status_of("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
	CHECK(status_of("POST / HTTP/1.1\r\n" HOST
			"Content-Length: 5\r\nContent-Length: 5\r\n\r\n"
			"hello") == 400);
	CHECK(status_of("GET / HTTP/1.1\r\n" HOST HOST "\r\n") == 400);
	CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400); /* no Host at all */
	CHECK(status_of("GET /a%00b HTTP/1.1\r\n" HOST "\r\n") == 400);
	CHECK(status_of("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n") == 400);
	CHECK(status_of("GET http://other/ HTTP/1.1\r\n" HOST "\r\n") == 400);
	CHECK(status_of("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n") == 501);
	CHECK(seen.calls == 0);
}

static void refuses_methods_nobody_knows(void)
{
	memset(&seen, 0, sizeof(seen));
	CHECK(status_of("BREW / HTTP/1.1\r\n" HOST "\r\n") == 501);
	CHECK(status_of("get / HTTP/1.1\r\n" HOST "\r\n") == 501);
	CHECK(status_of("TRACE / HTTP/1.1\r\n" HOST "\r\n") == 501);
	CHECK(status_of("CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n") == 501);
	CHECK(seen.calls == 0);
}

static void large_requests_are_refused(void)
{
	static char request[2 << 20];
	size_t n;

	memset(&seen, 0, sizeof(seen));
	/* At once where it is hopeless; where it is not, the client may finish first. */
	CHECK(status_of("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n") == 413);
	n = (size_t)snprintf(request, sizeof(request),
			     "POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
	memset(request + n, 'x', HTTP_BODY_MAX + 1);
	CHECK(status_of(request) == 413);
	memset(request, 0, sizeof(request));

	n = (size_t)snprintf(request, sizeof(request),
			     "POST / HTTP/1.1\r\n" HOST
			     "Transfer-Encoding: chunked\r\n\r\n110000\r\n");
	memset(request + n, 'x', 0x110000);
	memcpy(request + n + 0x110000, "\r\n0\r\n\r\n", 8);
	CHECK(status_of(request) == 413);

	n = (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n" HOST "A: ");
	memset(request + n, 'x', 17000);
	memcpy(request + n + 17000, "\r\n\r\n", 5);
	CHECK(status_of(request) == 431);

	n = (size_t)snprintf(request, sizeof(request), "GET /");
	memset(request + n, 'x', 9000);
	snprintf(request + n + 9000, 64, " HTTP/1.1\r\n" HOST "\r\n");
	CHECK(status_of(request) == 414);
	CHECK(seen.calls == 0);

	/* One octet less is served. */
	n = (size_t)snprintf(request, sizeof(request),
			     "POST / HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
	memset(request + n, 'x', HTTP_BODY_MAX);
	request[n + HTTP_BODY_MAX] = '\0';
	CHECK(status_of(request) == 200);
	CHECK(seen.body_len == HTTP_BODY_MAX);
}

static void an_answer_may_come_later_while_others_are_served(void)
{
	static const char request[] = "GET /slow HTTP/1.1\r\n" HOST "\r\n";
	int fd = dial(false);
	bool closed = false;

	memset(&seen, 0, sizeof(seen));
	seen.later = true;
	put(fd, request, strlen(request));
	CHECK(hear(fd, &closed)[0] == '\0' && !closed);
	CHECK(seen.calls == 1 && http_server_waiting(server) == 1);
	seen.later = false;
	CHECK(status_of("GET /fast HTTP/1.1\r\n" HOST "\r\n") == 200);
	now_ns += 3600 * SECOND; /* however long it takes us, the client is not cut off */
	run(3);
	answer(seen.waiting);
	CHECK(http_server_waiting(server) == 0);
	CHECK(strstr(hear(fd, &closed), "{\"hello\":true}"));
	close(fd);
	run(5);
}

static void a_client_that_left_is_no_trouble(void)
{
	static const char request[] = "GET /slow HTTP/1.1\r\n" HOST "\r\n";
	int fd = dial(false);

	memset(&seen, 0, sizeof(seen));
	seen.later = true;
	put(fd, request, strlen(request));
	hear(fd, NULL);
	CHECK(seen.waiting);
	close(fd);
	run(5);
	answer(seen.waiting);
	run(10);
	seen.later = false;
	CHECK(status_of("GET / HTTP/1.1\r\n" HOST "\r\n") == 200);
}

static void one_connection_serves_many_requests(void)
{
	static const char two[] =
		"GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n";
	int fd = dial(false);

	memset(&seen, 0, sizeof(seen));
	put(fd, two, strlen(two));
	hear(fd, NULL);
	CHECK(seen.calls == 2 && strcmp(seen.target, "/2") == 0);
	close(fd);
	run(5);
}

static void whoever_drips_is_cut_off(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
	int fd = dial(false);
	bool closed = false;

	put(fd, head, strlen(head));
	for (int i = 0; i < HTTP_HEADER_DEADLINE_S - 1; i++) {
		now_ns += SECOND;
		put(fd, "x", 1);
		hear(fd, &closed);
		CHECK(!closed);
	}
	now_ns += 2 * SECOND;
	put(fd, "x", 1);
	hear(fd, &closed);
	CHECK(closed);
	close(fd);

	/* The same for a body. */
	static const char post[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n";

	fd = dial(false);
	put(fd, post, strlen(post));
	for (int i = 0; i < HTTP_BODY_DEADLINE_S - 1; i++) {
		now_ns += SECOND;
		put(fd, "x", 1);
		hear(fd, &closed);
		CHECK(!closed);
	}
	now_ns += 2 * SECOND;
	put(fd, "x", 1);
	hear(fd, &closed);
	CHECK(closed);
	close(fd);
	run(5);
}

static void a_connection_without_a_request_ends(void)
{
	int fd = dial(false);
	bool closed = false;

	run(3);
	now_ns += (HTTP_HEADER_DEADLINE_S + 1) * SECOND;
	hear(fd, &closed);
	CHECK(closed);
	close(fd);
	run(5);
}

static void the_local_socket_knows_its_caller(void)
{
	static const char request[] = "GET /me HTTP/1.1\r\n" HOST "\r\n";
	int fd = dial(true);

	memset(&seen, 0, sizeof(seen));
	seen.uid = (uid_t)-1;
	put(fd, request, strlen(request));
	CHECK(strstr(hear(fd, NULL), "200 OK"));
	CHECK(seen.is_local && seen.uid == getuid());
	close(fd);
	run(5);
}

static void nothing_is_stored_on_the_way(void)
{
	static const char request[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
	int fd = dial(false);
	const char *text;

	put(fd, request, strlen(request));
	text = hear(fd, NULL);
	CHECK(strstr(text, "Cache-Control: no-store\r\n"));
	CHECK(strstr(text, "Content-Type: application/json\r\n"));
	close(fd);
	run(5);
}

/* --- Streams --- */

static void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

static void stop(void)
{
	server = http_server_free(server);
	unlink(local_path);
}

static struct {
	int pieces; /* to come */
	int pauses; /* before the next one */
	int turns;  /* of the server, at the last pause */
	bool waits; /* behind the next one */
	bool closed;
	bool all_apart; /* no two pauses in one turn */
	struct http_exchange *x;
} stream;

static ssize_t next_piece(void *context, char *out, size_t max)
{
	(void)context;
	if (stream.pauses > 0) {
		stream.all_apart &= turns != stream.turns;
		stream.turns = turns;
		stream.pauses--;
		return HTTP_STREAM_PAUSE;
	}
	if (stream.waits)
		return 0;
	if (stream.pieces == 0)
		return -1;
	stream.pieces--;
	stream.waits = true;
	return snprintf(out, max, "piece %d\n", stream.pieces);
}

static void stream_closed(void *context)
{
	(void)context;
	stream.closed = true;
}

static void handle_with_stream(void *context, struct http_exchange *x)
{
	struct http_reply reply = { .status = 200,
				    .content_type = "text/event-stream",
				    .stream = { .read = next_piece, .close = stream_closed } };

	(void)context;
	stream.x = x;
	http_reply_add(&reply, "X-One", "1");
	http_reply_add(&reply, "X-Two", "2");
	http_reply(x, &reply);
}

static int start_stream(int pieces)
{
	int fd;

	handler = handle_with_stream;
	memset(&stream, 0, sizeof(stream));
	stream.pieces = pieces;
	start();
	fd = dial(false);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	return fd;
}

static void stop_stream(int fd)
{
	close(fd);
	run(20);
	handler = handle;
	stop();
}

static void a_stream_sends_what_there_is_and_waits_for_more(void)
{
	int fd = start_stream(2);
	bool closed = false;
	const char *text = hear(fd, &closed);

	CHECK(strstr(text, "X-One: 1\r\n") && strstr(text, "X-Two: 2\r\n"));
	CHECK(strstr(text, "piece 1\n") && !strstr(text, "piece 0\n") && !closed);
	stream.waits = false;
	http_stream_wake(stream.x);
	CHECK(strstr(hear(fd, &closed), "piece 0\n") && !closed);
	stream.waits = false;
	http_stream_wake(stream.x);
	hear(fd, &closed);
	CHECK(closed && stream.closed);
	stop_stream(fd);
}

static void a_stream_that_pauses_goes_on_by_itself_a_turn_later(void)
{
	int fd = start_stream(2);
	bool closed = false;

	stream.pauses = 5;
	stream.all_apart = true;
	CHECK(strstr(hear(fd, &closed), "piece 1\n") && !closed);
	CHECK(stream.pauses == 0 && stream.all_apart);
	stop_stream(fd);
}

static void a_stream_whose_reader_left_is_closed(void)
{
	int fd = start_stream(5);

	hear(fd, NULL);
	close(fd);
	run(20);
	/* Nobody is told while there is nothing to send: the first piece goes into the void. */
	for (int i = 0; i < 3 && !stream.closed; i++) {
		stream.waits = false;
		http_stream_wake(stream.x);
		run(20);
	}
	CHECK(stream.closed);
	stop_stream(-1);
}

static void streams_end_when_the_server_does(void)
{
	int fd = start_stream(5);
	bool closed = false;

	hear(fd, NULL);
	http_server_quiesce(server);
	hear(fd, &closed);
	CHECK(closed && stream.closed);
	stop_stream(fd);
}

static void head_is_a_get_without_its_body(void)
{
	int fd;
	const char *text;

	start();
	fd = dial(false);
	say(fd, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
	text = hear(fd, NULL);
	CHECK(strstr(text, "200 OK") && strstr(text, "Content-Length: 14") &&
	      !strstr(text, "hello"));
	CHECK(strcmp(seen.method, "HEAD") == 0);
	close(fd);
	stop();
}

static void a_crowd_that_sends_nothing_does_not_keep_others_out(void)
{
	enum { CROWD = HTTP_CONNECTIONS_MAX / 4 * 3 };
	static int idle[CROWD];
	struct rlimit limit = { 0 };
	bool closed = false;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < 2 * CROWD + 100) {
		printf("# too few descriptors allowed here: %ju\n", (uintmax_t)limit.rlim_max);
		return;
	}
	start();
	for (int i = 0; i < CROWD; i++) {
		idle[i] = dial(false);
		run(1);
	}
	run(10);
	fd = dial(false);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK(strstr(hear(fd, &closed), "hello") && !closed);
	hear(idle[0], &closed); /* the oldest made room */
	CHECK(closed);
	hear(idle[CROWD - 1], &closed);
	CHECK(!closed);
	close(fd);
	for (int i = 0; i < CROWD; i++)
		close(idle[i]);
	run(50);
	stop();
}

int main(void)
{
	start();
	RUN(answers_a_request_and_passes_the_raw_target);
	RUN(passes_bodies_by_length_and_by_chunks);
	RUN(refuses_what_two_readers_could_read_differently);
	RUN(refuses_methods_nobody_knows);
	RUN(large_requests_are_refused);
	RUN(an_answer_may_come_later_while_others_are_served);
	RUN(a_client_that_left_is_no_trouble);
	RUN(one_connection_serves_many_requests);
	RUN(whoever_drips_is_cut_off);
	RUN(a_connection_without_a_request_ends);
	RUN(the_local_socket_knows_its_caller);
	RUN(nothing_is_stored_on_the_way);
	stop();
	/* Each of these has a server of its own. */
	RUN(a_stream_sends_what_there_is_and_waits_for_more);
	RUN(a_stream_that_pauses_goes_on_by_itself_a_turn_later);
	RUN(a_stream_whose_reader_left_is_closed);
	RUN(streams_end_when_the_server_does);
	RUN(head_is_a_get_without_its_body);
	RUN(a_crowd_that_sends_nothing_does_not_keep_others_out);
	return DONE();
}
