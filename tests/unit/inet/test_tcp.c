/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of RFCs as scripts. A script is a list of steps, one text each:
 *
 *   at MS            time goes on to MS milliseconds; timers that run out on the way run out
 *   in WORDS         a segment arrives: flags first (S A F R P E C), then "seq N", "ack N", "len N",
 *                    "win N", "mss N", "ws N", "sack" (permitted), "ts VALUE ECHO", "block START END"
 *   out WORDS        the next packet has these; what is not named is not looked at; "len" is of all
 *                    segments together
 *   none             there is no packet
 *   write N, end     the owner writes octets, or says that there are no more
 *   read N           the owner takes octets, and they are the right ones
 *   abort, ended     the owner resets; the owner has read all up to the FIN
 *   state N          the connection is in this state
 *
 * Numbers count from the first sequence number of whoever sends; acknowledgements from that of
 * the other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/wire.h"
#include "inet/packet.h"
#include "inet/tcp.h"

/* Both wrap while the scripts run. */
#define PEER_ISS UINT32_C(0xfffffff0)
#define OUR_ISS	 UINT32_C(0xfffffc00)

#define MS    UINT64_C(1000000)
#define START (1000 * UINT64_C(1000000000))

static struct tcp_budget budget = { .limit = 64 << 20 };
static struct tcp_settings settings = {
	.mtu = 1500,
	.receive_max = 1 << 20,
	.send_max = 1 << 20,
	.keepalive_ns = 7200 * UINT64_C(1000000000),
	.give_up_ns = 900 * UINT64_C(1000000000),
	.budget = &budget,
};

static struct {
	struct tcp tcp;
	bool is_open;
	uint64_t now_ns;
	uint64_t written;
	uint64_t read;
	uint32_t ts_base; /* our clock at the start */
} run;

static const struct inet_pair pair = {
	.local = { ADDR_V4, { 10, 0, 0, 1 } },
	.remote = { ADDR_V4, { 10, 0, 0, 2 } },
	.local_port = 80,
	.remote_port = 4000,
};

static uint8_t octet_at(uint64_t position)
{
	return (uint8_t)(position * 37 + 11);
}

static uint8_t flags_of(const char *word)
{
	static const char letters[] = "FSRPAUEC";
	uint8_t flags = 0;

	for (; *word; word++) {
		const char *at = strchr(letters, *word);

		if (at)
			flags |= (uint8_t)(1 << (at - letters));
	}
	return flags;
}

struct step {
	struct tcp_segment s;
	uint32_t len;
	bool has_seq, has_ack, has_len, has_win;
};

static uint32_t number(char **save)
{
	return (uint32_t)strtoul(strtok_r(NULL, " ", save), NULL, 0);
}

/* Words after "in" or "out". */
static void read_words(char **save, uint32_t from, uint32_t other, struct step *ret)
{
	char *word = NULL;

	*ret = (struct step){ .s.scale = TCP_NO_SCALE };
	ret->s.flags = flags_of(strtok_r(NULL, " ", save));
	while ((word = strtok_r(NULL, " ", save)) != NULL) {
		if (strcmp(word, "seq") == 0) {
			ret->s.sequence = from + number(save);
			ret->has_seq = true;
		} else if (strcmp(word, "ack") == 0) {
			ret->s.acknowledgement = other + number(save);
			ret->has_ack = true;
		} else if (strcmp(word, "len") == 0) {
			ret->len = number(save);
			ret->has_len = true;
		} else if (strcmp(word, "win") == 0) {
			ret->s.window = (uint16_t)number(save);
			ret->has_win = true;
		} else if (strcmp(word, "mss") == 0) {
			ret->s.mss = (uint16_t)number(save);
		} else if (strcmp(word, "ws") == 0) {
			ret->s.scale = (uint8_t)number(save);
		} else if (strcmp(word, "sack") == 0) {
			ret->s.sack_permitted = true;
		} else if (strcmp(word, "ts") == 0) {
			ret->s.has_timestamps = true;
			ret->s.ts_value = number(save);
			ret->s.ts_echo = number(save);
		} else if (strcmp(word, "block") == 0) {
			struct tcp_sack *b = &ret->s.sacks[ret->s.n_sacks++];

			b->start = other + number(save);
			b->end = other + number(save);
		} else {
			printf("# no such word: %s\n", word);
			test_failed++;
		}
	}
}

