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

#define PRESS_SLOTS 20
#define RESTORED_MAX (PRESS_SLOTS - 1) /* one is left for a press of this start */
#define OWN_SLOTS 6                    /* after so many unanswered presses the newest slot takes the others in */
#define OTHER_SLOTS 6

struct slot {
    uint8_t type; /* 0: free */
    uint8_t seq;
    uint8_t tries;
    uint32_t due_ms;
    uint32_t since_ms;
    union {
        struct {
            struct journal_press press;
            journal_places places;
            bool from_earlier_start;
        };
        struct {
            uint16_t count;
            uint32_t held_ms;
        } release;
        struct {
            uint8_t before, after;
            uint16_t millivolts;
        } loop;
        uint32_t away_ms;
    };
};

static struct slot slots[PRESS_SLOTS + OTHER_SLOTS]; /* presses first */
static uint8_t last_seq;

static bool seq_in_use(uint8_t seq) {
    for (uint8_t i = 0; i < PRESS_SLOTS + OTHER_SLOTS; i++)
        if (slots[i].type && slots[i].seq == seq) return true;
    return false;
}

static uint8_t new_seq(void) {
    do last_seq++;
    while (seq_in_use(last_seq));
    return last_seq;
}

static struct slot *free_slot(uint8_t from, uint8_t to) {
    for (uint8_t i = from; i < to; i++)
        if (!slots[i].type) return &slots[i];
    return NULL;
}

static void fill(struct slot *slot, uint8_t type, uint32_t now_ms) {
    slot->seq = new_seq();
    slot->type = type;
    slot->tries = 0;
    slot->due_ms = slot->since_ms = now_ms;
}

/* ---- presses ---- */

static struct slot *newest_press_of_this_start(uint8_t *how_many) {
    struct slot *newest = NULL;
    *how_many = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) {
        if (!slots[i].type || slots[i].from_earlier_start) continue;
        ++*how_many;
        if (!newest || slots[i].press.count > newest->press.count) newest = &slots[i];
    }
    return newest;
}

static struct slot *take_slot(uint16_t count, uint32_t now_ms) {
    struct slot *slot = free_slot(0, PRESS_SLOTS);
    if (!slot) return NULL;
    fill(slot, MSG_PRESS, now_ms);
    slot->press = (struct journal_press){identity_boot_id(), count, 0};
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
static void write_down(struct slot *slot) {
    uint8_t place = journal_free_place();
    journal_touch(slot->places);
    if (place != JOURNAL_FULL) slot->places = journal_bit(place);
    journal_touch(slot->places);
}

void kept_press(uint16_t count, uint32_t now_ms) {
    uint8_t own;
    struct slot *newest = newest_press_of_this_start(&own), *slot = NULL;
    if (own >= OWN_SLOTS) slot = join(newest, count, now_ms);
    if (!slot) slot = take_slot(count, now_ms);
    if (slot) write_down(slot); /* else 256 presses without an answer: the alarm has long been sounding */
}

/* Presses of one earlier start whose counts touch share a slot. */
static bool join_restored(struct slot *slot, uint8_t place, const struct journal_press *press) {
    uint16_t first = slot->press.count - slot->press.merged, last = slot->press.count;
    uint16_t other_first = press->count - press->merged, other_last = press->count;
    if (!slot->type || slot->press.origin != press->origin) return false;
    if ((int16_t)(other_first - last) > 1 || (int16_t)(first - other_last) > 1) return false;
    if ((int16_t)(other_first - first) < 0) first = other_first;
    if ((int16_t)(other_last - last) > 0) last = other_last;
    if ((uint16_t)(last - first) > UINT8_MAX) return false;
    slot->press.count = last;
    slot->press.merged = (uint8_t)(last - first);
    slot->places |= journal_bit(place);
    return true;
}

void kept_restore(uint8_t place, const struct journal_press *press) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (join_restored(&slots[i], place, press)) return;
    struct slot *slot = free_slot(0, RESTORED_MAX);
    if (!slot) return; /* it stays in the EEPROM for the next start */
    fill(slot, MSG_PRESS, 0);
    slot->press = *press;
    slot->from_earlier_start = true;
    slot->places = journal_bit(place);
}

