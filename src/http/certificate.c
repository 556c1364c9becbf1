/* SPDX-License-Identifier: Apache-2.0 */
#include "http/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/codec.h"
#include "crypto/secret.h"
#include "sys/file.h"

enum { DAYS = 3650, DIGEST_LEN = 32 };

void certificate_done(struct certificate *c)
{
	if (c->key)
		secret_wipe(c->key, strlen(c->key));
	free(c->key);
	free(c->cert);
	*c = (struct certificate){ .cert = NULL };
}

/* --- Making --- */

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *e;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return added;
}

static bool set_name(X509 *x, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(x);
	struct ip_addr ip;
	char alternative[300];

	snprintf(alternative, sizeof(alternative), "%s:%.255s",
		 ip_addr_parse(name, &ip) == 0 ? "IP" : "DNS", name);
	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					  (const unsigned char *)"culvert gateway", -1, -1,
					  0) == 1 &&
	       X509_set_issuer_name(x, subject) == 1 &&
	       add_extension(x, NID_subject_alt_name, alternative);
}

static bool set_serial(X509 *x)
{
	BIGNUM *number = BN_new();
	bool done = number && BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL;

	BN_free(number);
	return done;
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	    X509_time_adj_ex(X509_getm_notAfter(x), DAYS, 0, NULL) &&
	    X509_set_pubkey(x, key) == 1 && set_name(x, name) &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(x, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

/* What @bio has gathered, as a text of one's own. */
static char *text_of(BIO *bio)
{
	char *data = NULL, *copy;
	long len = BIO_get_mem_data(bio, &data);

	if (len <= 0)
		return NULL;
	copy = malloc((size_t)len + 1); /* there is no NUL behind it */
	if (copy) {
		memcpy(copy, data, (size_t)len);
		copy[len] = '\0';
	}
	secret_wipe(data, (size_t)len);
	return copy;
}

static int to_text(X509 *x, EVP_PKEY *key, struct certificate *ret)
{
	BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());

	if (cert_bio && key_bio && PEM_write_bio_X509(cert_bio, x) == 1 &&
	    PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		ret->cert = text_of(cert_bio);
		ret->key = text_of(key_bio);
	}
	BIO_free(cert_bio);
	BIO_free(key_bio);
	return ret->cert && ret->key ? 0 : -ENOMEM;
}

static int make(const char *name, struct certificate *ret)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? make_certificate(key, name) : NULL;
	int err = x ? to_text(x, key, ret) : -ENOMEM;

	X509_free(x);
	EVP_PKEY_free(key);
	return err;
}

/* The key first: a certificate without its key would be taken for one that is there. */
static int make_files(const char *cert_path, const char *key_path, const char *name,
		      struct certificate *ret, struct diag *d)
{
	int err = make(name, ret);

	if (err == 0)
		err = file_write(AT_FDCWD, key_path, ret->key, strlen(ret->key),
				 FILE_MODE(0600));
	if (err == 0)
		err = file_write(AT_FDCWD, cert_path, ret->cert, strlen(ret->cert),
				 FILE_MODE(0644));
	return err == 0
		       ? 0
		       : diag_set(d, err, 0, "a certificate for https cannot be made in %s: %s",
				  cert_path, err_text(err));
}

/* --- Reading --- */

static int read_text(const char *path, char **ret, struct diag *d)
{
	char *text = calloc(1, CERTIFICATE_PEM_MAX + 1);
	size_t len = 0;
	int err = text ? file_read_named(path, text, CERTIFICATE_PEM_MAX, &len) : -ENOMEM;

	if (err == 0) {
		*ret = text;
		return 0;
	}
	free(text);
	return diag_set(d, err, 0, "%s cannot be read: %s", path, err_text(err));
}

/* Nobody types a passphrase into a service. */
static int no_passphrase(char *out, int size, int writes, void *context)
{
	(void)out, (void)size, (void)writes, (void)context;
	return -1;
}

static int check_pair(struct certificate *c, const char *cert_path, const char *key_path,
		      struct diag *d)
{
	BIO *cert_bio = BIO_new_mem_buf(c->cert, -1), *key_bio = BIO_new_mem_buf(c->key, -1);
	X509 *x = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, no_passphrase, NULL) : NULL;
	EVP_PKEY *key =
		key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL) : NULL;
	uint8_t digest[DIGEST_LEN];
	int err = 0;

	if (!x)
		err = diag_set(d, ERR_FORMAT, 0, "%s holds no certificate in PEM", cert_path);
	else if (!key)
		err = diag_set(d, ERR_FORMAT, 0,
			       "%s holds no private key in PEM without a passphrase", key_path);
	else if (X509_check_private_key(x, key) != 1)
		err = diag_set(d, ERR_FORMAT, 0, "the key in %s is not that of %s", key_path,
			       cert_path);
	else if (X509_digest(x, EVP_sha256(), digest, NULL) == 1)
		hex_encode(digest, sizeof(digest), c->fingerprint);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	return err;
}

int certificate_read(const char *cert_path, const char *key_path, bool may_make,
		     const char *name, struct certificate *ret, struct diag *d)
{
	struct certificate c = { .cert = NULL };
	struct stat st;
	int err;

	if (may_make && access(cert_path, F_OK) != 0 && access(key_path, F_OK) != 0) {
		err = make_files(cert_path, key_path, name, &c, d);
	} else {
		err = stat(key_path, &st) == 0 && (st.st_mode & 077) != 0
			      ? diag_set(d, -EPERM, 0, "%s may be used by others: chmod 600 it",
					 key_path)
			      : read_text(cert_path, &c.cert, d);
		if (err == 0)
			err = read_text(key_path, &c.key, d);
	}
	if (err == 0)
		err = check_pair(&c, cert_path, key_path, d);
	if (err != 0) {
		certificate_done(&c);
		return err;
	}
	*ret = c;
	return 0;
}