static void arrive(char **save)
{
	static uint8_t payload[65536];
	struct step step;
	struct iovec slice = { payload, 0 };

	read_words(save, PEER_ISS, OUR_ISS, &step);
	if (!step.has_win)
		step.s.window = 65535;
	for (uint32_t i = 0; i < step.len; i++)
		payload[i] = octet_at(step.s.sequence - PEER_ISS - 1 + i);
	slice.iov_len = step.len;
	if (!run.is_open) {
		tcp_accept(&run.tcp, &settings, &pair, &step.s, OUR_ISS, 0, run.now_ns);
		run.is_open = true;
		return;
	}
	tcp_input(&run.tcp, run.now_ns, &step.s, &slice, 1, false);
}

static bool has_blocks(const struct tcp_segment *got, const struct tcp_segment *want)
{
	if (got->n_sacks != want->n_sacks)
		return false;
	for (int i = 0; i < want->n_sacks; i++) /* ours tell of the peer's octets */
		if (got->sacks[i].start - PEER_ISS != want->sacks[i].start - PEER_ISS ||
		    got->sacks[i].end != want->sacks[i].end)
			return false;
	return true;
}

static bool depart(char **save)
{
	static uint8_t packet[TCP_OUTPUT_MAX];
	struct inet_offload offload;
	uint32_t len = tcp_output(&run.tcp, run.now_ns, packet, &offload), payload = 0;
	struct tcp_segment got;
	struct step want;

	read_words(save, OUR_ISS, PEER_ISS, &want);
	if (len == 0 || !tcp_segment_parse(packet + 20, len - 20, &got))
		return false;
	payload = len - 20 - got.header_len;
	if (got.flags != want.s.flags || (want.has_seq && got.sequence != want.s.sequence) ||
	    (want.has_ack && got.acknowledgement != want.s.acknowledgement) ||
	    (want.has_len && payload != want.len) ||
	    (want.has_win && got.window != want.s.window) ||
	    (want.s.mss && got.mss != want.s.mss) ||
	    (want.s.scale != TCP_NO_SCALE && got.scale != want.s.scale) ||
	    (want.s.sack_permitted && !got.sack_permitted) ||
	    (want.s.has_timestamps && got.ts_echo != want.s.ts_echo) ||
	    !has_blocks(&got, &want.s)) {
		printf("# flags %02x seq %u ack %u len %u win %u blocks %u\n", got.flags,
		       got.sequence - OUR_ISS, got.acknowledgement - PEER_ISS, payload,
		       got.window, got.n_sacks);
		return false;
	}
	for (uint32_t i = 0; i < payload; i++)
		if (packet[20 + got.header_len + i] != octet_at(got.sequence - OUR_ISS - 1 + i))
			return false;
	return true;
}

static bool is_silent(void)
{
	static uint8_t packet[TCP_OUTPUT_MAX];
	struct inet_offload offload;

	return tcp_output(&run.tcp, run.now_ns, packet, &offload) == 0;
}

static bool put(uint32_t len)
{
	struct iovec slices[2];
	int n = tcp_send_space(&run.tcp, len, slices);

	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < slices[i].iov_len; k++)
			((uint8_t *)slices[i].iov_base)[k] = octet_at(run.written++);
	tcp_send_written(&run.tcp, len, false);
	return n > 0;
}

static bool take(uint32_t len)
{
	struct iovec slices[2];
	int n = tcp_receive_slices(&run.tcp, slices);
	uint32_t left = len;

	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < slices[i].iov_len && left; k++, left--)
			if (((uint8_t *)slices[i].iov_base)[k] != octet_at(run.read++))
				return false;
	if (left == 0)
		tcp_receive_taken(&run.tcp, len, run.now_ns);
	return left == 0;
}

