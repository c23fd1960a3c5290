/* SPDX-License-Identifier: Apache-2.0
 * CRC-16/IBM-3740. */
#include "crc.h"

uint16_t crc16(uint16_t crc, const void *bytes, uint8_t length) {
    const uint8_t *next = bytes;
    while (length--) {
        crc ^= (uint16_t)((uint16_t)*next++ << 8);
        for (uint8_t bit = 0; bit < 8; bit++) crc = (uint16_t)((uint16_t)(crc << 1) ^ (crc & 0x8000 ? 0x1021U : 0U));
    }
    return crc;
}
