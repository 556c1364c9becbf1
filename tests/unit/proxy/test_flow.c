/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction between real TCP sockets, as a stream of octets that has to come out as it went in: in small
 * pieces and large ones, to a receiver that keeps up and one that does not, and with every pipe taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "proxy/flow.h"

enum { ALL = 6 << 20 };

/* struct line - A sender, the two sockets of the proxy, a receiver */
struct line {
	int sender;
	int from;
	int to;
	int receiver;
	struct flow flow;
	struct pipes pipes;
	struct flow_means means;
};

static void connect_pair(int *ret_a, int *ret_b)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	*ret_a = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(*ret_a, (struct sockaddr *)&at, sizeof(at)) == 0);
	*ret_b = accept(listener, NULL, NULL);
	close(listener);
	fcntl(*ret_a, F_SETFL, O_NONBLOCK);
	fcntl(*ret_b, F_SETFL, O_NONBLOCK);
}

static void begin(struct line *l)
{
	*l = (struct line){ .flow = { .writable = true } };
	connect_pair(&l->sender, &l->from);
	connect_pair(&l->to, &l->receiver);
	l->means.pipes = &l->pipes;
	l->means.scratch = malloc(FLOW_COPY);
}

static void finish(struct line *l)
{
	flow_done(&l->flow, &l->pipes);
	pipes_done(&l->pipes);
	CHECK(l->pipes.n_open == 0);
	free(l->means.scratch);
	close(l->sender);
	close(l->from);
	close(l->to);
	close(l->receiver);
}

static uint8_t octet_at(size_t i)
{
	return (uint8_t)((i * 2654435761U) >> 13);
}

/* What epoll would say; both again and again, which edges may do as well. */
static enum flow_state turn(struct line *l, bool ended)
{
	l->flow.readable = l->flow.writable = true;
	l->flow.hangs_up = ended;
	return flow_pump(&l->flow, l->from, l->to, &l->means);
}

static size_t receive(struct line *l, size_t at, size_t most)
{
	static uint8_t buffer[256 << 10];
	ssize_t n = recv(l->receiver, buffer, most < sizeof(buffer) ? most : sizeof(buffer), 0);

	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] != octet_at(at + (size_t)i)) {
			FAIL("another octet");
			return 0;
		}
	}
	return n > 0 ? (size_t)n : 0;
}

static size_t send_piece(struct line *l, size_t at, size_t most)
{
	static uint8_t buffer[256 << 10];
	size_t len = ALL - at < most ? ALL - at : most;
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		buffer[i] = octet_at(at + i);
	n = len > 0 ? send(l->sender, buffer, len, MSG_NOSIGNAL) : 0;
	return n > 0 ? (size_t)n : 0;
}

/* @slow: the receiver looks only each so many turns. */
static void carry(struct line *l, size_t piece, int slow)
{
	size_t sent = 0, got = 0;
	enum flow_state state = FLOW_WAITS;
	bool ended = false;

	for (long i = 0; got < ALL && i < 10000000; i++) {
		sent += send_piece(l, sent, piece);
		if (sent == ALL && !ended) {
			ended = true;
			shutdown(l->sender, SHUT_WR);
		}
		state = turn(l, ended);
		CHECK(state != FLOW_BROKEN);
		if (state == FLOW_BROKEN)
			return;
		if (i % slow == 0 || sent == ALL)
			got += receive(l, got, 256 << 10);
	}
	while (state == FLOW_AGAIN || state == FLOW_WAITS)
		state = turn(l, true);
	CHECK(got == ALL);
	CHECK(state == FLOW_ENDED);
	CHECK(l->means.moved == ALL);
	CHECK(recv(l->receiver, &got, 1, 0) == 0);
	CHECK(!l->flow.pipe && !l->flow.rest);
}

static void small_pieces_arrive_as_they_were(void)
{
	struct line l;

	begin(&l);
	carry(&l, 1000, 1);
	CHECK(!l.flow.is_bulk);
	finish(&l);
}

static void large_pieces_arrive_as_they_were(void)
{
	struct line l;

	begin(&l);
	carry(&l, 256 << 10, 1);
	CHECK(l.pipes.n_open > 0);
	finish(&l);
}

static void a_slow_receiver_gets_everything(void)
{
	for (size_t piece = 3000; piece <= 256 << 10; piece *= 9) {
		struct line l;

		begin(&l);
		carry(&l, piece, 97);
		finish(&l);
	}
}

static void goes_on_where_there_is_no_pipe(void)
{
	struct pipe *taken[PIPES_OPEN_MAX];
	struct line l;

	begin(&l);
	for (size_t i = 0; i < PIPES_OPEN_MAX; i++)
		taken[i] = pipes_take(&l.pipes, i % 2);
	CHECK(taken[PIPES_OPEN_MAX - 1] && !pipes_take(&l.pipes, false));
	carry(&l, 256 << 10, 13);
	for (size_t i = 0; i < PIPES_OPEN_MAX; i++)
		pipes_give(&l.pipes, taken[i]);
	finish(&l);
}

static void what_came_early_comes_first(void)
{
	uint8_t early[5000];
	struct line l;
	size_t got = 0;

	for (size_t i = 0; i < sizeof(early); i++)
		early[i] = octet_at(i);
	begin(&l);
	CHECK(flow_carry(&l.flow, early, sizeof(early)) == 0);
	CHECK(send_piece(&l, sizeof(early), 5000) == 5000);
	for (int i = 0; i < 1000 && got < 10000; i++) {
		turn(&l, false);
		got += receive(&l, got, 1 << 20);
	}
	CHECK(got == 10000);
	finish(&l);
}

static void a_reset_on_either_side_breaks_it(void)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	for (int side = 0; side < 2; side++) {
		struct line l;
		enum flow_state state = FLOW_WAITS;
		int *which = side ? &l.sender : &l.receiver;

		begin(&l);
		setsockopt(*which, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(*which);
		*which = -1;
		for (int i = 0; i < 1000 && state == FLOW_WAITS; i++) {
			if (!side)
				send_piece(&l, 0, 1000);
			state = turn(&l, false);
		}
		CHECK(state == FLOW_BROKEN);
		finish(&l);
	}
}

static void waits_when_its_key_may_not_move_more(void)
{
	struct allowance a = { 0 };
	struct line l;
	size_t got = 0;

	begin(&l);
	l.means.allowance = &a;
	l.means.rate = 4000;
	l.means.now_ns = 1000000000;
	CHECK(send_piece(&l, 0, 5000) == 5000);
	CHECK(turn(&l, false) == FLOW_THROTTLED);
	CHECK(turn(&l, false) == FLOW_THROTTLED);
	got += receive(&l, got, 1 << 20);
	CHECK(got == 1001);
	l.means.now_ns += 250000000;
	CHECK(turn(&l, false) == FLOW_THROTTLED);
	got += receive(&l, got, 1 << 20);
	CHECK(got == 2001);
	finish(&l);
}

int main(void)
{
	RUN(small_pieces_arrive_as_they_were);
	RUN(large_pieces_arrive_as_they_were);
	RUN(a_slow_receiver_gets_everything);
	RUN(goes_on_where_there_is_no_pipe);
	RUN(what_came_early_comes_first);
	RUN(a_reset_on_either_side_breaks_it);
	RUN(waits_when_its_key_may_not_move_more);
	return DONE();
}
