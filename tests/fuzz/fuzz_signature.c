/* SPDX-License-Identifier: Apache-2.0 */
/* A signature packet: refused, it says why and leaves nothing; taken, it renders exactly as long as
 * it says, and what is written back of it makes the same packet. */
#include <string.h>

#include "frame/parameters.h"
#include "frame/signature.h"
#include "fuzz.h"

static const uint8_t seed[GENERATOR_SEED_LEN] = { 1 };

/* Memory of exactly the length: a sanitizer sees the first octet too much. */
static uint8_t *render(const struct frame_signature *s)
{
	uint8_t *out = malloc(s->len ? s->len : 1);
	struct generator g;

	HOLDS(out);
	generator_init(&g, seed);
	frame_signature_render(s, &g, 0x11223344, 0x55667788, out);
	generator_done(&g);
	return out;
}

static void check_written(const struct frame_signature *s, const char *text, size_t len)
{
	struct text once = { 0 }, twice = { 0 };
	struct frame_signature again = { 0 };
	uint8_t *first = render(s), *second;

	text_puts(&once, "");
	frame_signature_put(&once, text, len);
	HOLDS(once.err == 0 && once.len <= len);
	HOLDS(frame_signature_parse(once.data, once.len, &again, NULL) == 0);
	HOLDS(again.len == s->len && again.n_pieces == s->n_pieces);
	second = render(&again);
	HOLDS(memcmp(first, second, s->len) == 0);
	text_puts(&twice, "");
	frame_signature_put(&twice, once.data, once.len);
	HOLDS(strcmp(once.data, twice.data) == 0);
	frame_signature_done(&again);
	free(first);
	free(second);
	text_done(&once);
	text_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_signature s = { 0 };
	const char *text = (const char *)data;
	struct diag d = { 0 };
	int err = frame_signature_parse(text, size, &s, &d);

	if (err) {
		HOLDS((err == ERR_FORMAT || err == ERR_LIMIT) && d.text[0]);
		HOLDS(!s.pieces && !s.octets && !s.len && !s.n_pieces);
		return 0;
	}
	HOLDS(s.len <= FRAME_DATAGRAM_MAX && s.n_pieces <= FRAME_SIGNATURE_PIECES_MAX);
	check_written(&s, text, size);
	frame_signature_done(&s);
	return 0;
}
