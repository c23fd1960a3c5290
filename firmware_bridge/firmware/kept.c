/* SPDX-License-Identifier: Apache-2.0
 * Events that are repeated until the host has acknowledged them; presses survive even a power cut. */
#include "kept.h"

#include <stddef.h>

#include "board.h"
#include "clock.h"
#include "frame.h"
#include "identity.h"
#include "link.h"
#include "protocol.h"
#include "uart.h"

#define OWN_SLOTS 6    /* of each input: after so many unanswered presses the newest slot takes the others in */
#define EARLIER_SLOTS 6 /* for presses of earlier starts; what finds none waits in the EEPROM */
#define PRESS_SLOTS (INPUT_COUNT * OWN_SLOTS + EARLIER_SLOTS)
#define OTHER_SLOTS 8
#define ALL_SLOTS (PRESS_SLOTS + OTHER_SLOTS)

struct slot {
    uint8_t type; /* 0: free */
    uint8_t seq;
    uint8_t tries;
    uint32_t due_ms;
    uint32_t since_ms;
    union {
        struct {
            struct journal_press press;
            journal_places places; /* none: the EEPROM had no room */
            bool from_earlier_start;
        };
        struct {
            uint8_t input;
            uint16_t count;
            uint32_t held_ms;
        } release;
        struct {
            uint8_t input, before, after;
            uint16_t millivolts;
        } loop;
        bool lid_opened;
        uint32_t away_ms;
    };
};

static struct slot slots[ALL_SLOTS]; /* presses first */
static uint8_t last_seq;

static bool seq_in_use(uint8_t seq) {
    for (uint8_t i = 0; i < ALL_SLOTS; i++)
        if (slots[i].type && slots[i].seq == seq) return true;
    return false;
}

static uint8_t new_seq(void) {
    do last_seq++;
    while (seq_in_use(last_seq));
    return last_seq;
}

/* The same. */
__attribute__((noinline)) static struct slot *free_slot(uint8_t from, uint8_t to) {
    for (uint8_t i = from; i < to; i++)
        if (!slots[i].type) return &slots[i];
    return NULL;
}

/* Inlined where it is used, it would cost 60 bytes of flash. */
__attribute__((noinline)) static void fill(struct slot *slot, uint8_t type, uint32_t now_ms) {
    slot->seq = new_seq();
    slot->type = type;
    slot->tries = 0;
    slot->due_ms = slot->since_ms = now_ms;
}

/* ---- presses ---- */

static bool is_own_press(const struct slot *slot, enum input input) {
    return slot->type && !slot->from_earlier_start && slot->press.input == (uint8_t)input;
}

static struct slot *newest_own_press(enum input input, uint8_t *how_many) {
    struct slot *newest = NULL;
    *how_many = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) {
        if (!is_own_press(&slots[i], input)) continue;
        ++*how_many;
        if (!newest || slots[i].press.count > newest->press.count) newest = &slots[i];
    }
    return newest;
}

static struct slot *take_slot(enum input input, uint16_t count, uint32_t now_ms) {
    struct slot *slot = free_slot(0, PRESS_SLOTS);
    if (!slot) return NULL;
    fill(slot, MSG_PRESS, now_ms);
    slot->press = (struct journal_press){.origin = identity_boot_id(), .count = count, .input = (uint8_t)input};
    slot->from_earlier_start = false;
    slot->places = 0;
    return slot;
}

/* The newest slot takes the press in, as long as the counts touch. */
static struct slot *join(struct slot *newest, uint16_t count, uint32_t now_ms) {
    if (!newest || (uint16_t)(newest->press.count + 1) != count || newest->press.merged == UINT8_MAX) return NULL;
    newest->press.count = count;
    newest->press.merged++;
    newest->seq = new_seq(); /* an acknowledgement under way for the smaller frame must not clear this one */
    newest->tries = 0;
    newest->due_ms = now_ms;
    return newest;
}

/* To a new place first; the old one is spoilt afterwards. */
static bool write_down(struct slot *slot) {
    uint8_t place = journal_free_place();
    journal_touch(slot->places);
    if (place != JOURNAL_FULL) slot->places = journal_bit(place);
    journal_touch(slot->places);
    return place != JOURNAL_FULL;
}

