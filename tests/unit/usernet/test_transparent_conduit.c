/* SPDX-License-Identifier: Apache-2.0 */
/* Octets from one socket to another: what was written on one side is what is read on the other. */
#include <signal.h>
#include <stdbool.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "usernet/transparent_conduit.h"

enum { SIZE = 3 << 20, CHUNK = 30000 };

static struct conduit_pipes pipes;
static struct conduit conduit;
static int source[2], sink[2]; /* [0] is the conduit's, [1] ours */
static uint32_t source_events, sink_events;

static void open_both(void)
{
	conduit = (struct conduit){ 0 };
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, source) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sink) == 0);
}

static void close_both(void)
{
	conduit_done(&conduit, &pipes);
	for (int i = 0; i < 2; i++) {
		close(source[i]);
		close(sink[i]);
	}
}

/* As if epoll had said that both are ready: they say themselves that they are not. */
static enum conduit_turn turn(void)
{
	source_events = EPOLLIN;
	sink_events = EPOLLOUT;
	return conduit_move(&conduit, &pipes, source[0], &source_events, sink[0], &sink_events);
}

static uint8_t octet_at(size_t position)
{
	return (uint8_t)(position * 7 + position / 253);
}

/* Return: how much more was written, from position @at on. */
static size_t write_some(size_t at)
{
	uint8_t block[CHUNK];
	size_t len = SIZE - at < CHUNK ? SIZE - at : CHUNK;
	ssize_t n = 0;

	for (size_t i = 0; i < len; i++)
		block[i] = octet_at(at + i);
	n = len ? write(source[1], block, len) : 0;
	return n > 0 ? (size_t)n : 0;
}

/* Return: how much was read; -1 for the end. */
static ssize_t read_some(size_t at, bool *ret_right)
{
	uint8_t block[CHUNK];
	ssize_t n = read(sink[1], block, sizeof(block));

	for (ssize_t i = 0; i < n; i++)
		*ret_right &= block[i] == octet_at(at + (size_t)i);
	return n == 0 ? -1 : n < 0 ? 0 : n;
}

static void every_octet_arrives_and_then_the_end(void)
{
	size_t written = 0, got = 0;
	bool is_right = true, has_shut = false;
	ssize_t n = 0;

	open_both();
	while (n >= 0 && is_right) {
		written += write_some(written);
		if (written == SIZE && !has_shut)
			has_shut = shutdown(source[1], SHUT_WR) == 0;
		CHECK(turn() != CONDUIT_FAILED);
		n = read_some(got, &is_right);
		got += n > 0 ? (size_t)n : 0;
	}
	CHECK(is_right && got == SIZE && conduit.is_shut);
	close_both();
}

static void what_the_other_side_does_not_take_waits_and_nothing_more_is_read(void)
{
	size_t written = 0, got = 0, more = 1;
	bool is_right = true;

	open_both();
	for (int i = 0; i < 1000 && more; i++) {
		more = write_some(written);
		written += more;
		turn();
	}
	CHECK(!more && written < SIZE); /* somebody would have had to keep it */
	CHECK(conduit.held > 0 && conduit.has_pipe && !(sink_events & EPOLLOUT));
	while (got < written && is_right) {
		ssize_t n = read_some(got, &is_right);

		got += n > 0 ? (size_t)n : 0;
		turn();
	}
	CHECK(is_right && got == written && conduit.held == 0 && !conduit.has_pipe);
	close_both();
}

static void pipes_go_from_one_conduit_to_the_next(void)
{
	uint32_t before = pipes.made;

	for (int i = 0; i < 10; i++) {
		open_both();
		CHECK(write(source[1], "x", 1) == 1);
		CHECK(turn() == CONDUIT_WAITS);
		CHECK(pipes.n_spare == pipes.made);
		close_both();
	}
	CHECK(pipes.made == before || pipes.made == 1);
}

static void without_a_pipe_it_waits_and_reads_nothing(void)
{
	uint32_t made = pipes.made, spare = pipes.n_spare;
	char octet = 0;

	open_both();
	pipes.made = PIPES_MAX;
	pipes.n_spare = 0;
	CHECK(write(source[1], "x", 1) == 1);
	CHECK(turn() == CONDUIT_NO_PIPE);
	pipes.made = made;
	pipes.n_spare = spare;
	CHECK(turn() == CONDUIT_WAITS);
	CHECK(read(sink[1], &octet, 1) == 1 && octet == 'x');
	close_both();
}

static void a_socket_that_broke_is_told(void)
{
	open_both();
	CHECK(write(source[1], "x", 1) == 1);
	close(sink[1]);
	CHECK(turn() == CONDUIT_FAILED);
	sink[1] = dup(source[1]); /* to be closed with the rest */
	close_both();
}

static void a_conduit_that_ends_while_it_holds_octets_takes_its_pipe_with_it(void)
{
	size_t written = 0, more = 1;

	open_both();
	while (more) {
		more = write_some(written);
		written += more;
		turn();
	}
	CHECK(conduit.has_pipe);
	uint32_t made = pipes.made, spare = pipes.n_spare;

	close_both();
	CHECK(pipes.made == made - 1 && pipes.n_spare == spare);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	RUN(every_octet_arrives_and_then_the_end);
	RUN(what_the_other_side_does_not_take_waits_and_nothing_more_is_read);
	RUN(pipes_go_from_one_conduit_to_the_next);
	RUN(without_a_pipe_it_waits_and_reads_nothing);
	RUN(a_socket_that_broke_is_told);
	RUN(a_conduit_that_ends_while_it_holds_octets_takes_its_pipe_with_it);
	conduit_pipes_done(&pipes);
	CHECK(pipes.made == 0);
	return DONE();
}
