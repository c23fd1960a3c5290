/* SPDX-License-Identifier: Apache-2.0
 *
 * The panic button: watches one button, tells the host, and helps itself when there is no host.
 *
 *   board.h     what is wired where, and every number
 *   protocol.h  the words on the wire
 *   loop.c      the button: voltage -> state -> press
 *   kept.c      events that are repeated until acknowledged
 *   journal.c   the part of them that survives a power cut
 *   link.c      frames to and from the host; frame.c and uart.c under it
 *   outputs.c   light, buzzer, relay
 *   identity.c  boot id, reset cause
 */
#include <avr/interrupt.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "clock.h"
#include "identity.h"
#include "journal.h"
#include "kept.h"
#include "link.h"
#include "loop.h"
#include "outputs.h"
#include "uart.h"

static void every_millisecond(uint32_t now_ms) {
    wdt_reset();
    loop_tick(now_ms);
    kept_tick(now_ms);
    link_tick(now_ms);
    outputs_tick(now_ms);
    loop_journal_written(!journal_tick());
}

/* Sleep until the next interrupt, unless work came in while we looked. */
static void rest(void) {
    cli();
    if (!clock_tick_waits() && !uart_has_input()) {
        sleep_enable();
        sei();
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

int main(void) {
    wdt_enable(WDTO_250MS);
    outputs_start();
    clock_start();
    identity_start();
    journal_load();
    loop_start();
    uart_start();
    set_sleep_mode(SLEEP_MODE_IDLE);
    sei();
    identity_send();
    for (;;) {
        link_poll(clock_ms());
        if (clock_ticked()) every_millisecond(clock_ms());
        rest();
    }
}
