/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel interface behind UAPI, spoken to by iface/userspace.c as the gateway does it, and in raw text. */
#include <stdio.h>
#include <time.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "conf/uapi.h"
#include "fake_kernel.h"
#include "iface/iface.h"
#include "iface/kernel.h"
#include "sys/clock.h"

enum { ROOM = 1 << 20 };

static struct fake_kernel kernel;
static struct kernel_server *server;
static char heard[ROOM];

/* The clock in place of that of sys/clock.c: it moves when a test, or a slow kernel, says so. */
static _Atomic uint64_t now_ns = UINT64_C(5000000000);
static uint64_t get_costs_ns;

uint64_t clock_boot_ns(void)
{
	return now_ns;
}

uint64_t clock_wall_ns(void)
{
	return now_ns;
}

/* What happens while the kernel tells its peers, and while it is told some; NULL: nothing */
static void (*while_asked)(void);
static void (*while_set)(void);

static int get(void *context, struct wg_genl_snapshot *ret)
{
	now_ns += get_costs_ns;
	if (while_asked)
		while_asked();
	return fake_get(context, ret);
}

static int set(void *context, const struct wg_genl_set *change)
{
	if (while_set)
		while_set();
	return fake_set(context, change);
}

static void start(void)
{
	const struct kernel_backend backend = { get, set, &kernel };

	kernel = (struct fake_kernel){ .listen_port = 51820, .public_key = { 7 } };
	get_costs_ns = 0;
	while_asked = while_set = NULL;
	CHECK(kernel_server_new(&backend, &server) == 0);
}

static int dial(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	CHECK(kernel_server_add(server, ends[1], false) == 0);
	return ends[0];
}

/* Let the server do all that it can. Return: false when the interface is gone */
static bool settle(void)
{
	struct pollfd fds[KERNEL_CONNECTIONS_MAX];
	int timeout_ms;

	for (int i = 0; i < 10000; i++) {
		size_t n = kernel_server_watch(server, now_ns, fds, &timeout_ms);

		if (poll(fds, n, 0) == 0 && timeout_ms != 0)
			return true;
		if (!kernel_server_run(server))
			return false;
	}
	FAIL("the server does not come to rest");
	return true;
}

static bool say(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
	return settle();
}

static const char *hear(int fd, bool *ret_open)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, heard + at, ROOM - 1 - at, MSG_DONTWAIT)) > 0) {
		at += (size_t)n;
		settle();
	}
	heard[at] = '\0';
	*ret_open = n < 0 && errno == EAGAIN;
	return heard;
}

static bool hears(int fd, const char *what)
{
	bool is_open;
	const char *is = hear(fd, &is_open);

	if (strcmp(is, what) != 0)
		printf("# heard: \"%.200s\"\n", is);
	return is_open && strcmp(is, what) == 0;
}

static bool is_closed(int fd)
{
	bool is_open;

	hear(fd, &is_open);
	return !is_open;
}