static bool go_to(uint64_t at_ns)
{
	while (tcp_deadline_ns(&run.tcp) <= at_ns) {
		run.now_ns = tcp_deadline_ns(&run.tcp) > run.now_ns ? tcp_deadline_ns(&run.tcp)
								    : run.now_ns;
		tcp_expire(&run.tcp, run.now_ns);
		if (run.tcp.owed || run.tcp.snd.board.octets[TCP_LOST])
			break; /* the script has to say what goes out */
	}
	if (run.now_ns < at_ns)
		run.now_ns = at_ns;
	return true;
}

static bool perform(char *text)
{
	char *save = NULL, *verb = strtok_r(text, " ", &save);

	if (strcmp(verb, "at") == 0)
		return go_to(START + number(&save) * MS);
	if (strcmp(verb, "in") == 0)
		return arrive(&save), true;
	if (strcmp(verb, "out") == 0)
		return depart(&save);
	if (strcmp(verb, "none") == 0)
		return is_silent();
	if (strcmp(verb, "write") == 0)
		return put(number(&save));
	if (strcmp(verb, "read") == 0)
		return take(number(&save));
	if (strcmp(verb, "end") == 0)
		return tcp_send_end(&run.tcp), true;
	if (strcmp(verb, "abort") == 0)
		return tcp_abort(&run.tcp), true;
	if (strcmp(verb, "ended") == 0)
		return tcp_receive_ended(&run.tcp);
	if (strcmp(verb, "state") == 0)
		return run.tcp.state == number(&save);
	if (strcmp(verb, "why") == 0)
		return run.tcp.end == number(&save);
	return false;
}

/* @connects: we are the one who calls. */
static void play(bool connects, const char *const *script)
{
	memset(&run, 0, sizeof(run));
	run.now_ns = START;
	if (connects) {
		tcp_connect(&run.tcp, &settings, &pair, OUR_ISS, 0, run.now_ns);
		run.is_open = true;
	}
	for (int i = 0; script[i]; i++) {
		char text[160];

		snprintf(text, sizeof(text), "%s", script[i]);
		if (!perform(text)) {
			printf("# step %d: %s (state %d)\n", i + 1, script[i], run.tcp.state);
			test_failed++;
			break;
		}
	}
	tcp_done(&run.tcp);
	CHECK(budget.used == 0);
}

#define PLAY(...)	     play(false, (const char *const[]){ __VA_ARGS__, NULL })
#define PLAY_CONNECTING(...) play(true, (const char *const[]){ __VA_ARGS__, NULL })

/* A handshake with everything; round trip 10 ms. Our segments carry 1448 octets. */
#define OPENED                                               \
	"in S seq 0 win 65535 mss 1460 sack ts 100 0 ws 7",  \
		"out SA seq 0 ack 1 sack ts 0 100", "at 10", \
		"in A seq 1 ack 1 win 512 ts 110 1000000", "none", "state 3"
/* One without any option: 536 octets, no scale. */
#define OPENED_PLAIN                                                                       \
	"in S seq 0 win 8192", "out SA seq 0 ack 1", "at 10", "in A seq 1 ack 1 win 8192", \
		"none"

static void answers_a_syn_with_what_was_offered(void)
{
	PLAY("in S seq 0 win 65535 mss 1460 sack ts 100 0 ws 7",
	     "out SA seq 0 ack 1 mss 1460 ws 5 sack ts 0 100", "none", "state 2");
	PLAY("in S seq 0 win 1000", "out SA seq 0 ack 1 mss 1460 win 65535", "none");
}

/* RFC 9293 section 3.8.1, RFC 6298 section 2: one second, then doubled. */
static void sends_the_syn_ack_again_after_one_two_and_four_seconds(void)
{
	PLAY("in S seq 0", "out SA seq 0 ack 1", "at 999", "none", "at 1000",
	     "out SA seq 0 ack 1", "at 2999", "none", "at 3000", "out SA seq 0", "at 6999",
	     "none", "at 7000", "out SA seq 0", "in A seq 1 ack 1", "state 3");
}