/* One place for each slot, so that there is room for the presses to come. */
void kept_tidy(void) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && slots[i].places & (slots[i].places - 1)) write_down(&slots[i]);
}

const struct journal_press *kept_at_place(uint8_t place) {
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && slots[i].places & journal_bit(place)) return &slots[i].press;
    return NULL;
}

uint8_t kept_presses_now(void) {
    uint16_t kept = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++)
        if (slots[i].type && !slots[i].from_earlier_start) kept += 1 + slots[i].press.merged;
    return kept > UINT8_MAX ? UINT8_MAX : (uint8_t)kept;
}

bool kept_oldest_press(uint32_t now_ms, uint32_t *waited_ms) {
    bool any = false;
    *waited_ms = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS; i++) {
        if (!slots[i].type) continue;
        any = true;
        if (now_ms - slots[i].since_ms > *waited_ms) *waited_ms = now_ms - slots[i].since_ms;
    }
    return any;
}

/* ---- the others ---- */

void kept_release(uint16_t count, uint32_t held_ms, uint32_t now_ms) {
    struct slot *slot = free_slot(PRESS_SLOTS, PRESS_SLOTS + OTHER_SLOTS);
    if (!slot) return;
    fill(slot, MSG_RELEASE, now_ms);
    slot->release.count = count;
    slot->release.held_ms = held_ms;
}

void kept_loop_change(uint8_t before, uint8_t after, uint16_t millivolts, uint32_t now_ms) {
    struct slot *slot = free_slot(PRESS_SLOTS, PRESS_SLOTS + OTHER_SLOTS);
    if (!slot) return;
    fill(slot, MSG_LOOP, now_ms);
    slot->loop.before = before;
    slot->loop.after = after;
    slot->loop.millivolts = millivolts;
}

void kept_host_lost(uint32_t away_ms, uint32_t now_ms) {
    struct slot *slot = free_slot(PRESS_SLOTS, PRESS_SLOTS + OTHER_SLOTS);
    if (!slot) return;
    fill(slot, MSG_HOST_LOST, now_ms);
    slot->away_ms = away_ms;
}

uint8_t kept_all(void) {
    uint8_t kept = 0;
    for (uint8_t i = 0; i < PRESS_SLOTS + OTHER_SLOTS; i++) kept += slots[i].type != 0;
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
    };
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_release(const struct slot *slot) {
    struct release message = {identity_boot_id(), identity_boot_id(), slot->release.count, slot->release.held_ms};
    return link_send(slot->type, slot->seq, &message, sizeof message);
}

static bool send_loop_change(const struct slot *slot) {
    struct loop_change message = {identity_boot_id(), slot->loop.before, slot->loop.after, slot->loop.millivolts};
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
        default: return send_host_lost(slot);
    }
}

void kept_tick(uint32_t now_ms) {
    for (uint8_t i = 0; i < PRESS_SLOTS + OTHER_SLOTS; i++) {
        struct slot *slot = &slots[i];
        if (!slot->type || !reached(now_ms, slot->due_ms)) continue;
        if (uart_room() < 2 * FRAME_SENT_MAX) return; /* leave room for the heartbeat */
        if (!send(slot, now_ms)) return;
        slot->due_ms = now_ms + (slot->tries < REPEAT_FAST_TIMES ? REPEAT_FAST_MS : REPEAT_SLOW_MS);
        if (slot->tries < UINT8_MAX) slot->tries++;
    }
}

void kept_acknowledge(uint8_t seq, uint32_t boot_id) {
    if (boot_id != identity_boot_id()) return;
    for (uint8_t i = 0; i < PRESS_SLOTS + OTHER_SLOTS; i++) {
        if (!slots[i].type || slots[i].seq != seq) continue;
        bool press = slots[i].type == MSG_PRESS;
        slots[i].type = 0;
        if (press) journal_touch(slots[i].places);
    }
}
