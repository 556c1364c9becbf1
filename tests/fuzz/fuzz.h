/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fuzz.h - What every file here has in common
 *
 * To add a fuzzer: fuzz_NAME.c with the function below, a row in meson.build, a few
 * inputs in corpus/NAME/, and where it helps a dictionary dict/NAME.dict.
 *
 * One source serves twice: linked with libFuzzer it searches for new inputs
 * (tests/fuzz/run), linked with replay_main.c it repeats the corpus in suite "corpus".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Return 0. Properties that must hold are checked with HOLDS(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For a place that must not be reached. */
#define BROKEN(why)                                                      \
	do {                                                             \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, why); \
		abort();                                                 \
	} while (0)

/* Unlike assert() it stays in a release build: the fuzzers run on those, too. */
#define HOLDS(expr)                                                                \
	do {                                                                       \
		if (!(expr)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr); \
			abort();                                                   \
		}                                                                  \
	} while (0)