static void answers_a_repeated_syn_with_the_same_numbers(void)
{
	PLAY("in S seq 0", "out SA seq 0 ack 1", "at 100", "in S seq 0", "out SA seq 0 ack 1",
	     "in A seq 1 ack 1", "state 3");
}

static void gives_up_when_a_handshake_is_not_answered(void)
{
	PLAY("in S seq 0", "out SA seq 0", "at 1000", "out SA", "at 3000", "out SA", "at 7000",
	     "out SA", "at 15000", "out SA", "at 31000", "out SA", "at 63000", "out RA seq 1",
	     "state 0", "why 2");
}

/* RFC 9293 figure 7 */
static void two_that_call_each_other_at_once_meet(void)
{
	PLAY_CONNECTING("out S seq 0", "in S seq 0 win 1000 mss 1460", "out SA seq 0 ack 1",
			"state 2", "in SA seq 0 ack 1 win 1000 mss 1460", "state 3");
}

static void refuses_an_acknowledgement_of_what_it_never_sent(void)
{
	PLAY_CONNECTING("out S seq 0", "in A seq 500 ack 300", "out R seq 300", "state 1",
			"in SA seq 0 ack 1 mss 1000", "out A seq 1 ack 1", "state 3");
	PLAY("in S seq 0", "out SA seq 0", "in A seq 1 ack 77", "out R seq 77", "state 2");
}

static void is_refused_by_a_reset_that_answers_the_syn(void)
{
	PLAY_CONNECTING("out S seq 0", "in RA seq 0 ack 300", "state 1", "in R seq 0",
			"state 1", "in RA seq 0 ack 1", "state 0", "why 1", "none");
}

static void delivers_and_acknowledges(void)
{
	PLAY(OPENED, "in PA seq 1 len 1000 ack 1 win 512 ts 111 1000000",
	     "out A seq 1 ack 1001 ts 0 111", "read 1000", "none");
}

/* RFC 5681 section 4.2; the first 16 are answered at once. */
static void delays_an_acknowledgement_but_not_the_second(void)
{
	PLAY(OPENED_PLAIN, "in A seq 1 len 10 ack 1", "out A ack 11",
	     "in A seq 11 len 10 ack 1", "out A", "in A seq 21 len 10 ack 1", "out A",
	     "in A seq 31 len 10 ack 1", "out A", "in A seq 41 len 10 ack 1", "out A",
	     "in A seq 51 len 10 ack 1", "out A", "in A seq 61 len 10 ack 1", "out A",
	     "in A seq 71 len 10 ack 1", "out A", "in A seq 81 len 10 ack 1", "out A",
	     "in A seq 91 len 10 ack 1", "out A", "in A seq 101 len 10 ack 1", "out A",
	     "in A seq 111 len 10 ack 1", "out A", "in A seq 121 len 10 ack 1", "out A",
	     "in A seq 131 len 10 ack 1", "out A", "in A seq 141 len 10 ack 1", "out A",
	     "in A seq 151 len 10 ack 1", "out A ack 161", "in A seq 161 len 10 ack 1", "none",
	     "at 49", "none", "at 50", "out A ack 171", "in A seq 171 len 536 ack 1", "none",
	     "in A seq 707 len 536 ack 1", "out A ack 1243");
}

