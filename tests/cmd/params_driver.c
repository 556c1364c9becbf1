/* SPDX-License-Identifier: Apache-2.0 */
/* One operation on a parameter tree; the exit code is 0, or 1 with the error's text on standard output.
 *
 *	params_driver STORE get NAME | put NAME VALUE | add NAME VALUE | list PREFIX | remove NAME
 */
#include <stdio.h>
#include <string.h>

#include "store/params.h"

static int show(void *context, const char *name, uint64_t version)
{
	(void)context, (void)version;
	puts(name);
	return 0;
}

static int get(struct params *p, const char *name, struct diag *d)
{
	struct text value = { 0 };
	int err = params_get(p, name, &value, d);

	if (!err)
		puts(value.data);
	text_done(&value);
	return err;
}

static int run(struct params *p, int argc, char **argv, struct diag *d)
{
	const char *verb = argv[2], *name = argv[3];

	if (strcmp(verb, "get") == 0)
		return get(p, name, d);
	if (strcmp(verb, "list") == 0)
		return params_list(p, name, show, NULL, d);
	if (strcmp(verb, "remove") == 0)
		return params_remove(p, name, d);
	if (argc < 5)
		return ERR_FORMAT;
	return params_put(p, name, argv[4], PARAMS_SECURE, strcmp(verb, "put") == 0, d);
}

int main(int argc, char **argv)
{
	struct params *p = NULL;
	struct diag d = { .text = "" };
	int err;

	if (argc < 4)
		return 2;
	err = params_open(argv[1], &p, &d);
	if (!err)
		err = run(p, argc, argv, &d);
	params_free(p);
	if (err) {
		printf("%s\n", err_text(err));
		fprintf(stderr, "%s\n", d.text);
	}
	return err != 0;
}
