/* SPDX-License-Identifier: Apache-2.0
 * Who this start of the unit is: boot id and reset cause. */
#include "identity.h"

#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/wdt.h>

#include "board.h"
#include "journal.h"
#include "link.h"
#include "protocol.h"

#ifndef BUILD_ID
#error "pass -DBUILD_ID=<32 bits that name the sources>; firmware_bridge/build.py does"
#endif

#define NOISE_SAMPLES 48

/* What a file of this program says of itself, and what Identity says: one place, so that they cannot differ.
 * firmware_bridge/flash.py finds it by its mark. */
static const struct PACKED {
    char mark[12];
    uint32_t build;
    uint8_t major, minor, protocol;
} program PROGMEM = {"StaybyButton", BUILD_ID, FIRMWARE_MAJOR, FIRMWARE_MINOR, PROTOCOL_VERSION};

static uint8_t reset_cause __attribute__((section(".noinit")));
static uint16_t leftover __attribute__((section(".noinit"))); /* SRAM wakes up with random content */
static uint32_t boot_id;

/* Before anything else: after a watchdog reset the watchdog still runs, with its shortest time. */
void save_reset_cause(void) __attribute__((naked, used, section(".init3")));
void save_reset_cause(void) {
    reset_cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

static uint16_t stir(uint16_t pool, uint16_t more) {
    pool ^= more;
    for (uint8_t bit = 0; bit < 8; bit++) pool = (uint16_t)(pool & 0x8000 ? (pool << 1) ^ 0x1021 : pool << 1);
    return pool;
}

/* The open pin's last bits, and how long the conversions took against timer 0. */
static uint16_t noise(void) {
    uint16_t pool = leftover;
    ADMUX = _BV(REFS1) | _BV(REFS0) | NOISE_CHANNEL; /* against 1.1 V: the small reference shows the most noise */
    for (uint8_t i = 0; i < NOISE_SAMPLES; i++) {
        ADCSRA |= _BV(ADSC);
        while (ADCSRA & _BV(ADSC)) {}
        pool = stir(pool, (uint16_t)(ADC << 6) ^ TCNT0);
    }
    leftover = pool;
    return pool;
}

void identity_start(void) {
    ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0);
    boot_id = (uint32_t)journal_count_start() << 16 | noise();
}

uint32_t identity_boot_id(void) { return boot_id; }

void identity_send(void) {
    struct identity message = {
        .protocol = pgm_read_byte(&program.protocol),
        .major = pgm_read_byte(&program.major),
        .minor = pgm_read_byte(&program.minor),
        .reset_cause = reset_cause,
        .build = pgm_read_dword(&program.build),
        .boot_id = boot_id,
    };
    link_send(MSG_IDENTITY, 0, &message, sizeof message);
}