static int dial_limited(void)
{
	int fd = dial();

	say(fd, "limited=1\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	return fd;
}

#define KEY_A "aa00000000000000000000000000000000000000000000000000000000000001"
#define KEY_B "bb00000000000000000000000000000000000000000000000000000000000002"
#define PEER_A                                                                     \
	"public_key=" KEY_A "\nreplace_allowed_ips=true\nallowed_ip=10.0.1.2/32\n" \
	"allowed_ip=fd00::2/128\npersistent_keepalive_interval=25\n"

static void stop(void)
{
	server = kernel_server_free(server);
}

static void a_set_reaches_the_kernel_and_a_get_tells_it(void)
{
	start();
	int fd = dial_limited();

	say(fd, "set=1\n" PEER_A "preshared_key=" KEY_B "\nendpoint=192.0.2.1:7\n\n");
	CHECK(hears(fd, "errno=0\n\n") && kernel.sets == 1 && kernel.n == 1);
	say(fd, "get=1\n\n");
	CHECK(hears(fd,
		    "listen_port=51820\npublic_key=" KEY_A "\npreshared_key=" KEY_B
		    "\nprotocol_version=1\nendpoint=192.0.2.1:7\nlast_handshake_time_sec=0\n"
		    "last_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
		    "persistent_keepalive_interval=25\nallowed_ip=10.0.1.2/32\n"
		    "allowed_ip=fd00::2/128\nculvert_drops=0\nculvert_handshake_failures=0\n"
		    "errno=0\n\n"));
	say(fd, "set=1\npublic_key=" KEY_A "\nremove=true\n\n");
	CHECK(hears(fd, "errno=0\n\n") && kernel.n == 0);
	close(fd);
	stop();
}

static void what_a_kernel_cannot_do_is_refused_whole(void)
{
	static const char *const lines[] = {
		"jc=4\n" PEER_A,
		"culvert_profile=low\n" PEER_A,
		"replace_profiles=true\n" PEER_A,
		PEER_A "persistent_keepalive_interval=16-25\n",
		PEER_A "culvert_rate_bps=1000\n",
		PEER_A "culvert_profile_heard=low\n",
		PEER_A "culvert_profile_pin=low\n",
		PEER_A "culvert_prelude=true\n",
		PEER_A "allowed_ip=-10.0.1.2/32\n",
		PEER_A "nonsense=1\n",
	};
	start();
	int fd = dial_limited();

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char request[1024];

		snprintf(request, sizeof(request), "set=1\n%s\n", lines[i]);
		say(fd, request);
		if (!hears(fd, "errno=-22\n\n"))
			FAIL(lines[i]);
	}
	CHECK(kernel.sets == 0);
	/* A budget is nothing that the kernel keeps; no rate is what it has. */
	say(fd, "set=1\n" PEER_A "culvert_budget_bytes=7\nculvert_rate_bps=0\n\n");
	CHECK(hears(fd, "errno=0\n\n") && kernel.sets == 1);
	close(fd);
	stop();
}

static void a_limited_connection_does_not_touch_the_identity(void)
{
	start();
	int fd = dial_limited(), host = dial();

	say(fd, "set=1\nprivate_key=" KEY_A "\n\nset=1\nlisten_port=7\n\nset=1\nfwmark=7\n\n");
	CHECK(hears(fd, "errno=-22\n\nerrno=-22\n\nerrno=-22\n\n") && !kernel.touched_identity);
	say(host, "set=1\nprivate_key=" KEY_A "\nlisten_port=7\n\n");
	CHECK(hears(host, "errno=0\n\n") && kernel.touched_identity && kernel.listen_port == 7);
	say(fd, "limited=0\n\n");
	CHECK(is_closed(fd));
	close(fd);
	close(host);
	stop();
}

static void a_connection_may_be_limited_from_its_beginning(void)
{
	int ends[2];

	start();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	CHECK(kernel_server_add(server, ends[1], true) == 0);
	say(ends[0], "set=1\nlisten_port=7\n\nset=1\n" PEER_A "\n");
	CHECK(hears(ends[0], "errno=-22\n\nerrno=0\n\n") && !kernel.touched_identity);
	close(ends[0]);
	stop();
}

static void a_change_that_the_kernel_takes_in_part_ends_the_connection(void)
{
	start();
	int fd = dial_limited(), other = dial_limited();

	kernel.fail_set = -ENOMEM;
	kernel.stop_after = 1;
	say(fd, "set=1\n" PEER_A "public_key=" KEY_B "\n\n");
	CHECK(is_closed(fd) && kernel.n == 1);
	CHECK(strcmp(heard, "") == 0);
	kernel.fail_set = 0;
	say(other, "set=1\npublic_key=" KEY_B "\n\n");
	CHECK(hears(other, "errno=0\n\n") && kernel.n == 2);
	close(fd);
	close(other);
	stop();
}

static void an_interface_that_is_gone_ends_the_server(void)
{
	start();
	int fd = dial_limited();

	kernel.fail_get = -ENODEV;
	CHECK(!say(fd, "state=1\n\n"));
	close(fd);
	stop();
	start();
	fd = dial_limited();
	kernel.fail_get = -ETIMEDOUT; /* any other failure ends the connection */
	CHECK(say(fd, "get=1\n\n") && is_closed(fd));
	close(fd);
	stop();
}