static struct slot *press_without_place(void) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && slots[i].places == 0) return &slots[i];
    return NULL;
}

static void write_down_what_waits(void) {
    struct slot *slot;
    do slot = press_without_place();
    while (slot && write_down(slot));
}

bool kept_lacks_a_place(void) { return press_without_place() != NULL; }

void kept_press(enum input input, uint16_t count, uint32_t now_ms) {
    uint8_t own;
    struct slot *newest = newest_own_press(input, &own);
    struct slot *slot = own < OWN_SLOTS ? take_slot(input, count, now_ms) : join(newest, count, now_ms);
    if (slot) write_down(slot); /* else 260 presses without an answer: the heartbeat still counts them */
}

/* Presses of one earlier start and one input whose counts touch share a slot. */
static bool join_restored(struct slot *slot, uint8_t place, const struct journal_press *press) {
    uint16_t first = slot->press.count - slot->press.merged, last = slot->press.count;
    uint16_t other_first = press->count - press->merged, other_last = press->count;
    if (!slot->type || slot->press.origin != press->origin || slot->press.input != press->input) return false;
    if ((int16_t)(other_first - last) > 1 || (int16_t)(first - other_last) > 1) return false;
    if ((int16_t)(other_first - first) < 0) first = other_first;
    if ((int16_t)(other_last - last) > 0) last = other_last;
    if ((uint16_t)(last - first) > UINT8_MAX) return false;
    slot->press.count = last;
    slot->press.merged = (uint8_t)(last - first);
    slot->seq = new_seq(); /* as in join() */
    slot->places |= journal_bit(place);
    return true;
}

static uint8_t earlier_presses(void) {
    uint8_t earlier = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) if (slots[i].type && slots[i].from_earlier_start) earlier++;
    return earlier;
}

bool kept_restore(uint8_t place, const struct journal_press *press) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (join_restored(&slots[i], place, press)) return true;
    struct slot *slot = earlier_presses() < EARLIER_SLOTS ? free_slot(0, PRESS_SLOTS) : NULL;
    if (!slot) return false;
    fill(slot, MSG_PRESS, clock_ms());
    slot->press = *press;
    slot->from_earlier_start = true;
    slot->places = journal_bit(place);
    return true;
}

/* One place for each slot, so that there is room for the presses to come. */
void kept_tidy(void) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && slots[i].places & (slots[i].places - 1)) write_down(&slots[i]);
}

static struct slot *slot_at_place(uint8_t place) {
    journal_places bit = journal_bit(place);
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && slots[i].places & bit) return &slots[i];
    return NULL;
}

const struct journal_press *kept_at_place(uint8_t place) {
    const struct slot *slot = slot_at_place(place);
    return slot ? &slot->press : NULL;
}

void kept_give_up_place(uint8_t place) {
    struct slot *slot = slot_at_place(place);
    if (!slot) return;
    slot->places &= ~journal_bit(place);
    write_down(slot);
}

uint8_t kept_presses_now(enum input input) {
    uint16_t kept = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (is_own_press(&slots[i], input)) kept = (uint16_t)(kept + 1 + slots[i].press.merged);
    return (uint8_t)(kept > UINT8_MAX ? UINT8_MAX : kept);
}

bool kept_oldest_open_press(uint32_t now_ms, uint32_t *waited_ms) {
    bool any = false;
    *waited_ms = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) {
        if (!slots[i].type || slots[i].press.input != INPUT_OPEN) continue;
        any = true;
        if (now_ms - slots[i].since_ms > *waited_ms) *waited_ms = now_ms - slots[i].since_ms;
    }
    return any;
}

/* ---- the others ---- */

static struct slot *take_other(uint8_t type, uint32_t now_ms) {
    struct slot *slot = free_slot(PRESS_SLOTS, ALL_SLOTS);
    if (slot) fill(slot, type, now_ms);
    return slot;
}

void kept_release(enum input input, uint16_t count, uint32_t held_ms, uint32_t now_ms) {
    struct slot *slot = take_other(MSG_RELEASE, now_ms);
    if (!slot) return;
    slot->release.input = (uint8_t)input;
    slot->release.count = count;
    slot->release.held_ms = held_ms;
}

