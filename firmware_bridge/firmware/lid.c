/* SPDX-License-Identifier: Apache-2.0
 * The lid switch, debounced like the loops: samples that agree count up, others count down. */
#include "lid.h"

#include <avr/io.h>

#include "board.h"
#include "kept.h"

static bool open;
static uint8_t agreeing_ms;

void lid_start(void) { LID_PORT |= _BV(LID_BIT); /* pull-up */ }

void lid_tick(uint32_t now_ms) {
    bool seen_open = LID_PIN & _BV(LID_BIT);
    if (seen_open == open) {
        if (agreeing_ms > 0) agreeing_ms--;
    } else if (++agreeing_ms >= LID_MS) {
        agreeing_ms = 0;
        open = seen_open;
        kept_lid_change(open, now_ms);
    }
}

bool lid_is_open(void) { return open; }