/* RFC 2018 section 4; RFC 2883 section 4.1 */
static void tells_of_gaps_and_of_duplicates(void)
{
	PLAY(OPENED, "in A seq 1001 len 1000 ack 1 win 512 ts 111 1000000",
	     "out A ack 1 block 1001 2001",
	     "in A seq 3001 len 1000 ack 1 win 512 ts 112 1000000",
	     "out A ack 1 block 3001 4001 block 1001 2001",
	     "in A seq 3001 len 1000 ack 1 win 512 ts 112 1000000",
	     "out A ack 1 block 3001 4001 block 3001 4001 block 1001 2001",
	     "in A seq 1 len 1000 ack 1 win 512 ts 113 1000000",
	     "out A ack 2001 block 3001 4001",
	     "in A seq 1 len 1000 ack 1 win 512 ts 113 1000000",
	     "out A ack 2001 block 1 1001 block 3001 4001",
	     "in A seq 2001 len 1000 ack 1 win 512 ts 114 1000000", "out A ack 4001",
	     "read 4000");
}

/* RFC 7323 section 5 */
static void drops_segments_with_old_timestamps(void)
{
	PLAY(OPENED, "in A seq 1 len 10 ack 1 win 512 ts 200 1000000", "out A ack 11 ts 0 200",
	     "in A seq 11 len 10 ack 1 win 512 ts 199 1000000", "out A ack 11 ts 0 200",
	     "in A seq 11 len 10 ack 1 win 512", "none",
	     "in A seq 11 len 10 ack 1 win 512 ts 201 1000000", "out A ack 21 ts 0 201");
}

/* RFC 7323 section 4.3: what arrives beyond a gap must not change what is echoed. */
static void echoes_the_timestamp_of_the_segment_that_closes_the_gap(void)
{
	PLAY(OPENED, "in A seq 101 len 100 ack 1 win 512 ts 300 1000000",
	     "out A ack 1 ts 0 110 block 101 201",
	     "in A seq 1 len 100 ack 1 win 512 ts 301 1000000", "out A ack 201 ts 0 301");
}

/* RFC 5961 section 3 */
static void takes_a_reset_only_at_the_very_place(void)
{
	PLAY(OPENED_PLAIN, "in R seq 2", "out A seq 1 ack 1", "state 3", "in R seq 3", "none",
	     "at 511", "in R seq 70000", "none", "state 3", "in R seq 3", "out A ack 1",
	     "in R seq 1", "state 0", "why 1", "none");
}

/* RFC 5961 section 4 */
static void answers_a_syn_in_the_middle_with_where_it_is(void)
{
	PLAY(OPENED_PLAIN, "in S seq 1", "out A seq 1 ack 1", "state 3", "at 600",
	     "in S seq 90000", "out A seq 1 ack 1", "state 3");
}

/* RFC 5961 section 5 */
static void does_not_take_data_with_an_impossible_acknowledgement(void)
{
	PLAY(OPENED_PLAIN, "in A seq 1 len 10 ack 2", "out A seq 1 ack 1", "at 600",
	     "in A seq 1 len 10 ack 4294900000", "out A ack 1", "in A seq 1 len 10 ack 1",
	     "out A ack 11", "read 10");
}

static void sends_within_the_window_and_cuts_nothing_silly(void)
{
	PLAY("in S seq 0 win 1000 mss 536", "out SA", "at 10", "in A seq 1 ack 1 win 1000",
	     "write 5000", "out A seq 1 len 536", "none", "in A seq 1 ack 537 win 10", "none",
	     "in A seq 1 ack 537 win 536", "out A seq 537 len 536", "none");
}

/* RFC 9293 section 3.8.6.1; RFC 1122 section 4.2.2.17 */
static void probes_a_closed_window_ever_more_rarely(void)
{
	PLAY("in S seq 0 win 1000 mss 536", "out SA", "at 10", "in A seq 1 ack 1 win 0",
	     "write 100", "none", "at 219", "none", "at 220", "out A seq 0 len 0",
	     "in A seq 1 ack 1 win 0", "at 639", "none", "at 640", "out A seq 0",
	     "in A seq 1 ack 1 win 0", "at 1000", "none", "in A seq 1 ack 1 win 500",
	     "out PA seq 1 len 100", "none");
}

