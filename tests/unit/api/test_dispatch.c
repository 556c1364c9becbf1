/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as octets to the real routes; who gets past the door, and with which words not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "api/dispatch.h"
#include "base/text.h"
#include "empty_gateway.h"
#include "sys/clock.h"

static struct api api;
static struct http_server *server;
static struct sockaddr_in tcp;
static struct sockaddr_un local;
static char answer[16384];

static int listen_on(const void *to, socklen_t len)
{
	int fd =
		socket(((const struct sockaddr *)to)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, to, len) != 0 || listen(fd, 8) != 0)
		abort();
	return fd;
}

static void start(void)
{
	struct http_server_config config = { .handle = dispatch_request,
					     .refuse = call_refusal_body,
					     .context = &api };
	socklen_t len = sizeof(tcp);

	api = (struct api){ .gateway = empty_gateway(),
			    .window_s = 60,
			    .own_uid = geteuid(),
			    .key = { .id = "gateway", .text = "key", .len = 3 } };
	if (pace_new(&api.failures) != 0 || replay_cache_new(60, 64, &api.cache) != 0 ||
	    background_new(&api.background) != 0)
		abort();
	tcp = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(0x7f000001) } };
	local = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(local.sun_path, sizeof(local.sun_path), "/tmp/culvert-dispatch-%d.sock",
		 (int)getpid());
	config.n_listeners = 2;
	config.listeners[0].fd = listen_on(&tcp, sizeof(tcp));
	config.listeners[1].fd = listen_on(&local, sizeof(local));
	config.listeners[1].is_local = true;
	getsockname(config.listeners[0].fd, (struct sockaddr *)&tcp, &len);
	for (int i = 0; i < 2; i++) {
		api.listeners[i].surfaces[0] = &surface_contract;
		api.listeners[i].surfaces[1] = &surface_own;
	}
	if (http_server_new(&config, &server) != 0)
		abort();
}

static void stop(void)
{
	http_server_free(server);
	background_free(api.background);
	gateway_free(api.gateway);
	replay_cache_free(api.cache);
	pace_free(api.failures);
	unlink(local.sun_path);
}

static int dial(bool is_local)
{
	int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = is_local ? connect(fd, (struct sockaddr *)&local, sizeof(local))
			   : connect(fd, (struct sockaddr *)&tcp, sizeof(tcp));

	if (err != 0)
		abort();
	return fd;
}

/* One request of @head (line and header fields, without Host). Return: the status. */
static int ask(bool is_local, const char *head)
{
	int fd = dial(is_local);
	size_t len = 0;
	char text[2048];
	ssize_t n = 1;

	snprintf(text, sizeof(text), "%s\r\nHost: x\r\nConnection: close\r\n\r\n", head);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		abort();
	for (int i = 0; i < 2000 && n != 0; i++) {
		struct pollfd wait[2] = { { .fd = fd, .events = POLLIN },
					  { .fd = background_fd(api.background),
					    .events = POLLIN } };

		http_server_run(server, clock_boot_ns());
		if (poll(wait, 2, 5) > 0 && wait[1].revents)
			background_collect(api.background);
		n = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	answer[len] = '\0';
	return len > 12 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static bool says(const char *what)
{
	return strstr(answer, what) != NULL;
}

/* @head with a signature over nothing, made @offset_s from now with @key. */
static int ask_signed(const char *head, int64_t offset_s, const char *key)
{
	uint64_t at = (uint64_t)((int64_t)(clock_wall_ns() / 1000000000) + offset_s);
	struct hmac_key k = { .len = strlen(key) };
	struct text request = { 0 };
	uint8_t mac[HMAC_LEN];
	char timestamp[24];
	int status;

	memcpy(k.text, key, k.len);
	snprintf(timestamp, sizeof(timestamp), "%llu", (unsigned long long)at);
	hmac_sign_v1(&k, timestamp, NULL, "", 0, mac);
	text_printf(&request, "%s\r\ntimestamp: %s\r\nsignature: ", head, timestamp);
	text_put_hex(&request, mac, sizeof(mac));
	status = ask(false, request.data);
	text_done(&request);
	return status;
}

static void what_no_route_has_is_not_found(void)
{
	start();
	CHECK(ask(false, "GET / HTTP/1.1") == 404 && says("Not Found"));
	CHECK(ask(false, "GET /api/v1/ip-usage/ HTTP/1.1") == 404);
	CHECK(ask(false, "GET /api/v1//ip-usage HTTP/1.1") == 404);
	CHECK(ask(false, "GET /api/v1/%69p-usage HTTP/1.1") == 404); /* the raw target counts */
	CHECK(ask(false, "POST /api/v1/ip-usage HTTP/1.1\r\nContent-Length: 0") == 405 &&
	      says("Method Not Allowed"));
	stop();
}

static void a_route_for_everybody_needs_no_signature(void)
{
	start();
	CHECK(ask(false, "POST /api/v1/configurations HTTP/1.1\r\nContent-Length: 0") == 307);
	stop();
}

static void each_missing_header_is_named(void)
{
	start();
	CHECK(ask(false, "GET /api/v1/ip-usage HTTP/1.1") == 422);
	CHECK(says("\"signature\"") && says("\"timestamp\"") && says("Field required"));
	CHECK(ask(false, "GET /api/v1/ip-usage HTTP/1.1\r\ntimestamp: 1") == 422);
	CHECK(says("\"signature\"") && !says("\"timestamp\""));
	stop();
}

static void a_good_signature_passes_and_no_other(void)
{
	static const char head[] = "GET /api/v1/ip-usage HTTP/1.1";

	start();
	CHECK(ask_signed(head, 0, "key") == 200 && says("\"gateway_ip\":\"10.0.1.1\""));
	CHECK(ask_signed(head, -50, "key") == 200);
	CHECK(ask_signed(head, 0, "kez") == 401);
	CHECK(ask_signed(head, -70, "key") == 401);
	CHECK(ask_signed(head, 70, "key") == 401);
	CHECK(ask_signed("GET /api/v1/ip-usage HTTP/1.1\r\nX-Signature-Version: 3", 0, "key") ==
	      401);
	/* Version 2 covers more than what was signed here. */
	CHECK(ask_signed("GET /api/v1/ip-usage HTTP/1.1\r\nX-Signature-Version: 2\r\n"
			 "X-Nonce: 0123456789abcdef",
			 0, "key") == 401);
	stop();
}

static void our_own_routes_take_version_2_or_the_local_socket(void)
{
	static const char head[] = "GET /api/v1/peers HTTP/1.1";

	start();
	CHECK(ask(false, head) == 401 && says("signature of version 2"));
	CHECK(ask_signed(head, 0, "key") == 401);
	CHECK(ask(true, "GET /api/v1/ip-usage HTTP/1.1") == 422); /* signed, wherever from */
	api.own_uid = geteuid() + 1;
	CHECK(ask(true, "GET /api/v1/peers/x HTTP/1.1") == (geteuid() == 0 ? 404 : 403));
	api.own_uid = geteuid();
	CHECK(ask(true, "GET /api/v1/peers/x HTTP/1.1") == 404);
	stop();
}

int main(void)
{
	RUN(what_no_route_has_is_not_found);
	RUN(a_route_for_everybody_needs_no_signature);
	RUN(each_missing_header_is_named);
	RUN(a_good_signature_passes_and_no_other);
	RUN(our_own_routes_take_version_2_or_the_local_socket);
	return DONE();
}
