/* SPDX-License-Identifier: Apache-2.0
 * Who this unit is: its program, and the boot id of this start. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdint.h>

/* Call once, after journal_start() and converter_start(). Takes about 5 ms. */
void identity_start(void);

/* High half: how often the unit has started. Low half: noise. Two starts never share it, not even when the
 * EEPROM was erased or its write was cut off. */
uint32_t identity_boot_id(void);

void identity_send(void);

#endif