static void offers_what_is_left_and_says_when_there_is_room_again(void)
{
	settings.receive_max = 4000;
	PLAY("in S seq 0 win 1000 mss 1460", "out SA win 4000", "in A seq 1 ack 1",
	     "in A seq 1 len 1460 ack 1", "out A ack 1461 win 2540",
	     "in A seq 1461 len 1460 ack 1", "out A ack 2921 win 1080",
	     "in A seq 2921 len 1460 ack 1", "out A ack 4001 win 0",
	     "in A seq 4001 len 1 ack 1", "out A ack 4001 win 0", "read 100", "none",
	     "read 3900", "out A ack 4001 win 4000");
	settings.receive_max = 1 << 20;
}

/* RFC 8985 section 7: two round trips; then the timer. Octet 1 of 1 is sent again. */
static void probes_the_tail_and_then_times_out(void)
{
	PLAY(OPENED, "write 3000", "out PA seq 1 len 3000", "at 29", "none", "at 30",
	     "out PA seq 1553 len 1448", "none", "at 239", "none", "at 240",
	     "out A seq 1 len 1448", "none", "at 659", "none", "at 660", "out A seq 1 len 1448",
	     "in A seq 1 ack 3001 win 512 ts 900 1000660", "none");
}

/* RFC 6675, RFC 8985: three segments SACKed above a gap of one. */
static void sends_again_what_is_missing_below_sacked_octets(void)
{
	PLAY(OPENED, "write 5792", "out PA seq 1 len 5792", "at 20",
	     "in A seq 1 ack 1 win 512 ts 120 1000010 block 1449 5793", "out A seq 1 len 1448",
	     "none", "at 30", "in A seq 1 ack 5793 win 512 ts 130 1000020", "none", "state 3");
}

/* RFC 2018 section 8 */
static void does_not_rely_on_sacks_after_a_timeout_if_they_were_taken_back(void)
{
	PLAY(OPENED, "write 2896", "out PA seq 1 len 2896", "at 20",
	     "in A seq 1 ack 1 win 512 ts 120 1000010 block 1449 2897", "none", "at 23",
	     "out A seq 1 len 1448", "at 30", "in A seq 1 ack 1449 win 512 ts 130 1000023",
	     "none", "at 300", "out PA seq 1449 len 1448", "at 310",
	     "in A seq 1 ack 2897 win 512 ts 150 1000300", "none");
}

/* RFC 9293 figure 12 */
static void closes_when_both_have_said_goodbye(void)
{
	PLAY(OPENED_PLAIN, "end", "out FA seq 1 ack 1", "state 4", "in A seq 1 ack 2",
	     "state 5", "in A seq 1 len 20 ack 2", "out A seq 2 ack 21", "read 20",
	     "in FA seq 21 ack 2", "out A seq 2 ack 22", "ended", "state 9",
	     "in FA seq 21 ack 2", "out A seq 2 ack 22", "at 60009", "state 9", "at 60010",
	     "state 0", "why 0", "none");
}

static void closes_after_the_other_end_has(void)
{
	PLAY(OPENED_PLAIN, "in FA seq 1 len 5 ack 1", "out A ack 7", "state 6", "write 100",
	     "out PA seq 1 len 100", "end", "out FA seq 101 len 0", "state 8",
	     "in A seq 7 ack 102", "state 0", "why 0", "none");
}

/* RFC 9293 figure 13 */
static void two_that_close_at_once_wait_both(void)
{
	PLAY(OPENED_PLAIN, "end", "out FA seq 1 ack 1", "in FA seq 1 ack 1",
	     "out A seq 2 ack 2", "state 7", "in A seq 2 ack 2", "state 9");
}

static void sends_a_lost_fin_again(void)
{
	PLAY(OPENED, "write 100", "end", "out FPA seq 1 len 100", "at 230",
	     "out FPA seq 1 len 100", "in A seq 1 ack 102 win 512 ts 300 1000230", "state 5");
}

static void waits_for_what_is_missing_before_a_fin(void)
{
	PLAY(OPENED_PLAIN, "in FA seq 101 len 10 ack 1", "out A ack 1", "state 3",
	     "in A seq 1 len 100 ack 1", "out A ack 112", "state 6", "read 110", "ended");
}

