/* SPDX-License-Identifier: Apache-2.0
 * The watchdog: a reset 250 ms after it was last fed, and why the chip started. */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdint.h>

void watchdog_start(void);

/* Only from the millisecond path, after every part of it has run. */
void watchdog_feed(void);

/* Hang until the watchdog ends it. */
void watchdog_prove(void);

/* MCUSR of this start: 1 power on, 2 reset pin, 4 brown-out, 8 watchdog; 0 when a boot loader has hidden it. */
uint8_t watchdog_reset_cause(void);

#endif
