/* SPDX-License-Identifier: Apache-2.0 */
/* culvert keys: what `wg genkey`, `wg pubkey` and `wg genpsk` do. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/input.h"
#include "cmd/output.h"
#include "crypto/secret.h"
#include "crypto/suite.h"
#include "sys/random.h"

enum { INPUT_MAX = 256 }; /* a key and generous white space */

static const char usage[] =
	"Usage: culvert keys gen [--json]\n"
	"       culvert keys pub [--json] < PRIVATE-KEY\n"
	"       culvert keys psk [--json]\n"
	"       culvert keys server [--store STORE] [--config FILE] [--json]\n"
	"\n"
	"  gen     write a new private key\n"
	"  pub     read a private key from standard input, write its public key\n"
	"  psk     write a new preshared key\n"
	"  server  leave a server's key pair in a directory or a Parameter Store\n"
	"  --json  write an object; 'gen' then writes the public key as well\n"
	"\n"
	"A key is 32 octets in base64, 44 characters, as wg(8) writes it.\n";

static void print_key(const char *name, const uint8_t key[32], bool json, const char *end)
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	if (json)
		printf("\"%s\":\"%s\"%s", name, text, end);
	else
		puts(text);
	secret_wipe(text, sizeof(text));
}

static int compute_public(const struct secret_key *key, uint8_t ret[32])
{
	struct suite *suite = NULL;
	int err = suite_new(SUITE_OPENSSL, &suite);

	if (err) {
		fprintf(stderr, "culvert keys: the crypto library: %s\n", err_text(err));
		return EXIT_FAILED;
	}
	dh_public(suite, ret, key);
	suite_free(suite);
	return EXIT_DONE;
}

static int generate(bool json)
{
	struct secret_key key;
	uint8_t public_key[32];
	int code = EXIT_DONE;

	output_warn_if_readable("culvert keys");
	random_fill(key.b, sizeof(key.b));
	dh_clamp(&key);
	if (json)
		code = compute_public(&key, public_key);
	if (code == EXIT_DONE && json) {
		putchar('{');
		print_key("private_key", key.b, true, ",");
		print_key("public_key", public_key, true, "}\n");
	} else if (code == EXIT_DONE) {
		print_key("private_key", key.b, false, "");
	}
	secret_key_done(&key);
	return code;
}

static int generate_preshared(bool json)
{
	struct secret_key key;

	output_warn_if_readable("culvert keys");
	random_fill(key.b, sizeof(key.b));
	if (json)
		putchar('{');
	print_key("preshared_key", key.b, json, "}\n");
	secret_key_done(&key);
	return EXIT_DONE;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The key on standard input, with white space around it. 0 or an error code. */
static int read_private_key(struct secret_key *ret)
{
	struct text in = { 0 };
	int err = input_read(NULL, INPUT_MAX, &in);
	size_t from = 0, to = in.len;

	while (from < to && is_space(in.data[from]))
		from++;
	while (to > from && is_space(in.data[to - 1]))
		to--;
	if (!err)
		err = key_from_base64(in.data ? in.data + from : "", to - from, ret->b);
	text_done(&in);
	return err;
}

static int publish(bool json)
{
	struct secret_key key = { 0 };
	uint8_t public_key[32];
	int err = read_private_key(&key);
	int code;

	if (err == ERR_FORMAT || err == ERR_LIMIT) {
		fputs("culvert keys: standard input is not one key of 44 base64 characters\n",
		      stderr);
		return EXIT_REFUSED;
	}
	if (err) {
		fprintf(stderr, "culvert keys: standard input: %s\n", err_text(err));
		return EXIT_FAILED;
	}
	dh_clamp(&key);
	code = compute_public(&key, public_key);
	secret_key_done(&key);
	if (code != EXIT_DONE)
		return code;
	if (json)
		putchar('{');
	print_key("public_key", public_key, json, "}\n");
	return EXIT_DONE;
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "culvert keys: %s%s\n%s", what, word, usage);
	return EXIT_USAGE;
}

int cmd_keys(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false;
	int option;

	if (argc > 1 && strcmp(argv[1], "server") == 0)
		return cmd_keys_server(argc - 1, argv + 1);
	while ((option = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'o' && strcmp(optarg, "json") != 0)
			return complain("unknown output form ", optarg);
		json = true; /* -o json is another way to say --json */
	}
	if (optind == argc)
		return complain("say what to do", "");
	if (optind + 1 < argc)
		return complain("one word too many: ", argv[optind + 1]);
	if (strcmp(argv[optind], "gen") == 0)
		return generate(json);
	if (strcmp(argv[optind], "pub") == 0)
		return publish(json);
	if (strcmp(argv[optind], "psk") == 0)
		return generate_preshared(json);
	return complain("unknown word ", argv[optind]);
}