void kept_loop_change(enum input input, enum loop_state before, enum loop_state after, uint16_t millivolts,
                      uint32_t now_ms) {
    struct slot *slot = take_other(MSG_LOOP, now_ms);
    if (!slot) return;
    slot->loop.input = (uint8_t)input;
    slot->loop.before = (uint8_t)before;
    slot->loop.after = (uint8_t)after;
    slot->loop.millivolts = millivolts;
}

void kept_lid_change(bool opened, uint32_t now_ms) {
    struct slot *slot = take_other(MSG_LID, now_ms);
    if (slot) slot->lid_opened = opened;
}

void kept_host_lost(uint32_t away_ms, uint32_t now_ms) {
    struct slot *slot = take_other(MSG_HOST_LOST, now_ms);
    if (slot) slot->away_ms = away_ms;
}

uint8_t kept_all(void) {
    uint8_t kept = 0;
    for (uint8_t i = 0; i < ALL_SLOTS; i++)
        if (slots[i].type) kept++;
    return kept;
}

/* ---- sending ---- */

static bool send_press(const struct slot *slot, uint32_t now_ms) {
    struct press message = {
        .boot_id = identity_boot_id(),
        .origin = slot->press.origin,
        .count = slot->press.count,
        .merged = slot->press.merged,
        .age_ms = slot->from_earlier_start ? AGE_UNKNOWN : now_ms - slot->since_ms,
        .input = slot->press.input,
    };
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_release(const struct slot *slot) {
    struct release message = {
        .boot_id = identity_boot_id(),
        .origin = identity_boot_id(),
        .count = slot->release.count,
        .held_ms = slot->release.held_ms,
        .input = slot->release.input,
    };
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_loop_change(const struct slot *slot) {
    struct loop_change message = {
        .boot_id = identity_boot_id(),
        .before = slot->loop.before,
        .after = slot->loop.after,
        .millivolts = slot->loop.millivolts,
        .input = slot->loop.input,
    };
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_lid_change(const struct slot *slot) {
    struct lid_change message = {.boot_id = identity_boot_id(), .opened = slot->lid_opened};
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_host_lost(const struct slot *slot) {
    struct host_lost message = {identity_boot_id(), slot->away_ms};
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send(const struct slot *slot, uint32_t now_ms) {
    switch (slot->type) {
        case MSG_PRESS: return send_press(slot, now_ms);
        case MSG_RELEASE: return send_release(slot);
        case MSG_LOOP: return send_loop_change(slot);
        case MSG_LID: return send_lid_change(slot);
        default: return send_host_lost(slot);
    }
}

/* What was told least goes first: a new press never waits behind repeats, and no repeat starves. */
static struct slot *next_due(uint32_t now_ms) {
    struct slot *next = NULL;
    for (uint8_t i = 0; i < ALL_SLOTS; i++)
        if (slots[i].type && reached(now_ms, slots[i].due_ms) && (!next || slots[i].tries < next->tries))
            next = &slots[i];
    return next;
}

bool kept_is_due(uint32_t by_ms) { return next_due(by_ms) != NULL; }

void kept_tick(uint32_t now_ms) {
    while (uart_room() >= LINK_ROOM_FOR_KEPT) {
        struct slot *slot = next_due(now_ms);
        if (!slot || !send(slot, now_ms)) return;
        slot->due_ms = now_ms + (slot->tries < REPEAT_FAST_TIMES ? REPEAT_FAST_MS : REPEAT_SLOW_MS);
        if (slot->tries < UINT8_MAX) slot->tries++;
    }
}

void kept_acknowledge(uint8_t seq, uint32_t boot_id) {
    if (boot_id != identity_boot_id()) return;
    for (uint8_t i = 0; i < ALL_SLOTS; i++) {
        if (!slots[i].type || slots[i].seq != seq) continue;
        bool press = slots[i].type == MSG_PRESS;
        slots[i].type = 0;
        if (!press) continue;
        journal_touch(slots[i].places);
        write_down_what_waits();
    }
}
