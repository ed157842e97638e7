/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only places where the driver touches words that the device reads or
 * writes at the same time: BAR2 and the status words in host memory.
 *
 * BAR2 is plain memory, mapped write-back: an access has no side effect and
 * needs no particular width, but it must happen exactly once.  What has to be
 * seen in order is ordered by the caller's barriers.
 */
#ifndef SEALNIC_IO_H
#define SEALNIC_IO_H

#include <linux/io.h>

#include "sealnic.h"

static inline u16 sealnic_rd16(const __le16 *word)
{
	return le16_to_cpu(READ_ONCE(*word));
}

static inline u32 sealnic_rd32(const __le32 *word)
{
	return le32_to_cpu(READ_ONCE(*word));
}

static inline u64 sealnic_rd64(const __le64 *word)
{
	return le64_to_cpu(READ_ONCE(*word));
}

static inline void sealnic_wr32(__le32 *word, u32 val)
{
	WRITE_ONCE(*word, cpu_to_le32(val));
}

static inline void sealnic_wr64(__le64 *word, u64 val)
{
	WRITE_ONCE(*word, cpu_to_le64(val));
}

/* The queue pairs' words, all in one array of BAR2 */
static inline struct sealnic_qp_db *sealnic_qp_db(struct sealnic_init_seg *seg,
						  unsigned int qp)
{
	return (void *)seg + SEALNIC_DB_OFFSET +
	       qp * sizeof(struct sealnic_qp_db);
}

/**
 * sealnic_doorbell() - make the device look
 * @sn: device
 * @vector: SEALNIC_VEC_CONTROL, SEALNIC_VEC_QP()
 *
 * The write is ordered behind all earlier writes to memory.
 */
static inline void sealnic_doorbell(struct sealnic *sn, u32 vector)
{
	iowrite32(sn->db_base | vector, sn->bar0 + SEALNIC_BAR0_DOORBELL);
}

/**
 * sealnic_kick() - ring a queue pair's doorbell if the device wants it
 * @qp: queue pair
 * @kick: qp_status.tx_kick or qp_status.rx_kick
 * @old: the producer index that the device was told before
 * @new: the producer index that was just written
 *
 * The device writes the kick index, then looks at the producer index once
 * more before it sleeps; the driver does it the other way round.  The full
 * barrier pairs with the device's.
 *
 * Return: true if the doorbell was rung
 */
static inline bool sealnic_kick(struct sealnic_qp *qp, const __le32 *kick,
				u32 old, u32 new)
{
	if (qp->sn->features & SEALNIC_F_KICK_IDX) {
		/* The index before the kick index; see above */
		mb();
		if (new - sealnic_rd32(kick) - 1 >= new - old)
			return false;
	}
	sealnic_doorbell(qp->sn, SEALNIC_VEC_QP(qp->id));
	return true;
}

#endif /* SEALNIC_IO_H */
