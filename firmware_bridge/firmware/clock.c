/* SPDX-License-Identifier: Apache-2.0
 * Milliseconds since the start, from timer 0. */
#include "clock.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "outputs.h"

static volatile uint32_t milliseconds;
static volatile bool tick;

ISR(TIMER0_COMPA_vect) {
    outputs_latch();
    milliseconds++;
    tick = true;
}

void clock_start(void) {
    TCCR0A = _BV(WGM01);                      /* count to OCR0A, then again */
    TCCR0B = _BV(CS01) | _BV(CS00);           /* clock / 64 */
    OCR0A = (uint8_t)(F_CPU / 64 / 1000 - 1); /* 1 ms */
    TIMSK0 = _BV(OCIE0A);
}

uint32_t clock_ms(void) {
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = milliseconds; }
    return now;
}

bool clock_ticked(void) {
    bool was = tick;
    if (was) tick = false;
    return was;
}

bool clock_tick_waits(void) { return tick; }