static uint64_t state_of(int fd)
{
	static const char before[] = "listen_port=51820\nculvert_public_key="
				     "07000000000000000000000000000000"
				     "00000000000000000000000000000000\nculvert_state=";
	bool is_open;

	say(fd, "state=1\n\n");
	hear(fd, &is_open);
	CHECK(is_open && strncmp(heard, before, sizeof(before) - 1) == 0);
	return strtoull(heard + sizeof(before) - 1, NULL, 10);
}

static void the_state_follows_what_is_set_and_not_what_moves(void)
{
	start();
	int fd = dial_limited();
	uint64_t empty = state_of(fd), one;

	say(fd, "set=1\n" PEER_A "\n");
	CHECK(hears(fd, "errno=0\n\n"));
	one = state_of(fd);
	CHECK(one != empty);
	kernel.peers[0].peer.rx_bytes = 1 << 20;
	kernel.peers[0].peer.last_handshake_ns = 5;
	kernel.peers[0].peer.endpoint.port = 9;
	CHECK(state_of(fd) == one);
	kernel.peers[0].peer.preshared_key.b[31] = 1;
	CHECK(state_of(fd) != one);
	kernel.peers[0].peer.preshared_key.b[31] = 0;
	kernel.peers[0].prefixes[0].bits = 31;
	CHECK(state_of(fd) != one);
	kernel.peers[0].prefixes[0].bits = 32;
	kernel.peers[0].peer.keepalive_s = 26;
	CHECK(state_of(fd) != one);
	kernel.n = 0;
	CHECK(state_of(fd) == empty);
	close(fd);
	stop();
}

static void the_order_of_peers_and_prefixes_is_no_change(void)
{
	uint8_t key[SHORT_HASH_KEY_LEN] = { 1 };
	struct ip_prefix ips[3] = { { { ADDR_V4, { 10 } }, 8 },
				    { { ADDR_V4, { 11 } }, 8 },
				    { { ADDR_V6, { 10 } }, 8 } };
	struct wg_genl_peer peers[2] = {
		{ .public_key = { 1 }, .n_prefixes = 2 },
		{ .public_key = { 2 }, .first_prefix = 2, .n_prefixes = 1 }
	};
	struct wg_genl_snapshot s = {
		.peers = peers, .n_peers = 2, .prefixes = ips, .n_prefixes = 3
	};
	uint64_t before = kernel_print(&s, key);
	struct ip_prefix swap = ips[0];
	struct wg_genl_peer other = peers[0];

	ips[0] = ips[1];
	ips[1] = swap;
	CHECK(kernel_print(&s, key) == before);
	peers[0] = peers[1];
	peers[1] = other;
	CHECK(kernel_print(&s, key) == before);
	peers[0].first_prefix = 0; /* a prefix that changes hands */
	CHECK(kernel_print(&s, key) != before);
}

static void limited_connections_are_few_and_one_answer_waits_at_a_time(void)
{
	int fds[KERNEL_LIMITED_MAX];

	start();
	for (int i = 0; i < KERNEL_LIMITED_MAX; i++)
		fds[i] = dial_limited();
	int more = dial(), last[KERNEL_CONNECTIONS_MAX];

	say(more, "limited=1\n\n");
	CHECK(strcmp(hear(more, &(bool){ 0 }), "errno=-16\n\n") == 0 && is_closed(more));
	close(more);
	settle();
	CHECK(kernel_server_add(server, dup(fds[0]), true) == ERR_LIMIT);
	for (int i = KERNEL_LIMITED_MAX; i < KERNEL_CONNECTIONS_MAX; i++)
		last[i] = dial();
	CHECK(kernel_server_add(server, dup(fds[0]), false) == ERR_LIMIT);
	for (int i = KERNEL_LIMITED_MAX; i < KERNEL_CONNECTIONS_MAX; i++)
		close(last[i]);
	for (int i = 0; i < KERNEL_LIMITED_MAX; i++)
		close(fds[i]);
	settle();
	stop();
}

