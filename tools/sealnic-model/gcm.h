/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The crypto block's interface: the gcm_* and key_drop operations of struct
 * fw_plat, with a cache of expanded keys in place of their first argument.
 * One cache belongs to one port, as slots are numbered by a port's firmware.
 */
#ifndef GCM_H
#define GCM_H

#include "fw.h"

struct gcm;

struct gcm *gcm_new(void);
void gcm_free(struct gcm *gcm);
const char *gcm_implementation(void);

void gcm_start(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	       const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len);
void gcm_seal(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	      uint8_t *dst, const uint8_t *src, uint32_t len);
void gcm_open(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	      uint8_t *dst, const uint8_t *src, uint32_t len);
void gcm_tag(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key, uint8_t tag[16]);
void gcm_key_drop(struct gcm *gcm, uint32_t slot);

#endif /* GCM_H */
