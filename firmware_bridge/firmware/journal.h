/* SPDX-License-Identifier: Apache-2.0
 * What survives without power: the number of starts, and the presses that the host has not acknowledged. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdint.h>

#define JOURNAL_PLACES 16

struct journal_press {
    uint32_t origin;
    uint16_t count;
    uint8_t merged;
};

/* Count this start and return its number. */
uint16_t journal_count_start(void);

/* Hand every kept press to kept_restore(). */
void journal_load(void);

/* The next place to write to that is not in use; places are used in turn, so that none wears out early. */
uint8_t journal_free_place(void);

/* The press at this place was added, changed or acknowledged: bring the EEPROM in line, byte by byte. */
void journal_touch(uint8_t place);

/* Once a millisecond; never waits for the EEPROM. Returns 0 when all is written. */
uint16_t journal_tick(void);

#endif
