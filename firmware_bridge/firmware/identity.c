/* SPDX-License-Identifier: Apache-2.0
 * Who this unit is: its program, and the boot id of this start. */
#include "identity.h"

#include <avr/pgmspace.h>

#include "board.h"
#include "converter.h"
#include "journal.h"
#include "link.h"
#include "protocol.h"
#include "watchdog.h"

#ifndef BUILD_ID
#error "pass -DBUILD_ID=<32 bits that name the sources>; firmware_bridge/build.py does"
#endif

/* What a file of this program says of itself, and what Identity says: one place, so that they cannot differ.
 * firmware_bridge/flash.py finds it by its mark. */
static const struct PACKED {
    char mark[12];
    uint32_t build;
    uint8_t major, minor, protocol;
} program PROGMEM = {"StaybyButton", BUILD_ID, FIRMWARE_MAJOR, FIRMWARE_MINOR, PROTOCOL_VERSION};

static uint16_t leftover __attribute__((section(".noinit"))); /* SRAM wakes up with random content */
static uint32_t boot_id;

void identity_start(void) {
    leftover = converter_noise(leftover);
    boot_id = (uint32_t)journal_count_start() << 16 | leftover;
}

uint32_t identity_boot_id(void) { return boot_id; }

void identity_send(void) {
    struct identity message = {
        .protocol = pgm_read_byte(&program.protocol),
        .major = pgm_read_byte(&program.major),
        .minor = pgm_read_byte(&program.minor),
        .reset_cause = watchdog_reset_cause(),
        .build = pgm_read_dword(&program.build),
        .boot_id = boot_id,
    };
    link_send(MSG_IDENTITY, 0, &message, sizeof message);
}
