/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/tls.h"

#include <errno.h>
#include <stddef.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "crypto/secret.h"

static const unsigned char alpn[] = "\x08http/1.1";

enum { ALPN_LEN = sizeof(alpn) - 1 };

struct ssl_ctx_st *tls_free(struct ssl_ctx_st *context)
{
	SSL_CTX_free(context);
	return NULL;
}

/* RFC 7301: the first of ours that the client offers; one who offers only others is refused, as
 * web servers do. */
static int choose(SSL *tls, const unsigned char **out, unsigned char *out_len,
		  const unsigned char *in, unsigned int in_len, void *context)
{
	unsigned char *chosen = NULL;

	(void)tls, (void)context;
	if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_LEN, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				       SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* A write that was put off goes on from wherever the octets are then. */
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	/* Forward secrecy and authenticated encryption: no finding of any scanner. */
	if (SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	    SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") == 1)
		return c;
	SSL_CTX_free(c);
	return NULL;
}

/* Our certificate and what stands behind it in the file. */
static bool use_chain(SSL_CTX *c, BIO *bio)
{
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	bool is_used = x && SSL_CTX_use_certificate(c, x) == 1;

	X509_free(x);
	while (is_used && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		is_used = SSL_CTX_add0_chain_cert(c, x) == 1; /* takes it */
		if (!is_used)
			X509_free(x);
	}
	ERR_clear_error(); /* the end of the file was one */
	return is_used;
}

int tls_server(const char *cert, const char *key, struct ssl_ctx_st **ret, struct diag *d)
{
	SSL_CTX *c = make(TLS_server_method());
	BIO *cert_bio = BIO_new_mem_buf(cert, -1), *key_bio = BIO_new_mem_buf(key, -1);
	EVP_PKEY *own = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
	int err = c && cert_bio && key_bio ? 0 : -ENOMEM;

	if (err == 0 &&
	    (!own || !use_chain(c, cert_bio) || SSL_CTX_use_PrivateKey(c, own) != 1 ||
	     SSL_CTX_check_private_key(c) != 1))
		err = diag_set(d, ERR_FORMAT, 0, "certificate and key are no pair");
	EVP_PKEY_free(own);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	if (err != 0) {
		ERR_clear_error();
		SSL_CTX_free(c);
		return err;
	}
	SSL_CTX_set_alpn_select_cb(c, choose, NULL);
	*ret = c;
	return 0;
}

static int trust(SSL_CTX *c, const char *ca_path, const uint8_t *pin, struct diag *d)
{
	if (pin) { /* tls_check_pin() judges */
		SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	if (ca_path ? SSL_CTX_load_verify_file(c, ca_path) == 1
		    : SSL_CTX_set_default_verify_paths(c) == 1)
		return 0;
	ERR_clear_error();
	return diag_set(d, ERR_FORMAT, 0, "%s holds no certificate in PEM",
			ca_path ? ca_path : "the system's store");
}

int tls_client(const char *ca_path, const uint8_t *pin, struct ssl_ctx_st **ret, struct diag *d)
{
	SSL_CTX *c = make(TLS_client_method());
	int err = c ? trust(c, ca_path, pin, d) : -ENOMEM;

	if (err == 0 && SSL_CTX_set_alpn_protos(c, alpn, ALPN_LEN) != 0)
		err = -ENOMEM;
	if (err != 0) {
		SSL_CTX_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

int tls_check_pin(struct ssl_st *tls, const uint8_t *pin, struct diag *d)
{
	X509 *x = SSL_get1_peer_certificate(tls);
	uint8_t digest[TLS_PIN_LEN];
	bool is_it = x && X509_digest(x, EVP_sha256(), digest, NULL) == 1 &&
		     secret_equal(digest, pin, sizeof(digest));

	X509_free(x);
	return is_it ? 0
		     : diag_set(d, ERR_AUTH, 0,
				"the certificate is not the one with that fingerprint");
}
