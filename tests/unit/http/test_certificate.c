/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "http/certificate.h"

static char directory[] = "/tmp/culvert-certificate-XXXXXX";
static char cert_path[64], key_path[64], other_path[64];

static int read_pair(bool may_make, struct certificate *c, struct diag *d)
{
	return certificate_read(cert_path, key_path, may_make, "vpn.example.org", c, d);
}

static void one_is_made_once_and_read_again(void)
{
	struct certificate made = { .cert = NULL }, again = { .cert = NULL };
	struct diag d = { .text = "" };
	struct stat st;

	CHECK(read_pair(true, &made, &d) == 0);
	CHECK(stat(key_path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(strlen(made.fingerprint) == CERTIFICATE_FINGERPRINT_LEN);
	CHECK(read_pair(true, &again, &d) == 0);
	CHECK(strcmp(made.fingerprint, again.fingerprint) == 0);
	CHECK(strcmp(made.cert, again.cert) == 0);
	certificate_done(&made);
	certificate_done(&again);
}

static void what_others_may_read_is_no_secret(void)
{
	struct certificate c = { .cert = NULL };
	struct diag d = { .text = "" };

	CHECK(chmod(key_path, 0640) == 0);
	CHECK(read_pair(true, &c, &d) == -EPERM && strstr(d.text, "chmod 600"));
	CHECK(chmod(key_path, 0600) == 0);
}

static void a_key_of_another_certificate_is_refused(void)
{
	struct certificate other = { .cert = NULL }, c = { .cert = NULL };
	struct diag d = { .text = "" };
	char spare[64];

	snprintf(spare, sizeof(spare), "%s/spare.pem", directory);
	CHECK(certificate_read(spare, other_path, true, "192.0.2.1", &other, &d) == 0);
	certificate_done(&other);
	CHECK(certificate_read(cert_path, other_path, false, "", &c, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, other_path) && strstr(d.text, cert_path));
	CHECK(certificate_read(key_path, other_path, false, "", &c, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "no certificate"));
	unlink(spare);
}

static void a_pair_may_be_links(void)
{
	struct certificate c = { .cert = NULL };
	struct diag d = { .text = "" };
	char cert[64], key[64];

	/* As certbot has them: live/NAME/fullchain.pem leads to the newest. */
	snprintf(cert, sizeof(cert), "%s/fullchain.pem", directory);
	snprintf(key, sizeof(key), "%s/privkey.pem", directory);
	CHECK(symlink(cert_path, cert) == 0 && symlink(key_path, key) == 0);
	CHECK(certificate_read(cert, key, false, "", &c, &d) == 0);
	certificate_done(&c);
	CHECK(certificate_read(cert, key, true, "", &c, &d) == 0);
	certificate_done(&c);
	unlink(cert);
	unlink(key);
}

static void half_a_pair_is_not_completed(void)
{
	struct certificate c = { .cert = NULL };
	struct diag d = { .text = "" };

	unlink(cert_path);
	CHECK(read_pair(true, &c, &d) == -ENOENT && strstr(d.text, cert_path));
}

int main(void)
{
	if (!mkdtemp(directory))
		abort();
	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", directory);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", directory);
	snprintf(other_path, sizeof(other_path), "%s/other.pem", directory);
	RUN(one_is_made_once_and_read_again);
	RUN(what_others_may_read_is_no_secret);
	RUN(a_key_of_another_certificate_is_refused);
	RUN(a_pair_may_be_links);
	RUN(half_a_pair_is_not_completed);
	unlink(cert_path);
	unlink(key_path);
	unlink(other_path);
	rmdir(directory);
	return DONE();
}
