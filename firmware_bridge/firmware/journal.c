/* SPDX-License-Identifier: Apache-2.0
 * What survives without power: the number of starts, and the presses that the host has not acknowledged.
 *
 * A byte takes 3.4 ms to write, so journal_tick() starts one byte at a time and returns. A press is safe about 35 ms
 * after it was seen. A press is written to one place and spoilt there later, 32 places in turn: 100,000 writes a cell
 * are 1.6 million presses.
 *
 * A cell that does not take its byte in TRIES is worn out: its place is given up, the press goes to another one, and each
 * heartbeat says so. With all places in use a new press is in RAM alone until one is free; each heartbeat says that, too.
 *
 * A reused Arduino brings an EEPROM full of other things. Without our mark at its place, every place that could pass for
 * a press is spoilt, and the mark is written last: a power cut in between does it all again. */
#include "journal.h"

#include <stddef.h>

#include "crc.h"
#include "eeprom.h"
#include "kept.h"
#include "protocol.h"
#include "watchdog.h"

#define LAYOUT_MARK 0x32595453UL /* "STY2"; another number when anything below changes its place or meaning */
#define TRIES 3

struct PACKED entry {
    struct journal_press press;
    uint16_t check; /* written last; an entry with a wrong check holds nothing */
};

struct PACKED layout {
    uint8_t unused[8]; /* the first cells are the ones that a brown-out damages */
    uint32_t mark;
    uint16_t starts;
    struct entry places[JOURNAL_PLACES];
};

_Static_assert(sizeof(struct entry) == 10, "no gaps");
_Static_assert(sizeof(struct layout) <= EEPROM_CELLS, "it fits");

#define CELL_OF(member) ((uint16_t)offsetof(struct layout, member))

static journal_places touched;
static journal_places waiting; /* presses of earlier starts for which kept.c has no room yet */
static uint8_t last_place = JOURNAL_PLACES - 1;
static uint16_t writing; /* the cell of the last write, */
static uint8_t times_written; /* and how often in a row */
static bool cell_worn;

/* Inlined where it is used, it would cost 100 bytes of flash. */
__attribute__((noinline)) journal_places journal_bit(uint8_t place) { return (journal_places)1 << place; }

static uint16_t cell_of(uint8_t place) { return (uint16_t)(CELL_OF(places) + place * sizeof(struct entry)); }

static bool read_entry(uint8_t place, struct entry *entry) {
    eeprom_read(entry, cell_of(place), sizeof *entry);
    return entry->check == crc16(CRC_START, &entry->press, sizeof entry->press);
}

static void begin_write(uint16_t cell, uint8_t byte) {
    if (cell != writing) times_written = 0;
    writing = cell;
    times_written++;
    eeprom_begin_write(cell, byte);
}

/* One byte of the check is enough, and leaves the other cells in peace. */
static void begin_to_spoil(uint8_t place, const struct entry *entry) {
    begin_write((uint16_t)(cell_of(place) + offsetof(struct entry, check)), (uint8_t)~entry->check);
}

static void write_number(uint16_t cell, uint32_t number, uint8_t length) {
    for (; length > 0; length--, number >>= 8) eeprom_begin_write(cell++, (uint8_t)number);
}

void journal_start(void) {
    uint32_t mark;
    eeprom_read(&mark, CELL_OF(mark), sizeof mark);
    if (mark == LAYOUT_MARK) return;
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++) {
        struct entry entry;
        if (read_entry(place, &entry)) begin_to_spoil(place, &entry);
        watchdog_feed(); /* so many times and no more: it cannot hide a hang */
    }
    write_number(CELL_OF(starts), 0, sizeof(uint16_t));
    write_number(CELL_OF(mark), LAYOUT_MARK, sizeof mark);
}

uint16_t journal_count_start(void) {
    uint16_t starts;
    eeprom_read(&starts, CELL_OF(starts), sizeof starts);
    starts++;
    write_number(CELL_OF(starts), starts, sizeof starts);
    return starts;
}

/* ---- reading ---- */

static void restore(uint8_t place) {
    struct entry entry;
    waiting &= ~journal_bit(place);
    if (!read_entry(place, &entry)) return;
    struct journal_press press = entry.press;
    if (!kept_restore(place, &press)) waiting |= journal_bit(place);
}

void journal_load(void) {
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++) {
        struct entry entry;
        if (read_entry(place, &entry)) last_place = place;
        restore(place);
    }
    kept_tidy();
}

/* One try a millisecond, when all else is done. */
static void restore_one_that_waits(void) {
    static uint8_t turn;
    turn = (uint8_t)((turn + 1) % JOURNAL_PLACES);
    if (waiting & journal_bit(turn)) restore(turn);
}

/* ---- writing ---- */

uint8_t journal_free_place(void) {
    for (uint8_t tries = 0; tries < JOURNAL_PLACES; tries++) {
        last_place = (uint8_t)((last_place + 1) % JOURNAL_PLACES);
        if (!(waiting & journal_bit(last_place)) && !kept_at_place(last_place)) return last_place;
    }
    return JOURNAL_FULL;
}

/* Inlined where it is used, it would cost 60 bytes of flash. */
__attribute__((noinline)) void journal_touch(journal_places places) { touched |= places; }

/* Start writing the first byte that differs; false when the place is as it should be. */
static bool write_one_byte(uint8_t place, const struct journal_press *press) {
    struct entry wanted = {*press, crc16(CRC_START, press, sizeof *press)}, stored;
    eeprom_read(&stored, cell_of(place), sizeof stored);
    for (uint8_t i = 0; i < sizeof wanted; i++) {
        uint8_t byte = ((const uint8_t *)&wanted)[i];
        if (((const uint8_t *)&stored)[i] == byte) continue;
        begin_write((uint16_t)(cell_of(place) + i), byte);
        return true;
    }
    return false;
}

static bool spoil(uint8_t place) {
    struct entry entry;
    if (!read_entry(place, &entry)) return false;
    begin_to_spoil(place, &entry);
    return true;
}

/* New presses first; what is no longer owed is spoilt only when they are safe, so that a power cut between the two
 * tells a press twice under its one name, and never not at all. */
static bool write_touched(bool owed) {
    journal_places bit = 1;
    for (uint8_t place = 0; place < JOURNAL_PLACES; place++, bit <<= 1) {
        if (!(touched & bit)) continue;
        const struct journal_press *press = kept_at_place(place);
        if ((press != NULL) != owed) continue;
        bool written = press ? !write_one_byte(place, press) : !spoil(place);
        if (!written && times_written <= TRIES) return true;
        touched &= ~bit;
        if (written) continue;
        cell_worn = true; /* the next round of the places tries it again, and gives it up again */
        kept_give_up_place(place);
        return true;
    }
    return false;
}

bool journal_tick(void) {
    if (!eeprom_idle()) return true;
    if (touched && (write_touched(true) || write_touched(false))) return true;
    if (!touched && waiting) restore_one_that_waits();
    return kept_lacks_a_place();
}

bool journal_is_sound(void) { return !cell_worn && !kept_lacks_a_place(); }
