/* SPDX-License-Identifier: Apache-2.0
 * The watchdog, and why the chip started.
 *
 * The reset cause stands in MCUSR, but a boot loader runs first, and some clear it:
 *
 *   none, Optiboot 7 and 8    MCUSR is as it was
 *   Optiboot 4.6 to 6.2       cleared; the old value is in register r2, where the loader's own time-out after a pull of the
 *                             reset pin says "watchdog" as well
 *   Optiboot up to 4.5 (the one on every Uno), and all others   cleared and lost
 *
 * The flash's last word is Optiboot's version. What cannot be known is told as 0, never guessed. A proof is known: only a
 * reset ends its hang, and power loss wipes the mark that it leaves in SRAM. */
#include "watchdog.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/wdt.h>

#define VERSION_WORD (FLASHEND - 1)
#define R2_SINCE 0x0406
#define R2_UNTIL 0x06FF
#define ANY_CAUSE (_BV(PORF) | _BV(EXTRF) | _BV(BORF) | _BV(WDRF))
#define PROVING 0x5AC6

/* volatile: written before main, or right before a hang, where the compiler sees no reader */
static volatile uint8_t in_mcusr __attribute__((section(".noinit")));
static volatile uint8_t in_r2 __attribute__((section(".noinit")));
static volatile uint16_t proving __attribute__((section(".noinit")));
static uint8_t cause;

/* Before anything else uses r2; and after a watchdog reset the watchdog still runs, with its shortest time. */
void save_reset_cause(void) __attribute__((naked, used, section(".init3")));
void save_reset_cause(void) {
    __asm__ volatile("sts %0, r2" ::"i"(&in_r2));
    in_mcusr = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

static uint8_t handed_over(void) {
    uint16_t version = pgm_read_word(VERSION_WORD);
    if (version < R2_SINCE || version > R2_UNTIL) return 0;
    return in_r2 & ANY_CAUSE & (uint8_t)~_BV(WDRF);
}

void watchdog_start(void) {
    cause = in_mcusr & ANY_CAUSE;
    if (!cause) cause = handed_over();
    if (!cause && proving == PROVING) cause = _BV(WDRF);
    proving = 0;
    wdt_enable(WDTO_250MS);
}

void watchdog_feed(void) { wdt_reset(); }

void watchdog_prove(void) {
    proving = PROVING;
    for (;;) {} /* interrupts stay on: a watchdog that an interrupt feeds would not be one */
}

/* An interrupt that nobody has asked for: the chip is not itself. */
ISR(BADISR_vect) {
    for (;;) {}
}

uint8_t watchdog_reset_cause(void) { return cause; }