/* A long answer, for a client that does not read it. */
static void fill(void)
{
	for (uint8_t i = 0; i < FAKE_PEERS_MAX; i++) {
		struct fake_peer *p = fake_make(&kernel, (const uint8_t[32]){ i, 1 });

		for (p->n = 0; p->n < FAKE_PREFIXES_MAX; p->n++) {
			struct ip_prefix *to = &p->prefixes[p->n];

			*to = (struct ip_prefix){ .ip.family = ADDR_V6, .bits = 128 };
			memset(to->ip.b, 0xfd, sizeof(to->ip.b));
			to->ip.b[1] = i;
			to->ip.b[3] = (uint8_t)p->n;
		}
	}
}

static void who_does_not_read_keeps_nobody_else_from_asking(void)
{
	start();
	int slow = dial_limited(), other = dial_limited(), host = dial();

	fill();
	say(slow,
	    "get=1\n\nget=1\n\n"); /* the first answer is longer than the buffer of a socket */
	CHECK(kernel.gets == 1);
	say(other, "get=1\n\n");
	CHECK(hears(other, "errno=16\n\n"));
	say(other, "state=1\n\n");
	CHECK(!is_closed(other));
	say(host, "get=1\n\n");
	CHECK(!is_closed(host) && strstr(heard, "errno=0\n\n"));
	close(slow);
	settle();
	say(other, "get=1\n\n");
	CHECK(!is_closed(other) && strstr(heard, "errno=0\n\n"));
	close(other);
	close(host);
	stop();
}

static void who_asked_what_took_long_is_left_alone_for_as_long(void)
{
	start();
	int fd = dial_limited(), host = dial();

	get_costs_ns = UINT64_C(300000000);
	say(fd, "state=1\n\nstate=1\n\n");
	CHECK(kernel.gets == 1);
	say(host, "get=1\n\n"); /* the host's connection never rests */
	say(host, "get=1\n\n");
	CHECK(kernel.gets == 4); /* 600 ms later the first had its turn again, too */
	now_ns += UINT64_C(299000000);
	settle();
	CHECK(kernel.gets == 4);
	close(fd);
	close(host);
	stop();
}

static void a_set_of_a_limited_connection_is_limited(void)
{
	struct text request = { .data = NULL };
	start();
	int fd = dial_limited();

	text_puts(&request, "set=1\npublic_key=" KEY_A "\n");
	for (int i = 0; i <= KERNEL_LIMITED_PREFIXES_MAX; i++)
		text_puts(&request, "allowed_ip=10.0.0.1/32\n");
	text_puts(&request, "\n");
	for (size_t at = 0; at < request.len;) {
		ssize_t n = send(fd, request.data + at, request.len - at, MSG_DONTWAIT);

		settle();
		at += n > 0 ? (size_t)n : 0;
	}
	CHECK(hears(fd, "errno=-22\n\n") && kernel.sets == 0);
	text_done(&request);
	close(fd);
	stop();
}

static void a_line_without_end_is_refused_and_what_follows_is_served(void)
{
	static char line[UAPI_LINE_MAX + 100];
	start();
	int fd = dial_limited();

	memset(line, 'x', sizeof(line) - 1);
	say(fd, "set=1\n");
	for (const char *at = line; at < line + sizeof(line) - 1; at += 8000) {
		CHECK(send(fd, at, strnlen(at, 8000), MSG_NOSIGNAL) > 0);
		settle();
	}
	say(fd, "\n\nset=1\n" PEER_A "\n");
	CHECK(hears(fd, "errno=-22\n\nerrno=0\n\n") && kernel.n == 1);
	close(fd);
	stop();
}

/* --- Between the pieces of what the kernel was asked --- */

/* Those that speak while it is busy, and what they had heard before it was done. */
static int first, second, host;
static char told[4][64];

