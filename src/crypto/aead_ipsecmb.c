/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * The library hands out a job of its ring, we describe one packet in it, submit
 * it, and in this version of the library the packet is finished when submit
 * returns. Should a later version hold jobs back to fill its lanes, we flush: the
 * order of packets is part of our contract, and one packet at a time is as fast.
 *
 * We submit unchecked: everything the check would look at is set here, from
 * constants. On opening, the library only computes the tag; judging is ours.
 */
#include <errno.h>

#include <intel-ipsec-mb.h>

#include "crypto/suite_parts.h"

static void describe(IMB_JOB *job, const struct aead_message *m, IMB_CIPHER_DIRECTION direction,
		     uint8_t *tag)
{
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->cipher_direction = direction;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = m->key;
	job->dec_keys = m->key;
	job->key_len_in_bytes = 32;
	job->iv = m->nonce;
	job->iv_len_in_bytes = 12;
	job->u.CHACHA20_POLY1305.aad = m->ad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = m->ad_len;
	job->src = m->src;
	job->dst = m->dst;
	job->cipher_start_src_offset_in_bytes = 0;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = m->len;
	job->msg_len_to_hash_in_bytes = m->len;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = AEAD_TAG_LEN;
}

static inline void run(IMB_MGR *mgr, const struct aead_message *m,
		       IMB_CIPHER_DIRECTION direction, uint8_t *tag)
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(mgr);
	const IMB_JOB *done;

	describe(job, m, direction, tag);
	done = IMB_SUBMIT_JOB_NOCHECK(mgr);
	while (done != job) {
		done = IMB_FLUSH_JOB(mgr);
		if (!done)
			suite_fatal();
	}
	if (done->status != IMB_STATUS_COMPLETED)
		suite_fatal();
}

static void seal(void *self, struct aead_job *jobs, size_t n)
{
	uint8_t nonce[12];

	for (size_t i = 0; i < n; i++) {
		const struct aead_job *j = &jobs[i];

		suite_nonce(nonce, j->counter);
		run(self,
		    &(struct aead_message){ .key = j->key,
					    .nonce = nonce,
					    .src = j->src,
					    .dst = j->dst,
					    .len = j->len },
		    IMB_DIR_ENCRYPT, j->dst + j->len);
	}
}

static void open(void *self, struct aead_job *jobs, size_t n)
{
	uint8_t nonce[12], tag[AEAD_TAG_LEN];

	for (size_t i = 0; i < n; i++) {
		struct aead_job *j = &jobs[i];

		suite_nonce(nonce, j->counter);
		run(self,
		    &(struct aead_message){ .key = j->key,
					    .nonce = nonce,
					    .src = j->src,
					    .dst = j->dst,
					    .len = j->len },
		    IMB_DIR_DECRYPT, tag);
		j->ok = suite_tags_equal(tag, j->src + j->len);
	}
}

static void seal_one(void *self, const struct aead_message *m, uint8_t tag[AEAD_TAG_LEN])
{
	run(self, m, IMB_DIR_ENCRYPT, tag);
}

static bool open_one(void *self, const struct aead_message *m, const uint8_t tag[AEAD_TAG_LEN])
{
	uint8_t computed[AEAD_TAG_LEN];

	run(self, m, IMB_DIR_DECRYPT, computed);
	return suite_tags_equal(computed, tag);
}

static int new (void **ret)
{
	IMB_MGR *mgr = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!mgr)
		return -ENOMEM;
	init_mb_mgr_auto(mgr, &arch);
	if (arch == IMB_ARCH_NONE || imb_get_errno(mgr) != 0) {
		free_mb_mgr(mgr);
		return -ENOTSUP;
	}
	*ret = mgr;
	return 0;
}

/* The manager's ring and scratch space have seen keys and key streams. */
static void release(void *self)
{
	if (!self)
		return;
	secret_wipe(self, imb_get_mb_mgr_size());
	free_mb_mgr(self);
}

const struct aead_backend aead_ipsecmb = {
	.id = SUITE_IPSECMB,
	.new = new,
	.free = release,
	.seal = seal,
	.open = open,
	.seal_one = seal_one,
	.open_one = open_one,
};
