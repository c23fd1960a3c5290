/* SPDX-License-Identifier: Apache-2.0
 * The EEPROM's cells, a byte each. A write takes 3.4 ms and goes on by itself. */
#ifndef EEPROM_H
#define EEPROM_H

#include <stdbool.h>
#include <stdint.h>

#define EEPROM_CELLS 1024

/* Waits for a write under way. */
void eeprom_read(void *to, uint16_t cell, uint8_t length);

/* Begin to write, or do nothing when the cell holds the byte already. Waits for a write under way. */
void eeprom_begin_write(uint16_t cell, uint8_t byte);

bool eeprom_idle(void);

#endif
