/* SPDX-License-Identifier: Apache-2.0 */
/* The octets of a capture, by hand from pcap-savefile(5); tests/system lets tcpdump read one. */
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"
#include "usernet/capture.h"

enum { HEAD = 24, PACKET_HEAD = 16 };

static uint32_t word_at(const uint8_t *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return n;
}

static void writes_a_head_and_then_each_packet_behind_its_own(void)
{
	char first[] = "abc", second[] = "defg";
	const struct iovec slices[] = { { first, 3 }, { second, 4 } };
	uint8_t file[HEAD + PACKET_HEAD + 7 + 1];
	struct capture c;
	int fd = memfd_create("capture", 0);

	capture_begin(&c, fd);
	capture_packet(&c, UINT64_C(5000000007), slices, 2, 7);
	CHECK(pread(fd, file, sizeof(file), 0) == HEAD + PACKET_HEAD + 7);
	CHECK(word_at(file) == 0xa1b23c4d);
	CHECK(file[20] == 101 || file[23] == 101);
	CHECK(word_at(file + HEAD) == 5 && word_at(file + HEAD + 4) == 7);
	CHECK(word_at(file + HEAD + 8) == 7 && word_at(file + HEAD + 12) == 7);
	CHECK(memcmp(file + HEAD + PACKET_HEAD, "abcdefg", 7) == 0);
	CHECK(c.written == HEAD + PACKET_HEAD + 7);
	close(fd);
}

static void ends_where_it_may_not_grow_and_after_an_error(void)
{
	char octet[] = "x";
	const struct iovec slice = { octet, 1 };
	struct capture c;
	int fd = memfd_create("capture", 0), closed = dup(fd);

	capture_begin(&c, fd);
	c.written = CAPTURE_OCTETS_MAX - PACKET_HEAD;
	capture_packet(&c, 0, &slice, 1, 1);
	CHECK(c.fd == -1);
	CHECK(lseek(fd, 0, SEEK_END) == HEAD);
	close(closed);
	capture_begin(&c, closed);
	CHECK(c.fd == -1);
	close(fd);
}

static void without_a_file_there_is_none(void)
{
	char octet[] = "x";
	const struct iovec slice = { octet, 1 };
	struct capture c;

	for (int fd = -1; fd <= 0; fd++) {
		capture_begin(&c, fd);
		CHECK(c.fd == -1);
		capture_packet(&c, 0, &slice, 1, 1);
		CHECK(c.written == 0);
	}
}

int main(void)
{
	RUN(writes_a_head_and_then_each_packet_behind_its_own);
	RUN(ends_where_it_may_not_grow_and_after_an_error);
	RUN(without_a_file_there_is_none);
	return DONE();
}