static void resets_with_the_number_that_the_other_end_expects(void)
{
	PLAY(OPENED_PLAIN, "write 10", "out PA seq 1 len 10", "abort", "out RA seq 11 ack 1",
	     "none", "state 0", "why 3");
}

/* RFC 1122 section 4.2.3.6 */
static void asks_a_silent_end_whether_it_is_there(void)
{
	PLAY(OPENED_PLAIN, "at 7200009", "none", "at 7200010", "out A seq 0 len 0",
	     "in A seq 1 ack 1", "none", "at 14400020", "out A seq 0", "at 14475020",
	     "out A seq 0", "at 14550020", "out A seq 0", "state 3");
}

static void answers_when_it_is_asked_whether_it_is_there(void)
{
	PLAY(OPENED_PLAIN, "in A seq 0 ack 1", "out A seq 1 ack 1");
}

/* RFC 3168 section 6.1 */
static void slows_down_once_for_a_mark_and_says_so(void)
{
	settings.ecn = true;
	PLAY("in SEC seq 0 mss 1460", "out SAE", "at 10", "in A seq 1 ack 1", "write 14600",
	     "out PA len 14600", "in AE seq 1 ack 1461", "write 1000", "none",
	     "in A seq 1 ack 14601", "out PAC seq 14601 len 1000", "write 1000",
	     "out PA seq 15601 len 1000");
	settings.ecn = false;
	PLAY("in SEC seq 0 mss 1460", "out SA");
}

static void sends_smaller_segments_when_the_path_is_narrow(void)
{
	PLAY(OPENED, "write 2896", "out PA seq 1 len 2896", "none");
	run.now_ns = START;
	tcp_accept(&run.tcp, &settings, &pair,
		   &(struct tcp_segment){ .flags = TCP_FLAG_SYN,
					  .mss = 1460,
					  .window = 60000,
					  .scale = TCP_NO_SCALE },
		   OUR_ISS, 0, START);
	run.written = 0;
	char *steps[] = { strdup("out SA"), strdup("in A seq 1 ack 1"), strdup("write 2920"),
			  strdup("out PA len 2920") };

	run.tcp.rcv.irs = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (i == 1) {
			tcp_input(&run.tcp, START,
				  &(struct tcp_segment){ .flags = TCP_FLAG_ACK,
							 .sequence = 1,
							 .acknowledgement = OUR_ISS + 1,
							 .window = 60000 },
				  NULL, 0, false);
		} else {
			CHECK(perform(steps[i]));
		}
		free(steps[i]);
	}
	tcp_shrink_mtu(&run.tcp, 1000, OUR_ISS + 90000); /* nothing of ours is there */
	CHECK(run.tcp.snd.mss == 1460);
	tcp_shrink_mtu(&run.tcp, 1000, OUR_ISS + 1);
	CHECK(run.tcp.snd.mss == 960 && run.tcp.snd.board.octets[TCP_LOST] == 2920);
	tcp_done(&run.tcp);
}

static void numbers_differ_by_key_and_by_address(void)
{
	const uint8_t key[16] = { 1 }, other[16] = { 2 };
	struct inet_pair next = pair;

	next.remote_port++;
	CHECK(tcp_isn(key, &pair, 0) != tcp_isn(other, &pair, 0));
	CHECK(tcp_isn(key, &pair, 0) != tcp_isn(key, &next, 0));
	CHECK(tcp_isn(key, &pair, 4000000) - tcp_isn(key, &pair, 0) == 1000);
}

