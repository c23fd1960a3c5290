/* SPDX-License-Identifier: Apache-2.0
 * The analogue converter: one sample of each loop a millisecond, and noise for the boot id. */
#ifndef CONVERTER_H
#define CONVERTER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

void converter_start(void);

/* The open pin's last bits, stirred. Takes 5 ms; call it before converter_begin(). */
uint16_t converter_noise(uint16_t pool);

/* Begin one sample of every loop: 104 us each, one after the other, by interrupt. */
void converter_begin(void);

/* The samples begun last, in steps of the converter; false while they are under way. */
bool converter_take(uint16_t steps[INPUT_COUNT]);

#endif
