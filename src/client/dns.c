/* SPDX-License-Identifier: Apache-2.0 */
#include "client/dns.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "client/resolv_file.h"
#include "sys/program.h"

enum { WORDS_MAX = CLIENT_DNS_MAX + CLIENT_SEARCH_MAX + 8 };

#define DIR	   "/etc"
#define TIMEOUT_NS (UINT64_C(15) * 1000000000)

static const char *const resolvectl_paths[] = { "/usr/bin/resolvectl", "/bin/resolvectl",
						NULL };
static const char *const resolvconf_paths[] = { "/usr/sbin/resolvconf", "/sbin/resolvconf",
						"/usr/bin/resolvconf", NULL };

static const char *find_program(const char *const *paths)
{
	while (*paths && access(*paths, X_OK) < 0)
		paths++;
	return *paths;
}

static int run(const char *path, const char *const argv[], const struct text *input,
	       struct diag *d)
{
	struct program_result result;
	int err = program_run(path, argv, input && input->data ? input->data : "",
			      input ? input->len : 0, TIMEOUT_NS, &result);

	if (err < 0)
		return diag_set(d, err, 0, "%s: %s", path, err_text(err));
	if (result.status != 0)
		return diag_set(d, ERR_UNKNOWN, 0, "%s: %.*s", path,
				(int)strcspn(result.complaint, "\n"), result.complaint);
	return 0;
}

/* --- Who has the file in hand --- */

/* Where a symbolic link leads; "" for anything else. */
static void read_target(char out[PATH_MAX])
{
	ssize_t n = readlink(DIR "/resolv.conf", out, PATH_MAX - 1);

	out[n > 0 ? n : 0] = '\0';
}

static bool find_method(enum undo_dns *ret)
{
	char target[PATH_MAX];

	read_target(target);
	if (strstr(target, "systemd/resolve/") && find_program(resolvectl_paths)) {
		*ret = UNDO_DNS_RESOLVED;
		return true;
	}
	if (strstr(target, "resolvconf/") && find_program(resolvconf_paths)) {
		*ret = UNDO_DNS_RESOLVCONF;
		return true;
	}
	return false;
}

static void put_content(struct text *out, const struct client_plan *p)
{
	char address[ADDR_TEXT_MAX];

	text_printf(out, "# culvert connect: name servers inside the tunnel %s\n",
		    p->interface);
	for (size_t i = 0; i < p->n_dns; i++)
		text_printf(out, "nameserver %s\n", ip_addr_format(&p->dns[i], address));
	for (size_t i = 0; i < p->n_search; i++)
		text_printf(out, "%s%s%s", i ? " " : "search ", p->search[i],
			    i + 1 == p->n_search ? "\n" : "");
}

int client_dns_choose(const struct client_plan *p, int state_fd, struct undo_step *ret,
		      struct diag *d)
{
	const struct resolv_file file = { DIR, p->interface, state_fd };
	struct text content = { .max = UNDO_CONTENT_MAX };
	int err;

	*ret = (struct undo_step){ .kind = UNDO_DNS };
	if (find_method(&ret->dns))
		return 0;
	ret->kind = UNDO_RESOLV;
	err = resolv_file_choose(&file, &ret->resolv);
	put_content(&content, p);
	if (err == 0)
		err = content.err;
	if (err == 0) {
		memcpy(ret->content, content.data, content.len);
		ret->content_len = content.len;
	}
	text_done(&content);
	return err < 0 ? diag_set(d, err, 0, DIR "/resolv.conf: %s", err_text(err)) : 0;
}

/* --- Doing --- */

static int tell_resolved(const struct client_plan *p, struct diag *d)
{
	const char *path = find_program(resolvectl_paths);
	const char *servers[WORDS_MAX] = { "resolvectl", "dns", p->interface };
	const char *domains[WORDS_MAX] = { "resolvectl", "domain", p->interface };
	char addresses[CLIENT_DNS_MAX][ADDR_TEXT_MAX];
	size_t n = 3;
	int err;

	if (!path)
		return diag_set(d, -ENOENT, 0, "resolvectl is missing");
	for (size_t i = 0; i < p->n_dns; i++)
		servers[3 + i] = ip_addr_format(&p->dns[i], addresses[i]);
	if (p->scope == CLIENT_FULL)
		domains[n++] = "~."; /* every name is asked for there */
	for (size_t i = 0; i < p->n_search; i++)
		domains[n++] = p->search[i];
	err = run(path, servers, NULL, d);
	return err < 0 || n == 3 ? err : run(path, domains, NULL, d);
}

/* resolvconf(8) sorts by names where it has an order; "tun" comes early in it. */
static const char *record_name(const char *interface, char out[32])
{
	bool is_sorted = access(DIR "/resolvconf/interface-order", F_OK) == 0;

	snprintf(out, 32, "%s%.15s", is_sorted ? "tun." : "", interface);
	return out;
}

static int tell_resolvconf(const struct client_plan *p, struct diag *d)
{
	const char *path = find_program(resolvconf_paths);
	char record[32];
	const char *const argv[] = { "resolvconf", "-a", record_name(p->interface, record),
				     "-m",	   "0",	 "-x",
				     NULL };
	struct text content = { .max = UNDO_CONTENT_MAX };
	int err;

	if (!path)
		return diag_set(d, -ENOENT, 0, "resolvconf is missing");
	put_content(&content, p);
	err = content.err ? content.err : run(path, argv, &content, d);
	text_done(&content);
	return err;
}

int client_dns_do(const struct client_plan *p, int state_fd, const struct undo_step *step,
		  struct diag *d)
{
	const struct resolv_file file = { DIR, p->interface, state_fd };
	int err;

	if (step->kind == UNDO_DNS)
		return step->dns == UNDO_DNS_RESOLVED ? tell_resolved(p, d)
						      : tell_resolvconf(p, d);
	err = resolv_file_replace(&file, step);
	return err < 0 ? diag_set(d, err, 0, DIR "/resolv.conf: %s", err_text(err)) : 0;
}

/* --- Undoing --- */

/* What resolved knows of an interface goes with it. */
static int tell_resolved_undo(const char *interface)
{
	const char *path = find_program(resolvectl_paths);
	const char *const argv[] = { "resolvectl", "revert", interface, NULL };
	struct diag ignored = { 0 };

	if (path)
		(void)run(path, argv, NULL, &ignored);
	return 0;
}

static int tell_resolvconf_undo(const char *interface, struct diag *d)
{
	const char *path = find_program(resolvconf_paths);
	char record[32];
	const char *const argv[] = { "resolvconf", "-d", record_name(interface, record), "-f",
				     NULL };

	return path ? run(path, argv, NULL, d) : 0;
}

int client_dns_undo(const char *interface, int state_fd, const struct undo_step *step,
		    bool *ret_left, struct diag *d)
{
	const struct resolv_file file = { DIR, interface, state_fd };
	int err;

	*ret_left = false;
	if (step->kind == UNDO_DNS)
		return step->dns == UNDO_DNS_RESOLVED ? tell_resolved_undo(interface)
						      : tell_resolvconf_undo(interface, d);
	err = resolv_file_restore(&file, step, ret_left);
	return err < 0 ? diag_set(d, err, 0, DIR "/resolv.conf: %s", err_text(err)) : 0;
}

bool client_dns_stands(const char *interface, int state_fd, const struct undo_step *step)
{
	const struct resolv_file file = { DIR, interface, state_fd };

	return step->kind != UNDO_RESOLV || resolv_file_is_ours(&file, step);
}
