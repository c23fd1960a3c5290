/* SPDX-License-Identifier: Apache-2.0
 * Frames in and out of bytes: COBS (Cheshire and Baker, 1999) around a CRC-16/GENIBUS.
 * The CRC goes out inverted, or zeros at the end of a frame could come and go unseen: with one flipped bit there a press
 * of the covert button would read as one of the open button. */
#include "frame.h"

#include <string.h>

#include "crc.h"

uint8_t frame_encode(uint8_t *out, uint8_t type, uint8_t seq, const void *payload, uint8_t length) {
    uint8_t body[FRAME_BODY_MAX];
    body[0] = type;
    body[1] = seq;
    memcpy(body + 2, payload, length);
    length = (uint8_t)(length + 2);
    uint16_t crc = (uint16_t)~crc16(CRC_START, body, length);
    body[length++] = (uint8_t)(crc >> 8);
    body[length++] = (uint8_t)crc;

    uint8_t used = 0, code_at = 1, code = 1;
    out[used++] = 0;
    used++; /* room for the first code byte */
    for (uint8_t i = 0; i < length; i++) {
        if (body[i]) {
            out[used++] = body[i];
            code++;
        } else {
            out[code_at] = code;
            code_at = used++;
            code = 1;
        }
    }
    out[code_at] = code;
    out[used++] = 0;
    return used;
}

uint8_t frame_decode(uint8_t *bytes, uint8_t length) {
    uint8_t from = 0, to = 0;
    while (from < length) {
        uint8_t code = bytes[from++];
        if (code == 0 || code - 1 > length - from) return 0;
        while (--code) bytes[to++] = bytes[from++];
        if (from < length) bytes[to++] = 0;
    }
    if (to < 4) return 0;
    to = (uint8_t)(to - 2);
    uint16_t crc = (uint16_t)((uint16_t)bytes[to] << 8 | bytes[to + 1]);
    return crc == (uint16_t)~crc16(CRC_START, bytes, to) ? to : 0;
}
