/* SPDX-License-Identifier: Apache-2.0
 * CRC-16/IBM-3740: polynomial 0x1021, start 0xFFFF, no reflection. Python: binascii.crc_hqx(data, 0xFFFF). */
#ifndef CRC_H
#define CRC_H

#include <stdint.h>

#define CRC_START 0xFFFF

uint16_t crc16(uint16_t crc, const void *bytes, uint8_t length);

#endif
