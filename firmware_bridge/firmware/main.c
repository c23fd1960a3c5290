/* SPDX-License-Identifier: Apache-2.0
 *
 * The panic button: watches two buttons, tells the host, and helps itself when there is no host.
 *
 *   board.h      what is wired where, and every number
 *   protocol.h   the words on the wire
 *   converter.c  voltages
 *   loop.c       the buttons: voltage -> state -> press
 *   lid.c        the lid switch
 *   meter.c      lowest and highest volts, for a technician who watches
 *   kept.c       events that are repeated until acknowledged
 *   journal.c    the part of them that survives a power cut; eeprom.c under it
 *   link.c       frames to and from the host; frame.c and uart.c under it
 *   outputs.c    light, buzzer, relay
 *   identity.c   program version, boot id
 *   watchdog.c   the reset after a hang, and the reset cause
 *
 * Interrupts count the time (clock.c), fetch the samples (converter.c) and move bytes (uart.c); all else happens here, once
 * a millisecond. What the watchdog sees: a hang anywhere in the loop below, interrupts that leave it no time or come no
 * more, a converter that brings no samples. What it does not see: wrong thoughts at the right time. For those the host
 * looks at each heartbeat.
 */
#include <avr/interrupt.h>
#include <avr/sleep.h>

#include "clock.h"
#include "converter.h"
#include "identity.h"
#include "journal.h"
#include "kept.h"
#include "lid.h"
#include "link.h"
#include "loop.h"
#include "meter.h"
#include "outputs.h"
#include "uart.h"
#include "watchdog.h"

static void every_millisecond(uint32_t now_ms) {
    bool sampled = loop_tick(now_ms);
    lid_tick(now_ms);
    outputs_tick(now_ms); /* before the rest, so that outputs_latch() always finds it done */
    kept_tick(now_ms);
    link_tick(now_ms);
    meter_tick(now_ms); /* last of all that speak */
    bool all_written = !journal_tick();
    loop_journal_written(all_written);
    if (sampled) watchdog_feed();
    if (link_self_test_wanted()) watchdog_prove();
    link_allow_self_test(all_written && loop_is_quiet());
}

/* Sleep (idle, the mode after a reset) until the next interrupt, unless work came in while we looked. */
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
    watchdog_start();
    outputs_start();
    lid_start();
    clock_start();
    converter_start();
    journal_start();
    identity_start();
    journal_load();
    uart_start();
    sei();
    converter_begin();
    identity_send();
    for (;;) {
        link_poll(clock_ms());
        if (clock_ticked()) every_millisecond(clock_ms());
        rest();
    }
}
