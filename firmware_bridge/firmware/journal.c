/* SPDX-License-Identifier: Apache-2.0
 * What survives without power: the number of starts, and the presses that the host has not acknowledged.
 *
 * A byte takes 3.4 ms to write, so journal_tick() starts one byte at a time and returns. A press is safe about 30 ms
 * after it was seen. A press is written to one place and spoilt there later, 32 places in turn: 100,000 writes a cell
 * are 1.6 million presses. */
#include "journal.h"

#include <avr/eeprom.h>
#include <stdbool.h>
#include <stddef.h>
#include <util/crc16.h>

#include "kept.h"
#include "protocol.h"

struct PACKED entry {
    uint32_t origin;
    uint16_t count;
    uint8_t merged;
    uint8_t check; /* written last; an entry with a wrong check holds nothing */
};

static struct PACKED {
    uint8_t unused[8]; /* the first cells are the ones that a brown-out damages */
    uint16_t starts;
    struct entry places[JOURNAL_PLACES];
} stored EEMEM;

static journal_places touched;
static uint8_t last_place = JOURNAL_PLACES - 1;

static uint8_t check_of(const struct entry *entry) {
    uint8_t crc = 0x5A; /* so that neither all-zero nor erased cells look valid */
    for (uint8_t i = 0; i < offsetof(struct entry, check); i++) crc = _crc_ibutton_update(crc, ((const uint8_t *)entry)[i]);
    return crc;
}

uint16_t journal_count_start(void) {
    uint16_t starts = eeprom_read_word(&stored.starts) + 1;
    eeprom_update_word(&stored.starts, starts);
    return starts;
}

void journal_load(void) {
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++) {
        struct entry entry;
        eeprom_read_block(&entry, &stored.places[place], sizeof entry);
        if (entry.check != check_of(&entry)) continue;
        last_place = place;
        kept_restore(place, &(struct journal_press){entry.origin, entry.count, entry.merged});
    }
    kept_tidy();
}

uint8_t journal_free_place(void) {
    for (uint8_t tries = 0; tries < JOURNAL_PLACES; tries++) {
        last_place = (last_place + 1) % JOURNAL_PLACES;
        if (!kept_at_place(last_place)) return last_place;
    }
    return JOURNAL_FULL;
}

void journal_touch(journal_places places) { touched |= places; }

/* Start writing the first byte that differs; false when the place is as it should be. */
static bool write_one_byte(uint8_t place) {
    const struct journal_press *press = kept_at_place(place);
    struct entry wanted;
    uint8_t first = 0;
    if (press) {
        wanted = (struct entry){press->origin, press->count, press->merged, 0};
        wanted.check = check_of(&wanted);
    } else { /* nothing owed: spoil the check and leave the rest */
        eeprom_read_block(&wanted, &stored.places[place], sizeof wanted);
        if (wanted.check != check_of(&wanted)) return false;
        wanted.check = (uint8_t)~wanted.check;
        first = offsetof(struct entry, check);
    }
    for (uint8_t i = first; i < sizeof wanted; i++) {
        uint8_t *cell = (uint8_t *)&stored.places[place] + i, byte = ((uint8_t *)&wanted)[i];
        if (eeprom_read_byte(cell) == byte) continue;
        eeprom_write_byte(cell, byte);
        return true;
    }
    return false;
}

/* New presses first; what is no longer owed is spoilt only when they are safe, so that a power cut between the two
 * tells a press twice under its one name, and never not at all. */
static bool write_touched(bool owed) {
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++) {
        journal_places bit = journal_bit(place);
        if (!(touched & bit) || (kept_at_place(place) != NULL) != owed) continue;
        if (write_one_byte(place)) return true;
        touched &= ~bit;
    }
    return false;
}

bool journal_tick(void) {
    if (!eeprom_is_ready()) return true;
    if (!touched) return false;
    return write_touched(true) || write_touched(false);
}
