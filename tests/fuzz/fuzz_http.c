/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets on a connection to the HTTP server. Whatever they are, the handler sees only
 * requests of the shape it may rely on, and every one of them is answered.
 */
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "http/check.h"
#include "http/router.h"
#include "http/server.h"

enum {
	TURNS = 8, /* of the server's loop per input */
	INPUT_MAX = 65536,
};

static struct http_server *server;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void answered(struct call *call)
{
	(void)call;
}

static const struct route routes[] = {
	ROUTE(HTTP_POST, "/api/v1/things/", ROUTE_SIGNED, ROUTE_SIGNS_RAW_BODY, answered),
	ROUTE(HTTP_PUT, "/api/v1/things/{}/status", ROUTE_SIGNED, ROUTE_SIGNS_STATUS, answered),
	ROUTE(HTTP_GET, "/api/v1/things/{}", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, answered),
};

static void check_match(const struct http_request *r)
{
	struct route_match m;

	switch (router_find(routes, sizeof(routes) / sizeof(routes[0]), r->method, r->target,
			    &m)) {
	case ROUTE_FOUND:
		HOLDS(m.route->method == r->method &&
		      strncmp(r->target, "/api/v1/things/", 15) == 0);
		HOLDS(!m.part || (m.part_len > 0 && m.part >= r->target + 15));
		HOLDS(!m.part || !memchr(m.part, '?', m.part_len));
		break;
	case ROUTE_NO_METHOD:
		HOLDS(m.allow[0]);
		break;
	case ROUTE_NO_PATH:
		break;
	}
}

static void handle(void *context, struct http_exchange *x)
{
	const struct http_request *r = http_exchange_request(x);
	struct http_reply reply = { .status = 200, .content_type = "text/plain" };

	(void)context;
	HOLDS(http_check_target(r->target) && strlen(r->target) <= HTTP_TARGET_MAX);
	HOLDS(r->method != 0 && r->body_len <= HTTP_BODY_MAX && r->body[r->body_len] == '\0');
	HOLDS(r->is_local && r->caller.pid == getpid());
	check_match(r);
	(void)http_exchange_header(x, "signature");
	http_reply(x, &reply);
}

static void refuse(void *context, unsigned int listener, struct http_reply *reply,
		   unsigned int status, const char *why)
{
	(void)context, (void)listener;
	HOLDS(status >= 400 && status < 600 && why[0]);
	reply->status = status;
	reply->content_type = "text/plain";
	text_puts(&reply->body, why);
}

static void start(void)
{
	struct http_server_config config = { .n_listeners = 1,
					     .handle = handle,
					     .refuse = refuse };
	int fd = config.listeners[0].fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* An abstract name: nothing to clean up, and several fuzzers at once. */
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "culvert-fuzz-http-%d",
		 (int)getpid());
	HOLDS(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	HOLDS(listen(fd, 16) == 0);
	config.listeners[0].is_local = true;
	HOLDS(http_server_new(&config, &server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t now_ns = 1;
	char answer[4096];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!server)
		start();
	HOLDS(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	if (size > 0 && size <= INPUT_MAX)
		HOLDS(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < TURNS; i++) {
		http_server_run(server, now_ns += 1000);
		(void)recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	}
	close(fd);
	for (int i = 0; i < TURNS; i++)
		http_server_run(server, now_ns += 1000);
	HOLDS(http_server_waiting(server) == 0);
	return 0;
}
