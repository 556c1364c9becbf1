/* SPDX-License-Identifier: Apache-2.0 */
/* Repeat a corpus: every file of a directory once, in the order of names. TAP. */
#include <string.h>

#include <dirent.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Into memory of exactly its size, so that the sanitizer sees the first octet too much. */
static int replay(const char *directory, const char *name)
{
	static uint8_t buffer[INPUT_MAX];
	char path[4096];
	uint8_t *input;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	printf("# input %s\n", name); /* the last one before a crash is the one */
	fflush(stdout);
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	input = malloc(size ? size : 1);
	if (!input)
		return 1;
	memcpy(input, buffer, size);
	LLVMFuzzerTestOneInput(input, size);
	free(input);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent **entries = NULL;
	int n = argc == 2 ? scandir(argv[1], &entries, is_visible, alphasort) : -1;
	int failed = 0;

	if (n < 0) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		failed += replay(argv[1], entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	printf("%sok 1 - holds_on_%d_inputs\n1..1\n", failed || n == 0 ? "not " : "", n);
	return failed || n == 0;
}
