/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dress.h - Dice, parameters and datagrams for the tests of framing; naive.h judges
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "frame/frame.h"
#include "naive.h"

/* The test's dice: the same throws in every run. */
static struct generator dice;

static inline uint32_t throw(void)
{
	return generator_u32(&dice);
}

static inline void dice_begin(uint8_t seed)
{
	uint8_t from[GENERATOR_SEED_LEN] = { seed };

	generator_init(&dice, from);
}

/* Parameters from "key=value key=value"; a value has no blanks outside of <...>. */
static inline struct frame_parameters parameters_of(const char *text)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	while (*text) {
		const char *equals = strchr(text, '='), *end = equals + 1;
		bool in_tag = false;
		struct diag d = { .text = "" };

		for (; *end && (in_tag || *end != ' '); end++)
			in_tag = *end == '<' || (in_tag && *end != '>');
		if (frame_parameters_set(
			    &p, FRAME_UAPI,
			    frame_key_find(FRAME_UAPI, text, (size_t)(equals - text)),
			    equals + 1, (size_t)(end - equals - 1), &d) != 0)
			FAIL(d.text);
		text = end + (*end == ' ');
	}
	CHECK(frame_parameters_check(&p, NULL) == FRAME_RULE_NONE);
	return p;
}

/**
 * naive_dress() - @message of kind @type as a datagram; its type word is there already
 * @out:	pad + @len + @trailer octets
 */
static inline uint32_t naive_dress(const struct frame_parameters *p, uint32_t type,
				   const uint8_t *message, uint32_t len, uint32_t trailer,
				   uint8_t *out)
{
	uint32_t pad = p->pad[type - 1];

	for (uint32_t i = 0; i < pad + len + trailer; i++)
		out[i] = (uint8_t) throw();
	naive_frame(p, type, message, len, out);
	return pad + len + trailer;
}

#define KEY_A "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define KEY_B "f102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"

/* One set of each generation. */
static const char *const generations[] = {
	"",
	"jc=4 jmin=8 jmax=80 s1=30 s2=25 h1=7 h2=8 h3=9 h4=10",
	"jc=4 jmin=8 jmax=80 s1=30 s2=60 s3=9 s4=5 h1=100000000-200000000 h2=300000000-400000000"
	" h3=500000000-600000000 h4=700000000-800000000 i1=<b 0xc0ff><r 8><t>",
	"s1=42 s2=108 s3=13 s4=12 header_protection_key=" KEY_A,
	"jc=5 jmin=10 jmax=50 s1=16 s2=16 s3=16 s4=16 h1=1000 h2=2000 h3=3000 h4=4000"
	" content_padding_addition=10-100 random_trailers=1 header_protection_key=" KEY_B,
};

enum { GENERATIONS = sizeof(generations) / sizeof(generations[0]) };

/* An interface whose only profile has the parameters of @text. */
static inline struct frame_set alone(const char *text)
{
	struct frame_parameters p = parameters_of(text);
	struct frame_profile_source source = { "", &p, 0 };
	struct frame_set set;

	CHECK(frame_set_make(NULL, &source, 1, &set) == 0);
	frame_parameters_done(&p);
	return set;
}