static void a_new_call_ends_time_wait_only_if_it_is_newer(void)
{
	struct tcp t = { .state = TCP_STATE_TIME_WAIT,
			 .has_timestamps = true,
			 .ts_recent = 100 };
	struct tcp_segment syn = { .sequence = 5, .has_timestamps = true, .ts_value = 101 };

	t.rcv.nxt = (UINT64_C(1) << 32) + 10;
	CHECK(tcp_may_reuse(&t, &syn));
	syn.ts_value = 99;
	CHECK(!tcp_may_reuse(&t, &syn));
	syn.has_timestamps = false;
	CHECK(!tcp_may_reuse(&t, &syn));
	syn.sequence = 11;
	CHECK(tcp_may_reuse(&t, &syn));
	t.state = TCP_STATE_ESTABLISHED;
	CHECK(!tcp_may_reuse(&t, &syn));
}

/* Two that can offer no more than 65535 octets must not tell each other so for ever. */
static void says_nothing_when_there_is_nothing_to_say(void)
{
	settings.receive_max = 1 << 20;
	PLAY("in S seq 0 win 65535 mss 1460", "out SA win 65535", "at 10", "in A seq 1 ack 1",
	     "none", "in A seq 1 len 1000 ack 1", "out A ack 1001 win 64535", "read 1000",
	     "none", "in A seq 1001 ack 1", "none", "read 0", "none", "in A seq 1001 ack 1",
	     "none");
}

/* RFC 6298 section 3: what was sent twice, and what waited behind it, gives no sample but by its
 * timestamp. */
static void takes_no_round_trip_from_what_waited_behind_a_gap(void)
{
	PLAY("in S seq 0 win 65535 mss 1460", "out SA", "at 10", "in A seq 1 ack 1",
	     "write 2920", "out PA len 2920", "at 220", "out A seq 1 len 1460", "at 5000",
	     "in A seq 1 ack 2921", "none");
	CHECK(run.tcp.rtt.smooth_ns < 20 * MS);
}

int main(void)
{
	RUN(answers_a_syn_with_what_was_offered);
	RUN(sends_the_syn_ack_again_after_one_two_and_four_seconds);
	RUN(answers_a_repeated_syn_with_the_same_numbers);
	RUN(gives_up_when_a_handshake_is_not_answered);
	RUN(two_that_call_each_other_at_once_meet);
	RUN(refuses_an_acknowledgement_of_what_it_never_sent);
	RUN(is_refused_by_a_reset_that_answers_the_syn);
	RUN(delivers_and_acknowledges);
	RUN(delays_an_acknowledgement_but_not_the_second);
	RUN(tells_of_gaps_and_of_duplicates);
	RUN(drops_segments_with_old_timestamps);
	RUN(echoes_the_timestamp_of_the_segment_that_closes_the_gap);
	RUN(takes_a_reset_only_at_the_very_place);
	RUN(answers_a_syn_in_the_middle_with_where_it_is);
	RUN(does_not_take_data_with_an_impossible_acknowledgement);
	RUN(sends_within_the_window_and_cuts_nothing_silly);
	RUN(probes_a_closed_window_ever_more_rarely);
	RUN(offers_what_is_left_and_says_when_there_is_room_again);
	RUN(probes_the_tail_and_then_times_out);
	RUN(sends_again_what_is_missing_below_sacked_octets);
	RUN(does_not_rely_on_sacks_after_a_timeout_if_they_were_taken_back);
	RUN(closes_when_both_have_said_goodbye);
	RUN(closes_after_the_other_end_has);
	RUN(two_that_close_at_once_wait_both);
	RUN(sends_a_lost_fin_again);
	RUN(waits_for_what_is_missing_before_a_fin);
	RUN(resets_with_the_number_that_the_other_end_expects);
	RUN(asks_a_silent_end_whether_it_is_there);
	RUN(answers_when_it_is_asked_whether_it_is_there);
	RUN(slows_down_once_for_a_mark_and_says_so);
	RUN(sends_smaller_segments_when_the_path_is_narrow);
	RUN(says_nothing_when_there_is_nothing_to_say);
	RUN(takes_no_round_trip_from_what_waited_behind_a_gap);
	RUN(numbers_differ_by_key_and_by_address);
	RUN(a_new_call_ends_time_wait_only_if_it_is_newer);
	return DONE();
}
