/* SPDX-License-Identifier: Apache-2.0
 * The EEPROM's cells. */
#include "eeprom.h"

#include <avr/eeprom.h>

void eeprom_read(void *to, uint16_t cell, uint8_t length) { eeprom_read_block(to, (const void *)cell, length); }

void eeprom_begin_write(uint16_t cell, uint8_t byte) { eeprom_update_byte((uint8_t *)cell, byte); }

bool eeprom_idle(void) { return eeprom_is_ready(); }
