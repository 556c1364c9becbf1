/* SPDX-License-Identifier: Apache-2.0 */
/**
 * vectors.h - Read a file of test vectors: one case per line, fields of hex
 *
 *	struct vectors v = { 0 };
 *	if (vectors_open(&v, "blake2s.txt"))
 *		while (vectors_next(&v))
 *			... vectors_bytes(&v, 1, key, sizeof(key)) ...
 *
 * A file that is missing counts no cases, so tests check how many they saw.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS_LINE_MAX = 8192, VECTORS_FIELDS_MAX = 8 };

/**
 * struct vectors - An open file and its present case
 * @field:	Words of the line
 * @cases:	Cases seen so far
 */
struct vectors {
	FILE *file;
	char line[VECTORS_LINE_MAX];
	const char *field[VECTORS_FIELDS_MAX];
	size_t fields;
	size_t cases;
};

static inline bool vectors_open(struct vectors *v, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, name);
	v->file = fopen(path, "re");
	if (!v->file)
		printf("# cannot open %s\n", path);
	return v->file != NULL;
}

/* false at the end of the file, which is then closed. */
static inline bool vectors_next(struct vectors *v)
{
	char *rest;

	while (fgets(v->line, sizeof(v->line), v->file)) {
		if (v->line[0] == '#')
			continue;
		v->fields = 0;
		for (char *word = strtok_r(v->line, " \n", &rest);
		     word && v->fields < VECTORS_FIELDS_MAX;
		     word = strtok_r(NULL, " \n", &rest))
			v->field[v->fields++] = word;
		v->cases++;
		return true;
	}
	fclose(v->file);
	v->file = NULL;
	return false;
}

static inline unsigned int vectors_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	if (!at) {
		printf("Bail out! not a hex digit in a vector\n");
		exit(1);
	}
	return (unsigned int)(at - digits);
}

/* Octets of a hex text, at most @max. A broken text is a broken test: it stops. */
static inline size_t vectors_hex(const char *text, void *out, size_t max)
{
	uint8_t *b = out;
	size_t n = 0;

	if (strcmp(text, "-") == 0)
		return 0;
	for (; *text; text += 2) {
		if (n == max) {
			printf("Bail out! vector longer than %zu octets\n", max);
			exit(1);
		}
		b[n++] = (uint8_t)(vectors_digit(text[0]) << 4 | vectors_digit(text[1]));
	}
	return n;
}

static inline size_t vectors_bytes(const struct vectors *v, size_t field, void *out, size_t max)
{
	if (field >= v->fields) {
		printf("Bail out! vector has no field %zu\n", field);
		exit(1);
	}
	return vectors_hex(v->field[field], out, max);
}
