/* SPDX-License-Identifier: Apache-2.0
 * Frames in and out of bytes. Pure: no register is touched, so that a host build can test and fuzz it. */
#ifndef FRAME_H
#define FRAME_H

#include <stdint.h>

#include "protocol.h"

#define FRAME_BODY_MAX (2 + PAYLOAD_MAX + 2)    /* type, seq, payload, CRC */
#define FRAME_WIRE_MAX (1 + FRAME_BODY_MAX)     /* one COBS code byte more, no delimiters */
#define FRAME_SENT_MAX (1 + FRAME_WIRE_MAX + 1) /* with both delimiters */

/* Write `00 COBS 00` to `out` (FRAME_SENT_MAX bytes); returns how many bytes. `length` <= PAYLOAD_MAX. */
uint8_t frame_encode(uint8_t *out, uint8_t type, uint8_t seq, const void *payload, uint8_t length);

/* Decode in place what stood between two delimiters. Returns the length of type, seq and payload together
 * (>= 2), or 0 when the bytes are no frame. */
uint8_t frame_decode(uint8_t *bytes, uint8_t length);

#endif
