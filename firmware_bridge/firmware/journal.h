/* SPDX-License-Identifier: Apache-2.0
 * What survives without power: the number of starts, and the presses that the host has not acknowledged. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_PLACES 32 /* as many as journal_places has bits */

typedef uint32_t journal_places; /* one bit for each place */

journal_places journal_bit(uint8_t place);

struct journal_press {
    uint32_t origin;
    uint16_t count;
    uint8_t merged;
    uint8_t input;
};

/* Once, before the rest: lay the EEPROM out if somebody else has used it. At most 0.15 s, else nothing. */
void journal_start(void);

/* Count this start and return its number. */
uint16_t journal_count_start(void);

/* Hand every kept press to kept_restore(), then call kept_tidy(). */
void journal_load(void);

/* The next place that is not in use, or JOURNAL_FULL; places are used in turn, so that none wears out early. */
#define JOURNAL_FULL 0xFF
uint8_t journal_free_place(void);

/* What belongs at these places (one bit each) was added, changed or acknowledged: bring the EEPROM in line. */
void journal_touch(journal_places places);

/* Once a millisecond; never waits for the EEPROM. True while something is still to be written. */
bool journal_tick(void);

/* Every press gets its place, and no cell was found that does not take what is written. */
bool journal_is_sound(void);

#endif
