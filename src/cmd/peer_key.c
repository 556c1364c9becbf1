/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/peer_key.h"

#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/input.h"
#include "cmd/peer.h"
#include "conf/wgconf.h"
#include "crypto/suite.h"
#include "sys/random.h"

enum { FILE_MAX = 65536 }; /* of a client's file */

static int compute_public(const struct secret_key *key, char ret[KEY_BASE64_LEN + 1])
{
	struct suite *suite = NULL;
	uint8_t public_key[32];

	if (suite_new(SUITE_OPENSSL, &suite) != 0)
		return peer_complain(EXIT_FAILED, "the cryptographic library cannot be used");
	dh_public(suite, public_key, key);
	suite_free(suite);
	key_to_base64(public_key, ret);
	return EXIT_DONE;
}

int peer_key_make(struct secret_key *ret, char ret_public[KEY_BASE64_LEN + 1])
{
	random_fill(ret->b, sizeof(ret->b));
	dh_clamp(ret);
	return compute_public(ret, ret_public);
}

/* A key alone, with white space around it. */
static bool read_alone(const struct text *in, struct secret_key *ret)
{
	static const char blank[] = " \t\r\n";
	size_t from = 0, to = in->len;

	if (!in->data) /* an empty file */
		return false;
	from = strspn(in->data, blank);
	while (to > from && strchr(blank, in->data[to - 1]))
		to--;
	return key_from_base64(in->data + from, to - from, ret->b) == 0;
}

static bool read_file(const struct text *in, struct secret_key *ret)
{
	struct wgconf file = { .text = NULL };
	struct diag d = { .text = "" };
	bool found = in->data && wgconf_parse(in->data, in->len, &file, &d) == 0 &&
		     file.interface.has_private_key;

	if (found)
		*ret = file.interface.private_key;
	wgconf_done(&file);
	return found;
}

int peer_key_read(const char *path, struct secret_key *ret, char ret_public[KEY_BASE64_LEN + 1])
{
	struct text in = { .data = NULL };
	int err = input_read(path, FILE_MAX, &in);
	bool found = err == 0 && (read_alone(&in, ret) || read_file(&in, ret));

	text_done(&in);
	if (found)
		return compute_public(ret, ret_public);
	fprintf(stderr, "culvert gateway peer: %s: %s\n", input_name(path),
		err != 0 ? err_text(err)
			 : "neither a private key (44 characters of base64) nor a client's file"
			   " that has one");
	return EXIT_REFUSED;
}
