/* SPDX-License-Identifier: Apache-2.0 */
/* culvert conf export: what a running interface has, as a file that `culvert conf apply` takes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/output.h"
#include "cmd/running.h"
#include "conf/wgconf_framing.h"

static const char command[] = "culvert conf export";

static const char usage[] =
	"Usage: culvert conf export INTERFACE\n"
	"\n"
	"Writes the configuration of a running userspace interface as 'wg showconf' does, with\n"
	"the keys of AmneziaWG and CulvertProfile. It has the private key in it.\n";

static void put_key(struct text *out, const char *name, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	text_printf(out, "%s = %s\n", name, text);
	secret_wipe(text, sizeof(text));
}

static void put_interface(struct text *out, const struct iface_snapshot *s)
{
	text_puts(out, "[Interface]\n");
	if (s->listen_port)
		text_printf(out, "ListenPort = %u\n", s->listen_port);
	if (s->fwmark)
		text_printf(out, "FwMark = 0x%x\n", s->fwmark);
	if (!secret_is_zero(&s->private_key, sizeof(s->private_key)))
		put_key(out, "PrivateKey", s->private_key.b);
	wgconf_put_framing(out, &s->framing, "\n");
	for (size_t i = 0; i < s->n_profiles; i++) {
		text_puts(out, "CulvertProfile = ");
		uapi_profile_put(out, s->profiles[i].name, &s->profiles[i].parameters,
				 s->profiles[i].until_s);
		text_puts(out, "\n");
	}
}

static void put_peer(struct text *out, const struct uapi_get_peer *peer)
{
	char text[ADDR_TEXT_MAX];

	text_puts(out, "\n[Peer]\n");
	put_key(out, "PublicKey", peer->public_key);
	if (!secret_is_zero(&peer->preshared_key, sizeof(peer->preshared_key)))
		put_key(out, "PresharedKey", peer->preshared_key.b);
	for (size_t i = 0; i < peer->n_allowed_ips; i++) {
		text_puts(out, i ? ", " : "AllowedIPs = ");
		text_puts(out, ip_prefix_format(&peer->allowed_ips[i], text));
	}
	text_puts(out, peer->n_allowed_ips ? "\n" : "");
	if (peer->endpoint.ip.family != ADDR_NONE)
		text_printf(out, "Endpoint = %s\n", endpoint_format(&peer->endpoint, text));
	if (!frame_range_is_zero(peer->keepalive)) {
		text_puts(out, "PersistentKeepalive = ");
		frame_range_write(out, peer->keepalive);
		text_puts(out, "\n");
	}
}

static int write_out(const struct iface_snapshot *s)
{
	struct text out = { 0 };
	int err;

	put_interface(&out, s);
	for (size_t i = 0; i < s->n_peers; i++)
		put_peer(&out, &s->peers[i]);
	err = out.err;
	if (err) {
		fprintf(stderr, "%s: %s\n", command, err_text(err));
	} else {
		output_warn_if_readable(command);
		fwrite(out.data, 1, out.len, stdout);
	}
	text_done(&out);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int run(const char *interface)
{
	struct iface_snapshot s = { 0 };
	struct iface *iface = NULL;
	struct diag d = { 0 };
	int err = running_open(interface, &iface, &d), code;

	if (!err)
		err = iface_snapshot_take(iface, &s, &d);
	if (err)
		fprintf(stderr, "%s: %s\n", command, d.text);
	code = !err ? write_out(&s) : err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
	iface_snapshot_done(&s);
	iface_free(iface);
	return code;
}

int cmd_conf_export(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option = getopt_long(argc, argv, "h", options, NULL);

	if (option == 'h') {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	if (option == '?')
		return EXIT_USAGE;
	if (optind + 1 != argc) {
		fprintf(stderr, "%s: say which INTERFACE, and nothing else\n%s", command,
			usage);
		return EXIT_USAGE;
	}
	return run(argv[optind]);
}