static void ask(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static void note(int fd, char *out)
{
	ssize_t n = recv(fd, out, sizeof(told[0]) - 1, MSG_DONTWAIT);

	out[n > 0 ? n : 0] = '\0';
}

static void others_ask_meanwhile(void)
{
	ask(second, "get=1\n\n");
	ask(host, "state=1\n\n");
	kernel_server_pause(server, false);
}

static void one_answer_of_the_kernel_serves_all_who_asked_meanwhile(void)
{
	start();
	first = dial_limited();
	second = dial_limited();
	host = dial();
	say(host, "set=1\n" PEER_A "\n");
	CHECK(hears(host, "errno=0\n\n"));
	while_asked = others_ask_meanwhile;
	say(first, "state=1\n\n");
	CHECK(kernel.gets == 1);
	CHECK(!is_closed(first) && strstr(heard, "errno=0\n\n"));
	CHECK(!is_closed(second) && strstr(heard, KEY_A) && strstr(heard, "errno=0\n\n"));
	CHECK(!is_closed(host) && strstr(heard, "state=") && strstr(heard, "errno=0\n\n"));
	close(first);
	close(second);
	close(host);
	stop();
}

static void another_asks_for_all(void)
{
	if (kernel.gets > 0)
		return;
	ask(second, "get=1\n\n");
	kernel_server_pause(server, false);
}

static void who_asks_for_all_meanwhile_waits_for_an_answer_of_its_own(void)
{
	start();
	first = dial_limited();
	second = dial_limited();
	host = dial();
	say(host, "set=1\n" PEER_A "\n");
	CHECK(hears(host, "errno=0\n\n"));
	while_asked = another_asks_for_all;
	say(first, "get=1\n\n");
	CHECK(!is_closed(first) && strstr(heard, KEY_A) && strstr(heard, "errno=0\n\n"));
	CHECK(!is_closed(second) && strstr(heard, KEY_A) && strstr(heard, "errno=0\n\n"));
	CHECK(kernel.gets == 2);
	close(first);
	close(second);
	close(host);
	stop();
}

/* The first change spoils the answer, the next comes while it is spoiled, the third would spoil it again. */
static void others_change_meanwhile(void)
{
	if (kernel.gets > 0)
		return;
	ask(second, "set=1\n" PEER_A "\n");
	kernel_server_pause(server, false);
	note(second, told[0]);
	now_ns += UINT64_C(1000000000); /* it may have to rest */
	ask(second, "set=1\npublic_key=" KEY_B "\n\n");
	kernel_server_pause(server, true);
	note(second, told[1]);
	now_ns += UINT64_C(1000000000);
	ask(second, "set=1\npublic_key=" KEY_B "\nremove=true\n\n");
	kernel_server_pause(server, false);
	note(second, told[2]);
}

static void a_change_waits_for_no_answer_to_others_but_lets_it_come_to_an_end(void)
{
	start();
	first = dial_limited();
	second = dial_limited();
	while_asked = others_change_meanwhile;
	say(first, "get=1\n\n");
	CHECK(strcmp(told[0], "errno=0\n\n") == 0);
	CHECK(strcmp(told[1], "errno=0\n\n") == 0);
	CHECK(strcmp(told[2], "") == 0);
	CHECK(!is_closed(first) && strstr(heard, KEY_A) && strstr(heard, KEY_B));
	CHECK(hears(second, "errno=0\n\n"));
	CHECK(kernel.n == 1 && kernel.sets == 3);
	close(first);
	close(second);
	stop();
}

static void a_second_and_a_half_goes_by(void)
{
	ask(second, "state=1\n\n");
	for (int i = 0; i < 3; i++) {
		kernel_server_pause(server, false);
		now_ns += UINT64_C(500000000);
	}
	kernel_server_pause(server, false);
	note(first, told[0]);
	note(second, told[1]);
	note(host, told[2]);
}

static void who_waits_for_a_second_is_told_so_and_nobody_else(void)
{
	start();
	first = dial_limited();
	second = dial_limited();
	host = dial();
	while_set = a_second_and_a_half_goes_by;
	say(first, "set=1\n" PEER_A "\n");
	CHECK(strcmp(told[0], "busy=1\n") == 0);
	CHECK(strcmp(told[1], "busy=1\n") == 0);
	CHECK(strcmp(told[2], "") == 0);
	CHECK(hears(first, "errno=0\n\n"));
	CHECK(!is_closed(second) && strstr(heard, "errno=0\n\n"));
	close(first);
	close(second);
	close(host);
	stop();
}

static void leaves_meanwhile(void)
{
	close(second);
	kernel_server_pause(server, false);
	kernel_server_pause(server, false);
}

static void who_leaves_meanwhile_is_forgotten_afterwards(void)
{
	start();
	first = dial_limited();
	second = dial_limited();
	while_asked = leaves_meanwhile;
	say(first, "state=1\n\n");
	CHECK(!is_closed(first) && strstr(heard, "errno=0\n\n"));
	for (int i = 1; i < KERNEL_LIMITED_MAX; i++) /* its place is free again */
		CHECK(kernel_server_add(server, dup(first), true) == 0);
	close(first);
	stop();
}

/* --- As the gateway speaks to it --- */

static atomic_bool is_over;

static void *serve(void *unused)
{
	while (!atomic_load(&is_over)) {
		struct pollfd fds[KERNEL_CONNECTIONS_MAX];
		int timeout_ms;
		size_t n = kernel_server_watch(server, now_ns, fds, &timeout_ms);

		poll(fds, n, 1);
		kernel_server_run(server);
	}
	return unused;
}

static void count_peer(void *context, const struct uapi_get_peer *peer)
{
	*(size_t *)context += peer->n_allowed_ips;
}

static void the_gateways_side_needs_no_second_protocol(void)
{
	struct uapi_set_peer peer = { .public_key = { 0xaa },
				      .n_allowed_ips = 1,
				      .has_keepalive = true,
				      .keepalive = { 25, 25 } };
	struct uapi_allowed_ip ip = { .prefix = { { ADDR_V4, { 10, 0, 1, 2 } }, 32 } };
	struct uapi_set set = {
		.peers = &peer, .n_peers = 1, .allowed_ips = &ip, .n_allowed_ips = 1
	};
	struct iface_state state = { .number = 0 };
	struct iface *iface = NULL;
	pthread_t thread;
	size_t prefixes = 0;

	start();
	CHECK(iface_userspace_new(dial_limited(), NULL, NULL, &iface) == 0);
	atomic_store(&is_over, false);
	CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
	CHECK(iface_set(iface, &set, NULL) == 0);
	CHECK(iface_get(iface, count_peer, &prefixes, NULL) == 0 && prefixes == 1);
	CHECK(iface_state(iface, &state, NULL) == 0);
	CHECK(state.listen_port == 51820 && state.public_key[0] == 7 && state.number != 0);
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	iface_free(iface);
	stop();
}

int main(void)
{
	RUN(a_set_reaches_the_kernel_and_a_get_tells_it);
	RUN(what_a_kernel_cannot_do_is_refused_whole);
	RUN(a_limited_connection_does_not_touch_the_identity);
	RUN(a_connection_may_be_limited_from_its_beginning);
	RUN(a_change_that_the_kernel_takes_in_part_ends_the_connection);
	RUN(an_interface_that_is_gone_ends_the_server);
	RUN(the_state_follows_what_is_set_and_not_what_moves);
	RUN(the_order_of_peers_and_prefixes_is_no_change);
	RUN(limited_connections_are_few_and_one_answer_waits_at_a_time);
	RUN(who_does_not_read_keeps_nobody_else_from_asking);
	RUN(who_asked_what_took_long_is_left_alone_for_as_long);
	RUN(a_set_of_a_limited_connection_is_limited);
	RUN(a_line_without_end_is_refused_and_what_follows_is_served);
	RUN(one_answer_of_the_kernel_serves_all_who_asked_meanwhile);
	RUN(who_asks_for_all_meanwhile_waits_for_an_answer_of_its_own);
	RUN(a_change_waits_for_no_answer_to_others_but_lets_it_come_to_an_end);
	RUN(who_waits_for_a_second_is_told_so_and_nobody_else);
	RUN(who_leaves_meanwhile_is_forgotten_afterwards);
	RUN(the_gateways_side_needs_no_second_protocol);
	return DONE();
}
