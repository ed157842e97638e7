/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A recording of all wires: frames as their sender put them there, so before
 * the wire lost, changed or delayed any.  One recording at a time; the frames
 * of several wires share it, in the order in which they were sent.
 */
#ifndef PCAP_H
#define PCAP_H

#include <stdbool.h>
#include <stdint.h>

#include "fw.h"

extern bool pcap_on;

const char *pcap_start(const char *path);
const char *pcap_stop(void);
void pcap_frame(const struct fw_frame *frame);
uint64_t pcap_run(uint64_t now);

#endif /* PCAP_H */
